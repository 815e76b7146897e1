//! tiny_http behind a private socket: it parses what the gate rewrote, and its threads hand requests to the
//! endpoints. One failed `accept` (EMFILE) ends it for good; then there is another.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::gate::encoded;
use super::private_socket::PrivateSocket;
use super::route::{self, Asked};
use crate::delivery::Context;
use crate::http::Method;
use crate::http::response::Response;
use crate::refusal::{Kind, Refusal};
use crate::seldom::Seldom;

/// Threads that answer: one may be busy with something that takes its time.
const THREADS: usize = 2;
/// The most bytes of an answer.
const ANSWER_BYTES: u64 = 16 * 1024 * 1024;
/// How long one is used at least: each that is given up has threads that take some seconds to end.
const LIFE: Duration = Duration::from_secs(1);

static FAILED: Seldom = Seldom::new();
static RENEWED: Seldom = Seldom::new();

/// The present tiny_http, and how to get the next one.
pub(super) struct Engine {
    context: Arc<Context>,
    present: Mutex<Present>,
}

struct Present {
    backend: Arc<Backend>,
    threads: Vec<JoinHandle<()>>,
    since: Instant,
}

/// One tiny_http. The order of the fields counts: it ends with the last knock on its socket.
struct Backend {
    server: tiny_http::Server,
    socket: PrivateSocket,
}

impl Engine {
    /// Starts the first one.
    ///
    /// # Errors
    /// When there are no threads to be had, or no place for a socket.
    pub(super) fn start(context: &Arc<Context>) -> io::Result<Self> {
        Ok(Engine {
            context: context.clone(),
            present: Mutex::new(Present::start(context)?),
        })
    }

    /// The answer to `request`, which must be whole and sound.
    ///
    /// # Errors
    /// When there is none before `deadline`.
    pub(super) fn ask(&self, request: &[u8], deadline: Instant) -> Result<Vec<u8>, Refusal> {
        let patience = deadline.saturating_duration_since(Instant::now());
        let stream = self.connect(patience).map_err(|error| {
            FAILED.say(|more| log::error!("the operator's port cannot answer: {error}{more}"));
            Refusal::new(
                Kind::Overloaded,
                "the operator's port has no file or thread left; come back later",
            )
        })?;
        exchange(stream, request, deadline).map_err(|error| {
            FAILED.say(|more| log::error!("the operator's port has no answer: {error}{more}"));
            Refusal::new(
                Kind::Internal,
                "the operator's port has no answer at the moment",
            )
        })
    }

    /// Ends it, and waits for what is being answered.
    pub(super) fn stop(&self) {
        let (backend, threads) = {
            let mut present = self.present();
            (
                present.backend.clone(),
                std::mem::take(&mut present.threads),
            )
        };
        backend.retire();
        for thread in threads {
            let _ = thread.join();
        }
    }

    fn connect(&self, patience: Duration) -> io::Result<UnixStream> {
        let backend = self.present().backend.clone();
        match backend.socket.connect(patience) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                self.successor_of(&backend)?.socket.connect(patience)
            }
            outcome => outcome,
        }
    }

    /// What replaces one that does not listen any more.
    fn successor_of(&self, ended: &Arc<Backend>) -> io::Result<Arc<Backend>> {
        let mut present = self.present();
        if Arc::ptr_eq(&present.backend, ended) {
            if present.since.elapsed() < LIFE {
                return Err(io::Error::other(
                    "it has ended, and is begun anew in a moment",
                ));
            }
            *present = Present::start(&self.context)?;
            RENEWED.say(|more| {
                log::warn!("the operator's port was begun anew, having run out of files{more}");
            });
            ended.retire();
        }
        Ok(present.backend.clone())
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        // It is replaced as a whole.
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.present().backend.retire();
    }
}

impl Present {
    fn start(context: &Arc<Context>) -> io::Result<Self> {
        let (socket, listener) = PrivateSocket::bind(&context.config())?;
        // It panics when there is no thread to be had.
        let server = catch_unwind(|| tiny_http::Server::from_listener(listener, None));
        let server = server.map_err(|_| io::Error::other("there is no thread to be had"))?;
        let server = server.map_err(io::Error::other)?;
        let backend = Arc::new(Backend { server, socket });
        let mut threads = Vec::new();
        let retiring = backend.clone();
        for number in 1..=THREADS {
            let (backend, context) = (backend.clone(), context.clone());
            let thread = thread::Builder::new().name(format!("admin-http-{number}"));
            let thread = thread.spawn(move || backend.serve(&context));
            threads.push(thread.inspect_err(|_| retiring.retire())?);
        }
        Ok(Present {
            backend,
            threads,
            since: Instant::now(),
        })
    }
}

impl Backend {
    /// Answers until it is retired, or does not listen any more.
    fn serve(&self, context: &Context) {
        while let Ok(request) = self.server.recv() {
            respond(request, context);
        }
    }

    /// Has its threads end.
    fn retire(&self) {
        for _ in 0..THREADS {
            self.server.unblock();
        }
    }
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
