//! A budget of memory so small that a few large bodies use it up: who is one too many is refused, and all goes on.

use std::time::Instant;

use serde_json::json;

use crate::durable::home::Home;
use crate::durable::process::Process;
use crate::support::http::{Head, exchange};
use crate::support::sse::EventSource;
use crate::support::tls;
use crate::support::websocket::{CONTINUATION, Message, PING, PONG, TEXT};
use crate::support::wire::deadline;
use crate::support::{Fixture, Frame, Response, Way, WebSocket, Wire, request};

const KIB: usize = 1024;
const LARGE: usize = 1024 * KIB;

/// What a connection takes.
const CONNECTION: usize = 32 * KIB;
/// What one by TLS takes more.
const SESSION: usize = 40 * KIB;

/// With so much for clients, as many as there are at once; more where they come by TLS. What stands without them is told
/// to be so much that the tests around it, which are in the same process, do not matter.
fn server(room: usize, clients: usize) -> Fixture {
    Fixture::start(|config| {
        config.journal.max_bytes = 1 << 40;
        let more = if tls::is_usual() { SESSION } else { 0 };
        config.limits.memory = Some(config.standing_bytes() + room + clients * more);
    })
}

/// The beginning of a large publish, of which so much is sent.
fn begin(server: &Fixture, sent: usize) -> Wire {
    let mut wire = server.connect();
    let fields = [("Content-Length", LARGE.to_string())];
    let fields = fields
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    wire.send(request("POST", "/chat", &fields, b""));
    // One that is refused meanwhile takes no more.
    let _ = wire.try_send(vec![b'x'; sent]);
    wire
}

/// The answer to a publish that is one too many, whose connection is closed before all of it was sent.
fn end(mut wire: Wire, left: usize) -> Option<Response> {
    let _ = wire.try_send(vec![b'x'; left]);
    Response::try_read(&mut wire, "POST")
}

#[test]
fn large_bodies_at_once_are_refused_beyond_the_budget_and_the_server_goes_on() {
    let server = server(4 * LARGE, 20);
    let wires: Vec<_> = (0..20).map(|_| begin(&server, LARGE - 1)).collect();
    let answers = wires.into_iter().map(|wire| end(wire, 1));
    let (mut taken, mut refused) = (0, 0);
    for answer in answers.map(|answer| answer.expect("an answer")) {
        match answer.status() {
            201 => taken += 1,
            503 => {
                assert_eq!(answer.refusal(), "out_of_memory");
                assert!(answer.head.field("Retry-After").is_some());
                refused += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert!(
        taken > 0 && refused > 0,
        "{taken} were taken, {refused} refused"
    );
    // What was held is given back.
    assert_eq!(server.post("/chat", &[], vec![b'x'; LARGE]).status(), 201);
    server.assert_serves();
}

/// As many threads as there are here have each a part of the memory to themselves, and what they free in it stays theirs.
#[cfg(target_env = "gnu")]
#[test]
fn a_process_that_does_not_get_smaller_serves_again_when_those_who_filled_it_have_gone() {
    const CONNECTIONS: usize = 150;
    let home = Home::new("full-process");
    let mut command = home.serve();
    command
        .env("FOURCAST_LIMITS__MEMORY", "54 MiB")
        .env("FOURCAST_LIMITS__CHANNELS", "1000")
        .env("FOURCAST_LIMITS__IDEMPOTENCY_KEYS", "1000")
        .env("FOURCAST_JOURNAL__KIND", "memory")
        .env("FOURCAST_JOURNAL__MAX_BYTES", "2 MiB")
        .env("FOURCAST_FANOUT__TAIL_BYTES", "1 MiB")
        .env("FOURCAST_FANOUT__REPLAY_BYTES", "0 B")
        .env("MALLOC_ARENA_MAX", "500");
    let server = Process::try_start_as(&home, command).expect("a server");
    let mut wires: Vec<_> = (0..CONNECTIONS).map(|_| server.connect()).collect();
    for wire in &mut wires {
        wire.send(request("GET", "/chat", &[], b""));
        assert_eq!(Response::read(wire, "GET").status(), 200);
    }
    // One at a time, so that there is always room for it: only what the process really has can be too much.
    let (large, end) = (vec![b'x'; LARGE], deadline());
    for number in (0..CONNECTIONS).cycle() {
        let _ = wires[number].try_send(request("POST", "/chat", &[], &large));
        let answer = Response::read(&mut wires[number], "POST");
        if answer.status() == 503 {
            break;
        }
        assert!(Instant::now() < end, "it never has too much");
    }
    let small = || server.post("/chat", &[], b"x");
    assert_eq!(small().refusal(), "out_of_memory");
    drop(wires);
    let end = deadline();
    while small().status() != 201 {
        assert!(Instant::now() < end, "{}", server.log());
        std::thread::yield_now();
    }
}

#[test]
fn a_small_body_needs_nothing_beyond_its_connection() {
    let server = server(CONNECTION, 1);
    let mut wire = server.connect();
    wire.send(request("POST", "/chat", &[], &[b'x'; 4 * KIB]));
    assert_eq!(Response::read(&mut wire, "POST").status(), 201);
    // Of a larger one not all may be taken.
    let _ = wire.try_send(request("POST", "/chat", &[], &[b'x'; 64 * KIB]));
    let refused = Response::read(&mut wire, "POST");
    assert_eq!(refused.refusal(), "out_of_memory");
}

#[test]
fn a_message_in_fragments_is_refused_beyond_the_budget() {
    let server = server(LARGE, 3);
    let mut socket = WebSocket::open(server.address, "/chat");
    socket.next_op("welcome");
    let first = Frame::new(TEXT, "x".repeat(64 * KIB)).unfinished();
    socket.send(&first);
    let next = Frame::new(CONTINUATION, "x".repeat(64 * KIB)).unfinished();
    // One MiB twice is more than there is.
    for _ in 0..14 {
        if socket.wire.try_send(next.masked()).is_err() {
            break;
        }
    }
    let bye = socket.next_op("bye");
    assert_eq!(bye["code"], 1013);
    assert!(bye["retry_ms"].is_u64(), "{bye}");
    assert_eq!(socket.close_code(), Some(1013));
    server.assert_serves();
}

#[test]
fn messages_one_after_the_other_need_room_for_one() {
    let server = server(LARGE, 3);
    let mut socket = WebSocket::open(server.address, "/-/socket");
    socket.next_op("welcome");
    for number in 0..20 {
        let data = "x".repeat(200 * KIB);
        socket.operate(json!({"op": "publish", "channel": "chat", "data": data, "ref": number}));
        assert_eq!(socket.next_op("ack")["ref"], number);
    }
}

#[test]
fn a_batch_is_refused_when_there_is_no_memory_for_its_answer_before_it_is_published() {
    let server = server(400 * KIB, 2);
    let channel = format!("/{}", "x".repeat(255));
    let mut wire = server.connect();
    let mut batch = |events| {
        let lines = "{\"data\":1}\n".repeat(events);
        let length = lines.len().to_string();
        let fields = [
            ("Content-Type", "application/x-ndjson"),
            ("Content-Length", &length),
        ];
        wire.send(request("POST", &channel, &fields, lines.as_bytes()));
        Response::read(&mut wire, "POST")
    };
    assert_eq!(batch(1000).refusal(), "out_of_memory");
    assert_eq!(server.get(&channel, &[]).json()["events"], json!([]));
    // What was held is given back.
    for _ in 0..3 {
        assert_eq!(batch(300).status(), 201);
    }
}

#[test]
fn a_long_answer_is_refused_when_there_is_no_memory_for_it() {
    let server = server(600 * KIB, 3);
    for _ in 0..4 {
        server.publish("chat", &"x".repeat(100 * KIB));
    }
    let answer = server.get("/chat", &[]);
    assert_eq!(answer.refusal(), "out_of_memory");
    assert_eq!(server.get("/chat?limit=1", &[]).status(), 200);
}

/// Escaped it takes six times as much as it came with, so there is room for what comes and none for what would leave.
#[test]
fn an_answer_to_whoever_waits_is_refused_when_there_is_no_memory_for_it() {
    for (size, room) in [(100 * KIB, 500 * KIB), (40 * KIB, 180 * KIB)] {
        let server = server(room, 3);
        let seen = server.publish("chat", "seen");
        let mut waiting = server.connect();
        let expects = [("Expect", "100-continue"), ("Content-Length", "1")];
        let target = format!("/chat?after={seen}&wait=60");
        waiting.send(request("GET", &target, &expects, b""));
        let interim = Head::read(&mut waiting, deadline()).expect("an interim answer");
        assert_eq!(interim.status, 100);
        waiting.send("x");
        server.publish("chat", &"\u{1}".repeat(size));
        let answer = Response::read(&mut waiting, "GET");
        assert_eq!(answer.status(), 503, "{size} bytes");
        assert_eq!(answer.refusal(), "out_of_memory");
        server.assert_serves();
    }
}

#[test]
fn events_that_slow_readers_have_begun_are_held_as_long_as_there_is_memory_for_them() {
    const READERS: usize = 6;
    const HELD: usize = 3;
    let server = Fixture::start(|config| {
        config.journal.max_bytes = 1 << 40;
        config.limits.memory = Some(config.standing_bytes() + HELD * LARGE + LARGE / 2);
        config.admin.listen = Some(([127, 0, 0, 1], 0).into());
    });
    let mut before = server.publish("chat", "the first");
    let mut readers = Vec::new();
    for _ in 0..READERS {
        // Each has one of its own, of which more than half does not fit into sockets.
        let target = format!("/chat?after={before}");
        before = server.publish("chat", &"x".repeat(LARGE));
        readers.push(target);
    }
    let mut readers: Vec<_> = readers
        .iter()
        .map(|target| WebSocket::open(server.address, target))
        .collect();
    let refused = format!(
        "fourcast_refusals_total{{code=\"out_of_memory\"}} {}",
        READERS - HELD
    );
    let end = deadline();
    loop {
        let answer = exchange(server.admin(), "GET", "/metrics", &[], b"");
        let metrics = answer.text();
        if metrics.contains(&refused) {
            break;
        }
        assert!(Instant::now() < end, "{metrics}");
        std::thread::yield_now();
    }
    let mut cut = 0;
    for reader in &mut readers {
        reader.next_op("welcome");
        match reader.next_message() {
            Message::Text(event) => {
                let event: serde_json::Value = serde_json::from_str(&event).expect("JSON");
                assert_eq!(event["data"].as_str().map(str::len), Some(LARGE));
            }
            Message::End => cut += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(cut, READERS - HELD, "whose event is not held any longer");
}

#[test]
fn an_event_that_many_slow_readers_have_begun_is_held_once_for_all_of_them() {
    let server = server(4 * LARGE, 13);
    let before = server.publish("chat", "the first");
    server.publish("chat", &"x".repeat(LARGE));
    let target = format!("/chat?after={before}");
    let readers: Vec<_> = (0..12)
        .map(|_| WebSocket::open(server.address, &target))
        .collect();
    for mut reader in readers {
        reader.next_op("welcome");
        let event = reader.next_json();
        assert_eq!(event["data"].as_str().map(str::len), Some(LARGE));
    }
}

#[test]
fn a_connection_for_which_there_is_no_memory_is_refused_at_the_door() {
    let server = server(100 * KIB, 3);
    let mut places: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for wire in &mut places {
        wire.send(request("GET", "/chat", &[], b""));
        assert_eq!(Response::read(wire, "GET").status(), 200);
    }
    assert_eq!(server.get("/chat", &[]).refusal(), "out_of_memory");
    let bytes = request("GET", "/chat", &Way::Sse.fields(), b"");
    let mut source = EventSource::open(server.connect(), &bytes);
    let bye = source.next_message().expect("a goodbye");
    assert!(
        bye.data.contains(r#""code":1013,"retry_ms":"#),
        "{}",
        bye.data
    );
    drop(places);
    server.wait_for_status("/chat", 200);
}

#[test]
fn a_connection_by_tls_takes_its_session_too() {
    let server = Fixture::secured(|config| {
        config.journal.max_bytes = 1 << 40;
        config.limits.memory = Some(config.standing_bytes() + 100 * KIB);
    });
    let mut place = server.connect();
    place.send(request("GET", "/chat", &[], b""));
    assert_eq!(Response::read(&mut place, "GET").status(), 200);
    assert_eq!(server.get("/chat", &[]).refusal(), "out_of_memory");
    drop(place);
    server.wait_for_status("/chat", 200);
}

#[test]
fn a_message_that_does_not_end_loses_its_memory_and_its_connection() {
    let server =
        Fixture::start(|config| config.timeouts.body = std::time::Duration::from_millis(200));
    let mut socket = WebSocket::open(server.address, "/chat");
    socket.next_op("welcome");
    let begun = Frame::new(TEXT, "begun").unfinished();
    socket.send(&begun);
    // Whatever else it says is no part of the message.
    socket.send(&Frame::new(PING, "still here"));
    assert_eq!(socket.next_op("bye")["code"], 1008);
    assert_eq!(socket.close_code(), Some(1008));
    server.assert_serves();
}

#[test]
fn a_subscriber_that_only_answers_pings_takes_no_more_memory() {
    let server = server(200 * KIB, 3);
    let mut socket = WebSocket::open(server.address, "/chat");
    socket.next_op("welcome");
    // Far more than there is room for, were they added up.
    for _ in 0..4_000 {
        socket.send(&Frame::new(PONG, [b'x'; 125]));
    }
    socket.operate(json!({"op": "ping"}));
    socket.next_op("ack");
}
