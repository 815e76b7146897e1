//! The one thread that writes. It takes everything that has piled up, commits it at once (group commit), and only
//! then are the events delivered, in order, and the publishers answered.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::answer::{self, Asker};
use super::desk::{Answer, Committed, Desk, Work};
use super::error::Fault;
use super::store::Durability;
use crate::config::Sync;
use crate::journal::clock::Moment;
use crate::journal::{Sink, StoreError};
use crate::seldom::Seldom;

/// How many orders are served in one transaction.
const ORDERS: usize = 1_024;
/// How many events, so that a transaction of large batches stays short.
const EVENTS: usize = 4_096;
/// How many bytes of payload.
const BYTES: usize = 8 * 1024 * 1024;
/// How long a writer with nothing to do waits for orders.
const IDLE: Duration = Duration::from_secs(3600);
/// How often it lets others go first before it begins a transaction.
const YIELDS: usize = 4;
/// How long nobody asked for anything when it begins to tidy.
const QUIET: Duration = Duration::from_millis(50);
/// How long it lets pass before it tries again what failed and nobody asked for.
const PAUSE: Duration = Duration::from_secs(1);
/// How long it lets pass before it salvages again.
const RESPITE: Duration = Duration::from_secs(60);

/// Work, and where the answer goes.
pub(super) struct Order {
    pub(super) work: Work,
    pub(super) asker: Asker,
}

/// The writer.
pub(super) struct Writer {
    desk: Desk,
    orders: Receiver<Order>,
    sink: Arc<dyn Sink>,
    /// Until when what was written has to be on the disk.
    sync_by: Option<Instant>,
    /// When it tidies next, if there is something to be tidied.
    tidy_at: Instant,
    /// What the last transaction failed with.
    failure: Option<StoreError>,
    salvaged: Option<Instant>,
    crowded_out: Seldom,
}

impl Writer {
    /// A writer at this desk, who lets `sink` hear what was committed.
    pub(super) fn new(desk: Desk, orders: Receiver<Order>, sink: Arc<dyn Sink>) -> Self {
        Writer {
            desk,
            orders,
            sink,
            sync_by: None,
            tidy_at: Instant::now(),
            failure: None,
            salvaged: None,
            crowded_out: Seldom::new(),
        }
    }

    /// Serves until nobody is left to ask for anything.
    pub(super) fn run(mut self) {
        while let Some(orders) = self.wait() {
            let retains = orders.iter().any(|order| order.work.retains());
            if !orders.is_empty() {
                self.serve(orders, Moment::now());
                self.tidy_at = Instant::now() + QUIET;
            }
            // However busy it is: a little whenever retention is due.
            if retains || self.tidy_at <= Instant::now() {
                self.tidy();
            }
            if let Some(damage) = self.desk.readers.take_report() {
                self.salvage(&damage);
            }
            self.sync_if_due();
            let is_long = self.desk.shared.log_is_long.swap(false, Ordering::AcqRel);
            if is_long && !self.desk.ended {
                self.attempt(Desk::shorten_log);
            }
        }
        // The last connection to be closed removes the log, which those that only read do not.
        let _ = self.desk.readers.close_all();
    }

    /// What has piled up; nothing when something else is due first; `None` when nobody is left.
    fn wait(&mut self) -> Option<Vec<Order>> {
        let tidies = self.failure.is_none() && self.desk.is_untidy();
        let tidy_at = tidies.then_some(self.tidy_at);
        let due = tidy_at.into_iter().chain(self.sync_by).min();
        let due = due.unwrap_or_else(|| Instant::now() + IDLE);
        match self.orders.recv_deadline(due) {
            Ok(first) => Some(self.pile(first)),
            Err(RecvTimeoutError::Timeout) => Some(Vec::new()),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    /// An order, and those that came meanwhile. Those who are about to ask come first: a transaction costs the same
    /// whether it has one order or twenty.
    fn pile(&self, first: Order) -> Vec<Order> {
        for _ in 0..YIELDS {
            let waiting = self.orders.len();
            thread::yield_now();
            if self.orders.len() == waiting {
                break;
            }
        }
        let (mut events, mut bytes) = first.work.size();
        let mut orders = vec![first];
        while orders.len() < ORDERS && events < EVENTS && bytes < BYTES {
            let Ok(order) = self.orders.try_recv() else {
                break;
            };
            let size = order.work.size();
            (events, bytes) = (events + size.0, bytes + size.1);
            orders.push(order);
        }
        orders
    }

    /// Commits orders together, delivers their events and answers them.
    fn serve(&mut self, orders: Vec<Order>, at: Moment) {
        #[cfg(test)]
        self.desk
            .shared
            .in_hand
            .store(orders.len(), Ordering::Relaxed);
        let orders = orders.into_iter().map(|order| (order.work, order.asker));
        let (work, askers): (Vec<_>, Vec<_>) = orders.unzip();
        let ends = !self.desk.ended && work.iter().any(|work| matches!(work, Work::Close));
        let probes = self.failure.is_some() && !self.desk.ended;
        let durability = self.desk.durability(&work, probes);
        let answers = match self.desk.commit(work, durability, probes, at) {
            Ok(committed) => self.take_effect(committed, durability),
            Err(fault) => {
                let error = self.fail(&fault);
                askers.iter().map(|_| Err(error.into())).collect()
            }
        };
        if ends {
            self.end();
        }
        answer::give(askers, answers);
    }

    /// Lets everyone see what was committed, and delivers it.
    fn take_effect(&mut self, committed: Committed, durability: Durability) -> Vec<Answer> {
        let mut change = committed.change;
        self.note_crowded_out(change.crowded_out);
        let events = std::mem::take(&mut change.events);
        let deliver = || self.sink.committed(&events);
        self.desk.take_effect(change, committed.swept, deliver);
        if committed.wrote {
            self.note_commit(durability);
        }
        if !events.is_empty() {
            self.sink.announce();
        }
        committed.answers
    }

    fn note_commit(&mut self, durability: Durability) {
        self.heal();
        self.desk.shared.commits.fetch_add(1, Ordering::Relaxed);
        if let (Sync::Interval(interval), Durability::Written) = (self.desk.sync, durability) {
            self.sync_by
                .get_or_insert_with(|| Instant::now() + interval);
        }
    }

    /// One step of what need not be done soon, in a transaction of its own.
    fn tidy(&mut self) {
        if self.failure.is_some() {
            return;
        }
        if self.desk.is_overdue() {
            self.serve(Vec::new(), Moment::now());
        } else if self.desk.is_untidy() {
            self.attempt(Desk::tidy);
        }
    }

    fn sync_if_due(&mut self) {
        if self.sync_by.is_some_and(|due| due <= Instant::now()) {
            let synced = self.attempt(Desk::sync_log);
            self.sync_by = (!synced).then(|| Instant::now() + PAUSE);
        }
    }

    /// Ends the life, also where its last transaction failed: another process may have the directory next, so nothing
    /// is written from here on.
    fn end(&mut self) {
        self.desk.ended = true;
        self.attempt(Desk::end);
        self.sync_by = None;
    }

    /// Does what nobody waits for; whether it succeeded.
    fn attempt(&mut self, what: impl FnOnce(&mut Desk) -> Result<(), Fault>) -> bool {
        match what(&mut self.desk) {
            Ok(()) => true,
            Err(fault) => {
                self.fail(&fault);
                false
            }
        }
    }

    /// Says once what went wrong, and mends what is damaged; what whoever asked is told.
    fn fail(&mut self, fault: &Fault) -> StoreError {
        let error = fault.told();
        if self.failure != Some(error) {
            log::error!(
                "the journal in {} cannot be written: {fault}; publishers are refused until it can",
                self.desk.directory.path().display()
            );
        }
        self.failure = Some(error);
        self.desk.shared.writable.store(false, Ordering::Release);
        if fault.is_of_the_disk() {
            self.desk.shared.doubt_log();
        }
        if fault.is_damage() {
            self.salvage(fault);
        }
        error
    }

    fn heal(&mut self) {
        if self.failure.take().is_some() {
            log::warn!("the journal can be written again");
            self.desk.shared.writable.store(true, Ordering::Release);
        }
    }

    /// Puts a journal with all that is good in the place of a damaged one. Orders wait meanwhile.
    fn salvage(&mut self, damage: &Fault) {
        let was_just_now = self.salvaged.is_some_and(|last| last.elapsed() < RESPITE);
        if self.desk.ended || was_just_now {
            return;
        }
        self.salvaged = Some(Instant::now());
        let path = self.desk.directory.database().display().to_string();
        log::error!("{path} is damaged: {damage}; what is good is brought into a new one");
        match self.desk.salvage() {
            Ok((salvaged, aside)) => {
                let aside = aside.display();
                log::error!("{salvaged}; the damaged journal is kept as {aside}");
                self.heal();
            }
            Err(fault) => log::error!("{path} stays damaged: {fault}"),
        }
    }

    fn note_crowded_out(&self, count: u64) {
        let all = &self.desk.shared.crowded_out;
        let all = all.fetch_add(count, Ordering::Relaxed) + count;
        if count > 0 {
            self.crowded_out.say(|more| {
                log::warn!(
                    "the journal weighs what journal.max_bytes allows, so the oldest events go before their channels' \
                     rules say so: {all} since the start{more}"
                );
            });
        }
    }
}
