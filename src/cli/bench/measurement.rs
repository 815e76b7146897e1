//! A run from its first connection to its report.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size;

use super::reckoning::{Connected, Outcome, Run, all_events};
use super::report::Report;
use super::subscribers::{self, Assignment, Polling};
use super::target::{Place, Target};
use super::watch::Watch;
use super::{Args, Failure};
use crate::cli::load::control::{Control, EndOnDrop};
use crate::cli::load::mark::Marks;
use crate::cli::load::process::Processes;
use crate::cli::load::publishers::{Publishers, Work};
use crate::cli::load::subscriber::PollRequest;
use crate::cli::progress::Progress;
use crate::client::Transport;
use crate::client::bare::Begun;

/// How long a long poll asks to be held, in seconds.
const LONG_POLL: &str = "wait=30";
/// The most events that an answer to a poll may have: as many as a server gives.
const POLL_LIMIT: u32 = 1000;
/// Bytes that the system receives for a subscriber that does not read: few, so that it falls behind soon.
const SLOW_BUFFER: usize = 32 * 1024;

/// A run that has not begun.
pub(super) struct Measurement<'a> {
    args: &'a Args,
    target: &'a Target,
    interrupted: &'a Arc<AtomicBool>,
    work: Work,
    marks: Marks,
}

impl<'a> Measurement<'a> {
    /// What `args` ask for.
    pub(super) fn of(args: &'a Args, target: &'a Target, interrupted: &'a Arc<AtomicBool>) -> Self {
        let random = RandomState::new().build_hasher().finish();
        Measurement {
            args,
            target,
            interrupted,
            work: args.work(target),
            // Half of the random number is random enough for those who share a channel.
            marks: Marks::of_run((random >> 32) as u32),
        }
    }

    /// Connects, publishes and counts. Blocks until all has arrived, or nothing more does.
    pub(super) fn take(self) -> Result<Report, Failure> {
        let publish = &self.target.publish;
        // First, so that the memory before the subscribers is that with the publishers.
        let publishers = Publishers::connect(&publish.client, &self.work, &self.marks)
            .map_err(|error| publish.failure(error))?;
        let (subscribers, connected) = self.connect()?;
        let outcome = self.carry_out(publishers, subscribers)?;
        let run = Run {
            args: self.args,
            work: &self.work,
            processes: self.target.processes.as_ref(),
            connected: &connected,
            outcome: &outcome,
        };
        Ok(run.report())
    }

    fn connect(&self) -> Result<(Vec<Begun>, Connected), Failure> {
        let processes = self.target.processes.as_ref();
        let memory_before = processes.and_then(Processes::memory);
        let began = Instant::now();
        let subscribers = self.begin(self.args.subscribers)?;
        let per_second = self.args.subscribers as f64 / began.elapsed().as_secs_f64();
        let memory = processes.and_then(Processes::memory);
        if self.args.pause.is_some() {
            subscribers.iter().for_each(receive_little);
        }
        let stalled = self.begin(self.args.stalled)?;
        stalled.iter().for_each(receive_little);
        let connected = Connected {
            stalled,
            per_second,
            memory_before,
            memory,
            threads: processes.and_then(Processes::threads),
        };
        Ok((subscribers, connected))
    }

    /// Connects so many subscribers, one after another.
    fn begin(&self, count: usize) -> Result<Vec<Begun>, Failure> {
        let subscribe = &self.target.subscribe;
        let progress = Progress::new("connecting", count as u64);
        let mut begun = Vec::with_capacity(count);
        while begun.len() < count {
            if self.interrupted.load(Ordering::Relaxed) {
                return Err(Failure::Failed("stopped by a signal".to_owned()));
            }
            let next = subscribe.client.begin(&subscribe.channel, self.args.way);
            begun.push(next.map_err(|error| subscribe.failure(error))?);
            progress.show(begun.len() as u64, begun.len().to_string());
        }
        Ok(begun)
    }

    /// Lets everybody read and publish, until all has arrived.
    fn carry_out(
        &self,
        publishers: Publishers,
        subscribers: Vec<Begun>,
    ) -> Result<Outcome, Failure> {
        let control = Arc::new(Control::begin());
        let _end = EndOnDrop(&control);
        let (processes, args) = (self.target.processes.as_ref(), self.args);
        let cpu_before = processes.and_then(Processes::cpu);
        let assignment = self.assignment(&control)?;
        let harvests = subscribers::read(subscribers, args.threads, &assignment)?;
        let accounts = publishers.publish(&control)?;
        let extent = self.work.extent;
        let mut watch = Watch::begin(&control, self.interrupted, processes, extent, args.pause);
        let published = watch.publishers(&accounts)?;
        let goal = all_events(&published).saturating_mul(args.subscribers as u64);
        let harvest = watch.subscribers(&harvests, goal, self.patience())?;
        let cpu = processes.and_then(Processes::cpu);
        Ok(Outcome {
            published,
            harvest,
            cpu: cpu
                .zip(cpu_before)
                .map(|(after, before)| after.saturating_sub(before)),
            threads_most: watch.threads_most,
        })
    }

    fn assignment(&self, control: &Arc<Control>) -> Result<Assignment, Failure> {
        let Place {
            client, channel, ..
        } = &self.target.subscribe;
        let limit = [("limit", POLL_LIMIT.to_string())];
        let request = match self.args.way {
            Transport::Poll => Some(client.get(channel, &limit, Vec::new())?),
            Transport::LongPoll => {
                let wait = vec![("Prefer", LONG_POLL.to_owned())];
                Some(client.get(channel, &limit, wait)?)
            }
            _ => None,
        };
        Ok(Assignment {
            control: Arc::clone(control),
            marks: self.marks.clone(),
            publishers: self.work.publishers.into(),
            polling: Polling {
                request: request.as_deref().map(PollRequest::after_last_event_id),
                interval: self.args.interval,
                transport: self.args.way,
            },
        })
    }

    /// Between two polls nothing can come.
    fn patience(&self) -> Duration {
        match self.args.way {
            Transport::Poll => self.args.patience + self.args.interval,
            _ => self.args.patience,
        }
    }
}

/// Makes the system receive little for one that will not read.
fn receive_little(begun: &Begun) {
    // Where the system refuses, it falls behind later.
    let _ = set_socket_recv_buffer_size(&begun.socket, SLOW_BUFFER);
}
