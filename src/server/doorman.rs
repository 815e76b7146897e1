//! Refuses those for whom there is no permit: a few threads read the head, briefly, and say no in the
//! way that was asked for. Beyond them the socket is closed without a byte.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::ceilings;
use super::inbound::Inbound;
use super::proxies::introduce;
use super::socket::Socket;
use super::stream::Stream;
use crate::delivery::control::Control;
use crate::delivery::framing::Framing as _;
use crate::delivery::{Context, sse};
use crate::exchange::negotiate::Parameters;
use crate::exchange::origin::{self, Visitor};
use crate::exchange::{healthy, stream_head};
use crate::http::fields::accepts;
use crate::http::head::Head;
use crate::http::response::{Answering, Response};
use crate::http::{Method, Version};
use crate::hub::fanout::or_abort;
use crate::refusal::{Kind, Refusal};
use crate::seldom::Seldom;

/// How many threads say no.
const DOORMEN: usize = 2;
/// How many sockets may wait for one of them.
const WAITING: usize = 64;
/// How long a head may take here, and a peer to read its refusal.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most that is read after the refusal.
const DRAINED: usize = 64 * 1024;

static FULL: Seldom = Seldom::new();

/// The threads that say no.
pub(super) struct Doormen {
    door: Mutex<Option<Sender<Socket>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Doormen {
    /// Starts the threads.
    ///
    /// # Errors
    /// When there are none to be had.
    pub(super) fn start(context: &Arc<Context>) -> io::Result<Self> {
        let (door, queue) = bounded(WAITING);
        let mut threads = Vec::new();
        for number in 0..DOORMEN {
            let (context, queue) = (context.clone(), queue.clone());
            let thread = thread::Builder::new().name(format!("doorman-{number}"));
            threads.push(
                thread.spawn(move || or_abort("a doorman panicked", || serve(&context, &queue)))?,
            );
        }
        Ok(Doormen {
            door: Mutex::new(Some(door)),
            threads: Mutex::new(threads),
        })
    }

    /// Has a socket refused, or closes it when too many wait already. Does not wait.
    pub(super) fn refuse(&self, socket: Socket) {
        FULL.say(|more| {
            log::warn!("all connections of limits.connections are taken, one is refused{more}")
        });
        if let Some(door) = &*self.door.lock().unwrap_or_else(PoisonError::into_inner) {
            // Whoever is turned away here is closed without a byte, from which EventSource comes back.
            let _ = door.try_send(socket);
        }
    }

    /// Ends the threads and waits for them.
    pub(super) fn stop(&self) {
        drop(
            self.door
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
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

fn serve(context: &Context, queue: &Receiver<Socket>) {
    for socket in queue {
        // A server that stops has no time for those who never came in.
        if context.shutdown.begun().is_none()
            && let Ok(stream) = Stream::new(socket, None)
        {
            let stream = Arc::new(stream);
            let berth = context.roster.berth(stream.clone());
            berth.hold(stream.clone());
            refuse(context, &stream);
        }
    }
}

fn refuse(context: &Context, stream: &Arc<Stream>) {
    let config = context.config();
    let deadline = Instant::now() + PATIENCE;
    if introduce(stream, &config.proxies, deadline).is_none() {
        return;
    }
    let ceilings = ceilings(&config.limits);
    let patience = deadline.saturating_duration_since(Instant::now());
    let head = Inbound::new(stream.clone()).read_head(&ceilings, patience);
    let Ok(Some(head)) = head else {
        return;
    };
    let mut bytes = Vec::new();
    write_refusal(context, &head, stream.local(), &mut bytes);
    if stream.write_all(&bytes, PATIENCE).is_ok() {
        stream.shutdown_write();
        stream.drain(PATIENCE, DRAINED);
    }
}

/// The no, in the way that was asked for. Who may not come in at all is told so; and a server that is full
/// is a healthy one.
fn write_refusal(context: &Context, head: &Head, local: Option<IpAddr>, out: &mut Vec<u8>) {
    let answering = Answering {
        version: head.version,
        keep_alive: None,
        head_only: head.method == Method::Head,
        date: SystemTime::now(),
        names_server: context.config().server_header,
    };
    let visitor = Visitor::of(head, &context.config());
    let full = Refusal::new(
        Kind::Overloaded,
        "every connection is taken; come back later",
    );
    let refusal = match origin::check(head, &visitor, &context.config(), local) {
        Err(refusal) => refusal,
        Ok(()) if head.path() == "/-/healthy" => {
            return out.extend(visitor.decorate(healthy()).encode(&answering));
        }
        Ok(()) => full,
    };
    context.hub.metrics().refusals(refusal.kind).count();
    if refusal.kind == Kind::Overloaded && asks_for_sse(head) {
        return turn_away_event_source(context, head, &answering, out);
    }
    let response = Response::refusal(&refusal, Some(context.retry_after()));
    out.extend(visitor.decorate(response).encode(&answering));
}

fn asks_for_sse(head: &Head) -> bool {
    let parameters = Parameters::parse(head.query());
    match parameters.get("transport") {
        Ok(Some(transport)) => transport == "sse",
        _ => accepts(head.fields.get_all("Accept"), "text/event-stream"),
    }
}

/// Any status but 200 would stop a browser's EventSource for good.
fn turn_away_event_source(
    context: &Context,
    head: &Head,
    answering: &Answering,
    out: &mut Vec<u8>,
) {
    let framing = if head.version == Version::Http11 {
        &sse::JSON
    } else {
        &sse::JSON_UNCHUNKED
    };
    let code = Kind::Overloaded.row().close;
    let bye = Control::Bye {
        code,
        retry: Some(context.retry_after()),
    };
    let response = Visitor::of(head, &context.config()).decorate(stream_head("text/event-stream"));
    out.extend(response.encode(answering));
    if !answering.head_only {
        out.extend(framing.farewell(&bye, ""));
    }
}
