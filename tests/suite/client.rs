//! The client library against servers that go away and networks that break: nothing lost, nothing
//! twice, or told.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use fourcast::Leaving;
use fourcast::client::{Builder, Client, Item, Message, Start, Subscription, Transport};

use crate::support::proxy::DroppingProxy;
use crate::support::{Fixture, Listener, PATIENCE, Way, deadline, tls};

/// One of them lets the largest answer of these tests pass; none lets all of it pass twice.
const BUDGETS: &[usize] = &[700, 1500, 40_000, 900, 4000, 600];
/// The same with what a handshake takes.
const SECURED_BUDGETS: &[usize] = &[2700, 3500, 50_000, 2900, 6000, 2600];

fn budgets() -> &'static [usize] {
    match tls::is_usual() {
        true => SECURED_BUDGETS,
        false => BUDGETS,
    }
}

fn server() -> Fixture {
    Fixture::start(|config| config.timeouts.retry = Duration::from_millis(20))
}

/// A client of the server at `address`, or behind it.
fn builder(address: SocketAddr) -> Builder {
    Client::builder(&format!("{}://{address}", tls::scheme())).authorities(tls::authorities())
}

fn client(proxy: &DroppingProxy) -> Client {
    builder(proxy.address)
        .backoff(Duration::from_millis(1), Duration::from_millis(20))
        .poll_interval(Duration::from_millis(10))
        .long_poll_wait(Duration::from_secs(1))
        .build()
        .expect("a client")
}

fn next(subscription: &mut Subscription) -> Item {
    let item = subscription.next_before(deadline());
    item.expect("no end").expect("something in time")
}

/// The text of the next event, whatever happens to the connection meanwhile.
fn next_text(subscription: &mut Subscription) -> String {
    loop {
        match next(subscription) {
            Item::Event(event) => return event.text().expect("text").into_owned(),
            Item::Gap(gap) => panic!("{gap:?}"),
            _ => {}
        }
    }
}

fn loses_nothing_and_repeats_nothing(transport: Transport) {
    const COUNT: usize = 150;
    let server = server();
    let proxy = DroppingProxy::start(server.address, budgets());
    let texts: Vec<String> = (0..COUNT).map(|n| format!("event {n}")).collect();
    let (kept, live) = texts.split_at(COUNT / 2);
    for text in kept {
        server.publish("chat", text);
    }
    let mut subscription = client(&proxy)
        .subscribe("chat,other/*")
        .transport(transport)
        .after(Start::Earliest)
        .open()
        .expect("a subscription");
    thread::scope(|scope| {
        scope.spawn(|| {
            live.iter()
                .for_each(|text| drop(server.publish("chat", text)))
        });
        for text in &texts {
            assert_eq!(&next_text(&mut subscription), text);
        }
    });
    server.publish("chat", "marker");
    assert_eq!(next_text(&mut subscription), "marker", "and nothing twice");
    assert!(
        proxy.dropped() > 1,
        "{} connections were dropped",
        proxy.dropped()
    );
}

#[test]
fn a_websocket_that_is_dropped_again_and_again_loses_nothing() {
    loses_nothing_and_repeats_nothing(Transport::WebSocket);
}

#[test]
fn an_event_stream_that_is_dropped_again_and_again_loses_nothing() {
    loses_nothing_and_repeats_nothing(Transport::Sse);
}

#[test]
fn a_stream_of_lines_that_is_dropped_again_and_again_loses_nothing() {
    loses_nothing_and_repeats_nothing(Transport::Ndjson);
}

#[test]
fn a_long_poll_that_is_dropped_again_and_again_loses_nothing() {
    loses_nothing_and_repeats_nothing(Transport::LongPoll);
}

#[test]
fn a_poll_that_is_dropped_again_and_again_loses_nothing() {
    loses_nothing_and_repeats_nothing(Transport::Poll);
}

#[test]
fn a_subscription_changes_its_way_where_it_stands() {
    let server = server();
    let proxy = DroppingProxy::start(server.address, budgets());
    let mut subscription = client(&proxy)
        .subscribe("chat")
        .transport(Transport::Poll)
        .after(Start::Earliest)
        .open()
        .expect("a subscription");
    for round in 0..3 {
        for transport in Transport::ALL {
            let text = format!("{round} by {transport:?}");
            server.publish("chat", &text);
            server.publish("chat", "and another");
            subscription.switch(transport);
            assert_eq!(next_text(&mut subscription), text);
            assert_eq!(next_text(&mut subscription), "and another");
        }
    }
}

#[test]
fn a_journal_that_was_lost_is_told_on_every_way() {
    for transport in Transport::ALL {
        let first = server();
        let proxy = DroppingProxy::start(first.address, &[usize::MAX]);
        let mut subscription = client(&proxy)
            .subscribe("chat")
            .transport(transport)
            .after(Start::Earliest)
            .open()
            .expect("a subscription");
        first.publish("chat", "before");
        assert_eq!(next_text(&mut subscription), "before");
        let second = server();
        proxy.retarget(second.address);
        first.stop(Leaving::Restart).join().expect("a stop");
        let gap = loop {
            match next(&mut subscription) {
                Item::Gap(gap) => break gap,
                Item::Event(event) => panic!("{event:?} by {transport:?}"),
                _ => {}
            }
        };
        assert_eq!(gap.reason, "epoch", "by {transport:?}");
        second.publish("chat", "after");
        assert_eq!(next_text(&mut subscription), "after", "by {transport:?}");
    }
}

#[test]
fn a_message_whose_answer_was_lost_is_published_once() {
    let server = server();
    let proxy = DroppingProxy::start(server.address, &[10, 10_000]);
    let mut listener = Listener::open(Way::Sse, &server, "/chat");
    let message = Message::text("chat", "paid").random_idempotency_key();
    let receipt = client(&proxy).publish(&message).expect("a receipt");
    assert_eq!(listener.next_event().id, receipt.id.to_string());
    server.publish("chat", "marker");
    assert_eq!(listener.texts(1), ["marker"]);
    assert_eq!(proxy.dropped(), 1);
}

#[test]
fn a_subscription_is_stopped_from_another_thread() {
    let server = server();
    for transport in Transport::ALL {
        let client = builder(server.address).build();
        let mut subscription = client
            .expect("a client")
            .subscribe("quiet")
            .transport(transport)
            .open()
            .expect("a subscription");
        let stopper = subscription.stopper();
        let begun = Instant::now();
        let waiting =
            thread::spawn(
                move || {
                    while let Ok(Some(_)) = subscription.next_before(deadline()) {}
                },
            );
        stopper.stop();
        waiting.join().expect("it ends");
        assert!(begun.elapsed() < PATIENCE, "by {transport:?}");
    }
}

#[test]
fn a_final_refusal_ends_a_subscription_and_says_why() {
    let server = server();
    for transport in Transport::ALL {
        let client = builder(server.address)
            .header("Origin", "https://evil.example")
            .build()
            .expect("a client");
        let opened = client.subscribe("chat").transport(transport).open();
        // Whoever polls asks for the first time when the first thing is waited for.
        let error = opened.and_then(|mut s| s.next_before(deadline())).err();
        let error = error.unwrap_or_else(|| panic!("{transport:?} is let in"));
        assert!(
            error.to_string().contains("rigin"),
            "{transport:?}: {error}"
        );
    }
}
