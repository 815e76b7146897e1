//! More than there may be: heads, bodies, chunks, JSON, batches, what is kept.

use serde_json::json;

use super::{flood, impatient, welcomed};
use crate::support::{Fixture, Frame, Response};

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
    let post = |number: usize| {
        let key = format!("key-{number}");
        let answer = server.post("/chat", &[("Idempotency-Key", &key)], "x");
        assert_eq!(answer.status(), 201);
        answer.json()["id"].clone()
    };
    let ids: Vec<_> = (0..50).map(post).collect();
    assert_eq!(post(49), ids[49], "the last is remembered");
    assert_ne!(post(0), ids[0], "the first is forgotten");
    server.assert_serves();
}

#[test]
fn a_million_tiny_chunks() {
    const CHUNKS: usize = 1_000_000;
    let server = Fixture::start(|config| config.limits.event_bytes = CHUNKS);
    let mut wire = server.connect();
    wire.send("POST /chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    wire.send("1\r\nx\r\n".repeat(CHUNKS));
    wire.send("0\r\n\r\n");
    assert_eq!(Response::read(&mut wire, "POST").status(), 201);
    let kept = server.get("/chat?after=earliest&format=raw", &[]);
    assert_eq!(kept.body.len(), CHUNKS);
    server.assert_serves();
}

#[test]
fn a_body_that_would_grow_when_it_is_unpacked() {
    let server = Fixture::plain();
    for coding in ["gzip", "deflate", "br", "zstd", "gzip, gzip"] {
        let answer = server.post("/chat", &[("Content-Encoding", coding)], [0x1f, 0x8b, 8, 0]);
        assert_eq!(answer.status(), 415, "{coding}");
    }
    server.assert_serves();
}

#[test]
fn more_fields_than_a_head_may_have() {
    let server = impatient();
    let mut wire = server.connect();
    wire.send("GET /chat HTTP/1.1\r\nHost: localhost\r\n");
    flood(&mut wire, "X: y\r\n".repeat(100).as_bytes(), 1000);
    assert_eq!(Response::read(&mut wire, "GET").status(), 431);
    server.assert_serves();
}

#[test]
fn a_name_of_a_field_without_an_end() {
    let server = impatient();
    let mut wire = server.connect();
    wire.send("GET /chat HTTP/1.1\r\nHost: localhost\r\n");
    flood(&mut wire, &[b'x'; 10_000], 1000);
    assert_eq!(Response::read(&mut wire, "GET").status(), 431);
    server.assert_serves();
}

#[test]
fn a_target_without_an_end() {
    let server = impatient();
    let mut wire = server.connect();
    wire.send("GET /");
    flood(&mut wire, &[b'x'; 10_000], 1000);
    assert_eq!(Response::read(&mut wire, "GET").status(), 414);
    server.assert_serves();
}

#[test]
fn empty_lines_without_an_end() {
    let server = impatient();
    let mut wire = server.connect();
    flood(&mut wire, "\r\n".repeat(1000).as_bytes(), 1000);
    assert_eq!(Response::read(&mut wire, "GET").status(), 400);
    server.assert_serves();
}

#[test]
fn lists_of_nothing_in_fields_that_are_lists() {
    let server = Fixture::plain();
    let (commas, quotes) = (",".repeat(10_000), "\"\\".repeat(5000));
    for name in ["Accept", "Connection", "Prefer", "If-None-Match", "Upgrade"] {
        for value in [&commas, &quotes] {
            let answer = server.get("/chat", &[(name, value)]);
            assert_eq!(answer.status(), 200, "{name}");
        }
    }
    server.assert_serves();
}

#[test]
fn parameters_by_the_thousand() {
    let server = Fixture::plain();
    let many = "a=b&".repeat(1900);
    assert_eq!(server.get(&format!("/chat?{many}"), &[]).status(), 200);
    let twice = format!("/chat?{many}wait=1&wait=2");
    assert_eq!(server.get(&twice, &[]).status(), 400);
    server.assert_serves();
}
