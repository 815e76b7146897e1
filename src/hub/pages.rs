//! Pages of the past that several read at once: those who are far behind share one look into the journal, and what
//! its events were rendered to.
//!
//! A page is kept as it is for everyone with the same selectors: read by one for whom they count from its beginning
//! on, while nothing of it was lost, and with nothing left out that only this reader was not owed. What became of its
//! events since is found out when they are read again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use super::ledger::{Keeper, Ledger};
use super::reader::Reader;
use super::selector::{Selection, Selector};
use super::tail::{Entry, Page};
use crate::journal::{self, Limit};
use crate::shutdown::abort;

/// The pages, bounded in bytes, half of them for what their events are rendered to; those that nobody has read for
/// longest leave first.
pub struct Pages {
    shelf: Mutex<Shelf>,
    ledger: Arc<Ledger>,
    max_bytes: usize,
}

#[derive(Default)]
struct Shelf {
    stretches: BTreeMap<Spot, Stretch>,
    /// Which stretch was read when, by the count of all reads.
    uses: BTreeMap<u64, Spot>,
    reads: u64,
    bytes: usize,
}

/// What is asked for, and the place that a stretch begins after.
type Spot = (Arc<str>, u64);

/// Every event of some selectors between two places.
struct Stretch {
    entries: Arc<[Arc<Entry>]>,
    through: u64,
    weight: usize,
    used: u64,
}

impl Pages {
    /// No pages yet, and never more than `max_bytes` of them, with 0 none at all.
    pub fn new(max_bytes: usize) -> Arc<Self> {
        Arc::new_cyclic(|pages: &Weak<Pages>| Pages {
            shelf: Mutex::default(),
            ledger: Ledger::new(pages.clone(), max_bytes / 2),
            max_bytes,
        })
    }

    /// What a subscriber at `place` is owed, as far as pages that follow on one another reach: none of it where they
    /// have nothing for it, with the cursor up to which that is so. Only for those who lost nothing beyond `place`.
    pub fn read(&self, selection: &Selection, place: u64, limit: Limit, now: u64) -> Page {
        let mut reader = Reader::new(selection, Page::after(place), limit, now);
        let Some(begin) = self.whole_after(selection, place) else {
            return reader.page;
        };
        let topic = topic(selection);
        reader.page.cursor = begin;
        while !reader.is_full()
            && let Some((entries, through)) = self.find(&topic, reader.page.cursor)
        {
            let examined = entries.partition_point(|entry| entry.seq() <= reader.page.cursor);
            let fresh = entries.get(examined..).unwrap_or_default();
            if !reader.examine(fresh, through) {
                break;
            }
        }
        reader.page
    }

    /// Takes what the journal gave to a subscriber at `place`, and keeps it if it is the same for others.
    pub fn take(&self, selection: &Selection, place: u64, page: journal::Page) -> Page {
        let is_for_all = page.loss.is_none() && !page.outlived;
        let begin = self.whole_after(selection, place);
        let Some(begin) = begin.filter(|begin| is_for_all && *begin < page.cursor) else {
            return page.into();
        };
        let page = Page::of(page, |event| Entry::kept(event, &self.ledger));
        self.keep((topic(selection), begin), &page);
        page
    }

    fn whole_after(&self, selection: &Selection, place: u64) -> Option<u64> {
        selection
            .whole_after(place)
            .filter(|_| self.max_bytes > 0 && !selection.is_empty())
    }

    fn find(&self, topic: &Arc<str>, place: u64) -> Option<(Arc<[Arc<Entry>]>, u64)> {
        self.shelf().find(topic, place)
    }

    fn keep(&self, spot: Spot, page: &Page) {
        // What is found empty up to the head cost nobody anything.
        if page.entries.is_empty() && !page.more {
            return;
        }
        let weight = weight(&spot, page);
        if weight > self.max_bytes {
            return;
        }
        let stretch = Stretch {
            entries: page.entries[..].into(),
            through: page.cursor,
            weight,
            used: 0,
        };
        let mut shelf = self.shelf();
        let mut leaving = shelf.put(spot, stretch);
        while shelf.bytes > self.max_bytes {
            leaving.extend(shelf.drop_oldest());
        }
        drop(shelf);
        // Whoever waits for the shelf need not wait for thousands of events to be freed.
        drop(leaving);
    }

    /// Held for moments: nothing is read, matched or rendered meanwhile.
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf
            .lock()
            .unwrap_or_else(|_| abort("a thread panicked among the pages"))
    }
}

impl Keeper for Pages {
    fn let_go(&self, bytes: usize) {
        let (mut left, mut leaving) = (bytes, Vec::new());
        let mut shelf = self.shelf();
        while left > 0
            && let Some(stretch) = shelf.drop_oldest()
        {
            let rendered = stretch.entries.iter().map(|entry| entry.rendered());
            left = left.saturating_sub(rendered.sum());
            leaving.push(stretch);
        }
        drop(shelf);
        drop(leaving);
    }
}

impl Shelf {
    /// The stretch that goes on from `place`, and how far.
    fn find(&mut self, topic: &Arc<str>, place: u64) -> Option<(Arc<[Arc<Entry>]>, u64)> {
        let before = (topic.clone(), 0)..=(topic.clone(), place);
        let (spot, stretch) = self.stretches.range_mut(before).next_back()?;
        if stretch.through <= place {
            return None;
        }
        self.uses.remove(&stretch.used);
        self.reads += 1;
        stretch.used = self.reads;
        self.uses.insert(stretch.used, spot.clone());
        Some((stretch.entries.clone(), stretch.through))
    }

    /// Puts a stretch in the place of one that begins where it does, which is returned.
    fn put(&mut self, spot: Spot, mut stretch: Stretch) -> Vec<Stretch> {
        let replaced = self.remove(&spot);
        self.reads += 1;
        stretch.used = self.reads;
        self.bytes += stretch.weight;
        self.uses.insert(stretch.used, spot.clone());
        self.stretches.insert(spot, stretch);
        replaced.into_iter().collect()
    }

    fn drop_oldest(&mut self) -> Option<Stretch> {
        let (_, spot) = self.uses.first_key_value()?;
        let spot = spot.clone();
        self.remove(&spot)
    }

    fn remove(&mut self, spot: &Spot) -> Option<Stretch> {
        let stretch = self.stretches.remove(spot)?;
        self.uses.remove(&stretch.used);
        self.bytes -= stretch.weight;
        Some(stretch)
    }
}

/// What is asked for, in whichever order: no name and no pattern has a comma.
fn topic(selection: &Selection) -> Arc<str> {
    let mut texts: Vec<_> = selection.selectors().map(Selector::as_str).collect();
    texts.sort_unstable();
    texts.join(",").into()
}

/// Roughly what it costs to keep a page, in bytes: each event as it is, and as much for what it is rendered to.
fn weight((topic, _): &Spot, page: &Page) -> usize {
    const RECORD: usize = 256;
    let events = page.entries.iter().map(|entry| entry.event().weight());
    RECORD + topic.len() + 2 * events.sum::<usize>()
}

#[cfg(test)]
impl Pages {
    /// What the pages weigh together.
    pub fn bytes(&self) -> usize {
        let shelf = self.shelf();
        let weights = shelf.stretches.values().map(|stretch| stretch.weight);
        assert_eq!(weights.sum::<usize>(), shelf.bytes);
        assert_eq!(shelf.uses.len(), shelf.stretches.len());
        shelf.bytes
    }

    /// What their events are rendered to, in bytes.
    pub fn rendered(&self) -> usize {
        self.ledger.bytes()
    }
}
