//! What honest subscribers feel of an attack: the delay of 500 of them, first in peace, then beside 2,000 clients that are
//! slow on purpose and 200 connections of garbage a second, and the memory that the server takes.
//!
//! ```text
//! cargo bench --bench under_attack                   three rounds of each, in two minutes
//! ```
//!
//! The attackers share the machine with the server, so what they compute themselves is a part of the delay.

mod attack;
mod server;
mod subscribers;

use std::time::Duration;

use attack::{Attack, Force};
use server::Server;
use subscribers::Findings;

/// How much is measured.
struct Plan {
    force: Force,
    subscribers: usize,
    rounds: usize,
    seconds: u64,
}

impl Plan {
    const FULL: Plan = Plan {
        force: Force {
            slow: 2_000,
            garbage_a_second: 200,
        },
        subscribers: 500,
        rounds: 3,
        seconds: 12,
    };
    /// Only shows that everything runs.
    const TRIAL: Plan = Plan {
        force: Force {
            slow: 30,
            garbage_a_second: 20,
        },
        subscribers: 10,
        rounds: 1,
        seconds: 1,
    };
}

/// As with the other benches, cargo says `--bench` when it is to be measured.
fn main() {
    let plan = match std::env::args().any(|argument| argument == "--bench") {
        true => Plan::FULL,
        false => Plan::TRIAL,
    };
    let server = Server::start();
    let (mut peace, mut siege) = (Vec::new(), Vec::new());
    for round in 1..=plan.rounds {
        eprintln!("round {round} of {}", plan.rounds);
        peace.push(subscribers::measure(
            &server,
            plan.subscribers,
            plan.seconds,
        ));
        let attack = Attack::begin(server.address(), plan.force);
        siege.push(subscribers::measure(
            &server,
            plan.subscribers,
            plan.seconds,
        ));
        println!("the attack: {}", attack.end());
    }
    println!(
        "{} subscribers, 20 events a second for {} s; medians, rounds: {}",
        plan.subscribers, plan.seconds, plan.rounds
    );
    tell("in peace", &peace);
    tell("under attack", &siege);
    let memory = server.most_memory() / (1024 * 1024);
    println!(
        "{:14} {memory} MiB at most, of a budget of {}",
        "memory",
        server::BUDGET
    );
}

fn tell(name: &str, rounds: &[Findings]) {
    let median = |value: fn(&Findings) -> Duration| {
        let mut values: Vec<_> = rounds.iter().map(value).collect();
        values.sort();
        values[values.len() / 2]
    };
    let harm: u64 = rounds.iter().map(|round| round.harm).sum();
    println!(
        "{name:14} delay p50 {:.1?}, p99 {:.1?}; lost, twice or out of order: {harm}",
        median(|round| round.p50),
        median(|round| round.p99)
    );
}
