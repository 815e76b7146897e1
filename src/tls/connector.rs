//! Whom a client believes: the system's authorities, or those of a file.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::TlsError;

/// Where systems keep the certificates of the authorities that they believe: Debian and Alpine, Fedora, openSUSE, BSD
/// and macOS.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];

/// What a client's connections have in common.
#[derive(Clone)]
pub struct Connector(Arc<ClientConfig>);

impl Connector {
    /// Believes the authorities in the PEM file `authorities`, or those of the system. Blocks while it reads.
    ///
    /// # Errors
    /// When the file cannot be used, or the system has none where they usually are.
    pub fn load(authorities: Option<&Path>) -> Result<Self, TlsError> {
        let bundle = authorities.or_else(|| {
            let mut bundles = BUNDLES.iter().map(Path::new);
            bundles.find(|path| path.is_file())
        });
        let bundle = bundle.ok_or_else(|| {
            TlsError::new(
                "this system has no certificates of authorities where they usually are; name a file of them (--ca)",
            )
        })?;
        let provider = Arc::new(ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::new(format!("TLS cannot be had: {error}")))?
            .with_root_certificates(roots(bundle)?)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Connector(Arc::new(config)))
    }

    pub(super) fn config(&self) -> Arc<ClientConfig> {
        self.0.clone()
    }
}

/// A system's bundle may have some that nobody understands.
fn roots(bundle: &Path) -> Result<RootCertStore, TlsError> {
    let shown = bundle.display();
    let text = fs::read(bundle)
        .map_err(|error| TlsError::new(format!("{shown} cannot be read: {error}")))?;
    let certificates = CertificateDer::pem_slice_iter(&text).filter_map(Result::ok);
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(certificates);
    if usable == 0 {
        return Err(TlsError::new(format!(
            "there is no certificate in {shown}; one begins with -----BEGIN CERTIFICATE-----"
        )));
    }
    Ok(roots)
}
