//! The operator's port: whether the server is well and what it does, on threads and connections of its own.
//!
//! The `gate` reads each request as the data port would, whole and within bounds, has the `guard` look at who asks, and
//! passes it, rewritten and with one of its `tickets`, over a `private_socket` to the `engine`. That is tiny_http, which
//! has none of these bounds itself and would not survive the open network. There `route` finds the endpoint, one file
//! each.
//!
//! What they tell they read from the hub and the roster, in pages and copies: nobody there waits for an operator.

mod audience;
mod channels;
mod connections;
mod console;
mod dismissal;
mod engine;
mod exposition;
mod figures;
mod gate;
mod guard;
mod health;
mod index;
mod listing;
mod private_socket;
mod process;
mod rate;
mod reload;
pub mod route;
mod running_config;
mod tickets;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::engine::Engine;
use self::gate::Gate;
use crate::delivery::Context;

/// How long whoever is being answered has when the server has stopped.
const GRACE: Duration = Duration::from_millis(500);
/// How long the threads of the gate may take to end after that, and then those of the engine.
const CUT_OFF: Duration = Duration::from_millis(500);

/// A running operator's port.
pub struct Admin {
    gate: Gate,
    engine: Arc<Engine>,
}

impl Admin {
    /// Starts to answer on `socket`.
    ///
    /// # Errors
    /// When there are no threads to be had, or no directory for the private socket.
    pub fn start(context: &Arc<Context>, socket: TcpListener) -> io::Result<Self> {
        let engine = Arc::new(Engine::start(context)?);
        let gate = Gate::start(context, &engine, socket)?;
        Ok(Admin { gate, engine })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.gate.address()
    }

    /// Ends it; whoever is being answered has half a second. Returns when its threads have ended, or a second after
    /// that: what an endpoint waits for may hang.
    pub fn stop(&self) {
        self.gate.close(Instant::now() + GRACE);
        let mut left = self.gate.wait(Instant::now() + CUT_OFF);
        self.engine.retire();
        left += self.engine.wait(Instant::now() + CUT_OFF);
        if left > 0 {
            log::warn!("{left} threads of the operator's port hang, and are not waited for");
        }
    }
}
