//! A connection, plain or over TLS as its server is, whose every read has a deadline, with the bytes that nobody took yet.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::tls::{self, Secured};

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
    line: Line,
    /// What arrived and nobody took.
    pub unread: Vec<u8>,
}

enum Line {
    Plain(TcpStream),
    Secured(Secured),
}

impl Line {
    fn socket(&self) -> &TcpStream {
        match self {
            Line::Plain(stream) => stream,
            Line::Secured(stream) => &stream.sock,
        }
    }
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
        Self::on(tls::over(stream).map_or_else(Line::Plain, Line::Secured))
    }

    /// Over a socket of the test's own, without TLS whoever is at its other end.
    pub fn bare(stream: TcpStream) -> Self {
        Self::on(Line::Plain(stream))
    }

    /// Over TLS of the test's own.
    pub fn secured(stream: Secured) -> Self {
        Self::on(Line::Secured(stream))
    }

    fn on(line: Line) -> Self {
        Wire {
            line,
            unread: Vec::new(),
        }
    }

    /// Keeps the receive buffer small, so that what nobody reads soon fills it; much smaller, and
    /// reading late would take minutes by way of zero-window probes.
    pub fn with_small_receive_buffer(self) -> Self {
        const BYTES: usize = 32 * 1024;
        rustix::net::sockopt::set_socket_recv_buffer_size(self.line.socket(), BYTES)
            .expect("a buffer");
        self
    }

    /// Sends all bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the peer takes bytes");
    }

    /// Sends all bytes, to a peer that may have gone.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        match &mut self.line {
            Line::Plain(stream) => stream.write_all(bytes.as_ref()),
            Line::Secured(stream) => {
                // A handshake reads too.
                stream.sock.set_read_timeout(Some(PATIENCE))?;
                stream.write_all(bytes.as_ref())?;
                stream.flush()
            }
        }
    }

    /// Sends what a proxy says in front of everything else, in front of TLS too, and `bytes` behind it.
    pub fn send_behind(&mut self, preface: &[u8], bytes: impl AsRef<[u8]>) {
        match &mut self.line {
            // In one piece, as it arrives where the network is fast.
            Line::Plain(_) => self.send([preface, bytes.as_ref()].concat()),
            Line::Secured(stream) => {
                stream.sock.write_all(preface).expect("the peer takes it");
                // Sending nothing would begin the handshake too.
                if !bytes.as_ref().is_empty() {
                    self.send(bytes);
                }
            }
        }
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) {
        self.say_end();
        self.half_close();
    }

    /// The same by TLS alone, if that is spoken.
    pub fn say_end(&mut self) {
        if let Line::Secured(stream) = &mut self.line {
            stream.conn.send_close_notify();
            stream.flush().expect("an end");
        }
    }

    /// The same by TCP alone, as somebody on the way could who cuts off the rest.
    pub fn half_close(&mut self) {
        let socket = self.line.socket();
        socket.shutdown(Shutdown::Write).expect("a half-close");
    }

    /// Takes new keys, and asks the peer to take some (RFC 8446, section 4.6.3).
    pub fn take_new_keys(&mut self) {
        let Line::Secured(stream) = &mut self.line else {
            panic!("there are no keys");
        };
        stream.conn.refresh_traffic_keys().expect("new keys");
        stream.flush().expect("the peer is told");
    }

    /// Reads once.
    pub fn more(&mut self, deadline: Instant) -> Arrival {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Arrival::Nothing;
        }
        let socket = self.line.socket();
        socket.set_read_timeout(Some(left)).expect("a limit");
        let mut page = [0; 16 * 1024];
        let read = match &mut self.line {
            Line::Plain(stream) => stream.read(&mut page),
            Line::Secured(stream) => stream.read(&mut page).or_else(|error| match error.kind() {
                ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => read_only(stream, &mut page),
                _ => Err(error),
            }),
        };
        match read {
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

/// Reads what a peer said that takes nothing any more: a read writes first what is left to be written, and fails with it.
fn read_only(stream: &mut Secured, page: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match stream.conn.reader().read(page) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            done => return done,
        }
        stream.conn.read_tls(&mut stream.sock)?;
        let understood = stream.conn.process_new_packets();
        understood.map_err(std::io::Error::other)?;
    }
}
