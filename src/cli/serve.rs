//! `fourcast serve`: runs a server until it is told to stop.

use std::io::{self, IsTerminal as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use super::config_file::{
    ConfigFile, describe_access, describe_addresses, describe_admin, describe_journal,
    describe_source, require_certificate,
};
use super::logger::Logger;
use super::{Failure, say};
use crate::config::{Endpoint, Listen, Loaded};
use crate::{Leaving, Server, StartError};

pub(super) const EXAMPLES: &str = "\
Examples:
  fourcast                                       on 127.0.0.1:8080, or as ./config.toml says
  fourcast serve --config /srv/fourcast.toml
  FOURCAST_LISTEN=127.0.0.1:9000 fourcast        a variable counts more than the file
  FOURCAST_ADMIN__LISTEN=off fourcast            without the operator's port, as a second server on a machine
  RUST_LOG=debug fourcast                        logs every connection

SIGHUP reads the configuration again: what can change counts at once, nobody is disconnected, and the log says
what changed and what waits for a restart. A file that cannot be used changes nothing.

SIGTERM tells the clients that the server comes back, SIGINT (Ctrl-C) or the end of its terminal that it goes
away. It ends when they have gone or timeouts.drain has passed; a second signal ends it at once.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    file: ConfigFile,
}

/// Serves until SIGTERM or SIGINT, and says goodbye to every client. Blocks until then.
pub fn run(args: &Args) -> Result<(), Failure> {
    let loaded = args.file.load()?;
    if let Some(problem) = &loaded.unheeded {
        // Not a record: the level that counts now might hide it.
        let _ = writeln!(io::stderr(), "fourcast: {problem}; log.level counts");
    }
    require_certificate(&loaded.config)?;
    let logger = Logger::begin(&loaded.config.log);
    let mut signals = take_signals()?;
    let server = Server::start(loaded.config.clone()).map_err(|error| match error {
        StartError::Keys(_) => Failure::Config(error.to_string()),
        _ => Failure::Unavailable(error.to_string()),
    })?;
    let greeting = greeting(&loaded, server.addresses(), server.admin_address());
    server.reread_from(move || {
        let again = loaded.again()?;
        logger.obey(&again.config.log);
        Ok(again.config)
    });
    // A server is not there for whoever reads its greeting, and goes on when nobody does.
    let _ = say(&greeting);
    let leaving = obey(&mut signals, &server);
    server.stop(leaving);
    Ok(())
}

/// Obeys signals until one asks the server to stop.
fn obey(signals: &mut Signals, server: &Server) -> Leaving {
    let has_terminal = io::stdin().is_terminal();
    for signal in signals.forever() {
        match signal {
            // The terminal that it was started at was closed, and would leave it to nobody.
            SIGHUP if has_terminal && !io::stdin().is_terminal() => return Leaving::Away,
            SIGHUP => server.reread(),
            SIGINT => return Leaving::Away,
            _ => return Leaving::Restart,
        }
    }
    Leaving::Restart
}

/// From here on signals wait to be read, and the second one that asks the server to stop ends the process at once.
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
        Signals::new([SIGTERM, SIGINT, SIGHUP])
    };
    take().map_err(|error: io::Error| Failure::Failed(format!("cannot wait for signals: {error}")))
}

/// The first lines: what counts, where events are kept, who reaches the server, and something to try.
fn greeting(loaded: &Loaded, addresses: &[Listen], admin: Option<SocketAddr>) -> String {
    let source = describe_source(loaded);
    let journal = describe_journal(&loaded.config.journal);
    let access = describe_access(&loaded.config.access);
    let admin = describe_admin(admin, loaded.config.admin.key.is_some());
    let plainest = addresses.iter().min_by_key(|listen| listen.tls);
    let is_open = loaded.config.access.is_open();
    let attempt = plainest
        .map(|listen| attempt(listen, is_open))
        .unwrap_or_default();
    let addresses = describe_addresses(addresses, loaded.config.socket_mode);
    format!(
        "configuration  {source}\n\
         journal        {journal}\n\
         {addresses}\
         access         {access}\n\
         operator       {admin}\n\
         try            {attempt}\n"
    )
}

/// Publishes and reads.
fn attempt(listen: &Listen, is_open: bool) -> String {
    let place = match &listen.endpoint {
        // No certificate is made for the address by which this machine reaches itself.
        Endpoint::Tcp(address) if listen.tls => format!("-k https://{}/chat", from_here(*address)),
        Endpoint::Tcp(address) => format!("http://{}/chat", from_here(*address)),
        Endpoint::Unix(path) => {
            format!("--unix-socket {} http://localhost/chat", path.display())
        }
    };
    match is_open {
        true => format!("curl -d hello {place} && curl {place}"),
        false => format!("curl -H \"Authorization: Bearer $KEY\" -d hello {place}"),
    }
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
    use crate::config::{Config, Mode};

    fn greeting_at(address: &str) -> String {
        greeting_of(address.parse::<SocketAddr>().unwrap().into())
    }

    fn greeting_of(address: Listen) -> String {
        greeting_with(&[address], Config::default())
    }

    fn greeting_with(addresses: &[Listen], config: Config) -> String {
        let loaded = Loaded {
            config,
            source: None,
            unheeded: None,
        };
        greeting(&loaded, addresses, loaded.config.admin.listen)
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
    fn a_unix_socket_is_tried_by_its_path() {
        let text = greeting_of(Listen::unix("/run/f.sock"));
        for part in [
            "address        unix:/run/f.sock, only this machine reaches it",
            "curl -d hello --unix-socket /run/f.sock http://localhost/chat && curl --unix-socket",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn what_is_tried_is_what_works_there() {
        let [plain, secured] = [false, true].map(|tls| Listen {
            tls,
            ..Listen::from(SocketAddr::from(([127, 0, 0, 1], 8443)))
        });
        let text = greeting_with(&[secured.clone(), plain], Config::default());
        assert!(text.contains("curl -d hello http://127.0.0.1:8443/chat &&"));
        let mut closed = Config::default();
        closed.access.mode = Mode::Closed;
        let text = greeting_with(&[secured], closed);
        let told =
            "curl -H \"Authorization: Bearer $KEY\" -d hello -k https://127.0.0.1:8443/chat\n";
        assert!(text.ends_with(told), "{text}");
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
}
