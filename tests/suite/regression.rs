//! One test for each fault that was found and mended, named after what a user saw. Whoever mends a
//! fault adds the test that failed before.

use serde_json::json;

use crate::support::{Fixture, WebSocket};

#[test]
fn a_publish_repeated_on_another_way_under_its_key_was_taken_for_another_payload() {
    let server = Fixture::plain();
    let mut socket = WebSocket::open(server.address, "/-/socket");
    socket.next_op("welcome");
    socket.operate(json!({"op": "publish", "channel": "chat", "data": {"paid": 1}, "key": "k"}));
    let ack = socket.next_op("ack");
    let fields = [
        ("Idempotency-Key", "k"),
        ("Content-Type", "application/json"),
    ];
    let again = server.post("/chat", &fields, r#"{"paid": 1}"#);
    assert_eq!(again.status(), 201, "{}", again.text());
    assert_eq!(again.json()["id"], ack["id"]);
    let as_text = server.post("/chat", &fields[..1], r#"{"paid":1}"#);
    assert_eq!(as_text.refusal(), "key_reused");
}
