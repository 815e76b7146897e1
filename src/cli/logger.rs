//! What is logged, to stderr, one line a record. The filter can be replaced while the program runs, which
//! env_logger's own cannot: there is one of these for each filter, and this one in front of them.

use std::io::Write as _;
use std::sync::{Arc, PoisonError, RwLock};

use crate::config::Log;

/// The logger of this process.
pub(super) struct Logger {
    filtering: RwLock<Arc<env_logger::Logger>>,
}

impl Logger {
    /// Begins to log.
    pub(super) fn begin(configured: &Log) -> Arc<Logger> {
        let filtering = filtering(configured);
        log::set_max_level(filtering.filter());
        let logger = Arc::new(Logger {
            filtering: RwLock::new(Arc::new(filtering)),
        });
        if log::set_boxed_logger(Box::new(logger.clone())).is_err() {
            log::debug!("a logger is there already; log.level does not count");
        }
        logger
    }

    /// Goes by another level from now on.
    pub(super) fn obey(&self, configured: &Log) {
        let next = filtering(configured);
        let most = next.filter();
        // It is replaced as a whole.
        let mut filtering = self
            .filtering
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *filtering = Arc::new(next);
        log::set_max_level(most);
    }

    /// Cloned out of its lock: writing a record may block.
    fn filtering(&self) -> Arc<env_logger::Logger> {
        let filtering = self.filtering.read();
        filtering.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        may_tell(metadata) && self.filtering().enabled(metadata)
    }

    fn log(&self, record: &log::Record<'_>) {
        if may_tell(record.metadata()) {
            self.filtering().log(record);
        }
    }

    fn flush(&self) {
        self.filtering().flush();
    }
}

/// Whether a record may be written at any level: libraries trace what goes through them, whole messages with the tokens in
/// them, and nobody who looks for a fault asks for those.
fn may_tell(metadata: &log::Metadata<'_>) -> bool {
    let is_ours = || metadata.target().split("::").next() == Some("fourcast");
    metadata.level() < log::Level::Trace || is_ours()
}

fn filtering(log: &Log) -> env_logger::Logger {
    env_logger::Builder::new()
        .parse_filters(&log.level)
        .format(|line, record| {
            let (time, level, target) = (
                line.timestamp_millis(),
                record.level(),
                record.target().to_owned(),
            );
            let message = one_line(&record.args().to_string());
            writeln!(line, "{time} {level:<5} {target}: {message}")
        })
        .build()
}

/// Escapes control characters: what comes from the network could otherwise forge a record of its own,
/// or speak to the operator's terminal.
fn one_line(message: &str) -> String {
    let mut line = String::with_capacity(message.len());
    for c in message.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_program_traces() {
        let may_tell = |target, level| {
            let metadata = log::Metadata::builder().target(target).level(level).build();
            may_tell(&metadata)
        };
        assert!(may_tell("fourcast::hub", log::Level::Trace));
        assert!(may_tell("tungstenite::protocol", log::Level::Debug));
        assert!(!may_tell("tungstenite::protocol", log::Level::Trace));
        assert!(!may_tell("fourcaster", log::Level::Trace));
    }

    #[test]
    fn a_record_cannot_be_forged_from_within_another() {
        assert_eq!(
            one_line("a\r\nERROR é\u{1b}[2J"),
            "a\\r\\nERROR é\\u{1b}[2J"
        );
    }
}
