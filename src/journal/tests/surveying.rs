//! What an operator sees of a journal.

use super::fixture::{Fixture, Open, draft, keep, name};
use crate::hub::selector::Selector;
use crate::journal::{Draft, Statistics};
use std::time::Duration;

fn names(fixture: &Fixture, after: Option<&str>, filter: &str, most: usize) -> Vec<String> {
    let filter: Selector = filter.parse().unwrap();
    let after = after.map(name);
    let holdings = fixture.journal.holdings(after.as_ref(), &filter, most);
    holdings
        .iter()
        .map(|held| held.channel.to_string())
        .collect()
}

pub fn channels_are_seen_page_by_page_in_the_order_of_their_names(open: Open) {
    let fixture = Fixture::open(open);
    fixture.publish_all(&["b", "a/2", "c", "a/1", "a", "b"]);
    assert_eq!(names(&fixture, None, "**", 2), ["a", "a/1"]);
    assert_eq!(names(&fixture, Some("a/1"), "**", 2), ["a/2", "b"]);
    assert_eq!(names(&fixture, Some("b"), "**", 2), ["c"]);
    assert_eq!(names(&fixture, Some("c"), "**", 2), [""; 0]);
    assert_eq!(names(&fixture, Some("a/1"), "a/*", 9), ["a/2"]);
    assert_eq!(names(&fixture, None, "b", 9), ["b"]);
}

pub fn what_is_kept_of_a_channel_is_counted(open: Open) {
    let fixture = Fixture::with(open, |config| config.channels = vec![keep("a", 2)]);
    for payload in ["1", "2", "3"] {
        fixture.publish_draft(draft("a", payload));
    }
    fixture.publish_draft(Draft {
        ttl: Some(Duration::from_secs(60)),
        ..draft("a", "4")
    });
    let held = &fixture.journal.holdings(None, &Selector::everything(), 9)[0];
    assert_eq!(held.events, 2);
    assert!(held.bytes > 0);
    assert_eq!(
        held.last,
        Some(fixture.cursor(3)),
        "the fourth is not owed for ever"
    );
}

pub fn what_is_kept_of_all_is_what_is_kept_of_each(open: Open) {
    let fixture = Fixture::with(open, |config| config.channels = vec![keep("a", 2)]);
    fixture.publish_all(&["a", "b", "a", "c", "a", "b"]);
    assert!(fixture.forget("c"));
    let sum = |fixture: &Fixture| {
        let holdings = fixture.journal.holdings(None, &Selector::everything(), 9);
        let events: u64 = holdings.iter().map(|held| held.events).sum();
        let bytes: u64 = holdings.iter().map(|held| held.bytes).sum();
        (holdings.len() as u64, events, bytes)
    };
    let Statistics {
        channels,
        events,
        bytes,
        commits,
        ..
    } = fixture.journal.statistics();
    assert_eq!((channels, events, bytes), sum(&fixture));
    assert_eq!(events, 4);
    assert!(commits >= 6, "{commits}");
}
