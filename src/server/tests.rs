//! What a connection leaves behind when it ends, seen from inside.

mod expiring;
mod faults;
mod reloading;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::access::pass::{Holder, Pass};
use crate::access::rights::Rights;
use crate::config::JournalKind;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

fn anyone() -> Pass {
    Pass::new(Holder::Anonymous, Rights::all(), None)
}

fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

#[test]
fn a_panic_ends_its_connection_and_nothing_else() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = connect(listener.local_addr().unwrap());
    let (socket, _) = listener.accept().unwrap();
    let permits = Permits::new(1);
    let stream = Stream::new(socket, permits.try_take()).unwrap();
    assert_eq!(
        contain::<()>(&stream, || panic!("a bug, as this test wants it")),
        None
    );
    assert_eq!(
        client.read(&mut [0; 1]).unwrap(),
        0,
        "the connection has ended"
    );
    drop(stream);
    assert!(permits.try_take().is_some(), "its place is free");
}

/// A server with so many places.
fn server(connections: usize) -> Server {
    server_as(connections, |_| {})
}

/// The same, with something else in its configuration.
fn server_as(connections: usize, change: impl FnOnce(&mut Config)) -> Server {
    let mut config = Config {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()],
        ..Config::default()
    };
    config.admin.listen = None;
    config.journal.kind = JournalKind::Memory;
    config.limits.connections = connections;
    config.timeouts.drain = PATIENCE;
    change(&mut config);
    Server::start(config).unwrap()
}

fn wait_until(what: &str, ready: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < end, "{what}");
        thread::yield_now();
    }
}

impl Server {
    /// A client that waits for the next event of `path`, and has sent `more` behind its request.
    fn wait(&self, path: &str, more: &str) -> TcpStream {
        let before = self.context.hub.waiting();
        let mut client = connect(self.address().unwrap());
        let head = format!("GET {path}?after=now&wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n");
        client
            .write_all(format!("{head}{more}").as_bytes())
            .unwrap();
        let waits = || self.context.hub.waiting() == before + 1;
        wait_until("the client waits", waits);
        client
    }

    fn say(&self, channel: &str) {
        let draft = Draft::text(channel.parse().unwrap(), "x");
        self.publish(draft).unwrap();
    }

    /// Nobody waits, all places are free, and nobody but the server itself holds on to what is shared.
    fn assert_no_trace(&self, shared: usize) {
        assert_eq!(self.permits.wait_for_all(Instant::now() + PATIENCE), 0);
        assert_eq!(self.context.hub.waiting(), 0);
        let alone = || Arc::strong_count(&self.context) <= shared;
        wait_until("its thread lets go of everything", alone);
    }
}

#[test]
fn a_client_that_hangs_up_while_it_waits_leaves_no_trace() {
    let server = server(1);
    let shared = Arc::strong_count(&server.context);
    for path in ["/a", "/a,b", "/**"] {
        for more in [
            "",
            "GET /a HTT",
            "GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ] {
            drop(server.wait(path, more));
            server.assert_no_trace(shared);
        }
    }
    let mut next = server.wait("/a", "");
    server.say("a");
    let mut answer = [0; 15];
    next.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}

#[test]
fn a_client_that_was_answered_and_hangs_up_leaves_no_trace() {
    let server = server(3);
    let shared = Arc::strong_count(&server.context);
    for more in [
        "",
        "GET /a HTT",
        "GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let clients = ["/a", "/a,b", "/**"].map(|path| server.wait(path, more));
        server.say("a");
        for mut client in clients {
            client.read_exact(&mut [0; 15]).unwrap();
        }
        server.assert_no_trace(shared);
    }
}

#[test]
fn a_stop_leaves_nobody_waiting() {
    let server = server(10);
    let shared = Arc::strong_count(&server.context);
    let mut clients = ["/a", "/a", "/a,b", "/**"].map(|path| server.wait(path, ""));
    thread::scope(|scope| {
        scope.spawn(|| server.end(Leaving::Away));
        for client in &mut clients {
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert!(answer.ends_with("\"events\":[]}\n"), "{answer}");
            client.shutdown(std::net::Shutdown::Write).unwrap();
        }
    });
    server.assert_no_trace(shared);
}

/// The second line: what was reserved may be less than what the process has.
#[test]
fn a_process_that_has_too_much_takes_no_connection_and_no_body_until_less_is_held() {
    let server = server(10);
    let memory = &server.context.memory;
    let ask = |client: &mut TcpStream, request: &str| {
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 12];
        client.read_exact(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[9..]).into_owned()
    };
    let get = "GET /a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let post = "POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx";
    let mut early = connect(server.address().unwrap());
    wait_until("it is let in", || {
        server.context.hub.metrics().accepted.get() == 1
    });
    let room = memory.budget().unwrap() - memory.taken();
    let held = memory.reserve(room / 3).unwrap();
    memory.pretend(usize::MAX - 1);
    assert_eq!(ask(&mut early, post), "503");
    assert_eq!(ask(&mut connect(server.address().unwrap()), get), "503");
    assert!(
        server
            .context
            .hub
            .metrics()
            .refusals(Kind::OutOfMemory)
            .get()
            >= 2
    );
    drop(held);
    assert_eq!(ask(&mut connect(server.address().unwrap()), get), "200");
    assert_eq!(ask(&mut connect(server.address().unwrap()), post), "201");
}
