//! TLS by rustls: a certificate and its key from PEM files, which are read again when they change.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use ecgpu::{Error, ErrorKind, Result};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{self, PemObject},
        },
    },
    server::TlsStream,
};

use crate::options::TlsFiles;

/// The protocols that are offered, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// When a file was last written, and its size.
type Seen = Option<(SystemTime, u64)>;

/// The certificate that new connections get.
pub struct Tls {
    files: TlsFiles,
    config: RwLock<Arc<ServerConfig>>,
    seen: Mutex<[Seen; 2]>,
}

impl Tls {
    /// Reads a certificate and its key.
    ///
    /// # Errors
    /// A file cannot be read, holds no certificate or key, or the two do not belong together.
    pub fn open(files: TlsFiles) -> Result<Self> {
        let seen = Mutex::new(seen(&files));
        let config = RwLock::new(config(&files)?);
        Ok(Self { files, config, seen })
    }

    /// Reads the files again if they have changed. What cannot be used changes nothing: the earlier certificate stays.
    pub fn reload(&self) {
        let mut before = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = seen(&self.files);
        if *before == now {
            return;
        }
        *before = now;
        match config(&self.files) {
            Ok(config) => {
                log::info!("new connections get the changed certificate");
                *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
            }
            Err(error) => log::warn!("the earlier certificate stays: {error}"),
        }
    }

    /// Makes a TLS connection of a TCP connection. Returns nothing where the client speaks something else, or takes longer
    /// than `time`.
    pub async fn handshake(&self, stream: TcpStream, time: Duration) -> Option<TlsStream<TcpStream>> {
        let acceptor = TlsAcceptor::from(self.config.read().unwrap_or_else(PoisonError::into_inner).clone());
        timeout(time, acceptor.accept(stream)).await.ok()?.ok()
    }
}

fn seen(files: &TlsFiles) -> [Seen; 2] {
    [&files.certificate, &files.key].map(|path| {
        let metadata = path.metadata().ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}

fn config(files: &TlsFiles) -> Result<Arc<ServerConfig>> {
    let TlsFiles { certificate: path, key } = files;
    let certificates =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>);
    let certificates = certificates.map_err(|error| unreadable(path, error, "certificate"))?;
    if certificates.is_empty() {
        return Err(unreadable(path, pem::Error::NoItemsFound, "certificate"));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, error, "private key"))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| unusable(files, &error))?;
    let mut config = builder
        .with_no_client_auth()
        .with_single_cert(certificates, secret)
        .map_err(|error| unusable(files, &error))?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(config))
}

fn unreadable(path: &Path, error: pem::Error, what: &str) -> Error {
    match error {
        pem::Error::Io(error) => Error::file(path, error),
        pem::Error::NoItemsFound => {
            let remedy = format!("give a PEM file with a {what}; an encrypted key must be decrypted first");
            Error::new(ErrorKind::Usage, format!("the file holds no {what}"), remedy).at(path.display())
        }
        error => {
            let cause = format!("the file is no PEM: {error}");
            Error::new(ErrorKind::Usage, cause, format!("give a PEM file with a {what}")).at(path.display())
        }
    }
}

fn unusable(files: &TlsFiles, error: &tokio_rustls::rustls::Error) -> Error {
    let cause = format!("the certificate and the key cannot be used together: {error}");
    Error::new(ErrorKind::Usage, cause, "give a certificate and its own key").at(files.certificate.display())
}
