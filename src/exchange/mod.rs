//! 3: a request finds its way. This is the table of contents: which method and which path lead where.

pub mod later;
pub mod negotiate;
pub mod origin;
pub mod publish;
pub mod route;

use std::time::Duration;

use serde_json::json;

use self::negotiate::{Parameters, Way, negotiate};
use self::origin::Visitor;
use self::publish::Publication;
use self::route::Route;
use crate::access::Access;
use crate::access::pass::Pass;
use crate::access::rights::Action;
use crate::access::shares::Asker;
use crate::config::Config;
use crate::delivery::framing::Framing;
use crate::delivery::websocket::handshake;
use crate::delivery::{Context, Query, ndjson, sse};
use crate::http::head::Head;
use crate::http::response::Response;
use crate::http::{Method, Version};
use crate::hub::channel::ChannelName;
use crate::hub::selector::Selector;
use crate::journal::{StoreError, unix_millis};
use crate::refusal::{Kind, Refusal};
use crate::web::lanes::Token;
use crate::web::{Asset, Audience};

/// Where a request leads.
pub enum Plan {
    /// To this answer.
    Answer(Response),
    /// To an answer that is the same for whoever asks, and says itself who may keep it.
    Asset(Response),
    /// To the hub, with its body.
    Publish(Publication),
    /// To the end of a channel's events.
    Forget(ChannelName, Pass),
    /// To an answer at once.
    Poll(Query),
    /// To an answer as soon as there is an event.
    LongPoll(Query, Duration),
    /// To a stream behind this head.
    Stream(Query, &'static dyn Framing, Response),
    /// To a WebSocket behind this head.
    WebSocket(Query, Response),
}

impl Plan {
    /// What whoever asks was let in with, where that matters.
    pub fn pass(&self) -> Option<&Pass> {
        match self {
            Plan::Answer(_) | Plan::Asset(_) => None,
            Plan::Publish(publication) => Some(publication.pass()),
            Plan::Forget(_, pass) => Some(pass),
            Plan::Poll(query)
            | Plan::LongPoll(query, _)
            | Plan::Stream(query, ..)
            | Plan::WebSocket(query, _) => Some(&query.pass),
        }
    }

    /// Goes by what counts now that the body was read, which may have taken long.
    ///
    /// # Errors
    /// 401 or 403 when whoever asks may not do that any more.
    pub fn confirm(&mut self, access: &Access) -> Result<(), Refusal> {
        match self {
            Plan::Answer(_) | Plan::Asset(_) => Ok(()),
            Plan::Publish(publication) => publication.confirm(access),
            Plan::Forget(channel, pass) => {
                *pass = access.confirm(pass)?;
                pass.check_channel(Action::Delete, channel)
            }
            Plan::Poll(query)
            | Plan::LongPoll(query, _)
            | Plan::Stream(query, ..)
            | Plan::WebSocket(query, _) => {
                query.pass = access.confirm(&query.pass)?;
                check_subscribe(&query.pass, &query.selectors)
            }
        }
    }
}

/// Finds where the request of `asker` leads, who pays for more than that if it shows what is dear to look at.
///
/// # Errors
/// The refusal that is its answer.
pub fn plan(
    context: &Context,
    config: &Config,
    access: &Access,
    asker: Asker<'_>,
    head: &Head,
    visitor: &Visitor,
) -> Result<Plan, Refusal> {
    if head.method == Method::Connect {
        let refusal = Refusal::new(Kind::MethodNotAllowed, "this server is no proxy");
        return Err(refusal.with_field("Allow", Route::Server.methods()));
    }
    let route = match Route::find(head.path(), config.limits.subscriptions) {
        // A page learns why from the request that it asks leave for: of a refused preflight its browser shows nothing.
        Err(_) if is_preflight(head) => Route::Server,
        found => found?,
    };
    let parameters = Parameters::parse(head.query());
    let pay = |toll| context.shares.charge(config, asker, toll);
    let admit = || access.admit(head, &parameters, visitor, pay);
    match (route, head.method) {
        (route, Method::Options) => Ok(Plan::Answer(visitor.preflight(route.methods()))),
        (Route::Channels(selectors), Method::Get | Method::Head) => {
            let pass = admit()?;
            subscribe(config, head, &parameters, pass, selectors)
        }
        (route @ Route::Channels(_), Method::Post | Method::Put) => {
            let pass = admit()?;
            let channel = route.one_channel()?;
            pass.check_channel(Action::Publish, &channel)?;
            Publication::plan(head, &parameters, pass, Some(channel)).map(Plan::Publish)
        }
        (route @ Route::Channels(_), Method::Delete) => {
            let pass = admit()?;
            let channel = route.one_channel()?;
            pass.check_channel(Action::Delete, &channel)?;
            Ok(Plan::Forget(channel, pass))
        }
        (Route::Publish, Method::Post | Method::Put) => {
            let pass = admit()?;
            pass.check_any(Action::Publish)?;
            Publication::plan(head, &parameters, pass, None).map(Plan::Publish)
        }
        (Route::Socket, Method::Get | Method::Head) => {
            let pass = admit()?;
            pass.check_entry()?;
            let (_, query) = negotiate(head, &parameters, pass, Vec::new(), &config.timeouts)?;
            upgrade(config, head, query)
        }
        (Route::Asset(asset), Method::Get | Method::Head) => {
            load(config, head, asset).map(Plan::Asset)
        }
        (Route::Lanes(tokens), Method::Get | Method::Head) => {
            measured(context, config, tokens).map(Plan::Answer)
        }
        (Route::Healthy, Method::Get | Method::Head) => Ok(Plan::Answer(healthy())),
        (Route::Ready, Method::Get | Method::Head) => ready(context).map(Plan::Answer),
        (route, method) => {
            let refusal = Refusal::new(
                Kind::MethodNotAllowed,
                format!("{method} means nothing here"),
            );
            Err(refusal.with_field("Allow", route.methods()))
        }
    }
}

fn is_preflight(head: &Head) -> bool {
    head.method == Method::Options && head.fields.get("Access-Control-Request-Method").is_some()
}

/// A GET of channels, by the way that it asks for.
fn subscribe(
    config: &Config,
    head: &Head,
    parameters: &Parameters<'_>,
    pass: Pass,
    selectors: Vec<Selector>,
) -> Result<Plan, Refusal> {
    // Before anything else: whoever may not read a channel learns nothing of it, not even whether it is there.
    check_subscribe(&pass, &selectors)?;
    let (way, query) = negotiate(head, parameters, pass, selectors, &config.timeouts)?;
    let chunked = head.version == Version::Http11;
    Ok(match way {
        Way::Poll => Plan::Poll(query),
        Way::LongPoll(wait) => Plan::LongPoll(query, wait),
        Way::WebSocket => return upgrade(config, head, query),
        Way::Sse => {
            let framing: &'static dyn Framing = match (query.raw, chunked) {
                (false, true) => &sse::JSON,
                (true, true) => &sse::RAW,
                (false, false) => &sse::JSON_UNCHUNKED,
                (true, false) => &sse::RAW_UNCHUNKED,
            };
            Plan::Stream(query, framing, stream_head("text/event-stream"))
        }
        Way::Ndjson => {
            let framing = if chunked {
                &ndjson::CHUNKED
            } else {
                &ndjson::UNCHUNKED
            };
            Plan::Stream(query, framing, stream_head("application/x-ndjson"))
        }
    })
}

fn check_subscribe(pass: &Pass, selectors: &[Selector]) -> Result<(), Refusal> {
    let mut selectors = selectors.iter();
    selectors.try_for_each(|selector| pass.check(Action::Subscribe, selector))
}

fn upgrade(config: &Config, head: &Head, query: Query) -> Result<Plan, Refusal> {
    let response = handshake::accept(head, &config.websocket.subprotocols)?;
    Ok(Plan::WebSocket(query, response))
}

/// The head of a stream; nginx must not hold it back.
pub fn stream_head(media_type: &'static str) -> Response {
    Response::new(200)
        .with_stream(media_type)
        .with("X-Accel-Buffering", "no")
}

/// A file for browsers, if it is there for its sender.
fn load(config: &Config, head: &Head, asset: &Asset) -> Result<Response, Refusal> {
    if asset.audience == Audience::Page {
        check_page(config)?;
    }
    Ok(asset.response(head))
}

/// What went over the wire for lanes of the live page.
fn measured(context: &Context, config: &Config, tokens: Vec<Token>) -> Result<Response, Refusal> {
    check_page(config)?;
    let figures = context.lanes.figures(tokens);
    let answer = json!({ "time": unix_millis(), "lanes": figures });
    Ok(Response::new(200).with_body("application/json", format!("{answer}\n").into_bytes()))
}

fn check_page(config: &Config) -> Result<(), Refusal> {
    match config.has_page() {
        true => Ok(()),
        false => Err(Refusal::new(
            Kind::NotFound,
            "the live page is switched off here; page.enabled = true in the config switches it on",
        )),
    }
}

/// The word that the process answers.
pub fn healthy() -> Response {
    plain("ok\n")
}

/// The word that it takes events.
///
/// # Errors
/// While it stops, and while its journal cannot be written.
pub fn ready(context: &Context) -> Result<Response, Refusal> {
    match context.shutdown.announced() {
        Some(leaving) => Err(Refusal::new(leaving.kind(), "the server is stopping")),
        None if !context.hub.is_writable() => Err(StoreError::Unavailable.into()),
        None => Ok(plain("ready\n")),
    }
}

fn plain(text: &'static str) -> Response {
    Response::new(200).with_body("text/plain; charset=utf-8", text.as_bytes().to_vec())
}
