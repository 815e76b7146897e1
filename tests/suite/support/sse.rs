//! Server-Sent Events from the client's side, by the WHATWG rules (HTML, section 9.2) to the letter.

use std::collections::VecDeque;

use super::http::{Body, Framing, Head, Piece};
use super::wire::{Wire, deadline};

/// What a stream said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// An event as a browser would dispatch it.
    Message(Message),
    /// A new reconnection time in milliseconds.
    Retry(u64),
    /// A comment, without its colon.
    Comment(String),
}

/// An event as a browser would dispatch it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The event's type: `message` when none was named.
    pub kind: String,
    /// The data, its lines joined by LF.
    pub data: String,
    /// What `Last-Event-ID` would be from here.
    pub last_event_id: String,
}

/// The parser of HTML section 9.2.6, fed with bytes as they come.
#[derive(Default)]
pub struct Parser {
    line: Vec<u8>,
    begun: bool,
    after_cr: bool,
    kind: String,
    data: String,
    id: String,
    items: VecDeque<Item>,
}

impl Parser {
    /// Takes bytes, cut anywhere.
    pub fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let lf_of_crlf = byte == b'\n' && std::mem::take(&mut self.after_cr);
            match byte {
                _ if lf_of_crlf => {}
                b'\r' | b'\n' => {
                    self.after_cr = byte == b'\r';
                    self.end_line();
                }
                _ => {
                    self.after_cr = false;
                    self.line.push(byte);
                }
            }
        }
    }

    /// What was said, in order.
    pub fn next(&mut self) -> Option<Item> {
        self.items.pop_front()
    }

    /// Whether the bytes so far end after a whole block.
    pub fn between_blocks(&self) -> bool {
        self.line.is_empty() && self.data.is_empty() && self.kind.is_empty()
    }

    fn end_line(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        if !std::mem::replace(&mut self.begun, true) && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        match line.split_once(':') {
            _ if line.is_empty() => self.dispatch(),
            Some(("", comment)) => self.items.push_back(Item::Comment(comment.to_owned())),
            Some((name, value)) => self.field(name, value.strip_prefix(' ').unwrap_or(value)),
            None => self.field(&line, ""),
        }
    }

    fn field(&mut self, name: &str, value: &str) {
        match name {
            "event" => value.clone_into(&mut self.kind),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                let time = value.parse().expect("a time that fits");
                self.items.push_back(Item::Retry(time));
            }
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        let kind = std::mem::take(&mut self.kind);
        let mut data = std::mem::take(&mut self.data);
        if data.is_empty() {
            return;
        }
        data.truncate(data.len() - 1);
        self.items.push_back(Item::Message(Message {
            kind: if kind.is_empty() {
                "message".to_owned()
            } else {
                kind
            },
            data,
            last_event_id: self.id.clone(),
        }));
    }
}

/// A stream that was opened.
pub struct EventSource {
    wire: Wire,
    body: Body,
    parser: Parser,
    /// The head of the answer.
    pub head: Head,
    /// The last reconnection time that was told.
    pub retry: Option<u64>,
}

impl EventSource {
    /// Sends `request` and reads the head, which must be that of a stream.
    pub fn open(wire: Wire, request: &[u8]) -> Self {
        Self::try_open(wire, request).expect("a head")
    }

    /// The same with a server that may go; `None` when it went without a head.
    pub fn try_open(mut wire: Wire, request: &[u8]) -> Option<Self> {
        wire.try_send(request).ok()?;
        let head = Head::read(&mut wire, deadline())?;
        assert_eq!(head.status, 200, "{}", head.raw);
        let body = Body::new(Framing::of(&head, "GET"));
        Some(EventSource {
            wire,
            body,
            parser: Parser::default(),
            head,
            retry: None,
        })
    }

    /// The next chunk, as it was cut on the wire; `None` at the end that the framing promised.
    pub fn next_chunk(&mut self) -> Option<Vec<u8>> {
        match self.body.next(&mut self.wire, deadline()) {
            Piece::Bytes(bytes) => Some(bytes),
            Piece::End => None,
            Piece::Broken => panic!("the stream broke off without its last chunk"),
        }
    }

    /// The next thing said; `None` at the end.
    pub fn next_item(&mut self) -> Option<Item> {
        loop {
            if let Some(item) = self.parser.next() {
                if let Item::Retry(time) = item {
                    assert_ne!(time, 0, "a browser would hammer");
                    self.retry = Some(time);
                }
                return Some(item);
            }
            match self.body.next(&mut self.wire, deadline()) {
                Piece::Bytes(bytes) => self.parser.feed(&bytes),
                Piece::End | Piece::Broken => return None,
            }
        }
    }

    /// The next event that a browser would dispatch; `None` at the end.
    pub fn next_message(&mut self) -> Option<Message> {
        loop {
            if let Item::Message(message) = self.next_item()? {
                return Some(message);
            }
        }
    }
}
