//! What a browser loads: who gets it, and how it is kept.

use std::net::SocketAddr;

use fourcast::Config;
use fourcast::config::Mode;

use crate::support::Fixture;

const PAGE: [&str; 4] = ["/", "/-/page.css", "/-/page.js", "/-/page/lane.js"];
const CLIENT: [&str; 2] = ["/-/client.js", "/-/client.d.ts"];
const STRANGER: (&str, &str) = ("Origin", "https://elsewhere.example");

fn off_loopback(config: &mut Config) {
    config.listen = vec![SocketAddr::from(([0, 0, 0, 0], 0)).into()];
    config.access.mode = Mode::Open;
}

fn behind_a_proxy(config: &mut Config) {
    config.access.mode = Mode::Open;
    config.hosts = vec!["live.example.com".to_owned()];
}

#[test]
fn the_page_is_there_where_only_this_machine_reaches_it() {
    for (reach, status) in [
        (Fixture::plain(), 200),
        (Fixture::start(off_loopback), 404),
        (Fixture::start(behind_a_proxy), 404),
    ] {
        for path in PAGE {
            assert_eq!(reach.get(path, &[]).status(), status, "{path}");
        }
    }
}

#[test]
fn the_page_is_switched_on_and_off_wherever_it_is() {
    for reach in [off_loopback, behind_a_proxy] {
        let server = Fixture::start(|config| {
            reach(config);
            config.page.enabled = Some(true);
        });
        for path in PAGE {
            assert_eq!(server.get(path, &[]).status(), 200, "{path}");
        }
    }
    let unwanted = Fixture::start(|config| config.page.enabled = Some(false));
    for path in PAGE {
        assert_eq!(unwanted.get(path, &[]).status(), 404, "{path}");
    }
    let told = unwanted.get("/", &[]).json();
    assert!(
        told["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("page.enabled"))
    );
}

#[test]
fn the_client_module_is_there_for_pages_of_any_origin_and_the_page_is_not() {
    let server = Fixture::start(|config| config.page.enabled = Some(false));
    for (path, media_type) in CLIENT.iter().zip(["text/javascript", "text/plain"]) {
        let answer = server.get(path, &[STRANGER]);
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.head.must("Access-Control-Allow-Origin"), "*");
        let expected = format!("{media_type}; charset=utf-8");
        assert_eq!(answer.head.must("Content-Type"), expected, "{path}");
    }
    let server = Fixture::plain();
    for path in PAGE {
        assert_eq!(server.get(path, &[STRANGER]).status(), 403, "{path}");
    }
}

#[test]
fn the_page_loads_from_here_alone_and_is_framed_by_nobody() {
    let server = Fixture::plain();
    let tag = server.get("/", &[]).head.must("ETag").to_owned();
    for fields in [vec![], vec![("If-None-Match", &*tag)]] {
        let page = server.get("/", &fields);
        let policy = page.head.must("Content-Security-Policy");
        for rule in [
            "default-src 'none';",
            "script-src 'self';",
            "connect-src 'self';",
            "base-uri 'none';",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(rule), "{rule} in {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'));
        assert_eq!(page.head.must("Referrer-Policy"), "no-referrer");
    }
    for path in PAGE {
        let policy = server.get(path, &[]);
        let policy = policy.head.must("Cross-Origin-Resource-Policy");
        assert_eq!(policy, "same-origin", "{path}");
    }
    for path in CLIENT {
        let policy = server.get(path, &[]);
        let policy = policy.head.must("Cross-Origin-Resource-Policy");
        assert_eq!(policy, "cross-origin", "{path}");
    }
}

#[test]
fn a_browser_that_has_a_file_as_it_is_is_told_so() {
    let server = Fixture::plain();
    for path in PAGE.iter().chain(&CLIENT) {
        let first = server.get(path, &[]);
        assert_eq!(first.head.must("Cache-Control"), "no-cache", "{path}");
        let tag = first.head.must("ETag");
        assert_eq!(
            server.get(path, &[("If-None-Match", tag)]).status(),
            304,
            "{path}"
        );
        assert_eq!(
            server.get(path, &[("If-None-Match", "\"older\"")]).status(),
            200,
            "{path}"
        );
    }
}

#[test]
fn files_for_browsers_can_only_be_read() {
    let server = Fixture::plain();
    for path in PAGE.iter().chain(&CLIENT) {
        let answer = server.post(path, &[], "x");
        assert_eq!(answer.status(), 405, "{path}");
        assert_eq!(answer.head.must("Allow"), "GET, HEAD, OPTIONS", "{path}");
    }
}
