//! `POST /-/reload`: reads the configuration again, as SIGHUP does, and says what came of it.

use super::route::Asked;
use crate::delivery::Context;
use crate::http::response::Response;
use crate::refusal::{Kind, Refusal};

pub(super) fn answer(_: &Asked<'_>, context: &Context) -> Result<Response, Refusal> {
    let Some(outcome) = context.reread() else {
        let detail = "the program that this server is a part of gave it its configuration, and says not where to read \
                      it again";
        return Err(Refusal::new(Kind::NotFound, detail));
    };
    let reloaded = outcome.map_err(|error| Refusal::new(Kind::BadConfig, error.to_string()))?;
    let json = serde_json::to_string(&reloaded)
        .map_err(|error| Refusal::new(Kind::Internal, error.to_string()))?;
    Ok(Response::new(200).with_body("application/json", (json + "\n").into_bytes()))
}
