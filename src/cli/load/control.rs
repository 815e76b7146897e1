//! What the threads of a run share: its clock, its counts, and the word to pause or to end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One run, as its threads see it.
#[derive(Debug)]
pub(in crate::cli) struct Control {
    began: Instant,
    published: AtomicU64,
    deliveries: AtomicU64,
    goal: AtomicU64,
    phase: Mutex<Phase>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Going,
    /// No subscriber reads.
    Paused,
    /// Everybody ends.
    Over,
}

impl Control {
    /// A run that begins now.
    pub(in crate::cli) fn begin() -> Self {
        Control {
            began: Instant::now(),
            published: AtomicU64::new(0),
            deliveries: AtomicU64::new(0),
            goal: AtomicU64::new(u64::MAX),
            phase: Mutex::new(Phase::Going),
            changed: Condvar::new(),
        }
    }

    /// Nanoseconds since the beginning.
    pub(in crate::cli) fn now(&self) -> u64 {
        self.nanoseconds_at(Instant::now())
    }

    /// Nanoseconds from the beginning to `time`.
    pub(in crate::cli) fn nanoseconds_at(&self, time: Instant) -> u64 {
        let since = time.saturating_duration_since(self.began);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Events that were acknowledged so far.
    pub(in crate::cli) fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    /// Adds acknowledged events.
    pub(in crate::cli) fn add_published(&self, events: u64) {
        self.published.fetch_add(events, Ordering::Relaxed);
    }

    /// Events that reached a subscriber so far, each counted once for each subscriber.
    pub(in crate::cli) fn deliveries(&self) -> u64 {
        self.deliveries.load(Ordering::Relaxed)
    }

    /// Adds deliveries.
    pub(in crate::cli) fn add_deliveries(&self, deliveries: u64) {
        self.deliveries.fetch_add(deliveries, Ordering::Relaxed);
    }

    /// Says how many deliveries there are to be, now that nothing more is published.
    pub(in crate::cli) fn set_goal(&self, deliveries: u64) {
        self.goal.store(deliveries, Ordering::Relaxed);
    }

    /// Whether there were as many deliveries as there are to be.
    pub(in crate::cli) fn has_reached_goal(&self) -> bool {
        self.deliveries() >= self.goal.load(Ordering::Relaxed)
    }

    /// From now on no subscriber reads.
    pub(in crate::cli) fn pause(&self) {
        self.change(Phase::Paused);
    }

    /// From now on all read again.
    pub(in crate::cli) fn resume(&self) {
        self.change(Phase::Going);
    }

    /// Ends the run.
    pub(in crate::cli) fn end(&self) {
        self.change(Phase::Over);
    }

    /// Blocks while the run is paused; says whether it goes on.
    pub(in crate::cli) fn wait_while_paused(&self) -> bool {
        let phase = self
            .changed
            .wait_while(self.phase(), |phase| *phase == Phase::Paused)
            .unwrap_or_else(PoisonError::into_inner);
        *phase != Phase::Over
    }

    /// Blocks until `time`; says whether the run goes on, at once if it does not.
    pub(in crate::cli) fn wait_until(&self, time: Instant) -> bool {
        let left = time.saturating_duration_since(Instant::now());
        let (phase, _) = self
            .changed
            .wait_timeout_while(self.phase(), left, |phase| *phase != Phase::Over)
            .unwrap_or_else(PoisonError::into_inner);
        *phase != Phase::Over
    }

    /// Once it is over it stays over.
    fn change(&self, to: Phase) {
        let mut phase = self.phase();
        if *phase != Phase::Over {
            *phase = to;
        }
        self.changed.notify_all();
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the run when it is dropped, so that no thread goes on after whoever led it has failed.
pub(in crate::cli) struct EndOnDrop<'a>(pub(in crate::cli) &'a Control);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The time from one moment to another, both in nanoseconds since the beginning of a run.
pub(in crate::cli) fn between(from: u64, to: u64) -> Duration {
    Duration::from_nanos(to.saturating_sub(from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_woken_by_the_end_and_it_lasts() {
        let control = Control::begin();
        std::thread::scope(|scope| {
            let waits =
                scope.spawn(|| control.wait_until(Instant::now() + Duration::from_secs(60)));
            let paused = scope.spawn(|| {
                control.pause();
                control.wait_while_paused()
            });
            control.end();
            assert!(!waits.join().unwrap());
            assert!(!paused.join().unwrap());
        });
        control.resume();
        assert!(!control.wait_while_paused());
    }

    #[test]
    fn a_goal_is_reached_when_all_is_delivered_and_not_before_it_is_set() {
        let control = Control::begin();
        control.add_deliveries(3);
        assert!(!control.has_reached_goal());
        control.set_goal(4);
        assert!(!control.has_reached_goal());
        control.add_deliveries(1);
        assert!(control.has_reached_goal());
    }
}
