//! What the rounds have shown, as the object that programs read; people get it as a table and as a chart.

use std::time::Duration;

use serde::Serialize;

use super::plan::Plan;
use super::reader::Received;
use super::round::Round;
use crate::cli::load::delays::Delays;
use crate::cli::load::publishers::Published;

/// With fewer events than this there is no p99: what all clients get of one event is one moment of the server, so its
/// slowest hundredth would be the slowest event or a part of it.
pub(super) const EVENTS_FOR_P99: u64 = 100;

/// All rounds of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Comparison {
    /// Clients in each round.
    pub(super) clients: usize,
    /// How long events were published in each round.
    pub(super) publishing_seconds: f64,
    /// Bytes of each payload.
    pub(super) payload_bytes: usize,
    /// A row for each round: the ways of the first scenario, then those of the second.
    pub(super) rows: Vec<Row>,
    /// What they answer.
    pub(super) findings: Vec<String>,
    /// What to know before one believes the rest.
    pub(super) warnings: Vec<String>,
}

/// One way under one load. A delivery is one event to one client.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Row {
    /// `sparse` or `frequent`.
    pub(super) scenario: &'static str,
    pub(super) events_per_second: f64,
    /// The way, for people.
    pub(super) way: String,
    /// The way, as the wire's `transport` has it.
    pub(super) transport: &'static str,
    /// The time from an answer to the next poll.
    pub(super) interval_ms: Option<u64>,
    pub(super) clients: usize,
    pub(super) events: u64,
    pub(super) deliveries: u64,
    pub(super) duplicates: u64,
    pub(super) out_of_order: u64,
    /// Requests of all clients, their first included.
    pub(super) requests: u64,
    /// Answers to them; a stream is one.
    pub(super) answers: u64,
    /// Answers without an event, but for each client's first, which brings its place.
    pub(super) empty_answers: u64,
    /// Bytes on the clients' sockets, all heads, frames, heartbeats and chunk lines included.
    pub(super) bytes_to_server: u64,
    pub(super) bytes_from_server: u64,
    /// The part of them up to where every client had its place: its first answer, or its welcome.
    pub(super) opening_bytes_to_server: u64,
    pub(super) opening_bytes_from_server: u64,
    /// What of the bytes from the server that came after it is text: without heads, chunk lines and frame headers.
    pub(super) content_bytes_from_server: u64,
    /// All bytes, both directions, by deliveries.
    pub(super) bytes_per_delivery: f64,
    /// The same without the opening.
    pub(super) once_open: OnceOpen,
    /// What the server's process computed while the clients were connected, publishing included.
    pub(super) server_cpu_seconds: Option<f64>,
    pub(super) server_cpu_us_per_delivery: Option<f64>,
    /// From before an event was sent to after it was read.
    pub(super) delay_us: Delay,
    /// The share of the delays, 0 to 1, that may be this program's own, which reads for all clients by one thread.
    pub(super) own_share_of_delay: f64,
    /// How late an event was sent, at worst.
    pub(super) published_late_us: f64,
}

/// What each delivery took when the clients had their places.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct OnceOpen {
    pub(super) requests_per_delivery: f64,
    pub(super) bytes_per_delivery: f64,
}

/// Delays in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Delay {
    pub(super) p50: f64,
    /// Nothing where there are too few events for it.
    pub(super) p99: Option<f64>,
    pub(super) max: f64,
}

impl Comparison {
    /// No round yet.
    pub(super) fn of(plan: &Plan) -> Self {
        Comparison {
            clients: plan.clients,
            publishing_seconds: plan.time.as_secs_f64(),
            payload_bytes: plan.payload,
            rows: Vec::new(),
            findings: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The rows of each scenario, in their order.
    pub(super) fn scenarios(&self) -> impl Iterator<Item = &[Row]> {
        self.rows
            .chunk_by(|one, next| one.scenario == next.scenario)
    }

    /// One JSON object in one line.
    pub(super) fn to_json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string(self)? + "\n")
    }
}

impl Row {
    /// What a round's clients got, how that was published, and what the server computed.
    pub(super) fn new(
        round: &Round<'_>,
        received: &Received,
        published: &Published,
        cpu: Option<Duration>,
    ) -> Self {
        let Received {
            tally,
            exchanges,
            opening,
            counted,
            ..
        } = received;
        let clients = round.plan.clients;
        let each = |sum: u64| sum as f64 / each_of(tally.deliveries);
        let interval = round.way.interval();
        Row {
            scenario: round.scenario.name,
            events_per_second: round.scenario.rate,
            way: round.way.to_string(),
            transport: round.way.transport().name(),
            interval_ms: interval.and_then(|interval| u64::try_from(interval.as_millis()).ok()),
            clients,
            events: round.scenario.events.into(),
            deliveries: tally.deliveries,
            duplicates: tally.duplicates,
            out_of_order: tally.out_of_order,
            requests: exchanges.requests,
            answers: exchanges.answers,
            empty_answers: exchanges.empty,
            bytes_to_server: opening.traffic.sent + counted.traffic.sent,
            bytes_from_server: opening.traffic.received + counted.traffic.received,
            opening_bytes_to_server: opening.traffic.sent,
            opening_bytes_from_server: opening.traffic.received,
            content_bytes_from_server: counted.content,
            bytes_per_delivery: each(opening.total() + counted.total()),
            once_open: OnceOpen {
                requests_per_delivery: each(exchanges.requests.saturating_sub(clients as u64)),
                bytes_per_delivery: each(counted.total()),
            },
            server_cpu_seconds: cpu.map(|cpu| cpu.as_secs_f64()),
            server_cpu_us_per_delivery: cpu
                .map(|cpu| cpu.as_secs_f64() * 1e6 / each_of(tally.deliveries)),
            delay_us: Delay::of(&received.delays, round.scenario.events.into()),
            own_share_of_delay: received.own_share,
            published_late_us: published.late.as_secs_f64() * 1e6,
        }
    }

    /// Whether it asks again and again at an interval.
    pub(super) fn polls(&self) -> bool {
        self.interval_ms.is_some()
    }

    /// The share of a way's answers, but for the first ones, that brought nothing; 0 where there are none.
    pub(super) fn empty_share(&self) -> f64 {
        let later = self.answers.saturating_sub(self.clients as u64);
        self.empty_answers as f64 / each_of(later)
    }

    /// What of an open way's bytes is text, by deliveries: on a WebSocket, the event's JSON and nothing else.
    pub(super) fn content_per_delivery(&self) -> f64 {
        self.content_bytes_from_server as f64 / each_of(self.deliveries)
    }

    /// What an opening took, in bytes for each client.
    pub(super) fn opening_bytes_per_client(&self) -> f64 {
        let bytes = self.opening_bytes_to_server + self.opening_bytes_from_server;
        bytes as f64 / each_of(self.clients as u64)
    }
}

impl Delay {
    fn of(delays: &Delays, events: u64) -> Self {
        let quantile = |share| delays.quantile(share).unwrap_or(0) as f64 / 1e3;
        Delay {
            p50: quantile(0.5),
            p99: (events >= EVENTS_FOR_P99).then(|| quantile(0.99)),
            max: delays.greatest() as f64 / 1e3,
        }
    }

    /// The highest delay that may be told, and what it is called.
    pub(super) fn high(&self) -> (&'static str, f64) {
        self.p99.map_or(("max", self.max), |p99| ("p99", p99))
    }
}

/// A number to divide by.
fn each_of(count: u64) -> f64 {
    count.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_of_a_few_events_is_not_called_a_hundredth() {
        let mut delays = Delays::new();
        for microseconds in 1..=1000 {
            delays.add(microseconds * 1000);
        }
        let [few, many] = [EVENTS_FOR_P99 - 1, EVENTS_FOR_P99].map(|n| Delay::of(&delays, n));
        assert_eq!((few.p99, few.high()), (None, ("max", 1000.0)));
        let (name, p99) = many.high();
        assert!(name == "p99" && (990.0..1000.0).contains(&p99), "{p99}");
        assert_eq!(many.max, 1000.0);
    }
}
