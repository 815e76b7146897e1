//! A journal in memory that cannot be read or written whenever a test says so.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::config::{Config, Current};
use crate::event::Epoch;
use crate::hub::channel::ChannelName;
use crate::hub::selector::{Selection, Selector};
use crate::journal::memory::MemoryJournal;
use crate::journal::{
    AppendError, Appended, Batch, Beginning, Holding, Journal, Limit, Page, Sink, Start,
    Statistics, StoreError,
};

/// What does not work at the moment.
#[derive(Default)]
pub struct Faults {
    pub begin: Fault,
    pub read: Fault,
    pub write: Fault,
    /// Is called before it is found where somebody begins.
    pub before_begin: Mutex<Option<Box<dyn Fn() + Send>>>,
    /// Is called before it is closed.
    pub before_close: Mutex<Option<Arc<dyn Fn() + Send + Sync>>>,
    /// Whether its files were let go of.
    pub is_released: AtomicBool,
    /// Is called before it is told what there is.
    pub before_statistics: Mutex<Option<Arc<dyn Fn() + Send + Sync>>>,
}

/// One thing that may not work.
#[derive(Default)]
pub struct Fault {
    error: Mutex<Option<StoreError>>,
    count: AtomicUsize,
}

impl Fault {
    /// From now on it fails.
    pub fn happen(&self, error: StoreError) {
        *self.error.lock().unwrap() = Some(error);
    }

    /// From now on it works.
    pub fn end(&self) {
        *self.error.lock().unwrap() = None;
    }

    /// How often it failed.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    fn check(&self) -> Result<(), StoreError> {
        let Some(error) = *self.error.lock().unwrap() else {
            return Ok(());
        };
        self.count.fetch_add(1, Ordering::SeqCst);
        Err(error)
    }
}

/// The journal.
pub struct FaultyJournal {
    inner: MemoryJournal,
    faults: Arc<Faults>,
}

impl FaultyJournal {
    pub fn open(config: &Config, sink: Arc<dyn Sink>, faults: &Arc<Faults>) -> Arc<Self> {
        Arc::new(FaultyJournal {
            inner: MemoryJournal::open(config, 1, sink),
            faults: faults.clone(),
        })
    }
}

impl Journal for FaultyJournal {
    fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        self.faults.write.check()?;
        self.inner.append(batch)
    }

    fn head(&self) -> u64 {
        self.inner.head()
    }

    fn epoch(&self) -> Epoch {
        self.inner.epoch()
    }

    fn begin(&self, selectors: Vec<Selector>, start: Start) -> Result<Beginning, StoreError> {
        if let Some(hook) = &*self.faults.before_begin.lock().unwrap() {
            hook();
        }
        self.faults.begin.check()?;
        self.inner.begin(selectors, start)
    }

    fn read(&self, selection: &Selection, place: u64, limit: Limit) -> Result<Page, StoreError> {
        self.faults.read.check()?;
        self.inner.read(selection, place, limit)
    }

    fn read_before(
        &self,
        selection: &Selection,
        place: u64,
        limit: Limit,
    ) -> Result<Page, StoreError> {
        self.faults.read.check()?;
        self.inner.read_before(selection, place, limit)
    }

    fn has_lost_nothing(&self, selection: &Selection, place: u64) -> bool {
        self.inner.has_lost_nothing(selection, place)
    }

    fn forget(&self, channel: &ChannelName) -> Result<bool, AppendError> {
        self.faults.write.check()?;
        self.inner.forget(channel)
    }

    fn is_writable(&self) -> bool {
        self.faults.write.error.lock().unwrap().is_none()
    }

    fn statistics(&self) -> Statistics {
        let hook = self.faults.before_statistics.lock().unwrap().clone();
        if let Some(hook) = hook {
            hook();
        }
        self.inner.statistics()
    }

    fn holdings(
        &self,
        after: Option<&ChannelName>,
        filter: &Selector,
        most: usize,
    ) -> Vec<Holding> {
        self.inner.holdings(after, filter, most)
    }

    fn obey(&self, told: &Arc<Current>) {
        self.inner.obey(told);
    }

    fn retain(&self) -> bool {
        self.inner.retain()
    }

    fn close(&self) {
        let hook = self.faults.before_close.lock().unwrap().clone();
        if let Some(hook) = hook {
            hook();
        }
        self.inner.close();
    }

    fn release(&self) {
        self.inner.release();
        self.faults.is_released.store(true, Ordering::Release);
    }
}
