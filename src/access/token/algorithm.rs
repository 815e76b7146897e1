//! The algorithms by which a token may be signed (RFC 7518, section 3.1; RFC 8037), and the kind of key of each.

use std::fmt;
use std::str::FromStr;

/// An algorithm. There is none for "none", and each goes with one kind of key, so that a public key is never taken for a
/// secret (RFC 8725, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// ECDSA with P-384 and SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

/// The kinds of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A secret that whoever signs and whoever verifies share.
    Secret,
    /// A public key of RSA.
    Rsa,
    /// A point of the curve P-256.
    P256,
    /// A point of the curve P-384.
    P384,
    /// A public key of Ed25519.
    Ed25519,
}

/// A text that names no algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownAlgorithm;

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 8] = [
        Algorithm::Hs256,
        Algorithm::Hs384,
        Algorithm::Hs512,
        Algorithm::Rs256,
        Algorithm::Ps256,
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::EdDsa,
    ];

    /// Its name in a token and in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Hs256 => "HS256",
            Algorithm::Hs384 => "HS384",
            Algorithm::Hs512 => "HS512",
            Algorithm::Rs256 => "RS256",
            Algorithm::Ps256 => "PS256",
            Algorithm::Es256 => "ES256",
            Algorithm::Es384 => "ES384",
            Algorithm::EdDsa => "EdDSA",
        }
    }

    /// The only kind of key that it is used with.
    pub const fn kind(self) -> Kind {
        match self {
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => Kind::Secret,
            Algorithm::Rs256 | Algorithm::Ps256 => Kind::Rsa,
            Algorithm::Es256 => Kind::P256,
            Algorithm::Es384 => Kind::P384,
            Algorithm::EdDsa => Kind::Ed25519,
        }
    }

    /// The least bytes of a secret for it: those of its hash (RFC 7518, section 3.2); 0 for those without a secret.
    pub const fn least_secret(self) -> usize {
        match self {
            Algorithm::Hs256 => 32,
            Algorithm::Hs384 => 48,
            Algorithm::Hs512 => 64,
            _ => 0,
        }
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    /// The exact text: another spelling is another name (RFC 7515, section 4.1.1).
    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        let mut all = Algorithm::ALL.into_iter();
        all.find(|algorithm| algorithm.name() == text)
            .ok_or(UnknownAlgorithm)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Secret => "a secret",
            Kind::Rsa => "an RSA key",
            Kind::P256 => "a P-256 key",
            Kind::P384 => "a P-384 key",
            Kind::Ed25519 => "an Ed25519 key",
        })
    }
}
