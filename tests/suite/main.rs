//! What Fourcast promises on the wire, tested from outside with clients of the suite's own: bytes over
//! loopback sockets, every wait with a deadline, every server on a port of its own.

mod support;

mod access;

mod walk;

mod ways;

mod http;
mod ndjson;
mod sse;
mod websocket;

mod behind;
mod schedules;
mod slow;
mod tls;

mod durable;

mod admin;

mod bench;
mod client;
mod compare;
mod hardening;
mod journal_commands;
mod lanes;
mod limits;
mod listen;
mod proxies;
mod regression;
mod reload;
mod tokens;
mod web;
