//! The server that is measured: one that runs somewhere, or one that is started for the run.

use super::Failure;
use super::own_server::OwnServer;
use super::process::Process;
use crate::client::Client;
use crate::server::budget::{Budget, Setting};

/// The channel on a server that is started for the run.
const CHANNEL: &str = "bench";
/// Connections that a server is given beyond those that are counted.
const SPARE: usize = 16;

/// A server, and the channel on it.
pub(super) struct Target {
    /// The server's URL.
    pub(super) url: String,
    /// A client of the server.
    pub(super) client: Client,
    /// The channel that everybody uses.
    pub(super) channel: String,
    /// The server's process, where it is known.
    pub(super) process: Option<Process>,
    _own: Option<OwnServer>,
}

/// A URL of a channel, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChannelUrl {
    server: String,
    channel: String,
}

impl Target {
    /// The server at `url`, or one of its own for so many connections. Blocks until that one listens.
    pub(super) fn find(
        url: Option<&ChannelUrl>,
        pid: Option<u32>,
        headers: &[(String, String)],
        connections: usize,
    ) -> Result<Self, Failure> {
        let own = match url {
            Some(_) => None,
            None => Some(start_own(connections.saturating_add(SPARE))?),
        };
        let (server, channel) = match (&own, url) {
            (Some(own), _) => (format!("http://{}", own.address), CHANNEL.to_owned()),
            (None, Some(url)) => (url.server.clone(), url.channel.clone()),
            (None, None) => return Err(Failure::Usage("a server has a URL".to_owned())),
        };
        let builder = headers
            .iter()
            .cloned()
            .fold(Client::builder(&server), |builder, (name, value)| {
                builder.header(name, value)
            });
        let process = match own.as_ref().map(OwnServer::pid).or(pid) {
            Some(pid) => Some(process(pid)?),
            None => None,
        };
        Ok(Target {
            url: server,
            client: builder.build()?,
            channel,
            process,
            _own: own,
        })
    }
}

/// This program has a server's bounds, for threads and files, so it knows those of a server of its own.
fn start_own(connections: usize) -> Result<OwnServer, Failure> {
    let grant = Budget::of_this_process().grant(connections);
    match grant.lowered {
        None => OwnServer::start(connections),
        Some(why) => Err(Failure::Failed(format!(
            "cannot start a server for {connections} connections: {why}"
        ))),
    }
}

/// A process of this machine, where that can be told.
fn process(pid: u32) -> Result<Process, Failure> {
    let process = Process { pid };
    if cfg!(target_os = "linux") && process.threads().is_none() {
        return Err(Failure::Usage(format!(
            "there is no process {pid} on this machine, or it may not be looked into"
        )));
    }
    Ok(process)
}

/// Makes room for so many connections of this process.
pub(super) fn make_room(connections: usize) -> Result<(), Failure> {
    let budget = Budget::of_this_process();
    let files = |reading: &&crate::server::budget::Reading| reading.setting == Setting::OpenFiles;
    match budget.readings.iter().find(files) {
        Some(reading) if reading.connections() < connections as u64 => {
            Err(Failure::Failed(format!(
                "cannot hold {connections} connections, since {reading}; {}",
                reading.remedy(connections)
            )))
        }
        _ => Ok(()),
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

    #[test]
    fn too_many_connections_are_refused_with_what_lifts_the_bound() {
        let refused = make_room(usize::MAX / 2);
        if let Err(failure) = refused {
            assert!(
                failure.to_string().contains("RLIMIT_NOFILE is"),
                "{failure}"
            );
        }
        assert_eq!(make_room(1), Ok(()));
    }
}
