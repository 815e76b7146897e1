//! `fourcast print`: what is built in, to be kept and changed.

use super::{Failure, say};

const CONFIG: &str = include_str!("../../config.toml");

const EXAMPLES: &str = "\
Examples:
  fourcast print config > config.toml     begin with a file that explains every key";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// The commented configuration, every key with its default
    #[command(after_help = EXAMPLES)]
    Config,
}

/// Writes to stdout what was asked for.
pub fn run(args: &Args) -> Result<(), Failure> {
    match args.what {
        What::Config => say(CONFIG),
    }
}
