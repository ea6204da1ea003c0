//! Witnesses: those outside this machine who keep the log's checkpoints. Whoever owns the machine and its keys can put an older
//! copy of everything back, or write another history; only somebody who was told before can show it.
//!
//! | file | job |
//! |---|---|
//! | `config` | `[witness]` of the configuration |
//! | `compare` | what somebody else knows, against the log |
//! | `directory` | a file in a directory, on another machine's disk if possible |
//! | `endpoint` | a C2SP `tlog-witness` over HTTP, which signs what it saw |
//! | `handing` | hands the newest checkpoint to each of them, as long as the daemon serves |
//! | `standing` | who has what, told to operators |
//!
//! At a start ([`Witnesses::look`]) everybody is asked before the first entry is written: whoever knows more than the log, or
//! something else, ends the start; but not who knows exactly what a declared gap says is lost. While serving, each has a task of its own that never is in a check's way.
//!
//! What this room never does: change the log; replace a checkpoint that says more than the log; take an answer for a
//! cosignature that the witness's key did not make; stop allowances, since a witness, unlike the log, is somebody else's.

mod compare;
mod config;
mod directory;
mod endpoint;
mod handing;
mod standing;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinError;

pub use compare::Contradiction;
pub use config::{EndpointConfig, Pace, Section, WitnessConfig};
pub use handing::Handing;
pub use standing::Standing;

use crate::http_client::HttpError;
use crate::log::{AccessLog, ReadError, Signed, SignedNote};
use crate::tls_client::TlsFileError;
use compare::{Trouble, compare};
use directory::Directory;
use endpoint::Endpoint;

/// Why a start is refused.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// Somebody knows more than the log, or other entries: it was rolled back, replaced or rewritten.
    #[error("{}\nnothing was served and no entry was written; README says what to do when an older copy was restored on purpose", lines(.0))]
    Contradicted(Vec<Contradiction>),
    /// `witness.required`, and this one can't be reached, or takes nothing. It may pass.
    #[error("witness.required: {witness}: {what}")]
    Required {
        /// Which one.
        witness: String,
        /// What came back.
        what: String,
    },
    /// An authority's file can't be used.
    #[error("witness.endpoint: {0}")]
    Tls(#[from] TlsFileError),
    /// An endpoint can't be asked.
    #[error("witness.endpoint: {0}")]
    Http(#[from] HttpError),
    /// The log, or the cosigned checkpoint beside it, can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The process is ending.
    #[error("asking the witnesses was interrupted")]
    Interrupted(#[from] JoinError),
}

impl WitnessError {
    /// The code the process ends with (sysexits): 65 for a log that is not the one it was, 75 for a witness that is required
    /// and does not answer, which may pass by itself.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Contradicted(_) => 65,
            Self::Required { .. } => 75,
            Self::Tls(_) | Self::Http(_) => 78,
            Self::Read(_) => 72,
            Self::Interrupted(_) => 70,
        }
    }
}

fn lines(contradictions: &[Contradiction]) -> String {
    let lines: Vec<String> = contradictions.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// One who is handed checkpoints.
#[derive(Debug)]
enum Witness {
    Directory(Directory),
    Endpoint(Box<Endpoint>),
}

impl Witness {
    fn name(&self) -> String {
        match self {
            Self::Directory(directory) => directory.name(),
            Self::Endpoint(endpoint) => endpoint.name().to_owned(),
        }
    }

    /// Hands over a checkpoint of the log; when this returns, the witness has it.
    async fn hand(&mut self, log: &AccessLog, newest: &Arc<Signed>) -> Result<(), Trouble> {
        match self {
            Self::Endpoint(endpoint) => endpoint.hand(log, newest).await,
            Self::Directory(directory) => {
                let (directory, log, newest) = (directory.clone(), log.clone(), Arc::clone(newest));
                tokio::task::spawn_blocking(move || directory.hand(&log, &newest)).await?
            }
        }
    }
}

/// Everybody who is handed checkpoints, asked and not contradicting.
#[derive(Debug)]
pub struct Witnesses {
    log: AccessLog,
    every: Duration,
    /// Each with the size that it has, where that is known.
    witnesses: Vec<(Witness, Option<u64>)>,
    standing: Arc<Standing>,
}

impl Witnesses {
    /// Compares the log with everything that is known of it elsewhere: the cosigned checkpoint beside it, the files in the
    /// directories, then the endpoints, which are handed the newest checkpoint. MUST be called before an entry is appended: an
    /// entry on top of an older copy would be another history.
    ///
    /// `lost` are the states that gaps of this log name as lost: who knows exactly one of them doesn't contradict, takes nothing,
    /// and is told of. The checkpoint beside the log has no such excuse: a restore brings one that the log contains.
    ///
    /// # Errors
    /// [`WitnessError::Contradicted`]; with `required` also when one can't be reached. Without, whoever can't be reached is told
    /// by [`Standing`] and tried again.
    pub async fn look(
        config: WitnessConfig,
        log: &AccessLog,
        lost: Vec<Signed>,
    ) -> Result<Self, WitnessError> {
        let lost: Arc<[Signed]> = lost.into();
        let mut endpoints = Vec::new();
        for endpoint in config.endpoints {
            endpoints.push(Endpoint::open(endpoint, config.timeout, &lost)?);
        }
        let directories: Vec<Directory> = config
            .directories
            .iter()
            .map(|path| Directory::new(path, log.name(), &lost))
            .collect();
        let mut faults: Vec<Option<Trouble>> = Vec::new();
        let mut contradictions: Vec<Contradiction> = cosigned(log).await?.into_iter().collect();
        for directory in &directories {
            faults.push(match look_at(directory, log, config.timeout).await {
                Ok(()) => None,
                Err(Trouble::Contradiction(found)) => {
                    contradictions.push(found);
                    None
                }
                Err(other) => Some(other),
            });
        }
        // Before a witness hears of it: what is wrong here already must not be signed by anybody.
        if !contradictions.is_empty() {
            return Err(WitnessError::Contradicted(contradictions));
        }
        let newest = Arc::clone(&log.checkpoints().borrow());
        let mut asked = Vec::new();
        for mut endpoint in endpoints {
            let (log, newest) = (log.clone(), Arc::clone(&newest));
            asked.push(tokio::spawn(async move {
                let outcome = endpoint.hand(&log, &newest).await;
                (endpoint, outcome)
            }));
        }
        let mut witnesses = Vec::new();
        for asked in asked {
            let (endpoint, outcome) = asked.await?;
            witnesses.push((Witness::Endpoint(Box::new(endpoint)), outcome));
        }
        for (directory, fault) in directories.into_iter().zip(faults) {
            let mut witness = Witness::Directory(directory);
            let outcome = match fault {
                Some(trouble) => Err(trouble),
                None => within(config.timeout, witness.hand(log, &newest)).await,
            };
            witnesses.push((witness, outcome));
        }
        Self::judge(log, &newest, witnesses, config.required, &config.pace)
    }

    fn judge(
        log: &AccessLog,
        newest: &Signed,
        witnesses: Vec<(Witness, Result<(), Trouble>)>,
        required: bool,
        pace: &config::Pace,
    ) -> Result<Self, WitnessError> {
        let names = witnesses.iter().map(|(witness, _)| witness.name());
        let standing = Arc::new(Standing::new(log.clone(), names, pace.required_within));
        let mut contradictions = Vec::new();
        let mut missing = None;
        let mut looked = Vec::new();
        for (place, (witness, outcome)) in witnesses.into_iter().enumerate() {
            let size = newest.checkpoint.size;
            standing.begins(place);
            match outcome {
                Ok(()) => standing.took(place, size),
                Err(Trouble::Contradiction(found)) => contradictions.push(found),
                Err(Trouble::Fault(what)) => {
                    standing.failed(place, &what);
                    missing = missing.or(Some((witness.name(), what)));
                }
                // It doesn't contradict; but it guards nothing of this log either.
                Err(Trouble::BeforeGap(what)) => {
                    standing.is_before_gap(place, &what);
                    missing = missing.or(Some((witness.name(), what)));
                }
            }
            looked.push((witness, standing.size_taken(place)));
        }
        if !contradictions.is_empty() {
            return Err(WitnessError::Contradicted(contradictions));
        }
        if let (true, Some((witness, what))) = (required, missing) {
            return Err(WitnessError::Required { witness, what });
        }
        Ok(Self {
            log: log.clone(),
            every: pace.every,
            witnesses: looked,
            standing,
        })
    }
}

/// What the directories keep of a log, for the declaration of a gap: each with the note, or why it can't be read.
pub async fn kept(
    config: &WitnessConfig,
    log: &AccessLog,
) -> Vec<(PathBuf, Result<Option<SignedNote>, String>)> {
    let mut all = Vec::new();
    for path in &config.directories {
        let directory = Directory::new(path, log.name(), &Arc::from([]));
        let reading = tokio::task::spawn_blocking(move || directory.note());
        let note = match within(config.timeout, async move { reading.await? }).await {
            Ok(note) => Ok(note),
            Err(Trouble::Contradiction(found)) => Err(found.to_string()),
            Err(Trouble::Fault(what) | Trouble::BeforeGap(what)) => Err(what),
        };
        all.push((path.clone(), note));
    }
    all
}

/// What the cosigned checkpoint beside the log knows.
async fn cosigned(log: &AccessLog) -> Result<Option<Contradiction>, WitnessError> {
    let log = log.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let path = log.cosigned_path();
        let kept = match log.read_cosigned() {
            Ok(Some(kept)) => kept,
            Ok(None) => return Ok(None),
            Err(ReadError::Damaged { path, what, .. }) => {
                return Ok(Some(Contradiction::NotOurs { path, what }));
            }
            Err(error) => return Err(error),
        };
        compare(&log, &path.display().to_string(), &kept)
    });
    Ok(looked.await??)
}

async fn look_at(
    directory: &Directory,
    log: &AccessLog,
    patience: Duration,
) -> Result<(), Trouble> {
    let (directory, log) = (directory.clone(), log.clone());
    let look = tokio::task::spawn_blocking(move || directory.look(&log));
    within(patience, async move { look.await? }).await
}

/// A file system of another machine can hang for ever.
async fn within<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    let done = tokio::time::timeout(patience, work).await;
    done.unwrap_or_else(|_| {
        Err(Trouble::Fault(format!(
            "gave no answer within {} s",
            patience.as_secs()
        )))
    })
}
