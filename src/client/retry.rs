//! When to come back: full jitter under an exponential ceiling, never sooner than the server asked.

use std::time::Duration;

use super::random;

/// The longest time that a server's hint is obeyed, so that none parks a client for good.
const LONGEST_HINT: Duration = Duration::from_secs(600);

/// The waits between the attempts to get a connection back.
#[derive(Debug)]
pub(super) struct Backoff {
    base: Duration,
    ceiling: Duration,
    failures: u32,
    hint: Option<Duration>,
}

impl Backoff {
    /// Waits that begin below `base` and double up to `ceiling`.
    pub(super) fn new(base: Duration, ceiling: Duration) -> Self {
        Backoff {
            base,
            ceiling,
            failures: 0,
            hint: None,
        }
    }

    /// Failures since the last success.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// The server asks not to be seen again sooner (`retry_ms`, `Retry-After`); counts for the next wait.
    pub(super) fn hint(&mut self, wait: Duration) {
        self.hint = Some(wait);
    }

    /// Something arrived: the next failure is a first one again.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Counts a failure and says how long to wait; without a hint `usual` is the least. The jitter comes
    /// on top, so that a thousand clients that were told the same time do not come back in one moment.
    pub(super) fn failed(&mut self, usual: Option<Duration>) -> Duration {
        let doubled = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        let ceiling = self.base.saturating_mul(doubled).min(self.ceiling);
        let least = self.hint.take().or(usual).unwrap_or_default();
        least.min(LONGEST_HINT) + random::up_to(ceiling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_millis(100);
    const CEILING: Duration = Duration::from_secs(1);

    #[test]
    fn waits_stay_under_a_ceiling_that_doubles_to_its_bound() {
        let mut backoff = Backoff::new(BASE, CEILING);
        for failure in 0..100u32 {
            let ceiling = BASE * 2u32.saturating_pow(failure.min(10));
            assert!(backoff.failed(None) <= ceiling.min(CEILING), "{failure}");
        }
        assert_eq!(backoff.failures(), 100);
    }

    #[test]
    fn a_hint_is_a_floor_for_one_wait() {
        let mut backoff = Backoff::new(BASE, CEILING);
        backoff.hint(Duration::from_secs(5));
        let wait = backoff.failed(None);
        assert!(wait >= Duration::from_secs(5) && wait <= Duration::from_secs(5) + BASE);
        assert!(backoff.failed(None) <= CEILING);
    }

    #[test]
    fn no_hint_parks_a_client_for_good() {
        let mut backoff = Backoff::new(BASE, CEILING);
        backoff.hint(Duration::MAX);
        assert!(backoff.failed(None) <= LONGEST_HINT + CEILING);
    }

    #[test]
    fn the_usual_wait_holds_while_no_other_was_told() {
        let usual = Some(Duration::from_secs(3));
        let mut backoff = Backoff::new(BASE, CEILING);
        assert!(backoff.failed(usual) >= Duration::from_secs(3));
        backoff.hint(Duration::from_millis(1));
        assert!(backoff.failed(usual) < Duration::from_secs(3));
    }

    #[test]
    fn success_begins_anew() {
        let mut backoff = Backoff::new(BASE, CEILING);
        for _ in 0..10 {
            backoff.failed(None);
        }
        backoff.succeeded();
        assert!(backoff.failed(None) <= BASE);
    }
}
