//! Behind proxies: whom a connection or a request is for counts when a trusted proxy says it, and never otherwise.

use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;

use fourcast::config::{ClientFrom, Config, Mode, Proxies};
use serde_json::Value;

use crate::listen::{self, Place};
use crate::support::{Fixture, Listener, Response, Way, Wire, exchange, request};

/// Version 2 of the PROXY protocol for a client at 192.0.2.7:4711, with a TLV behind it.
const V2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10\xc0\0\x02\x07\x7f\0\0\x01\x12\x67\0\x50\x04\0\x01x";
/// Version 2 of a proxy that looks whether the server is well.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
/// Version 1.
const V1: &[u8] = b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 80\r\n";

/// A server with an operator's port that believes `trusted`.
fn server(trusted: &str, client: ClientFrom, change: impl FnOnce(&mut Config)) -> Fixture {
    Fixture::start(|config| {
        config.access.mode = Mode::Open;
        config.admin.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        config.proxies = proxies(trusted, client);
        change(config);
    })
}

fn proxies(trusted: &str, client: ClientFrom) -> Proxies {
    let text = format!("[access]\nmode = \"open\"\n[proxies]\ntrusted = [{trusted}]");
    let proxies = Config::from_toml(&text).expect("a configuration").proxies;
    Proxies { client, ..proxies }
}

const LOOPBACK: &str = "\"127.0.0.1\"";
const SOMEBODY_ELSE: &str = "\"10.0.0.0/8\", \"unix\"";

/// The addresses of all who are connected, as the operator sees them.
fn addresses(server: &Fixture) -> Vec<String> {
    let answer = exchange(server.admin(), "GET", "/-/connections", &[], b"");
    let connections = &answer.json()["connections"];
    let connections = connections.as_array().expect("a list").iter();
    let address = |one: &Value| one["address"].as_str().expect("an address").to_owned();
    connections.map(address).collect()
}

/// Listens by `way` on a connection that begins with `preface`.
fn listen(server: &Fixture, way: Way, preface: &[u8], fields: &[(&str, &str)]) -> Listener {
    let mut wire = server.connect();
    wire.send_behind(preface, b"");
    Listener::open_on(way, wire, server.address, "/chat?after=now", fields)
}

#[test]
fn the_proxy_protocol_names_the_client_on_every_way() {
    let server = server(LOOPBACK, ClientFrom::ProxyProtocol, |_| {});
    for preface in [V1, V2] {
        for way in Way::ALL {
            let mut listener = listen(&server, way, preface, &[]);
            assert_eq!(addresses(&server), ["192.0.2.7:4711"], "{way:?}");
            let mut publisher = server.connect();
            publisher.send_behind(preface, request("POST", "/chat", &[], b"hello"));
            assert_eq!(Response::read(&mut publisher, "POST").status(), 201);
            assert_eq!(listener.next_event().text(), "hello");
            publisher.send(request("GET", "/chat", &[], b""));
            assert_eq!(Response::read(&mut publisher, "GET").status(), 200);
            drop((publisher, listener));
            wait_for_nobody(&server);
        }
    }
}

fn wait_for_nobody(server: &Fixture) {
    let mut pace = Wire::connect(server.admin());
    let end = crate::support::deadline();
    while !addresses(server).is_empty() {
        assert!(std::time::Instant::now() < end, "{:?}", addresses(server));
        pace.pause_briefly();
    }
}

#[test]
fn a_proxy_that_looks_whether_the_server_is_well_is_answered() {
    let server = server(LOOPBACK, ClientFrom::ProxyProtocol, |_| {});
    for preface in [LOCAL, b"PROXY UNKNOWN\r\n"] {
        let mut wire = server.connect();
        wire.send_behind(preface, request("GET", "/-/healthy", &[], b""));
        assert_eq!(Response::read(&mut wire, "GET").status(), 200);
    }
    // As one that only connects.
    drop(server.connect());
    let mut wire = server.connect();
    wire.send_behind(V1, request("GET", "/chat", &[], b""));
    assert_eq!(Response::read(&mut wire, "GET").status(), 200);
}

#[test]
fn a_header_that_comes_byte_by_byte_is_one() {
    let server = server(LOOPBACK, ClientFrom::ProxyProtocol, |_| {});
    for preface in [V1, V2] {
        let mut wire = server.connect();
        for byte in preface {
            wire.send_behind(&[*byte], b"");
        }
        wire.send(request("GET", "/chat", &[], b""));
        assert_eq!(Response::read(&mut wire, "GET").status(), 200);
    }
}

#[test]
fn a_trusted_connection_without_a_header_is_closed() {
    let server = server(LOOPBACK, ClientFrom::ProxyProtocol, |config| {
        config.timeouts.head = std::time::Duration::from_millis(100);
    });
    let plain = request("GET", "/chat", &[], b"");
    let cut = &V2[..V2.len() - 1];
    let udp = b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c\xc0\0\x02\x07\x7f\0\0\x01\x12\x67\0\x50";
    let long = [b"PROXY UNKNOWN ", &[b'x'; 200][..], b"\r\n"].concat();
    for preface in [
        &plain[..],
        cut,
        udp,
        &long,
        b"PROXY TCP4 192.0.2.7\r\n",
        b"PRO",
        b"",
    ] {
        let socket = TcpStream::connect(server.address).expect("a connection");
        // Nothing of TLS behind it, or a header that is cut off would become whole.
        let mut wire = Wire::bare(socket);
        // Some of it may be refused before all has been sent.
        let _ = wire.try_send(preface);
        wire.expect_end();
    }
}

#[test]
fn a_header_of_somebody_who_is_not_trusted_is_no_http() {
    let server = server(SOMEBODY_ELSE, ClientFrom::ProxyProtocol, |_| {});
    for preface in [V1, V2, LOCAL] {
        let mut wire = server.connect();
        wire.send([preface, &request("GET", "/chat", &[], b"")].concat());
        assert_eq!(Response::read(&mut wire, "GET").status(), 400);
    }
    assert_eq!(server.get("/chat", &[]).status(), 200);
}

#[test]
fn a_second_header_is_no_http() {
    let server = server(LOOPBACK, ClientFrom::ProxyProtocol, |_| {});
    let mut wire = server.connect();
    wire.send_behind(V1, [V1, &request("GET", "/chat", &[], b"")].concat());
    assert_eq!(Response::read(&mut wire, "GET").status(), 400);
}

#[test]
fn whoever_finds_no_permit_is_refused_behind_the_header_too() {
    let server = server(LOOPBACK, ClientFrom::ProxyProtocol, |config| {
        config.limits.connections = 1;
    });
    let _held = listen(&server, Way::Sse, V2, &[]);
    let mut wire = server.connect();
    wire.send_behind(V2, request("GET", "/chat", &[], b""));
    assert_eq!(Response::read(&mut wire, "GET").status(), 503);
}

#[test]
fn the_fields_of_a_trusted_proxy_name_the_client_on_every_way() {
    for (client, field) in [
        (
            ClientFrom::XForwardedFor,
            ("X-Forwarded-For", "6.6.6.6, 192.0.2.7, 127.0.0.1"),
        ),
        (
            ClientFrom::Forwarded,
            (
                "Forwarded",
                "for=\"6.6.6.6, for=192.0.2.7;proto=https, for=127.0.0.1",
            ),
        ),
    ] {
        let server = server(LOOPBACK, client, |_| {});
        for way in [Way::Sse, Way::Ndjson, Way::WebSocket] {
            let listener = listen(&server, way, b"", &[field]);
            assert_eq!(addresses(&server), ["192.0.2.7"], "{way:?}");
            drop(listener);
            wait_for_nobody(&server);
        }
    }
}

#[test]
fn each_request_of_a_kept_connection_has_a_client_of_its_own() {
    let server = server(LOOPBACK, ClientFrom::XForwardedFor, |_| {});
    let mut wire = server.connect();
    for client in ["192.0.2.1", "2001:db8::2"] {
        let fields = [("X-Forwarded-For", client)];
        wire.send(request("GET", "/chat", &fields, b""));
        assert_eq!(Response::read(&mut wire, "GET").status(), 200);
    }
    let fields = [Way::Sse.fields(), vec![("X-Forwarded-For", "192.0.2.3")]].concat();
    wire.send(request("GET", "/chat", &fields, b""));
    wire.take_through(b"welcome", crate::support::deadline());
    assert_eq!(addresses(&server), ["192.0.2.3"]);
}

#[test]
fn a_forged_field_of_a_stranger_changes_nothing() {
    let forged = [
        ("X-Forwarded-For", "192.0.2.7"),
        ("Forwarded", "for=192.0.2.7"),
        ("X-Real-IP", "192.0.2.7"),
    ];
    for (trusted, client) in [
        (SOMEBODY_ELSE, ClientFrom::XForwardedFor),
        (SOMEBODY_ELSE, ClientFrom::Forwarded),
        (SOMEBODY_ELSE, ClientFrom::ProxyProtocol),
        (LOOPBACK, ClientFrom::Nowhere),
    ] {
        let server = server(trusted, client, |_| {});
        for way in [Way::Sse, Way::Ndjson, Way::WebSocket] {
            let listener = listen(&server, way, b"", &forged);
            let seen = addresses(&server);
            assert!(seen[0].starts_with("127.0.0.1:"), "{client:?}: {seen:?}");
            drop(listener);
            wait_for_nobody(&server);
        }
    }
}

#[test]
fn a_proxy_at_a_unix_socket_is_trusted_by_name() {
    let place = Place::new("proxy");
    for (trusted, expected) in [("\"unix\"", "192.0.2.7"), ("\"127.0.0.1\"", "unix")] {
        let server = listen::server(&place.socket(), |config| {
            config.access.mode = Mode::Open;
            config.admin.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
            config.proxies = proxies(trusted, ClientFrom::XForwardedFor);
        });
        let wire = Wire::connect_unix(&place.socket());
        let fields = [("X-Forwarded-For", "192.0.2.7")];
        let listener = Listener::open_on(Way::Sse, wire, server.address, "/chat", &fields);
        assert_eq!(addresses(&server), [expected]);
        drop(listener);
        drop(server);
    }
}

/// HAProxy with `mode tcp` gives each client a connection of its own, and keeps it as long as the client does.
#[test]
fn a_client_that_the_proxy_protocol_names_counts_as_long_as_its_connection() {
    let server = server(LOOPBACK, ClientFrom::ProxyProtocol, |config| {
        config.limits.connections_per_address = NonZeroUsize::new(2);
        config.limits.exempt = Vec::new();
    });
    let ask = |wire: &mut Wire, preface: &[u8]| {
        wire.send_behind(preface, request("GET", "/chat", &[], b""));
        Response::read(wire, "GET")
    };
    let mut places = [server.connect(), server.connect()];
    for place in &mut places {
        assert_eq!(ask(place, V1).status(), 200);
    }
    let refused = ask(&mut server.connect(), V2);
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.refusal(), "too_many_of_one");
    let other = b"PROXY TCP4 192.0.2.8 127.0.0.1 4711 80\r\n";
    assert_eq!(ask(&mut server.connect(), other).status(), 200);
    for place in &mut places {
        assert_eq!(ask(place, b"").status(), 200, "it is not counted twice");
    }
    drop(places);
    let end = crate::support::deadline();
    while ask(&mut server.connect(), V2).status() != 200 {
        assert!(std::time::Instant::now() < end, "places are given back");
    }
}
