//! What a browser loads from here: the client module and the live page, embedded in the binary as they are.

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

static ASSETS: [Asset; 5] = [
    Asset {
        path: "/",
        media_type: "text/html; charset=utf-8",
        text: include_str!("page/index.html"),
        audience: Audience::Page,
    },
    Asset {
        path: "/-/page.css",
        media_type: "text/css; charset=utf-8",
        text: include_str!("page/page.css"),
        audience: Audience::Page,
    },
    Asset {
        path: "/-/page.js",
        media_type: "text/javascript; charset=utf-8",
        text: include_str!("page/page.js"),
        audience: Audience::Page,
    },
    Asset {
        path: "/-/client.js",
        media_type: "text/javascript; charset=utf-8",
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
            Audience::Everyone => response.with("Access-Control-Allow-Origin", "*"),
            Audience::Page => response,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_asks_nobody_else_for_anything() {
        for asset in &ASSETS {
            for elsewhere in ["http://", "https://", "@import", "src=\"//", "href=\"//"] {
                let told = asset.text.replace("http://www.w3.org/", "");
                assert!(!told.contains(elsewhere), "{}: {elsewhere}", asset.path);
            }
        }
    }
}
