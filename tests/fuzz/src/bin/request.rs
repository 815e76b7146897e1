//! A request finds its way: its path, its parameters, its cursors and its origin. What it is granted is within what the
//! server grants; a list of channels reads back; and nobody reads answers whose origin is not allowed.

#![no_main]

use fourcast::Config;
use fourcast::access::pass::{Holder, Pass};
use fourcast::access::rights::Rights;
use fourcast::exchange::negotiate::{Parameters, Way, negotiate};
use fourcast::exchange::origin::{Visitor, is_own};
use fourcast::exchange::route::Route;
use fourcast::http::Version;
use fourcast::http::head::{Ceilings, Head, parse};
use fourcast::http::response::{Answering, Response};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use std::time::UNIX_EPOCH;

const CEILINGS: Ceilings = Ceilings {
    head_bytes: 4096,
    target_bytes: 2048,
    fields: 30,
};
const SELECTORS: usize = 20;

static CONFIG: LazyLock<Config> = LazyLock::new(|| Config {
    origins: vec![
        "https://app.example.com".to_owned(),
        "https://*.example.org:8443".to_owned(),
    ],
    ..Config::default()
});

fuzz_target!(|input: &[u8]| {
    let Ok(Some((head, _))) = parse(input, &CEILINGS) else {
        return;
    };
    check_origin(&head);
    let Ok(route) = Route::find(head.path(), SELECTORS) else {
        return;
    };
    let Route::Channels(selectors) = route else {
        return;
    };
    assert!((1..=SELECTORS).contains(&selectors.len()));
    let list: Vec<_> = selectors.iter().map(|selector| selector.as_str()).collect();
    let path = format!("/{}", list.join(","));
    assert_eq!(
        Route::find(&path, SELECTORS).ok(),
        Some(Route::Channels(selectors.clone()))
    );
    let parameters = Parameters::parse(head.query());
    let pass = Pass::new(Holder::Anonymous, Rights::all(), None);
    let found = negotiate(
        &head,
        &parameters,
        pass,
        selectors.clone(),
        &CONFIG.timeouts,
    );
    let Ok((way, query)) = found else {
        return;
    };
    assert_eq!(query.selectors, selectors);
    assert!((1..=1000).contains(&query.limit));
    if let Way::LongPoll(wait) = way {
        assert!(wait <= CONFIG.timeouts.long_poll);
    }
    assert!(!query.conditional || matches!(way, Way::Poll | Way::LongPoll(_)));
});

fn check_origin(head: &Head) {
    let answer = Visitor::of(head, &CONFIG, false)
        .decorate(Response::new(204))
        .encode(&Answering {
            version: Version::Http11,
            keep_alive: None,
            head_only: false,
            date: UNIX_EPOCH,
            names_server: false,
        });
    let mut fields = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut fields);
    assert_eq!(
        response.parse(&answer),
        Ok(httparse::Status::Complete(answer.len()))
    );
    let value = |name: &str| {
        let mut values = response
            .headers
            .iter()
            .filter(|field| field.name == name)
            .map(|field| field.value);
        let value = values.next();
        assert_eq!(values.next(), None, "{name} twice");
        value.map(|value| str::from_utf8(value).expect("text"))
    };
    let allowed = value("Access-Control-Allow-Origin");
    let origins: Vec<_> = head.fields.get_all("Origin").collect();
    match allowed {
        None => assert_eq!(value("Access-Control-Allow-Credentials"), None),
        Some(allowed) => {
            assert_eq!(origins, [allowed]);
            let listed = is_listed(allowed);
            assert_eq!(value("Access-Control-Allow-Credentials").is_some(), listed);
            assert!(
                listed || is_own(allowed, head, false) || is_of_this_machine(allowed),
                "{allowed}"
            );
        }
    }
}

fn is_listed(origin: &str) -> bool {
    let below = origin
        .strip_prefix("https://")
        .and_then(|rest| rest.strip_suffix(".example.org:8443"));
    let plain = |labels: &str| {
        labels
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b))
    };
    let whole = |labels: &str| labels.split('.').all(|label| !label.is_empty());
    origin == "https://app.example.com"
        || below.is_some_and(|labels| plain(labels) && whole(labels))
}

fn is_of_this_machine(origin: &str) -> bool {
    let (_, rest) = origin.split_once("://").expect("a scheme");
    let host = match rest.strip_prefix('[') {
        Some(literal) => literal.split(']').next(),
        None => rest.split(':').next(),
    };
    let host = host
        .unwrap_or_default()
        .trim_end_matches('.')
        .to_ascii_lowercase();
    match host.parse::<std::net::IpAddr>() {
        Ok(ip) => ip.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}
