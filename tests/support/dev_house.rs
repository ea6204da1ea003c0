//! What `sekisho dev` serves, asked with real grpcurl, and the commands of the shipped binary.

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tempfile::TempDir;

use super::certificates::of_service;
use super::daemon::{Daemon, MovedClock};
use super::grpcurl::Grpcurl;
use super::people::People;
use super::play::{CallError, Door, Metadata, Session, log_in};
use super::postgres::Postgres;
use super::scenario::{CALLER, OFFICE, SESSION};
use super::{machine_now, pack};

/// How long a code is shown.
const STEP_SECONDS: u64 = 30;

/// The shipped binary, with nothing of the environment that it would heed.
pub fn sekisho(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho"));
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("SEKISHO_") {
            command.env_remove(name);
        }
    }
    command
        .current_dir(home)
        .env("SEKISHO_TICKET_FILE", ticket_file(home))
        .env("LC_ALL", "C")
        .env("RUST_LOG", "info")
        .env("NO_COLOR", "1");
    command
}

pub fn ticket_file(home: &Path) -> PathBuf {
    home.join("ticket.json")
}

/// Runs a command of the binary to its end, with `input` piped to it.
pub fn run(home: &Path, input: &str, arguments: &[&str]) -> Output {
    let mut child = sekisho(home)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// The same for one that must end well; what it printed.
pub fn done(home: &Path, input: &str, arguments: &[&str]) -> String {
    let output = run(home, input, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", told(&output));
    String::from_utf8(output.stdout).unwrap()
}

pub fn told(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// ID, password and code of a person, a line each.
pub fn credentials(home: &Path, data: &str, person: &str, password: &str) -> String {
    let code = done(home, "", &["code", "--data", data, person]);
    format!("{person}\n{password}\n{code}")
}

/// Runs a statement in the store of the daemon of a folder, which may be stopped: in the database of that url, or in its file.
pub fn sql(database: Option<&str>, home: &Path, statement: &str) {
    if let Some(url) = database {
        Postgres::shared().sql(url, statement);
        return;
    }
    let options = SqliteConnectOptions::new()
        .filename(home.join("data/store.sqlite"))
        .busy_timeout(Duration::from_secs(60));
    let statement = sqlx::AssertSqlSafe(statement.to_owned());
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut store = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(statement).execute(&mut store).await.unwrap();
        store.close().await.unwrap();
    });
}

/// What `sekisho dev` serves, and grpcurl.
pub struct House {
    pub folder: TempDir,
    pub daemon: Daemon,
    pub grpcurl: Grpcurl,
    pub people: People,
    /// The url of its store; none for SQLite.
    pub database: Option<String>,
    pack: PathBuf,
    clock: Option<MovedClock>,
}

/// A folder with a copy of the pack in `pack`.
fn copied_pack() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("pack");
    fs::create_dir(&own).unwrap();
    for file in ["pack.toml", "model.conf", "policy.csv", "people.csv"] {
        fs::copy(pack().join(file), own.join(file)).unwrap();
    }
    (folder, own)
}

/// A new database where the environment asks for PostgreSQL: `SEKISHO_TEST_STORE=postgres`.
fn database_of_the_environment() -> Option<String> {
    let engine = env::var("SEKISHO_TEST_STORE").unwrap_or_default();
    (engine == "postgres").then(|| Postgres::shared().database())
}

impl House {
    /// A daemon that has just started, on the machine's clock, with the engine that the environment names.
    pub fn open() -> Self {
        let database = database_of_the_environment();
        Self::start(None, tempfile::tempdir().unwrap(), database, pack())
    }

    /// The same on a clock that the test moves, with a copy of the pack that the test may change: `pack` in its folder.
    pub fn with_own_pack() -> Self {
        let (folder, own) = copied_pack();
        let clock = MovedClock::new(folder.path()).unwrap();
        let mut house = Self::start(Some(clock), folder, database_of_the_environment(), own);
        house.next_code();
        house
    }

    /// The same on the machine's clock.
    pub fn with_own_pack_on_the_machines_clock() -> Self {
        let (folder, own) = copied_pack();
        Self::start(None, folder, database_of_the_environment(), own)
    }

    /// The same with the pack that is in `pack` of a folder.
    pub fn of_pack(folder: TempDir) -> Self {
        let pack = folder.path().join("pack");
        Self::start(None, folder, database_of_the_environment(), pack)
    }

    /// The same with its store in PostgreSQL.
    pub fn with_store(url: &str) -> Self {
        Self::start(
            None,
            tempfile::tempdir().unwrap(),
            Some(url.to_owned()),
            pack(),
        )
    }

    /// A daemon on the directory `data` of a folder, whose store its configuration names.
    pub fn take_up(folder: TempDir) -> Self {
        Self::start(None, folder, None, pack())
    }

    /// The same with the pack that is in the folder, on a clock of its own.
    pub fn take_up_own_pack(folder: TempDir) -> Self {
        let clock = MovedClock::new(folder.path()).unwrap();
        let pack = folder.path().join("pack");
        let mut house = Self::start(Some(clock), folder, database_of_the_environment(), pack);
        house.next_code();
        house
    }

    /// Ends the daemon and leaves what it made.
    pub fn leave(self) -> TempDir {
        assert!(self.daemon.stop().success());
        self.folder
    }

    /// The same as [`Self::open`] on a clock that the test moves.
    pub fn with_clock() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = MovedClock::new(folder.path()).unwrap();
        let mut house = Self::start(Some(clock), folder, database_of_the_environment(), pack());
        house.next_code();
        house
    }

    /// `kill -9`, then a start on what is left, on the same clock.
    pub fn kill_and_start(self) -> Self {
        let Self {
            folder,
            daemon,
            clock,
            database,
            pack,
            ..
        } = self;
        daemon.kill();
        Self::start(clock, folder, database, pack)
    }

    /// Stops the daemon, has something done meanwhile, and starts it again, on the same clock.
    pub fn stop_and_start(self, meanwhile: impl FnOnce(&Path)) -> Self {
        let Self {
            folder,
            daemon,
            clock,
            database,
            pack,
            ..
        } = self;
        assert!(daemon.stop().success());
        meanwhile(folder.path());
        Self::start(clock, folder, database, pack)
    }

    /// Changes the store behind the daemon's back.
    pub fn sql(&self, statement: &str) {
        sql(self.database.as_deref(), self.home(), statement);
    }

    /// A further daemon's directory: the same keys and certificates, a log of its own.
    pub fn beside(&self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("data");
        let copied = Command::new("cp")
            .arg("-a")
            .arg(self.daemon.data())
            .arg(&to)
            .status();
        assert!(copied.unwrap().success());
        for own in ["log", "index", "seals", "sinks"] {
            let own = to.join(own);
            if own.exists() {
                fs::remove_dir_all(own).unwrap();
            }
        }
        folder
    }

    /// Moves the clock ahead to where every authenticator and token shows another code, which it then shows for half a minute or
    /// longer: what a test says of codes would else depend on when in their time it began.
    pub fn next_code(&mut self) {
        let clock = self.clock.as_mut().expect("a moved clock");
        clock.advance_to_next(STEP_SECONDS);
    }

    /// Moves the clock back, as far as it was moved ahead.
    pub fn set_back(&mut self, by: Duration) {
        self.clock.as_mut().expect("a moved clock").set_back(by);
    }

    fn start(
        clock: Option<MovedClock>,
        folder: TempDir,
        database: Option<String>,
        pack: PathBuf,
    ) -> Self {
        let data = folder.path().join("data");
        let url = database.as_deref();
        let arguments = url.map_or_else(Vec::new, |url| vec!["--store-url", url]);
        let daemon = Daemon::start_with(&pack, &data, clock.as_ref(), &arguments);
        Self {
            grpcurl: Grpcurl::new(&data, &daemon.grpc),
            people: People::read(&data),
            folder,
            daemon,
            database,
            pack,
            clock,
        }
    }

    pub fn home(&self) -> &Path {
        self.folder.path()
    }

    pub fn data(&self) -> &str {
        self.daemon.data().to_str().unwrap()
    }

    pub fn log_in(&mut self, person: &str) -> Session {
        log_in(self, person, (CALLER, OFFICE, SESSION))
            .unwrap_or_else(|error| panic!("login of {person}: {error}\n{}", self.daemon.output()))
    }

    pub fn send(
        &self,
        method: &str,
        request: &Value,
        metadata: &Metadata,
    ) -> Result<Value, CallError> {
        let own = of_service(self.daemon.data(), CALLER);
        self.grpcurl.call(Some(&own), method, request, metadata)
    }

    pub fn answer(&self, method: &str, request: &Value, metadata: &Metadata) -> Value {
        self.send(method, request, metadata)
            .unwrap_or_else(|error| panic!("{method} {request}: {error}"))
    }
}

impl Door for House {
    fn call(
        &mut self,
        service: &str,
        method: &str,
        request: &Value,
        metadata: &Metadata,
    ) -> Result<Value, CallError> {
        let identity = of_service(self.daemon.data(), service);
        self.grpcurl
            .call(Some(&identity), method, request, metadata)
    }

    fn advance(&mut self, by: Duration) {
        match &mut self.clock {
            Some(clock) => clock.advance(by),
            None => sleep(by),
        }
    }

    fn now(&self) -> u64 {
        self.clock
            .as_ref()
            .map_or_else(machine_now, MovedClock::now)
    }

    fn people(&self) -> &People {
        &self.people
    }
}
