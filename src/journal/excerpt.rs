//! What is copied out of a journal for one read, at one moment; matching, which costs as much as the reader
//! asks for, happens afterwards without holding anything up.

use std::sync::Arc;

use super::{Limit, Loss, Page};
use crate::event::Event;
use crate::hub::channel::{ChannelName, LossReason};
use crate::hub::selector::Selection;

/// A part of the journal as it was at one moment.
pub(super) struct Excerpt {
    /// Events in the order in which they are examined; one more than may be examined, if there is one.
    pub(super) candidates: Vec<Arc<Event>>,
    /// How many of them come before the first that matches but is not among them, since it is not owed any more.
    pub(super) outlived: Option<usize>,
    /// The seq up to which the candidates are all that there is: the newest of all, unless there is a `rest`.
    pub(super) through: u64,
    /// Whether there are others beyond that.
    pub(super) rest: bool,
    /// What was lost.
    pub(super) losses: Losses,
}

/// The marks beyond the place that is read from.
#[derive(Default)]
pub(super) struct Losses {
    /// Those of channels that may be asked for.
    pub(super) marks: Vec<Mark>,
    /// That of all channels without a record, where it counts; else 0.
    pub(super) folded: u64,
}

/// What a reader gets of the candidates.
#[derive(Default)]
struct Picked<'a> {
    /// Those that match and fit.
    events: Vec<Arc<Event>>,
    /// The first that does not fit.
    next: Option<&'a Arc<Event>>,
    /// Whether some match and are not owed any more.
    outlived: bool,
}

/// What a channel had lost.
pub(super) struct Mark {
    pub(super) name: ChannelName,
    pub(super) lost_through: u64,
    pub(super) lost_to_delete: u64,
}

impl Excerpt {
    /// The page after `place`: candidates are in ascending order.
    pub(super) fn page(self, selection: &Selection, place: u64, limit: Limit, now: u64) -> Page {
        let loss = self.losses.loss(selection, place);
        let picked = self.pick(selection, limit, now);
        Page {
            events: picked.events,
            loss,
            outlived: picked.outlived,
            cursor: picked.next.map_or(self.through, |next| next.id.seq - 1),
            more: picked.next.is_some() || self.rest,
        }
    }

    /// The page before `place`: candidates are in descending order, and `through` is the lowest seq examined.
    pub(super) fn page_back(
        self,
        selection: &Selection,
        place: u64,
        limit: Limit,
        now: u64,
    ) -> Page {
        let Picked {
            mut events,
            next,
            outlived,
        } = self.pick(selection, limit, now);
        let cursor = match (next, self.rest) {
            (Some(next), _) => next.id.seq + 1,
            (None, true) => self.through,
            (None, false) => events.last().map_or(place, |oldest| oldest.id.seq),
        };
        let more = next.is_some() || self.rest;
        events.reverse();
        Page {
            events,
            loss: None,
            outlived,
            cursor,
            more,
        }
    }

    fn pick(&self, selection: &Selection, limit: Limit, now: u64) -> Picked<'_> {
        let mut picked = Picked::default();
        let mut bytes = 0;
        for (row, event) in self.candidates.iter().enumerate() {
            picked.outlived |= self.outlived == Some(row);
            let asked = selection.matches(event);
            let wanted = asked && selection.is_owed(event, now);
            let over = bytes + event.weight() > limit.bytes && !picked.events.is_empty();
            if row == limit.rows || (wanted && (picked.events.len() == limit.events || over)) {
                picked.next = Some(event);
                break;
            }
            if wanted {
                bytes += event.weight();
                picked.events.push(event.clone());
            }
            picked.outlived |= asked && !wanted;
        }
        picked.outlived |= picked.next.is_none() && self.outlived.is_some();
        picked
    }
}

impl Losses {
    /// Whether something of a channel with a record was lost beyond `seq`.
    pub(super) fn reach_beyond(&self, seq: u64) -> bool {
        self.marks.iter().any(|mark| mark.lost_through > seq)
    }

    /// What was lost beyond `place` of that which is asked for.
    pub(super) fn loss(&self, selection: &Selection, place: u64) -> Option<Loss> {
        let mut loss = Loss {
            reason: LossReason::Retention,
            channels: Vec::new(),
            folded: 0,
        };
        for mark in &self.marks {
            let Some(start) = selection.begins_after(&mark.name) else {
                continue;
            };
            let start = start.max(place);
            if mark.lost_to_delete > start {
                loss.reason = LossReason::Deleted;
            }
            if mark.lost_through > start {
                loss.channels.push((mark.name.clone(), mark.lost_through));
            }
        }
        if self.folded > place.max(selection.folded_after()) {
            loss.folded = self.folded;
        }
        (!loss.channels.is_empty() || loss.folded > 0).then_some(loss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Data, Epoch, EventType, Id};
    use crate::hub::channel::Channel;
    use crate::hub::selector::Selector;

    const ALL: Limit = Limit {
        rows: 10,
        events: 10,
        bytes: 10_000,
    };

    /// One event of `a`, which is owed until 100.
    fn excerpt() -> Excerpt {
        let event = Event {
            id: Id {
                epoch: Epoch::from_random(1),
                seq: 5,
            },
            channel: Arc::new(Channel::new("a".parse().unwrap())),
            kind: EventType::message(),
            time: 0,
            expires: Some(100),
            content_type: None,
            data: Data::Text("x".into()),
        };
        Excerpt {
            candidates: vec![Arc::new(event)],
            outlived: None,
            through: 9,
            rest: false,
            losses: Losses::default(),
        }
    }

    #[test]
    fn a_page_tells_that_events_outlived_their_time_where_they_are_asked_for() {
        let late = |selector: &str| Selection::new([selector.parse().unwrap()]);
        for (selection, now, found, outlived) in [
            (late("a"), 99, 1, false),
            (late("a"), 100, 0, true),
            (late("a").live_after(4), 100, 1, false),
            (late("b"), 100, 0, false),
        ] {
            let page = excerpt().page(&selection, 0, ALL, now);
            assert_eq!((page.events.len(), page.outlived), (found, outlived));
        }
    }

    #[test]
    fn a_page_tells_of_what_was_left_out_for_its_time_as_far_as_the_page_reaches() {
        for (before, events, outlived) in [
            (None, 1, false),
            (Some(0), 1, true),
            (Some(1), 1, true),
            (Some(0), 0, true),
            (Some(1), 0, false),
        ] {
            let excerpt = Excerpt {
                outlived: before,
                ..excerpt()
            };
            let limit = Limit { events, ..ALL };
            let page = excerpt.page(&Selection::new([Selector::everything()]), 0, limit, 0);
            assert_eq!((page.events.len(), page.outlived), (events, outlived));
        }
    }
}
