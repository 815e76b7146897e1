//! The members of a JSON object, each as it was written. One that stands twice is an error: of two readers one might take
//! the first and the other the last (RFC 7519, section 4).

use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// More make no sense in a token or a key, and each is compared with all before it.
const MOST: usize = 128;

/// The members of an object, in their order.
pub(super) struct Members(Vec<(String, Box<RawValue>)>);

/// A member that is not what it should be.
pub(super) struct Unfit;

impl Members {
    /// Reads an object.
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        let json = std::str::from_utf8(json).ok()?;
        let mut reader = serde_json::Deserializer::from_str(json);
        let members = reader.deserialize_map(Reader).ok()?;
        reader.end().ok()?;
        Some(members)
    }

    /// Whether there is such a member.
    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The member as a `T`; `None`: there is none.
    pub(super) fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Unfit> {
        let value = self.find(name).map(|raw| serde_json::from_str(raw.get()));
        value.transpose().map_err(|_| Unfit)
    }

    /// The member as an object; `None`: there is none.
    pub(super) fn object(&self, name: &str) -> Result<Option<Members>, Unfit> {
        let object = self
            .find(name)
            .map(|raw| Members::parse(raw.get().as_bytes()));
        object.map(|object| object.ok_or(Unfit)).transpose()
    }

    /// The names, in their order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    fn find(&self, name: &str) -> Option<&RawValue> {
        let mut members = self.0.iter();
        members.find_map(|(own, value)| (own == name).then_some(&**value))
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Members(Vec::new());
        while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
            if members.has(&name) || members.0.len() == MOST {
                return Err(A::Error::custom(
                    "a member stands twice, or there are too many",
                ));
            }
            members.0.push((name, value));
        }
        Ok(members)
    }
}
