//! What a journal holds, as an operator sees it: in all, and channel by channel.

use crate::event::Id;
use crate::hub::channel::ChannelName;
use crate::hub::selector::Selector;

/// What a journal holds, and what it did since it was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Channels that have a record: kept events, or a mark of what was lost.
    pub channels: u64,
    /// Events that are kept.
    pub events: u64,
    /// What they weigh together.
    pub bytes: u64,
    /// Times that something was kept or taken away: each a transaction on disk.
    pub commits: u64,
    /// Batches and other orders that wait for the one that is being kept.
    pub waiting: u64,
    /// Events that went because all together weighed more than `journal.max_bytes`.
    pub crowded_out: u64,
    /// What its files take; `None` for one that has none.
    pub file_bytes: Option<u64>,
}

/// What is kept of one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Its name.
    pub channel: ChannelName,
    /// Events that are kept.
    pub events: u64,
    /// What they weigh.
    pub bytes: u64,
    /// The newest that was kept without a time to live of its own; it may have gone since.
    pub last: Option<Id>,
}

/// The first `most` of the names that `filter` matches and that come after `after`, in the order of their bytes.
pub(super) fn next(
    mut names: Vec<ChannelName>,
    after: Option<&ChannelName>,
    filter: &Selector,
    most: usize,
) -> Vec<ChannelName> {
    names.retain(|name| {
        after.is_none_or(|after| name.as_str() > after.as_str()) && filter.matches(name)
    });
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    names.truncate(most);
    names
}
