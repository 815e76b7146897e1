//! A token or key in a cookie, which a browser adds by itself for whatever page asks: it counts for pages of this server
//! and of `origins`, and for no others.

use super::*;

const LISTED: &str = "https://app.example";
/// What another program on the machine of somebody who has a cookie may be, or the one who listens on the line.
const OTHERS: [&str; 3] = [
    "http://localhost:3000",
    "http://127.0.0.1",
    "https://app.localhost",
];

fn taking_cookies() -> Fixture {
    Fixture::start(with_cookies)
}

fn with_cookies(config: &mut Config) {
    access(
        config,
        &(rules() + "[access.tokens]\ncookie = \"session\"\n"),
    );
    config.origins = vec![LISTED.to_owned()];
}

fn cookie() -> String {
    format!("x=1; session={BACKEND}")
}

/// What a browser sends for a page: what it says of the page, and the cookie of whoever looks at it.
fn of_page<'a>(said: &[(&'a str, &'a str)], cookie: &'a str) -> Vec<(&'a str, &'a str)> {
    [said, &[("Cookie", cookie)]].concat()
}

on_every_way! {
    it_counts_for_pages_of_this_server_and_of_origins;
    it_does_not_count_for_pages_of_this_machine;
    it_does_not_count_where_a_page_of_another_site_includes_what_it_brings;
    what_a_page_knows_itself_counts_beside_it;
}

fn it_counts_for_pages_of_this_server_and_of_origins(way: Way) {
    let server = taking_cookies();
    let (own, cookie) = (server.origin(), cookie());
    for said in [
        &[][..],
        &[("Origin", own), ("Sec-Fetch-Site", "same-origin")],
        &[("Origin", LISTED), ("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-origin")],
        &[("Sec-Fetch-Site", "none")],
    ] {
        let mut listener = Listener::open_with(
            way,
            &server,
            "/rooms/1?after=earliest",
            &of_page(said, &cookie),
        );
        if way.is_stream() {
            publish(&server, "rooms/1", "heard");
            assert_eq!(listener.texts(1), ["heard"], "{said:?}");
        }
    }
}

fn is_refused(answer: &Response) {
    assert_eq!(answer.status(), 403);
    assert_eq!(answer.refusal(), "forbidden_origin");
    assert_eq!(answer.head.field("Access-Control-Allow-Credentials"), None);
}

fn it_does_not_count_for_pages_of_this_machine(way: Way) {
    let server = taking_cookies();
    let cookie = cookie();
    for origin in OTHERS {
        let said = [("Origin", origin), ("Sec-Fetch-Site", "same-site")];
        is_refused(&server.ask(way, "/rooms/1", &of_page(&said, &cookie)));
        // Nor where everyone may: whoever looks at the page would not know why it sometimes works.
        is_refused(&server.ask(way, "/public/news", &of_page(&said, &cookie)));
    }
}

fn it_does_not_count_where_a_page_of_another_site_includes_what_it_brings(way: Way) {
    let server = taking_cookies();
    let cookie = cookie();
    for said in [
        &[
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Mode", "no-cors"),
        ][..],
        &[
            ("Sec-Fetch-Site", "same-site"),
            ("Sec-Fetch-Dest", "script"),
        ],
        &[
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Mode", "navigate"),
        ],
        &[("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site")],
    ] {
        is_refused(&server.ask(way, "/rooms/1", &of_page(said, &cookie)));
    }
}

fn what_a_page_knows_itself_counts_beside_it(way: Way) {
    let server = taking_cookies();
    let said = [("Origin", OTHERS[0]), ("Sec-Fetch-Site", "cross-site")];
    let ask = |target: &str, fields: &[(&str, &str)]| server.ask(way, target, fields).refusal();
    let cookie = format!("session={DEVICE}");
    let same = format!("/alerts?access_token={DEVICE}");
    assert_eq!(ask(&same, &of_page(&said, &cookie)), "forbidden");
    let other = format!("/alerts?access_token={BACKEND}");
    let both = ask(&other, &of_page(&said, &cookie));
    assert_eq!(both, "bad_parameter", "nobody knows which one counts");
    assert_eq!(ask("/rooms/1", &said), "unauthorized");
}

#[test]
fn publishing_and_deleting_take_a_page_that_says_where_it_is_from() {
    let server = taking_cookies();
    let (own, cookie) = (server.origin(), cookie());
    for (method, done) in [("POST", 201), ("PUT", 201), ("DELETE", 204)] {
        let send =
            |said: &[(&str, &str)]| server.send(method, "/chat", &of_page(said, &cookie), b"said");
        is_refused(&send(&[]));
        is_refused(&send(&[("Sec-Fetch-Site", "cross-site")]));
        for origin in OTHERS {
            is_refused(&send(&[("Origin", origin)]));
        }
        assert_eq!(send(&[("Origin", own)]).status(), done, "{method}");
        assert_eq!(send(&[("Origin", LISTED)]).status(), done, "{method}");
        assert_eq!(send(&[("Sec-Fetch-Site", "same-origin")]).status(), done);
    }
}

/// Who is on the line can make a page of `http://`, not one of `https://`.
#[test]
fn where_tls_is_spoken_a_page_of_http_is_another() {
    let server = Fixture::secured(|config| {
        with_cookies(config);
        config.hosts = vec!["events.example".to_owned()];
    });
    let (cookie, port) = (cookie(), server.address.port());
    let host = format!("events.example:{port}");
    for (origin, host, is_own) in [
        (format!("https://{host}"), host.as_str(), true),
        ("https://events.example".to_owned(), "events.example", true),
        (
            "https://events.example:443".to_owned(),
            "events.example",
            true,
        ),
        (format!("http://{host}"), host.as_str(), false),
        ("http://events.example".to_owned(), "events.example", false),
        (
            "http://events.example:443".to_owned(),
            "events.example",
            false,
        ),
        ("https://events.example".to_owned(), &host, false),
    ] {
        let said = [("Host", host), ("Origin", origin.as_str())];
        for target in ["/-/socket", "/chat"] {
            let request = crate::support::request(
                "GET",
                target,
                &[&Way::WebSocket.fields()[..], &of_page(&said, &cookie)].concat(),
                b"",
            );
            match WebSocket::ask(server.connect(), &request) {
                Ok(_) => assert!(is_own, "{origin} at {host}"),
                Err(answer) if !is_own => is_refused(&answer),
                Err(answer) => panic!("{origin} at {host}: {}", answer.head.raw),
            }
        }
        let answer = server.send("POST", "/chat", &of_page(&said, &cookie), b"said");
        assert_eq!(answer.status(), if is_own { 201 } else { 403 }, "{origin}");
    }
}
