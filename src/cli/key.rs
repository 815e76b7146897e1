//! `fourcast key`: API keys for backends and devices.

use ring::rand::{SecureRandom as _, SystemRandom};

use super::rights::{RightsArgs, listed};
use super::{Failure, say};
use crate::access::keys::{KeyHash, key_of};
use crate::config::access::is_key_name;

const EXAMPLES: &str = "\
Examples:
  fourcast key new backend --subscribe '**' --publish '**' --delete '**'
  fourcast key new thermometer-7 --publish sensors/7/temperature

'fourcast key new --help' has more.";

const EXAMPLES_OF_NEW: &str = "\
Examples:
  fourcast key new backend --subscribe '**' --publish '**' --delete '**'
  fourcast key new thermometer-7 --publish sensors/7/temperature
  curl -H 'Authorization: Bearer fck_…' -d 21.5 http://127.0.0.1:8080/sensors/7/temperature

The first line is the key, which is kept nowhere and cannot be found out again: give it to whoever is to use it. The
lines after it go into the configuration, and count from the next reload; they have only its hash, and whoever reads
them cannot use the key. To take a key back remove its lines and reload; leave mode = \"closed\", so that without any
key nobody may come in.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make a key, and the lines that let it in
    New(New),
}

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES_OF_NEW)]
struct New {
    /// Whose key it is, for logs and lists: 1 to 64 characters of A-Z a-z 0-9 _ . ~ : @ -
    #[arg(value_parser = name)]
    name: String,
    #[command(flatten)]
    rights: RightsArgs,
}

/// Does what was asked for.
pub fn run(args: &Args) -> Result<(), Failure> {
    let What::New(new) = &args.what;
    if new.rights.rights().are_none() {
        return Err(Failure::Usage(
            "say what the key is for: --subscribe, --publish or --delete, each with a channel or a pattern".to_owned(),
        ));
    }
    let mut random = [0; 32];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| Failure::Failed("the system gives no random numbers".to_owned()))?;
    say(&new.lines(&random))
}

impl New {
    fn lines(&self, random: &[u8; 32]) -> String {
        let key = key_of(random);
        let hash = KeyHash::of(&key);
        let rights = self.rights.rights();
        format!(
            "{key}\n\n[access]                     # once: if it is there already, its mode alone\n\
             mode = \"closed\"\n\n[[access.keys]]\nname = \"{}\"\nhash = \"{hash}\"\n\
             subscribe = {}\npublish = {}\ndelete = {}\n",
            self.name,
            listed(&rights.subscribe),
            listed(&rights.publish),
            listed(&rights.delete),
        )
    }
}

fn name(text: &str) -> Result<String, String> {
    match is_key_name(text) {
        true => Ok(text.to_owned()),
        false => Err("a name has 1 to 64 characters of A-Z a-z 0-9 _ . ~ : @ -".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    fn new(line: &[&str]) -> Option<New> {
        let line = [&["", "new"], line].concat();
        let What::New(new) = cli::parse::<Args>(line).ok()?.what;
        Some(new)
    }

    /// The hash is what `printf %s KEY | sha256sum` prints.
    #[test]
    fn the_lines_have_the_hash_of_the_key_and_what_it_may_do() {
        let new = new(&["a", "--publish", "b/*", "--publish", "c"]).unwrap();
        let lines = new.lines(&[0; 32]);
        assert_eq!(
            lines,
            "fck_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n\n\
             [access]                     # once: if it is there already, its mode alone\n\
             mode = \"closed\"\n\n\
             [[access.keys]]\nname = \"a\"\n\
             hash = \"sha256:9a62a21e942231b480dfe6602614ad68c90f166be472cefa1723d4ffbc87e802\"\n\
             subscribe = []\npublish = [\"b/*\",\"c\"]\ndelete = []\n"
        );
    }

    #[test]
    fn a_name_or_a_selector_that_is_none_is_refused() {
        for line in [
            &["a b", "--publish", "c"][..],
            &["", "--publish", "c"],
            &["a\"", "--publish", "c"],
            &["a", "--publish", "c*"],
            &["a", "--subscribe", ""],
        ] {
            assert!(new(line).is_none(), "{line:?}");
        }
    }
}
