//! How an event, a channel and a life are rows, and how a row is told from one that is damaged: SQLite does not
//! notice a flipped bit in a value, so each row carries a checksum over the others of its columns.

use std::borrow::Cow;
use std::sync::Arc;

use crc32fast::Hasher;
use rusqlite::{Connection, Row, params};

use super::error::Fault;
use crate::event::{Data, Epoch, Event, EventType, Id};
use crate::hub::channel::{Channel, ChannelName};

/// The columns of an event, in the order in which [`EventRow::read`] takes them. The data comes last, so that what
/// stands before it is read without its pages.
pub(super) const EVENT_COLUMNS: &str =
    "seq, channel, previous, life, time, expires, type, content_type, form, crc, data";
/// What an event weighs in SQL, as [`Event::weight`] counts it, without its data being read.
macro_rules! weight {
    () => {
        "192 + length(data) + coalesce(octet_length(content_type), 0)"
    };
}
pub(super) use weight;

/// The same where it is put into a longer statement.
pub(super) const WEIGHT: &str = weight!();

/// An event as it is stored.
pub(super) struct EventRow<'a> {
    pub(super) seq: u64,
    pub(super) channel: i64,
    pub(super) previous: u64,
    pub(super) life: i64,
    pub(super) time: u64,
    pub(super) expires: Option<u64>,
    kind: Option<Cow<'a, str>>,
    content_type: Option<Cow<'a, str>>,
    form: i64,
    data: Cow<'a, [u8]>,
}

impl<'a> EventRow<'a> {
    /// The row of an event.
    pub(super) fn of(event: &'a Event, channel: i64, previous: u64, life: i64) -> Self {
        let form = match event.data {
            Data::Json(_) => 0,
            Data::Text(_) => 1,
            Data::Binary(_) => 2,
        };
        EventRow {
            seq: event.id.seq,
            channel,
            previous,
            life,
            time: event.time,
            // An end that no clock reaches.
            expires: event.expires.map(|end| end.min(i64::MAX.unsigned_abs())),
            kind: (!event.kind.is_message()).then(|| event.kind.as_str().into()),
            content_type: event.content_type.as_deref().map(Cow::from),
            form,
            data: event.data.bytes().into(),
        }
    }

    /// Adds it to the table.
    pub(super) fn insert(&self, connection: &Connection) -> Result<(), Fault> {
        let sql = "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        connection.prepare_cached(sql)?.execute(params![
            signed(self.seq),
            self.channel,
            signed(self.previous),
            self.life,
            signed(self.time),
            self.expires.map(signed),
            self.kind,
            self.content_type,
            self.form,
            self.crc(),
            self.data,
        ])?;
        Ok(())
    }

    /// Reads a row of [`EVENT_COLUMNS`].
    ///
    /// # Errors
    /// When its checksum is not that of what it says.
    pub(super) fn read(row: &'a Row<'_>) -> Result<Self, Fault> {
        let event = EventRow {
            seq: unsigned(row, 0)?,
            channel: row.get(1)?,
            previous: unsigned(row, 2)?,
            life: row.get(3)?,
            time: unsigned(row, 4)?,
            expires: row.get::<_, Option<i64>>(5)?.map(i64::unsigned_abs),
            kind: text(row, 6)?,
            content_type: text(row, 7)?,
            form: row.get(8)?,
            data: row.get_ref(10)?.as_blob().map_err(damaged)?.into(),
        };
        match row.get::<_, u32>(9)? == event.crc() {
            true => Ok(event),
            false => Err(Fault::Damage(format!(
                "event {} is not what was written",
                event.seq
            ))),
        }
    }

    /// The event that it is, in this channel and of a life with this epoch.
    pub(super) fn event(&self, channel: Arc<Channel>, epoch: Epoch) -> Result<Event, Fault> {
        let unknown = || Fault::Damage(format!("event {} cannot be read", self.seq));
        let kind = self.kind.as_deref();
        let kind = kind.map_or(Ok(EventType::message()), EventType::parse);
        let text = || std::str::from_utf8(&self.data).map(Box::from);
        Ok(Event {
            id: Id {
                epoch,
                seq: self.seq,
            },
            channel,
            kind: kind.map_err(|_| unknown())?,
            time: self.time,
            expires: self.expires,
            content_type: self.content_type.as_deref().map(Box::from),
            data: match self.form {
                0 => Data::Json(text().map_err(|_| unknown())?),
                1 => Data::Text(text().map_err(|_| unknown())?),
                2 => Data::Binary((*self.data).into()),
                _ => return Err(unknown()),
            },
        })
    }

    /// The same with bytes of its own.
    pub(super) fn into_owned(self) -> EventRow<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        EventRow {
            kind: self.kind.map(owned),
            content_type: self.content_type.map(owned),
            data: Cow::Owned(self.data.into_owned()),
            ..self
        }
    }

    fn crc(&self) -> u32 {
        let mut seal = Seal::default();
        seal.number(signed(self.seq));
        seal.number(self.channel);
        seal.number(signed(self.previous));
        seal.number(self.life);
        seal.number(signed(self.time));
        seal.number(self.expires.map_or(-1, signed));
        seal.text(self.kind.as_deref());
        seal.text(self.content_type.as_deref());
        seal.number(self.form);
        seal.bytes(&self.data);
        seal.sum()
    }
}

/// A channel as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChannelRow {
    pub(super) id: i64,
    /// `None`: it was let go of, and its events still have to go.
    pub(super) name: Option<ChannelName>,
    pub(super) lost_through: u64,
    pub(super) lost_to_delete: u64,
    pub(super) gone_through: u64,
    pub(super) folded: u64,
    pub(super) last_seq: u64,
    pub(super) events: u64,
    pub(super) bytes: u64,
}

impl ChannelRow {
    /// Adds or replaces it.
    pub(super) fn put(&self, connection: &Connection) -> Result<(), Fault> {
        let sql =
            "INSERT OR REPLACE INTO channels VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        connection.prepare_cached(sql)?.execute(params![
            self.id,
            self.name.as_ref().map(ChannelName::as_str),
            signed(self.lost_through),
            signed(self.lost_to_delete),
            signed(self.gone_through),
            signed(self.folded),
            signed(self.last_seq),
            signed(self.events),
            signed(self.bytes),
            self.crc(),
        ])?;
        Ok(())
    }

    /// Every channel.
    pub(super) fn all(connection: &Connection) -> Result<Vec<Self>, Fault> {
        let mut statement = connection.prepare("SELECT * FROM channels ORDER BY id")?;
        let mut rows = statement.query(())?;
        let mut channels = Vec::new();
        while let Some(row) = rows.next()? {
            channels.push(Self::read(row)?);
        }
        Ok(channels)
    }

    /// Takes it out of the table.
    pub(super) fn remove(connection: &Connection, id: i64) -> Result<(), Fault> {
        let sql = "DELETE FROM channels WHERE id = ?1";
        connection.prepare_cached(sql)?.execute([id])?;
        Ok(())
    }

    pub(super) fn read(row: &Row<'_>) -> Result<Self, Fault> {
        let id = row.get(0)?;
        let unknown = || {
            Fault::Damage(format!(
                "the record of channel {id} is not what was written"
            ))
        };
        let name = text(row, 1)?;
        let channel = ChannelRow {
            id,
            name: name
                .as_deref()
                .map(str::parse)
                .transpose()
                .map_err(|_| unknown())?,
            lost_through: unsigned(row, 2)?,
            lost_to_delete: unsigned(row, 3)?,
            gone_through: unsigned(row, 4)?,
            folded: unsigned(row, 5)?,
            last_seq: unsigned(row, 6)?,
            events: unsigned(row, 7)?,
            bytes: unsigned(row, 8)?,
        };
        match row.get::<_, u32>(9)? == channel.crc() {
            true => Ok(channel),
            false => Err(unknown()),
        }
    }

    fn crc(&self) -> u32 {
        let mut seal = Seal::default();
        seal.number(self.id);
        seal.text(self.name.as_ref().map(ChannelName::as_str));
        let numbers = [
            self.lost_through,
            self.lost_to_delete,
            self.gone_through,
            self.folded,
            self.last_seq,
            self.events,
            self.bytes,
        ];
        for number in numbers {
            seal.number(signed(number));
        }
        seal.sum()
    }
}

/// One opening of the journal for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) number: i64,
    pub(super) epoch: Epoch,
    /// The seq of its newest event, or of the newest before it.
    pub(super) last_seq: u64,
    /// The time of that event.
    pub(super) last_time: u64,
}

impl Life {
    /// Before the first.
    pub(super) const NONE: Life = Life {
        number: 0,
        epoch: Epoch::from_random(0),
        last_seq: 0,
        last_time: 0,
    };

    /// Adds or replaces it.
    pub(super) fn put(&self, connection: &Connection) -> Result<(), Fault> {
        let sql = "INSERT OR REPLACE INTO lives VALUES (?1, ?2, ?3, ?4, ?5)";
        connection.prepare_cached(sql)?.execute(params![
            self.number,
            signed(self.epoch.bits()),
            signed(self.last_seq),
            signed(self.last_time),
            self.crc(),
        ])?;
        Ok(())
    }

    /// Every life, oldest first.
    pub(super) fn all(connection: &Connection) -> Result<Vec<Self>, Fault> {
        let mut statement = connection.prepare("SELECT * FROM lives ORDER BY number")?;
        let mut rows = statement.query(())?;
        let mut lives = Vec::new();
        while let Some(row) = rows.next()? {
            lives.push(Self::read(row)?);
        }
        Ok(lives)
    }

    pub(super) fn read(row: &Row<'_>) -> Result<Self, Fault> {
        let life = Life {
            number: row.get(0)?,
            epoch: Epoch::from_random(unsigned(row, 1)?),
            last_seq: unsigned(row, 2)?,
            last_time: unsigned(row, 3)?,
        };
        match row.get::<_, u32>(4)? == life.crc() {
            true => Ok(life),
            false => Err(Fault::Damage(format!(
                "life {} is not what was written",
                life.number
            ))),
        }
    }

    fn crc(&self) -> u32 {
        let mut seal = Seal::default();
        seal.number(self.number);
        seal.number(signed(self.epoch.bits()));
        seal.number(signed(self.last_seq));
        seal.number(signed(self.last_time));
        seal.sum()
    }
}

/// How many lives are kept: a server that is started again and again does not fill the disk with them.
const LIVES: i64 = 10_000;

/// Forgets lives of which no event is left, so that cursors of them are unknown from now on; the newest stay.
pub(super) fn prune_lives(connection: &Connection) -> Result<(), Fault> {
    let sql = "DELETE FROM lives WHERE number <= (SELECT max(number) FROM lives) - ?1 \
               AND NOT EXISTS (SELECT 1 FROM events WHERE seq <= last_seq)";
    connection.execute(sql, [LIVES])?;
    Ok(())
}

/// The mark of all channels without a record; 0 where none was let go of.
pub(super) fn folded(connection: &Connection) -> Result<u64, Fault> {
    let mut statement = connection.prepare("SELECT folded, crc FROM whole")?;
    let mut rows = statement.query(())?;
    let Some(row) = rows.next()? else {
        return Ok(0);
    };
    let folded = unsigned(row, 0)?;
    match row.get::<_, u32>(1)? == crc_of(folded) {
        true => Ok(folded),
        false => Err(Fault::Damage(
            "the mark of all channels is not what was written".into(),
        )),
    }
}

/// Sets that mark.
pub(super) fn put_folded(connection: &Connection, folded: u64) -> Result<(), Fault> {
    let sql = "INSERT OR REPLACE INTO whole VALUES (1, ?1, ?2)";
    connection
        .prepare_cached(sql)?
        .execute(params![signed(folded), crc_of(folded)])?;
    Ok(())
}

/// An id that no channel has, and none had whose events still have to go.
pub(super) fn next_channel(connection: &Connection) -> Result<i64, Fault> {
    let sql = "SELECT max(coalesce((SELECT max(id) FROM channels), 0), coalesce((SELECT max(channel) FROM events), 0))";
    let newest: i64 = connection.query_row(sql, (), |row| row.get(0))?;
    Ok(newest.saturating_add(1))
}

fn crc_of(number: u64) -> u32 {
    let mut seal = Seal::default();
    seal.number(signed(number));
    seal.sum()
}

/// A number as SQLite has it. None of ours is that large: seqs and milliseconds are counted up from 0.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number that is never negative.
pub(super) fn unsigned(row: &Row<'_>, column: usize) -> Result<u64, Fault> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| Fault::Damage(format!("a number is {number}")))
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> Result<Option<Cow<'a, str>>, Fault> {
    let text = row.get_ref(column)?.as_str_or_null().map_err(damaged)?;
    Ok(text.map(Cow::from))
}

fn damaged(error: rusqlite::types::FromSqlError) -> Fault {
    Fault::Damage(error.to_string())
}

/// A checksum over values, so that two of them cannot pass for one.
#[derive(Default)]
pub(super) struct Seal(Hasher);

impl Seal {
    pub(super) fn number(&mut self, number: i64) {
        self.0.update(&number.to_le_bytes());
    }

    pub(super) fn text(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.bytes(text.as_bytes()),
            None => self.number(-1),
        }
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        self.0.update(bytes);
    }

    pub(super) fn sum(self) -> u32 {
        self.0.finalize()
    }
}
