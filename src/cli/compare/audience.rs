//! The clients of one round: connected one after another, then served by one thread that reads for whoever has
//! something to read, and asks for whoever is to ask.

use std::collections::VecDeque;
use std::io;
use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::monitor::Monitor;
use super::way::Way;
use crate::cli::Failure;
use crate::cli::load::control::Control;
use crate::cli::load::delays::Delays;
use crate::cli::load::ledger::{Entry, Ledger, Tally};
use crate::cli::load::mark::Marks;
use crate::cli::load::readiness::Readiness;
use crate::cli::load::subscriber::{Buffers, Heard, PollRequest, Subscriber};
use crate::client::bare::Traffic;
use crate::client::{Client, Error};

/// How long a stream may take to say that it has begun.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest wait for something to read, after which it is looked whether the round is over.
const TICK: Duration = Duration::from_millis(20);
/// How long it is read on when everything has arrived, so that what comes twice is seen.
const LINGER: Duration = Duration::from_millis(100);

/// Clients on which events may come from now on.
pub(super) struct Audience {
    way: Way,
    request: Option<PollRequest>,
    clients: Vec<Listener>,
}

/// One client.
struct Listener {
    subscriber: Subscriber,
    exchanges: Exchanges,
    /// What it took until it had its place in the stream of events.
    opening: ByteCounts,
    /// Events that came.
    events: u32,
}

/// How much went over sockets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ByteCounts {
    /// All bytes.
    pub(super) traffic: Traffic,
    /// Those of them that were received as text, without heads, chunk lines and frame headers.
    pub(super) content: u64,
}

/// Requests, and what was answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Exchanges {
    /// Requests that were sent, the opening ones included.
    pub(super) requests: u64,
    /// Answers that came, or began to where they do not end.
    pub(super) answers: u64,
    /// Answers without an event to requests that were to bring some. The first answer of a client brings its place
    /// and is none of these.
    pub(super) empty: u64,
}

/// What all clients of a round got, and what that took.
pub(super) struct Received {
    /// How many events.
    pub(super) tally: Tally,
    /// When, after they were sent.
    pub(super) delays: Delays,
    /// How often it was asked.
    pub(super) exchanges: Exchanges,
    /// What went over all sockets.
    pub(super) bytes: ByteCounts,
    /// The part of it that went until all clients had their places.
    pub(super) opening: ByteCounts,
    /// The share of its time that the reading thread was at work, 0 to 1.
    pub(super) busy: f64,
    /// They stay connected as long as this is kept, and so do the server's threads that serve them.
    clients: Vec<Listener>,
}

impl Audience {
    /// Connects so many clients. Blocks until each has its place in the stream of events.
    ///
    /// # Errors
    /// What keeps a client from it, and a signal.
    pub(super) fn open(
        client: &Client,
        channel: &str,
        way: Way,
        count: usize,
        monitor: &Monitor,
    ) -> Result<Self, Failure> {
        let request = way.request(client, channel)?;
        let mut buffers = Buffers::new();
        let mut clients = Vec::with_capacity(count);
        while clients.len() < count {
            monitor.heed_signals()?;
            let listener = Listener::open(client, channel, way, &mut buffers)
                .map_err(|error| cannot(&format!("connect a client by {way}"), &error))?;
            clients.push(listener);
        }
        Ok(Audience {
            way,
            request,
            clients,
        })
    }

    /// Lets a thread read and ask until every client has so many events. It gives what came of it, or why a client
    /// can go on no more; then, and when the round is over, it ends.
    pub(super) fn listen(
        self,
        events: u32,
        marks: &Marks,
        control: &Arc<Control>,
    ) -> Result<Receiver<Result<Received, Error>>, Failure> {
        let reader = Reader::new(self, events, marks.clone(), Arc::clone(control))
            .map_err(|error| cannot("watch the clients", &error))?;
        let (results, receiver) = channel();
        thread::Builder::new()
            .name("compare-reader".to_owned())
            // Whoever waits for it may have failed meanwhile.
            .spawn(move || drop(results.send(reader.read())))
            .map_err(|error| cannot("start a thread", &error))?;
        Ok(receiver)
    }
}

fn cannot(what: &str, error: &dyn std::error::Error) -> Failure {
    Failure::Failed(format!("cannot {what}: {error}"))
}

impl Listener {
    fn open(
        client: &Client,
        channel: &str,
        way: Way,
        buffers: &mut Buffers,
    ) -> Result<Self, Error> {
        let begun = client.begin(channel, way.transport())?;
        let mut subscriber = Subscriber::new(begun).map_err(Error::Connection)?;
        if !matches!(way, Way::Poll(_) | Way::LongPoll) {
            hear_welcome(&mut subscriber, buffers)?;
        }
        Ok(Listener {
            opening: ByteCounts::of(&subscriber),
            subscriber,
            exchanges: Exchanges {
                requests: 1,
                answers: 1,
                empty: 0,
            },
            events: 0,
        })
    }
}

/// Reads up to the end of the message that a stream begins with.
fn hear_welcome(subscriber: &mut Subscriber, buffers: &mut Buffers) -> Result<(), Error> {
    let deadline = Instant::now() + WELCOME_TIMEOUT;
    let mut text = Vec::new();
    loop {
        subscriber.hear(buffers)?;
        text.extend_from_slice(&buffers.text);
        if is_welcome(&text) {
            return Ok(());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let left: Timespec = left.try_into().unwrap_or_default();
        match poll(
            &mut [PollFd::new(&subscriber.socket, PollFlags::IN)],
            Some(&left),
        ) {
            Ok(0) => return Err(Error::Silent(WELCOME_TIMEOUT)),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Error::Connection(error.into())),
        }
    }
}

fn is_welcome(text: &[u8]) -> bool {
    let says_so = memchr::memmem::find(text, b"\"op\":\"welcome\"").is_some();
    says_so && text.trim_ascii_end().ends_with(b"}")
}

/// The thread that reads and asks for all.
struct Reader {
    control: Arc<Control>,
    marks: Marks,
    events: u32,
    way: Way,
    request: Option<PollRequest>,
    clients: Vec<Listener>,
    /// Clients that do not have all events yet.
    waiting: usize,
    /// Requests whose answers have not come, or not ended.
    unanswered: usize,
    readiness: Readiness,
    /// Who asks next, and when. All pauses are equally long, so it is in order.
    due: VecDeque<(Instant, usize)>,
    buffers: Buffers,
    ledger: Ledger,
    delays: Delays,
}

impl Reader {
    fn new(
        audience: Audience,
        events: u32,
        marks: Marks,
        control: Arc<Control>,
    ) -> io::Result<Self> {
        let mut readiness = Readiness::new()?;
        for (number, client) in audience.clients.iter().enumerate() {
            readiness.watch(&client.subscriber.socket, number)?;
        }
        let count = audience.clients.len();
        Ok(Reader {
            due: first_requests(audience.way, audience.request.is_some(), count),
            control,
            marks,
            events,
            way: audience.way,
            request: audience.request,
            waiting: count,
            unanswered: 0,
            clients: audience.clients,
            readiness,
            buffers: Buffers::new(),
            ledger: Ledger::new(count, 1),
            delays: Delays::new(),
        })
    }

    fn read(mut self) -> Result<Received, Error> {
        let read = self.read_on();
        if read.is_err() {
            // Nobody needs to publish for a round that has failed.
            self.control.end();
        }
        read.map(|busy| self.received(busy))
    }

    /// Reads and asks; says how busy that was.
    fn read_on(&mut self) -> Result<f64, Error> {
        let began = Instant::now();
        let (mut idle, mut complete_since) = (Duration::ZERO, None);
        let mut ready = Vec::new();
        loop {
            if self.waiting == 0 && self.unanswered == 0 {
                let since = *complete_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= LINGER {
                    break;
                }
            }
            self.ask_who_is_due()?;
            let rests_since = Instant::now();
            if !self.control.wait_while_paused() {
                break;
            }
            self.readiness
                .wait(self.rest(), &mut ready)
                .map_err(Error::Connection)?;
            idle += rests_since.elapsed();
            for number in ready.drain(..) {
                self.hear(number)?;
            }
        }
        Ok(1.0 - idle.div_duration_f64(began.elapsed()).min(1.0))
    }

    fn rest(&self) -> Duration {
        self.due.front().map_or(TICK, |(due, _)| {
            due.saturating_duration_since(Instant::now()).min(TICK)
        })
    }

    fn ask_who_is_due(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        while let Some((_, number)) = self.due.pop_front_if(|(due, _)| *due <= now) {
            let client = self.clients.get_mut(number);
            if let (Some(client), Some(request)) = (client, &self.request) {
                client.exchanges.requests += 1;
                self.unanswered += 1;
                client.subscriber.ask(request)?;
            }
        }
        Ok(())
    }

    fn hear(&mut self, number: usize) -> Result<(), Error> {
        let Some(client) = self.clients.get_mut(number) else {
            return Ok(());
        };
        let heard = client.subscriber.hear(&mut self.buffers)?;
        let text = self.buffers.text.as_slice();
        let now = self.control.now();
        let (ledger, delays) = (&mut self.ledger, &mut self.delays);
        let mut came = 0;
        let rest = self.marks.find(text, |mark| {
            let entry = ledger.enter(number, mark.publisher.into(), mark.number);
            if entry.is_some_and(|entry| entry != Entry::Duplicate) {
                delays.add(now.saturating_sub(mark.sent));
                came += 1;
            }
        });
        client.subscriber.keep(text.get(rest..).unwrap_or_default());
        client.events += came;
        if came > 0 && client.events >= self.events {
            self.waiting = self.waiting.saturating_sub(1);
        }
        self.control.add_deliveries(came.into());
        if let Heard::Answer { more, is_empty } = heard {
            self.unanswered = self.unanswered.saturating_sub(1);
            client.exchanges.answers += 1;
            client.exchanges.empty += u64::from(is_empty);
            if client.events < self.events {
                self.plan(number, more);
            }
        }
        Ok(())
    }

    /// Plans the request that follows an answer.
    fn plan(&mut self, number: usize, more: bool) {
        match self.way.interval() {
            Some(interval) if !more => self.due.push_back((Instant::now() + interval, number)),
            _ => self.due.push_front((Instant::now(), number)),
        }
    }

    fn received(self, busy: f64) -> Received {
        let mut received = Received {
            tally: self.ledger.tally(),
            delays: self.delays,
            exchanges: Exchanges::default(),
            bytes: ByteCounts::default(),
            opening: ByteCounts::default(),
            busy,
            clients: self.clients,
        };
        for client in &received.clients {
            received.exchanges.requests += client.exchanges.requests;
            received.exchanges.answers += client.exchanges.answers;
            received.exchanges.empty += client.exchanges.empty;
            received.bytes += ByteCounts::of(&client.subscriber);
            received.opening += client.opening;
        }
        received
    }
}

impl ByteCounts {
    fn of(subscriber: &Subscriber) -> Self {
        ByteCounts {
            traffic: subscriber.traffic(),
            content: subscriber.content(),
        }
    }

    /// All bytes, in both directions.
    pub(super) fn total(&self) -> u64 {
        self.traffic.sent + self.traffic.received
    }
}

impl AddAssign for ByteCounts {
    fn add_assign(&mut self, other: Self) {
        self.traffic.sent += other.traffic.sent;
        self.traffic.received += other.traffic.received;
        self.content += other.content;
    }
}

/// Spreads the first polls over the interval, as those of clients that came at any time are.
fn first_requests(way: Way, asks: bool, count: usize) -> VecDeque<(Instant, usize)> {
    if !asks {
        return VecDeque::new();
    }
    let (now, spread) = (Instant::now(), way.interval().unwrap_or_default());
    let planned = |number: usize| {
        let share = (number + 1) as f64 / count.max(1) as f64;
        (now + spread.mul_f64(share), number)
    };
    (0..count).map(planned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_has_begun_when_its_welcome_is_whole() {
        for framed in [
            "event: welcome\nid: a-1\ndata: {\"op\":\"welcome\",\"cursor\":\"a-1\"}\n\n",
            "{\"op\":\"welcome\",\"cursor\":\"a-1\"}\n",
            "{\"op\":\"welcome\",\"cursor\":\"a-1\"}",
        ] {
            assert!(is_welcome(framed.as_bytes()), "{framed}");
            let end = framed.rfind('}').unwrap();
            assert!(!is_welcome(&framed.as_bytes()[..end]), "{framed}");
        }
        assert!(!is_welcome(b"{\"op\":\"bye\"}"));
    }

    #[test]
    fn polls_are_spread_over_their_interval_and_long_polls_begin_at_once() {
        let interval = Duration::from_secs(4);
        let polls = first_requests(Way::Poll(interval), true, 4);
        let times: Vec<_> = polls.iter().map(|(due, _)| *due - polls[0].0).collect();
        assert_eq!(times, [0, 1, 2, 3].map(Duration::from_secs));
        let held = first_requests(Way::LongPoll, true, 2);
        assert_eq!(held[0].0, held[1].0);
        assert!(first_requests(Way::Sse, false, 2).is_empty());
    }
}
