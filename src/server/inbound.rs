//! Requests as they come in on one connection: each head and each body whole, within its bounds and before
//! its deadline, or a refusal. Answers nothing but `100 Continue`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::stream::{ReadError, Stream};
use crate::config::Timeouts;
use crate::http::body::Decoder;
use crate::http::head::{Ceilings, Head, HeadParser};
use crate::http::response::CONTINUE;
use crate::refusal::{Kind, Refusal};
use crate::tls::HANDSHAKE;

/// Bytes of heads that are read at once.
pub const READ_BYTES: usize = 4 * 1024;
/// Bytes of a body that are read at once.
const BODY_BYTES: usize = 64 * 1024;

/// What one connection sends.
pub struct Inbound {
    stream: Arc<Stream>,
    parser: HeadParser,
    /// Bytes that came and belong to no request yet.
    pub buffer: Vec<u8>,
}

impl Inbound {
    /// Of a connection from which nothing was read.
    pub fn new(stream: Arc<Stream>) -> Self {
        Inbound {
            stream,
            parser: HeadParser::default(),
            buffer: Vec::new(),
        }
    }

    /// The next head; `None` when there is none to come. One `patience` from now on for all of it, so that a byte now
    /// and then (Slowloris) wins nothing.
    ///
    /// # Errors
    /// The refusal of a head that is malformed, goes beyond its bounds or does not arrive in time.
    pub fn read_head(
        &mut self,
        ceilings: &Ceilings,
        patience: Duration,
    ) -> Result<Option<Head>, Refusal> {
        let mut deadline = None;
        loop {
            let parsed = self.parser.parse(&self.buffer, ceilings);
            if let Some((head, length)) = parsed.map_err(|refusal| self.explain(refusal))? {
                self.buffer.drain(..length);
                return Ok(Some(head));
            }
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + patience);
            match self.read_more(READ_BYTES, deadline) {
                Ok(()) => {}
                Err(ReadError::TimedOut) if !self.buffer.is_empty() => {
                    let detail = "the head of the request did not arrive in time";
                    return Err(Refusal::new(Kind::RequestTimeout, detail));
                }
                Err(_) => return Ok(None),
            }
        }
    }

    /// The body behind `head`, `most` bytes at most, within `timeouts.body`. `hold` is called with the bytes that it is
    /// going to take, whenever they become more.
    ///
    /// # Errors
    /// The refusal of a body that is malformed, too large or does not arrive in time, and that of `hold`.
    pub fn read_body(
        &mut self,
        head: &Head,
        most: u64,
        timeouts: &Timeouts,
        mut hold: impl FnMut(usize) -> Result<(), Refusal>,
    ) -> Result<Vec<u8>, Refusal> {
        let mut decoder = Decoder::new(head.body, most)?;
        if head.expects_continue() && self.buffer.is_empty() {
            // A client that does not wait for it is not refused because it did not arrive.
            let _ = self.stream.write_all(CONTINUE, timeouts.write);
        }
        let mut deadline = None;
        let mut body = Vec::new();
        loop {
            let room = room_for(&body, self.buffer.len());
            if room > body.capacity() {
                hold(room)?;
                body.reserve_exact(room.saturating_sub(body.len()));
            }
            let progress = decoder.decode(&self.buffer, &mut body)?;
            self.buffer.drain(..progress.consumed);
            if progress.done {
                return Ok(body);
            }
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + timeouts.body);
            let owed = decoder.owed().and_then(|owed| usize::try_from(owed).ok());
            let most = owed.unwrap_or(READ_BYTES).clamp(READ_BYTES, BODY_BYTES);
            self.read_more(most, deadline).map_err(broken_body)?;
        }
    }

    /// What is no head may be the beginning of TLS, by a client that was given the wrong scheme.
    fn explain(&self, refusal: Refusal) -> Refusal {
        match self.buffer.as_slice() {
            [HANDSHAKE, 3, ..] => {
                log::debug!("{}: TLS where plain HTTP is spoken", self.stream.peer());
                let detail = "this port speaks plain HTTP: use http:// (or ws://) instead of https:// (or wss://)";
                Refusal::new(Kind::BadRequest, detail)
            }
            _ => refusal,
        }
    }

    /// Takes a head back that is done with, which makes its like cheaper.
    pub fn keep(&mut self, head: Head) {
        self.parser.keep(head);
    }

    fn read_more(&mut self, most: usize, deadline: Instant) -> Result<(), ReadError> {
        let read = self.stream.append_to(&mut self.buffer, most, deadline);
        read.map(drop)
    }
}

/// What a body takes when so many bytes come to it: twice as much as before when it has to grow, so that few are copied.
fn room_for(body: &Vec<u8>, more: usize) -> usize {
    let needed = body.len().saturating_add(more);
    match needed > body.capacity() {
        true => needed.max(body.capacity().saturating_mul(2)),
        false => body.capacity(),
    }
}

fn broken_body(error: ReadError) -> Refusal {
    match error {
        ReadError::TimedOut => Refusal::new(
            Kind::RequestTimeout,
            "the body of the request did not arrive in time",
        ),
        ReadError::HungUp => {
            Refusal::new(Kind::BadRequest, "the body of the request is incomplete")
        }
    }
}
