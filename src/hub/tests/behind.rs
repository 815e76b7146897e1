//! Falling behind: told with the right place, and nothing is lost when it goes on from there.

use super::listener::{Answer, Listener, hub, hub_with};
use crate::config::Retention;
use crate::hub::channel::LossReason;
use crate::hub::selector::Selector;
use crate::journal::Start;

const AMPLE: usize = 10_000;

#[test]
fn who_takes_a_part_goes_on_behind_it() {
    for (list, taken, place) in [("a", 0, 1), ("a", 2, 4), ("a,b", 0, 1), ("a,b", 2, 3)] {
        let hub = hub(1, AMPLE);
        let holder = Listener::answering(&hub, &[Answer::Hold]);
        let listener = Listener::answering(&hub, &[Answer::Behind(taken)]);
        hub.listen(&holder, "hold");
        hub.listen(&listener, list);
        hub.say("hold");
        holder.wait_held();
        hub.say_all(&["a", "b", "a", "a"]);
        holder.release();
        hub.settle();
        assert_eq!(listener.wait_behind(), place, "{list} after {taken}");
        let mut selection = hub.at(list, place).selection;
        listener.catch_up(&hub, &mut selection, place);
        hub.say("a");
        hub.settle();
        let expected = if list == "a" {
            vec![2, 4, 5, 6]
        } else {
            vec![2, 3, 4, 5, 6]
        };
        assert_eq!(listener.got(), expected, "{list} after {taken}");
    }
}

#[test]
fn one_that_falls_behind_costs_the_others_nothing() {
    let hub = hub(1, AMPLE);
    let slow = [0; 3].map(|_| Listener::answering(&hub, &[Answer::Behind(0)]));
    let quick = [0; 3].map(|_| Listener::new(&hub));
    for (slow, quick) in slow.iter().zip(&quick) {
        hub.listen(slow, "a");
        hub.listen(quick, "a");
    }
    hub.say_all(&["a", "a"]);
    hub.settle();
    for (slow, quick) in slow.iter().zip(&quick) {
        assert_eq!(slow.wait_behind(), 0);
        assert_eq!(quick.got(), [1, 2]);
    }
}

#[test]
fn a_deleted_event_is_not_offered() {
    for list in ["a", "a,b"] {
        let hub = hub(1, AMPLE);
        let holder = Listener::answering(&hub, &[Answer::Hold]);
        let listener = Listener::new(&hub);
        hub.listen(&holder, "hold");
        hub.listen(&listener, list);
        hub.settle();
        hub.say("hold");
        holder.wait_held();
        hub.say("a");
        assert!(hub.forget(&"a".parse().unwrap()).unwrap());
        hub.say("a");
        holder.release();
        assert_eq!(listener.wait_behind(), 1, "{list}");
        let mut selection = hub.at(list, 1).selection;
        listener.catch_up(&hub, &mut selection, 1);
        hub.settle();
        assert_eq!(listener.got(), [3], "{list}");
        assert_eq!(listener.notes().losses, 1, "{list}");
    }
}

#[test]
fn who_joins_over_a_deleted_event_is_told_before_it_is_live() {
    let hub = hub(1, AMPLE);
    hub.say_all(&["a", "a", "b"]);
    hub.settle();
    assert!(hub.forget(&"a".parse().unwrap()).unwrap());
    let listener = Listener::new(&hub);
    hub.join_at(&listener, hub.at("a,b", 0));
    assert_eq!(listener.wait_behind(), 0);
    assert!(listener.got().is_empty());
    let page = hub
        .read(&hub.at("a,b", 0).selection, 0, super::listener::PAGE)
        .unwrap();
    assert_eq!(page.loss.unwrap().reason, LossReason::Deleted);
}

#[test]
fn an_overrun_tail_lets_everyone_catch_up_and_nobody_loses_anything() {
    for shards in [1, 2] {
        let hub = hub(shards, 4);
        // One holds up each shard: they are spread by the order in which they come.
        let holders: Vec<_> = (0..shards)
            .map(|_| Listener::answering(&hub, &[Answer::Hold]))
            .collect();
        let readers = ["a", "a", "b,a", "a,b", "**", "**"].map(|list| (list, Listener::new(&hub)));
        holders.iter().for_each(|holder| hub.listen(holder, "hold"));
        readers
            .iter()
            .for_each(|(list, reader)| hub.listen(reader, list));
        // A shard that is held up while it seats them is overrun once more when they are back.
        hub.settle();
        hub.say("hold");
        holders.iter().for_each(|holder| holder.wait_held());
        hub.say_times(100, "a");
        holders.iter().for_each(|holder| holder.release());
        for (list, reader) in &readers {
            let place = reader.wait_behind();
            assert!(place <= 1, "{list} goes on where it was");
            let mut selection = hub.at(list, place).selection;
            reader.catch_up(&hub, &mut selection, place);
        }
        hub.settle();
        let last = hub.say("a");
        hub.settle();
        for (list, reader) in &readers {
            let first = if *list == "**" { 1 } else { 2 };
            assert_eq!(reader.got(), (first..=last).collect::<Vec<_>>(), "{list}");
            assert_eq!(reader.notes().losses, 0, "{list}");
        }
    }
}

#[test]
fn who_is_overtaken_by_retention_is_told_and_gets_the_rest() {
    let hub = hub_with(1, 4, |config| {
        config.channels = vec![Retention {
            pattern: Selector::everything(),
            max_events: 10,
            ..Retention::default()
        }];
    });
    let listener = Listener::answering(&hub, &[Answer::Behind(1)]);
    hub.listen(&listener, "a");
    hub.say("a");
    let place = listener.wait_behind();
    assert_eq!(place, 1);
    hub.say_times(50, "a");
    // The shard may be overrun as well, but not after the subscriber came back.
    hub.settle();
    let mut selection = hub.begin_at("a", Start::Now).selection;
    listener.catch_up(&hub, &mut selection, place);
    hub.say("a");
    hub.settle();
    let expected: Vec<_> = std::iter::once(1).chain(42..=52).collect();
    assert_eq!(listener.got(), expected);
    assert_eq!(listener.notes().losses, 1);
}
