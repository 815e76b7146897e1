//! What it costs to count one request or one event by the client that it comes from. An item is one that is granted.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use divan::Bencher;
use fourcast::access::pass::{Holder, Subject};
use fourcast::access::shares::{Asker, Shares};
use fourcast::config::{Config, Rate};

fn main() {
    divan::main();
}

/// With rates so high that none of this is refused.
fn config() -> Config {
    let mut config = Config::default();
    let rate = Some(Rate::a_second(Rate::MOST));
    config.rates.requests_per_address = rate;
    config.rates.requests_per_subject = rate;
    config.rates.burst = std::time::Duration::from_secs(3600);
    config
}

fn request(bencher: Bencher, address: &str, holder: Option<&Holder>) {
    let (shares, config) = (Shares::new(), config());
    let address = address.parse().ok();
    bencher.bench_local(|| shares.request(&config, Asker { address, holder }));
}

#[divan::bench]
fn from_an_exempt_address(bencher: Bencher) {
    request(bencher, "127.0.0.1", None);
}

#[divan::bench]
fn from_one_address(bencher: Bencher) {
    request(bencher, "192.0.2.1", None);
}

#[divan::bench]
fn from_one_address_with_a_subject(bencher: Bencher) {
    let subject = Holder::Subject(Subject {
        name: Some("somebody@example.com".into()),
        issuer: None,
    });
    request(bencher, "2001:db8::1", Some(&subject));
}

/// More addresses than there are buckets, so that each takes the place of another.
#[divan::bench]
fn from_ever_new_addresses(bencher: Bencher) {
    let (shares, config) = (Shares::new(), config());
    let next = AtomicU32::new(0);
    bencher.bench_local(|| {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let asker = Asker {
            address: Some(IpAddr::from(
                number.wrapping_mul(2_654_435_761).to_be_bytes(),
            )),
            holder: None,
        };
        shares.request(&config, asker)
    });
}
