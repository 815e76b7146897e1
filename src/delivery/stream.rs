//! The loop of Server-Sent Events and NDJSON: head and replay, then the connection's thread only listens
//! for the hang-up and keeps the heartbeat, while a shard writes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::catch_up::{Step, step};
use super::control::Control;
use super::framing::Framing;
use super::outbox::Outbox;
use super::{Context, Listening, Opening, Query};
use crate::event::Cursor;
use crate::journal::{Start, StoreError};
use crate::roster::Berth;
use crate::server::stream::{ReadError, Stream};

/// Bytes of what the client says that are read, and dropped, at once.
const SCRATCH: usize = 256;
/// How often a replay that waits for its reader looks whether it is to end.
const LOOK_FOR_END: Duration = Duration::from_secs(1);

/// Finds where a stream begins. That is done before the head of its answer is written: whoever has read the head
/// gets whatever is published from then on.
///
/// # Errors
/// When the journal cannot be read, which the stream itself says.
pub fn find_opening(context: &Context, query: &Query) -> Result<Opening, StoreError> {
    let start = query.start.unwrap_or(Start::Now);
    Opening::find(&context.hub, &query.selectors, start)
}

/// Begins to stream events: writes what the subscriber missed, blocking, and makes it live. The head of
/// the answer has been written.
pub fn begin(
    context: Arc<Context>,
    stream: Arc<Stream>,
    berth: Arc<Berth>,
    query: &Query,
    opening: Result<Opening, StoreError>,
    framing: &'static dyn Framing,
) -> Box<dyn Listening> {
    let outbox = open(&context, &stream, framing, query, opening);
    let listener = Listener {
        outbox: outbox.clone(),
        _berth: berth.clone(),
    };
    berth.hold(outbox.clone());
    replay(&outbox);
    Box::new(listener)
}

/// What listens for the hang-up of a stream's client.
struct Listener {
    outbox: Arc<Outbox>,
    _berth: Arc<Berth>,
}

impl Listening for Listener {
    fn listen(self: Box<Self>) {
        listen(&self.outbox);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.outbox.close();
    }
}

/// The outbox of a stream that begins, with its welcome queued; or with its goodbye, when the journal cannot
/// tell where it begins.
pub fn open(
    context: &Arc<Context>,
    stream: &Arc<Stream>,
    framing: &'static dyn Framing,
    query: &Query,
    opening: Result<Opening, StoreError>,
) -> Arc<Outbox> {
    let outbox = |opening| {
        Arc::new(Outbox::new(
            context.clone(),
            stream.clone(),
            framing,
            opening,
            query.pass.clone(),
        ))
    };
    match opening {
        Ok(opening) => {
            let cursor = context.hub.cursor(opening.place);
            let outbox = outbox(opening);
            welcome(&outbox, framing, cursor);
            outbox
        }
        Err(error) => {
            let outbox = outbox(Opening::default());
            outbox.refuse(&error.into());
            outbox
        }
    }
}

fn welcome(outbox: &Outbox, framing: &'static dyn Framing, cursor: Cursor) {
    let context = outbox.context();
    let welcome = Control::Welcome {
        cursor,
        heartbeat: outbox.heartbeat(),
        retry: context.retry_after(),
    };
    if let Some(frame) = framing.control(&welcome) {
        outbox.send_control(frame);
    }
}

/// Writes what the subscriber missed, page by page, until it is live. Blocks while its socket is full; when
/// the journal cannot be read, catch-up goes on with it later, and this thread listens.
fn replay(outbox: &Arc<Outbox>) {
    loop {
        outbox.end_if_over();
        match step(outbox) {
            Step::Live | Step::Over | Step::Ending => return,
            Step::More => {}
            Step::Later => return outbox.context().catch_up.take(outbox.clone()),
            Step::Blocked => match outbox.patience() {
                Some(patience) => drop(outbox.stream().wait_writable(patience.min(LOOK_FOR_END))),
                None => return,
            },
        }
    }
}

/// Waits for the client to hang up, saying now and then that the server is there.
fn listen(outbox: &Outbox) {
    let mut scratch = [0; SCRATCH];
    let mut beat = Instant::now() + outbox.heartbeat();
    let mut end = None;
    loop {
        outbox.end_if_over();
        let ending = outbox.is_ending();
        let deadline = match ending {
            true => *end
                .get_or_insert_with(|| Instant::now() + outbox.context().config().timeouts.close),
            false => outbox.until(beat),
        };
        match outbox.stream().read(&mut scratch, deadline) {
            // An HTTP client has nothing to say here; what it says is dropped.
            Ok(_) => {}
            Err(ReadError::HungUp) => return,
            Err(ReadError::TimedOut) if ending => return,
            Err(ReadError::TimedOut) if Instant::now() < beat => {}
            Err(ReadError::TimedOut) => {
                outbox.keep_alive();
                beat = next_beat(beat, outbox.heartbeat());
            }
        }
    }
}

/// The next beat after this one; a beat that was missed is not made up for.
pub fn next_beat(beat: Instant, interval: Duration) -> Instant {
    (beat + interval).max(Instant::now())
}
