//! Long polling: looks, and if there is nothing, waits on its own condvar until a shard has something.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::poll::{JSON, Look};
use super::{Context, Query};
use crate::http::response::Response;
use crate::hub::fanout::{Offer, Run, Subscriber, SubscriberId};
use crate::hub::tail::{Entry, Form};
use crate::server::stream::Stream;
use crate::shutdown::{Berth, Leave, Leaving};

/// How often a waiting thread looks whether its client is still there.
const LOOK_FOR_CLIENT: Duration = Duration::from_secs(1);

/// Answers at the first event, at a gap, or empty after `wait` and when the server stops. `None`: the
/// client has gone meanwhile.
pub fn answer(
    context: &Arc<Context>,
    stream: &Stream,
    berth: &Berth,
    query: &Query,
    wait: Duration,
) -> Option<Response> {
    let deadline = Instant::now() + wait;
    let mut look = Look::take(context, query);
    while !look.has_news() {
        let waiting = Waiting::join(context, berth, &look);
        let filled = waiting.wait(stream, deadline);
        context.hub.leave(waiting.id);
        match filled {
            Filled::Events(entries) => {
                look = look.with_events(context, query, entries);
                break;
            }
            Filled::Behind => look = look.again(context, query),
            Filled::Over | Filled::Nothing => {
                look = look.again(context, query);
                break;
            }
            Filled::ClientGone => return None,
        }
    }
    berth.release();
    Some(look.response(query))
}

/// Says in an answer which wait was granted (RFC 7240, section 3).
pub fn granting(response: Response, wait: Duration) -> Response {
    response.with("Preference-Applied", format!("wait={}", wait.as_secs()))
}

/// One waiting client.
struct Waiting {
    id: SubscriberId,
    slot: Mutex<Filled>,
    changed: Condvar,
}

/// What a waiting client was given.
enum Filled {
    Nothing,
    Events(Vec<Arc<Entry>>),
    /// The tail has less than it needs: it has to look for itself.
    Behind,
    /// The wait is over: the server stops.
    Over,
    ClientGone,
}

impl Waiting {
    fn join(context: &Arc<Context>, berth: &Berth, look: &Look) -> Arc<Self> {
        let waiting = Arc::new(Waiting {
            id: context.hub.new_id(),
            slot: Mutex::new(Filled::Nothing),
            changed: Condvar::new(),
        });
        context.hub.join(
            waiting.clone(),
            Arc::new(look.selection.clone()),
            look.place,
        );
        berth.hold(waiting.clone());
        waiting
    }

    /// Waits until the slot is filled, the deadline comes or the client goes.
    fn wait(&self, stream: &Stream, deadline: Instant) -> Filled {
        let mut slot = self.slot();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if !matches!(*slot, Filled::Nothing) || left.is_zero() {
                return std::mem::replace(&mut *slot, Filled::Over);
            }
            let (guard, waited) = self
                .changed
                .wait_timeout(slot, left.min(LOOK_FOR_CLIENT))
                .unwrap_or_else(PoisonError::into_inner);
            slot = guard;
            if waited.timed_out() && stream.has_hung_up() {
                return Filled::ClientGone;
            }
        }
    }

    /// Fills the slot if nothing is in it yet.
    fn fill(&self, with: impl FnOnce() -> Filled) {
        let mut slot = self.slot();
        if matches!(*slot, Filled::Nothing) {
            *slot = with();
            self.changed.notify_one();
        }
    }

    fn slot(&self) -> MutexGuard<'_, Filled> {
        // The slot is replaced as a whole, so it is whole after a panic too.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for Waiting {
    fn id(&self) -> SubscriberId {
        self.id
    }

    fn form(&self) -> &'static Form {
        &JSON
    }

    fn offer(&self, run: &Run<'_>) -> Offer {
        self.fill(|| Filled::Events(run.entries.to_vec()));
        Offer::Done
    }

    fn beat(&self, _: u64) -> Offer {
        Offer::Taken
    }

    fn answer(&self, _: u64) -> Offer {
        Offer::Taken
    }

    fn fall_behind(self: Arc<Self>, _: u64) {
        self.fill(|| Filled::Behind);
    }
}

impl Leave for Waiting {
    fn leave(&self, _: Leaving) {
        self.fill(|| Filled::Over);
    }
}
