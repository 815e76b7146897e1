//! What the figures answer, in sentences. Each says what this run has shown, and nothing else.

use std::cmp::Ordering;

use super::figures::{Comparison, Row};
use super::margin::{Difference, compare_requests, has_fewer_bytes};
use super::units::{about, bytes, percent, rate, ratio, time};

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
                "{} took {} requests for each event and client, {} of the answers were empty, and half of the events \
                 came {} late or later",
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
        let cpu = cpu_difference(held, self.by("sse")?).map(|cpu| match cpu {
            Difference::Times(times) => {
                format!(
                    "; it took about {} times the server CPU of SSE",
                    about(times)
                )
            }
            Difference::TooClose => {
                "; its server CPU and that of SSE are too close for one run to tell apart"
                    .to_owned()
            }
        });
        Some(format!(
            "At {}, long polling took {} requests for each event and client, {}{}.",
            rate(self.rate),
            ratio(held.once_open.requests_per_delivery),
            self.requests_beside_polling(held),
            cpu.unwrap_or_default()
        ))
    }

    fn requests_beside_polling(&self, held: &Row) -> String {
        let that = |wanted| {
            let polls = self.polls();
            polls.filter(move |poll| compare_requests(held, poll) == wanted)
        };
        let fewer: Vec<_> = that(Ordering::Less).map(activity).collect();
        let alike: Vec<_> = that(Ordering::Equal).map(activity).collect();
        let has_more = that(Ordering::Greater).next().is_some();
        match (fewer.is_empty(), alike.is_empty(), has_more) {
            (true, true, _) => "more than any polling here: it saves none".to_owned(),
            (true, false, _) => format!("no fewer than {}: it saves none", listed(&alike)),
            (false, true, false) => "fewer than any polling here".to_owned(),
            (false, true, true) => format!("fewer than {}", listed(&fewer)),
            (false, false, _) => {
                let (fewer, alike) = (listed(&fewer), listed(&alike));
                format!("fewer than {fewer}, about as many as {alike}")
            }
        }
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
            "At {}, an open WebSocket took {} bytes for each event and client: {} of payload, {} of JSON around it \
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
        let measured = [
            ("server CPU", cpu_difference(sse, socket)),
            ("delay (p50)", Some(delay_difference(sse, socket))),
        ];
        let (mut apart, mut too_close) = (String::new(), Vec::new());
        for (name, difference) in measured {
            match difference {
                None => {}
                Some(Difference::Times(times)) => {
                    apart += &format!(", about {} times the {name}", about(times));
                }
                Some(Difference::TooClose) => too_close.push(name),
            }
        }
        let too_close = (!too_close.is_empty()).then(|| {
            let figures = listed(&too_close);
            format!("; in {figures} they are too close for one run to tell apart")
        });
        Some(format!(
            "For clients that only listen, as these did, at {} SSE took {} bytes {} for each event and client than \
             WebSocket{apart}{}.",
            rate(self.rate),
            bytes(more.abs()),
            if more < 0.0 { "fewer" } else { "more" },
            too_close.unwrap_or_default()
        ))
    }

    /// Where SSE was the better choice in everything that is measured here.
    fn sse_before_others(&self) -> Option<String> {
        let sse = self.by("sse")?;
        let beaten = self.rows.iter().filter(|row| is_better(sse, row));
        let beaten: Vec<_> = beaten.map(activity).collect();
        (!beaten.is_empty()).then(|| {
            format!(
                "At {}, SSE took fewer bytes, and at most a third of the server CPU and of the delay (p50), than {}.",
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

/// How far one is from the other in server CPU, if that is known.
fn cpu_difference(one: &Row, other: &Row) -> Option<Difference> {
    let (one, other) = (
        one.server_cpu_us_per_delivery?,
        other.server_cpu_us_per_delivery?,
    );
    Some(Difference::of(one, other))
}

fn delay_difference(one: &Row, other: &Row) -> Difference {
    Difference::of(one.delay_us.p50, other.delay_us.p50)
}

/// Whether one is better in everything. What is not known is not better.
fn is_better(one: &Row, other: &Row) -> bool {
    has_fewer_bytes(one, other)
        && cpu_difference(one, other).is_some_and(Difference::is_less)
        && delay_difference(one, other).is_less()
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
            "At 0.5 events a second, polling every 100 ms took 20.2 requests for each event and client, 95 % of the \
             answers were empty, and half of the events came 50.1 ms late or later; polling every 1 s took 2.50",
            "At 0.5 events a second, long polling took 1.00 requests for each event and client, fewer than any polling \
             here; it took about 3 times the server CPU of SSE.",
            "At 20 events a second, long polling took 1.00 requests for each event and client, more than any polling \
             here: it saves none; it took about 4 times the server CPU of SSE.",
            "an open WebSocket took 158 bytes for each event and client: 64 of payload, 90 of JSON around it and 4 of \
             frames; SSE 186 and long polling 645.",
            "at 20 events a second SSE took 28 bytes more for each event and client than WebSocket; in server CPU and \
             delay (p50) they are too close for one run to tell apart.",
            "At 20 events a second, SSE took fewer bytes, and at most a third of the server CPU and of the delay (p50), \
             than polling every 100 ms.",
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
    fn what_is_less_than_a_margin_apart_is_not_called_better_or_worse() {
        let mut comparison = comparison();
        for row in &mut comparison.rows {
            row.server_cpu_us_per_delivery = Some(if row.way == "SSE" { 10.0 } else { 29.0 });
        }
        let found = of(&comparison).join("\n");
        assert!(!found.contains("times"), "{found}");
        assert!(!found.contains("third"), "{found}");
        let held = "its server CPU and that of SSE are too close for one run to tell apart";
        assert_eq!(found.matches(held).count(), 2, "{found}");
    }

    #[test]
    fn what_is_more_than_a_margin_apart_is_told_in_one_digit() {
        let mut comparison = comparison();
        for row in &mut comparison.rows {
            if row.way == "SSE" {
                row.server_cpu_us_per_delivery = Some(3.1);
                row.delay_us.p50 *= 5.3;
            }
        }
        let found = of(&comparison).join("\n");
        let told = "than WebSocket, about 0.3 times the server CPU, about 5 times the delay (p50).";
        assert!(found.contains(told), "{found}");
    }

    #[test]
    fn long_polling_saves_no_requests_where_it_may_only_seem_so() {
        let mut comparison = comparison();
        for row in &mut comparison.rows {
            row.events = 8;
        }
        let mut found = |requests| {
            comparison.rows[1].once_open.requests_per_delivery = requests;
            of(&comparison)[2].clone()
        };
        let alike = "fewer than polling every 100 ms, about as many as polling every 1 s;";
        assert!(found(1.06).contains(alike));
        let more = "fewer than polling every 100 ms;";
        assert!(found(0.65).contains(more));
        assert!(found(2.0).contains("fewer than any polling here;"));
    }

    #[test]
    fn one_interval_is_compared_with_no_other() {
        let mut comparison = comparison();
        comparison.rows.retain(|row| row.way != "poll every 1 s");
        let found = of(&comparison);
        assert!(found[0].ends_with("50.1 ms late or later."), "{found:?}");
    }
}
