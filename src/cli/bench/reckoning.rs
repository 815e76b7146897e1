//! From what was counted in a run to its report.

use std::time::Duration;

use super::Args;
use super::report::{Cost, Delay, Load, Report, microseconds};
use super::subscribers::Harvest;
use crate::cli::load::control::between;
use crate::cli::load::own_journal::OwnJournal;
use crate::cli::load::process::Processes;
use crate::cli::load::publishers::{Extent, Published, Work};
use crate::client::Transport;
use crate::client::bare::Begun;

/// Publishing later than this share of the time is a rate that was not kept.
const TOO_LATE: f64 = 0.05;
/// What may be late without being said.
const SLIGHTLY_LATE: Duration = Duration::from_millis(100);
/// A reading thread that is busier than this may be what was measured.
const TOO_BUSY: f64 = 0.9;
/// Delivering longer than so many times the time of publishing is a queue.
const TOO_LONG: f64 = 1.5;

/// A run that has ended.
pub(super) struct Run<'a> {
    /// What was asked for.
    pub(super) args: &'a Args,
    /// What was to be published.
    pub(super) work: &'a Work,
    /// The server's processes.
    pub(super) processes: Option<&'a Processes>,
    /// What was known before it began.
    pub(super) connected: &'a Connected,
    /// What was known when it had ended.
    pub(super) outcome: &'a Outcome,
}

/// What is known when everybody is connected.
pub(super) struct Connected {
    /// Subscribers that are kept, and never read.
    pub(super) stalled: Vec<Begun>,
    /// The others that were connected in a second.
    pub(super) per_second: f64,
    /// The server's memory before them, in bytes.
    pub(super) memory_before: Option<u64>,
    /// The server's memory with them, in bytes.
    pub(super) memory: Option<u64>,
    /// The server's threads with everybody connected.
    pub(super) threads: Option<u64>,
}

/// What came out.
pub(super) struct Outcome {
    /// What each publisher did.
    pub(super) published: Vec<Published>,
    /// What the subscribers got.
    pub(super) harvest: Harvest,
    /// What the server computed.
    pub(super) cpu: Option<Duration>,
    /// The most threads of the server seen.
    pub(super) threads_most: Option<u64>,
}

/// All events that were acknowledged.
pub(super) fn all_events(published: &[Published]) -> u64 {
    let events = published.iter().map(|account| u64::from(account.events));
    events.sum()
}

impl Run<'_> {
    /// The report.
    pub(super) fn report(&self) -> Report {
        let harvest = &self.outcome.harvest;
        let events = all_events(&self.outcome.published);
        let (publishing, delivering) = self.times(events);
        let deliveries = harvest.tally.deliveries;
        let owed = events.saturating_mul(self.args.subscribers as u64);
        let late = self.outcome.published.iter().map(|account| account.late);
        let mut report = Report {
            load: self.load(),
            events,
            publishing_seconds: publishing.as_secs_f64(),
            events_per_second: per_second(events, publishing),
            deliveries,
            seconds: delivering.as_secs_f64(),
            deliveries_per_second: per_second(deliveries, delivering),
            delay_us: delay(harvest),
            connections_per_second: self.connected.per_second,
            server: self.processes.map(|processes| self.cost(processes)),
            losses: owed.saturating_sub(deliveries),
            duplicates: harvest.tally.duplicates,
            out_of_order: harvest.tally.out_of_order,
            gaps_told: harvest.gaps,
            ended: harvest.ended,
            publishers_late_us: microseconds(late.max().unwrap_or_default()),
            readers_busy: harvest.busy,
            warnings: Vec::new(),
        };
        report.warnings = doubts(&report, harvest.why.as_deref().unwrap_or("unknown"));
        report
    }

    fn load(&self) -> Load {
        Load {
            way: self.args.way.name(),
            subscribers: self.args.subscribers,
            stalled: self.connected.stalled.len(),
            publishers: self.work.publishers,
            batch: self.work.batch,
            payload_bytes: self.work.size,
            rate_wanted: self.work.rate,
            journal: self.args.own_journal().map(OwnJournal::name),
        }
    }

    /// How long it was published and delivered, from the first request on.
    fn times(&self, events: u64) -> (Duration, Duration) {
        let published = &self.outcome.published;
        let first = published.iter().map(|account| account.first).min();
        let last = published.iter().map(|account| account.last).max();
        let first = first.unwrap_or(0);
        let publishing = between(first, last.unwrap_or(first)).max(self.planned(events));
        let delivering = between(first, self.outcome.harvest.last).max(publishing);
        (publishing, delivering)
    }

    /// How long publishing so many events was to take, the pause behind the last one included; nothing
    /// where they were to be published as fast as can be.
    fn planned(&self, events: u64) -> Duration {
        match (self.work.extent, self.work.rate) {
            (Extent::Time(time), _) => time,
            (Extent::Events(_), Some(rate)) => Duration::from_secs_f64(events as f64 / rate),
            (Extent::Events(_), None) => Duration::ZERO,
        }
    }

    fn cost(&self, processes: &Processes) -> Cost {
        let (connected, cpu) = (self.connected, self.outcome.cpu);
        let deliveries = self.outcome.harvest.tally.deliveries.max(1) as f64;
        let memory = connected.memory.zip(connected.memory_before);
        let growth = memory.map(|(after, before)| after.saturating_sub(before) as f64);
        Cost {
            pids: processes.pids().to_vec(),
            cpu_seconds: cpu.map(|cpu| cpu.as_secs_f64()),
            cpu_resolution_seconds: Processes::cpu_resolution().as_secs_f64(),
            cpu_us_per_delivery: cpu.map(|cpu| microseconds(cpu) / deliveries),
            memory_before_bytes: connected.memory_before,
            memory_connected_bytes: connected.memory,
            memory_bytes_per_connection: growth.map(|bytes| bytes / self.args.subscribers as f64),
            threads_before: connected.threads,
            threads_most: self.outcome.threads_most,
        }
    }
}

/// What one should know before one believes a report.
fn doubts(report: &Report, why_ended: &str) -> Vec<String> {
    let late = Duration::from_secs_f64(report.publishers_late_us / 1e6);
    let bound = Duration::from_secs_f64(report.publishing_seconds * TOO_LATE);
    let is_late = report.load.rate_wanted.is_some() && late > bound.max(SLIGHTLY_LATE);
    // What is polled for at intervals comes late in any case.
    let is_polled = report.load.way == Transport::Poll.name();
    let is_queue = !is_polled && report.seconds > report.publishing_seconds * TOO_LONG + 1.0;
    let doubts = [
        (report.ended > 0).then(|| {
            let ended = report.ended;
            format!("connections of subscribers that ended: {ended}, the first because: {why_ended}")
        }),
        (report.gaps_told > 0).then(|| {
            let gaps = report.gaps_told;
            format!("gaps that the server told: {gaps}; its history was too short for those behind")
        }),
        is_late.then(|| {
            "the rate was not kept, because the server acknowledged late or this machine is too busy: \
             more --publishers or a lower --rate"
                .to_owned()
        }),
        is_queue.then(|| {
            "more was published than could be delivered meanwhile, so the delays are those of a queue: \
             a lower --rate"
                .to_owned()
        }),
        (report.readers_busy > TOO_BUSY).then(|| {
            "reading took bench nearly all its time, so this may be its speed and not the server's: \
             more --threads"
                .to_owned()
        }),
    ];
    doubts.into_iter().flatten().collect()
}

fn per_second(count: u64, time: Duration) -> f64 {
    match time.is_zero() {
        true => 0.0,
        false => count as f64 / time.as_secs_f64(),
    }
}

fn delay(harvest: &Harvest) -> Option<Delay> {
    let quantile = |share| Some(harvest.delays.quantile(share)? as f64 / 1e3);
    Some(Delay {
        p50: quantile(0.5)?,
        p90: quantile(0.9)?,
        p99: quantile(0.99)?,
        max: harvest.delays.greatest() as f64 / 1e3,
    })
}
