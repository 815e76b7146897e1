//! `GET /-/index`: what there is at this port.

use std::fmt::Write as _;

use super::route::{Access, Asked, ENDPOINTS};
use crate::delivery::Context;
use crate::http::response::Response;
use crate::refusal::Refusal;

pub(super) fn answer(_: &Asked<'_>, _: &Context) -> Result<Response, Refusal> {
    Ok(Response::new(200).with_body("text/plain; charset=utf-8", list().into_bytes()))
}

fn list() -> String {
    let mut list = "Fourcast, the operator's port.\n\n".to_owned();
    for endpoint in ENDPOINTS {
        let (method, path, purpose) = (endpoint.method.as_str(), endpoint.path, endpoint.purpose);
        let mark = match endpoint.access {
            Access::Open => ' ',
            Access::Keyed => '*',
        };
        // Writing into a String cannot fail.
        let _ = writeln!(list, "{method:<7}{path:<24}{mark} {purpose}");
    }
    list.push_str("\n* with 'Authorization: Bearer KEY' where there is an admin.key\n");
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_every_endpoint() {
        let list = list();
        for endpoint in ENDPOINTS {
            assert!(list.contains(endpoint.path), "{list}");
        }
        assert!(
            list.contains("GET    /-/config               * the conf"),
            "{list}"
        );
    }
}
