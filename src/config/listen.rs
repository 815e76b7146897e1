//! Where a server listens: an address and port, with or without TLS, or a Unix socket.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::units;
use super::written::{Value, Written};

/// One place where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Whether clients speak TLS there.
    pub tls: bool,
}

/// What can be listened at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// An IP address and a port; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A Unix socket. [`Config::load`](super::Config::load) makes its path absolute; else a relative one begins at the
    /// working directory.
    Unix(PathBuf),
}

impl Listen {
    /// A Unix socket.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Listen {
            endpoint: Endpoint::Unix(path.into()),
            tls: false,
        }
    }

    /// The address and port, unless it is a Unix socket.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self.endpoint {
            Endpoint::Tcp(address) => Some(address),
            Endpoint::Unix(_) => None,
        }
    }

    /// The path, if it is a Unix socket.
    pub fn path(&self) -> Option<&Path> {
        match &self.endpoint {
            Endpoint::Tcp(_) => None,
            Endpoint::Unix(path) => Some(path),
        }
    }

    /// Whether no other machine reaches it.
    pub fn is_of_this_machine(&self) -> bool {
        let is_loopback = |address: SocketAddr| address.ip().to_canonical().is_loopback();
        self.tcp().is_none_or(is_loopback)
    }

    /// Whether both cannot be listened at.
    pub(super) fn clashes_with(&self, other: &Listen) -> bool {
        let is_chosen_later = self.tcp().is_some_and(|address| address.port() == 0);
        self.endpoint == other.endpoint && !is_chosen_later
    }
}

/// An address without TLS.
impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Listen {
            endpoint: Endpoint::Tcp(address),
            tls: false,
        }
    }
}

/// As it is written in a configuration.
impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.endpoint, self.tls) {
            (Endpoint::Tcp(address), false) => address.fmt(f),
            (Endpoint::Tcp(address), true) => write!(f, "https://{address}"),
            (Endpoint::Unix(path), _) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// One place to listen at, as it is written.
pub(super) fn listen(written: &Written) -> Result<Listen, String> {
    let text = written.text().unwrap_or_default();
    if let Some(path) = text.strip_prefix("unix:") {
        let path = units::path(&Written {
            place: written.place.clone(),
            value: Value::Text(path.to_owned()),
        });
        return Ok(Listen::unix(path?));
    }
    let (tls, address) = match text.split_once("://") {
        Some(("https", address)) => (true, address),
        Some(("http", address)) => (false, address),
        _ => (false, text),
    };
    let address: SocketAddr = address.parse().map_err(|_| {
        written.but_expected(
            "an IP address and a port: \"127.0.0.1:8080\" (this machine only), \"0.0.0.0:8080\" (every IPv4 address) or \
             \"[::]:8080\" (IPv6 too); with TLS \"https://0.0.0.0:8443\"; or a Unix socket: \
             \"unix:/run/fourcast/fourcast.sock\"",
        )
    })?;
    let endpoint = Endpoint::Tcp(address);
    Ok(Listen { endpoint, tls })
}

/// The rights of a Unix socket, in octal digits as `chmod` takes them.
pub(super) fn socket_mode(written: &Written) -> Result<u32, String> {
    let is_octal = |text: &&str| {
        (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b))
    };
    written
        .text()
        .filter(is_octal)
        .and_then(|text| u32::from_str_radix(text, 8).ok())
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| {
            written.but_expected(
                "the rights of the socket in octal digits and quotes, such as \"0660\" (owner and group) or \"0666\" \
                 (every user of this machine)",
            )
        })
}
