//! Threads that their owner waits for in the end, but not for ever.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

use super::permit::Permits;

/// The threads of one owner.
pub struct Threads {
    running: Mutex<Vec<JoinHandle<()>>>,
    /// Each thread holds one.
    alive: Permits,
}

impl Threads {
    /// None yet.
    pub fn new() -> Self {
        Threads {
            running: Mutex::default(),
            alive: Permits::new(usize::MAX),
        }
    }

    /// Starts one more, which has its name from `thread`.
    ///
    /// # Errors
    /// When there is none to be had.
    pub fn start(&self, thread: Builder, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let alive = self.alive.try_take();
        let thread = thread.spawn(move || {
            body();
            drop(alive);
        })?;
        let mut running = self.running();
        running.retain(|thread| !thread.is_finished());
        running.push(thread);
        Ok(())
    }

    /// Waits until all have ended, until `deadline` at most; says how many have not. Those are left to themselves.
    pub fn wait(&self, deadline: Instant) -> usize {
        let left = self.alive.wait_for_all(deadline);
        let threads = std::mem::take(&mut *self.running());
        if left == 0 {
            for thread in threads {
                let _ = thread.join();
            }
        }
        left
    }

    fn running(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        // Every change leaves it whole.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Threads {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn whoever_hangs_is_counted_and_not_waited_for_any_longer() {
        let threads = Threads::new();
        let (go, hangs) = mpsc::channel::<()>();
        let hang = move || {
            let _ = hangs.recv();
        };
        threads.start(Builder::new(), || {}).unwrap();
        threads.start(Builder::new(), hang).unwrap();
        let soon = || Instant::now() + Duration::from_millis(100);
        assert_eq!(threads.wait(soon()), 1);
        drop(go);
        assert_eq!(threads.wait(Instant::now() + Duration::from_secs(20)), 0);
    }
}
