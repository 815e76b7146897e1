//! A connected socket of either kind, and what is known of its two ends; before it becomes a `Stream`.

use std::io;
use std::net::{IpAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use crate::peer::Peer;

/// A socket that was accepted.
pub enum Socket {
    /// Over TCP.
    Tcp(TcpStream),
    /// By a Unix socket.
    Unix(UnixStream),
}

impl Socket {
    /// Whoever is at the other end.
    ///
    /// # Errors
    /// When it has already gone.
    pub fn peer(&self) -> io::Result<Peer> {
        match self {
            Socket::Tcp(socket) => Ok(socket.peer_addr()?.into()),
            Socket::Unix(_) => Ok(Peer::Unix),
        }
    }

    /// The address of this end, if it has one.
    ///
    /// # Errors
    /// When the socket has already gone.
    pub fn local(&self) -> io::Result<Option<IpAddr>> {
        match self {
            Socket::Tcp(socket) => Ok(Some(socket.local_addr()?.ip())),
            Socket::Unix(_) => Ok(None),
        }
    }

    /// Has what is sent leave at once.
    pub(super) fn send_at_once(&self) -> io::Result<()> {
        match self {
            Socket::Tcp(socket) => socket.set_nodelay(true),
            Socket::Unix(_) => Ok(()),
        }
    }

    pub(super) fn set_blocking(&self) -> io::Result<()> {
        match self {
            Socket::Tcp(socket) => socket.set_nonblocking(false),
            Socket::Unix(socket) => socket.set_nonblocking(false),
        }
    }
}

impl From<TcpStream> for Socket {
    fn from(socket: TcpStream) -> Self {
        Socket::Tcp(socket)
    }
}

impl From<UnixStream> for Socket {
    fn from(socket: UnixStream) -> Self {
        Socket::Unix(socket)
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        match socket {
            Socket::Tcp(socket) => socket.into(),
            Socket::Unix(socket) => socket.into(),
        }
    }
}
