//! One client, and what went over its connection.

use std::ops::AddAssign;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::way::Way;
use crate::cli::load::subscriber::{Buffers, Subscriber};
use crate::client::bare::Traffic;
use crate::client::{Client, Error};

/// How long a stream may take to say that it has begun.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);

/// One client.
pub(super) struct Listener {
    pub(super) subscriber: Subscriber,
    pub(super) exchanges: Exchanges,
    /// What it took until it had its place in the stream of events.
    pub(super) opening: ByteCounts,
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
    pub(super) fn open(
        client: &Client,
        channel: &str,
        way: Way,
        buffers: &mut Buffers,
    ) -> Result<Self, Error> {
        let begun = client.begin(channel, way.transport())?;
        let mut subscriber = Subscriber::new(begun).map_err(Error::Connection)?;
        if !matches!(way, Way::Poll(_) | Way::LongPoll) {
            hear_welcome(&mut subscriber, buffers)?;
        }
        Ok(Listener {
            opening: ByteCounts::of(&subscriber),
            subscriber,
            exchanges: Exchanges {
                requests: 1,
                answers: 1,
                empty: 0,
            },
            events: 0,
        })
    }
}

/// Reads up to the end of the message that a stream begins with.
fn hear_welcome(subscriber: &mut Subscriber, buffers: &mut Buffers) -> Result<(), Error> {
    let deadline = Instant::now() + WELCOME_TIMEOUT;
    let mut text = Vec::new();
    loop {
        subscriber.hear(buffers)?;
        text.extend_from_slice(&buffers.text);
        if is_welcome(&text) {
            return Ok(());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let left: Timespec = left.try_into().unwrap_or_default();
        match poll(
            &mut [PollFd::new(&subscriber.socket, PollFlags::IN)],
            Some(&left),
        ) {
            Ok(0) => return Err(Error::Silent(WELCOME_TIMEOUT)),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Error::Connection(error.into())),
        }
    }
}

fn is_welcome(text: &[u8]) -> bool {
    let says_so = memchr::memmem::find(text, b"\"op\":\"welcome\"").is_some();
    says_so && text.trim_ascii_end().ends_with(b"}")
}

impl ByteCounts {
    pub(super) fn of(subscriber: &Subscriber) -> Self {
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
