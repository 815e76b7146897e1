//! What Fourcast itself says on a stream, beside events: the same objects on all of them.

use std::io::Write as _;
use std::time::Duration;

use crate::event::{Cursor, write_json_string};
use crate::journal::GapReason;
use crate::refusal::Refusal;

/// One control object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// The stream begins after `cursor`.
    Welcome {
        /// Where it begins.
        cursor: Cursor,
        /// How often it will say that it is there.
        heartbeat: Duration,
        /// When to come back after a loss of the connection.
        retry: Duration,
    },
    /// Events are missing.
    Gap(Gap),
    /// The stream ends.
    Bye {
        /// The code of WebSocket's closing handshake, on every way.
        code: u16,
        /// When to come back, where that helps.
        retry: Option<Duration>,
    },
    /// Nothing happened up to `cursor`.
    Heartbeat {
        /// The place up to which the selectors were examined.
        cursor: Cursor,
    },
}

/// A gap, as a client is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Why.
    pub reason: GapReason,
    /// The cursor behind which events are missing; `None` when the client's could not be read.
    pub from: Option<Cursor>,
    /// The cursor whence delivery goes on.
    pub cursor: Cursor,
}

impl Control {
    /// The object in compact JSON, one line, no final LF.
    pub fn json(&self) -> String {
        let mut out = Vec::new();
        // Writing into a Vec cannot fail.
        let _ = match self {
            Control::Welcome {
                cursor, heartbeat, ..
            } => write!(
                out,
                r#"{{"op":"welcome","cursor":"{cursor}","heartbeat_ms":{}}}"#,
                heartbeat.as_millis()
            ),
            Control::Gap(gap) => write!(out, r#"{{"op":"gap",{}}}"#, gap.members()),
            Control::Bye { code, retry } => {
                let hint = retry.map(|retry| format!(r#","retry_ms":{}"#, millis_up(retry)));
                write!(
                    out,
                    r#"{{"op":"bye","code":{code}{}}}"#,
                    hint.unwrap_or_default()
                )
            }
            Control::Heartbeat { cursor } => {
                write!(out, r#"{{"op":"heartbeat","cursor":"{cursor}"}}"#)
            }
        };
        String::from_utf8(out).unwrap_or_default()
    }
}

impl Gap {
    /// The members of the object, without braces.
    pub fn members(&self) -> String {
        let from = self
            .from
            .map_or("null".to_owned(), |from| format!(r#""{from}""#));
        format!(
            r#""reason":"{}","from":{from},"cursor":"{}""#,
            self.reason.as_str(),
            self.cursor
        )
    }
}

/// The `error` object that answers an operation with this refusal.
pub fn error_json(reference: Option<&str>, refusal: &Refusal) -> String {
    let row = refusal.row();
    let mut out = br#"{"op":"error""#.to_vec();
    write_reference(&mut out, reference);
    let _ = write!(out, r#","code":"{}","detail":"#, row.code);
    write_json_string(&mut out, refusal.told());
    let is_later = row.retry == crate::refusal::Retry::Later;
    let _ = write!(out, r#","retry":{is_later}"#);
    if let Some(wait) = refusal.retry_after {
        let _ = write!(out, r#","retry_ms":{}"#, millis_up(wait));
    }
    out.push(b'}');
    String::from_utf8(out).unwrap_or_default()
}

/// A wait as it is told, rounded up: whoever comes back then is not too early, and nobody is told 0.
pub(super) fn millis_up(wait: Duration) -> u128 {
    wait.as_nanos().div_ceil(1_000_000)
}

/// Appends the member `ref` as the client gave it, which is JSON, if it gave one.
pub fn write_reference(out: &mut Vec<u8>, reference: Option<&str>) {
    if let Some(reference) = reference {
        out.extend_from_slice(br#","ref":"#);
        out.extend_from_slice(reference.as_bytes());
    }
}
