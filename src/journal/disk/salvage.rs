//! What becomes of a damaged journal: everything that can be read and is what was written goes into a new one, and
//! what is missing is marked as lost, so that it is told as a gap. The damaged one is set aside, never deleted.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use rusqlite::{Connection, Row, params};

use super::catalogue::{Catalogue, Record};
use super::directory::Directory;
use super::error::Fault;
use super::keys::KeyRow;
use super::rows::{self, ChannelRow, EVENT_COLUMNS, EventRow, Life, WEIGHT, signed, unsigned};
use super::store::{self, Durability, Store};
use crate::event::Epoch;
use crate::hub::random;

/// How many events are brought over in one transaction.
const STEP: usize = 2_000;

/// What is known of a journal beside its events: what can be read of a file, or what a running server has in memory.
#[derive(Default)]
pub(super) struct Known {
    lives: Vec<Life>,
    channels: Vec<ChannelRow>,
    folded: u64,
    /// Whether a channel may be missing.
    lacks_channels: bool,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Salvaged {
    events: u64,
    /// Channels that lost something.
    losers: usize,
}

impl fmt::Display for Salvaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} events were read and kept; {} channels lost something, which those who come back are told",
            self.events, self.losers
        )
    }
}

/// Brings what is good of the journal in `directory` into a new one, which is whole then and has to take its place.
/// Blocks for as long as it takes to read all of it.
///
/// # Errors
/// When nothing of it can be read, or there is no room for the new one.
pub(super) fn salvage(directory: &Directory, known: Option<Known>) -> Result<Salvaged, Fault> {
    directory.remove_unfinished().map_err(Fault::outside)?;
    let source = store::open_for_reading(&directory.database())?;
    let known = known.unwrap_or_else(|| Known::read(&source));
    rescue(&source, known, &directory.unfinished())
}

impl Known {
    /// What a running server knows, which is all there is to know.
    pub(super) fn of(catalogue: &Catalogue) -> Self {
        Known {
            lives: catalogue.lives.all().to_vec(),
            channels: catalogue.channels.records().map(Record::row).collect(),
            folded: catalogue.channels.folded(),
            lacks_channels: false,
        }
    }

    /// What can be read.
    fn read(source: &Connection) -> Self {
        let (lives, _) = readable(source, "SELECT * FROM lives ORDER BY number", Life::read);
        let channels = "SELECT * FROM channels ORDER BY id";
        let (channels, all_channels) = readable(source, channels, ChannelRow::read);
        let folded = rows::folded(source);
        Known {
            lives,
            channels,
            lacks_channels: !all_channels || folded.is_err(),
            folded: folded.unwrap_or(0),
        }
    }

    /// Takes in that there is this event; whether its life is known, without which nobody can say what id it had.
    fn see(&mut self, event: &EventRow<'_>) -> bool {
        let life = self.lives.iter_mut().find(|life| life.number == event.life);
        let known = life.is_some();
        if let Some(life) = life {
            life.last_seq = life.last_seq.max(event.seq);
            life.last_time = life.last_time.max(event.time);
        }
        known
    }

    /// The newest seq that is known of.
    fn head(&self) -> u64 {
        let lives = self.lives.iter().map(|life| life.last_seq);
        let channels = self.channels.iter().map(|channel| channel.last_seq);
        lives.chain(channels).max().unwrap_or(0)
    }
}

/// Rows that can be read, and whether those are all.
fn readable<T>(
    source: &Connection,
    sql: &str,
    read: impl Fn(&Row<'_>) -> Result<T, Fault>,
) -> (Vec<T>, bool) {
    let mut found = Vec::new();
    let mut take_all = || -> Result<bool, Fault> {
        let mut statement = source.prepare(sql)?;
        let mut rows = statement.query(())?;
        let mut all = true;
        while let Some(row) = rows.next()? {
            match read(row) {
                Ok(row) => found.push(row),
                Err(_) => all = false,
            }
        }
        Ok(all)
    };
    let all = take_all().unwrap_or(false);
    (found, all)
}

/// Makes the new journal: how many events are in it, and how many channels lost something.
fn rescue(source: &Connection, known: Known, new: &Path) -> Result<Salvaged, Fault> {
    let mut store = Store::open(new).map_err(Fault::outside)?;
    let mut rescue = Rescue::new(known);
    let mut walk = Walk {
        source,
        place: 0,
        end: rescue.end(),
        damaged_through: 0,
    };
    while let Some(events) = walk.next_events(STEP) {
        store.transact(Durability::Written, |target| {
            events
                .iter()
                .try_for_each(|event| rescue.take(event, target))
        })?;
    }
    if rescue.known.lives.is_empty() && rescue.events == 0 {
        return Err(Fault::Damage(
            "neither its lives nor any event can be read".into(),
        ));
    }
    let losers = store.transact(Durability::Written, |target| {
        copy_keys(source, target)?;
        rescue.finish(source, target, walk.damaged_through)
    })?;
    store::empty_log(store.connection())?;
    Ok(Salvaged {
        events: rescue.events,
        losers,
    })
}

/// Reads events in order, around what cannot be read.
struct Walk<'a> {
    source: &'a Connection,
    place: u64,
    end: u64,
    /// The highest seq of which it is not known what it was.
    damaged_through: u64,
}

impl Walk<'_> {
    /// The next events that are what was written; `None` when there are no more.
    fn next_events(&mut self, most: usize) -> Option<Vec<EventRow<'static>>> {
        loop {
            let mut events = Vec::new();
            match self.read(most, &mut events) {
                Ok(0) => return None,
                Ok(_) => return Some(events),
                Err(_) if !events.is_empty() => return Some(events),
                Err(_) => self.place = self.beyond_damage()?,
            }
        }
    }

    /// Reads rows from the place on; how many there were, sound or not.
    fn read(&mut self, most: usize, events: &mut Vec<EventRow<'static>>) -> Result<usize, Fault> {
        let sql =
            format!("SELECT {EVENT_COLUMNS} FROM events WHERE seq >= ?1 ORDER BY seq LIMIT ?2");
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut statement = self.source.prepare_cached(&sql)?;
        let mut rows = statement.query(params![first_beyond(self.place), most])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            let seq = unsigned(row, 0)?;
            if seq <= self.place {
                return Err(Fault::Damage("events are out of order".into()));
            }
            match EventRow::read(row) {
                Ok(event) => events.push(event.into_owned()),
                Err(_) => self.damaged_through = self.damaged_through.max(seq.min(self.end)),
            }
            self.place = seq;
            count += 1;
        }
        Ok(count)
    }

    /// The place behind what cannot be read: found by strides that grow, then by halving the last one.
    fn beyond_damage(&mut self) -> Option<u64> {
        let Some(readable) = self.stride_over_damage() else {
            self.damaged_through = self.end;
            return None;
        };
        let (mut low, mut high) = (self.place, readable);
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            match self.can_read_beyond(middle) {
                true => high = middle,
                false => low = middle,
            }
        }
        self.damaged_through = self.damaged_through.max(high);
        Some(high)
    }

    /// Some place behind what cannot be read. The last stride reaches the end, however large the damage was.
    fn stride_over_damage(&self) -> Option<u64> {
        let last = self.end.saturating_sub(1);
        let (mut place, mut stride) = (self.place, 1u64);
        while place < last {
            place = self.place.saturating_add(stride).min(last);
            if self.can_read_beyond(place) {
                return Some(place);
            }
            stride = stride.saturating_mul(2);
        }
        None
    }

    fn can_read_beyond(&self, place: u64) -> bool {
        let sql =
            format!("SELECT {EVENT_COLUMNS} FROM events WHERE seq >= ?1 ORDER BY seq LIMIT 1");
        let read = || -> Result<bool, Fault> {
            let mut statement = self.source.prepare_cached(&sql)?;
            let mut rows = statement.query([first_beyond(place)])?;
            match rows.next()? {
                Some(row) => Ok(unsigned(row, 0)? > place),
                None => Ok(true),
            }
        };
        read().unwrap_or(false)
    }
}

/// Where a look beyond a place begins: one that began at the place itself would need its page, which may be damaged.
fn first_beyond(place: u64) -> i64 {
    signed(place.saturating_add(1))
}

/// What is brought over.
struct Rescue {
    known: Known,
    tallies: HashMap<i64, Tally>,
    head: u64,
    events: u64,
}

/// What came of one channel.
struct Tally {
    row: ChannelRow,
    /// The newest event that was brought over and is owed without an end.
    last_seq: u64,
    /// How many were brought over.
    events: u64,
    lost_through: u64,
}

impl Rescue {
    fn new(known: Known) -> Self {
        let tally = |row: &ChannelRow| Tally {
            row: row.clone(),
            last_seq: row.gone_through,
            events: 0,
            lost_through: 0,
        };
        let named = known.channels.iter().filter(|row| row.name.is_some());
        Rescue {
            tallies: named.map(|row| (row.id, tally(row))).collect(),
            head: known.head(),
            events: 0,
            known,
        }
    }

    /// The seq beyond which nothing is looked for, once something could not be read.
    fn end(&self) -> u64 {
        match self.head {
            0 => i64::MAX.unsigned_abs() / 2,
            head => head,
        }
    }

    fn take(&mut self, event: &EventRow<'_>, target: &Connection) -> Result<(), Fault> {
        self.head = self.head.max(event.seq);
        let has_life = self.known.see(event);
        // Without a record it was let go of, or nobody knows its name any more.
        let Some(tally) = self.tallies.get_mut(&event.channel) else {
            return Ok(());
        };
        if event.seq <= tally.row.gone_through {
            return Ok(());
        }
        if event.previous > tally.last_seq {
            tally.lose(event.previous);
        }
        if !has_life {
            tally.lose(event.seq);
            return Ok(());
        }
        event.insert(target)?;
        tally.events += 1;
        if event.expires.is_none() {
            tally.last_seq = event.seq;
        }
        self.events += 1;
        Ok(())
    }

    /// Stores what is known now; how many channels lost something.
    fn finish(
        &mut self,
        source: &Connection,
        target: &Connection,
        damaged_through: u64,
    ) -> Result<usize, Fault> {
        let anywhere = match damaged_through {
            0 => self.head,
            damaged => damaged,
        };
        let mut losers = 0;
        for tally in self.tallies.values_mut() {
            if tally.lacks_events() {
                let newest = newest_missing(source, target, &tally.row, self.head)?;
                tally.lose(newest.unwrap_or(anywhere));
            }
            tally.lose_newest();
            losers += usize::from(tally.lost_through > 0);
            tally.settle(target)?.put(target)?;
        }
        let dropped = self.known.channels.iter().filter(|row| row.name.is_none());
        dropped.into_iter().try_for_each(|row| row.put(target))?;
        let folded = match self.known.lacks_channels {
            true => self.head,
            false => self.known.folded,
        };
        rows::put_folded(target, folded)?;
        self.finish_lives(target)?;
        Ok(losers)
    }

    /// Stores the lives. Where the newest is missing, another takes its place that nobody ever heard of, so that the
    /// sequence goes on behind all that there was.
    fn finish_lives(&mut self, target: &Connection) -> Result<(), Fault> {
        let newest = self.known.lives.last().copied().unwrap_or(Life::NONE);
        if newest.last_seq < self.head {
            self.known.lives.push(Life {
                number: newest.number.saturating_add(1),
                epoch: Epoch::from_random(random()),
                last_seq: self.head,
                last_time: newest.last_time,
            });
        }
        self.known
            .lives
            .iter()
            .try_for_each(|life| life.put(target))
    }
}

impl Tally {
    fn lose(&mut self, through: u64) {
        self.lost_through = self.lost_through.max(through);
    }

    /// Whether some are missing; those that were owed for a time only are named by no other.
    fn lacks_events(&self) -> bool {
        self.events < self.row.events
    }

    /// Notices that the newest that was owed without an end is missing, which no other names yet.
    fn lose_newest(&mut self) {
        if self.row.last_seq > self.last_seq {
            self.lose(self.row.last_seq);
        }
    }

    /// The record as it is now: up to a loss everything counts as lost, since a mark tells of one end only.
    fn settle(&self, target: &Connection) -> Result<ChannelRow, Fault> {
        let gone_through = self.row.gone_through.max(self.lost_through);
        let sql = format!(
            "SELECT count(*), coalesce(sum({WEIGHT}), 0) FROM events WHERE channel = ?1 AND seq > ?2"
        );
        let mut statement = target.prepare_cached(&sql)?;
        let parameters = params![self.row.id, signed(gone_through)];
        let count = |row: &Row<'_>| Ok(unsigned(row, 0).and_then(|n| Ok((n, unsigned(row, 1)?))));
        let (events, bytes) = statement.query_row(parameters, count)??;
        Ok(ChannelRow {
            lost_through: self.row.lost_through.max(self.lost_through),
            gone_through,
            last_seq: self.last_seq.max(self.row.last_seq),
            events,
            bytes,
            ..self.row.clone()
        })
    }
}

/// The newest event of a channel that was not brought over. The index has it where its row cannot be read; `None` if the
/// index does not have as many as there were, up to `head`: it carries no checksum.
fn newest_missing(
    source: &Connection,
    target: &Connection,
    channel: &ChannelRow,
    head: u64,
) -> Result<Option<u64>, Fault> {
    let (id, gone, head) = (channel.id, signed(channel.gone_through), signed(head));
    let sql = format!(
        "SELECT seq FROM events WHERE channel = {id} AND seq > {gone} AND seq <= {head} ORDER BY seq DESC"
    );
    let (seqs, _) = readable(source, &sql, |row| unsigned(row, 0));
    if u64::try_from(seqs.len()).ok() != Some(channel.events) {
        return Ok(None);
    }
    let mut statement = target.prepare_cached("SELECT 1 FROM events WHERE seq = ?1")?;
    for seq in seqs {
        if !statement.exists([signed(seq)])? {
            return Ok(Some(seq));
        }
    }
    Ok(None)
}

/// Brings the idempotency keys over. What cannot be read is forgotten, as if its time were over.
fn copy_keys(source: &Connection, target: &Connection) -> Result<(), Fault> {
    let (keys, _) = readable(source, "SELECT * FROM keys ORDER BY id", KeyRow::read);
    keys.iter().try_for_each(|key| key.put(target))
}
