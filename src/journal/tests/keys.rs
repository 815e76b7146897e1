//! Idempotency keys: a publisher may repeat itself without harm.

use std::thread;
use std::time::Duration;

use super::fixture::{Fixture, Open, draft, eventually, keyed};
use crate::journal::{AppendError, Batch};

pub fn a_repetition_gets_the_first_receipts_and_delivers_nothing(open: Open) {
    let fixture = Fixture::open(open);
    let first = fixture.append_with_key("s", "k", "1").unwrap();
    assert!(!first.repeated);
    fixture.publish("a");
    let again = fixture.append_with_key("s", "k", "1").unwrap();
    assert!(again.repeated);
    assert_eq!(again.receipts, first.receipts);
    assert_eq!(fixture.heard.seqs(), [1, 2, 3]);
    assert_eq!(fixture.journal.head(), 3);
}

pub fn another_payload_under_the_same_key_is_refused(open: Open) {
    let fixture = Fixture::open(open);
    fixture.append_with_key("s", "k", "1").unwrap();
    let refused = fixture.append_with_key("s", "k", "2").unwrap_err();
    assert_eq!(refused, AppendError::KeyReused);
    assert_eq!(fixture.heard.seqs(), [1, 2]);
    assert!(fixture.append_with_key("s", "k", "1").unwrap().repeated);
}

pub fn a_key_is_valid_in_its_scope_only(open: Open) {
    let fixture = Fixture::open(open);
    for (scope, key) in [("s", "k"), ("t", "k"), ("s", "l"), ("sk", "k"), ("", "sk")] {
        let appended = fixture.append_with_key(scope, key, "1").unwrap();
        assert!(!appended.repeated, "{scope} {key}");
    }
}

pub fn a_key_is_forgotten_after_its_time(open: Open) {
    let fixture = Fixture::with(open, |config| {
        config.journal.idempotency = Duration::from_millis(20);
    });
    fixture.append_with_key("s", "k", "1").unwrap();
    eventually("the key is free again", || {
        fixture.journal.retain();
        fixture.append_with_key("s", "k", "2").is_ok()
    });
    assert_eq!(fixture.journal.head(), 4);
}

pub fn the_oldest_key_is_forgotten_beyond_the_capacity(open: Open) {
    // A key counts once for each event under it, of which there are two here.
    let fixture = Fixture::with(open, |config| config.limits.idempotency_keys = 4);
    for key in ["1", "2", "3"] {
        fixture.append_with_key("s", key, "x").unwrap();
    }
    for (key, repeated) in [("3", true), ("2", true), ("1", false)] {
        let appended = fixture.append_with_key("s", key, "x").unwrap();
        assert_eq!(appended.repeated, repeated, "{key}");
    }
}

pub fn a_refused_batch_does_not_use_its_key(open: Open) {
    let fixture = Fixture::with(open, |config| config.limits.channels = 2);
    fixture.publish("other");
    let refused = fixture.append_with_key("s", "k", "1").unwrap_err();
    assert_eq!(refused, AppendError::TooManyChannels);
    let batch = Batch {
        drafts: vec![draft("other", "2")],
        ..keyed("s", "k", "2")
    };
    assert!(!fixture.journal.append(batch).unwrap().repeated);
}

pub fn one_key_at_once_from_many_threads_is_kept_once(open: Open) {
    let fixture = Fixture::open(open);
    let attempts: Vec<_> = thread::scope(|scope| {
        let publish = || fixture.append_with_key("s", "k", "1").unwrap();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(publish)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(fixture.journal.head(), 2);
    assert_eq!(attempts.iter().filter(|a| !a.repeated).count(), 1);
    assert!(attempts.windows(2).all(|w| w[0].receipts == w[1].receipts));
}
