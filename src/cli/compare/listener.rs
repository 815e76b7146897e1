//! One client, and what went over its connection.

use std::ops::{AddAssign, Sub};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::way::Way;
use crate::cli::load::mark::Marks;
use crate::cli::load::subscriber::{Buffers, Heard, Subscriber};
use crate::client::bare::Traffic;
use crate::client::{Client, Error};

/// How long a stream may take to say that it has begun, and the event that is not counted to come.
const TIMEOUT: Duration = Duration::from_secs(10);

/// One client.
pub(super) struct Listener {
    pub(super) subscriber: Subscriber,
    pub(super) exchanges: Exchanges,
    /// What it took until it had its place in the stream of events.
    pub(super) opening: ByteCounts,
    /// What had gone over the connection when counting began.
    before: ByteCounts,
    /// Events that came.
    pub(super) events: u32,
}

/// How much went over sockets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ByteCounts {
    /// All bytes.
    pub(super) traffic: Traffic,
    /// Those of them that were received as text, without heads, chunk lines and frame headers.
    pub(super) content: u64,
}

/// Requests, and what was answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Exchanges {
    /// Requests that were sent, the opening ones included.
    pub(super) requests: u64,
    /// Answers that came, or began to where they do not end.
    pub(super) answers: u64,
    /// Answers without an event to requests that were to bring some. The first answer of a client brings its place
    /// and is none of these.
    pub(super) empty: u64,
}

impl Listener {
    /// Connects a client. Blocks until it has its place in the stream of events.
    ///
    /// # Errors
    /// What keeps it from it.
    pub(super) fn open(
        client: &Client,
        channel: &str,
        way: Way,
        buffers: &mut Buffers,
    ) -> Result<Self, Error> {
        let begun = client.begin(channel, way.transport())?;
        let mut subscriber = Subscriber::new(begun).map_err(Error::Connection)?;
        if !way.asks() {
            hear_until(&mut subscriber, buffers, |_, text| is_welcome(text))?;
        }
        Ok(Listener {
            opening: ByteCounts::of(&subscriber),
            before: ByteCounts::of(&subscriber),
            subscriber,
            exchanges: Exchanges {
                requests: 1,
                answers: 1,
                empty: 0,
            },
            events: 0,
        })
    }

    /// Blocks until an event with one of `marks` has come. It is not counted, nor is anything that went before.
    ///
    /// # Errors
    /// Why it does not come.
    pub(super) fn hear_uncounted(
        &mut self,
        marks: &Marks,
        way: Way,
        buffers: &mut Buffers,
    ) -> Result<(), Error> {
        hear_until(&mut self.subscriber, buffers, |heard, text| {
            let is_whole = match way.asks() {
                true => heard != Heard::Text,
                false => ends_object(text),
            };
            let mut has_come = false;
            marks.find(text, |_| has_come = true);
            is_whole && has_come
        })?;
        self.before = ByteCounts::of(&self.subscriber);
        Ok(())
    }

    /// What went over the connection since counting began.
    pub(super) fn counted(&self) -> ByteCounts {
        ByteCounts::of(&self.subscriber) - self.before
    }
}

/// Reads until what has come, as a whole, is what is waited for.
fn hear_until(
    subscriber: &mut Subscriber,
    buffers: &mut Buffers,
    has_come: impl Fn(Heard, &[u8]) -> bool,
) -> Result<(), Error> {
    let deadline = Instant::now() + TIMEOUT;
    let mut text = Vec::new();
    loop {
        let heard = subscriber.hear(buffers)?;
        text.extend_from_slice(&buffers.text);
        if has_come(heard, &text) {
            return Ok(());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let left: Timespec = left.try_into().unwrap_or_default();
        match poll(
            &mut [PollFd::new(&subscriber.socket, PollFlags::IN)],
            Some(&left),
        ) {
            Ok(0) => return Err(Error::Silent(TIMEOUT)),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Error::Connection(error.into())),
        }
    }
}

/// Whether this is the message that a stream begins with, up to its end.
fn is_welcome(text: &[u8]) -> bool {
    let says_so = memchr::memmem::find(text, b"\"op\":\"welcome\"").is_some();
    says_so && ends_object(text)
}

fn ends_object(text: &[u8]) -> bool {
    text.trim_ascii_end().ends_with(b"}")
}

impl ByteCounts {
    fn of(subscriber: &Subscriber) -> Self {
        ByteCounts {
            traffic: subscriber.traffic(),
            content: subscriber.content(),
        }
    }

    /// All bytes, in both directions.
    pub(super) fn total(&self) -> u64 {
        self.traffic.sent + self.traffic.received
    }
}

impl AddAssign for ByteCounts {
    fn add_assign(&mut self, other: Self) {
        self.traffic.sent += other.traffic.sent;
        self.traffic.received += other.traffic.received;
        self.content += other.content;
    }
}

impl Sub for ByteCounts {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        let Traffic { sent, received } = earlier.traffic;
        ByteCounts {
            traffic: Traffic {
                sent: self.traffic.sent.saturating_sub(sent),
                received: self.traffic.received.saturating_sub(received),
            },
            content: self.content.saturating_sub(earlier.content),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_has_begun_when_its_welcome_is_whole() {
        for framed in [
            "event: welcome\nid: a-1\ndata: {\"op\":\"welcome\",\"cursor\":\"a-1\"}\n\n",
            "{\"op\":\"welcome\",\"cursor\":\"a-1\"}\n",
            "{\"op\":\"welcome\",\"cursor\":\"a-1\"}",
        ] {
            assert!(is_welcome(framed.as_bytes()), "{framed}");
            let end = framed.rfind('}').unwrap();
            assert!(!is_welcome(&framed.as_bytes()[..end]), "{framed}");
        }
        assert!(!is_welcome(b"{\"op\":\"bye\"}"));
    }
}
