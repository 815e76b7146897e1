//! A connection whose every wait has a deadline, and one exchange of request and answer over it.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::endpoint::Endpoint;
use super::error::{Error, Problem};
use super::http::{Body, Head, Request};
pub(super) use super::line::is_timeout;
use super::line::{Line, left_until};
use super::options::Options;

/// The most bytes read at once.
const PIECE: usize = 16 * 1024;
/// The most bytes of a refusal's body.
const MAX_REFUSAL: usize = 64 * 1024;
/// A kept connection is given up this long before the server would close it.
const KEEP_ALIVE_MARGIN: Duration = Duration::from_secs(1);

/// What came of waiting for bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// Some bytes.
    Bytes,
    /// Nothing up to the deadline.
    Nothing,
    /// The end of what the peer sends.
    End,
}

/// A connection, and what was received on it but not used yet.
#[derive(Debug)]
pub(super) struct Connection {
    line: Arc<Line>,
    received: Vec<u8>,
    heard: Instant,
    usable_until: Option<Instant>,
    traffic: Traffic,
}

/// Bytes that went over a socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// From here to the server.
    pub(crate) sent: u64,
    /// From the server to here.
    pub(crate) received: u64,
}

impl Connection {
    /// Connects within the connect timeout, the handshake of TLS included.
    pub(super) fn open(endpoint: &Endpoint, options: &Options) -> Result<Self, Error> {
        let deadline = Instant::now() + options.connect_timeout;
        let addresses = (&*endpoint.host, endpoint.port)
            .to_socket_addrs()
            .map_err(Error::Connect)?;
        let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses {
            match TcpStream::connect_timeout(&address, left_until(deadline)) {
                Ok(socket) => return Connection::over(socket, endpoint, options, deadline),
                Err(error) => failure = error,
            }
        }
        Err(Error::Connect(failure))
    }

    fn over(
        socket: TcpStream,
        endpoint: &Endpoint,
        options: &Options,
        deadline: Instant,
    ) -> Result<Self, Error> {
        // Small messages must not wait for the acknowledgement of the one before.
        socket.set_nodelay(true).map_err(Error::Connect)?;
        let line = match &options.connector {
            None => Line::plain(socket),
            Some(connector) => Line::secure(socket, connector, &endpoint.host, deadline)?,
        };
        Ok(Connection {
            line: Arc::new(line),
            received: Vec::new(),
            heard: Instant::now(),
            usable_until: None,
            traffic: Traffic::default(),
        })
    }

    /// What it goes over, to be ended or written to by another owner.
    pub(super) fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// What was sent by exchanges and received so far.
    pub(super) fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// When the last bytes came.
    pub(super) fn heard(&self) -> Instant {
        self.heard
    }

    /// Takes what was received and not used.
    pub(super) fn take_received(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.received)
    }

    /// Waits for bytes, at most until `deadline`.
    pub(super) fn receive(&mut self, deadline: Instant) -> Result<Received, Error> {
        let mut piece = [0; PIECE];
        let length = match self.read(&mut piece, deadline) {
            Ok(0) => return Ok(Received::End),
            Ok(length) => length,
            Err(error) if is_timeout(&error) => return Ok(Received::Nothing),
            Err(error) => return Err(Error::Connection(error)),
        };
        self.received
            .extend_from_slice(piece.get(..length).unwrap_or_default());
        Ok(Received::Bytes)
    }

    /// Reads into `piece`, waiting at most until `deadline`; see [`is_timeout`] for its passing.
    pub(super) fn read(&mut self, piece: &mut [u8], deadline: Instant) -> io::Result<usize> {
        loop {
            match self.line.read(piece, deadline) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(length) => {
                    self.heard = Instant::now();
                    self.traffic.received += length as u64;
                    return Ok(length);
                }
            }
        }
    }

    /// Whether the kept connection can carry another request: neither closed by the server, nor about
    /// to be, nor with bytes on it that nobody asked for.
    fn is_usable(&self) -> bool {
        if self.usable_until.is_some_and(|end| Instant::now() >= end) {
            return false;
        }
        self.line.is_quiet()
    }

    /// The connection, if it can carry another request.
    pub(super) fn if_usable(self) -> Option<Self> {
        self.is_usable().then_some(self)
    }
}

/// A request that was sent, and as much of its answer as has arrived.
#[derive(Debug)]
pub(super) struct Exchange {
    connection: Connection,
    unsent: Option<Error>,
    head: Option<Head>,
    body: Body,
}

/// An answer that has arrived as a whole.
#[derive(Debug)]
pub(super) struct Answer {
    /// Its head.
    pub(super) head: Head,
    /// Its body, decoded.
    pub(super) body: Vec<u8>,
    /// The connection, if it may carry another request.
    pub(super) connection: Option<Connection>,
}

impl Exchange {
    /// Sends a request, at most until `deadline`.
    pub(super) fn begin(
        mut connection: Connection,
        request: &Request,
        endpoint: &Endpoint,
        deadline: Instant,
    ) -> Self {
        let bytes = request.render(&endpoint.authority);
        // A server may refuse before it has read all (RFC 9112, section 9.5): its answer is worth
        // more than the failure to write, so that is kept and told only when no answer comes.
        let unsent = connection.line.write_all(&bytes, deadline).err();
        connection.traffic.sent += bytes.len() as u64;
        Exchange {
            connection,
            unsent,
            head: None,
            body: Body::Done,
        }
    }

    /// The connection under it.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The connection, and what was received behind the head on it.
    pub(super) fn into_connection(self) -> Connection {
        self.connection
    }

    /// The head of the final answer; `None` when it has not arrived by `deadline`.
    pub(super) fn head(&mut self, deadline: Instant) -> Result<Option<&Head>, Error> {
        while self.head.is_none() {
            if self.take_head()? {
                break;
            }
            match self.connection.receive(deadline) {
                Ok(Received::Bytes) if Instant::now() < deadline => {}
                Ok(Received::Bytes) if self.take_head()? => break,
                Ok(Received::Bytes | Received::Nothing) => return Ok(None),
                Ok(Received::End) => return Err(self.unsent.take().unwrap_or_else(Error::hung_up)),
                Err(error) => return Err(self.unsent.take().unwrap_or(error)),
            }
        }
        Ok(self.head.as_ref())
    }

    /// Takes the head from what was received; interim answers (1xx but 101) are passed over.
    fn take_head(&mut self) -> Result<bool, Error> {
        while let Some(head) = Head::take(&mut self.connection.received)? {
            if !matches!(head.status, 100 | 102..=199) {
                self.body = Body::of(&head)?;
                self.head = Some(head);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Appends what has arrived of the body to `out`, waiting at most until `deadline`.
    pub(super) fn body(&mut self, out: &mut Vec<u8>, deadline: Instant) -> Result<Received, Error> {
        let before = out.len();
        loop {
            self.body.decode(&mut self.connection.received, out)?;
            if out.len() > before {
                return Ok(Received::Bytes);
            }
            if self.body.is_done() {
                return Ok(Received::End);
            }
            match self.connection.receive(deadline)? {
                Received::Bytes if Instant::now() < deadline => {}
                Received::Bytes | Received::Nothing => return Ok(Received::Nothing),
                Received::End => self.body.hang_up()?,
            }
        }
    }

    /// Waits for the rest of the answer, at most `limit` bytes and until `deadline`, behind what
    /// `body` holds already; `None` when it is not whole by then, and can be asked for again.
    pub(super) fn rest(
        &mut self,
        body: &mut Vec<u8>,
        limit: usize,
        deadline: Instant,
    ) -> Result<Option<()>, Error> {
        if self.head(deadline)?.is_none() {
            return Ok(None);
        }
        loop {
            match self.body(body, deadline)? {
                Received::End => return Ok(Some(())),
                Received::Nothing => return Ok(None),
                Received::Bytes if body.len() > limit => {
                    return Err(Error::protocol("an answer beyond the client's bound"));
                }
                Received::Bytes => {}
            }
        }
    }

    /// The whole answer, at most `limit` bytes.
    pub(super) fn finish(mut self, limit: usize, deadline: Instant) -> Result<Answer, Error> {
        let mut body = Vec::new();
        match self.rest(&mut body, limit, deadline)? {
            Some(()) => self.into_answer(body),
            None => Err(Error::timed_out()),
        }
    }

    /// What [`rest`](Self::rest) has completed.
    pub(super) fn into_answer(self, body: Vec<u8>) -> Result<Answer, Error> {
        let Exchange {
            mut connection,
            unsent,
            head,
            ..
        } = self;
        let head = head.ok_or_else(Error::hung_up)?;
        let reusable = unsent.is_none() && head.keeps_alive() && connection.received.is_empty();
        connection.usable_until = head.keep_alive_seconds().map(|seconds| {
            let timeout = Duration::from_secs(seconds.into());
            Instant::now() + timeout.saturating_sub(KEEP_ALIVE_MARGIN)
        });
        Ok(Answer {
            head,
            body,
            connection: reusable.then_some(connection),
        })
    }

    /// The refusal that the answer is, with as much of its body as comes in time.
    pub(super) fn into_refusal(mut self, deadline: Instant) -> Error {
        let mut body = Vec::new();
        let whole = self.rest(&mut body, MAX_REFUSAL, deadline);
        match (self.head, whole) {
            (Some(head), _) => Error::Refused(Problem::of(&head, &body)),
            (None, Err(error)) => error,
            (None, Ok(_)) => Error::timed_out(),
        }
    }
}
