//! The client against a double that says canned bytes and drops connections.

mod double;

use std::time::{Duration, Instant};

use self::double::{Act, Double, PATIENCE, Peer, act};
use super::{Batch, Builder};
use super::{Client, Error, Incoming, Item, Message, Start, Subscription, Transport};

const STREAMS: [Transport; 3] = [Transport::WebSocket, Transport::Sse, Transport::Ndjson];

fn id(seq: u64) -> String {
    format!("00000epoch-{seq}")
}

fn event(seq: u64) -> String {
    format!(
        r#"{{"id":"{}","channel":"chat","type":"message","time":{seq},"data":{seq}}}"#,
        id(seq)
    )
}

fn gap(from: u64, cursor: u64) -> String {
    let (from, cursor) = (id(from), id(cursor));
    format!(r#""reason":"retention","from":"{from}","cursor":"{cursor}""#)
}

fn welcome(cursor: u64) -> String {
    format!(
        r#"{{"op":"welcome","cursor":"{}","heartbeat_ms":25000}}"#,
        id(cursor)
    )
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// The double's side of a stream, on each of the three ways that have one.
struct Stream<'a> {
    peer: &'a mut Peer,
    transport: Transport,
}

impl<'a> Stream<'a> {
    fn begin(peer: &'a mut Peer, transport: Transport, cursor: u64) -> Self {
        let mut stream = Stream { peer, transport };
        let media_type = match transport {
            Transport::Sse => "text/event-stream",
            Transport::Ndjson => "application/x-ndjson",
            _ => "",
        };
        if transport == Transport::WebSocket {
            stream.peer.accept_websocket();
        } else {
            stream.peer.request();
            stream.peer.send(&format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
            ));
        }
        if transport == Transport::Sse {
            stream.peer.send(&chunk("retry: 1\n"));
        }
        stream.say(&welcome(cursor));
        stream
    }

    fn say(&mut self, json: &str) {
        match self.transport {
            Transport::WebSocket => self.peer.frame(0x81, json.as_bytes()),
            Transport::Sse => self.peer.send(&chunk(&format!("data: {json}\n\n"))),
            _ => self.peer.send(&chunk(&format!("{json}\n"))),
        }
    }

    fn gap(&mut self, from: u64, cursor: u64) {
        self.say(&format!(r#"{{"op":"gap",{}}}"#, gap(from, cursor)));
    }

    /// Says the first half of an event, and no more.
    fn break_off(&mut self, seq: u64) {
        let json = event(seq);
        let half = &json[..json.len() / 2];
        match self.transport {
            Transport::WebSocket => self.peer.frame(0x01, half.as_bytes()),
            Transport::Sse => self.peer.send(&chunk(&format!("data: {half}"))),
            _ => self.peer.send(&chunk(half)),
        }
    }

    fn wait_for_hang_up(&mut self) {
        self.peer.wait_for_hang_up();
    }
}

fn page(cursor: u64, gap: &str, events: &[u64]) -> String {
    let events: Vec<_> = events.iter().map(|seq| event(*seq)).collect();
    format!(
        "{{\"cursor\":\"{}\",\"more\":false,{gap}\"events\":[{}]}}\n",
        id(cursor),
        events.join(",")
    )
}

/// Two events, and then half of a third.
fn breaks_off_after_two(transport: Transport) -> Act {
    act(move |peer| {
        if STREAMS.contains(&transport) {
            let mut stream = Stream::begin(peer, transport, 0);
            stream.say(&event(1));
            stream.say(&event(2));
            stream.break_off(3);
        } else {
            peer.answer("200 OK", "", &page(2, "", &[1, 2]));
            peer.request();
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"cursor\":");
        }
    })
}

/// The second event again, a gap, and the sixth.
fn repeats_and_tells_a_gap(transport: Transport) -> Act {
    act(move |peer| {
        if STREAMS.contains(&transport) {
            let mut stream = Stream::begin(peer, transport, 2);
            stream.say(&event(2));
            stream.gap(2, 5);
            stream.say(&event(6));
            stream.wait_for_hang_up();
        } else {
            let gap = format!("\"gap\":{{{}}},", gap(2, 5));
            peer.answer("200 OK", "", &page(6, &gap, &[2, 6]));
            peer.wait_for_hang_up();
        }
    })
}

fn subscribe(client: &Client, transport: Transport) -> Subscription {
    client
        .subscribe("chat")
        .transport(transport)
        .open()
        .unwrap()
}

fn next(subscription: &mut Subscription) -> Result<Item, Error> {
    let item = subscription.next_before(Instant::now() + PATIENCE)?;
    Ok(item.expect("an item within the test's patience"))
}

/// The next item in a few words.
fn told(subscription: &mut Subscription) -> String {
    match next(subscription) {
        Ok(Item::Connected) => "connected".to_owned(),
        Ok(Item::Event(event)) => event.data().to_owned(),
        Ok(Item::Gap(gap)) => format!("gap {} {}", gap.reason, gap.cursor.seq),
        Ok(Item::Disconnected { .. }) => "disconnected".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn told_in_all(subscription: &mut Subscription, count: usize) -> Vec<String> {
    (0..count).map(|_| told(subscription)).collect()
}

#[test]
fn a_dropped_connection_is_resumed_where_it_was_and_nothing_comes_twice() {
    for transport in Transport::ALL {
        let acts = [
            breaks_off_after_two(transport),
            repeats_and_tells_a_gap(transport),
        ];
        let double = Double::playing(acts);
        let mut subscription = subscribe(&double.client(), transport);
        let items = told_in_all(&mut subscription, 5);
        assert_eq!(
            items,
            ["connected", "1", "2", "disconnected", "connected"],
            "{transport}"
        );
        let mut items = told_in_all(&mut subscription, 2);
        items.sort();
        assert_eq!(items, ["6", "gap retention 5"], "{transport}");
        assert_eq!(subscription.cursor().unwrap().to_string(), id(6));

        let first = double.request();
        assert!(
            first.starts_with("GET /chat?after=now HTTP/1.1\r\n"),
            "{transport}: {first}"
        );
        if !STREAMS.contains(&transport) {
            double.request();
        }
        let resumed = double.request();
        assert!(
            resumed.starts_with("GET /chat HTTP/1.1\r\n"),
            "{transport}: {resumed}"
        );
        let cursor = format!("\r\nLast-Event-ID: {}\r\n", id(2));
        assert!(resumed.contains(&cursor), "{transport}: {resumed}");
    }
}

#[test]
fn a_stream_that_ends_before_any_event_is_resumed_from_its_welcome() {
    for transport in STREAMS {
        let quiet = act(move |peer| {
            Stream::begin(peer, transport, 7);
        });
        let double = Double::playing([quiet, repeats_and_tells_a_gap(transport)]);
        let mut subscription = subscribe(&double.client(), transport);
        let items = told_in_all(&mut subscription, 3);
        assert_eq!(
            items,
            ["connected", "disconnected", "connected"],
            "{transport}"
        );
        double.request();
        let resumed = double.request();
        assert!(
            resumed.contains(&format!("Last-Event-ID: {}\r\n", id(7))),
            "{resumed}"
        );
    }
}

#[test]
fn each_way_asks_for_itself_and_says_where_to_begin() {
    for (transport, start, target, field) in [
        (
            Transport::WebSocket,
            Start::Earliest,
            "/chat?after=earliest",
            "Upgrade: websocket",
        ),
        (
            Transport::Sse,
            Start::Last(2),
            "/chat?last=2",
            "Accept: text/event-stream",
        ),
        (
            Transport::Ndjson,
            Start::Ago(Duration::from_secs(600)),
            "/chat?since=600s",
            "Accept: application/x-ndjson",
        ),
        (
            Transport::LongPoll,
            Start::Now,
            "/chat?after=now",
            "Accept: application/json",
        ),
        (
            Transport::Poll,
            Start::Now,
            "/chat?after=now",
            "Accept: application/json",
        ),
    ] {
        let double = Double::playing([act(|peer| {
            peer.answer("403 Forbidden", "", "");
        })]);
        let subscribe = double
            .client()
            .subscribe("chat")
            .transport(transport)
            .after(start);
        let opened = subscribe
            .open()
            .and_then(|mut subscription| next(&mut subscription));
        assert!(
            matches!(opened, Err(Error::Refused(_))),
            "{transport}: {opened:?}"
        );
        let request = double.request();
        assert!(
            request.starts_with(&format!("GET {target} HTTP/1.1\r\n")),
            "{request}"
        );
        assert!(request.contains(&format!("\r\n{field}\r\n")), "{request}");
    }
}

#[test]
fn a_long_poll_is_held_once_the_server_has_answered() {
    let double = Double::playing([act(|peer| {
        peer.answer("200 OK", "", &page(4, "", &[]));
        peer.answer("200 OK", "", &page(5, "", &[5]));
        peer.wait_for_hang_up();
    })]);
    let mut subscription = subscribe(&double.client(), Transport::LongPoll);
    assert_eq!(told_in_all(&mut subscription, 2), ["connected", "5"]);
    assert!(!double.request().contains("\r\nPrefer:"));
    let held = double.request();
    assert!(held.contains("\r\nPrefer: wait=30\r\n"), "{held}");
    let cursor = format!("\r\nLast-Event-ID: {}\r\n", id(4));
    assert!(held.contains(&cursor), "{held}");
}

const PROBLEM: &str = r#"{"type":"about:blank","title":"No","status":403,"detail":"Not you.","code":"forbidden_origin","retry":false}"#;

#[test]
fn a_final_refusal_ends_a_subscription_with_its_sentence() {
    for transport in Transport::ALL {
        let refuses = act(|peer| peer.answer("403 Forbidden", "", PROBLEM));
        let double = Double::playing([breaks_off_after_two(transport), refuses]);
        let mut subscription = subscribe(&double.client(), transport);
        told_in_all(&mut subscription, 4);
        let error = loop {
            match next(&mut subscription) {
                Ok(Item::Connected) => {}
                Ok(other) => panic!("{transport}: {other:?}"),
                Err(error) => break error,
            }
        };
        let Error::Refused(problem) = error else {
            panic!("{transport}: {error}");
        };
        assert_eq!((problem.status, &*problem.code), (403, "forbidden_origin"));
        assert_eq!(problem.detail, "Not you.");
        assert!(
            matches!(next(&mut subscription), Err(Error::Stopped)),
            "{transport}"
        );
    }
}

#[test]
fn a_refusal_that_passes_is_waited_for() {
    for transport in Transport::ALL {
        let busy = act(|peer| peer.answer("503 Service Unavailable", "Retry-After: 0\r\n", ""));
        let acts = [
            breaks_off_after_two(transport),
            busy,
            repeats_and_tells_a_gap(transport),
        ];
        let double = Double::playing(acts);
        let mut subscription = subscribe(&double.client(), transport);
        told_in_all(&mut subscription, 4);
        let items = told_in_all(&mut subscription, 2);
        assert_eq!(items, ["disconnected", "connected"], "{transport}");
    }
}

#[test]
fn attempts_are_bounded_when_asked() {
    let double = Double::playing([breaks_off_after_two(Transport::Sse)]);
    let client = double.builder().attempts(3).build().unwrap();
    let mut subscription = subscribe(&client, Transport::Sse);
    let mut disconnected = 0;
    let error = loop {
        match next(&mut subscription) {
            Ok(Item::Disconnected { .. }) => disconnected += 1,
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Connect(_)), "{error}");
    assert_eq!(disconnected, 3);
}

#[test]
fn close_codes_say_whether_to_come_back() {
    for (code, returns) in [
        (1001u16, true),
        (1012, true),
        (1013, true),
        (4401, true),
        (4408, true),
    ]
    .into_iter()
    .chain([1002, 1007, 1008, 1009, 4403].map(|code| (code, false)))
    {
        let (tell, answered) = std::sync::mpsc::channel();
        let closes = act(move |peer| {
            let mut stream = Stream::begin(peer, Transport::WebSocket, 0);
            stream.say(&format!(r#"{{"op":"bye","code":{code},"retry_ms":1}}"#));
            peer.frame(0x88, &code.to_be_bytes());
            tell.send(peer.read_frame()).unwrap();
        });
        let double = Double::playing([closes, repeats_and_tells_a_gap(Transport::WebSocket)]);
        let mut subscription = subscribe(&double.client(), Transport::WebSocket);
        assert_eq!(told(&mut subscription), "connected");
        match next(&mut subscription) {
            Ok(Item::Disconnected {
                error: Error::Closed(close),
                ..
            }) if returns => {
                assert_eq!(close.code, code);
                assert_eq!(told(&mut subscription), "connected");
            }
            Err(Error::Closed(close)) if !returns => assert_eq!(close.code, code),
            other => panic!("{code}: {other:?}"),
        }
        let answer = answered.recv_timeout(PATIENCE).unwrap();
        assert_eq!(answer, (0x88, code.to_be_bytes().to_vec()));
    }
}

/// Says goodbye in the way of this stream, and hangs up.
fn leaves(transport: Transport, bye: &'static str, code: u16) -> Act {
    act(move |peer| {
        let mut stream = Stream::begin(peer, transport, 0);
        stream.say(bye);
        match transport {
            Transport::WebSocket => stream.peer.frame(0x88, &code.to_be_bytes()),
            _ => stream.peer.send("0\r\n\r\n"),
        }
    })
}

#[test]
fn every_stream_says_why_it_ended() {
    for transport in STREAMS {
        let bye = r#"{"op":"bye","code":1012,"retry_ms":1}"#;
        let double = Double::playing([leaves(transport, bye, 1012)]);
        let mut subscription = subscribe(&double.client(), transport);
        assert_eq!(told(&mut subscription), "connected");
        match next(&mut subscription) {
            Ok(Item::Disconnected { error, .. }) => assert_eq!(
                error.to_string(),
                "the server ended the stream (1012: the server restarts)",
                "{transport}"
            ),
            other => panic!("{transport}: {other:?}"),
        }
    }
}

#[test]
fn a_goodbye_for_good_names_no_time_and_ends_a_subscription_on_every_stream() {
    for transport in STREAMS {
        let bye = r#"{"op":"bye","code":4403}"#;
        let double = Double::playing([leaves(transport, bye, 4403)]);
        let mut subscription = subscribe(&double.client(), transport);
        assert_eq!(told(&mut subscription), "connected");
        match next(&mut subscription) {
            Err(Error::Closed(close)) => assert_eq!(close.code, 4403, "{transport}"),
            other => panic!("{transport}: {other:?}"),
        }
    }
}

#[test]
fn a_goodbye_counts_for_its_own_connection_only() {
    for transport in [Transport::Sse, Transport::Ndjson] {
        let ends = act(move |peer| {
            let stream = Stream::begin(peer, transport, 0);
            stream.peer.send("0\r\n\r\n");
        });
        let bye = r#"{"op":"bye","code":1012}"#;
        let double = Double::playing([leaves(transport, bye, 1012), ends]);
        let mut subscription = subscribe(&double.client(), transport);
        assert_eq!(
            told_in_all(&mut subscription, 3),
            ["connected", "disconnected", "connected"],
            "{transport}"
        );
        match next(&mut subscription) {
            Ok(Item::Disconnected { error, .. }) => {
                assert!(matches!(error, Error::Ended), "{transport}: {error}");
            }
            other => panic!("{transport}: {other:?}"),
        }
    }
}

#[test]
fn a_server_that_says_when_to_come_back_is_not_seen_sooner() {
    let wait = Duration::from_millis(200);
    for transport in STREAMS {
        let leaves = act(move |peer| {
            let mut stream = Stream::begin(peer, transport, 0);
            stream.say(r#"{"op":"bye","code":1012,"retry_ms":200}"#);
        });
        let double = Double::playing([leaves]);
        let mut subscription = subscribe(&double.client(), transport);
        assert_eq!(told(&mut subscription), "connected");
        match next(&mut subscription) {
            Ok(Item::Disconnected { retry_in, .. }) => assert!(retry_in >= wait, "{retry_in:?}"),
            other => panic!("{transport}: {other:?}"),
        }
    }
}

#[test]
fn a_dead_connection_is_noticed() {
    for transport in STREAMS {
        let falls_silent = act(move |peer| {
            Stream::begin(peer, transport, 0).wait_for_hang_up();
        });
        let double = Double::playing([falls_silent, repeats_and_tells_a_gap(transport)]);
        let builder = double.builder().patience(Duration::from_millis(100));
        let mut subscription = subscribe(&builder.build().unwrap(), transport);
        loop {
            match next(&mut subscription) {
                Ok(Item::Connected) => {}
                Ok(Item::Disconnected {
                    error: Error::Silent(_),
                    ..
                }) => break,
                other => panic!("{transport}: {other:?}"),
            }
        }
        double.request();
        assert_eq!(told(&mut subscription), "connected", "{transport}");
        assert!(double.request().contains("GET /chat"), "{transport}");
    }
}

#[test]
fn a_deadline_passes_without_harm_to_what_is_half_read() {
    for transport in STREAMS {
        let (go, may_go) = std::sync::mpsc::channel();
        let slow = act(move |peer| {
            let mut stream = Stream::begin(peer, transport, 0);
            let json = event(1);
            let (first, second) = json.split_at(20);
            match transport {
                Transport::WebSocket => stream.peer.frame(0x01, first.as_bytes()),
                Transport::Sse => stream.peer.send(&chunk(&format!("data: {first}"))),
                _ => stream.peer.send(&chunk(first)),
            }
            may_go.recv_timeout(PATIENCE).unwrap();
            match transport {
                Transport::WebSocket => stream.peer.frame(0x80, second.as_bytes()),
                _ => stream.peer.send(&chunk(&format!("{second}\n\n"))),
            }
            stream.wait_for_hang_up();
        });
        let double = Double::playing([slow]);
        let mut subscription = subscribe(&double.client(), transport);
        assert_eq!(told(&mut subscription), "connected");
        let soon = Instant::now() + Duration::from_millis(20);
        assert!(
            subscription.next_before(soon).unwrap().is_none(),
            "{transport}"
        );
        go.send(()).unwrap();
        assert_eq!(told(&mut subscription), "1", "{transport}");
    }
}

#[test]
fn a_way_is_changed_in_mid_course() {
    let first = act(|peer| {
        let mut stream = Stream::begin(peer, Transport::Sse, 0);
        stream.say(&event(1));
        stream.say(&event(2));
        stream.wait_for_hang_up();
    });
    let second = act(|peer| {
        peer.answer("200 OK", "", &page(3, "", &[2, 3]));
        peer.wait_for_hang_up();
    });
    let double = Double::playing([first, second]);
    let mut subscription = subscribe(&double.client(), Transport::Sse);
    assert_eq!(told_in_all(&mut subscription, 2), ["connected", "1"]);
    subscription.switch(Transport::LongPoll);
    assert_eq!(told_in_all(&mut subscription, 3), ["connected", "2", "3"]);
    double.request();
    let resumed = double.request();
    assert!(
        resumed.contains(&format!("Last-Event-ID: {}\r\n", id(1))),
        "{resumed}"
    );
}

#[test]
fn a_subscription_is_stopped_whatever_it_waits_for() {
    for transport in Transport::ALL {
        let silent = act(move |peer| {
            if STREAMS.contains(&transport) {
                Stream::begin(peer, transport, 0).wait_for_hang_up();
            } else {
                peer.request();
                peer.wait_for_hang_up();
            }
        });
        let double = Double::playing([silent]);
        let mut subscription = subscribe(&double.client(), transport);
        let stopper = subscription.stopper();
        let stopping = std::thread::spawn(move || stopper.stop());
        let ended = loop {
            match next(&mut subscription) {
                Ok(Item::Connected) => {}
                other => break other,
            }
        };
        assert!(
            matches!(ended, Err(Error::Stopped)),
            "{transport}: {ended:?}"
        );
        assert!(subscription.next().is_none(), "an iterator ends");
        stopping.join().unwrap();
    }
}

#[test]
fn a_subscription_is_stopped_while_it_waits_to_come_back() {
    let double = Double::playing([breaks_off_after_two(Transport::Sse)]);
    let hour = Duration::from_secs(3600);
    let client = double.builder().backoff(hour, hour).build().unwrap();
    let mut subscription = subscribe(&client, Transport::Sse);
    told_in_all(&mut subscription, 4);
    let stopper = subscription.stopper();
    let stopping = std::thread::spawn(move || stopper.stop());
    assert!(matches!(next(&mut subscription), Err(Error::Stopped)));
    stopping.join().unwrap();
}

#[test]
fn a_websocket_is_closed_with_a_handshake() {
    let (tell, told) = std::sync::mpsc::channel();
    let double = Double::playing([act(move |peer| {
        let mut stream = Stream::begin(peer, Transport::WebSocket, 0);
        stream.say(&event(1));
        let close = peer.read_frame();
        peer.frame(0x88, &close.1);
        let mut nothing_more = true;
        peer.wait_for_hang_up();
        nothing_more &= close == (0x88, 1000u16.to_be_bytes().to_vec());
        tell.send(nothing_more).unwrap();
    })]);
    subscribe(&double.client(), Transport::WebSocket).close();
    assert!(told.recv_timeout(PATIENCE).unwrap());
}

#[test]
fn a_server_that_does_not_answer_a_close_is_not_waited_for_long() {
    let double = Double::playing([act(|peer| {
        Stream::begin(peer, Transport::WebSocket, 0).wait_for_hang_up();
    })]);
    let builder = double.builder().close_timeout(Duration::from_millis(20));
    let begun = Instant::now();
    subscribe(&builder.build().unwrap(), Transport::WebSocket).close();
    assert!(begun.elapsed() < PATIENCE);
}

#[test]
fn pings_are_answered_and_fragments_joined() {
    let (tell, told_pong) = std::sync::mpsc::channel();
    let double = Double::playing([act(move |peer| {
        Stream::begin(peer, Transport::WebSocket, 0);
        let json = event(1);
        let (first, second) = json.split_at(10);
        peer.frame(0x01, first.as_bytes());
        peer.frame(0x89, b"are you there");
        peer.frame(0x80, second.as_bytes());
        tell.send(peer.read_frame()).unwrap();
        peer.wait_for_hang_up();
    })]);
    let mut subscription = subscribe(&double.client(), Transport::WebSocket);
    assert_eq!(told_in_all(&mut subscription, 2), ["connected", "1"]);
    let pong = told_pong.recv_timeout(PATIENCE).unwrap();
    assert_eq!(pong, (0x8a, b"are you there".to_vec()));
}

#[test]
fn a_server_that_breaks_the_protocol_is_told_so() {
    let (tell, told_close) = std::sync::mpsc::channel();
    for (frame, code) in [((0x81, b"\xff".as_slice()), 1007u16), ((0xf1, b"x"), 1002)] {
        let tell = tell.clone();
        let double = Double::playing([act(move |peer| {
            Stream::begin(peer, Transport::WebSocket, 0);
            peer.frame(frame.0, frame.1);
            tell.send(peer.read_frame()).unwrap();
        })]);
        let mut subscription = subscribe(&double.client(), Transport::WebSocket);
        assert_eq!(told(&mut subscription), "connected");
        assert!(matches!(next(&mut subscription), Err(Error::Protocol(_))));
        let close = told_close.recv_timeout(PATIENCE).unwrap();
        assert_eq!(close, (0x88, code.to_be_bytes().to_vec()));
    }
}

#[test]
fn operations_go_out_under_numbers_and_their_answers_come_back_under_them() {
    let double = Double::playing([act(|peer| {
        let mut stream = Stream::begin(peer, Transport::WebSocket, 0);
        for answer in [
            format!(r#"{{"op":"ack","ref":1,"id":"{}"}}"#, id(1)),
            r#"{"op":"error","ref":2,"code":"bad_channel","detail":"No.","retry":false}"#
                .to_owned(),
        ] {
            let (opcode, operation) = stream.peer.read_frame();
            assert_eq!(opcode, 0x81);
            let _: serde_json::Value = serde_json::from_slice(&operation).unwrap();
            stream.say(&answer);
        }
        stream.wait_for_hang_up();
    })]);
    let mut socket = double.client().websocket().unwrap();
    let sender = socket.sender();
    assert_eq!(sender.publish(&Message::text("chat", "hi")).unwrap(), 1);
    assert_eq!(
        sender
            .subscribe("rooms/*,chat", Some(Start::Earliest))
            .unwrap(),
        2
    );
    let mut incoming = || {
        socket
            .next_before(Instant::now() + PATIENCE)
            .unwrap()
            .unwrap()
    };
    assert!(matches!(incoming(), Incoming::Welcome { .. }));
    assert!(matches!(
        incoming(),
        Incoming::Ack {
            reference: Some(1),
            id: Some(_),
            ..
        }
    ));
    match incoming() {
        Incoming::Refused {
            reference: Some(2),
            problem,
        } => assert_eq!(problem.code, "bad_channel"),
        other => panic!("{other:?}"),
    }
    drop(socket);
    assert!(sender.ping().is_err(), "a sender ends with its socket");
}

const RECEIPT: &str = "{\"id\":\"00000epoch-1\",\"channel\":\"chat\",\"time\":5}\n";

fn drops(peer: &mut Peer) {
    peer.request();
}

fn creates(peer: &mut Peer) {
    peer.answer("201 Created", "", RECEIPT);
}

#[test]
fn publications_share_a_connection() {
    let double = Double::playing([act(|peer| {
        creates(peer);
        creates(peer);
        peer.answer(
            "201 Created",
            "",
            &format!("{{\"events\":[{}]}}\n", RECEIPT.trim()),
        );
        peer.answer("204 No Content", "", "");
    })]);
    let client = double.client();
    let message = Message::text("chat", "hi")
        .kind("a b")
        .ttl(Duration::from_secs(5));
    assert_eq!(client.publish(&message).unwrap().id.to_string(), id(1));
    client.publish(&Message::json("chat", "[1]")).unwrap();
    let batch = Batch::new([Message::text("chat", "hi"), Message::json("x/y", "1")]);
    assert_eq!(client.publish_batch(&batch).unwrap().len(), 1);
    client.delete("chat").unwrap();

    let text = double.request();
    assert!(
        text.starts_with("POST /chat?type=a+b&ttl=5 HTTP/1.1\r\n"),
        "{text}"
    );
    assert!(
        text.ends_with("\r\n\r\nhi") && !text.contains("Content-Type"),
        "{text}"
    );
    assert!(
        double
            .request()
            .contains("Content-Type: application/json\r\n")
    );
    let batch = double.request();
    assert!(batch.starts_with("POST /-/publish HTTP/1.1\r\n"), "{batch}");
    assert!(
        batch.ends_with(
            "{\"channel\":\"chat\",\"data\":\"hi\"}\n{\"channel\":\"x/y\",\"data\":1}\n"
        )
    );
    assert!(double.request().starts_with("DELETE /chat HTTP/1.1\r\n"));
}

#[test]
fn a_kept_connection_that_the_server_closed_is_not_used_again() {
    let (tell, closed) = std::sync::mpsc::channel();
    let closes = act(move |peer| {
        creates(peer);
        peer.shut();
        tell.send(()).unwrap();
    });
    let double = Double::playing([closes, act(creates)]);
    let client = double.client();
    client.publish(&Message::text("chat", "1")).unwrap();
    closed.recv_timeout(PATIENCE).unwrap();
    client.publish(&Message::text("chat", "2")).unwrap();
}

#[test]
fn a_lost_publication_is_repeated_only_under_a_key() {
    let double = Double::playing([act(drops), act(drops), act(creates)]);
    let error = double
        .client()
        .publish(&Message::text("chat", "hi"))
        .unwrap_err();
    assert!(matches!(error, Error::Connection(_)), "{error}");
    double.request();
    let message = Message::text("chat", "hi").idempotency_key("k1");
    double.client().publish(&message).unwrap();
    for _ in 0..2 {
        assert!(double.request().contains("\r\nIdempotency-Key: k1\r\n"));
    }
}

#[test]
fn repetitions_are_bounded() {
    let double = Double::playing([act(drops), act(drops), act(creates)]);
    let client = double.builder().publish_attempts(2).build().unwrap();
    let message = Message::text("chat", "hi").random_idempotency_key();
    assert!(client.publish(&message).is_err());
}

#[test]
fn a_refused_publication_says_why_even_before_it_was_read() {
    let body = PROBLEM
        .replace("403", "413")
        .replace("forbidden_origin", "too_large");
    let double = Double::playing([act(move |peer| {
        let length = body.len();
        peer.send(&format!(
            "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
        peer.wait_for_hang_up();
    })]);
    let error = double
        .client()
        .publish(&Message::bytes("chat", vec![0; 1 << 20]))
        .unwrap_err();
    let Error::Refused(problem) = error else {
        panic!("{error}");
    };
    assert_eq!((problem.status, &*problem.code), (413, "too_large"));
    assert!(!problem.retry);
}

#[test]
fn an_answer_beyond_the_bound_is_refused() {
    let bounded = |builder: Builder| builder.max_message(64).build().unwrap();
    for transport in Transport::ALL {
        let double = Double::playing([breaks_off_after_two(transport)]);
        let opened = bounded(double.builder())
            .subscribe("chat")
            .transport(transport)
            .open();
        let mut subscription = opened.unwrap();
        let error = loop {
            match next(&mut subscription) {
                Ok(Item::Connected) => {}
                Ok(other) => panic!("{transport}: {other:?}"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::Protocol(_)), "{transport}: {error}");
    }
}

#[test]
fn a_server_that_is_not_there_is_told_at_once() {
    let double = Double::playing([]);
    let client = double.client();
    for transport in Transport::ALL {
        let opened = client.subscribe("chat").transport(transport).open();
        assert!(
            matches!(opened.err(), Some(Error::Connect(_))),
            "{transport}"
        );
    }
    let published = client.publish(&Message::text("chat", "hi"));
    assert!(matches!(published, Err(Error::Connect(_))));
}
