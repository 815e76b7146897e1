//! Whether this machine has room for so many connections, here and in a server that is started.

use super::own_journal::OwnJournal;
use super::own_server::OwnServer;
use crate::cli::Failure;
use crate::server::budget::{Budget, Reading, Setting};

/// This program has a server's bounds, for threads and files, so it knows those of a server of its own. Blocks until
/// that one listens.
pub(in crate::cli) fn start_own(
    connections: usize,
    journal: OwnJournal,
) -> Result<OwnServer, Failure> {
    let grant = Budget::of_this_process().grant(connections);
    match grant.lowered {
        None => OwnServer::start(connections, journal),
        Some(why) => Err(Failure::Failed(format!(
            "cannot start a server for {connections} connections: {why}"
        ))),
    }
}

/// Makes room for so many connections of this process.
pub(in crate::cli) fn make_room(connections: usize) -> Result<(), Failure> {
    let budget = Budget::of_this_process();
    let files = |reading: &&Reading| reading.setting == Setting::OpenFiles;
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

#[cfg(test)]
mod tests {
    use super::*;

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
