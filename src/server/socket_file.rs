//! The name of a Unix socket: bound so that nobody comes in before its rights are set, taken over from a server that
//! has died, and removed in the end.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// A name that a socket has; dropping it, before the socket is closed, removes it, unless it has become another's.
pub(super) struct SocketFile {
    path: PathBuf,
    /// The device and the number of its inode.
    identity: (u64, u64),
}

impl SocketFile {
    /// Listens at `path` with the rights `mode`. The file of a server that has died is replaced; no other file is.
    ///
    /// # Errors
    /// `AddrInUse` when a server listens there, `AlreadyExists` when something else than a socket is there; else what
    /// the system says.
    pub(super) fn bind(path: &Path, mode: u32, backlog: i32) -> io::Result<(Self, UnixListener)> {
        let address = SocketAddrUnix::new(path)?;
        let socket = new_socket()?;
        match rustix::net::bind(&socket, &address) {
            Err(Errno::ADDRINUSE) => {
                remove_dead(path, &address)?;
                rustix::net::bind(&socket, &address)?;
            }
            outcome => outcome?,
        }
        let file = SocketFile {
            identity: identity(path)?,
            path: path.to_owned(),
        };
        // Whatever the umask was: until it listens, whoever connects is refused.
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        rustix::net::listen(&socket, backlog)?;
        // One that starts at the same time takes a name whose socket does not listen yet for a dead one's.
        if identity(path).ok() != Some(file.identity) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        Ok((file, UnixListener::from(socket)))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn new_socket() -> io::Result<std::os::fd::OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    Ok(socket)
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// Removes a socket at which nobody listens any more.
fn remove_dead(path: &Path, address: &SocketAddrUnix) -> io::Result<()> {
    // To connect to any other file is refused too.
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    match rustix::net::connect(&new_socket()?, address) {
        Err(Errno::CONNREFUSED) => fs::remove_file(path),
        // Also when its queue is full, or this user may not connect.
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::hub::random;

    /// A directory of one test.
    struct Place(PathBuf);

    impl Place {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("fourcast-test-{:016x}", random()));
            fs::create_dir(&path).unwrap();
            Place(path)
        }

        fn socket(&self) -> PathBuf {
            self.0.join("s")
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn bind(path: &Path) -> io::Result<(SocketFile, UnixListener)> {
        SocketFile::bind(path, 0o600, 16)
    }

    #[test]
    fn it_has_the_rights_that_were_asked_for_and_is_removed_in_the_end() {
        let place = Place::new();
        for mode in [0o600, 0o666] {
            let bound = SocketFile::bind(&place.socket(), mode, 16).unwrap();
            let found = fs::metadata(place.socket()).unwrap().permissions().mode();
            assert_eq!(found & 0o777, mode);
            UnixStream::connect(place.socket()).unwrap();
            drop(bound);
            assert!(!place.socket().exists());
        }
    }

    #[test]
    fn a_dead_servers_is_replaced_and_a_living_ones_is_not() {
        let place = Place::new();
        // Closing it leaves its name behind, as a crash does.
        drop(UnixListener::bind(place.socket()).unwrap());
        let living = bind(&place.socket()).unwrap();
        let error = bind(&place.socket()).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        UnixStream::connect(place.socket()).unwrap();
        drop(living);
    }

    #[test]
    fn no_other_file_is_removed() {
        let place = Place::new();
        fs::write(place.socket(), "precious").unwrap();
        let error = bind(&place.socket()).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(place.socket()).unwrap(), "precious");
        let link = place.0.join("link");
        std::os::unix::fs::symlink(place.socket(), &link).unwrap();
        assert!(bind(&link).is_err());
        assert!(link.is_symlink());
    }

    #[test]
    fn a_name_that_became_anothers_stays() {
        let place = Place::new();
        let (old, _socket) = bind(&place.socket()).unwrap();
        fs::remove_file(place.socket()).unwrap();
        let _new = bind(&place.socket()).unwrap();
        drop(old);
        UnixStream::connect(place.socket()).unwrap();
    }
}
