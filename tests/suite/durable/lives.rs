//! One directory and several servers, one after the other or at once: what a cursor of an earlier one is
//! worth to a later one.

use std::iter;

use super::history::History;
use super::home::Home;
use super::process::Process;
use crate::support::{Gap, Told, Way};

/// Publishes so many texts; their ids.
fn publish(server: &Process, count: usize) -> Vec<String> {
    (0..count)
        .map(|n| server.publish("chat", &format!("event {n}")))
        .collect()
}

/// Fails the test unless `cursor` resumes with exactly the events `due`, on every way.
fn assert_resumes(server: &Process, cursor: &str, due: &[String]) {
    let history = History::read(server.address, "chat", cursor).whole();
    let ids: Vec<&str> = history.iter().map(|event| &*event.id).collect();
    assert_eq!(ids, due, "after {cursor}");
    for way in Way::ALL {
        let mut listener = server.listen(way, &format!("/chat,marker?after={cursor}"));
        let marker = server.publish("marker", "behind it");
        // The markers of earlier checks come as well.
        let events = iter::repeat_with(|| listener.next_event());
        let events = events.take_while(|event| event.id != marker);
        let chat = events.filter(|event| event.channel == "chat");
        let ids: Vec<String> = chat.map(|event| event.id).collect();
        assert_eq!(ids, due, "after {cursor} by {way:?}");
    }
}

/// Fails the test unless whoever comes with `cursor` is told on every way that its life is not known.
fn assert_epoch_is_told(server: &Process, cursor: &str) {
    for way in Way::ALL {
        let mut listener = server.listen(way, &format!("/chat?after={cursor}"));
        let Gap { reason, from, .. } = match listener.next() {
            Told::Gap(gap) => gap,
            other => panic!("a gap was due by {way:?}, not {other:?}"),
        };
        assert_eq!((&*reason, from.as_deref()), ("epoch", Some(cursor)));
    }
}

#[test]
fn a_second_server_on_the_same_directory_is_refused_and_the_first_unharmed() {
    let home = Home::new("second-server");
    let first = Process::start(&home);
    let ids = publish(&first, 3);
    let Err(refused) = Process::try_start(&home) else {
        panic!("two servers on one directory");
    };
    refused.must_name(&home.data());
    let pid = first.pid().to_string();
    assert!(refused.message.contains(&pid), "no {pid} in {refused:?}");
    let more = publish(&first, 2);
    first.assert_serves();
    assert_resumes(&first, &ids[0], &[&ids[1..], &more].concat());
    first.kill();
    assert_resumes(
        &Process::start(&home),
        &ids[0],
        &[&ids[1..], &more].concat(),
    );
}

#[test]
fn a_lock_that_a_killed_server_left_stops_nobody() {
    let home = Home::new("lock-of-the-killed");
    for _ in 0..3 {
        let server = Process::start(&home);
        server.assert_serves();
        server.kill();
    }
    Process::start(&home).stop();
}

#[test]
fn cursors_go_on_over_a_clean_stop() {
    let home = Home::new("clean-stop");
    let server = Process::start(&home);
    let mut ids = publish(&server, 5);
    let head = History::read(server.address, "chat", "now").cursor;
    server.stop();
    let server = Process::start(&home);
    assert_resumes(&server, &ids[1], &ids[2..]);
    assert_resumes(&server, &head, &[]);
    let more = publish(&server, 2);
    assert_resumes(&server, &head, &more);
    ids.extend(more);
    server.stop();
    assert_resumes(&Process::start(&home), &ids[1], &ids[2..]);
}

#[test]
fn a_directory_wiped_between_two_starts_is_told() {
    let home = Home::new("wiped");
    let server = Process::start(&home);
    let old = publish(&server, 5);
    server.stop();
    home.wipe();
    let server = Process::start(&home);
    assert_epoch_is_told(&server, &old[0]);
    let new = publish(&server, 3);
    // The numbers begin anew; the lives keep the ids apart.
    assert!(new.iter().all(|id| !old.contains(id)), "{new:?} {old:?}");
    assert_epoch_is_told(&server, &old[2]);
    assert_resumes(&server, &new[0], &new[1..]);
}

#[test]
fn an_older_copy_put_back_is_told_to_those_who_saw_more() {
    let home = Home::new("older-copy");
    let server = Process::start(&home);
    let within = publish(&server, 5);
    server.stop();
    let copy = home.copy_data_to("copy");
    let server = Process::start(&home);
    let beyond = publish(&server, 5);
    server.stop();
    home.put_back(&copy);
    let server = Process::start(&home);
    for cursor in &beyond {
        assert_epoch_is_told(&server, cursor);
    }
    assert_resumes(&server, &within[1], &within[2..]);
    assert_resumes(&server, &within[4], &[]);
    let new = publish(&server, 5);
    assert!(new.iter().all(|id| !beyond.contains(id)), "{new:?}");
    // Their numbers are the same now; their lives are not.
    assert_epoch_is_told(&server, &beyond[0]);
    assert_resumes(&server, &within[4], &new);
}

#[test]
fn an_older_copy_of_the_same_life_is_told_to_those_who_saw_more() {
    let home = Home::new("older-copy-of-a-life");
    let server = Process::start(&home);
    let within = publish(&server, 5);
    server.stop();
    let copy = home.copy_data_to("copy");
    for _ in 0..2 {
        home.put_back(&copy);
        let server = Process::start(&home);
        let beyond = publish(&server, 5);
        assert_resumes(&server, &within[4], &beyond);
        server.kill();
        home.put_back(&copy);
        let server = Process::start(&home);
        assert_epoch_is_told(&server, &beyond[4]);
        assert_resumes(&server, &within[4], &[]);
        server.kill();
    }
}
