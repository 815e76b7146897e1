//! tiny_http behind a private socket: it parses what the gate rewrote, and its threads hand requests to the
//! endpoints. One failed `accept` (EMFILE) ends it for good; then there is another.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::gate::encoded;
use super::private_socket::PrivateSocket;
use super::route::{self, Asked};
use super::tickets::Tickets;
use crate::delivery::Context;
use crate::http::Method;
use crate::http::response::Response;
use crate::refusal::{Kind, Refusal};
use crate::seldom::Seldom;
use crate::server::threads::Threads;

/// Threads that answer: one may be busy with something that takes its time.
const THREADS: usize = 2;
/// The most bytes of an answer.
const ANSWER_BYTES: u64 = 16 * 1024 * 1024;
/// How long one is used at least: each that is given up has threads that take some seconds to end.
const LIFE: Duration = Duration::from_secs(1);
/// The field of a request that has the number of its ticket.
pub(super) const TICKET: &str = "Ticket";

static FAILED: Seldom = Seldom::new();
static RENEWED: Seldom = Seldom::new();

/// The present tiny_http, and how to get the next one.
pub(super) struct Engine {
    context: Arc<Context>,
    present: Mutex<Present>,
    /// Those of every one that there was.
    threads: Threads,
}

struct Present {
    backend: Arc<Backend>,
    since: Instant,
    has_retired: bool,
}

/// One tiny_http. The order of the fields counts: it ends with the last knock on its socket.
struct Backend {
    server: tiny_http::Server,
    socket: PrivateSocket,
    tickets: Tickets,
}

/// Why a request has no answer.
enum Failure {
    /// All threads were busy until the deadline. Nothing was sent.
    Busy,
    /// It could not be sent.
    Unsent(io::Error),
    /// It was sent.
    Unanswered(io::Error),
}

impl Engine {
    /// Starts the first one.
    ///
    /// # Errors
    /// When there are no threads to be had, or no place for a socket.
    pub(super) fn start(context: &Arc<Context>) -> io::Result<Self> {
        let threads = Threads::new();
        let present = Present {
            backend: Backend::start(context, &threads)?,
            since: Instant::now(),
            has_retired: false,
        };
        Ok(Engine {
            context: context.clone(),
            present: Mutex::new(present),
            threads,
        })
    }

    /// The answer to the request that `write` makes with the number of its ticket. It must be whole and sound.
    ///
    /// # Errors
    /// When there is none before `deadline`. What was not begun by then is not begun any more.
    pub(super) fn ask(
        &self,
        deadline: Instant,
        write: impl Fn(u64) -> Vec<u8>,
    ) -> Result<Vec<u8>, Refusal> {
        let backend = self.present().backend.clone();
        let outcome = match backend.ask(deadline, &write) {
            Err(Failure::Unsent(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                let next = self.successor_of(&backend).map_err(Failure::Unsent);
                next.and_then(|next| next.ask(deadline, &write))
            }
            outcome => outcome,
        };
        outcome.map_err(Failure::told)
    }

    /// Has the threads end; who is being answered still is.
    pub(super) fn retire(&self) {
        let mut present = self.present();
        present.has_retired = true;
        present.backend.retire();
    }

    /// Waits for the threads, until `deadline` at most; says how many have not ended.
    pub(super) fn wait(&self, deadline: Instant) -> usize {
        self.threads.wait(deadline)
    }

    /// What replaces one that does not listen any more.
    fn successor_of(&self, ended: &Arc<Backend>) -> io::Result<Arc<Backend>> {
        {
            let mut present = self.present();
            if !Arc::ptr_eq(&present.backend, ended) {
                return Ok(present.backend.clone());
            }
            if present.has_retired || present.since.elapsed() < LIFE {
                return Err(io::Error::other(
                    "it has ended, and is begun anew in a moment",
                ));
            }
            // Whoever comes while it is begun is told so too.
            present.since = Instant::now();
        }
        let next = Backend::start(&self.context, &self.threads)?;
        RENEWED.say(|more| {
            log::warn!("the operator's port was begun anew, having run out of files{more}");
        });
        let mut present = self.present();
        std::mem::replace(&mut present.backend, next.clone()).retire();
        if present.has_retired {
            next.retire();
        }
        Ok(next)
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        // Every change is one assignment, so a panic leaves it whole.
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.retire();
    }
}

impl Backend {
    fn start(context: &Arc<Context>, threads: &Threads) -> io::Result<Arc<Self>> {
        let (socket, listener) = PrivateSocket::bind(&context.config())?;
        // It panics when there is no thread to be had.
        let server = catch_unwind(|| tiny_http::Server::from_listener(listener, None));
        let server = server.map_err(|_| io::Error::other("there is no thread to be had"))?;
        let server = server.map_err(io::Error::other)?;
        let backend = Arc::new(Backend {
            server,
            socket,
            tickets: Tickets::new(THREADS),
        });
        for number in 1..=THREADS {
            let (serving, context) = (backend.clone(), context.clone());
            let thread = thread::Builder::new().name(format!("admin-http-{number}"));
            let started = threads.start(thread, move || serving.serve(&context));
            started.inspect_err(|_| backend.retire())?;
        }
        Ok(backend)
    }

    fn ask(&self, deadline: Instant, write: impl Fn(u64) -> Vec<u8>) -> Result<Vec<u8>, Failure> {
        let ticket = self.tickets.take_by(deadline).ok_or(Failure::Busy)?;
        // Zero would be none.
        let patience = deadline.saturating_duration_since(Instant::now());
        let patience = patience.max(Duration::from_millis(1));
        let stream = self.socket.connect(patience).map_err(Failure::Unsent)?;
        exchange(stream, &write(ticket.number), deadline).map_err(Failure::Unanswered)
    }

    /// Answers until it is retired, or does not listen any more.
    fn serve(&self, context: &Context) {
        while let Ok(request) = self.server.recv() {
            // Whoever asked may have given up and been told so: what it asked for must not happen now.
            if let Some(_permit) =
                number_of(&request).and_then(|number| self.tickets.redeem(number))
            {
                respond(request, context);
            }
        }
    }

    /// Has its threads end.
    fn retire(&self) {
        for _ in 0..THREADS {
            self.server.unblock();
        }
    }
}

impl Failure {
    /// What an operator is told.
    fn told(self) -> Refusal {
        match self {
            Failure::Busy => Refusal::new(
                Kind::Overloaded,
                "all threads of the operator's port are busy; come back later",
            ),
            Failure::Unsent(error) => {
                FAILED.say(|more| log::error!("the operator's port cannot answer: {error}{more}"));
                Refusal::new(
                    Kind::Overloaded,
                    "the operator's port cannot answer at the moment, for want of files or threads; come back later",
                )
            }
            Failure::Unanswered(error) => {
                FAILED.say(|more| log::error!("the operator's port has no answer: {error}{more}"));
                Refusal::new(
                    Kind::Internal,
                    "the operator's port has no answer at the moment",
                )
            }
        }
    }
}

/// The number of a request's ticket.
fn number_of(request: &tiny_http::Request) -> Option<u64> {
    let mut fields = request.headers().iter();
    let field = fields.find(|field| field.field.equiv(TICKET))?;
    field.value.as_str().parse().ok()
}

fn respond(mut request: tiny_http::Request, context: &Context) {
    let mut body = Vec::new();
    // The gate has sent all of it, or has gone.
    if request.as_reader().read_to_end(&mut body).is_err() {
        return;
    }
    let method = Method::from_token(request.method().as_str().as_bytes());
    let method = method.unwrap_or_default();
    let asked = Asked::new(method, request.url(), &body);
    let outcome = catch_unwind(AssertUnwindSafe(|| route::answer(&asked, context)));
    let outcome = outcome.unwrap_or_else(|_| {
        log::error!("a panic in an endpoint of the operator's port; this is a bug in fourcast");
        Err(Refusal::new(Kind::Internal, "this endpoint is broken"))
    });
    let response =
        outcome.unwrap_or_else(|refusal| Response::refusal(&refusal, Some(context.retry_after())));
    log::debug!(
        "operator's port: {method} {} {}",
        asked.path,
        response.status()
    );
    let bytes = encoded(response, method == Method::Head);
    let mut writer = request.into_writer();
    // Fails when the gate has given up.
    let _ = writer.write_all(&bytes).and_then(|()| writer.flush());
}

/// Sends a request and reads the answer to its end.
fn exchange(mut stream: UnixStream, request: &[u8], deadline: Instant) -> io::Result<Vec<u8>> {
    stream.write_all(request)?;
    let mut answer = Vec::new();
    let mut page = [0; 16 * 1024];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut page)? {
            0 if answer.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            0 => return Ok(answer),
            count => answer.extend_from_slice(page.get(..count).unwrap_or_default()),
        }
        if answer.len() as u64 > ANSWER_BYTES {
            return Err(io::Error::other("an answer is too long"));
        }
    }
}
