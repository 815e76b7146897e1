//! A subscription that outlives its connections: it comes back by itself, where it was.

use std::time::{Duration, Instant};

use super::Client;
use super::error::{Close, Error};
use super::event::{Event, Gap, Incoming};
use super::place::{Place, Start};
use super::retry::Backoff;
use super::stop::Stopper;
use super::transport::{self, Ask, Transport, Way};
use crate::event::Cursor;

/// What is to be subscribed to, and how.
#[derive(Debug, Clone)]
pub struct Subscribe {
    client: Client,
    selectors: String,
    transport: Transport,
    start: Start,
}

impl Subscribe {
    pub(super) fn new(client: &Client, selectors: &str) -> Self {
        Subscribe {
            client: client.clone(),
            selectors: selectors.to_owned(),
            transport: Transport::default(),
            start: Start::default(),
        }
    }

    /// The way to receive by. Default: [`Transport::WebSocket`].
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// Where to begin. Default: [`Start::Now`], on every way.
    pub fn after(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Connects. Blocks until the stream begins (polls: until the request is sent), at most for the
    /// client's connect and answer timeouts. What is published after [`Item::Connected`] is received.
    ///
    /// # Errors
    /// Whatever prevents this first connection: only later ones are tried again. A poll's refusal shows
    /// at the first [`Subscription::next_before`].
    pub fn open(self) -> Result<Subscription, Error> {
        let options = self.client.options();
        let backoff = Backoff::new(options.backoff, options.backoff_ceiling);
        let ask = Ask::new(&self.selectors, self.start)?;
        let way = transport::open(&self.client, self.transport, &ask)?;
        Ok(Subscription {
            client: self.client,
            transport: self.transport,
            place: Place::new(self.start),
            state: State::Open { way, silent: true },
            ask,
            backoff,
            held: None,
            farewell: None,
            reconnection_time: None,
        })
    }
}

/// What a subscription has to say.
#[derive(Debug)]
#[non_exhaustive]
pub enum Item {
    /// The server has begun to answer, at first or again.
    Connected,
    /// An event, each once.
    Event(Event),
    /// Events were lost to this subscriber, and delivery goes on behind them.
    Gap(Gap),
    /// The connection was lost; the subscription comes back by itself.
    Disconnected {
        /// How it was lost.
        error: Error,
        /// When the next attempt is made.
        retry_in: Duration,
    },
}

/// A running subscription. As an iterator it blocks for every [`Item`] and ends after an error, or when
/// it is stopped; with a deadline, see [`next_before`](Self::next_before).
pub struct Subscription {
    client: Client,
    transport: Transport,
    ask: Ask,
    place: Place,
    backoff: Backoff,
    state: State,
    /// What came first on a connection, while the caller is told that there is one.
    held: Option<Incoming>,
    /// The code of a `bye` on this connection, whose end is awaited.
    farewell: Option<u16>,
    /// What `retry:` of an event stream has said; it holds for failures to connect, too.
    reconnection_time: Option<Duration>,
}

enum State {
    /// Connected; silent until the first thing comes.
    Open { way: Box<dyn Way>, silent: bool },
    /// Between two connections.
    Waiting { until: Instant },
    /// Over.
    Ended,
}

/// How far the wait of one who has no deadline goes before it is begun again.
const LONG: Duration = Duration::from_secs(3600);

impl Subscription {
    /// What comes next; `None` when nothing has come by `deadline`.
    ///
    /// Blocks until `deadline`, except that an attempt to connect that has begun is completed: at most
    /// the client's connect and answer timeouts more. Reconnects with growing, random waits, resumes
    /// behind the last thing it has returned, and never returns an event twice.
    ///
    /// # Errors
    /// Only what coming back does not help with: a refusal that is final (see [`Error::may_pass`]), too
    /// many attempts when they are bounded, and [`Error::Stopped`]. After an error the subscription is
    /// over, and every call returns [`Error::Stopped`].
    pub fn next_before(&mut self, deadline: Instant) -> Result<Option<Item>, Error> {
        loop {
            let came = match &mut self.state {
                State::Ended => return Err(Error::Stopped),
                State::Waiting { until } => {
                    let until = *until;
                    self.wait(until.min(deadline))?;
                    if Instant::now() < until {
                        return Ok(None);
                    }
                    self.connect()?
                }
                State::Open { .. } => match self.receive(deadline) {
                    Ok(None) => return Ok(None),
                    Ok(Some(incoming)) => self.take(incoming)?,
                    Err(error) => Some(self.lost(error)?),
                },
            };
            if came.is_some() {
                return Ok(came);
            }
        }
    }

    /// The cursor to resume from, for a later subscription on whatever way; `None` before the server
    /// has named one.
    pub fn cursor(&self) -> Option<Cursor> {
        self.place.cursor()
    }

    /// The way it receives by.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Goes on by another way from where it stands: nothing is lost and nothing comes twice. Closes the
    /// connection, which blocks at most for the client's close timeout; the new one is made by the next
    /// call that receives.
    pub fn switch(&mut self, transport: Transport) {
        self.transport = transport;
        // It has not been returned, so the place is before it and it comes again.
        self.held = None;
        let until = Instant::now();
        match std::mem::replace(&mut self.state, State::Waiting { until }) {
            State::Open { way, .. } => way.close(),
            State::Waiting { .. } => {}
            State::Ended => self.state = State::Ended,
        }
    }

    /// A handle that ends it from another thread.
    pub fn stopper(&self) -> Stopper {
        self.ask.stopper.clone()
    }

    /// Ends it, with a WebSocket's closing handshake where that is the way. Blocks at most for the
    /// client's close timeout.
    pub fn close(mut self) {
        if let State::Open { way, .. } = std::mem::replace(&mut self.state, State::Ended) {
            way.close();
        }
    }

    fn wait(&mut self, end: Instant) -> Result<(), Error> {
        self.ask
            .stopper
            .wait(end)
            .inspect_err(|_| self.state = State::Ended)
    }

    fn connect(&mut self) -> Result<Option<Item>, Error> {
        self.ask.start = self.place.start();
        self.farewell = None;
        match transport::open(&self.client, self.transport, &self.ask) {
            Ok(way) => {
                self.state = State::Open { way, silent: true };
                Ok(None)
            }
            Err(error) => self.lost(error).map(Some),
        }
    }

    fn receive(&mut self, deadline: Instant) -> Result<Option<Incoming>, Error> {
        if self.held.is_some() {
            return Ok(self.held.take());
        }
        match &mut self.state {
            State::Open { way, .. } => way.next(deadline),
            State::Waiting { .. } | State::Ended => Ok(None),
        }
    }

    /// Takes in what the server sent; says what of it is for the caller.
    fn take(&mut self, incoming: Incoming) -> Result<Option<Item>, Error> {
        if let State::Open { silent, .. } = &mut self.state
            && std::mem::take(silent)
        {
            self.held = Some(incoming);
            return Ok(Some(Item::Connected));
        }
        match incoming {
            Incoming::Welcome { cursor, .. } => self.place.welcomed(cursor),
            Incoming::Heartbeat { cursor } => {
                self.backoff.succeeded();
                self.place.examined(cursor);
            }
            Incoming::Event(event) => {
                self.backoff.succeeded();
                return Ok(self.place.accept(&event).then_some(Item::Event(event)));
            }
            Incoming::Gap(gap) => {
                self.backoff.succeeded();
                self.place.gap(&gap);
                return Ok(Some(Item::Gap(gap)));
            }
            Incoming::Bye { code, retry } => {
                self.farewell = code;
                if let Some(wait) = retry {
                    self.backoff.hint(wait);
                }
            }
            Incoming::Refused { problem, .. } => {
                return self.lost(Error::Refused(problem)).map(Some);
            }
            Incoming::Ack { .. }
            | Incoming::Replay { .. }
            | Incoming::Live { .. }
            | Incoming::Unknown { .. } => {}
        }
        Ok(None)
    }

    /// The connection is gone: comes back later, or ends when that does not help.
    fn lost(&mut self, error: Error) -> Result<Item, Error> {
        if let State::Open { way, .. } = &self.state
            && let Some(time) = way.reconnection_time()
        {
            self.reconnection_time = Some(time);
        }
        if self.ask.stopper.is_stopped() {
            self.state = State::Ended;
            return Err(Error::Stopped);
        }
        let error = self.explained(error);
        let attempts = self.client.options().attempts;
        if !error.may_pass() || attempts.is_some_and(|most| self.backoff.failures() >= most) {
            self.state = State::Ended;
            return Err(error);
        }
        if let Some(wait) = error.retry_after() {
            self.backoff.hint(wait);
        }
        let retry_in = self.backoff.failed(self.reconnection_time);
        self.state = State::Waiting {
            until: Instant::now() + retry_in,
        };
        Ok(Item::Disconnected { error, retry_in })
    }

    /// An end that says nothing by itself, with what a `bye` before it said. Only a WebSocket's close
    /// repeats the code.
    fn explained(&mut self, error: Error) -> Error {
        match (error, self.farewell.take()) {
            (Error::Ended | Error::Connection(_) | Error::Silent(_), Some(code)) => {
                Error::Closed(Close::of_bye(code))
            }
            (error, _) => error,
        }
    }
}

impl Iterator for Subscription {
    type Item = Result<Item, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.next_before(Instant::now() + LONG) {
                Ok(Some(item)) => return Some(Ok(item)),
                Ok(None) => {}
                Err(Error::Stopped) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
