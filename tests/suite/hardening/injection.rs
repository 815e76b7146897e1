//! What a publisher says must not be read as something else.

use crate::support::{Fixture, Listener, Way};

#[test]
fn cr_lf_and_nul_in_a_type() {
    let server = Fixture::plain();
    let mut listener = Listener::open(Way::Sse, &server, "/chat");
    for evil in [
        "a%0D%0Adata:%20forged",
        "a%0Ab",
        "a%0Db",
        "a%00b",
        "%C2%85",
        "a%7F",
    ] {
        let answer = server.post(&format!("/chat?type={evil}"), &[], "x");
        assert_eq!(answer.status(), 400, "{evil}");
        answer.refusal();
    }
    server.publish("chat", "marker");
    assert_eq!(listener.texts(1), ["marker"]);
    server.assert_serves();
}

#[test]
fn cr_lf_and_nul_in_a_channel() {
    let server = Fixture::plain();
    for evil in ["/a%0D%0AX:%20y", "/a%0A", "/a%0D", "/a%00", "/%00"] {
        for answer in [server.post(evil, &[], "x"), server.get(evil, &[])] {
            assert_eq!(
                (answer.status(), answer.refusal()),
                (400, "bad_channel".into()),
                "{evil}"
            );
            assert!(answer.head.field("X").is_none());
        }
    }
    server.assert_serves();
}
