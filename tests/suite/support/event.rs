//! Events and gaps as they stand on the wire, kept with their exact text.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// A JSON object's members in the order in which they stand, each value as its exact text.
pub fn members(object: &str) -> Vec<(String, String)> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, String)>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
                all.push((key, value.get().to_owned()));
            }
            Ok(all)
        }
    }
    let mut json = serde_json::Deserializer::from_str(object);
    let members = json
        .deserialize_map(Members)
        .unwrap_or_else(|error| panic!("{error} in {object}"));
    json.end()
        .unwrap_or_else(|error| panic!("{error} after {object}"));
    members
}

/// The elements of a JSON array, each as its exact text.
pub fn elements(array: &str) -> Vec<String> {
    let raw: Vec<Box<RawValue>> =
        serde_json::from_str(array).unwrap_or_else(|error| panic!("{error} in {array}"));
    raw.into_iter()
        .map(|value| value.get().to_owned())
        .collect()
}

/// One event, checked for the promised keys in the promised order.
#[derive(Debug, Clone)]
pub struct Event {
    /// The JSON object as it stood on the wire.
    pub json: String,
    /// Its id.
    pub id: String,
    /// Its channel.
    pub channel: String,
    /// Its type.
    pub kind: String,
    /// Milliseconds since 1970.
    pub time: u64,
    /// The media type, where one was told.
    pub content_type: Option<String>,
    /// `base64`, where the data is binary.
    pub encoding: Option<String>,
    /// The exact text of `data`.
    pub data: String,
}

impl Event {
    /// Reads an event's JSON.
    pub fn parse(json: &str) -> Self {
        const KEYS: [&str; 7] = [
            "id",
            "channel",
            "type",
            "time",
            "content_type",
            "encoding",
            "data",
        ];
        let members = members(json);
        let optional = |key: &str| matches!(key, "content_type" | "encoding");
        let found: Vec<&str> = members.iter().map(|(key, _)| key.as_str()).collect();
        let promised: Vec<&str> = KEYS
            .into_iter()
            .filter(|key| !optional(key) || found.contains(key))
            .collect();
        assert_eq!(found, promised, "the keys of {json}");
        assert!(!json.contains(['\n', '\r']), "one line: {json:?}");
        let raw = |key: &str| members.iter().find(|(k, _)| k == key).map(|(_, v)| v);
        let text =
            |key: &str| raw(key).map(|v| serde_json::from_str::<String>(v).expect("a string"));
        Event {
            json: json.to_owned(),
            id: checked_id(text("id").expect("an id")),
            channel: text("channel").expect("a channel"),
            kind: text("type").expect("a type"),
            time: raw("time").and_then(|t| t.parse().ok()).expect("a time"),
            content_type: text("content_type"),
            encoding: text("encoding"),
            data: raw("data").expect("data").clone(),
        }
    }

    /// The number within its id.
    pub fn seq(&self) -> u64 {
        seq(&self.id)
    }

    /// Its data, which must be a JSON string.
    pub fn text(&self) -> String {
        serde_json::from_str(&self.data).expect("text")
    }
}

/// The number within an id or a cursor.
pub fn seq(id: &str) -> u64 {
    let (_, seq) = id.rsplit_once('-').expect("a number in an id");
    seq.parse().expect("a number in an id")
}

fn checked_id(id: String) -> String {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    assert!(id.len() <= 48 && id.bytes().all(allowed), "{id:?}");
    id
}

/// What was lost, as a stream or a poll tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// `retention`, `deleted`, `epoch`, `overtaken` or `unknown`.
    pub reason: String,
    /// The cursor that was given, unless it could not be read.
    pub from: Option<String>,
    /// Whence delivery goes on.
    pub cursor: String,
}

impl Gap {
    /// Reads the object that tells it.
    pub fn parse(object: &Value) -> Self {
        let text = |key: &str| object[key].as_str().map(str::to_owned);
        let reason = text("reason").expect("a reason");
        assert!(
            ["retention", "deleted", "epoch", "overtaken", "unknown"].contains(&reason.as_str()),
            "{object}"
        );
        assert!(object["from"].is_string() || object["from"].is_null());
        Gap {
            reason,
            from: text("from"),
            cursor: checked_id(text("cursor").expect("a cursor")),
        }
    }
}
