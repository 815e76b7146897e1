//! Which tokens count, as the configuration says it: values, how they are read, and what goes together.

use std::path::PathBuf;
use std::time::Duration;

use super::Secret;
use super::reader::{Reader, Section};
use super::units::{duration, path, switch, token};
use super::written::Written;
use crate::access::token::algorithm::{Algorithm, Kind};

/// Which tokens count. By default none: there is no key.
#[derive(Debug, Clone, PartialEq)]
pub struct Tokens {
    /// The algorithms by which a token may be signed.
    pub algorithms: Vec<Algorithm>,
    /// The secret of HS256, HS384 and HS512.
    pub secret: Option<Secret>,
    /// A file that has one; both count, so that one can follow the other.
    pub secret_file: Option<PathBuf>,
    /// A PEM file with public keys, or a certificate.
    pub public_key: Option<PathBuf>,
    /// A file with a set of keys (RFC 7517).
    pub jwks: Option<PathBuf>,
    /// Who may have made a token; none: anyone who has a key.
    pub issuers: Vec<String>,
    /// For whom a token may be meant; none: only for nobody in particular.
    pub audiences: Vec<String>,
    /// By how much the clock of whoever made a token may differ, 0 to 10 minutes.
    pub leeway: Duration,
    /// Whether a token has to say until when it counts.
    pub require_expiry: bool,
    /// The cookie in which a browser may bring one.
    pub cookie: Option<String>,
}

impl Default for Tokens {
    fn default() -> Self {
        Tokens {
            algorithms: Vec::new(),
            secret: None,
            secret_file: None,
            public_key: None,
            jwks: None,
            issuers: Vec::new(),
            audiences: Vec::new(),
            leeway: Duration::from_secs(30),
            require_expiry: true,
            cookie: None,
        }
    }
}

impl Tokens {
    /// The files that it names.
    pub(super) fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let paths = [&mut self.secret_file, &mut self.public_key, &mut self.jwks];
        paths.into_iter().flatten()
    }

    /// Whether any token may count.
    pub fn are_accepted(&self) -> bool {
        !self.algorithms.is_empty()
    }
}

const LONGEST_LEEWAY: Duration = Duration::from_secs(600);

pub(super) fn read(section: &mut Section<'_>, tokens: &mut Tokens) {
    let file = |written: &Written| path(written).map(Some);
    section.set_list("algorithms", &mut tokens.algorithms, algorithm);
    section.set("secret", &mut tokens.secret, |written| {
        secret(written).map(Some)
    });
    section.set("secret_file", &mut tokens.secret_file, file);
    section.set("public_key", &mut tokens.public_key, file);
    section.set("jwks", &mut tokens.jwks, file);
    section.set_list("issuers", &mut tokens.issuers, name);
    section.set_list("audiences", &mut tokens.audiences, name);
    let leeway = duration(Duration::ZERO..=LONGEST_LEEWAY);
    section.set("leeway", &mut tokens.leeway, leeway);
    section.set("require_expiry", &mut tokens.require_expiry, switch);
    section.set("cookie", &mut tokens.cookie, |written| {
        token(written).map(Some)
    });
}

fn algorithm(written: &Written) -> Result<Algorithm, String> {
    let known = written.text().and_then(|text| text.parse().ok());
    known.ok_or_else(|| {
        let known = Algorithm::ALL.map(Algorithm::name).join(", ");
        written.but_expected(format_args!("one of {known}"))
    })
}

/// What stood there is not told: messages end up in logs.
fn secret(written: &Written) -> Result<Secret, String> {
    let is_long = |text: &&str| text.len() >= Algorithm::Hs256.least_secret();
    let secret = written.text().filter(is_long).and_then(Secret::new);
    secret.ok_or_else(|| {
        "expected a secret of 32 to 256 letters, digits and signs, without spaces".to_owned()
    })
}

fn name(written: &Written) -> Result<String, String> {
    let text = written.text().filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or_else(|| {
        written.but_expected("a name as tokens have it, such as \"https://login.example.com/\"")
    })
}

const ALGORITHMS: &str = "access.tokens.algorithms";
const SECRET: &str = "access.tokens.secret";
const SECRET_FILE: &str = "access.tokens.secret_file";
const PUBLIC_KEY: &str = "access.tokens.public_key";
const JWKS: &str = "access.tokens.jwks";

/// Every key has an algorithm, and every algorithm a key. What kind of key a file has is found out when it is read.
pub(super) fn require_keys_that_fit(reader: &mut Reader, tokens: &Tokens) {
    let [shared, public] = [true, false].map(|is_shared| {
        let of_kind = |algorithm: &Algorithm| (algorithm.kind() == Kind::Secret) == is_shared;
        tokens.algorithms.iter().copied().find(of_kind)
    });
    let has_secret = tokens.secret.is_some() || tokens.secret_file.is_some();
    let has_set = tokens.jwks.is_some();
    let used = [
        (SECRET, tokens.secret.is_some(), shared.is_some(), "HS256"),
        (
            SECRET_FILE,
            tokens.secret_file.is_some(),
            shared.is_some(),
            "HS256",
        ),
        (
            PUBLIC_KEY,
            tokens.public_key.is_some(),
            public.is_some(),
            "ES256",
        ),
        (JWKS, has_set, tokens.are_accepted(), "RS256"),
    ];
    for (key, is_there, is_used, example) in used {
        if is_there && !is_used {
            let message =
                format!("none of {ALGORITHMS} uses it; such as: algorithms = [\"{example}\"]");
            reader.refuse(&[key, ALGORITHMS], message);
        }
    }
    let needed = [
        (shared, has_secret, "secret, secret_file"),
        (public, tokens.public_key.is_some(), "public_key"),
    ];
    for (algorithm, has_key, key) in needed {
        if let Some(algorithm) = algorithm.filter(|_| !has_key && !has_set) {
            let message = format!("{algorithm} takes a key: set {key} or jwks");
            reader.refuse(&[ALGORITHMS], message);
        }
    }
    require_length(reader, tokens);
}

/// A secret is as long as the hash (RFC 7518, section 3.2).
fn require_length(reader: &mut Reader, tokens: &Tokens) {
    let Some(secret) = &tokens.secret else { return };
    let is_short = |algorithm: &&Algorithm| algorithm.least_secret() > secret.as_bytes().len();
    if let Some(algorithm) = tokens.algorithms.iter().find(is_short) {
        let least = algorithm.least_secret();
        let message = format!("{algorithm} takes a secret of at least {least} characters");
        reader.refuse(&[SECRET, ALGORITHMS], message);
    }
}
