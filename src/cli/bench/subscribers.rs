//! All subscribers: connected one after another, then served by a few threads, each of which waits for
//! any of its share to have something to read.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::Failure;
use crate::cli::load::control::Control;
use crate::cli::load::delays::Delays;
use crate::cli::load::ledger::{Entry, Ledger, Tally};
use crate::cli::load::mark::Marks;
use crate::cli::load::readiness::Readiness;
use crate::cli::load::subscriber::{Buffers, Heard, PollRequest, Subscriber};
use crate::client::bare::Begun;
use crate::client::{Error, Transport};

/// The longest wait for something to read, after which a thread looks whether the run is over.
const TICK: Duration = Duration::from_millis(20);
/// How long it is read on when everything has arrived, so that what comes twice is seen.
const LINGER: Duration = Duration::from_millis(250);
/// How long an empty answer to a long poll is taken as a word to wait: a server that stops gives such.
const EMPTY_ANSWER: Duration = Duration::from_secs(1);

/// What the threads need to know.
#[derive(Clone)]
pub(super) struct Assignment {
    /// What they share with the rest of the run.
    pub(super) control: Arc<Control>,
    /// By what they know the run's events.
    pub(super) marks: Marks,
    /// How many publishers there are.
    pub(super) publishers: usize,
    /// How polls are made, where the way is one of them.
    pub(super) polling: Polling,
}

/// How polls are made.
#[derive(Debug, Clone)]
pub(super) struct Polling {
    /// The request; nothing on the other ways.
    pub(super) request: Option<PollRequest>,
    /// The pause between an answer and the next request.
    pub(super) interval: Duration,
    /// The way: long polls have no such pause.
    pub(super) transport: Transport,
}

/// What a thread's subscribers got, or those of several together.
#[derive(Debug)]
pub(super) struct Harvest {
    /// How many events.
    pub(super) tally: Tally,
    /// When, after they were sent.
    pub(super) delays: Delays,
    /// When the last one came, in nanoseconds since the beginning.
    pub(super) last: u64,
    /// Gaps that the server has told.
    pub(super) gaps: u64,
    /// Connections that have ended.
    pub(super) ended: u64,
    /// Why the first of them has.
    pub(super) why: Option<String>,
    /// The greatest share of its time that a thread was at work, 0 to 1.
    pub(super) busy: f64,
}

/// Shares the subscribers out among so many threads and lets them read. Each thread gives its harvest when
/// everything has arrived and when the run is over.
pub(super) fn read(
    begun: Vec<Begun>,
    threads: usize,
    assignment: &Assignment,
) -> Result<Receiver<Harvest>, Failure> {
    let (harvests, receiver) = channel();
    let share = begun.len().div_ceil(threads).max(1);
    let mut begun = begun.into_iter().peekable();
    while begun.peek().is_some() {
        let reader = Reader::new(begun.by_ref().take(share), share, assignment.clone())
            .map_err(|error| cannot("watch the subscribers", &error))?;
        let harvests = harvests.clone();
        thread::Builder::new()
            .name("bench-reader".to_owned())
            // Whoever listens for the harvest may have failed meanwhile.
            .spawn(move || drop(harvests.send(reader.read())))
            .map_err(|error| cannot("start a thread", &error))?;
    }
    Ok(receiver)
}

fn cannot(what: &str, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("cannot {what}: {error}"))
}

/// One thread and its share of the subscribers.
struct Reader {
    assignment: Assignment,
    /// By number; nothing where a connection has ended.
    subscribers: Vec<Option<Subscriber>>,
    readiness: Readiness,
    /// Who asks next, and when; only on polls.
    due: VecDeque<(Instant, usize)>,
    buffers: Buffers,
    ledger: Ledger,
    harvest: Harvest,
}

impl Reader {
    fn new(
        begun: impl Iterator<Item = Begun>,
        share: usize,
        assignment: Assignment,
    ) -> std::io::Result<Self> {
        let mut reader = Reader {
            subscribers: Vec::with_capacity(share),
            readiness: Readiness::new()?,
            due: VecDeque::new(),
            buffers: Buffers::new(),
            ledger: Ledger::new(share, assignment.publishers),
            harvest: Harvest::empty(),
            assignment,
        };
        for (number, begun) in begun.enumerate() {
            let subscriber = Subscriber::new(begun)?;
            reader.readiness.watch(&subscriber.socket, number)?;
            reader.subscribers.push(Some(subscriber));
        }
        reader.plan_first_polls();
        Ok(reader)
    }

    /// Spreads the first polls over the interval, as those of clients that came at any time are.
    fn plan_first_polls(&mut self) {
        let polling = &self.assignment.polling;
        if polling.request.is_none() {
            return;
        }
        let spread = match polling.transport {
            Transport::Poll => polling.interval,
            _ => Duration::ZERO,
        };
        let count = self.subscribers.len() as f64;
        let now = Instant::now();
        let planned = (0..self.subscribers.len())
            .map(|number| (now + spread.mul_f64(number as f64 / count), number));
        self.due.extend(planned);
    }

    fn read(mut self) -> Harvest {
        let control = Arc::clone(&self.assignment.control);
        let began = Instant::now();
        let (mut idle, mut complete_since) = (Duration::ZERO, None);
        let mut ready = Vec::new();
        while self.has_subscribers() {
            if control.has_reached_goal() {
                let since = *complete_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= LINGER {
                    break;
                }
            }
            self.ask_who_is_due();
            let rests_since = Instant::now();
            if !control.wait_while_paused() || !self.wait(&mut ready) {
                break;
            }
            idle += rests_since.elapsed();
            self.serve(ready.drain(..));
        }
        self.harvest.busy = 1.0 - idle.div_duration_f64(began.elapsed()).min(1.0);
        self.harvest.tally = self.ledger.tally();
        self.harvest
    }

    fn has_subscribers(&self) -> bool {
        self.harvest.ended < self.subscribers.len() as u64
    }

    /// Waits for something to read, or to ask; says whether that worked.
    fn wait(&mut self, ready: &mut Vec<usize>) -> bool {
        let next = self.due.front().map(|(due, _)| *due);
        let wait = next.map_or(TICK, |due| {
            due.saturating_duration_since(Instant::now()).min(TICK)
        });
        let waited = self.readiness.wait(wait, ready);
        if let Err(error) = &waited {
            self.harvest.why.get_or_insert(error.to_string());
        }
        waited.is_ok()
    }

    fn serve(&mut self, ready: impl Iterator<Item = usize>) {
        let before = self.ledger.tally().deliveries;
        for number in ready {
            if let Err(error) = self.hear(number) {
                self.bury(number, &error);
            }
        }
        let deliveries = self.ledger.tally().deliveries - before;
        self.assignment.control.add_deliveries(deliveries);
    }

    fn hear(&mut self, number: usize) -> Result<(), Error> {
        let Some(subscriber) = self.subscribers.get_mut(number).and_then(Option::as_mut) else {
            return Ok(());
        };
        let heard = subscriber.hear(&mut self.buffers);
        let text = self.buffers.text.as_slice();
        let now = self.assignment.control.now();
        let (ledger, harvest) = (&mut self.ledger, &mut self.harvest);
        let mut passed_over = false;
        let rest = self.assignment.marks.find(text, |mark| {
            let entry = ledger.enter(number, mark.publisher.into(), mark.number);
            if entry.is_some_and(|entry| entry != Entry::Duplicate) {
                harvest.delays.add(now.saturating_sub(mark.sent));
                harvest.last = now;
            }
            passed_over |= entry == Some(Entry::Early);
        });
        if passed_over && tells_gap(text) {
            harvest.gaps += 1;
        }
        subscriber.keep(text.get(rest..).unwrap_or_default());
        if let Heard::Answer { more, is_empty } = heard? {
            self.plan_poll(number, more, is_empty);
        }
        Ok(())
    }

    /// Plans the poll that follows an answer.
    fn plan_poll(&mut self, number: usize, more: bool, is_empty: bool) {
        let polling = &self.assignment.polling;
        let pause = match polling.transport {
            _ if more => Duration::ZERO,
            Transport::Poll => polling.interval,
            _ if is_empty => EMPTY_ANSWER,
            _ => Duration::ZERO,
        };
        let poll = (Instant::now() + pause, number);
        match pause.is_zero() {
            true => self.due.push_front(poll),
            false => self.due.push_back(poll),
        }
    }

    fn ask_who_is_due(&mut self) {
        let now = Instant::now();
        while let Some((_, number)) = self.due.pop_front_if(|(due, _)| *due <= now) {
            if let Err(error) = self.ask(number) {
                self.bury(number, &error);
            }
        }
    }

    fn ask(&mut self, number: usize) -> Result<(), Error> {
        let subscriber = self.subscribers.get_mut(number).and_then(Option::as_mut);
        match (subscriber, &self.assignment.polling.request) {
            (Some(subscriber), Some(request)) => subscriber.ask(request),
            _ => Ok(()),
        }
    }

    fn bury(&mut self, number: usize, error: &Error) {
        if let Some(place) = self.subscribers.get_mut(number) {
            *place = None;
            self.harvest.ended += 1;
            self.harvest.why.get_or_insert_with(|| error.to_string());
        }
    }
}

/// Whether the server says that it could not bring everything, on whatever way.
fn tells_gap(text: &[u8]) -> bool {
    memchr::memmem::find(text, b"\"gap\"").is_some()
}

impl Harvest {
    /// Nothing yet.
    pub(super) fn empty() -> Self {
        Harvest {
            tally: Tally::default(),
            delays: Delays::new(),
            last: 0,
            gaps: 0,
            ended: 0,
            why: None,
            busy: 0.0,
        }
    }

    /// Adds what another thread has.
    pub(super) fn add(&mut self, other: Harvest) {
        self.tally += other.tally;
        self.delays.merge(&other.delays);
        self.last = self.last.max(other.last);
        self.gaps += other.gaps;
        self.ended += other.ended;
        self.busy = self.busy.max(other.busy);
        let why = self.why.take();
        self.why = why.or(other.why);
    }
}
