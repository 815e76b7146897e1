//! `fourcast journal restore`: a backup becomes the journal.

use std::path::PathBuf;

use super::{Failure, amount, directory, load, say};
use crate::cli::config_file::ConfigFile;
use crate::hub::random;
use crate::journal::disk;

const EXAMPLES: &str = "\
Examples:
  fourcast journal restore /mnt/backup/events.db              where there is no journal
  fourcast journal restore --replace /mnt/backup/events.db    the one that is there is set aside

The server must not run. The backup is checked before anything is changed, and stays where it is.
A new life begins in the journal: clients that have seen events from after the backup are told a gap
when they come back.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The backup, as 'fourcast journal backup' wrote it
    file: PathBuf,
    /// Rename the journal that is there, and keep it
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let directory = directory(&load(&args.config)?)?;
    let restored = disk::restore(&directory, &args.file, args.replace, random())?;
    let (file, backup) = (restored.file.display(), args.file.display());
    let amount = amount(&restored.verdict);
    let mut told = format!("restored {file} from {backup}: {amount}\n");
    if let Some(aside) = &restored.set_aside {
        told.push_str(&format!(
            "the journal that was there is now {}\n",
            aside.display()
        ));
    }
    say(&told)
}
