//! A disk on which writes fail: nothing is half done, and it goes on where it was.

use rusqlite::Connection;

use super::{count, fixture_with, raw};
use crate::journal::tests::fixture::{Fixture, draft, keep, seqs};
use crate::journal::{AppendError, Start, StoreError};

const TABLES: [&str; 5] = ["events", "channels", "lives", "keys", "whole"];

/// Lets nothing be written into these tables any more, as long as the answer is kept: the trigger's sum overflows,
/// which unlike a violated constraint is no damage.
struct Failing(Connection);

impl Failing {
    fn of(fixture: &Fixture, tables: &[&str]) -> Self {
        let connection = raw(fixture);
        for table in tables {
            let sql = format!(
                "CREATE TRIGGER no_{table} BEFORE INSERT ON {table} BEGIN SELECT abs(-9223372036854775807 - 1); END"
            );
            connection.execute_batch(&sql).unwrap();
        }
        Failing(connection)
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        for table in TABLES {
            let sql = format!("DROP TRIGGER IF EXISTS no_{table}");
            let dropped = self.0.execute_batch(&sql);
            assert!(dropped.is_ok() || std::thread::panicking());
        }
    }
}

fn small() -> Fixture {
    fixture_with(|config| {
        config.channels = vec![keep("a", 2)];
        config.limits.channels = 3;
        config.limits.idempotency_keys = 100;
    })
}

fn unavailable() -> AppendError {
    StoreError::Unavailable.into()
}

#[test]
fn a_batch_that_failed_was_never_there_whichever_write_fails() {
    for table in TABLES {
        let fixture = small();
        fixture.publish_all(&["a", "a", "b"]);
        assert!(fixture.forget("b"));
        fixture.publish("c");
        let failing = Failing::of(&fixture, &[table]);
        // It would push out an event of 'a', and drop 'b' for 'd'.
        let batch = crate::journal::Batch {
            drafts: vec![draft("a", "x"), draft("d", "x")],
            ..crate::journal::tests::fixture::keyed("s", "k", "x")
        };
        let refused = fixture.journal.append(batch.clone()).unwrap_err();
        assert_eq!(refused, unavailable(), "{table}");
        assert!(!fixture.journal.is_writable());
        assert_eq!(fixture.journal.head(), 4);
        assert_eq!(fixture.heard.seqs(), [1, 2, 3, 4]);
        let page = fixture.read(&fixture.after("a,c,d", 0));
        assert_eq!(
            (seqs(&page.events), page.loss),
            (vec![1, 2, 4], None),
            "{table}"
        );
        drop(failing);
        let appended = fixture.journal.append(batch).unwrap();
        assert!(!appended.repeated, "the key was not used");
        assert!(fixture.journal.is_writable());
        assert_eq!(fixture.heard.seqs(), [1, 2, 3, 4, 5, 6]);
        assert_eq!(fixture.seqs_from("a,b,c,d", Start::Earliest), [2, 4, 5, 6]);
        let loss = fixture.read(&fixture.after("a", 0)).loss.unwrap();
        assert_eq!(loss.channels[0].1, 1);
    }
}

#[test]
fn what_is_known_agrees_with_the_disk_after_many_failures() {
    let mut fixture = small();
    for round in 0..10 {
        fixture.publish_all(&["a", "b"]);
        let failing = Failing::of(&fixture, &[TABLES[round % 2]]);
        for _ in 0..3 {
            fixture
                .append(vec![draft("a", "xx"), draft("c", "x")])
                .unwrap_err();
        }
        drop(failing);
    }
    let before = fixture.seqs_from("**", Start::Earliest);
    let stored = "SELECT sum(events) FROM channels";
    assert_eq!(count(&raw(&fixture), stored), before.len() as u64);
    fixture.restart();
    assert_eq!(fixture.seqs_from("**", Start::Earliest), before);
    assert_eq!(fixture.publish("a"), 21);
}

#[test]
fn a_channel_is_not_forgotten_when_that_cannot_be_kept() {
    let fixture = small();
    fixture.publish_times(2, "a");
    let failing = Failing::of(&fixture, &["channels"]);
    let refused = fixture.journal.forget(&"a".parse().unwrap()).unwrap_err();
    assert_eq!(refused, unavailable());
    let page = fixture.read(&fixture.after("a", 0));
    assert_eq!((seqs(&page.events), page.loss), (vec![1, 2], None));
    drop(failing);
    assert!(fixture.forget("a"));
    assert!(fixture.read(&fixture.after("a", 0)).loss.is_some());
}

#[test]
fn a_transaction_with_nothing_to_write_does_not_say_that_it_can_be_written() {
    let fixture = small();
    let first = fixture.append_with_key("s", "k", "1").unwrap();
    let failing = Failing::of(&fixture, &["events", "lives"]);
    fixture.append(vec![draft("a", "x")]).unwrap_err();
    fixture.journal.retain();
    assert!(!fixture.journal.is_writable(), "nothing was kept yet");
    drop(failing);
    // Nobody has to publish for it: who looks at this may keep publishers away.
    fixture.journal.retain();
    assert!(fixture.journal.is_writable());
    let again = fixture.append_with_key("s", "k", "1").unwrap();
    assert_eq!(again.receipts, first.receipts);
}

#[test]
fn a_database_that_somebody_took_away_is_noticed_and_found_again() {
    let fixture = small();
    fixture.publish("a");
    let file = fixture.config.journal.path.join("journal.db");
    let aside = file.with_extension("aside");
    std::fs::rename(&file, &aside).unwrap();
    let refused = fixture.append(vec![draft("a", "x")]).unwrap_err();
    assert_eq!(refused, unavailable());
    assert!(!fixture.journal.is_writable());
    std::fs::rename(&aside, &file).unwrap();
    assert_eq!(fixture.publish("a"), 2);
    assert!(fixture.journal.is_writable());
}
