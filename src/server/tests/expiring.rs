//! What becomes of whoever is connected when the time of what it showed is over.

use std::time::SystemTime;

use super::*;
use crate::delivery::framing::Framing;
use crate::delivery::{Listening, Query, ndjson, sse, stream as streaming, websocket};
use crate::roster::Berth;

/// A stream of channel `a` whose pass is over in a moment, and the other end of its connection.
fn begin(
    server: &Server,
    begin: impl FnOnce(Arc<Stream>, Arc<Berth>, &Query) -> Box<dyn Listening>,
) -> (TcpStream, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = connect(listener.local_addr().unwrap());
    let stream = Arc::new(Stream::new(listener.accept().unwrap().0, None).unwrap());
    let berth = Arc::new(server.context.roster.berth(stream.clone()));
    let soon = SystemTime::now() + Duration::from_millis(50);
    let query = Query {
        pass: Pass::new(Holder::Subject("ana".into()), Rights::all(), Some(soon)),
        selectors: vec!["a".parse().unwrap()],
        start: None,
        raw: false,
        limit: 1,
        before: None,
        conditional: false,
    };
    let listening = begin(stream, berth, &query);
    (client, thread::spawn(move || listening.listen()))
}

/// What comes to its end.
fn rest(client: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).unwrap();
    bytes
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn publish(server: &Server) {
    let data = crate::Data::Text("late".into());
    server
        .publish(Draft::new("a".parse().unwrap(), data))
        .unwrap();
}

#[test]
fn a_stream_says_goodbye_and_gives_nothing_more() {
    let server = server(10);
    for framing in [&sse::JSON as &'static dyn Framing, &ndjson::CHUNKED] {
        let context = server.context.clone();
        let opening = |query: &Query| streaming::find_opening(&context, query);
        let (mut client, thread) = begin(&server, |stream, berth, query| {
            let context = server.context.clone();
            streaming::begin(context, stream, berth, query, opening(query), framing)
        });
        let told = rest(&mut client);
        publish(&server);
        assert!(has(&told, br#"{"op":"bye","code":4401,"retry_ms":"#));
        assert!(!has(&told, b"late") && rest(&mut client).is_empty());
        drop(client);
        thread.join().unwrap();
    }
}

#[test]
fn a_websocket_says_goodbye_and_is_closed() {
    let server = server(10);
    let (mut client, thread) = begin(&server, |stream, berth, query| {
        let context = server.context.clone();
        let opening = streaming::find_opening(&context, query);
        websocket::begin(context, stream, berth, query, opening, Vec::new())
    });
    let told = rest(&mut client);
    publish(&server);
    assert!(has(&told, br#"{"op":"bye","code":4401,"retry_ms":"#));
    assert!(has(&told, &4401_u16.to_be_bytes()));
    assert!(!has(&told, b"late"));
    drop(client);
    thread.join().unwrap();
}

/// Somebody who always says something is not kept by that.
#[test]
fn a_websocket_that_never_falls_silent_is_closed_too() {
    let server = server(10);
    let (mut client, thread) = begin(&server, |stream, berth, query| {
        let context = server.context.clone();
        let opening = streaming::find_opening(&context, query);
        websocket::begin(context, stream, berth, query, opening, Vec::new())
    });
    let mut talker = client.try_clone().unwrap();
    let talking = thread::spawn(move || {
        // A masked pong without a payload, which no rate counts.
        while talker.write_all(&[0x8a, 0x80, 0, 0, 0, 0]).is_ok() {}
    });
    let mut told = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        told.extend_from_slice(&buffer[..count]);
    }
    assert!(has(&told, br#"{"op":"bye","code":4401,"retry_ms":"#));
    client.shutdown(std::net::Shutdown::Both).ok();
    talking.join().unwrap();
    thread.join().unwrap();
}
