//! Receiving over one long answer: Server-Sent Events, or NDJSON.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Client;
use super::connection::{Exchange, Received};
use super::error::Error;
use super::event::Incoming;
use super::options::Options;
use super::sse;
use super::transport::{Ask, Way};

/// A streamed answer.
pub(super) struct HttpStream {
    exchange: Exchange,
    framing: Framing,
    piece: Vec<u8>,
    options: Options,
    patience: Duration,
}

impl HttpStream {
    /// Asks for Server-Sent Events.
    pub(super) fn sse(client: &Client, ask: &Ask) -> Result<Self, Error> {
        let parser = sse::Parser::new(client.options().max_message);
        Self::open(client, ask, "text/event-stream", Framing::Sse(parser))
    }

    /// Asks for NDJSON.
    pub(super) fn ndjson(client: &Client, ask: &Ask) -> Result<Self, Error> {
        let lines = Lines::new(client.options().max_message);
        Self::open(client, ask, "application/x-ndjson", Framing::Ndjson(lines))
    }

    fn open(
        client: &Client,
        ask: &Ask,
        media_type: &'static str,
        framing: Framing,
    ) -> Result<Self, Error> {
        Ok(HttpStream {
            exchange: begin(client, ask, media_type)?,
            framing,
            piece: Vec::new(),
            options: client.options().clone(),
            patience: client.options().patience(None),
        })
    }

    /// Gives the framing what has come by `deadline`.
    fn receive(&mut self, deadline: Instant) -> Result<(), Error> {
        let dead_at = self.exchange.connection().heard() + self.patience;
        match self.exchange.body(&mut self.piece, deadline.min(dead_at))? {
            Received::Bytes => {
                self.framing.push(&self.piece)?;
                self.piece.clear();
                Ok(())
            }
            Received::End => Err(Error::Ended),
            Received::Nothing if Instant::now() >= dead_at => Err(Error::Silent(self.patience)),
            Received::Nothing => Ok(()),
        }
    }
}

/// Asks, and waits for the head of the streamed answer; what was received behind it is in the exchange.
pub(super) fn begin(
    client: &Client,
    ask: &Ask,
    media_type: &'static str,
) -> Result<Exchange, Error> {
    let deadline = Instant::now() + client.options().answer_timeout;
    let request = ask.request(client).with("Accept", media_type);
    let connection = client.connect(Some(&ask.stopper))?;
    let mut exchange = Exchange::begin(connection, &request, client.endpoint(), deadline);
    let head = exchange.head(deadline)?.ok_or_else(Error::timed_out)?;
    if head.status != 200 {
        return Err(exchange.into_refusal(deadline));
    }
    if head.media_type() != media_type {
        let sentence = format!("{:?} where {media_type} was asked for", head.media_type());
        return Err(Error::protocol(sentence));
    }
    Ok(exchange)
}

impl Way for HttpStream {
    fn next(&mut self, deadline: Instant) -> Result<Option<Incoming>, Error> {
        loop {
            let incoming = self.framing.pop()?;
            if let Some(Incoming::Welcome { heartbeat, .. }) = incoming {
                self.patience = self.options.patience(heartbeat);
            }
            if incoming.is_some() {
                return Ok(incoming);
            }
            self.receive(deadline)?;
            // Bytes that complete nothing, drop by drop, must not hold the caller beyond its deadline.
            if Instant::now() >= deadline && self.framing.is_empty() {
                return Ok(None);
            }
        }
    }

    fn reconnection_time(&self) -> Option<Duration> {
        match &self.framing {
            Framing::Sse(parser) => parser.reconnection_time(),
            Framing::Ndjson(_) => None,
        }
    }

    fn close(self: Box<Self>) {}
}

/// How messages are told apart in the stream.
enum Framing {
    Sse(sse::Parser),
    Ndjson(Lines),
}

impl Framing {
    fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let pushed = match self {
            Framing::Sse(parser) => parser.push(bytes).is_ok(),
            Framing::Ndjson(lines) => lines.push(bytes).is_ok(),
        };
        if pushed {
            return Ok(());
        }
        Err(Error::protocol("a message beyond the client's bound"))
    }

    /// Whether [`pop`](Self::pop) has nothing to give.
    fn is_empty(&self) -> bool {
        match self {
            Framing::Sse(parser) => parser.is_empty(),
            Framing::Ndjson(lines) => lines.whole.is_empty(),
        }
    }

    fn pop(&mut self) -> Result<Option<Incoming>, Error> {
        match self {
            Framing::Sse(parser) => parser.pop().map(of_block).transpose(),
            Framing::Ndjson(lines) => lines.pop().map(|line| Incoming::parse(&line)).transpose(),
        }
    }
}

/// A block's data says all: an event is its JSON, a control block is one with `op`.
fn of_block(parsed: sse::Parsed) -> Result<Incoming, Error> {
    match parsed {
        sse::Parsed::Comment => Ok(Incoming::Heartbeat { cursor: None }),
        sse::Parsed::Message(message) => Incoming::parse(&message.data),
    }
}

/// Lines that end with LF, cut anywhere.
struct Lines {
    limit: usize,
    line: Vec<u8>,
    whole: VecDeque<String>,
}

/// A line was longer than its bound.
#[derive(Debug, PartialEq, Eq)]
struct LineTooLong;

impl Lines {
    fn new(limit: usize) -> Self {
        Lines {
            limit,
            line: Vec::new(),
            whole: VecDeque::new(),
        }
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), LineTooLong> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if self.line.len() > self.limit {
                return Err(LineTooLong);
            }
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                let line = String::from_utf8_lossy(&line);
                if !line.trim().is_empty() {
                    self.whole.push_back(line.trim().to_owned());
                }
            }
        }
        Ok(())
    }

    fn pop(&mut self) -> Option<String> {
        self.whole.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_wherever_they_are_cut() {
        let stream = "{\"a\":\"é\"}\n\r\n{\"b\":1}\r\n{\"lost\"".as_bytes();
        for cut in 0..=stream.len() {
            let mut lines = Lines::new(100);
            lines.push(&stream[..cut]).unwrap();
            lines.push(&stream[cut..]).unwrap();
            let lines: Vec<_> = std::iter::from_fn(|| lines.pop()).collect();
            assert_eq!(lines, ["{\"a\":\"é\"}", "{\"b\":1}"], "{cut}");
        }
    }

    #[test]
    fn a_line_without_end_does_not_fill_the_memory() {
        let mut lines = Lines::new(8);
        assert_eq!(lines.push(b"12345678"), Ok(()));
        assert_eq!(lines.push(b"9"), Err(LineTooLong));
    }
}
