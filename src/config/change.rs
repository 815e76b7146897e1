//! What differs between two configurations, key by key, as it is told to people: secrets masked.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use super::Config;
use super::shown::Value;

/// A key with another value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The key, with its section: `limits.connections`, `channels[rooms/*].max_events`; `channels` is the order of the
    /// patterns.
    pub key: String,
    /// What it had, as `config.toml` has it, but without quotes; `(none)`: it was left out.
    pub before: String,
    /// What it has.
    pub after: String,
}

/// What became of a configuration that was given to a running server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Reloaded {
    /// What counts from now on.
    pub changed: Vec<Change>,
    /// What stays as it is (`before`) until a restart, though it was given another value (`after`).
    pub kept: Vec<Change>,
}

impl Config {
    /// What `later` has otherwise, in the order of `config.toml`; what only this one has comes last.
    pub fn changes(&self, later: &Config) -> Vec<Change> {
        let mut before: HashMap<String, Value> = self.values().into_iter().collect();
        let mut changes = Vec::new();
        let mut compare = |key: String, was: Value, is: Value| {
            if was != is {
                let (before, after) = (was.to_string(), is.to_string());
                changes.push(Change { key, before, after });
            }
        };
        for (key, is) in later.values() {
            let was = before.remove(&key).unwrap_or(Value::Unset);
            compare(key, was, is);
        }
        for (key, _) in self.values() {
            if let Some(was) = before.remove(&key) {
                compare(key, was, Value::Unset);
            }
        }
        changes
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} → {}", self.key, self.before, self.after)
    }
}
