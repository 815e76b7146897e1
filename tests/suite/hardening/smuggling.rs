//! Request smuggling: bytes that a proxy in front could read as one request and this server as two, or the other way
//! round. Each comes with a second request hidden in it, which must never be run.

use serde_json::json;

use crate::support::{Fixture, Response, request};

const HIDDEN: &str =
    "POST /canary HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\nsmuggled";
/// What nobody understands in one way alone is refused, and nothing behind it is read.
const REFUSED: [u16; 2] = [400, 501];

/// Sends `bytes`, whose first request must be answered with one of `statuses` and be the last.
fn ends_after_one(bytes: impl AsRef<[u8]>, statuses: &[u16]) {
    let server = Fixture::plain();
    let mut wire = server.connect();
    wire.send(&bytes);
    let answer = Response::read(&mut wire, "POST");
    let told = bytes.as_ref().escape_ascii().to_string();
    assert!(
        statuses.contains(&answer.status()),
        "{} to {told}",
        answer.status()
    );
    answer.refusal();
    wire.expect_end();
    assert_untouched(&server);
}

/// Sends `bytes`, which are one request, and an honest one behind it: there are two answers, no more.
fn is_one_request(bytes: impl AsRef<[u8]>, status: u16) {
    let server = Fixture::plain();
    let mut wire = server.connect();
    let honest = request("GET", "/-/healthy", &[("Connection", "close")], b"");
    wire.send([bytes.as_ref(), &honest].concat());
    assert_eq!(Response::read(&mut wire, "POST").status(), status);
    assert_eq!(Response::read(&mut wire, "GET").text(), "ok\n");
    wire.expect_end();
    assert_untouched(&server);
}

fn assert_untouched(server: &Fixture) {
    let kept = server.get("/canary?after=earliest", &[]).json();
    assert_eq!(kept["events"], json!([]), "a hidden request was run");
    server.assert_serves();
}

/// A POST with these field lines, and the hidden request where its body is looked for.
fn post(fields: &str) -> String {
    format!("POST /chat HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n{HIDDEN}")
}

/// The same, behind the end of a chunked body.
fn chunked(fields: &str) -> String {
    format!("POST /chat HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n0\r\n\r\n{HIDDEN}")
}

/// A chunked POST whose body is these bytes, and the hidden request behind them.
fn chunks(body: &str) -> String {
    format!(
        "POST /chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{body}{HIDDEN}"
    )
}

#[test]
fn a_length_before_a_coding() {
    ends_after_one(
        chunked("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        &[400],
    );
}

#[test]
fn a_coding_before_a_length() {
    let fields = "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n";
    ends_after_one(chunked(fields), &[400]);
}

#[test]
fn two_codings_of_which_one_is_unknown() {
    for fields in [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n",
        "Transfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-encoding: identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ] {
        ends_after_one(chunked(fields), &REFUSED);
    }
}

#[test]
fn a_coding_that_is_nearly_chunked() {
    for coding in [
        "xchunked",
        "chunkedx",
        "chunked, identity",
        "identity, chunked",
        "chunked,",
        ",chunked",
        "chunked;q=1",
        "\"chunked\"",
        "chunked\u{b}",
        "chun ked",
        "",
        "chunked, chunked",
    ] {
        ends_after_one(
            chunked(&format!("Transfer-Encoding: {coding}\r\n")),
            &REFUSED,
        );
    }
}

#[test]
fn a_coding_called_identity() {
    let fields = "Transfer-Encoding: identity\r\nContent-Length: 0\r\n";
    ends_after_one(post(fields), &REFUSED);
    ends_after_one(post("Transfer-Encoding: identity\r\n"), &REFUSED);
}

#[test]
fn a_coding_with_a_name_that_only_some_readers_know() {
    for name in [
        "Transfer-Encoding ",
        " Transfer-Encoding",
        "Transfer-Encoding\t",
        "Transfer Encoding",
        "Transfer-Encoding\0",
        "\u{b}Transfer-Encoding",
        "Transfer-Encoding\u{c}",
    ] {
        let fields = format!("Content-Length: 0\r\n{name}: chunked\r\n");
        ends_after_one(post(&fields), &[400]);
    }
}

#[test]
fn a_coding_with_an_underscore_is_another_field() {
    // Whoever reads CGI variables reads it as the coding: here it is a field that nobody asks for.
    is_one_request(
        "POST /chat HTTP/1.1\r\nHost: localhost\r\nTransfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        201,
    );
}

#[test]
fn a_coding_in_http_1_0() {
    let bytes = chunked("Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n");
    ends_after_one(bytes.replacen("HTTP/1.1", "HTTP/1.0", 1), &[400]);
}

#[test]
fn two_lengths() {
    for (one, other) in [("0", "96"), ("96", "0"), ("5", "5"), ("0", "x")] {
        let fields = format!("Content-Length: {one}\r\nContent-Length: {other}\r\n");
        ends_after_one(post(&fields), &[400]);
    }
}

#[test]
fn a_length_that_is_a_list() {
    for length in ["0, 96", "0,0", "0 0", "0;96", "0,"] {
        ends_after_one(post(&format!("Content-Length: {length}\r\n")), &[400]);
    }
}

#[test]
fn a_length_with_a_sign_or_in_another_base() {
    for length in [
        "+0",
        "-0",
        "-1",
        "0x0",
        "0b0",
        "0o0",
        "0.0",
        "0e0",
        "1_0",
        "٠",
        "",
        " ",
        "\"0\"",
        "00000000000",
        "4294967296000000000000",
        "18446744073709551616",
    ] {
        ends_after_one(post(&format!("Content-Length: {length}\r\n")), &[400]);
    }
}

#[test]
fn a_length_behind_a_space() {
    for name in ["Content-Length ", " Content-Length", "Content-Length\t"] {
        ends_after_one(post(&format!("{name}: 0\r\n")), &[400]);
    }
}

#[test]
fn a_fold_in_front_of_a_length_or_a_coding() {
    for fields in [
        "X: y\r\n Content-Length: 96\r\n",
        "X: y\r\n\tTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Content-Length: 0\r\n 0\r\n",
        " X: y\r\n",
    ] {
        ends_after_one(post(fields), &[400]);
    }
}

#[test]
fn a_bare_line_feed_in_a_head() {
    for fields in [
        "X: y\nTransfer-Encoding: chunked\r\n",
        "X: y\nContent-Length: 96\r\n",
        "X: y\n\n",
        "Content-Length: 0\n",
    ] {
        ends_after_one(post(fields), &[400]);
    }
    let all = post("Content-Length: 0\r\n");
    ends_after_one(all.replace("\r\n", "\n"), &[400]);
}

#[test]
fn a_bare_carriage_return_in_a_head() {
    for fields in [
        "X: y\rTransfer-Encoding: chunked\r\n",
        "X: y\r\rContent-Length: 96\r\n",
        "X: y\r\r\n",
        "\rX: y\r\n",
    ] {
        ends_after_one(post(fields), &[400]);
    }
}

#[test]
fn a_nul_in_a_head() {
    for fields in [
        "X: y\0z\r\n",
        "X\0: y\r\n",
        "\0\r\n",
        "Content-Length: 0\0\r\n",
    ] {
        ends_after_one(post(fields), &[400]);
    }
}

#[test]
fn a_field_without_a_name_or_a_colon() {
    for fields in [
        ": chunked\r\n",
        "no colon\r\n",
        "Content-Length\r\n",
        "()<>@,;: y\r\n",
    ] {
        ends_after_one(post(fields), &[400]);
    }
}

#[test]
fn a_chunk_size_that_readers_disagree_about() {
    for size in [
        "0x0",
        "-0",
        "+0",
        " 0",
        "0 ",
        "\t0",
        "0_0",
        "000000000",
        "g",
        "",
        "0\0",
        "٠",
        "0,",
        "100000000000000000",
    ] {
        ends_after_one(chunks(&format!("{size}\r\n\r\n")), &[400]);
    }
}

#[test]
fn a_chunk_that_is_longer_or_shorter_than_it_says() {
    for body in [
        "4\r\nhello\r\n0\r\n\r\n",
        "2\r\nh\r\n0\r\n\r\n",
        "1\r\nh0\r\n\r\n",
    ] {
        ends_after_one(chunks(body), &[400]);
    }
}

#[test]
fn a_chunk_line_that_ends_in_a_bare_line_feed() {
    for body in [
        "1\nh\r\n0\r\n\r\n",
        "1\r\nh\n0\r\n\r\n",
        "1\r\nh\r\n0\n\n",
        "1\r\nh\r\n0\r\n\n",
    ] {
        ends_after_one(chunks(body), &[400]);
    }
}

#[test]
fn a_chunk_line_that_ends_in_a_bare_carriage_return() {
    for body in [
        "1\rh\r\n0\r\n\r\n",
        "1\r\nh\r0\r\n\r\n",
        "1\r\nh\r\n0\r\r\n",
    ] {
        ends_after_one(chunks(body), &[400]);
    }
}

#[test]
fn a_line_end_hidden_in_a_chunk_extension() {
    for extension in [";a\rb", ";a\nb", ";\n", ";a=\"\r\n", ";a\0", ";\u{b}\n"] {
        ends_after_one(chunks(&format!("1{extension}\r\nh\r\n0\r\n\r\n")), &[400]);
    }
}

#[test]
fn a_trailer_that_would_be_a_field() {
    // It is dropped: the request stays what its head said.
    let fields = "Content-Length: 96\r\nTransfer-Encoding: chunked\r\nHost: evil.test\r\nX-Forwarded-For: 1.2.3.4\r\n";
    is_one_request(
        format!(
            "POST /chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n0\r\n{fields}\r\n"
        ),
        201,
    );
}

#[test]
fn a_trailer_with_a_bare_line_end() {
    for trailer in ["X: y\n\r\n", "X: y\rZ: z\r\n\r\n", "X: y\n\n"] {
        let bytes = chunks("").replace(HIDDEN, &format!("1\r\nh\r\n0\r\n{trailer}{HIDDEN}"));
        ends_after_one(bytes, &[400]);
    }
}

#[test]
fn a_target_for_another_host_than_the_host() {
    let server = Fixture::plain();
    for (target, host, status) in [
        ("http://evil.test/chat", "localhost", 421),
        ("http://localhost@evil.test/chat", "localhost", 400),
        ("http://localhost/chat", "evil.test", 200),
        ("//evil.test/chat", "localhost", 400),
        ("http:///chat", "localhost", 400),
        ("ftp://localhost/chat", "localhost", 400),
    ] {
        let answer = server.get(target, &[("Host", host)]);
        assert_eq!(answer.status(), status, "{target} for {host}");
    }
    assert_untouched(&server);
}

#[test]
fn two_hosts() {
    let fields = "Host: evil.test\r\nContent-Length: 0\r\n";
    ends_after_one(post(fields), &[400]);
    let list = post("Content-Length: 0\r\n").replacen("localhost", "localhost, evil.test", 1);
    ends_after_one(list, &[400]);
}

#[test]
fn no_host_at_all() {
    let bytes = post("Content-Length: 0\r\n").replacen("Host: localhost\r\n", "", 1);
    ends_after_one(bytes, &[400]);
}

#[test]
fn a_request_of_http_0_9() {
    for line in ["GET /chat\r\n", "GET /chat\r\n\r\n", "GET /chat \r\n\r\n"] {
        ends_after_one(format!("{line}{HIDDEN}"), &[400]);
    }
}

#[test]
fn the_preface_of_http_2() {
    ends_after_one(
        format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{HIDDEN}"),
        &[400, 501, 505],
    );
}

#[test]
fn an_upgrade_to_http_2() {
    // It is not taken, so what follows is HTTP/1.1, and a request of its own.
    is_one_request(
        "POST /chat HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 2\r\n\r\nhi",
        201,
    );
}

#[test]
fn a_version_that_is_nearly_one() {
    for version in [
        "HTTP/1.10",
        "HTTP/1.2",
        "HTTP/01.1",
        "HTTP/1.1 ",
        "http/1.1",
        "HTTP/1",
        "HTTP /1.1",
        "HTTP/2.0",
    ] {
        let bytes = post("Content-Length: 0\r\n").replacen("HTTP/1.1", version, 1);
        ends_after_one(bytes, &[400, 505]);
    }
}

#[test]
fn a_method_that_is_nearly_one() {
    for method in [
        "post", "POST\t", "\tPOST", "PO ST", "POST/", "GET\0", "\"POST\"", "(POST)",
    ] {
        let bytes = post("Content-Length: 0\r\n").replacen("POST", method, 1);
        ends_after_one(bytes, &[400, 501]);
    }
}

#[test]
fn a_request_sent_behind_one_that_was_refused() {
    for line in [
        "GET /chat HTTP/1.1\r\nHost: localhost\r\nbroken\r\n\r\n",
        "G\0T / HTTP/1.1\r\n\r\n",
    ] {
        ends_after_one(format!("{line}{HIDDEN}"), &[400]);
    }
}

#[test]
fn a_request_in_the_body_of_one_that_takes_none() {
    let length = HIDDEN.len();
    for (line, status) in [
        ("GET /chat HTTP/1.1", 200),
        ("OPTIONS /chat HTTP/1.1", 204),
        ("DELETE /chat HTTP/1.1", 204),
        ("PATCH /chat HTTP/1.1", 501),
        ("POST /a//b HTTP/1.1", 400),
    ] {
        let bytes =
            format!("{line}\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{HIDDEN}");
        let server = Fixture::plain();
        let mut wire = server.connect();
        wire.send(bytes);
        let found = Response::read(&mut wire, line.split(' ').next().unwrap_or_default()).status();
        assert!(
            found == status || (status == 501 && found == 405),
            "{line}: {found}"
        );
        assert_untouched(&server);
    }
}

#[test]
fn a_request_behind_a_handshake_that_was_refused() {
    let upgrade = "GET /chat HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\nContent-Length: 98\r\n\r\n";
    let server = Fixture::plain();
    let mut wire = server.connect();
    wire.send(format!("{upgrade}{HIDDEN}"));
    let answer = Response::read(&mut wire, "GET");
    assert!((400..500).contains(&answer.status()));
    assert_untouched(&server);
}

#[test]
fn a_request_behind_a_handshake_that_was_taken() {
    let server = Fixture::plain();
    let mut wire = server.connect();
    wire.send(format!(
        "GET /chat HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n{HIDDEN}{HIDDEN}{HIDDEN}"
    ));
    let answer = crate::support::http::Head::read(&mut wire, crate::support::deadline());
    assert_eq!(answer.map(|head| head.status), Some(101));
    // What follows are frames, and these are none.
    let rest = wire.take_rest(crate::support::deadline());
    assert!(!rest.windows(8).any(|bytes| bytes == b"HTTP/1.1"));
    assert_untouched(&server);
}

#[test]
fn an_expectation_that_hides_a_body() {
    let length = HIDDEN.len();
    is_one_request(
        format!(
            "POST /chat HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n{HIDDEN}"
        ),
        201,
    );
    ends_after_one(post("Expect: 200-ok\r\nContent-Length: 0\r\n"), &[417]);
}
