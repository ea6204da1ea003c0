//! A connection to the daemon, as any client makes it: mutual TLS, and a bound on every wait.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};
use zeroize::Zeroizing;

use super::error::{CliError, Fault, chain};
use super::ticket_file::{Kept, TicketFile};
use super::words::{Language, Word};
use crate::domain::time::{Clock as _, SystemClock};
use crate::files::{FileError, read_private};

/// For TCP and TLS together.
const CONNECT_SECONDS: u64 = 5;
/// For an answer, and between two messages of a search.
const CALL_SECONDS: u64 = 30;
/// How often a connection that waits is tried; a tail may wait for days.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(10);
/// More than any certificate chain or key.
const FILE_MAX_BYTES: u64 = 1_024 * 1_024;
/// Taken where it exists and nothing else is said: what `dev` makes.
const DATA: &str = "sekisho-data";

/// Where the daemon is, and how this client proves itself.
#[derive(Debug, clap::Args)]
pub(super) struct Connection {
    /// Address and port of the daemon [default: what `dev` noted in the data directory, else where you logged in]
    #[arg(long, value_name = "ADDRESS:PORT")]
    server: Option<String>,
    /// Data directory to take certificates from [default: SEKISHO_DATA, else ./sekisho-data when it exists]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Authority of the daemon's certificate, PEM [default: DATA/tls/ca.pem]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// This client's certificate, PEM [default: DATA/tls/sekisho-cli.pem]
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Its private key, PEM, mode 0600 [default: DATA/tls/sekisho-cli.key]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The name that the daemon's certificate must have
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    server_name: String,
    /// Language of the output [default: by LC_ALL, LC_MESSAGES, LANG]
    #[arg(long, value_name = "LANGUAGE")]
    lang: Option<Language>,
}

/// What `dev` notes of itself; more may be in it.
#[derive(Deserialize)]
struct Endpoints {
    grpc: String,
}

/// A daemon and the proof for it, read whole.
pub(super) struct Target {
    /// `address:port`.
    pub(super) server: String,
    server_name: String,
    ca: Vec<u8>,
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    language: Language,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("server", &self.server)
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// The language to speak.
    pub(super) fn language(&self) -> Language {
        Language::choose(self.lang, |name| std::env::var_os(name))
    }

    /// Finds the daemon and reads the certificates. `logged_in_at` is the server of a login, for where nothing else tells.
    ///
    /// # Errors
    /// When something is neither given nor there, naming it.
    pub(super) fn target(
        &self,
        logged_in_at: Option<&str>,
        language: Language,
    ) -> Result<Target, CliError> {
        self.target_by(
            logged_in_at,
            |name| std::env::var_os(name),
            Path::new(DATA),
            language,
        )
    }

    fn target_by(
        &self,
        logged_in_at: Option<&str>,
        environment: impl Fn(&str) -> Option<OsString>,
        usual: &Path,
        language: Language,
    ) -> Result<Target, CliError> {
        let data = self
            .data
            .clone()
            .or_else(|| {
                environment("SEKISHO_DATA")
                    .filter(|value| !value.is_empty())
                    .map(PathBuf::from)
            })
            .or_else(|| usual.is_dir().then(|| usual.to_owned()));
        let place = |given: &Option<PathBuf>, flag: &str, name: &str| match (given, &data) {
            (Some(path), _) => Ok(path.clone()),
            (None, Some(data)) => Ok(data.join("tls").join(name)),
            (None, None) => Err(CliError::new(Fault::Usage, Word::NoData, language, &[flag])),
        };
        let ca = place(&self.ca, "--ca", "ca.pem")?;
        let certificate = place(&self.certificate, "--certificate", "sekisho-cli.pem")?;
        let key = place(&self.key, "--key", "sekisho-cli.key")?;
        let server = self.server(data.as_deref(), logged_in_at, language)?;
        Ok(Target {
            server,
            server_name: self.server_name.clone(),
            ca: read_public(&ca, language)?,
            certificate: read_public(&certificate, language)?,
            key: read_private(&key, FILE_MAX_BYTES).map_err(|error| match error {
                FileError::System { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                    unreadable(&key, &source, language)
                }
                error => CliError::of_file(&error),
            })?,
            language,
        })
    }

    fn server(
        &self,
        data: Option<&Path>,
        logged_in_at: Option<&str>,
        language: Language,
    ) -> Result<String, CliError> {
        if let Some(given) = &self.server {
            return address(given, language);
        }
        let noted = data.map(|data| data.join("dev").join("endpoints.json"));
        if let Some(path) = noted.as_deref().filter(|path| path.exists()) {
            let content = read_public(path, language)?;
            let endpoints: Endpoints = serde_json::from_slice(&content).map_err(|error| {
                let values = [&*path.to_string_lossy(), &error.to_string()];
                CliError::new(Fault::Usage, Word::BadEndpoints, language, &values)
            })?;
            return address(&endpoints.grpc, language);
        }
        if let Some(server) = logged_in_at {
            return address(server, language);
        }
        match noted {
            Some(path) => {
                let path = path.to_string_lossy();
                Err(CliError::new(
                    Fault::Usage,
                    Word::NoServer,
                    language,
                    &[&path],
                ))
            }
            None => Err(CliError::new(
                Fault::Usage,
                Word::NoData,
                language,
                &["--server"],
            )),
        }
    }
}

/// `host:port`, and nothing that would make another URI of it.
fn address(text: &str, language: Language) -> Result<String, CliError> {
    let plain = text
        .parse::<http::uri::Authority>()
        .is_ok_and(|authority| authority.port_u16().is_some() && !text.contains('@'));
    if plain {
        Ok(text.to_owned())
    } else {
        Err(CliError::new(
            Fault::Usage,
            Word::BadServer,
            language,
            &[text],
        ))
    }
}

/// A bounded file that anyone may read.
pub(super) fn read_public(path: &Path, language: Language) -> Result<Vec<u8>, CliError> {
    let mut content = Vec::new();
    File::open(path)
        .and_then(|file| {
            file.take(FILE_MAX_BYTES.saturating_add(1))
                .read_to_end(&mut content)
        })
        .map_err(|error| unreadable(path, &error, language))?;
    if u64::try_from(content.len()).is_ok_and(|bytes| bytes <= FILE_MAX_BYTES) {
        return Ok(content);
    }
    let values = [&*path.to_string_lossy(), &FILE_MAX_BYTES.to_string()];
    Err(CliError::new(
        Fault::Usage,
        Word::FileTooLarge,
        language,
        &values,
    ))
}

fn unreadable(path: &Path, error: &io::Error, language: Language) -> CliError {
    let name = path.to_string_lossy();
    if error.kind() == io::ErrorKind::NotFound {
        return CliError::new(Fault::Usage, Word::MadeByInit, language, &[&name]);
    }
    let values = [&*name, &error.to_string()];
    CliError::new(Fault::Usage, Word::CantRead, language, &values)
}

impl Target {
    /// Connects, within five seconds.
    ///
    /// # Errors
    /// When the certificates can't be used, nobody answers, or who answers is not the daemon that the authority vouches for.
    pub(super) async fn connect(&self) -> Result<Channel, CliError> {
        let limit = Duration::from_secs(CONNECT_SECONDS);
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&self.ca))
            .identity(Identity::from_pem(&self.certificate, &*self.key))
            .domain_name(&self.server_name);
        let endpoint = Endpoint::from_shared(format!("https://{}", self.server))
            .and_then(|endpoint| endpoint.tls_config(tls))
            .map_err(|error| {
                let values = [&*chain(&error)];
                CliError::new(Fault::Usage, Word::BadCertificates, self.language, &values)
            })?
            .connect_timeout(limit)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_ANSWER);
        match tokio::time::timeout(limit, endpoint.connect()).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(error)) => {
                let values = [&*self.server, &*chain(&error)];
                Err(CliError::new(
                    Fault::Unavailable,
                    Word::CantConnect,
                    self.language,
                    &values,
                ))
            }
            Err(_) => Err(self.too_slow(CONNECT_SECONDS)),
        }
    }

    /// Waits for an answer, for 30 s at most.
    ///
    /// # Errors
    /// When there is none, or the daemon refuses.
    pub(super) async fn answer<T>(
        &self,
        call: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, CliError> {
        match tokio::time::timeout(Duration::from_secs(CALL_SECONDS), call).await {
            Ok(answer) => answer.map_err(|status| CliError::of_call(&status, self.language)),
            Err(_) => Err(self.too_slow(CALL_SECONDS)),
        }
    }

    fn too_slow(&self, seconds: u64) -> CliError {
        let values = [&*self.server, &seconds.to_string()];
        CliError::new(Fault::Unavailable, Word::TooSlow, self.language, &values)
    }
}

/// A request with the person's proof in its metadata. The device's address is left out: for the command line the daemon takes
/// the connection's own.
///
/// # Errors
/// When the login that was kept can't be sent: it was not written by a login.
pub(super) fn with_proof<T>(
    message: T,
    kept: &Kept,
    language: Language,
) -> Result<Request<T>, CliError> {
    let value = |text: &str| {
        MetadataValue::<Ascii>::try_from(text)
            .map_err(|_| CliError::new(Fault::NotPermitted, Word::LogInAgain, language, &[]))
    };
    let mut ticket = value(&kept.ticket)?;
    ticket.set_sensitive(true);
    let mut request = Request::new(message);
    let metadata = request.metadata_mut();
    metadata.insert("sekisho-ticket", ticket);
    metadata.insert("sekisho-session-ref", value(&kept.session_ref)?);
    Ok(request)
}

/// A daemon that is connected, and the login to ask one of its services with.
pub(super) struct Asking<S> {
    pub(super) target: Target,
    kept: Kept,
    pub(super) service: S,
    pub(super) language: Language,
}

impl<S> Asking<S> {
    /// Connects to where the person logged in; `service` is what they ask there.
    ///
    /// # Errors
    /// When nobody is logged in, or only elsewhere, or the daemon can't be reached.
    pub(super) async fn open(
        connection: &Connection,
        service: impl FnOnce(Channel) -> S,
    ) -> Result<Self, CliError> {
        let language = connection.language();
        let file = TicketFile::of(|name| std::env::var_os(name), language)?;
        let kept = file.alive(SystemClock.now())?;
        let target = connection.target(Some(&kept.server), language)?;
        kept.only_for(&target.server, language)?;
        let service = service(target.connect().await?);
        Ok(Self {
            target,
            kept,
            service,
            language,
        })
    }

    /// A message with the login.
    ///
    /// # Errors
    /// As for [`with_proof`].
    pub(super) fn request<T>(&self, message: T) -> Result<Request<T>, CliError> {
        with_proof(message, &self.kept, self.language)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // what a test makes needs no durability
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;
    use crate::files::write_private;
    use clap::Parser;
    use std::fs;

    const LANGUAGE: Language = Language::English;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        connection: Connection,
    }

    fn connection(arguments: &[&str]) -> Connection {
        let all = ["sekisho"].iter().chain(arguments);
        Arguments::try_parse_from(all).unwrap().connection
    }

    fn data(folder: &Path) -> PathBuf {
        let data = folder.join("data");
        fs::create_dir_all(data.join("tls")).unwrap();
        fs::create_dir_all(data.join("dev")).unwrap();
        fs::write(data.join("tls/ca.pem"), "ca").unwrap();
        fs::write(data.join("tls/sekisho-cli.pem"), "certificate").unwrap();
        write_private(&data.join("tls/sekisho-cli.key"), b"key").unwrap();
        data
    }

    #[test]
    fn a_data_directory_tells_everything() {
        let folder = tempfile::tempdir().unwrap();
        let data = data(folder.path());
        let endpoints = r#"{"grpc":"127.0.0.1:7443","http":"127.0.0.1:7480"}"#;
        fs::write(data.join("dev/endpoints.json"), endpoints).unwrap();
        let named = connection(&[])
            .target_by(
                None,
                |name| (name == "SEKISHO_DATA").then(|| data.clone().into_os_string()),
                Path::new("nowhere"),
                LANGUAGE,
            )
            .unwrap();
        assert_eq!(named.server, "127.0.0.1:7443");
        assert_eq!(named.certificate, b"certificate");
        let usual = connection(&["--server", "[::1]:1"])
            .target_by(None, |_| None, &data, LANGUAGE)
            .unwrap();
        assert_eq!(usual.server, "[::1]:1");
        assert!(!format!("{usual:?}").contains("key"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let data = data(folder.path());
        let fault = |connection: Connection, usual: &Path| {
            let error = connection
                .target_by(None, |_| None, usual, LANGUAGE)
                .unwrap_err();
            assert_eq!(error.exit_code(), 64);
            error.to_string()
        };
        let nowhere = Path::new("nowhere");
        assert!(fault(connection(&[]), nowhere).contains("--ca"));
        let files = ["--ca", "a", "--certificate", "b", "--key", "c"];
        assert!(fault(connection(&files), nowhere).contains("--server is not given"));
        assert!(fault(connection(&[]), &data).contains("endpoints.json"));
        let given = ["--server", "localhost:1"];
        for (file, mends) in [("sekisho-cli.key", true), ("ca.pem", true)] {
            let path = data.join("tls").join(file);
            let content = fs::read(&path).unwrap();
            fs::remove_file(&path).unwrap();
            let words = fault(connection(&given), &data);
            assert!(
                words.contains(file) && words.contains("sekisho init") == mends,
                "{words}"
            );
            write_private(&path, &content).unwrap();
        }
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let data = data(folder.path());
        let key = data.join("tls/sekisho-cli.key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
        let error = connection(&["--server", "localhost:1"])
            .target_by(None, |_| None, &data, LANGUAGE)
            .unwrap_err();
        assert!(error.to_string().contains("others may use it"), "{error}");
    }

    #[test]
    fn where_nothing_else_tells_the_server_the_login_does() {
        let folder = tempfile::tempdir().unwrap();
        let data = data(folder.path());
        let target = connection(&[]).target_by(Some("host:7"), |_| None, &data, LANGUAGE);
        assert_eq!(target.unwrap().server, "host:7");
    }

    #[test]
    fn a_server_is_an_address_and_a_port_and_nothing_else() {
        for good in ["127.0.0.1:7443", "[::1]:7443", "sekisho.internal:443"] {
            assert!(address(good, LANGUAGE).is_ok(), "{good}");
        }
        for bad in [
            "",
            "localhost",
            "https://a:1",
            "a:1/b",
            "u@a:1",
            "a:99999",
            "::1:7443",
        ] {
            assert!(address(bad, LANGUAGE).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_ticket_travels_as_a_sensitive_value() {
        let mut kept = Kept {
            server: "a:1".to_owned(),
            person: "p".to_owned(),
            ticket: Zeroizing::new("sk1.secret".to_owned()),
            session_ref: "ref".to_owned(),
            expires_at: Timestamp::default(),
        };
        let request = with_proof((), &kept, LANGUAGE).unwrap();
        assert_eq!(
            request.metadata().get("sekisho-ticket").unwrap(),
            "sk1.secret"
        );
        assert!(!format!("{request:?}").contains("secret"));
        assert!(request.metadata().get("sekisho-client-ip").is_none());
        kept.ticket = Zeroizing::new("a\nb".to_owned());
        assert_eq!(with_proof((), &kept, LANGUAGE).unwrap_err().exit_code(), 77);
    }
}
