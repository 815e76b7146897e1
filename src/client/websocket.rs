//! WebSocket (RFC 6455) from the client's side: the opening handshake, operations, and what comes.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use tungstenite::error::ProtocolError;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

use super::connection::{self, Connection, Exchange};
use super::error::{Close, Error};
use super::event::Incoming;
use super::http::{Head, Request};
use super::line::Line;
use super::options::Options;
use super::place::Start;
use super::publish::Message;
use super::stop::Stopper;
use super::transport::{Ask, Way};
use super::{Client, random, selectors};

/// What the server appends to the key to show that it understood (RFC 6455, section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// What a read buffer begins with, in bytes; tungstenite would take 128 KiB for every connection.
const READ_BUFFER: usize = 4 * 1024;
/// The close code of an end that was wanted (RFC 6455, section 7.4.1).
const NORMAL: u16 = 1000;
/// The close code that stands for a close frame without one.
const NO_CODE: u16 = 1005;

/// An open WebSocket. It does not come back by itself; a
/// [`Subscription`](super::Subscription) over it does. Dropping it cuts the connection, also for its
/// [`Sender`]s; [`close`](Self::close) is the proper end.
pub struct WebSocket {
    context: WebSocketContext,
    wire: Wire,
    sender: Sender,
    options: Options,
    patience: Duration,
}

/// The sending half, for any thread; clones are the same half. Operations are answered in the stream with
/// [`Incoming::Ack`] or [`Incoming::Refused`], under the number that the method returned.
#[derive(Debug, Clone)]
pub struct Sender(Arc<Link>);

impl WebSocket {
    pub(super) fn bare(client: &Client) -> Result<Self, Error> {
        let request = client.request("GET", "-/socket", &[]);
        Self::open(client, request, &Stopper::default())
    }

    pub(super) fn to(client: &Client, selectors: &str, start: Start) -> Result<Self, Error> {
        Self::for_subscription(client, &Ask::new(selectors, start)?)
    }

    pub(super) fn for_subscription(client: &Client, ask: &Ask) -> Result<Self, Error> {
        Self::open(client, ask.request(client), &ask.stopper)
    }

    fn open(client: &Client, request: Request, stopper: &Stopper) -> Result<Self, Error> {
        let connection = upgrade(client, request, stopper)?;
        Ok(Self::over(connection, client.options()))
    }

    fn over(mut connection: Connection, options: &Options) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_frame_size(Some(options.max_message))
            .max_message_size(Some(options.max_message));
        let link = Arc::new(Link {
            line: Arc::clone(connection.line()),
            closing: Mutex::new(false),
            references: AtomicU64::new(0),
            write_timeout: options.answer_timeout,
        });
        let received = connection.take_received();
        WebSocket {
            context: WebSocketContext::from_partially_read(received, Role::Client, Some(config)),
            sender: Sender(Arc::clone(&link)),
            wire: Wire {
                connection,
                link,
                deadline: Instant::now(),
                has_read: false,
            },
            patience: options.patience(None),
            options: options.clone(),
        }
    }

    /// The sending half.
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// What comes next; `None` when nothing has come by `deadline`, until which it blocks. Pings are
    /// answered in here, so it is to be called all the time.
    ///
    /// # Errors
    /// [`Error::Closed`] when the server closes, also in answer to [`Sender::close`];
    /// [`Error::Silent`] when nothing has come for longer than the client's patience. After an error the
    /// connection is of no more use.
    pub fn next_before(&mut self, deadline: Instant) -> Result<Option<Incoming>, Error> {
        loop {
            let dead_at = self.wire.connection.heard() + self.patience;
            let Some(message) = self.read(deadline.min(dead_at))? else {
                if Instant::now() >= dead_at {
                    return Err(Error::Silent(self.patience));
                }
                if Instant::now() >= deadline {
                    return Ok(None);
                }
                continue;
            };
            if let Some(incoming) = self.understand(message)? {
                return Ok(Some(incoming));
            }
        }
    }

    /// The closing handshake, and the end. Blocks until the server has answered, at most for the
    /// client's close timeout; what comes in between is dropped.
    pub fn close(mut self) {
        let deadline = Instant::now() + self.options.close_timeout;
        if self.sender.close().is_err() {
            return;
        }
        while let Ok(Some(message)) = self.read(deadline) {
            if message.is_close() || Instant::now() >= deadline {
                return;
            }
        }
    }

    /// The next message of the protocol; `None` when none is whole by `deadline`.
    fn read(&mut self, deadline: Instant) -> Result<Option<tungstenite::Message>, Error> {
        self.wire.deadline = deadline;
        self.wire.has_read = false;
        match self.context.read(&mut self.wire) {
            Ok(message) => {
                // Sends the pong or the answer to a close that reading has made. If it fails, so does
                // the next read.
                let _ = self.context.flush(&mut self.wire);
                Ok(Some(message))
            }
            Err(tungstenite::Error::Io(error)) if connection::is_timeout(&error) => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Fails the connection (RFC 6455, section 7.1.7): a peer that broke the protocol is told so.
    fn failed(&mut self, error: tungstenite::Error) -> Error {
        use tungstenite::Error::{AlreadyClosed, Capacity, ConnectionClosed, Io, Protocol, Utf8};
        let code = match error {
            Io(error) => return Error::Connection(error),
            ConnectionClosed | AlreadyClosed => return Error::Ended,
            Protocol(ProtocolError::ResetWithoutClosingHandshake) => return Error::hung_up(),
            Capacity(_) => 1009,
            Utf8(_) => 1007,
            _ => 1002,
        };
        // The connection ends either way.
        let _ = self.sender.0.send(Opcode::Close, &u16::to_be_bytes(code));
        Error::protocol(error.to_string())
    }

    fn understand(&mut self, message: tungstenite::Message) -> Result<Option<Incoming>, Error> {
        use tungstenite::Message::{Binary, Close as ClosedWith, Frame, Ping, Pong, Text};
        match message {
            Text(text) => {
                let incoming = Incoming::parse(&text)?;
                if let Incoming::Welcome { heartbeat, .. } = incoming {
                    self.patience = self.options.patience(heartbeat);
                }
                Ok(Some(incoming))
            }
            Ping(_) | Pong(_) => Ok(Some(Incoming::Heartbeat { cursor: None })),
            ClosedWith(frame) => Err(Error::Closed(Close {
                code: frame.as_ref().map_or(NO_CODE, |frame| frame.code.into()),
                reason: frame.map_or_else(String::new, |frame| frame.reason.to_string()),
            })),
            // Events are text on this wire, and single frames are not handed out.
            Binary(_) | Frame(_) => Ok(None),
        }
    }
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        self.wire.link.line.end();
    }
}

impl Way for WebSocket {
    fn next(&mut self, deadline: Instant) -> Result<Option<Incoming>, Error> {
        self.next_before(deadline)
    }

    fn close(self: Box<Self>) {
        WebSocket::close(*self);
    }
}

/// The opening handshake (RFC 6455, section 4.1); what was received behind it is in the connection.
pub(super) fn upgrade(
    client: &Client,
    request: Request,
    stopper: &Stopper,
) -> Result<Connection, Error> {
    let deadline = Instant::now() + client.options().answer_timeout;
    let key = BASE64.encode(random::sixteen_bytes());
    let request = request
        .with("Upgrade", "websocket")
        .with("Connection", "Upgrade")
        .with("Sec-WebSocket-Version", "13")
        .with("Sec-WebSocket-Key", &key);
    let connection = client.connect(Some(stopper))?;
    let mut exchange = Exchange::begin(connection, &request, client.endpoint(), deadline);
    let head = exchange.head(deadline)?.ok_or_else(Error::timed_out)?;
    if head.status != 101 {
        return Err(exchange.into_refusal(deadline));
    }
    check_switch(head, &key)?;
    Ok(exchange.into_connection())
}

/// Checks that the server has switched to WebSocket for this very request, and to nothing that was not
/// offered (RFC 6455, section 4.1).
fn check_switch(head: &Head, key: &str) -> Result<(), Error> {
    let accept = accept_for(key);
    let switched =
        head.has_token("upgrade", "websocket") && head.has_token("connection", "upgrade");
    if !switched || head.field("sec-websocket-accept") != Some(&*accept) {
        return Err(Error::protocol("the answer to the WebSocket handshake"));
    }
    for name in ["sec-websocket-extensions", "sec-websocket-protocol"] {
        if head.field(name).is_some() {
            return Err(Error::protocol(format!(
                "{name} was answered but not offered"
            )));
        }
    }
    Ok(())
}

/// The `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key`.
pub(super) fn accept_for(key: &str) -> String {
    let digest = sha1_smol::Sha1::from(format!("{key}{GUID}")).digest();
    BASE64.encode(digest.bytes())
}

impl Sender {
    /// Publishes an event; the ack has its id. Blocks until the operating system has taken the bytes, at
    /// most for the client's answer timeout, as all methods here.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it cannot be sent, [`Error::Connection`] when the connection is lost,
    /// [`Error::Stopped`] after a close; as all methods here.
    pub fn publish(&self, message: &Message) -> Result<u64, Error> {
        let reference = self.reference();
        self.operate(reference, &message.to_json(Some(reference))?)
    }

    /// Adds channels and patterns, separated by commas. Events begin after the ack; with a start, the
    /// past comes first, as [`Incoming::Replay`] up to an [`Incoming::Live`]. Only [`Start::Now`],
    /// [`Start::Earliest`] and [`Start::Cursor`] can be asked for here.
    pub fn subscribe(&self, selectors: &str, start: Option<Start>) -> Result<u64, Error> {
        let after = start.map(|start| start.after()).transpose()?;
        self.change("subscribe", selectors, after)
    }

    /// Takes channels and patterns away, as they were added. Their events end with the ack.
    pub fn unsubscribe(&self, selectors: &str) -> Result<u64, Error> {
        self.change("unsubscribe", selectors, None)
    }

    /// Asks for an ack, which shows that the server has read all that was sent before.
    pub fn ping(&self) -> Result<u64, Error> {
        let reference = self.reference();
        self.operate(reference, &format!(r#"{{"op":"ping","ref":{reference}}}"#))
    }

    /// Begins the closing handshake; nothing can be sent after it. The other half then receives
    /// [`Error::Closed`].
    pub fn close(&self) -> Result<(), Error> {
        self.0.send(Opcode::Close, &NORMAL.to_be_bytes())
    }

    fn change(&self, op: &str, list: &str, after: Option<String>) -> Result<u64, Error> {
        #[derive(Serialize)]
        struct Operation<'a> {
            op: &'a str,
            channels: Vec<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            after: Option<String>,
            #[serde(rename = "ref")]
            reference: u64,
        }
        let reference = self.reference();
        let operation = Operation {
            op,
            channels: selectors::checked(list)?.split(',').collect(),
            after,
            reference,
        };
        let json =
            serde_json::to_string(&operation).map_err(|error| Error::invalid(error.to_string()))?;
        self.operate(reference, &json)
    }

    fn operate(&self, reference: u64, json: &str) -> Result<u64, Error> {
        self.0.send(Opcode::Text, json.as_bytes())?;
        Ok(reference)
    }

    fn reference(&self) -> u64 {
        self.0.references.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// The frames that are written here rather than by tungstenite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Text,
    Pong,
    Close,
}

/// What both halves write to, one frame at a time.
#[derive(Debug)]
struct Link {
    line: Arc<Line>,
    /// Whether a close frame was sent; held while a frame is written, so that none is cut by another.
    closing: Mutex<bool>,
    references: AtomicU64,
    write_timeout: Duration,
}

impl Link {
    /// Masks and sends a frame.
    fn send(&self, opcode: Opcode, payload: &[u8]) -> Result<(), Error> {
        if self.write(&masked_frame(opcode, payload)?)? {
            return Ok(());
        }
        Err(Error::Stopped)
    }

    /// Writes whole frames, unless a close frame was written before, after which nothing may follow
    /// (RFC 6455, section 5.5.1); says whether they were written.
    fn write(&self, frames: &[u8]) -> Result<bool, Error> {
        let mut closing = self.closing.lock().unwrap_or_else(PoisonError::into_inner);
        if *closing {
            return Ok(false);
        }
        let deadline = Instant::now() + self.write_timeout;
        *closing = frames.first().is_some_and(|first| first & 0x0f == 0x08);
        self.line.write_all(frames, deadline).inspect_err(|_| {
            // A part of a frame may have gone out: whatever followed would be read as the rest of it.
            *closing = true;
            self.line.end();
        })?;
        Ok(true)
    }
}

/// A frame with a fresh mask, as every frame of a client must have (RFC 6455, section 5.3).
pub(super) fn masked_frame(opcode: Opcode, payload: &[u8]) -> Result<Vec<u8>, Error> {
    let mask = random::mask();
    let header = FrameHeader {
        is_final: true,
        opcode: match opcode {
            Opcode::Text => OpCode::Data(Data::Text),
            Opcode::Pong => OpCode::Control(Control::Pong),
            Opcode::Close => OpCode::Control(Control::Close),
        },
        mask: Some(mask),
        ..FrameHeader::default()
    };
    let mut frame = Vec::with_capacity(header.len(payload.len() as u64) + payload.len());
    header
        .format(payload.len() as u64, &mut frame)
        .map_err(|error| Error::protocol(error.to_string()))?;
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    Ok(frame)
}

/// The socket as tungstenite wants it: reads end at a deadline, and writes come as whole frames.
struct Wire {
    connection: Connection,
    link: Arc<Link>,
    deadline: Instant,
    has_read: bool,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // One look at the socket is always allowed; then a peer that sends byte by byte must not hold
        // the caller beyond its deadline.
        if self.has_read && Instant::now() >= self.deadline {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.has_read = true;
        self.connection.read(buffer, self.deadline)
    }
}

impl Write for Wire {
    fn write(&mut self, frames: &[u8]) -> io::Result<usize> {
        match self.link.write(frames) {
            Ok(_) => Ok(frames.len()),
            Err(Error::Connection(error)) => Err(error),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &str) -> Head {
        let text = format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n\r\n");
        Head::take(&mut text.into_bytes()).unwrap().unwrap()
    }

    #[test]
    fn the_example_of_the_rfc_is_accepted() {
        assert_eq!(
            accept_for("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn an_answer_to_another_handshake_is_refused() {
        let accept = accept_for("key");
        let good = format!(
            "Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: {accept}"
        );
        assert!(check_switch(&head(&good), "key").is_ok());
        assert!(check_switch(&head(&good), "other").is_err());
        for bad in [
            format!("Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}"),
            format!("Upgrade: websocket\r\nSec-WebSocket-Accept: {accept}"),
            "Upgrade: websocket\r\nConnection: Upgrade".to_owned(),
            format!("{good}\r\nSec-WebSocket-Protocol: chat"),
            format!("{good}\r\nSec-WebSocket-Extensions: permessage-deflate"),
        ] {
            assert!(check_switch(&head(&bad), "key").is_err(), "{bad}");
        }
    }

    #[test]
    fn every_frame_is_masked_anew() {
        let frame = || masked_frame(Opcode::Text, b"hello").unwrap();
        let (first, second) = (frame(), frame());
        assert_eq!(&first[..2], [0x81, 0x85]);
        assert_ne!(first[2..6], second[2..6]);
        let unmasked: Vec<u8> = (0..5).map(|i| first[6 + i] ^ first[2 + i % 4]).collect();
        assert_eq!(unmasked, b"hello");
    }
}
