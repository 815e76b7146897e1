//! The URL of a server, as the parts that a connection and a request need.

use std::fmt;

use super::error::Error;

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// The name or address to connect to, without the brackets of an IPv6 address.
    pub(super) host: String,
    /// The port to connect to.
    pub(super) port: u16,
    /// What the `Host` field says.
    pub(super) authority: String,
    /// Whether TLS is spoken with it.
    pub(super) is_secure: bool,
    prefix: String,
}

impl Endpoint {
    /// Reads `http://host[:port][/prefix]` or `https://…`; `ws://` and `wss://` mean the same.
    pub(super) fn parse(url: &str) -> Result<Self, Error> {
        let wrong = || Error::invalid(format!("{url:?} is not a URL like http://127.0.0.1:8080"));
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let is_secure = match &*scheme.to_ascii_lowercase() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => {
                return Err(Error::invalid(format!(
                    "{scheme}:// is not supported; this client speaks http:// and https://"
                )));
            }
        };
        let (authority, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let usual_port = if is_secure { 443 } else { 80 };
        let (host, port) = split_port(authority, usual_port).ok_or_else(wrong)?;
        if host.is_empty() || !host.bytes().all(is_host_byte) || !prefix.bytes().all(is_path_byte) {
            return Err(wrong());
        }
        Ok(Endpoint {
            host: host.to_owned(),
            port,
            authority: authority.to_owned(),
            is_secure,
            prefix: prefix.trim_end_matches('/').to_owned(),
        })
    }

    /// The request target of a path of ours, with the parameters given.
    pub(super) fn target(&self, path: &str, parameters: &[(&str, String)]) -> String {
        let mut target = format!("{}/{path}", self.prefix);
        if !parameters.is_empty() {
            let query = form_urlencoded::Serializer::new(String::new())
                .extend_pairs(parameters)
                .finish();
            target.push('?');
            target.push_str(&query);
        }
        target
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.prefix)
    }
}

/// The host and the port of an authority; the usual one when none is named.
fn split_port(authority: &str, usual_port: u16) -> Option<(&str, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (host, (!port.is_empty()).then_some(port))
        }
        None => match authority.split_once(':') {
            Some((host, _)) => (host, authority.strip_prefix(host)),
            None => (authority, None),
        },
    };
    match port {
        None => Some((host, usual_port)),
        Some(port) => Some((host, port.strip_prefix(':')?.parse().ok()?)),
    }
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._:".contains(&byte)
}

/// What may stand in a path as it is; `?` and `#` are left out, since nothing may follow the prefix.
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:@".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_becomes_an_address_and_a_host_field() {
        for (url, host, port, authority) in [
            ("http://127.0.0.1:8080", "127.0.0.1", 8080, "127.0.0.1:8080"),
            ("http://localhost/", "localhost", 80, "localhost"),
            (
                "HTTP://example.com:81/a/",
                "example.com",
                81,
                "example.com:81",
            ),
            ("ws://[::1]:9", "::1", 9, "[::1]:9"),
            ("http://[::1]", "::1", 80, "[::1]"),
            ("https://a.test/x", "a.test", 443, "a.test"),
            ("WSS://a.test:8443", "a.test", 8443, "a.test:8443"),
        ] {
            let endpoint = Endpoint::parse(url).unwrap();
            assert_eq!(endpoint.host, host, "{url}");
            assert_eq!(endpoint.port, port, "{url}");
            assert_eq!(endpoint.authority, authority, "{url}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for url in [
            "",
            "localhost:8080",
            "ftp://localhost",
            "http://",
            "http://:80",
            "http://a:b",
            "http://a:99999",
            "http://user@host",
            "http://a b",
            "http://a/\r\n",
            "http://a/?x",
            "http://a?x",
            "http://[::1",
            "http://[::1]x",
        ] {
            assert!(Endpoint::parse(url).is_err(), "{url:?}");
        }
    }

    #[test]
    fn a_target_has_the_prefix_and_its_parameters_encoded() {
        let endpoint = Endpoint::parse("http://a/events/").unwrap();
        assert_eq!(endpoint.target("rooms/*", &[]), "/events/rooms/*");
        let parameters = [("type", "a b&c".to_owned()), ("ttl", "5".to_owned())];
        assert_eq!(
            endpoint.target("chat", &parameters),
            "/events/chat?type=a+b%26c&ttl=5"
        );
    }
}
