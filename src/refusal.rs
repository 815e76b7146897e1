//! Every no that Fourcast can say, in one table: HTTP status, WebSocket close code, a stable code for
//! programs, a title, and whether coming back helps. Nothing else in the tree chooses a status.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// What a refused peer should do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same request will be refused again: change it first.
    Never,
    /// The same request may succeed later.
    Later,
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The status of the HTTP answer (RFC 9110, section 15).
    pub status: u16,
    /// The WebSocket close code (RFC 6455, section 7.4) for the same fault on an open connection.
    pub close: u16,
    /// The stable name that programs compare.
    pub code: &'static str,
    /// The same for people, one short line.
    pub title: &'static str,
    /// Whether coming back helps.
    pub retry: Retry,
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $kind:ident = $status:literal $close:literal $code:literal $title:literal $retry:ident;)*) => {
        /// The kinds of refusal; each has one [`Row`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind { $($(#[$doc])* $kind,)* }

        impl Kind {
            /// All kinds, in the order of the table.
            pub const ALL: &'static [Kind] = &[$(Kind::$kind,)*];

            /// This kind's line of the table.
            pub const fn row(self) -> Row {
                match self { $(Kind::$kind => Row {
                    status: $status, close: $close, code: $code, title: $title, retry: Retry::$retry,
                },)* }
            }
        }
    };
}

refusals! {
    /// The bytes are not a well-formed HTTP/1.1 message (RFC 9112).
    BadRequest = 400 1002 "bad_request" "Malformed request" Never;
    /// The path does not name a channel, or a list of channels and patterns.
    BadChannel = 400 1008 "bad_channel" "Not a channel" Never;
    /// A cursor in the URL that no server of this kind hands out.
    BadCursor = 400 1008 "bad_cursor" "Not a cursor" Never;
    /// A query parameter, a header field or an operation whose value means nothing.
    BadParameter = 400 1008 "bad_parameter" "Parameter not understood" Never;
    /// The payload is not what its type says.
    BadPayload = 400 1007 "bad_payload" "Payload not understood" Never;
    /// A WebSocket handshake that breaks RFC 6455, section 4.2.1.
    BadHandshake = 400 1002 "bad_handshake" "Not a WebSocket handshake" Never;
    /// What has to be shown is missing.
    Unauthorized = 401 4403 "unauthorized" "Token or key missing" Never;
    /// A token or a key that is not valid here.
    BadToken = 401 4403 "bad_token" "Token or key not valid" Never;
    /// A token whose time is over: the same request succeeds with a fresh one.
    TokenExpired = 401 4401 "token_expired" "Token expired" Later;
    /// What was shown does not allow this.
    Forbidden = 403 4403 "forbidden" "Not allowed" Never;
    /// An Origin that the configuration does not allow.
    ForbiddenOrigin = 403 4403 "forbidden_origin" "Origin not allowed" Never;
    /// Nothing is served at this path.
    NotFound = 404 1008 "not_found" "Nothing here" Never;
    /// The method is known, but not for this path.
    MethodNotAllowed = 405 1008 "method_not_allowed" "Method not allowed" Never;
    /// The request did not arrive in time.
    RequestTimeout = 408 1008 "request_timeout" "Request too slow" Later;
    /// A body without a length.
    LengthRequired = 411 1002 "length_required" "Length required" Never;
    /// A payload beyond the bound.
    TooLarge = 413 1009 "too_large" "Too large" Never;
    /// A request target beyond the bound.
    UriTooLong = 414 1009 "uri_too_long" "Request target too long" Never;
    /// A payload type or coding that cannot be published.
    UnsupportedType = 415 1003 "unsupported_type" "Type not supported" Never;
    /// An `Expect` other than `100-continue`.
    ExpectationFailed = 417 1008 "expectation_failed" "Expectation not supported" Never;
    /// A `Host` that this server does not answer for (DNS rebinding).
    Misdirected = 421 4403 "misdirected" "Host not served here" Never;
    /// An `Idempotency-Key` that was used with another payload.
    KeyReused = 422 1008 "key_reused" "Idempotency key used before" Never;
    /// A configuration that was to be read again and cannot be used.
    BadConfig = 422 1008 "bad_config" "Configuration cannot be used" Never;
    /// The way that was asked for needs an upgrade, or another version of it.
    UpgradeRequired = 426 1002 "upgrade_required" "Upgrade required" Never;
    /// More requests or events in a time than are allowed.
    RateLimited = 429 1008 "rate_limited" "Too fast" Later;
    /// More connections of one address or one subject than are allowed.
    TooManyOfOne = 429 1013 "too_many_of_one" "Too many connections of one client" Later;
    /// A request head beyond the bound.
    HeadTooLarge = 431 1009 "head_too_large" "Request head too large" Never;
    /// Something in Fourcast went wrong.
    Internal = 500 1011 "internal" "Internal error" Later;
    /// A method or transfer coding that is not implemented.
    NotImplemented = 501 1003 "not_implemented" "Not implemented" Never;
    /// Every permit for a connection is taken.
    Overloaded = 503 1013 "overloaded" "Too many connections" Later;
    /// There is no memory for it at the moment.
    OutOfMemory = 503 1013 "out_of_memory" "Memory budget used up" Later;
    /// The server is stopping.
    Leaving = 503 1001 "leaving" "Server is stopping" Later;
    /// The server is restarting.
    Restarting = 503 1012 "restarting" "Server is restarting" Later;
    /// A reload of the configuration is under way.
    Reloading = 503 1013 "reloading" "Reload under way" Later;
    /// The journal cannot be read or written at the moment.
    JournalUnavailable = 503 1013 "journal_unavailable" "Journal unavailable" Later;
    /// The version of HTTP is not 1.0 or 1.1.
    VersionNotSupported = 505 1002 "version_not_supported" "HTTP version not supported" Never;
    /// The journal has no room for another channel.
    TooManyChannels = 507 1013 "too_many_channels" "Too many channels" Later;
    /// The journal's disk, or what it may use of it, is full.
    JournalFull = 507 1013 "journal_full" "Journal is full" Later;
    /// A WebSocket peer that broke the framing (RFC 6455, section 5).
    ProtocolError = 400 1002 "protocol_error" "WebSocket protocol error" Never;
    /// A text message that is not UTF-8 (RFC 6455, section 8.1).
    InvalidText = 400 1007 "invalid_text" "Text is not UTF-8" Never;
    /// Binary data where only operations in text are understood.
    UnsupportedData = 415 1003 "unsupported_data" "Binary data not understood" Never;
    /// More selectors than one connection may have.
    TooManySubscriptions = 400 1008 "too_many_subscriptions" "Too many subscriptions" Never;
    /// A subscriber that does not read what it is owed.
    TooSlow = 408 4408 "too_slow" "Subscriber too slow" Later;
    /// A peer that no longer answers pings.
    Unresponsive = 408 4408 "unresponsive" "No answer to pings" Later;
    /// A connection that the operator ended for good.
    Removed = 403 4403 "removed" "Disconnected by the operator" Never;
}

/// The longest detail that is told, in bytes.
const DETAIL_BYTES: usize = 1024;

/// One refusal: its kind, and a sentence that says what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Which line of the table.
    pub kind: Kind,
    /// What is wrong here and what would be right, one or two sentences. Never holds secrets.
    pub detail: Cow<'static, str>,
    /// A header field that belongs to the answer, such as `Allow` (RFC 9110, section 10.2.1).
    pub field: Option<(&'static str, Cow<'static, str>)>,
    /// When to come back, for [`Retry::Later`].
    pub retry_after: Option<Duration>,
    /// How many requests finding it out cost, beside the one that it was: whoever is refused pays for them.
    pub toll: u32,
}

impl Refusal {
    /// A refusal of `kind`, with the sentence that tells the peer what to do.
    pub fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Refusal {
            kind,
            detail: detail.into(),
            field: None,
            retry_after: None,
            toll: 0,
        }
    }

    /// Adds the header field that the status asks for (`Allow`, `Upgrade`, `Sec-WebSocket-Version`).
    pub fn with_field(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.field = Some((name, value.into()));
        self
    }

    /// Says when to come back; rounded up to whole seconds on the wire.
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Says what finding it out cost, in requests.
    pub fn with_toll(mut self, toll: u32) -> Self {
        self.toll = toll;
        self
    }

    /// Its line of the table.
    pub const fn row(&self) -> Row {
        self.kind.row()
    }

    /// The detail as it is told: longer ones are cut, since answers wait in memory until they are read.
    pub fn told(&self) -> &str {
        &self.detail[..self.detail.floor_char_boundary(DETAIL_BYTES)]
    }

    /// The body of the HTTP answer: `application/problem+json` (RFC 9457) and a final LF.
    pub fn problem(&self) -> String {
        let row = self.row();
        let retry = row.retry == Retry::Later;
        let mut body = format!(
            r#"{{"type":"about:blank","title":{},"status":{},"detail":{},"code":"{}","retry":{retry}}}"#,
            quoted(row.title),
            row.status,
            quoted(self.told()),
            row.code,
        );
        body.push('\n');
        body
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = self.row();
        write!(f, "{} {}: {}", row.status, row.code, self.told())
    }
}

impl std::error::Error for Refusal {}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_code_is_used_once_and_every_close_code_may_be_sent() {
        let mut seen = HashSet::new();
        for kind in Kind::ALL {
            let row = kind.row();
            assert!(seen.insert(row.code), "{} twice", row.code);
            assert!((400..600).contains(&row.status), "{}", row.code);
            assert!(
                matches!(row.close, 1001..=1003 | 1007..=1013 | 4000..=4999),
                "{}",
                row.code
            );
        }
    }

    /// Whoever writes a client reads the table there.
    #[test]
    fn the_wire_page_has_every_refusal_as_it_is() {
        let told: Vec<&str> = include_str!("wire.md")
            .lines()
            .skip_while(|line| !line.starts_with("| status | close code |"))
            .skip(2)
            .take_while(|line| line.starts_with('|'))
            .collect();
        let rows = Kind::ALL.iter().map(|kind| {
            let row = kind.row();
            format!(
                "| {} | {} | `{}` | {} | {} |",
                row.status,
                row.close,
                row.code,
                row.title,
                row.retry == Retry::Later
            )
        });
        assert_eq!(told, rows.collect::<Vec<_>>());
    }

    #[test]
    fn a_problem_is_json_whatever_its_detail() {
        let refusal = Refusal::new(Kind::BadRequest, "a \"quote\"\nand a line");
        let value: serde_json::Value = serde_json::from_str(&refusal.problem()).unwrap();
        assert_eq!(value["status"], 400);
        assert_eq!(value["code"], "bad_request");
        assert_eq!(value["detail"], "a \"quote\"\nand a line");
        assert!(refusal.problem().ends_with("}\n"));
    }

    #[test]
    fn a_detail_is_told_up_to_a_bound_and_cut_between_characters() {
        let refusal = Refusal::new(Kind::BadRequest, "é".repeat(DETAIL_BYTES));
        assert_eq!(refusal.told(), "é".repeat(DETAIL_BYTES / 2));
        let refusal = Refusal::new(Kind::BadRequest, format!("a{}", refusal.detail));
        assert_eq!(refusal.told().len(), DETAIL_BYTES - 1);
        assert!(refusal.problem().len() < 2 * DETAIL_BYTES);
        assert!(refusal.to_string().len() < 2 * DETAIL_BYTES);
    }
}
