//! Keys that have encrypted as much as they may, as after 2^24 records by AES-GCM (RFC 8446, section 5.5).

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::{
    CipherSuiteCommon, ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig,
    ServerConnection, SupportedCipherSuite, SupportedProtocolVersion, Tls12CipherSuite,
    Tls13CipherSuite, version,
};

use super::*;

/// How many records a key is good for, in these tests.
const LIMIT: u64 = 8;

/// A suite of AES-GCM whose keys are used up soon.
fn suite(version: &SupportedProtocolVersion) -> SupportedCipherSuite {
    let limited = |common: &CipherSuiteCommon| CipherSuiteCommon {
        confidentiality_limit: LIMIT,
        ..*common
    };
    let suites = ring::ALL_CIPHER_SUITES.iter();
    let mut suites = suites.filter(|suite| suite.version() == version);
    match suites.next().unwrap() {
        SupportedCipherSuite::Tls12(suite) => {
            SupportedCipherSuite::Tls12(Box::leak(Box::new(Tls12CipherSuite {
                common: limited(&suite.common),
                ..**suite
            })))
        }
        SupportedCipherSuite::Tls13(suite) => {
            SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
                common: limited(&suite.common),
                ..**suite
            })))
        }
    }
}

/// A client whose keys are used up soon, and a server that cuts its messages into small records.
fn pair(version: &'static SupportedProtocolVersion) -> Pair {
    let certified = certified();
    let chain = vec![certified.cert.der().clone()];
    let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.clone(), certified.signing_key.into())
        .unwrap();
    server.max_fragment_size = Some(32);
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(chain);
    let provider = CryptoProvider {
        cipher_suites: vec![suite(version)],
        ..ring::default_provider()
    };
    let client = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = ClientConnection::new(Arc::new(client), "localhost".try_into().unwrap());
    Pair::of(
        Session::over(ServerConnection::new(Arc::new(server)).map(Connection::Server)).unwrap(),
        Session::over(client.map(Connection::Client)).unwrap(),
    )
}

/// What comes of sending byte after byte, and how many the other end gets.
fn send_all(pair: &mut Pair, most: u64) -> (Sent, u64) {
    let mut got = 0;
    for _ in 0..most {
        let mut end = End {
            from: &mut pair.to_client,
            to: &mut pair.to_server,
        };
        let sent = pair.client.send(&mut end, &[IoSlice::new(b"x")]);
        let mut end = End {
            from: &mut pair.to_server,
            to: &mut pair.to_client,
        };
        while let Ok(count @ 1..) = pair.server.receive(&mut end, |plaintext| plaintext.len()) {
            got += count as u64;
        }
        if sent != Sent::Some(1) {
            return (sent, got);
        }
    }
    (Sent::Some(1), got)
}

#[test]
fn keys_that_are_used_up_make_room_for_new_ones() {
    let most = 10 * LIMIT;
    assert_eq!(
        send_all(&mut pair(&version::TLS13), most),
        (Sent::Some(1), most)
    );
}

/// A peer that leaves a message of the handshake unfinished keeps us from changing keys.
#[test]
fn keys_that_are_used_up_and_cannot_be_replaced_end_the_connection() {
    let mut pair = pair(&version::TLS13);
    // The first record of a ticket, and no more.
    let length = u16::from_be_bytes([pair.to_client.bytes[3], pair.to_client.bytes[4]]);
    pair.to_client.bytes.truncate(5 + usize::from(length));
    assert!(pair.read().is_empty());
    let (sent, got) = send_all(&mut pair, 10 * LIMIT);
    assert_eq!(sent, Sent::Broken);
    assert!((1..=LIMIT).contains(&got), "{got}");
}

/// TLS 1.2 has no way to new keys: close_notify takes the last place.
#[test]
fn nothing_passes_for_sent_when_the_keys_of_tls_1_2_are_used_up() {
    let (sent, got) = send_all(&mut pair(&version::TLS12), 10 * LIMIT);
    assert_eq!(sent, Sent::Broken);
    assert!((1..=LIMIT).contains(&got), "{got}");
}
