//! `GET /metrics`: every figure that is told, with its name, its unit and what it teaches. Names are a promise:
//! dashboards and alerts are built on them.

use super::exposition::{self, Family};
use super::process::Process;
use super::route::Asked;
use crate::delivery::Context;
use crate::http::response::Response;
use crate::journal::GapReason;
use crate::metrics::Metrics;
use crate::refusal::{Kind, Refusal};
use crate::roster::{Roster, Way};
use crate::server::memory::Memory;

pub(super) fn answer(_: &Asked<'_>, context: &Context) -> Result<Response, Refusal> {
    Ok(exposition::answer(take(context)))
}

/// All of them, as they are now.
fn take(context: &Context) -> Vec<Family> {
    let mut families = Vec::with_capacity(48);
    families.extend(server(context));
    families.extend(connections(context));
    families.extend(events(context.hub.metrics()));
    families.extend(troubles(context.hub.metrics()));
    families.extend(journal(context));
    families.extend(memory(&context.memory));
    families.extend(process(Process::look()).into_iter().flatten());
    families
}

fn server(context: &Context) -> [Family; 2] {
    [
        Family::info(
            "fourcast_build",
            "Which Fourcast this is; always 1",
            ("version", env!("CARGO_PKG_VERSION")),
        ),
        Family::gauge(
            "fourcast_draining",
            "1 once the server is stopping: it takes no new connections and says goodbye to those it has; else 0",
            u64::from(context.shutdown.begun().is_some()),
        ),
    ]
}

fn connections(context: &Context) -> [Family; 9] {
    let (metrics, traffic) = (context.hub.metrics(), context.roster.traffic());
    let census = Census::take(&context.roster);
    [
        Family::gauges(
            "fourcast_connections",
            "Connections of the data port that are open now, by what they do; http: polls, publishers and idle ones",
            "way",
            by_way(|way| census.connections[way as usize]),
        ),
        Family::gauge(
            "fourcast_connections_limit",
            "Connections that may be open at once: limits.connections, or what this host allows if that is less",
            context.config().limits.connections as u64,
        ),
        Family::gauge(
            "fourcast_subscribers_behind",
            "Streams that are being caught up: they read slower than events come, or came back with much to read",
            census.behind,
        ),
        Family::counter(
            "fourcast_connections_accepted",
            "Connections that were let in",
            metrics.accepted.get(),
        ),
        Family::counter(
            "fourcast_connections_turned_away",
            "Connections that were refused at the door: all were taken, or one address had its share, or memory was \
             short; fourcast_refusals tells which, but for those closed without an answer",
            metrics.turned_away.get(),
        ),
        Family::counter(
            "fourcast_tls_handshakes_failed",
            "Connections that ended since there was no TLS with their peer: in time, or at all",
            metrics.handshakes_failed.get(),
        ),
        Family::counter(
            "fourcast_requests",
            "Requests on the data port whose head was read; a stream or a WebSocket is one",
            metrics.requests.get(),
        ),
        Family::counter(
            "fourcast_received_bytes",
            "Bytes from clients over all connections, heads and framing among them",
            traffic.received,
        ),
        Family::counter(
            "fourcast_sent_bytes",
            "Bytes to clients over all connections, heads and framing among them",
            traffic.sent,
        ),
    ]
}

fn events(metrics: &Metrics) -> [Family; 5] {
    [
        Family::counter(
            "fourcast_events_published",
            "Events that were taken from publishers, each once",
            metrics.published.get(),
        ),
        Family::counter(
            "fourcast_published_bytes",
            "Bytes of their payloads",
            metrics.published_bytes.get(),
        ),
        Family::counters(
            "fourcast_deliveries",
            "Events that were handed to subscribers; one event to a thousand of them counts a thousand times",
            "way",
            by_way(|way| metrics.delivered(way).get()),
        ),
        Family::histogram(
            "fourcast_delivery_delay_seconds",
            "From when an event was taken until a thread that writes had handed it to everyone who listens there; once \
             for each event and such thread, if anybody got it; event times are whole milliseconds",
            metrics.delay.get(),
        ),
        Family::histogram(
            "fourcast_journal_append_seconds",
            "How long publishers waited for the journal to keep what they sent",
            metrics.keeping.get(),
        ),
    ]
}

fn troubles(metrics: &Metrics) -> [Family; 2] {
    let reasons = GapReason::ALL.map(|reason| (reason.as_str(), metrics.gaps(reason).get()));
    let kinds = Kind::ALL.iter();
    let kinds = kinds.map(|kind| (kind.row().code, metrics.refusals(*kind).get()));
    [
        Family::counters(
            "fourcast_gaps",
            "Times that a subscriber was told of events that it can no longer get; overtaken: it was too slow, \
             retention: it was away too long",
            "reason",
            reasons,
        ),
        Family::counters(
            "fourcast_refusals",
            "Times that a client was refused, or told goodbye, by the code that it was given",
            "code",
            kinds,
        ),
    ]
}

fn journal(context: &Context) -> Vec<Family> {
    let statistics = context.hub.statistics();
    let mut families = vec![
        Family::gauge(
            "fourcast_journal_writable",
            "1 while the journal keeps what it is given; 0: publishers are refused, so look at the disk and the log",
            u64::from(context.hub.is_writable()),
        ),
        Family::gauge(
            "fourcast_journal_channels",
            "Channels that the journal knows; limits.channels bounds them",
            statistics.channels,
        ),
        Family::gauge(
            "fourcast_journal_events",
            "Events that are kept",
            statistics.events,
        ),
        Family::gauge(
            "fourcast_journal_bytes",
            "What they weigh together; journal.max_bytes bounds it",
            statistics.bytes,
        ),
        Family::counter(
            "fourcast_journal_commits",
            "Times that something was kept or taken away; one commit may have many events",
            statistics.commits,
        ),
        Family::gauge(
            "fourcast_journal_waiting",
            "Batches that wait for the commit before them; many for long: the disk is slower than the publishers",
            statistics.waiting,
        ),
        Family::counter(
            "fourcast_journal_crowded_out",
            "Events that went early, since all together weighed more than journal.max_bytes",
            statistics.crowded_out,
        ),
    ];
    families.extend(statistics.file_bytes.map(|bytes| {
        let help = "What the files of the journal take on disk; a journal in memory has none";
        Family::gauge("fourcast_journal_file_bytes", help, bytes)
    }));
    families
}

/// The budget, where there is one.
fn memory(memory: &Memory) -> impl Iterator<Item = Family> {
    let budget = memory.budget().map(|bytes| {
        Family::gauge(
            "fourcast_memory_budget_bytes",
            "Memory that the server may use: limits.memory, or three quarters of what this host has",
            bytes as u64,
        )
    });
    let taken = Family::gauge(
        "fourcast_memory_taken_bytes",
        "What of it is spoken for: by what is there without clients, by connections, and by bodies, messages and \
         answers under way; at the budget clients are refused with out_of_memory",
        memory.taken() as u64,
    );
    budget.into_iter().chain([taken])
}

/// Those that could be had: one that is missing keeps no other back.
fn process(process: Process) -> [Option<Family>; 7] {
    let gauge = |name, help, value: Option<u64>| Some(Family::gauge(name, help, value?));
    [
        process.cpu_seconds.map(|seconds| {
            let help = "CPU time that the process used, in user and system mode";
            Family::counter("process_cpu_seconds", help, seconds)
        }),
        gauge(
            "process_resident_memory_bytes",
            "Memory that the process has in RAM",
            process.resident_bytes,
        ),
        gauge(
            "process_virtual_memory_bytes",
            "Address space of the process; stacks of threads are most of it and cost nothing until they are used",
            process.virtual_bytes,
        ),
        gauge(
            "process_open_fds",
            "Files and sockets that are open",
            process.open_files,
        ),
        gauge(
            "process_max_fds",
            "Files and sockets that may be open",
            Some(process.max_files),
        ),
        gauge(
            "process_threads",
            "Threads of the process: one a connection, and a few",
            process.threads,
        ),
        process.start_seconds.map(|seconds| {
            let help = "When the process started, in Unix time";
            Family::gauge("process_start_time_seconds", help, seconds)
        }),
    ]
}

fn by_way(value: impl Fn(Way) -> u64) -> [(&'static str, u64); Way::ALL.len()] {
    Way::ALL.map(|way| (way.as_str(), value(way)))
}

/// How many there are.
struct Census {
    connections: [u64; Way::ALL.len()],
    behind: u64,
}

impl Census {
    fn take(roster: &Roster) -> Self {
        let mut census = Census {
            connections: Default::default(),
            behind: 0,
        };
        for seen in roster.walk(0) {
            census.connections[seen.presence.way as usize] += 1;
            census.behind += u64::from(seen.presence.is_behind);
        }
        census
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_of_the_process_keeps_nothing_else_back() {
        let without_files = Process {
            cpu_seconds: None,
            resident_bytes: None,
            virtual_bytes: None,
            open_files: Some(64),
            max_files: 64,
            threads: None,
            start_seconds: None,
        };
        let told = process(without_files).into_iter().flatten().collect();
        let text = exposition::text(told);
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(samples, ["process_open_fds 64", "process_max_fds 64"]);
    }
}
