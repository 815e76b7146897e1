//! Records that bring nothing but TLS itself: new keys, ends, and empty ones.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustls::crypto::cipher::{MessageEncrypter, OutboundChunks, OutboundPlainMessage};
use rustls::{ConnectionTrafficSecrets, ContentType, ProtocolVersion, SupportedCipherSuite};
use serde_json::json;

use super::{connect, narrow};
use crate::support::tls::{self, Secured, secured};
use crate::support::{Fixture, PATIENCE, Response, Way, Wire, deadline, request};

const STREAMS: [Way; 3] = [Way::Sse, Way::Ndjson, Way::WebSocket];

/// The ways to say that nothing more will be sent.
const ENDS: [fn(&mut Wire); 3] = [Wire::finish, Wire::half_close, Wire::say_end];

/// Subscribes by `way`, and waits for the welcome.
fn subscribe(wire: &mut Wire, way: Way) {
    wire.send(request("GET", "/chat", &way.fields(), b""));
    let welcome = wire.take_through(b"welcome", deadline());
    welcome.expect("a welcome");
}

#[test]
fn new_keys_in_the_middle_of_a_stream_lose_nothing() {
    let server = Fixture::secured(|_| {});
    for way in STREAMS {
        let mut wire = server.connect();
        subscribe(&mut wire, way);
        for number in 0..5 {
            wire.take_new_keys();
            let text = format!("{number} by {way:?}");
            server.publish("chat", &text);
            let told = wire.take_through(text.as_bytes(), deadline());
            told.expect("an event");
        }
    }
}

#[test]
fn new_keys_that_are_asked_for_while_the_wire_is_full_come_in_their_turn() {
    for way in STREAMS {
        let server = narrow();
        let mut wire = server.connect().with_small_receive_buffer();
        subscribe(&mut wire, way);
        let texts: Vec<String> = (0..60)
            .map(|number| format!("{} <{number}>", "x".repeat(20_000)))
            .collect();
        for text in &texts {
            server.publish_embedded("chat", text);
        }
        for (number, text) in texts.iter().enumerate() {
            if number % 3 == 0 {
                wire.take_new_keys();
            }
            let told = wire.take_through(format!("<{number}>").as_bytes(), deadline());
            let told = String::from_utf8_lossy(&told.expect("an event")).into_owned();
            assert!(told.contains(text), "{number} by {way:?}");
        }
    }
}

#[test]
fn a_body_that_ends_too_early_is_not_published_whatever_its_end() {
    let server = Fixture::secured(|_| {});
    for end in ENDS {
        let mut wire = server.connect();
        let whole = request("POST", "/chat", &[], b"all of it");
        wire.send(&whole[..whole.len() - 3]);
        end(&mut wire);
        assert_eq!(Response::read(&mut wire, "POST").status(), 400);
        wire.expect_end();
    }
    assert_eq!(server.get("/chat", &[]).json()["events"], json!([]));
}

#[test]
fn whatever_the_end_of_a_peer_its_connection_ends() {
    let server = Fixture::secured(|config| config.timeouts.idle = PATIENCE * 10);
    for end in ENDS {
        let mut kept = server.connect();
        kept.send(request("GET", "/chat", &[], b""));
        assert_eq!(Response::read(&mut kept, "GET").status(), 200);
        end(&mut kept);
        kept.expect_end();
        for way in STREAMS {
            let mut wire = server.connect();
            subscribe(&mut wire, way);
            end(&mut wire);
            wire.take_rest(deadline());
        }
    }
}

/// What is written on a connection once its keys are known.
struct Records {
    socket: TcpStream,
    encrypter: Box<dyn MessageEncrypter>,
    sequence: u64,
}

impl Records {
    fn behind(stream: Secured) -> Self {
        let (connection, socket) = stream.into_parts();
        let Some(SupportedCipherSuite::Tls13(suite)) = connection.negotiated_cipher_suite() else {
            panic!("it is not TLS 1.3");
        };
        let secrets = connection.dangerous_extract_secrets().expect("secrets");
        let (sequence, ConnectionTrafficSecrets::Aes256Gcm { key, iv }) = secrets.tx else {
            panic!("it is not the suite that both like best");
        };
        Records {
            socket,
            encrypter: suite.aead_alg.encrypter(key, iv),
            sequence,
        }
    }

    fn next(&mut self, plaintext: &[u8]) -> Vec<u8> {
        let message = OutboundPlainMessage {
            typ: ContentType::ApplicationData,
            version: ProtocolVersion::TLSv1_2,
            payload: OutboundChunks::Single(plaintext),
        };
        let record = self.encrypter.encrypt(message, self.sequence);
        self.sequence += 1;
        record.expect("a record").encode()
    }
}

/// As many as the library lets pass, and a byte, without a pause.
#[test]
fn records_without_plaintext_win_nobody_time() {
    let server = Fixture::secured(|config| config.timeouts.body = Duration::from_millis(300));
    let mut stream = secured(connect(&server), &tls::authorities(), &[]);
    let begun = request("POST", "/chat", &[("Content-Length", "1000000")], b"");
    stream.write_all(&begun).expect("a head");
    let mut records = Records::behind(stream);
    let end = deadline();
    loop {
        let mut flood: Vec<u8> = (0..31).flat_map(|_| records.next(b"")).collect();
        flood.extend(records.next(b"x"));
        if records.socket.write_all(&flood).is_err() {
            break;
        }
        assert!(Instant::now() < end, "it goes on for ever");
    }
    server.assert_serves();
    assert_eq!(server.get("/chat", &[]).json()["events"], json!([]));
}
