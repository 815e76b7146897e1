//! What a client is told that pages through the journal by polls.

use std::net::SocketAddr;

use crate::support::event::members;
use crate::support::listener::from_poll;
use crate::support::{Event, Gap, Response, Told, Wire, request};

/// Far more pages than any test fills.
const MOST_PAGES: usize = 10_000;

/// One thing that a subscriber was told.
#[derive(Debug, Clone)]
pub enum Sighting {
    Event(Event),
    Gap(Gap),
}

/// All that was told to one client, in order.
#[derive(Debug, Default)]
pub struct History {
    /// What it was told.
    pub sightings: Vec<Sighting>,
    /// The cursor it ended with.
    pub cursor: String,
}

impl History {
    /// Pages from `after` (a cursor, `earliest` or `now`) to the head. A refusal fails the test.
    pub fn read(address: SocketAddr, selectors: &str, after: &str) -> Self {
        Self::try_read(address, selectors, after)
            .unwrap_or_else(|refused| panic!("{}", refused.text()))
    }

    /// The same with a server that may refuse a page, which ends it.
    pub fn try_read(
        address: SocketAddr,
        selectors: &str,
        after: &str,
    ) -> Result<Self, Box<Response>> {
        let mut wire = Wire::connect(address);
        let mut history = History::default();
        after.clone_into(&mut history.cursor);
        for _ in 0..MOST_PAGES {
            let cursor = &history.cursor;
            let target = format!("/{selectors}?after={cursor}&limit=1000");
            wire.send(request("GET", &target, &[], b""));
            let answer = Response::read(&mut wire, "GET");
            if answer.status() >= 500 {
                return Err(Box::new(answer));
            }
            if !history.take(&answer) {
                return Ok(history);
            }
        }
        panic!("no end of pages after {after}");
    }

    /// The events alone.
    pub fn events(&self) -> Vec<&Event> {
        let events = self.sightings.iter().filter_map(|sighting| match sighting {
            Sighting::Event(event) => Some(event),
            Sighting::Gap(_) => None,
        });
        events.collect()
    }

    /// The events alone, of one who must not have been told a gap.
    pub fn whole(self) -> Vec<Event> {
        let event = |sighting| match sighting {
            Sighting::Event(event) => event,
            Sighting::Gap(gap) => panic!("nothing was lost, and yet {gap:?}"),
        };
        self.sightings.into_iter().map(event).collect()
    }

    /// The gaps alone.
    pub fn gaps(&self) -> Vec<&Gap> {
        let gaps = self.sightings.iter().filter_map(|sighting| match sighting {
            Sighting::Gap(gap) => Some(gap),
            Sighting::Event(_) => None,
        });
        gaps.collect()
    }

    /// Whether there is more.
    fn take(&mut self, answer: &Response) -> bool {
        for told in from_poll(answer) {
            match told {
                Told::Event(event) => self.sightings.push(Sighting::Event(event)),
                Told::Gap(gap) => self.sightings.push(Sighting::Gap(gap)),
                Told::Cursor(cursor) => self.cursor = cursor,
                other => panic!("{other:?} in a poll"),
            }
        }
        members(answer.text())[1].1 == "true"
    }
}

/// Fails the test unless the events come in the order of their ids, each once.
pub fn assert_in_order<'a>(events: impl IntoIterator<Item = &'a Event>) {
    let mut last = 0;
    for event in events {
        assert!(event.seq() > last, "{} after {last}", event.json);
        last = event.seq();
    }
}

/// Whether one of `selectors`, a list with commas, stands for `channel`.
pub fn selects(selectors: &str, channel: &str) -> bool {
    selectors.split(',').any(|selector| {
        let (mut pattern, mut name) = (selector.split('/'), channel.split('/'));
        loop {
            match (pattern.next(), name.next()) {
                (Some("**"), Some(_)) | (None, None) => return true,
                (Some("*"), Some(_)) => {}
                (Some(part), Some(segment)) if part == segment => {}
                _ => return false,
            }
        }
    })
}
