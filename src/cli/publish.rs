//! `fourcast publish`: one event from the command line, or one for each line that comes in.

use std::io::{self, BufRead, Read};
use std::time::Duration;

use super::remote::{self, Remote};
use super::{Failure, say};
use crate::client::{Client, Message};

const EXAMPLES: &str = "\
Examples:
  fourcast publish chat 'hello, world'
  fourcast publish rooms/42 --json '{\"temperature\": 21.5}' --type reading
  tail -F /var/log/syslog | fourcast publish logs/syslog --ttl 1h
  fourcast publish jobs --key order-4711 'ship it'     repeated after a lost connection, arrives once
  curl -d 'hello, world' http://127.0.0.1:8080/chat    the same as the first, without this command

Prints the id of each event, one a line, when the server has it.";

/// The longest line of the input, in bytes; a server takes less unless it was told otherwise.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The channel, such as chat or rooms/42
    channel: String,
    /// The event's payload; without it, each line of standard input becomes an event
    data: Option<String>,
    /// The payload is JSON
    #[arg(long, conflicts_with = "content_type")]
    json: bool,
    /// The payload's media type, such as text/markdown
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// The event's type
    #[arg(long = "type", value_name = "NAME")]
    kind: Option<String>,
    /// How long the event is kept, such as 90s or 10m; 0: delivered to those who listen, and not kept
    #[arg(long, value_name = "TIME", value_parser = remote::duration)]
    ttl: Option<Duration>,
    /// The key by which the server knows a repeated publication again
    #[arg(long, requires = "data")]
    key: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

/// Publishes what `args` and standard input hold. Blocks until the server has the last of it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let client = args.remote.client()?;
    if let Some(data) = &args.data {
        return args.publish(&client, data.clone().into_bytes());
    }
    let mut input = io::stdin().lock();
    while let Some(line) = next_line(&mut input)? {
        args.publish(&client, line)?;
    }
    Ok(())
}

impl Args {
    fn publish(&self, client: &Client, payload: Vec<u8>) -> Result<(), Failure> {
        let published = client.publish(&self.message(payload));
        let receipt = published.map_err(|error| self.remote.failure(error))?;
        say(&format!("{}\n", receipt.id))
    }

    fn message(&self, payload: Vec<u8>) -> Message {
        let channel = self.channel.as_str();
        let mut message = match String::from_utf8(payload) {
            Ok(json) if self.json => Message::json(channel, json),
            Ok(text) => Message::text(channel, text),
            Err(error) => Message::bytes(channel, error.into_bytes()),
        };
        if let Some(media_type) = &self.content_type {
            message = message.content_type(media_type);
        }
        if let Some(kind) = &self.kind {
            message = message.kind(kind);
        }
        if let Some(ttl) = self.ttl {
            message = message.ttl(ttl);
        }
        if let Some(key) = &self.key {
            message = message.idempotency_key(key);
        }
        message
    }
}

/// The next line without its end; `None` at the end of the input.
fn next_line(input: &mut impl BufRead) -> Result<Option<Vec<u8>>, Failure> {
    let mut line = Vec::new();
    let read = input.take(LONGEST_LINE).read_until(b'\n', &mut line);
    match read {
        Ok(0) => return Ok(None),
        Ok(_) => {}
        Err(error) => return Err(Failure::Failed(format!("cannot read the input: {error}"))),
    }
    if line.pop_if(|byte| *byte == b'\n').is_some() {
        line.pop_if(|byte| *byte == b'\r');
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_an_event_with_or_without_a_last_line_end() {
        let mut input = b"one\r\n\ntwo\nthree".as_slice();
        let lines: Vec<_> = std::iter::from_fn(|| next_line(&mut input).unwrap()).collect();
        assert_eq!(lines, [&b"one"[..], b"", b"two", b"three"]);
    }
}
