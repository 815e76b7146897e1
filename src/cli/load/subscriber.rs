//! One subscriber: its socket, and what the bytes on it mean on its way. It keeps no buffer, unless what
//! it has received ends in the middle of something.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::net::{RecvFlags, recv};

use super::frames::Frames;
use crate::client::Error;
use crate::client::bare::{self, Begun, Body, Form, Head, Traffic};
use crate::event::Cursor;

/// The most bytes of an answer to a poll around its events, with a cursor of 48 characters. In so many from
/// its beginning it says whether there is more.
const ENVELOPE: usize = 100;
/// The most bytes of a head that wait for their end.
const MAX_REST: usize = 64 * 1024;

/// One connection, and the place in what comes on it.
pub(in crate::cli) struct Subscriber {
    /// The connection; reads and writes on it do not block.
    pub(in crate::cli) socket: Arc<TcpStream>,
    conversation: Conversation,
    /// What was received and not understood yet.
    received: Vec<u8>,
    /// The end of the text, which may be the beginning of a mark.
    text: Vec<u8>,
    traffic: Traffic,
    content: u64,
}

/// A poll but for its cursor, which it is given when it is sent.
#[derive(Debug, Clone)]
pub(in crate::cli) struct PollRequest {
    before: Vec<u8>,
    behind: &'static [u8],
}

enum Conversation {
    Stream(Body),
    Frames(Frames),
    Polls(Polls),
}

/// A series of polls on one connection.
struct Polls {
    cursor: Cursor,
    /// The rest of the answer whose head has come.
    answer: Option<Body>,
    more: bool,
    /// Bytes of the answer so far.
    length: usize,
}

/// The buffers of a thread, shared by all its subscribers, one after the other.
pub(in crate::cli) struct Buffers {
    received: Vec<u8>,
    /// What was sent to the subscriber, without the framing of its way.
    pub(in crate::cli) text: Vec<u8>,
    reply: Vec<u8>,
}

/// What reading has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Heard {
    /// Text, perhaps none.
    Text,
    /// Text, and with it the end of an answer to a poll.
    Answer {
        /// The server has more already.
        more: bool,
        /// It holds no event.
        is_empty: bool,
    },
}

impl Buffers {
    /// Bytes that are read at once.
    const READ: usize = 64 * 1024;

    /// Empty ones.
    pub(in crate::cli) fn new() -> Self {
        Buffers {
            received: Vec::with_capacity(Self::READ),
            text: Vec::with_capacity(Self::READ),
            reply: Vec::new(),
        }
    }
}

impl PollRequest {
    /// A GET, as bytes, that will say what was seen last.
    pub(in crate::cli) fn after_last_event_id(get: &[u8]) -> Self {
        Self::with(get, b"Last-Event-ID: ", b"\r\n\r\n")
    }

    /// A GET, as bytes, that will ask for what is not what it has, so that 304 answers it when there is nothing.
    pub(in crate::cli) fn if_none_match(get: &[u8]) -> Self {
        Self::with(get, b"If-None-Match: \"", b"\"\r\n\r\n")
    }

    fn with(get: &[u8], before: &[u8], behind: &'static [u8]) -> Self {
        // The empty line comes behind the cursor.
        let fields = get.strip_suffix(b"\r\n").unwrap_or(get);
        PollRequest {
            before: [fields, before].concat(),
            behind,
        }
    }
}

impl Subscriber {
    /// Goes on with what has begun.
    pub(in crate::cli) fn new(begun: Begun) -> io::Result<Self> {
        begun.socket.set_nonblocking(true)?;
        Ok(Subscriber {
            socket: Arc::new(begun.socket),
            conversation: match begun.form {
                Form::Stream(body) => Conversation::Stream(body),
                Form::Frames => Conversation::Frames(Frames::default()),
                Form::Answers(cursor) => Conversation::Polls(Polls {
                    cursor,
                    answer: None,
                    more: false,
                    length: 0,
                }),
            },
            received: exact(&begun.received),
            text: Vec::new(),
            traffic: begun.traffic,
            content: 0,
        })
    }

    /// All bytes that went over the connection, its beginning included.
    pub(in crate::cli) fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Bytes that were received as text, without heads, chunk lines and frame headers.
    pub(in crate::cli) fn content(&self) -> u64 {
        self.content
    }

    /// Reads once, 64 KiB at most, into the text of `buffers`, in front of which stands what was kept.
    /// Does not block.
    ///
    /// # Errors
    /// Why there will be nothing more on this connection; what came before the end is in the text.
    pub(in crate::cli) fn hear(&mut self, buffers: &mut Buffers) -> Result<Heard, Error> {
        let Buffers {
            received,
            text,
            reply,
        } = buffers;
        received.clear();
        received.append(&mut self.received);
        text.clear();
        text.append(&mut self.text);
        reply.clear();
        let has_ended = !self.receive(received)?;
        let kept = text.len();
        let heard = self.conversation.understand(received, text, reply)?;
        self.content += text.len().saturating_sub(kept) as u64;
        self.send(reply)?;
        if received.len() > MAX_REST {
            return Err(Error::Protocol("a head without an end".into()));
        }
        self.received = exact(received);
        if has_ended || self.conversation.is_over() {
            return Err(Error::Ended);
        }
        Ok(heard)
    }

    /// Keeps the end of a text for the next one.
    pub(in crate::cli) fn keep(&mut self, text: &[u8]) {
        self.text = exact(text);
    }

    /// Asks for what came after the last answer.
    ///
    /// # Errors
    /// When the connection is lost.
    pub(in crate::cli) fn ask(&mut self, request: &PollRequest) -> Result<(), Error> {
        let Conversation::Polls(polls) = &self.conversation else {
            return Ok(());
        };
        let cursor = polls.cursor.to_string();
        self.send(&[&request.before, cursor.as_bytes(), request.behind].concat())
    }

    /// Appends what there is; says whether the connection still stands.
    fn receive(&mut self, received: &mut Vec<u8>) -> Result<bool, Error> {
        received.reserve(Buffers::READ);
        loop {
            match recv(&self.socket, spare_capacity(received), RecvFlags::DONTWAIT) {
                Ok((_, length)) => {
                    self.traffic.received += length as u64;
                    return Ok(length > 0);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(true),
                Err(error) => return Err(Error::Connection(error.into())),
            }
        }
    }

    /// Sends what is far less than an empty buffer of the system, and so fits or will never fit.
    fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut socket = &*self.socket;
        socket.write_all(bytes).map_err(Error::Connection)?;
        self.traffic.sent += bytes.len() as u64;
        Ok(())
    }
}

impl Conversation {
    fn understand(
        &mut self,
        received: &mut Vec<u8>,
        text: &mut Vec<u8>,
        reply: &mut Vec<u8>,
    ) -> Result<Heard, Error> {
        match self {
            Conversation::Stream(body) => {
                body.decode(received, text)?;
                Ok(Heard::Text)
            }
            Conversation::Frames(frames) => {
                frames.decode(received, text, reply)?;
                Ok(Heard::Text)
            }
            Conversation::Polls(polls) => polls.understand(received, text),
        }
    }

    /// Whether the server has ended what it was to go on with.
    fn is_over(&self) -> bool {
        matches!(self, Conversation::Stream(body) if body.is_done())
    }
}

impl Polls {
    fn understand(&mut self, received: &mut Vec<u8>, text: &mut Vec<u8>) -> Result<Heard, Error> {
        if self.answer.is_none() && !self.take_head(received)? {
            return Ok(Heard::Text);
        }
        let Some(body) = &mut self.answer else {
            return Ok(Heard::Text);
        };
        let before = text.len();
        body.decode(received, text)?;
        let is_done = body.is_done();
        let piece = text.get(before..).unwrap_or_default();
        if self.length < ENVELOPE {
            self.more |= says_more(piece.get(..ENVELOPE).unwrap_or(piece));
        }
        self.length += piece.len();
        if !is_done {
            return Ok(Heard::Text);
        }
        self.answer = None;
        Ok(Heard::Answer {
            more: std::mem::take(&mut self.more),
            is_empty: std::mem::take(&mut self.length) <= ENVELOPE,
        })
    }

    fn take_head(&mut self, received: &mut Vec<u8>) -> Result<bool, Error> {
        let Some(head) = Head::take(received)? else {
            return Ok(false);
        };
        // 304: there is nothing behind the cursor that it was asked with (RFC 9110, section 15.4.5).
        if !matches!(head.status, 200 | 304) {
            return Err(bare::refusal(&head, received));
        }
        self.cursor = bare::cursor_of(&head)?;
        self.answer = Some(Body::of(&head)?);
        Ok(true)
    }
}

/// A copy without room for more. An empty one has no memory at all, so a subscriber to whom nothing is
/// owed costs none.
fn exact(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

/// Whether a body begins as one of an answer that could not hold all. Where it is cut before it says so,
/// the rest comes with the next poll.
fn says_more(beginning: &[u8]) -> bool {
    memchr::memmem::find(beginning, b"\"more\":true").is_some()
}
