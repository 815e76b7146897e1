//! The one thread on which a server takes another configuration in, and looks whether files of keys and certificates have
//! changed. To read it, to have it count and to tell what came
//! of it is one step, so that of two such steps at once the later one counts in all. Its disk may hang, or that of the
//! journal: nobody waits for it longer than he can afford.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::reload::Reload;
use super::threads::Threads;
use crate::access::current::read_keys;
use crate::access::token::verifier::Verifier;
use crate::config::{Config, ConfigError, Reloaded};
use crate::delivery::Context;
use crate::hub::fanout::or_abort;
use crate::upkeep::Kept;

/// How long whoever asks waits for the outcome: within what the operator's port has for an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a reload has when the server has stopped.
const GRACE: Duration = Duration::from_millis(500);
/// How often the files are looked at that keys and certificates come from.
const LOOK: Duration = Duration::from_secs(2);

/// Where a configuration comes from.
type Source = dyn Fn() -> Result<Config, ConfigError> + Send + Sync;

type Outcome = Result<Reloaded, ReloadError>;

/// Why nothing is known of a reload, or nothing came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReloadError {
    /// What is wrong with the configuration: the operator's matter. Nothing has changed.
    Unusable(ConfigError),
    /// What is wrong with the files that it names to verify tokens by. Nothing has changed.
    Keys(String),
    /// What is wrong with the certificate or the key that it names for TLS. Nothing has changed.
    Tls(String),
    /// Nobody said where it comes from. Nothing has changed.
    NoSource,
    /// Another one is under way. Nothing has changed by this one.
    UnderWay,
    /// It takes longer than two seconds, and goes on.
    Late,
    /// The server has stopped. Nothing has changed.
    Stopped,
    /// A bug, in the source or in Fourcast.
    Broken,
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReloadError::Unusable(error) => return error.fmt(f),
            ReloadError::Keys(trouble) => {
                return write!(f, "cannot verify tokens, so nothing has changed: {trouble}");
            }
            ReloadError::Tls(trouble) => {
                return write!(f, "[tls] cannot be used, so nothing has changed: {trouble}");
            }
            ReloadError::NoSource => {
                "the program that this server is a part of gave it its configuration, and says not where to read it \
                 again"
            }
            ReloadError::UnderWay => {
                "another reload is under way; come back when the log says what came of it"
            }
            ReloadError::Late => {
                "the reload goes on, but a disk takes its time; the log will say what came of it"
            }
            ReloadError::Stopped => "the server has stopped, and takes no configuration in any more",
            ReloadError::Broken => "a panic ended the reload, and the log has it",
        })
    }
}

impl std::error::Error for ReloadError {}

/// What the thread is to do.
struct Order {
    /// What is to count; `None`: what the source gives then.
    config: Option<Box<Config>>,
    /// Who waits for the outcome.
    asker: Option<Sender<Outcome>>,
}

/// Where a reload is asked for.
pub struct Reloads {
    /// Two may wait: one that somebody asked for, and one that was rung for. None any more when the server has stopped.
    orders: Mutex<Option<Sender<Order>>>,
    /// Given, and not done with.
    pending: AtomicUsize,
    /// Whether one that was rung for waits for its turn.
    is_rung: AtomicBool,
    source: OnceLock<Box<Source>>,
}

/// What is asked for.
pub(super) struct Orders(Receiver<Order>);

impl Reloads {
    /// With the end at which it is done.
    pub(super) fn new() -> (Self, Orders) {
        let (orders, incoming) = bounded(2);
        let reloads = Reloads {
            orders: Mutex::new(Some(orders)),
            pending: AtomicUsize::new(0),
            is_rung: AtomicBool::new(false),
            source: OnceLock::new(),
        };
        (reloads, Orders(incoming))
    }

    pub(super) fn read_from(
        &self,
        source: impl Fn() -> Result<Config, ConfigError> + Send + Sync + 'static,
    ) {
        // Fails when it was said before.
        let _ = self.source.set(Box::new(source));
    }

    /// Has the configuration read again, and waits for nothing. Where another one that was rung for waits for its turn this
    /// is that one: it reads what is there then.
    pub fn ring(&self) {
        if self.is_rung.swap(true, Ordering::AcqRel) {
            return;
        }
        self.pending.fetch_add(1, Ordering::AcqRel);
        let order = Order {
            config: None,
            asker: None,
        };
        if !self.give(order) {
            self.pending.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Has `config` count, or what the source gives, and waits two seconds at most for what comes of it.
    ///
    /// # Errors
    /// When nothing came of it, or not yet.
    pub fn ask(&self, config: Option<Config>) -> Result<Reloaded, ReloadError> {
        let is_free = self
            .pending
            .compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire);
        if is_free.is_err() {
            return Err(ReloadError::UnderWay);
        }
        let (asker, outcome) = bounded(1);
        let order = Order {
            config: config.map(Box::new),
            asker: Some(asker),
        };
        if !self.give(order) {
            self.pending.fetch_sub(1, Ordering::AcqRel);
            return Err(match self.orders().is_some() {
                true => ReloadError::UnderWay,
                false => ReloadError::Stopped,
            });
        }
        match outcome.recv_timeout(PATIENCE) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => Err(ReloadError::Late),
            Err(RecvTimeoutError::Disconnected) => Err(ReloadError::Stopped),
        }
    }

    /// `false` when there is no room, or nobody takes it any more.
    fn give(&self, order: Order) -> bool {
        let orders = self.orders();
        orders
            .as_ref()
            .is_some_and(|orders| orders.try_send(order).is_ok())
    }

    fn orders(&self) -> MutexGuard<'_, Option<Sender<Order>>> {
        // Its only change is one assignment.
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The owner of the thread; dropping it ends the thread.
pub(super) struct Reloader {
    context: Arc<Context>,
    threads: Threads,
}

impl Reloader {
    /// Starts the thread, which does what is asked for at the context's [`Reloads`].
    ///
    /// # Errors
    /// When there is none to be had.
    pub(super) fn start(
        reload: Reload,
        context: &Arc<Context>,
        orders: Orders,
    ) -> io::Result<Self> {
        let threads = Threads::new();
        let desk = Desk {
            reload,
            context: context.clone(),
        };
        let body = move || or_abort("the reload thread panicked", || desk.run(&orders));
        threads.start(Builder::new().name("reload".into()), body)?;
        Ok(Reloader {
            context: context.clone(),
            threads,
        })
    }

    /// Takes nothing on any more, and waits half a second for what is under way. What hangs then is left to itself.
    pub(super) fn stop(&self) {
        drop(self.context.reloads.orders().take());
        if self.threads.wait(Instant::now() + GRACE) > 0 {
            log::warn!("a reload hangs, and is not waited for");
        }
    }
}

impl Drop for Reloader {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What the thread has.
struct Desk {
    reload: Reload,
    context: Arc<Context>,
}

impl Desk {
    /// One reload after another, and a look at the files between them, until nobody asks any more.
    fn run(&self, Orders(orders): &Orders) {
        loop {
            match orders.recv_timeout(LOOK) {
                Ok(order) => self.obey(order),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if catch_unwind(AssertUnwindSafe(|| self.context.upkeep.look())).is_err() {
                log::error!(
                    "a panic ended a look at the files of keys and certificates; this is a bug in fourcast"
                );
            }
        }
    }

    fn obey(&self, Order { config, asker }: Order) {
        if asker.is_none() {
            // Whoever rings from now on may mean what is not read any more.
            self.context.reloads.is_rung.store(false, Ordering::Release);
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| self.reload(config)));
        let outcome = outcome.unwrap_or(Err(ReloadError::Broken));
        if let Err(error) = &outcome {
            tell(error);
        }
        // Whoever has the outcome may ask again at once.
        self.context.reloads.pending.fetch_sub(1, Ordering::AcqRel);
        if let Some(asker) = asker {
            // Fails when it took too long.
            let _ = asker.try_send(outcome);
        }
    }

    fn reload(&self, config: Option<Box<Config>>) -> Outcome {
        let config = match config {
            Some(config) => *config,
            None => {
                let source = self.context.reloads.source.get();
                source.ok_or(ReloadError::NoSource)?().map_err(ReloadError::Unusable)?
            }
        };
        self.check_identity(&config)?;
        let keys = self.read_keys(&config)?;
        Ok(self.reload.apply(&self.context, config, keys))
    }

    /// The keys of tokens, where the configuration says others. A start would refuse those that cannot be read too: to go
    /// on with what was read before is right where files change, but here what was taken back would go on to count.
    fn read_keys(&self, config: &Config) -> Result<Option<Kept<Verifier>>, ReloadError> {
        let tokens = &config.access.tokens;
        if *tokens == self.context.config().access.tokens {
            return Ok(None);
        }
        read_keys(tokens).map(Some).map_err(ReloadError::Keys)
    }

    /// A start would refuse it too: what clients are shown, where TLS is spoken.
    fn check_identity(&self, config: &Config) -> Result<(), ReloadError> {
        let running = self.context.config();
        if config.tls == running.tls || running.identity().is_none() {
            return Ok(());
        }
        let identity = config.tls.source().map(|source| source.read()).transpose();
        identity.map(drop).map_err(ReloadError::Tls)
    }
}

fn tell(error: &ReloadError) {
    let ReloadError::Unusable(error) = error else {
        return log::error!("reload: {error}");
    };
    log::error!("reload: the configuration cannot be used, and nothing has changed");
    for problem in &error.problems {
        log::error!("reload: {problem}");
    }
}
