//! The clients of one round, connected one after another.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::listener::Listener;
use super::monitor::Monitor;
use super::reader::{Reader, Received};
use super::way::Way;
use crate::cli::Failure;
use crate::cli::load::control::Control;
use crate::cli::load::mark::Marks;
use crate::cli::load::subscriber::{Buffers, PollRequest};
use crate::client::{Client, Error};

/// Clients on which events may come from now on.
pub(super) struct Audience {
    pub(super) way: Way,
    pub(super) request: Option<PollRequest>,
    pub(super) clients: Vec<Listener>,
}

impl Audience {
    /// Connects so many clients. Blocks until each has its place in the stream of events.
    ///
    /// # Errors
    /// What keeps a client from it, and a signal.
    pub(super) fn open(
        client: &Client,
        channel: &str,
        way: Way,
        count: usize,
        monitor: &Monitor,
    ) -> Result<Self, Failure> {
        let request = way.request(client, channel)?;
        let mut buffers = Buffers::new();
        let mut clients = Vec::with_capacity(count);
        while clients.len() < count {
            monitor.heed_signals()?;
            let listener = Listener::open(client, channel, way, &mut buffers)
                .map_err(|error| cannot(&format!("connect a client by {way}"), &error))?;
            clients.push(listener);
        }
        Ok(Audience {
            way,
            request,
            clients,
        })
    }

    /// Lets a thread read and ask until every client has so many events. It gives what came of it, or why a client
    /// can go on no more; then, and when the round is over, it ends.
    pub(super) fn listen(
        self,
        events: u32,
        marks: &Marks,
        control: &Arc<Control>,
    ) -> Result<Receiver<Result<Received, Error>>, Failure> {
        let reader = Reader::new(self, events, marks.clone(), Arc::clone(control))
            .map_err(|error| cannot("watch the clients", &error))?;
        let (results, receiver) = channel();
        thread::Builder::new()
            .name("compare-reader".to_owned())
            // Whoever waits for it may have failed meanwhile.
            .spawn(move || drop(results.send(reader.read())))
            .map_err(|error| cannot("start a thread", &error))?;
        Ok(receiver)
    }
}

fn cannot(what: &str, error: &dyn std::error::Error) -> Failure {
    Failure::Failed(format!("cannot {what}: {error}"))
}
