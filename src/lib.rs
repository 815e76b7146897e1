//! Fourcast carries the same events to web clients over polling, long polling, Server-Sent Events and
//! WebSocket.

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
