//! The last events, in memory, in front of every journal: each rendered once per framing, however many
//! subscribers it goes to.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use super::ledger::{Keeper, Ledger};
use super::reader::Reader;
use super::selector::Selection;
use crate::event::Event;
use crate::journal::{self, Limit, Loss, unix_millis};
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
    /// Where it is counted what it was rendered to, if somebody keeps it.
    ledger: Option<Arc<Ledger>>,
}

impl Entry {
    /// An event that was not rendered yet, and that nobody keeps.
    pub fn new(event: Arc<Event>) -> Self {
        Entry {
            event,
            forms: Default::default(),
            ledger: None,
        }
    }

    /// The same that the keeper of `ledger` keeps.
    pub(super) fn kept(event: Arc<Event>, ledger: &Arc<Ledger>) -> Self {
        let mut entry = Entry::new(event);
        entry.ledger = Some(ledger.clone());
        entry
    }

    /// The event itself.
    pub fn event(&self) -> &Arc<Event> {
        &self.event
    }

    /// Its place in the sequence.
    pub fn seq(&self) -> u64 {
        self.event.id.seq
    }

    /// The event in this form; rendered by whoever asks first, who holds no lock of its keeper.
    pub fn bytes(&self, form: &Form) -> &Arc<[u8]> {
        let slot = &self.forms[form.slot];
        slot.get().unwrap_or_else(|| self.render(form, slot))
    }

    fn render<'a>(&self, form: &Form, slot: &'a OnceLock<Arc<[u8]>>) -> &'a Arc<[u8]> {
        let mut is_first = false;
        let bytes = slot.get_or_init(|| {
            is_first = true;
            let mut out = Vec::with_capacity(self.event.data.bytes().len() + 256);
            (form.render)(&self.event, &mut out);
            out.into()
        });
        if let Some(ledger) = self.ledger.as_ref().filter(|_| is_first) {
            ledger.add(bytes.len());
        }
        bytes
    }

    /// What it was rendered to so far, in bytes.
    pub(super) fn rendered(&self) -> usize {
        let rendered = self.forms.iter().filter_map(OnceLock::get);
        rendered.map(|bytes| bytes.len()).sum()
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

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(ledger) = &self.ledger {
            ledger.subtract(self.rendered());
        }
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

/// The last events: consecutive seqs, bounded in number and bytes, and so is what they are rendered to.
pub struct Tail {
    head: AtomicU64,
    ring: RwLock<Ring>,
    ledger: Arc<Ledger>,
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
    /// What a journal read, with each event in an entry of its own.
    pub(super) fn of(page: journal::Page, entry: impl Fn(Arc<Event>) -> Entry) -> Self {
        let events = page.events.into_iter();
        Page {
            entries: events.map(|event| Arc::new(entry(event))).collect(),
            loss: page.loss,
            cursor: page.cursor,
            more: page.more,
        }
    }

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
    /// An empty tail that begins after `head`. It keeps one event at least, and `max_bytes` once more of what events
    /// were rendered to.
    pub fn new(head: u64, max_events: usize, max_bytes: usize) -> Arc<Self> {
        Arc::new_cyclic(|tail: &Weak<Tail>| Tail {
            head: AtomicU64::new(head),
            ring: RwLock::new(Ring {
                since: unix_millis(),
                ..Ring::default()
            }),
            ledger: Ledger::new(tail.clone(), max_bytes),
            max_events: max_events.max(1),
            max_bytes,
        })
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
            let entry = Entry::kept(event.clone(), &self.ledger);
            ring.entries.push_back(Arc::new(entry));
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

impl Keeper for Tail {
    /// Of the oldest first, which are asked for least. The events stay, and who asks has them rendered anew.
    fn let_go(&self, bytes: usize) {
        let (mut left, mut leaving) = (bytes, Vec::new());
        let mut ring = self.writing();
        for entry in &mut ring.entries {
            if left == 0 {
                break;
            }
            let rendered = entry.rendered();
            if rendered > 0 {
                left = left.saturating_sub(rendered);
                let fresh = Arc::new(Entry::kept(entry.event.clone(), &self.ledger));
                leaving.push(std::mem::replace(entry, fresh));
            }
        }
        drop(ring);
        // Publishers need not wait for it to be freed.
        drop(leaving);
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
        event_of(seq, "x")
    }

    fn event_of(seq: u64, text: &str) -> Arc<Event> {
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
            data: Data::Text(text.into()),
        })
    }

    /// Every form that there may be, each of them six times as large as the event.
    fn escaped() -> [Form; Form::COUNT] {
        std::array::from_fn(|slot| Form {
            slot,
            way: Way::Sse,
            render: |event, out| out.extend(event.data.bytes().repeat(6)),
        })
    }

    #[test]
    fn what_it_keeps_rendered_is_bounded_however_it_is_read_and_the_newest_is_rendered_once() {
        const MOST: usize = 100_000;
        let tail = Tail::new(0, 100, MOST);
        for seq in 1..=50 {
            tail.push(&[event_of(seq, &"x".repeat(1_000))]);
            let [newest] = &tail.newest(1).1[..] else {
                panic!("the newest is there");
            };
            let rendered = newest.bytes(&escaped()[0]);
            assert!(Arc::ptr_eq(
                rendered,
                tail.newest(1).1[0].bytes(&escaped()[0])
            ));
        }
        for form in escaped() {
            for place in 0..50 {
                let read = tail
                    .stretch(place, 1, MOST)
                    .expect("an event that is there");
                assert_eq!(read[0].bytes(&form).len(), 6_000);
                drop(read);
                assert!(tail.ledger.bytes() <= MOST, "{}", tail.ledger.bytes());
            }
        }
        let kept: usize = tail
            .entries(100)
            .1
            .iter()
            .map(|entry| entry.rendered())
            .sum();
        assert!(kept > MOST / 3 && tail.ledger.bytes() == kept, "{kept}");
        assert_eq!(tail.entries(100).1.len(), 50, "no event has left");
    }

    #[test]
    fn what_leaves_it_is_counted_until_nobody_reads_it() {
        let tail = Tail::new(0, 1, 100_000);
        tail.push(&[event(1)]);
        let read = tail.newest(1).1;
        read[0].bytes(&escaped()[0]);
        tail.push(&[event(2)]);
        assert_eq!(tail.ledger.bytes(), 6);
        read[0].bytes(&escaped()[1]);
        assert_eq!(tail.ledger.bytes(), 12);
        drop(read);
        assert_eq!(tail.ledger.bytes(), 0);
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
