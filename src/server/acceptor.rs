//! A place that is listened at, of either kind: bound, and one socket after the other from it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

use super::socket::Socket;
use super::socket_file::SocketFile;
use crate::config::{Config, Endpoint, Listen};

/// Connections that the kernel may hold until they are accepted.
const BACKLOG: i32 = 4096;

/// A place that is listened at. Nothing of it waits.
pub struct Acceptor(Kind);

enum Kind {
    Tcp(TcpListener),
    Unix {
        /// Goes before the socket: it is ours as long as that is open.
        _file: SocketFile,
        socket: UnixListener,
        send_buffer: usize,
    },
}

impl Acceptor {
    /// Binds one of the places of `config.listen`.
    ///
    /// # Errors
    /// When the system says no, or another server is there.
    pub(super) fn bind(listen: &Listen, config: &Config) -> io::Result<Self> {
        let send_buffer = config.limits.send_buffer;
        match &listen.endpoint {
            Endpoint::Tcp(address) => {
                let takes_ipv4 = !has_ipv4(address.port(), &config.listen);
                bind_tcp(*address, takes_ipv4, send_buffer).map(Acceptor::from)
            }
            Endpoint::Unix(path) => {
                let (_file, socket) = SocketFile::bind(path, config.socket_mode, BACKLOG)?;
                Ok(Acceptor(Kind::Unix {
                    _file,
                    socket,
                    send_buffer,
                }))
            }
        }
    }

    /// What it is bound to: `asked`, with the port that the system chose.
    ///
    /// # Errors
    /// When the system says no.
    pub(super) fn bound(&self, asked: &Listen) -> io::Result<Listen> {
        match &self.0 {
            Kind::Tcp(socket) => Ok(Listen {
                endpoint: Endpoint::Tcp(socket.local_addr()?),
                tls: asked.tls,
            }),
            Kind::Unix { .. } => Ok(asked.clone()),
        }
    }

    /// The next connection that is there.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; what is wrong with one, or with all.
    pub(super) fn accept(&self) -> io::Result<Socket> {
        let socket = match &self.0 {
            Kind::Tcp(listener) => Socket::from(listener.accept()?.0),
            Kind::Unix {
                socket,
                send_buffer,
                ..
            } => {
                let (socket, _) = socket.accept()?;
                // Here it is not inherited.
                sockopt::set_socket_send_buffer_size(&socket, *send_buffer)?;
                Socket::from(socket)
            }
        };
        // Inherited on some Unixes, not on Linux.
        socket.set_blocking()?;
        Ok(socket)
    }
}

impl From<TcpListener> for Acceptor {
    fn from(listener: TcpListener) -> Self {
        Acceptor(Kind::Tcp(listener))
    }
}

impl AsFd for Acceptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Kind::Tcp(socket) => socket.as_fd(),
            Kind::Unix { socket, .. } => socket.as_fd(),
        }
    }
}

/// Whether an IPv4 address of this port is listened at by itself; then the IPv6 one beside it must not take it.
fn has_ipv4(port: u16, listen: &[Listen]) -> bool {
    let mut addresses = listen.iter().filter_map(Listen::tcp);
    addresses.any(|address| address.is_ipv4() && address.port() == port && port != 0)
}

/// Binds a port, whose connections have send buffers of so many bytes. What accepted sockets inherit is set
/// here, once. An IPv6 address for everybody takes those who come by IPv4 as well, if `takes_ipv4`.
///
/// # Errors
/// When the system says no.
pub(super) fn bind_tcp(
    address: SocketAddr,
    takes_ipv4: bool,
    send_buffer: usize,
) -> io::Result<TcpListener> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    // A restarted server takes its port again although old connections linger in TIME_WAIT.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_send_buffer_size(&socket, send_buffer)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, !takes_ipv4)?;
    }
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}
