//! What honest subscribers feel of an attack: the delay of 500 of them, first in peace, then beside 2,000 clients that are
//! slow on purpose, 200 connections of garbage and 100 handshakes a second, and floods of requests and of pings at five times
//! the rate that an address has; and the memory that the server takes.
//!
//! ```text
//! cargo bench --bench under_attack                   three rounds of each, in two minutes
//! ```
//!
//! It fails unless what is promised holds: nothing is lost, the delay at most doubles, and the memory stays within its budget. The
//! attackers share the machine with the server, so what they compute themselves is a part of the delay.

mod attack;
mod server;
mod subscribers;

use std::process::ExitCode;
use std::time::Duration;

use attack::{Attack, Force};
use server::Server;
use subscribers::Findings;

/// A delay that is no sign of anything on a machine that everyone shares.
const NOISE: Duration = Duration::from_millis(50);

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
            handshakes_a_second: 100,
            requests_a_second: 5_000,
            pings_a_second: 5_000,
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
            handshakes_a_second: 10,
            requests_a_second: 500,
            pings_a_second: 500,
        },
        subscribers: 10,
        rounds: 1,
        seconds: 1,
    };
}

/// As with the other benches, cargo says `--bench` when it is to be measured.
fn main() -> ExitCode {
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
        let attack = Attack::begin(&server, plan.force);
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
        "{:14} {memory} MiB at most, of a budget of {} MiB",
        "memory",
        server::BUDGET
    );
    let broken = broken(&peace, &siege, memory);
    for promise in &broken {
        println!("broken: {promise}");
    }
    match broken.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// What was promised and does not hold.
fn broken(peace: &[Findings], siege: &[Findings], memory: u64) -> Vec<String> {
    let most = (median(peace, |round| round.p99) * 2).max(NOISE);
    let p99 = median(siege, |round| round.p99);
    let harm = harm(peace) + harm(siege);
    let promises = [
        (harm == 0, "nothing is lost".to_owned()),
        (p99 <= most, format!("p99 is at most {most:.1?}")),
        (
            memory <= server::BUDGET,
            "memory stays within its budget".to_owned(),
        ),
    ];
    let broken = promises.into_iter().filter(|(holds, _)| !holds);
    broken.map(|(_, promise)| promise).collect()
}

fn tell(name: &str, rounds: &[Findings]) {
    println!(
        "{name:14} delay p50 {:.1?}, p99 {:.1?}; lost, twice or out of order: {}",
        median(rounds, |round| round.p50),
        median(rounds, |round| round.p99),
        harm(rounds)
    );
}

fn median(rounds: &[Findings], value: fn(&Findings) -> Duration) -> Duration {
    let mut values: Vec<_> = rounds.iter().map(value).collect();
    values.sort();
    values[values.len() / 2]
}

fn harm(rounds: &[Findings]) -> u64 {
    rounds.iter().map(|round| round.harm).sum()
}
