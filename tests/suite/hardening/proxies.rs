//! What strangers say in the name of proxies, what they have trusted ones say, and whether all clients of one proxy pay
//! for one of them.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use fourcast::config::{ClientFrom, Config, Per, Proxies, Rate, Rates};
use serde_json::json;

use crate::support::sse::EventSource;
use crate::support::{
    Fixture, Listener, Response, Way, WebSocket, Wire, deadline, exchange, request,
};

/// What a proxy writes at the head of a connection.
const V1: &[u8] = b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 80\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x7f\0\0\x01\x12\x67\0\x50";

/// Somebody who is not the proxy at 127.0.0.1.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const GREEDY: &str = "192.0.2.7";
const HONEST: &str = "192.0.2.8";

/// A server that believes 127.0.0.1 and nobody else, and exempts no address from its limits. What comes before everything
/// else comes before TLS too, so where that is said there is none.
fn behind(client: ClientFrom, change: impl FnOnce(&mut Config)) -> Fixture {
    Fixture::start(|config| {
        config.access.mode = fourcast::config::Mode::Open;
        config.admin.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let text = "[access]\nmode = \"open\"\n[proxies]\ntrusted = [\"127.0.0.1\"]";
        let proxies = Config::from_toml(text).expect("a configuration").proxies;
        config.proxies = Proxies { client, ..proxies };
        config.limits.exempt = Vec::new();
        if client == ClientFrom::ProxyProtocol {
            config.listen.iter_mut().for_each(|place| place.tls = false);
        }
        change(config);
    })
}

fn share_of(connections: usize) -> impl FnOnce(&mut Config) {
    move |config| config.limits.connections_per_address = NonZeroUsize::new(connections)
}

/// Where all who listen come from, as the operator sees it; of those with a port, without it.
fn seen(server: &Fixture) -> Vec<String> {
    let answer = exchange(server.admin(), "GET", "/-/connections", &[], b"");
    let connections = answer.json()["connections"].as_array().cloned();
    let address = |one: &serde_json::Value| one["address"].as_str().expect("an address").to_owned();
    let mut all: Vec<_> = connections.expect("a list").iter().map(address).collect();
    for one in &mut all {
        if let Ok(with_port) = one.parse::<SocketAddr>() {
            *one = with_port.ip().to_string();
        }
    }
    all
}

/// Asks for a stream on a connection of its own; `None`: the answer was none.
fn listen(server: &Fixture, mut wire: Wire, fields: &[(&str, &str)]) -> Option<Wire> {
    let fields = [&Way::Sse.fields()[..], fields].concat();
    let _ = wire.try_send(request("GET", "/chat", &fields, b""));
    wire.take_through(b"event: welcome", deadline())?;
    assert!(!seen(server).is_empty());
    Some(wire)
}

/// Fails unless whoever listens with `fields` on `wire` is taken for `expected`.
fn is_taken_for(server: &Fixture, wire: Wire, fields: &[(&str, &str)], expected: &str) {
    let listening = listen(server, wire, fields).expect("a welcome");
    let told = fields
        .first()
        .map(|(_, value)| value.chars().take(100).collect::<String>());
    assert_eq!(seen(server), [expected], "{told:?}");
    drop(listening);
    wait_for_nobody(server);
}

fn wait_for_nobody(server: &Fixture) {
    let mut pace = Wire::connect(server.admin());
    let end = deadline();
    while !seen(server).is_empty() {
        assert!(std::time::Instant::now() < end, "they never went");
        pace.pause_briefly();
    }
}

/// A request in the name of `client` on a connection of the proxy's, which is kept.
fn ask(wire: &mut Wire, client: &str, method: &str) -> Response {
    wire.send(request(
        method,
        "/chat",
        &[("X-Forwarded-For", client)],
        b"",
    ));
    Response::read(wire, method)
}

#[test]
fn a_stranger_who_writes_the_fields_of_a_proxy() {
    for client in [ClientFrom::XForwardedFor, ClientFrom::Forwarded] {
        let server = behind(client, |_| {});
        for fields in [
            [("X-Forwarded-For", GREEDY), ("Forwarded", "for=192.0.2.7")],
            [
                ("X-Forwarded-For", "127.0.0.1"),
                ("Forwarded", "for=127.0.0.1"),
            ],
            [
                ("X-Forwarded-For", "192.0.2.7, 127.0.0.1"),
                ("Forwarded", "for=192.0.2.7, for=127.0.0.1"),
            ],
            [("X-Real-IP", GREEDY), ("True-Client-IP", GREEDY)],
        ] {
            let wire = Wire::connect_from(STRANGER, server.address);
            is_taken_for(&server, wire, &fields, "127.0.0.2");
        }
        server.assert_serves();
    }
}

#[test]
fn a_chain_that_was_forged_before_it_came_to_the_proxy() {
    let server = behind(ClientFrom::XForwardedFor, |_| {});
    for forged in [
        "127.0.0.1",
        "127.0.0.1, 127.0.0.1",
        "10.0.0.1, 127.0.0.1",
        "unknown",
        "\"",
        "192.0.2.9:99999",
        ",,,",
        "for=127.0.0.1",
        "\u{7f}",
        "<script>",
        "127.0.0.1\t",
    ] {
        // A proxy adds to the value, or a field of its own.
        let longer = format!("{forged}, {GREEDY}");
        for fields in [
            vec![("X-Forwarded-For", longer.as_str())],
            vec![("X-Forwarded-For", forged), ("X-Forwarded-For", GREEDY)],
            vec![
                ("x-forwarded-for", forged),
                ("X-FORWARDED-FOR", GREEDY),
                ("X-Forwarded-For", "127.0.0.1"),
            ],
        ] {
            if forged == "\u{7f}" {
                let answer = server.get("/chat", &fields);
                assert_eq!(answer.status(), 400);
                wait_for_nobody(&server);
                continue;
            }
            is_taken_for(&server, server.connect(), &fields, GREEDY);
        }
    }
    let server = behind(ClientFrom::Forwarded, |_| {});
    for forged in [
        "for=127.0.0.1",
        "for=\"127.0.0.1",
        "for=\"[::1]:1\\",
        "\"",
        "for=x;for=y",
        ";",
        "=",
        "for",
    ] {
        let longer = format!("{forged}, for={GREEDY}");
        let quoted = format!("{forged},for=\"{GREEDY}:80\";proto=https;by=\"a,b\"");
        let own = format!("for={GREEDY}");
        for fields in [
            vec![("Forwarded", longer.as_str())],
            vec![("Forwarded", quoted.as_str())],
            vec![("Forwarded", forged), ("Forwarded", own.as_str())],
        ] {
            is_taken_for(&server, server.connect(), &fields, GREEDY);
        }
    }
}

#[test]
fn a_chain_of_ten_thousand() {
    let server = behind(ClientFrom::XForwardedFor, |config| {
        config.limits.head_bytes = 256 * 1024;
    });
    let trusted = vec!["127.0.0.1"; 10_000].join(",");
    let strangers = vec!["192.0.2.9"; 10_000].join(",");
    let empty = ",".repeat(10_000);
    for (chain, expected) in [
        (format!("{GREEDY},{trusted}"), GREEDY),
        (format!("{strangers},{GREEDY}"), GREEDY),
        (format!("{GREEDY}{empty}"), GREEDY),
        (format!("{strangers},{GREEDY},{trusted}{empty}"), GREEDY),
    ] {
        is_taken_for(
            &server,
            server.connect(),
            &[("X-Forwarded-For", &chain)],
            expected,
        );
    }
    let server = behind(ClientFrom::Forwarded, |config| {
        config.limits.head_bytes = 256 * 1024;
    });
    let quotes = "\"".repeat(100_000);
    let pairs = "a=b;".repeat(20_000);
    for chain in [
        quotes.clone(),
        format!("{quotes},for={GREEDY}"),
        format!("{pairs}for={GREEDY}"),
    ] {
        let expected = if chain.ends_with('"') {
            "127.0.0.1"
        } else {
            GREEDY
        };
        is_taken_for(
            &server,
            server.connect(),
            &[("Forwarded", &chain)],
            expected,
        );
    }
    server.assert_serves();
}

#[test]
fn an_address_that_is_none() {
    let server = behind(ClientFrom::XForwardedFor, |_| {});
    for none in [
        "",
        " ",
        ",",
        "unknown",
        "_hidden",
        "localhost",
        "0x7f.1",
        "127.1",
        "2130706433",
        "192.0.2.7/32",
        "192.0.2.7 x",
        "[192.0.2.7]",
        "fe80::1%eth0",
        "192.0.2.7:0x50",
        "192.0.2.07",
        "%31",
        "*",
        "-1",
        "$(id)",
        "'; DROP TABLE x",
    ] {
        is_taken_for(
            &server,
            server.connect(),
            &[("X-Forwarded-For", none)],
            "127.0.0.1",
        );
    }
    for control in [
        &b"192.0.2.7\0"[..],
        b"\0",
        b"192.0.2.7\x0b",
        b"192.0.2.7\r X-Forwarded-For: 1.1.1.1",
        b"192.0.2.7\x1b[2J",
    ] {
        let mut wire = server.connect();
        wire.send(
            [
                b"GET /chat HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: ",
                control,
                b"\r\n\r\n",
            ]
            .concat(),
        );
        assert_eq!(
            Response::read(&mut wire, "GET").status(),
            400,
            "{control:?}"
        );
    }
    server.assert_serves();
}

#[test]
fn a_stranger_who_begins_like_a_proxy() {
    let server = behind(ClientFrom::ProxyProtocol, |_| {});
    for preface in [
        V1,
        V2,
        b"PROXY UNKNOWN\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    ] {
        let mut wire = Wire::connect_from(STRANGER, server.address);
        wire.send([preface, &request("GET", "/chat", &[], b"")].concat());
        assert_eq!(Response::read(&mut wire, "GET").status(), 400);
    }
    let wire = Wire::connect_from(STRANGER, server.address);
    is_taken_for(&server, wire, &[], "127.0.0.2");
}

#[test]
fn a_header_of_a_proxy_with_something_smuggled_behind_it() {
    let server = behind(ClientFrom::ProxyProtocol, |_| {});
    let request = request("GET", "/chat", &[], b"");
    let other = V1
        .to_vec()
        .iter()
        .map(|b| if *b == b'7' { b'9' } else { *b })
        .collect::<Vec<_>>();
    for smuggled in [
        V1,
        V2,
        &other,
        b"\0",
        b"PROXY ",
        // What begins TLS.
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
    ] {
        for preface in [V1, V2] {
            let mut wire = server.connect();
            let _ = wire.try_send([preface, smuggled, &request].concat());
            assert_eq!(
                Response::read(&mut wire, "GET").status(),
                400,
                "{smuggled:?}"
            );
        }
    }
    // Behind a first request it is no header either.
    let mut wire = server.connect();
    wire.send([V1, &request, &other, &request].concat());
    assert_eq!(Response::read(&mut wire, "GET").status(), 200);
    assert_eq!(Response::read(&mut wire, "GET").status(), 400);
    drop(wire);
    // What a TLV says, a request perhaps, is for nobody.
    let tlv = [&V2[..14], &[0, 12 + 40], &V2[16..], &[b'G'; 40]].concat();
    let mut wire = server.connect();
    wire.send(tlv);
    wire.send(&request);
    assert_eq!(Response::read(&mut wire, "GET").status(), 200);
}

#[test]
fn one_client_of_a_proxy_takes_no_place_of_another() {
    let server = behind(ClientFrom::XForwardedFor, share_of(2));
    let greedy = [("X-Forwarded-For", GREEDY)];
    let streams: Vec<_> = (0..2)
        .map(|_| listen(&server, server.connect(), &greedy).expect("a welcome"))
        .collect();
    // On new connections and on one that is kept, whatever the port.
    let mut kept = server.connect();
    for client in [GREEDY, "192.0.2.7:1", "192.0.2.7:2", "::ffff:192.0.2.7"] {
        assert_eq!(ask(&mut kept, client, "GET").refusal(), "too_many_of_one");
        assert_eq!(ask(&mut kept, "192.0.2.9", "GET").status(), 200);
    }
    let asked = request(
        "GET",
        "/chat",
        &[&Way::Sse.fields()[..], &greedy].concat(),
        b"",
    );
    let mut source = EventSource::open(server.connect(), &asked);
    let bye = source.next_message().expect("a goodbye");
    assert_eq!(bye.kind, "bye");
    assert!(source.retry.is_some(), "it comes back");
    assert_eq!(server.ask(Way::WebSocket, "/chat", &greedy).status(), 429);
    // The place of a request is free a moment after its answer has come: when the next one is answered, it is.
    assert_eq!(ask(&mut kept, GREEDY, "GET").status(), 429);
    let honest: Vec<_> = [Way::Sse, Way::WebSocket]
        .map(|way| Listener::open_with(way, &server, "/chat", &[("X-Forwarded-For", HONEST)]))
        .into();
    // Many connections of a proxy are nobody's.
    let _idle: Vec<_> = (0..20).map(|_| server.connect()).collect();
    server.publish("chat", "still here");
    drop((streams, honest));
    let end = deadline();
    while ask(&mut kept, GREEDY, "GET").status() != 200 {
        assert!(
            std::time::Instant::now() < end,
            "the places never came back"
        );
        kept.pause_briefly();
    }
}

#[test]
fn places_of_requests_that_are_over_are_free_again() {
    let server = behind(ClientFrom::XForwardedFor, share_of(1));
    let mut kept: Vec<_> = (0..5).map(|_| server.connect()).collect();
    for wire in &mut kept {
        let end = deadline();
        // The place of a request is free a moment after its answer has come.
        while ask(wire, GREEDY, "GET").status() == 429 {
            assert!(std::time::Instant::now() < end, "its place never came back");
        }
        for method in ["GET", "HEAD", "POST", "DELETE", "OPTIONS"] {
            let status = ask(wire, GREEDY, method).status();
            assert!(status < 400, "{method}: {status}");
        }
    }
}

#[test]
fn a_client_that_holds_connections_of_a_proxy_and_says_nothing() {
    let server = behind(ClientFrom::ProxyProtocol, share_of(2));
    let other = String::from_utf8_lossy(V1).replace(GREEDY, HONEST);
    let asked = request("GET", "/chat", &[], b"");
    // Two that had an answer and are kept, and are idle.
    let _kept: Vec<_> = (0..2)
        .map(|_| {
            let mut wire = server.connect();
            wire.send([V1, &asked].concat());
            assert_eq!(Response::read(&mut wire, "GET").status(), 200);
            wire
        })
        .collect();
    for preface in [V1, V2] {
        let mut wire = server.connect();
        wire.send([preface, &asked].concat());
        let refused = Response::read(&mut wire, "GET");
        assert_eq!(
            (refused.status(), refused.refusal().as_str()),
            (429, "too_many_of_one")
        );
        let mut source = server.connect();
        source.send(preface);
        let mut source =
            EventSource::open(source, &request("GET", "/chat", &Way::Sse.fields(), b""));
        assert_eq!(source.next_message().expect("a goodbye").kind, "bye");
    }
    // Another client has as many, and one that only looks whether the port is open has none.
    server.connect().finish();
    let _honest: Vec<_> = (0..2)
        .map(|_| {
            let mut wire = server.connect();
            wire.send([other.as_bytes(), &asked].concat());
            assert_eq!(Response::read(&mut wire, "GET").status(), 200);
            wire
        })
        .collect();
}

#[test]
fn heads_that_never_end_of_one_client_of_a_proxy() {
    let server = behind(ClientFrom::ProxyProtocol, |config| {
        config.limits.connections = 4;
        config.limits.connections_per_address = NonZeroUsize::new(2);
        config.timeouts.head = Duration::from_secs(60);
    });
    // More than there are places, were they not of one client.
    let slow: Vec<_> = (0..12)
        .map(|_| {
            let mut wire = server.connect();
            let _ = wire.try_send([V1, b"GET /chat HTTP/1.1\r\nHost:"].concat());
            wire
        })
        .collect();
    let other = String::from_utf8_lossy(V1).replace(GREEDY, HONEST);
    let end = deadline();
    loop {
        let mut wire = server.connect();
        let _ = wire.try_send([other.as_bytes(), &request("GET", "/chat", &[], b"")].concat());
        match Response::try_read(&mut wire, "GET") {
            Some(answer) if answer.status() == 200 => break,
            other => assert!(
                std::time::Instant::now() < end,
                "all places were taken: {other:?}"
            ),
        }
        wire.pause_briefly();
    }
    drop(slow);
}

#[test]
fn a_stream_by_the_proxy_protocol_counts_as_long_as_it_lasts() {
    let server = behind(ClientFrom::ProxyProtocol, share_of(3));
    let open = |way: Way| {
        let mut wire = server.connect();
        wire.send(V1);
        Listener::open_on(way, wire, server.address, "/chat", &[])
    };
    let streams = [Way::Sse, Way::Ndjson, Way::WebSocket].map(open);
    let status = || {
        let mut wire = server.connect();
        wire.send(
            [
                V1,
                &request("GET", "/chat", &[("Connection", "close")], b""),
            ]
            .concat(),
        );
        Response::read(&mut wire, "GET").status()
    };
    assert_eq!(status(), 429);
    drop(streams);
    let mut pace = Wire::connect(server.admin());
    let end = deadline();
    while status() != 200 {
        assert!(
            std::time::Instant::now() < end,
            "the places never came back"
        );
        pace.pause_briefly();
    }
}

fn few(count: u32) -> Option<Rate> {
    let count = count.try_into().expect("one at least");
    Some(Rate {
        count,
        per: Per::Hour,
    })
}

#[test]
fn one_client_of_a_proxy_is_too_fast_and_another_is_served() {
    let server = behind(ClientFrom::XForwardedFor, |config| {
        config.rates = Rates {
            requests_per_address: few(6),
            publishes_per_address: few(2),
            burst: Duration::from_secs(3600),
            ..Rates::default()
        };
    });
    let mut wire = server.connect();
    for number in 0..10 {
        let expected = match number {
            0..2 => 201,
            _ => 429,
        };
        assert_eq!(
            ask(&mut wire, GREEDY, "POST").status(),
            expected,
            "{number}"
        );
    }
    // A new connection, a port and a forged beginning are no way around it.
    let mut other = server.connect();
    for client in [
        GREEDY,
        "192.0.2.7:5",
        "192.0.2.9, 192.0.2.7",
        "192.0.2.7, 127.0.0.1",
    ] {
        assert_eq!(
            ask(&mut other, client, "GET").refusal(),
            "rate_limited",
            "{client}"
        );
    }
    for wire in [&mut wire, &mut other] {
        assert_eq!(ask(wire, HONEST, "POST").status(), 201);
        assert_eq!(ask(wire, HONEST, "GET").status(), 200);
    }
    // Neither is an operation of a WebSocket.
    let fields = [("X-Forwarded-For", HONEST)];
    let mut socket = WebSocket::open_on(server.connect(), "/chat?after=now", &fields);
    socket.next_op("welcome");
    socket.operate(json!({"op": "publish", "data": 1}));
    assert_eq!(socket.next_op("error")["code"], "rate_limited");
    let refused = server.ask(Way::WebSocket, "/chat", &[("X-Forwarded-For", GREEDY)]);
    assert_eq!(refused.status(), 429);
}
