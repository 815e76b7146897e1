//! How a command ends: the exit codes that scripts and service managers may rely on.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// Why a command did not succeed. Each kind but [`Failure::Hangup`] has an exit code of its own and a
/// message for people, which says what to do and is printed once, to stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Whoever read stdout has gone (`fourcast subscribe chat | head -1`). That is how pipes end, so it
    /// is quiet and the exit code is 0.
    Hangup,
    /// 1: the command was understood and tried, and did not work.
    Failed(String),
    /// 2: the command line asks for something that does not exist or goes together with nothing.
    Usage(String),
    /// 69 (`EX_UNAVAILABLE` of sysexits.h): the address cannot be bound, the journal not opened, or the server not
    /// reached.
    Unavailable(String),
    /// 78 (`EX_CONFIG` of sysexits.h): the configuration is wrong; starting again will not help, so a
    /// service manager should not (systemd: `RestartPreventExitStatus=78`).
    Config(String),
}

impl Failure {
    /// What a failed write to stdout means.
    pub fn of_stdout(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::Hangup,
            _ => Failure::Failed(format!("cannot write to standard output: {error}")),
        }
    }

    /// The exit code as a number.
    pub const fn code(&self) -> u8 {
        match self {
            Failure::Hangup => 0,
            Failure::Failed(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Unavailable(_) => 69,
            Failure::Config(_) => 78,
        }
    }
}

impl From<Failure> for ExitCode {
    fn from(failure: Failure) -> Self {
        ExitCode::from(failure.code())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Hangup => f.write_str("standard output was closed"),
            Failure::Failed(message)
            | Failure::Usage(message)
            | Failure::Unavailable(message)
            | Failure::Config(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_gone_is_no_failure() {
        let failure = Failure::of_stdout(io::ErrorKind::BrokenPipe.into());
        assert_eq!((failure.code(), failure), (0, Failure::Hangup));
    }

    #[test]
    fn any_other_trouble_with_stdout_is_one() {
        assert_eq!(
            Failure::of_stdout(io::ErrorKind::StorageFull.into()).code(),
            1
        );
    }
}
