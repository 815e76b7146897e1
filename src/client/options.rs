//! What a client may be told: every option with its unit and its default.

use std::path::PathBuf;
use std::time::Duration;

use super::Client;
use super::endpoint::Endpoint;
use super::error::Error;
use super::http;
use crate::tls::Connector;

/// The options of a [`Client`], each with a default.
#[derive(Clone)]
pub struct Builder {
    url: String,
    authorities: Option<PathBuf>,
    pub(super) options: Options,
}

#[derive(Clone)]
pub(super) struct Options {
    pub(super) connect_timeout: Duration,
    pub(super) answer_timeout: Duration,
    pub(super) close_timeout: Duration,
    pub(super) patience: Option<Duration>,
    pub(super) backoff: Duration,
    pub(super) backoff_ceiling: Duration,
    pub(super) attempts: Option<u32>,
    pub(super) publish_attempts: u32,
    pub(super) poll_interval: Duration,
    pub(super) long_poll_wait: Duration,
    pub(super) max_message: usize,
    pub(super) fields: Vec<(String, String)>,
    /// There if the URL asks for TLS.
    pub(super) connector: Option<Connector>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(5),
            patience: None,
            backoff: Duration::from_millis(500),
            backoff_ceiling: Duration::from_secs(30),
            attempts: None,
            publish_attempts: 3,
            poll_interval: Duration::from_secs(1),
            long_poll_wait: Duration::from_secs(30),
            max_message: 16 * 1024 * 1024,
            fields: Vec::new(),
            connector: None,
        }
    }
}

impl Options {
    /// How many heartbeats may be missed before a connection counts as dead.
    const HEARTBEATS: f64 = 2.5;
    /// The heartbeat taken for granted until the server has told its own; the server's default.
    const USUAL_HEARTBEAT: Duration = Duration::from_secs(25);

    /// The longest silence of a stream whose heartbeat is (or is not yet) known.
    pub(super) fn patience(&self, heartbeat: Option<Duration>) -> Duration {
        let heartbeat = heartbeat.unwrap_or(Self::USUAL_HEARTBEAT);
        let told = heartbeat
            .min(Duration::from_secs(3600))
            .mul_f64(Self::HEARTBEATS);
        self.patience.unwrap_or(told.max(Duration::from_secs(1)))
    }
}

impl Builder {
    pub(super) fn new(url: &str) -> Self {
        Builder {
            url: url.to_owned(),
            authorities: None,
            options: Options::default(),
        }
    }

    /// The longest time in which a connection, TLS included, must come about, over all addresses of the host
    /// together. Default: 10 s. Looking the name up is the system's and has its own bound.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.connect_timeout = timeout;
        self
    }

    /// The longest time from sending a request to the end of its answer, or to the beginning of a
    /// stream; for a long poll, beyond the wait asked for. Default: 30 s.
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.options.answer_timeout = timeout;
        self
    }

    /// The longest time that the server is given to answer a WebSocket's close frame. Default: 5 s.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.options.close_timeout = timeout;
        self
    }

    /// The longest silence of a stream before its connection counts as dead. Default: 2.5 times the
    /// heartbeat that the server tells in its welcome, and 62.5 s before that.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.options.patience = Some(patience);
        self
    }

    /// The waits between attempts to reconnect: each is random below a bound that begins at `first`,
    /// doubles with every failure and ends at `ceiling`, and comes on top of what the server asked
    /// for. Default: 500 ms and 30 s.
    pub fn backoff(mut self, first: Duration, ceiling: Duration) -> Self {
        self.options.backoff = first;
        self.options.backoff_ceiling = ceiling;
        self
    }

    /// How many attempts in a row may fail before a subscription ends with the last one's error.
    /// Default: no bound.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.options.attempts = Some(attempts);
        self
    }

    /// How often a message with an idempotency key is sent at most; one without a key is sent once.
    /// Default: 3.
    pub fn publish_attempts(mut self, attempts: u32) -> Self {
        self.options.publish_attempts = attempts.max(1);
        self
    }

    /// The time between two requests of [`Transport::Poll`](super::Transport::Poll). Default: 1 s.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.options.poll_interval = interval;
        self
    }

    /// How long [`Transport::LongPoll`](super::Transport::LongPoll) asks the server to hold a request, in whole seconds; the
    /// server may grant less. Default: 30 s.
    pub fn long_poll_wait(mut self, wait: Duration) -> Self {
        self.options.long_poll_wait = wait;
        self
    }

    /// The most bytes of one message of a stream, or one answer to a poll. Default: 16 MiB.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.options.max_message = bytes;
        self
    }

    /// A header field that every request carries, such as `Authorization`. Default: none.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.fields.push((name.into(), value.into()));
        self
    }

    /// A file (PEM) of the authorities whose word for an `https://` server counts; the server's own certificate if it
    /// vouches for itself. Default: those of the system.
    pub fn authorities(mut self, file: impl Into<PathBuf>) -> Self {
        self.authorities = Some(file.into());
        self
    }

    /// The client. Does not connect yet; for an `https://` URL it blocks while it reads the authorities.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the URL is not `http://host[:port][/path]` or `https://…`, the authorities cannot be read,
    /// or a header cannot be one.
    pub fn build(self) -> Result<Client, Error> {
        for (name, value) in &self.options.fields {
            if !http::is_token(name) || !http::is_field_value(value) {
                return Err(Error::invalid(format!(
                    "the header {name:?} has a name or a value that cannot be sent"
                )));
            }
        }
        let endpoint = Endpoint::parse(&self.url)?;
        let mut options = self.options;
        if endpoint.is_secure {
            let connector = Connector::load(self.authorities.as_deref());
            options.connector = Some(connector.map_err(|e| Error::invalid(e.to_string()))?);
        }
        Ok(Client::with(endpoint, options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_follows_the_heartbeat_within_reason() {
        let options = Options::default();
        assert_eq!(options.patience(None), Duration::from_millis(62_500));
        let told = |heartbeat| options.patience(Some(heartbeat));
        assert_eq!(told(Duration::from_secs(4)), Duration::from_secs(10));
        assert_eq!(told(Duration::ZERO), Duration::from_secs(1));
        assert_eq!(told(Duration::MAX), Duration::from_secs(9000));
    }

    #[test]
    fn a_header_that_would_begin_another_is_refused() {
        let builder = Client::builder("http://localhost").header("X", "a\r\nHost: b");
        assert!(matches!(builder.build(), Err(Error::Invalid(_))));
    }
}
