//! What the publishers know: what was acknowledged to them, and what was left without an answer.

use std::collections::{HashMap, HashSet};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::durable::payloads::{Likeness, Payload, Publication};
use crate::support::event::seq;

/// How long the next acknowledgements may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The publishers' records, which they share.
#[derive(Default)]
pub struct Ledger {
    records: Mutex<Records>,
    grown: Condvar,
}

/// The records themselves.
#[derive(Default)]
pub struct Records {
    /// The id that each acknowledged event was given.
    pub acknowledged: HashMap<Likeness, String>,
    /// The ids that each publisher was given, in the order of its requests.
    pub by_publisher: HashMap<usize, Vec<String>>,
    /// What was sent and not answered, by its name: whole or absent.
    pub unanswered: HashMap<String, Vec<Likeness>>,
    answers: u64,
}

impl Ledger {
    /// A publication is about to be sent, perhaps again.
    pub fn send(&self, publication: &Publication) {
        let likenesses = publication.payloads.iter().map(Payload::likeness);
        let name = publication.name.clone();
        self.records().unanswered.insert(name, likenesses.collect());
    }

    /// A publication was acknowledged.
    pub fn acknowledge(&self, publisher: usize, publication: &Publication, ids: Vec<String>) {
        let mut records = self.records();
        for (payload, id) in publication.payloads.iter().zip(&ids) {
            let known = records.acknowledged.insert(payload.likeness(), id.clone());
            assert_eq!(known, None, "{} is acknowledged twice", payload.name);
        }
        records
            .by_publisher
            .entry(publisher)
            .or_default()
            .extend(ids);
        records.unanswered.remove(&publication.name);
        records.answers += 1;
        drop(records);
        self.grown.notify_all();
    }

    /// Waits until so many more publications were acknowledged.
    pub fn wait_for_more(&self, count: u64) {
        let records = self.records();
        let goal = records.answers + count;
        let (records, _) = self
            .grown
            .wait_timeout_while(records, PATIENCE, |records| records.answers < goal)
            .expect("nobody panicked with it");
        assert!(records.answers >= goal, "the publishers make no progress");
    }

    /// The records, while nobody publishes.
    pub fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().expect("nobody panicked with it")
    }
}

impl Records {
    /// All that may be in the journal without having been acknowledged.
    pub fn open(&self) -> HashSet<&Likeness> {
        self.unanswered.values().flatten().collect()
    }

    /// Fails the test unless every publisher was given higher ids for later requests.
    pub fn assert_in_order(&self) {
        for (publisher, ids) in &self.by_publisher {
            for pair in ids.windows(2) {
                assert!(seq(&pair[0]) < seq(&pair[1]), "p{publisher}: {pair:?}");
            }
        }
    }
}
