//! Other bounds count from the moment that they are told, for what is there already too, and what goes is told.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::fixture::{AMPLE, Fixture, Open, draft, eventually, keep, name, rule, seqs};
use crate::config::{Config, Current, Retention, Sync};
use crate::journal::{AppendError, Start};

/// Channels `a` and `b` with five events each, of which the newest five are kept: a1 b2 a3 b4 …
fn five_of_each(open: Open) -> Fixture {
    let fixture = Fixture::with(open, |config| config.channels = vec![keep("**", 5)]);
    for _ in 0..5 {
        fixture.publish_all(&["a", "b"]);
    }
    fixture
}

/// Waits until so much is left, which retention sees to by itself.
fn left(fixture: &Fixture, list: &str, expected: &[u64]) {
    eventually("what is beyond the rule has gone", || {
        fixture.journal.retain();
        seqs(&fixture.read(&fixture.after(list, 0)).events) == expected
    });
}

pub fn a_lower_number_takes_the_oldest_and_tells_it(open: Open) {
    let mut fixture = five_of_each(open);
    let reader = fixture.after("a,b", 4);
    fixture.obey(|config| config.channels = vec![keep("a", 1), keep("**", 5)]);
    left(&fixture, "a,b", &[2, 4, 6, 8, 9, 10]);
    let page = fixture.read(&reader);
    assert_eq!(seqs(&page.events), [6, 8, 9, 10]);
    assert_eq!(page.loss.unwrap().channels, [(name("a"), 7)]);
    let statistics = fixture.journal.statistics();
    assert_eq!((statistics.events, statistics.crowded_out), (6, 0));
}

pub fn a_closed_journal_lets_go_of_nothing(open: Open) {
    let mut fixture = five_of_each(open);
    fixture.journal.close();
    let held = fixture.journal.statistics();
    fixture.obey(|config| {
        config.channels = vec![keep("**", 1)];
        config.journal.max_bytes = 1;
    });
    fixture.journal.retain();
    let still = fixture.journal.statistics();
    assert_eq!((still.events, still.bytes), (held.events, held.bytes));
    assert_eq!(fixture.seqs_from("a", Start::Earliest), [1, 3, 5, 7, 9]);
}

pub fn none_at_all_empties_a_channel(open: Open) {
    let mut fixture = five_of_each(open);
    fixture.obey(|config| config.channels = vec![keep("a", 0)]);
    left(&fixture, "a", &[]);
    fixture.publish("a");
    let page = fixture.read(&fixture.after("a", 0));
    assert_eq!((page.events.len(), page.cursor), (0, 11));
    assert!(page.loss.is_some());
}

pub fn a_higher_number_keeps_more_from_then_on(open: Open) {
    let mut fixture = five_of_each(open);
    fixture.obey(|config| config.channels = vec![keep("**", 7)]);
    fixture.publish_times(3, "a");
    let page = fixture.read(&fixture.after("a", 0));
    assert_eq!(seqs(&page.events), [3, 5, 7, 9, 11, 12, 13]);
    assert_eq!(page.loss.unwrap().channels, [(name("a"), 1)]);
}

pub fn a_channel_goes_by_the_pattern_that_matches_it_now(open: Open) {
    let mut fixture = Fixture::with(open, |config| config.channels = vec![keep("r/*", 4)]);
    fixture.publish_times(4, "r/1");
    fixture.publish_times(4, "s");
    fixture.obey(|config| config.channels = vec![keep("r/1", 2), keep("s", 1), keep("r/*", 4)]);
    left(&fixture, "r/1,s", &[3, 4, 8]);
    fixture.obey(|config| config.channels = vec![keep("r/*", 3)]);
    fixture.publish_times(3, "r/1");
    fixture.publish_times(3, "s");
    left(&fixture, "r/1,s", &[8, 9, 10, 11, 12, 13, 14]);
}

pub fn a_channel_that_comes_later_goes_by_the_new_rule(open: Open) {
    let mut fixture = five_of_each(open);
    fixture.obey(|config| config.channels = vec![keep("c", 1), keep("**", 5)]);
    fixture.publish_all(&["c", "c"]);
    assert_eq!(fixture.seqs_from("c", Start::Earliest), [12]);
}

pub fn an_age_counts_for_what_was_there_before_it(open: Open) {
    let mut fixture = five_of_each(open);
    let aged = |pattern: &str| Retention {
        max_age: Some(Duration::from_millis(1)),
        ..rule(pattern)
    };
    fixture.obey(|config| config.channels = vec![aged("a")]);
    left(&fixture, "a,b", &[2, 4, 6, 8, 10]);
    let loss = fixture.read(&fixture.after("a", 0)).loss;
    assert_eq!(loss.unwrap().channels, [(name("a"), 9)]);
}

pub fn without_its_age_everything_stays(open: Open) {
    let day = Duration::from_secs(86_400);
    let mut fixture = Fixture::with(open, |config| {
        config.channels = vec![Retention {
            max_age: Some(day),
            ..rule("**")
        }];
    });
    fixture.publish_times(3, "a");
    fixture.obey(|config| config.channels = vec![rule("**")]);
    fixture.journal.retain();
    assert_eq!(fixture.seqs_from("a", Start::Earliest), [1, 2, 3]);
}

pub fn fewer_bytes_count_for_a_channel_and_for_all(open: Open) {
    let mut fixture = Fixture::open(open);
    fixture.publish_large(4, 1_500);
    fixture.publish("b");
    let bounded = Retention {
        max_bytes: 4_000,
        ..rule("a")
    };
    fixture.obey(|config| config.channels = vec![bounded]);
    left(&fixture, "**", &[3, 4, 5]);
    fixture.obey(|config| config.journal.max_bytes = 2_500);
    left(&fixture, "**", &[4, 5]);
    assert_eq!(fixture.journal.statistics().crowded_out, 1);
}

pub fn fewer_channels_refuse_new_ones_alone(open: Open) {
    let mut fixture = five_of_each(open);
    fixture.obey(|config| config.limits.channels = 1);
    assert_eq!(fixture.publish("a"), 11);
    let refused = fixture.append(vec![draft("c", "x")]).unwrap_err();
    assert_eq!(refused, AppendError::TooManyChannels);
    fixture.obey(|config| config.limits.channels = 3);
    assert_eq!(fixture.publish("c"), 12);
}

pub fn fewer_keys_forget_the_oldest(open: Open) {
    let mut fixture = Fixture::open(open);
    for key in ["1", "2", "3"] {
        fixture.append_with_key("s", key, "x").unwrap();
    }
    fixture.obey(|config| config.limits.idempotency_keys = 2);
    for (key, repeated) in [("3", true), ("1", false)] {
        let appended = fixture.append_with_key("s", key, "x").unwrap();
        assert_eq!(appended.repeated, repeated, "{key}");
    }
}

pub fn a_shorter_memory_of_keys_counts_for_those_that_were_used(open: Open) {
    let mut fixture = Fixture::open(open);
    fixture.append_with_key("s", "k", "1").unwrap();
    fixture.obey(|config| config.journal.idempotency = Duration::from_millis(1));
    eventually("the key is free again", || {
        fixture.append_with_key("s", "k", "2").is_ok()
    });
}

/// A journal that has so many thousands of events of one channel, and may keep them.
fn with_thousands(open: Open, thousands: usize) -> Fixture {
    let fixture = Fixture::with(open, |config| {
        config.journal.sync = Sync::Never;
        config.channels = vec![keep("**", 1_000_000)];
    });
    for _ in 0..thousands {
        fixture.append(vec![draft("a", "x"); 1_000]).unwrap();
    }
    fixture
}

pub fn what_is_too_much_for_one_transaction_goes_in_those_that_follow(open: Open) {
    let mut fixture = with_thousands(open, 20);
    fixture.obey(|config| config.channels = vec![keep("**", 2)]);
    let head = fixture.journal.head();
    left(&fixture, "a", &[head - 1, head]);
    let loss = fixture.read(&fixture.after("a", 0)).loss;
    assert_eq!(loss.unwrap().channels, [(name("a"), head - 2)]);
}

/// So whoever publishes or reads meanwhile waits for a moment only.
pub fn a_great_deal_goes_in_several_steps_and_not_in_one(open: Open) {
    let mut fixture = with_thousands(open, 50);
    let mut steps = |left: u64, change: fn(&mut Config)| {
        let before = fixture.journal.statistics().commits;
        fixture.obey(change);
        eventually("what is beyond the bound has gone", || {
            fixture.journal.retain();
            fixture.journal.statistics().events == left
        });
        fixture.journal.statistics().commits - before
    };
    let by_rule = steps(25_000, |config| config.channels = vec![keep("**", 25_000)]);
    assert!(by_rule > 1, "a rule: {by_rule}");
    let by_bytes = steps(0, |config| config.journal.max_bytes = 1);
    assert!(by_bytes > 1, "the bytes of all: {by_bytes}");
}

pub fn keys_that_are_too_many_for_one_transaction_go_in_those_that_follow(open: Open) {
    const KEYS: usize = 1_200;
    let mut fixture = Fixture::with(open, |config| config.journal.sync = Sync::Never);
    for key in 0..KEYS {
        fixture.append_with_key("s", &key.to_string(), "x").unwrap();
    }
    fixture.obey(|config| config.limits.idempotency_keys = 2);
    let one_of_the_newest = (KEYS - 10).to_string();
    eventually("it is forgotten", || {
        fixture.journal.retain();
        let appended = fixture.append_with_key("s", &one_of_the_newest, "x");
        !appended.unwrap().repeated
    });
}

pub fn what_was_told_last_counts_also_of_many_at_once(open: Open) {
    let fixture = five_of_each(open);
    let told = Arc::new(Current::new(fixture.config.clone()));
    let tell = |most| {
        let next = |config: &Config| Config {
            channels: vec![keep("**", most)],
            ..config.clone()
        };
        told.change(next);
        fixture.journal.obey(&told);
    };
    thread::scope(|scope| {
        for most in 2..=5 {
            scope.spawn(move || (0..20).for_each(|_| tell(most)));
        }
    });
    let most = told.get().channels[0].max_events;
    fixture.publish_times(10, "a");
    let read = fixture.seqs_from("a", Start::Last(10));
    assert_eq!(read.len(), most);
}

pub fn a_reader_beside_new_rules_is_given_or_told_everything(open: Open) {
    const EVENTS: u64 = 300;
    let fixture = Fixture::with(open, |config| config.channels = vec![keep("**", 50)]);
    let told = Arc::new(Current::new(fixture.config.clone()));
    thread::scope(|scope| {
        scope.spawn(|| fixture.publish_times(usize::try_from(EVENTS).unwrap(), "a"));
        scope.spawn(|| {
            for most in (0..40).map(|n| if n % 2 == 0 { 3 } else { 50 }) {
                told.change(|config| Config {
                    channels: vec![keep("**", most)],
                    ..config.clone()
                });
                fixture.journal.obey(&told);
            }
        });
        let mut reader = fixture.after("a", 0);
        eventually("all of it", || {
            let page = fixture.read_within(&reader, AMPLE);
            let mut due = reader.place + 1;
            if let Some(loss) = &page.loss {
                due = due.max(loss.channels[0].1 + 1);
                loss.excuse(&mut reader.selection);
            }
            let expected: Vec<_> = (due..=page.cursor).collect();
            assert_eq!(seqs(&page.events), expected, "after {}", reader.place);
            reader.place = page.cursor;
            reader.place == EVENTS
        });
    });
}
