//! The file key by key: each line of these functions is a key, what it sets, and what may stand there.

use std::ffi::OsString;
use std::time::Duration;

use super::access::{self, require_a_word_on_who_may, require_keys_of_their_own};
use super::error::{ConfigError, Place, Problem};
use super::listen;
use super::names;
use super::proxies;
use super::rates;
use super::reader::{Reader, Section};
use super::tokens;
use super::units::{
    self, GIB, KIB, MIB, auto_or_count, auto_or_size, auto_or_switch, count, duration, path,
    selector, size, token,
};
use super::written::{self, Written};
use super::{
    Admin, ClientFrom, Config, Fanout, Heartbeat, Journal, JournalKind, Limits, Listen, Proxies,
    Retention, Sync, Timeouts, Tls, WebSocket,
};
use crate::hub::selector::Selector;

const INSTANT: Duration = Duration::ZERO;
const MILLISECOND: Duration = Duration::from_millis(1);
const BLINK: Duration = Duration::from_millis(100);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const CENTURY: Duration = Duration::from_secs(36_525 * 24 * 3600);

/// The least that a budget of memory must leave for clients.
const ROOM: usize = 16 << 20;

/// Prints a key that nobody has seen; one printed by us would be in somebody's log.
const NEW_KEY: &str = r#"echo "key = \"$(head -c 24 /dev/urandom | base64)\"""#;

/// Reads the file `name`, whose contents are `text`, with the variables of `environment` put over it.
pub(super) fn read(
    name: &str,
    text: &str,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Config, ConfigError> {
    let (mut table, mut problems) = written::from_file(name, text);
    problems.extend(written::put_over(&mut table, environment));
    let mut reader = Reader::default();
    let mut config = Config::default();
    reader.read(table, |top| everything(top, &mut config));
    require_places_to_listen(&mut reader, &config.listen);
    require_a_certificate_with_its_key(&mut reader, &config);
    require_a_word_on_who_may(&mut reader, &config);
    require_a_guarded_port_of_its_own(&mut reader, &config);
    require_somebody_to_believe(&mut reader, &config.proxies);
    require_room_for_the_largest(&mut reader, &config);
    require_memory_for_what_stands(&mut reader, &config);
    require_entries_to_count(&mut reader, &config.channels);
    require_keys_of_their_own(&mut reader, &config.access.keys);
    tokens::require_keys_that_fit(&mut reader, &config.access.tokens);
    problems.extend(reader.finish());
    if problems.is_empty() {
        return Ok(config);
    }
    problems.sort_by(|a: &Problem, b| a.place.cmp(&b.place));
    Err(ConfigError { problems })
}

/// Every key that may stand in a file; those of list entries as `channels[].pattern`.
#[cfg(test)]
pub(crate) fn keys() -> Vec<String> {
    let mut reader = Reader::default();
    reader.read(Vec::new(), |top| everything(top, &mut Config::default()));
    reader.known().to_vec()
}

fn everything(top: &mut Section<'_>, config: &mut Config) {
    top.set_one_or_list("listen", &mut config.listen, listen::listen);
    top.set("socket_mode", &mut config.socket_mode, listen::socket_mode);
    top.set_list("hosts", &mut config.hosts, names::host);
    top.set_list("origins", &mut config.origins, names::origin);
    top.set("server_header", &mut config.server_header, units::switch);
    top.section("access", |section| {
        access::read(section, &mut config.access)
    });
    top.section("tls", |section| tls(section, &mut config.tls));
    top.section("admin", |section| admin(section, &mut config.admin));
    top.section("proxies", |section| proxies(section, &mut config.proxies));
    top.section("journal", |section| journal(section, &mut config.journal));
    top.section("limits", |section| limits(section, &mut config.limits));
    top.section("rates", |section| rates::read(section, &mut config.rates));
    top.section("timeouts", |section| {
        timeouts(section, &mut config.timeouts);
    });
    top.section("heartbeat", |section| {
        heartbeat(section, &mut config.heartbeat);
    });
    top.section("websocket", |section| {
        websocket(section, &mut config.websocket);
    });
    top.section("fanout", |section| fanout(section, &mut config.fanout));
    top.section("page", |section| {
        section.set("enabled", &mut config.page.enabled, auto_or_switch);
    });
    top.set_entries("channels", &mut config.channels, retention);
    top.section("log", |section| {
        section.set("level", &mut config.log.level, units::log_filter);
    });
}

fn tls(section: &mut Section<'_>, tls: &mut Tls) {
    let file = |written: &Written| path(written).map(Some);
    section.set("certificate", &mut tls.certificate, file);
    section.set("key", &mut tls.key, file);
}

fn admin(section: &mut Section<'_>, admin: &mut Admin) {
    section.set("listen", &mut admin.listen, units::address_or_off);
    section.set("key", &mut admin.key, |written| {
        units::secret(written).map(Some)
    });
}

fn proxies(section: &mut Section<'_>, proxies: &mut Proxies) {
    section.set_list("trusted", &mut proxies.trusted, proxies::trusted);
    section.set("client", &mut proxies.client, proxies::client);
}

fn journal(section: &mut Section<'_>, journal: &mut Journal) {
    section.set("kind", &mut journal.kind, journal_kind);
    section.set("path", &mut journal.path, path);
    section.set("sync", &mut journal.sync, journal_sync);
    section.set("max_bytes", &mut journal.max_bytes, size(MIB..=1024 * GIB));
    section.set(
        "idempotency",
        &mut journal.idempotency,
        duration(BLINK..=7 * DAY),
    );
}

fn journal_kind(written: &Written) -> Result<JournalKind, String> {
    match written.text() {
        Some("disk") => Ok(JournalKind::Disk),
        Some("memory") => Ok(JournalKind::Memory),
        _ => Err(written.but_expected("\"disk\" or \"memory\"")),
    }
}

fn journal_sync(written: &Written) -> Result<Sync, String> {
    let interval = |text: &str| {
        let length = text.strip_prefix("interval ")?.trim();
        let length = humantime::parse_duration(length).ok()?;
        (MILLISECOND..=MINUTE)
            .contains(&length)
            .then_some(Sync::Interval(length))
    };
    match written.text() {
        Some("always") => Some(Sync::Always),
        Some("never") => Some(Sync::Never),
        text => text.and_then(interval),
    }
    .ok_or_else(|| {
        written.but_expected(
            "\"always\", \"never\", or an interval from 1ms to 1m, such as \"interval 100ms\"",
        )
    })
}

#[rustfmt::skip] // A table: one key a line.
fn limits(section: &mut Section<'_>, limits: &mut Limits) {
    section.set("connections", &mut limits.connections, count(1..=1_000_000));
    section.set("connections_per_address", &mut limits.connections_per_address, auto_or_count(1..=1_000_000));
    section.set("connections_per_subject", &mut limits.connections_per_subject, auto_or_count(1..=1_000_000));
    section.set_list("exempt", &mut limits.exempt, units::network);
    section.set("memory", &mut limits.memory, auto_or_size(MIB..=1024 * GIB));
    section.set("head_bytes", &mut limits.head_bytes, size(KIB..=MIB));
    section.set("target_bytes", &mut limits.target_bytes, size(256..=MIB));
    section.set("fields", &mut limits.fields, count(16..=1_000));
    section.set("event_bytes", &mut limits.event_bytes, size(1..=GIB));
    section.set("batch_bytes", &mut limits.batch_bytes, size(1..=GIB));
    section.set("batch_events", &mut limits.batch_events, count(1..=1_000_000));
    section.set("subscriptions", &mut limits.subscriptions, count(1..=10_000));
    section.set("channels", &mut limits.channels, count(1..=100_000_000));
    section.set("send_buffer", &mut limits.send_buffer, size(4 * KIB..=64 * MIB));
    section.set("control_messages", &mut limits.control_messages, count(4..=10_000));
    section.set("idempotency_keys", &mut limits.idempotency_keys, count(1..=100_000_000));
}

#[rustfmt::skip] // A table: one key a line.
fn timeouts(section: &mut Section<'_>, timeouts: &mut Timeouts) {
    section.set("handshake", &mut timeouts.handshake, duration(BLINK..=HOUR));
    section.set("head", &mut timeouts.head, duration(BLINK..=HOUR));
    section.set("body", &mut timeouts.body, duration(BLINK..=HOUR));
    section.set("idle", &mut timeouts.idle, duration(BLINK..=DAY));
    section.set("write", &mut timeouts.write, duration(BLINK..=HOUR));
    section.set("close", &mut timeouts.close, duration(BLINK..=HOUR));
    section.set("long_poll", &mut timeouts.long_poll, duration(BLINK..=HOUR));
    section.set("drain", &mut timeouts.drain, duration(INSTANT..=HOUR));
    // A hint of 0 would make browsers come back without any pause, all at once.
    section.set("retry", &mut timeouts.retry, duration(BLINK..=HOUR));
}

fn heartbeat(section: &mut Section<'_>, heartbeat: &mut Heartbeat) {
    section.set("interval", &mut heartbeat.interval, duration(BLINK..=HOUR));
    section.set("patience", &mut heartbeat.patience, duration(BLINK..=HOUR));
}

fn websocket(section: &mut Section<'_>, websocket: &mut WebSocket) {
    section.set_list("subprotocols", &mut websocket.subprotocols, token);
}

#[rustfmt::skip] // A table: one key a line.
fn fanout(section: &mut Section<'_>, fanout: &mut Fanout) {
    section.set("shards", &mut fanout.shards, auto_or_count(1..=1_024));
    section.set("catch_up", &mut fanout.catch_up, auto_or_count(1..=1_024));
    section.set("tail_events", &mut fanout.tail_events, count(1..=100_000_000));
    section.set("tail_bytes", &mut fanout.tail_bytes, size(MIB..=1024 * GIB));
    section.set("replay_bytes", &mut fanout.replay_bytes, size(0..=1024 * GIB));
}

fn retention(entry: &mut Section<'_>, place: &Place) -> Option<Retention> {
    if !entry.has("pattern") {
        entry.refuse(
            place,
            "has no pattern; say which channels it is about: pattern = \"rooms/*\"",
        );
    }
    let mut retention = Retention::default();
    let mut pattern = None;
    entry.set("pattern", &mut pattern, |written| {
        selector(written).map(Some)
    });
    entry.set(
        "max_events",
        &mut retention.max_events,
        count(0..=1_000_000_000),
    );
    let age = duration(BLINK..=CENTURY);
    entry.set("max_age", &mut retention.max_age, |written| {
        age(written).map(Some)
    });
    entry.set("max_bytes", &mut retention.max_bytes, size(0..=1024 * GIB));
    Some(Retention {
        pattern: pattern?,
        ..retention
    })
}

/// One without the other shows nothing, and where TLS is spoken something must be shown.
fn require_a_certificate_with_its_key(reader: &mut Reader, config: &Config) {
    let tls = &config.tls;
    if tls.certificate.is_some() != tls.key.is_some() {
        let message =
            "a certificate and its key go together: name both files under [tls], or neither";
        reader.refuse(&["tls.certificate", "tls.key"], message.to_owned());
    }
    let spoken = config.listen.iter().find(|listen| listen.tls);
    if let Some(listen) = spoken.filter(|_| tls.source().is_none()) {
        let message = format!(
            "{listen} speaks TLS, so there must be a certificate to show: name its file and that of its key under [tls]"
        );
        reader.refuse(&["listen", "tls.certificate", "tls.key"], message);
    }
}

/// The operator's port is not for everyone, and not where clients come in.
fn require_a_guarded_port_of_its_own(reader: &mut Reader, config: &Config) {
    if let Some(address) = config.admin.unguarded() {
        let message = format!(
            "other machines reach {address}, so whoever uses it must show a key; this command prints a line for \
             [admin]: {NEW_KEY}"
        );
        reader.refuse(&["admin.listen", "admin.key"], message);
    }
    let Some(admin) = config.admin.listen.map(Listen::from) else {
        return;
    };
    if config
        .listen
        .iter()
        .any(|listen| admin.clashes_with(listen))
    {
        let message = format!(
            "listen and admin.listen are both {admin}; give each a port of its own, or write listen = \"off\" under \
             [admin]"
        );
        reader.refuse(&["admin.listen", "listen"], message);
    }
}

/// At one place only one can listen, and somewhere it must be.
fn require_places_to_listen(reader: &mut Reader, listen: &[Listen]) {
    if listen.is_empty() {
        let message = "names no address; a server must listen somewhere";
        reader.refuse(&["listen"], message.to_owned());
    }
    for (index, place) in listen.iter().enumerate() {
        if listen
            .iter()
            .take(index)
            .any(|before| before.clashes_with(place))
        {
            let message = format!("names {place} twice, or once with TLS and once without");
            reader.refuse(&["listen"], message);
        }
    }
}

/// Whoever is nobody's proxy is believed nothing.
fn require_somebody_to_believe(reader: &mut Reader, proxies: &Proxies) {
    if proxies.client != ClientFrom::Nowhere && proxies.trusted.is_empty() {
        let message =
            "counts for nobody; name the proxies under [proxies]: trusted = [\"127.0.0.1\"]";
        reader.refuse(&["proxies.client", "proxies.trusted"], message.to_owned());
    }
}

/// What contains something must not be smaller than it.
fn require_room_for_the_largest(reader: &mut Reader, config: &Config) {
    let limits = &config.limits;
    if limits.target_bytes >= limits.head_bytes {
        let keys = ["limits.target_bytes", "limits.head_bytes"];
        let [inner, outer] = keys;
        let message = format!("a head contains its target, so {outer} must be more than {inner}");
        reader.refuse(&keys, message);
    }
    let containers = [
        ("limits.batch_bytes", limits.batch_bytes),
        ("journal.max_bytes", config.journal.max_bytes),
        ("fanout.tail_bytes", config.fanout.tail_bytes),
    ];
    for (outer, bytes) in containers {
        if limits.event_bytes > bytes {
            let inner = "limits.event_bytes";
            let message =
                format!("the largest event must fit, so {outer} must be at least {inner}");
            reader.refuse(&[inner, outer], message);
        }
    }
}

/// Else the first client would be one too many.
fn require_memory_for_what_stands(reader: &mut Reader, config: &Config) {
    let least = config.standing_bytes().saturating_add(ROOM);
    let Some(memory) = config.limits.memory.filter(|memory| *memory < least) else {
        return;
    };
    let mebibytes = |bytes: usize| bytes.div_ceil(1 << 20);
    let in_memory = match config.journal.kind {
        JournalKind::Memory => {
            ", journal.max_bytes and limits.idempotency_keys of a journal in memory"
        }
        JournalKind::Disk => "",
    };
    let message = format!(
        "{} MiB are too few: {} MiB go to the program, twice fanout.tail_bytes, fanout.replay_bytes, \
         limits.channels{in_memory}, and clients need {} MiB at least; write \"{} MiB\" or more, or lower those",
        memory >> 20,
        mebibytes(config.standing_bytes()),
        mebibytes(ROOM),
        mebibytes(least)
    );
    let keys = [
        "limits.memory",
        "fanout.tail_bytes",
        "fanout.replay_bytes",
        "limits.channels",
        "journal.max_bytes",
        "limits.idempotency_keys",
    ];
    reader.refuse(&keys, message);
}

/// The first entry that matches a channel counts, so what comes after its like does nothing.
fn require_entries_to_count(reader: &mut Reader, entries: &[Retention]) {
    // An entry that could not be read is not among these, and their places would be others.
    if !reader.is_clean() {
        return;
    }
    let everything = Selector::everything();
    for (index, entry) in entries.iter().enumerate() {
        let mut before = entries.iter().take(index).map(|earlier| &earlier.pattern);
        let like = before.find(|&earlier| *earlier == entry.pattern || *earlier == everything);
        if let Some(like) = like {
            let message = format!(
                "can never count: \"{like}\" stands before it and matches all of these channels"
            );
            reader.refuse(&[&format!("channels[{index}].pattern")], message);
        }
    }
}
