//! `sekisho log reindex`: the index of the access log anew, from the log alone, whether or not a daemon runs on it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Failure;
use super::login::say;
use super::progress::{Bar, of};
use super::table::neutralise;
use super::words::{Language, Word};
use crate::gate::Unsealer;
use crate::identity::keyring::Keyring;
use crate::identity::seals::Seals;
use crate::index::{self, IndexConfig, IndexError, Progress, Rebuilt};
use crate::log::{LogReader, ReadError};

/// While less is free, no sidecar is written: the log and its daemon come first.
const SPARE_BYTES: u64 = 256 << 20;

/// Arguments of `sekisho log reindex`.
#[derive(Debug, clap::Args)]
pub(super) struct ReindexArgs {
    /// The data directory; a daemon may be running on it
    #[arg(long, value_name = "DIR", env = "SEKISHO_DATA")]
    data: PathBuf,
    /// Language of the output [default: by LC_ALL, LC_MESSAGES, LANG]
    #[arg(long, value_name = "LANGUAGE")]
    lang: Option<Language>,
}

/// Makes all sidecars anew.
pub(super) async fn run(args: ReindexArgs) -> Result<(), Failure> {
    let language = Language::choose(args.lang, |name| std::env::var_os(name));
    tokio::task::spawn_blocking(move || reindex(&args, language))
        .await
        .map_err(|error| Failure::new(70, error))?
}

fn reindex(args: &ReindexArgs, language: Language) -> Result<(), Failure> {
    let reader = LogReader::open_directory(args.data.join("log"))
        .map_err(|error| Failure::new(error.exit_code(), error))?;
    let config = IndexConfig {
        directory: args.data.join("index"),
        spare_bytes: SPARE_BYTES,
    };
    let mut bar = Bar::default();
    let opener = opener(&args.data)?;
    let began = Instant::now();
    let rebuilt = index::rebuild(config, &reader, &opener, |at| {
        bar.tell(at.done, at.all, || line(at, began.elapsed(), language));
    });
    bar.end();
    let rebuilt = rebuilt.map_err(failed)?;
    say(&told(&rebuilt, language));
    let faults = rebuilt.failed.iter();
    for fault in faults.clone() {
        let fault = neutralise(&fault.to_string());
        say(&Word::NotIndexed.fill(language, &[&fault]));
    }
    match rebuilt.failed.into_iter().next() {
        Some(first) => Err(failed(first)),
        None => Ok(()),
    }
}

/// Opens what is sealed, as the daemon does: what it can't find by the index it would not find at all.
fn opener(data: &Path) -> Result<index::Opener, Failure> {
    let keyring = Keyring::open(data).map_err(Failure::configuration)?;
    let seals = Seals::beside(data.join("seals"), keyring.log_text.clone());
    Ok(Unsealer::new(Arc::new(seals), keyring.log_text).into_opener())
}

fn failed(error: IndexError) -> Failure {
    let code = match &error {
        IndexError::Read(ReadError::Io { .. }) | IndexError::Io { .. } => 72,
        IndexError::Read(_) | IndexError::Unfit { .. } => 65,
        IndexError::File(_) => 73,
        IndexError::NoSpace { .. } => 71,
        IndexError::Busy { .. } => 75,
    };
    Failure::new(code, error)
}

fn told(rebuilt: &Rebuilt, language: Language) -> String {
    let values = [rebuilt.segments, rebuilt.entries, rebuilt.bytes >> 10].map(|n| n.to_string());
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    Word::Reindexed.fill(language, &values)
}

fn line(at: Progress, took: Duration, language: Language) -> String {
    let milliseconds = took.as_millis().max(1);
    let rate = u128::from(at.done).saturating_mul(1_000) / milliseconds;
    let values = [
        at.done.to_string(),
        at.all.to_string(),
        of(at.done, at.all, 100).to_string(),
        rate.to_string(),
    ];
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    Word::Reindexing.fill(language, &values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_in_entries_and_never_beyond_all() {
        let at = |done, all| Progress { done, all };
        let second = Duration::from_secs(1);
        assert_eq!(
            line(at(250, 1_000), second, Language::English),
            "250 of 1000 entries (25 %), 250 a second"
        );
    }
}
