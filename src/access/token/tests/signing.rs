//! What is signed here is verified here, by each algorithm.

use super::super::algorithm::Algorithm;
use super::super::public_key;
use super::super::signer::Signer;
use super::*;

fn signer(name: &str) -> Result<Signer, String> {
    Signer::private(&std::fs::read(file(name)).unwrap())
}

#[test]
fn what_a_private_key_signs_its_public_half_verifies() {
    for (private, public, algorithms) in [
        (
            "rsa.key",
            "rsa.pem",
            &[Algorithm::Rs256, Algorithm::Ps256][..],
        ),
        ("rsa.pkcs1.key", "rsa.pem", &[Algorithm::Rs256]),
        ("p256.key", "p256.pem", &[Algorithm::Es256]),
        ("p384.key", "p384.pem", &[Algorithm::Es384]),
        ("ed25519.key", "ed25519.pem", &[Algorithm::EdDsa]),
    ] {
        let signer = signer(private).unwrap();
        let key = public_key::keys(&std::fs::read(file(public)).unwrap())
            .unwrap()
            .remove(0);
        for algorithm in Algorithm::ALL {
            let token = signer.sign(algorithm, "{}", "{}");
            assert_eq!(
                token.is_ok(),
                algorithm.kind() == signer.kind(),
                "{private}, {algorithm}"
            );
        }
        for algorithm in algorithms {
            let token = signer.sign(*algorithm, "{}", "{}").unwrap();
            let (message, signature) = token.rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            assert!(
                key.verifies(*algorithm, message.as_bytes(), &signature),
                "{private}"
            );
        }
    }
}

#[test]
fn what_a_secret_signs_it_verifies() {
    let signer = Signer::shared(SECRET.as_bytes()).unwrap();
    for algorithm in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
        let header = format!("{{\"alg\":\"{algorithm}\"}}");
        let claims = format!("{{\"exp\":{}}}", NOW + 60);
        let token = signer.sign(algorithm, &header, &claims).unwrap();
        let lines = format!("algorithms = [\"{algorithm}\"]\nsecret = \"{SECRET}\"");
        assert!(
            verifier(&lines).verify(&token, at(NOW)).is_ok(),
            "{algorithm}"
        );
    }
    assert!(Signer::shared(&[0; 31]).is_err());
}

#[test]
fn a_file_without_a_private_key_that_can_be_used_is_told() {
    for (name, part) in [
        ("rsa.pem", "has no '-----BEGIN PRIVATE KEY-----'"),
        ("keys.jwks", "has no '-----BEGIN PRIVATE KEY-----'"),
        (
            "p256.sec1.key",
            "has an EC PRIVATE KEY; 'openssl pkcs8 -topk8",
        ),
    ] {
        let trouble = signer(name).err().unwrap();
        assert!(trouble.contains(part), "{trouble}");
    }
}
