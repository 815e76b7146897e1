//! What a journal may hold, as the configuration says: for each channel by its pattern, and as a whole.

use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, Retention};
use crate::hub::channel::ChannelName;

/// The bounds of one journal.
pub(super) struct Rules {
    retention: Vec<Arc<Retention>>,
    otherwise: Arc<Retention>,
    /// What all events together may weigh.
    pub(super) max_bytes: usize,
    /// How many channels there may be.
    pub(super) max_channels: usize,
    /// How long an idempotency key is remembered.
    pub(super) key_memory: Duration,
    /// How many are remembered; each counts once for each of its events.
    pub(super) max_keys: usize,
}

impl Rules {
    /// What the configuration says.
    pub(super) fn of(config: &Config) -> Self {
        Rules {
            retention: config.channels.iter().cloned().map(Arc::new).collect(),
            otherwise: Arc::new(Retention::default()),
            max_bytes: config.journal.max_bytes,
            max_channels: config.limits.channels,
            key_memory: config.journal.idempotency,
            max_keys: config.limits.idempotency_keys,
        }
    }

    /// What the configuration says now. A rule that was there before is the same one, so that what has changed can be
    /// told from what has not, and old ones are let go of.
    pub(super) fn after(before: &Rules, config: &Config) -> Self {
        let known = |rule: Arc<Retention>| {
            let same = before.retention.iter().find(|known| **known == rule);
            same.cloned().unwrap_or(rule)
        };
        let rules = Rules::of(config);
        Rules {
            retention: rules.retention.into_iter().map(known).collect(),
            otherwise: before.otherwise.clone(),
            ..rules
        }
    }

    /// The rule of a channel: the first whose pattern matches.
    pub(super) fn rule_for(&self, name: &ChannelName) -> Arc<Retention> {
        self.retention
            .iter()
            .find(|rule| rule.pattern.matches(name))
            .unwrap_or(&self.otherwise)
            .clone()
    }
}
