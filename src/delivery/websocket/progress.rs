//! How far a peer is with what it says: where its frames end, and how much of a message has come (RFC 6455, section 5.2).
//! Judges nothing: that is the parser's.

/// The longest head of a frame.
const HEAD_BYTES: usize = 14;

/// The place in the bytes of one peer.
#[derive(Default)]
pub(super) struct Progress {
    /// The head of the frame that has begun, as far as it came.
    head: [u8; HEAD_BYTES],
    head_length: usize,
    frame: Frame,
    /// Payload of this frame that has not come yet.
    left: u64,
    /// Bytes of the message that has not ended, with the heads of its frames.
    message: usize,
    /// Whether the last frame of a message has not come yet.
    is_fragmented: bool,
}

/// What matters of a frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Frame {
    /// Beside any message: ping, pong or close.
    #[default]
    Control,
    Fragment,
    /// The last of its message, or all of it.
    Last,
}

impl Progress {
    /// Notes what came; the most that any message had of it by then, complete or not.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> usize {
        let (mut rest, mut most) = (bytes, 0);
        while !rest.is_empty() {
            rest = match self.left {
                0 => self.take_head(rest),
                left => self.take_payload(left, rest),
            };
            most = most.max(self.message);
            if self.left == 0 && self.head_length == 0 {
                self.end_frame();
            }
        }
        most
    }

    /// Whether no frame and no message has begun that did not end.
    pub(super) fn is_clear(&self) -> bool {
        self.left == 0 && self.head_length == 0 && !self.is_fragmented
    }

    fn take_payload<'a>(&mut self, left: u64, bytes: &'a [u8]) -> &'a [u8] {
        let most = usize::try_from(left).unwrap_or(usize::MAX);
        let count = most.min(bytes.len());
        self.left = left.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
        self.count(count);
        bytes.get(count..).unwrap_or_default()
    }

    /// One byte of a head; with the last one its frame begins.
    fn take_head<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some((byte, rest)) = bytes.split_first() else {
            return bytes;
        };
        if let Some(slot) = self.head.get_mut(self.head_length) {
            *slot = *byte;
            self.head_length += 1;
        }
        let [first, second, extended @ ..] = self.head;
        let (length_bytes, short) = match second & 0x7f {
            126 => (2, 0),
            127 => (8, 0),
            short => (0, u64::from(short)),
        };
        let mask_bytes = if second & 0x80 == 0 { 0 } else { 4 };
        let head_bytes = 2 + length_bytes + mask_bytes;
        if self.head_length < 2 || self.head_length < head_bytes {
            return rest;
        }
        let long = extended.iter().take(length_bytes);
        self.left = long.fold(short, |length, byte| (length << 8) | u64::from(*byte));
        self.frame = match (first & 0x08 == 0, first & 0x80 == 0) {
            (false, _) => Frame::Control,
            (true, true) => Frame::Fragment,
            (true, false) => Frame::Last,
        };
        self.head_length = 0;
        self.count(head_bytes);
        rest
    }

    fn count(&mut self, bytes: usize) {
        if self.frame != Frame::Control {
            self.message = self.message.saturating_add(bytes);
        }
    }

    fn end_frame(&mut self) {
        match self.frame {
            Frame::Control => {}
            Frame::Fragment => self.is_fragmented = true,
            Frame::Last => {
                self.is_fragmented = false;
                self.message = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIN: u8 = 0x80;
    const TEXT: u8 = 1;
    const PING: u8 = 9;

    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut bytes = vec![first];
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short), _) if short < 126 => bytes.push(0x80 | short),
            (_, Ok(medium)) => {
                bytes.push(0x80 | 126);
                bytes.extend(medium.to_be_bytes());
            }
            _ => {
                bytes.push(0x80 | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend([0; 4]);
        bytes.resize(bytes.len() + length, 0xff);
        bytes
    }

    #[test]
    fn the_end_of_a_frame_is_found_however_it_is_cut() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let bytes = frame(FIN | TEXT, length);
            for cut in [1, 2, 3, 7, 4_096, bytes.len()] {
                let mut progress = Progress::default();
                let mut most = 0;
                for (index, piece) in bytes.chunks(cut).enumerate() {
                    assert!(index == 0 || !progress.is_clear(), "{length} by {cut}");
                    most = most.max(progress.feed(piece));
                }
                assert!(progress.is_clear(), "{length} by {cut}");
                assert_eq!(most, bytes.len(), "{length} by {cut}");
            }
        }
    }

    #[test]
    fn fragments_add_up_and_what_comes_between_them_does_not() {
        let mut progress = Progress::default();
        assert_eq!(progress.feed(&frame(TEXT, 100)), 106);
        assert_eq!(progress.feed(&frame(FIN | PING, 50)), 106);
        assert!(!progress.is_clear());
        assert_eq!(progress.feed(&frame(0, 0)), 112);
        assert_eq!(progress.feed(&frame(FIN, 10)), 128);
        assert!(progress.is_clear());
        assert_eq!(progress.feed(&frame(FIN | PING, 50)), 0);
        assert!(progress.is_clear());
    }

    #[test]
    fn of_several_messages_the_largest_is_told() {
        let bytes = [10, 300, 20]
            .map(|length| frame(FIN | TEXT, length))
            .concat();
        let mut progress = Progress::default();
        assert_eq!(progress.feed(&bytes), 308);
        assert!(progress.is_clear());
        assert_eq!(progress.feed(&frame(FIN | TEXT, 10)[..9]), 9);
        assert!(!progress.is_clear());
    }

    #[test]
    fn lengths_beyond_everything_do_no_harm() {
        let mut progress = Progress::default();
        progress.feed(&[0x81, 0xff]);
        progress.feed(&[0xff; 100]);
        assert!(!progress.is_clear());
        progress.feed(&[0x01; 100_000]);
    }
}
