//! Those who wait for their next events once (long polls). They come and go by themselves, under a short
//! lock, since waking a shard for each would cost as much as its answer.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{SubscriberId, Waiter};
use crate::hub::channel::ChannelName;
use crate::hub::selector::Selection;
use crate::hub::tail::Entry;
use crate::shutdown::abort;

/// One shard's part of those who wait, and whether anybody wants to hear of news there.
#[derive(Default)]
pub(super) struct Lobby {
    list: Mutex<List>,
    occupied: AtomicBool,
}

#[derive(Default)]
struct List {
    channels: HashMap<ChannelName, Vec<Wait>>,
    wide: Vec<Wait>,
    count: usize,
    /// Nobody who waits lacks anything up to here.
    from: u64,
    /// The seq up to which the shard looks, or has looked, for whom there is something.
    passed: u64,
}

/// One who waits.
struct Wait {
    id: SubscriberId,
    waiter: Arc<dyn Waiter>,
    selection: Arc<Selection>,
    /// The seq up to which it was examined.
    after: u64,
    /// Whether it came after the shard had passed something that it lacks. It finds that out by itself, and
    /// is given nothing.
    is_late: bool,
}

/// One who waited, and what it is given; nothing when it has to look for itself.
pub(super) type Call = (Arc<dyn Waiter>, Option<Vec<Arc<Entry>>>);

impl Lobby {
    /// A lobby of a shard that begins at `place`.
    pub(super) fn new(place: u64) -> Self {
        let lobby = Lobby::default();
        lobby.pass(place);
        lobby
    }

    /// Lets somebody wait. Whoever finds the head beyond its place afterwards may have come too late for an
    /// event, and has to withdraw and look again.
    pub(super) fn enter(&self, waiter: Arc<dyn Waiter>, selection: Arc<Selection>, after: u64) {
        let mut list = self.list();
        list.from = match list.count {
            0 => after,
            _ => list.from.min(after),
        };
        list.count += 1;
        let wait = Wait {
            id: waiter.id(),
            waiter,
            selection,
            after,
            is_late: after < list.passed,
        };
        match wait.selection.only_channel() {
            Some(name) => list.channels.entry(name.clone()).or_default().push(wait),
            None => list.wide.push(wait),
        }
        self.occupied.store(true, Ordering::Relaxed);
        drop(list);
        // With its like in `is_occupied`.
        fence(Ordering::SeqCst);
    }

    /// Takes somebody out; `false` when a shard has done that already.
    pub(super) fn withdraw(&self, id: SubscriberId, selection: &Selection) -> bool {
        let mut list = self.list();
        let taken = match selection.only_channel() {
            None => take(&mut list.wide, id),
            Some(name) => list.channels.get_mut(name).is_some_and(|row| take(row, id)),
        };
        if let Some(name) = selection.only_channel()
            && list.channels.get(name).is_some_and(Vec::is_empty)
        {
            list.channels.remove(name);
        }
        list.count -= usize::from(taken);
        taken
    }

    /// Has news told from now on; whatever came before can be read afterwards.
    pub(super) fn occupy(&self) {
        self.occupied.store(true, Ordering::Relaxed);
        // With its like in `is_occupied`.
        fence(Ordering::SeqCst);
    }

    /// Wants to hear of no news any more, if nobody waits.
    pub(super) fn vacate(&self) {
        let list = self.list();
        if list.count == 0 {
            self.occupied.store(false, Ordering::Relaxed);
        }
    }

    /// Whether news is to be told. Asked after the news is in the tail: either it is seen here that
    /// somebody is there, or whoever comes finds the news.
    pub(super) fn is_occupied(&self) -> bool {
        fence(Ordering::SeqCst);
        self.occupied.load(Ordering::Relaxed)
    }

    /// Says that the shard is about to look through everything up to `place`.
    pub(super) fn pass(&self, place: u64) {
        self.list().passed = place;
    }

    /// Passes over what nobody who waits lacks, and says up to where; `None` when nobody waits: then that is
    /// everything up to `head`, which was read before.
    pub(super) fn pass_over(&self, head: u64) -> Option<u64> {
        let mut list = self.list();
        if list.count == 0 {
            list.passed = list.passed.max(head);
            return None;
        }
        list.passed = list.passed.max(list.from);
        Some(list.from)
    }

    /// Takes out those for whom there is something among these events of one channel.
    pub(super) fn call_channel(&self, name: &ChannelName, entries: &[Arc<Entry>]) -> Vec<Call> {
        let mut list = self.list();
        let Some(mut row) = list.channels.remove(name) else {
            return Vec::new();
        };
        let calls = call(&mut row, entries);
        list.count -= calls.len();
        if !row.is_empty() {
            list.channels.insert(name.clone(), row);
        }
        calls
    }

    /// The same for those who wait for several channels.
    pub(super) fn call_wide(&self, entries: &[Arc<Entry>]) -> Vec<Call> {
        let mut list = self.list();
        let calls = call(&mut list.wide, entries);
        list.count -= calls.len();
        calls
    }

    /// Takes everyone out: each has to look for itself.
    pub(super) fn clear(&self) -> Vec<Call> {
        let mut list = self.list();
        let (channels, wide) = (
            std::mem::take(&mut list.channels),
            std::mem::take(&mut list.wide),
        );
        list.count = 0;
        drop(list);
        let rows = channels.into_values().flatten();
        rows.chain(wide).map(|wait| (wait.waiter, None)).collect()
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list
            .lock()
            .unwrap_or_else(|_| abort("a thread panicked among those who wait"))
    }
}

fn take(row: &mut Vec<Wait>, id: SubscriberId) -> bool {
    let index = row.iter().position(|wait| wait.id == id);
    index.map(|index| row.swap_remove(index)).is_some()
}

/// Takes those out of a row who asked for some of `entries`.
fn call(row: &mut Vec<Wait>, entries: &[Arc<Entry>]) -> Vec<Call> {
    let deleted = entries.iter().any(|entry| entry.is_deleted());
    row.extract_if(.., |wait| !wait.is_late && wait.wants_any(entries))
        .map(|wait| {
            let given = (!deleted).then(|| wait.choose(entries));
            (wait.waiter, given)
        })
        .collect()
}

impl Wait {
    fn wants(&self, entry: &Entry) -> bool {
        entry.seq() > self.after && self.selection.matches(entry.event())
    }

    fn wants_any(&self, entries: &[Arc<Entry>]) -> bool {
        entries.iter().any(|entry| self.wants(entry))
    }

    fn choose(&self, entries: &[Arc<Entry>]) -> Vec<Arc<Entry>> {
        let wanted = entries.iter().filter(|entry| self.wants(entry));
        wanted.cloned().collect()
    }
}
