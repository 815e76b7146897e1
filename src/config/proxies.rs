//! Which proxies are believed when they say whom they bring, and how they say it.

use std::fmt;

use super::units;
use super::written::Written;
use crate::network::Network;
use crate::peer::Peer;

/// The proxies in front. By default there are none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proxies {
    /// Whoever is believed; what anybody else says of clients counts nothing.
    pub trusted: Vec<Trusted>,
    /// How they say whom they bring.
    pub client: ClientFrom,
}

/// Somebody who is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trusted {
    /// Whoever has an address of this network.
    Network(Network),
    /// Whoever comes by a Unix socket.
    Unix,
}

/// Where a trusted proxy says whom it brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientFrom {
    /// Nowhere: the address of a connection is that of its peer.
    #[default]
    Nowhere,
    /// Before everything else on each connection: the PROXY protocol, version 1 or 2.
    ProxyProtocol,
    /// In `X-Forwarded-For` of each request.
    XForwardedFor,
    /// In `Forwarded` of each request (RFC 7239).
    Forwarded,
}

impl Proxies {
    /// Whether this peer is a proxy that is believed.
    pub fn trusts(&self, peer: Peer) -> bool {
        let is_known = |trusted: &Trusted| match (trusted, peer.ip()) {
            (Trusted::Network(network), Some(ip)) => network.contains(ip),
            (Trusted::Unix, None) => true,
            _ => false,
        };
        self.trusted.iter().any(is_known)
    }

    /// Whether whoever comes from this peer is somebody whom it brings, as it says.
    pub fn bring(&self, peer: Peer) -> bool {
        self.client != ClientFrom::Nowhere && self.trusts(peer)
    }
}

/// As it is written in a configuration.
impl fmt::Display for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trusted::Unix => f.write_str("unix"),
            Trusted::Network(network) => network.fmt(f),
        }
    }
}

impl ClientFrom {
    const ALL: [ClientFrom; 4] = [
        ClientFrom::Nowhere,
        ClientFrom::ProxyProtocol,
        ClientFrom::XForwardedFor,
        ClientFrom::Forwarded,
    ];

    /// As it is written in a configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            ClientFrom::Nowhere => "none",
            ClientFrom::ProxyProtocol => "proxy-protocol",
            ClientFrom::XForwardedFor => "x-forwarded-for",
            ClientFrom::Forwarded => "forwarded",
        }
    }
}

/// One of those who are believed, as it is written.
pub(super) fn trusted(written: &Written) -> Result<Trusted, String> {
    match written.text() {
        Some("unix") => Ok(Trusted::Unix),
        _ => units::network(written)
            .map(Trusted::Network)
            .map_err(|error| format!("{error}, or \"unix\" for whoever comes by a Unix socket")),
    }
}

/// Where they say it, as it is written.
pub(super) fn client(written: &Written) -> Result<ClientFrom, String> {
    let text = written.text().unwrap_or_default();
    let found = ClientFrom::ALL
        .into_iter()
        .find(|from| from.as_str() == text);
    found.ok_or_else(|| {
        written.but_expected("\"none\", \"proxy-protocol\", \"x-forwarded-for\" or \"forwarded\"")
    })
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn nobody_is_trusted_who_was_not_named() {
        let trusts = |list: &[Trusted], peer| {
            let proxies = Proxies {
                trusted: list.to_vec(),
                client: ClientFrom::Forwarded,
            };
            proxies.trusts(peer)
        };
        let peer = |text: &str| Peer::from(text.parse::<IpAddr>().unwrap());
        let loopback = [Trusted::Network("127.0.0.0/8".parse().unwrap())];
        assert!(trusts(&loopback, peer("127.0.0.1")));
        assert!(trusts(&loopback, peer("::ffff:127.0.0.1")));
        assert!(!trusts(&loopback, peer("192.0.2.1")));
        assert!(!trusts(&loopback, Peer::Unix));
        assert!(trusts(&[Trusted::Unix], Peer::Unix));
        assert!(!trusts(&[Trusted::Unix], peer("127.0.0.1")));
        assert!(!trusts(&[], Peer::Unix));
    }
}
