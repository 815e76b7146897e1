//! 1: a socket becomes a thread.
//!
//! The [`listener`] accepts; the `door` gives a permit and a thread of the `crew`; `connection` is that thread's
//! loop, to which [`inbound`] brings requests; `proxies` finds out whom they are for. Whoever finds no permit left is
//! refused by the `doorman`. `reload` says what another configuration changes, and the [`reloader`] is the thread that takes
//! it in.

mod acceptor;
pub mod budget;
mod connection;
mod control_group;
mod crew;
mod door;
mod doorman;
mod ending;
pub mod inbound;
pub mod listener;
pub mod memory;
pub mod permit;
mod proxies;
pub mod proxy_protocol;
mod reload;
pub mod reloader;
pub mod socket;
mod socket_file;
pub mod stream;
#[cfg(test)]
mod tests;
pub mod threads;
mod waiting;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::acceptor::Acceptor;
use self::budget::Budget;
use self::crew::Crew;
use self::door::Door;
use self::doorman::Doormen;
use self::ending::Ending;
use self::listener::Listener;
use self::memory::Memory;
use self::permit::Permits;
use self::reload::Reload;
use self::reloader::{Reloader, Reloads};
use self::stream::Stream;
use crate::access;
use crate::access::shares::Shares;
use crate::admin::Admin;
use crate::config::access::advice;
use crate::config::{Config, Current, Endpoint, Limits, Listen, Reach};
use crate::delivery::Context;
use crate::delivery::catch_up::CatchUp;
use crate::delivery::outbox::pins::Pins;
use crate::http::head::Ceilings;
use crate::hub::{Hub, cores, random};
use crate::journal::disk::OpenError;
use crate::journal::{Draft, Opening, Receipt};
use crate::refusal::{Kind, Refusal};
use crate::roster::Roster;
use crate::shutdown::{Leaving, Shutdown};
use crate::tls::Identity;
use crate::upkeep::{Kept, Upkeep};
use crate::web::lanes::Lanes;

/// How long threads may take to end after their connections were cut.
const CUT_OFF: Duration = Duration::from_secs(2);

/// A running server. Dropping it stops it.
pub struct Server {
    context: Arc<Context>,
    addresses: Vec<Listen>,
    listeners: Vec<Listener>,
    doormen: Arc<Doormen>,
    permits: Permits,
    admin: Option<Admin>,
    reloader: Reloader,
}

/// The ports of a server, bound, with nobody behind them yet.
struct Ports {
    data: Vec<(Listen, Acceptor)>,
    /// What clients are shown where TLS is spoken.
    identity: Option<Arc<Kept<Identity>>>,
    admin: Option<TcpListener>,
}

/// Why a server did not start.
#[derive(Debug)]
pub enum StartError {
    /// The address cannot be bound: the operator's matter.
    Listen(Listen, io::Error),
    /// There is no address to listen on: the operator's matter.
    Nowhere,
    /// Clients are to speak TLS at this address, and there is no certificate to show them: the operator's matter.
    NoCertificate(Listen),
    /// The address of the operator's port cannot be bound: the operator's matter.
    Admin(SocketAddr, io::Error),
    /// Others than this machine's users reach the data port, and nothing says who may do what: the operator's matter.
    Open(Reach),
    /// Others than this machine's users reach the operator's port, and it has no key: the operator's matter.
    Unguarded(SocketAddr),
    /// A file of keys cannot be used: the operator's matter.
    Keys(String),
    /// The certificate or its key cannot be used: the operator's matter.
    Tls(String),
    /// The journal cannot be opened: the operator's or the environment's matter.
    Journal(OpenError),
    /// The environment has not enough threads or files, or no place for the operator's port.
    Resources(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Listen(address, error) => {
                let hint = match address.endpoint {
                    Endpoint::Tcp(_) => hint(error),
                    Endpoint::Unix(_) => hint_at_a_path(error),
                };
                write!(
                    f,
                    "cannot listen on {address}: {error}; {hint}; 'listen' names another address"
                )
            }
            StartError::Nowhere => {
                f.write_str("'listen' names no address; a server must listen somewhere")
            }
            StartError::NoCertificate(address) => write!(
                f,
                "cannot listen on {address} without a certificate; 'tls.certificate' and 'tls.key' name the files of one \
                 and of its key"
            ),
            StartError::Admin(address, error) => {
                let hint = hint(error);
                write!(
                    f,
                    "cannot listen on {address} for the operator: {error}; {hint}; 'admin.listen' names another \
                     address, or \"off\""
                )
            }
            StartError::Open(reach) => f.write_str(&advice(reach)),
            StartError::Unguarded(address) => write!(
                f,
                "other machines reach {address}, the operator's port, so it needs a key; 'admin.key' sets one"
            ),
            StartError::Keys(trouble) => write!(f, "cannot verify tokens: {trouble}"),
            StartError::Tls(sentence) => write!(f, "[tls]: {sentence}"),
            StartError::Journal(error) => error.fmt(f),
            StartError::Resources(error) => {
                write!(f, "cannot start: {error}")
            }
        }
    }
}

/// Why an address cannot be had.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there, perhaps another fourcast",
        io::ErrorKind::AddrNotAvailable => "no interface of this machine has this address",
        io::ErrorKind::PermissionDenied => "ports below 1024 need root or CAP_NET_BIND_SERVICE",
        _ => "the system refuses",
    }
}

/// Why a Unix socket cannot be had.
fn hint_at_a_path(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another server listens there, perhaps another fourcast",
        io::ErrorKind::AlreadyExists => "there is a file that is no socket, and it is left alone",
        io::ErrorKind::NotFound => "its directory is not there",
        io::ErrorKind::PermissionDenied => "this user may not make a file there",
        io::ErrorKind::InvalidFilename => "the path of a socket has 107 bytes at most",
        _ => "the system refuses",
    }
}

impl std::error::Error for StartError {}

impl Ports {
    fn bind(config: &Config) -> Result<Self, StartError> {
        if let Some(reach) = config.unguarded() {
            return Err(StartError::Open(reach));
        }
        if let Some(address) = config.admin.unguarded() {
            return Err(StartError::Unguarded(address));
        }
        if config.listen.is_empty() {
            return Err(StartError::Nowhere);
        }
        let data = config
            .listen
            .iter()
            .map(|listen| Self::bind_one(listen, config));
        let data = data.collect::<Result<_, _>>()?;
        let admin = |address| {
            acceptor::bind_tcp(address, true, config.limits.send_buffer)
                .map_err(|error| StartError::Admin(address, error))
        };
        let identity = config.identity().map(|source| Kept::read("tls", source));
        let identity = identity.transpose().map_err(StartError::Tls)?;
        Ok(Ports {
            data,
            identity: identity.map(Arc::new),
            admin: config.admin.listen.map(admin).transpose()?,
        })
    }

    fn bind_one(listen: &Listen, config: &Config) -> Result<(Listen, Acceptor), StartError> {
        if listen.tls && config.tls.source().is_none() {
            return Err(StartError::NoCertificate(listen.clone()));
        }
        let bind = || {
            let acceptor = Acceptor::bind(listen, config)?;
            Ok((acceptor.bound(listen)?, acceptor))
        };
        bind().map_err(|error| StartError::Listen(listen.clone(), error))
    }
}

impl Server {
    /// Starts to serve, with an operator's port unless `admin.listen` is `None`: two servers with the default one do
    /// not fit on one machine. Raises this process's soft limit of open files to the hard one, and serves fewer
    /// connections than `limits.connections` where the host does not allow so many, with a warning.
    /// Returns when connections are accepted.
    ///
    /// # Errors
    /// When an address cannot be bound, the journal not opened, or there are no threads to be had.
    pub fn start(asked: Config) -> Result<Server, StartError> {
        let mut config = asked.clone();
        let grant = Budget::of_this_process().grant(config.limits.connections);
        if let Some(sentence) = grant.lowered {
            log::warn!("{sentence}");
        }
        config.limits.connections = grant.granted;
        if let Some(advice) = memory::advice(&config) {
            log::warn!("{advice}");
        }
        let access = access::current::Current::new(&config.access).map_err(StartError::Keys)?;
        let ports = Ports::bind(&config)?;
        let journal = Opening::open(&config, random()).map_err(StartError::Journal)?;
        let hub = Hub::start(&config, journal).map_err(StartError::Resources)?;
        Self::serve(hub, asked, config, ports, access).map_err(StartError::Resources)
    }

    fn serve(
        hub: Hub,
        asked: Config,
        config: Config,
        ports: Ports,
        access: access::current::Current,
    ) -> io::Result<Server> {
        let threads = config
            .fanout
            .catch_up
            .or(config.fanout.shards)
            .unwrap_or_else(cores);
        let permits = Permits::new(config.limits.connections);
        let reload = Reload::new(
            asked,
            config.limits.connections,
            permits.clone(),
            ports.identity.clone(),
        );
        let shutdown = Shutdown::default();
        let access = Arc::new(access);
        let (reloads, orders) = Reloads::new();
        let memory = Memory::new(&config);
        let context = Arc::new(Context {
            hub,
            catch_up: CatchUp::start(threads.get(), config.limits.connections)?,
            roster: Roster::new(shutdown.clone(), access.clone()),
            shutdown,
            access,
            shares: Shares::new(),
            pins: Pins::new(memory.clone()),
            memory,
            told: Arc::new(Current::new(config)),
            reloads,
            upkeep: Upkeep::default(),
            lanes: Lanes::default(),
        });
        context.upkeep.add(context.access.follower());
        if let Some(identity) = &ports.identity {
            context.upkeep.add(identity.clone());
        }
        let reloader = Reloader::start(reload, &context, orders)?;
        let admin = ports.admin.map(|socket| Admin::start(&context, socket));
        let admin = admin.transpose()?;
        let doormen = Arc::new(Doormen::start(&context)?);
        let (mut addresses, mut listeners) = (Vec::new(), Vec::new());
        let crew = Crew::default();
        for (number, (listen, acceptor)) in ports.data.into_iter().enumerate() {
            let door = Door {
                context: context.clone(),
                permits: permits.clone(),
                doormen: doormen.clone(),
                crew: crew.clone(),
                identity: ports.identity.clone().filter(|_| listen.tls),
            };
            listeners.push(Listener::start(
                &format!("listener-{number}"),
                acceptor,
                door,
            )?);
            addresses.push(listen);
        }
        Ok(Server {
            context,
            addresses,
            listeners,
            doormen,
            permits,
            admin,
            reloader,
        })
    }

    /// Where it listens, in the order of `listen`, with the ports that the system chose.
    pub fn addresses(&self) -> &[Listen] {
        &self.addresses
    }

    /// The first address with a port that it listens on; `None`: it has only Unix sockets.
    pub fn address(&self) -> Option<SocketAddr> {
        self.addresses.iter().find_map(Listen::tcp)
    }

    /// The address of the operator's port, if it has one.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Admin::address)
    }

    /// Publishes without HTTP. Returns when the journal has kept the event; waits for no subscriber.
    ///
    /// # Errors
    /// Nothing was published.
    pub fn publish(&self, draft: Draft) -> Result<Receipt, Refusal> {
        let appended = self.context.hub.publish(draft)?;
        let receipt = appended.receipts.first().cloned();
        receipt.ok_or_else(|| Refusal::new(Kind::Internal, "a published event has no receipt"))
    }

    /// Says goodbye on every connection and waits until all are closed, `timeouts.drain` at most; what is
    /// open then is cut. Returns when all threads have ended, or some seconds after the cut: a disk may hang, and whoever
    /// waits for it is left to himself.
    pub fn stop(self, leaving: Leaving) {
        self.end(leaving);
    }

    fn end(&self, leaving: Leaving) {
        if self.context.shutdown.begun().is_some() {
            return;
        }
        let drain = self.context.config().timeouts.drain;
        let deadline = Instant::now() + drain;
        log::info!("stopping: goodbye is said to every client");
        self.context.shutdown.announce(leaving);
        for listener in &self.listeners {
            listener.stop();
        }
        // What was acknowledged reaches everyone who is live before they are told goodbye.
        let ending = Ending::begin(&self.context, Instant::now() + drain / 2);
        // Who is told late has time for it, too.
        let deadline = deadline.max(Instant::now() + drain / 2);
        self.context.shutdown.begin(leaving);
        self.context.roster.say_goodbye(leaving);
        self.doormen.stop();
        let left = self.permits.wait_for_all(deadline);
        if left > 0 {
            log::warn!("{left} connections did not end in time and are cut");
            self.context.roster.cut();
            self.permits.wait_for_all(Instant::now() + CUT_OFF);
        }
        self.reloader.stop();
        ending.finish();
        // Last, so that an operator sees how it stops.
        if let Some(admin) = &self.admin {
            admin.stop();
        }
        log::info!("stopped");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end(Leaving::Away);
    }
}

/// The bounds of a request's head.
pub(crate) fn ceilings(limits: &Limits) -> Ceilings {
    Ceilings {
        head_bytes: limits.head_bytes,
        target_bytes: limits.target_bytes,
        fields: limits.fields,
    }
}

/// Runs what belongs to one connection; `None` after a panic in it, which is a bug of ours and ends this
/// connection only.
pub(crate) fn contain<T>(stream: &Stream, body: impl FnOnce() -> T) -> Option<T> {
    let outcome = catch_unwind(AssertUnwindSafe(body));
    if outcome.is_err() {
        log::error!(
            "{}: a panic ended this connection; this is a bug in fourcast",
            stream.peer()
        );
        stream.shutdown();
    }
    outcome.ok()
}
