//! What a journal knows of all its channels, whatever keeps their events: their records, and what was lost.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::excerpt::{Losses, Mark};
use crate::hub::channel::{Channel, ChannelName};
use crate::hub::selector::Selection;

/// What every journal knows of one channel.
pub(super) trait Recorded {
    /// Its name and marks.
    fn channel(&self) -> &Arc<Channel>;

    /// The mark of all channels without a record when this record was made: it may have lost something up to there.
    fn folded(&self) -> u64;

    /// Whether it has no events, so that the record may go.
    fn is_empty(&self) -> bool;
}

/// All channels that have a record.
pub(super) struct Channels<R> {
    records: HashMap<ChannelName, R>,
    /// The mark of all channels without a record.
    folded: u64,
    /// The highest of all marks, so that most reads need not look at them.
    highest_loss: u64,
    /// Whether a record may be empty, so that letting go of such may find room.
    some_empty: bool,
}

impl<R> Default for Channels<R> {
    fn default() -> Self {
        Channels {
            records: HashMap::new(),
            folded: 0,
            highest_loss: 0,
            some_empty: false,
        }
    }
}

impl<R: Recorded> Channels<R> {
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn get(&self, name: &ChannelName) -> Option<&R> {
        self.records.get(name)
    }

    /// All names, in no order.
    pub(super) fn names(&self) -> Vec<ChannelName> {
        self.records.keys().cloned().collect()
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &R> {
        self.records.values()
    }

    /// The mark of all channels without a record.
    pub(super) fn folded(&self) -> u64 {
        self.folded
    }

    pub(super) fn set_folded(&mut self, folded: u64) {
        self.folded = folded;
        self.highest_loss = self.highest_loss.max(folded);
    }

    /// Whether letting go of empty records may find room.
    pub(super) fn some_empty(&self) -> bool {
        self.some_empty
    }

    /// Notes that all were looked at, and whether one may be empty.
    pub(super) fn set_some_empty(&mut self, some_empty: bool) {
        self.some_empty = some_empty;
    }

    /// Puts a record where it belongs.
    pub(super) fn put(&mut self, record: R) {
        self.note(record.channel().lost_through(), record.is_empty());
        let name = record.channel().name().clone();
        self.records.insert(name, record);
    }

    pub(super) fn remove(&mut self, name: &ChannelName) -> Option<R> {
        self.records.remove(name)
    }

    /// Changes the record of a channel, if it has one.
    pub(super) fn change<T>(
        &mut self,
        name: &ChannelName,
        change: impl FnOnce(&mut R) -> T,
    ) -> Option<T> {
        let record = self.records.get_mut(name)?;
        let changed = change(record);
        let (lost, empty) = (record.channel().lost_through(), record.is_empty());
        self.note(lost, empty);
        Some(changed)
    }

    /// Changes every record.
    pub(super) fn change_all(&mut self, mut change: impl FnMut(&mut R)) {
        let (mut highest, mut some_empty) = (0, false);
        for record in self.records.values_mut() {
            change(record);
            highest = record.channel().lost_through().max(highest);
            some_empty |= record.is_empty();
        }
        self.note(highest, some_empty);
    }

    /// The record of a channel; a new one is made with the mark of all channels without a record.
    pub(super) fn get_or_put(
        &mut self,
        name: ChannelName,
        new: impl FnOnce(&ChannelName, u64) -> R,
    ) -> &mut R {
        let folded = self.folded;
        // It may stay empty.
        self.some_empty = true;
        self.records
            .entry(name)
            .or_insert_with_key(|name| new(name, folded))
    }

    /// Lets go of the records that are empty, except those of `wanted`, if they are `least` or more; says whether they
    /// are.
    pub(super) fn fold_empty(&mut self, wanted: &HashSet<&ChannelName>, least: usize) -> bool {
        if !self.some_empty {
            return false;
        }
        let (empty, spared) = self.count_empty(wanted);
        let enough = empty >= least;
        self.some_empty = spared > 0 || (empty > 0 && !enough);
        if enough {
            self.fold(wanted);
        }
        enough
    }

    /// The names that are asked for and have a record: all that match a pattern.
    pub(super) fn asked_for(&self, selection: &Selection) -> Vec<ChannelName> {
        match selection.channels() {
            Some(names) => names.into_iter().cloned().collect(),
            None => {
                let asked = |name: &&ChannelName| selection.begins_after(name).is_some();
                self.records.keys().filter(asked).cloned().collect()
            }
        }
    }

    /// What may have been lost beyond `place`.
    pub(super) fn losses(&self, selection: &Selection, place: u64) -> Losses {
        let marks = match place >= self.highest_loss {
            true => Vec::new(),
            false => self.marks(selection, place),
        };
        Losses {
            marks,
            folded: self.folded_for(selection),
        }
    }

    /// How many records are empty: those that may go, and those of `wanted`.
    fn count_empty(&self, wanted: &HashSet<&ChannelName>) -> (usize, usize) {
        let empty = self.records.values().filter(|record| record.is_empty());
        let spared = |name: &&&ChannelName| self.records.get(**name).is_some_and(R::is_empty);
        let spared = wanted.iter().filter(spared).count();
        (empty.count().saturating_sub(spared), spared)
    }

    fn fold(&mut self, wanted: &HashSet<&ChannelName>) {
        let mut lost = 0;
        self.records.retain(|name, record| {
            let keep = !record.is_empty() || wanted.contains(name);
            if !keep {
                lost = record.channel().lost_through().max(lost);
            }
            keep
        });
        if lost > 0 {
            self.set_folded(raised(self.folded, lost));
        }
    }

    fn note(&mut self, lost: u64, empty: bool) {
        self.highest_loss = self.highest_loss.max(lost);
        self.some_empty |= empty;
    }

    fn marks(&self, selection: &Selection, place: u64) -> Vec<Mark> {
        let beyond = |record: &R| {
            let channel = record.channel();
            let lost_through = channel.lost_through();
            (lost_through > place).then(|| Mark {
                name: channel.name().clone(),
                lost_through,
                lost_to_delete: channel.lost_to_delete(),
            })
        };
        match selection.channels() {
            Some(names) => names
                .into_iter()
                .filter_map(|name| self.records.get(name))
                .filter_map(beyond)
                .collect(),
            None => self.records.values().filter_map(beyond).collect(),
        }
    }

    /// The mark up to which channels that are asked for may have lost something before they had the record that
    /// they have, if any.
    fn folded_for(&self, selection: &Selection) -> u64 {
        let of_channel = |name| self.records.get(name).map_or(self.folded, Recorded::folded);
        match selection.channels() {
            Some(names) => names.into_iter().map(of_channel).max().unwrap_or(0),
            None => self.folded,
        }
    }
}

/// The mark of all channels without a record, when records that had lost something up to `lost` are let go of.
/// Raised even over an older loss: whoever was excused up to the mark was not told of this one.
pub(super) fn raised(folded: u64, lost: u64) -> u64 {
    lost.max(folded.saturating_add(1))
}
