//! Encrypted connections that this program makes, and whom certificates are believed from: the system, where it
//! says nothing those of browsers, and those of a file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A connection, encrypted or not.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Connection for S {}

/// Why nobody is believed.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read, or holds no certificate.
    #[error("the certificates of {} cannot be read: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The library cannot do what it should.
    #[error("the encryption failed: {0}")]
    Setup(io::Error),
}

/// What makes encrypted connections. Reads certificates, away from the threads that serve: keep what it gives.
pub async fn connector(file: Option<PathBuf>) -> Result<TlsConnector, TrustError> {
    let read = tokio::task::spawn_blocking(move || roots(file));
    let crashed = |_| TrustError::Setup(io::Error::other("the certificates could not be read"));
    let roots = read.await.map_err(crashed)??;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| TrustError::Setup(io::Error::other(error)))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots(file: Option<PathBuf>) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if let Some(path) = file {
        let own = own(&path).map_err(|reason| TrustError::File { path, reason })?;
        roots.add_parsable_certificates(own);
    }
    Ok(roots)
}

fn own(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    if found.is_empty() { Err("there is none".to_owned()) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_without_a_certificate_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "nothing").unwrap();
        for file in [empty, folder.path().join("none.pem")] {
            let Err(error) = connector(Some(file.clone())).await else { panic!("{} was taken", file.display()) };
            assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
        }
        assert!(connector(None).await.is_ok());
    }
}
