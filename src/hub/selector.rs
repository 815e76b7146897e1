//! What a subscriber asks for: channels and patterns, and from which place on each of them counts.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::channel::{self, ChannelName, ChannelNameError};
use crate::event::Event;

/// One channel, or one pattern of channels: `*` is one segment, a last `**` is one or more.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Selector {
    /// Exactly this channel.
    Channel(ChannelName),
    /// Every channel that the pattern matches.
    Pattern(Pattern),
}

/// A pattern of channels, at least one of whose segments is `*` or `**`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: Arc<str>,
}

impl Selector {
    /// The pattern `**`, which every channel matches.
    pub fn everything() -> Self {
        Selector::Pattern(Pattern { text: "**".into() })
    }

    /// Whether `name` is asked for.
    pub fn matches(&self, name: &ChannelName) -> bool {
        match self {
            Selector::Channel(channel) => channel == name,
            Selector::Pattern(pattern) => pattern.matches(name),
        }
    }

    /// Whether every channel that `other` matches is matched by this one too.
    pub fn covers(&self, other: &Selector) -> bool {
        match (self, other) {
            (_, Selector::Channel(name)) => self.matches(name),
            (Selector::Channel(_), Selector::Pattern(_)) => false,
            (Selector::Pattern(outer), Selector::Pattern(inner)) => outer.covers(inner),
        }
    }

    /// Whether it may stand for several channels.
    pub fn is_pattern(&self) -> bool {
        matches!(self, Selector::Pattern(_))
    }

    /// The selector as it was written.
    pub fn as_str(&self) -> &str {
        match self {
            Selector::Channel(channel) => channel.as_str(),
            Selector::Pattern(pattern) => &pattern.text,
        }
    }
}

impl Pattern {
    /// Whether `name` fits, segment by segment.
    pub fn matches(&self, name: &ChannelName) -> bool {
        let mut segments = name.as_str().split('/');
        for part in self.text.split('/') {
            match (part, segments.next()) {
                (_, None) => return false,
                ("**", Some(_)) => return true,
                ("*", Some(_)) => {}
                (part, Some(segment)) if part == segment => {}
                _ => return false,
            }
        }
        segments.next().is_none()
    }

    /// Whether every channel that `inner` matches is matched by this pattern too.
    fn covers(&self, inner: &Pattern) -> bool {
        let mut parts = inner.text.split('/');
        for part in self.text.split('/') {
            match (part, parts.next()) {
                (_, None) => return false,
                // It stands for one segment or more, as whatever is left of the other does.
                ("**", Some(_)) => return true,
                // It may stand for several where this has one.
                (_, Some("**")) => return false,
                ("*", Some(_)) => {}
                (part, Some(other)) if part == other => {}
                _ => return false,
            }
        }
        parts.next().is_none()
    }
}

/// Why a text is neither a channel nor a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelectorError {
    /// A segment that no channel could have.
    Name(ChannelNameError),
    /// `**` somewhere else than at the end.
    DeepWildcardInside,
    /// `*` beside other characters of a segment.
    PartialWildcard,
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        if !text.as_bytes().contains(&b'*') {
            return text
                .parse()
                .map(Selector::Channel)
                .map_err(SelectorError::Name);
        }
        channel::check_shape(text).map_err(SelectorError::Name)?;
        let mut segments = text.split('/').peekable();
        while let Some(segment) = segments.next() {
            match segment {
                "*" => {}
                "**" if segments.peek().is_none() => {}
                "**" => return Err(SelectorError::DeepWildcardInside),
                _ if segment.contains('*') => return Err(SelectorError::PartialWildcard),
                _ => channel::check_segment(segment.as_bytes()).map_err(SelectorError::Name)?,
            }
        }
        Ok(Selector::Pattern(Pattern { text: text.into() }))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::DeepWildcardInside => {
                f.write_str("'**' may only be the last segment of a pattern")
            }
            Self::PartialWildcard => {
                f.write_str("'*' stands for a whole segment; it cannot be a part of one")
            }
        }
    }
}

impl std::error::Error for SelectorError {}

#[cfg(test)]
thread_local! {
    /// How many names this thread has matched against all terms of a selection.
    pub(crate) static MATCHED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// What one subscriber examines: its selectors, and from which place on each channel counts.
#[derive(Debug, Clone)]
pub struct Selection {
    terms: Vec<Term>,
    starts: Option<Arc<HashMap<ChannelName, u64>>>,
    folded: u64,
    live_after: u64,
}

#[derive(Debug, Clone)]
struct Term {
    selector: Selector,
    after: u64,
}

impl Default for Selection {
    fn default() -> Self {
        Selection {
            terms: Vec::new(),
            starts: None,
            folded: 0,
            live_after: u64::MAX,
        }
    }
}

impl Selection {
    /// Selectors that count from the beginning.
    pub fn new(selectors: impl IntoIterator<Item = Selector>) -> Self {
        let selectors = selectors.into_iter();
        let mut selection = Selection::default();
        selection.terms.reserve(selectors.size_hint().0);
        for selector in selectors {
            selection.add(selector, 0);
        }
        selection
    }

    /// Says that the subscriber has been listening since `head`: what came later is delivered to it even
    /// when its own time to live has passed on the way.
    pub fn live_after(mut self, head: u64) -> Self {
        self.live_after = head;
        self
    }

    /// Adds a selector that counts for events beyond `after`; one that is there already stays as it is.
    pub fn add(&mut self, selector: Selector, after: u64) {
        if !self.contains(&selector) {
            self.terms.push(Term { selector, after });
        }
    }

    /// Takes a selector away; says whether it was there.
    pub fn remove(&mut self, selector: &Selector) -> bool {
        let before = self.terms.len();
        self.terms.retain(|term| term.selector != *selector);
        self.terms.len() < before
    }

    /// Lets `channel` count only beyond `seq`: neither its events up to there nor their loss is told.
    pub fn excuse(&mut self, channel: &ChannelName, seq: u64) {
        if let [
            Term {
                selector: Selector::Channel(name),
                after,
            },
        ] = &mut self.terms[..]
        {
            if name == channel {
                *after = seq.max(*after);
            }
            return;
        }
        let starts = Arc::make_mut(self.starts.get_or_insert_default());
        let start = starts.entry(channel.clone()).or_default();
        *start = seq.max(*start);
    }

    /// The same for the losses of channels without a record.
    pub fn excuse_folded(&mut self, seq: u64) {
        self.folded = self.folded.max(seq);
    }

    /// Where one at `place` begins to be owed everything that the selectors match, as anyone else is with the
    /// same ones: beyond `place` where its only channel begins later. `None` while one of several does.
    pub fn whole_after(&self, place: u64) -> Option<u64> {
        if let Some(name) = self.only_channel() {
            return self.begins_after(name).map(|begin| begin.max(place));
        }
        let starts = self.starts.iter().flat_map(|starts| starts.values());
        let mut begins = self.terms.iter().map(|term| &term.after).chain(starts);
        begins.all(|begin| *begin <= place).then_some(place)
    }

    /// Forgets where single channels began once everything up to `place` was examined.
    pub fn settle(&mut self, place: u64) {
        if self
            .starts
            .as_ref()
            .is_some_and(|starts| starts.values().all(|start| *start <= place))
        {
            self.starts = None;
        }
    }

    /// Whether this very selector is there.
    pub fn contains(&self, selector: &Selector) -> bool {
        self.terms.iter().any(|term| term.selector == *selector)
    }

    /// The selectors, in the order in which they were added.
    pub fn selectors(&self) -> impl Iterator<Item = &Selector> {
        self.terms.iter().map(|term| &term.selector)
    }

    /// How many selectors there are.
    pub fn len(&self) -> usize {
        self.terms.len()
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The one channel that is all of this selection, if it is one.
    pub fn only_channel(&self) -> Option<&ChannelName> {
        match &self.terms[..] {
            [
                Term {
                    selector: Selector::Channel(name),
                    ..
                },
            ] => Some(name),
            _ => None,
        }
    }

    /// The channels, if there are no patterns.
    pub fn channels(&self) -> Option<Vec<&ChannelName>> {
        let channel = |term| match term {
            &Term {
                selector: Selector::Channel(ref name),
                ..
            } => Some(name),
            _ => None,
        };
        self.terms.iter().map(channel).collect()
    }

    /// The seq beyond which events of `name` are asked for; `None` if they are not.
    pub fn begins_after(&self, name: &ChannelName) -> Option<u64> {
        #[cfg(test)]
        MATCHED.set(MATCHED.get() + 1);
        let terms = self.terms.iter().filter(|term| term.selector.matches(name));
        let after = terms.map(|term| term.after).min()?;
        let start = self
            .starts
            .as_ref()
            .and_then(|starts| starts.get(name))
            .copied();
        Some(after.max(start.unwrap_or(0)))
    }

    /// The seq beyond which losses of channels without a record count.
    pub fn folded_after(&self) -> u64 {
        let after = self
            .terms
            .iter()
            .map(|term| term.after)
            .min()
            .unwrap_or(u64::MAX);
        self.folded.max(after)
    }

    /// Whether this event is asked for.
    pub fn matches(&self, event: &Event) -> bool {
        self.begins_after(event.channel.name())
            .is_some_and(|after| event.id.seq > after)
    }

    /// Whether this event, which is asked for, is still owed at `now` (milliseconds since 1970).
    pub fn is_owed(&self, event: &Event, now: u64) -> bool {
        !event.expired(now) || event.id.seq > self.live_after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str, name: &str) -> bool {
        selector
            .parse::<Selector>()
            .unwrap()
            .matches(&name.parse().unwrap())
    }

    #[test]
    fn a_star_is_one_segment_and_two_at_the_end_are_one_or_more() {
        for (selector, name, expected) in [
            ("a", "a", true),
            ("a", "a/b", false),
            ("*", "a", true),
            ("*", "a/b", false),
            ("**", "a/b/c", true),
            ("a/*", "a/b", true),
            ("a/*", "a", false),
            ("a/*", "a/b/c", false),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("*/b", "a/b", true),
            ("*/b", "a/c", false),
            ("a/*/c", "a/b/c", true),
            ("a/*/**", "a/b", false),
            ("a/*/**", "a/b/c/d", true),
        ] {
            assert_eq!(matches(selector, name), expected, "{selector} on {name}");
        }
    }

    #[test]
    fn a_selector_covers_what_matches_nothing_that_it_does_not() {
        let all = [
            "a", "b", "*", "**", "a/*", "a/**", "*/b", "*/*", "*/**", "a/b", "a/b/c", "a/*/c",
            "a/*/**", "*/*/c",
        ];
        let names = ["a", "b", "c"];
        let mut channels: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        for depth in 0..4 {
            let deep: Vec<_> = channels
                .iter()
                .filter(|c| c.matches('/').count() == depth)
                .cloned()
                .collect();
            channels.extend(
                deep.iter()
                    .flat_map(|c| names.map(|name| format!("{c}/{name}"))),
            );
        }
        for outer in all {
            for inner in all {
                let covered = channels
                    .iter()
                    .filter(|name| matches(inner, name))
                    .all(|name| matches(outer, name));
                let [outer, inner]: [Selector; 2] =
                    [outer, inner].map(|text| text.parse().unwrap());
                assert_eq!(outer.covers(&inner), covered, "{outer} over {inner}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in [
            "a*", "**/a", "a/**/b", "***", "a/*b", "*/..", "-/*", "*/", "é/*",
        ] {
            assert!(text.parse::<Selector>().is_err(), "{text}");
        }
    }

    #[test]
    fn several_are_whole_where_the_last_of_them_begins_and_one_channel_from_there() {
        let one = |after| {
            let mut selection = Selection::default();
            selection.add("a".parse().unwrap(), after);
            selection
        };
        assert_eq!(one(4).whole_after(2), Some(4));
        assert_eq!(one(4).whole_after(6), Some(6));
        let mut several = one(4);
        several.add("b/*".parse().unwrap(), 0);
        assert_eq!(several.whole_after(3), None);
        assert_eq!(several.whole_after(4), Some(4));
        several.excuse(&"b/c".parse().unwrap(), 7);
        assert_eq!(several.whole_after(6), None);
        several.settle(7);
        assert_eq!(several.whole_after(6), Some(6));
    }

    #[test]
    fn a_selector_counts_from_where_it_was_added() {
        let mut selection = Selection::default();
        selection.add("a/*".parse().unwrap(), 10);
        selection.add("a/b".parse().unwrap(), 4);
        assert_eq!(selection.begins_after(&"a/b".parse().unwrap()), Some(4));
        assert_eq!(selection.begins_after(&"a/c".parse().unwrap()), Some(10));
        assert_eq!(selection.begins_after(&"b".parse().unwrap()), None);
    }
}
