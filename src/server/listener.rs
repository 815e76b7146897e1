//! Accepts connections: a permit, a thread, and on to the next. Never ends because of an error.

use std::io;
use std::net::{Shutdown as Half, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

use super::connection::Connection;
use super::crew::Crew;
use super::doorman::Doormen;
use super::permit::Permits;
use super::stream::Stream;
use crate::config::Config;
use crate::delivery::Context;
use crate::hub::fanout::or_abort;
use crate::seldom::Seldom;

/// Connections that the kernel may hold until they are accepted.
const BACKLOG: i32 = 4096;
/// How long to wait after an error that going on at once would only repeat (EMFILE, ENOMEM).
const BACK_OFF: Duration = Duration::from_millis(100);

static FAILED: Seldom = Seldom::new();

/// The accepting thread.
pub(super) struct Listener {
    address: SocketAddr,
    /// Its end is the thread's end.
    bell: UnixStream,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Binds the data port. What accepted sockets inherit is set here, once.
///
/// # Errors
/// When the system says no.
pub(super) fn bind(config: &Config) -> io::Result<TcpListener> {
    let family = match config.listen {
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
    sockopt::set_socket_send_buffer_size(&socket, config.limits.send_buffer)?;
    rustix::net::bind(&socket, &config.listen)?;
    rustix::net::listen(&socket, BACKLOG)?;
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Listener {
    /// Starts to accept.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(super) fn start(
        context: &Arc<Context>,
        permits: &Permits,
        doormen: &Arc<Doormen>,
        socket: TcpListener,
    ) -> io::Result<Self> {
        let address = socket.local_addr()?;
        let (bell, heard) = UnixStream::pair()?;
        let door = Door {
            context: context.clone(),
            permits: permits.clone(),
            doormen: doormen.clone(),
            socket,
            heard,
            crew: Crew::default(),
        };
        let thread = thread::Builder::new().name("listener".into());
        let thread = thread.spawn(move || or_abort("the listener panicked", || door.run()))?;
        Ok(Listener {
            address,
            bell,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// The address that it is bound to.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the door and waits for the thread.
    pub(super) fn stop(&self) {
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

struct Door {
    context: Arc<Context>,
    permits: Permits,
    doormen: Arc<Doormen>,
    socket: TcpListener,
    heard: UnixStream,
    crew: Crew,
}

impl Door {
    fn run(self) {
        while self.wait() {
            match self.socket.accept() {
                Ok((socket, _)) => self.admit(socket),
                Err(error) => self.endure(&error),
            }
        }
        self.crew.dismiss();
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

    /// Gives a connection its thread, or sends it to the doormen.
    fn admit(&self, socket: TcpStream) {
        // Inherited on some Unixes, not on Linux.
        if socket.set_nonblocking(false).is_err() {
            return;
        }
        let Some(permit) = self.permits.try_take() else {
            self.context.hub.metrics().turned_away.count();
            return self.doormen.refuse(socket);
        };
        // Fails when the peer has gone already.
        let Ok(stream) = Stream::new(socket, Some(permit)) else {
            return;
        };
        self.context.hub.metrics().accepted.count();
        let connection = Connection::new(self.context.clone(), Arc::new(stream));
        if let Err(error) = self.crew.serve(connection) {
            log::error!("a connection is dropped, there is no thread to be had: {error}");
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
