//! An item is one delivery: the time from the publish of an event until all of its subscribers have read it from
//! their sockets, divided by their number. Server and subscribers share this machine's cores.

mod audience;

use std::sync::LazyLock;

use audience::{Audience, Way, affordable, draft, listen_if_asked};
use divan::Bencher;

/// How many subscribers there are. Each number divides the deliveries of a sample, so that it ends with an event.
static SUBSCRIBERS: LazyLock<Vec<usize>> = LazyLock::new(|| affordable(&[1, 100, 1_000, 10_000]));

fn main() {
    listen_if_asked();
    divan::main();
}

#[divan::bench(args = &*SUBSCRIBERS, sample_size = 10_000, sample_count = 20, max_time = 2)]
fn sse(bencher: Bencher, subscribers: &usize) {
    deliver(bencher, Way::Sse, *subscribers);
}

#[divan::bench(args = &*SUBSCRIBERS, sample_size = 10_000, sample_count = 20, max_time = 2)]
fn ndjson(bencher: Bencher, subscribers: &usize) {
    deliver(bencher, Way::Ndjson, *subscribers);
}

#[divan::bench(args = &*SUBSCRIBERS, sample_size = 10_000, sample_count = 20, max_time = 2)]
fn websocket(bencher: Bencher, subscribers: &usize) {
    deliver(bencher, Way::WebSocket, *subscribers);
}

/// One event at a time. The first delivery of each takes as long as all of them, and the others none.
fn deliver(bencher: Bencher, way: Way, subscribers: usize) {
    let audience = Audience::gather(way, subscribers);
    let mut delivered = 0;
    bencher.bench_local(|| {
        if delivered == 0 {
            audience.publish(draft());
            audience.wait();
            delivered = subscribers;
        }
        delivered -= 1;
    });
}
