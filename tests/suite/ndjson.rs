//! The stream of one JSON object a line, as a script reads it.

use std::time::Duration;

use serde_json::Value;

use crate::support::ndjson::Lines;
use crate::support::{Event, Fixture, Way, request};

fn open(server: &Fixture, target: &str) -> Lines {
    let bytes = request("GET", target, &Way::Ndjson.fields(), b"");
    Lines::open(server.connect(), &bytes)
}

fn line(lines: &mut Lines) -> String {
    lines.next_line().expect("a line before the end")
}

#[test]
fn the_first_line_welcomes_and_each_event_is_one() {
    let server = Fixture::plain();
    let first = server.publish("chat", "kept\nof two lines");
    let mut lines = open(&server, "/chat?after=earliest");
    let welcome: Value = serde_json::from_str(&line(&mut lines)).expect("JSON");
    assert_eq!(welcome["op"], "welcome");
    assert_eq!(Event::parse(&line(&mut lines)).id, first);
    server.publish("chat", "live");
    assert_eq!(Event::parse(&line(&mut lines)).text(), "live");
}

#[test]
fn the_head_is_that_of_a_stream() {
    let server = Fixture::plain();
    let lines = open(&server, "/chat");
    assert_eq!(lines.head.must("Transfer-Encoding"), "chunked");
    assert!(lines.head.lists("Cache-Control", "no-store"));
    assert!(lines.head.lists("Cache-Control", "no-transform"));
}

#[test]
fn a_quiet_stream_says_that_it_is_there_and_where() {
    let server = Fixture::start(|config| config.heartbeat.interval = Duration::from_millis(100));
    let cursor = server.publish("chat", "before");
    let mut lines = open(&server, "/chat");
    line(&mut lines);
    for _ in 0..3 {
        let heartbeat = format!("{{\"op\":\"heartbeat\",\"cursor\":\"{cursor}\"}}");
        assert_eq!(line(&mut lines), heartbeat);
    }
}

#[test]
fn a_heartbeat_moves_the_cursor_past_what_was_not_asked_for() {
    let server = Fixture::start(|config| config.heartbeat.interval = Duration::from_millis(100));
    let mut lines = open(&server, "/chat");
    line(&mut lines);
    let other = server.publish("other", "not for this stream");
    let end = crate::support::deadline();
    loop {
        let heartbeat: Value = serde_json::from_str(&line(&mut lines)).expect("JSON");
        assert_eq!(heartbeat["op"], "heartbeat");
        if heartbeat["cursor"] == other.as_str() {
            return;
        }
        assert!(std::time::Instant::now() < end, "{heartbeat}");
    }
}

#[test]
fn a_stop_is_a_last_line_and_a_whole_end() {
    let server = Fixture::plain();
    let mut lines = open(&server, "/chat");
    line(&mut lines);
    let stopped = server.stop(fourcast::Leaving::Away);
    let bye: Value = serde_json::from_str(&line(&mut lines)).expect("JSON");
    assert_eq!((&bye["op"], &bye["code"]), (&"bye".into(), &1001.into()));
    assert_eq!(lines.next_line(), None);
    assert!(lines.ended_whole, "without its last chunk");
    stopped.join().expect("a stop");
}
