//! Which of thousands of sockets have something to read.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::Timespec;
use rustix::io::Errno;

#[cfg(not(target_os = "linux"))]
pub(in crate::cli) use self::anywhere::Readiness;
#[cfg(target_os = "linux")]
pub(in crate::cli) use self::linux::Readiness;

/// The longest wait: an hour, within what every system can count.
const LONGEST: Duration = Duration::from_secs(3600);

fn timespec(wait: Duration) -> Timespec {
    wait.min(LONGEST).try_into().unwrap_or_default()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::mem::MaybeUninit;

    use rustix::event::epoll::{self, Event, EventData, EventFlags};
    use rustix::fd::OwnedFd;

    use super::*;

    /// The most sockets reported at once.
    const MOST: usize = 1024;

    /// The sockets that are watched: epoll tells the ready ones without looking at the others.
    pub struct Readiness {
        epoll: OwnedFd,
    }

    impl Readiness {
        /// Watches nothing yet.
        pub fn new() -> io::Result<Self> {
            Ok(Readiness {
                epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            })
        }

        /// From now on `socket` is reported as `number`, until it is dropped.
        pub fn watch(&mut self, socket: &Arc<TcpStream>, number: usize) -> io::Result<()> {
            let data = EventData::new_u64(number as u64);
            Ok(epoll::add(&self.epoll, socket, data, EventFlags::IN)?)
        }

        /// Appends to `ready` the numbers of sockets that can be read, or have ended. Blocks until there
        /// is one, for `wait` at most.
        pub fn wait(&mut self, wait: Duration, ready: &mut Vec<usize>) -> io::Result<()> {
            let mut events = [const { MaybeUninit::<Event>::uninit() }; MOST];
            let waited = epoll::wait(&self.epoll, &mut events, Some(&timespec(wait)));
            let (events, _) = match waited {
                // A signal has ended the wait.
                Err(Errno::INTR) => return Ok(()),
                waited => waited?,
            };
            let numbers = events.iter().map(|event| event.data.u64());
            ready.extend(numbers.filter_map(|number| usize::try_from(number).ok()));
            Ok(())
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod anywhere {
    use std::sync::Weak;

    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    /// The sockets that are watched: poll looks at each of them every time.
    pub struct Readiness {
        watched: Vec<(usize, Weak<TcpStream>)>,
    }

    impl Readiness {
        /// Watches nothing yet.
        pub fn new() -> io::Result<Self> {
            let watched = Vec::new();
            Ok(Readiness { watched })
        }

        /// From now on `socket` is reported as `number`, until it is dropped.
        pub fn watch(&mut self, socket: &Arc<TcpStream>, number: usize) -> io::Result<()> {
            self.watched.push((number, Arc::downgrade(socket)));
            Ok(())
        }

        /// Appends to `ready` the numbers of sockets that can be read, or have ended. Blocks until there
        /// is one, for `wait` at most.
        pub fn wait(&mut self, wait: Duration, ready: &mut Vec<usize>) -> io::Result<()> {
            self.watched.retain(|(_, socket)| socket.strong_count() > 0);
            let alive =
                |(number, socket): &(usize, Weak<TcpStream>)| Some((*number, socket.upgrade()?));
            let sockets: Vec<_> = self.watched.iter().filter_map(alive).collect();
            let mut files: Vec<_> = sockets
                .iter()
                .map(|(_, socket)| PollFd::new(socket, PollFlags::IN))
                .collect();
            match poll(&mut files, Some(&timespec(wait))) {
                // A signal has ended the wait.
                Err(Errno::INTR) => return Ok(()),
                waited => waited?,
            };
            let reported = sockets
                .iter()
                .zip(&files)
                .filter(|(_, file)| !file.revents().is_empty())
                .map(|((number, _), _)| *number);
            ready.extend(reported);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn pair() -> (Arc<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (there, _) = listener.accept().unwrap();
        (Arc::new(here), there)
    }

    fn ready(readiness: &mut Readiness, wait: Duration) -> Vec<usize> {
        let mut ready = Vec::new();
        readiness.wait(wait, &mut ready).unwrap();
        ready
    }

    #[test]
    fn a_socket_is_ready_when_there_is_something_to_read_or_it_has_ended() {
        let mut readiness = Readiness::new().unwrap();
        let pairs = [pair(), pair(), pair()];
        for (number, (here, _)) in pairs.iter().enumerate() {
            readiness.watch(here, number).unwrap();
        }
        assert_eq!(ready(&mut readiness, Duration::ZERO), [0; 0]);
        let [(_first, _), (second, mut writes), (_third, ends)] = pairs;
        writes.write_all(b"x").unwrap();
        assert_eq!(ready(&mut readiness, PATIENCE), [1]);
        drop(second);
        drop(ends);
        assert_eq!(ready(&mut readiness, PATIENCE), [2]);
    }
}
