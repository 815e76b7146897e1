//! The live subscribers of one shard: by channel where one channel is all they ask for, else together.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Subscriber, SubscriberId};
use crate::hub::channel::ChannelName;
use crate::hub::selector::Selection;
use crate::hub::tail::Form;

/// A live subscriber. What is looked at for every event stands here side by side: each other place in
/// memory that a delivery touches costs it a cache miss, about 1 % of its time.
pub(super) struct Seat {
    /// Who sits here.
    pub(super) subscriber: Arc<dyn Subscriber>,
    /// The form in which it wants events.
    pub(super) form: &'static Form,
    /// What it asks for.
    pub(super) selection: Arc<Selection>,
    /// Events up to this seq are not for it: it had them before it came.
    pub(super) after: u64,
    /// Where its only channel, if it has but one, begins to count.
    pub(super) begins: u64,
}

impl Seat {
    /// A seat for a subscriber that was examined up to `place`.
    pub(super) fn new(
        subscriber: Arc<dyn Subscriber>,
        selection: Arc<Selection>,
        place: u64,
    ) -> Self {
        let only = selection.only_channel();
        let begins = only.and_then(|channel| selection.begins_after(channel));
        Seat {
            form: subscriber.form(),
            subscriber,
            begins: begins.unwrap_or(0),
            selection,
            after: place,
        }
    }
}

/// Where a subscriber sits.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Row {
    /// With those who ask for this channel alone.
    Channel(ChannelName),
    /// With those who ask for several, or for patterns.
    Wide,
}

/// All seats of a shard.
#[derive(Default)]
pub(super) struct Rooms {
    channels: HashMap<ChannelName, Vec<Seat>>,
    wide: Vec<Seat>,
    places: HashMap<SubscriberId, (Row, usize)>,
}

impl Rooms {
    /// Seats a subscriber.
    pub(super) fn seat(&mut self, seat: Seat) {
        let id = seat.subscriber.id();
        let (row, seats) = match seat.selection.only_channel() {
            Some(name) => (
                Row::Channel(name.clone()),
                self.channels.entry(name.clone()).or_default(),
            ),
            None => (Row::Wide, &mut self.wide),
        };
        self.places.insert(id, (row, seats.len()));
        seats.push(seat);
    }

    /// Whether nobody sits here.
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Where a subscriber sits, if it sits here.
    pub(super) fn find(&self, id: SubscriberId) -> Option<(Row, usize)> {
        self.places.get(&id).cloned()
    }

    /// Takes a subscriber out, if it sits here.
    pub(super) fn remove(&mut self, id: SubscriberId) -> Option<Seat> {
        let (row, index) = self.find(id)?;
        Some(self.remove_at(&row, index))
    }

    /// Takes the subscriber at `index` of a row out; the last of the row takes its seat.
    ///
    /// # Panics
    /// When there is no such seat.
    pub(super) fn remove_at(&mut self, row: &Row, index: usize) -> Seat {
        let seats = self.row_mut(row);
        let seat = seats.swap_remove(index);
        let moved = seats.get(index).map(|moved| moved.subscriber.id());
        let empty = seats.is_empty();
        if let Some((_, place)) = moved.and_then(|id| self.places.get_mut(&id)) {
            *place = index;
        }
        self.places.remove(&seat.subscriber.id());
        if let Row::Channel(name) = row
            && empty
        {
            self.channels.remove(name);
        }
        seat
    }

    /// The seats of a row.
    pub(super) fn row(&self, row: &Row) -> &[Seat] {
        match row {
            Row::Channel(name) => self.channels.get(name).map_or(&[], Vec::as_slice),
            Row::Wide => &self.wide,
        }
    }

    /// Takes everyone out.
    pub(super) fn clear(&mut self) -> Vec<Seat> {
        self.places.clear();
        let mut seats = std::mem::take(&mut self.wide);
        seats.extend(std::mem::take(&mut self.channels).into_values().flatten());
        seats
    }

    fn row_mut(&mut self, row: &Row) -> &mut Vec<Seat> {
        match row {
            Row::Channel(name) => self.channels.entry(name.clone()).or_default(),
            Row::Wide => &mut self.wide,
        }
    }
}
