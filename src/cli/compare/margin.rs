//! How far apart two figures of one run must be before the run tells them apart.

use std::cmp::Ordering;

use super::figures::Row;

/// CPU and delay: on an idle machine two runs of one load were up to 2 times apart, so that two ways which are alike
/// may be as far apart in one run.
pub(super) const MEASURED: f64 = 3.0;
/// Bytes and requests are counted, and two runs agree to a hundredth.
const COUNTED: f64 = 1.05;

/// What a run says of two CPU times or delays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Difference {
    /// They may be alike.
    TooClose,
    /// The one is so many times the other.
    Times(f64),
}

impl Difference {
    /// Of one to another.
    pub(super) fn of(one: f64, other: f64) -> Self {
        let are_apart = one >= MEASURED * other || other >= MEASURED * one;
        match are_apart && other > 0.0 {
            true => Difference::Times(one / other),
            false => Difference::TooClose,
        }
    }

    /// Whether the one is less, and so a third of the other at most.
    pub(super) fn is_less(self) -> bool {
        matches!(self, Difference::Times(times) if times < 1.0)
    }
}

/// Whether one way took fewer bytes than another.
pub(super) fn has_fewer_bytes(one: &Row, other: &Row) -> bool {
    COUNTED * one.once_open.bytes_per_delivery < other.once_open.bytes_per_delivery
}

/// Whether one way took fewer requests than another, or more; equal where they may be alike. Each client may make one
/// more than its share, after the last event.
pub(super) fn compare_requests(one: &Row, other: &Row) -> Ordering {
    let share = 1.0 / (one.events.max(1) as f64);
    let [one, other] = [one, other].map(|row| row.once_open.requests_per_delivery);
    match (COUNTED * one + share < other, COUNTED * other + share < one) {
        (true, _) => Ordering::Less,
        (_, true) => Ordering::Greater,
        _ => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::comparison;
    use super::*;

    #[test]
    fn a_difference_that_may_be_chance_is_none() {
        for (one, other) in [(1.0, 1.0), (2.9, 1.0), (1.0, 2.9), (0.0, 0.0), (1.0, 0.0)] {
            let difference = Difference::of(one, other);
            assert_eq!(difference, Difference::TooClose, "{one} and {other}");
            assert!(!difference.is_less());
        }
        assert_eq!(Difference::of(6.0, 2.0), Difference::Times(3.0));
        assert!(!Difference::of(6.0, 2.0).is_less());
        assert!(Difference::of(2.0, 8.0).is_less());
    }

    #[test]
    fn a_request_after_the_last_event_makes_no_difference() {
        let mut rows = comparison().rows;
        let mut requests = |one, other| {
            rows[0].once_open.requests_per_delivery = one;
            rows[1].once_open.requests_per_delivery = other;
            assert_eq!(rows[0].events, 4);
            compare_requests(&rows[0], &rows[1])
        };
        assert_eq!(requests(1.0, 1.25), Ordering::Equal);
        assert_eq!(requests(1.25, 1.0), Ordering::Equal);
        assert_eq!(requests(1.0, 1.4), Ordering::Less);
        assert_eq!(requests(1.0, 0.65), Ordering::Greater);
    }
}
