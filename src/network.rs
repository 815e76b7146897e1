//! A block of IP addresses (RFC 4632): as the configuration names one, and as what counts as one client.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// All addresses that begin with the same bits. An IPv4 address in an IPv6 one (`::ffff:192.0.2.1`) stands as itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    /// The first address: all bits behind the prefix are 0.
    first: IpAddr,
    prefix: u8,
}

impl Network {
    /// What belongs to one client: its IPv4 address, or the /64 of its IPv6 address, of which a single machine has all
    /// (RFC 7421) and may use another one for each connection.
    pub fn of_client(address: IpAddr) -> Self {
        match address.to_canonical() {
            address @ IpAddr::V4(_) => Network {
                first: address,
                prefix: 32,
            },
            address @ IpAddr::V6(_) => Network {
                first: masked(address, 64),
                prefix: 64,
            },
        }
    }

    /// This machine's own addresses.
    pub fn loopback() -> [Self; 2] {
        let v4 = Network {
            first: Ipv4Addr::new(127, 0, 0, 0).into(),
            prefix: 8,
        };
        let v6 = Network {
            first: Ipv6Addr::LOCALHOST.into(),
            prefix: 128,
        };
        [v4, v6]
    }

    /// Whether `address` is one of these.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let is_like = address.is_ipv4() == self.first.is_ipv4();
        is_like && masked(address, self.prefix) == self.first
    }
}

/// An address whose bits behind the prefix are 0.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix));
            Ipv4Addr::from_bits(v4.to_bits() & mask.unwrap_or(0)).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix));
            Ipv6Addr::from_bits(v6.to_bits() & mask.unwrap_or(0)).into()
        }
    }
}

/// Why a text is no network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkError {
    /// Neither an address nor one with the length of a prefix.
    Malformed,
    /// An address within the network; this is the network.
    HostBits(Network),
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Malformed)?;
        let canonical = address.to_canonical();
        let most = if canonical.is_ipv4() { 32 } else { 128 };
        let prefix = match length {
            None => most,
            // The bits of a mapped address are counted from its own beginning.
            Some(_) if canonical != address => return Err(NetworkError::Malformed),
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(|_| NetworkError::Malformed)?
            }
            Some(_) => return Err(NetworkError::Malformed),
        };
        if prefix > most {
            return Err(NetworkError::Malformed);
        }
        let network = Network {
            first: masked(canonical, prefix),
            prefix,
        };
        match network.first == canonical {
            true => Ok(network),
            false => Err(NetworkError::HostBits(network)),
        }
    }
}

/// As it is written: one address alone, or the first one with the length of the prefix.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.prefix) {
            (IpAddr::V4(v4), 32) => v4.fmt(f),
            (IpAddr::V6(v6), 128) => v6.fmt(f),
            (first, prefix) => write!(f, "{first}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> Network {
        Network::of_client(address.parse().unwrap())
    }

    #[test]
    fn one_client_is_an_ipv4_address_or_the_first_half_of_an_ipv6_one() {
        assert_eq!(client("192.0.2.1"), client("::ffff:192.0.2.1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
        assert_eq!(client("2001:db8:1:2::1"), client("2001:db8:1:2:ffff::9"));
        assert_ne!(client("2001:db8:1:2::1"), client("2001:db8:1:3::1"));
        assert_eq!(client("2001:db8:1:2::1").to_string(), "2001:db8:1:2::/64");
    }

    #[test]
    fn a_network_has_the_addresses_that_begin_like_it() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "2001:db8::1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("fd00::/8", "fdff::1", "fe80::1"),
            ("::1", "::1", "::2"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
            ("0.0.0.0/0", "192.0.2.1", "::1"),
        ] {
            let parsed: Network = network.parse().unwrap();
            assert_eq!(parsed.to_string(), network);
            assert!(parsed.contains(inside.parse().unwrap()), "{network}");
            assert!(!parsed.contains(outside.parse().unwrap()), "{network}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused_and_one_inside_is_named() {
        for text in [
            "",
            "/8",
            "10/8",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "::ffff:10.0.0.0/104",
            "localhost",
            "10.0.0.0/8/8",
        ] {
            let error = text.parse::<Network>().unwrap_err();
            assert_eq!(error, NetworkError::Malformed, "{text}");
        }
        let inside = "10.1.2.3/8".parse::<Network>();
        let meant = "10.0.0.0/8".parse().unwrap();
        assert_eq!(inside, Err(NetworkError::HostBits(meant)));
    }

    #[test]
    fn loopback_is_what_the_system_calls_so() {
        for address in ["127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1"] {
            let address = address.parse().unwrap();
            assert!(Network::loopback().iter().any(|own| own.contains(address)));
        }
    }
}
