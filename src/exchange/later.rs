//! A no that passes, in the way that was asked for. Any status but 200 would stop a browser's EventSource for good, so
//! it is let in, told when to come back, and let go.

use super::negotiate::Parameters;
use super::origin::Visitor;
use super::stream_head;
use crate::delivery::control::Control;
use crate::delivery::framing::Framing as _;
use crate::delivery::{Context, sse};
use crate::http::fields::accepts;
use crate::http::head::Head;
use crate::http::response::Response;
use crate::http::{Method, Version};
use crate::refusal::{Kind, Refusal, Retry};

/// The head of an answer and what follows it, in place of `refusal`; `None`: a plain refusal is right.
pub fn event_stream(
    context: &Context,
    head: &Head,
    visitor: &Visitor,
    refusal: &Refusal,
) -> Option<(Response, Vec<u8>)> {
    if !passes(refusal.kind) || !asks_for_sse(head) {
        return None;
    }
    let framing = match head.version {
        Version::Http11 => &sse::JSON,
        Version::Http10 => &sse::JSON_UNCHUNKED,
    };
    let bye = Control::Bye {
        code: code(refusal.kind),
        retry: Some(refusal.retry_after.unwrap_or(context.retry_after())),
    };
    let response = visitor.decorate(stream_head("text/event-stream"));
    let farewell = match head.method {
        Method::Head => Vec::new(),
        _ => framing.farewell(&bye, ""),
    };
    Some((response, farewell))
}

/// Whether it is a matter of how much there is to do, and so of time.
fn passes(kind: Kind) -> bool {
    let row = kind.row();
    row.retry == Retry::Later && matches!(row.status, 429 | 503)
}

/// Whoever is too fast on an open WebSocket is told to stay away. Whoever begins a stream is at most one of many who
/// come back at once, and is told to try later.
fn code(kind: Kind) -> u16 {
    match kind {
        Kind::RateLimited => Kind::TooManyOfOne.row().close,
        _ => kind.row().close,
    }
}

fn asks_for_sse(head: &Head) -> bool {
    let parameters = Parameters::parse(head.query());
    let gets = matches!(head.method, Method::Get | Method::Head);
    gets && match parameters.get("transport") {
        Ok(Some(transport)) => transport == "sse",
        _ => accepts(head.fields.get_all("Accept"), "text/event-stream"),
    }
}
