//! A key that verifies signatures, and only those of its own kind.

use std::fmt;

use ring::hmac;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
    VerificationAlgorithm,
};

use super::algorithm::{Algorithm, Kind};

/// Shorter ones could be guessed from one token, without asking anybody.
const LEAST_SECRET: usize = 32;
/// What ring verifies; shorter ones can be factored.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A key that verifies.
#[derive(Clone)]
pub struct Key {
    /// Its name, which a token may ask for (`kid`); `None`: it has none, and is tried whatever a token asks for.
    pub id: Option<Box<str>>,
    /// The only algorithm that it may be used with; `None`: all of its kind.
    pub algorithm: Option<Algorithm>,
    /// The key itself.
    pub material: Material,
}

/// What a key is made of. Can only be made well.
#[derive(Clone)]
pub struct Material(Bytes);

#[derive(Clone)]
enum Bytes {
    Secret(Box<[u8]>),
    /// Modulus and exponent, big endian, without leading zeros.
    Rsa(Box<[u8]>, Box<[u8]>),
    /// An uncompressed point (SEC 1, section 2.3.3).
    P256(Box<[u8]>),
    P384(Box<[u8]>),
    Ed25519(Box<[u8]>),
}

/// Why something is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadKey {
    /// A secret of less than 32 bytes.
    ShortSecret,
    /// A modulus of less than 2048 bits.
    SmallModulus,
    /// A modulus of more than 8192 bits.
    LargeModulus,
    /// An exponent that is even, less than 3, or has more than 33 bits.
    Exponent,
    /// Not as long as a point of its curve, or not uncompressed.
    Point,
}

impl Material {
    /// A shared secret.
    ///
    /// # Errors
    /// When it is shorter than 32 bytes.
    pub fn secret(bytes: &[u8]) -> Result<Self, BadKey> {
        match bytes.len() {
            LEAST_SECRET.. => Ok(Material(Bytes::Secret(bytes.into()))),
            _ => Err(BadKey::ShortSecret),
        }
    }

    /// A public key of RSA: modulus and exponent, big endian.
    ///
    /// # Errors
    /// When the modulus has less than 2048 or more than 8192 bits, or the exponent is none that ring verifies with.
    pub fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, BadKey> {
        let [modulus, exponent] = [modulus, exponent].map(without_zeros);
        let zeros = modulus.first().map_or(0, |byte| byte.leading_zeros());
        let bits = (modulus.len() * 8).saturating_sub(zeros as usize);
        if bits < *RSA_BITS.start() {
            return Err(BadKey::SmallModulus);
        }
        if bits > *RSA_BITS.end() {
            return Err(BadKey::LargeModulus);
        }
        let value = exponent.iter().take(6);
        let value = value.fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        if !(3..1 << 33).contains(&value) || value % 2 == 0 {
            return Err(BadKey::Exponent);
        }
        Ok(Material(Bytes::Rsa(modulus.into(), exponent.into())))
    }

    /// An uncompressed point of P-256.
    ///
    /// # Errors
    /// When it has not the length or the form of one. Whether it is on the curve is checked with every signature.
    pub fn p256(point: &[u8]) -> Result<Self, BadKey> {
        uncompressed(point, 65).map(|point| Material(Bytes::P256(point)))
    }

    /// An uncompressed point of P-384.
    ///
    /// # Errors
    /// As [`p256`](Self::p256).
    pub fn p384(point: &[u8]) -> Result<Self, BadKey> {
        uncompressed(point, 97).map(|point| Material(Bytes::P384(point)))
    }

    /// A public key of Ed25519.
    ///
    /// # Errors
    /// When it does not have 32 bytes.
    pub fn ed25519(key: &[u8]) -> Result<Self, BadKey> {
        match key.len() {
            32 => Ok(Material(Bytes::Ed25519(key.into()))),
            _ => Err(BadKey::Point),
        }
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        match &self.0 {
            Bytes::Secret(_) => Kind::Secret,
            Bytes::Rsa(..) => Kind::Rsa,
            Bytes::P256(_) => Kind::P256,
            Bytes::P384(_) => Kind::P384,
            Bytes::Ed25519(_) => Kind::Ed25519,
        }
    }

    /// Whether this secret is long enough for `algorithm`.
    fn suffices(&self, algorithm: Algorithm) -> bool {
        match &self.0 {
            Bytes::Secret(secret) => secret.len() >= algorithm.least_secret(),
            _ => true,
        }
    }
}

impl Key {
    /// A key without a name, for all algorithms of its kind.
    pub fn nameless(material: Material) -> Self {
        Key {
            id: None,
            algorithm: None,
            material,
        }
    }

    /// Whether it may be used with `algorithm`.
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        let is_meant = self.algorithm.is_none_or(|own| own == algorithm);
        is_meant && self.material.kind() == algorithm.kind() && self.material.suffices(algorithm)
    }

    /// Whether `signature` is that of whoever has the other half of this key, or this secret, for `message`. Secrets are
    /// compared in constant time. `false` for an algorithm of another kind.
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if !self.fits(algorithm) {
            return false;
        }
        let by = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
            let key = UnparsedPublicKey::new(algorithm, key);
            key.verify(message, signature).is_ok()
        };
        match &self.material.0 {
            Bytes::Secret(secret) => hmac_of(algorithm).is_some_and(|hash| {
                let key = hmac::Key::new(hash, secret);
                hmac::verify(&key, message, signature).is_ok()
            }),
            Bytes::Rsa(n, e) => padding_of(algorithm).is_some_and(|padding| {
                let key = RsaPublicKeyComponents { n, e };
                key.verify(padding, message, signature).is_ok()
            }),
            Bytes::P256(point) => by(&ECDSA_P256_SHA256_FIXED, point),
            Bytes::P384(point) => by(&ECDSA_P384_SHA384_FIXED, point),
            Bytes::Ed25519(key) => by(&ED25519, key),
        }
    }
}

pub(super) fn hmac_of(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::Hs256 => Some(hmac::HMAC_SHA256),
        Algorithm::Hs384 => Some(hmac::HMAC_SHA384),
        Algorithm::Hs512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

fn padding_of(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Ps256 => Some(&RSA_PSS_2048_8192_SHA256),
        _ => None,
    }
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

fn uncompressed(point: &[u8], length: usize) -> Result<Box<[u8]>, BadKey> {
    match point.first() {
        Some(4) if point.len() == length => Ok(point.into()),
        _ => Err(BadKey::Point),
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}, {})", self.id, self.material.kind())
    }
}

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadKey::ShortSecret => "a secret of less than 32 bytes, which can be guessed",
            BadKey::SmallModulus => "an RSA key of less than 2048 bits, which is not safe",
            BadKey::LargeModulus => "an RSA key of more than 8192 bits",
            BadKey::Exponent => "an RSA key with an exponent that is not in use",
            BadKey::Point => "no public key of its curve",
        })
    }
}
