//! Taking the rows away of what is gone: a few at a time, long after everyone could see that they are. So nobody
//! who reads misses an event whose loss it cannot see, and no publisher waits for a large deletion.

use std::collections::{HashMap, VecDeque};

use rusqlite::{Connection, params};

use super::catalogue::Gone;
use super::error::Fault;
use super::rows::{ChannelRow, signed};

/// How many rows go in one transaction.
pub(super) const ROWS: usize = 512;
/// So many rows may wait: taken together, most of them empty a whole page, and each page is written once.
const PILE: u64 = 4_096;
/// How many channels are looked at in one transaction: each costs a seek at least.
const CHANNELS: usize = 128;
/// How many pages are given back to the system at once.
const PAGES: i64 = 128;
/// Fewer free pages than this are kept for what comes.
const SPARE_PAGES: i64 = 1_024;

/// Rows that have to go, by channel.
#[derive(Default)]
pub(super) struct Sweeper {
    gone: HashMap<i64, Gone>,
    order: VecDeque<i64>,
    /// How many rows there are, as far as that is known.
    rows: u64,
}

/// How much space was given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    Nothing,
    /// There is more.
    Some,
    /// The last that can be.
    Last,
}

/// What one transaction took.
#[derive(Default)]
pub(super) struct Swept {
    finished: Vec<Gone>,
    rows: u64,
}

impl Sweeper {
    /// Takes in which rows have to go, and how many they are.
    pub(super) fn add(&mut self, gone: impl IntoIterator<Item = Gone>, rows: u64) {
        self.rows = self.rows.saturating_add(rows);
        for gone in gone {
            let before = self.gone.insert(gone.channel, gone);
            if before.is_none() {
                self.order.push_back(gone.channel);
            }
        }
    }

    /// Whether there is nothing to be taken.
    pub(super) fn is_done(&self) -> bool {
        self.order.is_empty()
    }

    /// Whether so much waits to be taken that it cannot wait for a quiet moment.
    pub(super) fn is_overdue(&self) -> bool {
        self.rows > PILE
    }

    /// Takes some of the rows, about `most`, within a transaction.
    pub(super) fn sweep(&self, connection: &Connection, most: usize) -> Result<Swept, Fault> {
        let mut swept = Swept::default();
        let mut room = most;
        for channel in self.order.iter().take(CHANNELS) {
            let Some(gone) = self.gone.get(channel) else {
                continue;
            };
            let taken = take_rows(connection, gone, room)?;
            if taken < room {
                finish(connection, gone)?;
                swept.finished.push(*gone);
            }
            swept.rows = swept
                .rows
                .saturating_add(u64::try_from(taken).unwrap_or(u64::MAX));
            room = room.saturating_sub(taken);
            if room == 0 {
                break;
            }
        }
        Ok(swept)
    }

    /// Notes what a transaction took, once it is committed.
    pub(super) fn settle(&mut self, swept: Swept) {
        self.rows = self.rows.saturating_sub(swept.rows);
        if swept.finished.is_empty() {
            return;
        }
        for gone in swept.finished {
            // More may have gone since.
            if self.gone.get(&gone.channel) == Some(&gone) {
                self.gone.remove(&gone.channel);
            }
        }
        // Only these were looked at. Whoever has more goes behind the others.
        let looked = self.order.len().min(CHANNELS);
        let looked: Vec<_> = self.order.drain(..looked).collect();
        let left = |channel: &i64| self.gone.contains_key(channel);
        self.order.extend(looked.into_iter().filter(left));
    }
}

/// Gives space back that nothing needs, a few pages. Not within a transaction.
pub(super) fn give_space_back(connection: &Connection) -> Result<Given, Fault> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (free, all) = (number("freelist_count")?, number("page_count")?);
    let spare = SPARE_PAGES.max(all / 8);
    if free <= spare {
        return Ok(Given::Nothing);
    }
    let sql = format!("PRAGMA incremental_vacuum({PAGES})");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(())?;
    while rows.next()?.is_some() {}
    let left = number("freelist_count")?;
    Ok(match left {
        // A database that somebody made anew without incremental vacuum never gives any back.
        _ if left >= free => Given::Nothing,
        _ if left > spare => Given::Some,
        _ => Given::Last,
    })
}

fn take_rows(connection: &Connection, gone: &Gone, most: usize) -> Result<usize, Fault> {
    let sql = "DELETE FROM events WHERE seq IN \
               (SELECT seq FROM events WHERE channel = ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3)";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let parameters = params![gone.channel, signed(gone.through), most];
    Ok(connection.prepare_cached(sql)?.execute(parameters)?)
}

fn finish(connection: &Connection, gone: &Gone) -> Result<(), Fault> {
    match gone.with_record {
        true => ChannelRow::remove(connection, gone.channel),
        false => Ok(()),
    }
}
