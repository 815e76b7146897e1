//! An item is one event appended to the journal in memory, whose channel is full, so that another goes for it.

use std::sync::Arc;

use divan::Bencher;
use fourcast::config::Retention;
use fourcast::journal::memory::MemoryJournal;
use fourcast::journal::{Batch, Journal, Sink};
use fourcast::{ChannelName, Config, Data, Draft, Event};

const SMALL: usize = 64;
const LARGE: usize = 4 * 1024;

fn main() {
    divan::main();
}

#[divan::bench(consts = [SMALL, LARGE], sample_size = 100, sample_count = 1_000)]
fn one_by_one<const BYTES: usize>(bencher: Bencher) {
    append(bencher, 1, BYTES);
}

#[divan::bench(consts = [SMALL, LARGE], sample_size = 100, sample_count = 1_000)]
fn in_batches_of_100<const BYTES: usize>(bencher: Bencher) {
    append(bencher, 100, BYTES);
}

/// The first event of each batch takes as long as all of it, and the others none.
fn append(bencher: Bencher, batch_size: usize, bytes: usize) {
    let journal = MemoryJournal::open(&Config::default(), 0, Arc::new(Nobody));
    fill(&journal, bytes);
    let mut appended = 0;
    bencher
        .with_inputs(|| {
            appended += 1;
            (appended % batch_size == 0).then(|| batch(batch_size, bytes))
        })
        .bench_local_values(|batch| batch.map(|batch| journal.append(batch)));
}

fn fill(journal: &MemoryJournal, bytes: usize) {
    let full = batch(Retention::default().max_events, bytes);
    journal.append(full).expect("receipts");
}

fn batch(events: usize, bytes: usize) -> Batch {
    let channel: ChannelName = "bench".parse().expect("a channel");
    let draft = || Draft::new(channel.clone(), Data::Text("x".repeat(bytes).into()));
    Batch {
        drafts: (0..events).map(|_| draft()).collect(),
        key: None,
    }
}

/// Hears of what was committed, and does nothing.
struct Nobody;

impl Sink for Nobody {
    fn committed(&self, _: &[Arc<Event>]) {}

    fn announce(&self) {}
}
