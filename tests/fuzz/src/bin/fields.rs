//! Values of header fields: each line of the input is the value of a field that came several times.

#![no_main]

use fourcast::event::Cursor;
use fourcast::http::fields::{
    Authority, MediaType, NoneMatch, accepts, has_token, if_none_match, is_token, list, prefer_wait,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let values: Vec<&str> = text.lines().map(str::trim).collect();
    lists(&values);
    negotiation(&values);
    for value in &values {
        authority(value);
        media_type(value);
    }
});

fn lists(values: &[&str]) {
    for member in values.iter().flat_map(|value| list(value)) {
        assert_eq!(member, member.trim_matches([' ', '\t']));
        assert!(!member.is_empty());
        if is_token(member) {
            assert!(has_token(values.iter().copied(), member));
            assert!(has_token(
                values.iter().copied(),
                &member.to_ascii_uppercase()
            ));
        }
    }
}

fn negotiation(values: &[&str]) {
    let all = || values.iter().copied();
    let joined = values.join("\n").to_ascii_lowercase();
    for essence in ["text/event-stream", "application/x-ndjson"] {
        if accepts(all(), essence) {
            assert!(joined.contains(essence), "a wildcard asks for no stream");
        }
    }
    if let Some(wait) = prefer_wait(all()) {
        assert!(joined.contains("wait"));
        assert_eq!(wait.subsec_nanos(), 0);
    }
    if let Some(NoneMatch::Tagged(Some(cursor))) = if_none_match(all(), Cursor::parse) {
        assert!(joined.contains(&cursor.to_string()));
    }
}

fn authority(value: &str) {
    let Some(authority) = Authority::parse(value) else {
        return;
    };
    let written = authority.to_string();
    assert_eq!(Authority::parse(&written).as_ref(), Some(&authority));
    assert!(written.is_ascii());
    for evil in ['/', '@', '?', '#', '\\', ' ', '%', ',', '"', '\''] {
        assert!(!written.contains(evil), "{written:?}");
    }
}

fn media_type(value: &str) {
    let Some(media_type) = MediaType::parse(value) else {
        return;
    };
    let again = MediaType::parse(media_type.as_str()).expect("it is one already");
    assert_eq!(again.as_str(), media_type.as_str());
    let essence = media_type
        .as_str()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    assert!(media_type.is(essence) && media_type.is(&essence.to_ascii_uppercase()));
    let charset = media_type.charset();
    assert!(charset.is_none_or(|charset| value.contains(charset)));
}
