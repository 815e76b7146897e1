//! `fourcast check`: whether a server would start here, and how large it may be. Starts nothing.

use std::fmt::Write as _;

use super::config_file::{
    ConfigFile, describe_access, describe_addresses, describe_admin, describe_journal,
    describe_source, require_certificate,
};
use super::{Failure, say};
use crate::access::token::verifier::Verifier;
use crate::config::{Config, Tokens};
use crate::server::budget::Budget;
use crate::server::memory::{self, Memory};

const EXAMPLES: &str = "\
Examples:
  fourcast check                                    the file that 'fourcast' would use
  fourcast check --config new.toml && cp new.toml /etc/fourcast/config.toml
  FOURCAST_LIMITS__CONNECTIONS=50000 fourcast check   what would it take?

Exit codes: 0 the configuration can be used, 78 it cannot; every problem is named, with its line.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    file: ConfigFile,
}

/// Reads the configuration and the bounds of this host, and says what follows from them.
pub fn run(args: &Args) -> Result<(), Failure> {
    let loaded = args.file.load()?;
    require_certificate(&loaded.config)?;
    let source = describe_source(&loaded);
    let journal = describe_journal(&loaded.config.journal);
    let tokens = describe_tokens(&loaded.config.access.tokens)?;
    let addresses = describe_addresses(&loaded.config.listen, loaded.config.socket_mode);
    let access = describe_access(&loaded.config.access);
    let admin = &loaded.config.admin;
    let admin = describe_admin(admin.listen, admin.key.is_some());
    let wanted = loaded.config.limits.connections;
    let report = report(wanted, &Budget::of_this_process());
    let memory = describe_memory(&loaded.config);
    say(&format!(
        "configuration  good: {source}\n\
         journal        {journal}\n\
         {addresses}\
         access         {access}\n\
         operator       {admin}\n\
         tokens         {tokens}\n\
         memory         {memory}\n\
         {report}"
    ))
}

/// What the server may use, and what of it is there without clients.
fn describe_memory(config: &Config) -> String {
    let memory = Memory::new(config);
    let standing = memory.taken().div_ceil(1 << 20);
    let advice = memory::advice(config).map_or_else(String::new, |advice| format!(": {advice}"));
    match memory.budget() {
        Some(budget) => format!(
            "{} MiB, {standing} of them without any client{advice}",
            budget >> 20
        ),
        None => format!("no bound is known, {standing} MiB without any client"),
    }
}

/// How tokens have to be signed. Reads the files of keys, which a server does not start without.
fn describe_tokens(tokens: &Tokens) -> Result<String, Failure> {
    let read = Verifier::source(tokens).read();
    read.map_err(|trouble| {
        Failure::Config(format!("the configuration cannot be used: {trouble}"))
    })?;
    let names: Vec<&str> = tokens
        .algorithms
        .iter()
        .map(|algorithm| algorithm.name())
        .collect();
    Ok(match names.is_empty() {
        true => "not accepted, there is no key".to_owned(),
        false => format!("signed by {}", names.join(", ")),
    })
}

fn report(wanted: usize, budget: &Budget) -> String {
    let grant = budget.grant(wanted);
    let mut report = match &grant.lowered {
        None => format!("connections    {wanted}, as limits.connections says\n"),
        Some(why) => format!("connections    {}: {why}\n", grant.granted),
    };
    report.push_str("\nWhat this host allows, where a connection is a thread and a file:\n");
    for reading in &budget.readings {
        let bounds = match budget.reason == Some(*reading) {
            true => "  <- the tightest",
            false => "",
        };
        let (limit, allowed) = (reading.to_string(), reading.connections());
        // Writing into a String cannot fail.
        let _ = writeln!(report, "  {limit:<48} {allowed:>10} connections{bounds}");
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::budget::{Reading, Setting};

    fn budget(files: u64) -> Budget {
        let reading = |setting, limit| Reading {
            setting,
            limit,
            taken: 0,
        };
        Budget::of(vec![
            reading(Setting::MaxMapCount, 65_530),
            reading(Setting::OpenFiles, files),
        ])
    }

    #[test]
    fn a_wish_that_this_host_grants_is_said_in_one_line() {
        let report = report(10_000, &budget(20_000));
        assert!(
            report.starts_with("connections    10000, as limits.connections says\n"),
            "{report}"
        );
        assert!(report.contains("vm.max_map_count is 65530"), "{report}");
    }

    #[test]
    fn a_wish_beyond_this_host_is_said_with_the_setting_that_lifts_it() {
        let report = report(10_000, &budget(1_024));
        assert!(report.starts_with("connections    768: "), "{report}");
        assert!(report.contains("LimitNOFILE=10256"), "{report}");
        let tightest = report
            .lines()
            .find(|line| line.ends_with("<- the tightest"));
        assert!(tightest.unwrap().contains("RLIMIT_NOFILE is 1024"));
    }
}
