//! `fourcast journal`: the journal on disk, for its operator: one file per command.

mod backup;
mod export;
mod inspect;
mod restore;
mod verify;

use super::config_file::ConfigFile;
use super::{Failure, say};
use crate::config::{Config, JournalKind};
use crate::journal::disk::{ArchiveError, Directory, OpenError, Verdict, Visitor};

const EXAMPLES: &str = "\
Examples:
  fourcast journal inspect                        what is in it, and how much room it takes
  fourcast journal backup /mnt/backup/events.db   a copy, made while the server runs
  fourcast journal verify                         is all of it as it was written?
  fourcast journal export 'rooms/**' > rooms.ndjson
  fourcast journal restore /mnt/backup/events.db  with the server stopped

All but restore only read, and run beside a server or without one.
'fourcast journal COMMAND --help' has more.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Copy the journal into one file, while the server runs or not
    Backup(backup::Args),
    /// Say what is in the journal, and how much room it takes
    Inspect(inspect::Args),
    /// Read all of the journal, and say what of it is not as it was written
    Verify(verify::Args),
    /// Print the events that are kept, one JSON object a line
    Export(export::Args),
    /// Make a backup the journal, with the server stopped
    Restore(restore::Args),
}

/// Does what was asked for. Blocks until it is done.
pub fn run(args: &Args) -> Result<(), Failure> {
    match &args.what {
        What::Backup(args) => backup::run(args),
        What::Inspect(args) => inspect::run(args),
        What::Verify(args) => verify::run(args),
        What::Export(args) => export::run(args),
        What::Restore(args) => restore::run(args),
    }
}

/// The journal that the configuration means, to be read.
fn open(file: &ConfigFile) -> Result<Visitor, Failure> {
    Ok(Visitor::open(&directory(&load(file)?)?)?)
}

fn load(file: &ConfigFile) -> Result<Config, Failure> {
    Ok(file.load()?.config)
}

/// Where the configuration keeps events on disk.
fn directory(config: &Config) -> Result<Directory, Failure> {
    match config.journal.kind {
        JournalKind::Disk => Ok(Directory::at(&config.journal.path)),
        JournalKind::Memory => Err(Failure::Config(
            "journal.kind is \"memory\", so no journal is on disk; --config names another configuration".to_owned(),
        )),
    }
}

/// How much is in a journal: `12 events in 3 channels, up to no3376n35s-14`.
fn amount(verdict: &Verdict) -> String {
    let head = verdict.head.map_or_else(
        || "none was published yet".to_owned(),
        |head| format!("up to {head}"),
    );
    let events = counted(verdict.events, "event");
    let channels = counted(verdict.channels, "channel");
    format!("{events} in {channels}, {head}")
}

fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Failure::Failed(error.to_string())
    }
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        Failure::Failed(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;
    use crate::config::Journal;

    #[test]
    fn an_export_takes_what_a_subscription_takes_and_nothing_else() {
        for (line, is_right) in [
            (&["", "export"][..], true),
            (&["", "export", "rooms/*,alerts"], true),
            (&["", "export", "rooms*"], false),
            (&["", "export", "--after", "no3376n35s-14"], true),
            (&["", "export", "--after", "14"], false),
        ] {
            assert_eq!(cli::parse::<Args>(line).is_ok(), is_right, "{line:?}");
        }
    }

    #[test]
    fn a_journal_in_memory_is_nothing_to_look_at() {
        let config = Config {
            journal: Journal {
                kind: JournalKind::Memory,
                ..Journal::default()
            },
            ..Config::default()
        };
        let failure = directory(&config).unwrap_err();
        assert_eq!(failure.code(), 78);
        assert!(failure.to_string().contains("\"memory\""), "{failure}");
    }
}
