//! `fourcast serve`: runs a server until it is told to stop.

use std::borrow::Cow;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::Signal;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use super::config_file::{ConfigFile, describe_admin, describe_journal, describe_source, reach};
use super::{Failure, say};
use crate::config::{Loaded, Log, Problem};
use crate::{Leaving, Server};

pub(super) const EXAMPLES: &str = "\
Examples:
  fourcast                                       on 127.0.0.1:8080, or as ./config.toml says
  fourcast serve --config /srv/fourcast.toml
  FOURCAST_LISTEN=0.0.0.0:9000 fourcast          a variable counts more than the file
  FOURCAST_ADMIN__LISTEN=off fourcast            without the operator's port, as a second server on a machine
  RUST_LOG=debug fourcast                        logs every connection

SIGTERM tells the clients that the server comes back, SIGINT (Ctrl-C) that it goes away. It ends when they
have gone or timeouts.drain has passed; a second signal ends it at once.";

/// The variable that every program with this logger has.
const LOG_VARIABLE: &str = "RUST_LOG";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    file: ConfigFile,
}

/// Serves until SIGTERM or SIGINT, and says goodbye to every client. Blocks until then.
pub fn run(args: &Args) -> Result<(), Failure> {
    let loaded = args.file.load()?;
    begin_log(&loaded.config.log);
    let mut signals = take_signals()?;
    let server = Server::start(loaded.config.clone())
        .map_err(|error| Failure::Unavailable(error.to_string()))?;
    // A server is not there for whoever reads its greeting, and goes on when nobody does.
    let _ = say(&greeting(&loaded, server.address(), server.admin_address()));
    let leaving = match signals.forever().next() {
        Some(SIGINT) => Leaving::Away,
        _ => Leaving::Restart,
    };
    server.stop(leaving);
    Ok(())
}

/// From here on the first signal waits to be read, and the second one ends the process at once.
fn take_signals() -> Result<Signals, Failure> {
    let has_come = Arc::new(AtomicBool::new(false));
    let take = || {
        for signal in [SIGTERM, SIGINT] {
            // The order counts: a signal finds the flag as the one before it left it.
            flag::register_conditional_shutdown(signal, 1, has_come.clone())?;
            flag::register(signal, has_come.clone())?;
        }
        // A write beyond RLIMIT_FSIZE is an error of the journal, and no reason to die.
        let ignored = Arc::new(AtomicBool::new(false));
        flag::register(Signal::XFSZ.as_raw(), ignored)?;
        Signals::new([SIGTERM, SIGINT])
    };
    take().map_err(|error: io::Error| Failure::Failed(format!("cannot wait for signals: {error}")))
}

/// Logs to stderr, one line a record; `RUST_LOG` counts more than the configuration.
fn begin_log(configured: &Log) {
    let variable = std::env::var_os(LOG_VARIABLE).unwrap_or_default();
    let log = chosen_log(&variable.to_string_lossy(), configured).unwrap_or_else(|problem| {
        // Not a record: the level that counts now might hide it.
        let _ = writeln!(io::stderr(), "fourcast: {problem}; log.level counts");
        Cow::Borrowed(configured)
    });
    let begun = env_logger::Builder::new()
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
        .try_init();
    if begun.is_err() {
        log::debug!("a logger is there already; log.level does not count");
    }
}

/// What `variable` says, or the configuration where it says nothing. It is checked first: env_logger
/// drops what it cannot read of a filter, and with it the whole log.
fn chosen_log<'a>(variable: &str, configured: &'a Log) -> Result<Cow<'a, Log>, Problem> {
    if variable.is_empty() {
        return Ok(Cow::Borrowed(configured));
    }
    Log::from_variable(LOG_VARIABLE, variable).map(Cow::Owned)
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

/// The first lines: what counts, where events are kept, who reaches the server, and something to try.
fn greeting(loaded: &Loaded, address: SocketAddr, admin: Option<SocketAddr>) -> String {
    let source = describe_source(loaded);
    let journal = describe_journal(&loaded.config.journal);
    let admin = describe_admin(admin, loaded.config.admin.key.is_some());
    let reach = reach(address.ip());
    let url = format!("http://{}/chat", from_here(address));
    format!(
        "configuration  {source}\n\
         journal        {journal}\n\
         address        {address}, {reach}\n\
         operator       {admin}\n\
         try            curl -d hello {url} && curl {url}\n"
    )
}

/// The address by which this machine reaches itself.
fn from_here(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn greeting_at(address: &str) -> String {
        let loaded = Loaded {
            config: Config::default(),
            source: None,
        };
        greeting(
            &loaded,
            address.parse().unwrap(),
            loaded.config.admin.listen,
        )
    }

    #[test]
    fn the_greeting_says_what_counts_and_who_reaches_the_server() {
        let text = greeting_at("127.0.0.1:8080");
        for part in [
            "built-in defaults",
            "journal        ./fourcast-data, on disk",
            "address        127.0.0.1:8080, only this machine reaches it",
            "operator       127.0.0.1:8081, only this machine reaches it",
            "curl -d hello http://127.0.0.1:8080/chat",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn an_address_for_everybody_is_called_that_and_tried_on_loopback() {
        for (address, url) in [
            ("0.0.0.0:80", "http://127.0.0.1:80/chat"),
            ("[::]:80", "http://[::1]:80/chat"),
        ] {
            let text = greeting_at(address);
            assert!(text.contains("any address of this machine"), "{text}");
            assert!(text.contains(url), "{text}");
        }
    }

    #[test]
    fn a_variable_counts_more_than_the_configuration_unless_it_is_empty() {
        let configured = Log::default();
        for (variable, level) in [
            ("", "info"),
            ("debug", "debug"),
            ("warn, fourcast::hub=debug", "warn, fourcast::hub=debug"),
        ] {
            let log = chosen_log(variable, &configured).unwrap();
            assert_eq!(log.level, level, "{variable}");
        }
    }

    #[test]
    fn a_variable_with_a_typo_is_told_and_does_not_silence_the_log() {
        for variable in ["fourcast=dbug", "dbug", " ", "\u{fffd}"] {
            let problem = chosen_log(variable, &Log::default()).unwrap_err();
            let told = problem.to_string();
            assert!(told.starts_with("RUST_LOG: found "), "{told}");
            assert!(told.contains("expected off, error, warn"), "{told}");
            assert_eq!(told.lines().count(), 1, "{told}");
        }
    }

    #[test]
    fn a_record_cannot_be_forged_from_within_another() {
        assert_eq!(
            one_line("a\r\nERROR é\u{1b}[2J"),
            "a\\r\\nERROR é\\u{1b}[2J"
        );
    }
}
