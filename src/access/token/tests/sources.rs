//! Where keys come from, and what is wrong with files that have none.

use std::fs;
use std::path::PathBuf;

use super::super::algorithm::Kind as KeyKind;
use super::super::{jwk, public_key};
use super::*;
use crate::upkeep::{Follow as _, Kept};

fn trouble(lines: &str) -> String {
    Verifier::source(&tokens(lines))
        .read()
        .expect_err("it was read")
}

fn with_public_key(algorithm: &str, name: &str) -> String {
    format!(
        "algorithms = [\"{algorithm}\"]\npublic_key = \"{}\"",
        file(name)
    )
}

/// A file that goes with its owner.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    pub(super) fn new(name: &str, content: impl AsRef<[u8]>) -> Self {
        let name = format!("fourcast-tokens-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, content).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn public_keys_are_read_in_all_forms() {
    for (name, kind) in [
        ("rsa.pem", KeyKind::Rsa),
        ("rsa.pkcs1.pem", KeyKind::Rsa),
        ("rsa.crt", KeyKind::Rsa),
        ("p256.pem", KeyKind::P256),
        ("p256.crt", KeyKind::P256),
        ("p384.pem", KeyKind::P384),
        ("ed25519.pem", KeyKind::Ed25519),
    ] {
        let keys = public_key::keys(&fs::read(file(name)).unwrap()).unwrap();
        let kinds: Vec<KeyKind> = keys.iter().map(|key| key.material.kind()).collect();
        assert_eq!(kinds, [kind], "{name}");
    }
}

#[test]
fn a_certificate_verifies_as_its_key_does() {
    let tokens: Vec<&str> = include_str!("../../../../tests/tokens/tokens")
        .lines()
        .collect();
    for (algorithm, name, token) in [
        ("RS256", "rsa.crt", tokens[3]),
        ("ES256", "p256.crt", tokens[5]),
    ] {
        let verifier = verifier(&with_public_key(algorithm, name));
        assert!(verifier.verify(token, at(NOW)).is_ok(), "{name}");
    }
}

#[test]
fn a_file_without_a_usable_public_key_is_told() {
    for (algorithm, name, part) in [
        ("RS256", "rsa1024.pem", "less than 2048 bits"),
        (
            "ES256",
            "p521.pem",
            "another kind than RSA, P-256, P-384 and Ed25519",
        ),
        (
            "RS256",
            "rsa.key",
            "has a private key, which only whoever signs needs",
        ),
        ("RS256", "keys.jwks", "has no '-----BEGIN PUBLIC KEY-----'"),
        (
            "RS256",
            "p256.pem",
            "has a P-256 key, which is for none of access.tokens.algorithms (RS256)",
        ),
        ("RS256", "missing.pem", "cannot be read"),
    ] {
        let trouble = trouble(&with_public_key(algorithm, name));
        assert!(trouble.contains(part), "{trouble}");
        assert!(trouble.contains(&file(name)), "{trouble}");
    }
}

#[test]
fn no_bytes_of_a_key_file_are_too_odd_to_be_refused() {
    let pem = fs::read(file("rsa.crt")).unwrap();
    for end in 0..pem.len() {
        let _ = public_key::keys(&pem[..end]);
    }
    for name in ["rsa.crt", "rsa.pem", "p256.pem", "ed25519.pem", "p256.crt"] {
        let pem = fs::read(file(name)).unwrap();
        for index in 0..pem.len() {
            let mut other = pem.clone();
            other[index] = other[index].wrapping_add(1);
            let _ = public_key::keys(&other);
        }
    }
}

#[test]
fn every_algorithm_needs_a_key_in_files_of_ones_own() {
    let trouble = trouble(&with_public_key("ES256\", \"RS256", "p256.pem"));
    assert!(
        trouble.contains("RS256, which takes an RSA key, and there is none"),
        "{trouble}"
    );
}

#[test]
fn a_secret_comes_from_a_file_without_its_line_end() {
    let token = saying("");
    for (index, end) in ["", "\n", "\r\n"].iter().enumerate() {
        let secret = Scratch::new(&format!("secret-{index}"), format!("{SECRET}{end}"));
        let path = secret.0.display();
        let verifier = verifier(&format!(
            "algorithms = [\"HS256\"]\nsecret_file = \"{path}\""
        ));
        assert!(verifier.verify(&token, at(NOW)).is_ok(), "{end:?}");
    }
    let short = Scratch::new("short", "0123456789012345678901234567890\n");
    let path = short.0.display();
    let message = trouble(&format!(
        "algorithms = [\"HS256\"]\nsecret_file = \"{path}\""
    ));
    assert!(
        message.contains("a secret of less than 32 bytes"),
        "{message}"
    );
    let enough_for_less = Scratch::new("less", [7; 63]);
    let path = enough_for_less.0.display();
    let message = trouble(&format!(
        "algorithms = [\"HS512\"]\nsecret_file = \"{path}\""
    ));
    assert!(
        message.contains("none of access.tokens.algorithms"),
        "{message}"
    );
}

#[test]
fn a_set_of_keys_passes_over_what_it_cannot_use() {
    let set = jwk::Set::parse(&fs::read(file("keys.jwks")).unwrap()).unwrap();
    assert_eq!(set.keys.len(), 5);
    assert_eq!(
        set.skipped,
        ["keys[5] is not used: its kind (kty, crv) is not known here"]
    );
    let ed25519 =
        r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;
    for (key, why) in [
        (
            format!(r#"{{{ed25519},"use":"enc"}}"#),
            "not for signatures (use)",
        ),
        (
            format!(r#"{{{ed25519},"key_ops":["sign"]}}"#),
            "not for verifying (key_ops)",
        ),
        (
            format!(r#"{{{ed25519},"alg":"ES256"}}"#),
            "no key for its algorithm, ES256",
        ),
        (
            format!(r#"{{{ed25519},"alg":"none"}}"#),
            "algorithm (alg) is not known",
        ),
        (format!(r#"{{{ed25519},"kid":1}}"#), "kid is no text"),
        (
            r#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#.into(),
            "no public key of its curve",
        ),
        (
            r#"{"kty":"OKP","crv":"Ed448","x":"AA"}"#.into(),
            "kind (kty, crv) is not known",
        ),
        (
            r#"{"kty":"EC","crv":"P-256","x":"AA"}"#.into(),
            "its y is no base64url",
        ),
        (
            r#"{"kty":"RSA","n":"////","e":"AQAB"}"#.into(),
            "its n is no base64url",
        ),
        (
            r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#.into(),
            "less than 2048 bits",
        ),
        (
            r#"{"kty":"oct","k":"c2hvcnQ"}"#.into(),
            "a secret of less than 32 bytes",
        ),
        (r#"{"x":"AA"}"#.into(), "kind (kty, crv) is not known"),
        ("1".into(), "it is no object"),
    ] {
        let set = jwk::Set::parse(format!("{{\"keys\":[{key}]}}").as_bytes()).unwrap();
        assert!(set.keys.is_empty(), "{key}");
        assert!(set.skipped[0].contains(why), "{why:?} in {:?}", set.skipped);
    }
}

#[test]
fn a_set_without_a_usable_key_is_told() {
    let many = format!("{{\"keys\":[{}]}}", vec!["{}"; 33].join(","));
    for (index, (json, part)) in [
        ("", "is no set of keys (JWKS)"),
        ("[]", "is no set of keys (JWKS)"),
        (r#"{"kty":"RSA"}"#, "is no set of keys (JWKS)"),
        (
            r#"{"keys":[{}]}"#,
            "has no key that can be used: keys[0] is not used",
        ),
        (&many, "has more than 32 keys"),
    ]
    .into_iter()
    .enumerate()
    {
        let set = Scratch::new(&format!("set-{index}"), json);
        let path = set.0.display();
        let trouble = trouble(&format!("algorithms = [\"RS256\"]\njwks = \"{path}\""));
        assert!(trouble.contains(part), "{trouble}");
    }
}

#[test]
fn a_key_of_a_set_is_only_used_as_it_says() {
    let jwks = fs::read_to_string(file("keys.jwks")).unwrap();
    let only = jwks.replace("\"kid\": \"rsa\"", "\"kid\": \"rsa\", \"alg\": \"RS256\"");
    let set = Scratch::new("only", only);
    let path = set.0.display();
    let verifier = verifier(&format!(
        "algorithms = [\"RS256\", \"PS256\"]\njwks = \"{path}\""
    ));
    let tokens: Vec<&str> = include_str!("../../../../tests/tokens/tokens")
        .lines()
        .collect();
    assert!(verifier.verify(tokens[3], at(NOW)).is_ok());
    assert_refused(
        verifier.verify(tokens[4], at(NOW)),
        Kind::BadToken,
        "there is no key here",
    );
}

#[test]
fn other_keys_in_a_file_count_and_broken_ones_do_not() {
    let secret = Scratch::new("renewed", SECRET);
    let path = secret.0.display();
    let lines = format!("algorithms = [\"HS256\"]\nsecret_file = \"{path}\"");
    let kept = Kept::read("access.tokens", Verifier::source(&tokens(&lines))).unwrap();
    let counts = || kept.get().verify(&saying(""), at(NOW)).is_ok();
    assert!(counts());
    fs::write(&secret.0, "short").unwrap();
    kept.look();
    assert!(counts(), "a broken file keeps the old keys");
    fs::write(&secret.0, "x".repeat(32)).unwrap();
    kept.look();
    assert!(!counts());
}

#[test]
fn a_set_without_any_key_takes_all_of_them_back() {
    let set = Scratch::new("empty-set", r#"{"keys":[]}"#);
    let path = set.0.display();
    let verifier = verifier(&format!("algorithms = [\"RS256\"]\njwks = \"{path}\""));
    assert!(!verifier.has_keys());
}
