//! Publishing: from drafts to numbered events on their way to everyone.

use std::sync::Arc;
use std::time::Instant;

use super::Hub;
use super::fanout::Fanout;
use super::tail::Tail;
use crate::event::Event;
use crate::hub::channel::ChannelName;
use crate::journal::{AppendError, Appended, Batch, Sink};

/// Where the journal hands over what it committed: into the tail, in order; then the shards are told.
pub(super) struct Delivery {
    pub(super) tail: Arc<Tail>,
    pub(super) fanout: Arc<Fanout>,
}

impl Sink for Delivery {
    fn committed(&self, events: &[Arc<Event>]) {
        self.tail.push(events);
    }

    fn announce(&self) {
        self.fanout.announce();
    }
}

impl Hub {
    /// Keeps a batch and sends it on its way. Returns when the journal has kept it; waits for no subscriber.
    ///
    /// # Errors
    /// Nothing of the batch was kept.
    pub fn publish(&self, batch: impl Into<Batch>) -> Result<Appended, AppendError> {
        let batch = batch.into();
        let (events, bytes) = batch.size();
        let begun = Instant::now();
        let outcome = self.journal.append(batch);
        self.metrics.keeping.observe(begun.elapsed());
        if outcome.as_ref().is_ok_and(|appended| !appended.repeated) {
            self.metrics.published.add(events);
            self.metrics.published_bytes.add(bytes);
        }
        outcome
    }

    /// Forgets every event of a channel, which its subscribers are told as a gap. Says whether there was
    /// such a channel.
    ///
    /// # Errors
    /// Nothing of the channel was taken.
    pub fn forget(&self, channel: &ChannelName) -> Result<bool, AppendError> {
        self.journal.forget(channel)
    }
}
