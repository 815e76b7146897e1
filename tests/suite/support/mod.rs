//! Clients written from the specifications alone, and a server to point them at. Nothing here uses the
//! crate's own client or parsers, so that a mistake in those cannot hide itself.

pub mod event;
pub mod fixture;
pub mod http;
pub mod listener;
pub mod ndjson;
pub mod proxy;
pub mod sse;
pub mod tls;
pub mod websocket;
pub mod wire;

pub use event::{Event, Gap};
pub use fixture::Fixture;
pub use http::{Response, exchange, request};
pub use listener::{Listener, Told, Way};
pub use websocket::{Frame, WebSocket};
pub use wire::{PATIENCE, Wire, deadline};
