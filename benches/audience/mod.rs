//! A server and its audience: live subscribers on real sockets, whose far ends a process of their own reads.

mod far_ends;

use std::cell::Cell;
use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fourcast::config::JournalKind;
use fourcast::server::budget::Budget;
use fourcast::{Config, Data, Draft, Server};

pub use far_ends::Way;

/// The first argument of a process that is to be the far ends of an audience.
const FAR_ENDS: &str = "--far-ends";
const CHANNEL: &str = "bench";
/// 65 bytes, the last of them the mark.
const TEXT: &str = "The quick brown fox jumps over the lazy dog, \"twice\", since noon!";
/// Stands once in each event and in nothing else that the server sends, so that counting it counts deliveries.
const MARK: u8 = b'!';
/// Events that are sent before anything is measured, so that everyone is live and warm by then.
const WARM_UP: usize = 3;

/// A server and everyone who listens to it.
pub struct Audience {
    server: Server,
    far_ends: Child,
    /// A byte comes when everyone has subscribed, and one for each event once everyone has read it.
    heard: File,
    /// Events that were published and not waited for.
    pending: Cell<usize>,
}

/// Becomes the far ends of an audience and never returns, if this process was started for that.
pub fn listen_if_asked() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [first, address, way, size] = &arguments[..] else {
        return;
    };
    if first == FAR_ENDS {
        let error = far_ends::listen(address, way, size);
        eprintln!("the far ends of the audience: {error}");
        std::process::exit(1);
    }
}

/// Those of `sizes` for which this system has files and threads enough; it says why some are left out.
pub fn affordable(sizes: &[usize]) -> Vec<usize> {
    let budget = Budget::of_this_process();
    let (fit, too_large): (Vec<_>, Vec<_>) =
        sizes.iter().partition(|size| **size <= budget.connections);
    for size in too_large {
        let reason = budget.grant(size).lowered.unwrap_or_default();
        eprintln!("{size} subscribers are left out: {reason}");
    }
    fit
}

/// A server with its defaults, but for a port that the system chooses, none for an operator, a heart that does not beat meanwhile, and a
/// journal that no disk slows down.
pub fn server() -> Server {
    let mut config = Config {
        listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()],
        ..Config::default()
    };
    config.admin.listen = None;
    config.journal.kind = JournalKind::Memory;
    config.heartbeat.interval = Duration::from_secs(3600);
    Server::start(config).expect("a server")
}

/// The event that everyone gets.
pub fn draft() -> Draft {
    let channel = CHANNEL.parse().expect("a channel");
    Draft::new(channel, Data::Text(TEXT.into()))
}

impl Audience {
    /// Starts a server, and has `size` subscribers listen to it; returns when all are live.
    pub fn gather(way: Way, size: usize) -> Self {
        let server = server();
        let mut far_ends = Command::new(std::env::current_exe().expect("the path of this program"))
            .arg(FAR_ENDS)
            .args([
                &server.address().expect("an address").to_string(),
                way.name(),
                &size.to_string(),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process for the far ends");
        let heard = far_ends.stdout.take().expect("a pipe");
        let audience = Audience {
            server,
            far_ends,
            heard: OwnedFd::from(heard).into(),
            pending: Cell::new(1),
        };
        audience.wait();
        for _ in 0..WARM_UP {
            audience.publish(draft());
            audience.wait();
        }
        audience
    }

    /// Publishes one event to everyone.
    pub fn publish(&self, draft: Draft) {
        self.server.publish(draft).expect("a receipt");
        self.pending.set(self.pending.get() + 1);
    }

    /// Waits until everyone has read all that was published. The far ends end when nothing comes for long, and
    /// so does this.
    pub fn wait(&self) {
        let mut bytes = vec![0; self.pending.take()];
        let all = (&self.heard).read_exact(&mut bytes);
        all.expect("everyone reads everything in time");
    }
}

/// The far ends go first, so that the server, which is dropped next, finds nobody to say goodbye to.
impl Drop for Audience {
    fn drop(&mut self) {
        let _ = self.far_ends.kill();
        let _ = self.far_ends.wait();
    }
}
