//! Where a server listens: several addresses at once, and Unix sockets with their files.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fourcast::config::{Config, Listen, Mode};
use fourcast::{Leaving, Server, StartError};

use crate::durable::home::Home;
use crate::durable::process::{self, Process};
use crate::support::{Fixture, Listener, Response, Way, Wire, request};

/// A directory of one test, whose path is short enough for a socket.
pub struct Place(PathBuf);

impl Place {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fourcast-{name}-{}", std::process::id()));
        fs::create_dir(&path).expect("a directory");
        Place(path)
    }

    /// Where a socket may be.
    pub fn socket(&self) -> PathBuf {
        self.0.join("s")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server on a port of its own and at a Unix socket.
pub fn server(socket: &Path, change: impl FnOnce(&mut Config)) -> Fixture {
    Fixture::start(|config| {
        config.listen.push(Listen::unix(socket));
        change(config);
    })
}

fn loopback() -> Listen {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()
}

/// What a GET at a socket is answered.
fn get(socket: &Path, target: &str, host: &str) -> Response {
    let mut wire = Wire::connect_unix(socket);
    wire.send(format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    ));
    Response::read(&mut wire, "GET")
}

fn start_error(change: impl FnOnce(&mut Config)) -> StartError {
    let mut config = Config::default();
    config.admin.listen = None;
    config.journal.kind = fourcast::config::JournalKind::Memory;
    change(&mut config);
    Server::start(config).err().expect("an error")
}

#[test]
fn every_way_works_over_a_unix_socket_and_shares_events_with_tcp() {
    let place = Place::new("ways");
    let server = server(&place.socket(), |_| {});
    for way in Way::ALL {
        let wire = Wire::connect_unix(&place.socket());
        let mut listener = Listener::open_on(way, wire, server.address, "/chat?after=now", &[]);
        server.publish("chat", "by TCP");
        let mut publisher = Wire::connect_unix(&place.socket());
        publisher.send(request("POST", "/chat", &[], b"by a file"));
        assert_eq!(Response::read(&mut publisher, "POST").status(), 201);
        assert_eq!(listener.texts(2), ["by TCP", "by a file"], "{way:?}");
    }
}

#[test]
fn a_slow_reader_at_a_unix_socket_is_caught_up() {
    let place = Place::new("slow");
    let server = server(&place.socket(), |_| {});
    let wire = Wire::connect_unix(&place.socket());
    let mut listener = Listener::open_on(Way::Sse, wire, server.address, "/big?after=now", &[]);
    let texts: Vec<String> = (0..40)
        .map(|n| format!("{n}{}", "x".repeat(50_000)))
        .collect();
    for text in &texts {
        server.publish("big", text);
    }
    assert_eq!(listener.texts(texts.len()), texts);
}

#[test]
fn at_a_unix_socket_only_loopback_names_and_hosts_are_served() {
    let place = Place::new("hosts");
    let server = server(&place.socket(), |config| {
        config.access.mode = Mode::Open;
        config.hosts = vec!["events.test".to_owned()];
    });
    for (host, status) in [
        ("localhost", 200),
        ("events.test", 200),
        ("elsewhere.test", 421),
        ("192.0.2.1", 421),
    ] {
        let answer = get(&place.socket(), "/chat", host);
        assert_eq!(answer.status(), status, "{host}");
    }
    drop(server);
}

#[test]
fn a_socket_has_its_mode_and_goes_with_its_server() {
    let place = Place::new("mode");
    let server = server(&place.socket(), |config| config.socket_mode = 0o640);
    let mode = fs::metadata(place.socket())
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640);
    server.stop(Leaving::Away).join().expect("it stops");
    assert!(!place.socket().exists());
}

#[test]
fn a_stream_at_a_unix_socket_is_told_goodbye() {
    let place = Place::new("goodbye");
    let server = server(&place.socket(), |_| {});
    let wire = Wire::connect_unix(&place.socket());
    let mut listener = Listener::open_on(Way::Sse, wire, server.address, "/chat?after=now", &[]);
    let stopping = server.stop(Leaving::Restart);
    let told = listener.rest();
    assert!(matches!(told[0], crate::support::Told::Bye(_)), "{told:?}");
    stopping.join().expect("it stops");
}

#[test]
fn the_file_of_a_server_that_was_killed_is_replaced() {
    let place = Place::new("stale");
    let home = Home::new("listen-stale");
    let serve = || {
        let mut command = home.serve();
        let listen = format!("127.0.0.1:0,unix:{}", place.socket().display());
        command.env("FOURCAST_LISTEN", listen);
        Process::try_start_as(&home, command)
    };
    serve().expect("a server").kill();
    assert!(place.socket().exists(), "what a crash leaves");
    let again = serve().expect("a server");
    assert_eq!(get(&place.socket(), "/chat", "localhost").status(), 200);
    again.stop();
    assert!(!place.socket().exists());
}

#[test]
fn where_a_server_listens_no_second_one_does() {
    let place = Place::new("taken");
    let first = server(&place.socket(), |_| {});
    let error =
        start_error(|config| config.listen = vec![loopback(), Listen::unix(place.socket())]);
    assert!(matches!(error, StartError::Listen(..)), "{error}");
    let told = error.to_string();
    for part in [
        &*place.socket().to_string_lossy(),
        "another server listens there",
        "'listen'",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(get(&place.socket(), "/chat", "localhost").status(), 200);
    drop(first);
}

#[test]
fn a_socket_that_cannot_be_made_is_told_with_the_reason() {
    let place = Place::new("reasons");
    fs::write(place.socket(), "precious").expect("a file");
    let long = place.0.join("x".repeat(120));
    for (path, reason) in [
        (place.socket(), "there is a file that is no socket"),
        (place.0.join("no/s"), "its directory is not there"),
        (long, "107 bytes at most"),
    ] {
        let told = start_error(|config| config.listen = vec![Listen::unix(&path)]).to_string();
        assert!(told.contains(reason), "{told}");
    }
    assert_eq!(fs::read_to_string(place.socket()).expect("it"), "precious");
}

#[test]
fn a_server_listens_at_several_addresses_at_once() {
    let server = Fixture::start(|config| {
        config.listen = vec![loopback(), loopback()];
        // Where there is no IPv6 there is one address less.
        if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            config
                .listen
                .push(SocketAddr::from((Ipv6Addr::LOCALHOST, 0)).into());
        }
    });
    let mut addresses: Vec<SocketAddr> =
        server.addresses().iter().filter_map(Listen::tcp).collect();
    let all = addresses.len();
    assert!(all >= 2 && addresses.iter().all(|address| address.port() != 0));
    let mut listeners: Vec<Listener> = addresses
        .iter()
        .map(|address| {
            Listener::try_open(Way::Sse, *address, "/chat?after=now").expect("a welcome")
        })
        .collect();
    server.publish("chat", "to all");
    for listener in &mut listeners {
        assert_eq!(listener.next_event().text(), "to all");
    }
    addresses.dedup();
    assert_eq!(addresses.len(), all);
    server.stop(Leaving::Away).join().expect("it stops");
    for address in addresses {
        assert!(Wire::try_connect(address).is_err(), "{address}");
    }
}

#[test]
fn all_addresses_share_the_permits() {
    let place = Place::new("permits");
    let server = server(&place.socket(), |config| config.limits.connections = 1);
    let wire = Wire::connect_unix(&place.socket());
    let held = Listener::open_on(Way::Sse, wire, server.address, "/chat?after=now", &[]);
    server.wait_for_status("/chat", 503);
    drop(held);
    server.wait_for_status("/chat", 200);
}

#[test]
fn one_address_that_cannot_be_had_lets_none_start() {
    let place = Place::new("none");
    let first = Fixture::plain();
    let error = start_error(|config| {
        config.listen = vec![Listen::unix(place.socket()), first.address.into()];
    });
    assert!(
        error.to_string().contains(&first.address.to_string()),
        "{error}"
    );
    assert!(!place.socket().exists());
    let error = start_error(|config| config.listen.clear());
    assert!(matches!(error, StartError::Nowhere), "{error}");
}

#[test]
fn the_greeting_and_the_check_name_every_address() {
    let place = Place::new("greeting");
    let home = Home::new("listen-greeting");
    let mut command = home.run(&["check"]);
    let path = place.socket();
    command.env(
        "FOURCAST_LISTEN",
        format!("127.0.0.1:0, unix:{}", path.display()),
    );
    let output = process::run(command);
    let text = String::from_utf8(output.stdout).expect("text");
    for line in [
        "address        127.0.0.1:0, only this machine reaches it\n".to_owned(),
        format!(
            "address        unix:{}, only this machine reaches it, by the rights 0660\n",
            path.display()
        ),
    ] {
        assert!(text.contains(&line), "{text}");
    }
    assert!(!path.exists(), "a check starts nothing");
}
