//! Who waits for its next events once is given all of them or looks for itself, and leaves no trace.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::listener::{Answer, Listener, PAGE, PATIENCE, hub};
use super::splice::{LISTS, everything_in, while_publishing};
use crate::hub::Hub;
use crate::hub::fanout::{SubscriberId, Waiter};
use crate::hub::selector::Selection;
use crate::hub::tail::Entry;

impl Hub {
    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.fanout.waiting()
    }
}

/// One who waits once.
struct Guest {
    id: SubscriberId,
    call: Mutex<Option<Call>>,
    called: Condvar,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Call {
    Given(Vec<u64>),
    Look,
}

impl Guest {
    fn new(hub: &Hub) -> Arc<Self> {
        Arc::new(Guest {
            id: hub.new_id(),
            call: Mutex::new(None),
            called: Condvar::new(),
        })
    }

    fn answer(&self, call: Call) {
        let before = self.call.lock().unwrap().replace(call);
        assert_eq!(before, None, "it is called once");
        self.called.notify_all();
    }

    fn call(&self) -> Option<Call> {
        self.call.lock().unwrap().clone()
    }

    fn wait(&self) -> Call {
        let call = self.call.lock().unwrap();
        let (call, _) = self
            .called
            .wait_timeout_while(call, PATIENCE, |call| call.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        call.clone().expect("it is called")
    }
}

impl Waiter for Guest {
    fn id(&self) -> SubscriberId {
        self.id
    }

    fn take(self: Arc<Self>, entries: Vec<Arc<Entry>>) {
        self.answer(Call::Given(
            entries.iter().map(|entry| entry.seq()).collect(),
        ));
    }

    fn look(self: Arc<Self>) {
        self.answer(Call::Look);
    }
}

/// Looks and waits, again and again as clients do, until it was given `last`.
fn poll_until(hub: &Hub, list: &str, last: u64) -> Vec<u64> {
    let (mut place, mut got) = (0, Vec::new());
    while got.last() != Some(&last) {
        let selection = hub.at(list, place).selection;
        let page = hub.read(&selection, place, PAGE).unwrap();
        assert!(page.loss.is_none());
        got.extend(page.entries.iter().map(|entry| entry.seq()));
        place = page.cursor;
        let guest = Guest::new(hub);
        if !page.entries.is_empty() || !hub.wait(guest.clone(), &Arc::new(selection), place) {
            continue;
        }
        if let Call::Given(seqs) = guest.wait() {
            place = *seqs.last().expect("at least one");
            got.extend(seqs);
        }
    }
    got
}

fn everything_once_in_order(shards: usize, tail_events: usize) {
    let hub = hub(shards, tail_events);
    while_publishing(&hub, &LISTS, |list, last| {
        assert_eq!(
            poll_until(&hub, list, last),
            everything_in(&hub, list),
            "{list}"
        );
    });
    assert_eq!(hub.waiting(), 0);
}

#[test]
fn who_waits_again_and_again_gets_every_event_once_and_in_order() {
    everything_once_in_order(1, 10_000);
}

#[test]
fn so_it_is_where_several_shards_call() {
    everything_once_in_order(3, 10_000);
}

#[test]
fn so_it_is_where_the_tail_is_always_overrun() {
    everything_once_in_order(2, 2);
}

#[test]
fn so_it_is_beside_a_live_subscriber() {
    let hub = hub(1, 10_000);
    assert!(LISTS.contains(&"**"));
    while_publishing(&hub, &LISTS, |list, last| {
        let live = Listener::new(&hub);
        let got = match list {
            "**" => {
                live.follow(&hub, hub.at(list, 0), last);
                live.got()
            }
            _ => poll_until(&hub, list, last),
        };
        assert_eq!(got, everything_in(&hub, list), "{list}");
    });
}

fn wait(hub: &Hub, guest: &Arc<Guest>, list: &str, place: u64) -> (bool, Arc<Selection>) {
    let selection = Arc::new(hub.at(list, place).selection);
    (hub.wait(guest.clone(), &selection, place), selection)
}

#[test]
fn who_looked_before_the_newest_event_looks_again() {
    let hub = hub(2, 100);
    hub.say_all(&["a", "b"]);
    let guest = Guest::new(&hub);
    assert!(!wait(&hub, &guest, "a", 1).0, "b came since");
    assert_eq!(hub.waiting(), 0);
    assert!(wait(&hub, &guest, "a", 2).0);
    assert_eq!(hub.waiting(), 1);
    hub.say_all(&["b", "a"]);
    assert_eq!(guest.wait(), Call::Given(vec![4]));
    assert_eq!(hub.waiting(), 0);
}

#[test]
fn who_withdraws_is_forgotten_and_never_called() {
    let hub = hub(2, 100);
    for list in ["a", "a,b"] {
        let guest = Guest::new(&hub);
        let (waits, selection) = wait(&hub, &guest, list, hub.head().seq);
        assert!(waits && hub.withdraw(guest.id, &selection));
        hub.say("a");
        hub.settle();
        assert_eq!((guest.call(), hub.waiting()), (None, 0), "{list}");
        assert!(!hub.withdraw(guest.id, &selection));
        assert_eq!(Arc::strong_count(&guest), 1, "the hub lets go of it");
    }
}

#[test]
fn an_overrun_shard_sends_all_who_wait_to_look_for_themselves() {
    let hub = hub(1, 4);
    let holder = Listener::answering(&hub, &[Answer::Hold]);
    hub.listen(&holder, "hold");
    hub.say("hold");
    holder.wait_held();
    let guests = ["a", "a,b", "**", "quiet"].map(|list| {
        let guest = Guest::new(&hub);
        assert!(wait(&hub, &guest, list, 1).0, "{list}");
        guest
    });
    hub.say_times(100, "a");
    holder.release();
    for guest in guests {
        assert_eq!(guest.wait(), Call::Look);
    }
    assert_eq!(hub.waiting(), 0);
}

#[test]
fn whose_event_was_deleted_meanwhile_looks_for_itself() {
    let hub = hub(1, 100);
    let holder = Listener::answering(&hub, &[Answer::Hold]);
    hub.listen(&holder, "hold");
    hub.say("hold");
    holder.wait_held();
    let (deleted, other) = (Guest::new(&hub), Guest::new(&hub));
    assert!(wait(&hub, &deleted, "a", 1).0 && wait(&hub, &other, "b", 1).0);
    hub.say("a");
    assert!(hub.forget(&"a".parse().unwrap()).unwrap());
    hub.say("b");
    holder.release();
    assert_eq!(deleted.wait(), Call::Look);
    assert_eq!(other.wait(), Call::Given(vec![3]));
}
