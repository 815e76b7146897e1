//! What somebody shows: one text, in one of three places. It is never logged and never echoed.

use std::fmt;

use super::keys::is_key;
use crate::exchange::negotiate::Parameters;
use crate::http::head::Head;
use crate::refusal::{Kind, Refusal};

/// The parameter for those who cannot set fields: an EventSource, and the WebSocket of a browser (RFC 6750,
/// section 2.3).
const PARAMETER: &str = "access_token";
/// The scheme of `Authorization` (RFC 6750, section 2.1). Others are not for us: a proxy in front may ask for them.
const SCHEME: &str = "Bearer";

/// What somebody shows.
pub struct Credential<'a> {
    text: &'a str,
    /// Whether it is in a cookie and nowhere else.
    is_added: bool,
}

/// What a credential looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An API key.
    Key,
    /// A token: three parts with dots between (RFC 7515, section 7.1).
    Token,
    /// Neither.
    Unknown,
}

impl<'a> Credential<'a> {
    /// A credential with this text.
    pub fn new(text: &'a str) -> Self {
        Credential {
            text,
            is_added: false,
        }
    }

    /// The one that a request shows: in `Authorization`, in the cookie called `cookie`, or in the URL.
    ///
    /// # Errors
    /// 400 when it shows several different ones: nobody could know which one counts.
    pub fn shown_by(
        head: &'a Head,
        parameters: &'a Parameters<'_>,
        cookie: Option<&str>,
    ) -> Result<Option<Self>, Refusal> {
        let fields = head.fields.get_all("Authorization").filter_map(bearer);
        let cookies = cookie.into_iter().flat_map(|name| cookies(head, name));
        // An empty one is none, as a client writes that has none.
        let in_url = parameters.get(PARAMETER)?.filter(|text| !text.is_empty());
        let given = fields.chain(in_url).map(|text| (text, false));
        let mut shown = given.chain(cookies.map(|text| (text, true)));
        let Some((text, is_added)) = shown.next() else {
            return Ok(None);
        };
        if shown.any(|(other, _)| other != text) {
            let detail = "several different tokens or keys are shown; show one";
            return Err(Refusal::new(Kind::BadParameter, detail));
        }
        Ok(Some(Credential { text, is_added }))
    }

    /// Whether a browser may have added it by itself, for a page that does not know it.
    pub fn is_added(&self) -> bool {
        self.is_added
    }

    /// The text. Whoever has it can do what its owner can.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// What it looks like.
    pub fn form(&self) -> Form {
        match () {
            () if is_key(self.text) => Form::Key,
            () if self.text.bytes().filter(|b| *b == b'.').count() == 2 => Form::Token,
            () => Form::Unknown,
        }
    }
}

/// Nothing of it is told.
impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}

/// The text of an `Authorization` whose scheme is ours, an empty one too.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, text) = value.split_once(' ').unwrap_or((value, ""));
    scheme
        .eq_ignore_ascii_case(SCHEME)
        .then(|| text.trim_start_matches(' '))
}

/// The values of a cookie (RFC 6265, section 4.2.1), which are empty where it was taken away.
fn cookies<'a>(head: &'a Head, name: &str) -> impl Iterator<Item = &'a str> {
    let pairs = head
        .fields
        .get_all("Cookie")
        .flat_map(|value| value.split(';'));
    pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(move |(known, value)| *known == name && !value.is_empty())
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{Ceilings, parse};

    const CEILINGS: Ceilings = Ceilings {
        head_bytes: 10_000,
        target_bytes: 1_000,
        fields: 10,
    };

    fn shown(query: &str, fields: &[&str]) -> Result<Option<String>, Kind> {
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        let text = format!("GET /chat{query} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        let (head, _) = parse(text.as_bytes(), &CEILINGS).unwrap().unwrap();
        let parameters = Parameters::parse(head.query());
        match Credential::shown_by(&head, &parameters, Some("session")) {
            Ok(shown) => Ok(shown.map(|credential| credential.text().to_owned())),
            Err(refusal) => {
                assert!(!refusal.detail.contains("a.b"), "{refusal}");
                Err(refusal.kind)
            }
        }
    }

    #[test]
    fn it_stands_in_one_of_three_places() {
        for (query, fields) in [
            ("", &["Authorization: Bearer a.b.c"][..]),
            ("", &["authorization: bearer   a.b.c"]),
            ("", &["Cookie: x=1; session=a.b.c; y=2"]),
            ("", &["Cookie: x=1", "Cookie: session=a.b.c"]),
            ("?after=now&access_token=a.b.c", &[]),
            ("?access_token=a%2Eb.c", &[]),
            (
                "?access_token=a.b.c",
                &["Authorization: Bearer a.b.c", "Cookie: session=a.b.c"],
            ),
            (
                "",
                &["Authorization: Basic eA==", "Authorization: Bearer a.b.c"],
            ),
            ("?access_token=", &["Cookie: session=; session=a.b.c"]),
        ] {
            assert_eq!(
                shown(query, fields),
                Ok(Some("a.b.c".to_owned())),
                "{query} {fields:?}"
            );
        }
    }

    #[test]
    fn what_is_not_for_us_shows_nothing() {
        for (query, fields) in [
            ("", &[][..]),
            ("?access_token=", &[]),
            ("?token=a.b.c&Access_Token=a.b.c", &[]),
            ("", &["Authorization: Basic a.b.c"]),
            ("", &["Authorization: a.b.c"]),
            ("", &["Cookie: sessions=a.b.c; Session=a.b.c; session"]),
        ] {
            assert_eq!(shown(query, fields), Ok(None), "{query} {fields:?}");
        }
        assert_eq!(
            shown("", &["Authorization: Bearer"]),
            Ok(Some(String::new()))
        );
    }

    #[test]
    fn several_different_ones_are_refused() {
        for (query, fields) in [
            ("?access_token=a.b.d", &["Authorization: Bearer a.b.c"][..]),
            ("?access_token=a.b.c&access_token=a.b.c", &[]),
            ("?access_token=a.b.d", &["Cookie: session=a.b.c"]),
            (
                "",
                &["Authorization: Bearer a.b.c", "Authorization: Bearer a.b.d"],
            ),
            (
                "",
                &["Authorization: Bearer a.b.c", "Cookie: session=a.b.d"],
            ),
            ("", &["Cookie: session=a.b.c; session=a.b.d"]),
        ] {
            assert_eq!(
                shown(query, fields),
                Err(Kind::BadParameter),
                "{query} {fields:?}"
            );
        }
    }

    #[test]
    fn its_form_says_who_knows_it() {
        let key = format!("fck_{}", "A".repeat(43));
        for (text, form) in [
            (key.as_str(), Form::Key),
            ("a.b.c", Form::Token),
            ("..", Form::Token),
            ("a.b", Form::Unknown),
            ("a.b.c.d", Form::Unknown),
            ("", Form::Unknown),
            ("fck_short", Form::Unknown),
        ] {
            assert_eq!(Credential::new(text).form(), form, "{text}");
        }
        assert_eq!(format!("{:?}", Credential::new("a.b.c")), "Credential(…)");
    }
}
