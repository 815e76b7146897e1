//! The last events, in memory, in front of every journal: each rendered once per framing, however many
//! subscribers it goes to.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::reader::Reader;
use super::selector::Selection;
use crate::event::Event;
use crate::journal::{Limit, Loss, unix_millis};
use crate::roster::Way;
use crate::shutdown::abort;

/// One way to put an event into bytes, and the slot in which its result is kept.
pub struct Form {
    /// Which of the [`Form::COUNT`] slots.
    pub slot: usize,
    /// The way of those who get it.
    pub way: Way,
    /// Appends the event as it goes over the wire, whole frames only.
    pub render: fn(&Event, &mut Vec<u8>),
}

impl Form {
    /// How many forms there may be.
    pub const COUNT: usize = 9;
}

/// An event with what it was rendered to so far.
pub struct Entry {
    event: Arc<Event>,
    forms: [OnceLock<Arc<[u8]>>; Form::COUNT],
}

impl Entry {
    /// An event that was not rendered yet.
    pub fn new(event: Arc<Event>) -> Self {
        Entry {
            event,
            forms: Default::default(),
        }
    }

    /// The event itself.
    pub fn event(&self) -> &Arc<Event> {
        &self.event
    }

    /// Its place in the sequence.
    pub fn seq(&self) -> u64 {
        self.event.id.seq
    }

    /// The event in this form; rendered by whoever asks first.
    pub fn bytes(&self, form: &Form) -> &Arc<[u8]> {
        self.forms[form.slot].get_or_init(|| {
            let mut out = Vec::with_capacity(self.event.data.bytes().len() + 256);
            (form.render)(&self.event, &mut out);
            out.into()
        })
    }

    /// Whether somebody deleted it since.
    pub fn is_deleted(&self) -> bool {
        self.event.channel.deleted_through() >= self.seq()
    }

    /// Whether it was lost since, be it still owed or not.
    pub fn is_lost(&self) -> bool {
        self.event.channel.lost_through() >= self.seq()
    }
}

/// What a subscriber gets from one look at the past.
#[derive(Default)]
pub struct Page {
    /// The events that match, in the order of their ids.
    pub entries: Vec<Arc<Entry>>,
    /// What is missing before or among them.
    pub loss: Option<Loss>,
    /// The seq up to which everything was examined.
    pub cursor: u64,
    /// Whether there is more to examine.
    pub more: bool,
}

/// The last events: consecutive seqs, bounded in number and bytes.
pub struct Tail {
    head: AtomicU64,
    ring: RwLock<Ring>,
    max_events: usize,
    max_bytes: usize,
}

#[derive(Default)]
struct Ring {
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
    /// The time from which on it has every event, in milliseconds since 1970.
    since: u64,
}

impl Page {
    /// Nothing yet, for a subscriber who was examined up to `place`.
    pub fn after(place: u64) -> Self {
        Page {
            cursor: place,
            ..Page::default()
        }
    }

    /// The same with what a subscriber is owed of `entries`, which come next.
    pub fn go_on(
        self,
        entries: &[Arc<Entry>],
        selection: &Selection,
        limit: Limit,
        now: u64,
    ) -> Self {
        let through = entries.last().map_or(self.cursor, |last| last.seq());
        let mut reader = Reader::new(selection, self, limit, now);
        reader.examine(entries, through);
        reader.page
    }

    /// Whether there is nothing in it to be told.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.loss.is_none()
    }
}

impl Tail {
    /// An empty tail that begins after `head`. It keeps one event at least.
    pub fn new(head: u64, max_events: usize, max_bytes: usize) -> Self {
        Tail {
            head: AtomicU64::new(head),
            ring: RwLock::new(Ring {
                since: unix_millis(),
                ..Ring::default()
            }),
            max_events: max_events.max(1),
            max_bytes,
        }
    }

    /// The newest seq; what is up to here can be read.
    pub fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// Takes the next events of the sequence.
    pub fn push(&self, events: &[Arc<Event>]) {
        let Some(last) = events.last() else { return };
        let mut ring = self.writing();
        for event in events {
            ring.bytes += event.weight();
            ring.entries.push_back(Arc::new(Entry::new(event.clone())));
        }
        while ring.entries.len() > self.max_events
            || (ring.bytes > self.max_bytes && ring.entries.len() > 1)
        {
            let Some(oldest) = ring.entries.pop_front() else {
                break;
            };
            ring.bytes -= oldest.event.weight();
            ring.since = oldest.event.time;
        }
        self.head.store(last.id.seq, Ordering::Release);
    }

    /// Every event after `place`, at most `rows` and about `bytes`, as it came, whatever was
    /// lost since. `None` when some have left the tail.
    pub fn stretch(&self, place: u64, rows: usize, bytes: usize) -> Option<Vec<Arc<Entry>>> {
        if place >= self.head() {
            return Some(Vec::new());
        }
        let ring = self.reading();
        let mut room = bytes;
        let fits = |entry: &&Arc<Entry>| {
            let fits = room > 0;
            room = room.saturating_sub(entry.event.weight());
            fits
        };
        Some(
            ring.after(place)?
                .take(rows)
                .take_while(fits)
                .cloned()
                .collect(),
        )
    }

    /// Goes on where `page` ends with what the subscriber is owed; `false` when what comes next has left the tail.
    pub fn extend(&self, page: &mut Page, selection: &Selection, limit: Limit, now: u64) -> bool {
        let place = page.cursor;
        if place >= self.head() {
            page.more = false;
            return true;
        }
        // Matching costs as much as the reader asks for, so it happens without the lock.
        let rows = limit.rows.saturating_add(1);
        let entries = self
            .reading()
            .after(place)
            .map(|entries| entries.take(rows).cloned().collect());
        let Some(entries): Option<Vec<_>> = entries else {
            return false;
        };
        *page = std::mem::take(page).go_on(&entries, selection, limit, now);
        true
    }

    /// All that it has, at most `rows`, and the seq that this begins after.
    pub fn entries(&self, rows: usize) -> (u64, Vec<Arc<Entry>>) {
        let ring = self.reading();
        let first = ring.entries.front().map(|first| first.seq() - 1);
        let begin = first.unwrap_or_else(|| self.head());
        (begin, ring.entries.iter().take(rows).cloned().collect())
    }

    /// The newest events, at most `rows`, and the time from which on these are all that there were, in milliseconds
    /// since 1970.
    pub fn newest(&self, rows: usize) -> (u64, Vec<Arc<Entry>>) {
        let ring = self.reading();
        let skipped = ring.entries.len().saturating_sub(rows);
        let last_skipped = skipped.checked_sub(1).and_then(|at| ring.entries.get(at));
        let since = last_skipped.map_or(ring.since, |entry| entry.event.time);
        (since, ring.entries.range(skipped..).cloned().collect())
    }

    fn reading(&self) -> RwLockReadGuard<'_, Ring> {
        self.ring
            .read()
            .unwrap_or_else(|_| abort("a thread panicked inside the tail"))
    }

    fn writing(&self) -> RwLockWriteGuard<'_, Ring> {
        self.ring
            .write()
            .unwrap_or_else(|_| abort("a thread panicked inside the tail"))
    }
}

impl Ring {
    /// The entries after `place`; `None` when there were others between.
    fn after(&self, place: u64) -> Option<impl Iterator<Item = &Arc<Entry>>> {
        let first = self.entries.front()?.seq();
        if place + 1 < first {
            return None;
        }
        let skipped = usize::try_from(place + 1 - first).unwrap_or(usize::MAX);
        Some(self.entries.range(skipped.min(self.entries.len())..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Data, Epoch, EventType, Id};
    use crate::hub::channel::Channel;

    /// An event that came `seq` seconds after 1970.
    fn event(seq: u64) -> Arc<Event> {
        Arc::new(Event {
            id: Id {
                epoch: Epoch::from_random(0),
                seq,
            },
            channel: Arc::new(Channel::new("a".parse().unwrap())),
            kind: EventType::message(),
            time: seq * 1000,
            expires: None,
            content_type: None,
            data: Data::Text("x".into()),
        })
    }

    #[test]
    fn it_knows_from_which_time_on_its_newest_are_all_that_there_were() {
        let tail = Tail::new(0, 3, usize::MAX);
        let began = tail.newest(10).0;
        let look = |rows| {
            let (since, entries) = tail.newest(rows);
            let seqs: Vec<_> = entries.iter().map(|entry| entry.seq()).collect();
            (since, seqs)
        };
        tail.push(&[event(1), event(2), event(3)]);
        assert_eq!(look(10), (began, vec![1, 2, 3]), "nothing has left it");
        tail.push(&[event(4), event(5)]);
        assert_eq!(look(10), (2000, vec![3, 4, 5]));
        assert_eq!(look(2), (3000, vec![4, 5]));
        assert_eq!(look(0), (5000, vec![]));
    }
}
