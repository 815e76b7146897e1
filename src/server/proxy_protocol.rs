//! What a proxy says before everything else on a connection: the header of HAProxy's PROXY protocol, versions 1 and 2.
//! Pure: bytes become a header, or the number of bytes that may be read without taking any of what comes behind it.

use std::net::{IpAddr, SocketAddr};

/// The most bytes of version 1, its line end among them (section 2.1).
const V1_MOST: usize = 107;
/// The most bytes of version 2: what a proxy can be sure to send in one segment (section 2.2).
const V2_MOST: usize = 536;
/// What version 2 begins with.
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, command, family and length.
const V2_FIXED: usize = 16;
/// No header of either version is shorter: `PROXY UNKNOWN` with its line end.
const LEAST: usize = 15;

/// What a proxy says of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// It brings this client.
    Client(SocketAddr),
    /// It is there itself, to see whether the server is well; or it does not say whom it brings.
    Itself,
}

/// How far the header is.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many bytes more may be read, and are there if this is a header.
    Wants(usize),
    /// It is whole.
    Done(Header),
}

/// What begins a connection is no such header.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// Reads what came so far, which is never more than what the calls before wanted: 536 bytes at most in all.
///
/// # Errors
/// What is wrong with it, as the rest of a sentence.
pub fn parse(bytes: &[u8]) -> Result<Progress, Malformed> {
    let is_v1 = bytes.iter().zip(b"PROXY ").all(|(a, b)| a == b);
    let is_v2 = bytes.iter().zip(V2_SIGNATURE).all(|(a, b)| a == b);
    if !is_v1 && !is_v2 {
        return Err(Malformed("it does not begin with such a header"));
    }
    match LEAST.saturating_sub(bytes.len()) {
        0 if is_v1 => parse_v1(bytes),
        0 => parse_v2(bytes),
        missing => Ok(Progress::Wants(missing)),
    }
}

fn parse_v1(bytes: &[u8]) -> Result<Progress, Malformed> {
    let Some(line) = bytes.strip_suffix(b"\n") else {
        // Where the line ends nobody knows before it is there.
        return match bytes.len() < V1_MOST {
            true => Ok(Progress::Wants(1)),
            false => Err(Malformed("its line has no end within 107 bytes")),
        };
    };
    let line = line.strip_suffix(b"\r").map(str::from_utf8);
    let Some(Ok(line)) = line else {
        return Err(Malformed("its line is not text that ends in CR and LF"));
    };
    // A proxy may say more behind it, which means nothing.
    if line == "PROXY UNKNOWN" || line.starts_with("PROXY UNKNOWN ") {
        return Ok(Progress::Done(Header::Itself));
    }
    let words: Vec<&str> = line.split(' ').collect();
    let client = match words[..] {
        ["PROXY", family, from, to, from_port, to_port] => {
            v1_client(family, [from, to], [from_port, to_port])
        }
        _ => None,
    };
    let client = client.ok_or(Malformed("its line is not two addresses and two ports"))?;
    Ok(Progress::Done(Header::Client(client)))
}

fn v1_client(family: &str, addresses: [&str; 2], ports: [&str; 2]) -> Option<SocketAddr> {
    let address = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => Some(IpAddr::V4(text.parse().ok()?)),
            "TCP6" => Some(IpAddr::V6(text.parse().ok()?)),
            _ => None,
        }
    };
    // Without a sign or a leading zero.
    let port = |text: &str| -> Option<u16> {
        let port: u16 = text.parse().ok()?;
        (port.to_string() == text).then_some(port)
    };
    let ([from, to], [from_port, to_port]) = (addresses.map(address), ports.map(port));
    let _ours = (to?, to_port?);
    Some(SocketAddr::new(from?, from_port?))
}

fn parse_v2(bytes: &[u8]) -> Result<Progress, Malformed> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<V2_FIXED>() else {
        return Ok(Progress::Wants(V2_FIXED.saturating_sub(bytes.len())));
    };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > V2_MOST - V2_FIXED {
        return Err(Malformed("it is longer than 536 bytes"));
    }
    if command >> 4 != 2 {
        return Err(Malformed("its version is neither 1 nor 2"));
    }
    match length.checked_sub(rest.len()) {
        Some(0) => {}
        Some(missing) => return Ok(Progress::Wants(missing)),
        None => return Err(Malformed("there is more than its length says")),
    }
    const CUT_SHORT: Malformed = Malformed("its addresses are cut short");
    let found = |client| Progress::Done(Header::Client(client));
    // What stands behind the addresses (TLVs) is for others.
    match (command & 0x0f, family) {
        // LOCAL: whatever stands there means nothing.
        (0, _) => Ok(Progress::Done(Header::Itself)),
        (1, 0x11) => v2_ipv4(rest).map(found).ok_or(CUT_SHORT),
        (1, 0x21) => v2_ipv6(rest).map(found).ok_or(CUT_SHORT),
        // No family, or by a Unix socket of the proxy's.
        (1, 0x00 | 0x31) => Ok(Progress::Done(Header::Itself)),
        (1, _) => Err(Malformed("its client did not come by TCP")),
        _ => Err(Malformed("its command is neither LOCAL nor PROXY")),
    }
}

/// From address, to address, from port, to port.
fn v2_ipv4(rest: &[u8]) -> Option<SocketAddr> {
    let &[a, b, c, d, _, _, _, _, high, low, _, _] = rest.first_chunk()?;
    let port = u16::from_be_bytes([high, low]);
    Some(SocketAddr::from(([a, b, c, d], port)))
}

fn v2_ipv6(rest: &[u8]) -> Option<SocketAddr> {
    let all = rest.first_chunk::<36>()?;
    let from: [u8; 16] = *all.first_chunk()?;
    let port: [u8; 2] = *all.get(32..)?.first_chunk()?;
    Some(SocketAddr::from((from, u16::from_be_bytes(port))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `bytes` in pieces of `piece`, as a connection does; what came of it and how much was taken.
    fn read(bytes: &[u8], piece: usize) -> (Result<Option<Header>, Malformed>, usize) {
        let mut taken = 0;
        loop {
            match parse(&bytes[..taken]) {
                Ok(Progress::Done(header)) => return (Ok(Some(header)), taken),
                Ok(Progress::Wants(0)) => panic!("nothing is wanted of {bytes:?}"),
                Ok(Progress::Wants(_)) if taken == bytes.len() => return (Ok(None), taken),
                Ok(Progress::Wants(most)) => taken += most.min(piece).min(bytes.len() - taken),
                Err(malformed) => return (Err(malformed), taken),
            }
        }
    }

    /// Whatever the pieces, nothing of what is behind the header is taken.
    fn header(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
        let with_more = [bytes, b"GET / HTTP/1.1\r\n\r\n"].concat();
        for piece in [1, 7, 10_000] {
            let (outcome, taken) = read(&with_more, piece);
            if outcome.is_ok() {
                assert_eq!(taken, bytes.len(), "{bytes:?} in pieces of {piece}");
            }
        }
        read(&with_more, 10_000).0
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&V2_SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    /// Two addresses and two ports.
    fn addresses(width: usize, from: &[u8], port: u16) -> Vec<u8> {
        [from, &vec![9; width], &port.to_be_bytes(), &[9, 9]].concat()
    }

    fn client(address: &str) -> Result<Option<Header>, Malformed> {
        Ok(Some(Header::Client(address.parse().unwrap())))
    }

    const ITSELF: Result<Option<Header>, Malformed> = Ok(Some(Header::Itself));

    #[test]
    fn version_1_names_a_client_or_none() {
        for (line, expected) in [
            (
                "TCP4 192.0.2.1 192.0.2.9 51000 80",
                client("192.0.2.1:51000"),
            ),
            (
                "TCP4 255.255.255.255 255.255.255.255 65535 65535",
                client("255.255.255.255:65535"),
            ),
            ("TCP4 192.0.2.1 192.0.2.9 0 0", client("192.0.2.1:0")),
            (
                "TCP6 2001:db8::1 ::1 51000 80",
                client("[2001:db8::1]:51000"),
            ),
            ("UNKNOWN", ITSELF),
            ("UNKNOWN ffff::1 ffff::2 65535 65535", ITSELF),
        ] {
            assert_eq!(
                header(format!("PROXY {line}\r\n").as_bytes()),
                expected,
                "{line}"
            );
        }
    }

    #[test]
    fn version_1_is_refused_when_anything_is_wrong_with_it() {
        for line in [
            "PROXY \r\n",
            "PROXY UNKNOWNS\r\n",
            "PROXY TCP4\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.9 1\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.9 1 2 3\r\n",
            "PROXY TCP4  192.0.2.1 192.0.2.9 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.9 1 2 \r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.9 1 2\n",
            "PROXY TCP4 2001:db8::1 ::1 1 2\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.9 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.256 1 2\r\n",
            "PROXY TCP4 192.0.2.01 192.0.2.9 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.9 65536 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.9 1 -2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.9 +1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.9 01 2\r\n",
            "PROXY TCP4 192.0.2.1\t192.0.2.9 1 2\r\n",
            "PROXY UDP4 192.0.2.1 192.0.2.9 1 2\r\n",
            "PROXY tcp4 192.0.2.1 192.0.2.9 1 2\r\n",
            "PROXY TCP4 \r192.0.2.1 192.0.2.9 1 2\r\n",
            "proxy TCP4 192.0.2.1 192.0.2.9 1 2\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "PROXX",
            "\n",
        ] {
            assert!(header(line.as_bytes()).is_err(), "{line:?}");
        }
        assert!(header(b"PROXY TCP4 \xff.0.2.1 192.0.2.9 1 2\r\n").is_err());
    }

    #[test]
    fn version_1_ends_within_107_bytes() {
        let line = |length: usize| {
            let text = format!("PROXY UNKNOWN {}", "x".repeat(length - 16));
            format!("{text}\r\n").into_bytes()
        };
        assert_eq!(header(&line(107)), ITSELF);
        assert!(header(&line(108)).is_err());
        assert!(header(&[b"PROXY ", &[b'x'; 10_000][..]].concat()).is_err());
    }

    #[test]
    fn version_2_names_a_client_or_none() {
        let six = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        let four = addresses(4, &[192, 0, 2, 1], 51_000);
        let with_more = [&four[..], &[4, 0, 2, 1, 1]].concat();
        for (bytes, expected) in [
            (v2(0x21, 0x11, &four), client("192.0.2.1:51000")),
            (v2(0x21, 0x11, &with_more), client("192.0.2.1:51000")),
            (
                v2(0x21, 0x21, &addresses(16, &six, 1)),
                client("[2001:db8::1]:1"),
            ),
            (v2(0x21, 0x00, &[]), ITSELF),
            (v2(0x21, 0x00, &[1; 100]), ITSELF),
            (v2(0x21, 0x31, &[0; 216]), ITSELF),
            (v2(0x20, 0x00, &[]), ITSELF),
            (v2(0x20, 0x11, &four), ITSELF),
            (v2(0x20, 0xff, &[1; 3]), ITSELF),
            (v2(0x21, 0x00, &[1; 520]), ITSELF),
        ] {
            assert_eq!(header(&bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn version_2_is_refused_when_anything_is_wrong_with_it() {
        let four = addresses(4, &[192, 0, 2, 1], 51_000);
        for bytes in [
            v2(0x11, 0x11, &four),
            v2(0x31, 0x11, &four),
            v2(0x22, 0x11, &four),
            v2(0x2f, 0x11, &four),
            v2(0x21, 0x12, &four),
            v2(0x21, 0x22, &[0; 36]),
            v2(0x21, 0x10, &four),
            v2(0x21, 0x41, &four),
            v2(0x21, 0x11, &four[..11]),
            v2(0x21, 0x11, &[]),
            v2(0x21, 0x21, &[0; 35]),
            v2(0x21, 0x00, &[1; 521]),
            v2(0x21, 0x00, &[1; 65_535]),
        ] {
            assert!(header(&bytes).is_err(), "{bytes:?}");
        }
        let mut other = v2(0x21, 0x11, &four);
        other[11] = b'\r';
        assert!(header(&other).is_err());
    }

    #[test]
    fn a_header_that_is_cut_anywhere_wants_more() {
        let four = v2(0x21, 0x11, &addresses(4, &[192, 0, 2, 1], 1));
        for whole in [&four[..], b"PROXY TCP4 192.0.2.1 192.0.2.9 1 2\r\n"] {
            for end in 0..whole.len() {
                assert_eq!(read(&whole[..end], 10_000).0, Ok(None), "{end}");
            }
        }
    }
}
