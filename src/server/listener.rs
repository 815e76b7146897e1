//! Accepts the connections of one port and lets them in, one after the other. Never ends because of an error.

use std::io;
use std::net::{Shutdown as Half, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

use super::socket::Socket;
use crate::hub::fanout::or_abort;
use crate::seldom::Seldom;

/// Connections that the kernel may hold until they are accepted.
const BACKLOG: i32 = 4096;
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

/// The accepting thread of one port.
pub struct Listener {
    address: SocketAddr,
    /// Its end is the thread's end.
    bell: UnixStream,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Binds a port, whose connections have send buffers of so many bytes. What accepted sockets inherit is set
/// here, once.
///
/// # Errors
/// When the system says no.
pub fn bind(address: SocketAddr, send_buffer: usize) -> io::Result<TcpListener> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = rustix::net::socket_with(
        family,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        Some(ipproto::TCP),
    )?;
    // A restarted server takes its port again although old connections linger in TIME_WAIT.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_send_buffer_size(&socket, send_buffer)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Listener {
    /// Starts to accept on a thread called `name`.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(name: &str, socket: TcpListener, entrance: impl Entrance) -> io::Result<Self> {
        let address = socket.local_addr()?;
        let (bell, heard) = UnixStream::pair()?;
        let port = Port {
            socket,
            heard,
            entrance,
        };
        let thread = thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || or_abort("a listener panicked", || port.run()))?;
        Ok(Listener {
            address,
            bell,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// The address that it is bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
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
    socket: TcpListener,
    heard: UnixStream,
    entrance: E,
}

impl<E: Entrance> Port<E> {
    fn run(self) {
        while self.wait() {
            match self.socket.accept() {
                Ok((socket, _)) => self.admit(socket.into()),
                Err(error) => self.endure(&error),
            }
        }
    }

    /// Waits for a connection; `false` when the server stops.
    fn wait(&self) -> bool {
        let mut fds = [
            PollFd::new(&self.socket, PollFlags::IN),
            PollFd::new(&self.heard, PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) => fds[1].revents().is_empty(),
            Err(_) => true,
        }
    }

    fn admit(&self, socket: Socket) {
        // Inherited on some Unixes, not on Linux.
        if socket.set_blocking().is_ok() && self.entrance.admit(socket).is_err() {
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
