//! Who may do what. What somebody shows becomes a [`Pass`], which has [`Rights`]; every request and
//! every operation is held against it before the first byte of an answer.

pub mod credential;
pub mod current;
pub mod keys;
pub mod pass;
pub mod rates;
pub mod rights;
pub mod shares;
pub mod tally;
pub mod token;

use std::sync::Arc;
use std::time::SystemTime;

use self::credential::{Credential, Form};
use self::keys::KeyHash;
use self::pass::{Holder, Pass};
use self::rights::Rights;
use self::token::verifier::Verifier;
use crate::config::{self, ApiKey};
use crate::exchange::negotiate::Parameters;
use crate::exchange::origin::Visitor;
use crate::http::head::Head;
use crate::refusal::{Kind, Refusal};
use crate::upkeep::Kept;

/// What the configuration says of who may do what; it does not change.
pub struct Access {
    /// Of whoever shows nothing.
    anonymous: Pass,
    /// What everyone may, whatever he shows.
    common: Arc<Rights>,
    /// Whether everyone may do everything.
    is_open: bool,
    keys: Vec<ApiKey>,
    tokens: Arc<Kept<Verifier>>,
    /// The cookie in which a browser may bring a token.
    cookie: Option<String>,
}

impl Access {
    /// What this configuration says, with what verifies `tokens`.
    pub fn new(config: &config::Access, tokens: Arc<Kept<Verifier>>) -> Self {
        let is_open = config.is_open();
        let common = Arc::new(match is_open {
            true => Rights::all(),
            false => config.anonymous.clone(),
        });
        let anonymous = Pass::new(Holder::Anonymous, Rights::default(), None);
        Access {
            anonymous: anonymous.among(&common),
            common,
            is_open,
            keys: config.keys.clone(),
            tokens,
            cookie: config.tokens.cookie.clone(),
        }
    }

    /// Finds who asks; `parameters` are those of the head's query, and `pay` is told the [toll](Refusal::toll) of what is not
    /// valid, where that is refused and where it is not. Whoever shows something that is not valid is refused
    /// even where it takes nothing: it would wonder why it may less than it thinks. Where everyone may do everything it
    /// may not less, and may show what is meant for somebody else.
    ///
    /// # Errors
    /// 401 for what is not valid where anything takes a right, 400 for several credentials, 403 for a cookie of a page that
    /// may not use it.
    pub fn admit(
        &self,
        head: &Head,
        parameters: &Parameters<'_>,
        visitor: &Visitor,
        pay: impl FnOnce(u32),
    ) -> Result<Pass, Refusal> {
        let Some(credential) = Credential::shown_by(head, parameters, self.cookie.as_deref())?
        else {
            return Ok(self.anonymous.clone());
        };
        // Against cross-site request forgery, cross-site WebSocket hijacking and cross-site script inclusion.
        if credential.is_added() {
            visitor.check_cookie(head)?;
        }
        match self
            .admit_with(&credential)
            .inspect_err(|refusal| pay(refusal.toll))
        {
            Err(_) if self.is_open => Ok(self.anonymous.clone()),
            found => found,
        }
    }

    /// Finds who shows this.
    ///
    /// # Errors
    /// 401 for what is not valid.
    pub fn admit_with(&self, credential: &Credential<'_>) -> Result<Pass, Refusal> {
        let pass = match credential.form() {
            Form::Key => self.key(credential.text()),
            Form::Token => self.token(credential.text()),
            Form::Unknown => Err(bad("what was shown is neither a token nor a key")),
        };
        pass.map(|pass| pass.among(&self.common)).map_err(invalid)
    }

    /// What counts of a pass that a request was let in with, after a wait for the rest of that request.
    ///
    /// # Errors
    /// 401 when its time is over, or its API key gone.
    pub fn confirm(&self, pass: &Pass) -> Result<Pass, Refusal> {
        pass.check_time().map_err(invalid)?;
        self.renew(pass)
    }

    /// The pass that this access gives to whoever was given `pass` before: with the rights that count now.
    /// A token counts as it was given until its time is over.
    ///
    /// # Errors
    /// 401 when its API key is gone.
    pub fn renew(&self, pass: &Pass) -> Result<Pass, Refusal> {
        match pass.key() {
            None => Ok(pass.among(&self.common)),
            Some(hash) => {
                let pass = self.key_with(hash).map_err(invalid)?;
                Ok(pass.among(&self.common))
            }
        }
    }

    /// Whether it is this access that gave the pass its rights.
    pub fn gave(&self, pass: &Pass) -> bool {
        pass.is_among(&self.common)
    }

    fn key(&self, text: &str) -> Result<Pass, Refusal> {
        self.key_with(KeyHash::of(text))
    }

    fn key_with(&self, hash: KeyHash) -> Result<Pass, Refusal> {
        find(self.keys.iter(), hash)
            .map(Pass::of_key)
            .ok_or_else(|| bad("this key is not known here; it may have been taken back"))
    }

    fn token(&self, text: &str) -> Result<Pass, Refusal> {
        self.tokens.get().verify(text, SystemTime::now())
    }
}

/// The first key with this hash. Compared with every one, without an end at the one that it is: how long that takes
/// tells nothing.
fn find<'k>(keys: impl Iterator<Item = &'k ApiKey>, hash: KeyHash) -> Option<&'k ApiKey> {
    let is_it = |key: &&ApiKey| key.hash == hash;
    keys.fold(None, |found, key| {
        let compared = Some(key).filter(is_it);
        found.or(compared)
    })
}

/// As RFC 6750, section 3.1, has it.
fn invalid(refusal: Refusal) -> Refusal {
    refusal.with_field("WWW-Authenticate", "Bearer error=\"invalid_token\"")
}

fn bad(detail: &'static str) -> Refusal {
    Refusal::new(Kind::BadToken, detail)
}

#[cfg(test)]
mod tests;
