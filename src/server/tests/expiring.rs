//! What becomes of whoever is connected when the time of what it showed is over.

use std::sync::mpsc::{self, TryRecvError};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};

use super::*;
use crate::delivery::stream::find_opening;
use crate::delivery::{Context, Listening, Query, ndjson, sse, stream, websocket};
use crate::journal::Start;
use crate::roster::Berth;

/// How long a pass counts.
const SOON: Duration = Duration::from_millis(50);
/// How much longer it may where a machine has much else to do: far less than until the next heartbeat, at which all look.
const LATEST: Duration = Duration::from_secs(5);

/// The bytes that a socket keeps, about.
const BUFFER: usize = 8 * 1024;
const SAYS_GOODBYE: &[u8] = br#"{"op":"bye","code":4401,"retry_ms":"#;
/// What every event has, and nothing else.
const TIME: &[u8] = br#","time":"#;

type Begin = fn(Arc<Context>, Arc<Stream>, Arc<Berth>, &Query) -> Box<dyn Listening>;

const WAYS: [Begin; 3] = [
    |context, socket, berth, query| {
        let opening = find_opening(&context, query);
        stream::begin(context, socket, berth, query, opening, &sse::JSON)
    },
    |context, socket, berth, query| {
        let opening = find_opening(&context, query);
        stream::begin(context, socket, berth, query, opening, &ndjson::CHUNKED)
    },
    begin_websocket,
];

fn begin_websocket(
    context: Arc<Context>,
    socket: Arc<Stream>,
    berth: Arc<Berth>,
    query: &Query,
) -> Box<dyn Listening> {
    let opening = find_opening(&context, query);
    websocket::begin(context, socket, berth, query, opening, Vec::new())
}

/// A subscriber of channel `a`, from its first event on.
struct Subscriber {
    client: TcpStream,
    /// When its pass is over.
    end: SystemTime,
    thread: thread::JoinHandle<()>,
}

impl Subscriber {
    fn begin(server: &Server, begin: Begin, lasts: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = connect(listener.local_addr().unwrap());
        let (socket, _) = listener.accept().unwrap();
        set_socket_recv_buffer_size(&client, BUFFER).unwrap();
        set_socket_send_buffer_size(&socket, BUFFER).unwrap();
        let socket = Arc::new(Stream::new(socket, None).unwrap());
        let berth = Arc::new(server.context.roster.berth(socket.clone()));
        let context = server.context.clone();
        let end = SystemTime::now() + lasts;
        let query = Query {
            pass: Pass::new(Holder::Subject("ana".into()), Rights::all(), Some(end)),
            selectors: vec!["a".parse().unwrap()],
            start: Some(Start::Earliest),
            raw: false,
            limit: 1,
            before: None,
            conditional: false,
        };
        let thread = thread::spawn(move || begin(context, socket, berth, &query).listen());
        Subscriber {
            client,
            end,
            thread,
        }
    }

    /// What comes to its end.
    fn rest(mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        // Whoever talks after the end finds the connection reset.
        while let Ok(count @ 1..) = self.client.read(&mut buffer) {
            bytes.extend_from_slice(&buffer[..count]);
        }
        self.client.shutdown(std::net::Shutdown::Both).ok();
        self.thread.join().unwrap();
        bytes
    }
}

/// Publishes to channel `a` as long as this takes.
fn while_publishing<T>(server: &Server, work: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        let (done, is_done) = mpsc::channel::<()>();
        scope.spawn(move || {
            while is_done.try_recv() == Err(TryRecvError::Empty) {
                server.say("a");
                thread::yield_now();
            }
        });
        let outcome = work();
        drop(done);
        outcome
    })
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// When the events were published that are in `told`.
fn times(mut told: &[u8]) -> Vec<SystemTime> {
    let mut times = Vec::new();
    while let Some(at) = find(told, TIME) {
        told = &told[at + TIME.len()..];
        let digits = told.iter().take_while(|byte| byte.is_ascii_digit());
        let millis = digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
        times.push(UNIX_EPOCH + Duration::from_millis(millis));
    }
    times
}

/// Checks that a goodbye is the last that is told, and that no event was published after the `end`.
fn assert_ended(told: &[u8], end: SystemTime) {
    let goodbye = find(told, SAYS_GOODBYE).expect("a goodbye");
    assert_eq!(find(&told[goodbye..], TIME), None, "nothing behind it");
    for time in times(told) {
        let late = time.duration_since(end).unwrap_or_default();
        assert!(late < LATEST, "{late:?} after the end");
    }
}

fn goodbyes(server: &Server) -> u64 {
    let metrics = server.context.hub.metrics();
    metrics.refusals(Kind::TokenExpired).get()
}

/// More than both sockets take of what nobody reads.
fn publish_much(server: &Server) {
    let large = "x".repeat(8 * BUFFER);
    for _ in 0..64 {
        let draft = Draft::text("a".parse().unwrap(), &large);
        server.publish(draft).unwrap();
    }
}

#[test]
fn a_stream_says_goodbye_and_gives_nothing_more() {
    let server = server(10);
    for begin in WAYS {
        let subscriber = Subscriber::begin(&server, begin, SOON);
        let end = subscriber.end;
        let told = while_publishing(&server, || subscriber.rest());
        assert_ended(&told, end);
    }
}

#[test]
fn a_pass_that_is_over_when_its_stream_begins_gives_nothing() {
    let server = server(10);
    server.say("a");
    for begin in WAYS {
        let told = Subscriber::begin(&server, begin, Duration::ZERO).rest();
        assert!(find(&told, SAYS_GOODBYE).is_some());
        assert_eq!(find(&told, TIME), None);
    }
}

#[test]
fn what_was_not_read_in_time_is_not_given_later() {
    let server = server(10);
    publish_much(&server);
    server.say("a");
    for begin in WAYS {
        let before = goodbyes(&server);
        let subscriber = Subscriber::begin(&server, begin, SOON);
        wait_until("the goodbye is said", || goodbyes(&server) > before);
        let end = subscriber.end;
        let told = subscriber.rest();
        assert_ended(&told, end);
        assert_eq!(find(&told, br#""data":"x"}"#), None, "the last event");
    }
}

#[test]
fn a_websocket_is_closed() {
    let server = server(10);
    let told = Subscriber::begin(&server, begin_websocket, SOON).rest();
    assert!(find(&told, &4401_u16.to_be_bytes()) > find(&told, SAYS_GOODBYE));
}

/// Has the peer write `frame` again and again until the goodbye is said, while `work` is done. No longer: what comes
/// without an end resets the connection, which may take the goodbye along.
fn while_talking<T>(
    server: &Server,
    talker: &TcpStream,
    frame: &[u8],
    work: impl FnOnce() -> T,
) -> T {
    let mut talker = talker;
    thread::scope(|scope| {
        // Whoever has read it may have hung up already.
        scope.spawn(move || while goodbyes(server) == 0 && talker.write_all(frame).is_ok() {});
        work()
    })
}

/// Somebody who always says something is not kept by that.
#[test]
fn a_websocket_that_never_falls_silent_is_closed_too() {
    let server = server(10);
    let subscriber = Subscriber::begin(&server, begin_websocket, SOON);
    let (end, talker) = (subscriber.end, subscriber.client.try_clone().unwrap());
    // A masked pong without a payload, which no rate counts.
    let pong = [0x8a, 0x80, 0, 0, 0, 0];
    let told = while_talking(&server, &talker, &pong, || {
        while_publishing(&server, || subscriber.rest())
    });
    assert_ended(&told, end);
}

/// Nor somebody whose operations wait for room, since it does not read: that is 30 s without the pass.
#[test]
fn a_websocket_that_does_not_read_its_answers_is_closed_too() {
    let server = server_as(10, |config| config.rates.requests_per_subject = None);
    publish_much(&server);
    let subscriber = Subscriber::begin(&server, begin_websocket, 10 * SOON);
    let (end, talker) = (subscriber.end, subscriber.client.try_clone().unwrap());
    let operation = br#"{"op":"subscribe","channels":["b"]}"#;
    let head = [0x81, 0x80 | operation.len() as u8, 0, 0, 0, 0];
    let frame = [&head[..], operation].concat();
    let told = while_talking(&server, &talker, &frame, || {
        wait_until("the goodbye is said", || goodbyes(&server) == 1);
        subscriber.rest()
    });
    assert_ended(&told, end);
}
