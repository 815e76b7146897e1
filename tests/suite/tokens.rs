//! `fourcast key` and `fourcast token`: what a person at a shell makes, and what the server says of it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::SystemTime;

use fourcast::access::token::verifier::Verifier;
use fourcast::config::Config;

use crate::support::Fixture;

const SECRET: &str = "the-secret-of-these-tests-has-sixty-four-characters-and-not-less";

/// A directory with a configuration; dropping it removes it.
struct Place {
    directory: PathBuf,
}

impl Place {
    /// With these lines under `[access.tokens]`.
    fn new(test: &str, lines: &str) -> Self {
        let name = format!("tokens-{test}-{}", std::process::id());
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&directory).expect("a directory");
        let config = format!("[access.tokens]\n{lines}");
        fs::write(directory.join("config.toml"), config).expect("a configuration");
        Place { directory }
    }

    fn with_secret(test: &str) -> Self {
        Self::new(
            test,
            &format!("algorithms = [\"HS256\"]\nsecret = \"{SECRET}\"\n"),
        )
    }

    /// What the command prints with this on its standard input.
    fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fourcast"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FOURCAST_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(arguments)
            .current_dir(&self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command");
        let mut stdin = child.stdin.take().expect("its input");
        // A command that refuses its arguments does not read.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("its output")
    }

    fn token(&self, arguments: &[&str]) -> String {
        let output = self.run(
            &[&["token", "new", "--subject", "ana"], arguments].concat(),
            "",
        );
        assert!(output.status.success(), "{}", told(&output));
        text(&output)
    }

    fn verifier(&self) -> Verifier {
        let loaded = Config::load(Some(&self.directory.join("config.toml")), []);
        let tokens = loaded.expect("a configuration").config.access.tokens;
        Verifier::source(&tokens).read().expect("its keys")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn file(name: &str) -> String {
    format!("{}/tests/tokens/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn assert_tells(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[test]
fn a_token_that_was_made_is_accepted_and_explained() {
    let place = Place::with_secret("made");
    let rights = [
        "--subscribe",
        "rooms/*",
        "--subscribe",
        "news",
        "--publish",
        "rooms/42",
    ];
    let token = place.token(&rights);
    let output = place.run(&["token", "inspect"], &token);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_tells(
        &text(&output),
        &[
            "header     {\"alg\":\"HS256\",\"typ\":\"JWT\"}\n",
            "claims     {\"sub\":\"ana\",\"iat\":",
            "expires    2",
            "Z, in ",
            "allows     subscribe rooms/*, news; publish rooms/42\n",
            "accepted   until 2",
        ],
    );
    for argument in ["-", token.trim()] {
        let output = place.run(&["token", "inspect", argument], &token);
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    }
    let output = place.run(&["token", "inspect"], &format!("Bearer {token}"));
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
}

#[test]
fn what_the_command_signs_the_server_verifies_by_every_kind_of_key() {
    for (private, public, algorithm) in [
        ("rsa.key", "rsa.pem", "RS256"),
        ("rsa.key", "rsa.crt", "PS256"),
        ("p256.key", "p256.pem", "ES256"),
        ("p384.key", "p384.pem", "ES384"),
        ("ed25519.key", "ed25519.pem", "EdDSA"),
    ] {
        let public = file(public);
        let lines = format!("algorithms = [\"{algorithm}\"]\npublic_key = \"{public}\"\n");
        let place = Place::new(algorithm, &lines);
        let token = place.token(&["--key", &file(private), "--subscribe", "**"]);
        let pass = place.verifier().verify(token.trim(), SystemTime::now());
        assert!(pass.is_ok(), "{algorithm}: {pass:?}");
    }
}

#[test]
fn a_token_has_the_issuer_and_the_audience_that_are_expected() {
    let place = Place::new(
        "expected",
        &format!(
            "algorithms = [\"HS512\"]\nsecret = \"{SECRET}\"\nissuers = [\"a\"]\naudiences = [\"b\"]\n"
        ),
    );
    let verifier = place.verifier();
    let is_accepted = |token: &str| verifier.verify(token.trim(), SystemTime::now()).is_ok();
    assert!(is_accepted(&place.token(&[])));
    assert!(is_accepted(&place.token(&[
        "--audience",
        "x",
        "--audience",
        "b"
    ])));
    assert!(!is_accepted(&place.token(&["--audience", "x"])));
    assert!(!is_accepted(&place.token(&["--issuer", "x"])));
}

#[test]
fn a_token_that_is_refused_says_why_and_exits_with_1() {
    let place = Place::with_secret("refused");
    let token = place.token(&["--subscribe", "**"]);
    let (message, _) = token.rsplit_once('.').expect("a signature");
    for (input, why) in [
        (format!("{message}.AAAA"), "signature is not that of a key"),
        ("no token at all".to_owned(), "three parts"),
        (String::new(), "three parts"),
        ("x".repeat(100_000), "longer than 8192 bytes"),
        (place.token(&["--audience", "others"]), "audience (aud)"),
    ] {
        let output = place.run(&["token", "inspect"], &input);
        assert_eq!(output.status.code(), Some(1), "{input}");
        assert_tells(&told(&output), &["this configuration refuses it: ", why]);
        assert!(!text(&output).contains("accepted"), "{input}");
    }
    let without = Place::new("without", "");
    let output = without.run(&["token", "inspect"], &token);
    assert_eq!(output.status.code(), Some(1));
    assert_tells(&told(&output), &["no tokens are accepted here"]);
}

/// Whoever made a token may have meant to write on the terminal of whoever looks at it.
#[test]
fn control_characters_of_a_token_do_not_reach_the_terminal() {
    let place = Place::with_secret("terminal");
    // {"alg":"HS256"} and {"a":"<ESC>[2J"}, the escape as it is.
    let output = place.run(
        &[
            "token",
            "inspect",
            "eyJhbGciOiJIUzI1NiJ9.eyJhIjoiG1sySiJ9.AAAA",
        ],
        "",
    );
    assert_eq!(output.status.code(), Some(1));
    assert_tells(&text(&output), &["\\u{1b}[2J"]);
    assert!(!text(&output).contains('\u{1b}'));
}

#[test]
fn without_anything_to_sign_with_no_token_is_made() {
    let place = Place::new("nothing", "");
    for (arguments, code, why) in [
        (
            &[][..],
            2,
            "nothing to sign with: --key names a private key",
        ),
        (&["--key", "missing.pem"], 1, "missing.pem cannot be read"),
        (
            &["--key", &file("rsa.pem")],
            1,
            "has no '-----BEGIN PRIVATE KEY-----'",
        ),
        (
            &["--key", &file("p256.key"), "--algorithm", "RS256"],
            2,
            "a P-256 key does not sign by RS256",
        ),
        (&["--algorithm", "none"], 2, "it is none of HS256"),
        (&["--subscribe", "a*"], 2, "'*' stands for a whole segment"),
        (&["--expires-in", "soon"], 2, "a number of seconds"),
    ] {
        let arguments = [&["token", "new", "--subject", "ana"], arguments].concat();
        let output = place.run(&arguments, "");
        assert_eq!(output.status.code(), Some(code), "{}", told(&output));
        assert_tells(&told(&output), &[why]);
        assert_eq!(text(&output), "");
    }
}

#[test]
fn no_token_is_made_that_every_server_refuses() {
    let secret = &SECRET[..32];
    let place = Place::new(
        "refused",
        &format!("algorithms = [\"HS256\"]\nsecret = \"{secret}\"\n"),
    );
    let long = "a".repeat(257);
    for (arguments, code, why) in [
        (
            &["--subject", ""][..],
            2,
            "the token's sub does not have 1 to",
        ),
        (
            &["--subject", &long],
            2,
            "the token's sub does not have 1 to",
        ),
        (
            &["--subject", "a\nb"],
            2,
            "the token's sub does not have 1 to",
        ),
        (&["--subject", "a", "--kid", &long], 2, "the token's kid"),
        (
            &["--subject", "a", "--algorithm", "HS512"],
            1,
            "HS512 takes a secret of at least 64 bytes",
        ),
    ] {
        let output = place.run(&[&["token", "new"], arguments].concat(), "");
        assert_eq!(output.status.code(), Some(code), "{}", told(&output));
        assert_tells(&told(&output), &[why]);
        assert_eq!(text(&output), "");
    }
}

#[test]
fn a_token_that_the_configuration_refuses_is_made_with_a_word_of_it() {
    let place = Place::with_secret("elsewhere");
    let new = ["token", "new", "--subject", "ana"];
    let output = place.run(&[&new[..], &["--algorithm", "HS512"]].concat(), "");
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_tells(
        &told(&output),
        &["this configuration refuses it: the token is signed by HS512"],
    );
    assert_eq!(told(&place.run(&new, "")), "");
}

#[test]
fn a_file_of_keys_that_cannot_be_used_is_told_before_anything_starts() {
    let lines = format!(
        "algorithms = [\"RS256\"]\npublic_key = \"{}\"\n",
        file("rsa1024.pem")
    );
    let place = Place::new("unusable", &lines);
    for command in [&["check"][..], &["serve"], &["token", "inspect", "a.b.c"]] {
        let output = place.run(command, "");
        assert_eq!(
            output.status.code(),
            Some(78),
            "{command:?}: {}",
            told(&output)
        );
        assert_tells(
            &told(&output),
            &["rsa1024.pem has an RSA key of less than 2048 bits"],
        );
    }
    let place = Place::with_secret("usable");
    assert_tells(
        &text(&place.run(&["check"], "")),
        &["tokens         signed by HS256\n"],
    );
}

#[test]
fn a_server_lets_the_holder_of_a_token_do_what_it_says() {
    let lines = format!("algorithms = [\"HS256\"]\nsecret = \"{SECRET}\"\ncookie = \"token\"\n");
    let place = Place::new("server", &lines);
    let loaded = Config::load(Some(&place.directory.join("config.toml")), []);
    let access = loaded.expect("a configuration").config.access;
    let server = Fixture::start(|config| config.access = access);
    let token = place.token(&["--publish", "rooms/*"]);
    let token = token.trim();
    let publish =
        |path: &str, name: &str, value: &str| server.post(path, &[(name, value)], "hello").status();
    let bearer = format!("Bearer {token}");
    assert_eq!(publish("/rooms/42", "Authorization", &bearer), 201);
    let (own, cookie) = (server.origin(), format!("token={token}"));
    let of_page = [("Origin", own), ("Cookie", &cookie)];
    assert_eq!(server.post("/rooms/42", &of_page, "hello").status(), 201);
    assert_eq!(publish("/chat", "Authorization", &bearer), 403);
    assert_eq!(publish("/rooms/42", "X-Nothing", "shown"), 401);
    assert_eq!(
        publish("/rooms/42", "Cookie", &format!("other={token}")),
        401
    );
    let path = format!("/rooms/42?access_token={token}");
    assert_eq!(publish(&path, "X-Nothing", "shown"), 201);
    let forged = format!("{}AAAA", &bearer[..bearer.len() - 4]);
    let answer = server.post("/rooms/42", &[("Authorization", &forged)], "hello");
    assert_eq!(answer.status(), 401);
    let challenge = "Bearer error=\"invalid_token\"";
    assert_eq!(answer.head.must("WWW-Authenticate"), challenge);
    assert_eq!(answer.json()["code"], "bad_token");
}

#[test]
fn a_new_key_is_printed_once_with_the_lines_that_let_it_in() {
    let place = Place::new("key", "");
    let arguments = [
        "key",
        "new",
        "backend",
        "--publish",
        "rooms/*",
        "--subscribe",
        "**",
    ];
    let outputs = [(), ()].map(|()| text(&place.run(&arguments, "")));
    let keys = outputs
        .each_ref()
        .map(|output| output.lines().next().expect("a key"));
    assert_ne!(keys[0], keys[1], "no two are the same");
    for (key, output) in keys.iter().zip(&outputs) {
        let random = key.strip_prefix("fck_").expect("its prefix");
        assert_eq!(random.len(), 43, "{key}");
        assert_eq!(output.matches(key).count(), 1, "{output}");
        assert_tells(
            output,
            &[
                "\nmode = \"closed\"\n\n[[access.keys]]\nname = \"backend\"\nhash = \"sha256:",
                "\nsubscribe = [\"**\"]\npublish = [\"rooms/*\"]\ndelete = []\n",
            ],
        );
    }
}

#[test]
fn a_key_that_may_do_nothing_is_not_made() {
    let place = Place::new("idle", "");
    let output = place.run(&["key", "new", "backend"], "");
    assert_eq!(output.status.code(), Some(2));
    assert_tells(
        &told(&output),
        &["say what the key is for: --subscribe, --publish or --delete"],
    );
}
