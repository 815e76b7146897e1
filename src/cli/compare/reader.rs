//! The thread that serves all clients of a round: it reads for whoever has something to read, and asks for whoever is
//! to ask.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::audience::Audience;
use super::listener::{ByteCounts, Exchanges, Listener};
use super::own_share::OwnShare;
use super::way::Way;
use crate::cli::load::control::Control;
use crate::cli::load::delays::Delays;
use crate::cli::load::ledger::{Entry, Ledger, Tally};
use crate::cli::load::mark::Marks;
use crate::cli::load::readiness::Readiness;
use crate::cli::load::subscriber::{Buffers, Heard, PollRequest};
use crate::client::Error;

/// The longest wait for something to read, after which it is looked whether the round is over.
const TICK: Duration = Duration::from_millis(20);
/// How long it is read on when everything has arrived, so that what comes twice is seen.
const LINGER: Duration = Duration::from_millis(100);

/// What all clients of a round got, and what that took.
pub(super) struct Received {
    /// How many events.
    pub(super) tally: Tally,
    /// When, after they were sent.
    pub(super) delays: Delays,
    /// How often it was asked.
    pub(super) exchanges: Exchanges,
    /// What went over all sockets until all clients had their places.
    pub(super) opening: ByteCounts,
    /// What went over them with the events that are counted.
    pub(super) counted: ByteCounts,
    /// Which share of the delays may be the reading thread's own, 0 to 1.
    pub(super) own_share: f64,
    /// They stay connected as long as this is kept, and so do the server's threads that serve them.
    clients: Vec<Listener>,
}

/// The thread that reads and asks for all.
pub(super) struct Reader {
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
    own_share: OwnShare,
}

impl Reader {
    pub(super) fn new(
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
            own_share: OwnShare::default(),
        })
    }

    pub(super) fn read(mut self) -> Result<Received, Error> {
        let read = self.read_on();
        if read.is_err() {
            // Nobody needs to publish for a round that has failed.
            self.control.end();
        }
        read.map(|()| self.received())
    }

    fn read_on(&mut self) -> Result<(), Error> {
        let mut complete_since = None;
        let mut ready = Vec::new();
        loop {
            if self.waiting == 0 && self.unanswered == 0 {
                let since = *complete_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= LINGER {
                    break;
                }
            }
            self.ask_who_is_due()?;
            if !self.control.wait_while_paused() {
                break;
            }
            self.wait(&mut ready).map_err(Error::Connection)?;
            for number in ready.drain(..) {
                self.hear(number)?;
            }
        }
        Ok(())
    }

    /// Waits for something to read, or to ask.
    fn wait(&mut self, ready: &mut Vec<usize>) -> io::Result<()> {
        self.readiness.wait(Duration::ZERO, ready)?;
        if ready.is_empty() {
            self.readiness.wait(self.rest(), ready)?;
            self.own_share.catch_up(self.control.now());
        }
        Ok(())
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
        let (ledger, delays, own_share) = (&mut self.ledger, &mut self.delays, &mut self.own_share);
        let mut came = 0;
        let rest = self.marks.find(text, |mark| {
            let entry = ledger.enter(number, mark.publisher.into(), mark.number);
            if entry.is_some_and(|entry| entry != Entry::Duplicate) {
                delays.add(now.saturating_sub(mark.sent));
                own_share.add(mark.sent, now);
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

    fn received(self) -> Received {
        let mut received = Received {
            tally: self.ledger.tally(),
            delays: self.delays,
            exchanges: Exchanges::default(),
            opening: ByteCounts::default(),
            counted: ByteCounts::default(),
            own_share: self.own_share.share(),
            clients: self.clients,
        };
        for client in &received.clients {
            received.exchanges.requests += client.exchanges.requests;
            received.exchanges.answers += client.exchanges.answers;
            received.exchanges.empty += client.exchanges.empty;
            received.opening += client.opening;
            received.counted += client.counted();
        }
        received
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
