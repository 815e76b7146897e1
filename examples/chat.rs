//! A chat in a terminal: one WebSocket that carries what you type and what the others say.
//!
//! `cargo run --example chat [NAME] [URL] [CHANNEL]`, twice, beside a running `fourcast`.

use std::io::BufRead;
use std::time::{Duration, Instant};

use fourcast::client::websocket::Sender;
use fourcast::client::{Client, Error, Incoming, Message, Start};

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or("somebody".to_owned());
    let url = args.next().unwrap_or("http://127.0.0.1:8080".to_owned());
    let channel = args.next().unwrap_or("chat".to_owned());

    let mut socket = Client::new(&url)?.websocket_to(&channel, Start::Last(10))?;
    let sender = socket.sender();
    std::thread::spawn(move || say_what_is_typed(&sender, &name, &channel));

    loop {
        // Pings are answered while this waits, so it is asked again when nothing has come.
        match socket.next_before(Instant::now() + Duration::from_secs(60)) {
            Ok(Some(Incoming::Event(event))) => {
                println!("{}", event.text().unwrap_or_default());
            }
            Ok(Some(Incoming::Refused { problem, .. })) => println!("({problem})"),
            Ok(_) => {}
            // The answer to the close below.
            Err(Error::Closed(close)) if close.code == 1000 => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Publishes each line under the speaker's name; says goodbye at the end of the input.
fn say_what_is_typed(sender: &Sender, name: &str, channel: &str) {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let message = Message::text(channel, format!("{name}: {line}"));
        if let Err(error) = sender.publish(&message) {
            println!("({error})");
            return;
        }
    }
    // If the connection is gone, the other half has noticed.
    let _ = sender.close();
}
