//! The stream of one JSON object a line, from the client's side.

use super::http::{Body, Framing, Head, Piece};
use super::wire::{Wire, deadline};

/// A stream that was opened.
pub struct Lines {
    wire: Wire,
    body: Body,
    unread: Vec<u8>,
    /// The head of the answer.
    pub head: Head,
    /// Whether the stream came to the end that its framing promised.
    pub ended_whole: bool,
}

impl Lines {
    /// Sends `request` and reads the head, which must be that of a stream.
    pub fn open(wire: Wire, request: &[u8]) -> Self {
        Self::try_open(wire, request).expect("a head")
    }

    /// The same with a server that may go; `None` when it went without a head.
    pub fn try_open(mut wire: Wire, request: &[u8]) -> Option<Self> {
        wire.try_send(request).ok()?;
        let head = Head::read(&mut wire, deadline())?;
        assert_eq!(head.status, 200, "{}", head.raw);
        assert_eq!(head.must("Content-Type"), "application/x-ndjson");
        let body = Body::new(Framing::of(&head, "GET"));
        Some(Lines {
            wire,
            body,
            unread: Vec::new(),
            head,
            ended_whole: false,
        })
    }

    /// The next line without its LF; `None` at the end. A last line that was cut is not one.
    pub fn next_line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.unread.iter().position(|&b| b == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Some(String::from_utf8(line[..end].to_vec()).expect("UTF-8"));
            }
            match self.body.next(&mut self.wire, deadline()) {
                Piece::Bytes(bytes) => self.unread.extend_from_slice(&bytes),
                end => {
                    self.ended_whole = end == Piece::End;
                    return None;
                }
            }
        }
    }
}
