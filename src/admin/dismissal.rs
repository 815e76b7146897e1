//! `DELETE /-/connections/{id}`: the operator ends one connection, which is told so in its way.

use super::route::Asked;
use crate::delivery::Context;
use crate::exchange::negotiate::{Parameters, bad};
use crate::http::response::Response;
use crate::refusal::{Kind, Refusal};

/// What may be said, by the close code that a WebSocket gets; the first if nothing is asked for.
const WORDS: [(&str, Kind, &str); 5] = [
    (
        "1012",
        Kind::Restarting,
        "the operator asks you to connect anew",
    ),
    ("1001", Kind::Leaving, "the operator ended this connection"),
    (
        "1013",
        Kind::Overloaded,
        "the operator asks you to come back later",
    ),
    (
        "4408",
        Kind::TooSlow,
        "the operator ended this connection; resume with a cursor",
    ),
    (
        "4403",
        Kind::Removed,
        "the operator ended this connection; do not come back",
    ),
];

pub(super) fn answer(asked: &Asked<'_>, context: &Context) -> Result<Response, Refusal> {
    let word = word(&Parameters::parse(asked.query))?;
    let nobody = || {
        Refusal::new(
            Kind::NotFound,
            "no connection has this id; it may have ended",
        )
    };
    let number: u64 = asked.item.parse().map_err(|_| nobody())?;
    let peer = context.roster.dismiss(number, &word).ok_or_else(nobody)?;
    let (close, code) = (word.row().close, word.row().code);
    log::info!("{peer}: connection {number} was ended by the operator ({close} {code})");
    Ok(Response::new(204))
}

/// What the connection is told.
fn word(parameters: &Parameters<'_>) -> Result<Refusal, Refusal> {
    let code = parameters.get("code")?.unwrap_or(WORDS[0].0);
    let found = WORDS.iter().find(|(known, _, _)| *known == code);
    let (_, kind, detail) = found.ok_or_else(|| {
        let codes = WORDS.map(|(code, _, _)| code).join(", ");
        bad(format!("'code' is one of {codes}"))
    })?;
    Ok(Refusal::new(*kind, *detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_the_one_that_a_websocket_gets() {
        for (code, kind, _) in WORDS {
            assert_eq!(code, kind.row().close.to_string());
            let asked = format!("code={code}");
            assert_eq!(word(&Parameters::parse(Some(&asked))).unwrap().kind, kind);
        }
    }

    #[test]
    fn without_a_code_it_is_asked_to_come_back_and_another_code_is_refused() {
        assert_eq!(
            word(&Parameters::parse(None)).unwrap().kind,
            Kind::Restarting
        );
        for query in ["code=1000", "code=1002", "code=", "code=1012&code=1012"] {
            let refusal = word(&Parameters::parse(Some(query))).unwrap_err();
            assert_eq!(refusal.kind, Kind::BadParameter, "{query}");
        }
    }
}
