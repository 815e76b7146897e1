//! The idempotency keys that were used lately, bounded by age and number.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::journal::{AppendError, IdempotencyKey, Receipt};

/// Remembers what was answered under each key.
pub(super) struct Keys {
    memory: u64,
    capacity: usize,
    used: HashMap<Arc<Name>, Use>,
    /// Keys and receipts that are remembered: a batch weighs as much as its events.
    weight: usize,
    oldest_first: VecDeque<(u64, Arc<Name>)>,
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

    /// Lets other bounds count from now on. What is beyond them [expires](Self::expire).
    pub(super) fn bound(&mut self, memory: Duration, capacity: usize) {
        self.memory = millis(memory);
        self.capacity = capacity;
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
        let name = Arc::new(name(&key));
        let most = self.capacity.max(self.weight);
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
        // For what came there is room at once; what is beyond other bounds goes in steps.
        while self.weight > most && !self.oldest_first.is_empty() {
            self.forget_oldest();
        }
    }

    /// Forgets what is too old or too much, until that weighs `most` or a little more; what it weighs.
    pub(super) fn expire(&mut self, now: u64, most: usize) -> usize {
        let mut gone = 0;
        while gone < most && self.is_due(now) {
            gone += self.forget_oldest();
        }
        gone
    }

    /// Whether the oldest is to be forgotten.
    fn is_due(&self, now: u64) -> bool {
        let oldest = self.oldest_first.front();
        oldest.is_some_and(|(at, _)| self.weight > self.capacity || self.is_over(*at, now))
    }

    fn is_over(&self, at: u64, now: u64) -> bool {
        at.saturating_add(self.memory) <= now
    }

    /// What it weighs; 1 where it was forgotten before.
    fn forget_oldest(&mut self) -> usize {
        let Some((at, name)) = self.oldest_first.pop_front() else {
            return 0;
        };
        // A key used again after it was over stands in the queue twice; only its own turn ends it.
        if self.used.get(&name).is_none_or(|last| last.at != at) {
            return 1;
        }
        let gone = self.used.remove(&name);
        let gone = gone.map_or(0, |gone| weight(&gone.receipts));
        self.weight -= gone;
        gone
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
