//! Polling: one look, one answer, nothing kept.

use std::sync::Arc;

use super::control::Gap;
use super::{Context, Opening, Query, gap_in};
use crate::event::Cursor;
use crate::http::response::Response;
use crate::hub::selector::Selection;
use crate::hub::tail::{Entry, Form, Page};
use crate::journal::{Limit, Start, StoreError};
use crate::refusal::Refusal;
use crate::roster::Way;

/// An event as JSON, as it stands in the list of an answer.
pub static JSON: Form = Form {
    slot: 0,
    way: Way::Http,
    render: |event, out| event.write_json(out),
};

/// Whoever may publish HTML does not thereby run it with the rights of this server's own page.
const RAW_POLICY: &str = "sandbox";
/// The most bytes of an answer, unless its only event has more.
const ANSWER_BYTES: usize = 1 << 20;
/// What an answer has beside events.
const ENVELOPE_BYTES: usize = 512;
/// The most events examined for one answer; what is left is said by `more`.
const ROWS: usize = 10_000;

/// What one look found.
pub struct Look {
    /// What is asked for, from here on.
    pub selection: Selection,
    /// The seq up to which it was examined.
    pub place: u64,
    answer: Answer,
}

struct Answer {
    entries: Vec<Arc<Entry>>,
    gap: Option<Gap>,
    cursor: Cursor,
    more: bool,
}

/// Answers at once.
///
/// # Errors
/// When the journal cannot be read, or whoever asks may not read it any more.
pub fn answer(context: &Arc<Context>, query: &Query) -> Result<Response, Refusal> {
    let response = look(context, query)?;
    // Whoever took the right back meanwhile was told that it is done, and may have published since.
    query.check_access(&context.access.get())?;
    Ok(response)
}

fn look(context: &Arc<Context>, query: &Query) -> Result<Response, StoreError> {
    match (query.before, query.start) {
        (Some(before), _) => answer_before(context, query, before),
        // Most polls find nothing, and a cursor at the head says so without a look.
        (None, Some(Start::After(cursor))) if query.conditional && context.hub.is_head(cursor) => {
            Ok(not_modified(cursor))
        }
        (None, _) => Ok(Look::take(context, query)?.response(context, query, Way::Http)),
    }
}

/// Answers with the events that came while the client waited behind `place`, as many as are asked for.
pub fn answer_events(
    context: &Arc<Context>,
    query: &Query,
    place: u64,
    mut entries: Vec<Arc<Entry>>,
) -> Response {
    let most = limit(query).events;
    let more = entries.len() > most;
    entries.truncate(most);
    let last = entries.last().map_or(place, |last| last.seq());
    let answer = Answer {
        entries,
        gap: None,
        cursor: context.hub.cursor(last),
        more,
    };
    answer.count(context, Way::LongPoll);
    answer.response(query)
}

fn not_modified(cursor: Cursor) -> Response {
    with_cursor(Response::new(304), cursor)
}

fn with_cursor(response: Response, cursor: Cursor) -> Response {
    let cursor = cursor.text();
    response
        .with("ETag", cursor.quoted())
        .with("Last-Event-ID", cursor.bytes())
}

/// Pages backwards: from the place named, or from the head where nobody knows it, which is a gap.
fn answer_before(
    context: &Arc<Context>,
    query: &Query,
    before: Cursor,
) -> Result<Response, StoreError> {
    let hub = &context.hub;
    let beginning = hub.begin(query.selectors.clone(), Start::After(before))?;
    let head = hub.head();
    let gap = beginning.gap.map(|reason| Gap {
        reason,
        from: Some(before),
        cursor: head,
    });
    let from = if gap.is_some() {
        head.seq.saturating_add(1)
    } else {
        before.seq
    };
    let selection = Selection::new(query.selectors.iter().cloned());
    let page = hub.read_before(&selection, from, limit(query))?;
    let mut answer = Answer {
        entries: page.entries,
        gap,
        cursor: hub.cursor(page.cursor),
        more: page.more,
    };
    answer.cut_oldest();
    answer.count(context, Way::Http);
    // No fields with a cursor: whoever followed them forwards would get events twice.
    Ok(Response::new(200).with_body("application/json", answer.body()))
}

impl Look {
    /// Looks for what a query is owed.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn take(context: &Arc<Context>, query: &Query) -> Result<Self, StoreError> {
        let opening = Opening::find(
            &context.hub,
            &query.selectors,
            query.start.unwrap_or(Start::Earliest),
        )?;
        let page = context
            .hub
            .read(&opening.selection, opening.place, limit(query))?;
        let mut look = Look::from_page(context, opening.selection, opening.place, page);
        if opening.gap.is_some() || opening.is_bare {
            look.answer.gap = opening.gap;
        }
        Ok(look)
    }

    /// Looks again, from where this look ended.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn again(self, context: &Arc<Context>, query: &Query) -> Result<Self, StoreError> {
        Look::from_place(context, query, self.selection, self.place)
    }

    /// Looks from a place up to which everything was examined.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn from_place(
        context: &Arc<Context>,
        query: &Query,
        selection: Selection,
        place: u64,
    ) -> Result<Self, StoreError> {
        let page = context.hub.read(&selection, place, limit(query))?;
        Ok(Look::from_page(context, selection, place, page))
    }

    /// Whether there is something to say.
    pub fn has_news(&self) -> bool {
        !self.answer.entries.is_empty() || self.answer.gap.is_some() || self.answer.more
    }

    /// The answer.
    pub fn response(self, context: &Context, query: &Query, way: Way) -> Response {
        self.answer.count(context, way);
        self.answer.response(query)
    }

    fn from_page(context: &Arc<Context>, selection: Selection, place: u64, page: Page) -> Self {
        let hub = &context.hub;
        let gap = gap_in(hub, place, &page);
        let cursor = hub.cursor(page.cursor);
        Look {
            selection,
            place: page.cursor,
            answer: Answer {
                entries: page.entries,
                gap,
                cursor,
                more: page.more,
            },
        }
    }
}

fn limit(query: &Query) -> Limit {
    let events = if query.raw { 1 } else { query.limit };
    Limit {
        rows: ROWS,
        events,
        bytes: ANSWER_BYTES,
    }
}

/// Appends events as JSON, with commas between.
pub fn write_list(entries: &[Arc<Entry>], out: &mut Vec<u8>) {
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(entry.bytes(&JSON));
    }
}

/// How many of these fit into one answer; one at least.
fn fitting<'a>(entries: impl Iterator<Item = &'a Arc<Entry>>) -> usize {
    let mut room = ANSWER_BYTES - ENVELOPE_BYTES;
    let fits = |entry: &&Arc<Entry>| {
        let needed = entry.bytes(&JSON).len() + 1;
        let fits = needed <= room;
        room = room.saturating_sub(needed);
        fits
    };
    entries.take_while(fits).count().max(1)
}

impl Answer {
    fn count(&self, context: &Context, way: Way) {
        let metrics = context.hub.metrics();
        metrics.delivered(way).add(self.entries.len() as u64);
        if let Some(gap) = &self.gap {
            metrics.gaps(gap.reason).count();
        }
    }

    fn response(mut self, query: &Query) -> Response {
        let nothing_new = self.entries.is_empty() && self.gap.is_none() && !self.more;
        if query.conditional && nothing_new {
            return not_modified(self.cursor);
        }
        if query.raw {
            return self.raw();
        }
        if query.before.is_none() {
            self.cut();
        }
        let body = self.body();
        with_cursor(Response::new(200), self.cursor).with_body("application/json", body)
    }

    /// Keeps the answer within its bytes: base64 and escapes may make it larger than its payloads.
    fn cut(&mut self) {
        let count = fitting(self.entries.iter());
        if let Some(next) = self.entries.get(count) {
            self.cursor.seq = next.seq() - 1;
            self.more = true;
            self.entries.truncate(count);
        }
    }

    /// The same for a page that is read backwards, whose oldest events can come with the next one.
    fn cut_oldest(&mut self) {
        let count = fitting(self.entries.iter().rev());
        let cut = self.entries.len().saturating_sub(count);
        if cut > 0 {
            self.entries.drain(..cut);
            self.cursor.seq = self
                .entries
                .first()
                .map_or(self.cursor.seq, |first| first.seq());
            self.more = true;
        }
    }

    fn body(&self) -> Vec<u8> {
        let size: usize = self
            .entries
            .iter()
            .map(|entry| entry.bytes(&JSON).len() + 1)
            .sum();
        let mut body = Vec::with_capacity(size + ENVELOPE_BYTES);
        body.extend_from_slice(
            format!(r#"{{"cursor":"{}","more":{},"#, self.cursor, self.more).as_bytes(),
        );
        if let Some(gap) = &self.gap {
            body.extend_from_slice(format!(r#""gap":{{{}}},"#, gap.members()).as_bytes());
        }
        body.extend_from_slice(br#""events":["#);
        write_list(&self.entries, &mut body);
        body.extend_from_slice(b"]}\n");
        body
    }

    /// One event as it was published.
    fn raw(mut self) -> Response {
        let entry = self.entries.first().cloned();
        if let Some(entry) = &entry {
            self.cursor.seq = entry.seq();
        }
        let status = if entry.is_some() { 200 } else { 204 };
        let mut response = with_cursor(Response::new(status), self.cursor);
        if let Some(gap) = &self.gap {
            response = response.with("Fourcast-Gap", gap.reason.as_str());
        }
        let Some(entry) = entry else { return response };
        let event = entry.event();
        response
            .with("Content-Security-Policy", RAW_POLICY)
            .with("Cross-Origin-Resource-Policy", "same-origin")
            .with("Fourcast-Channel", event.channel.name().as_str())
            .with("Fourcast-Type", event.kind.as_str())
            .with("Fourcast-Time", event.time.to_string())
            .with_body(event.media_type(), event.data.bytes().to_vec())
    }
}
