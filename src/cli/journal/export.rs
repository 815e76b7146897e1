//! `fourcast journal export`: the events that are kept, as lines.

use std::io::{self, Write as _};

use super::{Failure, open};
use crate::cli::config_file::ConfigFile;
use crate::event::{Cursor, Id};
use crate::hub::selector::{Selector, SelectorError};

const EXAMPLES: &str = "\
Examples:
  fourcast journal export > events.ndjson                  everything that is kept
  fourcast journal export 'rooms/*,alerts' | jq -r .data
  fourcast journal export --after no3376n35s-1204          what came after this event
  fourcast journal export | split -l 1000 --filter='curl --data-binary @- \\
    -H \"Content-Type: application/x-ndjson\" http://127.0.0.1:9000/-/publish'

The last one publishes all of it to another server, in batches as large as limits.batch_events
allows by default: there the events get ids and times of their own, and no time to live. Each line
is an event as subscribers get it. They come in the order of their ids, up to the newest at the
start. Runs beside a server without holding it up.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Channels and patterns, separated by commas: * is one segment, a last ** is one or more
    #[arg(default_value = "**", value_parser = selectors)]
    selector: Selectors,
    /// Leave out events up to this one's id, or this cursor
    #[arg(long, value_name = "ID", value_parser = cursor)]
    after: Option<Cursor>,
    #[command(flatten)]
    config: ConfigFile,
}

/// A list of selectors. (A `Vec` would be an argument that may come several times.)
#[derive(Debug, Clone)]
struct Selectors(Vec<Selector>);

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let journal = open(&args.config)?;
    let mut export = journal.export(args.selector.0.clone())?;
    if let Some(cursor) = args.after {
        if !export.begin_after(cursor) {
            return Err(Failure::Failed(format!(
                "this journal does not know {cursor}"
            )));
        }
        if export.is_incomplete() {
            // Nobody is left to be told when stderr is closed.
            let _ = writeln!(
                io::stderr(),
                "fourcast: events after {cursor} are missing: retention or DELETE took them"
            );
        }
    }
    let mut stdout = io::stdout().lock();
    while let Some(lines) = export.next_page()? {
        stdout.write_all(&lines).map_err(Failure::of_stdout)?;
    }
    stdout.flush().map_err(Failure::of_stdout)
}

fn selectors(list: &str) -> Result<Selectors, SelectorError> {
    let selectors = list.split(',').map(str::parse);
    Ok(Selectors(selectors.collect::<Result<_, _>>()?))
}

fn cursor(text: &str) -> Result<Cursor, &'static str> {
    Id::parse(text).ok_or("not an id or cursor, such as no3376n35s-14")
}
