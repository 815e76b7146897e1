//! `fourcast compare`: the same events by every way, and what each way takes for them.

mod audience;
mod chart;
mod chart_file;
mod figures;
mod findings;
#[cfg(test)]
mod fixture;
mod listener;
mod margin;
mod monitor;
mod own_share;
mod plan;
mod reader;
mod round;
mod scale;
mod table;
mod units;
mod warnings;
mod way;

use std::path::PathBuf;
use std::time::Duration;

use super::load::arguments::{at_most, count};
use super::load::mark;
use super::load::room::make_room;
use super::load::signals::take_signals;
use super::{Failure, say};
use chart_file::ChartFile;
use figures::Comparison;
use monitor::Monitor;
use plan::{Plan, Scenario};
use round::Round;
use way::Way;

const EXAMPLES: &str = "\
Examples:
  fourcast compare                                    every way, with sparse and with frequent events
  fourcast compare --svg ways.svg                     and a chart of it
  fourcast compare --sparse 0.1 --for 1m              an event every 10 s
  fourcast compare --frequent 100 --clients 1000
  fourcast compare --json | jq -r '.rows[] | [.scenario, .way, .once_open.bytes_per_delivery] | @tsv'

For each line it starts a server with the built-in defaults, a longer history and a journal in memory, for itself
alone; config.toml and FOURCAST_... variables do not count. All clients connect and receive one event that is not
counted, then events are published at the rate, and the line ends when every client has every event. Polls and long
polls keep their connection. Each line is measured once, always in this order.

What is counted: all bytes on the clients' sockets from the first to the last, so every head, frame, chunk
line and heartbeat, but not what TCP and IP put around them. 'once open' leaves out what went until each
client had its place: the handshake and welcome of a stream, the first answer to a poll. 'empty' are answers
without an event, 304 here, but for that first one. CPU is what the server's process computed from then on, with
publishing and what it does by itself. Delay runs from before the publisher's send to after the client's read.

What the figures do not say: what all clients get of an event is one moment of the server, so a line has as many
independent CPU times and delays as events, and for fewer than 100 of them max is told, not p99. One thread reads
for all clients, one after the other; a warning says where that may be most of the delay. On loopback what TCP does
to receive falls to whoever sends, so the server's CPU has its clients' receiving in it, and not its own: over a
network, ways that ask much cost it more. Two runs differ in CPU and delay by a factor of up to 2, so what is closer
than 3 times is not called different.

A line ends with the last delivery, so each client that polls makes up to one request more than its share: for
intervals that are not far shorter than --for, make it longer.

What polls send: GET with Host, User-Agent, Accept: application/json and If-None-Match with the last cursor;
long polls also Prefer: wait=30. Browsers send more, cookies among it, with every request.

Exit codes: 0 every client had every event once and in order, 1 not so, or it was stopped.";

/// The longest time of events for one line.
const LONGEST_TIME: Duration = Duration::from_secs(3600);
/// The shortest time between two polls.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);
/// The longest: beyond it a server closes the connection, as it comes (timeouts.idle).
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);
/// The most intervals.
const INTERVALS: usize = 6;
/// Bytes of payloads that may pile up between two polls: half of what the server keeps of a channel.
const PILE: f64 = (256 << 20) as f64;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Clients on each way, each with a connection
    #[arg(long, value_name = "N", default_value = "100", value_parser = count(1, 10_000))]
    clients: usize,
    /// Events a second where they are sparse
    #[arg(long, value_name = "EVENTS_PER_SECOND", default_value = "0.5", value_parser = rate)]
    sparse: f64,
    /// Events a second where they are frequent
    #[arg(long, value_name = "EVENTS_PER_SECOND", default_value = "20", value_parser = rate)]
    frequent: f64,
    /// How long to publish for each way and rate
    #[arg(long = "for", value_name = "TIME", default_value = "8s", value_parser = publishing_time)]
    time: Duration,
    /// Bytes of each payload
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = count(mark::WIDTH as u64, 1 << 20))]
    size: usize,
    /// The times between two polls, each of which is a way of its own
    #[arg(
        long = "poll",
        value_name = "TIMES",
        value_delimiter = ',',
        default_value = "100ms,1s,5s",
        value_parser = interval
    )]
    intervals: Vec<Duration>,
    /// Write the figures as a chart to this file, too
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
}

/// Compares, and prints what was found. Blocks for the time asked for, for each way and rate.
pub fn run(args: &Args) -> Result<(), Failure> {
    let plan = args.plan()?;
    let chart = args.svg.as_deref().map(ChartFile::open).transpose()?;
    // The publisher has one, too.
    make_room(plan.clients.saturating_add(1))?;
    let comparison = play(&plan)?;
    say(&match args.json {
        true => comparison
            .to_json()
            .map_err(|error| Failure::Failed(error.to_string()))?,
        false => comparison.to_string(),
    })?;
    match chart {
        None => Ok(()),
        Some(file) => file.write(&chart::draw(&comparison)),
    }
}

/// All rounds, one after the other.
fn play(plan: &Plan) -> Result<Comparison, Failure> {
    let rounds = plan.scenarios.iter().flat_map(|scenario| {
        plan.ways.iter().map(|way| Round {
            plan,
            scenario: *scenario,
            way: *way,
        })
    });
    let rounds: Vec<_> = rounds.collect();
    let planned = rounds.iter().map(Round::planned).sum();
    let mut monitor = Monitor::begin(take_signals()?, planned);
    let mut comparison = Comparison::of(plan);
    for round in &rounds {
        comparison.rows.push(round.play(&monitor)?);
        monitor.finish_round(round.planned());
    }
    comparison.findings = findings::of(&comparison);
    comparison.warnings = warnings::of(&comparison);
    Ok(comparison)
}

impl Args {
    /// What is asked for, if it can be.
    fn plan(&self) -> Result<Plan, Failure> {
        if self.sparse >= self.frequent {
            return Err(Failure::Usage(
                "--sparse is to be less than --frequent".to_owned(),
            ));
        }
        let scenario = |name, rate| {
            Scenario::new(name, rate, self.time).ok_or_else(|| {
                let time = humantime::format_duration(self.time);
                Failure::Usage(format!(
                    "with {} there is none in {time}: a longer --for, or a higher --{name}",
                    units::rate(rate)
                ))
            })
        };
        Ok(Plan {
            clients: self.clients,
            payload: self.size,
            time: self.time,
            scenarios: [
                scenario("sparse", self.sparse)?,
                scenario("frequent", self.frequent)?,
            ],
            ways: Way::all(&self.sorted_intervals()?),
        })
    }

    /// The intervals from the shortest to the longest, each once.
    fn sorted_intervals(&self) -> Result<Vec<Duration>, Failure> {
        let mut intervals = self.intervals.clone();
        intervals.sort_unstable();
        intervals.dedup();
        if intervals.len() > INTERVALS {
            let refused = format!("--poll takes {INTERVALS} times at most");
            return Err(Failure::Usage(refused));
        }
        let longest = intervals.last().copied().unwrap_or_default();
        if self.frequent * self.size as f64 * longest.as_secs_f64() > PILE {
            return Err(Failure::Usage(
                "more would pile up between two polls than the server keeps: a lower --frequent or --size, or \
                 shorter times for --poll"
                    .to_owned(),
            ));
        }
        Ok(intervals)
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.001..=1000.0).contains(&rate) => Ok(rate),
        _ => Err("a number of events a second, from 0.001 to 1000".to_owned()),
    }
}

fn publishing_time(text: &str) -> Result<Duration, String> {
    at_most(LONGEST_TIME, text)
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = at_most(LONGEST_INTERVAL, text)?;
    let is_whole = interval.subsec_nanos() % 1_000_000 == 0;
    match interval >= SHORTEST_INTERVAL && is_whole {
        true => Ok(interval),
        false => Err("10 ms at least, and whole milliseconds".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        cli::parse(line.split(' '))
    }

    #[test]
    fn a_line_says_what_is_carried_how_often_and_by_which_ways() {
        let args = parse("compare --sparse 0.1 --for 1m --poll 2s,500ms,2s --clients 7").unwrap();
        let plan = args.plan().unwrap();
        assert_eq!(plan.clients, 7);
        assert_eq!(plan.scenarios.map(|scenario| scenario.events), [6, 1200]);
        let polls = plan.ways.iter().filter_map(|way| way.interval());
        let polls: Vec<_> = polls.map(|interval| interval.as_millis()).collect();
        assert_eq!(polls, [500, 2000]);
        assert_eq!(plan.ways.len(), 6);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for line in [
            "--clients 0",
            "--clients 10001",
            "--sparse 0",
            "--frequent 1001",
            "--frequent nan",
            "--for 2h",
            "--for soon",
            "--size 44",
            "--poll 9ms",
            "--poll 61s",
            "--poll 10500us",
            "--poll 1s,,2s",
            "--svg",
        ] {
            assert!(parse(&format!("compare {line}")).is_err(), "{line}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for (line, reason) in [
            ("--sparse 20", "--sparse is to be less than --frequent"),
            ("--sparse 0.05", "there is none in 8s: a longer --for"),
            ("--for 20ms", "a higher --sparse"),
            ("--poll 1s,2s,3s,4s,5s,6s,7s", "6 times at most"),
            (
                "--frequent 1000 --size 1000000",
                "pile up between two polls",
            ),
        ] {
            let refused = parse(&format!("compare {line}")).unwrap().plan();
            let failure = refused.unwrap_err();
            assert_eq!(failure.code(), 2, "{line}");
            assert!(failure.to_string().contains(reason), "{failure}");
        }
    }
}
