//! What one streaming subscriber is owed: the rest of the frame begun, control frames, and its place in
//! the sequence. The history is the queue: no event waits here.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::Context;
use super::control::{Control, Gap};
use super::framing::Framing;
use crate::hub::fanout::{Offer, Run, Subscriber, SubscriberId};
use crate::hub::selector::Selection;
use crate::hub::tail::{Entry, Form};
use crate::journal::GapReason;
use crate::refusal::Kind;
use crate::server::stream::{Sent, Stream};
use crate::shutdown::{Leave, Leaving};

/// The sending half of a streaming connection, shared by its own thread and its feeder.
pub struct Outbox {
    id: SubscriberId,
    context: Arc<Context>,
    stream: Arc<Stream>,
    framing: &'static dyn Framing,
    state: Mutex<State>,
}

struct State {
    feeder: Feeder,
    selection: Arc<Selection>,
    place: u64,
    /// A gap that is known already, to be told before anything else.
    gap: Option<Gap>,
    rest: Option<Rest>,
    control: VecDeque<Vec<u8>>,
    pong: Option<Vec<u8>>,
    errands: VecDeque<Box<dyn Errand>>,
    ending: Option<Ending>,
    closed: bool,
    /// Since when bytes are owed and none moved.
    stalled: Option<Instant>,
    /// Whether it was live once, so that a loss means that it was overtaken.
    was_live: bool,
}

/// Who takes events for this subscriber and moves its place. One at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Feeder {
    /// A thread of delivery: the connection's own at first, or one that catches up.
    Delivery,
    /// A shard: the subscriber is live.
    Shard,
}

/// The unsent part of a frame begun.
struct Rest {
    bytes: Arc<[u8]>,
    sent: usize,
}

/// The last words.
struct Ending {
    bytes: Vec<u8>,
    sent: usize,
    since: Instant,
}

/// Something that changes what the subscriber is owed, at an exact place of its stream. Run by the
/// feeder, one step at a time.
pub trait Errand: Send {
    /// Does the next step. No lock is held.
    fn advance(&mut self, place: &Place<'_>) -> Outcome;
}

/// Where an errand finds the subscriber.
pub struct Place<'a> {
    /// What it is told from.
    pub context: &'a Context,
    /// What it asks for.
    pub selection: &'a Arc<Selection>,
    /// The seq up to which it has everything.
    pub seq: u64,
}

/// What one step of an errand came to.
pub struct Outcome {
    /// Frames to be sent, in order.
    pub frames: Vec<Vec<u8>>,
    /// What the subscriber asks for from here on, when that changed.
    pub selection: Option<Arc<Selection>>,
    /// Whether there is another step.
    pub more: bool,
}

/// What is left after an attempt to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushed {
    /// Nothing is owed but events.
    Clear,
    /// The socket has no room.
    Blocked,
    /// Nothing can or will be sent any more.
    Over,
}

impl Outbox {
    /// The sending half of `stream`, for a subscriber that was examined up to `place`.
    pub fn new(
        context: Arc<Context>,
        stream: Arc<Stream>,
        framing: &'static dyn Framing,
        selection: Selection,
        place: u64,
    ) -> Self {
        let state = State {
            feeder: Feeder::Delivery,
            selection: Arc::new(selection),
            place,
            gap: None,
            rest: None,
            control: VecDeque::new(),
            pong: None,
            errands: VecDeque::new(),
            ending: None,
            closed: false,
            stalled: None,
            was_live: false,
        };
        Outbox {
            id: context.hub.new_id(),
            context,
            stream,
            framing,
            state: Mutex::new(state),
        }
    }

    /// The socket.
    pub fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// The server around it.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// The seq up to which everything was handed to the socket, as far as is known without the shard.
    pub fn place(&self) -> u64 {
        self.lock().map_or(0, |state| state.place)
    }

    /// Has a gap told before anything else.
    pub fn begin_with(&self, gap: Gap) {
        if let Some(mut state) = self.lock() {
            state.gap = Some(gap);
        }
    }

    /// Queues a control frame and tries to send it. Too many of them waiting end the connection.
    pub fn send_control(&self, frame: Vec<u8>) {
        self.with_queue(|state, bound| {
            let room = state.control.len() < bound;
            if room {
                state.control.push_back(frame);
            }
            room
        });
    }

    /// Queues a pong, in the place of an older one that has not left yet (RFC 6455, section 5.5.3).
    pub fn send_pong(&self, frame: Vec<u8>) {
        self.with_queue(|state, _| {
            state.pong = Some(frame);
            true
        });
    }

    /// Queues a change of the subscription, which its feeder makes at the place where it is then.
    pub fn send_on(&self, errand: Box<dyn Errand>) {
        let Some(mut state) = self.lock() else { return };
        if state.errands.len() >= self.context.config.limits.control_messages {
            return self.dismiss_with(
                state,
                Kind::TooSlow,
                "operations come faster than their answers are read",
            );
        }
        state.errands.push_back(errand);
        self.wake_feeder(state);
    }

    /// Whether bytes wait for the peer to read.
    pub fn owes_bytes(&self) -> bool {
        self.lock().is_some_and(|state| state.stalled.is_some())
    }

    /// Whether the last words were queued: nothing that the peer sends counts any more.
    pub fn is_ending(&self) -> bool {
        self.lock()
            .is_none_or(|state| state.ending.is_some() || state.closed)
    }

    /// Says goodbye for this reason: what is queued leaves first, events do not.
    pub fn dismiss(&self, kind: Kind, detail: &str) {
        if let Some(state) = self.lock() {
            self.dismiss_with(state, kind, detail);
        }
    }

    /// Ends with exactly these bytes.
    pub fn end_with(&self, last: Vec<u8>) {
        if let Some(state) = self.lock() {
            self.end(state, last);
        }
    }

    /// Ends the connection at once and lets go of its place among the live.
    pub fn close(&self) {
        if let Some(mut state) = self.lock() {
            state.closed = true;
        }
        self.stream.shutdown();
        self.context.hub.leave(self.id);
    }

    fn with_queue(&self, push: impl FnOnce(&mut State, usize) -> bool) {
        let Some(mut state) = self.lock() else { return };
        if state.ending.is_some() || state.closed {
            return;
        }
        if !push(&mut state, self.context.config.limits.control_messages) {
            return self.dismiss_with(
                state,
                Kind::TooSlow,
                "answers wait faster than they are read",
            );
        }
        if state.flush(&self.stream) == Flushed::Blocked {
            self.wake_feeder(state);
        }
    }

    fn dismiss_with(&self, state: MutexGuard<'_, State>, kind: Kind, detail: &str) {
        let retry = self.context.retry_after();
        let bye = Control::Bye {
            code: kind.row().close,
            retry,
        };
        self.end(state, self.framing.farewell(&bye, detail));
    }

    fn end(&self, mut state: MutexGuard<'_, State>, last: Vec<u8>) {
        if state.ending.is_some() || state.closed {
            return;
        }
        state.ending = Some(Ending {
            bytes: last,
            sent: 0,
            since: Instant::now(),
        });
        state.flush(&self.stream);
        // Delivery watches over the deadline of the end.
        self.wake_feeder(state);
    }

    /// Has a live subscriber looked after by delivery, which sees what is queued.
    fn wake_feeder(&self, state: MutexGuard<'_, State>) {
        let live = state.feeder == Feeder::Shard;
        drop(state);
        if live {
            self.context.hub.recall(self.id);
        }
    }

    /// The state; `None` after a panic while somebody had it, which ends this connection only.
    fn lock(&self) -> Option<MutexGuard<'_, State>> {
        self.state.lock().map_err(|_| self.stream.shutdown()).ok()
    }
}

/// For the feeders of delivery.
impl Outbox {
    /// Sends what is queued.
    pub fn flush(&self) -> Flushed {
        self.lock()
            .map_or(Flushed::Over, |mut state| state.flush(&self.stream))
    }

    /// Takes the next errand, with what it needs to know.
    pub fn take_errand(&self) -> Option<(Box<dyn Errand>, Arc<Selection>, u64)> {
        let mut state = self.lock()?;
        let errand = state.errands.pop_front()?;
        Some((errand, state.selection.clone(), state.place))
    }

    /// Takes what an errand came to.
    pub fn take_outcome(&self, errand: Box<dyn Errand>, outcome: Outcome) {
        let Some(mut state) = self.lock() else { return };
        state.control.extend(outcome.frames);
        if let Some(selection) = outcome.selection {
            state.selection = selection;
        }
        if outcome.more {
            state.errands.push_front(errand);
        }
    }

    /// What is asked for, and the place up to which it was given.
    pub fn wants(&self) -> Option<(Arc<Selection>, u64)> {
        self.lock()
            .map(|state| (state.selection.clone(), state.place))
    }

    /// Takes the gap that is to be told first.
    pub fn take_gap(&self) -> Option<Gap> {
        self.lock()?.gap.take()
    }

    /// Tells what retention or DELETE took; by its name if that was because the subscriber was too slow.
    pub fn tell_loss(&self, mut gap: Gap) {
        let was_live = self.lock().is_some_and(|state| state.was_live);
        if was_live && gap.reason == GapReason::Retention {
            gap.reason = GapReason::Overtaken;
        }
        self.tell_gap(gap);
    }

    /// Tells a gap; ends the stream where its way has no word for it.
    pub fn tell_gap(&self, gap: Gap) {
        log::info!(
            "{}: a gap is told, reason {}, delivery goes on after {}",
            self.stream.peer(),
            gap.reason.as_str(),
            gap.cursor
        );
        match self.framing.control(&Control::Gap(gap)) {
            Some(frame) => self.send_control(frame),
            None => self.dismiss(Kind::TooSlow, "events were lost; resume with a cursor"),
        }
    }

    /// Notes that everything up to `place` was examined, and how the selection looks by now.
    pub fn move_to(&self, place: u64, selection: Option<Arc<Selection>>) {
        let Some(mut state) = self.lock() else { return };
        state.place = place;
        if let Some(selection) = selection {
            state.selection = selection;
        }
    }

    /// Hands the subscriber to its shard. Afterwards somebody else feeds it.
    pub fn go_live(self: Arc<Self>) {
        let Some(mut state) = self.lock() else { return };
        Arc::make_mut(&mut state.selection).settle(self.context.hub.head().seq);
        state.feeder = Feeder::Shard;
        state.was_live = true;
        let (selection, place) = (state.selection.clone(), state.place);
        drop(state);
        self.context.hub.join(self.clone(), selection, place);
        self.mind_what_came_meanwhile();
    }

    /// Whatever was queued while the hand-over was under way saw no shard to call; so it is called now.
    fn mind_what_came_meanwhile(&self) {
        let Some(state) = self.lock() else { return };
        let (closed, waiting) = (state.closed, state.has_work());
        drop(state);
        if closed {
            self.context.hub.leave(self.id);
        } else if waiting {
            self.context.hub.recall(self.id);
        }
    }

    /// How long a feeder may wait until it has to look after deadlines; `None` when they are over and
    /// the connection was ended.
    pub fn patience(&self) -> Option<Duration> {
        let mut state = self.lock()?;
        let timeouts = &self.context.config.timeouts;
        let now = Instant::now();
        let (since, allowed) = match (&state.ending, state.stalled) {
            (Some(ending), _) => (ending.since, timeouts.close),
            (None, Some(stalled)) => (stalled, timeouts.write),
            (None, None) => return Some(timeouts.write),
        };
        let left = (since + allowed).saturating_duration_since(now);
        if !left.is_zero() {
            return Some(left);
        }
        if state.ending.is_none() {
            log::warn!(
                "{}: too slow, nothing was read for {allowed:?}; closed with 4408",
                self.stream.peer()
            );
            self.dismiss_with(
                state,
                Kind::TooSlow,
                "read faster, then resume with your cursor",
            );
            return Some(timeouts.close);
        }
        state.closed = true;
        drop(state);
        self.stream.shutdown();
        None
    }
}

impl Subscriber for Outbox {
    fn id(&self) -> SubscriberId {
        self.id
    }

    fn form(&self) -> &'static Form {
        self.framing.form()
    }

    fn offer(&self, run: &Run<'_>) -> Offer {
        let Some(mut state) = self.lock() else {
            return Offer::Done;
        };
        let before = run
            .entries
            .first()
            .map_or(state.place, |entry| entry.seq() - 1);
        if state.closed {
            return Offer::Done;
        }
        if state.has_work() {
            return Offer::Behind(before);
        }
        match self.stream.send_run(run, self.framing.form()) {
            Sent::Some(sent) => state.account(run.entries, self.framing.form(), sent, before),
            Sent::Full => {
                state.stalled = Some(Instant::now());
                Offer::Behind(before)
            }
            Sent::Broken => {
                state.closed = true;
                drop(state);
                self.stream.shutdown();
                Offer::Done
            }
        }
    }

    fn fall_behind(self: Arc<Self>, place: u64) {
        let Some(mut state) = self.lock() else { return };
        state.feeder = Feeder::Delivery;
        state.place = place;
        drop(state);
        self.context.catch_up.take(self.clone());
    }
}

/// A stopping server says goodbye in the way of this stream.
impl Leave for Outbox {
    fn leave(&self, leaving: Leaving) {
        self.dismiss(leaving.kind(), "the server stops; come back");
    }
}

impl State {
    /// Whether a feeder of delivery has to do something other than sending events.
    fn has_work(&self) -> bool {
        self.rest.is_some()
            || !self.control.is_empty()
            || self.pong.is_some()
            || !self.errands.is_empty()
            || self.ending.is_some()
            || self.gap.is_some()
    }

    /// Sends, in this order and at frame boundaries only: the rest of the frame begun, control frames,
    /// the last words.
    fn flush(&mut self, stream: &Stream) -> Flushed {
        if self.closed {
            return Flushed::Over;
        }
        loop {
            if self.rest.is_none() {
                self.rest = self.next_control();
            }
            let Some(rest) = &mut self.rest else { break };
            match stream.try_send(&rest.bytes[rest.sent..]) {
                Sent::Some(count) => rest.sent += count,
                failed => return self.failed(failed, stream),
            }
            self.stalled = None;
            if rest.sent == rest.bytes.len() {
                self.rest = None;
            }
        }
        self.flush_ending(stream)
    }

    fn next_control(&mut self) -> Option<Rest> {
        let frame = self.pong.take().or_else(|| self.control.pop_front())?;
        Some(Rest {
            bytes: frame.into(),
            sent: 0,
        })
    }

    fn flush_ending(&mut self, stream: &Stream) -> Flushed {
        let Some(ending) = &mut self.ending else {
            return Flushed::Clear;
        };
        while ending.sent < ending.bytes.len() {
            match stream.try_send(&ending.bytes[ending.sent..]) {
                Sent::Some(count) => ending.sent += count,
                failed => return self.failed(failed, stream),
            }
        }
        self.stalled = None;
        // What the peer still sends is read until it hangs up, or the close deadline.
        stream.shutdown_write();
        Flushed::Clear
    }

    fn failed(&mut self, sent: Sent, stream: &Stream) -> Flushed {
        if sent == Sent::Full {
            self.stalled.get_or_insert_with(Instant::now);
            return Flushed::Blocked;
        }
        self.closed = true;
        stream.shutdown();
        Flushed::Over
    }

    /// Finds out which events of a run left with `sent` bytes; of the one begun, the rest is kept.
    fn account(&mut self, entries: &[Arc<Entry>], form: &Form, sent: usize, before: u64) -> Offer {
        self.stalled = None;
        let mut left = sent;
        let mut place = before;
        for entry in entries {
            let bytes = entry.bytes(form);
            if left >= bytes.len() {
                left -= bytes.len();
                place = entry.seq();
                continue;
            }
            if left > 0 {
                self.rest = Some(Rest {
                    bytes: bytes.clone(),
                    sent: left,
                });
                place = entry.seq();
            }
            self.place = place;
            self.stalled = Some(Instant::now());
            return Offer::Behind(place);
        }
        self.place = place;
        Offer::Taken
    }
}

impl Stream {
    /// Sends a run in one system call, as far as there is room.
    fn send_run(&self, run: &Run<'_>, form: &Form) -> Sent {
        if let Some(joined) = run.joined {
            return self.try_send(joined);
        }
        let slices: Vec<_> = run
            .entries
            .iter()
            .map(|entry| IoSlice::new(entry.bytes(form)))
            .collect();
        self.try_send_slices(&slices)
    }
}
