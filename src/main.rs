//! argv in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    fourcast::cli::run(std::env::args_os())
}
