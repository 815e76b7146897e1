//! The header of the PROXY protocol. However it comes in pieces it is the same header; nothing of what is behind it is
//! taken; and whom it names it names again when that is written down.

#![no_main]

use std::net::SocketAddr;

use fourcast::server::proxy_protocol::{Header, Progress, parse};
use libfuzzer_sys::fuzz_target;

/// What version 2 of a client begins with, up to its length.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21";
/// The most bytes of either version.
const MOST: usize = 536;

fuzz_target!(|input: &[u8]| {
    let (whole, taken) = read(input, input.len().max(1));
    for piece in [1, 7] {
        assert_eq!((whole, taken), read(input, piece), "pieces of {piece}");
    }
    assert!(taken <= MOST.min(input.len()));
    let Found::Whole(header) = whole else {
        return;
    };
    let behind = [&input[..taken], b"PROXY GET / \r\n\r\n\0"].concat();
    assert_eq!(read(&behind, behind.len()), (whole, taken));
    for end in 0..taken {
        assert_eq!(read(&input[..end], MOST).0, Found::Part, "{end}");
    }
    if let Header::Client(client) = header {
        for written in [v1(client), v2(client)] {
            assert_eq!(read(&written, MOST), (whole, written.len()));
        }
    }
});

/// What came of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Whole(Header),
    Part,
    Malformed,
}

/// Reads as a connection does, no more than is wanted; what was found, and how much was taken of what is whole.
fn read(input: &[u8], piece: usize) -> (Found, usize) {
    let mut taken = 0;
    loop {
        let left = input.len() - taken;
        match parse(&input[..taken]) {
            Ok(Progress::Done(header)) => return (Found::Whole(header), taken),
            Ok(Progress::Wants(0)) => panic!("nothing is wanted"),
            Ok(Progress::Wants(_)) if left == 0 => return (Found::Part, taken),
            Ok(Progress::Wants(most)) => taken += most.min(piece).min(left),
            // Where it was seen depends on the pieces.
            Err(_) => return (Found::Malformed, 0),
        }
    }
}

fn v1(client: SocketAddr) -> Vec<u8> {
    let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
    let (ip, port) = (client.ip(), client.port());
    format!("PROXY {family} {ip} {ip} {port} 80\r\n").into_bytes()
}

fn v2(client: SocketAddr) -> Vec<u8> {
    let (family, ip) = match client {
        SocketAddr::V4(v4) => (0x11, v4.ip().octets().to_vec()),
        SocketAddr::V6(v6) => (0x21, v6.ip().octets().to_vec()),
    };
    let port = client.port().to_be_bytes();
    let addresses = [&ip[..], &ip, &port, &port].concat();
    let length = u8::try_from(addresses.len()).expect("few bytes");
    [V2, &[family, 0, length], &addresses].concat()
}
