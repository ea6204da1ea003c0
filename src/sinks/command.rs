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
use crate::proto::stored_change::Kind;
use crate::proto::stored_request::What;
use crate::proto::{StoredEntry, StoredResetWish};

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
    ResetAsked,
    /// A second factor was reset by two administrators.
    #[serde(rename = "reset-done")]
    ResetDone,
    /// One person alone asks for a reset, on the host.
    #[serde(rename = "reset-asked-alone")]
    ResetAskedAlone,
    /// What one person alone asked for was carried out.
    #[serde(rename = "reset-done-alone")]
    ResetDoneAlone,
    /// An administrator asks for something else about people that takes two.
    #[serde(rename = "request-asked")]
    RequestAsked,
    /// It was carried out by two.
    #[serde(rename = "request-done")]
    RequestDone,
    /// One administrator alone asks for it, in a small office.
    #[serde(rename = "request-asked-alone")]
    RequestAskedAlone,
    /// One administrator alone carried it out.
    #[serde(rename = "request-done-alone")]
    RequestDoneAlone,
}

/// An event, as the command reads it. No secrets; a person's id, and where the log has more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Event {
    #[serde(rename = "event")]
    happened: Happened,
    /// Of a request: what for, as entries name its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<String>,
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
    /// What an entry says that people should be told of: an event for each person concerned.
    fn of(index: LogIndex, entry: &StoredEntry) -> Vec<Self> {
        let Some(kind) = entry
            .change
            .as_ref()
            .and_then(|change| change.kind.as_ref())
        else {
            return Vec::new();
        };
        let Some((happened, people)) = happened(entry, kind) else {
            return Vec::new();
        };
        let by: &[&str] = match happened {
            Happened::ResetAskedAlone | Happened::ResetDoneAlone => &[],
            Happened::ResetAsked | Happened::RequestAsked | Happened::RequestAskedAlone => {
                &[&entry.person]
            }
            Happened::ResetDone | Happened::RequestDone | Happened::RequestDoneAlone => {
                &["asked_by", "approved_by"].map(|key| detail(entry, key).unwrap_or_default())
            }
        };
        let request = match happened {
            Happened::RequestAsked | Happened::RequestAskedAlone => detail(entry, "request"),
            Happened::RequestDone | Happened::RequestDoneAlone => match kind {
                Kind::PutGuardedPerson(_) => Some("change-people"),
                _ => detail(entry, "change"),
            },
            _ => None,
        };
        people
            .into_iter()
            .map(|person| Self {
                happened,
                request: request.map(str::to_owned),
                person,
                by: by
                    .iter()
                    .filter(|who| !who.is_empty())
                    .map(|who| (*who).to_owned())
                    .collect(),
                log_index: index.0,
                at: Timestamp::from_micros(entry.time_us).to_string(),
            })
            .collect()
    }
}

/// What a change means to people, and to whom.
fn happened(entry: &StoredEntry, kind: &Kind) -> Option<(Happened, Vec<String>)> {
    let alone = detail(entry, "alone").is_some();
    let either = |by_two, by_one| if alone { by_one } else { by_two };
    let reset = either(Happened::ResetDone, Happened::ResetDoneAlone);
    let done = either(Happened::RequestDone, Happened::RequestDoneAlone);
    let asked = either(Happened::RequestAsked, Happened::RequestAskedAlone);
    Some(match kind {
        Kind::Ask(request) => match request.what.as_ref()? {
            What::ResetSecondFactor(person) | What::ResetFactor(StoredResetWish { person, .. }) => {
                let asked = either(Happened::ResetAsked, Happened::ResetAskedAlone);
                (asked, vec![person.clone()])
            }
            What::ChangePeople(wish) => (asked, wish.people.clone()),
            What::SetPassword(person) | What::IssueEnrollmentCode(person) => {
                (asked, vec![person.clone()])
            }
            What::AssignToken(wish) => (asked, vec![wish.person.clone()]),
            What::Dispose(_) | What::ReleaseLogHold(_) | What::ActivatePolicy(_) => return None,
        },
        Kind::ResetSecondFactor(done) => (reset, vec![done.person.clone()]),
        Kind::TakeUpCredential(taken) if taken.settles.is_some() => {
            (done, vec![taken.person.clone()])
        }
        Kind::PutGuardedPerson(guarded) if guarded.settles.is_some() => {
            (done, vec![guarded.person.as_ref()?.id.clone()])
        }
        _ => return None,
    })
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
        let events = Event::of(index, &entry);
        if !events.is_empty() {
            batch.lines.extend(events.iter().map(|event| Line {
                index: index.0,
                time: Timestamp::from_micros(entry.time_us),
                kind: entry.kind,
                weight: Weight::Grave,
                text: serde_json::to_string(event).unwrap_or_default() + "\n",
            }));
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
