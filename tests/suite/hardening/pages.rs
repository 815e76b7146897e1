//! A web page of somebody else, in the browser of somebody who may come in.

use serde_json::json;

use crate::support::Fixture;

#[test]
fn a_web_page_of_another_origin_and_a_name_bound_anew() {
    let server = Fixture::plain();
    let own = server.address.to_string();
    let text = ("Content-Type", "text/plain");
    let cross = [
        ("Host", own.as_str()),
        ("Origin", "http://evil.example"),
        text,
    ];
    assert_eq!(server.post("/chat", &cross, "forged").status(), 403);
    let rebound = [
        ("Host", "evil.example"),
        ("Origin", "http://evil.example"),
        text,
    ];
    assert_eq!(server.post("/chat", &rebound, "forged").status(), 421);
    assert_eq!(server.send("DELETE", "/chat", &cross, b"").status(), 403);
    let kept = server.get("/**?after=earliest", &[]).json();
    assert_eq!(kept["events"], json!([]));
    server.assert_serves();
}
