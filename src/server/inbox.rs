//! Bytes that came and belong to no request yet, in the buffer into which they were read.

/// The room of a connection that sends little.
const LEAST: usize = 4 * 1024;
/// The room of one that sends so much that it fills what there is, so that a large body costs few reads.
const MOST: usize = 64 * 1024;

/// What a connection has received and not yet used.
#[derive(Default)]
pub(super) struct Inbox {
    /// All of it initialised, once; what counts lies between `begin` and `end`.
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
    /// Whether the last read filled its room.
    filled: bool,
}

impl Inbox {
    /// What came and was not used.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.begin..self.end).unwrap_or_default()
    }

    /// Whether nothing is there.
    pub(super) fn is_empty(&self) -> bool {
        self.begin == self.end
    }

    /// Marks the first `count` bytes as used.
    pub(super) fn consume(&mut self, count: usize) {
        self.begin = self.begin.saturating_add(count).min(self.end);
        if self.is_empty() {
            (self.begin, self.end) = (0, 0);
        }
    }

    /// Where the next bytes are to be read to; never empty. Whoever does not consume is bounded by the
    /// ceiling of what it waits for, and so is this buffer.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.end == self.buffer.len() {
            self.buffer.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
        }
        let length = self.buffer.len();
        if self.end == length || (self.filled && length < MOST) {
            self.buffer.resize(length + length.clamp(LEAST, MOST), 0);
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// Says that `count` bytes were read into the room.
    pub(super) fn received(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.buffer.len());
        self.filled = self.end == self.buffer.len();
    }

    /// Gives back the memory of what was large, when nothing is there.
    pub(super) fn shrink(&mut self) {
        if self.is_empty() && self.buffer.len() > LEAST {
            *self = Inbox::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(inbox: &mut Inbox, bytes: &[u8]) {
        for part in bytes.chunks(LEAST / 3) {
            let room = inbox.room();
            let count = part.len().min(room.len());
            room[..count].copy_from_slice(&part[..count]);
            inbox.received(count);
            if count < part.len() {
                receive(inbox, &part[count..]);
            }
        }
    }

    #[test]
    fn bytes_come_out_in_the_order_in_which_they_came() {
        let sent: Vec<u8> = (0..=250).cycle().take(10 * LEAST).collect();
        let mut inbox = Inbox::default();
        let mut got = Vec::new();
        for part in sent.chunks(777) {
            receive(&mut inbox, part);
            let used = inbox.bytes().len().min(500);
            got.extend_from_slice(&inbox.bytes()[..used]);
            inbox.consume(used);
        }
        got.extend_from_slice(inbox.bytes());
        assert_eq!(got, sent);
    }

    #[test]
    fn the_room_grows_with_those_who_fill_it_and_not_without_end() {
        let mut inbox = Inbox::default();
        for _ in 0..100 {
            let count = inbox.room().len();
            inbox.received(count);
            inbox.consume(count);
        }
        assert_eq!(inbox.buffer.len(), MOST);
        inbox.shrink();
        assert_eq!(inbox.room().len(), LEAST);
    }

    #[test]
    fn what_is_used_up_piece_by_piece_needs_no_more_room() {
        let mut inbox = Inbox::default();
        for _ in 0..100 {
            receive(&mut inbox, &[7; LEAST / 4]);
            inbox.consume(LEAST);
        }
        assert!(inbox.is_empty());
        assert_eq!(inbox.buffer.len(), LEAST);
    }
}
