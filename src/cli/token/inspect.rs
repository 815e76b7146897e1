//! `fourcast token inspect`: what is in a token, in words, and whether the configuration accepts it.

use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::time::{Duration, SystemTime};

use super::super::config_file::ConfigFile;
use super::super::{Failure, say};
use crate::access::pass::Pass;
use crate::access::rights::{Action, Rights};
use crate::access::token::claims::Claims;
use crate::access::token::compact::{Compact, LONGEST};
use crate::access::token::verifier::Verifier;
use crate::hub::selector::Selector;

const EXAMPLES: &str = "\
Examples:
  fourcast token inspect < token.txt                      so that it does not stand in the history of the shell
  fourcast token new --subject ana --subscribe '**' | fourcast token inspect
  pbpaste | fourcast token inspect --config /etc/fourcast/config.toml

Exit codes: 0 the configuration accepts it, 1 it does not; what is printed is not verified then.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The token; without it, or with -, it is read from standard input
    token: Option<String>,
    #[command(flatten)]
    file: ConfigFile,
}

/// Prints what is in the token, and fails when the configuration does not accept it. Blocks until it was read.
pub fn run(args: &Args) -> Result<(), Failure> {
    let tokens = args.file.load()?.config.access.tokens;
    let verifier = Verifier::source(&tokens).read().map_err(Failure::Config)?;
    let text = args.text()?;
    let token = text.trim();
    let token = token.strip_prefix("Bearer ").unwrap_or(token);
    let now = SystemTime::now();
    say(&described(token, now))?;
    match verifier.verify(token, now) {
        Ok(pass) => say(&format!("accepted   {}\n", until(&pass, now))),
        Err(refusal) => Err(Failure::Failed(format!(
            "this configuration refuses it: {} ({})",
            refusal.detail,
            refusal.row().code
        ))),
    }
}

impl Args {
    fn text(&self) -> Result<String, Failure> {
        if let Some(token) = self.token.as_ref().filter(|token| *token != "-") {
            return Ok(token.clone());
        }
        let mut text = String::new();
        // With room for what may stand around it.
        let mut input = io::stdin().take(2 * LONGEST as u64);
        let read = input.read_to_string(&mut text);
        read.map_err(|error| Failure::Failed(format!("cannot read the input: {error}")))?;
        Ok(text)
    }
}

/// What it says, verified or not; nothing, if it cannot be read.
fn described(token: &str, now: SystemTime) -> String {
    let Ok(compact) = Compact::parse(token) else {
        return String::new();
    };
    let mut text = format!(
        "header     {}\nclaims     {}\n",
        printable(&compact.header),
        printable(&compact.claims)
    );
    let Ok(claims) = Claims::parse(&compact.claims) else {
        return text;
    };
    let times = [
        ("issued", claims.issued),
        ("not before", claims.not_before),
        ("expires", claims.expires),
    ];
    for (name, time) in times {
        if let Some(time) = time {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{name:<10} {}", in_words(time, now));
        }
    }
    let _ = writeln!(text, "allows     {}", allowed(&claims.rights));
    text
}

/// Whoever made the token may have meant to write on the terminal, or to have it show something else than is there (bidi).
fn printable(json: &[u8]) -> String {
    let escape = |c: char| match c {
        '"' | '\'' | '\\' => c.to_string(),
        _ => c.escape_debug().to_string(),
    };
    String::from_utf8_lossy(json).chars().map(escape).collect()
}

fn until(pass: &Pass, now: SystemTime) -> String {
    match pass.expires() {
        Some(end) => format!("until {}, with the leeway", in_words(end, now)),
        None => "as long as the keys stay as they are".to_owned(),
    }
}

fn in_words(time: SystemTime, now: SystemTime) -> String {
    let date = humantime::format_rfc3339_seconds(time);
    let whole =
        |length: Duration| humantime::format_duration(Duration::from_secs(length.as_secs()));
    match time.duration_since(now) {
        Ok(ahead) => format!("{date}, in {}", whole(ahead)),
        Err(behind) => format!("{date}, {} ago", whole(behind.duration())),
    }
}

fn allowed(rights: &Rights) -> String {
    let actions = [Action::Subscribe, Action::Publish, Action::Delete];
    let parts = actions.into_iter().filter_map(|action| {
        let texts: Vec<&str> = rights.list(action).iter().map(Selector::as_str).collect();
        (!texts.is_empty()).then(|| format!("{} {}", action.name(), texts.join(", ")))
    });
    let parts: Vec<String> = parts.collect();
    match parts.is_empty() {
        true => "nothing".to_owned(),
        false => parts.join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_written_out_and_names_are_not() {
        let json = "{\"sub\":\"Zoë \u{202e}\u{2066}\u{200b}\u{1b}\\n\"}";
        assert_eq!(
            printable(json.as_bytes()),
            r#"{"sub":"Zoë \u{202e}\u{2066}\u{200b}\u{1b}\n"}"#
        );
    }
}
