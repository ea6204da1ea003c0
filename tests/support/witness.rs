//! A witness of its own: C2SP `tlog-witness` over loopback, which believes nothing that it has not verified. And some that do
//! not keep to it.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use data_encoding::{BASE64, HEXLOWER};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use sekisho::log::{Checkpoint, SignedNote, VerifierKey, verify_consistency};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::port::Port;

/// What it knows, and whom it believes.
#[derive(Debug)]
struct Book {
    name: String,
    pair: Ed25519KeyPair,
    logs: Mutex<HashMap<String, (VerifierKey, Option<Checkpoint>)>>,
    requests: Mutex<Vec<u16>>,
}

/// One that keeps to the protocol.
pub struct Witness {
    runtime: Option<Runtime>,
    book: Arc<Book>,
    place: Port,
    tls: Option<(Arc<ServerConfig>, PathBuf)>,
}

impl Witness {
    /// Listens on a free port of loopback, over plain HTTP.
    pub fn open(name: &str) -> Self {
        Self::with_tls(name, None)
    }

    /// The same over TLS, with an authority of its own in `folder`.
    pub fn open_secure(name: &str, folder: &Path) -> Self {
        let certificate = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let ca = folder.join(format!("{}-ca.pem", name.replace('/', "-")));
        std::fs::write(&ca, certificate.cert.pem()).unwrap();
        let key = PrivatePkcs8KeyDer::from(certificate.signing_key.serialize_der());
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.cert.der().clone()],
                PrivateKeyDer::Pkcs8(key),
            )
            .unwrap();
        Self::with_tls(name, Some((Arc::new(config), ca)))
    }

    fn with_tls(name: &str, tls: Option<(Arc<ServerConfig>, PathBuf)>) -> Self {
        let seed: [u8; 32] = Sha256::digest(name).into();
        let mut witness = Self {
            runtime: None,
            book: Arc::new(Book {
                name: name.to_owned(),
                pair: Ed25519KeyPair::from_seed_unchecked(&seed).unwrap(),
                logs: Mutex::default(),
                requests: Mutex::default(),
            }),
            place: Port::free(),
            tls,
        };
        witness.listen();
        witness
    }

    /// Listens, where it did before.
    pub fn listen(&mut self) {
        let listener = self.place.listen();
        listener.set_nonblocking(true).unwrap();
        let pages = Router::new()
            .route("/add-checkpoint", post(add_checkpoint))
            .with_state(Arc::clone(&self.book));
        let tls = self.tls.as_ref().map(|(config, _)| Arc::clone(config));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            match tls {
                None => axum::serve(listener, pages).await.unwrap(),
                Some(config) => {
                    let acceptor = TlsAcceptor::from(config);
                    axum::serve(SecureListener { listener, acceptor }, pages)
                        .await
                        .unwrap();
                }
            }
        });
        self.runtime = Some(runtime);
    }

    /// Listens no more, and hangs up on everybody.
    pub fn go_down(&mut self) {
        let runtime = self.runtime.take().unwrap();
        // A test may run in a runtime of its own, which must not be blocked on.
        std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(5)))
            .join()
            .unwrap();
        self.place.hold();
    }

    /// From now on it cosigns for the log with this verifier key.
    pub fn trust(&self, log: &VerifierKey) {
        let mut logs = self.book.logs.lock().unwrap();
        logs.insert(log.name().to_owned(), (log.clone(), None));
    }

    /// What it saw last.
    pub fn saw(&self, origin: &str) -> Option<Checkpoint> {
        let logs = self.book.logs.lock().unwrap();
        logs.get(origin).and_then(|(_, seen)| seen.clone())
    }

    /// Makes it forget, as one does that was set up anew.
    pub fn forget(&self, origin: &str) {
        self.book.logs.lock().unwrap().get_mut(origin).unwrap().1 = None;
    }

    /// The status of each answer so far.
    pub fn answers(&self) -> Vec<u16> {
        self.book.requests.lock().unwrap().clone()
    }

    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.place.address())
    }

    /// The authority of its certificate.
    pub fn ca(&self) -> Option<&Path> {
        self.tls.as_ref().map(|(_, ca)| ca.as_path())
    }

    /// Its verifier key, a line.
    pub fn key(&self) -> String {
        let (id, public) = self.book.key();
        format!(
            "{}+{}+{}",
            self.book.name,
            HEXLOWER.encode(&id),
            BASE64.encode(&[&[4], public.as_slice()].concat())
        )
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct SecureListener {
    listener: tokio::net::TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for SecureListener {
    type Io = tokio_rustls::server::TlsStream<tokio::net::TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (tcp, address) = self.listener.accept().await.unwrap();
            if let Ok(stream) = self.acceptor.accept(tcp).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

impl Book {
    fn key(&self) -> ([u8; 4], Vec<u8>) {
        let public = self.pair.public_key().as_ref().to_vec();
        let mut hasher = Sha256::new();
        hasher.update(self.name.as_bytes());
        hasher.update(b"\n\x04");
        hasher.update(&public);
        (hasher.finalize()[..4].try_into().unwrap(), public)
    }

    /// C2SP `tlog-cosignature`, version 1.
    fn cosign(&self, text: &str) -> String {
        let time = super::machine_now();
        let message = format!("cosignature/v1\ntime {time}\n{text}");
        let mut bytes = self.key().0.to_vec();
        bytes.extend(time.to_be_bytes());
        bytes.extend(self.pair.sign(message.as_bytes()).as_ref());
        format!("— {} {}\n", self.name, BASE64.encode(&bytes))
    }

    fn answer(&self, body: &str) -> Result<String, Box<Response>> {
        let refuse = |status: StatusCode| Box::new(status.into_response());
        let bad = || refuse(StatusCode::BAD_REQUEST);
        let (head, note) = body.split_once("\n\n").ok_or_else(bad)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old "));
        let old: u64 = old.and_then(|old| old.parse().ok()).ok_or_else(bad)?;
        let path: Option<Vec<[u8; 32]>> = lines
            .map(|line| BASE64.decode(line.as_bytes()).ok()?.try_into().ok())
            .collect();
        let path = path.filter(|path| path.len() <= 63).ok_or_else(bad)?;
        let note = SignedNote::parse(note).map_err(|_| bad())?;
        let origin = note.text().split('\n').next().unwrap();
        let mut logs = self.logs.lock().unwrap();
        let Some((key, seen)) = logs.get_mut(origin) else {
            return Err(refuse(StatusCode::NOT_FOUND));
        };
        let checkpoint = note
            .checkpoint(key)
            .map_err(|_| refuse(StatusCode::FORBIDDEN))?;
        if old > checkpoint.size {
            return Err(bad());
        }
        let size = seen.as_ref().map_or(0, |seen| seen.size);
        let known = || {
            let kind = [(header::CONTENT_TYPE, "text/x.tlog.size")];
            Box::new((StatusCode::CONFLICT, kind, format!("{size}\n")).into_response())
        };
        if old != size {
            return Err(known());
        }
        if let Some(seen) = seen {
            if old == checkpoint.size && seen.root != checkpoint.root {
                return Err(known());
            }
            let before = (seen.size, &seen.root);
            verify_consistency(before, (checkpoint.size, &checkpoint.root), &path)
                .map_err(|_| refuse(StatusCode::UNPROCESSABLE_ENTITY))?;
        } else if !path.is_empty() {
            return Err(refuse(StatusCode::UNPROCESSABLE_ENTITY));
        }
        *seen = Some(checkpoint);
        Ok(self.cosign(note.text()))
    }
}

async fn add_checkpoint(State(book): State<Arc<Book>>, body: String) -> Response {
    let response = match book.answer(&body) {
        Ok(lines) => lines.into_response(),
        Err(response) => *response,
    };
    let mut requests = book.requests.lock().unwrap();
    requests.push(response.status().as_u16());
    response
}

/// How a witness can misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// A cosignature that another key made.
    WrongKey,
    /// 200 with bytes that mean nothing.
    Garbage,
    /// 200 with a body that never ends.
    Endless,
    /// Headers that never end.
    EndlessHeaders,
    /// A byte now and then.
    Slow,
    /// Nothing at all.
    Silent,
    /// 409 with a size that is no number.
    NoSize,
    /// 409 with another small size each time.
    Restless,
    /// 409 with a size beyond any log.
    HugeSize,
    /// 500 with a screenful.
    Broken,
    /// Sent elsewhere.
    Redirect,
}

/// Serves each connection in that manner, for as long as the test runs.
pub fn misbehave(manner: Manner) -> String {
    misbehave_at(&mut Port::free(), manner)
}

/// The same at a port that was held.
pub fn misbehave_at(place: &mut Port, manner: Manner) -> String {
    let listener = place.listen();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (turn, stream) in listener.incoming().enumerate() {
            let Ok(stream) = stream else { return };
            std::thread::spawn(move || drop(answer_badly(stream, manner, turn)));
        }
    });
    url
}

fn answer_badly(mut stream: TcpStream, manner: Manner, turn: usize) -> std::io::Result<()> {
    let mut request = vec![0; 16_384];
    let count = stream.read(&mut request)?;
    let request = String::from_utf8_lossy(&request[..count]).into_owned();
    let whole = |status: &str, kind: &str, body: &str| {
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    };
    let size = |size: &str| whole("409 Conflict", "text/x.tlog.size", size);
    let answer = match manner {
        Manner::WrongKey => {
            let text = request.split("\n\n").nth(1).unwrap_or_default();
            let stranger = Witness::open("witness.example/hostile");
            let stranger = stranger.book.cosign(text);
            // In the name, and with the id, of the one that is configured; its key did not make it.
            let ours = Witness::open(HOSTILE_NAME);
            let mut bytes = ours.book.key().0.to_vec();
            let line = stranger.trim_end().rsplit(' ').next().unwrap_or_default();
            bytes.extend(BASE64.decode(line.as_bytes()).unwrap().iter().skip(4));
            let line = format!("— {HOSTILE_NAME} {}\n", BASE64.encode(&bytes));
            whole("200 OK", "text/plain", &line)
        }
        Manner::Garbage => whole("200 OK", "text/plain", "\u{0}\u{1b}[2Jnothing of the kind"),
        Manner::NoSize => size("many\n"),
        Manner::Restless => size(&format!("{}\n", turn % 2)),
        Manner::HugeSize => size("18446744073709551615\n"),
        Manner::Broken => whole("500 Oh", "text/html", &"<b>\u{1b}[31m".repeat(5_000)),
        Manner::Redirect => {
            "HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".into()
        }
        Manner::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
            loop {
                stream.write_all(b"400\r\n")?;
                stream.write_all(&[b'x'; 0x400])?;
                stream.write_all(b"\r\n")?;
            }
        }
        Manner::EndlessHeaders => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
            loop {
                stream.write_all(b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n")?;
            }
        }
        Manner::Slow => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")?;
            loop {
                stream.write_all(b"x")?;
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        Manner::Silent => {
            std::thread::sleep(Duration::from_secs(3_600));
            return Ok(());
        }
    };
    stream.write_all(answer.as_bytes())
}

/// Whom those that misbehave say to be.
pub const HOSTILE_NAME: &str = "witness.example/configured";
