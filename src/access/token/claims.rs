//! What a token says (RFC 7519, section 4), and what it allows: the claim `fourcast`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use super::bad;
use super::members::Members;
use crate::access::rights::{Action, Rights};
use crate::hub::selector::Selector;
use crate::refusal::Refusal;

/// The most bytes of a subject. It is a name in logs and lists.
pub const LONGEST_SUBJECT: usize = 256;
/// The most selectors of one action. Each is compared with whatever is asked for.
pub const MOST_SELECTORS: usize = 100;
/// 9999-12-31T23:59:59Z: the last second that has a name in RFC 3339.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// The claims that count.
#[derive(Debug, PartialEq)]
pub struct Claims {
    /// Who it is about (`sub`).
    pub subject: Option<String>,
    /// Who made it (`iss`).
    pub issuer: Option<String>,
    /// Whom it is meant for (`aud`); `None`: it does not say.
    pub audience: Option<Vec<String>>,
    /// From when on it does not count any more (`exp`).
    pub expires: Option<SystemTime>,
    /// Until when it does not count yet (`nbf`).
    pub not_before: Option<SystemTime>,
    /// When it was made (`iat`).
    pub issued: Option<SystemTime>,
    /// What it allows; nothing, if it does not say.
    pub rights: Rights,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Claims {
    /// Reads claims.
    ///
    /// # Errors
    /// When they are no JSON object, or one that counts is not what it should be; the sentence says which one.
    pub fn parse(json: &[u8]) -> Result<Self, Refusal> {
        let members = Members::parse(json).ok_or_else(|| {
            bad("the token's claims are no JSON object whose members stand once each")
        })?;
        let text = |name: &str| {
            let text = members.get::<String>(name);
            text.map_err(|_| bad(format!("the token's {name} is no text")))
        };
        Ok(Claims {
            subject: subject(text("sub")?)?,
            issuer: text("iss")?,
            audience: audience(&members)?,
            expires: time(&members, "exp")?,
            not_before: time(&members, "nbf")?,
            issued: time(&members, "iat")?,
            rights: rights(&members)?,
        })
    }
}

/// It is told to the operator and counted by, so it is one line, which reads as it is written (log injection, bidi).
fn subject(text: Option<String>) -> Result<Option<String>, Refusal> {
    let is_control =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_sound = |text: &String| {
        (1..=LONGEST_SUBJECT).contains(&text.len()) && !text.chars().any(is_control)
    };
    if text.as_ref().is_none_or(is_sound) {
        return Ok(text);
    }
    Err(bad(format!(
        "the token's sub does not have 1 to {LONGEST_SUBJECT} bytes without control characters"
    )))
}

fn audience(members: &Members) -> Result<Option<Vec<String>>, Refusal> {
    let audience = members.get::<Audience>("aud");
    let audience =
        audience.map_err(|_| bad("the token's aud is neither a text nor a list of texts"))?;
    Ok(audience.map(|audience| match audience {
        Audience::One(one) => vec![one],
        Audience::Several(several) => several,
    }))
}

/// A NumericDate: seconds since 1970, perhaps with a fraction.
fn time(members: &Members, name: &str) -> Result<Option<SystemTime>, Refusal> {
    let seconds = members.get::<f64>(name).ok();
    let time = seconds.and_then(|seconds| match seconds {
        None => Some(None),
        Some(seconds) if (0.0..=LAST_SECOND).contains(&seconds) => {
            let since = Duration::try_from_secs_f64(seconds).ok()?;
            UNIX_EPOCH.checked_add(since).map(Some)
        }
        Some(_) => None,
    });
    time.ok_or_else(|| {
        bad(format!(
            "the token's {name} is no number of seconds since 1970, up to the year 9999"
        ))
    })
}

fn rights(members: &Members) -> Result<Rights, Refusal> {
    let allowed = members.object("fourcast").map_err(|_| {
        bad("the token's claim fourcast is no object such as {\"subscribe\":[\"rooms/*\"]}")
    })?;
    let Some(allowed) = allowed else {
        return Ok(Rights::default());
    };
    let actions = [Action::Subscribe, Action::Publish, Action::Delete];
    // A misspelt action would be a right that silently does not count.
    if allowed
        .names()
        .any(|name| !actions.iter().any(|action| action.name() == name))
    {
        return Err(bad(
            "the token's claim fourcast has something else than subscribe, publish and delete",
        ));
    }
    Ok(Rights {
        subscribe: selectors(&allowed, Action::Subscribe)?,
        publish: selectors(&allowed, Action::Publish)?,
        delete: selectors(&allowed, Action::Delete)?,
    })
}

fn selectors(allowed: &Members, action: Action) -> Result<Vec<Selector>, Refusal> {
    let name = format!("fourcast.{}", action.name());
    let texts = allowed.get::<Vec<String>>(action.name());
    let texts = texts.map_err(|_| bad(format!("the token's {name} is no list of texts")))?;
    let texts = texts.unwrap_or_default();
    if texts.len() > MOST_SELECTORS {
        return Err(bad(format!(
            "the token's {name} has more than {MOST_SELECTORS} channels and patterns; use a pattern for many"
        )));
    }
    let selector = |(index, text): (usize, &String)| {
        text.parse().map_err(|error| {
            bad(format!(
                "the token's {name}[{index}] is no channel or pattern: {error}"
            ))
        })
    };
    texts.iter().enumerate().map(selector).collect()
}
