//! Who is live is offered everything it asked for, and obeyed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::listener::{Answer, Listener, PATIENCE, hub};
use crate::journal::AppendError;
use crate::roster::Way;

const AMPLE: usize = 10_000;

#[test]
fn everyone_gets_what_it_asked_for_once_and_in_order() {
    for shards in [1, 2, 5] {
        let hub = hub(shards, AMPLE);
        let cases = [
            ("a", vec![1, 4, 6]),
            ("b", vec![2]),
            ("a,b", vec![1, 2, 4, 6]),
            ("r/*", vec![3, 5]),
            ("r/*,a,r/1", vec![1, 3, 4, 5, 6]),
            ("**", vec![1, 2, 3, 4, 5, 6]),
            ("nowhere", vec![]),
        ];
        let listeners = cases.map(|(list, expected)| {
            let listeners = [0; 3].map(|_| Listener::new(&hub));
            listeners.iter().for_each(|one| hub.listen(one, list));
            (list, listeners, expected)
        });
        hub.say_all(&["a", "b", "r/1", "a", "r/2", "a"]);
        hub.settle();
        for (list, listeners, expected) in listeners {
            for listener in listeners {
                assert_eq!(listener.got(), expected, "{list} on {shards} shards");
            }
        }
    }
}

#[test]
fn what_a_newcomer_lacks_is_counted_when_it_gets_it() {
    let hub = hub(1, AMPLE);
    let first = Listener::new(&hub);
    hub.listen(&first, "a");
    hub.settle();
    hub.say_times(3, "a");
    hub.settle();
    let newcomer = Listener::new(&hub);
    hub.join_at(&newcomer, hub.at("a", 0));
    hub.settle();
    assert_eq!(newcomer.got(), [1, 2, 3]);
    let metrics = hub.metrics();
    assert_eq!(metrics.delivered(Way::Sse).get(), 6);
    let delays = metrics.delay.get().buckets;
    let observed: u64 = delays.iter().map(|(_, count)| count).sum();
    assert_eq!(observed, 3, "it came late, and no event did");
}

#[test]
fn what_piled_up_comes_in_one_run() {
    let hub = hub(1, AMPLE);
    let holder = Listener::answering(&hub, &[Answer::Hold]);
    let listener = Listener::new(&hub);
    hub.listen(&holder, "hold");
    hub.listen(&listener, "a");
    hub.say("hold");
    holder.wait_held();
    hub.say_times(100, "a");
    holder.release();
    hub.settle();
    let notes = listener.notes();
    assert_eq!(notes.got, (2..=101).collect::<Vec<_>>());
    assert_eq!(notes.offers, 1);
}

#[test]
fn an_event_that_somebody_got_has_one_delay_on_each_shard() {
    for (listeners, counted) in [
        (&[][..], 0),
        (&["nowhere", "no/*"], 0),
        (&["a"], 3),
        (&["a", "a", "a"], 3),
        (&["a,b"], 4),
        (&["a", "a,b", "b,r/*"], 5),
        (&["a", "**", "**", "b"], 6),
    ] {
        let hub = hub(1, AMPLE);
        let holder = Listener::answering(&hub, &[Answer::Hold]);
        hub.listen(&holder, "hold");
        let listening: Vec<_> = listeners
            .iter()
            .map(|list| (Listener::new(&hub), list))
            .collect();
        listening
            .iter()
            .for_each(|(one, list)| hub.listen(one, list));
        let delays = || {
            let buckets = hub.metrics().delay.get().buckets;
            buckets.iter().map(|(_, count)| count).sum::<u64>()
        };
        hub.settle();
        hub.say("hold");
        holder.wait_held();
        // One turn, of which not all is for everyone.
        hub.say_all(&["a", "b", "r/1", "a", "c", "a"]);
        holder.release();
        hub.settle();
        assert_eq!(delays(), 1 + counted, "{listeners:?}");
        hub.say("c");
        hub.settle();
        let is_heard = u64::from(listeners.contains(&"**"));
        assert_eq!(
            delays(),
            1 + counted + is_heard,
            "{listeners:?}, one by one"
        );
    }
}

#[test]
fn of_a_run_that_is_taken_in_part_only_that_has_a_delay() {
    for list in ["a", "a,b"] {
        let hub = hub(1, AMPLE);
        let holder = Listener::answering(&hub, &[Answer::Hold]);
        let slow = Listener::answering(&hub, &[Answer::Behind(2)]);
        hub.listen(&holder, "hold");
        hub.listen(&slow, list);
        hub.settle();
        hub.say("hold");
        holder.wait_held();
        hub.say_times(5, "a");
        holder.release();
        hub.settle();
        slow.wait_behind();
        let buckets = hub.metrics().delay.get().buckets;
        let delays: u64 = buckets.iter().map(|(_, count)| count).sum();
        assert_eq!(delays, 1 + 2, "{list}");
    }
}

#[test]
fn events_up_to_the_cursor_are_skipped_even_when_the_shard_is_not_there_yet() {
    let hub = hub(1, AMPLE);
    hub.say("hold");
    hub.settle();
    let holder = Listener::answering(&hub, &[Answer::Hold]);
    hub.join_at(&holder, hub.at("hold", 0));
    // The shard is held up while it seats somebody: it is at 1 when the next ones come.
    holder.wait_held();
    hub.say_all(&["a", "a", "a"]);
    let ahead = Listener::new(&hub);
    hub.join_at(&ahead, hub.at("a", 3));
    let leaver = Listener::new(&hub);
    hub.join_at(&leaver, hub.at("a", 4));
    hub.recall(leaver.name());
    holder.release();
    hub.settle();
    assert_eq!(ahead.got(), [4]);
    assert_eq!(leaver.wait_behind(), 4, "it never goes back");
}

#[test]
fn who_is_done_is_offered_nothing_more() {
    let hub = hub(2, AMPLE);
    let once = [0; 4].map(|_| Listener::answering(&hub, &[Answer::Done]));
    let stays = [0; 4].map(|_| Listener::new(&hub));
    for (once, stays) in once.iter().zip(&stays) {
        hub.listen(once, "a");
        hub.listen(stays, "a");
    }
    for _ in 0..3 {
        hub.say("a");
        hub.settle();
    }
    for (once, stays) in once.iter().zip(&stays) {
        assert_eq!(once.got(), [1]);
        assert_eq!(stays.got(), [1, 2, 3]);
        assert_eq!(Arc::strong_count(once), 1, "the hub lets go of it");
    }
}

#[test]
fn who_leaves_is_offered_nothing_more_and_is_not_told() {
    let hub = hub(2, AMPLE);
    for list in ["a", "a,b"] {
        let leaver = Listener::new(&hub);
        hub.listen(&leaver, list);
        let first = hub.say("a");
        hub.settle();
        hub.leave(leaver.name());
        hub.leave(leaver.name());
        hub.say("a");
        hub.settle();
        assert_eq!(leaver.got(), [first]);
        assert_eq!(leaver.notes().behind, None);
        assert_eq!(Arc::strong_count(&leaver), 1);
    }
}

#[test]
fn who_is_recalled_falls_behind_where_it_is() {
    let hub = hub(2, AMPLE);
    for list in ["a", "**"] {
        let listener = Listener::new(&hub);
        hub.listen(&listener, list);
        let last = hub.say("a");
        hub.settle();
        hub.recall(listener.name());
        assert_eq!(listener.wait_behind(), last);
        hub.recall(listener.name());
        hub.say("a");
        hub.settle();
        assert_eq!(listener.got(), [last], "{list}: it is not live any more");
        assert_eq!(listener.notes().behind, None);
    }
}

#[test]
fn a_beat_tells_how_far_a_live_subscriber_is() {
    let hub = hub(2, AMPLE);
    let listener = Listener::new(&hub);
    let stranger = Listener::new(&hub);
    hub.listen(&listener, "a");
    hub.say_all(&["a", "b", "b"]);
    hub.settle();
    hub.beat(listener.name());
    hub.beat(stranger.name());
    hub.settle();
    assert_eq!(
        listener.notes().beats,
        [3],
        "also over what it did not ask for"
    );
    assert!(stranger.notes().beats.is_empty());
}

#[test]
fn who_asks_is_told_when_it_has_everything_published_before() {
    for list in ["a", "a,b"] {
        let hub = hub(1, AMPLE);
        let holder = Listener::answering(&hub, &[Answer::Hold]);
        let listener = Listener::new(&hub);
        hub.listen(&holder, "hold");
        hub.listen(&listener, list);
        hub.say("hold");
        holder.wait_held();
        hub.say_all(&["a", "c", "a"]);
        hub.ask(listener.name());
        holder.release();
        let notes = listener.wait("it is told", |notes| !notes.answered.is_empty());
        assert_eq!(notes.answered, [4], "{list}");
        assert_eq!(notes.got, [2, 4], "{list}");
    }
}

#[test]
fn closing_offers_what_was_published_and_refuses_more() {
    let hub = hub(2, AMPLE);
    let listeners = [0; 4].map(|_| Listener::new(&hub));
    listeners.iter().for_each(|one| hub.listen(one, "a"));
    hub.say_times(50, "a");
    hub.close(Instant::now() + PATIENCE);
    for listener in listeners {
        assert_eq!(listener.got(), (1..=50).collect::<Vec<_>>());
    }
    let draft = crate::journal::Draft::text("a".parse().unwrap(), "late");
    assert_eq!(hub.publish(draft).unwrap_err(), AppendError::Closed);
}

#[test]
fn closing_waits_no_longer_than_it_may() {
    let hub = hub(1, AMPLE);
    let holder = Listener::answering(&hub, &[Answer::Hold]);
    hub.listen(&holder, "a");
    hub.say("a");
    holder.wait_held();
    let begun = Instant::now();
    hub.close(begun + Duration::from_millis(1));
    assert!(begun.elapsed() < PATIENCE);
    assert!(holder.got().is_empty(), "the shard is still held up");
    holder.release();
}
