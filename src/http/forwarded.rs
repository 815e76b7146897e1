//! Whom proxies passed a request on for: `Forwarded` (RFC 7239) and the `X-Forwarded-For` that was there before it, read
//! from their ends. What stands further left was written by whoever is further away, and perhaps by a liar.

use std::net::{IpAddr, Ipv6Addr};

/// Somebody who sent a request to a proxy: an address, perhaps with its port.
pub type Node = (IpAddr, Option<u16>);

/// Whom the proxies sent the request on for, the nearest first, from the lines of `X-Forwarded-For` in their order.
/// `None`: what stands there is no address.
pub fn x_forwarded_for<'a>(
    lines: impl DoubleEndedIterator<Item = &'a str>,
) -> impl Iterator<Item = Option<Node>> {
    let items = lines.rev().flat_map(|line| line.rsplit(','));
    // Empty items count nothing (RFC 9110, section 5.6.1.2).
    let items = items.map(trimmed).filter(|item| !item.is_empty());
    items.map(node)
}

/// The same, from the lines of `Forwarded`.
pub fn forwarded<'a>(
    lines: impl DoubleEndedIterator<Item = &'a str>,
) -> impl Iterator<Item = Option<Node>> {
    let elements = lines.rev().flat_map(|line| split_from_end(line, ','));
    let elements = elements.map(trimmed).filter(|element| !element.is_empty());
    elements.map(|element| node(&source(element)?))
}

/// What an element says under `for` (section 4), without quotes.
fn source(element: &str) -> Option<String> {
    let mut found = None;
    for pair in split_from_end(element, ';') {
        let (name, value) = trimmed(pair).split_once('=')?;
        // No address has an escape in it, and with one nobody is sure where a quoted text ends.
        let value = match value.strip_prefix('"') {
            Some(rest) => rest.strip_suffix('"')?,
            None => value,
        };
        if value.contains(['"', '\\']) {
            return None;
        }
        if name.eq_ignore_ascii_case("for") && found.replace(value).is_some() {
            return None;
        }
    }
    found.map(str::to_owned)
}

/// The parts between marks that stand outside of quotes, the last first. Read from the left, a quote that a stranger
/// opened and never closed would swallow what the proxies wrote behind it.
fn split_from_end(text: &str, mark: char) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut is_quoted = false;
        let cut = text.char_indices().rev().find(|&(_, c)| {
            is_quoted ^= c == '"';
            c == mark && !is_quoted
        });
        let (before, part) = match cut {
            Some((at, _)) => (text.get(..at), text.get(at..)?.strip_prefix(mark)?),
            None => (None, text),
        };
        rest = before;
        Some(part)
    })
}

/// An address alone or with its port: `192.0.2.1:80`, `[2001:db8::1]:80` (section 6; without brackets in
/// `X-Forwarded-For`). A port may be hidden behind a name; who hides behind one has no address.
fn node(text: &str) -> Option<Node> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some((ip.to_canonical(), None));
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (inside, behind) = rest.split_once(']')?;
            let ip: Ipv6Addr = inside.parse().ok()?;
            match behind {
                "" => return Some((IpAddr::V6(ip).to_canonical(), None)),
                _ => (IpAddr::V6(ip), behind.strip_prefix(':')?),
            }
        }
        None => {
            let (host, port) = text.split_once(':')?;
            (IpAddr::V4(host.parse().ok()?), port)
        }
    };
    let is_number = (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
    let is_hidden = port.strip_prefix('_').is_some_and(is_obfuscated);
    match is_number {
        true => Some((host.to_canonical(), Some(port.parse().ok()?))),
        false => is_hidden.then_some((host.to_canonical(), None)),
    }
}

/// Section 6.3.
fn is_obfuscated(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    !text.is_empty() && text.bytes().all(allowed)
}

/// Without the spaces of RFC 9110, section 5.6.3.
fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As they are told: `-` stands for what is no address.
    fn told(nodes: impl Iterator<Item = Option<Node>>) -> Vec<String> {
        let tell = |node: Option<Node>| match node {
            Some((ip, Some(port))) => format!("{ip} {port}"),
            Some((ip, None)) => ip.to_string(),
            None => "-".to_owned(),
        };
        nodes.map(tell).collect()
    }

    fn lines<'a>(lines: &'a [&'a str]) -> impl DoubleEndedIterator<Item = &'a str> {
        lines.iter().copied()
    }

    #[test]
    fn x_forwarded_for_is_read_from_its_end() {
        for (given, expected) in [
            (&["192.0.2.1"][..], &["192.0.2.1"][..]),
            (&["192.0.2.1, 10.0.0.1"], &["10.0.0.1", "192.0.2.1"]),
            (
                &["192.0.2.1,10.0.0.1", " 10.0.0.2 "],
                &["10.0.0.2", "10.0.0.1", "192.0.2.1"],
            ),
            (&["192.0.2.1:4711"], &["192.0.2.1 4711"]),
            (&["2001:db8::1"], &["2001:db8::1"]),
            (&["[2001:db8::1]"], &["2001:db8::1"]),
            (&["[2001:db8::1]:4711"], &["2001:db8::1 4711"]),
            (&["::ffff:192.0.2.1"], &["192.0.2.1"]),
            (&["192.0.2.1, , ,"], &["192.0.2.1"]),
            (&[""], &[]),
            (&[], &[]),
        ] {
            assert_eq!(told(x_forwarded_for(lines(given))), expected, "{given:?}");
        }
    }

    #[test]
    fn what_is_no_address_in_x_forwarded_for_is_none() {
        for item in [
            "unknown",
            "localhost",
            "192.0.2",
            "192.0.2.256",
            "192.0.2.1:",
            "192.0.2.1:x",
            "192.0.2.1:65536",
            "192.0.2.1:+80",
            "192.0.2.1:80:80",
            "192.0.2.1:_",
            "192.0.2.1/8",
            "192.0.2.1 192.0.2.2",
            "[192.0.2.1]",
            "[2001:db8::1",
            "2001:db8::1]",
            "[2001:db8::1]80",
            "[2001:db8::1]:",
            "[]",
            "2001:db8::g",
            "\"192.0.2.1\"",
            "192.0.2.1\u{e9}",
            "for=192.0.2.1",
        ] {
            assert_eq!(told(x_forwarded_for(lines(&[item]))), ["-"], "{item}");
        }
    }

    #[test]
    fn forwarded_is_read_from_its_end() {
        for (given, expected) in [
            (&["for=192.0.2.1"][..], &["192.0.2.1"][..]),
            (
                &["For=192.0.2.1;proto=http;by=203.0.113.43"],
                &["192.0.2.1"],
            ),
            (&["by=x; FOR=192.0.2.1 ;host=\"a;b,c\""], &["192.0.2.1"]),
            (
                &["for=192.0.2.1, for=198.51.100.2"],
                &["198.51.100.2", "192.0.2.1"],
            ),
            (
                &["for=192.0.2.1", "for=198.51.100.2"],
                &["198.51.100.2", "192.0.2.1"],
            ),
            (
                &["for=\"[2001:db8:cafe::17]:4711\""],
                &["2001:db8:cafe::17 4711"],
            ),
            (&["for=\"[2001:db8::1]\""], &["2001:db8::1"]),
            (&["for=\"192.0.2.1:80\""], &["192.0.2.1 80"]),
            (&["for=\"192.0.2.1:_gone\""], &["192.0.2.1"]),
            (&["for=192.0.2.1,,"], &["192.0.2.1"]),
            (&["for=unknown"], &["-"]),
            (&["for=_gazonk"], &["-"]),
            (&["proto=https"], &["-"]),
            (&[""], &[]),
        ] {
            assert_eq!(told(forwarded(lines(given))), expected, "{given:?}");
        }
    }

    #[test]
    fn what_is_malformed_in_forwarded_is_none() {
        for element in [
            "192.0.2.1",
            "for",
            "for=",
            "for=\"\"",
            "for=\"192.0.2.1",
            "for=192.0.2.1\"",
            "for=\"192.0.2.1\"x",
            "for=\"192.0.2.\\1\"",
            "for=\"192.0.2.1\\\"\"",
            "for=192.0.2.1;for=192.0.2.2",
            "for=192.0.2.1;;",
            "for=192.0.2.1;by",
            "for=[2001:db8::1",
            "for=\"2001:db8::1]\"",
            "for= 192.0.2.1",
        ] {
            assert_eq!(told(forwarded(lines(&[element]))), ["-"], "{element}");
        }
    }

    #[test]
    fn nothing_that_a_stranger_wrote_swallows_what_a_proxy_wrote_behind_it() {
        for forged in [
            "for=\"10.0.0.1",
            "for=\"10.0.0.1\\",
            "\"",
            "for=10.0.0.1;host=\"a",
            "for=\"\\\"",
            "\\",
            ",,\"\"\"",
        ] {
            for proxy in ["for=192.0.2.1", "for=\"[2001:db8::1]:80\";proto=https"] {
                let one = format!("{forged}, {proxy}");
                let expected = told(forwarded(lines(&[proxy])));
                for given in [&[&*one][..], &[forged, proxy]] {
                    assert_eq!(told(forwarded(lines(given)))[..1], expected, "{given:?}");
                }
            }
        }
    }
}
