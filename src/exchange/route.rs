//! Which path means what. The path is split before it is percent-decoded, so that nothing encoded can
//! pass for a separator.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::hub::channel::ChannelName;
use crate::hub::selector::{Selector, SelectorError};
use crate::refusal::{Kind, Refusal};
use crate::web::Asset;
use crate::web::lanes::{ASKED, NoToken, Token};

/// What the names of lanes stand behind.
const LANES: &str = "/-/lanes/";

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// Channels and patterns: `/rooms/*,alerts`.
    Channels(Vec<Selector>),
    /// `/-/socket`: a WebSocket that begins without channels.
    Socket,
    /// `/-/publish`: a batch for many channels.
    Publish,
    /// `/-/healthy`: whether the process answers.
    Healthy,
    /// `/-/ready`: whether it takes new work.
    Ready,
    /// A file for browsers.
    Asset(&'static Asset),
    /// `/-/lanes/…`: what went over the wire for lanes of the live page.
    Lanes(Vec<Token>),
    /// `*`: the server as a whole, for OPTIONS.
    Server,
}

impl Route {
    /// Finds what `path` names; at most `most` selectors.
    ///
    /// # Errors
    /// 404 for what is ours but not there, 400 for what cannot be a channel.
    pub fn find(path: &str, most: usize) -> Result<Self, Refusal> {
        if let Some(asset) = Asset::find(path) {
            return Ok(Route::Asset(asset));
        }
        match path {
            "*" => Ok(Route::Server),
            "/-/socket" => Ok(Route::Socket),
            "/-/publish" => Ok(Route::Publish),
            "/-/healthy" => Ok(Route::Healthy),
            "/-/ready" => Ok(Route::Ready),
            _ if path.starts_with(LANES) => lanes(path).map(Route::Lanes),
            _ if path == "/-" || path.starts_with("/-/") => Err(not_found(
                "paths that begin with /-/ are Fourcast's own; there is none like this",
            )),
            _ => selectors(path.strip_prefix('/').unwrap_or(path), most).map(Route::Channels),
        }
    }

    /// The methods that the path knows, as `Allow` names them.
    pub const fn methods(&self) -> &'static str {
        match self {
            Route::Channels(_) | Route::Server => "GET, HEAD, POST, PUT, DELETE, OPTIONS",
            Route::Socket => "GET, HEAD, OPTIONS",
            Route::Publish => "POST, PUT, OPTIONS",
            Route::Asset(_) | Route::Lanes(_) | Route::Healthy | Route::Ready => {
                "GET, HEAD, OPTIONS"
            }
        }
    }

    /// The one channel that is published to or forgotten.
    ///
    /// # Errors
    /// When the path is a list or a pattern.
    pub fn one_channel(self) -> Result<ChannelName, Refusal> {
        const ONE: &str =
            "publishing and deleting are for one channel, not for a list or a pattern";
        match self {
            Route::Channels(mut selectors) if selectors.len() == 1 => match selectors.pop() {
                Some(Selector::Channel(name)) => Ok(name),
                _ => Err(bad(ONE)),
            },
            _ => Err(bad(ONE)),
        }
    }
}

fn selectors(list: &str, most: usize) -> Result<Vec<Selector>, Refusal> {
    let mut selectors: Vec<Selector> = Vec::with_capacity(1);
    for part in list.split(',') {
        let selector = decoded(part)?
            .parse()
            .map_err(|error: SelectorError| bad(error.to_string()))?;
        if !selectors.contains(&selector) {
            selectors.push(selector);
        }
        if selectors.len() > most {
            let detail = format!("a connection has {most} subscriptions at most");
            return Err(Refusal::new(Kind::TooManySubscriptions, detail));
        }
    }
    Ok(selectors)
}

/// The lanes that a path names, separated by commas.
fn lanes(path: &str) -> Result<Vec<Token>, Refusal> {
    let bad = |detail: String| Refusal::new(Kind::BadParameter, detail);
    let list = path.strip_prefix(LANES).unwrap_or_default();
    if list.split(',').count() > ASKED {
        return Err(bad(format!("one request asks for {ASKED} lanes at most")));
    }
    let tokens = list.split(',').map(str::parse);
    tokens
        .collect::<Result<_, NoToken>>()
        .map_err(|error| bad(error.to_string()))
}

/// Percent-decodes one selector. What would change its shape must stand bare.
fn decoded(part: &str) -> Result<Cow<'_, str>, Refusal> {
    if !part.as_bytes().contains(&b'%') {
        return Ok(part.into());
    }
    let lower = part.to_ascii_lowercase();
    for (encoded, bare) in [("%2f", '/'), ("%2c", ','), ("%2a", '*')] {
        if lower.contains(encoded) {
            return Err(bad(format!(
                "leave '{bare}' bare in a path; encoded it would mean something else"
            )));
        }
    }
    let text = percent_decode_str(part).decode_utf8();
    text.map_err(|_| bad("the path is not UTF-8 when it is decoded"))
}

fn bad(detail: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::new(Kind::BadChannel, detail)
}

fn not_found(detail: &'static str) -> Refusal {
    Refusal::new(Kind::NotFound, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str) -> Vec<String> {
        match Route::find(path, 10) {
            Ok(Route::Channels(selectors)) => selectors.iter().map(|s| s.to_string()).collect(),
            other => panic!("{path}: {other:?}"),
        }
    }

    fn refused(path: &str) -> Kind {
        Route::find(path, 10).expect_err(path).kind
    }

    #[test]
    fn a_path_is_a_list_of_channels_and_patterns() {
        assert_eq!(names("/chat"), ["chat"]);
        assert_eq!(names("/rooms/*,alerts"), ["rooms/*", "alerts"]);
        assert_eq!(names("/a%41,aA"), ["aA"]);
        assert_eq!(names("/a/-"), ["a/-"]);
    }

    #[test]
    fn separators_must_be_bare() {
        for path in ["/a%2Fb", "/a%2fb", "/a%2Cb", "/%2A", "/a%252Fb"] {
            assert_eq!(refused(path), Kind::BadChannel, "{path}");
        }
    }

    #[test]
    fn what_cannot_be_a_channel_is_refused() {
        for path in [
            "/a//b", "/a/", "/,", "/a,", "/..", "/a/../b", "/%2e%2e", "/a%00", "/a%0d%0a", "/%ff",
        ] {
            assert_eq!(refused(path), Kind::BadChannel, "{path}");
        }
        assert_eq!(
            refused("/a,b,c,d,e,f,g,h,i,j,k"),
            Kind::TooManySubscriptions
        );
    }

    #[test]
    fn lanes_are_asked_for_by_their_names() {
        let one = "0123456789-abcdef";
        let path = |count: usize| format!("/-/lanes/{}", vec![one; count].join(","));
        for count in [1, 4, ASKED] {
            assert_eq!(
                Route::find(&path(count), 1),
                Ok(Route::Lanes(vec![one.parse().unwrap(); count]))
            );
        }
        for path in [
            &path(ASKED + 1),
            "/-/lanes/",
            "/-/lanes/short",
            "/-/lanes/0123456789-abcdef,",
        ] {
            assert_eq!(refused(path), Kind::BadParameter, "{path}");
        }
    }

    #[test]
    fn our_own_paths_are_no_channels() {
        assert_eq!(Route::find("/-/socket", 1), Ok(Route::Socket));
        for path in ["/-", "/-/", "/-/nothing"] {
            assert_eq!(refused(path), Kind::NotFound, "{path}");
        }
        assert_eq!(refused("/%2D/socket"), Kind::BadChannel);
    }
}
