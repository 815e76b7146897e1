//! A Unix socket that nobody else can reach, in a directory that nobody else can enter.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::config::{Config, JournalKind};
use crate::hub::random;

/// Not abstract, which every user of the machine could connect to.
const PLACES: [&str; 2] = ["/tmp", "/dev/shm"];

/// Where a private socket is; dropping it removes it.
pub(super) struct PrivateSocket {
    directory: PathBuf,
    path: PathBuf,
}

impl PrivateSocket {
    /// Makes one where there is room for it: in a directory for temporary files, else in that of the journal.
    ///
    /// # Errors
    /// When there is no such place.
    pub(super) fn bind(config: &Config) -> io::Result<(Self, UnixListener)> {
        let journal = Some(&*config.journal.path);
        let journal = journal.filter(|_| config.journal.kind == JournalKind::Disk);
        let places = PLACES.iter().map(Path::new).chain(journal);
        let mut outcome = Err(io::ErrorKind::NotFound.into());
        for place in places {
            outcome = Self::bind_in(place);
            if outcome.is_ok() {
                break;
            }
        }
        outcome.map_err(|error| {
            let told = format!(
                "the operator's port needs a directory for a socket, and can make none in /tmp, in /dev/shm or \
                 in that of the journal: {error}; admin.listen = \"off\" starts without it"
            );
            io::Error::new(error.kind(), told)
        })
    }

    fn bind_in(place: &Path) -> io::Result<(Self, UnixListener)> {
        let directory = place.join(format!("fourcast-{:016x}", random()));
        // Fails when it is there already, whoever made it.
        DirBuilder::new().mode(0o700).create(&directory)?;
        let socket = PrivateSocket {
            path: directory.join("admin"),
            directory,
        };
        let listener = UnixListener::bind(&socket.path)?;
        Ok((socket, listener))
    }

    /// Connects without waiting; reads and writes give up after `patience` each.
    ///
    /// # Errors
    /// `ConnectionRefused` when nobody listens there any more.
    pub(super) fn connect(&self, patience: Duration) -> io::Result<UnixStream> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(&self.path)?)?;
        let stream = UnixStream::from(socket);
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(stream)
    }
}

impl Drop for PrivateSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_dir(&self.directory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_private_socket_is_for_its_owner_alone_and_leaves_nothing_behind() {
        let (socket, listener) = PrivateSocket::bind(&Config::default()).unwrap();
        let mode = fs::metadata(&socket.directory)
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
        socket.connect(Duration::from_secs(1)).unwrap();
        drop(listener);
        let error = socket.connect(Duration::from_secs(1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let directory = socket.directory.clone();
        drop(socket);
        assert!(!directory.exists());
    }

    #[test]
    fn a_place_that_cannot_be_written_is_an_error() {
        assert!(PrivateSocket::bind_in(Path::new("/proc")).is_err());
    }
}
