//! The configuration that counts, as the text of a `config.toml`: every key in the order of that file,
//! secrets masked. Reading it again gives the same configuration, but for the secrets.

use std::fmt::{self, Display, Write as _};
use std::time::Duration;

use super::units::shown_size;
use super::{
    Admin, Config, Fanout, Heartbeat, Journal, JournalKind, Limits, Retention, Sync, Timeouts,
};

/// Too short to be read as a secret again.
const MASK: &str = "********";

impl Config {
    /// What counts, in the form of `config.toml`. Secrets are masked.
    pub fn to_toml(&self) -> String {
        let mut text = Text(String::new());
        text.set("listen", quoted(self.listen));
        text.set("hosts", list(&self.hosts));
        text.set("origins", list(&self.origins));
        admin(&mut text, &self.admin);
        journal(&mut text, &self.journal);
        limits(&mut text, &self.limits);
        timeouts(&mut text, &self.timeouts);
        heartbeat(&mut text, &self.heartbeat);
        text.section("[websocket]");
        text.set("subprotocols", list(&self.websocket.subprotocols));
        fanout(&mut text, &self.fanout);
        text.section("[page]");
        text.set("enabled", auto(self.page.enabled));
        for entry in &self.channels {
            retention(&mut text, entry);
        }
        text.section("[log]");
        text.set("level", quoted(&self.log.level));
        text.0
    }
}

struct Text(String);

impl Text {
    fn section(&mut self, header: &str) {
        self.0.push('\n');
        self.line(format_args!("{header}"));
    }

    fn set(&mut self, key: &str, value: impl Display) {
        self.line(format_args!("{key} = {value}"));
    }

    /// A key that may be left out, and is.
    fn unset(&mut self, key: &str) {
        self.line(format_args!("# {key} = (none)"));
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing into a String cannot fail.
        let _ = writeln!(self.0, "{line}");
    }
}

fn admin(text: &mut Text, admin: &Admin) {
    text.section("[admin]");
    match admin.listen {
        None => text.set("listen", quoted("off")),
        Some(address) => text.set("listen", quoted(address)),
    }
    match admin.key {
        None => text.unset("key"),
        Some(_) => text.set("key", quoted(MASK)),
    }
}

fn journal(text: &mut Text, journal: &Journal) {
    let kind = match journal.kind {
        JournalKind::Memory => "memory",
        JournalKind::Disk => "disk",
    };
    let sync = match journal.sync {
        Sync::Always => "always".to_owned(),
        Sync::Interval(length) => format!("interval {}", humantime::format_duration(length)),
        Sync::Never => "never".to_owned(),
    };
    text.section("[journal]");
    text.set("kind", quoted(kind));
    text.set("path", quoted(journal.path.display()));
    text.set("sync", quoted(sync));
    text.set("max_bytes", size(journal.max_bytes));
    text.set("idempotency", duration(journal.idempotency));
}

fn limits(text: &mut Text, limits: &Limits) {
    text.section("[limits]");
    text.set("connections", limits.connections);
    text.set("head_bytes", size(limits.head_bytes));
    text.set("target_bytes", size(limits.target_bytes));
    text.set("fields", limits.fields);
    text.set("event_bytes", size(limits.event_bytes));
    text.set("batch_bytes", size(limits.batch_bytes));
    text.set("batch_events", limits.batch_events);
    text.set("subscriptions", limits.subscriptions);
    text.set("channels", limits.channels);
    text.set("send_buffer", size(limits.send_buffer));
    text.set("control_messages", limits.control_messages);
    text.set("idempotency_keys", limits.idempotency_keys);
}

fn timeouts(text: &mut Text, timeouts: &Timeouts) {
    text.section("[timeouts]");
    text.set("head", duration(timeouts.head));
    text.set("body", duration(timeouts.body));
    text.set("idle", duration(timeouts.idle));
    text.set("write", duration(timeouts.write));
    text.set("close", duration(timeouts.close));
    text.set("long_poll", duration(timeouts.long_poll));
    text.set("drain", duration(timeouts.drain));
    text.set("retry", duration(timeouts.retry));
}

fn heartbeat(text: &mut Text, heartbeat: &Heartbeat) {
    text.section("[heartbeat]");
    text.set("interval", duration(heartbeat.interval));
    text.set("patience", duration(heartbeat.patience));
}

fn fanout(text: &mut Text, fanout: &Fanout) {
    text.section("[fanout]");
    text.set("shards", auto(fanout.shards));
    text.set("catch_up", auto(fanout.catch_up));
    text.set("tail_events", fanout.tail_events);
    text.set("tail_bytes", size(fanout.tail_bytes));
    text.set("replay_bytes", size(fanout.replay_bytes));
}

fn retention(text: &mut Text, retention: &Retention) {
    text.section("[[channels]]");
    text.set("pattern", quoted(retention.pattern.as_str()));
    text.set("max_events", retention.max_events);
    match retention.max_age {
        None => text.unset("max_age"),
        Some(age) => text.set("max_age", duration(age)),
    }
    text.set("max_bytes", size(retention.max_bytes));
}

/// A basic string of TOML: as one of JSON, but for DEL, which TOML wants escaped.
fn quoted(text: impl Display) -> String {
    let json = serde_json::Value::from(text.to_string()).to_string();
    json.replace('\u{7f}', "\\u007F")
}

fn list(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(quoted).collect();
    format!("[{}]", items.join(", "))
}

fn size(bytes: usize) -> String {
    quoted(shown_size(u64::try_from(bytes).unwrap_or(u64::MAX)))
}

fn duration(length: Duration) -> String {
    quoted(humantime::format_duration(length))
}

fn auto(chosen: Option<impl Display>) -> String {
    chosen.map_or_else(|| quoted("auto"), |chosen| chosen.to_string())
}
