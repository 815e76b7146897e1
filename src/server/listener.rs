//! Accepts the connections of one place and lets them in, one after the other. Never ends because of an error.

use std::io;
use std::net::Shutdown as Half;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::acceptor::Acceptor;
use super::socket::Socket;
use crate::hub::fanout::or_abort;
use crate::seldom::Seldom;

/// How long to wait after an error that going on at once would only repeat (EMFILE, ENOMEM).
const BACK_OFF: Duration = Duration::from_millis(100);

static FAILED: Seldom = Seldom::new();

/// Where a connection goes that was accepted. It is dropped when nobody comes any more.
pub trait Entrance: Send + 'static {
    /// Takes a connection, or closes it. Must not wait: nobody is accepted meanwhile.
    ///
    /// # Errors
    /// What the next one would fail of too, at once; the port waits a moment.
    fn admit(&self, socket: Socket) -> io::Result<()>;
}

/// The accepting thread of one place.
pub struct Listener {
    /// Its end is the thread's end.
    bell: UnixStream,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Listener {
    /// Starts to accept on a thread called `name`.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(name: &str, acceptor: Acceptor, entrance: impl Entrance) -> io::Result<Self> {
        let (bell, heard) = UnixStream::pair()?;
        let port = Port {
            acceptor,
            heard,
            entrance,
        };
        let thread = thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || or_abort("a listener panicked", || port.run()))?;
        Ok(Listener {
            bell,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Closes the door and waits for the thread.
    pub fn stop(&self) {
        let _ = self.bell.shutdown(Half::Both);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

struct Port<E> {
    acceptor: Acceptor,
    heard: UnixStream,
    entrance: E,
}

impl<E: Entrance> Port<E> {
    fn run(self) {
        while self.wait() {
            match self.acceptor.accept() {
                Ok(socket) => self.admit(socket),
                Err(error) => self.endure(&error),
            }
        }
    }

    /// Waits for a connection; `false` when the server stops.
    fn wait(&self) -> bool {
        let mut fds = [
            PollFd::new(&self.acceptor, PollFlags::IN),
            PollFd::new(&self.heard, PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) => fds[1].revents().is_empty(),
            Err(_) => true,
        }
    }

    fn admit(&self, socket: Socket) {
        if self.entrance.admit(socket).is_err() {
            self.back_off();
        }
    }

    /// One connection's failure is its own (ECONNABORTED); what concerns all is waited out.
    fn endure(&self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, WouldBlock};
        if matches!(
            error.kind(),
            WouldBlock | Interrupted | ConnectionAborted | ConnectionReset
        ) {
            return;
        }
        FAILED.say(|more| log::error!("cannot accept connections: {error}; trying again{more}"));
        self.back_off();
    }

    /// Waits a moment, or until the server stops.
    fn back_off(&self) {
        let mut fds = [PollFd::new(&self.heard, PollFlags::IN)];
        let _ = poll(&mut fds, Timespec::try_from(BACK_OFF).ok().as_ref());
    }
}
