//! What is served at the operator's port: one endpoint a line, and how its line is found.

use super::{
    channels, connections, console, dismissal, figures, health, index, reload, running_config,
};
use crate::delivery::Context;
use crate::http::Method;
use crate::http::response::Response;
use crate::refusal::{Kind, Refusal};

use Access::{Keyed, Open};
use Method::{Delete, Get, Post};

/// Every endpoint. `{}` at the end of a path stands for one segment, which is [`Asked::item`]. A GET answers
/// HEAD as well.
#[rustfmt::skip] // A table: one endpoint a line.
pub static ENDPOINTS: &[Endpoint] = &[
    Endpoint::new(Get, "/", Open, console::page, "the console, for a browser"),
    Endpoint::new(Get, "/-/console.css", Open, console::style, "a part of it"),
    Endpoint::new(Get, "/-/console.js", Open, console::script, "a part of it"),
    Endpoint::new(Get, "/-/index", Open, index::answer, "this list"),
    Endpoint::new(Get, "/-/healthy", Open, health::healthy, "200 while the process answers"),
    Endpoint::new(Get, "/-/ready", Open, health::ready, "200 while it takes events, else 503"),
    Endpoint::new(Get, "/metrics", Keyed, figures::answer, "all figures, for Prometheus"),
    Endpoint::new(Get, "/-/channels", Keyed, channels::answer, "what is kept of each channel, and who listens"),
    Endpoint::new(Get, "/-/connections", Keyed, connections::answer, "who is connected, and how far each is"),
    Endpoint::new(Delete, "/-/connections/{}", Keyed, dismissal::answer, "ends one of them"),
    Endpoint::new(Get, "/-/config", Keyed, running_config::answer, "the configuration that counts"),
    Endpoint::new(Post, "/-/reload", Keyed, reload::answer, "reads it again, and says what changed"),
];

/// One line of the table.
pub struct Endpoint {
    /// The method that it answers.
    pub method: Method,
    /// Its path.
    pub path: &'static str,
    /// Who may ask.
    pub access: Access,
    /// What it answers.
    answer: fn(&Asked<'_>, &Context) -> Result<Response, Refusal>,
    /// What it is for, in a few words.
    pub purpose: &'static str,
}

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everyone who reaches the port: what the data port tells everyone too, and pages that hold nothing yet.
    Open,
    /// Whoever shows `admin.key`, if there is one.
    Keyed,
}

/// A request, read to its end.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its method.
    pub method: Method,
    /// Its path, as it was sent.
    pub path: &'a str,
    /// What follows the `?`, as it was sent.
    pub query: Option<&'a str>,
    /// What stands for `{}` in the path.
    pub item: &'a str,
    /// Its body.
    pub body: &'a [u8],
}

impl Endpoint {
    const fn new(
        method: Method,
        path: &'static str,
        access: Access,
        answer: fn(&Asked<'_>, &Context) -> Result<Response, Refusal>,
        purpose: &'static str,
    ) -> Self {
        Endpoint {
            method,
            path,
            access,
            answer,
            purpose,
        }
    }

    /// What stands for `{}` if this is a path of this endpoint; empty where there is no `{}`.
    fn item_in<'p>(&self, path: &'p str) -> Option<&'p str> {
        match self.path.strip_suffix("{}") {
            None => (path == self.path).then_some(""),
            Some(before) => path
                .strip_prefix(before)
                .filter(|item| !item.is_empty() && !item.contains('/')),
        }
    }

    fn answers(&self, method: Method) -> bool {
        method == self.method || (method == Method::Head && self.method == Get)
    }
}

impl<'a> Asked<'a> {
    /// A request for `target`, a path and perhaps a query.
    pub fn new(method: Method, target: &'a str, body: &'a [u8]) -> Self {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        Asked {
            method,
            path,
            query,
            item: "",
            body,
        }
    }
}

/// Answers a request by its endpoint.
///
/// # Errors
/// 404 for another path, 405 for another method, or whatever the endpoint refuses.
pub fn answer(asked: &Asked<'_>, context: &Context) -> Result<Response, Refusal> {
    let (endpoint, item) = find(asked.method, asked.path)?;
    (endpoint.answer)(&Asked { item, ..*asked }, context)
}

/// Whether everyone may ask for this path.
pub fn is_open(path: &str) -> bool {
    let mut here = at(path).peekable();
    here.peek().is_some() && here.all(|(endpoint, _)| endpoint.access == Open)
}

fn find(method: Method, path: &str) -> Result<(&'static Endpoint, &str), Refusal> {
    let found = at(path).find(|(endpoint, _)| endpoint.answers(method));
    if let Some(found) = found {
        return Ok(found);
    }
    let methods = at(path).map(|(endpoint, _)| match endpoint.method {
        Get => "GET, HEAD",
        other => other.as_str(),
    });
    let methods: Vec<_> = methods.collect();
    if methods.is_empty() {
        let detail = "nothing is served here; GET /-/index lists what there is";
        return Err(Refusal::new(Kind::NotFound, detail));
    }
    let detail = format!("{method} means nothing here");
    Err(Refusal::new(Kind::MethodNotAllowed, detail).with_field("Allow", methods.join(", ")))
}

/// The endpoints at a path, with what stands for `{}`.
fn at(path: &str) -> impl Iterator<Item = (&'static Endpoint, &str)> {
    let here = |endpoint: &'static Endpoint| Some((endpoint, endpoint.item_in(path)?));
    ENDPOINTS.iter().filter_map(here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_its_endpoint_and_nothing_else_does() {
        for endpoint in ENDPOINTS {
            let path = endpoint.path.replace("{}", "x");
            let (found, _) = find(endpoint.method, &path).unwrap();
            assert!(std::ptr::eq(found, endpoint), "{path} twice");
        }
        for path in [
            "",
            "//",
            "/-",
            "/-/",
            "/-/healthy/",
            "/-/Healthy",
            "/-/config%00",
            "*",
        ] {
            let kind = find(Get, path).err().map(|refusal| refusal.kind);
            assert_eq!(kind, Some(Kind::NotFound), "{path}");
        }
    }

    #[test]
    fn another_method_is_told_which_there_are() {
        let refusal = find(Method::Delete, "/-/config").err().unwrap();
        assert_eq!(refusal.kind, Kind::MethodNotAllowed);
        assert_eq!(refusal.field, Some(("Allow", "GET, HEAD".into())));
        assert!(find(Method::Head, "/-/config").is_ok());
    }

    #[test]
    fn an_item_is_one_segment_that_is_not_empty() {
        let refuse = |_: &Asked<'_>, _: &Context| Err(Refusal::new(Kind::Internal, ""));
        let endpoint = Endpoint::new(Method::Delete, "/-/things/{}", Keyed, refuse, "");
        assert_eq!(endpoint.item_in("/-/things/7"), Some("7"));
        for path in ["/-/things", "/-/things/", "/-/things/7/8", "/-/thing/7"] {
            assert_eq!(endpoint.item_in(path), None, "{path}");
        }
    }

    #[test]
    fn what_is_not_there_or_tells_something_is_not_open() {
        for path in ["/-/config", "/-/nothing", "/-/healthy/", ""] {
            assert!(!is_open(path), "{path}");
        }
        assert!(is_open("/") && is_open("/-/ready"));
        assert!(!is_open("/metrics") && !is_open("/-/connections/1"));
    }

    #[test]
    fn a_target_is_a_path_and_a_query() {
        let asked = Asked::new(Get, "/-/a?b=c?d", b"");
        assert_eq!((asked.path, asked.query), ("/-/a", Some("b=c?d")));
        assert_eq!(Asked::new(Get, "/-/a", b"").query, None);
    }
}
