//! `fourcast journal verify`: whether all of the journal is as it was written.

use super::{Failure, amount, open, say};
use crate::cli::config_file::ConfigFile;
use crate::cli::progress::Progress;
use crate::journal::disk::Verdict;

const EXAMPLES: &str = "\
Examples:
  fourcast journal verify
  fourcast journal verify --config /srv/fourcast.toml || mail -s 'the journal is damaged' ops

Reads everything: the structure of the database, the checksum of each event, and whether events,
channels and lives fit together. Runs beside a server, whose write-ahead log grows meanwhile.
Changes nothing.

Exit codes: 0 all of it is sound, 1 something is not, or it cannot be read.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let journal = open(&args.config)?;
    let mut bar = None;
    let verdict = journal.verify(|checked, all| {
        let bar = bar.get_or_insert_with(|| Progress::new("verifying", all));
        bar.show(checked, format!("{checked} events"));
    })?;
    drop(bar);
    if verdict.is_sound() {
        return say(&format!("sound: {}\n", amount(&verdict)));
    }
    say(&listed(&verdict))?;
    let (file, count) = (journal.file().display(), count(&verdict));
    Err(Failure::Failed(format!(
        "{file} is damaged; problems: {count}"
    )))
}

fn listed(verdict: &Verdict) -> String {
    let mut lines = String::new();
    for problem in &verdict.problems {
        lines.push_str(problem);
        lines.push('\n');
    }
    match verdict.more {
        0 => lines,
        more => lines + &format!("and {more} more\n"),
    }
}

fn count(verdict: &Verdict) -> u64 {
    let listed = u64::try_from(verdict.problems.len()).unwrap_or(u64::MAX);
    listed.saturating_add(verdict.more)
}
