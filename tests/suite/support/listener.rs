//! The five ways behind one face, so that one list of cases serves them all.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use serde_json::Value;

use super::event::{Event, Gap, elements, members};
use super::fixture::Fixture;
use super::http::{Head, Response, request};
use super::ndjson::Lines;
use super::sse::{EventSource, Message};
use super::websocket::{self, WebSocket, handshake};
use super::wire::{Wire, deadline};

/// How events are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Poll,
    LongPoll,
    Sse,
    Ndjson,
    WebSocket,
}

impl Way {
    /// All of them.
    pub const ALL: [Way; 5] = [
        Way::Poll,
        Way::LongPoll,
        Way::Sse,
        Way::Ndjson,
        Way::WebSocket,
    ];

    /// The fields of a request that ask for this way.
    pub fn fields(self) -> Vec<(&'static str, &'static str)> {
        match self {
            Way::Poll => vec![],
            Way::LongPoll => vec![("Prefer", "wait=5")],
            Way::Sse => vec![("Accept", "text/event-stream")],
            Way::Ndjson => vec![("Accept", "application/x-ndjson")],
            Way::WebSocket => handshake().to_vec(),
        }
    }

    /// Whether it is one answer without an end, not one answer a request.
    pub fn is_stream(self) -> bool {
        !matches!(self, Way::Poll | Way::LongPoll)
    }

    /// How a client of this kind says where it was.
    fn resume(self) -> Resume {
        match self {
            Way::Sse | Way::Ndjson => Resume::Header,
            Way::Poll | Way::LongPoll | Way::WebSocket => Resume::Url,
        }
    }
}

/// Where a cursor stands in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// In `Last-Event-ID`, while the URL stays as it was, as in a browser that reconnects.
    Header,
    /// In `?after=`.
    Url,
}

/// What a subscriber was told.
#[derive(Debug)]
pub enum Told {
    Event(Event),
    Gap(Gap),
    /// The server says goodbye.
    Bye(Value),
    /// The end of the connection, with the WebSocket close code.
    End(Option<u16>),
    /// A new cursor and nothing else.
    Cursor(String),
}

enum Line {
    /// Hung up.
    Closed,
    /// Polls and long polls; whether an answer is due.
    Polls(Wire, bool),
    Sse(EventSource),
    Ndjson(Lines),
    WebSocket(WebSocket),
}

/// A subscriber that remembers its cursor.
pub struct Listener {
    address: SocketAddr,
    path: String,
    parameters: Vec<String>,
    way: Way,
    line: Line,
    cursor: String,
    told: VecDeque<Told>,
    /// The `welcome` with which a stream began.
    pub welcome: Option<Value>,
    /// The head of the stream's answer, or of the newest poll's.
    pub head: Option<Head>,
}

impl Listener {
    /// Subscribes to `target`, a path with its parameters. A stream has been welcomed on return, and
    /// a poll that begins with now has its cursor.
    pub fn open(way: Way, server: &Fixture, target: &str) -> Self {
        Self::open_with(way, server, target, &[])
    }

    /// The same, with more fields in the request.
    pub fn open_with(way: Way, server: &Fixture, target: &str, fields: &[(&str, &str)]) -> Self {
        Self::open_on(way, server.connect(), server.address, target, fields)
    }

    /// The same, on a connection whose receive buffer a few kilobytes fill.
    pub fn open_slow(way: Way, server: &Fixture, target: &str) -> Self {
        let wire = server.connect().with_small_receive_buffer();
        Self::open_on(way, wire, server.address, target, &[])
    }

    /// The same at an address whose server may go; `None` when it went before it answered.
    pub fn try_open(way: Way, address: SocketAddr, target: &str) -> Option<Self> {
        let wire = Wire::try_connect(address).ok()?;
        Self::try_open_on(way, wire, address, target, &[])
    }

    /// The same on a connection of the caller's to a server that is also at `address`.
    pub fn open_on(
        way: Way,
        wire: Wire,
        address: SocketAddr,
        target: &str,
        fields: &[(&str, &str)],
    ) -> Self {
        Self::try_open_on(way, wire, address, target, fields).expect("a welcome")
    }

    fn try_open_on(
        way: Way,
        wire: Wire,
        address: SocketAddr,
        target: &str,
        fields: &[(&str, &str)],
    ) -> Option<Self> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let parameters = query.split('&').filter(|p| !p.is_empty());
        let mut listener = Listener {
            address,
            path: path.to_owned(),
            parameters: parameters.map(str::to_owned).collect(),
            way,
            line: Line::Closed,
            cursor: String::new(),
            told: VecDeque::new(),
            welcome: None,
            head: None,
        };
        listener.begin(wire, target, fields)?;
        Some(listener)
    }

    /// Hangs up and comes back by `way` with the cursor of what was taken so far.
    pub fn reconnect(&mut self, way: Way) {
        self.reconnect_by(way, way.resume());
    }

    /// The same, with the cursor in the place named.
    pub fn reconnect_by(&mut self, way: Way, resume: Resume) {
        let wire = Wire::connect(self.address);
        self.resume_on(wire, way, resume).expect("a welcome");
    }

    /// Comes back by `way` to a server that has another address now and may go again; `None` when it
    /// went before it answered.
    pub fn try_reconnect(&mut self, address: SocketAddr, way: Way) -> Option<()> {
        self.hang_up();
        self.address = address;
        let wire = Wire::try_connect(address).ok()?;
        self.resume_on(wire, way, way.resume())
    }

    fn resume_on(&mut self, wire: Wire, way: Way, resume: Resume) -> Option<()> {
        assert!(!self.cursor.is_empty(), "no cursor to come back with");
        self.way = way;
        self.told.clear();
        self.line = Line::Closed;
        let cursor = self.cursor.clone();
        match resume {
            Resume::Url => self.begin(wire, &self.target_after(&cursor), &[]),
            Resume::Header => self.begin(wire, &self.target(), &[("Last-Event-ID", &cursor)]),
        }
    }

    /// Ends the connection and keeps the cursor.
    pub fn hang_up(&mut self) {
        self.line = Line::Closed;
    }

    /// The place up to which events were taken.
    pub fn cursor(&self) -> &str {
        &self.cursor
    }

    /// The next thing that says something.
    pub fn next(&mut self) -> Told {
        let end = deadline();
        loop {
            let Some(told) = self.told.pop_front() else {
                assert!(Instant::now() < end, "nothing came by {:?}", self.way);
                self.receive();
                continue;
            };
            match &told {
                Told::Event(event) => self.cursor.clone_from(&event.id),
                Told::Gap(gap) => self.cursor.clone_from(&gap.cursor),
                Told::Bye(_) | Told::End(_) => {}
                Told::Cursor(cursor) => {
                    self.cursor.clone_from(cursor);
                    continue;
                }
            }
            return told;
        }
    }

    /// The next event; anything else fails the test.
    pub fn next_event(&mut self) -> Event {
        match self.next() {
            Told::Event(event) => event,
            other => panic!("an event was due by {:?}, not {other:?}", self.way),
        }
    }

    /// The next gap; anything else fails the test.
    pub fn next_gap(&mut self) -> Gap {
        match self.next() {
            Told::Gap(gap) => gap,
            other => panic!("a gap was due by {:?}, not {other:?}", self.way),
        }
    }

    /// The texts of the next events.
    pub fn texts(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.next_event().text()).collect()
    }

    /// What came between here and the connection's end, the end included.
    pub fn rest(&mut self) -> Vec<Told> {
        let mut all = Vec::new();
        loop {
            let told = self.next();
            let ended = matches!(told, Told::End(_));
            all.push(told);
            if ended {
                return all;
            }
        }
    }

    fn target(&self) -> String {
        join(&self.path, &self.parameters)
    }

    fn target_after(&self, cursor: &str) -> String {
        const PLACES: [&str; 5] = ["after", "last_event_id", "lastEventId", "last", "since"];
        let place = |p: &&String| PLACES.contains(&p.split('=').next().unwrap_or(""));
        let mut parameters: Vec<String> = self
            .parameters
            .iter()
            .filter(|p| !place(p))
            .cloned()
            .collect();
        parameters.push(format!("after={cursor}"));
        join(&self.path, &parameters)
    }

    /// `None` when the server went before it said where a stream begins.
    fn begin(&mut self, wire: Wire, target: &str, fields: &[(&str, &str)]) -> Option<()> {
        let all = [&self.way.fields()[..], fields].concat();
        let bytes = request("GET", target, &all, b"");
        self.line = match self.way {
            Way::Poll | Way::LongPoll => {
                // Whoever begins with now needs its cursor before anything is published.
                let at_once = self.way == Way::Poll || target.contains("after=now");
                self.line = Line::Polls(wire, true);
                let fields = if at_once { fields } else { &all[..] };
                self.ask(target, fields);
                if at_once {
                    self.receive();
                }
                return Some(());
            }
            Way::Sse => Line::Sse(EventSource::try_open(wire, &bytes)?),
            Way::Ndjson => Line::Ndjson(Lines::try_open(wire, &bytes)?),
            Way::WebSocket => Line::WebSocket(WebSocket::try_open_on(wire, target, fields)?),
        };
        self.be_welcomed()
    }

    fn be_welcomed(&mut self) -> Option<()> {
        let welcome = match &mut self.line {
            Line::Closed | Line::Polls(..) => return Some(()),
            Line::Sse(source) => {
                self.head = Some(source.head.clone());
                control(&source.next_message()?)
            }
            Line::Ndjson(lines) => {
                self.head = Some(lines.head.clone());
                parse(&lines.next_line()?)
            }
            Line::WebSocket(socket) => {
                self.head = Some(socket.head.clone());
                match socket.next_message() {
                    websocket::Message::Text(text) => parse(&text),
                    websocket::Message::End => return None,
                    other => panic!("a welcome was due, not {other:?}"),
                }
            }
        };
        assert_eq!(welcome["op"], "welcome", "{welcome}");
        assert!(welcome["heartbeat_ms"].as_u64() > Some(0), "{welcome}");
        self.cursor = cursor_of(&welcome);
        self.welcome = Some(welcome);
        Some(())
    }

    fn ask(&mut self, target: &str, fields: &[(&str, &str)]) {
        let Line::Polls(wire, due) = &mut self.line else {
            return;
        };
        // A server that is leaving may have closed a kept connection; the read will tell.
        let _ = wire.try_send(request("GET", target, fields, b""));
        *due = true;
    }

    fn receive(&mut self) {
        match &mut self.line {
            Line::Closed => panic!("the listener has hung up"),
            Line::Polls(..) => self.receive_answer(),
            Line::Sse(source) => match source.next_message() {
                Some(message) => self.told.push_back(from_sse(&message)),
                None => self.told.push_back(Told::End(None)),
            },
            Line::Ndjson(lines) => match lines.next_line() {
                Some(line) => self.told.push_back(from_object(&line)),
                None => self.told.push_back(Told::End(None)),
            },
            Line::WebSocket(socket) => match socket.next_message() {
                websocket::Message::Text(text) => self.told.extend(from_message(&text)),
                websocket::Message::Binary(bytes) => panic!("binary: {bytes:?}"),
                websocket::Message::Close(code) => {
                    socket.answer_close(code);
                    self.told.push_back(Told::End(code));
                }
                websocket::Message::End => self.told.push_back(Told::End(None)),
            },
        }
    }

    fn receive_answer(&mut self) {
        let Line::Polls(wire, due) = &mut self.line else {
            return;
        };
        if !std::mem::take(due) {
            let target = self.target_after(&self.cursor);
            return self.ask(&target, &self.way.fields());
        }
        let answer = Response::try_read(wire, "GET").filter(|answer| answer.status() != 503);
        let Some(answer) = answer else {
            return self.told.push_back(Told::End(None));
        };
        let before = self.told.len();
        self.told.extend(from_poll(&answer));
        if self.way == Way::Poll && self.told.len() == before + 1 {
            wire.pause();
        }
        let ends = answer.head.lists("Connection", "close");
        self.head = Some(answer.head);
        if ends {
            let Ok(fresh) = Wire::try_connect(self.address) else {
                self.line = Line::Closed;
                return self.told.push_back(Told::End(None));
            };
            *wire = fresh;
        }
        if self.way == Way::LongPoll {
            let cursor = self.told.back().map(|told| match told {
                Told::Cursor(cursor) => cursor.clone(),
                other => panic!("a poll ends with its cursor, not {other:?}"),
            });
            let target = self.target_after(&cursor.unwrap_or_default());
            self.ask(&target, &self.way.fields());
        }
    }
}

fn join(path: &str, parameters: &[String]) -> String {
    if parameters.is_empty() {
        return path.to_owned();
    }
    format!("{path}?{}", parameters.join("&"))
}

fn parse(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error} in {json}"))
}

fn cursor_of(object: &Value) -> String {
    let cursor = object["cursor"].as_str();
    cursor
        .unwrap_or_else(|| panic!("no cursor in {object}"))
        .to_owned()
}

/// The control object of a block whose `event:` and `id:` must say the same as it does.
fn control(message: &Message) -> Value {
    let object = parse(&message.data);
    assert_eq!(object["op"], message.kind, "{message:?}");
    if message.kind != "bye" {
        assert_eq!(object["cursor"], message.last_event_id, "{message:?}");
    }
    object
}

fn from_sse(message: &Message) -> Told {
    if message.kind != "message" {
        return from_control(control(message));
    }
    let event = Event::parse(&message.data);
    assert_eq!(event.id, message.last_event_id, "the id of {message:?}");
    Told::Event(event)
}

fn from_object(json: &str) -> Told {
    match op(json) {
        Some(_) => from_control(parse(json)),
        None => Told::Event(Event::parse(json)),
    }
}

/// The `op` of a control message. An event's numbers may be beyond what a parser takes, so it is
/// not parsed for this.
fn op(json: &str) -> Option<String> {
    let all = members(json);
    let (_, op) = all.iter().find(|(key, _)| key == "op")?;
    serde_json::from_str(op).ok()
}

fn from_control(object: Value) -> Told {
    match object["op"].as_str() {
        Some("gap") => Told::Gap(Gap::parse(&object)),
        Some("bye") => Told::Bye(object),
        Some("heartbeat" | "live") => Told::Cursor(cursor_of(&object)),
        _ => panic!("{object} is not for a subscriber"),
    }
}

fn from_message(json: &str) -> Vec<Told> {
    if op(json).as_deref() != Some("replay") {
        return vec![from_object(json)];
    }
    let all = members(json);
    let (_, events) = all.iter().find(|(key, _)| key == "events").expect("events");
    let mut told: Vec<Told> = elements(events)
        .iter()
        .map(|event| Told::Event(Event::parse(event)))
        .collect();
    let (_, cursor) = all
        .iter()
        .find(|(key, _)| key == "cursor")
        .expect("a cursor");
    told.push(Told::Cursor(
        serde_json::from_str(cursor).expect("a string"),
    ));
    told
}

/// What a poll's answer tells, its cursor last.
pub fn from_poll(answer: &Response) -> Vec<Told> {
    assert_eq!(answer.status(), 200, "{:?}", answer.text());
    assert_eq!(answer.head.must("Content-Type"), "application/json");
    assert!(answer.head.field("Transfer-Encoding").is_none());
    assert!(answer.text().ends_with("}\n"), "{:?}", answer.text());
    let all = members(answer.text());
    let keys: Vec<&str> = all.iter().map(|(key, _)| key.as_str()).collect();
    assert!(
        matches!(
            keys[..],
            ["cursor", "more", "events"] | ["cursor", "more", "gap", "events"]
        ),
        "{keys:?}"
    );
    let cursor: String = serde_json::from_str(&all[0].1).expect("a string");
    let etag = answer.head.must("ETag");
    assert_eq!(etag.trim_start_matches("W/"), format!("\"{cursor}\""));
    assert_eq!(answer.head.must("Last-Event-ID"), cursor);
    let mut told = Vec::new();
    if keys[2] == "gap" {
        told.push(Told::Gap(Gap::parse(&parse(&all[2].1))));
    }
    let events = elements(&all[all.len() - 1].1);
    told.extend(events.iter().map(|event| Told::Event(Event::parse(event))));
    told.push(Told::Cursor(cursor));
    told
}
