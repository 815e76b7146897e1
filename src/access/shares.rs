//! What one client may have of a server, so that there is something left for all others: connections at once, requests
//! and publishes in a time.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pass::{Holder, Subject};
use super::rates::{Buckets, Pace};
use super::tally::{Share, Tally};
use crate::config::{Config, Limits, Rate, Rates};
use crate::network::Network;
use crate::refusal::{Kind, Refusal};

/// How many requests, or operations, that come too fast, one behind the other, are answered on a connection: then the
/// client does not heed it.
pub const TOO_FAST: usize = 10;

/// What all clients of a server have at the moment, and had lately.
pub struct Shares {
    tally: Tally<Client>,
    buckets: Buckets,
    begun: Instant,
}

/// Whoever is counted apart from all others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Client {
    /// One that is known by where it comes from.
    Address(Network),
    /// Whoever has this API key.
    Key(Arc<str>),
    /// Whoever has a token of this subject.
    Subject(Subject),
}

/// Whoever asks for something, as far as it is known; each of it counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asker<'a> {
    /// Where it comes from; `None`: from no network, or counted already.
    pub address: Option<IpAddr>,
    /// What it showed.
    pub holder: Option<&'a Holder>,
}

/// What is counted in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Deed {
    Request,
    Publish,
}

impl Shares {
    /// Nobody has anything yet.
    pub fn new() -> Self {
        Shares {
            tally: Tally::default(),
            buckets: Buckets::new(),
            begun: Instant::now(),
        }
    }

    /// Counts a connection from `address`, as long as what is returned lasts; `None`: it is not counted.
    ///
    /// # Errors
    /// 429 when there are as many as one address may have.
    pub fn connection(
        &self,
        limits: &Limits,
        address: Option<IpAddr>,
    ) -> Result<Option<Share<Client>>, Refusal> {
        let Some(client) = address.and_then(|address| Client::at(address, limits)) else {
            return Ok(None);
        };
        let most = limits.share_of_address();
        self.tally.try_take(client, most).map(Some).ok_or_else(|| {
            let detail = format!(
                "one address has {most} connections at most, and this one has them; close some, or come back later"
            );
            Refusal::new(Kind::TooManyOfOne, detail)
        })
    }

    /// Counts a request, a stream or a WebSocket of `holder`, as long as what is returned lasts; `None`: it is not counted,
    /// since nobody is named.
    ///
    /// # Errors
    /// 429 when there are as many as one subject, or one API key, may have.
    pub fn presence(
        &self,
        limits: &Limits,
        holder: &Holder,
    ) -> Result<Option<Share<Client>>, Refusal> {
        let Some(client) = Client::of(holder) else {
            return Ok(None);
        };
        let most = limits.share_of_subject();
        let whose = client.name();
        self.tally.try_take(client, most).map(Some).ok_or_else(|| {
            let detail = format!(
                "one {whose} has {most} requests, streams and WebSockets at most at once, and this one has them"
            );
            Refusal::new(Kind::TooManyOfOne, detail)
        })
    }

    /// Counts a request, or an operation on a WebSocket.
    ///
    /// # Errors
    /// 429, with the time after which it is granted.
    pub fn request(&self, config: &Config, asker: Asker<'_>) -> Result<(), Refusal> {
        self.spend(config, asker, Deed::Request, 1)
    }

    /// Counts so many events that are to be published.
    ///
    /// # Errors
    /// 429, with the time after which they are granted.
    pub fn publishes(
        &self,
        config: &Config,
        asker: Asker<'_>,
        events: usize,
    ) -> Result<(), Refusal> {
        let events = u64::try_from(events).unwrap_or(u64::MAX);
        self.spend(config, asker, Deed::Publish, events)
    }

    /// Has whoever asked pay for so many requests more, for work that was done in vain: granted or not, so that the next
    /// ones wait for it.
    pub fn charge(&self, config: &Config, asker: Asker<'_>, toll: u32) {
        let (now, deed) = (self.begun.elapsed(), Deed::Request);
        for client in asker.clients(&config.limits) {
            if let Some(rate) = deed.rate(&config.rates, &client) {
                let pace = Pace::new(rate, config.rates.burst);
                self.buckets.charge((deed, &client), pace, toll.into(), now);
            }
        }
    }

    fn spend(
        &self,
        config: &Config,
        asker: Asker<'_>,
        deed: Deed,
        cost: u64,
    ) -> Result<(), Refusal> {
        let mut clients = asker.clients(&config.limits).peekable();
        if clients.peek().is_none() {
            return Ok(());
        }
        let now = self.begun.elapsed();
        let mut paid = None;
        for client in clients {
            let Some(rate) = deed.rate(&config.rates, &client) else {
                continue;
            };
            let pace = Pace::new(rate, config.rates.burst);
            let taken = self.buckets.take((deed, &client), pace, cost, now);
            if let Err(wait) = taken {
                // Whoever is refused pays for nobody: else one who goes on trying would use up what an office shares.
                if let Some((client, pace)) = paid {
                    self.buckets.give_back((deed, &client), pace, cost);
                }
                return Err(deed.refused(&client, rate, wait));
            }
            paid = Some((client, pace));
        }
        Ok(())
    }
}

impl Default for Shares {
    fn default() -> Self {
        Self::new()
    }
}

impl Asker<'_> {
    /// All that are counted for it, what it showed first.
    fn clients(self, limits: &Limits) -> impl Iterator<Item = Client> {
        let at = self.address;
        let at = at.and_then(|address| Client::at(address, limits));
        let holder = self.holder.and_then(Client::of);
        [holder, at].into_iter().flatten()
    }
}

impl Client {
    /// Whoever comes from `address`; nobody, where it is exempt.
    pub fn at(address: IpAddr, limits: &Limits) -> Option<Self> {
        let is_counted = !limits.exempts(address);
        is_counted.then(|| Client::Address(Network::of_client(address)))
    }

    /// Whoever holds a pass, if it names anybody.
    pub fn of(holder: &Holder) -> Option<Self> {
        match holder {
            Holder::Key(name) => Some(Client::Key(name.clone())),
            Holder::Subject(subject) => subject
                .name
                .as_ref()
                .map(|_| Client::Subject(subject.clone())),
            Holder::Anonymous => None,
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Client::Address(_) => "address",
            Client::Key(_) => "API key",
            Client::Subject(_) => "subject",
        }
    }
}

impl Deed {
    const fn rate(self, rates: &Rates, client: &Client) -> Option<Rate> {
        match (self, client) {
            (Deed::Request, Client::Address(_)) => rates.requests_per_address,
            (Deed::Request, Client::Key(_)) => rates.requests_per_key,
            (Deed::Request, Client::Subject(_)) => rates.requests_per_subject,
            (Deed::Publish, Client::Address(_)) => rates.publishes_per_address,
            (Deed::Publish, Client::Key(_)) => rates.publishes_per_key,
            (Deed::Publish, Client::Subject(_)) => rates.publishes_per_subject,
        }
    }

    fn refused(self, client: &Client, rate: Rate, wait: Duration) -> Refusal {
        let what = match self {
            Deed::Request => "requests",
            Deed::Publish => "events",
        };
        let whose = client.name();
        let detail = format!(
            "{what} of one {whose} may come at a rate of {rate}, and these come faster; wait as long as is said"
        );
        Refusal::new(Kind::RateLimited, detail).with_retry_after(wait)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::config::Per;

    const ADDRESS: &str = "192.0.2.1";

    fn address(text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    fn holder(subject: &str) -> Holder {
        Holder::Subject(subject.into())
    }

    /// So few that none comes back while a test runs.
    fn few(count: u32) -> Option<Rate> {
        let count = count.try_into().ok()?;
        Some(Rate {
            count,
            per: Per::Hour,
        })
    }

    fn config() -> Config {
        let mut config = Config::default();
        config.limits.connections_per_address = NonZeroUsize::new(2);
        config.limits.connections_per_subject = NonZeroUsize::new(2);
        config.rates = Rates {
            requests_per_address: few(3),
            requests_per_key: few(2),
            requests_per_subject: few(1),
            publishes_per_address: few(30),
            publishes_per_key: few(20),
            publishes_per_subject: few(10),
            burst: Duration::from_secs(3600),
        };
        config
    }

    #[test]
    fn an_address_has_its_share_of_connections_and_exempt_ones_have_any() {
        let (shares, limits) = (Shares::new(), config().limits);
        let connect = |text| shares.connection(&limits, address(text));
        let _both = (connect(ADDRESS).unwrap(), connect(ADDRESS).unwrap());
        assert_eq!(connect(ADDRESS).err().unwrap().kind, Kind::TooManyOfOne);
        assert!(connect("::ffff:192.0.2.1").is_err(), "it is the same one");
        assert!(connect("192.0.2.2").unwrap().is_some());
        for exempt in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(connect(exempt).unwrap().is_none(), "{exempt}");
        }
        assert!(shares.connection(&limits, None).unwrap().is_none());
    }

    #[test]
    fn a_subject_and_a_key_of_the_same_name_are_two() {
        let (shares, limits) = (Shares::new(), config().limits);
        let key = Holder::Key("a".into());
        let _subjects = [(); 2].map(|()| shares.presence(&limits, &holder("a")).unwrap());
        assert!(shares.presence(&limits, &holder("a")).is_err());
        assert!(shares.presence(&limits, &key).unwrap().is_some());
        for nobody in [Holder::Anonymous, Holder::Subject(Subject::default())] {
            assert!(shares.presence(&limits, &nobody).unwrap().is_none());
        }
    }

    #[test]
    fn each_client_has_a_rate_of_its_own_for_requests_and_for_publishes() {
        let config = config();
        let (key, subject) = (Holder::Key("a".into()), holder("a"));
        let nobody = Asker::default();
        for (asker, requests, events) in [
            (
                Asker {
                    address: address(ADDRESS),
                    ..nobody
                },
                3,
                30,
            ),
            (
                Asker {
                    holder: Some(&key),
                    ..nobody
                },
                2,
                20,
            ),
            (
                Asker {
                    holder: Some(&subject),
                    ..nobody
                },
                1,
                10,
            ),
        ] {
            let shares = Shares::new();
            for _ in 0..requests {
                shares.request(&config, asker).unwrap();
            }
            let refusal = shares.request(&config, asker).unwrap_err();
            assert_eq!(refusal.kind, Kind::RateLimited);
            assert!(refusal.retry_after > Some(Duration::from_secs(60)));
            assert!(
                shares.publishes(&config, asker, events).is_ok(),
                "a batch costs its events"
            );
            assert!(shares.publishes(&config, asker, 1).is_err());
        }
    }

    #[test]
    fn whoever_comes_from_an_exempt_address_is_still_counted_by_what_it_shows() {
        let (shares, config, subject) = (Shares::new(), config(), holder("a"));
        let asker = Asker {
            address: address("127.0.0.1"),
            holder: Some(&subject),
        };
        assert!(shares.request(&config, asker).is_ok());
        assert!(shares.request(&config, asker).is_err());
        let unnamed = Asker {
            holder: Some(&Holder::Anonymous),
            ..asker
        };
        for _ in 0..100 {
            assert!(shares.request(&config, unnamed).is_ok());
        }
    }

    #[test]
    fn whoever_is_refused_for_what_it_showed_takes_nothing_from_its_address() {
        let (shares, config, subject) = (Shares::new(), config(), holder("a"));
        let asker = Asker {
            address: address(ADDRESS),
            holder: Some(&subject),
        };
        assert!(shares.publishes(&config, asker, 10).is_ok());
        for _ in 0..100 {
            assert!(shares.publishes(&config, asker, 10).is_err());
        }
        let neighbour = Asker {
            holder: None,
            ..asker
        };
        assert!(shares.publishes(&config, neighbour, 20).is_ok());
    }

    #[test]
    fn whoever_is_refused_for_its_address_has_all_that_is_its_own() {
        let (shares, config, subject) = (Shares::new(), config(), holder("a"));
        let crowd = Asker {
            address: address(ADDRESS),
            holder: None,
        };
        assert!(shares.publishes(&config, crowd, 30).is_ok());
        let asker = Asker {
            holder: Some(&subject),
            ..crowd
        };
        for _ in 0..100 {
            assert!(shares.publishes(&config, asker, 10).is_err());
        }
        let elsewhere = Asker {
            address: address("192.0.2.2"),
            ..asker
        };
        assert!(shares.publishes(&config, elsewhere, 10).is_ok());
    }

    #[test]
    fn a_rate_that_is_off_counts_nothing() {
        let (shares, mut config) = (Shares::new(), config());
        config.rates.requests_per_address = None;
        let asker = Asker {
            address: address(ADDRESS),
            holder: None,
        };
        for _ in 0..100 {
            assert!(shares.request(&config, asker).is_ok());
        }
    }
}
