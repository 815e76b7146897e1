//! The lobby alone, with its shard played by the test: nobody is given a hole, nobody is called twice, and
//! the count comes back to zero.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Call, Lobby};
use crate::event::{Data, Epoch, Event, EventType, Id};
use crate::hub::channel::{Channel, ChannelName};
use crate::hub::fanout::{Fanout, SubscriberId, Waiter};
use crate::hub::selector::Selection;
use crate::hub::tail::Entry;

impl Fanout {
    /// How many wait.
    pub fn waiting(&self) -> usize {
        let shards = self.shards.iter();
        shards.map(|shard| shard.lobby.list().count).sum()
    }
}

/// One who waits and is only asked for its name: what it would be given is in the call.
struct Guest(SubscriberId);

impl Waiter for Guest {
    fn id(&self) -> SubscriberId {
        self.0
    }

    fn take(self: Arc<Self>, _: Vec<Arc<Entry>>) {}

    fn look(self: Arc<Self>) {}
}

fn selection(list: &str) -> Arc<Selection> {
    let selectors = list.split(',').map(|text| text.parse().unwrap());
    Arc::new(Selection::new(selectors))
}

impl Lobby {
    /// Lets guest `number` wait.
    fn seat(&self, number: u64, list: &str, after: u64) {
        let guest = Arc::new(Guest(SubscriberId(number)));
        self.enter(guest, selection(list), after);
    }

    fn unseat(&self, number: u64, list: &str) -> bool {
        self.withdraw(SubscriberId(number), &selection(list))
    }

    fn count(&self) -> usize {
        let list = self.list();
        let seated: usize = list.channels.values().map(Vec::len).sum();
        assert_eq!(list.count, seated + list.wide.len());
        assert!(list.channels.values().all(|row| !row.is_empty()));
        list.count
    }

    /// What a shard does with one run, `last` being the seq of its last event.
    fn spread(&self, entries: &[Arc<Entry>]) -> Calls {
        self.pass(entries.last().unwrap().seq());
        let mut calls = self.call_wide(entries);
        let mut channels: HashMap<ChannelName, Vec<Arc<Entry>>> = HashMap::new();
        for entry in entries {
            let name = entry.event().channel.name().clone();
            channels.entry(name).or_default().push(entry.clone());
        }
        for (name, run) in channels {
            calls.extend(self.call_channel(&name, &run));
        }
        readable(calls)
    }
}

/// Who was called, in the order of their numbers, and the seqs that each was given; none when it has to look
/// for itself.
type Calls = Vec<(u64, Option<Vec<u64>>)>;

fn readable(calls: Vec<Call>) -> Calls {
    let seqs = |entries: Vec<Arc<Entry>>| entries.iter().map(|entry| entry.seq()).collect();
    let mut calls: Calls = calls
        .into_iter()
        .map(|(waiter, entries)| (waiter.id().0, entries.map(seqs)))
        .collect();
    calls.sort_unstable();
    calls
}

/// Consecutive events from `first` on, one in each of these channels.
fn entries(first: u64, channels: &[&str]) -> Vec<Arc<Entry>> {
    let entry = |(seq, name): (u64, &&str)| {
        Arc::new(Entry::new(Arc::new(Event {
            id: Id {
                epoch: Epoch::from_random(1),
                seq,
            },
            channel: Arc::new(Channel::new(name.parse().unwrap())),
            kind: EventType::message(),
            time: 1,
            expires: None,
            content_type: None,
            data: Data::Text("x".into()),
        })))
    };
    (first..).zip(channels).map(entry).collect()
}

#[test]
fn everyone_is_called_once_with_all_that_it_asked_for() {
    let lobby = Lobby::default();
    lobby.seat(1, "a", 0);
    lobby.seat(2, "b", 0);
    lobby.seat(3, "a,b", 0);
    lobby.seat(4, "*", 1);
    lobby.seat(5, "r/**", 0);
    lobby.seat(6, "a", 3);
    assert_eq!(lobby.count(), 6);
    let calls = lobby.spread(&entries(1, &["a", "b", "a"]));
    let expected = [
        (1, Some(vec![1, 3])),
        (2, Some(vec![2])),
        (3, Some(vec![1, 2, 3])),
        (4, Some(vec![2, 3])),
    ];
    assert_eq!(calls, expected);
    assert_eq!(lobby.count(), 2);
    let calls = lobby.spread(&entries(4, &["a", "r/1"]));
    assert_eq!(calls, [(5, Some(vec![5])), (6, Some(vec![4]))]);
    assert_eq!(lobby.count(), 0);
    assert!(lobby.spread(&entries(6, &["a"])).is_empty());
}

#[test]
fn who_comes_while_its_event_is_being_given_out_is_given_no_hole() {
    for list in ["a", "a,b"] {
        let lobby = Lobby::default();
        let run = entries(1, &["a", "a"]);
        // The shard has passed the first two when they come who have seen none of them, one, and both.
        lobby.spread(&run);
        lobby.seat(1, list, 0);
        lobby.seat(2, list, 1);
        lobby.seat(3, list, 2);
        let calls = lobby.spread(&entries(3, &["a"]));
        assert_eq!(calls, [(3, Some(vec![3]))], "{list}");
        assert!(lobby.unseat(1, list) && lobby.unseat(2, list));
        assert_eq!(lobby.count(), 0);
    }
}

#[test]
fn who_comes_between_the_parts_of_a_run_is_given_all_of_it_or_nothing() {
    let lobby = Lobby::default();
    let run = entries(1, &["a", "b"]);
    lobby.pass(2);
    assert!(lobby.call_wide(&run).is_empty());
    lobby.seat(1, "a,b", 0);
    lobby.seat(2, "b", 0);
    assert!(
        lobby
            .call_channel(run[1].event().channel.name(), &run[1..])
            .is_empty()
    );
    assert!(lobby.unseat(1, "a,b") && lobby.unseat(2, "b"));
}

#[test]
fn who_was_called_cannot_withdraw_and_who_withdrew_is_not_called() {
    for list in ["a", "a,b", "*"] {
        let lobby = Lobby::default();
        lobby.seat(1, list, 0);
        lobby.seat(2, list, 0);
        assert!(lobby.unseat(1, list), "{list}");
        assert!(!lobby.unseat(1, list), "{list}: twice");
        assert_eq!(lobby.spread(&entries(1, &["a"])), [(2, Some(vec![1]))]);
        assert!(!lobby.unseat(2, list), "{list}: a shard has it");
        assert_eq!(lobby.count(), 0);
    }
}

#[test]
fn when_a_shard_was_overrun_everyone_looks_for_itself() {
    let lobby = Lobby::default();
    for (number, list) in [(1, "a"), (2, "a"), (3, "b"), (4, "a,b"), (5, "**")] {
        lobby.seat(number, list, 0);
    }
    let calls = readable(lobby.clear());
    assert_eq!(calls, [1, 2, 3, 4, 5].map(|number| (number, None)));
    assert_eq!(lobby.count(), 0);
    assert!(readable(lobby.clear()).is_empty());
    assert!(!lobby.unseat(1, "a") && !lobby.unseat(5, "**"));
}

#[test]
fn whose_event_was_deleted_looks_for_itself_and_the_others_wait_on() {
    let lobby = Lobby::default();
    lobby.seat(1, "a", 0);
    lobby.seat(2, "*", 0);
    lobby.seat(3, "b", 0);
    lobby.seat(4, "c", 0);
    let run = entries(1, &["a", "b"]);
    run[0].event().channel.delete(1);
    let calls = lobby.spread(&run);
    assert_eq!(calls, [(1, None), (2, None), (3, Some(vec![2]))]);
    assert_eq!(lobby.count(), 1);
}

#[test]
fn an_empty_lobby_is_passed_over_up_to_the_head() {
    let lobby = Lobby::default();
    assert_eq!(lobby.pass_over(10), None);
    // Who looked before the head had gone there has to look again; it may have missed something.
    lobby.seat(1, "a", 9);
    assert!(lobby.spread(&entries(11, &["a"])).is_empty());
    assert!(lobby.unseat(1, "a"));
    assert_eq!(lobby.pass_over(5), None);
    lobby.seat(2, "a", 11);
    assert_eq!(lobby.pass_over(20), Some(11));
    assert_eq!(lobby.spread(&entries(12, &["a"])), [(2, Some(vec![12]))]);
}

#[test]
fn a_shard_begins_where_the_first_of_those_who_wait_is() {
    let lobby = Lobby::default();
    lobby.seat(1, "a", 7);
    lobby.seat(2, "a", 5);
    lobby.seat(3, "b", 6);
    assert_eq!(lobby.pass_over(9), Some(5));
    assert!(lobby.unseat(1, "a") && lobby.unseat(2, "a") && lobby.unseat(3, "b"));
    assert_eq!(lobby.pass_over(9), None);
    lobby.seat(4, "a", 9);
    assert_eq!(
        lobby.pass_over(12),
        Some(9),
        "whoever has gone counts no more"
    );
}

#[test]
fn news_is_told_only_while_somebody_waits() {
    let lobby = Lobby::default();
    assert!(!lobby.is_occupied());
    lobby.seat(1, "a", 0);
    assert!(lobby.is_occupied());
    lobby.vacate();
    assert!(lobby.is_occupied(), "somebody waits");
    assert!(lobby.unseat(1, "a"));
    lobby.vacate();
    assert!(!lobby.is_occupied());
    lobby.occupy();
    assert!(lobby.is_occupied());
}

#[test]
fn who_comes_after_a_shard_has_begun_further_on_is_given_no_hole() {
    for list in ["a", "a,b"] {
        let lobby = Lobby::default();
        // One event came between the look of the first and that of the second, who waits earlier.
        lobby.seat(2, list, 100);
        let place = lobby.pass_over(101);
        lobby.seat(1, list, 99);
        assert_eq!(place, Some(100));
        let calls = lobby.spread(&entries(101, &["a"]));
        assert_eq!(calls, [(2, Some(vec![101]))], "{list}");
        assert!(lobby.unseat(1, list), "{list}: it looks again");
    }
}
