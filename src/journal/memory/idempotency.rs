//! The idempotency keys that were used lately, bounded by age and number.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::journal::{AppendError, IdempotencyKey, Receipt};

/// Remembers what was answered under each key.
pub(super) struct Keys {
    memory: u64,
    capacity: usize,
    used: HashMap<Name, Use>,
    /// Keys and receipts that are remembered: a batch weighs as much as its events.
    weight: usize,
    oldest_first: VecDeque<(u64, Name)>,
}

type Name = (Box<str>, Box<str>);

struct Use {
    digest: [u8; 20],
    receipts: Arc<[Receipt]>,
    at: u64,
}

impl Keys {
    /// Keys are forgotten after `memory`, or when they and their receipts are more than `capacity`, oldest first.
    pub(super) fn new(memory: Duration, capacity: usize) -> Self {
        Keys {
            memory: millis(memory),
            capacity,
            used: HashMap::new(),
            weight: 0,
            oldest_first: VecDeque::new(),
        }
    }

    /// Lets other bounds count from now on.
    pub(super) fn bound(&mut self, memory: Duration, capacity: usize) {
        self.memory = millis(memory);
        self.capacity = capacity;
        self.forget_excess();
    }

    /// The receipts of the first use of `key`, if it was used with the same payload.
    pub(super) fn recall(
        &self,
        key: &IdempotencyKey,
        now: u64,
    ) -> Result<Option<Arc<[Receipt]>>, AppendError> {
        match self.used.get(&name(key)) {
            Some(first) if self.is_over(first.at, now) => Ok(None),
            Some(first) if first.digest != key.digest => Err(AppendError::KeyReused),
            Some(first) => Ok(Some(first.receipts.clone())),
            None => Ok(None),
        }
    }

    /// Keeps what was answered under `key`.
    pub(super) fn remember(&mut self, key: IdempotencyKey, receipts: Arc<[Receipt]>, now: u64) {
        let name = name(&key);
        self.weight += weight(&receipts);
        self.oldest_first.push_back((now, name.clone()));
        let last = Use {
            digest: key.digest,
            receipts,
            at: now,
        };
        if let Some(before) = self.used.insert(name, last) {
            self.weight -= weight(&before.receipts);
        }
        self.forget_excess();
    }

    /// Forgets what is too old.
    pub(super) fn expire(&mut self, now: u64) {
        while self
            .oldest_first
            .front()
            .is_some_and(|(at, _)| self.is_over(*at, now))
        {
            self.forget_oldest();
        }
    }

    fn forget_excess(&mut self) {
        while self.weight > self.capacity && !self.oldest_first.is_empty() {
            self.forget_oldest();
        }
    }

    fn is_over(&self, at: u64, now: u64) -> bool {
        at.saturating_add(self.memory) <= now
    }

    fn forget_oldest(&mut self) {
        let Some((at, name)) = self.oldest_first.pop_front() else {
            return;
        };
        // A key used again after it was over stands in the queue twice; only its own turn ends it.
        if self.used.get(&name).is_some_and(|last| last.at == at)
            && let Some(gone) = self.used.remove(&name)
        {
            self.weight -= weight(&gone.receipts);
        }
    }
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

fn weight(receipts: &[Receipt]) -> usize {
    receipts.len().max(1)
}

fn name(key: &IdempotencyKey) -> Name {
    (key.scope.clone(), key.key.clone())
}
