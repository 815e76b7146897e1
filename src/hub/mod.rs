//! 5: the middle, where what is published meets those who listen.
//!
//! `publish` hands a batch to the journal, which numbers it; what it committed enters the `tail`; the
//! shards of `fanout` are told and offer it to everyone who is live. Whoever is not reads the past here,
//! from the tail first, for what is older from `pages` that others have read too, and else from the journal.

pub mod channel;
pub mod draft;
pub mod fanout;
mod ledger;
mod pages;
mod publish;
mod reader;
pub mod selector;
pub mod tail;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use self::channel::ChannelName;
use self::fanout::{Fanout, Subscriber, SubscriberId, Waiter, or_abort};
use self::pages::Pages;
use self::publish::Delivery;
use self::selector::{Selection, Selector};
use self::tail::{Entry, Page, Tail};
use crate::config::{Config, Current};
use crate::event::{Cursor, Id};
use crate::journal::{
    Beginning, Holding, Journal, Limit, Opening, Sink, Start, Statistics, StoreError, unix_millis,
};
use crate::metrics::Metrics;

/// One sequence of events, those who publish into it and those who listen.
pub struct Hub {
    journal: Arc<dyn Journal>,
    tail: Arc<Tail>,
    pages: Arc<Pages>,
    fanout: Arc<Fanout>,
    last_id: AtomicU64,
    metrics: Arc<Metrics>,
    retention: Retention,
}

/// The thread that has the journal let go of what is too old.
struct Retention {
    stopped: Arc<(Mutex<bool>, Condvar)>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Hub {
    /// How often retention looks for what is too old.
    const RETENTION: Duration = Duration::from_secs(1);
    /// How long publishers and readers have the journal to themselves between two steps of it.
    const TURN: Duration = Duration::from_millis(5);

    /// Starts the shards and the threads of a journal that was opened.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(config: &Config, journal: Opening) -> std::io::Result<Hub> {
        Self::with_journal(config, journal.head(), |sink| journal.start(sink))
    }

    /// The same with the journal that `open` gives, whose newest seq is `head`.
    pub(crate) fn with_journal(
        config: &Config,
        head: u64,
        open: impl FnOnce(Arc<dyn Sink>) -> std::io::Result<Arc<dyn Journal>>,
    ) -> std::io::Result<Hub> {
        let fanned = &config.fanout;
        let tail = Tail::new(head, fanned.tail_events, fanned.tail_bytes);
        let shards = config.fanout.shards.unwrap_or_else(cores);
        let metrics = Arc::new(Metrics::default());
        let fanout = Fanout::start(shards, config.limits.connections, &tail, &metrics)?;
        let fanout = Arc::new(fanout);
        let journal = open(Arc::new(Delivery {
            tail: tail.clone(),
            fanout: fanout.clone(),
        }))?;
        let retention = Retention::start(journal.clone(), Self::RETENTION)?;
        Ok(Hub {
            journal,
            tail,
            pages: Pages::new(config.fanout.replay_bytes),
            fanout,
            last_id: AtomicU64::new(0),
            metrics,
            retention,
        })
    }

    /// The cursor behind everything that there is.
    pub fn head(&self) -> Cursor {
        self.cursor(self.tail.head())
    }

    /// Whether nothing came behind this cursor, and so nothing was lost there: it is of this life, and at its
    /// head.
    pub fn is_head(&self, cursor: Cursor) -> bool {
        cursor == self.head()
    }

    /// The cursor that stands for a place.
    pub fn cursor(&self, place: u64) -> Cursor {
        Id {
            epoch: self.journal.epoch(),
            seq: place,
        }
    }

    /// Finds the place that `start` stands for.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn begin(&self, selectors: Vec<Selector>, start: Start) -> Result<Beginning, StoreError> {
        self.journal.begin(selectors, start)
    }

    /// What a subscriber at `place` is owed: from the tail, or from the journal when it is older, unless
    /// somebody read it there just before.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn read(
        &self,
        selection: &Selection,
        place: u64,
        limit: Limit,
    ) -> Result<Page, StoreError> {
        let now = unix_millis();
        let mut page = Page::after(place);
        if self.tail.extend(&mut page, selection, limit, now) {
            return Ok(page);
        }
        page = self.read_shared(selection, place, limit, now);
        // Nothing of it for this one is no answer to whoever waits for something.
        if !self.tail.extend(&mut page, selection, limit, now) && page.is_empty() {
            page = self.read_journal(selection, page.cursor, limit)?;
        }
        Ok(page)
    }

    /// The part of it that others have read before.
    fn read_shared(&self, selection: &Selection, place: u64, limit: Limit, now: u64) -> Page {
        // The journal tells all that was lost at once; a page would tell it event by event.
        if !self.journal.has_lost_nothing(selection, place) {
            return Page::after(place);
        }
        let mut page = self.pages.read(selection, place, limit, now);
        page.more |= page.cursor < self.tail.head();
        page
    }

    /// What is in the journal alone, and behind it what the tail has. That has it whole, also what no journal keeps,
    /// which is owed to whoever was listening when it came.
    fn read_journal(
        &self,
        selection: &Selection,
        place: u64,
        limit: Limit,
    ) -> Result<Page, StoreError> {
        let mut page = self.journal.read(selection, place, limit)?;
        // After it, and at one moment: what was lost beyond the end of this page is told, and not once more by the next.
        let (begin, entries) = self.tail.entries(limit.rows.saturating_add(1));
        page.end_at(begin);
        let page = self.pages.take(selection, place, page);
        Ok(match page.cursor == begin {
            true => page.go_on(&entries, selection, limit, unix_millis()),
            false => page,
        })
    }

    /// The newest events before `place`.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn read_before(
        &self,
        selection: &Selection,
        place: u64,
        limit: Limit,
    ) -> Result<Page, StoreError> {
        let page = self.journal.read_before(selection, place, limit);
        page.map(Page::from)
    }

    /// Has what `told` says of journals count from now on. Returns when it does.
    pub fn obey(&self, told: &Arc<Current>) {
        self.journal.obey(told);
    }

    /// Whether the journal could keep what it was given last.
    pub fn is_writable(&self) -> bool {
        self.journal.is_writable()
    }

    /// What the journal holds, and what it did since the start.
    pub fn statistics(&self) -> Statistics {
        self.journal.statistics()
    }

    /// What is kept of the first `most` channels that `filter` matches and whose names come after `after`. Reads the
    /// names of all channels, holding nobody up while it chooses.
    pub fn holdings(
        &self,
        after: Option<&ChannelName>,
        filter: &Selector,
        most: usize,
    ) -> Vec<Holding> {
        self.journal.holdings(after, filter, most)
    }

    /// The newest events that are at hand, at most `rows`, and the time from which on these are all that there were, in
    /// milliseconds since 1970. Publishers wait while so many pointers are copied.
    pub fn newest(&self, rows: usize) -> (u64, Vec<Arc<Entry>>) {
        self.tail.newest(rows)
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// A name for a new subscriber.
    pub fn new_id(&self) -> SubscriberId {
        SubscriberId(self.last_id.fetch_add(1, Ordering::Relaxed))
    }

    /// Lets one wait for its next events who was examined up to `place`; `false` when there is news already
    /// that it may have come too late for, and it has to look again.
    pub fn wait(&self, waiter: Arc<dyn Waiter>, selection: &Arc<Selection>, place: u64) -> bool {
        let id = waiter.id();
        self.fanout.wait(waiter, selection.clone(), place);
        self.tail.head() == place || !self.withdraw(id, selection)
    }

    /// Takes one out who waits; `false` when it is being given its events already.
    pub fn withdraw(&self, id: SubscriberId, selection: &Selection) -> bool {
        self.fanout.withdraw(id, selection)
    }

    /// Makes a subscriber live that was examined up to `place`; from now on a shard feeds it.
    pub fn join(&self, subscriber: Arc<dyn Subscriber>, selection: Arc<Selection>, place: u64) {
        self.fanout.join(subscriber, selection, place);
    }

    /// Tells a live subscriber how far it is.
    pub fn beat(&self, id: SubscriberId) {
        self.fanout.beat(id);
    }

    /// Tells a live subscriber when it has everything that was published by now.
    pub fn ask(&self, id: SubscriberId) {
        self.fanout.ask(id);
    }

    /// Lets a live subscriber fall behind.
    pub fn recall(&self, id: SubscriberId) {
        self.fanout.recall(id);
    }

    /// Lets go of a subscriber.
    pub fn leave(&self, id: SubscriberId) {
        self.fanout.leave(id);
    }

    /// Ends the life of the journal: nothing is published any more. Waits, until `deadline` at most, until
    /// everything that was has been offered to those who are live.
    pub fn close(&self, deadline: Instant) {
        self.journal.close();
        self.fanout.flush(deadline);
    }

    /// Ends all threads of the hub, waits for them, and lets go of the journal.
    pub fn stop(&self) {
        self.retention.stop();
        self.fanout.stop();
        self.journal.release();
    }
}

impl From<crate::journal::Page> for Page {
    fn from(page: crate::journal::Page) -> Self {
        Page::of(page, Entry::new)
    }
}

impl Retention {
    fn start(journal: Arc<dyn Journal>, every: Duration) -> std::io::Result<Self> {
        let stopped = Arc::new((Mutex::new(false), Condvar::new()));
        let watched = stopped.clone();
        let body = move || {
            let mut pause = every;
            while !wait_for_stop(&watched, pause) {
                pause = match journal.retain() {
                    true => Hub::TURN,
                    false => every,
                };
            }
        };
        let thread = thread::Builder::new()
            .name("retention".into())
            .spawn(move || or_abort("retention panicked", body))?;
        Ok(Retention {
            stopped,
            thread: Mutex::new(Some(thread)),
        })
    }

    fn stop(&self) {
        let (stopped, changed) = &*self.stopped;
        *stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for Retention {
    fn drop(&mut self) {
        self.stop();
    }
}

fn wait_for_stop((stopped, changed): &(Mutex<bool>, Condvar), patience: Duration) -> bool {
    let guard = stopped.lock().unwrap_or_else(PoisonError::into_inner);
    let waited = changed.wait_timeout_while(guard, patience, |stopped| !*stopped);
    *waited.unwrap_or_else(PoisonError::into_inner).0
}

/// The number of cores that this process may use.
pub fn cores() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// 64 bits that nobody can guess beforehand: std seeds `RandomState` from the system's generator.
pub fn random() -> u64 {
    RandomState::new().hash_one(0u8)
}
