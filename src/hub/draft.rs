//! What a publisher says becomes a draft: the members that an operation, a line of a batch and a query
//! have in common.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::channel::ChannelName;
use crate::event::{Data, EventType};
use crate::journal::Draft;
use crate::refusal::{Kind, Refusal};

/// The longest media type that is kept with an event, in bytes.
const MEDIA_TYPE_BYTES: usize = 255;

/// The members of an event that is published as JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Members<'a> {
    /// What an event has that was published before; it gets its own anew.
    #[serde(default)]
    pub id: IgnoredAny,
    /// The same.
    #[serde(default)]
    pub time: IgnoredAny,
    /// Where it goes.
    #[serde(borrow)]
    pub channel: Option<Cow<'a, str>>,
    /// Its type.
    #[serde(borrow, rename = "type")]
    pub kind: Option<Cow<'a, str>>,
    /// Its payload; a string is text.
    #[serde(borrow, default, deserialize_with = "present")]
    pub data: Option<&'a RawValue>,
    /// Its time to live: seconds, or text such as `10m`.
    #[serde(borrow, default, deserialize_with = "present")]
    pub ttl: Option<&'a RawValue>,
    /// `base64`, when `data` stands for bytes.
    #[serde(borrow)]
    pub encoding: Option<Cow<'a, str>>,
    /// The media type, where it says more than `data` does.
    #[serde(borrow)]
    pub content_type: Option<Cow<'a, str>>,
}

/// A member that is there even when it is `null`.
pub fn present<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl Members<'_> {
    /// The event that these members describe, for `only` where they name no channel.
    ///
    /// # Errors
    /// A sentence about the first member that means nothing.
    pub fn draft(&self, only: Option<&ChannelName>) -> Result<Draft, Refusal> {
        let channel = self.channel(only)?;
        let mut draft = Draft::new(channel, self.data()?);
        if let Some(kind) = &self.kind {
            draft.kind = parse_type(kind)?;
        }
        draft.ttl = self.ttl.map(ttl_of_json).transpose()?;
        draft.content_type = self.content_type.as_deref().map(media_type).transpose()?;
        Ok(draft)
    }

    fn channel(&self, only: Option<&ChannelName>) -> Result<ChannelName, Refusal> {
        match (&self.channel, only) {
            (Some(name), only) => {
                let name = name
                    .parse()
                    .map_err(|error: super::channel::ChannelNameError| {
                        Refusal::new(Kind::BadChannel, error.to_string())
                    })?;
                match only.filter(|only| **only != name) {
                    None => Ok(name),
                    Some(only) => Err(bad(format!(
                        "'channel' is another one, but this goes to '{only}'"
                    ))),
                }
            }
            (None, Some(only)) => Ok(only.clone()),
            (None, None) => Err(bad("'channel' is missing: name the channel to publish to")),
        }
    }

    fn data(&self) -> Result<Data, Refusal> {
        let Some(data) = self.data else {
            return Err(bad("'data' is missing; it may be null"));
        };
        let text = match data.get().starts_with('"') {
            true => Some(serde_json::from_str::<String>(data.get()).map_err(|error| {
                Refusal::new(
                    Kind::BadPayload,
                    format!("'data' is no Unicode text: {error}"),
                )
            })?),
            false => None,
        };
        match (self.encoding.as_deref(), text) {
            (None, Some(text)) => Ok(Data::Text(text.into())),
            (None, None) => Data::json(data.get()).map_err(not_json),
            (Some("base64"), Some(text)) => match BASE64.decode(text) {
                Ok(bytes) => Ok(Data::Binary(bytes.into())),
                Err(error) => Err(Refusal::new(
                    Kind::BadPayload,
                    format!("'data' is not base64: {error}"),
                )),
            },
            (Some(_), _) => Err(bad(
                "'encoding' may only be \"base64\", with a string as 'data'",
            )),
        }
    }
}

impl Draft {
    /// Text as it is.
    pub fn text(channel: ChannelName, text: &str) -> Self {
        Draft::new(channel, Data::Text(text.into()))
    }

    /// Bytes as they are.
    pub fn binary(channel: ChannelName, bytes: &[u8]) -> Self {
        Draft::new(channel, Data::Binary(bytes.into()))
    }
}

/// Reads an event type.
///
/// # Errors
/// A refusal that says what a type is.
pub fn parse_type(text: &str) -> Result<EventType, Refusal> {
    EventType::parse(text).map_err(|error| bad(error.to_string()))
}

/// Reads a time to live: seconds, or text such as `10m`.
///
/// # Errors
/// A refusal that shows a right one.
pub fn parse_ttl(text: &str) -> Result<Duration, Refusal> {
    parse_duration(text)
        .ok_or_else(|| bad("'ttl' is a number of seconds or a time such as 90s, 10m, 2h, 7d"))
}

/// Seconds, or a number with a unit.
pub fn parse_duration(text: &str) -> Option<Duration> {
    match text.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => humantime::parse_duration(text).ok(),
    }
}

/// What is wrong with an object, and where. A refusal is no echo: serde would tell names and values as they came, which may
/// be a token, or a mebibyte.
pub fn json_fault(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Data => format!(
            "a member is missing, unknown, given twice or of another type, at line {} column {}",
            error.line(),
            error.column()
        ),
        Category::Syntax | Category::Eof | Category::Io => error.to_string(),
    }
}

/// The refusal of a payload that is no JSON.
pub fn not_json(error: crate::event::NotJson) -> Refusal {
    Refusal::new(
        Kind::BadPayload,
        format!("the payload cannot be published as JSON: {error}"),
    )
}

/// A media type that fits a header field (a payload is answered under it with `format=raw`).
///
/// # Errors
/// When it does not.
pub fn media_type(text: &str) -> Result<Box<str>, Refusal> {
    let printable = text.bytes().all(|b| (0x20..=0x7e).contains(&b));
    let sound = printable && text.len() <= MEDIA_TYPE_BYTES && text.contains('/');
    sound
        .then(|| text.into())
        .ok_or_else(|| bad("'content_type' is a media type such as text/html"))
}

fn ttl_of_json(value: &RawValue) -> Result<Duration, Refusal> {
    let text = value.get();
    parse_ttl(
        serde_json::from_str::<Cow<'_, str>>(text)
            .as_deref()
            .unwrap_or(text),
    )
}

fn bad(detail: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::new(Kind::BadParameter, detail)
}
