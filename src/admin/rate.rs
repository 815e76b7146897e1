//! How often events come in each channel, from the newest ones that are at hand; nothing is kept for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::hub::channel::ChannelName;
use crate::hub::tail::Entry;

/// The events of the last minute, counted.
#[derive(Debug)]
pub(super) struct Rates {
    counts: HashMap<ChannelName, u64>,
    /// How long they took to come.
    span: Duration,
}

impl Rates {
    /// How far it looks back at most.
    const WINDOW: u64 = 60_000;
    /// Event times are whole milliseconds: less would make a rate of a rounding.
    const LEAST: u64 = 10;

    /// Counts `entries`, which are all events since `since`, at `now`; both in milliseconds since 1970.
    pub(super) fn count(entries: &[Arc<Entry>], since: u64, now: u64) -> Self {
        let since = since.max(now.saturating_sub(Self::WINDOW));
        let recent = entries.iter().map(|entry| entry.event());
        let mut counts = HashMap::new();
        for event in recent.rev().take_while(|event| event.time > since) {
            *counts.entry(event.channel.name().clone()).or_default() += 1;
        }
        let span = now.saturating_sub(since).max(Self::LEAST);
        Rates {
            counts,
            span: Duration::from_millis(span),
        }
    }

    /// Events a second in this channel, to a thousandth.
    pub(super) fn of(&self, channel: &ChannelName) -> f64 {
        let count = self.counts.get(channel).copied().unwrap_or_default();
        let rate = count as f64 / self.span.as_secs_f64();
        (rate * 1000.0).round() / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Data, Epoch, Event, EventType, Id};
    use crate::hub::channel::Channel;

    const NOW: u64 = 1_795_363_629_000;

    /// An event in a channel that came so many milliseconds ago.
    fn entry(name: &str, ago: u64) -> Arc<Entry> {
        let id = Id {
            epoch: Epoch::from_random(0),
            seq: 1,
        };
        Arc::new(Entry::new(Arc::new(Event {
            id,
            channel: Arc::new(Channel::new(name.parse().unwrap())),
            kind: EventType::message(),
            time: NOW - ago,
            expires: None,
            content_type: None,
            data: Data::Text("x".into()),
        })))
    }

    fn rate(entries: &[Arc<Entry>], reach: u64, name: &str) -> f64 {
        Rates::count(entries, NOW - reach, NOW).of(&name.parse().unwrap())
    }

    #[test]
    fn what_came_in_the_last_minute_counts_and_each_channel_by_itself() {
        let entries = [
            entry("a", 61_000),
            entry("a", 59_000),
            entry("b", 40_000),
            entry("a", 10),
        ];
        assert_eq!(rate(&entries, 500_000, "a"), 0.033);
        assert_eq!(rate(&entries, 500_000, "b"), 0.017);
        assert_eq!(rate(&entries, 500_000, "c"), 0.0);
    }

    #[test]
    fn where_less_than_a_minute_is_at_hand_it_is_over_that() {
        let entries: Vec<_> = (0..100).rev().map(|at| entry("a", at * 100)).collect();
        assert_eq!(rate(&entries, 10_000, "a"), 10.0);
        let flood: Vec<_> = (0..10_000).rev().map(|at| entry("a", at / 100)).collect();
        assert_eq!(rate(&flood, 100, "a"), 100_000.0);
    }

    #[test]
    fn a_single_moment_is_not_shorter_than_a_clock_can_tell_even_one_that_went_back() {
        let burst: Vec<_> = (0..50).map(|_| entry("a", 0)).collect();
        assert_eq!(rate(&burst, 2, "a"), 5_000.0);
        let early = Rates::count(&burst, NOW - 2, NOW - 30_000);
        assert_eq!(early.of(&"a".parse().unwrap()), 5_000.0);
    }
}
