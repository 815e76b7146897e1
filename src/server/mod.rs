//! 1: a socket becomes a thread.
//!
//! The `listener` accepts and takes a permit; a thread of the `crew` serves it; `connection` is that thread's
//! loop. Whoever finds no permit left is refused by the `doorman`.

pub mod budget;
mod connection;
mod crew;
mod doorman;
mod listener;
pub mod permit;
pub mod stream;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::budget::Budget;
use self::doorman::Doormen;
use self::listener::Listener;
use self::permit::Permits;
use self::stream::Stream;
use crate::config::{Config, Current, Limits};
use crate::delivery::Context;
use crate::delivery::catch_up::CatchUp;
use crate::http::head::Ceilings;
use crate::hub::{Hub, cores, random};
use crate::journal::disk::OpenError;
use crate::journal::{Draft, Opening, Receipt};
use crate::refusal::{Kind, Refusal};
use crate::roster::Roster;
use crate::shutdown::{Leaving, Shutdown};
use crate::web::lanes::Lanes;

/// How long threads may take to end after their connections were cut.
const CUT_OFF: Duration = Duration::from_secs(2);

/// A running server. Dropping it stops it.
pub struct Server {
    context: Arc<Context>,
    listener: Listener,
    doormen: Arc<Doormen>,
    permits: Permits,
}

/// Why a server did not start.
#[derive(Debug)]
pub enum StartError {
    /// The address cannot be bound: the operator's matter.
    Listen(SocketAddr, io::Error),
    /// The journal cannot be opened: the operator's or the environment's matter.
    Journal(OpenError),
    /// The environment has not enough threads or files.
    Resources(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Listen(address, error) => {
                let hint = match error.kind() {
                    io::ErrorKind::AddrInUse => "another program listens there",
                    io::ErrorKind::AddrNotAvailable => {
                        "no interface of this machine has this address"
                    }
                    io::ErrorKind::PermissionDenied => {
                        "ports below 1024 need root or CAP_NET_BIND_SERVICE"
                    }
                    _ => "the system refuses",
                };
                write!(
                    f,
                    "cannot listen on {address}: {error}; {hint}; 'listen' names another address"
                )
            }
            StartError::Journal(error) => error.fmt(f),
            StartError::Resources(error) => {
                write!(f, "cannot start the server's own threads: {error}")
            }
        }
    }
}

impl std::error::Error for StartError {}

impl Server {
    /// Starts to serve. Raises this process's soft limit of open files to the hard one, and serves fewer
    /// connections than `limits.connections` where the host does not allow so many, with a warning.
    /// Returns when connections are accepted.
    ///
    /// # Errors
    /// When the address cannot be bound, the journal not opened, or there are no threads to be had.
    pub fn start(mut config: Config) -> Result<Server, StartError> {
        let grant = Budget::of_this_process().grant(config.limits.connections);
        if let Some(sentence) = grant.lowered {
            log::warn!("{sentence}");
        }
        config.limits.connections = grant.granted;
        let socket =
            listener::bind(&config).map_err(|error| StartError::Listen(config.listen, error))?;
        let journal = Opening::open(&config, random()).map_err(StartError::Journal)?;
        let hub = Hub::start(&config, journal).map_err(StartError::Resources)?;
        Self::serve(hub, config, socket).map_err(StartError::Resources)
    }

    fn serve(hub: Hub, config: Config, socket: std::net::TcpListener) -> io::Result<Server> {
        let threads = config
            .fanout
            .catch_up
            .or(config.fanout.shards)
            .unwrap_or_else(cores);
        let permits = Permits::new(config.limits.connections);
        let shutdown = Shutdown::default();
        let context = Arc::new(Context {
            hub,
            catch_up: CatchUp::start(threads.get(), config.limits.connections)?,
            roster: Roster::new(shutdown.clone()),
            shutdown,
            lanes: Lanes::default(),
            told: Current::new(config),
        });
        let doormen = Arc::new(Doormen::start(&context)?);
        let listener = Listener::start(&context, &permits, &doormen, socket)?;
        Ok(Server {
            context,
            listener,
            doormen,
            permits,
        })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
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
    /// open then is cut. Returns when all threads have ended, or two seconds after the cut.
    pub fn stop(self, leaving: Leaving) {
        self.end(leaving);
    }

    fn end(&self, leaving: Leaving) {
        if self.context.shutdown.begun().is_some() {
            return;
        }
        let deadline = Instant::now() + self.context.config().timeouts.drain;
        log::info!("stopping: goodbye is said to every client");
        self.listener.stop();
        // What was acknowledged reaches everyone who is live before they are told goodbye.
        self.context.hub.close(deadline);
        self.context.shutdown.begin(leaving);
        self.context.roster.say_goodbye(leaving);
        self.doormen.stop();
        let left = self.permits.wait_for_all(deadline);
        if left > 0 {
            log::warn!("{left} connections did not end in time and are cut");
            self.context.roster.cut();
            self.permits.wait_for_all(Instant::now() + CUT_OFF);
        }
        self.context.catch_up.stop();
        self.context.hub.stop();
        log::info!("stopped");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end(Leaving::Away);
    }
}

/// The bounds of a request's head.
fn ceilings(limits: &Limits) -> Ceilings {
    Ceilings {
        head_bytes: limits.head_bytes,
        target_bytes: limits.target_bytes,
        fields: limits.fields,
    }
}

/// Runs what belongs to one connection; `None` after a panic in it, which is a bug of ours and ends this
/// connection only.
fn contain<T>(stream: &Stream, body: impl FnOnce() -> T) -> Option<T> {
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
