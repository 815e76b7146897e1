//! One transaction: what it changes is noted here, and counts only when the commit has succeeded.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rusqlite::Connection;

use super::catalogue::{Catalogue, Gone, Record};
use super::error::Fault;
use super::keys;
use super::rows::{self, ChannelRow, EventRow, Life};
use super::shared::Shared;
use crate::event::{Epoch, Event, Id};
use crate::hub::channel::ChannelName;
use crate::journal::channels::{Recorded as _, raised};
use crate::journal::rules::Rules;
use crate::journal::{AppendError, Appended, Batch, Draft, Receipt};

/// A transaction under way.
pub(super) struct Group<'a> {
    pub(super) connection: &'a Connection,
    pub(super) rules: &'a Rules,
    /// The time of its events, in milliseconds since 1970-01-01 UTC; never before that of an earlier one.
    pub(super) now: u64,
    /// The time by which events are too old; 0, when none is, while the clock is not to be trusted.
    pub(super) old_by: u64,
    pub(super) change: Change,
    /// How many rows were looked at to let go of them.
    pub(super) looked: u64,
    shared: &'a Shared,
}

/// What a transaction changes, to be taken over once it is committed.
pub(super) struct Change {
    /// The events that it numbered, in order.
    pub(super) events: Vec<Arc<Event>>,
    /// How many events went because all together were too many bytes.
    pub(super) crowded_out: u64,
    /// How many events went in all.
    pub(super) evicted: u64,
    pub(super) standing: Standing,
    /// What all events weigh then.
    pub(super) bytes: u64,
    life: Life,
    touched: HashMap<ChannelName, Record>,
    /// The names of channels that are new.
    created: HashMap<i64, ChannelName>,
    dropped: HashMap<ChannelName, Record>,
    folded: Option<u64>,
    /// Whether no record is empty that was not dropped, where all were looked at.
    none_empty: bool,
}

/// What the writer keeps from one transaction to the next.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standing {
    /// What the idempotency keys weigh: each counts once for each of its events, and once at least.
    pub(super) keys: u64,
    /// The id of the next channel.
    pub(super) next_channel: i64,
    /// Up to here no event is kept.
    pub(super) bare_through: u64,
    /// Whether retention did not get to its end.
    pub(super) overdue: bool,
}

/// The times that count for one transaction, in milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// What the system's clock says.
    pub(super) wall: u64,
    /// Whether events may go by it.
    pub(super) may_age: bool,
}

impl Standing {
    /// What it is in a database that was opened.
    pub(super) fn read(connection: &Connection) -> Result<Self, Fault> {
        Ok(Standing {
            keys: keys::weight(connection)?,
            next_channel: rows::next_channel(connection)?,
            bare_through: 0,
            overdue: false,
        })
    }
}

impl<'a> Group<'a> {
    /// Begins to note what a transaction changes.
    pub(super) fn begin(
        connection: &'a Connection,
        shared: &'a Shared,
        rules: &'a Rules,
        standing: Standing,
        times: Times,
    ) -> Self {
        let catalogue = shared.catalogue();
        let now = times.wall.max(catalogue.last_time);
        let life = catalogue.life();
        let bytes = catalogue.bytes;
        drop(catalogue);
        Group {
            connection,
            rules,
            now,
            // Not `now`: a clock that was wrong once would go on to make everything old.
            old_by: if times.may_age { times.wall } else { 0 },
            looked: 0,
            shared,
            change: Change {
                events: Vec::new(),
                crowded_out: 0,
                evicted: 0,
                standing,
                bytes,
                life,
                touched: HashMap::new(),
                created: HashMap::new(),
                dropped: HashMap::new(),
                folded: None,
                none_empty: false,
            },
        }
    }

    /// Numbers and keeps a batch, unless it is a repetition or has no room. A refused batch changes nothing; after a
    /// fault the transaction is of no use any more.
    pub(super) fn append(&mut self, batch: Batch) -> Result<Result<Appended, AppendError>, Fault> {
        if let Some(key) = &batch.key {
            match self.recall(key, &batch.drafts)? {
                Err(error) => return Ok(Err(error)),
                Ok(Some(receipts)) => {
                    return Ok(Ok(Appended {
                        receipts,
                        repeated: true,
                    }));
                }
                Ok(None) => {}
            }
        }
        if !self.make_room_for_channels(&batch.drafts) {
            return Ok(Err(AppendError::TooManyChannels));
        }
        let first = self.change.life.last_seq.saturating_add(1);
        let receipts = batch.drafts.into_iter().map(|draft| self.keep(draft));
        let receipts: Arc<[Receipt]> = receipts.collect::<Result<_, Fault>>()?;
        if let Some(key) = &batch.key {
            self.remember(key, self.change.life.number, first, receipts.len())?;
        }
        Ok(Ok(Appended {
            receipts,
            repeated: false,
        }))
    }

    /// Takes every event of a channel; says whether there was such a channel.
    pub(super) fn forget(&mut self, name: &ChannelName) -> Result<bool, Fault> {
        let (head, now) = (self.change.life.last_seq, self.old_by);
        let Some(record) = self.known(name) else {
            return Ok(false);
        };
        let (id, gone_through) = (record.id, record.gone_through);
        // Also over what was never kept: it may still be on its way to those who are live.
        record.deleted_through = head;
        let bytes = std::mem::take(&mut record.bytes);
        let events = std::mem::take(&mut record.events);
        record.due = u64::MAX;
        self.change.evicted = self.change.evicted.saturating_add(events);
        self.change.bytes = self.change.bytes.saturating_sub(bytes);
        let last_owed = super::retention::last_owed(self.connection, id, gone_through, now)?;
        if let Some(record) = self.known(name) {
            record.gone_through = head;
            record.lost_through = record.lost_through.max(last_owed);
            record.lost_to_delete = record.lost_to_delete.max(last_owed);
        }
        Ok(true)
    }

    /// Stores what is known from now on, so that it can be committed. `probes`: even where nothing has changed, so
    /// that the commit shows whether it can be.
    pub(super) fn finish(self, probes: bool) -> Result<Change, Fault> {
        for record in self.change.dropped.values() {
            record.row_without_name().put(self.connection)?;
        }
        for row in self.changed_rows() {
            row.put(self.connection)?;
        }
        if let Some(folded) = self.change.folded {
            rows::put_folded(self.connection, folded)?;
        }
        if probes || !self.change.events.is_empty() {
            self.change.life.put(self.connection)?;
        }
        Ok(self.change)
    }

    /// The record of a channel, to be changed.
    pub(super) fn known(&mut self, name: &ChannelName) -> Option<&mut Record> {
        if !self.change.touched.contains_key(name) {
            if self.change.dropped.contains_key(name) {
                return None;
            }
            let record = self.shared.catalogue().channels.get(name)?.clone();
            self.change.touched.insert(name.clone(), record);
        }
        self.change.touched.get_mut(name)
    }

    /// The name of a row's channel, if that has a record.
    pub(super) fn name_of(&self, id: i64) -> Option<ChannelName> {
        if let Some(name) = self.change.created.get(&id) {
            return Some(name.clone());
        }
        let name = self.shared.catalogue().record(id)?.channel.name().clone();
        match self.change.dropped.get(&name) {
            Some(dropped) if dropped.id == id => None,
            _ => Some(name),
        }
    }

    /// The epoch of a life.
    pub(super) fn epoch(&self, life: i64) -> Option<Epoch> {
        self.shared.catalogue().lives.epoch(life)
    }

    /// The channels that this transaction changes.
    pub(super) fn touched(&self) -> Vec<ChannelName> {
        self.change.touched.keys().cloned().collect()
    }

    /// Those of which an event has to go by its age.
    pub(super) fn due(&self) -> Vec<ChannelName> {
        let catalogue = self.shared.catalogue();
        let due = |record: &&Record| record.due <= self.old_by;
        let records = catalogue.channels.records();
        records
            .filter(due)
            .map(|record| record.channel.name().clone())
            .collect()
    }

    /// The rows that are not stored yet as they are now. Many a record was only looked at.
    fn changed_rows(&self) -> Vec<ChannelRow> {
        let catalogue = self.shared.catalogue();
        let stored = |id| catalogue.record(id).map(Record::row);
        let rows = self.change.touched.values().map(Record::row);
        rows.filter(|row| stored(row.id).as_ref() != Some(row))
            .collect()
    }

    fn keep(&mut self, draft: Draft) -> Result<Receipt, Fault> {
        let event = Arc::new(self.number(draft));
        if !event.is_fleeting() {
            self.store(&event)?;
        }
        let receipt = Receipt {
            id: event.id,
            channel: event.channel.name().clone(),
            time: event.time,
        };
        self.change.events.push(event);
        Ok(receipt)
    }

    fn number(&mut self, draft: Draft) -> Event {
        let now = self.now;
        let life = &mut self.change.life;
        life.last_seq = life.last_seq.saturating_add(1);
        life.last_time = now;
        let id = Id {
            epoch: life.epoch,
            seq: life.last_seq,
        };
        let expires = draft
            .ttl
            .map(|ttl| now.saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)));
        Event {
            id,
            channel: self.known_or_new(draft.channel).channel.clone(),
            kind: draft.kind,
            time: now,
            expires,
            content_type: draft.content_type,
            data: draft.data,
        }
    }

    /// Gives an event its row, unless its channel's rule would take it at once.
    fn store(&mut self, event: &Arc<Event>) -> Result<(), Fault> {
        let weight = u64::try_from(event.weight()).unwrap_or(u64::MAX);
        let life = self.change.life.number;
        let Some(record) = self.known(event.channel.name()) else {
            return Ok(());
        };
        if record.keeps_none_of(weight) {
            let events = record.events;
            let bytes = record.lose_all(event.id.seq);
            self.change.evicted = self.change.evicted.saturating_add(events);
            self.change.bytes = self.change.bytes.saturating_sub(bytes);
            return Ok(());
        }
        let row = EventRow::of(event, record.id, record.last_seq, life);
        record.gain(event, weight);
        self.change.bytes = self.change.bytes.saturating_add(weight);
        row.insert(self.connection)
    }

    fn known_or_new(&mut self, name: ChannelName) -> &mut Record {
        if self.known(&name).is_none() {
            let id = self.change.standing.next_channel;
            self.change.standing.next_channel = id.saturating_add(1);
            self.change.created.insert(id, name.clone());
        }
        let (id, folded) = (self.change.standing.next_channel - 1, self.folded());
        let rules = self.rules;
        let record = self.change.touched.entry(name);
        record
            .or_insert_with_key(|name| Record::new(id, name.clone(), rules.rule_for(name), folded))
    }

    fn folded(&self) -> u64 {
        let committed = || self.shared.catalogue().channels.folded();
        self.change.folded.unwrap_or_else(committed)
    }

    /// Makes sure that the channels of a batch may exist, letting go of records that hold nothing; of none where that
    /// would not make enough room, since a refused batch changes nothing.
    fn make_room_for_channels(&mut self, drafts: &[Draft]) -> bool {
        let catalogue = self.shared.catalogue();
        if self.change.count(&catalogue) + drafts.len() <= self.rules.max_channels {
            return true;
        }
        let wanted: HashSet<&ChannelName> = drafts.iter().map(|draft| &draft.channel).collect();
        match self.change.excess_with(&wanted, &catalogue, self.rules) {
            0 => true,
            _ if self.change.none_empty || !catalogue.channels.some_empty() => false,
            excess => self.change.fold_empty_records(&wanted, &catalogue, excess),
        }
    }
}

impl Change {
    /// Lets everyone see what was committed; the channels of which rows have to go.
    pub(super) fn take_effect(self, catalogue: &mut Catalogue) -> Vec<Gone> {
        let mut gone = Vec::new();
        if self.none_empty {
            catalogue.channels.set_some_empty(false);
        }
        for (name, record) in &self.dropped {
            catalogue.drop_record(name);
            gone.push(Gone {
                channel: record.id,
                through: u64::MAX,
                with_record: true,
            });
        }
        for (name, record) in self.touched {
            let before = catalogue
                .channels
                .get(&name)
                .map_or(0, |before| before.gone_through);
            if record.gone_through > before {
                gone.push(Gone {
                    channel: record.id,
                    through: record.gone_through,
                    with_record: false,
                });
            }
            catalogue.take(record);
        }
        if let Some(folded) = self.folded {
            catalogue.channels.set_folded(folded);
        }
        catalogue.go_on(self.life);
        gone
    }

    /// How many channels have a record.
    fn count(&self, catalogue: &Catalogue) -> usize {
        (catalogue.channels.len() + self.created.len()).saturating_sub(self.dropped.len())
    }

    fn has(&self, name: &ChannelName, catalogue: &Catalogue) -> bool {
        self.touched.contains_key(name)
            || (catalogue.channels.get(name).is_some() && !self.dropped.contains_key(name))
    }

    /// How many records there would be too many with those of `wanted`.
    fn excess_with(
        &self,
        wanted: &HashSet<&ChannelName>,
        catalogue: &Catalogue,
        rules: &Rules,
    ) -> usize {
        let is_new = |name: &&&ChannelName| !self.has(name, catalogue);
        match wanted.iter().filter(is_new).count() {
            0 => 0,
            new => (self.count(catalogue) + new).saturating_sub(rules.max_channels),
        }
    }

    /// Lets go of the records that hold nothing, except those of `wanted` and those that this transaction changes,
    /// if they are `least` or more; says whether they are.
    fn fold_empty_records(
        &mut self,
        wanted: &HashSet<&ChannelName>,
        catalogue: &Catalogue,
        least: usize,
    ) -> bool {
        let empty = catalogue.channels.records().filter(|record| {
            record.is_empty() && !self.dropped.contains_key(record.channel.name())
        });
        let (spared, gone): (Vec<_>, Vec<_>) = empty.partition(|record| {
            let name = record.channel.name();
            wanted.contains(name) || self.touched.contains_key(name)
        });
        let enough = gone.len() >= least;
        self.none_empty = spared.is_empty() && (enough || gone.is_empty());
        if enough {
            self.fold(&gone, catalogue);
        }
        enough
    }

    fn fold(&mut self, gone: &[&Record], catalogue: &Catalogue) {
        let lost = gone.iter().map(|record| record.lost_through).max();
        if let Some(lost) = lost.filter(|lost| *lost > 0) {
            let folded = self.folded.unwrap_or_else(|| catalogue.channels.folded());
            self.folded = Some(raised(folded, lost));
        }
        let gone = gone.iter().map(|record| (*record).clone());
        self.dropped
            .extend(gone.map(|record| (record.channel.name().clone(), record)));
    }
}
