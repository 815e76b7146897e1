//! What somebody was let in with: who it is, what it may do, and until when.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::keys::KeyHash;
use super::rights::{Action, Rights};
use crate::config::ApiKey;
use crate::hub::channel::ChannelName;
use crate::hub::selector::Selector;
use crate::refusal::{Kind, Refusal};

/// Whoever asks. Clones are the same.
#[derive(Debug, Clone)]
pub struct Pass {
    inner: Arc<Inner>,
    /// What everyone may.
    common: Arc<Rights>,
}

#[derive(Debug)]
struct Inner {
    holder: Holder,
    rights: Rights,
    expires: Option<SystemTime>,
    /// The API key that was shown.
    key: Option<KeyHash>,
}

/// Who holds a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// Whoever shows nothing.
    Anonymous,
    /// Whoever a token is about.
    Subject(Subject),
    /// The name of an API key in the configuration.
    Key(Arc<str>),
}

/// Whoever a token is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Subject {
    /// Its `sub`; `None`: it names nobody.
    pub name: Option<Arc<str>>,
    /// Its `iss`: the same name is somebody else with another issuer (RFC 7519, section 4.1.2). Kept where there is but one
    /// too, so that nobody becomes somebody else when another may issue.
    pub issuer: Option<Arc<str>>,
}

impl Pass {
    /// A pass for `holder`, which counts until `expires`; `None`: as long as it is not taken back.
    pub fn new(holder: Holder, rights: Rights, expires: Option<SystemTime>) -> Self {
        Self::of(Inner {
            holder,
            rights,
            expires,
            key: None,
        })
    }

    /// The pass of whoever shows this API key.
    pub fn of_key(key: &ApiKey) -> Self {
        Self::of(Inner {
            holder: Holder::Key(key.name.clone()),
            rights: key.rights.clone(),
            expires: None,
            key: Some(key.hash),
        })
    }

    fn of(inner: Inner) -> Self {
        Pass {
            inner: Arc::new(inner),
            common: Arc::default(),
        }
    }

    /// The same where everyone may this much.
    pub(super) fn among(&self, common: &Arc<Rights>) -> Self {
        Pass {
            inner: self.inner.clone(),
            common: common.clone(),
        }
    }

    /// Whether these very rights are what everyone may.
    pub(super) fn is_among(&self, common: &Arc<Rights>) -> bool {
        Arc::ptr_eq(&self.common, common)
    }

    /// The API key that was shown, if one was.
    pub(super) fn key(&self) -> Option<KeyHash> {
        self.inner.key
    }

    /// Who holds it.
    pub fn holder(&self) -> &Holder {
        &self.inner.holder
    }

    /// What it allows beside what everyone may.
    pub fn rights(&self) -> &Rights {
        &self.inner.rights
    }

    /// Until when it counts.
    pub fn expires(&self) -> Option<SystemTime> {
        self.inner.expires
    }

    /// Whether it allows exactly what `other` does, as it is written.
    pub fn allows_as_much_as(&self, other: &Pass) -> bool {
        self.rights() == other.rights() && self.common == other.common
    }

    /// How long it counts from now on; `None`: as long as it is not taken back.
    pub fn left(&self) -> Option<Duration> {
        let expires = self.expires()?;
        Some(
            expires
                .duration_since(SystemTime::now())
                .unwrap_or_default(),
        )
    }

    /// Whether its time is over.
    pub fn is_over(&self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// Checks that its time is not over.
    ///
    /// # Errors
    /// 401 when it is.
    pub fn check_time(&self) -> Result<(), Refusal> {
        match self.is_over() {
            false => Ok(()),
            true => Err(Refusal::new(
                Kind::TokenExpired,
                "the time of what was shown is over; come back with a fresh token",
            )),
        }
    }

    /// What `path` is called where its holder's names must not meet those of others.
    pub fn scope(&self, path: &str) -> String {
        // A path has no space, so that no other pair of both reads the same.
        match self.holder() {
            Holder::Anonymous => path.to_owned(),
            Holder::Subject(subject) => format!("{path}{}", subject.scope()),
            Holder::Key(name) => format!("{path} key:{name}"),
        }
    }

    /// Checks that its holder may come in at all.
    ///
    /// # Errors
    /// 401 for whoever showed nothing, where that is not enough for anything.
    pub fn check_entry(&self) -> Result<(), Refusal> {
        let is_nobody = *self.holder() == Holder::Anonymous && self.common.are_none();
        match is_nobody {
            false => Ok(()),
            true => Err(unknown("to come in takes a token or a key")),
        }
    }

    /// Checks that `action` is allowed with some channel, which is not known yet.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_any(&self, action: Action) -> Result<(), Refusal> {
        let lists = [self.rights(), &self.common].map(|rights| rights.list(action));
        match lists.iter().all(|list| list.is_empty()) {
            false => Ok(()),
            true => Err(self.refused(action, "anything")),
        }
    }

    /// Checks that `action` is allowed with all channels that `asked` may stand for.
    ///
    /// # Errors
    /// 401 for whoever showed nothing and may come back with a token, else 403.
    pub fn check(&self, action: Action, asked: &Selector) -> Result<(), Refusal> {
        let mut all = [self.rights(), &self.common].into_iter();
        match all.any(|rights| rights.allow(action, asked)) {
            true => Ok(()),
            false => Err(self.refused(action, &format!("'{asked}'"))),
        }
    }

    /// Checks that `action` is allowed with this channel.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_channel(&self, action: Action, channel: &ChannelName) -> Result<(), Refusal> {
        let mut all = [self.rights(), &self.common].into_iter();
        match all.any(|rights| rights.allow_channel(action, channel)) {
            true => Ok(()),
            false => Err(self.refused(action, &format!("'{channel}'"))),
        }
    }

    fn refused(&self, action: Action, asked: &str) -> Refusal {
        let action = match action {
            Action::Subscribe => "subscribe to",
            Action::Publish => "publish to",
            Action::Delete => "delete",
        };
        match self.holder() {
            Holder::Anonymous => unknown(format!("to {action} {asked} takes a token or a key")),
            _ => {
                let detail = format!("what was shown does not allow to {action} {asked}");
                Refusal::new(Kind::Forbidden, detail)
            }
        }
    }
}

impl Subject {
    /// An issuer may have any characters; its length keeps it apart from what follows.
    fn scope(&self) -> String {
        let issuer = self.issuer.as_deref();
        let issuer = issuer.map(|issuer| format!(" iss{}:{issuer}", issuer.len()));
        let name = self.name.as_deref().map(|name| format!(":{name}"));
        format!(
            "{} sub{}",
            issuer.unwrap_or_default(),
            name.unwrap_or_default()
        )
    }
}

/// A subject of a token that does not say who made it.
#[cfg(test)]
impl From<&str> for Subject {
    fn from(name: &str) -> Self {
        Subject {
            name: Some(name.into()),
            issuer: None,
        }
    }
}

/// Of whoever showed nothing (RFC 6750, section 3).
fn unknown(what: impl fmt::Display) -> Refusal {
    let detail = format!("{what}: 'Authorization: Bearer …'");
    let refusal = Refusal::new(Kind::Unauthorized, detail);
    refusal.with_field("WWW-Authenticate", "Bearer realm=\"fourcast\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(holder: Holder) -> Refusal {
        let pass = Pass::new(holder, Rights::default(), None);
        let channel = "rooms/42".parse().unwrap();
        pass.check_channel(Action::Publish, &channel).unwrap_err()
    }

    #[test]
    fn whoever_showed_nothing_is_asked_for_a_token_and_everyone_else_refused() {
        let unknown = refusal(Holder::Anonymous);
        assert_eq!(unknown.kind, Kind::Unauthorized);
        assert!(unknown.field.is_some());
        for holder in [
            Holder::Subject(Subject::default()),
            Holder::Key("backend".into()),
        ] {
            assert_eq!(refusal(holder).kind, Kind::Forbidden);
        }
    }

    #[test]
    fn the_same_path_is_another_to_another_holder() {
        let scope = |holder| Pass::new(holder, Rights::default(), None).scope("rooms/42");
        let of = |issuer: &str, name: Option<&str>| {
            Holder::Subject(Subject {
                name: name.map(Into::into),
                issuer: Some(issuer.into()),
            })
        };
        let all = [
            Holder::Anonymous,
            Holder::Subject(Subject::default()),
            Holder::Subject("a".into()),
            Holder::Subject("key:a".into()),
            Holder::Key("a".into()),
            of("x", None),
            of("x", Some("a")),
            of("y", Some("a")),
            of("x sub", Some("a")),
            of("x", Some("a sub:a")),
            of("x sub:a", Some("a")),
        ]
        .map(scope);
        let different: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len(), "{all:?}");
        assert_eq!(all[0], "rooms/42", "as it was before there were holders");
    }

    #[test]
    fn everyone_may_what_those_may_who_show_nothing() {
        let common = Arc::new(Rights {
            subscribe: vec!["public/**".parse().unwrap()],
            ..Rights::default()
        });
        let own = Rights {
            subscribe: vec!["rooms/*".parse().unwrap()],
            ..Rights::default()
        };
        let pass = Pass::new(Holder::Key("a".into()), own, None).among(&common);
        for (asked, allowed) in [
            ("rooms/42", true),
            ("public/a/b", true),
            ("public/**", true),
            ("rooms/**", false),
            ("**", false),
        ] {
            let asked = asked.parse().unwrap();
            assert_eq!(
                pass.check(Action::Subscribe, &asked).is_ok(),
                allowed,
                "{asked}"
            );
        }
        assert!(pass.check_any(Action::Subscribe).is_ok());
        assert!(pass.check_any(Action::Publish).is_err());
    }

    #[test]
    fn whoever_shows_nothing_comes_in_where_that_is_good_for_something() {
        let nothing = Arc::new(Rights::default());
        let anonymous = Pass::new(Holder::Anonymous, Rights::default(), None);
        let refused = anonymous.among(&nothing).check_entry().unwrap_err();
        assert_eq!(refused.kind, Kind::Unauthorized);
        assert!(
            anonymous
                .among(&Arc::new(Rights::all()))
                .check_entry()
                .is_ok()
        );
        let known = Pass::new(Holder::Subject(Subject::default()), Rights::default(), None);
        assert!(known.among(&nothing).check_entry().is_ok());
    }

    #[test]
    fn a_pass_is_over_when_its_time_has_come() {
        let pass = |expires| Pass::new(Holder::Subject(Subject::default()), Rights::all(), expires);
        let now = SystemTime::now();
        assert!(!pass(None).is_over());
        assert!(pass(Some(now)).is_over());
        assert!(pass(Some(SystemTime::UNIX_EPOCH)).is_over());
        let later = pass(Some(now + Duration::from_secs(3600)));
        assert!(!later.is_over() && later.left() > Some(Duration::from_secs(3000)));
    }
}
