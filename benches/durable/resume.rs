//! How long the first page takes of a client that comes back, by where its cursor is and how much there is beside it.

use std::time::{Duration, Instant};

use fourcast::hub::selector::Selector;
use fourcast::journal::disk::DiskJournal;
use fourcast::journal::{Journal as _, Limit, Start};

use super::fixture::{Kept, Scratch, channel, scattered};
use super::{Plan, table};

/// Channels that are published to in turn.
const CHANNELS: u64 = 10;
/// Bytes of each payload.
const BYTES: usize = 50;
/// Samples of a journal that has been read from so often before.
const WARM: u64 = 500;
const WARM_UP: u64 = 100;
/// As a poll has them.
const PAGE: Limit = Limit {
    rows: 4096,
    events: 100,
    bytes: 1 << 20,
};

/// Where a cursor is.
#[derive(Clone, Copy)]
enum Place {
    NearHead,
    Middle,
    Beginning,
}

/// What a client listens to.
#[derive(Clone, Copy)]
enum Interest {
    OneChannel,
    Everything,
}

/// A client that comes back.
struct Client<'a> {
    kept: &'a Kept,
    events: u64,
    place: Place,
    interest: Interest,
}

/// A journal of few and one of many events.
pub fn measure(plan: &Plan, scratch: &Scratch) {
    table::heading(
        "resuming: begin after a cursor and read 100 events; the journal was just opened, with its pages on the\n\
         disk only or in the system's memory, or has been read from for a while",
        &[
            "disk p50",
            "disk max",
            "opened p50",
            "opened max",
            "warm p50",
            "warm p99",
        ],
    );
    for events in [plan.few, plan.many] {
        let kept = Kept::fill(scratch, "resume", events, CHANNELS, BYTES);
        for (label, place) in Place::ALL {
            for (whom, interest) in Interest::ALL {
                let client = Client {
                    kept: &kept,
                    events,
                    place,
                    interest,
                };
                client.row(&format!("{events}: {label}, {whom}"), plan);
            }
        }
    }
}

impl Place {
    const ALL: [(&str, Place); 3] = [
        ("100 behind", Place::NearHead),
        ("middle", Place::Middle),
        ("beginning", Place::Beginning),
    ];
}

impl Interest {
    const ALL: [(&str, Interest); 2] = [
        ("1 channel", Interest::OneChannel),
        ("all", Interest::Everything),
    ];
}

impl Client<'_> {
    fn row(&self, label: &str, plan: &Plan) {
        let from_disk = (0..plan.opened).map(|number| {
            self.kept.forget_pages();
            self.resume(&self.kept.open(), number)
        });
        let from_disk = table::percentiles(from_disk.collect(), [50, 100]);
        let opened = (0..plan.opened).map(|number| self.resume(&self.kept.open(), number));
        let opened = table::percentiles(opened.collect(), [50, 100]);
        let journal = self.kept.open();
        let warm = (0..WARM_UP + WARM).map(|number| self.resume(&journal, number));
        let warm = table::percentiles(warm.skip(WARM_UP as usize).collect(), [50, 99]);
        table::row(label, &[from_disk, opened, warm].concat());
    }

    /// Resumes with one of many cursors; how long that took.
    fn resume(&self, journal: &DiskJournal, number: u64) -> Duration {
        let selector = match self.interest {
            Interest::OneChannel => Selector::Channel(channel(number % CHANNELS)),
            Interest::Everything => Selector::everything(),
        };
        let cursor = self.kept.cursor(self.seq(number));
        let began = Instant::now();
        let beginning = journal.begin(vec![selector], Start::After(cursor));
        let beginning = beginning.expect("a place");
        let page = journal.read(&beginning.selection, beginning.place, PAGE);
        let took = began.elapsed();
        assert!(beginning.gap.is_none(), "the cursor is known");
        assert!(
            !page.expect("a page").events.is_empty(),
            "something was missed"
        );
        took
    }

    fn seq(&self, number: u64) -> u64 {
        let part = |share: u64| scattered(number, self.events / share);
        match self.place {
            Place::NearHead => self.events - 100,
            Place::Middle => self.events * 2 / 5 + part(5),
            Place::Beginning => part(100),
        }
    }
}
