//! Live events go out here: each shard is one thread that owns a part of the subscribers and offers
//! them, without ever waiting, what has piled up since it last looked.

mod lobby;
mod room;
mod shard;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Instant;

use crossbeam_channel::{Sender, bounded};

use self::lobby::Lobby;
use self::shard::Shard;
use super::selector::Selection;
use super::tail::{Entry, Form, Tail};
use crate::metrics::Metrics;
use crate::shutdown::abort;

/// Names a subscriber among all of a hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SubscriberId(pub(super) u64);

impl SubscriberId {
    /// A number by which subscribers are spread over threads.
    pub fn number(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// One who listens. Called by one feeder at a time; no call may block.
pub trait Subscriber: Send + Sync {
    /// Its name in the hub.
    fn id(&self) -> SubscriberId;

    /// The form in which it wants events.
    fn form(&self) -> &'static Form;

    /// Is about to be made an offer: looks at what that will need, so that the memory of several subscribers is
    /// fetched at the same time.
    fn prepare(&self) {}

    /// Takes as much of a run as it can without waiting.
    fn offer(&self, run: &Run<'_>) -> Offer;

    /// Has everything up to `place`, and may tell its peer so.
    fn beat(&self, place: u64) -> Offer;

    /// Has everything up to `place`, and has asked to be told so.
    fn answer(&self, place: u64) -> Offer;

    /// Is no longer fed by the shard: it was examined up to `place` and goes on from there by itself.
    fn fall_behind(self: Arc<Self>, place: u64);
}

/// One who waits for its next events once.
pub trait Waiter: Send + Sync {
    /// Its name in the hub.
    fn id(&self) -> SubscriberId;

    /// Takes its events, at least one. Called once, by a shard; must not block.
    fn take(self: Arc<Self>, entries: Vec<Arc<Entry>>);

    /// Has to look for its events itself. Called instead of [`take`](Self::take).
    fn look(self: Arc<Self>);
}

/// Consecutive events for one subscriber, all of which it asked for.
pub struct Run<'a> {
    /// The events; at least one, at most [`Run::ENTRIES`].
    pub entries: &'a [Arc<Entry>],
    /// All of them in the subscriber's form, one behind the other, when that was made for several.
    pub joined: Option<&'a [u8]>,
}

impl Run<'_> {
    /// The most events of one run, which is the most slices that one send takes (`IOV_MAX`).
    pub const ENTRIES: usize = 1024;
    /// The bytes after which a run ends, as [`Event::weight`](crate::event::Event::weight) counts them, unless
    /// its only event has more.
    pub const BYTES: usize = 64 * 1024;

    /// The place before its first event.
    pub fn before(&self) -> u64 {
        self.entries.first().map_or(0, |entry| entry.seq() - 1)
    }

    /// How many of its events left, the last perhaps in part, when the offer of it came to this.
    pub fn taken(&self, offer: Offer) -> usize {
        match offer {
            Offer::Taken => self.entries.len(),
            Offer::Behind(place) => self.entries.partition_point(|entry| entry.seq() <= place),
            Offer::Done => 0,
        }
    }
}

/// What became of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// All of it was taken.
    Taken,
    /// Events up to this seq were taken, the last perhaps in part; the subscriber is behind now.
    Behind(u64),
    /// The subscriber wants nothing more.
    Done,
}

/// What a shard is asked to do. Each subscriber has few orders under way at once, and there is room for
/// those of all connections, so that whoever gives one does not wait.
enum Order {
    /// This subscriber is to be live from `place` on.
    Join {
        subscriber: Arc<dyn Subscriber>,
        selection: Arc<Selection>,
        place: u64,
    },
    /// This subscriber is to be told how far it is, if it is live.
    Beat(SubscriberId),
    /// This subscriber has something to say once it has everything that was published by now.
    Answer(SubscriberId),
    /// This subscriber has to do something that only it can: let it fall behind.
    Recall(SubscriberId),
    /// This subscriber is gone.
    Leave(SubscriberId),
    /// Offer what there is, then say so.
    Flush(Sender<()>),
    /// The hub ends.
    Stop,
}

/// All shards.
pub struct Fanout {
    shards: Vec<Handle>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Handle {
    orders: Sender<Order>,
    /// Parked whenever there is nothing to do. It neither spins nor yields first, as the channel's own
    /// waiting does: with 16 publishers that alone took a third of the CPU time.
    thread: Thread,
    lobby: Arc<Lobby>,
}

impl Handle {
    /// Gives an order; fails when the shard has ended or, where there is no room, at the deadline.
    fn order(&self, order: Order, deadline: Option<Instant>) -> bool {
        let given = match deadline {
            Some(deadline) => self.orders.send_deadline(order, deadline).is_ok(),
            None => self.orders.send(order).is_ok(),
        };
        self.thread.unpark();
        given
    }
}

impl Fanout {
    /// Starts `shards` threads for at most `subscribers` subscribers.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(
        shards: NonZeroUsize,
        subscribers: usize,
        tail: &Arc<Tail>,
        metrics: &Arc<Metrics>,
    ) -> std::io::Result<Self> {
        // Dropped, and so stopped, when a thread cannot be started.
        let mut fanout = Fanout {
            shards: Vec::new(),
            threads: Mutex::default(),
        };
        for number in 0..shards.get() {
            fanout.start_shard(number, subscribers, tail, metrics)?;
        }
        Ok(fanout)
    }

    fn start_shard(
        &mut self,
        number: usize,
        subscribers: usize,
        tail: &Arc<Tail>,
        metrics: &Arc<Metrics>,
    ) -> std::io::Result<()> {
        let (sender, orders) = bounded(subscribers.saturating_mul(4).saturating_add(64));
        let place = tail.head();
        let lobby = Arc::new(Lobby::new(place));
        let shard = Shard::new(tail.clone(), orders, lobby.clone(), place, metrics.clone());
        let thread = thread::Builder::new()
            .name(format!("shard-{number}"))
            .spawn(move || or_abort("a shard panicked", || shard.run()))?;
        self.shards.push(Handle {
            orders: sender,
            thread: thread.thread().clone(),
            lobby,
        });
        self.threads().push(thread);
        Ok(())
    }

    /// Tells every shard where somebody would hear of it that the tail has grown. Never waits.
    pub fn announce(&self) {
        for shard in &self.shards {
            if shard.lobby.is_occupied() {
                shard.thread.unpark();
            }
        }
    }

    /// Lets one wait who was examined up to `place`. It looks at the head afterwards: if that is beyond its
    /// place, it has to withdraw and look again.
    pub fn wait(&self, waiter: Arc<dyn Waiter>, selection: Arc<Selection>, place: u64) {
        let shard = self.shard(waiter.id());
        shard.lobby.enter(waiter, selection, place);
    }

    /// Takes one out who waits; `false` when it is being given its events already.
    pub fn withdraw(&self, id: SubscriberId, selection: &Selection) -> bool {
        self.shard(id).lobby.withdraw(id, selection)
    }

    /// Makes a subscriber that was examined up to `place` live.
    pub fn join(&self, subscriber: Arc<dyn Subscriber>, selection: Arc<Selection>, place: u64) {
        let id = subscriber.id();
        self.order(
            id,
            Order::Join {
                subscriber,
                selection,
                place,
            },
        );
    }

    /// Tells a subscriber that is live how far it is; nothing happens if it is not.
    pub fn beat(&self, id: SubscriberId) {
        self.order(id, Order::Beat(id));
    }

    /// Tells a subscriber that is live when it has everything that was published by now; nothing happens if
    /// it is not live.
    pub fn ask(&self, id: SubscriberId) {
        self.order(id, Order::Answer(id));
    }

    /// Lets a subscriber that is live fall behind; nothing happens if it is not.
    pub fn recall(&self, id: SubscriberId) {
        self.order(id, Order::Recall(id));
    }

    /// Lets go of a subscriber.
    pub fn leave(&self, id: SubscriberId) {
        self.order(id, Order::Leave(id));
    }

    /// Waits until every shard has offered all that is in the tail by now, until `deadline` at most.
    pub fn flush(&self, deadline: Instant) {
        let (done, offered) = bounded(self.shards.len());
        for shard in &self.shards {
            shard.order(Order::Flush(done.clone()), Some(deadline));
        }
        drop(done);
        // Ends with an error when all have answered, or when it is late.
        while offered.recv_deadline(deadline).is_ok() {}
    }

    /// Ends all shards and waits for their threads.
    pub fn stop(&self) {
        for shard in &self.shards {
            shard.order(Order::Stop, None);
        }
        let threads = std::mem::take(&mut *self.threads());
        for thread in threads {
            let _ = thread.join();
        }
    }

    fn order(&self, id: SubscriberId, order: Order) {
        // Fails only when the shard has ended, and then nobody is live any more.
        self.shard(id).order(order, None);
    }

    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        // Every change is one push or the taking of all, so a panic leaves it whole.
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shard(&self, id: SubscriberId) -> &Handle {
        &self.shards[id.number() % self.shards.len()]
    }
}

impl Drop for Fanout {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs a thread on which everyone relies; its panic ends the process (a bug of ours), since nobody
/// would be served any more without anybody noticing.
pub fn or_abort(what: &str, body: impl FnOnce()) {
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).is_err() {
        abort(what);
    }
}
