//! An event as a subscriber receives it, and what a server says in between.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::time::Duration;

use super::error::{Error, Problem};
use crate::event::{Cursor, Id};

/// One event. Serializes to the JSON object that it came as.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Event {
    /// Its id, which is also the cursor behind it.
    #[serde(serialize_with = "as_text")]
    pub id: Id,
    /// The channel it was published to.
    pub channel: String,
    /// Its type; `message` when the publisher named none.
    #[serde(rename = "type")]
    pub kind: String,
    /// When the server took it, in milliseconds since 1970-01-01 UTC.
    pub time: u64,
    /// The media type of its data, where it says more than the form does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<String>,
    data: Box<RawValue>,
}

impl Event {
    /// The data as the JSON text that the event's object has; for binary data a string of base64.
    pub fn data(&self) -> &str {
        self.data.get()
    }

    /// Whether the data is binary.
    pub fn is_binary(&self) -> bool {
        self.encoding.as_deref() == Some("base64")
    }

    /// The data as text: a JSON string without its quotes and escapes, other JSON as it is; `None`
    /// for binary data.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        if self.is_binary() {
            return None;
        }
        match serde_json::from_str::<String>(self.data()) {
            Ok(text) => Some(Cow::Owned(text)),
            Err(_) => Some(Cow::Borrowed(self.data())),
        }
    }

    /// The data as bytes: what binary data holds, or the bytes of the text.
    ///
    /// # Errors
    /// [`Error::Protocol`] when data said to be base64 is not.
    pub fn bytes(&self) -> Result<Vec<u8>, Error> {
        match self.text() {
            Some(text) => Ok(text.into_owned().into_bytes()),
            None => serde_json::from_str::<String>(self.data())
                .ok()
                .and_then(|text| BASE64.decode(text).ok())
                .ok_or_else(|| Error::protocol("data that is said to be base64 is not")),
        }
    }

    /// The data as a value of yours.
    ///
    /// # Errors
    /// What serde found to be different.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.data())
    }

    /// The whole event as one line of JSON, without its LF.
    pub fn to_json(&self) -> String {
        // Strings, numbers and a checked raw value always serialize.
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn as_text<S: serde::Serializer>(id: &Id, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

/// Events that were lost to this subscriber. Serializes to the control object that streams carry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "op", rename = "gap")]
#[non_exhaustive]
pub struct Gap {
    /// Why: `retention`, `deleted`, `epoch`, `overtaken` or `unknown`.
    pub reason: String,
    /// The cursor behind which something is missing; `None` when the server could not read it.
    #[serde(serialize_with = "as_text_or_null")]
    pub from: Option<Cursor>,
    /// Whence delivery goes on.
    #[serde(serialize_with = "as_text")]
    pub cursor: Cursor,
}

impl Gap {
    /// The control object as one line of JSON, without its LF.
    pub fn to_json(&self) -> String {
        // Strings always serialize.
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn as_text_or_null<S: serde::Serializer>(
    id: &Option<Id>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    id.map(|id| id.to_string()).serialize(serializer)
}

/// Everything that a server sends to a subscriber.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Incoming {
    /// The first thing on a stream.
    Welcome {
        /// Where this stream begins.
        cursor: Cursor,
        /// How often the server says that it is there.
        heartbeat: Option<Duration>,
    },
    /// An event.
    Event(Event),
    /// Events were lost.
    Gap(Gap),
    /// The server is there; it may say up to which place it has looked for events.
    Heartbeat {
        /// That place.
        cursor: Option<Cursor>,
    },
    /// The server is about to end the stream.
    Bye {
        /// The close code that says why (RFC 6455, section 7.4).
        code: Option<u16>,
        /// When to come back at the earliest.
        retry: Option<Duration>,
    },
    /// An operation took effect here in the stream.
    Ack {
        /// The number that the operation was given.
        reference: Option<u64>,
        /// The id of the event that was published.
        id: Option<Id>,
        /// Where the stream stands, after a change of subscriptions.
        cursor: Option<Cursor>,
    },
    /// An operation was refused.
    Refused {
        /// The number that the operation was given; none when it could not be read.
        reference: Option<u64>,
        /// Why, and what to do about it.
        problem: Problem,
    },
    /// A page of the past that a `subscribe` asked for.
    Replay {
        /// The number of that operation.
        reference: Option<u64>,
        /// The events, oldest first.
        events: Vec<Event>,
        /// The place behind the page.
        cursor: Option<Cursor>,
    },
    /// The past that a `subscribe` asked for has been sent; from here on its events come as they are
    /// published.
    Live {
        /// The number of that operation.
        reference: Option<u64>,
        /// The place from which events are live.
        cursor: Option<Cursor>,
    },
    /// A control message of a later version.
    Unknown {
        /// Its name.
        op: String,
    },
}

/// An object of the wire before it is known which one it is.
#[derive(Deserialize)]
struct Object<'a> {
    op: Option<String>,
    id: Option<String>,
    channel: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    time: Option<u64>,
    content_type: Option<String>,
    encoding: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    cursor: Option<String>,
    from: Option<String>,
    reason: Option<String>,
    detail: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<serde_json::Value>,
    code: Option<serde_json::Value>,
    retry: Option<bool>,
    retry_ms: Option<u64>,
    heartbeat_ms: Option<u64>,
    events: Option<Vec<&'a RawValue>>,
}

impl Incoming {
    /// Reads an event or a control object.
    pub(super) fn parse(json: &str) -> Result<Self, Error> {
        let object: Object<'_> = serde_json::from_str(json)
            .map_err(|error| Error::protocol(format!("not an object of this wire: {error}")))?;
        match object.op.clone() {
            None => object.event().map(Incoming::Event),
            Some(op) => object.control(op),
        }
    }
}

impl Event {
    /// Reads an event.
    pub(super) fn parse(json: &str) -> Result<Self, Error> {
        match Incoming::parse(json)? {
            Incoming::Event(event) => Ok(event),
            _ => Err(Error::protocol("a control object in a list of events")),
        }
    }
}

impl Object<'_> {
    fn event(self) -> Result<Event, Error> {
        Ok(Event {
            id: id(self.id)?.ok_or_else(|| missing("id"))?,
            channel: self.channel.ok_or_else(|| missing("channel"))?,
            kind: self.kind.ok_or_else(|| missing("type"))?,
            time: self.time.ok_or_else(|| missing("time"))?,
            content_type: self.content_type,
            encoding: self.encoding,
            data: self.data.unwrap_or(RawValue::NULL).to_owned(),
        })
    }

    fn control(self, op: String) -> Result<Incoming, Error> {
        let reference = self.reference.as_ref().and_then(serde_json::Value::as_u64);
        Ok(match op.as_str() {
            "welcome" => Incoming::Welcome {
                cursor: id(self.cursor)?.ok_or_else(|| missing("cursor"))?,
                heartbeat: self.heartbeat_ms.map(Duration::from_millis),
            },
            "gap" => Incoming::Gap(self.gap()?),
            "heartbeat" => Incoming::Heartbeat {
                cursor: id(self.cursor)?,
            },
            "bye" => self.bye(),
            "ack" => Incoming::Ack {
                reference,
                id: id(self.id)?,
                cursor: id(self.cursor)?,
            },
            "error" => Incoming::Refused {
                reference,
                problem: self.problem(),
            },
            "replay" => self.replay(reference)?,
            "live" => Incoming::Live {
                reference,
                cursor: id(self.cursor)?,
            },
            _ => Incoming::Unknown { op },
        })
    }

    fn gap(self) -> Result<Gap, Error> {
        Ok(Gap {
            reason: self.reason.unwrap_or_else(|| "unknown".to_owned()),
            // It is what a client gave, so it need not be one of ours.
            from: self.from.as_deref().and_then(Id::parse),
            cursor: id(self.cursor)?.ok_or_else(|| missing("cursor"))?,
        })
    }

    fn bye(&self) -> Incoming {
        let code = self.code.as_ref().and_then(serde_json::Value::as_u64);
        Incoming::Bye {
            code: code.and_then(|code| code.try_into().ok()),
            retry: self.retry_ms.map(Duration::from_millis),
        }
    }

    fn problem(self) -> Problem {
        let code = self.code.as_ref().and_then(serde_json::Value::as_str);
        Problem {
            status: 0,
            code: code.unwrap_or_default().to_owned(),
            detail: self.detail.unwrap_or_default(),
            retry: self.retry.unwrap_or(false),
            retry_after: self.retry_ms.map(Duration::from_millis),
        }
    }

    fn replay(self, reference: Option<u64>) -> Result<Incoming, Error> {
        let events = self.events.unwrap_or_default();
        Ok(Incoming::Replay {
            reference,
            events: events
                .into_iter()
                .map(|json| Event::parse(json.get()))
                .collect::<Result<_, _>>()?,
            cursor: id(self.cursor)?,
        })
    }
}

/// The answer to a poll.
#[derive(Debug)]
pub(super) struct Page {
    /// The place behind it.
    pub(super) cursor: Cursor,
    /// Whether there is more behind it already.
    pub(super) more: bool,
    /// What was lost before its events.
    pub(super) gap: Option<Gap>,
    /// Its events, oldest first.
    pub(super) events: Vec<Event>,
}

impl Page {
    /// Reads the body of a poll's answer.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Members<'a> {
            cursor: String,
            #[serde(default)]
            more: bool,
            #[serde(borrow)]
            gap: Option<Object<'a>>,
            #[serde(borrow)]
            events: Vec<&'a RawValue>,
        }
        let members: Members<'_> = serde_json::from_slice(body)
            .map_err(|error| Error::protocol(format!("not the answer to a poll: {error}")))?;
        Ok(Page {
            cursor: id(Some(members.cursor))?.ok_or_else(|| missing("cursor"))?,
            more: members.more,
            gap: members.gap.map(Object::gap).transpose()?,
            events: members
                .events
                .into_iter()
                .map(|json| Event::parse(json.get()))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// Reads an id where there is one.
pub(super) fn id(text: Option<String>) -> Result<Option<Id>, Error> {
    match text.as_deref().map(Id::parse) {
        None => Ok(None),
        Some(Some(id)) => Ok(Some(id)),
        Some(None) => Err(Error::protocol("an id that is none")),
    }
}

fn missing(member: &str) -> Error {
    Error::protocol(format!("an object without {member:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(data: &str) -> Event {
        let json =
            format!(r#"{{"id":"0000000001-7","channel":"a/b","type":"message","time":5,{data}}}"#);
        let event = Event::parse(&json).unwrap();
        assert_eq!(event.to_json(), json, "it prints as it came");
        event
    }

    #[test]
    fn data_keeps_its_digits() {
        let event = event(r#""data":{"a":12345678901234567890.10}"#);
        assert_eq!(event.data(), r#"{"a":12345678901234567890.10}"#);
        assert_eq!(event.text().unwrap(), event.data());
    }

    #[test]
    fn data_nested_as_deep_as_may_be_published_is_read() {
        let depth = crate::event::Data::MAX_DEPTH;
        let data = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let event = event(&format!(r#""data":{data}"#));
        assert!(event.json::<serde_json::Value>().is_ok());
    }

    #[test]
    fn a_string_is_text_and_its_bytes() {
        let event = event(r#""data":"a\n\"é\"""#);
        assert_eq!(event.text().unwrap(), "a\n\"é\"");
        assert_eq!(event.bytes().unwrap(), "a\n\"é\"".as_bytes());
    }

    #[test]
    fn base64_is_bytes_and_no_text() {
        let event = event(r#""content_type":"image/png","encoding":"base64","data":"/wA=""#);
        assert_eq!(event.text(), None);
        assert_eq!(event.bytes().unwrap(), [0xff, 0x00]);
        assert_eq!(event.content_type.as_deref(), Some("image/png"));
    }

    #[test]
    fn null_is_data_too() {
        assert_eq!(event(r#""data":null"#).data(), "null");
    }

    #[test]
    fn what_is_not_of_this_wire_is_an_error() {
        for json in [
            "",
            "[]",
            "{}",
            "{",
            r#"{"id":"x","channel":"a","type":"message","time":5,"data":1}"#,
            r#"{"op":"welcome"}"#,
            r#"{"op":"welcome","cursor":"nonsense"}"#,
            r#"{"op":"gap","reason":"epoch"}"#,
        ] {
            assert!(Incoming::parse(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_control_object_of_a_later_version_is_passed_on() {
        let incoming = Incoming::parse(r#"{"op":"dance","x":1}"#).unwrap();
        assert!(matches!(incoming, Incoming::Unknown { op } if op == "dance"));
    }

    #[test]
    fn a_gap_prints_as_it_came() {
        for from in ["null", r#""0000000001-2""#] {
            let json = format!(
                r#"{{"op":"gap","reason":"deleted","from":{from},"cursor":"0000000001-8"}}"#
            );
            match Incoming::parse(&json).unwrap() {
                Incoming::Gap(gap) => assert_eq!(gap.to_json(), json),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_page_tells_its_gap() {
        let page = Page::parse(
            br#"{"cursor":"0000000001-9","more":true,"gap":{"reason":"epoch","from":null,"cursor":"0000000001-8"},"events":[{"id":"0000000001-9","channel":"a","type":"message","time":1,"data":1}]}"#,
        )
        .unwrap();
        assert!(page.more);
        assert_eq!(page.gap.unwrap().cursor, Id::parse("0000000001-8").unwrap());
        assert_eq!(page.events[0].id, page.cursor);
    }
}
