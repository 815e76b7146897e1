//! A Unix socket that nobody else can reach: made in a directory that nobody else can enter, and without a
//! name as soon as it is there.

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

/// How long the last connection may take.
const KNOCK: Duration = Duration::from_millis(1);

/// A way to a private socket.
pub(super) struct PrivateSocket {
    path: PathBuf,
    _held: Held,
}

/// What the way goes through.
enum Held {
    /// The socket itself, which has no name any more, so that a process that is killed leaves nothing behind.
    #[cfg(target_os = "linux")]
    Inode(#[expect(dead_code, reason = "it is open, that is all")] std::os::fd::OwnedFd),
    /// The directory that it has its name in.
    Directory(#[expect(dead_code, reason = "it is there, that is all")] Directory),
}

/// A directory of our own with a socket in it; dropping it removes both.
struct Directory {
    path: PathBuf,
    socket: PathBuf,
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
        let directory = Directory::create_in(place)?;
        let listener = UnixListener::bind(&directory.socket)?;
        Ok((Self::to(directory)?, listener))
    }

    /// The way by the number of an open file. Its name is forgotten, if this works here.
    #[cfg(target_os = "linux")]
    fn to(directory: Directory) -> io::Result<Self> {
        use rustix::fs::{Mode, OFlags, open};
        use std::os::fd::AsRawFd as _;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let inode = open(&directory.socket, flags, Mode::empty())?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", inode.as_raw_fd()));
        Ok(match path.exists() {
            true => PrivateSocket {
                path,
                _held: Held::Inode(inode),
            },
            false => Self::by_name(directory),
        })
    }

    #[cfg(not(target_os = "linux"))]
    fn to(directory: Directory) -> io::Result<Self> {
        Ok(Self::by_name(directory))
    }

    fn by_name(directory: Directory) -> Self {
        PrivateSocket {
            path: directory.socket.clone(),
            _held: Held::Directory(directory),
        }
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

/// tiny_http waits for somebody to come, and then sees that it has to end. It knocks itself, but by a name that
/// the socket has not any more.
impl Drop for PrivateSocket {
    fn drop(&mut self) {
        let _ = self.connect(KNOCK);
    }
}

impl Directory {
    fn create_in(place: &Path) -> io::Result<Self> {
        let path = place.join(format!("fourcast-{:016x}", random()));
        // Fails when it is there already, whoever made it.
        DirBuilder::new().mode(0o700).create(&path)?;
        // tiny_http removes what has this name in the end; who takes the directory's name meanwhile, which is
        // no secret, cannot have it remove anything that was there before.
        let socket = path.join(format!("{:016x}", random()));
        Ok(Directory { path, socket })
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.socket);
        let _ = fs::remove_dir(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Instant;

    const PATIENCE: Duration = Duration::from_secs(1);

    #[test]
    fn its_directory_is_for_its_owner_alone_and_goes_with_it() {
        let directory = Directory::create_in(Path::new("/tmp")).unwrap();
        let path = directory.path.clone();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let listener = UnixListener::bind(&directory.socket).unwrap();
        let socket = PrivateSocket::by_name(directory);
        socket.connect(PATIENCE).unwrap();
        drop((socket, listener));
        assert!(!path.exists());
    }

    #[test]
    fn it_is_found_while_somebody_listens() {
        let (socket, listener) = PrivateSocket::bind(&Config::default()).unwrap();
        socket.connect(PATIENCE).unwrap();
        drop(listener);
        let error = socket.connect(PATIENCE).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn it_has_no_name_that_could_be_left_behind() {
        let (socket, listener) = PrivateSocket::bind(&Config::default()).unwrap();
        let address = listener.local_addr().unwrap();
        let directory = address.as_pathname().unwrap().parent().unwrap();
        assert!(!directory.exists());
        socket.connect(PATIENCE).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn tiny_http_ends_with_it() {
        let (socket, listener) = PrivateSocket::bind(&Config::default()).unwrap();
        let address = listener.local_addr().unwrap();
        let name = address.as_pathname().unwrap().to_str().unwrap();
        let is_open = || fs::read_to_string("/proc/net/unix").unwrap().contains(name);
        let server = tiny_http::Server::from_listener(listener, None).unwrap();
        assert!(is_open());
        drop(server);
        drop(socket);
        let end = Instant::now() + 10 * PATIENCE;
        while is_open() {
            assert!(Instant::now() < end, "it waits for ever");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_place_that_cannot_be_written_is_an_error() {
        assert!(PrivateSocket::bind_in(Path::new("/proc")).is_err());
    }
}
