//! `fourcast journal backup`: all of the journal in one file.

use std::path::PathBuf;

use super::{Failure, amount, open, say};
use crate::cli::config_file::ConfigFile;
use crate::journal::disk;

const EXAMPLES: &str = "\
Examples:
  fourcast journal backup /mnt/backup/events.db
  fourcast journal backup --force /mnt/backup/events-$(date +%a).db    one for each day of the week

The file holds the journal as it is at one moment, whatever the server writes meanwhile. It is
checked, and has its name only when all of it is on the disk. A damaged journal is not copied, and
an older backup stays then. Only its owner may read it.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The file that the copy is written to, outside the journal's directory
    file: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let journal = open(&args.config)?;
    let archived = disk::back_up(&journal, &args.file, args.force)?;
    let (file, bytes) = (archived.file.display(), archived.bytes);
    let amount = amount(&archived.verdict);
    say(&format!("wrote {file}: {amount}, {bytes} bytes\n"))
}
