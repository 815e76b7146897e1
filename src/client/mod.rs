//! The other end: a blocking client for publishing and for all five ways of receiving.
//!
//! ```no_run
//! use fourcast::client::{Client, Item, Message, Start, Transport};
//!
//! # fn main() -> Result<(), fourcast::client::Error> {
//! let client = Client::new("http://127.0.0.1:8080")?;
//! client.publish(&Message::text("chat", "hello"))?;
//!
//! let events = client
//!     .subscribe("chat,rooms/*")
//!     .transport(Transport::Sse)
//!     .after(Start::Last(1))
//!     .open()?;
//! for item in events {
//!     match item? {
//!         Item::Event(event) => println!("{}: {}", event.channel, event.data()),
//!         Item::Gap(gap) => println!("something was lost ({})", gap.reason),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Nothing here starts a thread. A [`Subscription`] does its work, heartbeats and reconnections
//! included, while it is asked for what comes next, so it is to be asked all the time.

pub(crate) mod bare;
mod connection;
mod endpoint;
mod error;
mod event;
mod http;
mod http_stream;
mod line;
mod options;
mod place;
mod poll;
mod publish;
mod random;
mod retry;
mod selectors;
pub mod sse;
mod stop;
mod subscription;
#[cfg(test)]
mod tests;
mod transport;
pub mod websocket;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use error::{Close, Error, Problem};
pub use event::{Event, Gap, Incoming};
pub use options::Builder;
pub use place::Start;
pub use publish::{Batch, Message, Receipt};
pub use stop::Stopper;
pub use subscription::{Item, Subscribe, Subscription};
pub use transport::Transport;
pub use websocket::WebSocket;

use connection::Connection;
use endpoint::Endpoint;
use http::Request;
use options::Options;

/// A client of one server. Clones are the same client; it may be used by many threads at once.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    endpoint: Endpoint,
    options: Options,
    /// The connection of the last exchange, kept for the next.
    idle: Mutex<Option<Connection>>,
}

impl Client {
    /// A client with the default options for the server at `url`, such as `http://127.0.0.1:8080`. Does
    /// not connect yet.
    ///
    /// # Errors
    /// [`Error::Invalid`] when `url` is not `http://host[:port][/path]` or `https://…`, or nobody is known who could
    /// vouch for a server.
    pub fn new(url: &str) -> Result<Self, Error> {
        Self::builder(url).build()
    }

    /// A client with options of your own.
    pub fn builder(url: &str) -> Builder {
        Builder::new(url)
    }

    /// Subscribes to channels and patterns, separated by commas: `rooms/*,alerts`.
    pub fn subscribe(&self, selectors: &str) -> Subscribe {
        Subscribe::new(self, selectors)
    }

    /// A WebSocket that begins without subscriptions, for publishing and subscribing over one
    /// connection. It does not come back by itself. Blocks for the connect and answer timeouts at most.
    ///
    /// # Errors
    /// What prevents the connection, or [`Error::Refused`].
    pub fn websocket(&self) -> Result<WebSocket, Error> {
        WebSocket::bare(self)
    }

    /// The same with a subscription, whose events come without further ado; publications that name no
    /// channel go to it where it is one channel.
    ///
    /// # Errors
    /// As [`websocket`](Self::websocket).
    pub fn websocket_to(&self, selectors: &str, start: Start) -> Result<WebSocket, Error> {
        WebSocket::to(self, selectors, start)
    }

    fn with(endpoint: Endpoint, options: Options) -> Self {
        Client(Arc::new(Shared {
            endpoint,
            options,
            idle: Mutex::new(None),
        }))
    }

    fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    fn options(&self) -> &Options {
        &self.0.options
    }

    /// A request with the fields of the options.
    fn request(&self, method: &'static str, path: &str, parameters: &[(&str, String)]) -> Request {
        let target = self.endpoint().target(path, parameters);
        let fields = self.options().fields.iter().cloned();
        fields.fold(Request::new(method, target), |request, (name, value)| {
            request.with(name, value)
        })
    }

    /// A new connection, which `stopper` may end.
    fn connect(&self, stopper: Option<&Stopper>) -> Result<Connection, Error> {
        let connection = Connection::open(self.endpoint(), self.options())?;
        if let Some(stopper) = stopper {
            stopper.watch(connection.line())?;
        }
        Ok(connection)
    }

    fn idle(&self) -> MutexGuard<'_, Option<Connection>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without the options' fields, which may hold secrets.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client")
            .field(&self.0.endpoint.to_string())
            .finish()
    }
}
