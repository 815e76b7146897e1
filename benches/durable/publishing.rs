//! Publishes a second at the journal itself: beside the disk's own syncs, and by when a publish has to be on the disk.

use std::sync::Arc;
use std::time::Duration;

use fourcast::config::{JournalKind, Sync};
use fourcast::hub::random;
use fourcast::journal::disk::DiskJournal;
use fourcast::journal::{Journal, Opening};

use super::disk::SyncRates;
use super::fixture::{Nobody, Scratch, config, config_that_keeps_all, draft, fill, open};
use super::{Plan, load, table};

/// Bytes of each payload.
pub const BYTES: usize = 200;
/// Channels that are published to in turn.
pub const CHANNELS: u64 = 16;
/// Publishers where their number is not what is looked at.
pub const PUBLISHERS: usize = 16;
/// Events that fill a channel, by the defaults.
pub const FULL: u64 = 1_000;

/// The journals that are compared, each by when an acknowledged event is on the disk.
pub const KINDS: [(&str, JournalKind, Sync); 4] = [
    ("memory", JournalKind::Memory, Sync::Never),
    ("never", JournalKind::Disk, Sync::Never),
    (
        "interval 100ms",
        JournalKind::Disk,
        Sync::Interval(Duration::from_millis(100)),
    ),
    ("always", JournalKind::Disk, Sync::Always),
];

/// With `sync = "always"`, by the number of publishers; with room, and with an event going for each that comes.
pub fn always(plan: &Plan, scratch: &Scratch) {
    let disk = SyncRates::measure(scratch, plan.span);
    table::heading(
        "the disk: writes of 4 KiB, each with an fdatasync",
        &["a second"],
    );
    table::row("to a file that grows", &[table::rate(disk.append)]);
    table::row("over what a file has", &[table::rate(disk.overwrite)]);
    table::heading(
        "sync = \"always\": publishes of 200 bytes, each acknowledged before the next",
        &["a second", "a commit", "to growing", "to overwriting"],
    );
    for publishers in [1, 16, 256] {
        let directory = scratch.within("always");
        let journal = open(&config_that_keeps_all(&directory, Sync::Always));
        committed(
            &format!("publishers: {publishers}"),
            &journal,
            publishers,
            plan,
            &disk,
        );
    }
    for publishers in [1, 16, 256] {
        let directory = scratch.within("always");
        let journal = open(&config(&directory, JournalKind::Disk, Sync::Always));
        fill(&journal, CHANNELS * FULL, CHANNELS, BYTES);
        let label = format!("publishers: {publishers}, channels full");
        committed(&label, &journal, publishers, plan, &disk);
    }
}

fn committed(label: &str, journal: &DiskJournal, publishers: usize, plan: &Plan, disk: &SyncRates) {
    let (head, commits) = (journal.head(), journal.commits());
    let rate = publish(journal, publishers, plan.span);
    let (events, commits) = (journal.head() - head, journal.commits() - commits);
    table::row(
        label,
        &[
            table::rate(rate),
            table::ratio(events as f64 / commits.max(1) as f64),
            table::ratio(rate / disk.append),
            table::ratio(rate / disk.overwrite),
        ],
    );
}

/// Each kind of journal, its channels full.
pub fn kinds(plan: &Plan, scratch: &Scratch) {
    table::heading(
        "the journal alone: 16 publishers of 200 bytes, channels full",
        &["a second", "to memory"],
    );
    let mut memory = None;
    for (name, kind, sync) in KINDS {
        let directory = scratch.within("kinds");
        let opening = Opening::open(&config(&directory, kind, sync), random()).expect("a journal");
        let journal = opening.start(Arc::new(Nobody)).expect("threads");
        fill(&*journal, CHANNELS * FULL, CHANNELS, BYTES);
        let rate = publish(&*journal, PUBLISHERS, plan.span);
        let to_memory = rate / *memory.get_or_insert(rate);
        table::row(name, &[table::rate(rate), table::ratio(to_memory)]);
    }
}

/// Publishes a second.
fn publish(journal: &dyn Journal, publishers: usize, span: Duration) -> f64 {
    load::together(publishers, span, |number| {
        let draft = draft(number as u64 % CHANNELS, BYTES);
        move || {
            journal.append(draft.clone().into()).expect("a receipt");
        }
    })
}
