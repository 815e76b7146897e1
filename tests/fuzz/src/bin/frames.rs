//! A WebSocket's frames. However they come in pieces they are the same messages, replies and fault; no message is
//! larger than its bound; and a server sends nothing masked.

#![no_main]

use fourcast::delivery::websocket::frames::Frames;
use fourcast_fuzz::cuts;
use libfuzzer_sys::fuzz_target;
use tungstenite::Message;

const MOST: usize = 200;

/// What came of it: messages, replies, and how it ended.
#[derive(Debug, PartialEq)]
struct Outcome {
    messages: Vec<Message>,
    replies: Vec<u8>,
    fault: Option<String>,
}

fuzz_target!(|input: &[u8]| {
    let mut outcomes = cuts(input).map(|pieces| read(&pieces));
    let whole = outcomes.next().expect("one piece");
    for other in outcomes {
        assert_eq!(whole, other);
    }
    for message in &whole.messages {
        assert!(message.len() <= MOST);
        assert!(!matches!(message, Message::Frame(_)));
    }
    check_replies(&whole.replies);
});

fn read(pieces: &[&[u8]]) -> Outcome {
    let mut frames = Frames::new();
    frames.bound(MOST);
    let mut outcome = Outcome {
        messages: Vec::new(),
        replies: Vec::new(),
        fault: None,
    };
    for piece in pieces {
        frames.feed(piece);
        loop {
            match frames.read() {
                Ok(None) => break,
                Ok(Some((message, reply))) => {
                    outcome.messages.push(message);
                    outcome.replies.extend(reply);
                }
                Err(error) => {
                    outcome.fault = Some(error.to_string());
                    return outcome;
                }
            }
        }
    }
    outcome
}

/// Whole pongs and at most one close, at the end.
fn check_replies(mut bytes: &[u8]) {
    while let [first, length, rest @ ..] = bytes {
        assert!(
            *length <= 125,
            "a control frame that is masked, or too long"
        );
        assert!(matches!(first, 0x88 | 0x8a), "{first:x}");
        bytes = rest.get(usize::from(*length)..).expect("whole frames");
        assert!(
            *first != 0x88 || bytes.is_empty(),
            "something after a close"
        );
    }
    assert!(bytes.is_empty(), "{bytes:?}");
}
