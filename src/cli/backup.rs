//! `sekisho backup`: a copy of the data directory beside the running daemon. Run it as the operating system's user that the
//! daemon runs as; it needs no ticket, since whoever may read the directory may read it anyway, and what leaves it is sealed.

use std::path::{Path, PathBuf};

use super::error::{CliError, Fault};
use super::words::{Language, Word};
use super::{Failure, serve};
use crate::backup;
use crate::domain::time::{Clock, SystemClock};
use crate::identity::recovery::{RecoveryKey, RecoveryKeyError, RecoveryPublicKey};
use crate::store::StorePlace;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct BackupArgs {
    #[command(subcommand)]
    command: Option<BackupCommand>,
    /// The directory to make: new or empty, on another disk
    #[arg(required = true)]
    target: Option<PathBuf>,
    /// The data directory
    #[arg(long, value_name = "DIR", required = true, env = "SEKISHO_DATA")]
    data: Option<PathBuf>,
    /// The public half of the recovery key to seal the keys to [default: the configuration's backup.recovery_key]
    #[arg(long, value_name = "FILE")]
    to_key: Option<PathBuf>,
    /// The configuration [default: DATA/sekisho.toml]
    #[arg(long, value_name = "FILE", env = "SEKISHO_CONFIG")]
    config: Option<PathBuf>,
    /// Language of the output [default: by LC_ALL, LC_MESSAGES, LANG]
    #[arg(long, value_name = "LANGUAGE")]
    lang: Option<Language>,
}

#[derive(Debug, clap::Subcommand)]
enum BackupCommand {
    /// Make a recovery key, on another machine than the one that makes backups
    NewRecoveryKey {
        /// Where to write the private half: it opens the keys of every backup
        #[arg(long, value_name = "FILE")]
        private: PathBuf,
        /// Where to write the public half
        #[arg(long, value_name = "FILE")]
        public: PathBuf,
        /// Language of the output [default: by LC_ALL, LC_MESSAGES, LANG]
        #[arg(long, value_name = "LANGUAGE")]
        lang: Option<Language>,
    },
}

pub(super) async fn run(arguments: BackupArgs) -> Result<(), Failure> {
    if let Some(BackupCommand::NewRecoveryKey {
        private,
        public,
        lang,
    }) = arguments.command
    {
        return new_recovery_key(&private, &public, lang);
    }
    let language = language(arguments.lang);
    let (Some(target), Some(data)) = (arguments.target, arguments.data) else {
        return Err(Failure::new(64, "backup: TARGET and --data are needed"));
    };
    let store = store_of(&data, arguments.config.as_deref())?;
    let key = match arguments.to_key {
        Some(key) => key,
        None => configured_key(&data, arguments.config, language)?,
    };
    let key = RecoveryPublicKey::open(&key).map_err(key_failure)?;
    let made = backup::make(&data, &store, &target, &key, SystemClock.now()).await?;
    let values = [
        &*made.log,
        &made.entries.to_string(),
        &made.files.to_string(),
        &made.bytes.to_string(),
        &made.recovery_key,
    ];
    println!("{}", Word::BackedUp.fill(language, &values));
    for name in &made.left_out {
        let name = super::table::neutralise(name);
        eprintln!("{}", Word::NotCopied.fill(language, &[&name]));
    }
    Ok(())
}

/// Where the store is: on a server where the configuration says so, else in the data directory that is backed up.
fn store_of(data: &Path, config: Option<&Path>) -> Result<StorePlace, Failure> {
    let config = config.map_or_else(|| data.join("sekisho.toml"), Path::to_owned);
    if config.exists()
        && let place @ StorePlace::Postgres { .. } = serve::read(&config)?.store
    {
        return Ok(place);
    }
    Ok(StorePlace::File(data.join("store.sqlite")))
}

/// The key that the configuration names. A backup without one would hold the keys in clear, or none: it is refused.
fn configured_key(
    data: &Path,
    config: Option<PathBuf>,
    language: Language,
) -> Result<PathBuf, Failure> {
    let config = config.unwrap_or_else(|| data.join("sekisho.toml"));
    let named = config
        .exists()
        .then(|| serve::read(&config))
        .transpose()?
        .and_then(|config| config.recovery_key);
    named.ok_or_else(|| {
        let config = config.to_string_lossy();
        CliError::new(Fault::Usage, Word::NoRecoveryKey, language, &[&config]).into()
    })
}

fn new_recovery_key(private: &Path, public: &Path, lang: Option<Language>) -> Result<(), Failure> {
    let id = RecoveryKey::create(private, public).map_err(key_failure)?;
    let values = [
        &*id.to_string(),
        &private.to_string_lossy(),
        &public.to_string_lossy(),
    ];
    println!("{}", Word::RecoveryKeyMade.fill(language(lang), &values));
    Ok(())
}

pub(super) fn language(given: Option<Language>) -> Language {
    Language::choose(given, |name| std::env::var_os(name))
}

pub(super) fn key_failure(error: RecoveryKeyError) -> Failure {
    backup::BackupError::from(error).into()
}
