//! What one streaming subscriber is owed: the rest of the frame begun, control frames, and its place in
//! the sequence. The history is the queue: no event waits here.

mod admission;
mod debts;
pub mod errand;
pub mod pins;
mod state;

use std::os::fd::AsFd as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use self::errand::{Errand, Next, Outcome, Work};
pub use self::state::Flushed;
use self::state::{Feeder, State};
use super::control::{Control, Gap};
use super::framing::Framing;
use super::{Context, Opening};
use crate::access::current::Current;
use crate::access::pass::Pass;
use crate::hub::fanout::{Offer, Run, Subscriber, SubscriberId};
use crate::hub::selector::Selection;
use crate::hub::tail::Form;
use crate::journal::GapReason;
use crate::refusal::{Kind, Refusal, Retry};
use crate::roster::{Guest, Presence};
use crate::server::stream::Stream;
use crate::shutdown::Leaving;

/// The sending half of a streaming connection, shared by its own thread and its feeder.
pub struct Outbox {
    id: SubscriberId,
    context: Arc<Context>,
    stream: Arc<Stream>,
    framing: &'static dyn Framing,
    /// How often it says that it is there; a client is told at the beginning.
    heartbeat: Duration,
    state: Mutex<State>,
    /// Apart, since deliveries do not ask for it: who may no longer be given events is told goodbye.
    pass: Mutex<Pass>,
    /// Notified when there is room for more work.
    room: Condvar,
}

/// For the connection's own thread.
impl Outbox {
    /// The sending half of `stream`, for a subscriber that begins at `opening`.
    pub fn new(
        context: Arc<Context>,
        stream: Arc<Stream>,
        framing: &'static dyn Framing,
        opening: Opening,
        pass: Pass,
    ) -> Self {
        let (id, state) = (context.hub.new_id(), Mutex::new(State::new(opening)));
        Outbox {
            id,
            heartbeat: context.config().heartbeat.interval,
            context,
            stream,
            framing,
            state,
            pass: Mutex::new(pass),
            room: Condvar::new(),
        }
    }

    /// The socket.
    pub fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// How often it says that it is there.
    pub fn heartbeat(&self) -> Duration {
        self.heartbeat
    }

    /// The server around it.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Has the peer told that the server is there and how far it is, if it is live or what comes next cannot
    /// be read: anybody else is being sent bytes that say it too.
    pub fn keep_alive(&self) {
        let Some(mut state) = self.lock() else { return };
        if !state.starved {
            drop(state);
            return self.context.hub.beat(self.id);
        }
        // What is owed already says it when it leaves.
        if !state.is_ending() && !state.owes_frames() {
            self.queue_heartbeat(&mut state);
            self.flush_now(state);
        }
    }

    fn queue_heartbeat(&self, state: &mut State) {
        let cursor = self.context.hub.cursor(state.place);
        let frame = self.framing.control(&Control::Heartbeat { cursor });
        state.debts().control.extend(frame);
    }

    /// Queues a control frame that says nothing about the stream, and tries to send it. Too many of them
    /// waiting end the connection.
    pub fn send_control(&self, frame: Vec<u8>) {
        let Some(mut state) = self.lock().filter(|state| !state.is_ending()) else {
            return;
        };
        if state.debts().control.len() >= self.most_messages() {
            return self.dismiss_with(
                state,
                Kind::TooSlow,
                "answers wait faster than they are read",
            );
        }
        state.debts().control.push_back(frame);
        self.flush_now(state);
    }

    /// Queues a pong, in the place of an older one that has not left yet (RFC 6455, section 5.5.3).
    pub fn send_pong(&self, frame: Vec<u8>) {
        let Some(mut state) = self.lock().filter(|state| !state.is_ending()) else {
            return;
        };
        state.debts().pong = Some(frame);
        self.flush_now(state);
    }

    /// Says something once the subscriber has everything up to the seq `after`, behind what was queued
    /// before. Blocks while as much is queued as may be, for the write deadline at most.
    pub fn say(&self, frame: Vec<u8>, after: u64) {
        self.queue(Work::Say(frame, after));
    }

    /// Queues a change of the subscription. Blocks as [`say`](Self::say) does.
    pub fn run(&self, errand: Box<dyn Errand>) {
        self.queue(Work::Do(errand));
    }

    /// Whether bytes wait for the peer to read.
    pub fn owes_bytes(&self) -> bool {
        self.lock().is_some_and(|state| state.stalled.is_some())
    }

    /// Whether the last words were queued: nothing that the peer sends counts any more.
    pub fn is_ending(&self) -> bool {
        self.lock().is_none_or(|state| state.is_ending())
    }

    /// Says goodbye for this reason: what is queued leaves first, events do not.
    pub fn dismiss(&self, kind: Kind, detail: &str) {
        if let Some(state) = self.lock() {
            self.dismiss_with(state, kind, detail);
        }
    }

    /// Says goodbye with a refusal.
    pub fn refuse(&self, refusal: &Refusal) {
        log::debug!("{}: refused: {refusal}", self.stream.peer());
        self.dismiss(refusal.kind, &refusal.detail);
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
}

/// How things are queued.
impl Outbox {
    fn queue(&self, work: Work) {
        if let Some(state) = self.wait_for_room() {
            self.queue_in(state, work);
        }
    }

    /// Has this done before all work. Does not wait. One that is queued already goes by the same pass.
    fn restrict_by(&self, errand: Box<dyn Errand>) {
        if let Some(mut state) = self.lock().filter(|state| !state.is_ending()) {
            state.debts().restriction = Some(errand);
            self.flush_now(state);
        }
    }

    fn queue_in(&self, mut state: MutexGuard<'_, State>, work: Work) {
        state.debts().work.push_back(work);
        match state.feeder {
            Feeder::Shard => state.pay(&self.stream, self.most_messages()),
            Feeder::Delivery => state.flush(&self.stream),
        };
        self.hold_what_waits(&mut state);
        self.call_feeder(state);
    }

    /// How many messages of one kind wait for the peer at most.
    fn most_messages(&self) -> usize {
        self.context.config().limits.control_messages
    }

    /// Waits until there is room for more work: a client that asks faster than it reads is not read. No longer than its
    /// pass counts, since whoever waits here does not look at that.
    fn wait_for_room(&self) -> Option<MutexGuard<'_, State>> {
        let most = self.most_messages();
        let now = Instant::now();
        let end = self.until(now + self.context.config().timeouts.write);
        let patience = end.saturating_duration_since(now);
        let full = |state: &mut State| state.has_all_work(most) && !state.is_ending();
        let state = self.lock()?;
        let (state, waited) = self.room.wait_timeout_while(state, patience, full).ok()?;
        if waited.timed_out() && self.pass().is_over() {
            drop(state);
            self.end_if_over();
            return None;
        }
        if waited.timed_out() {
            self.dismiss_with(
                state,
                Kind::TooSlow,
                "operations come faster than their answers are read",
            );
            return None;
        }
        (!state.is_ending()).then_some(state)
    }

    fn flush_now(&self, mut state: MutexGuard<'_, State>) {
        state.flush(&self.stream);
        self.hold_what_waits(&mut state);
        self.call_feeder(state);
    }

    fn dismiss_with(&self, mut state: MutexGuard<'_, State>, kind: Kind, detail: &str) {
        if !state.is_ending() {
            self.say_goodbye(&mut state, kind, detail);
            self.flush_now(state);
        }
    }

    /// Queues a goodbye, which leaves when whoever feeds this subscriber looks after it.
    fn say_goodbye(&self, state: &mut State, kind: Kind, detail: &str) {
        self.context.hub.metrics().refusals(kind).count();
        let row = kind.row();
        let retry = (row.retry == Retry::Later).then(|| self.context.retry_after());
        let bye = Control::Bye {
            code: row.close,
            retry,
        };
        state.end(self.framing.farewell(&bye, detail));
        self.room.notify_all();
    }

    fn end(&self, mut state: MutexGuard<'_, State>, last: Vec<u8>) {
        if !state.is_ending() {
            state.end(last);
            self.room.notify_all();
            self.flush_now(state);
        }
    }

    /// Has what a peer does not take counted in the budget of memory. Without room for it the connection ends there and
    /// then: else those who read nothing would hold an event each for as long as they like, and were the frame finished
    /// first so that goodbye can be said, for as long as that takes.
    fn hold_what_waits(&self, state: &mut State) {
        if let Err(refusal) = state.hold(&self.context.memory, &self.context.pins) {
            log::debug!("{}: cut: {refusal}", self.stream.peer());
            state.cut(&self.stream);
            self.context.hub.metrics().refusals(refusal.kind).count();
            self.room.notify_all();
        }
    }

    /// Has whoever feeds this subscriber see what is queued, if there is something. A shard is asked once,
    /// so that orders to it do not pile up; delivery looks at deadlines anew.
    fn call_feeder(&self, mut state: MutexGuard<'_, State>) {
        let live = state.feeder == Feeder::Shard;
        let (delivery, answers) = (state.needs_delivery(), state.work_waiting() > 0);
        let recall = live && delivery && !state.recalled;
        let ask = live && !delivery && answers && !state.asked;
        state.recalled |= recall;
        state.asked |= ask;
        drop(state);
        if recall {
            self.context.hub.recall(self.id);
        } else if ask {
            self.context.hub.ask(self.id);
        } else if !live && (delivery || answers) {
            self.context.catch_up.ring(self.id);
        }
    }

    /// The state; `None` after a panic while somebody had it, which ends this connection only.
    fn lock(&self) -> Option<MutexGuard<'_, State>> {
        self.state.lock().map_err(|_| self.stream.shutdown()).ok()
    }
}

/// For the feeders of delivery.
impl Outbox {
    /// Sends what is queued and due.
    pub fn flush(&self) -> Flushed {
        let Some(mut state) = self.lock() else {
            return Flushed::Over;
        };
        let flushed = state.pay(&self.stream, self.most_messages());
        self.hold_what_waits(&mut state);
        self.room.notify_one();
        flushed
    }

    /// Takes the next errand, if it is its turn, with what it needs to know.
    pub fn take_errand(&self) -> Option<(Box<dyn Errand>, Arc<Selection>, u64)> {
        let mut state = self.lock()?;
        let errand = state.owed_mut()?.take_errand()?;
        Some((errand, state.selection.clone(), state.place))
    }

    /// Takes what an errand came to.
    pub fn take_outcome(&self, errand: Box<dyn Errand>, outcome: Outcome) {
        let Some(mut state) = self.lock() else { return };
        if outcome.next != Next::Done {
            state.debts().work.push_front(Work::Do(errand));
        }
        state.take_outcome(outcome);
    }

    /// What is asked for, and the place up to which it was given.
    pub fn wants(&self) -> Option<(Arc<Selection>, u64)> {
        self.lock()
            .map(|state| (state.selection.clone(), state.place))
    }

    /// Takes the gap that is to be told first.
    pub fn take_gap(&self) -> Option<Gap> {
        self.lock()?.owed_mut()?.gap.take()
    }

    /// Tells what retention or DELETE took; by its name if that was because the subscriber was too slow.
    /// What went before a subscriber without a cursor was looked after for the first time is not told.
    pub fn tell_loss(&self, mut gap: Gap) {
        let Some(state) = self.lock() else { return };
        if state.is_bare {
            return;
        }
        if state.was_live && gap.reason == GapReason::Retention {
            gap.reason = GapReason::Overtaken;
        }
        drop(state);
        self.tell_gap(gap);
    }

    /// Tells a gap; ends the stream where its way has no word for it.
    pub fn tell_gap(&self, gap: Gap) {
        self.context.hub.metrics().gaps(gap.reason).count();
        let (reason, cursor) = (gap.reason.as_str(), gap.cursor);
        log::debug!(
            "{}: told a gap ({reason}), goes on after {cursor}",
            self.stream.peer()
        );
        match self.framing.control(&Control::Gap(gap)) {
            Some(frame) => self.send_control(frame),
            None => self.dismiss(Kind::TooSlow, "events were lost; resume with a cursor"),
        }
    }

    /// Sends as much of a run as there is room for.
    pub fn deliver(&self, run: &Run<'_>) -> Offer {
        let offer = self.send_unless(State::owes_frames, run);
        let delivered = self
            .context
            .hub
            .metrics()
            .delivered(self.framing.form().way);
        delivered.add(run.taken(offer) as u64);
        offer
    }

    /// Notes that what comes next cannot be read at the moment, which is not the peer's fault: no write deadline
    /// runs, it is kept alive, and what is lost from now on was owed to it.
    pub fn starve(&self) {
        let Some(mut state) = self.lock() else { return };
        state.starved = true;
        state.is_bare = false;
        if !state.owes_frames() {
            state.stalled = None;
        }
    }

    /// Notes that everything up to `place` was examined, and how the selection looks by now.
    pub fn move_to(&self, place: u64, selection: Option<Arc<Selection>>) {
        let Some(mut state) = self.lock() else { return };
        state.starved = false;
        state.place = place;
        state.is_bare = false;
        if let Some(selection) = selection {
            state.selection = selection;
        }
    }

    /// Hands the subscriber to its shard. Afterwards somebody else feeds it.
    pub fn go_live(self: Arc<Self>) {
        let Some(mut state) = self.lock() else { return };
        let place = state.place;
        Arc::make_mut(&mut state.selection).settle(place);
        state.feeder = Feeder::Shard;
        state.was_live = true;
        state.stalled = None;
        let selection = state.selection.clone();
        drop(state);
        self.context.hub.join(self.clone(), selection, place);
        self.mind_what_came_meanwhile();
    }

    /// Whoever queued something while the hand-over was under way may have called the shard before it knew
    /// the subscriber; so it is called again, now that it does.
    fn mind_what_came_meanwhile(&self) {
        let Some(mut state) = self.lock() else { return };
        if state.closed {
            drop(state);
            return self.context.hub.leave(self.id);
        }
        state.recalled = false;
        state.asked = false;
        self.call_feeder(state);
    }

    /// How long a feeder may wait until it has to look after deadlines; `None` when they are over and
    /// the connection was ended.
    pub fn patience(&self) -> Option<Duration> {
        let mut state = self.lock()?;
        let timeouts = &self.context.config().timeouts;
        let ending = state.owed().and_then(|debts| debts.ending.as_ref());
        let is_ending = ending.is_some();
        let (since, allowed) = match (ending, state.stalled) {
            (Some(ending), _) => (ending.since, timeouts.close),
            (None, Some(stalled)) => (stalled, timeouts.write),
            (None, None) => return Some(timeouts.write),
        };
        let left = allowed.saturating_sub(since.elapsed());
        if !left.is_zero() {
            return Some(left);
        }
        if !is_ending {
            log::info!(
                "{}: read nothing for {allowed:?}, closed with 4408",
                self.stream.peer()
            );
            self.dismiss_with(
                state,
                Kind::TooSlow,
                "read faster, then resume with your cursor",
            );
            return Some(timeouts.close);
        }
        if state.stalled.is_some() {
            state.cut(&self.stream);
            return None;
        }
        state.closed = true;
        drop(state);
        self.stream.shutdown();
        None
    }
}

/// For the shard.
impl Subscriber for Outbox {
    fn id(&self) -> SubscriberId {
        self.id
    }

    fn form(&self) -> &'static Form {
        self.framing.form()
    }

    fn prepare(&self) {
        std::hint::black_box((self.state.is_poisoned(), self.stream.as_fd()));
    }

    fn offer(&self, run: &Run<'_>) -> Offer {
        self.send_unless(State::needs_delivery, run)
    }

    fn beat(&self, place: u64) -> Offer {
        self.attend(place, |state| self.queue_heartbeat(state))
    }

    fn answer(&self, place: u64) -> Offer {
        self.attend(place, |state| {
            state.asked = false;
            self.room.notify_one();
        })
    }

    fn fall_behind(self: Arc<Self>, place: u64) {
        let Some(mut state) = self.lock() else { return };
        state.feeder = Feeder::Delivery;
        state.recalled = false;
        state.asked = false;
        state.place = place;
        drop(state);
        self.context.catch_up.take(self.clone());
    }
}

/// For both kinds of feeder.
impl Outbox {
    fn send_unless(&self, hindered: impl FnOnce(&State) -> bool, run: &Run<'_>) -> Offer {
        match self.lock() {
            None => Offer::Done,
            Some(state) if state.closed => Offer::Done,
            Some(state) if hindered(&state) => Offer::Behind(run.before()),
            Some(mut state) => {
                let offer = state.send_run(run, self.framing.form(), &self.stream);
                self.hold_what_waits(&mut state);
                offer
            }
        }
    }

    /// Has something queued for a live subscriber that has everything up to `place`, and sends it.
    fn attend(&self, place: u64, queue: impl FnOnce(&mut State)) -> Offer {
        let Some(mut state) = self.lock() else {
            return Offer::Done;
        };
        if state.closed {
            return Offer::Done;
        }
        if state.needs_delivery() {
            return Offer::Behind(place);
        }
        state.place = state.place.max(place);
        queue(&mut state);
        let flushed = state.pay(&self.stream, self.most_messages());
        self.hold_what_waits(&mut state);
        match flushed {
            Flushed::Clear => Offer::Taken,
            Flushed::Blocked => Offer::Behind(place),
            Flushed::Over => Offer::Done,
        }
    }
}

/// Goodbye is said in the way of this stream.
impl Guest for Outbox {
    fn presence(&self) -> Presence {
        let state = self.lock();
        let asked = state.as_ref().map(|state| state.selection.clone());
        let cursor = state
            .as_ref()
            .map(|state| self.context.hub.cursor(state.place));
        let is_behind = state.is_some_and(|state| state.feeder == Feeder::Delivery);
        Presence {
            way: self.framing.form().way,
            asked,
            cursor,
            is_behind,
            holder: Some(self.pass().holder().clone()),
        }
    }

    fn leave(&self, leaving: Leaving) {
        let reason = match leaving {
            Leaving::Away => "the server goes away",
            Leaving::Restart => "the server restarts",
        };
        self.dismiss(leaving.kind(), reason);
    }

    fn dismiss(&self, refusal: &Refusal) {
        self.refuse(refusal);
    }

    fn obey(&self, access: &Current) {
        self.obey_access(access);
    }
}
