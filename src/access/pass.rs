//! What somebody was let in with: who it is, what it may do, and until when.

use std::sync::Arc;
use std::time::SystemTime;

use super::rights::{Action, Rights};
use crate::hub::channel::ChannelName;
use crate::hub::selector::Selector;
use crate::refusal::{Kind, Refusal};

/// Whoever asks. Clones are the same.
#[derive(Debug, Clone)]
pub struct Pass {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    holder: Holder,
    rights: Rights,
    expires: Option<SystemTime>,
}

/// Who holds a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// Whoever shows nothing.
    Anonymous,
    /// The `sub` of a token; `None`: a token that names nobody.
    Subject(Option<Arc<str>>),
    /// The name of an API key in the configuration.
    Key(Arc<str>),
}

impl Pass {
    /// A pass for `holder`, which counts until `expires`; `None`: as long as it is not taken back.
    pub fn new(holder: Holder, rights: Rights, expires: Option<SystemTime>) -> Self {
        Pass {
            inner: Arc::new(Inner {
                holder,
                rights,
                expires,
            }),
        }
    }

    /// Who holds it.
    pub fn holder(&self) -> &Holder {
        &self.inner.holder
    }

    /// What it allows.
    pub fn rights(&self) -> &Rights {
        &self.inner.rights
    }

    /// Until when it counts.
    pub fn expires(&self) -> Option<SystemTime> {
        self.inner.expires
    }

    /// Checks that `action` is allowed with all channels that `asked` may stand for.
    ///
    /// # Errors
    /// 401 for whoever showed nothing and may come back with a token, else 403.
    pub fn check(&self, action: Action, asked: &Selector) -> Result<(), Refusal> {
        match self.rights().allow(action, asked) {
            true => Ok(()),
            false => Err(self.refused(action, asked.as_str())),
        }
    }

    /// Checks that `action` is allowed with this channel.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_channel(&self, action: Action, channel: &ChannelName) -> Result<(), Refusal> {
        match self.rights().allow_channel(action, channel) {
            true => Ok(()),
            false => Err(self.refused(action, channel.as_str())),
        }
    }

    fn refused(&self, action: Action, asked: &str) -> Refusal {
        let action = action.name();
        if *self.holder() == Holder::Anonymous {
            let detail =
                format!("to {action} '{asked}' takes a token or a key: 'Authorization: Bearer …'");
            let refusal = Refusal::new(Kind::Unauthorized, detail);
            return refusal.with_field("WWW-Authenticate", "Bearer");
        }
        let detail = format!("what was shown does not allow to {action} '{asked}'");
        Refusal::new(Kind::Forbidden, detail)
    }
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
        for holder in [Holder::Subject(None), Holder::Key("backend".into())] {
            assert_eq!(refusal(holder).kind, Kind::Forbidden);
        }
    }
}
