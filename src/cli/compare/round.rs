//! One round: a server of its own, all clients on one way, the events of one scenario, and what came of it.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::audience::Audience;
use super::figures::Row;
use super::monitor::Monitor;
use super::plan::{Plan, Scenario};
use super::reader::Received;
use super::units::rate;
use super::way::Way;
use crate::cli::Failure;
use crate::cli::load::control::{Control, EndOnDrop};
use crate::cli::load::mark::Marks;
use crate::cli::load::own_journal::OwnJournal;
use crate::cli::load::own_server::OwnServer;
use crate::cli::load::publishers::{Extent, Publishers, Work};
use crate::cli::load::room::start_own;
use crate::cli::load::thread_times::ThreadTimes;
use crate::client::{Client, Error};

/// The number in the marks of the events that are counted.
const COUNTED: u32 = 1;
/// The channel of all rounds.
const CHANNEL: &str = "compare";
/// Connections that the server is given beyond those of the clients.
const SPARE: usize = 16;
/// How long an event may take beyond what its way makes it take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked how far the round is.
const TICK: Duration = Duration::from_millis(50);

/// A round that has not begun.
#[derive(Clone, Copy)]
pub(super) struct Round<'a> {
    /// What all rounds have in common.
    pub(super) plan: &'a Plan,
    /// How often events come.
    pub(super) scenario: Scenario,
    /// By which way.
    pub(super) way: Way,
}

impl Round<'_> {
    /// How long it is to take: what comes by polls comes half an interval late.
    pub(super) fn planned(&self) -> Duration {
        self.scenario.length() + self.way.interval().unwrap_or_default() / 2
    }

    /// Plays it. Blocks until every client has every event, at most until a deadline.
    ///
    /// # Errors
    /// What keeps a client from receiving everything, once and in order; a signal.
    pub(super) fn play(&self, monitor: &Monitor) -> Result<Row, Failure> {
        // A signal that has ended the server too, as one from the keyboard does, comes before what that has broken.
        self.play_to_the_end(monitor)
            .map_err(|failure| monitor.heed_signals().err().unwrap_or(failure))
    }

    fn play_to_the_end(&self, monitor: &Monitor) -> Result<Row, Failure> {
        let clients = self.plan.clients;
        // A new one for each, so that no round finds what another has left.
        let server = start_own(clients.saturating_add(SPARE), OwnJournal::Memory)?;
        let client = Client::new(&format!("http://{}", server.address))?;
        let marks = Marks::of_run(COUNTED);
        let mut audience = Audience::open(&client, CHANNEL, self.way, clients, monitor)?;
        // Last: on a new connection a request has to come soon (timeouts.head).
        let mut publishers = Publishers::connect(&client, &self.work(), &marks)?;
        audience.warm_up(&mut publishers, monitor)?;
        self.carry_out(monitor, &server, publishers, audience, &marks)
    }

    fn work(&self) -> Work {
        Work {
            channel: CHANNEL.to_owned(),
            publishers: 1,
            size: self.plan.payload,
            batch: 1,
            rate: Some(self.scenario.rate),
            extent: Extent::Events(self.scenario.events.into()),
            // What a server's thread has computed is lost with its connection.
            renew_after: None,
        }
    }

    fn carry_out(
        &self,
        monitor: &Monitor,
        server: &OwnServer,
        publishers: Publishers,
        audience: Audience,
        marks: &Marks,
    ) -> Result<Row, Failure> {
        let control = Arc::new(Control::begin());
        let _end = EndOnDrop(&control);
        let run = Run {
            round: self,
            monitor,
            control: &control,
            began: Instant::now(),
        };
        let before = ThreadTimes::of(server.pid());
        let results = audience.listen(self.scenario.events, marks, &control)?;
        run.wait_for_the_first_event()?;
        let accounts = publishers.publish(&control)?;
        let published = run.result_of(&accounts)?;
        let received = run.result_of(&results)?;
        // While clients and publisher are connected: what a thread has computed goes with it.
        let after = ThreadTimes::of(server.pid());
        let cpu = after
            .zip(before)
            .map(|(after, before)| after.since(&before));
        self.check(&received)?;
        Ok(Row::new(self, &received, &published, cpu))
    }

    /// What is compared must be the same for all: every event, once and in order.
    fn check(&self, received: &Received) -> Result<(), Failure> {
        let tally = received.tally;
        if tally.deliveries == self.deliveries() && tally.duplicates + tally.out_of_order == 0 {
            return Ok(());
        }
        Err(Failure::Failed(format!(
            "{self}: of {} deliveries {} came, {} came twice, {} out of order",
            self.deliveries(),
            tally.deliveries,
            tally.duplicates,
            tally.out_of_order
        )))
    }

    /// Every event to every client.
    pub(super) fn deliveries(&self) -> u64 {
        u64::from(self.scenario.events).saturating_mul(self.plan.clients as u64)
    }
}

impl fmt::Display for Round<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.way, rate(self.scenario.rate))
    }
}

/// A round that is under way, as the main thread sees it.
struct Run<'a> {
    round: &'a Round<'a>,
    monitor: &'a Monitor,
    control: &'a Control,
    began: Instant,
}

impl Run<'_> {
    /// The first event comes one period after the beginning, as every other comes one after the last.
    fn wait_for_the_first_event(&self) -> Result<(), Failure> {
        let due = self.began + self.round.scenario.period();
        while Instant::now() < due && self.control.wait_until(due.min(Instant::now() + TICK)) {
            self.look()?;
        }
        Ok(())
    }

    /// Waits for what a thread finds, at most until the round must be over.
    fn result_of<T>(&self, results: &Receiver<Result<T, Error>>) -> Result<T, Failure> {
        loop {
            match results.recv_timeout(TICK) {
                Ok(result) => return result.map_err(|error| self.broken(&error.to_string())),
                Err(RecvTimeoutError::Timeout) => self.look()?,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.broken("a thread of this program has ended"));
                }
            }
        }
    }

    fn look(&self) -> Result<(), Failure> {
        let (elapsed, round) = (self.began.elapsed(), self.round);
        self.monitor
            .look(elapsed, round.planned(), &round.to_string())?;
        let owed = round.way.interval().unwrap_or_default() + PATIENCE;
        if elapsed <= round.scenario.length() + owed {
            return Ok(());
        }
        let (came, all) = (self.control.deliveries(), round.deliveries());
        let seconds = owed.as_secs();
        Err(self.broken(&format!(
            "{came} of {all} deliveries came within {seconds} s of the last event"
        )))
    }

    /// Why this round cannot go on.
    fn broken(&self, why: &str) -> Failure {
        Failure::Failed(format!("{}: {why}", self.round))
    }
}
