//! Looking things up in the journal, under its lock: no more than is copied out for one read.

use std::sync::Arc;

use super::{State, unix_millis};
use crate::event::Event;
use crate::hub::selector::Selection;
use crate::journal::excerpt::Excerpt;

impl State {
    /// At most `rows` events after `place`, in order, that may be asked for: of channels by name only
    /// theirs, for patterns all.
    pub(super) fn candidates(
        &self,
        selection: &Selection,
        place: u64,
        rows: usize,
    ) -> Vec<Arc<Event>> {
        let Some(names) = selection.channels() else {
            return self.log.after(place).take(rows).cloned().collect();
        };
        let mut events = Vec::new();
        for name in &names {
            let begin = selection.begins_after(name).unwrap_or(0).max(place);
            let record = self.channels.get(name);
            events.extend(
                record
                    .into_iter()
                    .flat_map(|record| record.after(begin).take(rows))
                    .cloned(),
            );
        }
        if names.len() > 1 {
            events.sort_unstable_by_key(|event| event.id.seq);
            events.truncate(rows);
        }
        events
    }

    /// `candidates`, and what may have been lost beyond `place`.
    pub(super) fn excerpt(
        &self,
        selection: &Selection,
        place: u64,
        candidates: Vec<Arc<Event>>,
    ) -> Excerpt {
        Excerpt {
            candidates,
            outlived: None,
            through: self.head,
            rest: false,
            losses: self.channels.losses(selection, place),
        }
    }

    /// Lets each channel begin `count` events back, and finds the place before all of these.
    pub(super) fn start_back(&self, selection: &mut Selection, count: u64) -> u64 {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let now = unix_millis();
        let mut place = self.head;
        for name in self.channels.asked_for(selection) {
            if let Some(record) = self.channels.get(&name) {
                let first = record.place_back(count, now).unwrap_or(self.head);
                place = place.min(first);
                selection.excuse(&name, first);
            }
        }
        place
    }
}
