//! What DELETE takes.

use std::thread;
use std::time::Duration;

use super::fixture::{AMPLE, Fixture, Open, draft, eventually, keep, name, seqs};
use crate::config::Sync;
use crate::hub::channel::LossReason;
use crate::hub::tail::{Page, Tail};
use crate::journal::{Loss, Start};

fn deleted(channel: &str, mark: u64) -> Option<Loss> {
    Some(Loss {
        reason: LossReason::Deleted,
        channels: vec![(name(channel), mark)],
        folded: 0,
    })
}

pub fn a_channel_is_empty_and_says_that_it_was_deleted(open: Open) {
    let fixture = Fixture::open(open);
    fixture.publish_all(&["a", "b", "a"]);
    assert!(fixture.forget("a"));
    for list in ["a", "a,c", "*"] {
        for place in [0, 1, 2] {
            let page = fixture.read(&fixture.after(list, place));
            assert_eq!(page.loss, deleted("a", 3), "{list} after {place}");
            assert!(!seqs(&page.events).contains(&1));
            assert!(!seqs(&page.events).contains(&3));
        }
        assert_eq!(fixture.read(&fixture.after(list, 3)).loss, None);
        let earliest = fixture.begin(list, Start::Earliest);
        assert_eq!(fixture.read(&earliest).loss, None, "{list}");
    }
}

pub fn deletion_counts_more_than_retention(open: Open) {
    let fixture = Fixture::with(open, |config| config.channels = vec![keep("**", 1)]);
    fixture.publish_all(&["a", "a", "b", "b"]);
    assert!(fixture.forget("b"));
    let loss = fixture.read(&fixture.after("a,b", 0)).loss.unwrap();
    assert_eq!(loss.reason, LossReason::Deleted);
    assert_eq!(loss.channels.len(), 2);
    let loss = fixture.read(&fixture.after("a", 0)).loss.unwrap();
    assert_eq!(loss.reason, LossReason::Retention);
}

pub fn an_unknown_channel_cannot_be_forgotten(open: Open) {
    let fixture = Fixture::open(open);
    assert!(!fixture.forget("a"));
    fixture.publish("a");
    assert!(fixture.forget("a"));
}

pub fn other_channels_keep_what_they_have(open: Open) {
    let fixture = Fixture::open(open);
    fixture.publish_all(&["a", "b", "a", "a/b"]);
    assert!(fixture.forget("a"));
    assert_eq!(fixture.seqs_from("b,a/b", Start::Earliest), [2, 4]);
    let page = fixture.read(&fixture.after("b,a/*", 0));
    assert_eq!(page.loss, None);
    assert_eq!(seqs(&page.events), [2, 4]);
}

pub fn what_comes_after_is_kept_and_read(open: Open) {
    let fixture = Fixture::open(open);
    fixture.publish_all(&["a", "a"]);
    assert!(fixture.forget("a"));
    assert_eq!(fixture.publish("a"), 3);
    assert_eq!(seqs(&fixture.read(&fixture.after("a", 0)).events), [3]);
    assert_eq!(fixture.seqs_from("a", Start::Last(5)), [3]);
}

pub fn forgetting_twice_is_told_as_one_loss(open: Open) {
    let fixture = Fixture::open(open);
    fixture.publish("a");
    assert!(fixture.forget("a"));
    assert!(fixture.forget("a"), "the channel is still there");
    let mut beginning = fixture.after("a", 0);
    let loss = fixture.read(&beginning).loss;
    assert_eq!(loss, deleted("a", 1));
    loss.unwrap().excuse(&mut beginning.selection);
    assert!(fixture.forget("a"));
    assert_eq!(fixture.read(&beginning).loss, None);
}

pub fn an_event_that_was_not_owed_any_more_is_not_told_as_deleted(open: Open) {
    let fixture = Fixture::open(open);
    fixture.publish_draft(draft("a", "x").with_ttl(Duration::from_millis(1)));
    eventually("its time is over", || {
        fixture.seqs_from("a", Start::Earliest).is_empty()
    });
    assert!(fixture.forget("a"));
    assert_eq!(fixture.read(&fixture.after("a", 0)).loss, None);
}

/// The tail is read without the journal's lock, so in the midst of a deletion too.
pub fn what_is_deleted_while_the_tail_is_read_is_given_or_told(open: Open) {
    let fixture = Fixture::with(open, |config| config.journal.sync = Sync::Never);
    let selection = fixture.after("a", 0).selection;
    let tail = Tail::new(0, 10, usize::MAX);
    for place in 0..1_000 {
        let seq = fixture.publish("a");
        tail.push(&fixture.heard.since(place));
        let is_told = || {
            let mut page = Page::after(seq - 1);
            assert!(tail.extend(&mut page, &selection, AMPLE, 0));
            let is_given = page.entries.len() == 1;
            let told = if is_given { None } else { deleted("a", seq) };
            assert_eq!(page.loss, told);
            !is_given
        };
        thread::scope(|scope| {
            scope.spawn(|| assert!(fixture.forget("a")));
            eventually("it is told", is_told);
        });
    }
}
