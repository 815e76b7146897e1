//! The few channels that a schedule knows, and the selectors with what they match written out, so that the
//! server's own matching is not asked.

use super::random::Random;

/// The channels, by whose index everything else names them.
pub const CHANNELS: [&str; 6] = ["a", "b", "r/1", "r/2", "r/2/x", "s/t/u"];

/// The selectors, each with the channels that it matches.
pub const SELECTORS: [(&str, &[usize]); 11] = [
    ("a", &[0]),
    ("b", &[1]),
    ("r/1", &[2]),
    ("r/2", &[3]),
    ("s/t/u", &[5]),
    ("*", &[0, 1]),
    ("r/*", &[2, 3]),
    ("r/**", &[2, 3, 4]),
    ("*/t/*", &[5]),
    ("**", &[0, 1, 2, 3, 4, 5]),
    ("nowhere", &[]),
];

/// What a client asks for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The selectors as they stand in a URL.
    pub text: String,
    /// Which channels they match.
    pub channels: [bool; CHANNELS.len()],
}

impl Asked {
    /// One channel, one pattern or a few of both.
    pub fn random(random: &mut Random) -> Self {
        let mut asked = Asked {
            text: String::new(),
            channels: [false; CHANNELS.len()],
        };
        let count = if random.one_in(2) {
            1
        } else {
            random.between(2, 3)
        };
        for _ in 0..count {
            asked.add(random.below(SELECTORS.len()));
        }
        asked
    }

    /// The same with everything else.
    pub fn and_everything(mut self) -> Self {
        self.add(SELECTORS.len() - 2);
        self
    }

    fn add(&mut self, selector: usize) {
        let (text, matched) = SELECTORS[selector];
        if !self.text.is_empty() {
            self.text.push(',');
        }
        self.text.push_str(text);
        for channel in matched {
            self.channels[*channel] = true;
        }
    }
}
