//! What a subscriber may do, and until when; and what becomes of it when something else counts.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::Outbox;
use crate::access::current::Current;
use crate::access::pass::Pass;
use crate::access::rights::Action;
use crate::refusal::{Kind, Refusal};

/// The shortest wait for the end of a pass.
const A_MOMENT: Duration = Duration::from_millis(1);

impl Outbox {
    /// What its subscriber may do.
    pub fn pass(&self) -> Pass {
        self.held().clone()
    }

    /// Has another pass count from now on, of the same holder.
    pub fn take_pass(&self, pass: Pass) {
        let before = std::mem::replace(&mut *self.held(), pass.clone());
        if !before.allows_as_much_as(&pass) {
            self.restrict(&pass);
        }
        // What counts may be another access by now than the one that gave this pass.
        self.obey_access(&self.context.access);
    }

    /// When its pass is over, and at `latest` in any case: whoever waits does so until then at most.
    pub fn until(&self, latest: Instant) -> Instant {
        let Some(left) = self.pass().left().filter(|_| !self.is_ending()) else {
            return latest;
        };
        // If it ended just now, whoever waits finds that out next; it does not turn in circles until then.
        let over = Instant::now().checked_add(left.max(A_MOMENT));
        over.map_or(latest, |over| over.min(latest))
    }

    /// Says goodbye once its pass is over.
    pub fn end_if_over(&self) {
        if self.pass().is_over() && !self.is_ending() {
            let detail = "the time of what was shown is over; come back with a fresh token";
            self.refuse(&Refusal::new(Kind::TokenExpired, detail));
        }
    }

    /// Goes by what counts now. Does not wait.
    pub(super) fn obey_access(&self, current: &Current) {
        let access = current.get();
        let mut held = self.held();
        if access.gave(&held) {
            return;
        }
        let renewed = access.renew(&held).and_then(|pass| {
            pass.check_entry()?;
            Ok(pass)
        });
        match renewed {
            Err(refusal) => {
                drop(held);
                self.refuse(&refusal);
            }
            Ok(pass) => {
                let before = std::mem::replace(&mut *held, pass.clone());
                drop(held);
                if !before.allows_as_much_as(&pass) {
                    self.restrict(&pass);
                }
            }
        }
    }

    /// Takes away what may not be read any more; ends the stream where its way has no word for that.
    fn restrict(&self, pass: &Pass) {
        if let Some(errand) = self.framing.restriction() {
            return self.restrict_by(errand);
        }
        let Some((selection, _)) = self.wants() else {
            return;
        };
        let mut checks = selection
            .selectors()
            .map(|selector| pass.check(Action::Subscribe, selector));
        if let Some(refusal) = checks.find_map(Result::err) {
            self.refuse(&refusal);
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Pass> {
        // It is replaced as a whole, so it is whole after a panic too.
        self.pass.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
