//! A server that is killed again and again while it is published and subscribed to: whatever was
//! acknowledged is there once, in order, and every subscriber has seen what the journal has.

mod audit;
mod ledger;
mod publisher;
mod subscriber;
mod whereabouts;

use std::thread::{self, ScopedJoinHandle};

use audit::{Audit, Known, Take};
use ledger::Ledger;
use publisher::publish_on;
use subscriber::{Account, END, Follower};
use whereabouts::{Patron, Whereabouts};

use super::dice::{Dice, number_from, seed};
use super::history::History;
use super::home::{Home, Settings};
use super::process::Process;
use crate::support::{Event, Way};

const PUBLISHERS: usize = 4;
/// What is subscribed to, on each way.
const SELECTORS: [&str; 3] = ["rooms/1,alerts,end", "rooms/*,halls/**,end", "**"];

#[test]
fn kill_9_costs_nothing_that_was_acknowledged() {
    let settings = Settings::default();
    let name = "kill_9_costs_nothing_that_was_acknowledged";
    Trial::new(name, settings, 1).loses_nothing();
}

#[test]
fn kill_9_costs_nothing_while_the_disk_is_synced_at_intervals() {
    let settings = Settings {
        sync: "interval 50ms",
        ..Settings::default()
    };
    let name = "kill_9_costs_nothing_while_the_disk_is_synced_at_intervals";
    Trial::new(name, settings, 4).loses_nothing();
}

#[test]
fn kill_9_costs_nothing_while_the_disk_is_never_synced() {
    let settings = Settings {
        sync: "never",
        ..Settings::default()
    };
    let name = "kill_9_costs_nothing_while_the_disk_is_never_synced";
    Trial::new(name, settings, 4).loses_nothing();
}

#[test]
fn kill_9_leaves_no_loss_untold_where_little_is_kept() {
    let settings = Settings {
        max_events: 40,
        ..Settings::default()
    };
    let name = "kill_9_leaves_no_loss_untold_where_little_is_kept";
    Trial::new(name, settings, 2).tells_losses();
}

/// A directory, and rounds of one server after the other on it.
struct Trial {
    home: Home,
    keeps: usize,
    rounds: u64,
    dice: Dice,
    ledger: Ledger,
    whereabouts: Whereabouts,
}

impl Trial {
    /// One of `part` rounds of those that `SUITE_CRASH_ROUNDS` asks for.
    fn new(name: &str, settings: Settings, part: u64) -> Self {
        let rounds = number_from("SUITE_CRASH_ROUNDS").unwrap_or(8);
        let seed = seed(&format!("crash::{name}"), ("SUITE_CRASH_ROUNDS", rounds));
        Trial {
            keeps: settings.max_events,
            home: Home::with(name, settings),
            rounds: rounds.div_ceil(part),
            dice: Dice::new(seed),
            ledger: Ledger::default(),
            whereabouts: Whereabouts::default(),
        }
    }

    fn loses_nothing(mut self) {
        let outcome = self.run(|audit, page| audit.append(page.whole()));
        for account in &outcome.accounts {
            account.must_equal(&outcome.journal);
        }
    }

    fn tells_losses(mut self) {
        let outcome = self.run(Audit::append_told);
        let records = self.ledger.records();
        let mut known = Known::default();
        known.acknowledge(&records);
        known.see(&outcome.journal);
        for account in &outcome.accounts {
            known.see(account.events());
        }
        known.must_end_with(&outcome.journal, self.keeps);
        for account in &outcome.accounts {
            known.must_explain(account);
        }
    }

    /// Runs all rounds, with an audit between two of them.
    fn run(&mut self, take: Take) -> Outcome {
        let mut dice = self.dice.split();
        thread::scope(|scope| {
            let _patron = Patron(&self.whereabouts);
            let (ledger, whereabouts) = (&self.ledger, &self.whereabouts);
            let publishers: Vec<_> = (0..PUBLISHERS)
                .map(|number| {
                    let dice = dice.split();
                    scope.spawn(move || publish_on(number, dice, ledger, whereabouts))
                })
                .collect();
            let subscribers: Vec<_> = followers()
                .map(|follower| {
                    let dice = dice.split();
                    scope.spawn(move || follower.follow(dice, whereabouts))
                })
                .collect();
            let mut audit = Audit::new(take);
            self.kill_again_and_again(&mut audit, &mut dice);
            let server = self.serve_the_last(&mut audit);
            join_all(publishers);
            audit.look(&server, ledger);
            server.publish(END, "the end");
            let accounts = join_all(subscribers);
            self.conclude(server, audit, accounts)
        })
    }

    fn kill_again_and_again(&self, audit: &mut Audit, dice: &mut Dice) {
        for _ in 0..self.rounds {
            let server = Process::start(&self.home);
            audit.look(&server, &self.ledger);
            self.whereabouts.announce(server.address);
            self.ledger.wait_for_more(dice.within(1..150));
            self.whereabouts.withdraw();
            server.kill();
        }
    }

    fn serve_the_last(&self, audit: &mut Audit) -> Process {
        let server = Process::start(&self.home);
        audit.look(&server, &self.ledger);
        self.whereabouts.announce_the_last(server.address);
        server
    }

    fn conclude(&self, server: Process, mut audit: Audit, accounts: Vec<Account>) -> Outcome {
        audit.read_on(&server);
        let journal = History::read(server.address, "**", "earliest").whole();
        audit.must_equal(&journal, self.keeps);
        server.stop();
        Outcome {
            journal,
            accounts: [accounts, vec![audit.account()]].concat(),
        }
    }
}

/// What the journal has in the end, and what every subscriber was told.
struct Outcome {
    journal: Vec<Event>,
    accounts: Vec<Account>,
}

/// For each way and each of the selectors, one who begins so.
fn followers() -> impl Iterator<Item = Follower> {
    Way::ALL
        .into_iter()
        .flat_map(|way| SELECTORS.map(|selectors| Follower::new(way, selectors)))
}

fn join_all<T>(threads: Vec<ScopedJoinHandle<'_, T>>) -> Vec<T> {
    let result = |thread: ScopedJoinHandle<'_, T>| thread.join().expect("a client");
    threads.into_iter().map(result).collect()
}
