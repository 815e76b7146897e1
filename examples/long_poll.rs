//! Receives events by long polling: plain requests, and yet no delay.
//!
//! `cargo run --example long_poll [URL] [CHANNEL]`, beside a running `fourcast`.
//!
//! Each request but the first is `GET /chat` with `Prefer: wait=30`: the server holds it until there is an
//! event, or answers that there is none when the time is over.

use fourcast::client::{Client, Error, Item, Start, Transport};

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let url = args.next().unwrap_or("http://127.0.0.1:8080".to_owned());
    let channel = args.next().unwrap_or("chat".to_owned());

    let subscription = Client::new(&url)?
        .subscribe(&channel)
        .transport(Transport::LongPoll)
        .after(Start::Now)
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
