//! The server that bench starts for itself: this very program, with a configuration of its own, whatever
//! lies in the working directory or stands in the environment.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Failure;

/// How long a server may take until it says where it listens.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// The most bytes of its greeting.
const MAX_GREETING: usize = 16 * 1024;

/// A running server; dropping it ends it. It has nothing on disk, so it is killed rather than asked.
pub(super) struct OwnServer {
    child: Child,
    /// Where it listens.
    pub(super) address: SocketAddr,
}

impl OwnServer {
    /// Starts a server for so many connections. Blocks until it listens, for [`START_TIMEOUT`] at most.
    pub(super) fn start(connections: usize) -> Result<Self, Failure> {
        let mut server = OwnServer {
            child: spawn().map_err(|error| cannot_start(&error.to_string()))?,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        server
            .configure(connections)
            .map_err(|error| cannot_start(&error.to_string()))?;
        server.address = server.greeting()?;
        Ok(server)
    }

    /// The number of its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn configure(&mut self, connections: usize) -> io::Result<()> {
        let mut input = self.child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        input.write_all(configuration(connections).as_bytes())
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

fn spawn() -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FOURCAST_") {
            command.env_remove(name);
        }
    }
    command
        .args(["serve", "--config", "/dev/stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
}

/// The defaults, but for the port, room for all connections, and a journal that no disk slows down, with enough
/// history that subscribers who fall behind lose nothing.
fn configuration(connections: usize) -> String {
    format!(
        "listen = \"127.0.0.1:0\"\n\
         [limits]\n\
         connections = {connections}\n\
         [journal]\n\
         kind = \"memory\"\n\
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
    use crate::config::JournalKind;

    #[test]
    fn the_configuration_is_one() {
        let config = Config::from_toml(&configuration(12_345)).unwrap();
        assert_eq!(config.limits.connections, 12_345);
        assert_eq!(config.listen.port(), 0);
        assert!(config.listen.ip().is_loopback());
        assert_eq!(config.journal.kind, JournalKind::Memory);
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
