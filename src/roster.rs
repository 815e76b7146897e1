//! Who is connected: each connection with what it does at the moment, and who says goodbye to its peer.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::access::current::Current;
use crate::access::pass::Holder;
use crate::event::Cursor;
use crate::hub::selector::{Selection, Selector};
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::shutdown::{Leaving, Shutdown};

/// The ways of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// Requests that are answered at once, polls among them, and the pauses between them.
    Http,
    /// A long poll that waits.
    LongPoll,
    /// Server-Sent Events.
    Sse,
    /// One JSON object a line.
    Ndjson,
    /// WebSocket.
    WebSocket,
}

/// What somebody who is connected asks for, and how far it is.
#[derive(Debug, Clone)]
pub struct Presence {
    /// By which way.
    pub way: Way,
    /// The channels and patterns, as its delivery has them; nothing between requests.
    pub asked: Option<Arc<Selection>>,
    /// The place up to which they were given, or examined.
    pub cursor: Option<Cursor>,
    /// Whether it is behind, and has to be caught up.
    pub is_behind: bool,
    /// Who it is; nobody between requests.
    pub holder: Option<Holder>,
}

/// Whoever speaks for a connection at the moment. No call may block.
pub trait Guest: Send + Sync {
    /// What it does.
    fn presence(&self) -> Presence;

    /// Says goodbye in its way because the server stops, or cuts the connection when it is idle.
    fn leave(&self, leaving: Leaving);

    /// Ends the connection for this reason, which is said in its way.
    fn dismiss(&self, refusal: &Refusal);

    /// Goes by what counts now: whoever may not do any more what it does is told so, and let go.
    fn obey(&self, access: &Current);
}

/// The connection itself, whoever speaks for it.
pub trait Link: Send + Sync {
    /// Whoever is at the other end.
    fn peer(&self) -> Peer;

    /// What went over it so far.
    fn traffic(&self) -> Traffic;

    /// Ends it without a word.
    fn cut(&self);
}

/// Bytes that went over a connection, those of HTTP's and WebSocket's own framing among them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// From the peer.
    pub received: u64,
    /// To the peer; handed to the system, which may have some of it still.
    pub sent: u64,
}

/// One connection as it was a moment ago.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// Its number, which no other connection of this server has.
    pub number: u64,
    /// Whoever is at the other end.
    pub peer: Peer,
    /// Since when it is connected.
    pub since: SystemTime,
    /// What went over it so far.
    pub traffic: Traffic,
    /// What it does.
    pub presence: Presence,
}

/// Everyone who is connected to one server; its clones are the same.
#[derive(Clone)]
pub struct Roster {
    shutdown: Shutdown,
    access: Arc<Current>,
    list: Arc<Mutex<List>>,
}

#[derive(Default)]
struct List {
    last: u64,
    slots: BTreeMap<u64, Arc<Slot>>,
    /// What went over those who have gone.
    gone: Traffic,
}

struct Slot {
    number: u64,
    since: SystemTime,
    link: Arc<dyn Link>,
    /// Who says goodbye; nobody while a request is answered. It changes twice a request, so it has a lock of
    /// its own, for which nobody waits but who looks at the roster.
    guest: Mutex<Option<Arc<dyn Guest>>>,
}

impl Roster {
    /// Nobody yet. Whoever comes after the beginning of the end is told goodbye at once.
    pub fn new(shutdown: Shutdown, access: Arc<Current>) -> Self {
        Roster {
            shutdown,
            access,
            list: Arc::default(),
        }
    }

    /// A place for a connection, until it is dropped.
    pub fn berth(&self, link: Arc<dyn Link>) -> Berth {
        let mut list = self.list();
        list.last += 1;
        let slot = Arc::new(Slot {
            number: list.last,
            since: SystemTime::now(),
            link,
            guest: Mutex::new(None),
        });
        list.slots.insert(slot.number, slot.clone());
        Berth {
            roster: self.clone(),
            slot,
        }
    }

    /// Has everyone say goodbye; whoever answers a request at the moment finishes it.
    pub fn say_goodbye(&self, leaving: Leaving) {
        for guest in self.guests() {
            guest.leave(leaving);
        }
    }

    /// Has everyone go by the access that counts now.
    pub fn obey(&self) {
        for guest in self.guests() {
            guest.obey(&self.access);
        }
    }

    /// Cuts every connection that is still there.
    pub fn cut(&self) {
        for slot in self.everyone() {
            slot.link.cut();
        }
    }

    /// At most `most` of those whose numbers are above `after`, in the order of their numbers.
    pub fn look(&self, after: u64, most: usize) -> Vec<Sighting> {
        let slots: Vec<_> = {
            let list = self.list();
            let above = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
            list.slots
                .range(above)
                .take(most)
                .map(|(_, slot)| slot.clone())
                .collect()
        };
        slots.iter().map(|slot| slot.sighting()).collect()
    }

    /// All whose numbers are above `after`, in their order, seen page by page: whoever comes or goes meanwhile waits for
    /// no walk.
    pub fn walk(&self, after: u64) -> impl Iterator<Item = Sighting> {
        const PAGE: usize = 256;
        let mut after = after;
        let pages = std::iter::from_fn(move || {
            let page = self.look(after, PAGE);
            after = page.last()?.number;
            Some(page)
        });
        pages.flatten()
    }

    /// Ends the connection with this number; whoever is at its other end, if there is such a connection.
    pub fn dismiss(&self, number: u64, refusal: &Refusal) -> Option<Peer> {
        let slot = self.list().slots.get(&number).cloned()?;
        let guest = slot.guest().clone();
        match guest {
            Some(guest) => guest.dismiss(refusal),
            None => slot.link.cut(),
        }
        Some(slot.link.peer())
    }

    /// What went over all connections since the start.
    pub fn traffic(&self) -> Traffic {
        let list = self.list();
        let links = list.slots.values().map(|slot| slot.link.traffic());
        links.fold(list.gone, Traffic::plus)
    }

    fn guests(&self) -> Vec<Arc<dyn Guest>> {
        let guest = |slot: &Arc<Slot>| slot.guest().clone();
        self.everyone().iter().filter_map(guest).collect()
    }

    fn everyone(&self) -> Vec<Arc<Slot>> {
        self.list().slots.values().cloned().collect()
    }

    fn list(&self) -> MutexGuard<'_, List> {
        // Every change of the list is one insertion or removal, so a panic leaves it whole.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn guest(&self) -> MutexGuard<'_, Option<Arc<dyn Guest>>> {
        // Every change is one assignment, so a panic leaves it whole.
        self.guest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sighting(&self) -> Sighting {
        let guest = self.guest().clone();
        Sighting {
            number: self.number,
            peer: self.link.peer(),
            since: self.since,
            traffic: self.link.traffic(),
            presence: guest.map_or_else(Presence::between_requests, |guest| guest.presence()),
        }
    }
}

/// One connection's place in the roster.
pub struct Berth {
    roster: Roster,
    slot: Arc<Slot>,
}

impl Berth {
    /// Says who speaks for this connection now; goodbye is said at once, when the end has begun. What counts may be
    /// another access than when it was let in.
    pub fn hold(&self, guest: Arc<dyn Guest>) {
        self.put(Some(guest.clone()));
        guest.obey(&self.roster.access);
        if let Some(leaving) = self.roster.shutdown.begun() {
            guest.leave(leaving);
        }
    }

    /// Says that the connection is busy with a request, which it will finish.
    pub fn release(&self) {
        self.put(None);
    }

    fn put(&self, guest: Option<Arc<dyn Guest>>) {
        let before = std::mem::replace(&mut *self.slot.guest(), guest);
        // Dropped after the slot was let go: it may be the last owner of much.
        drop(before);
    }
}

impl Drop for Berth {
    fn drop(&mut self) {
        let mut list = self.roster.list();
        let slot = list.slots.remove(&self.slot.number);
        // In one go with the removal: a sum that went down would read as a new server.
        list.gone = list.gone.plus(self.slot.link.traffic());
        drop(list);
        drop(slot);
    }
}

impl Presence {
    /// Of a connection that answers a request, or waits for one.
    pub const fn between_requests() -> Self {
        Presence {
            way: Way::Http,
            asked: None,
            cursor: None,
            is_behind: false,
            holder: None,
        }
    }

    /// The channels and patterns.
    pub fn selectors(&self) -> impl Iterator<Item = &Selector> {
        self.asked.iter().flat_map(|asked| asked.selectors())
    }
}

impl Traffic {
    /// Both together.
    pub fn plus(self, other: Traffic) -> Traffic {
        Traffic {
            received: self.received.saturating_add(other.received),
            sent: self.sent.saturating_add(other.sent),
        }
    }

    /// What came after `before`.
    pub fn since(self, before: Traffic) -> Traffic {
        Traffic {
            received: self.received.saturating_sub(before.received),
            sent: self.sent.saturating_sub(before.sent),
        }
    }
}

impl Way {
    /// All ways.
    pub const ALL: [Way; 5] = [
        Way::Http,
        Way::LongPoll,
        Way::Sse,
        Way::Ndjson,
        Way::WebSocket,
    ];

    /// Its name, as the `transport` parameter has it where there is one.
    pub const fn as_str(self) -> &'static str {
        match self {
            Way::Http => "http",
            Way::LongPoll => "long-poll",
            Way::Sse => "sse",
            Way::Ndjson => "ndjson",
            Way::WebSocket => "websocket",
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::config::Config;
    use crate::refusal::Kind;

    /// Notes every goodbye.
    #[derive(Default)]
    struct Noted(Mutex<Vec<Result<Leaving, Kind>>>);

    impl Noted {
        fn told(&self) -> Vec<Result<Leaving, Kind>> {
            self.0.lock().unwrap().clone()
        }
    }

    impl Guest for Noted {
        fn presence(&self) -> Presence {
            Presence {
                way: Way::Sse,
                ..Presence::between_requests()
            }
        }

        fn leave(&self, leaving: Leaving) {
            self.0.lock().unwrap().push(Ok(leaving));
        }

        fn dismiss(&self, refusal: &Refusal) {
            self.0.lock().unwrap().push(Err(refusal.kind));
        }

        fn obey(&self, _: &Current) {}
    }

    /// Counts how often it was cut, and says that as many bytes were received.
    #[derive(Default)]
    struct Wire(AtomicU64);

    impl Wire {
        fn cuts(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    impl Link for Wire {
        fn peer(&self) -> Peer {
            Peer::Unix
        }

        fn traffic(&self) -> Traffic {
            Traffic {
                received: self.cuts(),
                sent: 1,
            }
        }

        fn cut(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn roster() -> (Roster, Shutdown) {
        let shutdown = Shutdown::default();
        let access = Current::new(&Config::default().access).unwrap();
        let roster = Roster::new(shutdown.clone(), Arc::new(access));
        (roster, shutdown)
    }

    fn begin(roster: &Roster, shutdown: &Shutdown, leaving: Leaving) {
        assert!(shutdown.begin(leaving));
        roster.say_goodbye(leaving);
    }

    #[test]
    fn everyone_who_speaks_for_a_connection_says_goodbye_once() {
        let (roster, shutdown) = roster();
        let (wire, first, second) = (
            Arc::<Wire>::default(),
            Arc::<Noted>::default(),
            Arc::<Noted>::default(),
        );
        let one = roster.berth(wire.clone());
        let other = roster.clone().berth(wire.clone());
        one.hold(first.clone());
        other.hold(second.clone());
        begin(&roster, &shutdown, Leaving::Restart);
        assert_eq!(first.told(), [Ok(Leaving::Restart)]);
        assert_eq!(second.told(), [Ok(Leaving::Restart)]);
        assert_eq!(wire.cuts(), 0, "nothing is cut yet");
    }

    #[test]
    fn whoever_comes_after_the_beginning_is_told_at_once() {
        let (roster, shutdown) = roster();
        begin(&roster, &shutdown, Leaving::Away);
        let late = Arc::<Noted>::default();
        roster.berth(Arc::<Wire>::default()).hold(late.clone());
        assert_eq!(late.told(), [Ok(Leaving::Away)]);
    }

    #[test]
    fn only_the_last_who_speaks_for_a_connection_is_told() {
        let (roster, shutdown) = roster();
        let (before, after) = (Arc::<Noted>::default(), Arc::<Noted>::default());
        let berth = roster.berth(Arc::<Wire>::default());
        berth.hold(before.clone());
        berth.hold(after.clone());
        begin(&roster, &shutdown, Leaving::Away);
        assert!(before.told().is_empty());
        assert_eq!(after.told(), [Ok(Leaving::Away)]);
    }

    #[test]
    fn a_connection_that_answers_a_request_is_not_disturbed_but_can_be_cut() {
        let (roster, shutdown) = roster();
        let (wire, idle) = (Arc::<Wire>::default(), Arc::<Noted>::default());
        let berth = roster.berth(wire.clone());
        berth.hold(idle.clone());
        berth.release();
        begin(&roster, &shutdown, Leaving::Restart);
        assert!(idle.told().is_empty() && wire.cuts() == 0);
        roster.cut();
        assert_eq!(wire.cuts(), 1);
        assert!(idle.told().is_empty());
    }

    #[test]
    fn whoever_has_gone_is_neither_told_nor_cut() {
        let (roster, shutdown) = roster();
        let (wire, gone) = (Arc::<Wire>::default(), Arc::<Noted>::default());
        let berth = roster.berth(wire.clone());
        berth.hold(gone.clone());
        drop(berth);
        assert_eq!(Arc::strong_count(&gone), 1, "the list lets go of it");
        begin(&roster, &shutdown, Leaving::Away);
        roster.cut();
        assert!(gone.told().is_empty() && wire.cuts() == 0);
    }

    #[test]
    fn one_connection_is_dismissed_by_its_number() {
        let (roster, _) = roster();
        let (wire, guest) = (Arc::<Wire>::default(), Arc::<Noted>::default());
        let (one, busy) = (roster.berth(wire.clone()), roster.berth(wire.clone()));
        one.hold(guest.clone());
        let numbers: Vec<_> = roster.look(0, 10).iter().map(|seen| seen.number).collect();
        let refusal = Refusal::new(Kind::Restarting, "come back");
        for number in &numbers {
            assert!(roster.dismiss(*number, &refusal).is_some());
        }
        assert_eq!(guest.told(), [Err(Kind::Restarting)]);
        assert_eq!(wire.cuts(), 1, "who answers a request is cut");
        drop((one, busy));
        assert!(roster.dismiss(numbers[0], &refusal).is_none());
    }

    #[test]
    fn all_are_seen_page_by_page() {
        let (roster, _) = roster();
        let berths: Vec<_> = (0..5)
            .map(|_| roster.berth(Arc::<Wire>::default()))
            .collect();
        berths[3].hold(Arc::<Noted>::default());
        let mut seen = Vec::new();
        let mut after = 0;
        loop {
            let page = roster.look(after, 2);
            let Some(last) = page.last() else { break };
            after = last.number;
            seen.extend(page);
        }
        let ways: Vec<_> = seen.iter().map(|seen| seen.presence.way).collect();
        assert_eq!(ways, [Way::Http, Way::Http, Way::Http, Way::Sse, Way::Http]);
    }

    #[test]
    fn a_walk_meets_everyone_once_however_many_pages_they_fill() {
        let (roster, _) = roster();
        let _berths: Vec<_> = (0..600)
            .map(|_| roster.berth(Arc::<Wire>::default()))
            .collect();
        let numbers: Vec<_> = roster.walk(0).map(|seen| seen.number).collect();
        assert_eq!(numbers, (1..=600).collect::<Vec<_>>());
        assert_eq!(roster.walk(598).count(), 2);
        assert_eq!(roster.walk(600).count(), 0);
    }

    #[test]
    fn the_sum_of_all_traffic_never_goes_down() {
        let (roster, _) = roster();
        let (stays, goes) = (
            roster.berth(Arc::<Wire>::default()),
            roster.berth(Arc::<Wire>::default()),
        );
        let both = Traffic {
            received: 0,
            sent: 2,
        };
        assert_eq!(roster.traffic(), both);
        drop(goes);
        assert_eq!(roster.traffic(), both);
        drop(stays);
        assert_eq!(roster.traffic(), both);
    }

    /// Leaves its berth while it says goodbye, as a connection may that ends by it.
    struct Hasty(Mutex<Option<Berth>>);

    impl Guest for Hasty {
        fn presence(&self) -> Presence {
            Presence::between_requests()
        }

        fn leave(&self, _: Leaving) {
            drop(self.0.lock().unwrap().take());
        }

        fn dismiss(&self, _: &Refusal) {}

        fn obey(&self, _: &Current) {}
    }

    #[test]
    fn one_who_leaves_the_list_while_it_is_told_holds_nobody_up() {
        let (roster, shutdown) = roster();
        let hasty = Arc::new(Hasty(Mutex::new(Some(
            roster.berth(Arc::<Wire>::default()),
        ))));
        if let Some(berth) = &*hasty.0.lock().unwrap() {
            berth.hold(hasty.clone());
        }
        begin(&roster, &shutdown, Leaving::Away);
        assert!(hasty.0.lock().unwrap().is_none());
        assert_eq!(Arc::strong_count(&hasty), 1);
    }
}
