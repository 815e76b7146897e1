//! A subscriber that notes what it is given, and a hub to listen to.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::config::{Config, JournalKind};
use crate::event::{Data, Event};
use crate::hub::Hub;
use crate::hub::fanout::{Offer, Run, Subscriber, SubscriberId};
use crate::hub::selector::{Selection, Selector};
use crate::hub::tail::Form;
use crate::journal::{Beginning, Draft, Limit, Opening, Start};
use crate::roster::Way;

/// How long a test waits for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a subscriber reads at once when it is behind.
pub const PAGE: Limit = Limit {
    rows: 100,
    events: 50,
    bytes: 64 * 1024,
};

static FORM: Form = Form {
    slot: 0,
    way: Way::Sse,
    render: |event: &Event, out: &mut Vec<u8>| out.extend_from_slice(event.data.bytes()),
};

/// What a subscriber noted.
#[derive(Default)]
pub struct Notes {
    /// The seqs that it was given, in the order in which it was.
    pub got: Vec<u64>,
    /// Where it was told to go on by itself, until it did.
    pub behind: Option<u64>,
    /// The places of which it was told.
    pub beats: Vec<u64>,
    /// The places of which it was told because it had asked.
    pub answered: Vec<u64>,
    /// What it answers to the next offers; afterwards it takes all of them.
    pub answers: VecDeque<Answer>,
    /// How many runs it was offered.
    pub offers: usize,
    /// Whether somebody is inside `offer`.
    offered: bool,
    /// How many losses it was told of.
    pub losses: usize,
}

/// What a subscriber does with an offer.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// Takes so many events of it, and is behind.
    Behind(usize),
    /// Takes all, and wants nothing more.
    Done,
    /// Says nothing until [`Listener::release`], then takes all: it holds its shard up.
    Hold,
}

/// A subscriber.
pub struct Listener {
    id: SubscriberId,
    notes: Mutex<Notes>,
    changed: Condvar,
}

impl Listener {
    pub fn new(hub: &Hub) -> Arc<Self> {
        Arc::new(Listener {
            id: hub.new_id(),
            notes: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    pub fn answering(hub: &Hub, answers: &[Answer]) -> Arc<Self> {
        let listener = Self::new(hub);
        listener.notes().answers = answers.iter().copied().collect();
        listener
    }

    pub fn name(&self) -> SubscriberId {
        self.id
    }

    pub fn notes(&self) -> MutexGuard<'_, Notes> {
        // A test that fails while it looks must not take the shard, and so the process, with it.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn got(&self) -> Vec<u64> {
        self.notes().got.clone()
    }

    /// Waits until the notes are as they should be.
    pub fn wait(&self, what: &str, ready: impl Fn(&Notes) -> bool) -> MutexGuard<'_, Notes> {
        let notes = self.notes();
        let (notes, waited) = self
            .changed
            .wait_timeout_while(notes, PATIENCE, |notes| !ready(notes))
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "{what}: {:?}", notes.got);
        notes
    }

    /// Waits until it was told to go on by itself, and says whence.
    pub fn wait_behind(&self) -> u64 {
        let mut notes = self.wait("it falls behind", |notes| notes.behind.is_some());
        notes.behind.take().unwrap()
    }

    /// Waits until it holds its shard up.
    pub fn wait_held(&self) {
        drop(self.wait("it is offered something", |notes| notes.offered));
    }

    /// Lets the shard go on.
    pub fn release(&self) {
        self.notes().offered = false;
        self.changed.notify_all();
    }

    /// Reads what it lacks, as delivery does, and joins again. Falling behind once more is its next round.
    pub fn catch_up(self: &Arc<Self>, hub: &Hub, selection: &mut Selection, mut place: u64) {
        loop {
            let page = hub.read(selection, place, PAGE).unwrap();
            if let Some(loss) = page.loss {
                self.notes().losses += 1;
                loss.excuse(selection);
                continue;
            }
            let seqs = page.entries.iter().map(|entry| entry.seq());
            self.notes().got.extend(seqs);
            place = page.cursor;
            if !page.more {
                break;
            }
        }
        hub.join(self.clone(), Arc::new(selection.clone()), place);
    }

    /// Catches up whenever it falls behind, until it was given `last`.
    pub fn follow(self: &Arc<Self>, hub: &Hub, beginning: Beginning, last: u64) {
        let mut selection = beginning.selection;
        let deadline = Instant::now() + PATIENCE;
        self.catch_up(hub, &mut selection, beginning.place);
        loop {
            let ready = |notes: &Notes| notes.behind.is_some() || notes.got.contains(&last);
            let behind = self.wait("the last event comes", ready).behind.take();
            match behind {
                Some(place) => self.catch_up(hub, &mut selection, place),
                None => return,
            }
            assert!(Instant::now() < deadline, "it never comes to the end");
        }
    }
}

impl Notes {
    fn take(&mut self, run: &Run<'_>, count: usize) {
        let seqs = run.entries.iter().take(count).map(|entry| entry.seq());
        self.got.extend(seqs);
    }
}

/// What was joined for several is what each of the events looks like, one behind the other.
fn check_joined(run: &Run<'_>) {
    let parts = run.entries.iter().map(|entry| &entry.bytes(&FORM)[..]);
    if let Some(joined) = run.joined {
        assert_eq!(joined, parts.collect::<Vec<_>>().concat());
    }
    assert!((1..=Run::ENTRIES).contains(&run.entries.len()));
}

impl Subscriber for Listener {
    fn id(&self) -> SubscriberId {
        self.id
    }

    fn form(&self) -> &'static Form {
        &FORM
    }

    fn offer(&self, run: &Run<'_>) -> Offer {
        check_joined(run);
        let mut notes = self.notes();
        notes.offers += 1;
        let answer = notes.answers.pop_front();
        if let Some(Answer::Hold) = answer {
            notes.offered = true;
            self.changed.notify_all();
            let wait = self
                .changed
                .wait_timeout_while(notes, PATIENCE, |n| n.offered);
            notes = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
        let offer = match answer {
            Some(Answer::Behind(count)) => {
                let taken = &run.entries[..count.min(run.entries.len())];
                let before = run.entries[0].seq() - 1;
                notes.take(run, count);
                Offer::Behind(taken.last().map_or(before, |entry| entry.seq()))
            }
            Some(Answer::Done) => {
                notes.take(run, usize::MAX);
                Offer::Done
            }
            Some(Answer::Hold) | None => {
                notes.take(run, usize::MAX);
                Offer::Taken
            }
        };
        self.changed.notify_all();
        offer
    }

    fn beat(&self, place: u64) -> Offer {
        self.notes().beats.push(place);
        self.changed.notify_all();
        Offer::Taken
    }

    fn answer(&self, place: u64) -> Offer {
        self.notes().answered.push(place);
        self.changed.notify_all();
        Offer::Taken
    }

    fn fall_behind(self: Arc<Self>, place: u64) {
        let before = self.notes().behind.replace(place);
        assert_eq!(before, None, "it has one feeder at a time");
        self.changed.notify_all();
    }
}

/// A hub that ends with its test.
pub struct Running(pub Hub);

impl std::ops::Deref for Running {
    type Target = Hub;

    fn deref(&self) -> &Hub {
        &self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// A hub with so many shards and so many events in its tail.
pub fn hub(shards: usize, tail_events: usize) -> Running {
    hub_with(shards, tail_events, |_| {})
}

pub fn hub_with(shards: usize, tail: usize, change: impl FnOnce(&mut Config)) -> Running {
    let mut config = Config::default();
    config.journal.kind = JournalKind::Memory;
    config.fanout.shards = NonZeroUsize::new(shards);
    config.fanout.tail_events = tail;
    config.limits.connections = 1_000;
    change(&mut config);
    let journal = Opening::open(&config, 1).unwrap();
    Running(Hub::start(&config, journal).unwrap())
}

impl Hub {
    /// Publishes one event whose payload is the name of its channel.
    pub fn say(&self, channel: &str) -> u64 {
        let draft = Draft::new(channel.parse().unwrap(), Data::Text(channel.into()));
        self.publish(draft).unwrap().receipts[0].id.seq
    }

    pub fn say_all(&self, channels: &[&str]) {
        for channel in channels {
            self.say(channel);
        }
    }

    pub fn say_times(&self, count: usize, channel: &str) {
        for _ in 0..count {
            self.say(channel);
        }
    }

    /// Waits until all that was published was offered to all that are live, and orders were obeyed.
    pub fn settle(&self) {
        self.fanout.flush(Instant::now() + PATIENCE);
    }

    /// Makes a subscriber live from now on.
    pub fn listen(&self, listener: &Arc<Listener>, selectors: &str) {
        let beginning = self.begin_at(selectors, Start::Now);
        self.join_at(listener, beginning);
    }

    pub fn join_at(&self, listener: &Arc<Listener>, beginning: Beginning) {
        let selection = Arc::new(beginning.selection);
        self.join(listener.clone(), selection, beginning.place);
    }

    pub fn begin_at(&self, list: &str, start: Start) -> Beginning {
        self.begin(selectors(list), start).unwrap()
    }

    /// A subscriber of these selectors that was examined up to `place`.
    pub fn at(&self, selectors: &str, place: u64) -> Beginning {
        self.begin_at(selectors, Start::After(self.cursor(place)))
    }
}

pub fn selectors(list: &str) -> Vec<Selector> {
    list.split(',').map(|text| text.parse().unwrap()).collect()
}
