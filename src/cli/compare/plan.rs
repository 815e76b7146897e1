//! What every way has to carry, the same for each: so many clients, and events that are sparse or frequent.

use std::time::Duration;

use super::way::Way;

/// All that is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    /// Clients, each with a connection.
    pub(super) clients: usize,
    /// Bytes of each payload.
    pub(super) payload: usize,
    /// How long events are published for each scenario and way.
    pub(super) time: Duration,
    /// How often.
    pub(super) scenarios: [Scenario; 2],
    /// By which ways they are received, one after the other.
    pub(super) ways: Vec<Way>,
}

/// How often events come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scenario {
    /// What it is called.
    pub(super) name: &'static str,
    /// Events in a second.
    pub(super) rate: f64,
    /// Events in all, at least 1.
    pub(super) events: u32,
}

impl Scenario {
    /// So many events a second for so long; `None` when that is not a single one, or more than can be counted.
    pub(super) fn new(name: &'static str, rate: f64, time: Duration) -> Option<Self> {
        let events = (rate * time.as_secs_f64()).round();
        let possible = events >= 1.0 && events <= f64::from(u32::MAX);
        possible.then_some(Scenario {
            name,
            rate,
            events: events as u32,
        })
    }

    /// From one event to the next.
    pub(super) fn period(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.rate)
    }

    /// From the beginning to the last event: as many periods as there are events, so that what waits for events
    /// waits for each of them equally long.
    pub(super) fn length(&self) -> Duration {
        self.period().mul_f64(f64::from(self.events))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_events_as_the_time_has_periods() {
        let sparse = Scenario::new("sparse", 0.5, Duration::from_secs(8)).unwrap();
        assert_eq!(sparse.events, 4);
        assert_eq!(sparse.period(), Duration::from_secs(2));
        assert_eq!(sparse.length(), Duration::from_secs(8));
    }

    #[test]
    fn a_time_without_an_event_is_no_scenario() {
        let scenario = |rate| Scenario::new("sparse", rate, Duration::from_secs(8));
        assert!(scenario(0.05).is_none() && scenario(1e12).is_none());
    }
}
