//! Subscribing and unsubscribing on an open WebSocket: errands that its feeder runs at an exact place.

use std::sync::Arc;

use super::wire;
use crate::access::pass::Pass;
use crate::access::rights::Action;
use crate::delivery::catch_up::PAGE;
use crate::delivery::control::{Control, Gap, error_json};
use crate::delivery::framing::Framing;
use crate::delivery::outbox::errand::{Errand, Next, Outcome, Place};
use crate::delivery::{Opening, gap_in};
use crate::hub::selector::{Selection, Selector};
use crate::journal::Start;
use crate::refusal::{Kind, Refusal};
use crate::roster::Way;

/// Adds selectors: from now on, or after a replay of what they missed.
pub struct Subscribe {
    /// What is added.
    pub selectors: Vec<Selector>,
    /// Where the replay begins; `None`: there is none.
    pub start: Option<Start>,
    /// The client's `ref`.
    pub reference: Option<String>,
    /// How far the replay is.
    pub replay: Option<Replay>,
}

/// A replay under way.
pub struct Replay {
    selection: Selection,
    place: u64,
}

/// Takes selectors away.
pub struct Unsubscribe {
    /// What is taken away.
    pub selectors: Vec<Selector>,
    /// The client's `ref`.
    pub reference: Option<String>,
}

impl Errand for Subscribe {
    fn advance(&mut self, place: &Place<'_>) -> Outcome {
        // What it may read may have changed since it asked, and since the page before.
        if let Err(refusal) = check(&place.pass, &self.selectors) {
            return self.refused(&refusal);
        }
        match self.replay.take() {
            Some(replay) => self.go_on(place, replay),
            None => self.begin(place),
        }
    }

    fn bytes(&self) -> usize {
        bytes_of(&self.selectors)
    }
}

impl Subscribe {
    fn begin(&mut self, place: &Place<'_>) -> Outcome {
        if let Err(refusal) = self.check_room(place) {
            return self.refused(&refusal);
        }
        let hub = &place.context.hub;
        let Some(start) = self.start else {
            // Counts from the head; the cursor is where the whole stream is, which may be further back.
            let ack = wire::ack(self.reference(), Some(("cursor", hub.cursor(place.seq))));
            return Outcome {
                selection: Some(self.added(place, hub.head().seq)),
                ..said(ack)
            };
        };
        let opening = match Opening::find(hub, &self.selectors, start) {
            Ok(opening) => opening,
            Err(error) => return self.refused(&error.into()),
        };
        let cursor = hub.cursor(opening.place.min(place.seq));
        let mut frames = vec![wire::ack(self.reference(), Some(("cursor", cursor)))];
        frames.extend(opening.gap.and_then(told));
        self.replay = Some(Replay {
            selection: opening.selection,
            place: opening.place,
        });
        Outcome {
            frames,
            selection: None,
            next: Next::More,
        }
    }

    /// One page, up to where the stream is: from there on the selectors are a part of it, so that no
    /// event comes both ways.
    fn go_on(&mut self, place: &Place<'_>, mut replay: Replay) -> Outcome {
        let hub = &place.context.hub;
        let Ok(mut page) = hub.read(&replay.selection, replay.place, PAGE) else {
            self.replay = Some(replay);
            return Outcome {
                frames: Vec::new(),
                selection: None,
                next: Next::Later,
            };
        };
        let mut frames = Vec::new();
        let gap = gap_in(hub, replay.place, &page);
        if let Some(gap) = &gap {
            hub.metrics().gaps(gap.reason).count();
        }
        frames.extend(gap.and_then(told));
        if let Some(loss) = &page.loss {
            loss.excuse(&mut replay.selection);
        }
        page.entries.retain(|entry| entry.seq() <= place.seq);
        let reached = page.cursor.min(place.seq);
        if !page.entries.is_empty() {
            let delivered = hub.metrics().delivered(Way::WebSocket);
            delivered.add(page.entries.len() as u64);
            frames.push(wire::replay(
                self.reference(),
                &page.entries,
                hub.cursor(reached),
            ));
        }
        if page.more && page.cursor < place.seq {
            self.replay = Some(Replay {
                place: page.cursor,
                ..replay
            });
            return Outcome {
                frames,
                selection: None,
                next: Next::More,
            };
        }
        frames.push(wire::live(self.reference(), hub.cursor(place.seq)));
        Outcome {
            frames,
            selection: Some(self.added(place, replay.place.max(place.seq))),
            next: Next::Done,
        }
    }

    fn refused(&self, refusal: &Refusal) -> Outcome {
        said(wire::text_frame(&error_json(self.reference(), refusal)))
    }

    fn check_room(&self, place: &Place<'_>) -> Result<(), Refusal> {
        let bound = place.context.config().limits.subscriptions;
        let new = self
            .selectors
            .iter()
            .filter(|selector| !place.selection.contains(selector))
            .count();
        if place.selection.len() + new <= bound {
            return Ok(());
        }
        let detail =
            format!("a connection has {bound} subscriptions at most; unsubscribe from some");
        Err(Refusal::new(Kind::TooManySubscriptions, detail))
    }

    fn added(&self, place: &Place<'_>, after: u64) -> Arc<Selection> {
        let mut selection = (**place.selection).clone();
        for selector in &self.selectors {
            selection.add(selector.clone(), after);
        }
        Arc::new(selection)
    }

    fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }
}

impl Errand for Unsubscribe {
    fn advance(&mut self, place: &Place<'_>) -> Outcome {
        let mut selection = (**place.selection).clone();
        for selector in &self.selectors {
            selection.remove(selector);
        }
        let cursor = place.context.hub.cursor(place.seq);
        let ack = wire::ack(self.reference.as_deref(), Some(("cursor", cursor)));
        Outcome {
            selection: Some(Arc::new(selection)),
            ..said(ack)
        }
    }

    fn bytes(&self) -> usize {
        bytes_of(&self.selectors)
    }
}

/// What selectors hold, each in its own piece of memory.
fn bytes_of(selectors: &[Selector]) -> usize {
    let held = |selector: &Selector| size_of::<Selector>() + selector.as_str().len();
    selectors.iter().map(held).sum()
}

/// Checks that all of these may be read.
///
/// # Errors
/// As [`Pass::check`].
pub fn check(pass: &Pass, selectors: &[Selector]) -> Result<(), Refusal> {
    let mut selectors = selectors.iter();
    selectors.try_for_each(|selector| pass.check(Action::Subscribe, selector))
}

fn said(frame: Vec<u8>) -> Outcome {
    Outcome {
        frames: vec![frame],
        selection: None,
        next: Next::Done,
    }
}

fn told(gap: Gap) -> Option<Vec<u8>> {
    wire::EVENTS.control(&Control::Gap(gap))
}
