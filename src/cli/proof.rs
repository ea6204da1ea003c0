//! `sekisho log checkpoint` and `proof`: what the log proves, verified here and not believed.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::client::{Connection, read_public, with_proof};
use super::error::{CliError, Fault};
use super::log::Reading;
use super::login::say;
use super::words::{Language, Word};
use crate::log::{Checkpoint, InclusionProof, SignedNote, VerifierKey, leaf_hash};
use crate::proto::access_log_service_client::AccessLogServiceClient;
use crate::proto::get_entry_request::By;
use crate::proto::{GetCheckpointRequest, GetEntryRequest, GetInclusionProofRequest};

/// Arguments of `sekisho log checkpoint`.
#[derive(Debug, clap::Args)]
pub(super) struct CheckpointArgs {
    /// The log's verifier key (`log.vkey`), as you kept it: the checkpoint must be signed by it
    #[arg(long, value_name = "FILE")]
    log_key: Option<PathBuf>,
    /// An older checkpoint that you kept: the log must be a continuation of it
    #[arg(long, value_name = "FILE", requires = "log_key")]
    since: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `sekisho log proof`.
#[derive(Debug, clap::Args)]
pub(super) struct ProofArgs {
    /// Index in the log
    #[arg(value_name = "INDEX")]
    index: u64,
    /// The log's verifier key (`log.vkey`), as you kept it
    #[arg(long, value_name = "FILE")]
    log_key: PathBuf,
    #[command(flatten)]
    connection: Connection,
}

/// Prints the newest checkpoint, once it holds what was asked of it.
pub(super) async fn checkpoint(args: CheckpointArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let key = args
        .log_key
        .map(|path| read_key(&path, language))
        .transpose()?;
    let older = match (&args.since, &key) {
        (Some(path), Some(key)) => Some(read_checkpoint(path, key, language)?),
        _ => None,
    };
    let target = args.connection.target(None, language)?;
    let mut service = AccessLogServiceClient::new(target.connect().await?);
    let request = GetCheckpointRequest {
        old_size: older.as_ref().map_or(0, |older| older.size),
    };
    let answer = target
        .answer(service.get_checkpoint(request))
        .await?
        .into_inner();
    if let Some(key) = key {
        let newest = parse(&answer.checkpoint)
            .and_then(|note| note.checkpoint(&key).map_err(|error| error.to_string()))
            .map_err(|what| not_proved(&what, language))?;
        if let Some(older) = older {
            let path: Option<Vec<[u8; 32]>> = answer
                .consistency_proof
                .iter()
                .map(|hash| hash.as_slice().try_into().ok())
                .collect();
            crate::log::verify_consistency(
                (older.size, &older.root),
                (newest.size, &newest.root),
                &path.unwrap_or_default(),
            )
            .map_err(|error| not_proved(&error.to_string(), language))?;
            let (from, to) = (older.size.to_string(), newest.size.to_string());
            say(&Word::Continues.fill(language, &[&from, &to]));
        }
    }
    print(&answer.checkpoint, language)
}

/// Prints the proof that an entry is in the log, once it holds for the bytes that the daemon shows.
pub(super) async fn proof(args: ProofArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let key = read_key(&args.log_key, language)?;
    let mut reading = Reading::open(&args.connection, language).await?;
    let wanted = GetEntryRequest {
        by: Some(By::LogIndex(args.index)),
        log: String::new(),
    };
    let request = with_proof(wanted, &reading.kept, language)?;
    let entry = reading
        .target
        .answer(reading.service.get_entry(request))
        .await?
        .into_inner();
    let wanted = GetInclusionProofRequest {
        log_index: args.index,
    };
    let request = with_proof(wanted, &reading.kept, language)?;
    let text = reading
        .target
        .answer(reading.service.get_inclusion_proof(request))
        .await?
        .into_inner()
        .proof;
    let proof = InclusionProof::parse(&text).map_err(|error| error.to_string());
    let proved = proof.and_then(|proof| {
        let same = proof.index == args.index;
        let leaf = leaf_hash(&entry.stored);
        let proved = proof.verify(&leaf, &key).map_err(|error| error.to_string());
        proved.and_then(|proved| same.then_some(proved).ok_or_else(|| "index".to_owned()))
    });
    let proved = proved.map_err(|what| not_proved(&what, language))?;
    let (index, size) = (args.index.to_string(), proved.size.to_string());
    say(&Word::Included.fill(language, &[&index, &size]));
    print(&text, language)
}

pub(super) fn read_key(path: &Path, language: Language) -> Result<VerifierKey, CliError> {
    let text = read(path, language)?;
    VerifierKey::parse(&text).map_err(|error| unreadable(path, &error.to_string(), language))
}

pub(super) fn read_note(path: &Path, language: Language) -> Result<SignedNote, CliError> {
    parse(&read(path, language)?).map_err(|what| unreadable(path, &what, language))
}

fn read_checkpoint(
    path: &Path,
    key: &VerifierKey,
    language: Language,
) -> Result<Checkpoint, CliError> {
    parse(&read(path, language)?)
        .and_then(|note| note.checkpoint(key).map_err(|error| error.to_string()))
        .map_err(|what| unreadable(path, &what, language))
}

fn parse(text: &str) -> Result<SignedNote, String> {
    SignedNote::parse(text).map_err(|error| error.to_string())
}

fn read(path: &Path, language: Language) -> Result<String, CliError> {
    let bytes = read_public(path, language)?;
    String::from_utf8(bytes).map_err(|_| unreadable(path, "UTF-8", language))
}

fn unreadable(path: &Path, what: &str, language: Language) -> CliError {
    let path = path.display().to_string();
    CliError::new(Fault::Usage, Word::CantRead, language, &[&path, what])
}

fn not_proved(what: &str, language: Language) -> CliError {
    CliError::new(Fault::Refused, Word::NotProved, language, &[what])
}

fn print(text: &str, language: Language) -> Result<(), CliError> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| CliError::of_output(&error, language))
}
