//! A subscriber that comes back with its cursor, on whichever way, to whichever server there is.

use super::whereabouts::Whereabouts;
use crate::durable::dice::Dice;
use crate::durable::history::{Sighting, assert_in_order, selects};
use crate::support::{Event, Listener, Told, Way};

/// The channel on which the one event comes that ends every subscription.
pub const END: &str = "end";
/// How often a subscriber may find no server where one was announced; by far more than there are rounds.
const MOST_FAILURES: usize = 10_000;

/// A subscriber before it has begun.
pub struct Follower {
    way: Way,
    selectors: &'static str,
}

/// All that one subscriber was told.
#[derive(Clone)]
pub struct Account {
    /// What it subscribed to.
    pub selectors: &'static str,
    /// The ways it took, in their order.
    pub ways: Vec<Way>,
    /// What it was told, in order, without the end.
    pub sightings: Vec<Sighting>,
}

impl Follower {
    /// One who begins by `way`.
    pub fn new(way: Way, selectors: &'static str) -> Self {
        Follower { way, selectors }
    }

    /// Follows from the earliest event to the end, over every server between.
    pub fn follow(self, mut dice: Dice, whereabouts: &Whereabouts) -> Account {
        let mut account = Account {
            selectors: self.selectors,
            ways: vec![self.way],
            sightings: Vec::new(),
        };
        let Some(mut listener) = self.begin(whereabouts) else {
            return account;
        };
        loop {
            let stays = match listener.next() {
                Told::Event(event) if event.channel == END => return account,
                Told::Event(event) => {
                    account.sightings.push(Sighting::Event(event));
                    !dice.once_in(100)
                }
                Told::Gap(gap) => {
                    account.sightings.push(Sighting::Gap(gap));
                    true
                }
                Told::Bye(_) | Told::Cursor(_) => true,
                Told::End(_) => false,
            };
            if stays {
                continue;
            }
            let way = if dice.once_in(2) {
                self.way
            } else {
                dice.pick(&Way::ALL)
            };
            account.ways.push(way);
            let Some(next) = self.come_back(listener, way, whereabouts) else {
                return account;
            };
            listener = next;
        }
    }

    /// `None` when the test is over.
    fn begin(&self, whereabouts: &Whereabouts) -> Option<Listener> {
        let target = format!("/{}?after=earliest", self.selectors);
        for _ in 0..MOST_FAILURES {
            let listener = Listener::try_open(self.way, whereabouts.now()?, &target);
            if listener.is_some() {
                return listener;
            }
        }
        panic!("no server stayed long enough");
    }

    /// `None` when the test is over.
    fn come_back(
        &self,
        mut listener: Listener,
        way: Way,
        whereabouts: &Whereabouts,
    ) -> Option<Listener> {
        // A poll without an answer has no cursor yet.
        if listener.cursor().is_empty() {
            return self.begin(whereabouts);
        }
        for _ in 0..MOST_FAILURES {
            let address = whereabouts.now()?;
            if listener.try_reconnect(address, way).is_some() {
                return Some(listener);
            }
        }
        panic!("no server stayed long enough");
    }
}

impl Account {
    /// The events it saw.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.sightings.iter().filter_map(|sighting| match sighting {
            Sighting::Event(event) => Some(event),
            Sighting::Gap(_) => None,
        })
    }

    /// Fails the test unless it saw exactly what the journal has for it, and was told no gap.
    pub fn must_equal(&self, journal: &[Event]) {
        let (selectors, ways) = (self.selectors, &self.ways);
        let gap = self
            .sightings
            .iter()
            .find(|s| matches!(s, Sighting::Gap(_)));
        assert!(
            gap.is_none(),
            "nothing was lost to {selectors}, and yet {gap:?}"
        );
        assert_in_order(self.events());
        let due = journal.iter().filter(|event| event.channel != END);
        let due: Vec<&Event> = due.filter(|e| selects(selectors, &e.channel)).collect();
        let seen: Vec<&Event> = self.events().collect();
        for (seen, due) in seen.iter().zip(&due) {
            assert_eq!(seen.json, due.json, "{selectors} by {ways:?}");
        }
        assert_eq!(seen.len(), due.len(), "{selectors} by {ways:?}");
    }
}
