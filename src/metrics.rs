//! What is counted while a server runs: plain atomics, so that counting costs the hot path next to nothing.
//! Whoever reads them sees each number as it is, and all of them at about the same moment.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::journal::GapReason;
use crate::refusal::Kind;
use crate::roster::Way;

/// Everything that one server counts.
#[derive(Default)]
pub struct Metrics {
    /// Connections that were given a thread.
    pub accepted: Counter,
    /// Connections that were turned away at the door, since all were taken.
    pub turned_away: Counter,
    /// Connections that ended since there was no TLS with their peer.
    pub handshakes_failed: Counter,
    /// Requests whose head was read.
    pub requests: Counter,
    /// Events that were kept.
    pub published: Counter,
    /// Bytes of their payloads.
    pub published_bytes: Counter,
    /// From a publisher's wish until the journal had kept it, whether or not it did.
    pub keeping: Histogram,
    /// From the time that an event carries, which has whole milliseconds, until a shard had offered it to all who are
    /// live there: once for each event and shard of which anybody took it.
    pub delay: Histogram,
    delivered: [Counter; Way::ALL.len()],
    gaps: [Counter; GapReason::ALL.len()],
    refusals: Refusals,
}

impl Metrics {
    /// Events that were handed to subscribers by `way`.
    pub fn delivered(&self, way: Way) -> &Counter {
        &self.delivered[way as usize]
    }

    /// Gaps that subscribers were told for this reason.
    pub fn gaps(&self, reason: GapReason) -> &Counter {
        &self.gaps[reason as usize]
    }

    /// How often somebody was refused, or told goodbye, for this reason.
    pub fn refusals(&self, kind: Kind) -> &Counter {
        &self.refusals.0[kind as usize]
    }
}

/// One for each kind.
struct Refusals([Counter; Kind::ALL.len()]);

impl Default for Refusals {
    fn default() -> Self {
        Refusals(std::array::from_fn(|_| Counter::default()))
    }
}

/// A number that only grows.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn count(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    /// How many there were.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long something took, each time that it happened.
#[derive(Default)]
pub struct Histogram {
    buckets: [AtomicU64; Histogram::BUCKETS],
    micros: AtomicU64,
}

/// A histogram as it was a moment ago.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// The sum of all that was observed.
    pub sum: Duration,
    /// The upper bound of each bucket, itself within it, and how often something fell into it. The last has no
    /// bound.
    pub buckets: Vec<(Option<Duration>, u64)>,
}

impl Histogram {
    /// The exponent of the first bound in microseconds, 64 us; each next is twice the one before.
    const FIRST: u32 = 6;
    /// Up to 67 s, and one without a bound.
    const BUCKETS: usize = 22;

    /// Notes that it took so long.
    pub fn observe(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get(Self::bucket(micros)) {
            bucket.fetch_add(1, Ordering::Relaxed);
            self.micros.fetch_add(micros, Ordering::Relaxed);
        }
    }

    /// What was observed so far.
    pub fn get(&self) -> Observed {
        let counts = self
            .buckets
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        let bounds = (Self::FIRST..).map(|exponent| Duration::from_micros(1 << exponent));
        let bounds = bounds.take(Self::BUCKETS - 1).map(Some).chain([None]);
        Observed {
            sum: Duration::from_micros(self.micros.load(Ordering::Relaxed)),
            buckets: bounds.zip(counts).collect(),
        }
    }

    /// The first bucket whose bound is not below `micros`.
    fn bucket(micros: u64) -> usize {
        let exponent = u64::BITS - micros.saturating_sub(1).leading_zeros();
        let index = exponent.saturating_sub(Self::FIRST) as usize;
        index.min(Self::BUCKETS - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_counter_of_its_own() {
        let metrics = Metrics::default();
        for (kind, number) in Kind::ALL.iter().zip(1..) {
            metrics.refusals(*kind).add(number);
        }
        for (reason, number) in GapReason::ALL.iter().zip(1..) {
            metrics.gaps(*reason).add(number);
        }
        for (way, number) in Way::ALL.iter().zip(1..) {
            metrics.delivered(*way).add(number);
        }
        for (kind, number) in Kind::ALL.iter().zip(1..) {
            assert_eq!(metrics.refusals(*kind).get(), number, "{kind:?}");
        }
        for (reason, number) in GapReason::ALL.iter().zip(1..) {
            assert_eq!(metrics.gaps(*reason).get(), number, "{reason:?}");
        }
        for (way, number) in Way::ALL.iter().zip(1..) {
            assert_eq!(metrics.delivered(*way).get(), number, "{way:?}");
        }
    }

    #[test]
    fn a_time_falls_into_the_first_bucket_whose_bound_it_does_not_exceed() {
        for micros in [
            0,
            1,
            64,
            65,
            128,
            129,
            1_000,
            67_108_864,
            67_108_865,
            u64::MAX,
        ] {
            let histogram = Histogram::default();
            histogram.observe(Duration::from_micros(micros));
            let observed = histogram.get();
            let fell = observed.buckets.iter().position(|(_, count)| *count == 1);
            let fits = |(bound, _): &(Option<Duration>, u64)| {
                bound.is_none_or(|bound| Duration::from_micros(micros) <= bound)
            };
            assert_eq!(fell, observed.buckets.iter().position(fits), "{micros} us");
            assert_eq!(observed.sum, Duration::from_micros(micros));
        }
    }

    #[test]
    fn all_bounds_are_different_and_the_last_is_none() {
        let buckets = Histogram::default().get().buckets;
        assert_eq!(buckets.len(), Histogram::BUCKETS);
        assert!(
            buckets
                .windows(2)
                .all(|pair| pair[1].0.is_none() || pair[0].0 < pair[1].0)
        );
        assert_eq!(buckets.last().map(|last| last.0), Some(None));
    }
}
