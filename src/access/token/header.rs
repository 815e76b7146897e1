//! The header of a token: how it is signed, and with which key (RFC 7515, section 4). Whoever made the token wrote it,
//! so nothing in it is followed: no URL, no path, no key or certificate that it brings along.

use super::algorithm::Algorithm;
use super::bad;
use super::members::Members;
use crate::refusal::Refusal;

/// The most bytes of a key's name.
pub const LONGEST_ID: usize = 256;

/// What counts of a header.
#[derive(Debug, PartialEq, Eq)]
pub struct Header {
    /// How it says that it is signed.
    pub algorithm: Algorithm,
    /// The name of the key, which is compared with those of known keys and used for nothing else.
    pub key: Option<String>,
}

impl Header {
    /// Reads a header.
    ///
    /// # Errors
    /// When it is no JSON object, says nothing that can be verified, or demands what is not understood here.
    pub fn parse(json: &[u8]) -> Result<Self, Refusal> {
        let members = Members::parse(json).ok_or_else(|| {
            bad("the token's header is no JSON object whose members stand once each")
        })?;
        // Whoever does not understand all of it must refuse (RFC 7515, section 4.1.11), and none of it is understood.
        if members.has("crit") {
            return Err(bad(
                "the token's header has extensions that must be understood (crit), and none is",
            ));
        }
        // Without crit it would be read one way here and another way elsewhere (RFC 7797, section 6).
        if members.has("b64") {
            return Err(bad("the token's header has b64, which is not supported"));
        }
        Ok(Header {
            algorithm: algorithm(&members)?,
            key: key(&members)?,
        })
    }
}

fn algorithm(members: &Members) -> Result<Algorithm, Refusal> {
    let name = members.get::<String>("alg");
    let missing = || bad("the token's header does not say how it is signed (alg)");
    let name = name.map_err(|_| missing())?.ok_or_else(missing)?;
    if name.eq_ignore_ascii_case("none") {
        return Err(bad("the token is not signed (alg \"none\")"));
    }
    name.parse().map_err(|_| {
        let known = Algorithm::ALL.map(Algorithm::name).join(", ");
        bad(format!(
            "the token is signed by an algorithm that is not known here; those that are: {known}"
        ))
    })
}

fn key(members: &Members) -> Result<Option<String>, Refusal> {
    let id = members.get::<String>("kid");
    let id = id.map_err(|_| bad("the token's kid is no text"))?;
    match id {
        Some(id) if id.len() > LONGEST_ID => Err(bad(format!(
            "the token's kid is longer than {LONGEST_ID} bytes"
        ))),
        id => Ok(id),
    }
}
