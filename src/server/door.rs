//! The data port's door: a permit and a thread for whoever comes in, the doormen for whom there is none.

use std::io;
use std::net::IpAddr;
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

pub(super) struct Door {
    pub(super) context: Arc<Context>,
    pub(super) permits: Permits,
    pub(super) doormen: Arc<Doormen>,
    pub(super) crew: Crew,
}

impl Entrance for Door {
    fn admit(&self, socket: Socket) -> io::Result<()> {
        let address = socket.peer().ok().and_then(Peer::ip);
        let permit = match self.permit(address) {
            Ok(permit) => permit,
            Err(refusal) => {
                self.context.hub.metrics().turned_away.count();
                self.doormen.refuse(socket, address, refusal);
                return Ok(());
            }
        };
        // Fails when the peer has gone already.
        let Ok(stream) = Stream::new(socket, Some(permit)) else {
            return Ok(());
        };
        self.context.hub.metrics().accepted.count();
        let connection = Connection::new(self.context.clone(), Arc::new(stream));
        self.crew.serve(connection).inspect_err(|error| {
            log::error!("a connection is dropped, there is no thread to be had: {error}");
        })
    }
}

impl Door {
    /// What a connection from `address` needs before it is given a thread: a part of the share of its address, memory,
    /// and a place.
    fn permit(&self, address: Option<IpAddr>) -> Result<Permit, Refusal> {
        let limits = &self.context.config().limits;
        let share = self.context.shares.connection(limits, address)?;
        let memory = self.context.memory.reserve(memory::CONNECTION)?;
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
