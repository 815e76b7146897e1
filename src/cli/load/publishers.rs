//! The publishers: a thread and a kept connection each, paced by the clock.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::control::Control;
use super::mark::{Mark, Marks, WIDTH};
use crate::cli::Failure;
use crate::client::bare::{self, Body, Head};
use crate::client::{Client, Error};

/// How long a server may take to acknowledge.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes that are read of an answer at once.
const PIECE: usize = 8 * 1024;

/// What is to be published.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Work {
    /// To which channel.
    pub(in crate::cli) channel: String,
    /// By how many publishers.
    pub(in crate::cli) publishers: u16,
    /// Bytes of each payload, at least [`WIDTH`].
    pub(in crate::cli) size: usize,
    /// Events in one request, at least 1.
    pub(in crate::cli) batch: u32,
    /// Events in a second, of all publishers together; `None`: as many as are acknowledged.
    pub(in crate::cli) rate: Option<f64>,
    /// When it ends.
    pub(in crate::cli) extent: Extent,
    /// A connection that was not used for so long is replaced, before the server closes it: a new one on which
    /// nothing comes (timeouts.head), or a kept one (timeouts.idle). `None`: the server never does.
    pub(in crate::cli) renew_after: Option<Duration>,
}

/// How much there is to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::cli) enum Extent {
    /// So long.
    Time(Duration),
    /// So many events, of all publishers together.
    Events(u64),
}

/// What a publisher has done.
#[derive(Debug)]
pub(in crate::cli) struct Published {
    /// Events that were acknowledged.
    pub(in crate::cli) events: u32,
    /// When it sent the first, in nanoseconds since the beginning.
    pub(in crate::cli) first: u64,
    /// When the last was acknowledged, likewise.
    pub(in crate::cli) last: u64,
    /// How long after its time an event was sent, at worst.
    pub(in crate::cli) late: Duration,
    /// As long as this is kept it is open, and the server's thread that serves it is there.
    _connection: Option<TcpStream>,
}

/// Connected publishers that have not begun.
pub(in crate::cli) struct Publishers(Vec<Publisher>);

/// One of them.
struct Publisher {
    number: u16,
    client: Client,
    work: Work,
    marks: Marks,
    socket: TcpStream,
    used: Instant,
    received: Vec<u8>,
}

impl Publishers {
    /// Connects them all. Blocks for the connect timeout of each at most.
    pub(in crate::cli) fn connect(
        client: &Client,
        work: &Work,
        marks: &Marks,
    ) -> Result<Self, Error> {
        let connect = |number| {
            Ok(Publisher {
                number,
                socket: connect(client)?,
                client: client.clone(),
                work: work.clone(),
                marks: marks.clone(),
                used: Instant::now(),
                received: Vec::new(),
            })
        };
        let publishers = (0..work.publishers).map(connect);
        Ok(Publishers(publishers.collect::<Result<_, Error>>()?))
    }

    /// Has each publish one event that is none of the run, since its mark is of another. Blocks until all are
    /// acknowledged.
    pub(in crate::cli) fn warm_up(&mut self, other: &Marks) -> Result<(), Error> {
        self.0
            .iter_mut()
            .try_for_each(|publisher| publisher.warm_up(other))
    }

    /// Lets them publish. Each gives its account when it is done.
    pub(in crate::cli) fn publish(
        self,
        control: &Arc<Control>,
    ) -> Result<Receiver<Result<Published, Error>>, Failure> {
        let (accounts, receiver) = channel();
        let begin = Instant::now();
        for publisher in self.0 {
            let (control, accounts) = (Arc::clone(control), accounts.clone());
            thread::Builder::new()
                .name("publisher".to_owned())
                // Whoever listens for the account may have failed meanwhile.
                .spawn(move || drop(accounts.send(publisher.publish(&control, begin))))
                .map_err(|error| Failure::Failed(format!("cannot start a thread: {error}")))?;
        }
        Ok(receiver)
    }
}

fn connect(client: &Client) -> Result<TcpStream, Error> {
    let socket = client.connect_bare()?;
    let bounds = socket
        .set_read_timeout(Some(ANSWER_TIMEOUT))
        .and_then(|()| socket.set_write_timeout(Some(ANSWER_TIMEOUT)));
    bounds.map_err(Error::Connection)?;
    Ok(socket)
}

impl Publisher {
    fn warm_up(&mut self, other: &Marks) -> Result<(), Error> {
        let mut request = Template::new(&self.client, &self.work, other, 1)?;
        let mark = Mark {
            publisher: self.number,
            number: 0,
            sent: 0,
        };
        self.post(request.filled(other, mark))
    }

    fn publish(mut self, control: &Control, begin: Instant) -> Result<Published, Error> {
        let schedule = Schedule::of(&self.work, self.number, begin);
        let mut request = Template::new(&self.client, &self.work, &self.marks, self.work.batch)?;
        let mut account = Published {
            events: 0,
            first: u64::MAX,
            last: 0,
            late: Duration::ZERO,
            _connection: None,
        };
        for turn in 0.. {
            let Some((due, events)) = schedule.turn(turn, account.events) else {
                break;
            };
            if !control.wait_until(due) {
                break;
            }
            if events != request.events() {
                request = Template::new(&self.client, &self.work, &self.marks, events)?;
            }
            account.late = account.late.max(due.elapsed());
            let sent = control.now();
            account.first = account.first.min(sent);
            let first = Mark {
                publisher: self.number,
                number: account.events,
                sent,
            };
            self.post(request.filled(&self.marks, first))?;
            account.events += events;
            account.last = control.now();
            control.add_published(events.into());
        }
        account._connection = Some(self.socket);
        Ok(account)
    }

    /// Sends a request, and waits until it is acknowledged.
    fn post(&mut self, request: &[u8]) -> Result<(), Error> {
        let bound = self.work.renew_after;
        if bound.is_some_and(|bound| self.used.elapsed() >= bound) {
            self.socket = connect(&self.client)?;
        }
        self.socket.write_all(request).map_err(Error::Connection)?;
        let (head, body) = self.answer()?;
        self.used = Instant::now();
        // Other servers have other words than 201, such as nchan's 202 where nobody listens.
        if !(200..300).contains(&head.status) {
            return Err(bare::refusal(&head, &body));
        }
        if !head.keeps_alive() {
            self.socket = connect(&self.client)?;
        }
        Ok(())
    }

    fn answer(&mut self) -> Result<(Head, Vec<u8>), Error> {
        let head = loop {
            if let Some(head) = Head::take(&mut self.received)? {
                break head;
            }
            self.receive()?;
        };
        let (mut rest, mut body) = (Body::of(&head)?, Vec::new());
        loop {
            rest.decode(&mut self.received, &mut body)?;
            if rest.is_done() {
                return Ok((head, body));
            }
            self.receive()?;
        }
    }

    fn receive(&mut self) -> Result<(), Error> {
        let mut piece = [0; PIECE];
        let length = loop {
            match self.socket.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result.map_err(Error::Connection)?,
            }
        };
        if length == 0 {
            return Err(Error::Connection(io::ErrorKind::UnexpectedEof.into()));
        }
        let piece = piece.get(..length).unwrap_or_default();
        self.received.extend_from_slice(piece);
        Ok(())
    }
}

/// When a publisher has its turns, and how many events each has.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    begin: Instant,
    /// From one turn to the next; `None`: as soon as the last one is acknowledged.
    interval: Option<Duration>,
    batch: u32,
    end: Option<Instant>,
    events: u32,
}

impl Schedule {
    /// Publishers take turns, so that the events of all are evenly spaced.
    fn of(work: &Work, number: u16, begin: Instant) -> Self {
        let publishers = f64::from(work.publishers);
        let interval = work
            .rate
            .map(|rate| Duration::from_secs_f64(publishers * f64::from(work.batch) / rate));
        let offset = interval
            .unwrap_or_default()
            .mul_f64(f64::from(number) / publishers);
        let (end, events) = match work.extent {
            Extent::Time(time) => (Some(begin + time), u32::MAX),
            Extent::Events(events) => (None, share(events, work.publishers, number)),
        };
        Schedule {
            begin: begin + offset,
            interval,
            batch: work.batch,
            end,
            events,
        }
    }

    /// The time and the number of events of a turn, when so many were published before; `None`: it is done.
    fn turn(&self, turn: u32, published: u32) -> Option<(Instant, u32)> {
        let events = self.events.saturating_sub(published).min(self.batch);
        let due = match self.interval {
            Some(interval) => self.begin.checked_add(interval.checked_mul(turn)?)?,
            None => Instant::now(),
        };
        let in_time = self.end.is_none_or(|end| due < end && Instant::now() < end);
        (events > 0 && in_time).then_some((due, events))
    }
}

/// The part of `events` that falls to one publisher.
fn share(events: u64, publishers: u16, number: u16) -> u32 {
    let publishers = u64::from(publishers.max(1));
    let one_more = u64::from(u64::from(number) < events % publishers);
    u32::try_from(events / publishers + one_more).unwrap_or(u32::MAX)
}

/// The bytes of a request, written once; only the marks change.
struct Template {
    bytes: Vec<u8>,
    /// Where the marks stand.
    marks: Vec<usize>,
}

impl Template {
    fn new(client: &Client, work: &Work, marks: &Marks, events: u32) -> Result<Self, Error> {
        let blank = marks.text(Mark {
            publisher: 0,
            number: 0,
            sent: 0,
        });
        let padding = "x".repeat(work.size.saturating_sub(WIDTH));
        let (media_type, body) = if work.batch == 1 {
            ("text/plain", format!("{blank}{padding}"))
        } else {
            let line = format!("{{\"data\":\"{blank}{padding}\"}}\n");
            ("application/x-ndjson", line.repeat(events as usize))
        };
        let bytes = client.post(&work.channel, media_type, body.into_bytes())?;
        let places = memchr::memmem::find_iter(&bytes, &blank).collect();
        Ok(Template {
            marks: places,
            bytes,
        })
    }

    fn events(&self) -> u32 {
        // There are as many as were asked for, and that was a u32.
        self.marks.len() as u32
    }

    /// The request with the mark `first` and those that follow it.
    fn filled(&mut self, marks: &Marks, first: Mark) -> &[u8] {
        for (number, place) in (first.number..).zip(&self.marks) {
            let text = marks.text(Mark { number, ..first });
            let blank = self.bytes.get_mut(*place..place.saturating_add(WIDTH));
            if let Some(blank) = blank {
                blank.copy_from_slice(text.as_bytes());
            }
        }
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn work(publishers: u16, batch: u32, rate: Option<f64>, extent: Extent) -> Work {
        Work {
            channel: "bench".to_owned(),
            publishers,
            size: 64,
            batch,
            rate,
            extent,
            renew_after: None,
        }
    }

    #[test]
    fn publishers_take_turns_at_the_rate_of_all_together() {
        let begin = Instant::now();
        let work = work(4, 5, Some(100.0), Extent::Events(1000));
        let due = |number, turn| {
            let schedule = Schedule::of(&work, number, begin);
            schedule.turn(turn, 0).unwrap().0 - begin
        };
        let milliseconds = |(number, turn)| due(number, turn).as_millis();
        let dues = [(0, 0), (1, 0), (3, 0), (0, 1), (1, 1)].map(milliseconds);
        assert_eq!(dues, [0, 50, 150, 200, 250]);
    }

    #[test]
    fn all_events_are_shared_out_and_the_last_batch_is_the_rest() {
        let shares = [0, 1, 2].map(|number| share(10, 3, number));
        assert_eq!(shares, [4, 3, 3]);
        let work = work(1, 4, None, Extent::Events(10));
        let schedule = Schedule::of(&work, 0, Instant::now());
        let batches = [0, 4, 8, 10].map(|published| schedule.turn(0, published));
        let events = batches.map(|turn| turn.map(|(_, events)| events));
        assert_eq!(events, [Some(4), Some(4), Some(2), None]);
    }

    #[test]
    fn a_time_ends_the_turns() {
        let begin = Instant::now();
        let work = work(1, 1, Some(1.0), Extent::Time(Duration::from_secs(3600)));
        let schedule = Schedule::of(&work, 0, begin);
        assert!(schedule.turn(3599, 0).is_some());
        assert!(schedule.turn(3600, 0).is_none());
    }

    #[test]
    fn a_connection_is_renewed_when_it_was_not_used_for_long_and_only_then() {
        for (renew_after, connections) in [(None, 1), (Some(Duration::ZERO), 4)] {
            let work = Work {
                renew_after,
                ..work(1, 1, None, Extent::Events(3))
            };
            let (accepted, _account) = publish_to_listener(&work);
            assert_eq!(accepted.len(), connections);
        }
    }

    #[test]
    fn the_last_connection_is_open_as_long_as_the_account_is_kept() {
        let (accepted, account) = publish_to_listener(&work(1, 1, None, Extent::Events(3)));
        let mut connection = accepted.last().unwrap();
        connection.set_nonblocking(true).unwrap();
        let read = connection.read(&mut [0]);
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(account.events, 3);
    }

    /// Publishes three events. Gives the connections by which they came, and the publisher's account.
    fn publish_to_listener(work: &Work) -> (Vec<TcpStream>, Published) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (client, marks) = (Client::new(&url).unwrap(), Marks::of_run(1));
        let publishers = Publishers::connect(&client, work, &marks).unwrap();
        let accounts = publishers.publish(&Arc::new(Control::begin())).unwrap();
        let (mut accepted, mut events) = (Vec::new(), 0);
        while events < 3 {
            let (connection, _) = listener.accept().unwrap();
            events += acknowledge(&connection, 3 - events);
            accepted.push(connection);
        }
        (accepted, accounts.recv().unwrap().unwrap())
    }

    /// Answers so many requests at most, or those that come until a connection has ended; says how many.
    fn acknowledge(mut connection: &TcpStream, most: usize) -> usize {
        let (mut received, mut piece) = (Vec::new(), [0; 1024]);
        for answered in 0..most {
            let has_body = |received: &[u8]| {
                let head = memchr::memmem::find(received, b"\r\n\r\n");
                head.is_some_and(|end| received.len() >= end + 4 + 64)
            };
            while !has_body(&received) {
                match connection.read(&mut piece).unwrap() {
                    0 => return answered,
                    length => received.extend_from_slice(&piece[..length]),
                }
            }
            received.clear();
            let answer = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";
            connection.write_all(answer).unwrap();
        }
        most
    }

    #[test]
    fn a_request_has_the_marks_of_its_events_in_order() {
        let (client, marks) = (Client::new("http://localhost").unwrap(), Marks::of_run(1));
        for batch in [1, 3] {
            let work = work(1, batch, None, Extent::Events(9));
            let mut template = Template::new(&client, &work, &marks, batch).unwrap();
            assert_eq!(template.events(), batch);
            let first = Mark {
                publisher: 2,
                number: 7,
                sent: 9,
            };
            let (mut numbers, request) = (Vec::new(), template.filled(&marks, first));
            marks.find(request, |mark| numbers.push((mark.publisher, mark.number)));
            let expected: Vec<_> = (7..7 + batch).map(|number| (2, number)).collect();
            assert_eq!(numbers, expected);
            let text = String::from_utf8_lossy(request);
            let (_, body) = text.split_once("\r\n\r\n").unwrap();
            let payload = body.trim_start_matches("{\"data\":\"").split('"').next();
            assert_eq!(payload.map(str::len), Some(64));
        }
    }
}
