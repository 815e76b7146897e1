//! TLS 1.2 and 1.3 (RFC 5246, RFC 8446) for both ends: what is shown to whom, and one connection's session. No file
//! outside this folder knows which library does it; without the feature `tls` nothing of it is there.

#[cfg(feature = "tls")]
mod connector;
#[cfg(feature = "tls")]
mod identity;
#[cfg(feature = "tls")]
mod session;
#[cfg(test)]
#[cfg(feature = "tls")]
mod tests;

#[cfg(not(feature = "tls"))]
mod absent;

use std::fmt;

#[cfg(not(feature = "tls"))]
pub use absent::{Connector, Identity, Session};
#[cfg(feature = "tls")]
pub use connector::Connector;
#[cfg(feature = "tls")]
pub use identity::Identity;
#[cfg(feature = "tls")]
pub use session::Session;

/// The first byte of whoever speaks TLS: the type of a handshake record (RFC 8446, section 5.1).
pub const HANDSHAKE: u8 = 0x16;

/// Why certificates or keys cannot be used, as a sentence for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsError(String);

/// How far a handshake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shaken {
    /// Done, and all of it was sent.
    Done,
    /// It goes on when the wire has something to read.
    ToRead,
    /// It goes on when the wire takes more.
    ToWrite,
}

/// How a send that does not wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// So many bytes were taken; perhaps not all, and none where only what was taken earlier moved.
    Some(usize),
    /// Nothing moves at the moment.
    Full,
    /// The connection is broken.
    Broken,
}

impl TlsError {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        TlsError(sentence.into())
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}
