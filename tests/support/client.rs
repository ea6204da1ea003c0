//! A client in this process over a real TLS socket, for load and for calls that grpcurl can't make.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity as TlsIdentity};

use super::certificates::Identity;

/// One connection of its own.
pub async fn connect(
    data: &Path,
    identity: &Identity,
    address: &str,
) -> Result<Channel, tonic::transport::Error> {
    let read =
        |path: &Path| fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read(&data.join("dev/ca.pem"))))
        .identity(TlsIdentity::from_pem(
            read(&identity.certificate),
            read(&identity.key),
        ))
        .domain_name("localhost");
    Endpoint::from_shared(format!("https://{address}"))?
        .tls_config(tls)?
        .connect_timeout(Duration::from_secs(60))
        .timeout(Duration::from_secs(60))
        .connect()
        .await
}
