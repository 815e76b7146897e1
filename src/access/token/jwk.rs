//! Sets of keys as identity providers publish them (RFC 7517). Keys that are for something else, or of a kind that is not
//! known here, are passed over (section 5).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::value::RawValue;

use super::header::LONGEST_ID;
use super::key::{BadKey, Key, Material};
use super::members::Members;

/// A token that names no key is tried with all that fit, so there are not too many.
const MOST: usize = 32;

/// What a set has.
#[derive(Debug, Default)]
pub struct Set {
    /// The keys that verify tokens.
    pub keys: Vec<Key>,
    /// For each key that was passed over a sentence that says which one, and why.
    pub skipped: Vec<String>,
}

impl Set {
    /// Reads a set.
    ///
    /// # Errors
    /// What the file has instead, as the rest of a sentence that begins with its name.
    pub fn parse(json: &[u8]) -> Result<Set, String> {
        let members = Members::parse(json);
        let keys = members.and_then(|set| set.get::<Vec<Box<RawValue>>>("keys").ok().flatten());
        let keys =
            keys.ok_or("is no set of keys (JWKS), such as {\"keys\":[{\"kty\":\"RSA\", …}]}")?;
        if keys.len() > MOST {
            return Err(format!("has more than {MOST} keys"));
        }
        let mut set = Set::default();
        for (index, json) in keys.iter().enumerate() {
            match key(json) {
                Ok(key) => set.keys.push(key),
                Err(why) => set
                    .skipped
                    .push(format!("keys[{index}] is not used: {why}")),
            }
        }
        Ok(set)
    }
}

fn key(json: &RawValue) -> Result<Key, String> {
    let jwk = Members::parse(json.get().as_bytes()).ok_or("it is no object")?;
    let text = |name: &str| {
        let text = jwk.get::<String>(name);
        text.map_err(|_| format!("its {name} is no text"))
    };
    if text("use")?.is_some_and(|meant| meant != "sig") {
        return Err("it is not for signatures (use)".to_owned());
    }
    let operations = jwk.get::<Vec<String>>("key_ops");
    let operations = operations.map_err(|_| "its key_ops is no list of texts")?;
    if operations.is_some_and(|list| !list.iter().any(|operation| operation == "verify")) {
        return Err("it is not for verifying (key_ops)".to_owned());
    }
    let id = text("kid")?;
    if id.as_ref().is_some_and(|id| id.len() > LONGEST_ID) {
        return Err(format!("its kid is longer than {LONGEST_ID} bytes"));
    }
    let algorithm = text("alg")?.map(|name| name.parse()).transpose();
    let key = Key {
        id: id.map(String::into_boxed_str),
        algorithm: algorithm.map_err(|_| "its algorithm (alg) is not known here")?,
        material: material(&jwk)?,
    };
    match key.algorithm {
        Some(algorithm) if !key.fits(algorithm) => {
            Err(format!("it is no key for its algorithm, {algorithm}"))
        }
        _ => Ok(key),
    }
}

fn material(jwk: &Members) -> Result<Material, String> {
    let text = |name: &str| jwk.get::<String>(name).ok().flatten().unwrap_or_default();
    let bytes = |name: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(text(name)).ok();
        let bytes = bytes.filter(|bytes| !bytes.is_empty());
        bytes.ok_or_else(|| format!("its {name} is no base64url without padding"))
    };
    // A coordinate has its full length, zeros and all (RFC 7518, section 6.2.1.2), so their sum is that of a point.
    let point = || Ok::<_, String>([vec![4], bytes("x")?, bytes("y")?].concat());
    let material: Result<Material, BadKey> = match (&*text("kty"), &*text("crv")) {
        ("RSA", _) => Material::rsa(&bytes("n")?, &bytes("e")?),
        ("EC", "P-256") => Material::p256(&point()?),
        ("EC", "P-384") => Material::p384(&point()?),
        ("OKP", "Ed25519") => Material::ed25519(&bytes("x")?),
        ("oct", _) => Material::secret(&bytes("k")?),
        _ => return Err("its kind (kty, crv) is not known here".to_owned()),
    };
    material.map_err(|error| format!("it is {error}"))
}
