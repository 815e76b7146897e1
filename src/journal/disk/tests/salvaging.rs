//! What is brought over from a damaged journal, and what of it is told as lost.

use super::fixture;
use crate::config::Config;
use crate::journal::Draft;
use crate::journal::disk::directory::Directory;
use crate::journal::disk::salvage;
use crate::journal::tests::fixture::{Fixture, draft};

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
