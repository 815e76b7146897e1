//! The body of a request comes out of its framing, and a chunk goes into its own (RFC 9112, sections 6 and 7.1).

use super::head::BodyFraming;
use crate::refusal::{Kind, Refusal};

/// The chunk that ends a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Eight digits are 4 GiB, more than any bound on a body; more would overflow.
const SIZE_DIGITS: u32 = 8;
/// Bytes of one chunk's extensions, which are dropped.
const EXTENSION_BYTES: usize = 256;
/// Bytes of all extensions of a body: without it, 256 bytes a chunk carry one byte of payload.
const ALL_EXTENSION_BYTES: usize = 16 * 1024;
/// Bytes of all trailers, which are dropped.
const TRAILER_BYTES: usize = 8 * 1024;

/// Appends `data` as one chunk. Empty data appends nothing, since an empty chunk ends the body.
pub fn chunk(data: &[u8], out: &mut Vec<u8>) {
    if data.is_empty() {
        return;
    }
    out.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// Takes a body out of its framing, piece by piece, in time linear in its bytes.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    limit: u64,
    /// Payload bytes that the limit still allows to a chunked body.
    room: u64,
    extensions: usize,
    trailers: usize,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Sized { left: u64 },
    Size { size: u64, digits: u32 },
    Extension { size: u64, bytes: usize },
    SizeLf { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    LastLf,
    Done,
}

/// What one call of [`Decoder::decode`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the input that belonged to the body and are done with.
    pub consumed: usize,
    /// Whether the body is complete; the next byte begins another request.
    pub done: bool,
}

impl Decoder {
    /// A decoder of a body of at most `limit` payload bytes. 413 at once when a `Content-Length` says more.
    pub fn new(framing: BodyFraming, limit: u64) -> Result<Decoder, Refusal> {
        let state = match framing {
            BodyFraming::None | BodyFraming::Sized(0) => State::Done,
            BodyFraming::Sized(length) if length > limit => return Err(too_large(limit)),
            BodyFraming::Sized(left) => State::Sized { left },
            BodyFraming::Chunked => State::Size { size: 0, digits: 0 },
        };
        Ok(Decoder {
            state,
            limit,
            room: limit,
            extensions: 0,
            trailers: 0,
        })
    }

    /// Whether the body is complete. A peer that hangs up before has sent a broken message.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Bytes that a sized body still owes; `None` when only the body itself knows.
    pub fn owed(&self) -> Option<u64> {
        match self.state {
            State::Sized { left } => Some(left),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// Appends the payload in `input` to `out`, as far as the body goes. 400 for broken framing, 413 for a
    /// chunk that goes beyond the limit (before any of its bytes), 431 for too long trailers; after an error the decoder
    /// is of no further use.
    pub fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Progress, Refusal> {
        let mut rest = input;
        while !self.is_done() && !rest.is_empty() {
            rest = match self.state {
                State::Sized { left } => self.sized(left, rest, out),
                State::Data { left } => self.data(left, rest, out),
                _ => self.framing(rest)?,
            };
        }
        Ok(Progress {
            consumed: input.len().saturating_sub(rest.len()),
            done: self.is_done(),
        })
    }

    fn sized<'a>(&mut self, left: u64, input: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let (left, rest) = take(left, input, out);
        self.state = match left {
            0 => State::Done,
            left => State::Sized { left },
        };
        rest
    }

    fn data<'a>(&mut self, left: u64, input: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let (left, rest) = take(left, input, out);
        self.state = match left {
            0 => State::DataCr,
            left => State::Data { left },
        };
        rest
    }

    fn framing<'a>(&mut self, input: &'a [u8]) -> Result<&'a [u8], Refusal> {
        let Some((&byte, rest)) = input.split_first() else {
            return Ok(input);
        };
        self.state = self.step(byte)?;
        Ok(rest)
    }

    fn step(&mut self, byte: u8) -> Result<State, Refusal> {
        match (self.state, byte) {
            (State::Size { size, digits }, byte) => size_byte(size, digits, byte),
            (State::Extension { size, .. }, b'\r') => Ok(State::SizeLf { size }),
            (State::Extension { size, bytes }, byte) => self.extension(size, bytes, byte),
            (State::SizeLf { size }, b'\n') => self.begin_chunk(size),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size { size: 0, digits: 0 }),
            (State::TrailerStart, b'\r') => Ok(State::LastLf),
            (State::Trailer, b'\r') => Ok(State::TrailerLf),
            (State::TrailerStart | State::Trailer, byte) => self.trailer(byte),
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            (State::LastLf, b'\n') => Ok(State::Done),
            _ => Err(malformed(
                "a chunk does not end with CRLF where its size says",
            )),
        }
    }

    fn begin_chunk(&mut self, size: u64) -> Result<State, Refusal> {
        if size == 0 {
            return Ok(State::TrailerStart);
        }
        self.room = self
            .room
            .checked_sub(size)
            .ok_or_else(|| too_large(self.limit))?;
        Ok(State::Data { left: size })
    }

    /// A lone LF here ends the line for some readers, and hides a second request from others.
    fn extension(&mut self, size: u64, bytes: usize, byte: u8) -> Result<State, Refusal> {
        check_text(byte)?;
        self.extensions += 1;
        if bytes >= EXTENSION_BYTES || self.extensions > ALL_EXTENSION_BYTES {
            return Err(malformed("the chunk extensions are too long"));
        }
        Ok(State::Extension {
            size,
            bytes: bytes + 1,
        })
    }

    fn trailer(&mut self, byte: u8) -> Result<State, Refusal> {
        check_text(byte)?;
        self.trailers += 1;
        if self.trailers > TRAILER_BYTES {
            return Err(Refusal::new(
                Kind::HeadTooLarge,
                "the trailers are too long",
            ));
        }
        Ok(State::Trailer)
    }
}

/// Moves up to `left` bytes of `input` to `out`; what is left then, of both.
fn take<'a>(left: u64, input: &'a [u8], out: &mut Vec<u8>) -> (u64, &'a [u8]) {
    let count = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
    let (payload, rest) = input.split_at(count);
    out.extend_from_slice(payload);
    (left.saturating_sub(count as u64), rest)
}

fn size_byte(size: u64, digits: u32, byte: u8) -> Result<State, Refusal> {
    match (char::from(byte).to_digit(16), byte) {
        (Some(digit), _) if digits < SIZE_DIGITS => Ok(State::Size {
            size: size << 4 | u64::from(digit),
            digits: digits + 1,
        }),
        (None, b'\r') if digits > 0 => Ok(State::SizeLf { size }),
        (None, b';') if digits > 0 => Ok(State::Extension { size, bytes: 0 }),
        _ => Err(malformed(
            "a chunk size is not 1 to 8 hexadecimal digits and CRLF",
        )),
    }
}

fn check_text(byte: u8) -> Result<(), Refusal> {
    match byte {
        b'\t' | 0x20..=0x7e | 0x80.. => Ok(()),
        _ => Err(malformed(
            "a chunk extension or a trailer has a control character",
        )),
    }
}

fn too_large(limit: u64) -> Refusal {
    Refusal::new(Kind::TooLarge, format!("the body may have {limit} bytes"))
}

fn malformed(detail: &'static str) -> Refusal {
    Refusal::new(Kind::BadRequest, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: &[u8] =
        b"4\r\nWiki\r\n5;a=\"b;c\"\r\npedia\r\nB\r\n in\r\nchunks\r\n000\r\nT: x\r\nU: y\r\n\r\n";

    fn status(
        framing: BodyFraming,
        limit: u64,
        pieces: &[&[u8]],
    ) -> Result<(Vec<u8>, Decoder), u16> {
        let mut decoder = Decoder::new(framing, limit).map_err(|r| r.row().status)?;
        let mut out = Vec::new();
        for piece in pieces {
            decoder
                .decode(piece, &mut out)
                .map_err(|r| r.row().status)?;
        }
        Ok((out, decoder))
    }

    #[test]
    fn a_chunked_body_is_the_same_wherever_it_is_split() {
        for split in 0..=CHUNKED.len() {
            let (first, second) = CHUNKED.split_at(split);
            let (out, decoder) = status(BodyFraming::Chunked, 20, &[first, second]).unwrap();
            assert_eq!(out, b"Wikipedia in\r\nchunks", "split at {split}");
            assert!(decoder.is_done(), "split at {split}");
        }
    }

    #[test]
    fn a_chunked_body_may_come_byte_by_byte() {
        let pieces: Vec<&[u8]> = CHUNKED.chunks(1).collect();
        let (out, decoder) = status(BodyFraming::Chunked, 20, &pieces).unwrap();
        assert_eq!(out, b"Wikipedia in\r\nchunks");
        assert!(decoder.is_done());
    }

    #[test]
    fn a_body_cut_anywhere_is_not_done() {
        for end in 0..CHUNKED.len() {
            let (_, decoder) = status(BodyFraming::Chunked, 20, &[&CHUNKED[..end]]).unwrap();
            assert!(!decoder.is_done(), "cut at {end}");
        }
    }

    #[test]
    fn what_follows_the_body_is_left_alone() {
        let mut out = Vec::new();
        let mut decoder = Decoder::new(BodyFraming::Sized(5), 5).unwrap();
        let progress = decoder.decode(b"helloGET /", &mut out).unwrap();
        assert_eq!(
            progress,
            Progress {
                consumed: 5,
                done: true
            }
        );
        assert_eq!(decoder.decode(b"GET /", &mut out).unwrap().consumed, 0);

        let mut decoder = Decoder::new(BodyFraming::Chunked, 5).unwrap();
        let progress = decoder.decode(b"0\r\n\r\nGET /", &mut out).unwrap();
        assert_eq!(
            progress,
            Progress {
                consumed: 5,
                done: true
            }
        );
        assert_eq!(out, b"hello");
    }

    #[test]
    fn a_request_without_a_body_is_done_at_once() {
        for framing in [BodyFraming::None, BodyFraming::Sized(0)] {
            let decoder = Decoder::new(framing, 0).unwrap();
            assert!(decoder.is_done());
            assert_eq!(decoder.owed(), Some(0));
        }
    }

    #[test]
    fn broken_chunks_are_refused() {
        for (body, expected) in [
            (&b"\r\n"[..], 400),
            (b";x\r\n", 400),
            (b"g\r\n", 400),
            (b"-1\r\n", 400),
            (b"+1\r\n", 400),
            (b"0x1\r\n", 400),
            (b" 1\r\n", 400),
            (b"1 \r\n", 400),
            (b"1\n", 400),
            (b"1\rx", 400),
            (b"1;a\nb\r\n", 400),
            (b"1;a\0\r\n", 400),
            (b"000000001", 400),
            (b"FFFFFFFFFFFFFFFF1", 400),
            (b"1\r\nab", 400),
            (b"1\r\na\n", 400),
            (b"1\r\na\rb", 400),
            (b"0\r\n\n", 400),
            (b"0\r\nT: x\n", 400),
            (b"0\r\n\rx", 400),
            (b"ffffffff\r\n", 413),
            (b"15\r\n", 413),
            (b"a\r\n0123456789\r\nb\r\n", 413),
        ] {
            let got = status(BodyFraming::Chunked, 20, &[body]).err();
            assert_eq!(got, Some(expected), "{:?}", body.escape_ascii().to_string());
        }
    }

    #[test]
    fn a_sized_body_beyond_the_limit_is_refused_before_a_byte_is_read() {
        assert_eq!(status(BodyFraming::Sized(21), 20, &[]).err(), Some(413));
        assert!(status(BodyFraming::Sized(20), 20, &[]).is_ok());
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let extended = |bytes: usize| format!("1;{}\r\nx\r\n", "e".repeat(bytes));
        let decode = |body: String| status(BodyFraming::Chunked, 1000, &[body.as_bytes()]).err();
        assert_eq!(decode(extended(EXTENSION_BYTES)), None);
        assert_eq!(decode(extended(EXTENSION_BYTES + 1)), Some(400));
        assert_eq!(decode(extended(EXTENSION_BYTES).repeat(65)), Some(400));
        assert_eq!(
            decode(format!("0\r\nT: {}", "t".repeat(TRAILER_BYTES))),
            Some(431)
        );
        assert_eq!(
            decode(format!("0\r\n{}", "t\r\n".repeat(TRAILER_BYTES + 1))),
            Some(431)
        );
    }

    #[test]
    fn what_the_writer_makes_the_decoder_reads() {
        let mut wire = Vec::new();
        for data in [&b"one"[..], b"", &[b'x'; 300]] {
            chunk(data, &mut wire);
        }
        wire.extend_from_slice(LAST_CHUNK);
        let (out, decoder) = status(BodyFraming::Chunked, 303, &[&wire]).unwrap();
        assert_eq!(out.len(), 303);
        assert!(decoder.is_done());
    }
}
