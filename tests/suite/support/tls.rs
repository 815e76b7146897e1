//! TLS from the client's side: who the servers of these tests are, which addresses speak it, and a connection over it.
//! With `SUITE_TLS` set every server speaks it that no test wants otherwise.

use std::collections::HashMap;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

use fourcast::config::{self, Config};
use rcgen::generate_simple_self_signed;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::TLS12;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

/// A connection over TLS; it shakes hands when it is first written to or read.
pub type Secured = Box<StreamOwned<ClientConnection, TcpStream>>;

/// The versions of it that a client speaks.
pub type Versions = &'static [&'static SupportedProtocolVersion];

/// The older one alone.
pub static ONLY_1_2: Versions = &[&TLS12];

/// Who the servers are that are no matter of the test.
static IDENTITY: LazyLock<Identity> = LazyLock::new(|| {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    Identity::new(directory.join(format!("identity-{}", std::process::id())))
});

static SPEAKING: LazyLock<Mutex<HashMap<SocketAddr, Versions>>> = LazyLock::new(Mutex::default);

/// Whether every server speaks it.
pub fn is_usual() -> bool {
    std::env::var_os("SUITE_TLS").is_some_and(|value| !value.is_empty())
}

/// The scheme of the usual server.
pub fn scheme() -> &'static str {
    if is_usual() { "https" } else { "http" }
}

/// The file of those who vouch for the usual server.
pub fn authorities() -> PathBuf {
    IDENTITY.certificate()
}

/// Has a server speak it, and show what the usual one does.
pub fn secure(config: &mut Config) {
    for listen in &mut config.listen {
        listen.tls = true;
    }
    config.tls = IDENTITY.settings();
}

/// A certificate and its key, in files.
pub struct Identity {
    directory: PathBuf,
}

impl Identity {
    /// A new one, in `directory`.
    pub fn new(directory: PathBuf) -> Self {
        fs::create_dir_all(&directory).expect("a directory");
        let identity = Identity { directory };
        identity.renew();
        identity
    }

    /// Becomes another one, in the same files; its certificate.
    pub fn renew(&self) -> CertificateDer<'static> {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let new = generate_simple_self_signed(names).expect("a certificate");
        fs::write(self.key(), new.signing_key.serialize_pem()).expect("a file");
        fs::write(self.certificate(), new.cert.pem()).expect("a file");
        new.cert.der().clone()
    }

    /// The file of the certificate.
    pub fn certificate(&self) -> PathBuf {
        self.directory.join("certificate.pem")
    }

    fn key(&self) -> PathBuf {
        self.directory.join("key.pem")
    }

    /// The section of a configuration that shows it.
    pub fn settings(&self) -> config::Tls {
        config::Tls {
            certificate: Some(self.certificate()),
            key: Some(self.key()),
        }
    }
}

/// An address that speaks it, as long as this lasts.
pub struct Speaking(SocketAddr);

impl Speaking {
    /// Has whoever connects to `address` speak it.
    pub fn at(address: SocketAddr) -> Self {
        let speaking = Speaking(address);
        speaking.by(rustls::ALL_VERSIONS);
        speaking
    }

    /// Has them speak these versions of it from now on.
    pub fn by(&self, versions: Versions) {
        speaking().insert(self.0, versions);
    }
}

impl Drop for Speaking {
    fn drop(&mut self) {
        speaking().remove(&self.0);
    }
}

fn speaking() -> MutexGuard<'static, HashMap<SocketAddr, Versions>> {
    SPEAKING.lock().expect("nobody panics with it")
}

/// TLS over a socket, if its peer speaks it.
pub fn over(stream: TcpStream) -> Result<Secured, TcpStream> {
    let versions = |peer| speaking().get(&peer).copied();
    match stream.peer_addr().ok().and_then(versions) {
        Some(versions) => Ok(secured(stream, &authorities(), versions)),
        None => Err(stream),
    }
}

/// TLS over a socket, with a server that those in the file `authorities` vouch for, by one of these `versions`; none: any.
pub fn secured(
    stream: TcpStream,
    authorities: &Path,
    versions: &[&'static SupportedProtocolVersion],
) -> Secured {
    use rustls::pki_types::pem::PemObject;
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(authorities).expect("a certificate");
    roots.add(certificate).expect("an authority");
    let versions = match versions {
        [] => rustls::ALL_VERSIONS,
        some => some,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    // For records that the library would not write.
    config.enable_secret_extraction = true;
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a client");
    Box::new(StreamOwned::new(connection, stream))
}
