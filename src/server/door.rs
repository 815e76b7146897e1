//! The data port's door: a permit and a thread for whoever comes in, the doormen for whom there is none.

use std::io;
use std::sync::Arc;

use super::connection::Connection;
use super::crew::Crew;
use super::doorman::Doormen;
use super::listener::Entrance;
use super::memory;
use super::permit::{Permit, Permits};
use super::socket::Socket;
use super::stream::Stream;
use crate::delivery::Context;
use crate::peer::Peer;
use crate::refusal::{Kind, Refusal};
use crate::tls::Identity;
use crate::upkeep::Kept;

pub(super) struct Door {
    pub(super) context: Arc<Context>,
    pub(super) permits: Permits,
    pub(super) doormen: Arc<Doormen>,
    pub(super) crew: Crew,
    /// What whoever comes in is shown, where TLS is spoken.
    pub(super) identity: Option<Arc<Kept<Identity>>>,
}

impl Entrance for Door {
    fn admit(&self, socket: Socket) -> io::Result<()> {
        // Fails when the peer has gone already.
        let Ok(peer) = socket.peer() else {
            return Ok(());
        };
        let (permit, refusal) = match self.permit(peer) {
            Ok(permit) => (Some(permit), None),
            Err(refusal) => (None, Some(refusal)),
        };
        let Ok(stream) = Stream::new(socket, permit) else {
            return Ok(());
        };
        let stream = stream.showing(self.identity.as_ref().map(|kept| kept.get()));
        if let Some(refusal) = refusal {
            self.doormen.refuse(stream, refusal);
            return Ok(());
        }
        self.context.hub.metrics().accepted.count();
        let (context, doormen) = (self.context.clone(), self.doormen.clone());
        let connection = Connection::new(context, doormen, Arc::new(stream));
        self.crew.serve(connection).inspect_err(|error| {
            log::error!("a connection is dropped, there is no thread to be had: {error}");
        })
    }
}

impl Door {
    /// What a connection of `peer` needs before it is given a thread: a part of the share of its address, memory, and a
    /// place. Of a proxy that says whom it brings, it is whoever that is who is counted, as soon as it is known.
    fn permit(&self, peer: Peer) -> Result<Permit, Refusal> {
        let config = self.context.config();
        let address = peer.ip().filter(|_| !config.proxies.bring(peer));
        let share = self.context.shares.connection(&config.limits, address)?;
        let bytes = match self.identity {
            None => memory::CONNECTION,
            Some(_) => memory::CONNECTION + memory::SESSION,
        };
        let memory = self.context.memory.reserve(bytes)?;
        let permit = self.permits.try_take().ok_or_else(|| {
            let detail = "every connection is taken; come back later";
            Refusal::new(Kind::Overloaded, detail)
        })?;
        Ok(permit.with(share, memory))
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.crew.dismiss();
    }
}
