//! How the server of one schedule is set up: by chance, and so that much is lost.

use std::num::NonZeroUsize;
use std::path::Path;

use fourcast::config::{Config, Retention};

use super::channels::{CHANNELS, SELECTORS};
use super::random::Random;

/// A kind of journal, as a schedule sees it.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Sets it, with a directory that is the schedule's own.
    pub set: fn(&mut Config, &Path),
    /// Whether a server that starts again has what the one before it kept.
    pub is_durable: bool,
}

/// What a schedule's server is told at each of its starts.
#[derive(Debug, Clone)]
pub struct Shape {
    rules: Vec<Rule>,
    /// The most that all events may weigh.
    pub journal_bytes: usize,
    tail_events: usize,
    tail_bytes: usize,
    replay_bytes: usize,
    shards: usize,
    channels: usize,
    /// Whether payloads fill the sockets of those who do not read.
    pub is_large: bool,
}

/// What is kept of the channels that one of [`SELECTORS`] matches.
#[derive(Debug, Clone)]
pub struct Rule {
    selector: usize,
    /// The most events of a channel.
    pub max_events: usize,
    /// The most that a channel's events may weigh.
    pub max_bytes: usize,
}

const AMPLE: usize = 1 << 26;

impl Shape {
    /// Rules for a few patterns, and one for the rest.
    pub fn random(random: &mut Random) -> Self {
        let is_large = random.one_in(16);
        let mut rules: Vec<Rule> = (0..random.below(3))
            .map(|_| Rule::random(random, is_large))
            .collect();
        if random.one_in(4) {
            rules.insert(0, Rule::live_only(random.pick(&[1, 2])));
        }
        rules.push(Rule::for_the_rest(random, is_large));
        let has_small_tail = random.one_in(2);
        Shape {
            rules,
            journal_bytes: match !is_large && random.one_in(3) {
                true => random.between(2_000, 8_000),
                false => AMPLE,
            },
            tail_events: match has_small_tail {
                true => random.between(1, 4),
                false => 10_000,
            },
            tail_bytes: match has_small_tail && random.one_in(2) {
                true => random.between(1, 2_000),
                false => AMPLE,
            },
            // None, a few events, and the default.
            replay_bytes: random.pick(&[0, 2_000, 1 << 24]),
            shards: random.between(1, 2),
            channels: match random.one_in(5) {
                true => random.between(2, CHANNELS.len() - 1),
                false => 1_000,
            },
            is_large,
        }
    }

    /// Sets all of it.
    pub fn set(&self, config: &mut Config) {
        config.channels = self.rules.iter().map(Rule::retention).collect();
        config.journal.max_bytes = self.journal_bytes;
        config.fanout.tail_events = self.tail_events;
        config.fanout.tail_bytes = self.tail_bytes;
        config.fanout.replay_bytes = self.replay_bytes;
        config.fanout.shards = NonZeroUsize::new(self.shards);
        config.limits.channels = self.channels;
        // Queues are made for as many: a server that starts soon is started often.
        config.limits.connections = 64;
        if self.is_large {
            config.limits.send_buffer = 8 * 1024;
        }
    }

    /// The first rule that is for this channel.
    pub fn rule_for(&self, channel: usize) -> &Rule {
        let mut rules = self.rules.iter();
        let of_channel = |rule: &&Rule| SELECTORS[rule.selector].1.contains(&channel);
        rules.find(of_channel).expect("the last is for all")
    }

    /// Whether an event can stay in this channel.
    pub fn keeps(&self, channel: usize) -> bool {
        self.rule_for(channel).max_events > 0
    }

    /// Whether whoever listens is given what is never stored: everything stays in the tail, and nobody's
    /// socket is full.
    pub fn spares_the_live(&self) -> bool {
        self.tail_bytes == AMPLE && self.tail_events == 10_000 && !self.is_large
    }

    /// Whether there may be fewer channels than there are: then a publish may be refused, and a loss in a
    /// channel whose record went is told to all who may have had it.
    pub fn lacks_channels(&self) -> bool {
        self.channels < CHANNELS.len()
    }
}

impl Rule {
    fn random(random: &mut Random, is_large: bool) -> Self {
        let rule = Rule::for_the_rest(random, is_large);
        let selector = random.below(SELECTORS.len() - 2);
        Rule { selector, ..rule }
    }

    fn for_the_rest(random: &mut Random, is_large: bool) -> Self {
        Rule {
            selector: SELECTORS.len() - 2,
            max_events: match random.one_in(4) {
                true => 1_000,
                false => random.between(1, 6),
            },
            max_bytes: match !is_large && random.one_in(3) {
                true => random.between(500, 2_000),
                false => AMPLE,
            },
        }
    }

    fn live_only(selector: usize) -> Self {
        Rule {
            selector,
            max_events: 0,
            max_bytes: AMPLE,
        }
    }

    fn retention(&self) -> Retention {
        Retention {
            pattern: SELECTORS[self.selector].0.parse().expect("a selector"),
            max_events: self.max_events,
            max_age: None,
            max_bytes: self.max_bytes,
        }
    }
}
