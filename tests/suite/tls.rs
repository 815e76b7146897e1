//! What is particular to TLS: whom it is spoken with and with whom it is not, certificates that are renewed, and bytes
//! that do not fit. That everything else is the same over it is shown by all other tests, with `SUITE_TLS` set.

mod records;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fourcast::config::Config;
use rustls::ProtocolVersion;
use rustls::version::{TLS12, TLS13};
use serde_json::json;

use crate::support::tls::{self, Identity, secured};
use crate::support::wire::Arrival;
use crate::support::{
    Fixture, Frame, Listener, PATIENCE, Response, Told, Way, WebSocket, Wire, deadline, request,
};

fn connect(server: &Fixture) -> TcpStream {
    let socket = TcpStream::connect(server.address).expect("a connection");
    socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
    socket
}

/// All that comes on a bare socket until it ends.
fn rest(mut socket: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A connection that is reset has ended too.
    let _ = socket.read_to_end(&mut bytes);
    bytes
}

/// A server that has little room for what nobody reads.
fn narrow() -> Fixture {
    Fixture::secured(|config| config.limits.send_buffer = 8 * 1024)
}

#[test]
fn both_versions_are_spoken_and_http_1_1_is_agreed_on() {
    let server = Fixture::secured(|_| {});
    for (version, name) in [
        (&TLS12, ProtocolVersion::TLSv1_2),
        (&TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let mut stream = secured(connect(&server), &tls::authorities(), &[version]);
        stream.conn.set_buffer_limit(None);
        stream
            .write_all(&request("GET", "/chat", &[("Connection", "close")], b""))
            .expect("a request");
        let mut answer = Vec::new();
        // An end without close_notify would be an error here.
        stream.read_to_end(&mut answer).expect("a whole answer");
        assert!(answer.starts_with(b"HTTP/1.1 200 "));
        assert_eq!(stream.conn.protocol_version(), Some(name));
    }
}

#[test]
fn every_way_brings_what_it_brings_without_tls() {
    for versions in [rustls::ALL_VERSIONS, tls::ONLY_1_2] {
        let server = Fixture::secured(|_| {});
        server.speaking.as_ref().expect("it is spoken").by(versions);
        let mut listeners = Way::ALL.map(|way| Listener::open(way, &server, "/chat"));
        for text in ["one", "two"] {
            server.publish("chat", text);
            for listener in &mut listeners {
                assert_eq!(listener.next_event().text(), text);
            }
        }
    }
}

#[test]
fn plain_http_where_tls_is_spoken_is_told_so() {
    let server = Fixture::secured(|_| {});
    let mut socket = connect(&server);
    let asked = request("GET", "/chat", &[], b"");
    socket.write_all(&asked).expect("a request");
    let answer = String::from_utf8(rest(&socket)).expect("text");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("use https://"), "{answer}");
    server.assert_serves();
}

#[test]
fn tls_where_plain_http_is_spoken_is_told_so() {
    let server = Fixture::bare();
    let mut stream = secured(connect(&server), &tls::authorities(), &[]);
    let mut hello = Vec::new();
    stream.conn.write_tls(&mut hello).expect("a hello");
    stream.sock.write_all(&hello).expect("a hello");
    let answer = String::from_utf8(rest(&stream.sock)).expect("text");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("plain HTTP"), "{answer}");
}

#[test]
fn garbage_is_closed_and_costs_nobody_anything() {
    let server = Fixture::secured(|_| {});
    let fake = [&b"\x16\x03\x01\x40\x00"[..], &[0xff; 200]].concat();
    for garbage in [&b"\0\0\0\0"[..], b"\x80\x2e\x01\x03", b"\x15\x03", &fake] {
        let mut socket = connect(&server);
        socket.write_all(garbage).expect("bytes");
        let told = rest(&socket);
        assert!(!told.starts_with(b"HTTP"), "{}", told.escape_ascii());
    }
    server.assert_serves();
}

#[test]
fn half_a_handshake_is_closed_when_its_time_is_over() {
    let server = Fixture::secured(|config| {
        config.timeouts.handshake = Duration::from_millis(300);
        config.timeouts.head = PATIENCE * 10;
    });
    let mut stream = secured(connect(&server), &tls::authorities(), &[]);
    let mut hello = Vec::new();
    stream.conn.write_tls(&mut hello).expect("a hello");
    for begun in [
        &hello[..0],
        &hello[..1],
        &hello[..hello.len() / 2],
        &hello[..],
    ] {
        let mut socket = connect(&server);
        socket.write_all(begun).expect("half a handshake");
        let begin = Instant::now();
        rest(&socket);
        assert!(begin.elapsed() < PATIENCE, "{} bytes", begun.len());
    }
    server.assert_serves();
}

#[test]
fn whoever_trickles_a_handshake_is_closed_when_its_time_is_over() {
    let server = Fixture::secured(|config| {
        config.timeouts.handshake = Duration::from_millis(300);
    });
    let mut stream = secured(connect(&server), &tls::authorities(), &[]);
    let mut hello = Vec::new();
    stream.conn.write_tls(&mut hello).expect("a hello");
    let mut wire = Wire::bare(connect(&server));
    // Never whole: a second hello would be closed for what it is. All of it takes seconds.
    for byte in &hello[..hello.len() - 1] {
        if wire.try_send([*byte]).is_err() || wire.pause() == Arrival::End {
            return;
        }
    }
    panic!("its time did not end while it went on");
}

#[test]
fn what_a_trusted_proxy_says_comes_before_the_handshake() {
    let server = Fixture::secured(|config| {
        let text = "[access]\nmode = \"open\"\n[proxies]\ntrusted = [\"127.0.0.1\"]\nclient = \"proxy-protocol\"";
        let said = Config::from_toml(text).expect("a configuration");
        (config.access, config.proxies) = (said.access, said.proxies);
    });
    let mut stream = secured(connect(&server), &tls::authorities(), &[]);
    // In one piece, as it arrives where the network is fast.
    let mut first = b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 443\r\n".to_vec();
    stream.conn.write_tls(&mut first).expect("a hello");
    stream.sock.write_all(&first).expect("a hello");
    let mut wire = Wire::secured(stream);
    wire.send(request("GET", "/chat", &[], b""));
    assert_eq!(Response::read(&mut wire, "GET").status(), 200);
}

#[test]
fn a_full_server_refuses_over_tls_too() {
    let server = Fixture::secured(|config| config.limits.connections = 1);
    let _place = Listener::open(Way::Sse, &server, "/chat");
    let refused = server.get("/chat", &[]);
    assert_eq!(refused.status(), 503);
    let refused = server.get("/chat", &[("Accept", "text/event-stream")]);
    assert_eq!(refused.status(), 200, "for the sake of EventSource");
}

#[test]
fn a_renewed_certificate_counts_for_those_who_come_and_the_others_stay() {
    let identity = Identity::new(directory("renewed"));
    let server = Fixture::secured(|config| config.tls = identity.settings());
    let wire = |authorities: &Path| Wire::secured(secured(connect(&server), authorities, &[]));
    let old = directory("renewed").join("old.pem");
    std::fs::copy(identity.certificate(), &old).expect("a copy");
    let mut before = WebSocket::open_on(wire(&old), "/chat", &[]);
    before.next_op("welcome");
    let new = identity.renew();
    wait_until("it is shown", || {
        shown(&server, &identity.certificate()) == Some(new.to_vec())
    });
    assert_eq!(shown(&server, &old), None);
    before.operate(json!({"op": "ping", "ref": 1}));
    before.next_op("ack");
    // One that cannot be used changes nothing.
    std::fs::write(identity.certificate(), "nothing").expect("a file");
    std::fs::write(&old, pem(&new)).expect("a file");
    server.reread();
    assert_eq!(shown(&server, &old), Some(new.to_vec()));
    std::fs::remove_dir_all(directory("renewed")).expect("it goes");
}

fn directory(name: &str) -> PathBuf {
    let name = format!("{name}-{}", std::process::id());
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

/// The certificate that a new connection is shown; `None` when `authorities` do not vouch for it.
fn shown(server: &Fixture, authorities: &Path) -> Option<Vec<u8>> {
    let mut stream = secured(connect(server), authorities, &[]);
    stream.write_all(b"GET /-/healthy HTTP/1.0\r\n\r\n").ok()?;
    stream.read_to_end(&mut Vec::new()).ok()?;
    let chain = stream.conn.peer_certificates()?;
    chain.first().map(|certificate| certificate.to_vec())
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let end = deadline();
    while !is_so() {
        assert!(Instant::now() < end, "{what}: not in time");
        std::thread::yield_now();
    }
}

/// More than sockets and records hold, so that ciphertext is left in the middle again and again.
#[test]
fn a_slow_reader_gets_every_byte_in_order() {
    for way in [Way::Sse, Way::Ndjson, Way::WebSocket] {
        let server = narrow();
        let mut slow = Listener::open_slow(way, &server, "/chat");
        let texts: Vec<String> = (0..60_usize)
            .map(|n| format!("{n} {}", "x".repeat(n * 997 % 40_000)))
            .collect();
        for text in &texts {
            server.publish_embedded("chat", text);
        }
        for text in &texts {
            match slow.next() {
                Told::Event(event) => assert_eq!(event.text(), *text, "by {way:?}"),
                other => panic!("{other:?} by {way:?}"),
            }
        }
    }
}

/// Each publishes on the connection on which it hears the other, at the same time, without waiting.
#[test]
fn a_connection_reads_while_a_shard_writes() {
    const COUNT: usize = 300;
    let server = narrow();
    let mut sockets = [0, 1].map(|_| WebSocket::open(server.address, "/chat?format=raw"));
    let text = |n: usize| format!("{n} {}", "y".repeat(n * 61 % 3000));
    for n in 0..COUNT {
        sockets[n % 2].send(&Frame::text(text(n)));
    }
    for socket in &mut sockets {
        let mut heard: Vec<String> = (0..COUNT).map(|_| socket.next_text()).collect();
        heard.sort();
        let mut said: Vec<String> = (0..COUNT).map(text).collect();
        said.sort();
        assert!(heard == said);
    }
}

#[test]
fn a_large_answer_to_somebody_slow_is_whole() {
    let server = narrow();
    let text = "z".repeat(900_000);
    server.publish_embedded("chat", &text);
    let mut wire = server.connect().with_small_receive_buffer();
    wire.send(request("GET", "/chat?last=1", &[], b""));
    wire.pause();
    let answer = Response::read(&mut wire, "GET").json();
    assert_eq!(answer["events"][0]["data"], text);
}
