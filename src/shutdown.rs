//! How a server ends: one token that everyone can see.

use std::sync::{Arc, OnceLock};

/// Why a server stops, which tells its clients what to expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// It goes away: WebSocket close code 1001.
    Away,
    /// It comes back: WebSocket close code 1012.
    Restart,
}

impl Leaving {
    /// The refusal that says so, with its close code.
    pub const fn kind(self) -> crate::refusal::Kind {
        match self {
            Leaving::Away => crate::refusal::Kind::Leaving,
            Leaving::Restart => crate::refusal::Kind::Restarting,
        }
    }
}

/// The token of one server's shutdown; its clones are the same.
#[derive(Clone, Default)]
pub struct Shutdown {
    announced: Arc<OnceLock<Leaving>>,
    begun: Arc<OnceLock<Leaving>>,
}

impl Shutdown {
    /// Says that the server is about to stop; nobody is told goodbye yet.
    pub fn announce(&self, leaving: Leaving) {
        let _ = self.announced.set(leaving);
    }

    /// Why the server stops, or is about to.
    pub fn announced(&self) -> Option<Leaving> {
        self.announced.get().copied()
    }

    /// Why the server stops, once it does.
    pub fn begun(&self) -> Option<Leaving> {
        self.begun.get().copied()
    }

    /// Begins the end; `false` when it had begun before.
    pub fn begin(&self, leaving: Leaving) -> bool {
        self.announce(leaving);
        self.begun.set(leaving).is_ok()
    }
}

/// Ends the process loudly, because a part that all others rely on is broken (a bug of ours): going on
/// would lose events in silence.
pub fn abort(what: &str) -> ! {
    log::error!("fatal: {what}; this is a bug in fourcast, the process ends");
    std::process::abort()
}
