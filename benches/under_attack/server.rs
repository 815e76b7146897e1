//! The server under attack: a process of its own, with the defaults but for its ports, journal and budget.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What it may have of memory, in MiB.
pub const BUDGET: u64 = 512;

/// A running server; dropping it ends it.
pub struct Server {
    child: Child,
    address: SocketAddr,
    secured: SocketAddr,
    directory: PathBuf,
}

impl Server {
    /// Starts it; returns when it listens.
    pub fn start() -> Server {
        let directory = certified();
        let mut child = Command::new(env!("CARGO_BIN_EXE_fourcast"))
            .args(["serve", "--config", "/dev/stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a server");
        // Attackers come from this machine, and must be counted all the same.
        let configuration = format!(
            "listen = [\"127.0.0.1:0\", \"https://127.0.0.1:0\"]\n[admin]\nlisten = \"off\"\n\
             [tls]\ncertificate = '{0}/certificate.pem'\nkey = '{0}/key.pem'\n\
             [journal]\nkind = \"memory\"\nmax_bytes = \"64 MiB\"\n\
             [limits]\nmemory = \"{BUDGET} MiB\"\nexempt = []\n[log]\nlevel = \"error\"\n",
            directory.display()
        );
        let mut input = child.stdin.take().expect("its input");
        input
            .write_all(configuration.as_bytes())
            .expect("a configuration");
        drop(input);
        let greeting = BufReader::new(child.stdout.take().expect("its output"));
        let lines = greeting.lines().map_while(Result::ok);
        let mut addresses = lines.filter_map(|line| address_in(&line));
        let mut address = || {
            addresses
                .next()
                .expect("a server that says where it listens")
        };
        Server {
            address: address(),
            secured: address(),
            child,
            directory,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it speaks TLS.
    pub fn secured_address(&self) -> SocketAddr {
        self.secured
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
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A directory with a new certificate and its key.
fn certified() -> PathBuf {
    let name = format!("under-attack-{}", std::process::id());
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&directory).expect("a directory");
    let new = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = new.signing_key.serialize_pem();
    fs::write(directory.join("key.pem"), key).expect("a file");
    fs::write(directory.join("certificate.pem"), new.cert.pem()).expect("a file");
    directory
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let line = line.strip_prefix("address ")?;
    let mut words = line.split(|c: char| c.is_whitespace() || c == '/' || c == ',');
    words.find_map(|word| word.parse().ok())
}
