//! The operator's own command, run for what people should be told of: a second factor that was reset, say. It gets one JSON
//! object on its standard input and sends a message, or whatever the office does.
//!
//! It is never in anybody's way: what happened waits in a bounded queue, one command runs at a time and for a bounded time, and
//! one that fails is run again twice. The access log has what happened in any case.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::mpsc;

use crate::vitals::{Metric, Vitals};

/// How many events wait.
const QUEUED_MAX: usize = 1_000;
/// How often one is tried.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(2);

/// What the operator configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookConfig {
    /// The program, then its arguments; run without a shell, with an empty environment but for PATH.
    pub command: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
    /// Where it is run.
    pub directory: PathBuf,
}

/// What people should be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Happened {
    /// An administrator asks for a reset of a second factor; another has to approve.
    ResetAsked,
    /// A second factor was reset by two administrators.
    ResetDone,
    /// One person alone asks for a reset, on the host.
    ResetAskedAlone,
    /// What one person alone asked for was carried out.
    ResetDoneAlone,
    /// An administrator asks for something else that takes two.
    RequestAsked,
    /// It was carried out by two.
    RequestDone,
    /// One administrator alone asks for it, in a small office.
    RequestAskedAlone,
    /// One administrator alone carried it out.
    RequestDoneAlone,
}

/// An event, as the command reads it. No secrets; a person's id, and where the log has more.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// What.
    #[serde(rename = "event")]
    pub happened: Happened,
    /// Of a request: what for, as entries name its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<&'static str>,
    /// To whom.
    pub person: String,
    /// By whom; empty for the host.
    pub by: Vec<String>,
    /// The entry of the access log.
    pub log_index: u64,
    /// When, RFC 3339.
    pub at: String,
}

/// The command, and what waits for it. Clones are the same.
#[derive(Debug, Clone)]
pub struct Hooks {
    queue: mpsc::Sender<String>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    run: AtomicU64,
    failed: AtomicU64,
    last_failed: std::sync::atomic::AtomicBool,
}

impl Hooks {
    /// Runs the command for what is told, until the last clone is dropped.
    #[must_use]
    pub fn start(config: HookConfig) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUED_MAX);
        let counts = Arc::<Counts>::default();
        tokio::spawn(run_all(config, waiting, Arc::clone(&counts)));
        Self { queue, counts }
    }

    /// Tells of an event. Never waits; where too much waits already, it is counted as failed.
    pub fn tell(&self, event: &Event) {
        let told = serde_json::to_string(event)
            .ok()
            .is_some_and(|line| self.queue.try_send(line).is_ok());
        if !told {
            self.counts.failed();
            tracing::error!(event = ?event.happened, entry = event.log_index, "the hook was not run: too much waits for it");
        }
    }
}

impl Counts {
    fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.last_failed.store(true, Ordering::Relaxed);
    }
}

async fn run_all(config: HookConfig, mut waiting: mpsc::Receiver<String>, counts: Arc<Counts>) {
    while let Some(event) = waiting.recv().await {
        let mut tries = 0;
        loop {
            tries += 1;
            match run(&config, &event).await {
                Ok(()) => {
                    counts.run.fetch_add(1, Ordering::Relaxed);
                    counts.last_failed.store(false, Ordering::Relaxed);
                    break;
                }
                Err(why) if tries < TRIES => {
                    tracing::warn!(%why, "the hook failed and is run again");
                    tokio::time::sleep(PAUSE).await;
                }
                Err(why) => {
                    counts.failed();
                    tracing::error!(%why, event, "the hook failed");
                    break;
                }
            }
        }
    }
}

async fn run(config: &HookConfig, event: &str) -> Result<(), String> {
    let (program, arguments) = config
        .command
        .split_first()
        .ok_or_else(|| "there is no command".to_owned())?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .current_dir(&config.directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // What runs for too long is ended.
        .kill_on_drop(true);
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    let mut child = command
        .spawn()
        .map_err(|error| format!("{program} can't be run: {error}"))?;
    let input = child.stdin.take();
    let ending = async {
        if let Some(mut input) = input {
            // A command that reads nothing has done its work all the same.
            let _ = input.write_all(event.as_bytes()).await;
            let _ = input.write_all(b"\n").await;
        }
        child.wait().await
    };
    match tokio::time::timeout(config.timeout, ending).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("{program} ended with {status}")),
        Ok(Err(error)) => Err(format!("{program}: {error}")),
        Err(_) => Err(format!("{program} took longer than {:?}", config.timeout)),
    }
}

impl Vitals for Hooks {
    fn warnings(&self) -> Vec<String> {
        self.counts
            .last_failed
            .load(Ordering::Relaxed)
            .then(|| "the hook command failed the last time: somebody was not told".to_owned())
            .into_iter()
            .collect()
    }

    fn metrics(&self) -> Vec<Metric> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        vec![
            Metric::counter(
                "sekisho_hooks_total",
                "How often the hook command was run and succeeded.",
                read(&self.counts.run),
            ),
            Metric::counter(
                "sekisho_hooks_failed_total",
                "Events for which the hook command failed or was not run.",
                read(&self.counts.failed),
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hooks(folder: &std::path::Path, script: &str, timeout: Duration) -> Hooks {
        Hooks::start(HookConfig {
            command: vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()],
            timeout,
            directory: folder.to_owned(),
        })
    }

    fn event(person: &str) -> Event {
        Event {
            happened: Happened::ResetDone,
            request: None,
            person: person.to_owned(),
            by: vec!["a-1".to_owned(), "a-2".to_owned()],
            log_index: 7,
            at: "2026-01-01T00:00:00Z".to_owned(),
        }
    }

    async fn until(mut so: impl FnMut() -> bool) {
        for _ in 0..500 {
            if so() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("not within 10 seconds");
    }

    #[tokio::test]
    async fn the_command_reads_one_object_for_each_event_and_nothing_of_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        let script = "cat >> told; env | grep -vE '^(PATH|PWD|SHLVL|_|OLDPWD)=' >> told";
        let hooks = hooks(
            folder.path(),
            &format!("{script}; true"),
            Duration::from_secs(10),
        );
        hooks.tell(&event("p-1"));
        hooks.tell(&event("p-2"));
        until(|| hooks.counts.run.load(Ordering::Relaxed) == 2).await;
        let told = std::fs::read_to_string(folder.path().join("told")).unwrap();
        let lines: Vec<serde_json::Value> = told
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["event"], "reset-done");
        assert_eq!(lines[1]["person"], "p-2");
        assert_eq!(lines[0]["log_index"], 7);
        assert!(hooks.warnings().is_empty());
    }

    #[tokio::test]
    async fn a_command_that_fails_or_hangs_is_told_and_holds_nothing_up() {
        let folder = tempfile::tempdir().unwrap();
        let hooks = hooks(folder.path(), "sleep 60", Duration::from_millis(50));
        let began = std::time::Instant::now();
        hooks.tell(&event("p-1"));
        assert!(began.elapsed() < Duration::from_millis(50));
        until(|| !hooks.warnings().is_empty()).await;
        assert_eq!(hooks.counts.failed.load(Ordering::Relaxed), 1);
    }
}
