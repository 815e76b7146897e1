//! What the figures answer, in sentences. Each says what this run has shown, and nothing else.

use super::figures::{Comparison, Row};
use super::units::{bytes, percent, rate, ratio, time};

/// How far apart two ways must be in CPU and delay before one is called better: two runs of the same load differ by a
/// factor of up to two.
const MARGIN: f64 = 2.0;

/// The sentences for a comparison whose rows are all there.
pub(super) fn of(comparison: &Comparison) -> Vec<String> {
    let scenarios: Vec<Scenario> = comparison.scenarios().map(Scenario::of).collect();
    let mut sentences: Vec<_> = scenarios.iter().filter_map(Scenario::polling).collect();
    sentences.extend(scenarios.iter().filter_map(Scenario::long_polling));
    if let Some(frequent) = scenarios.last() {
        sentences.extend(frequent.websocket(comparison.payload_bytes));
        sentences.extend(frequent.openings());
        sentences.extend(frequent.sse_beside_websocket());
    }
    sentences.extend(scenarios.iter().filter_map(Scenario::sse_before_others));
    sentences
}

/// The ways under one load.
struct Scenario<'a> {
    rate: f64,
    rows: &'a [Row],
}

impl<'a> Scenario<'a> {
    fn of(rows: &'a [Row]) -> Self {
        let rate = rows.first().map_or(0.0, |row| row.events_per_second);
        Scenario { rate, rows }
    }

    fn by(&self, transport: &str) -> Option<&'a Row> {
        self.rows.iter().find(|row| row.transport == transport)
    }

    /// From the shortest interval to the longest.
    fn polls(&self) -> impl Iterator<Item = &'a Row> {
        self.rows.iter().filter(|row| row.polls())
    }

    /// How much of polling brings nothing, and what it costs to ask less often.
    fn polling(&self) -> Option<String> {
        let clause = |row: &Row| {
            format!(
                "{} took {} requests for each event, {} of the answers were empty, and half of the events came {} \
                 late or later",
                activity(row),
                ratio(row.once_open.requests_per_delivery),
                percent(row.empty_share()),
                time(row.delay_us.p50)
            )
        };
        let (often, seldom) = (self.polls().next()?, self.polls().last()?);
        let seldom = (often != seldom).then(|| format!("; {}", clause(seldom)));
        let (rate, seldom) = (rate(self.rate), seldom.unwrap_or_default());
        Some(format!("At {rate}, {}{seldom}.", clause(often)))
    }

    /// What holding a poll saves in requests, and what it costs beside a stream.
    fn long_polling(&self) -> Option<String> {
        let held = self.by("long-poll")?;
        let requests = held.once_open.requests_per_delivery;
        let saves = |poll: &&Row| requests < poll.once_open.requests_per_delivery;
        let saved: Vec<_> = self.polls().filter(saves).map(activity).collect();
        let beside = match saved.len() {
            0 => "no fewer than any polling here: it saves none".to_owned(),
            all if all == self.polls().count() => "fewer than any polling here".to_owned(),
            _ => format!("fewer than {}", listed(&saved)),
        };
        let cpu = times_the_cpu(held, self.by("sse")?);
        let cpu = cpu.map(|times| format!("; it took {times} the server CPU of SSE"));
        Some(format!(
            "At {}, long polling took {} requests for each event, {beside}{}.",
            rate(self.rate),
            ratio(requests),
            cpu.unwrap_or_default()
        ))
    }

    /// What a WebSocket puts around an event, and what the others take more.
    fn websocket(&self, payload: usize) -> Option<String> {
        let socket = self.by("websocket")?;
        let (own, json) = (
            socket.once_open.bytes_per_delivery,
            socket.content_per_delivery(),
        );
        let others = ["ndjson", "sse", "long-poll"]
            .iter()
            .filter_map(|transport| {
                let row = self.by(transport)?;
                let total = bytes(row.once_open.bytes_per_delivery);
                Some(format!("{} {total}", activity(row)))
            });
        let others: Vec<_> = others.collect();
        Some(format!(
            "At {}, an open WebSocket took {} bytes for each event: {} of payload, {} of JSON around it \
             and {} of frames; {}.",
            rate(self.rate),
            bytes(own),
            bytes(payload as f64),
            bytes(json - payload as f64),
            bytes(own - json),
            listed(&others)
        ))
    }

    /// What it takes to begin.
    fn openings(&self) -> Option<String> {
        let openings = ["websocket", "sse", "ndjson"]
            .iter()
            .filter_map(|transport| {
                let row = self.by(transport)?;
                Some(format!(
                    "{} {}",
                    row.way,
                    bytes(row.opening_bytes_per_client())
                ))
            });
        let openings: Vec<_> = openings.collect();
        Some(format!(
            "To open, a client took so many bytes: {}.",
            listed(&openings)
        ))
    }

    /// What a WebSocket saves for those who only listen.
    fn sse_beside_websocket(&self) -> Option<String> {
        let (sse, socket) = (self.by("sse")?, self.by("websocket")?);
        let more = sse.once_open.bytes_per_delivery - socket.once_open.bytes_per_delivery;
        let cpu = times_the_cpu(sse, socket);
        let cpu = cpu.map_or_else(String::new, |times| format!(", {times} its server CPU"));
        Some(format!(
            "For clients that only listen, as these did, SSE took {} bytes {} than WebSocket for each event{cpu}, \
             and a delay of {} against {} (p50, {}).",
            bytes(more.abs()),
            if more < 0.0 { "fewer" } else { "more" },
            time(sse.delay_us.p50),
            time(socket.delay_us.p50),
            rate(self.rate)
        ))
    }

    /// Where SSE was the better choice in everything that is measured here.
    fn sse_before_others(&self) -> Option<String> {
        let sse = self.by("sse")?;
        let beaten = self.rows.iter().filter(|row| is_better(sse, row));
        let beaten: Vec<_> = beaten.map(activity).collect();
        (!beaten.is_empty()).then(|| {
            format!(
                "At {}, SSE took fewer bytes, and at most half the server CPU and half the delay (p50), than {}.",
                rate(self.rate),
                listed(&beaten)
            )
        })
    }
}

/// A way as something that is done.
pub(super) fn activity(row: &Row) -> String {
    match row.way.split_once("poll") {
        Some((before, behind)) => format!("{before}polling{behind}"),
        None => row.way.clone(),
    }
}

/// How many times the server computed for one what it did for the other.
fn times_the_cpu(one: &Row, other: &Row) -> Option<String> {
    let (one, other) = (
        one.server_cpu_us_per_delivery?,
        other.server_cpu_us_per_delivery?,
    );
    (other > 0.0).then(|| format!("{} times", ratio(one / other)))
}

/// Whether one is better in everything. What is not known is not better.
fn is_better(one: &Row, other: &Row) -> bool {
    let cpu = one
        .server_cpu_us_per_delivery
        .zip(other.server_cpu_us_per_delivery);
    one.once_open.bytes_per_delivery < other.once_open.bytes_per_delivery
        && cpu.is_some_and(|(one, other)| MARGIN * one <= other)
        && MARGIN * one.delay_us.p50 <= other.delay_us.p50
}

/// `a, b and c`.
pub(super) fn listed<T: AsRef<str>>(names: &[T]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match names.as_slice() {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::comparison;
    use super::*;

    #[test]
    fn the_figures_are_put_into_words() {
        let found = of(&comparison()).join("\n");
        for sentence in [
            "At 0.5 events a second, polling every 100 ms took 20.2 requests for each event, 95 % of the answers \
             were empty, and half of the events came 50.1 ms late or later; polling every 1 s took 2.50",
            "At 0.5 events a second, long polling took 1.00 requests for each event, fewer than any polling here; \
             it took 3.00 times the server CPU of SSE.",
            "At 20 events a second, long polling took 1.00 requests for each event, no fewer than any polling here: \
             it saves none; it took 4.00 times the server CPU of SSE.",
            "an open WebSocket took 158 bytes for each event: 64 of payload, 90 of JSON around it and 4 of frames; \
             SSE 186 and long polling 645.",
            "SSE took 28 bytes more than WebSocket for each event, 1.00 times its server CPU",
            "At 20 events a second, SSE took fewer bytes, and at most half the server CPU and half the delay (p50), than \
             polling every 100 ms.",
        ] {
            assert!(found.contains(sentence), "{sentence}\n{found}");
        }
    }

    #[test]
    fn nothing_is_claimed_that_was_not_measured() {
        let mut comparison = comparison();
        for row in &mut comparison.rows {
            row.server_cpu_us_per_delivery = None;
        }
        let found = of(&comparison).join("\n");
        assert!(!found.contains("CPU"), "{found}");
        comparison.rows.clear();
        assert_eq!(of(&comparison), [""; 0]);
    }

    #[test]
    fn one_interval_is_compared_with_no_other() {
        let mut comparison = comparison();
        comparison.rows.retain(|row| row.way != "poll every 1 s");
        let found = of(&comparison);
        assert!(found[0].ends_with("50.1 ms late or later."), "{found:?}");
    }
}
