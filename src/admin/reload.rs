//! `POST /-/reload`: has the configuration read again, as SIGHUP does, and says what came of it.

use super::route::Asked;
use crate::delivery::Context;
use crate::http::response::Response;
use crate::refusal::{Kind, Refusal};
use crate::server::reloader::ReloadError;
use crate::shutdown::Leaving;

pub(super) fn answer(_: &Asked<'_>, context: &Context) -> Result<Response, Refusal> {
    let outcome = context.reloads.ask(None);
    let reloaded =
        outcome.map_err(|error| Refusal::new(kind(&error, context), error.to_string()))?;
    let json = serde_json::to_string(&reloaded)
        .map_err(|error| Refusal::new(Kind::Internal, error.to_string()))?;
    Ok(Response::new(200).with_body("application/json", (json + "\n").into_bytes()))
}

fn kind(error: &ReloadError, context: &Context) -> Kind {
    match error {
        ReloadError::NoSource => Kind::NotFound,
        ReloadError::Unusable(_) | ReloadError::Keys(_) | ReloadError::Tls(_) => Kind::BadConfig,
        ReloadError::UnderWay | ReloadError::Late => Kind::Reloading,
        ReloadError::Stopped => {
            let leaving = context.shutdown.announced();
            leaving.map_or(Kind::Leaving, Leaving::kind)
        }
        ReloadError::Broken => Kind::Internal,
    }
}
