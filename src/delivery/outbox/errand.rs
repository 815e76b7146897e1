//! What a subscriber is owed beside events, in the order in which it asked: words that count from a
//! place of its stream on, and changes of what it asks for.

use std::sync::Arc;

use crate::access::pass::Pass;
use crate::delivery::Context;
use crate::hub::selector::Selection;

/// The next thing to be done for a subscriber.
pub enum Work {
    /// Say this, once it has everything up to a seq.
    Say(Vec<u8>, u64),
    /// Change something, at the place where the stream is then.
    Do(Box<dyn Errand>),
}

impl Work {
    /// The bytes that it holds while it waits.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Work::Say(frame, _) => frame.len(),
            Work::Do(errand) => errand.bytes(),
        }
    }
}

/// Something that changes what the subscriber is owed, at an exact place of its stream. Run by a feeder
/// of delivery, one step at a time.
pub trait Errand: Send {
    /// Does the next step. No lock is held.
    fn advance(&mut self, place: &Place<'_>) -> Outcome;

    /// The bytes of what the peer named, which it holds while it waits.
    fn bytes(&self) -> usize {
        0
    }
}

/// Where an errand finds the subscriber.
pub struct Place<'a> {
    /// What it is told from.
    pub context: &'a Context,
    /// What it may do.
    pub pass: Pass,
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
    /// What comes after it.
    pub next: Next,
}

/// What comes after one step of an errand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing: the errand is done.
    Done,
    /// Another step.
    More,
    /// Another step after a pause: what it needs cannot be read at the moment.
    Later,
}
