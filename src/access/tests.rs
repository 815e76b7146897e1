//! Who is let in with what, and what becomes of a pass when something else counts.

use super::current::Current;
use super::*;
use crate::access::rights::Action;
use crate::config::Config;
use crate::http::head::{Ceilings, parse};

const KEY: &str = "fck_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const OTHER: &str = "fck_BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn access(text: &str) -> Arc<Access> {
    let config = Config::from_toml(text).unwrap();
    Current::new(&config.access).unwrap().get()
}

fn with_key(name: &str, key: &str, subscribe: &str) -> String {
    let hash = KeyHash::of(key);
    format!(
        "[[access.keys]]\nname = \"{name}\"\nhash = \"{hash}\"\nsubscribe = [\"{subscribe}\"]\n"
    )
}

fn admit(access: &Access, shown: &str) -> Result<Pass, Refusal> {
    let field = match shown {
        "" => String::new(),
        _ => format!("Authorization: Bearer {shown}\r\n"),
    };
    let ceilings = Ceilings {
        head_bytes: 10_000,
        target_bytes: 100,
        fields: 10,
    };
    let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n");
    let (head, _) = parse(text.as_bytes(), &ceilings).unwrap().unwrap();
    let parameters = Parameters::parse(head.query());
    access.admit(&head, &parameters, &Visitor::unknown(), |_| {})
}

fn reads(pass: &Pass, asked: &str) -> bool {
    pass.check(Action::Subscribe, &asked.parse().unwrap())
        .is_ok()
}

#[test]
fn where_it_is_open_everyone_may_do_everything() {
    for text in ["", "[access]\nmode = \"open\"\n"] {
        let access = access(text);
        let pass = admit(&access, "").unwrap();
        assert!(reads(&pass, "**"), "{text}");
        assert_eq!(*pass.holder(), Holder::Anonymous);
    }
}

#[test]
fn a_key_has_its_name_and_its_rights() {
    let access = access(&(with_key("a", KEY, "rooms/*") + &with_key("b", OTHER, "**")));
    let [a, b] = [KEY, OTHER].map(|key| admit(&access, key).unwrap());
    assert_eq!(
        [a.holder(), b.holder()],
        [&Holder::Key("a".into()), &Holder::Key("b".into())]
    );
    assert!(reads(&a, "rooms/*") && !reads(&a, "**") && reads(&b, "**"));
    assert!(!reads(&admit(&access, "").unwrap(), "rooms/42"));
}

/// How long it takes to find a key must not tell which one it is, or whether it is one at all.
#[test]
fn timing_of_key_comparison_tells_no_key() {
    let text = with_key("a", KEY, "**") + &with_key("b", OTHER, "**") + &with_key("c", "c", "**");
    let keys = Config::from_toml(&text).unwrap().access.keys;
    for (shown, expected) in [
        (KEY, Some("a")),
        (OTHER, Some("b")),
        ("c", Some("c")),
        ("d", None),
    ] {
        let mut compared = 0;
        let found = find(keys.iter().inspect(|_| compared += 1), KeyHash::of(shown));
        assert_eq!(found.map(|key| &*key.name), expected);
        assert_eq!(compared, keys.len(), "{shown}");
    }
}

#[test]
fn whoever_may_do_everything_may_show_what_is_meant_for_somebody_else() {
    for text in ["", "[access]\nmode = \"open\"\n"] {
        let access = access(text);
        for shown in [KEY, "a.b.c", "nonsense", " "] {
            let pass = admit(&access, shown).unwrap();
            assert_eq!(*pass.holder(), Holder::Anonymous, "{shown}");
        }
    }
}

#[test]
fn what_is_not_valid_is_refused_even_where_nothing_is_needed() {
    let unknown = KEY.replace("fck_A", "fck_C");
    let public = "[access.anonymous]\nsubscribe = [\"**\"]\n";
    for text in [public, &with_key("a", KEY, "**")] {
        let access = access(text);
        for shown in [&unknown, "a.b.c", "nonsense", " ", &KEY.to_lowercase()] {
            let refusal = admit(&access, shown).unwrap_err();
            assert_eq!(refusal.kind, Kind::BadToken, "{shown}");
            assert!(
                !refusal.detail.contains(shown.trim_end()) || shown == " ",
                "{refusal}"
            );
            let challenge = refusal.field.map(|(_, value)| value.into_owned());
            assert_eq!(challenge.as_deref(), Some("Bearer error=\"invalid_token\""));
        }
    }
}

#[test]
fn what_counts_later_counts_for_passes_that_were_given_before() {
    let before = access(&with_key("a", KEY, "rooms/*"));
    let pass = admit(&before, KEY).unwrap();
    assert!(before.gave(&pass));
    let more = access(&with_key("renamed", KEY, "**"));
    let renewed = more.renew(&pass).unwrap();
    assert!(reads(&renewed, "**") && more.gave(&renewed) && !more.gave(&pass));
    assert_eq!(*renewed.holder(), Holder::Key("renamed".into()));
    for gone in ["", &with_key("a", OTHER, "rooms/*")] {
        let refusal = access(gone).renew(&pass).unwrap_err();
        assert_eq!(refusal.kind, Kind::BadToken, "{gone}");
        assert!(refusal.field.is_some(), "a challenge (RFC 6750, section 3)");
    }
    let anonymous = admit(&access(""), "").unwrap();
    let renewed = more.renew(&anonymous).unwrap();
    assert!(reads(&anonymous, "a") && !reads(&renewed, "a"));
}

#[test]
fn a_token_keeps_what_it_was_given() {
    let everything = Rights::all();
    let pass = Pass::new(Holder::Subject("a".into()), everything, None);
    let renewed = access("[access]\nmode = \"closed\"").renew(&pass).unwrap();
    assert!(reads(&renewed, "**"));
}
