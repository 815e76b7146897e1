//! What a configuration may say, and what is said about one that is wrong.

mod limits;

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::peer::Peer;

const TEMPLATE: &str = include_str!("../../config.toml");

fn accepted(text: &str) -> Config {
    Config::from_toml(text).unwrap_or_else(|error| panic!("{text:?} was refused:\n{error}"))
}

fn refused(text: &str) -> String {
    match Config::from_toml(text) {
        Ok(_) => panic!("{text:?} was accepted"),
        Err(error) => error.to_string(),
    }
}

fn from_environment(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables = variables
        .iter()
        .map(|(name, text)| (OsString::from(name), OsString::from(text)));
    file::read("config.toml", "", variables)
}

/// Says where a message does not contain all that it should.
fn assert_tells(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no {part:?} in:\n{message}");
    }
}

#[test]
fn the_file_that_teaches_says_what_the_code_does() {
    assert_eq!(accepted(TEMPLATE), Config::default());
}

#[test]
fn a_server_listens_in_one_place_or_in_several() {
    let config = |text: &str| {
        let shown = "[tls]\ncertificate = \"c\"\nkey = \"k\"\n";
        accepted(&format!("listen = {text}\n{shown}{MEANT}"))
    };
    let listen = |text: &str| {
        let listen = config(text).listen;
        listen.iter().map(Listen::to_string).collect::<Vec<_>>()
    };
    for (written, meant) in [
        ("\"127.0.0.1:1\"", vec!["127.0.0.1:1"]),
        ("[\"http://[::1]:1\"]", vec!["[::1]:1"]),
        ("\"https://127.0.0.1:8443\"", vec!["https://127.0.0.1:8443"]),
        ("\"unix:a/b.sock\"", vec!["unix:a/b.sock"]),
        (
            "[\"127.0.0.1:0\", \"127.0.0.1:0\", \"unix:/x\"]",
            vec!["127.0.0.1:0", "127.0.0.1:0", "unix:/x"],
        ),
    ] {
        assert_eq!(listen(written), meant, "{written}");
        let config = config(written);
        assert_eq!(accepted(&config.to_toml()), config, "{written}");
    }
}

#[test]
fn a_place_that_cannot_be_listened_at_is_told() {
    for (written, told) in [
        ("[]", "config.toml:1:10: listen: names no address"),
        (
            "8080",
            "listen: found 8080; expected an IP address and a port",
        ),
        ("\"\"", "listen: found \"\"; expected"),
        (
            "\"https://localhost:8443\"",
            "listen: found \"https://localhost:8443\"; expected",
        ),
        ("\"ftp://127.0.0.1:1\"", "listen: found"),
        ("\"unix:\"", "listen: found \"\"; expected a path"),
        (
            "[\"127.0.0.1:1\", \"x\"]",
            "config.toml:1:26: listen[1]: found \"x\"; expected",
        ),
        (
            "[\"127.0.0.1:1\", \"127.0.0.1:1\"]",
            "listen: names 127.0.0.1:1 twice",
        ),
        (
            "[\"127.0.0.1:1\", \"https://127.0.0.1:1\"]",
            "listen: names https://127.0.0.1:1 twice, or once with TLS and once without",
        ),
        ("[\"unix:/x\", \"unix:/x\"]", "listen: names unix:/x twice"),
        (
            "[\"127.0.0.1:1\", \"127.0.0.1:8081\"]",
            "listen: listen and admin.listen are both 127.0.0.1:8081",
        ),
    ] {
        assert_tells(&refused(&format!("listen = {written}")), &[told]);
    }
}

#[test]
fn the_mode_of_a_socket_is_written_in_octal_digits() {
    let mode = |text: &str| accepted(&format!("socket_mode = {text}")).socket_mode;
    assert_eq!((mode("\"0660\""), mode("\"600\"")), (0o660, 0o600));
    for wrong in [
        "660",
        "\"66\"",
        "\"0680\"",
        "\"1660\"",
        "\"00660\"",
        "\"+660\"",
        "true",
    ] {
        let told = refused(&format!("socket_mode = {wrong}"));
        assert_tells(&told, &["socket_mode: found", "octal digits"]);
    }
}

#[test]
fn commas_stand_between_addresses_in_the_environment() {
    let listen = |text| from_environment(&[("FOURCAST_LISTEN", text)]).map(|config| config.listen);
    let here = std::env::current_dir().unwrap();
    assert_eq!(
        listen("127.0.0.1:1, unix:x.sock").unwrap(),
        [
            SocketAddr::from((Ipv4Addr::LOCALHOST, 1)).into(),
            Listen::unix(here.join("x.sock")),
        ]
    );
    for (text, told) in [
        ("", "names no address"),
        ("127.0.0.1:1,x", "found \"x\"; expected"),
    ] {
        let message = listen(text).unwrap_err().to_string();
        assert_tells(&message, &["FOURCAST_LISTEN", told]);
    }
}

#[test]
fn the_page_is_for_those_who_reach_nothing_but_loopback() {
    let page = |listen: &str| {
        let config = accepted(&format!("listen = {listen}\n{MEANT}"));
        config.has_page()
    };
    assert!(page("[\"127.0.0.1:1\", \"[::1]:1\"]"));
    for open in [
        "[\"127.0.0.1:1\", \"0.0.0.0:2\"]",
        "\"unix:/x\"",
        "[\"127.0.0.1:1\", \"unix:/x\"]",
    ] {
        assert!(!page(open), "{open}");
    }
}

/// Behind a proxy of which nothing is said, everyone would come from this machine.
#[test]
fn whoever_names_hosts_says_what_those_may_who_call_them() {
    let text = "listen = \"127.0.0.1:8080\"\nhosts = [\"a.test\"]\n";
    let told = "config.toml:2:9: hosts: others call it by the names of hosts, and nothing says who may do what";
    assert_tells(&refused(text), &[told, "[access]\nmode = \"open\""]);
    let config = accepted(&format!("{text}{MEANT}"));
    assert!(config.access.is_open() && !config.has_page());
    assert!(!accepted(&format!("{text}{API_KEY}")).access.is_open());
}

#[test]
fn proxies_are_believed_by_name_and_in_one_way() {
    let text =
        "[proxies]\ntrusted = [\"127.0.0.1\", \"10.0.0.0/8\", \"unix\"]\nclient = \"forwarded\"\n";
    let told = "config.toml:3:10: proxies.client: others come in through the proxies of proxies.trusted, and nothing says";
    assert_tells(&refused(text), &[told, "[access]\nmode = \"open\""]);
    let silent = text.replace("forwarded", "none");
    let told =
        "proxies.client: others come in through the proxies of proxies.trusted, and nothing says";
    assert_tells(&refused(&silent), &[told]);
    let config = accepted(&format!("{text}{MEANT}"));
    assert_eq!(config.proxies.client, ClientFrom::Forwarded);
    assert!(config.proxies.trusts(Peer::Unix) && !config.has_page());
    assert_eq!(accepted(&config.to_toml()), config);
    for (wrong, told) in [
        (
            "trusted = [\"10.0.0.1/8\"]",
            "proxies.trusted[0]: found \"10.0.0.1/8\"; expected an IP address or a network",
        ),
        (
            "trusted = \"unix\"",
            "proxies.trusted: found \"unix\"; expected a list",
        ),
        (
            "client = \"real-ip\"",
            "proxies.client: found \"real-ip\"; expected \"none\", ",
        ),
        (
            "client = \"forwarded\"",
            "proxies.client: counts for nobody; name the proxies",
        ),
    ] {
        assert_tells(&refused(&format!("[proxies]\n{wrong}")), &[told]);
    }
}

#[test]
fn nothing_at_all_is_the_defaults() {
    assert_eq!(accepted(""), Config::default());
}

#[test]
fn the_file_that_teaches_shows_every_key_in_its_section() {
    for path in file::keys() {
        let (section, key) = path.rsplit_once('.').unwrap_or(("", &path));
        let shown = section_of_template(section).any(|line| {
            let line = line.trim_start_matches(['#', ' ']);
            line.strip_prefix(key)
                .is_some_and(|rest| rest.trim_start().starts_with('='))
                || line == format!("[[{path}]]")
        });
        assert!(shown, "{path} is missing in config.toml");
    }
}

/// The lines of one section, those that are commented out too; the entries of a list wherever they are.
fn section_of_template(section: &str) -> impl Iterator<Item = &'static str> {
    let list = section.strip_suffix("[]").map(|list| format!("[[{list}]]"));
    let wanted = list.unwrap_or_else(|| match section {
        "" => String::new(),
        _ => format!("[{section}]"),
    });
    let mut current = String::new();
    TEMPLATE.lines().filter(move |line| {
        let bare = line.trim_start_matches(['#', ' ']);
        if bare.starts_with('[') && bare.ends_with(']') {
            bare.clone_into(&mut current);
        }
        current == wanted || bare.starts_with("[[")
    })
}

#[test]
fn the_examples_in_the_file_that_teaches_are_right() {
    let is_key = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let (mut section, mut entry) = (String::new(), String::new());
    for line in TEMPLATE.lines() {
        let text = line.trim_start_matches(['#', ' ']);
        let is_setting = text
            .split_once(" = ")
            .is_some_and(|(key, _)| is_key(key) && !["key", "certificate"].contains(&key));
        if line.starts_with('[') {
            section = format!("{line}\n");
        } else if section == "[access.tokens]\n" && is_setting {
            // They need each other, and have a test of their own.
        } else if line.starts_with('#') && text.starts_with("[[") {
            entry = format!("{text}\n");
        } else if line.starts_with('#') && is_setting && !entry.is_empty() {
            entry.push_str(text);
            entry.push('\n');
            continue;
        } else if line.starts_with('#') && is_setting {
            let has_strangers = section == "[proxies]\n" || text.starts_with("hosts");
            let meant = if has_strangers { MEANT } else { "" };
            accepted(&format!("{section}{text}\n{meant}"));
        } else if !entry.is_empty() {
            accepted(&std::mem::take(&mut entry));
        }
    }
}

/// Else it would be the key of everyone who does not choose one.
#[test]
fn the_key_in_the_file_that_teaches_cannot_be_used() {
    let line = TEMPLATE
        .lines()
        .find(|line| line.starts_with("# key = \"16"));
    let line = line.unwrap().trim_start_matches("# ");
    let message = refused(&format!("[admin]\n{line}"));
    assert_tells(&message, &["config.toml:2:7: admin.key: expected a secret"]);
}

#[test]
fn a_certificate_and_its_key_go_together() {
    let is_example = |line: &&str| line.ends_with(".pem\"");
    let lines = section_of_template("tls").filter(is_example);
    let lines: Vec<&str> = lines.map(|line| line.trim_start_matches("# ")).collect();
    let tls = accepted(&format!("[tls]\n{}", lines.join("\n"))).tls;
    assert!(tls.source().is_some());
    for line in lines {
        let message = refused(&format!("[tls]\n{line}"));
        assert_tells(
            &message,
            &["config.toml:2:", "a certificate and its key go together"],
        );
    }
    assert!(accepted("").tls.source().is_none());
    let message = refused("listen = [\"127.0.0.1:1\", \"https://127.0.0.1:2\"]");
    let told =
        "config.toml:1:10: listen: https://127.0.0.1:2 speaks TLS, so there must be a certificate";
    assert_tells(&message, &[told]);
}

const KEY: &str = "kept-to-ourselves-0";

/// What has to be said where others reach an address.
const MEANT: &str = "[access]\nmode = \"open\"\n";

const API_KEY: &str = "[access]\nmode = \"closed\"\n[access.anonymous]\nsubscribe = [\"public/**\"]\n\
    [[access.keys]]\nname = \"backend\"\n\
    hash = \"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\n\
    subscribe = [\"**\"]\npublish = [\"rooms/*\", \"alerts\"]\n";

#[test]
fn a_port_that_others_reach_needs_a_word_on_who_may_do_what() {
    for address in ["0.0.0.0:8080", "[::]:0", "192.168.1.20:80"] {
        let text = format!("listen = \"{address}\"\n");
        let place = "config.toml:1:10: listen: other machines reach ";
        let paste = ["mode = \"open\"", "[[access.keys]]", "hash = \"sha256:"];
        for unsaid in ["", "[access]", "[access]\nmode = \"auto\""] {
            let message = refused(&format!("{text}{unsaid}"));
            assert_tells(&message, &[&[place, address], &paste[..]].concat());
        }
        for said in [
            "[access]\nmode = \"open\"",
            "[access]\nmode = \"closed\"",
            "[access.anonymous]\npublish = []",
            "[access.anonymous]\nsubscribe = [\"a\"]",
            API_KEY,
        ] {
            accepted(&format!("{text}{said}"));
        }
    }
    let error = from_environment(&[("FOURCAST_LISTEN", "0.0.0.0:80")]).unwrap_err();
    assert_tells(&error.to_string(), &["FOURCAST_LISTEN: listen: other"]);
}

#[test]
fn everyone_may_do_everything_until_something_else_is_said() {
    for (text, is_open) in [
        ("", true),
        ("[access]\nmode = \"auto\"", true),
        ("[access]\nmode = \"closed\"", false),
        ("[access]", true),
        (
            "[access]\nmode = \"auto\"\n[access.anonymous]\ndelete = []",
            true,
        ),
        ("[access.anonymous]\ndelete = [\"a\"]", false),
        ("[access.anonymous]\ndelete = []", false),
        ("[access.tokens]\nalgorithms = []", false),
        ("[access]\nkeys = []", false),
        (&API_KEY.replace("closed", "auto"), false),
        (&API_KEY.replace("closed", "open"), true),
    ] {
        assert_eq!(accepted(text).access.is_open(), is_open, "{text}");
    }
}

#[test]
fn an_api_key_has_a_name_and_a_hash_of_its_own() {
    let config = accepted(API_KEY);
    let [key] = &config.access.keys[..] else {
        panic!("{:?}", config.access);
    };
    assert_eq!(&*key.name, "backend");
    assert_eq!(key.hash, crate::access::keys::KeyHash::of("abc"));
    assert_eq!((key.rights.publish.len(), key.rights.delete.len()), (2, 0));
    let entry = &API_KEY[API_KEY.find("[[").unwrap()..];
    let other_hash = entry.replace("ba78", "0000");
    for (second, told) in [
        (
            other_hash.as_str(),
            "[1].name: another key before it is called \"backend\" too",
        ),
        (
            &entry.replace("backend", "device"),
            "[1].hash: \"backend\" before it is this very key",
        ),
    ] {
        let message = refused(&format!("{entry}{second}"));
        assert_tells(&message, &["access.keys", told]);
    }
    accepted(&format!(
        "{entry}{}",
        other_hash.replace("backend", "device")
    ));
}

#[test]
fn an_api_key_that_is_written_wrong_is_refused_and_not_told() {
    let key = "fck_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for (entry, told) in [
        ("", "access.keys[0]: has no name; 'fourcast key new' prints"),
        ("name = \"a\"", "has no hash; 'fourcast key new' prints"),
        (
            "name = \"a b\"",
            "access.keys[0].name: found \"a b\"; expected a name of 1 to 64",
        ),
        (
            "hash = \"sha256:00\"",
            "access.keys[0].hash: expected the hash of a key, not the key",
        ),
        (
            &format!("hash = \"{key}\""),
            "access.keys[0].hash: expected the hash of a key, not",
        ),
        ("publish = [\"a/**/b\"]", "access.keys[0].publish[0]: found"),
        ("publsh = [\"a\"]", "unknown key; did you mean \"publish\"?"),
    ] {
        let message = refused(&format!("[[access.keys]]\n{entry}"));
        assert_tells(&message, &[told]);
        assert!(!message.contains(key), "{message}");
    }
    assert_tells(
        &refused("[access]\nmode = \"shut\""),
        &["access.mode: found \"shut\"; expected \"auto\", \"open\" or \"closed\""],
    );
}

#[test]
fn the_port_of_the_operator_has_an_address_of_its_own_or_is_off() {
    let listen = |text: &str| accepted(text).admin.listen;
    assert_eq!(listen(""), "127.0.0.1:8081".parse().ok());
    assert_eq!(listen("[admin]\nlisten = \"off\""), None);
    assert_eq!(
        listen("[admin]\nlisten = \"[::1]:0\""),
        "[::1]:0".parse().ok()
    );
    assert_tells(
        &refused("listen = \"127.0.0.1:8081\""),
        &["config.toml:1:10: listen: listen and admin.listen are both 127.0.0.1:8081; give each"],
    );
    assert_tells(
        &refused("[admin]\nlisten = \"none\""),
        &["admin.listen: found \"none\"; expected \"off\", or an IP address and a port"],
    );
}

#[test]
fn an_operators_port_that_others_reach_needs_a_key() {
    for address in [
        "0.0.0.0:8081",
        "[::]:8081",
        "192.168.1.20:0",
        "[::ffff:10.0.0.1]:1",
    ] {
        let text = format!("[admin]\nlisten = \"{address}\"\n");
        let message = refused(&text);
        let place = "config.toml:2:10: admin.listen: other machines reach ";
        assert_tells(&message, &[place, address, "echo \"key = "]);
        accepted(&format!("{text}key = \"{KEY}\""));
    }
    for address in [
        "127.0.0.1:1",
        "127.9.9.9:1",
        "[::1]:1",
        "[::ffff:127.0.0.1]:1",
    ] {
        accepted(&format!("[admin]\nlisten = \"{address}\""));
    }
}

#[test]
fn no_message_and_no_debug_tells_a_key() {
    let parts = ["sixteen letters ", "kept", "987654321012345678"];
    for value in [
        "\"sixteen letters and more\"",
        "\"kept\"",
        "987654321012345678",
    ] {
        let message = refused(&format!("[admin]\nkey = {value}"));
        assert_tells(&message, &["config.toml:2:7: admin.key: expected a secret"]);
        assert!(
            parts.iter().all(|part| !message.contains(part)),
            "{message}"
        );
    }
    let config = accepted(&format!("[admin]\nkey = \"{KEY}\""));
    assert_eq!(config.admin.key, Secret::new(KEY));
    assert!(!format!("{config:?}").contains(KEY), "{config:?}");
    assert!(!config.to_toml().contains(KEY));
}

#[test]
fn what_counts_can_be_shown_and_read_again() {
    let odd = "hosts = [\"a.test\", \"[::1]\"]\norigins = [\"https://a.test\"]\n\
               [access]\nmode = \"open\"\n\
               [admin]\nlisten = \"off\"\n\
               [journal]\nkind = \"memory\"\npath = \"a \\\"b\\\" \\u007F\\n\"\nsync = \"interval 1m\"\n\
               [limits]\nevent_bytes = \"1.5 MiB\"\ntarget_bytes = \"1000 B\"\n\
               [timeouts]\ndrain = \"0s\"\nidle = \"23h 1ms\"\n\
               [websocket]\nsubprotocols = [\"x\"]\n\
               [fanout]\nshards = 3\n\
               [[channels]]\npattern = \"a/*\"\nmax_age = \"100y\"\n[[channels]]\npattern = \"**\"\nmax_bytes = \"0 B\"\n\
               [log]\nlevel = \"warn,fourcast::hub=debug\"";
    for text in ["", odd, API_KEY] {
        let config = accepted(text);
        assert_eq!(accepted(&config.to_toml()), config, "{}", config.to_toml());
    }
}

#[test]
fn every_key_is_shown() {
    let text = "[access.tokens]\nalgorithms = [\"HS256\", \"ES256\"]\n\
                secret = \"kept-to-ourselves-for-these-tests\"\nsecret_file = \"a\"\npublic_key = \"a\"\n\
                jwks = \"a\"\ncookie = \"a\"\n\
                [tls]\ncertificate = \"c\"\nkey = \"k\"\n\
                [admin]\nkey = \"kept-to-ourselves-0\"\n[[channels]]\npattern = \"a\"\nmax_age = \"1d\"\n";
    let shown = accepted(&format!("{text}{API_KEY}")).to_toml();
    for path in file::keys() {
        let (section, key) = path.rsplit_once('.').unwrap_or(("", &path));
        let header = match section.strip_suffix("[]") {
            Some(list) => format!("[[{list}]]\n"),
            None if section.is_empty() => "listen".to_owned(),
            None => format!("[{section}]\n"),
        };
        let block = shown.split("\n\n").find(|block| block.starts_with(&header));
        let is_there = |block: &str| {
            block
                .lines()
                .any(|line| line.starts_with(&format!("{key} = ")))
        };
        let is_list = shown.contains(&format!("[[{path}]]"));
        assert!(is_list || block.is_some_and(is_there), "{path} in\n{shown}");
    }
}

#[test]
fn the_retention_without_entries_is_the_one_that_is_shown() {
    let shown = "[[channels]]\npattern = \"**\"\nmax_events = 1000\nmax_bytes = \"16 MiB\"";
    assert!(TEMPLATE.contains("pattern = \"**\"\n# max_events = 1000 "));
    assert_eq!(accepted(shown).channels, [Retention::default()]);
}

#[test]
fn values_are_read_with_their_units() {
    let config = accepted(
        "listen = \"[::]:0\"\n[access]\nmode = \"open\"\n[limits]\nevent_bytes = \"1.5 MiB\"\nconnections = 1_000\n\
         [timeouts]\nhead = \"1m 30s\"\nclose = \"500ms\"\n[fanout]\nshards = 3\ncatch_up = \"auto\"",
    );
    let address: SocketAddr = "[::]:0".parse().unwrap();
    assert_eq!(config.listen, [address.into()]);
    assert_eq!(config.limits.event_bytes, 1_572_864);
    assert_eq!(config.limits.connections, 1_000);
    assert_eq!(config.timeouts.head, Duration::from_secs(90));
    assert_eq!(config.timeouts.close, Duration::from_millis(500));
    assert_eq!(config.fanout.shards, NonZeroUsize::new(3));
    assert_eq!(config.fanout.catch_up, None);
}

#[test]
fn the_three_ways_to_write_to_the_disk_are_read() {
    let milliseconds = |count| Sync::Interval(Duration::from_millis(count));
    for (text, sync) in [
        ("always", Sync::Always),
        ("never", Sync::Never),
        ("interval 100ms", milliseconds(100)),
        ("interval  1s 500ms", milliseconds(1_500)),
        ("interval 1ms", milliseconds(1)),
        ("interval 1m", milliseconds(60_000)),
    ] {
        let config = accepted(&format!("[journal]\nsync = {text:?}"));
        assert_eq!(config.journal.sync, sync, "{text}");
    }
}

#[test]
fn an_interval_without_its_length_its_unit_or_its_bounds_is_refused() {
    for text in [
        "interval",
        "interval ",
        "interval 100",
        "interval 0ms",
        "interval 999us",
        "interval 60001ms",
        "interval -1s",
        "interval99ms",
        "100ms",
        "Always",
        "",
    ] {
        let message = refused(&format!("[journal]\nsync = {text:?}"));
        assert_tells(
            &message,
            &[
                "config.toml:2:8: journal.sync: found",
                "expected \"always\", \"never\", or an interval from 1ms to 1m, such as \"interval 100ms\"",
            ],
        );
    }
    assert_tells(&refused("[journal]\nsync = 5"), &["found 5; expected"]);
}

#[test]
fn entries_keep_their_order_and_their_own_values() {
    let config = accepted(
        "[[channels]]\npattern = \"a/*\"\nmax_age = \"7d\"\n[[channels]]\npattern = \"**\"\nmax_events = 0",
    );
    let [first, second] = &config.channels[..] else {
        panic!("{:?}", config.channels);
    };
    assert_eq!(first.pattern.as_str(), "a/*");
    assert_eq!(first.max_age, Some(Duration::from_secs(7 * 24 * 3600)));
    assert_eq!(first.max_events, Retention::default().max_events);
    assert_eq!((second.max_events, second.max_age), (0, None));
}

#[test]
fn hosts_and_origins_are_read_as_they_are_compared() {
    let config = accepted(
        "hosts = [\"Events.Example.COM.\", \"::1\", \"10.0.0.7\"]\n\
         origins = [\"HTTPS://App.example.com:443/\", \"http://[FE80::0:1]:3000\", \"https://x.test:8443\", \
         \"HTTPS://*.Example.com.:443/\", \"http://*.x.test:8080\"]\n[access]\nmode = \"open\"",
    );
    assert_eq!(config.hosts, ["events.example.com", "[::1]", "10.0.0.7"]);
    assert_eq!(
        config.origins,
        [
            "https://app.example.com",
            "http://[fe80::1]:3000",
            "https://x.test:8443",
            "https://*.example.com",
            "http://*.x.test:8080"
        ]
    );
}

#[test]
fn an_origin_that_names_nobody_or_everybody_is_refused() {
    for origin in [
        "null",
        "*",
        "https://*",
        "https://*.com",
        "https://*example.com",
        "https://a.*.example.com",
        "https://*.*.example.com",
        "https://*.10.0.0.7",
        "https://*.[::1]",
        "https://*.example.com:*",
        "*://a.example.com",
        "*.example.com",
        "app.example.com",
        "https://a.test/path",
        "https://user@a.test",
        "https://a.test:0x50",
        "https://a.test:+80",
        "https://a.test:65536",
        "https://",
        "https://é.test",
        "",
    ] {
        let message = refused(&format!("origins = [\"https://ok.test\", {origin:?}]"));
        assert_tells(
            &message,
            &["config.toml:1:31: origins[1]: found", "; expected"],
        );
    }
}

#[test]
fn a_star_in_the_wrong_place_is_told_where_one_may_stand() {
    for origin in ["https://*.com", "https://a.*.example.com", "https://*"] {
        let message = refused(&format!("origins = [{origin:?}]"));
        assert_tells(&message, &["\"https://*.example.com\"", "at least two"]);
    }
}

#[test]
fn a_host_with_more_than_a_name_is_refused() {
    for host in [
        "https://a.test",
        "a.test:80",
        "a.test/x",
        "*.a.test",
        "",
        "a..b",
        "[::1",
        "a b",
    ] {
        assert_tells(
            &refused(&format!("hosts = [{host:?}]")),
            &["config.toml:1:10: hosts[0]: found"],
        );
    }
}

#[test]
fn an_unknown_key_is_told_with_its_place_and_the_key_that_was_meant() {
    assert_eq!(
        refused("[limits]\n  conections = 5"),
        "config.toml:2:3: limits.conections: unknown key; did you mean \"connections\"?"
    );
}

#[test]
fn a_key_in_the_wrong_section_is_sent_home() {
    assert_tells(
        &refused("[limits]\nlisten = \"127.0.0.1:1\"\nlong_poll = \"3s\""),
        &[
            "config.toml:2:1: limits.listen: unknown here; it belongs at the top, before the first [section]",
            "config.toml:3:1: limits.long_poll: unknown here; it belongs under [timeouts]",
        ],
    );
}

#[test]
fn a_key_that_resembles_none_is_told_which_there_are() {
    assert_tells(
        &refused("[heartbeat]\nzzz = 1"),
        &["heartbeat.zzz: unknown key; what may stand under [heartbeat]: interval, patience"],
    );
    assert_tells(
        &refused("[qqq]\nzzz = 1"),
        &[
            "config.toml:1:2: qqq: unknown key",
            "[section]: listen, socket_mode, hosts, origins, ",
            "journal, limits, rates, timeouts",
        ],
    );
    assert_tells(
        &refused("[[channels]]\npattern = \"a\"\nmax_evnts = 1"),
        &["channels[0].max_evnts: unknown key; did you mean \"max_events\"?"],
    );
}

#[test]
fn all_that_is_wrong_is_told_at_once_in_the_order_of_the_file() {
    let message = refused(
        "lisen = \"x\"\nlisten = \"8080\"\n[limits]\nconnections = 0\n[timeouts]\nhead = 10\nhead = \"1s\"\n\
         [log]\nlevel = \"loud\"",
    );
    let lines: Vec<&str> = message.lines().collect();
    let starts = [
        "config.toml:1:1: lisen: unknown key; did you mean \"listen\"?",
        "config.toml:2:10: listen: found \"8080\"; expected an IP address and a port",
        "config.toml:4:15: limits.connections: found 0; expected a whole number from 1 to",
        "config.toml:6:8: timeouts.head: found 10; expected a duration",
        "config.toml:7:1: head: stands twice",
        "config.toml:9:9: log.level: found \"loud\"; expected off, error, warn",
    ];
    assert_eq!(lines.len(), starts.len(), "{message}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(
            line.starts_with(start),
            "{line}\nshould begin with\n{start}"
        );
    }
}

#[test]
fn what_stood_there_and_what_may_stand_there_is_told() {
    for (text, parts) in [
        (
            "[timeouts]\nhead = 10",
            "found 10; expected a duration from 100ms to 1h, such as \"15s\", with its unit (ms, s, m, h, d)",
        ),
        (
            "[timeouts]\nhead = \"10\"",
            "found \"10\"; expected a duration from 100ms to 1h, such as \"15s\", with its unit",
        ),
        ("[timeouts]\nhead = 1.5", "found 1.5; expected a duration"),
        (
            "[timeouts]\nhead = \"ten\"",
            "found \"ten\"; expected a duration from 100ms",
        ),
        (
            "[timeouts]\nretry = \"0s\"",
            "found \"0s\"; expected a duration from 100ms",
        ),
        (
            "[timeouts]\nhead = \"99999999999999y\"",
            "expected a duration",
        ),
        ("[heartbeat]\ninterval = \"0ms\"", "found \"0ms\"; expected"),
        (
            "[limits]\nhead_bytes = 16384",
            "found 16384; expected a size from 1 KiB to 1 MiB, such as \"64 KiB\", with its unit (B, KiB, MiB, GiB)",
        ),
        (
            "[limits]\nhead_bytes = \"16384\"",
            "with its unit (B, KiB, MiB, GiB)",
        ),
        (
            "[limits]\nhead_bytes = \"10 B\"",
            "found \"10 B\"; expected a size from 1 KiB",
        ),
        ("[limits]\nhead_bytes = true", "found true; expected a size"),
        (
            "[limits]\nconnections = -1",
            "found -1; expected a whole number from 1 to 1000000",
        ),
        (
            "[limits]\nconnections = \"10\"",
            "found \"10\"; expected a whole number",
        ),
        (
            "[limits]\nconnections = 1.5",
            "found 1.5; expected a whole number",
        ),
        (
            "[limits]\nconnections = 99999999999999999999999",
            "found 99999999999999999999999; expected",
        ),
        (
            "[fanout]\nshards = 0",
            "found 0; expected \"auto\" or a whole number from 1 to 1024",
        ),
        (
            "[fanout]\nshards = \"many\"",
            "found \"many\"; expected \"auto\" or",
        ),
        (
            "[journal]\nkind = \"redis\"",
            "found \"redis\"; expected \"disk\" or \"memory\"",
        ),
        (
            "[journal]\npath = \"\"",
            "journal.path: found \"\"; expected a path, such as",
        ),
        (
            "[journal]\npath = \"a\\u0000b\"",
            "journal.path: found \"a\\0b\"; expected a path",
        ),
        (
            "[journal]\npath = 5",
            "journal.path: found 5; expected a path",
        ),
        (
            "[websocket]\nsubprotocols = [\"a b\"]",
            "subprotocols[0]: found \"a b\"; expected a token",
        ),
        (
            "[websocket]\nsubprotocols = \"chat\"",
            "found \"chat\"; expected a list",
        ),
        (
            "limits = 5",
            "limits: found 5; expected a section: [limits]",
        ),
        (
            "[channels]\npattern = \"a\"",
            "found a table; expected entries, each under its own [[channels]]",
        ),
        (
            "channels = [1]",
            "channels[0]: found 1; expected a table under [[channels]]",
        ),
        (
            "[[channels]]\nmax_events = 1",
            "channels[0]: has no pattern",
        ),
        (
            "[[channels]]\npattern = \"a/**/b\"",
            "'**' may only be the last segment",
        ),
        (
            "listen = \"localhost:8080\"",
            "expected an IP address and a port: \"127.0.0.1:8080\"",
        ),
        ("listen = \"x", "config.toml:1:"),
        ("listen", "not TOML:"),
    ] {
        assert_tells(&refused(text), &[parts]);
    }
}

#[test]
fn values_that_are_possible_alone_but_not_together_are_refused() {
    for (text, key) in [
        (
            "[limits]\ntarget_bytes = \"16 KiB\"",
            "config.toml:2:16: limits.target_bytes: ",
        ),
        (
            "[limits]\nhead_bytes = \"8 KiB\"",
            "config.toml:2:14: limits.head_bytes: ",
        ),
        ("[limits]\nbatch_bytes = \"1 KiB\"", "limits.batch_bytes: "),
        ("[limits]\nevent_bytes = \"9 MiB\"", "limits.event_bytes: "),
        (
            "[journal]\nmax_bytes = \"10 MiB\"\n[limits]\nevent_bytes = \"20 MiB\"\nbatch_bytes = \"20 MiB\"",
            "journal.max_bytes",
        ),
        (
            "[limits]\nevent_bytes = \"65 MiB\"\nbatch_bytes = \"65 MiB\"",
            "fanout.tail_bytes",
        ),
    ] {
        assert_tells(&refused(text), &[key]);
    }
}

#[test]
fn an_entry_that_can_never_count_is_refused() {
    for (first, second) in [("a/*", "a/*"), ("**", "a")] {
        let text = format!("[[channels]]\npattern = {first:?}\n[[channels]]\npattern = {second:?}");
        assert_tells(
            &refused(&text),
            &["config.toml:4:11: channels[1].pattern: ", "can never count"],
        );
    }
}

#[test]
fn variables_override_keys() {
    let variables = [
        ("FOURCAST_LISTEN", "0.0.0.0:9000"),
        ("FOURCAST_ACCESS__MODE", "closed"),
        ("FOURCAST_ACCESS__ANONYMOUS__SUBSCRIBE", "a/*, b"),
        ("FOURCAST_LIMITS__CONNECTIONS", "5_000"),
        ("FOURCAST_LIMITS__SEND_BUFFER", "128 KiB"),
        ("FOURCAST_JOURNAL__KIND", "memory"),
        ("FOURCAST_JOURNAL__SYNC", "interval 2s"),
        ("FOURCAST_ORIGINS", "https://a.test, https://b.test"),
        ("FOURCAST_HOSTS", "[\"a.test\"]"),
        ("FOURCAST_FANOUT__SHARDS", "auto"),
        (
            "FOURCAST_CHANNELS",
            "[{ pattern = \"a/**\", max_age = \"1h\" }]",
        ),
        ("UNRELATED", "x"),
    ]
    .map(|(name, text)| (OsString::from(name), OsString::from(text)));
    let written = "listen = \"127.0.0.1:1\"\n[limits]\nconnections = 7\nfields = 50";
    let config = file::read("config.toml", written, variables).unwrap();
    let address: SocketAddr = "0.0.0.0:9000".parse().unwrap();
    assert_eq!(config.listen, [address.into()]);
    assert_eq!(config.access.mode, Mode::Closed);
    assert_eq!(config.access.anonymous.subscribe.len(), 2);
    assert_eq!(config.limits.connections, 5_000);
    assert_eq!(config.limits.send_buffer, 128 * 1024);
    assert_eq!(config.limits.fields, 50);
    assert_eq!(config.journal.kind, JournalKind::Memory);
    assert_eq!(config.journal.sync, Sync::Interval(Duration::from_secs(2)));
    assert_eq!(config.origins, ["https://a.test", "https://b.test"]);
    assert_eq!(config.hosts, ["a.test"]);
    assert_eq!(config.channels[0].max_age, Some(Duration::from_secs(3600)));
}

#[test]
fn a_variable_that_is_wrong_is_told_by_its_name() {
    for (name, text, message) in [
        (
            "FOURCAST_LIMITS__CONECTIONS",
            "5",
            "FOURCAST_LIMITS__CONECTIONS: unknown variable; did you mean FOURCAST_LIMITS__CONNECTIONS?",
        ),
        (
            "FOURCAST_LIMITS_CONNECTIONS",
            "5",
            "did you mean FOURCAST_LIMITS__CONNECTIONS?",
        ),
        (
            "FOURCAST_LOGS__LEVEL",
            "info",
            "FOURCAST_LOGS__LEVEL: unknown variable; did you mean FOURCAST_LOG__LEVEL?",
        ),
        ("FOURCAST_QQQ", "5", "FOURCAST_QQQ: unknown variable"),
        ("FOURCAST_", "5", "FOURCAST_: unknown variable"),
        (
            "FOURCAST_LIMITS__CONNECTIONS",
            "0",
            "FOURCAST_LIMITS__CONNECTIONS: limits.connections: found \"0\"; expected a whole number",
        ),
        (
            "FOURCAST_TIMEOUTS__HEAD",
            "10",
            "FOURCAST_TIMEOUTS__HEAD: timeouts.head: found \"10\"; expected a duration",
        ),
        (
            "FOURCAST_LIMITS",
            "5",
            "FOURCAST_LIMITS: limits: found \"5\"; expected a section",
        ),
        (
            "FOURCAST_ORIGINS",
            "[\"https://a.test\"",
            "FOURCAST_ORIGINS: origins: found",
        ),
        (
            "FOURCAST_JOURNAL__PATH",
            " ",
            "FOURCAST_JOURNAL__PATH: journal.path: found \" \"; expected a path",
        ),
        (
            "FOURCAST_ORIGINS",
            "null",
            "FOURCAST_ORIGINS: origins[0]: found \"null\"",
        ),
    ] {
        let error = from_environment(&[(name, text)]).unwrap_err();
        assert_eq!(error.problems.len(), 1, "{error}");
        assert_tells(&error.to_string(), &[message]);
    }
}

#[test]
fn a_file_that_is_named_and_missing_is_an_error() {
    let missing = Path::new("there-is-no-such-file.toml");
    let error = Config::load(Some(missing), []).unwrap_err();
    assert_tells(
        &error.to_string(),
        &[
            "there-is-no-such-file.toml: there is no such file",
            "fourcast print config",
        ],
    );
}

#[test]
fn a_named_file_that_is_no_file_is_an_error() {
    let error = Config::load(Some(Path::new("src")), []).unwrap_err();
    assert_tells(&error.to_string(), &["src: it cannot be read"]);
}

#[test]
fn without_a_name_the_working_directory_is_asked_first() {
    // Tests run where Cargo.toml is, and so is the file that teaches.
    let mut loaded = Config::load(None, []).unwrap();
    assert_eq!(loaded.source.as_deref(), Some(Path::new("config.toml")));
    loaded.config.journal.path = Journal::default().path;
    assert_eq!(loaded.config, Config::default());
}

/// A file of this repository that says nothing about where the journal is.
const ELSEWHERE: &str = "tests/interop/config.toml";

/// The path of the journal in a configuration from `file`.
fn journal_path(file: impl AsRef<Path>, variables: &[(&str, &str)]) -> PathBuf {
    let variables = variables
        .iter()
        .map(|(name, text)| (OsString::from(name), OsString::from(text)));
    let loaded = Config::load(Some(file.as_ref()), variables).unwrap();
    loaded.config.journal.path
}

fn working_directory() -> PathBuf {
    std::env::current_dir().unwrap()
}

#[test]
fn a_relative_path_begins_at_the_directory_of_the_file_however_that_was_named() {
    let expected = working_directory().join("tests/interop/fourcast-data");
    for file in [Path::new(ELSEWHERE), &working_directory().join(ELSEWHERE)] {
        let path = journal_path(file, &[("STATE_DIRECTORY", "/var/lib/fourcast")]);
        assert_eq!(path.as_os_str(), expected.as_os_str());
    }
    let beside = journal_path("config.toml", &[]);
    assert_eq!(beside, working_directory().join("fourcast-data"));
}

#[test]
fn a_path_in_a_variable_begins_at_the_working_directory() {
    for (text, expected) in [
        ("kept", working_directory().join("kept")),
        ("./kept/", working_directory().join("kept")),
        ("../kept", working_directory().join("../kept")),
        ("/srv/kept", PathBuf::from("/srv/kept")),
    ] {
        let variables = [
            ("FOURCAST_JOURNAL__PATH", text),
            ("STATE_DIRECTORY", "/var/lib/fourcast"),
        ];
        assert_eq!(journal_path(ELSEWHERE, &variables), expected, "{text}");
    }
}

#[test]
fn a_file_of_which_only_the_descriptor_is_known_counts_as_none_for_paths() {
    let file = File::open(ELSEWHERE).unwrap();
    for directory in ["/dev/fd", "/proc/self/fd"] {
        let file = format!("{directory}/{}", file.as_raw_fd());
        let path = journal_path(&file, &[("STATE_DIRECTORY", "/var/lib/fourcast")]);
        assert_eq!(path, Path::new("/var/lib/fourcast/fourcast-data"));
        let path = journal_path(&file, &[]);
        assert_eq!(path, working_directory().join("fourcast-data"));
    }
}

#[test]
fn without_a_file_paths_begin_at_the_first_state_directory_or_the_working_directory() {
    let in_working_directory = Path::new("");
    let stdin = Some(Path::new("/dev/stdin"));
    for source in [None, stdin] {
        for (directories, base) in [
            ("/var/lib/a", Path::new("/var/lib/a")),
            ("/var/lib/a:/var/lib/b", Path::new("/var/lib/a")),
            ("", in_working_directory),
        ] {
            let environment = [("STATE_DIRECTORY".into(), directories.into())];
            assert_eq!(load::base(source, &environment), base, "{directories}");
        }
        assert_eq!(load::base(source, &[]), in_working_directory);
    }
}

/// What comes of `RUST_LOG` over a file that says `info`.
fn loaded_with_filter(filter: &str) -> Loaded {
    let variables = [("RUST_LOG".into(), filter.into())];
    Config::load(Some(Path::new(ELSEWHERE)), variables).unwrap()
}

#[test]
fn the_filter_of_the_environment_counts_more_than_the_file_unless_it_is_empty() {
    for (filter, level) in [
        ("", "info"),
        ("debug", "debug"),
        ("warn, fourcast::hub=debug", "warn, fourcast::hub=debug"),
    ] {
        let loaded = loaded_with_filter(filter);
        assert_eq!(loaded.config.log.level, level);
        assert_eq!(loaded.unheeded, None, "{filter}");
    }
}

#[test]
fn a_filter_with_a_typo_is_told_and_does_not_silence_the_log() {
    for filter in ["fourcast=dbug", "dbug", " ", "\u{fffd}"] {
        let loaded = loaded_with_filter(filter);
        assert_eq!(loaded.config.log.level, "info");
        let told = loaded.unheeded.unwrap().to_string();
        assert!(told.starts_with("RUST_LOG: found "), "{told}");
        assert!(told.contains("expected off, error, warn"), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn a_path_stays_as_it_is_written_where_there_is_no_file() {
    let config = accepted("[journal]\npath = \"../kept\"");
    assert_eq!(config.journal.path.as_os_str(), "../kept");
    assert!(Config::default().journal.path.is_relative());
}

#[test]
fn what_was_read_is_read_again_unless_it_is_gone_or_gave_its_text_once() {
    let (pipe, _end) = std::io::pipe().unwrap();
    let again = |source: PathBuf| {
        let loaded = Loaded {
            config: Config::default(),
            source: Some(source),
            unheeded: None,
        };
        loaded.again().map_err(|error| error.to_string())
    };
    let pipe = PathBuf::from(format!("/dev/fd/{}", pipe.as_raw_fd()));
    for (source, told) in [
        (pipe, "it is no regular file, so it cannot be read again"),
        (PathBuf::from("src"), "it is no regular file"),
        (PathBuf::from("tests/nowhere.toml"), "there is no such file"),
    ] {
        let message = again(source.clone()).unwrap_err();
        assert_tells(&message, &[&source.display().to_string(), told]);
    }
    let again = again(PathBuf::from(ELSEWHERE)).unwrap();
    let first = Config::load_with_environment(Some(Path::new(ELSEWHERE))).unwrap();
    assert_eq!(again, first);
}

mod tokens;
