//! A fixed number of threads that serve those who are behind: a page each, whenever its socket has room. The
//! history is the queue, so however many are behind, nothing piles up.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::gap_in;
use super::outbox::errand::{Next, Place};
use super::outbox::{Flushed, Outbox};
use crate::hub::fanout::{Offer, Run, Subscriber, SubscriberId, or_abort};
use crate::journal::Limit;
use crate::server::stream::Stream;

/// Who is looked after here, until it is no longer behind.
pub trait Ward: Send + Sync {
    /// Its name in the hub.
    fn id(&self) -> SubscriberId;

    /// Its socket.
    fn stream(&self) -> &Stream;

    /// Gives it what it can take at once. Does not wait.
    fn step(self: Arc<Self>) -> Step;

    /// How long nobody need look after it; `None` when its time is over and its connection was ended.
    fn patience(&self) -> Option<Duration>;

    /// Ends its connection.
    fn close(&self);
}

/// What one look after a ward came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is live: a shard feeds it.
    Live,
    /// It can take more at once.
    More,
    /// Its socket has no room.
    Blocked,
    /// What it is owed cannot be read at the moment: it is looked after again when [`PAUSE`] is over.
    Later,
    /// It was told goodbye; its peer has to hang up.
    Ending,
    /// It is gone.
    Over,
}

/// How long nobody tries again to read what could not be read.
pub const PAUSE: Duration = Duration::from_secs(1);

/// One page: what is offered to a subscriber at once.
pub const PAGE: Limit = Limit {
    rows: 4096,
    events: Run::ENTRIES,
    bytes: Run::BYTES,
};

impl Ward for Outbox {
    fn id(&self) -> SubscriberId {
        Subscriber::id(self)
    }

    fn stream(&self) -> &Stream {
        self.stream()
    }

    fn step(self: Arc<Self>) -> Step {
        step(&self)
    }

    fn patience(&self) -> Option<Duration> {
        self.patience()
    }

    fn close(&self) {
        self.close();
    }
}

/// Looks after a subscriber that is behind: sends what is queued, tells gaps, runs errands, offers one
/// page, and hands it to its shard when nothing is left. Does not wait.
pub fn step(outbox: &Arc<Outbox>) -> Step {
    match outbox.flush() {
        Flushed::Blocked => return Step::Blocked,
        Flushed::Over => return Step::Over,
        Flushed::Clear if outbox.is_ending() => return Step::Ending,
        Flushed::Clear => {}
    }
    if let Some(gap) = outbox.take_gap() {
        outbox.tell_gap(gap);
        return Step::More;
    }
    if let Some((mut errand, selection, seq)) = outbox.take_errand() {
        let place = Place {
            context: outbox.context(),
            pass: outbox.pass(),
            selection: &selection,
            seq,
        };
        let outcome = errand.advance(&place);
        let next = outcome.next;
        outbox.take_outcome(errand, outcome);
        return match next {
            Next::Done | Next::More => Step::More,
            Next::Later => starve(outbox),
        };
    }
    feed(outbox)
}

fn feed(outbox: &Arc<Outbox>) -> Step {
    let Some((mut selection, place)) = outbox.wants() else {
        return Step::Over;
    };
    let hub = &outbox.context().hub;
    let Ok(page) = hub.read(&selection, place, PAGE) else {
        return starve(outbox);
    };
    let loss = page.loss.as_ref().zip(gap_in(hub, place, &page));
    let changed = loss.map(|(loss, gap)| {
        loss.excuse(Arc::make_mut(&mut selection));
        outbox.tell_loss(gap);
        selection
    });
    // Also when nothing changed: what is lost while its first events are stuck was owed to it.
    outbox.move_to(place, changed);
    if !page.entries.is_empty() {
        match outbox.deliver(&Run {
            entries: &page.entries,
            joined: None,
        }) {
            Offer::Taken => {}
            Offer::Behind(_) => return Step::Blocked,
            Offer::Done => return Step::Over,
        }
    }
    outbox.move_to(page.cursor, None);
    if page.more {
        return Step::More;
    }
    outbox.clone().go_live();
    Step::Live
}

fn starve(outbox: &Outbox) -> Step {
    outbox.starve();
    Step::Later
}

impl Drop for CatchUp {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The threads, and where subscribers are handed to them.
pub struct CatchUp {
    inboxes: Box<[Inbox]>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Inbox {
    arrivals: Sender<Arc<dyn Ward>>,
    /// A byte in here ends the thread's wait for sockets.
    bell: UnixStream,
}

impl CatchUp {
    /// Starts `threads` threads for at most `subscribers` subscribers.
    ///
    /// # Errors
    /// When a thread or its bell cannot be had.
    pub fn start(threads: usize, subscribers: usize) -> io::Result<Self> {
        let mut inboxes = Vec::new();
        let mut running = Vec::new();
        for number in 0..threads.max(1) {
            let (arrivals, incoming) = bounded(subscribers.saturating_mul(2).saturating_add(64));
            let (bell, heard) = UnixStream::pair()?;
            bell.set_nonblocking(true)?;
            heard.set_nonblocking(true)?;
            let worker = Worker {
                incoming,
                heard,
                behind: Vec::new(),
                stopped: false,
            };
            let thread = thread::Builder::new().name(format!("catch-up-{number}"));
            running.push(
                thread.spawn(move || or_abort("a catch-up thread panicked", || worker.run()))?,
            );
            inboxes.push(Inbox { arrivals, bell });
        }
        Ok(CatchUp {
            inboxes: inboxes.into(),
            threads: Mutex::new(running),
        })
    }

    /// Takes a ward. Does not wait.
    pub fn take(&self, ward: Arc<dyn Ward>) {
        let number = ward.id().number() % self.inboxes.len();
        let inbox = &self.inboxes[number];
        // Each connection is here once at most, so there is room, unless the server ends.
        match inbox.arrivals.try_send(ward) {
            Ok(()) => inbox.ring(),
            Err(refused) => refused.into_inner().stream().shutdown(),
        }
    }

    /// Has the deadlines of a ward looked at anew, if it is behind. Does not wait.
    pub fn ring(&self, id: SubscriberId) {
        self.inboxes[id.number() % self.inboxes.len()].ring();
    }

    /// Ends the threads and waits for them; whoever is still behind is cut off.
    pub fn stop(&self) {
        for inbox in &self.inboxes {
            let _ = inbox.bell.shutdown(std::net::Shutdown::Write);
        }
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
    }
}

impl Inbox {
    fn ring(&self) {
        // A full bell has been rung already.
        let _ = (&self.bell).write(&[1]);
    }
}

struct Worker {
    incoming: Receiver<Arc<dyn Ward>>,
    heard: UnixStream,
    behind: Vec<Behind>,
    stopped: bool,
}

struct Behind {
    ward: Arc<dyn Ward>,
    last: Step,
    /// When it is looked after again, if its last step was [`Step::Later`].
    again: Instant,
}

impl Worker {
    fn run(mut self) {
        while !self.stopped {
            self.take_arrivals();
            self.behind.retain_mut(Behind::look_after);
            self.wait();
        }
        for behind in self.behind {
            behind.ward.close();
        }
    }

    fn take_arrivals(&mut self) {
        loop {
            match self.incoming.try_recv() {
                Ok(ward) => self.behind.push(Behind {
                    ward,
                    last: Step::More,
                    again: Instant::now(),
                }),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.stopped = true;
                    return;
                }
            }
        }
    }

    /// Waits until a socket has room, somebody arrives, or a deadline is near.
    fn wait(&mut self) {
        let mut patience = Duration::from_secs(3600);
        let mut fds = vec![PollFd::new(&self.heard, PollFlags::IN)];
        for behind in &self.behind {
            patience = patience.min(behind.patience());
            if behind.heeds_socket() {
                fds.push(PollFd::new(behind.ward.stream(), behind.interest()));
            }
        }
        let timeout = Timespec::try_from(patience).ok();
        let ready = poll(&mut fds, timeout.as_ref()).unwrap_or(0);
        let rung = fds.first().is_some_and(|bell| !bell.revents().is_empty());
        let moved: Vec<bool> = fds
            .iter()
            .skip(1)
            .map(|fd| !fd.revents().is_empty())
            .collect();
        drop(fds);
        if rung {
            self.silence();
        }
        if ready > 0 {
            let heeding = self
                .behind
                .iter_mut()
                .filter(|behind| behind.heeds_socket());
            for (behind, moved) in heeding.zip(moved) {
                behind.last = if moved { Step::More } else { behind.last };
            }
        }
    }

    fn silence(&mut self) {
        let mut scratch = [0; 64];
        loop {
            match (&self.heard).read(&mut scratch) {
                Ok(0) => {
                    self.stopped = true;
                    return;
                }
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }
}

impl Behind {
    /// One step, if there is one to be made; `false` when it is not behind any more.
    fn look_after(&mut self) -> bool {
        if self.is_due() {
            self.last = self.ward.clone().step();
            self.again = Instant::now() + PAUSE;
        }
        match self.last {
            Step::More => true,
            Step::Blocked | Step::Later | Step::Ending => self.ward.patience().is_some(),
            Step::Live | Step::Over => false,
        }
    }

    fn is_due(&self) -> bool {
        match self.last {
            Step::More => true,
            Step::Later => Instant::now() >= self.again,
            _ => false,
        }
    }

    fn patience(&self) -> Duration {
        let ward = || self.ward.patience().unwrap_or(Duration::ZERO);
        match self.last {
            Step::More => Duration::ZERO,
            Step::Later => ward().min(self.again.saturating_duration_since(Instant::now())),
            _ => ward(),
        }
    }

    /// Whether its socket has anything to say to its next step. A broken one would end every wait, though
    /// what is to be read is not there any sooner.
    fn heeds_socket(&self) -> bool {
        self.last != Step::Later
    }

    fn interest(&self) -> PollFlags {
        match self.last {
            Step::Blocked => PollFlags::OUT,
            _ => PollFlags::empty(),
        }
    }
}
