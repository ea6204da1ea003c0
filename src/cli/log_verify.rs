//! `sekisho log verify`: whether a log, or an export of one, is whole. Needs no daemon and no ticket, only the right to read
//! the files; changes nothing.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::error::{CliError, Fault};
use super::log_finding;
use super::proof;
use super::table::neutralise;
use super::words::{Language, Word};
use crate::log::{Progress, Verified, VerifyError, VerifyOptions, verify as verify_log};

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// Arguments of `sekisho log verify`.
#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// Directory of a log (the `log` in the data directory), of a daemon that runs or not, or of an export as tiles
    #[arg(value_name = "LOGDIR|EXPORT")]
    path: PathBuf,
    /// The log's verifier key (`log.vkey`), as you kept it [default: the one in the directory, which proves less]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// An older checkpoint that you kept: the log must begin with the entries that it commits to
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// One JSON object; 64-bit numbers are texts
    #[arg(long)]
    json: bool,
    /// Tell progress also where standard error is no terminal
    #[arg(long)]
    progress: bool,
    /// Language of the output [default: by LC_ALL, LC_MESSAGES, LANG]
    #[arg(long, value_name = "LANGUAGE")]
    lang: Option<Language>,
}

/// Verifies, and tells what was verified.
///
/// # Errors
/// When anything is not whole, naming the first entry; when there is no log, or it can't be read.
pub(super) async fn verify(args: VerifyArgs) -> Result<(), CliError> {
    let language = Language::choose(args.lang, |name| std::env::var_os(name));
    let options = VerifyOptions {
        key: args
            .key
            .map(|path| proof::read_key(&path, language))
            .transpose()?,
        checkpoint: args
            .checkpoint
            .map(|path| proof::read_note(&path, language))
            .transpose()?,
    };
    let teller = Teller::new(args.progress, language);
    let outcome = tokio::task::spawn_blocking(move || {
        let outcome = verify_log(&args.path, &options, &|progress| teller.tell(progress));
        teller.clear();
        outcome
    });
    let outcome = outcome.await.map_err(|error| {
        let error = error.to_string();
        CliError::new(Fault::Internal, Word::CantReadLog, language, &[&error])
    })?;
    match outcome {
        Ok(verified) if args.json => print(&format!("{}\n", fields(&verified)), language),
        Ok(verified) => print(&sentences(&verified, language), language),
        Err(error) => {
            if let (true, VerifyError::Damaged(finding)) = (args.json, &error) {
                print(&format!("{}\n", log_finding::fields(finding)), language)?;
            }
            Err(log_finding::failed(&error, language))
        }
    }
}

fn print(text: &str, language: Language) -> Result<(), CliError> {
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| CliError::of_output(&error, language))
}

fn fields(verified: &Verified) -> Value {
    let disposed: Vec<Value> = verified
        .disposed
        .iter()
        .map(|range| {
            json!({
                "first": range.first.to_string(),
                "last": range.next.saturating_sub(1).to_string(),
                "at": range.at.to_string(),
                "rule": range.rule,
            })
        })
        .collect();
    json!({
        "whole": true,
        "log": verified.name,
        "entries": verified.entries.to_string(),
        "root": BASE64.encode(&verified.root),
        "segments": verified.segments.to_string(),
        "checkpoints": verified.checkpoints.to_string(),
        "signed_entries": verified.checkpoint.size.to_string(),
        "key": verified.key.to_string(),
        "key_from_directory": verified.key_from_directory,
        "kept_entries": verified.kept.as_ref().map(|kept| kept.size.to_string()),
        "disposed": disposed,
    })
}

fn sentences(verified: &Verified, language: Language) -> String {
    let mut lines = Vec::new();
    let mut line = |word: Word, values: &[&str]| {
        let values: Vec<String> = values.iter().map(|value| neutralise(value)).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        lines.push(word.fill(language, &values));
    };
    let [entries, segments, checkpoints] =
        [verified.entries, verified.segments, verified.checkpoints].map(|count| count.to_string());
    let values = [&*verified.name, &entries, &segments, &checkpoints];
    line(Word::LogWhole, &values);
    line(Word::LogRoot, &[&BASE64.encode(&verified.root)]);
    let unsigned = verified.entries.saturating_sub(verified.checkpoint.size);
    if unsigned > 0 {
        line(Word::LogUnsigned, &[&unsigned.to_string()]);
    }
    for range in &verified.disposed {
        let (first, last) = (
            range.first.to_string(),
            range.next.saturating_sub(1).to_string(),
        );
        let values = [&*first, &last, &range.at.to_string(), &range.rule];
        line(Word::LogDisposed, &values);
    }
    if let Some(kept) = &verified.kept {
        line(Word::LogKept, &[&kept.size.to_string()]);
    }
    let word = if verified.key_from_directory {
        Word::LogKeyBeside
    } else {
        Word::LogKeyGiven
    };
    line(word, &[&verified.key.to_string()]);
    lines.push(String::new());
    lines.join("\n")
}

/// Tells progress on standard error.
pub(super) struct Teller {
    language: Language,
    /// Each line over the one before.
    terminal: bool,
    wanted: bool,
    told: Mutex<Option<Instant>>,
}

impl Teller {
    /// To a terminal always, elsewhere when it is `wanted`.
    pub(super) fn new(wanted: bool, language: Language) -> Self {
        let terminal = io::stderr().is_terminal();
        Self {
            language,
            terminal,
            wanted: wanted || terminal,
            told: Mutex::new(None),
        }
    }

    /// Tells, unless it was told a moment ago.
    pub(super) fn tell(&self, progress: Progress) {
        if !self.wanted {
            return;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let all = progress.done >= progress.total;
        if !all && told.is_some_and(|at| at.elapsed() < TELL_EVERY) {
            return;
        }
        *told = Some(Instant::now());
        let (done, total) = (progress.done.to_string(), progress.total.to_string());
        let words = Word::EntriesOf.fill(self.language, &[&done, &total]);
        let mut out = io::stderr();
        // Nobody is to lose a verification because progress can't be told.
        let _ = if self.terminal {
            write!(out, "\r\u{1b}[K{words}")
        } else {
            writeln!(out, "{words}")
        };
    }

    /// Leaves the line empty for what is said next.
    pub(super) fn clear(&self) {
        if self.terminal {
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }
}
