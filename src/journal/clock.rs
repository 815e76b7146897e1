//! The clock by which events grow old, and what is to be done when somebody sets it: nothing in a hurry.

use std::time::{Duration, Instant};

use super::unix_millis;

/// How far the system's clock may run from the monotonic one between two looks. Clocks are slewed by half a
/// millisecond a second; what is more was a step, or the machine slept.
const SLACK: Duration = Duration::from_secs(10);
/// How long nothing goes by its age after a step, so that a wrong one can be set right.
const HOLD: Duration = Duration::from_secs(3600);

/// One moment, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// The system's, in milliseconds since 1970-01-01 UTC.
    pub(super) wall: u64,
    /// The monotonic one.
    pub(super) instant: Instant,
}

impl Moment {
    pub(super) fn now() -> Self {
        Moment {
            wall: unix_millis(),
            instant: Instant::now(),
        }
    }
}

/// Watches the system's clock.
#[derive(Debug, Default)]
pub(super) struct Clock {
    seen: Option<(u64, Instant)>,
    held_until: Option<Instant>,
}

impl Clock {
    /// Looks at both clocks: the system's, in milliseconds since 1970-01-01 UTC, and the monotonic one. Logs a step.
    pub(super) fn look(&mut self, wall: u64, now: Instant) {
        if let Some((wall_before, before)) = self.seen.replace((wall, now)) {
            let due = wall_before.saturating_add(millis(now.saturating_duration_since(before)));
            let (step, direction) = match wall >= due {
                true => (wall - due, "forward"),
                false => (due - wall, "back"),
            };
            if step > millis(SLACK) {
                log::warn!(
                    "the clock was set {direction} by {}; nothing is deleted by its age for {}",
                    humantime::format_duration(Duration::from_millis(step)),
                    humantime::format_duration(HOLD),
                );
                self.held_until = Some(now + HOLD);
            }
        }
        self.held_until = self.held_until.filter(|end| now < *end);
    }

    /// Whether events may go by their age.
    pub(super) fn may_age(&self) -> bool {
        self.held_until.is_none()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600 * 1000;
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_clock_that_runs_as_it_should_lets_events_age() {
        let mut clock = Clock::default();
        let start = Instant::now();
        for second in 0..100 {
            let drift = u64::from(second % 3);
            clock.look(
                DAY + u64::from(second) * 1000 + drift,
                start + SECOND * second,
            );
            assert!(clock.may_age());
        }
    }

    #[test]
    fn nothing_ages_for_an_hour_after_a_step_in_either_direction() {
        for stepped in [3 * DAY, DAY] {
            let mut clock = Clock::default();
            let start = Instant::now();
            clock.look(2 * DAY, start);
            clock.look(stepped, start + SECOND);
            assert!(!clock.may_age(), "{stepped}");
            let later = HOLD - SECOND;
            clock.look(stepped + millis(later), start + SECOND + later);
            assert!(!clock.may_age(), "{stepped}");
            clock.look(stepped + millis(HOLD), start + SECOND + HOLD);
            assert!(clock.may_age(), "{stepped}");
        }
    }

    #[test]
    fn a_late_look_is_no_step() {
        let mut clock = Clock::default();
        let start = Instant::now();
        clock.look(DAY, start);
        clock.look(2 * DAY, start + Duration::from_millis(DAY));
        assert!(clock.may_age());
    }
}
