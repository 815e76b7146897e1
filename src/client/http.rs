//! HTTP/1.1 from the client's side (RFC 9112), without a socket: a request to bytes, bytes to an answer.

use std::borrow::Cow;

use super::error::Error;

/// The most bytes of an answer's head.
const MAX_HEAD: usize = 32 * 1024;
/// The most fields in an answer's head.
const MAX_FIELDS: usize = 64;
/// The most bytes of the line before a chunk, and of one line of the trailers.
const MAX_CHUNK_LINE: usize = 512;
/// The most lines of trailers.
const MAX_TRAILERS: u32 = 64;

/// A request to be sent.
#[derive(Debug)]
pub(super) struct Request {
    method: &'static str,
    target: String,
    fields: Vec<(Cow<'static, str>, String)>,
    body: Vec<u8>,
}

impl Request {
    /// A request without fields and body. `target` must hold what a request target may (RFC 9112,
    /// section 3.2), and nothing else.
    pub(super) fn new(method: &'static str, target: String) -> Self {
        Request {
            method,
            target,
            fields: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Adds a field. Both parts must have passed [`is_token`] and [`is_field_value`], or be ours.
    pub(super) fn with(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<String>,
    ) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    pub(super) fn with_body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    /// The bytes of the request, for the server named `authority`.
    pub(super) fn render(&self, authority: &str) -> Vec<u8> {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: fourcast/{}\r\n",
            self.method,
            self.target,
            env!("CARGO_PKG_VERSION")
        );
        for (name, value) in &self.fields {
            head.extend([name, ": ", value, "\r\n"]);
        }
        if self.method == "POST" {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Whether `text` can be the name of a field (RFC 9110, section 5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(allowed)
}

/// Whether `text` can be the value of a field as it is. CR and LF would begin a field, or a request,
/// of the attacker's choice.
pub(super) fn is_field_value(text: &str) -> bool {
    let visible = |b: u8| (0x20..=0x7e).contains(&b) || b == b'\t';
    !text.is_empty() && text.trim() == text && text.bytes().all(visible)
}

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct Head {
    /// The status code.
    pub(crate) status: u16,
    keeps_alive_by_version: bool,
    fields: Vec<(String, String)>,
}

impl Head {
    /// Reads a head from the front of `received` and takes it away; `None` while it is incomplete.
    pub(crate) fn take(received: &mut Vec<u8>) -> Result<Option<Self>, Error> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut answer = httparse::Response::new(&mut fields);
        let parsed = answer.parse(received);
        match parsed.map_err(|error| Error::protocol(format!("the answer's head: {error}")))? {
            httparse::Status::Complete(length) => {
                let head = Head::of(&answer);
                received.drain(..length.min(received.len()));
                Ok(Some(head))
            }
            httparse::Status::Partial if received.len() > MAX_HEAD => {
                Err(Error::protocol("the answer's head is too long"))
            }
            httparse::Status::Partial => Ok(None),
        }
    }

    fn of(answer: &httparse::Response<'_, '_>) -> Self {
        let owned = |field: &httparse::Header<'_>| {
            let value = String::from_utf8_lossy(field.value).trim().to_owned();
            (field.name.to_owned(), value)
        };
        Head {
            status: answer.code.unwrap_or_default(),
            keeps_alive_by_version: answer.version == Some(1),
            fields: answer.headers.iter().map(owned).collect(),
        }
    }

    /// The first value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// All values of a field.
    pub(super) fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let named = move |field: &&(String, String)| field.0.eq_ignore_ascii_case(name);
        self.fields.iter().filter(named).map(|field| &*field.1)
    }

    /// Whether one of a field's comma-separated members is `token`, in whatever case.
    pub(super) fn has_token(&self, name: &str, token: &str) -> bool {
        self.values(name)
            .flat_map(|value| value.split(','))
            .any(|member| member.trim().eq_ignore_ascii_case(token))
    }

    /// The media type without its parameters, in lower case.
    pub(super) fn media_type(&self) -> String {
        let value = self.field("content-type").unwrap_or_default();
        let essence = value.split(';').next().unwrap_or_default();
        essence.trim().to_ascii_lowercase()
    }

    /// Whether the connection may carry another request (RFC 9112, section 9.3).
    pub(crate) fn keeps_alive(&self) -> bool {
        self.keeps_alive_by_version && !self.has_token("connection", "close")
    }

    /// The seconds after which the server closes the kept connection (`Keep-Alive: timeout=N`).
    pub(super) fn keep_alive_seconds(&self) -> Option<u32> {
        self.values("keep-alive")
            .flat_map(|value| value.split(','))
            .find_map(|member| member.trim().strip_prefix("timeout=")?.parse().ok())
    }
}

/// What is still to come of an answer's body (RFC 9112, section 6).
#[derive(Debug)]
pub(crate) enum Body {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked(Chunk),
    /// Whatever comes until the server closes.
    UntilClose,
    /// Nothing.
    Done,
}

/// The place inside a chunked body.
#[derive(Debug)]
pub(crate) enum Chunk {
    /// Before the line with the size.
    Size,
    /// Inside the data, so many bytes before its end.
    Data(u64),
    /// Before the CRLF that ends the data.
    DataEnd,
    /// Among the trailers, of which so many were read.
    Trailers(u32),
}

impl Body {
    /// The body that follows `head`.
    pub(crate) fn of(head: &Head) -> Result<Self, Error> {
        if matches!(head.status, 100..=199 | 204 | 304) {
            return Ok(Body::Done);
        }
        let mut codings = head.values("transfer-encoding");
        if let Some(coding) = codings.next() {
            let chunked = coding.eq_ignore_ascii_case("chunked") && codings.next().is_none();
            return if chunked {
                Ok(Body::Chunked(Chunk::Size))
            } else {
                Err(Error::protocol("a transfer coding other than chunked"))
            };
        }
        let mut lengths = head.values("content-length");
        let Some(length) = lengths.next() else {
            return Ok(Body::UntilClose);
        };
        let digits = length.bytes().all(|b| b.is_ascii_digit());
        match length.parse() {
            Ok(0) if lengths.next().is_none() => Ok(Body::Done),
            Ok(length) if digits && lengths.next().is_none() => Ok(Body::Length(length)),
            _ => Err(Error::protocol("Content-Length is not one number")),
        }
    }

    /// Moves what belongs to the body from the front of `received` to the end of `out`.
    pub(crate) fn decode(
        &mut self,
        received: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let mut input = Input::new(received);
        let done = match self {
            Body::Done => true,
            Body::UntilClose => {
                out.extend_from_slice(input.take(u64::MAX));
                false
            }
            Body::Length(left) => {
                let piece = input.take(*left);
                out.extend_from_slice(piece);
                *left -= piece.len() as u64;
                *left == 0
            }
            Body::Chunked(chunk) => chunk.decode(&mut input, out)?,
        };
        let taken = input.taken;
        received.drain(..taken);
        if done {
            *self = Body::Done;
        }
        Ok(())
    }

    /// Whether the whole body was decoded.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Body::Done)
    }

    /// The server closed: right for a body that ends so, a truncation for all others.
    pub(super) fn hang_up(&mut self) -> Result<(), Error> {
        match self {
            Body::UntilClose | Body::Done => {
                *self = Body::Done;
                Ok(())
            }
            Body::Length(_) | Body::Chunked(_) => Err(Error::hung_up()),
        }
    }
}

impl Chunk {
    /// Decodes as far as `input` goes; says whether the last chunk and the trailers were read.
    fn decode(&mut self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<bool, Error> {
        loop {
            if let Chunk::Data(left) = self {
                let piece = input.take(*left);
                out.extend_from_slice(piece);
                *left -= piece.len() as u64;
                if *left > 0 {
                    return Ok(false);
                }
                *self = Chunk::DataEnd;
            }
            let Some(line) = input.line()? else {
                return Ok(false);
            };
            *self = match *self {
                Chunk::Size => match chunk_size(line)? {
                    0 => Chunk::Trailers(0),
                    size => Chunk::Data(size),
                },
                Chunk::Trailers(_) if line.is_empty() => return Ok(true),
                Chunk::Trailers(count) if count < MAX_TRAILERS => Chunk::Trailers(count + 1),
                _ if line.is_empty() => Chunk::Size,
                _ => return Err(Error::protocol("a chunk does not end where it said")),
            };
        }
    }
}

/// Reads the line before a chunk; extensions are dropped. 15 digits cannot overflow.
fn chunk_size(line: &[u8]) -> Result<u64, Error> {
    let line = String::from_utf8_lossy(line);
    let digits = line.split(';').next().unwrap_or_default().trim_end();
    let well_formed = digits.len() <= 15 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    match u64::from_str_radix(digits, 16) {
        Ok(size) if well_formed => Ok(size),
        _ => Err(Error::protocol("a chunk without a size")),
    }
}

/// Received bytes, taken from the front.
struct Input<'a> {
    rest: &'a [u8],
    taken: usize,
}

impl<'a> Input<'a> {
    fn new(received: &'a [u8]) -> Self {
        Input {
            rest: received,
            taken: 0,
        }
    }

    /// At most `most` bytes.
    fn take(&mut self, most: u64) -> &'a [u8] {
        let length = usize::try_from(most).unwrap_or(usize::MAX);
        let (piece, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        self.taken += piece.len();
        piece
    }

    /// One line without its CRLF; `None` while it is incomplete.
    fn line(&mut self) -> Result<Option<&'a [u8]>, Error> {
        let end = self
            .rest
            .windows(2)
            .take(MAX_CHUNK_LINE)
            .position(|pair| pair == b"\r\n");
        match end {
            Some(end) => {
                let line = self.take(end as u64);
                self.take(2);
                Ok(Some(line))
            }
            None if self.rest.len() > MAX_CHUNK_LINE => {
                Err(Error::protocol("a line of the chunked coding is too long"))
            }
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        Head::take(&mut text.as_bytes().to_vec()).unwrap().unwrap()
    }

    /// Decodes `bytes` given in two pieces, cut at every place; all must come to the same.
    fn decode(head_text: &str, bytes: &[u8]) -> Result<(Vec<u8>, bool, Vec<u8>), String> {
        let decode_cut = |cut: usize| -> Result<_, Error> {
            let mut body = Body::of(&head(head_text))?;
            let (mut received, mut out) = (Vec::new(), Vec::new());
            for piece in [&bytes[..cut], &bytes[cut..]] {
                received.extend_from_slice(piece);
                body.decode(&mut received, &mut out)?;
            }
            Ok((out, body.is_done(), received))
        };
        let outcomes: Vec<_> = (0..=bytes.len())
            .map(|cut| decode_cut(cut).map_err(|error| error.to_string()))
            .collect();
        assert!(outcomes.windows(2).all(|pair| pair[0] == pair[1]));
        outcomes.into_iter().next().unwrap()
    }

    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n";
    const SIZED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";

    #[test]
    fn a_request_is_written_with_its_length() {
        let request = Request::new("POST", "/chat".to_owned())
            .with("X", "y")
            .with_body(b"hi".to_vec());
        let text = String::from_utf8(request.render("localhost:1")).unwrap();
        assert!(text.starts_with("POST /chat HTTP/1.1\r\nHost: localhost:1\r\n"));
        assert!(
            text.ends_with("X: y\r\nContent-Length: 2\r\n\r\nhi"),
            "{text}"
        );
    }

    #[test]
    fn a_field_cannot_begin_another() {
        for value in ["a\r\nb", "a\nb", "a\0", " a", "a ", "", "é"] {
            assert!(!is_field_value(value), "{value:?}");
        }
        assert!(is_field_value("Bearer a b"));
        assert!(is_token("X-Y") && !is_token("X Y") && !is_token("X:") && !is_token(""));
    }

    #[test]
    fn a_head_is_taken_when_it_is_whole() {
        let whole = b"HTTP/1.1 204 No Content\r\nKeep-Alive: max=2, timeout=75\r\n\r\n";
        for cut in 0..whole.len() {
            let mut received = whole[..cut].to_vec();
            assert!(Head::take(&mut received).unwrap().is_none(), "{cut}");
            assert_eq!(received.len(), cut);
        }
        let mut received = [whole.as_slice(), b"rest"].concat();
        let head = Head::take(&mut received).unwrap().unwrap();
        assert_eq!(
            (head.status, received.as_slice()),
            (204, b"rest".as_slice())
        );
        assert_eq!(head.keep_alive_seconds(), Some(75));
        assert!(head.keeps_alive() && Body::of(&head).unwrap().is_done());
    }

    #[test]
    fn a_head_without_end_is_refused() {
        let mut received = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
        received.resize(MAX_HEAD + 1, b'x');
        assert!(Head::take(&mut received).is_err());
        assert!(Head::take(&mut b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()).is_err());
    }

    #[test]
    fn a_sized_body_ends_at_its_length() {
        let expected = (b"abc".to_vec(), true, b"HTTP/".to_vec());
        assert_eq!(decode(SIZED, b"abcHTTP/"), Ok(expected));
        assert_eq!(
            decode(SIZED, b"ab"),
            Ok((b"ab".to_vec(), false, Vec::new()))
        );
    }

    #[test]
    fn a_chunked_body_ends_after_its_trailers() {
        let body = b"3;name=value\r\nabc\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\nHTTP/";
        let expected = (b"abc0123456789".to_vec(), true, b"HTTP/".to_vec());
        assert_eq!(decode(CHUNKED, body), Ok(expected));
    }

    #[test]
    fn bad_chunks_are_refused() {
        for body in [
            "\r\nabc",
            "x\r\n",
            "+3\r\nabc",
            "-1\r\nabc",
            "fffffffffffffffff\r\n",
            "3\r\nabcd\r\n",
            &"1".repeat(600),
        ] {
            assert!(decode(CHUNKED, body.as_bytes()).is_err(), "{body:?}");
        }
    }

    #[test]
    fn framing_that_can_be_read_in_two_ways_is_refused() {
        for fields in [
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Content-Length: 3\r\nContent-Length: 4",
            "Content-Length: +3",
            "Content-Length: 3, 3",
        ] {
            let head = head(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n"));
            assert!(Body::of(&head).is_err(), "{fields}");
        }
    }

    #[test]
    fn a_hang_up_is_the_end_of_an_unsized_body_only() {
        let ends = |text: &str| Body::of(&head(text)).unwrap().hang_up().is_ok();
        assert!(ends("HTTP/1.1 200 OK\r\n\r\n"));
        assert!(!ends(SIZED));
        assert!(!ends(CHUNKED));
    }
}
