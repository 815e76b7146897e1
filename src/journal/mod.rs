//! 6: where an event gets its number and keeps its past. The contract that every journal keeps stands
//! on [`Journal`]; the ones there are stand in files of their own.

mod channels;
mod clock;
pub mod disk;
mod excerpt;
pub mod memory;
mod rules;
mod survey;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha1_smol::Sha1;

use crate::config::{Config, Current, JournalKind};
use crate::event::{Cursor, Data, Epoch, Event, EventType, Id};
use crate::hub::channel::{ChannelName, LossReason};
use crate::hub::selector::{Selection, Selector};
use crate::refusal::{Kind, Refusal};
use memory::MemoryJournal;
pub use survey::{Holding, Statistics};

/// Keeps events, in one sequence over all channels.
///
/// **Numbers.** [`append`](Journal::append) gives consecutive seqs, from one place, beginning with 1 and
/// going on over restarts. Times never decrease along the sequence. A batch is kept whole or not at all.
///
/// **Order.** The [`Sink`] that the journal was opened with hears of every event once, in the order of
/// seq, after it was committed and before `append` returns; a reader sees an event no earlier than the sink.
///
/// **Snapshots.** What one call returns (events, gap and cursor) was true at one moment.
///
/// **Retention.** Acts once a batch: all of it is kept, then each of its channels is brought within its own
/// rule, then everything within `journal.max_bytes`, the oldest first. What [`retain`](Journal::retain) and
/// [`obey`](Journal::obey) let go of is lost in the same way. Where a great deal is to go, it goes in steps, between
/// which others have their turn.
///
/// **Losses.** Before an event that is still owed goes, its channel's mark
/// ([`Channel::lose`](crate::hub::channel::Channel::lose)) is raised over it. An event that outlived its
/// own time to live is not owed. When a channel's record goes, its mark is folded into one for all
/// channels without a record, which counts for patterns too.
///
/// **Errors.** A call that fails has changed nothing that anybody was told of: no event of it was heard or can
/// be read, no mark was raised and no key used. What failed by a [`StoreError`] may be asked again; the
/// journal heals by itself when the cause has gone.
///
/// **Blocking.** Every call may block for as long as the store takes; none waits for a subscriber. All
/// may be called from any thread.
pub trait Journal: Send + Sync {
    /// Numbers and keeps a batch, or finds that its idempotency key was used and returns the first
    /// answer again.
    ///
    /// # Errors
    /// Nothing of the batch was kept.
    fn append(&self, batch: Batch) -> Result<Appended, AppendError>;

    /// The newest seq; 0 before the first event.
    fn head(&self) -> u64;

    /// The epoch of the life that began when this journal was opened.
    fn epoch(&self) -> Epoch;

    /// Finds the place that `start` stands for, for these selectors.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn begin(&self, selectors: Vec<Selector>, start: Start) -> Result<Beginning, StoreError>;

    /// Events after `place`, oldest first. Examines [`Limit::rows`] events at most, so that the page may be
    /// empty with an advanced cursor and `more` set.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn read(&self, selection: &Selection, place: u64, limit: Limit) -> Result<Page, StoreError>;

    /// The newest events before `place`, oldest first; `more` says that there are older ones.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn read_before(
        &self,
        selection: &Selection,
        place: u64,
        limit: Limit,
    ) -> Result<Page, StoreError>;

    /// Whether nothing that is asked for was lost beyond `place`. Touches no disk.
    fn has_lost_nothing(&self, selection: &Selection, place: u64) -> bool;

    /// Takes every event of a channel, raising its mark first. Says whether there was such a channel.
    ///
    /// # Errors
    /// Nothing of the channel was taken.
    fn forget(&self, channel: &ChannelName) -> Result<bool, AppendError>;

    /// Whether the last attempt to keep something succeeded.
    fn is_writable(&self) -> bool;

    /// What it holds, and what it did since it was opened.
    fn statistics(&self) -> Statistics;

    /// What is kept of the first `most` channels that `filter` matches and whose names come after `after`, in the
    /// order of their bytes. Channels come and go while it looks.
    fn holdings(&self, after: Option<&ChannelName>, filter: &Selector, most: usize)
    -> Vec<Holding>;

    /// Has the bounds that `told` says now count instead of those it was opened with: every channel gets the rule that
    /// its name matches now, and what is beyond it goes, soon where it is much. Where it lies stays as it is. Returns
    /// when whatever comes next goes by it; of two calls at once, with what was told last.
    fn obey(&self, told: &Arc<Current>);

    /// Lets go of what retention no longer keeps, by age or time to live, or by a rule that is new. Called about once a
    /// second, and soon again while it says that there is more to go.
    fn retain(&self) -> bool;

    /// Ends this life: what was acknowledged is safe when it returns. Nothing is appended or forgotten
    /// afterwards, and nothing let go of.
    fn close(&self);

    /// Lets another process open it. Nothing is read afterwards.
    fn release(&self) {}
}

/// A journal that was opened, and has nobody yet to hear of its events.
pub enum Opening {
    /// In memory, without a past: what it may hold, and what its epoch stands for.
    Memory(Box<Config>, u64),
    /// On disk.
    Disk(Box<disk::Opening>),
}

impl Opening {
    /// Opens the journal that the configuration names; `random` stands for the epoch of the life that begins.
    /// Blocks while what a crash left is recovered.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(config: &Config, random: u64) -> Result<Self, disk::OpenError> {
        Ok(match config.journal.kind {
            JournalKind::Memory => Opening::Memory(Box::new(config.clone()), random),
            JournalKind::Disk => Opening::Disk(Box::new(disk::DiskJournal::open(config, random)?)),
        })
    }

    /// The newest seq.
    pub fn head(&self) -> u64 {
        match self {
            Opening::Memory(..) => 0,
            Opening::Disk(opening) => opening.head(),
        }
    }

    /// Starts it; from now on `sink` hears what is committed.
    ///
    /// # Errors
    /// When a thread of its own cannot be started.
    pub fn start(self, sink: Arc<dyn Sink>) -> io::Result<Arc<dyn Journal>> {
        Ok(match self {
            Opening::Memory(config, random) => Arc::new(MemoryJournal::open(&config, random, sink)),
            Opening::Disk(opening) => Arc::new(opening.start(sink)?),
        })
    }
}

/// Hears what was committed.
pub trait Sink: Send + Sync {
    /// Takes the next events of the sequence. Called in order, one call at a time, perhaps with the
    /// journal's lock held: it must not block and must not call the journal.
    fn committed(&self, events: &[Arc<Event>]);

    /// Says that [`committed`](Sink::committed) was called, with no lock held. It may read the journal, and ask it
    /// for nothing else.
    fn announce(&self);
}

/// An event before it has a number.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Where it is published.
    pub channel: ChannelName,
    /// Its type.
    pub kind: EventType,
    /// How long it is owed to those who come back; zero: delivered live and never kept.
    pub ttl: Option<Duration>,
    /// The media type, where it says more than the form of `data` does.
    pub content_type: Option<Box<str>>,
    /// Its payload.
    pub data: Data,
}

impl Draft {
    /// An event of type `message` that is kept as long as retention allows.
    pub fn new(channel: ChannelName, data: Data) -> Self {
        Draft {
            channel,
            kind: EventType::message(),
            ttl: None,
            content_type: None,
            data,
        }
    }

    /// The same with another type.
    pub fn with_type(mut self, kind: EventType) -> Self {
        self.kind = kind;
        self
    }

    /// The same with a time to live.
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// All that tells it from another.
    fn parts(&self) -> [Cow<'_, [u8]>; 6] {
        let form = match self.data {
            Data::Json(_) => "json",
            Data::Text(_) => "text",
            Data::Binary(_) => "binary",
        };
        let ttl = self.ttl.map(|ttl| ttl.as_nanos().to_string());
        [
            self.channel.as_str().as_bytes().into(),
            self.kind.as_str().as_bytes().into(),
            ttl.unwrap_or_default().into_bytes().into(),
            self.content_type
                .as_deref()
                .unwrap_or_default()
                .as_bytes()
                .into(),
            form.as_bytes().into(),
            self.data.bytes().into(),
        ]
    }
}

/// Events that are kept together or not at all.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The events, in the order of their numbers to be.
    pub drafts: Vec<Draft>,
    /// Makes a repetition of this batch harmless.
    pub key: Option<IdempotencyKey>,
}

impl Batch {
    /// How many events it has, and how many bytes their payloads have.
    pub fn size(&self) -> (u64, u64) {
        let bytes: usize = self
            .drafts
            .iter()
            .map(|draft| draft.data.bytes().len())
            .sum();
        (self.drafts.len() as u64, bytes as u64)
    }
}

impl From<Draft> for Batch {
    fn from(draft: Draft) -> Self {
        Batch {
            drafts: vec![draft],
            key: None,
        }
    }
}

/// What a publisher names a batch, so that it can be sent again without harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Where the name is valid.
    pub scope: Box<str>,
    /// The name.
    pub key: Box<str>,
    /// What was published under it; another payload under the same name is refused.
    pub digest: [u8; 20],
}

impl IdempotencyKey {
    /// The longest name, in bytes.
    pub const MAX: usize = 255;

    /// The name `key` within `scope`, for these events. The same events have the same digest, whichever
    /// way they are published.
    ///
    /// # Errors
    /// When it is empty or too long.
    pub fn new(scope: &str, key: &str, drafts: &[Draft]) -> Result<Self, Refusal> {
        if key.is_empty() || key.len() > Self::MAX {
            let detail = format!("an idempotency key has 1 to {} bytes", Self::MAX);
            return Err(Refusal::new(Kind::BadParameter, detail));
        }
        let mut hash = Sha1::new();
        for part in drafts.iter().flat_map(Draft::parts) {
            // The length keeps two parts from passing for one.
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(&part);
        }
        Ok(IdempotencyKey {
            scope: scope.into(),
            key: key.into(),
            digest: hash.digest().bytes(),
        })
    }
}

/// The proof that an event was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Its id.
    pub id: Id,
    /// Its channel.
    pub channel: ChannelName,
    /// Its time, in milliseconds since 1970-01-01 UTC.
    pub time: u64,
}

/// What became of a batch.
#[derive(Debug, Clone)]
pub struct Appended {
    /// One receipt for each draft, in their order.
    pub receipts: Arc<[Receipt]>,
    /// Whether this answers a repetition, so that nothing was kept anew.
    pub repeated: bool,
}

/// Why the store could not do what was asked: the environment's fault. What was asked may be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreError {
    /// Its disk, or what it may use of it, is full.
    Full,
    /// It cannot be read or written at the moment; the log says why.
    Unavailable,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the journal has no room on its disk; try again when there is some",
            Self::Unavailable => "the journal cannot be read or written at the moment; try again",
        })
    }
}

impl std::error::Error for StoreError {}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let kind = match error {
            StoreError::Full => Kind::JournalFull,
            StoreError::Unavailable => Kind::JournalUnavailable,
        };
        Refusal::new(kind, error.to_string())
    }
}

/// Why a batch was not kept, or a channel not forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendError {
    /// The peer's fault: its idempotency key was used with another payload.
    KeyReused,
    /// The operator's bound on channels is reached.
    TooManyChannels,
    /// The journal was closed.
    Closed,
    /// The store could not do it.
    Store(StoreError),
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeyReused => "this Idempotency-Key was used with another payload; use a new key",
            Self::TooManyChannels => "there are as many channels as limits.channels allows",
            Self::Closed => "the journal is closed; the server is stopping",
            Self::Store(error) => return error.fmt(f),
        })
    }
}

impl std::error::Error for AppendError {}

impl From<StoreError> for AppendError {
    fn from(error: StoreError) -> Self {
        AppendError::Store(error)
    }
}

impl From<AppendError> for Refusal {
    fn from(error: AppendError) -> Self {
        let kind = match error {
            AppendError::KeyReused => Kind::KeyReused,
            AppendError::TooManyChannels => Kind::TooManyChannels,
            AppendError::Closed => Kind::Leaving,
            AppendError::Store(error) => return error.into(),
        };
        Refusal::new(kind, error.to_string())
    }
}

/// Where a subscriber wants to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// After this cursor, which may turn out to be unknown here.
    After(Cursor),
    /// After a cursor that nobody can read; a gap, since what was missed is unknown.
    Unreadable,
    /// With everything retained.
    Earliest,
    /// With what comes from now on.
    Now,
    /// This many events back in each channel.
    Last(u64),
    /// With the first event at or after this time, in milliseconds since 1970-01-01 UTC.
    Since(u64),
}

/// A start, found.
#[derive(Debug, Clone)]
pub struct Beginning {
    /// What is examined from here on.
    pub selection: Selection,
    /// The seq up to which it counts as examined.
    pub place: u64,
    /// Set when the start was a cursor that this journal does not know.
    pub gap: Option<GapReason>,
}

/// Why events are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapReason {
    /// Retention took them.
    Retention,
    /// Somebody asked for it with DELETE.
    Deleted,
    /// The cursor is from a life that this journal does not know, or from beyond that life's end.
    Epoch,
    /// The subscriber was too slow, and retention was faster.
    Overtaken,
    /// The cursor could not be read.
    Unknown,
}

impl GapReason {
    /// All reasons.
    pub const ALL: [GapReason; 5] = [
        GapReason::Retention,
        GapReason::Deleted,
        GapReason::Epoch,
        GapReason::Overtaken,
        GapReason::Unknown,
    ];

    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            GapReason::Retention => "retention",
            GapReason::Deleted => "deleted",
            GapReason::Epoch => "epoch",
            GapReason::Overtaken => "overtaken",
            GapReason::Unknown => "unknown",
        }
    }
}

impl From<LossReason> for GapReason {
    fn from(reason: LossReason) -> Self {
        match reason {
            LossReason::Retention => GapReason::Retention,
            LossReason::Deleted => GapReason::Deleted,
        }
    }
}

/// What is missing behind a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Why: DELETE counts more than retention, since somebody wanted it.
    pub reason: LossReason,
    /// The channels that lost something, each with its mark, so that it need not be told again.
    pub channels: Vec<(ChannelName, u64)>,
    /// The mark of the channels without a record, if that is what lies beyond the place; else 0.
    pub folded: u64,
}

impl Loss {
    /// As much of it as was lost up to `seq`, by channels that have a record.
    pub(crate) fn up_to(mut self, seq: u64) -> Self {
        for (_, mark) in &mut self.channels {
            *mark = seq.min(*mark);
        }
        self
    }

    /// Lets this loss not be told again to whoever has `selection`.
    pub fn excuse(&self, selection: &mut Selection) {
        for (channel, mark) in &self.channels {
            selection.excuse(channel, *mark);
        }
        selection.excuse_folded(self.folded);
    }
}

/// The bounds of one read.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Events examined.
    pub rows: usize,
    /// Events returned.
    pub events: usize,
    /// Bytes returned, as [`Event::weight`] counts them, unless the first event alone has more.
    pub bytes: usize,
}

/// One read's result.
#[derive(Debug, Clone)]
pub struct Page {
    /// The events that match, in the order of their ids.
    pub events: Vec<Arc<Event>>,
    /// What was lost beyond the place that was read from.
    pub loss: Option<Loss>,
    /// Whether events were left out that outlived their own time to live: somebody else may be owed them.
    pub outlived: bool,
    /// The seq up to which everything was examined (reading backwards: the place to read before next).
    pub cursor: u64,
    /// Whether there is more to examine behind `cursor`.
    pub more: bool,
}

impl Page {
    /// Takes back what it says beyond `end`.
    pub fn end_at(&mut self, end: u64) {
        if self.cursor > end {
            self.events.retain(|event| event.id.seq <= end);
            self.cursor = end;
            self.more = true;
        }
    }
}

/// Milliseconds since 1970-01-01 UTC, by the system's clock.
pub fn unix_millis() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
