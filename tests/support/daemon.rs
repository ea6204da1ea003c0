//! The shipped binary, started the way a newcomer starts it.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::machine_now;

/// Making a data directory hashes a dozen passwords in a debug build on a busy machine.
const START_WITHIN: Duration = Duration::from_secs(120);
const STOP_WITHIN: Duration = Duration::from_secs(60);

/// A clock that a test moves, and the daemon reads, through Debian's libfaketime.
#[derive(Debug)]
pub struct MovedClock {
    library: PathBuf,
    file: PathBuf,
    ahead: u64,
}

impl MovedClock {
    /// Stands at the machine's time. Fails with the name of what is missing.
    pub fn new(folder: &Path) -> Result<Self, String> {
        let library = libfaketime()
            .ok_or("libfaketimeMT.so.1 is missing: install the Debian package faketime")?;
        let clock = Self {
            library,
            file: folder.join("clock"),
            ahead: 0,
        };
        clock.write();
        Ok(clock)
    }

    /// Moves ahead. The daemon sees it at its next look.
    pub fn advance(&mut self, by: Duration) {
        self.ahead += by.as_secs();
        self.write();
    }

    /// Moves ahead to the next whole number of `seconds` since the epoch. The clock runs on from there, so that what changes with
    /// that period stays for as long.
    pub fn advance_to_next(&mut self, seconds: u64) {
        self.advance(Duration::from_secs(seconds - self.now() % seconds));
    }

    /// Moves back, as far as it was moved ahead.
    pub fn set_back(&mut self, by: Duration) {
        self.ahead = self
            .ahead
            .checked_sub(by.as_secs())
            .expect("it was moved ahead so far");
        self.write();
    }

    /// What the daemon reads, in seconds since the epoch.
    pub fn now(&self) -> u64 {
        machine_now() + self.ahead
    }

    /// Written aside and moved, so that the daemon never reads half a number.
    fn write(&self) {
        let aside = self.file.with_extension("new");
        fs::write(&aside, format!("+{}\n", self.ahead)).expect("a clock file");
        fs::rename(&aside, &self.file).expect("a clock file");
    }

    /// Has a command read it.
    pub fn set_for(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1")
            // Time-outs run on; only the wall clock moves.
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("NO_FAKE_STAT", "1");
    }
}

fn libfaketime() -> Option<PathBuf> {
    let name = "faketime/libfaketimeMT.so.1";
    let mut folders = vec![
        PathBuf::from("/usr/lib"),
        PathBuf::from("/usr/lib64"),
        PathBuf::from("/usr/local/lib"),
    ];
    if let Ok(entries) = fs::read_dir("/usr/lib") {
        folders.extend(entries.filter_map(Result::ok).map(|entry| entry.path()));
    }
    folders
        .into_iter()
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

#[derive(Deserialize)]
struct Endpoints {
    grpc: String,
    http: String,
}

/// A running daemon; killed when dropped.
pub struct Daemon {
    child: Child,
    data: PathBuf,
    pub grpc: String,
    pub http: String,
}

impl Daemon {
    /// Starts and waits until it serves.
    pub fn start(data: &Path, clock: Option<&MovedClock>) -> Self {
        Self::start_pack(&super::pack(), data, clock)
    }

    /// The same with another pack.
    pub fn start_pack(pack: &Path, data: &Path, clock: Option<&MovedClock>) -> Self {
        Self::start_with(pack, data, clock, &[])
    }

    /// The same with more arguments.
    pub fn start_with(
        pack: &Path,
        data: &Path,
        clock: Option<&MovedClock>,
        arguments: &[&str],
    ) -> Self {
        let endpoints = data.join("dev/endpoints.json");
        // The last run's would be taken for this one's.
        let _ = fs::remove_file(&endpoints);
        let mut child = spawn_into(pack, data, clock, "output.txt", arguments);
        let until = Instant::now() + START_WITHIN;
        loop {
            if let Some(status) = child.try_wait().expect("the state of the daemon") {
                panic!(
                    "the daemon ended with {status} instead of serving:\n{}",
                    output(data)
                );
            }
            // Not yet there, or not yet whole.
            let read = fs::read_to_string(&endpoints).ok();
            if let Some(found) = read.and_then(|text| serde_json::from_str::<Endpoints>(&text).ok())
            {
                return Self {
                    child,
                    data: data.into(),
                    grpc: found.grpc,
                    http: found.http,
                };
            }
            assert!(
                Instant::now() < until,
                "the daemon does not serve:\n{}",
                output(data)
            );
            sleep(Duration::from_millis(20));
        }
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    /// One page of the HTTP address, head and body.
    pub fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().expect("a daemon to kill");
        self.child.wait().expect("a killed daemon");
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(mut self) -> ExitStatus {
        let asked = Command::new("kill")
            .arg("-TERM")
            .arg(self.child.id().to_string())
            .status();
        assert!(
            asked.is_ok_and(|status| status.success()),
            "the daemon can't be asked to stop"
        );
        wait(&mut self.child, STOP_WITHIN)
            .unwrap_or_else(|| panic!("the daemon does not stop:\n{}", output(&self.data)))
    }

    /// What it said so far.
    pub fn output(&self) -> String {
        output(&self.data)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a start that must fail comes to: the exit code, and all that was said.
pub fn refused_start(pack: &Path, data: &Path) -> (i32, String) {
    let mut child = spawn_into(pack, data, None, "refused.txt", &[]);
    let said = || fs::read_to_string(data.with_extension("refused.txt")).unwrap_or_default();
    match wait(&mut child, START_WITHIN) {
        Some(status) => (status.code().unwrap_or(-1), said()),
        None => {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the daemon started where it must not:\n{}", said());
        }
    }
}

fn spawn_into(
    pack: &Path,
    data: &Path,
    clock: Option<&MovedClock>,
    output: &str,
    arguments: &[&str],
) -> Child {
    let out = OpenOptions::new()
        .create(true)
        .append(true)
        .open(data.with_extension(output))
        .expect("a file for the daemon's output");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho"));
    command
        .arg("dev")
        .arg("--pack")
        .arg(pack)
        .arg("--data")
        .arg(data)
        .args(arguments);
    command.args(["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    if let Some(clock) = clock {
        clock.set_for(&mut command);
    }
    command
        .stdin(Stdio::null())
        .stdout(out.try_clone().expect("a second handle"))
        .stderr(out)
        .spawn()
        .unwrap_or_else(|error| panic!("the daemon can't be started: {error}"))
}

fn output(data: &Path) -> String {
    fs::read_to_string(data.with_extension("output.txt")).unwrap_or_default()
}

fn wait(child: &mut Child, within: Duration) -> Option<ExitStatus> {
    let until = Instant::now() + within;
    loop {
        if let Some(status) = child.try_wait().expect("the state of the daemon") {
            return Some(status);
        }
        if Instant::now() >= until {
            return None;
        }
        sleep(Duration::from_millis(20));
    }
}
