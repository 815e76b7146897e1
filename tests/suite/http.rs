//! HTTP/1.1 by RFC 9110 and RFC 9112, asked with exact bytes.

use std::time::Duration;

use fourcast::config::Config;

use crate::support::http::{Head, Response, request};
use crate::support::{Fixture, Listener, Way, Wire};

mod caching;
mod long_poll;
mod rows;

/// What must be true of the connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// It takes another request.
    Kept,
    /// It ends without another byte.
    Closed,
    /// Either is right.
    Either,
}

/// Bytes that a client sends, and what must come of them.
struct Row {
    name: &'static str,
    bytes: Vec<u8>,
    statuses: &'static [u16],
    after: After,
}

fn row(name: &'static str, bytes: impl AsRef<[u8]>, statuses: &'static [u16], after: After) -> Row {
    Row {
        name,
        bytes: bytes.as_ref().to_vec(),
        statuses,
        after,
    }
}

fn small(config: &mut Config) {
    config.limits.event_bytes = 1000;
    config.limits.batch_bytes = 4000;
    config.limits.head_bytes = 4096;
    config.limits.target_bytes = 1024;
    config.limits.fields = 30;
}

impl Row {
    fn check(&self, server: &Fixture) {
        let mut wire = server.connect();
        // The refusal of a long request may come before all of it was taken.
        let _ = wire.try_send(&self.bytes);
        let method = if self.bytes.starts_with(b"HEAD ") {
            "HEAD"
        } else {
            "GET"
        };
        let answer = Response::try_read(&mut wire, method)
            .unwrap_or_else(|| panic!("{}: no answer", self.name));
        assert!(
            self.statuses.contains(&answer.status()),
            "{}: {} {}",
            self.name,
            answer.head.raw,
            answer.text()
        );
        if answer.status() >= 400 {
            answer.refusal();
        }
        self.check_after(&mut wire, &answer);
    }

    fn check_after(&self, wire: &mut Wire, answer: &Response) {
        let says_close = answer.head.lists("Connection", "close");
        match self.after {
            After::Kept => {
                assert!(!says_close, "{}: {}", self.name, answer.head.raw);
                wire.send(request("GET", "/-/healthy", &[], b""));
                let next = Response::read(wire, "GET");
                assert_eq!((next.status(), next.text()), (200, "ok\n"), "{}", self.name);
            }
            After::Closed => {
                assert!(says_close, "{}: {}", self.name, answer.head.raw);
                wire.expect_end();
            }
            After::Either => {}
        }
    }
}

fn check_all(rows: Vec<Row>) {
    let server = Fixture::start(small);
    for row in rows {
        row.check(&server);
    }
    let leftovers = server.get("/**?after=earliest&limit=1000", &[]);
    assert!(
        !leftovers.text().contains("smuggled"),
        "{}",
        leftovers.text()
    );
    server.assert_serves();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Fixture::plain();
    let mut wire = server.connect();
    let mut bytes = request("POST", "/chat", &[], b"first");
    bytes.extend(request("POST", "/chat", &[], b"second"));
    bytes.extend(request("GET", "/a//b", &[], b""));
    bytes.extend(request("HEAD", "/chat", &[], b""));
    bytes.extend(request("DELETE", "/other", &[], b""));
    bytes.extend(request("GET", "/chat?after=earliest", &[], b""));
    wire.send(bytes);
    let methods = ["POST", "POST", "GET", "HEAD", "DELETE", "GET"];
    let answers = methods.map(|method| Response::read(&mut wire, method));
    let statuses = answers.each_ref().map(Response::status);
    assert_eq!(statuses, [201, 201, 400, 200, 204, 200]);
    let events = &answers[5].json()["events"];
    assert_eq!(events[0]["id"], answers[0].json()["id"]);
    assert_eq!(events[1]["id"], answers[1].json()["id"]);
}

#[test]
fn a_request_cut_into_single_bytes_is_the_same_request() {
    let server = Fixture::plain();
    let mut wire = server.connect();
    for byte in request("POST", "/chat", &[("Content-Type", "text/plain")], b"hi") {
        wire.send([byte]);
    }
    assert_eq!(Response::read(&mut wire, "POST").status(), 201);
    for byte in b"POST /chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n" {
        wire.send([*byte]);
    }
    assert_eq!(Response::read(&mut wire, "POST").status(), 201);
}

#[test]
fn a_kept_connection_says_for_how_long() {
    let server = Fixture::start(|config| config.timeouts.idle = Duration::from_secs(75));
    let mut wire = server.connect();
    for _ in 0..3 {
        wire.send(request("GET", "/chat", &[], b""));
        let answer = Response::read(&mut wire, "GET");
        let stays = answer.head.must("Keep-Alive");
        assert!(stays.contains("timeout=75"), "{stays}");
    }
    wire.send(request("GET", "/chat", &[("Connection", "close")], b""));
    let last = Response::read(&mut wire, "GET");
    assert!(last.head.lists("Connection", "close"), "{}", last.head.raw);
    assert_eq!(last.head.field("Keep-Alive"), None);
    wire.expect_end();
}

#[test]
fn a_kept_connection_without_a_request_ends_in_time() {
    let server = Fixture::start(|config| config.timeouts.idle = Duration::from_millis(200));
    let mut wire = server.connect();
    wire.send(request("GET", "/chat", &[], b""));
    assert_eq!(Response::read(&mut wire, "GET").status(), 200);
    wire.expect_end();
}

#[test]
fn a_head_that_does_not_arrive_ends_with_408() {
    let server = Fixture::start(|config| config.timeouts.head = Duration::from_millis(200));
    let mut wire = server.connect();
    wire.send("GET /chat HTTP/1.1\r\nHost: local");
    let answer = Response::read(&mut wire, "GET");
    assert_eq!(
        (answer.status(), answer.refusal()),
        (408, "request_timeout".into())
    );
    wire.expect_end();
}

#[test]
fn a_head_has_one_deadline_however_many_reads_it_takes() {
    let server = Fixture::start(|config| config.timeouts.head = Duration::from_millis(300));
    let mut wire = server.connect();
    let mut head = b"GET /chat HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".to_vec();
    head.extend([b'x'; 2000]);
    let mut sent = 0;
    for byte in head {
        if wire.try_send([byte]).is_err() || !wire.unread.is_empty() {
            break;
        }
        wire.pause();
        sent += 1;
    }
    assert!(sent < 500, "{sent} bytes were taken, one at a time");
    assert_eq!(Response::read(&mut wire, "GET").status(), 408);
}

#[test]
fn a_body_that_does_not_arrive_ends_with_408_and_publishes_nothing() {
    let server = Fixture::start(|config| config.timeouts.body = Duration::from_millis(200));
    for head in [
        "Content-Length: 10\r\n\r\nhalf",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let mut wire = server.connect();
        wire.send(format!("POST /chat HTTP/1.1\r\nHost: localhost\r\n{head}"));
        let answer = Response::read(&mut wire, "POST");
        assert_eq!(answer.status(), 408, "{head}");
        wire.expect_end();
    }
    let kept = server.get("/chat?after=earliest", &[]).json();
    assert_eq!(kept["events"], serde_json::json!([]));
}

#[test]
fn expect_100_continue_is_answered_before_the_body() {
    let server = Fixture::start(small);
    let mut wire = server.connect();
    let expects = [("Expect", "100-continue"), ("Content-Length", "2")];
    wire.send(request("POST", "/chat", &expects, b"").as_slice());
    let interim = Head::read(&mut wire, crate::support::deadline()).expect("a head");
    assert_eq!(interim.status, 100);
    assert!(interim.raw.starts_with("HTTP/1.1 100 Continue\r\n"));
    wire.send("hi");
    assert_eq!(Response::read(&mut wire, "POST").status(), 201);
    let too_long = [("Expect", "100-continue"), ("Content-Length", "5000")];
    wire.send(request("POST", "/chat", &too_long, b""));
    assert_eq!(
        Response::read(&mut wire, "POST").status(),
        413,
        "and no 100"
    );
}

#[test]
fn a_chunked_body_is_taken_with_its_extensions_and_trailers() {
    let server = Fixture::plain();
    let mut wire = server.connect();
    for body in [
        "5\r\nhello\r\n0\r\n\r\n",
        "1\r\nh\r\n04\r\nello\r\n000\r\n\r\n",
        "5;name=value\r\nhello\r\n0;last\r\n\r\n",
        "5\r\nhello\r\n0\r\nX-Trailer: dropped\r\nHost: evil.example\r\n\r\n",
    ] {
        wire.send("POST /chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: Chunked\r\n\r\n");
        wire.send(body);
        assert_eq!(Response::read(&mut wire, "POST").status(), 201, "{body:?}");
    }
    let mut listener = Listener::open(Way::Poll, &server, "/chat");
    assert_eq!(listener.texts(4), ["hello"; 4]);
}

#[test]
fn a_body_that_breaks_off_publishes_nothing() {
    let server = Fixture::plain();
    for head in [
        "Content-Length: 10\r\n\r\nhalf",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
        "Transfer-Encoding: chunked\r\n\r\n9\r\nhalf",
    ] {
        let mut wire = server.connect();
        wire.send(format!("POST /chat HTTP/1.1\r\nHost: localhost\r\n{head}"));
        wire.finish();
        wire.take_rest(crate::support::deadline());
    }
    let kept = server.get("/chat?after=earliest", &[]).json();
    assert_eq!(kept["events"], serde_json::json!([]));
}

#[test]
fn bytes_beyond_the_announced_length_are_the_next_request_and_no_event() {
    let server = Fixture::plain();
    let mut wire = server.connect();
    wire.send("POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi!!!!\r\n\r\n");
    assert_eq!(Response::read(&mut wire, "POST").status(), 201);
    assert_eq!(Response::read(&mut wire, "POST").status(), 400);
    wire.expect_end();
    let kept = server.get("/chat?after=earliest", &[]).json();
    assert_eq!(kept["events"][0]["data"], "hi");
}

#[test]
fn a_refusal_arrives_though_its_body_was_never_read() {
    let server = Fixture::start(small);
    for _ in 0..5 {
        let mut wire = server.connect();
        wire.send("POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000\r\n\r\n");
        let _ = wire.try_send(vec![b'x'; 300_000]);
        let answer = Response::read(&mut wire, "POST");
        assert_eq!(answer.status(), 413);
    }
}

#[test]
fn a_client_of_http_1_0_gets_a_body_that_ends_with_the_connection() {
    let server = Fixture::plain();
    server.publish("chat", "hi");
    let mut wire = server.connect();
    wire.send("GET /chat HTTP/1.0\r\n\r\n");
    let answer = Response::read(&mut wire, "GET");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.head.field("Transfer-Encoding"), None);
    assert_eq!(answer.json()["events"][0]["data"], "hi");
    wire.expect_end();
    let mut wire = server.connect();
    wire.send("POST /chat HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nho");
    assert_eq!(Response::read(&mut wire, "POST").status(), 201);
}

#[test]
fn head_gives_the_fields_of_get_and_never_waits() {
    let server = Fixture::plain();
    server.publish("chat", "hi");
    let mut wire = server.connect();
    for target in ["/chat?after=earliest", "/a//b", "/-/healthy", "/-/nothing"] {
        wire.send(request("HEAD", target, &[], b""));
        wire.send(request("GET", target, &[], b""));
        let head = Response::read(&mut wire, "HEAD").head;
        let get = Response::read(&mut wire, "GET").head;
        let but_date = |head: &Head| {
            let mut fields = head.fields.clone();
            fields.retain(|(name, _)| name != "Date");
            (head.status, fields)
        };
        assert_eq!(but_date(&head), but_date(&get), "{target}");
    }
    for way in [Way::LongPoll, Way::Sse, Way::Ndjson] {
        let mut fields = way.fields();
        fields.push(("Connection", "close"));
        wire = server.connect();
        wire.send(request("HEAD", "/quiet?wait=60", &fields, b""));
        assert_eq!(Response::read(&mut wire, "HEAD").status(), 200, "{way:?}");
        wire.expect_end();
    }
}

#[test]
fn a_preflight_is_answered_and_lasts_two_hours() {
    let server = Fixture::plain();
    let fields = [
        ("Origin", "http://localhost:9000"),
        ("Access-Control-Request-Method", "POST"),
        (
            "Access-Control-Request-Headers",
            "content-type,idempotency-key,last-event-id",
        ),
    ];
    let answer = server.send("OPTIONS", "/chat", &fields, b"");
    assert!(matches!(answer.status(), 200 | 204), "{}", answer.head.raw);
    assert_eq!(answer.head.must("Access-Control-Max-Age"), "7200");
    let origin = answer.head.must("Access-Control-Allow-Origin");
    assert!(origin == "*" || origin == "http://localhost:9000");
    for method in ["GET", "POST", "PUT", "DELETE"] {
        assert!(
            answer.head.lists("Access-Control-Allow-Methods", method),
            "{method}"
        );
    }
    for name in ["content-type", "idempotency-key", "last-event-id"] {
        assert!(
            answer.head.lists("Access-Control-Allow-Headers", name)
                || answer.head.lists("Access-Control-Allow-Headers", "*"),
            "{name}: {}",
            answer.head.raw
        );
    }
    let foreign = [("Origin", "https://evil.example")];
    let refused = server.send("OPTIONS", "/chat", &foreign, b"");
    assert_eq!(
        (refused.status(), refused.refusal()),
        (403, "forbidden_origin".into())
    );
}

#[test]
fn a_script_of_another_origin_may_read_what_it_needs() {
    let server = Fixture::plain();
    let fields = [("Origin", "http://localhost:9000")];
    for target in ["/chat", "/a//b"] {
        let answer = server.get(target, &fields);
        for name in ["Last-Event-ID", "ETag", "Retry-After", "Location"] {
            assert!(
                answer.head.lists("Access-Control-Expose-Headers", name),
                "{target}: {name} in {}",
                answer.head.raw
            );
        }
        if answer.head.must("Access-Control-Allow-Origin") != "*" {
            assert!(answer.head.lists("Vary", "Origin"), "{}", answer.head.raw);
        }
    }
}

#[test]
fn a_preflight_for_what_is_refused_is_answered_so_that_a_page_learns_why() {
    let server = Fixture::plain();
    let origin = ("Origin", "http://localhost:9000");
    let preflight = [origin, ("Access-Control-Request-Method", "POST")];
    for path in ["/a//b", "/rooms/1%3Fttl", "/-/nothing"] {
        let leave = server.send("OPTIONS", path, &preflight, b"");
        assert_eq!(leave.status(), 204, "{path}");
        assert!(leave.head.lists("Access-Control-Allow-Methods", "POST"));
        let refused = server.post(path, &[origin], "x");
        assert!(matches!(refused.status(), 400 | 404), "{path}");
        assert!(refused.head.field("Access-Control-Allow-Origin").is_some());
        assert_eq!(
            server.send("OPTIONS", path, &[origin], b"").status(),
            refused.status()
        );
    }
}

#[test]
fn only_pages_of_a_listed_origin_may_send_cookies() {
    let listed = "https://app.example.com";
    let server = Fixture::start(|config| config.origins = vec![listed.to_owned()]);
    let own = format!("http://{}", server.address);
    for (origin, allowed) in [
        (listed, Some("true")),
        ("http://localhost:9000", None),
        (&own, None),
        ("https://evil.example", None),
    ] {
        let preflight = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "POST"),
        ];
        for answer in [
            server.get("/chat", &[("Origin", origin)]),
            server.get("/a//b", &[("Origin", origin)]),
            server.send("OPTIONS", "/chat", &preflight, b""),
        ] {
            let credentials = answer.head.field("Access-Control-Allow-Credentials");
            assert_eq!(credentials, allowed, "{origin}: {}", answer.head.raw);
        }
    }
}

#[test]
fn every_answer_has_a_date_and_those_of_channels_are_never_stored() {
    let server = Fixture::plain();
    let id = server.publish("chat", "hi");
    let none_match = format!("\"{id}\"");
    let answers = [
        server.get("/chat", &[]),
        server.get("/chat", &[("If-None-Match", none_match.as_str())]),
        server.get("/chat?format=raw", &[]),
        server.get("/none?format=raw", &[]),
        server.post("/chat", &[], "x"),
        server.get("/a//b", &[]),
        server.send("DELETE", "/chat", &[], b""),
        server.send("HEAD", "/chat", &Way::Sse.fields(), b""),
    ];
    for answer in answers {
        let date = answer.head.must("Date");
        assert!(date.len() == 29 && date.ends_with(" GMT"), "{date}");
        assert!(
            answer.head.lists("Cache-Control", "no-store"),
            "{}",
            answer.head.raw
        );
        assert!(
            answer.head.lists("Cache-Control", "no-transform"),
            "{}",
            answer.head.raw
        );
    }
    server.get("/-/healthy", &[]).head.must("Date");
    server.get("/-/nothing", &[]).head.must("Date");
}

#[test]
fn no_browser_takes_an_answer_for_another_type_and_no_cache_hands_it_to_another_origin() {
    let server = Fixture::start(|config| config.origins = vec!["https://a.test".into()]);
    let id = server.publish("chat", "hi");
    let tag = format!("\"{id}\"");
    let (listed, stranger) = (
        ("Origin", "https://a.test"),
        ("Origin", "https://evil.test"),
    );
    let preflight = [listed, ("Access-Control-Request-Method", "POST")];
    for answer in [
        server.get("/chat", &[]),
        server.get("/chat", &[listed]),
        server.get("/chat", &[stranger]),
        server.get("/chat", &[("If-None-Match", &tag)]),
        server.get(&format!("/chat?after={id}&wait=0"), &[]),
        server.get("/chat?format=raw", &[]),
        server.get("/none?format=raw", &[]),
        server.get("/a//b", &[]),
        server.get("/-/healthy", &[]),
        server.get("/-/nothing", &[]),
        server.get("/chat?transport=websocket", &[]),
        server.post("/chat", &[], "x"),
        server.send("DELETE", "/chat", &[], b""),
        server.send("PATCH", "/chat", &[], b""),
        server.send("OPTIONS", "/chat", &preflight, b""),
        server.send("HEAD", "/chat", &Way::Sse.fields(), b""),
        server.send("HEAD", "/chat", &Way::Ndjson.fields(), b""),
    ] {
        let head = &answer.head;
        assert_eq!(head.must("X-Content-Type-Options"), "nosniff");
        assert_eq!(head.must("Vary"), "Origin");
        assert_eq!(head.must("Cache-Control"), "no-store, no-transform");
    }
}

#[test]
fn a_page_that_somebody_published_runs_nothing_and_is_for_no_other_origin() {
    let server = Fixture::plain();
    let page = "<script>alert(document.domain)</script>";
    server.publish_as("/chat", &[("Content-Type", "text/html")], page);
    for target in ["/chat?format=raw", "/chat?format=raw&wait=1"] {
        let answer = server.get(target, &[]);
        assert_eq!(answer.head.must("Content-Type"), "text/html");
        assert_eq!(answer.head.must("Content-Security-Policy"), "sandbox");
        let policy = answer.head.must("Cross-Origin-Resource-Policy");
        assert_eq!(policy, "same-origin");
    }
}

#[test]
fn a_server_names_itself_only_where_it_is_asked_to() {
    let silent = Fixture::plain();
    let open = Fixture::start(|config| config.server_header = true);
    let name = format!("fourcast/{}", env!("CARGO_PKG_VERSION"));
    for (server, expected) in [(silent, None), (open, Some(&*name))] {
        for answer in [
            server.get("/chat", &[]),
            server.get("/chat?wait=0", &[]),
            server.get("/", &[]),
            server.get("/a//b", &[]),
            server.get("/-/healthy", &[]),
            server.send("HEAD", "/chat", &Way::Sse.fields(), b""),
        ] {
            assert_eq!(answer.head.field("Server"), expected);
        }
        let mut wire = server.connect();
        wire.send("no request at all\r\n\r\n");
        let answer = Response::read(&mut wire, "GET");
        assert_eq!(answer.head.field("Server"), expected);
    }
}

#[test]
fn a_server_tells_that_it_lives_and_that_it_is_ready() {
    let server = Fixture::plain();
    for (target, body) in [("/-/healthy", "ok\n"), ("/-/ready", "ready\n")] {
        let answer = server.get(target, &[]);
        assert_eq!((answer.status(), answer.text()), (200, body));
    }
}
