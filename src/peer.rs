//! Whoever is at the other end of a connection, as it is told and counted: an address, or a program of this machine
//! that came by a Unix socket.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Whoever is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Over a network, from this address and port. An IPv4 address in an IPv6 one (`::ffff:192.0.2.1`) stands as itself.
    Ip(IpAddr, Option<u16>),
    /// By a Unix socket, where nobody has an address.
    Unix,
}

impl Peer {
    /// The address, if there is one.
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Peer::Ip(ip, _) => Some(ip),
            Peer::Unix => None,
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Peer::Ip(address.ip().to_canonical(), Some(address.port()))
    }
}

impl From<IpAddr> for Peer {
    /// Of whom a proxy tells no port.
    fn from(ip: IpAddr) -> Self {
        Peer::Ip(ip.to_canonical(), None)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Peer::Ip(ip, Some(port)) => SocketAddr::new(ip, port).fmt(f),
            Peer::Ip(ip, None) => ip.fmt(f),
            Peer::Unix => f.write_str("unix"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_told_by_what_is_known_of_it() {
        let of = |text: &str| Peer::from(text.parse::<SocketAddr>().unwrap()).to_string();
        assert_eq!(of("192.0.2.1:80"), "192.0.2.1:80");
        assert_eq!(of("[2001:db8::1]:80"), "[2001:db8::1]:80");
        assert_eq!(of("[::ffff:192.0.2.1]:80"), "192.0.2.1:80");
        let without_port = |text: &str| Peer::from(text.parse::<IpAddr>().unwrap()).to_string();
        assert_eq!(without_port("2001:db8::1"), "2001:db8::1");
        assert_eq!(Peer::Unix.to_string(), "unix");
    }
}
