//! What the main thread does while rounds are played: it shows how far they are, and looks for a signal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::cli::Failure;
use crate::cli::progress::Progress;

/// All rounds, looked at from time to time.
pub(super) struct Monitor {
    interrupted: Arc<AtomicBool>,
    progress: Progress,
    done: Duration,
}

impl Monitor {
    /// Rounds that are planned to take so long together.
    pub(super) fn begin(interrupted: Arc<AtomicBool>, planned: Duration) -> Self {
        Monitor {
            interrupted,
            progress: Progress::new("comparing", milliseconds(planned)),
            done: Duration::ZERO,
        }
    }

    /// Ends everything when a signal has come.
    ///
    /// # Errors
    /// That it has.
    pub(super) fn heed_signals(&self) -> Result<(), Failure> {
        match self.interrupted.load(Ordering::Relaxed) {
            true => Err(Failure::Failed("stopped by a signal".to_owned())),
            false => Ok(()),
        }
    }

    /// Shows a round that has gone on for so long out of its planned time.
    ///
    /// # Errors
    /// When a signal has come.
    pub(super) fn look(
        &self,
        elapsed: Duration,
        planned: Duration,
        what: &str,
    ) -> Result<(), Failure> {
        self.heed_signals()?;
        let position = milliseconds(self.done + elapsed.min(planned));
        self.progress.show(position, what.to_owned());
        Ok(())
    }

    /// A round of that planned time has ended.
    pub(super) fn finish_round(&mut self, planned: Duration) {
        self.done += planned;
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
