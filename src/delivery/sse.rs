//! Server-Sent Events, by the WHATWG's rules for event streams (HTML, section 9.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::control::{Control, millis_up};
use super::framing::Framing;
use crate::event::{Data, Event};
use crate::http::body::{LAST_CHUNK, chunk};
use crate::hub::tail::Form;
use crate::roster::Way;

/// An event stream: its events as JSON or as bare payloads, its bytes in chunks or until the connection
/// closes (HTTP/1.0).
pub struct Sse {
    form: Form,
    chunked: bool,
}

/// Events as JSON in chunks.
pub static JSON: Sse = Sse {
    form: Form {
        slot: 1,
        way: Way::Sse,
        render: |event, out| chunked(event, out, json),
    },
    chunked: true,
};
/// Bare payloads in chunks.
pub static RAW: Sse = Sse {
    form: Form {
        slot: 2,
        way: Way::Sse,
        render: |event, out| chunked(event, out, raw),
    },
    chunked: true,
};
/// Events as JSON until the connection closes.
pub static JSON_UNCHUNKED: Sse = Sse {
    form: Form {
        slot: 3,
        way: Way::Sse,
        render: json,
    },
    chunked: false,
};
/// Bare payloads until the connection closes.
pub static RAW_UNCHUNKED: Sse = Sse {
    form: Form {
        slot: 4,
        way: Way::Sse,
        render: raw,
    },
    chunked: false,
};

impl Framing for Sse {
    fn form(&'static self) -> &'static Form {
        &self.form
    }

    fn control(&self, control: &Control) -> Option<Vec<u8>> {
        Some(self.framed(&control_block(control)))
    }

    fn farewell(&self, bye: &Control, _: &str) -> Vec<u8> {
        let mut last = self.framed(&control_block(bye));
        if self.chunked {
            last.extend_from_slice(LAST_CHUNK);
        }
        last
    }
}

impl Sse {
    fn framed(&self, block: &str) -> Vec<u8> {
        if !self.chunked {
            return block.as_bytes().to_vec();
        }
        let mut out = Vec::new();
        chunk(block.as_bytes(), &mut out);
        out
    }
}

fn control_block(control: &Control) -> String {
    let json = control.json();
    match control {
        Control::Welcome { cursor, retry, .. } => {
            format!(
                "event: welcome\nid: {cursor}\nretry: {}\ndata: {json}\n\n",
                retry.as_millis()
            )
        }
        Control::Gap(gap) => format!("event: gap\nid: {}\ndata: {json}\n\n", gap.cursor),
        Control::Bye { retry, .. } => {
            let hint = retry.map(|retry| format!("retry: {}\n", millis_up(retry)));
            format!("event: bye\n{}data: {json}\n\n", hint.unwrap_or_default())
        }
        // A comment, so that no script sees it.
        Control::Heartbeat { .. } => ":\n\n".to_owned(),
    }
}

fn chunked(event: &Event, out: &mut Vec<u8>, render: fn(&Event, &mut Vec<u8>)) {
    let mut block = Vec::with_capacity(event.data.bytes().len() + 256);
    render(event, &mut block);
    chunk(&block, out);
}

/// `id:` and the event's JSON, which is one line. No `event:`, so that one `onmessage` sees every type.
fn json(event: &Event, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("id: {}\ndata: ", event.id).as_bytes());
    event.write_json(out);
    out.extend_from_slice(b"\n\n");
}

/// The payload alone, line by line; base64 when it is not text.
fn raw(event: &Event, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("id: {}\n", event.id).as_bytes());
    if !event.kind.is_message() {
        out.extend_from_slice(format!("event: {}\n", event.kind.as_str()).as_bytes());
    }
    match &event.data {
        Data::Json(text) | Data::Text(text) => data_lines(text, out),
        Data::Binary(bytes) => data_lines(&BASE64.encode(bytes), out),
    }
    out.push(b'\n');
}

/// One `data:` line for each line of `text`. Lines end with LF, CR or CRLF, all three of which a parser
/// would take for the end of a field: an unsplit CR would let a payload forge fields.
fn data_lines(text: &str, out: &mut Vec<u8>) {
    let mut rest = text;
    loop {
        let end = rest.find(['\r', '\n']);
        let line = end.map_or(rest, |end| &rest[..end]);
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
        let Some(end) = end else { return };
        rest = &rest[end..];
        rest = rest.strip_prefix("\r\n").unwrap_or(&rest[1..]);
    }
}
