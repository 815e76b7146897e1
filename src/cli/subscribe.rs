//! `fourcast subscribe`: events as lines on standard output, over any of the five ways.

use std::time::{Duration, SystemTime};

use clap::builder::{PossibleValuesParser, TypedValueParser as _};

use super::remote::{self, Remote};
use super::{Failure, note, say};
use crate::client::{Item, Start, Subscription, Transport};
use crate::event::Cursor;

const EXAMPLES: &str = "\
Examples:
  fourcast subscribe chat                              what is published from now on
  fourcast subscribe 'rooms/*,alerts' --transport sse  several channels, over Server-Sent Events
  fourcast subscribe config --last 1 --count 1         the last value, and no more
  fourcast subscribe '**' --since 10m                  all of the last ten minutes, and what follows
  fourcast subscribe chat | jq -r .data                the payloads alone
  fourcast subscribe chat --token @key --url http://events.example.com   where a token or a key is needed

Prints one JSON object a line: events as the server sends them, and {\"op\":\"gap\",...} where events were
lost. When the connection is lost it comes back by itself, where it was, and says so on standard error.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Channels and patterns, separated by commas: * is one segment, a last ** is one or more
    selector: String,
    /// The way to receive
    #[arg(long, value_name = "WAY", default_value = "websocket", value_parser = transport())]
    transport: Transport,
    /// Begin behind this cursor (an event's id), or with 'earliest' or 'now'
    #[arg(long, value_name = "CURSOR", value_parser = after, conflicts_with_all = ["last", "since"])]
    after: Option<Start>,
    /// Begin so many events back in each channel
    #[arg(long, value_name = "N", conflicts_with = "since")]
    last: Option<usize>,
    /// Begin so long ago (10m), or at this Unix time (1795363629)
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Start>,
    /// End after so many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    #[command(flatten)]
    remote: Remote,
}

/// Prints events until `--count` is reached, the reader of standard output has gone, or the server
/// refuses for good. Blocks until then.
pub fn run(args: &Args) -> Result<(), Failure> {
    let mut subscription = args
        .remote
        .client()?
        .subscribe(&args.selector)
        .transport(args.transport)
        .after(args.start())
        .open()
        .map_err(|error| args.remote.failure(error))?;
    let printed = print(&mut subscription, args.count);
    subscription.close();
    printed
}

impl Args {
    fn start(&self) -> Start {
        let last = self.last.map(Start::Last);
        self.after.or(last).or(self.since).unwrap_or_default()
    }
}

fn print(subscription: &mut Subscription, count: Option<u64>) -> Result<(), Failure> {
    let mut events = 0u64;
    while count.is_none_or(|count| events < count) {
        let Some(item) = subscription.next() else {
            break;
        };
        match item? {
            Item::Event(event) => {
                say(&format!("{}\n", event.to_json()))?;
                events += 1;
            }
            Item::Gap(gap) => {
                say(&format!("{}\n", gap.to_json()))?;
                note(&format!("events were lost ({})", gap.reason));
            }
            Item::Connected => note(&format!("connected by {}", subscription.transport())),
            Item::Disconnected { error, retry_in } => {
                let seconds = retry_in.as_secs_f32();
                note(&format!("{error}; coming back in {seconds:.1} s"));
            }
        }
    }
    Ok(())
}

pub(super) fn transport() -> impl clap::builder::TypedValueParser<Value = Transport> {
    PossibleValuesParser::new(Transport::ALL.map(Transport::name))
        .try_map(|name| name.parse::<Transport>())
}

fn after(text: &str) -> Result<Start, String> {
    match text {
        "now" => Ok(Start::Now),
        "earliest" => Ok(Start::Earliest),
        _ => Cursor::parse(text)
            .map(Start::Cursor)
            .ok_or_else(|| "an event's id, 'earliest' or 'now'".to_owned()),
    }
}

/// A bare number is a time, as in the URL; with a unit it is a span.
fn since(text: &str) -> Result<Start, String> {
    let Ok(seconds) = text.parse() else {
        return remote::duration(text).map(Start::Ago);
    };
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_secs(seconds))
        .map(Start::Since)
        .ok_or_else(|| "a Unix time in seconds, or a time such as 10m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        cli::parse(line.split(' '))
    }

    #[test]
    fn a_line_says_where_to_begin_and_by_which_way() {
        for (line, start, transport) in [
            ("subscribe chat", Start::Now, Transport::WebSocket),
            (
                "subscribe a --last 3 --transport sse",
                Start::Last(3),
                Transport::Sse,
            ),
            (
                "subscribe a --after earliest --transport long-poll",
                Start::Earliest,
                Transport::LongPoll,
            ),
            (
                "subscribe a --since 2m --transport poll",
                Start::Ago(Duration::from_secs(120)),
                Transport::Poll,
            ),
            (
                "subscribe a --since 5 --transport ndjson",
                Start::Since(SystemTime::UNIX_EPOCH + Duration::from_secs(5)),
                Transport::Ndjson,
            ),
            (
                "subscribe a --after 0000000001-7",
                Start::Cursor(Cursor::parse("0000000001-7").unwrap()),
                Transport::WebSocket,
            ),
        ] {
            let args = parse(line).unwrap();
            assert_eq!((args.start(), args.transport), (start, transport), "{line}");
        }
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for line in [
            "subscribe",
            "subscribe a --after nonsense",
            "subscribe a --last 1 --since 1m",
            "subscribe a --after now --last 1",
            "subscribe a --transport carrier-pigeon",
            "subscribe a --count 0",
            "subscribe a --since soon",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
