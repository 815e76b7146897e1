//! How many listen to each channel of a page, by way: everyone who is connected is asked once.

use std::collections::HashMap;

use serde::Serialize;

use crate::hub::channel::ChannelName;
use crate::hub::selector::{Selection, Selector};
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

/// Those who are connected and asked for something.
#[derive(Debug, Default)]
pub(super) struct Audience<'a> {
    /// Those who asked for single channels only, each with what it asked for.
    plain: Vec<(Way, &'a Selection)>,
    /// Those who asked for a pattern too, by all that they asked for: a channel that is matched twice has them once.
    mixtures: HashMap<Vec<&'a Selector>, Listeners>,
}

impl<'a> Audience<'a> {
    /// All of these.
    pub(super) fn of(present: &'a [Presence]) -> Self {
        let mut audience = Audience::default();
        for presence in present {
            let Some(asked) = &presence.asked else {
                continue;
            };
            if asked.selectors().any(Selector::is_pattern) {
                let mixture = audience.mixtures.entry(asked.selectors().collect());
                mixture.or_default().add(presence.way);
            } else {
                audience.plain.push((presence.way, asked));
            }
        }
        audience
    }

    /// How many selectors have to be compared with each channel.
    pub(super) fn comparisons(&self) -> usize {
        self.mixtures.keys().map(Vec::len).sum()
    }

    /// Who listens to each of these channels.
    pub(super) fn count<'c>(
        &self,
        channels: impl Iterator<Item = &'c ChannelName>,
    ) -> HashMap<&'c ChannelName, Listeners> {
        let mut counts: HashMap<_, _> = channels.map(|name| (name, self.matching(name))).collect();
        for (way, asked) in &self.plain {
            for selector in asked.selectors() {
                if let Selector::Channel(name) = selector
                    && let Some(listeners) = counts.get_mut(name)
                {
                    listeners.add(*way);
                }
            }
        }
        counts
    }

    /// Who listens to this channel among those who asked for a pattern too.
    fn matching(&self, channel: &ChannelName) -> Listeners {
        let hears = |asked: &[&Selector]| asked.iter().any(|selector| selector.matches(channel));
        let who = self.mixtures.iter().filter(|(asked, _)| hears(asked));
        who.fold(Listeners::default(), |all, (_, more)| all.plus(*more))
    }
}

impl Listeners {
    fn add(&mut self, way: Way) {
        match way {
            Way::Sse => self.sse += 1,
            Way::Ndjson => self.ndjson += 1,
            Way::WebSocket => self.websocket += 1,
            Way::LongPoll => self.long_poll += 1,
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
    use std::sync::Arc;

    use super::*;

    fn present(way: Way, selectors: &str) -> Presence {
        let selectors = selectors.split(',').map(|text| text.parse().unwrap());
        Presence {
            way,
            asked: Some(Arc::new(Selection::new(selectors))),
            ..Presence::between_requests()
        }
    }

    #[test]
    fn everyone_counts_once_by_its_way_in_each_channel_that_it_hears() {
        let present = [
            present(Way::Sse, "rooms/1"),
            present(Way::Sse, "rooms/1,rooms/2"),
            present(Way::LongPoll, "rooms/2"),
            present(Way::WebSocket, "rooms/*"),
            present(Way::WebSocket, "rooms/*"),
            present(Way::Ndjson, "rooms/1,rooms/*,**"),
            Presence::between_requests(),
        ];
        let audience = Audience::of(&present);
        let names = ["rooms/1", "rooms/2", "alerts"].map(|name| name.parse().unwrap());
        let counts = audience.count(names.iter());
        let of = |name: &str| {
            serde_json::to_string(&counts[&name.parse::<ChannelName>().unwrap()]).unwrap()
        };
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
