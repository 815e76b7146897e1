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

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: &str, after: &str) -> Vec<String> {
        let [before, after] = [before, after].map(|text| Config::from_toml(text).unwrap());
        before
            .changes(&after)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_change_is_told_as_it_is_written() {
        assert_eq!(
            told(
                "[access]\nmode = \"open\"",
                "hosts = [\"a.test\"]\n[access]\nmode = \"open\"\n[limits]\nevent_bytes = \"2 MiB\"\nfields = 50\n[page]\nenabled = true"
            ),
            [
                "hosts: [] → [a.test]",
                "limits.fields: 100 → 50",
                "limits.event_bytes: 1 MiB → 2 MiB",
                "page.enabled: auto → true",
            ]
        );
        assert_eq!(
            told("listen = \"127.0.0.1:1\"", "listen = \"127.0.0.1:1\""),
            [""; 0]
        );
    }

    #[test]
    fn entries_are_told_by_their_pattern_wherever_they_stand() {
        let a = "[[channels]]\npattern = \"a\"\nmax_events = 5\n";
        let b = "[[channels]]\npattern = \"b/*\"\nmax_age = \"1d\"\n";
        let max_age = "[[channels]]\npattern = \"a\"\nmax_events = 5\nmax_age = \"1h\"";
        assert_eq!(told(a, max_age), ["channels[a].max_age: (none) → 1h"]);
        assert_eq!(
            told(&(a.to_owned() + b), &(b.to_owned() + a)),
            ["channels: [a, b/*] → [b/*, a]"]
        );
        assert_eq!(
            told(a, b),
            [
                "channels[b/*].max_events: (none) → 1000",
                "channels[b/*].max_age: (none) → 1day",
                "channels[b/*].max_bytes: (none) → 16 MiB",
                "channels: [a] → [b/*]",
                "channels[a].max_events: 5 → (none)",
                "channels[a].max_bytes: 16 MiB → (none)",
            ]
        );
    }

    #[test]
    fn a_secret_is_told_to_be_another_and_not_told() {
        let key = |text: &str| format!("[admin]\nkey = \"{text}\"");
        let (old, new) = (key("kept-to-ourselves-0"), key("kept-to-ourselves-1"));
        assert_eq!(told(&old, &new), ["admin.key: ******** → ********"]);
        assert_eq!(told("", &new), ["admin.key: (none) → ********"]);
        assert_eq!(told(&new, &new), [""; 0]);
    }
}
