//! What retention takes is told, and told once.

use std::time::Duration;

use super::fixture::{Fixture, Open, draft, eventually, keep, name, rule, seqs};
use crate::config::{Config, Retention};
use crate::hub::channel::LossReason;
use crate::journal::{AppendError, Beginning, Loss, Start};

fn loss_of(channel: &str, mark: u64) -> Loss {
    Loss {
        reason: LossReason::Retention,
        channels: vec![(name(channel), mark)],
        folded: 0,
    }
}

fn folded(mark: u64) -> Loss {
    Loss {
        reason: LossReason::Retention,
        channels: Vec::new(),
        folded: mark,
    }
}

/// Channel `a` keeps the last two of its five events: a1 a2 a3 b4 a5 a6
fn three_lost(open: Open) -> Fixture {
    let fixture = Fixture::with(open, |config| config.channels = vec![keep("a", 2)]);
    fixture.publish_all(&["a", "a", "a", "b", "a", "a"]);
    fixture
}

pub fn by_count(open: Open) {
    let fixture = three_lost(open);
    for list in ["a", "a,b", "*"] {
        let page = fixture.read(&fixture.after(list, 0));
        assert_eq!(page.loss, Some(loss_of("a", 3)), "{list}");
    }
    let page = fixture.read(&fixture.after("a", 1));
    assert_eq!(seqs(&page.events), [5, 6]);
    assert_eq!(page.loss, Some(loss_of("a", 3)));
}

pub fn by_bytes_of_the_channel(open: Open) {
    let fixture = Fixture::with(open, |config| {
        config.channels = vec![Retention {
            max_bytes: 5_000,
            ..rule("a")
        }];
    });
    fixture.publish_large(5, 1_500);
    let page = fixture.read(&fixture.after("a", 0));
    let kept: usize = page.events.iter().map(|e| e.data.bytes().len()).sum();
    assert!((1_500..=5_000).contains(&kept), "{kept} bytes are kept");
    let first = page.events[0].id.seq;
    assert_eq!(page.loss, Some(loss_of("a", first - 1)));
}

pub fn by_age(open: Open) {
    let fixture = Fixture::with(open, |config| {
        config.channels = vec![Retention {
            max_age: Some(Duration::from_millis(1)),
            ..rule("a")
        }];
    });
    fixture.publish_all(&["a", "b"]);
    let beginning = fixture.after("a,b", 0);
    eventually("retention takes what is too old", || {
        fixture.journal.retain();
        fixture.read(&beginning).loss == Some(loss_of("a", 1))
    });
    assert_eq!(seqs(&fixture.read(&beginning).events), [2]);
}

pub fn by_bytes_of_the_whole(open: Open) {
    let fixture = Fixture::with(open, |config| config.journal.max_bytes = 5_000);
    for channel in ["a", "b", "a", "b", "c", "c"] {
        fixture.publish_draft(draft(channel, &"x".repeat(1_500)));
    }
    let page = fixture.read(&fixture.after("**", 0));
    let kept: usize = page.events.iter().map(|e| e.data.bytes().len()).sum();
    assert!((1_500..=5_000).contains(&kept), "{kept} bytes are kept");
    let first = page.events[0].id.seq;
    assert_eq!(seqs(&page.events), (first..=6).collect::<Vec<_>>());
    let marks = page.loss.unwrap().channels;
    assert_eq!(marks.iter().map(|(_, mark)| *mark).max(), Some(first - 1));
    assert_eq!(
        fixture.journal.statistics().crowded_out,
        first - 1,
        "they are counted"
    );
}

pub fn what_a_batch_itself_makes_room_for_pushes_nothing_out(open: Open) {
    let fixture = Fixture::with(open, |config| {
        config.journal.max_bytes = 5_000;
        config.channels = vec![keep("a", 1)];
    });
    fixture.publish_draft(draft("b", &"x".repeat(1_500)));
    let batch = vec![draft("a", &"x".repeat(4_000)), draft("a", "x")];
    fixture.append(batch).unwrap();
    assert_eq!(fixture.seqs_from("**", Start::Earliest), [1, 3]);
    assert_eq!(fixture.read(&fixture.after("b", 0)).loss, None);
}

pub fn an_event_too_large_to_be_kept_is_lost(open: Open) {
    let fixture = Fixture::with(open, |config| {
        config.channels = vec![Retention {
            max_bytes: 1_000,
            ..rule("a")
        }];
    });
    let seq = fixture.publish_draft(draft("a", &"x".repeat(2_000)));
    assert_eq!(fixture.heard.seqs(), [seq], "it is delivered all the same");
    let page = fixture.read(&fixture.after("a", 0));
    assert_eq!(page.events.len(), 0);
    assert_eq!(page.loss, Some(loss_of("a", seq)));
}

pub fn the_first_rule_whose_pattern_matches_counts(open: Open) {
    let fixture = Fixture::with(open, |config| {
        config.channels = vec![keep("r/1", 1), keep("r/*", 2), keep("**", 3)];
    });
    for (channel, kept) in [("r/1", 1), ("r/2", 2), ("s", 3)] {
        fixture.publish_times(5, channel);
        let read = fixture.seqs_from(channel, Start::Earliest);
        assert_eq!(read.len(), kept, "{channel}");
    }
}

pub fn another_channel_has_lost_nothing(open: Open) {
    let fixture = three_lost(open);
    for list in ["b", "nowhere", "b,nowhere", "x/*"] {
        assert_eq!(fixture.read(&fixture.after(list, 0)).loss, None, "{list}");
    }
}

pub fn a_cursor_behind_the_loss_is_told_nothing(open: Open) {
    let fixture = three_lost(open);
    for place in 3..=6 {
        for list in ["a", "**"] {
            let page = fixture.read(&fixture.after(list, place));
            assert_eq!(page.loss, None, "{list} after {place}");
        }
    }
}

pub fn whether_nothing_was_lost_is_known_without_a_read(open: Open) {
    let fixture = three_lost(open);
    for list in ["a", "b", "a,b", "**", "nowhere"] {
        for place in 0..=6 {
            let mut beginning = fixture.after(list, place);
            let loss = fixture.read(&beginning).loss;
            let lost_nothing = |beginning: &Beginning| {
                let selection = &beginning.selection;
                fixture.journal.has_lost_nothing(selection, place)
            };
            assert_eq!(
                lost_nothing(&beginning),
                loss.is_none(),
                "{list} after {place}"
            );
            if let Some(loss) = loss {
                loss.excuse(&mut beginning.selection);
                assert!(lost_nothing(&beginning), "{list}: it was told");
            }
        }
    }
}

/// Reads, expects this loss and excuses it.
fn told(fixture: &Fixture, beginning: &mut Beginning, expected: &Loss) {
    let loss = fixture.read(beginning).loss;
    assert_eq!(loss.as_ref(), Some(expected));
    expected.excuse(&mut beginning.selection);
}

pub fn what_was_excused_is_not_told_again_but_a_new_loss_is(open: Open) {
    for list in ["a", "a,b", "**"] {
        let fixture = three_lost(open);
        let mut beginning = fixture.after(list, 0);
        told(&fixture, &mut beginning, &loss_of("a", 3));
        assert_eq!(fixture.read(&beginning).loss, None, "{list}");
        fixture.publish("a");
        told(&fixture, &mut beginning, &loss_of("a", 5));
        let page = fixture.read(&beginning);
        assert_eq!(page.loss, None, "{list}");
        assert!(seqs(&page.events).ends_with(&[6, 7]), "{list}");
    }
}

pub fn a_beginning_without_a_cursor_is_never_told_of_a_loss(open: Open) {
    let fixture = three_lost(open);
    for list in ["a", "a,b", "**", "a,nowhere"] {
        for start in [
            Start::Earliest,
            Start::Now,
            Start::Last(1),
            Start::Last(1_000),
            Start::Since(0),
            Start::Unreadable,
        ] {
            let page = fixture.read(&fixture.begin(list, start));
            assert_eq!(page.loss, None, "{list} from {start:?}");
        }
    }
}

pub fn a_loss_after_a_beginning_without_a_cursor_is_told(open: Open) {
    for list in ["a", "a,b", "**"] {
        for start in [Start::Earliest, Start::Last(2), Start::Since(0)] {
            let fixture = three_lost(open);
            let beginning = fixture.begin(list, start);
            fixture.publish("a");
            let loss = fixture.read(&beginning).loss;
            assert_eq!(loss, Some(loss_of("a", 5)), "{list} from {start:?}");
        }
    }
}

pub fn a_pattern_is_told_of_every_channel_that_lost(open: Open) {
    let fixture = Fixture::with(open, |config| config.channels = vec![keep("r/*", 1)]);
    fixture.publish_all(&["r/1", "r/2", "r/1", "r/2", "r/3"]);
    let mut beginning = fixture.after("r/*", 0);
    let loss = fixture.read(&beginning).loss.unwrap();
    let mut channels = loss.channels.clone();
    channels.sort_unstable();
    assert_eq!(channels, [(name("r/1"), 1), (name("r/2"), 2)]);
    loss.excuse(&mut beginning.selection);
    assert_eq!(fixture.read(&beginning).loss, None);
}

/// At most two channels, those of `live/*` keeping nothing; `live/1` has lost 1 and was dropped for `b`.
fn one_dropped(open: Open) -> Fixture {
    let two_channels = |config: &mut Config| {
        config.limits.channels = 2;
        config.channels = vec![keep("live/*", 0)];
    };
    let fixture = Fixture::with(open, two_channels);
    fixture.publish_all(&["live/1", "a", "b"]);
    fixture
}

pub fn a_dropped_channel_counts_for_patterns_and_for_channels_without_a_record(open: Open) {
    let fixture = one_dropped(open);
    for list in ["live/1", "nowhere", "a,nowhere", "**", "live/*", "a,x/*"] {
        let mut beginning = fixture.after(list, 0);
        told(&fixture, &mut beginning, &folded(1));
        assert_eq!(fixture.read(&beginning).loss, None, "{list} is told once");
        assert_eq!(fixture.read(&fixture.after(list, 1)).loss, None, "{list}");
        let earliest = fixture.begin(list, Start::Earliest);
        assert_eq!(fixture.read(&earliest).loss, None, "{list} from earliest");
    }
}

pub fn a_dropped_channel_does_not_count_for_a_channel_that_is_there(open: Open) {
    let fixture = Fixture::with(open, |config| {
        config.limits.channels = 2;
        config.channels = vec![keep("live/*", 0)];
    });
    fixture.publish_all(&["a", "live/1", "b"]);
    assert_eq!(fixture.read(&fixture.after("a", 0)).loss, None);
    assert_eq!(
        fixture.read(&fixture.after("nowhere", 0)).loss,
        Some(folded(2))
    );
}

pub fn a_channel_that_comes_back_has_not_forgotten_its_loss(open: Open) {
    let fixture = Fixture::with(open, |config| config.limits.channels = 1);
    fixture.publish_all(&["a", "a"]);
    assert!(fixture.forget("a"));
    fixture.publish("b");
    assert!(fixture.forget("b"));
    assert_eq!(fixture.publish("a"), 4);
    let page = fixture.read(&fixture.after("a", 0));
    assert!(page.loss.is_some(), "1 and 2 are gone");
    assert_eq!(seqs(&page.events), [4]);
}

pub fn a_channel_that_comes_back_tells_its_loss_once(open: Open) {
    let fixture = Fixture::with(open, |config| config.limits.channels = 1);
    fixture.publish("a");
    assert!(fixture.forget("a"));
    fixture.publish_draft(draft("b", "x").with_ttl(Duration::ZERO));
    let mut beginning = fixture.after("a", 0);
    told(&fixture, &mut beginning, &folded(1));
    assert_eq!(fixture.publish("a"), 3);
    assert_eq!(fixture.read(&beginning).loss, None, "it was told already");
    assert_eq!(fixture.read(&fixture.after("a", 1)).loss, None);
    told(&fixture, &mut fixture.after("a", 0), &folded(1));
}

pub fn a_dropped_channel_is_told_to_who_was_excused_before_it_lost_anything(open: Open) {
    let fixture = Fixture::with(open, |config| config.limits.channels = 2);
    fixture.publish_all(&["a", "b"]);
    assert!(fixture.forget("b"));
    fixture.publish_draft(draft("c", "x").with_ttl(Duration::ZERO));
    let mut beginning = fixture.after("**", 0);
    told(&fixture, &mut beginning, &folded(2));
    assert!(
        fixture.forget("a"),
        "which is older than the loss that was told"
    );
    fixture.publish_all(&["d", "e"]);
    assert!(fixture.read(&beginning).loss.is_some(), "1 is gone too");
}

pub fn a_dropped_channel_that_lost_nothing_costs_nothing(open: Open) {
    let fixture = Fixture::with(open, |config| config.limits.channels = 1);
    let fleeting = draft("a", "x").with_ttl(Duration::ZERO);
    fixture.publish_draft(fleeting);
    fixture.publish("b");
    assert_eq!(fixture.read(&fixture.after("**", 0)).loss, None);
    assert_eq!(fixture.read(&fixture.after("a", 0)).loss, None);
}

pub fn a_channel_too_many_is_refused_while_all_hold_something(open: Open) {
    let fixture = Fixture::with(open, |config| config.limits.channels = 2);
    fixture.publish_all(&["a", "b"]);
    let refused = fixture.append(vec![draft("c", "x")]).unwrap_err();
    assert_eq!(refused, AppendError::TooManyChannels);
    assert!(fixture.forget("a"));
    assert_eq!(fixture.publish("c"), 3, "an empty one makes room");
}

pub fn a_batch_that_is_refused_lets_go_of_no_channel(open: Open) {
    let fixture = Fixture::with(open, |config| config.limits.channels = 2);
    fixture.publish_all(&["a", "b"]);
    assert!(fixture.forget("a") && fixture.forget("b"));
    let batch = ["c", "d", "e"].map(|channel| draft(channel, "x"));
    let refused = fixture.append(batch.to_vec()).unwrap_err();
    assert_eq!(refused, AppendError::TooManyChannels);
    for list in ["x/*", "nowhere"] {
        assert_eq!(fixture.read(&fixture.after(list, 0)).loss, None, "{list}");
    }
    for (channel, seq) in [("a", 1), ("b", 2)] {
        let loss = fixture.read(&fixture.after(channel, 0)).loss.unwrap();
        assert_eq!(
            (loss.channels, loss.folded),
            (vec![(name(channel), seq)], 0)
        );
        assert_eq!(fixture.publish(channel), seq + 2);
    }
}

pub fn a_batch_counts_its_own_channels_against_the_bound(open: Open) {
    let fixture = Fixture::with(open, |config| config.limits.channels = 1);
    fixture.publish("a");
    assert!(fixture.forget("a"));
    let batch = vec![draft("a", "x"), draft("b", "x")];
    let refused = fixture.append(batch).unwrap_err();
    assert_eq!(refused, AppendError::TooManyChannels);
    assert_eq!(fixture.publish("b"), 2, "the empty one still makes room");
}

pub fn nothing_is_refused_where_the_channel_is_there_already(open: Open) {
    let fixture = Fixture::with(open, |config| config.limits.channels = 2);
    fixture.publish_all(&["a", "b"]);
    let batch = vec![draft("a", "x"), draft("b", "x"), draft("a", "x")];
    assert!(fixture.append(batch).is_ok());
}
