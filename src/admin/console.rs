//! The console: a page that shows a person what this port tells, embedded in the binary. It holds no secret, so it is
//! open to everyone; what it shows it asks for with the key.

use super::route::Asked;
use crate::delivery::Context;
use crate::http::response::Response;
use crate::refusal::Refusal;

const PAGE: &str = include_str!("console/index.html");
const STYLE: &str = include_str!("console/console.css");
const SCRIPT: &str = include_str!("console/console.js");

/// Were a name of a channel ever taken for markup, it still could neither run nor tell anything to anyone.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn page(_: &Asked<'_>, _: &Context) -> Result<Response, Refusal> {
    Ok(file("text/html; charset=utf-8", PAGE)
        .with("Content-Security-Policy", POLICY)
        .with("Referrer-Policy", "no-referrer"))
}

pub(super) fn style(_: &Asked<'_>, _: &Context) -> Result<Response, Refusal> {
    Ok(file("text/css; charset=utf-8", STYLE))
}

pub(super) fn script(_: &Asked<'_>, _: &Context) -> Result<Response, Refusal> {
    Ok(file("text/javascript; charset=utf-8", SCRIPT))
}

fn file(media_type: &str, text: &str) -> Response {
    Response::new(200).with_body(media_type, text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_console_asks_nobody_else_for_anything() {
        for text in [PAGE, STYLE, SCRIPT] {
            let told = text.replace("http://www.w3.org/2000/svg", "");
            for elsewhere in ["http://", "https://", "@import", "src=\"//", "href=\"//"] {
                assert!(!told.contains(elsewhere), "{elsewhere}");
            }
        }
    }

    #[test]
    fn its_policy_allows_all_of_it() {
        for inline in ["<style", " style=", " onclick=", " onload=", "javascript:"] {
            assert!(!PAGE.contains(inline), "{inline}");
        }
        assert_eq!(
            PAGE.matches("<script").count(),
            PAGE.matches("<script type=\"module\" src=").count()
        );
        for dangerous in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ] {
            assert!(!SCRIPT.contains(dangerous), "{dangerous}");
        }
    }

    #[test]
    fn it_has_a_name_for_every_way() {
        for way in crate::roster::Way::ALL {
            assert!(SCRIPT.contains(way.as_str()), "{way}");
        }
    }
}
