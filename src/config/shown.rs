//! The configuration that counts, key by key: every key in the order of `config.toml`, secrets masked. As the text
//! of that file, which read again gives the same configuration, but for the secrets; and as a list to compare.

use std::fmt::{self, Display, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use super::units::shown_size;
use super::{
    Access, Admin, Config, Fanout, Heartbeat, Journal, JournalKind, Limits, Listen, Mode, Proxies,
    Rate, Rates, Retention, Secret, Sync, Timeouts, Tls, Tokens,
};
use crate::access::rights::Rights;
use crate::hub::selector::Selector;

/// Too short to be read as a secret again.
const MASK: &str = "********";

impl Config {
    /// What counts, in the form of `config.toml`. Secrets are masked.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        let mut section = Section::Top;
        for setting in self.settings() {
            if setting.section != section {
                section = setting.section;
                text.push_str(&format!("\n{}\n", section.header()));
            }
            // Writing into a String cannot fail.
            let _ = match &setting.value {
                Value::Unset => writeln!(text, "# {} = (none)", setting.key),
                value => writeln!(text, "{} = {}", setting.key, value.to_toml()),
            };
        }
        text
    }

    /// Every key by its full name, with its value; the entries of a list by their pattern, and the
    /// order of these last.
    pub(super) fn values(&self) -> Vec<(String, Value)> {
        let mut values = Vec::new();
        for setting in self.settings() {
            let key = setting.key;
            let name = match setting.section {
                Section::Top => key.to_owned(),
                Section::Named(section) => format!("{section}.{key}"),
                // It is a part of the other names.
                Section::Entry { list, .. } if key == list.label => continue,
                Section::Entry { list, label, .. } => format!("{}[{label}].{key}", list.name),
            };
            values.push((name, setting.value));
        }
        let names = self.access.keys.iter().map(|key| key.name.to_string());
        values.push((KEYS.name.to_owned(), Value::List(names.collect())));
        let patterns = self.channels.iter().map(|entry| entry.pattern.to_string());
        values.push((CHANNELS.name.to_owned(), Value::List(patterns.collect())));
        values
    }

    fn settings(&self) -> Vec<Setting> {
        let mut list = Settings::default();
        list.add("listen", listen(&self.listen));
        list.add(
            "socket_mode",
            text(format_args!("{:04o}", self.socket_mode)),
        );
        list.add("hosts", Value::List(self.hosts.clone()));
        list.add("origins", Value::List(self.origins.clone()));
        list.add("server_header", bare(self.server_header));
        access(&mut list, &self.access);
        tls(&mut list, &self.tls);
        admin(&mut list, &self.admin);
        proxies(&mut list, &self.proxies);
        journal(&mut list, &self.journal);
        limits(&mut list, &self.limits);
        rates(&mut list, &self.rates);
        timeouts(&mut list, &self.timeouts);
        heartbeat(&mut list, &self.heartbeat);
        list.begin("websocket");
        list.add(
            "subprotocols",
            Value::List(self.websocket.subprotocols.clone()),
        );
        fanout(&mut list, &self.fanout);
        list.begin("page");
        list.add("enabled", auto(self.page.enabled));
        for (index, entry) in self.channels.iter().enumerate() {
            list.begin_entry(&CHANNELS, index, &entry.pattern);
            retention(&mut list, entry);
        }
        list.begin("log");
        list.add("level", text(&self.log.level));
        list.settings
    }
}

/// One key, where it stands, and what it has.
struct Setting {
    section: Section,
    key: &'static str,
    value: Value,
}

#[derive(Clone, PartialEq, Default)]
enum Section {
    #[default]
    Top,
    Named(&'static str),
    /// An entry of a list: which one, and what it is told by.
    Entry {
        list: &'static List,
        index: usize,
        label: String,
    },
}

/// A list of entries.
#[derive(PartialEq)]
struct List {
    name: &'static str,
    /// The key of an entry by which it is told.
    label: &'static str,
}

static KEYS: List = List {
    name: "access.keys",
    label: "name",
};
static CHANNELS: List = List {
    name: "channels",
    label: "pattern",
};

/// What a key has. As it is displayed, it is for people.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// What TOML has in quotes.
    Text(String),
    /// What it has without.
    Bare(String),
    List(Vec<String>),
    /// Is compared, and never shown.
    Secret(Secret),
    /// A key that may be left out, and is.
    Unset,
}

#[derive(Default)]
struct Settings {
    section: Section,
    settings: Vec<Setting>,
}

impl Settings {
    fn begin(&mut self, section: &'static str) {
        self.section = Section::Named(section);
    }

    fn begin_entry(&mut self, list: &'static List, index: usize, label: impl Display) {
        self.section = Section::Entry {
            list,
            index,
            label: label.to_string(),
        };
    }

    fn add(&mut self, key: &'static str, value: Value) {
        let section = self.section.clone();
        self.settings.push(Setting {
            section,
            key,
            value,
        });
    }
}

impl Section {
    fn header(&self) -> String {
        match self {
            Section::Top => String::new(),
            Section::Named(name) => format!("[{name}]"),
            Section::Entry { list, .. } => format!("[[{}]]", list.name),
        }
    }
}

impl Value {
    fn to_toml(&self) -> String {
        match self {
            Value::Text(text) => quoted(text),
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Secret(_) => quoted(MASK),
            Value::Bare(_) | Value::Unset => self.to_string(),
        }
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) | Value::Bare(text) => f.write_str(text),
            Value::List(items) => write!(f, "[{}]", items.join(", ")),
            Value::Secret(_) => f.write_str(MASK),
            Value::Unset => f.write_str("(none)"),
        }
    }
}

fn tls(list: &mut Settings, tls: &Tls) {
    list.begin("tls");
    for (key, file) in [("certificate", &tls.certificate), ("key", &tls.key)] {
        let file = file.as_ref().map(|file| text(file.display()));
        list.add(key, file.unwrap_or(Value::Unset));
    }
}

/// One is shown as one.
fn listen(all: &[Listen]) -> Value {
    match all {
        [only] => text(only),
        _ => Value::List(all.iter().map(Listen::to_string).collect()),
    }
}

fn access(list: &mut Settings, access: &Access) {
    list.begin("access");
    list.add(
        "mode",
        text(match access.mode {
            Mode::Auto => "auto",
            Mode::Open => "open",
            Mode::Closed => "closed",
        }),
    );
    list.begin("access.anonymous");
    rights(list, &access.anonymous);
    tokens(list, &access.tokens);
    for (index, key) in access.keys.iter().enumerate() {
        list.begin_entry(&KEYS, index, &key.name);
        list.add("name", text(&key.name));
        list.add("hash", text(key.hash));
        rights(list, &key.rights);
    }
}

fn rights(list: &mut Settings, rights: &Rights) {
    let selectors = |list: &[Selector]| Value::List(list.iter().map(Selector::to_string).collect());
    list.add("subscribe", selectors(&rights.subscribe));
    list.add("publish", selectors(&rights.publish));
    list.add("delete", selectors(&rights.delete));
}

fn tokens(list: &mut Settings, tokens: &Tokens) {
    let file = |path: &Option<PathBuf>| match path {
        None => Value::Unset,
        Some(path) => text(path.display()),
    };
    let names = tokens.algorithms.iter().map(ToString::to_string);
    let secret = tokens.secret.clone().map(Value::Secret);
    let cookie = tokens.cookie.as_ref().map(text);
    list.begin("access.tokens");
    list.add("algorithms", Value::List(names.collect()));
    list.add("secret", secret.unwrap_or(Value::Unset));
    list.add("secret_file", file(&tokens.secret_file));
    list.add("public_key", file(&tokens.public_key));
    list.add("jwks", file(&tokens.jwks));
    list.add("issuers", Value::List(tokens.issuers.clone()));
    list.add("audiences", Value::List(tokens.audiences.clone()));
    list.add("leeway", duration(tokens.leeway));
    list.add("require_expiry", bare(tokens.require_expiry));
    list.add("cookie", cookie.unwrap_or(Value::Unset));
}

fn admin(list: &mut Settings, admin: &Admin) {
    list.begin("admin");
    match admin.listen {
        None => list.add("listen", text("off")),
        Some(address) => list.add("listen", text(address)),
    }
    match &admin.key {
        None => list.add("key", Value::Unset),
        Some(key) => list.add("key", Value::Secret(key.clone())),
    }
}

fn proxies(list: &mut Settings, proxies: &Proxies) {
    list.begin("proxies");
    let trusted = proxies.trusted.iter().map(ToString::to_string);
    list.add("trusted", Value::List(trusted.collect()));
    list.add("client", text(proxies.client.as_str()));
}

fn journal(list: &mut Settings, journal: &Journal) {
    let kind = match journal.kind {
        JournalKind::Memory => "memory",
        JournalKind::Disk => "disk",
    };
    let sync = match journal.sync {
        Sync::Always => "always".to_owned(),
        Sync::Interval(length) => format!("interval {}", humantime::format_duration(length)),
        Sync::Never => "never".to_owned(),
    };
    list.begin("journal");
    list.add("kind", text(kind));
    list.add("path", text(journal.path.display()));
    list.add("sync", text(sync));
    list.add("max_bytes", size(journal.max_bytes));
    list.add("idempotency", duration(journal.idempotency));
}

#[rustfmt::skip] // A table: one key a line.
fn limits(list: &mut Settings, limits: &Limits) {
    list.begin("limits");
    list.add("connections", bare(limits.connections));
    list.add("connections_per_address", auto(limits.connections_per_address));
    list.add("connections_per_subject", auto(limits.connections_per_subject));
    list.add("exempt", Value::List(limits.exempt.iter().map(ToString::to_string).collect()));
    list.add("memory", limits.memory.map_or_else(|| text("auto"), size));
    list.add("head_bytes", size(limits.head_bytes));
    list.add("target_bytes", size(limits.target_bytes));
    list.add("fields", bare(limits.fields));
    list.add("event_bytes", size(limits.event_bytes));
    list.add("batch_bytes", size(limits.batch_bytes));
    list.add("batch_events", bare(limits.batch_events));
    list.add("subscriptions", bare(limits.subscriptions));
    list.add("channels", bare(limits.channels));
    list.add("send_buffer", size(limits.send_buffer));
    list.add("control_messages", bare(limits.control_messages));
    list.add("idempotency_keys", bare(limits.idempotency_keys));
}

fn rates(list: &mut Settings, rates: &Rates) {
    let rate = |rate: Option<Rate>| rate.map_or_else(|| text("off"), text);
    list.begin("rates");
    list.add("requests_per_address", rate(rates.requests_per_address));
    list.add("requests_per_key", rate(rates.requests_per_key));
    list.add("requests_per_subject", rate(rates.requests_per_subject));
    list.add("publishes_per_address", rate(rates.publishes_per_address));
    list.add("publishes_per_key", rate(rates.publishes_per_key));
    list.add("publishes_per_subject", rate(rates.publishes_per_subject));
    list.add("burst", duration(rates.burst));
}

fn timeouts(list: &mut Settings, timeouts: &Timeouts) {
    list.begin("timeouts");
    list.add("handshake", duration(timeouts.handshake));
    list.add("head", duration(timeouts.head));
    list.add("body", duration(timeouts.body));
    list.add("idle", duration(timeouts.idle));
    list.add("write", duration(timeouts.write));
    list.add("close", duration(timeouts.close));
    list.add("long_poll", duration(timeouts.long_poll));
    list.add("drain", duration(timeouts.drain));
    list.add("retry", duration(timeouts.retry));
}

fn heartbeat(list: &mut Settings, heartbeat: &Heartbeat) {
    list.begin("heartbeat");
    list.add("interval", duration(heartbeat.interval));
    list.add("patience", duration(heartbeat.patience));
}

fn fanout(list: &mut Settings, fanout: &Fanout) {
    list.begin("fanout");
    list.add("shards", auto(fanout.shards));
    list.add("catch_up", auto(fanout.catch_up));
    list.add("tail_events", bare(fanout.tail_events));
    list.add("tail_bytes", size(fanout.tail_bytes));
    list.add("replay_bytes", size(fanout.replay_bytes));
}

fn retention(list: &mut Settings, retention: &Retention) {
    list.add("pattern", text(retention.pattern.as_str()));
    list.add("max_events", bare(retention.max_events));
    match retention.max_age {
        None => list.add("max_age", Value::Unset),
        Some(age) => list.add("max_age", duration(age)),
    }
    list.add("max_bytes", size(retention.max_bytes));
}

/// A basic string of TOML: as one of JSON, but for DEL, which TOML wants escaped.
fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    json.replace('\u{7f}', "\\u007F")
}

fn text(value: impl Display) -> Value {
    Value::Text(value.to_string())
}

fn bare(value: impl Display) -> Value {
    Value::Bare(value.to_string())
}

fn size(bytes: usize) -> Value {
    text(shown_size(u64::try_from(bytes).unwrap_or(u64::MAX)))
}

fn duration(length: Duration) -> Value {
    text(humantime::format_duration(length))
}

fn auto(chosen: Option<impl Display>) -> Value {
    chosen.map_or_else(|| text("auto"), bare)
}
