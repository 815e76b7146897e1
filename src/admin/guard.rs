//! Who may ask at the operator's port: nobody by another name (DNS rebinding), no page but its own (cross-site
//! request forgery), and where there is a key, nobody without it.

use super::route;
use crate::config::{Config, Secret};
use crate::exchange::origin;
use crate::http::Method;
use crate::http::head::Head;
use crate::http::response::Response;
use crate::refusal::{Kind, Refusal};
use crate::seldom::Seldom;
use crate::server::stream::Stream;

static PAGES: Seldom = Seldom::new();
static KEYS: Seldom = Seldom::new();

/// Checks who asks.
///
/// # Errors
/// 421 for another name, 403 for a page of another origin, 401 without the key.
pub(super) fn check(head: &Head, config: &Config, stream: &Stream) -> Result<(), Refusal> {
    origin::check_host(head, config, stream.local())?;
    if is_of_another_page(head) {
        PAGES.say(|more| {
            log::warn!("refused: a page of another origin asked the operator's port{more}");
        });
        let detail = "pages of other origins may not use the operator's port";
        return Err(Refusal::new(Kind::ForbiddenOrigin, detail));
    }
    match &config.admin.key {
        Some(key) if !route::is_open(head.path()) && !shows(head, key) => {
            KEYS.say(|more| {
                let peer = stream.peer();
                log::warn!("refused: {peer} asked the operator's port without the key{more}");
            });
            let detail =
                "send the key of the operator's port (admin.key): 'Authorization: Bearer KEY'";
            let refusal = Refusal::new(Kind::Unauthorized, detail);
            Err(refusal.with_field("WWW-Authenticate", "Bearer"))
        }
        _ => Ok(()),
    }
}

/// Whether a browser sends this for a page that did not come from here. Such a page may not even be one of
/// this machine: what runs on another port of it is another program.
fn is_of_another_page(head: &Head) -> bool {
    let mut origins = head.fields.get_all("Origin");
    // Of an image or a script a browser names no origin, only how far it is.
    let mut sites = head.fields.get_all("Sec-Fetch-Site");
    let is_near = |site: &str| matches!(site, "same-origin" | "none");
    let is_followed_link =
        || head.method == Method::Get && head.fields.get("Sec-Fetch-Mode") == Some("navigate");
    !origins.all(|origin| origin::is_own(origin, head, false))
        || !(sites.all(is_near) || is_followed_link())
}

/// Whether the request shows the key (RFC 6750, section 2.1).
fn shows(head: &Head, key: &Secret) -> bool {
    let mut fields = head.fields.get_all("Authorization");
    let (Some(only), None) = (fields.next(), fields.next()) else {
        return false;
    };
    let Some((scheme, given)) = only.split_once(' ') else {
        return false;
    };
    scheme.eq_ignore_ascii_case("Bearer") && key.is(given.trim_start_matches(' '))
}

/// Adds what every answer of this port carries: no cache keeps it, and no other page shows it, frames it or
/// takes it for something else.
pub(super) fn shield(response: Response) -> Response {
    response
        .with("Cache-Control", "no-store")
        .with("X-Content-Type-Options", "nosniff")
        .with("X-Frame-Options", "DENY")
        .with("Cross-Origin-Resource-Policy", "same-origin")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{Ceilings, parse};

    fn head(fields: &str) -> Head {
        let ceilings = Ceilings {
            head_bytes: 10_000,
            target_bytes: 100,
            fields: 10,
        };
        let text = format!("GET / HTTP/1.1\r\nHost: localhost:8081\r\n{fields}\r\n");
        parse(text.as_bytes(), &ceilings).unwrap().unwrap().0
    }

    #[test]
    fn only_the_page_that_came_from_here_may_ask() {
        for own in [
            "",
            "Origin: http://localhost:8081\r\n",
            "Origin: https://localhost:8081\r\n",
            "Sec-Fetch-Site: same-origin\r\n",
            "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\n",
            "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n",
        ] {
            assert!(!is_of_another_page(&head(own)), "{own}");
        }
        for other in [
            "Origin: null\r\n",
            "Origin: http://localhost:3000\r\n",
            "Origin: http://localhost\r\n",
            "Origin: http://127.0.0.1:8081\r\n",
            "Origin: http://evil.test:8081\r\n",
            "Origin: file://\r\n",
            "Origin: http://localhost:8081\r\nOrigin: http://evil.test\r\n",
            "Sec-Fetch-Site: cross-site\r\n",
            "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: no-cors\r\n",
            "Origin: http://evil.test\r\nSec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\n",
        ] {
            assert!(is_of_another_page(&head(other)), "{other}");
        }
    }

    #[test]
    fn a_key_is_shown_once_whole_and_as_a_bearer_token() {
        let key = Secret::new("kept-to-ourselves-0").unwrap();
        for shown in ["Bearer kept-to-ourselves-0", "bearer  kept-to-ourselves-0"] {
            assert!(
                shows(&head(&format!("Authorization: {shown}\r\n")), &key),
                "{shown}"
            );
        }
        let twice = "Bearer kept-to-ourselves-0\r\nAuthorization: Bearer kept-to-ourselves-0";
        for other in [
            "kept-to-ourselves-0",
            "Bearer",
            "Bearer kept-to-ourselves-",
            "Bearer kept-to-ourselves-0, x",
            "Basic kept-to-ourselves-0",
            twice,
        ] {
            assert!(
                !shows(&head(&format!("Authorization: {other}\r\n")), &key),
                "{other}"
            );
        }
        assert!(!shows(&head(""), &key));
    }
}
