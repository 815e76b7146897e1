//! Raw bytes and what becomes of them.

use super::*;

const CEILINGS: Ceilings = Ceilings {
    head_bytes: 1024,
    target_bytes: 64,
    fields: 8,
};

const SOUND: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /chat?after=1-2&x=%2F HTTP/1.1\r\nhOST:LocalHost:8080\t \r\nX-Empty:\r\nX-Space: a b \r\n\r\n",
    "POST http://Example.com:81/a?b HTTP/1.1\r\nHost: other\r\nContent-Length: 5\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
    "PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\nExpect: 100-Continue\r\n\r\n",
    "HEAD / HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.0\r\nX-Name: caf\u{e9}\r\n\r\n",
];

fn head(input: &str) -> Head {
    let (head, consumed) = parse(input.as_bytes(), &CEILINGS)
        .unwrap_or_else(|refusal| panic!("{input:?}: {refusal}"))
        .unwrap_or_else(|| panic!("{input:?}: incomplete"));
    assert_eq!(consumed, input.len(), "{input:?}");
    head
}

fn status(input: &[u8]) -> Option<u16> {
    parse(input, &CEILINGS)
        .err()
        .map(|refusal| refusal.row().status)
}

fn fields_of(head: &Head) -> Vec<(&str, &str)> {
    head.fields.iter().collect()
}

#[test]
fn a_head_becomes_its_parts() {
    let got = head(SOUND[2]);
    assert_eq!((got.method, got.version), (Method::Get, Version::Http11));
    assert_eq!(
        (got.path(), got.query()),
        ("/chat", Some("after=1-2&x=%2F"))
    );
    assert_eq!(got.host.as_ref().unwrap().to_string(), "localhost:8080");
    assert_eq!(got.body, BodyFraming::None);
    let expected = [
        ("hOST", "LocalHost:8080"),
        ("X-Empty", ""),
        ("X-Space", "a b"),
    ];
    assert_eq!(fields_of(&got), expected);
    assert_eq!(got.fields.get("x-SPACE"), Some("a b"));
    assert_eq!(got.fields.get("x-none"), None);
}

#[test]
fn the_authority_of_an_absolute_target_replaces_the_host() {
    let got = head(SOUND[3]);
    assert_eq!(got.host.as_ref().unwrap().to_string(), "example.com:81");
    assert_eq!((got.path(), got.query()), ("/a", Some("b")));
    assert_eq!(got.body, BodyFraming::Sized(5));
}

#[test]
fn every_form_of_target_has_a_path() {
    for (line, path, query) in [
        ("GET /a?b?c", "/a", Some("b?c")),
        ("GET //a", "//a", None),
        ("GET /?", "/", Some("")),
        ("GET HTTP://h", "/", None),
        ("GET https://h?q", "/", Some("q")),
        ("OPTIONS *", "*", None),
        ("CONNECT h:443", "/", None),
    ] {
        let got = head(&format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!((got.path(), got.query()), (path, query), "{line}");
    }
}

#[test]
fn any_prefix_of_a_sound_head_waits_for_more() {
    for sound in SOUND {
        for end in 0..sound.len() {
            let got = parse(&sound.as_bytes()[..end], &CEILINGS);
            assert!(matches!(got, Ok(None)), "{sound:?} cut at {end}: {got:?}");
        }
    }
}

#[test]
fn a_head_that_comes_byte_by_byte_is_the_same() {
    for sound in SOUND {
        let mut parser = HeadParser::default();
        for end in 0..sound.len() {
            assert!(
                parser
                    .parse(&sound.as_bytes()[..end], &CEILINGS)
                    .unwrap()
                    .is_none()
            );
        }
        let (got, consumed) = parser.parse(sound.as_bytes(), &CEILINGS).unwrap().unwrap();
        assert_eq!(consumed, sound.len());
        assert_eq!(fields_of(&got), fields_of(&head(sound)));
        assert_eq!(got.path(), head(sound).path());
    }
}

#[test]
fn a_spoilt_byte_has_the_same_outcome_however_the_head_is_split() {
    let spoilers = b"\0\t\n\r \"#%*+,-/09:;?@AHa\x7f\x80\xc3\xff";
    for sound in SOUND {
        for (at, &spoiler) in (0..sound.len()).flat_map(|at| spoilers.iter().map(move |s| (at, s)))
        {
            let mut input = sound.as_bytes().to_vec();
            input[at] = spoiler;
            let whole = parse(&input, &CEILINGS).map(|done| done.map(|(_, consumed)| consumed));
            let mut parser = HeadParser::default();
            let piecewise = (0..=input.len())
                .map(|end| parser.parse(&input[..end], &CEILINGS))
                .find(|outcome| !matches!(outcome, Ok(None)))
                .unwrap_or(Ok(None))
                .map(|done| done.map(|(_, consumed)| consumed));
            assert_eq!(whole, piecewise, "{}", input.escape_ascii());
            assert_read_alike(&input);
        }
    }
}

/// Another parser's opinion on what was read.
fn assert_read_alike(input: &[u8]) {
    let Ok(Some((got, consumed))) = parse(input, &CEILINGS) else {
        return;
    };
    let mut lines = [httparse::EMPTY_HEADER; 8];
    let mut other = httparse::Request::new(&mut lines);
    let end = other.parse(input).unwrap().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes);
    let theirs = other
        .headers
        .iter()
        .map(|line| (line.name, text(line.value.trim_ascii())));
    let ours = got.fields.iter().map(|(name, value)| (name, value.into()));
    assert!(ours.eq(theirs), "{}", input.escape_ascii());
    assert_eq!(
        (consumed, got.method.as_str()),
        (end, other.method.unwrap())
    );
    assert!(other.path.unwrap().contains(got.path()) || got.path() == "/");
}

#[test]
fn pipelined_heads_come_one_by_one() {
    let mut parser = HeadParser::default();
    let input = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n\x16";
    let (first, consumed) = parser.parse(input, &CEILINGS).unwrap().unwrap();
    assert_eq!(first.path(), "/a");
    let rest = &input[consumed..];
    let (second, consumed) = parser.parse(rest, &CEILINGS).unwrap().unwrap();
    assert_eq!((second.path(), consumed), ("/b", rest.len() - 1));
}

#[test]
fn a_connection_is_kept_as_the_version_and_the_peer_say() {
    for (version, connection, kept) in [
        ("1.1", "", true),
        ("1.1", "Connection: Upgrade, Close\r\n", false),
        ("1.1", "Connection: a\r\nConnection: close\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ] {
        let got = head(&format!(
            "GET / HTTP/{version}\r\nHost: a\r\n{connection}\r\n"
        ));
        assert_eq!(got.keeps_alive(), kept, "{version} {connection}");
    }
}

#[test]
fn only_a_body_in_http_1_1_waits_for_continue() {
    assert!(head(SOUND[5]).expects_continue());
    assert!(!head(SOUND[3]).expects_continue());
    for (version, length, expected) in [("1.1", 3, true), ("1.1", 0, false), ("1.0", 3, false)] {
        let fields = format!("Host: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n");
        let got = head(&format!("POST / HTTP/{version}\r\n{fields}\r\n"));
        assert_eq!(got.expects_continue(), expected, "{version} {length}");
    }
}

#[test]
fn a_repeated_field_is_an_error_only_where_one_is_due() {
    let got = head("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nx: 2\r\n\r\n");
    assert_eq!(got.fields.get_all("X").collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(got.fields.get_one("X").unwrap_err().kind, Kind::BadRequest);
    assert_eq!(got.fields.get_one("host").unwrap(), Some("a"));
}

#[test]
fn a_value_that_is_not_utf_8_does_no_harm() {
    let input = b"GET / HTTP/1.1\r\nHost: a\r\nX: caf\xe9\r\nY: z\r\n\r\n";
    let (got, consumed) = parse(input, &CEILINGS).unwrap().unwrap();
    assert_eq!(consumed, input.len());
    assert_eq!(got.fields.get("x"), Some("caf\u{fffd}"));
    assert_eq!(got.fields.get("y"), Some("z"));
}

/// Refused by the bytes given, without any more of them.
#[test]
fn request_lines_are_refused_as_early_as_their_bytes_allow() {
    let long = format!("GET /{}", "a".repeat(64));
    for (input, expected) in [
        (&b"\x16\x03\x01"[..], 400),
        (b"\0", 400),
        (b"\n", 400),
        (b" ", 400),
        (b"\r\n\r\n", 400),
        (b"\rG", 400),
        (b"{\"json\"", 400),
        (b"GET\r\n", 400),
        (b"GET\n", 400),
        (b"GET\t", 400),
        (b"GET  /", 400),
        (b"GET /\r\n", 400),
        (b"GET /\n", 400),
        (b"GET /a\tb", 400),
        (b"GET /a\0", 400),
        (b"GET /caf\xc3", 400),
        (b"GET /\x7f", 400),
        (b"GET /#", 400),
        (b"GET / x", 400),
        (b"GET / http", 400),
        (b"GET / HTTP/x", 400),
        (b"GET / HTTP/1.1 ", 400),
        (b"GET / HTTP/1.1\n", 400),
        (b"GET / HTTP/1.1\r\r", 400),
        (b"GET / HTTP/1\r\n", 400),
        (b"GET / HTTP/0.9\r\n", 505),
        (b"GET / HTTP/1.2\r\n", 505),
        (b"GET / HTTP/2.0\r\n", 505),
        (b"PRI * HTTP/2.0\r\n", 505),
        (b"BREW / HTTP/1.1\r\n", 501),
        (b"get / HTTP/1.1\r\n", 501),
        (b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 501),
        (long.as_bytes(), 414),
    ] {
        assert_eq!(status(input), Some(expected), "{}", input.escape_ascii());
    }
}

/// Refused by the bytes given, without any more of them.
#[test]
fn field_lines_are_refused_as_early_as_their_bytes_allow() {
    for (lines, expected) in [
        ("Host : a", 400),
        ("Host\t: a", 400),
        (" Host: a", 400),
        (": a", 400),
        ("Host\r\n", 400),
        ("H\u{e9}: a", 400),
        ("Ho(st: a", 400),
        ("Host: a\n", 400),
        ("Host: a\rX", 400),
        ("Host: a\0", 400),
        ("Host: a\x7f", 400),
        ("Host: a\r\n b", 400),
        ("Host: a\r\n\tb", 400),
        ("Host: a\r\n\n", 400),
        (
            "a:\r\nb:\r\nc:\r\nd:\r\ne:\r\nf:\r\ng:\r\nh:\r\ni:\r\n",
            431,
        ),
    ] {
        let input = format!("GET / HTTP/1.1\r\n{lines}");
        assert_eq!(status(input.as_bytes()), Some(expected), "{lines:?}");
    }
}

#[test]
fn what_makes_readers_disagree_about_a_request_is_refused() {
    for (lines, expected) in [
        ("", 400),
        ("Host:\r\n", 400),
        ("Host: a\r\nHost: a\r\n", 400),
        ("Host: a, b\r\n", 400),
        ("Host: user@a\r\n", 400),
        ("Host: a:99999\r\n", 400),
        ("Host: a/b\r\n", 400),
        (
            "Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            400,
        ),
        (
            "Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            400,
        ),
        ("Host: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n", 400),
        ("Host: a\r\nContent-Length: 5, 5\r\n", 400),
        ("Host: a\r\nContent-Length: +5\r\n", 400),
        ("Host: a\r\nContent-Length: -5\r\n", 400),
        ("Host: a\r\nContent-Length: 0x5\r\n", 400),
        ("Host: a\r\nContent-Length: 5 5\r\n", 400),
        ("Host: a\r\nContent-Length:\r\n", 400),
        ("Host: a\r\nContent-Length: 12345678901\r\n", 400),
        (
            "Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            400,
        ),
        ("Host: a\r\nTransfer-Encoding: gzip, chunked\r\n", 501),
        ("Host: a\r\nTransfer-Encoding: chunked, identity\r\n", 501),
        ("Host: a\r\nTransfer-Encoding: chunked;a=b\r\n", 501),
        ("Host: a\r\nTransfer-Encoding: xchunked\r\n", 501),
        ("Host: a\r\nTransfer-Encoding: \x0bchunked\r\n", 400),
        ("Host: a\r\nTransfer-Encoding:\r\n", 501),
        ("Host: a\r\nExpect: 200-ok\r\n", 417),
    ] {
        let input = format!("POST / HTTP/1.1\r\n{lines}\r\n");
        assert_eq!(status(input.as_bytes()), Some(expected), "{lines:?}");
    }
    let old = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(status(old), Some(400));
}

#[test]
fn targets_that_name_nothing_are_refused() {
    for line in [
        "GET *",
        "GET a",
        "GET a/b",
        "GET ftp://a/b",
        "GET http://",
        "GET http:///a",
        "GET http://user@a/",
        "GET http:/a",
        "OPTIONS **",
        "CONNECT a:b",
    ] {
        let input = format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(status(input.as_bytes()), Some(400), "{line}");
    }
}

#[test]
fn a_head_may_be_as_large_as_its_ceilings_and_no_larger() {
    let begin = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
    let exact = format!("{begin}{}\r\n\r\n", "x".repeat(1024 - begin.len() - 4));
    assert_eq!(head(&exact).fields.iter().count(), 2);
    let longer = format!("{begin}{}", "x".repeat(1024 - begin.len() - 3));
    assert_eq!(status(longer.as_bytes()), None);
    assert_eq!(status(format!("{longer}\r\n\r\n").as_bytes()), Some(431));
    assert_eq!(
        status("GET / HTTP/1.1\r\n".repeat(1000).as_bytes()),
        Some(400)
    );
    let endless = format!("{begin}{}", "x".repeat(4096));
    assert_eq!(status(endless.as_bytes()), Some(431));
    let target = format!("/{}", "a".repeat(63));
    assert_eq!(
        head(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).path(),
        target
    );
}

#[test]
fn what_follows_the_head_does_not_count_against_it() {
    let begin = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n";
    let input = format!("{begin}{}", "x".repeat(5000));
    let (_, consumed) = parse(input.as_bytes(), &CEILINGS).unwrap().unwrap();
    assert_eq!(consumed, begin.len());
}

#[test]
fn tls_on_this_port_hears_that_it_speaks_plain_http() {
    let refusal = parse(b"\x16\x03\x01\x02\x00\x01", &CEILINGS).unwrap_err();
    assert!(refusal.detail.contains("plain HTTP"), "{refusal}");
}

#[test]
fn a_head_that_comes_again_is_the_same_and_another_is_read_anew() {
    let (first, other) = (SOUND[2], SOUND[3]);
    let mut parser = HeadParser::default();
    let mut read = |input: &str| {
        let (head, consumed) = parser.parse(input.as_bytes(), &CEILINGS).unwrap().unwrap();
        let said = (head.path().to_owned(), head.host.clone(), consumed);
        parser.keep(head);
        said
    };
    let expected = read(first);
    assert_eq!(expected.2, first.len());
    assert_eq!(read(&format!("{first}{other}")), expected);
    assert_eq!(read(other).2, other.len());
    let almost = first.replace("a b", "a c");
    assert_eq!(read(&almost), expected);
    assert_eq!(read("GET / HTTP/1.1\r\nHost: a\r\n\r\n").0, "/");
}

#[test]
fn a_head_that_comes_again_in_pieces_is_read_as_it_comes() {
    let mut parser = HeadParser::default();
    for _ in 0..3 {
        for end in 0..SOUND[2].len() {
            let begun = parser.parse(&SOUND[2].as_bytes()[..end], &CEILINGS);
            assert!(begun.unwrap().is_none(), "cut at {end}");
        }
        let (head, _) = parser
            .parse(SOUND[2].as_bytes(), &CEILINGS)
            .unwrap()
            .unwrap();
        assert_eq!(head.path(), "/chat");
        parser.keep(head);
    }
}

#[test]
fn a_head_that_was_no_text_is_not_taken_for_a_longer_one() {
    let ceilings = Ceilings {
        head_bytes: 36,
        ..CEILINGS
    };
    let raw = b"GET / HTTP/1.1\r\nHost: a\r\nX: \xff\xff\r\n\r\n";
    let mut parser = HeadParser::default();
    let (head, _) = parser.parse(raw, &ceilings).unwrap().unwrap();
    parser.keep(head);
    let longer = String::from_utf8_lossy(raw).into_owned();
    assert!(longer.len() > ceilings.head_bytes);
    let refusal = parser.parse(longer.as_bytes(), &ceilings).unwrap_err();
    assert_eq!(refusal.row().status, 431);
}
