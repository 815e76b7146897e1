//! Many subscribers far behind at once: each gets everything, and they share what is read for them.

use std::path::PathBuf;
use std::thread;

use fourcast::config::{JournalKind, Retention};

use crate::support::{Fixture, Listener, Way};

const COUNT: usize = 3_000;

/// A directory that goes with its test.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn everyone_gets_everything(name: &str, replay_bytes: usize) {
    let name = format!("fourcast-{name}-{}", std::process::id());
    let directory = Directory(std::env::temp_dir().join(name));
    let server = Fixture::start(|config| {
        config.journal.kind = JournalKind::Disk;
        config.journal.path = directory.0.clone();
        config.fanout.tail_events = 10;
        config.fanout.replay_bytes = replay_bytes;
        config.channels = vec![Retention {
            max_events: 2 * COUNT,
            ..Retention::default()
        }];
    });
    let published = publish(&server);
    thread::scope(|scope| {
        for number in 0..20 {
            let (server, published) = (&server, &published);
            scope.spawn(move || follow(server, published, number));
        }
    });
}

/// Publishes all of them, each with its number; the ids.
fn publish(server: &Fixture) -> Vec<String> {
    let numbers: Vec<_> = (0..COUNT).collect();
    numbers
        .chunks(500)
        .flat_map(|batch| publish_batch(server, batch))
        .collect()
}

fn publish_batch(server: &Fixture, numbers: &[usize]) -> Vec<String> {
    let line = |number| format!("{{\"data\":{number}}}\n");
    let lines: String = numbers.iter().map(line).collect();
    let fields = [("Content-Type", "application/x-ndjson")];
    let answer = server.post("/chat", &fields, lines);
    assert_eq!(answer.status(), 201, "{}", answer.text());
    let answer = answer.json();
    let events = answer["events"].as_array().expect("receipts");
    let id = |event: &serde_json::Value| event["id"].as_str().map(str::to_owned);
    events.iter().filter_map(id).collect()
}

/// Reads everything after a place of its own, and what comes then.
fn follow(server: &Fixture, published: &[String], number: usize) {
    let way = Way::ALL[number % Way::ALL.len()];
    let behind = number * 7;
    let target = format!("/chat?after={}", published[behind]);
    let mut listener = Listener::open(way, server, &target);
    for (index, id) in published.iter().enumerate().skip(behind + 1) {
        let event = listener.next_event();
        assert_eq!(event.id, *id, "{way:?}");
        assert_eq!(event.data, index.to_string(), "{way:?}");
    }
}

#[test]
fn all_who_are_behind_at_once_get_everything_in_order() {
    everyone_gets_everything("shared", 16 << 20);
}

#[test]
fn all_do_while_what_they_share_is_dropped_again_at_once() {
    everyone_gets_everything("crowded", 64 << 10);
}
