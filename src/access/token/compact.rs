//! The parts of a token as it is carried: the compact serialization of a signature (RFC 7515, section 7.1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::bad;
use crate::refusal::Refusal;

/// The most bytes of a token. A head has little room for more, and nobody needs it.
pub const LONGEST: usize = 8 * 1024;

/// A token in its parts, decoded, of which nothing is verified yet.
pub struct Compact<'t> {
    /// The JSON of the header.
    pub header: Vec<u8>,
    /// The JSON of the claims.
    pub claims: Vec<u8>,
    /// What is signed.
    pub message: &'t [u8],
    /// The signature.
    pub signature: Vec<u8>,
}

impl<'t> Compact<'t> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// When it is too long, or does not have three parts of base64url without padding.
    pub fn parse(token: &'t str) -> Result<Self, Refusal> {
        if token.len() > LONGEST {
            return Err(bad(format!("the token is longer than {LONGEST} bytes")));
        }
        let not_three = || {
            bad(match token.split('.').count() {
                5 => "the token is encrypted (JWE); only signed ones (JWS) are accepted here",
                _ => "the token is no JWT: it does not have three parts with dots between them",
            })
        };
        let (message, signature) = token.rsplit_once('.').ok_or_else(not_three)?;
        let (header, claims) = message.split_once('.').ok_or_else(not_three)?;
        if claims.contains('.') {
            return Err(not_three());
        }
        let decode = |part: &str, name: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(part);
            bytes.map_err(|_| {
                bad(format!(
                    "the token's {name} is no base64url without padding"
                ))
            })
        };
        Ok(Compact {
            header: decode(header, "header")?,
            claims: decode(claims, "second part")?,
            message: message.as_bytes(),
            signature: decode(signature, "signature")?,
        })
    }
}
