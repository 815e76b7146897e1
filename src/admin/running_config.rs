//! `GET /-/config`: the configuration that counts, in the form of `config.toml`, without its secrets.

use super::route::Asked;
use crate::delivery::Context;
use crate::http::response::Response;
use crate::refusal::Refusal;

pub(super) fn answer(_: &Asked<'_>, context: &Context) -> Result<Response, Refusal> {
    let text = context.config().to_toml();
    Ok(Response::new(200).with_body("application/toml; charset=utf-8", text.into_bytes()))
}
