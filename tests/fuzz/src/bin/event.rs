//! A payload goes out on a stream. The input's first byte chooses its form. JSON stays the same JSON in one line; a parser
//! of event streams, written from the specification alone, gets the payload back, and no field that it made up.

#![no_main]

use std::sync::Arc;

use fourcast::Data;
use fourcast::EventType;
use fourcast::delivery::framing::Framing;
use fourcast::delivery::sse;
use fourcast::event::{Event, Id};
use fourcast::hub::channel::Channel;
use fourcast::hub::tail::Entry;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const ID: &str = "0000000001-7";

fuzz_target!(|input: &[u8]| {
    let Some((&form, payload)) = input.split_first() else {
        return;
    };
    let data = match (form % 3, str::from_utf8(payload)) {
        (0, Ok(text)) => Data::Text(text.into()),
        (1, Ok(text)) => match Data::json(text) {
            Ok(data) => {
                check_json(text, &data);
                data
            }
            Err(_) => return,
        },
        _ => Data::Binary(payload.into()),
    };
    check_streams(data);
});

fn check_json(text: &str, data: &Data) {
    let minified = str::from_utf8(data.bytes()).expect("text");
    assert!(!minified.contains(['\r', '\n']));
    assert_eq!(Data::json(minified).expect("JSON still"), *data);
    if let Ok(meant) = serde_json::from_str::<Value>(text) {
        assert_eq!(
            serde_json::from_str::<Value>(minified).expect("JSON still"),
            meant
        );
    }
}

fn check_streams(data: Data) {
    let event = Event {
        id: Id::parse(ID).expect("an id"),
        channel: Arc::new(Channel::new("rooms/42".parse().expect("a channel"))),
        kind: EventType::parse("order created").expect("a type"),
        time: 1,
        expires: None,
        content_type: None,
        data,
    };
    let entry = Entry::new(Arc::new(event));
    let json = blocks(entry.bytes(sse::JSON_UNCHUNKED.form()));
    let [(id, kind, line)] = &json[..] else {
        panic!("{json:?}")
    };
    assert_eq!((id.as_str(), kind.as_str()), (ID, ""));
    assert!(!line.contains('\n'), "JSON in one line");
    let raw = blocks(entry.bytes(sse::RAW_UNCHUNKED.form()));
    let [(id, kind, payload)] = &raw[..] else {
        panic!("{raw:?}")
    };
    assert_eq!((id.as_str(), kind.as_str()), (ID, "order created"));
    if let Data::Text(text) | Data::Json(text) = &entry.event().data {
        assert_eq!(*payload, text.replace("\r\n", "\n").replace('\r', "\n"));
    }
}

/// The id, type and data of each event of a stream (HTML, section 9.2.6).
fn blocks(bytes: &[u8]) -> Vec<(String, String, String)> {
    let text = str::from_utf8(bytes).expect("UTF-8");
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let (mut id, mut kind, mut data) = (String::new(), String::new(), None::<String>);
    let mut events = Vec::new();
    for line in text.split_terminator('\n') {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "" if line.is_empty() => {
                if let Some(data) = data.take() {
                    events.push((id.clone(), std::mem::take(&mut kind), data));
                }
            }
            "id" => id = value.to_owned(),
            "event" => kind = value.to_owned(),
            "data" => match &mut data {
                None => data = Some(value.to_owned()),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
            },
            _ => panic!("a field {name:?}"),
        }
    }
    events
}
