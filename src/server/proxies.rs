//! Whom a connection and its requests are for: what trusted proxies say of it, and nobody else.

use std::time::Instant;

use super::proxy_protocol::{Header, Malformed, Progress, parse};
use super::stream::{ReadError, Stream};
use crate::config::{ClientFrom, Proxies};
use crate::http::forwarded;
use crate::http::head::Head;
use crate::peer::Peer;
use crate::seldom::Seldom;

static SILENT: Seldom = Seldom::new();

/// Hears out the proxy that opened this connection, if it is trusted and has something to say before everything else;
/// from then on the [peer](Stream::peer) is the client that it brings. `None`: it did not say what it should, or not
/// until `deadline`, and nobody may be taken for somebody else. For the connection's own thread only.
pub(super) fn introduce(stream: &Stream, proxies: &Proxies, deadline: Instant) -> Option<()> {
    let peer = stream.peer();
    if proxies.client != ClientFrom::ProxyProtocol || !proxies.trusts(peer) {
        return Some(());
    }
    match read_header(stream, deadline) {
        Ok(Header::Client(client)) => stream.set_peer(client.into()),
        Ok(Header::Itself) => {}
        Err(Silence::Malformed(Malformed(why))) => {
            SILENT.say(|more| {
                log::warn!(
                    "{peer} is a trusted proxy and did not say by the PROXY protocol whom it brings, its connection is \
                     closed: {why}; 'proxies' in the config says who does{more}"
                );
            });
            return None;
        }
        // As somebody does who looks whether the port is open.
        Err(Silence::Read(error)) => {
            log::debug!("{peer}: no PROXY protocol header came: {error:?}");
            return None;
        }
    }
    Some(())
}

/// Why there is no header.
enum Silence {
    Malformed(Malformed),
    Read(ReadError),
}

/// What comes behind it, TLS perhaps, is left to others.
fn read_header(stream: &Stream, deadline: Instant) -> Result<Header, Silence> {
    let mut bytes = Vec::new();
    loop {
        match parse(&bytes).map_err(Silence::Malformed)? {
            Progress::Done(header) => return Ok(header),
            Progress::Wants(most) => {
                let mut piece = vec![0; most];
                let count = stream.read(&mut piece, deadline).map_err(Silence::Read)?;
                bytes.extend_from_slice(piece.get(..count).unwrap_or_default());
            }
        }
    }
}

/// The client that a request is for. `sender` is whoever sent it: whom the PROXY protocol named, or the other end of the
/// connection. Proxies that are trusted are passed, from the nearest on.
///
/// Where no one else is named, it is whom the sender names: what comes further may be the word of a client whose own address is
/// one of those that are trusted, and nobody may say of itself that it comes from an address that is exempt from bounds.
pub(super) fn client_of(head: &Head, sender: Peer, proxies: &Proxies) -> Peer {
    let lines = |name| head.fields.get_all(name);
    match proxies.client {
        ClientFrom::Nowhere | ClientFrom::ProxyProtocol => sender,
        ClientFrom::XForwardedFor => {
            let lines: Vec<&str> = lines("X-Forwarded-For").collect();
            pass_trusted(
                forwarded::x_forwarded_for(lines.into_iter()),
                sender,
                proxies,
            )
        }
        ClientFrom::Forwarded => {
            let lines: Vec<&str> = lines("Forwarded").collect();
            pass_trusted(forwarded::forwarded(lines.into_iter()), sender, proxies)
        }
    }
}

fn pass_trusted(
    nodes: impl Iterator<Item = Option<forwarded::Node>>,
    sender: Peer,
    proxies: &Proxies,
) -> Peer {
    if !proxies.trusts(sender) {
        return sender;
    }
    // What is malformed says nothing, and neither does what stands before it.
    let named = nodes.map_while(|node| node.map(|(ip, port)| Peer::Ip(ip, port)));
    let mut named = named.peekable();
    let nearest = named.peek().copied().unwrap_or(sender);
    named
        .find(|client| !proxies.trusts(*client))
        .unwrap_or(nearest)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::config::Config;
    use crate::http::head::{Ceilings, parse as parse_head};

    fn proxies(client: &str) -> Proxies {
        let text = format!(
            "[access]\nmode = \"open\"\n[proxies]\ntrusted = [\"127.0.0.1\", \"10.0.0.0/8\", \"unix\"]\nclient = \"{client}\""
        );
        Config::from_toml(&text).unwrap().proxies
    }

    fn peer(text: &str) -> Peer {
        text.parse::<SocketAddr>().map_or(Peer::Unix, Peer::from)
    }

    /// For whom a request with these fields is that came from `sender`.
    fn client(by: &str, sender: &str, fields: &[&str]) -> String {
        let ceilings = Ceilings {
            head_bytes: 10_000,
            target_bytes: 100,
            fields: 20,
        };
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        let text = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        let (head, _) = parse_head(text.as_bytes(), &ceilings).unwrap().unwrap();
        client_of(&head, peer(sender), &proxies(by)).to_string()
    }

    #[test]
    fn the_first_who_is_not_trusted_is_the_client() {
        for (fields, expected) in [
            (&["X-Forwarded-For: 192.0.2.1"][..], "192.0.2.1"),
            (&["X-Forwarded-For: 192.0.2.1:80"], "192.0.2.1:80"),
            (
                &["X-Forwarded-For: 1.1.1.1, 192.0.2.1, 10.1.1.1"],
                "192.0.2.1",
            ),
            (
                &["x-forwarded-for: 1.1.1.1", "X-FORWARDED-FOR: 192.0.2.1"],
                "192.0.2.1",
            ),
            (
                &["X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 10.1.1.1"],
                "192.0.2.1",
            ),
            // All of them are trusted: the nearest.
            (&["X-Forwarded-For: 10.0.0.3, 10.0.0.2"], "10.0.0.2"),
            // Malformed: what stands before it is not looked at.
            (
                &["X-Forwarded-For: 192.0.2.1, unknown, 10.0.0.2"],
                "10.0.0.2",
            ),
            (&["X-Forwarded-For: 192.0.2.1, 10.0.0.2:x"], "127.0.0.1:5"),
            (&["X-Forwarded-For:"], "127.0.0.1:5"),
            (&[], "127.0.0.1:5"),
            (&["Forwarded: for=192.0.2.1"], "127.0.0.1:5"),
        ] {
            assert_eq!(
                client("x-forwarded-for", "127.0.0.1:5", fields),
                expected,
                "{fields:?}"
            );
        }
        let field = &["Forwarded: for=1.1.1.1, for=\"[2001:db8::1]:7\", for=10.0.0.9;by=x"];
        assert_eq!(client("forwarded", "unix", field), "[2001:db8::1]:7");
        let other = &["X-Forwarded-For: 192.0.2.1"];
        assert_eq!(client("forwarded", "unix", other), "unix");
    }

    #[test]
    fn a_stranger_is_himself_whatever_he_says() {
        let fields = &["X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1"];
        for by in ["none", "x-forwarded-for", "forwarded", "proxy-protocol"] {
            assert_eq!(
                client(by, "198.51.100.7:9", fields),
                "198.51.100.7:9",
                "{by}"
            );
        }
        for by in ["none", "proxy-protocol"] {
            assert_eq!(client(by, "127.0.0.1:5", fields), "127.0.0.1:5", "{by}");
        }
    }

    #[test]
    fn a_client_with_a_trusted_address_cannot_say_that_it_is_this_machine() {
        for (field, by) in [
            ("X-Forwarded-For: 127.0.0.1, 10.0.0.5", "x-forwarded-for"),
            ("Forwarded: for=127.0.0.1, for=10.0.0.5", "forwarded"),
        ] {
            assert_eq!(client(by, "127.0.0.1:5", &[field]), "10.0.0.5");
        }
    }

    #[test]
    fn a_client_that_pretends_to_be_a_proxy_is_not_passed() {
        // The proxy adds whom it had it from; what stands before that is the client's own.
        let fields = &["X-Forwarded-For: 10.0.0.1, 198.51.100.7"];
        assert_eq!(
            client("x-forwarded-for", "127.0.0.1:5", fields),
            "198.51.100.7"
        );
        let fields = &["Forwarded: for=\"10.0.0.1", "Forwarded: for=198.51.100.7"];
        assert_eq!(client("forwarded", "127.0.0.1:5", fields), "198.51.100.7");
    }
}
