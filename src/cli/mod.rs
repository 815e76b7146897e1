//! A person at a shell: one file per command.

mod bench;
mod check;
mod compare;
mod config_file;
mod failure;
mod journal;
mod key;
mod load;
mod logger;
mod print;
mod progress;
mod publish;
mod remote;
mod rights;
mod serve;
mod subscribe;
mod token;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use failure::Failure;

const EXIT_CODES: &str = "\
Examples:
  fourcast                                serve on 127.0.0.1:8080, without any file
  fourcast print config > config.toml     a configuration that explains itself
  fourcast subscribe chat                 prints what is published to 'chat'
  fourcast publish chat hello             publishes to it
  fourcast check                          is it right, and how large may it be here?
  fourcast bench                          how much does it carry here, how fast, at what cost?
  fourcast compare                        how much does each way take for the same events?
  fourcast journal backup FILE            all events in one file, while the server runs
  fourcast key new backend --publish '**' an API key, and the lines that let it in
  fourcast token inspect < token.txt      what is in a token, and does it count here?

Exit codes:
  0   it worked; for 'serve': it was asked to stop, and did
  1   it was tried and failed
  2   the command line is wrong
  69  the address cannot be bound, the journal not opened, or the server not reached
  78  the configuration is wrong";

/// One server for live events: polling, long polling, Server-Sent Events and WebSocket, from one URL.
#[derive(Debug, Parser)]
#[command(name = "fourcast", version, after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Args,
}

/// What can be asked for; without any, `serve`.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server until SIGTERM or Ctrl-C; the same as no command at all
    Serve(serve::Args),
    /// Publish one event, or every line of the standard input
    Publish(publish::Args),
    /// Print events as they come, one JSON object a line
    Subscribe(subscribe::Args),
    /// Say whether the configuration is right, and how many connections this host really allows
    Check(check::Args),
    /// Measure a server, running or started for it: deliveries, delays, CPU time, memory
    Bench(bench::Args),
    /// Compare the ways under the same events: requests, bytes, CPU time, delay
    Compare(compare::Args),
    /// Back up, inspect, verify, export or restore the journal on disk
    Journal(journal::Args),
    /// Make an API key for a backend or a device
    Key(key::Args),
    /// Make a token, or say what is in one
    Token(token::Args),
    /// Print what is built in, such as a configuration to begin with
    Print(print::Args),
}

/// Runs the command that `args` (the program's name first) ask for, and says how it ended.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let outcome = match Cli::try_parse_from(args) {
        Err(message) => return answer_clap(&message),
        Ok(Cli { command, serve }) => obey(command.unwrap_or(Command::Serve(serve))),
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

fn obey(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(args) => serve::run(&args),
        Command::Publish(args) => publish::run(&args),
        Command::Subscribe(args) => subscribe::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Journal(args) => journal::run(&args),
        Command::Key(args) => key::run(&args),
        Command::Token(args) => token::run(&args),
        Command::Print(args) => print::run(&args),
    }
}

/// Prints help and the version to stdout, and what is wrong with a command line to stderr.
fn answer_clap(message: &clap::Error) -> ExitCode {
    // It fails only with the stream that it writes to, and a reader that has gone is no failure.
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

/// Tells a person something on stderr; when nobody reads it, the command still goes on.
fn note(text: &str) {
    let _ = writeln!(io::stderr(), "fourcast: {text}");
}

/// The arguments of a command, from a line that begins with its name.
#[cfg(test)]
fn parse<A: clap::Args>(
    line: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<A, clap::Error> {
    let command = A::augment_args(clap::Command::new("fourcast"));
    A::from_arg_matches(&command.try_get_matches_from(line)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_is_serve() {
        let cli = Cli::try_parse_from(["fourcast", "--config", "x.toml"]).unwrap();
        assert!(cli.command.is_none());
        let cli = Cli::try_parse_from(["fourcast", "serve", "--config", "x.toml"]).unwrap();
        assert!(matches!(cli.command, Some(Command::Serve(_))));
    }

    #[test]
    fn every_command_teaches_by_example() {
        teaches(&Cli::command());
    }

    fn teaches(command: &clap::Command) {
        let help = command.get_after_help().map(ToString::to_string);
        let has_examples = help.is_some_and(|help| help.contains("Examples:"));
        assert!(has_examples, "{}", command.get_name());
        command.get_subcommands().for_each(teaches);
    }
}
