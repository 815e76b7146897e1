//! Long polling: looks, and if there is nothing, lets a shard write the answer when there is. Meanwhile the
//! connection's thread reads, so that it notices a hang-up at once and wakes for the next request only:
//! with 1,000 waiting and 20 events a second a delivery costs 37 us of CPU time; when a condvar woke the thread to
//! write it was 64.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::catch_up::{Step, Ward};
use super::poll::{Look, answer_events};
use super::{Context, Query};
use crate::access::current::Current;
use crate::http::response::{Payload, Response};
use crate::hub::fanout::{Run, SubscriberId, Waiter};
use crate::hub::selector::Selection;
use crate::hub::tail::Entry;
use crate::refusal::Refusal;
use crate::roster::{Berth, Guest, Presence, Way};
use crate::server::memory::Reservation;
use crate::server::stream::{ReadError, Sent, Stream};
use crate::shutdown::Leaving;

/// How often a thread that cannot read looks whether its client is still there.
const LOOK_FOR_CLIENT: Duration = Duration::from_secs(1);

/// The bytes of an answer, with its head; `true` if the connection goes on after it.
pub type Encode = Box<dyn Fn(Response, bool) -> Vec<u8> + Send + Sync>;

/// A request that waits.
pub struct Request {
    /// What it asks for.
    pub query: Query,
    /// How long it waits at most.
    pub wait: Duration,
    /// Whether its client wants the connection to go on after the answer.
    pub keeps_alive: bool,
    /// How its answer is written.
    pub encode: Encode,
}

/// How a long poll ended.
pub enum Outcome {
    /// With this answer, which is to be written.
    Answer(Response),
    /// With an answer that was written; what the client sent since is in the buffer.
    Answered {
        /// Whether the connection goes on.
        goes_on: bool,
    },
    /// The client has gone.
    Gone,
}

/// Answers at the first event, at a gap, or empty after the wait, when the server stops, and when what came
/// was deleted before it could be given. Blocks until then; what the client sends meanwhile is appended to
/// `buffer`, by one read of `most` bytes, if nothing is there yet.
///
/// # Errors
/// When the journal cannot be read, or whoever asks may not read it any more, and so nothing was written.
pub fn answer(
    context: &Arc<Context>,
    stream: &Arc<Stream>,
    berth: &Berth,
    request: Request,
    buffer: &mut Vec<u8>,
    most: usize,
) -> Result<Outcome, Refusal> {
    let deadline = Instant::now() + request.wait;
    let request = Arc::new(request);
    let mut look = Look::take(context, &request.query)?;
    while !look.has_news() && Instant::now() < deadline {
        let waiting = Arc::new(Waiting::new(context, stream, &request, &look));
        // First, so that nobody is given an event who was not told that its right was taken back.
        berth.hold(waiting.clone());
        let hub = &context.hub;
        let waits = hub.wait(waiting.clone(), &waiting.selection, look.place);
        let slot = match waits {
            true => waiting.wait(buffer, most, deadline),
            false => waiting.stop(),
        };
        berth.release();
        // Whoever was answered by a shard has been taken out by it.
        if waits && !matches!(slot, Slot::Answered { goes_on: true }) {
            hub.withdraw(waiting.id, &waiting.selection);
        }
        match slot {
            Slot::Waiting => look = look.again(context, &request.query)?,
            Slot::Answered { goes_on } => return Ok(Outcome::Answered { goes_on }),
            Slot::Look | Slot::Owed(_) | Slot::Over => return Ok(Outcome::Gone),
        }
        if waits {
            break;
        }
    }
    request.query.check_access(&context.access.get())?;
    let response = look.response(context, &request.query, Way::LongPoll);
    Ok(Outcome::Answer(response))
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
    selection: Arc<Selection>,
    /// The seq up to which it was examined.
    place: u64,
    slot: Mutex<Slot>,
    /// Notified when the answer was written.
    answered: Condvar,
}

/// What became of a waiting client.
enum Slot {
    /// Nothing yet.
    Waiting,
    /// Catch-up is to look for it, and to answer whatever it finds.
    Look,
    /// Catch-up is to write what its socket had no room for.
    Owed(Owed),
    /// The answer was written; and whether the connection goes on.
    Answered { goes_on: bool },
    /// Nothing any more: its thread has turned to something else.
    Over,
}

/// The unsent part of an answer.
struct Owed {
    bytes: Vec<u8>,
    sent: usize,
    /// Since when none of it moved.
    stalled: Instant,
    /// Its memory, as long as it waits for its peer to read.
    _held: Reservation,
}

/// For the connection's thread.
impl Waiting {
    fn new(
        context: &Arc<Context>,
        stream: &Arc<Stream>,
        request: &Arc<Request>,
        look: &Look,
    ) -> Self {
        Waiting {
            id: context.hub.new_id(),
            context: context.clone(),
            stream: stream.clone(),
            request: request.clone(),
            selection: Arc::new(look.selection.clone()),
            place: look.place,
            slot: Mutex::new(Slot::Waiting),
            answered: Condvar::new(),
        }
    }

    /// Waits until the answer was written, the deadline comes or the client goes. Afterwards nobody writes
    /// to the socket.
    fn wait(&self, buffer: &mut Vec<u8>, most: usize, deadline: Instant) -> Slot {
        // Whoever sends more than one request ahead is not read: the buffer would grow without end.
        let read = match buffer.is_empty() {
            true => self.stream.append_to(buffer, most, deadline),
            false => Ok(0),
        };
        match read {
            // The next request, perhaps before this one has its answer.
            Ok(_) => self.wait_unread(deadline),
            Err(ReadError::TimedOut) => self.wait_for_rest(),
            Err(ReadError::HungUp) => return Slot::Over,
        }
        self.stop()
    }

    /// What became of it so far. Afterwards nobody writes to the socket.
    fn stop(&self) -> Slot {
        std::mem::replace(&mut *self.slot(), Slot::Over)
    }

    /// Waits for the answer without reading, until `deadline` or until the client goes.
    fn wait_unread(&self, deadline: Instant) {
        let mut slot = self.slot();
        while matches!(*slot, Slot::Waiting) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stream.has_hung_up() {
                return;
            }
            let waited = self.answered.wait_timeout(slot, left.min(LOOK_FOR_CLIENT));
            slot = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(slot);
        self.wait_for_rest();
    }

    /// Waits until an answer that was begun is written. One of which nothing moves within the write deadline
    /// is given up.
    fn wait_for_rest(&self) {
        let patience = self.context.config().timeouts.write;
        let mut slot = self.slot();
        loop {
            let before = match &*slot {
                Slot::Look => None,
                Slot::Owed(owed) => Some(owed.stalled),
                _ => return,
            };
            let same = |slot: &mut Slot| match slot {
                Slot::Look => true,
                Slot::Owed(owed) => before == Some(owed.stalled),
                _ => false,
            };
            let waited = self.answered.wait_timeout_while(slot, patience, same);
            let (guard, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            slot = guard;
            if waited.timed_out() {
                return self.stream.shutdown();
            }
        }
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        // The slot is replaced as a whole, so it is whole after a panic too.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For whoever answers.
impl Waiting {
    /// Fills the slot if nobody has; has catch-up do what cannot be done at once.
    fn fill(self: Arc<Self>, with: impl FnOnce(&Self) -> Slot) {
        let mut slot = self.slot();
        if !matches!(*slot, Slot::Waiting) {
            return;
        }
        *slot = with(&self);
        let is_answered = matches!(*slot, Slot::Answered { .. });
        drop(slot);
        self.answered.notify_one();
        if !is_answered {
            let context = self.context.clone();
            context.catch_up.take(self);
        }
    }

    /// Sends as much of the answer as there is room for. Where there is no memory to hold it until its peer has read it,
    /// the answer says so: else whoever waits on many connections and reads none could have the server hold anything.
    fn write(&self, response: Response) -> Slot {
        let mut held = self.context.memory.nothing();
        let answer = match response.payload() {
            Payload::Full(body) => match held.hold_at_once(body.len()) {
                Ok(()) => response,
                Err(refusal) => self.refuse(&refusal),
            },
            _ => response,
        };
        self.send(Owed {
            bytes: (self.request.encode)(answer, self.goes_on()),
            sent: 0,
            stalled: Instant::now(),
            _held: held,
        })
    }

    fn send(&self, mut owed: Owed) -> Slot {
        let unsent = owed.bytes.get(owed.sent..).unwrap_or_default();
        match self.stream.try_send(unsent) {
            Sent::Some(sent) if sent < unsent.len() || self.stream.owes() => {
                owed.sent += sent;
                owed.stalled = Instant::now();
                Slot::Owed(owed)
            }
            Sent::Full => Slot::Owed(owed),
            sent => {
                let goes_on = sent != Sent::Broken && self.goes_on();
                if !goes_on {
                    // The thread is woken out of its read; what was sent still arrives.
                    self.stream.shutdown();
                }
                Slot::Answered { goes_on }
            }
        }
    }

    /// Answers whoever still waits, and ends the connection.
    fn end_with(&self, response: impl FnOnce() -> Response) {
        let mut slot = self.slot();
        match *slot {
            Slot::Waiting => {
                *slot = self.send(Owed {
                    bytes: (self.request.encode)(response(), false),
                    sent: 0,
                    stalled: Instant::now(),
                    _held: self.context.memory.nothing(),
                });
                self.stream.shutdown();
                if matches!(*slot, Slot::Answered { .. }) {
                    *slot = Slot::Answered { goes_on: false };
                }
            }
            Slot::Answered { .. } => self.stream.shutdown(),
            _ => {}
        }
        self.answered.notify_one();
    }

    fn goes_on(&self) -> bool {
        self.request.keeps_alive && self.context.shutdown.begun().is_none()
    }

    fn answer_with(&self, entries: Vec<Arc<Entry>>) -> Response {
        let query = &self.request.query;
        self.grant(answer_events(&self.context, query, self.place, entries))
    }

    fn look_again(&self) -> Response {
        let query = &self.request.query;
        let selection = Selection::clone(&self.selection);
        match Look::from_place(&self.context, query, selection, self.place) {
            Ok(look) => self.grant(look.response(&self.context, query, Way::LongPoll)),
            Err(error) => self.refuse(&error.into()),
        }
    }

    fn grant(&self, response: Response) -> Response {
        granting(response, self.request.wait)
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        log::debug!("{}: refused: {refusal}", self.stream.peer());
        self.context.hub.metrics().refusals(refusal.kind).count();
        Response::refusal(refusal, Some(self.context.retry_after()))
    }
}

impl Waiter for Waiting {
    fn id(&self) -> SubscriberId {
        self.id
    }

    fn take(self: Arc<Self>, entries: Vec<Arc<Entry>>) {
        let weight: usize = entries.iter().map(|entry| entry.event().weight()).sum();
        self.fill(|waiting| {
            if weight > Run::BYTES {
                // A shard has no time to put it into bytes.
                return Slot::Look;
            }
            waiting.write(waiting.answer_with(entries))
        });
    }

    fn look(self: Arc<Self>) {
        self.fill(|_| Slot::Look);
    }
}

impl Ward for Waiting {
    fn id(&self) -> SubscriberId {
        self.id
    }

    fn stream(&self) -> &Stream {
        &self.stream
    }

    fn step(self: Arc<Self>) -> Step {
        // Read without the lock: it may take as long as a disk does.
        let response = matches!(*self.slot(), Slot::Look).then(|| self.look_again());
        let mut slot = self.slot();
        *slot = match (std::mem::replace(&mut *slot, Slot::Over), response) {
            (Slot::Look, Some(response)) => self.write(response),
            (Slot::Owed(owed), _) => self.send(owed),
            (other, _) => other,
        };
        if matches!(*slot, Slot::Owed(_)) {
            return Step::Blocked;
        }
        drop(slot);
        self.answered.notify_one();
        Step::Over
    }

    fn patience(&self) -> Option<Duration> {
        let allowed = self.context.config().timeouts.write;
        let left = match &*self.slot() {
            Slot::Owed(owed) => allowed.saturating_sub(owed.stalled.elapsed()),
            _ => return Some(allowed),
        };
        if left.is_zero() {
            self.close();
            return None;
        }
        Some(left)
    }

    fn close(&self) {
        *self.slot() = Slot::Over;
        self.stream.shutdown();
        self.answered.notify_one();
    }
}

/// Goodbye is the answer: whatever was published has been given to those who wait. An answered
/// connection is idle, so it is cut.
impl Guest for Waiting {
    fn presence(&self) -> Presence {
        Presence {
            way: Way::LongPoll,
            asked: Some(self.selection.clone()),
            cursor: Some(self.context.hub.cursor(self.place)),
            is_behind: false,
            holder: Some(self.request.query.pass.holder().clone()),
        }
    }

    fn leave(&self, _: Leaving) {
        self.end_with(|| self.answer_with(Vec::new()));
    }

    fn dismiss(&self, refusal: &Refusal) {
        self.end_with(|| self.refuse(refusal));
        // Whoever is being answered has no other end: it might not read its answer, or ask again.
        self.stream.shutdown();
    }

    fn obey(&self, current: &Current) {
        if let Err(refusal) = self.request.query.check_access(&current.get()) {
            self.dismiss(&refusal);
        }
    }
}
