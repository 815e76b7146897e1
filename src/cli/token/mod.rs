//! `fourcast token`: tokens are made and explained: one file per command.

mod inspect;
mod new;

use super::Failure;

const EXAMPLES: &str = "\
Examples:
  fourcast token new --subject ana --subscribe 'rooms/*' --publish rooms/42
  fourcast token new --subject ana --subscribe '**' | fourcast token inspect

'fourcast token COMMAND --help' has more.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make a token
    New(new::Args),
    /// Say what is in a token, and whether the configuration accepts it
    Inspect(inspect::Args),
}

/// Does what was asked for.
pub fn run(args: &Args) -> Result<(), Failure> {
    match &args.what {
        What::New(args) => new::run(args),
        What::Inspect(args) => inspect::run(args),
    }
}
