//! `sekisho restore`: back from a backup into a new data directory, and the declaration of what was lost. Both work on a
//! directory that no daemon runs on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::backup::{key_failure, language};
use super::error::{CliError, Fault};
use super::login::{Input, say};
use super::words::{Language, Word};
use super::{Failure, serve};
use crate::backup::{self, mark::Mark};
use crate::config::Config;
use crate::domain::ids::Name;
use crate::domain::time::SystemClock;
use crate::gate;
use crate::gate::restore::{Backup, Gap, GapError, GapParts, Shown};
use crate::identity::keyring::Keyring;
use crate::identity::password::Secret;
use crate::identity::recovery::RecoveryKey;
use crate::identity::seals::Seals;
use crate::log::{SignedNote, SigningKey};
use crate::policy;
use crate::serve::{ServeError, open_log};
use crate::store::Store;

/// How often an administrator may try at a terminal.
const TRIES: usize = 3;

#[derive(Debug, clap::Args)]
pub(super) struct RestoreArgs {
    /// The backup to restore
    #[arg(
        required_unless_present = "declare_gap",
        conflicts_with = "declare_gap",
        requires = "recovery_key"
    )]
    source: Option<PathBuf>,
    /// The data directory: to restore, a new or empty one
    #[arg(long, value_name = "DIR", env = "SEKISHO_DATA")]
    data: PathBuf,
    /// The private half of the recovery key that the backup's keys are sealed to
    #[arg(long, value_name = "FILE")]
    recovery_key: Option<PathBuf>,
    /// The last checkpoint that was kept elsewhere (a signed note): after a clean stop it shows that nothing is missing
    #[arg(long, value_name = "FILE", conflicts_with = "declare_gap")]
    checkpoint: Option<PathBuf>,
    /// Declare what was lost: two administrators pass both steps, then the daemon may start
    #[arg(long, requires = "reason")]
    declare_gap: bool,
    /// What happened, for the log; no personal data
    #[arg(long, value_name = "TEXT", requires = "declare_gap")]
    reason: Option<String>,
    /// Only one administrator there is: declared alone, the daemon serves 24 hours later
    #[arg(long, requires = "declare_gap")]
    small_office: bool,
    /// The configuration [default: DATA/sekisho.toml]
    #[arg(long, value_name = "FILE", env = "SEKISHO_CONFIG")]
    config: Option<PathBuf>,
    /// Language of the output [default: by LC_ALL, LC_MESSAGES, LANG]
    #[arg(long, value_name = "LANGUAGE")]
    lang: Option<Language>,
}

impl From<GapError> for Failure {
    fn from(error: GapError) -> Self {
        match error {
            GapError::Start(error) => ServeError::from(error).into(),
            GapError::Credential(error) => Self::new(72, error),
            GapError::NotGenuine
            | GapError::NotAdministrator(_)
            | GapError::Twice(_)
            | GapError::TooFew(_)
            | GapError::NotAlone(_) => Self::new(77, error),
        }
    }
}

pub(super) async fn run(arguments: RestoreArgs) -> Result<(), Failure> {
    let language = language(arguments.lang);
    match (arguments.source, arguments.recovery_key, arguments.reason) {
        (Some(source), Some(key), _) => {
            let restoration = Restoration {
                source,
                data: arguments.data,
                key,
                checkpoint: arguments.checkpoint,
                config: arguments.config,
                language,
            };
            restoration.make().await
        }
        (None, _, Some(reason)) => {
            let declaration = Declaration {
                data: arguments.data,
                config: arguments.config,
                alone: arguments.small_office,
                reason,
                language,
            };
            declaration.make().await
        }
        _ => Err(Failure::new(
            64,
            "restore: give SOURCE and --recovery-key, or --declare-gap and --reason",
        )),
    }
}

struct Restoration {
    source: PathBuf,
    data: PathBuf,
    key: PathBuf,
    checkpoint: Option<PathBuf>,
    config: Option<PathBuf>,
    language: Language,
}

impl Restoration {
    async fn make(self) -> Result<(), Failure> {
        let key = RecoveryKey::open(&self.key).map_err(key_failure)?;
        let note = self.checkpoint.as_deref().map(read_note).transpose()?;
        let restored = backup::restore(&self.source, &self.data, &key).await?;
        let values = [
            &*restored.log,
            &restored.entries.to_string(),
            &restored.backup_made_at,
        ];
        println!("{}", Word::RestoredFrom.fill(self.language, &values));
        let shown = match &note {
            Some(note) => self.compare(note).await?,
            None => Shown::Open,
        };
        match shown {
            Shown::Lost(count) => {
                let count = count.to_string();
                println!("{}", Word::AtLeastLost.fill(self.language, &[&count]));
            }
            Shown::Open if note.is_some() => {
                println!("{}", Word::ShowsNothing.text(self.language));
            }
            Shown::Open | Shown::AnotherLog => {}
        }
        let data = self.data.to_string_lossy();
        println!("{}", Word::DeclareNext.fill(self.language, &[&data]));
        Ok(())
    }

    async fn compare(&self, note: &SignedNote) -> Result<Shown, Failure> {
        let Some(mark) = Mark::read(&self.data)? else {
            return Ok(Shown::Open);
        };
        let (config, keyring) = open_data(&self.data, self.config.clone())?;
        let key = SigningKey::new(&mark.log, keyring.log_signing.expose());
        let key = key.map_err(Failure::configuration)?;
        let log = open_log(&config, &keyring).await?.log;
        let shown = match note.checkpoint(key.verifier_key()) {
            Ok(checkpoint) => gate::restore::compare(&log, &checkpoint)
                .await
                .map_err(ServeError::from),
            Err(_) => Ok(Shown::AnotherLog),
        };
        tokio::task::spawn_blocking(move || log.close())
            .await
            .map_err(|error| Failure::new(70, error))?;
        let shown = shown?;
        match shown {
            Shown::AnotherLog => {
                mark.condemn(&self.data)?;
                let (fault, word) = (Fault::Refused, Word::AnotherLog);
                return Err(CliError::new(fault, word, self.language, &[]).into());
            }
            Shown::Lost(_) | Shown::Open => {}
        }
        Ok(shown)
    }
}

/// The configuration of a restored directory, and its keys.
fn open_data(data: &Path, config: Option<PathBuf>) -> Result<(Config, Keyring), Failure> {
    let mut config = serve::read(&config.unwrap_or_else(|| data.join("sekisho.toml")))?;
    config.data = data.to_owned();
    let keyring = Keyring::open(data).map_err(ServeError::from)?;
    Ok((config, keyring))
}

fn read_note(path: &Path) -> Result<SignedNote, Failure> {
    let failed = |what: String| Failure::new(64, format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    SignedNote::parse(&text).map_err(|error| failed(error.to_string()))
}

struct Declaration {
    data: PathBuf,
    config: Option<PathBuf>,
    alone: bool,
    reason: String,
    language: Language,
}

impl Declaration {
    async fn make(self) -> Result<(), Failure> {
        let name = self.data.to_string_lossy().into_owned();
        let Some(mark) = Mark::read(&self.data)? else {
            let (fault, word) = (Fault::NotFound, Word::NotRestored);
            return Err(CliError::new(fault, word, self.language, &[&name]).into());
        };
        let (config, keyring) = open_data(&self.data, self.config.clone())?;
        let rules = policy::load(&config.pack)
            .map_err(Failure::configuration)?
            .rules;
        let log = open_log(&config, &keyring).await?;
        let store = Store::open(&self.data.join("store.sqlite"))
            .await
            .map_err(ServeError::from)?;
        let seals = Seals::open(self.data.join("seals"), keyring.log_text.clone())
            .map_err(ServeError::from)?;
        let mut gap = Gap::open(GapParts {
            clock: Arc::new(SystemClock),
            rules: Arc::new(rules),
            keyring,
            log,
            store,
            seals,
            size: mark.entries,
        })
        .await?;
        let done = self.declare(&mut gap, &mark, &name).await;
        gap.close().await;
        done
    }

    async fn declare(&self, gap: &mut Gap, mark: &Mark, name: &str) -> Result<(), Failure> {
        if let Some(declared) = gap.declared()? {
            let index = declared.index.to_string();
            println!("{}", Word::GapAlready.fill(self.language, &[&index]));
            return Ok(());
        }
        if self.alone {
            // Before anybody types anything.
            let administrators = gap.administrators().await?;
            if administrators > 1 {
                return Err(GapError::NotAlone(administrators).into());
            }
        }
        let values = [name, &mark.backup_made_at, &mark.entries.to_string()];
        say(&Word::GapIntroduction.fill(self.language, &values));
        let input = Input::new(self.language);
        for _ in 0..if self.alone { 1 } else { 2 } {
            self.pass(gap, input).await?;
        }
        let backup = Backup {
            made_at: &mark.backup_made_at,
            checkpoint: mark.checkpoint.as_deref(),
        };
        let declared = gap.declare(self.alone, &self.reason, &backup).await?;
        let index = declared.index.to_string();
        let words = if self.alone {
            let values = [&*index, &declared.effective.to_string()];
            Word::GapDeclaredAlone.fill(self.language, &values)
        } else {
            Word::GapDeclared.fill(self.language, &[&index])
        };
        println!("{words}");
        Ok(())
    }

    /// One administrator: ID, password, code.
    async fn pass(&self, gap: &mut Gap, input: Input) -> Result<(), Failure> {
        let mut tries = if input.terminal { TRIES } else { 1 };
        loop {
            let id = input.line(Word::AskAdministrator).await?;
            let password = input.secret(Word::AskPassword).await?;
            let code = input.line(Word::AskCode).await?;
            tries = tries.saturating_sub(1);
            let passed = match (Name::parse(id.trim()), Secret::parse(&password)) {
                (Ok(id), Ok(password)) => gap.pass(&id, password, code.trim()).await,
                // As wrong as any other; there is nobody whom the log could name.
                _ => Err(GapError::NotGenuine),
            };
            match passed {
                Ok(()) => {
                    let id = super::table::neutralise(id.trim());
                    say(&Word::PassedBothSteps.fill(self.language, &[&id]));
                    return Ok(());
                }
                Err(
                    error @ (GapError::NotGenuine
                    | GapError::NotAdministrator(_)
                    | GapError::Twice(_)),
                ) if tries > 0 => {
                    let error = super::table::neutralise(&error.to_string());
                    say(&Word::NotThisOne.fill(self.language, &[&error]));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
