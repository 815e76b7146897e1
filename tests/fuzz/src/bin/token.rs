//! A token and the files of keys. Whatever is signed comes apart into what it was made of, and verifies by its own key and
//! algorithm alone; what nobody signed does not verify.

#![no_main]

use fourcast::access::token::algorithm::Algorithm;
use fourcast::access::token::claims::Claims;
use fourcast::access::token::compact::{Compact, LONGEST};
use fourcast::access::token::header::Header;
use fourcast::access::token::jwk::Set;
use fourcast::access::token::key::{Key, Material};
use fourcast::access::token::public_key;
use fourcast::access::token::signer::Signer;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

const SECRET: &[u8] = b"a secret that is as long as SHA-512 needs it, which is 64 bytes..";

static KEY: LazyLock<Key> = LazyLock::new(|| {
    let secret = Material::secret(SECRET).expect("a secret");
    Key::nameless(secret)
});

fuzz_target!(|input: &[u8]| {
    let _ = public_key::keys(input);
    if let Ok(set) = Set::parse(input) {
        for key in &set.keys {
            assert!(!key.verifies(Algorithm::Hs256, b"message", input));
        }
    }
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    if let Ok(token) = Compact::parse(text) {
        check_forged(&token);
    }
    let (header, claims) = text.split_once('\n').unwrap_or((text, ""));
    check_signed(header, claims);
});

/// Nobody but the signer below has the key.
fn check_forged(token: &Compact<'_>) {
    for algorithm in [Algorithm::Hs256, Algorithm::Rs256, Algorithm::EdDsa] {
        assert!(!KEY.verifies(algorithm, token.message, &token.signature));
    }
    read(&token.header, &token.claims);
}

fn check_signed(header: &str, claims: &str) {
    let signer = Signer::shared(SECRET).expect("a signer");
    let token = signer
        .sign(Algorithm::Hs256, header, claims)
        .expect("a token");
    let Ok(parts) = Compact::parse(&token) else {
        assert!(token.len() > LONGEST);
        return;
    };
    assert_eq!(
        (&*parts.header, &*parts.claims),
        (header.as_bytes(), claims.as_bytes())
    );
    assert!(KEY.verifies(Algorithm::Hs256, parts.message, &parts.signature));
    for other in [Algorithm::Hs384, Algorithm::Rs256, Algorithm::Es256] {
        assert!(!KEY.verifies(other, parts.message, &parts.signature));
    }
    read(&parts.header, &parts.claims);
}

fn read(header: &[u8], claims: &[u8]) {
    if let Ok(header) = Header::parse(header) {
        assert!(header.key.is_none_or(|name| name.len() <= 256));
    }
    if let Ok(read) = Claims::parse(claims) {
        let text = str::from_utf8(claims).expect("JSON is UTF-8");
        assert!(text.contains("exp") || read.expires.is_none() || text.contains("\\u"));
    }
}
