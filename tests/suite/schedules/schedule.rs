//! One schedule: a seed's steps against a server of its own, and in the end everyone at the head.

use std::path::PathBuf;

use fourcast::Leaving;

use super::channels::{Asked, CHANNELS};
use super::client::{Client, Manner};
use super::model::Model;
use super::publisher::{Door, Draft, Publication, Publisher};
use super::random::Random;
use super::shape::{Kind, Shape};
use super::view::Start;
use crate::support::{Fixture, Way};

/// The most clients at once.
const CLIENTS: usize = 5;

/// A server, those around it, and what should be true of them.
pub struct Schedule {
    seed: u64,
    random: Random,
    kind: Kind,
    directory: PathBuf,
    server: Option<Fixture>,
    publisher: Option<Publisher>,
    model: Model,
    clients: Vec<Client>,
    /// What was published under a key, and where the key is known.
    keyed: Vec<(Publication, Door, Vec<String>)>,
    /// How many events were written, so that no two are alike.
    written: usize,
    steps: Vec<String>,
}

impl Schedule {
    /// A schedule before its first step.
    pub fn new(kind: Kind, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let shape = Shape::random(&mut random);
        let name = format!("fourcast-schedule-{}-{seed}", std::process::id());
        let mut schedule = Schedule {
            seed,
            random,
            kind,
            directory: std::env::temp_dir().join(name),
            server: None,
            publisher: None,
            steps: vec![format!("{shape:?}")],
            model: Model::new(shape),
            clients: Vec::new(),
            keyed: Vec::new(),
            written: 0,
        };
        schedule.start();
        schedule
    }

    /// Takes all steps, and brings everyone to the head.
    pub fn run(&mut self) {
        for _ in 0..self.random.between(30, 60) {
            self.step();
        }
        for index in 0..self.clients.len() {
            if self.clients[index].is_away() {
                self.come_back(index);
            }
            self.bring_to_the_head(index, true);
        }
        self.stop();
    }

    fn step(&mut self) {
        match self.random.below(60) {
            0..=21 => self.publish(),
            22..=24 => self.repeat(),
            25..=27 => self.forget(),
            28..=33 => self.arrive(),
            34..=37 => self.with_someone(|schedule, index| schedule.leave(index)),
            38..=45 => self.with_someone(|schedule, index| schedule.come_back(index)),
            46..=52 => self.with_someone(|schedule, index| schedule.read_some(index)),
            53..=58 => {
                self.with_someone(|schedule, index| schedule.bring_to_the_head(index, false))
            }
            _ => self.restart(),
        }
    }

    fn with_someone(&mut self, what: impl FnOnce(&mut Self, usize)) {
        let number = self.random.below(CLIENTS);
        if !self.clients.is_empty() {
            what(self, number % self.clients.len());
        }
    }

    fn note(&mut self, step: impl Into<String>) {
        self.steps.push(step.into());
    }
}

/// The server.
impl Schedule {
    fn start(&mut self) {
        let server = Fixture::start(|config| {
            self.model.shape.set(config);
            (self.kind.set)(config, &self.directory);
        });
        let head = server.head_cursor();
        self.model.begin_life(&head, self.kind.is_durable);
        self.publisher = Some(Publisher::connect(&server));
        self.server = Some(server);
    }

    fn stop(&mut self) {
        let leaving = self.random.pick(&[Leaving::Away, Leaving::Restart]);
        let Some(server) = self.server.take() else {
            return;
        };
        self.publisher = None;
        let stopped = server.stop(leaving);
        for client in &mut self.clients {
            client.read_to_the_end(&self.model);
        }
        stopped.join().expect("it stops");
    }

    fn restart(&mut self) {
        self.note("the server starts again");
        self.stop();
        if !self.kind.is_durable {
            self.keyed.clear();
        }
        self.start();
    }
}

/// Those who publish.
impl Schedule {
    fn publish(&mut self) {
        let count = match self.random.one_in(3) {
            true => self.random.between(2, 6),
            false => 1,
        };
        let only = self
            .random
            .one_in(2)
            .then(|| self.random.below(CHANNELS.len()));
        let drafts = (0..count).map(|_| self.draft(only)).collect();
        let named = self.random.one_in(6);
        let publication = Publication {
            drafts,
            key: named.then(|| format!("key-{}", self.written)),
        };
        let door = publication.door(&mut self.random, None);
        self.publish_by(publication, door);
    }

    fn draft(&mut self, only: Option<usize>) -> Draft {
        let channel = self.random.below(CHANNELS.len());
        let most = if self.model.shape.is_large {
            60_000
        } else {
            600
        };
        let padding = "x".repeat(self.random.below(most));
        Draft {
            text: self.write(&padding),
            channel: only.unwrap_or(channel),
            ttl: match self.random.below(8) {
                0 => Some(0),
                1 => Some(600),
                _ => None,
            },
        }
    }

    fn write(&mut self, padding: &str) -> String {
        self.written += 1;
        format!("{} {padding}", self.written)
    }

    /// Whether it was taken.
    fn publish_by(&mut self, publication: Publication, door: Door) -> bool {
        let outcome = self.send(&publication, door);
        let channels = publication
            .drafts
            .iter()
            .map(|d| (CHANNELS[d.channel], d.ttl));
        let channels: Vec<_> = channels.collect();
        self.note(format!("publish by {door:?} to {channels:?}: {outcome:?}"));
        match outcome {
            Ok(ids) => {
                self.model.append(&publication.drafts, &ids);
                if publication.key.is_some() {
                    self.keyed.push((publication, door, ids));
                }
                true
            }
            Err(code) => {
                assert_eq!(code, "too_many_channels");
                assert!(self.model.shape.lacks_channels());
                false
            }
        }
    }

    fn send(&mut self, publication: &Publication, door: Door) -> Result<Vec<String>, String> {
        let server = self.server.as_ref().expect("a server");
        let publisher = self.publisher.as_mut().expect("a publisher");
        publisher.publish(server, publication, door)
    }

    /// Publishes again what was published under a key: the same, or something else.
    fn repeat(&mut self) {
        let (which, is_same) = (self.random.below(100), !self.random.one_in(3));
        if self.keyed.is_empty() {
            return;
        }
        let (mut publication, door, ids) = self.keyed[which % self.keyed.len()].clone();
        let door = publication.door(&mut self.random, Some(door));
        self.note(format!("repeat by {door:?} what is {ids:?}: {is_same}"));
        if !is_same {
            publication.drafts[0].text.push('!');
        }
        let outcome = self.send(&publication, door);
        match is_same {
            true => assert_eq!(outcome, Ok(ids)),
            false => assert_eq!(outcome, Err("key_reused".to_owned())),
        }
    }

    fn forget(&mut self) {
        let channel = self.random.below(CHANNELS.len());
        self.note(format!("delete {}", CHANNELS[channel]));
        self.publisher
            .as_mut()
            .expect("a publisher")
            .forget(channel);
        self.model.forget(channel);
    }
}

/// Those who listen.
impl Schedule {
    /// Somebody comes, in the place of somebody else if there are many.
    fn arrive(&mut self) {
        let mut asked = Asked::random(&mut self.random);
        if self.home(&asked).is_none() {
            asked = asked.and_everything();
        }
        let (start, manner) = (self.begin_somewhere(), self.behave());
        let leaver = self.random.below(CLIENTS);
        if self.clients.len() == CLIENTS {
            self.note(format!("client {leaver} goes for good"));
            self.clients.remove(leaver);
        }
        let index = self.clients.len();
        self.note(format!("client {index}: {asked:?} {start:?} {manner:?}"));
        let server = self.server.as_ref().expect("a server");
        let client = Client::arrive(server, &self.model, asked, &start, manner);
        self.clients.push(client);
    }

    fn begin_somewhere(&mut self) -> Start {
        let (which, count) = (self.random.below(9), self.random.below(4));
        let number = self.random.below(1_000);
        match which {
            0 => Start::Earliest,
            1 => Start::Now,
            2 => Start::Last(count),
            3 => Start::Since,
            4 => Start::Unsaid,
            5..=6 if !self.clients.is_empty() => {
                Start::After(self.clients[number % self.clients.len()].cursor.clone())
            }
            _ => {
                let all = self.model.after(0);
                let event = all.get(number % (all.len() + 1));
                event.map_or(Start::Earliest, |event| Start::After(event.id.clone()))
            }
        }
    }

    fn behave(&mut self) -> Manner {
        Manner {
            way: self.random.pick(&Way::ALL),
            by_field: self.random.one_in(2),
            limit: self.random.pick(&[1, 2, 5, 100]),
            is_slow: self.model.shape.is_large,
        }
    }

    fn leave(&mut self, index: usize) {
        self.note(format!("client {index} leaves"));
        self.clients[index].leave();
    }

    fn come_back(&mut self, index: usize) {
        let manner = self.behave();
        let cursor = self.clients[index].cursor.clone();
        self.note(format!(
            "client {index} comes back after {cursor}: {manner:?}"
        ));
        let server = self.server.as_ref().expect("a server");
        self.clients[index].come_back(server, &self.model, manner);
    }

    /// Somebody reads as far as a random event that must come.
    fn read_some(&mut self, index: usize) {
        let number = self.random.below(1_000);
        let due = self.clients[index].view.due(&self.model);
        if self.clients[index].is_away() || due.is_empty() {
            return;
        }
        let seq = due[number % due.len()];
        self.note(format!("client {index} reads until {seq}"));
        self.clients[index].read_until(&self.model, seq);
    }

    /// Somebody reads all that there is. Where nobody could say when that is, an event is published that
    /// must come last; and in any case if that is `forced`.
    fn bring_to_the_head(&mut self, index: usize, forced: bool) {
        let client = &mut self.clients[index];
        if client.is_away() {
            return;
        }
        if client.is_polling() {
            self.note(format!("client {index} polls to the head"));
            return self.clients[index].poll_to_the_head(&self.model);
        }
        let newest = client.view.open(&self.model).next_back();
        let is_told_by_an_event = newest.is_none_or(|newest| newest.is_kept());
        if forced || !is_told_by_an_event {
            self.publish_marker(index);
        }
        let client = &mut self.clients[index];
        let due = client.view.due(&self.model);
        self.steps.push(format!("client {index} reads {due:?}"));
        if let Some(last) = due.last() {
            client.read_until(&self.model, *last);
        }
    }

    /// A channel of which a client asks and where its newest event stays.
    fn home(&self, asked: &Asked) -> Option<usize> {
        let keeps = |channel: &usize| asked.channels[*channel] && self.model.shape.keeps(*channel);
        (0..CHANNELS.len()).find(keeps)
    }

    fn publish_marker(&mut self, index: usize) {
        let channel = self.home(&self.clients[index].asked).expect("a home");
        let publication = Publication::of(Draft {
            channel,
            text: self.write("marker"),
            ttl: None,
        });
        let door = publication.door(&mut self.random, None);
        self.publish_by(publication, door);
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("schedule {}:", self.seed);
            self.steps.iter().for_each(|step| eprintln!("  {step}"));
        }
        if self.kind.is_durable {
            self.server = None;
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}
