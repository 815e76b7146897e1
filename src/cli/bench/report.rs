//! What a run has shown: the same figures for people and for programs.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// The figures of a run. What could not be found out is `None`, and `null` in JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Report {
    /// What was asked for.
    #[serde(flatten)]
    pub(super) load: Load,
    /// Events that were acknowledged.
    pub(super) events: u64,
    /// From the first request to the last acknowledgement, or as long as that was to take.
    pub(super) publishing_seconds: f64,
    /// Events by publishing seconds.
    pub(super) events_per_second: f64,
    /// Events that reached a subscriber, each counted once for each subscriber.
    pub(super) deliveries: u64,
    /// From the first request to the last delivery, and at least as long as publishing.
    pub(super) seconds: f64,
    /// Deliveries by seconds.
    pub(super) deliveries_per_second: f64,
    /// From before an event was sent to after it was read.
    pub(super) delay_us: Option<Delay>,
    /// Subscribers connected in a second, one after another.
    pub(super) connections_per_second: f64,
    /// What the server cost; `None` where its processes are not known.
    pub(super) server: Option<Cost>,
    /// Deliveries that did not come.
    pub(super) losses: u64,
    /// Events that came again.
    pub(super) duplicates: u64,
    /// Events that came after a later one of the same publisher.
    pub(super) out_of_order: u64,
    /// Gaps that the server told instead of delivering.
    pub(super) gaps_told: u64,
    /// Subscribers whose connection ended before the run.
    pub(super) ended: u64,
    /// How late an event was sent, at worst.
    pub(super) publishers_late_us: f64,
    /// The share of its time that the busiest reading thread of bench was at work, 0 to 1.
    pub(super) readers_busy: f64,
    /// What one should know before one believes the rest.
    pub(super) warnings: Vec<String>,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Load {
    /// The way of the subscribers.
    pub(super) way: &'static str,
    /// Subscribers that read.
    pub(super) subscribers: usize,
    /// Subscribers that never read, of which nothing else here counts.
    pub(super) stalled: usize,
    /// Publishers.
    pub(super) publishers: u16,
    /// Events in one request.
    pub(super) batch: u32,
    /// Bytes of each payload.
    pub(super) payload_bytes: usize,
    /// Events a second that were asked for; `None`: as many as are acknowledged.
    pub(super) rate_wanted: Option<f64>,
    /// What a server that was started for the run keeps events in; `None`: it ran already.
    pub(super) journal: Option<&'static str>,
}

/// Delays in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Delay {
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

/// What the server's processes took together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Cost {
    /// Their numbers.
    pub(super) pids: Vec<u32>,
    /// Time computed from the first request to the last delivery, publishing included.
    pub(super) cpu_seconds: Option<f64>,
    /// How finely that is counted.
    pub(super) cpu_resolution_seconds: f64,
    /// The same by deliveries.
    pub(super) cpu_us_per_delivery: Option<f64>,
    /// PSS before the subscribers connected.
    pub(super) memory_before_bytes: Option<u64>,
    /// PSS with all of them connected.
    pub(super) memory_connected_bytes: Option<u64>,
    /// What it grew by, for each of them.
    pub(super) memory_bytes_per_connection: Option<f64>,
    /// Threads with all subscribers connected.
    pub(super) threads_before: Option<u64>,
    /// The most threads seen from then on.
    pub(super) threads_most: Option<u64>,
}

impl Report {
    /// Whether everything arrived, once and in order.
    pub(super) fn is_flawless(&self) -> bool {
        self.losses == 0 && self.duplicates == 0 && self.out_of_order == 0
    }

    /// One JSON object in one line.
    pub(super) fn to_json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string(self)? + "\n")
    }
}

/// The report for people: a line for each figure, and the warnings.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, value: String| writeln!(f, "{name:<20} {value}");
        line("load", self.load.to_string())?;
        line("published", self.published())?;
        line("deliveries", self.delivered())?;
        line(
            "delay",
            self.delay_us
                .map_or_else(unknown, |delay| delay.to_string()),
        )?;
        line(
            "connections set up",
            format!("{:.0} a second", self.connections_per_second),
        )?;
        match &self.server {
            None => line(
                "server",
                "its process is not known here; --pid names it".to_owned(),
            )?,
            Some(cost) => {
                line("server CPU", cost.cpu())?;
                line("server memory", cost.memory())?;
                line("server threads", cost.threads())?;
            }
        }
        line("load generator", self.own_state())?;
        line("losses", self.losses.to_string())?;
        line("duplicates", self.duplicates.to_string())?;
        line("out of order", self.out_of_order.to_string())?;
        for warning in &self.warnings {
            line("warning", warning.clone())?;
        }
        Ok(())
    }
}

impl Report {
    fn published(&self) -> String {
        let wanted = match self.load.rate_wanted {
            Some(rate) => format!("{rate} were asked for"),
            None => "as many as were acknowledged".to_owned(),
        };
        format!(
            "{} events in {:.2} s, {:.1} a second ({wanted})",
            self.events, self.publishing_seconds, self.events_per_second
        )
    }

    fn delivered(&self) -> String {
        format!(
            "{} in {:.2} s, {:.0} a second",
            self.deliveries, self.seconds, self.deliveries_per_second
        )
    }

    fn own_state(&self) -> String {
        format!(
            "published {} late at worst, readers busy {:.0} % of the time",
            time(self.publishers_late_us),
            self.readers_busy * 100.0
        )
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} subscribers by {}", self.subscribers, self.way)?;
        if self.stalled > 0 {
            write!(f, " and {} that never read", self.stalled)?;
        }
        write!(f, ", publishers: {}", self.publishers)?;
        if self.batch > 1 {
            write!(f, ", {} events a request", self.batch)?;
        }
        write!(f, ", {} bytes a payload", self.payload_bytes)?;
        match self.journal {
            Some(journal) => write!(f, ", journal: {journal}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p90, p99, max] = [self.p50, self.p90, self.p99, self.max].map(time);
        write!(f, "p50 {p50}, p90 {p90}, p99 {p99}, max {max}")
    }
}

impl Cost {
    fn cpu(&self) -> String {
        match (self.cpu_seconds, self.cpu_us_per_delivery) {
            (Some(seconds), Some(each)) => format!(
                "{each:.2} µs a delivery ({seconds:.2} s in all, counted in steps of {:.0} ms)",
                self.cpu_resolution_seconds * 1e3
            ),
            _ => unknown(),
        }
    }

    fn memory(&self) -> String {
        let (before, connected) = (self.memory_before_bytes, self.memory_connected_bytes);
        match (self.memory_bytes_per_connection, before, connected) {
            (Some(each), Some(before), Some(connected)) => format!(
                "{:.1} KiB a connection ({:.1} MiB before, {:.1} MiB with all connected; PSS)",
                each / 1024.0,
                mebibytes(before),
                mebibytes(connected)
            ),
            _ => unknown(),
        }
    }

    fn threads(&self) -> String {
        match (self.threads_before, self.threads_most) {
            (Some(before), Some(most)) => format!("{before} with all connected, {most} at most"),
            _ => unknown(),
        }
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

/// Microseconds in the unit that suits them.
fn time(microseconds: f64) -> String {
    match microseconds {
        us if us < 1e3 => format!("{us:.0} µs"),
        us if us < 1e6 => format!("{:.2} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

/// A time as the report has it.
pub(super) fn microseconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            load: Load {
                way: "sse",
                subscribers: 1000,
                stalled: 0,
                publishers: 1,
                batch: 1,
                payload_bytes: 64,
                rate_wanted: Some(20.0),
                journal: Some("always"),
            },
            events: 200,
            publishing_seconds: 9.95,
            events_per_second: 20.1,
            deliveries: 200_000,
            seconds: 10.0,
            deliveries_per_second: 20_000.0,
            delay_us: Some(Delay {
                p50: 900.0,
                p90: 1_500.0,
                p99: 2_250.0,
                max: 1_250_000.0,
            }),
            connections_per_second: 5000.0,
            server: Some(Cost {
                pids: vec![42],
                cpu_seconds: Some(1.28),
                cpu_resolution_seconds: 0.01,
                cpu_us_per_delivery: Some(6.4),
                memory_before_bytes: Some(4 << 20),
                memory_connected_bytes: Some(14 << 20),
                memory_bytes_per_connection: Some(10_486.0),
                threads_before: Some(1010),
                threads_most: None,
            }),
            losses: 0,
            duplicates: 0,
            out_of_order: 0,
            gaps_told: 0,
            ended: 0,
            publishers_late_us: 80.0,
            readers_busy: 0.125,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn the_report_has_a_line_for_each_figure() {
        let text = report().to_string();
        for line in [
            "load                 1000 subscribers by sse, publishers: 1, 64 bytes a payload, journal: always",
            "published            200 events in 9.95 s, 20.1 a second (20 were asked for)",
            "deliveries           200000 in 10.00 s, 20000 a second",
            "delay                p50 900 µs, p90 1.50 ms, p99 2.25 ms, max 1.25 s",
            "connections set up   5000 a second",
            "server CPU           6.40 µs a delivery (1.28 s in all, counted in steps of 10 ms)",
            "server memory        10.2 KiB a connection (4.0 MiB before, 14.0 MiB with all connected; PSS)",
            "server threads       unknown",
            "load generator       published 80 µs late at worst, readers busy 12 % of the time",
            "losses               0",
            "duplicates           0",
            "out of order         0",
        ] {
            assert!(text.lines().any(|told| told == line), "{line}\n{text}");
        }
    }

    #[test]
    fn the_object_has_the_same_and_null_for_what_is_not_known() {
        let object = report().to_json().unwrap();
        assert_eq!(object.matches('\n').count(), 1);
        let object: serde_json::Value = serde_json::from_str(&object).unwrap();
        for (pointer, value) in [
            ("/way", "sse".into()),
            ("/deliveries", 200_000.into()),
            ("/delay_us/p99", 2250.0.into()),
            ("/server/cpu_us_per_delivery", 6.4.into()),
            ("/server/threads_most", serde_json::Value::Null),
            ("/losses", 0.into()),
        ] {
            assert_eq!(object.pointer(pointer), Some(&value), "{pointer}");
        }
    }

    #[test]
    fn a_single_loss_duplicate_or_disorder_is_a_flaw() {
        assert!(report().is_flawless());
        for spoil in [
            (|report: &mut Report| report.losses = 1) as fn(&mut Report),
            |report| report.duplicates = 1,
            |report| report.out_of_order = 1,
        ] {
            let mut report = report();
            spoil(&mut report);
            assert!(!report.is_flawless());
        }
    }

    #[test]
    fn a_server_whose_process_is_not_known_is_said_to_be() {
        let unknown = Report {
            server: None,
            ..report()
        };
        assert!(unknown.to_string().contains("--pid"), "{unknown}");
    }
}
