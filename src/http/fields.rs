//! The values of single header fields, read by their own grammars. Pure: a text goes in, its meaning comes
//! out, and what means nothing is left out or `None`.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// The elements of a comma-separated list, trimmed, empty ones left out (RFC 9110, section 5.6.1). A comma in
/// a quoted string separates nothing.
pub fn list(value: &str) -> impl Iterator<Item = &str> {
    split(value, b',').filter(|element| !element.is_empty())
}

/// Whether `token` is an element of one of the lists, in any case: `Connection`, `Upgrade`.
pub fn has_token<'a>(values: impl IntoIterator<Item = &'a str>, token: &str) -> bool {
    values
        .into_iter()
        .flat_map(list)
        .any(|element| element.eq_ignore_ascii_case(token))
}

/// Whether an `Accept` names exactly `essence` with a weight above 0 (RFC 9110, section 12.5.1). `*/*` and
/// `type/*` name nothing: every client sends them.
pub fn accepts<'a>(values: impl IntoIterator<Item = &'a str>, essence: &str) -> bool {
    values.into_iter().flat_map(list).any(|range| {
        let mut parts = split(range, b';');
        let named = parts
            .next()
            .is_some_and(|r| r.eq_ignore_ascii_case(essence));
        named && !parts.any(is_zero_weight)
    })
}

/// The seconds of the first `wait` preference in a `Prefer` (RFC 7240, section 4.3); `None` when there is none
/// or it is not a number. A number beyond 64 bits is the largest one.
pub fn prefer_wait<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<Duration> {
    let wait = values
        .into_iter()
        .flat_map(list)
        .filter_map(|preference| split(preference, b';').next())
        .map(parameter)
        .find(|(name, _)| name.eq_ignore_ascii_case("wait"))?;
    seconds(wait.1)
}

/// What an `If-None-Match` asks for (RFC 9110, section 13.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoneMatch<T> {
    /// `*`: any representation.
    Any,
    /// One of some entity tags: what the first of them that means something means.
    Tagged(Option<T>),
}

/// Reads the values of `If-None-Match`; `None` when they name nothing. `read` is given opaque tags, without quotes
/// and `W/`: the comparison is the weak one. A tag that came without quotes, as scripts send it, is taken as
/// it stands.
pub fn if_none_match<'a, T>(
    values: impl IntoIterator<Item = &'a str>,
    mut read: impl FnMut(&'a str) -> Option<T>,
) -> Option<NoneMatch<T>> {
    let (mut first, mut tagged) = (None, false);
    for value in values {
        for element in entity_tags(value) {
            if element == "*" {
                return Some(NoneMatch::Any);
            }
            tagged = true;
            first = first.or_else(|| read(opaque(element)));
        }
    }
    tagged.then_some(NoneMatch::Tagged(first))
}

/// A media type as `Content-Type` gives it (RFC 9110, section 8.3.1), with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType {
    text: String,
    /// Where the slash stands.
    slash: usize,
    /// Where `type/subtype` ends.
    end: usize,
}

impl MediaType {
    /// Reads a media type; `None` unless it begins with `type/subtype`.
    pub fn parse(value: &str) -> Option<MediaType> {
        let text = value.trim_ascii();
        let essence = split(text, b';').next()?;
        let slash = essence.bytes().position(|byte| byte == b'/')?;
        let (family, subtype) = (essence.get(..slash)?, essence.get(slash + 1..)?);
        (is_token(family) && is_token(subtype)).then(|| MediaType {
            text: text.to_owned(),
            slash,
            end: essence.len(),
        })
    }

    /// The media type as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this is `essence`, a `type/subtype`, whatever its parameters.
    pub fn is(&self, essence: &str) -> bool {
        self.essence().eq_ignore_ascii_case(essence)
    }

    /// The first `charset` among its parameters.
    pub fn charset(&self) -> Option<&str> {
        let parameters = self.text.get(self.end..)?;
        if parameters.is_empty() {
            return None;
        }
        split(parameters, b';')
            .map(parameter)
            .find(|(name, _)| name.eq_ignore_ascii_case("charset"))
            .map(|(_, charset)| charset)
    }

    /// Whether the payload is one JSON value: `application/json` or a `+json` (RFC 6839).
    pub fn is_json(&self) -> bool {
        const SUFFIX: &str = "+json";
        let essence = self.essence();
        let suffix = essence.get(essence.len().saturating_sub(SUFFIX.len())..);
        self.is("application/json") || suffix.is_some_and(|s| s.eq_ignore_ascii_case(SUFFIX))
    }

    /// Whether the payload is several in one, as forms with files send it.
    pub fn is_multipart(&self) -> bool {
        self.is_of("multipart")
    }

    /// Whether the payload is octets whatever they look like: `application/octet-stream`, images, sound,
    /// video. All else is text as long as it is UTF-8.
    pub fn is_binary(&self) -> bool {
        let families = ["image", "audio", "video"];
        families.iter().any(|family| self.is_of(family)) || self.is("application/octet-stream")
    }

    fn is_of(&self, family: &str) -> bool {
        let own = self.text.get(..self.slash).unwrap_or_default();
        own.eq_ignore_ascii_case(family)
    }

    fn essence(&self) -> &str {
        self.text.get(..self.end).unwrap_or_default()
    }
}

/// A host and perhaps a port, as `Host`, an absolute target and an `Origin` have it (RFC 3986, section 3.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Authority {
    /// A name or IPv4 address in lower case, or an IPv6 address in its canonical form without brackets.
    pub host: String,
    /// The port; `None` when it was left out or empty.
    pub port: Option<u16>,
}

impl Authority {
    /// Reads `host`, `host:port`, `[IPv6]` or `[IPv6]:port`. `None` for anything else, user information,
    /// percent-encoding and an empty host included.
    pub fn parse(text: &str) -> Option<Authority> {
        let (host, rest) = match text.strip_prefix('[') {
            Some(literal) => {
                let (address, rest) = literal.split_once(']')?;
                (address.parse::<Ipv6Addr>().ok()?.to_string(), rest)
            }
            None => {
                let end = text.bytes().position(|byte| !may_stand_in_host(byte));
                let (name, rest) = text.split_at(end.unwrap_or(text.len()));
                (!name.is_empty()).then(|| (name.to_ascii_lowercase(), rest))?
            }
        };
        let port = port(rest)?;
        Some(Authority { host, port })
    }

    /// The host as an address, when it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl std::fmt::Display for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]", self.host)?,
            false => f.write_str(&self.host)?,
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// Whether `text` is a token (RFC 9110, section 5.6.2).
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(super::is_token_byte)
}

/// `:port`, `:` or nothing; the outer `None` when it is something else.
fn port(rest: &str) -> Option<Option<u16>> {
    let Some(digits) = rest.strip_prefix(':').filter(|digits| !digits.is_empty()) else {
        return matches!(rest, "" | ":").then_some(None);
    };
    let sound = digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit());
    sound.then(|| digits.parse().ok().map(Some))?
}

fn may_stand_in_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// `q=0`, `q=0.`, `q=0.000`: not acceptable (RFC 9110, section 12.4.2).
fn is_zero_weight(part: &str) -> bool {
    let (name, weight) = parameter(part);
    name.eq_ignore_ascii_case("q")
        && weight.starts_with('0')
        && weight.bytes().all(|b| matches!(b, b'0' | b'.'))
}

/// `name=value`, the value without its quotes; an empty value when there is none.
fn parameter(part: &str) -> (&str, &str) {
    let (name, value) = part.split_once('=').unwrap_or((part, ""));
    let value = value.trim();
    let unquoted = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    (name.trim(), unquoted.unwrap_or(value))
}

fn seconds(digits: &str) -> Option<Duration> {
    let sound = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    sound.then(|| Duration::from_secs(digits.parse().unwrap_or(u64::MAX)))
}

fn opaque(tag: &str) -> &str {
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let unquoted = tag.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    unquoted.unwrap_or(tag)
}

/// Splits at `separator` outside of quoted strings, in which a backslash escapes; parts are trimmed.
fn split(value: &str, separator: u8) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    separate(value, separator, move |byte| {
        let counts = !quoted;
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        counts
    })
}

/// Splits a list of entity-tags. They have no escapes: `"\"` is a whole one (RFC 9110, section 8.8.3).
fn entity_tags(value: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let elements = separate(value, b',', move |byte| {
        quoted ^= byte == b'"';
        !quoted
    });
    elements.filter(|element| !element.is_empty())
}

/// Splits at `separator`, an ASCII character, where it `counts`; parts are trimmed.
fn separate(
    value: &str,
    separator: u8,
    mut counts: impl FnMut(u8) -> bool,
) -> impl Iterator<Item = &str> {
    // Most values are one part, which need not be read.
    let is_one = !value.as_bytes().contains(&separator);
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = match is_one {
            true => None,
            false => text
                .bytes()
                .position(|byte| counts(byte) && byte == separator),
        };
        rest = end.and_then(|end| text.get(end + 1..));
        text.get(..end.unwrap_or(text.len())).map(str::trim_ascii)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_in_any_case_and_never_as_a_part_of_another() {
        assert!(has_token(["keep-alive, Upgrade"], "upgrade"));
        assert!(has_token(["keep-alive", "UPGRADE"], "upgrade"));
        assert!(has_token([",, upgrade ,"], "upgrade"));
        assert!(!has_token(["upgrade-insecure, xupgrade"], "upgrade"));
        assert!(!has_token(["\"a, upgrade, b\""], "upgrade"));
        assert!(!has_token([""], ""));
    }

    #[test]
    fn accept_counts_only_when_it_names_the_type_and_wants_it() {
        let sse = "text/event-stream";
        for (value, expected) in [
            ("text/event-stream", true),
            ("Text/Event-Stream", true),
            ("text/html, text/event-stream;q=0.5", true),
            ("text/event-stream; charset=utf-8", true),
            ("text/event-stream;q=0", false),
            ("text/event-stream ; Q=0.000", false),
            ("*/*", false),
            ("text/*", false),
            ("text/event-streams", false),
            ("text/plain;note=\"a, text/event-stream\"", false),
            ("", false),
        ] {
            assert_eq!(accepts([value], sse), expected, "{value}");
        }
    }

    #[test]
    fn the_first_wait_preference_wins_among_others() {
        for (value, expected) in [
            ("wait=10", Some(10)),
            ("respond-async, WAIT=\"25\"; foo=bar, wait=3", Some(25)),
            ("wait = 7", Some(7)),
            ("wait=0", Some(0)),
            ("wait=99999999999999999999999", Some(u64::MAX)),
            ("wait=soon, wait=3", None),
            ("wait=-1", None),
            ("wait", None),
            ("waiting=3", None),
            ("note=\"x, wait=3\"", None),
        ] {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(prefer_wait([value]), expected, "{value}");
        }
        let lines = ["respond-async", "wait=4", "wait=5"];
        assert_eq!(prefer_wait(lines), Some(Duration::from_secs(4)));
    }

    #[test]
    fn entity_tags_lose_quotes_and_weakness() {
        let tags = |value| {
            let mut tags = Vec::new();
            let asked = if_none_match([value], |tag| {
                tags.push(tag);
                None::<()>
            });
            (asked, tags)
        };
        let nothing_known = Some(NoneMatch::Tagged(None));
        assert_eq!(tags("\"a-1\""), (nothing_known, vec!["a-1"]));
        let several = vec!["a,b", "c\\", "d-4"];
        assert_eq!(tags("W/\"a,b\" , \"c\\\", d-4"), (nothing_known, several));
        assert_eq!(tags("*"), (Some(NoneMatch::Any), vec![]));
        assert_eq!(tags("a, *"), (Some(NoneMatch::Any), vec!["a"]));
        assert_eq!(tags("\"*\""), (nothing_known, vec!["*"]));
        assert_eq!(tags(" , "), (None, vec![]));
        assert_eq!(tags("\"\""), (nothing_known, vec![""]));
    }

    #[test]
    fn the_first_entity_tag_that_means_something_counts() {
        let asked = if_none_match(["a, 1", "2, b"], |tag| tag.parse().ok());
        assert_eq!(asked, Some(NoneMatch::Tagged(Some(1))));
    }

    #[test]
    fn a_media_type_knows_its_family() {
        let parse = |value| MediaType::parse(value).unwrap();
        let html = parse(" Text/HTML; boundary=x; Charset=\"UTF-8\"; charset=x");
        assert!(html.is("text/html") && !html.is("text/htm"));
        assert_eq!(html.charset(), Some("UTF-8"));
        assert_eq!(parse("text/plain").charset(), None);
        assert!(!html.is_binary() && !html.is_json() && !html.is_multipart());
        assert!(parse("application/json").is_json());
        assert!(parse("application/problem+JSON;q=1").is_json());
        assert!(!parse("application/jsonl").is_json());
        assert!(parse("multipart/form-data; boundary=\";,\"").is_multipart());
        for binary in [
            "application/octet-stream",
            "image/svg+xml",
            "audio/ogg",
            "video/mp4",
        ] {
            assert!(parse(binary).is_binary(), "{binary}");
        }
        for broken in [
            "",
            "text",
            "/",
            "text/",
            "te xt/plain",
            "text/pl@in",
            "a/b/c",
        ] {
            assert_eq!(MediaType::parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn an_authority_is_a_host_and_perhaps_a_port() {
        for (text, host, port) in [
            ("LocalHost:8080", "localhost", Some(8080)),
            ("example.com", "example.com", None),
            ("example.com:", "example.com", None),
            ("127.0.0.1:1", "127.0.0.1", Some(1)),
            ("[::1]:8080", "::1", Some(8080)),
            ("[0:0::1]", "::1", None),
        ] {
            let authority = Authority::parse(text).unwrap();
            assert_eq!(
                (authority.host.as_str(), authority.port),
                (host, port),
                "{text}"
            );
        }
        assert_eq!(
            Authority::parse("[::1]:80").unwrap().to_string(),
            "[::1]:80"
        );
        assert!(Authority::parse("127.0.0.1").unwrap().ip().is_some());
    }

    #[test]
    fn what_is_no_authority_is_none() {
        for text in [
            "",
            ":80",
            "a b",
            "a,b",
            "user@host",
            "a:80:80",
            "a:80x",
            "a:65536",
            "a:+80",
            "a:000080",
            "::1",
            "[::1",
            "[::1]80",
            "[a]",
            "[]",
            "a/b",
            "a%41",
            "é",
        ] {
            assert_eq!(Authority::parse(text), None, "{text}");
        }
    }
}
