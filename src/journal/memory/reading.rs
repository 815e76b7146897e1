//! Looking things up in the journal, under its lock: no more than is copied out for one read.

use std::sync::Arc;

use super::{Record, State, unix_millis};
use crate::event::Event;
use crate::hub::selector::Selection;
use crate::journal::excerpt::{Excerpt, Mark};

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
            let record = self.channels.get(*name);
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
        let nothing_lost = place >= self.overview.highest_loss.max(self.folded);
        let marks = if nothing_lost {
            Vec::new()
        } else {
            self.marks(selection, place)
        };
        let folded = self.folded_for(selection);
        Excerpt {
            head: self.head,
            candidates,
            marks,
            folded,
        }
    }

    fn marks(&self, selection: &Selection, place: u64) -> Vec<Mark> {
        let beyond = |record: &Record| {
            let lost_through = record.channel.lost_through();
            (lost_through > place).then(|| Mark {
                name: record.channel.name().clone(),
                lost_through,
                deleted_through: record.channel.deleted_through(),
            })
        };
        match selection.channels() {
            Some(names) => names
                .into_iter()
                .filter_map(|name| self.channels.get(name))
                .filter_map(beyond)
                .collect(),
            None => self.channels.values().filter_map(beyond).collect(),
        }
    }

    /// The mark up to which channels that are asked for may have lost something before they had the
    /// record that they have, if any.
    fn folded_for(&self, selection: &Selection) -> u64 {
        let of_channel = |name| {
            self.channels
                .get(name)
                .map_or(self.folded, |record| record.folded)
        };
        match selection.channels() {
            Some(names) => names.into_iter().map(of_channel).max().unwrap_or(0),
            None => self.folded,
        }
    }

    /// Lets each channel begin `count` events back, and finds the place before all of these.
    pub(super) fn start_back(&self, selection: &mut Selection, count: u64) -> u64 {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let now = unix_millis();
        let mut place = self.head;
        let names: Vec<_> = match selection.channels() {
            Some(names) => names.into_iter().cloned().collect(),
            None => self.channels.keys().cloned().collect(),
        };
        for name in names {
            let Some(record) = self.channels.get(&name) else {
                continue;
            };
            if selection.begins_after(&name).is_none() {
                continue;
            }
            let first = record.place_back(count, now).unwrap_or(self.head);
            place = place.min(first);
            selection.excuse(&name, first);
        }
        place
    }
}
