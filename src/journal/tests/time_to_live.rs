//! Events that are owed for a time only.

use std::time::Duration;

use super::fixture::{AMPLE, Fixture, Open, draft, eventually, keep, seqs};
use crate::journal::{Draft, Limit, Start};

fn short_lived(channel: &str) -> Draft {
    draft(channel, "x").with_ttl(Duration::from_millis(1))
}

fn wait_until_gone(fixture: &Fixture, seq: u64) {
    eventually("its time is over", || {
        let beginning = fixture.after("**", seq - 1);
        !seqs(&fixture.read(&beginning).events).contains(&seq)
    });
}

pub fn an_event_that_outlived_itself_is_not_owed_and_no_loss(open: Open) {
    let fixture = Fixture::open(open);
    fixture.publish("a");
    let seq = fixture.publish_draft(short_lived("a"));
    fixture.publish("a");
    wait_until_gone(&fixture, seq);
    fixture.journal.retain();
    for list in ["a", "a,b", "**"] {
        let beginning = fixture.after(list, 0);
        let page = fixture.read(&beginning);
        assert_eq!(seqs(&page.events), [1, 3], "{list}");
        assert_eq!(page.loss, None, "{list}");
        let back = fixture.read_before(&beginning.selection, 4, AMPLE);
        assert_eq!(seqs(&back.events), [1, 3], "{list}");
    }
}

pub fn what_outlived_itself_hides_nothing_behind_it(open: Open) {
    let fixture = Fixture::open(open);
    for channel in ["a", "b", "a", "b"] {
        fixture.publish_draft(short_lived(channel));
    }
    let kept: Vec<_> = ["a", "b"].map(|channel| fixture.publish(channel)).into();
    wait_until_gone(&fixture, 4);
    let limit = Limit { events: 1, ..AMPLE };
    for list in ["a", "a,b", "**"] {
        let mut beginning = fixture.after(list, 0);
        let mut read = Vec::new();
        loop {
            let page = fixture.read_within(&beginning, limit);
            read.extend(seqs(&page.events));
            if !page.more {
                break;
            }
            assert!(page.cursor > beginning.place, "every page gets ahead");
            beginning.place = page.cursor;
        }
        let expected = if list == "a" { &kept[..1] } else { &kept[..] };
        assert_eq!(read, expected, "{list}");
        let back = fixture.read_before(&beginning.selection, u64::MAX, limit);
        assert_eq!(seqs(&back.events), expected[expected.len() - 1..], "{list}");
    }
}

pub fn an_event_with_time_left_is_owed(open: Open) {
    let fixture = Fixture::open(open);
    let seq = fixture.publish_draft(draft("a", "x").with_ttl(Duration::from_secs(3600)));
    fixture.publish_draft(draft("a", "x").with_ttl(Duration::MAX));
    fixture.journal.retain();
    assert_eq!(fixture.seqs_from("a", Start::Earliest), [seq, 2]);
    assert!(fixture.forget("a"));
    let loss = fixture.read(&fixture.after("a", 0)).loss;
    assert!(loss.is_some(), "it was owed when it was deleted");
}

pub fn who_was_listening_when_it_came_gets_it_though_its_time_is_over(open: Open) {
    let fixture = Fixture::open(open);
    let listening = fixture.begin("a", Start::Now);
    let seq = fixture.publish_draft(short_lived("a"));
    wait_until_gone(&fixture, seq);
    let page = fixture.read(&listening);
    assert_eq!(seqs(&page.events), [seq]);
}

pub fn an_event_without_any_time_is_numbered_and_heard_but_not_kept(open: Open) {
    let fixture = Fixture::open(open);
    let listening = fixture.begin("a", Start::Now);
    let seq = fixture.publish_draft(draft("a", "x").with_ttl(Duration::ZERO));
    assert_eq!(seq, 1);
    assert_eq!(fixture.heard.seqs(), [1]);
    assert_eq!(fixture.publish("a"), 2);
    for beginning in [listening, fixture.after("a", 0), fixture.after("**", 0)] {
        let page = fixture.read(&beginning);
        assert_eq!(seqs(&page.events), [2]);
        assert_eq!(page.loss, None);
        assert_eq!(page.cursor, 2);
    }
}

pub fn an_event_that_outlived_itself_makes_room(open: Open) {
    let fixture = Fixture::with(open, |config| config.channels = vec![keep("a", 3)]);
    fixture.publish("a");
    fixture.publish_draft(short_lived("a"));
    let last = fixture.publish_draft(short_lived("a"));
    wait_until_gone(&fixture, last);
    fixture.journal.retain();
    fixture.publish_all(&["a", "a"]);
    assert_eq!(
        seqs(&fixture.read(&fixture.after("a", 0)).events),
        [1, 4, 5]
    );
}

pub fn an_event_that_outlived_itself_is_not_counted_back(open: Open) {
    let fixture = Fixture::open(open);
    fixture.publish("a");
    let seq = fixture.publish_draft(short_lived("a"));
    wait_until_gone(&fixture, seq);
    for list in ["a", "a,b", "**"] {
        assert_eq!(fixture.seqs_from(list, Start::Last(1)), [1], "{list}");
    }
}
