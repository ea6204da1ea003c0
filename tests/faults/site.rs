//! A data directory that the shipped binary made once, copies of it, and the daemon on one of them.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use sekisho::proto::authentication_service_client::AuthenticationServiceClient;
use sekisho::proto::verify_second_factor_request::Factor;
use sekisho::proto::{
    Action, Actor, CheckRequest, DataScope, VerifyPasswordRequest, VerifySecondFactorRequest,
    actor::Proof,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection as _, Row as _};
use tempfile::TempDir;
use tonic::transport::Channel;

use crate::support::certificates::of_service;
use crate::support::client::connect;
use crate::support::people::People;
use crate::support::scenario::{CALLER, OFFICE};
use crate::support::{machine_now, pack};

/// A debug build under strace on two busy cores stays far below.
const START_WITHIN: Duration = Duration::from_secs(120);
/// Bound to the ticket, and the same after a restart.
pub(crate) const SESSION: &str = "crash";

/// Whether the long form was asked for.
pub(crate) fn is_long() -> bool {
    std::env::var("SEKISHO_FAULTS").is_ok_and(|form| form == "long")
}

/// What `sekisho dev` makes before it serves for the first time: passwords take long to hash, so it is made once.
fn fresh() -> &'static Path {
    static FRESH: OnceLock<TempDir> = OnceLock::new();
    let folder = FRESH.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        // Where somebody listens already the daemon can't; it makes everything before it finds out.
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_sekisho"))
            .args(["dev", "--http", "127.0.0.1:0", "--listen"])
            .arg(taken.local_addr().unwrap().to_string())
            .arg("--pack")
            .arg(pack())
            .arg("--data")
            .arg(&data)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(69), "{output:?}");
        fs::remove_dir_all(data.join("log")).unwrap();
        folder
    });
    folder.path()
}

/// The same after one start and an orderly stop.
fn used() -> &'static Path {
    static USED: OnceLock<TempDir> = OnceLock::new();
    let folder = USED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        copy_folder(&fresh().join("data"), &data);
        start(&data).stop();
        folder
    });
    folder.path()
}

/// A data directory of a test's own.
pub(crate) struct Site {
    _folder: TempDir,
    pub(crate) data: PathBuf,
}

impl Site {
    /// One that was served from once.
    pub(crate) fn new() -> Self {
        Self::of(used())
    }

    /// One without a log, with some lines of the configuration replaced.
    pub(crate) fn fresh(lines: &[(&str, &str)]) -> Self {
        let site = Self::of(fresh());
        let path = site.data.join("sekisho.toml");
        let mut text = fs::read_to_string(&path).unwrap();
        for (key, value) in lines {
            let start = text.find(&format!("\n{key} = ")).unwrap() + 1;
            let end = start + text[start..].find('\n').unwrap();
            text.replace_range(start..end, &format!("{key} = {value}"));
        }
        fs::write(&path, text).unwrap();
        site
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.data.join("log")
    }

    /// The file that entries are written to.
    pub(crate) fn segment(&self) -> PathBuf {
        segments(&self.log()).pop().unwrap()
    }

    /// A copy of what the directory holds now: of a stopped daemon, or as a kill would leave it.
    pub(crate) fn copy(&self) -> Self {
        Self::of(self.data.parent().unwrap())
    }

    fn of(template: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        copy_folder(&template.join("data"), &data);
        Self {
            _folder: folder,
            data,
        }
    }

    /// Puts another one's file or folder in the place of this one's.
    pub(crate) fn take(&self, name: &str, from: &Self) {
        let (own, other) = (self.data.join(name), from.data.join(name));
        if own.is_dir() {
            fs::remove_dir_all(&own).unwrap();
            copy_folder(&other, &own);
            return;
        }
        for ending in ["", "-wal", "-shm"] {
            let with = |path: &Path| PathBuf::from(format!("{}{ending}", path.display()));
            let _ = fs::remove_file(with(&own));
            if with(&other).exists() {
                fs::copy(with(&other), with(&own)).unwrap();
            }
        }
    }
}

/// What a query of one number finds in the store, which a daemon may be using.
pub(crate) async fn number_in_store(data: &Path, query: &'static str) -> i64 {
    let options = SqliteConnectOptions::new().filename(data.join("store.sqlite"));
    let mut store = SqliteConnection::connect_with(&options).await.unwrap();
    let row = sqlx::query(query).fetch_one(&mut store).await.unwrap();
    store.close().await.unwrap();
    row.get(0)
}

/// The segments of a log, in order.
pub(crate) fn segments(log: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(log)
        .unwrap()
        .map(|item| item.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "segment"))
        .collect();
    found.sort();
    found
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    DirBuilder::new().mode(0o700).create(to).unwrap();
    let mode = fs::metadata(from).unwrap().permissions().mode();
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let path = item.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

/// A daemon that serves.
pub(crate) struct Serving {
    child: Child,
    data: PathBuf,
    pub(crate) grpc: String,
    http: String,
}

/// A daemon that ended before it served.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) said: String,
}

/// Starts the daemon, as an argument of `wrapper` where there is one, and waits until it serves or has ended.
pub(crate) fn start_under(data: &Path, wrapper: &[String]) -> Result<Serving, Ended> {
    let mut starting = spawn(data, wrapper);
    let until = Instant::now() + START_WITHIN;
    loop {
        match starting.look() {
            Look::Serving => return Ok(starting.into_serving()),
            Look::Ended(status) => {
                return Err(Ended {
                    status,
                    said: said(data),
                });
            }
            Look::NotYet => {}
        }
        assert!(Instant::now() < until, "it does not serve:\n{}", said(data));
        sleep(Duration::from_millis(5));
    }
}

pub(crate) fn start(data: &Path) -> Serving {
    start_under(data, &[])
        .unwrap_or_else(|ended| panic!("{} instead of serving:\n{}", ended.status, ended.said))
}

/// A daemon on its way up.
pub(crate) struct Starting {
    child: Child,
    data: PathBuf,
    /// For calls, and for operators.
    addresses: Option<[String; 2]>,
}

pub(crate) enum Look {
    NotYet,
    Serving,
    Ended(ExitStatus),
}

impl Starting {
    pub(crate) fn look(&mut self) -> Look {
        if let Some(status) = self.child.try_wait().unwrap() {
            return Look::Ended(status);
        }
        // `… INFO … serving grpc=127.0.0.1:40001 http=…`
        let said = said(&self.data);
        let value = |name: &str| {
            let (_, rest) = said.split_once(name)?;
            rest.split_once(' ').map(|(value, _)| value.to_owned())
        };
        self.addresses = value(" grpc=").zip(value(" http=")).map(Into::into);
        if self.addresses.is_some() {
            Look::Serving
        } else {
            Look::NotYet
        }
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn into_serving(self) -> Serving {
        let [grpc, http] = self.addresses.unwrap();
        Serving {
            child: self.child,
            data: self.data,
            grpc,
            http,
        }
    }
}

pub(crate) fn spawn(data: &Path, wrapper: &[String]) -> Starting {
    let out = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .open(data.with_extension("output.txt"))
        .unwrap();
    let binary = env!("CARGO_BIN_EXE_sekisho").to_owned();
    let mut words = wrapper.iter().chain([&binary]);
    let mut command = Command::new(words.next().unwrap());
    command
        .args(words)
        .args(["serve", "--config"])
        .arg(data.join("sekisho.toml"))
        .env("SEKISHO_GRPC_LISTEN", "127.0.0.1:0")
        .env("SEKISHO_HTTP_LISTEN", "127.0.0.1:0")
        .env("NO_COLOR", "1")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(out.try_clone().unwrap())
        .stderr(out);
    let child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Starting {
        child,
        data: data.to_owned(),
        addresses: None,
    }
}

fn said(data: &Path) -> String {
    fs::read_to_string(data.with_extension("output.txt")).unwrap_or_default()
}

impl Serving {
    /// The daemon's, also where it was started under another program.
    pub(crate) fn process(&self) -> u32 {
        let own = self.child.id();
        let about = |what: &str| fs::read_to_string(format!("/proc/{own}/{what}"));
        if about("comm").is_ok_and(|name| name.trim() != "strace") {
            return own;
        }
        let children = about(&format!("task/{own}/children")).unwrap_or_default();
        let first = children.split_whitespace().next();
        first.and_then(|child| child.parse().ok()).unwrap_or(own)
    }

    /// One page for operators, head and body.
    pub(crate) fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        stream.set_read_timeout(Some(START_WITHIN)).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Whether it is still there.
    pub(crate) fn is_running(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        status.is_ok_and(|status| !status.contains(") Z "))
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.kill_now();
    }

    fn kill_now(&mut self) {
        // One that has been waited for is gone, and its number may be another's.
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let process = self.process().to_string();
            let _ = Command::new("kill").args(["-9", &process]).status();
            let _ = self.child.wait();
        }
    }

    /// Asks it to stop, and waits.
    pub(crate) fn stop(self) {
        let asked = Command::new("kill")
            .arg(self.process().to_string())
            .status();
        assert!(asked.unwrap().success());
        let ended = self.ended(Duration::from_secs(60));
        assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
    }

    /// How it ended by itself; `None` when it didn't.
    pub(crate) fn ended(mut self, within: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            if Instant::now() > until {
                return None;
            }
            sleep(Duration::from_millis(5));
        }
    }

    pub(crate) async fn connect(&self) -> Channel {
        self.try_connect().await.unwrap()
    }

    /// The same to one that may be dying.
    pub(crate) async fn try_connect(&self) -> Result<Channel, tonic::transport::Error> {
        connect(&self.data, &of_service(&self.data, CALLER), &self.grpc).await
    }

    pub(crate) async fn log_in(&self, person: &str) -> String {
        log_in(&self.data, &self.grpc, person).await
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.kill_now();
    }
}

/// The first step; the challenge.
pub(crate) async fn first_step(
    channel: &Channel,
    data: &Path,
    person: &str,
) -> Result<String, tonic::Status> {
    let request = VerifyPasswordRequest {
        person: person.into(),
        password: People::read(data).get(person).password.clone(),
        client_ip: OFFICE.into(),
        session_ref: SESSION.into(),
    };
    let given = AuthenticationServiceClient::new(channel.clone())
        .verify_password(request)
        .await?;
    Ok(given.into_inner().challenge_id)
}

/// The second step; the ticket.
pub(crate) async fn second_step(
    channel: &Channel,
    challenge: String,
    code: String,
) -> Result<String, tonic::Status> {
    let request = VerifySecondFactorRequest {
        challenge_id: challenge,
        factor: Some(Factor::Totp(code)),
    };
    let given = AuthenticationServiceClient::new(channel.clone())
        .verify_second_factor(request)
        .await?;
    Ok(given.into_inner().session_ticket)
}

pub(crate) async fn log_in(data: &Path, address: &str, person: &str) -> String {
    let channel = connect(data, &of_service(data, CALLER), address)
        .await
        .unwrap();
    let challenge = first_step(&channel, data, person).await.unwrap();
    let code = People::read(data).get(person).code(machine_now());
    second_step(&channel, challenge, code).await.unwrap()
}

pub(crate) fn actor(ticket: &str) -> Actor {
    Actor {
        proof: Some(Proof::SessionTicket(ticket.into())),
        client_ip: OFFICE.into(),
        session_ref: SESSION.into(),
    }
}

pub(crate) fn check(ticket: &str, subject: &str, count: u64) -> CheckRequest {
    CheckRequest {
        actor: Some(actor(ticket)),
        action: Action::Read.into(),
        data: Some(DataScope {
            system: "crm".into(),
            subject_kind: "job-seeker".into(),
            subject_ref: subject.into(),
            categories: vec!["career".into()],
            record_count: count,
            ..DataScope::default()
        }),
        purpose: "recruitment-service".into(),
        ..CheckRequest::default()
    }
}
