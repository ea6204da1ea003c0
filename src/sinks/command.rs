//! The operator's own command as a sink: run once for each entry that people should be told of (a second factor that was
//! reset, say), with one JSON object on its standard input. It sends a message, or whatever the office does.
//!
//! As every sink it reads the log behind the writer, so that what came through when its caller had gone, or a kill cut off, is
//! told all the same; a command that fails is run again, later each time, until it succeeds.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde::Serialize;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::batch::{Batch, BatchError, Line, Weight};
use crate::domain::ids::LogIndex;
use crate::domain::time::Timestamp;
use crate::log::LogReader;
use crate::proto::StoredEntry;
use crate::proto::stored_change::Kind;
use crate::proto::stored_request::What;

/// How many entries are looked through in one turn.
const LOOKED_THROUGH: usize = 2_000;

/// What the operator configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandConfig {
    /// The program, then its arguments; run without a shell, with an empty environment but for PATH.
    pub command: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
    /// Where it is run.
    pub directory: PathBuf,
}

/// What people should be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
enum Happened {
    /// An administrator asks for a reset of a second factor; another has to approve.
    #[serde(rename = "reset-asked")]
    Asked,
    /// A second factor was reset by two administrators.
    #[serde(rename = "reset-done")]
    Done,
    /// One person alone asks for a reset, on the host.
    #[serde(rename = "reset-asked-alone")]
    AskedAlone,
    /// What one person alone asked for was carried out.
    #[serde(rename = "reset-done-alone")]
    DoneAlone,
}

/// An event, as the command reads it. No secrets; a person's id, and where the log has more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Event {
    #[serde(rename = "event")]
    happened: Happened,
    /// To whom.
    person: String,
    /// By whom; empty for the host.
    by: Vec<String>,
    /// The entry of the access log.
    log_index: u64,
    /// When, RFC 3339.
    at: String,
}

impl Event {
    /// What an entry says that people should be told of, if anything.
    fn of(index: LogIndex, entry: &StoredEntry) -> Option<Self> {
        let (happened, person) = match entry.change.as_ref()?.kind.as_ref()? {
            Kind::Ask(request) => {
                let Some(What::ResetSecondFactor(person)) = &request.what else {
                    return None;
                };
                let happened = match request.effective_us {
                    Some(_) => Happened::AskedAlone,
                    None => Happened::Asked,
                };
                (happened, person)
            }
            Kind::ResetSecondFactor(reset) if detail(entry, "alone").is_some() => {
                (Happened::DoneAlone, &reset.person)
            }
            Kind::ResetSecondFactor(reset) => (Happened::Done, &reset.person),
            _ => return None,
        };
        let by = match happened {
            Happened::Asked => vec![entry.person.clone()],
            Happened::Done => ["asked_by", "approved_by"]
                .into_iter()
                .filter_map(|key| detail(entry, key))
                .map(str::to_owned)
                .collect(),
            Happened::AskedAlone | Happened::DoneAlone => Vec::new(),
        };
        Some(Self {
            happened,
            person: person.clone(),
            by,
            log_index: index.0,
            at: Timestamp::from_micros(entry.time_us).to_string(),
        })
    }
}

fn detail<'a>(entry: &'a StoredEntry, key: &str) -> Option<&'a str> {
    let found = entry.details.iter().find(|detail| detail.key == key)?;
    Some(&found.value)
}

/// The command.
#[derive(Debug)]
pub(super) struct CommandTarget {
    config: CommandConfig,
}

impl CommandTarget {
    pub(super) fn new(config: &CommandConfig) -> Self {
        Self {
            config: config.clone(),
        }
    }

    /// Runs the command for what there is in the batch.
    pub(super) async fn send(&self, batch: &Batch) -> Result<(), String> {
        for line in &batch.lines {
            run(&self.config, &line.text)
                .await
                .map_err(|why| format!("nobody was told of entry {}: {why}", line.index))?;
        }
        Ok(())
    }
}

/// Reads what comes from `next` on, up to the first entry that people should be told of; what was disposed of is passed over:
/// nobody is told of it so much later. Blocks on the disk.
pub(super) fn read(reader: &LogReader, next: u64) -> Result<Option<Batch>, BatchError> {
    let mut batch = Batch {
        first: next,
        next,
        lines: Vec::new(),
    };
    if let Some(until) = super::batch::gap(&reader.segments(), next) {
        batch.next = until;
        return Ok(Some(batch));
    }
    for kept in reader.forward(LogIndex(next)).take(LOOKED_THROUGH) {
        let read = kept.and_then(|kept| Ok((kept.index, kept.entry()?)));
        let (index, entry) = match read {
            Ok(read) => read,
            Err(_) if batch.next > next => break,
            Err(error) => return Err(error.into()),
        };
        batch.next = index.0.saturating_add(1);
        if let Some(event) = Event::of(index, &entry) {
            batch.lines.push(Line {
                index: index.0,
                time: Timestamp::from_micros(entry.time_us),
                kind: entry.kind,
                weight: Weight::Grave,
                text: serde_json::to_string(&event).unwrap_or_default() + "\n",
            });
            break;
        }
    }
    Ok((batch.next > next).then_some(batch))
}

async fn run(config: &CommandConfig, event: &str) -> Result<(), String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn target(folder: &std::path::Path, script: &str, timeout: Duration) -> CommandTarget {
        CommandTarget::new(&CommandConfig {
            command: vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()],
            timeout,
            directory: folder.to_owned(),
        })
    }

    fn batch(person: &str) -> Batch {
        Batch {
            first: 7,
            next: 8,
            lines: vec![Line {
                index: 7,
                time: Timestamp::from_micros(0),
                kind: 0,
                weight: Weight::Grave,
                text: format!("{{\"person\":\"{person}\"}}\n"),
            }],
        }
    }

    #[tokio::test]
    async fn the_command_reads_one_object_for_each_event_and_nothing_of_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        let script = "cat >> told; env | grep -vE '^(PATH|PWD|SHLVL|_|OLDPWD)=' >> told; true";
        let target = target(folder.path(), script, Duration::from_secs(10));
        for person in ["p-1", "p-2"] {
            target.send(&batch(person)).await.unwrap();
        }
        let told = std::fs::read_to_string(folder.path().join("told")).unwrap();
        assert_eq!(told, "{\"person\":\"p-1\"}\n{\"person\":\"p-2\"}\n");
    }

    #[tokio::test]
    async fn a_command_that_fails_or_hangs_is_a_failure_that_names_the_entry() {
        let folder = tempfile::tempdir().unwrap();
        for (script, said) in [
            ("sleep 60", "took longer than"),
            ("exit 3", "exit status: 3"),
        ] {
            let target = target(folder.path(), script, Duration::from_millis(300));
            let why = target.send(&batch("p-1")).await.unwrap_err();
            assert!(why.contains("nobody was told of entry 7"), "{why}");
            assert!(why.contains(said), "{why}");
        }
    }
}
