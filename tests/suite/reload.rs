//! A server that reads its configuration again: what can change counts at once and nobody is disconnected, what cannot
//! says so, and a file that is wrong changes nothing.

use std::fs;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use fourcast::Leaving;
use fourcast::config::{Config, ConfigError};
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};

use crate::durable::home::Home;
use crate::durable::process::Process;
use crate::support::{
    Fixture, Listener, PATIENCE, Response, Told, Way, WebSocket, deadline, exchange, request,
};

const KEY: &str = "a-key-for-these-tests-alone";

/// What every file of these tests begins with; `[admin]` is open for more.
const ALWAYS: &str = "listen = \"127.0.0.1:0\"\n[timeouts]\ndrain = \"5s\"\n[journal]\npath = \"data\"\n[admin]\n\
                      listen = \"127.0.0.1:0\"\n";

/// A server and its file.
struct Server {
    process: Process,
    home: Home,
}

impl Server {
    fn start(test: &str, more: &str) -> Self {
        let home = Home::new(test);
        fs::write(home.path().join("config.toml"), ALWAYS.to_owned() + more).expect("a file");
        Server {
            process: Process::start(&home),
            home,
        }
    }

    fn write(&self, text: &str) {
        fs::write(self.home.path().join("config.toml"), text).expect("a file");
    }

    /// Writes another file and has it read, until the log says `what`.
    fn reload(&self, more: &str, what: &str) {
        self.write(&(ALWAYS.to_owned() + more));
        self.reread(what);
    }

    fn reread(&self, what: &str) {
        let seen = self.process.log().len();
        self.process.reload();
        self.process.await_log(seen, what);
    }

    fn ask(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> Response {
        let port = self.process.admin.expect("an operator's port");
        exchange(port, method, target, fields, b"")
    }

    fn listeners(&self, target: &str) -> Vec<Listener> {
        let listen = |way| self.process.listen(way, target);
        Way::ALL.map(listen).into()
    }
}

#[test]
fn what_is_new_counts_at_once_and_nobody_is_disconnected() {
    let server = Server::start("reload-counts", "");
    let mut listeners = server.listeners("/chat?after=now");
    let mut socket = WebSocket::open(server.process.address, "/chat");
    socket.next_op("welcome");
    let first = server.process.publish("chat", "before");
    for listener in &mut listeners {
        assert_eq!(listener.next_event().text(), "before");
    }
    let large = vec![b'x'; 2_000];
    let origin = [("Origin", "https://app.example.com")];
    assert_eq!(server.process.post("/large", &[], &large).status(), 201);
    let refused = server.process.post("/chat", &origin, b"x");
    assert_eq!(refused.refusal(), "forbidden_origin");

    server.reload(
        "[limits]\nevent_bytes = \"1 KiB\"\n[page]\nenabled = false\n[log]\nlevel = \"debug\"\n\
         [[channels]]\npattern = \"chat\"\nmax_events = 2\n",
        "reload: channels[chat].max_events: (none) → 2",
    );
    let log = server.process.log();
    for line in [
        "limits.event_bytes: 1 MiB → 1 KiB",
        "page.enabled: auto → false",
        "log.level: info → debug",
    ] {
        assert!(log.contains(&format!("reload: {line}")), "{line} in {log}");
    }
    let refused = server.process.post("/large", &[], &large);
    assert_eq!(refused.refusal(), "too_large");
    for text in ["after", "and", "again"] {
        server.process.publish("chat", text);
        for listener in &mut listeners {
            assert_eq!(listener.next_event().text(), text);
        }
    }
    let mut back = server
        .process
        .listen(Way::Sse, &format!("/chat?after={first}"));
    assert_eq!(back.next_gap().reason, "retention");
    assert_eq!(back.texts(2), ["and", "again"]);
    server.process.await_log(log.len(), "DEBUG fourcast");

    socket.operate(json!({"op": "publish", "data": "x".repeat(2_000)}));
    assert_eq!(socket.close_code(), Some(1009), "on an open WebSocket too");

    let more = "origins = [\"https://app.example.com\"]\n";
    server.write(&(more.to_owned() + ALWAYS));
    server.reread("reload: origins: [] → [https://app.example.com]");
    let taken = server.process.post("/large", &origin, &large);
    assert_eq!(taken.status(), 201, "what stands there no more is as ever");
    server.process.publish("chat", "still here");
    for listener in &mut listeners {
        assert_eq!(listener.next_event().text(), "still here");
    }
    server.process.stop();
}

#[test]
fn retention_takes_what_is_beyond_it_within_moments() {
    let server = Server::start("reload-retention", "");
    let first = server.process.publish("chat", "0");
    (1..10).for_each(|n| drop(server.process.publish("chat", &n.to_string())));
    server.reload(
        "[[channels]]\npattern = \"*\"\nmax_events = 3\n",
        "reload: channels: [] → [*]",
    );
    let end = deadline();
    loop {
        let answer = server.process.get(&format!("/chat?after={first}")).json();
        let events = answer["events"].as_array().map(Vec::len);
        if events == Some(3) {
            assert_eq!(answer["gap"]["reason"], "retention");
            break;
        }
        assert!(Instant::now() < end, "{answer}");
        server.process.connect().pause();
    }
    server.process.stop();
}

#[test]
fn a_file_that_is_wrong_or_gone_changes_nothing_and_is_told() {
    let server = Server::start("reload-wrong", "[limits]\nevent_bytes = \"1 KiB\"\n");
    let mut listeners = server.listeners("/chat?after=now");
    let wrong = "[limits]\nevent_bytes = \"2 KiB\"\nconections = 5\nfields = \"many\"\n";
    server.reload(
        wrong,
        "limits.fields: found \"many\"; expected a whole number",
    );
    let log = server.process.log();
    for line in [
        "ERROR fourcast::server::reloader: reload: the configuration cannot be used, and nothing has changed",
        "config.toml:10:1: limits.conections: unknown key; did you mean \"connections\"?",
        "config.toml:11:10: limits.fields: found",
    ] {
        assert!(log.contains(line), "{line} in {log}");
    }
    fs::remove_file(server.home.path().join("config.toml")).expect("it goes");
    server.reread("there is no such file");
    let large = vec![b'x'; 1_500];
    assert_eq!(server.process.post("/chat", &[], &large).status(), 413);
    server.process.publish("chat", "still here");
    for listener in &mut listeners {
        assert_eq!(listener.next_event().text(), "still here");
    }
    server.reload("[limits]\nevent_bytes = \"2 KiB\"\n", "1 KiB → 2 KiB");
    assert_eq!(server.process.post("/large", &[], &large).status(), 201);
    server.process.stop();
}

#[test]
fn what_waits_for_a_restart_says_so_and_stays() {
    let server = Server::start("reload-kept", "");
    let text = ALWAYS.replace("listen = \"127.0.0.1:0\"", "listen = \"127.0.0.1:1\"");
    let text = text.replacen("127.0.0.1:1", "127.0.0.1:2", 1);
    server.write(&text.replace("\"data\"", "\"elsewhere\"\nsync = \"never\""));
    server.reread("reload: admin.listen: stays 127.0.0.1:0 until a restart, then 127.0.0.1:1");
    let log = server.process.log();
    for line in [
        "INFO  fourcast::server::reload: reload: journal.sync: always → never",
        "WARN  fourcast::server::reload: reload: listen: stays 127.0.0.1:0 until a restart, then 127.0.0.1:2",
        "reload-kept/elsewhere",
    ] {
        assert!(log.contains(line), "{line} in {log}");
    }
    assert!(!server.home.path().join("elsewhere").exists());
    server.process.assert_serves();
    server.reload("", "journal.sync: never → always");
    server.reload("", "reload: nothing has changed");
    server.process.stop();
}

#[test]
fn a_server_at_a_terminal_ends_with_it() {
    let home = Home::new("reload-terminal");
    fs::write(home.path().join("config.toml"), ALWAYS).expect("a file");
    let terminal =
        openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&terminal)
        .and_then(|()| unlockpt(&terminal))
        .expect("its other end");
    let name = ptsname(&terminal, Vec::new()).expect("its name");
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let end = open(name, flags, Mode::empty()).expect("its other end");
    let mut process = Process::start_at(&home, end);
    let seen = process.log().len();
    process.reload();
    process.await_log(seen, "nothing");
    drop(terminal);
    process.reload();
    let status = process.fate().expect("it ends");
    assert!(status.success(), "{status}: {}", process.log());
}

#[test]
fn many_reloads_beside_publishers_lose_nothing() {
    const EVENTS: usize = 200;
    const RELOADS: usize = 20;
    const LARGER: &str =
        "[[channels]]\npattern = \"**\"\nmax_events = 5000\n[limits]\nfields = 50\n";
    let server = Server::start("reload-many", "");
    let mut listeners = server.listeners("/chat?after=now");
    let expected: Vec<String> = (0..EVENTS).map(|n| n.to_string()).collect();
    thread::scope(|scope| {
        scope.spawn(|| {
            for text in &expected {
                server.process.publish("chat", text);
            }
        });
        for n in 0..RELOADS {
            let (file, what) = match n % 3 {
                0 => (LARGER, "reload: limits.fields: 100 → 50"),
                1 => ("", "reload: limits.fields: 50 → 100"),
                _ => ("[limit]\n", "reload: the configuration cannot be used"),
            };
            server.reload(file, what);
        }
        for listener in &mut listeners {
            assert_eq!(listener.texts(EVENTS), expected);
        }
    });
    server.process.stop();
}

#[test]
fn a_reload_while_the_server_stops_takes_nothing_of_what_was_kept() {
    let server = Server::start("reload-stop", "");
    let first = server.process.publish("chat", "0");
    (1..10).for_each(|n| drop(server.process.publish("chat", &n.to_string())));
    // Half a request holds the server up.
    let mut half = server.process.connect();
    let bytes = request("POST", "/chat", &[("Expect", "100-continue")], b"whole");
    half.send(&bytes[..bytes.len() - 5]);
    let go_on = half.take_through(b"\r\n\r\n", deadline());
    assert!(go_on.expect("a word").starts_with(b"HTTP/1.1 100 "));
    let admin = server.process.admin.expect("an operator's port");
    let mut live = server.process.listen(Way::Sse, "/chat?after=now");
    let Server { process, home } = server;
    let stopping = thread::spawn(move || process.stop());
    // It is said when the journal has been closed.
    assert!(matches!(live.next(), Told::Bye(_)));
    let fewer = "[[channels]]\npattern = \"*\"\nmax_events = 3\n";
    let path = home.path().join("config.toml");
    fs::write(&path, ALWAYS.to_owned() + fewer).expect("a file");
    exchange(admin, "POST", "/-/reload", &[], b"");
    // It is done also where it takes longer than its answer waits.
    let end = deadline();
    while !exchange(admin, "GET", "/-/config", &[], b"")
        .text()
        .contains("max_events = 3")
    {
        assert!(Instant::now() < end, "it does not count");
    }
    drop((half, live));
    stopping.join().expect("it stops");
    fs::write(&path, ALWAYS).expect("a file");
    let process = Process::start(&home);
    let kept = process.get(&format!("/chat?after={first}")).json();
    assert_eq!(kept["events"].as_array().map(Vec::len), Some(9), "{kept}");
    process.stop();
}

#[test]
fn a_level_that_the_environment_has_is_the_one_that_counts_and_is_told() {
    let home = Home::new("reload-variable");
    let file = |level| {
        let text = format!("{ALWAYS}[log]\nlevel = \"{level}\"\n");
        fs::write(home.path().join("config.toml"), text).expect("a file");
    };
    file("error");
    let mut command = home.serve();
    command.env("RUST_LOG", "debug");
    let process = Process::try_start_as(&home, command).expect("a server");
    let admin = process.admin.expect("an operator's port");
    file("warn");
    let answer = exchange(admin, "POST", "/-/reload", &[], b"");
    assert_eq!(answer.json(), json!({"changed": [], "kept": []}));
    let shown = exchange(admin, "GET", "/-/config", &[], b"");
    assert!(shown.text().contains("\nlevel = \"debug\"\n"));
    process.await_log(
        0,
        "INFO  fourcast::server::reload: reload: nothing has changed",
    );
    process.stop();
}

#[test]
fn the_operators_port_reloads_and_answers_what_came_of_it() {
    let server = Server::start("reload-port", "");
    server.write(
        &(ALWAYS.to_owned()
            + &format!("key = \"{KEY}\"\n[limits]\nfields = 50\n[fanout]\nshards = 3\n")),
    );
    let answer = server.ask("POST", "/-/reload", &[]);
    assert_eq!(answer.status(), 200);
    let change = |key, before, after| json!({"key": key, "before": before, "after": after});
    let expected: Value = json!({
        "changed": [
            change("admin.key", "(none)", "********"),
            change("limits.fields", "100", "50"),
        ],
        "kept": [change("fanout.shards", "auto", "3")],
    });
    assert_eq!(answer.json(), expected);
    assert!(!server.process.log().contains(KEY));

    server.write(&format!(
        "{ALWAYS}key = \"{KEY}\"\n[limits]\nfields = 5\nhead_bytes = 1\n"
    ));
    let refused = server.ask("POST", "/-/reload", &[]);
    assert_eq!(refused.refusal(), "unauthorized", "the new key counts");
    let bearer = format!("Bearer {KEY}");
    let refused = server.ask("POST", "/-/reload", &[("Authorization", &bearer)]);
    assert_eq!((refused.status(), &*refused.refusal()), (422, "bad_config"));
    let detail = refused.json()["detail"].as_str().map(str::to_owned);
    let detail = detail.expect("a detail");
    let lines: Vec<&str> = detail.lines().collect();
    assert_eq!(lines.len(), 2, "{detail}");
    assert!(
        lines[0].contains("config.toml:10:10: limits.fields: found 5; expected"),
        "{detail}"
    );
    assert!(
        lines[1].contains("config.toml:11:14: limits.head_bytes: found 1"),
        "{detail}"
    );
    let shown = server.ask("GET", "/-/config", &[("Authorization", &bearer)]);
    assert!(shown.text().contains("\nfields = 50\n"), "{}", shown.text());
    server.process.stop();
}

/// A server within this program whose configuration is on a disk that hangs once it is read: whoever holds the sender
/// hears of each read, and lets it go on.
fn on_a_hanging_disk() -> (Fixture, mpsc::Receiver<()>, mpsc::Sender<Config>) {
    let server = Fixture::start(|config| {
        config.admin.listen = Some(([127, 0, 0, 1], 0).into());
    });
    let (begun, is_read) = mpsc::channel();
    let (disk, hangs) = mpsc::channel();
    let hangs = Mutex::new((begun, hangs));
    server.reread_from(move || {
        let (begun, disk) = &*hangs.lock().expect("nobody panics here");
        let _ = begun.send(());
        Ok(disk.recv().unwrap_or_default())
    });
    (server, is_read, disk)
}

fn with_fields(fields: usize) -> Config {
    let mut config = Config::default();
    config.limits.fields = fields;
    config
}

#[test]
fn while_a_reload_hangs_the_operators_port_answers_and_the_server_stops() {
    let (server, is_read, disk) = on_a_hanging_disk();
    let admin = server.admin();
    let post = move || exchange(admin, "POST", "/-/reload", &[], b"");
    let (tell, told) = mpsc::channel();
    for _ in 0..4 {
        let tell = tell.clone();
        thread::spawn(move || tell.send(post()));
    }
    is_read.recv_timeout(PATIENCE).expect("it begins");
    for _ in 0..4 {
        assert_eq!(exchange(admin, "GET", "/-/healthy", &[], b"").status(), 200);
    }
    for _ in 0..4 {
        let refused = told.recv_timeout(PATIENCE).expect("an answer");
        assert_eq!((refused.status(), &*refused.refusal()), (503, "reloading"));
        assert!(refused.head.field("Retry-After").is_some());
    }
    assert_eq!(post().refusal(), "reloading", "it hangs still");
    let stopped = server.stop(Leaving::Away);
    let end = deadline();
    while !stopped.is_finished() {
        assert!(Instant::now() < end, "it waits for a reload that hangs");
        thread::yield_now();
    }
    assert!(is_read.try_recv().is_err(), "and read nothing again");
    drop(disk);
}

#[test]
fn of_two_reloads_at_once_what_was_read_last_counts() {
    let (server, is_read, disk) = on_a_hanging_disk();
    let admin = server.admin();
    let shown = || exchange(admin, "GET", "/-/config", &[], b"");
    server.reread();
    is_read.recv_timeout(PATIENCE).expect("it begins");
    server.reread();
    server.reread();
    assert!(is_read.try_recv().is_err(), "one after the other");
    disk.send(with_fields(50)).expect("it waits");
    is_read.recv_timeout(PATIENCE).expect("the next one begins");
    assert!(shown().text().contains("\nfields = 50\n"));
    disk.send(with_fields(60)).expect("it waits");
    let end = deadline();
    while !shown().text().contains("\nfields = 60\n") {
        assert!(Instant::now() < end, "{}", shown().text());
    }
    assert!(
        is_read.try_recv().is_err(),
        "those who asked meanwhile are one"
    );
}

#[test]
fn a_server_within_a_program_is_reloaded_by_it_alone() {
    let server = Fixture::start(|config| {
        config.admin.listen = Some(([127, 0, 0, 1], 0).into());
    });
    let ask = || exchange(server.admin(), "POST", "/-/reload", &[], b"");
    assert_eq!(ask().refusal(), "not_found");
    let next = fourcast::Config::from_toml("[heartbeat]\ninterval = \"1m\"");
    server.reread_from(move || -> Result<_, ConfigError> { next.clone() });
    let mut before = Listener::open(Way::Ndjson, &server, "/chat");
    assert_eq!(ask().status(), 200);
    let after = Listener::open(Way::Ndjson, &server, "/chat");
    for (listener, heartbeat) in [(&before, 25), (&after, 60)] {
        let welcome = listener.welcome.as_ref().expect("a welcome");
        let told = welcome["heartbeat_ms"].as_u64().map(Duration::from_millis);
        assert_eq!(told, Some(Duration::from_secs(heartbeat)));
    }
    server.publish("chat", "still here");
    assert_eq!(before.next_event().text(), "still here");
}
