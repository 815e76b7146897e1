//! One test for each fault that was found and mended, named after what a user saw. Whoever mends a
//! fault adds the test that failed before.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fourcast::Leaving;
use fourcast::config::{self, Config, Retention};
use serde_json::json;

use crate::support::event::seq;
use crate::support::tls;
use crate::support::websocket::PING;
use crate::support::wire::{Arrival, deadline};
use crate::support::{Fixture, Listener, PATIENCE, Response, Way, WebSocket, exchange, request};

#[test]
fn a_publish_repeated_on_another_way_under_its_key_was_taken_for_another_payload() {
    let server = Fixture::plain();
    let mut socket = WebSocket::open(server.address, "/-/socket");
    socket.next_op("welcome");
    socket.operate(json!({"op": "publish", "channel": "chat", "data": {"paid": 1}, "key": "k"}));
    let ack = socket.next_op("ack");
    let fields = [
        ("Idempotency-Key", "k"),
        ("Content-Type", "application/json"),
    ];
    let again = server.post("/chat", &fields, r#"{"paid": 1}"#);
    assert_eq!(again.status(), 201, "{}", again.text());
    assert_eq!(again.json()["id"], ack["id"]);
    let as_text = server.post("/chat", &fields[..1], r#"{"paid":1}"#);
    assert_eq!(as_text.refusal(), "key_reused");
}

/// A server with two places, on which a peer that does not read is given up soon.
fn impatient() -> Fixture {
    Fixture::start(|config| {
        config.limits.connections = 2;
        config.limits.send_buffer = 8 * 1024;
        config.heartbeat.interval = Duration::from_millis(200);
        config.heartbeat.patience = Duration::from_millis(200);
        config.timeouts.write = Duration::from_millis(600);
        config.timeouts.close = Duration::from_millis(300);
    })
}

#[test]
fn a_websocket_whose_peer_vanished_while_bytes_were_owed_kept_its_place_for_ever() {
    let server = impatient();
    let wire = server.connect().with_small_receive_buffer();
    let mut socket = WebSocket::open_on(wire, "/chat", &[]);
    socket.next_op("welcome");
    while socket.next_frame().expect("a frame").opcode != PING {}
    for _ in 0..60 {
        server.publish_embedded("chat", &"x".repeat(20_000));
    }
    let mut held = server.connect();
    held.send(request("GET", "/quiet", &[], b""));
    assert_eq!(Response::read(&mut held, "GET").status(), 200);
    // Both places were taken; the second is free once the peer was given up.
    server.wait_for_status("/quiet", 200);
}

#[test]
fn a_channel_that_came_back_after_its_record_was_folded_had_forgotten_its_losses() {
    let server = Fixture::start(|config| {
        config.limits.channels = 2;
        config.fanout.tail_events = 1;
    });
    let first = server.publish("a", "1");
    server.publish("a", "2");
    server.delete("a");
    server.publish("b", "3");
    server.publish("c", "4");
    server.delete("c");
    server.publish("a", "5");
    let answer = server.get(&format!("/a?after={first}"), &[]);
    assert_eq!(answer.json()["gap"]["from"], *first, "{}", answer.text());
}

#[test]
fn the_last_of_several_channels_was_not_found_behind_many_events() {
    let server = Fixture::start(|config| {
        config.fanout.tail_events = 1;
        config.channels = vec![Retention {
            max_events: 20_000,
            ..Retention::default()
        }];
    });
    server.publish("b", "b");
    let lines = "{\"data\":1}\n".repeat(1000);
    for _ in 0..11 {
        server.post("/a", &[("Content-Type", "application/x-ndjson")], &lines);
    }
    let last = server.publish("a", "last");
    let answer = server.get("/a,b?last=1", &[]);
    let ids: Vec<_> = answer.json()["events"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|event| event["id"].clone())
        .collect();
    assert!(ids.contains(&json!(last)), "{}", answer.text());
}

#[test]
fn a_long_poll_answered_with_more_events_than_were_asked_for() {
    let server = Fixture::plain();
    let cursor = server.publish("chat", "x");
    let lines = "{\"data\":1}\n".repeat(5);
    thread::scope(|scope| {
        let poll =
            scope.spawn(|| server.get(&format!("/chat?wait=10&limit=2&after={cursor}"), &[]));
        server.post("/chat", &[("Content-Type", "application/x-ndjson")], &lines);
        let answer = poll.join().expect("an answer").json();
        assert_eq!(
            answer["events"].as_array().map(Vec::len),
            Some(2),
            "{answer}"
        );
        assert_eq!(answer["more"], true, "{answer}");
    });
}

#[test]
fn a_poll_without_a_cursor_was_told_a_gap() {
    let server = Fixture::start(|config| {
        config.channels = vec![Retention {
            max_events: 10,
            ..Retention::default()
        }];
    });
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                server.publish_embedded("v", "1");
            }
        });
        for _ in 0..200 {
            let answer = server.get("/v?last=1", &[]);
            assert!(answer.json().get("gap").is_none(), "{}", answer.text());
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn the_cursor_of_an_ack_was_ahead_of_what_had_been_delivered() {
    let server = Fixture::start(|config| {
        config.channels = vec![Retention {
            max_events: 20_000,
            ..Retention::default()
        }];
    });
    for number in 0..3000 {
        server.publish_embedded("chat", &format!("{number} {}", "x".repeat(200)));
    }
    let wire = server.connect().with_small_receive_buffer();
    let mut socket = WebSocket::open_on(wire, "/chat?after=earliest", &[]);
    socket.operate(json!({"op": "subscribe", "channels": ["other"], "ref": 1}));
    let mut delivered = 0;
    loop {
        let object = socket.next_json();
        match (object["op"].as_str(), object["id"].as_str()) {
            (Some("ack"), _) => {
                let cursor = object["cursor"].as_str().expect("a cursor");
                assert!(seq(cursor) <= delivered, "{object} after {delivered}");
                return;
            }
            (None, Some(id)) => delivered = seq(id),
            _ => {}
        }
    }
}

#[test]
fn the_ack_of_a_publish_came_before_the_event_that_it_acknowledged() {
    let server = Fixture::plain();
    let mut socket = WebSocket::open(server.address, "/chat");
    socket.next_op("welcome");
    for number in 0..200 {
        socket.operate(json!({"op": "publish", "data": number, "ref": number}));
    }
    socket.operate(json!({"op": "unsubscribe", "channels": ["chat"], "ref": "last"}));
    let (mut events, mut acks) = (0, 0);
    loop {
        let object = socket.next_json();
        match object["ref"].as_u64() {
            _ if object["ref"] == "last" => break,
            Some(number) => {
                assert_eq!(
                    number, acks,
                    "answers come in the order of what they answer"
                );
                acks += 1;
                assert!(acks <= events, "{object} came before its event");
            }
            None => events += 1,
        }
    }
    assert_eq!((events, acks), (200, 200));
}

#[test]
fn an_event_of_a_new_selector_came_in_its_replay_and_once_more() {
    let server = Fixture::plain();
    let first = server.publish("chat", "1");
    let mut socket = WebSocket::open(server.address, "/chat");
    socket.next_op("welcome");
    socket.operate(json!({"op": "subscribe", "channels": ["*"], "after": first, "ref": 1}));
    server.publish("chat", "2");
    let marked = server.publish("marker", "m");
    let (mut replayed, mut bare) = (Vec::new(), Vec::new());
    let mut live = None;
    loop {
        let object = socket.next_json();
        if let Some(events) = object["events"].as_array() {
            replayed.extend(events.iter().map(|event| event["id"].clone()));
        } else if object["op"] == "live" {
            live = object["cursor"].as_str().map(seq);
            server.publish("end", "e");
        } else if object["channel"] == "end" {
            break;
        } else if let Some(id) = object["id"].as_str() {
            assert!(
                live.is_none_or(|place| seq(id) > place),
                "{object} after live"
            );
            bare.push(json!(id));
        }
    }
    let marker = json!(marked);
    let times = replayed
        .iter()
        .chain(&bare)
        .filter(|id| **id == marker)
        .count();
    assert_eq!(times, 1, "replayed {replayed:?}, bare {bare:?}");
}

#[test]
fn a_refused_delete_had_deleted_already() {
    let server = Fixture::plain();
    server.publish("chat", "kept");
    let mut wire = server.connect();
    wire.send(
        "DELETE /chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    );
    assert_eq!(Response::read(&mut wire, "DELETE").status(), 400);
    let left = server.get("/chat", &[]).json();
    assert_eq!(left["events"][0]["data"], "kept");
}

#[test]
fn json_that_no_client_could_read_was_published() {
    let server = Fixture::plain();
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    let answer = server.post("/chat", &[("Content-Type", "application/json")], &deep);
    assert_eq!(answer.refusal(), "bad_payload");
}

#[test]
fn a_misspelt_member_was_left_out_in_silence() {
    let server = Fixture::plain();
    let fields = [("Content-Type", "application/x-ndjson")];
    let answer = server.post("/chat", &fields, "{\"data\":1,\"tll\":5}\n");
    assert_eq!(answer.refusal(), "bad_payload");
    let mut socket = WebSocket::open(server.address, "/chat");
    socket.next_op("welcome");
    socket.operate(json!({"op": "subscribe", "channels": ["a"], "last": 1, "ref": 7}));
    assert_eq!(socket.next_op("error")["ref"], 7);
}

#[test]
fn the_door_let_every_origin_read_and_called_a_full_server_ill() {
    let server = Fixture::start(|config| config.limits.connections = 1);
    let mut held = server.connect();
    held.send(request("GET", "/quiet", &[], b""));
    assert_eq!(Response::read(&mut held, "GET").status(), 200);
    let foreign = [
        ("Origin", "https://evil.example"),
        ("Accept", "text/event-stream"),
    ];
    let refused = server.get("/chat", &foreign);
    assert_eq!(refused.refusal(), "forbidden_origin");
    assert!(refused.head.field("Access-Control-Allow-Origin").is_none());
    assert_eq!(server.get("/-/healthy", &[]).status(), 200);
    assert_eq!(server.get("/-/ready", &[]).status(), 503);
}

#[test]
fn a_stop_waited_for_everyone_at_the_door() {
    let server = Fixture::start(|config| {
        config.limits.connections = 1;
        config.timeouts.drain = Duration::from_millis(500);
    });
    let silent: Vec<_> = (0..67).map(|_| server.connect()).collect();
    server
        .stop(fourcast::Leaving::Away)
        .join()
        .expect("it stops");
    drop(silent);
}

#[test]
fn the_door_refused_an_eventsource_that_named_its_way_in_the_url() {
    let server = Fixture::start(|config| config.limits.connections = 1);
    let mut held = server.connect();
    held.send(request("GET", "/quiet", &[], b""));
    assert_eq!(Response::read(&mut held, "GET").status(), 200);
    let turned_away = server.get("/chat?transport=sse", &[]);
    assert_eq!(turned_away.status(), 200);
    assert!(
        turned_away.text().contains("retry: "),
        "{}",
        turned_away.text()
    );
}

#[test]
fn a_stop_waited_for_every_client_that_had_long_polled_and_kept_its_connection() {
    let server = Fixture::start(|config| {
        config.timeouts.drain = Duration::from_secs(3600);
        config.timeouts.long_poll = Duration::from_secs(3600);
    });
    let mut kept = server.connect();
    kept.send(request("GET", "/chat?wait=3600&after=now", &[], b""));
    let mut answer = None;
    while answer.is_none() {
        server.publish("chat", "hello");
        answer =
            (kept.pause_briefly() != Arrival::Nothing).then(|| Response::read(&mut kept, "GET"));
    }
    let stop = server.stop(Leaving::Away);
    kept.expect_end();
    let end = deadline();
    while !stop.is_finished() && Instant::now() < end {
        thread::yield_now();
    }
    assert!(stop.is_finished(), "it waits for an hour");
}

#[test]
fn a_request_sent_together_with_a_long_poll_was_answered_when_the_poll_would_have_ended() {
    let server = Fixture::plain();
    let cursor = server.publish("chat", "seen");
    let mut wire = server.connect();
    let waiting = request("GET", &format!("/chat?after={cursor}&wait=60"), &[], b"");
    wire.send([waiting, request("GET", "/other", &[], b"")].concat());
    assert_eq!(wire.pause(), Arrival::Nothing);
    server.publish("chat", "news");
    let first = Response::read(&mut wire, "GET");
    assert_eq!(first.json()["events"][0]["data"], "news");
    assert_eq!(Response::read(&mut wire, "GET").status(), 200);
}

#[test]
fn a_stop_waited_for_clients_whose_long_polls_it_had_answered() {
    let server = Fixture::start(|config| config.timeouts.drain = Duration::from_secs(60));
    let cursor = server.publish("chat", "seen");
    let mut wire = server.connect();
    wire.send(request(
        "GET",
        &format!("/chat?after={cursor}&wait=60"),
        &[],
        b"",
    ));
    assert_eq!(wire.pause(), Arrival::Nothing);
    let begun = Instant::now();
    let stopped = server.stop(fourcast::Leaving::Away);
    assert_eq!(Response::read(&mut wire, "GET").status(), 200);
    drop(wire);
    stopped.join().expect("it stops");
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}

#[test]
fn a_client_that_hung_up_behind_half_a_request_kept_its_place_until_its_wait_was_over() {
    let server = Fixture::start(|config| config.limits.connections = 1);
    let mut wire = server.connect();
    wire.send(request("GET", "/chat?after=now&wait=60", &[], b""));
    wire.send("GET /ch");
    server.wait_for_status("/chat", 503);
    drop(wire);
    server.wait_for_status("/chat", 200);
}

#[test]
fn a_stream_stuck_in_its_first_events_was_not_told_what_it_lost_meanwhile() {
    let server = Fixture::start(|config| {
        config.limits.send_buffer = 8 * 1024;
        config.fanout.tail_events = 2;
        config.channels = vec![Retention {
            max_events: 3,
            ..Retention::default()
        }];
    });
    server.publish("chat", &"x".repeat(400_000));
    let mut wire = server.connect().with_small_receive_buffer();
    wire.send("GET /chat?last=1 HTTP/1.0\r\nAccept: application/x-ndjson\r\n\r\n");
    let mut through = |mark: &[u8]| {
        let bytes = wire.take_through(mark, crate::support::deadline());
        String::from_utf8(bytes.expect("no end")).expect("text")
    };
    assert!(through(b"\r\n\r\n").contains(" 200 "));
    assert!(through(b"\n").contains("welcome"));
    // It has begun to send more than there is room for.
    through(b"\"id\"");
    for number in 0..10 {
        server.publish("chat", &number.to_string());
    }
    through(b"\n");
    let next = through(b"\n");
    assert!(next.contains("\"op\":\"gap\""), "{next}");
}

#[test]
fn a_gap_was_called_deleted_where_delete_took_nothing_that_was_owed() {
    for tail_events in [1, 1_000] {
        let server = Fixture::start(|config| {
            config.fanout.tail_events = tail_events;
            config.channels = vec![Retention {
                max_events: 1,
                ..Retention::default()
            }];
        });
        let first = server.publish("a", "1");
        server.publish("b", "2");
        server.delete("a");
        server.publish_all("a", &["3", "4"]);
        let answer = server.get(&format!("/a?after={first}"), &[]).json();
        assert_eq!(answer["gap"]["reason"], "retention", "{tail_events}");
    }
}

/// A library of TLS that is built with its assertions does not want to say twice that it ends.
#[test]
fn a_stranger_who_was_refused_over_tls_and_sent_garbage_then_ended_the_whole_server() {
    let server = Fixture::secured(|config| config.limits.connections = 1);
    let _place = Listener::open(Way::Sse, &server, "/chat");
    let socket = TcpStream::connect(server.address).expect("a connection");
    socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
    socket.set_write_timeout(Some(PATIENCE)).expect("a limit");
    let mut stream = tls::secured(socket, &tls::authorities(), &[]);
    let asked = request("GET", "/chat", &[], b"");
    stream.write_all(&asked).expect("a request");
    let mut refused = Vec::new();
    stream.read_to_end(&mut refused).expect("a whole answer");
    assert!(refused.starts_with(b"HTTP/1.1 503 "));
    let garbage = [&b"\x17\x03\x03\x00\x20"[..], &[0; 32]].concat();
    let end = deadline();
    while stream.sock.write_all(&garbage).is_ok() {
        assert!(Instant::now() < end, "it was not closed");
    }
    assert_eq!(server.get("/chat", &[]).status(), 503);
}

#[test]
fn a_reload_that_named_a_certificate_that_could_not_be_used_or_none_said_that_all_went_well() {
    let mut config = Config::default();
    let server = Fixture::secured(|secured| {
        secured.admin.listen = Some(([127, 0, 0, 1], 0).into());
        config = secured.clone();
    });
    let key = config.tls.key.clone();
    // A key is no certificate.
    let wrong = config::Tls {
        certificate: key.clone(),
        key,
    };
    let nothing = config::Tls::default();
    let asked = Mutex::new(vec![nothing, wrong]);
    server.reread_from(move || {
        let tls = asked.lock().expect("nobody panics with it").pop();
        let tls = tls.expect("two reloads");
        Ok(Config {
            tls,
            ..config.clone()
        })
    });
    let reload = || exchange(server.admin(), "POST", "/-/reload", &[], b"");
    let refused = reload();
    assert_eq!((refused.status(), &*refused.refusal()), (422, "bad_config"));
    assert!(
        refused.text().contains("there is no certificate in"),
        "{}",
        refused.text()
    );
    let answer = reload();
    assert_eq!(answer.status(), 200);
    let answer = answer.json();
    assert_eq!(answer["changed"], json!([]), "{answer}");
    assert_eq!(answer["kept"][0]["key"], "tls.certificate", "{answer}");
    server.assert_serves();
}
