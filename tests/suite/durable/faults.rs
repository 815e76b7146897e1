//! A disk that fails while the server runs: publishers are refused, everything else goes on, and when the
//! cause goes, publishing heals by itself. Nothing that was acknowledged is missing at any time.

mod causes;

use std::collections::HashSet;
use std::process::Command;
use std::time::Instant;

use causes::{FailingDisk, Immutable, SmallDisk};

use super::history::History;
use super::home::{Home, Settings};
use super::process::Process;
use crate::support::{Listener, PATIENCE, Response, Told, Way, Wire, request};

/// A payload's size: a few hundred fill the small disk, and each fills several pages.
const SIZE: usize = 16 * 1024;
/// More publications than any of these disks takes.
const MOST: usize = 2_000;
/// Refusals in a row after which the disk counts as full.
const STEADY: usize = 10;

/// Says why a fault cannot be had here, and that its test therefore proves nothing.
fn is_impossible(fault: &str, why: &str) {
    eprintln!("NOT TESTED: {fault}: {why}");
}

/// A server, a subscriber on each way, and what both should have seen.
struct Trial<'h> {
    home: &'h Home,
    server: Process,
    publisher: Wire,
    listeners: Vec<Listener>,
    /// The ids of what was acknowledged.
    kept: Vec<String>,
    /// The names of what was refused.
    refused: HashSet<String>,
    published: usize,
}

impl<'h> Trial<'h> {
    fn start(home: &'h Home, command: Command) -> Self {
        let server = Process::try_start_as(home, command).expect("a server");
        let listen = |way| server.listen(way, "/chat?after=now");
        Trial {
            publisher: server.connect(),
            listeners: Way::ALL.into_iter().map(listen).collect(),
            home,
            server,
            kept: Vec::new(),
            refused: HashSet::new(),
            published: 0,
        }
    }

    /// Publishes one more; whether it was acknowledged. Anything else must be a refusal that says so.
    fn publish(&mut self) -> bool {
        let name = format!("event {}", self.published);
        self.published += 1;
        let body = format!("{name} {}", "x".repeat(SIZE));
        self.publisher
            .send(request("POST", "/chat", &[], body.as_bytes()));
        let response = Response::try_read(&mut self.publisher, "POST");
        let response = response.unwrap_or_else(|| self.fail("no answer to a publish"));
        if response.status() == 201 {
            let id = response.json()["id"].as_str().map(str::to_owned);
            self.kept.push(id.expect("an id"));
            return true;
        }
        assert_is_refusal_of_the_journal(&response);
        if response.head.lists("Connection", "close") {
            self.publisher = self.server.connect();
        }
        self.refused.insert(name);
        false
    }

    /// Fails the test with what the server has to say.
    fn fail<T>(&mut self, why: &str) -> T {
        let (fate, log) = (self.server.fate(), self.server.log());
        panic!("{why}; the server: {fate:?} {log}");
    }

    fn publish_some(&mut self) {
        for _ in 0..5 {
            if !self.publish() {
                self.fail("a publish is refused on a disk that works")
            }
        }
    }

    /// Publishes until nothing is taken any more.
    fn publish_until_refused(&mut self) {
        let mut in_a_row = 0;
        for _ in 0..MOST {
            in_a_row = if self.publish() { 0 } else { in_a_row + 1 };
            if in_a_row == STEADY {
                return;
            }
        }
        panic!("a disk without an end");
    }

    /// Publishes until something is taken again, which it must be in time.
    fn publish_until_taken(&mut self) {
        let end = Instant::now() + PATIENCE;
        while !self.publish() {
            if Instant::now() > end {
                self.fail("it does not heal")
            }
            self.publisher.pause();
        }
    }

    /// Fails the test unless the server says that it takes nothing, and goes on serving what it has.
    fn assert_only_publishing_is_refused(&mut self) {
        self.server.assert_alive();
        assert_is_refusal_of_the_journal(&self.unready());
        assert_eq!(self.server.get("/-/healthy").status(), 200);
        self.assert_serves_what_is_kept();
    }

    /// What a server says that takes nothing. The little that retention writes may fit where no event does, and
    /// then it says for a while that it could write.
    fn unready(&mut self) -> Response {
        let end = Instant::now() + PATIENCE;
        loop {
            let ready = self.server.get("/-/ready");
            if ready.status() == 503 {
                return ready;
            }
            if Instant::now() > end {
                self.fail("it takes nothing and says that it does")
            }
            self.publish();
        }
    }

    /// Fails the test unless pollers see what was acknowledged, and so did every subscriber, on the
    /// connection that it had from the beginning.
    fn assert_serves_what_is_kept(&mut self) {
        assert_eq!(ids(&self.server, "earliest"), self.kept);
        let middle = &self.kept[self.kept.len() / 2];
        let rest = &self.kept[self.kept.len() / 2 + 1..];
        assert_eq!(ids(&self.server, middle), rest);
        for listener in &mut self.listeners {
            let seen = self.kept.iter().position(|id| id == listener.cursor());
            for due in &self.kept[seen.map_or(0, |seen| seen + 1)..] {
                match listener.next() {
                    Told::Event(event) => assert_eq!(&event.id, due),
                    other => panic!("{due} was due, not {other:?}"),
                }
            }
        }
    }

    fn assert_has_healed(&mut self) {
        self.publish_until_taken();
        self.server.wait_for_status("/-/ready", 200);
        self.publish_some();
        self.assert_serves_what_is_kept();
    }

    /// Kills the server. The next one must have everything acknowledged; what was refused may be there
    /// too, where the disk took it before it failed.
    fn assert_outlives_a_kill(mut self) {
        self.server.kill();
        self.server = Process::start(self.home);
        let kept = History::read(self.server.address, "chat", "earliest").whole();
        let is_refused = |text: String| {
            let name = text.split_at(text.trim_end_matches(['x', ' ']).len()).0;
            self.refused.contains(name)
        };
        let known: HashSet<&String> = self.kept.iter().collect();
        let acknowledged: Vec<&String> = kept
            .iter()
            .filter(|event| known.contains(&event.id) || !is_refused(event.text()))
            .map(|event| &event.id)
            .collect();
        assert!(
            acknowledged
                .iter()
                .eq(&self.kept.iter().collect::<Vec<_>>())
        );
        let id = self.server.publish("chat", "after it all");
        // A long poll that was never answered has no cursor to come back with.
        self.listeners
            .retain(|listener| !listener.cursor().is_empty());
        for listener in &mut self.listeners {
            listener
                .try_reconnect(self.server.address, Way::Sse)
                .expect("a welcome");
            let mut events = std::iter::repeat_with(|| listener.next_event());
            assert!(events.any(|event| event.id == id), "no end of events");
        }
    }
}

fn ids(server: &Process, after: &str) -> Vec<String> {
    let history = History::read(server.address, "chat", after).whole();
    history.into_iter().map(|event| event.id).collect()
}

fn assert_is_refusal_of_the_journal(response: &Response) {
    let code = response.refusal();
    assert!(
        matches!(
            (response.status(), &*code),
            (507, "journal_full") | (503, "journal_unavailable")
        ),
        "{} {code}",
        response.status()
    );
    assert_eq!(response.json()["retry"], true, "{:?}", response.text());
}

/// With the server of `home` on a disk that is soon full.
fn heals_when_space_is_freed(name: &str, sync: &'static str) {
    let settings = Settings {
        sync,
        path: "disk/data",
        ..Settings::default()
    };
    let home = Home::with(name, settings);
    let disk = match SmallDisk::mount(&home.path().join("disk"), "12m") {
        Ok(disk) => disk,
        Err(why) => return is_impossible("a full disk", &why),
    };
    let ballast = disk.add_ballast(4 << 20);
    let mut trial = Trial::start(&home, home.serve());
    trial.publish_some();
    trial.publish_until_refused();
    trial.assert_only_publishing_is_refused();
    ballast.remove();
    trial.assert_has_healed();
    trial.assert_outlives_a_kill();
}

#[test]
fn a_full_disk_refuses_publishers_and_heals_when_space_is_freed() {
    heals_when_space_is_freed("full-disk", "always");
}

#[test]
fn a_full_disk_that_is_synced_at_intervals_heals_when_space_is_freed() {
    heals_when_space_is_freed("full-disk-interval", "interval 50ms");
}

#[test]
fn a_full_disk_costs_nothing_acknowledged_when_the_server_is_killed_on_it() {
    let settings = Settings {
        path: "disk/data",
        ..Settings::default()
    };
    let home = Home::with("full-disk-killed", settings);
    let disk = match SmallDisk::mount(&home.path().join("disk"), "12m") {
        Ok(disk) => disk,
        Err(why) => return is_impossible("a full disk", &why),
    };
    let ballast = disk.add_ballast(4 << 20);
    let mut trial = Trial::start(&home, home.serve());
    trial.publish_until_refused();
    // To open a journal takes a little room.
    ballast.remove();
    trial.assert_outlives_a_kill();
}

#[test]
fn a_file_size_limit_refuses_publishers_and_costs_nothing_acknowledged() {
    let home = Home::new("file-size-limit");
    // In blocks of 512 bytes, or of 1,024 where sh is bash.
    let mut trial = Trial::start(&home, home.serve_under("ulimit -f 4096"));
    trial.publish_some();
    trial.publish_until_refused();
    trial.assert_only_publishing_is_refused();
    trial.assert_outlives_a_kill();
}

#[test]
fn files_that_turn_read_only_refuse_publishers_and_heal_when_they_are_writable() {
    let home = Home::new("read-only-files");
    let mut trial = Trial::start(&home, home.serve());
    trial.publish_some();
    // What has files open for writing cannot be mounted anew as read-only.
    let immutable = match Immutable::make(&home.data()) {
        Ok(immutable) => immutable,
        Err(why) => return is_impossible("files that turn read-only", &why),
    };
    trial.publish_until_refused();
    trial.assert_only_publishing_is_refused();
    drop(immutable);
    trial.assert_has_healed();
    trial.assert_outlives_a_kill();
}

#[test]
fn a_directory_that_is_read_only_from_the_start_is_refused_by_name() {
    let settings = Settings {
        path: "disk/data",
        ..Settings::default()
    };
    let home = Home::with("read-only-directory", settings);
    let disk = match SmallDisk::mount(&home.path().join("disk"), "12m") {
        Ok(disk) => disk,
        Err(why) => return is_impossible("a read-only directory", &why),
    };
    let server = Process::start(&home);
    let id = server.publish("chat", "before");
    server.kill();
    disk.make("ro");
    let Err(refused) = Process::try_start(&home) else {
        panic!("a server that cannot write");
    };
    refused.must_name(&home.data());
    disk.make("rw");
    assert_eq!(ids(&Process::start(&home), "earliest"), [id]);
}

/// With the server of `home` on a disk whose every write or sync fails for a while.
fn heals_when_the_disk_works_again(name: &str, error: &str) {
    let home = Home::new(name);
    let disk = match FailingDisk::build(home.path()) {
        Ok(disk) => disk,
        Err(why) => return is_impossible(error, &why),
    };
    let mut trial = Trial::start(&home, disk.under(home.serve()));
    trial.publish_some();
    disk.fail_with(error);
    trial.publish_until_refused();
    trial.assert_only_publishing_is_refused();
    disk.work();
    trial.assert_has_healed();
    trial.assert_outlives_a_kill();
}

#[test]
fn writes_that_fail_refuse_publishers_and_heal() {
    heals_when_the_disk_works_again("failing-writes", "EIO on write");
}

#[test]
fn syncs_that_fail_refuse_publishers_and_heal() {
    heals_when_the_disk_works_again("failing-syncs", "EIO on sync");
}

#[test]
fn a_disk_that_turns_read_only_refuses_publishers_and_heals() {
    heals_when_the_disk_works_again("turns-read-only", "EROFS on write");
}

#[test]
fn an_exhausted_quota_refuses_publishers_and_heals() {
    heals_when_the_disk_works_again("quota", "EDQUOT on write");
}
