//! Subscribers that do not read: what it costs them, and that it costs nobody else anything.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use fourcast::config::{Config, Retention};

use crate::support::event::seq;
use crate::support::wire::deadline;
use crate::support::{Event, Fixture, Gap, Listener, Response, Told, Way, Wire, request};

const STREAMS: [Way; 3] = [Way::Sse, Way::Ndjson, Way::WebSocket];

/// So large that a handful fills every buffer between a server and a client that does not read.
fn large(number: usize) -> String {
    format!("{number:04} {}", "x".repeat(20_000))
}

fn narrow(config: &mut Config) {
    config.limits.send_buffer = 8 * 1024;
}

fn publish_large(server: &Fixture, count: usize) -> Vec<String> {
    (0..count)
        .map(|number| server.publish("chat", &large(number)))
        .collect()
}

#[test]
fn the_others_get_everything_in_order_while_one_does_not_read() {
    const COUNT: usize = 150;
    let server = Fixture::start(narrow);
    let slow = STREAMS.map(|way| Listener::open_slow(way, &server, "/chat"));
    let mut others = Way::ALL.map(|way| Listener::open(way, &server, "/chat?after=now"));
    thread::scope(|scope| {
        let readers = others
            .each_mut()
            .map(|listener| scope.spawn(|| take_ids(listener, COUNT)));
        let published = publish_large(&server, COUNT);
        for (reader, way) in readers.into_iter().zip(Way::ALL) {
            assert_eq!(reader.join().expect("a reader"), published, "by {way:?}");
        }
    });
    for (mut listener, way) in slow.into_iter().zip(STREAMS) {
        for number in 0..COUNT {
            assert!(
                listener.next_event().text() == large(number),
                "{number} by {way:?}"
            );
        }
    }
}

fn take_ids(listener: &mut Listener, count: usize) -> Vec<String> {
    (0..count).map(|_| listener.next_event().id).collect()
}

fn catches_up_exactly(way: Way) {
    const COUNT: usize = 100;
    let server = Fixture::start(narrow);
    let mut slow = Listener::open_slow(way, &server, "/chat");
    let published = publish_large(&server, COUNT);
    assert_eq!(take_ids(&mut slow, COUNT), published);
    let live = server.publish("chat", "live again");
    assert_eq!(slow.next_event().id, live);
}

#[test]
fn an_eventsource_that_reads_late_catches_up_exactly() {
    catches_up_exactly(Way::Sse);
}

#[test]
fn a_reader_of_lines_that_reads_late_catches_up_exactly() {
    catches_up_exactly(Way::Ndjson);
}

#[test]
fn a_websocket_that_reads_late_catches_up_exactly() {
    catches_up_exactly(Way::WebSocket);
}

/// What a subscriber was told up to the event `last`.
fn told_until(listener: &mut Listener, last: &str) -> (Vec<Event>, Vec<(usize, Gap)>) {
    let (mut events, mut gaps) = (Vec::new(), Vec::new());
    loop {
        match listener.next() {
            Told::Event(event) if event.id == last => {
                events.push(event);
                return (events, gaps);
            }
            Told::Event(event) => events.push(event),
            Told::Gap(gap) => gaps.push((events.len(), gap)),
            other => panic!("{other:?}"),
        }
    }
}

fn is_told_when_overtaken(way: Way) {
    let server = Fixture::start(|config| {
        narrow(config);
        config.fanout.tail_events = 10;
        config.channels = vec![Retention {
            max_events: 10,
            ..Retention::default()
        }];
    });
    let mut slow = Listener::open_slow(way, &server, "/chat");
    let published = publish_large(&server, 150);
    let last = published.last().expect("an id");
    let (events, gaps) = told_until(&mut slow, last);
    assert!(!gaps.is_empty(), "nothing was told of what was lost");
    assert!(
        gaps.iter().all(|(_, gap)| gap.reason == "overtaken"),
        "{gaps:?}"
    );
    let seqs: Vec<u64> = events.iter().map(Event::seq).collect();
    for (at, pair) in seqs.windows(2).enumerate() {
        let gap = gaps.iter().find(|(before, _)| *before == at + 1);
        match gap {
            None => assert_eq!(pair[0] + 1, pair[1], "skipped in silence"),
            Some((_, gap)) => {
                let from = seq(gap.from.as_deref().expect("a place"));
                assert!(
                    from >= pair[0] && seq(&gap.cursor) < pair[1],
                    "{gap:?} in {pair:?}"
                );
            }
        }
    }
}

#[test]
fn an_eventsource_is_told_a_gap_when_retention_overtakes_it() {
    is_told_when_overtaken(Way::Sse);
}

#[test]
fn a_reader_of_lines_is_told_a_gap_when_retention_overtakes_it() {
    is_told_when_overtaken(Way::Ndjson);
}

#[test]
fn a_websocket_is_told_a_gap_when_retention_overtakes_it() {
    is_told_when_overtaken(Way::WebSocket);
}

/// Publishes on a connection that is kept, so that it holds one place and no more.
fn publish_on(wire: &mut Wire, number: usize) -> String {
    wire.send(request("POST", "/chat", &[], large(number).as_bytes()));
    let answer = Response::read(wire, "POST");
    assert_eq!(answer.status(), 201);
    answer.json()["id"].as_str().expect("an id").to_owned()
}

/// Connections that are kept, so that each holds its place.
fn occupy(server: &Fixture, places: usize) -> Vec<Wire> {
    let mut wires: Vec<Wire> = (0..places).map(|_| server.connect()).collect();
    for wire in &mut wires {
        wire.send(request("GET", "/quiet", &[], b""));
        assert_eq!(Response::read(wire, "GET").status(), 200);
    }
    wires
}

fn is_closed_and_resumes(way: Way) {
    const PLACES: usize = 12;
    let server = Fixture::start(|config| {
        narrow(config);
        config.timeouts.write = Duration::from_millis(300);
        config.limits.connections = PLACES;
    });
    let mut slow = Listener::open_slow(way, &server, "/chat");
    let mut others = occupy(&server, PLACES - 1);
    let published: Vec<String> = (0..60).map(|n| publish_on(&mut others[0], n)).collect();
    // Every place is taken, so another is served only once the slow one has lost its own.
    server.wait_for_status("/quiet", 200);
    drop(others);
    let mut seen = Vec::new();
    for told in slow.rest() {
        match told {
            Told::Event(event) => seen.push(event.id),
            Told::Bye(_) => {}
            Told::End(code) => assert!(matches!(code, None | Some(4408)), "{code:?}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(
        seen.len() < published.len(),
        "it was closed before it had all"
    );
    resume_until_complete(&mut slow, way, &mut seen, published.len());
    assert_eq!(seen, published);
}

/// Comes back with the cursor as often as it is closed again: a busy machine may be slow to read.
fn resume_until_complete(slow: &mut Listener, way: Way, seen: &mut Vec<String>, count: usize) {
    let end = deadline();
    while seen.len() < count {
        assert!(Instant::now() < end, "{} of {count} came", seen.len());
        slow.reconnect(way);
        while seen.len() < count {
            match slow.next() {
                Told::Event(event) => seen.push(event.id),
                Told::Bye(_) => {}
                Told::End(_) => break,
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn an_eventsource_past_the_write_deadline_is_closed_and_resumes() {
    is_closed_and_resumes(Way::Sse);
}

#[test]
fn a_reader_of_lines_past_the_write_deadline_is_closed_and_resumes() {
    is_closed_and_resumes(Way::Ndjson);
}

#[test]
fn a_websocket_past_the_write_deadline_is_closed_and_resumes() {
    is_closed_and_resumes(Way::WebSocket);
}

#[test]
fn a_first_replay_that_nobody_reads_holds_nobody_up() {
    let server = Fixture::start(narrow);
    publish_large(&server, 60);
    let slow = STREAMS.map(|way| Listener::open_slow(way, &server, "/chat?after=earliest"));
    server.assert_serves();
    for (mut listener, way) in slow.into_iter().zip(STREAMS) {
        for number in 0..60 {
            assert!(
                listener.next_event().text() == large(number),
                "{number} by {way:?}"
            );
        }
    }
}

#[test]
fn a_poller_that_does_not_take_its_answer_loses_its_place() {
    let server = Fixture::start(|config| {
        narrow(config);
        config.timeouts.write = Duration::from_millis(300);
        config.limits.connections = 2;
    });
    let mut publisher = server.connect();
    for number in 0..40 {
        publish_on(&mut publisher, number);
    }
    let mut slow = server.connect().with_small_receive_buffer();
    slow.send(request("GET", "/chat?after=earliest", &[], b""));
    server.wait_for_status("/quiet", 200);
    assert!(
        Response::try_read(&mut slow, "GET").is_none(),
        "a whole answer"
    );
    publish_on(&mut publisher, 40);
}

/// Runs the test `name` in a process of its own; true within that process.
fn alone(name: &str) -> bool {
    const ALONE: &str = "SUITE_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let suite = std::env::current_exe().expect("the suite");
    let child = Command::new(suite)
        .args(["--exact", name, "--test-threads", "1"])
        .env(ALONE, "1")
        .output()
        .expect("the suite runs");
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
    false
}

fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    tasks.count()
}

fn threads_called(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|known| known.starts_with(name)).count()
}

#[test]
fn no_thread_is_started_because_a_client_is_slow() {
    if !alone("slow::no_thread_is_started_because_a_client_is_slow") {
        return;
    }
    let server = Fixture::start(narrow);
    let mut publisher = server.connect();
    publish_on(&mut publisher, 0);
    let mut slow = STREAMS.map(|way| Listener::open_slow(way, &server, "/chat"));
    // The last of them is still on its way to its own thread.
    let end = deadline();
    while threads_called("stream-") < STREAMS.len() && Instant::now() < end {
        thread::yield_now();
    }
    let before = threads();
    let mut most = before;
    for number in 1..100 {
        publish_on(&mut publisher, number);
        most = most.max(threads());
    }
    assert!(most <= before, "{before} threads became {most}");
    for listener in &mut slow {
        assert!(listener.next_event().text() == large(1));
    }
}
