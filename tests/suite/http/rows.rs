//! Rows of exact bytes, each with the statuses that are right and what becomes of the connection.

use super::After::{Closed, Either, Kept};
use super::{check_all, row};

const HOST: &str = "Host: localhost\r\n";

fn get(head: &str) -> String {
    format!("GET /chat HTTP/1.1\r\n{HOST}{head}\r\n")
}

fn post(head: &str, body: &str) -> String {
    format!("POST /chat HTTP/1.1\r\n{HOST}{head}\r\n{body}")
}

fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", body)
}

fn line(line: &str) -> String {
    format!("{line}\r\n{HOST}\r\n")
}

#[test]
fn well_formed_requests_are_answered() {
    check_all(vec![
        row("a poll", get(""), &[200], Kept),
        row(
            "an empty line first",
            format!("\r\n{}", get("")),
            &[200],
            Kept,
        ),
        row("no space after a colon", get("X:y\r\n"), &[200], Kept),
        row(
            "a tab and spaces around a value",
            get("X: \t y \t\r\n"),
            &[200],
            Kept,
        ),
        row("an empty value", get("X:\r\n"), &[200], Kept),
        row(
            "a body with a GET",
            get("Content-Length: 5\r\n").replace("\r\n\r\n", "\r\n\r\nhello"),
            &[200],
            Kept,
        ),
        row(
            "absolute form",
            line("GET http://localhost/chat HTTP/1.1"),
            &[200],
            Kept,
        ),
        row(
            "an unknown Upgrade",
            get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"),
            &[200],
            Kept,
        ),
        row(
            "an Accept that fits nothing",
            get("Accept: image/png\r\n"),
            &[200],
            Kept,
        ),
        row(
            "an unknown parameter",
            line("GET /chat?utm=1 HTTP/1.1"),
            &[200, 400],
            Either,
        ),
        row(
            "Connection: close",
            get("Connection: close\r\n"),
            &[200],
            Closed,
        ),
        row(
            "Connection: Close among others",
            get("Connection: foo, Close\r\n"),
            &[200],
            Closed,
        ),
        row("HTTP/1.0", "GET /chat HTTP/1.0\r\n\r\n", &[200], Either),
        row(
            "a POST of nothing",
            post("Content-Length: 0\r\n", ""),
            &[201],
            Kept,
        ),
        row("HEAD", line("HEAD /chat HTTP/1.1"), &[200], Kept),
        row("DELETE", line("DELETE /chat HTTP/1.1"), &[204], Kept),
        row("a wait of nothing", get("Prefer: wait=0\r\n"), &[200], Kept),
        row(
            "another preference",
            get("Prefer: respond-async\r\n"),
            &[200],
            Kept,
        ),
    ]);
}

#[test]
fn malformed_request_lines_are_refused() {
    check_all(vec![
        row("HTTP/0.9", "GET /chat\r\n\r\n", &[400, 505], Closed),
        row("garbage", "\x01\x02\x03\r\n\r\n", &[400], Closed),
        row(
            "a TLS greeting",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            &[400],
            Closed,
        ),
        row("two spaces", line("GET  /chat HTTP/1.1"), &[400], Closed),
        row(
            "a space in the target",
            line("GET /ch at HTTP/1.1"),
            &[400, 505],
            Closed,
        ),
        row(
            "a space after the version",
            line("GET /chat HTTP/1.1 "),
            &[400, 505],
            Closed,
        ),
        row("a tab", line("GET\t/chat\tHTTP/1.1"), &[400], Closed),
        row("no slash", line("GET chat HTTP/1.1"), &[400], Either),
        row("a fragment", line("GET /chat#top HTTP/1.1"), &[400], Either),
        row(
            "asterisk form of GET",
            line("GET * HTTP/1.1"),
            &[400],
            Either,
        ),
        row(
            "authority form",
            line("CONNECT localhost:80 HTTP/1.1"),
            &[400, 405, 501],
            Either,
        ),
        row(
            "a lower-case method",
            line("get /chat HTTP/1.1"),
            &[501, 405, 400],
            Either,
        ),
        row(
            "a lower-case version",
            line("GET /chat http/1.1"),
            &[400, 505],
            Closed,
        ),
        row("HTTP/2.0", line("GET /chat HTTP/2.0"), &[505], Closed),
        row("HTTP/3.0", line("GET /chat HTTP/3.0"), &[505], Closed),
        row(
            "the preface of HTTP/2",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            &[505],
            Closed,
        ),
        row(
            "a long version",
            line("GET /chat HTTP/1.10"),
            &[400, 505],
            Closed,
        ),
        row("no version", line("GET /chat HTTP/"), &[400, 505], Closed),
        row(
            "a byte beyond ASCII in the target",
            b"GET /ch\xc3\xa9 HTTP/1.1\r\nHost: localhost\r\n\r\n",
            &[400],
            Either,
        ),
        row(
            "NUL in the target",
            line("GET /ch\0at HTTP/1.1"),
            &[400],
            Either,
        ),
        row(
            "CR in the line",
            line("GET /chat\rX HTTP/1.1"),
            &[400],
            Closed,
        ),
    ]);
}

#[test]
fn malformed_fields_are_refused() {
    check_all(vec![
        row(
            "a bare LF everywhere",
            "GET /chat HTTP/1.1\nHost: localhost\n\n",
            &[400],
            Closed,
        ),
        row(
            "a bare LF after the request line",
            "GET /chat HTTP/1.1\nHost: localhost\r\n\r\n",
            &[400],
            Closed,
        ),
        row(
            "a bare LF after a field",
            "GET /chat HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n",
            &[400],
            Closed,
        ),
        row(
            "a bare LF at the end",
            "GET /chat HTTP/1.1\r\nHost: localhost\r\n\n",
            &[400],
            Closed,
        ),
        row("a space before a colon", get("X : y\r\n"), &[400], Closed),
        row("a tab before a colon", get("X\t: y\r\n"), &[400], Closed),
        row(
            "a space before Content-Length's colon",
            post("Content-Length : 2\r\n", "hi"),
            &[400],
            Closed,
        ),
        row("a fold", get("X: y\r\n z\r\n"), &[400], Closed),
        row("a fold by tab", get("X: y\r\n\tz\r\n"), &[400], Closed),
        row(
            "a fold in the first field",
            "GET /chat HTTP/1.1\r\n X: y\r\nHost: localhost\r\n\r\n",
            &[400],
            Closed,
        ),
        row("no colon", get("X y\r\n"), &[400], Closed),
        row("no name", get(": y\r\n"), &[400], Closed),
        row("NUL in a value", get("X: a\0b\r\n"), &[400], Closed),
        row("CR in a value", get("X: a\rb\r\n"), &[400], Closed),
        row(
            "a control character in a name",
            get("X\x01: y\r\n"),
            &[400],
            Closed,
        ),
        row(
            "a byte beyond ASCII in a name",
            b"GET /chat HTTP/1.1\r\nHost: localhost\r\nX\xc3\xa9: y\r\n\r\n",
            &[400],
            Closed,
        ),
    ]);
}

#[test]
fn a_host_is_there_once_and_ours() {
    let bare = "GET /chat HTTP/1.1\r\n";
    check_all(vec![
        row("no Host", format!("{bare}\r\n"), &[400], Closed),
        row(
            "two of them",
            format!("{bare}{HOST}{HOST}\r\n"),
            &[400],
            Closed,
        ),
        row(
            "two different",
            format!("{bare}{HOST}Host: evil.example\r\n\r\n"),
            &[400],
            Closed,
        ),
        row(
            "two in HTTP/1.0",
            format!("GET /chat HTTP/1.0\r\n{HOST}{HOST}\r\n"),
            &[400],
            Closed,
        ),
        row(
            "an empty one",
            format!("{bare}Host:\r\n\r\n"),
            &[400, 421],
            Either,
        ),
        row(
            "a malformed one",
            format!("{bare}Host: local host\r\n\r\n"),
            &[400, 421],
            Either,
        ),
        row(
            "a bad port",
            format!("{bare}Host: localhost:port\r\n\r\n"),
            &[400, 421],
            Either,
        ),
        row(
            "a list",
            format!("{bare}Host: localhost, localhost\r\n\r\n"),
            &[400, 421],
            Either,
        ),
        row(
            "another's",
            format!("{bare}Host: evil.example\r\n\r\n"),
            &[421],
            Either,
        ),
        row(
            "another's in HTTP/1.0",
            "GET /chat HTTP/1.0\r\nHost: evil.example\r\n\r\n",
            &[421],
            Either,
        ),
        row(
            "another's in the target",
            line("GET http://evil.example/chat HTTP/1.1"),
            &[421],
            Either,
        ),
        row(
            "another's for a POST",
            "POST /chat HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 8\r\n\r\nsmuggled",
            &[421],
            Either,
        ),
    ]);
}

#[test]
fn a_body_has_one_length() {
    check_all(vec![
        row("no length", post("", ""), &[411], Either),
        row(
            "both",
            post(
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                "0\r\n\r\n",
            ),
            &[400],
            Closed,
        ),
        row(
            "both the other way round",
            post(
                "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                "0\r\n\r\n",
            ),
            &[400],
            Closed,
        ),
        row(
            "two equal lengths",
            post("Content-Length: 2\r\nContent-Length: 2\r\n", "hi"),
            &[400],
            Closed,
        ),
        row(
            "two different lengths",
            post("Content-Length: 2\r\nContent-Length: 3\r\n", "hi!"),
            &[400],
            Closed,
        ),
        row(
            "a list of lengths",
            post("Content-Length: 2, 2\r\n", "hi"),
            &[400],
            Closed,
        ),
        row(
            "a sign",
            post("Content-Length: +2\r\n", "hi"),
            &[400],
            Closed,
        ),
        row(
            "a minus",
            post("Content-Length: -2\r\n", "hi"),
            &[400],
            Closed,
        ),
        row(
            "hexadecimal",
            post("Content-Length: 0x2\r\n", "hi"),
            &[400],
            Closed,
        ),
        row(
            "no digits",
            post("Content-Length: \r\n", ""),
            &[400],
            Closed,
        ),
        row(
            "a fraction",
            post("Content-Length: 2.0\r\n", "hi"),
            &[400],
            Closed,
        ),
        row(
            "eleven digits",
            post("Content-Length: 10000000000\r\n", ""),
            &[400, 413],
            Closed,
        ),
        row(
            "beyond 64 bits",
            post("Content-Length: 18446744073709551618\r\n", "hi"),
            &[400, 413],
            Closed,
        ),
        row(
            "too long",
            post("Content-Length: 1001\r\n", ""),
            &[413],
            Either,
        ),
        row(
            "a bad length with a GET",
            get("Content-Length: 2, 2\r\n"),
            &[400],
            Closed,
        ),
    ]);
}

#[test]
fn a_transfer_coding_is_chunked_and_nothing_else() {
    check_all(vec![
        row(
            "gzip",
            post("Transfer-Encoding: gzip\r\n", ""),
            &[501],
            Closed,
        ),
        row(
            "gzip, chunked",
            post("Transfer-Encoding: gzip, chunked\r\n", ""),
            &[501],
            Closed,
        ),
        row(
            "chunked twice",
            post("Transfer-Encoding: chunked, chunked\r\n", ""),
            &[400, 501],
            Closed,
        ),
        row(
            "two fields",
            post(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                "",
            ),
            &[400, 501],
            Closed,
        ),
        row(
            "identity",
            post("Transfer-Encoding: identity\r\n", ""),
            &[400, 501],
            Closed,
        ),
        row(
            "chunked, identity",
            post("Transfer-Encoding: chunked, identity\r\n", ""),
            &[400, 501],
            Closed,
        ),
        row(
            "nearly chunked",
            post("Transfer-Encoding: xchunked\r\n", ""),
            &[501],
            Closed,
        ),
        row(
            "quoted",
            post("Transfer-Encoding: \"chunked\"\r\n", ""),
            &[400, 501],
            Closed,
        ),
        row(
            "with a parameter",
            post("Transfer-Encoding: chunked;q=1\r\n", ""),
            &[400, 501],
            Closed,
        ),
        row(
            "a vertical tab",
            post("Transfer-Encoding: \x0bchunked\r\n", ""),
            &[400, 501],
            Closed,
        ),
        row(
            "empty",
            post("Transfer-Encoding:\r\n", ""),
            &[400, 501],
            Closed,
        ),
        row(
            "in HTTP/1.0",
            format!("POST /chat HTTP/1.0\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            &[400],
            Closed,
        ),
    ]);
}

#[test]
fn chunks_are_taken_to_the_letter() {
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(5000));
    let trailers = format!("0\r\n{}\r\n", "X: y\r\n".repeat(20_000));
    let many = format!("64\r\n{}\r\n", "x".repeat(100)).repeat(11);
    check_all(vec![
        row(
            "a good one",
            chunked("5\r\nhello\r\n0\r\n\r\n"),
            &[201],
            Kept,
        ),
        row(
            "upper-case digits",
            chunked("A\r\n0123456789\r\n0\r\n\r\n"),
            &[201],
            Kept,
        ),
        row(
            "no digits",
            chunked("\r\nhello\r\n0\r\n\r\n"),
            &[400],
            Closed,
        ),
        row(
            "no such digit",
            chunked("g\r\nhello\r\n0\r\n\r\n"),
            &[400],
            Closed,
        ),
        row("0x", chunked("0x5\r\nhello\r\n0\r\n\r\n"), &[400], Closed),
        row(
            "a sign",
            chunked("+5\r\nhello\r\n0\r\n\r\n"),
            &[400],
            Closed,
        ),
        row(
            "a minus",
            chunked("-5\r\nhello\r\n0\r\n\r\n"),
            &[400],
            Closed,
        ),
        row(
            "a space first",
            chunked(" 5\r\nhello\r\n0\r\n\r\n"),
            &[400],
            Closed,
        ),
        row(
            "nine digits",
            chunked("000000005\r\nhello\r\n0\r\n\r\n"),
            &[400],
            Closed,
        ),
        row(
            "2^64 - 1",
            chunked("ffffffffffffffff\r\nhello"),
            &[400, 413],
            Closed,
        ),
        row(
            "2^64",
            chunked("10000000000000000\r\nhello"),
            &[400, 413],
            Closed,
        ),
        row(
            "a bare LF after the size",
            chunked("5\nhello\r\n0\r\n\r\n"),
            &[400],
            Closed,
        ),
        row(
            "a bare LF after the data",
            chunked("5\r\nhello\n0\r\n\r\n"),
            &[400],
            Closed,
        ),
        row(
            "a bare LF in an extension",
            chunked("5;a\nb\r\nhello\r\n0\r\n\r\n"),
            &[400],
            Closed,
        ),
        row(
            "more data than announced",
            chunked("4\r\nhello\r\n0\r\n\r\n"),
            &[400],
            Closed,
        ),
        row(
            "less data than announced",
            chunked("6\r\nhello\r\n0\r\n\r\n"),
            &[400],
            Closed,
        ),
        row("a long extension", chunked(&long), &[400], Closed),
        row(
            "trailers without an end",
            chunked(&trailers),
            &[400, 413, 431],
            Closed,
        ),
        row("too much in one chunk", chunked("3e9\r\n"), &[413], Closed),
        row("too much in many", chunked(&many), &[413], Closed),
    ]);
}

#[test]
fn what_two_parsers_could_read_differently_runs_no_second_request() {
    let second = "POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\nsmuggled";
    check_all(vec![
        row(
            "CL.TE",
            post(
                "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
                &format!("0\r\n\r\n{second}"),
            ),
            &[400],
            Closed,
        ),
        row(
            "TE.CL",
            post(
                "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
                &format!("5c\r\n{second}\r\n0\r\n\r\n"),
            ),
            &[400],
            Closed,
        ),
        row(
            "TE.TE",
            post(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
                &format!("0\r\n\r\n{second}"),
            ),
            &[400, 501],
            Closed,
        ),
        row(
            "CL.CL",
            post("Content-Length: 0\r\nContent-Length: 99\r\n", second),
            &[400],
            Closed,
        ),
        row(
            "a length that a list hides",
            post("Content-Length: 5, 5\r\n", second),
            &[400],
            Closed,
        ),
        row(
            "a coding behind a space",
            post(
                "Transfer-Encoding : chunked\r\nContent-Length: 0\r\n",
                second,
            ),
            &[400],
            Closed,
        ),
        row(
            "a coding behind a fold",
            post(
                "Transfer-Encoding:\r\n chunked\r\n",
                &format!("0\r\n\r\n{second}"),
            ),
            &[400],
            Closed,
        ),
        row(
            "a coding behind a bare LF",
            post(
                "X: y\nTransfer-Encoding: chunked\r\n",
                &format!("0\r\n\r\n{second}"),
            ),
            &[400],
            Closed,
        ),
        row(
            "a body of a GET",
            get(&format!("Content-Length: {}\r\n", second.len()))
                .replace("\r\n\r\n", &format!("\r\n\r\n{second}")),
            &[200],
            Kept,
        ),
        row(
            "a body of a DELETE",
            format!(
                "DELETE /x HTTP/1.1\r\n{HOST}Content-Length: {}\r\n\r\n{second}",
                second.len()
            ),
            &[204, 400],
            Either,
        ),
        row(
            "a body after a refusal",
            format!(
                "POST /a//b HTTP/1.1\r\n{HOST}Content-Length: {}\r\n\r\n{second}",
                second.len()
            ),
            &[400],
            Either,
        ),
        row(
            "a body after a 405",
            format!(
                "PATCH /x HTTP/1.1\r\n{HOST}Content-Length: {}\r\n\r\n{second}",
                second.len()
            ),
            &[405],
            Either,
        ),
        row(
            "a body of a GET in chunks",
            get("Transfer-Encoding: chunked\r\n").replace(
                "\r\n\r\n",
                &format!("\r\n\r\n{:x}\r\n{second}\r\n0\r\n\r\n", second.len()),
            ),
            &[200],
            Kept,
        ),
    ]);
}

#[test]
fn what_is_too_large_is_refused() {
    let long_target = line(&format!("GET /chat?x={} HTTP/1.1", "a".repeat(1100)));
    let endless_target = format!("GET /{}", "a".repeat(20_000));
    let batch = "{\"channel\":\"a\",\"data\":\"0123456789\"}\n".repeat(150);
    let batch = format!(
        "POST /-/publish HTTP/1.1\r\n{HOST}Content-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n{batch}",
        batch.len()
    );
    check_all(vec![
        row("a target", long_target, &[414], Either),
        row(
            "a target without an end",
            endless_target,
            &[414, 431],
            Closed,
        ),
        row(
            "a field",
            get(&format!("X: {}\r\n", "a".repeat(5000))),
            &[431],
            Closed,
        ),
        row(
            "a name",
            get(&format!("{}: x\r\n", "a".repeat(5000))),
            &[431],
            Closed,
        ),
        row(
            "fields in number",
            get(&"X: y\r\n".repeat(40)),
            &[431],
            Closed,
        ),
        row(
            "a head without an end",
            format!("GET /chat HTTP/1.1\r\n{}", "X: y\r\n".repeat(2000)),
            &[431],
            Closed,
        ),
        row("a batch", batch, &[413], Either),
    ]);
}

#[test]
fn methods_are_known_or_not_and_allowed_or_not() {
    check_all(vec![
        row(
            "an unknown one",
            line("BREW /chat HTTP/1.1"),
            &[501],
            Either,
        ),
        row("PATCH", line("PATCH /chat HTTP/1.1"), &[405], Either),
        row("TRACE", line("TRACE /chat HTTP/1.1"), &[405, 501], Either),
        row(
            "POST to healthy",
            format!("POST /-/healthy HTTP/1.1\r\n{HOST}Content-Length: 0\r\n\r\n"),
            &[405],
            Either,
        ),
        row(
            "GET of publish",
            line("GET /-/publish HTTP/1.1"),
            &[405],
            Either,
        ),
        row(
            "DELETE of publish",
            line("DELETE /-/publish HTTP/1.1"),
            &[405],
            Either,
        ),
        row(
            "POST to a list",
            format!("POST /a,b HTTP/1.1\r\n{HOST}Content-Length: 2\r\n\r\nhi"),
            &[400],
            Either,
        ),
        row(
            "POST to a pattern",
            format!("POST /a/* HTTP/1.1\r\n{HOST}Content-Length: 2\r\n\r\nhi"),
            &[400],
            Either,
        ),
        row(
            "DELETE of a pattern",
            line("DELETE /** HTTP/1.1"),
            &[400],
            Either,
        ),
        row(
            "DELETE of a list",
            line("DELETE /a,b HTTP/1.1"),
            &[400],
            Either,
        ),
    ]);
}

#[test]
fn payloads_that_cannot_be_events_are_refused() {
    let typed = |kind: &str, body: &str| {
        post(
            &format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len()),
            body,
        )
    };
    check_all(vec![
        row(
            "a form with files",
            typed("multipart/form-data; boundary=x", "--x--"),
            &[415],
            Either,
        ),
        row(
            "a coding",
            post("Content-Encoding: gzip\r\nContent-Length: 2\r\n", "hi"),
            &[415],
            Either,
        ),
        row(
            "JSON that is none",
            typed("application/json", "{"),
            &[400],
            Either,
        ),
        row(
            "JSON of nothing",
            typed("application/json", ""),
            &[400],
            Either,
        ),
        row(
            "two JSON values",
            typed("application/json", "1 2"),
            &[400],
            Either,
        ),
        row(
            "JSON with a raw line",
            typed("application/json", "\"a\nb\""),
            &[400],
            Either,
        ),
        row(
            "an Expect that is none",
            post("Expect: 200-ok\r\nContent-Length: 2\r\n", "hi"),
            &[417],
            Either,
        ),
        row(
            "a key too long",
            post(
                &format!(
                    "Idempotency-Key: {}\r\nContent-Length: 2\r\n",
                    "k".repeat(256)
                ),
                "hi",
            ),
            &[400],
            Either,
        ),
    ]);
    check_all(vec![
        row("JSON that is not UTF-8", b"POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n\"\xff\"", &[400], Either),
    ]);
}

#[test]
fn parameters_that_mean_nothing_are_refused() {
    let get = |query: &str| line(&format!("GET /chat?{query} HTTP/1.1"));
    let publish =
        |query: &str| format!("POST /chat?{query} HTTP/1.1\r\n{HOST}Content-Length: 2\r\n\r\nhi");
    check_all(vec![
        row("a wait", get("wait=soon"), &[400], Either),
        row("a limit", get("limit=many"), &[400], Either),
        row("a limit below one", get("limit=-1"), &[400], Either),
        row("a format", get("format=xml"), &[400], Either),
        row("a transport", get("transport=pigeon"), &[400], Either),
        row("a cursor", get("after=1"), &[400], Either),
        row("a place before", get("before=x"), &[400], Either),
        row(
            "NDJSON raw",
            get("transport=ndjson&format=raw"),
            &[400],
            Either,
        ),
        row("a type of ours", publish("type=welcome"), &[400], Either),
        row("an empty type", publish("type="), &[400], Either),
        row("a type with a line", publish("type=a%0Ab"), &[400], Either),
        row(
            "a type with a return",
            publish("type=a%0Db"),
            &[400],
            Either,
        ),
        row("a type with NUL", publish("type=a%00b"), &[400], Either),
        row(
            "a type too long",
            publish(&format!("type={}", "t".repeat(129))),
            &[400],
            Either,
        ),
        row("a life", publish("ttl=long"), &[400], Either),
        row("a negative life", publish("ttl=-1"), &[400], Either),
        row(
            "a life beyond all clocks",
            publish("ttl=99999999999999999999"),
            &[400],
            Either,
        ),
    ]);
}

#[test]
fn an_upgrade_is_asked_for_where_it_is_needed() {
    check_all(vec![
        row(
            "transport=websocket",
            line("GET /chat?transport=websocket HTTP/1.1"),
            &[426],
            Either,
        ),
        row(
            "the socket without channels",
            line("GET /-/socket HTTP/1.1"),
            &[426],
            Either,
        ),
        row(
            "an old version",
            get(
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n",
            ),
            &[426],
            Either,
        ),
    ]);
}
