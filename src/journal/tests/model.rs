//! Thousands of random steps against a model that is too simple to be wrong.

use std::collections::HashMap;
use std::sync::Arc;

use super::fixture::{Fixture, Open, draft, keep, selectors, seqs};
use crate::config::Config;
use crate::event::Event;
use crate::hub::channel::ChannelName;
use crate::hub::selector::Selector;
use crate::journal::{AppendError, Beginning, Limit, Page, Start};

const CHANNELS: [&str; 6] = ["a", "b", "r/1", "r/2", "r/3", "s/t/u"];
const SELECTORS: [&str; 8] = ["a", "b", "r/*", "**", "r/1", "s/**", "*", "nowhere"];
const STEPS: usize = 1_500;

pub fn any_steps_end_where_the_model_ends(open: Open) {
    run_seeds(open, CHANNELS.len() + 1, |_| {});
}

pub fn any_steps_with_few_channels_lose_nothing_in_silence(open: Open) {
    run_seeds(open, 3, |_| {});
}

pub fn any_steps_and_new_rules_end_where_the_model_ends(open: Open) {
    run_seeds(open, CHANNELS.len() + 1, |run| run.reloads = true);
}

/// For a journal that goes on where it ended.
pub fn any_steps_and_restarts_end_where_the_model_ends(open: Open) {
    run_seeds(open, CHANNELS.len() + 1, |run| run.restarts = true);
    run_seeds(open, 3, |run| run.restarts = true);
}

/// Says with which seed a panic came.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed was {}", self.0);
        }
    }
}

fn run_seeds(open: Open, channels: usize, prepare: fn(&mut Run)) {
    for seed in 1..=8 {
        let _named = Seed(seed);
        let mut run = Run::new(open, seed, channels);
        prepare(&mut run);
        run.steps(STEPS);
    }
}

/// xorshift64: a seed gives the same steps everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// Everything that there ever was.
struct Model {
    events: Vec<Known>,
    max_events: usize,
    max_bytes: usize,
}

struct Known {
    seq: u64,
    channel: &'static str,
    name: ChannelName,
    weight: usize,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    /// It was owed, and it is gone.
    Lost,
    /// It was for those who listened.
    NeverOwed,
}

impl Model {
    fn bound(&self, config: &mut Config) {
        config.journal.max_bytes = self.max_bytes;
        config.channels = vec![keep("**", self.max_events)];
    }

    fn take_batch(&mut self, events: &[Arc<Event>]) {
        events.iter().for_each(|event| self.take(event));
        self.retain_all();
    }

    fn retain_all(&mut self) {
        for channel in CHANNELS {
            self.retain(channel);
        }
        while self.kept().map(|event| event.weight).sum::<usize>() > self.max_bytes {
            self.lose_oldest(|_| true);
        }
    }

    fn take(&mut self, event: &Event) {
        let channel = CHANNELS
            .into_iter()
            .find(|channel| event.channel.name().as_str() == *channel);
        let never = event.expires == Some(event.time);
        self.events.push(Known {
            seq: event.id.seq,
            channel: channel.unwrap(),
            name: event.channel.name().clone(),
            weight: event.weight(),
            fate: if never { Fate::NeverOwed } else { Fate::Kept },
        });
    }

    fn retain(&mut self, channel: &str) {
        while self.kept().filter(|e| e.channel == channel).count() > self.max_events {
            self.lose_oldest(|event| event.channel == channel);
        }
    }

    fn kept(&self) -> impl Iterator<Item = &Known> {
        self.events.iter().filter(|event| event.fate == Fate::Kept)
    }

    fn lose_oldest(&mut self, which: impl Fn(&Known) -> bool) {
        let mut events = self.events.iter_mut();
        let oldest = events.find(|event| event.fate == Fate::Kept && which(event));
        oldest.unwrap().fate = Fate::Lost;
    }

    fn forget(&mut self, channel: &str) {
        for event in &mut self.events {
            if event.channel == channel && event.fate == Fate::Kept {
                event.fate = Fate::Lost;
            }
        }
    }

    /// The newest event of a channel with this fate, counted from 1 at the newest; 0 if there is none.
    fn back(&self, channel: &str, fate: Fate, count: usize) -> u64 {
        let mut events = self.events.iter().rev();
        let wanted = |event: &&Known| event.channel == channel && event.fate == fate;
        let mut back = events.by_ref().filter(wanted);
        back.nth(count.saturating_sub(1))
            .map_or(0, |event| event.seq)
    }
}

/// One who reads on, and what is not owed to it.
struct Reader {
    selectors: Vec<Selector>,
    beginning: Beginning,
    /// Up to where each channel is not owed.
    starts: HashMap<&'static str, u64>,
}

impl Reader {
    fn wants(&self, event: &Known) -> bool {
        let start = self.starts.get(event.channel).copied().unwrap_or(0);
        event.seq > start.max(self.beginning.place)
            && self.selectors.iter().any(|s| s.matches(&event.name))
    }

    fn expects<'a>(&self, model: &'a Model, fate: Fate) -> Vec<&'a Known> {
        let events = model.events.iter().filter(|event| event.fate == fate);
        events.filter(|event| self.wants(event)).collect()
    }
}

struct Run {
    random: Random,
    fixture: Fixture,
    model: Model,
    readers: Vec<Reader>,
    /// Whether records may be dropped, after which a loss may be told of a channel that lost nothing.
    drops: bool,
    /// Whether the journal ends and begins again now and then.
    restarts: bool,
    /// Whether other bounds are told now and then.
    reloads: bool,
}

impl Run {
    fn new(open: Open, seed: u64, channels: usize) -> Self {
        let model = Model {
            events: Vec::new(),
            max_events: 7,
            max_bytes: 8_000,
        };
        let config = |config: &mut Config| {
            config.limits.channels = channels;
            model.bound(config);
        };
        Run {
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            fixture: Fixture::with(open, config),
            model,
            readers: Vec::new(),
            drops: channels < CHANNELS.len(),
            restarts: false,
            reloads: false,
        }
    }

    fn steps(&mut self, count: usize) {
        for _ in 0..count {
            if self.restarts && self.random.below(40) == 0 {
                self.fixture.restart();
            }
            if self.reloads && self.random.below(30) == 0 {
                self.reload();
            }
            match self.random.below(12) {
                0..=3 => self.append(),
                4 => self.forget(),
                5 => self.arrive(),
                6 => self.look_back(),
                _ => self.read(),
            }
        }
    }

    fn reload(&mut self) {
        self.model.max_events = self.random.below(10);
        self.model.max_bytes = 4_000 + self.random.below(8_000);
        let model = &mut self.model;
        self.fixture.obey(|config| model.bound(config));
        model.retain_all();
    }

    fn append(&mut self) {
        let mut drafts = Vec::new();
        for _ in 0..=self.random.below(4) {
            let payload = "x".repeat(self.random.below(600));
            let mut draft = draft(self.random.pick(&CHANNELS), &payload);
            if self.random.below(8) == 0 {
                draft.ttl = Some(std::time::Duration::ZERO);
            }
            drafts.push(draft);
        }
        let count = drafts.len();
        let head = self.fixture.journal.head();
        let outcome = self.fixture.append(drafts);
        let new = self.fixture.heard.since(self.model.events.len());
        match outcome {
            Ok(appended) => {
                let receipts: Vec<_> = appended.receipts.iter().map(|r| r.id.seq).collect();
                assert_eq!(receipts, seqs(&new));
                assert_eq!(
                    receipts,
                    (head + 1..=head + count as u64).collect::<Vec<_>>()
                );
            }
            Err(error) => {
                assert_eq!(error, AppendError::TooManyChannels);
                assert!(self.drops && new.is_empty());
            }
        }
        self.model.take_batch(&new);
    }

    fn forget(&mut self) {
        let channel = self.random.pick(&CHANNELS);
        let there = self.fixture.forget(channel);
        let held = self.model.kept().any(|event| event.channel == channel);
        assert!(there || !held, "{channel} holds events");
        self.model.forget(channel);
    }

    /// Another reader comes, in the place of one of eight.
    fn arrive(&mut self) {
        let mut list = vec![self.random.pick(&SELECTORS)];
        (0..self.random.below(3)).for_each(|_| list.push(self.random.pick(&SELECTORS)));
        list.dedup();
        let head = self.fixture.journal.head();
        let back = self.random.below(4);
        let seq = self.random.below(usize::try_from(head).unwrap() + 1) as u64;
        let start = match self.random.below(5) {
            0 => Start::Earliest,
            1 => Start::Now,
            2 => Start::Last(back as u64),
            _ => Start::After(self.fixture.cursor(seq)),
        };
        let list = list.join(",");
        let beginning = self.fixture.begin(&list, start);
        assert_eq!(beginning.gap, None);
        let reader = Reader {
            selectors: selectors(&list),
            starts: self.starts(start, head, back),
            beginning,
        };
        if self.readers.len() == 8 {
            let leaver = self.random.below(8);
            self.readers.swap_remove(leaver);
        }
        self.readers.push(reader);
    }

    fn starts(&self, start: Start, head: u64, back: usize) -> HashMap<&'static str, u64> {
        let start = |channel: &'static str| {
            let lost = self.model.back(channel, Fate::Lost, 1);
            let start = match start {
                Start::After(cursor) => cursor.seq,
                Start::Now => head,
                Start::Last(0) => head,
                Start::Last(_) => match self.model.back(channel, Fate::Kept, back) {
                    0 => lost,
                    first => lost.max(first - 1),
                },
                _ => lost,
            };
            (channel, start)
        };
        CHANNELS.into_iter().map(start).collect()
    }

    /// A random reader reads a random page, which must be what the model has.
    fn read(&mut self) {
        if self.readers.is_empty() {
            return;
        }
        let index = self.random.below(self.readers.len());
        let limit = self.limit();
        let reader = &mut self.readers[index];
        let page = self.fixture.read_within(&reader.beginning, limit);
        check_loss(reader, &page, &self.model, self.drops);
        let (selection, place) = (&reader.beginning.selection, reader.beginning.place);
        let lost_nothing = self.fixture.journal.has_lost_nothing(selection, place);
        assert_eq!(lost_nothing, page.loss.is_none());
        check_page(reader, &page, &self.model, limit);
        if let Some(loss) = &page.loss {
            loss.excuse(&mut reader.beginning.selection);
            for (channel, start) in &mut reader.starts {
                *start = (*start).max(self.model.back(channel, Fate::Lost, 1));
            }
            let again = self.fixture.read_within(&reader.beginning, limit);
            assert_eq!(again.loss, None, "a loss is told once");
            // Rows that are gone may be examined, and taken away meanwhile.
            assert!(seqs(&again.events).starts_with(&seqs(&page.events)));
        }
        reader.beginning.place = page.cursor;
        reader.beginning.selection.settle(page.cursor);
    }

    fn limit(&mut self) -> Limit {
        Limit {
            rows: 1 + self.random.below(12),
            events: 1 + self.random.below(6),
            bytes: 1 + self.random.below(2_000),
        }
    }

    fn look_back(&mut self) {
        let head = self.fixture.journal.head();
        let list = self.random.pick(&SELECTORS);
        let place = self.random.below(usize::try_from(head).unwrap() + 2) as u64;
        let limit = self.limit();
        let selection = self.fixture.begin(list, Start::Earliest).selection;
        let page = self.fixture.read_before(&selection, place, limit);
        let selector: Selector = list.parse().unwrap();
        let kept = self.model.kept().filter(|event| event.seq < place);
        let expected: Vec<_> = kept
            .filter(|event| selector.matches(&event.name))
            .map(|event| event.seq)
            .collect();
        let read = seqs(&page.events);
        assert!(expected.ends_with(&read), "{read:?} of {expected:?}");
        let left = &expected[..expected.len() - read.len()];
        assert!(
            left.iter().all(|seq| *seq < page.cursor),
            "none is left out"
        );
        assert!(page.more || left.is_empty(), "what is left is announced");
        assert!(!page.more || page.cursor < place, "every page gets ahead");
    }
}

/// A loss is told where the model has one, and nowhere else.
fn check_loss(reader: &Reader, page: &Page, model: &Model, drops: bool) {
    let lost = reader.expects(model, Fate::Lost);
    let told = page.loss.is_some();
    assert!(
        told || lost.is_empty(),
        "lost in silence: {:?}",
        lost[0].seq
    );
    assert!(!told || drops || !lost.is_empty(), "{:?}", page.loss);
}

/// A page is the beginning of what the model has, and its cursor leaves nothing out.
fn check_page(reader: &Reader, page: &Page, model: &Model, limit: Limit) {
    let place = reader.beginning.place;
    let expected = reader.expects(model, Fate::Kept);
    let expected: Vec<_> = expected.iter().map(|event| event.seq).collect();
    let read = seqs(&page.events);
    assert!(expected.starts_with(&read), "{read:?} of {expected:?}");
    let left = &expected[read.len()..];
    assert!(
        left.iter().all(|seq| *seq > page.cursor),
        "none is left out"
    );
    assert!(page.more || left.is_empty(), "what is left is announced");
    assert!(!page.more || page.cursor > place, "every page gets ahead");
    let head = model.events.last().map_or(0, |event| event.seq);
    assert!(
        page.more || page.cursor == head,
        "the last page ends at the head"
    );
    let bytes: usize = page.events.iter().map(|e| e.data.bytes().len()).sum();
    assert!(read.len() <= limit.events.min(limit.rows));
    assert!(bytes <= limit.bytes || read.len() == 1);
}
