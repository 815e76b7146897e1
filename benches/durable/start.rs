//! How long a journal of many events takes to be there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fourcast::hub::random;
use fourcast::journal::disk::DiskJournal;

use super::fixture::{Kept, Nobody, Scratch};
use super::{Plan, table};

const CHANNELS: u64 = 1_000;
/// Bytes of each payload.
const BYTES: usize = 50;

/// With its pages on the disk only, and in the system's memory.
pub fn measure(plan: &Plan, scratch: &Scratch) {
    let title = format!("starting with {} events in {CHANNELS} channels", plan.many);
    let kept = Kept::fill(scratch, "start", plan.many, CHANNELS, BYTES);
    table::heading(&title, &["p50", "max"]);
    let from_disk = (0..plan.opened).map(|_| {
        kept.forget_pages();
        start(&kept)
    });
    table::row(
        "from the disk",
        &table::percentiles(from_disk.collect(), [50, 100]),
    );
    let opened = (0..plan.opened).map(|_| start(&kept));
    table::row(
        "from the system's memory",
        &table::percentiles(opened.collect(), [50, 100]),
    );
}

fn start(kept: &Kept) -> Duration {
    let config = kept.config();
    let began = Instant::now();
    let opening = DiskJournal::open(&config, random()).expect("a journal");
    let journal = opening.start(Arc::new(Nobody)).expect("threads");
    let took = began.elapsed();
    drop(journal);
    took
}
