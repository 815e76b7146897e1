//! Rows that are gone go, and space is given back.

use std::fs;

use super::{count, fixture_with, kill, raw};
use crate::config::{Config, Sync};
use crate::journal::disk::sweep::{self, Given};
use crate::journal::tests::fixture::{Fixture, draft, eventually, keep};
use crate::journal::{Draft, Start};

/// Commits that wait for nothing, and no bound on what a channel holds.
fn unsynced(config: &mut Config) {
    let mut all = keep("**", usize::MAX);
    all.max_bytes = usize::MAX;
    config.channels = vec![all];
    config.journal.sync = Sync::Never;
}

fn rows(fixture: &Fixture) -> u64 {
    count(&raw(fixture), "SELECT count(*) FROM events")
}

fn publish_many(fixture: &Fixture, batches: usize, of: usize, channel: &str, bytes: usize) {
    for _ in 0..batches {
        let drafts: Vec<Draft> = (0..of)
            .map(|_| draft(channel, &"x".repeat(bytes)))
            .collect();
        fixture.append(drafts).unwrap();
    }
}

#[test]
fn rows_that_retention_took_go_without_being_asked() {
    let fixture = fixture_with(|config| {
        unsynced(config);
        config.channels = vec![keep("a", 5)];
    });
    publish_many(&fixture, 4, 500, "a", 1);
    eventually("the rows go", || rows(&fixture) == 5);
    assert_eq!(count(&raw(&fixture), "SELECT count(*) FROM channels"), 1);
    assert_eq!(
        fixture
            .read(&fixture.begin("a", Start::Earliest))
            .events
            .len(),
        5
    );
}

#[test]
fn rows_of_a_deleted_and_of_a_dropped_channel_go_and_the_record_with_the_last() {
    let fixture = fixture_with(|config| {
        unsynced(config);
        config.limits.channels = 1;
    });
    publish_many(&fixture, 3, 500, "a", 1);
    assert!(fixture.forget("a"));
    fixture.publish("b");
    eventually("the rows go", || rows(&fixture) == 1);
    let channels = "SELECT count(*) FROM channels";
    eventually("the record goes", || count(&raw(&fixture), channels) == 1);
}

#[test]
fn rows_that_did_not_go_before_a_restart_go_after_it() {
    let mut fixture = fixture_with(unsynced);
    publish_many(&fixture, 8, 500, "a", 1);
    publish_many(&fixture, 1, 1, "b", 1);
    assert!(fixture.forget("a"));
    kill(&mut fixture);
    eventually("the rows go", || rows(&fixture) == 1);
    assert_eq!(fixture.seqs_from("b", Start::Earliest), [4_001]);
}

#[test]
fn space_is_given_back_when_a_large_channel_is_deleted() {
    let fixture = fixture_with(unsynced);
    // A third more than is waited for: the log keeps up to 4 MB for a checkpoint that is worth it.
    publish_many(&fixture, 24, 100, "a", 8_000);
    fixture.publish("b");
    let file = fixture.config.journal.path.join("journal.db");
    let size = || fs::metadata(&file).unwrap().len();
    let large = 12_000_000;
    eventually("it is in the database", || size() > large);
    assert!(fixture.forget("a"));
    eventually("the file shrinks", || {
        fixture.journal.retain();
        size() < large / 2
    });
    assert_eq!(fixture.seqs_from("b", Start::Earliest), [2_401]);
}

#[test]
fn space_that_cannot_be_given_back_is_not_asked_for_again_and_again() {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    let sql = "CREATE TABLE t (x BLOB); INSERT INTO t VALUES (zeroblob(12000000)); DROP TABLE t;";
    connection.execute_batch(sql).unwrap();
    assert!(
        count(
            &connection,
            "SELECT freelist_count FROM pragma_freelist_count"
        ) > 2_000
    );
    let given = sweep::give_space_back(&connection).unwrap();
    assert_eq!(given, Given::Nothing);
}

#[test]
fn more_events_than_one_transaction_takes_outlive_themselves_and_go() {
    let fixture = fixture_with(unsynced);
    for _ in 0..6 {
        let mortal = || draft("a", "x").with_ttl(std::time::Duration::from_millis(1));
        fixture
            .append((0..500).map(|_| mortal()).collect())
            .unwrap();
    }
    fixture.publish("a");
    eventually("their time is over", || {
        fixture.read(&fixture.after("a", 0)).events.len() == 1
    });
    // Asked once: what is left is nobody's to ask for.
    fixture.journal.retain();
    eventually("they all go", || rows(&fixture) == 1);
    eventually("none is counted any more", || {
        count(&raw(&fixture), "SELECT events FROM channels") == 1
    });
    assert_eq!(count(&raw(&fixture), "SELECT bytes FROM channels"), 193);
}

#[test]
fn a_bound_that_was_lowered_is_reached_without_being_asked() {
    let mut fixture = fixture_with(unsynced);
    publish_many(&fixture, 8, 3_000, "a", 1);
    fixture.restart_after(|config| config.channels = vec![keep("**", 10)]);
    fixture.publish("a");
    eventually("only what the rule keeps is there", || {
        fixture
            .read(&fixture.begin("a", Start::Earliest))
            .events
            .len()
            == 10
    });
    eventually("the rows go", || rows(&fixture) == 10);
}
