//! Long polling: looks, and if there is nothing, lets a shard write the answer when there is. Meanwhile the
//! connection's thread reads, so that it notices a hang-up at once and wakes for the next request only:
//! with 1,000 waiting and 20 events a second a delivery costs 37 us of CPU time; when a condvar woke the thread to
//! write it was 64.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::poll::{Look, answer_events};
use super::{Context, Query};
use crate::http::response::{Payload, Response};
use crate::hub::fanout::{SubscriberId, Waiter};
use crate::hub::tail::Entry;
use crate::server::stream::{ReadError, Sent, Stream};
use crate::shutdown::{Berth, Leave, Leaving};

/// The most bytes of an answer that a shard writes: a quarter of what a socket holds by default. A larger
/// one is written by the connection's thread, and ends the connection.
const WRITTEN_BY_SHARD: usize = 16 * 1024;

/// How often a thread that cannot read looks whether its client has gone.
const HANG_UP: Duration = Duration::from_secs(1);

/// The bytes of an answer, with its head; `true` if the connection goes on after it.
pub type Encode = Box<dyn Fn(Response, bool) -> Vec<u8> + Send + Sync>;

/// A request that waits.
pub struct Request {
    /// What it asks for.
    pub query: Query,
    /// How long it waits at most.
    pub wait: Duration,
    /// Whether the connection can go on after its answer.
    pub keeps_alive: bool,
    /// How its answer is written.
    pub encode: Encode,
}

/// How a long poll ended.
pub enum Outcome {
    /// With this answer, which is to be written.
    Answer(Response),
    /// With this answer, which is to be written, and the end of the connection.
    Last(Response),
    /// With an answer that was written; what the client sent since is in the buffer.
    Answered,
    /// With the rest of an answer that is to be written, and the end of the connection.
    Rest(Vec<u8>),
    /// The client has gone.
    Gone,
}

/// Answers at the first event, at a gap, or empty after the wait and when the server stops. Blocks until
/// then; what the client sends meanwhile is appended to `buffer`, `most` bytes at most.
pub fn answer(
    context: &Arc<Context>,
    stream: &Arc<Stream>,
    berth: &Berth,
    request: Request,
    buffer: &mut Vec<u8>,
    most: usize,
) -> Outcome {
    let deadline = Instant::now() + request.wait;
    let request = Arc::new(request);
    let mut look = Look::take(context, &request.query);
    while !look.has_news() && !request.wait.is_zero() {
        let selection = Arc::new(look.selection.clone());
        let waiting = Arc::new(Waiting::new(context, stream, &request));
        if !context.hub.wait(waiting.clone(), &selection, look.place) {
            look = look.again(context, &request.query);
            continue;
        }
        berth.hold(waiting.clone());
        let slot = waiting.wait(buffer, most, deadline);
        berth.release();
        // A stopping server fills the slot of one who is still among those who wait, and whoever is there keeps
        // its place.
        if !matches!(slot, Slot::Answered | Slot::Rest(_)) {
            context.hub.withdraw(waiting.id, &selection);
        }
        let look_again = || look.again(context, &request.query).response(&request.query);
        return match slot {
            Slot::Answered => Outcome::Answered,
            Slot::Rest(bytes) => Outcome::Rest(bytes),
            Slot::Waiting => Outcome::Answer(look_again()),
            Slot::Look => Outcome::Last(look_again()),
            Slot::Gone => Outcome::Gone,
        };
    }
    Outcome::Answer(look.response(&request.query))
}

/// Says in an answer which wait was granted (RFC 7240, section 3).
pub fn granting(response: Response, wait: Duration) -> Response {
    response.with("Preference-Applied", format!("wait={}", wait.as_secs()))
}

/// One waiting client.
struct Waiting {
    id: SubscriberId,
    context: Arc<Context>,
    stream: Arc<Stream>,
    request: Arc<Request>,
    slot: Mutex<Slot>,
    /// Notified when the slot is filled, for a thread that cannot read any more.
    filled: Condvar,
}

/// What became of a waiting client.
enum Slot {
    Waiting,
    /// A shard has written the answer.
    Answered,
    /// The thread is to write this.
    Rest(Vec<u8>),
    /// The thread is to look for itself, and to answer whatever it finds.
    Look,
    /// The client has hung up, or the slot was emptied.
    Gone,
}

/// For the connection's thread.
impl Waiting {
    fn new(context: &Arc<Context>, stream: &Arc<Stream>, request: &Arc<Request>) -> Self {
        Waiting {
            id: context.hub.new_id(),
            context: context.clone(),
            stream: stream.clone(),
            request: request.clone(),
            slot: Mutex::new(Slot::Waiting),
            filled: Condvar::new(),
        }
    }

    /// Waits until the slot is filled, the deadline comes or the client goes. After that nobody fills it.
    fn wait(&self, buffer: &mut Vec<u8>, most: usize, deadline: Instant) -> Slot {
        if !buffer.is_empty() {
            return self.wait_for_answer(deadline);
        }
        match self.stream.append_to(buffer, most, deadline) {
            Ok(_) => self.wait_for_answer(deadline),
            Err(ReadError::TimedOut) => self.close(Slot::Waiting),
            Err(ReadError::HungUp) => self.close(Slot::Gone),
        }
    }

    /// For a client that has sent its next request (or something else) before it has its answer. A read would
    /// not return when that is written, but only when the client sends even more.
    fn wait_for_answer(&self, deadline: Instant) -> Slot {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let waiting = |slot: &mut Slot| matches!(slot, Slot::Waiting);
            let patience = left.min(HANG_UP);
            let waited = self
                .filled
                .wait_timeout_while(self.slot(), patience, waiting);
            drop(waited);
            if self.stream.has_hung_up() {
                return self.close(Slot::Gone);
            }
            if left <= HANG_UP || !matches!(*self.slot(), Slot::Waiting) {
                return self.close(Slot::Waiting);
            }
        }
    }

    /// Takes what is in the slot; `otherwise` when nobody has filled it, and nobody will.
    fn close(&self, otherwise: Slot) -> Slot {
        match std::mem::replace(&mut *self.slot(), Slot::Gone) {
            Slot::Waiting => otherwise,
            filled => filled,
        }
    }
}

/// For whoever fills the slot.
impl Waiting {
    fn fill(&self, with: impl FnOnce() -> Slot) {
        let mut slot = self.slot();
        if !matches!(*slot, Slot::Waiting) {
            return;
        }
        *slot = with();
        if !matches!(*slot, Slot::Answered) {
            // The thread is woken out of its read.
            self.stream.shutdown_read();
        }
        drop(slot);
        self.filled.notify_one();
    }

    /// Writes the answer, or has the thread do it.
    fn write(&self, entries: Vec<Arc<Entry>>) -> Slot {
        let response = answer_events(&self.context, &self.request.query, entries);
        let small =
            !matches!(response.payload(), Payload::Full(body) if body.len() > WRITTEN_BY_SHARD);
        let here = small && self.request.keeps_alive;
        let mut bytes = (self.request.encode)(response, here);
        if !here {
            return Slot::Rest(bytes);
        }
        match self.stream.try_send(&bytes) {
            Sent::Some(sent) if sent < bytes.len() => Slot::Rest(bytes.split_off(sent)),
            Sent::Full => Slot::Rest(bytes),
            // The thread finds out what is broken.
            Sent::Some(_) | Sent::Broken => Slot::Answered,
        }
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        // The slot is replaced as a whole, so it is whole after a panic too.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter for Waiting {
    fn id(&self) -> SubscriberId {
        self.id
    }

    fn take(&self, entries: Vec<Arc<Entry>>) {
        self.fill(|| self.write(entries));
    }

    fn look(&self) {
        self.fill(|| Slot::Look);
    }
}

/// A stopping server answers at once; and an answered connection is idle, so it is cut.
impl Leave for Waiting {
    fn leave(&self, _: Leaving) {
        self.fill(|| Slot::Look);
        if matches!(*self.slot(), Slot::Answered) {
            self.stream.shutdown();
        }
    }
}
