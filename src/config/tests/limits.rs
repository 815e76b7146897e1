//! What may be said of the share that one client has: connections, rates, memory.

use super::*;

#[test]
fn a_rate_says_how_many_and_in_which_time() {
    let rates = |text: &str| accepted(&format!("[rates]\n{text}")).rates;
    let rate = |count: u32, per| {
        let count = count.try_into().unwrap();
        Some(Rate { count, per })
    };
    for (text, expected) in [
        ("100/s", rate(100, Per::Second)),
        ("30/m", rate(30, Per::Minute)),
        ("1000000/h", rate(1_000_000, Per::Hour)),
        ("off", None),
    ] {
        let read = rates(&format!("publishes_per_key = {text:?}"));
        assert_eq!(read.publishes_per_key, expected, "{text}");
    }
    assert_eq!(rates("burst = \"1h\"").burst, Duration::from_secs(3600));
    for wrong in [
        "100",
        "0/s",
        "1000001/s",
        "100/d",
        "+1/s",
        "1.5/s",
        "/s",
        "on",
    ] {
        let message = refused(&format!("[rates]\nrequests_per_address = {wrong:?}"));
        let expected =
            "expected \"off\", or how many from 1 to 1000000 in a second, a minute or an hour";
        assert_tells(
            &message,
            &[
                "config.toml:2:24: rates.requests_per_address: found",
                expected,
            ],
        );
    }
}

#[test]
fn who_is_exempt_is_said_by_networks() {
    let config = accepted("[limits]\nexempt = [\"10.0.0.0/8\", \"fd00::1\"]");
    let exempts = |address: &str| config.limits.exempts(address.parse().unwrap());
    assert!(exempts("10.9.9.9") && exempts("::ffff:10.9.9.9") && exempts("fd00::1"));
    assert!(!exempts("127.0.0.1") && !exempts("fd00::2"));
    assert!(
        Config::default()
            .limits
            .exempts("127.0.0.1".parse().unwrap())
    );
    assert_tells(
        &refused("[limits]\nexempt = [\"10.0.0.1/8\", \"loopback\"]"),
        &[
            "limits.exempt[0]: found \"10.0.0.1/8\"",
            "the network of this address is \"10.0.0.0/8\"",
            "limits.exempt[1]: found \"loopback\"; expected an IP address or a network",
        ],
    );
}

#[test]
fn one_client_has_a_tenth_of_the_connections_unless_it_is_said_otherwise() {
    for (text, address, subject) in [
        ("", 1_000, 1_000),
        ("connections = 50", 16, 16),
        ("connections_per_address = 5", 5, 1_000),
        ("connections_per_subject = 3", 1_000, 3),
    ] {
        let limits = accepted(&format!("[limits]\n{text}")).limits;
        let shares = (limits.share_of_address(), limits.share_of_subject());
        assert_eq!(shares, (address, subject), "{text}");
    }
}

#[test]
fn a_budget_smaller_than_what_is_there_without_clients_is_refused() {
    accepted("[limits]\nmemory = \"250 MiB\"");
    assert_tells(
        &refused("[limits]\nmemory = \"249 MiB\""),
        &[
            "config.toml:2:10: limits.memory: 249 MiB are too few: 234 MiB go to the program, twice fanout.tail_bytes",
            "write \"250 MiB\" or more",
        ],
    );
    assert_tells(
        &refused("[journal]\nkind = \"memory\"\n[limits]\nmemory = \"1 GiB\""),
        &[
            "journal.max_bytes and limits.idempotency_keys of a journal in memory",
            "write \"1350 MiB\"",
        ],
    );
    accepted(
        "[fanout]\ntail_bytes = \"1 MiB\"\nreplay_bytes = \"0 B\"\n[limits]\nmemory = \"51 MiB\"\nchannels = 1000",
    );
    assert_tells(
        &refused("[limits]\nmemory = 5"),
        &["found 5; expected \"auto\" or a size from 1 MiB to 1024 GiB"],
    );
}
