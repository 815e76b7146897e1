//! A journal with a sink that remembers, and the few verbs in which the cases are told.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::config::{Config, Current, Retention};
use crate::event::{Cursor, Data, Event};
use crate::hub::channel::ChannelName;
use crate::hub::selector::{Selection, Selector};
use crate::journal::memory::MemoryJournal;
use crate::journal::{
    AppendError, Appended, Batch, Beginning, Draft, IdempotencyKey, Journal, Limit, Page, Sink,
    Start,
};

/// How one kind of journal is opened; the configuration names a directory of its own.
pub type Open = fn(&Config, Arc<dyn Sink>) -> Arc<dyn Journal>;

/// How long a case waits for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Bounds that no case reaches by accident.
pub const AMPLE: Limit = Limit {
    rows: 100_000,
    events: 100_000,
    bytes: usize::MAX,
};

/// Remembers what a journal committed and how often it announced that.
#[derive(Default)]
pub struct Heard {
    events: Mutex<Vec<Arc<Event>>>,
    announced: AtomicUsize,
}

impl Heard {
    pub fn events(&self) -> Vec<Arc<Event>> {
        self.events.lock().unwrap().clone()
    }

    /// What was committed behind the first `count` events.
    pub fn since(&self, count: usize) -> Vec<Arc<Event>> {
        self.events.lock().unwrap()[count..].to_vec()
    }

    pub fn seqs(&self) -> Vec<u64> {
        seqs(&self.events())
    }

    pub fn announced(&self) -> usize {
        self.announced.load(Ordering::SeqCst)
    }
}

impl Sink for Heard {
    fn committed(&self, events: &[Arc<Event>]) {
        self.events.lock().unwrap().extend_from_slice(events);
    }

    fn announce(&self) {
        self.announced.fetch_add(1, Ordering::SeqCst);
    }
}

/// A journal under test.
pub struct Fixture {
    pub journal: Arc<dyn Journal>,
    pub heard: Arc<Heard>,
    pub config: Config,
    open: Open,
    pub scratch: Scratch,
}

/// A directory of one case; dropping it removes it.
pub struct Scratch {
    pub path: PathBuf,
}

impl Scratch {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        Scratch {
            path: new_directory(&std::env::temp_dir(), &COUNT),
        }
    }

    /// The defaults, with the journal in here.
    pub fn config(&self) -> Config {
        let mut config = Config::default();
        config.journal.path = self.path.join("journal");
        config
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It may be gone already, and what is left of it harms nobody.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

impl Fixture {
    pub fn open(open: Open) -> Self {
        Self::with(open, |_| {})
    }

    pub fn with(open: Open, change: impl FnOnce(&mut Config)) -> Self {
        let scratch = Scratch::new();
        let mut config = scratch.config();
        change(&mut config);
        let heard = Arc::new(Heard::default());
        Fixture {
            journal: open(&config, heard.clone()),
            heard,
            config,
            open,
            scratch,
        }
    }

    /// Ends this life of the journal and begins the next, with what lies on the disk in between as `change` leaves it.
    pub fn restart_after(&mut self, change: impl FnOnce(&mut Config)) {
        // Somebody has to be the journal while there is none.
        let nobody: Arc<dyn Journal> =
            Arc::new(MemoryJournal::open(&self.config, 0, self.heard.clone()));
        drop(std::mem::replace(&mut self.journal, nobody));
        change(&mut self.config);
        self.journal = (self.open)(&self.config, self.heard.clone());
    }

    /// Lets other bounds count.
    pub fn obey(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
        let told = Arc::new(Current::new(self.config.clone()));
        self.journal.obey(&told);
    }

    /// The same with the disk as it is.
    pub fn restart(&mut self) {
        self.restart_after(|_| {});
    }

    /// Appends one small event and gives its seq.
    pub fn publish(&self, channel: &str) -> u64 {
        self.publish_draft(draft(channel, "x"))
    }

    pub fn publish_draft(&self, draft: Draft) -> u64 {
        let appended = self.append(vec![draft]).unwrap();
        appended.receipts[0].id.seq
    }

    /// Appends so many small events to one channel.
    pub fn publish_times(&self, count: usize, channel: &str) {
        for _ in 0..count {
            self.publish(channel);
        }
    }

    /// Appends so many events of so many bytes to channel `a`.
    pub fn publish_large(&self, count: usize, bytes: usize) {
        for _ in 0..count {
            self.publish_draft(draft("a", &"x".repeat(bytes)));
        }
    }

    /// Appends one event to each of these channels.
    pub fn publish_all(&self, channels: &[&str]) {
        for channel in channels {
            self.publish(channel);
        }
    }

    pub fn append(&self, drafts: Vec<Draft>) -> Result<Appended, AppendError> {
        self.journal.append(Batch { drafts, key: None })
    }

    pub fn append_with_key(
        &self,
        scope: &str,
        key: &str,
        payload: &str,
    ) -> Result<Appended, AppendError> {
        self.journal.append(keyed(scope, key, payload))
    }

    pub fn cursor(&self, seq: u64) -> Cursor {
        Cursor {
            epoch: self.journal.epoch(),
            seq,
        }
    }

    pub fn begin(&self, selectors: &str, start: Start) -> Beginning {
        let begun = self.journal.begin(self::selectors(selectors), start);
        begun.unwrap()
    }

    pub fn after(&self, selectors: &str, seq: u64) -> Beginning {
        let beginning = self.begin(selectors, Start::After(self.cursor(seq)));
        assert_eq!(beginning.gap, None, "cursor {seq} is known");
        beginning
    }

    /// Everything from this beginning on, in one page.
    pub fn read(&self, beginning: &Beginning) -> Page {
        self.read_within(beginning, AMPLE)
    }

    pub fn read_within(&self, beginning: &Beginning, limit: Limit) -> Page {
        let (selection, place) = (&beginning.selection, beginning.place);
        self.journal.read(selection, place, limit).unwrap()
    }

    /// The newest events before a place.
    pub fn read_before(&self, selection: &Selection, place: u64, limit: Limit) -> Page {
        self.journal.read_before(selection, place, limit).unwrap()
    }

    /// What somebody who comes with this start is given.
    pub fn seqs_from(&self, selectors: &str, start: Start) -> Vec<u64> {
        let page = self.read(&self.begin(selectors, start));
        assert_eq!(page.loss, None, "{selectors} from {start:?}");
        seqs(&page.events)
    }

    pub fn forget(&self, channel: &str) -> bool {
        self.journal.forget(&name(channel)).unwrap()
    }
}

pub fn name(channel: &str) -> ChannelName {
    channel.parse().unwrap()
}

pub fn selectors(list: &str) -> Vec<Selector> {
    list.split(',').map(|text| text.parse().unwrap()).collect()
}

pub fn draft(channel: &str, payload: &str) -> Draft {
    Draft::new(name(channel), Data::Text(payload.into()))
}

pub fn keyed(scope: &str, key: &str, payload: &str) -> Batch {
    let drafts = vec![draft("a", payload), draft("b", payload)];
    let key = IdempotencyKey::new(scope, key, &drafts).unwrap();
    Batch {
        drafts,
        key: Some(key),
    }
}

pub fn seqs(events: &[Arc<Event>]) -> Vec<u64> {
    events.iter().map(|event| event.id.seq).collect()
}

/// What whoever is given these events sees of them.
pub fn told(events: &[Arc<Event>]) -> Vec<String> {
    let told = |event: &Arc<Event>| {
        let mut json = Vec::new();
        event.write_json(&mut json);
        String::from_utf8(json).unwrap()
    };
    events.iter().map(told).collect()
}

/// Makes a directory in `parent`, with the next number that is free: a run that was killed leaves its own, and another
/// process may have its id.
fn new_directory(parent: &Path, count: &AtomicUsize) -> PathBuf {
    loop {
        let number = count.fetch_add(1, Ordering::SeqCst);
        let path = parent.join(format!("fourcast-{}-{number}", std::process::id()));
        match std::fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => {
                made.unwrap();
                return path;
            }
        }
    }
}

/// A rule for the channels of one selector.
pub fn rule(pattern: &str) -> Retention {
    Retention {
        pattern: pattern.parse().unwrap(),
        ..Retention::default()
    }
}

/// At most so many events in the channels of one selector.
pub fn keep(pattern: &str, max_events: usize) -> Retention {
    Retention {
        max_events,
        ..rule(pattern)
    }
}

/// Tries until `done`, within [`PATIENCE`].
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "never came: {what}");
        thread::yield_now();
    }
}

#[test]
fn a_directory_that_a_killed_run_left_is_given_to_no_case() {
    let scratch = Scratch::new();
    let of_killed_run = new_directory(&scratch.path, &AtomicUsize::new(0));
    let of_this_run = new_directory(&scratch.path, &AtomicUsize::new(0));
    assert_ne!(of_this_run, of_killed_run);
}
