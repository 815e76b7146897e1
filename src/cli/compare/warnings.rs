//! What to know before one believes the figures.

use std::time::Duration;

use super::figures::{Comparison, Row};
use super::findings::{activity, listed};
use super::units::{percent, rate, time};

/// The share of the time between two events by which one may be published late without a word.
const TOO_LATE: f64 = 0.5;
/// What may be late without a word, however often events come.
const SLIGHTLY_LATE: Duration = Duration::from_millis(20);
/// Delays of which more may be this program's own say little of the server.
const OWN_SHARE: f64 = 0.5;

/// The sentences for a comparison whose rows are all there.
pub(super) fn of(comparison: &Comparison) -> Vec<String> {
    let scenarios = comparison.scenarios();
    scenarios
        .flat_map(|rows| [late_publishing(rows), slow_reading(rows)])
        .flatten()
        .collect()
}

/// Events that did not come at their times.
fn late_publishing(rows: &[Row]) -> Option<String> {
    let late = rows.iter().filter(|row| is_late(row));
    let late: Vec<_> = late
        .map(|row| format!("{} ({})", row.way, time(row.published_late_us)))
        .collect();
    (!late.is_empty()).then(|| {
        format!(
            "At {}, events were published late, since this machine is busy: {}.",
            rate(rows.first().map_or(0.0, |row| row.events_per_second)),
            listed(&late)
        )
    })
}

fn is_late(row: &Row) -> bool {
    let bound = TOO_LATE / row.events_per_second;
    row.published_late_us > 1e6 * bound.max(SLIGHTLY_LATE.as_secs_f64())
}

/// Clients that waited for one another.
fn slow_reading(rows: &[Row]) -> Option<String> {
    let slow = rows.iter().filter(|row| row.own_share_of_delay > OWN_SHARE);
    let slow: Vec<_> = slow
        .map(|row| format!("{} ({})", activity(row), percent(row.own_share_of_delay)))
        .collect();
    (!slow.is_empty()).then(|| {
        format!(
            "At {}, delays may be up to so much this program's own, whose one thread reads for all clients, one after \
             the other: {}.",
            rate(rows.first().map_or(0.0, |row| row.events_per_second)),
            listed(&slow)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::comparison;
    use super::*;

    #[test]
    fn there_is_nothing_to_warn_of_where_all_was_in_time() {
        assert_eq!(of(&comparison()), [""; 0]);
    }

    #[test]
    fn ways_whose_clients_waited_for_this_program_are_named_once_for_each_load() {
        let mut comparison = comparison();
        for row in &mut comparison.rows[3..5] {
            row.own_share_of_delay = 0.64;
        }
        let warnings = of(&comparison);
        assert_eq!(warnings.len(), 1);
        let named = "At 0.5 events a second, delays may be up to so much this program's own";
        assert!(warnings[0].starts_with(named), "{warnings:?}");
        assert!(
            warnings[0].ends_with(": SSE (64 %) and WebSocket (64 %)."),
            "{warnings:?}"
        );
    }

    #[test]
    fn late_is_what_is_half_a_period_late_and_more_than_a_moment() {
        let mut comparison = comparison();
        let row = &mut comparison.rows[8];
        assert_eq!(row.events_per_second, 20.0);
        row.published_late_us = 24_900.0;
        assert_eq!(of(&comparison), [""; 0]);
        comparison.rows[8].published_late_us = 25_100.0;
        let late = "At 20 events a second, events were published late, since this machine is busy: SSE (25.1 ms).";
        assert_eq!(of(&comparison), [late]);
        let often = &mut comparison.rows[8];
        (often.events_per_second, often.published_late_us) = (1000.0, 19_000.0);
        assert_eq!(of(&comparison), [""; 0]);
    }
}
