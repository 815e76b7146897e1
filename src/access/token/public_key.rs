//! Public keys as files have them: `PUBLIC KEY` (RFC 5280, section 4.1.2.7), `RSA PUBLIC KEY` (RFC 8017, appendix A.1.1)
//! and `CERTIFICATE`, of which the key alone counts.

use super::der::{Elements, INTEGER, OBJECT_IDENTIFIER};
use super::key::{BadKey, Key, Material};
use super::pem::{self, Section};

/// rsaEncryption.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// id-ecPublicKey.
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// prime256v1.
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// secp384r1.
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
/// id-Ed25519.
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// The version of a certificate, as its first element.
const VERSION: u8 = 0xa0;

/// All public keys of a PEM file; several, so that one can follow another.
///
/// # Errors
/// What the file has instead, as the rest of a sentence that begins with its name.
pub fn keys(pem: &[u8]) -> Result<Vec<Key>, String> {
    let text = std::str::from_utf8(pem).map_err(|_| "is not PEM".to_owned())?;
    let sections = pem::sections(text)?;
    if sections.is_empty() {
        return Err("has no '-----BEGIN PUBLIC KEY-----'".to_owned());
    }
    sections.iter().map(key).collect()
}

fn key(section: &Section<'_>) -> Result<Key, String> {
    let label = section.label;
    let material = match label {
        "PUBLIC KEY" => subject_public_key(Elements::of(&section.der)),
        "RSA PUBLIC KEY" => rsa(&section.der),
        "CERTIFICATE" => certificate(&section.der),
        private if private.ends_with("PRIVATE KEY") => {
            return Err(
                "has a private key, which only whoever signs needs; 'openssl pkey -in FILE -pubout' prints the public one"
                    .to_owned(),
            );
        }
        _ => return Err(format!("has a {label}, which is no public key")),
    };
    let material = material.ok_or_else(|| {
        format!("has a {label} of another kind than RSA, P-256, P-384 and Ed25519")
    })?;
    let material = material.map_err(|error| format!("has {error}"))?;
    Ok(Key::nameless(material))
}

type Found = Option<Result<Material, BadKey>>;

/// A SubjectPublicKeyInfo.
fn subject_public_key(mut outer: Elements<'_>) -> Found {
    let mut info = outer.sequence()?;
    let mut algorithm = info.sequence()?;
    let kind = algorithm.take(OBJECT_IDENTIFIER)?;
    let curve = algorithm.take(OBJECT_IDENTIFIER);
    let bytes = info.bits()?;
    match (kind, curve) {
        (RSA, None) => rsa(bytes),
        (EC, Some(P256)) => Some(Material::p256(bytes)),
        (EC, Some(P384)) => Some(Material::p384(bytes)),
        (ED25519, None) => Some(Material::ed25519(bytes)),
        _ => None,
    }
}

/// An RSAPublicKey.
fn rsa(der: &[u8]) -> Found {
    let mut key = Elements::of(der).sequence()?;
    let modulus = key.take(INTEGER)?;
    let exponent = key.take(INTEGER)?;
    Some(Material::rsa(modulus, exponent))
}

/// The key of a certificate. Who issued it, and until when, is not looked at: whoever configures it trusts it.
fn certificate(der: &[u8]) -> Found {
    let mut to_be_signed = Elements::of(der).sequence()?.sequence()?;
    let _ = to_be_signed.take(VERSION);
    let serial_signature_issuer_validity_subject = 5;
    for _ in 0..serial_signature_issuer_validity_subject {
        to_be_signed.skip()?;
    }
    subject_public_key(to_be_signed)
}
