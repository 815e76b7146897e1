//! The data port's door: a permit and a thread for whoever comes in, the doormen for whom there is none.

use std::io;
use std::sync::Arc;

use super::connection::Connection;
use super::crew::Crew;
use super::doorman::Doormen;
use super::listener::Entrance;
use super::permit::Permits;
use super::socket::Socket;
use super::stream::Stream;
use crate::delivery::Context;

pub(super) struct Door {
    pub(super) context: Arc<Context>,
    pub(super) permits: Permits,
    pub(super) doormen: Arc<Doormen>,
    pub(super) crew: Crew,
}

impl Entrance for Door {
    fn admit(&self, socket: Socket) -> io::Result<()> {
        let Some(permit) = self.permits.try_take() else {
            self.context.hub.metrics().turned_away.count();
            self.doormen.refuse(socket);
            return Ok(());
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

impl Drop for Door {
    fn drop(&mut self) {
        self.crew.dismiss();
    }
}
