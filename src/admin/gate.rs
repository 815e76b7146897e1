//! The operator's port as strangers meet it: a bounded number of connections, one request each, whole, in time
//! and from somebody who may ask. Nothing else reaches the engine.

use std::fmt::Write as _;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
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
use crate::refusal::{Kind, Refusal};
use crate::roster::Roster;
use crate::seldom::Seldom;
use crate::server::inbound::Inbound;
use crate::server::listener::{Entrance, Listener};
use crate::server::permit::Permits;
use crate::server::stream::Stream;
use crate::server::threads::Threads;
use crate::server::{ceilings, contain};
use crate::shutdown::{Leaving, Shutdown};

/// Connections that are served at once, each by a thread that is there from the start: when the data port
/// has taken all there was, none could be had.
const SERVED: usize = 16;
/// Connections that may wait for one of them.
const WAITING: usize = 32;
/// The stack of a thread, in bytes of address space.
const STACK: usize = 256 * 1024;
/// Bytes of a request's body.
const BODY_BYTES: u64 = 64 * 1024;
/// How long a head, a body, an answer and its sending may take each, whatever larger `timeouts` say: the
/// threads are few.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a peer may take to read its answer before the connection is closed.
const CLOSING: Duration = Duration::from_secs(1);
/// The most that is read after an answer.
const DRAINED: usize = 64 * 1024;

static FULL: Seldom = Seldom::new();

/// The accepting thread and those that serve.
pub(super) struct Gate {
    listener: Listener,
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
        let permits = Permits::new(SERVED + WAITING);
        let (queue, waiting) = bounded(SERVED + WAITING);
        // Not that of the data port, which counts its own clients, and says goodbye to them.
        let shutdown = Shutdown::default();
        let roster = Roster::new(shutdown.clone());
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
        let waiting_room = WaitingRoom {
            permits: permits.clone(),
            queue,
        };
        Ok(Gate {
            listener: Listener::start("admin-listener", socket, waiting_room)?,
            permits,
            shutdown,
            roster,
            threads,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.listener.address()
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
    queue: Sender<Arc<Stream>>,
}

impl Entrance for WaitingRoom {
    fn admit(&self, socket: TcpStream) -> io::Result<()> {
        let permit = self.permits.try_take();
        let is_full = permit.is_none();
        // Fails when the peer has gone already.
        let Ok(stream) = Stream::new(socket, permit) else {
            return Ok(());
        };
        if is_full {
            turn_away(&stream);
            return Ok(());
        }
        // There are as many places in the queue as permits.
        let _ = self.queue.try_send(Arc::new(stream));
        Ok(())
    }
}

/// A word that nobody waits for: the peer may be one that does not read.
fn turn_away(stream: &Stream) {
    FULL.say(|more| {
        log::warn!("all connections of the operator's port are taken, one is refused{more}")
    });
    let full = Refusal::new(
        Kind::Overloaded,
        "every connection of the operator's port is taken; come back later",
    );
    let answer = Response::refusal(&full, Some(CLOSING));
    stream.try_send(&encoded(answer, false));
    stream.shutdown_write();
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
        let head = match inbound.read_head(&ceilings, self.timeouts().head) {
            Ok(head) => head?,
            Err(refusal) => return Some(self.refuse(stream, &refusal, false)),
        };
        let is_head = head.method == Method::Head;
        let answer = self.pass(&head, &mut inbound, stream);
        Some(answer.unwrap_or_else(|refusal| self.refuse(stream, &refusal, is_head)))
    }

    fn refuse(&self, stream: &Stream, refusal: &Refusal, is_head: bool) -> Vec<u8> {
        log::debug!("{}: operator's port: refused: {refusal}", stream.peer());
        let retry_after = self.context.retry_after();
        encoded(Response::refusal(refusal, Some(retry_after)), is_head)
    }

    /// Has the engine answer a request, if it comes from somebody who may ask.
    fn pass(
        &self,
        head: &Head,
        inbound: &mut Inbound,
        stream: &Stream,
    ) -> Result<Vec<u8>, Refusal> {
        guard::check(head, &self.context.config(), stream)?;
        let body = inbound.read_body(head, BODY_BYTES, &self.timeouts())?;
        let deadline = Instant::now() + PATIENCE;
        self.engine
            .ask(deadline, |ticket| rewritten(head, &body, ticket))
    }

    /// The deadlines of the data port, as far as this one can afford them.
    fn timeouts(&self) -> Timeouts {
        let timeouts = &self.context.config().timeouts;
        Timeouts {
            head: timeouts.head.min(PATIENCE),
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
