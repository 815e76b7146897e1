//! Whether a token counts here: its signature, by a key that is known; then when, by whom and for whom it was made.

use std::time::{Duration, SystemTime};

use super::algorithm::Algorithm;
use super::claims::Claims;
use super::compact::Compact;
use super::header::Header;
use super::key::Key;
use super::{bad, keyring, refused};
use crate::access::pass::{Holder, Pass, Subject};
use crate::config::Tokens;
use crate::refusal::{Kind, Refusal};
use crate::upkeep::Source;

/// How many requests a signature counts for that was verified in vain. It takes up to half a millisecond, as long as some
/// thirty requests, but is one of many things that happen only now and then to those who mean well.
const TOLL: u32 = 10;

/// The keys and the rules by which tokens are verified.
#[derive(Debug)]
pub struct Verifier {
    keys: Vec<Key>,
    rules: Rules,
}

/// What a token must say beside being signed.
#[derive(Debug)]
struct Rules {
    algorithms: Vec<Algorithm>,
    issuers: Vec<String>,
    audiences: Vec<String>,
    leeway: Duration,
    require_expiry: bool,
}

impl Verifier {
    /// What verifies as `tokens` says, with the files that it names.
    pub fn source(tokens: &Tokens) -> Source<Verifier> {
        let files = keyring::files(tokens);
        let files = files.into_iter().map(|(_, path)| path).collect();
        let tokens = tokens.clone();
        Source::new(files, move |contents| {
            let keys = keyring::keys(&tokens, contents)?;
            Ok(Verifier::new(&tokens, keys))
        })
    }

    fn new(tokens: &Tokens, keys: Vec<Key>) -> Self {
        Verifier {
            keys,
            rules: Rules {
                algorithms: tokens.algorithms.clone(),
                issuers: tokens.issuers.clone(),
                audiences: tokens.audiences.clone(),
                leeway: tokens.leeway,
                require_expiry: tokens.require_expiry,
            },
        }
    }

    /// Whether there is any token that it lets pass.
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// What `token` lets its holder do at the time `now`, and until when. Touches no file and blocks for nobody;
    /// costs the verification of one signature, or of one for each key without a name that fits.
    ///
    /// # Errors
    /// [`Kind::TokenExpired`] if nothing is wrong but that its time is over, else [`Kind::BadToken`], with a toll for each
    /// signature that was verified in vain. The sentence has no part of the token.
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Pass, Refusal> {
        if !self.has_keys() {
            return Err(bad(
                "no tokens are accepted here; [access.tokens] in the configuration has no key",
            ));
        }
        let token = Compact::parse(token)?;
        let header = Header::parse(&token.header)?;
        self.check_signature(&token, &header)?;
        // Only what is signed is read any further.
        let claims = Claims::parse(&token.claims)?;
        let expires = self.rules.check(&claims, now)?;
        let holder = Holder::Subject(Subject {
            name: claims.subject.map(Into::into),
            issuer: claims.issuer.map(Into::into),
        });
        Ok(Pass::new(holder, claims.rights, expires))
    }

    fn check_signature(&self, token: &Compact<'_>, header: &Header) -> Result<(), Refusal> {
        let algorithm = header.algorithm;
        if !self.rules.algorithms.contains(&algorithm) {
            return Err(bad(format!(
                "the token is signed by {algorithm}, which access.tokens.algorithms does not have"
            )));
        }
        let keys = self.meant(header)?;
        match keys
            .iter()
            .any(|key| key.verifies(algorithm, token.message, &token.signature))
        {
            true => Ok(()),
            false => {
                let tried = u32::try_from(keys.len()).unwrap_or(u32::MAX);
                let detail = "the token's signature is not that of a key that is known here";
                Err(bad(detail).with_toll(TOLL.saturating_mul(tried)))
            }
        }
    }

    /// The keys that may have signed a token with this header, one at least. Only a set names its keys; a token without a
    /// kid does not choose among several (OpenID Connect Core 1.0, section 10.1), or any stranger could have as many
    /// signatures verified as a set has keys.
    fn meant(&self, header: &Header) -> Result<Vec<&Key>, Refusal> {
        let fitting = self.keys.iter().filter(|key| key.fits(header.algorithm));
        let named = fitting.clone().filter(|key| key.id.is_some()).count();
        let is_meant = |key: &&Key| match (&key.id, &header.key) {
            (Some(own), Some(asked)) => **own == **asked,
            (Some(_), None) => named == 1,
            (None, _) => true,
        };
        let keys: Vec<&Key> = fitting.filter(is_meant).collect();
        match (keys.is_empty(), &header.key) {
            (false, _) => Ok(keys),
            (true, Some(_)) => Err(bad(
                "the token names a key (kid) that is not known here, or not for its algorithm",
            )),
            (true, None) if named > 1 => Err(bad(
                "the token does not name its key (kid), and there are several here for its algorithm",
            )),
            (true, None) => Err(bad(
                "the token is signed by an algorithm for which there is no key here",
            )),
        }
    }
}

impl Rules {
    /// Until when it counts.
    fn check(&self, claims: &Claims, now: SystemTime) -> Result<Option<SystemTime>, Refusal> {
        self.check_parties(claims)?;
        let is_later = |time: Option<SystemTime>| time.is_some_and(|time| time > now + self.leeway);
        if is_later(claims.not_before) {
            return Err(bad(
                "the token does not count yet (nbf); if it should, compare the clocks",
            ));
        }
        if is_later(claims.issued) {
            return Err(bad(
                "the token was made later than it is here (iat); compare the clocks",
            ));
        }
        let Some(expires) = claims.expires else {
            return match self.require_expiry {
                false => Ok(None),
                true => Err(bad(
                    "the token never expires (no exp), which access.tokens.require_expiry does not allow",
                )),
            };
        };
        let end = expires + self.leeway;
        if end <= now {
            return Err(refused(Kind::TokenExpired, "the token has expired (exp)"));
        }
        Ok(Some(end))
    }

    fn check_parties(&self, claims: &Claims) -> Result<(), Refusal> {
        let is_one_of = |expected: &[String], found: &str| expected.iter().any(|own| own == found);
        if !self.issuers.is_empty() {
            let issuer = claims.issuer.as_deref();
            let issuer = issuer.ok_or_else(|| bad("the token does not say who made it (iss)"))?;
            if !is_one_of(&self.issuers, issuer) {
                return Err(bad(
                    "the token's issuer (iss) is not one of access.tokens.issuers",
                ));
            }
        }
        match &claims.audience {
            None if self.audiences.is_empty() => Ok(()),
            None => Err(bad("the token does not say whom it is meant for (aud)")),
            Some(meant) if meant.iter().any(|one| is_one_of(&self.audiences, one)) => Ok(()),
            // Whoever is not named must refuse (RFC 7519, section 4.1.3): it is somebody else's token.
            Some(_) => Err(bad(
                "the token's audience (aud) is not one of access.tokens.audiences",
            )),
        }
    }
}
