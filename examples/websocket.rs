//! Receives events over a WebSocket.
//!
//! `cargo run --example websocket [URL] [CHANNEL]`, beside a running `fourcast`.
//!
//! For a connection that publishes as well, see `chat.rs`.

use fourcast::client::{Client, Error, Item, Start, Transport};

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let url = args.next().unwrap_or("http://127.0.0.1:8080".to_owned());
    let channel = args.next().unwrap_or("chat".to_owned());

    let subscription = Client::new(&url)?
        .subscribe(&channel)
        .transport(Transport::WebSocket)
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
