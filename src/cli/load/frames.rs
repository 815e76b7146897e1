//! What a WebSocket's server sends (RFC 6455, section 5), as far as a load generator must understand it:
//! text is passed on, pings are answered, and a close is the end.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, OpCode};

use crate::client::{Close, Error, bare};

/// The most bytes of a control frame (RFC 6455, section 5.5).
const MAX_CONTROL: usize = 125;

/// The place in a stream of frames.
#[derive(Debug, Default)]
pub(in crate::cli) struct Frames {
    /// Bytes that the text begun still has.
    left: u64,
}

impl Frames {
    /// Moves text from the front of `received` to the end of `text`, and appends what is to be sent to
    /// `reply`. What stays in `received` is the beginning of a frame.
    ///
    /// # Errors
    /// [`Error::Closed`] at a close, and when these are no frames.
    pub(in crate::cli) fn decode(
        &mut self,
        received: &mut Vec<u8>,
        text: &mut Vec<u8>,
        reply: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let mut rest = received.as_slice();
        loop {
            let here = usize::try_from(self.left).unwrap_or(usize::MAX);
            let (piece, behind) = rest.split_at(here.min(rest.len()));
            text.extend_from_slice(piece);
            self.left -= piece.len() as u64;
            match self.next_frame(behind, reply)? {
                Some(next) => rest = next,
                None => {
                    rest = behind;
                    break;
                }
            }
        }
        let taken = received.len() - rest.len();
        received.drain(..taken);
        Ok(())
    }

    /// Reads a header, or a whole control frame, and returns what is behind it; `None` while it is not
    /// whole.
    fn next_frame<'a>(
        &mut self,
        bytes: &'a [u8],
        reply: &mut Vec<u8>,
    ) -> Result<Option<&'a [u8]>, Error> {
        let mut cursor = Cursor::new(bytes);
        let header = FrameHeader::parse(&mut cursor)
            .map_err(|error| Error::Protocol(error.to_string().into()))?;
        let Some((header, length)) = header else {
            return Ok(None);
        };
        let behind = usize::try_from(cursor.position()).ok();
        let behind = behind.and_then(|at| bytes.get(at..)).unwrap_or_default();
        let OpCode::Control(control) = header.opcode else {
            self.left = length;
            return Ok(Some(behind));
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > MAX_CONTROL {
            return Err(Error::Protocol("a control frame too long".into()));
        }
        let Some((payload, behind)) = behind.split_at_checked(length) else {
            return Ok(None);
        };
        answer(control, payload, reply)?;
        Ok(Some(behind))
    }
}

fn answer(control: Control, payload: &[u8], reply: &mut Vec<u8>) -> Result<(), Error> {
    match control {
        Control::Ping => reply.extend(bare::pong(payload)?),
        Control::Close => return Err(Error::Closed(close_in(payload))),
        Control::Pong | Control::Reserved(_) => {}
    }
    Ok(())
}

fn close_in(payload: &[u8]) -> Close {
    const NO_CODE: u16 = 1005;
    let parts = payload.split_first_chunk();
    let (code, reason) = parts.map_or((NO_CODE, payload), |(code, reason)| {
        (u16::from_be_bytes(*code), reason)
    });
    Close {
        code,
        reason: String::from_utf8_lossy(reason).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of a server, which does not mask.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let length = payload.len();
        let mut frame = match u8::try_from(length) {
            Ok(short @ 0..=125) => vec![first, short],
            _ => [&[first, 126][..], &(length as u16).to_be_bytes()].concat(),
        };
        frame.extend_from_slice(payload);
        frame
    }

    #[test]
    fn text_is_passed_on_and_pings_are_answered_wherever_the_bytes_are_cut() {
        let stream = [
            frame(0x81, b"first "),
            frame(0x89, b"are you there?"),
            frame(0x81, &[b'x'; 300]),
            frame(0x8a, b""),
            frame(0x01, b" in two "),
            frame(0x80, b"parts"),
        ]
        .concat();
        let expected = format!("first {} in two parts", "x".repeat(300));
        for cut in 0..=stream.len() {
            let (mut frames, mut text, mut reply) = (Frames::default(), Vec::new(), Vec::new());
            let mut received = Vec::new();
            for piece in [&stream[..cut], &stream[cut..]] {
                received.extend_from_slice(piece);
                let decoded = frames.decode(&mut received, &mut text, &mut reply);
                assert!(decoded.is_ok());
                assert!(received.len() < 150, "text is not kept");
            }
            assert!(received.is_empty());
            assert_eq!(text, expected.as_bytes(), "cut at {cut}");
            let unmasked = reply[6..].iter().zip(reply[2..6].iter().cycle());
            let payload: Vec<u8> = unmasked.map(|(byte, mask)| byte ^ mask).collect();
            assert_eq!((reply[0], reply[1]), (0x8a, 0x80 | 14), "cut at {cut}");
            assert_eq!(payload, b"are you there?");
        }
    }

    #[test]
    fn a_close_is_the_end_and_says_why() {
        let mut received = frame(0x88, b"\x11\x38too slow");
        let mut frames = Frames::default();
        let ended = frames.decode(&mut received, &mut Vec::new(), &mut Vec::new());
        let told = ended.unwrap_err().to_string();
        assert_eq!(told, "the server ended the stream (4408: too slow)");
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        for bytes in [frame(0x83, b""), frame(0x89, &[0; 126])] {
            let mut frames = Frames::default();
            let decoded = frames.decode(&mut bytes.clone(), &mut Vec::new(), &mut Vec::new());
            assert!(decoded.is_err(), "{bytes:?}");
        }
    }
}
