//! What a browser loads: who gets it, and how it is kept.

use crate::support::Fixture;

const PAGE: [&str; 4] = ["/", "/-/page.css", "/-/page.js", "/-/page/lane.js"];
const CLIENT: [&str; 2] = ["/-/client.js", "/-/client.d.ts"];
const STRANGER: (&str, &str) = ("Origin", "https://elsewhere.example");

#[test]
fn on_loopback_the_page_is_there_and_off_loopback_it_is_not_unless_switched_on() {
    let somewhere = |config: &mut fourcast::Config| config.listen = ([0, 0, 0, 0], 0).into();
    let ours = Fixture::plain();
    let anybodys = Fixture::start(somewhere);
    let wanted = Fixture::start(|config| {
        somewhere(config);
        config.page.enabled = Some(true);
    });
    let unwanted = Fixture::start(|config| config.page.enabled = Some(false));
    for path in PAGE {
        for (server, status) in [
            (&ours, 200),
            (&anybodys, 404),
            (&wanted, 200),
            (&unwanted, 404),
        ] {
            assert_eq!(server.get(path, &[]).status(), status, "{path}");
        }
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
