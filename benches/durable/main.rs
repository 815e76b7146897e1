//! What durability costs: publishes a second beside the disk's own syncs, and how fast a journal of many events
//! starts, is resumed in and replayed.
//!
//! ```text
//! cargo bench --bench durable                        all of it, in 90 s
//! cargo bench --bench durable -- always resume       some of it: always, kinds, http, resume, start, replay
//! cargo bench --bench durable -- resume --large      with ten times as many events: minutes, and 2 GB of disk
//! ```

mod disk;
mod fixture;
mod http;
mod load;
mod publishing;
mod replay;
mod resume;
mod start;
mod table;

use std::time::Duration;

use fixture::Scratch;

type Section = fn(&Plan, &Scratch);

const SECTIONS: [(&str, Section); 6] = [
    ("always", publishing::always),
    ("kinds", publishing::kinds),
    ("http", http::kinds),
    ("resume", resume::measure),
    ("start", start::measure),
    ("replay", replay::measure),
];

/// How much is measured.
struct Plan {
    /// How long each figure is taken that is a rate.
    span: Duration,
    /// Events in a journal of many.
    many: u64,
    /// Events in a journal of few, and behind which a client is.
    few: u64,
    /// Samples of each figure that takes a journal of its own.
    opened: u64,
}

impl Plan {
    const FULL: Plan = Plan {
        span: Duration::from_secs(2),
        many: 1_000_000,
        few: 10_000,
        opened: 20,
    };
    const LARGE: Plan = Plan {
        many: 10_000_000,
        ..Plan::FULL
    };
    /// Only shows that everything runs.
    const TRIAL: Plan = Plan {
        span: Duration::from_millis(100),
        many: 10_000,
        few: 1_000,
        opened: 2,
    };
}

/// As with the other benches, cargo says `--bench` when it is to be measured, and words choose by parts of names.
fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let (options, words): (Vec<_>, Vec<_>) = arguments.iter().partition(|a| a.starts_with('-'));
    let has = |name: &str| options.iter().any(|option| *option == name);
    let plan = match (has("--bench"), has("--large")) {
        (false, _) => Plan::TRIAL,
        (true, false) => Plan::FULL,
        (true, true) => Plan::LARGE,
    };
    let is_chosen =
        |name: &str| words.is_empty() || words.iter().any(|word| name.contains(&**word));
    let chosen: Vec<_> = SECTIONS
        .iter()
        .filter(|(name, _)| is_chosen(name))
        .collect();
    if chosen.is_empty() {
        return;
    }
    let scratch = Scratch::new();
    println!("on the disk of {}", scratch.path().display());
    for (_, section) in chosen {
        section(&plan, &scratch);
    }
}
