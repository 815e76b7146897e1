//! One connection's TLS: plaintext on our side, records on the wire's. Nothing in here waits, so that a lock is enough
//! to read and to write at the same time: whoever finds the wire empty or full waits without it.

use std::io::{self, BufRead as _, IoSlice, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Connection, ServerConnection};

use super::{Connector, Identity, Sent, Shaken, TlsError};

/// The most bytes that one send takes.
const PAGE: usize = 64 * 1024;
/// The most of them that are encrypted before the wire has taken what came before: so much a slow reader costs, and
/// as much as one record holds (RFC 8446, section 5.1).
const RECORD: usize = 16 * 1024;

/// The two directions of one connection, for any thread.
pub struct Session {
    connection: Mutex<Connection>,
    /// Held by whoever waits for the connection next.
    turn: Mutex<()>,
}

/// What pushing ciphertext out came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pushed {
    /// Nothing is left.
    All,
    /// Some of it left.
    Part,
    /// None of it left.
    None,
    Broken,
}

impl Session {
    /// The server's side of a connection that begins.
    ///
    /// # Errors
    /// When the library cannot begin, which would be a bug.
    pub fn accept(identity: &Identity) -> Result<Self, TlsError> {
        Self::over(ServerConnection::new(identity.config()).map(Connection::Server))
    }

    /// The client's side of a connection that begins, to the server called `host`.
    ///
    /// # Errors
    /// When `host` is neither a name nor an address.
    pub fn connect(connector: &Connector, host: &str) -> Result<Self, TlsError> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| TlsError::new(format!("{host:?} is no name that a certificate has")))?;
        Self::over(ClientConnection::new(connector.config(), name).map(Connection::Client))
    }

    pub(super) fn over(connection: Result<Connection, rustls::Error>) -> Result<Self, TlsError> {
        let mut connection = connection.map_err(|error| TlsError::new(error.to_string()))?;
        connection.set_buffer_limit(Some(RECORD));
        Ok(Session {
            connection: Mutex::new(connection),
            turn: Mutex::new(()),
        })
    }

    /// Goes on with the handshake as far as the wire allows.
    ///
    /// # Errors
    /// When the peer ended, broke the protocol, or has nothing in common with us. It has been told.
    pub fn shake_hands(&self, wire: &mut (impl Read + Write)) -> io::Result<Shaken> {
        let mut connection = self.lock()?;
        loop {
            match push(&mut connection, wire) {
                Pushed::All => {}
                Pushed::Part | Pushed::None => return Ok(Shaken::ToWrite),
                Pushed::Broken => return Err(io::ErrorKind::BrokenPipe.into()),
            }
            if !connection.is_handshaking() {
                return Ok(Shaken::Done);
            }
            match take_records(&mut connection, wire) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Shaken::ToRead);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives plaintext to `sink`, which says how much of it it takes: what is there already, else what one read of the
    /// wire brings. `Ok(0)`: the peer has said that nothing more comes.
    ///
    /// # Errors
    /// `WouldBlock` when there is none until the wire has more to read; `UnexpectedEof` when the wire ended without a
    /// word of the peer (RFC 8446, section 6.1); others when it broke, or the peer broke the protocol.
    pub fn receive(
        &self,
        wire: &mut (impl Read + Write),
        mut sink: impl FnMut(&[u8]) -> usize,
    ) -> io::Result<usize> {
        let mut connection = self.lock()?;
        match take_plaintext(&mut connection, &mut sink) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            given => return given,
        }
        take_records(&mut connection, wire)?;
        // What the peer is to be answered, such as new keys. What the wire does not take now leaves before what is sent
        // next.
        push(&mut connection, wire);
        take_plaintext(&mut connection, &mut sink)
    }

    /// Encrypts as much of `slices` as the wire takes, and one record more at most. What was taken earlier leaves first:
    /// while any of it is left, nothing is taken.
    pub fn send(&self, wire: &mut impl Write, slices: &[IoSlice<'_>]) -> Sent {
        let Ok(mut connection) = self.lock() else {
            return Sent::Broken;
        };
        match push(&mut connection, wire) {
            Pushed::All => {}
            Pushed::Part => return Sent::Some(0),
            Pushed::None => return Sent::Full,
            Pushed::Broken => return Sent::Broken,
        }
        let mut slices = slices.to_vec();
        let mut left = &mut slices[..];
        // Nothing is left of slices that are all empty.
        IoSlice::advance_slices(&mut left, 0);
        let mut taken = 0;
        while !left.is_empty() && taken < PAGE {
            let written = connection.writer().write_vectored(left);
            match written {
                Ok(count @ 1..) if connection.wants_write() => {
                    taken += count;
                    IoSlice::advance_slices(&mut left, count);
                }
                // Where nothing is taken although there is room, or nothing is encrypted, the keys are used up (RFC 8446,
                // section 5.5) and no others follow: by TLS 1.2, where close_notify has taken the last place, or when
                // the peer leaves a message of the handshake unfinished.
                Ok(_) | Err(_) => return Sent::Broken,
            }
            match push(&mut connection, wire) {
                Pushed::All => {}
                Pushed::Part | Pushed::None => break,
                Pushed::Broken => return Sent::Broken,
            }
        }
        Sent::Some(taken)
    }

    /// Whether bytes that were taken wait for the wire.
    pub fn owes(&self) -> bool {
        self.lock().is_ok_and(|connection| connection.wants_write())
    }

    /// Tells the peer that nothing more comes (RFC 8446, section 6.1), if the wire takes it.
    pub fn say_end(&self, wire: &mut impl Write) {
        if let Ok(mut connection) = self.lock() {
            connection.send_close_notify();
            push(&mut connection, wire);
        }
    }

    /// Fails after a panic while somebody had it, which ends this connection only.
    fn lock(&self) -> io::Result<MutexGuard<'_, Connection>> {
        // By itself a mutex goes to a reader that comes back at once, again and again, before a sender has woken up: a
        // peer that sends records of nothing without a pause would have a shard wait (up to 340 ms on a busy host of two
        // cores, 35 with this).
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.connection
            .lock()
            .map_err(|_| io::ErrorKind::Other.into())
    }
}

/// Reads the wire once, and understands what is whole by then; `Ok(0)`: the wire has ended.
fn take_records(connection: &mut Connection, wire: &mut (impl Read + Write)) -> io::Result<usize> {
    let count = connection.read_tls(wire)?;
    if let Err(error) = connection.process_new_packets() {
        // The alert that says why.
        push(connection, wire);
        return Err(io::Error::new(io::ErrorKind::InvalidData, error));
    }
    Ok(count)
}

fn take_plaintext(
    connection: &mut Connection,
    sink: &mut impl FnMut(&[u8]) -> usize,
) -> io::Result<usize> {
    let mut reader = connection.reader();
    let count = sink(reader.fill_buf()?);
    reader.consume(count);
    Ok(count)
}

fn push(connection: &mut Connection, wire: &mut impl Write) -> Pushed {
    let mut moved = false;
    while connection.wants_write() {
        match connection.write_tls(wire) {
            Ok(0) => return Pushed::Broken,
            Ok(_) => moved = true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return if moved { Pushed::Part } else { Pushed::None };
            }
            Err(_) => return Pushed::Broken,
        }
    }
    Pushed::All
}
