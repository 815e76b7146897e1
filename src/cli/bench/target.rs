//! The server that is measured: one that runs somewhere, or one that is started for the run.

use super::Failure;
use crate::cli::load::own_journal::OwnJournal;
use crate::cli::load::own_server::OwnServer;
use crate::cli::load::process::Processes;
use crate::cli::load::room::start_own;
use crate::client::{Client, Error};

/// The channel on a server that is started for the run.
const CHANNEL: &str = "bench";
/// Connections that a server is given beyond those that are counted.
const SPARE: usize = 16;

/// A server, and the channel on it.
pub(super) struct Target {
    /// Where everybody subscribes.
    pub(super) subscribe: Place,
    /// Where everybody publishes.
    pub(super) publish: Place,
    /// The server's processes, where they are known.
    pub(super) processes: Option<Processes>,
    _own: Option<OwnServer>,
}

/// A channel, and the way to it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The server's URL.
    pub(super) server: String,
    /// A client of the server.
    pub(super) client: Client,
    /// The channel.
    pub(super) channel: String,
}

/// A server that runs already.
pub(super) struct Running<'a> {
    /// Where it is subscribed to.
    pub(super) url: &'a ChannelUrl,
    /// Where it is published to; `None`: at the same URL.
    pub(super) publish_to: Option<&'a ChannelUrl>,
    /// Its processes; none where they are not known.
    pub(super) pids: &'a [u32],
}

/// A URL of a channel, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChannelUrl {
    server: String,
    channel: String,
}

impl Target {
    /// The server that runs already, or one of its own for so many connections, with this journal. Blocks
    /// until that one listens.
    pub(super) fn find(
        running: Option<Running<'_>>,
        headers: &[(String, String)],
        connections: usize,
        journal: OwnJournal,
    ) -> Result<Self, Failure> {
        match running {
            Some(running) => Self::of_running(&running, headers),
            None => {
                let connections = connections.saturating_add(SPARE);
                Self::of_own(start_own(connections, journal)?, headers)
            }
        }
    }

    fn of_running(running: &Running<'_>, headers: &[(String, String)]) -> Result<Self, Failure> {
        let subscribe = Place::new(running.url, headers)?;
        let publish = match running.publish_to {
            Some(url) => Place::new(url, headers)?,
            None => subscribe.clone(),
        };
        Ok(Target {
            subscribe,
            publish,
            processes: processes(running.pids)?,
            _own: None,
        })
    }

    fn of_own(own: OwnServer, headers: &[(String, String)]) -> Result<Self, Failure> {
        let url = ChannelUrl {
            server: format!("http://{}", own.address),
            channel: CHANNEL.to_owned(),
        };
        let place = Place::new(&url, headers)?;
        Ok(Target {
            subscribe: place.clone(),
            publish: place,
            processes: processes(&[own.pid()])?,
            _own: Some(own),
        })
    }
}

impl Place {
    fn new(url: &ChannelUrl, headers: &[(String, String)]) -> Result<Self, Failure> {
        let builder = headers
            .iter()
            .cloned()
            .fold(Client::builder(&url.server), |builder, (name, value)| {
                builder.header(name, value)
            });
        Ok(Place {
            server: url.server.clone(),
            client: builder.build()?,
            channel: url.channel.clone(),
        })
    }

    /// What a client's trouble with it means for a shell.
    pub(super) fn failure(&self, error: Error) -> Failure {
        match Failure::from(error) {
            Failure::Unavailable(why) => {
                Failure::Unavailable(format!("cannot reach {}: {why}", self.server))
            }
            failure => failure,
        }
    }
}

/// Processes of this machine, where that can be told; `None` for no numbers.
fn processes(pids: &[u32]) -> Result<Option<Processes>, Failure> {
    let processes = Processes::new(pids);
    match processes.unknown() {
        Some(pid) if cfg!(target_os = "linux") => Err(Failure::Usage(format!(
            "there is no process {pid} on this machine, or it may not be looked into"
        ))),
        _ => Ok((!pids.is_empty()).then_some(processes)),
    }
}

impl ChannelUrl {
    /// Reads `http://host[:port]/channel`.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let host = url.find("://").map_or(0, |at| at + 3);
        let path = url.get(host..).and_then(|rest| rest.find('/'));
        let (server, channel) = url.split_at(path.map_or(url.len(), |at| host + at));
        let channel = channel.trim_matches('/');
        if channel.is_empty() {
            return Err(
                "it names no channel; a URL such as http://127.0.0.1:8080/bench".to_owned(),
            );
        }
        // The parts are checked by the client.
        Ok(ChannelUrl {
            server: server.to_owned(),
            channel: channel.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_server_and_a_channel() {
        for (url, server, channel) in [
            (
                "http://127.0.0.1:8080/bench",
                "http://127.0.0.1:8080",
                "bench",
            ),
            ("http://[::1]:1/rooms/42/", "http://[::1]:1", "rooms/42"),
        ] {
            let parsed = ChannelUrl::parse(url).unwrap();
            assert_eq!((&*parsed.server, &*parsed.channel), (server, channel));
        }
        for url in ["http://127.0.0.1:8080", "http://127.0.0.1:8080/", ""] {
            assert!(ChannelUrl::parse(url).is_err(), "{url}");
        }
    }
}
