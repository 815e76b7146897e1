//! Who may do what: one list of cases × the ways, what is particular to publishing, and what becomes of those
//! who are connected when something else counts.

use std::sync::{Arc, Mutex};

use fourcast::config::Config;
use serde_json::{Value, json};

use crate::support::http::Response;
use crate::support::listener::Told;
use crate::support::websocket::WebSocket;
use crate::support::{Fixture, Listener, Way};
use crate::ways::on_every_way;

mod changing;
mod cookies;
mod publishing;
pub(crate) mod tokens;

/// Keys with their hashes, as `printf %s KEY | sha256sum` has them.
pub(crate) const BACKEND: &str = "fck_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const BACKEND_HASH: &str = "9a62a21e942231b480dfe6602614ad68c90f166be472cefa1723d4ffbc87e802";
pub(crate) const DEVICE: &str = "fck_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";
const DEVICE_HASH: &str = "590b945b048927d9ac93f9b7e643572e30763fb2c92848fca224c625cbe3e2c0";

/// The backend may do everything, the device reads rooms and publishes to its own, and everyone reads what is public.
pub(crate) fn rules() -> String {
    format!(
        "[access]\nmode = \"closed\"\n[access.anonymous]\nsubscribe = [\"public/**\"]\n\
         [[access.keys]]\nname = \"backend\"\nhash = \"sha256:{BACKEND_HASH}\"\n\
         subscribe = [\"**\"]\npublish = [\"**\"]\ndelete = [\"**\"]\n\
         [[access.keys]]\nname = \"device\"\nhash = \"sha256:{DEVICE_HASH}\"\n\
         subscribe = [\"rooms/*\"]\npublish = [\"rooms/42\"]\n"
    )
}

pub(crate) fn access(config: &mut Config, text: &str) {
    config.access = Config::from_toml(text).expect("a configuration").access;
}

fn guarded() -> Fixture {
    Fixture::start(|config| access(config, &rules()))
}

pub(crate) fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

/// Publishes as the backend.
pub(crate) fn publish(server: &Fixture, channel: &str, text: &str) -> String {
    let field = bearer(BACKEND);
    server.publish_as(&format!("/{channel}"), &[("Authorization", &field)], text)
}

/// Asks by `way` with this key and reads a refusal.
fn refused(server: &Fixture, way: Way, target: &str, key: Option<&str>) -> Response {
    let field = key.map(bearer);
    let fields: Vec<_> = field
        .iter()
        .map(|field| ("Authorization", field.as_str()))
        .collect();
    server.ask(way, target, &fields)
}

on_every_way! {
    whoever_shows_nothing_reads_what_everyone_may;
    whoever_shows_nothing_is_asked_for_a_key;
    a_key_reads_what_it_may_and_what_everyone_may;
    a_key_does_not_read_more;
    every_selector_of_a_list_must_be_allowed;
    a_key_is_shown_in_the_url_too;
    what_is_not_valid_is_refused_even_where_everyone_may;
    several_different_keys_are_refused;
    a_refusal_does_not_tell_whether_a_channel_is_there;
    a_page_may_read_its_refusal;
    an_open_server_asks_nobody;
}

fn whoever_shows_nothing_reads_what_everyone_may(way: Way) {
    let server = guarded();
    let mut listener = Listener::open(way, &server, "/public/news?after=now");
    publish(&server, "public/news", "for all");
    publish(&server, "rooms/42", "for some");
    publish(&server, "public/news", "more");
    assert_eq!(listener.texts(2), ["for all", "more"]);
}

fn whoever_shows_nothing_is_asked_for_a_key(way: Way) {
    let server = guarded();
    for target in ["/rooms/42", "/rooms/*", "/**", "/public"] {
        let answer = refused(&server, way, target, None);
        assert_eq!(
            (answer.status(), answer.refusal()),
            (401, "unauthorized".to_owned())
        );
        let challenge = answer.head.must("WWW-Authenticate");
        assert!(challenge.starts_with("Bearer "), "{challenge}");
    }
}

fn a_key_reads_what_it_may_and_what_everyone_may(way: Way) {
    let server = guarded();
    let field = bearer(DEVICE);
    let target = "/rooms/*,public/news?after=now";
    let fields = [("Authorization", field.as_str())];
    // Who polls shows it each time; here the URL keeps it.
    let mut listener = match way.is_stream() {
        true => Listener::open_with(way, &server, target, &fields),
        false => Listener::open(way, &server, &format!("{target}&access_token={DEVICE}")),
    };
    publish(&server, "rooms/7", "a");
    publish(&server, "rooms/7/log", "not this");
    publish(&server, "public/news", "b");
    assert_eq!(listener.texts(2), ["a", "b"]);
}

fn a_key_does_not_read_more(way: Way) {
    let server = guarded();
    for target in [
        "/rooms/**",
        "/rooms/7/log",
        "/*/7",
        "/**",
        "/alerts",
        "/rooms",
    ] {
        let answer = refused(&server, way, target, Some(DEVICE));
        assert_eq!(
            (answer.status(), answer.refusal()),
            (403, "forbidden".to_owned()),
            "{target}"
        );
        assert_eq!(answer.head.field("WWW-Authenticate"), None);
    }
}

fn every_selector_of_a_list_must_be_allowed(way: Way) {
    let server = guarded();
    let answer = refused(&server, way, "/rooms/1,alerts,rooms/2", Some(DEVICE));
    assert_eq!(answer.refusal(), "forbidden");
    assert!(answer.text().contains("'alerts'"), "{}", answer.text());
    let answer = refused(&server, way, "/public/a,rooms/1", None);
    assert_eq!(answer.refusal(), "unauthorized");
}

fn a_key_is_shown_in_the_url_too(way: Way) {
    let server = guarded();
    let target = format!("/rooms/1?after=now&access_token={DEVICE}");
    let mut listener = Listener::open(way, &server, &target);
    publish(&server, "rooms/1", "a");
    assert_eq!(listener.texts(1), ["a"]);
}

fn what_is_not_valid_is_refused_even_where_everyone_may(way: Way) {
    let server = guarded();
    let unknown = BACKEND.replace('A', "C");
    for shown in [unknown.as_str(), "a.b.c", "nonsense"] {
        let answer = refused(&server, way, "/public/news", Some(shown));
        assert_eq!(
            (answer.status(), answer.refusal()),
            (401, "bad_token".to_owned())
        );
        let challenge = answer.head.must("WWW-Authenticate");
        assert_eq!(challenge, "Bearer error=\"invalid_token\"");
        let echoed = answer.head.raw.contains(shown) || answer.text().contains(shown);
        assert!(!echoed, "{}", answer.text());
    }
}

fn several_different_keys_are_refused(way: Way) {
    let server = guarded();
    let target = format!("/public/news?access_token={DEVICE}");
    let answer = refused(&server, way, &target, Some(BACKEND));
    assert_eq!(
        (answer.status(), answer.refusal()),
        (400, "bad_parameter".to_owned())
    );
    assert!(!answer.text().contains("fck_"), "{}", answer.text());
}

fn a_refusal_does_not_tell_whether_a_channel_is_there(way: Way) {
    let server = guarded();
    publish(&server, "secret/1", "a");
    for key in [None, Some(DEVICE)] {
        for query in ["", "?after=earliest", "?limit=x", "?last=1"] {
            let [there, not] = ["1", "2"].map(|name| {
                let answer = refused(&server, way, &format!("/secret/{name}{query}"), key);
                let text = answer.text().replace(&format!("secret/{name}"), "secret/_");
                (answer.status(), text)
            });
            assert_eq!(there, not, "{query}");
        }
    }
}

fn a_page_may_read_its_refusal(way: Way) {
    let server = guarded();
    let origin = "http://localhost:3000";
    let answer = server.ask(way, "/rooms/1", &[("Origin", origin)]);
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.head.must("Access-Control-Allow-Origin"), origin);
}

fn an_open_server_asks_nobody(way: Way) {
    let server = Fixture::start(|config| {
        access(config, &rules().replace("closed", "open"));
    });
    for query in [
        "",
        "&access_token=for-the-proxy-in-front",
        "&access_token=a.b.c",
    ] {
        let target = format!("/rooms/**?after=now{query}");
        let mut listener = Listener::open(way, &server, &target);
        server.publish("rooms/1/log", "a");
        assert_eq!(listener.texts(1), ["a"], "{query}");
    }
}

/// What comes of a WebSocket on `/-/socket` with this key.
fn socket(server: &Fixture, key: &str) -> WebSocket {
    let target = format!("/-/socket?access_token={key}");
    let mut socket = WebSocket::open(server.address, &target);
    socket.next_op("welcome");
    socket
}

/// The answer to an operation, which must be an error.
fn error(socket: &mut WebSocket, operation: Value) -> String {
    socket.operate(operation);
    let error = socket.next_op("error");
    error["code"].as_str().expect("a code").to_owned()
}

#[test]
fn a_socket_without_channels_is_for_whoever_may_come_in_at_all() {
    let server = guarded();
    let mut anonymous = WebSocket::open(server.address, "/-/socket");
    anonymous.next_op("welcome");
    let subscribe = |channel: &str| json!({"op": "subscribe", "channels": [channel]});
    assert_eq!(error(&mut anonymous, subscribe("rooms/1")), "unauthorized");
    anonymous.operate(subscribe("public/*"));
    anonymous.next_op("ack");
    let closed = Fixture::start(|config| {
        access(
            config,
            &rules().replace("subscribe = [\"public/**\"]\n", ""),
        );
    });
    let answer = closed.ask(Way::WebSocket, "/-/socket", &[]);
    assert_eq!(
        (answer.status(), answer.refusal()),
        (401, "unauthorized".to_owned())
    );
    socket(&closed, DEVICE);
}

#[test]
fn an_operation_is_allowed_as_a_request_is() {
    let server = guarded();
    let mut device = socket(&server, DEVICE);
    for channels in [json!(["rooms/**"]), json!(["rooms/1", "alerts"])] {
        let operation = json!({"op": "subscribe", "channels": channels, "after": "earliest"});
        assert_eq!(error(&mut device, operation), "forbidden");
    }
    device.operate(json!({"op": "subscribe", "channels": ["rooms/*"], "ref": 1}));
    device.next_op("ack");
    let publish = |channel: &str| json!({"op": "publish", "channel": channel, "data": "x"});
    assert_eq!(error(&mut device, publish("rooms/7")), "forbidden");
    device.operate(publish("rooms/42"));
    assert_eq!(device.next_json()["channel"], "rooms/42");
    device.next_op("ack");
}

#[test]
fn a_raw_socket_that_may_only_read_is_closed_when_it_publishes() {
    let server = guarded();
    for (channel, code) in [("rooms/42", None), ("rooms/7", Some(4403))] {
        let target = format!("/{channel}?format=raw&access_token={DEVICE}");
        let mut raw = WebSocket::open(server.address, &target);
        raw.send(&crate::support::websocket::Frame::text("hi"));
        match code {
            None => assert_eq!(raw.next_text(), "hi"),
            Some(code) => assert_eq!(raw.close_code(), Some(code)),
        }
    }
}

#[test]
fn what_browsers_load_and_whether_it_is_well_is_for_everyone() {
    let server = guarded();
    let field = bearer("nonsense");
    for path in ["/-/client.js", "/-/healthy", "/-/ready", "/"] {
        for fields in [&[][..], &[("Authorization", field.as_str())]] {
            assert_eq!(server.get(path, fields).status(), 200, "{path}");
        }
    }
    let preflight = [
        ("Origin", "http://localhost:3000"),
        ("Access-Control-Request-Method", "POST"),
    ];
    let answer = server.send("OPTIONS", "/rooms/1", &preflight, b"");
    assert_eq!(answer.status(), 204);
}

#[test]
fn the_operator_sees_who_is_connected() {
    let server = Fixture::start(|config| {
        access(config, &rules());
        config.admin.listen = Some(([127, 0, 0, 1], 0).into());
    });
    let _public = Listener::open(Way::Sse, &server, "/public/news");
    let target = format!("/rooms/1?access_token={DEVICE}");
    let _streams: Vec<_> = [Way::Sse, Way::Ndjson, Way::WebSocket]
        .map(|way| Listener::open(way, &server, &target))
        .into();
    let answer = crate::support::http::exchange(server.admin(), "GET", "/-/connections", &[], b"");
    assert!(!answer.text().contains("fck_"), "{}", answer.text());
    let seen = answer.json();
    let seen = seen["connections"].as_array().expect("a list");
    let keys: Vec<_> = seen.iter().map(|one| one["key"].clone()).collect();
    let device = json!("device");
    assert_eq!(keys, [Value::Null, device.clone(), device.clone(), device]);
}
