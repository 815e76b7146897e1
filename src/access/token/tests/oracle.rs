//! jsonwebtoken as a second opinion: what it makes passes here, and what passes here it accepts.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::signature::{Error, Signer, Verifier as Verify};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde_json::{Value, json};

use super::*;

/// HS256 by ring, since jsonwebtoken brings no cryptography of its own.
struct Hs256(hmac::Key);

impl Hs256 {
    fn of(secret: &[u8]) -> Box<Self> {
        Box::new(Hs256(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }
}

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(hmac::sign(&self.0, message).as_ref().to_vec())
    }
}

impl Verify<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), Error> {
        hmac::verify(&self.0, message, signature).map_err(|_| Error::new())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

fn install() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: |_, key| Ok(Hs256::of(key.as_bytes())),
        verifier_factory: |_, key| Ok(Hs256::of(key.try_get_as_bytes()?)),
        key_utils: KeyUtils::new_unimplemented(),
    };
    // Fails when another test was faster.
    let _ = PROVIDER.install_default();
}

fn made_there(claims: &Value) -> String {
    install();
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::default(), claims, &key).unwrap()
}

fn is_accepted_there(token: &str) -> bool {
    install();
    let mut rules = Validation::new(Algorithm::HS256);
    rules.leeway = 30;
    rules.validate_nbf = true;
    rules.set_required_spec_claims(&["exp", "iss", "aud"]);
    rules.set_issuer(&["issuer"]);
    rules.set_audience(&["events", "b"]);
    decode::<Value>(token, &DecodingKey::from_secret(SECRET.as_bytes()), &rules).is_ok()
}

/// It reads the clock itself, so these times are far from now.
#[test]
fn both_accept_and_refuse_the_same() {
    let verifier = with_secret("issuers = [\"issuer\"]\naudiences = [\"events\", \"b\"]");
    let now = SystemTime::now();
    let hour = Duration::from_secs(3_600);
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let (past, future) = (seconds(now - hour), seconds(now + hour));
    let times = [
        json!(past),
        json!(future),
        json!("1"),
        json!(future as f64 + 0.5),
        Value::Null,
    ];
    let issuers = [json!("issuer"), json!("other"), json!(1), Value::Null];
    let audiences = [
        json!("events"),
        json!(["x", "b"]),
        json!(["x"]),
        json!([]),
        json!(1),
        Value::Null,
    ];
    let mut accepted = 0;
    for (exp, nbf) in times
        .iter()
        .flat_map(|exp| times.iter().map(move |nbf| (exp, nbf)))
    {
        for (iss, aud) in issuers
            .iter()
            .flat_map(|iss| audiences.iter().map(move |aud| (iss, aud)))
        {
            let mut claims = json!({"exp": exp, "nbf": nbf, "iss": iss, "aud": aud});
            // Here a null stands for a claim that is not there.
            claims
                .as_object_mut()
                .unwrap()
                .retain(|_, value| !value.is_null());
            let token = made_there(&claims);
            let is_accepted = verifier.verify(&token, now).is_ok();
            assert_eq!(is_accepted, is_accepted_there(&token), "{claims}");
            accepted += usize::from(is_accepted);
        }
    }
    // Two times in the future, nbf in the past or not there, one issuer, two audiences.
    assert_eq!(accepted, 2 * 2 * 2);
}
