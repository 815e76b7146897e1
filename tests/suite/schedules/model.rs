//! All that was ever published, as a plain list, with what became of each event.

use super::publisher::Draft;
use super::shape::Shape;
use crate::support::event::seq;

/// What the server should have.
pub struct Model {
    /// How the server was set up.
    pub shape: Shape,
    /// Counts what happened, so that it can be said what came first.
    pub clock: u64,
    events: Vec<Known>,
    lives: Vec<Life>,
}

/// An event that was published.
#[derive(Debug)]
pub struct Known {
    pub id: String,
    pub seq: u64,
    /// An index of [`CHANNELS`].
    pub channel: usize,
    pub text: String,
    pub fate: Fate,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is there.
    Kept,
    /// It was owed, and it is gone since this time.
    Lost { at: u64, to: Thief },
    /// It was for those who listened; and whether it was deleted since.
    NeverOwed { deleted: bool },
}

/// What took an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thief {
    Retention,
    Delete,
}

/// One opening of the journal.
struct Life {
    epoch: String,
    /// The last seq of the life, once it is over.
    end: Option<u64>,
}

impl Known {
    /// What retention counts for an event: its payload and its record.
    fn weight(&self) -> usize {
        192 + self.text.len()
    }

    /// Whether it is there.
    pub fn is_kept(&self) -> bool {
        self.fate == Fate::Kept
    }
}

impl Model {
    /// Nothing was published yet.
    pub fn new(shape: Shape) -> Self {
        Model {
            shape,
            clock: 0,
            events: Vec::new(),
            lives: Vec::new(),
        }
    }

    /// A server began, and gives this cursor for now.
    pub fn begin_life(&mut self, cursor: &str, is_durable: bool) {
        if !is_durable {
            self.lives.clear();
            self.events.clear();
        }
        let head = self.head();
        assert_eq!(seq(cursor), head, "a life goes on where the last one ended");
        let (epoch, _) = cursor.split_once('-').expect("an epoch");
        assert!(
            self.lives.iter().all(|life| life.epoch != epoch),
            "every life has a name of its own"
        );
        if let Some(last) = self.lives.last_mut() {
            last.end = Some(head);
        }
        self.lives.push(Life {
            epoch: epoch.to_owned(),
            end: None,
        });
    }

    /// The newest seq.
    pub fn head(&self) -> u64 {
        u64::try_from(self.events.len()).expect("64 bits")
    }

    /// Whether a cursor is from this journal.
    pub fn knows(&self, cursor: &str) -> bool {
        let (epoch, _) = cursor.split_once('-').expect("an epoch");
        let mut lives = self.lives.iter();
        lives
            .find(|life| life.epoch == epoch)
            .is_some_and(|life| seq(cursor) <= life.end.unwrap_or(self.head()))
    }

    /// These drafts were published together, and got these ids.
    pub fn append(&mut self, drafts: &[Draft], ids: &[String]) {
        assert_eq!(ids.len(), drafts.len(), "a receipt for each draft");
        self.clock += 1;
        for (draft, id) in drafts.iter().zip(ids) {
            let next = self.head() + 1;
            let life = self.lives.last().expect("a life");
            assert_eq!(*id, format!("{}-{next}", life.epoch), "the next number");
            self.events.push(Known {
                id: id.clone(),
                seq: next,
                channel: draft.channel,
                text: draft.text.clone(),
                fate: match draft.ttl {
                    Some(0) => Fate::NeverOwed { deleted: false },
                    _ => Fate::Kept,
                },
            });
        }
        // Once a batch: each channel within its own rule, then everything within its bound.
        drafts.iter().for_each(|draft| self.retain(draft.channel));
        while self.weight(|_| true) > self.shape.journal_bytes {
            self.lose_oldest(|_| true);
        }
    }

    fn retain(&mut self, channel: usize) {
        let rule = self.shape.rule_for(channel);
        let (max_events, max_bytes) = (rule.max_events, rule.max_bytes);
        while self.count(channel) > max_events || self.weight(|of| of == channel) > max_bytes {
            self.lose_oldest(|of| of == channel);
        }
    }

    fn kept(&self, which: impl Fn(usize) -> bool) -> impl DoubleEndedIterator<Item = &Known> {
        let kept = self.events.iter().filter(|event| event.is_kept());
        kept.filter(move |event| which(event.channel))
    }

    fn count(&self, channel: usize) -> usize {
        self.kept(|of| of == channel).count()
    }

    fn weight(&self, which: impl Fn(usize) -> bool) -> usize {
        self.kept(which).map(Known::weight).sum()
    }

    fn lose_oldest(&mut self, which: impl Fn(usize) -> bool) {
        let mut events = self.events.iter_mut();
        let oldest = events.find(|event| event.is_kept() && which(event.channel));
        oldest.expect("one at least").fate = Fate::Lost {
            at: self.clock,
            to: Thief::Retention,
        };
    }

    /// A channel was deleted.
    pub fn forget(&mut self, channel: usize) {
        self.clock += 1;
        let (at, to) = (self.clock, Thief::Delete);
        for event in self.events.iter_mut().filter(|e| e.channel == channel) {
            match &mut event.fate {
                Fate::Lost { .. } => {}
                Fate::NeverOwed { deleted } => *deleted = true,
                fate => *fate = Fate::Lost { at, to },
            }
        }
    }

    /// The event with this id.
    pub fn event(&self, id: &str) -> Option<&Known> {
        self.events.iter().find(|event| event.id == id)
    }

    /// What was published after a place.
    pub fn after(&self, place: u64) -> &[Known] {
        let index = usize::try_from(place).expect("an index");
        &self.events[index.min(self.events.len())..]
    }

    /// The place behind the last event that a channel lost.
    pub fn lost_through(&self, channel: usize) -> u64 {
        let lost = |e: &&Known| e.channel == channel && matches!(e.fate, Fate::Lost { .. });
        self.events.iter().rfind(lost).map_or(0, |event| event.seq)
    }

    /// The place before the last `count` events that a channel has; `None` if it has none.
    pub fn back(&self, channel: usize, count: usize) -> Option<u64> {
        let newest = self.kept(|of| of == channel).rev();
        newest.take(count).last().map(|event| event.seq - 1)
    }
}
