//! Bytes become the head of a request, whole and sound, or a refusal (RFC 9112, sections 2 to 6).
//!
//! The head is copied once; its target and its fields are ranges of that copy.

use std::ops::Range;

use super::fields::{Authority, has_token};
use super::scan::{Scan, unknown_method};
use super::{Method, Version};
use crate::refusal::{Kind, Refusal};

const NOT_READ: &str = "the request head is malformed";

/// The bounds of a request head. Beyond them: 431, for the target 414.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceilings {
    /// Bytes from the first one to the final CRLF.
    pub head_bytes: usize,
    /// Bytes of the request target.
    pub target_bytes: usize,
    /// Field lines.
    pub fields: usize,
}

/// Parses one head from the beginning of `input`: `None` when it is not complete yet, else the head and how
/// many bytes it took. A connection that reads piece by piece keeps a [`HeadParser`] instead.
pub fn parse(input: &[u8], ceilings: &Ceilings) -> Result<Option<(Head, usize)>, Refusal> {
    HeadParser::default().parse(input, ceilings)
}

/// Parses heads out of a growing buffer and looks at each byte once, so that a peer that sends one byte at a
/// time costs no more than one that sends all at once.
#[derive(Debug, Default)]
pub struct HeadParser {
    scan: Scan,
}

impl HeadParser {
    /// As [`parse`]. `input` begins with the bytes of the call before, unless that one returned a head: then
    /// the parser begins anew, with the first byte after that head. After a refusal the connection is of
    /// no further use.
    pub fn parse(
        &mut self,
        input: &[u8],
        ceilings: &Ceilings,
    ) -> Result<Option<(Head, usize)>, Refusal> {
        let Some(complete) = self.scan.advance(input, ceilings)? else {
            return Ok(None);
        };
        self.scan = Scan::default();
        let bytes = input.get(complete.begin..complete.end).unwrap_or_default();
        let head = Head::from_complete(bytes, complete.fields)?;
        Ok(Some((head, complete.end)))
    }
}

/// The head of a request whose framing is beyond doubt.
#[derive(Debug, Clone)]
pub struct Head {
    /// What is asked for.
    pub method: Method,
    /// The version that the peer speaks.
    pub version: Version,
    /// Whom the request is for: the authority of an absolute target, else the `Host` (RFC 9112, section
    /// 3.2.2). `None` in HTTP/1.0 only.
    pub host: Option<Authority>,
    /// The header fields.
    pub fields: Fields,
    /// Where the body ends.
    pub body: BodyFraming,
    path: Range<usize>,
    query: Option<Range<usize>>,
}

/// Where the body of a request ends (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFraming {
    /// Neither length: there is no body. A method that needs one is refused with 411 by whoever knows it.
    None,
    /// `Content-Length`, in bytes.
    Sized(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

impl Head {
    /// The path as it was sent, not percent-decoded: it begins with `/`, or is `*` (OPTIONS only). `/` when
    /// the target has none.
    pub fn path(&self) -> &str {
        match self.fields.slice(&self.path) {
            "" => "/",
            path => path,
        }
    }

    /// What follows the first `?` of the target, as it was sent.
    pub fn query(&self) -> Option<&str> {
        self.query.as_ref().map(|query| self.fields.slice(query))
    }

    /// Whether the peer wants the connection kept after this request (RFC 9112, section 9.3).
    pub fn keeps_alive(&self) -> bool {
        let says = |option| self.fields.has_token("connection", option);
        !says("close") && (self.version == Version::Http11 || says("keep-alive"))
    }

    /// Whether the peer waits for `100 Continue` before it sends its body (RFC 9110, section 10.1.1). In
    /// HTTP/1.0 nobody does.
    pub fn expects_continue(&self) -> bool {
        let bodiless = matches!(self.body, BodyFraming::None | BodyFraming::Sized(0));
        !bodiless && self.version == Version::Http11 && self.fields.get("expect").is_some()
    }

    /// Makes a head of `bytes`, which end with the empty line and have `count` field lines.
    fn from_complete(bytes: &[u8], count: usize) -> Result<Head, Refusal> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let mut lines = vec![httparse::EMPTY_HEADER; count];
        let mut request = httparse::Request::new(&mut lines);
        let (method, version) = read(&mut request, &text)?;
        let target = Target::parse(method, request.path.unwrap_or_default())?;
        let authority = target.authority.map(authority).transpose()?;
        let path = span(&text, target.path.as_bytes());
        let query = target.query.map(|query| span(&text, query.as_bytes()));
        let lines = request
            .headers
            .iter()
            .map(|line| Line::of(&text, line))
            .collect();
        let fields = Fields { text, lines };
        let host = host(&fields, version)?;
        let body = framing(&fields, version)?;
        check_expectation(&fields)?;
        Ok(Head {
            method,
            version,
            host: authority.or(host),
            fields,
            body,
            path,
            query,
        })
    }
}

/// The header fields of a request, in their order. Names are compared without regard to case. Bytes of a
/// value that are not UTF-8 are read as U+FFFD.
#[derive(Debug, Clone)]
pub struct Fields {
    text: String,
    lines: Vec<Line>,
}

#[derive(Debug, Clone)]
struct Line {
    name: Range<usize>,
    value: Range<usize>,
}

impl Fields {
    /// The value of the first field called `name`, trimmed.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_all(name).next()
    }

    /// The values of all fields called `name`.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.iter()
            .filter(move |(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The value of the only field called `name`; 400 when there are several.
    pub fn get_one(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut values = self.get_all(name);
        let first = values.next();
        match values.next() {
            None => Ok(first),
            Some(_) => Err(Refusal::new(
                Kind::BadRequest,
                format!("the field {name} may be given only once"),
            )),
        }
    }

    /// Whether a field called `name` lists `token`, in any case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        has_token(self.get_all(name), token)
    }

    /// Names, as they were sent, and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let pair = |line: &Line| (self.slice(&line.name), self.slice(&line.value));
        self.lines.iter().map(pair)
    }

    fn slice(&self, range: &Range<usize>) -> &str {
        self.text.get(range.clone()).unwrap_or_default()
    }
}

impl Line {
    fn of(text: &str, header: &httparse::Header<'_>) -> Line {
        let is_space = |b: &u8| matches!(b, b' ' | b'\t');
        let mut value = header.value;
        while let [rest @ .., last] = value
            && is_space(last)
        {
            value = rest;
        }
        Line {
            name: span(text, header.name.as_bytes()),
            value: span(text, value),
        }
    }
}

/// Lets httparse read `text`. The scan has refused already what httparse would let through; this refuses the
/// reverse, should there be any.
fn read<'t>(
    request: &mut httparse::Request<'_, 't>,
    text: &'t str,
) -> Result<(Method, Version), Refusal> {
    match request.parse(text.as_bytes()) {
        Ok(httparse::Status::Complete(end)) if end == text.len() => {}
        _ => return Err(malformed(NOT_READ)),
    }
    let method = request.method.and_then(Method::from_token);
    let version = match request.version {
        Some(0) => Version::Http10,
        _ => Version::Http11,
    };
    Ok((method.ok_or_else(unknown_method)?, version))
}

/// A request target in its parts (RFC 9112, section 3.2).
struct Target<'a> {
    authority: Option<&'a str>,
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Target<'a> {
    fn parse(method: Method, text: &'a str) -> Result<Target<'a>, Refusal> {
        if text == "*" && method == Method::Options {
            return Ok(Target {
                authority: None,
                path: text,
                query: None,
            });
        }
        let (authority, rest) = match after_scheme(text) {
            _ if text.starts_with('/') => (None, text),
            Some(rest) => {
                let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
                (Some(authority), rest)
            }
            None if method == Method::Connect => (Some(text), ""),
            None => return Err(malformed("the request target does not begin with a slash")),
        };
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        Ok(Target {
            authority,
            path,
            query,
        })
    }
}

/// What follows `http://` or `https://`, in any case.
fn after_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    let known = ["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known));
    known.then_some(rest)
}

/// `Host`: exactly one and well-formed in HTTP/1.1, at most one in HTTP/1.0 (RFC 9112, section 3.2).
fn host(fields: &Fields, version: Version) -> Result<Option<Authority>, Refusal> {
    match fields.get_one("Host")? {
        Some(value) => authority(value).map(Some),
        None if version == Version::Http10 => Ok(None),
        None => Err(malformed("the field Host is missing; HTTP/1.1 requires it")),
    }
}

fn authority(text: &str) -> Result<Authority, Refusal> {
    Authority::parse(text).ok_or_else(|| {
        malformed("the host is malformed; it is a name or an address, perhaps with a port")
    })
}

/// Decides where the body ends. Whatever two readers could understand in two ways is refused: it is how a
/// second request is smuggled past a proxy (RFC 9112, sections 6.3 and 11.2).
fn framing(fields: &Fields, version: Version) -> Result<BodyFraming, Refusal> {
    match (
        fields.get_one("Content-Length")?,
        fields.get_one("Transfer-Encoding")?,
    ) {
        (None, None) => Ok(BodyFraming::None),
        (Some(length), None) => content_length(length).map(BodyFraming::Sized),
        (Some(_), Some(_)) => Err(malformed(
            "Content-Length and Transfer-Encoding exclude each other; send one of them",
        )),
        (None, Some(_)) if version == Version::Http10 => Err(malformed(
            "HTTP/1.0 has no Transfer-Encoding; send a Content-Length",
        )),
        (None, Some(coding)) if coding.eq_ignore_ascii_case("chunked") => Ok(BodyFraming::Chunked),
        (None, Some(_)) => Err(Refusal::new(
            Kind::NotImplemented,
            "the only transfer coding understood here is chunked, alone",
        )),
    }
}

fn content_length(value: &str) -> Result<u64, Refusal> {
    let sound = matches!(value.len(), 1..=10) && value.bytes().all(|b| b.is_ascii_digit());
    let length = sound.then(|| value.parse().ok()).flatten();
    length.ok_or_else(|| malformed("Content-Length is not a number of 1 to 10 digits"))
}

fn check_expectation(fields: &Fields) -> Result<(), Refusal> {
    let known = |value: &str| value.eq_ignore_ascii_case("100-continue");
    match fields.get_all("expect").all(known) {
        true => Ok(()),
        false => Err(Refusal::new(
            Kind::ExpectationFailed,
            "the only expectation understood here is 100-continue",
        )),
    }
}

/// Where `part`, which httparse cut out of `text`, lies in it.
fn span(text: &str, part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
    // What is empty may point anywhere.
    match part.len() {
        0 => 0..0,
        length => start..start.saturating_add(length),
    }
}

fn malformed(detail: &'static str) -> Refusal {
    Refusal::new(Kind::BadRequest, detail)
}

#[cfg(test)]
mod tests;
