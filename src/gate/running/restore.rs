//! After a restore: what came after the backup is lost, and the log must say so before the daemon answers anybody. Two
//! administrators declare it, who pass both steps against the restored store; where an office has only one, that one does it
//! alone, and the daemon serves 24 hours later.
//!
//! What was given out in the part that is lost may still be in somebody's hands: tickets, and codes that were used. So the entry
//! raises every person's epoch and spends every second factor's steps up to now, in the store together with itself: when the
//! process dies in between, the next start replays it. It also names the states of the lost part that witnesses or people have
//! kept ([`crate::gate::records::lost`]).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::decision::rules::RuleSet;
use crate::domain::access::TEXT_MAX_BYTES;
use crate::domain::ids::{LogIndex, Name};
use crate::domain::person::Person;
use crate::domain::person::id::canonical;
use crate::domain::time::{Clock, Timestamp};
use crate::gate::StartError;
use crate::gate::accounts::second_factor::THROTTLE;
use crate::gate::admission::administers;
use crate::gate::entry::{acted_by, detail};
use crate::gate::ledger::Ledger;
use crate::gate::records::lost;
use crate::gate::running::start::{Replay, own_entry, password_threads, people_of, torn_entry};
use crate::identity::keyring::Keyring;
use crate::identity::password::{PasswordError, Passwords, Secret};
use crate::identity::seals::Seals;
use crate::identity::totp::{self, Code, Seed};
use crate::log::{AccessLog, AppendError, LogReader, Opened, ReadError, Signed, SignedNote};
use crate::proto::{Decision, EntryKind, StoredChange, StoredEntry, StoredGap, stored_change};
use crate::store::{Charging, SecondFactor, Store, StoreError};

/// How long what one person did alone waits.
const ALONE_WAITS: Duration = Duration::from_hours(24);
/// How many administrators it takes.
const NEEDED: usize = 2;

/// Why a gap was not declared.
#[derive(Debug, thiserror::Error)]
pub enum GapError {
    /// Log and store don't go together, or can't be used.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The person's: id, password or code is not right, the code was used or is of an earlier step, or the account is disabled.
    /// The log tells which.
    #[error(
        "the id, the password or the code is not right (a code must be the one that is shown now)"
    )]
    NotGenuine,
    /// The person's: no role of theirs administers.
    #[error("{0} is no administrator")]
    NotAdministrator(Name),
    /// The person's: they have passed already.
    #[error("{0} has passed already: it takes another administrator")]
    Twice(Name),
    /// Not enough people have passed.
    #[error("it takes two administrators, {0} passed")]
    TooFew(usize),
    /// Alone, where others could have been asked.
    #[error("the store knows {0} administrators who can pass both steps: two of them declare it")]
    NotAlone(usize),
    /// The person's: the reason can't be taken.
    #[error("reason: {0}")]
    Reason(&'static str),
    /// More lost states than a gap may name.
    #[error("{0} different lost checkpoints are over {max}", max = lost::LOST_MAX)]
    TooMany(usize),
    /// The operator's: a stored credential can't be read.
    #[error("a stored credential can't be used: {0}")]
    Credential(#[from] PasswordError),
}

impl From<StoreError> for GapError {
    fn from(error: StoreError) -> Self {
        Self::Start(error.into())
    }
}

impl From<ReadError> for GapError {
    fn from(error: ReadError) -> Self {
        Self::Start(error.into())
    }
}

impl From<AppendError> for GapError {
    fn from(error: AppendError) -> Self {
        Self::Start(error.into())
    }
}

/// A gap that the log declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeclaredGap {
    /// The entry that says so.
    pub index: LogIndex,
    /// From when the daemon may serve.
    pub effective: Timestamp,
}

/// The newest gap that was declared in a log restored from a backup of `size` entries; `None` while none was. Where it was
/// declared again, to name more of what was lost, it is in force from the latest time that any of them says.
///
/// # Errors
/// When the log can't be read.
pub fn declared(log: &LogReader, size: u64) -> Result<Option<DeclaredGap>, ReadError> {
    let mut newest: Option<DeclaredGap> = None;
    for kept in log.forward(LogIndex(size)) {
        let kept = kept?;
        if let Some(gap) = lost::gap_of(&kept)? {
            let effective = Timestamp::from_micros(gap.effective_us);
            newest = Some(DeclaredGap {
                index: kept.index,
                effective: newest.map_or(effective, |gap| gap.effective.max(effective)),
            });
        }
    }
    Ok(newest)
}

/// Whether a log that was restored from a backup of `size` entries may be served at `now`.
///
/// # Errors
/// [`StartError::GapNotDeclared`], [`StartError::GapWaits`]; when the log can't be read.
pub fn may_serve(log: &LogReader, size: u64, now: Timestamp) -> Result<(), StartError> {
    match declared(log, size)? {
        None => Err(StartError::GapNotDeclared { size }),
        Some(gap) if gap.effective > now => Err(StartError::GapWaits {
            effective: gap.effective,
        }),
        Some(_) => Ok(()),
    }
}

/// What a checkpoint that was kept elsewhere says of a restored log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// A state of the part that is lost: the log had at least so many entries more than the backup.
    Lost(Box<Signed>, u64),
    /// A state that an earlier gap of this log names as lost.
    Named,
    /// The log contains it. There may have been more: no file can show that nothing came after it.
    Open,
    /// The log is not the one that the checkpoint commits to.
    AnotherLog,
}

/// Holds a log that was restored from a backup of `size` entries, and whose gaps name these states, against a checkpoint that
/// somebody kept.
///
/// # Errors
/// When the log can't be read.
pub async fn compare(
    log: &AccessLog,
    named: &[Signed],
    size: u64,
    kept: &SignedNote,
) -> Result<Shown, StartError> {
    let Some(kept) = lost::genuine(kept, log.verifier_key()) else {
        return Ok(Shown::AnotherLog);
    };
    if lost::holds(named, &kept.checkpoint) {
        return Ok(Shown::Named);
    }
    let (reader, knows) = (log.clone(), kept.checkpoint.size);
    let root = tokio::task::spawn_blocking(move || reader.root_at(knows))
        .await
        .map_err(|_| StartError::Interrupted)??;
    if root == Some(kept.checkpoint.root) {
        // Also where the log ends with it: a checkpoint that comes with the backup says nothing of what came after that.
        return Ok(Shown::Open);
    }
    // The log may have got entries since it was restored: tries to declare the gap.
    Ok(match knows.checked_sub(size) {
        Some(more) if more > 0 => Shown::Lost(Box::new(kept), more),
        _ => Shown::AnotherLog,
    })
}

/// What a declaration is made with.
pub struct GapParts {
    /// The one clock.
    pub clock: Arc<dyn Clock>,
    /// The pack in force: it says who administers.
    pub rules: Arc<RuleSet>,
    /// The restored keys.
    pub keyring: Keyring,
    /// The restored log, just opened.
    pub log: Opened,
    /// The restored store.
    pub store: Store,
    /// The restored keys of what is sealed in the log.
    pub seals: Seals,
    /// How many entries the backup had.
    pub size: u64,
}

/// A gap that is being declared. Log and store are open, and nobody else's, as long as it lives.
pub struct Gap {
    clock: Arc<dyn Clock>,
    rules: Arc<RuleSet>,
    keyring: Keyring,
    passwords: Passwords,
    log: Ledger,
    store: Store,
    people: HashMap<Name, Arc<Person>>,
    size: u64,
    /// What gaps name already, also those of earlier restores.
    named: Vec<Signed>,
    passed: Vec<Arc<Person>>,
}

impl Gap {
    /// Brings log and store to agree, as a start does.
    ///
    /// # Errors
    /// When they don't go together, or can't be read or written.
    pub async fn open(parts: GapParts) -> Result<Self, GapError> {
        let GapParts {
            clock,
            rules,
            keyring,
            log: opened,
            store,
            seals,
            size,
        } = parts;
        let log = opened.log;
        let ledger = Ledger::new(
            log.clone(),
            Arc::new(ArcSwap::new(Arc::clone(&rules))),
            Arc::new(seals),
            keyring.log_text.clone(),
        );
        if let Err(error) = ledger.prepare(&rules, clock.now()) {
            tracing::error!(%error, "a key is not ready: what is to be sealed under it is refused");
        }
        let applied = Replay::begin(&store, &log, &keyring).await?;
        let mut replay = Replay::default();
        for kept in log.reader().forward(LogIndex(applied)) {
            let kept = kept.map_err(StartError::from)?;
            let opened = ledger.open(&kept).map_err(StartError::from)?;
            replay.take_opened(&opened, kept.index, applied)?;
        }
        // Whether the store is a moment older is not asked here: it is, and the gap settles it.
        store.apply(&replay.changes, log.len()).await?;
        for torn in &opened.torn_tails {
            write(&ledger, torn_entry(torn, clock.now())).await?;
        }
        // Whether they are in force yet doesn't matter here.
        let named = lost::states(&log, &store, Timestamp::from_micros(i64::MAX)).await?;
        Ok(Self {
            passwords: Passwords::new(keyring.pepper.clone(), password_threads(), 1)
                .map_err(StartError::Threads)?,
            people: people_of(store.people().await?),
            passed: Vec::new(),
            clock,
            rules,
            keyring,
            log: ledger,
            store,
            size,
            named,
        })
    }

    /// What a checkpoint that somebody kept says of the restored log.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn compare(&self, kept: &SignedNote) -> Result<Shown, GapError> {
        Ok(compare(&self.log, &self.named, self.size, kept).await?)
    }

    /// The access log, which nobody else has open.
    #[must_use]
    pub fn log(&self) -> &AccessLog {
        &self.log
    }

    /// What the log declares already.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn declared(&self) -> Result<Option<DeclaredGap>, GapError> {
        Ok(declared(&self.log.reader(), self.size)?)
    }

    /// One administrator passes both steps. Each try is in the log; it is charged before the code is looked at, and the code is
    /// spent. A code counts only from the step of now on: what was shown before may have been used in the part that is lost.
    ///
    /// # Errors
    /// [`GapError::NotGenuine`] for whatever is wrong with id, password, code or account; [`GapError::NotAdministrator`] and
    /// [`GapError::Twice`] for who has proved who they are; else when log or store fail.
    pub async fn pass(&mut self, id: &Name, password: Secret, code: &str) -> Result<(), GapError> {
        let now = self.clock.now();
        let mut entry = own_entry(EntryKind::Authentication, now);
        detail(&mut entry, "step", "declare-gap");
        let canonical = canonical(id);
        let id = &*canonical;
        let person = self.people.get(id).cloned();
        if let Some(person) = &person {
            acted_by(&mut entry, person);
        }
        let credential = self.store.credential(id).await?;
        let stored = credential
            .as_ref()
            .filter(|_| person.is_some())
            .map(|credential| credential.password_hash.clone());
        let right = self.passwords.verify(password, stored).await?;
        let factor = credential.and_then(|credential| credential.second_factor);
        let refused = match (&person, factor) {
            (None, _) => Some("unknown id"),
            _ if !right => Some("wrong password"),
            (_, None) => Some("no second factor is enrolled"),
            (Some(person), Some(factor)) => {
                match self
                    .store
                    .charge_second_factor(factor.id, &THROTTLE, now)
                    .await?
                {
                    Charging::Waits(_) => Some("after wrong codes, the next try waits"),
                    Charging::Disabled => Some("the second factor is disabled"),
                    Charging::Charged(charge) => {
                        entry.store_writes = charge.writes;
                        detail(&mut entry, "attempt", charge.failures.to_string());
                        match self.spend(person, &factor, code, now).await? {
                            Ok((step, writes)) => {
                                entry.store_writes = writes;
                                detail(&mut entry, "time_step", step.to_string());
                                unfit(person, now)
                            }
                            Err(why) => Some(why),
                        }
                    }
                }
            }
        };
        let (Some(person), None) = (person, refused) else {
            return Err(self
                .refuse(entry, refused.unwrap_or_default(), GapError::NotGenuine)
                .await);
        };
        if !administers(&self.rules, &person, now) {
            let error = GapError::NotAdministrator(person.id.clone());
            return Err(self.refuse(entry, "no administrator", error).await);
        }
        if self.passed.iter().any(|other| other.id == person.id) {
            let error = GapError::Twice(person.id.clone());
            return Err(self.refuse(entry, "the same person twice", error).await);
        }
        detail(&mut entry, "outcome", "passed");
        write(&self.log, entry).await?;
        self.passed.push(person);
        Ok(())
    }

    /// The step that was spent, and the number of the store's write; else why not.
    async fn spend(
        &self,
        person: &Person,
        factor: &SecondFactor,
        code: &str,
        now: Timestamp,
    ) -> Result<Result<(u64, u64), &'static str>, GapError> {
        let Ok(code) = Code::parse(code) else {
            return Ok(Err("not a code"));
        };
        let opened = Seed::open(
            &self.keyring.seeds,
            &person.id,
            factor.id,
            &factor.sealed_seed,
        );
        let Ok(seed) = opened else {
            return Ok(Err("the stored seed does not open"));
        };
        let Some(step) = seed.matching_step(&code, now) else {
            return Ok(Err("wrong code"));
        };
        if step < seed.step_at(now) {
            return Ok(Err("code of an earlier step"));
        }
        let spending = self.store.spend_step(factor.id, step, &THROTTLE).await?;
        Ok(spending
            .spent
            .then_some((step, spending.writes))
            .ok_or("used code"))
    }

    async fn refuse(&self, mut entry: StoredEntry, why: &str, error: GapError) -> GapError {
        entry.decision = Decision::Deny.into();
        detail(&mut entry, "outcome", "refused");
        detail(&mut entry, "why", why);
        match write(&self.log, entry).await {
            Ok(_) => error,
            Err(error) => error.into(),
        }
    }

    /// How many people who administer could pass both steps now.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn administrators(&self) -> Result<usize, GapError> {
        let now = self.clock.now();
        let mut count = 0_usize;
        for person in self.people.values() {
            if unfit(person, now).is_some() || !administers(&self.rules, person, now) {
                continue;
            }
            let credential = self.store.credential(&person.id).await?;
            if credential.is_some_and(|credential| credential.second_factor.is_some()) {
                count = count.saturating_add(1);
            }
        }
        Ok(count)
    }

    /// Declares the gap by those who passed: two, or with `alone` the only one there is. `reason` is what they say of it, which
    /// is sealed; of the backup, `made_at` and its checkpoint go into the entry, and of `lost` every state.
    ///
    /// # Errors
    /// [`GapError::TooFew`], [`GapError::NotAlone`], [`GapError::Reason`], [`GapError::TooMany`]; when the entry can't be written, or the store not changed: the next start,
    /// or the next declaration, then replays it.
    pub async fn declare(
        &self,
        alone: bool,
        reason: &str,
        backup: &Backup<'_>,
        lost: &[Signed],
    ) -> Result<DeclaredGap, GapError> {
        check_reason(reason)?;
        if lost.len() > lost::LOST_MAX {
            return Err(GapError::TooMany(lost.len()));
        }
        if alone {
            match self.administrators().await? {
                0 | 1 => {}
                many => return Err(GapError::NotAlone(many)),
            }
        }
        let needed = if alone { 1 } else { NEEDED };
        let (Some(first), true) = (self.passed.first(), self.passed.len() >= needed) else {
            return Err(GapError::TooFew(self.passed.len()));
        };
        let now = self.clock.now();
        let effective = if alone { now.plus(ALONE_WAITS) } else { now };
        let mut entry = own_entry(EntryKind::LogState, now);
        acted_by(&mut entry, first);
        detail(&mut entry, "gap", "declared");
        detail(&mut entry, "size_before", self.size.to_string());
        reason.clone_into(&mut entry.free_text);
        detail(&mut entry, "backup_made_at", backup.made_at);
        if let Some(checkpoint) = backup.checkpoint {
            detail(&mut entry, "backup_checkpoint", checkpoint);
        }
        for other in self.passed.iter().skip(1) {
            detail(&mut entry, "together_with", &*other.id);
        }
        if !lost.is_empty() {
            let sizes: Vec<String> = lost
                .iter()
                .map(|lost| lost.checkpoint.size.to_string())
                .collect();
            detail(&mut entry, "lost_checkpoints_of", sizes.join(", "));
        }
        if alone {
            detail(&mut entry, "alone", "true");
            detail(&mut entry, "effective", effective.to_string());
        }
        let change = StoredChange {
            kind: Some(stored_change::Kind::GapDeclared(StoredGap {
                size: self.size,
                epoch: u64::try_from(now.micros()).unwrap_or(0),
                step: totp::newest_step_at(now),
                effective_us: effective.micros(),
                lost_checkpoints: lost.iter().map(|lost| lost.note.to_string()).collect(),
            })),
        };
        entry.change = Some(change.clone());
        let index = write(&self.log, entry).await?;
        let applied = index.0.saturating_add(1);
        self.store.apply(&[(index, change)], applied).await?;
        Ok(DeclaredGap { index, effective })
    }

    /// Closes log and store.
    pub async fn close(self) {
        let log = self.log;
        if tokio::task::spawn_blocking(move || log.close())
            .await
            .is_err()
        {
            tracing::error!("the access log was not closed");
        }
        self.store.close().await;
    }
}

/// Where the data came from.
#[derive(Debug, Clone, Copy)]
pub struct Backup<'a> {
    /// When it was made.
    pub made_at: &'a str,
    /// Its newest checkpoint, a signed note.
    pub checkpoint: Option<&'a str>,
}

/// Whether it can be the reason of a gap.
///
/// # Errors
/// [`GapError::Reason`].
pub fn check_reason(reason: &str) -> Result<(), GapError> {
    if reason.trim().is_empty() {
        Err(GapError::Reason("is missing"))
    } else if reason.len() > TEXT_MAX_BYTES {
        Err(GapError::Reason("is over 2,048 bytes"))
    } else {
        Ok(())
    }
}

async fn write(log: &Ledger, entry: StoredEntry) -> Result<LogIndex, AppendError> {
    let appending = log.append(std::slice::from_ref(&entry))?;
    // However long the disk takes: what follows depends on whether it was written.
    Ok(appending.without_deadline().await?.first().index())
}

/// Why this person's account doesn't count now.
fn unfit(person: &Person, now: Timestamp) -> Option<&'static str> {
    if person.disabled {
        return Some("account disabled");
    }
    if person.is_on_leave(now) {
        return Some("on leave");
    }
    person.has_ended(now).then_some("employment ended")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::rules::{LogClass, LogRetention, LoggedKind};
    use crate::domain::calendar::Period;
    use crate::domain::time::SystemClock;
    use crate::log::{LogConfig, SigningSeed};
    use crate::proto::StoredOutcome;
    use std::path::Path;
    use uuid::Uuid;

    const FACTOR: Uuid = Uuid::from_u128(1);

    async fn parts(folder: &Path, keyring: Keyring) -> GapParts {
        let seed = SigningSeed::new(keyring.log_signing.expose());
        let config = LogConfig {
            segment_bytes: 1 << 20,
            ..LogConfig::new(folder.join("log"), seed)
        };
        GapParts {
            clock: Arc::new(SystemClock),
            rules: Arc::new(
                crate::policy::load(Path::new("policies/recruitment"))
                    .unwrap()
                    .rules,
            ),
            seals: Seals::open(folder.join("seals"), keyring.log_text.clone()).unwrap(),
            keyring,
            log: AccessLog::open(config, "test/log").unwrap(),
            store: Store::open(&folder.join("store.sqlite")).await.unwrap(),
            size: 1,
        }
    }

    /// An entry as a login writes it: the store has made so many writes for second factors.
    fn login(store_writes: u64) -> StoredEntry {
        StoredEntry {
            store_writes,
            ..own_entry(EntryKind::Authentication, SystemClock.now())
        }
    }

    fn declaration(effective: Timestamp) -> StoredEntry {
        let gap = StoredGap {
            size: 1,
            epoch: 1_000,
            step: 500,
            effective_us: effective.micros(),
            ..StoredGap::default()
        };
        StoredEntry {
            change: Some(StoredChange {
                kind: Some(stored_change::Kind::GapDeclared(gap)),
            }),
            ..own_entry(EntryKind::LogState, SystemClock.now())
        }
    }

    #[tokio::test]
    async fn a_gap_whose_process_died_before_the_store_had_it_is_replayed() {
        let folder = tempfile::tempdir().unwrap();
        let first = parts(folder.path(), Keyring::create(folder.path()).unwrap()).await;
        let person = crate::policy::load(Path::new("policies/recruitment"))
            .unwrap()
            .people;
        let person = person.first().unwrap();
        first.store.put_person(person).await.unwrap();
        first.store.put_password(&person.id, "hash").await.unwrap();
        first
            .store
            .put_second_factor(&person.id, FACTOR, b"seed")
            .await
            .unwrap();
        let effective = SystemClock.now().plus(ALONE_WAITS);
        for entry in [login(9), declaration(effective)] {
            let written = first.log.log.append(&[entry]).unwrap();
            written.await.unwrap();
        }
        first.log.log.close();
        first.store.close().await;
        drop(first.log);

        let gap = Gap::open(parts(folder.path(), Keyring::open(folder.path()).unwrap()).await)
            .await
            .unwrap();
        let declared = gap.declared().unwrap().unwrap();
        assert_eq!(
            (declared.index, declared.effective),
            (LogIndex(1), effective)
        );
        assert_eq!(gap.store.people().await.unwrap()[0].epoch, 1_000);
        let spend = async |step| {
            let spending = gap.store.spend_step(FACTOR, step, &THROTTLE).await;
            spending.unwrap().spent
        };
        assert!(!spend(500).await && spend(501).await);
        let reader = gap.log.reader();
        let refused = may_serve(&reader, 1, SystemClock.now()).unwrap_err();
        assert!(matches!(refused, StartError::GapWaits { .. }), "{refused}");
        may_serve(&reader, 1, effective).unwrap();
        let refused = may_serve(&reader, 2, effective).unwrap_err();
        assert!(matches!(refused, StartError::GapNotDeclared { size: 2 }));
        gap.close().await;
    }

    #[tokio::test]
    async fn a_change_sealed_under_a_key_that_is_missing_is_refused_as_a_start_refuses_it() {
        let folder = tempfile::tempdir().unwrap();
        let short = |mut parts: GapParts| {
            let mut rules = RuleSet::clone(&parts.rules);
            let class = LogClass {
                id: "short".into(),
                period: Period::parse("30d").unwrap(),
                categories: None,
                kinds: None,
                entries: vec![LoggedKind::Outcome],
                line: 1,
            };
            rules.log_retention = LogRetention::new(Period::years(3), vec![class]);
            parts.rules = Arc::new(rules);
            parts
        };
        let first = short(parts(folder.path(), Keyring::create(folder.path()).unwrap()).await);
        let ledger = Ledger::new(
            first.log.log.clone(),
            Arc::new(ArcSwap::new(Arc::clone(&first.rules))),
            Arc::new(first.seals),
            first.keyring.log_text.clone(),
        );
        ledger.prepare(&first.rules, SystemClock.now()).unwrap();
        let entry = StoredEntry {
            change: Some(StoredChange {
                kind: Some(stored_change::Kind::Outcome(StoredOutcome {
                    decision_id: vec![1; 16],
                })),
            }),
            ..own_entry(EntryKind::Outcome, SystemClock.now())
        };
        write(&ledger, entry).await.unwrap();
        first.log.log.close();
        first.store.close().await;
        drop((ledger, first.log));

        std::fs::remove_dir_all(folder.path().join("seals")).unwrap();
        let again = short(parts(folder.path(), Keyring::open(folder.path()).unwrap()).await);
        let refused = Gap::open(again).await.err().unwrap();
        assert!(
            matches!(refused, GapError::Start(StartError::Sealed(LogIndex(0)))),
            "{refused}"
        );
    }

    #[test]
    fn a_gap_is_not_declared_for_a_reason_that_is_none_or_too_long() {
        assert!(check_reason(&"x".repeat(TEXT_MAX_BYTES)).is_ok());
        for bad in [" ", &"x".repeat(TEXT_MAX_BYTES + 1)] {
            assert!(matches!(check_reason(bad), Err(GapError::Reason(_))));
        }
    }

    #[tokio::test]
    async fn what_the_store_of_a_backup_forgot_counts_until_the_gap_and_not_after() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store.sqlite"))
            .await
            .unwrap();
        store.bind_log("test/log").await.unwrap();
        let mut replay = Replay::default();
        replay.take(&login(9), LogIndex(0), 0);
        let refused = replay.check(&store).await.unwrap_err();
        assert!(matches!(
            refused,
            StartError::StoreForgot { log: 9, store: 0 }
        ));
        replay.take(&declaration(SystemClock.now()), LogIndex(1), 0);
        replay.check(&store).await.unwrap();
        replay.take(&login(1), LogIndex(2), 0);
        assert!(
            replay.check(&store).await.is_err(),
            "an older copy since then"
        );
    }
}
