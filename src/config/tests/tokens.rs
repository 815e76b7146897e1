//! `[access.tokens]`: what is read, and what does not go together.

use super::*;
use crate::access::token::algorithm::Algorithm;

const SECRET: &str = "kept-to-ourselves-for-these-tests";

fn section(lines: &str) -> String {
    format!("[access.tokens]\n{lines}")
}

#[test]
fn what_stands_there_is_what_counts() {
    let tokens = accepted(&section(
        "algorithms = [\"HS256\", \"EdDSA\"]\nsecret_file = \"secret\"\npublic_key = \"key.pem\"\n\
         jwks = \"/keys.json\"\nissuers = [\"a\"]\naudiences = [\"b\", \"c\"]\nleeway = \"5m\"\n\
         require_expiry = false\ncookie = \"__Host-token\"",
    ))
    .access
    .tokens;
    assert_eq!(tokens.algorithms, [Algorithm::Hs256, Algorithm::EdDsa]);
    assert_eq!(tokens.secret_file, Some("secret".into()));
    assert_eq!(tokens.public_key, Some("key.pem".into()));
    assert_eq!(tokens.jwks, Some("/keys.json".into()));
    assert_eq!((tokens.issuers.len(), tokens.audiences.len()), (1, 2));
    assert_eq!(tokens.leeway, Duration::from_secs(300));
    assert!(!tokens.require_expiry);
    assert_eq!(tokens.cookie.as_deref(), Some("__Host-token"));
    assert!(!accepted("").access.tokens.are_accepted());
}

#[test]
fn the_examples_of_tokens_in_the_file_that_teaches_are_right() {
    let examples = section_of_template("access.tokens").filter_map(|line| {
        let line = line.strip_prefix("# ")?;
        let line = Some(line).filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))?;
        let (key, _) = line.split_once(" = ")?;
        (key != "secret").then_some((key, line))
    });
    let mut count = 0;
    for (key, line) in examples {
        let goes_with = match key {
            "secret_file" => "algorithms = [\"HS256\"]",
            "public_key" | "jwks" => "algorithms = [\"ES256\"]",
            "algorithms" => "jwks = \"keys.json\"",
            _ => "",
        };
        accepted(&section(&format!("{line}\n{goes_with}")));
        count += 1;
    }
    assert_eq!(count, 7);
    // Else it would be the secret of everyone who does not choose one.
    let secret = section_of_template("access.tokens").find(|line| line.starts_with("# secret = "));
    let secret = secret.unwrap().trim_start_matches("# ");
    let message = refused(&section(&format!("algorithms = [\"HS256\"]\n{secret}")));
    assert_tells(&message, &["access.tokens.secret: expected a secret of 32"]);
}

#[test]
fn keys_and_algorithms_that_do_not_go_together_are_refused() {
    let secret = format!("secret = \"{SECRET}\"");
    for (lines, parts) in [
        (
            "algorithms = [\"none\"]",
            ["algorithms[0]: found \"none\"", "one of HS256"],
        ),
        (
            "algorithms = [\"hs256\"]",
            ["algorithms[0]: found \"hs256\"", "one of HS256"],
        ),
        (
            "algorithms = [\"HS256\"]",
            [
                "access.tokens.algorithms: HS256 takes a key",
                "secret, secret_file or jwks",
            ],
        ),
        (
            "algorithms = [\"HS256\", \"ES256\"]\nsecret_file = \"a\"",
            [
                "access.tokens.algorithms: ES256 takes a key",
                "public_key or jwks",
            ],
        ),
        (
            &secret,
            ["access.tokens.secret: none of", "algorithms = [\"HS256\"]"],
        ),
        (
            "secret_file = \"a\"\npublic_key = \"a\"\nalgorithms = [\"ES256\"]",
            [
                "access.tokens.secret_file: none of",
                "algorithms = [\"HS256\"]",
            ],
        ),
        (
            "public_key = \"a\"",
            [
                "access.tokens.public_key: none of",
                "algorithms = [\"ES256\"]",
            ],
        ),
        (
            "jwks = \"a\"",
            ["access.tokens.jwks: none of", "algorithms = [\"RS256\"]"],
        ),
        (
            &format!("algorithms = [\"HS512\"]\n{secret}"),
            [
                "access.tokens.secret: HS512 takes",
                "at least 64 characters",
            ],
        ),
        (
            "algorithms = [\"HS256\"]\nsecret = \"short-and-therefore-guessed\"",
            [
                "access.tokens.secret: expected a secret of 32",
                "without spaces",
            ],
        ),
        (
            "cookie = \"a b\"",
            ["access.tokens.cookie", "found \"a b\""],
        ),
        (
            "leeway = \"11m\"",
            ["access.tokens.leeway", "from 0s to 10m"],
        ),
        ("issuers = [\"\"]", ["access.tokens.issuers[0]", "a name"]),
        (
            "require_expiry = 1",
            ["access.tokens.require_expiry", "true or false"],
        ),
    ] {
        let message = refused(&section(lines));
        assert_tells(&message, &parts);
        assert!(!message.contains(SECRET), "{message}");
        assert!(!message.contains("guessed"), "{message}");
    }
}

#[test]
fn the_secret_is_shown_nowhere() {
    let lines = format!("algorithms = [\"HS256\"]\nsecret = \"{SECRET}\"");
    let config = accepted(&section(&lines));
    assert!(!config.to_toml().contains(SECRET));
    assert!(!format!("{config:?}").contains(SECRET));
}

#[test]
fn files_begin_at_the_directory_of_the_configuration() {
    let name = format!("fourcast-tokens-config-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("config.toml");
    let lines =
        section("algorithms = [\"ES256\"]\npublic_key = \"key.pem\"\njwks = \"/keys.json\"");
    std::fs::write(&path, lines).unwrap();
    let tokens = Config::load(Some(&path), []).unwrap().config.access.tokens;
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!(tokens.public_key, Some(directory.join("key.pem")));
    assert_eq!(tokens.jwks, Some("/keys.json".into()));
}
