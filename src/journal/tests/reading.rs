//! Pages, forwards and backwards.

use super::fixture::{AMPLE, Fixture, Open, seqs};
use crate::journal::{Limit, Start};

/// a1 b2 a3 r/1·4 a5 r/2·6 b7
fn seven_events(open: Open) -> Fixture {
    let fixture = Fixture::open(open);
    fixture.publish_all(&["a", "b", "a", "r/1", "a", "r/2", "b"]);
    fixture
}

pub fn one_channel_is_read_without_the_others(open: Open) {
    let fixture = seven_events(open);
    let page = fixture.read(&fixture.after("a", 1));
    assert_eq!(seqs(&page.events), [3, 5]);
    assert_eq!((page.cursor, page.more), (7, false));
}

pub fn several_channels_and_patterns_come_in_the_order_of_ids_and_once(open: Open) {
    let fixture = seven_events(open);
    for (list, expected) in [
        ("b,a", vec![1, 2, 3, 5, 7]),
        ("a,r/*", vec![1, 3, 4, 5, 6]),
        ("r/**,r/1,*/2", vec![4, 6]),
        ("**,a,b", vec![1, 2, 3, 4, 5, 6, 7]),
        ("*", vec![1, 2, 3, 5, 7]),
        ("nowhere,x/*", vec![]),
    ] {
        assert_eq!(fixture.seqs_from(list, Start::Earliest), expected, "{list}");
    }
}

pub fn a_page_has_no_more_events_than_its_limit(open: Open) {
    let fixture = seven_events(open);
    let limit = Limit { events: 2, ..AMPLE };
    for (list, first, place) in [("a", [1, 3], 3), ("a,b", [1, 2], 2), ("*", [1, 2], 2)] {
        let page = fixture.read_within(&fixture.after(list, 0), limit);
        assert_eq!(seqs(&page.events), first, "{list}");
        assert!(page.more, "{list}");
        assert!(page.cursor >= place, "{list}");
    }
    let page = fixture.read_within(&fixture.after("b", 0), limit);
    assert_eq!(seqs(&page.events), [2, 7]);
    assert_eq!((page.cursor, page.more), (7, false));
}

pub fn a_page_has_no_more_bytes_than_its_limit(open: Open) {
    let fixture = Fixture::open(open);
    fixture.publish_large(10, 1000);
    let limit = Limit {
        bytes: 4000,
        ..AMPLE
    };
    for list in ["a", "a,b", "**"] {
        let page = fixture.read_within(&fixture.after(list, 0), limit);
        let bytes: usize = page.events.iter().map(|e| e.data.bytes().len()).sum();
        assert!((1000..=4000).contains(&bytes), "{list}: {bytes}");
        assert!(page.more, "{list}");
        assert_eq!(page.cursor, page.events.last().unwrap().id.seq, "{list}");
    }
}

pub fn an_event_larger_than_the_limit_comes_alone(open: Open) {
    let fixture = Fixture::open(open);
    fixture.publish_large(3, 5000);
    let limit = Limit { bytes: 10, ..AMPLE };
    for place in 0..3 {
        let page = fixture.read_within(&fixture.after("a", place), limit);
        assert_eq!(seqs(&page.events), [place + 1]);
        assert_eq!(page.more, place < 2);
    }
    let back = fixture.after("a", 0);
    let page = fixture.read_before(&back.selection, 3, limit);
    assert_eq!(seqs(&page.events), [2]);
    assert!(page.more);
}

pub fn a_page_without_room_leaves_nothing_out(open: Open) {
    let fixture = Fixture::open(open);
    fixture.publish_all(&["a", "b", "a"]);
    for list in ["a", "a,b", "**"] {
        let beginning = fixture.after(list, 0);
        for limit in [Limit { events: 0, ..AMPLE }, Limit { rows: 0, ..AMPLE }] {
            let page = fixture.read_within(&beginning, limit);
            assert_eq!((seqs(&page.events), page.cursor), (vec![], 0), "{list}");
            assert!(page.more);
        }
        let page = fixture.read_within(&beginning, Limit { bytes: 0, ..AMPLE });
        assert_eq!(seqs(&page.events), [1], "{list}");
    }
}

pub fn a_page_examines_no_more_rows_than_its_limit_and_may_be_empty(open: Open) {
    let fixture = Fixture::open(open);
    fixture.publish_times(25, "noise");
    fixture.publish("wanted/1");
    let limit = Limit { rows: 10, ..AMPLE };
    let mut beginning = fixture.after("wanted/*", 0);
    let mut empty = 0;
    loop {
        let page = fixture.read_within(&beginning, limit);
        assert!(page.cursor > beginning.place, "every page gets ahead");
        beginning.place = page.cursor;
        match page.more {
            true if page.events.is_empty() => empty += 1,
            _ => {
                assert_eq!(seqs(&page.events), [26]);
                break;
            }
        }
    }
    assert!(empty >= 1);
    assert_eq!(beginning.place, 26);
}

pub fn the_last_page_reaches_the_head(open: Open) {
    let fixture = seven_events(open);
    for list in ["a", "a,r/1", "r/*", "nowhere", "x/*"] {
        let page = fixture.read(&fixture.after(list, 0));
        assert_eq!((page.cursor, page.more), (7, false), "{list}");
    }
}

pub fn pages_put_together_are_the_whole(open: Open) {
    let fixture = seven_events(open);
    for list in ["a", "a,b", "r/*", "**", "nowhere"] {
        let whole = fixture.seqs_from(list, Start::Earliest);
        for (rows, events) in [(1, 1), (2, 3), (3, 2), (7, 1), (100, 2)] {
            let limit = Limit {
                rows,
                events,
                ..AMPLE
            };
            let mut beginning = fixture.after(list, 0);
            let mut read = Vec::new();
            loop {
                let page = fixture.read_within(&beginning, limit);
                assert!(page.events.len() <= events.min(rows));
                read.extend(seqs(&page.events));
                beginning.place = page.cursor;
                if !page.more {
                    break;
                }
            }
            assert_eq!(read, whole, "{list} by {rows} rows and {events} events");
            assert_eq!(beginning.place, 7);
        }
    }
}

pub fn reading_back_gives_the_newest_before_a_place_in_ascending_order(open: Open) {
    let fixture = seven_events(open);
    let limit = Limit { events: 2, ..AMPLE };
    for (list, place, expected, more) in [
        ("a", 8, vec![3, 5], true),
        ("a", 5, vec![1, 3], false),
        ("a", 3, vec![1], false),
        ("a", 1, vec![], false),
        ("a,b", 7, vec![3, 5], true),
        ("**", 8, vec![6, 7], true),
        ("r/*", 7, vec![4, 6], false),
        ("nowhere", 8, vec![], false),
        ("**", 0, vec![], false),
    ] {
        let selection = fixture.after(list, 0).selection;
        let page = fixture.read_before(&selection, place, limit);
        assert_eq!(seqs(&page.events), expected, "{list} before {place}");
        assert_eq!(page.more, more, "{list} before {place}");
        assert_eq!(page.loss, None);
    }
}

pub fn reading_back_in_pages_ends_with_the_oldest(open: Open) {
    let fixture = seven_events(open);
    for list in ["a", "a,b", "r/*", "**"] {
        let selection = fixture.after(list, 0).selection;
        let limit = Limit { events: 1, ..AMPLE };
        let (mut place, mut read) = (fixture.journal.head() + 1, Vec::new());
        loop {
            let page = fixture.read_before(&selection, place, limit);
            read.extend(seqs(&page.events));
            place = page.cursor;
            if !page.more {
                break;
            }
        }
        read.reverse();
        assert_eq!(read, fixture.seqs_from(list, Start::Earliest), "{list}");
    }
}

pub fn reading_back_over_rows_that_do_not_match_gets_ahead(open: Open) {
    let fixture = Fixture::open(open);
    fixture.publish("wanted");
    fixture.publish_times(25, "noise");
    let selection = fixture.after("wanted", 0).selection;
    let limit = Limit { rows: 10, ..AMPLE };
    let (mut place, mut read) = (27, Vec::new());
    loop {
        let page = fixture.read_before(&selection, place, limit);
        read.extend(seqs(&page.events));
        if !page.more {
            break;
        }
        assert!(page.cursor < place, "every page gets ahead");
        place = page.cursor;
    }
    assert_eq!(read, [1]);
}
