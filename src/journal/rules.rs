//! What a journal may hold, as the configuration says: for each channel by its pattern, and as a whole.

use crate::config::{Config, Retention};
use crate::hub::channel::ChannelName;

/// The bounds of one journal.
pub(super) struct Rules {
    retention: Vec<Retention>,
    otherwise: Retention,
    /// What all events together may weigh.
    pub(super) max_bytes: usize,
    /// How many channels there may be.
    pub(super) max_channels: usize,
}

impl Rules {
    /// What the configuration says.
    pub(super) fn of(config: &Config) -> Self {
        Rules {
            retention: config.channels.clone(),
            otherwise: Retention::default(),
            max_bytes: config.journal.max_bytes,
            max_channels: config.limits.channels,
        }
    }

    /// The rule of a channel: the first whose pattern matches.
    pub(super) fn rule_for(&self, name: &ChannelName) -> Retention {
        self.retention
            .iter()
            .find(|rule| rule.pattern.matches(name))
            .unwrap_or(&self.otherwise)
            .clone()
    }
}
