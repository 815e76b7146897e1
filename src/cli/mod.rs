//! A person at a shell: one file per command.

mod failure;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser;

pub use failure::Failure;

const EXIT_CODES: &str = "\
Exit codes:
  0   it worked; for 'serve': it was asked to stop, and did
  1   it was tried and failed
  2   the command line is wrong
  69  the address cannot be bound, or the server not reached
  78  the configuration is wrong";

/// One server for live events: polling, long polling, Server-Sent Events and WebSocket, from one URL.
#[derive(Debug, Parser)]
#[command(name = "fourcast", version, after_help = EXIT_CODES)]
struct Cli {}

/// Runs the command that `args` (the program's name first) ask for, and says how it ended.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let outcome = match Cli::try_parse_from(args) {
        Ok(Cli {}) => Ok(()),
        Err(message) => return answer_clap(&message),
    };
    match outcome {
        Ok(()) | Err(Failure::Hangup) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody is left to be told when stderr is closed too.
            let _ = writeln!(io::stderr(), "fourcast: {failure}");
            failure.into()
        }
    }
}

/// Prints help and the version to stdout, and what is wrong with a command line to stderr.
fn answer_clap(message: &clap::Error) -> ExitCode {
    // `clap::Error::print` fails only with the stream that it writes to.
    let _ = message.print();
    ExitCode::from(u8::try_from(message.exit_code()).unwrap_or(2))
}

/// Writes to stdout and flushes; a reader that has gone ends the command quietly.
pub fn say(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(Failure::of_stdout)
}
