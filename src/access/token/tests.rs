//! Tokens that are known from elsewhere, and every way in which one can be wrong.

mod oracle;
mod refusals;
mod signing;
mod sources;
mod standards;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use super::verifier::Verifier;
use crate::access::pass::Pass;
use crate::config::{Config, Tokens};
use crate::refusal::{Kind, Refusal};

const SECRET: &str = "the-secret-of-these-tests-has-sixty-four-characters-and-not-less";

/// A moment that the tests hold to be now, in seconds since 1970.
const NOW: u64 = 1_800_000_000;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// The path of a file that the tests have.
fn file(name: &str) -> String {
    format!("{}/tests/tokens/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// `[access.tokens]` with these lines.
fn tokens(lines: &str) -> Tokens {
    let config = Config::from_toml(&format!("[access.tokens]\n{lines}"));
    config.unwrap().access.tokens
}

fn verifier(lines: &str) -> Verifier {
    Verifier::source(&tokens(lines)).read().unwrap()
}

/// What verifies HS256 with the secret, and these lines.
fn with_secret(lines: &str) -> Verifier {
    verifier(&format!(
        "algorithms = [\"HS256\"]\nsecret = \"{SECRET}\"\n{lines}"
    ))
}

fn part(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token whose header and claims are these texts, signed with the secret whatever the header says.
fn signed(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", part(signature))
}

/// A token that is signed well and has these claims beside a time at which it expires.
fn saying(claims: &str) -> String {
    let comma = if claims.is_empty() { "" } else { "," };
    let claims = format!("{{\"exp\":{}{comma}{claims}}}", NOW + 60);
    signed(r#"{"alg":"HS256"}"#, &claims)
}

fn refusal(outcome: Result<Pass, Refusal>) -> Refusal {
    outcome.expect_err("the token was accepted")
}

/// The refusal is of this kind, says this, and says how to come back.
fn assert_refused(outcome: Result<Pass, Refusal>, kind: Kind, part: &str) {
    let refusal = refusal(outcome);
    assert_eq!(refusal.kind, kind, "{refusal}");
    assert!(refusal.detail.contains(part), "no {part:?} in: {refusal}");
    let (name, value) = refusal.field.expect("a challenge");
    assert_eq!(name, "WWW-Authenticate");
    assert_eq!(value, r#"Bearer error="invalid_token""#);
}
