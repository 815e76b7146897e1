//! Reads a request head, looking at each byte once, and refuses at the first byte that no well-formed head
//! could have there.

use std::ops::Range;

use super::head::Ceilings;
use super::{Method, Version, is_token_byte};
use crate::refusal::{Kind, Refusal};

/// Longer than any method that is known, short enough that a stream of letters ends early.
const METHOD_BYTES: usize = 32;

const USUAL_VERSION: &[u8] = b"HTTP/1.1";
/// The fields that most heads have no more than.
const USUAL_FIELDS: usize = 8;

/// What a byte may stand in: each class is one bit.
const TOKEN: u8 = 1;
const TARGET: u8 = 2;
const VALUE: u8 = 4;
static CLASSES: [u8; 256] = classes();

/// How far a head was looked at. Calls pass the same bytes again, with more behind them.
#[derive(Debug, Default)]
pub(super) struct Scan {
    place: Place,
    /// The first byte that was not looked at.
    at: usize,
    /// Where the current line, or the current word of the request line, begins.
    word: usize,
    method: Range<usize>,
    /// Where the colon of the current field line stands.
    colon: usize,
    /// What was read so far; where it ends is known at its end.
    head: Complete,
}

/// Where in a head the next byte stands.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    First,
    Method,
    Target,
    Version,
    Name,
    Value,
}

/// A complete head: its parts are ranges of the bytes that were looked at.
#[derive(Debug, Clone, Default)]
pub(super) struct Complete {
    pub method: Method,
    pub version: Version,
    pub target: Range<usize>,
    pub lines: Vec<Line>,
    pub names: Names,
    /// The first byte after its final CRLF.
    pub end: usize,
}

/// A field line; its value is trimmed.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub name: Range<usize>,
    pub value: Range<usize>,
}

/// Which field names there may be: a bit for each length and first letter, so that one that is not there is
/// mostly known not to be without a look at the others.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Names(u64);

impl Names {
    fn insert(&mut self, name: &[u8]) {
        self.0 |= Self::bit(name);
    }

    #[inline]
    pub fn may_have(self, name: &str) -> bool {
        self.0 & Self::bit(name.as_bytes()) != 0
    }

    /// With 17, no two of the names that requests are asked for share a bit.
    #[inline]
    fn bit(name: &[u8]) -> u64 {
        let first = name.first().map_or(0, u8::to_ascii_lowercase);
        1 << ((usize::from(first) * 17 + name.len()) % 64)
    }
}

impl Scan {
    /// Whether nothing of a head was looked at yet.
    pub fn is_new(&self) -> bool {
        self.at == 0
    }

    /// Looks at what is new in `input`; `None` when the head is not complete yet.
    pub fn advance(
        &mut self,
        input: &[u8],
        ceilings: &Ceilings,
    ) -> Result<Option<Complete>, Refusal> {
        let window = input.get(..ceilings.head_bytes).unwrap_or(input);
        loop {
            self.skip(window, ceilings);
            let Some(&byte) = window.get(self.at) else {
                break;
            };
            if byte != b'\r' {
                self.byte(byte, ceilings)?;
                self.at += 1;
                continue;
            }
            match window.get(self.at + 1) {
                None => break,
                Some(b'\n') => {}
                Some(_) => {
                    return Err(malformed(
                        "a CR stands alone in the head; lines end with CRLF",
                    ));
                }
            }
            if self.line_end(window, ceilings)? {
                return Ok(Some(std::mem::take(self).head));
            }
        }
        if input.len() >= ceilings.head_bytes {
            return Err(head_too_large(ceilings));
        }
        Ok(None)
    }

    /// Passes over bytes that may stand here whatever follows them, which is most of a head.
    fn skip(&mut self, window: &[u8], ceilings: &Ceilings) {
        match self.place {
            Place::First => {}
            Place::Method => self.pass(window, TOKEN, METHOD_BYTES),
            Place::Target => self.pass(window, TARGET, ceilings.target_bytes),
            Place::Version => self.pass_version(window),
            Place::Name => {
                self.pass(window, TOKEN, usize::MAX);
                if window.get(self.at) == Some(&b':') && self.length() > 0 {
                    self.colon();
                    self.at += 1;
                    self.pass(window, VALUE, usize::MAX);
                }
            }
            Place::Value => self.pass(window, VALUE, usize::MAX),
        }
    }

    /// Passes over bytes of a class, as long as the current word has `most` bytes at most.
    fn pass(&mut self, window: &[u8], class: u8, most: usize) {
        let rest = window.get(self.at..).unwrap_or_default();
        let rest = rest.get(..most - self.length().min(most)).unwrap_or(rest);
        let ends = |byte: &u8| CLASSES[usize::from(*byte)] & class == 0;
        self.at += rest.iter().position(ends).unwrap_or(rest.len());
    }

    fn pass_version(&mut self, window: &[u8]) {
        let rest = window.get(self.at..).unwrap_or_default();
        if self.length() == 0 && rest.starts_with(USUAL_VERSION) {
            self.at += USUAL_VERSION.len();
        }
    }

    fn byte(&mut self, byte: u8, ceilings: &Ceilings) -> Result<(), Refusal> {
        if byte == b'\n' {
            // Read as a line end by some and as a byte by others, it smuggles a field or a request.
            return Err(malformed(
                "an LF stands alone in the head; lines end with CRLF",
            ));
        }
        match self.place {
            Place::First => {
                refuse_tls(byte)?;
                self.place = Place::Method;
                self.method(byte)
            }
            Place::Method => self.method(byte),
            Place::Target => self.target(byte, ceilings),
            Place::Version => self.version(byte),
            Place::Name => self.name(byte),
            Place::Value => value(byte),
        }
    }

    fn method(&mut self, byte: u8) -> Result<(), Refusal> {
        match byte {
            b' ' if self.length() > 0 => {
                self.method = self.word..self.at;
                self.next_word(Place::Target);
            }
            byte if !is_token_byte(byte) => {
                return Err(malformed("the request line does not begin with a method"));
            }
            _ if self.length() >= METHOD_BYTES => return Err(unknown_method()),
            _ => {}
        }
        Ok(())
    }

    fn target(&mut self, byte: u8, ceilings: &Ceilings) -> Result<(), Refusal> {
        match byte {
            b' ' if self.length() > 0 => {
                self.head.target = self.word..self.at;
                self.next_word(Place::Version);
            }
            b'#' => {
                return Err(malformed("the request target has a fragment; leave it out"));
            }
            0x21..=0x7e if self.length() < ceilings.target_bytes => {}
            0x21..=0x7e => return Err(target_too_long(ceilings)),
            _ => {
                return Err(malformed(
                    "the request target is empty, or has a byte that must be percent-encoded",
                ));
            }
        }
        Ok(())
    }

    fn version(&mut self, byte: u8) -> Result<(), Refusal> {
        let fits = match self.length() {
            index @ 0..=4 => b"HTTP/".get(index) == Some(&byte),
            5 | 7 => byte.is_ascii_digit(),
            6 => byte == b'.',
            _ => false,
        };
        if fits { Ok(()) } else { Err(no_version()) }
    }

    fn name(&mut self, byte: u8) -> Result<(), Refusal> {
        let first = self.length() == 0;
        match byte {
            b':' if !first => self.colon(),
            b' ' | b'\t' if first => {
                return Err(malformed(
                    "a field line is folded; put each field on one line",
                ));
            }
            // A proxy that drops this field and a server that reads it would disagree on the framing.
            b' ' | b'\t' => return Err(malformed("white space stands before a field's colon")),
            byte if !is_token_byte(byte) => {
                return Err(malformed("a field line does not begin with a field name"));
            }
            _ => {}
        }
        Ok(())
    }

    /// Ends the current line at its CRLF; true when it was the empty line that ends the head.
    fn line_end(&mut self, window: &[u8], ceilings: &Ceilings) -> Result<bool, Refusal> {
        let line_end = self.at;
        match self.place {
            // One empty line before the request line is ignored (RFC 9112, section 2.2).
            Place::First => {}
            Place::Method => return Err(malformed("the request line has no target")),
            Place::Target => return Err(no_version()),
            Place::Version => self.request_line(window)?,
            Place::Name if self.length() > 0 => {
                return Err(malformed("a field line has no colon"));
            }
            Place::Name => {}
            Place::Value => self.field_line(window, ceilings)?,
        }
        let ends_head = self.place == Place::Name;
        self.place = match self.place {
            Place::First => Place::Method,
            _ => Place::Name,
        };
        self.at = line_end + 2;
        self.word = self.at;
        self.head.end = self.at;
        Ok(ends_head)
    }

    /// The version is judged before the method, so that the preface of HTTP/2 hears of its version.
    fn request_line(&mut self, window: &[u8]) -> Result<(), Refusal> {
        let version = window.get(self.word..self.at).unwrap_or_default();
        self.head.version = match version {
            USUAL_VERSION => Version::Http11,
            b"HTTP/1.0" => Version::Http10,
            version if version.len() < USUAL_VERSION.len() => return Err(no_version()),
            _ => {
                return Err(Refusal::new(
                    Kind::VersionNotSupported,
                    "this server speaks HTTP/1.1 and HTTP/1.0",
                ));
            }
        };
        let method = window.get(self.method.clone()).unwrap_or_default();
        self.head.method = Method::from_token(method).ok_or_else(unknown_method)?;
        self.head.lines = Vec::with_capacity(USUAL_FIELDS);
        Ok(())
    }

    fn field_line(&mut self, window: &[u8], ceilings: &Ceilings) -> Result<(), Refusal> {
        if self.head.lines.len() >= ceilings.fields {
            return Err(too_many_fields(ceilings));
        }
        let value = window.get(self.colon + 1..self.at).unwrap_or_default();
        let value = value.trim_ascii_start();
        let begin = self.at - value.len();
        let name = window.get(self.word..self.colon).unwrap_or_default();
        self.head.names.insert(name);
        self.head.lines.push(Line {
            name: self.word..self.colon,
            value: begin..begin + value.trim_ascii_end().len(),
        });
        Ok(())
    }

    fn colon(&mut self) {
        self.colon = self.at;
        self.place = Place::Value;
    }

    fn length(&self) -> usize {
        self.at.saturating_sub(self.word)
    }

    fn next_word(&mut self, place: Place) {
        self.place = place;
        self.word = self.at + 1;
    }
}

fn value(byte: u8) -> Result<(), Refusal> {
    match byte {
        b'\t' | 0x20..=0x7e | 0x80.. => Ok(()),
        _ => Err(malformed("a field value has a control character")),
    }
}

/// The first byte of a TLS record with a ClientHello; no method begins with it.
fn refuse_tls(byte: u8) -> Result<(), Refusal> {
    match byte {
        0x16 => Err(malformed(
            "this looks like TLS, and this port speaks plain HTTP: use http:// instead of https://",
        )),
        _ => Ok(()),
    }
}

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut index = 0;
    while index < classes.len() {
        let byte = index as u8;
        if is_token_byte(byte) {
            classes[index] |= TOKEN;
        }
        if matches!(byte, 0x21..=0x7e) && byte != b'#' {
            classes[index] |= TARGET;
        }
        if matches!(byte, b'\t' | 0x20..=0x7e | 0x80..) {
            classes[index] |= VALUE;
        }
        index += 1;
    }
    classes
}

fn malformed(detail: &'static str) -> Refusal {
    Refusal::new(Kind::BadRequest, detail)
}

fn no_version() -> Refusal {
    malformed("the request line does not end with an HTTP version, such as HTTP/1.1")
}

fn unknown_method() -> Refusal {
    Refusal::new(Kind::NotImplemented, "the method is not known here")
}

fn target_too_long(ceilings: &Ceilings) -> Refusal {
    let most = ceilings.target_bytes;
    Refusal::new(
        Kind::UriTooLong,
        format!("the request target may have {most} bytes"),
    )
}

fn head_too_large(ceilings: &Ceilings) -> Refusal {
    let most = ceilings.head_bytes;
    Refusal::new(
        Kind::HeadTooLarge,
        format!("the request head may have {most} bytes"),
    )
}

fn too_many_fields(ceilings: &Ceilings) -> Refusal {
    let most = ceilings.fields;
    Refusal::new(
        Kind::HeadTooLarge,
        format!("the request head may have {most} fields"),
    )
}
