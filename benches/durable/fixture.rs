//! The journals that are measured, and the directories that they are in.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use fourcast::config::{Config, Journal as Keeping, JournalKind, Retention, Sync};
use fourcast::event::{Cursor, Epoch};
use fourcast::hub::random;
use fourcast::hub::selector::Selector;
use fourcast::journal::disk::DiskJournal;
use fourcast::journal::{Batch, Journal, Sink};
use fourcast::{ChannelName, Data, Draft, Event};
use rustix::fs::{Advice, fadvise};

/// More than any of these journals has, in number or bytes.
const PLENTY: usize = 1 << 40;
/// Events of a batch by which a journal is filled.
const BATCH: u64 = 1_000;
/// Threads that make batches while one is written.
const FILLERS: u64 = 2;

/// A directory on the disk that has the build; dropping this removes it.
pub struct Scratch(PathBuf);

impl Scratch {
    /// One for all. What an interrupted run left goes first.
    pub fn new() -> Self {
        Self::at(Path::new(env!("CARGO_TARGET_TMPDIR")).join("durable"))
    }

    /// One within it.
    pub fn within(&self, name: &str) -> Self {
        Self::at(self.0.join(name))
    }

    fn at(path: PathBuf) -> Self {
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory");
        Scratch(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A journal with the defaults, but for its kind.
pub fn config(directory: &Scratch, kind: JournalKind, sync: Sync) -> Config {
    Config {
        journal: Keeping {
            kind,
            path: directory.path().to_owned(),
            sync,
            ..Keeping::default()
        },
        ..Config::default()
    }
}

/// A journal on the disk that lets go of nothing.
pub fn config_that_keeps_all(directory: &Scratch, sync: Sync) -> Config {
    let mut config = config(directory, JournalKind::Disk, sync);
    config.journal.max_bytes = PLENTY;
    config.channels = vec![Retention {
        pattern: Selector::everything(),
        max_events: PLENTY,
        max_age: None,
        max_bytes: PLENTY,
    }];
    config
}

/// A journal on the disk, opened and started.
pub fn open(config: &Config) -> DiskJournal {
    let opening = DiskJournal::open(config, random()).expect("a journal");
    opening.start(Arc::new(Nobody)).expect("threads")
}

/// Publishes `events` of `bytes` in turn to so many channels, many at once.
pub fn fill(journal: &dyn Journal, events: u64, channels: u64, bytes: usize) {
    thread::scope(|scope| {
        for filler in 0..FILLERS {
            let batches = (0..events.div_ceil(BATCH)).filter(move |n| n % FILLERS == filler);
            scope.spawn(move || {
                for first in batches.map(|n| n * BATCH) {
                    let seqs = first..events.min(first + BATCH);
                    let drafts = seqs.map(|seq| draft(seq % channels, bytes)).collect();
                    journal
                        .append(Batch { drafts, key: None })
                        .expect("receipts");
                }
            });
        }
    });
}

/// A journal of many events on the disk that is opened again and again.
pub struct Kept {
    directory: Scratch,
    epoch: Epoch,
}

impl Kept {
    pub fn fill(scratch: &Scratch, name: &str, events: u64, channels: u64, bytes: usize) -> Self {
        let directory = scratch.within(name);
        let journal = open(&config_that_keeps_all(&directory, Sync::Never));
        fill(&journal, events, channels, bytes);
        let epoch = journal.epoch();
        Kept { directory, epoch }
    }

    pub fn config(&self) -> Config {
        config_that_keeps_all(&self.directory, Sync::Always)
    }

    pub fn open(&self) -> DiskJournal {
        open(&self.config())
    }

    /// Lets the system forget what it keeps of the files in memory. Nobody may have them open.
    pub fn forget_pages(&self) {
        for file in fs::read_dir(self.directory.path()).expect("a directory") {
            let file = File::open(file.expect("a file").path()).expect("a file");
            fadvise(&file, 0, None, Advice::DontNeed).expect("no cache");
        }
    }

    /// The cursor after the event that was filled in with this seq.
    pub fn cursor(&self, seq: u64) -> Cursor {
        let epoch = self.epoch;
        Cursor { epoch, seq }
    }
}

pub fn draft(channel: u64, bytes: usize) -> Draft {
    Draft::new(self::channel(channel), Data::Text("x".repeat(bytes).into()))
}

pub fn channel(number: u64) -> ChannelName {
    format!("bench/{number}").parse().expect("a channel")
}

/// Numbers that look random and are the same in each run.
pub fn scattered(number: u64, below: u64) -> u64 {
    (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16) % below.max(1)
}

/// Hears of what was committed, and does nothing.
pub struct Nobody;

impl Sink for Nobody {
    fn committed(&self, _: &[Arc<Event>]) {}

    fn announce(&self) {}
}
