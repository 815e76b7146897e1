//! The configuration as values that cannot be wrong. Every default stands here once; `config.toml` at
//! the top level shows them all and a test holds it against these.

pub mod access;
mod change;
mod current;
mod error;
mod file;
mod listen;
mod load;
mod names;
mod proxies;
mod rates;
mod reader;
mod secret;
mod shown;
#[cfg(test)]
mod tests;
pub mod tokens;
mod units;
mod written;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

pub use access::{Access, ApiKey, Mode, Reach};
pub use change::{Change, Reloaded};
pub use current::Current;
pub use error::{ConfigError, Place, Problem};
#[cfg(test)]
pub(crate) use file::keys;
pub use listen::{Endpoint, Listen};
pub use load::{Loaded, authorities};
pub use proxies::{ClientFrom, Proxies, Trusted};
pub use rates::{Per, Rate, Rates};
pub use secret::Secret;
pub use tokens::Tokens;

use crate::hub::selector::Selector;
use crate::network::Network;
use crate::tls::Identity;
use crate::upkeep::Source;

/// Everything that a server is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where clients come in, in at least one place.
    pub listen: Vec<Listen>,
    /// The rights of Unix sockets among them, as `chmod` has them. To connect is to write.
    pub socket_mode: u32,
    /// Names beside loopback ones and the bound address that a `Host` may have, lower case, without port.
    pub hosts: Vec<String>,
    /// Origins allowed beside the same origin and loopback ones, as a browser writes them:
    /// `https://app.example.com`, lower case, no default port, no path; `https://*.example.com` stands for every name
    /// below `example.com`.
    pub origins: Vec<String>,
    /// Whether answers name this program and its version, in a `Server` field.
    pub server_header: bool,
    /// Who may do what.
    pub access: Access,
    /// What clients are shown where TLS is spoken.
    pub tls: Tls,
    /// The operator's port.
    pub admin: Admin,
    /// Which proxies are believed when they say whom they bring.
    pub proxies: Proxies,
    /// Where events are kept.
    pub journal: Journal,
    /// How much of anything there may be.
    pub limits: Limits,
    /// How often one client may ask and publish.
    pub rates: Rates,
    /// How long anything may take.
    pub timeouts: Timeouts,
    /// How a quiet connection is kept alive and a dead one found.
    pub heartbeat: Heartbeat,
    /// What is particular to WebSocket.
    pub websocket: WebSocket,
    /// How live events are spread.
    pub fanout: Fanout,
    /// What a browser finds at `/`.
    pub page: Page,
    /// What is kept, by channel: the first entry whose pattern matches counts; none: [`Retention::default`].
    pub channels: Vec<Retention>,
    /// What is logged.
    pub log: Log,
}

/// What clients are shown where TLS is spoken: both files, or neither. [`Config::load`] makes their paths absolute.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tls {
    /// The file (PEM) of the certificate, with its chain behind it.
    pub certificate: Option<PathBuf>,
    /// The file (PEM) of its key: PKCS#8, PKCS#1 or SEC1.
    pub key: Option<PathBuf>,
}

/// The operator's port.
#[derive(Debug, Clone, PartialEq)]
pub struct Admin {
    /// Its address; port 0 lets the system choose; `None`: there is none. Two servers on one machine need two.
    pub listen: Option<SocketAddr>,
    /// What those who use it must show, as a Bearer token (RFC 6750, section 2.1). `None`, for loopback
    /// addresses only: nothing.
    pub key: Option<Secret>,
}

/// Where events are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Journal {
    /// The kind of store.
    pub kind: JournalKind,
    /// The directory of a journal on disk. [`Config::load`] makes it absolute; else a relative one begins at
    /// the working directory.
    pub path: PathBuf,
    /// What a publisher may rely on once it is answered by a journal on disk.
    pub sync: Sync,
    /// The most that all events together may weigh, in bytes; the oldest leave first.
    pub max_bytes: usize,
    /// How long an `Idempotency-Key` is remembered.
    pub idempotency: Duration,
}

/// The kinds of journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalKind {
    /// In memory: gone with the process.
    Memory,
    /// On disk: it outlives the process.
    Disk,
}

/// When a journal on disk has the system write to the disk itself. What was acknowledged survives the end of
/// the process in any case; these differ in what a power cut or a crash of the system may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Before the publisher is answered: nothing that was acknowledged.
    Always,
    /// So long after it at most, 1 ms to 1 min: what was acknowledged in that time.
    Interval(Duration),
    /// When the system likes: what it had not written yet.
    Never,
}

/// Ceilings in numbers and bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Connections open at once, each with a thread and a file.
    pub connections: usize,
    /// The most of them from one address, that is one IPv4 address or the /64 of an IPv6 one; `None`: a tenth of
    /// `connections`, 16 at least.
    pub connections_per_address: Option<NonZeroUsize>,
    /// The most requests, streams and WebSockets at once of one subject of tokens, or with one API key; `None`: the same
    /// as that.
    pub connections_per_subject: Option<NonZeroUsize>,
    /// From here addresses are not counted, neither connections nor rates.
    pub exempt: Vec<Network>,
    /// Bytes of memory; `None`: three quarters of what the host or the control group has.
    pub memory: Option<usize>,
    /// Bytes of a request head, request line and fields together.
    pub head_bytes: usize,
    /// Bytes of a request target.
    pub target_bytes: usize,
    /// Fields in a request head.
    pub fields: usize,
    /// Bytes of one event's payload, and of one WebSocket message.
    pub event_bytes: usize,
    /// Bytes of one batch of events.
    pub batch_bytes: usize,
    /// Events in one batch.
    pub batch_events: usize,
    /// Channels and patterns that one connection may subscribe to.
    pub subscriptions: usize,
    /// Channels that exist at once.
    pub channels: usize,
    /// The socket send buffer (`SO_SNDBUF`) of a connection, in bytes.
    pub send_buffer: usize,
    /// Control messages (acks, errors) that may wait for one connection.
    pub control_messages: usize,
    /// Idempotency keys remembered at once; that of a batch counts once for each of its events.
    pub idempotency_keys: usize,
}

/// Deadlines.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeouts {
    /// From the beginning of a connection, or the end of its PROXY protocol header, to the end of its TLS handshake.
    pub handshake: Duration,
    /// From a request's first byte to the end of its head.
    pub head: Duration,
    /// From the end of a request's head to the end of its body; as long may a WebSocket's message take.
    pub body: Duration,
    /// A kept connection without a request.
    pub idle: Duration,
    /// A write without any progress.
    pub write: Duration,
    /// The answer to a WebSocket close, and the drain after a refusal.
    pub close: Duration,
    /// The longest wait that a long poll is granted.
    pub long_poll: Duration,
    /// How long a stopping server waits for its connections.
    pub drain: Duration,
    /// The middle of the time after which clients are told to come back; each is told its own,
    /// between half and one and a half of it.
    pub retry: Duration,
}

/// How a quiet connection is kept alive.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
    /// How often a stream says that it is there.
    pub interval: Duration,
    /// How long a WebSocket peer may take to answer a ping.
    pub patience: Duration,
}

/// What is particular to WebSocket.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WebSocket {
    /// The values of `Sec-WebSocket-Protocol` that are accepted.
    pub subprotocols: Vec<String>,
}

/// How live events are spread.
#[derive(Debug, Clone, PartialEq)]
pub struct Fanout {
    /// Threads that write live events; `None`: one a core.
    pub shards: Option<NonZeroUsize>,
    /// Threads that serve subscribers that are behind; `None`: as many as shards.
    pub catch_up: Option<NonZeroUsize>,
    /// Recent events kept ready to be sent, in number.
    pub tail_events: usize,
    /// The same in bytes.
    pub tail_bytes: usize,
    /// The most bytes of older events kept for those who are behind together; 0: none.
    pub replay_bytes: usize,
}

/// What a browser finds at `/`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// Whether the live page is there; `None`: if every address is a loopback one, and there are no Unix sockets, no
    /// [`hosts`](Config::hosts) and no trusted [proxies](Config::proxies), which are the sign of a proxy that lets others
    /// in. A proxy that calls the port by a loopback name cannot be
    /// noticed: behind it this is `Some(false)`, unless all who come that way may have the page.
    pub enabled: Option<bool>,
}

/// What is kept of the channels that a pattern matches.
#[derive(Debug, Clone, PartialEq)]
pub struct Retention {
    /// The channels that this is about.
    pub pattern: Selector,
    /// The most events kept in each channel; 0 keeps none: live only.
    pub max_events: usize,
    /// How long an event is kept; `None`: by number and bytes only.
    pub max_age: Option<Duration>,
    /// The most bytes kept in each channel.
    pub max_bytes: usize,
}

/// What is logged.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// A filter as `RUST_LOG` has it, such as `info` or `warn,fourcast::hub=debug`.
    pub level: String,
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const GIB: usize = 1024 * MIB;

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)).into()],
            socket_mode: 0o660,
            hosts: Vec::new(),
            origins: Vec::new(),
            server_header: false,
            access: Access::default(),
            tls: Tls::default(),
            admin: Admin::default(),
            proxies: Proxies::default(),
            journal: Journal::default(),
            limits: Limits::default(),
            rates: Rates::default(),
            timeouts: Timeouts::default(),
            heartbeat: Heartbeat::default(),
            websocket: WebSocket::default(),
            fanout: Fanout::default(),
            page: Page::default(),
            channels: Vec::new(),
            log: Log::default(),
        }
    }
}

impl Config {
    /// Where what clients are shown is read from; `None`: TLS is spoken nowhere.
    pub fn identity(&self) -> Option<Source<Identity>> {
        let is_spoken = self.listen.iter().any(|listen| listen.tls);
        self.tls.source().filter(|_| is_spoken)
    }

    /// What the program itself takes, with its libraries, its threads and the caches of SQLite, in bytes.
    const PROGRAM: usize = 32 * MIB;

    /// What is known of one channel without its events, with the longest name, in bytes.
    const CHANNEL: usize = 600;

    /// What one idempotency key takes that is as long as may be, with its answer, in bytes.
    const KEY: usize = 800;

    /// The memory that everything takes which does not depend on how many clients there are: the program, what is kept
    /// ready to be sent, what is known of channels, and a journal in memory with its idempotency keys. What is kept ready
    /// is there twice, as it came and as it is sent.
    pub fn standing_bytes(&self) -> usize {
        let (limits, fanout) = (&self.limits, &self.fanout);
        let journal = match self.journal.kind {
            JournalKind::Memory => {
                let keys = limits.idempotency_keys.saturating_mul(Self::KEY);
                self.journal.max_bytes.saturating_add(keys)
            }
            JournalKind::Disk => 0,
        };
        let parts = [
            Self::PROGRAM,
            fanout.tail_bytes.saturating_mul(2),
            fanout.replay_bytes,
            limits.channels.saturating_mul(Self::CHANNEL),
            journal,
        ];
        parts.into_iter().fold(0, usize::saturating_add)
    }

    /// Whether the live page is there.
    pub fn has_page(&self) -> bool {
        let is_loopback = |listen: &Listen| listen.tcp().is_some() && listen.is_of_this_machine();
        let has_proxy = !self.hosts.is_empty() || !self.proxies.trusted.is_empty();
        let is_ours_alone = self.listen.iter().all(is_loopback) && !has_proxy;
        self.page.enabled.unwrap_or(is_ours_alone)
    }
}

impl Tls {
    /// Where what clients are shown is read from, if it is anywhere.
    pub fn source(&self) -> Option<Source<Identity>> {
        let files = self.certificate.clone().zip(self.key.clone());
        files.map(|(certificate, key)| Identity::source(certificate, key))
    }
}

impl Limits {
    /// The least that a share of the connections is where nothing is said.
    const LEAST_SHARE: usize = 16;

    /// How many connections one address may have.
    pub fn share_of_address(&self) -> usize {
        self.share(self.connections_per_address)
    }

    /// How many requests, streams and WebSockets one subject or API key may have at once.
    pub fn share_of_subject(&self) -> usize {
        self.share(self.connections_per_subject)
    }

    /// Whether connections and requests from `address` are not counted.
    pub fn exempts(&self, address: IpAddr) -> bool {
        self.exempt.iter().any(|network| network.contains(address))
    }

    fn share(&self, chosen: Option<NonZeroUsize>) -> usize {
        let usual = (self.connections / 10).max(Self::LEAST_SHARE);
        chosen.map_or(usual, NonZeroUsize::get)
    }
}

impl Admin {
    /// The address, if others than this machine's users reach it and nothing keeps them out: with that a server does
    /// not start.
    pub fn unguarded(&self) -> Option<SocketAddr> {
        let is_open = |address: &SocketAddr| !address.ip().to_canonical().is_loopback();
        self.listen.filter(is_open).filter(|_| self.key.is_none())
    }
}

impl Default for Admin {
    fn default() -> Self {
        Admin {
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 8081))),
            key: None,
        }
    }
}

impl Default for Journal {
    fn default() -> Self {
        Journal {
            kind: JournalKind::Disk,
            path: PathBuf::from("./fourcast-data"),
            sync: Sync::Always,
            max_bytes: GIB,
            idempotency: Duration::from_secs(300),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 10_000,
            connections_per_address: None,
            connections_per_subject: None,
            exempt: Network::loopback().to_vec(),
            memory: None,
            head_bytes: 16 * KIB,
            target_bytes: 8 * KIB,
            fields: 100,
            event_bytes: MIB,
            batch_bytes: 8 * MIB,
            batch_events: 1_000,
            subscriptions: 100,
            channels: 100_000,
            send_buffer: 64 * KIB,
            control_messages: 64,
            idempotency_keys: 100_000,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(30),
            close: Duration::from_secs(5),
            long_poll: Duration::from_secs(60),
            drain: Duration::from_secs(10),
            retry: Duration::from_secs(3),
        }
    }
}

impl Default for Heartbeat {
    fn default() -> Self {
        Heartbeat {
            interval: Duration::from_secs(25),
            patience: Duration::from_secs(10),
        }
    }
}

impl Default for Fanout {
    fn default() -> Self {
        Fanout {
            shards: None,
            catch_up: None,
            tail_events: 10_000,
            tail_bytes: 64 * MIB,
            replay_bytes: 16 * MIB,
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Retention {
            pattern: Selector::everything(),
            max_events: 1_000,
            max_age: None,
            max_bytes: 16 * MIB,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Log {
            level: "info".to_owned(),
        }
    }
}
