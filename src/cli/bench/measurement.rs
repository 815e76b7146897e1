//! A run from its first connection to its report.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size;

use super::control::{Control, EndOnDrop, between};
use super::mark::Marks;
use super::process::Process;
use super::progress::Progress;
use super::publishers::{Published, Publishers, Work};
use super::report::{Cost, Delay, Report, microseconds};
use super::subscribers::{self, Assignment, Harvest, Polling};
use super::target::Target;
use super::watch::Watch;
use super::{Args, Failure};
use crate::client::Transport;
use crate::client::bare::Begun;

/// How long a long poll asks to be held, in seconds.
const LONG_POLL: &str = "wait=30";
/// The most events that an answer to a poll may have: as many as a server gives.
const POLL_LIMIT: u32 = 1000;
/// What a subscriber that does not read lets the system receive for it: so little that it soon owes nothing
/// to that buffer but to its slowness.
const SLOW_BUFFER: usize = 32 * 1024;
/// Publishing later than this share of the time is a rate that was not kept.
const TOO_LATE: f64 = 0.05;
/// A reading thread that is busier than this may be what was measured.
const TOO_BUSY: f64 = 0.9;

/// A run that has not begun.
pub(super) struct Measurement<'a> {
    args: &'a Args,
    target: &'a Target,
    interrupted: &'a Arc<AtomicBool>,
    work: Work,
    marks: Marks,
}

/// What is known when everybody is connected.
struct Connected {
    subscribers: Vec<Begun>,
    /// Kept, and never read.
    stalled: Vec<Begun>,
    per_second: f64,
    memory_before: Option<u64>,
    memory: Option<u64>,
    threads: Option<u64>,
}

/// What came out.
struct Outcome {
    published: Vec<Published>,
    harvest: Harvest,
    cpu: Option<Duration>,
    threads_most: Option<u64>,
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
        let client = &self.target.client;
        // First, so that the memory before the subscribers is that with the publishers.
        let publishers = Publishers::connect(client, &self.work, &self.marks)
            .map_err(|error| self.unreachable(error))?;
        let mut connected = self.connect()?;
        let subscribers = std::mem::take(&mut connected.subscribers);
        let outcome = self.carry_out(publishers, subscribers)?;
        Ok(self.report(&connected, outcome))
    }

    fn connect(&self) -> Result<Connected, Failure> {
        let process = self.target.process;
        let memory_before = process.and_then(Process::memory);
        let began = Instant::now();
        let subscribers = self.begin(self.args.subscribers)?;
        let per_second = self.args.subscribers as f64 / began.elapsed().as_secs_f64();
        let memory = process.and_then(Process::memory);
        if self.args.pause.is_some() {
            subscribers.iter().for_each(receive_little);
        }
        let stalled = self.begin(self.args.stalled)?;
        stalled.iter().for_each(receive_little);
        Ok(Connected {
            subscribers,
            stalled,
            per_second,
            memory_before,
            memory,
            threads: process.and_then(Process::threads),
        })
    }

    /// Connects so many subscribers, one after another.
    fn begin(&self, count: usize) -> Result<Vec<Begun>, Failure> {
        let progress = Progress::new("connecting", count as u64);
        let mut begun = Vec::with_capacity(count);
        while begun.len() < count {
            if self.interrupted.load(Ordering::Relaxed) {
                return Err(Failure::Failed("stopped by a signal".to_owned()));
            }
            let next = self
                .target
                .client
                .begin(&self.target.channel, self.args.way);
            begun.push(next.map_err(|error| self.unreachable(error))?);
            progress.show(begun.len() as u64, begun.len().to_string());
        }
        Ok(begun)
    }

    fn unreachable(&self, error: crate::client::Error) -> Failure {
        match Failure::from(error) {
            Failure::Unavailable(why) => {
                let server = &self.target.client;
                Failure::Unavailable(format!("cannot reach {server:?}: {why}"))
            }
            failure => failure,
        }
    }

    /// Lets everybody read and publish, until all has arrived.
    fn carry_out(
        &self,
        publishers: Publishers,
        subscribers: Vec<Begun>,
    ) -> Result<Outcome, Failure> {
        let control = Arc::new(Control::begin());
        let _end = EndOnDrop(&control);
        let (process, args) = (self.target.process, self.args);
        let cpu_before = process.and_then(Process::cpu);
        let assignment = self.assignment(&control)?;
        let harvests = subscribers::read(subscribers, args.threads, &assignment)?;
        let accounts = publishers.publish(&control)?;
        let extent = self.work.extent;
        let mut watch = Watch::begin(&control, self.interrupted, process, extent, args.pause);
        let published = watch.publishers(&accounts)?;
        control.set_goal(events(&published) * args.subscribers as u64);
        let harvest = watch.subscribers(&harvests, self.patience())?;
        let cpu = process.and_then(Process::cpu);
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
        let (client, channel) = (&self.target.client, &self.target.channel);
        let limit = [("limit", POLL_LIMIT.to_string())];
        let request = match self.args.way {
            Transport::Poll => client.get(channel, &limit, Vec::new())?,
            Transport::LongPoll => {
                let wait = vec![("Prefer", LONG_POLL.to_owned())];
                client.get(channel, &limit, wait)?
            }
            _ => Vec::new(),
        };
        Ok(Assignment {
            control: Arc::clone(control),
            marks: self.marks.clone(),
            publishers: self.work.publishers.into(),
            polling: Polling {
                // The empty line comes behind the cursor.
                request: request.strip_suffix(b"\r\n").unwrap_or(&request).to_vec(),
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

    fn report(&self, connected: &Connected, outcome: Outcome) -> Report {
        let (args, harvest) = (self.args, &outcome.harvest);
        let published = &outcome.published;
        let events = events(published);
        let first = published
            .iter()
            .map(|account| account.first)
            .min()
            .unwrap_or(0);
        let acknowledged = published
            .iter()
            .map(|account| account.last)
            .max()
            .unwrap_or(0);
        let late = published
            .iter()
            .map(|account| account.late)
            .max()
            .unwrap_or_default();
        let publishing = between(first, acknowledged);
        let delivering = between(first, harvest.last);
        let deliveries = harvest.tally.deliveries;
        Report {
            way: args.way.name(),
            subscribers: args.subscribers,
            stalled: connected.stalled.len(),
            publishers: args.publishers,
            batch: args.batch,
            payload_bytes: args.size,
            rate_wanted: self.work.rate,
            events,
            publishing_seconds: publishing.as_secs_f64(),
            events_per_second: per_second(events, publishing),
            deliveries,
            seconds: delivering.as_secs_f64(),
            deliveries_per_second: per_second(deliveries, delivering),
            delay_us: delay(harvest),
            connections_per_second: connected.per_second,
            server: self
                .target
                .process
                .map(|process| self.cost(process, connected, &outcome)),
            losses: (events * args.subscribers as u64).saturating_sub(deliveries),
            duplicates: harvest.tally.duplicates,
            out_of_order: harvest.tally.out_of_order,
            gaps_told: harvest.gaps,
            ended: harvest.ended,
            publishers_late_us: microseconds(late),
            readers_busy: harvest.busy,
            warnings: self.warnings(harvest, late, publishing),
        }
    }

    fn cost(&self, process: Process, connected: &Connected, outcome: &Outcome) -> Cost {
        let deliveries = outcome.harvest.tally.deliveries.max(1) as f64;
        let memory = connected.memory.zip(connected.memory_before);
        let growth = memory.map(|(after, before)| after.saturating_sub(before) as f64);
        Cost {
            pid: process.pid,
            cpu_seconds: outcome.cpu.map(|cpu| cpu.as_secs_f64()),
            cpu_resolution_seconds: Process::cpu_resolution().as_secs_f64(),
            cpu_us_per_delivery: outcome.cpu.map(|cpu| microseconds(cpu) / deliveries),
            memory_before_bytes: connected.memory_before,
            memory_connected_bytes: connected.memory,
            memory_bytes_per_connection: growth.map(|bytes| bytes / self.args.subscribers as f64),
            threads_before: connected.threads,
            threads_most: outcome.threads_most,
        }
    }

    fn warnings(&self, harvest: &Harvest, late: Duration, publishing: Duration) -> Vec<String> {
        let mut warnings = Vec::new();
        if harvest.ended > 0 {
            let why = harvest.why.as_deref().unwrap_or_default();
            warnings.push(format!(
                "{} subscribers lost their connection, the first because: {why}",
                harvest.ended
            ));
        }
        if harvest.gaps > 0 {
            warnings.push(format!(
                "the server told {} gaps: its history was too short for those who fell behind",
                harvest.gaps
            ));
        }
        let bound = publishing.mul_f64(TOO_LATE).max(Duration::from_millis(100));
        if self.work.rate.is_some() && late > bound {
            warnings.push(format!(
                "the rate asked for was not kept: events were sent up to {} ms late, because the server \
                 acknowledged late or this machine is too busy; try more --publishers or a lower --rate",
                late.as_millis()
            ));
        }
        if harvest.busy > TOO_BUSY {
            warnings.push(
                "the reading threads of bench were busy nearly all the time, so this may be their speed \
                 and not the server's; try more --threads"
                    .to_owned(),
            );
        }
        warnings
    }
}

/// Keeps the system from receiving much for one that does not read, so that it falls behind soon.
fn receive_little(begun: &Begun) {
    // Where the system refuses, it falls behind later.
    let _ = set_socket_recv_buffer_size(&begun.socket, SLOW_BUFFER);
}

fn events(published: &[Published]) -> u64 {
    published
        .iter()
        .map(|account| u64::from(account.events))
        .sum()
}

fn per_second(count: u64, time: Duration) -> f64 {
    match time.is_zero() {
        true => 0.0,
        false => count as f64 / time.as_secs_f64(),
    }
}

fn delay(harvest: &Harvest) -> Option<Delay> {
    let quantile = |share| Some(harvest.delays.quantile(share)? as f64 / 1e3);
    Some(Delay {
        p50: quantile(0.5)?,
        p90: quantile(0.9)?,
        p99: quantile(0.99)?,
        max: harvest.delays.greatest() as f64 / 1e3,
    })
}
