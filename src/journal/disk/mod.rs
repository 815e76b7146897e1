//! The durable journal: a SQLite database in a directory of its own.
//!
//! One thread writes (`writer`), a `group` of orders in each transaction. What a transaction changes counts when it
//! is committed; only then is it announced, so what is known in memory (`catalogue`) is never ahead of the disk.
//! `retention` raises marks, and `sweep` takes the rows away later, so that whoever reads (`readers`, `scan`) in a
//! snapshot from before still sees what was lost. `checkpoints` brings the write-ahead log into the database. What is
//! damaged is noticed by checksums and by each event naming the one before it; `salvage` brings over what is good.
//!
//! The operator's commands come in as a `visitor`, who only reads and needs no lock: `inspection`, `verification` and
//! `export`; `archive` makes a copy of a journal, and puts one in its place.

mod answer;
mod archive;
mod catalogue;
mod checkpoints;
mod desk;
mod directory;
mod error;
mod export;
mod group;
mod inspection;
mod keys;
mod readers;
mod retention;
mod rows;
mod salvage;
mod scan;
mod shared;
mod store;
mod sweep;
#[cfg(test)]
mod tests;
mod verification;
mod visitor;
mod writer;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Sender, bounded};

pub use self::archive::{ArchiveError, Archived, Restored, back_up, restore};
pub use self::directory::{Directory, Lock};
pub use self::error::OpenError;
pub use self::export::Export;
pub use self::inspection::{InspectedChannel, InspectedLife, Inspection};
pub use self::verification::Verdict;
pub use self::visitor::Visitor;

use self::catalogue::Record;
use self::checkpoints::Checkpoints;
use self::desk::{Answer, Desk, Done, Work};
use self::error::Fault;
use self::readers::Readers;
use self::scan::Search;
use self::shared::Shared;
use self::writer::{Order, Writer};
use super::excerpt::Excerpt;
use super::{
    AppendError, Appended, Batch, Beginning, GapReason, Holding, Journal, Limit, Page, Sink, Start,
    Statistics, StoreError, survey, unix_millis,
};
use crate::config::{Config, Current};
use crate::event::Epoch;
use crate::hub::channel::ChannelName;
use crate::hub::fanout::or_abort;
use crate::hub::selector::{Selection, Selector};
use crate::seldom::Seldom;

/// Orders that wait for the writer. Whoever finds no room waits, as for the answer.
const ORDERS: usize = 1_024;

/// How often a page is read anew because more was lost meanwhile than it reaches.
const ATTEMPTS: usize = 8;

/// Events in a database, bounded by count, age and bytes per channel and by bytes over all.
pub struct DiskJournal {
    shared: Arc<Shared>,
    readers: Arc<Readers>,
    directory: Directory,
    epoch: Epoch,
    threads: Threads,
    unread: Seldom,
    lock: Mutex<Option<Lock>>,
}

/// A journal that was opened and has nobody to hear of its events yet.
pub struct Opening {
    desk: Desk,
    directory: Directory,
    epoch: Epoch,
    lock: Lock,
}

/// The threads of a journal; dropping this ends them and waits for them.
struct Threads {
    orders: Option<Sender<Order>>,
    stop: Option<Sender<()>>,
    running: Mutex<Vec<JoinHandle<()>>>,
}

impl DiskJournal {
    /// Opens the journal in `config.journal.path`, making it where there is none, and begins a life with the epoch
    /// that `random` stands for. Recovers what a crash left. Does not read the events.
    ///
    /// # Errors
    /// When it cannot be opened; nothing of it was changed then.
    pub fn open(config: &Config, random: u64) -> Result<Opening, OpenError> {
        let directory = Directory::at(&config.journal.path);
        let lock = directory.lock()?;
        let file = directory.database();
        unusable(&file, directory.recover())?;
        let epoch = Epoch::from_random(random);
        let open = || Desk::open(directory.clone(), config, epoch);
        let desk = match open() {
            Err(OpenError::Damaged { part, .. }) => {
                salvage_at_start(&directory, &part)?;
                open()?
            }
            outcome => outcome?,
        };
        Ok(Opening {
            desk,
            directory,
            epoch,
            lock,
        })
    }

    /// Transactions committed since the start: one for each group of batches that were kept together, and those that
    /// take rows away.
    pub fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }

    /// Asks the writer for something and waits until it is done.
    fn ask(&self, work: Work) -> Answer {
        let (asker, waiting) = answer::pair();
        let order = Order { work, asker };
        let orders = self.threads.orders.as_ref().ok_or(AppendError::Closed)?;
        orders.send(order).map_err(|_| AppendError::Closed)?;
        waiting.wait()
    }

    /// Has the writer look at what was reported, if it has nothing else to do.
    fn wake_writer(&self) {
        let (work, asker) = (Work::Retain, answer::nobody());
        if let Some(orders) = &self.threads.orders {
            // Where there is no room it has something to do, and looks afterwards.
            let _ = orders.try_send(Order { work, asker });
        }
    }

    fn search(
        &self,
        search: &Search<'_>,
        selection: &Selection,
        place: u64,
    ) -> Result<Excerpt, Fault> {
        let found = match search.is_vain() {
            true => search.nothing(),
            false => self.readers.look(|connection| search.run(connection))?,
        };
        found.excerpt(&self.shared.catalogue(), selection, place)
    }

    /// Reads, and says what went wrong if something did.
    fn read_with<T>(&self, read: impl FnOnce() -> Result<T, Fault>) -> Result<T, StoreError> {
        let generation = self.readers.generation();
        read().map_err(|fault| {
            self.unread
                .say(|more| log::error!("the journal cannot be read: {fault}{more}"));
            let told = fault.told();
            if fault.is_damage() {
                self.readers.report(generation, fault);
                self.wake_writer();
            }
            told
        })
    }

    /// Lets each channel begin `count` events back, and finds the place before all of these.
    fn start_back(&self, selection: &mut Selection, count: u64, head: u64) -> Result<u64, Fault> {
        let records = self.records_for(selection);
        let now = unix_millis();
        let find = |record: &Record| {
            self.readers.look(|connection| match count {
                0 => Ok(None),
                _ => scan::place_back(connection, record, count, now),
            })
        };
        let mut place = head;
        for record in &records {
            let first = find(record)?.unwrap_or(head);
            place = place.min(first);
            selection.excuse(record.channel.name(), first);
        }
        Ok(place)
    }

    fn records_for(&self, selection: &Selection) -> Vec<Record> {
        let catalogue = self.shared.catalogue();
        let names = catalogue.channels.asked_for(selection);
        let records = names.iter().filter_map(|name| catalogue.channels.get(name));
        records.cloned().collect()
    }
}

impl Opening {
    /// The newest seq.
    pub fn head(&self) -> u64 {
        self.desk.shared.catalogue().head
    }

    /// Starts the threads; from now on `sink` hears what is committed.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(self, sink: Arc<dyn Sink>) -> std::io::Result<DiskJournal> {
        let (shared, readers) = (self.desk.shared.clone(), self.desk.readers.clone());
        let (orders, incoming) = bounded(ORDERS);
        let (stop, stopped) = bounded(0);
        let mut threads = Threads {
            orders: Some(orders),
            stop: Some(stop),
            running: Mutex::default(),
        };
        let writer = Writer::new(self.desk, incoming, sink);
        threads.start("journal", move || writer.run())?;
        let checkpoints = Checkpoints {
            readers: readers.clone(),
            shared: shared.clone(),
            stopped,
        };
        threads.start("checkpoints", move || checkpoints.run())?;
        Ok(DiskJournal {
            shared,
            readers,
            directory: self.directory,
            epoch: self.epoch,
            threads,
            unread: Seldom::new(),
            lock: Mutex::new(Some(self.lock)),
        })
    }
}

impl Journal for DiskJournal {
    fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        if self.shared.is_closed() {
            return Err(AppendError::Closed);
        }
        match self.ask(Work::Append(batch))? {
            Done::Appended(appended) => Ok(appended),
            _ => Err(AppendError::Closed),
        }
    }

    fn head(&self) -> u64 {
        self.shared.catalogue().head
    }

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn begin(&self, selectors: Vec<Selector>, start: Start) -> Result<Beginning, StoreError> {
        let (head, known) = {
            let catalogue = self.shared.catalogue();
            let known = matches!(start, Start::After(cursor) if catalogue.knows(cursor));
            (catalogue.head, known)
        };
        let mut selection = Selection::new(selectors).live_after(head);
        let (place, gap) = match start {
            Start::After(cursor) if known => (cursor.seq, None),
            Start::After(_) => (0, Some(GapReason::Epoch)),
            Start::Unreadable => (0, Some(GapReason::Unknown)),
            Start::Now => (head, None),
            Start::Earliest => (0, None),
            Start::Since(time) => {
                let find = |connection: &_| scan::place_before(connection, time, head);
                (self.read_with(|| self.readers.look(find))?, None)
            }
            Start::Last(count) => {
                let start_back = || self.start_back(&mut selection, count, head);
                (self.read_with(start_back)?, None)
            }
        };
        let bare = !known;
        let losses = bare.then(|| self.shared.catalogue().channels.losses(&selection, place));
        // What was lost before a subscriber came was never owed to it; what was lost since it came is.
        if let Some(loss) = losses.and_then(|losses| losses.loss(&selection, place)) {
            loss.up_to(head).excuse(&mut selection);
        }
        Ok(Beginning {
            selection,
            place,
            gap,
        })
    }

    fn read(&self, selection: &Selection, place: u64, limit: Limit) -> Result<Page, StoreError> {
        let now = unix_millis();
        let mut attempts = 0;
        loop {
            let search = Search::forwards(&self.shared, selection, place, limit, now);
            let excerpt = self.read_with(|| self.search(&search, selection, place))?;
            attempts += 1;
            // A loss of what came since would be told before its time, and once more from the cursor of this page.
            if attempts == ATTEMPTS || !excerpt.losses.reach_beyond(search.head()) {
                return Ok(excerpt.page(selection, place, limit, now));
            }
        }
    }

    fn read_before(
        &self,
        selection: &Selection,
        place: u64,
        limit: Limit,
    ) -> Result<Page, StoreError> {
        let now = unix_millis();
        let search = Search::backwards(&self.shared, selection, place, limit, now);
        let excerpt = self.read_with(|| self.search(&search, selection, u64::MAX))?;
        Ok(excerpt.page_back(selection, place, limit, now))
    }

    fn has_lost_nothing(&self, selection: &Selection, place: u64) -> bool {
        let losses = self.shared.catalogue().channels.losses(selection, place);
        losses.loss(selection, place).is_none()
    }

    fn forget(&self, channel: &ChannelName) -> Result<bool, AppendError> {
        if self.shared.is_closed() {
            return Err(AppendError::Closed);
        }
        match self.ask(Work::Forget(channel.clone()))? {
            Done::Forgotten(there) => Ok(there),
            _ => Err(AppendError::Closed),
        }
    }

    fn is_writable(&self) -> bool {
        self.shared.writable.load(Ordering::Acquire)
    }

    fn statistics(&self) -> Statistics {
        let catalogue = self.shared.catalogue();
        let (channels, events, bytes) = (
            catalogue.channels.len() as u64,
            catalogue.events,
            catalogue.bytes,
        );
        drop(catalogue);
        let orders = self.threads.orders.as_ref();
        Statistics {
            channels,
            events,
            bytes,
            commits: self.commits(),
            waiting: orders.map_or(0, |orders| orders.len() as u64),
            crowded_out: self.shared.crowded_out.load(Ordering::Relaxed),
            file_bytes: Some(self.directory.bytes()),
        }
    }

    fn holdings(
        &self,
        after: Option<&ChannelName>,
        filter: &Selector,
        most: usize,
    ) -> Vec<Holding> {
        // Chosen without the lock: the writer waits for it.
        let names = || self.shared.catalogue().channels.names();
        let names = survey::next(names, after, filter, most);
        let catalogue = self.shared.catalogue();
        let records = names.iter().filter_map(|name| catalogue.channels.get(name));
        records.map(|record| catalogue.holding(record)).collect()
    }

    fn obey(&self, told: &Arc<Current>) {
        // What fails is what goes in the same transaction, and is tried again.
        let _ = self.ask(Work::Obey(told.clone()));
    }

    fn retain(&self) -> bool {
        // What fails is logged by the writer, and tried again a second later. What is left it sees to by itself.
        let _ = self.ask(Work::Retain);
        false
    }

    fn close(&self) {
        if !self.shared.closed.swap(true, Ordering::AcqRel) {
            // What fails is logged by the writer; what was acknowledged is as safe as journal.sync says.
            let _ = self.ask(Work::Close);
        }
    }

    fn release(&self) {
        self.close();
        // Every change is one assignment, so a panic leaves it whole.
        let lock = self.lock.lock();
        drop(lock.unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Drop for DiskJournal {
    fn drop(&mut self) {
        self.close();
    }
}

impl Threads {
    fn start(&mut self, name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let thread = thread::Builder::new()
            .name(name.into())
            .spawn(move || or_abort("a thread of the journal panicked", body))?;
        self.running().push(thread);
        Ok(())
    }

    fn running(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        // Every change is one push or the taking of all, so a panic leaves it whole.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Whoever waits for these hears that nobody is left.
        drop(self.orders.take());
        drop(self.stop.take());
        for thread in std::mem::take(&mut *self.running()) {
            let _ = thread.join();
        }
    }
}

/// Puts a journal with all that is good in the place of a damaged one.
fn salvage_at_start(directory: &Directory, part: &str) -> Result<(), OpenError> {
    let file = directory.database();
    log::error!(
        "{} is damaged: {part}; what is good is brought into a new one",
        file.display()
    );
    let salvaged = salvage::salvage(directory, None).map_err(|fault| OpenError::Damaged {
        file: file.clone(),
        part: format!("{part}; and what is good cannot be brought into a new one: {fault}"),
    })?;
    let aside = unusable(&file, directory.replace("damaged"))?;
    log::error!(
        "{salvaged}; the damaged journal is kept as {}",
        aside.display()
    );
    Ok(())
}

fn unusable<T>(file: &Path, outcome: std::io::Result<T>) -> Result<T, OpenError> {
    outcome.map_err(|error| OpenError::unusable(file, error))
}
