//! Receives events as Server-Sent Events, the way that a browser's `EventSource` uses.
//!
//! `cargo run --example sse [URL] [CHANNEL]`, beside a running `fourcast`.
//!
//! One request, `GET /chat` with `Accept: text/event-stream`, and one answer that never ends. After a
//! lost connection the client sends the last id it has seen, and the server goes on there.

use fourcast::client::{Client, Error, Item, Start, Transport};

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let url = args.next().unwrap_or("http://127.0.0.1:8080".to_owned());
    let channel = args.next().unwrap_or("chat".to_owned());

    let subscription = Client::new(&url)?
        .subscribe(&channel)
        .transport(Transport::Sse)
        .after(Start::Last(10))
        .open()?;
    for item in subscription {
        match item? {
            Item::Event(event) => println!("{} {}: {}", event.id, event.channel, event.data()),
            Item::Gap(gap) => println!("(events were lost: {})", gap.reason),
            Item::Disconnected { error, retry_in } => println!("({error}; back in {retry_in:?})"),
            _ => {}
        }
    }
    Ok(())
}
