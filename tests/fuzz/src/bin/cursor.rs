//! Cursors and event types: what reads is what was written, and fits wherever it is put on the wire.

#![no_main]

use fourcast::EventType;
use fourcast::event::Cursor;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    if let Some(cursor) = Cursor::parse(text) {
        assert_eq!(cursor.to_string(), text);
        assert_eq!(cursor.text().bytes(), input);
        assert!(text.len() <= 48);
        assert!(
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        );
    }
    if let Ok(kind) = EventType::parse(text) {
        assert_eq!(kind.as_str(), text);
        assert!(text.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
        assert!(!["welcome", "gap", "bye", "open", "error"].contains(&text));
    }
});
