//! `GET /-/channels`: what is kept of each channel, who listens to it, and how often events come.

use serde::Serialize;

use super::audience::{Audience, Listeners};
use super::listing;
use super::rate::Rates;
use super::route::Asked;
use crate::delivery::Context;
use crate::exchange::negotiate::{Parameters, bad};
use crate::http::response::Response;
use crate::hub::channel::ChannelName;
use crate::hub::selector::Selector;
use crate::journal::{Holding, unix_millis};
use crate::refusal::Refusal;

/// The newest events that count for the rates.
const RECENT: usize = 100_000;
/// How many selectors are compared with how many channels for one answer, so that nobody who subscribes to very many
/// patterns makes it take long.
const COMPARISONS: usize = 1_000_000;

/// A page of channels, in the order of their names.
#[derive(Serialize)]
struct Channels {
    channels: Vec<Channel>,
    /// Whether others come after the last.
    more: bool,
}

#[derive(Serialize)]
struct Channel {
    channel: String,
    events: u64,
    bytes: u64,
    last: Option<String>,
    subscribers: Listeners,
    /// Events a second.
    rate: f64,
}

/// Which of them.
struct Wanted {
    filter: Selector,
    after: Option<ChannelName>,
    limit: usize,
}

pub(super) fn answer(asked: &Asked<'_>, context: &Context) -> Result<Response, Refusal> {
    let wanted = Wanted::read(&Parameters::parse(asked.query))?;
    listing::answer(&Channels::look(context, &wanted))
}

impl Wanted {
    fn read(parameters: &Parameters<'_>) -> Result<Self, Refusal> {
        let filter = match parameters.get("match")? {
            None => Selector::everything(),
            Some(text) => text.parse().map_err(|error| {
                bad(format!(
                    "'match' is a channel or a pattern such as rooms/*: {error}"
                ))
            })?,
        };
        let after = parameters.get("after")?.filter(|text| !text.is_empty());
        let after = after.map(str::parse).transpose().map_err(|error| {
            bad(format!(
                "'after' is the last channel of the page before: {error}"
            ))
        })?;
        let limit = parameters.limit()?;
        Ok(Wanted {
            filter,
            after,
            limit,
        })
    }
}

impl Channels {
    fn look(context: &Context, wanted: &Wanted) -> Self {
        let present: Vec<_> = context.roster.walk(0).map(|seen| seen.presence).collect();
        let audience = Audience::of(&present);
        // A page is shorter rather than late.
        let limit = wanted
            .limit
            .min(COMPARISONS / audience.comparisons().max(1))
            .max(1);
        let mut holdings = context
            .hub
            .holdings(wanted.after.as_ref(), &wanted.filter, limit + 1);
        let more = holdings.len() > limit;
        holdings.truncate(limit);
        let (since, entries) = context.hub.newest(RECENT);
        let rates = Rates::count(&entries, since, unix_millis());
        let listeners = audience.count(holdings.iter().map(|kept| &kept.channel));
        let channel = |kept: &Holding| {
            let subscribers = listeners.get(&kept.channel).copied().unwrap_or_default();
            Channel::new(kept, subscribers, rates.of(&kept.channel))
        };
        Channels {
            channels: holdings.iter().map(channel).collect(),
            more,
        }
    }
}

impl Channel {
    fn new(kept: &Holding, subscribers: Listeners, rate: f64) -> Self {
        Channel {
            channel: kept.channel.as_str().to_owned(),
            events: kept.events,
            bytes: kept.bytes,
            last: kept.last.map(|id| id.to_string()),
            subscribers,
            rate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Kind;

    #[test]
    fn what_cannot_be_asked_for_is_refused() {
        for query in [
            "match=a*",
            "match=",
            "after=a//b",
            "limit=0",
            "limit=x",
            "limit=1&limit=2",
        ] {
            let refusal = Wanted::read(&Parameters::parse(Some(query))).err().unwrap();
            assert_eq!(refusal.kind, Kind::BadParameter, "{query}");
        }
    }

    #[test]
    fn a_hundred_of_all_are_wanted_unless_something_else_is_said() {
        let wanted = |query| Wanted::read(&Parameters::parse(query)).unwrap();
        let plain = wanted(None);
        assert_eq!(
            (plain.filter.as_str(), plain.after, plain.limit),
            ("**", None, 100)
        );
        let other = wanted(Some("match=rooms%2F*&after=rooms/7&limit=5000"));
        assert_eq!((other.filter.as_str(), other.limit), ("rooms/*", 1000));
        assert_eq!(other.after, Some("rooms/7".parse().unwrap()));
    }
}
