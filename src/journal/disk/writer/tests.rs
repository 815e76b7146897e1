//! The writer with a clock that somebody sets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;

use super::{Moment, Order, Work, Writer};
use crate::config::Config;
use crate::journal::disk::DiskJournal;
use crate::journal::disk::answer::pair;
use crate::journal::disk::desk::{Answer, Done};
use crate::journal::tests::fixture::{Heard, Scratch, draft, keyed, rule};
use crate::journal::{Batch, Draft};

const HOUR: Duration = Duration::from_secs(3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
/// When the cases begin, by the system's clock.
const BEGIN: u64 = 1_800_000_000_000;

struct Stage {
    writer: Writer,
    begin: Instant,
    config: Config,
    scratch: Scratch,
}

impl Stage {
    /// Events of channel 'a' go after three hours.
    fn new() -> Self {
        Self::keeping("a")
    }

    /// Events of these channels go after three hours.
    fn keeping(pattern: &str) -> Self {
        let scratch = Scratch::new();
        let mut config: Config = scratch.config();
        let mut three_hours = rule(pattern);
        three_hours.max_age = Some(3 * HOUR);
        config.channels = vec![three_hours];
        Stage {
            writer: writer(&config),
            begin: Instant::now(),
            config,
            scratch,
        }
    }

    /// Ends this life and begins the next.
    fn restart(self) -> Self {
        let Stage {
            writer: before,
            config,
            ..
        } = self;
        drop(before);
        Stage {
            writer: writer(&config),
            config,
            ..self
        }
    }

    /// Does something so long after the beginning, when the system's clock is `ahead` of where it should be.
    fn at(&mut self, passed: Duration, ahead: Duration, work: Work) -> Done {
        self.ask(passed, ahead, work).unwrap()
    }

    fn ask(&mut self, passed: Duration, ahead: Duration, work: Work) -> Answer {
        let (asker, waiting) = pair();
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap();
        let at = Moment {
            wall: BEGIN + millis(passed) + millis(ahead),
            instant: self.begin + passed,
        };
        self.writer.serve(vec![Order { work, asker }], at);
        waiting.wait()
    }

    fn publish(&mut self, passed: Duration, ahead: Duration, draft: Draft) {
        self.at(passed, ahead, Work::Append(draft.into()));
    }

    /// What [`Work::Retain`] writes, in rows, that long after the beginning.
    fn retain(&mut self, passed: Duration) -> u64 {
        let before = self.changes();
        self.at(passed, Duration::ZERO, Work::Retain);
        self.changes() - before
    }

    fn changes(&self) -> u64 {
        let store = self.writer.desk.store.as_ref().unwrap();
        store.connection().total_changes()
    }

    /// In how many channels events may be too old, that long after the beginning.
    fn due(&self, passed: Duration) -> usize {
        let now = BEGIN + u64::try_from(passed.as_millis()).unwrap();
        let catalogue = self.writer.desk.shared.catalogue();
        let records = catalogue.channels.records();
        records.filter(|record| record.due <= now).count()
    }

    /// How many events are there.
    fn events(&self) -> u64 {
        let catalogue = self.writer.desk.shared.catalogue();
        let records = catalogue.channels.records();
        records.map(|record| record.events).sum()
    }

    /// How many events of 'a' are there, and whether one was lost.
    fn a(&self) -> (u64, u64) {
        let catalogue = self.writer.desk.shared.catalogue();
        let record = catalogue.channels.get(&"a".parse().unwrap()).unwrap();
        (record.events, record.lost_through)
    }
}

fn writer(config: &Config) -> Writer {
    let desk = DiskJournal::open(config, 1).unwrap().desk;
    Writer::new(desk, bounded(1).1, Arc::new(Heard::default()))
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn nothing_is_written_after_the_end_though_the_last_transaction_failed() {
    let mut stage = Stage::new();
    stage.publish(Duration::ZERO, Duration::ZERO, draft("a", "x"));
    let database = stage.writer.desk.directory.database();
    let aside = stage.scratch.path.join("aside");
    std::fs::rename(&database, &aside).unwrap();
    assert!(stage.ask(SECOND, Duration::ZERO, Work::Close).is_err());
    assert!(stage.writer.failure.is_some());
    std::fs::rename(&aside, &database).unwrap();
    let raw = rusqlite::Connection::open(&database).unwrap();
    let version = || -> i64 {
        raw.pragma_query_value(None, "data_version", |row| row.get(0))
            .unwrap()
    };
    let before = version();
    for work in [Work::Retain, Work::Append(draft("a", "x").into())] {
        let _ = stage.ask(2 * SECOND, Duration::ZERO, work);
    }
    assert_eq!(version(), before);
    assert_eq!(stage.a(), (1, 0));
}

#[test]
fn a_clock_that_was_set_ahead_makes_nothing_old_whatever_comes_next() {
    for work in [Work::Retain, Work::Append(draft("a", "x").into())] {
        let mut stage = Stage::new();
        stage.publish(Duration::ZERO, Duration::ZERO, draft("a", "x"));
        stage.publish(
            Duration::ZERO,
            Duration::ZERO,
            draft("a", "x").with_ttl(HOUR),
        );
        stage.at(SECOND, YEAR, work);
        let (events, lost) = stage.a();
        assert!(events >= 2 && lost == 0);
    }
}

#[test]
fn a_clock_that_was_ahead_once_makes_nothing_old_when_it_is_right_again() {
    let mut stage = Stage::new();
    stage.publish(Duration::ZERO, Duration::ZERO, draft("a", "x"));
    stage.publish(
        Duration::ZERO,
        Duration::ZERO,
        draft("a", "x").with_ttl(3 * HOUR),
    );
    stage.publish(SECOND, YEAR, draft("b", "x"));
    stage.at(2 * SECOND, Duration::ZERO, Work::Retain);
    stage.at(HOUR + 10 * SECOND, Duration::ZERO, Work::Retain);
    stage.publish(HOUR + 11 * SECOND, Duration::ZERO, draft("a", "x"));
    assert_eq!(stage.a(), (3, 0), "the oldest is an hour old");
    // And in the end they go as they should, the one with a time of its own without a loss.
    stage.at(3 * HOUR + SECOND, Duration::ZERO, Work::Retain);
    assert_eq!(stage.a(), (1, 1));
}

#[test]
fn what_was_deleted_while_the_clock_was_ahead_is_told() {
    let mut stage = Stage::new();
    stage.publish(
        Duration::ZERO,
        Duration::ZERO,
        draft("a", "x").with_ttl(HOUR),
    );
    stage.at(SECOND, YEAR, Work::Forget("a".parse().unwrap()));
    assert_eq!(stage.a(), (0, 1));
}

#[test]
fn a_key_is_not_forgotten_because_the_clock_was_set_ahead() {
    for ahead_later in [YEAR, Duration::ZERO] {
        let mut stage = Stage::new();
        let publish = |stage: &mut Stage, passed, ahead| {
            let done = stage.at(passed, ahead, Work::Append(keyed("a", "key", "x")));
            matches!(done, Done::Appended(appended) if appended.repeated)
        };
        assert!(!publish(&mut stage, Duration::ZERO, Duration::ZERO));
        stage.at(SECOND, YEAR, Work::Retain);
        assert!(publish(&mut stage, 2 * SECOND, ahead_later));
    }
}

/// More channels than one transaction looks at.
const MANY: usize = 20_000;

/// So many channels after a restart, of which nobody knows how old their oldest events are.
fn many_due(draft: impl Fn(&str) -> Draft) -> Stage {
    let mut stage = Stage::keeping("**");
    let drafts = (0..MANY).map(|number| draft(&number.to_string()));
    let batch = Batch {
        drafts: drafts.collect(),
        key: None,
    };
    stage.at(Duration::ZERO, Duration::ZERO, Work::Append(batch));
    let stage = stage.restart();
    assert_eq!(stage.due(SECOND), MANY);
    stage
}

#[test]
fn channels_without_an_event_that_is_too_old_are_looked_at_bit_by_bit_and_not_written() {
    let full = |channel: &str| draft(channel, "x");
    let empty = |channel: &str| draft(channel, "x").with_ttl(Duration::ZERO);
    for mut stage in [many_due(full), many_due(empty)] {
        let mut left = MANY;
        while left > 0 {
            assert_eq!(stage.retain(SECOND), 0);
            let looked = left - stage.due(SECOND);
            assert!((1..MANY).contains(&looked), "{looked} at once");
            left -= looked;
        }
        assert!(!stage.writer.desk.is_overdue());
    }
}

#[test]
fn channels_whose_events_are_all_too_old_are_written_bit_by_bit_and_once() {
    let mut stage = many_due(|channel| draft(channel, "x"));
    let mut left = MANY as u64;
    while left > 0 {
        let written = stage.retain(4 * HOUR);
        let gone = left - stage.events();
        assert!((1..MANY as u64).contains(&gone), "{gone} at once");
        // Rows of events are taken away meanwhile, a few at a time.
        assert!(written < gone + 1_000, "{written} for {gone}");
        left -= gone;
    }
    assert!(!stage.writer.desk.is_overdue());
    assert_eq!(stage.due(4 * HOUR), 0);
}
