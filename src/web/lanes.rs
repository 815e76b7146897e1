//! What went over the wire for each lane of a live page: the exchanges that name the same lane, added up.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::roster::{Link, Traffic};

/// The most lanes that are remembered: sixty-four pages. Of those with nothing under way, or else of all, the one that
/// was not asked about for longest goes.
const LANES: usize = 256;
/// The most lanes that one answer tells of.
pub const ASKED: usize = 16;

/// A lane's name, chosen at random by its page: 16 to 32 letters, digits and hyphens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Token(Box<str>);

/// What is no token.
#[derive(Debug, PartialEq, Eq)]
pub struct NoToken;

/// All lanes of a server.
#[derive(Default)]
pub struct Lanes(Mutex<Table>);

#[derive(Default)]
struct Table {
    /// Counts the looks at it; the latest is the highest.
    looks: u64,
    lanes: HashMap<Token, Seat>,
}

struct Seat {
    /// The last look at it.
    looked: u64,
    lane: Arc<Lane>,
}

#[derive(Default)]
struct Lane(Mutex<Sums>);

#[derive(Default)]
struct Sums {
    requests: u64,
    /// Of the exchanges that are over.
    over: Traffic,
    /// Those under way, as many as there are connections at most.
    running: Vec<Running>,
}

struct Running {
    number: u64,
    link: Arc<dyn Link>,
    before: Traffic,
}

/// What a lane's exchanges came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Figures {
    lane: Token,
    /// Exchanges, those under way among them.
    requests: u64,
    /// Bytes from the browser: heads, bodies, chunk lines and frames.
    received: u64,
    /// Bytes to the browser.
    sent: u64,
}

/// Counts one exchange of a lane. Dropping it ends the exchange.
pub struct Meter {
    lane: Arc<Lane>,
    number: u64,
    /// Bytes that were read and belong to the next exchange.
    unread: u64,
}

impl Token {
    /// The lane that the query of a URL names. It is looked for byte by byte, since a token has nothing encoded.
    pub fn in_query(query: Option<&str>) -> Option<Token> {
        let mut pairs = query?.split('&');
        pairs
            .find_map(|pair| pair.strip_prefix("lane="))?
            .parse()
            .ok()
    }
}

impl FromStr for Token {
    type Err = NoToken;

    fn from_str(text: &str) -> Result<Self, NoToken> {
        let is_one = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        match (16..=32).contains(&text.len()) && text.bytes().all(is_one) {
            true => Ok(Token(text.into())),
            false => Err(NoToken),
        }
    }
}

impl fmt::Display for NoToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a lane is 16 to 32 letters, digits and hyphens")
    }
}

impl Lanes {
    /// Begins to count an exchange for a lane: what goes over `link` beyond `before`.
    pub fn begin(&self, token: Token, link: Arc<dyn Link>, before: Traffic) -> Meter {
        let lane = self.table().seat(token);
        let number = lane.begin(link, before);
        Meter {
            lane,
            number,
            unread: 0,
        }
    }

    /// What the lanes came to so far, in the order in which they are asked for. One that is not known had nothing.
    pub fn figures(&self, tokens: Vec<Token>) -> Vec<Figures> {
        tokens
            .into_iter()
            .map(|token| {
                let lane = self.table().known(&token);
                lane.map_or_else(
                    || Sums::default().figures(token.clone()),
                    |lane| lane.sums().figures(token.clone()),
                )
            })
            .collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Every change is one insertion, removal or assignment, so a panic leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// The lane of this name, a new one if need be.
    fn seat(&mut self, token: Token) -> Arc<Lane> {
        if let Some(lane) = self.known(&token) {
            return lane;
        }
        // Whoever makes up names without end takes no more room, only the places of others.
        if self.lanes.len() >= LANES {
            let longest = self
                .lanes
                .iter()
                .min_by_key(|(_, seat)| (seat.lane.is_busy(), seat.looked));
            if let Some(token) = longest.map(|(token, _)| token.clone()) {
                self.lanes.remove(&token);
            }
        }
        self.looks += 1;
        let lane = Arc::<Lane>::default();
        let seat = Seat {
            looked: self.looks,
            lane: lane.clone(),
        };
        self.lanes.insert(token, seat);
        lane
    }

    fn known(&mut self, token: &Token) -> Option<Arc<Lane>> {
        let seat = self.lanes.get_mut(token)?;
        self.looks += 1;
        seat.looked = self.looks;
        Some(seat.lane.clone())
    }
}

impl Lane {
    /// Notes an exchange under way; its number.
    fn begin(&self, link: Arc<dyn Link>, before: Traffic) -> u64 {
        let mut sums = self.sums();
        sums.requests += 1;
        let number = sums.requests;
        sums.running.push(Running {
            number,
            link,
            before,
        });
        number
    }

    fn end(&self, number: u64, unread: u64) {
        let mut sums = self.sums();
        let Some(place) = sums
            .running
            .iter()
            .position(|running| running.number == number)
        else {
            return;
        };
        let mut traffic = sums.running.swap_remove(place).traffic();
        traffic.received = traffic.received.saturating_sub(unread);
        sums.over = sums.over.plus(traffic);
    }

    /// Whether an exchange of it is under way.
    fn is_busy(&self) -> bool {
        !self.sums().running.is_empty()
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        // At worst an exchange is not counted.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sums {
    fn figures(&self, lane: Token) -> Figures {
        let running = self.running.iter().map(Running::traffic);
        let all = running.fold(self.over, Traffic::plus);
        Figures {
            lane,
            requests: self.requests,
            received: all.received,
            sent: all.sent,
        }
    }
}

impl Running {
    fn traffic(&self) -> Traffic {
        self.link.traffic().since(self.before)
    }
}

impl Meter {
    /// Ends it where `unread` bytes were read that belong to the next one.
    pub fn end(mut self, unread: usize) {
        self.unread = u64::try_from(unread).unwrap_or(u64::MAX);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.lane.end(self.number, self.unread);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::peer::Peer;

    /// A connection over which as many bytes went in each direction.
    #[derive(Default)]
    struct Wire(AtomicU64);

    impl Wire {
        fn carry(&self, bytes: u64) {
            self.0.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    impl Link for Wire {
        fn peer(&self) -> Peer {
            Peer::Unix
        }

        fn traffic(&self) -> Traffic {
            let bytes = self.0.load(Ordering::Relaxed);
            Traffic {
                received: bytes,
                sent: bytes,
            }
        }

        fn cut(&self) {}
    }

    fn token(number: usize) -> Token {
        format!("a-lane-of-a-page-{number}").parse().unwrap()
    }

    fn figures(lanes: &Lanes, number: usize) -> (u64, u64, u64) {
        let all = lanes.figures(vec![token(number)]);
        (all[0].requests, all[0].received, all[0].sent)
    }

    #[test]
    fn a_token_is_what_a_page_makes_up() {
        for query in [
            "lane=0123456789abcdef",
            "after=x&lane=A-0123456789-bcdef-Z&limit=1",
        ] {
            assert!(Token::in_query(Some(query)).is_some(), "{query}");
        }
        for query in [
            "",
            "lane=",
            "lane=0123456789abcde",
            "lane=0123456789abcdef0123456789abcdef0",
            "lane=0123456789abcde_",
            "lane=0123456789abcde%66",
            "plane=0123456789abcdef",
        ] {
            assert_eq!(Token::in_query(Some(query)), None, "{query}");
        }
        assert_eq!(Token::in_query(None), None);
    }

    #[test]
    fn an_exchange_counts_while_it_runs_and_afterwards() {
        let (lanes, wire) = (Lanes::default(), Arc::<Wire>::default());
        wire.carry(1000);
        let exchange = lanes.begin(token(1), wire.clone(), wire.traffic());
        assert_eq!(figures(&lanes, 1), (1, 0, 0));
        wire.carry(10);
        assert_eq!(figures(&lanes, 1), (1, 10, 10));
        drop(exchange);
        wire.carry(100);
        assert_eq!(figures(&lanes, 1), (1, 10, 10));
    }

    #[test]
    fn exchanges_of_one_lane_on_several_connections_are_added_up() {
        let (lanes, one, other) = (
            Lanes::default(),
            Arc::<Wire>::default(),
            Arc::<Wire>::default(),
        );
        let first = lanes.begin(token(1), one.clone(), one.traffic());
        let second = lanes.begin(token(1), other.clone(), other.traffic());
        let stranger = lanes.begin(token(2), other.clone(), other.traffic());
        one.carry(1);
        other.carry(20);
        drop(first);
        assert_eq!(figures(&lanes, 1), (2, 21, 21));
        assert_eq!(figures(&lanes, 2), (1, 20, 20));
        drop((second, stranger));
        assert_eq!(figures(&lanes, 1), (2, 21, 21));
    }

    #[test]
    fn what_was_read_ahead_belongs_to_the_next_exchange() {
        let (lanes, wire) = (Lanes::default(), Arc::<Wire>::default());
        let exchange = lanes.begin(token(1), wire.clone(), wire.traffic());
        wire.carry(50);
        exchange.end(20);
        assert_eq!(figures(&lanes, 1), (1, 30, 50));
    }

    #[test]
    fn the_lane_that_was_not_asked_about_for_longest_makes_room() {
        let (lanes, wire) = (Lanes::default(), Arc::<Wire>::default());
        let begin = |number| drop(lanes.begin(token(number), wire.clone(), wire.traffic()));
        (0..LANES).for_each(begin);
        assert_eq!(figures(&lanes, 0).0, 1);
        begin(LANES);
        assert_eq!(figures(&lanes, 0).0, 1);
        assert_eq!(figures(&lanes, 1).0, 0, "it made room");
        assert_eq!(lanes.table().lanes.len(), LANES);
    }

    #[test]
    fn a_lane_with_a_stream_under_way_makes_no_room_while_others_can() {
        let (lanes, wire) = (Lanes::default(), Arc::<Wire>::default());
        let stream = lanes.begin(token(0), wire.clone(), wire.traffic());
        for number in 1..=LANES {
            drop(lanes.begin(token(number), wire.clone(), wire.traffic()));
        }
        wire.carry(5);
        assert_eq!(figures(&lanes, 0), (1, 5, 5));
        drop(stream);
    }

    #[test]
    fn an_exchange_of_a_lane_that_made_room_ends_quietly() {
        let (lanes, wire) = (Lanes::default(), Arc::<Wire>::default());
        let begin = |number| lanes.begin(token(number), wire.clone(), wire.traffic());
        let all: Vec<_> = (0..=LANES).map(begin).collect();
        wire.carry(5);
        drop(all);
        assert_eq!(figures(&lanes, 0), (0, 0, 0));
        assert_eq!(figures(&lanes, LANES), (1, 5, 5));
    }
}
