//! TLS on the public port: a certificate from two files, taken up again whenever they change.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tracing::{info, warn};

/// What a client may choose from, the best first.
pub(crate) const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";
/// How often the files are looked at. Mounted secrets change under their names, so they are read whole.
const CHECK_INTERVAL: Duration = Duration::from_millis(2_000);
/// A chain and a key are a few kilobytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Where a certificate lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first, as PEM.
    pub certificate: PathBuf,
    /// Its private key, as PEM.
    pub key: PathBuf,
}

/// What is read of them.
#[derive(Default, PartialEq, Eq)]
struct Read {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// A certificate that is renewed without a restart.
pub(crate) struct Certificate {
    files: TlsFiles,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// # Errors
    /// When a file cannot be read, is no PEM, or the key is not the certificate's.
    pub(crate) fn read(files: &TlsFiles) -> anyhow::Result<Arc<Self>> {
        let current = RwLock::new(Arc::new(Read::from(files)?.certified()?));
        Ok(Arc::new(Self { files: files.clone(), current }))
    }

    /// What makes TLS of accepted streams.
    ///
    /// # Errors
    /// When the cryptography that this was built with has no TLS version in common with rustls.
    pub(crate) fn acceptor(self: &Arc<Self>) -> anyhow::Result<TlsAcceptor> {
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth();
        let mut config = config.with_cert_resolver(self.clone());
        config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Takes up what the files hold whenever that changes. What cannot be used is told once, and changes nothing.
    pub(crate) async fn follow(self: Arc<Self>) {
        let (mut known, mut fault) = (Read::default(), String::new());
        loop {
            let files = self.files.clone();
            let read = tokio::task::spawn_blocking(move || Read::from(&files)).await;
            match read.map_err(anyhow::Error::from).and_then(|read| read) {
                Ok(read) if read == known => fault.clear(),
                Ok(read) => {
                    fault.clear();
                    let is_first = known == Read::default();
                    match read.certified() {
                        Ok(key) => {
                            *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
                            if !is_first {
                                info!(file = %self.files.certificate.display(), "the certificate was renewed");
                            }
                        }
                        Err(error) => warn!("the changed certificate is not used: {error:#}"),
                    }
                    known = read;
                }
                Err(error) => {
                    let told = format!("{error:#}");
                    if told != fault {
                        warn!("the certificate cannot be read again: {told}");
                        fault = told;
                    }
                }
            }
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Read {
    fn from(files: &TlsFiles) -> anyhow::Result<Self> {
        Ok(Self { certificate: read_file(&files.certificate)?, key: read_file(&files.key)? })
    }

    fn certified(&self) -> anyhow::Result<CertifiedKey> {
        let chain = CertificateDer::pem_slice_iter(&self.certificate).collect::<Result<Vec<_>, _>>();
        let chain = chain.context("the certificate is no PEM")?;
        ensure!(!chain.is_empty(), "the certificate's file holds no certificate");
        let key = PrivateKeyDer::from_pem_slice(&self.key).context("the key's file holds no private key as PEM")?;
        CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
            .context("the key cannot be used with the certificate")
    }
}

fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let name = || path.display().to_string();
    let file = std::fs::File::open(path).with_context(name)?;
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).with_context(name)?;
    Ok(bytes)
}
