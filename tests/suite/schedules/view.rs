//! What one connection is owed by the model, held against what it is given, one thing at a time.

use std::collections::BTreeSet;

use super::channels::{Asked, CHANNELS};
use super::model::{Fate, Known, Model, Thief};
use crate::support::event::{Event, Gap, seq};

/// Where a client begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// After this cursor, which a server before this one may have given.
    After(String),
    Earliest,
    Now,
    Last(usize),
    /// Longer ago than the schedule.
    Since,
    /// Where its way begins.
    Unsaid,
}

impl Start {
    /// The parameter that says so.
    pub fn parameter(&self) -> String {
        match self {
            Start::After(cursor) => format!("after={cursor}"),
            Start::Earliest => "after=earliest".into(),
            Start::Now => "after=now".into(),
            Start::Last(count) => format!("last={count}"),
            Start::Since => "since=1h".into(),
            Start::Unsaid => String::new(),
        }
    }
}

/// One connection's, or one poll's, view of the channels.
#[derive(Debug)]
pub struct View {
    asked: Asked,
    /// Beyond which seq the events of each channel are owed.
    starts: [u64; CHANNELS.len()],
    /// The place up to which everything was given or told.
    pub place: u64,
    /// The head and the time when it began.
    head: u64,
    since: u64,
    /// The cursor of another life, which is to be told first of all.
    foreign: Option<String>,
    /// Whether it came without a cursor: what goes before it is looked after for the first time is not owed.
    is_bare: bool,
    /// Until when it may not have been looked after; open until something came.
    unseen: Option<u64>,
    /// Whether it is a stream, and so has what was never owed.
    is_stream: bool,
    /// What was lost and told.
    told: BTreeSet<u64>,
    gaps: usize,
}

impl View {
    /// What whoever begins now is owed.
    pub fn begin(model: &Model, asked: &Asked, start: &Start, is_stream: bool) -> Self {
        let foreign = match start {
            Start::After(cursor) if !model.knows(cursor) => Some(cursor.clone()),
            _ => None,
        };
        let place = match start {
            Start::After(cursor) if foreign.is_none() => seq(cursor),
            Start::Now => model.head(),
            Start::Unsaid if is_stream => model.head(),
            _ => 0,
        };
        let start_of = |channel| match start {
            Start::Last(count) => model.back(channel, *count).unwrap_or(model.head()),
            Start::After(_) if foreign.is_none() => place,
            _ => place.max(model.lost_through(channel)),
        };
        View {
            asked: asked.clone(),
            starts: std::array::from_fn(start_of),
            place,
            head: model.head(),
            since: model.clock,
            foreign,
            is_bare: !matches!(start, Start::After(_)),
            unseen: None,
            is_stream,
            told: BTreeSet::new(),
            gaps: 0,
        }
    }

    /// Takes the cursor with which a stream, or an answer to whoever had none, begins.
    pub fn welcome(&mut self, cursor: &str, model: &Model) {
        let place = seq(cursor);
        assert!(model.knows(cursor), "a new cursor {cursor} is known");
        match self.is_bare {
            false => assert_eq!(place, self.place, "the stream begins where its cursor is"),
            true => self.pass(place + 1, model),
        }
        self.place = place;
    }

    /// Whether the model owes it this event, unless it was given.
    fn wants(&self, event: &Known) -> bool {
        event.seq > self.place.max(self.starts[event.channel]) && self.asked.channels[event.channel]
    }

    /// What was published and not dealt with, whatever became of it.
    pub fn open<'a>(&self, model: &'a Model) -> impl DoubleEndedIterator<Item = &'a Known> {
        let after = model.after(self.place).iter();
        after.filter(|event| self.wants(event))
    }

    /// The seqs of what must still be given.
    pub fn due(&self, model: &Model) -> Vec<u64> {
        let kept = self.open(model).filter(|event| event.is_kept());
        kept.map(|event| event.seq).collect()
    }

    /// Whether a gap must come first.
    pub fn begins_with_gap(&self) -> bool {
        self.foreign.is_some()
    }

    /// Takes an event.
    pub fn take_event(&mut self, given: &Event, model: &Model) {
        assert_eq!(self.foreign, None, "the other life was not told");
        let Some(event) = model.event(&given.id) else {
            panic!("nobody published {}", given.json);
        };
        assert_eq!(given.channel, CHANNELS[event.channel], "{}", given.json);
        assert_eq!(given.text(), event.text, "{}", given.json);
        assert!(
            self.wants(event),
            "twice, out of order, or not asked for: {event:?}"
        );
        match event.fate {
            Fate::Kept => {}
            Fate::Lost { at, .. } => assert!(at > self.since, "it was gone: {event:?}"),
            Fate::NeverOwed { .. } => assert!(event.seq > self.head, "it was over: {event:?}"),
        }
        self.pass(event.seq, model);
        self.place = event.seq;
        self.see(model);
    }

    /// Takes a gap.
    pub fn take_gap(&mut self, gap: &Gap, model: &Model) {
        if let Some(cursor) = self.foreign.take() {
            assert_eq!((gap.reason.as_str(), seq(&gap.cursor)), ("epoch", 0));
            assert_eq!(gap.from, Some(cursor));
            return;
        }
        self.check_reason(gap, model);
        let lost: Vec<_> = self.losses(model).map(|event| event.seq).collect();
        self.told.extend(lost);
        self.gaps += 1;
        assert!(
            self.gaps <= self.told.len() || model.shape.lacks_channels(),
            "nothing was lost: {gap:?}"
        );
        self.reach(&gap.cursor, model);
        self.see(model);
    }

    fn losses<'a>(&self, model: &'a Model) -> impl Iterator<Item = &'a Known> {
        let is_lost = |event: &&Known| matches!(event.fate, Fate::Lost { .. });
        self.open(model).filter(is_lost)
    }

    fn check_reason(&self, gap: &Gap, model: &Model) {
        let from = gap.from.as_deref().expect("a cursor");
        assert!(model.knows(from) && model.knows(&gap.cursor), "{gap:?}");
        assert!(seq(from) <= seq(&gap.cursor), "{gap:?}");
        if model.shape.lacks_channels() {
            return;
        }
        let took = |thief: Thief| {
            let is_taken =
                |event: &Known| matches!(event.fate, Fate::Lost { to, .. } if to == thief);
            self.losses(model).any(is_taken)
        };
        let fits = match gap.reason.as_str() {
            "retention" => took(Thief::Retention),
            "overtaken" => took(Thief::Retention) && self.is_stream,
            // It counts more than retention.
            "deleted" => took(Thief::Delete),
            _ => false,
        };
        assert!(fits, "{gap:?}");
    }

    /// Takes a cursor: everything up to it was dealt with.
    pub fn reach(&mut self, cursor: &str, model: &Model) {
        assert!(model.knows(cursor), "a new cursor {cursor} is known");
        self.pass(seq(cursor) + 1, model);
        self.place = self.place.max(seq(cursor));
    }

    /// Everything before `seq` that was not given must be told, or not be owed.
    fn pass(&self, seq: u64, model: &Model) {
        for event in self.open(model).take_while(|event| event.seq < seq) {
            match event.fate {
                Fate::Kept => panic!("left out: {event:?}"),
                Fate::Lost { at, .. } => assert!(
                    self.told.contains(&event.seq) || self.may_have_missed(at),
                    "lost in silence: {event:?}"
                ),
                Fate::NeverOwed { deleted } => assert!(
                    deleted || !self.has_all_that_is_live(event, model),
                    "not given to whoever listened: {event:?}"
                ),
            }
        }
    }

    fn may_have_missed(&self, at: u64) -> bool {
        self.is_bare && at > self.since && self.unseen.is_none_or(|until| at <= until)
    }

    fn has_all_that_is_live(&self, event: &Known, model: &Model) -> bool {
        self.is_stream && event.seq > self.head && model.shape.spares_the_live()
    }

    /// Something came, so it has been looked after.
    fn see(&mut self, model: &Model) {
        self.unseen.get_or_insert(model.clock);
    }
}
