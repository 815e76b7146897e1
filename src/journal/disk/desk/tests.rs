//! The desk alone, without the writer: what becomes of the files when something fails half-way.

use std::fs;
use std::path::PathBuf;

use super::{Desk, Work};
use crate::journal::clock::Moment;
use crate::journal::disk::DiskJournal;
use crate::journal::disk::error::Fault;
use crate::journal::disk::store::Durability;
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
        let work = vec![Work::Append(draft("a", "x").into())];
        let committed = self
            .desk
            .commit(work, Durability::Synced, false, Moment::now())?;
        assert!(committed.answers.iter().all(Result::is_ok));
        self.desk
            .take_effect(committed.change, committed.swept, || {});
        Ok(())
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
