//! Receiving by requests: long polls that the server holds, or polls at an interval.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Client;
use super::connection::{Answer, Connection, Exchange};
use super::error::{Error, Problem, retry_after};
use super::event::{Incoming, Page};
use super::place::Start;
use super::transport::{Ask, Way};

/// A series of polls over one kept connection.
pub(super) struct Poll {
    client: Client,
    ask: Ask,
    rhythm: Rhythm,
    /// Whether nothing was answered yet. The first request of a series is not held, so that it is soon
    /// known that the server is there, and from which place on nothing may be missed.
    first: bool,
    state: State,
    idle: Option<Connection>,
    found: VecDeque<Incoming>,
}

/// When to ask.
#[derive(Debug, Clone, Copy)]
enum Rhythm {
    /// Again at once, since the server waits so long before it answers that there is nothing.
    Held(Duration),
    /// So long after an answer.
    Every(Duration),
}

/// Where the series stands.
enum State {
    /// The next request is due then.
    Pause(Instant),
    /// A request is on its way.
    Asking {
        exchange: Box<Exchange>,
        body: Vec<u8>,
        since: Instant,
    },
}

impl Poll {
    /// Long polls.
    pub(super) fn long(client: &Client, ask: &Ask) -> Result<Self, Error> {
        Self::open(client, ask, Rhythm::Held(client.options().long_poll_wait))
    }

    /// Polls at the client's interval.
    pub(super) fn at_intervals(client: &Client, ask: &Ask) -> Result<Self, Error> {
        Self::open(client, ask, Rhythm::Every(client.options().poll_interval))
    }

    fn open(client: &Client, ask: &Ask, rhythm: Rhythm) -> Result<Self, Error> {
        let mut poll = Poll {
            client: client.clone(),
            ask: ask.clone(),
            rhythm,
            first: true,
            state: State::Pause(Instant::now()),
            idle: None,
            found: VecDeque::new(),
        };
        poll.send()?;
        Ok(poll)
    }

    /// Sends the next request, over the kept connection if it still stands.
    fn send(&mut self) -> Result<(), Error> {
        let since = Instant::now();
        let request = self.ask.request(&self.client);
        let request = request.with("Accept", "application/json");
        let request = match self.rhythm {
            Rhythm::Held(wait) if !self.first => request.with("Prefer", Ask::wait(wait)),
            Rhythm::Held(_) | Rhythm::Every(_) => request,
        };
        let connection = match self.idle.take().and_then(Connection::if_usable) {
            Some(connection) => connection,
            None => self.client.connect(Some(&self.ask.stopper))?,
        };
        let deadline = since + self.client.options().answer_timeout;
        let exchange = Exchange::begin(connection, &request, self.client.endpoint(), deadline);
        self.state = State::Asking {
            exchange: Box::new(exchange),
            body: Vec::new(),
            since,
        };
        Ok(())
    }

    /// Waits for the pause to end and sends, or for the answer and takes it, at most until `deadline`;
    /// says whether that was done.
    fn advance(&mut self, deadline: Instant) -> Result<bool, Error> {
        let patience = self.patience();
        let limit = self.client.options().max_message;
        match &mut self.state {
            State::Pause(due) => {
                let due = *due;
                self.ask.stopper.wait(due.min(deadline))?;
                if Instant::now() < due {
                    return Ok(false);
                }
                self.send()?;
            }
            State::Asking {
                exchange,
                body,
                since,
            } => {
                let since = *since;
                let dead_at = since + patience;
                if exchange.rest(body, limit, deadline.min(dead_at))?.is_none() {
                    let dead = Instant::now() >= dead_at;
                    return if dead {
                        Err(Error::Silent(patience))
                    } else {
                        Ok(false)
                    };
                }
                self.take_answer(since)?;
            }
        }
        Ok(true)
    }

    /// How long an answer may take.
    fn patience(&self) -> Duration {
        let answer = self.client.options().answer_timeout;
        match self.rhythm {
            Rhythm::Held(wait) => answer.saturating_add(wait),
            Rhythm::Every(_) => answer,
        }
    }

    /// Takes the answer that has come, and decides when to ask again.
    fn take_answer(&mut self, since: Instant) -> Result<(), Error> {
        let pause = State::Pause(Instant::now());
        let State::Asking { exchange, body, .. } = std::mem::replace(&mut self.state, pause) else {
            return Ok(());
        };
        let answer = exchange.into_answer(body)?;
        if answer.head.status != 200 {
            return Err(Error::Refused(Problem::of(&answer.head, &answer.body)));
        }
        let page = Page::parse(&answer.body)?;
        self.state = State::Pause(Instant::now() + self.pause(&answer, &page, since));
        self.first = false;
        self.idle = answer.connection;
        self.ask.start = Start::Cursor(page.cursor);
        self.found.extend(page.gap.map(Incoming::Gap));
        self.found
            .extend(page.events.into_iter().map(Incoming::Event));
        self.found.push_back(Incoming::Heartbeat {
            cursor: Some(page.cursor),
        });
        Ok(())
    }

    /// How long to wait before asking again. A held poll that is answered at once without anything is
    /// the answer of a server that is stopping, or does not hold polls: it must not be asked in a loop.
    fn pause(&self, answer: &Answer, page: &Page, since: Instant) -> Duration {
        if let Some(wait) = answer.head.field("retry-after").and_then(retry_after) {
            return wait.min(Duration::from_secs(600));
        }
        let interval = self.client.options().poll_interval;
        match self.rhythm {
            _ if page.more => Duration::ZERO,
            Rhythm::Every(interval) => interval,
            Rhythm::Held(_) if !self.first && page.events.is_empty() && page.gap.is_none() => {
                interval.saturating_sub(since.elapsed())
            }
            Rhythm::Held(_) => Duration::ZERO,
        }
    }
}

impl Way for Poll {
    fn next(&mut self, deadline: Instant) -> Result<Option<Incoming>, Error> {
        loop {
            if let Some(incoming) = self.found.pop_front() {
                return Ok(Some(incoming));
            }
            if !self.advance(deadline)? {
                return Ok(None);
            }
        }
    }

    fn close(self: Box<Self>) {}
}
