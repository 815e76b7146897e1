//! An item is one event published from within the program: the time until the journal has kept it and those who
//! deliver it are told.

mod audience;

use std::sync::LazyLock;

use audience::{Audience, Way, affordable, draft, listen_if_asked, server};
use divan::Bencher;

/// How many subscribers there are, where there are any.
static SUBSCRIBERS: LazyLock<Vec<usize>> = LazyLock::new(|| affordable(&[1_000]));

fn main() {
    listen_if_asked();
    divan::main();
}

#[divan::bench(sample_size = 100, sample_count = 1_000)]
fn to_nobody(bencher: Bencher) {
    let server = server();
    bencher
        .with_inputs(draft)
        .bench_local_values(|draft| server.publish(draft));
}

/// A hundred in a row, while their delivery is under way.
#[divan::bench(args = &*SUBSCRIBERS, sample_size = 100, sample_count = 50)]
fn to_busy_subscribers(bencher: Bencher, subscribers: &usize) {
    publish(bencher, *subscribers);
}

/// Each after the one before was delivered, so that those who deliver it have to be woken.
#[divan::bench(args = &*SUBSCRIBERS, sample_size = 1, sample_count = 500)]
fn to_idle_subscribers(bencher: Bencher, subscribers: &usize) {
    publish(bencher, *subscribers);
}

/// Before a sample begins, everyone has read the one before.
fn publish(bencher: Bencher, subscribers: usize) {
    let audience = Audience::gather(Way::Sse, subscribers);
    bencher
        .with_inputs(|| {
            audience.wait();
            draft()
        })
        .bench_local_values(|draft| audience.publish(draft));
}
