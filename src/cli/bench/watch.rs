//! What the main thread does while a run is under way: it shows how far it is, counts the server's
//! threads, pauses the subscribers in the middle, and looks for a signal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::Failure;
use super::subscribers::Harvest;
use crate::cli::load::control::Control;
use crate::cli::load::process::Processes;
use crate::cli::load::publishers::{Extent, Published};
use crate::cli::progress::Progress;
use crate::client::Error;

/// How often it looks.
const TICK: Duration = Duration::from_millis(50);

/// One run, looked at from time to time.
pub(super) struct Watch<'a> {
    control: &'a Control,
    interrupted: &'a Arc<AtomicBool>,
    processes: Option<&'a Processes>,
    extent: Extent,
    began: Instant,
    progress: Progress,
    is_publishing: bool,
    pause: Pause,
    /// The most threads of the server seen.
    pub(super) threads_most: Option<u64>,
}

/// The pause in the middle.
#[derive(Debug, Clone, Copy)]
enum Pause {
    Planned(Duration),
    Until(Instant),
    Over,
}

impl<'a> Watch<'a> {
    /// Begins now; in the middle comes a pause, if one is given.
    pub(super) fn begin(
        control: &'a Control,
        interrupted: &'a Arc<AtomicBool>,
        processes: Option<&'a Processes>,
        extent: Extent,
        pause: Option<Duration>,
    ) -> Self {
        let length = match extent {
            Extent::Time(time) => u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
            Extent::Events(events) => events,
        };
        Watch {
            control,
            interrupted,
            processes,
            extent,
            began: Instant::now(),
            progress: Progress::new("publishing", length),
            is_publishing: true,
            pause: pause.map_or(Pause::Over, Pause::Planned),
            threads_most: processes.and_then(Processes::threads),
        }
    }

    /// Waits until all publishers are done, and gives what they did.
    pub(super) fn publishers(
        &mut self,
        accounts: &Receiver<Result<Published, Error>>,
    ) -> Result<Vec<Published>, Failure> {
        let mut done = Vec::new();
        loop {
            match accounts.recv_timeout(TICK) {
                Ok(account) => done.push(account?),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(done),
            }
            self.look()?;
        }
    }

    /// Waits until there were `goal` deliveries, or none for as long as `patience`; then ends the run, and
    /// gives what the subscribers got.
    pub(super) fn subscribers(
        &mut self,
        harvests: &Receiver<Harvest>,
        goal: u64,
        patience: Duration,
    ) -> Result<Harvest, Failure> {
        self.control.set_goal(goal);
        self.progress = Progress::new("delivering", goal);
        self.is_publishing = false;
        let mut all = Harvest::empty();
        let (mut deliveries, mut moved) = (0, Instant::now());
        loop {
            match harvests.recv_timeout(TICK) {
                Ok(harvest) => all.add(harvest),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(all),
            }
            self.look()?;
            let so_far = self.control.deliveries();
            if so_far > deliveries || matches!(self.pause, Pause::Until(_)) {
                (deliveries, moved) = (so_far, Instant::now());
            }
            if moved.elapsed() >= patience {
                self.control.end();
            }
        }
    }

    fn look(&mut self) -> Result<(), Failure> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(Failure::Failed("stopped by a signal".to_owned()));
        }
        let threads = self.processes.and_then(Processes::threads);
        self.threads_most = self.threads_most.max(threads);
        self.pause_in_the_middle();
        let deliveries = self.control.deliveries();
        self.progress
            .show(self.position(), format!("{deliveries} deliveries"));
        Ok(())
    }

    fn pause_in_the_middle(&mut self) {
        match self.pause {
            Pause::Planned(pause) if self.is_half_done() => {
                self.control.pause();
                self.pause = Pause::Until(Instant::now() + pause);
            }
            Pause::Until(end) if Instant::now() >= end => {
                self.control.resume();
                self.pause = Pause::Over;
            }
            _ => {}
        }
    }

    fn is_half_done(&self) -> bool {
        match self.extent {
            Extent::Time(time) => self.began.elapsed() >= time / 2,
            Extent::Events(events) => self.control.published() >= events / 2,
        }
    }

    fn position(&self) -> u64 {
        match self.extent {
            _ if !self.is_publishing => self.control.deliveries(),
            Extent::Time(_) => u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            Extent::Events(_) => self.control.published(),
        }
    }
}
