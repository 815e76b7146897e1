//! Idempotency keys: which numbers were given under each, so that a repetition gets the first answer again.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::error::Fault;
use super::group::Group;
use super::rows::{Seal, signed, unsigned};
use crate::event::Id;
use crate::journal::{AppendError, Draft, IdempotencyKey, Receipt};

/// How many keys are forgotten in one transaction.
const STEP: u64 = 1_000;

/// The receipts of the first use of a key, if there was one.
pub(super) type Recalled = Result<Option<Arc<[Receipt]>>, AppendError>;

/// A key as it is stored.
pub(super) struct KeyRow {
    scope: String,
    key: String,
    digest: Vec<u8>,
    life: i64,
    first: u64,
    count: u64,
    time: u64,
}

impl KeyRow {
    /// Adds it, as the newest.
    pub(super) fn put(&self, connection: &Connection) -> Result<(), Fault> {
        let sql = "INSERT INTO keys (scope, key, digest, life, first, count, time, crc) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        connection.prepare_cached(sql)?.execute(params![
            self.scope,
            self.key,
            self.digest,
            self.life,
            signed(self.first),
            signed(self.count),
            signed(self.time),
            self.crc(),
        ])?;
        Ok(())
    }

    /// Reads a row of all columns.
    pub(super) fn read(row: &Row<'_>) -> Result<Self, Fault> {
        let key = KeyRow {
            scope: row.get(1)?,
            key: row.get(2)?,
            digest: row.get(3)?,
            life: row.get(4)?,
            first: unsigned(row, 5)?,
            count: unsigned(row, 6)?,
            time: unsigned(row, 7)?,
        };
        match row.get::<_, u32>(8)? == key.crc() {
            true => Ok(key),
            false => Err(Fault::Damage(
                "an idempotency key is not what was written".into(),
            )),
        }
    }

    fn crc(&self) -> u32 {
        let mut seal = Seal::default();
        seal.text(Some(&self.scope));
        seal.text(Some(&self.key));
        seal.bytes(&self.digest);
        seal.number(self.life);
        seal.number(signed(self.first));
        seal.number(signed(self.count));
        seal.number(signed(self.time));
        seal.sum()
    }
}

impl Group<'_> {
    /// The receipts of the first use of `key`, if it was used for the same events, which are `drafts`.
    pub(super) fn recall(&self, key: &IdempotencyKey, drafts: &[Draft]) -> Result<Recalled, Fault> {
        let Some(first) = self.first_use(key)? else {
            return Ok(Ok(None));
        };
        if self.is_over(first.time) {
            return Ok(Ok(None));
        }
        if first.digest != key.digest {
            return Ok(Err(AppendError::KeyReused));
        }
        // A key of a life that nobody knows any more is as good as forgotten.
        let Some(epoch) = self.epoch(first.life) else {
            return Ok(Ok(None));
        };
        let receipts = drafts
            .iter()
            .zip(first.first..)
            .map(|(draft, seq)| Receipt {
                id: Id { epoch, seq },
                channel: draft.channel.clone(),
                time: first.time,
            });
        Ok(Ok(Some(receipts.collect())))
    }

    /// Keeps under `key` that `count` events were numbered from `first` on.
    pub(super) fn remember(
        &mut self,
        key: &IdempotencyKey,
        life: i64,
        first: u64,
        count: usize,
    ) -> Result<(), Fault> {
        let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
        let sql = "DELETE FROM keys WHERE scope = ?1 AND key = ?2 RETURNING count";
        let mut replace = self.connection.prepare_cached(sql)?;
        let replaced = replace.query_row(params![key.scope, key.key], |row| Ok(unsigned(row, 0)));
        let replaced = replaced.optional()?.unwrap_or(Ok(0))?;
        let row = KeyRow {
            scope: key.scope.to_string(),
            key: key.key.to_string(),
            digest: key.digest.to_vec(),
            life,
            first,
            count,
            time: self.now,
        };
        row.put(self.connection)?;
        let keys = &mut self.change.standing.keys;
        *keys = keys.saturating_add(count).saturating_sub(replaced);
        self.forget_oldest_keys(count)
    }

    /// Forgets the keys whose time is over, and those beyond a bound that was lowered, as far as one transaction goes.
    pub(super) fn expire_keys(&mut self) -> Result<(), Fault> {
        self.forget_oldest_keys(STEP)?;
        self.change.standing.overdue |= self.change.standing.keys > self.most_keys();
        let memory = u64::try_from(self.rules.key_memory.as_millis()).unwrap_or(u64::MAX);
        let Some(last) = self.old_by.checked_sub(memory) else {
            return Ok(());
        };
        // Ids and times grow together.
        let sql = "DELETE FROM keys WHERE id IN (SELECT id FROM keys ORDER BY id LIMIT ?2) AND time <= ?1 \
                   RETURNING count";
        self.take_keys(sql, &[signed(last), signed(STEP)])
    }

    /// Forgets the oldest keys while there are too many, until they weigh less by `weight`, which is what came or may go
    /// in one transaction.
    fn forget_oldest_keys(&mut self, weight: u64) -> Result<(), Fault> {
        let least = self.change.standing.keys.saturating_sub(weight);
        while self.change.standing.keys > self.most_keys().max(least) {
            let before = self.change.standing.keys;
            let sql = "DELETE FROM keys WHERE id = (SELECT min(id) FROM keys) RETURNING count";
            self.take_keys(sql, &[])?;
            if self.change.standing.keys == before {
                break;
            }
        }
        Ok(())
    }

    fn most_keys(&self) -> u64 {
        u64::try_from(self.rules.max_keys).unwrap_or(u64::MAX)
    }

    fn take_keys(&mut self, sql: &str, parameters: &[i64]) -> Result<(), Fault> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(parameters))?;
        while let Some(row) = rows.next()? {
            let keys = &mut self.change.standing.keys;
            *keys = keys.saturating_sub(unsigned(row, 0)?);
        }
        Ok(())
    }

    fn first_use(&self, key: &IdempotencyKey) -> Result<Option<KeyRow>, Fault> {
        let sql = "SELECT * FROM keys WHERE scope = ?1 AND key = ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement.query_row(params![key.scope, key.key], |row| Ok(KeyRow::read(row)));
        found.optional()?.transpose()
    }

    fn is_over(&self, time: u64) -> bool {
        let memory = u64::try_from(self.rules.key_memory.as_millis()).unwrap_or(u64::MAX);
        time.saturating_add(memory) <= self.old_by
    }
}

/// What all keys weigh.
pub(super) fn weight(connection: &Connection) -> Result<u64, Fault> {
    let sql = "SELECT coalesce(sum(count), 0) FROM keys";
    connection.query_row(sql, (), |row| Ok(unsigned(row, 0)))?
}
