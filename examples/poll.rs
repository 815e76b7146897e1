//! Receives events by polling: the simplest way, for devices and caches.
//!
//! `cargo run --example poll [URL] [CHANNEL]`, beside a running `fourcast`.
//!
//! Each request is `GET /chat` with the cursor of the answer before in `Last-Event-ID`, and is answered at
//! once. The first asks for everything that is retained.

use fourcast::client::{Client, Error, Item, Start, Transport};

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let url = args.next().unwrap_or("http://127.0.0.1:8080".to_owned());
    let channel = args.next().unwrap_or("chat".to_owned());

    let subscription = Client::new(&url)?
        .subscribe(&channel)
        .transport(Transport::Poll)
        .after(Start::Earliest)
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
