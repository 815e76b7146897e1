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
/// `names` gives all that there are; the one channel that `filter` is may be none of them.
pub(super) fn next(
    names: impl FnOnce() -> Vec<ChannelName>,
    after: Option<&ChannelName>,
    filter: &Selector,
    most: usize,
) -> Vec<ChannelName> {
    let mut names = match filter {
        Selector::Channel(name) => vec![name.clone()],
        Selector::Pattern(_) => names(),
    };
    names.retain(|name| after.is_none_or(|after| name > after) && filter.matches(name));
    // A page is few of very many, so only its names are sorted.
    if names.len() > most {
        names.select_nth_unstable(most);
        names.truncate(most);
    }
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_put_together_are_all_names_in_order_whatever_their_size() {
        let name = |number: usize| -> ChannelName { format!("a/{number:0>3}").parse().unwrap() };
        let all: Vec<_> = (0..100).map(name).collect();
        let in_no_order = || (0..100).map(|at| all[at * 37 % 100].clone()).collect();
        for most in [1, 7, 99, 100, 101] {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = next(in_no_order, after.as_ref(), &Selector::everything(), most);
                let Some(last) = page.last() else { break };
                assert!(page.len() <= most);
                after = Some(last.clone());
                seen.extend(page);
            }
            assert_eq!(seen, all, "{most} at once");
        }
    }

    #[test]
    fn a_single_channel_is_looked_for_without_the_names_of_all() {
        let filter = "a/1".parse().unwrap();
        let all = || panic!("all names");
        assert_eq!(next(all, None, &filter, 5), ["a/1".parse().unwrap()]);
        let after = "a/1".parse().unwrap();
        assert_eq!(next(all, Some(&after), &filter, 5), []);
    }
}
