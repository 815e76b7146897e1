//! One list of cases × the five ways. Every case is a function of the way, and each pair is a test of
//! its own, so that a failure names both.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::event::seq;
use crate::support::listener::Resume;
use crate::support::{Event, Fixture, Listener, Told, Way};

mod content;
mod leaving;

/// Makes one test of each case and each way.
macro_rules! on_every_way {
    ($($case:ident;)*) => {$(
        mod $case {
            use crate::support::Way;
            #[test]
            fn by_poll() { super::$case(Way::Poll); }
            #[test]
            fn by_long_poll() { super::$case(Way::LongPoll); }
            #[test]
            fn by_sse() { super::$case(Way::Sse); }
            #[test]
            fn by_ndjson() { super::$case(Way::Ndjson); }
            #[test]
            fn by_websocket() { super::$case(Way::WebSocket); }
        }
    )*};
}
pub(crate) use on_every_way;

on_every_way! {
    events_arrive_in_the_order_of_their_ids;
    several_events_wait_for_whoever_begins_at_the_earliest;
    whoever_begins_with_now_sees_nothing_older;
    without_a_cursor_polls_begin_with_what_is_kept_and_streams_with_now;
    last_begins_so_many_events_back_in_each_channel;
    since_begins_at_a_time;
    a_cursor_resumes_exactly_on_the_same_way;
    a_cursor_resumes_exactly_on_every_other_way;
    a_cursor_resumes_from_the_header_as_from_the_url;
    every_spelling_of_after_resumes;
    a_last_event_id_field_wins_over_the_url;
    an_empty_last_event_id_field_means_none;
    a_life_nobody_knows_is_a_gap;
    a_place_past_the_end_of_its_life_is_a_gap;
    a_malformed_cursor_in_a_field_is_a_gap;
    a_malformed_cursor_in_the_url_is_refused;
    cursors_in_the_url_exclude_each_other;
    what_retention_took_is_told;
    what_retention_took_from_other_channels_is_not_told;
    what_delete_took_is_told_and_not_delivered;
    a_delete_that_took_nothing_owed_is_not_told;
    whoever_brings_no_cursor_is_told_no_gap;
    several_channels_come_in_one_order;
    a_star_stands_for_one_segment;
    two_stars_stand_for_one_segment_or_more;
    an_event_that_two_selectors_match_arrives_once;
    subscribing_creates_nothing;
}

fn ids(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.id.as_str()).collect()
}

fn take(listener: &mut Listener, count: usize) -> Vec<Event> {
    (0..count).map(|_| listener.next_event()).collect()
}

fn events_arrive_in_the_order_of_their_ids(way: Way) {
    let server = Fixture::plain();
    let mut listener = Listener::open(way, &server, "/chat?after=now");
    let published: Vec<String> = (0..20)
        .map(|n| server.publish("chat", &format!("event {n}")))
        .collect();
    let events = take(&mut listener, 20);
    assert_eq!(ids(&events), published);
    assert!(events.windows(2).all(|pair| pair[0].seq() < pair[1].seq()));
    assert!(events.windows(2).all(|pair| pair[0].time <= pair[1].time));
}

fn several_events_wait_for_whoever_begins_at_the_earliest(way: Way) {
    let server = Fixture::plain();
    server.publish_all("chat", &["a", "b", "c"]);
    let mut listener = Listener::open(way, &server, "/chat?after=earliest");
    assert_eq!(listener.texts(3), ["a", "b", "c"]);
    server.publish("chat", "d");
    assert_eq!(listener.texts(1), ["d"]);
}

fn whoever_begins_with_now_sees_nothing_older(way: Way) {
    let server = Fixture::plain();
    let old = server.publish("chat", "old");
    let mut listener = Listener::open(way, &server, "/chat?after=now");
    assert_eq!(listener.welcome.is_some(), way.is_stream());
    if let Some(welcome) = &listener.welcome {
        assert_eq!(welcome["cursor"], old.as_str(), "where this stream begins");
    }
    server.publish("chat", "new");
    assert_eq!(listener.texts(1), ["new"]);
}

fn without_a_cursor_polls_begin_with_what_is_kept_and_streams_with_now(way: Way) {
    let server = Fixture::plain();
    server.publish("chat", "kept");
    let mut listener = Listener::open(way, &server, "/chat");
    server.publish("chat", "live");
    let first = if way.is_stream() { "live" } else { "kept" };
    assert_eq!(listener.texts(1), [first]);
}

fn last_begins_so_many_events_back_in_each_channel(way: Way) {
    let server = Fixture::plain();
    server.publish_all("busy", &["b1", "b2", "b3"]);
    server.publish_all("calm", &["c1", "c2", "c3"]);
    server.publish_all("busy", &["b4", "b5"]);
    let mut listener = Listener::open(way, &server, "/busy,calm,none?last=2");
    assert_eq!(listener.texts(4), ["c2", "c3", "b4", "b5"]);
    server.publish("calm", "c4");
    assert_eq!(listener.texts(1), ["c4"]);
    let mut listener = Listener::open(way, &server, "/*?last=1");
    assert_eq!(listener.texts(2), ["b5", "c4"]);
}

fn since_begins_at_a_time(way: Way) {
    let server = Fixture::plain();
    server.publish_all("chat", &["a", "b"]);
    let mut listener = Listener::open(way, &server, "/chat?since=10m");
    assert_eq!(listener.texts(2), ["a", "b"]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let hour_ago = now.expect("a clock").as_secs() - 3600;
    let mut listener = Listener::open(way, &server, &format!("/chat?since={hour_ago}"));
    assert_eq!(listener.texts(2), ["a", "b"]);
    server.publish("chat", "c");
    assert_eq!(listener.texts(1), ["c"]);
}

fn a_cursor_resumes_exactly_on_the_same_way(way: Way) {
    let server = Fixture::plain();
    server.publish_all("chat", &["a", "b"]);
    let mut listener = Listener::open(way, &server, "/chat?after=earliest");
    assert_eq!(listener.texts(1), ["a"]);
    listener.hang_up();
    server.publish_all("chat", &["c", "d"]);
    let given = listener.cursor().to_owned();
    listener.reconnect(way);
    if let Some(welcome) = &listener.welcome {
        assert_eq!(
            welcome["cursor"],
            given.as_str(),
            "where this stream begins"
        );
    }
    assert_eq!(listener.texts(3), ["b", "c", "d"]);
    listener.reconnect(way);
    server.publish("chat", "e");
    assert_eq!(listener.texts(1), ["e"]);
}

fn a_cursor_resumes_exactly_on_every_other_way(way: Way) {
    let server = Fixture::plain();
    for other in Way::ALL {
        server.publish_all("chat", &["1", "2", "3", "4"]);
        let mut listener = Listener::open(way, &server, "/chat?last=4");
        assert_eq!(listener.texts(2), ["1", "2"], "by {way:?}");
        listener.reconnect(other);
        assert_eq!(listener.texts(2), ["3", "4"], "then by {other:?}");
        server.publish("chat", "5");
        listener.reconnect(way);
        assert_eq!(listener.texts(1), ["5"], "and by {way:?} again");
    }
}

fn a_cursor_resumes_from_the_header_as_from_the_url(way: Way) {
    let server = Fixture::plain();
    for resume in [Resume::Header, Resume::Url] {
        server.publish_all("chat", &["a", "b", "c"]);
        let mut listener = Listener::open(way, &server, "/chat?last=3");
        assert_eq!(listener.texts(1), ["a"]);
        listener.reconnect_by(way, resume);
        assert_eq!(listener.texts(2), ["b", "c"], "{resume:?}");
    }
}

fn every_spelling_of_after_resumes(way: Way) {
    let server = Fixture::plain();
    let published = server.publish_all("chat", &["a", "b"]);
    for name in ["after", "last_event_id", "lastEventId"] {
        let target = format!("/chat?{name}={}", published[0]);
        let mut listener = Listener::open(way, &server, &target);
        assert_eq!(listener.texts(1), ["b"], "{name}");
    }
}

fn a_last_event_id_field_wins_over_the_url(way: Way) {
    let server = Fixture::plain();
    let published = server.publish_all("chat", &["a", "b", "c"]);
    let field = [("Last-Event-ID", published[1].as_str())];
    for target in [
        "/chat?after=earliest".to_owned(),
        format!("/chat?after={}", published[0]),
    ] {
        let mut listener = Listener::open_with(way, &server, &target, &field);
        assert_eq!(listener.texts(1), ["c"], "{target}");
    }
}

fn an_empty_last_event_id_field_means_none(way: Way) {
    let server = Fixture::plain();
    server.publish_all("chat", &["a", "b"]);
    let field = [("Last-Event-ID", "")];
    let mut listener = Listener::open_with(way, &server, "/chat?after=earliest", &field);
    assert_eq!(listener.texts(2), ["a", "b"]);
}

/// After a gap of any kind: what follows is exactly what a poll finds after the gap's cursor.
fn assert_goes_on_from_the_gap(server: &Fixture, listener: &mut Listener, selectors: &str) {
    let target = format!("{selectors}?after={}", listener.cursor());
    let kept = server.get(&target, &[]).json();
    assert!(
        kept["gap"].is_null(),
        "a gap's cursor is a good one: {kept}"
    );
    for expected in kept["events"].as_array().expect("a list") {
        assert_eq!(
            listener.next_event().id,
            expected["id"].as_str().expect("an id")
        );
    }
    let marker = server.publish("chat", "after the gap");
    assert_eq!(listener.next_event().id, marker);
}

fn assert_unknown_cursor_is_told(server: &Fixture, way: Way, cursor: &str) {
    let field = [("Last-Event-ID", cursor)];
    let mut by_field = Listener::open_with(way, server, "/chat", &field);
    let mut by_url = Listener::open(way, server, &format!("/chat?after={cursor}"));
    for listener in [&mut by_field, &mut by_url] {
        let gap = listener.next_gap();
        assert_eq!(gap.reason, "epoch");
        assert_eq!(gap.from.as_deref(), Some(cursor));
    }
    assert_goes_on_from_the_gap(server, &mut by_field, "/chat");
    by_url.hang_up();
}

fn a_life_nobody_knows_is_a_gap(way: Way) {
    let server = Fixture::plain();
    server.publish_all("chat", &["a", "b"]);
    assert_unknown_cursor_is_told(&server, way, "zzzzzzzzzz-1");
}

fn a_place_past_the_end_of_its_life_is_a_gap(way: Way) {
    let server = Fixture::plain();
    let id = server.publish("chat", "a");
    let (life, seq) = id.split_once('-').expect("an id");
    let beyond = seq.parse::<u64>().expect("a number") + 1000;
    assert_unknown_cursor_is_told(&server, way, &format!("{life}-{beyond}"));
}

fn a_malformed_cursor_in_a_field_is_a_gap(way: Way) {
    let server = Fixture::plain();
    server.publish("chat", "a");
    let long = "x".repeat(2000);
    for cursor in ["nonsense", "1-", "'; DROP TABLE events", long.as_str()] {
        let field = [("Last-Event-ID", cursor)];
        let mut listener = Listener::open_with(way, &server, "/chat", &field);
        let gap = listener.next_gap();
        assert_eq!(
            (gap.reason.as_str(), gap.from.clone()),
            ("unknown", None),
            "{cursor}"
        );
        assert_goes_on_from_the_gap(&server, &mut listener, "/chat");
    }
}

fn a_malformed_cursor_in_the_url_is_refused(way: Way) {
    let server = Fixture::plain();
    for parameter in [
        "after=nonsense",
        "last_event_id=-",
        "lastEventId=1-x",
        "after=0000000001-01",
    ] {
        let answer = server.ask(way, &format!("/chat?{parameter}"), &[]);
        assert_eq!(answer.status(), 400, "{parameter}");
        assert_eq!(answer.refusal(), "bad_cursor", "{parameter}");
    }
    for parameter in ["last=x", "last=-1", "since=yesterday", "since="] {
        let answer = server.ask(way, &format!("/chat?{parameter}"), &[]);
        assert_eq!(answer.status(), 400, "{parameter}");
    }
}

fn cursors_in_the_url_exclude_each_other(way: Way) {
    let server = Fixture::plain();
    for query in [
        "after=earliest&last=1",
        "last=1&since=1m",
        "after=now&last_event_id=earliest",
    ] {
        let answer = server.ask(way, &format!("/chat?{query}"), &[]);
        assert_eq!(answer.status(), 400, "{query}");
    }
}

fn what_retention_took_is_told(way: Way) {
    let server = Fixture::keeping(3);
    let published = server.publish_all("chat", &["1", "2", "3", "4", "5", "6", "7", "8"]);
    let target = format!("/chat?after={}", published[1]);
    let mut listener = Listener::open(way, &server, &target);
    let gap = listener.next_gap();
    assert_eq!(gap.reason, "retention");
    assert_eq!(gap.from.as_deref(), Some(published[1].as_str()));
    assert!(seq(&gap.cursor) >= seq(&published[4]), "{gap:?}");
    assert_eq!(listener.texts(3), ["6", "7", "8"]);
    server.publish("chat", "9");
    assert_eq!(listener.texts(1), ["9"]);
}

fn what_retention_took_from_other_channels_is_not_told(way: Way) {
    let server = Fixture::keeping(2);
    let cursor = server.publish("calm", "1");
    server.publish_all("busy", &["1", "2", "3", "4", "5"]);
    server.publish("calm", "2");
    let mut listener = Listener::open(way, &server, &format!("/calm?after={cursor}"));
    assert_eq!(listener.texts(1), ["2"]);
    let mut listener = Listener::open(way, &server, &format!("/*?after={cursor}"));
    assert_eq!(listener.next_gap().reason, "retention");
    assert_eq!(listener.texts(3), ["4", "5", "2"]);
}

fn what_delete_took_is_told_and_not_delivered(way: Way) {
    let server = Fixture::plain();
    let seen = server.publish("chat", "seen");
    server.publish_all("chat", &["gone", "gone too"]);
    server.publish("other", "kept");
    server.delete("chat");
    server.publish("chat", "new");
    let mut listener = Listener::open(way, &server, &format!("/chat,other?after={seen}"));
    let gap = listener.next_gap();
    assert_eq!(gap.reason, "deleted");
    assert_eq!(gap.from.as_deref(), Some(seen.as_str()));
    assert_eq!(listener.texts(2), ["kept", "new"]);
    let mut listener = Listener::open(way, &server, "/chat,other?after=earliest");
    assert_eq!(listener.texts(2), ["kept", "new"]);
}

fn a_delete_that_took_nothing_owed_is_not_told(way: Way) {
    let server = Fixture::plain();
    let mut listener = Listener::open(way, &server, "/chat?after=now");
    server.publish("chat", "seen");
    assert_eq!(listener.texts(1), ["seen"]);
    server.delete("chat");
    server.delete("nobody/spoke/here");
    server.publish("chat", "new");
    assert_eq!(listener.texts(1), ["new"]);
    listener.reconnect(way);
    server.publish("chat", "newer");
    assert_eq!(listener.texts(1), ["newer"]);
}

fn whoever_brings_no_cursor_is_told_no_gap(way: Way) {
    let server = Fixture::keeping(2);
    server.publish_all("chat", &["1", "2", "3", "4"]);
    for query in ["after=earliest", "last=10", "since=1h"] {
        let mut listener = Listener::open(way, &server, &format!("/chat?{query}"));
        assert_eq!(listener.texts(2), ["3", "4"], "{query}");
    }
    let mut listener = Listener::open(way, &server, "/chat?after=now");
    server.publish("chat", "5");
    assert_eq!(listener.texts(1), ["5"]);
}

fn several_channels_come_in_one_order(way: Way) {
    let server = Fixture::plain();
    let mut listener = Listener::open(way, &server, "/a,b/c,d?after=now");
    for (channel, text) in [
        ("a", "1"),
        ("b/c", "2"),
        ("x", "no"),
        ("d", "3"),
        ("b", "no"),
        ("a", "4"),
    ] {
        server.publish(channel, text);
    }
    let events = take(&mut listener, 4);
    let channels: Vec<&str> = events.iter().map(|event| event.channel.as_str()).collect();
    assert_eq!(channels, ["a", "b/c", "d", "a"]);
    assert!(events.windows(2).all(|pair| pair[0].seq() < pair[1].seq()));
}

fn publish_everywhere(server: &Fixture) {
    for channel in [
        "rooms",
        "rooms/1",
        "rooms/1/door",
        "rooms/2",
        "halls/1",
        "rooms/1/door/lock",
    ] {
        server.publish(channel, channel);
    }
    server.publish("marker", "marker");
}

/// The same live and replayed.
fn assert_matches(way: Way, selectors: &str, expected: &[&str]) {
    let server = Fixture::plain();
    let target = format!("/{selectors},marker");
    let mut live = Listener::open(way, &server, &format!("{target}?after=now"));
    publish_everywhere(&server);
    let mut replayed = Listener::open(way, &server, &format!("{target}?after=earliest"));
    for listener in [&mut live, &mut replayed] {
        assert_eq!(listener.texts(expected.len()), expected, "{selectors}");
        assert_eq!(listener.texts(1), ["marker"], "{selectors}");
    }
}

fn a_star_stands_for_one_segment(way: Way) {
    assert_matches(way, "rooms/*", &["rooms/1", "rooms/2"]);
    assert_matches(way, "*/1", &["rooms/1", "halls/1"]);
    assert_matches(way, "rooms/*/door", &["rooms/1/door"]);
}

fn two_stars_stand_for_one_segment_or_more(way: Way) {
    let below = ["rooms/1", "rooms/1/door", "rooms/2", "rooms/1/door/lock"];
    assert_matches(way, "rooms/**", &below);
    assert_matches(way, "*/1/**", &["rooms/1/door", "rooms/1/door/lock"]);
    let all = [
        "rooms",
        "rooms/1",
        "rooms/1/door",
        "rooms/2",
        "halls/1",
        "rooms/1/door/lock",
    ];
    assert_matches(way, "**", &all);
}

fn an_event_that_two_selectors_match_arrives_once(way: Way) {
    assert_matches(way, "rooms/*,rooms/1,rooms/1,*/2", &["rooms/1", "rooms/2"]);
}

fn subscribing_creates_nothing(way: Way) {
    let server = Fixture::start(|config| config.limits.channels = 1);
    let mut listener = Listener::open(way, &server, "/a,b,c?after=now");
    server.publish("b", "the only channel");
    assert_eq!(listener.texts(1), ["the only channel"]);
    let refused = server.post("/c", &[], "one too many");
    assert_eq!(refused.status(), 507);
    assert_eq!(refused.refusal(), "too_many_channels");
    server.publish("b", "still there");
    assert!(matches!(listener.next(), Told::Event(event) if event.text() == "still there"));
}
