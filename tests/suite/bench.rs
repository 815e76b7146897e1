//! `fourcast bench`: what it reports of a server that does everything right, and of one that does not.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Fixture, PATIENCE};

fn bench(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fourcast"));
    command.arg("bench").args(arguments);
    command
}

fn output(arguments: &[&str]) -> Output {
    bench(arguments).output().expect("the binary")
}

/// The report of a run, and its exit code.
fn report(arguments: &[&str]) -> (Value, Option<i32>) {
    let output = output(&[arguments, &["--json"]].concat());
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (report, output.status.code())
}

fn assert_all_delivered(report: &Value, deliveries: u64) {
    assert_eq!(report["deliveries"], deliveries, "{report}");
    for flaw in ["losses", "duplicates", "out_of_order", "gaps_told", "ended"] {
        assert_eq!(report[flaw], 0, "{flaw}: {report}");
    }
}

fn delivers_all_by(way: &str) {
    let (report, code) = report(&[
        "--way",
        way,
        "--subscribers",
        "20",
        "--events",
        "50",
        "--rate",
        "200",
        "--interval",
        "100ms",
    ]);
    assert_eq!(code, Some(0), "{report}");
    assert_all_delivered(&report, 1000);
    assert_eq!(
        (&report["way"], &report["events"]),
        (&way.into(), &50.into())
    );
    for pointer in [
        "/deliveries_per_second",
        "/connections_per_second",
        "/delay_us/p50",
        "/delay_us/max",
    ] {
        let figure = report.pointer(pointer).and_then(Value::as_f64);
        assert!(figure.is_some_and(|figure| figure > 0.0), "{report}");
    }
}

#[test]
fn a_server_of_its_own_delivers_all_by_sse() {
    delivers_all_by("sse");
}

#[test]
fn a_server_of_its_own_delivers_all_by_ndjson() {
    delivers_all_by("ndjson");
}

#[test]
fn a_server_of_its_own_delivers_all_by_websocket() {
    delivers_all_by("websocket");
}

#[test]
fn a_server_of_its_own_delivers_all_by_long_polls() {
    delivers_all_by("long-poll");
}

#[test]
fn a_server_of_its_own_delivers_all_by_polls() {
    delivers_all_by("poll");
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_server_of_its_own_costs_is_known() {
    let (report, _) = report(&["--subscribers", "20", "--events", "5", "--rate", "100"]);
    let server = &report["server"];
    let threads = server["threads_before"].as_u64();
    assert!(threads.is_some_and(|threads| threads > 20), "{report}");
    for figure in [
        "cpu_us_per_delivery",
        "memory_bytes_per_connection",
        "cpu_seconds",
    ] {
        assert!(server[figure].is_f64(), "{figure}: {report}");
    }
}

#[test]
fn a_server_that_runs_already_is_measured_at_its_url() {
    let server = Fixture::plain();
    let url = format!("http://{}/rooms/1", server.address);
    let output = output(&[&url, "--subscribers", "3", "--events", "4", "--rate", "max"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for (name, value) in [
        ("load", "3 subscribers by sse, publishers: 1"),
        ("deliveries", "12 in "),
        ("losses", "0"),
        ("duplicates", "0"),
        ("out of order", "0"),
        ("server", "its process is not known"),
    ] {
        let line = format!("{name:<20} {value}");
        assert!(
            text.lines().any(|told| told.starts_with(&line)),
            "{line}\n{text}"
        );
    }
}

#[test]
fn subscribers_by_websocket_answer_pings() {
    let server = Fixture::start(|config| {
        config.heartbeat.interval = Duration::from_millis(200);
        config.heartbeat.patience = Duration::from_secs(5);
    });
    let url = format!("http://{}/bench", server.address);
    // Longer than the server is patient with who does not answer.
    let load = ["--subscribers", "3", "--events", "70", "--rate", "10"];
    let (report, code) = report(&[&[&*url, "--way", "websocket"][..], &load].concat());
    assert_eq!(code, Some(0), "{report}");
    assert_all_delivered(&report, 210);
}

#[test]
fn several_publishers_and_threads_and_batches_lose_nothing() {
    let (report, code) = report(&[
        "--subscribers",
        "11",
        "--publishers",
        "3",
        "--threads",
        "2",
        "--batch",
        "7",
        "--events",
        "100",
        "--rate",
        "max",
        "--size",
        "300",
    ]);
    assert_eq!(code, Some(0), "{report}");
    assert_all_delivered(&report, 1100);
    assert_eq!(report["rate_wanted"], Value::Null);
}

#[test]
fn subscribers_that_pause_or_never_read_harm_no_other() {
    let (report, code) = report(&[
        "--subscribers",
        "5",
        "--stalled",
        "3",
        "--events",
        "400",
        "--rate",
        "1000",
        "--size",
        "4096",
        "--pause",
        "300ms",
    ]);
    assert_eq!(code, Some(0), "{report}");
    assert_all_delivered(&report, 2000);
    assert_eq!(report["stalled"], 3);
}

#[test]
fn a_server_of_its_own_minds_neither_the_working_directory_nor_the_environment() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-elsewhere");
    fs::create_dir_all(&directory).expect("a directory");
    fs::write(directory.join("config.toml"), "nonsense = 1").expect("a file");
    let output = bench(&["--subscribers", "1", "--events", "1"])
        .current_dir(&directory)
        .env("FOURCAST_LIMITS__CONNECTIONS", "nonsense")
        .output()
        .expect("the binary");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_server_of_its_own_keeps_events_where_it_is_told_and_leaves_nothing_behind() {
    for journal in ["memory", "always", "interval", "never"] {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{journal}"));
        // What a run left that was interrupted.
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("a directory");
        let load = ["--subscribers", "2", "--events", "50", "--rate", "max"];
        let output = bench(&[&load[..], &["--journal", journal]].concat())
            .current_dir(&directory)
            .output()
            .expect("the binary");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let text = String::from_utf8_lossy(&output.stdout);
        let load = text.lines().next().expect("a line");
        let told = format!(", journal: {journal}");
        assert!(load.starts_with("load ") && load.ends_with(&told), "{text}");
        let left = fs::read_dir(&directory).expect("a directory").count();
        assert_eq!(left, 0, "{journal}");
    }
}

#[test]
fn a_run_that_is_stopped_takes_its_journal_with_it() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-stopped");
    fs::create_dir_all(&directory).expect("a directory");
    let load = ["--subscribers", "1", "--for", "60s", "--journal", "always"];
    let mut run = bench(&load)
        .current_dir(&directory)
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary");
    let journal = directory.join(format!("fourcast-bench-{}", run.id()));
    wait_until(|| journal.join("journal.db").exists());
    kill_process(Pid::from_child(&run), Signal::TERM).expect("a signal");
    wait_until(|| run.try_wait().expect("a process").is_some());
    assert!(!journal.exists());
}

#[test]
fn what_is_lost_repeated_or_swapped_is_counted_and_fails_the_run() {
    let server = Unfaithful::playing(10, |number, events| match number {
        2 => vec![],
        4 => vec![events[4].clone(), events[4].clone()],
        6 => vec![],
        7 => vec![events[7].clone(), events[6].clone()],
        _ => vec![events[number].clone()],
    });
    let (report, code) = server.measure(10);
    assert_eq!(code, Some(1));
    assert_eq!(report["deliveries"], 9, "{report}");
    let flaws = ["losses", "duplicates", "out_of_order"].map(|flaw| report[flaw].as_u64());
    assert_eq!(flaws, [Some(1); 3], "{report}");
}

#[test]
fn what_a_subscriber_misses_whose_connection_ends_is_lost() {
    let server = Unfaithful::playing(4, |number, events| vec![events[number].clone()]);
    let (report, code) = server.measure(10);
    assert_eq!(code, Some(1));
    assert_eq!(
        (&report["losses"], &report["ended"]),
        (&6.into(), &1.into())
    );
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("the server ended the stream"), "{report}");
}

#[test]
fn a_server_of_another_kind_is_published_to_where_it_wants_and_acknowledges_in_its_own_words() {
    let server = Unfaithful::playing(10, |number, events| vec![events[number].clone()]);
    let publish_to = format!("http://{}{ELSEWHERE}", server.address);
    let (report, code) = server.measure_with(&["--events", "10", "--publish-to", &publish_to]);
    assert_eq!(code, Some(0), "{report}");
    assert_all_delivered(&report, 10);
}

#[test]
fn a_server_that_is_not_there_and_a_line_that_means_nothing_have_their_own_exit_codes() {
    // A port that the system gives to nobody.
    let url = "http://127.0.0.1:1/bench";
    for (arguments, code) in [
        (&[url][..], 69),
        (&["http://127.0.0.1:1"], 2),
        (&["--size", "3"], 2),
        (&["--rate", "0"], 2),
        (&["--journal", "sometimes"], 2),
        (&["--way", "poll", "--stalled", "1"], 2),
        (&["--pid", "1"], 2),
        (&[url, "--publish-to", url, "--way", "poll"], 2),
        (&[url, "--publish-to", url, "--batch", "2"], 2),
    ] {
        let output = output(arguments);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
}

fn wait_until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "it does not come about");
        thread::yield_now();
    }
}

/// Where the server below takes events too, and acknowledges them as one of another kind may: with a status
/// of its own, and one on each connection.
const ELSEWHERE: &str = "/pub/bench";

/// A server of one publisher and one subscriber that acknowledges everything and delivers what it likes.
struct Unfaithful {
    address: SocketAddr,
    play: JoinHandle<()>,
}

/// What is delivered when an event has come, out of all that came.
type Deliver = fn(usize, &[String]) -> Vec<String>;

impl Unfaithful {
    /// Delivers by `deliver` for so many events, and then ends the subscriber's stream, unless all have
    /// come with them.
    fn playing(events: usize, deliver: Deliver) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let play = thread::spawn(move || play(&listener, events, deliver));
        Unfaithful { address, play }
    }

    fn measure(self, events: usize) -> (Value, Option<i32>) {
        self.measure_with(&["--events", &events.to_string()])
    }

    fn measure_with(self, arguments: &[&str]) -> (Value, Option<i32>) {
        let url = format!("http://{}/bench", self.address);
        let load = [&*url, "--subscribers", "1", "--rate", "max"];
        let measured = report(&[&load[..], &["--patience", "2s"], arguments].concat());
        self.play.join().expect("the server");
        measured
    }
}

fn play(listener: &TcpListener, faithful_for: usize, deliver: Deliver) {
    let accept = || {
        let (socket, _) = listener.accept().expect("a connection");
        socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
        socket
    };
    // bench connects its publishers first.
    let (mut publisher, mut subscriber) = (accept(), accept());
    read_request(&mut subscriber).expect("a request");
    send(
        &mut subscriber,
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
    );
    let mut events = Vec::new();
    while let Some((target, payload)) = read_request(&mut publisher) {
        events.push(payload);
        if events.len() <= faithful_for {
            for payload in deliver(events.len() - 1, &events) {
                send(&mut subscriber, &format!("data: {payload}\n\n"));
            }
        } else {
            // Once is enough; a second time fails.
            let _ = subscriber.shutdown(Shutdown::Both);
        }
        let status = match &*target {
            ELSEWHERE => "202 Accepted\r\nConnection: close",
            _ => "201 Created",
        };
        send(
            &mut publisher,
            &format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}"),
        );
        if target == ELSEWHERE {
            publisher = accept();
        }
    }
    // The publisher has gone; the stream stays until the subscriber has, too.
    read_request(&mut subscriber);
}

/// The target and the body of a request; `None` when the client has gone.
fn read_request(socket: &mut TcpStream) -> Option<(String, String)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).ok()?;
        head.extend(byte);
    }
    let head = String::from_utf8(head).expect("text");
    let target = head.split(' ').nth(1).expect("a target").to_owned();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))
        .map_or(0, |length| length.parse().expect("a length"));
    let mut body = vec![0; length];
    socket.read_exact(&mut body).ok()?;
    Some((target, String::from_utf8(body).expect("text")))
}

/// A client that has gone already is what bench's report is about.
fn send(socket: &mut TcpStream, text: &str) {
    let _ = socket.write_all(text.as_bytes());
}
