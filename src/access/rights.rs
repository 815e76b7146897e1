//! What somebody may do with which channels.

use crate::hub::channel::ChannelName;
use crate::hub::selector::Selector;

/// What can be done with a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Reading its events, on any way.
    Subscribe,
    /// Adding an event.
    Publish,
    /// Forgetting its events.
    Delete,
}

impl Action {
    /// The name of its list, in a token and in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Action::Subscribe => "subscribe",
            Action::Publish => "publish",
            Action::Delete => "delete",
        }
    }
}

/// The channels and patterns with which each action is allowed; by default none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    /// What may be read.
    pub subscribe: Vec<Selector>,
    /// What may be published to.
    pub publish: Vec<Selector>,
    /// What may be forgotten.
    pub delete: Vec<Selector>,
}

impl Rights {
    /// Every action with every channel.
    pub fn all() -> Self {
        let everything = vec![Selector::everything()];
        Rights {
            subscribe: everything.clone(),
            publish: everything.clone(),
            delete: everything,
        }
    }

    /// Whether nothing is allowed.
    pub fn are_none(&self) -> bool {
        self.subscribe.is_empty() && self.publish.is_empty() && self.delete.is_empty()
    }

    /// Whether `action` is allowed with all channels that `asked` may stand for. One selector of the list must cover
    /// it alone.
    pub fn allow(&self, action: Action, asked: &Selector) -> bool {
        self.list(action)
            .iter()
            .any(|granted| granted.covers(asked))
    }

    /// Whether `action` is allowed with this channel.
    pub fn allow_channel(&self, action: Action, channel: &ChannelName) -> bool {
        let mut list = self.list(action).iter();
        list.any(|granted| granted.matches(channel))
    }

    /// The channels and patterns with which `action` is allowed.
    pub fn list(&self, action: Action) -> &[Selector] {
        match action {
            Action::Subscribe => &self.subscribe,
            Action::Publish => &self.publish,
            Action::Delete => &self.delete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_action_has_a_list_of_its_own() {
        let rights = Rights {
            subscribe: vec!["rooms/*".parse().unwrap()],
            publish: vec!["rooms/42".parse().unwrap()],
            delete: Vec::new(),
        };
        let allowed = |name: &str| {
            [Action::Subscribe, Action::Publish, Action::Delete]
                .map(|action| rights.allow_channel(action, &name.parse().unwrap()))
        };
        assert_eq!(allowed("rooms/42"), [true, true, false]);
        assert_eq!(allowed("rooms/7"), [true, false, false]);
        assert_eq!(allowed("rooms/42/log"), [false; 3]);
        assert!(rights.allow(Action::Subscribe, &"rooms/*".parse().unwrap()));
        assert!(!rights.allow(Action::Publish, &"rooms/*".parse().unwrap()));
        assert!(!rights.allow(Action::Subscribe, &"rooms/**".parse().unwrap()));
    }

    #[test]
    fn without_a_list_nothing_is_allowed() {
        assert!(Rights::default().are_none());
        assert!(!Rights::default().allow_channel(Action::Subscribe, &"a".parse().unwrap()));
        assert!(Rights::all().allow(Action::Delete, &Selector::everything()));
    }
}
