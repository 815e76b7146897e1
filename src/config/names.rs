//! Hosts and origins as they are compared: lower case, without what a browser leaves out too.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::written::Written;

/// A name that a `Host` field may have: lower case, no port, no final dot; an IPv6 address in brackets
/// and in its shortest form (RFC 5952).
pub(super) fn host(written: &Written) -> Result<String, String> {
    written.text().and_then(normal_host).ok_or_else(|| {
        written.but_expected(
            "a name or an address without scheme, port or path, such as \"events.example.com\" \
             or \"192.168.1.20\"",
        )
    })
}

/// An origin as a browser writes it (RFC 6454, section 6.2): lower case, no default port, no path. `*.` before its
/// host stands for one label or more.
pub(super) fn origin(written: &Written) -> Result<String, String> {
    let text = written.text();
    let refused = match text {
        Some("null") => {
            "a named origin: \"null\" is what every sandboxed page of anybody sends, so it cannot be allowed"
        }
        Some("*") => {
            "each origin by its name, such as \"https://app.example.com\": a star would let every page \
             on the web read and publish"
        }
        Some(text) if text.contains('*') => {
            "a star only as the first label before a domain of at least two, such as \"https://*.example.com\": it \
             stands for every name below that domain, and anybody could have one below less"
        }
        _ => "scheme, host and perhaps port, such as \"https://app.example.com\"",
    };
    text.and_then(normal_origin)
        .ok_or_else(|| written.but_expected(refused))
}

fn normal_origin(text: &str) -> Option<String> {
    let (scheme, authority) = text.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    if !is_scheme(&scheme) {
        return None;
    }
    // An address copied from the browser's bar ends in a slash; an origin never does.
    let (host, port) = split_port(authority.strip_suffix('/').unwrap_or(authority))?;
    let host = match host.strip_prefix("*.") {
        Some(domain) => format!("*.{}", normal_domain(domain)?),
        None => normal_host(host)?,
    };
    Some(match port {
        Some(port) if Some(port) != default_port(&scheme) => format!("{scheme}://{host}:{port}"),
        _ => format!("{scheme}://{host}"),
    })
}

/// RFC 3986, section 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let after_brackets = authority.rfind(']').map_or(0, |end| end + 1);
    match authority[after_brackets..].rfind(':') {
        None => Some((authority, None)),
        Some(colon) => {
            let (host, port) = authority.split_at(after_brackets + colon);
            let port = port.strip_prefix(':')?;
            let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
            Some((host, Some(port.parse().ok().filter(|_| digits)?)))
        }
    }
}

/// A name of two labels or more; no address, since nothing is below one.
fn normal_domain(text: &str) -> Option<String> {
    let name = normal_host(text)?;
    let is_address = name.starts_with('[') || name.parse::<Ipv4Addr>().is_ok();
    (!is_address && name.contains('.')).then_some(name)
}

fn normal_host(text: &str) -> Option<String> {
    if let Some(inside) = text.strip_prefix('[') {
        let address: Ipv6Addr = inside.strip_suffix(']')?.parse().ok()?;
        return Some(format!("[{address}]"));
    }
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Some(format!("[{address}]"));
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Some(address.to_string());
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_label = |label: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        (1..=63).contains(&label.len()) && label.bytes().all(allowed)
    };
    (name.len() <= 253 && name.split('.').all(is_label)).then_some(name)
}
