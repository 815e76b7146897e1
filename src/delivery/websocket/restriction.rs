//! Taking away what a client may not read any more, on an open WebSocket: an errand that its feeder runs at an
//! exact place.

use std::sync::Arc;

use super::wire;
use crate::access::rights::Action;
use crate::delivery::outbox::errand::{Errand, Next, Outcome, Place};

/// Takes selectors away that the pass does not cover, and tells each.
pub struct Restrict;

impl Errand for Restrict {
    fn advance(&mut self, place: &Place<'_>) -> Outcome {
        let mut selection = (**place.selection).clone();
        let mut frames = Vec::new();
        for selector in place.selection.selectors() {
            if let Err(refusal) = place.pass.check(Action::Subscribe, selector) {
                selection.remove(selector);
                place.context.hub.metrics().refusals(refusal.kind).count();
                frames.push(wire::dropped(selector, &refusal));
            }
        }
        let changed = !frames.is_empty();
        Outcome {
            frames,
            selection: changed.then(|| Arc::new(selection)),
            next: Next::Done,
        }
    }
}
