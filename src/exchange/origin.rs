//! Who may ask: the `Host` that a request is for, the `Origin` that sent a browser here, and the fields
//! that let a page of another origin read the answer (CORS, WHATWG Fetch, section 3.2).

use std::net::IpAddr;

use crate::config::Config;
use crate::http::Method;
use crate::http::fields::{Authority, is_token};
use crate::http::head::Head;
use crate::http::response::Response;
use crate::refusal::{Kind, Refusal};
use crate::seldom::Seldom;
use crate::web::{Asset, Audience};

static HOSTS: Seldom = Seldom::new();
static ORIGINS: Seldom = Seldom::new();
static COOKIES: Seldom = Seldom::new();

/// The page that a request came from, if it came from one that is allowed.
#[derive(Clone)]
pub struct Visitor {
    origin: Option<String>,
    /// Whether the operator named this origin, and it did not pass by where it is.
    is_listed: bool,
    /// Whether a cookie that comes along is from a page that may use it.
    may_use_cookies: bool,
}

/// Checks whom the request is for and who sent it. `local` is the address that it came in at; a Unix socket has none.
///
/// # Errors
/// 421 against DNS rebinding, 403 for a page of an origin that is not allowed.
pub fn check(
    head: &Head,
    visitor: &Visitor,
    config: &Config,
    local: Option<IpAddr>,
) -> Result<(), Refusal> {
    check_host(head, config, local)?;
    let is_open =
        Asset::find(head.path()).is_some_and(|asset| asset.audience == Audience::Everyone);
    match visitor.origin.is_none() && head.fields.get("Origin").is_some() && !is_open {
        true => Err(refused_origin(head)),
        false => Ok(()),
    }
}

/// Checks whom the request is for. `local` is the address that it came in at; without one, at a Unix socket, only
/// loopback names and `hosts` are served: no browser comes there but through a proxy, which carries its `Host` on.
///
/// # Errors
/// 421 against DNS rebinding.
pub fn check_host(head: &Head, config: &Config, local: Option<IpAddr>) -> Result<(), Refusal> {
    let Some(authority) = &head.host else {
        return Ok(());
    };
    let host = authority.host.trim_end_matches('.');
    let ip = authority.ip().map(|ip| ip.to_canonical());
    let configured = || match authority.ip() {
        Some(IpAddr::V6(ip)) => config.hosts.contains(&format!("[{ip}]")),
        _ => config.hosts.iter().any(|known| known == host),
    };
    let bound = ip.is_some() && ip == local.map(|local| local.to_canonical());
    if bound || is_loopback(host, ip) || configured() {
        return Ok(());
    }
    HOSTS.say(|more| log::warn!("refused: Host '{host}' is not served here; hosts = [\"{host}\"] in the config allows it{more}"));
    let detail = format!(
        "this server does not answer for '{host}'; 'hosts' in its configuration may name it"
    );
    Err(Refusal::new(Kind::Misdirected, detail))
}

fn refused_origin(head: &Head) -> Refusal {
    let origins: Vec<_> = head.fields.get_all("Origin").collect();
    let origin = origins.join(", ");
    ORIGINS.say(|more| match is_origin(&origin) {
        true => log::warn!(
            "refused: a page of '{origin}'; origins = [\"{origin}\"] in the config allows it{more}"
        ),
        false => log::warn!("refused: a page of no origin that could be allowed, {origin:?}{more}"),
    });
    let detail =
        "pages of this origin may not use this server; 'origins' in its configuration may name it";
    Refusal::new(Kind::ForbiddenOrigin, detail)
}

fn refused_cookie(head: &Head) -> Refusal {
    let detail = match head.fields.get("Origin") {
        Some(origin) => {
            COOKIES.say(|more| {
                log::warn!(
                    "refused: a page of '{origin}' brings the cookie with a token; origins = [\"{origin}\"] in the \
                     config allows it{more}"
                );
            });
            "a page of this origin may not use the cookie with a token; 'origins' in the server's configuration may \
             name it"
        }
        None => {
            COOKIES.say(|more| {
                log::warn!(
                    "refused: a page of another site, or a program that says no Origin, brings the cookie with a token; \
                     pages of origins in the config say theirs{more}"
                );
            });
            "only a page of this server, or of 'origins' in its configuration, may use the cookie with a token, and \
             this request does not come from one; a program shows its token in Authorization"
        }
    };
    Refusal::new(Kind::ForbiddenOrigin, detail)
}

/// Whether a text is an origin that the configuration could name: only then it is put into a line that an
/// operator is told to copy.
fn is_origin(text: &str) -> bool {
    text.split_once("://")
        .is_some_and(|(scheme, rest)| is_token(scheme) && Authority::parse(rest).is_some())
}

fn is_listed(origin: &str, config: &Config) -> bool {
    let covers = |listed: &String| match listed.split_once("*.") {
        None => listed == origin,
        Some((scheme, domain)) => is_below(origin, scheme, domain),
    };
    config.origins.iter().any(covers)
}

/// Whether an origin is `scheme`, one label or more, a dot, and `domain`. A label has neither a colon, which would
/// begin a port, nor a slash or an at sign, behind which another host could stand.
fn is_below(origin: &str, scheme: &str, domain: &str) -> bool {
    let is_label = |label: &str| {
        let may_stand =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        !label.is_empty() && label.bytes().all(may_stand)
    };
    origin
        .strip_prefix(scheme)
        .and_then(|rest| rest.strip_suffix(domain)?.strip_suffix('.'))
        .is_some_and(|labels| labels.split('.').all(is_label))
}

fn is_of_this_machine(origin: &str) -> bool {
    Source::parse(origin).is_some_and(|from| from.is_loopback())
}

/// Whether a page of `origin` came from the very host and port that this request is for; `by_tls`: by TLS. Without it
/// the scheme may differ: behind a proxy that ends TLS the page is https and this is http. With it, a page of http is
/// one that whoever is on the line can make.
pub fn is_own(origin: &str, head: &Head, by_tls: bool) -> bool {
    Source::parse(origin).is_some_and(|from| (from.is_secure || !by_tls) && from.is_host_of(head))
}

/// Whether a request without an origin is one that a page from here makes, or no page at all. Of what a page includes
/// (`<script>`, `<img>`, `<iframe>`) and of a link that is followed a browser says how far the page is, and no more
/// (W3C Fetch Metadata, section 2.4), but not to a server at plain http beyond loopback. One that says neither can only
/// read: whether its page is from here is left to the cookie's SameSite. A Referer would prove nothing, since a page may
/// have it left out.
fn is_from_here(head: &Head) -> bool {
    let mut sites = head.fields.get_all("Sec-Fetch-Site").peekable();
    match sites.peek() {
        Some(_) => sites.all(|site| matches!(site, "same-origin" | "none")),
        None => matches!(head.method, Method::Get | Method::Head),
    }
}

/// Where a page of the web came from.
struct Source {
    authority: Authority,
    is_secure: bool,
}

impl Source {
    fn parse(origin: &str) -> Option<Self> {
        let (scheme, rest) = origin.split_once("://")?;
        let is_secure = match scheme {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let authority = Authority::parse(rest)?;
        Some(Source {
            authority,
            is_secure,
        })
    }

    fn is_loopback(&self) -> bool {
        is_loopback(
            self.authority.host.trim_end_matches('.'),
            self.authority.ip(),
        )
    }

    fn is_host_of(&self, head: &Head) -> bool {
        let default = if self.is_secure { 443 } else { 80 };
        let port = |authority: &Authority| authority.port.unwrap_or(default);
        head.host.as_ref().is_some_and(|host| {
            host.host == self.authority.host && port(host) == port(&self.authority)
        })
    }
}

fn is_loopback(host: &str, ip: Option<IpAddr>) -> bool {
    ip.is_some_and(|ip| ip.to_canonical().is_loopback())
        || host == "localhost"
        || host.ends_with(".localhost")
}

impl Visitor {
    /// The page that a request came from, which `by_tls` brought or not, if it may use this server: only such a page
    /// may read answers, refusals among them.
    pub fn of(head: &Head, config: &Config, by_tls: bool) -> Self {
        let mut origins = head.fields.get_all("Origin");
        let first = origins.next();
        let only = first.filter(|_| origins.next().is_none());
        let is_listed = only.is_some_and(|origin| is_listed(origin, config));
        let is_trusted = is_listed || only.is_some_and(|origin| is_own(origin, head, by_tls));
        let allowed = only.filter(|origin| is_trusted || is_of_this_machine(origin));
        Visitor {
            origin: allowed.map(str::to_owned),
            is_listed,
            may_use_cookies: is_trusted || (first.is_none() && is_from_here(head)),
        }
    }

    /// Checks that a cookie may count: a browser adds it for any page that asks. A page of this machine may come in,
    /// but what else runs here shares a name with the page that the cookie is for, and has no business with it.
    ///
    /// # Errors
    /// 403 for all pages but the server's own and those of `origins`.
    pub fn check_cookie(&self, head: &Head) -> Result<(), Refusal> {
        match self.may_use_cookies {
            true => Ok(()),
            false => Err(refused_cookie(head)),
        }
    }

    /// Whoever sent a head that could not be read.
    pub const fn unknown() -> Self {
        Visitor {
            origin: None,
            is_listed: false,
            may_use_cookies: false,
        }
    }

    /// Adds what every answer carries: that no cache may keep or change it, that no browser may take it for another
    /// type than it says, and who may read it. The last differs with the origin, also where there is none: a cache
    /// that keeps all the same must not hand an answer without leave to a page that has it, nor the other way round.
    pub fn decorate(&self, response: Response) -> Response {
        let response = response
            .with("Cache-Control", "no-store, no-transform")
            .with("Vary", "Origin")
            .with("X-Content-Type-Options", "nosniff");
        let Some(origin) = &self.origin else {
            return response;
        };
        let response = response
            .with("Access-Control-Allow-Origin", origin)
            .with("Access-Control-Expose-Headers", EXPOSED);
        // For the cookies of a proxy in front as for ours: whatever else runs on this machine shares its loopback name,
        // and has no business with somebody's session there.
        match self.is_listed {
            true => response.with("Access-Control-Allow-Credentials", "true"),
            false => response,
        }
    }

    /// Answers a preflight, or an OPTIONS of somebody who is curious.
    pub fn preflight(&self, allow: &'static str) -> Response {
        let response = Response::new(204).with("Allow", allow);
        match &self.origin {
            None => response,
            Some(_) => response
                .with("Access-Control-Allow-Methods", allow)
                .with("Access-Control-Allow-Headers", ALLOWED)
                .with("Access-Control-Max-Age", "7200"),
        }
    }
}

const EXPOSED: &str = "Last-Event-ID, ETag, Retry-After, Location, Preference-Applied, Fourcast-Channel, \
                       Fourcast-Type, Fourcast-Time, Fourcast-Gap";
const ALLOWED: &str =
    "Accept, Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Prefer";
