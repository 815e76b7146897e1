//! `fourcast bench`: how much a server carries, how fast, and what that costs it, measured where it runs.

mod measurement;
mod reckoning;
mod report;
mod subscribers;
mod target;
mod watch;

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Failure, remote, say, subscribe};
use crate::cli::load::arguments::{at_most, count};
use crate::cli::load::mark;
use crate::cli::load::own_journal::OwnJournal;
use crate::cli::load::publishers::{Extent, Work};
use crate::cli::load::room::make_room;
use crate::cli::load::signals::take_signals;
use crate::client::Transport;
use measurement::Measurement;
use report::Report;
use target::{ChannelUrl, Running, Target};

const EXAMPLES: &str = "\
Examples:
  fourcast bench                                          a server of its own, 1000 subscribers, 10 s
  fourcast bench --subscribers 10000 --rate 2             many who listen, little that is said
  fourcast bench --subscribers 500 --rate max --publishers 4
  fourcast bench --way websocket --stalled 10             do ten who never read harm the others?
  fourcast bench --journal always --rate max --publishers 16 --subscribers 1
                                                          how many a second are on disk when acknowledged?
  fourcast bench --rate 2000 --pause 2s                   all fall behind at once, and catch up
  fourcast bench http://127.0.0.1:8080/bench --pid $(pgrep -x fourcast)
  fourcast bench http://127.0.0.1:8091/sub/chat --publish-to http://127.0.0.1:8091/pub/chat \\
    --pid $(pgrep -d, -x nginx)                           another server, with its workers
  fourcast bench --json | jq .delay_us.p99

Without a URL it starts a server with the built-in defaults (and a longer history), for itself alone;
config.toml and FOURCAST_... variables do not count for that one. A delivery is one event to one subscriber;
its delay runs from before the publisher's send to after the subscriber's read. The server's CPU time
includes what publishing takes; its memory (PSS) leaves out what the kernel buffers for sockets.
Whoever measures on one machine shares it between the server and this program.

Exit codes: 0 everything arrived once and in order, 1 something was lost, came twice or out of order.";

/// How long a publisher's connection may rest: for less than any usual server keeps it open.
const RENEW_AFTER: Duration = Duration::from_secs(5);
/// The longest time of anything that was asked for.
const LONGEST_SPAN: Duration = Duration::from_secs(24 * 3600);
/// The longest time between two polls: beyond it a server closes the connection (timeouts.idle).
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The URL of a channel, such as http://127.0.0.1:8080/bench; without it, a server is started
    #[arg(value_parser = ChannelUrl::parse)]
    url: Option<ChannelUrl>,
    /// The way to receive
    #[arg(long, alias = "transport", value_name = "WAY", default_value = "sse", value_parser = subscribe::transport())]
    way: Transport,
    /// Subscribers, each with a connection
    #[arg(long, value_name = "N", default_value = "1000", value_parser = count(1, 1_000_000))]
    subscribers: usize,
    /// Publishers, each with a connection
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=1000))]
    publishers: u16,
    /// Events a second of all publishers together, or 'max': each publishes when its last is acknowledged
    #[arg(long, value_name = "EVENTS_PER_SECOND", default_value = "20", value_parser = rate)]
    rate: Rate,
    /// Bytes of each payload
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = count(mark::WIDTH as u64, 1 << 20))]
    size: usize,
    /// Events in one request
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
    /// How long to publish
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = span)]
    time: Duration,
    /// Publish so many events, however long it takes
    #[arg(long, value_name = "N", conflicts_with = "time", value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    events: Option<u64>,
    /// Further subscribers that never read; only on the ways that stream
    #[arg(long, value_name = "N", default_value = "0", value_parser = count(0, 1_000_000))]
    stalled: usize,
    /// In the middle, no subscriber reads for so long
    #[arg(long, value_name = "TIME", value_parser = span)]
    pause: Option<Duration>,
    /// The time between two polls
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// How long to wait for what is missing, since the last that came
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = span)]
    patience: Duration,
    /// Threads that read for the subscribers
    #[arg(long, value_name = "N", default_value = "1", value_parser = count(1, 64))]
    threads: usize,
    /// Where the server that is started keeps events; all but 'memory' take a directory within the working
    /// directory, which is removed at the end
    #[arg(
        long,
        value_name = "KIND",
        default_value = "memory",
        conflicts_with = "url"
    )]
    journal: OwnJournal,
    /// Where to publish, when that is not at URL, as with other servers; for --way sse and websocket
    #[arg(long, value_name = "URL", requires = "url", value_parser = ChannelUrl::parse)]
    publish_to: Option<ChannelUrl>,
    /// The server's process on this machine, whose CPU time and memory are measured; several are summed up
    #[arg(
        long = "pid",
        value_name = "PID",
        requires = "url",
        value_delimiter = ','
    )]
    pids: Vec<u32>,
    /// A header field for every request; may be given more than once
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = remote::field)]
    headers: Vec<(String, String)>,
    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
}

/// Measures, and prints what was found. Blocks for the time asked for, and until all has arrived.
pub fn run(args: &Args) -> Result<(), Failure> {
    args.check()?;
    let interrupted = take_signals()?;
    make_room(args.connections())?;
    let target = Target::find(
        args.running(),
        &args.headers,
        args.connections(),
        args.journal,
    )?;
    let report = Measurement::of(args, &target, &interrupted).take()?;
    drop(target);
    say(&match args.json {
        true => report
            .to_json()
            .map_err(|error| Failure::Failed(error.to_string()))?,
        false => report.to_string(),
    })?;
    verdict(&report)
}

fn verdict(report: &Report) -> Result<(), Failure> {
    match report.is_flawless() {
        true => Ok(()),
        false => Err(Failure::Failed(format!(
            "{} deliveries were lost, {} came twice, {} out of order",
            report.losses, report.duplicates, report.out_of_order
        ))),
    }
}

impl Args {
    fn check(&self) -> Result<(), Failure> {
        let streams = !matches!(self.way, Transport::LongPoll | Transport::Poll);
        if self.stalled > 0 && !streams {
            return Err(Failure::Usage(
                "--stalled is for ways that stream: sse, websocket, ndjson".to_owned(),
            ));
        }
        let is_standard = matches!(self.way, Transport::Sse | Transport::WebSocket);
        if self.publish_to.is_some() && (self.batch > 1 || !is_standard) {
            return Err(Failure::Usage(
                "--publish-to is for --way sse and websocket, and without --batch: other servers do not \
                 know how fourcast polls, streams NDJSON and takes batches"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// The server that is named; `None`: one is to be started.
    fn running(&self) -> Option<Running<'_>> {
        Some(Running {
            url: self.url.as_ref()?,
            publish_to: self.publish_to.as_ref(),
            pids: &self.pids,
        })
    }

    /// The journal of a server that is started.
    fn own_journal(&self) -> Option<OwnJournal> {
        self.url.is_none().then_some(self.journal)
    }

    fn connections(&self) -> usize {
        let subscribers = self.subscribers.saturating_add(self.stalled);
        subscribers.saturating_add(self.publishers.into())
    }

    fn work(&self, target: &Target) -> Work {
        Work {
            channel: target.publish.channel.clone(),
            publishers: self.publishers,
            size: self.size,
            batch: self.batch,
            rate: match self.rate {
                Rate::Max => None,
                Rate::PerSecond(events) => Some(events),
            },
            extent: match self.events {
                Some(events) => Extent::Events(events),
                None => Extent::Time(self.time),
            },
            renew_after: Some(RENEW_AFTER),
        }
    }
}

/// How fast events are to be published.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Rate {
    Max,
    PerSecond(f64),
}

fn rate(text: &str) -> Result<Rate, String> {
    const POSSIBLE: RangeInclusive<f64> = 0.001..=1e7;
    match text.parse() {
        _ if text == "max" => Ok(Rate::Max),
        Ok(events) if POSSIBLE.contains(&events) => Ok(Rate::PerSecond(events)),
        _ => Err("a number of events a second, from 0.001 to 10000000, or 'max'".to_owned()),
    }
}

fn span(text: &str) -> Result<Duration, String> {
    at_most(LONGEST_SPAN, text)
}

fn interval(text: &str) -> Result<Duration, String> {
    at_most(LONGEST_INTERVAL, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        cli::parse(line.split(' '))
    }

    #[test]
    fn a_line_says_who_publishes_what_to_whom() {
        let args = parse("bench --way long-poll --rate 0.5 --for 2m --stalled 3").unwrap();
        assert_eq!(args.way, Transport::LongPoll);
        assert_eq!(args.rate, Rate::PerSecond(0.5));
        assert_eq!(args.time, Duration::from_secs(120));
        assert_eq!(args.connections(), 1004);
        let args = parse("bench http://localhost/a --pid 7 --rate max --events 5").unwrap();
        assert_eq!((args.rate, args.events), (Rate::Max, Some(5)));
        assert!(args.url.is_some() && args.pids == [7]);
    }

    #[test]
    fn processes_are_a_list_or_named_one_by_one() {
        for line in [
            "--pid 1,2,3",
            "--pid 1 --pid 2,3",
            "--pid 1 --pid 2 --pid 3",
        ] {
            let args = parse(&format!("bench http://localhost/a {line}")).unwrap();
            assert_eq!(args.pids, [1, 2, 3], "{line}");
        }
        assert!(parse("bench http://localhost/a --pid 1,,2").is_err());
    }

    #[test]
    fn another_server_is_published_to_by_what_it_may_know() {
        let check = |line| {
            let named = "bench http://localhost/sub/a --publish-to http://localhost/pub/a";
            parse(&format!("{named} {line}")).unwrap().check()
        };
        for line in ["--way sse", "--way websocket --stalled 1", "--batch 1"] {
            assert_eq!(check(line), Ok(()), "{line}");
        }
        for line in ["--way ndjson", "--way poll", "--way long-poll", "--batch 2"] {
            assert!(check(line).is_err(), "{line}");
        }
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        for line in [
            "bench http://localhost",
            "bench --pid 7",
            "bench --publish-to http://localhost/a",
            "bench --journal sometimes",
            "bench http://localhost/a --journal always",
            "bench --way carrier-pigeon",
            "bench --subscribers 0",
            "bench --size 44",
            "bench --rate 0",
            "bench --rate nan",
            "bench --rate -1",
            "bench --for 2d",
            "bench --for 18446744073709551615",
            "bench --for 1s --events 5",
            "bench --interval 61s",
            "bench --batch 0",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
