//! Tokens and keys that are forged, stolen, stretched or shown in the wrong place.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::access::tokens::{HOUR, SECRET, SHORT, after, signed_as};
use crate::access::{BACKEND, access, bearer, publish, rules};
use crate::durable::home::Home;
use crate::durable::process::Process;
use crate::support::websocket::{Message, handshake};
use crate::support::{Fixture, Frame, Listener, Response, Way, WebSocket, exchange, request};

const HEADER: &str = r#"{"alg":"HS256"}"#;

/// A server of tokens for `events` that `https://issuer.test` made, by a secret or by RSA, beside its keys.
pub(super) fn server() -> Fixture {
    Fixture::start(|config| access(config, &configuration()))
}

fn configuration() -> String {
    let key = format!("{}/tests/tokens/rsa.pem", env!("CARGO_MANIFEST_DIR"));
    format!(
        "{}[access.tokens]\nalgorithms = [\"HS256\", \"RS256\"]\nsecret = \"{SECRET}\"\npublic_key = \"{key}\"\n\
         issuers = [\"https://issuer.test\"]\naudiences = [\"events\"]\nleeway = \"0s\"\ncookie = \"session\"\n",
        rules()
    )
}

/// The claims of an honest token, with `other` ones.
fn claims(other: Value) -> String {
    let rights = json!({"subscribe": ["rooms/*"], "publish": ["rooms/42"]});
    let mut claims = json!({
        "sub": "ana", "iss": "https://issuer.test", "aud": "events", "exp": after(HOUR), "fourcast": rights
    });
    for (name, value) in other.as_object().expect("claims") {
        claims[name] = value.clone();
    }
    claims.to_string()
}

/// A token with this header and these claims, whatever they are, signed with the server's secret.
fn signed(header: &str, claims: &str) -> String {
    signed_as(header, claims, SECRET.as_bytes())
}

pub(super) fn honest() -> String {
    signed(HEADER, &claims(json!({})))
}

/// Neither a request, nor a WebSocket, nor an operation on one is let in with `token`, and no answer has it.
fn is_shut_out(server: &Fixture, token: &str, code: &str) {
    let field = bearer(token);
    let fields = [("Authorization", field.as_str())];
    let answers = [
        server.ask(Way::Sse, "/rooms/42", &fields),
        server.ask(Way::WebSocket, "/rooms/42", &fields),
        server.get("/rooms/42", &fields),
        server.post("/rooms/42", &fields, "forged"),
    ];
    for answer in answers {
        assert_eq!(
            (answer.status(), answer.refusal().as_str()),
            (401, code),
            "{token}"
        );
        let part = token.get(..20).unwrap_or(token);
        assert!(!answer.text().contains(part) && !answer.head.raw.contains(part));
    }
    let mut socket = socket(server);
    socket.operate(json!({"op": "auth", "token": token}));
    let error = socket.next_op("error");
    assert_eq!(error["code"], code, "{token}");
    assert!(!error.to_string().contains(token), "{error}");
}

/// A WebSocket of an honest client.
pub(super) fn socket(server: &Fixture) -> WebSocket {
    let target = format!("/-/socket?access_token={}", honest());
    let mut socket = WebSocket::open(server.address, &target);
    socket.next_op("welcome");
    socket
}

/// Whoever has an honest token is served as ever, and nothing forged was published.
pub(super) fn assert_serves(server: &Fixture) {
    let field = bearer(&honest());
    let answer = server.get("/rooms/42?after=earliest", &[("Authorization", &field)]);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert!(!answer.text().contains("forged"), "{}", answer.text());
}

#[test]
fn a_token_out_of_its_time() {
    let server = server();
    let later = after(HOUR);
    for (claim, time, code) in [
        ("exp", later - 7200.0, "token_expired"),
        ("exp", 0.0, "token_expired"),
        ("nbf", later, "bad_token"),
        ("iat", later, "bad_token"),
        ("exp", 1e300, "bad_token"),
        ("exp", -1.0, "bad_token"),
    ] {
        is_shut_out(
            &server,
            &signed(HEADER, &claims(json!({claim: time}))),
            code,
        );
    }
    assert_serves(&server);
}

#[test]
fn a_token_that_was_made_for_or_by_somebody_else() {
    let server = server();
    for other in [
        json!({"aud": "others"}),
        json!({"aud": ["others", "EVENTS", "events "]}),
        json!({"aud": []}),
        json!({"aud": null}),
        json!({"aud": {"events": "events"}}),
        json!({"iss": "https://issuer.test.evil.example"}),
        json!({"iss": "https://issuer.test/"}),
        json!({"iss": ["https://issuer.test"]}),
        json!({"iss": null}),
    ] {
        is_shut_out(&server, &signed(HEADER, &claims(other)), "bad_token");
    }
    assert_serves(&server);
}

#[test]
fn a_token_that_says_it_needs_no_signature() {
    let server = server();
    for algorithm in ["none", "None", "NONE", "nOnE", " none", "none\\u0000", ""] {
        let token = signed(&format!("{{\"alg\":\"{algorithm}\"}}"), &claims(json!({})));
        let (message, _) = token.rsplit_once('.').expect("a signature");
        is_shut_out(&server, &token, "bad_token");
        is_shut_out(&server, &format!("{message}."), "bad_token");
    }
    let token = honest();
    let (message, _) = token.rsplit_once('.').expect("a signature");
    is_shut_out(&server, &format!("{message}."), "bad_token");
    assert_serves(&server);
}

#[test]
fn a_public_key_taken_for_a_secret() {
    let server = server();
    let path = format!("{}/tests/tokens/rsa.pem", env!("CARGO_MANIFEST_DIR"));
    let pem = fs::read_to_string(path).expect("a public key");
    let (_, pem) = pem.split_at(pem.find("-----BEGIN").expect("PEM"));
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(base64).expect("base64");
    for secret in [pem.as_bytes(), pem.trim_end().as_bytes(), &der] {
        is_shut_out(
            &server,
            &signed_as(HEADER, &claims(json!({})), secret),
            "bad_token",
        );
        let header = r#"{"alg":"RS256"}"#;
        is_shut_out(
            &server,
            &signed_as(header, &claims(json!({})), secret),
            "bad_token",
        );
    }
    assert_serves(&server);
}

#[test]
fn a_name_of_a_key_that_is_a_path_a_query_or_a_command() {
    let server = server();
    for (kid, secret) in [
        ("/dev/null", &b""[..]),
        ("../../../../../../dev/null", b""),
        ("file:///dev/null", b""),
        ("/proc/sys/kernel/randomize_va_space", b"2\n"),
        ("x' UNION SELECT 'secret' -- ", b"secret"),
        ("x\\\" OR 1=1", b"1"),
        ("$(echo secret)", b"secret"),
        ("|echo secret", b"secret"),
    ] {
        let header = format!("{{\"alg\":\"HS256\",\"kid\":\"{kid}\"}}");
        is_shut_out(
            &server,
            &signed_as(&header, &claims(json!({})), secret),
            "bad_token",
        );
    }
    let header = json!({"alg": "HS256", "kid": "k".repeat(257)}).to_string();
    is_shut_out(&server, &signed(&header, &claims(json!({}))), "bad_token");
    assert_serves(&server);
}

#[test]
fn a_token_that_brings_its_own_key() {
    let server = server();
    let attacker = TcpListener::bind("127.0.0.1:0").expect("a port");
    attacker.set_nonblocking(true).expect("a socket");
    let url = format!("http://{}/keys", attacker.local_addr().expect("an address"));
    let own = [7; 32];
    let jwk = json!({"kty": "oct", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(own)});
    for header in [
        json!({"alg": "HS256", "jku": url}),
        json!({"alg": "HS256", "x5u": url}),
        json!({"alg": "HS256", "kid": url}),
        json!({"alg": "HS256", "jwk": jwk}),
        json!({"alg": "HS256", "jwks": {"keys": [jwk]}}),
        json!({"alg": "HS256", "x5c": ["AAAA"], "x5t": "AAAA"}),
    ] {
        let token = signed_as(&header.to_string(), &claims(json!({"jku": url})), &own);
        is_shut_out(&server, &token, "bad_token");
    }
    let asked = attacker.accept().map(|_| ()).map_err(|error| error.kind());
    assert_eq!(
        asked,
        Err(std::io::ErrorKind::WouldBlock),
        "a URL was followed"
    );
    assert_serves(&server);
}

#[test]
fn a_token_that_demands_to_be_understood() {
    let server = server();
    for header in [
        r#"{"alg":"HS256","crit":["exp"],"exp":1}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","crit":null}"#,
        r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#,
        r#"{"alg":"HS256","b64":false}"#,
    ] {
        is_shut_out(&server, &signed(header, &claims(json!({}))), "bad_token");
    }
    assert_serves(&server);
}

#[test]
fn a_token_of_a_megabyte() {
    let server = server();
    let long = "x".repeat(1 << 20);
    let header = json!({"alg": "HS256", "x": long}).to_string();
    for token in [
        signed(&header, &claims(json!({}))),
        signed(HEADER, &claims(json!({"x": long}))),
    ] {
        let field = bearer(&token);
        for (target, fields, status) in [
            ("/rooms/42", vec![("Authorization", field.as_str())], 431),
            (&*format!("/rooms/42?access_token={token}"), vec![], 414),
        ] {
            for usual in [vec![], handshake().to_vec()] {
                let mut wire = server.connect();
                // It may be refused before all of it has been sent.
                let _ = wire.try_send(request(
                    "GET",
                    target,
                    &[usual, fields.clone()].concat(),
                    b"",
                ));
                assert_eq!(Response::read(&mut wire, "GET").status(), status);
            }
        }
        let mut socket = socket(&server);
        let auth = Frame::text(json!({"op": "auth", "token": token}).to_string());
        let _ = socket.wire.try_send(auth.masked());
        match socket.next_message() {
            Message::Text(bye) => assert!(bye.contains("\"code\":1009"), "{bye}"),
            other => panic!("a goodbye was due, not {other:?}"),
        }
    }
    is_shut_out(
        &server,
        &signed(HEADER, &claims(json!({"x": "x".repeat(8000)}))),
        "bad_token",
    );
    assert_serves(&server);
}

#[test]
fn a_token_that_says_something_twice() {
    let server = server();
    let claims = claims(json!({}));
    let inside = claims.trim_start_matches('{');
    for twice in [
        format!("{{\"sub\":\"root\",{inside}"),
        format!("{{\"exp\":9999999999,{inside}"),
        format!("{{\"\\u0065xp\":9999999999,{inside}"),
        format!("{{\"fourcast\":{{\"subscribe\":[\"**\"]}},{inside}"),
        claims.replace("\"publish\"", "\"subscribe\""),
    ] {
        is_shut_out(&server, &signed(HEADER, &twice), "bad_token");
    }
    for header in [
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"none","\u0061lg":"HS256"}"#,
    ] {
        is_shut_out(&server, &signed(header, &claims), "bad_token");
    }
    assert_serves(&server);
}

#[test]
fn rights_that_are_malformed_or_too_many() {
    let server = server();
    let thousands: Vec<String> = (0..3000).map(|_| "a".to_owned()).collect();
    for rights in [
        json!({"subscribe": ["rooms/*", "a*"]}),
        json!({"subscribe": ["**/a"]}),
        json!({"subscribe": ["rooms//42"]}),
        json!({"subscribe": ["../**"]}),
        json!({"subscribe": ["-/connections"]}),
        json!({"subscribe": [""]}),
        json!({"subscribe": ["a,b"]}),
        json!({"subscribe": ["a%2Fb"]}),
        json!({"subscribe": ["rooms/\u{0}"]}),
        json!({"subscribe": "**"}),
        json!({"subscribe": [["**"]]}),
        json!({"subscribe": {"**": true}}),
        json!({"subscribe": null}),
        json!({"subscribe": thousands[..1500]}),
        json!({"Subscribe": ["**"]}),
        json!({"admin": true}),
        json!(["**"]),
        json!("**"),
        json!(true),
    ] {
        is_shut_out(
            &server,
            &signed(HEADER, &claims(json!({"fourcast": rights}))),
            "bad_token",
        );
    }
    assert_serves(&server);
}

#[test]
fn a_signature_that_is_cut_extended_or_changed() {
    let server = server();
    let token = honest();
    let (message, signature) = token.rsplit_once('.').expect("a signature");
    let bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    let others = [
        bytes[..31].to_vec(),
        bytes[..1].to_vec(),
        vec![],
        vec![0; 32],
        vec![255; 32],
        [&bytes[..], &[0]].concat(),
        [&bytes[..], &bytes].concat(),
        [&bytes[..31], &[bytes[31] ^ 1]].concat(),
        [&[bytes[0] ^ 0x80], &bytes[1..]].concat(),
    ];
    for other in others {
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(other));
        is_shut_out(&server, &token, "bad_token");
    }
    let other = signed(HEADER, &claims(json!({"sub": "root"})));
    let (other, _) = other.rsplit_once('.').expect("a signature");
    is_shut_out(&server, &format!("{other}.{signature}"), "bad_token");
    assert_serves(&server);
}

#[test]
fn a_token_written_in_another_way() {
    let server = server();
    let token = honest();
    let (message, signature) = token.rsplit_once('.').expect("a signature");
    let (header, claims) = message.split_once('.').expect("claims");
    // The last character of 32 bytes has two bits that mean nothing; with them set it would be one token more.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = signature
        .chars()
        .last()
        .and_then(|last| alphabet.find(last));
    let malleable = alphabet
        .chars()
        .nth(last.expect("base64url") | 1)
        .expect("base64url");
    let cut = &signature[..signature.len() - 1];
    for other in [
        format!("{message}.{cut}{malleable}"),
        format!("{message}.{signature}="),
        format!("{header}==.{claims}.{signature}"),
        format!("{header}.{claims}%3D.{signature}"),
        format!("{message}.{}+/", &signature[2..]),
        format!("{message}.{signature}."),
        format!("{message}.{signature}.{signature}"),
        format!("{message}..{signature}"),
        format!(".{message}.{signature}"),
        format!("{message}.{signature}, {token}"),
        format!("{message} .{signature}"),
    ] {
        is_shut_out(&server, &other, "bad_token");
    }
    assert_serves(&server);
}

#[test]
fn claims_that_are_nested_without_end() {
    let server = server();
    let nested = format!("{}{}", "[".repeat(2500), "]".repeat(2500));
    let claims = claims(json!({}));
    for (name, value) in [
        ("aud", "\"events\"".to_owned()),
        ("sub", "\"ana\"".to_owned()),
        ("iss", "\"https://issuer.test\"".to_owned()),
    ] {
        let bomb = claims.replace(
            &format!("\"{name}\":{value}"),
            &format!("\"{name}\":{nested}"),
        );
        assert_ne!(bomb, claims);
        is_shut_out(&server, &signed(HEADER, &bomb), "bad_token");
    }
    let rights = claims.replace("\"subscribe\":[", &format!("\"subscribe\":[{nested},"));
    is_shut_out(&server, &signed(HEADER, &rights), "bad_token");
    let objects = format!("{}1", "{\"a\":".repeat(900));
    for open in ["[".repeat(5000), objects] {
        let bomb = claims.replace("\"sub\":\"ana\"", &format!("\"sub\":{open}"));
        is_shut_out(&server, &signed(HEADER, &bomb), "bad_token");
    }
    // Nobody reads what is in a claim that nobody knows.
    let unknown = claims.replace(
        "\"sub\":\"ana\"",
        &format!("\"sub\":\"ana\",\"x\":{nested}"),
    );
    let field = bearer(&signed(HEADER, &unknown));
    assert_eq!(
        server
            .get("/rooms/42", &[("Authorization", &field)])
            .status(),
        200
    );
    assert_serves(&server);
}

/// A process whose log tells all there is to tell.
fn talkative(home: &Home) -> Process {
    let config = format!(
        "listen = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[journal]\nkind = \"memory\"\n\
         [log]\nlevel = \"trace\"\n{}",
        configuration()
    );
    fs::write(home.path().join("config.toml"), config).expect("a configuration");
    let command: Command = home.serve();
    Process::try_start_as(home, command).expect("a server")
}

#[test]
fn a_token_looked_for_in_logs_lists_and_answers() {
    let home = Home::new("a-token-in-the-log");
    let process = talkative(&home);
    let token = honest();
    let forged = signed_as(HEADER, &claims(json!({})), b"another");
    let mut said = Vec::new();
    let mut ask = |method: &str, target: &str, fields: &[(&str, &str)]| {
        let mut wire = process.connect();
        let fields = [fields, &[("Connection", "close")]].concat();
        wire.send(request(method, target, &fields, b"x"));
        said.extend(wire.take_rest(crate::support::deadline()));
    };
    let field = bearer(&token);
    let cookie = format!("session={token}; session={forged}");
    for shown in [&token, &forged, BACKEND] {
        for rest in [
            "",
            "&access_token=x",
            "&after=nonsense",
            "&limit=x",
            "&transport=nonsense",
            "&wait=x",
            "&last=-1",
            "&format=x",
            "&transport=websocket",
            "%00",
            "&type=%0A",
        ] {
            for path in [
                "/rooms/42",
                "/alerts",
                "/rooms//",
                "/-/nothing",
                "/-/socket",
                "/rooms/*,",
                "/",
            ] {
                ask("GET", &format!("{path}?access_token={shown}{rest}"), &[]);
            }
            ask(
                "POST",
                &format!("/rooms/42?access_token={shown}{rest}"),
                &[],
            );
            ask("BREW", &format!("/alerts?access_token={shown}{rest}"), &[]);
        }
        ask(
            "GET",
            &format!("/rooms/42?access_token={shown}"),
            &[("Authorization", &field), ("Cookie", &cookie)],
        );
        ask(
            "GET",
            &format!("/rooms/42?access_token={shown}"),
            &[("Host", "evil.example")],
        );
        ask("GET", &format!("/rooms/42?access_token={shown} x"), &[]);
        ask(
            "GET",
            &format!("/rooms/42?access_token={shown}"),
            &[("Origin", "https://evil.example")],
        );
    }
    let listening = [Way::Sse, Way::Ndjson, Way::WebSocket].map(|way| {
        let target = format!("/rooms/42?access_token={token}");
        Listener::open_on(way, process.connect(), process.address, &target, &[])
    });
    let mut socket = WebSocket::open_on(
        process.connect(),
        &format!("/-/socket?access_token={token}"),
        &[],
    );
    for operation in [
        json!({"op": "auth", "token": forged}),
        json!({"op": "auth", "token": [token]}),
        json!({"op": "auth", "token": token, "ref": "r"}),
        json!({"op": token}),
    ] {
        socket.operate(operation);
    }
    socket.send(&Frame::text(format!(
        "{{\"op\":\"auth\",\"token\":\"{token}\""
    )));
    let admin = process.admin.expect("an operator's port");
    for target in ["/-/connections", "/-/channels", "/-/metrics"] {
        said.extend(exchange(admin, "GET", target, &[], b"").body);
    }
    drop(listening);
    process.await_log(0, "/rooms/42 401");
    let log = process.log();
    assert!(log.contains("DEBUG"), "the log tells all there is: {log}");
    let said = String::from_utf8_lossy(&said);
    for secret in [&token, &forged, BACKEND] {
        for part in secret.split('.') {
            // The header is no secret, and the same in both.
            if part.len() > 30 {
                assert!(!log.contains(part), "{part} in the log");
                assert!(!said.contains(part), "{part} in an answer");
            }
        }
    }
    process.stop();
}

#[test]
fn the_cookie_of_a_victim_on_another_page() {
    let server = server();
    let cookie = format!("session={}", honest());
    let all = signed(
        HEADER,
        &claims(json!({"fourcast": {"publish": ["**"], "delete": ["**"], "subscribe": ["**"]}})),
    );
    let mighty = format!("session={all}");
    publish(&server, "rooms/42", "secret");
    for origin in [
        "https://evil.example",
        "null",
        "http://localhost.evil.example",
    ] {
        for cookie in [&cookie, &mighty] {
            let fields = [
                ("Origin", origin),
                ("Cookie", cookie.as_str()),
                ("Content-Type", "text/plain"),
            ];
            let mut answers: Vec<_> = ["POST", "PUT", "DELETE", "GET"]
                .map(|method| server.send(method, "/rooms/42", &fields, b"forged"))
                .into();
            answers.push(server.send(
                "POST",
                "/-/publish",
                &fields,
                b"{\"channel\":\"rooms/42\",\"data\":\"forged\"}",
            ));
            answers.extend(
                ["/rooms/42", "/-/socket"]
                    .map(|target| server.ask(Way::WebSocket, target, &fields)),
            );
            for answer in answers {
                assert_eq!(
                    (answer.status(), answer.refusal().as_str()),
                    (403, "forbidden_origin")
                );
                assert!(answer.head.field("Access-Control-Allow-Origin").is_none());
            }
        }
    }
    assert_serves(&server);
    let seen = server.get("/rooms/42?after=earliest", &[("Cookie", &cookie)]);
    assert!(
        seen.text().contains("secret"),
        "the page of the server itself may: {}",
        seen.text()
    );
}

#[test]
fn two_tokens_of_which_one_is_right() {
    let server = server();
    let (right, other) = (honest(), signed(HEADER, &claims(json!({"sub": "root"}))));
    for (one, two) in [(&right, &other), (&other, &right)] {
        let (first, second) = (bearer(one), bearer(two));
        let cookie = format!("session={two}");
        let target = format!("/rooms/42?access_token={one}");
        for (target, fields) in [
            (
                "/rooms/42",
                vec![
                    ("Authorization", first.as_str()),
                    ("Authorization", &second),
                ],
            ),
            (
                "/rooms/42",
                vec![("Authorization", first.as_str()), ("Cookie", &cookie)],
            ),
            (&*target, vec![("Authorization", second.as_str())]),
            (&*target, vec![("Cookie", cookie.as_str())]),
            (&*format!("{target}&access_token={two}"), vec![]),
            (&*format!("{target}&access%5Ftoken={one}"), vec![]),
        ] {
            let answer = server.post(target, &fields, "forged");
            assert_eq!(
                (answer.status(), answer.refusal().as_str()),
                (400, "bad_parameter")
            );
            assert_eq!(server.ask(Way::WebSocket, target, &fields).status(), 400);
        }
    }
    assert_serves(&server);
}

#[test]
fn a_kept_connection_whose_token_has_expired() {
    let server = server();
    let short = signed(HEADER, &claims(json!({"exp": after(SHORT)})));
    let mut socket = WebSocket::open(server.address, &format!("/rooms/42?access_token={short}"));
    socket.next_op("welcome");
    let field = bearer(&short);
    let mut wire = server.connect();
    let mut ask = || {
        wire.send(request(
            "GET",
            "/rooms/42",
            &[("Authorization", &field)],
            b"",
        ));
        Response::read(&mut wire, "GET")
    };
    assert_eq!(ask().status(), 200);
    assert_eq!(socket.close_code(), Some(4401));
    // What the socket is told comes when the time is over, so this is after it.
    assert_eq!(ask().refusal(), "token_expired");
    let subscribe = Frame::text(r#"{"op":"subscribe","channels":["rooms/1"]}"#);
    let _ = socket.wire.try_send(subscribe.masked());
    assert_eq!(socket.next_message(), Message::End);
    assert_serves(&server);
}

#[test]
fn a_key_with_something_changed() {
    let server = server();
    for key in [
        BACKEND.to_lowercase(),
        BACKEND.to_uppercase(),
        BACKEND.replace("fck", "Fck"),
        BACKEND.replace('A', "a"),
        format!("{}B", &BACKEND[..BACKEND.len() - 1]),
        format!("{BACKEND}A"),
        BACKEND[..BACKEND.len() - 1].to_owned(),
        BACKEND.replace("fck_", ""),
        "backend".to_owned(),
        // Whoever reads the configuration does not have the key.
        "sha256:9a62a21e942231b480dfe6602614ad68c90f166be472cefa1723d4ffbc87e802".to_owned(),
        "9a62a21e942231b480dfe6602614ad68c90f166be472cefa1723d4ffbc87e802".to_owned(),
    ] {
        is_shut_out(&server, &key, "bad_token");
    }
    assert_serves(&server);
}
