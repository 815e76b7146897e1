//! Who may do what, as the configuration says it: values, and how they are read.

use std::fmt;
use std::sync::Arc;

use super::error::Place;
use super::reader::{Reader, Section};
use super::units::selector;
use super::written::Written;
use super::{Config, Listen, Tokens, tokens};
use crate::access::keys::KeyHash;
use crate::access::rights::Rights;

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Access {
    /// Whether everyone may do everything.
    pub mode: Mode,
    /// What those may do who show nothing, where not everyone may do everything. All others may do it too.
    pub anonymous: Rights,
    /// Which tokens count.
    pub tokens: Tokens,
    /// The API keys.
    pub keys: Vec<ApiKey>,
}

/// Whether everyone may do everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Not once something else says who may do what; until then yes, which only this machine's users may reach.
    #[default]
    Auto,
    /// Yes, from wherever they come.
    Open,
    /// No.
    Closed,
}

/// An API key, which is not known itself.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiKey {
    /// Whose it is: 1 to 64 characters of `A-Z a-z 0-9 _ . ~ : @ -`.
    pub name: Arc<str>,
    /// Its hash.
    pub hash: KeyHash,
    /// What it allows.
    pub rights: Rights,
}

/// The longest name of a key.
const NAME_CHARACTERS: usize = 64;

impl Access {
    /// Whether everyone may do everything.
    pub fn is_open(&self) -> bool {
        match self.mode {
            Mode::Auto => !self.says_who(),
            Mode::Open => true,
            Mode::Closed => false,
        }
    }

    /// Whether it says who may do what.
    fn says_who(&self) -> bool {
        !self.anonymous.are_none() || !self.keys.is_empty() || self.tokens.are_accepted()
    }
}

impl Config {
    /// How others than this machine's users reach the server, if everyone may do everything and nobody said that
    /// this is meant: with that a server does not start.
    pub fn unguarded(&self) -> Option<Reach> {
        if !self.access.is_open() || self.access.mode == Mode::Open {
            return None;
        }
        let mut places = self.listen.iter();
        let place = places.find(|place| !place.is_of_this_machine());
        // Also one that does not say whom it brings.
        let through_proxies = !self.proxies.trusted.is_empty();
        // A proxy of which nothing is said, that passes on the name by which it was called.
        let by_name = !self.hosts.is_empty();
        place
            .cloned()
            .map(Reach::Place)
            .or(through_proxies.then_some(Reach::Proxies))
            .or(by_name.then_some(Reach::Hosts))
    }
}

/// How others than this machine's users reach a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// At this place.
    Place(Listen),
    /// Through a proxy that is trusted.
    Proxies,
    /// By a name that is not one of this machine.
    Hosts,
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reach::Place(place) => write!(f, "other machines reach {place}"),
            Reach::Proxies => f.write_str("others come in through the proxies of proxies.trusted"),
            Reach::Hosts => f.write_str("others call it by the names of hosts"),
        }
    }
}

/// What can be put into a configuration that does not say who may do what, for a server that others `reach`.
pub(crate) fn advice(reach: &Reach) -> String {
    format!(
        "{reach}, and nothing says who may do what. Add one of these to the configuration:\n\
         \n\
         [access]\n\
         mode = \"open\"              # whoever reaches it may read, publish and delete\n\
         \n\
         [access]\n\
         mode = \"closed\"            # or whoever has a key, which 'fourcast key new' makes\n\
         \n\
         [[access.keys]]\n\
         name = \"backend\"\n\
         hash = \"sha256:…\"          # as that command prints it\n\
         subscribe = [\"**\"]\n\
         publish = [\"**\"]\n"
    )
}

pub(super) fn read(section: &mut Section<'_>, access: &mut Access) {
    // Whoever writes anything here but the mode does not mean everyone, though what he wrote lets nobody in.
    if !section.is_empty() {
        access.mode = Mode::Closed;
    }
    section.set("mode", &mut access.mode, mode);
    section.section("anonymous", |section| {
        rights(section, &mut access.anonymous);
    });
    section.section("tokens", |section| {
        tokens::read(section, &mut access.tokens);
    });
    section.set_entries("keys", &mut access.keys, key);
}

fn mode(written: &Written) -> Result<Mode, String> {
    match written.text() {
        Some("auto") => Ok(Mode::Auto),
        Some("open") => Ok(Mode::Open),
        Some("closed") => Ok(Mode::Closed),
        _ => Err(written.but_expected("\"auto\", \"open\" or \"closed\"")),
    }
}

fn rights(section: &mut Section<'_>, rights: &mut Rights) {
    section.set_list("subscribe", &mut rights.subscribe, selector);
    section.set_list("publish", &mut rights.publish, selector);
    section.set_list("delete", &mut rights.delete, selector);
}

fn key(entry: &mut Section<'_>, place: &Place) -> Option<ApiKey> {
    for (key, example) in [("name", "\"backend\""), ("hash", "\"sha256:…\"")] {
        if !entry.has(key) {
            entry.refuse(
                place,
                format!("has no {key}; 'fourcast key new' prints one: {key} = {example}"),
            );
        }
    }
    let (mut name, mut hash, mut allowed) = (None, None, Rights::default());
    entry.set("name", &mut name, |written| key_name(written).map(Some));
    entry.set("hash", &mut hash, |written| key_hash(written).map(Some));
    rights(entry, &mut allowed);
    Some(ApiKey {
        name: name?,
        hash: hash?,
        rights: allowed,
    })
}

/// Whether an API key may be called so.
pub(crate) fn is_key_name(text: &str) -> bool {
    let is_known = |b: u8| b.is_ascii_alphanumeric() || b"_.~:@-".contains(&b);
    (1..=NAME_CHARACTERS).contains(&text.len()) && text.bytes().all(is_known)
}

fn key_name(written: &Written) -> Result<Arc<str>, String> {
    written
        .text()
        .filter(|text| is_key_name(text))
        .map(Arc::from)
        .ok_or_else(|| {
            written.but_expected(format_args!(
                "a name of 1 to {NAME_CHARACTERS} characters of A-Z a-z 0-9 _ . ~ : @ -"
            ))
        })
}

/// What stood there is not told: it may be the key itself, and messages end up in logs.
fn key_hash(written: &Written) -> Result<KeyHash, String> {
    let hash = written.text().and_then(|text| text.parse().ok());
    hash.ok_or_else(|| {
        "expected the hash of a key, not the key: \"sha256:\" and 64 hexadecimal digits".to_owned()
    })
}

/// Of two keys with one name nobody could tell which one was used, and of two with one hash which rights count.
pub(super) fn require_keys_of_their_own(reader: &mut Reader, keys: &[ApiKey]) {
    // An entry that could not be read is not among these, and their places would be others.
    if !reader.is_clean() {
        return;
    }
    for (index, key) in keys.iter().enumerate() {
        let mut before = keys.iter().take(index);
        if before.clone().any(|other| other.name == key.name) {
            let message = format!("another key before it is called \"{}\" too", key.name);
            reader.refuse(&[&format!("access.keys[{index}].name")], message);
        } else if let Some(other) = before.find(|other| other.hash == key.hash) {
            let message = format!("\"{}\" before it is this very key", other.name);
            reader.refuse(&[&format!("access.keys[{index}].hash")], message);
        }
    }
}

/// A port that others reach is open to them only if somebody says so.
pub(super) fn require_a_word_on_who_may(reader: &mut Reader, config: &Config) {
    if let Some(reach) = config.unguarded() {
        let keys: &[&str] = match reach {
            Reach::Place(_) => &["listen"],
            Reach::Proxies => &["proxies.client", "proxies.trusted"],
            Reach::Hosts => &["hosts"],
        };
        reader.refuse(keys, advice(&reach));
    }
}
