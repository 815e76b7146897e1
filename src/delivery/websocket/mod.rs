//! WebSocket (RFC 6455): the connection's thread reads frames and obeys operations; everything that goes
//! out goes through the outbox.

pub mod frames;
pub mod handshake;
mod operations;
mod restriction;
mod subscription;
pub mod wire;

use std::sync::Arc;
use std::time::Instant;

use tungstenite::error::Error;
use tungstenite::{Message, Utf8Bytes};

use self::frames::Frames;
use self::operations::Operations;
use super::catch_up::{Step, step};
use super::control::Control;
use super::framing::Framing;
use super::outbox::Outbox;
use super::stream::{next_beat, open};
use super::{Context, Listening, Opening, Query};
use crate::access::rights::Action;
use crate::hub::channel::ChannelName;
use crate::hub::selector::Selector;
use crate::journal::{Draft, StoreError};
use crate::refusal::Kind;
use crate::roster::Berth;
use crate::server::stream::{ReadError, Stream};

/// Bytes read from a connection that says little.
const READ_LEAST: usize = 512;
/// Bytes read from one that fills that, and the most that are handed to the parser at once: a million empty
/// fragments stay inside one call of it.
const READ_MOST: usize = 16 * 1024;

/// Begins a WebSocket: makes it live, or has catch-up serve what it missed. The 101 has been written;
/// `early` is what the client sent behind its request.
pub fn begin(
    context: Arc<Context>,
    stream: Arc<Stream>,
    berth: Arc<Berth>,
    query: &Query,
    opening: Result<Opening, StoreError>,
    early: Vec<u8>,
) -> Box<dyn Listening> {
    let framing: &'static dyn Framing = if query.raw { &wire::RAW } else { &wire::EVENTS };
    let outbox = open(&context, &stream, framing, query, opening);
    let reader = Reader::new(outbox.clone(), berth.clone(), framing, query, early);
    berth.hold(outbox.clone());
    go_live(&outbox);
    Box::new(reader)
}

/// Goes live if nothing is owed; else catch-up serves the replay, since this thread must read on.
fn go_live(outbox: &Arc<Outbox>) {
    if step(outbox) != Step::Live {
        outbox.context().catch_up.take(outbox.clone());
    }
}

struct Reader {
    outbox: Arc<Outbox>,
    framing: &'static dyn Framing,
    frames: Frames,
    operations: Operations,
    raw_channel: Option<ChannelName>,
    early: Vec<u8>,
    _berth: Arc<Berth>,
}

impl Listening for Reader {
    fn listen(mut self: Box<Self>) {
        self.run();
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.outbox.close();
    }
}

/// Whether the connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Read,
    /// We said our last words; the peer may still say its own.
    Drain,
    End,
}

impl Reader {
    fn new(
        outbox: Arc<Outbox>,
        berth: Arc<Berth>,
        framing: &'static dyn Framing,
        query: &Query,
        early: Vec<u8>,
    ) -> Self {
        let only = match &query.selectors[..] {
            [Selector::Channel(name)] => Some(name.clone()),
            _ => None,
        };
        Reader {
            frames: Frames::new(),
            operations: Operations::new(outbox.clone(), only.clone()),
            raw_channel: only.filter(|_| query.raw),
            outbox,
            framing,
            early,
            _berth: berth,
        }
    }

    /// Reads until the connection ends.
    fn run(&mut self) {
        let early = std::mem::take(&mut self.early);
        let mut next = match early.is_empty() {
            true => Next::Read,
            false => self.take(&early),
        };
        drop(early);
        let mut buffer = vec![0; READ_LEAST];
        let interval = self.outbox.heartbeat();
        let mut beat = Instant::now() + interval;
        let mut pinged: Option<Instant> = None;
        while next == Next::Read {
            // No patience for a pong runs while bytes are owed: the write deadline does.
            pinged = pinged.filter(|_| !self.outbox.owes_bytes());
            self.outbox.end_if_over();
            match self
                .outbox
                .stream()
                .read(&mut buffer, self.deadline(beat, pinged))
            {
                Ok(count) => {
                    pinged = None;
                    next = self.take(buffer.get(..count).unwrap_or_default());
                    let room = if count == buffer.len() {
                        READ_MOST
                    } else {
                        READ_LEAST
                    };
                    if room != buffer.len() {
                        buffer = vec![0; room];
                    }
                }
                Err(ReadError::HungUp) => return,
                Err(ReadError::TimedOut) if self.has_given_up(pinged) => return self.part(),
                Err(ReadError::TimedOut) if Instant::now() >= beat => {
                    beat = next_beat(beat, interval);
                    pinged = pinged.or(self.ping());
                }
                Err(ReadError::TimedOut) => {}
            }
        }
        if next == Next::Drain {
            let config = &self.outbox.context().config();
            self.outbox
                .stream()
                .drain(config.timeouts.close, config.limits.event_bytes);
        }
    }

    fn deadline(&self, beat: Instant, pinged: Option<Instant>) -> Instant {
        let patience = self.outbox.context().config().heartbeat.patience;
        let next = pinged.map_or(beat, |at| (at + patience).min(beat));
        self.outbox.until(next)
    }

    /// Sends a ping; when. None while bytes are owed: then the write deadline runs instead.
    fn ping(&self) -> Option<Instant> {
        if self.outbox.owes_bytes() || self.outbox.is_ending() {
            return None;
        }
        let cursor = self.outbox.context().hub.head();
        self.outbox
            .send_control(self.framing.control(&Control::Heartbeat { cursor })?);
        Some(Instant::now())
    }

    fn has_given_up(&self, pinged: Option<Instant>) -> bool {
        let patience = self.outbox.context().config().heartbeat.patience;
        pinged.is_some_and(|at| at.elapsed() >= patience)
    }

    /// The peer is dead, or its path is: whoever is at its end after all is told to come back.
    fn part(&self) {
        log::debug!(
            "{}: no answer to a ping, the connection is closed",
            self.outbox.stream().peer()
        );
        self.outbox
            .dismiss(Kind::Unresponsive, "no answer to a ping");
    }

    /// Takes bytes from the socket and obeys what they say.
    fn take(&mut self, bytes: &[u8]) -> Next {
        // That of the configuration that counts now.
        let most = self.outbox.context().config().limits.event_bytes;
        self.frames.bound(most);
        self.frames.feed(bytes);
        loop {
            match self.frames.read() {
                Ok(Some((message, reply))) => match self.obey(message, reply) {
                    Next::Read => {}
                    end => return end,
                },
                Ok(None) => return Next::Read,
                Err(error) => return self.fail(&error),
            }
        }
    }

    fn obey(&mut self, message: Message, reply: Vec<u8>) -> Next {
        if self.outbox.is_ending() {
            // After our close only the peer's counts (RFC 6455, section 5.5.1).
            return if matches!(message, Message::Close(_)) {
                Next::End
            } else {
                Next::Read
            };
        }
        match message {
            Message::Ping(_) => self.outbox.send_pong(reply),
            Message::Pong(_) | Message::Frame(_) => {}
            Message::Close(_) => {
                self.outbox.end_with(reply);
                return Next::Drain;
            }
            Message::Text(text) => self.say_text(&text),
            Message::Binary(bytes) => match self.raw_channel.clone() {
                Some(channel) => self.publish_raw(Draft::binary(channel, &bytes)),
                None => self.operations.refuse_binary(),
            },
        }
        Next::Read
    }

    fn say_text(&mut self, text: &Utf8Bytes) {
        match self.raw_channel.clone() {
            Some(channel) => self.publish_raw(Draft::text(channel, text.as_str())),
            None => self.operations.obey(text.as_str()),
        }
    }

    /// Publishes a message as it is; where that fails there is no word for it but a close code.
    fn publish_raw(&self, draft: Draft) {
        let allowed = self.outbox.pass();
        let allowed = allowed.check_channel(Action::Publish, &draft.channel);
        let hub = &self.outbox.context().hub;
        let published = allowed.and_then(|()| Ok(hub.publish(draft)?));
        if let Err(refusal) = published {
            self.outbox.refuse(&refusal);
        }
    }

    /// The peer broke the protocol: it is told how, and the connection ends without waiting for it.
    fn fail(&self, error: &Error) -> Next {
        let kind = match error {
            Error::Utf8(_) => Kind::InvalidText,
            Error::Capacity(_) => Kind::TooLarge,
            Error::ConnectionClosed | Error::AlreadyClosed => return Next::End,
            _ => Kind::ProtocolError,
        };
        log::debug!(
            "{}: closed with {}: {error}",
            self.outbox.stream().peer(),
            kind.row().close
        );
        self.outbox.dismiss(kind, &error.to_string());
        Next::Drain
    }
}
