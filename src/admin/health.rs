//! `GET /-/healthy` and `GET /-/ready`: the same as on the data port, for when that one is full.

use super::route::Asked;
use crate::delivery::Context;
use crate::exchange;
use crate::http::response::Response;
use crate::refusal::Refusal;

pub(super) fn healthy(_: &Asked<'_>, _: &Context) -> Result<Response, Refusal> {
    Ok(exchange::healthy())
}

pub(super) fn ready(_: &Asked<'_>, context: &Context) -> Result<Response, Refusal> {
    exchange::ready(context)
}
