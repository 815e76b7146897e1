//! What a connection's bytes go over: a socket as it is, or TLS over it.

use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::error::Error;
use crate::tls::{Connector, Sent, Session, Shaken};

/// The shortest time-out that a socket can be given; what has arrived is read within it.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// One connection's bytes; one thread reads, any thread writes.
pub(super) struct Line {
    socket: TcpStream,
    session: Option<Session>,
}

/// A socket as TLS sees it: nothing waits.
struct Now<'a>(&'a TcpStream);

impl Line {
    /// The socket as it is.
    pub(super) fn plain(socket: TcpStream) -> Self {
        Line {
            socket,
            session: None,
        }
    }

    /// TLS with the server called `host`, whose handshake ends by `deadline`.
    pub(super) fn secure(
        socket: TcpStream,
        connector: &Connector,
        host: &str,
        deadline: Instant,
    ) -> Result<Self, Error> {
        let session =
            Session::connect(connector, host).map_err(|e| Error::invalid(e.to_string()))?;
        loop {
            let shaken = session.shake_hands(&mut Now(&socket));
            let ready = match shaken.map_err(Error::Connect)? {
                Shaken::Done => break,
                Shaken::ToRead => wait_for(&socket, PollFlags::IN, deadline),
                Shaken::ToWrite => wait_for(&socket, PollFlags::OUT, deadline),
            };
            ready.map_err(Error::Connect)?;
        }
        Ok(Line {
            socket,
            session: Some(session),
        })
    }

    /// Reads into `piece`, waiting at most until `deadline`; see [`is_timeout`] for its passing.
    pub(super) fn read(&self, piece: &mut [u8], deadline: Instant) -> io::Result<usize> {
        let Some(session) = &self.session else {
            self.socket.set_read_timeout(Some(left_until(deadline)))?;
            return (&self.socket).read(piece);
        };
        loop {
            let received = session.receive(&mut Now(&self.socket), |plaintext| {
                let count = plaintext.len().min(piece.len());
                piece[..count].copy_from_slice(&plaintext[..count]);
                count
            });
            match received {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait_for(&self.socket, PollFlags::IN, deadline)?;
                }
                received => return received,
            }
        }
    }

    /// Writes all of `bytes`, at most until `deadline`.
    pub(super) fn write_all(&self, mut bytes: &[u8], deadline: Instant) -> Result<(), Error> {
        while !bytes.is_empty() || self.owes() {
            if Instant::now() >= deadline {
                return Err(Error::timed_out());
            }
            match self.write(bytes, deadline) {
                Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
                Err(error) if is_timeout(&error) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Connection(error)),
            }
        }
        Ok(())
    }

    fn write(&self, bytes: &[u8], deadline: Instant) -> io::Result<usize> {
        let Some(session) = &self.session else {
            self.socket.set_write_timeout(Some(left_until(deadline)))?;
            return (&self.socket).write(bytes);
        };
        match session.send(&mut Now(&self.socket), &[IoSlice::new(bytes)]) {
            Sent::Some(count) => Ok(count),
            Sent::Full => wait_for(&self.socket, PollFlags::OUT, deadline).map(|()| 0),
            Sent::Broken => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn owes(&self) -> bool {
        self.session.as_ref().is_some_and(Session::owes)
    }

    /// Whether nothing has come that nobody asked for, the end among it.
    pub(super) fn is_quiet(&self) -> bool {
        let came = match &self.session {
            None => recv(
                &self.socket,
                &mut [0],
                RecvFlags::PEEK | RecvFlags::DONTWAIT,
            )
            .map(|_| ())
            .map_err(io::Error::from),
            Some(session) => session.receive(&mut Now(&self.socket), |_| 0).map(|_| ()),
        };
        matches!(came, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Ends both directions; whoever reads returns.
    pub(super) fn end(&self) {
        if let Some(session) = &self.session {
            session.say_end(&mut Now(&self.socket));
        }
        // A socket that the server has closed already cannot be shut down, and need not be.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// The bare socket; `None` with TLS, whose bytes mean nothing without it.
    pub(super) fn into_socket(self) -> Option<TcpStream> {
        self.session.is_none().then_some(self.socket)
    }
}

impl Read for Now<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (count, _) = recv(self.0, buffer, RecvFlags::DONTWAIT)?;
        Ok(count)
    }
}

impl Write for Now<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
        Ok(send(self.0, bytes, flags)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Line").field(&self.socket).finish()
    }
}

/// Whether a socket's error says that its time-out has passed.
pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// What is left until `deadline`, as a time-out that a socket can be given.
pub(super) fn left_until(deadline: Instant) -> Duration {
    deadline
        .saturating_duration_since(Instant::now())
        .max(SHORTEST_WAIT)
}

fn wait_for(socket: &TcpStream, what: PollFlags, deadline: Instant) -> io::Result<()> {
    // A server that sends a byte now and then is not waited for longer.
    if Instant::now() >= deadline {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let mut fds = [PollFd::new(socket, what)];
    let timeout = Timespec::try_from(left_until(deadline)).ok();
    match poll(&mut fds, timeout.as_ref()) {
        Ok(0) => Err(io::ErrorKind::TimedOut.into()),
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
