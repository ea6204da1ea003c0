//! TLS 1.3 with required client certificates, and the connections that come through it. A handshake that fails is counted
//! and nothing else: strangers leave no trace in the log.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, version};
use tokio_stream::wrappers::ReceiverStream;

use super::{Metrics, ServeError, stopped};
use crate::api::Connection;
use crate::config::Config;
use crate::files;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
const KEY_MAX_BYTES: u64 = 64 * 1024;

/// The certificates of a PEM file.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ServeError> {
    let wrong = |what: String| ServeError::Tls {
        path: path.to_owned(),
        what,
    };
    CertificateDer::pem_file_iter(path)
        .map_err(|error| wrong(error.to_string()))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(error.to_string()))
}

pub(super) fn configuration(config: &Config) -> Result<Arc<ServerConfig>, ServeError> {
    let wrong = |path: &Path, what: String| ServeError::Tls {
        path: path.to_owned(),
        what,
    };
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    for authority in certificates(&config.client_authority)? {
        roots
            .add(authority)
            .map_err(|error| wrong(&config.client_authority, error.to_string()))?;
    }
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| wrong(&config.client_authority, error.to_string()))?;
    let chain = certificates(&config.certificate)?;
    let pem = files::read_private(&config.key, KEY_MAX_BYTES)
        .map_err(|error| wrong(&config.key, error.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|error| wrong(&config.key, error.to_string()))?;
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(|error| ServeError::Internal(error.to_string()))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| wrong(&config.certificate, error.to_string()))?;
    tls.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(tls))
}

/// The connections whose handshake succeeded, at most `max` open at once; past it newcomers are dropped.
pub(super) fn incoming(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    max: usize,
    metrics: Arc<Metrics>,
    mut stopping: watch::Receiver<bool>,
) -> ReceiverStream<std::io::Result<Connection>> {
    let (send, receive) = mpsc::channel(64);
    let acceptor = TlsAcceptor::from(tls);
    let places = Arc::new(Semaphore::new(max));
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                () = stopped(&mut stopping) => return,
                accepted = listener.accept() => accepted,
            };
            let tcp = match accepted {
                Ok((tcp, _)) => tcp,
                Err(error) => {
                    // Out of descriptors, or a peer that gave up: waiting a little lets others close.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                Metrics::count(&metrics.refused_connections);
                continue;
            };
            let (acceptor, send, metrics) = (acceptor.clone(), send.clone(), Arc::clone(&metrics));
            tokio::spawn(async move {
                match tokio::time::timeout(HANDSHAKE, handshake(acceptor, tcp, place)).await {
                    Ok(Ok(connection)) => {
                        Metrics::count(&metrics.connections);
                        // An error is a server that stopped.
                        let _ = send.send(Ok(connection)).await;
                    }
                    Ok(Err(error)) => {
                        Metrics::count(&metrics.failed_handshakes);
                        tracing::debug!(%error, "a TLS handshake failed");
                    }
                    Err(_) => Metrics::count(&metrics.failed_handshakes),
                }
            });
        }
    });
    ReceiverStream::new(receive)
}

async fn handshake(
    acceptor: TlsAcceptor,
    tcp: TcpStream,
    place: OwnedSemaphorePermit,
) -> std::io::Result<Connection> {
    tcp.set_nodelay(true)?;
    Connection::new(acceptor.accept(tcp).await?, place)
}
