//! Where a subscriber stands: the cursor to resume from, and what it was given already.

use std::time::{Duration, SystemTime};

use super::error::Error;
use super::event::{Event, Gap};
use crate::event::{Cursor, Epoch};

/// Where a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// With what is published from now on.
    #[default]
    Now,
    /// With the oldest event that is retained.
    Earliest,
    /// So many events back in each channel; `Last(1)` begins with each channel's last value.
    Last(usize),
    /// With what was published at this time or later, to the second, by the server's clock.
    Since(SystemTime),
    /// With what was published in the last so many seconds, by the server's clock.
    Ago(Duration),
    /// Behind a place that an event, a gap or [`Subscription::cursor`](super::Subscription::cursor)
    /// has told; what was lost since then is told as a gap.
    Cursor(Cursor),
}

impl Start {
    /// The parameter that says so in the URL; `None` for a cursor, which goes into a header field,
    /// where a server that does not know it answers with a gap and not with a refusal.
    pub(super) fn parameter(&self) -> Option<(&'static str, String)> {
        match self {
            Start::Now => Some(("after", "now".to_owned())),
            Start::Earliest => Some(("after", "earliest".to_owned())),
            Start::Last(count) => Some(("last", count.to_string())),
            Start::Since(time) => Some(("since", unix_seconds(*time).to_string())),
            Start::Ago(time) => Some(("since", format!("{}s", seconds_up(*time)))),
            Start::Cursor(_) => None,
        }
    }

    /// What the `after` of a `subscribe` operation says.
    pub(super) fn after(&self) -> Result<String, Error> {
        match self {
            Start::Cursor(cursor) => Ok(cursor.to_string()),
            Start::Now => Ok("now".to_owned()),
            Start::Earliest => Ok("earliest".to_owned()),
            Start::Last(_) | Start::Since(_) | Start::Ago(_) => Err(Error::invalid(
                "a subscribe operation begins now, earliest or behind a cursor",
            )),
        }
    }
}

/// Whole seconds, rounded up: what was asked for is within.
pub(super) fn seconds_up(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// How many lives of the journal are remembered for the sake of events that come twice.
const LIVES: usize = 8;

/// The place of one subscription, kept across its connections.
#[derive(Debug)]
pub(super) struct Place {
    start: Start,
    cursor: Option<Cursor>,
    welcomed: Option<Cursor>,
    delivered: Vec<(Epoch, u64)>,
}

impl Place {
    /// The place before anything has come.
    pub(super) fn new(start: Start) -> Self {
        let cursor = match start {
            Start::Cursor(cursor) => Some(cursor),
            _ => None,
        };
        Place {
            start,
            cursor,
            welcomed: None,
            delivered: Vec::new(),
        }
    }

    /// Where the next connection is to begin.
    pub(super) fn start(&self) -> Start {
        self.cursor.map_or(self.start, Start::Cursor)
    }

    /// The cursor to resume from, once there is one.
    pub(super) fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    /// A stream says where it begins. That is where to resume, except when the past was asked for by
    /// count or time: then the cursor may lie behind events that are still to come, so it counts only
    /// when the server has been heard of again, which it is when it has sent them.
    pub(super) fn welcomed(&mut self, cursor: Cursor) {
        match self.start() {
            Start::Now | Start::Cursor(_) => self.cursor = Some(cursor),
            Start::Earliest | Start::Last(_) | Start::Since(_) | Start::Ago(_) => {
                self.welcomed = Some(cursor);
            }
        }
    }

    /// The server has nothing more to send for the moment, and may say up to where it has looked.
    pub(super) fn examined(&mut self, cursor: Option<Cursor>) {
        let welcomed = self.welcomed.take();
        if let Some(cursor) = cursor.or(welcomed) {
            self.cursor = Some(cursor);
        }
    }

    /// Something was lost, and delivery goes on elsewhere.
    pub(super) fn gap(&mut self, gap: &Gap) {
        self.welcomed = None;
        self.cursor = Some(gap.cursor);
    }

    /// An event came: moves behind it, and says whether it is new. Within one life of the journal the
    /// ids of a subscription only rise, so one that does not rise was there before.
    pub(super) fn accept(&mut self, event: &Event) -> bool {
        let id = event.id;
        let known = self.delivered.iter_mut().find(|life| life.0 == id.epoch);
        match known {
            Some((_, highest)) if id.seq <= *highest => return false,
            Some((_, highest)) => *highest = id.seq,
            None => {
                if self.delivered.len() == LIVES {
                    self.delivered.remove(0);
                }
                self.delivered.push((id.epoch, id.seq));
            }
        }
        self.welcomed = None;
        self.cursor = Some(id);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Id;

    fn event(id: &str) -> Event {
        Event::parse(&format!(
            r#"{{"id":"{id}","channel":"a","type":"message","time":1,"data":1}}"#
        ))
        .unwrap()
    }

    fn cursor(text: &str) -> Cursor {
        Id::parse(text).unwrap()
    }

    #[test]
    fn a_place_follows_its_events() {
        let mut place = Place::new(Start::Now);
        assert_eq!(place.start(), Start::Now);
        place.welcomed(cursor("000000000a-4"));
        assert_eq!(place.start(), Start::Cursor(cursor("000000000a-4")));
        assert!(place.accept(&event("000000000a-6")));
        assert_eq!(place.cursor(), Some(cursor("000000000a-6")));
    }

    #[test]
    fn nothing_is_new_twice() {
        let mut place = Place::new(Start::Earliest);
        assert!(place.accept(&event("000000000a-5")));
        assert!(!place.accept(&event("000000000a-5")));
        assert!(!place.accept(&event("000000000a-4")));
        assert!(place.accept(&event("000000000b-1")), "another life");
        assert!(!place.accept(&event("000000000a-5")), "the life before");
        assert_eq!(place.cursor(), Some(cursor("000000000b-1")));
    }

    #[test]
    fn a_past_that_was_asked_for_is_asked_for_again_until_it_came() {
        let mut place = Place::new(Start::Last(3));
        place.welcomed(cursor("000000000a-9"));
        assert_eq!(place.start(), Start::Last(3));
        assert!(place.accept(&event("000000000a-7")));
        place.examined(None);
        assert_eq!(place.start(), Start::Cursor(cursor("000000000a-7")));
    }

    #[test]
    fn an_empty_past_is_done_with_the_first_heartbeat() {
        let mut place = Place::new(Start::Last(3));
        place.welcomed(cursor("000000000a-9"));
        place.examined(None);
        assert_eq!(place.start(), Start::Cursor(cursor("000000000a-9")));
        place.examined(Some(cursor("000000000a-12")));
        assert_eq!(place.cursor(), Some(cursor("000000000a-12")));
    }

    #[test]
    fn the_past_is_named_in_whole_seconds() {
        let ago = Start::Ago(Duration::from_millis(1500)).parameter();
        assert_eq!(ago, Some(("since", "2s".to_owned())));
        let since = Start::Since(SystemTime::UNIX_EPOCH + Duration::from_millis(1500));
        assert_eq!(since.parameter(), Some(("since", "1".to_owned())));
    }
}
