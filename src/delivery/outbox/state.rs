//! The state of an outbox, which one thread has at a time: what leaves next, and how far it left.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Instant;

use super::debts::{Debts, Ending, Rest};
use super::errand::Outcome;
use super::pins::Pins;
use crate::delivery::Opening;
use crate::hub::fanout::{Offer, Run};
use crate::hub::selector::Selection;
use crate::hub::tail::Form;
use crate::refusal::Refusal;
use crate::server::memory::{Memory, SMALL};
use crate::server::stream::{Sent, Stream};

/// What one subscriber is owed, and where it is.
pub(super) struct State {
    pub(super) feeder: Feeder,
    pub(super) closed: bool,
    /// The seq up to which everything was handed to the socket.
    pub(super) place: u64,
    /// Since when bytes are owed and none moved.
    pub(super) stalled: Option<Instant>,
    /// Apart, since most owe nothing most of the time: so the state of a live subscriber is a line or two of
    /// cache.
    debts: Option<Box<Debts>>,
    pub(super) selection: Arc<Selection>,
    /// Whether what was lost so far was never owed: the subscriber came without a cursor and was not
    /// looked after yet.
    pub(super) is_bare: bool,
    /// Whether it was live once, so that a loss means that it was overtaken.
    pub(super) was_live: bool,
    /// Whether what comes next cannot be read at the moment.
    pub(super) starved: bool,
    /// Whether the shard was asked to let go of the subscriber and has not done it yet.
    pub(super) recalled: bool,
    /// Whether the shard was asked to have answers said and has not done it yet.
    pub(super) asked: bool,
}

/// Who takes events for a subscriber and moves its place. One at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feeder {
    /// A thread of delivery: the connection's own at first, or one that catches up.
    Delivery,
    /// A shard: the subscriber is live.
    Shard,
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

impl State {
    /// A subscriber that begins, fed by delivery.
    pub(super) fn new(opening: Opening) -> Self {
        let mut state = State {
            feeder: Feeder::Delivery,
            closed: false,
            place: opening.place,
            stalled: None,
            debts: None,
            selection: Arc::new(opening.selection),
            is_bare: opening.is_bare,
            was_live: false,
            starved: false,
            recalled: false,
            asked: false,
        };
        if opening.gap.is_some() {
            state.debts().gap = opening.gap;
        }
        state
    }

    /// What is owed beside events, to be added to.
    pub(super) fn debts(&mut self) -> &mut Debts {
        self.debts.get_or_insert_default()
    }

    /// What is owed beside events, if anything is.
    pub(super) fn owed(&self) -> Option<&Debts> {
        self.debts.as_deref()
    }

    /// What is owed beside events, if anything is, to be paid.
    pub(super) fn owed_mut(&mut self) -> Option<&mut Debts> {
        self.debts.as_deref_mut()
    }

    /// Whether the last words were spoken or nothing can be sent any more.
    pub(super) fn is_ending(&self) -> bool {
        self.closed || self.owed().is_some_and(|debts| debts.ending.is_some())
    }

    /// Whether something is to leave before the next event.
    pub(super) fn owes_frames(&self) -> bool {
        self.owed().is_some_and(Debts::hold_events_back)
    }

    /// Whether there is something to be done that a shard cannot do.
    pub(super) fn needs_delivery(&self) -> bool {
        self.owed().is_some_and(Debts::need_delivery)
    }

    /// How much work is queued.
    pub(super) fn work_waiting(&self) -> usize {
        self.owed().map_or(0, |debts| debts.work.len())
    }

    /// Whether no more work may be queued: `most` wait already, or they hold as much as a connection may.
    pub(super) fn has_all_work(&self, most: usize) -> bool {
        let full = |debts: &Debts| debts.work.len() >= most || debts.work_bytes() >= SMALL;
        self.owed().is_some_and(full)
    }

    /// Says what is to be said by now, and sends all that leaves before the next event, with `most` frames of control
    /// waiting at a time.
    pub(super) fn pay(&mut self, stream: &Stream, most: usize) -> Flushed {
        loop {
            let place = self.place;
            let is_more = match self.owed_mut() {
                Some(debts) => debts.say_what_is_due(place, most),
                None => false,
            };
            match self.flush(stream) {
                Flushed::Clear if is_more => {}
                flushed => return flushed,
            }
        }
    }

    /// Takes what an errand came to.
    pub(super) fn take_outcome(&mut self, outcome: Outcome) {
        self.debts().control.extend(outcome.frames);
        if let Some(selection) = outcome.selection {
            self.selection = selection;
        }
    }

    /// Reserves the memory of what the peer does not take, if there is some.
    ///
    /// # Errors
    /// 503 when it is not there.
    pub(super) fn hold(&mut self, memory: &Memory, pins: &Pins) -> Result<(), Refusal> {
        let waits = self.stalled.is_some() && !self.is_ending();
        match self.owed_mut().filter(|_| waits) {
            Some(debts) => debts.hold(memory, pins),
            None => Ok(()),
        }
    }

    /// Queues the last words.
    pub(super) fn end(&mut self, bytes: Vec<u8>) {
        self.debts().ending = Some(Ending {
            since: Instant::now(),
            bytes,
            sent: 0,
        });
    }

    /// Sends, in this order and at frame boundaries only: what the stream took already, the rest of the frame begun,
    /// control frames, the last words.
    pub(super) fn flush(&mut self, stream: &Stream) -> Flushed {
        if self.closed {
            return Flushed::Over;
        }
        if self.owed().is_some_and(|debts| debts.within) {
            match self.flush_within(stream) {
                Flushed::Clear => {}
                hindered => return hindered,
            }
        }
        let Some(debts) = &mut self.debts else {
            return Flushed::Clear;
        };
        while let Some(rest) = debts.next_frame() {
            match stream.try_send(rest.bytes()) {
                Sent::Some(count) => rest.sent += count,
                failed => return self.failed(failed, stream),
            }
            self.stalled = None;
            if rest.bytes().is_empty() {
                debts.rest = None;
                debts.held = None;
            }
            if stream.owes() {
                return self.owe_within();
            }
        }
        if debts.are_paid() {
            self.debts = None;
            return Flushed::Clear;
        }
        self.flush_ending(stream)
    }

    /// Has the stream send what it took.
    fn flush_within(&mut self, stream: &Stream) -> Flushed {
        loop {
            match stream.try_send(&[]) {
                Sent::Some(_) if stream.owes() => self.stalled = None,
                Sent::Some(_) => break,
                failed => return self.failed(failed, stream),
            }
        }
        self.stalled = None;
        self.debts().within = false;
        Flushed::Clear
    }

    /// Notes that the stream took more than it could send.
    fn owe_within(&mut self) -> Flushed {
        self.debts().within = true;
        self.stalled = Some(Instant::now());
        Flushed::Blocked
    }

    fn flush_ending(&mut self, stream: &Stream) -> Flushed {
        let debts = self.owed_mut();
        let Some(ending) = debts.and_then(|debts| debts.ending.as_mut()) else {
            return Flushed::Clear;
        };
        while !ending.bytes().is_empty() {
            match stream.try_send(ending.bytes()) {
                Sent::Some(count) => ending.sent += count,
                failed => return self.failed(failed, stream),
            }
            if stream.owes() {
                return self.owe_within();
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
        self.cut(stream);
        Flushed::Over
    }

    /// Ends the connection at once, in the middle of a frame if need be, and lets go of all that is owed.
    pub(super) fn cut(&mut self, stream: &Stream) {
        self.closed = true;
        self.debts = None;
        stream.abort();
    }

    /// Sends as much of a run as there is room for.
    pub(super) fn send_run(&mut self, run: &Run<'_>, form: &Form, stream: &Stream) -> Offer {
        let sent = match run.joined {
            Some(joined) => stream.try_send(joined),
            None => {
                let slices: Vec<_> = run
                    .entries
                    .iter()
                    .map(|entry| IoSlice::new(entry.bytes(form)))
                    .collect();
                stream.try_send_slices(&slices)
            }
        };
        match sent {
            Sent::Some(sent) => {
                let offer = self.account(run, form, sent);
                if !stream.owes() {
                    return offer;
                }
                self.owe_within();
                Offer::Behind(self.place)
            }
            failed => match self.failed(failed, stream) {
                Flushed::Over => Offer::Done,
                _ => Offer::Behind(run.before()),
            },
        }
    }

    /// Finds out which events of a run left with `sent` bytes; of the one begun, the rest is kept.
    fn account(&mut self, run: &Run<'_>, form: &Form, sent: usize) -> Offer {
        self.stalled = None;
        self.place = run.before();
        let mut left = sent;
        for entry in run.entries {
            let bytes = entry.bytes(form);
            if left >= bytes.len() {
                left -= bytes.len();
                self.place = entry.seq();
                continue;
            }
            if left > 0 {
                self.debts().rest = Some(Rest::new(bytes.clone(), left));
                self.place = entry.seq();
            }
            self.stalled = Some(Instant::now());
            return Offer::Behind(self.place);
        }
        Offer::Taken
    }
}
