//! Fourcast carries the same events to web clients over polling, long polling, Server-Sent Events and
//! WebSocket.
//!
//! A program that publishes without HTTP starts a server of its own:
//!
//! ```no_run
//! use fourcast::{Config, Data, Draft, Leaving, Server};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let server = Server::start(Config::default())?;
//!     println!("listening on {}", server.address());
//!     server.publish(Draft::new("chat".parse()?, Data::json(r#"{"text":"hello"}"#)?))?;
//!     server.stop(Leaving::Away);
//!     Ok(())
//! }
//! ```
//!
//! [`client`] is the other end, and [`wire`] is what goes between them.

pub mod cli;
pub mod client;
pub mod config;
pub mod delivery;
pub mod event;
pub mod exchange;
pub mod http;
pub mod hub;
pub mod journal;
pub mod refusal;
pub mod server;
pub mod shutdown;
#[doc = include_str!("wire.md")]
pub mod wire {}

pub use config::Config;
pub use event::{Data, Event, EventType};
pub use hub::channel::ChannelName;
pub use journal::{Draft, Receipt};
pub use refusal::Refusal;
pub use server::{Server, StartError};
pub use shutdown::Leaving;
