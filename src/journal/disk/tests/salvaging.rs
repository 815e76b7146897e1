//! What is brought over from a damaged journal, and what of it is told as lost.

use std::fs;

use super::{fixture, fixture_with};
use crate::config::Config;
use crate::journal::Draft;
use crate::journal::disk::directory::Directory;
use crate::journal::disk::salvage;
use crate::journal::tests::fixture::{Fixture, draft, keep};

/// An event of 'a' that has a time of its own, which does not end before the case does.
fn mortal() -> Draft {
    draft("a", "x").with_ttl(std::time::Duration::from_secs(3600))
}

/// Goes on with what is good of the journal, once `damage` was done to it.
fn salvage_after(fixture: &mut Fixture, damage: impl FnOnce(&Config)) {
    fixture.restart_after(|config| {
        damage(config);
        let directory = Directory::at(&config.journal.path);
        salvage::salvage(&directory, None).unwrap();
        directory.replace("damaged").unwrap();
    });
}

fn run(config: &Config, sql: &str) {
    let connection = rusqlite::Connection::open(config.journal.path.join("journal.db")).unwrap();
    connection.execute_batch(sql).unwrap();
}

/// Of 'a' are 1, 2, 5 and 7, and, each with a time of its own so that no later one names it, 3 and 8.
fn with_mortals() -> Fixture {
    let fixture = fixture();
    fixture.publish_all(&["a", "a"]);
    fixture.publish_draft(mortal());
    fixture.publish_all(&["b", "a", "b", "a"]);
    fixture.publish_draft(mortal());
    fixture
}

/// Makes the oldest three quarters of the pages that hold events unreadable; how many events the others hold.
fn blot_out_the_oldest(config: &Config) -> usize {
    let file = config.journal.path.join("journal.db");
    let leaves = leaves(&rusqlite::Connection::open(&file).unwrap());
    let (oldest, others) = leaves.split_at(leaves.len() / 4 * 3);
    let mut bytes = fs::read(&file).unwrap();
    let size = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
    for (page, _) in oldest {
        let end = *page as usize * size;
        bytes[end - size..end].fill(0xff);
    }
    fs::write(&file, bytes).unwrap();
    others.iter().map(|(_, events)| *events as usize).sum()
}

/// The pages that hold events, in their order, each with how many it holds.
fn leaves(connection: &rusqlite::Connection) -> Vec<(u32, u32)> {
    let sql = "SELECT pageno, ncell FROM dbstat WHERE name = 'events' AND pagetype = 'leaf' ORDER BY path";
    let mut statement = connection.prepare(sql).unwrap();
    let leaves = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)));
    leaves.unwrap().map(Result::unwrap).collect()
}

#[test]
fn events_behind_damage_are_kept_though_they_are_fewer_than_what_is_damaged() {
    let mut fixture = fixture_with(|config| config.channels = vec![keep("a", 8_000)]);
    let drafts = (0..8_000).map(|_| draft("a", "x")).collect();
    fixture.append(drafts).unwrap();
    let mut sound = 0;
    salvage_after(&mut fixture, |config| sound = blot_out_the_oldest(config));
    let page = fixture.read(&fixture.after("a", 0));
    assert!(page.loss.is_some());
    assert_eq!(page.events.len(), sound);
    assert_eq!(page.events.last().map(|event| event.id.seq), Some(8_000));
}

#[test]
fn an_event_that_no_other_names_is_told_as_lost_beside_one_that_is_named() {
    for (what, damage, told_through) in [
        (
            "the index still says of which channel they were",
            "UPDATE events SET data = x'00' WHERE seq IN (2, 3, 6)",
            3,
        ),
        (
            "so it does beside the newest that is owed without an end",
            "UPDATE events SET data = x'00' WHERE seq IN (6, 7, 8)",
            8,
        ),
        (
            "nothing says of which channel the second was",
            "UPDATE events SET data = x'00', channel = channel + 6 * (seq = 3) WHERE seq IN (2, 3, 6)",
            6,
        ),
        (
            "nothing says where they were",
            "DELETE FROM events WHERE seq IN (2, 3)",
            8,
        ),
    ] {
        let mut fixture = with_mortals();
        salvage_after(&mut fixture, |config| run(config, damage));
        for (place, told) in [(told_through - 1, true), (told_through, false)] {
            let loss = fixture.read(&fixture.after("a", place)).loss;
            assert_eq!(loss.is_some(), told, "{what}, read from {place}");
        }
    }
}
