//! What an operator wants to know of a journal, found out without reading its events.

use std::fs;
use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension as _};

use super::directory::with_suffix;
use super::error::{Fault, OpenError};
use super::rows::{ChannelRow, Life, unsigned};
use super::store::FORMAT;
use super::visitor::{Visitor, newest_id};
use crate::event::Id;
use crate::hub::channel::ChannelName;

/// How many lives and how many channels are named.
const NAMED: usize = 10;

/// A journal, as it was at one moment. Times are in milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// The database.
    pub file: PathBuf,
    /// Its format.
    pub format: i32,
    /// The bytes of that file.
    pub database_bytes: u64,
    /// The bytes of the write-ahead log.
    pub log_bytes: u64,
    /// The bytes of one page.
    pub page_bytes: u64,
    /// The pages of the database.
    pub pages: u64,
    /// Those of them that hold nothing.
    pub free_pages: u64,
    /// The newest event's id, whether that is kept or not; `None` before the first.
    pub head: Option<Id>,
    /// How many channels have a record.
    pub channels: u64,
    /// How many events are kept.
    pub events: u64,
    /// What they weigh, in bytes.
    pub bytes: u64,
    /// The time of the oldest of them.
    pub oldest: Option<u64>,
    /// The time of the newest of them.
    pub newest: Option<u64>,
    /// Rows of events that are gone already.
    pub unswept: u64,
    /// Idempotency keys that are remembered.
    pub keys: u64,
    /// How many lives there were.
    pub lives: u64,
    /// The newest of them, newest first.
    pub newest_lives: Vec<InspectedLife>,
    /// The channels whose events weigh most.
    pub largest_channels: Vec<InspectedChannel>,
}

/// One opening of the journal for writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedLife {
    /// Its place in the order of lives, from 1 on.
    pub number: i64,
    /// Its newest cursor.
    pub end: Id,
    /// The time of the newest event in it or before it; 0 if there was none.
    pub last_time: u64,
}

/// One channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedChannel {
    /// Its name.
    pub name: ChannelName,
    /// How many events are kept of it.
    pub events: u64,
    /// What they weigh, in bytes.
    pub bytes: u64,
    /// The seq of its newest event that retention or DELETE took; 0 if they took none.
    pub lost_through: u64,
}

impl Visitor {
    /// Looks at the journal. Takes longer the more events there are, since it counts them.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn inspect(&self) -> Result<Inspection, OpenError> {
        let mut inspection = self.look(|connection| self.inspect_tables(connection))?;
        let size = |path| fs::metadata(path).map_or(0, |file| file.len());
        inspection.database_bytes = size(self.file().to_owned());
        inspection.log_bytes = size(with_suffix(self.file(), "-wal"));
        Ok(inspection)
    }

    fn inspect_tables(&self, connection: &Connection) -> Result<Inspection, Fault> {
        let lives = Life::all(connection)?;
        let channels = channels(connection)?;
        let events = channels.iter().map(|channel| channel.events).sum();
        let rows = number(connection, "SELECT count(*) FROM events")?;
        Ok(Inspection {
            file: self.file().to_owned(),
            format: FORMAT,
            database_bytes: 0,
            log_bytes: 0,
            page_bytes: number(connection, "PRAGMA page_size")?,
            pages: number(connection, "PRAGMA page_count")?,
            free_pages: number(connection, "PRAGMA freelist_count")?,
            head: newest_id(&lives),
            channels: count(channels.len()),
            events,
            bytes: channels.iter().map(|channel| channel.bytes).sum(),
            oldest: time(connection, "ASC")?,
            newest: time(connection, "DESC")?,
            unswept: rows.saturating_sub(events),
            keys: number(connection, "SELECT count(*) FROM keys")?,
            lives: count(lives.len()),
            newest_lives: lives.iter().rev().take(NAMED).map(life).collect(),
            largest_channels: largest(channels),
        })
    }
}

fn channels(connection: &Connection) -> Result<Vec<InspectedChannel>, Fault> {
    let channel = |row: ChannelRow| {
        Some(InspectedChannel {
            name: row.name?,
            events: row.events,
            bytes: row.bytes,
            lost_through: row.lost_through,
        })
    };
    let rows = ChannelRow::all(connection)?;
    Ok(rows.into_iter().filter_map(channel).collect())
}

fn largest(mut channels: Vec<InspectedChannel>) -> Vec<InspectedChannel> {
    channels.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    channels.truncate(NAMED);
    channels
}

fn life(life: &Life) -> InspectedLife {
    InspectedLife {
        number: life.number,
        end: Id {
            epoch: life.epoch,
            seq: life.last_seq,
        },
        last_time: life.last_time,
    }
}

/// The time of the first event that is kept, in this order.
fn time(connection: &Connection, order: &str) -> Result<Option<u64>, Fault> {
    let sql = format!(
        "SELECT events.time FROM events JOIN channels ON channels.id = events.channel \
         WHERE events.seq > channels.gone_through ORDER BY events.seq {order} LIMIT 1"
    );
    let found = connection.query_row(&sql, (), |row| Ok(unsigned(row, 0)));
    found.optional()?.transpose()
}

fn number(connection: &Connection, sql: &str) -> Result<u64, Fault> {
    connection.query_row(sql, (), |row| Ok(unsigned(row, 0)))?
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
