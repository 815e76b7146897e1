//! A server inside a program, which publishes from its own code without HTTP.
//!
//! `cargo run --example embedded [SECONDS]`; then, as it says, `curl -N` for what it publishes. Its events are kept
//! on disk, which is the default: in `fourcast-data` of the working directory.

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fourcast::config::Config;
use fourcast::event::Data;
use fourcast::hub::channel::ChannelName;
use fourcast::{Draft, Leaving, Server};

fn main() -> Result<(), Box<dyn Error>> {
    let seconds: usize = std::env::args().nth(1).as_deref().unwrap_or("60").parse()?;
    let mut config = Config {
        // The system chooses a port that is free.
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()],
        ..Config::default()
    };
    // The operator's port of another server may be on this machine.
    config.admin.listen = None;
    let server = Server::start(config)?;
    for address in server.addresses() {
        println!("curl -N -H 'Accept: text/event-stream' http://{address}/uptime");
    }

    let begun = Instant::now();
    let channel: ChannelName = "uptime".parse()?;
    for _ in crossbeam_channel::tick(Duration::from_secs(1))
        .iter()
        .take(seconds)
    {
        let text = format!("{} s", begun.elapsed().as_secs());
        let receipt = server.publish(Draft::new(channel.clone(), Data::Text(text.into())))?;
        println!("published {}", receipt.id);
    }

    // Tells every subscriber goodbye, and waits for them as long as the configuration says.
    server.stop(Leaving::Away);
    Ok(())
}
