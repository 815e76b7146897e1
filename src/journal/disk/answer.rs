//! How an answer finds whoever waits for it: a cell, and one call that wakes its thread.

use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};

use super::desk::Answer;
use crate::journal::AppendError;

/// How often whoever waits lets others run before it falls asleep.
const YIELDS: usize = 8;

/// Where an answer is waited for.
pub(super) struct Waiting {
    cell: Arc<OnceLock<Answer>>,
}

/// Who waits for an answer. Dropped without one, it says that the journal is closed, so that nobody waits in vain.
pub(super) struct Asker {
    cell: Arc<OnceLock<Answer>>,
    thread: Option<Thread>,
}

/// Both ends, for the thread that calls this.
pub(super) fn pair() -> (Asker, Waiting) {
    let cell = Arc::new(OnceLock::new());
    let asker = Asker {
        cell: cell.clone(),
        thread: Some(thread::current()),
    };
    (asker, Waiting { cell })
}

/// An asker whose answer nobody waits for.
pub(super) fn nobody() -> Asker {
    Asker {
        cell: Arc::default(),
        thread: None,
    }
}

impl Waiting {
    /// Waits for the answer, for as long as the work takes.
    pub(super) fn wait(self) -> Answer {
        let mut yields = 0;
        loop {
            if let Some(answer) = self.cell.get() {
                return answer.clone();
            }
            // Under load the answer comes while others run, and to find it there spares falling asleep and being woken.
            match yields < YIELDS {
                true => thread::yield_now(),
                false => thread::park(),
            }
            yields += 1;
        }
    }
}

impl Asker {
    /// Gives the answer.
    pub(super) fn answer(self, answer: Answer) {
        // Only once: it is given away with this.
        let _ = self.cell.set(answer);
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        let _ = self.cell.set(Err(AppendError::Closed));
        if let Some(thread) = self.thread.take() {
            thread.unpark();
        }
    }
}
