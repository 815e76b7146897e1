//! The signals that end a run early.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::cli::Failure;

/// A signal is seen by whoever looks. A second one does not end the process at once: a server of its own
/// would be left behind.
pub(in crate::cli) fn take_signals() -> Result<Arc<AtomicBool>, Failure> {
    let has_come = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        flag::register(signal, has_come.clone())
            .map_err(|error| Failure::Failed(format!("cannot wait for signals: {error}")))?;
    }
    Ok(has_come)
}
