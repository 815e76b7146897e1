//! How long deliveries took: a histogram of fixed size, whose buckets are less than a hundredth apart.

/// Buckets for each doubling; below this many nanoseconds each has a bucket of its own.
const STEPS: usize = 1 << STEP_BITS;
const STEP_BITS: u32 = 7;
/// One row of steps for the small values, and one for each doubling up to the largest.
const BUCKETS: usize = STEPS * (u64::BITS - STEP_BITS + 1) as usize;

/// Delays in nanoseconds, 58 KiB of them however many there are.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Delays {
    counts: Vec<u64>,
    total: u64,
    greatest: u64,
}

impl Delays {
    /// None so far.
    pub(in crate::cli) fn new() -> Self {
        Delays {
            counts: vec![0; BUCKETS],
            total: 0,
            greatest: 0,
        }
    }

    /// Adds one.
    pub(in crate::cli) fn add(&mut self, nanoseconds: u64) {
        if let Some(count) = self.counts.get_mut(bucket(nanoseconds)) {
            *count += 1;
        }
        self.total += 1;
        self.greatest = self.greatest.max(nanoseconds);
    }

    /// Adds all of another's.
    pub(in crate::cli) fn merge(&mut self, other: &Delays) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.greatest = self.greatest.max(other.greatest);
    }

    /// The delay that this share (0 to 1) of all does not exceed, too high by 1 % at most; `None` when
    /// there is none.
    pub(in crate::cli) fn quantile(&self, share: f64) -> Option<u64> {
        if self.total == 0 {
            return None;
        }
        let rank = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        let last = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        Some(last.map_or(self.greatest, highest).min(self.greatest))
    }

    /// The greatest, exactly; 0 when there is none.
    pub(in crate::cli) fn greatest(&self) -> u64 {
        self.greatest
    }
}

fn bucket(nanoseconds: u64) -> usize {
    let doublings = (u64::BITS - nanoseconds.leading_zeros()).saturating_sub(STEP_BITS + 1);
    // Never more than STEPS * 2, so it fits.
    let step = (nanoseconds >> doublings) as usize;
    STEPS * doublings as usize + step
}

/// The highest value in a bucket.
fn highest(bucket: usize) -> u64 {
    let doublings = (bucket / STEPS).saturating_sub(1);
    let step = (bucket - STEPS * doublings) as u64;
    (step << doublings) + ((1 << doublings) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_a_bucket_less_than_a_hundredth_wide() {
        let powers = (0..u64::BITS).map(|bits| 1u64 << bits);
        for value in powers.flat_map(|power| [power - 1, power, power + power / 3]) {
            let highest = highest(bucket(value));
            assert!(highest >= value, "{value} is above {highest}");
            assert!(highest - value <= value / 100, "{value} is not {highest}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert_eq!(highest(BUCKETS - 1), u64::MAX);
    }

    #[test]
    fn buckets_follow_one_another_without_a_hole() {
        for index in 1..BUCKETS {
            assert_eq!(bucket(highest(index - 1) + 1), index);
        }
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut delays = Delays::new();
        for value in 1..=1000 {
            delays.add(value * 1000);
        }
        for (share, exact) in [(0.5, 500_000), (0.9, 900_000), (0.99, 990_000)] {
            let quantile = delays.quantile(share).unwrap();
            assert!((exact..=exact + exact / 100).contains(&quantile));
        }
        assert_eq!(delays.quantile(1.0), Some(1_000_000));
        assert_eq!(delays.greatest(), 1_000_000);
    }

    #[test]
    fn the_quantiles_of_two_are_those_of_both_together() {
        let (mut some, mut others) = (Delays::new(), Delays::new());
        some.add(10);
        others.add(100);
        some.merge(&others);
        let quantiles = [0.0, 0.5, 0.51].map(|share| some.quantile(share));
        assert_eq!(quantiles, [Some(10), Some(10), Some(100)]);
        assert_eq!(Delays::new().quantile(0.5), None);
    }
}
