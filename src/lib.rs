//! Fourcast carries the same events to web clients over polling, long polling, Server-Sent Events and
//! WebSocket.

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

pub use config::Config;
pub use event::{Data, Event, EventType};
pub use hub::channel::ChannelName;
pub use journal::{Draft, Receipt};
pub use refusal::Refusal;
pub use server::{Server, StartError};
pub use shutdown::Leaving;
