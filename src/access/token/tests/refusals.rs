//! Every way in which a token can be wrong, each with the sentence that says so.

use super::sources::Scratch;
use super::*;

/// Refuses tokens with these claims beside an `exp` that is right.
fn assert_claims_refused(lines: &str, claims: &str, part: &str) {
    let outcome = with_secret(lines).verify(&saying(claims), at(NOW));
    assert_refused(outcome, Kind::BadToken, part);
}

/// Refuses tokens with this header, whatever their signature.
fn assert_header_refused(header: &str, part: &str) {
    let claims = format!("{{\"exp\":{}}}", NOW + 60);
    let outcome = with_secret("").verify(&signed(header, &claims), at(NOW));
    assert_refused(outcome, Kind::BadToken, part);
}

fn assert_token_refused(token: &str, part: &str) {
    assert_refused(with_secret("").verify(token, at(NOW)), Kind::BadToken, part);
}

#[test]
fn a_token_that_is_right_passes() {
    assert!(with_secret("").verify(&saying(""), at(NOW)).is_ok());
}

#[test]
fn without_a_key_no_token_counts() {
    let outcome = verifier("").verify(&saying(""), at(NOW));
    assert_refused(outcome, Kind::BadToken, "no tokens are accepted here");
}

#[test]
fn what_does_not_have_three_parts_is_no_token() {
    for text in ["", ".", "a.b", "a.b.c.d", "fck_0123456789"] {
        assert_token_refused(text, "three parts");
    }
}

#[test]
fn an_encrypted_token_is_refused_as_such() {
    assert_token_refused("a.b.c.d.e", "encrypted (JWE)");
}

#[test]
fn a_part_that_is_not_base64url_is_refused() {
    let token = saying("");
    let [header, claims, signature] =
        <[&str; 3]>::try_from(token.split('.').collect::<Vec<_>>()).unwrap();
    for (text, part) in [
        (format!("{header}=.{claims}.{signature}"), "header"),
        (format!("{header}.{claims}==.{signature}"), "second part"),
        (format!("{header}.{claims}.{signature} "), "signature"),
        (format!("{header}.{claims}.+/{signature}"), "signature"),
        (format!("\n{token}"), "header"),
    ] {
        assert_token_refused(&text, &format!("{part} is no base64url"));
    }
}

#[test]
fn a_token_of_8_kib_passes_and_one_byte_more_is_refused() {
    let of_length = |length: usize| {
        let mut claims = String::new();
        loop {
            let token = saying(&format!("\"x\":\"{claims}\""));
            match length.checked_sub(token.len()) {
                Some(0) => return Some(token),
                // Each three bytes of claims are four of the token, so some lengths cannot be had.
                Some(missing) => claims.push_str(&"y".repeat((missing * 3 / 4).max(1))),
                None => return None,
            }
        }
    };
    let longest = (8 * 1024 - 1..=8 * 1024).rev().find_map(of_length).unwrap();
    assert!(with_secret("").verify(&longest, at(NOW)).is_ok());
    let longer = (8 * 1024 + 1..=8 * 1024 + 2).find_map(of_length).unwrap();
    assert_token_refused(&longer, "longer than 8192 bytes");
    assert_token_refused(&"a".repeat(1 << 20), "longer than 8192 bytes");
}

#[test]
fn a_token_without_a_signature_is_refused_in_every_spelling() {
    for name in ["none", "None", "NONE", "nOnE"] {
        assert_header_refused(&format!("{{\"alg\":\"{name}\"}}"), "not signed");
    }
    let unsigned = format!("{}.{}.", part(r#"{"alg":"none"}"#), part("{}"));
    assert_token_refused(&unsigned, "not signed");
    let stripped = saying("");
    let stripped = stripped.rsplit_once('.').unwrap().0;
    assert_token_refused(&format!("{stripped}."), "signature is not that of a key");
}

#[test]
fn an_algorithm_that_is_unknown_misspelt_or_missing_is_refused() {
    for header in [
        r#"{"alg":"hs256"}"#,
        r#"{"alg":"HS256 "}"#,
        r#"{"alg":"ES256K"}"#,
        r#"{"alg":""}"#,
    ] {
        assert_header_refused(header, "not known here");
    }
    for header in [
        "{}",
        r#"{"alg":null}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":1}"#,
    ] {
        assert_header_refused(header, "does not say how it is signed");
    }
}

#[test]
fn an_algorithm_that_the_configuration_does_not_have_is_refused() {
    assert_header_refused(
        r#"{"alg":"HS384"}"#,
        "signed by HS384, which access.tokens.algorithms",
    );
    assert_header_refused(
        r#"{"alg":"RS256"}"#,
        "signed by RS256, which access.tokens.algorithms",
    );
}

/// The public key, which everybody knows, as the secret of an HMAC (RFC 8725, section 2.1).
#[test]
fn a_public_key_is_never_taken_for_a_secret() {
    let pem = std::fs::read(file("rsa.pem")).unwrap();
    let message = format!(
        "{}.{}",
        part(r#"{"alg":"HS256"}"#),
        part(r#"{"exp":9999999999}"#)
    );
    let sign = |key: &[u8]| {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes());
        format!("{message}.{}", part(tag))
    };
    let both = format!(
        "algorithms = [\"RS256\", \"HS256\"]\nsecret = \"{SECRET}\"\npublic_key = \"{}\"",
        file("rsa.pem")
    );
    let only = format!(
        "algorithms = [\"RS256\"]\npublic_key = \"{}\"",
        file("rsa.pem")
    );
    let outcome = verifier(&both).verify(&sign(&pem), at(NOW));
    assert_refused(outcome, Kind::BadToken, "signature is not that of a key");
    let outcome = verifier(&only).verify(&sign(&pem), at(NOW));
    assert_refused(
        outcome,
        Kind::BadToken,
        "signed by HS256, which access.tokens.algorithms",
    );
    let set = format!(
        "algorithms = [\"RS256\", \"HS384\"]\njwks = \"{}\"",
        file("keys.jwks")
    );
    let outcome = verifier(&set).verify(&sign(&pem), at(NOW));
    assert_refused(outcome, Kind::BadToken, "signed by HS256");
}

#[test]
fn a_header_that_is_no_object_or_has_a_member_twice_is_refused() {
    for header in [
        "",
        "null",
        "[]",
        "{",
        r#"{"alg":"HS256"} {}"#,
        r#"{"alg":"HS256","alg":"HS256"}"#,
        "{\"alg\":\"HS256\",\"a\u{0}\":1}",
    ] {
        assert_header_refused(header, "header is no JSON object");
    }
    let not_utf8 = format!(
        "{}.{}.{}",
        part(b"{\"alg\":\"\xff\"}"),
        part("{}"),
        part("x")
    );
    assert_token_refused(&not_utf8, "header is no JSON object");
    let many: Vec<String> = (0..200).map(|index| format!("\"{index}\":1")).collect();
    assert_header_refused(
        &format!("{{{}}}", many.join(",")),
        "header is no JSON object",
    );
}

#[test]
fn extensions_that_must_be_understood_are_refused() {
    for header in [
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","crit":null}"#,
        r#"{"alg":"HS256","b64":true,"crit":["b64"]}"#,
    ] {
        assert_header_refused(header, "crit");
    }
    assert_header_refused(r#"{"alg":"HS256","b64":false}"#, "b64");
}

#[test]
fn a_kid_is_compared_as_text_and_never_followed() {
    let set = with_set();
    let with_kid = |kid: &str| {
        let header = serde_json::json!({"alg": "HS256", "kid": kid}).to_string();
        let token = signed(&header, &format!("{{\"exp\":{}}}", NOW + 60));
        set.verify(&token, at(NOW))
    };
    assert!(with_kid("secret").is_ok());
    for kid in [
        "Secret",
        "secret ",
        "",
        "../../../../dev/null",
        "/proc/sys/kernel/randomize_va_space",
        "file:///dev/null",
        "https://attacker.test/keys.json",
        "secret' OR '1'='1",
        "secret\u{0}",
        // A key that is there, of another kind.
        "rsa",
        "p521",
    ] {
        assert_refused(
            with_kid(kid),
            Kind::BadToken,
            "names a key (kid) that is not known",
        );
    }
    assert_refused(with_kid(&"x".repeat(257)), Kind::BadToken, "kid is longer");
    assert_header_refused(r#"{"alg":"HS256","kid":1}"#, "kid is no text");
}

/// Else a stranger would have as many signatures verified for one request as a set has keys.
#[test]
fn without_a_kid_no_key_is_chosen_among_several() {
    let one = |name: &str, secret: &str| {
        let name = if name.is_empty() {
            String::new()
        } else {
            format!("\"kid\":\"{name}\",")
        };
        format!("{{\"kty\":\"oct\",{name}\"k\":\"{}\"}}", part(secret))
    };
    let other = SECRET.replace("secret", "SECRET");
    let token = saying("");
    for (index, (keys, part)) in [
        (vec![one("a", SECRET)], None),
        (vec![one("", &other), one("", SECRET)], None),
        (vec![one("a", &other), one("", SECRET)], None),
        (
            vec![one("a", SECRET), one("b", &other)],
            Some("does not name its key (kid)"),
        ),
        (
            vec![one("a", SECRET), one("b", &other), one("", &other)],
            Some("signature is not that of a key"),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let set = Scratch::new(
            &format!("without-a-kid-{index}"),
            format!("{{\"keys\":[{}]}}", keys.join(",")),
        );
        let verifier = verifier(&format!(
            "algorithms = [\"HS256\"]\njwks = \"{}\"",
            set.0.display()
        ));
        let outcome = verifier.verify(&token, at(NOW));
        match part {
            None => assert!(outcome.is_ok(), "{index}"),
            Some(part) => assert_refused(outcome, Kind::BadToken, part),
        }
    }
}

#[test]
fn there_is_a_toll_on_each_signature_that_was_verified_in_vain_and_on_nothing_else() {
    let toll = |verifier: &Verifier, token: &str| refusal(verifier.verify(token, at(NOW))).toll;
    let token = saying("");
    let (message, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{message}.{}", part([0; 32]));
    let one = with_secret("");
    assert_eq!(toll(&one, &forged), 10);
    let file = Scratch::new("toll", "x".repeat(64));
    let two = with_secret(&format!("secret_file = \"{}\"", file.0.display()));
    assert_eq!(toll(&two, &forged), 20);
    for cheap in [
        "a.b.c",
        &signed(r#"{"alg":"HS384"}"#, "{}"),
        &signed(r#"{"alg":"HS256"}"#, "{}"),
    ] {
        assert_eq!(toll(&one, cheap), 0, "{cheap}");
    }
}

fn with_set() -> Verifier {
    let jwks = file("keys.jwks");
    verifier(&format!(
        "algorithms = [\"HS256\", \"RS256\"]\njwks = \"{jwks}\""
    ))
}

#[test]
fn a_key_that_the_token_brings_along_does_not_count() {
    let known = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
    let header = format!(
        r#"{{"alg":"HS256","jwk":{{"kty":"oct","k":"{}"}},"jku":"https://attacker.test/","x5c":["AA"]}}"#,
        part([7; 32])
    );
    let message = format!("{}.{}", part(header), part(r#"{"exp":9999999999}"#));
    let tag = hmac::sign(&known, message.as_bytes());
    assert_token_refused(
        &format!("{message}.{}", part(tag)),
        "signature is not that of a key",
    );
}

#[test]
fn another_signature_message_or_secret_is_refused() {
    let token = saying(r#""sub":"ana""#);
    let (message, signature) = token.rsplit_once('.').unwrap();
    let other = saying(r#""sub":"bob""#);
    let (other, _) = other.rsplit_once('.').unwrap();
    assert_token_refused(
        &format!("{other}.{signature}"),
        "signature is not that of a key",
    );
    let short = &signature[..signature.len() - 3];
    assert_token_refused(
        &format!("{message}.{short}"),
        "signature is not that of a key",
    );
    let another = verifier(&format!(
        "algorithms = [\"HS256\"]\nsecret = \"{}\"",
        &SECRET[1..]
    ));
    assert_refused(
        another.verify(&token, at(NOW)),
        Kind::BadToken,
        "signature is not that",
    );
}

#[test]
fn a_token_counts_until_its_end_and_as_long_as_clocks_may_differ() {
    let verifier = with_secret("leeway = \"30s\"");
    let token = signed(r#"{"alg":"HS256"}"#, &format!("{{\"exp\":{NOW}}}"));
    for offset in [0, 29] {
        let pass = verifier.verify(&token, at(NOW + offset)).unwrap();
        assert_eq!(pass.expires(), Some(at(NOW + 30)));
    }
    for offset in [30, 31, 1_000_000_000] {
        let outcome = verifier.verify(&token, at(NOW + offset));
        assert_refused(outcome, Kind::TokenExpired, "has expired (exp)");
    }
    let fraction = signed(r#"{"alg":"HS256"}"#, r#"{"exp":1800000000.5}"#);
    let pass = verifier.verify(&fraction, at(NOW)).unwrap();
    assert_eq!(
        pass.expires(),
        Some(at(NOW + 30) + Duration::from_millis(500))
    );
}

/// Whoever has no valid token learns nothing of its time.
#[test]
fn only_a_token_that_is_otherwise_right_is_called_expired() {
    let expired = signed(r#"{"alg":"HS256"}"#, r#"{"exp":1,"aud":"others"}"#);
    assert_token_refused(&expired, "audience");
    let forged = format!("{}A", &expired[..expired.len() - 1]);
    assert_token_refused(&forged, "signature is no");
}

#[test]
fn a_token_that_does_not_count_yet_or_comes_from_the_future_is_refused() {
    let claim = |name: &str, offset: u64| format!("\"{name}\":{}", NOW + offset);
    let lines = "leeway = \"30s\"";
    assert_claims_refused(lines, &claim("nbf", 31), "does not count yet (nbf)");
    assert_claims_refused(lines, &claim("iat", 31), "made later than it is here (iat)");
    for name in ["nbf", "iat"] {
        let token = saying(&claim(name, 30));
        assert!(with_secret(lines).verify(&token, at(NOW)).is_ok(), "{name}");
    }
}

#[test]
fn a_token_that_never_expires_is_refused_unless_the_configuration_allows_it() {
    let token = signed(r#"{"alg":"HS256"}"#, "{}");
    let outcome = with_secret("").verify(&token, at(NOW));
    assert_refused(outcome, Kind::BadToken, "never expires (no exp)");
    let pass = with_secret("require_expiry = false")
        .verify(&token, at(NOW))
        .unwrap();
    assert_eq!(pass.expires(), None);
    // What is allowed to be missing is not allowed to be wrong.
    let token = signed(r#"{"alg":"HS256"}"#, r#"{"exp":null}"#);
    let outcome = with_secret("require_expiry = false").verify(&token, at(NOW));
    assert_refused(outcome, Kind::BadToken, "exp is no number");
}

#[test]
fn a_time_that_is_no_time_is_refused() {
    for time in [
        "\"1800000060\"",
        "null",
        "true",
        "-1",
        "1e300",
        "1e999",
        "253402300800",
        "[]",
        "{}",
    ] {
        for name in ["exp", "nbf", "iat"] {
            let claims = format!("{{\"{name}\":{time}}}");
            let token = signed(r#"{"alg":"HS256"}"#, &claims);
            assert_token_refused(&token, &format!("{name} is no number of seconds"));
        }
    }
}

#[test]
fn another_issuer_or_none_is_refused() {
    let lines = "issuers = [\"https://a.test/\", \"b\"]";
    for claims in [
        r#""iss":"https://a.test""#,
        r#""iss":"HTTPS://A.TEST/""#,
        r#""iss":"""#,
    ] {
        assert_claims_refused(
            lines,
            claims,
            "issuer (iss) is not one of access.tokens.issuers",
        );
    }
    assert_claims_refused(lines, "", "does not say who made it (iss)");
    assert_claims_refused("", r#""iss":["b"]"#, "iss is no text");
    assert!(
        with_secret(lines)
            .verify(&saying(r#""iss":"b""#), at(NOW))
            .is_ok()
    );
    assert!(
        with_secret("")
            .verify(&saying(r#""iss":"c""#), at(NOW))
            .is_ok()
    );
}

#[test]
fn another_audience_or_none_is_refused() {
    let lines = "audiences = [\"events\", \"b\"]";
    for claims in [r#""aud":"event""#, r#""aud":["x","y"]"#, r#""aud":[]"#] {
        assert_claims_refused(lines, claims, "audience (aud) is not one of");
    }
    assert_claims_refused(lines, "", "does not say whom it is meant for (aud)");
    for claims in [
        r#""aud":1"#,
        r#""aud":{"events":1}"#,
        r#""aud":["b",1]"#,
        r#""aud":null"#,
    ] {
        assert_claims_refused(lines, claims, "aud is neither a text nor a list");
    }
    for claims in [r#""aud":"events""#, r#""aud":["x","b"]"#] {
        assert!(
            with_secret(lines).verify(&saying(claims), at(NOW)).is_ok(),
            "{claims}"
        );
    }
    // Meant for somebody, and that is nobody here.
    assert_claims_refused("", r#""aud":"events""#, "audience (aud) is not one of");
}

#[test]
fn claims_that_are_no_object_or_have_a_member_twice_are_refused() {
    for claims in ["", "null", "\"x\"", "[]", "{\"exp\":1,\"exp\":2}", "{}{}"] {
        let token = signed(r#"{"alg":"HS256"}"#, claims);
        assert_token_refused(&token, "claims are no JSON object");
    }
    let deep = format!("{{\"exp\":{}{}", "[".repeat(2_000), "]".repeat(2_000));
    let token = signed(r#"{"alg":"HS256"}"#, &format!("{deep}}}"));
    assert_token_refused(&token, "token's");
}

/// It is a name in logs and lists.
#[test]
fn a_subject_that_is_no_short_line_of_text_is_refused() {
    for subject in [
        "\"\"",
        "\"a\\nb\"",
        "\"a\\u0000\"",
        "\"a\\u001b[2J\"",
        "\"a\\u0085b\"",
        "\"a\\u202eb\"",
        "\"a\\u2066b\"",
    ] {
        assert_claims_refused(
            "",
            &format!("\"sub\":{subject}"),
            "sub does not have 1 to 256",
        );
    }
    let long = "x".repeat(257);
    assert_claims_refused(
        "",
        &format!("\"sub\":\"{long}\""),
        "sub does not have 1 to 256",
    );
    for subject in ["1", "null", "[\"ana\"]"] {
        assert_claims_refused("", &format!("\"sub\":{subject}"), "sub is no text");
    }
}

#[test]
fn rights_that_cannot_be_read_are_refused_with_the_place() {
    for (rights, part) in [
        ("[]", "claim fourcast is no object"),
        ("null", "claim fourcast is no object"),
        ("\"**\"", "claim fourcast is no object"),
        (
            r#"{"subscribe":[],"subscribe":["**"]}"#,
            "claim fourcast is no object",
        ),
        (r#"{"subscibe":["**"]}"#, "something else than subscribe"),
        (
            r#"{"subscribe":"**"}"#,
            "fourcast.subscribe is no list of texts",
        ),
        (r#"{"delete":[1]}"#, "fourcast.delete is no list of texts"),
        (
            r#"{"publish":["a","b//c"]}"#,
            "fourcast.publish[1] is no channel or pattern: a channel is",
        ),
        (
            r#"{"subscribe":["a/**/b"]}"#,
            "fourcast.subscribe[0] is no channel or pattern: '**' may",
        ),
        (
            r#"{"subscribe":["a*"]}"#,
            "fourcast.subscribe[0] is no channel or pattern: '*' stands",
        ),
        (
            r#"{"subscribe":["a/../b"]}"#,
            "fourcast.subscribe[0] is no channel",
        ),
        (
            r#"{"subscribe":["a%2Fb"]}"#,
            "fourcast.subscribe[0] is no channel",
        ),
        (
            r#"{"subscribe":["-/health"]}"#,
            "fourcast.subscribe[0] is no channel",
        ),
    ] {
        assert_claims_refused("", &format!("\"fourcast\":{rights}"), part);
    }
}

#[test]
fn more_than_100_selectors_of_an_action_are_refused() {
    let list = |count| serde_json::json!({"subscribe": vec!["a"; count]}).to_string();
    let claims = |count| format!("\"fourcast\":{}", list(count));
    assert!(
        with_secret("")
            .verify(&saying(&claims(100)), at(NOW))
            .is_ok()
    );
    assert_claims_refused("", &claims(101), "more than 100 channels and patterns");
}

#[test]
fn without_the_claim_nothing_is_allowed() {
    let pass = with_secret("")
        .verify(&saying(r#""sub":"ana""#), at(NOW))
        .unwrap();
    assert!(pass.rights().are_none());
}

/// Refusals are sent to whoever asked, and logged.
#[test]
fn no_refusal_repeats_what_the_token_says() {
    let marker = "MARKER-4711";
    for (header, claims) in [
        (format!(r#"{{"alg":"{marker}"}}"#), "{}".to_owned()),
        (
            format!(r#"{{"alg":"HS256","kid":["{marker}"]}}"#),
            "{}".to_owned(),
        ),
        (
            r#"{"alg":"HS256"}"#.to_owned(),
            format!(r#"{{"exp":"{marker}"}}"#),
        ),
        (
            r#"{"alg":"HS256"}"#.to_owned(),
            format!(r#"{{"sub":{{"{marker}":1}}}}"#),
        ),
        (
            r#"{"alg":"HS256"}"#.to_owned(),
            format!(r#"{{"exp":9999999999,"aud":"{marker}"}}"#),
        ),
        (
            r#"{"alg":"HS256"}"#.to_owned(),
            format!(r#"{{"fourcast":{{"publish":["{marker}*"]}}}}"#),
        ),
        (
            r#"{"alg":"HS256"}"#.to_owned(),
            format!(r#"{{"fourcast":{{"{marker}":[]}}}}"#),
        ),
    ] {
        let refusal = refusal(with_secret("").verify(&signed(&header, &claims), at(NOW)));
        assert!(!refusal.to_string().contains(marker), "{refusal}");
    }
}
