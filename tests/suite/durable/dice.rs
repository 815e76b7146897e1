//! Random choices that a seed repeats.

use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

/// The seed of this run: `SUITE_SEED`, else a new one. Printed with the command that repeats `test`;
/// `rounds` names the variable that says how many rounds it has.
pub fn seed(test: &str, rounds: (&str, u64)) -> u64 {
    let new = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        u64::from(since.expect("a clock").subsec_nanos())
    };
    let seed = number_from("SUITE_SEED").unwrap_or_else(new);
    let (variable, rounds) = rounds;
    eprintln!(
        "repeat with: SUITE_SEED={seed} {variable}={rounds} cargo test --test suite durable::{test}"
    );
    seed
}

/// The number in a variable of the environment.
pub fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}={text} is no number")),
    )
}

/// A generator (SplitMix64).
pub struct Dice {
    state: u64,
}

impl Dice {
    /// The generator of this seed.
    pub fn new(seed: u64) -> Self {
        Dice { state: seed }
    }

    /// Another generator, for somebody else.
    pub fn split(&mut self) -> Self {
        Dice::new(self.next())
    }

    /// A number within `range`.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    /// An index into something that has `length`.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.next() % length as u64).expect("an index")
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.index(all.len())]
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.next().is_multiple_of(times)
    }

    /// So many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
