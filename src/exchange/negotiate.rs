//! Which of the ways a GET asks for, and from where on: fields and parameters in, values out.

use std::borrow::Cow;
use std::time::Duration;

use crate::access::pass::Pass;
use crate::config::Timeouts;
use crate::delivery::Query;
use crate::delivery::websocket::handshake;
use crate::event::Cursor;
use crate::http::Method;
use crate::http::fields::{NoneMatch, accepts, if_none_match, prefer_wait};
use crate::http::head::{Fields, Head};
use crate::hub::draft::parse_duration;
use crate::hub::selector::Selector;
use crate::journal::{Start, unix_millis};
use crate::refusal::{Kind, Refusal};

/// One of the ways to the same events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Answers at once.
    Poll,
    /// Answers at the first event, or after this long.
    LongPoll(Duration),
    /// Server-Sent Events.
    Sse,
    /// One JSON object a line.
    Ndjson,
    /// WebSocket.
    WebSocket,
}

/// The parameters of a URL's query. Those that nobody knows are left alone.
pub struct Parameters<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Parameters<'a> {
    /// Reads what follows the `?`.
    pub fn parse(query: Option<&'a str>) -> Self {
        Parameters {
            pairs: form_urlencoded::parse(query.unwrap_or_default().as_bytes()).collect(),
        }
    }

    /// The value of a parameter.
    ///
    /// # Errors
    /// When it is given twice: which one counts nobody could know.
    pub fn get(&self, name: &str) -> Result<Option<&str>, Refusal> {
        match self.pairs.is_empty() {
            true => Ok(None),
            false => self.find(name),
        }
    }

    /// How many of whatever there is an answer may have, 100 if nothing is said; 1,000 at most.
    ///
    /// # Errors
    /// When it is not a number, or 0.
    pub fn limit(&self) -> Result<usize, Refusal> {
        const DEFAULT: usize = 100;
        const MOST: usize = 1000;
        match self.get("limit")?.map(str::parse::<usize>) {
            None => Ok(DEFAULT),
            Some(Ok(limit @ 1..)) => Ok(limit.min(MOST)),
            Some(_) => Err(bad("'limit' is a number from 1 to 1000")),
        }
    }

    fn find(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut values = self
            .pairs
            .iter()
            .filter(|(known, _)| known == name)
            .map(|(_, value)| &**value);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(bad(format!("'{name}' is given twice"))),
            (value, None) => Ok(value),
        }
    }
}

/// Finds the way and what is asked for on it.
///
/// # Errors
/// The refusal that says what is not understood.
pub fn negotiate(
    head: &Head,
    parameters: &Parameters<'_>,
    pass: Pass,
    selectors: Vec<Selector>,
    timeouts: &Timeouts,
) -> Result<(Way, Query), Refusal> {
    let way = way(head, parameters, timeouts)?;
    let polls = matches!(way, Way::Poll | Way::LongPoll(_));
    let none_match = if polls {
        if_none_match(head.fields.get_all("If-None-Match"), Cursor::parse)
    } else {
        None
    };
    let in_url = start_in_url(parameters)?;
    let query = Query {
        pass,
        selectors,
        start: start(&head.fields, in_url, none_match),
        raw: is_raw(parameters)?,
        limit: parameters.limit()?,
        before: before(parameters)?,
        conditional: none_match.is_some(),
    };
    check(way, &query, in_url.is_some())?;
    Ok((way, query))
}

fn way(head: &Head, parameters: &Parameters<'_>, timeouts: &Timeouts) -> Result<Way, Refusal> {
    let fields = &head.fields;
    let wait = wait(fields, parameters, timeouts)?;
    Ok(match parameters.get("transport")? {
        Some("websocket") => Way::WebSocket,
        Some("sse") => Way::Sse,
        Some("ndjson") => Way::Ndjson,
        Some("long-poll") => Way::LongPoll(wait.unwrap_or(timeouts.long_poll)),
        Some("poll") => Way::Poll,
        Some(_) => {
            return Err(bad(
                "'transport' is websocket, sse, ndjson, long-poll or poll",
            ));
        }
        None if head.method == Method::Get && handshake::is_meant(head) => Way::WebSocket,
        None if accepts(fields.get_all("Accept"), "text/event-stream") => Way::Sse,
        None if accepts(fields.get_all("Accept"), "application/x-ndjson") => Way::Ndjson,
        None => wait.map_or(Way::Poll, Way::LongPoll),
    })
}

/// The wait asked for, within what the server grants.
fn wait(
    fields: &Fields,
    parameters: &Parameters<'_>,
    timeouts: &Timeouts,
) -> Result<Option<Duration>, Refusal> {
    let asked = match parameters.get("wait")? {
        Some(text) => Some(
            parse_duration(text)
                .ok_or_else(|| bad("'wait' is a number of seconds, such as wait=30"))?,
        ),
        None => prefer_wait(fields.get_all("Prefer")),
    };
    Ok(asked.map(|wait| wait.min(timeouts.long_poll)))
}

fn is_raw(parameters: &Parameters<'_>) -> Result<bool, Refusal> {
    match parameters.get("format")? {
        None | Some("json") => Ok(false),
        Some("raw") => Ok(true),
        Some(_) => Err(bad("'format' is json or raw")),
    }
}

/// Where to begin: a cursor in a field, then the URL, then `If-None-Match`.
fn start(
    fields: &Fields,
    in_url: Option<Start>,
    none_match: Option<NoneMatch<Cursor>>,
) -> Option<Start> {
    // A browser that comes back sends the field, while its URL is as old as the page.
    let given = fields.get("Last-Event-ID");
    let given = given.filter(|value| !value.is_empty());
    let in_field = given.map(|value| readable(Cursor::parse(value)));
    let tagged = || match none_match? {
        NoneMatch::Tagged(cursor) => Some(readable(cursor)),
        NoneMatch::Any => None,
    };
    in_field.or(in_url).or_else(tagged)
}

/// A cursor in a field that cannot be read is a gap: a refusal would stop a browser for good.
fn readable(cursor: Option<Cursor>) -> Start {
    cursor.map_or(Start::Unreadable, Start::After)
}

/// What the URL says is checked even where it does not count: a 400 tells its writer early.
fn start_in_url(parameters: &Parameters<'_>) -> Result<Option<Start>, Refusal> {
    let mut starts = Vec::new();
    for name in ["after", "last_event_id", "lastEventId"] {
        if let Some(text) = parameters.get(name)?.filter(|text| !text.is_empty()) {
            starts.push(after(text)?);
        }
    }
    if let Some(text) = parameters.get("last")? {
        let count = text
            .parse()
            .map_err(|_| bad("'last' is a number of events, such as last=10"))?;
        starts.push(Start::Last(count));
    }
    if let Some(text) = parameters.get("since")? {
        starts.push(since(text)?);
    }
    match starts[..] {
        [] => Ok(None),
        [start] => Ok(Some(start)),
        _ => Err(bad("give one of 'after', 'last' and 'since'")),
    }
}

fn after(text: &str) -> Result<Start, Refusal> {
    match text {
        "earliest" => Ok(Start::Earliest),
        "now" => Ok(Start::Now),
        _ => Cursor::parse(text).map(Start::After).ok_or_else(|| {
            Refusal::new(
                Kind::BadCursor,
                "'after' is a cursor as it was handed out, 'earliest' or 'now'",
            )
        }),
    }
}

/// A time ago, or a Unix time: in seconds, or in milliseconds as events carry it.
fn since(text: &str) -> Result<Start, Refusal> {
    const LEAST_MILLISECONDS: u64 = 100_000_000_000;
    if let Ok(number) = text.parse::<u64>() {
        let in_seconds = number < LEAST_MILLISECONDS;
        return Ok(Start::Since(if in_seconds {
            number * 1000
        } else {
            number
        }));
    }
    let ago = humantime::parse_duration(text)
        .map_err(|_| bad("'since' is a time ago, such as 10m, or a Unix time"))?;
    let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
    Ok(Start::Since(unix_millis().saturating_sub(ago)))
}

fn before(parameters: &Parameters<'_>) -> Result<Option<Cursor>, Refusal> {
    let unreadable = || Refusal::new(Kind::BadCursor, "'before' is a cursor as it was handed out");
    let read = |text| Cursor::parse(text).ok_or_else(unreadable);
    parameters.get("before")?.map(read).transpose()
}

/// What does not go together.
fn check(way: Way, query: &Query, in_url: bool) -> Result<(), Refusal> {
    let one_channel = matches!(query.selectors[..], [Selector::Channel(_)]);
    match way {
        Way::Ndjson if query.raw => Err(bad(
            "NDJSON has no raw form; leave 'format' out, or ask for SSE",
        )),
        Way::WebSocket if query.raw && !one_channel => Err(bad(
            "a raw WebSocket is for one channel, to which its messages are published",
        )),
        Way::WebSocket if query.raw && query.start.is_some() => Err(bad(
            "a raw WebSocket is live only; leave out 'after', 'last' and 'since'",
        )),
        Way::Poll if query.before.is_some() && (in_url || query.raw) => Err(bad(
            "'before' goes with 'limit' only, not with 'after', 'last', 'since' or 'format'",
        )),
        Way::Poll => Ok(()),
        _ if query.before.is_some() => Err(bad("'before' pages backwards through polls only")),
        _ => Ok(()),
    }
}

/// A parameter that means nothing.
pub fn bad(detail: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::new(Kind::BadParameter, detail)
}
