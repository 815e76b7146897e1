//! A connection whose every read has a deadline, with the bytes that nobody took yet.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a test waits for what must come; far more than it ever takes.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The end of a wait that begins now.
pub fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

/// What a read brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Bytes, now in [`Wire::unread`].
    Bytes,
    /// Nothing until the deadline.
    Nothing,
    /// The peer has ended, by FIN or by RST.
    End,
}

/// A connection and the bytes that arrived on it and were not taken.
pub struct Wire {
    stream: TcpStream,
    /// What arrived and nobody took.
    pub unread: Vec<u8>,
}

impl Wire {
    /// Connects over loopback.
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address)
            .unwrap_or_else(|error| panic!("{address} takes no connection: {error}"))
    }

    /// Connects to a server that may have gone.
    pub fn try_connect(address: SocketAddr) -> std::io::Result<Self> {
        TcpStream::connect_timeout(&address, PATIENCE).map(Self::of)
    }

    /// Connects from another address of this machine.
    #[cfg(target_os = "linux")]
    pub fn connect_from(own: Ipv4Addr, address: SocketAddr) -> Self {
        use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        bind(&socket, &SocketAddr::from((own, 0))).expect("an address of this machine");
        connect(&socket, &address).expect("a connection");
        Self::of(TcpStream::from(socket))
    }

    /// Connects to a Unix socket.
    pub fn connect_unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path).expect("a connection");
        // Of a socket of any kind; what only TCP has is not asked for.
        Self::over(TcpStream::from(OwnedFd::from(stream)))
    }

    fn of(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("no delay");
        Self::over(stream)
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_write_timeout(Some(PATIENCE)).expect("a limit");
        Wire {
            stream,
            unread: Vec::new(),
        }
    }

    /// Keeps the receive buffer small, so that what nobody reads soon fills it; much smaller, and
    /// reading late would take minutes by way of zero-window probes.
    pub fn with_small_receive_buffer(self) -> Self {
        const BYTES: usize = 32 * 1024;
        rustix::net::sockopt::set_socket_recv_buffer_size(&self.stream, BYTES).expect("a buffer");
        self
    }

    /// Sends all bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the peer takes bytes");
    }

    /// Sends all bytes, to a peer that may have gone.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("a half-close");
    }

    /// Reads once.
    pub fn more(&mut self, deadline: Instant) -> Arrival {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Arrival::Nothing;
        }
        self.stream.set_read_timeout(Some(left)).expect("a limit");
        let mut page = [0; 16 * 1024];
        match self.stream.read(&mut page) {
            Ok(0) => Arrival::End,
            Ok(count) => {
                self.unread.extend_from_slice(&page[..count]);
                Arrival::Bytes
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Arrival::Nothing,
                ErrorKind::Interrupted => Arrival::Bytes,
                _ => Arrival::End,
            },
        }
    }

    /// Reads once; a wait without end fails the test.
    pub fn must_move(&mut self, deadline: Instant) -> Arrival {
        let arrival = self.more(deadline);
        assert!(
            arrival != Arrival::Nothing,
            "nothing came in time; unread so far: {:?}",
            String::from_utf8_lossy(&self.unread)
        );
        arrival
    }

    /// Takes what comes up to and with `mark`; `None` when the peer ends before it.
    pub fn take_through(&mut self, mark: &[u8], deadline: Instant) -> Option<Vec<u8>> {
        let mut searched = 0;
        loop {
            let found = self.unread[searched..]
                .windows(mark.len())
                .position(|window| window == mark);
            if let Some(at) = found {
                return Some(self.unread.drain(..searched + at + mark.len()).collect());
            }
            searched = self.unread.len().saturating_sub(mark.len() - 1);
            if self.must_move(deadline) == Arrival::End {
                return None;
            }
        }
    }

    /// Takes exactly `count` bytes; `None` when the peer ends before.
    pub fn take(&mut self, count: usize, deadline: Instant) -> Option<Vec<u8>> {
        while self.unread.len() < count {
            if self.must_move(deadline) == Arrival::End {
                return None;
            }
        }
        Some(self.unread.drain(..count).collect())
    }

    /// Takes all that comes until the peer ends.
    pub fn take_rest(&mut self, deadline: Instant) -> Vec<u8> {
        while self.must_move(deadline) != Arrival::End {}
        std::mem::take(&mut self.unread)
    }

    /// Fails the test unless the peer ends the connection without another byte.
    pub fn expect_end(&mut self) {
        let rest = self.take_rest(deadline());
        assert!(
            rest.is_empty(),
            "more came before the end: {:?}",
            String::from_utf8_lossy(&rest)
        );
    }

    /// Looks whether the peer has something to say already.
    pub fn pause_briefly(&mut self) -> Arrival {
        self.more(Instant::now() + Duration::from_millis(1))
    }

    /// Lets a moment pass unless the peer does something: the pace of a poller.
    pub fn pause(&mut self) -> Arrival {
        self.more(Instant::now() + Duration::from_millis(20))
    }
}
