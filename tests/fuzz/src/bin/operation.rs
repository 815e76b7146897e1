//! What a client says on a WebSocket. A `ref` comes back as it was given, in an answer that is JSON; an event comes out
//! as JSON in one line.

#![no_main]

use fourcast::delivery::control::error_json;
use fourcast::delivery::websocket::wire::{Operation, ack, reference_in};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use serde_json::value::RawValue;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    let reference = reference_in(text);
    match Operation::parse(text) {
        Err(refusal) => {
            json(&error_json(reference, &refusal));
        }
        Ok(mut operation) => {
            assert_eq!(operation.reference(), reference);
            let answer = frame(&ack(reference, None));
            if let Some(reference) = reference {
                let raw: std::collections::HashMap<&str, &RawValue> =
                    serde_json::from_str(&answer).expect("an object");
                assert_eq!(raw["ref"].get(), reference);
            }
            if let Err(refusal) = operation.take_event().draft(None) {
                json(&error_json(reference, &refusal));
            }
        }
    }
});

fn json(text: &str) -> Value {
    assert!(!text.contains(['\r', '\n']) || text.contains("\"ref\":"));
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// The payload of a text frame that is not masked.
fn frame(bytes: &[u8]) -> String {
    assert_eq!(bytes[0], 0x81);
    let start = if bytes[1] == 126 { 4 } else { 2 };
    String::from_utf8(bytes[start..].to_vec()).expect("text")
}
