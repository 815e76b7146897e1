//! The seeded checker: random publishers, channels, selectors, ways, disconnects and retention against a model
//! that is too simple to be wrong. Whatever a client was given must be what the model has for it, with a gap
//! exactly where the model has one.

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use fourcast::config::{JournalKind, Sync};

use self::schedule::Schedule;
use self::shape::Kind;

mod channels;
mod client;
mod model;
mod publisher;
mod random;
mod schedule;
mod shape;
mod view;

/// How many schedules are run where `SUITE_SCHEDULES` does not say.
const SCHEDULES: u64 = 100;

const MEMORY: Kind = Kind {
    set: |config, _| config.journal.kind = JournalKind::Memory,
    is_durable: false,
};

const DISK: Kind = Kind {
    set: |config, directory| {
        config.journal.kind = JournalKind::Disk;
        config.journal.path = directory.to_owned();
        config.journal.sync = Sync::Never;
    },
    is_durable: true,
};

#[test]
fn with_a_journal_in_memory_every_view_is_the_models_or_has_its_gaps() {
    run(MEMORY, "with_a_journal_in_memory");
}

#[test]
fn with_a_journal_on_disk_every_view_is_the_models_or_has_its_gaps() {
    run(DISK, "with_a_journal_on_disk");
}

/// Runs as many schedules as are asked for, with consecutive seeds.
fn run(kind: Kind, test: &str) {
    let count = number("SUITE_SCHEDULES").unwrap_or(SCHEDULES);
    let first = number("SUITE_SEED").unwrap_or_else(seed_of_now);
    say(&format!(
        "{test}: {count} schedules from SUITE_SEED={first}"
    ));
    for seed in (0..count).map(|number| first.wrapping_add(number)) {
        let _named = Named { test, seed };
        Schedule::new(kind, seed).run();
    }
}

/// Says how to repeat a schedule that failed.
struct Named<'a> {
    test: &'a str,
    seed: u64,
}

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            say(&format!(
                "to repeat it: SUITE_SEED={} SUITE_SCHEDULES=1 cargo test --test suite schedules::{}",
                self.seed, self.test
            ));
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is a number, not {text:?}")),
    )
}

fn seed_of_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanos = since.expect("a clock").as_nanos();
    u64::try_from(nanos % 1_000_000_000_000).expect("a trillion at most")
}

/// Prints past the capture of test output: the seed is to be known whatever happens.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
