//! Publishing and deleting: who may, and that nothing is done where one part of it is refused.

use super::*;

fn send(server: &Fixture, method: &str, target: &str, key: Option<&str>) -> Response {
    let field = key.map(bearer);
    let fields: Vec<_> = field
        .iter()
        .map(|field| ("Authorization", field.as_str()))
        .collect();
    server.send(method, target, &fields, b"x")
}

fn kept(server: &Fixture) -> usize {
    let answer = server.get(&format!("/**?access_token={BACKEND}"), &[]);
    answer.json()["events"].as_array().map_or(0, Vec::len)
}

#[test]
fn whoever_may_not_publish_or_delete_changes_nothing() {
    let server = guarded();
    publish(&server, "rooms/42", "kept");
    for (method, target, key, status) in [
        ("POST", "/rooms/42", None, 401),
        ("PUT", "/public/news", None, 401),
        ("DELETE", "/rooms/42", None, 401),
        ("POST", "/rooms/7", Some(DEVICE), 403),
        ("POST", "/rooms/42/log", Some(DEVICE), 403),
        ("DELETE", "/rooms/42", Some(DEVICE), 403),
        ("DELETE", "/rooms/none", Some(DEVICE), 403),
        ("POST", "/rooms/42", Some("a.b.c"), 401),
    ] {
        let answer = send(&server, method, target, key);
        assert_eq!(
            answer.status(),
            status,
            "{method} {target} {}",
            answer.text()
        );
    }
    assert_eq!(kept(&server), 1);
    assert_eq!(
        send(&server, "POST", "/rooms/42", Some(DEVICE)).status(),
        201
    );
    assert_eq!(
        send(&server, "DELETE", "/rooms/42", Some(BACKEND)).status(),
        204
    );
}

#[test]
fn a_batch_is_published_where_every_line_may_be() {
    let server = guarded();
    let field = bearer(DEVICE);
    let fields = [
        ("Authorization", field.as_str()),
        ("Content-Type", "application/x-ndjson"),
    ];
    let line = |channel: &str| format!("{{\"channel\":\"{channel}\",\"data\":1}}\n");
    let mixed = [
        line("rooms/42"),
        "\n".into(),
        line("rooms/7"),
        line("rooms/42"),
    ]
    .concat();
    let answer = server.post("/-/publish", &fields, &mixed);
    assert_eq!(
        (answer.status(), answer.refusal()),
        (403, "forbidden".to_owned())
    );
    let told = answer.json()["detail"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(
        told.starts_with("line 3: ") && told.contains("'rooms/7'"),
        "{told}"
    );
    assert_eq!(kept(&server), 0, "all or nothing");
    assert_eq!(
        server.post("/rooms/7", &fields, "{\"data\":1}\n").status(),
        403
    );
    assert_eq!(
        server.post("/rooms/42", &fields, "{\"data\":1}\n").status(),
        201
    );
    assert_eq!(
        server
            .post("/-/publish", &fields, line("rooms/42"))
            .status(),
        201
    );
}

#[test]
fn a_stranger_uploads_no_batch() {
    let server = guarded();
    let mut wire = server.connect();
    // The body never comes: the refusal does not wait for it.
    wire.send(
        "POST /-/publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n\
         Content-Length: 1000000\r\n\r\n",
    );
    assert_eq!(Response::read(&mut wire, "POST").refusal(), "unauthorized");
}

#[test]
fn an_idempotency_key_is_of_its_holder() {
    let server = Fixture::start(|config| {
        access(
            config,
            &(rules() + "delete = [\"rooms/42\"]\n").replace("public/**", "rooms/42"),
        );
    });
    let post = |key: &str| {
        let field = bearer(key);
        let fields = [("Authorization", field.as_str()), ("Idempotency-Key", "k1")];
        server.publish_as("/rooms/42", &fields, "same")
    };
    let [first, again, other] = [DEVICE, DEVICE, BACKEND].map(post);
    assert_eq!(first, again);
    assert_ne!(first, other, "somebody else's key is another one");
    let mut socket = WebSocket::open(server.address, &format!("/-/socket?access_token={DEVICE}"));
    socket.next_op("welcome");
    socket.operate(json!({"op": "publish", "channel": "rooms/42", "data": "same", "key": "k1"}));
    assert_eq!(socket.next_op("ack")["id"], first.as_str(), "on every way");
}
