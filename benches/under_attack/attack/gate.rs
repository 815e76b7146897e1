//! Where an attacker comes in: from an address of its own, which the server counts apart from those who are honest.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use super::Counter;

/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(1);

pub struct Gate {
    server: SocketAddr,
    from: Ipv4Addr,
    failed: Counter,
}

impl Gate {
    /// From the address that has this number; what fails is counted.
    pub fn new(server: SocketAddr, number: u8, failed: Counter) -> Gate {
        let from = Ipv4Addr::new(127, 0, 1, number);
        Gate {
            server,
            from,
            failed,
        }
    }

    /// A connection that waits for nothing and begins so.
    pub fn open(&self, beginning: &[u8]) -> Option<TcpStream> {
        let stream = self.connect(beginning);
        if stream.is_none() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        stream
    }

    fn connect(&self, beginning: &[u8]) -> Option<TcpStream> {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).ok()?;
        // Counts for connecting too (socket(7)).
        set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE)).ok()?;
        bind(&socket, &SocketAddr::from((self.from, 0))).ok()?;
        connect(&socket, &self.server).ok()?;
        let mut stream = TcpStream::from(socket);
        stream.set_nonblocking(true).ok()?;
        stream.write_all(beginning).ok()?;
        Some(stream)
    }
}
