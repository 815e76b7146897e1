//! One connection's socket: blocking reads for its own thread, sends that never wait for everyone else.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, recv, send, sendmsg, shutdown,
};

use super::permit::Permit;
use super::socket::Socket;
use crate::access::current::Current;
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::roster::{Guest, Link, Presence, Traffic};
use crate::shutdown::Leaving;

/// A socket and the permit that it holds; both go together, when the last of those who share it lets
/// go. Until then it is ended by shutdown only, so that nobody writes to a number that was given away.
pub struct Stream {
    socket: OwnedFd,
    /// Changes when a trusted proxy says whom it brings; held for a copy only.
    peer: Mutex<Peer>,
    local: Option<IpAddr>,
    read_timeout: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    _permit: Option<Permit>,
}

/// How a read ended without bytes.
#[derive(Debug)]
pub enum ReadError {
    /// The deadline came first.
    TimedOut,
    /// The peer will send nothing more, or the connection broke.
    HungUp,
}

/// How a send that does not wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// So many bytes left; perhaps not all.
    Some(usize),
    /// There is no room at the moment.
    Full,
    /// The connection is broken.
    Broken,
}

impl Stream {
    /// Takes over an accepted socket.
    ///
    /// # Errors
    /// When the socket has already gone.
    pub fn new(socket: impl Into<Socket>, permit: Option<Permit>) -> io::Result<Self> {
        let socket = socket.into();
        socket.send_at_once()?;
        let (peer, local) = (socket.peer()?, socket.local()?);
        Ok(Stream {
            socket: socket.into(),
            peer: Mutex::new(peer),
            local,
            read_timeout: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            _permit: permit,
        })
    }

    /// Whoever is at the other end; behind a trusted proxy the client that it speaks for at the moment.
    pub fn peer(&self) -> Peer {
        *self.peer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whom the proxy at the other end speaks for from now on.
    pub fn set_peer(&self, client: Peer) {
        *self.peer.lock().unwrap_or_else(PoisonError::into_inner) = client;
    }

    /// The address of this end; a Unix socket has none.
    pub fn local(&self) -> Option<IpAddr> {
        self.local
    }

    /// What went over it so far.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            received: self.received.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
        }
    }

    /// Reads what there is, waiting for it until `deadline`. For the connection's own thread only.
    ///
    /// # Errors
    /// When there is nothing to be had any more, or not in time.
    pub fn read(&self, buffer: &mut [u8], deadline: Instant) -> Result<usize, ReadError> {
        self.reading(deadline, || {
            recv(&self.socket, &mut *buffer, RecvFlags::empty()).map(|(count, _)| count)
        })
    }

    /// The same behind what `buffer` holds already, `most` bytes at most. The room is not cleared first.
    pub fn append_to(
        &self,
        buffer: &mut Vec<u8>,
        most: usize,
        deadline: Instant,
    ) -> Result<usize, ReadError> {
        buffer.reserve(most);
        self.reading(deadline, || {
            recv(&self.socket, spare_capacity(buffer), RecvFlags::empty()).map(|(count, _)| count)
        })
    }

    fn reading(
        &self,
        deadline: Instant,
        mut read: impl FnMut() -> rustix::io::Result<usize>,
    ) -> Result<usize, ReadError> {
        loop {
            self.limit_read(deadline)?;
            match read() {
                Ok(0) => return Err(ReadError::HungUp),
                Ok(count) => {
                    self.received.fetch_add(count as u64, Ordering::Relaxed);
                    return Ok(count);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN | Errno::TIMEDOUT) => return Err(ReadError::TimedOut),
                Err(_) => return Err(ReadError::HungUp),
            }
        }
    }

    /// Sets the socket's read timeout to what is left; whole milliseconds, so that the same patience
    /// twice in a row costs no system call.
    fn limit_read(&self, deadline: Instant) -> Result<(), ReadError> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ReadError::TimedOut);
        }
        let millis = u64::try_from(left.as_millis())
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        if self.read_timeout.swap(millis, Ordering::Relaxed) != millis {
            let timeout = Some(Duration::from_millis(millis));
            set_socket_timeout(&self.socket, Timeout::Recv, timeout)
                .map_err(|_| ReadError::HungUp)?;
        }
        Ok(())
    }

    /// Writes all of `bytes`, giving up when nothing moves for `patience`.
    ///
    /// # Errors
    /// When the connection broke, or the peer does not read.
    pub fn write_all(&self, bytes: &[u8], patience: Duration) -> io::Result<()> {
        self.writing(bytes, || patience)
    }

    /// The same, giving up at `deadline` also when something moves now and then.
    ///
    /// # Errors
    /// When the connection broke, or the peer does not read fast enough.
    pub fn write_all_by(&self, bytes: &[u8], deadline: Instant) -> io::Result<()> {
        self.writing(bytes, || deadline.saturating_duration_since(Instant::now()))
    }

    fn writing(&self, mut bytes: &[u8], patience: impl Fn() -> Duration) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.try_send(bytes) {
                Sent::Some(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Sent::Full if self.wait_writable(patience()) => {}
                Sent::Full => return Err(io::ErrorKind::TimedOut.into()),
                Sent::Broken => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
        Ok(())
    }

    /// Sends what fits without waiting.
    pub fn try_send(&self, bytes: &[u8]) -> Sent {
        self.sending(|| send(&self.socket, bytes, SEND))
    }

    /// Sends what fits of several slices, 1,024 at most, without waiting.
    pub fn try_send_slices(&self, slices: &[IoSlice<'_>]) -> Sent {
        self.sending(|| {
            sendmsg(
                &self.socket,
                slices,
                &mut SendAncillaryBuffer::default(),
                SEND,
            )
        })
    }

    fn sending(&self, mut send: impl FnMut() -> rustix::io::Result<usize>) -> Sent {
        loop {
            match send() {
                Ok(count) => {
                    self.sent.fetch_add(count as u64, Ordering::Relaxed);
                    return Sent::Some(count);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN | Errno::NOBUFS) => return Sent::Full,
                Err(_) => return Sent::Broken,
            }
        }
    }

    /// Waits until something can be sent, or the connection broke; `false` when neither came in time.
    pub fn wait_writable(&self, patience: Duration) -> bool {
        let mut fds = [PollFd::new(&self.socket, PollFlags::OUT)];
        let timeout = Timespec::try_from(patience).ok();
        loop {
            match poll(&mut fds, timeout.as_ref()) {
                Ok(ready) => return ready > 0,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }

    /// Whether the peer has closed its side, seen without reading.
    pub fn has_hung_up(&self) -> bool {
        let mut fds = [PollFd::new(&self.socket, HANGUP)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().intersects(HANGUP | ENDED)
    }

    /// Sends the end of the stream; reading goes on.
    pub fn shutdown_write(&self) {
        let _ = shutdown(&self.socket, Shutdown::Write);
    }

    /// Ends both directions; whoever is blocked in a read returns.
    pub fn shutdown(&self) {
        let _ = shutdown(&self.socket, Shutdown::Both);
    }

    /// Reads and drops what the peer still sends, until it ends, `patience` is over or it sent `most`
    /// bytes: a close with unread bytes would reset the connection and take our last words with it.
    pub fn drain(&self, patience: Duration, most: usize) {
        let deadline = Instant::now() + patience;
        // Not on the stack, of which every stream's thread would touch a page more.
        let mut scratch = vec![0; 4096];
        let mut left = most;
        while left > 0 {
            let Ok(count) = self.read(&mut scratch, deadline) else {
                return;
            };
            left = left.saturating_sub(count);
        }
    }
}

impl Link for Stream {
    fn peer(&self) -> Peer {
        self.peer()
    }

    fn traffic(&self) -> Traffic {
        self.traffic()
    }

    fn cut(&self) {
        self.shutdown();
    }
}

/// An idle connection is simply cut.
impl Guest for Stream {
    fn presence(&self) -> Presence {
        Presence::between_requests()
    }

    fn leave(&self, _: Leaving) {
        self.shutdown();
    }

    fn dismiss(&self, _: &Refusal) {
        self.shutdown();
    }

    /// The next request is held against what counts then.
    fn obey(&self, _: &Current) {}
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

const SEND: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
const ENDED: PollFlags = PollFlags::HUP.union(PollFlags::ERR);
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
const HANGUP: PollFlags = PollFlags::RDHUP;
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
const HANGUP: PollFlags = PollFlags::HUP;
