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
use crate::cli::load::publishers::Publishers;
use crate::cli::load::subscriber::{Buffers, PollRequest};
use crate::client::{Client, Error};

/// The number in the marks of the event that is not counted.
const WARM_UP: u32 = 0;

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

    /// Has an event published that every client receives and nothing counts: whatever comes first pays for memory and
    /// threads that no later event needs. Blocks until all have it.
    ///
    /// # Errors
    /// What keeps a client from it, and a signal.
    pub(super) fn warm_up(
        &mut self,
        publishers: &mut Publishers,
        monitor: &Monitor,
    ) -> Result<(), Failure> {
        let what = format!("bring the clients a first event by {}", self.way);
        let failed = |error: Error| cannot(&what, &error);
        let marks = Marks::of_run(WARM_UP);
        // Long polls wait for it, as they do for later ones; polls would not find it yet.
        if self.way == Way::LongPoll {
            self.ask().map_err(failed)?;
        }
        publishers.warm_up(&marks).map_err(failed)?;
        if self.way != Way::LongPoll {
            self.ask().map_err(failed)?;
        }
        let mut buffers = Buffers::new();
        for client in &mut self.clients {
            monitor.heed_signals()?;
            client
                .hear_uncounted(&marks, self.way, &mut buffers)
                .map_err(failed)?;
        }
        Ok(())
    }

    /// Has all clients ask, on the ways on which they do.
    fn ask(&mut self) -> Result<(), Error> {
        let Some(request) = &self.request else {
            return Ok(());
        };
        self.clients
            .iter_mut()
            .try_for_each(|client| client.subscriber.ask(request))
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
