//! The five ways of receiving, and how a request asks for each.

use std::fmt;
use std::str::FromStr;

use super::error::Error;
use super::event::Incoming;
use super::http::Request;
use super::http_stream::HttpStream;
use super::place::{Start, seconds_up};
use super::poll::Poll;
use super::stop::Stopper;
use super::websocket::WebSocket;
use super::{Client, selectors};
use std::time::{Duration, Instant};

/// A way of receiving events. All carry the same events under the same ids, so a subscription may change
/// from one to another where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Transport {
    /// WebSocket (RFC 6455).
    #[default]
    WebSocket,
    /// Server-Sent Events (WHATWG HTML, section 9.2).
    Sse,
    /// One JSON object a line over one long answer.
    Ndjson,
    /// Requests that the server holds until there is something to answer.
    LongPoll,
    /// Requests at an interval, answered at once.
    Poll,
}

impl Transport {
    /// All of them.
    pub const ALL: [Transport; 5] = [
        Transport::WebSocket,
        Transport::Sse,
        Transport::Ndjson,
        Transport::LongPoll,
        Transport::Poll,
    ];

    /// The name that the wire's `transport` parameter and the command line have for it.
    pub const fn name(self) -> &'static str {
        match self {
            Transport::WebSocket => "websocket",
            Transport::Sse => "sse",
            Transport::Ndjson => "ndjson",
            Transport::LongPoll => "long-poll",
            Transport::Poll => "poll",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Transport {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let named = |transport: &Transport| transport.name() == text;
        Transport::ALL.into_iter().find(named).ok_or_else(|| {
            let names = Transport::ALL.map(Transport::name).join(", ");
            Error::invalid(format!("{text:?} is none of {names}"))
        })
    }
}

/// What a connection is to receive.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    /// Channels and patterns, checked, joined by commas.
    pub(super) selectors: String,
    /// Where to begin.
    pub(super) start: Start,
    /// Who may end it.
    pub(super) stopper: Stopper,
}

impl Ask {
    /// Checks channels and patterns (`rooms/*,alerts`).
    pub(super) fn new(selectors: &str, start: Start) -> Result<Self, Error> {
        Ok(Ask {
            selectors: selectors::checked(selectors)?.to_owned(),
            start,
            stopper: Stopper::default(),
        })
    }

    /// The GET for it, with the fields of the client's options.
    pub(super) fn request(&self, client: &Client) -> Request {
        let parameters: Vec<_> = self.start.parameter().into_iter().collect();
        let request = client.request("GET", &self.selectors, &parameters);
        match self.start {
            Start::Cursor(cursor) => request.with("Last-Event-ID", cursor.to_string()),
            _ => request,
        }
    }

    /// How a long poll says how long it waits (RFC 7240, section 4.3).
    pub(super) fn wait(wait: Duration) -> String {
        format!("wait={}", seconds_up(wait))
    }
}

/// One connection, or one series of polls, that brings what the server sends.
pub(super) trait Way: Send {
    /// What comes next; `None` when nothing has come by `deadline`. After an error the connection is
    /// of no more use.
    fn next(&mut self, deadline: Instant) -> Result<Option<Incoming>, Error>;

    /// The time to wait before coming back that holds until the server names another.
    fn reconnection_time(&self) -> Option<Duration> {
        None
    }

    /// Says goodbye where the way has one; blocks no longer than the client's close timeout.
    fn close(self: Box<Self>);
}

/// Connects for `ask`, and waits for the beginning of the stream where there is one.
pub(super) fn open(
    client: &Client,
    transport: Transport,
    ask: &Ask,
) -> Result<Box<dyn Way>, Error> {
    Ok(match transport {
        Transport::WebSocket => Box::new(WebSocket::for_subscription(client, ask)?),
        Transport::Sse => Box::new(HttpStream::sse(client, ask)?),
        Transport::Ndjson => Box::new(HttpStream::ndjson(client, ask)?),
        Transport::LongPoll => Box::new(Poll::long(client, ask)?),
        Transport::Poll => Box::new(Poll::at_intervals(client, ask)?),
    })
}
