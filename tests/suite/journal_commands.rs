//! `fourcast journal`: what an operator does with a journal on disk, beside a running server and without one.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fourcast::config::{JournalKind, Retention};
use fourcast::{Data, Draft, Leaving};
use serde_json::Value;

use crate::support::{Fixture, Response, Wire, deadline, request};

/// A directory with a configuration and room for a journal; dropping it removes it.
struct Place {
    directory: PathBuf,
}

impl Place {
    fn new(test: &str) -> Self {
        let name = format!("journal-{test}-{}", std::process::id());
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&directory).expect("a directory");
        let config =
            "listen = \"127.0.0.1:0\"\n[admin]\nlisten = \"off\"\n[journal]\npath = \"data\"\n";
        fs::write(directory.join("config.toml"), config).expect("a configuration");
        Place { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn database(&self) -> PathBuf {
        self.path("data/journal.db")
    }

    /// A server that keeps its journal here.
    fn serve(&self) -> Fixture {
        Fixture::start(|config| {
            config.journal.kind = JournalKind::Disk;
            config.journal.path = self.path("data");
            config.channels = vec![Retention {
                max_events: 100_000,
                ..Retention::default()
            }];
        })
    }

    fn fourcast(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fourcast"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FOURCAST_") {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .arg("--config")
            .arg(self.path("config.toml"));
        command
    }

    fn journal(&self, arguments: &[&str]) -> Output {
        let arguments = [&["journal"], arguments].concat();
        self.fourcast(&arguments).output().expect("the binary")
    }

    /// The same, which must work; what it printed.
    fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.journal(arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// The same, which must fail with code 1; what it said.
    fn fail(&self, arguments: &[&str]) -> String {
        let output = self.journal(arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    }

    /// Backs up to a file here; that file.
    fn back_up(&self, name: &str) -> String {
        let file = self.path(name).to_str().expect("UTF-8").to_owned();
        self.succeed(&["backup", &file]);
        file
    }

    fn inspect(&self) -> Value {
        let object = self.succeed(&["inspect", "--json"]);
        serde_json::from_str(&object).expect("an object")
    }

    /// Overwrites one byte where the database has `text`, as a disk does that is failing.
    fn spoil(&self, text: &str) {
        let mut bytes = fs::read(self.database()).expect("a database");
        let found = bytes
            .windows(text.len())
            .position(|window| window == text.as_bytes());
        let at = found.expect("the text in the database");
        bytes[at] ^= 1;
        fs::write(self.database(), bytes).expect("a write");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What is left of it lies in the directory of build results.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn stop(server: Fixture) {
    server.stop(Leaving::Restart).join().expect("a stop");
}

/// What a poll says of everything.
fn polled(server: &Fixture, target: &str) -> Response {
    let response = server.get(target, &[]);
    assert_eq!(response.status(), 200, "{}", response.text());
    response
}

fn ids(events: &Value) -> Vec<String> {
    let events = events.as_array().expect("events");
    let id = |event: &Value| event["id"].as_str().expect("an id").to_owned();
    events.iter().map(id).collect()
}

#[test]
fn a_backup_made_while_events_are_published_is_a_beginning_of_them_all() {
    let (place, other) = (Place::new("backup-live"), Place::new("backup-live-2"));
    let server = place.serve();
    let early = server.publish_all("load", &["one", "two", "three"]);
    let done = AtomicBool::new(false);
    let (backup, published) = thread::scope(|scope| {
        let publisher = scope.spawn(|| {
            let more = (0..900).take_while(|_| !done.load(Ordering::Relaxed));
            more.map(|number| server.publish_embedded("load", &number.to_string()))
                .collect::<Vec<_>>()
        });
        let backup = place.back_up("backup.db");
        done.store(true, Ordering::Relaxed);
        (backup, publisher.join().expect("a publisher"))
    });
    let all = [early.clone(), published].concat();
    other.succeed(&["restore", &backup]);
    let copy = other.serve();
    let kept = ids(&polled(&copy, "/load?limit=1000").json()["events"]);
    assert!(kept.len() >= early.len(), "{kept:?}");
    assert_eq!(kept[..], all[..kept.len()]);
    copy.assert_serves();
}

#[test]
fn a_cursor_from_beyond_the_backup_is_told_a_gap_after_restoring() {
    let place = Place::new("restore-gap");
    let server = place.serve();
    let before = server.publish("chat", "before");
    let backup = place.back_up("backup.db");
    let after = server.publish("chat", "after");
    stop(server);
    let told = place.succeed(&["restore", "--replace", &backup]);
    assert!(told.contains("1 event in 1 channel"), "{told}");
    let server = place.serve();
    let gap = |cursor: &str| {
        polled(&server, &format!("/chat?after={cursor}")).json()["gap"]["reason"].clone()
    };
    assert_eq!(gap(&after), "epoch");
    assert_eq!(gap(&before), Value::Null);
    assert_ne!(server.publish("chat", "anew"), after);
}

#[test]
fn what_a_restore_replaces_is_set_aside_and_can_be_restored_in_turn() {
    let place = Place::new("restore-back");
    let server = place.serve();
    server.publish("chat", "kept in the backup");
    let backup = place.back_up("backup.db");
    server.publish("chat", "kept in what was replaced");
    stop(server);
    let refused = place.fail(&["restore", &backup]);
    assert!(refused.contains("--replace"), "{refused}");
    let told = place.succeed(&["restore", "--replace", &backup]);
    let aside = told.lines().last().and_then(|line| line.rsplit(' ').next());
    assert_eq!(place.inspect()["events"], 1);
    place.succeed(&["restore", "--replace", aside.expect("a name")]);
    assert_eq!(place.inspect()["events"], 2);
    place.succeed(&["verify"]);
}

#[test]
fn a_journal_is_not_restored_under_a_running_server() {
    let place = Place::new("restore-taken");
    let server = place.serve();
    let id = server.publish("chat", "here");
    let backup = place.back_up("backup.db");
    let refused = place.fail(&["restore", "--replace", &backup]);
    assert!(refused.contains("another fourcast"), "{refused}");
    assert_eq!(ids(&polled(&server, "/chat").json()["events"]), [id]);
    server.assert_serves();
}

#[test]
fn what_is_no_sound_backup_is_not_restored_and_leaves_nothing_behind() {
    let (place, other) = (
        Place::new("restore-unsound"),
        Place::new("restore-unsound-2"),
    );
    let server = place.serve();
    server.publish("chat", "needle in a haystack");
    stop(server);
    place.spoil("needle");
    let config = other
        .path("config.toml")
        .to_str()
        .expect("UTF-8")
        .to_owned();
    let spoilt = place.database().to_str().expect("UTF-8").to_owned();
    for (file, why) in [
        (&spoilt, "is not what was written"),
        (&config, "is no journal"),
    ] {
        let refused = other.fail(&["restore", file]);
        assert!(refused.contains(why), "{refused}");
    }
    let left = fs::read_dir(other.path("data")).expect("a directory");
    let left: Vec<_> = left
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(left, ["lock"]);
}

#[test]
fn an_export_is_what_subscribers_get_line_for_line() {
    let place = Place::new("export");
    let server = place.serve();
    server.publish("gone", "never seen again");
    server.publish("rooms/1", "text with \"quotes\"\nand lines");
    let json = [("Content-Type", "application/json")];
    let second = server.publish_as("/rooms/2?type=reading", &json, "{\"t\": 21.50}");
    let bytes = [("Content-Type", "image/png")];
    server.publish_as("/rooms/1", &bytes, [0xff, 0x00]);
    server.publish_as("/rooms/1?ttl=0", &[], "live only");
    server.publish("alerts", "fire");
    server.delete("gone");
    for (selector, after) in [
        ("**", None),
        ("rooms/*", None),
        ("rooms/1,alerts", Some(&second)),
    ] {
        let mut arguments = vec!["export", selector];
        let mut target = format!("/{selector}");
        if let Some(after) = after {
            arguments.extend(["--after", after]);
            target += &format!("?after={after}");
        }
        let lines = place.succeed(&arguments);
        let events: Vec<_> = lines.lines().collect();
        assert!(events.len() >= 2, "{lines}");
        let list = format!("\"events\":[{}]}}", events.join(","));
        let body = polled(&server, &target);
        assert!(
            body.text().trim_end().ends_with(&list),
            "{list}\n{}",
            body.text()
        );
    }
}

#[test]
fn an_export_can_be_published_again() {
    let place = Place::new("export-import");
    let server = place.serve();
    server.publish("chat", "hello");
    server.publish_as(
        "/chat?type=said",
        &[("Content-Type", "application/json")],
        "[1.0]",
    );
    server.publish_as("/photos", &[("Content-Type", "image/png")], [0xff]);
    let lines = place.succeed(&["export"]);
    let other = Fixture::plain();
    let batch = [("Content-Type", "application/x-ndjson")];
    assert_eq!(other.post("/-/publish", &batch, &lines).status(), 201);
    let bare = |server: &Fixture| {
        let events = polled(server, "/**").json()["events"]
            .as_array()
            .expect("events")
            .clone();
        let strip = |mut event: Value| {
            event["id"] = Value::Null;
            event["time"] = Value::Null;
            event
        };
        events.into_iter().map(strip).collect::<Vec<_>>()
    };
    assert_eq!(bare(&server), bare(&other));
}

#[test]
fn an_export_says_when_what_comes_after_a_cursor_is_gone() {
    let place = Place::new("export-gone");
    let server = place.serve();
    let first = server.publish_all("chat", &["one", "two"])[0].clone();
    server.delete("chat");
    server.publish("chat", "three");
    let output = place.journal(&["export", "--after", &first]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("retention or DELETE took them"), "{said}");
    assert_eq!(
        output.stdout.iter().filter(|byte| **byte == b'\n').count(),
        1
    );
    let refused = place.fail(&["export", "--after", "0000000000-1"]);
    assert!(refused.contains("does not know"), "{refused}");
}

#[test]
fn an_export_ends_quietly_when_its_reader_has_gone() {
    let place = Place::new("export-hangup");
    let server = place.serve();
    let large = "x".repeat(100_000);
    for _ in 0..20 {
        server.publish_embedded("chat", &large);
    }
    let mut command = place.fourcast(&["journal", "export"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    let mut stdout = child.stdout.take().expect("a pipe");
    stdout.read_exact(&mut [0; 10]).expect("a beginning");
    drop(stdout);
    let output = child.wait_with_output().expect("an end");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn looking_for_a_journal_that_is_not_there_makes_none() {
    let place = Place::new("missing");
    let backup = place.path("backup.db").to_str().expect("UTF-8").to_owned();
    let commands: [&[&str]; 5] = [
        &["inspect"],
        &["verify"],
        &["export"],
        &["backup", &backup],
        &["restore", &backup],
    ];
    for command in commands {
        let said = place.fail(command);
        assert!(said.contains("there is no journal at"), "{said}");
    }
    let left = fs::read_dir(&place.directory).expect("a directory").count();
    assert_eq!(left, 1, "the configuration alone");
}

#[test]
fn a_flipped_byte_is_found_and_is_neither_exported_nor_backed_up() {
    let place = Place::new("flipped");
    let server = place.serve();
    server.publish_all("chat", &["first", "needle in a haystack", "third"]);
    assert!(
        place
            .succeed(&["verify"])
            .starts_with("sound: 3 events in 1 channel,")
    );
    let backup = place.back_up("backup.db");
    let good = fs::read(&backup).expect("a backup");
    stop(server);
    place.spoil("needle");
    let said = place.fail(&["verify"]);
    assert!(
        said.starts_with("event 2 is not what was written\n"),
        "{said}"
    );
    assert!(said.contains("problems: 1"), "{said}");
    for command in [&["export"][..], &["backup", "--force", &backup]] {
        let said = place.fail(command);
        assert!(said.contains("event 2 is not what was written"), "{said}");
    }
    assert_eq!(
        fs::read(&backup).expect("a backup"),
        good,
        "the older backup stays"
    );
    let left = fs::read_dir(&place.directory).expect("a directory").count();
    assert_eq!(left, 3, "configuration, journal and backup");
}

#[test]
fn a_journal_of_which_much_has_gone_is_sound() {
    let place = Place::new("trimmed");
    for _ in 0..2 {
        let server = Fixture::start(|config| {
            config.journal.kind = JournalKind::Disk;
            config.journal.path = place.path("data");
            config.limits.channels = 4;
            config.channels = vec![Retention {
                max_events: 3,
                ..Retention::default()
            }];
        });
        for round in 0..10 {
            let seldom = format!("seldom/{round}");
            server.publish_all(&seldom, &["one", "two"]);
            server.publish_all("often", &["one", "two"]);
            server.publish_as("/often?ttl=1h", &[], "for an hour");
            server.publish_as("/often?ttl=0", &[], "live only");
            let brief = Draft::new("brief".parse().expect("a channel"), Data::Text("x".into()));
            let brief = brief.with_ttl(Duration::from_millis(1));
            server.try_publish_embedded(brief).expect("a receipt");
            server.delete(&seldom);
            place.succeed(&["verify"]);
        }
        let end = deadline();
        while place.inspect()["events"] != 3 {
            assert!(
                Instant::now() < end,
                "what is brief stays: {}",
                place.inspect()
            );
        }
        place.succeed(&["verify"]);
        stop(server);
        place.succeed(&["verify"]);
    }
}

#[test]
fn what_a_server_salvages_is_sound() {
    let place = Place::new("salvaged");
    let server = place.serve();
    server.publish_all("chat", &["first", "needle in a haystack", "third"]);
    server.publish("other", "untouched");
    stop(server);
    place.spoil("needle");
    let server = place.serve();
    let end = deadline();
    // Whoever reads what is damaged sets it off.
    while !place.journal(&["verify"]).status.success() {
        server.get("/chat", &[]);
        assert!(Instant::now() < end, "it stays damaged");
    }
    let lines = place.succeed(&["export"]);
    let texts = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("an event"));
    let texts: Vec<_> = texts.map(|event| event["data"].clone()).collect();
    assert_eq!(texts, ["third", "untouched"], "{lines}");
    place.back_up("backup.db");
}

#[test]
fn a_backup_replaces_nothing_unless_it_is_told_to() {
    let place = Place::new("backup-there");
    let server = place.serve();
    server.publish("chat", "hello");
    let file = place.path("backup.db").to_str().expect("UTF-8").to_owned();
    fs::write(&file, "something else").expect("a file");
    let refused = place.fail(&["backup", &file]);
    assert!(refused.contains("--force"), "{refused}");
    assert_eq!(fs::read(&file).expect("a file"), b"something else");
    let told = place.succeed(&["backup", "--force", &file]);
    let bytes = fs::metadata(&file).expect("a file");
    assert!(told.contains(&format!("{} bytes", bytes.len())), "{told}");
    assert_eq!(bytes.permissions().mode() & 0o777, 0o600);
    let own = place.database().to_str().expect("UTF-8").to_owned();
    let refused = place.fail(&["backup", "--force", &own]);
    assert!(refused.contains("put a backup elsewhere"), "{refused}");
    server.assert_serves();
}

#[test]
fn an_inspection_counts_what_there_is() {
    let place = Place::new("inspect");
    stop(place.serve());
    let server = place.serve();
    server.publish_all("small", &["a", "b", "c"]);
    server.publish("large", &"x".repeat(10_000));
    server.publish_as("/keyed", &[("Idempotency-Key", "order-1")], "once");
    let gone = server.publish("gone", "soon");
    server.delete("gone");
    let seen = place.inspect();
    for (figure, value) in [
        ("format", Value::from(1)),
        ("head", gone.as_str().into()),
        ("channels", 4.into()),
        ("events", 5.into()),
        ("keys", 1.into()),
        ("lives", 2.into()),
    ] {
        assert_eq!(seen[figure], value, "{figure}: {seen}");
    }
    assert_eq!(seen["largest_channels"][0]["name"], "large", "{seen}");
    assert_eq!(seen["newest_lives"][0]["end"], gone.as_str(), "{seen}");
    let page = place.succeed(&["inspect"]);
    for part in [
        "format 1",
        &gone,
        "5 in 4 channels",
        "of 1.0 GiB",
        "1 remembered",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[test]
fn a_journal_in_memory_is_a_matter_of_configuration() {
    let place = Place::new("memory");
    fs::write(place.path("config.toml"), "journal.kind = \"memory\"\n").expect("a configuration");
    let output = place.journal(&["inspect"]);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
}

/// A server in a process of its own; dropping it kills it.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_journal_left_by_a_killed_server_is_read_before_any_server_recovers_it() {
    let place = Place::new("killed");
    let mut command = place.fourcast(&["serve"]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary");
    let mut server = Killed(child);
    let stdout = server.0.stdout.take().expect("a pipe");
    let mut lines = BufReader::new(stdout)
        .lines()
        .map(|line| line.expect("a line"));
    let line = lines
        .find(|line| line.starts_with("address"))
        .expect("an address");
    let address = line["address".len()..]
        .trim()
        .split(',')
        .next()
        .expect("an address")
        .to_owned();
    let mut wire = Wire::connect(address.parse().expect("an address"));
    for text in ["one", "two", "three"] {
        wire.send(request("POST", "/chat", &[], text.as_bytes()));
        assert_eq!(Response::read(&mut wire, "POST").status(), 201);
    }
    drop(server);
    fs::remove_file(place.path("data/journal.db-shm")).expect("an index of the log");
    let log = fs::metadata(place.path("data/journal.db-wal")).expect("a log");
    assert!(log.len() > 0);
    assert!(place.succeed(&["verify"]).starts_with("sound: 3 events"));
    assert_eq!(place.succeed(&["export", "chat"]).lines().count(), 3);
    let (backup, other) = (place.back_up("backup.db"), Place::new("killed-2"));
    other.succeed(&["restore", &backup]);
    assert_eq!(other.inspect()["events"], 3);
}
