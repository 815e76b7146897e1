//! What travels: an event, its id, its type and its data, and the cursor that a client holds.
//! Pure values; no socket, no clock, no lock.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::hub::channel::Channel;

/// The random name of one life of a journal (from one opening for writing to the next): 10 characters
/// of `[0-9a-z]` on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

impl Epoch {
    const DIGITS: usize = 10;
    const COUNT: u64 = 36u64.pow(Self::DIGITS as u32);

    /// The epoch that 64 random bits stand for.
    pub const fn from_random(bits: u64) -> Self {
        Epoch(bits % Self::COUNT)
    }

    /// The number that it is; [`from_random`](Self::from_random) gives it back.
    pub const fn bits(self) -> u64 {
        self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let digit = |byte| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'z' => Some(byte - b'a' + 10),
            _ => None,
        };
        if text.len() != Self::DIGITS {
            return None;
        }
        // So few digits are within 64 bits.
        let mut bytes = text.bytes();
        let bits = bytes.try_fold(0, |bits, byte| Some(bits * 36 + u64::from(digit(byte)?)));
        bits.map(Epoch)
    }

    fn digits(self) -> [u8; Self::DIGITS] {
        let mut digits = [b'0'; Self::DIGITS];
        let mut rest = self.0;
        for digit in digits.iter_mut().rev() {
            *digit = b"0123456789abcdefghijklmnopqrstuvwxyz"[(rest % 36) as usize];
            rest /= 36;
        }
        digits
    }
}

/// An event's id, and a client's cursor: `<epoch>-<seq>`. As an id it names one event; as a cursor it is
/// the place up to which a subscriber's selectors were examined. At most 31 characters of `[0-9a-z-]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Id {
    /// The life of the journal in which it was given.
    pub epoch: Epoch,
    /// The number within the one sequence over all channels; the first event has 1, so 0 is the
    /// cursor before everything.
    pub seq: u64,
}

/// A place in the sequence that a client was told; the same thing as an [`Id`].
pub type Cursor = Id;

impl Id {
    /// The most bytes of its text.
    const MAX: usize = Epoch::DIGITS + 1 + 20;

    /// Its text, without an allocation.
    pub fn text(self) -> IdText {
        let mut number = itoa::Buffer::new();
        let number = number.format(self.seq).as_bytes();
        let end = 1 + Epoch::DIGITS + 1 + number.len();
        let mut quoted = [b'-'; 1 + Self::MAX + 1];
        quoted[0] = b'"';
        quoted[1..=Epoch::DIGITS].copy_from_slice(&self.epoch.digits());
        quoted[1 + Epoch::DIGITS + 1..end].copy_from_slice(number);
        quoted[end] = b'"';
        IdText { quoted, end }
    }

    /// Reads what [`Display`](fmt::Display) writes; nothing else is an id.
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, seq) = text.split_at_checked(Epoch::DIGITS)?;
        let seq = seq.strip_prefix('-')?;
        let canonical = seq == "0" || !seq.starts_with('0');
        if !canonical || seq.is_empty() || !seq.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Some(Id {
            epoch: Epoch::parse(epoch)?,
            seq: seq.parse().ok()?,
        })
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        f.write_str(std::str::from_utf8(text.bytes()).unwrap_or_default())
    }
}

/// An [`Id`] as text, on the stack.
#[derive(Debug, Clone, Copy)]
pub struct IdText {
    quoted: [u8; 1 + Id::MAX + 1],
    /// Where the closing quote stands.
    end: usize,
}

impl IdText {
    /// The text.
    pub fn bytes(&self) -> &[u8] {
        self.quoted.get(1..self.end).unwrap_or_default()
    }

    /// The text between double quotes, as JSON and an `ETag` have it.
    pub fn quoted(&self) -> &[u8] {
        self.quoted.get(..=self.end).unwrap_or_default()
    }
}

/// The type of an event: 1 to 128 printable ASCII characters, no space at either end, so that it fits
/// an SSE `event:` line and a header field as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventType(Option<Arc<str>>);

/// Why a text is not a type that can be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventTypeError {
    /// Empty, too long, or with characters that an SSE line or a header field cannot carry.
    Malformed,
    /// One of the names that Fourcast's own control blocks have.
    Reserved,
}

impl EventType {
    /// The most characters that a type may have.
    pub const MAX: usize = 128;
    const DEFAULT: &'static str = "message";
    const RESERVED: [&'static str; 5] = ["welcome", "gap", "bye", "open", "error"];

    /// The type `message`, which an event has when none is named.
    pub const fn message() -> Self {
        EventType(None)
    }

    /// Reads a type as a publisher names it.
    pub fn parse(text: &str) -> Result<Self, EventTypeError> {
        let printable = text.bytes().all(|b| (0x20..=0x7e).contains(&b));
        let trimmed = !text.starts_with(' ') && !text.ends_with(' ');
        if text.is_empty() || text.len() > Self::MAX || !printable || !trimmed {
            return Err(EventTypeError::Malformed);
        }
        if Self::RESERVED.contains(&text) {
            return Err(EventTypeError::Reserved);
        }
        Ok(if text == Self::DEFAULT {
            Self::message()
        } else {
            EventType(Some(text.into()))
        })
    }

    /// Whether this is `message`, the type that browsers hand to `onmessage`.
    pub fn is_message(&self) -> bool {
        self.0.is_none()
    }

    /// The type as it was named.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or(Self::DEFAULT)
    }
}

impl fmt::Display for EventTypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EventTypeError::Malformed => write!(
                f,
                "a type is 1 to {} printable ASCII characters without a space at either end",
                EventType::MAX
            ),
            EventTypeError::Reserved => write!(
                f,
                "the types {} belong to Fourcast's own control messages; choose another",
                EventType::RESERVED.join(", ")
            ),
        }
    }
}

impl std::error::Error for EventTypeError {}

/// A payload in one of the three forms that an event's JSON knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// JSON as it was published, without white space outside its strings, so one line.
    Json(Box<str>),
    /// Text, a JSON string on the wire.
    Text(Box<str>),
    /// Bytes, base64 on the wire.
    Binary(Box<[u8]>),
}

/// Why a text cannot be published as JSON.
#[derive(Debug)]
pub enum NotJson {
    /// It is none (RFC 8259).
    Malformed(serde_json::Error),
    /// It is nested deeper than [`Data::MAX_DEPTH`], beyond which parsers of clients give up.
    TooDeep,
}

impl fmt::Display for NotJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotJson::Malformed(error) => error.fmt(f),
            NotJson::TooDeep => write!(f, "it is nested more than {} deep", Data::MAX_DEPTH),
        }
    }
}

impl std::error::Error for NotJson {}

impl Data {
    /// How deep JSON may be nested: one event that a client's parser gives up on would keep it from all
    /// that come after.
    pub const MAX_DEPTH: usize = 100;

    /// Checks JSON and takes the white space outside strings away; numbers keep their digits.
    pub fn json(text: &str) -> Result<Self, NotJson> {
        serde_json::from_str::<&serde_json::value::RawValue>(text).map_err(NotJson::Malformed)?;
        minified(text).map(|json| Data::Json(json.into()))
    }

    /// The bytes as they were published (JSON: without its white space).
    pub fn bytes(&self) -> &[u8] {
        match self {
            Data::Json(text) | Data::Text(text) => text.as_bytes(),
            Data::Binary(bytes) => bytes,
        }
    }

    /// The media type that this form stands for when the event names none.
    pub const fn media_type(&self) -> &'static str {
        match self {
            Data::Json(_) => "application/json",
            Data::Text(_) => "text/plain; charset=utf-8",
            Data::Binary(_) => "application/octet-stream",
        }
    }
}

/// Valid JSON without the white space outside its strings.
fn minified(json: &str) -> Result<String, NotJson> {
    let mut out = String::with_capacity(json.len());
    let (mut in_string, mut escaped, mut depth) = (false, false, 0usize);
    for c in json.chars() {
        match c {
            ' ' | '\t' | '\r' | '\n' if !in_string => continue,
            '[' | '{' if !in_string => depth += 1,
            ']' | '}' if !in_string => depth = depth.saturating_sub(1),
            '"' if !escaped => in_string = !in_string,
            _ => {}
        }
        if depth > Data::MAX_DEPTH {
            return Err(NotJson::TooDeep);
        }
        escaped = in_string && c == '\\' && !escaped;
        out.push(c);
    }
    Ok(out)
}

/// One event, as the journal numbered it. Shared, never changed.
#[derive(Debug)]
pub struct Event {
    /// Its place in the one sequence over all channels.
    pub id: Id,
    /// The channel it was published to.
    pub channel: Arc<Channel>,
    /// Its type.
    pub kind: EventType,
    /// When the journal took it: milliseconds since 1970-01-01 UTC; never less than the one before it.
    pub time: u64,
    /// When it ceases to be owed to anyone who comes back, in the same clock; `None`: by retention only.
    pub expires: Option<u64>,
    /// The media type, where it says more than the form of `data` does.
    pub content_type: Option<Box<str>>,
    /// Its payload.
    pub data: Data,
}

impl Event {
    /// Whether its own time to live has passed at `now` (milliseconds since 1970).
    pub fn expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }

    /// Whether it is delivered live and never kept.
    pub fn is_fleeting(&self) -> bool {
        self.expires == Some(self.time)
    }

    /// The media type of its payload.
    pub fn media_type(&self) -> &str {
        self.content_type
            .as_deref()
            .unwrap_or(self.data.media_type())
    }

    /// Roughly what it costs to keep, in bytes: the payload and the record around it.
    pub fn weight(&self) -> usize {
        const RECORD: usize = 192;
        RECORD + self.data.bytes().len() + self.content_type.as_ref().map_or(0, |t| t.len())
    }

    /// Appends the JSON object that every way carries: `id`, `channel`, `type`, `time`, what explains
    /// the data, and `data` last. One line; no final LF.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"id":"#);
        out.extend_from_slice(self.id.text().quoted());
        // A name needs no escapes.
        out.extend_from_slice(br#","channel":""#);
        out.extend_from_slice(self.channel.name().as_str().as_bytes());
        out.extend_from_slice(br#"","type":"#);
        write_json_string(out, self.kind.as_str());
        out.extend_from_slice(br#","time":"#);
        out.extend_from_slice(itoa::Buffer::new().format(self.time).as_bytes());
        if let Some(media_type) = &self.content_type {
            out.extend_from_slice(br#","content_type":"#);
            write_json_string(out, media_type);
        }
        if matches!(self.data, Data::Binary(_)) {
            out.extend_from_slice(br#","encoding":"base64""#);
        }
        out.extend_from_slice(br#","data":"#);
        self.write_data(out);
        out.push(b'}');
    }

    fn write_data(&self, out: &mut Vec<u8>) {
        match &self.data {
            Data::Json(json) => out.extend_from_slice(json.as_bytes()),
            Data::Text(text) => write_json_string(out, text),
            Data::Binary(bytes) => {
                out.push(b'"');
                out.extend_from_slice(BASE64.encode(bytes).as_bytes());
                out.push(b'"');
            }
        }
    }
}

/// Appends `text` as a JSON string (RFC 8259, section 7).
pub fn write_json_string(out: &mut Vec<u8>, text: &str) {
    // A string always serializes, and a Vec takes all of it.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(data: Data) -> Event {
        Event {
            id: Id {
                epoch: Epoch::from_random(1),
                seq: 7,
            },
            channel: Arc::new(Channel::new("rooms/42".parse().unwrap())),
            kind: EventType::message(),
            time: 1_795_363_629_123,
            expires: None,
            content_type: None,
            data,
        }
    }

    fn json(event: &Event) -> String {
        let mut out = Vec::new();
        event.write_json(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn keys_come_in_the_promised_order_with_data_last() {
        let mut event = event(Data::Binary([0xff, 0x00].into()));
        event.content_type = Some("image/png".into());
        assert_eq!(
            json(&event),
            r#"{"id":"0000000001-7","channel":"rooms/42","type":"message","time":1795363629123,"content_type":"image/png","encoding":"base64","data":"/wA="}"#
        );
    }

    #[test]
    fn text_is_escaped_so_that_it_stays_one_line() {
        let line = json(&event(Data::Text("a\r\n\"b\"\u{0}\\".into())));
        assert!(line.ends_with(r#""data":"a\r\n\"b\"\u0000\\"}"#), "{line}");
    }

    #[test]
    fn json_keeps_its_digits_and_loses_its_white_space() {
        let data =
            Data::json(" {\n \"a b\\\" c\" : [1.0 , 1e999, 12345678901234567890123 ]\t} ").unwrap();
        assert_eq!(
            data,
            Data::Json(r#"{"a b\" c":[1.0,1e999,12345678901234567890123]}"#.into())
        );
    }

    #[test]
    fn json_that_is_not_json_is_refused() {
        for text in ["", "{", "nul", "1 2", "{\"a\":}", "\u{feff}1", "\"\n\""] {
            assert!(Data::json(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_id_reads_back_as_it_was_written_and_nothing_else_is_one() {
        let id = Id {
            epoch: Epoch::from_random(u64::MAX),
            seq: u64::MAX,
        };
        assert_eq!(Id::parse(&id.to_string()), Some(id));
        assert!(id.to_string().len() <= 48);
        for text in [
            "",
            "-",
            "0000000001",
            "0000000001-",
            "000000001-1",
            "0000000001-01",
            "0000000001-+1",
            "000000000A-1",
            "0000000001-18446744073709551616",
            "0000000001-1 ",
            "0000000001-1-1",
        ] {
            assert_eq!(Id::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_type_fits_an_sse_line_and_a_header_field() {
        assert!(EventType::parse("order created").is_ok());
        assert!(EventType::parse("message").unwrap().is_message());
        for text in [
            "",
            " a",
            "a ",
            "a\nb",
            "a\rb",
            "a\0b",
            "é",
            &"x".repeat(129),
        ] {
            assert_eq!(
                EventType::parse(text),
                Err(EventTypeError::Malformed),
                "{text:?}"
            );
        }
        for text in ["welcome", "gap", "bye", "open", "error"] {
            assert_eq!(
                EventType::parse(text),
                Err(EventTypeError::Reserved),
                "{text:?}"
            );
        }
    }
}
