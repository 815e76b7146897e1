//! Many wait at once, again and again, while others publish: each is told every event once, in order, or that
//! something is missing, exactly where it is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use fourcast::config::{Config, Retention};

use super::{LONG, ask};
use crate::support::event::seq;
use crate::support::http::Response;
use crate::support::listener::from_poll;
use crate::support::wire::deadline;
use crate::support::{Fixture, PATIENCE, Told};

const CHANNELS: [&str; 5] = ["a", "b", "r/1", "r/2", "quiet"];
/// What the clients ask for, and which channels that is.
const LISTS: [(&str, &[&str]); 7] = [
    ("/a", &["a"]),
    ("/b", &["b"]),
    ("/r/1", &["r/1"]),
    ("/a,r/2", &["a", "r/2"]),
    ("/r/*", &["r/1", "r/2"]),
    ("/b,r/*", &["b", "r/1", "r/2"]),
    ("/**", &CHANNELS),
];
const CLIENTS: usize = 14;
const PUBLISHERS: u64 = 3;
/// The turns of each publisher.
const TURNS: usize = 150;

/// Numbers that are the same in every run (xorshift).
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1)
    }

    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % most
    }
}

/// One answer: everything beyond `from` and up to `to` that it told.
struct Page {
    from: u64,
    to: u64,
    has_gap: bool,
    events: Vec<u64>,
}

impl Page {
    fn read(from: &str, answer: &Response) -> Self {
        let mut page = Page {
            from: seq(from),
            to: seq(answer.head.must("Last-Event-ID")),
            has_gap: false,
            events: Vec::new(),
        };
        for told in from_poll(answer) {
            match told {
                Told::Event(event) => page.events.push(event.seq()),
                Told::Gap(_) => page.has_gap = true,
                _ => {}
            }
        }
        page
    }
}

/// Asks again and again from `cursor` on, until an answer reaches `last`.
fn follow(
    server: &Fixture,
    target: &str,
    mut cursor: String,
    answers: &AtomicUsize,
    last: &AtomicUsize,
    dice: &mut Dice,
) -> Vec<Page> {
    let (mut wire, end) = (server.connect(), deadline() + 2 * PATIENCE);
    let mut pages: Vec<Page> = Vec::new();
    let reached = |pages: &[Page]| {
        let to = pages.last().map_or(0, |page| page.to);
        to >= last.load(Ordering::SeqCst) as u64
    };
    while !reached(&pages) {
        assert!(Instant::now() < end, "{target} never comes to the end");
        let limit = [1, 2, 100][dice.below(3)];
        wire.send(ask(&format!(
            "{target}?after={cursor}&limit={limit}&{LONG}"
        )));
        let answer = Response::read(&mut wire, "GET");
        pages.push(Page::read(&cursor, &answer));
        answer.head.must("Last-Event-ID").clone_into(&mut cursor);
        answers.fetch_add(1, Ordering::SeqCst);
        if answer.head.lists("Connection", "close") || dice.below(50) == 0 {
            wire = server.connect();
        }
    }
    pages
}

/// Says something in `turns`, each when those who wait have come back; every event's seq and channel.
fn publish(
    server: &Fixture,
    answers: &AtomicUsize,
    dice: &mut Dice,
    deletes: bool,
) -> Vec<(u64, &'static str)> {
    let mut said = Vec::new();
    for turn in 0..TURNS {
        for _ in 0..1 + dice.below(6) {
            let channel = CHANNELS[dice.below(CHANNELS.len())];
            said.push((seq(&server.publish_embedded(channel, "x")), channel));
        }
        said.push((seq(&server.publish_embedded("a", "x")), "a"));
        if deletes && dice.below(8) == 0 {
            server.delete(CHANNELS[dice.below(CHANNELS.len())]);
        }
        let end = deadline();
        while answers.load(Ordering::SeqCst) < turn * CLIENTS / 2 {
            assert!(Instant::now() < end, "nobody is answered any more");
            thread::yield_now();
        }
    }
    said
}

/// Says the last word in each channel; whoever has been told everything up to `last` has everything else.
fn say_last(server: &Fixture, last: &AtomicUsize) -> [(u64, &'static str); CHANNELS.len()] {
    let head = usize::try_from(seq(&server.head_cursor())).expect("few events");
    last.store(head + 1, Ordering::SeqCst);
    CHANNELS.map(|channel| (seq(&server.publish_embedded(channel, "last")), channel))
}

/// What each client was told, and all that was published.
struct Crowd {
    lists: Vec<(&'static str, &'static [&'static str], Vec<Page>)>,
    said: Vec<(u64, &'static str)>,
}

impl Crowd {
    fn gather(seed: u64, deletes: bool, change: impl FnOnce(&mut Config)) -> Self {
        let server = Fixture::start(change);
        let start = server.publish("a", "the beginning");
        let answers = AtomicUsize::new(0);
        let last = AtomicUsize::new(usize::MAX);
        thread::scope(|scope| {
            let (server, answers, last) = (&server, &answers, &last);
            let clients: Vec<_> = (0..CLIENTS)
                .map(|number| {
                    let (target, channels) = LISTS[number % LISTS.len()];
                    let start = start.clone();
                    let mut dice = Dice::new(seed + number as u64);
                    scope.spawn(move || {
                        let pages = follow(server, target, start, answers, last, &mut dice);
                        (target, channels, pages)
                    })
                })
                .collect();
            let publishers: Vec<_> = (0..PUBLISHERS)
                .map(|number| {
                    let mut dice = Dice::new(seed * 1000 + number);
                    scope.spawn(move || publish(server, answers, &mut dice, deletes))
                })
                .collect();
            let said = publishers
                .into_iter()
                .map(|one| one.join().expect("it publishes"));
            let mut said: Vec<_> = said.flatten().collect();
            said.extend(say_last(server, last));
            said.sort_unstable();
            let clients = clients
                .into_iter()
                .map(|one| one.join().expect("it follows"));
            Crowd {
                lists: clients.collect(),
                said,
            }
        })
    }

    /// What was published in `channels` beyond `from` and up to `to`.
    fn owed(&self, channels: &[&str], from: u64, to: u64) -> Vec<u64> {
        let said = self.said.iter();
        said.filter(|(seq, channel)| (from + 1..=to).contains(seq) && channels.contains(channel))
            .map(|(seq, _)| *seq)
            .collect()
    }

    /// An answer without a gap tells everything between its cursors; one with a gap is right to say that
    /// something is missing, and repeats nothing.
    fn check(&self) -> (usize, usize) {
        let (mut answers, mut gaps) = (0, 0);
        for (target, channels, pages) in &self.lists {
            let told: Vec<u64> = pages.iter().flat_map(|page| page.events.clone()).collect();
            assert!(
                told.is_sorted_by(|one, next| one < next),
                "{target}: twice or out of order"
            );
            for page in pages {
                let owed = self.owed(channels, page.from, page.to);
                if !page.has_gap {
                    assert_eq!(page.events, owed, "{target} beyond {}", page.from);
                    continue;
                }
                gaps += 1;
                assert!(page.events.iter().all(|seq| owed.contains(seq)), "{target}");
                let rest = self.owed(channels, page.from, u64::MAX);
                let lost = rest.iter().any(|seq| told.binary_search(seq).is_err());
                assert!(lost, "{target} beyond {}: nothing is missing", page.from);
            }
            answers += pages.len();
        }
        (answers, gaps)
    }
}

fn ample(config: &mut Config) {
    config.channels = vec![Retention {
        max_events: 100_000,
        ..Retention::default()
    }];
}

#[test]
fn everyone_is_told_every_event_once_and_in_order() {
    let crowd = Crowd::gather(1, false, ample);
    let (answers, gaps) = crowd.check();
    assert!(answers > TURNS * CLIENTS / 2, "{answers} answers");
    assert_eq!(gaps, 0);
}

#[test]
fn so_it_is_where_the_shards_are_overrun_all_the_time() {
    let crowd = Crowd::gather(2, false, |config| {
        ample(config);
        config.fanout.tail_events = 2;
    });
    assert_eq!(crowd.check().1, 0);
}

#[test]
fn what_was_deleted_or_left_meanwhile_is_told_as_a_gap_and_nothing_else_is() {
    for (seed, tail) in [(3, 2), (4, 10_000)] {
        let crowd = Crowd::gather(seed, true, |config| {
            config.fanout.tail_events = tail;
            config.channels = vec![Retention {
                max_events: 3,
                ..Retention::default()
            }];
        });
        let (answers, gaps) = crowd.check();
        assert!(
            gaps > 0 && gaps < answers,
            "{gaps} gaps in {answers} answers"
        );
    }
}
