//! One named attack a test. After each, an honest client is served as ever.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::websocket::{CONTINUATION, PING, TEXT};
use crate::support::wire::{Arrival, deadline};
use crate::support::{Fixture, Frame, Listener, Response, Way, WebSocket, Wire, request};

/// Deadlines so short that what must time out does so within a test.
fn impatient() -> Fixture {
    Fixture::start(|config| {
        config.timeouts.head = Duration::from_millis(300);
        config.timeouts.body = Duration::from_millis(300);
        config.timeouts.write = Duration::from_millis(300);
        config.timeouts.close = Duration::from_millis(300);
        config.limits.send_buffer = 8 * 1024;
    })
}

fn welcomed(server: &Fixture) -> WebSocket {
    let mut socket = WebSocket::open(server.address, "/-/socket");
    socket.next_op("welcome");
    socket
}

/// Sends `piece` again and again until the server answers or refuses more, `most` times.
fn flood(wire: &mut Wire, piece: &[u8], most: usize) -> usize {
    for sent in 0..most {
        if wire.try_send(piece).is_err() || !wire.unread.is_empty() {
            return sent;
        }
        if sent % 16 == 0 && wire.pause_briefly() != Arrival::Nothing {
            return sent;
        }
    }
    most
}

#[test]
fn garbage() {
    let server = impatient();
    let mut noise = 0x2545_f491_4f6c_dd1d_u64;
    for length in [1, 10, 100, 1000, 10_000] {
        let bytes: Vec<u8> = (0..length)
            .map(|_| {
                noise ^= noise << 13;
                noise ^= noise >> 7;
                noise ^= noise << 17;
                noise.to_be_bytes()[0]
            })
            .collect();
        let mut wire = server.connect();
        let _ = wire.try_send(bytes);
        if let Some(answer) = Response::try_read(&mut wire, "GET") {
            assert!((400..600).contains(&answer.status()), "{length}");
        }
    }
    server.assert_serves();
}

#[test]
fn half_a_request_and_silence_from_many() {
    let server = impatient();
    let mut half: Vec<Wire> = (0..60).map(|_| server.connect()).collect();
    for (number, wire) in half.iter_mut().enumerate() {
        let bytes = request("POST", "/chat", &[], b"a body that is long enough");
        wire.send(&bytes[..1 + number % (bytes.len() - 1)]);
    }
    server.assert_serves();
    for wire in &mut half {
        let answer = Response::read(wire, "POST");
        assert_eq!(answer.status(), 408);
    }
}

#[test]
fn connections_that_never_say_a_word() {
    let server = Fixture::start(|config| {
        config.timeouts.head = Duration::from_millis(300);
        config.timeouts.idle = Duration::from_millis(300);
    });
    let mut mute: Vec<Wire> = (0..30).map(|_| server.connect()).collect();
    server.assert_serves();
    for wire in &mut mute {
        wire.take_rest(crate::support::deadline());
    }
}

#[test]
fn connections_that_come_and_go() {
    let server = Fixture::start(|config| config.limits.connections = 100);
    for _ in 0..300 {
        drop(server.connect());
    }
    server.wait_for_status("/-/healthy", 200);
    server.assert_serves();
}

#[test]
fn a_head_of_ten_megabytes() {
    let server = impatient();
    let mut wire = server.connect();
    wire.send("GET /chat HTTP/1.1\r\nHost: localhost\r\nX: ");
    let sent = flood(&mut wire, &[b'x'; 10_000], 1000);
    assert!(sent < 1000, "all ten megabytes were taken");
    let answer = Response::read(&mut wire, "GET");
    assert_eq!(
        (answer.status(), answer.refusal()),
        (431, "head_too_large".into())
    );
    server.assert_serves();
}

#[test]
fn a_body_announced_as_four_gigabytes() {
    let server = impatient();
    let mut wire = server.connect();
    wire.send("POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4294967296\r\n\r\n");
    assert_eq!(Response::read(&mut wire, "POST").status(), 413);
    server.assert_serves();
}

#[test]
fn a_body_shorter_than_announced() {
    let server = impatient();
    let mut wire = server.connect();
    wire.send("POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nshort");
    assert_eq!(Response::read(&mut wire, "POST").status(), 408);
    let kept = server.get("/chat?after=earliest", &[]).json();
    assert_eq!(kept["events"], json!([]));
    server.assert_serves();
}

#[test]
fn a_body_longer_than_announced() {
    let server = impatient();
    let mut wire = server.connect();
    wire.send("POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nshort and a lot more\r\n\r\n");
    assert_eq!(Response::read(&mut wire, "POST").status(), 201);
    assert_eq!(Response::read(&mut wire, "POST").status(), 400);
    let kept = server.get("/chat?after=earliest", &[]).json();
    assert_eq!(kept["events"][0]["data"], "short");
    server.assert_serves();
}

#[test]
fn a_bomb_of_chunks_of_one_byte() {
    let server = Fixture::start(|config| config.limits.event_bytes = 20_000);
    let mut wire = server.connect();
    wire.send("POST /chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    flood(&mut wire, "1;x=y\r\nz\r\n".repeat(1000).as_bytes(), 30);
    assert!(matches!(
        Response::read(&mut wire, "POST").status(),
        400 | 413
    ));
    server.assert_serves();
}

#[test]
fn a_chunk_without_an_end() {
    let server = impatient();
    for size in ["ffffffff", "7fffffffffffffff", "ffffffffffffffff"] {
        let mut wire = server.connect();
        wire.send(format!(
            "POST /chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\n"
        ));
        assert!(
            matches!(Response::read(&mut wire, "POST").status(), 400 | 413),
            "{size}"
        );
    }
    server.assert_serves();
}

#[test]
fn a_chunk_extension_and_a_trailer_without_an_end() {
    let server = impatient();
    for (start, piece) in [
        ("5;", "x"),
        ("0\r\n", "X: y\r\n"),
        ("0\r\nX: ", "y"),
        ("", "0"),
    ] {
        let mut wire = server.connect();
        wire.send(format!(
            "POST /chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{start}"
        ));
        flood(&mut wire, piece.repeat(1000).as_bytes(), 1000);
        let status = Response::read(&mut wire, "POST").status();
        assert!(matches!(status, 400 | 413 | 431), "{start:?}: {status}");
    }
    server.assert_serves();
}

#[test]
fn an_unmasked_frame() {
    fails_with(&Frame::text("{\"op\":\"ping\"}").unmasked(), 1002);
}

#[test]
fn a_frame_with_a_reserved_opcode() {
    fails_with(&Frame::new(5, "x").masked(), 1002);
}

#[test]
fn a_control_frame_of_126_bytes() {
    fails_with(&Frame::new(PING, [b'x'; 126]).masked(), 1002);
}

#[test]
fn text_that_is_not_utf_8() {
    fails_with(&Frame::new(TEXT, b"\xc3\x28").masked(), 1007);
}

#[test]
fn a_frame_that_announces_a_terabyte() {
    let header = [&[0x81, 0xff, 0, 0, 1, 0, 0, 0, 0, 0][..], &[0; 4]].concat();
    fails_with(&header, 1009);
}

fn fails_with(bytes: &[u8], code: u16) {
    let server = impatient();
    let mut socket = welcomed(&server);
    socket.wire.send(bytes);
    assert_eq!(socket.close_code(), Some(code));
    socket.wire.expect_end();
    server.assert_serves();
}

#[test]
fn fragments_of_nothing_by_the_hundred_thousand() {
    let server = impatient();
    let mut socket = welcomed(&server);
    socket.send(&Frame::text("").unfinished());
    let piece = Frame::new(CONTINUATION, "")
        .unfinished()
        .masked()
        .repeat(1000);
    flood(&mut socket.wire, &piece, 200);
    server.assert_serves();
}

#[test]
fn a_flood_of_pings_whose_pongs_nobody_reads() {
    let server = impatient();
    let mut socket = welcomed(&server);
    let piece = Frame::new(PING, [b'p'; 125]).masked().repeat(100);
    flood_unread(&mut socket.wire, &piece, 200);
    server.assert_serves();
}

#[test]
fn a_flood_of_operations_whose_answers_nobody_reads() {
    let server = impatient();
    let mut socket = welcomed(&server);
    let piece = Frame::text("{\"op\":\"dance\"}").masked().repeat(100);
    flood_unread(&mut socket.wire, &piece, 200);
    server.assert_serves();
}

#[test]
fn a_flood_of_requests_whose_answers_nobody_reads() {
    let server = impatient();
    server.publish("chat", &"x".repeat(10_000));
    let mut wire = server.connect().with_small_receive_buffer();
    let piece = request("GET", "/chat?after=earliest", &[], b"").repeat(50);
    flood_unread(&mut wire, &piece, 200);
    server.assert_serves();
}

/// Sends without ever reading, until the server will take no more or has had enough.
fn flood_unread(wire: &mut Wire, piece: &[u8], most: usize) {
    for _ in 0..most {
        if wire.try_send(piece).is_err() {
            return;
        }
    }
}

#[test]
fn cr_lf_and_nul_in_a_type() {
    let server = Fixture::plain();
    let mut listener = Listener::open(Way::Sse, &server, "/chat");
    for evil in [
        "a%0D%0Adata:%20forged",
        "a%0Ab",
        "a%0Db",
        "a%00b",
        "%C2%85",
        "a%7F",
    ] {
        let answer = server.post(&format!("/chat?type={evil}"), &[], "x");
        assert_eq!(answer.status(), 400, "{evil}");
        answer.refusal();
    }
    server.publish("chat", "marker");
    assert_eq!(listener.texts(1), ["marker"]);
    server.assert_serves();
}

#[test]
fn cr_lf_and_nul_in_a_channel() {
    let server = Fixture::plain();
    for evil in ["/a%0D%0AX:%20y", "/a%0A", "/a%0D", "/a%00", "/%00"] {
        for answer in [server.post(evil, &[], "x"), server.get(evil, &[])] {
            assert_eq!(
                (answer.status(), answer.refusal()),
                (400, "bad_channel".into()),
                "{evil}"
            );
            assert!(answer.head.field("X").is_none());
        }
    }
    server.assert_serves();
}

#[test]
fn a_channel_of_ten_thousand_segments() {
    let server = Fixture::plain();
    let deep = vec!["a"; 10_000].join("/");
    for answer in [
        server.get(&format!("/{deep}"), &[]),
        server.post(&format!("/{deep}"), &[], "x"),
    ] {
        assert!(matches!(answer.status(), 400 | 414), "{}", answer.head.raw);
    }
    let mut socket = welcomed(&server);
    for operation in [
        json!({"op": "publish", "channel": deep, "data": 1, "ref": 1}),
        json!({"op": "subscribe", "channels": [deep], "ref": 1}),
    ] {
        socket.operate(operation);
        let error = socket.next_op("error");
        assert_eq!(
            (&error["code"], &error["ref"]),
            (&json!("bad_channel"), &json!(1))
        );
        let detail = error["detail"].as_str().expect("a sentence");
        assert!(
            detail.len() < 1000,
            "ten thousand segments come back: {} bytes",
            detail.len()
        );
    }
    server.assert_serves();
}

#[test]
fn selectors_by_the_thousand() {
    let server = Fixture::plain();
    for selector in ["a", "*", "*/*/*", "**"] {
        let list = vec![selector; 1500].join(",");
        let status = server.get(&format!("/{list}?after=now"), &[]).status();
        assert!(matches!(status, 200 | 400 | 414), "{selector}: {status}");
    }
    let distinct: Vec<String> = (0..1500).map(|n| format!("c{n}")).collect();
    assert_eq!(
        server
            .get(&format!("/{}", distinct.join(",")), &[])
            .status(),
        400
    );
    server.assert_serves();
}

#[test]
fn a_cursor_that_is_nonsense() {
    let server = Fixture::plain();
    server.publish("chat", "kept");
    let long = "9".repeat(5000);
    for cursor in [
        "-1",
        "0",
        "../../etc/passwd",
        "0000000000-18446744073709551616",
        long.as_str(),
        "\"",
        "%00",
    ] {
        let mut listener =
            Listener::open_with(Way::Sse, &server, "/chat", &[("Last-Event-ID", cursor)]);
        let gap = listener.next_gap();
        assert_eq!(
            (gap.reason.as_str(), gap.from),
            ("unknown", None),
            "{cursor}"
        );
        assert_eq!(
            server.get("/chat", &[("If-None-Match", cursor)]).status(),
            200
        );
    }
    assert_eq!(
        server
            .get("/chat?after=0000000000-18446744073709551615", &[])
            .json()["gap"]["reason"],
        "epoch"
    );
    server.assert_serves();
}

#[test]
fn json_nested_a_hundred_thousand_deep() {
    let server = Fixture::plain();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let objects = format!("{}1{}", "{\"a\":".repeat(50_000), "}".repeat(50_000));
    for body in [&deep, &objects] {
        let json = server.post("/chat", &[("Content-Type", "application/json")], body);
        assert!(matches!(json.status(), 201 | 400), "{}", json.status());
        let line = format!("{{\"channel\":\"chat\",\"data\":{body}}}\n");
        let batch = server.post(
            "/-/publish",
            &[("Content-Type", "application/x-ndjson")],
            &line,
        );
        assert!(matches!(batch.status(), 201 | 400), "{}", batch.status());
        let mut socket = welcomed(&server);
        socket.send(&Frame::text(body));
        socket.next_op("error");
        socket.send(&Frame::text(format!(
            "{{\"op\":\"publish\",\"channel\":\"chat\",\"data\":{body}}}"
        )));
        let answer = socket.next_json();
        assert!(answer["op"] == "ack" || answer["op"] == "error", "{answer}");
        socket.send(&Frame::text(format!("{{\"op\":\"ping\",\"ref\":{body}}}")));
        let answer = socket.next_text();
        assert!(answer.starts_with("{\"op\":\"ack\"") || answer.starts_with("{\"op\":\"error\""));
    }
    server.assert_serves();
}

#[test]
fn a_batch_of_more_lines_than_a_batch_may_have() {
    let server = Fixture::start(|config| config.limits.batch_events = 10);
    let kind = [("Content-Type", "application/x-ndjson")];
    let answer = server.post("/chat", &kind, "{\"data\":1}\n".repeat(11));
    assert_eq!(
        (answer.status(), answer.refusal()),
        (413, "too_large".into())
    );
    let blank = server.post("/chat", &kind, "\n".repeat(100_000));
    assert!(
        matches!(blank.status(), 201 | 400 | 413),
        "{}",
        blank.status()
    );
    assert_eq!(
        server
            .post("/chat", &kind, "{\"data\":1}\n".repeat(10))
            .status(),
        201
    );
    server.assert_serves();
}

#[test]
fn more_events_than_the_journal_may_weigh() {
    let server = Fixture::start(|config| config.journal.max_bytes = 200_000);
    let first = server.publish("c0", "first");
    for number in 0..60 {
        server.publish(&format!("c{}", number % 7), &"x".repeat(10_000));
    }
    let kept = server.get("/**?after=earliest&limit=1000", &[]);
    assert!(
        kept.body.len() <= 220_000,
        "{} bytes are kept",
        kept.body.len()
    );
    let told = server
        .get(&format!("/**?after={first}&limit=1000"), &[])
        .json();
    assert_eq!(told["gap"]["reason"], "retention");
    server.assert_serves();
}

#[test]
fn more_keys_than_are_remembered() {
    let server = Fixture::start(|config| config.limits.idempotency_keys = 10);
    for number in 0..50 {
        let key = format!("key-{number}");
        let answer = server.post("/chat", &[("Idempotency-Key", &key)], "x");
        assert!(matches!(answer.status(), 201 | 503), "{}", answer.status());
    }
    server.assert_serves();
}

#[test]
fn a_client_that_never_reads() {
    let server = impatient();
    let mut never = server.connect().with_small_receive_buffer();
    never.send(request("GET", "/chat", &Way::Sse.fields(), b""));
    for _ in 0..50 {
        server.publish("chat", &"x".repeat(20_000));
    }
    server.assert_serves();
}

#[test]
fn a_web_page_of_another_origin_and_a_name_bound_anew() {
    let server = Fixture::plain();
    let own = server.address.to_string();
    let text = ("Content-Type", "text/plain");
    let cross = [
        ("Host", own.as_str()),
        ("Origin", "http://evil.example"),
        text,
    ];
    assert_eq!(server.post("/chat", &cross, "forged").status(), 403);
    let rebound = [
        ("Host", "evil.example"),
        ("Origin", "http://evil.example"),
        text,
    ];
    assert_eq!(server.post("/chat", &rebound, "forged").status(), 421);
    assert_eq!(server.send("DELETE", "/chat", &cross, b"").status(), 403);
    let kept = server.get("/**?after=earliest", &[]).json();
    assert_eq!(kept["events"], json!([]));
    server.assert_serves();
}

#[test]
fn long_polls_sent_ahead_without_end() {
    /// Far more than the buffers of two sockets hold.
    const MOST: usize = 24 << 20;
    // Not over TLS, which blocks where this must not.
    let server = Fixture::bare();
    let mut socket = TcpStream::connect(server.address).expect("a connection");
    socket.set_nonblocking(true).expect("a socket");
    let ahead = request("GET", "/quiet?wait=60&after=now", &[], b"").repeat(1000);
    let mut taken = 0;
    let mut answers = 0;
    let end = deadline();
    while answers < 60 && taken < MOST && Instant::now() < end {
        // Each answer lets the server turn to the next request, and read again.
        match (&socket).write(&ahead) {
            Ok(count) => taken += count,
            Err(_) => drop(server.publish("quiet", "an event")),
        }
        let mut answer = [0; 4096];
        answers += usize::from(socket.read(&mut answer).is_ok_and(|count| count > 0));
    }
    assert!(taken < MOST, "{taken} bytes were taken in");
    assert!(answers == 60, "only {answers} answers");
    drop(socket);
    server.assert_serves();
}
