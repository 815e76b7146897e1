//! What tiny_http does not survive by itself, each by name, and what a listener must survive anyway.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use fourcast::config::Mode;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::{ask, assert_answers, server};
use crate::durable::home::Home;
use crate::durable::process::Process;
use crate::support::wire::Arrival;
use crate::support::{Fixture, Response, Wire, deadline, exchange, request};

/// Deadlines so short that what must time out does so within a test.
fn impatient() -> Fixture {
    server(|config| {
        config.timeouts.head = Duration::from_millis(300);
        config.timeouts.body = Duration::from_millis(300);
        config.timeouts.write = Duration::from_millis(300);
        config.timeouts.close = Duration::from_millis(300);
    })
}

fn connect(server: &Fixture) -> Wire {
    Wire::connect(server.admin())
}

/// The one answer to these bytes; a second one fails the test.
fn only_answer(server: &Fixture, bytes: impl AsRef<[u8]>) -> Response {
    let mut wire = connect(server);
    wire.send(bytes);
    let answer = Response::read(&mut wire, "POST");
    wire.expect_end();
    answer
}

#[test]
fn a_body_of_64_tebibytes_that_aborts_tiny_http() {
    let server = impatient();
    for length in ["70368744177664", "9999999999", "4294967296", "65537"] {
        let head = format!(
            "POST /-/config HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
        );
        let answer = only_answer(&server, head);
        assert!(
            matches!(answer.status(), 400 | 413),
            "{length}: {}",
            answer.text()
        );
        assert_answers(&server);
    }
}

#[test]
fn lengths_in_doubt_that_run_the_body_as_a_second_request() {
    let server = impatient();
    let hidden = "GET /-/config HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (framing, status) in [
        ("Content-Length: 5, 5", 400),
        ("Content-Length: 5\r\nContent-Length: 5", 400),
        ("Content-Length: +5", 400),
        ("Content-Length: -5", 400),
        ("Content-Length: 0x5", 400),
        ("Content-Length: 5 5", 400),
        ("Content-Length:", 400),
        ("Content-Length : 5", 400),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", 400),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            400,
        ),
        ("Transfer-Encoding: identity", 501),
        ("Transfer-Encoding: chunked, identity", 501),
        ("Transfer-Encoding: xchunked", 501),
    ] {
        let head = format!("POST /-/ready HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n");
        let answer = only_answer(&server, format!("{head}{hidden}"));
        assert_eq!(answer.status(), status, "{framing}");
        assert!(answer.json()["code"].is_string(), "{framing}");
    }
    assert_answers(&server);
}

#[test]
fn a_request_in_the_body_of_another_is_a_body() {
    let server = server(|_| {});
    let hidden = request("GET", "/-/config", &[], b"");
    let sized = request("POST", "/-/ready", &[], &hidden);
    let mut chunked = request("POST", "/-/ready", &[("Transfer-Encoding", "chunked")], b"");
    chunked.extend_from_slice(format!("{:x}\r\n", hidden.len()).as_bytes());
    chunked.extend_from_slice(&[&hidden[..], b"\r\n0\r\n\r\n"].concat());
    let upgrade = request(
        "POST",
        "/-/ready",
        &[("Connection", "upgrade"), ("Upgrade", "x")],
        &hidden,
    );
    for bytes in [sized, chunked, upgrade] {
        assert_eq!(only_answer(&server, bytes).refusal(), "method_not_allowed");
    }
    assert_answers(&server);
}

#[test]
fn a_header_line_of_64_mebibytes() {
    let server = impatient();
    let mut wire = connect(&server);
    wire.send("GET / HTTP/1.1\r\nHost: localhost\r\nX: ");
    let piece = vec![b'x'; 64 * 1024];
    for _ in 0..1024 {
        if wire.try_send(&piece).is_err() || wire.pause_briefly() != Arrival::Nothing {
            break;
        }
    }
    assert_eq!(Response::read(&mut wire, "GET").refusal(), "head_too_large");
    assert_answers(&server);
}

#[test]
fn targets_and_fields_without_end() {
    let server = server(|_| {});
    let long = "x".repeat(9_000);
    assert_eq!(ask(&server, "GET", &format!("/{long}"), &[]).status(), 414);
    let many: Vec<(&str, &str)> = (0..101).map(|_| ("X-Field", "x")).collect();
    assert_eq!(ask(&server, "GET", "/", &many).status(), 431);
    assert_answers(&server);
}

#[test]
fn twenty_four_at_once_of_which_tiny_http_answers_four() {
    let server = server(|_| {});
    let mut wires: Vec<Wire> = (0..24).map(|_| connect(&server)).collect();
    for wire in &mut wires {
        wire.send(request("GET", "/-/healthy", &[], b""));
    }
    for wire in &mut wires {
        assert_eq!(Response::read(wire, "GET").text(), "ok\n");
    }
}

/// So many connections that some of them are refused.
fn crowd(server: &Fixture) -> Vec<Wire> {
    let end = deadline();
    loop {
        let mut crowd: Vec<Wire> = (0..80).map(|_| connect(server)).collect();
        let is_told = |wire: &mut Wire| wire.pause_briefly() == Arrival::Bytes;
        if crowd.iter_mut().rev().any(is_told) {
            return crowd;
        }
        assert!(Instant::now() < end, "all are let in");
    }
}

#[test]
fn a_crowd_that_says_nothing_is_bounded_and_ends() {
    let server = server(|_| {});
    let mut crowd = crowd(&server);
    let answers = crowd
        .iter_mut()
        .filter_map(|wire| Response::try_read(wire, "GET"));
    let refused: Vec<String> = answers.map(|answer| answer.refusal()).collect();
    assert!(!refused.is_empty(), "they are closed without a word");
    assert!(
        refused.iter().all(|code| code == "overloaded"),
        "{refused:?}"
    );
    assert_answers(&server);
}

#[cfg(target_os = "linux")]
#[test]
fn a_crowd_from_one_address_leaves_half_of_the_places_to_others() {
    let server = server(|_| {});
    let crowd = crowd(&server);
    let mut others: Vec<Wire> = (0..20)
        .map(|_| Wire::connect_from([127, 0, 0, 2].into(), server.admin()))
        .collect();
    for wire in &mut others {
        wire.send(request("GET", "/-/healthy", &[], b""));
    }
    for wire in &mut others {
        assert_eq!(Response::read(wire, "GET").text(), "ok\n");
    }
    drop(crowd);
}

#[test]
fn heads_and_bodies_that_come_too_slowly() {
    let server = impatient();
    let bytes = request("POST", "/-/ready", &[], b"a body that is long enough");
    let mut slow: Vec<Wire> = (0..20).map(|_| connect(&server)).collect();
    for (number, wire) in slow.iter_mut().enumerate() {
        wire.send(&bytes[..bytes.len() - 1 - number * 4]);
    }
    for wire in &mut slow {
        assert_eq!(Response::read(wire, "POST").refusal(), "request_timeout");
    }
    assert_answers(&server);
}

#[test]
fn a_byte_now_and_then() {
    let server = impatient();
    let mut wire = connect(&server);
    let mut bytes = request("GET", "/", &[("X", &"x".repeat(10_000))], b"").into_iter();
    while wire.pause() == Arrival::Nothing {
        let byte = bytes.next().expect("it ends before all was sent");
        if wire.try_send([byte]).is_err() {
            break;
        }
    }
    assert_eq!(
        Response::read(&mut wire, "GET").refusal(),
        "request_timeout"
    );
    assert_answers(&server);
}

#[test]
fn many_who_never_read_what_they_asked_for() {
    let server = server(|config| {
        config.timeouts.write = Duration::from_millis(300);
        config.timeouts.close = Duration::from_millis(300);
        config.limits.send_buffer = 4096;
        config.access.mode = Mode::Open;
        config.hosts = (0..20_000)
            .map(|n| format!("host-{n}.example.com"))
            .collect();
    });
    let mut deaf: Vec<Wire> = (0..16)
        .map(|_| connect(&server).with_small_receive_buffer())
        .collect();
    for wire in &mut deaf {
        wire.send(request("GET", "/-/config", &[], b""));
    }
    // There is a thread for it only when one of them was cut.
    assert_answers(&server);
    let is_cut = |wire: &mut Wire| Response::try_read(wire, "GET").is_none();
    assert!(deaf.iter_mut().any(is_cut));
}

#[test]
fn garbage() {
    let server = impatient();
    for (bytes, status) in [
        (&b"\0\0\0\0"[..], Some(400)),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Some(400)),
        (b"GET\r\n\r\n", Some(400)),
        (b"GET / HTTP/9.9\r\n\r\n", Some(505)),
        (b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", Some(400)),
        (b"GET / HTTP/1.1\nHost: localhost\n\n", Some(400)),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Some(505)),
        (
            b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
            Some(405),
        ),
        (b"GET / HTTP/1.1\r\n\r\n", Some(400)),
        (b"\r\n\r\n\r\n", Some(400)),
        (b"", None),
    ] {
        let mut wire = connect(&server);
        wire.send(bytes);
        let answer = Response::try_read(&mut wire, "GET").map(|answer| answer.status());
        assert_eq!(answer, status, "{}", bytes.escape_ascii());
    }
    assert_answers(&server);
}

/// Leaves a process so many files that it may open beside those that it has, or as many as it had.
fn leave_files(process: &Process, free: Option<usize>) {
    const ALL: u64 = 4096;
    let directory = fs::read_dir(format!("/proc/{}/fd", process.pid())).expect("its files");
    let name = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().into_string().ok();
    let numbers = directory
        .filter_map(name)
        .filter_map(|name| name.parse().ok());
    let open: Vec<u64> = numbers.collect();
    let mut gaps = (0..ALL).filter(|number| !open.contains(number));
    let limit = free.map_or(ALL, |free| gaps.nth(free).expect("a gap"));
    let pid = Pid::from_raw(i32::try_from(process.pid()).expect("a number"));
    let limits = Rlimit {
        current: Some(limit),
        maximum: Some(ALL),
    };
    prlimit(pid, Resource::Nofile, limits).expect("its limit can be moved");
}

#[test]
fn running_out_of_files_which_ends_tiny_http_for_good() {
    let home = Home::new("operators-files");
    let mut command = home.serve_under("ulimit -n 4096");
    command.env("FOURCAST_ADMIN__LISTEN", "127.0.0.1:0");
    let server = Process::try_start_as(&home, command).expect("a server");
    let admin = server.admin.expect("an operator's port");
    let clients: Vec<Wire> = (0..20).map(|_| server.connect()).collect();
    let end = deadline();
    // Which number hits its accept depends on what else is open at the moment.
    for free in (0..6).cycle() {
        leave_files(&server, Some(free));
        let mut wire = Wire::connect(admin);
        wire.send(request("GET", "/-/healthy", &[], b""));
        // With none left nobody is let in before the limit is lifted.
        wire.more(Instant::now() + Duration::from_millis(200));
        leave_files(&server, None);
        let answer = Response::read(&mut wire, "GET");
        match answer.status() {
            200 => assert_eq!(answer.text(), "ok\n"),
            status => {
                let told = (status, &*answer.refusal());
                let known = [(503, "overloaded"), (500, "internal")];
                assert!(known.contains(&told), "{told:?}");
            }
        }
        let has_ended = server.log().contains("begun anew");
        if has_ended && free == 5 {
            break;
        }
        assert!(Instant::now() < end, "tiny_http never ended");
    }
    drop(clients);
    let end = deadline();
    while exchange(admin, "GET", "/-/healthy", &[], b"").status() != 200 {
        assert!(
            Instant::now() < end,
            "it does not come back: {}",
            server.log()
        );
        thread::yield_now();
    }
    server.assert_serves();
}
