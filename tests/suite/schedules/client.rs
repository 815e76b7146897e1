//! A subscriber of a schedule, whose every event and gap is held against the model.

use super::channels::Asked;
use super::model::Model;
use super::view::{Start, View};
use crate::support::event::seq;
use crate::support::listener::from_poll;
use crate::support::{Fixture, Listener, Response, Told, Way, Wire, request};

/// Somebody who comes, goes, and comes back with its cursor.
pub struct Client {
    pub asked: Asked,
    line: Line,
    /// The last cursor that it was given.
    pub cursor: String,
    /// What its connection, or its last poll, is owed.
    pub view: View,
}

/// How a request is made.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    pub way: Way,
    /// Whether a cursor stands in `Last-Event-ID`.
    pub by_field: bool,
    /// The most events of a poll's answer.
    pub limit: usize,
    /// Whether a stream's socket is soon full.
    pub is_slow: bool,
}

enum Line {
    Away,
    Poll(Wire, Manner),
    Open(Box<Listener>),
}

impl Client {
    /// Somebody comes who was never here.
    pub fn arrive(
        server: &Fixture,
        model: &Model,
        asked: Asked,
        start: &Start,
        manner: Manner,
    ) -> Self {
        let mut client = Client {
            view: View::begin(model, &asked, start, manner.way.is_stream()),
            asked,
            line: Line::Away,
            cursor: String::new(),
        };
        client.connect(server, model, start, manner);
        client
    }

    /// Goes, if it is here, and comes back with its cursor.
    pub fn come_back(&mut self, server: &Fixture, model: &Model, manner: Manner) {
        self.leave();
        let start = Start::After(self.cursor.clone());
        self.connect(server, model, &start, manner);
    }

    /// Ends its connection.
    pub fn leave(&mut self) {
        self.line = Line::Away;
    }

    /// Whether it has no connection.
    pub fn is_away(&self) -> bool {
        matches!(self.line, Line::Away)
    }

    /// Whether it can be brought to the head without anything being published.
    pub fn is_polling(&self) -> bool {
        matches!(self.line, Line::Poll(..))
    }

    /// Reads until it has everything up to an event that it is owed.
    pub fn read_until(&mut self, model: &Model, seq: u64) {
        while self.view.place < seq {
            self.read(model);
        }
    }

    /// Polls until there is no more.
    pub fn poll_to_the_head(&mut self, model: &Model) {
        let start = Start::After(self.cursor.clone());
        if self.poll(model, &start) {
            self.poll_to_the_head(model);
        }
    }

    /// Reads to the end of a connection that a stopping server ends.
    pub fn read_to_the_end(&mut self, model: &Model) {
        if let Line::Open(_) = self.line {
            while self.read_one(model) {}
        }
        self.leave();
    }

    fn connect(&mut self, server: &Fixture, model: &Model, start: &Start, manner: Manner) {
        self.view = View::begin(model, &self.asked, start, manner.way.is_stream());
        let is_bare = match start {
            Start::After(cursor) => {
                self.cursor.clone_from(cursor);
                false
            }
            _ => true,
        };
        match manner.way {
            Way::Poll => {
                self.line = Line::Poll(server.connect(), manner);
                self.poll(model, start);
            }
            Way::LongPoll if is_bare && self.view.due(model).is_empty() => {
                // When its wait began nobody could say; so it gets a cursor first.
                let way = Way::Poll;
                self.connect(server, model, start, Manner { way, ..manner });
                self.come_back(server, model, manner);
            }
            Way::LongPoll => {
                self.open(server, start, manner);
                if is_bare || self.view.begins_with_gap() {
                    // It begins when it is answered, and that is at once.
                    self.read(model);
                }
            }
            _ => {
                let cursor = self.open(server, start, manner);
                self.view.welcome(&cursor, model);
                self.cursor = cursor;
            }
        }
    }

    fn open(&mut self, server: &Fixture, start: &Start, manner: Manner) -> String {
        let by_url = format!("/{}?{}", self.asked.text, start.parameter());
        let listener = match start {
            _ if manner.is_slow && manner.way.is_stream() => {
                Listener::open_slow(manner.way, server, &by_url)
            }
            Start::After(cursor) if manner.by_field => {
                let target = format!("/{}", self.asked.text);
                let field = [("Last-Event-ID", cursor.as_str())];
                Listener::open_with(manner.way, server, &target, &field)
            }
            _ => Listener::open(manner.way, server, &by_url),
        };
        let cursor = listener.cursor().to_owned();
        self.line = Line::Open(Box::new(listener));
        cursor
    }

    fn read(&mut self, model: &Model) {
        match self.line {
            Line::Away => panic!("nobody reads"),
            Line::Poll(..) => {
                let start = Start::After(self.cursor.clone());
                self.poll(model, &start);
            }
            Line::Open(_) => assert!(self.read_one(model), "the connection ended"),
        }
    }

    /// One event or gap; `false` at the end.
    fn read_one(&mut self, model: &Model) -> bool {
        let Line::Open(listener) = &mut self.line else {
            return false;
        };
        match listener.next() {
            Told::Event(event) => self.view.take_event(&event, model),
            Told::Gap(gap) => self.view.take_gap(&gap, model),
            Told::Bye(_) => return true,
            Told::End(_) => return false,
            Told::Cursor(_) => {}
        }
        listener.cursor().clone_into(&mut self.cursor);
        true
    }

    /// One answer; whether there is more.
    fn poll(&mut self, model: &Model, start: &Start) -> bool {
        let Line::Poll(wire, manner) = &mut self.line else {
            panic!("it does not poll");
        };
        let (selectors, limit) = (&self.asked.text, manner.limit);
        let bytes = match start {
            Start::After(cursor) if manner.by_field => {
                let field = [("Last-Event-ID", cursor.as_str())];
                request("GET", &format!("/{selectors}?limit={limit}"), &field, b"")
            }
            _ => {
                let target = format!("/{selectors}?limit={limit}&{}", start.parameter());
                request("GET", &target, &[], b"")
            }
        };
        wire.send(bytes);
        let answer = Response::read(wire, "GET");
        self.view = View::begin(model, &self.asked, start, false);
        self.take_answer(model, &answer)
    }

    fn take_answer(&mut self, model: &Model, answer: &Response) -> bool {
        for told in from_poll(answer) {
            match told {
                Told::Event(event) => self.view.take_event(&event, model),
                Told::Gap(gap) => self.view.take_gap(&gap, model),
                Told::Cursor(cursor) => {
                    assert!(!self.view.begins_with_gap(), "the other life was not told");
                    self.view.reach(&cursor, model);
                    self.cursor = cursor;
                }
                other => panic!("no part of an answer: {other:?}"),
            }
        }
        let more = answer.json()["more"] == true;
        let at_head = seq(&self.cursor) == model.head();
        assert!(more || at_head, "the last page ends at the head");
        more
    }
}
