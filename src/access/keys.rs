//! API keys: their shape, and the hash under which the configuration knows them.

use std::fmt;
use std::hint::black_box;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};

/// What every key begins with, so that one that leaks into a repository or a log is recognized there.
const PREFIX: &str = "fck_";
/// 32 random bytes in base64url, without padding.
const RANDOM_CHARACTERS: usize = 43;
/// What a hash begins with in the configuration.
const ALGORITHM: &str = "sha256:";
const HASH_BYTES: usize = 32;

/// Whether a text has the shape of an API key: `fck_` and 43 characters of base64url.
pub fn is_key(text: &str) -> bool {
    let is_base64url = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    text.strip_prefix(PREFIX)
        .is_some_and(|rest| rest.len() == RANDOM_CHARACTERS && rest.bytes().all(is_base64url))
}

/// The key that these random bytes make.
pub fn key_of(random: &[u8; 32]) -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random))
}

/// The SHA-256 of a whole key. A slow hash, such as passwords need, would protect nothing more: a key is 256 random
/// bits, which nobody can try out however fast the hash is; but it would be work that any stranger could have us do.
#[derive(Clone, Copy, Eq)]
pub struct KeyHash([u8; HASH_BYTES]);

impl KeyHash {
    /// The hash of a key.
    pub fn of(key: &str) -> Self {
        let mut hash = [0; HASH_BYTES];
        let found = digest(&SHA256, key.as_bytes());
        hash.iter_mut()
            .zip(found.as_ref())
            .for_each(|(to, from)| *to = *from);
        KeyHash(hash)
    }
}

/// Takes the same time wherever two hashes differ, so that nobody finds one out byte by byte.
impl PartialEq for KeyHash {
    fn eq(&self, other: &Self) -> bool {
        is_same(self.0.iter().zip(&other.0))
    }
}

/// Whether the two bytes of every pair are the same.
fn is_same<'b>(pairs: impl Iterator<Item = (&'b u8, &'b u8)>) -> bool {
    pairs.fold(0, |found, (a, b)| black_box(found | (a ^ b))) == 0
}

/// Why a text is no hash of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoKeyHash;

impl FromStr for KeyHash {
    type Err = NoKeyHash;

    fn from_str(text: &str) -> Result<Self, NoKeyHash> {
        let digits = text.strip_prefix(ALGORITHM).ok_or(NoKeyHash)?;
        let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
        if pairs.len() != HASH_BYTES || !rest.is_empty() {
            return Err(NoKeyHash);
        }
        let mut hash = [0; HASH_BYTES];
        for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Ok(KeyHash(hash))
    }
}

fn nibble(digit: u8) -> Result<u8, NoKeyHash> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(NoKeyHash),
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ALGORITHM)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "fck_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_-";

    #[test]
    fn a_key_is_known_by_its_shape() {
        assert!(is_key(KEY));
        for other in [
            "",
            "fck_",
            &KEY[..46],
            &format!("{KEY}A"),
            &KEY.replace('_', "+"),
            &KEY.replace("fck", "FCK"),
            "a.b.c",
        ] {
            assert!(!is_key(other), "{other}");
        }
    }

    #[test]
    fn a_hash_is_read_as_it_is_written_and_is_that_of_its_key_alone() {
        let hash = KeyHash::of("abc");
        let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_string(), text);
        assert_eq!(text.parse(), Ok(hash));
        let in_capitals = text.to_uppercase().replace("SHA", "sha");
        assert_eq!(in_capitals.parse(), Ok(hash));
        for other in ["abd", "ab", "", KEY] {
            assert_ne!(KeyHash::of(other), hash, "{other}");
        }
    }

    /// The attack is to find a key byte by byte, by how long its comparison takes. That takes counting here, not a clock.
    #[test]
    fn timing_of_key_comparison_tells_no_byte() {
        let known = KeyHash::of(KEY).0;
        for differs in (0..HASH_BYTES).map(Some).chain([None]) {
            let mut shown = known;
            if let Some(index) = differs {
                shown[index] ^= 1;
            }
            let mut compared = 0;
            let pairs = known.iter().zip(&shown).inspect(|_| compared += 1);
            assert_eq!(is_same(pairs), differs.is_none(), "{differs:?}");
            assert_eq!(compared, HASH_BYTES, "{differs:?}");
        }
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        let text = KeyHash::of("abc").to_string();
        for wrong in [
            "",
            "sha256:",
            &text[..text.len() - 1],
            &format!("{text}0"),
            &text.replace("sha256", "sha1"),
            &text.replace('b', "g"),
            &text.replace("sha256:", ""),
            KEY,
        ] {
            assert_eq!(wrong.parse::<KeyHash>(), Err(NoKeyHash), "{wrong}");
        }
    }
}
