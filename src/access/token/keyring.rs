//! The keys that count: from the configuration itself and from the files that it names.

use std::path::PathBuf;

use super::algorithm::Algorithm;
use super::jwk::Set;
use super::key::{Key, Material};
use super::public_key;
use crate::config::Tokens;

/// What a file that the configuration names has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holding {
    Secret,
    PublicKeys,
    Jwks,
}

/// The files that `tokens` names.
pub(super) fn files(tokens: &Tokens) -> Vec<(Holding, PathBuf)> {
    let named = [
        (Holding::Secret, &tokens.secret_file),
        (Holding::PublicKeys, &tokens.public_key),
        (Holding::Jwks, &tokens.jwks),
    ];
    let named = named.into_iter();
    named
        .filter_map(|(holding, file)| Some((holding, file.clone()?)))
        .collect()
}

/// All keys of `tokens`, whose [`files`] have these `contents`. Every one may be used with one of its algorithms.
///
/// # Errors
/// A sentence that says which file is wrong, and why.
pub(super) fn keys(tokens: &Tokens, contents: &[Vec<u8>]) -> Result<Vec<Key>, String> {
    let mut keys = Vec::new();
    if let Some(secret) = &tokens.secret {
        let material = Material::secret(secret.as_bytes());
        let material = material.map_err(|error| format!("access.tokens.secret is {error}"))?;
        keys.push(Key::nameless(material));
    }
    for ((holding, path), content) in files(tokens).iter().zip(contents) {
        let found = match holding {
            Holding::Secret => secret(content),
            Holding::PublicKeys => public_key::keys(content),
            Holding::Jwks => set(tokens, content),
        };
        let found = found.map_err(|error| format!("{} {error}", path.display()))?;
        if *holding != Holding::Jwks {
            require_use(tokens, &found).map_err(|error| format!("{} {error}", path.display()))?;
        }
        keys.extend(found);
    }
    require_keys(tokens, &keys)?;
    Ok(keys)
}

/// A text file ends in a line end, which nobody means as a part of a secret.
pub fn without_line_end(content: &[u8]) -> &[u8] {
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    content.strip_suffix(b"\r").unwrap_or(content)
}

fn secret(content: &[u8]) -> Result<Vec<Key>, String> {
    let material =
        Material::secret(without_line_end(content)).map_err(|error| format!("has {error}"))?;
    Ok(vec![Key::nameless(material)])
}

/// The keys of a set that may be used. Somebody else keeps it, so what is not used is told and no error.
fn set(tokens: &Tokens, content: &[u8]) -> Result<Vec<Key>, String> {
    let set = Set::parse(content)?;
    for skipped in &set.skipped {
        log::warn!("access.tokens.jwks: {skipped}");
    }
    let mut keys = set.keys;
    let all = keys.len();
    // Whoever empties a set takes all of its keys back.
    if keys.is_empty() && set.skipped.is_empty() {
        log::warn!("access.tokens.jwks: the set has no keys, so no token counts by it");
        return Ok(keys);
    }
    keys.retain(|key| is_used(tokens, key));
    match all - keys.len() {
        0 => {}
        left => {
            log::info!("access.tokens.jwks: {left} keys are for none of access.tokens.algorithms")
        }
    }
    match keys.is_empty() {
        false => Ok(keys),
        true => Err(match set.skipped.first() {
            Some(skipped) => format!("has no key that can be used: {skipped}"),
            None => format!("has no key for {}", listed(&tokens.algorithms)),
        }),
    }
}

fn is_used(tokens: &Tokens, key: &Key) -> bool {
    tokens
        .algorithms
        .iter()
        .any(|algorithm| key.fits(*algorithm))
}

fn require_use(tokens: &Tokens, keys: &[Key]) -> Result<(), String> {
    let unused = keys.iter().find(|key| !is_used(tokens, key));
    unused.map_or(Ok(()), |key| {
        let kind = key.material.kind();
        let algorithms = listed(&tokens.algorithms);
        Err(format!(
            "has {kind}, which is for none of access.tokens.algorithms ({algorithms})"
        ))
    })
}

/// Every algorithm has a key, unless a set may bring one later.
fn require_keys(tokens: &Tokens, keys: &[Key]) -> Result<(), String> {
    let idle = tokens.algorithms.iter().copied();
    let mut idle = idle.filter(|algorithm| !keys.iter().any(|key| key.fits(*algorithm)));
    match idle.next() {
        Some(algorithm) if tokens.jwks.is_none() => {
            let kind = algorithm.kind();
            let least = match algorithm.least_secret() {
                0 => String::new(),
                least => format!(" of at least {least} bytes"),
            };
            Err(format!(
                "access.tokens.algorithms has {algorithm}, which takes {kind}{least}, and there is none"
            ))
        }
        _ => Ok(()),
    }
}

fn listed(algorithms: &[Algorithm]) -> String {
    let names: Vec<&str> = algorithms
        .iter()
        .map(|algorithm| algorithm.name())
        .collect();
    names.join(", ")
}
