//! Bytes become the head of a request, whole and sound, or a refusal (RFC 9112, sections 2 to 6).
//!
//! The head is copied once; its target and its fields are ranges of that copy.

use std::fmt;
use std::ops::Range;

use super::fields::{Authority, has_token};
use super::scan::{Complete, Line, Names, Scan};
use super::{Method, Version};
use crate::refusal::{Kind, Refusal};

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

/// The longest head that is kept while a connection is idle.
const KEPT_BYTES: usize = 2 * 1024;

/// For a head that was found to be within its bounds.
const UNBOUNDED: Ceilings = Ceilings {
    head_bytes: usize::MAX,
    target_bytes: usize::MAX,
    fields: usize::MAX,
};

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
    /// The head before this one, if it was kept.
    last: Option<Head>,
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
        if self.scan.is_new()
            && let Some(last) = self.last.take()
            && last.begins(input, ceilings)
        {
            let end = last.fields.text.len();
            return Ok(Some((last, end)));
        }
        let Some(complete) = self.scan.advance(input, ceilings)? else {
            return Ok(None);
        };
        let end = complete.end;
        let head = Head::from_complete(input.get(..end).unwrap_or_default(), complete)?;
        Ok(Some((head, end)))
    }

    /// Takes a head back that is done with. Whoever asks again, such as for news, mostly says the same, and
    /// what comes byte for byte again need not be parsed again.
    pub fn keep(&mut self, head: Head) {
        self.last = Some(head).filter(|head| head.fields.text.len() <= KEPT_BYTES);
    }
}

/// The head of a request whose framing is beyond doubt.
#[derive(Clone)]
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

/// Neither query nor fields: tokens and keys stand there.
impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path())
    }
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
        let says = |option| self.fields.has_token("Connection", option);
        !says("close") && (self.version == Version::Http11 || says("keep-alive"))
    }

    /// Whether the peer waits for `100 Continue` before it sends its body (RFC 9110, section 10.1.1). In
    /// HTTP/1.0 nobody does.
    pub fn expects_continue(&self) -> bool {
        let bodiless = matches!(self.body, BodyFraming::None | BodyFraming::Sized(0));
        !bodiless && self.version == Version::Http11 && self.fields.get("Expect").is_some()
    }

    /// Whether `input` begins with the bytes of this head, which is complete, so that no other could be read
    /// there. A head that was not UTF-8 may be longer as text than it was allowed to be.
    fn begins(&self, input: &[u8], ceilings: &Ceilings) -> bool {
        let window = input.get(..ceilings.head_bytes).unwrap_or(input);
        window.starts_with(self.fields.text.as_bytes())
    }

    fn from_complete(bytes: &[u8], complete: Complete) -> Result<Head, Refusal> {
        let (text, complete) = decoded(bytes, complete)?;
        let (method, version) = (complete.method, complete.version);
        let target = text.get(complete.target).unwrap_or_default();
        let target = Target::parse(method, target)?;
        let authority = target.authority.map(authority).transpose()?;
        let path = span(&text, target.path);
        let query = target.query.map(|query| span(&text, query));
        let fields = Fields {
            text,
            lines: complete.lines,
            names: complete.names,
        };
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

/// A head as text. What is not UTF-8 can only stand in values; U+FFFD is longer than what it stands for, so
/// they are found anew.
fn decoded(bytes: &[u8], complete: Complete) -> Result<(String, Complete), Refusal> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Ok((text.to_owned(), complete));
    }
    let text = String::from_utf8_lossy(bytes).into_owned();
    match Scan::default().advance(text.as_bytes(), &UNBOUNDED)? {
        Some(complete) => Ok((text, complete)),
        None => Err(malformed("the request head is malformed")),
    }
}

/// The header fields of a request, in their order. Names are compared without regard to case. Bytes of a
/// value that are not UTF-8 are read as U+FFFD.
#[derive(Clone)]
pub struct Fields {
    text: String,
    lines: Vec<Line>,
    names: Names,
}

impl Fields {
    /// The value of the first field called `name`, trimmed.
    #[inline]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_all(name).next()
    }

    /// The values of all fields called `name`.
    #[inline]
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &str> {
        let lines = match self.names.may_have(name) {
            true => &self.lines[..],
            false => &[],
        };
        let named = move |line: &&Line| {
            line.name.len() == name.len() && is_called(self.slice(&line.name), name)
        };
        let value = |line: &Line| self.slice(&line.value);
        lines.iter().filter(named).map(value)
    }

    /// The value of the only field called `name`; 400 when there are several.
    #[inline]
    pub fn get_one(&self, name: &str) -> Result<Option<&str>, Refusal> {
        match self.names.may_have(name) {
            true => self.find_one(name),
            false => Ok(None),
        }
    }

    /// Whether a field called `name` lists `token`, in any case.
    #[inline]
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.names.may_have(name) && has_token(self.get_all(name), token)
    }

    fn find_one(&self, name: &str) -> Result<Option<&str>, Refusal> {
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

    /// Names, as they were sent, and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let pair = |line: &Line| (self.slice(&line.name), self.slice(&line.value));
        self.lines.iter().map(pair)
    }

    fn slice(&self, range: &Range<usize>) -> &str {
        self.text.get(range.clone()).unwrap_or_default()
    }
}

/// Whether a field that was sent as `sent` is called `name`: mostly it is written in the same way.
#[inline]
fn is_called(sent: &str, name: &str) -> bool {
    sent == name || sent.eq_ignore_ascii_case(name)
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
        let (authority, rest) = if text.starts_with('/') {
            (None, text)
        } else if let Some(rest) = after_scheme(text) {
            let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            (Some(authority), rest)
        } else if method == Method::Connect {
            (Some(text), "")
        } else {
            return Err(malformed("the request target does not begin with a slash"));
        };
        let end = rest.bytes().position(|byte| byte == b'?');
        let (path, query) = rest.split_at(end.unwrap_or(rest.len()));
        Ok(Target {
            authority,
            path,
            query: query.strip_prefix('?'),
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
    match fields.get_all("Expect").all(known) {
        true => Ok(()),
        false => Err(Refusal::new(
            Kind::ExpectationFailed,
            "the only expectation understood here is 100-continue",
        )),
    }
}

/// Where `part`, which was cut out of `text`, lies in it.
fn span(text: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
    start..start.saturating_add(part.len())
}

fn malformed(detail: &'static str) -> Refusal {
    Refusal::new(Kind::BadRequest, detail)
}

#[cfg(test)]
mod tests;
