//! The bytes and words of a WebSocket: frames out, operations in. No socket, no clock.

use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control as ControlCode, Data as DataCode, OpCode};

use super::restriction::Restrict;
use crate::delivery::control::{Control, error_json, write_reference};
use crate::delivery::framing::Framing;
use crate::delivery::outbox::errand::Errand;
use crate::delivery::poll::write_list;
use crate::event::{Cursor, Data, Event, Id};
use crate::hub::draft::{Members, json_fault, present};
use crate::hub::selector::Selector;
use crate::hub::tail::{Entry, Form};
use crate::refusal::{Kind, Refusal};
use crate::roster::Way;

/// The longest `ref`, in bytes of JSON: it is held until its answer is read.
const REFERENCE_BYTES: usize = 256;
/// The longest reason of a close frame: a control frame has 125 bytes, two of them the code.
const REASON_BYTES: usize = 123;

/// A WebSocket that carries events as JSON, or bare payloads.
pub struct WebSocket {
    form: Form,
    raw: bool,
}

/// Events and control objects as JSON in text messages.
pub static EVENTS: WebSocket = WebSocket {
    form: Form {
        slot: 7,
        way: Way::WebSocket,
        render: event_frame,
    },
    raw: false,
};
/// Payloads alone: text as text, bytes as binary.
pub static RAW: WebSocket = WebSocket {
    form: Form {
        slot: 8,
        way: Way::WebSocket,
        render: raw_frame,
    },
    raw: true,
};

impl Framing for WebSocket {
    fn form(&'static self) -> &'static Form {
        &self.form
    }

    fn control(&self, control: &Control) -> Option<Vec<u8>> {
        match control {
            Control::Heartbeat { .. } => Some(frame(OpCode::Control(ControlCode::Ping), &[])),
            _ if self.raw => None,
            _ => Some(text_frame(&control.json())),
        }
    }

    fn restriction(&self) -> Option<Box<dyn Errand>> {
        (!self.raw).then(|| Box::new(Restrict) as _)
    }

    fn farewell(&self, bye: &Control, detail: &str) -> Vec<u8> {
        let mut last = self.control(bye).unwrap_or_default();
        if let Control::Bye { code, .. } = bye {
            last.extend(close_frame(*code, detail));
        }
        last
    }
}

/// A text message in one frame.
pub fn text_frame(text: &str) -> Vec<u8> {
    frame(OpCode::Data(DataCode::Text), text.as_bytes())
}

/// A close frame (RFC 6455, section 5.5.1).
pub fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    let mut end = reason.len().min(REASON_BYTES);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    frame(OpCode::Control(ControlCode::Close), &payload)
}

fn event_frame(event: &Event, out: &mut Vec<u8>) {
    let mut json = Vec::with_capacity(event.data.bytes().len() + 256);
    event.write_json(&mut json);
    write_frame(OpCode::Data(DataCode::Text), &json, out);
}

fn raw_frame(event: &Event, out: &mut Vec<u8>) {
    let opcode = match event.data {
        Data::Binary(_) => DataCode::Binary,
        Data::Json(_) | Data::Text(_) => DataCode::Text,
    };
    write_frame(OpCode::Data(opcode), event.data.bytes(), out);
}

fn frame(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 10);
    write_frame(opcode, payload, &mut out);
    out
}

fn write_frame(opcode: OpCode, payload: &[u8], out: &mut Vec<u8>) {
    let header = FrameHeader {
        opcode,
        ..FrameHeader::default()
    };
    // Writing into a Vec cannot fail.
    let _ = header.format(payload.len() as u64, out);
    out.extend_from_slice(payload);
}

/// The `ack` of an operation that took effect.
pub fn ack(reference: Option<&str>, member: Option<(&str, Id)>) -> Vec<u8> {
    let mut json = br#"{"op":"ack""#.to_vec();
    write_reference(&mut json, reference);
    if let Some((name, id)) = member {
        json.extend_from_slice(format!(r#","{name}":"{id}""#).as_bytes());
    }
    json.push(b'}');
    frame(OpCode::Data(DataCode::Text), &json)
}

/// The `ack` of a token, with its end in milliseconds since 1970-01-01 UTC if it has one.
pub fn admitted(reference: Option<&str>, expires: Option<SystemTime>) -> Vec<u8> {
    let mut json = br#"{"op":"ack""#.to_vec();
    write_reference(&mut json, reference);
    let expires = expires.map(|at| {
        at.duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
    });
    if let Some(expires) = expires {
        json.extend_from_slice(format!(r#","expires":{}"#, expires.as_millis()).as_bytes());
    }
    json.push(b'}');
    frame(OpCode::Data(DataCode::Text), &json)
}

/// The word that a selector was taken away.
pub fn dropped(selector: &Selector, refusal: &Refusal) -> Vec<u8> {
    let error = error_json(None, refusal);
    // A selector needs no escapes.
    let channel = format!(r#"{{"op":"error","channel":"{selector}","#);
    text_frame(&error.replacen(r#"{"op":"error","#, &channel, 1))
}

/// One page of what a new subscription missed.
pub fn replay(
    reference: Option<&str>,
    entries: &[std::sync::Arc<Entry>],
    cursor: Cursor,
) -> Vec<u8> {
    let mut json = br#"{"op":"replay""#.to_vec();
    write_reference(&mut json, reference);
    json.extend_from_slice(br#","events":["#);
    write_list(entries, &mut json);
    json.extend_from_slice(format!(r#"],"cursor":"{cursor}"}}"#).as_bytes());
    frame(OpCode::Data(DataCode::Text), &json)
}

/// The word that a new subscription has caught up.
pub fn live(reference: Option<&str>, cursor: Cursor) -> Vec<u8> {
    let mut json = br#"{"op":"live""#.to_vec();
    write_reference(&mut json, reference);
    json.extend_from_slice(format!(r#","cursor":"{cursor}"}}"#).as_bytes());
    frame(OpCode::Data(DataCode::Text), &json)
}

/// What a client sent in a text message.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation<'a> {
    /// Which operation.
    #[serde(borrow)]
    pub op: Cow<'a, str>,
    /// What the answer is to carry, as the client wrote it.
    #[serde(borrow, default, rename = "ref", deserialize_with = "present")]
    pub reference: Option<&'a RawValue>,
    /// The channels and patterns of a subscribe or unsubscribe.
    #[serde(borrow)]
    pub channels: Option<Vec<Cow<'a, str>>>,
    /// The cursor, `earliest` or `now`, from which a subscription begins.
    #[serde(borrow)]
    pub after: Option<Cow<'a, str>>,
    /// The token or key of an auth.
    #[serde(borrow)]
    pub token: Option<Cow<'a, str>>,
    /// The idempotency key of a publish.
    #[serde(borrow)]
    pub key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    ttl: Option<&'a RawValue>,
    #[serde(borrow)]
    encoding: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content_type: Option<Cow<'a, str>>,
}

impl<'a> Operation<'a> {
    /// Reads a text message.
    ///
    /// # Errors
    /// When it is no operation; the sentence names what would be.
    pub fn parse(text: &'a str) -> Result<Self, Refusal> {
        if !text.trim_start().starts_with('{') {
            // What it is instead is not told: it may be a token.
            return Err(no_operation("it is no JSON object"));
        }
        let operation: Operation<'a> =
            serde_json::from_str(text).map_err(|error| no_operation(json_fault(&error)))?;
        match operation.reference() {
            Some(reference) if reference.len() > REFERENCE_BYTES => {
                let detail = format!("'ref' has {REFERENCE_BYTES} bytes at most");
                Err(Refusal::new(Kind::BadParameter, detail))
            }
            _ => Ok(operation),
        }
    }

    /// Takes the members of the event of a publish.
    pub fn take_event(&mut self) -> Members<'a> {
        Members {
            id: IgnoredAny,
            time: IgnoredAny,
            channel: self.channel.take(),
            kind: self.kind.take(),
            data: self.data.take(),
            ttl: self.ttl.take(),
            encoding: self.encoding.take(),
            content_type: self.content_type.take(),
        }
    }

    /// The `ref`, as JSON.
    pub fn reference(&self) -> Option<&'a str> {
        self.reference.map(RawValue::get)
    }
}

/// The `ref` in a message that is no operation, so that its sender knows which one was meant.
pub fn reference_in(text: &str) -> Option<&str> {
    #[derive(Deserialize)]
    struct Reference<'a> {
        #[serde(borrow, default, rename = "ref", deserialize_with = "present")]
        reference: Option<&'a RawValue>,
    }
    let reference = serde_json::from_str::<Reference<'_>>(text)
        .ok()?
        .reference?
        .get();
    (reference.len() <= REFERENCE_BYTES).then_some(reference)
}

fn no_operation(error: impl fmt::Display) -> Refusal {
    let detail = format!(
        "this is no operation ({error}); publish with {{\"op\":\"publish\",\"data\":…}}, or open the socket with \
         ?format=raw to publish every message as it is"
    );
    Refusal::new(Kind::BadParameter, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_payload_is_a_payload_and_a_missing_one_is_none() {
        let mut with = Operation::parse(r#"{"op":"publish","data":null}"#).unwrap();
        assert_eq!(with.take_event().data.map(RawValue::get), Some("null"));
        let mut without = Operation::parse(r#"{"op":"publish"}"#).unwrap();
        assert!(without.take_event().data.is_none());
    }

    #[test]
    fn what_is_no_operation_is_told_what_would_be() {
        for text in ["hi", "[]", "{}", r#"{"op":1}"#, r#"{"channel":"a"}"#] {
            let refusal = Operation::parse(text).unwrap_err();
            assert!(
                refusal.detail.contains(r#"{"op":"publish""#),
                "{text}: {refusal}"
            );
            assert!(refusal.detail.contains("?format=raw"), "{text}: {refusal}");
        }
    }

    #[test]
    fn what_is_no_operation_is_not_echoed() {
        for text in [
            "secret",
            "\"secret\"",
            " \"secret\"",
            "[\"secret\"]",
            r#"{"secret":1}"#,
            r#"{"op":"auth","channels":"secret"}"#,
            r#"{"op":"auth","token":"a" secret"#,
        ] {
            let refusal = Operation::parse(text).unwrap_err();
            assert!(!refusal.detail.contains("secret"), "{text}: {refusal}");
        }
    }

    #[test]
    fn what_is_no_operation_is_told_where() {
        let refusal = Operation::parse("{\"op\":\"ping\",\n\"x\":1}").unwrap_err();
        assert!(refusal.detail.contains("line 2"), "{refusal}");
    }

    #[test]
    fn a_close_reason_is_cut_between_characters() {
        let bytes = close_frame(1008, &"é".repeat(100));
        assert_eq!(bytes[0..2], [0x88, 124]);
        assert!(std::str::from_utf8(&bytes[4..]).is_ok());
    }
}
