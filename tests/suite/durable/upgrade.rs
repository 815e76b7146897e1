//! A journal of a format that this server does not know.

use std::fs;

use super::home::Home;
use super::process::Process;

/// Where a database's header has the version of what is in it (SQLite's file format, section 1.3).
const USER_VERSION: std::ops::Range<usize> = 60..64;

#[test]
fn a_format_of_a_later_version_is_refused_and_left_as_it_is() {
    let home = Home::new("later-version");
    let server = Process::start(&home);
    server.publish("chat", "from an earlier time");
    server.stop();
    let mut database = fs::read(home.database()).expect("the journal");
    let version: [u8; 4] = database[USER_VERSION].try_into().expect("four bytes");
    assert_ne!(u32::from_be_bytes(version), 0, "the format has a version");
    database[USER_VERSION].copy_from_slice(&999_u32.to_be_bytes());
    fs::write(home.database(), &database).expect("the journal");
    let Err(refused) = Process::try_start(&home) else {
        panic!("a server that knows every future");
    };
    refused.must_name(&home.database());
    assert!(refused.message.contains("999"), "{refused:?}");
    assert!(fs::read(home.database()).expect("the journal") == database);
    database[USER_VERSION].copy_from_slice(&version);
    fs::write(home.database(), &database).expect("the journal");
    let server = Process::start(&home);
    let kept = super::history::History::read(server.address, "chat", "earliest");
    assert_eq!(kept.whole()[0].text(), "from an earlier time");
}
