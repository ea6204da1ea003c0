//! TLS towards others: whom this daemon trusts when it calls out. Only the authority that the operator named: no roots of the
//! system's, so that no stranger's certificate opens the way for the log.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::files;

/// More than any certificate's key.
const KEY_MAX_BYTES: u64 = 64 * 1024;
/// How long an idle connection may be silent before the system asks whether the other side is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// A certificate or key that can't be used: the operator's to mend.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", path.display())]
pub struct TlsFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

/// The files that a connection is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authority of the other side's certificate (PEM).
    pub ca: PathBuf,
    /// Our own certificate (PEM) and its key (PEM, 0600), where the other side asks for one.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// Connects over TLS 1.2 or 1.3, checking the other side's name. Cheap to clone.
#[derive(Clone)]
pub struct TlsClient(Arc<ClientConfig>);

impl std::fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsClient")
    }
}

impl TlsClient {
    /// Reads the files.
    ///
    /// # Errors
    /// When one can't be read, holds no certificate or no key, or the key is open to others.
    pub fn open(tls_files: &TlsFiles) -> Result<Self, TlsFileError> {
        let mut roots = RootCertStore::empty();
        for authority in certificates(&tls_files.ca)? {
            roots
                .add(authority)
                .map_err(|error| wrong(&tls_files.ca, error))?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(&tls_files.ca, error))?
            .with_root_certificates(roots);
        let config = match &tls_files.own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let pem =
                    files::read_private(key, KEY_MAX_BYTES).map_err(|error| wrong(key, error))?;
                let secret =
                    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| wrong(key, error))?;
                builder
                    .with_client_auth_cert(certificates(certificate)?, secret)
                    .map_err(|error| wrong(certificate, error))?
            }
        };
        Ok(Self(Arc::new(config)))
    }

    /// Shakes hands over a connection. `name` is a DNS name or an address, and the other side's certificate must bear it.
    ///
    /// # Errors
    /// When the name can't be one, or the handshake fails.
    pub async fn connect(
        &self,
        tcp: TcpStream,
        name: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(name.to_owned())
            .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error))?;
        TlsConnector::from(Arc::clone(&self.0))
            .connect(name, tcp)
            .await
    }
}

/// A TCP connection that sends at once and notices a peer that is gone.
///
/// # Errors
/// When the name isn't known or nobody takes the connection.
pub async fn connect_tcp(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let tcp = TcpStream::connect((host, port)).await?;
    tcp.set_nodelay(true)?;
    rustix::net::sockopt::set_socket_keepalive(&tcp, true)?;
    rustix::net::sockopt::set_tcp_keepidle(&tcp, KEEP_ALIVE)?;
    Ok(tcp)
}

/// Whether a certificate can bear this name: a DNS name or an address.
#[must_use]
pub fn is_server_name(name: &str) -> bool {
    ServerName::try_from(name).is_ok()
}

fn wrong(path: &Path, what: impl std::fmt::Display) -> TlsFileError {
    TlsFileError {
        path: path.to_owned(),
        what: what.to_string(),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(path, error))?;
    if found.is_empty() {
        return Err(wrong(path, "holds no certificate"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::write_private;

    #[test]
    fn a_file_that_holds_no_certificate_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        write_private(&ca, b"nothing").unwrap();
        let tls_files = TlsFiles { ca, own: None };
        let error = TlsClient::open(&tls_files).unwrap_err().to_string();
        assert!(error.ends_with("ca.pem: holds no certificate"), "{error}");
    }
}
