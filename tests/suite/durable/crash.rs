//! A server that is killed again and again while it is published and subscribed to: whatever was
//! acknowledged is there once, in order, and every subscriber has seen what the journal has.

mod audit;
mod ledger;
mod publisher;
mod subscriber;
mod whereabouts;

use std::thread;

use audit::{Audit, Known};
use ledger::Ledger;
use subscriber::{Account, END, Follower};
use whereabouts::Whereabouts;

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
    /// One of `part` rounds of those that `FOURCAST_CRASH_ROUNDS` asks for.
    fn new(name: &str, settings: Settings, part: u64) -> Self {
        let rounds = number_from("FOURCAST_CRASH_ROUNDS").unwrap_or(8);
        let seed = seed(&format!("crash::{name}"), ("FOURCAST_CRASH_ROUNDS", rounds));
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
        let (journal, accounts) = self.run(|audit, page| audit.append(page.whole()));
        for account in accounts {
            account.must_equal(&journal);
        }
    }

    fn tells_losses(mut self) {
        let (kept, accounts) = self.run(|audit, page| audit.append_told(page));
        let records = self.ledger.records();
        let mut known = Known::default();
        known.acknowledge(&records);
        for account in &accounts {
            known.see(account.events());
        }
        known.see(&kept);
        known.must_end_with(&kept, self.keeps);
        for account in &accounts {
            known.must_explain(account);
        }
    }

    /// Runs all rounds, with an audit between two of them. What the journal has in the end, and what
    /// every subscriber was told.
    fn run(&mut self, check: fn(&mut Audit, History)) -> (Vec<Event>, Vec<Account>) {
        let mut audit = Audit::default();
        let publishers: Vec<Dice> = (0..PUBLISHERS).map(|_| self.dice.split()).collect();
        let followers: Vec<Follower> = Way::ALL
            .into_iter()
            .flat_map(|way| SELECTORS.map(|selectors| Follower::new(way, selectors)))
            .collect();
        let chances: Vec<Dice> = followers.iter().map(|_| self.dice.split()).collect();
        thread::scope(|scope| {
            let (ledger, whereabouts) = (&self.ledger, &self.whereabouts);
            let publishers: Vec<_> = publishers
                .into_iter()
                .enumerate()
                .map(|(n, dice)| {
                    scope.spawn(move || publisher::publish_on(n, dice, ledger, whereabouts))
                })
                .collect();
            let subscribers: Vec<_> = followers
                .into_iter()
                .zip(chances)
                .map(|(follower, dice)| scope.spawn(move || follower.follow(dice, whereabouts)))
                .collect();
            for _ in 0..self.rounds {
                let server = Process::start(&self.home);
                audit.look(&server, ledger, check);
                whereabouts.announce(server.address);
                ledger.wait_for_more(self.dice.within(1..150));
                whereabouts.withdraw();
                server.kill();
            }
            let server = Process::start(&self.home);
            audit.look(&server, ledger, check);
            whereabouts.announce_the_last(server.address);
            for publisher in publishers {
                publisher.join().expect("a publisher");
            }
            audit.look(&server, ledger, check);
            server.publish(END, "the end");
            let accounts = subscribers
                .into_iter()
                .map(|s| s.join().expect("a subscriber"));
            let accounts = accounts.collect();
            audit.look_without_ledger(&server, check);
            let journal = History::read(server.address, "**", "earliest").whole();
            audit.must_equal(&journal, self.keeps);
            server.stop();
            (journal, accounts)
        })
    }
}
