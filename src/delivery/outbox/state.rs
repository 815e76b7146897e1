//! The state of an outbox, which one thread has at a time: what leaves next, and how far it left.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Instant;

use super::errand::{Outcome, Work};
use crate::delivery::Opening;
use crate::delivery::control::Gap;
use crate::hub::fanout::{Offer, Run};
use crate::hub::selector::Selection;
use crate::hub::tail::Form;
use crate::server::stream::{Sent, Stream};

/// What one subscriber is owed, and where it is.
pub(super) struct State {
    pub(super) feeder: Feeder,
    pub(super) selection: Arc<Selection>,
    /// The seq up to which everything was handed to the socket.
    pub(super) place: u64,
    /// A gap that is known already, to be told before anything else.
    pub(super) gap: Option<Gap>,
    /// Whether what was lost so far was never owed: the subscriber came without a cursor and was not
    /// looked after yet.
    pub(super) is_bare: bool,
    pub(super) control: VecDeque<Vec<u8>>,
    pub(super) pong: Option<Vec<u8>>,
    pub(super) work: VecDeque<Work>,
    pub(super) ending: Option<Ending>,
    pub(super) closed: bool,
    /// Since when bytes are owed and none moved.
    pub(super) stalled: Option<Instant>,
    /// Whether it was live once, so that a loss means that it was overtaken.
    pub(super) was_live: bool,
    /// Whether the shard was asked to let go of the subscriber and has not done it yet.
    pub(super) recalled: bool,
    /// Whether the shard was asked to have answers said and has not done it yet.
    pub(super) asked: bool,
    rest: Option<Rest>,
}

/// Who takes events for a subscriber and moves its place. One at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feeder {
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
pub(super) struct Ending {
    pub(super) since: Instant,
    bytes: Vec<u8>,
    sent: usize,
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
        State {
            feeder: Feeder::Delivery,
            selection: Arc::new(opening.selection),
            place: opening.place,
            gap: opening.gap,
            is_bare: opening.is_bare,
            control: VecDeque::new(),
            pong: None,
            work: VecDeque::new(),
            ending: None,
            closed: false,
            stalled: None,
            was_live: false,
            recalled: false,
            asked: false,
            rest: None,
        }
    }

    /// Whether the last words were spoken or nothing can be sent any more.
    pub(super) fn is_ending(&self) -> bool {
        self.ending.is_some() || self.closed
    }

    /// Whether something is to leave before the next event.
    pub(super) fn owes_frames(&self) -> bool {
        self.rest.is_some()
            || !self.control.is_empty()
            || self.pong.is_some()
            || self.ending.is_some()
            || self.gap.is_some()
    }

    /// Whether there is something to be done that a shard cannot do.
    pub(super) fn needs_delivery(&self) -> bool {
        self.owes_frames() || self.work.iter().any(|work| matches!(work, Work::Do(_)))
    }

    /// Queues what is to be said by now.
    pub(super) fn say_what_is_due(&mut self) {
        while let Some(Work::Say(_, after)) = self.work.front()
            && *after <= self.place
            && let Some(Work::Say(frame, _)) = self.work.pop_front()
        {
            self.control.push_back(frame);
        }
    }

    /// Takes what an errand came to.
    pub(super) fn take_outcome(&mut self, outcome: Outcome) {
        self.control.extend(outcome.frames);
        if let Some(selection) = outcome.selection {
            self.selection = selection;
        }
    }

    /// Queues the last words.
    pub(super) fn end(&mut self, bytes: Vec<u8>) {
        self.ending = Some(Ending {
            since: Instant::now(),
            bytes,
            sent: 0,
        });
    }

    /// Sends, in this order and at frame boundaries only: the rest of the frame begun, control frames,
    /// the last words.
    pub(super) fn flush(&mut self, stream: &Stream) -> Flushed {
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
            Sent::Some(sent) => self.account(run, form, sent),
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
                self.rest = Some(Rest {
                    bytes: bytes.clone(),
                    sent: left,
                });
                self.place = entry.seq();
            }
            self.stalled = Some(Instant::now());
            return Offer::Behind(self.place);
        }
        Offer::Taken
    }
}
