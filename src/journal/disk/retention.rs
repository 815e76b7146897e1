//! What is no longer kept: which events go by count, bytes, age and time to live. Here the marks are raised; the
//! rows go later.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::catalogue::Record;
use super::error::Fault;
use super::group::Group;
use super::rows::{signed, unsigned, weight};
use crate::config::Retention;
use crate::event::Event;
use crate::hub::channel::ChannelName;

/// How many rows are looked at together, at least: one goes, and one stays.
const FEW: u64 = 2;
/// How many at most.
const MANY: u64 = 1_024;
/// How many where nobody knows how many have to go.
const STEP: u64 = 64;
/// How many events go in one transaction because their time to live is over.
const EXPIRED: u64 = 1_000;
/// How many rows are looked at in one transaction, counting one for each channel at least; what is left goes in those
/// that follow.
const MOST: u64 = 16_384;

/// The columns of [`Kept`]; a macro, so that statements that run with each publish are put together beforehand.
macro_rules! select_kept {
    () => {
        concat!(
            "SELECT seq, channel, time, expires, ",
            weight!(),
            " FROM events "
        )
    };
}

/// An event that is there, without its data.
struct Kept {
    seq: u64,
    channel: i64,
    time: u64,
    expires: Option<u64>,
    weight: u64,
}

impl Group<'_> {
    /// Keeps every channel that was changed within its rule, and all of them together within theirs, as far as one
    /// transaction goes.
    pub(super) fn trim(&mut self) -> Result<(), Fault> {
        for name in self.touched() {
            self.trim_channel(&name)?;
        }
        self.trim_whole()
    }

    /// Lets go of what is too old, as far as one transaction goes.
    pub(super) fn expire(&mut self) -> Result<(), Fault> {
        self.change.standing.overdue = false;
        self.expire_keys()?;
        for name in self.due() {
            // Those that are left stay due as they are; only what was looked at is noted.
            if self.is_tired() {
                break;
            }
            self.trim_channel(&name)?;
        }
        let outlived = self.outlived()?;
        self.change.standing.overdue |= outlived.len() as u64 >= EXPIRED;
        for kept in outlived {
            self.remove_outlived(&kept)?;
        }
        Ok(())
    }

    /// Whether so much was done that the rest has to wait; it is noted that there is one.
    fn is_tired(&mut self) -> bool {
        let tired = self.looked >= MOST;
        self.change.standing.overdue |= tired;
        tired
    }

    fn trim_channel(&mut self, name: &ChannelName) -> Result<(), Fault> {
        let now = self.old_by;
        loop {
            let Some(record) = self.known(name) else {
                return Ok(());
            };
            if !record.exceeds(now) {
                return Ok(());
            }
            let (id, after, events) = (record.id, record.gone_through, record.events);
            let excess = events.saturating_sub(record.most_events());
            if self.is_tired() {
                return self.put_off(name);
            }
            let oldest = oldest_of_channel(self.connection, id, after, excess.clamp(FEW, MANY))?;
            // A channel without any row costs a seek too.
            self.looked = self.looked.saturating_add(oldest.len().max(1) as u64);
            if oldest.is_empty() && events > 0 {
                return Err(Fault::Damage(format!(
                    "{events} events of channel '{name}' are not there"
                )));
            }
            let Some(record) = self.known(name) else {
                return Ok(());
            };
            let (events, bytes) = (record.events, record.bytes);
            record.evict_while_over(&oldest, now);
            let evicted = events.saturating_sub(record.events);
            let freed = bytes.saturating_sub(record.bytes);
            self.change.evicted = self.change.evicted.saturating_add(evicted);
            self.change.bytes = self.change.bytes.saturating_sub(freed);
        }
    }

    /// Has a channel looked at again, since it is still over its rule.
    fn put_off(&mut self, name: &ChannelName) -> Result<(), Fault> {
        if let Some(record) = self.known(name) {
            record.due = 0;
        }
        Ok(())
    }

    /// Takes the oldest events, of whatever channel, until all together weigh little enough.
    fn trim_whole(&mut self) -> Result<(), Fault> {
        let most = u64::try_from(self.rules.max_bytes).unwrap_or(u64::MAX);
        while self.change.bytes > most && !self.is_tired() {
            let oldest = oldest_of_all(self.connection, self.change.standing.bare_through)?;
            if oldest.is_empty() {
                return Ok(());
            }
            self.looked = self.looked.saturating_add(oldest.len() as u64);
            for kept in oldest {
                if self.change.bytes <= most {
                    return Ok(());
                }
                self.crowd_out(&kept);
                self.change.standing.bare_through = kept.seq;
            }
        }
        Ok(())
    }

    fn crowd_out(&mut self, kept: &Kept) {
        let now = self.old_by;
        let name = self.name_of(kept.channel);
        let Some(record) = name.and_then(|name| self.known(&name)) else {
            return;
        };
        if kept.seq > record.gone_through {
            record.evict(kept, now);
            self.change.bytes = self.change.bytes.saturating_sub(kept.weight);
            self.change.crowded_out += 1;
            self.change.evicted += 1;
        }
    }

    /// Events whose own time is over. They are owed to nobody, so their rows may go at once.
    fn outlived(&self) -> Result<Vec<Kept>, Fault> {
        let sql = concat!(
            select_kept!(),
            "WHERE expires <= ?1 ORDER BY expires LIMIT ?2"
        );
        let parameters = [signed(self.old_by), signed(EXPIRED)];
        kept(self.connection, sql, &parameters)
    }

    fn remove_outlived(&mut self, kept: &Kept) -> Result<(), Fault> {
        let sql = "DELETE FROM events WHERE seq = ?1";
        self.connection
            .prepare_cached(sql)?
            .execute([signed(kept.seq)])?;
        let name = self.name_of(kept.channel);
        if let Some(record) = name.and_then(|name| self.known(&name))
            && kept.seq > record.gone_through
        {
            record.shrink(kept.weight);
            self.change.bytes = self.change.bytes.saturating_sub(kept.weight);
        }
        Ok(())
    }
}

impl Record {
    /// Whether the rule would take an event of this weight at once.
    pub(super) fn keeps_none_of(&self, weight: u64) -> bool {
        self.rule.max_events == 0 || weight > self.most_bytes()
    }

    /// Counts an event that came.
    pub(super) fn gain(&mut self, event: &Event, weight: u64) {
        if self.events == 0 {
            self.due = self
                .max_age()
                .map_or(u64::MAX, |age| event.time.saturating_add(age));
        }
        self.events = self.events.saturating_add(1);
        self.bytes = self.bytes.saturating_add(weight);
        if event.expires.is_none() {
            self.last_seq = event.id.seq;
        }
    }

    /// Takes all events up to `seq`, the last of which is owed; what they weighed.
    pub(super) fn lose_all(&mut self, seq: u64) -> u64 {
        self.gone_through = seq;
        self.lost_through = seq;
        self.events = 0;
        self.due = u64::MAX;
        std::mem::take(&mut self.bytes)
    }

    /// Goes by another rule from now on.
    pub(super) fn obey(&mut self, rule: Arc<Retention>) {
        if Arc::ptr_eq(&self.rule, &rule) {
            return;
        }
        self.rule = rule;
        let may_go = self.events > 0 && (self.rule.max_age.is_some() || self.is_over());
        // Nobody knows before it was looked.
        self.due = if may_go { 0 } else { u64::MAX };
    }

    fn exceeds(&self, now: u64) -> bool {
        self.is_over() || self.due <= now
    }

    /// Whether there is too much of it.
    fn is_over(&self) -> bool {
        self.events > self.most_events() || (self.events > 0 && self.bytes > self.most_bytes())
    }

    /// Takes those of the `oldest` events, which are all that there are of the first, that are over the rule.
    fn evict_while_over(&mut self, oldest: &[Kept], now: u64) {
        for kept in oldest {
            let end = self.max_age().map(|age| kept.time.saturating_add(age));
            let is_old = end.is_some_and(|end| end <= now);
            if !self.is_over() && !is_old && !kept.expired(now) {
                self.due = end.unwrap_or(u64::MAX);
                return;
            }
            self.evict(kept, now);
        }
        if self.events == 0 {
            self.due = u64::MAX;
        }
    }

    /// Takes the oldest event; it is a loss when it was still owed.
    fn evict(&mut self, kept: &Kept, now: u64) {
        self.gone_through = kept.seq;
        if !kept.expired(now) {
            self.lost_through = kept.seq;
        }
        self.shrink(kept.weight);
    }

    fn shrink(&mut self, weight: u64) {
        self.events = self.events.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(weight);
    }

    fn most_events(&self) -> u64 {
        u64::try_from(self.rule.max_events).unwrap_or(u64::MAX)
    }

    fn most_bytes(&self) -> u64 {
        u64::try_from(self.rule.max_bytes).unwrap_or(u64::MAX)
    }

    fn max_age(&self) -> Option<u64> {
        let age = self.rule.max_age?;
        Some(u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Kept {
    fn expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }
}

/// The newest event of a channel that is owed at `now`; 0 if there is none.
pub(super) fn last_owed(
    connection: &Connection,
    channel: i64,
    after: u64,
    now: u64,
) -> Result<u64, Fault> {
    let sql = "SELECT seq FROM events WHERE channel = ?1 AND seq > ?2 AND (expires IS NULL OR expires > ?3) \
               ORDER BY seq DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row(params![channel, signed(after), signed(now)], |row| {
        Ok(unsigned(row, 0))
    });
    found.optional()?.unwrap_or(Ok(0))
}

fn oldest_of_channel(
    connection: &Connection,
    channel: i64,
    after: u64,
    most: u64,
) -> Result<Vec<Kept>, Fault> {
    let sql = concat!(
        select_kept!(),
        "WHERE channel = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3"
    );
    kept(connection, sql, &[channel, signed(after), signed(most)])
}

fn oldest_of_all(connection: &Connection, after: u64) -> Result<Vec<Kept>, Fault> {
    let sql = concat!(select_kept!(), "WHERE seq > ?1 ORDER BY seq LIMIT ?2");
    kept(connection, sql, &[signed(after), signed(STEP)])
}

fn kept(connection: &Connection, sql: &str, parameters: &[i64]) -> Result<Vec<Kept>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(parameters))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Kept {
            seq: unsigned(row, 0)?,
            channel: row.get(1)?,
            time: unsigned(row, 2)?,
            expires: row.get::<_, Option<i64>>(3)?.map(i64::unsigned_abs),
            weight: unsigned(row, 4)?,
        });
    }
    Ok(found)
}
