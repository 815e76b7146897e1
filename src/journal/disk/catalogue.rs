//! What is known of the journal without looking at its events: read whole when it is opened, and changed by the
//! writer alone, after each commit.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::Connection;

use super::error::Fault;
use super::rows::{self, ChannelRow, Life, unsigned};
use super::shared::Shared;
use crate::config::Retention;
use crate::event::{Cursor, Epoch, Id};
use crate::hub::channel::{Channel, ChannelName, LossReason};
use crate::journal::Holding;
use crate::journal::channels::{Channels, Recorded};
use crate::journal::rules::Rules;

/// Everything that is known.
pub(super) struct Catalogue {
    /// The newest seq that was announced.
    pub(super) head: u64,
    /// The time of the newest event.
    pub(super) last_time: u64,
    /// How many events are kept.
    pub(super) events: u64,
    /// What they weigh together.
    pub(super) bytes: u64,
    /// All channels, by name.
    pub(super) channels: Channels<Record>,
    /// Every life; the last is this one.
    pub(super) lives: Lives,
    by_id: HashMap<i64, Arc<Channel>>,
}

/// What is known of one channel. Its marks are those that were committed; [`Channel`] has those that were told.
#[derive(Clone)]
pub(super) struct Record {
    pub(super) id: i64,
    pub(super) channel: Arc<Channel>,
    pub(super) rule: Arc<Retention>,
    pub(super) lost_through: u64,
    pub(super) lost_to_delete: u64,
    /// Up to here nothing is to be delivered any more. Forgotten with the life, since only what is on its way minds it.
    pub(super) deleted_through: u64,
    /// Up to here everything is gone, though its rows may still be there.
    pub(super) gone_through: u64,
    /// See [`Recorded::folded`].
    pub(super) folded: u64,
    /// Its newest event that is owed without an end.
    pub(super) last_seq: u64,
    /// How many events are kept.
    pub(super) events: u64,
    /// What they weigh.
    pub(super) bytes: u64,
    /// Before this time no event has to go by its age.
    pub(super) due: u64,
}

/// The lives of the journal, oldest first.
#[derive(Default, Clone)]
pub(super) struct Lives(Vec<Life>);

/// What was read when the journal was opened, and what is left to do.
pub(super) struct Opened {
    pub(super) catalogue: Catalogue,
    /// Channels of which rows may have to go, each with the seq up to which.
    pub(super) gone: Vec<Gone>,
}

/// Rows that have to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone {
    pub(super) channel: i64,
    pub(super) through: u64,
    /// Whether the record of the channel goes with the last of them.
    pub(super) with_record: bool,
}

impl Catalogue {
    /// Reads what is known: of channels and lives all, of events the newest. Channels that are there `before` stay the
    /// same, since events that are on their way share them.
    ///
    /// # Errors
    /// When it cannot be read, or one thing that it says contradicts another.
    pub(super) fn read(
        connection: &Connection,
        rules: &Rules,
        before: Option<&Shared>,
    ) -> Result<Opened, Fault> {
        let lives = Lives(Life::all(connection)?);
        let newest = newest_event(connection)?;
        let (head, last_time) = lives
            .newest()
            .map_or((0, 0), |life| (life.last_seq, life.last_time));
        if newest > head {
            let part =
                format!("event {newest} is newer than the newest life, which ends with {head}");
            return Err(Fault::Damage(part));
        }
        let mut opened = Opened {
            catalogue: Catalogue {
                head,
                last_time,
                events: 0,
                bytes: 0,
                channels: Channels::default(),
                lives,
                by_id: HashMap::new(),
            },
            gone: Vec::new(),
        };
        opened
            .catalogue
            .channels
            .set_folded(rows::folded(connection)?);
        for row in ChannelRow::all(connection)? {
            if row.last_seq > row.gone_through.max(newest) {
                let part = format!("event {} is missing, and what came behind it", row.last_seq);
                return Err(Fault::Damage(part));
            }
            opened.take(row, rules, before)?;
        }
        Ok(opened)
    }

    /// The channel of a row, if it has a record.
    pub(super) fn channel(&self, id: i64) -> Option<&Arc<Channel>> {
        self.by_id.get(&id)
    }

    /// The record of a row's channel.
    pub(super) fn record(&self, id: i64) -> Option<&Record> {
        let record = self.channels.get(self.channel(id)?.name())?;
        (record.id == id).then_some(record)
    }

    /// Whether this cursor stands for a place in this journal.
    pub(super) fn knows(&self, cursor: Cursor) -> bool {
        let end = self.lives.end_of(cursor.epoch);
        end.is_some_and(|end| cursor.seq <= end)
    }

    /// Takes over what was committed of a channel, and lets everyone see its marks.
    pub(super) fn take(&mut self, record: Record) {
        record.show();
        let name = record.channel.name();
        let before = self.channels.get(name);
        let (events, bytes) = before.map_or((0, 0), |before| (before.events, before.bytes));
        self.events = (self.events + record.events).saturating_sub(events);
        self.bytes = (self.bytes + record.bytes).saturating_sub(bytes);
        self.by_id.insert(record.id, record.channel.clone());
        self.channels.put(record);
    }

    /// The life that lasts.
    pub(super) fn life(&self) -> Life {
        self.lives.newest().copied().unwrap_or(Life::NONE)
    }

    /// Says how far the life that lasts is.
    pub(super) fn go_on(&mut self, life: Life) {
        self.head = life.last_seq;
        self.last_time = life.last_time;
        self.lives.go_on(life);
    }

    /// What is kept of a channel.
    pub(super) fn holding(&self, record: &Record) -> Holding {
        let last = Some(record.last_seq).filter(|seq| *seq > 0);
        Holding {
            channel: record.channel.name().clone(),
            events: record.events,
            bytes: record.bytes,
            last: last.and_then(|seq| self.lives.id(seq)),
        }
    }

    /// Lets go of a record.
    pub(super) fn drop_record(&mut self, name: &ChannelName) {
        if let Some(record) = self.channels.remove(name) {
            self.events = self.events.saturating_sub(record.events);
            self.bytes = self.bytes.saturating_sub(record.bytes);
            self.by_id.remove(&record.id);
        }
    }
}

impl Opened {
    fn take(
        &mut self,
        row: ChannelRow,
        rules: &Rules,
        before: Option<&Shared>,
    ) -> Result<(), Fault> {
        if row.gone_through > 0 {
            self.gone.push(Gone {
                channel: row.id,
                through: row.gone_through,
                with_record: row.name.is_none(),
            });
        }
        let Some(name) = row.name else {
            return Ok(());
        };
        if self.catalogue.channels.get(&name).is_some() {
            return Err(Fault::Damage(format!("channel '{name}' has two records")));
        }
        let rule = rules.rule_for(&name);
        let same = before.and_then(|before| {
            let catalogue = before.catalogue();
            catalogue
                .channels
                .get(&name)
                .map(|record| record.channel.clone())
        });
        self.catalogue.take(Record {
            id: row.id,
            channel: same.unwrap_or_else(|| Arc::new(Channel::new(name))),
            lost_through: row.lost_through,
            lost_to_delete: row.lost_to_delete,
            deleted_through: 0,
            gone_through: row.gone_through,
            folded: row.folded,
            last_seq: row.last_seq,
            events: row.events,
            bytes: row.bytes,
            // Nobody knows before it was looked.
            due: if rule.max_age.is_some() { 0 } else { u64::MAX },
            rule,
        });
        Ok(())
    }
}

impl Record {
    /// A channel that has nothing yet.
    pub(super) fn new(id: i64, name: ChannelName, rule: Arc<Retention>, folded: u64) -> Self {
        Record {
            id,
            channel: Arc::new(Channel::new(name)),
            rule,
            lost_through: 0,
            lost_to_delete: 0,
            deleted_through: 0,
            gone_through: 0,
            folded,
            last_seq: 0,
            events: 0,
            bytes: 0,
            due: u64::MAX,
        }
    }

    /// The record as it is stored.
    pub(super) fn row(&self) -> ChannelRow {
        ChannelRow {
            id: self.id,
            name: Some(self.channel.name().clone()),
            lost_through: self.lost_through,
            lost_to_delete: self.lost_to_delete,
            gone_through: self.gone_through,
            folded: self.folded,
            last_seq: self.last_seq,
            events: self.events,
            bytes: self.bytes,
        }
    }

    /// The same when the record was let go of and all its events have to go.
    pub(super) fn row_without_name(&self) -> ChannelRow {
        ChannelRow {
            name: None,
            gone_through: i64::MAX.unsigned_abs(),
            ..self.row()
        }
    }

    /// Raises the marks that everyone sees to those that were committed: first what was lost, then what is deleted, as
    /// [`Channel::delete`] asks for.
    fn show(&self) {
        self.channel.lose(self.lost_to_delete, LossReason::Deleted);
        self.channel.lose(self.lost_through, LossReason::Retention);
        self.channel.delete(self.deleted_through);
    }
}

impl Recorded for Record {
    fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    fn folded(&self) -> u64 {
        self.folded
    }

    fn is_empty(&self) -> bool {
        self.events == 0
    }
}

impl Lives {
    /// All of them, oldest first.
    pub(super) fn all(&self) -> &[Life] {
        &self.0
    }

    /// The one that lasts, or the last that ended.
    fn newest(&self) -> Option<&Life> {
        self.0.last()
    }

    /// Begins another.
    pub(super) fn begin(&mut self, epoch: Epoch) -> Life {
        let before = self.newest().copied();
        let life = Life {
            number: before.map_or(1, |life| life.number.saturating_add(1)),
            epoch,
            last_seq: before.map_or(0, |life| life.last_seq),
            last_time: before.map_or(0, |life| life.last_time),
        };
        self.0.push(life);
        life
    }

    /// Says how far the newest is.
    fn go_on(&mut self, life: Life) {
        if let Some(newest) = self.0.last_mut() {
            *newest = life;
        }
    }

    /// The epoch of a life.
    pub(super) fn epoch(&self, number: i64) -> Option<Epoch> {
        let index = self
            .0
            .binary_search_by_key(&number, |life| life.number)
            .ok()?;
        self.0.get(index).map(|life| life.epoch)
    }

    /// The id of an event.
    pub(super) fn id(&self, seq: u64) -> Option<Id> {
        let index = self.0.partition_point(|life| life.last_seq < seq);
        let epoch = self.0.get(index)?.epoch;
        Some(Id { epoch, seq })
    }

    /// The seq with which the life of this epoch ended.
    fn end_of(&self, epoch: Epoch) -> Option<u64> {
        // Mostly the newest is asked for.
        let life = self.0.iter().rev().find(|life| life.epoch == epoch)?;
        Some(life.last_seq)
    }
}

fn newest_event(connection: &Connection) -> Result<u64, Fault> {
    let sql = "SELECT coalesce(max(seq), 0) FROM events";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query(())?;
    match rows.next()? {
        Some(row) => unsigned(row, 0),
        None => Ok(0),
    }
}
