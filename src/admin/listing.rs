//! The form of a list at the operator's port: one JSON object on a line, keys in the order of their types.

use serde::Serialize;

use crate::http::response::Response;
use crate::refusal::{Kind, Refusal};

/// The answer with `value`.
///
/// # Errors
/// None that anyone could cause: what is listed is made of texts and numbers.
pub(super) fn answer(value: &impl Serialize) -> Result<Response, Refusal> {
    let mut body = serde_json::to_vec(value)
        .map_err(|_| Refusal::new(Kind::Internal, "the list could not be written"))?;
    body.push(b'\n');
    Ok(Response::new(200).with_body("application/json", body))
}
