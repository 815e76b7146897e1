//! WebSocket from the client's side (RFC 6455), where every bit of a frame can be chosen.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use super::http::{Head, Response, request};
use super::wire::{Wire, deadline};

pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// The sample key of RFC 6455, section 1.3.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// What `Sec-WebSocket-Accept` must be for `key` (section 4.2.2).
pub fn accept(key: &str) -> String {
    let digest = sha1_smol::Sha1::from(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    BASE64.encode(digest.digest().bytes())
}

/// One frame (section 5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Whether it ends its message.
    pub fin: bool,
    /// The three reserved bits.
    pub rsv: u8,
    /// What it is.
    pub opcode: u8,
    /// What it carries, unmasked.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A whole message or control frame.
    pub fn new(opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        Frame {
            fin: true,
            rsv: 0,
            opcode,
            payload: payload.as_ref().to_vec(),
        }
    }

    /// A message in one frame of text.
    pub fn text(text: impl AsRef<str>) -> Self {
        Frame::new(TEXT, text.as_ref())
    }

    /// A close frame (section 5.5.1).
    pub fn close(code: u16, reason: &str) -> Self {
        Frame::new(CLOSE, [&code.to_be_bytes(), reason.as_bytes()].concat())
    }

    /// The same frame, with more of its message to follow.
    pub fn unfinished(mut self) -> Self {
        self.fin = false;
        self
    }

    /// The same frame with reserved bits.
    pub fn with_rsv(mut self, rsv: u8) -> Self {
        self.rsv = rsv;
        self
    }

    /// Its bytes as a client must send them: masked (section 5.3).
    pub fn masked(&self) -> Vec<u8> {
        const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
        let mut bytes = self.header(0x80);
        bytes.extend_from_slice(&MASK);
        bytes.extend(
            self.payload
                .iter()
                .zip(MASK.iter().cycle())
                .map(|(b, m)| b ^ m),
        );
        bytes
    }

    /// Its bytes as only a server may send them.
    pub fn unmasked(&self) -> Vec<u8> {
        [self.header(0), self.payload.clone()].concat()
    }

    fn header(&self, mask: u8) -> Vec<u8> {
        let length = self.payload.len();
        let mut bytes = vec![u8::from(self.fin) << 7 | self.rsv << 4 | self.opcode];
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short), _) if short < 126 => bytes.push(mask | short),
            (_, Ok(medium)) => {
                bytes.push(mask | 126);
                bytes.extend_from_slice(&medium.to_be_bytes());
            }
            _ => {
                bytes.push(mask | 127);
                bytes.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        bytes
    }

    /// The code of a close frame; `None` when it carries none.
    pub fn close_code(&self) -> Option<u16> {
        assert_eq!(self.opcode, CLOSE, "{self:?}");
        let code = self.payload.get(..2)?;
        Some(u16::from_be_bytes([code[0], code[1]]))
    }
}

/// A message, or the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Text(String),
    Binary(Vec<u8>),
    /// A close frame with its code.
    Close(Option<u16>),
    /// The end of the connection without one.
    End,
}

/// A connection after its opening handshake.
pub struct WebSocket {
    /// The bytes below.
    pub wire: Wire,
    /// The head of the answer that opened it.
    pub head: Head,
}

impl WebSocket {
    /// Opens `target`.
    pub fn open(address: SocketAddr, target: &str) -> Self {
        Self::open_on(Wire::connect(address), target, &[])
    }

    /// Opens `target` on a connection, with more fields in the request.
    pub fn open_on(wire: Wire, target: &str, fields: &[(&str, &str)]) -> Self {
        Self::try_open_on(wire, target, fields).expect("an answer")
    }

    /// The same with a server that may go; `None` when it went without an answer.
    pub fn try_open_on(wire: Wire, target: &str, fields: &[(&str, &str)]) -> Option<Self> {
        let fields = [&handshake()[..], fields].concat();
        match Self::try_ask(wire, &request("GET", target, &fields, b""))? {
            Ok(socket) => {
                assert_eq!(socket.head.must("Sec-WebSocket-Accept"), accept(KEY));
                Some(socket)
            }
            Err(response) => panic!("no upgrade: {} {:?}", response.head.raw, response.text()),
        }
    }

    /// Sends a request as it is; the answer if it is no upgrade.
    pub fn ask(wire: Wire, request: &[u8]) -> Result<Self, Box<Response>> {
        Self::try_ask(wire, request).expect("an answer")
    }

    fn try_ask(mut wire: Wire, request: &[u8]) -> Option<Result<Self, Box<Response>>> {
        wire.try_send(request).ok()?;
        let head = Head::read(&mut wire, deadline())?;
        if head.status != 101 {
            wire.unread.splice(..0, head.raw.bytes());
            let response = Response::try_read(&mut wire, "GET")?;
            return Some(Err(Box::new(response)));
        }
        Some(Ok(WebSocket { wire, head }))
    }

    /// Sends one frame, masked.
    pub fn send(&mut self, frame: &Frame) {
        self.wire.send(frame.masked());
    }

    /// Sends an operation in a message of one frame.
    pub fn operate(&mut self, operation: Value) {
        self.send(&Frame::text(operation.to_string()));
    }

    /// The next frame; `None` at the end of the connection. A server masks nothing and, without an
    /// extension, sets no reserved bit.
    pub fn next_frame(&mut self) -> Option<Frame> {
        let deadline = deadline();
        let start = self.wire.take(2, deadline)?;
        assert_eq!(start[0] & 0x70, 0, "reserved bits: {start:?}");
        assert_eq!(start[1] & 0x80, 0, "a masked frame from the server");
        let length = match start[1] & 0x7f {
            126 => {
                let bytes = self.wire.take(2, deadline)?;
                usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))
            }
            127 => {
                let bytes = self.wire.take(8, deadline)?;
                usize::try_from(u64::from_be_bytes(bytes.try_into().expect("8 bytes")))
                    .expect("a length that fits")
            }
            short => usize::from(short),
        };
        Some(Frame {
            fin: start[0] & 0x80 != 0,
            rsv: 0,
            opcode: start[0] & 0x0f,
            payload: self.wire.take(length, deadline)?,
        })
    }

    /// The next message, pings answered on the way.
    pub fn next_message(&mut self) -> Message {
        let (mut opcode, mut payload) = (CONTINUATION, Vec::new());
        loop {
            let Some(frame) = self.next_frame() else {
                return Message::End;
            };
            match frame.opcode {
                PING => {
                    // A peer that is already going takes no answer, and needs none.
                    let _ = self
                        .wire
                        .try_send(Frame::new(PONG, &frame.payload).masked());
                    continue;
                }
                PONG => continue,
                CLOSE => return Message::Close(frame.close_code()),
                CONTINUATION => assert_ne!(opcode, CONTINUATION, "nothing to go on with"),
                begin => {
                    assert_eq!(opcode, CONTINUATION, "a message within a message");
                    opcode = begin;
                }
            }
            payload.extend_from_slice(&frame.payload);
            if frame.fin {
                break;
            }
        }
        match opcode {
            TEXT => Message::Text(String::from_utf8(payload).expect("UTF-8")),
            BINARY => Message::Binary(payload),
            other => panic!("opcode {other}"),
        }
    }

    /// The next message, which must be text.
    pub fn next_text(&mut self) -> String {
        match self.next_message() {
            Message::Text(text) => text,
            other => panic!("text was due, not {other:?}"),
        }
    }

    /// The next message as JSON.
    pub fn next_json(&mut self) -> Value {
        let text = self.next_text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }

    /// The next message, which must be the control message `op`.
    pub fn next_op(&mut self, op: &str) -> Value {
        let message = self.next_json();
        assert_eq!(message["op"], op, "{message}");
        message
    }

    /// Reads messages until the connection ends or is closed: the close code, `None` without one.
    pub fn close_code(&mut self) -> Option<u16> {
        loop {
            match self.next_message() {
                Message::Close(code) => return code,
                Message::End => panic!("the connection ended without a close frame"),
                _ => {}
            }
        }
    }

    /// Answers the close frame of a server, which may have gone already.
    pub fn answer_close(&mut self, code: Option<u16>) {
        let frame = code.map_or(Frame::new(CLOSE, ""), |code| Frame::close(code, ""));
        let _ = self.wire.try_send(frame.masked());
    }

    /// Closes from this side and waits for the answer and the end.
    pub fn close(mut self) {
        self.send(&Frame::close(1000, ""));
        assert_eq!(self.close_code(), Some(1000));
        self.wire.expect_end();
    }
}

/// The fields of a well-formed opening handshake.
pub fn handshake() -> [(&'static str, &'static str); 4] {
    [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
    ]
}
