//! One connection's bytes, plain or by TLS: blocking reads for its own thread, sends that never wait for everyone else.

mod plain;

use std::fmt;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::net::Shutdown;

use self::plain::{Now, Plain};
use super::permit::Permit;
use super::socket::Socket;
use crate::access::current::Current;
use crate::access::shares::Client;
use crate::access::tally::Share;
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::roster::{Guest, Link, Presence, Traffic};
use crate::shutdown::Leaving;
pub use crate::tls::Sent;
use crate::tls::{HANDSHAKE, Identity, Session, Shaken};

const GARBAGE: &str = "its first byte begins neither TLS nor HTTP";

/// A socket and the permit that it holds; both go together, when the last of those who share it lets
/// go. Until then it is ended by shutdown only, so that nobody writes to a number that was given away.
pub struct Stream {
    socket: Plain,
    /// Changes when a trusted proxy says whom it brings; held for a copy only.
    peer: Mutex<Peer>,
    local: Option<IpAddr>,
    /// What a peer is shown that has not shaken hands yet.
    identity: Option<Arc<Identity>>,
    /// From the end of the handshake on; without it bytes go as they are.
    session: OnceLock<Box<Session>>,
    /// What it counts for, where the PROXY protocol named its client.
    brought: OnceLock<Share<Client>>,
    _permit: Option<Permit>,
}

/// How a read ended without bytes.
#[derive(Debug)]
pub enum ReadError {
    /// The deadline came first.
    TimedOut,
    /// The peer will send nothing more, or the connection broke.
    HungUp,
}

/// Why there is no TLS with a peer.
#[derive(Debug)]
pub enum Unshaken {
    /// It speaks plain HTTP, as it seems, and can be told so.
    Plain,
    /// It said nothing, or went.
    Silent(ReadError),
    /// It cannot be understood, or has nothing in common with us.
    Failed(io::Error),
}

impl Stream {
    /// Takes over an accepted socket.
    ///
    /// # Errors
    /// When the socket has already gone.
    pub fn new(socket: impl Into<Socket>, permit: Option<Permit>) -> io::Result<Self> {
        let socket = socket.into();
        socket.send_at_once()?;
        let (peer, local) = (socket.peer()?, socket.local()?);
        Ok(Stream {
            socket: Plain::new(socket.into()),
            peer: Mutex::new(peer),
            local,
            identity: None,
            session: OnceLock::new(),
            brought: OnceLock::new(),
            _permit: permit,
        })
    }

    /// Has the peer [shake hands](Self::shake_hands) before anything else, if there is something to show it.
    pub fn showing(self, identity: Option<Arc<Identity>>) -> Self {
        Stream { identity, ..self }
    }

    /// Whoever is at the other end; behind a trusted proxy the client that it speaks for at the moment.
    pub fn peer(&self) -> Peer {
        *self.peer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whom the proxy at the other end speaks for from now on.
    pub fn set_peer(&self, client: Peer) {
        *self.peer.lock().unwrap_or_else(PoisonError::into_inner) = client;
    }

    /// Has it count for the client that its proxy brought, as long as it is open.
    pub fn count_for(&self, client: Share<Client>) {
        // One client is named once.
        let _ = self.brought.set(client);
    }

    /// The address of this end; a Unix socket has none.
    pub fn local(&self) -> Option<IpAddr> {
        self.local
    }

    /// What went over it so far, as it was on the wire.
    pub fn traffic(&self) -> Traffic {
        self.socket.traffic()
    }

    /// Whether this end asks for TLS.
    pub fn speaks_tls(&self) -> bool {
        self.identity.is_some()
    }

    /// Whether nothing may be read or sent before the [handshake](Self::shake_hands).
    pub fn awaits_handshake(&self) -> bool {
        self.identity.is_some() && self.session.get().is_none()
    }

    /// Begins TLS, if this end asks for it: waits for the peer and shakes hands with it until `deadline`. For the
    /// connection's own thread only.
    ///
    /// # Errors
    /// When nothing came of it. The peer has been told, unless it speaks plain HTTP: what is sent now goes as it is.
    pub fn shake_hands(&self, deadline: Instant) -> Result<(), Unshaken> {
        let Some(identity) = &self.identity else {
            return Ok(());
        };
        match self.socket.peek(deadline).map_err(Unshaken::Silent)? {
            HANDSHAKE => {}
            letter if letter.is_ascii_uppercase() => return Err(Unshaken::Plain),
            _ => return Err(Unshaken::Failed(io::Error::other(GARBAGE))),
        }
        let session = Session::accept(identity).map_err(io::Error::other);
        let session = session.map_err(Unshaken::Failed)?;
        loop {
            let shaken = session.shake_hands(&mut Now(&self.socket));
            let is_ready = match shaken.map_err(Unshaken::Failed)? {
                Shaken::Done => break,
                Shaken::ToRead => self.socket.wait_readable(deadline),
                Shaken::ToWrite => self.socket.wait_writable(left_until(deadline)),
            };
            if !is_ready {
                return Err(Unshaken::Silent(ReadError::TimedOut));
            }
        }
        // Nobody else sets it.
        let _ = self.session.set(Box::new(session));
        Ok(())
    }

    /// Reads what there is, waiting for it until `deadline`. For the connection's own thread only.
    ///
    /// # Errors
    /// When there is nothing to be had any more, or not in time.
    pub fn read(&self, buffer: &mut [u8], deadline: Instant) -> Result<usize, ReadError> {
        match self.session.get() {
            None => self.socket.read(buffer, deadline),
            Some(session) => self.decrypting(session, deadline, |plaintext| {
                let count = plaintext.len().min(buffer.len());
                buffer[..count].copy_from_slice(&plaintext[..count]);
                count
            }),
        }
    }

    /// The same behind what `buffer` holds already, `most` bytes at most. The room is not cleared first.
    pub fn append_to(
        &self,
        buffer: &mut Vec<u8>,
        most: usize,
        deadline: Instant,
    ) -> Result<usize, ReadError> {
        match self.session.get() {
            None => {
                buffer.reserve(most);
                self.socket.append_to(buffer, deadline)
            }
            Some(session) => self.decrypting(session, deadline, |plaintext| {
                let count = plaintext.len().min(most);
                buffer.extend_from_slice(&plaintext[..count]);
                count
            }),
        }
    }

    /// The session is locked while bytes are taken from the socket and decrypted, and not while this waits for them.
    fn decrypting(
        &self,
        session: &Session,
        deadline: Instant,
        mut sink: impl FnMut(&[u8]) -> usize,
    ) -> Result<usize, ReadError> {
        loop {
            // Also where bytes are there: whoever sends without a pause would put off all that is due at its time.
            if Instant::now() >= deadline {
                return Err(ReadError::TimedOut);
            }
            match session.receive(&mut Now(&self.socket), &mut sink) {
                Ok(0) => return Err(ReadError::HungUp),
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.socket.wait_readable(deadline) {
                        return Err(ReadError::TimedOut);
                    }
                }
                Err(_) => return Err(ReadError::HungUp),
            }
        }
    }

    /// Writes all of `bytes`, giving up when nothing moves for `patience`.
    ///
    /// # Errors
    /// When the connection broke, or the peer does not read.
    pub fn write_all(&self, bytes: &[u8], patience: Duration) -> io::Result<()> {
        self.writing(bytes, || patience)
    }

    /// The same, giving up at `deadline` also when something moves now and then.
    ///
    /// # Errors
    /// When the connection broke, or the peer does not read fast enough.
    pub fn write_all_by(&self, bytes: &[u8], deadline: Instant) -> io::Result<()> {
        self.writing(bytes, || left_until(deadline))
    }

    fn writing(&self, mut bytes: &[u8], patience: impl Fn() -> Duration) -> io::Result<()> {
        while !bytes.is_empty() || self.owes() {
            match self.try_send(bytes) {
                Sent::Some(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Sent::Full if self.socket.wait_writable(patience()) => {}
                Sent::Full => return Err(io::ErrorKind::TimedOut.into()),
                Sent::Broken => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
        Ok(())
    }

    /// Sends what fits without waiting. What fits is taken; whether all of that has left, [`owes`](Self::owes) tells.
    pub fn try_send(&self, bytes: &[u8]) -> Sent {
        match self.session.get() {
            None => self.socket.try_send(bytes),
            Some(session) => session.send(&mut Now(&self.socket), &[IoSlice::new(bytes)]),
        }
    }

    /// The same of several slices, 1,024 at most.
    pub fn try_send_slices(&self, slices: &[IoSlice<'_>]) -> Sent {
        match self.session.get() {
            None => self.socket.try_send_slices(slices),
            Some(session) => session.send(&mut Now(&self.socket), slices),
        }
    }

    /// Whether bytes that were taken have not left yet: encrypted they are sent as they are or not at all. Whoever sent
    /// them sends on, if need be nothing, until they have.
    pub fn owes(&self) -> bool {
        self.session.get().is_some_and(|session| session.owes())
    }

    /// Waits until something can be sent, or the connection broke; `false` when neither came in time.
    pub fn wait_writable(&self, patience: Duration) -> bool {
        self.socket.wait_writable(patience)
    }

    /// Whether the peer has closed its side, seen without reading.
    pub fn has_hung_up(&self) -> bool {
        self.socket.has_hung_up()
    }

    /// Sends the end of the stream; reading goes on. Where the wire is full, the peer of TLS sees a cut: nobody waits to
    /// say a last word after the last words.
    pub fn shutdown_write(&self) {
        self.say_end();
        self.socket.shutdown(Shutdown::Write);
    }

    /// Ends both directions; whoever is blocked in a read returns.
    pub fn shutdown(&self) {
        self.say_end();
        self.socket.shutdown(Shutdown::Both);
    }

    /// The same with a peer that does not read what it is sent: the system would hold that for minutes.
    pub fn abort(&self) {
        self.socket.forget_unsent();
        self.shutdown();
    }

    fn say_end(&self) {
        if let Some(session) = self.session.get() {
            session.say_end(&mut Now(&self.socket));
        }
    }

    /// Reads and drops what the peer still sends, until it ends, `patience` is over or it sent `most`
    /// bytes: a close with unread bytes would reset the connection and take our last words with it.
    pub fn drain(&self, patience: Duration, most: usize) {
        let deadline = Instant::now() + patience;
        // Not on the stack, of which every stream's thread would touch a page more.
        let mut scratch = vec![0; 4096];
        let mut left = most;
        while left > 0 {
            let Ok(count) = self.read(&mut scratch, deadline) else {
                return;
            };
            left = left.saturating_sub(count);
        }
    }
}

impl Link for Stream {
    fn peer(&self) -> Peer {
        self.peer()
    }

    fn traffic(&self) -> Traffic {
        self.traffic()
    }

    fn cut(&self) {
        self.shutdown();
    }
}

/// An idle connection is simply cut.
impl Guest for Stream {
    fn presence(&self) -> Presence {
        Presence::between_requests()
    }

    fn leave(&self, _: Leaving) {
        self.shutdown();
    }

    fn dismiss(&self, _: &Refusal) {
        self.shutdown();
    }

    /// The next request is held against what counts then.
    fn obey(&self, _: &Current) {}
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl fmt::Display for Unshaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unshaken::Plain => f.write_str("plain HTTP where TLS is spoken"),
            Unshaken::Silent(ReadError::TimedOut) => f.write_str("it did not end in time"),
            Unshaken::Silent(ReadError::HungUp) => f.write_str("the peer went"),
            Unshaken::Failed(error) => error.fmt(f),
        }
    }
}

fn left_until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
