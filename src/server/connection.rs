//! The main loop of a connection: a head, a way, an answer, and again, until it becomes a stream or ends.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::ceilings;
use super::doorman::Doormen;
use super::inbound::{Inbound, READ_BYTES};
use super::memory::Reservation;
use super::proxies::{client_of, introduce};
use super::stream::{ReadError, Stream, Unshaken};
use crate::access::shares::{Asker, Client, TOO_FAST};
use crate::access::tally::Share;
use crate::config::Config;
use crate::delivery::framing::Framing;
use crate::delivery::long_poll::Outcome;
use crate::delivery::{Context, Listening, Query, long_poll, poll, stream as streaming, websocket};
use crate::exchange::later::event_stream;
use crate::exchange::origin::{self, Visitor};
use crate::exchange::publish::Publication;
use crate::exchange::{Plan, plan};
use crate::http::head::{BodyFraming, Head};
use crate::http::response::{Answering, Payload, Response};
use crate::http::{Method, Version};
use crate::peer::Peer;
use crate::refusal::{Kind, Refusal};
use crate::roster::{Berth, Traffic};
use crate::web::lanes::{Meter, Token};

/// The most of an unwanted body that is read so that the connection can go on.
const SKIPPED_BODY: u64 = 64 * 1024;
/// The most that is read after a refusal, so that its sender has a chance to read it.
const DRAINED: usize = 16 * 1024 * 1024;

/// One connection and what it has sent so far.
pub(super) struct Connection {
    context: Arc<Context>,
    doormen: Arc<Doormen>,
    /// What counts for the request under way.
    config: Arc<Config>,
    stream: Arc<Stream>,
    berth: Arc<Berth>,
    /// Whoever sends its requests: a client, or a proxy that says in each of them for whom it is.
    sender: Peer,
    /// Whose connection it is: who came to the door, or whom the PROXY protocol named.
    counted: Peer,
    inbound: Inbound,
    /// Whether a request was answered already.
    seasoned: bool,
    /// Requests that came too fast since the last one that was granted.
    too_fast: usize,
}

/// What comes after a request.
enum After {
    /// The next one.
    Keep,
    /// The end.
    Close,
    /// The end, after what the peer may still be sending was read, so that it can read its answer.
    Drain,
    /// No request any more: a stream.
    Listen(Box<dyn Listening>),
}

impl After {
    /// The same with what a stream counts for as long as it lasts.
    fn counted(self, shares: [Option<Share<Client>>; 2]) -> Self {
        match self {
            After::Listen(listening) if shares.iter().any(Option::is_some) => {
                let _shares = shares;
                After::Listen(Box::new(Counted { listening, _shares }))
            }
            after => after,
        }
    }
}

/// A stream that counts for a lane of the live page, as long as it lasts.
struct Measured {
    listening: Box<dyn Listening>,
    _meter: Meter,
}

impl Listening for Measured {
    fn listen(self: Box<Self>) {
        self.listening.listen();
    }
}

/// A stream that counts as long as it lasts: for the address that a proxy brought, and for whoever asked.
struct Counted {
    listening: Box<dyn Listening>,
    _shares: [Option<Share<Client>>; 2],
}

impl Listening for Counted {
    fn listen(self: Box<Self>) {
        self.listening.listen();
    }
}

/// A request under way.
struct Request {
    head: Head,
    visitor: Visitor,
    /// Whom it is for; not the proxy that brings it, if that is trusted. The stream's peer is the same until the next.
    client: Peer,
    /// Whether its body was read to its end.
    body_read: bool,
}

/// Counts as a request what comes without one, or before it, of whoever is known by then: a handshake, for which
/// something is signed, and a head that cannot be understood.
pub(super) fn count_stranger(
    context: &Context,
    config: &Config,
    sender: Peer,
) -> Result<(), Refusal> {
    let asker = Asker {
        address: sender.ip().filter(|_| !config.proxies.bring(sender)),
        holder: None,
    };
    context.shares.request(config, asker)
}

impl Connection {
    pub(super) fn new(context: Arc<Context>, doormen: Arc<Doormen>, stream: Arc<Stream>) -> Self {
        let berth = Arc::new(context.roster.berth(stream.clone()));
        Connection {
            config: context.config(),
            context,
            doormen,
            sender: stream.peer(),
            counted: stream.peer(),
            inbound: Inbound::new(stream.clone()),
            stream,
            berth,
            seasoned: false,
            too_fast: 0,
        }
    }

    pub(super) fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// Serves requests until either side ends the connection, or it becomes a stream. What is left to do
    /// for a stream is returned, for a thread that has nothing of this one's on its stack.
    pub(super) fn serve(mut self) -> Option<Box<dyn Listening>> {
        if self.introduce().is_none() {
            self.stream.shutdown();
            return None;
        }
        if let Err(refusal) = self.count_named() {
            self.doormen.refuse_brought(self.stream, refusal);
            return None;
        }
        loop {
            match self.exchange() {
                After::Keep => self.seasoned = true,
                After::Close => break,
                After::Drain => {
                    self.stream.shutdown_write();
                    self.stream.drain(self.config.timeouts.close, DRAINED);
                    break;
                }
                After::Listen(listening) => return Some(listening),
            }
        }
        self.stream.shutdown();
        None
    }

    /// Has a trusted proxy say whom it brings. Until then the connection is idle, and may be cut by a stopping server.
    fn introduce(&mut self) -> Option<()> {
        self.berth.hold(self.stream.clone());
        let deadline = Instant::now() + self.config.timeouts.head;
        let introduced = introduce(&self.stream, &self.config.proxies, deadline);
        self.berth.release();
        self.sender = self.stream.peer();
        introduced
    }

    /// Counts the connection for the client that the PROXY protocol named, from now on and also while nothing is asked:
    /// else one client could have all of them, as the proxy itself is not counted.
    fn count_named(&mut self) -> Result<(), Refusal> {
        let client = self.sender;
        if client == self.counted {
            return Ok(());
        }
        self.counted = client;
        let limits = &self.config.limits;
        let share = self.context.shares.connection(limits, client.ip())?;
        share
            .into_iter()
            .for_each(|share| self.stream.count_for(share));
        Ok(())
    }

    /// One request and its answer.
    fn exchange(&mut self) -> After {
        // With the handshake, which may bring the beginning of the request along.
        let before = self.traffic();
        if self.stream.awaits_handshake() {
            if let Err(refusal) = count_stranger(&self.context, &self.config, self.sender) {
                log::debug!("{}: no TLS: {refusal}", self.stream.peer());
                self.context.hub.metrics().refusals(refusal.kind).count();
                return After::Close;
            }
            if let Err(unshaken) = self.shake_hands() {
                return self.part(&unshaken);
            }
        }
        // Nobody knows yet whom the next one is for.
        self.stream.set_peer(self.sender);
        let head = match self.read_head() {
            Ok(Some(head)) => head,
            Ok(None) => return After::Close,
            Err(refusal) => return self.refuse_malformed(refusal),
        };
        self.context.hub.metrics().requests.count();
        match self.measure(&head, before) {
            None => self.answer_head(head),
            Some(meter) => match self.answer_head(head) {
                After::Listen(listening) => After::Listen(Box::new(Measured {
                    listening,
                    _meter: meter,
                })),
                after => {
                    meter.end(self.inbound.buffer.len());
                    after
                }
            },
        }
    }

    /// Refuses what is no request, which counts as one all the same; whoever sends it too fast is not answered.
    fn refuse_malformed(&mut self, refusal: Refusal) -> After {
        match count_stranger(&self.context, &self.config, self.sender) {
            Ok(()) => self.refuse(None, refusal),
            Err(_) => After::Close,
        }
    }

    /// What the requests up to here came to; by TLS roughly, as what was read ahead is taken off as it was decrypted.
    fn traffic(&self) -> Traffic {
        let mut traffic = self.stream.traffic();
        let unread = u64::try_from(self.inbound.buffer.len()).unwrap_or(u64::MAX);
        traffic.received = traffic.received.saturating_sub(unread);
        traffic
    }

    /// Begins to count an exchange that a lane of the live page asks to have counted, from `before` on.
    fn measure(&self, head: &Head, before: Traffic) -> Option<Meter> {
        let token = Token::in_query(head.query())?;
        let is_counted = self.config.has_page();
        is_counted.then(|| self.context.lanes.begin(token, self.stream.clone(), before))
    }

    /// Answers the request that begins with this head.
    fn answer_head(&mut self, head: Head) -> After {
        let client = client_of(&head, self.sender, &self.config.proxies);
        self.stream.set_peer(client);
        let mut request = Request {
            client,
            visitor: Visitor::of(&head, &self.config, self.stream.speaks_tls()),
            body_read: head.body == BodyFraming::None,
            head,
        };
        let (config, local) = (&self.config, self.stream.local());
        let shares = &self.context.shares;
        let mut counted = [None, None];
        let outcome = shares
            .request(config, self.asker())
            .and_then(|()| {
                counted[0] = self.count_brought()?;
                Ok(())
            })
            .and_then(|()| origin::check(&request.head, &request.visitor, config, local))
            .and_then(|()| {
                let access = self.context.access.get();
                plan(
                    &self.context,
                    config,
                    &access,
                    self.asker(),
                    &request.head,
                    &request.visitor,
                )
            })
            .and_then(|plan| {
                counted[1] = self.count(&plan)?;
                Ok(plan)
            })
            .and_then(|plan| self.follow(plan, &mut request));
        self.count_if_too_fast(outcome.as_ref().err());
        let after = match outcome {
            Ok(after) => after.counted(counted),
            Err(refusal) => self.refuse(Some(&mut request), refusal),
        };
        self.inbound.keep(request.head);
        after
    }

    /// Counts what is refused because it came too fast: to refuse costs as much as to answer, so whoever does not heed it
    /// has to connect again. A proxy that says in each request whom it brings keeps the connection that others need.
    fn count_if_too_fast(&mut self, refusal: Option<&Refusal>) {
        match refusal.map(|refusal| refusal.kind) {
            None => self.too_fast = 0,
            Some(Kind::RateLimited) if !self.config.proxies.bring(self.sender) => {
                self.too_fast = self.too_fast.saturating_add(1);
            }
            Some(_) => {}
        }
    }

    /// Who asks, by where the connection comes from.
    fn asker(&self) -> Asker<'static> {
        Asker {
            address: self.stream.peer().ip(),
            holder: None,
        }
    }

    /// Counts what a client takes whom a field of the request names: its connection is one of the proxy.
    fn count_brought(&self) -> Result<Option<Share<Client>>, Refusal> {
        let client = self.stream.peer();
        match client == self.counted {
            true => Ok(None),
            false => self
                .context
                .shares
                .connection(&self.config.limits, client.ip()),
        }
    }

    /// Counts what whoever asks is going to do, now that it is known who that is, as long as what is returned lasts.
    fn count(&self, plan: &Plan) -> Result<Option<Share<Client>>, Refusal> {
        let Some(pass) = plan.pass() else {
            return Ok(None);
        };
        let (shares, holder) = (&self.context.shares, pass.holder());
        let asker = Asker {
            address: None,
            holder: Some(holder),
        };
        shares.request(&self.config, asker)?;
        shares.presence(&self.config.limits, holder)
    }

    /// Goes where the request leads.
    fn follow(&mut self, mut plan: Plan, request: &mut Request) -> Result<After, Refusal> {
        if !matches!(plan, Plan::Publish(_)) && !request.body_read {
            self.skip_body(request)?;
            plan.confirm(&self.context.access.get())?;
        }
        Ok(match plan {
            Plan::Answer(response) => self.answer(request, response),
            Plan::Asset(response) => self.answer_bare(request, response),
            Plan::Publish(publication) => {
                let (response, _held) = self.publish(publication, request)?;
                self.answer(request, response)
            }
            Plan::Forget(channel, _) => {
                self.context.hub.forget(&channel)?;
                self.answer(request, Response::new(204))
            }
            Plan::Poll(query) => {
                let response = poll::answer(&self.context, &query)?;
                self.answer_at_length(request, response)?
            }
            Plan::LongPoll(query, wait) => self.long_poll(request, query, wait)?,
            Plan::Stream(query, framing, head) => {
                self.stream_events(request, &query, framing, head)
            }
            Plan::WebSocket(query, response) => self.speak_websocket(request, &query, response),
        })
    }

    fn long_poll(
        &mut self,
        request: &Request,
        query: Query,
        wait: Duration,
    ) -> Result<After, Refusal> {
        // Nobody waits longer than what it showed counts.
        let wait = query.pass.left().map_or(wait, |left| wait.min(left));
        // A HEAD never waits.
        let is_head = request.head.method == Method::Head;
        let keeps_alive = request.head.keeps_alive();
        let waiting = long_poll::Request {
            query,
            wait: if is_head { Duration::ZERO } else { wait },
            keeps_alive,
            encode: self.encoder(request),
        };
        let (context, stream) = (self.context.clone(), self.stream.clone());
        let outcome = long_poll::answer(
            &context,
            &stream,
            &self.berth,
            waiting,
            &mut self.inbound.buffer,
            READ_BYTES,
        )?;
        Ok(match outcome {
            Outcome::Answer(response) => {
                self.answer_at_length(request, long_poll::granting(response, wait))?
            }
            Outcome::Answered { goes_on: true } => After::Keep,
            Outcome::Answered { goes_on: false } => After::Drain,
            Outcome::Gone => After::Close,
        })
    }

    /// How somebody else writes the answer to a long poll.
    fn encoder(&self, request: &Request) -> long_poll::Encode {
        let visitor = request.visitor.clone();
        let usual = self.answering(request.head.version, false);
        let idle = self.config.timeouts.idle;
        Box::new(move |response, keep| {
            let answering = Answering {
                keep_alive: keep.then_some(idle),
                date: SystemTime::now(),
                ..usual
            };
            visitor.decorate(response).encode(&answering)
        })
    }

    fn stream_events(
        &mut self,
        request: &Request,
        query: &Query,
        framing: &'static dyn Framing,
        head: Response,
    ) -> After {
        let opening = streaming::find_opening(&self.context, query);
        let begun = self.write(request, request.visitor.decorate(head), false);
        if !begun || request.head.method == Method::Head {
            return After::Close;
        }
        // What else the client sent means nothing.
        let (context, stream, berth) = self.parts();
        After::Listen(streaming::begin(
            context, stream, berth, query, opening, framing,
        ))
    }

    fn speak_websocket(&mut self, request: &Request, query: &Query, response: Response) -> After {
        let opening = streaming::find_opening(&self.context, query);
        if !self.write(request, response, false) {
            return After::Close;
        }
        let early = std::mem::take(&mut self.inbound.buffer);
        let (context, stream, berth) = self.parts();
        After::Listen(websocket::begin(
            context, stream, berth, query, opening, early,
        ))
    }

    /// What goes on when this connection is no HTTP any more.
    fn parts(&self) -> (Arc<Context>, Arc<Stream>, Arc<Berth>) {
        (
            self.context.clone(),
            self.stream.clone(),
            self.berth.clone(),
        )
    }

    /// Publishes what the request brings; the answer, with the memory that it takes until it is written.
    fn publish(
        &mut self,
        mut publication: Publication,
        request: &mut Request,
    ) -> Result<(Response, Reservation), Refusal> {
        let limits = &self.config.limits;
        let most = u64::try_from(publication.most_bytes(limits)).unwrap_or(u64::MAX);
        let mut held = self.context.memory.nothing();
        let body = self.read_body(request, most, &mut held)?;
        publication.confirm(&self.context.access.get())?;
        // What comes in is there twice for a moment: as it came, and as events.
        held.hold(body.capacity().saturating_add(body.len()))?;
        let (config, pass) = (&self.config, publication.pass().clone());
        let asker = Asker {
            holder: Some(pass.holder()),
            ..self.asker()
        };
        let mut answer_held = self.context.memory.nothing();
        let admit = |events, answer_bytes: usize| {
            // Before anything is published: afterwards a refusal would be a lie.
            answer_held.hold(answer_bytes.saturating_mul(2))?;
            self.context.shares.publishes(config, asker, events)
        };
        let response = publication.commit(&self.context.hub, &config.limits, body, admit)?;
        Ok((response, answer_held))
    }
}

/// TLS.
impl Connection {
    /// Until it is done the connection is idle, and may be cut by a stopping server.
    fn shake_hands(&self) -> Result<(), Unshaken> {
        self.berth.hold(self.stream.clone());
        let deadline = Instant::now() + self.config.timeouts.handshake;
        let shaken = self.stream.shake_hands(deadline);
        self.berth.release();
        shaken
    }

    /// What is left to do with a peer with which there is no TLS.
    fn part(&mut self, unshaken: &Unshaken) -> After {
        log::debug!("{}: no TLS: {unshaken}", self.stream.peer());
        self.context.hub.metrics().handshakes_failed.count();
        match unshaken {
            Unshaken::Plain => self.refuse(
                None,
                Refusal::new(
                    Kind::BadRequest,
                    "this port speaks TLS: use https:// (or wss://) instead of http:// (or ws://)",
                ),
            ),
            Unshaken::Silent(_) | Unshaken::Failed(_) => After::Close,
        }
    }
}

/// Reading.
impl Connection {
    /// The next head; `None` when there is none to come.
    fn read_head(&mut self) -> Result<Option<Head>, Refusal> {
        let is_quiet = self.inbound.buffer.is_empty();
        if is_quiet && self.await_request().is_err() {
            return Ok(None);
        }
        // What counts for this request, to its end.
        self.config = self.context.config();
        let ceilings = ceilings(&self.config.limits);
        self.inbound.read_head(&ceilings, self.config.timeouts.head)
    }

    /// Waits for the first bytes of a request. Until then the connection is idle, and may be cut by a
    /// stopping server.
    fn await_request(&mut self) -> Result<usize, ReadError> {
        let timeouts = &self.config.timeouts;
        let idle = if self.seasoned {
            timeouts.idle
        } else {
            timeouts.head
        };
        let buffer = &mut self.inbound.buffer;
        // What a large body needed.
        buffer.shrink_to(READ_BYTES);
        self.berth.hold(self.stream.clone());
        if self.seasoned {
            // Under load the next request comes while others run, and to find it there spares falling asleep
            // and being woken: 56,000 polls a CPU second instead of 47,000, 51,000 publishes instead of 39,000
            // (16 connections, 2 cores).
            thread::yield_now();
        }
        let deadline = Instant::now() + idle;
        let read = self.stream.append_to(buffer, READ_BYTES, deadline);
        self.berth.release();
        read
    }

    /// The body of a request, `most` bytes at most, for which memory is `held` as it grows.
    fn read_body(
        &mut self,
        request: &mut Request,
        most: u64,
        held: &mut Reservation,
    ) -> Result<Vec<u8>, Refusal> {
        self.context.memory.check()?;
        let (timeouts, hold) = (&self.config.timeouts, |bytes| held.hold(bytes));
        let body = self
            .inbound
            .read_body(&request.head, most, timeouts, hold)?;
        request.body_read = true;
        Ok(body)
    }

    /// Reads a body that nobody asked for, so that the next request can be found behind it.
    fn skip_body(&mut self, request: &mut Request) -> Result<(), Refusal> {
        let mut held = self.context.memory.nothing();
        self.read_body(request, SKIPPED_BODY, &mut held)?;
        Ok(())
    }
}

/// Writing.
impl Connection {
    fn answer(&mut self, request: &Request, response: Response) -> After {
        self.answer_bare(request, request.visitor.decorate(response))
    }

    /// The same with one that may be large, and is held until a peer that reads slowly has taken it: as it was built,
    /// and as it is sent.
    fn answer_at_length(
        &mut self,
        request: &Request,
        response: Response,
    ) -> Result<After, Refusal> {
        let mut held = self.context.memory.nothing();
        if let Payload::Full(body) = response.payload() {
            held.hold(body.len().saturating_mul(2))?;
        }
        Ok(self.answer(request, response))
    }

    fn answer_bare(&mut self, request: &Request, response: Response) -> After {
        let keep = request.head.keeps_alive()
            && self.too_fast <= TOO_FAST
            && self.context.shutdown.begun().is_none();
        let written = self.write(request, response, keep);
        match written && keep {
            true => After::Keep,
            false => After::Drain,
        }
    }

    /// Answers with a refusal. The connection goes on when the request was whole and understood.
    fn refuse(&mut self, request: Option<&mut Request>, refusal: Refusal) -> After {
        log::debug!("{}: refused: {refusal}", self.stream.peer());
        self.context.hub.metrics().refusals(refusal.kind).count();
        let response = Response::refusal(&refusal, Some(self.context.retry_after()));
        let Some(request) = request else {
            let answering = self.answering(Version::Http11, false);
            self.send(Visitor::unknown().decorate(response), &answering);
            return After::Drain;
        };
        let later = event_stream(&self.context, &request.head, &request.visitor, &refusal);
        if let Some((response, last)) = later {
            if self.write(request, response, false) {
                // Whoever has gone meanwhile needs no goodbye.
                let _ = self.stream.write_all(&last, self.config.timeouts.write);
            }
            return After::Drain;
        }
        // What waits for a 100 sends no body after a final answer, or sends it all the same: nobody knows.
        let whole = |connection: &mut Self, request: &mut Request| {
            request.body_read
                || (!request.head.expects_continue() && connection.skip_small_body(request))
        };
        if !breaks_framing(refusal.kind) && whole(self, request) {
            return self.answer(request, response);
        }
        self.write(request, request.visitor.decorate(response), false);
        After::Drain
    }

    /// Reads what is left of the body if it has come already.
    fn skip_small_body(&mut self, request: &mut Request) -> bool {
        let BodyFraming::Sized(length) = request.head.body else {
            return false;
        };
        let Ok(length) = usize::try_from(length) else {
            return false;
        };
        if length > self.inbound.buffer.len() {
            return false;
        }
        self.inbound.buffer.drain(..length);
        request.body_read = true;
        true
    }

    fn write(&self, request: &Request, response: Response, keep: bool) -> bool {
        let idle = self.config.timeouts.idle;
        let is_head = request.head.method == Method::Head;
        let answering = Answering {
            keep_alive: keep.then_some(idle),
            ..self.answering(request.head.version, is_head)
        };
        log::debug!(
            "{}: {} {} {}",
            request.client,
            request.head.method,
            request.head.path(),
            response.status()
        );
        self.send(response, &answering)
    }

    fn send(&self, response: Response, answering: &Answering) -> bool {
        self.stream
            .write_all(&response.encode(answering), self.config.timeouts.write)
            .is_ok()
    }

    /// What an answer is given that comes now and is the last.
    fn answering(&self, version: Version, head_only: bool) -> Answering {
        Answering {
            version,
            keep_alive: None,
            head_only,
            date: SystemTime::now(),
            names_server: self.config.server_header,
        }
    }
}

/// After these nobody knows where the next request begins (RFC 9112, section 11.2).
fn breaks_framing(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::BadRequest | Kind::RequestTimeout | Kind::Internal
    )
}
