//! The client's connections and requests without the client around them, for commands that serve thousands of
//! connections with a few threads.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

pub(crate) use super::connection::Traffic;
pub(crate) use super::http::{Body, Head};

use super::connection::{Connection, Exchange};
use super::error::{Error, Problem};
use super::place::Start;
use super::stop::Stopper;
use super::transport::{Ask, Transport};
use super::websocket::{self, Opcode};
use super::{Client, http_stream, selectors};
use crate::event::Cursor;

/// A connection on which events may come from now on.
pub(crate) struct Begun {
    /// The connection, blocking.
    pub(crate) socket: TcpStream,
    /// What was received behind the beginning already.
    pub(crate) received: Vec<u8>,
    /// What the bytes on it are.
    pub(crate) form: Form,
    /// What went over it so far.
    pub(crate) traffic: Traffic,
}

/// What comes on a connection.
#[derive(Debug)]
pub(crate) enum Form {
    /// The rest of one answer, which does not end.
    Stream(Body),
    /// Frames (RFC 6455).
    Frames,
    /// An answer to each request; the first one gave this cursor.
    Answers(Cursor),
}

impl Client {
    /// Begins to receive what is published to `channel` from now on. Blocks until the server has said so,
    /// at most for the connect and answer timeouts.
    ///
    /// # Errors
    /// What prevents it, a refusal among it.
    pub(crate) fn begin(&self, channel: &str, transport: Transport) -> Result<Begun, Error> {
        let ask = Ask::new(channel, Start::Now)?;
        match transport {
            Transport::Sse => self.begin_stream(&ask, "text/event-stream"),
            Transport::Ndjson => self.begin_stream(&ask, "application/x-ndjson"),
            Transport::WebSocket => {
                let connection = websocket::upgrade(self, ask.request(self), &ask.stopper)?;
                Begun::on(connection, Form::Frames)
            }
            Transport::LongPoll | Transport::Poll => self.begin_polls(&ask),
        }
    }

    fn begin_stream(&self, ask: &Ask, media_type: &'static str) -> Result<Begun, Error> {
        let mut exchange = http_stream::begin(self, ask, media_type)?;
        let head = exchange.head(Instant::now())?;
        let form = Form::Stream(Body::of(head.ok_or_else(Error::timed_out)?)?);
        Begun::on(exchange.into_connection(), form)
    }

    /// The first poll is answered at once; what is published after its cursor is not missed.
    fn begin_polls(&self, ask: &Ask) -> Result<Begun, Error> {
        let deadline = Instant::now() + self.options().answer_timeout;
        let connection = self.connect(Some(&ask.stopper))?;
        let exchange = Exchange::begin(connection, &ask.request(self), self.endpoint(), deadline);
        let answer = exchange.finish(self.options().max_message, deadline)?;
        if answer.head.status != 200 {
            return Err(Error::Refused(Problem::of(&answer.head, &answer.body)));
        }
        let cursor = cursor_of(&answer.head)?;
        let connection = answer.connection.ok_or_else(Error::hung_up)?;
        Begun::on(connection, Form::Answers(cursor))
    }

    /// A connection without a request on it, blocking.
    ///
    /// # Errors
    /// What prevents it.
    pub(crate) fn connect_bare(&self) -> Result<TcpStream, Error> {
        socket_of(self.connect(Some(&Stopper::default()))?)
    }

    /// The bytes of a GET of `channel`, with the fields of the options and those given.
    ///
    /// # Errors
    /// When this is not a channel.
    pub(crate) fn get(
        &self,
        channel: &str,
        parameters: &[(&str, String)],
        fields: Vec<(&'static str, String)>,
    ) -> Result<Vec<u8>, Error> {
        let channel = selectors::channel(channel)?;
        let request = self.request("GET", channel.as_str(), parameters);
        let with_fields = fields
            .into_iter()
            .fold(request, |request, (name, value)| request.with(name, value));
        Ok(with_fields.render(&self.endpoint().authority))
    }

    /// The bytes of a POST of `body` to `channel`, with the fields of the options.
    ///
    /// # Errors
    /// When this is not a channel.
    pub(crate) fn post(
        &self,
        channel: &str,
        media_type: &'static str,
        body: Vec<u8>,
    ) -> Result<Vec<u8>, Error> {
        let channel = selectors::channel(channel)?;
        let request = self
            .request("POST", channel.as_str(), &[])
            .with("Content-Type", media_type)
            .with_body(body);
        Ok(request.render(&self.endpoint().authority))
    }
}

impl Begun {
    fn on(mut connection: Connection, form: Form) -> Result<Self, Error> {
        let received = connection.take_received();
        let traffic = connection.traffic();
        Ok(Begun {
            socket: socket_of(connection)?,
            received,
            form,
            traffic,
        })
    }
}

/// The cursor that an answer to a poll hands out.
pub(crate) fn cursor_of(head: &Head) -> Result<Cursor, Error> {
    head.field("last-event-id")
        .and_then(Cursor::parse)
        .ok_or_else(|| Error::protocol("an answer to a poll without a cursor"))
}

/// The refusal that an answer with another status than the one expected is.
pub(crate) fn refusal(head: &Head, body: &[u8]) -> Error {
    Error::Refused(Problem::of(head, body))
}

/// The frame that answers a ping (RFC 6455, section 5.5.3).
pub(crate) fn pong(payload: &[u8]) -> Result<Vec<u8>, Error> {
    websocket::masked_frame(Opcode::Pong, payload)
}

fn socket_of(connection: Connection) -> Result<TcpStream, Error> {
    let line = Arc::clone(connection.line());
    drop(connection);
    // A stopper keeps no connection, so this was the last other owner.
    let line = Arc::into_inner(line).ok_or_else(Error::hung_up)?;
    line.into_socket().ok_or_else(|| {
        Error::invalid(
            "connections over TLS cannot be measured; name an http:// address of the server",
        )
    })
}
