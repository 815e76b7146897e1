//! Which proxies are believed when they say whom they bring, and how they say it.

use std::fmt;
use std::net::IpAddr;

use super::written::Written;
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

/// Addresses that begin with the same bits, in CIDR notation (RFC 4632, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// How many bits they share.
    prefix: u8,
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
}

impl Network {
    /// Whether this address, which is no IPv4 one in an IPv6 one, is in it.
    pub fn contains(self, ip: IpAddr) -> bool {
        match (self.address, ip) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => {
                masked(own.to_bits().into(), self.prefix, 32)
                    == masked(ip.to_bits().into(), self.prefix, 32)
            }
            (IpAddr::V6(own), IpAddr::V6(ip)) => {
                masked(own.to_bits(), self.prefix, 128) == masked(ip.to_bits(), self.prefix, 128)
            }
            _ => false,
        }
    }

    /// Of an address, alone or with a prefix behind a slash, whose bits behind the prefix are 0.
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        // Peers are compared as IPv4 addresses, so this would match nobody.
        if address.to_canonical() != address {
            return None;
        }
        let (bits, width) = match address {
            IpAddr::V4(address) => (address.to_bits().into(), 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let is_number = |text: &&str| text.bytes().all(|b| b.is_ascii_digit());
        let prefix = match prefix {
            Some(prefix) => Some(prefix).filter(is_number)?.parse().ok()?,
            None => width,
        };
        let is_whole = prefix <= width && masked(bits, prefix, width) == bits;
        is_whole.then_some(Network { address, prefix })
    }
}

/// The first `prefix` of `width` bits.
fn masked(bits: u128, prefix: u8, width: u8) -> u128 {
    let rest = u32::from(width.saturating_sub(prefix));
    let without = bits.checked_shr(rest).unwrap_or(0);
    without.checked_shl(rest).unwrap_or(0)
}

/// As it is written in a configuration.
impl fmt::Display for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trusted::Unix => f.write_str("unix"),
            Trusted::Network(Network { address, prefix }) => match (address, prefix) {
                (IpAddr::V4(_), 32) | (IpAddr::V6(_), 128) => address.fmt(f),
                _ => write!(f, "{address}/{prefix}"),
            },
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
    let text = written.text().unwrap_or_default();
    if text == "unix" {
        return Ok(Trusted::Unix);
    }
    Network::parse(text).map(Trusted::Network).ok_or_else(|| {
        written.but_expected(
            "the address of a proxy, such as \"10.0.0.7\"; a network of proxies from its first address on, such as \
             \"10.0.0.0/8\" or \"2001:db8::/32\"; or \"unix\" for whoever comes by a Unix socket",
        )
    })
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
    use super::*;

    fn network(text: &str) -> Network {
        Network::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn a_network_holds_the_addresses_that_begin_as_it_does() {
        for (text, within, outside) in [
            ("10.0.0.7", "10.0.0.7", "10.0.0.8"),
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("192.0.2.128/25", "192.0.2.128", "192.0.2.127"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "ffff::", "127.0.0.1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::1", "::1", "::2"),
        ] {
            let contains = |ip: &str| network(text).contains(ip.parse().unwrap());
            assert!(contains(within) && !contains(outside), "{text}");
            assert_eq!(Trusted::Network(network(text)).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_network_is_none() {
        for text in [
            "",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/-1",
            "10.0.0.0/256",
            "10.0.0.1/8",
            "2001:db8::1/32",
            "::/129",
            "10.0.0/8",
            "10.0.0.0/8/8",
            "localhost",
            "::ffff:10.0.0.1",
            "[::1]",
            "10.0.0.1:80",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }

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
        let loopback = [Trusted::Network(network("127.0.0.0/8"))];
        assert!(trusts(&loopback, peer("127.0.0.1")));
        assert!(trusts(&loopback, peer("::ffff:127.0.0.1")));
        assert!(!trusts(&loopback, peer("192.0.2.1")));
        assert!(!trusts(&loopback, Peer::Unix));
        assert!(trusts(&[Trusted::Unix], Peer::Unix));
        assert!(!trusts(&[Trusted::Unix], peer("127.0.0.1")));
        assert!(!trusts(&[], Peer::Unix));
    }
}
