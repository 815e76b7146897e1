//! What becomes of those who are connected when something else counts: at a reload, and with a fresh key.

use super::*;

/// A server whose rules can be replaced while it runs.
struct Changing {
    server: Fixture,
    rules: Arc<Mutex<String>>,
}

impl Changing {
    fn start() -> Self {
        Self::with(rules())
    }

    fn with(rules: String) -> Self {
        let server = Fixture::start(|config| {
            access(config, &rules);
            config.admin.listen = Some(([127, 0, 0, 1], 0).into());
        });
        let rules = Arc::new(Mutex::new(rules));
        let source = rules.clone();
        server.reread_from(move || {
            let mut config = Config::default();
            access(&mut config, &source.lock().unwrap());
            Ok(config)
        });
        Changing { server, rules }
    }

    /// Has other rules count; they do on return.
    fn change(&self, change: impl FnOnce(String) -> String) {
        let mut rules = self.rules.lock().unwrap();
        *rules = change(std::mem::take(&mut rules));
        drop(rules);
        let answer =
            crate::support::http::exchange(self.server.admin(), "POST", "/-/reload", &[], b"");
        assert_eq!(answer.status(), 200, "{}", answer.text());
    }
}

fn without_device(rules: String) -> String {
    rules.replace(DEVICE_HASH, &DEVICE_HASH.chars().rev().collect::<String>())
}

fn bye_code(told: &[Told]) -> Option<u64> {
    told.iter().find_map(|told| match told {
        Told::Bye(bye) => bye["code"].as_u64(),
        _ => None,
    })
}

fn a_stream_ends_when_its_key_is_gone(way: Way) {
    let changing = Changing::start();
    let server = &changing.server;
    let target = format!("/rooms/*?access_token={DEVICE}");
    let mut device = Listener::open(way, server, &target);
    let mut public = Listener::open(way, server, "/public/news");
    changing.change(without_device);
    publish(server, "rooms/1", "not for it");
    let rest = device.rest();
    assert_eq!(bye_code(&rest), Some(4403), "{rest:?}");
    assert!(
        !rest.iter().any(|told| matches!(told, Told::Event(_))),
        "{rest:?}"
    );
    publish(server, "public/news", "still here");
    assert_eq!(public.texts(1), ["still here"]);
    assert_eq!(server.ask(way, &target, &[]).refusal(), "bad_token");
}

#[test]
fn an_sse_stream_ends_when_its_key_is_gone() {
    a_stream_ends_when_its_key_is_gone(Way::Sse);
}

#[test]
fn an_ndjson_stream_ends_when_its_key_is_gone() {
    a_stream_ends_when_its_key_is_gone(Way::Ndjson);
}

#[test]
fn a_websocket_ends_when_its_key_is_gone() {
    a_stream_ends_when_its_key_is_gone(Way::WebSocket);
}

#[test]
fn a_long_poll_ends_when_its_key_is_gone() {
    let changing = Changing::start();
    let mut wire = changing.server.connect();
    let target = format!("/rooms/1?after=now&wait=30&access_token={DEVICE}");
    wire.send(crate::support::http::request("GET", &target, &[], b""));
    wait_until_it_waits(&changing.server);
    changing.change(without_device);
    let answer = Response::read(&mut wire, "GET");
    assert_eq!(
        (answer.status(), answer.refusal()),
        (401, "bad_token".to_owned())
    );
}

/// Waits until a long poll is there.
fn wait_until_it_waits(server: &Fixture) {
    let end = crate::support::wire::deadline();
    loop {
        let target = "/-/connections?way=long-poll";
        let seen = crate::support::http::exchange(server.admin(), "GET", target, &[], b"").json();
        if seen["connections"]
            .as_array()
            .is_some_and(|list| !list.is_empty())
        {
            return;
        }
        assert!(std::time::Instant::now() < end, "no long poll waits");
        std::thread::yield_now();
    }
}

#[test]
fn a_stream_ends_when_it_may_not_read_all_that_it_reads_any_more() {
    for way in [Way::Sse, Way::Ndjson] {
        let changing = Changing::start();
        let target = format!("/rooms/1,rooms/2?access_token={DEVICE}");
        let mut device = Listener::open(way, &changing.server, &target);
        changing.change(|rules| rules.replace("\"rooms/*\"", "\"rooms/1\""));
        assert_eq!(bye_code(&device.rest()), Some(4403));
    }
}

#[test]
fn a_websocket_goes_on_with_what_it_may_still_read() {
    let changing = Changing::start();
    let server = &changing.server;
    let target = format!("/rooms/1,rooms/2,public/news?access_token={DEVICE}");
    let mut device = WebSocket::open(server.address, &target);
    device.next_op("welcome");
    changing.change(|rules| rules.replace("\"rooms/*\"", "\"rooms/1\""));
    let told = device.next_op("error");
    assert_eq!(
        (&told["code"], &told["channel"]),
        (&json!("forbidden"), &json!("rooms/2"))
    );
    publish(server, "rooms/2", "not for it");
    publish(server, "rooms/1", "a");
    publish(server, "public/news", "b");
    assert_eq!(device.next_json()["data"], "a");
    assert_eq!(device.next_json()["data"], "b");
    assert_eq!(
        error(
            &mut device,
            json!({"op": "subscribe", "channels": ["rooms/2"]})
        ),
        "forbidden"
    );
}

#[test]
fn what_may_not_be_read_any_more_does_not_wait_for_answers_that_nobody_reads() {
    const EVENTS: usize = 64;
    let changing = Changing::start();
    let server = &changing.server;
    for _ in 0..EVENTS {
        // More in all than sockets take.
        publish(server, "rooms/2", &"x".repeat(1 << 19));
    }
    let target = format!("/rooms/2?after=earliest&access_token={DEVICE}");
    let mut device = WebSocket::open(server.address, &target);
    // Its answer comes behind all of these.
    device.operate(json!({"op": "publish", "channel": "rooms/42", "data": 1}));
    let of_backend = [("Authorization", &*bearer(BACKEND))];
    let end = crate::support::wire::deadline();
    while server.get("/rooms/42", &of_backend).json()["events"] == json!([]) {
        assert!(std::time::Instant::now() < end, "it is not published");
        std::thread::yield_now();
    }
    changing.change(|rules| rules.replace("\"rooms/*\"", "\"rooms/1\""));
    device.next_op("welcome");
    let told: Vec<_> = std::iter::repeat_with(|| device.next_json())
        .take_while(|message| message["op"] != "ack")
        .collect();
    let events = told.iter().filter(|message| message["id"].is_string());
    assert!(events.count() < EVENTS, "all were delivered");
    let last = told.last().expect("a word");
    assert_eq!(
        (&last["op"], &last["channel"]),
        (&json!("error"), &json!("rooms/2"))
    );
}

#[test]
fn whoever_gains_rights_has_them_at_once() {
    let changing = Changing::start();
    let mut device = socket(&changing.server, DEVICE);
    let subscribe = json!({"op": "subscribe", "channels": ["alerts"]});
    assert_eq!(error(&mut device, subscribe.clone()), "forbidden");
    changing.change(|rules| rules.replace("\"rooms/*\"", "\"**\""));
    device.operate(subscribe);
    device.next_op("ack");
}

#[test]
fn whoever_shows_nothing_is_let_go_when_that_is_not_enough_any_more() {
    let changing = Changing::start();
    let mut public = Listener::open(Way::WebSocket, &changing.server, "/public/news");
    changing.change(|rules| rules.replace("[\"public/**\"]", "[]"));
    assert_eq!(bye_code(&public.rest()), Some(4403));
}

#[test]
fn nobody_may_do_more_since_the_last_key_was_taken_back() {
    let key = rules();
    let key = &key[key.find("[[").expect("a key")..];
    let mode = "[access]\nmode = \"auto\"\n";
    for (before, after) in [
        (format!("{mode}{key}"), mode),
        (format!("{mode}{key}"), ""),
        (key.to_owned(), ""),
        (key.to_owned(), "[access.anonymous]\npublish = []\n"),
    ] {
        let changing = Changing::with(before);
        let server = &changing.server;
        publish(server, "rooms/1", "a");
        changing.change(|_| after.to_owned());
        for (shown, code) in [(None, "unauthorized"), (Some(BACKEND), "bad_token")] {
            let answer = refused(server, Way::Poll, "/rooms/1", shown);
            assert_eq!(answer.refusal(), code, "{after}");
        }
        assert_eq!(server.post("/rooms/1", &[], "b").status(), 401);
    }
}

#[test]
fn a_change_of_something_else_disturbs_nobody() {
    let changing = Changing::start();
    let target = format!("/rooms/*?access_token={DEVICE}");
    let mut device = Listener::open(Way::WebSocket, &changing.server, &target);
    changing.change(|rules| rules + "[timeouts]\nretry = \"9s\"\n");
    changing.change(|rules| rules.replace("\"device\"", "\"renamed\""));
    publish(&changing.server, "rooms/1", "a");
    assert_eq!(device.texts(1), ["a"]);
}

#[test]
fn an_open_socket_takes_a_fresh_key_of_its_own_holder_alone() {
    let server = guarded();
    let mut device = socket(&server, DEVICE);
    device.operate(json!({"op": "auth", "token": DEVICE, "ref": 1}));
    assert_eq!(device.next_op("ack"), json!({"op": "ack", "ref": 1}));
    for (operation, code) in [
        (json!({"op": "auth", "token": BACKEND}), "forbidden"),
        (
            json!({"op": "auth", "token": BACKEND.replace('A', "C")}),
            "bad_token",
        ),
        (json!({"op": "auth", "token": "a.b.c"}), "bad_token"),
        (json!({"op": "auth", "token": ""}), "bad_token"),
        (json!({"op": "auth"}), "bad_parameter"),
    ] {
        device.operate(operation.clone());
        let error = device.next_op("error");
        assert_eq!(error["code"], code, "{operation}");
        assert!(!error.to_string().contains("fck_"), "{error}");
    }
    device.operate(json!({"op": "publish", "channel": "rooms/42", "data": 1}));
    device.next_op("ack");
}

/// Asks as the device, but for the one byte of its body; the server has let it in on return.
fn begin(server: &Fixture, method: &str, target: &str) -> crate::support::Wire {
    let target = format!("{target}access_token={DEVICE}");
    let body = [("Expect", "100-continue"), ("Content-Length", "1")];
    let mut wire = server.connect();
    wire.send(crate::support::http::request(method, &target, &body, b""));
    let interim = crate::support::http::Head::read(&mut wire, crate::support::wire::deadline());
    assert_eq!(interim.expect("a head").status, 100);
    wire
}

const WITH_A_BODY: [(&str, &str); 4] = [
    ("POST", "/rooms/42?"),
    ("DELETE", "/rooms/42?"),
    ("GET", "/rooms/42?"),
    ("GET", "/rooms/42?after=now&wait=60&"),
];

#[test]
fn a_key_that_goes_while_a_body_comes_does_nothing_any_more() {
    for (method, target) in WITH_A_BODY {
        let changing = Changing::with(rules() + "delete = [\"rooms/42\"]\n");
        let kept = publish(&changing.server, "rooms/42", "kept");
        let mut wire = begin(&changing.server, method, target);
        changing.change(without_device);
        wire.send("x");
        let answer = Response::read(&mut wire, method);
        assert_eq!(
            (answer.status(), answer.refusal()),
            (401, "bad_token".to_owned()),
            "{method} {target}"
        );
        let challenge = answer.head.must("WWW-Authenticate");
        assert_eq!(challenge, "Bearer error=\"invalid_token\"");
        let target = format!("/rooms/42?access_token={BACKEND}");
        let events = changing.server.get(&target, &[]).json()["events"].clone();
        assert_eq!((&events[0]["id"], &events[1]), (&json!(kept), &Value::Null));
    }
}

#[test]
fn a_right_that_goes_while_a_body_comes_is_gone() {
    for (method, target) in WITH_A_BODY {
        let changing = Changing::with(rules() + "delete = [\"rooms/42\"]\n");
        let mut wire = begin(&changing.server, method, target);
        changing.change(|rules| {
            let (others, device) = rules.split_once("name = \"device\"").expect("a device");
            let device = device.replace("rooms/", "other/");
            format!("{others}name = \"device\"{device}")
        });
        wire.send("x");
        let answer = Response::read(&mut wire, method);
        assert_eq!(answer.refusal(), "forbidden", "{method} {target}");
    }
}
