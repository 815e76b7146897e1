//! Lives: which cursors are known after the journal ended and began again.

use std::fs;
use std::time::Duration;

use rusqlite::Connection;

use super::{copy_files, fixture, kill};
use crate::event::{Cursor, Epoch};
use crate::journal::disk::rows::{self, Life};
use crate::journal::disk::store::{Durability, Store};
use crate::journal::disk::{DiskJournal, OpenError};
use crate::journal::tests::fixture::{Fixture, Scratch, draft, seqs, told};
use crate::journal::{GapReason, Start};

type End = fn(&mut Fixture);

const CLOSED: End = Fixture::restart;
const KILLED: End = kill;

fn gap_after(fixture: &Fixture, cursor: Cursor) -> Option<GapReason> {
    fixture.begin("**", Start::After(cursor)).gap
}

#[test]
fn a_cursor_of_an_earlier_life_is_known_up_to_its_end_and_not_beyond() {
    for end in [CLOSED, KILLED] {
        let mut fixture = fixture();
        fixture.publish_times(3, "a");
        let cursors = [1, 3, 4].map(|seq| fixture.cursor(seq));
        end(&mut fixture);
        fixture.publish_times(2, "a");
        end(&mut fixture);
        let gaps = cursors.map(|cursor| gap_after(&fixture, cursor));
        assert_eq!(gaps, [None, None, Some(GapReason::Epoch)]);
        let page = fixture.read(&fixture.begin("a", Start::After(cursors[1])));
        assert_eq!((seqs(&page.events), page.loss), (vec![4, 5], None));
    }
}

#[test]
fn an_event_keeps_its_id_and_numbers_go_on() {
    for end in [CLOSED, KILLED] {
        let mut fixture = fixture();
        for _ in 0..3 {
            fixture.publish_all(&["a", "b"]);
            end(&mut fixture);
        }
        let page = fixture.read(&fixture.after("a,b", 0));
        assert_eq!(fixture.heard.seqs(), [1, 2, 3, 4, 5, 6]);
        assert_eq!(told(&page.events), told(&fixture.heard.events()));
    }
}

#[test]
fn what_was_only_heard_keeps_its_number_too() {
    let mut fixture = fixture();
    let heard = || draft("a", "x").with_ttl(Duration::ZERO);
    fixture.publish_draft(heard());
    fixture.publish_draft(heard());
    let last = fixture.cursor(2);
    kill(&mut fixture);
    assert_eq!(fixture.publish("a"), 3);
    assert_eq!(gap_after(&fixture, last), None);
}

#[test]
fn a_journal_that_was_wiped_knows_no_cursor() {
    let mut fixture = fixture();
    fixture.publish("a");
    let cursor = fixture.cursor(1);
    fixture.restart_after(|config| fs::remove_dir_all(&config.journal.path).unwrap());
    assert_eq!(gap_after(&fixture, cursor), Some(GapReason::Epoch));
    assert_eq!(fixture.publish("a"), 1);
    assert_eq!(gap_after(&fixture, cursor), Some(GapReason::Epoch));
}

#[test]
fn an_older_copy_knows_what_it_had_and_nothing_that_came_later() {
    let mut fixture = fixture();
    fixture.publish_times(3, "a");
    let had = fixture.cursor(3);
    let backup = fixture.scratch.path.join("backup");
    fixture.restart_after(|config| copy_files(&config.journal.path, &backup));
    fixture.publish_times(2, "a");
    let later = [3, 4, 5].map(|seq| fixture.cursor(seq));
    fixture.restart_after(|config| copy_files(&backup, &config.journal.path));
    assert_eq!(gap_after(&fixture, had), None);
    for _ in 0..2 {
        for cursor in later {
            assert_eq!(
                gap_after(&fixture, cursor),
                Some(GapReason::Epoch),
                "{cursor:?}"
            );
        }
        // Those numbers are given again, in another life.
        fixture.publish_times(2, "a");
    }
}

#[test]
fn a_second_one_on_the_same_directory_is_refused_while_the_first_lives() {
    let mut fixture = fixture();
    fixture.publish("a");
    match DiskJournal::open(&fixture.config, 7).err().unwrap() {
        OpenError::Taken { directory, pid } => {
            assert_eq!(directory, fixture.config.journal.path);
            assert_eq!(pid, Some(std::process::id()));
        }
        other => panic!("{other}"),
    }
    assert_eq!(fixture.publish("a"), 2, "the first does not notice");
    fixture.restart();
    assert_eq!(fixture.publish("a"), 3);
}

#[test]
fn old_lives_are_forgotten_when_there_are_too_many_and_nothing_is_left_of_them() {
    let scratch = Scratch::new();
    let mut store = Store::open(&scratch.path.join("journal.db")).unwrap();
    let count = |connection: &Connection| -> i64 {
        let sql = "SELECT count(*) FROM lives";
        connection.query_row(sql, (), |row| row.get(0)).unwrap()
    };
    let life = |number| Life {
        number,
        epoch: Epoch::from_random(number.unsigned_abs()),
        ..Life::NONE
    };
    store
        .transact(Durability::Written, |connection| {
            (1..=10_007).try_for_each(|number| life(number).put(connection))?;
            rows::prune_lives(connection)
        })
        .unwrap();
    assert_eq!(count(store.connection()), 10_000);
    let newest = Life::all(store.connection()).unwrap();
    assert_eq!(newest.last().unwrap().number, 10_007);
}
