//! What a journal on disk has to show beside the cases of every journal: that it goes on where it ended, and what it
//! does when its disk fails.

mod at_once;
mod failing;
mod lives;
mod matching;
mod outliving;
pub(super) mod plans;
mod restarting;
mod salvaging;
mod sweeping;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, TransactionBehavior};

use super::DiskJournal;
use crate::config::{Config, Sync};
use crate::hub::random;
use crate::journal::tests::fixture::{Fixture, Open};
use crate::journal::tests::model;

/// Each opening begins a life of its own.
const OPEN: Open = |config, sink| {
    let opening = DiskJournal::open(config, random()).unwrap();
    Arc::new(opening.start(sink).unwrap())
};

#[test]
fn any_steps_and_restarts_end_where_the_model_ends() {
    model::any_steps_and_restarts_end_where_the_model_ends(|config, sink| {
        let mut config = config.clone();
        config.journal.sync = Sync::Never;
        OPEN(&config, sink)
    });
}

fn fixture() -> Fixture {
    Fixture::open(OPEN)
}

fn fixture_with(change: impl FnOnce(&mut Config)) -> Fixture {
    Fixture::with(OPEN, change)
}

/// Another connection to the database of a fixture.
fn raw(fixture: &Fixture) -> Connection {
    Connection::open(fixture.config.journal.path.join("journal.db")).unwrap()
}

fn count(connection: &Connection, sql: &str) -> u64 {
    let count: i64 = connection.query_row(sql, (), |row| row.get(0)).unwrap();
    count.try_into().unwrap()
}

/// Goes on with the files as they are at this moment, as after a SIGKILL.
fn kill(fixture: &mut Fixture) {
    let copy = fixture
        .scratch
        .path
        .join(format!("killed-{}", fixture.journal.head()));
    {
        // Nobody commits meanwhile; a checkpoint may, but the log is copied first.
        let mut held = raw(fixture);
        let _held = held
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .unwrap();
        copy_files(&fixture.config.journal.path, &copy);
    }
    fixture.restart_after(|config| config.journal.path = copy);
}

/// Copies the database and its log.
fn copy_files(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).unwrap();
    for name in ["journal.db-wal", "journal.db"] {
        if from.join(name).exists() {
            fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
}
