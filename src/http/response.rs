//! An answer becomes bytes: status line, fields, framing and payload (RFC 9110, section 15; RFC 9112, section 4).

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Version;
use crate::refusal::{Refusal, Retry};

/// The interim answer to `Expect: 100-continue`.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What most answers need.
const USUAL_BYTES: usize = 512;

/// What `Server` says where it is asked for.
const SERVER: &str = concat!("fourcast/", env!("CARGO_PKG_VERSION"));

/// An answer in the making: what is said is written down at once. `Date`, `Server`, `Connection`, `Keep-Alive`, `Content-Length` and `Transfer-Encoding` are
/// added when it is encoded and are not to be given as fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    status: u16,
    /// The status line and the field lines, as they go over the wire.
    head: Vec<u8>,
    /// Whether one of the fields is `Upgrade`.
    offers_upgrade: bool,
    payload: Payload,
}

/// What follows the head of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Nothing.
    Empty,
    /// All of it.
    Full(Vec<u8>),
    /// Chunks that follow later, written by [`chunk`](super::body::chunk); to HTTP/1.0 bare bytes until the
    /// connection closes.
    Stream,
    /// Another protocol.
    Upgrade,
}

/// What the connection adds to an answer.
#[derive(Debug, Clone, Copy)]
pub struct Answering {
    /// The version of the request.
    pub version: Version,
    /// How long the connection stays open without another request, in whole seconds on the wire; `None`
    /// when it closes after this answer.
    pub keep_alive: Option<Duration>,
    /// Whether the request was a HEAD: the same head, without the payload.
    pub head_only: bool,
    /// The time of the answer.
    pub date: SystemTime,
    /// Whether it names this program and its version, which tells an attacker which faults to try.
    pub names_server: bool,
}

impl Response {
    /// An answer without a payload, with a status code of RFC 9110, section 15.
    pub fn new(status: u16) -> Response {
        let mut head = Vec::with_capacity(USUAL_BYTES);
        head.extend_from_slice(b"HTTP/1.1 ");
        number(status.into(), &mut head);
        head.push(b' ');
        head.extend_from_slice(reason(status).as_bytes());
        head.extend_from_slice(b"\r\n");
        Response {
            status,
            head,
            offers_upgrade: false,
            payload: Payload::Empty,
        }
    }

    /// The answer to a refused request: `application/problem+json`, with the field that the refusal brings.
    /// `Retry-After` is the refusal's own, else `retry_after` where coming back helps.
    pub fn refusal(refusal: &Refusal, retry_after: Option<Duration>) -> Response {
        let row = refusal.row();
        let usual = retry_after.filter(|_| row.retry == Retry::Later);
        let mut response = Response::new(row.status)
            .with_body("application/problem+json", refusal.problem().into_bytes());
        if let Some((name, value)) = &refusal.field {
            response = response.with(name, &**value);
        }
        match refusal.retry_after.or(usual) {
            Some(wait) => response.with("Retry-After", whole_seconds_up(wait).to_string()),
            None => response,
        }
    }

    /// The 101 that ends HTTP on this connection; what `protocol` asks for is added with [`with`](Self::with).
    pub fn upgrade(protocol: &'static str) -> Response {
        let mut response = Response::new(101)
            .with("Upgrade", protocol)
            .with("Connection", "Upgrade");
        response.payload = Payload::Upgrade;
        response
    }

    /// Adds a field. A control character in `value` becomes a space on the wire, so that no value can end its line
    /// and begin a field or an answer of its own (response splitting).
    pub fn with(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Response {
        self.offers_upgrade |= name.eq_ignore_ascii_case("upgrade");
        field(name, value.as_ref(), &mut self.head);
        self
    }

    /// Gives the answer a complete payload.
    pub fn with_body(mut self, content_type: impl AsRef<[u8]>, body: Vec<u8>) -> Response {
        self.payload = Payload::Full(body);
        self.with("Content-Type", content_type)
    }

    /// Gives the answer a payload that follows piece by piece.
    pub fn with_stream(mut self, content_type: impl AsRef<[u8]>) -> Response {
        self.payload = Payload::Stream;
        self.with("Content-Type", content_type)
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// What follows the head.
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Whether only the end of the connection ends this answer: a stream to HTTP/1.0.
    pub fn ends_with_connection(&self, answering: &Answering) -> bool {
        self.payload == Payload::Stream
            && answering.version == Version::Http10
            && !answering.head_only
    }

    /// The answer as it goes over the wire: the head and, when it is complete and wanted, the payload.
    pub fn encode(mut self, answering: &Answering) -> Vec<u8> {
        if answering.names_server {
            self = self.with("Server", SERVER);
        }
        if self.payload != Payload::Upgrade {
            self.connection(answering);
        }
        self.framing(answering);
        self.head.extend_from_slice(b"\r\n");
        let wanted = !answering.head_only && !self.is_bodiless();
        if let Payload::Full(body) = &self.payload
            && wanted
        {
            self.head.extend_from_slice(body);
        }
        self.head
    }

    /// `Date` and `Connection`. An `Upgrade`, as 426 has it, is named as an option of the connection too
    /// (RFC 9110, section 7.8).
    fn connection(&mut self, answering: &Answering) {
        let kept = answering
            .keep_alive
            .filter(|_| !self.ends_with_connection(answering));
        let out = &mut self.head;
        out.extend_from_slice(b"Date: ");
        out.extend_from_slice(&date(answering.date));
        out.extend_from_slice(match (self.offers_upgrade, kept) {
            (true, Some(_)) => b"\r\nConnection: upgrade, keep-alive\r\n",
            (true, None) => b"\r\nConnection: upgrade, close\r\n",
            (false, Some(_)) => b"\r\nConnection: keep-alive\r\n",
            (false, None) => b"\r\nConnection: close\r\n",
        });
        // Rounded down: a client that reuses the connection to the last second must still find it open.
        if let Some(seconds @ 1..) = kept.map(|kept| kept.as_secs()) {
            out.extend_from_slice(b"Keep-Alive: timeout=");
            number(seconds, out);
            out.extend_from_slice(b"\r\n");
        }
    }

    fn framing(&mut self, answering: &Answering) {
        let length = match &self.payload {
            _ if self.is_bodiless() => return,
            Payload::Empty => 0,
            Payload::Full(body) => body.len() as u64,
            Payload::Stream if answering.version == Version::Http11 => {
                let chunked = b"Transfer-Encoding: chunked\r\n";
                return self.head.extend_from_slice(chunked);
            }
            Payload::Stream | Payload::Upgrade => return,
        };
        self.head.extend_from_slice(b"Content-Length: ");
        number(length, &mut self.head);
        self.head.extend_from_slice(b"\r\n");
    }

    /// Statuses whose answers end with their head, whatever it says (RFC 9112, section 6.3).
    fn is_bodiless(&self) -> bool {
        matches!(self.status, 100..=199 | 204 | 304)
    }
}

fn field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    // Not `any`, which would look at one byte after the other.
    let control = |found, byte: &u8| found | byte.is_ascii_control();
    match value.iter().fold(false, control) {
        false => out.extend_from_slice(value),
        true => out.extend(value.iter().map(|byte| match byte.is_ascii_control() {
            true => b' ',
            false => *byte,
        })),
    }
    out.extend_from_slice(b"\r\n");
}

fn number(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// IMF-fixdate (RFC 9110, section 5.6.7), in which every date has the same length.
type Date = [u8; b"Thu, 01 Jan 1970 00:00:00 GMT".len()];

/// The date of a time. A thread remembers its last one, since answers come many to a second.
fn date(time: SystemTime) -> Date {
    thread_local! {
        static LAST: Cell<Option<(u64, Date)>> = const { Cell::new(None) };
    }
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    match LAST.get() {
        Some((known, date)) if known == seconds => date,
        _ => {
            let date = format_date(seconds);
            LAST.set(Some((seconds, date)));
            date
        }
    }
}

/// A clock before 1970 or after 9999 is read as one at that end, since httpdate panics on it.
fn format_date(seconds: u64) -> Date {
    const END_OF_9999: u64 = 253_402_300_799;
    let time = UNIX_EPOCH + Duration::from_secs(seconds.min(END_OF_9999));
    let text = httpdate::fmt_http_date(time);
    text.as_bytes().try_into().unwrap_or([b' '; _])
}

/// Rounded up, and never the 0 that invites a client to hammer.
fn whole_seconds_up(wait: Duration) -> u64 {
    let part = u64::from(wait.subsec_nanos() > 0);
    wait.as_secs().saturating_add(part).max(1)
}

/// The reason phrase of a status (RFC 9110, section 15); empty for one that is not used here.
fn reason(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Kind;

    const KEPT: Answering = Answering {
        version: Version::Http11,
        keep_alive: Some(Duration::from_millis(15_900)),
        head_only: false,
        date: UNIX_EPOCH,
        names_server: false,
    };
    const CLOSED: Answering = Answering {
        keep_alive: None,
        ..KEPT
    };
    const OLD: Answering = Answering {
        version: Version::Http10,
        ..KEPT
    };
    const HEAD: Answering = Answering {
        head_only: true,
        ..KEPT
    };

    fn text(response: &Response, answering: Answering) -> String {
        String::from_utf8(response.clone().encode(&answering)).unwrap()
    }

    #[test]
    fn a_full_answer_has_date_connection_and_length() {
        let response = Response::new(201).with_body("text/plain", b"hello\n".to_vec());
        assert_eq!(
            text(&response, KEPT),
            "HTTP/1.1 201 Created\r\n\
             Content-Type: text/plain\r\n\
             Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
             Connection: keep-alive\r\n\
             Keep-Alive: timeout=15\r\n\
             Content-Length: 6\r\n\r\nhello\n"
        );
        assert!(text(&response, CLOSED).contains("\r\nConnection: close\r\n"));
        assert!(!text(&response, CLOSED).contains("Keep-Alive"));
    }

    #[test]
    fn a_server_that_is_to_name_itself_does_so_in_every_answer() {
        let named = |kept: Answering| Answering {
            names_server: true,
            ..kept
        };
        let name = format!("\r\nServer: fourcast/{}\r\n", env!("CARGO_PKG_VERSION"));
        for response in [Response::new(204), Response::upgrade("websocket")] {
            assert!(text(&response, named(KEPT)).contains(&name));
            assert!(!text(&response, KEPT).contains("Server"));
        }
    }

    #[test]
    fn a_head_answer_has_the_length_that_get_would_have() {
        let response = Response::new(200).with_body("text/plain", b"hello\n".to_vec());
        let got = text(&response, HEAD);
        assert!(got.ends_with("Content-Length: 6\r\n\r\n"), "{got}");
    }

    #[test]
    fn no_content_and_not_modified_have_no_length() {
        for status in [204, 304] {
            let got = text(
                &Response::new(status).with_body("text/plain", b"x".to_vec()),
                KEPT,
            );
            assert!(
                !got.contains("Content-Length") && got.ends_with("\r\n\r\n"),
                "{got}"
            );
        }
        assert!(text(&Response::new(200), KEPT).contains("\r\nContent-Length: 0\r\n"));
    }

    #[test]
    fn a_stream_is_chunked_and_ends_with_the_connection_before_http_1_1() {
        let response = Response::new(200).with_stream("text/event-stream");
        assert!(text(&response, KEPT).contains("\r\nTransfer-Encoding: chunked\r\n"));
        assert!(!response.ends_with_connection(&KEPT));
        let old = text(&response, OLD);
        assert!(
            !old.contains("Transfer-Encoding") && !old.contains("Content-Length"),
            "{old}"
        );
        assert!(old.contains("\r\nConnection: close\r\n"), "{old}");
        assert!(response.ends_with_connection(&OLD));
    }

    #[test]
    fn an_upgrade_is_the_bare_101_of_rfc_6455() {
        let response = Response::upgrade("websocket").with("Sec-WebSocket-Accept", "abc=");
        assert_eq!(
            text(&response, KEPT),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: abc=\r\n\r\n"
        );
    }

    #[test]
    fn no_value_ends_its_line() {
        let response = Response::new(200).with("X", "a\r\nSet-Cookie: b\0\x7f\tc");
        assert!(text(&response, KEPT).contains("\r\nX: a  Set-Cookie: b   c\r\n"));
    }

    #[test]
    fn a_refusal_brings_its_problem_and_its_field() {
        let refusal = Refusal::new(Kind::MethodNotAllowed, "No.").with_field("Allow", "GET, POST");
        let got = text(
            &Response::refusal(&refusal, Some(Duration::from_secs(9))),
            CLOSED,
        );
        assert!(
            got.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"),
            "{got}"
        );
        assert!(got.contains("\r\nAllow: GET, POST\r\n"), "{got}");
        assert!(
            got.contains("\r\nContent-Type: application/problem+json\r\n"),
            "{got}"
        );
        assert!(got.ends_with(&refusal.problem()), "{got}");
        assert!(
            !got.contains("Retry-After"),
            "coming back does not help: {got}"
        );
    }

    #[test]
    fn retry_after_is_whole_seconds_rounded_up() {
        for (wait, expected) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (2500, 3)] {
            let wait = Duration::from_millis(wait);
            let refusal = Refusal::new(Kind::Overloaded, "Full.");
            let usual = text(&Response::refusal(&refusal, Some(wait)), CLOSED);
            let own = Response::refusal(&refusal.with_retry_after(wait), Some(Duration::MAX));
            let line = format!("\r\nRetry-After: {expected}\r\n");
            assert!(usual.contains(&line), "{usual}");
            assert!(text(&own, CLOSED).contains(&line), "{wait:?}");
        }
    }

    #[test]
    fn an_answer_that_offers_an_upgrade_names_it_as_an_option() {
        let refusal =
            Refusal::new(Kind::UpgradeRequired, "Upgrade.").with_field("Upgrade", "websocket");
        let got = text(&Response::refusal(&refusal, None), CLOSED);
        assert!(got.contains("\r\nConnection: upgrade, close\r\n"), "{got}");
    }

    #[test]
    fn every_refusal_has_a_reason_phrase() {
        for kind in Kind::ALL {
            assert_ne!(reason(kind.row().status), "", "{}", kind.row().status);
        }
    }

    #[test]
    fn a_clock_that_is_wrong_does_no_harm() {
        let late = UNIX_EPOCH + Duration::from_secs(1 << 40);
        let early = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(&date(early), b"Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(&date(late), b"Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn a_clock_that_is_set_back_is_believed() {
        let at = |seconds| date(UNIX_EPOCH + Duration::from_secs(seconds));
        for _ in 0..2 {
            assert_eq!(&at(61), b"Thu, 01 Jan 1970 00:01:01 GMT");
            assert_eq!(&at(60), b"Thu, 01 Jan 1970 00:01:00 GMT");
        }
    }
}
