//! Selectors, in three lines: an outer one, an inner one and a channel. Whoever may have the outer one may have the
//! inner one exactly if no channel of the inner one is left outside; written down, each is itself again.

#![no_main]

use fourcast::ChannelName;
use fourcast::hub::selector::Selector;
use libfuzzer_sys::fuzz_target;

/// As many as a channel may have.
const SEGMENTS: usize = 8;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    let mut lines = text.split('\n');
    let mut next = || lines.next().unwrap_or_default();
    let (outer, inner, channel) = (next().parse(), next().parse(), next().parse());
    let (outer, inner): (Option<Selector>, Option<Selector>) = (outer.ok(), inner.ok());
    let channel: Option<ChannelName> = channel.ok();
    for selector in outer.iter().chain(&inner) {
        check(selector);
    }
    let (Some(outer), Some(inner)) = (outer, inner) else {
        return;
    };
    let covers = outer.covers(&inner);
    if let Some(channel) = channel {
        assert!(!covers || !inner.matches(&channel) || outer.matches(&channel));
    }
    let outside = witnesses(&outer, &inner).find(|name| !outer.matches(name));
    match covers {
        true => assert_eq!(outside, None, "{outer} over {inner}"),
        // With the most segments, two stars stand for one: it is more than it needs to be, and never less.
        false => assert!(
            outside.is_some() || segments(&inner) == SEGMENTS,
            "{outer} over {inner}"
        ),
    }
});

fn check(selector: &Selector) {
    assert_eq!(selector.to_string().parse().as_ref(), Ok(selector));
    assert!(selector.covers(selector));
    assert!(Selector::everything().covers(selector));
    for part in selector.as_str().split('/') {
        assert!(!part.is_empty() && part != "." && part != "..");
    }
}

fn segments(selector: &Selector) -> usize {
    selector.as_str().split('/').count()
}

/// Channels of `inner` that only wildcards of `outer` could match.
fn witnesses(outer: &Selector, inner: &Selector) -> impl Iterator<Item = ChannelName> {
    let fresh = ["x", "y", "z"]
        .into_iter()
        .find(|fresh| outer.as_str().split('/').all(|part| part != *fresh));
    let fresh = fresh.unwrap_or("fresh-and-in-no-selector");
    let text = inner.as_str().to_owned();
    let room = SEGMENTS - segments(inner);
    let deep = move |length: usize| vec![fresh; length].join("/");
    (1..=room + 1).filter_map(move |length| {
        let parts = text.split('/').map(|part| match part {
            "*" => fresh.to_owned(),
            "**" => deep(length),
            part => part.to_owned(),
        });
        parts.collect::<Vec<_>>().join("/").parse().ok()
    })
}
