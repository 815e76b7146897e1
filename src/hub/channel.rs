//! A channel: its name as the wire allows it, and the shared record of what it has lost.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The name of a channel: 1 to 8 segments joined by `/`, each `[A-Za-z0-9_.~:@-]+` but not `.` or `..`,
/// 255 bytes at most, and the first is not `-`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelName(Arc<str>);

/// Why a text is not the name of a channel; the sentence says what would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelNameError {
    /// No name, or nothing between two slashes.
    EmptySegment,
    /// More than [`ChannelName::MAX_SEGMENTS`] segments.
    TooManySegments,
    /// More than [`ChannelName::MAX_BYTES`] bytes.
    TooLong,
    /// A character outside `[A-Za-z0-9_.~:@-]`.
    BadCharacter,
    /// A segment `.` or `..`, which clients and proxies would resolve.
    DotSegment,
    /// A first segment `-`, which is Fourcast's own.
    Reserved,
}

impl ChannelName {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 255;
    /// The most segments in a name.
    pub const MAX_SEGMENTS: usize = 8;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks one segment of a channel's name.
pub(super) fn check_segment(segment: &[u8]) -> Result<(), ChannelNameError> {
    match segment {
        b"" => Err(ChannelNameError::EmptySegment),
        b"." | b".." => Err(ChannelNameError::DotSegment),
        _ if !segment.iter().all(may_stand_in_name) => Err(ChannelNameError::BadCharacter),
        _ => Ok(()),
    }
}

fn may_stand_in_name(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'~' | b':' | b'@' | b'-')
}

/// Checks what holds for a name and a pattern as a whole.
pub(super) fn check_shape(text: &str) -> Result<(), ChannelNameError> {
    if text.len() > ChannelName::MAX_BYTES {
        return Err(ChannelNameError::TooLong);
    }
    if text.bytes().filter(|&byte| byte == b'/').count() >= ChannelName::MAX_SEGMENTS {
        return Err(ChannelNameError::TooManySegments);
    }
    if text == "-" || text.starts_with("-/") {
        return Err(ChannelNameError::Reserved);
    }
    Ok(())
}

impl FromStr for ChannelName {
    type Err = ChannelNameError;

    fn from_str(text: &str) -> Result<Self, ChannelNameError> {
        check_shape(text)?;
        let mut segments = text.as_bytes().split(|&byte| byte == b'/');
        segments.try_for_each(check_segment)?;
        Ok(ChannelName(text.into()))
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::borrow::Borrow<str> for ChannelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChannelNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptySegment => {
                "a channel is one or more segments joined by '/', none of them empty"
            }
            Self::TooManySegments => "a channel has 8 segments at most",
            Self::TooLong => "a channel's name has 255 bytes at most",
            Self::BadCharacter => "a channel's segments are made of A-Z a-z 0-9 _ . ~ : @ -",
            Self::DotSegment => "'.' and '..' are not segments of a channel",
            Self::Reserved => "the first segment '-' is reserved for Fourcast itself",
        })
    }
}

impl std::error::Error for ChannelNameError {}

/// Why events of a channel are no longer kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossReason {
    /// They left by count, age or bytes.
    Retention,
    /// Somebody asked with DELETE.
    Deleted,
}

/// The record of a channel, shared by the journal and every event of it that is in memory: its name
/// and the highest seq that was lost. Marks only rise, so they are read without a lock.
#[derive(Debug)]
pub struct Channel {
    name: ChannelName,
    lost_through: AtomicU64,
    lost_to_delete: AtomicU64,
    deleted_through: AtomicU64,
}

impl Channel {
    /// A channel that has lost nothing.
    pub fn new(name: ChannelName) -> Self {
        Channel {
            name,
            lost_through: AtomicU64::new(0),
            lost_to_delete: AtomicU64::new(0),
            deleted_through: AtomicU64::new(0),
        }
    }

    /// Its name.
    pub fn name(&self) -> &ChannelName {
        &self.name
    }

    /// Raises the mark: every event of this channel up to `seq` that was still owed is gone.
    pub fn lose(&self, seq: u64, reason: LossReason) {
        // Who reads the tail takes no lock, and looks at these the other way round: at what is deleted, what is lost,
        // and what of it to DELETE. Each store releases what came before it and each load acquires that, so whoever
        // sees that an event is deleted sees that it was lost, and whoever sees that sees why.
        if reason == LossReason::Deleted {
            self.lost_to_delete.fetch_max(seq, Ordering::AcqRel);
        }
        self.lost_through.fetch_max(seq, Ordering::AcqRel);
        if reason == LossReason::Deleted {
            self.delete(seq);
        }
    }

    /// Says that nothing up to `seq` is to be delivered any more, be it owed or not. What of it was owed has to be
    /// [lost](Channel::lose) before: whoever sees that an event is deleted, and not that it was lost, passes over it.
    pub fn delete(&self, seq: u64) {
        self.deleted_through.fetch_max(seq, Ordering::AcqRel);
    }

    /// The highest seq that retention or DELETE took; 0 for none.
    pub fn lost_through(&self) -> u64 {
        self.lost_through.load(Ordering::Acquire)
    }

    /// The highest of these that DELETE took; 0 for none.
    pub fn lost_to_delete(&self) -> u64 {
        self.lost_to_delete.load(Ordering::Acquire)
    }

    /// The seq up to which DELETE forbids delivery; 0 for none.
    pub fn deleted_through(&self) -> u64 {
        self.deleted_through.load(Ordering::Acquire)
    }

    /// Whether something beyond `place` was lost, and why. In the reverse order of [`lose`](Channel::lose).
    pub fn lost_after(&self, place: u64) -> Option<LossReason> {
        if self.lost_through() <= place {
            None
        } else if self.lost_to_delete() > place {
            Some(LossReason::Deleted)
        } else {
            Some(LossReason::Retention)
        }
    }
}

impl PartialEq for Channel {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Channel {}

impl Hash for Channel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_the_wire_allows() {
        for text in [
            "chat",
            "rooms/42",
            "a/b/c/d/e/f/g/h",
            "A-z_0.~:@",
            "...",
            "x/-",
            &"x".repeat(255),
        ] {
            assert!(text.parse::<ChannelName>().is_ok(), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        use ChannelNameError::*;
        let nine = "a/".repeat(8) + "a";
        let long = "x".repeat(256);
        for (text, why) in [
            ("", EmptySegment),
            ("/a", EmptySegment),
            ("a/", EmptySegment),
            ("a//b", EmptySegment),
            (".", DotSegment),
            ("a/..", DotSegment),
            ("a b", BadCharacter),
            ("a\n", BadCharacter),
            ("a\0", BadCharacter),
            ("é", BadCharacter),
            ("a,b", BadCharacter),
            ("*", BadCharacter),
            ("-", Reserved),
            ("-/x", Reserved),
            (nine.as_str(), TooManySegments),
            (long.as_str(), TooLong),
        ] {
            assert_eq!(text.parse::<ChannelName>(), Err(why), "{text:?}");
        }
    }

    #[test]
    fn what_was_deleted_without_being_owed_is_no_loss() {
        let channel = Channel::new("chat".parse().unwrap());
        channel.delete(7);
        assert_eq!(channel.deleted_through(), 7);
        assert_eq!(channel.lost_after(0), None);
        channel.lose(3, LossReason::Retention);
        assert_eq!(channel.lost_after(0), Some(LossReason::Retention));
        assert_eq!(channel.lost_after(3), None);
    }

    #[test]
    fn a_mark_only_rises() {
        let channel = Channel::new("chat".parse().unwrap());
        channel.lose(5, LossReason::Retention);
        channel.lose(3, LossReason::Deleted);
        assert_eq!(channel.lost_through(), 5);
        assert_eq!(channel.lost_after(2), Some(LossReason::Deleted));
        assert_eq!(channel.lost_after(4), Some(LossReason::Retention));
        assert_eq!(channel.lost_after(5), None);
    }
}
