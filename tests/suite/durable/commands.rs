//! `fourcast journal`: what an operator does beside a live server, and to one that was stopped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use super::dice::Dice;
use super::history::History;
use super::home::Home;
use super::payloads::Publication;
use super::process::{self, Process};
use crate::support::{Event, exchange};

/// Runs `fourcast journal` with the home's configuration.
fn journal(home: &Home, arguments: &[&str]) -> Output {
    process::run(home.run(&[&["journal"], arguments].concat()))
}

/// Runs it; anything but success fails the test. What it printed.
fn must(home: &Home, arguments: &[&str]) -> String {
    let output = journal(home, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn name(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Publishes some of everything; what there is then.
fn fill(server: &Process, publisher: usize) -> Vec<Event> {
    let mut dice = Dice::new(7);
    for n in 0..40 {
        let publication = Publication::random(publisher, n, &mut dice);
        let (target, fields, body) = publication.request();
        let response = exchange(server.address, "POST", &target, &fields, &body);
        publication.ids(&response);
    }
    all(server)
}

fn all(server: &Process) -> Vec<Event> {
    History::read(server.address, "**", "earliest").whole()
}

fn lines(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| &*event.json).collect()
}

/// A home with a backup of what `fill` published to another, and what was published after it.
struct Restored {
    backup: PathBuf,
    before: Vec<Event>,
    after: Vec<Event>,
}

fn back_up(home: &Home) -> Restored {
    let server = Process::start(home);
    let before = fill(&server, 0);
    let backup = home.path().join("backup.db");
    must(home, &["backup", name(&backup)]);
    let after = fill(&server, 1).split_off(before.len());
    server.stop();
    Restored {
        backup,
        before,
        after,
    }
}

impl Restored {
    /// Fails the test unless this home's server goes on exactly where the backup was made.
    fn assert_goes_on_in(&self, home: &Home) {
        let server = Process::start(home);
        assert_eq!(lines(&all(&server)), lines(&self.before));
        for beyond in [&self.after[0], &self.after[self.after.len() - 1]] {
            let history = History::read(server.address, "**", &beyond.id);
            let gaps = history.gaps();
            assert_eq!(gaps.len(), 1, "{gaps:?}");
            assert_eq!(gaps[0].reason, "epoch");
            assert_eq!(gaps[0].from.as_ref(), Some(&beyond.id));
        }
        let new = server.assert_serves();
        for place in [0, self.before.len() / 2, self.before.len() - 1] {
            let cursor = &self.before[place].id;
            let resumed = History::read(server.address, "**", cursor).whole();
            let due = [&self.before[place + 1..], std::slice::from_ref(&new)].concat();
            assert_eq!(lines(&resumed), lines(&due), "after {cursor}");
        }
    }
}

#[test]
fn export_beside_a_live_server_is_one_event_a_line_as_on_the_wire() {
    let home = Home::new("export");
    let server = Process::start(&home);
    let events = fill(&server, 0);
    let exported = must(&home, &["export"]);
    assert_eq!(exported.lines().collect::<Vec<_>>(), lines(&events));
    assert!(exported.ends_with('\n'));
    server.assert_serves();
}

#[test]
fn inspect_and_verify_beside_a_live_server_harm_nothing() {
    let home = Home::new("inspect");
    let server = Process::start(&home);
    let events = fill(&server, 0);
    let told = must(&home, &["inspect"]);
    assert!(told.contains(&*home.database().to_string_lossy()), "{told}");
    assert!(told.contains(&events.len().to_string()), "{told}");
    must(&home, &["verify"]);
    server.assert_serves();
    server.kill();
    must(&home, &["inspect"]);
    must(&home, &["verify"]);
    let server = Process::start(&home);
    assert_eq!(lines(&all(&server)[..events.len()]), lines(&events));
}

#[test]
fn verify_fails_on_a_journal_with_a_damaged_page() {
    let home = Home::new("verify-damaged");
    let server = Process::start(&home);
    fill(&server, 0);
    server.stop();
    let mut database = fs::read(home.database()).expect("the journal");
    let middle = database.len() / 2;
    database[middle..middle + 4096].fill(0xa5);
    fs::write(home.database(), database).expect("the journal");
    let output = journal(&home, &["verify"]);
    assert!(
        output.status.code().is_some_and(|code| code != 0),
        "{output:?}"
    );
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    assert!(told.contains(&*home.database().to_string_lossy()), "{told}");
}

#[test]
fn a_backup_of_a_live_server_restored_elsewhere_goes_on_where_it_was_made() {
    let home = Home::new("backup");
    let made = back_up(&home);
    let elsewhere = Home::new("backup-elsewhere");
    must(&elsewhere, &["restore", name(&made.backup)]);
    made.assert_goes_on_in(&elsewhere);
}

#[test]
fn a_restore_where_a_journal_is_keeps_the_old_one_aside() {
    let home = Home::new("restore-over");
    let made = back_up(&home);
    let old = fs::read(home.database()).expect("the journal");
    must(&home, &["restore", "--replace", name(&made.backup)]);
    let kept = files_below(&home.data());
    let is_old = |path: &PathBuf| fs::read(path).is_ok_and(|bytes| bytes == old);
    assert!(kept.iter().any(is_old), "the old one is gone: {kept:?}");
    made.assert_goes_on_in(&home);
}

#[test]
fn a_restore_under_a_running_server_is_refused() {
    let home = Home::new("restore-under");
    let made = back_up(&home);
    let server = Process::start(&home);
    let output = journal(&home, &["restore", name(&made.backup)]);
    assert!(
        output.status.code().is_some_and(|code| code != 0),
        "{output:?}"
    );
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains(&server.pid().to_string()), "{told}");
    server.assert_serves();
    assert!(all(&server).len() > made.before.len(), "it has all it had");
}

#[test]
fn a_backup_over_a_file_that_is_there_is_refused() {
    let home = Home::new("backup-over");
    let server = Process::start(&home);
    fill(&server, 0);
    let precious = home.path().join("precious");
    fs::write(&precious, "the only copy").expect("a file");
    let output = journal(&home, &["backup", name(&precious)]);
    assert!(
        output.status.code().is_some_and(|code| code != 0),
        "{output:?}"
    );
    assert_eq!(fs::read(&precious).expect("a file"), b"the only copy");
}

#[test]
fn a_file_that_is_no_backup_is_not_restored() {
    let home = Home::new("restore-nonsense");
    let server = Process::start(&home);
    let events = fill(&server, 0);
    server.stop();
    let nonsense = home.path().join("nonsense.db");
    fs::write(&nonsense, "nonsense".repeat(4096)).expect("a file");
    let output = journal(&home, &["restore", name(&nonsense)]);
    assert!(
        output.status.code().is_some_and(|code| code != 0),
        "{output:?}"
    );
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains(name(&nonsense)), "{told}");
    let server = Process::start(&home);
    assert_eq!(lines(&all(&server)), lines(&events));
}

/// Every file in a directory and those below it.
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_dir() {
            files.extend(files_below(&entry.path()));
        } else {
            files.push(entry.path());
        }
    }
    files
}
