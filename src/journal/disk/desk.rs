//! What the writer works with: the database and what belongs to it, and each kind of transaction.

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::catalogue::Catalogue;
use super::checkpoints;
use super::directory::{Directory, Identity};
use super::error::{Fault, OpenError};
use super::group::{Change, Group, Standing, Times};
use super::readers::Readers;
use super::rows;
use super::salvage::{self, Known, Salvaged};
use super::shared::Shared;
use super::store::{self, Durability, Store};
use super::sweep::{self, Given, Sweeper, Swept};
use crate::config::{Config, Current, Sync};
use crate::event::Epoch;
use crate::hub::channel::ChannelName;
use crate::journal::clock::{Clock, Moment};
use crate::journal::rules::Rules;
use crate::journal::{AppendError, Appended, Batch};

/// Connections beside the writer's; each is in use for one page, or one checkpoint, at a time.
const READERS: usize = 5;
/// How many channels get another rule while readers wait.
const AT_ONCE: usize = 1_024;
/// So many pages (of 4 KiB) of log are too many: readers came one upon the other, so that it never began anew.
const TOO_LONG: u64 = 4 * checkpoints::LONG;

/// The database, and what the writer alone keeps of it.
pub(super) struct Desk {
    pub(super) shared: Arc<Shared>,
    pub(super) readers: Arc<Readers>,
    pub(super) directory: Directory,
    pub(super) sync: Sync,
    /// Whether the life has ended.
    pub(super) ended: bool,
    /// `None` while another one takes its place, or could not.
    pub(super) store: Option<Store>,
    /// Which file it was when it was opened.
    identity: Identity,
    rules: Rules,
    standing: Standing,
    sweeper: Sweeper,
    clock: Clock,
    /// Whether there may be space to be given back.
    has_spare_space: bool,
    /// Whether the file is still as long as before space was given back: it is cut off when all of the log is in it.
    is_cut_owed: bool,
    /// So many pages make a log that is worth waiting for readers to begin it anew.
    too_long: u64,
}

/// What the writer is asked to do.
pub(super) enum Work {
    /// Number and keep a batch.
    Append(Batch),
    /// Take every event of a channel.
    Forget(ChannelName),
    /// Go by what the configuration says now.
    Obey(Arc<Current>),
    /// Let go of what is too old.
    Retain,
    /// End this life.
    Close,
}

/// What it did.
#[derive(Clone)]
pub(super) enum Done {
    Appended(Appended),
    Forgotten(bool),
    Obeyed,
    Retained,
    Closed,
}

/// What becomes of work.
pub(super) type Answer = Result<Done, AppendError>;

/// What a transaction did, which counts from now on.
pub(super) struct Committed {
    pub(super) change: Change,
    pub(super) swept: Swept,
    pub(super) answers: Vec<Answer>,
    /// Whether it had anything to write.
    pub(super) wrote: bool,
}

impl Desk {
    /// Opens the database and begins a life in it, durably, before anything is served from it.
    pub(super) fn open(
        directory: Directory,
        config: &Config,
        epoch: Epoch,
    ) -> Result<Self, OpenError> {
        let file = directory.database();
        let opening = |fault: Fault| store::opening(&file, &fault);
        let mut store = Store::open(&file)?;
        let identity = directory.sync().and_then(|()| directory.identity());
        let identity = identity.map_err(|error| OpenError::unusable(&file, error))?;
        let rules = Rules::of(config);
        let prune = |connection: &_| rows::prune_lives(connection);
        store
            .transact(Durability::Written, prune)
            .map_err(opening)?;
        let mut opened = Catalogue::read(store.connection(), &rules, None).map_err(opening)?;
        let life = opened.catalogue.lives.begin(epoch);
        let begin = |connection: &_| life.put(connection);
        store.transact(Durability::Synced, begin).map_err(opening)?;
        let mut sweeper = Sweeper::default();
        sweeper.add(opened.gone, 0);
        Ok(Desk {
            shared: Arc::new(Shared::new(opened.catalogue)),
            readers: Arc::new(Readers::new(&file, READERS)),
            directory,
            sync: config.journal.sync,
            ended: false,
            standing: Standing::read(store.connection()).map_err(opening)?,
            store: Some(store),
            identity,
            rules,
            sweeper,
            clock: Clock::default(),
            has_spare_space: true,
            is_cut_owed: false,
            too_long: TOO_LONG,
        })
    }

    /// Whether this work has to be on the disk before it is answered, or shows whether the disk can be written.
    pub(super) fn durability(&self, work: &[Work], probes: bool) -> Durability {
        match self.sync {
            Sync::Always if probes || work.iter().any(Work::is_owed) => Durability::Synced,
            _ => Durability::Written,
        }
    }

    /// Does all of the work in one transaction. `probes`: it writes in any case, to see whether it can.
    pub(super) fn commit(
        &mut self,
        work: Vec<Work>,
        durability: Durability,
        probes: bool,
        at: Moment,
    ) -> Result<Committed, Fault> {
        work.iter().for_each(|work| {
            if let Work::Obey(told) = work {
                self.obey(&told.get());
            }
        });
        // Each time: a channel is kept within its rule whenever something is published there.
        self.clock.look(at.wall, at.instant);
        let times = Times {
            wall: at.wall,
            may_age: self.clock.may_age(),
        };
        let retains = work.iter().any(Work::retains);
        self.has_spare_space |= retains;
        self.reopen_if_closed()?;
        if self.is_replaced() {
            return Err(Fault::Replaced);
        }
        let (standing, had_ended) = (self.standing, self.ended);
        let mut ended = had_ended;
        let expires = (retains || standing.overdue) && !had_ended;
        let (shared, rules, sweeper) = (&*self.shared, &self.rules, &self.sweeper);
        let store = self.store.as_mut().ok_or(Fault::Replaced)?;
        if shared.log_is_doubtful.swap(false, Ordering::AcqRel) {
            leave_log_behind(store).inspect_err(|_| shared.doubt_log())?;
        }
        let committed = store.transact(durability, |connection| {
            let before = connection.total_changes();
            let mut group = Group::begin(connection, shared, rules, standing, times);
            let answers = work.into_iter();
            let answers = answers.map(|work| work.be_done(&mut group, &mut ended));
            let answers = answers.collect::<Result<_, Fault>>()?;
            if expires {
                group.expire()?;
            }
            // After its life another process may own the files.
            if !had_ended {
                group.trim()?;
            }
            let swept = match sweeper.is_overdue() && !had_ended {
                // Twice as many rows go as came, so that they do not pile up.
                true => {
                    sweeper.sweep(connection, sweep::ROWS.max(2 * group.change.events.len()))?
                }
                false => Swept::default(),
            };
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

    /// Goes by what the configuration says now; what is beyond it goes with the transactions that follow.
    fn obey(&mut self, config: &Config) {
        self.sync = config.journal.sync;
        self.rules = Rules::after(&self.rules, config);
        let names = self.shared.catalogue().channels.names();
        for names in names.chunks(AT_ONCE) {
            // Matched without the lock: who reads waits for it. Nobody else changes the catalogue.
            let rules: Vec<_> = names.iter().map(|name| self.rules.rule_for(name)).collect();
            let channels = &mut self.shared.change().channels;
            for (name, rule) in names.iter().zip(rules) {
                channels.change(name, |record| record.obey(rule));
            }
        }
    }

    /// Takes over what was committed. `deliver` is called while nobody can read, so that no reader sees an event
    /// before whoever hears it first.
    pub(super) fn take_effect(&mut self, change: Change, swept: Swept, deliver: impl FnOnce()) {
        self.standing = change.standing;
        self.sweeper.settle(swept);
        let mut catalogue = self.shared.change();
        let rows = change.evicted;
        let gone = change.take_effect(&mut catalogue);
        deliver();
        drop(catalogue);
        self.sweeper.add(gone, rows);
    }

    /// Whether retention did not get to its end.
    pub(super) fn is_overdue(&self) -> bool {
        !self.ended && self.standing.overdue
    }

    /// Whether there are events to let go of, rows to be taken away or space to be given back.
    pub(super) fn is_untidy(&self) -> bool {
        !self.ended && (self.standing.overdue || !self.sweeper.is_done() || self.has_spare_space)
    }

    /// Takes some of them away, or gives some of it back.
    pub(super) fn tidy(&mut self) -> Result<(), Fault> {
        self.reopen_if_closed()?;
        let store = self.store.as_mut().ok_or(Fault::Replaced)?;
        if !self.sweeper.is_done() {
            let sweeper = &self.sweeper;
            let sweep = |connection: &_| sweeper.sweep(connection, sweep::ROWS);
            let swept = store.transact(Durability::Written, sweep)?;
            self.sweeper.settle(swept);
            self.shared.commits.fetch_add(1, Ordering::Relaxed);
        } else if self.has_spare_space {
            let given = sweep::give_space_back(store.connection())?;
            self.has_spare_space = given == Given::Some;
            self.is_cut_owed |= given == Given::Last;
            if self.is_cut_owed && !self.has_spare_space {
                // Whoever reads keeps it from that; it is tried again whenever retention is due.
                let log = store::checkpoint(store.connection())?;
                self.is_cut_owed = log.is_held || log.in_database < log.pages;
            }
        }
        Ok(())
    }

    /// Waits until everything that was committed is on the disk.
    pub(super) fn sync_log(&mut self) -> Result<(), Fault> {
        self.directory.sync_log().map_err(|error| {
            self.shared.doubt_log();
            Fault::outside(error)
        })
    }

    /// Lets the write-ahead log begin anew. The checkpointer has done most of it, and nobody commits meanwhile.
    pub(super) fn shorten_log(&mut self) -> Result<(), Fault> {
        let too_long = self.too_long;
        let store = self.store()?;
        let log = store::checkpoint(store.connection())?;
        if log.pages < too_long {
            return Ok(());
        }
        let log = store::begin_log_anew(store.connection())?;
        self.too_long = match log.is_held {
            // Somebody reads for long. Publishers wait for the attempt, so there are few.
            true => log.pages.saturating_mul(2),
            false => TOO_LONG,
        };
        Ok(())
    }

    /// Brings everything into the database, on the disk, and leaves no log behind.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        self.sync_log()?;
        let store = self.store()?;
        store::empty_log(store.connection()).map(drop)
    }

    /// Brings what is good into a new journal, which takes the place of this one: where this one is then.
    pub(super) fn salvage(&mut self) -> Result<(Salvaged, PathBuf), Fault> {
        let known = Known::of(&self.shared.catalogue());
        let salvaged = salvage::salvage(&self.directory, Some(known))?;
        // The last connection to close removes the log by its name, which is the new one's after the change.
        self.readers.close_all()?;
        self.store = None;
        let aside = self.directory.replace("damaged");
        let reopened = self.reopen_if_closed();
        self.readers.open_all();
        reopened?;
        Ok((salvaged, aside.map_err(Fault::outside)?))
    }

    fn store(&mut self) -> Result<&mut Store, Fault> {
        self.reopen_if_closed()?;
        self.store.as_mut().ok_or(Fault::Replaced)
    }

    /// Opens the database again, when another one was to take its place, and takes over what it says. A replacement
    /// that stopped half-way is finished first.
    fn reopen_if_closed(&mut self) -> Result<(), Fault> {
        if self.store.is_some() {
            return Ok(());
        }
        self.directory.recover().map_err(Fault::outside)?;
        let store = Store::reopen(&self.directory.database()).map_err(Fault::outside)?;
        let opened = Catalogue::read(store.connection(), &self.rules, Some(&self.shared))?;
        if opened.catalogue.life().epoch != self.shared.catalogue().life().epoch {
            // Numbers would be given a second time.
            return Err(Fault::Replaced);
        }
        self.standing = Standing::read(store.connection())?;
        self.identity = self.directory.identity().map_err(Fault::outside)?;
        self.sweeper = Sweeper::default();
        self.sweeper.add(opened.gone, 0);
        *self.shared.change() = opened.catalogue;
        self.store = Some(store);
        Ok(())
    }

    /// Whether somebody took the file away: what is written into it then is gone with the process.
    fn is_replaced(&self) -> bool {
        self.directory
            .identity()
            .map_or(true, |identity| identity != self.identity)
    }
}

/// Brings the log into the database and begins it anew. After a sync that failed, Linux holds what was written for safe,
/// so that the next sync succeeds over pages that never reached the disk: what is committed behind them would be
/// lost with them.
fn leave_log_behind(store: &Store) -> Result<(), Fault> {
    match store::begin_log_anew(store.connection())?.is_held {
        true => Err(Fault::Outside(
            "its log failed to reach the disk, and cannot be begun anew while somebody reads it"
                .into(),
        )),
        false => Ok(()),
    }
}

impl Work {
    /// How many events it has, and bytes of payload.
    pub(super) fn size(&self) -> (usize, usize) {
        match self {
            Work::Append(batch) => {
                let bytes = batch.drafts.iter().map(|draft| draft.data.bytes().len());
                (batch.drafts.len(), bytes.sum())
            }
            _ => (0, 0),
        }
    }

    /// Whether retention is due.
    pub(super) fn retains(&self) -> bool {
        matches!(self, Work::Retain | Work::Obey(_))
    }

    /// Whether a client may rely on it after a power cut: what is delivered live and never kept is no promise.
    fn is_owed(&self) -> bool {
        match self {
            Work::Append(batch) => {
                let is_kept = |ttl: Option<Duration>| ttl != Some(Duration::ZERO);
                batch.key.is_some() || batch.drafts.iter().any(|draft| is_kept(draft.ttl))
            }
            Work::Forget(_) => true,
            Work::Obey(_) | Work::Retain | Work::Close => false,
        }
    }

    fn be_done(self, group: &mut Group<'_>, ended: &mut bool) -> Result<Answer, Fault> {
        Ok(match self {
            Work::Append(_) | Work::Forget(_) if *ended => Err(AppendError::Closed),
            Work::Append(batch) => group.append(batch)?.map(Done::Appended),
            Work::Forget(channel) => Ok(Done::Forgotten(group.forget(&channel)?)),
            // Before everything else, whether or not all that follows can be committed.
            Work::Obey(_) => Ok(Done::Obeyed),
            // Once for all that ask, after what was appended.
            Work::Retain => Ok(Done::Retained),
            Work::Close => {
                *ended = true;
                Ok(Done::Closed)
            }
        })
    }
}
