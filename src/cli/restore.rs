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
use crate::domain::time::{Clock as _, SystemClock};
use crate::gate::restore::{Backup, Gap, GapError, GapParts, Shown};
use crate::gate::{self, StartError, lost};
use crate::identity::keyring::Keyring;
use crate::identity::password::Secret;
use crate::identity::recovery::RecoveryKey;
use crate::identity::seals::Seals;
use crate::log::{AccessLog, Signed, SignedNote};
use crate::policy;
use crate::serve::{ServeError, open_log};
use crate::store::{Store, StorePlace};
use crate::witness::{self, WitnessConfig};

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
    /// A checkpoint that was kept elsewhere (a signed note), any number of times: it shows how much is lost at least; with
    /// --declare-gap it is named as lost, so that a witness that saw it last doesn't refuse the start
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// Declare what was lost: two administrators pass both steps, then the daemon may start
    #[arg(long, requires = "reason")]
    declare_gap: bool,
    /// What happened, for the log, where it is sealed
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
            GapError::Reason(_) | GapError::TooMany(_) => Self::new(64, error),
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
                checkpoints: arguments.checkpoint,
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
                checkpoints: arguments.checkpoint,
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
    checkpoints: Vec<PathBuf>,
    config: Option<PathBuf>,
    language: Language,
}

impl Restoration {
    async fn make(self) -> Result<(), Failure> {
        let key = RecoveryKey::open(&self.key).map_err(key_failure)?;
        let notes = read_notes(&self.checkpoints)?;
        let restored = backup::restore(&self.source, &self.data, &key).await?;
        let values = [
            &*restored.log,
            &restored.entries.to_string(),
            &restored.backup_made_at,
        ];
        println!("{}", Word::RestoredFrom.fill(self.language, &values));
        if !notes.is_empty() {
            match self.lost(&notes).await? {
                0 => println!("{}", Word::ShowsNothing.text(self.language)),
                count => {
                    let count = count.to_string();
                    println!("{}", Word::AtLeastLost.fill(self.language, &[&count]));
                }
            }
        }
        let data = self.data.to_string_lossy();
        println!("{}", Word::DeclareNext.fill(self.language, &[&data]));
        Ok(())
    }

    /// How many entries are lost at least, as what was kept shows. What contradicts the restored log condemns it.
    async fn lost(&self, notes: &[(PathBuf, SignedNote)]) -> Result<u64, Failure> {
        let Some(mark) = Mark::read(&self.data)? else {
            return Ok(0);
        };
        let (config, keyring) = open_data(&self.data, self.config.clone())?;
        let log = open_log(&config, &keyring).await?.log;
        // What was restored is judged by itself, wherever the daemon will have its store.
        let restored = Store::open(&config.data.join("store.sqlite")).await;
        let store = restored.map_err(ServeError::from)?;
        let lost = most_lost(&log, &store, mark.entries, notes).await;
        store.close().await;
        tokio::task::spawn_blocking(move || log.close())
            .await
            .map_err(|error| Failure::new(70, error))?;
        match lost.map_err(ServeError::from)? {
            Some(lost) => Ok(lost),
            None => {
                mark.condemn(&self.data)?;
                let (fault, word) = (Fault::Refused, Word::AnotherLog);
                Err(CliError::new(fault, word, self.language, &[]).into())
            }
        }
    }
}

/// How many entries of the log are lost at least; `None` when something kept is not of this log.
async fn most_lost(
    log: &AccessLog,
    store: &Store,
    size: u64,
    notes: &[(PathBuf, SignedNote)],
) -> Result<Option<u64>, StartError> {
    let named = lost::states(log, store, SystemClock.now()).await?;
    let mut most = 0;
    for (_, note) in notes {
        match gate::restore::compare(log, &named, size, note).await? {
            Shown::Lost(_, count) => most = most.max(count),
            Shown::Named | Shown::Open => {}
            Shown::AnotherLog => return Ok(None),
        }
    }
    Ok(Some(most))
}

/// The store that the configuration names. An empty database gets what the backup's copy holds; another is left as it is.
async fn open_store(config: &Config, language: Language) -> Result<Store, ServeError> {
    let store = Store::open_at(&config.store).await?;
    if let StorePlace::Postgres { address, .. } = &config.store
        && store.fill_from(&config.data.join("store.sqlite")).await?
    {
        let filled = Word::StoreFilled.fill(language, &[&address.to_string()]);
        println!("{filled}");
    }
    Ok(store)
}

/// The configuration of a restored directory, and its keys.
fn open_data(data: &Path, config: Option<PathBuf>) -> Result<(Config, Keyring), Failure> {
    let mut config = serve::read(&config.unwrap_or_else(|| data.join("sekisho.toml")))?;
    config.data = data.to_owned();
    if let StorePlace::File(path) = &mut config.store {
        *path = data.join("store.sqlite");
    }
    let keyring = Keyring::open(data).map_err(ServeError::from)?;
    Ok((config, keyring))
}

fn read_notes(paths: &[PathBuf]) -> Result<Vec<(PathBuf, SignedNote)>, Failure> {
    let read = |path: &PathBuf| Ok((path.clone(), read_note(path)?));
    paths.iter().map(read).collect()
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
    /// What people kept of the lost part.
    checkpoints: Vec<PathBuf>,
    language: Language,
}

impl Declaration {
    async fn make(self) -> Result<(), Failure> {
        let name = self.data.to_string_lossy().into_owned();
        let Some(mark) = Mark::read(&self.data)? else {
            let (fault, word) = (Fault::NotFound, Word::NotRestored);
            return Err(CliError::new(fault, word, self.language, &[&name]).into());
        };
        gate::restore::check_reason(&self.reason)?;
        let notes = read_notes(&self.checkpoints)?;
        let (config, keyring) = open_data(&self.data, self.config.clone())?;
        let rules = policy::load(&config.pack)
            .map_err(Failure::configuration)?
            .rules;
        let log = open_log(&config, &keyring).await?;
        let store = open_store(&config, self.language).await?;
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
        let done = match self.find_lost(&gap, &config.witness, notes).await {
            Ok(lost) => self.declare(&mut gap, &mark, &name, &lost).await,
            Err(failure) => Err(failure),
        };
        gap.close().await;
        done
    }

    /// The states of the lost part that were given, or lie in the directories of the configuration, and that no gap names yet.
    async fn find_lost(
        &self,
        gap: &Gap,
        witnesses: &WitnessConfig,
        given: Vec<(PathBuf, SignedNote)>,
    ) -> Result<Vec<Signed>, Failure> {
        let mut found: Vec<(PathBuf, Shown)> = Vec::new();
        for (path, note) in given {
            let shown = gap.compare(&note).await?;
            if shown == Shown::AnotherLog {
                let path = path.to_string_lossy();
                let (fault, word) = (Fault::Refused, Word::NotOfLostPart);
                return Err(CliError::new(fault, word, self.language, &[&path]).into());
            }
            found.push((path, shown));
        }
        for (path, kept) in witness::kept(witnesses, gap.log()).await {
            match kept {
                Ok(Some(note)) => found.push((path, gap.compare(&note).await?)),
                Ok(None) => {}
                Err(what) => self.tell(Word::WitnessNotRead, &[&path.to_string_lossy(), &what]),
            }
        }
        let mut lost: Vec<Signed> = Vec::new();
        for (path, shown) in found {
            let path = path.to_string_lossy();
            match shown {
                Shown::Lost(state, more) => {
                    self.tell(Word::NamesLost, &[&path, &more.to_string()]);
                    if !lost::holds(&lost, &state.checkpoint) {
                        lost.push(*state);
                    }
                }
                // The start will be refused, unless somebody mends it.
                Shown::AnotherLog => self.tell(Word::NotOfLostPart, &[&path]),
                Shown::Named | Shown::Open => self.tell(Word::NamesNothing, &[&path]),
            }
        }
        if lost.len() > lost::LOST_MAX {
            return Err(GapError::TooMany(lost.len()).into());
        }
        Ok(lost)
    }

    fn tell(&self, word: Word, values: &[&str]) {
        let safe: Vec<String> = values
            .iter()
            .map(|value| super::table::neutralise(value))
            .collect();
        let safe: Vec<&str> = safe.iter().map(String::as_str).collect();
        say(&word.fill(self.language, &safe));
    }

    async fn declare(
        &self,
        gap: &mut Gap,
        mark: &Mark,
        name: &str,
        lost: &[Signed],
    ) -> Result<(), Failure> {
        // Once more only to name what it doesn't name yet.
        if let Some(declared) = gap.declared()?
            && lost.is_empty()
        {
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
        let declared = gap.declare(self.alone, &self.reason, &backup, lost).await?;
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
