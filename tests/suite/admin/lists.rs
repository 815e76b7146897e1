//! What is kept, and who is connected: told page by page, filtered, in the promised form.

use serde_json::{Value, json};

use super::{connections, eventually, get, server};
use crate::support::event::members;
use crate::support::{Fixture, Listener, Way};

fn channels(server: &Fixture, query: &str) -> Value {
    let answer = get(server, &format!("/-/channels?{query}"));
    assert_eq!(answer.status(), 200, "{:?}", answer.text());
    assert_eq!(answer.head.must("Content-Type"), "application/json");
    assert!(answer.text().ends_with("}\n"));
    answer.json()
}

fn names(page: &Value) -> Vec<&str> {
    let channels = page["channels"].as_array().expect("a list").iter();
    channels
        .map(|channel| channel["channel"].as_str().expect("a name"))
        .collect()
}

fn keys(object: &str) -> Vec<String> {
    members(object).into_iter().map(|(key, _)| key).collect()
}

#[test]
fn channels_are_given_in_the_order_of_their_names_page_by_page() {
    let server = server(|_| {});
    for name in ["rooms/3", "alerts", "rooms/1", "rooms/1/log", "rooms/2"] {
        server.publish(name, "x");
    }
    let first = channels(&server, "match=rooms/*&limit=2");
    assert_eq!(
        (names(&first), &first["more"]),
        (vec!["rooms/1", "rooms/2"], &json!(true))
    );
    let rest = channels(&server, "match=rooms/*&limit=2&after=rooms/2");
    assert_eq!(
        (names(&rest), &rest["more"]),
        (vec!["rooms/3"], &json!(false))
    );
    let all = ["alerts", "rooms/1", "rooms/1/log", "rooms/2", "rooms/3"];
    assert_eq!(names(&channels(&server, "")), all);
    assert_eq!(names(&channels(&server, "match=nothing")), [""; 0]);
    for query in ["match=a*b", "limit=0", "after=/"] {
        let answer = get(&server, &format!("/-/channels?{query}"));
        assert_eq!(answer.refusal(), "bad_parameter", "{query}");
    }
}

#[test]
fn a_channel_is_told_with_what_it_keeps_and_who_listens() {
    let server = server(|_| {});
    let last = server.publish_all("rooms/1", &["one", "two"]).pop();
    let _streams = [
        Listener::open(Way::Sse, &server, "/rooms/1"),
        Listener::open(Way::Sse, &server, "/rooms/1,rooms/*"),
        Listener::open(Way::Ndjson, &server, "/**"),
        Listener::open(Way::WebSocket, &server, "/rooms/2"),
    ];
    let _waits = Listener::open(
        Way::LongPoll,
        &server,
        &format!("/rooms/1?after={}&wait=60", last.as_ref().expect("an id")),
    );
    let listeners = json!({"sse": 2, "ndjson": 1, "websocket": 0, "long-poll": 1});
    eventually("all are seen", || {
        channels(&server, "")["channels"][0]["subscribers"] == listeners
    });
    let page = channels(&server, "");
    let channel = &page["channels"][0];
    assert_eq!(
        (&channel["channel"], &channel["events"]),
        (&json!("rooms/1"), &json!(2))
    );
    assert_eq!(channel["last"].as_str(), last.as_deref());
    assert!(channel["bytes"].as_u64() > Some(6), "{channel}");
    assert!(channel["rate"].as_f64() > Some(0.0), "{channel}");

    let answer = get(&server, "/-/channels");
    let told = members(answer.text());
    assert_eq!(keys(answer.text()), ["channels", "more"]);
    let channel = told[0].1.trim_start_matches('[').trim_end_matches(']');
    assert_eq!(
        keys(channel),
        ["channel", "events", "bytes", "last", "subscribers", "rate"]
    );
}

#[test]
fn connections_are_filtered_and_given_page_by_page() {
    let server = server(|_| {});
    let _streams = [
        (Way::Sse, "/rooms/1"),
        (Way::WebSocket, "/rooms/*"),
        (Way::Sse, "/alerts"),
        (Way::Sse, "/rooms/2,alerts"),
    ]
    .map(|(way, target)| Listener::open(way, &server, target));
    eventually("all are seen", || {
        let seen = connections(&server, "");
        seen.iter()
            .filter(|one| one["channels"] != json!([]))
            .count()
            == 4
    });
    let hears = |query: &str| -> Vec<Value> {
        connections(&server, query)
            .iter()
            .map(|one| one["channels"].clone())
            .collect()
    };
    assert_eq!(
        hears("channel=rooms/1"),
        [json!(["rooms/1"]), json!(["rooms/*"])]
    );
    assert_eq!(hears("way=websocket"), [json!(["rooms/*"])]);
    assert_eq!(
        hears("way=sse&channel=alerts"),
        [json!(["alerts"]), json!(["rooms/2", "alerts"])]
    );

    let first = get(&server, "/-/connections?way=sse&limit=2").json();
    assert_eq!(
        (
            &first["more"],
            first["connections"].as_array().map(Vec::len)
        ),
        (&json!(true), Some(2))
    );
    let rest = get(
        &server,
        &format!("/-/connections?way=sse&limit=2&after={}", first["next"]),
    )
    .json();
    assert_eq!(
        (&rest["more"], rest["connections"].as_array().map(Vec::len)),
        (&json!(false), Some(1))
    );
    assert_eq!(
        rest["connections"][0]["channels"],
        json!(["rooms/2", "alerts"])
    );
    for query in ["way=poll", "channel=a*b", "after=x", "limit=-1"] {
        let answer = get(&server, &format!("/-/connections?{query}"));
        assert_eq!(answer.refusal(), "bad_parameter", "{query}");
    }
}

#[test]
fn a_connection_is_told_with_where_it_is_and_what_went_over_it() {
    let server = server(|_| {});
    let mut stream = Listener::open(Way::Ndjson, &server, "/chat");
    let id = server.publish("chat", "hello");
    stream.next_event();
    let [seen] = &connections(&server, "way=ndjson")[..] else {
        panic!("there is one");
    };
    assert_eq!(
        (&seen["cursor"], &seen["subject"]),
        (&json!(id), &Value::Null)
    );
    assert_eq!(
        (&seen["behind"], &seen["events_behind"]),
        (&json!(false), &json!(0))
    );
    assert!(
        seen["address"]
            .as_str()
            .is_some_and(|peer| peer.starts_with("127.0.0.1:"))
    );
    assert!(seen["since"].as_u64() > Some(1_700_000_000_000), "{seen}");
    let answer = get(&server, "/-/connections?way=ndjson");
    assert_eq!(keys(answer.text()), ["connections", "more", "next"]);
}
