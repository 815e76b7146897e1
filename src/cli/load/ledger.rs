//! Who got what: the events that came, those that came twice, and those that came out of their order.

use std::collections::{HashMap, VecDeque};
use std::ops::{AddAssign, Range};

/// Gaps remembered for one subscriber and publisher. Of more, the oldest is forgotten: what comes late
/// for it counts as a duplicate, and its events as lost.
const GAPS: usize = 64;

/// What a thread's subscribers got of each publisher.
#[derive(Debug)]
pub(in crate::cli) struct Ledger {
    publishers: usize,
    /// The number due next, for each publisher of each subscriber.
    due: Vec<u32>,
    /// What was passed over, by index into `due`; nothing, as long as all is well.
    missing: HashMap<usize, VecDeque<Range<u32>>>,
    tally: Tally,
}

/// What all came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::cli) struct Tally {
    /// Events that came, each counted once for each subscriber.
    pub(in crate::cli) deliveries: u64,
    /// Events that came again.
    pub(in crate::cli) duplicates: u64,
    /// Events that came after one with a higher number.
    pub(in crate::cli) out_of_order: u64,
}

/// What an event was to its subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Entry {
    /// The one that was due.
    Due,
    /// A later one: those between are missing so far.
    Early,
    /// One that was missing.
    Late,
    /// One that had come before.
    Duplicate,
}

impl Ledger {
    /// An empty ledger for so many subscribers of so many publishers each.
    pub(in crate::cli) fn new(subscribers: usize, publishers: usize) -> Self {
        Ledger {
            publishers,
            due: vec![0; subscribers.saturating_mul(publishers)],
            missing: HashMap::new(),
            tally: Tally::default(),
        }
    }

    /// Enters that a subscriber got an event. `None`: there is no such publisher.
    pub(in crate::cli) fn enter(
        &mut self,
        subscriber: usize,
        publisher: usize,
        number: u32,
    ) -> Option<Entry> {
        if publisher >= self.publishers {
            return None;
        }
        let index = subscriber * self.publishers + publisher;
        let due = self.due.get_mut(index)?;
        let entry = if number < *due {
            self.of_the_past(index, number)
        } else {
            let missed = *due..number;
            *due = number.saturating_add(1);
            self.of_the_future(index, missed)
        };
        match entry {
            Entry::Due | Entry::Early => self.tally.deliveries += 1,
            Entry::Late => {
                self.tally.deliveries += 1;
                self.tally.out_of_order += 1;
            }
            Entry::Duplicate => self.tally.duplicates += 1,
        }
        Some(entry)
    }

    /// What all came to so far.
    pub(in crate::cli) fn tally(&self) -> Tally {
        self.tally
    }

    fn of_the_future(&mut self, index: usize, missed: Range<u32>) -> Entry {
        if missed.is_empty() {
            return Entry::Due;
        }
        let gaps = self.missing.entry(index).or_default();
        if gaps.len() >= GAPS {
            gaps.pop_front();
        }
        gaps.push_back(missed);
        Entry::Early
    }

    fn of_the_past(&mut self, index: usize, number: u32) -> Entry {
        let Some(gaps) = self.missing.get_mut(&index) else {
            return Entry::Duplicate;
        };
        let Some(at) = gaps.iter().position(|gap| gap.contains(&number)) else {
            return Entry::Duplicate;
        };
        let Some(gap) = gaps.remove(at) else {
            return Entry::Duplicate;
        };
        // The upper part first: the lower one then comes to stand before it.
        for part in [number.saturating_add(1)..gap.end, gap.start..number] {
            if !part.is_empty() {
                gaps.insert(at, part);
            }
        }
        Entry::Late
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.deliveries += other.deliveries;
        self.duplicates += other.duplicates;
        self.out_of_order += other.out_of_order;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally_of(numbers: &[u32]) -> Tally {
        let mut ledger = Ledger::new(1, 1);
        for number in numbers {
            ledger.enter(0, 0, *number);
        }
        ledger.tally()
    }

    fn tally(deliveries: u64, duplicates: u64, out_of_order: u64) -> Tally {
        Tally {
            deliveries,
            duplicates,
            out_of_order,
        }
    }

    #[test]
    fn what_comes_once_and_in_order_is_delivered() {
        assert_eq!(tally_of(&[0, 1, 2, 3]), tally(4, 0, 0));
    }

    #[test]
    fn what_is_passed_over_is_not_delivered() {
        assert_eq!(tally_of(&[1, 2, 5]), tally(3, 0, 0));
    }

    #[test]
    fn what_comes_again_is_a_duplicate() {
        assert_eq!(tally_of(&[0, 0, 1, 2, 1]), tally(3, 2, 0));
    }

    #[test]
    fn what_comes_late_is_delivered_out_of_order_and_late_again_a_duplicate() {
        assert_eq!(tally_of(&[0, 2, 1]), tally(3, 0, 1));
        assert_eq!(tally_of(&[4, 2, 0, 1, 3]), tally(5, 0, 4));
        assert_eq!(tally_of(&[4, 2, 2]), tally(2, 1, 1));
    }

    #[test]
    fn an_event_is_told_from_one_that_was_due() {
        let mut ledger = Ledger::new(1, 1);
        let entries = [0, 2, 1, 2].map(|number| ledger.enter(0, 0, number));
        let expected = [Entry::Due, Entry::Early, Entry::Late, Entry::Duplicate];
        assert_eq!(entries, expected.map(Some));
    }

    #[test]
    fn subscribers_and_publishers_are_kept_apart() {
        let mut ledger = Ledger::new(2, 2);
        for (subscriber, publisher) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let entry = ledger.enter(subscriber, publisher, 0);
            assert_eq!(entry, Some(Entry::Due));
        }
        assert_eq!(ledger.tally(), tally(4, 0, 0));
    }

    #[test]
    fn a_publisher_that_does_not_exist_is_not_taken_for_another() {
        let mut ledger = Ledger::new(2, 1);
        assert_eq!(ledger.enter(0, 1, 0), None);
        assert_eq!(ledger.enter(2, 0, 0), None);
        assert_eq!(ledger.tally(), tally(0, 0, 0));
    }

    #[test]
    fn gaps_without_end_are_forgotten_not_kept() {
        let every_other: Vec<u32> = (0..10_000).map(|n| n * 2 + 1).collect();
        let mut ledger = Ledger::new(1, 1);
        for number in &every_other {
            ledger.enter(0, 0, *number);
        }
        assert_eq!(ledger.missing.get(&0).map(VecDeque::len), Some(GAPS));
        assert_eq!(ledger.enter(0, 0, 0), Some(Entry::Duplicate));
        assert_eq!(ledger.enter(0, 0, 19_998), Some(Entry::Late));
    }
}
