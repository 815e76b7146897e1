//! A request's head. However it comes in pieces it is the same head; no beginning of it is another one; what was
//! understood says the same when it is written down again; another parser agrees; and where the body ends is beyond
//! doubt, or a second request could be hidden in it.

#![no_main]

use fourcast::http::Version;
use fourcast::http::head::{BodyFraming, Ceilings, Head, HeadParser, parse};
use fourcast_fuzz::cuts;
use libfuzzer_sys::fuzz_target;

const CEILINGS: Ceilings = Ceilings {
    head_bytes: 2048,
    target_bytes: 512,
    fields: 30,
};
/// For what was written down again: U+FFFD is longer than what it stands for.
const WIDE: Ceilings = Ceilings {
    head_bytes: 1 << 20,
    target_bytes: 1 << 20,
    fields: 30,
};

fuzz_target!(|input: &[u8]| {
    let whole = parse(input, &CEILINGS);
    let status = whole.as_ref().err().map(|refusal| refusal.row().status);
    let whole = whole.ok().flatten();
    for pieces in cuts(input) {
        let found = read(&pieces);
        match (&whole, &found) {
            (Some((head, end)), Ok(Some((other, there)))) => {
                assert_eq!(end, there);
                assert_eq!(told(head), told(other));
            }
            (None, Ok(None)) => assert_eq!(status, None),
            (None, Err(other)) => assert_eq!(status, Some(*other)),
            _ => panic!("pieces of {} change what is read", pieces.len()),
        }
    }
    if let Some((head, end)) = whole {
        check(&head, &input[..end]);
    }
});

/// What comes of pieces: a head and its end, or the status of the refusal.
fn read(pieces: &[&[u8]]) -> Result<Option<(Head, usize)>, u16> {
    let mut parser = HeadParser::default();
    let mut buffer = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        if let Some(found) = parser
            .parse(&buffer, &CEILINGS)
            .map_err(|refusal| refusal.row().status)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn check(head: &Head, bytes: &[u8]) {
    assert!(bytes.ends_with(b"\r\n\r\n"));
    assert!(bytes.len() <= CEILINGS.head_bytes);
    for end in 0..bytes.len() {
        assert!(
            matches!(parse(&bytes[..end], &CEILINGS), Ok(None)),
            "a head of {end} bytes in it"
        );
    }
    let mut parser = HeadParser::default();
    parser.keep(head.clone());
    let again = parser
        .parse(bytes, &CEILINGS)
        .expect("the same head")
        .expect("all of it");
    assert_eq!(told(&again.0), told(head));
    check_framing(head, bytes);
    check_written_anew(head);
    check_against_httparse(head, bytes);
}

fn told(head: &Head) -> String {
    let fields: Vec<_> = head.fields.iter().collect();
    let (path, query) = (head.path(), head.query());
    format!(
        "{:?} {:?} {:?} {:?} {path:?} {query:?} {fields:?}",
        head.method, head.version, head.host, head.body
    )
}

fn check_framing(head: &Head, bytes: &[u8]) {
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\r' => assert_eq!(bytes[at + 1], b'\n', "a bare CR"),
            b'\n' => assert_eq!(bytes[at - 1], b'\r', "a bare LF"),
            _ => assert_ne!(*byte, 0, "a NUL"),
        }
    }
    let named = |name| head.fields.get_all(name).collect::<Vec<_>>();
    let (lengths, codings) = (named("Content-Length"), named("Transfer-Encoding"));
    match head.body {
        BodyFraming::None => assert!(lengths.is_empty() && codings.is_empty()),
        BodyFraming::Sized(length) => {
            assert!(codings.is_empty());
            let [text] = lengths[..] else {
                panic!("{lengths:?}")
            };
            assert!(text.bytes().all(|byte| byte.is_ascii_digit()));
            assert_eq!(text.parse(), Ok(length));
        }
        BodyFraming::Chunked => {
            assert!(lengths.is_empty());
            assert!(matches!(codings[..], [coding] if coding.eq_ignore_ascii_case("chunked")));
        }
    }
}

fn check_written_anew(head: &Head) {
    let query = head.query().map(|query| format!("?{query}"));
    let target = format!("{}{}", head.path(), query.unwrap_or_default());
    let version = match head.version {
        Version::Http10 => "HTTP/1.0",
        Version::Http11 => "HTTP/1.1",
    };
    let mut text = format!("{} {target} {version}\r\n", head.method);
    for (name, value) in head.fields.iter() {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    let (mut again, end) = parse(text.as_bytes(), &WIDE)
        .expect("a head")
        .expect("all of it");
    assert_eq!(end, text.len());
    // The authority of an absolute target counts, and was left out.
    again.host.clone_from(&head.host);
    assert_eq!(told(&again), told(head));
}

fn check_against_httparse(head: &Head, bytes: &[u8]) {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut other = httparse::Request::new(&mut fields);
    assert_eq!(
        other.parse(bytes),
        Ok(httparse::Status::Complete(bytes.len()))
    );
    assert_eq!(other.method, Some(head.method.as_str()));
    let names = other.headers.iter().map(|field| field.name);
    assert!(names.eq(head.fields.iter().map(|(name, _)| name)));
    for (theirs, (_, ours)) in other.headers.iter().zip(head.fields.iter()) {
        let theirs = String::from_utf8_lossy(theirs.value);
        assert_eq!(theirs.trim_matches([' ', '\t']), ours);
    }
}
