//! The log: all events in the order of seq.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::event::Event;

/// All events in the order of seq. An event that goes leaves a hole, and holes are closed when they are
/// the greater part, so that one old event does not hold the room of a million that came after it.
#[derive(Default)]
pub(super) struct Log {
    slots: VecDeque<Slot>,
    holes: usize,
    bytes: usize,
}

struct Slot {
    seq: u64,
    time: u64,
    event: Option<Arc<Event>>,
}

impl Log {
    /// What all events weigh together.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many events there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.holes
    }

    pub(super) fn push(&mut self, event: Arc<Event>) {
        self.bytes += event.weight();
        self.slots.push_back(Slot {
            seq: event.id.seq,
            time: event.time,
            event: Some(event),
        });
    }

    pub(super) fn remove(&mut self, seq: u64) {
        // Mostly the oldest goes.
        let index = match self.slots.front() {
            Some(oldest) if oldest.seq == seq => 0,
            _ => self.slots.partition_point(|slot| slot.seq < seq),
        };
        if let Some(slot) = self.slots.get_mut(index)
            && slot.seq == seq
            && let Some(event) = slot.event.take()
        {
            self.holes += 1;
            self.bytes -= event.weight();
        }
        while self.slots.front().is_some_and(|slot| slot.event.is_none()) {
            self.slots.pop_front();
            self.holes -= 1;
        }
        if self.holes > self.slots.len() / 2 {
            self.slots.retain(|slot| slot.event.is_some());
            self.holes = 0;
        }
    }

    pub(super) fn oldest(&self) -> Option<&Arc<Event>> {
        self.slots.iter().find_map(|slot| slot.event.as_ref())
    }

    pub(super) fn after(&self, place: u64) -> impl Iterator<Item = &Arc<Event>> {
        let index = self.slots.partition_point(|slot| slot.seq <= place);
        self.slots
            .range(index..)
            .filter_map(|slot| slot.event.as_ref())
    }

    pub(super) fn before(&self, place: u64) -> impl Iterator<Item = &Arc<Event>> {
        let index = self.slots.partition_point(|slot| slot.seq < place);
        self.slots
            .range(..index)
            .rev()
            .filter_map(|slot| slot.event.as_ref())
    }

    /// The last seq before `time`; times do not decrease along the log.
    pub(super) fn place_before(&self, time: u64) -> u64 {
        let index = self.slots.partition_point(|slot| slot.time < time);
        match (self.slots.get(index), self.slots.back()) {
            (Some(first), _) => first.seq - 1,
            (None, Some(last)) => last.seq,
            (None, None) => 0,
        }
    }
}
