//! The opening handshake (RFC 6455, section 4.2): what is asked is checked, field by field, and answered.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1_smol::Sha1;

use crate::http::fields::list;
use crate::http::head::{BodyFraming, Head};
use crate::http::response::Response;
use crate::http::{Method, Version};
use crate::refusal::{Kind, Refusal};

/// What is appended to a key before it is hashed (RFC 6455, section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Whether a request means to open a WebSocket, however badly.
pub fn is_meant(head: &Head) -> bool {
    head.fields.get("Sec-WebSocket-Key").is_some()
        || head.fields.get("Sec-WebSocket-Version").is_some()
        || asks_for_upgrade(head)
}

/// The answer 101 to a sound handshake, with the first subprotocol offered that is among `known`.
///
/// # Errors
/// The refusal that says what is missing.
pub fn accept(head: &Head, known: &[String]) -> Result<Response, Refusal> {
    check_upgrade(head)?;
    check_version(head)?;
    let key = check_key(head)?;
    let response = Response::upgrade("websocket").with("Sec-WebSocket-Accept", accept_value(key));
    Ok(match chosen_subprotocol(head, known) {
        Some(chosen) => response.with("Sec-WebSocket-Protocol", chosen),
        None => response,
    })
}

/// The value of `Sec-WebSocket-Accept` for a key (RFC 6455, section 4.2.2, 5.4).
pub fn accept_value(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(GUID.as_bytes());
    BASE64.encode(hash.digest().bytes())
}

fn asks_for_upgrade(head: &Head) -> bool {
    head.fields.has_token("Upgrade", "websocket")
}

fn check_upgrade(head: &Head) -> Result<(), Refusal> {
    // HTTP/1.0 has no upgrades (RFC 9110, section 7.8).
    if !asks_for_upgrade(head) || head.version != Version::Http11 {
        return Err(Refusal::new(
            Kind::UpgradeRequired,
            "this asks for a WebSocket; send 'Upgrade: websocket' and 'Connection: Upgrade' over HTTP/1.1",
        )
        .with_field("Upgrade", "websocket"));
    }
    if !head.fields.has_token("Connection", "upgrade") {
        return Err(bad("'Connection' must contain 'Upgrade'"));
    }
    if head.method != Method::Get || head.body != BodyFraming::None {
        return Err(bad("a WebSocket is opened by a GET without a body"));
    }
    Ok(())
}

fn check_version(head: &Head) -> Result<(), Refusal> {
    let mut versions = head.fields.get_all("Sec-WebSocket-Version");
    if versions.next() == Some("13") && versions.next().is_none() {
        return Ok(());
    }
    Err(Refusal::new(
        Kind::UpgradeRequired,
        "only WebSocket version 13 (RFC 6455) is spoken here",
    )
    .with_field("Sec-WebSocket-Version", "13"))
}

fn check_key(head: &Head) -> Result<&str, Refusal> {
    let mut keys = head.fields.get_all("Sec-WebSocket-Key");
    match (keys.next(), keys.next()) {
        (Some(key), None) if BASE64.decode(key).is_ok_and(|bytes| bytes.len() == 16) => Ok(key),
        _ => Err(bad(
            "there must be exactly one 'Sec-WebSocket-Key', 16 bytes in base64",
        )),
    }
}

fn chosen_subprotocol<'a>(head: &'a Head, known: &[String]) -> Option<&'a str> {
    let mut offered = head.fields.get_all("Sec-WebSocket-Protocol").flat_map(list);
    offered.find(|offer| known.iter().any(|name| name == offer))
}

fn bad(detail: &'static str) -> Refusal {
    Refusal::new(Kind::BadHandshake, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc_and_of_the_manual_come_out() {
        assert_eq!(
            accept_value("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert_eq!(
            accept_value("x3JJHMbDL1EzLkh9GBhXDw=="),
            "HSmrc0sMlYUkAGmm5OPpG2HaGWk="
        );
    }
}
