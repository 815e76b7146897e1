//! What a browser loads from here: the client module and the live page, embedded in the binary as they are; and what
//! went over the wire for the page.

pub mod lanes;

use sha1_smol::Sha1;

use crate::http::fields::{NoneMatch, if_none_match};
use crate::http::head::Head;
use crate::http::response::Response;

/// One file that a browser loads.
#[derive(Debug, PartialEq, Eq)]
pub struct Asset {
    /// Where it is.
    pub path: &'static str,
    media_type: &'static str,
    text: &'static str,
    /// Who may load it.
    pub audience: Audience,
}

/// Who may load a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// A page of any origin, since it is the same for all and holds no secret.
    Everyone,
    /// The live page, where it is switched on.
    Page,
}

/// Were an event ever taken for markup, it still could neither run nor tell anything to anyone.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A file of the live page: its path, its media type, and where it is beside this file.
macro_rules! of_page {
    ($path:literal, $media_type:expr, $file:literal) => {
        Asset {
            path: $path,
            media_type: $media_type,
            text: include_str!($file),
            audience: Audience::Page,
        }
    };
}

static ASSETS: &[Asset] = &[
    of_page!("/", HTML, "page/index.html"),
    of_page!("/-/page.css", CSS, "page/page.css"),
    of_page!("/-/page.js", SCRIPT, "page/page.js"),
    of_page!("/-/page/channel.js", SCRIPT, "page/channel.js"),
    of_page!("/-/page/chart.js", SCRIPT, "page/chart.js"),
    of_page!("/-/page/clock.js", SCRIPT, "page/clock.js"),
    of_page!("/-/page/copy.js", SCRIPT, "page/copy.js"),
    of_page!("/-/page/curl.js", SCRIPT, "page/curl.js"),
    of_page!("/-/page/frame.js", SCRIPT, "page/frame.js"),
    of_page!("/-/page/lane.js", SCRIPT, "page/lane.js"),
    of_page!("/-/page/ledger.js", SCRIPT, "page/ledger.js"),
    of_page!("/-/page/meter.js", SCRIPT, "page/meter.js"),
    of_page!("/-/page/missed.js", SCRIPT, "page/missed.js"),
    of_page!("/-/page/news.js", SCRIPT, "page/news.js"),
    of_page!("/-/page/operations.js", SCRIPT, "page/operations.js"),
    of_page!("/-/page/palette.js", SCRIPT, "page/palette.js"),
    of_page!("/-/page/panel.js", SCRIPT, "page/panel.js"),
    of_page!("/-/page/pause.js", SCRIPT, "page/pause.js"),
    of_page!("/-/page/picture.js", SCRIPT, "page/picture.js"),
    of_page!("/-/page/publisher.js", SCRIPT, "page/publisher.js"),
    of_page!("/-/page/record.js", SCRIPT, "page/record.js"),
    of_page!("/-/page/refusal.js", SCRIPT, "page/refusal.js"),
    of_page!("/-/page/samples.js", SCRIPT, "page/samples.js"),
    of_page!("/-/page/sequence.js", SCRIPT, "page/sequence.js"),
    of_page!("/-/page/tally.js", SCRIPT, "page/tally.js"),
    of_page!("/-/page/units.js", SCRIPT, "page/units.js"),
    of_page!("/-/page/watchdog.js", SCRIPT, "page/watchdog.js"),
    of_page!("/-/page/ways.js", SCRIPT, "page/ways.js"),
    Asset {
        path: "/-/client.js",
        media_type: SCRIPT,
        text: include_str!("client.js"),
        audience: Audience::Everyone,
    },
    Asset {
        path: "/-/client.d.ts",
        media_type: "text/plain; charset=utf-8",
        text: include_str!("client.d.ts"),
        audience: Audience::Everyone,
    },
];

impl Asset {
    /// The file at `path`.
    pub fn find(path: &str) -> Option<&'static Asset> {
        ASSETS.iter().find(|asset| asset.path == path)
    }

    /// The answer to a GET or HEAD of it: 304 when its sender has it as it is. It may be kept by a cache that
    /// asks each time, so that a new server is not met by an old page.
    pub fn response(&self, head: &Head) -> Response {
        let tag = Sha1::from(self.text).digest().to_string();
        let is_known = if_none_match(head.fields.get_all("If-None-Match"), Some)
            .is_some_and(|known| known == NoneMatch::Any || known == NoneMatch::Tagged(Some(&tag)));
        let response = match is_known {
            true => Response::new(304),
            false => Response::new(200).with_body(self.media_type, self.text.into()),
        };
        let response = response
            .with("ETag", format!("\"{tag}\""))
            .with("Cache-Control", "no-cache")
            .with("X-Content-Type-Options", "nosniff");
        match self.audience {
            Audience::Everyone => response
                .with("Access-Control-Allow-Origin", "*")
                .with("Cross-Origin-Resource-Policy", "cross-origin"),
            Audience::Page => shield(response, self.media_type),
        }
    }
}

/// Adds to a file of the live page that no other page may load or frame it. Its URL may have a token in it, which no
/// link may carry elsewhere.
fn shield(response: Response, media_type: &str) -> Response {
    let response = response
        .with("Vary", "Origin")
        .with("Cross-Origin-Resource-Policy", "same-origin");
    match media_type {
        HTML => response
            .with("Content-Security-Policy", POLICY)
            .with("Referrer-Policy", "no-referrer"),
        _ => response,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_page_is_in_the_list() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/page");
        for file in folder.read_dir().unwrap() {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let is_listed = |asset: &Asset| asset.audience == Audience::Page && asset.text == text;
            assert!(ASSETS.iter().any(is_listed), "{}", path.display());
        }
    }

    #[test]
    fn its_policy_allows_all_of_it() {
        for asset in ASSETS
            .iter()
            .filter(|asset| asset.audience == Audience::Page)
        {
            for inline in [
                "<style",
                " style=",
                " onclick=",
                " onload=",
                "javascript:",
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
            ] {
                assert!(!asset.text.contains(inline), "{}: {inline}", asset.path);
            }
            let module = "<script type=\"module\" src=";
            let scripts = asset.text.matches("<script").count();
            assert_eq!(
                scripts,
                asset.text.matches(module).count(),
                "{}",
                asset.path
            );
        }
    }

    #[test]
    fn the_page_asks_nobody_else_for_anything() {
        for asset in ASSETS {
            for elsewhere in ["http://", "https://", "@import", "src=\"//", "href=\"//"] {
                let told = asset.text.replace("http://www.w3.org/", "");
                assert!(!told.contains(elsewhere), "{}: {elsewhere}", asset.path);
            }
        }
    }
}
