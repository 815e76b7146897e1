//! Who may ask at the operator's port.

use std::net::SocketAddr;

use fourcast::config::{Mode, Secret};

use super::{KEY, ask, assert_answers, get, keyed, server};
use crate::durable::home::Home;
use crate::durable::process::Process;
use crate::support::exchange;

#[test]
fn without_the_key_nothing_is_told_but_that_the_server_lives() {
    let server = keyed();
    let (bearer, basic) = (format!("Bearer {KEY}"), format!("Basic {KEY}"));
    let (longer, other) = (
        format!("Bearer {KEY}x"),
        format!("Bearer {}", KEY.to_uppercase()),
    );
    for fields in [
        &[][..],
        &[("Authorization", KEY)],
        &[("Authorization", "")],
        &[("Authorization", "Bearer")],
        &[("Authorization", &basic)],
        &[("Authorization", &longer)],
        &[("Authorization", &other)],
        &[("Authorization", &bearer), ("Authorization", &bearer)],
        &[("Proxy-Authorization", &bearer)],
    ] {
        for target in [
            "/-/config",
            "/-/nothing",
            "/-/config?key=a-key-for-these-tests-alone",
        ] {
            let answer = ask(&server, "GET", target, fields);
            assert_eq!(answer.refusal(), "unauthorized", "{target} {fields:?}");
            assert_eq!(answer.status(), 401);
            assert_eq!(answer.head.must("WWW-Authenticate"), "Bearer");
            assert!(!answer.text().contains(KEY), "{}", answer.text());
        }
    }
    assert_eq!(ask(&server, "DELETE", "/-/config", &[]).status(), 401);
    for target in ["/", "/-/healthy", "/-/ready"] {
        assert_eq!(get(&server, target).status(), 200, "{target}");
    }
    for fields in [
        ("Authorization", &*bearer),
        ("authorization", "bearer a-key-for-these-tests-alone"),
    ] {
        assert_eq!(ask(&server, "GET", "/-/config", &[fields]).status(), 200);
    }
}

#[test]
fn other_machines_need_the_key_and_an_address_of_this_one() {
    let server = server(|config| {
        config.admin.listen = Some(SocketAddr::from(([0, 0, 0, 0], 0)));
        config.admin.key = Secret::new(KEY);
    });
    let here = SocketAddr::from(([127, 0, 0, 1], server.admin().port()));
    let bearer = format!("Bearer {KEY}");
    let status = |fields: &[(&str, &str)]| exchange(here, "GET", "/-/config", fields, b"").status();
    assert_eq!(status(&[]), 401);
    assert_eq!(status(&[("Authorization", &bearer)]), 200);
    assert_eq!(
        status(&[("Authorization", &bearer), ("Host", "192.0.2.1")]),
        421
    );
}

#[test]
fn a_page_that_gives_its_own_name_this_address_is_refused() {
    let server = server(|config| {
        config.access.mode = Mode::Open;
        config.hosts = vec!["ops.example.com".to_owned()];
    });
    let port = server.admin().port();
    for host in [
        "evil.test",
        "evil.test:80",
        "localhost.evil.test",
        "192.0.2.1",
        "127.0.0.1.evil.test",
    ] {
        for method in ["GET", "POST", "DELETE", "OPTIONS"] {
            let answer = ask(&server, method, "/-/config", &[("Host", host)]);
            assert_eq!(answer.refusal(), "misdirected", "{method} {host}");
        }
    }
    let with_port = format!("127.0.0.1:{port}");
    for host in [
        "localhost",
        "127.0.0.1",
        "[::1]",
        "ops.example.com",
        &with_port,
    ] {
        let answer = ask(&server, "GET", "/-/config", &[("Host", host)]);
        assert_eq!(answer.status(), 200, "{host}");
    }
}

#[test]
fn a_page_of_any_other_origin_is_refused_also_one_of_this_machine() {
    let server = server(|config| config.origins = vec!["https://app.example.com".to_owned()]);
    let data_port = format!("http://localhost:{}", server.address.port());
    let (own, other_name) = {
        let port = server.admin().port();
        (
            format!("localhost:{port}"),
            format!("http://127.0.0.1:{port}"),
        )
    };
    for origin in [
        "null",
        "http://localhost",
        "http://localhost:3000",
        "https://app.example.com",
        "http://evil.test",
        &data_port,
        &other_name,
    ] {
        for method in ["GET", "POST", "DELETE", "OPTIONS"] {
            let fields = [("Host", &*own), ("Origin", origin)];
            let answer = ask(&server, method, "/-/ready", &fields);
            assert_eq!(answer.refusal(), "forbidden_origin", "{method} {origin}");
            assert_eq!(answer.head.field("Access-Control-Allow-Origin"), None);
        }
    }
    let fields = [("Host", &*own), ("Origin", &*format!("http://{own}"))];
    assert_eq!(ask(&server, "GET", "/-/config", &fields).status(), 200);
}

#[test]
fn an_image_or_script_of_another_page_is_refused_and_a_link_is_followed() {
    let server = server(|_| {});
    let site = |site, mode| {
        let fields = [("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", mode)];
        ask(&server, "GET", "/-/config", &fields).status()
    };
    assert_eq!(site("cross-site", "no-cors"), 403);
    assert_eq!(site("same-site", "no-cors"), 403);
    assert_eq!(site("cross-site", "navigate"), 200);
    assert_eq!(site("same-origin", "cors"), 200);
    let form = [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "navigate"),
    ];
    assert_eq!(ask(&server, "POST", "/-/config", &form).status(), 403);
    assert_answers(&server);
}

#[test]
fn the_key_stands_in_no_log_and_no_greeting() {
    let home = Home::new("operators-key");
    let mut command = home.serve();
    command
        .env("FOURCAST_ADMIN__LISTEN", "127.0.0.1:0")
        .env("FOURCAST_ADMIN__KEY", KEY)
        .env("RUST_LOG", "trace");
    let server = Process::try_start_as(&home, command).expect("a server");
    let admin = server.admin.expect("an operator's port");
    let right = format!("Bearer {KEY}");
    let wrong = format!("Bearer wrong-{KEY}");
    for (bearer, status) in [(right, 200), (wrong, 401)] {
        let fields = [("Authorization", &*bearer)];
        assert_eq!(
            exchange(admin, "GET", "/-/config", &fields, b"").status(),
            status
        );
    }
    let log = server.log();
    assert!(log.contains("operator's port"), "{log}");
    assert!(!log.contains(KEY), "{log}");
    server.stop();
}

#[test]
fn a_key_that_cannot_be_used_is_not_repeated() {
    let home = Home::new("operators-bad-key");
    let mut command = home.serve();
    command.env("FOURCAST_ADMIN__KEY", "too-short");
    let refused = Process::try_start_as(&home, command)
        .err()
        .expect("a refusal");
    assert_eq!(refused.status.code(), Some(78));
    assert!(
        refused
            .message
            .contains("FOURCAST_ADMIN__KEY: admin.key: expected"),
        "{refused:?}"
    );
    assert!(!refused.message.contains("too-short"), "{refused:?}");
}

#[test]
fn a_server_that_others_reach_does_not_start_without_a_key() {
    let home = Home::new("operators-no-key");
    let mut command = home.serve();
    command.env("FOURCAST_ADMIN__LISTEN", "0.0.0.0:0");
    let refused = Process::try_start_as(&home, command)
        .err()
        .expect("a refusal");
    assert_eq!(refused.status.code(), Some(78));
    for part in ["admin.listen", "must show a key", "echo \"key = "] {
        assert!(refused.message.contains(part), "{refused:?}");
    }
}
