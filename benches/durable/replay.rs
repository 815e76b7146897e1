//! How fast clients read that are far behind, and what a publisher feels of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fourcast::hub::selector::Selector;
use fourcast::journal::disk::DiskJournal;
use fourcast::journal::{Journal as _, Limit, Start};

use super::fixture::{Kept, Scratch, channel, draft};
use super::publishing::BYTES;
use super::{Plan, table};

/// Where clients are behind.
const BEHIND: u64 = 0;
/// Where it is published meanwhile.
const LIVE: u64 = 1;
/// The time from one publish to the next.
const PACE: Duration = Duration::from_millis(1);
/// As those who catch up read.
const PAGE: Limit = Limit {
    rows: 4096,
    events: 1_000,
    bytes: 64 * 1024,
};

/// None, one and eight who read again and again, while one publishes.
pub fn measure(plan: &Plan, scratch: &Scratch) {
    let behind = plan.few * 10;
    let title = format!(
        "replaying {behind} events of {BYTES} bytes in pages of 64 KiB, while one publishes up to 1,000 a second with \
         sync = \"always\""
    );
    table::heading(
        &title,
        &["read a second", "published", "publish p50", "publish p99"],
    );
    let kept = Kept::fill(scratch, "replay", behind, 1, BYTES);
    let journal = kept.open();
    for readers in [0, 1, 8] {
        let (read, appends) = replay(&journal, readers, plan.span);
        let seconds = plan.span.as_secs_f64();
        let rates = [read, appends.len() as f64].map(|count| table::rate(count / seconds));
        let delays = table::percentiles(appends, [50, 99]);
        table::row(&format!("readers: {readers}"), &[rates, delays].concat());
    }
}

/// How many events were read in that time, and how long each publish took.
fn replay(journal: &DiskJournal, readers: usize, span: Duration) -> (f64, Vec<Duration>) {
    let over = &AtomicBool::new(false);
    thread::scope(|scope| {
        let readers = (0..readers).map(|_| scope.spawn(move || read_until(journal, over)));
        let readers: Vec<_> = readers.collect();
        let appends = publish(journal, span);
        over.store(true, Ordering::Relaxed);
        let read = readers
            .into_iter()
            .map(|reader| reader.join().expect("a count"));
        (read.sum::<usize>() as f64, appends)
    })
}

fn read_until(journal: &DiskJournal, over: &AtomicBool) -> usize {
    let selectors = vec![Selector::Channel(channel(BEHIND))];
    let beginning = journal.begin(selectors, Start::Earliest).expect("a place");
    let (mut place, mut read) = (beginning.place, 0);
    while !over.load(Ordering::Relaxed) {
        let page = journal
            .read(&beginning.selection, place, PAGE)
            .expect("a page");
        read += page.events.len();
        place = if page.more {
            page.cursor
        } else {
            beginning.place
        };
    }
    read
}

/// One that is late goes on at once and does not catch up.
fn publish(journal: &DiskJournal, span: Duration) -> Vec<Duration> {
    let (begin, mut appends) = (Instant::now(), Vec::new());
    while begin.elapsed() < span {
        let began = Instant::now();
        journal
            .append(draft(LIVE, BYTES).into())
            .expect("a receipt");
        appends.push(began.elapsed());
        thread::sleep(PACE.saturating_sub(began.elapsed()));
    }
    appends
}
