//! Finding events: each look is a seek and a bounded number of rows from there, in either direction.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row, params};

use super::catalogue::{Catalogue, Record};
use super::error::Fault;
use super::rows::{EVENT_COLUMNS, EventRow, signed, unsigned};
use super::shared::Shared;
use crate::event::{Epoch, Event};
use crate::hub::channel::{Channel, ChannelName};
use crate::hub::selector::Selection;
use crate::journal::Limit;
use crate::journal::excerpt::Excerpt;

/// What is looked for.
pub(super) struct Search<'a> {
    pub(super) shared: &'a Shared,
    pub(super) selection: &'a Selection,
    pub(super) limit: Limit,
    pub(super) now: u64,
    range: Range,
    targets: Targets,
}

/// Where it is looked for.
#[derive(Debug, Clone, Copy)]
struct Range {
    /// Events beyond this seq.
    after: u64,
    /// Events up to this seq, which is not beyond what was announced.
    through: u64,
    is_backwards: bool,
}

/// Of which channels.
enum Targets {
    /// Of these.
    Channels(Vec<Target>),
    /// Of those that match.
    Patterns,
}

#[derive(Debug, Clone, Copy)]
struct Target {
    channel: i64,
    /// Its events count beyond this seq.
    after: u64,
}

/// What was found.
pub(super) struct Found {
    rows: Vec<FoundRow>,
    /// The seq up to which everything was examined, and whether there is more beyond.
    through: u64,
    rest: bool,
    range: Range,
}

/// What the chain of a channel needs of a row, and the event if it is owed.
struct FoundRow {
    event: Option<Arc<Event>>,
    seq: u64,
    channel: i64,
    previous: u64,
}

impl<'a> Search<'a> {
    /// Looks for what came after `place`, up to now.
    pub(super) fn forwards(
        shared: &'a Shared,
        selection: &'a Selection,
        place: u64,
        limit: Limit,
        now: u64,
    ) -> Self {
        Self::new(shared, selection, limit, now, |head| Range {
            after: place,
            through: head,
            is_backwards: false,
        })
    }

    /// Looks for what was before `place`.
    pub(super) fn backwards(
        shared: &'a Shared,
        selection: &'a Selection,
        place: u64,
        limit: Limit,
        now: u64,
    ) -> Self {
        Self::new(shared, selection, limit, now, |head| Range {
            after: 0,
            through: place.saturating_sub(1).min(head),
            is_backwards: true,
        })
    }

    /// Looks within the range that `range` makes of the newest seq.
    fn new(
        shared: &'a Shared,
        selection: &'a Selection,
        limit: Limit,
        now: u64,
        range: impl FnOnce(u64) -> Range,
    ) -> Self {
        let catalogue = shared.catalogue();
        let range = range(catalogue.head);
        let targets = Targets::of(selection, &catalogue, range.after);
        drop(catalogue);
        Search {
            shared,
            selection,
            limit,
            now,
            range,
            targets,
        }
    }

    /// The seq beyond which nothing is looked for.
    pub(super) fn head(&self) -> u64 {
        self.range.through
    }

    /// Whether there is nothing to be found, wherever one looks.
    pub(super) fn is_vain(&self) -> bool {
        let no_target = matches!(&self.targets, Targets::Channels(channels) if channels.is_empty());
        no_target || self.range.through <= self.range.after
    }

    /// What is found without a look.
    pub(super) fn nothing(&self) -> Found {
        Taker::new(self).found()
    }

    /// Looks.
    pub(super) fn run(&self, connection: &Connection) -> Result<Found, Fault> {
        match &self.targets {
            Targets::Channels(channels) => match channels[..] {
                [target] => self.one_channel(connection, target),
                _ => self.several_channels(connection, channels),
            },
            Targets::Patterns => self.everything(connection),
        }
    }

    fn one_channel(&self, connection: &Connection, target: Target) -> Result<Found, Fault> {
        let order = self.range.order();
        let sql = format!(
            "SELECT {EVENT_COLUMNS} FROM events WHERE channel = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq {order}"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![
            target.channel,
            signed(target.after),
            signed(self.range.through)
        ])?;
        let mut taker = Taker::new(self);
        while let Some(row) = rows.next()? {
            if !taker.take(row)? {
                break;
            }
        }
        Ok(taker.found())
    }

    fn everything(&self, connection: &Connection) -> Result<Found, Fault> {
        let order = self.range.order();
        let sql = format!(
            "SELECT {EVENT_COLUMNS} FROM events WHERE seq > ?1 AND seq <= ?2 ORDER BY seq {order}"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query([signed(self.range.after), signed(self.range.through)])?;
        let mut taker = Taker::new(self);
        while let Some(row) = rows.next()? {
            if !taker.take(row)? {
                break;
            }
        }
        Ok(taker.found())
    }

    /// Merges by seq alone, which the index has; then the rows are read one by one.
    fn several_channels(
        &self,
        connection: &Connection,
        channels: &[Target],
    ) -> Result<Found, Fault> {
        let most = self.limit.rows.min(self.limit.events).saturating_add(1);
        let mut seqs = Vec::new();
        for target in channels {
            self.seqs_of(connection, *target, most, &mut seqs)?;
        }
        match self.range.is_backwards {
            true => seqs.sort_unstable_by(|a, b| b.cmp(a)),
            false => seqs.sort_unstable(),
        }
        // What is examined may be owed no more, so that there is room for what comes behind these.
        let may_have_more = seqs.len() >= most;
        seqs.truncate(most);
        let sql = format!("SELECT {EVENT_COLUMNS} FROM events WHERE seq = ?1");
        let mut statement = connection.prepare_cached(&sql)?;
        let mut taker = Taker::new(self);
        for seq in seqs {
            if !taker.take_one(&mut statement, seq)? {
                break;
            }
        }
        taker.rest |= may_have_more;
        Ok(taker.found())
    }

    fn seqs_of(
        &self,
        connection: &Connection,
        target: Target,
        most: usize,
        seqs: &mut Vec<u64>,
    ) -> Result<(), Fault> {
        let order = self.range.order();
        let sql = format!(
            "SELECT seq FROM events WHERE channel = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq {order} LIMIT ?4"
        );
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![
            target.channel,
            signed(target.after),
            signed(self.range.through),
            most
        ])?;
        while let Some(row) = rows.next()? {
            seqs.push(unsigned(row, 0)?);
        }
        Ok(())
    }
}

impl Targets {
    fn of(selection: &Selection, catalogue: &Catalogue, place: u64) -> Self {
        let Some(names) = selection.channels() else {
            return Targets::Patterns;
        };
        let target = |name: &&ChannelName| {
            let record = catalogue.channels.get(name)?;
            let begins = selection.begins_after(name)?.max(place);
            Some(Target {
                channel: record.id,
                after: begins.max(record.gone_through),
            })
        };
        Targets::Channels(names.iter().filter_map(target).collect())
    }
}

impl Range {
    fn order(self) -> &'static str {
        if self.is_backwards { "DESC" } else { "ASC" }
    }

    /// Up to where nothing was examined yet.
    fn begin(self) -> u64 {
        if self.is_backwards {
            self.through.saturating_add(1)
        } else {
            self.after
        }
    }

    /// What was examined when there is no more.
    fn end(self) -> u64 {
        if self.is_backwards {
            self.after
        } else {
            self.through
        }
    }
}

/// Takes rows until there is enough.
struct Taker<'a> {
    search: &'a Search<'a>,
    /// The channels that were met: `None` where they are not asked for.
    channels: HashMap<i64, Option<Met>>,
    epochs: HashMap<i64, Epoch>,
    rows: Vec<FoundRow>,
    examined: usize,
    wanted: usize,
    bytes: usize,
    last: u64,
    rest: bool,
}

/// A channel of which a row was met.
struct Met {
    channel: Arc<Channel>,
    /// Its events count beyond this seq.
    after: u64,
}

impl<'a> Taker<'a> {
    fn new(search: &'a Search<'a>) -> Self {
        Taker {
            search,
            channels: HashMap::new(),
            epochs: HashMap::new(),
            rows: Vec::new(),
            examined: 0,
            wanted: 0,
            bytes: 0,
            last: search.range.begin(),
            rest: false,
        }
    }

    fn take_one(&mut self, statement: &mut CachedStatement<'_>, seq: u64) -> Result<bool, Fault> {
        let mut rows = statement.query([signed(seq)])?;
        match rows.next()? {
            Some(row) => self.take(row),
            None => Err(Fault::Damage(format!("event {seq} is in the index only"))),
        }
    }

    /// Takes the next row; `false` when there is no room for it.
    fn take(&mut self, row: &Row<'_>) -> Result<bool, Fault> {
        if self.examined == self.search.limit.rows {
            self.rest = true;
            return Ok(false);
        }
        let seq = unsigned(row, 0)?;
        let channel = self.meet(row.get(1)?).filter(|met| seq > met.after);
        if let Some(channel) = channel.map(|met| met.channel.clone()) {
            let found = self.read(row, channel)?;
            if let Some(event) = &found.event {
                if self.is_full() {
                    self.rest = true;
                    return Ok(false);
                }
                self.wanted += 1;
                self.bytes = self.bytes.saturating_add(event.weight());
            }
            self.rows.push(found);
        }
        self.examined += 1;
        self.last = seq;
        Ok(true)
    }

    fn is_full(&self) -> bool {
        let limit = self.search.limit;
        self.wanted == limit.events || (self.wanted > 0 && self.bytes >= limit.bytes)
    }

    fn read(&mut self, row: &Row<'_>, channel: Arc<Channel>) -> Result<FoundRow, Fault> {
        let row = EventRow::read(row)?;
        let Some(epoch) = self.epoch(row.life) else {
            let part = format!("event {} is of a life that is not listed", row.seq);
            return Err(Fault::Damage(part));
        };
        let event = row.event(channel, epoch)?;
        let is_owed = self.search.selection.is_owed(&event, self.search.now);
        Ok(FoundRow {
            event: is_owed.then(|| Arc::new(event)),
            seq: row.seq,
            channel: row.channel,
            previous: row.previous,
        })
    }

    /// The channel of a row, if it has a record and is asked for.
    fn meet(&mut self, id: i64) -> Option<&Met> {
        let search = self.search;
        let met = self.channels.entry(id).or_insert_with(|| {
            let catalogue = search.shared.catalogue();
            let record = catalogue.record(id)?;
            let begins = search.selection.begins_after(record.channel.name())?;
            Some(Met {
                channel: record.channel.clone(),
                after: begins.max(record.gone_through),
            })
        });
        met.as_ref()
    }

    fn epoch(&mut self, life: i64) -> Option<Epoch> {
        if let Some(epoch) = self.epochs.get(&life) {
            return Some(*epoch);
        }
        let epoch = self.search.shared.catalogue().lives.epoch(life)?;
        self.epochs.insert(life, epoch);
        Some(epoch)
    }

    fn found(self) -> Found {
        let range = self.search.range;
        Found {
            through: if self.rest { self.last } else { range.end() },
            rows: self.rows,
            rest: self.rest,
            range,
        }
    }
}

impl Found {
    /// What of it is there now that the marks of `catalogue` count, which are newer than what was found, so that
    /// nothing is missing that is not told.
    ///
    /// # Errors
    /// When an event is missing of which nothing is told.
    pub(super) fn excerpt(
        self,
        catalogue: &Catalogue,
        selection: &Selection,
        place: u64,
    ) -> Result<Excerpt, Fault> {
        if !self.range.is_backwards {
            self.check_chain(catalogue, selection, place)?;
        }
        let is_there = |row: &FoundRow| {
            let record = catalogue.record(row.channel);
            record.is_some_and(|record| row.seq > record.gone_through)
        };
        let mut outlived = None;
        let mut candidates = Vec::new();
        for row in self.rows.into_iter().filter(is_there) {
            match row.event {
                Some(event) => candidates.push(event),
                None => outlived = outlived.or(Some(candidates.len())),
            }
        }
        Ok(Excerpt {
            candidates,
            outlived,
            through: self.through,
            rest: self.rest,
            losses: catalogue.channels.losses(selection, place),
        })
    }

    /// Each event names the one before it in its channel, and the channel names its newest. Those were read too, or are
    /// not asked for, or are known to be gone; else the database has lost them.
    fn check_chain(
        &self,
        catalogue: &Catalogue,
        selection: &Selection,
        place: u64,
    ) -> Result<(), Fault> {
        let mut read_through: HashMap<i64, u64> = HashMap::new();
        for row in &self.rows {
            let Some(record) = catalogue.record(row.channel) else {
                continue;
            };
            let seq = row.seq;
            let read = read_through.insert(row.channel, seq);
            let known = read.unwrap_or(place);
            let is_unread = row.previous > known.max(record.gone_through);
            if is_unread && asks_for(selection, record, row.previous) {
                let name = record.channel.name();
                let part = format!("an event of '{name}' between {known} and {seq} is missing");
                return Err(Fault::Damage(part));
            }
        }
        let missing = match self.rest {
            true => None,
            false => self.missing_end(catalogue, selection, place, &read_through),
        };
        match missing {
            Some(part) => Err(Fault::Damage(part)),
            None => Ok(()),
        }
    }

    /// A channel whose newest event was not read, though everything was looked through.
    fn missing_end(
        &self,
        catalogue: &Catalogue,
        selection: &Selection,
        place: u64,
        read_through: &HashMap<i64, u64>,
    ) -> Option<String> {
        let is_missing = |record: &&Record| {
            let read = read_through.get(&record.id).copied();
            let known = read.unwrap_or(place).max(record.gone_through);
            // What is newer than what was looked for is another look's matter.
            let is_unread = record.last_seq > known && record.last_seq <= self.through;
            is_unread && asks_for(selection, record, record.last_seq)
        };
        let missing = match selection.channels() {
            Some(names) => {
                let mut records = names.iter().filter_map(|name| catalogue.channels.get(name));
                records.find(is_missing)
            }
            None => catalogue.channels.records().find(is_missing),
        };
        let record = missing?;
        let name = record.channel.name();
        Some(format!("event {} of '{name}' is missing", record.last_seq))
    }
}

/// Whether this event of a channel is asked for. Costs as much as the reader asks for, and the catalogue is held
/// meanwhile: whatever can be compared instead comes first.
fn asks_for(selection: &Selection, record: &Record, seq: u64) -> bool {
    let begins = selection.begins_after(record.channel.name());
    begins.is_some_and(|begins| seq > begins)
}

/// The place before the newest `count` events of a channel that are owed at `now`; `None` if there are none.
pub(super) fn place_back(
    connection: &Connection,
    record: &Record,
    count: u64,
    now: u64,
) -> Result<Option<u64>, Fault> {
    let nth = count.saturating_sub(1);
    let newest = "SELECT seq FROM events WHERE channel = ?1 AND seq > ?2 AND (expires IS NULL OR expires > ?3) \
                  ORDER BY seq DESC LIMIT 1 OFFSET ?4";
    let oldest = "SELECT seq FROM events WHERE channel = ?1 AND seq > ?2 AND (expires IS NULL OR expires > ?3) \
                  ORDER BY seq ASC LIMIT 1 OFFSET ?4";
    let find = |sql: &str, offset: u64| -> Result<Option<u64>, Fault> {
        let mut statement = connection.prepare_cached(sql)?;
        let gone = signed(record.gone_through);
        let parameters = params![record.id, gone, signed(now), signed(offset)];
        let found = statement.query_row(parameters, |row| Ok(unsigned(row, 0)));
        found.optional()?.transpose()
    };
    let first = match nth < record.events {
        true => find(newest, nth)?,
        false => None,
    };
    let first = match first {
        Some(first) => Some(first),
        None => find(oldest, 0)?,
    };
    Ok(first.map(|first| first.saturating_sub(1)))
}

/// The place before the first event at or after `time`, found by halving: times do not decrease along the sequence.
pub(super) fn place_before(connection: &Connection, time: u64, head: u64) -> Result<u64, Fault> {
    let sql = "SELECT seq, time FROM events WHERE seq >= ?1 AND seq <= ?2 ORDER BY seq LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let (mut low, mut high) = (1, head.saturating_add(1));
    while low < high {
        let middle = low + (high - low) / 2;
        let found = statement.query_row([signed(middle), signed(head)], |row| {
            Ok(unsigned(row, 0).and_then(|seq| Ok((seq, unsigned(row, 1)?))))
        });
        match found.optional()?.transpose()? {
            Some((seq, at)) if at < time => low = seq.saturating_add(1),
            _ => high = middle,
        }
    }
    Ok(low.saturating_sub(1))
}
