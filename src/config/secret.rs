//! A value that nobody but its owner may read: it can be compared, and never shown.

use std::fmt;
use std::hint::black_box;
use std::ops::RangeInclusive;

/// Fewer characters could be guessed; more would not fit every client's head.
const LENGTHS: RangeInclusive<usize> = 16..=256;

/// A secret of 16 to 256 visible ASCII characters. `Debug` does not tell it, and it has no `Display`.
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// Takes a secret over; `None` for one that is too short, too long or cannot stand in a header field.
    pub fn new(text: &str) -> Option<Self> {
        let is_sound = LENGTHS.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        is_sound.then(|| Secret(text.into()))
    }

    /// The secret itself, to compute with.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether `given` is this secret. Takes the same time wherever they differ, so that nobody finds it out
    /// byte by byte.
    pub fn is(&self, given: &str) -> bool {
        let bytes = given.bytes().zip(self.0.bytes().cycle());
        let differences = bytes.fold(0, |found, (a, b)| black_box(found | (a ^ b)));
        given.len() == self.0.len() && differences == 0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "0123456789abcdef";

    #[test]
    fn only_the_very_same_text_is_the_secret() {
        let secret = Secret::new(TEXT).unwrap();
        assert!(secret.is(TEXT));
        let long = TEXT.repeat(2);
        for other in [
            "",
            "0",
            &TEXT[..15],
            &long,
            "0123456789abcdeF",
            "X123456789abcdef",
        ] {
            assert!(!secret.is(other), "{other}");
        }
    }

    #[test]
    fn a_secret_does_not_tell_itself() {
        let told = format!("{:?}", Secret::new(TEXT));
        assert!(!told.contains("0123"), "{told}");
    }

    #[test]
    fn what_is_short_or_cannot_be_sent_is_no_secret() {
        for text in [
            "",
            &TEXT[..15],
            "0123456789 abcdef",
            "0123456789abcdé",
            &TEXT.repeat(17),
        ] {
            assert!(Secret::new(text).is_none(), "{text}");
        }
    }
}
