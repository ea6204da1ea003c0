//! What the daemon is measured against: the same service over the same TLS and HTTP/2, whose handler does nothing.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use prost::Message as _;
use sekisho::proto::access_service_server::{AccessService, AccessServiceServer};
use sekisho::proto::{
    BatchCheckRequest, BatchCheckResponse, CheckRequest, CheckResponse, ListMyAccessRequest,
    ListMyAccessResponse, ReportOutcomeRequest, ReportOutcomeResponse,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, version};
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use super::daemon::Process;
use super::{Outcome, tell};

/// Makes this program the empty server; the data directory whose certificates it takes follows.
pub(super) const ARGUMENT: &str = "--empty-handler";

/// The process with the empty handler.
pub(super) struct Empty {
    pub(super) process: Process,
    pub(super) address: String,
}

impl Empty {
    /// Starts it with the certificates of the data directory `data`; it gives `answer` to every check.
    pub(super) async fn start(data: &Path, answer: &CheckResponse) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(ARGUMENT)
            .arg(data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no output")?;
        let mut process = Process(child);
        let stdin = process.0.stdin.as_mut().ok_or("no input")?;
        writeln!(stdin, "{}", HEXLOWER.encode(&answer.encode_to_vec()))?;
        stdin.flush()?;
        let listens = tokio::task::spawn_blocking(move || {
            let mut address = String::new();
            BufReader::new(stdout)
                .read_line(&mut address)
                .map(|_| address)
        });
        let address = listens.await??.trim().to_owned();
        if !address.starts_with("127.0.0.1:") {
            return Err(format!("the empty handler did not start: {address}").into());
        }
        Ok(Self { process, address })
    }
}

/// Serves until its input ends, which it does with the process that started it.
pub(super) fn serve(data: Option<&String>) -> Outcome<()> {
    let data = Path::new(data.ok_or("no data directory was named")?);
    let mut input = BufReader::new(std::io::stdin());
    let mut line = String::new();
    input.read_line(&mut line)?;
    let answer = HEXLOWER.decode(line.trim().as_bytes())?;
    let answer = CheckResponse::decode(answer.as_slice())?;
    let tls = tls(&data.join("tls"))?;
    // As the daemon's own.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.spawn(async move {
        if let Err(error) = listen(tls, answer).await {
            tell(&error.to_string());
        }
    });
    let mut rest = Vec::new();
    input.read_to_end(&mut rest)?;
    Ok(())
}

async fn listen(tls: Arc<ServerConfig>, answer: CheckResponse) -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    tell(&listener.local_addr()?.to_string());
    let (send, receive) = mpsc::channel(64);
    let acceptor = TlsAcceptor::from(tls);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, send) = (acceptor.clone(), send.clone());
            tokio::spawn(async move {
                let stream = handshake(acceptor, tcp).await;
                let _ = send.send(stream).await;
            });
        }
    });
    // The same as the daemon's, but for what is no part of HTTP/2: its bounds on size and time are its own cost.
    Server::builder()
        .max_concurrent_streams(1_024)
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .http2_max_header_list_size(16 * 1024)
        .add_service(AccessServiceServer::new(Handler { answer }))
        .serve_with_incoming(ReceiverStream::new(receive))
        .await?;
    Ok(())
}

async fn handshake(acceptor: TlsAcceptor, tcp: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
    tcp.set_nodelay(true)?;
    acceptor.accept(tcp).await
}

fn tls(folder: &Path) -> Outcome<Arc<ServerConfig>> {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("ca.pem"))?)?;
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()?;
    let certificate = CertificateDer::from_pem_file(folder.join("server.pem"))?;
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key"))?;
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate], key)?;
    tls.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(tls))
}

/// Reads the request, as every handler must, and gives the same answer each time.
struct Handler {
    answer: CheckResponse,
}

fn nothing_there<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("only Check is measured"))
}

#[tonic::async_trait]
impl AccessService for Handler {
    async fn check(&self, _: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        Ok(Response::new(self.answer.clone()))
    }

    async fn batch_check(
        &self,
        _: Request<BatchCheckRequest>,
    ) -> Result<Response<BatchCheckResponse>, Status> {
        nothing_there()
    }

    async fn list_my_access(
        &self,
        _: Request<ListMyAccessRequest>,
    ) -> Result<Response<ListMyAccessResponse>, Status> {
        nothing_there()
    }

    async fn report_outcome(
        &self,
        _: Request<ReportOutcomeRequest>,
    ) -> Result<Response<ReportOutcomeResponse>, Status> {
        nothing_there()
    }
}
