//! Makes tokens, for the command line: whoever has the secret or a private key can.

use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::algorithm::{Algorithm, Kind};
use super::key::{self, Material};
use super::pem;

/// What signs.
pub struct Signer(Secret);

enum Secret {
    Shared(Vec<u8>),
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    /// Signs with a shared secret.
    ///
    /// # Errors
    /// When it is too short, as the rest of a sentence that begins with where it came from.
    pub fn shared(secret: &[u8]) -> Result<Self, String> {
        Material::secret(secret).map_err(|error| format!("has {error}"))?;
        Ok(Signer(Secret::Shared(secret.to_vec())))
    }

    /// Signs with the private key of a PEM file: PKCS#8, or PKCS#1 of RSA.
    ///
    /// # Errors
    /// What the file has instead, as the rest of a sentence that begins with its name.
    pub fn private(pem: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(pem).map_err(|_| "is not PEM".to_owned())?;
        let sections = pem::sections(text)?;
        let is_private = |section: &&pem::Section<'_>| section.label.ends_with("PRIVATE KEY");
        let section = sections.iter().find(is_private);
        let section = section.ok_or("has no '-----BEGIN PRIVATE KEY-----'")?;
        let secret = match section.label {
            "PRIVATE KEY" => pkcs8(&section.der),
            "RSA PRIVATE KEY" => RsaKeyPair::from_der(&section.der).ok().map(Secret::Rsa),
            label => {
                return Err(format!(
                    "has an {label}; 'openssl pkcs8 -topk8 -nocrypt -in FILE' prints it in the form that is read here"
                ));
            }
        };
        let secret = secret.ok_or(
            "has a private key of another kind than RSA of 2048 to 4096 bits, P-256, P-384 and Ed25519",
        )?;
        Ok(Signer(secret))
    }

    /// The kind of its key.
    pub fn kind(&self) -> Kind {
        match &self.0 {
            Secret::Shared(_) => Kind::Secret,
            Secret::Rsa(_) => Kind::Rsa,
            Secret::P256(_) => Kind::P256,
            Secret::P384(_) => Kind::P384,
            Secret::Ed25519(_) => Kind::Ed25519,
        }
    }

    /// A token with this header and these claims, which are JSON.
    ///
    /// # Errors
    /// When the key is not for `algorithm` or too short, or the system gives no random numbers.
    pub fn sign(&self, algorithm: Algorithm, header: &str, claims: &str) -> Result<String, String> {
        if self.kind() != algorithm.kind() {
            return Err(format!("{} does not sign by {algorithm}", self.kind()));
        }
        let least = algorithm.least_secret();
        if matches!(&self.0, Secret::Shared(secret) if secret.len() < least) {
            return Err(format!(
                "{algorithm} takes a secret of at least {least} bytes"
            ));
        }
        let message = [header, claims]
            .map(|part| URL_SAFE_NO_PAD.encode(part))
            .join(".");
        let signature = self.signature(algorithm, message.as_bytes());
        let signature = signature.ok_or_else(|| "the system gives no random numbers".to_owned())?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn signature(&self, algorithm: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        let of_curve = |key: &EcdsaKeyPair| {
            let signature = key.sign(&random, message).ok()?;
            Some(signature.as_ref().to_vec())
        };
        match &self.0 {
            Secret::Shared(secret) => {
                let key = hmac::Key::new(key::hmac_of(algorithm)?, secret);
                Some(hmac::sign(&key, message).as_ref().to_vec())
            }
            Secret::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                let padding = padding_of(algorithm)?;
                key.sign(padding, &random, message, &mut signature).ok()?;
                Some(signature)
            }
            Secret::P256(key) | Secret::P384(key) => of_curve(key),
            Secret::Ed25519(key) => Some(key.sign(message).as_ref().to_vec()),
        }
    }
}

/// ring tells what a key is by taking it.
fn pkcs8(der: &[u8]) -> Option<Secret> {
    let random = SystemRandom::new();
    let of_curve = |curve| EcdsaKeyPair::from_pkcs8(curve, der, &random).ok();
    let rsa = || RsaKeyPair::from_pkcs8(der).ok().map(Secret::Rsa);
    let p256 = || of_curve(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Secret::P256);
    let p384 = || of_curve(&ECDSA_P384_SHA384_FIXED_SIGNING).map(Secret::P384);
    // OpenSSL leaves the public half out.
    let ed25519 = || Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok();
    let ed25519 = || ed25519().map(Secret::Ed25519);
    rsa().or_else(p256).or_else(p384).or_else(ed25519)
}

fn padding_of(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    match algorithm {
        Algorithm::Rs256 => Some(&RSA_PKCS1_SHA256),
        Algorithm::Ps256 => Some(&RSA_PSS_SHA256),
        _ => None,
    }
}
