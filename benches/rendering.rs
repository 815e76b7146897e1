//! An item is one event put into the bytes of one form, once for all who get it in that form.

use std::fmt;
use std::sync::Arc;

use divan::Bencher;
use fourcast::delivery::framing::Framing;
use fourcast::delivery::{ndjson, poll, sse, websocket};
use fourcast::event::{Epoch, EventType, Id};
use fourcast::hub::channel::Channel;
use fourcast::hub::tail::{Entry, Form};
use fourcast::{Data, Event};

const SMALL: usize = 64;
const LARGE: usize = 4 * 1024;

fn main() {
    divan::main();
}

#[divan::bench(args = forms(), consts = [SMALL, LARGE])]
fn text<const BYTES: usize>(bencher: Bencher, form: &Named) {
    let line = "She said \"no\", and the others laughed at it for an hour or so.\n";
    render(bencher, form, || Data::Text(filled(line, BYTES).into()));
}

#[divan::bench(args = forms(), consts = [SMALL, LARGE])]
fn json<const BYTES: usize>(bencher: Bencher, form: &Named) {
    let member = r#"{"sensor":"t-17","celsius":21.375,"at":"2026-11-22T21:17:03Z"},"#;
    let array = format!("[{}0]", filled(member, BYTES));
    render(bencher, form, || Data::json(&array).expect("JSON"));
}

#[divan::bench(args = forms(), consts = [SMALL, LARGE])]
fn binary<const BYTES: usize>(bencher: Bencher, form: &Named) {
    let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(BYTES).collect();
    render(bencher, form, || Data::Binary(bytes.as_slice().into()));
}

fn render(bencher: Bencher, form: &Named, data: impl Fn() -> Data) {
    bencher
        .with_inputs(|| Entry::new(Arc::new(event(data()))))
        .bench_local_refs(|entry| entry.bytes(form.form).len());
}

fn event(data: Data) -> Event {
    let channel = "rooms/42".parse().expect("a channel");
    Event {
        id: Id {
            epoch: Epoch::from_random(u64::MAX),
            seq: 1_234_567,
        },
        channel: Arc::new(Channel::new(channel)),
        kind: EventType::message(),
        time: 1_795_363_629_123,
        expires: None,
        content_type: None,
        data,
    }
}

/// `part` again and again, whole, up to `bytes`.
fn filled(part: &str, bytes: usize) -> String {
    part.repeat(bytes / part.len())
}

/// A form and the way that it belongs to.
struct Named {
    name: &'static str,
    form: &'static Form,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

fn forms() -> [Named; Form::COUNT] {
    let forms = [
        ("poll", &poll::JSON),
        ("sse", sse::JSON.form()),
        ("sse raw", sse::RAW.form()),
        ("sse http/1.0", sse::JSON_UNCHUNKED.form()),
        ("sse raw http/1.0", sse::RAW_UNCHUNKED.form()),
        ("ndjson", ndjson::CHUNKED.form()),
        ("ndjson http/1.0", ndjson::UNCHUNKED.form()),
        ("websocket", websocket::wire::EVENTS.form()),
        ("websocket raw", websocket::wire::RAW.form()),
    ];
    forms.map(|(name, form)| Named { name, form })
}
