//! What stands for TLS in a program that was built without it: nobody gets any of it.

use std::convert::Infallible;
use std::io::{self, IoSlice, Read, Write};
use std::path::{Path, PathBuf};

use super::{Sent, Shaken, TlsError};
use crate::upkeep::Source;

const SENTENCE: &str = "this program was built without TLS: build it with the feature \"tls\", or leave TLS to a proxy in front";

/// Never there.
pub struct Identity(Infallible);

/// Never there.
#[derive(Clone)]
pub struct Connector(Infallible);

/// Never there.
pub struct Session(Infallible);

impl Identity {
    /// Cannot be read.
    pub fn source(_: PathBuf, _: PathBuf) -> Source<Self> {
        Source::new(Vec::new(), |_| Err(SENTENCE.to_owned()))
    }
}

impl Connector {
    /// # Errors
    /// Always.
    pub fn load(_: Option<&Path>) -> Result<Self, TlsError> {
        Err(TlsError::new(SENTENCE))
    }
}

impl Session {
    /// # Errors
    /// Never.
    pub fn accept(identity: &Identity) -> Result<Self, TlsError> {
        match identity.0 {}
    }

    /// # Errors
    /// Never.
    pub fn connect(connector: &Connector, _: &str) -> Result<Self, TlsError> {
        match connector.0 {}
    }

    /// # Errors
    /// Never.
    pub fn shake_hands(&self, _: &mut (impl Read + Write)) -> io::Result<Shaken> {
        match self.0 {}
    }

    /// # Errors
    /// Never.
    pub fn receive(
        &self,
        _: &mut (impl Read + Write),
        _: impl FnMut(&[u8]) -> usize,
    ) -> io::Result<usize> {
        match self.0 {}
    }

    /// Nothing.
    pub fn send(&self, _: &mut impl Write, _: &[IoSlice<'_>]) -> Sent {
        match self.0 {}
    }

    /// Nothing.
    pub fn owes(&self) -> bool {
        match self.0 {}
    }

    /// Nothing.
    pub fn say_end(&self, _: &mut impl Write) {
        match self.0 {}
    }
}
