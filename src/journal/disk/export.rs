//! Every event that is kept, as lines of JSON, page by page: between two pages nothing is held that a server would
//! have to wait for.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row};

use super::error::{Fault, OpenError};
use super::rows::{self, ChannelRow, EVENT_COLUMNS, EventRow, Life, signed, unsigned};
use super::visitor::Visitor;
use crate::event::{Cursor, Epoch};
use crate::hub::channel::{Channel, ChannelName};
use crate::hub::selector::{Selection, Selector};
use crate::journal::unix_millis;

/// How many rows one page examines.
const ROWS: usize = 1_000;
/// A page that has so many bytes is full.
const BYTES: usize = 1 << 20;

/// An export under way. It ends with the event that was the newest when it began.
pub struct Export<'a> {
    journal: &'a Visitor,
    selection: Selection,
    lives: Vec<Life>,
    lost_through: u64,
    place: u64,
    head: u64,
}

/// What one look finds.
struct Page<'a> {
    export: &'a Export<'a>,
    connection: &'a Connection,
    now: u64,
    /// The channels that were met: `None` where they are not asked for.
    channels: HashMap<i64, Option<Wanted>>,
    lines: Vec<u8>,
    through: u64,
}

/// A channel that is asked for.
struct Wanted {
    channel: Arc<Channel>,
    gone_through: u64,
}

impl Visitor {
    /// Begins to export the channels that one of `selectors` matches.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn export(&self, selectors: Vec<Selector>) -> Result<Export<'_>, OpenError> {
        let selection = Selection::new(selectors);
        let (lives, lost_through) = self.look(|connection| {
            let lost_through = lost_through(connection, &selection)?;
            Ok((Life::all(connection)?, lost_through))
        })?;
        Ok(Export {
            journal: self,
            selection,
            lost_through,
            place: 0,
            head: lives.last().map_or(0, |life| life.last_seq),
            lives,
        })
    }
}

impl Export<'_> {
    /// Leaves out what came up to `cursor`; says whether this journal knows that.
    pub fn begin_after(&mut self, cursor: Cursor) -> bool {
        let life = self.lives.iter().find(|life| life.epoch == cursor.epoch);
        let is_known = life.is_some_and(|life| cursor.seq <= life.last_seq);
        self.place = cursor.seq;
        is_known
    }

    /// Whether something is missing beyond where this begins: retention or DELETE took it.
    pub fn is_incomplete(&self) -> bool {
        self.lost_through > self.place
    }

    /// The next lines, each with its LF, perhaps none; `None` at the end. A page has about a MiB, or one event.
    ///
    /// # Errors
    /// When the journal cannot be read, or an event is not what was written.
    pub fn next_page(&mut self) -> Result<Option<Vec<u8>>, OpenError> {
        if self.place >= self.head {
            return Ok(None);
        }
        let (lines, through) = self.journal.look(|connection| self.read(connection))?;
        self.place = through;
        Ok(Some(lines))
    }

    /// The lines of a page, and the seq up to which it examined everything.
    fn read(&self, connection: &Connection) -> Result<(Vec<u8>, u64), Fault> {
        let sql =
            format!("SELECT {EVENT_COLUMNS} FROM events WHERE seq > ?1 AND seq <= ?2 ORDER BY seq");
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query([signed(self.place), signed(self.head)])?;
        let mut page = Page::new(self, connection);
        for _ in 0..ROWS {
            let Some(row) = rows.next()? else {
                return Ok((page.lines, self.head));
            };
            page.take(row)?;
            if page.lines.len() >= BYTES {
                break;
            }
        }
        Ok((page.lines, page.through))
    }

    /// The channel of this id, if it is asked for.
    fn wanted(&self, connection: &Connection, id: i64) -> Result<Option<Wanted>, Fault> {
        let sql = "SELECT * FROM channels WHERE id = ?1";
        let mut statement = connection.prepare_cached(sql)?;
        let row = statement.query_row([id], |row| Ok(ChannelRow::read(row)));
        let Some(row) = row.optional()?.transpose()? else {
            return Ok(None);
        };
        let is_wanted = |name: &ChannelName| self.selection.begins_after(name).is_some();
        Ok(row.name.filter(is_wanted).map(|name| Wanted {
            channel: Arc::new(Channel::new(name)),
            gone_through: row.gone_through,
        }))
    }

    fn epoch(&self, row: &EventRow<'_>) -> Result<Epoch, Fault> {
        let life = self.lives.iter().find(|life| life.number == row.life);
        let epoch = life.map(|life| life.epoch);
        epoch.ok_or_else(|| {
            Fault::Damage(format!("event {} is of a life that is not listed", row.seq))
        })
    }
}

impl<'a> Page<'a> {
    fn new(export: &'a Export<'a>, connection: &'a Connection) -> Self {
        Page {
            export,
            connection,
            now: unix_millis(),
            channels: HashMap::new(),
            lines: Vec::new(),
            through: export.place,
        }
    }

    /// Takes the next row, which makes a line if it is asked for and kept.
    fn take(&mut self, row: &Row<'_>) -> Result<(), Fault> {
        self.through = unsigned(row, 0)?;
        let Some(channel) = self.channel(row.get(1)?, self.through)? else {
            return Ok(());
        };
        let row = EventRow::read(row)?;
        let event = row.event(channel, self.export.epoch(&row)?)?;
        if !event.expired(self.now) {
            event.write_json(&mut self.lines);
            self.lines.push(b'\n');
        }
        Ok(())
    }

    /// The channel of a row, if it is asked for and its events are kept beyond what comes before `seq`.
    fn channel(&mut self, id: i64, seq: u64) -> Result<Option<Arc<Channel>>, Fault> {
        let wanted = match self.channels.entry(id) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(self.export.wanted(self.connection, id)?),
        };
        let wanted = wanted.as_ref().filter(|wanted| seq > wanted.gone_through);
        Ok(wanted.map(|wanted| wanted.channel.clone()))
    }
}

/// The newest event of what is asked for that retention or DELETE took; 0 if they took none.
fn lost_through(connection: &Connection, selection: &Selection) -> Result<u64, Fault> {
    let is_wanted = |row: &&ChannelRow| {
        let name = row.name.as_ref();
        name.is_some_and(|name| selection.begins_after(name).is_some())
    };
    let channels = ChannelRow::all(connection)?;
    let wanted: Vec<_> = channels.iter().filter(is_wanted).collect();
    let marks = wanted.iter().map(|row| row.lost_through.max(row.folded));
    let lost_through = marks.max().unwrap_or(0);
    // Channels without a record have a mark in common.
    let all_recorded = selection
        .channels()
        .is_some_and(|names| names.len() == wanted.len());
    match all_recorded {
        true => Ok(lost_through),
        false => Ok(lost_through.max(rows::folded(connection)?)),
    }
}
