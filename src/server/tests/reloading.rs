//! What another configuration does to a running server, seen from inside.

use std::fs;

use super::*;
use crate::delivery::outbox::Outbox;
use crate::delivery::{Opening, sse};
use crate::upkeep::{Kept, Source};

/// What the server goes by now, changed.
fn changed(server: &Server, change: impl FnOnce(&mut Config)) -> Config {
    let mut config = (*server.context.config()).clone();
    change(&mut config);
    config
}

/// A client to whom the server streams by `Accept`, once it says so.
fn stream(server: &Server, accept: &str) -> TcpStream {
    let mut client = connect(server.address().unwrap());
    let head = format!("GET /chat HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n");
    client.write_all(head.as_bytes()).unwrap();
    let mut begun = Vec::new();
    while !String::from_utf8_lossy(&begun).contains("heartbeat_ms") {
        let mut page = [0; 1_024];
        let count = client.read(&mut page).unwrap();
        assert!(count > 0, "the stream has ended");
        begun.extend_from_slice(&page[..count]);
    }
    client
}

#[test]
fn streams_let_go_of_a_configuration_that_was_replaced() {
    let server = server(10);
    let _streams = ["text/event-stream", "application/x-ndjson"].map(|way| stream(&server, way));
    let old = Arc::downgrade(&server.context.config());
    let config = changed(&server, |config| config.limits.fields = 50);
    server.reload(config).unwrap();
    wait_until("nobody holds it", || old.upgrade().is_none());
    assert_eq!(server.context.config().limits.fields, 50);
}

#[test]
fn fewer_connections_count_for_those_that_come_and_cut_nobody() {
    let server = server(3);
    let clients = [(), (), ()].map(|()| server.wait("/chat", ""));
    let config = changed(&server, |config| config.limits.connections = 2);
    server.reload(config).unwrap();
    server.say("chat");
    for mut client in clients {
        let mut answer = [0; 15];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    }
    wait_until("all have gone", || {
        server.permits.wait_for_all(Instant::now()) == 0
    });
    let taken = [(), (), ()].map(|()| server.permits.try_take());
    assert!(matches!(taken, [Some(_), Some(_), None]));
    let config = changed(&server, |config| config.limits.connections = 9);
    server.reload(config).unwrap();
    assert_eq!(server.context.config().limits.connections, 3);
    assert!(server.permits.try_take().is_some() && taken.len() == 3);
}

#[test]
fn a_stream_keeps_the_heartbeat_that_it_was_told() {
    let server = server(10);
    let beat = |seconds| {
        let interval = Duration::from_secs(seconds);
        let config = changed(&server, |config| config.heartbeat.interval = interval);
        server.reload(config).unwrap()
    };
    let told: Vec<String> = beat(7).changed.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["heartbeat.interval: 25s → 7s"]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _client = connect(listener.local_addr().unwrap());
    let (socket, _) = listener.accept().unwrap();
    let stream = Arc::new(Stream::new(socket, None).unwrap());
    let context = server.context.clone();
    let outbox = Outbox::new(context, stream, &sse::JSON, Opening::default(), anyone());
    beat(9);
    assert_eq!(outbox.heartbeat(), Duration::from_secs(7));
}

#[test]
fn a_file_that_is_followed_counts_soon_after_it_has_changed() {
    let server = server(1);
    let path = std::env::temp_dir().join(format!("fourcast-followed-{}", std::process::id()));
    fs::write(&path, "old").unwrap();
    let source = Source::new(vec![path.clone()], |contents| Ok(contents.concat()));
    let kept = Arc::new(Kept::read("a text", source).unwrap());
    server.context.upkeep.add(kept.clone());
    fs::write(&path, "new").unwrap();
    wait_until("it is read", || *kept.get() == b"new");
    fs::remove_file(&path).unwrap();
}
