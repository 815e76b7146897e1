//! Where each start stands.

use super::fixture::{AMPLE, Fixture, Open, draft, eventually, seqs};
use crate::event::{Cursor, Epoch};
use crate::journal::{GapReason, Limit, Start, unix_millis};

/// a1 b2 a3 c4 a5 b6
fn six_events(open: Open) -> Fixture {
    let fixture = Fixture::open(open);
    fixture.publish_all(&["a", "b", "a", "c", "a", "b"]);
    fixture
}

pub fn after_a_known_cursor_begins_right_behind_it(open: Open) {
    let fixture = six_events(open);
    for place in 0..=6 {
        let start = Start::After(fixture.cursor(place));
        let expected: Vec<_> = (place + 1..=6).collect();
        assert_eq!(fixture.seqs_from("**", start), expected);
    }
    assert_eq!(fixture.after("a", 3).place, 3);
}

pub fn after_the_head_nothing_is_missed(open: Open) {
    let fixture = six_events(open);
    let beginning = fixture.after("a", 6);
    assert_eq!(fixture.read(&beginning).events.len(), 0);
    let seq = fixture.publish("a");
    assert_eq!(seqs(&fixture.read(&beginning).events), [seq]);
}

fn assert_gap(fixture: &Fixture, start: Start, reason: GapReason) {
    let beginning = fixture.begin("a", start);
    assert_eq!(beginning.gap, Some(reason), "{start:?}");
    let page = fixture.read(&beginning);
    assert_eq!(seqs(&page.events), [1, 3, 5], "{start:?}");
    assert_eq!(page.loss, None, "the gap says it already");
}

pub fn a_cursor_of_another_life_is_a_gap_and_begins_with_what_there_is(open: Open) {
    let fixture = six_events(open);
    for seq in [0, 3, 6, u64::MAX] {
        let epoch = Epoch::from_random(0xfeed);
        assert_ne!(epoch, fixture.journal.epoch());
        let start = Start::After(Cursor { epoch, seq });
        assert_gap(&fixture, start, GapReason::Epoch);
    }
}

pub fn a_cursor_beyond_the_end_is_a_gap(open: Open) {
    let fixture = six_events(open);
    for seq in [7, u64::MAX] {
        let start = Start::After(fixture.cursor(seq));
        assert_gap(&fixture, start, GapReason::Epoch);
    }
}

pub fn a_cursor_that_nobody_can_read_is_a_gap(open: Open) {
    let fixture = six_events(open);
    assert_gap(&fixture, Start::Unreadable, GapReason::Unknown);
}

pub fn earliest_is_everything_retained(open: Open) {
    let fixture = six_events(open);
    assert_eq!(fixture.seqs_from("**", Start::Earliest), [1, 2, 3, 4, 5, 6]);
    assert_eq!(fixture.seqs_from("b,c", Start::Earliest), [2, 4, 6]);
    assert_eq!(fixture.seqs_from("nowhere", Start::Earliest), [0; 0]);
}

pub fn now_is_nothing_of_the_past(open: Open) {
    let fixture = six_events(open);
    let beginning = fixture.begin("a,b", Start::Now);
    assert_eq!((beginning.place, beginning.gap), (6, None));
    fixture.publish_all(&["c", "b"]);
    assert_eq!(seqs(&fixture.read(&beginning).events), [8]);
}

pub fn last_counts_back_in_one_channel(open: Open) {
    let fixture = six_events(open);
    for (count, expected) in [
        (1, vec![5]),
        (2, vec![3, 5]),
        (3, vec![1, 3, 5]),
        (u64::MAX, vec![1, 3, 5]),
    ] {
        assert_eq!(fixture.seqs_from("a", Start::Last(count)), expected);
    }
}

pub fn last_counts_back_in_each_of_several_channels(open: Open) {
    let fixture = six_events(open);
    assert_eq!(fixture.seqs_from("a,b,c", Start::Last(1)), [4, 5, 6]);
    assert_eq!(fixture.seqs_from("a,b,c", Start::Last(2)), [2, 3, 4, 5, 6]);
    assert_eq!(fixture.seqs_from("b,nowhere", Start::Last(1)), [6]);
}

pub fn last_counts_back_in_each_channel_of_a_pattern(open: Open) {
    let fixture = six_events(open);
    assert_eq!(fixture.seqs_from("*", Start::Last(1)), [4, 5, 6]);
    assert_eq!(fixture.seqs_from("a,*", Start::Last(1)), [4, 5, 6]);
    assert_eq!(fixture.seqs_from("x/*", Start::Last(1)), [0; 0]);
}

pub fn last_of_a_long_channel_beside_a_short_one_fits_a_small_page(open: Open) {
    let fixture = Fixture::open(open);
    fixture.publish("short");
    fixture.publish_times(50, "long");
    let mut beginning = fixture.begin("short,long", Start::Last(1));
    let limit = Limit { rows: 10, ..AMPLE };
    let mut read = Vec::new();
    loop {
        let page = fixture.read_within(&beginning, limit);
        read.extend(seqs(&page.events));
        beginning.place = page.cursor;
        if !page.more {
            break;
        }
    }
    assert_eq!(read, [1, 51]);
}

pub fn last_zero_is_now(open: Open) {
    let fixture = six_events(open);
    for list in ["a", "a,b", "**"] {
        let beginning = fixture.begin(list, Start::Last(0));
        assert_eq!(fixture.read(&beginning).events.len(), 0, "{list}");
    }
}

pub fn last_of_a_channel_that_comes_later_misses_nothing_of_it(open: Open) {
    let fixture = six_events(open);
    let beginning = fixture.begin("new/*,a", Start::Last(1));
    fixture.publish_all(&["new/1", "new/1", "a"]);
    let page = fixture.read(&beginning);
    assert_eq!(seqs(&page.events), [5, 7, 8, 9]);
}

pub fn since_begins_with_the_first_event_at_that_time(open: Open) {
    let fixture = Fixture::open(open);
    fixture.publish_all(&["a", "b"]);
    let past = unix_millis();
    eventually("the next millisecond", || unix_millis() > past);
    let third = fixture.append(vec![draft("a", "x")]).unwrap();
    let time = third.receipts[0].time;
    assert_eq!(fixture.seqs_from("**", Start::Since(time)), [3]);
    assert_eq!(fixture.seqs_from("**", Start::Since(past + 1)), [3]);
    assert_eq!(fixture.seqs_from("b", Start::Since(time)), [0; 0]);
    assert_eq!(fixture.seqs_from("**", Start::Since(0)), [1, 2, 3]);
}

pub fn since_the_future_is_nothing_of_the_past(open: Open) {
    let fixture = six_events(open);
    assert_eq!(fixture.seqs_from("**", Start::Since(u64::MAX)), [0; 0]);
}
