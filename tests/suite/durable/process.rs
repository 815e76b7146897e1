//! A server as a process of its own, which can be killed.

use std::fs::{self, File};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};

use super::home::Home;
use crate::support::{Event, Listener, Response, Way, Wire, deadline, exchange, request};

/// How long a process may take until it listens, or until it has ended.
const LIMIT: Duration = Duration::from_secs(30);

/// A running server; dropping it kills it.
pub struct Process {
    child: Child,
    output: ChildStdout,
    log: PathBuf,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where its operator's port is, if it has one.
    pub admin: Option<SocketAddr>,
}

/// A server that did not start.
#[derive(Debug)]
pub struct Refused {
    /// How it ended.
    pub status: ExitStatus,
    /// What it said on stderr.
    pub message: String,
}

impl Process {
    /// Starts a server in this home; one that does not start fails the test.
    pub fn start(home: &Home) -> Self {
        Self::try_start(home).unwrap_or_else(|refused| panic!("it does not start: {refused:?}"))
    }

    /// Starts a server that may refuse; one that does neither in time fails the test.
    pub fn try_start(home: &Home) -> Result<Self, Refused> {
        Self::try_start_as(home, home.serve())
    }

    /// Starts a server that reads from `input`.
    pub fn start_at(home: &Home, input: impl Into<Stdio>) -> Self {
        Self::launch(home, home.serve(), input.into())
            .unwrap_or_else(|refused| panic!("it does not start: {refused:?}"))
    }

    /// The same with a command line of the caller's.
    pub fn try_start_as(home: &Home, command: Command) -> Result<Self, Refused> {
        Self::launch(home, command, Stdio::null())
    }

    fn launch(home: &Home, mut command: Command, input: Stdio) -> Result<Self, Refused> {
        let log = home.next_log();
        let mut child = command
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("a log"))
            .spawn()
            .expect("the binary");
        let output = child.stdout.take().expect("its output");
        let mut process = Process {
            child,
            output,
            log,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            admin: None,
        };
        match process.greeting() {
            Some((address, admin)) => {
                process.address = address;
                process.admin = admin;
                Ok(process)
            }
            None => Err(Refused {
                status: process.child.wait().expect("its status"),
                message: process.log(),
            }),
        }
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said on stderr.
    pub fn log(&self) -> String {
        read_lossy(&self.log)
    }

    /// Kills it, at whatever it is doing (SIGKILL), and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("its status");
    }

    /// Asks it to read its configuration again (SIGHUP).
    pub fn reload(&self) {
        kill_process(Pid::from_child(&self.child), Signal::HUP).expect("it can be asked");
    }

    /// Waits until it has said `what` on stderr, behind `seen` bytes.
    pub fn await_log(&self, seen: usize, what: &str) {
        let end = deadline();
        let mut pace = self.connect();
        while !self.log().get(seen..).is_some_and(|log| log.contains(what)) {
            assert!(Instant::now() < end, "never said: {what}: {}", self.log());
            pace.pause();
        }
    }

    /// Asks it to stop (SIGTERM) and waits until it has, which must succeed.
    pub fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it can be asked");
        self.await_end();
        let status = self.child.wait().expect("its status");
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// Fails the test when it is not running any more.
    pub fn assert_alive(&mut self) {
        let ended = self.child.try_wait().expect("its status");
        assert!(ended.is_none(), "{ended:?}: {}", self.log());
    }

    /// How it has ended; `None` while it runs. Gives one that is ending the time to do so.
    pub fn fate(&mut self) -> Option<ExitStatus> {
        let soon = Instant::now() + Duration::from_secs(2);
        loop {
            match read_before(soon, &mut self.output, &mut Vec::new()) {
                Ok(0) => return Some(self.child.wait().expect("its status")),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    /// A new connection.
    pub fn connect(&self) -> Wire {
        Wire::connect(self.address)
    }

    /// A GET.
    pub fn get(&self, target: &str) -> Response {
        exchange(self.address, "GET", target, &[], b"")
    }

    /// A POST.
    pub fn post(&self, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Response {
        exchange(self.address, "POST", target, fields, body)
    }

    /// Publishes a text; the id.
    pub fn publish(&self, channel: &str, text: &str) -> String {
        let response = self.post(&format!("/{channel}"), &[], text.as_bytes());
        assert_eq!(response.status(), 201, "{:?}", response.text());
        let id = response.json()["id"].as_str().map(str::to_owned);
        id.expect("an id")
    }

    /// A subscriber by `way`.
    pub fn listen(&self, way: Way, target: &str) -> Listener {
        Listener::try_open(way, self.address, target).expect("a welcome")
    }

    /// Asks again and again until the answer has `status`.
    pub fn wait_for_status(&self, target: &str, status: u16) -> Response {
        let end = deadline();
        let mut wire = self.connect();
        loop {
            wire.send(request("GET", target, &[], b""));
            let response = Response::read(&mut wire, "GET");
            if response.status() == status {
                return response;
            }
            assert!(Instant::now() < end, "{status} was due, not {response:?}");
            wire.pause();
        }
    }

    /// Fails the test unless an honest publisher and an honest subscriber are served.
    pub fn assert_serves(&self) -> Event {
        let mut honest = self.listen(Way::Sse, "/honest?after=now");
        let id = self.publish("honest", "still here");
        let event = honest.next_event();
        assert_eq!((event.id.as_str(), &*event.text()), (&*id, "still here"));
        event
    }

    /// Reads its first lines up to the ones with the addresses; `None` when it ends before.
    fn greeting(&mut self) -> Option<(SocketAddr, Option<SocketAddr>)> {
        let end = Instant::now() + LIMIT;
        let mut greeting = Vec::new();
        loop {
            if self.read_output(end, &mut greeting) == 0 {
                return None;
            }
            let lines = String::from_utf8_lossy(&greeting);
            if let Some(operator) = line_of("operator ", &lines) {
                let address = line_of("address ", &lines).and_then(address_in);
                return Some((address.expect("an address"), address_in(operator)));
            }
        }
    }

    /// Waits until its output ends, which it does with the process.
    fn await_end(&mut self) {
        let end = Instant::now() + LIMIT;
        while self.read_output(end, &mut Vec::new()) > 0 {}
    }

    fn read_output(&mut self, end: Instant, into: &mut Vec<u8>) -> usize {
        match read_before(end, &mut self.output, into) {
            Ok(length) => length,
            Err(error) => {
                let _ = self.child.kill();
                panic!("it hangs: {error}: {}", self.log());
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, and need not be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Refused {
    /// Fails the test unless it failed by itself and told people the name of the file (or directory) and
    /// what to do.
    pub fn must_name(&self, path: &Path) {
        let Refused { status, message } = self;
        assert!(status.code().is_some_and(|code| code != 0), "{self:?}");
        let name = path.to_string_lossy();
        let told = message.lines().find(|line| line.starts_with("fourcast: "));
        let told = told.unwrap_or_else(|| panic!("nothing told: {self:?}"));
        assert!(told.contains(&*name), "no {name} in {told:?}");
        assert!(says_what_to_do(told), "what shall be done? {told:?}");
    }
}

/// Runs a command to its end, which must come in time.
pub fn run(mut command: Command) -> Output {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    let mut output = child.stdout.take().expect("its output");
    let end = Instant::now() + LIMIT;
    let mut stdout = Vec::new();
    while match read_before(end, &mut output, &mut stdout) {
        Ok(length) => length > 0,
        Err(error) => {
            let _ = child.kill();
            panic!("{command:?} hangs: {error}");
        }
    } {}
    let rest = child.wait_with_output().expect("its status");
    Output { stdout, ..rest }
}

/// A message that only complains leaves its reader alone.
fn says_what_to_do(message: &str) -> bool {
    const VERBS: [&str; 14] = [
        "restore", "move", "remove", "delete", "stop", "start", "use ", "set ", "give", "put ",
        "free ", "upgrade", "check", "make ",
    ];
    let message = message.to_ascii_lowercase();
    VERBS.iter().any(|verb| message.contains(verb))
}

/// Appends what there is to read; 0 bytes at the end.
fn read_before(end: Instant, output: &mut ChildStdout, into: &mut Vec<u8>) -> io::Result<usize> {
    let left = end.saturating_duration_since(Instant::now());
    let left: Timespec = left.try_into().unwrap_or_default();
    if poll(&mut [PollFd::new(output, PollFlags::IN)], Some(&left))? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let mut piece = [0; 16 * 1024];
    let length = output.read(&mut piece)?;
    into.extend_from_slice(&piece[..length]);
    Ok(length)
}

/// A line of a greeting, once it is whole.
fn line_of<'a>(label: &str, greeting: &'a str) -> Option<&'a str> {
    greeting
        .split_inclusive('\n')
        .find(|line| line.starts_with(label) && line.ends_with('\n'))
}

/// The address in a line of a greeting.
fn address_in(line: &str) -> Option<SocketAddr> {
    let address = line.split_ascii_whitespace().nth(1)?;
    address.trim_end_matches(',').parse().ok()
}

fn read_lossy(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
