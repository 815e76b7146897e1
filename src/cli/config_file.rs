//! The option that names the configuration, for every command that reads one, and what is said of what it had.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::Failure;
use crate::config::{Access, Config, Endpoint, Journal, JournalKind, Listen, Loaded, Sync};

/// Which configuration counts.
#[derive(Debug, clap::Args)]
pub(super) struct ConfigFile {
    /// The configuration; without it ./config.toml, else /etc/fourcast/config.toml, else the defaults
    #[arg(long = "config", value_name = "FILE")]
    path: Option<PathBuf>,
}

impl ConfigFile {
    /// Reads it, with the environment put over it.
    pub(super) fn load(&self) -> Result<Loaded, Failure> {
        Config::load_with_environment(self.path.as_deref()).map_err(|error| {
            let problems = error.to_string().replace('\n', "\n  ");
            Failure::Config(format!("the configuration cannot be used:\n  {problems}"))
        })
    }
}

/// The file as an operator finds it from anywhere, or what counts without one.
pub(super) fn describe_source(loaded: &Loaded) -> String {
    match &loaded.source {
        None => "none found, the built-in defaults count".to_owned(),
        Some(path) => std::path::absolute(path)
            .unwrap_or_else(|_| path.clone())
            .display()
            .to_string(),
    }
}

/// Where events are kept, and what a publisher's answer is worth there.
pub(super) fn describe_journal(journal: &Journal) -> String {
    let path = journal.path.display();
    match (journal.kind, journal.sync) {
        (JournalKind::Memory, _) => "in memory, gone when this process ends".to_owned(),
        (JournalKind::Disk, Sync::Always) => {
            format!("{path}, on disk before a publisher is answered")
        }
        (JournalKind::Disk, Sync::Interval(length)) => {
            let length = humantime::format_duration(length);
            format!("{path}, on disk within {length} of a publisher's answer")
        }
        (JournalKind::Disk, Sync::Never) => {
            format!("{path}, on disk when the system writes it")
        }
    }
}

/// A line for each place where clients come in, and who reaches it. `mode` is that of the Unix sockets.
pub(super) fn describe_addresses(addresses: &[Listen], mode: u32) -> String {
    let mut lines = String::new();
    for address in addresses {
        // Writing into a String cannot fail.
        let _ = match &address.endpoint {
            Endpoint::Tcp(at) => writeln!(lines, "address        {address}, {}", reach(at.ip())),
            Endpoint::Unix(_) => writeln!(
                lines,
                "address        {address}, only this machine reaches it, by the rights {mode:04o}"
            ),
        };
    }
    lines
}

/// Who may do what on the data port.
pub(super) fn describe_access(access: &Access) -> String {
    let keys = match access.keys.len() {
        1 => "1 key".to_owned(),
        keys => format!("{keys} keys"),
    };
    match (access.is_open(), access.anonymous.are_none()) {
        (true, _) => "everyone may read, publish and delete".to_owned(),
        (false, true) => format!("whoever shows nothing may do nothing; {keys}"),
        (false, false) => format!("whoever shows nothing may do something; {keys}"),
    }
}

/// Where the operator's port is, and who may use it.
pub(super) fn describe_admin(address: Option<SocketAddr>, has_key: bool) -> String {
    let Some(address) = address else {
        return "off, as admin.listen says".to_owned();
    };
    let reach = reach(address.ip());
    match has_key {
        true => format!("{address}, {reach}, with the key"),
        false => format!("{address}, {reach}"),
    }
}

/// Who reaches an address of this machine.
pub(super) fn reach(ip: IpAddr) -> &'static str {
    match ip.to_canonical() {
        ip if ip.is_loopback() => "only this machine reaches it",
        ip if ip.is_unspecified() => "whoever reaches any address of this machine reaches it",
        _ => "other machines may reach it",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_operators_port_is_told_with_who_may_use_it() {
        let told = |address: &str, has_key| describe_admin(address.parse().ok(), has_key);
        let here = "127.0.0.1:8081, only this machine reaches it";
        assert_eq!(told("127.0.0.1:8081", false), here);
        assert_eq!(
            told("192.168.1.20:8081", true),
            "192.168.1.20:8081, other machines may reach it, with the key"
        );
        assert_eq!(told("off", false), "off, as admin.listen says");
    }

    #[test]
    fn every_address_is_told_with_who_reaches_it() {
        let tcp = |text: &str| Listen::from(text.parse::<SocketAddr>().unwrap());
        let addresses = [
            tcp("127.0.0.1:8080"),
            tcp("0.0.0.0:80"),
            Listen::unix("/run/f.sock"),
        ];
        assert_eq!(
            describe_addresses(&addresses, 0o660),
            "address        127.0.0.1:8080, only this machine reaches it\n\
             address        0.0.0.0:80, whoever reaches any address of this machine reaches it\n\
             address        unix:/run/f.sock, only this machine reaches it, by the rights 0660\n"
        );
    }

    #[test]
    fn who_may_do_what_is_told_in_a_line() {
        let told = |text: &str| describe_access(&Config::from_toml(text).unwrap().access);
        assert_eq!(told(""), "everyone may read, publish and delete");
        assert_eq!(
            told("[access]\nmode = \"closed\""),
            "whoever shows nothing may do nothing; 0 keys"
        );
        assert_eq!(
            told("[access.anonymous]\nsubscribe = [\"public/*\"]"),
            "whoever shows nothing may do something; 0 keys"
        );
    }

    #[test]
    fn a_journal_is_told_with_its_place_and_what_an_answer_is_worth() {
        let interval = Sync::Interval(Duration::from_millis(1_500));
        for (kind, sync, told) in [
            (
                JournalKind::Disk,
                Sync::Always,
                "/srv/events, on disk before a publisher is answered",
            ),
            (
                JournalKind::Disk,
                interval,
                "/srv/events, on disk within 1s 500ms of a publisher's answer",
            ),
            (
                JournalKind::Disk,
                Sync::Never,
                "/srv/events, on disk when the system writes it",
            ),
            (
                JournalKind::Memory,
                Sync::Always,
                "in memory, gone when this process ends",
            ),
        ] {
            let journal = Journal {
                kind,
                sync,
                path: PathBuf::from("/srv/events"),
                ..Journal::default()
            };
            assert_eq!(describe_journal(&journal), told);
        }
    }
}
