//! What a subscriber is owed beside events: the rest of the frame begun, frames of control, work, and the
//! last words.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::errand::{Errand, Work};
use super::pins::{Pin, Pins};
use crate::delivery::control::Gap;
use crate::refusal::Refusal;
use crate::server::memory::{Memory, Reservation, SMALL};

/// All that leaves before the next event, or changes what the next event is.
#[derive(Default)]
pub(super) struct Debts {
    /// Whether the stream has not sent all that it took, which leaves before anything else.
    pub(super) within: bool,
    /// The unsent part of a frame begun.
    pub(super) rest: Option<Rest>,
    /// A gap that is known already, to be told before anything else.
    pub(super) gap: Option<Gap>,
    pub(super) pong: Option<Vec<u8>>,
    pub(super) control: VecDeque<Vec<u8>>,
    pub(super) work: VecDeque<Work>,
    /// Takes away what may not be read any more: before all work, which is done at the pace of the peer.
    pub(super) restriction: Option<Box<dyn Errand>>,
    pub(super) ending: Option<Ending>,
    /// The memory of what the peer does not take, without a large frame.
    pub(super) held: Option<Reservation>,
}

/// The unsent part of a frame begun.
pub(super) struct Rest {
    pub(super) bytes: Arc<[u8]>,
    pub(super) sent: usize,
    /// The memory of a large one that the peer does not take: it is there once for all who have begun it and for the tail,
    /// which may let go of it at any time.
    pin: Option<Arc<Pin>>,
}

/// The last words.
pub(super) struct Ending {
    pub(super) since: Instant,
    pub(super) bytes: Vec<u8>,
    pub(super) sent: usize,
}

impl Debts {
    /// Whether nothing is owed.
    pub(super) fn are_paid(&self) -> bool {
        !self.hold_events_back() && self.work.is_empty()
    }

    /// Whether something is to leave before the next event.
    pub(super) fn hold_events_back(&self) -> bool {
        self.within
            || self.rest.is_some()
            || !self.control.is_empty()
            || self.pong.is_some()
            || self.ending.is_some()
            || self.gap.is_some()
            || self.restriction.is_some()
    }

    /// Whether there is something to be done that a shard cannot do.
    pub(super) fn need_delivery(&self) -> bool {
        self.hold_events_back() || self.work.iter().any(|work| matches!(work, Work::Do(_)))
    }

    /// The bytes of the work that waits.
    pub(super) fn work_bytes(&self) -> usize {
        self.work.iter().map(Work::bytes).sum()
    }

    /// Queues what is to be said by now, with everything up to `place` given, until `most` frames of control wait: a
    /// peer that does not read has no more of them than that. Whether it stopped there.
    pub(super) fn say_what_is_due(&mut self, place: u64, most: usize) -> bool {
        // Nothing comes between or behind the last words, and what is taken away is told before what comes of it.
        let has_begun_to_end = self.ending.as_ref().is_some_and(|ending| ending.sent > 0);
        if has_begun_to_end || self.restriction.is_some() {
            return false;
        }
        while let Some(Work::Say(_, after)) = self.work.front()
            && *after <= place
        {
            if self.control.len() >= most.max(1) {
                return true;
            }
            if let Some(Work::Say(frame, _)) = self.work.pop_front() {
                self.control.push_back(frame);
            }
        }
        false
    }

    /// Reserves the memory of what is large and has begun to wait for the peer.
    pub(super) fn hold(&mut self, memory: &Memory, pins: &Pins) -> Result<(), Refusal> {
        let mut bytes = self.control_bytes();
        match &mut self.rest {
            Some(rest) if rest.bytes.len() > SMALL => rest.pin(pins)?,
            Some(rest) => bytes += rest.bytes.len(),
            None => {}
        }
        match bytes > SMALL {
            true => self
                .held
                .get_or_insert_with(|| memory.nothing())
                .grow_to(bytes),
            false => Ok(()),
        }
    }

    fn control_bytes(&self) -> usize {
        self.control.iter().map(Vec::len).sum()
    }

    /// Takes the next errand, if it is its turn.
    pub(super) fn take_errand(&mut self) -> Option<Box<dyn Errand>> {
        if self.restriction.is_some() {
            return self.restriction.take();
        }
        match self.work.pop_front()? {
            Work::Do(errand) => Some(errand),
            say => {
                self.work.push_front(say);
                None
            }
        }
    }

    /// What is sent next: the rest of the frame begun, else a frame of control.
    pub(super) fn next_frame(&mut self) -> Option<&mut Rest> {
        if self.rest.is_none() {
            let frame = self.pong.take().or_else(|| self.control.pop_front());
            self.rest = frame.map(|frame| Rest::new(frame.into(), 0));
        }
        self.rest.as_mut()
    }
}

impl Rest {
    /// What is left of a frame of which so much was sent.
    pub(super) fn new(bytes: Arc<[u8]>, sent: usize) -> Self {
        Rest {
            bytes,
            sent,
            pin: None,
        }
    }

    fn pin(&mut self, pins: &Pins) -> Result<(), Refusal> {
        if self.pin.is_none() {
            self.pin = Some(pins.pin(&self.bytes)?);
        }
        Ok(())
    }

    /// The bytes that were not sent.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or_default()
    }
}

impl Ending {
    /// The bytes that were not sent.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::errand::{Outcome, Place};
    use super::*;

    struct Nothing;

    impl Errand for Nothing {
        fn advance(&mut self, _: &Place<'_>) -> Outcome {
            unreachable!("it is queued only")
        }
    }

    #[test]
    fn a_restriction_comes_before_what_waits_for_the_peer_to_read() {
        let mut debts = Debts::default();
        debts.work.push_back(Work::Say(b"a".to_vec(), 9));
        debts.work.push_back(Work::Say(b"b".to_vec(), 0));
        debts.restriction = Some(Box::new(Nothing));
        assert!(debts.hold_events_back() && debts.need_delivery());
        debts.say_what_is_due(9, 64);
        assert!(debts.control.is_empty(), "what is taken away is told first");
        assert!(debts.take_errand().is_some());
        assert!(debts.take_errand().is_none(), "the others wait");
        debts.say_what_is_due(9, 64);
        assert_eq!(debts.control, [b"a", b"b"]);
    }

    #[test]
    fn what_is_due_waits_while_as_much_as_may_be_was_said() {
        let mut debts = Debts::default();
        let say = |number: u8| Work::Say(vec![number], 0);
        debts.work.extend((0..5).map(say));
        assert!(debts.say_what_is_due(0, 2), "there is more");
        assert_eq!(debts.control, [[0], [1]]);
        debts.control.pop_front();
        assert!(debts.say_what_is_due(0, 2));
        assert_eq!(debts.control, [[1], [2]]);
        assert_eq!((debts.work.len(), debts.work_bytes()), (2, 2));
        debts.control.clear();
        assert!(!debts.say_what_is_due(0, 2), "this is all");
    }
}
