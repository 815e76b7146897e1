//! The desk alone, without the writer: what becomes of the files when something fails half-way.

use std::fs;
use std::path::PathBuf;

use rusqlite::Connection;

use super::{Desk, TOO_LONG, Work};
use crate::journal::Batch;
use crate::journal::clock::Moment;
use crate::journal::disk::DiskJournal;
use crate::journal::disk::error::Fault;
use crate::journal::disk::store::{self, Durability};
use crate::journal::tests::fixture::{Scratch, draft};

struct Stage {
    desk: Desk,
    scratch: Scratch,
}

impl Stage {
    fn new() -> Self {
        Self::of_epoch(1)
    }

    fn of_epoch(random: u64) -> Self {
        let scratch = Scratch::new();
        let desk = DiskJournal::open(&scratch.config(), random).unwrap().desk;
        Stage { desk, scratch }
    }

    fn publish(&mut self) -> Result<(), Fault> {
        self.commit(Work::Append(draft("a", "x").into()))
    }

    fn commit(&mut self, work: Work) -> Result<(), Fault> {
        let committed = self
            .desk
            .commit(vec![work], Durability::Written, false, Moment::now())?;
        assert!(committed.answers.iter().all(Result::is_ok));
        self.desk
            .take_effect(committed.change, committed.swept, || {});
        Ok(())
    }

    fn tidy_up(&mut self) {
        while self.desk.is_untidy() {
            self.desk.tidy().unwrap();
        }
    }

    fn head(&self) -> u64 {
        self.desk.shared.catalogue().head
    }

    fn database(&self) -> PathBuf {
        self.desk.directory.database()
    }

    /// Closes the database, as before another one takes its place.
    fn close(&mut self) {
        self.desk.readers.close_all().unwrap();
        self.desk.store = None;
    }
}

#[test]
fn no_new_journal_is_begun_where_the_one_of_this_life_is_gone() {
    let mut stage = Stage::new();
    stage.publish().unwrap();
    stage.close();
    let aside = stage.scratch.path.join("aside");
    fs::rename(stage.database(), &aside).unwrap();
    stage.publish().unwrap_err();
    stage.desk.tidy().unwrap_err();
    assert!(!stage.database().exists());
    // Nor is that of another life taken for it.
    let mut other = Stage::of_epoch(2);
    other.close();
    fs::copy(other.database(), stage.database()).unwrap();
    stage.publish().unwrap_err();
    stage.desk.tidy().unwrap_err();
    assert_eq!(stage.head(), 1);
    fs::rename(&aside, stage.database()).unwrap();
    stage.publish().unwrap();
    assert_eq!(stage.head(), 2);
}

#[test]
fn what_was_salvaged_takes_its_place_as_soon_as_it_can() {
    let mut stage = Stage::new();
    stage.publish().unwrap();
    stage.close();
    // A crash of the disk between the two names of a replacement.
    fs::rename(stage.database(), stage.desk.directory.unfinished()).unwrap();
    stage.publish().unwrap();
    assert_eq!(stage.head(), 2);
    assert!(!stage.desk.directory.unfinished().exists());
}

/// Somebody who reads for long.
fn reader(stage: &Stage) -> Connection {
    let reader = Connection::open(stage.database()).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM events").unwrap();
    reader
}

#[test]
fn the_log_waits_for_whoever_reads_long_and_publishers_do_not() {
    let mut stage = Stage::new();
    stage.publish().unwrap();
    stage.desk.too_long = 1;
    let reader = reader(&stage);
    stage.publish().unwrap();
    stage.desk.shorten_log().unwrap();
    assert!(stage.desk.too_long > 1, "it is not tried again at once");
    drop(reader);
    stage.desk.too_long = 1;
    stage.desk.shorten_log().unwrap();
    assert_eq!(stage.desk.too_long, TOO_LONG);
}

#[test]
fn nothing_is_acknowledged_behind_a_part_of_the_log_that_may_not_be_on_the_disk() {
    let mut stage = Stage::new();
    stage.publish().unwrap();
    stage.desk.shared.doubt_log();
    let reader = reader(&stage);
    stage.publish().unwrap_err();
    drop(reader);
    stage.publish().unwrap();
    let log = store::log(stage.desk.store().unwrap().connection()).unwrap();
    assert!(
        log.in_database < log.pages && log.pages < 10,
        "it began anew: {log:?}"
    );
    assert_eq!(stage.head(), 2);
}

#[test]
fn what_was_written_is_made_safe_on_a_disk_without_room() {
    let mut stage = Stage::new();
    stage.publish().unwrap();
    let sql = "CREATE TRIGGER full BEFORE INSERT ON lives BEGIN SELECT abs(-9223372036854775807 - 1); END";
    Connection::open(stage.database())
        .unwrap()
        .execute_batch(sql)
        .unwrap();
    stage.publish().unwrap_err();
    stage.desk.sync_log().unwrap();
}

#[test]
fn the_file_is_cut_off_when_whoever_kept_it_from_that_has_read() {
    let mut stage = Stage::new();
    for _ in 0..24 {
        let drafts = (0..100).map(|_| draft("a", &"x".repeat(8_000)));
        let drafts = drafts.collect();
        stage
            .commit(Work::Append(Batch { drafts, key: None }))
            .unwrap();
    }
    store::checkpoint(stage.desk.store().unwrap().connection()).unwrap();
    let size = |stage: &Stage| fs::metadata(stage.database()).unwrap().len();
    let large = 12_000_000;
    assert!(size(&stage) > large);
    let reader = reader(&stage);
    stage.commit(Work::Forget("a".parse().unwrap())).unwrap();
    stage.tidy_up();
    assert!(size(&stage) > large);
    drop(reader);
    stage.commit(Work::Retain).unwrap();
    stage.tidy_up();
    assert!(size(&stage) < large / 2);
}
