//! Who a stream goes to: a syslog receiver over TCP or TLS, an HTTP or HTTPS endpoint, on loopback, with real sockets. Each can
//! be stopped and started again at its port.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rcgen::{CertificateParams, Issuer, KeyPair};
use serde_json::Value;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::support::port::Port;

/// What a receiver was sent.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// Indexes in the order they came.
    pub(crate) order: Vec<u64>,
    /// The last text of each.
    pub(crate) texts: BTreeMap<u64, String>,
    /// Heads of messages or requests.
    pub(crate) heads: Vec<String>,
}

/// What it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    Syslog,
    Http,
}

pub(crate) struct Receiver {
    pub(crate) port: u16,
    pub(crate) received: Arc<Mutex<Received>>,
    /// The status that an HTTP endpoint answers.
    pub(crate) status: Arc<AtomicU16>,
    speaks: Speaks,
    tls: Option<Arc<ServerConfig>>,
    place: Port,
    running: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Receiver {
    /// One that is down.
    pub(crate) fn new(speaks: Speaks, tls: Option<Arc<ServerConfig>>) -> Self {
        let place = Port::free();
        Self {
            port: place.address().port(),
            place,
            received: Arc::default(),
            status: Arc::new(AtomicU16::new(200)),
            speaks,
            tls,
            running: None,
        }
    }

    pub(crate) fn start(&mut self) {
        let listener = self.place.listen();
        listener.set_nonblocking(true).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let session = Session {
            stop: Arc::clone(&stop),
            received: Arc::clone(&self.received),
            status: Arc::clone(&self.status),
            speaks: self.speaks,
        };
        let tls = self.tls.clone();
        let thread = thread::spawn(move || {
            let mut connections = Vec::new();
            while !session.stop.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let (session, tls) = (session.clone(), tls.clone());
                        connections.push(thread::spawn(move || session.shake_hands(stream, tls)));
                    }
                    Err(_) => thread::sleep(Duration::from_millis(5)),
                }
            }
            for connection in connections {
                connection.join().unwrap();
            }
        });
        self.running = Some((stop, thread));
    }

    /// Closes everything, whatever has not been read.
    pub(crate) fn stop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            stop.store(true, Ordering::SeqCst);
            thread.join().unwrap();
            self.place.hold();
        }
    }

    pub(crate) fn indexes(&self) -> Vec<u64> {
        self.received.lock().unwrap().order.clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some((stop, _)) = &self.running {
            stop.store(true, Ordering::SeqCst);
        }
    }
}

#[derive(Clone)]
struct Session {
    stop: Arc<AtomicBool>,
    received: Arc<Mutex<Received>>,
    status: Arc<AtomicU16>,
    speaks: Speaks,
}

impl Session {
    fn shake_hands(&self, stream: TcpStream, tls: Option<Arc<ServerConfig>>) {
        stream.set_nonblocking(false).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        match tls {
            Some(tls) => {
                let connection = ServerConnection::new(tls).unwrap();
                self.listen(StreamOwned::new(connection, stream));
            }
            None => self.listen(stream),
        }
    }

    fn listen(&self, mut stream: impl Read + Write) {
        let mut kept = Vec::new();
        let mut piece = [0_u8; 16 * 1024];
        while !self.stop.load(Ordering::SeqCst) {
            match stream.read(&mut piece) {
                Ok(0) => return,
                Ok(count) => kept.extend_from_slice(&piece[..count]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return,
            }
            match self.speaks {
                Speaks::Syslog => while self.take_message(&mut kept) {},
                Speaks::Http => {
                    while let Some(answer) = self.take_request(&mut kept) {
                        if stream.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                }
            }
        }
    }

    /// Octet counting: a length, a space, as many bytes.
    fn take_message(&self, kept: &mut Vec<u8>) -> bool {
        let Some(space) = kept.iter().position(|byte| *byte == b' ') else {
            return false;
        };
        let length: usize = std::str::from_utf8(&kept[..space])
            .unwrap()
            .parse()
            .unwrap();
        if kept.len() < space + 1 + length {
            return false;
        }
        let message = String::from_utf8(kept[space + 1..space + 1 + length].to_vec()).unwrap();
        kept.drain(..space + 1 + length);
        let (head, text) = message.split_once("\"] ").unwrap();
        let index = head.rsplit_once("index=\"").unwrap().1;
        let mut received = self.received.lock().unwrap();
        received.note(index.parse().unwrap(), text);
        received.heads.push(head.to_owned());
        true
    }

    fn take_request(&self, kept: &mut Vec<u8>) -> Option<String> {
        let end = kept.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8(kept[..end].to_vec()).unwrap();
        let length: usize = header(&head, "content-length").unwrap().parse().unwrap();
        if kept.len() < end + 4 + length {
            return None;
        }
        let body = String::from_utf8(kept[end + 4..end + 4 + length].to_vec()).unwrap();
        kept.drain(..end + 4 + length);
        let status = self.status.load(Ordering::SeqCst);
        let mut received = self.received.lock().unwrap();
        received.heads.push(head.clone());
        if status == 200 {
            let first: u64 = header(&head, "sekisho-first-index")
                .unwrap()
                .parse()
                .unwrap();
            let last: u64 = header(&head, "sekisho-last-index")
                .unwrap()
                .parse()
                .unwrap();
            let lines: Vec<&str> = body.lines().collect();
            assert_eq!(lines.len() as u64, last - first + 1);
            for (index, line) in (first..=last).zip(lines) {
                received.note(index, line);
            }
        }
        let words = "told";
        Some(format!(
            "HTTP/1.1 {status} Told\r\ncontent-length: {}\r\n\r\n{words}",
            words.len()
        ))
    }
}

impl Received {
    fn note(&mut self, index: u64, text: &str) {
        self.order.push(index);
        self.texts.insert(index, text.to_owned());
    }
}

/// A header of a request.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// TLS for receivers at 127.0.0.1, by the authority that `sekisho dev` made.
pub(crate) fn tls(data: &Path) -> Arc<ServerConfig> {
    tls_of(data, "127.0.0.1")
}

/// The same under another name.
pub(crate) fn tls_of(data: &Path, name: &str) -> Arc<ServerConfig> {
    let read = |name: &str| fs::read_to_string(data.join("dev").join(name)).unwrap();
    let issuer =
        Issuer::from_ca_cert_pem(&read("ca.pem"), KeyPair::from_pem(&read("ca.key")).unwrap())
            .unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap(),
        )
        .unwrap();
    Arc::new(config)
}

/// The index that a line of a file tells, whichever format it is.
pub(crate) fn index_of(line: &str) -> u64 {
    let told: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let index = told
        .get("logIndex")
        .unwrap_or(&told["unmapped"]["logIndex"]);
    index.as_str().unwrap().parse().unwrap()
}
