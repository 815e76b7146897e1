//! Channels and patterns as a caller writes them, checked before they become a part of a request line.

use super::error::Error;
use crate::hub::channel::ChannelName;
use crate::hub::selector::Selector;

/// Checks a comma-separated list of channels and patterns.
pub(super) fn checked(list: &str) -> Result<&str, Error> {
    for text in list.split(',') {
        if let Err(error) = text.parse::<Selector>() {
            return Err(Error::invalid(format!("{text:?}: {error}")));
        }
    }
    Ok(list)
}

/// Checks the name of one channel.
pub(super) fn channel(text: &str) -> Result<ChannelName, Error> {
    text.parse()
        .map_err(|error| Error::invalid(format!("{text:?}: {error}")))
}
