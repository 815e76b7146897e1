//! The same stream for scripts: one compact JSON object a line.

use super::control::Control;
use super::framing::Framing;
use crate::event::Event;
use crate::http::body::{LAST_CHUNK, chunk};
use crate::hub::tail::Form;
use crate::roster::Way;

/// Lines of JSON.
pub struct Ndjson {
    form: Form,
    chunked: bool,
}

/// In chunks.
pub static CHUNKED: Ndjson = Ndjson {
    form: Form {
        slot: 5,
        way: Way::Ndjson,
        render: chunked_line,
    },
    chunked: true,
};
/// Until the connection closes (HTTP/1.0).
pub static UNCHUNKED: Ndjson = Ndjson {
    form: Form {
        slot: 6,
        way: Way::Ndjson,
        render: line,
    },
    chunked: false,
};

impl Framing for Ndjson {
    fn form(&'static self) -> &'static Form {
        &self.form
    }

    fn control(&self, control: &Control) -> Option<Vec<u8>> {
        let line = control.json() + "\n";
        if !self.chunked {
            return Some(line.into_bytes());
        }
        let mut out = Vec::new();
        chunk(line.as_bytes(), &mut out);
        Some(out)
    }

    fn farewell(&self, bye: &Control, _: &str) -> Vec<u8> {
        let mut last = self.control(bye).unwrap_or_default();
        if self.chunked {
            last.extend_from_slice(LAST_CHUNK);
        }
        last
    }
}

fn line(event: &Event, out: &mut Vec<u8>) {
    event.write_json(out);
    out.push(b'\n');
}

fn chunked_line(event: &Event, out: &mut Vec<u8>) {
    let mut bytes = Vec::with_capacity(event.data.bytes().len() + 256);
    line(event, &mut bytes);
    chunk(&bytes, out);
}
