//! How many listen to each of some channels, by way: everyone who is connected is asked once.

use std::collections::HashMap;

use serde::Serialize;

use crate::hub::channel::ChannelName;
use crate::hub::selector::Selector;
use crate::roster::{Presence, Way};

/// Listeners of one channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Listeners {
    sse: u64,
    ndjson: u64,
    websocket: u64,
    long_poll: u64,
}

/// Those who are connected, by what they asked for.
#[derive(Debug, Default)]
pub(super) struct Audience {
    /// Those who asked for single channels only, under each of them.
    channels: HashMap<ChannelName, Listeners>,
    /// Those who asked for a pattern too, under all that they asked for: a channel that is matched twice has them once.
    mixtures: HashMap<Vec<Selector>, Listeners>,
}

impl Audience {
    /// Asks everyone.
    pub(super) fn count(present: impl IntoIterator<Item = Presence>) -> Self {
        let mut audience = Audience::default();
        for presence in present {
            audience.add(presence);
        }
        audience
    }

    fn add(&mut self, presence: Presence) {
        let (way, asked) = (presence.way, presence.selectors);
        if asked.iter().any(Selector::is_pattern) {
            self.mixtures.entry(asked).or_default().add(way, 1);
            return;
        }
        for selector in asked {
            if let Selector::Channel(name) = selector {
                self.channels.entry(name).or_default().add(way, 1);
            }
        }
    }

    /// How many selectors have to be compared with a channel.
    pub(super) fn comparisons(&self) -> usize {
        self.mixtures.keys().map(Vec::len).sum()
    }

    /// Who listens to this channel.
    pub(super) fn of(&self, channel: &ChannelName) -> Listeners {
        let exact = self.channels.get(channel).copied().unwrap_or_default();
        let hears = |asked: &[Selector]| asked.iter().any(|selector| selector.matches(channel));
        let others = self.mixtures.iter().filter(|(asked, _)| hears(asked));
        others.fold(exact, |all, (_, more)| all.plus(*more))
    }
}

impl Listeners {
    fn add(&mut self, way: Way, number: u64) {
        match way {
            Way::Sse => self.sse += number,
            Way::Ndjson => self.ndjson += number,
            Way::WebSocket => self.websocket += number,
            Way::LongPoll => self.long_poll += number,
            // Whoever polls asks for nothing in between.
            Way::Http => {}
        }
    }

    fn plus(self, more: Listeners) -> Listeners {
        Listeners {
            sse: self.sse + more.sse,
            ndjson: self.ndjson + more.ndjson,
            websocket: self.websocket + more.websocket,
            long_poll: self.long_poll + more.long_poll,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present(way: Way, selectors: &str) -> Presence {
        Presence {
            way,
            selectors: selectors
                .split(',')
                .map(|text| text.parse().unwrap())
                .collect(),
            ..Presence::between_requests()
        }
    }

    #[test]
    fn everyone_counts_once_by_its_way_in_each_channel_that_it_hears() {
        let audience = Audience::count([
            present(Way::Sse, "rooms/1"),
            present(Way::Sse, "rooms/1,rooms/2"),
            present(Way::LongPoll, "rooms/2"),
            present(Way::WebSocket, "rooms/*"),
            present(Way::WebSocket, "rooms/*"),
            present(Way::Ndjson, "rooms/1,rooms/*,**"),
            Presence::between_requests(),
        ]);
        let of = |name: &str| serde_json::to_string(&audience.of(&name.parse().unwrap())).unwrap();
        assert_eq!(
            of("rooms/1"),
            r#"{"sse":2,"ndjson":1,"websocket":2,"long-poll":0}"#
        );
        assert_eq!(
            of("rooms/2"),
            r#"{"sse":1,"ndjson":1,"websocket":2,"long-poll":1}"#
        );
        assert_eq!(
            of("alerts"),
            r#"{"sse":0,"ndjson":1,"websocket":0,"long-poll":0}"#
        );
        assert_eq!(
            audience.comparisons(),
            4,
            "the same list of two is compared once"
        );
    }
}
