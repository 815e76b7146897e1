//! Those who are behind together share what is read of the past, and each is told what was lost of it since.

use std::sync::Arc;

use super::listener::{PAGE, Running, hub_with, selectors};
use crate::config::{Config, Retention};
use crate::event::{Epoch, Event, EventType, Id};
use crate::hub::channel::{Channel, LossReason};
use crate::hub::pages::Pages;
use crate::hub::selector::Selection;
use crate::hub::tail::{Entry, Form, Page};
use crate::journal::{self, Limit, Loss};
use crate::roster::Way;

const TEN: Limit = Limit { events: 10, ..PAGE };

/// A hub whose tail has the last event only.
fn forgetful(change: impl FnOnce(&mut Config)) -> Running {
    hub_with(1, 1, change)
}

fn read(hub: &Running, list: &str, place: u64, limit: Limit) -> Page {
    let beginning = hub.at(list, place);
    hub.read(&beginning.selection, place, limit).unwrap()
}

fn seqs(page: &Page) -> Vec<u64> {
    page.entries.iter().map(|entry| entry.seq()).collect()
}

/// Whether both were given the same events, and not only equal ones: what is read twice is another entry.
fn share(one: &[Arc<Entry>], other: &[Arc<Entry>]) -> bool {
    let same = |(one, other): (&Arc<Entry>, &Arc<Entry>)| Arc::ptr_eq(one, other);
    !one.is_empty() && one.len() == other.len() && one.iter().zip(other).all(same)
}

#[test]
fn two_who_are_behind_are_given_what_was_read_once() {
    for list in ["a", "a,b", "*"] {
        let hub = forgetful(|_| {});
        hub.say_times(20, "a");
        let [one, other] = [0; 2].map(|place| read(&hub, list, place, TEN));
        assert!(share(&one.entries, &other.entries), "{list}");
        assert_eq!(seqs(&other), (1..=10).collect::<Vec<_>>(), "{list}");
        assert_eq!((other.cursor, other.more), (10, true), "{list}");
    }
}

#[test]
fn those_at_different_places_come_to_read_the_same() {
    let hub = forgetful(|_| {});
    hub.say_times(40, "a");
    let [first, second] = [0, 10].map(|place| read(&hub, "a", place, TEN).entries);
    let late = read(&hub, "a", 7, TEN);
    assert!(share(&late.entries[..3], &first[7..]));
    assert!(share(&late.entries[3..], &second[..7]));
    assert_eq!((late.cursor, late.more), (17, true));
    let short = read(&hub, "a", late.cursor, TEN);
    assert!(share(&short.entries, &second[7..]), "what there is of it");
    assert_eq!((short.cursor, short.more), (20, true));
}

#[test]
fn each_gets_no_more_than_it_asked_for() {
    let hub = forgetful(|_| {});
    hub.say_times(40, "a");
    read(&hub, "a", 0, PAGE);
    let few = |events, rows, weight: usize| Limit {
        rows,
        events,
        bytes: weight * read(&hub, "a", 0, PAGE).entries[0].event().weight(),
    };
    for limit in [few(3, 100, 100), few(100, 3, 100), few(100, 100, 3)] {
        let page = read(&hub, "a", 5, limit);
        assert_eq!(seqs(&page), [6, 7, 8], "{limit:?}");
        assert_eq!((page.cursor, page.more), (8, true), "{limit:?}");
    }
}

#[test]
fn the_order_in_which_selectors_are_named_does_not_matter_and_each_of_them_does() {
    let hub = forgetful(|_| {});
    for _ in 0..10 {
        hub.say_all(&["a", "b"]);
    }
    let page = read(&hub, "a,b", 0, TEN).entries;
    assert!(share(&page, &read(&hub, "b,a", 0, TEN).entries));
    for list in ["a", "b", "*", "**", "a,b,c"] {
        let other = read(&hub, list, 0, TEN).entries;
        let known = |entry| page.iter().any(|known| Arc::ptr_eq(known, entry));
        assert!(!other.iter().any(known), "{list}");
        let expected = match list {
            "a" => (1..=19).step_by(2).collect(),
            "b" => (2..=20).step_by(2).collect(),
            _ => (1..=10).collect::<Vec<_>>(),
        };
        let seqs: Vec<_> = other.iter().map(|entry| entry.seq()).collect();
        assert_eq!(seqs, expected, "{list}");
    }
}

#[test]
fn what_was_deleted_meanwhile_is_told_and_given_to_nobody() {
    for list in ["a", "a,b", "*"] {
        let hub = forgetful(|_| {});
        hub.say_all(&["a", "b", "a", "b", "b"]);
        read(&hub, list, 0, PAGE);
        assert!(hub.forget(&"a".parse().unwrap()).unwrap());
        let page = read(&hub, list, 0, PAGE);
        let loss = page.loss.as_ref().unwrap();
        assert_eq!(loss.reason, LossReason::Deleted, "{list}");
        assert_eq!(loss.channels, [("a".parse().unwrap(), 3)], "{list}");
        let rest: &[u64] = if list == "a" { &[] } else { &[2, 4, 5] };
        assert_eq!(seqs(&page), rest, "{list}");
    }
}

#[test]
fn what_is_deleted_while_it_is_read_is_told_by_the_page_itself() {
    let hub = forgetful(|_| {});
    // The last one is in the tail.
    hub.say_all(&["a", "b", "a", "b", "b"]);
    read(&hub, "**", 0, PAGE);
    assert!(hub.forget(&"a".parse().unwrap()).unwrap());
    let page = hub.pages.read(&hub.at("**", 0).selection, 0, PAGE, 0);
    assert_eq!(seqs(&page), [2, 4]);
    let loss = page.loss.unwrap();
    assert_eq!(loss.reason, LossReason::Deleted);
    assert_eq!(loss.channels, [("a".parse().unwrap(), 3)]);
}

#[test]
fn who_was_overtaken_by_retention_is_told_as_by_the_journal() {
    for list in ["a", "a,b", "*"] {
        let hub = forgetful(|config| {
            config.channels = vec![Retention {
                max_events: 20,
                ..Retention::default()
            }];
        });
        hub.say_times(20, "a");
        read(&hub, list, 0, TEN);
        hub.say_times(5, "a");
        let page = read(&hub, list, 0, TEN);
        let loss = page.loss.as_ref().unwrap();
        assert_eq!(loss.reason, LossReason::Retention, "{list}");
        assert_eq!(loss.channels, [("a".parse().unwrap(), 5)], "{list}");
        assert_eq!(seqs(&page), (6..=15).collect::<Vec<_>>(), "{list}");
    }
}

#[test]
fn one_that_is_told_of_a_loss_reads_on_with_the_others() {
    let hub = forgetful(|config| {
        config.channels = vec![Retention {
            max_events: 20,
            ..Retention::default()
        }];
    });
    hub.say_times(25, "a");
    let excused = || {
        let mut selection = hub.at("a", 0).selection;
        let page = hub.read(&selection, 0, TEN).unwrap();
        page.loss.unwrap().excuse(&mut selection);
        hub.read(&selection, 0, TEN).unwrap().entries
    };
    assert!(share(&excused(), &excused()));
}

#[test]
fn a_part_without_an_event_for_someone_is_no_answer_while_there_is_more() {
    for tail in [1, 10] {
        let hub = hub_with(1, tail, |_| {});
        hub.say("a");
        hub.say_times(20, "b");
        // Up to the head, which is in the middle of what comes to be.
        read(&hub, "a", 0, PAGE);
        hub.say("a");
        hub.say_times(tail - 1, "b");
        for place in [1, 5] {
            assert_eq!(seqs(&read(&hub, "a", place, PAGE)), [22], "{place}");
        }
        hub.say_times(tail, "b");
        assert_eq!(seqs(&read(&hub, "a", 5, PAGE)), [22]);
        let page = read(&hub, "a", 22, PAGE);
        assert!(page.entries.is_empty() && !page.more);
        assert_eq!(page.cursor, hub.head().seq);
    }
}

#[test]
fn without_any_bytes_each_reads_for_itself() {
    let hub = forgetful(|config| config.fanout.replay_bytes = 0);
    hub.say_times(20, "a");
    let [one, other] = [0; 2].map(|place| read(&hub, "a", place, TEN));
    assert_eq!(seqs(&one), seqs(&other));
    assert!(!share(&one.entries, &other.entries));
    assert_eq!(hub.pages.bytes(), 0);
}

#[test]
fn the_bytes_are_bounded_and_what_nobody_read_for_longest_leaves_first() {
    let hub = forgetful(|config| config.fanout.replay_bytes = 20_000);
    hub.say_times(1_000, "a");
    let kept = read(&hub, "a", 0, TEN).entries;
    let mut left = Vec::new();
    for place in (10..990).step_by(10) {
        let page = read(&hub, "a", place, TEN).entries;
        assert!(share(&read(&hub, "a", 0, TEN).entries, &kept), "{place}");
        assert!(hub.pages.bytes() <= 20_000);
        left.push(page);
    }
    assert!(hub.pages.bytes() > 10_000);
    assert!(!share(&read(&hub, "a", 10, TEN).entries, &left[0]));
}

#[test]
fn what_their_events_are_rendered_to_is_bounded_too() {
    static ESCAPED: Form = Form {
        slot: 0,
        way: Way::Sse,
        render: |event, out| out.extend(event.data.bytes().repeat(6_000)),
    };
    let hub = forgetful(|config| config.fanout.replay_bytes = 400_000);
    hub.say_times(200, "a");
    for place in (0..190).step_by(10) {
        for _ in 0..2 {
            let entries = read(&hub, "a", place, TEN).entries;
            for entry in &entries {
                assert!(!entry.bytes(&ESCAPED).is_empty());
                assert!(hub.pages.rendered() <= 200_000, "{}", hub.pages.rendered());
            }
            let again = read(&hub, "a", place, TEN).entries;
            assert!(share(&again, &entries), "the last one is kept: {place}");
        }
    }
    assert!(hub.pages.rendered() > 60_000);
}

/// A page of one event, as a journal gives it.
fn page_of_one() -> journal::Page {
    let event = Event {
        id: Id {
            epoch: Epoch::from_random(1),
            seq: 5,
        },
        channel: Arc::new(Channel::new("a".parse().unwrap())),
        kind: EventType::message(),
        time: 0,
        expires: Some(100),
        content_type: None,
        data: crate::event::Data::Text("x".into()),
    };
    journal::Page {
        events: vec![Arc::new(event)],
        loss: None,
        outlived: false,
        cursor: 9,
        more: true,
    }
}

/// What one who asks for `a` and for everything finds at the beginning after another was given `page`.
fn found(selection: &Selection, page: journal::Page) -> Vec<u64> {
    let pages = Pages::new(10_000);
    pages.take(selection, 0, page);
    let mut reader = Selection::new(selectors("a,**"));
    reader = reader.live_after(0);
    seqs(&pages.read(&reader, 0, PAGE, 50))
}

#[test]
fn a_page_that_lacks_something_is_for_nobody_else() {
    let selection = || Selection::new(selectors("**,a"));
    assert_eq!(found(&selection(), page_of_one()), [5]);
    let lossy = journal::Page {
        loss: Some(Loss {
            reason: LossReason::Retention,
            channels: Vec::new(),
            folded: 1,
        }),
        ..page_of_one()
    };
    assert!(found(&selection(), lossy).is_empty());
    let outlived = journal::Page {
        outlived: true,
        ..page_of_one()
    };
    assert!(found(&selection(), outlived).is_empty());
    let mut excused = selection();
    excused.excuse(&"b".parse().unwrap(), 3);
    assert!(found(&excused, page_of_one()).is_empty());
}

#[test]
fn an_event_that_outlived_its_time_in_a_page_is_for_those_who_were_there() {
    let pages = Pages::new(10_000);
    let late = Selection::new(selectors("a"));
    let there = late.clone().live_after(4);
    pages.take(&late, 0, page_of_one());
    for (selection, now, expected) in [(&late, 99, 1), (&late, 100, 0), (&there, 100, 1)] {
        let page = pages.read(selection, 0, PAGE, now);
        assert_eq!((page.entries.len(), page.cursor), (expected, 9), "{now}");
    }
}
