//! The one thread that writes. It takes everything that has piled up, commits it at once (group commit), and only
//! then are the events delivered, in order, and the publishers answered.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use rusqlite::Connection;

use super::directory::{Directory, Identity};
use super::error::Fault;
use super::group::{Change, Group, Standing, Times};
use super::shared::Shared;
use super::store::{Durability, Store};
use super::sweep::{self, Sweeper, Swept};
use crate::config::Sync;
use crate::hub::channel::ChannelName;
use crate::journal::clock::{Clock, Moment};
use crate::journal::rules::Rules;
use crate::journal::{AppendError, Appended, Batch, Sink, StoreError};

/// How many orders are served in one transaction.
const ORDERS: usize = 1_024;
/// How many events, so that a transaction of large batches stays short.
const EVENTS: usize = 4_096;
/// How many bytes of payload.
const BYTES: usize = 8 * 1024 * 1024;
/// How long a writer with nothing to do waits for orders.
const IDLE: Duration = Duration::from_secs(3600);
/// How often it is said that events go for the bound of the whole.
const REMINDER: Duration = Duration::from_secs(60);

/// What the writer is asked to do.
pub(super) enum Work {
    /// Number and keep a batch.
    Append(Batch),
    /// Take every event of a channel.
    Forget(ChannelName),
    /// Let go of what is too old.
    Retain,
    /// End this life.
    Close,
}

/// What it did.
pub(super) enum Done {
    Appended(Appended),
    Forgotten(bool),
    Retained,
    Closed,
}

/// The answer to an order.
pub(super) type Answer = Result<Done, AppendError>;

/// Work, and where the answer goes.
pub(super) struct Order {
    pub(super) work: Work,
    pub(super) answer: Sender<Answer>,
}

/// The writer and all that is its own.
pub(super) struct Writer {
    orders: Receiver<Order>,
    sink: Arc<dyn Sink>,
    desk: Desk,
    /// Until when what was written has to be on the disk.
    sync_by: Option<Instant>,
    failure: Option<StoreError>,
    reminded: Option<Instant>,
}

/// What the writer works with.
pub(super) struct Desk {
    pub(super) store: Store,
    pub(super) directory: Directory,
    /// Which file the database was when it was opened.
    pub(super) identity: Identity,
    pub(super) shared: Arc<Shared>,
    pub(super) rules: Rules,
    pub(super) sync: Sync,
    pub(super) standing: Standing,
    pub(super) sweeper: Sweeper,
    pub(super) clock: Clock,
    /// Whether there may be space to be given back.
    pub(super) has_spare_space: bool,
    /// Whether the life has ended.
    pub(super) ended: bool,
}

/// What a transaction did.
struct Committed {
    change: Change,
    swept: Swept,
    answers: Vec<Answer>,
    /// Whether it had anything to write.
    wrote: bool,
}

impl Writer {
    /// A writer at this desk, who lets `sink` hear what was committed.
    pub(super) fn new(desk: Desk, orders: Receiver<Order>, sink: Arc<dyn Sink>) -> Self {
        Writer {
            orders,
            sink,
            desk,
            sync_by: None,
            failure: None,
            reminded: None,
        }
    }

    /// Serves until nobody is left to ask for anything.
    pub(super) fn run(mut self) {
        while let Some(orders) = self.wait() {
            // However busy it is: it tidies a little whenever retention is due.
            let tidies = orders.is_empty() || orders.iter().any(Order::retains);
            if !orders.is_empty() {
                self.serve(orders, Moment::now());
            }
            if tidies && self.failure.is_none() {
                self.tidy();
            }
            self.sync_if_due();
            if self.desk.shared.log_is_long.swap(false, Ordering::AcqRel) {
                self.shorten_log();
            }
        }
    }

    /// What has piled up; nothing when something else is due first; `None` when nobody is left.
    fn wait(&mut self) -> Option<Vec<Order>> {
        let due = match self.failure.is_none() && self.desk.is_untidy() {
            true => Instant::now(),
            false => self.sync_by.unwrap_or_else(|| Instant::now() + IDLE),
        };
        match self.orders.recv_deadline(due) {
            Ok(first) => Some(self.pile(first)),
            Err(RecvTimeoutError::Timeout) => Some(Vec::new()),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    /// An order, and those that came meanwhile.
    fn pile(&self, first: Order) -> Vec<Order> {
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
        let (work, askers): (Vec<_>, Vec<_>) = orders
            .into_iter()
            .map(|order| (order.work, order.answer))
            .unzip();
        let has_ended = self.desk.ended;
        let probes = self.failure.is_some();
        let durability = self.desk.durability(&work, probes);
        match self.desk.commit(work, durability, probes, at) {
            Ok(committed) => {
                let answers = self.take_effect(committed, durability);
                for (asker, answer) in askers.into_iter().zip(answers) {
                    // Whoever asked waits for it, unless its thread has ended.
                    let _ = asker.try_send(answer);
                }
            }
            Err(fault) => {
                let error = self.fail(&fault);
                for asker in askers {
                    let _ = asker.try_send(Err(error.into()));
                }
            }
        }
        if self.desk.ended && !has_ended {
            self.end();
        }
    }

    /// Lets everyone see what was committed, and delivers it.
    fn take_effect(&mut self, committed: Committed, durability: Durability) -> Vec<Answer> {
        let Committed {
            mut change,
            swept,
            answers,
            wrote,
        } = committed;
        self.note_crowded_out(change.crowded_out);
        self.desk.standing = change.standing;
        self.desk.sweeper.settle(swept);
        let events = std::mem::take(&mut change.events);
        let mut catalogue = self.desk.shared.change();
        let gone = change.take_effect(&mut catalogue);
        // Within the lock, so that no reader sees an event before it is in the tail.
        self.sink.committed(&events);
        drop(catalogue);
        self.desk.sweeper.add(gone);
        if wrote {
            self.note_commit(durability);
        }
        if !events.is_empty() {
            self.sink.announce();
        }
        answers
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
        if self.desk.standing.overdue {
            self.serve(Vec::new(), Moment::now());
        } else if let Err(fault) = self.desk.tidy() {
            self.fail(&fault);
        }
    }

    fn sync_if_due(&mut self) {
        if self.sync_by.is_none_or(|due| due > Instant::now()) {
            return;
        }
        match self.desk.sync_log() {
            Ok(()) => self.sync_by = None,
            Err(fault) => {
                self.fail(&fault);
                self.sync_by = Some(Instant::now() + Duration::from_secs(1));
            }
        }
    }

    /// Lets the write-ahead log begin anew. The checkpointer has done most of it, and nobody commits meanwhile.
    fn shorten_log(&mut self) {
        if let Err(fault) = self.desk.store.checkpoint() {
            self.fail(&fault);
        }
    }

    /// The end of the life: all of it on the disk, and in the database alone.
    fn end(&mut self) {
        let ended = self
            .desk
            .sync_log()
            .and_then(|()| self.desk.store.empty_log());
        match ended {
            Ok(_) => self.sync_by = None,
            Err(fault) => drop(self.fail(&fault)),
        }
    }

    /// Says once what went wrong; what whoever asked is told.
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
        error
    }

    fn heal(&mut self) {
        if self.failure.take().is_some() {
            log::warn!("the journal can be written again");
            self.desk.shared.writable.store(true, Ordering::Release);
        }
    }

    fn note_crowded_out(&mut self, count: u64) {
        if count == 0 {
            return;
        }
        let all = self
            .desk
            .shared
            .crowded_out
            .fetch_add(count, Ordering::Relaxed)
            + count;
        if self.reminded.is_none_or(|last| last.elapsed() > REMINDER) {
            self.reminded = Some(Instant::now());
            log::warn!(
                "the journal has as many bytes as journal.max_bytes allows, so the oldest events go before their \
                 channels' rules say so: {all} since the start"
            );
        }
    }
}

impl Desk {
    /// Whether there are events to let go of, rows to be taken away or space to be given back.
    fn is_untidy(&self) -> bool {
        self.standing.overdue || !self.sweeper.is_done() || self.has_spare_space
    }

    /// Whether this work has to be on the disk before it is answered, or shows whether the disk can be written.
    fn durability(&self, work: &[Work], probes: bool) -> Durability {
        match self.sync {
            Sync::Always if probes || work.iter().any(Work::is_owed) => Durability::Synced,
            _ => Durability::Written,
        }
    }

    /// Does all of the work in one transaction. `probes`: it writes in any case, to see whether it can.
    fn commit(
        &mut self,
        work: Vec<Work>,
        durability: Durability,
        probes: bool,
        at: Moment,
    ) -> Result<Committed, Fault> {
        // Each time: a channel is kept within its rule whenever something is published there.
        self.clock.look(at.wall, at.instant);
        let retains = work.iter().any(|work| matches!(work, Work::Retain));
        self.has_spare_space |= retains;
        self.check_identity()?;
        let mut ended = self.ended;
        let Desk {
            store,
            shared,
            rules,
            standing,
            sweeper,
            clock,
            ..
        } = self;
        let times = Times {
            wall: at.wall,
            may_age: clock.may_age(),
        };
        let committed = store.transact(durability, |connection| {
            let before = connection.total_changes();
            let mut group = Group::begin(connection, shared, rules, *standing, times);
            let answers = work
                .into_iter()
                .map(|work| work.be_done(&mut group, &mut ended));
            let answers = answers.collect::<Result<_, Fault>>()?;
            if retains || standing.overdue {
                group.expire()?;
            }
            group.trim()?;
            // Twice as many rows go as came, so that they do not pile up.
            let rows = sweep::ROWS.max(2 * group.change.events.len());
            let swept = sweeper.sweep(connection, rows)?;
            Ok(Committed {
                change: group.finish(probes)?,
                swept,
                answers,
                wrote: connection.total_changes() > before,
            })
        })?;
        self.ended = ended;
        Ok(committed)
    }

    fn tidy(&mut self) -> Result<(), Fault> {
        if !self.sweeper.is_done() {
            let sweeper = &self.sweeper;
            let sweep = |connection: &Connection| sweeper.sweep(connection, sweep::ROWS);
            let swept = self.store.transact(Durability::Written, sweep)?;
            self.sweeper.settle(swept);
            self.shared.commits.fetch_add(1, Ordering::Relaxed);
        } else if self.has_spare_space {
            self.has_spare_space = sweep::give_space_back(self.store.connection())?;
        }
        Ok(())
    }

    /// Waits until everything that was committed is on the disk: the log is synced with the next commit.
    fn sync_log(&mut self) -> Result<(), Fault> {
        let life = self.shared.catalogue().life();
        self.store
            .transact(Durability::Synced, |connection| life.put(connection))
    }

    /// Notices that somebody took the file away: what is written into it then is gone with the process.
    fn check_identity(&self) -> Result<(), Fault> {
        match self.directory.identity() {
            Ok(identity) if identity == self.identity => Ok(()),
            _ => Err(Fault::Replaced),
        }
    }
}

impl Order {
    fn retains(&self) -> bool {
        matches!(self.work, Work::Retain)
    }
}

impl Work {
    /// How many events it has, and bytes of payload.
    fn size(&self) -> (usize, usize) {
        match self {
            Work::Append(batch) => {
                let bytes = batch
                    .drafts
                    .iter()
                    .map(|draft| draft.data.bytes().len())
                    .sum();
                (batch.drafts.len(), bytes)
            }
            _ => (0, 0),
        }
    }

    /// Whether a client may rely on it after a power cut: what is delivered live and never kept is no promise.
    fn is_owed(&self) -> bool {
        match self {
            Work::Append(batch) => {
                batch.key.is_some()
                    || batch
                        .drafts
                        .iter()
                        .any(|draft| draft.ttl != Some(Duration::ZERO))
            }
            Work::Forget(_) => true,
            Work::Retain | Work::Close => false,
        }
    }

    fn be_done(self, group: &mut Group<'_>, ended: &mut bool) -> Result<Answer, Fault> {
        Ok(match self {
            Work::Append(_) | Work::Forget(_) if *ended => Err(AppendError::Closed),
            Work::Append(batch) => group.append(batch)?.map(Done::Appended),
            Work::Forget(channel) => Ok(Done::Forgotten(group.forget(&channel)?)),
            // Once for all that ask, after what was appended.
            Work::Retain => Ok(Done::Retained),
            Work::Close => {
                *ended = true;
                Ok(Done::Closed)
            }
        })
    }
}
