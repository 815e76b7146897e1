//! Refuses those for whom there is no permit: a few threads read the head, briefly, and say no in the
//! way that was asked for. Beyond them the socket is closed without a byte.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use super::connection::count_stranger;
use super::inbound::Inbound;
use super::proxies::introduce;
use super::stream::Stream;
use super::waiting::Waiting;
use super::{ceilings, contain};
use crate::access::shares::Client;
use crate::delivery::Context;
use crate::exchange::healthy;
use crate::exchange::later::event_stream;
use crate::exchange::origin::{self, Visitor};
use crate::http::Method;
use crate::http::head::Head;
use crate::http::response::{Answering, Response};
use crate::hub::fanout::or_abort;
use crate::refusal::{Kind, Refusal};
use crate::seldom::Seldom;

/// How many threads say no.
const DOORMEN: usize = 4;
/// How many of them may be busy with one client: a head that comes byte by byte holds one up for a second.
const OF_ONE: usize = 2;
/// How long a head may take here, and a peer to read its refusal.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most that is read after the refusal.
const DRAINED: usize = 64 * 1024;

static FULL: Seldom = Seldom::new();
static CROWD: Seldom = Seldom::new();
static MEMORY: Seldom = Seldom::new();

/// The threads that say no.
pub(super) struct Doormen {
    context: Arc<Context>,
    waiting: Arc<Waiting<Unwanted>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Somebody who is not let in, and why.
struct Unwanted {
    stream: Arc<Stream>,
    refusal: Refusal,
    /// Whether a proxy may have to say first whom it brings.
    is_new: bool,
}

impl Doormen {
    /// Starts the threads.
    ///
    /// # Errors
    /// When there are none to be had.
    pub(super) fn start(context: &Arc<Context>) -> io::Result<Self> {
        let waiting = Arc::new(Waiting::new(OF_ONE));
        let mut threads = Vec::new();
        for number in 0..DOORMEN {
            let (context, waiting) = (context.clone(), waiting.clone());
            let thread = thread::Builder::new().name(format!("doorman-{number}"));
            threads.push(
                thread
                    .spawn(move || or_abort("a doorman panicked", || serve(&context, &waiting)))?,
            );
        }
        Ok(Doormen {
            context: context.clone(),
            waiting,
            threads: Mutex::new(threads),
        })
    }

    /// Has a connection refused, or closes it when too many wait already, in all or from its address. A proxy that says
    /// whom it brings is no client: those whom it brings are not made to wait for each other. Does not wait.
    pub(super) fn refuse(&self, stream: Stream, refusal: Refusal) {
        let peer = stream.peer();
        let client = peer
            .ip()
            .filter(|_| !self.context.config().proxies.bring(peer));
        let unwanted = Unwanted {
            stream: Arc::new(stream),
            refusal,
            is_new: true,
        };
        self.turn_away(client, unwanted);
    }

    /// The same with one whose proxy has said whom it brings.
    pub(super) fn refuse_brought(&self, stream: Arc<Stream>, refusal: Refusal) {
        let client = stream.peer().ip();
        let unwanted = Unwanted {
            stream,
            refusal,
            is_new: false,
        };
        self.turn_away(client, unwanted);
    }

    fn turn_away(&self, address: Option<IpAddr>, unwanted: Unwanted) {
        self.context.hub.metrics().turned_away.count();
        warn(&unwanted.refusal, unwanted.stream.peer().ip());
        let limits = &self.context.config().limits;
        let client = address.and_then(|address| Client::at(address, limits));
        // Whoever is turned away here is closed without a byte, from which EventSource comes back.
        if let Err(unwanted) = self.waiting.push(client, unwanted) {
            unwanted.stream.shutdown();
        }
    }

    /// Ends the threads and waits for them.
    pub(super) fn stop(&self) {
        self.waiting.end();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
    }
}

impl Drop for Doormen {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Says why, and which key allows more.
fn warn(refusal: &Refusal, address: Option<IpAddr>) {
    match refusal.kind {
        Kind::TooManyOfOne => CROWD.say(|more| {
            let address = address.map_or_else(String::new, |address| format!(" ({address})"));
            log::warn!(
                "an address{address} has all connections of limits.connections_per_address, one is refused; that key \
                 raises their number, and limits.exempt takes networks out{more}"
            );
        }),
        Kind::OutOfMemory => MEMORY.say(|more| {
            log::warn!("the memory of limits.memory is taken, a connection is refused{more}");
        }),
        _ => FULL.say(|more| {
            log::warn!("all connections of limits.connections are taken, one is refused{more}");
        }),
    }
}

fn serve(context: &Context, waiting: &Waiting<Unwanted>) {
    while let Some((_turn, unwanted)) = waiting.next() {
        // A server that stops has no time for those who never came in.
        if context.shutdown.begun().is_none() {
            let stream = unwanted.stream.clone();
            let berth = context.roster.berth(stream.clone());
            berth.hold(stream.clone());
            contain(&stream, || refuse(context, unwanted));
        }
    }
}

fn refuse(context: &Context, unwanted: Unwanted) {
    let (stream, config) = (&unwanted.stream, context.config());
    // One for all that comes before the answer, so that neither a proxy nor TLS wins anybody time.
    let deadline = Instant::now() + PATIENCE;
    if unwanted.is_new && introduce(stream, &config.proxies, deadline).is_none() {
        return;
    }
    // Here too: whoever is refused anyway could have as much signed as he likes.
    if stream.awaits_handshake()
        && let Err(refusal) = count_stranger(context, &config, stream.peer())
    {
        context.hub.metrics().refusals(refusal.kind).count();
        return log::debug!("{}: no TLS: {refusal}", stream.peer());
    }
    if let Err(unshaken) = stream.shake_hands(deadline) {
        context.hub.metrics().handshakes_failed.count();
        return log::debug!("{}: no TLS: {unshaken}", stream.peer());
    }
    let ceilings = ceilings(&config.limits);
    let patience = deadline.saturating_duration_since(Instant::now());
    let head = Inbound::new(stream.clone()).read_head(&ceilings, patience);
    let Ok(Some(head)) = head else {
        return;
    };
    let bytes = refusal_bytes(context, &head, stream, unwanted.refusal);
    if stream.write_all(&bytes, PATIENCE).is_ok() {
        stream.shutdown_write();
        stream.drain(PATIENCE, DRAINED);
    }
}

/// The no, in the way that was asked for. Who may not come in at all is told so; and a server that is full
/// is a healthy one.
fn refusal_bytes(context: &Context, head: &Head, stream: &Stream, refusal: Refusal) -> Vec<u8> {
    let answering = Answering {
        version: head.version,
        keep_alive: None,
        head_only: head.method == Method::Head,
        date: SystemTime::now(),
        names_server: context.config().server_header,
    };
    let config = context.config();
    let visitor = Visitor::of(head, &config, stream.speaks_tls());
    let refusal = match origin::check(head, &visitor, &config, stream.local()) {
        Err(refusal) => refusal,
        Ok(()) if head.path() == "/-/healthy" => {
            return visitor.decorate(healthy()).encode(&answering);
        }
        Ok(()) => refusal,
    };
    context.hub.metrics().refusals(refusal.kind).count();
    if let Some((response, last)) = event_stream(context, head, &visitor, &refusal) {
        let mut bytes = response.encode(&answering);
        bytes.extend(last);
        return bytes;
    }
    let response = Response::refusal(&refusal, Some(context.retry_after()));
    visitor.decorate(response).encode(&answering)
}
