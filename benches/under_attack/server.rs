//! The server under attack: a process of its own, with the defaults but for its ports, journal and budget.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// What it may have of memory.
pub const BUDGET: &str = "512 MiB";

/// A running server; dropping it ends it.
pub struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts it; returns when it listens.
    pub fn start() -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_fourcast"))
            .args(["serve", "--config", "/dev/stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a server");
        let configuration = format!(
            "listen = \"127.0.0.1:0\"\n[admin]\nlisten = \"off\"\n[journal]\nkind = \"memory\"\n\
             max_bytes = \"64 MiB\"\n[limits]\nmemory = \"{BUDGET}\"\n[log]\nlevel = \"error\"\n"
        );
        let mut input = child.stdin.take().expect("its input");
        input
            .write_all(configuration.as_bytes())
            .expect("a configuration");
        drop(input);
        let greeting = BufReader::new(child.stdout.take().expect("its output"));
        let mut lines = greeting.lines().map_while(Result::ok);
        let address = lines.find_map(|line| address_in(&line));
        Server {
            address: address.expect("a server that says where it listens"),
            child,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The most bytes of memory that it ever had (`VmHWM`).
    pub fn most_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kibibytes.unwrap_or(0) * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let mut words = line.split(|c: char| c.is_whitespace() || c == '/' || c == ',');
    words.find_map(|word| word.parse().ok())
}
