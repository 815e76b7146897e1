//! The bytes of a socket as they are: reads that wait and reads and sends that do not, with what went over it.

use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_linger, set_socket_timeout};
use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, recv, send, sendmsg, shutdown,
};

use super::{ReadError, Sent};
use crate::roster::Traffic;

/// A connected socket.
pub(super) struct Plain {
    socket: OwnedFd,
    read_timeout: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

/// A socket as a library sees it that reads and writes by itself: nothing waits.
pub(super) struct Now<'a>(pub(super) &'a Plain);

impl Plain {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Plain {
            socket,
            read_timeout: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
        }
    }

    pub(super) fn traffic(&self) -> Traffic {
        Traffic {
            received: self.received.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
        }
    }

    /// Reads what there is, waiting for it until `deadline`.
    pub(super) fn read(&self, buffer: &mut [u8], deadline: Instant) -> Result<usize, ReadError> {
        self.reading(deadline, || {
            recv(&self.socket, &mut *buffer, RecvFlags::empty()).map(|(count, _)| count)
        })
    }

    /// The same into the room behind what `buffer` holds already.
    pub(super) fn append_to(
        &self,
        buffer: &mut Vec<u8>,
        deadline: Instant,
    ) -> Result<usize, ReadError> {
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

    /// The first byte that comes, which stays where it is. Waits for it until `deadline`.
    pub(super) fn peek(&self, deadline: Instant) -> Result<u8, ReadError> {
        let mut first = [0];
        loop {
            self.limit_read(deadline)?;
            match recv(&self.socket, &mut first, RecvFlags::PEEK) {
                Ok((0, _)) => return Err(ReadError::HungUp),
                Ok(_) => return Ok(first[0]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN | Errno::TIMEDOUT) => return Err(ReadError::TimedOut),
                Err(_) => return Err(ReadError::HungUp),
            }
        }
    }

    /// Sends what fits without waiting.
    pub(super) fn try_send(&self, bytes: &[u8]) -> Sent {
        sent(self.sending(|| send(&self.socket, bytes, SEND)))
    }

    /// Sends what fits of several slices, 1,024 at most, without waiting.
    pub(super) fn try_send_slices(&self, slices: &[IoSlice<'_>]) -> Sent {
        sent(self.sending_slices(slices))
    }

    fn sending_slices(&self, slices: &[IoSlice<'_>]) -> rustix::io::Result<usize> {
        self.sending(|| {
            sendmsg(
                &self.socket,
                slices,
                &mut SendAncillaryBuffer::default(),
                SEND,
            )
        })
    }

    fn sending(
        &self,
        mut send: impl FnMut() -> rustix::io::Result<usize>,
    ) -> rustix::io::Result<usize> {
        loop {
            match send() {
                Err(Errno::INTR) => {}
                Ok(count) => {
                    self.sent.fetch_add(count as u64, Ordering::Relaxed);
                    return Ok(count);
                }
                failed => return failed,
            }
        }
    }

    /// Waits until something can be read, or the connection ended; `false` when neither came by `deadline`.
    pub(super) fn wait_readable(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        !left.is_zero() && self.wait_for(PollFlags::IN, left)
    }

    /// Waits until something can be sent, or the connection broke; `false` when neither came in time.
    pub(super) fn wait_writable(&self, patience: Duration) -> bool {
        self.wait_for(PollFlags::OUT, patience)
    }

    fn wait_for(&self, what: PollFlags, patience: Duration) -> bool {
        let mut fds = [PollFd::new(&self.socket, what)];
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
    pub(super) fn has_hung_up(&self) -> bool {
        let mut fds = [PollFd::new(&self.socket, HANGUP)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().intersects(HANGUP | ENDED)
    }

    /// Has the system drop what the peer has not taken as soon as the socket is closed.
    pub(super) fn forget_unsent(&self) {
        // One that is gone already has nothing.
        let _ = set_socket_linger(&self.socket, Some(Duration::ZERO));
    }

    pub(super) fn shutdown(&self, how: Shutdown) {
        // A socket that the peer has closed already cannot be shut down, and need not be.
        let _ = shutdown(&self.socket, how);
    }
}

impl Read for Now<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match recv(&self.0.socket, &mut *buffer, RecvFlags::DONTWAIT) {
                Err(Errno::INTR) => {}
                Ok((count, _)) => {
                    self.0.received.fetch_add(count as u64, Ordering::Relaxed);
                    return Ok(count);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Write for Now<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.0.sending_slices(slices) {
            Ok(count) => Ok(count),
            Err(Errno::AGAIN | Errno::NOBUFS) => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => Err(error.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Plain {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn sent(sent: rustix::io::Result<usize>) -> Sent {
    match sent {
        Ok(count) => Sent::Some(count),
        Err(Errno::AGAIN | Errno::NOBUFS) => Sent::Full,
        Err(_) => Sent::Broken,
    }
}

const SEND: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
const ENDED: PollFlags = PollFlags::HUP.union(PollFlags::ERR);
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
const HANGUP: PollFlags = PollFlags::RDHUP;
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
const HANGUP: PollFlags = PollFlags::HUP;
