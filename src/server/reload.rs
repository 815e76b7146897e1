//! What changes while a server runs, and what stays as it is until a restart.

use std::sync::Arc;

use super::Server;
use super::permit::Permits;
use super::reloader::ReloadError;
use crate::access::token::verifier::Verifier;
use crate::config::{
    Access, Admin, Change, Config, ConfigError, Journal, Limits, Mode, Proxies, Reloaded, Tls,
};
use crate::delivery::Context;
use crate::tls::Identity;
use crate::upkeep::Kept;

/// What a running server was sized by.
pub(super) struct Reload {
    /// What was asked for at the start.
    asked: Config,
    /// How many connections there may be at most: threads, files and queues are for so many.
    connections: usize,
    permits: Permits,
    /// What clients are shown, if TLS is spoken.
    identity: Option<Arc<Kept<Identity>>>,
}

impl Server {
    /// Has `config` count from now on, as far as that is possible without a restart, and logs what came of it. Nobody
    /// is disconnected but who may not do any more what it does: what was told to a client holds for its connection, and
    /// everything else counts from its next request on. Returns when the journal goes by it, or after two seconds.
    ///
    /// `log.level` is the matter of whoever logs.
    ///
    /// # Errors
    /// When another reload is under way, or this one takes longer.
    pub fn reload(&self, config: Config) -> Result<Reloaded, ReloadError> {
        self.context.reloads.ask(Some(config))
    }

    /// Says where the configuration comes from when it is to be read again: by [`reread`](Server::reread), or over the
    /// operator's port. Said once; another word does not count. `source` may block, and is called on one thread only.
    pub fn reread_from(
        &self,
        source: impl Fn() -> Result<Config, ConfigError> + Send + Sync + 'static,
    ) {
        self.context.reloads.read_from(source);
    }

    /// Has the configuration read again and [reloaded](Server::reload), soon. Waits for nothing: what came of it is in
    /// the log.
    pub fn reread(&self) {
        self.context.reloads.ring();
    }
}

impl Reload {
    /// Of a server that was asked for `asked`, has room for so many `connections`, gives them `permits` and shows them
    /// what `identity` has.
    pub(super) fn new(
        asked: Config,
        connections: usize,
        permits: Permits,
        identity: Option<Arc<Kept<Identity>>>,
    ) -> Self {
        Reload {
            asked,
            connections,
            permits,
            identity,
        }
    }

    /// Has `asked` count, with its `keys` of tokens if they are others than before, and tells what changed. Waits for the
    /// journal. For one thread alone.
    pub(super) fn apply(
        &self,
        context: &Context,
        asked: Config,
        keys: Option<Kept<Verifier>>,
    ) -> Reloaded {
        let [before, now] = context.told.change(|running| {
            let next = self.next(asked.clone(), running);
            self.permits.bound(next.limits.connections);
            next
        });
        context.memory.obey(&now);
        if before.access != now.access {
            context.access.obey(&now.access, keys);
            context.roster.obey();
        }
        context.hub.obey(&context.told);
        if before.tls != now.tls {
            self.follow(&now.tls);
        }
        let reloaded = Reloaded {
            changed: before.changes(&now),
            kept: self.kept(&now, &asked),
        };
        tell(&reloaded);
        reloaded
    }

    /// Has what is in other files shown.
    fn follow(&self, tls: &Tls) {
        if let (Some(identity), Some(source)) = (&self.identity, tls.source()) {
            identity.turn_to(source);
        }
    }

    /// What counts from now on: of `asked` what can, of `running` the rest. What is sized or opened at the start stands
    /// here by its name; what is only read when it is needed can change.
    fn next(&self, asked: Config, running: &Config) -> Config {
        let access = next_access(&asked, running);
        let (hosts, proxies) = next_strangers(asked.hosts, asked.proxies, &access, running);
        Config {
            listen: running.listen.clone(),
            socket_mode: running.socket_mode,
            proxies,
            access,
            tls: next_tls(asked.tls, running),
            admin: next_admin(asked.admin, &running.admin),
            journal: Journal {
                kind: running.journal.kind,
                path: running.journal.path.clone(),
                ..asked.journal
            },
            limits: Limits {
                connections: asked.limits.connections.min(self.connections),
                send_buffer: running.limits.send_buffer,
                // The tail, which stays as it is, must have room for the largest event.
                event_bytes: match asked.limits.event_bytes {
                    bytes if bytes <= running.fanout.tail_bytes => bytes,
                    _ => running.limits.event_bytes,
                },
                ..asked.limits
            },
            fanout: running.fanout.clone(),
            hosts,
            origins: asked.origins,
            rates: asked.rates,
            server_header: asked.server_header,
            timeouts: asked.timeouts,
            heartbeat: asked.heartbeat,
            websocket: asked.websocket,
            page: asked.page,
            channels: asked.channels,
            log: asked.log,
        }
    }

    /// What does not count though it was asked for; not what the start refused for reasons that a restart does not
    /// change, and told.
    fn kept(&self, now: &Config, asked: &Config) -> Vec<Change> {
        let news = self.asked.changes(asked);
        let is_new = |kept: &Change| news.iter().any(|new| new.key == kept.key);
        let mut kept = now.changes(asked);
        kept.retain(is_new);
        kept
    }
}

/// Who may do what changes; but what was closed is never opened without a word, to this machine's users neither: whoever
/// takes the last key back does not mean everyone. Nor is a port that others reach.
fn next_access(asked: &Config, running: &Config) -> Access {
    let is_opened = asked.access.is_open() && !running.access.is_open();
    if is_opened && asked.access.mode == Mode::Auto {
        log::warn!(
            "reload: nothing says any more who may do what, so nobody may do anything until a restart, and everyone \
             after it; write mode = \"closed\" or \"open\" under [access]"
        );
        return Access {
            mode: Mode::Closed,
            ..asked.access.clone()
        };
    }
    let next = Config {
        listen: running.listen.clone(),
        hosts: asked.hosts.clone(),
        proxies: asked.proxies.clone(),
        access: asked.access.clone(),
        ..Config::default()
    };
    match next.unguarded() {
        None => next.access,
        Some(_) => running.access.clone(),
    }
}

/// Names and proxies change; but what is open without a word never gets strangers.
fn next_strangers(
    hosts: Vec<String>,
    proxies: Proxies,
    access: &Access,
    running: &Config,
) -> (Vec<String>, Proxies) {
    let next = Config {
        listen: running.listen.clone(),
        hosts,
        proxies,
        access: access.clone(),
        ..Config::default()
    };
    match next.unguarded() {
        None => (next.hosts, next.proxies),
        Some(_) => (running.hosts.clone(), running.proxies.clone()),
    }
}

/// Files change; but where TLS is spoken until a restart, something is shown until then.
fn next_tls(asked: Tls, running: &Config) -> Tls {
    match asked.source() {
        None if running.identity().is_some() => running.tls.clone(),
        _ => asked,
    }
}

/// Keys change; but a port that others reach never loses the one it has.
fn next_admin(asked: Admin, running: &Admin) -> Admin {
    let next = Admin {
        listen: running.listen,
        ..asked
    };
    match next.unguarded() {
        None => next,
        Some(_) => running.clone(),
    }
}

fn tell(reloaded: &Reloaded) {
    for change in &reloaded.changed {
        log::info!("reload: {change}");
    }
    for Change { key, before, after } in &reloaded.kept {
        log::warn!("reload: {key}: stays {before} until a restart, then {after}");
    }
    if reloaded.changed.is_empty() && reloaded.kept.is_empty() {
        log::info!("reload: nothing has changed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Secret, Trusted, keys};

    /// Every key with another value than its default.
    const ALTERED: &str = r#"
        listen = ["127.0.0.1:1", "unix:a.sock"]
        socket_mode = "0600"
        hosts = ["a.test"]
        origins = ["https://a.test"]
        server_header = true
        [access]
        mode = "closed"
        [access.anonymous]
        subscribe = ["a"]
        publish = ["a"]
        delete = ["a"]
        [[access.keys]]
        name = "a"
        hash = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        subscribe = ["a"]
        publish = ["a"]
        delete = ["a"]
        [access.tokens]
        algorithms = ["HS256", "ES256"]
        secret = "at-least-thirty-two-characters-long"
        secret_file = "secret"
        public_key = "key.pem"
        jwks = "keys.json"
        issuers = ["a"]
        audiences = ["a"]
        leeway = "1s"
        require_expiry = false
        cookie = "a"
        [tls]
        certificate = "certificate.pem"
        key = "key.pem"
        [admin]
        listen = "127.0.0.1:2"
        key = "kept-to-ourselves-0"
        [proxies]
        trusted = ["10.0.0.0/8", "unix"]
        client = "forwarded"
        [journal]
        kind = "memory"
        path = "elsewhere"
        sync = "never"
        max_bytes = "2 GiB"
        idempotency = "1m"
        [limits]
        connections = 100
        connections_per_address = 10
        connections_per_subject = 10
        exempt = ["10.0.0.0/8"]
        memory = "4 GiB"
        head_bytes = "32 KiB"
        target_bytes = "4 KiB"
        fields = 50
        event_bytes = "2 MiB"
        batch_bytes = "4 MiB"
        batch_events = 10
        subscriptions = 10
        channels = 10
        send_buffer = "32 KiB"
        control_messages = 10
        idempotency_keys = 10
        [rates]
        requests_per_address = "1/s"
        requests_per_key = "1/m"
        requests_per_subject = "1/h"
        publishes_per_address = "off"
        publishes_per_key = "off"
        publishes_per_subject = "off"
        burst = "1m"
        [timeouts]
        handshake = "1s"
        head = "1s"
        body = "1s"
        idle = "1s"
        write = "1s"
        close = "1s"
        long_poll = "1s"
        drain = "1s"
        retry = "1s"
        [heartbeat]
        interval = "1s"
        patience = "1s"
        [websocket]
        subprotocols = ["chat"]
        [fanout]
        shards = 3
        catch_up = 3
        tail_events = 10
        tail_bytes = "32 MiB"
        replay_bytes = "8 MiB"
        [page]
        enabled = false
        [[channels]]
        pattern = "a"
        max_events = 1
        max_age = "1d"
        max_bytes = "1 MiB"
        [log]
        level = "warn"
    "#;
    const TEMPLATE: &str = include_str!("../../config.toml");

    /// What becomes of `asked` in a server that was started with `started` and has room for so many connections.
    fn reloaded(started: &Config, connections: usize, asked: &Config) -> (Config, Reloaded) {
        let mut running = started.clone();
        running.limits.connections = connections;
        let reload = Reload::new(
            started.clone(),
            connections,
            Permits::new(connections),
            None,
        );
        let now = reload.next(asked.clone(), &running);
        let reloaded = Reloaded {
            changed: running.changes(&now),
            kept: reload.kept(&now, asked),
        };
        (now, reloaded)
    }

    fn has(changes: &[Change], key: &str) -> bool {
        let is_of_entry = |change: &Change| match key.split_once("[].") {
            Some((list, "pattern" | "name")) => change.key == list,
            Some((list, key)) => change.key == format!("{list}[a].{key}"),
            None => change.key == key,
        };
        changes.iter().any(is_of_entry)
    }

    /// Whether the file that teaches says so, at the key or at its section.
    fn needs_restart(key: &str) -> bool {
        let (section, key) = key.rsplit_once('.').unwrap_or(("", key));
        let (mut current, mut comment, mut of_section) = ("", String::new(), String::new());
        for line in TEMPLATE.lines() {
            let header = line
                .strip_prefix('[')
                .and_then(|line| line.strip_suffix(']'));
            if let Some(text) = line.strip_prefix('#') {
                comment.push_str(text);
            } else if let Some(header) = header {
                current = header;
                of_section = std::mem::take(&mut comment);
            } else if line.is_empty() {
                comment.clear();
            } else if current == section && line.starts_with(&format!("{key} = ")) {
                let says_so = |comment: &str| {
                    ["Needs a restart.", "need a restart."]
                        .iter()
                        .any(|words| comment.contains(words))
                };
                return says_so(&comment) || says_so(&of_section);
            }
        }
        false
    }

    #[test]
    fn every_key_changes_or_is_said_to_need_a_restart() {
        let started = Config::default();
        let asked = Config::from_toml(ALTERED).unwrap();
        let (now, reloaded) = reloaded(&started, started.limits.connections, &asked);
        for key in keys() {
            let (changed, kept) = (has(&reloaded.changed, &key), has(&reloaded.kept, &key));
            assert!(
                changed != kept,
                "{key} must be altered above, and change or be kept"
            );
            assert_eq!(kept, needs_restart(&key), "what config.toml says of {key}");
        }
        assert_eq!(started.changes(&now), reloaded.changed);
        assert_eq!(now.changes(&asked), reloaded.kept);
    }

    #[test]
    fn nothing_else_is_nothing_to_tell() {
        let started = Config::from_toml(ALTERED).unwrap();
        let (now, reloaded) = reloaded(&started, 100, &started);
        assert_eq!((now, reloaded), (started, Reloaded::default()));
    }

    #[test]
    fn connections_go_down_and_up_again_to_what_there_was_room_for() {
        let asked = |connections| {
            let mut config = Config::default();
            config.limits.connections = connections;
            config
        };
        for (wanted, counts, is_kept) in [
            (50, 50, false),
            (768, 768, false),
            // As at the start, when the host did not allow so many.
            (10_000, 768, false),
            (10_001, 768, true),
        ] {
            let (now, reloaded) = reloaded(&asked(10_000), 768, &asked(wanted));
            assert_eq!(now.limits.connections, counts, "{wanted}");
            assert_eq!(
                has(&reloaded.kept, "limits.connections"),
                is_kept,
                "{wanted}"
            );
        }
    }

    #[test]
    fn a_port_that_others_reach_never_loses_its_key() {
        let mut started = Config::default();
        started.admin.listen = Some(([0, 0, 0, 0], 8081).into());
        started.admin.key = Secret::new("kept-to-ourselves-0");
        let asked = Config::default();
        let (now, told) = reloaded(&started, 1, &asked);
        assert_eq!(now.admin, started.admin);
        assert!(has(&told.kept, "admin.key") && has(&told.kept, "admin.listen"));
        let mut asked = started.clone();
        asked.admin.key = Secret::new("kept-to-ourselves-1");
        let (now, told) = reloaded(&started, 1, &asked);
        assert_eq!(now.admin, asked.admin);
        let told: Vec<String> = told.changed.iter().map(ToString::to_string).collect();
        assert!(
            told.contains(&"admin.key: ******** → ********".to_owned()),
            "{told:?}"
        );
    }

    #[test]
    fn no_proxy_brings_strangers_to_a_server_that_is_open_without_a_word() {
        let started = Config::default();
        let mut asked = Config {
            hosts: vec!["a.test".to_owned()],
            ..Config::default()
        };
        assert_eq!(reloaded(&started, 1, &asked).0.hosts, started.hosts);
        asked.proxies.trusted = vec![Trusted::Unix];
        let (now, told) = reloaded(&started, 1, &asked);
        assert_eq!(now.proxies, started.proxies);
        assert!(has(&told.kept, "proxies.trusted"));
        for mode in [Mode::Open, Mode::Closed] {
            asked.access.mode = mode;
            assert_eq!(reloaded(&started, 1, &asked).0.proxies, asked.proxies);
        }
    }

    #[test]
    fn an_event_must_fit_into_the_tail_that_there_is() {
        let started = Config::default();
        let mut asked = Config::default();
        asked.fanout.tail_bytes *= 4;
        asked.limits.event_bytes = asked.fanout.tail_bytes;
        asked.limits.batch_bytes = asked.fanout.tail_bytes;
        let (now, told) = reloaded(&started, 1, &asked);
        assert_eq!(now.limits.event_bytes, started.limits.event_bytes);
        assert_eq!(now.limits.batch_bytes, asked.limits.batch_bytes);
        assert!(has(&told.kept, "limits.event_bytes"));
    }
}
