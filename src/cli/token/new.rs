//! `fourcast token new`: makes a token, with the secret of the configuration or a private key.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::super::config_file::ConfigFile;
use super::super::rights::RightsArgs;
use super::super::{Failure, note, remote, say};
use crate::access::token::algorithm::{Algorithm, Kind};
use crate::access::token::compact::LONGEST;
use crate::access::token::keyring::without_line_end;
use crate::access::token::signer::Signer;
use crate::access::token::verifier::Verifier;
use crate::access::token::{claims, header};
use crate::config::Tokens;
use crate::hub::selector::Selector;
use crate::refusal::Refusal;

const EXAMPLES: &str = "\
Examples:
  fourcast token new --subject ana --subscribe 'rooms/*' --publish rooms/42 --expires-in 1h
  fourcast token new --subject ana --subscribe '**' --key private.pem --kid 2026-11
  TOKEN=$(fourcast token new --subject me --subscribe '**')
  curl -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:8080/chat

It is signed with access.tokens.secret (or secret_file), or with the private key of --key, whose public half is then in
access.tokens.public_key or jwks. Such a key and its half are made by
  openssl genpkey -algorithm ed25519 -out private.pem && openssl pkey -in private.pem -pubout -out public.pem";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Who its holder is (sub)
    #[arg(long, value_name = "NAME")]
    subject: String,
    #[command(flatten)]
    rights: RightsArgs,
    /// How long it counts (exp), such as 90s or 12h
    #[arg(long, value_name = "TIME", value_parser = remote::duration, default_value = "1h")]
    expires_in: Duration,
    /// For whom it is meant (aud); may stand several times; without it the first of access.tokens.audiences
    #[arg(long, value_name = "NAME")]
    audience: Vec<String>,
    /// Who made it (iss); without it the first of access.tokens.issuers
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// The name of the key that verifies it (kid), which chooses one of a set
    #[arg(long, value_name = "NAME")]
    kid: Option<String>,
    /// A private key in PEM: RSA, P-256, P-384 or Ed25519
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// How it is signed; without it by the first of access.tokens.algorithms that the key is for
    #[arg(long, value_name = "NAME", value_parser = algorithm)]
    algorithm: Option<Algorithm>,
    #[command(flatten)]
    file: ConfigFile,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aud: Vec<&'a str>,
    iat: u64,
    exp: u64,
    fourcast: Granted<'a>,
}

#[derive(Serialize)]
struct Granted<'a> {
    subscribe: Vec<&'a str>,
    publish: Vec<&'a str>,
    delete: Vec<&'a str>,
}

/// Prints a token that counts from now on. Blocks while files are read.
pub fn run(args: &Args) -> Result<(), Failure> {
    let tokens = args.file.load()?.config.access.tokens;
    let signer = args.signer(&tokens)?;
    let algorithm = args.algorithm(&tokens, signer.kind())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let claims = args.claims(&tokens, now.unwrap_or_default().as_secs());
    let header = Header {
        alg: algorithm.name(),
        typ: "JWT",
        kid: args.kid.as_deref(),
    };
    let (header, claims) = (json(&header)?, claims?);
    check(&header, &claims)?;
    let token = signer.sign(algorithm, &header, &claims);
    let token = token.map_err(Failure::Failed)?;
    if token.len() > LONGEST {
        return Err(Failure::Usage(format!(
            "the token would be longer than {LONGEST} bytes; use patterns for many channels"
        )));
    }
    say(&format!("{token}\n"))?;
    if tokens.are_accepted() {
        warn_if_refused(&token, &tokens);
    }
    Ok(())
}

/// No server takes what cannot be read.
fn check(header: &str, claims: &str) -> Result<(), Failure> {
    let is_read = header::Header::parse(header.as_bytes())
        .and_then(|_| claims::Claims::parse(claims.as_bytes()));
    let refused = |refusal: Refusal| Failure::Usage(refusal.detail.into_owned());
    is_read.map(drop).map_err(refused)
}

/// It may be meant for another server.
fn warn_if_refused(token: &str, tokens: &Tokens) {
    let verifier = Verifier::source(tokens).read();
    let verified = verifier.and_then(|verifier| {
        let verified = verifier.verify(token, SystemTime::now());
        verified.map_err(|refusal| refusal.detail.into_owned())
    });
    if let Err(why) = verified {
        note(&format!("this configuration refuses it: {why}"));
    }
}

impl Args {
    fn signer(&self, tokens: &Tokens) -> Result<Signer, Failure> {
        if let Some(path) = &self.key {
            let pem = fs::read(path).map_err(|error| {
                Failure::Failed(format!("{} cannot be read: {error}", path.display()))
            })?;
            let signer = Signer::private(&pem);
            return signer.map_err(|error| Failure::Failed(format!("{} {error}", path.display())));
        }
        if let Some(secret) = &tokens.secret {
            let signer = Signer::shared(secret.as_bytes());
            return signer
                .map_err(|error| Failure::Config(format!("access.tokens.secret {error}")));
        }
        let path = tokens.secret_file.as_ref().ok_or_else(|| {
            Failure::Usage(
                "nothing to sign with: --key names a private key, and access.tokens.secret in the configuration has a \
                 secret"
                    .to_owned(),
            )
        })?;
        let secret = fs::read(path).map_err(|error| format!("cannot be read: {error}"));
        let signer = secret.and_then(|secret| Signer::shared(without_line_end(&secret)));
        signer.map_err(|error| Failure::Config(format!("{} {error}", path.display())))
    }

    fn algorithm(&self, tokens: &Tokens, kind: Kind) -> Result<Algorithm, Failure> {
        if let Some(algorithm) = self.algorithm {
            return match algorithm.kind() == kind {
                true => Ok(algorithm),
                false => Err(Failure::Usage(format!(
                    "{kind} does not sign by {algorithm}"
                ))),
            };
        }
        let mut preferred = tokens.algorithms.iter().copied().chain(Algorithm::ALL);
        let fitting = preferred.find(|algorithm| algorithm.kind() == kind);
        fitting.ok_or_else(|| Failure::Failed(format!("no algorithm is for {kind}")))
    }

    fn claims(&self, tokens: &Tokens, now: u64) -> Result<String, Failure> {
        let rights = self.rights.rights();
        let expected = tokens.audiences.iter().take(1);
        let audience = match self.audience.is_empty() {
            true => expected.map(String::as_str).collect(),
            false => self.audience.iter().map(String::as_str).collect(),
        };
        json(&Claims {
            sub: &self.subject,
            iss: self
                .issuer
                .as_ref()
                .or(tokens.issuers.first())
                .map(String::as_str),
            aud: audience,
            iat: now,
            exp: now.saturating_add(self.expires_in.as_secs().max(1)),
            fourcast: Granted {
                subscribe: texts(&rights.subscribe),
                publish: texts(&rights.publish),
                delete: texts(&rights.delete),
            },
        })
    }
}

fn texts(selectors: &[Selector]) -> Vec<&str> {
    selectors.iter().map(Selector::as_str).collect()
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    text.parse().map_err(|_| {
        let known = Algorithm::ALL.map(Algorithm::name).join(", ");
        format!("it is none of {known}")
    })
}

fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map_err(|error| Failure::Failed(format!("the token cannot be written: {error}")))
}
