//! How answers find those who wait for them.

use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};

use super::desk::Answer;
use crate::journal::AppendError;

/// Where an answer is waited for.
pub(super) struct Waiting {
    cell: Arc<Cell>,
}

/// Who waits for an answer. Dropped without one, it says that the journal is closed, so that nobody waits in vain.
pub(super) struct Asker {
    cell: Arc<Cell>,
    thread: Option<Thread>,
}

#[derive(Default)]
struct Cell {
    answer: OnceLock<Answer>,
    /// Whom to wake, who have their answers too.
    others: OnceLock<Vec<Thread>>,
}

/// Both ends, for the thread that calls this.
pub(super) fn pair() -> (Asker, Waiting) {
    let cell = Arc::new(Cell::default());
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

/// Gives each its answer, and wakes one of them, who wakes the others: whoever is woken may run in the place of
/// whoever woke it, and everybody waits for the writer.
pub(super) fn give(askers: Vec<Asker>, answers: Vec<Answer>) {
    let mut askers = askers.into_iter().zip(answers);
    let Some((mut first, answer)) = askers.next() else {
        return;
    };
    let others = askers.filter_map(|(mut asker, answer)| {
        let _ = asker.cell.answer.set(answer);
        asker.thread.take()
    });
    // Each cell is filled here, and only here.
    let _ = first.cell.others.set(others.collect());
    let _ = first.cell.answer.set(answer);
    match first.thread.take() {
        Some(thread) => thread.unpark(),
        None => first.cell.wake_others(),
    }
}

impl Waiting {
    /// Waits for the answer, for as long as the work takes.
    pub(super) fn wait(self) -> Answer {
        loop {
            if let Some(answer) = self.cell.answer.get() {
                self.cell.wake_others();
                return answer.clone();
            }
            thread::park();
        }
    }
}

impl Cell {
    fn wake_others(&self) {
        self.others
            .get()
            .into_iter()
            .flatten()
            .for_each(Thread::unpark);
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = self.cell.answer.set(Err(AppendError::Closed));
            thread.unpark();
        }
    }
}
