//! The tokens that the standards print, and one for each algorithm that OpenSSL signed.

use super::super::algorithm::Algorithm;
use super::super::key::{Key, Material};
use super::super::{jwk, public_key};
use super::*;
use crate::access::pass::Holder;
use crate::access::rights::Action;

/// What RFC 7515, appendix A, and RFC 8037, appendix A.4, sign: algorithm, key, message and signature.
fn printed() -> Vec<(Algorithm, &'static str, &'static str)> {
    vec![
        (
            Algorithm::Hs256,
            r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#,
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
             eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
             dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        ),
        (
            Algorithm::Rs256,
            r#"{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}"#,
            "eyJhbGciOiJSUzI1NiJ9.\
             eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
             cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            Algorithm::Es256,
            r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
            "eyJhbGciOiJFUzI1NiJ9.\
             eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
             DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            Algorithm::EdDsa,
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            "eyJhbGciOiJFZERTQSJ9.\
             RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
             hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ]
}

fn only_key(jwk: &str) -> Key {
    let set = jwk::Set::parse(format!("{{\"keys\":[{jwk}]}}").as_bytes()).unwrap();
    let [key] = <[Key; 1]>::try_from(set.keys).unwrap();
    key
}

#[test]
fn what_the_standards_print_is_verified_and_nothing_else() {
    for (algorithm, jwk, token) in printed() {
        let key = only_key(jwk);
        let (message, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let verifies = |message: &str, signature: &[u8]| {
            key.verifies(algorithm, message.as_bytes(), signature)
        };
        assert!(verifies(message, &signature), "{algorithm}");
        assert!(!verifies(&message[1..], &signature), "{algorithm}");
        for byte in [0, signature.len() / 2, signature.len() - 1] {
            let mut other = signature.clone();
            other[byte] ^= 1;
            assert!(!verifies(message, &other), "{algorithm}, byte {byte}");
        }
        assert!(!verifies(message, &signature[1..]), "{algorithm}");
        assert!(!verifies(message, &[]), "{algorithm}");
        for other in Algorithm::ALL {
            let is_verified = key.verifies(other, message.as_bytes(), &signature);
            assert_eq!(is_verified, other == algorithm, "{algorithm} as {other}");
        }
    }
}

/// RFC 7515, appendix A.4, is ES512, which is not offered; a zero signature once passed elsewhere (CVE-2022-21449).
#[test]
fn a_signature_of_zeros_is_none() {
    let (_, jwk, _) = printed()[2];
    assert!(!only_key(jwk).verifies(Algorithm::Es256, b"message", &[0; 64]));
}

/// One token for each algorithm, in the order of [`Algorithm::ALL`].
fn signed_elsewhere() -> impl Iterator<Item = (Algorithm, &'static str)> {
    let tokens = include_str!("../../../../tests/tokens/tokens").lines();
    Algorithm::ALL.into_iter().zip(tokens)
}

fn key_lines(algorithm: Algorithm) -> String {
    let file = match algorithm {
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => {
            return format!("secret = \"{SECRET}\"");
        }
        Algorithm::Rs256 | Algorithm::Ps256 => file("rsa.pem"),
        Algorithm::Es256 => file("p256.pem"),
        Algorithm::Es384 => file("p384.pem"),
        Algorithm::EdDsa => file("ed25519.pem"),
    };
    format!("public_key = \"{file}\"")
}

#[test]
fn a_token_of_each_algorithm_lets_its_holder_pass() {
    for (algorithm, token) in signed_elsewhere() {
        let verifier = verifier(&format!(
            "algorithms = [\"{algorithm}\"]\n{}",
            key_lines(algorithm)
        ));
        let pass = verifier.verify(token, at(NOW));
        let pass = pass.unwrap_or_else(|refusal| panic!("{algorithm}: {refusal}"));
        assert_eq!(pass.holder(), &Holder::Subject("ana".into()));
        assert_eq!(pass.expires(), Some(at(4_102_444_800 + 30)));
        let may = |action, name: &str| {
            let channel = name.parse().unwrap();
            pass.rights().allow_channel(action, &channel)
        };
        assert!(may(Action::Subscribe, "rooms/7") && may(Action::Publish, "rooms/42"));
        assert!(!may(Action::Publish, "rooms/7") && !may(Action::Delete, "rooms/42"));
    }
}

#[test]
fn a_set_of_keys_verifies_all_of_them() {
    let all = Algorithm::ALL
        .map(|algorithm| format!("\"{algorithm}\""))
        .join(", ");
    let verifier = verifier(&format!(
        "algorithms = [{all}]\njwks = \"{}\"",
        file("keys.jwks")
    ));
    for (algorithm, token) in signed_elsewhere() {
        assert!(verifier.verify(token, at(NOW)).is_ok(), "{algorithm}");
    }
}

#[test]
fn no_key_verifies_by_an_algorithm_of_another_kind() {
    let names = ["rsa.pem", "p256.pem", "p384.pem", "ed25519.pem"];
    let keys = names.map(|name| {
        let pem = std::fs::read(file(name)).unwrap();
        (public_key::keys(&pem).unwrap().remove(0), pem)
    });
    for (key, pem) in keys {
        for algorithm in Algorithm::ALL {
            let fits = algorithm.kind() == key.material.kind();
            assert_eq!(key.fits(algorithm), fits, "{key:?} and {algorithm}");
        }
        // The public key as a secret, which everybody knows (RFC 8725, section 2.1).
        let known = hmac::Key::new(hmac::HMAC_SHA256, &pem);
        let signature = hmac::sign(&known, b"message");
        assert!(!key.verifies(Algorithm::Hs256, b"message", signature.as_ref()));
    }
    assert!(Material::secret(&[0; 31]).is_err());
}

#[test]
fn a_subject_is_another_with_another_issuer_and_the_same_whoever_else_may_issue() {
    let holder = |lines: &str, issuer: &str| {
        let token = saying(&format!(r#""sub":"1","iss":"{issuer}""#));
        let pass = with_secret(lines).verify(&token, at(NOW));
        pass.unwrap().holder().clone()
    };
    let before = holder("issuers = [\"a\"]", "a");
    for lines in ["", "issuers = [\"a\", \"b\"]"] {
        assert_ne!(holder(lines, "a"), holder(lines, "b"), "{lines}");
        assert_eq!(holder(lines, "a"), before, "{lines}");
    }
}
