//! `fourcast journal inspect`: what is in the journal, and how much room it takes.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use bytesize::ByteSize;
use serde_json::{Value, json};

use super::{Failure, counted, directory, load, say};
use crate::cli::config_file::ConfigFile;
use crate::journal::disk::{InspectedChannel, InspectedLife, Inspection, Visitor};

const EXAMPLES: &str = "\
Examples:
  fourcast journal inspect
  fourcast journal inspect --json | jq '.largest_channels[].name'

What the lines mean:
  journal      the database, and the format of what is in it
  on disk      its bytes; those of the write-ahead log, not brought into it yet; pages that are free
  head         the newest event, whether it is kept or not
  events       those that are kept; the server takes the rows of others away by and by
  weight       what events count for journal.max_bytes and max_bytes of their channels
  lives        each start of the server begins one; the newest ten, each with its last cursor
  channels     the ten whose events weigh most";

/// The first moment, in milliseconds, that is not written with four digits of the year.
const YEAR_10000: u64 = 253_402_300_800_000;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Print one JSON object instead; times are in milliseconds since 1970
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = load(&args.config)?;
    let inspection = Visitor::open(&directory(&config)?)?.inspect()?;
    let most = config.journal.max_bytes;
    match args.json {
        true => say(&format!("{}\n", object(&inspection, most))),
        false => say(&page(&inspection, most)),
    }
}

fn page(seen: &Inspection, most: usize) -> String {
    let size = |bytes| ByteSize(bytes).to_string();
    let mut page = String::new();
    let mut line = |name: &str, value: String| {
        // Writing into a String cannot fail.
        let _ = writeln!(page, "{name:<10} {value}");
    };
    let (file, format) = (seen.file.display(), seen.format);
    line("journal", format!("{file}, format {format}"));
    let (database, log) = (size(seen.database_bytes), size(seen.log_bytes));
    let (free, pages, length) = (seen.free_pages, seen.pages, size(seen.page_bytes));
    line(
        "on disk",
        format!("{database}, write-ahead log {log}; {free} of {pages} pages of {length} are free"),
    );
    let head = seen.head.map(|head| head.to_string());
    line("head", head.unwrap_or_else(|| "none yet".to_owned()));
    let (events, channels, unswept) = (seen.events, seen.channels, seen.unswept);
    line(
        "events",
        format!(
            "{events} in {}; rows still to be swept: {unswept}",
            counted(channels, "channel")
        ),
    );
    let most = size(u64::try_from(most).unwrap_or(u64::MAX));
    line("weight", format!("{} of {most}", size(seen.bytes)));
    if let (Some(oldest), Some(newest)) = (seen.oldest, seen.newest) {
        line("time", format!("{} to {}", moment(oldest), moment(newest)));
    }
    line("keys", format!("{} remembered", seen.keys));
    line("lives", seen.lives.to_string());
    seen.newest_lives
        .iter()
        .for_each(|life| line("", of_life(life)));
    line("channels", channels.to_string());
    seen.largest_channels
        .iter()
        .for_each(|channel| line("", of_channel(channel)));
    page
}

fn of_life(life: &InspectedLife) -> String {
    let (number, end) = (life.number, life.end);
    match life.last_time {
        0 => format!("{number}: {end}"),
        time => format!("{number}: {end}, {}", moment(time)),
    }
}

fn of_channel(channel: &InspectedChannel) -> String {
    let (name, bytes) = (&channel.name, ByteSize(channel.bytes));
    let events = counted(channel.events, "event");
    match channel.lost_through {
        0 => format!("{name}: {events}, {bytes}"),
        lost => format!("{name}: {events}, {bytes}, lost through {lost}"),
    }
}

fn moment(millis: u64) -> String {
    match UNIX_EPOCH.checked_add(Duration::from_millis(millis)) {
        Some(time) if millis < YEAR_10000 => humantime::format_rfc3339_millis(time).to_string(),
        _ => format!("{millis} ms after 1970"),
    }
}

fn object(seen: &Inspection, most: usize) -> Value {
    let life = |life: &InspectedLife| {
        json!({
            "number": life.number,
            "end": life.end.to_string(),
            "last_time": life.last_time,
        })
    };
    let channel = |channel: &InspectedChannel| {
        json!({
            "name": channel.name.as_str(),
            "events": channel.events,
            "bytes": channel.bytes,
            "lost_through": channel.lost_through,
        })
    };
    json!({
        "file": seen.file.to_string_lossy(),
        "format": seen.format,
        "database_bytes": seen.database_bytes,
        "log_bytes": seen.log_bytes,
        "page_bytes": seen.page_bytes,
        "pages": seen.pages,
        "free_pages": seen.free_pages,
        "head": seen.head.map(|head| head.to_string()),
        "channels": seen.channels,
        "events": seen.events,
        "bytes": seen.bytes,
        "max_bytes": most,
        "oldest": seen.oldest,
        "newest": seen.newest,
        "unswept": seen.unswept,
        "keys": seen.keys,
        "lives": seen.lives,
        "newest_lives": seen.newest_lives.iter().map(life).collect::<Vec<_>>(),
        "largest_channels": seen.largest_channels.iter().map(channel).collect::<Vec<_>>(),
    })
}
