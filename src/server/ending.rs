//! What of a server's end may wait for a disk that hangs: it has a thread of its own, which its owner waits for within
//! bounds, and which goes on with it however late.

use std::sync::Arc;
use std::thread::Builder;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::threads::Threads;
use crate::delivery::Context;

/// How much longer the journal may take to close than what waits for it.
const CLOSING: Duration = Duration::from_secs(2);
/// How long the journal may take to let go of its files.
const LETTING_GO: Duration = Duration::from_secs(10);

/// The end of a hub, which has begun.
pub(super) struct Ending {
    context: Arc<Context>,
    threads: Threads,
    has_thread: bool,
    is_closed: bool,
    /// Dropped when nobody is connected any more.
    connected: Sender<()>,
}

impl Ending {
    /// Closes the journal, and waits until all that it took has been offered to those who are live: until `deadline`, and
    /// two seconds longer for the journal. Until [`finish`](Self::finish) it can be read.
    pub(super) fn begin(context: &Arc<Context>, deadline: Instant) -> Self {
        let threads = Threads::new();
        let (closing, closed) = bounded(0);
        let (connected, disconnected) = bounded(0);
        let hub_of = context.clone();
        let body = move || end(&hub_of, deadline, closing, &disconnected);
        let has_thread = threads.start(Builder::new().name("stop".into()), body);
        let has_thread = has_thread.is_ok();
        if !has_thread {
            // Rather wait than leave it undone.
            context.hub.close(deadline);
        }
        let waited = closed.recv_deadline(deadline + CLOSING);
        Ending {
            context: context.clone(),
            threads,
            has_thread,
            is_closed: waited != Err(RecvTimeoutError::Timeout),
            connected,
        }
    }

    /// Ends all threads of the hub and lets go of the journal's files, and waits ten seconds for it: not at all for a
    /// journal that is not even closed. Whoever may write still keeps it locked against others.
    pub(super) fn finish(self) {
        drop(self.connected);
        if !self.has_thread {
            let_go(&self.context);
        }
        let patience = if self.is_closed {
            LETTING_GO
        } else {
            Duration::ZERO
        };
        if self.threads.wait(Instant::now() + patience) > 0 {
            log::error!(
                "the journal does not answer, and is not waited for; what it acknowledged is as safe as journal.sync says"
            );
        }
    }
}

fn end(context: &Context, deadline: Instant, closing: Sender<()>, disconnected: &Receiver<()>) {
    context.hub.close(deadline);
    drop(closing);
    // Ends with an error, when the last has gone.
    let _ = disconnected.recv();
    let_go(context);
}

fn let_go(context: &Context) {
    context.catch_up.stop();
    context.hub.stop();
}
