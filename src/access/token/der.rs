//! As much of DER (X.690) as it takes to find a public key.

/// The tags that are asked for.
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;

/// Reads one element after the other.
pub(super) struct Elements<'d>(&'d [u8]);

impl<'d> Elements<'d> {
    pub(super) fn of(der: &'d [u8]) -> Self {
        Elements(der)
    }

    /// The contents of the next element, if it has this tag.
    pub(super) fn take(&mut self, tag: u8) -> Option<&'d [u8]> {
        let before = self.0;
        match self.next()? {
            (found, contents) if found == tag => Some(contents),
            _ => {
                self.0 = before;
                None
            }
        }
    }

    /// The elements within the next one, if that is a sequence.
    pub(super) fn sequence(&mut self) -> Option<Elements<'d>> {
        self.take(SEQUENCE).map(Elements)
    }

    /// The bytes of the next element, if that is a string of whole bytes.
    pub(super) fn bits(&mut self) -> Option<&'d [u8]> {
        match self.take(BIT_STRING)?.split_first()? {
            (0, bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Passes over the next element, whatever it is.
    pub(super) fn skip(&mut self) -> Option<()> {
        self.next().map(|_| ())
    }

    fn next(&mut self) -> Option<(u8, &'d [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (length, rest) = length(rest)?;
        let (contents, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, contents))
    }
}

/// A length, in the short form or the long one of up to three bytes, and what follows it.
fn length(der: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = der.split_first()?;
    let count = match first {
        0..=0x7f => return Some((usize::from(first), rest)),
        0x81..=0x83 => usize::from(first & 0x7f),
        _ => return None,
    };
    let (bytes, rest) = rest.split_at_checked(count)?;
    let length = bytes
        .iter()
        .fold(0, |length, byte| length << 8 | usize::from(*byte));
    Some((length, rest))
}
