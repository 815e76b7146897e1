//! HTTP/1.1 from the client's side (RFC 9112): a request as bytes, an answer read strictly.

use std::net::SocketAddr;
use std::time::Instant;

use serde_json::Value;

use super::wire::{Arrival, Wire, deadline};

/// The bytes of a request with a `Host` and, where there is a body, its length.
pub fn request(method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
    let named = |name: &str| fields.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    if !named("Host") {
        bytes.extend_from_slice(b"Host: localhost\r\n");
    }
    for (name, value) in fields {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    let publishes = method == "POST" || method == "PUT";
    let framed = named("Transfer-Encoding") || named("Content-Length");
    if (publishes || !body.is_empty()) && !framed {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// One request on a connection of its own, and its answer.
pub fn exchange(
    address: SocketAddr,
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
    body: &[u8],
) -> Response {
    let mut wire = Wire::connect(address);
    let fields = [fields, &[("Connection", "close")]].concat();
    wire.send(request(method, target, &fields, body));
    Response::read(&mut wire, method)
}

/// The head of an answer.
#[derive(Debug, Clone)]
pub struct Head {
    /// The head as it came, with its empty line.
    pub raw: String,
    /// The status code.
    pub status: u16,
    /// The fields in their order.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// Reads a head; `None` when the peer ends before one began.
    pub fn read(wire: &mut Wire, deadline: Instant) -> Option<Self> {
        let raw = wire.take_through(b"\r\n\r\n", deadline)?;
        Some(Head::parse(
            String::from_utf8(raw).expect("a head is ASCII"),
        ))
    }

    fn parse(raw: String) -> Self {
        assert!(raw.is_ascii(), "a head is ASCII: {raw:?}");
        let mut lines = raw.trim_end_matches("\r\n").split("\r\n");
        let start = lines.next().expect("a status line");
        let (version, rest) = start.split_once(' ').expect("a version");
        assert_eq!(version, "HTTP/1.1", "{start}");
        let (status, _reason) = rest.split_once(' ').expect("a space before the reason");
        assert_eq!(status.len(), 3, "{start}");
        let fields = lines.map(field).collect();
        Head {
            status: status.parse().expect("a status"),
            fields,
            raw,
        }
    }

    /// The value of the field `name`; a field that comes twice fails the test.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self
            .fields
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str());
        let value = values.next();
        assert!(values.next().is_none(), "{name} twice in {}", self.raw);
        value
    }

    /// The value of the field `name`, which must be there.
    pub fn must(&self, name: &str) -> &str {
        self.field(name)
            .unwrap_or_else(|| panic!("no {name} in {}", self.raw))
    }

    /// Whether the list in the field `name` has `member`, whatever the case.
    pub fn lists(&self, name: &str, member: &str) -> bool {
        self.field(name)
            .into_iter()
            .flat_map(|value| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(member))
    }
}

fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').expect("a colon in a field");
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    assert!(!name.is_empty() && name.bytes().all(token), "{line:?}");
    assert!(
        value
            .bytes()
            .all(|b| b == b'\t' || (0x20..0x7f).contains(&b)),
        "{line:?}"
    );
    (name.to_owned(), value.trim().to_owned())
}

/// How the end of a body is known (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// By `Content-Length`.
    Sized(usize),
    /// By its chunks.
    Chunked,
    /// By the end of the connection.
    UntilClose,
}

impl Framing {
    /// The framing of the answer to a request of `method`.
    pub fn of(head: &Head, method: &str) -> Self {
        let length = head.field("Content-Length");
        let coding = head.field("Transfer-Encoding");
        assert!(
            length.is_none() || coding.is_none(),
            "both lengths in {}",
            head.raw
        );
        if method == "HEAD" || head.status < 200 || matches!(head.status, 204 | 304) {
            return Framing::None;
        }
        match (length, coding) {
            (Some(length), _) => Framing::Sized(length.parse().expect("a length")),
            (_, Some(coding)) => {
                assert_eq!(coding, "chunked");
                Framing::Chunked
            }
            _ => Framing::UntilClose,
        }
    }
}

/// A body that is read as it comes.
pub struct Body {
    framing: Framing,
}

/// What came of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// One chunk; without chunks, whatever one read brought.
    Bytes(Vec<u8>),
    /// The end that the framing promised.
    End,
    /// The connection ended before.
    Broken,
}

impl Body {
    /// The body after a head with this framing.
    pub fn new(framing: Framing) -> Self {
        Body { framing }
    }

    /// The next piece.
    pub fn next(&mut self, wire: &mut Wire, deadline: Instant) -> Piece {
        match self.framing {
            Framing::None | Framing::Sized(0) => Piece::End,
            Framing::Sized(length) => {
                self.framing = Framing::Sized(0);
                wire.take(length, deadline)
                    .map_or(Piece::Broken, Piece::Bytes)
            }
            Framing::Chunked => self.chunk(wire, deadline).unwrap_or(Piece::Broken),
            Framing::UntilClose => {
                if wire.unread.is_empty() && wire.must_move(deadline) == Arrival::End {
                    return Piece::End;
                }
                Piece::Bytes(std::mem::take(&mut wire.unread))
            }
        }
    }

    fn chunk(&mut self, wire: &mut Wire, deadline: Instant) -> Option<Piece> {
        let line = wire.take_through(b"\r\n", deadline)?;
        let size = std::str::from_utf8(&line[..line.len() - 2]).expect("a chunk size");
        let size =
            usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("{size:?} is no chunk size"));
        let mut data = wire.take(size + 2, deadline)?;
        assert_eq!(&data[size..], b"\r\n", "the end of a chunk");
        data.truncate(size);
        if size == 0 {
            self.framing = Framing::None;
            return Some(Piece::End);
        }
        Some(Piece::Bytes(data))
    }

    /// All of it; `None` when the connection ended before the body did.
    pub fn read_all(&mut self, wire: &mut Wire, deadline: Instant) -> Option<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            match self.next(wire, deadline) {
                Piece::Bytes(bytes) => all.extend_from_slice(&bytes),
                Piece::End => return Some(all),
                Piece::Broken => return None,
            }
        }
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// Its head.
    pub head: Head,
    /// Its body, without framing.
    pub body: Vec<u8>,
}

impl Response {
    /// The next answer on `wire`, to a request of `method`; the connection's end fails the test.
    pub fn read(wire: &mut Wire, method: &str) -> Self {
        Self::try_read(wire, method).expect("an answer before the end of the connection")
    }

    /// The next answer; `None` when the connection ends without one.
    pub fn try_read(wire: &mut Wire, method: &str) -> Option<Self> {
        let deadline = deadline();
        let head = Head::read(wire, deadline)?;
        let framing = Framing::of(&head, method);
        let body = Body::new(framing).read_all(wire, deadline)?;
        Some(Response { head, body })
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// The machine code of a refusal, which must be a well-formed problem (RFC 9457).
    pub fn refusal(&self) -> String {
        assert_eq!(self.head.must("Content-Type"), "application/problem+json");
        assert!(self.text().ends_with("}\n"), "{:?}", self.text());
        let problem = self.json();
        assert_eq!(problem["status"], self.status(), "{problem}");
        assert!(problem["type"].is_string(), "{problem}");
        assert!(problem["retry"].is_boolean(), "{problem}");
        for key in ["title", "detail"] {
            assert!(!problem[key].as_str().unwrap_or("").is_empty(), "{problem}");
        }
        problem["code"].as_str().expect("a code").to_owned()
    }
}
