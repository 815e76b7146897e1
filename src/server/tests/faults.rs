//! A journal that cannot be read or written for a while: publishers and polls are refused, subscribers stay
//! connected, and all goes on by itself.

mod journal;
mod operator;

use std::num::NonZeroUsize;
use std::sync::{Mutex, mpsc};

use self::journal::{Faults, FaultyJournal};
use super::*;
use crate::delivery::catch_up::{PAUSE, Step, step};
use crate::delivery::outbox::Outbox;
use crate::delivery::{Opening, sse};
use crate::event::Data;
use crate::hub::fanout::Run;
use crate::hub::tail::Entry;
use crate::journal::{Batch, Limit, Start, StoreError};

/// The write deadline, which is over before the heartbeats that a test waits for have come.
const WRITE: Duration = Duration::from_millis(50);
const HEARTBEAT: Duration = Duration::from_millis(20);
const HEARTBEATS: usize = 10;

/// The ways of a stream, and what its heartbeat looks like.
const STREAMS: [(&str, &[u8]); 3] = [
    ("sse", b":\n\n"),
    ("ndjson", br#"{"op":"heartbeat""#),
    ("websocket", &[0x89, 0]),
];

/// A server whose journal does what the faults say, and is read for all but the last event.
struct Faulted {
    server: Server,
    faults: Arc<Faults>,
}

impl Faulted {
    fn start() -> Self {
        Self::start_as(|_| {})
    }

    fn start_as(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()],
            ..Config::default()
        };
        config.admin.listen = None;
        config.limits.connections = 10;
        config.fanout.shards = NonZeroUsize::new(1);
        config.fanout.tail_events = 1;
        config.fanout.replay_bytes = 0;
        config.timeouts.write = WRITE;
        config.heartbeat.interval = HEARTBEAT;
        config.heartbeat.patience = PATIENCE;
        change(&mut config);
        let faults = Arc::new(Faults::default());
        let hub = Hub::with_journal(&config, 0, |sink| {
            Ok(FaultyJournal::open(&config, sink, &faults))
        });
        let access = access::current::Current::new(&config.access).unwrap();
        let ports = Ports::bind(&config).unwrap();
        Faulted {
            server: Server::serve(hub.unwrap(), config.clone(), config, ports, access).unwrap(),
            faults,
        }
    }

    /// With three events in channel `a`.
    fn with_three() -> Self {
        let faulted = Self::start();
        (0..3).for_each(|_| faulted.server.say("a"));
        faulted
    }

    fn connect(&self) -> Client {
        Client {
            socket: connect(self.server.address().unwrap()),
            heard: Vec::new(),
        }
    }

    fn get(&self, target: &str) -> Client {
        let mut client = self.connect();
        client.ask("GET", target);
        client
    }

    /// A stream of channel `a`, up to its welcome.
    fn stream(&self, way: &str, start: &str) -> Client {
        let mut client = self.get(&format!("/a?transport={way}&{start}"));
        client.wait_for(br#""op":"welcome""#);
        client
    }

    /// Two events at once, the first of which is in the journal only.
    fn say_two(&self, bytes: usize) {
        let draft = || Draft::new("a".parse().unwrap(), Data::Text("x".repeat(bytes).into()));
        let batch = Batch {
            drafts: vec![draft(), draft()],
            key: None,
        };
        self.server.context.hub.publish(batch).unwrap();
    }

    fn id(&self, seq: u64) -> String {
        format!(r#""id":"{}""#, self.server.context.hub.cursor(seq))
    }
}

/// The client's end of a connection.
struct Client {
    socket: TcpStream,
    /// What came and was not waited for yet.
    heard: Vec<u8>,
}

impl Client {
    fn ask(&mut self, method: &str, target: &str) {
        self.send(method, target, "");
    }

    fn send(&mut self, method: &str, target: &str, body: &str) {
        let fields = match target.contains("transport=websocket") {
            true => {
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
            }
            false => &format!("Content-Length: {}", body.len()),
        };
        let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{fields}");
        let request = format!("{head}\r\n\r\n{body}");
        self.socket.write_all(request.as_bytes()).unwrap();
    }

    /// Sends a text message, masked with zeros.
    fn say(&mut self, text: &str) {
        let length = u8::try_from(text.len()).unwrap();
        assert!(length < 126, "the length is one byte");
        let mut frame = vec![0x81, 0x80 | length, 0, 0, 0, 0];
        frame.extend_from_slice(text.as_bytes());
        self.socket.write_all(&frame).unwrap();
    }

    /// Reads up to the end of `what`, and gives what came before it.
    fn wait_for(&mut self, what: &[u8]) -> String {
        loop {
            let found = self.heard.windows(what.len()).position(|part| part == what);
            if let Some(index) = found {
                let mut before: Vec<_> = self.heard.drain(..index + what.len()).collect();
                before.truncate(index);
                return String::from_utf8_lossy(&before).into_owned();
            }
            let mut bytes = [0; 4096];
            let count = self.socket.read(&mut bytes).unwrap_or(0);
            let heard = String::from_utf8_lossy(&self.heard);
            let what = String::from_utf8_lossy(what);
            assert!(count > 0, "{what} never comes: {heard}");
            self.heard.extend_from_slice(&bytes[..count]);
        }
    }

    fn wait_for_text(&mut self, what: &str) -> String {
        self.wait_for(what.as_bytes())
    }

    /// One whole answer with a body in one line.
    fn answer(&mut self) -> String {
        let head = self.wait_for_text("\r\n\r\n");
        head + "\n" + &self.wait_for_text("\n")
    }

    /// Everything up to the end of the connection.
    fn rest(&mut self) -> String {
        self.socket.read_to_end(&mut self.heard).unwrap();
        String::from_utf8_lossy(&self.heard).into_owned()
    }
}

fn assert_unavailable(answer: &str) {
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("Retry-After: "), "{answer}");
    let code = r#""code":"journal_unavailable","retry":true"#;
    assert!(answer.contains(code), "{answer}");
}

#[test]
fn where_a_stream_begins_is_found_before_its_client_is_answered() {
    for (way, _) in STREAMS {
        let faulted = Faulted::start();
        let roster = faulted.server.context.roster.clone();
        let (tell, told) = mpsc::channel();
        let sent = move || tell.send(roster.traffic().sent).unwrap();
        *faulted.faults.before_begin.lock().unwrap() = Some(Box::new(sent));
        faulted.stream(way, "");
        assert_eq!(told.recv(), Ok(0), "{way}");
    }
}

#[test]
fn a_stream_whose_past_cannot_be_read_stays_connected_and_gets_it_when_it_can() {
    for (way, heartbeat) in STREAMS {
        let faulted = Faulted::with_three();
        faulted.faults.read.happen(StoreError::Unavailable);
        let begun = Instant::now();
        let mut client = faulted.stream(way, "after=earliest");
        (0..HEARTBEATS).for_each(|_| drop(client.wait_for(heartbeat)));
        faulted.faults.read.end();
        let most = begun.elapsed().div_duration_f64(PAUSE) + 3.0;
        for seq in 1..=3 {
            client.wait_for_text(&faulted.id(seq));
        }
        faulted.server.say("a");
        let before = client.wait_for_text(&faulted.id(4));
        assert!(!before.contains("gap"), "{way}: {before}");
        let attempts = faulted.faults.read.count();
        assert!(
            (1.0..=most).contains(&(attempts as f64)),
            "{way}: {attempts} attempts"
        );
    }
}

#[test]
fn a_live_stream_that_falls_behind_stays_connected_and_misses_nothing() {
    for (way, heartbeat) in STREAMS {
        let faulted = Faulted::with_three();
        let mut client = faulted.stream(way, "after=now");
        faulted.faults.read.happen(StoreError::Unavailable);
        faulted.say_two(1);
        let fails = || faulted.faults.read.count() > 0;
        wait_until("what it is owed is looked for", fails);
        (0..HEARTBEATS).for_each(|_| drop(client.wait_for(heartbeat)));
        faulted.faults.read.end();
        client.wait_for_text(&faulted.id(4));
        let between = client.wait_for_text(&faulted.id(5));
        assert!(!between.contains("gap"), "{way}: {between}");
    }
}

#[test]
fn no_write_deadline_runs_while_the_journal_cannot_be_read() {
    let faulted = Faulted::with_three();
    let context = &faulted.server.context;
    let all = Limit {
        rows: 10,
        events: 10,
        bytes: usize::MAX,
    };
    let opening = || Opening::find(&context.hub, &["a".parse().unwrap()], Start::Earliest);
    let events = context.hub.read(&opening().unwrap().selection, 0, all);
    let entries: Vec<Arc<Entry>> = events.unwrap().entries;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = connect(listener.local_addr().unwrap());
    let stream = Arc::new(Stream::new(listener.accept().unwrap().0, None).unwrap());
    let outbox = Outbox::new(
        context.clone(),
        stream,
        &sse::JSON,
        opening().unwrap(),
        anyone(),
    );
    let outbox = Arc::new(outbox);
    let run = Run {
        entries: &entries,
        joined: None,
    };
    // An acknowledgement on its way may make room once more.
    wait_until("the deadline runs while it does not read", || {
        while outbox.stream().try_send(&[b'x'; 4096]) != stream::Sent::Full {}
        outbox.deliver(&run);
        outbox.owes_bytes()
    });
    faulted.faults.read.happen(StoreError::Unavailable);
    assert_eq!(step(&outbox), Step::Later);
    assert!(!outbox.owes_bytes(), "and not while it has nothing to read");
    drop(client);
}

/// Whoever takes rights back was told that it is done.
#[test]
fn a_poll_whose_right_was_taken_back_while_the_journal_was_asked_is_refused() {
    for target in ["/a", "/a?after=earliest&wait=60"] {
        let faulted = Faulted::with_three();
        let context = faulted.server.context.clone();
        let closed = Config::from_toml("[access]\nmode = \"closed\"").unwrap();
        *faulted.faults.before_begin.lock().unwrap() = Some(Box::new(move || {
            context.access.obey(&closed.access, None);
            context.roster.obey();
        }));
        let answer = faulted.get(target).answer();
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
}

#[test]
fn a_poll_is_refused_while_the_journal_cannot_be_read_and_works_again() {
    let faulted = Faulted::with_three();
    let head = faulted.server.context.hub.head();
    let before = format!("/a?before={head}");
    for target in ["/a", &before, "/a?after=earliest&wait=60"] {
        let mut client = faulted.connect();
        for fault in [&faulted.faults.begin, &faulted.faults.read] {
            fault.happen(StoreError::Unavailable);
            client.ask("GET", target);
            assert_unavailable(&client.answer());
            fault.end();
            client.ask("GET", target);
            let answer = client.answer();
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            assert!(answer.contains(&faulted.id(1)), "{answer}");
        }
    }
}

#[test]
fn a_long_poll_whose_events_cannot_be_read_is_refused_and_gets_them_when_it_asks_again() {
    let faulted = Faulted::with_three();
    let mut client = Client {
        socket: faulted.server.wait("/a", ""),
        heard: Vec::new(),
    };
    faulted.faults.read.happen(StoreError::Unavailable);
    faulted.say_two(1);
    let refused = client.answer();
    assert_unavailable(&refused);
    assert!(!refused.contains("Preference-Applied"), "{refused}");
    faulted.faults.read.end();
    client.ask("GET", "/a?wait=60");
    let answer = client.answer();
    assert!(answer.contains(&faulted.id(4)) && answer.contains(&faulted.id(5)));
}

#[test]
fn what_cannot_be_kept_is_refused_and_delivered_to_nobody() {
    for (error, status, code) in [
        (StoreError::Full, "507", "journal_full"),
        (StoreError::Unavailable, "503", "journal_unavailable"),
    ] {
        let faulted = Faulted::with_three();
        let mut streams = STREAMS.map(|(way, _)| faulted.stream(way, "after=now"));
        let mut client = faulted.connect();
        faulted.faults.write.happen(error);
        for (method, body) in [("POST", "refused"), ("DELETE", "")] {
            client.send(method, "/a", body);
            let answer = client.answer();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")));
            assert!(answer.contains("Retry-After: "), "{answer}");
            assert!(answer.contains(&format!(r#""code":"{code}""#)), "{answer}");
        }
        client.ask("GET", "/-/ready");
        assert_unavailable(&client.answer());
        faulted.faults.write.end();
        client.ask("GET", "/-/ready");
        assert!(client.answer().starts_with("HTTP/1.1 200 "));
        client.send("POST", "/a", "kept");
        assert!(client.answer().starts_with("HTTP/1.1 201 "));
        for stream in &mut streams {
            let before = stream.wait_for_text(r#""data":"kept""#);
            assert!(before.contains(&faulted.id(4)), "{before}");
            assert!(!before.contains("refused"), "{before}");
        }
        client.ask("GET", "/a");
        assert!(
            client.answer().contains(&faulted.id(1)),
            "nothing was deleted"
        );
    }
}

#[test]
fn a_publish_on_a_websocket_is_refused_and_the_connection_goes_on() {
    let faulted = Faulted::start();
    let mut client = faulted.stream("websocket", "after=now");
    faulted.faults.write.happen(StoreError::Full);
    client.say(r#"{"op":"publish","data":"refused","ref":1}"#);
    client.wait_for_text(r#"{"op":"error","ref":1,"code":"journal_full""#);
    faulted.faults.write.end();
    client.say(r#"{"op":"publish","data":"kept","ref":2}"#);
    let before = client.wait_for_text(r#"{"op":"ack","ref":2"#);
    assert!(before.contains("kept") && !before.contains("refused"));
}

#[test]
fn a_stream_that_cannot_begin_is_told_goodbye_and_when_to_come_back() {
    let faulted = Faulted::with_three();
    faulted.faults.begin.happen(StoreError::Unavailable);
    for (way, _) in STREAMS {
        let mut client = faulted.get(&format!("/a?transport={way}"));
        let head = client.wait_for_text("\r\n\r\n");
        let status = if way == "websocket" { "101" } else { "200" };
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        let before = client.wait_for_text(r#"{"op":"bye","code":1013,"retry_ms":"#);
        assert!(!before.contains("welcome"), "{way}: {before}");
        if way == "websocket" {
            client.wait_for(&1013u16.to_be_bytes());
        }
        client.rest();
    }
}

#[test]
fn a_subscribe_that_cannot_begin_is_refused_and_one_that_cannot_go_on_goes_on_later() {
    let faulted = Faulted::with_three();
    let mut client = faulted.stream("websocket", "after=now");
    let subscribe = |number: u8| {
        format!(r#"{{"op":"subscribe","channels":["*"],"after":"earliest","ref":{number}}}"#)
    };
    faulted.faults.begin.happen(StoreError::Unavailable);
    client.say(&subscribe(1));
    client.wait_for_text(r#"{"op":"error","ref":1,"code":"journal_unavailable""#);
    faulted.faults.begin.end();
    faulted.faults.read.happen(StoreError::Unavailable);
    client.say(&subscribe(2));
    client.wait_for_text(r#"{"op":"ack","ref":2"#);
    let fails = || faulted.faults.read.count() > 0;
    wait_until("the first page is looked for", fails);
    (0..HEARTBEATS).for_each(|_| drop(client.wait_for(&[0x89, 0])));
    faulted.faults.read.end();
    client.wait_for_text(r#"{"op":"replay","ref":2"#);
    let page = client.wait_for_text(r#"{"op":"live","ref":2"#);
    assert!((1..=3).all(|seq| page.contains(&faulted.id(seq))), "{page}");
}
