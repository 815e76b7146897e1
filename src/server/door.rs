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
use super::upkeep::Kept;
use crate::delivery::Context;
use crate::tls::Identity;

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
        let permit = self.permits.try_take();
        let has_permit = permit.is_some();
        // Fails when the peer has gone already.
        let Ok(stream) = Stream::new(socket, permit) else {
            return Ok(());
        };
        let stream = stream.showing(self.identity.as_ref().map(|kept| kept.get()));
        if !has_permit {
            self.context.hub.metrics().turned_away.count();
            self.doormen.refuse(stream);
            return Ok(());
        }
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
