//! What can go wrong for a client, and whether coming back helps.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::time::{Duration, SystemTime};

use super::http::Head;

/// Why something did not work.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// What was asked for cannot be put on the wire (a URL, a channel, a field); nothing was sent.
    Invalid(Cow<'static, str>),
    /// No connection came about.
    Connect(io::Error),
    /// The connection was lost, or could not be written to in time.
    Connection(io::Error),
    /// The peer was silent for longer than it may be.
    Silent(Duration),
    /// The server ended the stream without saying why.
    Ended,
    /// The peer does not speak the protocol.
    Protocol(Cow<'static, str>),
    /// The server said no.
    Refused(Problem),
    /// The server ended the stream and said why: with a WebSocket's close, or on any stream with `bye`.
    Closed(Close),
    /// Somebody used a [`Stopper`](super::Stopper).
    Stopped,
}

/// A refusal as the server words it (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The status of the answer (RFC 9110, section 15); 0 for an operation on a WebSocket.
    pub status: u16,
    /// The stable name for programs, such as `bad_channel`; empty when a proxy refused.
    pub code: String,
    /// What to do about it, for people.
    pub detail: String,
    /// Whether the same request may succeed later.
    pub retry: bool,
    /// When to come back at the earliest (`Retry-After`).
    pub retry_after: Option<Duration>,
}

/// Why a server ended a stream: a close code (RFC 6455, section 7.4), which `bye` carries too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// The close code; 1005 when there was none.
    pub code: u16,
    /// The reason in the server's words, for people; empty where it gave none, as in `bye`.
    pub reason: String,
}

impl Close {
    /// What a `bye` says.
    pub(super) fn of_bye(code: u16) -> Self {
        Close {
            code,
            reason: String::new(),
        }
    }

    /// The reason, or what the code stands for.
    fn words(&self) -> &str {
        if !self.reason.is_empty() {
            return &self.reason;
        }
        match self.code {
            1001 => "the server goes away",
            1002 => "the protocol was broken",
            1007 => "text that is not UTF-8",
            1008 => "against the rules",
            1009 => "a message too large",
            1011 => "something went wrong in the server",
            1012 => "the server restarts",
            1013 => "the server cannot serve this at the moment",
            4401 => "the token has expired",
            4403 => "not allowed",
            4408 => "read too slowly",
            _ => "",
        }
    }
}

impl Error {
    /// Whether the same request, with the same token, may succeed later. Refusals that say no are final: a 4xx other than
    /// 408 and 429, and the close codes 1002, 1003, 1007 to 1010 and 4403.
    pub fn may_pass(&self) -> bool {
        match self {
            Error::Invalid(_) | Error::Stopped | Error::Protocol(_) => false,
            Error::Connect(_) | Error::Connection(_) | Error::Silent(_) | Error::Ended => true,
            // A client shows the same token each time.
            Error::Refused(problem) => problem.retry && problem.status != 401,
            Error::Closed(close) => !matches!(close.code, 1002 | 1003 | 1007..=1010 | 4403),
        }
    }

    /// When the server wants to see the client again, if it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Refused(problem) => problem.retry_after,
            _ => None,
        }
    }

    pub(super) fn invalid(sentence: impl Into<Cow<'static, str>>) -> Self {
        Error::Invalid(sentence.into())
    }

    pub(super) fn protocol(sentence: impl Into<Cow<'static, str>>) -> Self {
        Error::Protocol(sentence.into())
    }

    pub(super) fn hung_up() -> Self {
        Error::Connection(io::ErrorKind::UnexpectedEof.into())
    }

    pub(super) fn timed_out() -> Self {
        Error::Connection(io::ErrorKind::TimedOut.into())
    }
}

impl Problem {
    /// The most of a foreign body that is quoted as the detail, in characters.
    const QUOTED: usize = 200;

    /// Reads the answer of a server, or of a proxy that knows nothing of problem details.
    pub(super) fn of(head: &Head, body: &[u8]) -> Self {
        #[derive(serde::Deserialize)]
        struct Members {
            code: Option<String>,
            detail: Option<String>,
            retry: Option<bool>,
        }
        let members: Option<Members> = serde_json::from_slice(body).ok();
        let (code, detail, retry) = match members {
            Some(members) => (members.code, members.detail, members.retry),
            None => (None, None, None),
        };
        Problem {
            status: head.status,
            code: code.unwrap_or_default(),
            detail: detail.unwrap_or_else(|| quoted(body)),
            retry: retry.unwrap_or(passes_by_itself(head.status)),
            retry_after: head.field("retry-after").and_then(retry_after),
        }
    }
}

/// Whether a status speaks of a passing state; for answers without problem details.
fn passes_by_itself(status: u16) -> bool {
    matches!(status, 408 | 425 | 429) || (status >= 500 && !matches!(status, 501 | 505))
}

/// The beginning of a body that is not ours, without what would disturb a terminal.
fn quoted(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let printable = text.trim().chars().filter(|c| !c.is_control());
    printable.take(Problem::QUOTED).collect()
}

/// Reads a `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date.
pub(super) fn retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(
        date.duration_since(SystemTime::now())
            .unwrap_or(Duration::ZERO),
    )
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Invalid(sentence) => f.write_str(sentence),
            Error::Connect(error) => write!(f, "no connection: {error}"),
            Error::Connection(error) => write!(f, "the connection was lost: {error}"),
            Error::Silent(patience) => {
                write!(
                    f,
                    "the server was silent for {:.1} s",
                    patience.as_secs_f32()
                )
            }
            Error::Ended => f.write_str("the server ended the stream"),
            Error::Protocol(sentence) => write!(f, "not understood: {sentence}"),
            Error::Refused(problem) => problem.fmt(f),
            Error::Closed(close) => close.fmt(f),
            Error::Stopped => f.write_str("stopped"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused")?;
        if self.status != 0 {
            write!(f, " with {}", self.status)?;
        }
        if !self.code.is_empty() {
            write!(f, " {}", self.code)?;
        }
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server ended the stream ({}", self.code)?;
        let words = self.words();
        if !words.is_empty() {
            write!(f, ": {words}")?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Connect(error) | Error::Connection(error) => Some(error),
            _ => None,
        }
    }
}
