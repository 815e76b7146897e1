//! The ways that are compared, and how a client of each asks.

use std::fmt;
use std::time::Duration;

use crate::cli::load::subscriber::PollRequest;
use crate::client::{Client, Error, Transport};

/// The most events that an answer to a poll may have: as many as a server gives.
const LIMIT: &str = "1000";
/// How long a long poll asks to be held: as long as the client in `src/client` asks.
const WAIT: &str = "wait=30";

/// A way of receiving, as one client goes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Asking so long after each answer.
    Poll(Duration),
    /// Asking at once after each answer; the server answers when there is an event.
    LongPoll,
    /// Server-Sent Events.
    Sse,
    /// One JSON object a line.
    Ndjson,
    /// WebSocket.
    WebSocket,
}

impl Way {
    /// All ways, polling at each of `intervals`.
    pub(super) fn all(intervals: &[Duration]) -> Vec<Way> {
        let polls = intervals.iter().map(|interval| Way::Poll(*interval));
        let others = [Way::LongPoll, Way::Sse, Way::Ndjson, Way::WebSocket];
        polls.chain(others).collect()
    }

    /// What the wire calls it.
    pub(super) fn transport(self) -> Transport {
        match self {
            Way::Poll(_) => Transport::Poll,
            Way::LongPoll => Transport::LongPoll,
            Way::Sse => Transport::Sse,
            Way::Ndjson => Transport::Ndjson,
            Way::WebSocket => Transport::WebSocket,
        }
    }

    /// The time from an answer to the next request, where polling has such.
    pub(super) fn interval(self) -> Option<Duration> {
        match self {
            Way::Poll(interval) => Some(interval),
            _ => None,
        }
    }

    /// Whether a client asks again after each answer; else one answer is all there is.
    pub(super) fn asks(self) -> bool {
        matches!(self, Way::Poll(_) | Way::LongPoll)
    }

    /// The request that follows each answer; `None` where one answer is all there is.
    ///
    /// # Errors
    /// When `channel` is none.
    pub(super) fn request(
        self,
        client: &Client,
        channel: &str,
    ) -> Result<Option<PollRequest>, Error> {
        let mut fields = vec![("Accept", "application/json".to_owned())];
        match self {
            Way::Poll(_) => {}
            Way::LongPoll => fields.push(("Prefer", WAIT.to_owned())),
            Way::Sse | Way::Ndjson | Way::WebSocket => return Ok(None),
        }
        let get = client.get(channel, &[("limit", LIMIT.to_owned())], fields)?;
        Ok(Some(PollRequest::if_none_match(&get)))
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Way::Poll(interval) if interval.subsec_millis() == 0 => {
                write!(f, "poll every {} s", interval.as_secs())
            }
            Way::Poll(interval) => write!(f, "poll every {} ms", interval.as_millis()),
            Way::LongPoll => f.write_str("long poll"),
            Way::Sse => f.write_str("SSE"),
            Way::Ndjson => f.write_str("NDJSON"),
            Way::WebSocket => f.write_str("WebSocket"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polling_is_as_many_ways_as_it_has_intervals() {
        let intervals = [100, 1500, 2000].map(Duration::from_millis);
        let names: Vec<_> = Way::all(&intervals).iter().map(Way::to_string).collect();
        let polls = ["poll every 100 ms", "poll every 1500 ms", "poll every 2 s"];
        let others = ["long poll", "SSE", "NDJSON", "WebSocket"];
        assert_eq!(names, [&polls[..], &others[..]].concat());
    }

    #[test]
    fn only_those_that_poll_ask_again() {
        let client = Client::new("http://localhost").unwrap();
        for way in Way::all(&[Duration::from_secs(1)]) {
            let request = way.request(&client, "compare").unwrap();
            assert_eq!(request.is_some(), way.asks(), "{way}");
        }
    }
}
