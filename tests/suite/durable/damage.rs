//! Files that were damaged while no server ran. The next one refuses and says why, or serves: then
//! nothing wrong, nothing in another order, and nothing missing without a gap.

mod specimen;

use std::fs;
use std::process::Command;

use specimen::{Ending, Excuse, Specimen};

use super::dice::{Dice, number_from, seed};
use super::home::Home;

/// What a file is damaged with, by chance.
type Damage = fn(&mut Vec<u8>, &mut Dice) -> String;

/// Damages the file that `file` names, in as many rounds as `SUITE_DAMAGE_ROUNDS` says.
fn damaged(name: &str, ending: Ending, file: fn(&Home) -> std::path::PathBuf, damage: Damage) {
    let rounds = number_from("SUITE_DAMAGE_ROUNDS").unwrap_or(20);
    let seed = seed(&format!("damage::{name}"), ("SUITE_DAMAGE_ROUNDS", rounds));
    let mut dice = Dice::new(seed);
    let mut specimen = Specimen::make(name, ending);
    for round in 0..rounds {
        specimen.examine(|home| {
            let path = file(home);
            let mut bytes = fs::read(&path).expect("the file");
            let told = damage(&mut bytes, &mut dice);
            fs::write(&path, bytes).expect("the file");
            let excuse = if path == home.write_ahead_log() {
                Excuse::NewestOfTheLog
            } else {
                Excuse::None
            };
            (
                format!("round {round}: {told} of {}", path.display()),
                excuse,
            )
        });
    }
    eprintln!("{name}: {}", specimen.tally());
}

/// Some bytes somewhere, often few, sometimes a page, and every part of the file's head in time.
fn overwrite(bytes: &mut [u8], dice: &mut Dice) -> String {
    let length = dice.pick(&[1, 1, 2, 8, 64, 4096]).min(bytes.len());
    let at = if dice.once_in(5) {
        dice.index(4096.min(bytes.len() - length + 1))
    } else {
        dice.index(bytes.len() - length + 1)
    };
    let new = dice.bytes(length);
    bytes[at..at + length].copy_from_slice(&new);
    format!("{length} bytes overwritten at {at}")
}

fn flip_a_bit(bytes: &mut [u8], dice: &mut Dice) -> String {
    let at = dice.index(bytes.len());
    let bit = dice.index(8);
    bytes[at] ^= 1 << bit;
    format!("bit {bit} flipped at {at}")
}

/// Half of the time at the end of a page, where it is harder to see.
fn cut_off(bytes: &mut Vec<u8>, dice: &mut Dice) -> String {
    let mut length = dice.index(bytes.len());
    if dice.once_in(2) {
        length -= length % 4096;
    }
    bytes.truncate(length);
    format!("cut off at {length}")
}

#[test]
fn a_stopped_journal_with_bytes_overwritten() {
    let name = "a_stopped_journal_with_bytes_overwritten";
    damaged(name, Ending::Stopped, Home::database, |bytes, dice| {
        overwrite(bytes, dice)
    });
}

#[test]
fn a_stopped_journal_with_one_bit_flipped() {
    let name = "a_stopped_journal_with_one_bit_flipped";
    damaged(name, Ending::Stopped, Home::database, |bytes, dice| {
        flip_a_bit(bytes, dice)
    });
}

#[test]
fn a_stopped_journal_cut_off() {
    let name = "a_stopped_journal_cut_off";
    damaged(name, Ending::Stopped, Home::database, cut_off);
}

#[test]
fn a_killed_journal_with_bytes_overwritten() {
    let name = "a_killed_journal_with_bytes_overwritten";
    damaged(name, Ending::Killed, Home::database, |bytes, dice| {
        overwrite(bytes, dice)
    });
}

#[test]
fn a_killed_journal_cut_off() {
    let name = "a_killed_journal_cut_off";
    damaged(name, Ending::Killed, Home::database, cut_off);
}

#[test]
fn the_log_of_a_killed_server_with_bytes_overwritten() {
    let name = "the_log_of_a_killed_server_with_bytes_overwritten";
    damaged(
        name,
        Ending::Killed,
        Home::write_ahead_log,
        |bytes, dice| overwrite(bytes, dice),
    );
}

#[test]
fn the_log_of_a_killed_server_cut_off() {
    let name = "the_log_of_a_killed_server_cut_off";
    damaged(name, Ending::Killed, Home::write_ahead_log, cut_off);
}

#[test]
fn the_log_of_a_killed_server_removed() {
    let mut specimen = Specimen::make("the_log_of_a_killed_server_removed", Ending::Killed);
    specimen.examine(|home| {
        fs::remove_file(home.write_ahead_log()).expect("the log goes");
        ("the log removed".to_owned(), Excuse::NewestOfTheLog)
    });
}

#[test]
fn a_killed_journal_whose_database_is_gone_and_whose_log_is_there() {
    let name = "a_killed_journal_whose_database_is_gone_and_whose_log_is_there";
    let mut specimen = Specimen::make(name, Ending::Killed);
    specimen.examine(|home| {
        fs::remove_file(home.database()).expect("the database goes");
        ("the database removed".to_owned(), Excuse::None)
    });
}

/// Another file in the place of the database of a stopped server.
fn replaced(name: &str, replace: impl FnOnce(&Home)) {
    let mut specimen = Specimen::make(name, Ending::Stopped);
    specimen.examine(|home| {
        fs::remove_file(home.database()).expect("the database goes");
        replace(home);
        (name.to_owned(), Excuse::None)
    });
}

#[test]
fn garbage_in_the_place_of_the_database() {
    replaced("garbage_in_the_place_of_the_database", |home| {
        let garbage = Dice::new(1).bytes(100_000);
        fs::write(home.database(), garbage).expect("a file");
    });
}

#[test]
fn an_empty_file_in_the_place_of_the_database() {
    replaced("an_empty_file_in_the_place_of_the_database", |home| {
        fs::write(home.database(), "").expect("a file");
    });
}

#[test]
fn a_directory_in_the_place_of_the_database() {
    replaced("a_directory_in_the_place_of_the_database", |home| {
        fs::create_dir(home.database()).expect("a directory");
        fs::write(home.database().join("inside"), "precious").expect("a file");
    });
}

#[test]
fn another_database_in_the_place_of_the_database() {
    const MAKE: &str = "import sqlite3, sys\n\
        db = sqlite3.connect(sys.argv[1])\n\
        db.execute('create table events (seq integer primary key, other text)')\n\
        db.execute(\"insert into events values (1, 'not ours')\")\n\
        db.commit()\n";
    replaced("another_database_in_the_place_of_the_database", |home| {
        let mut make = Command::new("python3");
        let made = make.arg("-c").arg(MAKE).arg(home.database()).status();
        assert!(
            made.is_ok_and(|status| status.success()),
            "python3 makes one"
        );
    });
}
