//! The threads of connections: a few that wait for the next connection, as many more as are needed, and
//! a lean one for each stream.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::connection::Connection;
use super::contain;

/// Threads that stay when their connection has ended: enough that clients which come one after another
/// find one ready.
const WAITING: usize = 16;
/// How long one of them waits for another connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// Streams that are on their way from one thread to another, and so have two. Together with those who wait
/// they stay within the reserve of the thread budget, also when all clients come back at once.
const HANDED_OVER: usize = 64;
/// The stack of a connection's thread, in bytes of address space; only what is touched costs memory.
const STACK: usize = 256 * 1024;

/// Everyone who serves connections; clones are the same crew.
#[derive(Clone, Default)]
pub(super) struct Crew {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    roster: Mutex<Roster>,
    called: Condvar,
}

#[derive(Default)]
struct Roster {
    /// Given to threads that wait and have not woken yet.
    given: VecDeque<Connection>,
    /// Threads that wait and were given nothing.
    waiting: usize,
    /// Threads that gave their stream to another and have not turned to the next connection.
    handed_over: usize,
    started: u64,
    ended: bool,
}

impl Crew {
    /// Gives a connection to a thread that waits, or else to a new one.
    ///
    /// # Errors
    /// When there is no thread to be had; the connection is dropped.
    pub(super) fn serve(&self, connection: Connection) -> io::Result<()> {
        let mut roster = self.shared.roster();
        if roster.waiting > 0 {
            roster.waiting -= 1;
            roster.given.push_back(connection);
            drop(roster);
            self.shared.called.notify_one();
            return Ok(());
        }
        drop(roster);
        let crew = self.clone();
        self.start("conn", move || crew.work(connection))
    }

    /// Lets those who wait go.
    pub(super) fn dismiss(&self) {
        self.shared.roster().ended = true;
        self.shared.called.notify_all();
    }

    /// One connection after another.
    fn work(&self, first: Connection) {
        let mut next = Some(first);
        while let Some(connection) = next {
            let handed_over = self.attend(connection);
            next = self.shared.wait(handed_over);
        }
    }

    /// One connection from its first byte on. What becomes a stream goes on with a thread of its own, which
    /// only listens: it touches 8 KiB of stack where the way there touched 20.
    ///
    /// Says whether it has gone on so.
    fn attend(&self, connection: Connection) -> bool {
        let stream = connection.stream().clone();
        let Some(listening) = contain(&stream, || connection.serve()).flatten() else {
            return false;
        };
        let listen = move || {
            contain(&stream, || listening.listen());
        };
        if !self.shared.begin_hand_over() {
            listen();
            return false;
        }
        if let Err(error) = self.start("stream", listen) {
            log::error!("a stream is ended, there is no thread to be had: {error}");
        }
        true
    }

    fn start(&self, name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let number = {
            let mut roster = self.shared.roster();
            roster.started += 1;
            roster.started
        };
        let thread = thread::Builder::new()
            .name(format!("{name}-{number}"))
            .stack_size(STACK);
        thread.spawn(body).map(drop)
    }
}

impl Shared {
    /// Whether a stream may have two threads for a moment.
    fn begin_hand_over(&self) -> bool {
        let mut roster = self.roster();
        let may = roster.handed_over < HANDED_OVER;
        roster.handed_over += usize::from(may);
        may
    }

    /// Waits for a connection; `None` when none came for long, or enough others wait.
    fn wait(&self, handed_over: bool) -> Option<Connection> {
        let mut roster = self.roster();
        roster.handed_over -= usize::from(handed_over);
        if roster.ended || roster.waiting >= WAITING {
            return None;
        }
        roster.waiting += 1;
        let idle = |roster: &mut Roster| roster.given.is_empty() && !roster.ended;
        let (mut roster, _) = self
            .called
            .wait_timeout_while(roster, PATIENCE, idle)
            .unwrap_or_else(PoisonError::into_inner);
        let given = roster.given.pop_front();
        if given.is_none() {
            roster.waiting -= 1;
        }
        given
    }

    fn roster(&self) -> MutexGuard<'_, Roster> {
        // Every change is one of a number or of the queue, so a panic leaves it whole.
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
