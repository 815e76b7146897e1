//! WebSocket (RFC 6455): the connection's thread reads frames and obeys operations; everything that goes
//! out goes through the outbox.

pub mod frames;
pub mod handshake;
mod operations;
mod progress;
mod restriction;
mod subscription;
pub mod wire;

use std::sync::Arc;
use std::time::Instant;

use tungstenite::error::Error;
use tungstenite::{Message, Utf8Bytes};

use self::frames::Frames;
use self::operations::Operations;
use self::progress::Progress;
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
use crate::refusal::{Kind, Refusal};
use crate::roster::Berth;
use crate::server::memory::{Reservation, SMALL};
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
    // It may be over since the request was let in: the disk was asked, and the 101 written.
    outbox.end_if_over();
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
    progress: Progress,
    /// Since when a message is on its way.
    since: Option<Instant>,
    /// The memory of the largest message since the parser was new.
    held: Reservation,
    /// Whether the parser has buffers that a large message needed.
    is_stretched: bool,
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
            progress: Progress::default(),
            since: None,
            is_stretched: false,
            held: outbox.context().memory.nothing(),
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
            if self.is_late() {
                let detail = "a message did not arrive in time";
                self.outbox.dismiss(Kind::RequestTimeout, detail);
                next = Next::Drain;
                break;
            }
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
            self.forget();
            let config = &self.outbox.context().config();
            self.outbox
                .stream()
                .drain(config.timeouts.close, config.limits.event_bytes);
        }
    }

    fn deadline(&self, beat: Instant, pinged: Option<Instant>) -> Instant {
        let patience = self.outbox.context().config().heartbeat.patience;
        let looks = [pinged.map(|at| at + patience), self.due()];
        let next = looks.into_iter().flatten().fold(beat, Instant::min);
        self.outbox.until(next)
    }

    /// When the message that is on its way must have arrived.
    fn due(&self) -> Option<Instant> {
        let since = self.since?;
        Some(since + self.outbox.context().config().timeouts.body)
    }

    fn is_late(&self) -> bool {
        self.due().is_some_and(|due| Instant::now() >= due)
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
        if let Err(refusal) = self.make_room(bytes) {
            self.outbox.refuse(&refusal);
            return Next::Drain;
        }
        // That of the configuration that counts now.
        let most = self.outbox.context().config().limits.event_bytes;
        self.frames.bound(most);
        self.frames.feed(bytes);
        let next = self.parse();
        self.settle();
        next
    }

    fn parse(&mut self) -> Next {
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

    /// Holds the memory that a message takes while it arrives: twice, as frames and as the message that they become.
    fn make_room(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let most = self.progress.feed(bytes).saturating_mul(2);
        self.is_stretched |= most > SMALL;
        self.held.hold(most)
    }

    /// Notes whether a message is on its way. If none is, the parser begins anew after a large one: else it would keep the
    /// buffers of that for the life of the connection.
    fn settle(&mut self) {
        if !self.progress.is_clear() {
            self.since.get_or_insert_with(Instant::now);
            return;
        }
        self.since = None;
        if std::mem::take(&mut self.is_stretched) {
            self.forget();
        }
    }

    /// Begins to parse anew, without anything that came before, and gives back what that took.
    fn forget(&mut self) {
        self.frames = Frames::new();
        self.held = self.outbox.context().memory.nothing();
    }

    fn obey(&mut self, message: Message, reply: Vec<u8>) -> Next {
        // One read may bring a thousand operations, each of which may wait.
        self.outbox.end_if_over();
        if self.outbox.is_ending() {
            // After our close only the peer's counts (RFC 6455, section 5.5.1).
            return if matches!(message, Message::Close(_)) {
                Next::End
            } else {
                Next::Read
            };
        }
        match message {
            Message::Ping(_) => {
                if self.operations.admit_ping() {
                    self.outbox.send_pong(reply);
                }
            }
            Message::Pong(_) | Message::Frame(_) => {}
            Message::Close(_) => {
                self.outbox.end_with(reply);
                return Next::Drain;
            }
            Message::Text(text) => self.say_text(&text),
            Message::Binary(bytes) => self.say_bytes(&bytes),
        }
        Next::Read
    }

    fn say_bytes(&mut self, bytes: &[u8]) {
        self.since = None;
        match self.raw_channel.clone() {
            Some(channel) => self.publish_raw(Draft::binary(channel, bytes)),
            None => self.operations.refuse_binary(),
        }
    }

    fn say_text(&mut self, text: &Utf8Bytes) {
        // What follows is another message, if anything does.
        self.since = None;
        match self.raw_channel.clone() {
            Some(channel) => self.publish_raw(Draft::text(channel, text.as_str())),
            None => self.operations.obey(text.as_str()),
        }
    }

    /// Publishes a message as it is; where that fails there is no word for it but a close code.
    fn publish_raw(&self, draft: Draft) {
        let allowed = self.outbox.pass();
        let allowed = allowed.check_channel(Action::Publish, &draft.channel);
        let allowed = allowed.and_then(|()| self.operations.admit_publish());
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
