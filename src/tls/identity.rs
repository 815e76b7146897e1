//! The server's certificate and key, checked against each other, as they are shown to whoever comes.

use std::path::{Display, Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys, ServerConfig};

use super::TlsError;
use crate::upkeep::Source;

/// What new connections are shown.
pub struct Identity(Arc<ServerConfig>);

impl Identity {
    /// What is in the PEM files of a certificate, with its chain behind it, and its key, as PKCS#8, PKCS#1 or SEC1.
    pub fn source(certificate: PathBuf, key: PathBuf) -> Source<Self> {
        Source::new(vec![certificate.clone(), key.clone()], move |contents| {
            let [chain, private] = contents else {
                return Err("a certificate and a key make two files".to_owned());
            };
            let certified = certify((&certificate, chain), (&key, private));
            certified.and_then(Self::showing).map_err(|error| error.0)
        })
    }

    fn showing(certified: CertifiedKey) -> Result<Self, TlsError> {
        let failed = |error: Error| TlsError::new(format!("TLS cannot be had: {error}"));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Whoever comes back shows what it was given, instead of a store of ours with room for a few.
        config.ticketer = ring::Ticketer::new().map_err(failed)?;
        Ok(Identity(Arc::new(config)))
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.0.clone()
    }
}

/// A file and what is in it.
type Contents<'a> = (&'a Path, &'a [u8]);

fn certify(certificate: Contents<'_>, key: Contents<'_>) -> Result<CertifiedKey, TlsError> {
    let (chain, private) = (chain(certificate)?, private_key(key)?);
    let (certificate, key) = (certificate.0.display(), key.0.display());
    CertifiedKey::from_der(chain, private, &ring::default_provider()).map_err(|error| {
        TlsError::new(match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => format!(
                "the key in {key} does not fit the first certificate in {certificate}; the server's own certificate \
                 comes first, those that vouch for it behind it"
            ),
            Error::InvalidCertificate(why) => {
                format!("the first certificate in {certificate} cannot be used: {why}")
            }
            error => format!(
                "the key in {key} cannot be used: {error}; RSA from 2048 bits, ECDSA P-256 and P-384 and Ed25519 can"
            ),
        })
    })
}

fn chain((path, text): Contents<'_>) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let path = path.display();
    let chain = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    match chain {
        Ok(chain) if chain.is_empty() => Err(TlsError::new(format!(
            "there is no certificate in {path}; one begins with -----BEGIN CERTIFICATE-----"
        ))),
        Ok(chain) => Ok(chain),
        Err(error) => Err(mangled(path, &error)),
    }
}

fn private_key((path, text): Contents<'_>) -> Result<PrivateKeyDer<'static>, TlsError> {
    let path = path.display();
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::new(format!(
            "there is no key in {path}; one begins with -----BEGIN PRIVATE KEY-----, and one with a passphrase cannot be \
             read"
        )),
        error => mangled(path, &error),
    })
}

/// The library's own sentences have the line, or the section, in which all of a key may stand.
fn mangled(path: Display<'_>, error: &pem::Error) -> TlsError {
    let why = match error {
        pem::Error::MissingSectionEnd { .. } => {
            "a section has no -----END line (or the file has lost its line ends)"
        }
        pem::Error::IllegalSectionStart { .. } => "a -----BEGIN line does not end in -----",
        pem::Error::Base64Decode(_) => "what is in a section is not base64",
        _ => "it cannot be read as one",
    };
    TlsError::new(format!("{path} is no PEM file: {why}"))
}
