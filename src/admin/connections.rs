//! `GET /-/connections`: who is connected, what each asks for, and how far it is.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use serde::Serialize;

use super::listing;
use super::route::Asked;
use crate::access::pass::Holder;
use crate::delivery::Context;
use crate::exchange::negotiate::{Parameters, bad};
use crate::http::response::Response;
use crate::hub::selector::Selector;
use crate::refusal::Refusal;
use crate::roster::{Presence, Sighting, Way};

/// The most that are looked at for one answer; who wants few of many gets them in several.
const EXAMINED: usize = 10_000;
/// The most bytes of one answer, unless it has one connection only: how long a connection is in a list is up to its
/// client, and who asks for very much must not keep the others out of it.
const BYTES: usize = 1024 * 1024;

/// A page of connections, in the order in which they came.
#[derive(Serialize)]
struct Connections {
    connections: Vec<Connection>,
    /// Whether there may be others behind.
    more: bool,
    /// The `after` of the next page.
    next: u64,
}

#[derive(Serialize)]
struct Connection {
    id: u64,
    way: &'static str,
    address: String,
    #[serde(flatten)]
    who: Who,
    channels: Vec<String>,
    cursor: Option<String>,
    behind: bool,
    /// Events of all channels that came since its cursor, of those who are behind: what it is owed is no more.
    events_behind: u64,
    /// When it came, in milliseconds since 1970.
    since: u64,
    received_bytes: u64,
    sent_bytes: u64,
}

/// Who it is, apart by what it showed: people may choose the name in their token.
#[derive(Serialize, Default)]
struct Who {
    /// Whom its token is about (`sub`).
    subject: Option<String>,
    /// Who says so (`iss`).
    issuer: Option<String>,
    /// The name of its API key.
    key: Option<String>,
}

/// Which of them.
struct Wanted {
    way: Option<Way>,
    channel: Option<Selector>,
    after: u64,
    limit: usize,
}

pub(super) fn answer(asked: &Asked<'_>, context: &Context) -> Result<Response, Refusal> {
    let wanted = Wanted::read(&Parameters::parse(asked.query))?;
    let head = context.hub.head().seq;
    listing::answer(&Connections::pick(
        context.roster.walk(wanted.after),
        &wanted,
        head,
    ))
}

impl Wanted {
    fn read(parameters: &Parameters<'_>) -> Result<Self, Refusal> {
        let way = parameters.get("way")?.map(read_way).transpose()?;
        let channel = parameters.get("channel")?.map(str::parse).transpose();
        let channel = channel.map_err(|error| {
            bad(format!(
                "'channel' is a channel or a pattern such as rooms/*: {error}"
            ))
        })?;
        let after = parameters.get("after")?.filter(|text| !text.is_empty());
        let after = after.map_or(Ok(0), str::parse);
        Ok(Wanted {
            way,
            channel,
            after: after.map_err(|_| bad("'after' is the 'next' of the page before"))?,
            limit: parameters.limit()?,
        })
    }

    fn fits(&self, presence: &Presence) -> bool {
        let meets = |wanted: &Selector| presence.selectors().any(|asked| meet(wanted, asked));
        self.way.is_none_or(|way| way == presence.way) && self.channel.as_ref().is_none_or(meets)
    }
}

fn read_way(text: &str) -> Result<Way, Refusal> {
    let found = Way::ALL.into_iter().find(|way| way.as_str() == text);
    found.ok_or_else(|| {
        let names = Way::ALL.map(Way::as_str).join(", ");
        bad(format!("'way' is one of {names}"))
    })
}

/// Whether one who asked for `asked` hears the channel that is wanted, or one that fits a wanted pattern; or asked for
/// that very pattern.
fn meet(wanted: &Selector, asked: &Selector) -> bool {
    match (wanted, asked) {
        (Selector::Channel(name), asked) => asked.matches(name),
        (wanted, Selector::Channel(name)) => wanted.matches(name),
        (wanted, asked) => wanted == asked,
    }
}

impl Connections {
    fn pick(walk: impl Iterator<Item = Sighting>, wanted: &Wanted, head: u64) -> Self {
        let mut page = Connections {
            connections: Vec::new(),
            more: false,
            next: wanted.after,
        };
        let mut bytes = 0;
        for (examined, seen) in walk.enumerate() {
            let fits = wanted.fits(&seen.presence);
            bytes += if fits { weight(&seen) } else { 0 };
            let is_full = page.connections.len() == wanted.limit
                || (fits && bytes > BYTES && !page.connections.is_empty());
            if is_full || examined == EXAMINED {
                page.more = true;
                break;
            }
            page.next = seen.number;
            if fits {
                page.connections.push(Connection::new(seen, head));
            }
        }
        page
    }
}

/// How many bytes a connection has in a list, at most.
fn weight(seen: &Sighting) -> usize {
    /// Its names and all values but the channels and who it is.
    const REST: usize = 512;
    /// Two quotes and a comma.
    const MARKS: usize = 3;
    let channels = seen.presence.selectors();
    let channels: usize = channels.map(|asked| asked.as_str().len() + MARKS).sum();
    REST + channels + Who::of(seen.presence.holder.as_ref()).weight()
}

impl Who {
    fn of(holder: Option<&Holder>) -> Self {
        let text = |text: &Arc<str>| text.as_ref().to_owned();
        match holder {
            None | Some(Holder::Anonymous) => Who::default(),
            Some(Holder::Subject(subject)) => Who {
                subject: subject.name.as_ref().map(text),
                issuer: subject.issuer.as_ref().map(text),
                key: None,
            },
            Some(Holder::Key(name)) => Who {
                key: Some(text(name)),
                ..Who::default()
            },
        }
    }

    fn weight(&self) -> usize {
        /// What one byte becomes at most (`\u0000`).
        const ESCAPED: usize = 6;
        let texts = [&self.subject, &self.issuer, &self.key];
        let bytes: usize = texts.into_iter().flatten().map(String::len).sum();
        ESCAPED * bytes
    }
}

impl Connection {
    fn new(seen: Sighting, head: u64) -> Self {
        let presence = seen.presence;
        let place = presence.cursor.filter(|_| presence.is_behind);
        let since = seen.since.duration_since(UNIX_EPOCH).unwrap_or_default();
        let channels = presence.selectors();
        Connection {
            id: seen.number,
            way: presence.way.as_str(),
            address: seen.peer.to_string(),
            who: Who::of(presence.holder.as_ref()),
            channels: channels.map(|asked| asked.as_str().to_owned()).collect(),
            cursor: presence.cursor.map(|cursor| cursor.to_string()),
            behind: presence.is_behind,
            events_behind: place.map_or(0, |place| head.saturating_sub(place.seq)),
            since: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            received_bytes: seen.traffic.received,
            sent_bytes: seen.traffic.sent,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::Duration;

    use super::*;
    use crate::access::pass::Subject;
    use crate::event::{Epoch, Id};
    use crate::hub::selector::Selection;
    use crate::refusal::Kind;
    use crate::roster::Traffic;

    fn wanted(query: &str) -> Result<Wanted, Refusal> {
        Wanted::read(&Parameters::parse(Some(query)))
    }

    fn seen(number: u64, way: Way, selectors: &str) -> Sighting {
        let selectors = selectors.split(',').filter(|text| !text.is_empty());
        Sighting {
            number,
            peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 9)).into(),
            since: UNIX_EPOCH + Duration::from_millis(5),
            traffic: Traffic {
                received: 1,
                sent: 2,
            },
            presence: Presence {
                way,
                asked: Some(Arc::new(Selection::new(
                    selectors.map(|text| text.parse().unwrap()),
                ))),
                ..Presence::between_requests()
            },
        }
    }

    fn pick(all: &[Sighting], query: &str) -> (Vec<u64>, bool, u64) {
        let wanted = wanted(query).unwrap();
        let walk = all
            .iter()
            .filter(|seen| seen.number > wanted.after)
            .cloned();
        let page = Connections::pick(walk, &wanted, 0);
        let ids = page.connections.iter().map(|connection| connection.id);
        (ids.collect(), page.more, page.next)
    }

    #[test]
    fn those_who_fit_are_given_page_by_page() {
        let all = [
            seen(1, Way::Sse, "rooms/1"),
            seen(3, Way::WebSocket, "rooms/*"),
            seen(4, Way::Http, ""),
            seen(7, Way::Sse, "alerts,rooms/2"),
        ];
        for (query, ids, more, next) in [
            ("", vec![1, 3, 4, 7], false, 7),
            ("limit=2", vec![1, 3], true, 3),
            ("limit=2&after=3", vec![4, 7], false, 7),
            ("after=7", vec![], false, 7),
            ("way=sse", vec![1, 7], false, 7),
            ("way=http", vec![4], false, 7),
            ("way=sse&limit=1", vec![1], true, 1),
            ("channel=rooms/1", vec![1, 3], false, 7),
            ("channel=rooms/*", vec![1, 3, 7], false, 7),
            ("channel=**", vec![1, 7], false, 7),
            ("channel=alerts&way=websocket", vec![], false, 7),
        ] {
            assert_eq!(pick(&all, query), (ids, more, next), "{query}");
        }
    }

    #[test]
    fn no_request_looks_at_more_than_so_many() {
        let many = 1..=EXAMINED as u64 + 1;
        let mut all: Vec<_> = many.map(|number| seen(number, Way::Http, "")).collect();
        all.push(seen(EXAMINED as u64 + 2, Way::Sse, "a"));
        let end = EXAMINED as u64;
        assert_eq!(pick(&all, "way=sse"), (vec![], true, end));
        assert_eq!(
            pick(&all, &format!("way=sse&after={end}")),
            (vec![end + 2], false, end + 2)
        );
    }

    #[test]
    fn a_page_ends_before_it_is_long_and_the_next_goes_on_there() {
        let name = |number: usize| format!("{number:0>6}/{}", "x".repeat(240));
        let hungry = (0..4_400).map(name).collect::<Vec<_>>().join(",");
        let one = hungry.len();
        assert!(one > BYTES, "one alone is more than a page");
        let modest = (0..1_000).map(name).collect::<Vec<_>>().join(",");
        let mut all: Vec<_> = (1..=10).map(|at| seen(at, Way::Sse, &modest)).collect();
        all.push(seen(11, Way::Sse, &hungry));
        all.push(seen(12, Way::Sse, "a"));
        let wanted = |after: u64| wanted(&format!("limit=1000&after={after}")).unwrap();
        let (mut ids, mut after) = (Vec::new(), 0);
        loop {
            let later = all.iter().filter(|seen| seen.number > after).cloned();
            let page = Connections::pick(later, &wanted(after), 0);
            let bytes = serde_json::to_vec(&page).unwrap().len();
            assert!(page.connections.len() == 1 || bytes <= BYTES, "{bytes}");
            ids.push(
                page.connections
                    .iter()
                    .map(|one| one.id)
                    .collect::<Vec<_>>(),
            );
            if !page.more {
                break;
            }
            after = page.next;
        }
        let expected = [&[1, 2, 3, 4][..], &[5, 6, 7, 8], &[9, 10], &[11], &[12]];
        assert_eq!(ids, expected);
    }

    #[test]
    fn nobody_looks_like_somebody_else() {
        let told = |holder| {
            let mut one = seen(1, Way::Sse, "a");
            one.presence.holder = Some(holder);
            serde_json::to_value(Connection::new(one, 0)).unwrap()
        };
        let subject = |issuer: &str| Subject {
            name: Some("key:backend".into()),
            issuer: Some(issuer.into()),
        };
        let key = told(Holder::Key("backend".into()));
        let [a, b] = ["a", "b"].map(|issuer| told(Holder::Subject(subject(issuer))));
        assert!(a != key && a != b, "{key}, {a}, {b}");
        assert_eq!(key["key"], "backend");
        assert_eq!(
            (&a["subject"], &a["issuer"]),
            (&"key:backend".into(), &"a".into())
        );
    }

    #[test]
    fn how_far_behind_is_told_of_those_who_are() {
        let mut one = seen(1, Way::Sse, "a");
        one.presence.cursor = Some(Id {
            epoch: Epoch::from_random(0),
            seq: 4,
        });
        assert_eq!(Connection::new(one.clone(), 10).events_behind, 0);
        one.presence.is_behind = true;
        let told = serde_json::to_string(&Connection::new(one, 10)).unwrap();
        assert_eq!(
            told,
            r#"{"id":1,"way":"sse","address":"127.0.0.1:9","subject":null,"issuer":null,"key":null,"channels":["a"],"cursor":"0000000000-4","behind":true,"events_behind":6,"since":5,"received_bytes":1,"sent_bytes":2}"#
        );
    }

    #[test]
    fn what_cannot_be_asked_for_is_refused() {
        for query in [
            "way=poll",
            "way=",
            "channel=a*",
            "after=x",
            "after=-1",
            "limit=0",
        ] {
            assert_eq!(
                wanted(query).err().unwrap().kind,
                Kind::BadParameter,
                "{query}"
            );
        }
    }
}
