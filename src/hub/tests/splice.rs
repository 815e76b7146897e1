//! History and live are joined without a seam while publishers run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::listener::{Answer, Listener, Running, hub};
use crate::hub::fanout::Run;
use crate::journal::Start;

const CHANNELS: [&str; 5] = ["a", "b", "r/1", "r/2", "s/t/u"];
const PUBLISHERS: usize = 4;
const EACH: usize = 200;

/// Publishers say something everywhere while `listen` runs on each of these lists; the last event of
/// each channel comes when all else was published.
pub fn while_publishing(hub: &Running, lists: &[&str], listen: impl Fn(&str, u64) + Sync) {
    let last = (PUBLISHERS * EACH) as u64 + CHANNELS.len() as u64;
    let begun = AtomicU64::new(0);
    thread::scope(|scope| {
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|number| {
                scope.spawn(move || {
                    for turn in 0..EACH {
                        hub.say(CHANNELS[(number + turn) % CHANNELS.len()]);
                    }
                })
            })
            .collect();
        for (number, list) in lists.iter().enumerate() {
            let (listen, begun) = (&listen, &begun);
            scope.spawn(move || {
                // They come one after another while the others publish.
                let arrival = (number * PUBLISHERS * EACH / lists.len()) as u64;
                while hub.head().seq < arrival {
                    thread::yield_now();
                }
                begun.fetch_add(1, Ordering::Relaxed);
                listen(list, last);
            });
        }
        publishers.into_iter().for_each(|p| p.join().unwrap());
        hub.say_all(&CHANNELS);
    });
    assert_eq!(begun.into_inner(), lists.len() as u64);
    assert_eq!(hub.head().seq, last);
}

pub const LISTS: [&str; 12] = [
    "s/t/u",
    "**",
    "a,s/t/u",
    "s/**",
    "s/t/u,r/*",
    "s/*/u,a,b",
    "**,a",
    "s/t/u",
    "*,s/t/*",
    "**",
    "s/t/u",
    "b,s/**",
];

/// The seqs of all that is kept of these selectors.
pub fn everything_in(hub: &Running, list: &str) -> Vec<u64> {
    let selection = hub.begin_at(list, Start::Earliest).selection;
    let limit = crate::journal::Limit {
        rows: usize::MAX,
        events: usize::MAX,
        bytes: usize::MAX,
    };
    let whole = hub.journal.read(&selection, 0, limit);
    whole
        .unwrap()
        .events
        .iter()
        .map(|event| event.id.seq)
        .collect()
}

fn everything_once_in_order(shards: usize, tail_events: usize, answers: &[Answer]) {
    let hub = hub(shards, tail_events);
    while_publishing(&hub, &LISTS, |list, last| {
        let listener = Listener::answering(&hub, answers);
        let beginning = hub.at(list, 0);
        listener.follow(&hub, beginning, last);
        assert_eq!(listener.got(), everything_in(&hub, list), "{list}");
        assert_eq!(listener.notes().losses, 0);
        hub.leave(listener.name());
    });
}

#[test]
fn who_joins_at_a_stale_place_gets_every_event_once_and_in_order() {
    everything_once_in_order(1, 10_000, &[]);
}

#[test]
fn so_it_is_with_two_shards() {
    everything_once_in_order(2, 10_000, &[]);
}

#[test]
fn so_it_is_with_a_tail_that_is_always_overrun() {
    everything_once_in_order(2, 2, &[]);
}

#[test]
fn so_it_is_for_those_who_keep_falling_behind() {
    let answers: Vec<_> = (0..40).map(|turn| Answer::Behind(turn % 3)).collect();
    everything_once_in_order(2, 50, &answers);
}

#[test]
fn who_joins_straight_from_a_stale_place_gets_it_out_of_the_tail() {
    let hub = hub(2, 10_000);
    hub.say_times(20, "a");
    hub.settle();
    let listeners: [Arc<Listener>; 4] = [0; 4].map(|_| Listener::new(&hub));
    for (listener, list) in listeners.iter().zip(["a", "a,b", "*", "b"]) {
        hub.join_at(listener, hub.at(list, 15));
    }
    hub.say("b");
    hub.settle();
    let got = listeners.each_ref().map(|listener| listener.got());
    assert_eq!(got[0], [16, 17, 18, 19, 20]);
    assert_eq!(got[1], [16, 17, 18, 19, 20, 21]);
    assert_eq!(got[2], [16, 17, 18, 19, 20, 21]);
    assert_eq!(got[3], [21]);
}

#[test]
fn who_joins_further_back_than_the_tail_falls_behind_at_once() {
    let hub = hub(1, 5);
    hub.say_times(20, "a");
    hub.settle();
    let listener = Listener::new(&hub);
    hub.join_at(&listener, hub.at("a", 3));
    assert_eq!(listener.wait_behind(), 3);
    assert!(listener.got().is_empty());
}

#[test]
fn who_joins_further_back_than_one_run_falls_behind_at_once() {
    let hub = hub(1, 10_000);
    hub.say_times(Run::ENTRIES + 1, "a");
    hub.settle();
    let last = hub.head().seq;
    let (far, near) = (Listener::new(&hub), Listener::new(&hub));
    hub.join_at(&far, hub.at("a", 0));
    hub.join_at(&near, hub.at("a", last - 10));
    hub.settle();
    assert_eq!(far.wait_behind(), 0);
    assert!(far.got().is_empty());
    assert_eq!(near.got(), (last - 9..=last).collect::<Vec<_>>());
}
