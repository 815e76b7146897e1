//! A publisher over one kept connection that goes on with every server that comes.

use super::ledger::Ledger;
use super::whereabouts::Whereabouts;
use crate::durable::dice::Dice;
use crate::durable::payloads::Publication;
use crate::support::{Response, Wire, request};

/// Publishes until the last server runs. What has a key and was not answered is sent again, to the next
/// server, until it is.
pub fn publish_on(number: usize, mut dice: Dice, ledger: &Ledger, whereabouts: &Whereabouts) {
    let mut wire = None;
    let mut owed: Option<Publication> = None;
    for n in 0.. {
        let publication = match owed.take() {
            Some(publication) => publication,
            None if whereabouts.is_last() => return,
            None => Publication::random(number, n, &mut dice),
        };
        if wire.is_none() {
            let Some(address) = whereabouts.now() else {
                return;
            };
            wire = Wire::try_connect(address).ok();
        }
        ledger.send(&publication);
        if let Some(response) = ask(wire.as_mut(), &publication) {
            let ids = publication.ids(&response);
            ledger.acknowledge(number, &publication, ids);
            continue;
        }
        wire = None;
        owed = publication.key.is_some().then_some(publication);
    }
}

/// The answer; `None` when the server went without one.
fn ask(wire: Option<&mut Wire>, publication: &Publication) -> Option<Response> {
    let wire = wire?;
    let (target, fields, body) = publication.request();
    wire.try_send(request("POST", &target, &fields, &body))
        .ok()?;
    Response::try_read(wire, "POST")
}
