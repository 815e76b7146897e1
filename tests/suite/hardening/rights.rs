//! What somebody tries who may do something, to do more or to learn of more.

use fourcast::config::Config;
use serde_json::json;

use super::tokens::{assert_serves, honest, server, socket};
use crate::access::{BACKEND, access, bearer, publish, rules};
use crate::support::{Fixture, Response, Way};

#[test]
fn a_forbidden_channel_hidden_in_a_batch() {
    let server = server();
    let field = bearer(&honest());
    let fields = [
        ("Authorization", field.as_str()),
        ("Content-Type", "application/x-ndjson"),
    ];
    let good = "{\"channel\":\"rooms/42\",\"data\":\"forged\"}\n";
    for hidden in [
        r#"{"channel":"alerts","data":1}"#,
        r#"{"channel":"rooms/42","channel":"alerts","data":1}"#,
        r#"{"channel":"alerts","channel":"rooms/42","data":1}"#,
        r#"{"channel":"rooms/42","ch\u0061nnel":"alerts","data":1}"#,
        r#"{"ch\u0061nnel":"alerts","data":1}"#,
        r#"{"channel":"\u0061lerts","data":1}"#,
        r#"{"channel":"rooms/42/../../alerts","data":1}"#,
        r#"{"channel":"rooms/42\u0000","data":1}"#,
        r#"{"channel":"rooms/*","data":1}"#,
        r#"{"channel":"rooms/42,alerts","data":1}"#,
        r#"{"channel":["rooms/42","alerts"],"data":1}"#,
    ] {
        for batch in [
            format!("{good}{hidden}\n{good}"),
            format!("{hidden}\n{good}"),
            format!("{good}{hidden}"),
        ] {
            let answer = server.post("/-/publish", &fields, &batch);
            assert!(
                matches!(answer.status(), 400 | 403),
                "{hidden}: {}",
                answer.text()
            );
        }
    }
    let all = server.get("/**?after=earliest", &[("Authorization", &bearer(BACKEND))]);
    assert_eq!(all.json()["events"], json!([]));
    assert_serves(&server);
}

#[test]
fn a_pattern_wider_than_the_right_in_any_writing() {
    let server = server();
    publish(&server, "alerts", "secret");
    publish(&server, "rooms/42/log", "secret");
    let field = bearer(&honest());
    let fields = [("Authorization", field.as_str())];
    for target in [
        "**",
        "*",
        "*/*",
        "*/42",
        "rooms/**",
        "rooms/*/*",
        "rooms/*,alerts",
        "alerts,rooms/*",
        "rooms/42%2Flog",
        "rooms/42%2flog",
        "rooms/42%252Flog",
        "rooms%2F**",
        "rooms/%2A%2A",
        "rooms/*%2A",
        "%2A%2A",
        "rooms/%252A%252A",
        "rooms/*%2Calerts",
        "rooms/*%252Calerts",
        "rooms/../alerts",
        "rooms/%2e%2e/alerts",
        "rooms/..%2Falerts",
        "rooms/42/./log",
        "rooms//42/log",
        "rooms/42%00/log",
        "Rooms/42",
        "%61lerts",
        "rooms/42;/log",
        "rooms\\42",
    ] {
        for query in ["?after=earliest", "?last=5", "?after=0"] {
            let answer = server.get(&format!("/{target}{query}"), &fields);
            assert!(
                (400..=404).contains(&answer.status()),
                "{target}: {}",
                answer.text()
            );
            assert!(!answer.text().contains("secret"), "{target}");
        }
        assert!(
            server
                .ask(Way::WebSocket, &format!("/{target}"), &fields)
                .status()
                >= 400
        );
        let mut socket = socket(&server);
        socket.operate(json!({"op": "subscribe", "channels": [target], "after": "earliest"}));
        socket.next_op("error");
    }
    assert_serves(&server);
}

/// What is told of a channel to somebody who may not read it, without its name and the time.
fn told(answer: &Response, name: &str) -> String {
    let head = answer.head.fields.iter().filter(|(name, _)| name != "Date");
    format!(
        "{} {:?} {}",
        answer.status(),
        head.collect::<Vec<_>>(),
        answer.text()
    )
    .replace(name, "_")
}

#[test]
fn a_channel_felt_for_by_somebody_who_may_not_read_it() {
    let server = server();
    let field = bearer(BACKEND);
    let fields = [("Authorization", field.as_str()), ("Idempotency-Key", "k1")];
    let cursor = server.publish_as("/secret/there", &fields, "x");
    let mine = bearer(&honest());
    let etag = format!("\"{cursor}\"");
    let feel = |name: &str| {
        let mut all = Vec::new();
        for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"] {
            for query in [
                "",
                &format!("?after={cursor}"),
                "?after=earliest",
                "?last=1",
            ] {
                for fields in [
                    &[][..],
                    &[("Authorization", mine.as_str())],
                    &[("Authorization", mine.as_str()), ("If-None-Match", &etag)],
                    &[("Authorization", mine.as_str()), ("Last-Event-ID", &cursor)],
                    &[("Authorization", mine.as_str()), ("Idempotency-Key", "k1")],
                ] {
                    let answer = server.send(method, &format!("/{name}{query}"), fields, b"");
                    assert!(answer.status() != 200 && answer.head.field("ETag").is_none());
                    all.push(told(&answer, name));
                }
            }
        }
        let mut socket = socket(&server);
        for operation in [
            json!({"op": "subscribe", "channels": [name], "after": cursor}),
            json!({"op": "unsubscribe", "channels": [name]}),
            json!({"op": "publish", "channel": name, "data": 1, "key": "k1"}),
        ] {
            socket.operate(operation);
            all.push(socket.next_json().to_string().replace(name, "_"));
        }
        all
    };
    assert_eq!(feel("secret/there"), feel("secret/never"));
    assert_serves(&server);
}

#[test]
fn a_star_for_everyone_taken_for_all() {
    let server = Fixture::start(|config: &mut Config| {
        access(config, &rules().replace("public/**", "*"));
    });
    publish(&server, "open", "for all");
    publish(&server, "open/secret", "secret");
    for target in ["/open?after=earliest", "/*?after=earliest"] {
        let answer = server.get(target, &[]);
        assert_eq!(
            answer.json()["events"].as_array().map(Vec::len),
            Some(1),
            "{target}"
        );
        assert!(!answer.text().contains("secret"));
    }
    for target in [
        "/open/secret",
        "/open/*",
        "/**",
        "/*/*",
        "/*/**",
        "/open,open/secret",
    ] {
        assert_eq!(
            server.get(target, &[]).refusal(),
            "unauthorized",
            "{target}"
        );
        assert_eq!(
            server.ask(Way::WebSocket, target, &[]).refusal(),
            "unauthorized",
            "{target}"
        );
    }
    assert_eq!(
        server.post("/open", &[], "forged").refusal(),
        "unauthorized"
    );
    assert_eq!(
        server.send("DELETE", "/open", &[], b"").refusal(),
        "unauthorized"
    );
}
