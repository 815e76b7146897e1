//! Tokens: a JWT (RFC 7519) becomes a [`Pass`](super::pass::Pass), or a refusal that says why not. What is checked is the
//! signature by ring, with keys of the configuration alone; nothing that a token names is ever fetched or opened.
//!
//! [`verifier`] is the way through: [`compact`] takes a token apart, [`header`] says how it is signed, a [`key`] of the
//! [`keyring`] verifies it, and [`claims`] are what it says. Keys come from [`public_key`] files and [`jwk`] sets;
//! [`signer`] makes tokens for the command line.

pub mod algorithm;
pub mod claims;
pub mod compact;
mod der;
pub mod header;
pub mod jwk;
pub mod key;
pub mod keyring;
mod members;
mod pem;
pub mod public_key;
pub mod signer;
#[cfg(test)]
mod tests;
pub mod verifier;

use std::borrow::Cow;

use crate::refusal::{Kind, Refusal};

/// A refusal of what was shown (RFC 6750, section 3.1). `detail` never has a part of a token: it ends up in logs.
fn bad(detail: impl Into<Cow<'static, str>>) -> Refusal {
    refused(Kind::BadToken, detail)
}

fn refused(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Refusal {
    let challenge = r#"Bearer error="invalid_token""#;
    Refusal::new(kind, detail).with_field("WWW-Authenticate", challenge)
}
