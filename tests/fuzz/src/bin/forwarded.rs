//! `X-Forwarded-For` and `Forwarded`. Nothing that a stranger wrote changes what a proxy wrote behind it; lines and items
//! of one line are the same; and what was read reads the same when it is written down again.

#![no_main]

use std::net::{IpAddr, SocketAddr};

use fourcast::http::forwarded::{Node, forwarded, x_forwarded_for};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    let lines: Vec<&str> = text.split('\n').collect();
    let joined = lines.join(",");
    let most = joined.matches(',').count() + 1;

    let nodes: Vec<_> = x_forwarded_for(lines.iter().copied()).collect();
    assert!(nodes.len() <= most);
    assert!(x_forwarded_for([&*joined].into_iter()).eq(nodes.iter().copied()));
    let elements: Vec<_> = forwarded(lines.iter().copied()).collect();
    assert!(elements.len() <= most);
    let is_closed = |line: &&str| line.matches('"').count() % 2 == 0;
    if lines.iter().all(is_closed) {
        assert!(forwarded([&*joined].into_iter()).eq(elements.iter().copied()));
    }

    check_behind(&lines, &joined, &nodes, &elements);
    for node in nodes.iter().chain(&elements).flatten() {
        check_again(*node);
    }
});

/// What a proxy adds comes first, in a line of its own or in the last one, and the rest stays as it was.
fn check_behind(lines: &[&str], joined: &str, nodes: &[Option<Node>], elements: &[Option<Node>]) {
    let honest: IpAddr = [192, 0, 2, 1].into();
    let first = Some((honest, None));
    let own = honest.to_string();
    let mut found = x_forwarded_for(lines.iter().copied().chain([&*own]));
    assert_eq!(found.next(), Some(first));
    assert!(found.eq(nodes.iter().copied()));
    let longer = format!("{joined}, {own}");
    assert_eq!(x_forwarded_for([&*longer].into_iter()).next(), Some(first));

    let own = format!("for={honest}");
    let mut found = forwarded(lines.iter().copied().chain([&*own]));
    assert_eq!(found.next(), Some(first));
    assert!(found.eq(elements.iter().copied()));
    for own in [own, format!("for=\"{honest}\";by=\"a,b;c\"")] {
        let longer = format!("{joined}, {own}");
        assert_eq!(forwarded([&*longer].into_iter()).next(), Some(first));
    }
}

fn check_again(node: Node) {
    let (ip, port) = node;
    assert_eq!(ip.to_canonical(), ip);
    let text = match port {
        Some(port) => SocketAddr::new(ip, port).to_string(),
        None if ip.is_ipv6() => format!("[{ip}]"),
        None => ip.to_string(),
    };
    let again = x_forwarded_for([&*text].into_iter());
    assert!(again.eq([Some(node)]));
    let element = format!("proto=http;For=\"{text}\"");
    assert!(forwarded([&*element].into_iter()).eq([Some(node)]));
}
