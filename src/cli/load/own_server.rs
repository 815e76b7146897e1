//! The server that a measuring command starts for itself: this very program, with a configuration of its own, whatever
//! lies in the working directory or stands in the environment.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::own_journal::{OwnDirectory, OwnJournal};
use crate::cli::Failure;

/// How long a server may take until it says where it listens.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// The most bytes of its greeting.
const MAX_GREETING: usize = 16 * 1024;

/// A running server; dropping it ends it. Nobody needs what it has on disk, so it is killed rather than asked.
pub(in crate::cli) struct OwnServer {
    child: Child,
    /// Where it listens.
    pub(in crate::cli) address: SocketAddr,
    /// Removed when the server has ended.
    _directory: Option<OwnDirectory>,
}

impl OwnServer {
    /// Starts a server for so many connections, which keeps events in `journal`. Blocks until it listens, for
    /// [`START_TIMEOUT`] at most.
    pub(in crate::cli) fn start(connections: usize, journal: OwnJournal) -> Result<Self, Failure> {
        let mut server = Self::launch(&configuration(connections, journal), journal)
            .map_err(|error| cannot_start(&error.to_string()))?;
        server.address = server.greeting()?;
        Ok(server)
    }

    fn launch(configuration: &str, journal: OwnJournal) -> io::Result<Self> {
        let directory = journal.directory()?;
        let mut server = OwnServer {
            child: spawn(directory.as_ref())?,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            _directory: directory,
        };
        let input = server.child.stdin.take();
        let mut input = input.ok_or(io::ErrorKind::BrokenPipe)?;
        input.write_all(configuration.as_bytes())?;
        Ok(server)
    }

    /// The number of its process.
    pub(in crate::cli) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Reads its first lines up to the one with the address.
    fn greeting(&mut self) -> Result<SocketAddr, Failure> {
        let output = self.child.stdout.as_mut();
        let output = output.ok_or_else(|| cannot_start("it has no output"))?;
        let deadline = Instant::now() + START_TIMEOUT;
        let mut greeting = Vec::new();
        while greeting.len() < MAX_GREETING {
            let length = read_before(deadline, output, &mut greeting)
                .map_err(|error| cannot_start(&error.to_string()))?;
            if length == 0 {
                return Err(cannot_start("it ended at once; see above"));
            }
            if let Some(address) = address_in(&String::from_utf8_lossy(&greeting)) {
                return Ok(address);
            }
        }
        Err(cannot_start("it does not say where it listens"))
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, and need not be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn cannot_start(why: &str) -> Failure {
    Failure::Unavailable(format!("cannot start a server to measure: {why}"))
}

fn spawn(directory: Option<&OwnDirectory>) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FOURCAST_") {
            command.env_remove(name);
        }
    }
    if let Some(directory) = directory {
        // A path may be anything, also what a configuration file cannot hold.
        command.env("FOURCAST_JOURNAL__PATH", directory.path());
    }
    command
        .args(["serve", "--config", "/dev/stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
}

/// The defaults, but for the ports, room for all connections, an end of kept ones that is beyond every pause of a
/// publisher, and the journal, with enough history that subscribers who fall behind lose nothing.
fn configuration(connections: usize, journal: OwnJournal) -> String {
    let journal = journal.keys();
    format!(
        "listen = \"127.0.0.1:0\"\n\
         [admin]\n\
         listen = \"off\"\n\
         [limits]\n\
         connections = {connections}\n\
         [timeouts]\n\
         idle = \"1h\"\n\
         [journal]\n\
         {journal}\n\
         max_bytes = \"512 MiB\"\n\
         [[channels]]\n\
         pattern = \"**\"\n\
         max_events = 1000000\n\
         max_bytes = \"512 MiB\"\n\
         [log]\n\
         level = \"warn\"\n"
    )
}

/// Appends what there is to read; 0 bytes at the end.
fn read_before(
    deadline: Instant,
    output: &mut ChildStdout,
    greeting: &mut Vec<u8>,
) -> io::Result<usize> {
    let left = deadline.saturating_duration_since(Instant::now());
    let left: Timespec = left.try_into().unwrap_or_default();
    if poll(&mut [PollFd::new(output, PollFlags::IN)], Some(&left))? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let mut piece = [0; 1024];
    let length = output.read(&mut piece)?;
    greeting.extend_from_slice(piece.get(..length).unwrap_or_default());
    Ok(length)
}

/// The address in a greeting, once its line is whole.
fn address_in(greeting: &str) -> Option<SocketAddr> {
    let line = greeting
        .split_inclusive('\n')
        .find(|line| line.starts_with("address ") && line.ends_with('\n'))?;
    let address = line.split_ascii_whitespace().nth(1)?;
    address.trim_end_matches(',').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::config::{JournalKind, Sync};

    #[test]
    fn the_configuration_is_one() {
        let config = config(OwnJournal::Memory);
        assert_eq!(config.limits.connections, 12_345);
        let chosen_later = SocketAddr::from(([127, 0, 0, 1], 0));
        assert_eq!(config.listen, [chosen_later.into()]);
        assert_eq!(config.admin.listen, None);
        assert_eq!(config.timeouts.idle, Duration::from_secs(3600));
        assert_eq!(config.journal.kind, JournalKind::Memory);
    }

    #[test]
    fn the_journal_is_the_one_that_was_asked_for() {
        let interval = Sync::Interval(Duration::from_millis(100));
        for (journal, sync) in [
            (OwnJournal::Always, Sync::Always),
            (OwnJournal::Interval, interval),
            (OwnJournal::Never, Sync::Never),
        ] {
            let found = config(journal).journal;
            assert_eq!((found.kind, found.sync), (JournalKind::Disk, sync));
        }
    }

    fn config(journal: OwnJournal) -> Config {
        Config::from_toml(&configuration(12_345, journal)).unwrap()
    }

    #[test]
    fn the_address_is_read_when_its_line_is_whole() {
        let greeting =
            "configuration  /dev/stdin\naddress        127.0.0.1:41234, only this machine";
        assert_eq!(address_in(greeting), None);
        let whole = format!("{greeting} reaches it\ntry            curl");
        assert_eq!(address_in(&whole), Some(([127, 0, 0, 1], 41234).into()));
    }
}
