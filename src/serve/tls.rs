//! TLS 1.3 with required client certificates, and the connections that come through it. A handshake that fails is counted
//! and nothing else: strangers leave no trace in the log.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
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
use crate::domain::network::device_network;
use crate::files;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How many handshakes may be under way at once from one address, so that one that never finishes them locks nobody out.
const HANDSHAKES_PER_ADDRESS: usize = 64;
/// How many in all.
const HANDSHAKES: usize = 1_024;
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
    let handshakes = Handshakes::default();
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                () = stopped(&mut stopping) => return,
                accepted = listener.accept() => accepted,
            };
            let (tcp, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, or a peer that gave up: waiting a little lets others close.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            };
            let Some(under_way) = handshakes.begin(address.ip()) else {
                Metrics::count(&metrics.refused_connections);
                continue;
            };
            let places = Arc::clone(&places);
            let (acceptor, send, metrics) = (acceptor.clone(), send.clone(), Arc::clone(&metrics));
            tokio::spawn(async move {
                let shaken =
                    tokio::time::timeout(HANDSHAKE, handshake(acceptor, tcp, places)).await;
                drop(under_way);
                match shaken {
                    Ok(Ok(None)) => Metrics::count(&metrics.refused_connections),
                    Ok(Ok(Some(connection))) => {
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

/// A place among the open connections is taken only by who proved a certificate; `None` when there is none.
async fn handshake(
    acceptor: TlsAcceptor,
    tcp: TcpStream,
    places: Arc<Semaphore>,
) -> std::io::Result<Option<Connection>> {
    tcp.set_nodelay(true)?;
    let stream = acceptor.accept(tcp).await?;
    match places.try_acquire_owned() {
        Ok(place) => Connection::new(stream, place).map(Some),
        Err(_) => Ok(None),
    }
}

/// Handshakes under way, by address.
#[derive(Debug, Clone, Default)]
struct Handshakes {
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Handshakes {
    fn begin(&self, address: IpAddr) -> Option<UnderWay> {
        let address = device_network(address);
        let mut by_address = self
            .by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // As many addresses as handshakes: what has none is removed.
        let all: usize = by_address.values().sum();
        let count = by_address.entry(address).or_default();
        if all >= HANDSHAKES || *count >= HANDSHAKES_PER_ADDRESS {
            if *count == 0 {
                by_address.remove(&address);
            }
            return None;
        }
        *count += 1;
        Some(UnderWay {
            handshakes: self.clone(),
            address,
        })
    }
}

/// One handshake; ends when dropped.
struct UnderWay {
    handshakes: Handshakes,
    address: IpAddr,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut by_address = self
            .handshakes
            .by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_address.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_that_never_finishes_its_handshakes_locks_nobody_out() {
        let handshakes = Handshakes::default();
        let (one, other) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let mut held: Vec<_> = (0..HANDSHAKES_PER_ADDRESS)
            .map(|_| handshakes.begin(one).unwrap())
            .collect();
        assert!(handshakes.begin(one).is_none());
        assert!(handshakes.begin(other).is_some());
        held.pop();
        assert!(handshakes.begin(one).is_some());
        drop(held);
        assert!(handshakes.by_address.lock().unwrap().is_empty());
    }
}
