//! Fourcast carries the same events to web clients over polling, long polling, Server-Sent Events and
//! WebSocket.

pub mod client;
pub mod config;
pub mod event;
pub mod hub;
pub mod refusal;
