//! What a subscriber is told out of the tail is what the journal would tell it.

use std::time::Duration;

use super::listener::{PAGE, hub, hub_with};
use crate::config::Retention;
use crate::hub::channel::LossReason;
use crate::hub::tail::Page;
use crate::journal::{Draft, Limit, Start};

fn seqs(page: &Page) -> Vec<u64> {
    page.entries.iter().map(|entry| entry.seq()).collect()
}

fn fleeting(channel: &str) -> Draft {
    Draft::text(channel.parse().unwrap(), "x").with_ttl(Duration::ZERO)
}

#[test]
fn a_page_is_the_same_from_the_tail_and_from_the_journal() {
    let (long, short) = (hub(1, 1_000), hub(1, 1));
    for _ in 0..10 {
        for channel in ["a", "b", "r/1"] {
            assert_eq!(long.say(channel), short.say(channel));
        }
    }
    let limit = Limit { events: 4, ..PAGE };
    for list in ["a", "a,b", "r/*", "**"] {
        let mut place = 0;
        while place < 30 {
            let from_tail = long
                .read(&long.at(list, place).selection, place, limit)
                .unwrap();
            let from_journal = short
                .read(&short.at(list, place).selection, place, limit)
                .unwrap();
            assert_eq!(seqs(&from_tail), seqs(&from_journal), "{list} {place}");
            assert_eq!(from_tail.more, from_journal.more, "{list} {place}");
            place = from_tail.cursor;
        }
    }
}

#[test]
fn an_event_without_time_to_live_is_for_those_who_were_there() {
    let hub = hub(1, 100);
    let there = hub.begin_at("a", Start::Now).selection;
    hub.publish(fleeting("a")).unwrap();
    assert_eq!(seqs(&hub.read(&there, 0, PAGE).unwrap()), [1]);
    let late = hub.at("a", 0).selection;
    let page = hub.read(&late, 0, PAGE).unwrap();
    assert!(page.entries.is_empty() && page.loss.is_none());
}

#[test]
fn an_event_without_time_to_live_is_for_those_who_were_still_reading_what_was_before() {
    for list in ["a", "a,b", "*"] {
        let hub = hub(1, 2);
        hub.say_times(3, "a");
        let beginning = hub.at(list, 0);
        hub.publish(fleeting("a")).unwrap();
        let late = hub.at(list, 0);
        // The first reads the journal, and whoever comes then shares what it read.
        for (reader, owed) in [(&beginning, vec![1, 2, 3, 4]), (&late, vec![1, 2, 3])] {
            for _ in 0..2 {
                let page = hub.read(&reader.selection, 0, PAGE).unwrap();
                assert_eq!(seqs(&page), owed, "{list}");
                assert_eq!((page.cursor, page.more), (4, false), "{list}");
            }
        }
    }
}

#[test]
fn an_event_without_time_to_live_is_given_though_later_ones_were_lost_before_it_was_read() {
    let hub = hub_with(1, 100, |config| {
        config.channels = vec![Retention {
            max_events: 1,
            ..Retention::default()
        }];
    });
    let there = hub.begin_at("a", Start::Now).selection;
    hub.publish(fleeting("a")).unwrap();
    hub.say_times(2, "a");
    // By a clock that was looked at before any of them came.
    let mut page = Page::after(0);
    assert!(hub.tail.extend(&mut page, &there, PAGE, 0));
    assert_eq!(seqs(&page), [1, 3]);
    let loss = page.loss.unwrap();
    assert_eq!(loss.channels, [("a".parse().unwrap(), 2)]);
}

#[test]
fn what_was_deleted_is_read_by_nobody_though_it_was_for_those_who_were_there() {
    let hub = hub(1, 100);
    let there = hub.begin_at("a", Start::Now).selection;
    hub.publish(fleeting("a")).unwrap();
    hub.say("a");
    hub.publish(fleeting("a")).unwrap();
    assert!(hub.forget(&"a".parse().unwrap()).unwrap());
    let page = hub.read(&there, 0, PAGE).unwrap();
    assert!(page.entries.is_empty());
    let loss = page.loss.unwrap();
    assert_eq!(loss.reason, LossReason::Deleted);
    assert_eq!(loss.channels, [("a".parse().unwrap(), 2)]);
}

#[test]
fn one_loss_is_told_once_though_what_was_never_kept_was_deleted_on_another_page() {
    let hub = hub(1, 100);
    let there = hub.begin_at("a", Start::Now).selection;
    hub.publish(fleeting("a")).unwrap();
    hub.say("a");
    hub.publish(fleeting("a")).unwrap();
    assert!(hub.forget(&"a".parse().unwrap()).unwrap());
    let limit = Limit { rows: 1, ..PAGE };
    let pages = [0, 1, 2].map(|place| hub.read(&there, place, limit).unwrap());
    assert_eq!([1, 2, 3], pages.each_ref().map(|page| page.cursor));
    let told = pages.map(|page| page.loss.map(|loss| loss.channels));
    assert_eq!(told, [None, Some(vec![("a".parse().unwrap(), 2)]), None]);
}

#[test]
fn deletion_counts_more_than_retention() {
    let hub = hub_with(1, 100, |config| {
        config.channels = vec![Retention {
            max_events: 1,
            ..Retention::default()
        }];
    });
    hub.say_all(&["a", "a", "b"]);
    assert!(hub.forget(&"b".parse().unwrap()).unwrap());
    let loss = hub
        .read(&hub.at("**", 0).selection, 0, PAGE)
        .unwrap()
        .loss
        .unwrap();
    assert_eq!(loss.reason, LossReason::Deleted);
    assert_eq!(loss.channels.len(), 2);
}

#[test]
fn what_retention_took_is_a_loss_though_the_tail_still_has_it() {
    let hub = hub_with(1, 100, |config| {
        config.channels = vec![Retention {
            max_events: 1,
            ..Retention::default()
        }];
    });
    hub.say_all(&["a", "a", "b", "a"]);
    let mut selection = hub.at("**", 0).selection;
    let loss = hub.read(&selection, 0, PAGE).unwrap().loss.unwrap();
    assert_eq!(loss.reason, LossReason::Retention);
    assert_eq!(loss.channels, [("a".parse().unwrap(), 2)]);
    loss.excuse(&mut selection);
    let page = hub.read(&selection, 0, PAGE).unwrap();
    assert_eq!((seqs(&page), page.loss), (vec![3, 4], None));
}

#[test]
fn a_beginning_without_a_cursor_is_not_told_of_it() {
    let hub = hub_with(1, 100, |config| {
        config.channels = vec![Retention {
            max_events: 1,
            ..Retention::default()
        }];
    });
    hub.say_all(&["a", "a", "b", "a"]);
    for list in ["a,b", "**"] {
        for start in [Start::Earliest, Start::Last(3), Start::Since(0)] {
            let beginning = hub.begin_at(list, start);
            let page = hub
                .read(&beginning.selection, beginning.place, PAGE)
                .unwrap();
            assert_eq!((seqs(&page), page.loss), (vec![3, 4], None));
        }
    }
}

#[test]
fn the_bytes_of_the_tail_are_bounded_too() {
    let hub = hub_with(1, 1_000, |config| config.fanout.tail_bytes = 2_000);
    hub.say_times(50, "a");
    assert!(hub.tail.stretch(0, 100, usize::MAX).is_none());
    let stretch = hub.tail.stretch(45, 100, usize::MAX).unwrap();
    assert_eq!(stretch.last().unwrap().seq(), 50);
    let page = hub.read(&hub.at("a", 0).selection, 0, PAGE).unwrap();
    assert_eq!(
        page.entries.len(),
        50,
        "the journal has what the tail has not"
    );
}
