//! The operator's port as strangers meet it: a bounded number of connections, one request each, whole, in time
//! and from somebody who may ask. Nothing else reaches the engine.

use std::fmt::Write as _;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::engine::{Engine, TICKET};
use super::guard;
use crate::config::Timeouts;
use crate::delivery::Context;
use crate::http::head::Head;
use crate::http::response::{Answering, Response};
use crate::http::{Method, Version};
use crate::hub::fanout::or_abort;
use crate::network::Network;
use crate::peer::Peer;
use crate::refusal::{Kind, Refusal};
use crate::roster::Roster;
use crate::seldom::Seldom;
use crate::server::inbound::Inbound;
use crate::server::listener::{Entrance, Listener};
use crate::server::permit::{Permit, Permits};
use crate::server::socket::Socket;
use crate::server::stream::Stream;
use crate::server::threads::Threads;
use crate::server::{ceilings, contain};
use crate::shutdown::{Leaving, Shutdown};

/// Connections that are served at once, each by a thread that is there from the start: when the data port
/// has taken all there was, none could be had.
const SERVED: usize = 16;
/// Connections that may wait for one of them.
const WAITING: usize = 32;
/// Connections of one address: whoever takes all that he can get leaves as many to the operator.
const OF_ONE: usize = (SERVED + WAITING) / 2;
/// Connections that were refused and may wait until what they still send is read.
const REFUSED: usize = 32;
/// The stack of a thread, in bytes of address space.
const STACK: usize = 256 * 1024;
/// Bytes of a request's body.
const BODY_BYTES: u64 = 64 * 1024;
/// How long a head may take, whatever larger `timeouts` say: the threads are few, and whoever holds one with it need not
/// show a key.
const HEAD: Duration = Duration::from_secs(2);
/// How long a request and the wait for its answer may take together, and then the sending of the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a peer may take to read its answer before the connection is closed.
const CLOSING: Duration = Duration::from_secs(1);
/// The most that is read after an answer.
const DRAINED: usize = 64 * 1024;

static FULL: Seldom = Seldom::new();
static TOO_MANY: Seldom = Seldom::new();

/// The accepting thread and those that serve.
pub(super) struct Gate {
    listener: Listener,
    address: SocketAddr,
    permits: Permits,
    shutdown: Shutdown,
    roster: Roster,
    threads: Threads,
}

impl Gate {
    /// Starts all threads.
    ///
    /// # Errors
    /// When there are none to be had.
    pub(super) fn start(
        context: &Arc<Context>,
        engine: &Arc<Engine>,
        socket: TcpListener,
    ) -> io::Result<Self> {
        let address = socket.local_addr()?;
        let permits = Permits::new(SERVED + WAITING);
        let (queue, waiting) = bounded(SERVED + WAITING);
        let (refused, refused_ones) = bounded(REFUSED);
        // Not that of the data port, which counts its own clients, and says goodbye to them.
        let shutdown = Shutdown::default();
        let roster = Roster::new(shutdown.clone(), context.access.clone());
        let threads = Threads::new();
        for number in 1..=SERVED {
            let worker = Worker {
                context: context.clone(),
                engine: engine.clone(),
                roster: roster.clone(),
                waiting: waiting.clone(),
            };
            let thread = thread::Builder::new()
                .name(format!("admin-{number}"))
                .stack_size(STACK);
            let body =
                move || or_abort("a thread of the operator's port panicked", || worker.run());
            threads.start(thread, body)?;
        }
        let roster_of_refused = roster.clone();
        let body = move || see_off(&refused_ones, &roster_of_refused);
        let body = || or_abort("a thread of the operator's port panicked", body);
        threads.start(thread::Builder::new().name("admin-refusals".into()), body)?;
        let waiting_room = WaitingRoom {
            permits: permits.clone(),
            present: Mutex::default(),
            queue,
            refused,
        };
        Ok(Gate {
            listener: Listener::start("admin-listener", socket.into(), waiting_room)?,
            address,
            permits,
            shutdown,
            roster,
            threads,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets nobody in any more, and cuts who is there at `cut`.
    pub(super) fn close(&self, cut: Instant) {
        self.listener.stop();
        self.permits.wait_for_all(cut);
        self.shutdown.begin(Leaving::Away);
        self.roster.cut();
    }

    /// Waits for the threads, until `deadline` at most; says how many have not ended.
    pub(super) fn wait(&self, deadline: Instant) -> usize {
        self.threads.wait(deadline)
    }
}

/// Where connections wait for a thread.
struct WaitingRoom {
    permits: Permits,
    /// Who was let in, and from where; some have gone since.
    present: Mutex<Vec<(Option<Network>, Weak<Stream>)>>,
    queue: Sender<Arc<Stream>>,
    refused: Sender<Arc<Stream>>,
}

impl Entrance for WaitingRoom {
    fn admit(&self, socket: Socket) -> io::Result<()> {
        // This fails when the peer has gone already, and so does what comes next.
        let Ok(peer) = socket.peer() else {
            return Ok(());
        };
        let (permit, refusal) = match self.place_for(peer) {
            Ok(permit) => (Some(permit), None),
            Err(refusal) => (None, Some(refusal)),
        };
        let Ok(stream) = Stream::new(socket, permit) else {
            return Ok(());
        };
        match refusal {
            None => self.let_in(Arc::new(stream)),
            Some(refusal) => self.turn_away(Arc::new(stream), refusal),
        }
        Ok(())
    }
}

impl WaitingRoom {
    fn place_for(&self, peer: Peer) -> Result<Permit, &'static str> {
        let network = peer.ip().map(Network::of_client);
        let of_one = self
            .present()
            .iter()
            .filter(|(from, _)| *from == network)
            .count();
        if of_one >= OF_ONE {
            TOO_MANY.say(|more| {
                log::warn!("{peer} has {of_one} connections to the operator's port, one more is refused{more}");
            });
            return Err(
                "your address has as many connections to the operator's port as one may; come back later",
            );
        }
        self.permits.try_take().ok_or_else(|| {
            FULL.say(|more| {
                log::warn!(
                    "all connections of the operator's port are taken, one is refused{more}"
                );
            });
            "every connection of the operator's port is taken; come back later"
        })
    }

    fn let_in(&self, stream: Arc<Stream>) {
        let network = stream.peer().ip().map(Network::of_client);
        self.present().push((network, Arc::downgrade(&stream)));
        // There are as many places in the queue as permits.
        let _ = self.queue.try_send(stream);
    }

    /// A word that nobody waits for: the peer may be one that does not read.
    fn turn_away(&self, stream: Arc<Stream>, why: &'static str) {
        let full = Refusal::new(Kind::Overloaded, why);
        let answer = Response::refusal(&full, Some(CLOSING));
        stream.try_send(&encoded(answer, false));
        stream.shutdown_write();
        // Where too many are being seen off it is closed at once.
        let _ = self.refused.try_send(stream);
    }

    fn present(&self) -> MutexGuard<'_, Vec<(Option<Network>, Weak<Stream>)>> {
        // Every change leaves it whole.
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.retain(|(_, stream)| stream.strong_count() > 0);
        present
    }
}

/// Reads what those who were refused still send, until nobody comes any more: a close with unread bytes would take the
/// refusal with it.
fn see_off(refused: &Receiver<Arc<Stream>>, roster: &Roster) {
    for stream in refused {
        let berth = roster.berth(stream.clone());
        // Cut at once when it is too late.
        berth.hold(stream.clone());
        stream.drain(CLOSING, DRAINED);
        stream.shutdown();
    }
}

/// What one thread has.
struct Worker {
    context: Arc<Context>,
    engine: Arc<Engine>,
    roster: Roster,
    waiting: Receiver<Arc<Stream>>,
}

impl Worker {
    /// One connection after another, until nobody is let in any more.
    fn run(&self) {
        for stream in &self.waiting {
            let berth = self.roster.berth(stream.clone());
            // Cut at once when it is too late.
            berth.hold(stream.clone());
            contain(&stream, || self.serve(&stream));
        }
    }

    fn serve(&self, stream: &Arc<Stream>) {
        let Some(answer) = self.answer(stream) else {
            return;
        };
        let deadline = Instant::now() + self.timeouts().write;
        if stream.write_all_by(&answer, deadline).is_ok() {
            stream.shutdown_write();
            stream.drain(self.timeouts().close, DRAINED);
        }
        stream.shutdown();
    }

    /// The answer to the one request of a connection; `None` when none came.
    fn answer(&self, stream: &Arc<Stream>) -> Option<Vec<u8>> {
        let mut inbound = Inbound::new(stream.clone());
        let ceilings = ceilings(&self.context.config().limits);
        let due = Instant::now() + PATIENCE;
        let head = match inbound.read_head(&ceilings, self.timeouts().head) {
            Ok(head) => head?,
            Err(refusal) => return Some(self.refuse(stream, &refusal, false)),
        };
        let is_head = head.method == Method::Head;
        let answer = self.pass(&head, &mut inbound, stream, due);
        Some(answer.unwrap_or_else(|refusal| self.refuse(stream, &refusal, is_head)))
    }

    fn refuse(&self, stream: &Stream, refusal: &Refusal, is_head: bool) -> Vec<u8> {
        log::debug!("{}: operator's port: refused: {refusal}", stream.peer());
        let retry_after = self.context.retry_after();
        encoded(Response::refusal(refusal, Some(retry_after)), is_head)
    }

    /// Has the engine answer a request until it is `due`, if it comes from somebody who may ask.
    fn pass(
        &self,
        head: &Head,
        inbound: &mut Inbound,
        stream: &Stream,
        due: Instant,
    ) -> Result<Vec<u8>, Refusal> {
        guard::check(head, &self.context.config(), stream)?;
        let mut timeouts = self.timeouts();
        timeouts.body = timeouts
            .body
            .min(due.saturating_duration_since(Instant::now()));
        let body = inbound.read_body(head, BODY_BYTES, &timeouts, |_| Ok(()))?;
        self.engine
            .ask(due, |ticket| rewritten(head, &body, ticket))
    }

    /// The deadlines of the data port, as far as this one can afford them.
    fn timeouts(&self) -> Timeouts {
        let timeouts = &self.context.config().timeouts;
        Timeouts {
            head: timeouts.head.min(HEAD),
            body: timeouts.body.min(PATIENCE),
            write: timeouts.write.min(PATIENCE),
            close: timeouts.close.min(CLOSING),
            ..timeouts.clone()
        }
    }
}

/// The request as the engine gets it. Its method, path and query are sound, its end is beyond doubt, and no
/// field of a stranger's is in it.
fn rewritten(head: &Head, body: &[u8], ticket: u64) -> Vec<u8> {
    let mut request = format!("{} {}", head.method, head.path());
    if let Some(query) = head.query() {
        // Writing into a String cannot fail.
        let _ = write!(request, "?{query}");
    }
    let length = body.len();
    let _ = write!(
        request,
        " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{TICKET}: {ticket}\r\nContent-Length: {length}\r\n\r\n"
    );
    [request.as_bytes(), body].concat()
}

/// An answer of this port as it goes over the wire; the connection ends with it.
pub(super) fn encoded(response: Response, is_head: bool) -> Vec<u8> {
    guard::shield(response).encode(&Answering {
        version: Version::Http11,
        keep_alive: None,
        head_only: is_head,
        date: SystemTime::now(),
        names_server: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{Ceilings, parse};

    #[test]
    fn nothing_of_a_request_but_what_it_asks_reaches_the_engine() {
        let ceilings = Ceilings {
            head_bytes: 1_000,
            target_bytes: 100,
            fields: 10,
        };
        let head = b"POST http://x.test/-/a%20b?c=d HTTP/1.0\r\nTransfer-Encoded: x\r\nConnection: upgrade\r\n\
                     Content-Length: 2\r\nExpect: 100-continue\r\nAuthorization: Bearer x\r\nTicket: 1\r\n\r\n";
        let (head, _) = parse(head, &ceilings).unwrap().unwrap();
        assert_eq!(
            String::from_utf8(rewritten(&head, b"hi", 7)).unwrap(),
            "POST /-/a%20b?c=d HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTicket: 7\r\n\
             Content-Length: 2\r\n\r\nhi"
        );
    }
}
