//! Fourcast carries the same events to web clients over polling, long polling, Server-Sent Events and
//! WebSocket.
//!
//! # The map
//!
//! An event's way, from the publisher's socket to the subscriber's, is the order of the folders:
//!
//! ```text
//! POST ─▶ server ─▶ http ─▶ exchange ─▶ hub::publish ─▶ journal   numbers it and keeps it
//!                                            ┌──────────────┘
//!                                        hub::tail                 the last events, rendered once
//!    poll, long poll ◀───────────────────────┤
//!    SSE, NDJSON, WebSocket ◀── hub::fanout ─┘   ◀── delivery::catch_up, for those who are behind
//! ```
//!
//! **A publisher's walk.** [`server`]: a socket becomes a thread. [`http`]: bytes become a request.
//! [`exchange`]: the request finds its way, here to a publication, if [`access`] lets it. [`hub`]: the [`journal`] numbers and keeps
//! it; what it committed enters the tail, in order, and the shards are told.
//!
//! **A subscriber's walk.** The same up to [`exchange`], which finds out the way; then [`delivery`]: the
//! connection's thread becomes a poll, a long poll, a stream or a WebSocket. What was missed is read page by
//! page; then the subscriber joins a shard at an exact place, and live events are written by the shard. Who
//! falls behind is handed to a fixed number of threads that catch it up.
//!
//! What holds everywhere:
//! - One place gives numbers, so every subscriber of a channel sees the same order.
//! - One feeder at a time takes events for a subscriber and moves its place.
//! - Nobody's delivery waits for another's socket: shards and catch-up only send what fits.
//! - The history is the queue: nothing piles up for one client, and what is lost is told as a gap.
//! - No lock is held across a call that may block, and every wait has a deadline.
//!
//! [`admin`] is the operator's port ([`operator`] says what it tells): it looks at all this from the side, on threads of its own.
//!
//! [`tls`] is what both ends encrypt by, and [`upkeep`] follows the files of keys and certificates. [`event`], [`metrics`],
//! [`network`], [`peer`], [`refusal`], [`roster`] and [`shutdown`] are leaves that all others use; [`config`] turns a file into
//! values that cannot be wrong. The pure files ([`http`], `hub::channel`, `hub::selector`, `hub::draft`,
//! `exchange::route`, `delivery::websocket::wire`, [`event`], [`config`]) touch no socket, thread or lock.
//!
//! # As a library
//!
//! A program that publishes without HTTP starts a server of its own:
//!
//! ```no_run
//! use fourcast::{Config, Data, Draft, Leaving, Server};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // Events are kept on disk, in ./fourcast-data, unless journal.kind says otherwise; the operator's port
//!     // is 127.0.0.1:8081, unless admin.listen does.
//!     let server = Server::start(Config::default())?;
//!     for address in server.addresses() {
//!         println!("listening on {address}");
//!     }
//!     server.publish(Draft::new("chat".parse()?, Data::json(r#"{"text":"hello"}"#)?))?;
//!     server.stop(Leaving::Away);
//!     Ok(())
//! }
//! ```
//!
//! [`client`] is the other end, and [`wire`] is what goes between them.

pub mod access;
pub mod admin;
pub mod cli;
pub mod client;
pub mod config;
pub mod delivery;
pub mod event;
pub mod exchange;
pub mod http;
pub mod hub;
pub mod journal;
pub mod metrics;
#[doc = include_str!("operator.md")]
pub mod operator {}
pub mod network;
pub mod peer;
pub mod refusal;
pub mod roster;
mod seldom;
pub mod server;
pub mod shutdown;
pub mod tls;
pub mod upkeep;
pub mod web;
#[doc = include_str!("wire.md")]
pub mod wire {}

pub use config::Config;
pub use event::{Data, Event, EventType};
pub use hub::channel::ChannelName;
pub use journal::{Draft, Receipt};
pub use refusal::Refusal;
pub use server::reloader::ReloadError;
pub use server::{Server, StartError};
pub use shutdown::Leaving;
