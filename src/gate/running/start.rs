//! Start and stop: log and store are brought to agree, and what a restart must not forgive is rebuilt from the log: counts,
//! last use of sessions, request ids.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{Mutex, Semaphore, watch};

use crate::decision::rules::{RuleSet, Service};
use crate::domain::ids::{LogIndex, Name, SessionId};
use crate::domain::person::Person;
use crate::domain::time::{Clock, Timestamp};
use crate::gate::accounts::reset::HostProofs;
use crate::gate::accounts::second_factor::THROTTLE;
use crate::gate::changes::Changes;
use crate::gate::counters::Counters;
use crate::gate::ledger::{Ledger, Lost, Opened as OpenedEntry};
use crate::gate::outcome::recount;
use crate::gate::policies::{Policies, PolicyBegun};
use crate::gate::records::log_state::JUMP;
use crate::gate::records::read_log::SCANS_AT_ONCE;
use crate::gate::refusals::Refusals;
use crate::gate::repeats::{Key, REMEMBERED, Repeats};
use crate::gate::running::follow::{Followed, load};
use crate::gate::running::forgetting::Settled;
use crate::gate::subjects::Register;
use crate::gate::{Gate, GateError, Settings, entry};
use crate::identity::challenge::Challenges;
use crate::identity::current_keys::CurrentKeys;
use crate::identity::enrollments::Enrollments;
use crate::identity::keyring::Keyring;
use crate::identity::live::LiveSessions;
use crate::identity::password::Passwords;
use crate::identity::seals::Seals;
use crate::identity::sessions::Sessions;
use crate::log::{AccessLog, AppendError, Opened, ReadError, TornTail};
use crate::policy::shelf::written;
use crate::proto::stored_change::Kind;
use crate::proto::{EntryKind, StoredChange, StoredEntry, StoredRecordKind};
use crate::store::{Store, StoreError};

/// How many logins wait for a core before the next is told to come back.
const PASSWORDS_QUEUED_MAX: usize = 64;

/// Of how many sessions the last use is remembered; one forgotten counts from its ticket's last renewal.
const SESSIONS_MAX: usize = 100_000;

/// How long the store may take where nobody waits for it by name.
pub(in crate::gate) const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// What a gate is made of.
pub struct Parts {
    /// The one clock.
    pub clock: Arc<dyn Clock>,
    /// What the operator decides.
    pub settings: Settings,
    /// The pack in force, and where others come from.
    pub policy: PolicyBegun,
    /// The keys.
    pub keyring: Keyring,
    /// The log, just opened.
    pub log: Opened,
    /// The store.
    pub store: Store,
    /// The keys that disposal destroys.
    pub seals: Seals,
}

/// Why a start is refused.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The first entry can't be written.
    #[error("the access log can't be written: {0}")]
    Append(#[from] AppendError),
    /// What the store lacks can't be opened.
    #[error(
        "entry {0} of the access log is sealed under a key that is not in seals/, and the store lacks what it changed; restore the directory from the same backup"
    )]
    Sealed(LogIndex),
    /// The log is an older copy.
    #[error(
        "the access log is older than the store: it has {log} entries, the store has applied {store}; restore both from one backup"
    )]
    LogOlderThanStore {
        /// Entries of the log.
        log: u64,
        /// Entries that the store has applied.
        store: u64,
    },
    /// What was in force before can't be taken up.
    #[error("the policy that was in force before: {0}")]
    Policy(GateError),
    /// The system gives no threads for hashing passwords.
    #[error("no threads for hashing passwords: {0}")]
    Threads(std::io::Error),
    /// A restored directory of which nobody has said yet that something is missing.
    #[error(
        "this directory was restored from a backup of {size} entries, and what came after is lost: two administrators declare that first, with `sekisho restore --declare-gap`"
    )]
    GapNotDeclared {
        /// Entries of the backup.
        size: u64,
    },
    /// One administrator declared the gap alone.
    #[error(
        "the gap of this restored directory was declared by one person alone: it serves from {effective} on"
    )]
    GapWaits {
        /// From when it may serve.
        effective: Timestamp,
    },
    /// The log was rewritten or replaced.
    #[error(
        "the first {size} entries of the access log are not those that the store was told of: the log was replaced or rewritten"
    )]
    AnotherLog {
        /// Up to where the store knows the log.
        size: u64,
    },
    /// The store is an older copy, in which codes that were used are not.
    #[error(
        "the store is older than the access log: it has made {store} writes for second factors, the log knows {log}; restore both from one backup"
    )]
    StoreForgot {
        /// Writes that the log knows.
        log: u64,
        /// Writes that the store made.
        store: u64,
    },
    /// The process is ending.
    #[error("the start was interrupted")]
    Interrupted,
    /// The store is an older copy.
    #[error(
        "the store is older than the access log: it knows {store} starts, the log {log}; restore both from one backup"
    )]
    StoreOlderThanLog {
        /// Starts that the log knows.
        log: u64,
        /// Starts that the store knows.
        store: u64,
    },
}

/// What the entries since the last mark say.
#[derive(Default)]
pub(in crate::gate) struct Replay {
    pub(in crate::gate) changes: Vec<(LogIndex, StoredChange)>,
    /// The newest number of a start.
    starts: u64,
    /// The newest number of a write for second factors.
    factor_writes: u64,
}

impl Replay {
    /// Makes sure that log and store belong together and to this keyring, and tells how far the store has followed.
    pub(in crate::gate) async fn begin(
        store: &Store,
        log: &AccessLog,
        keyring: &Keyring,
    ) -> Result<u64, StartError> {
        store.bind_log(log.name()).await?;
        store
            .bind_pseudonym_key(keyring.pseudonyms.id().as_str())
            .await?;
        let applied = store.applied().await?;
        if applied > log.len() {
            return Err(StartError::LogOlderThanStore {
                log: log.len(),
                store: applied,
            });
        }
        if let Some((size, root)) = store.kept_checkpoint().await? {
            let reader = log.clone();
            let found = tokio::task::spawn_blocking(move || reader.root_at(size)).await;
            match found.map_err(|_| StartError::Interrupted)?? {
                None => {
                    return Err(StartError::LogOlderThanStore {
                        log: log.len(),
                        store: size,
                    });
                }
                Some(found) if found != root => return Err(StartError::AnotherLog { size }),
                Some(_) => {}
            }
        }
        Ok(applied)
    }

    /// Takes in the entry at `index`, opened, where the store has followed up to `applied`.
    ///
    /// # Errors
    /// [`StartError::Sealed`] when the store lacks what it changed, and nobody can tell what that was.
    pub(in crate::gate) fn take_opened(
        &mut self,
        opened: &OpenedEntry,
        index: LogIndex,
        applied: u64,
    ) -> Result<(), StartError> {
        let missing = |lost: &Lost| lost.whole && !lost.disposed_of;
        if index.0 >= applied && opened.lost.as_ref().is_some_and(missing) {
            return Err(StartError::Sealed(index));
        }
        self.take(&opened.entry, index, applied);
        Ok(())
    }

    /// Takes in the entry at `index`, where the store has followed up to `applied`.
    pub(in crate::gate) fn take(&mut self, entry: &StoredEntry, index: LogIndex, applied: u64) {
        if index.0 >= applied
            && let Some(change) = &entry.change
        {
            self.changes.push((index, change.clone()));
        }
        if entry.kind == i32::from(EntryKind::DaemonStart) {
            self.starts = self.starts.max(start_number(entry));
        }
        self.factor_writes = self.factor_writes.max(entry.store_writes);
        if let Some(Kind::GapDeclared(_)) = entry.change.as_ref().and_then(|it| it.kind.as_ref()) {
            // The store of a backup is a moment older than its log: what it forgot is settled by the gap.
            (self.starts, self.factor_writes) = (0, 0);
        }
    }

    /// Makes sure that the store is no older copy.
    pub(in crate::gate) async fn check(&self, store: &Store) -> Result<(), StartError> {
        let known_starts = store.starts().await?;
        if known_starts < self.starts {
            return Err(StartError::StoreOlderThanLog {
                log: self.starts,
                store: known_starts,
            });
        }
        let known_writes = store.factor_writes().await?;
        if known_writes < self.factor_writes {
            return Err(StartError::StoreForgot {
                log: self.factor_writes,
                store: known_writes,
            });
        }
        Ok(())
    }
}

impl Gate {
    /// Brings log and store to agree, takes up what the log knows, and writes the entry of this start.
    ///
    /// # Errors
    /// When either can't be read or written, or one is an older copy than the other knows.
    pub async fn start(parts: Parts) -> Result<Arc<Self>, StartError> {
        let Parts {
            clock,
            settings,
            policy,
            keyring,
            log: opened,
            store,
            seals,
        } = parts;
        let now = clock.now();
        let before = policy.before;
        let last = policy.last.clone();
        let rules = Arc::new(ArcSwap::new(Arc::clone(&policy.rules)));
        let log = opened.log;
        let applied = Replay::begin(&store, &log, &keyring).await?;
        let followed = if store.has_others() {
            // Before anything is read of what others change.
            let newest = store.newest_change().await?;
            Followed::begin(newest, Some(settings.snapshot_max_age))
        } else {
            Followed::begin(0, None)
        };
        let gate = Arc::new(Self {
            counters: Counters::new(),
            coming_limits: ArcSwapOption::empty(),
            repeats: Repeats::new(settings.request_ids_max),
            refusals: Refusals::default(),
            named_factor_writes: AtomicU64::default(),
            challenges: Challenges::new(),
            enrollments: Enrollments::default(),
            locked_out: ArcSwap::default(),
            sessions: Sessions::new(SESSIONS_MAX),
            passwords: Passwords::new(
                keyring.pepper.clone(),
                password_threads(),
                PASSWORDS_QUEUED_MAX,
            )
            .map_err(StartError::Threads)?,
            subjects: Register::new(),
            people: ArcSwap::default(),
            log: Ledger::new(
                log,
                Arc::clone(&rules),
                Arc::new(seals),
                keyring.log_text.clone(),
            ),
            rules,
            policies: Arc::new(Policies::of(policy)),
            changes: Mutex::new(Changes::default()),
            recorded: Mutex::default(),
            live: LiveSessions::default(),
            generations: ArcSwap::default(),
            opening_reviews: Mutex::default(),
            disposing: Mutex::default(),
            carrying_out: Mutex::default(),
            upkeep: Arc::default(),
            incidents: crate::gate::incidents::Incidents::default(),
            host_proofs: HostProofs::default(),
            preparing: Arc::default(),
            keys: Arc::new(CurrentKeys::of(&keyring)),
            settled: Settled::default(),
            waits_counted: Mutex::new(clock.steady()),
            lost_imports: ArcSwap::default(),
            importing: Arc::new(Semaphore::new(1)),
            scans: Semaphore::new(SCANS_AT_ONCE),
            findings: Default::default(),
            stopping: watch::Sender::new(()),
            built_in_service: built_in_service(),
            settings,
            clock,
            keyring,
            index: OnceLock::new(),
            store,
            followed,
        });
        let reading = Arc::clone(&gate);
        let replay = tokio::task::spawn_blocking(move || reading.replay(applied, now)).await;
        let replay = replay.map_err(|_| StartError::Interrupted)??;
        replay.check(&gate.store).await?;
        let known_writes = gate.store.factor_writes().await?;
        let named = gate.store.named_factor_writes().await?;
        let unlogged = known_writes.saturating_sub(named.max(replay.factor_writes));
        gate.store.apply(&replay.changes, gate.log.len()).await?;
        // Only now: what was replayed may have raised an epoch.
        gate.people
            .store(Arc::new(people_of(gate.store.people().await?)));
        let refused = gate.stay_by(last, now).await.map_err(StartError::Policy)?;
        let before = before.filter(|_| refused.is_none());
        let locked = gate.store.locked_people(&THROTTLE).await?;
        gate.locked_out
            .store(Arc::new(locked.into_iter().collect()));
        let dropped_credentials = gate.store.drop_staged().await?;
        let seeds = gate.seal_seeds_anew().await?;
        if seeds.unreadable > 0 {
            gate.look_for_missing_keys().await?;
        }
        // What is in force goes to its place first, whichever daemon's it is.
        while gate.store.fold_imports().await?.is_some() {}
        let dropped_imports = gate.store.drop_unnamed_imports().await?;
        let lost_imports = gate.read_lost_imports().await?;
        if lost_imports > 0 {
            tracing::error!(
                lost_imports,
                "imports of subjects that the log has are not in this store, as after a restore: what depends on them is refused until their files are imported again; /readyz says which"
            );
        }
        load(&gate.store, &gate.subjects).await?;
        for (session, until) in gate.store.revoked_sessions().await? {
            gate.sessions.revoke(session, until, gate.clock.steady());
        }
        gate.read_live().await?;
        gate.begin_records().await?;
        gate.prepare_keys().await;
        gate.go_on_disposing().await;
        let number = gate.store.count_start().await?;
        let mut entry = own_entry(EntryKind::DaemonStart, now);
        entry::detail(&mut entry, START_NUMBER, number.to_string());
        entry::detail(&mut entry, "version", env!("CARGO_PKG_VERSION"));
        entry::detail(
            &mut entry,
            "replayed_changes",
            replay.changes.len().to_string(),
        );
        // Charges and spent codes whose calls died before they had an entry, and so before they had an answer.
        entry::detail(&mut entry, "unlogged_factor_writes", unlogged.to_string());
        // Credentials that no entry came to name, and that were therefore never in force.
        entry::detail(
            &mut entry,
            "dropped_credentials",
            dropped_credentials.to_string(),
        );
        // Rows that were laid ready for an import, and never in force; and imports that are in the log and nowhere else.
        entry::detail(
            &mut entry,
            "dropped_import_rows",
            dropped_imports.to_string(),
        );
        entry::detail(&mut entry, "lost_imports", lost_imports.to_string());
        if let Some(before) = before {
            // The pack's folder was changed while no daemon ran.
            entry::detail(&mut entry, "policy_before", written(&before));
        }
        if let Some(refused) = refused {
            entry::detail(&mut entry, "policy_refused", refused);
        }
        entry::detail(&mut entry, "seeds_sealed_anew", seeds.anew.to_string());
        entry::detail(&mut entry, "seeds_unreadable", seeds.unreadable.to_string());
        entry.store_writes = known_writes;
        gate.log_start(entry, &opened.torn_tails, now).await?;
        // Only now: a start that failed put nothing in force.
        gate.note_policy().await;
        gate.note_factor_writes(known_writes);
        Ok(gate)
    }

    /// Reads what the store lacks and what the last hour holds, in one pass.
    fn replay(&self, applied: u64, now: Timestamp) -> Result<Replay, StartError> {
        let rules = self.rules.load();
        let longest = rules
            .limits
            .iter()
            .map(|limit| limit.window)
            .chain([rules.session.idle, REMEMBERED])
            .max()
            .unwrap_or(REMEMBERED);
        let since = now.minus(longest);
        let reader = self.log.reader();
        let recent = reader.first_at_or_after(since)?;
        let mut replay = Replay::default();
        for kept in reader.forward(LogIndex(applied).min(recent)) {
            let kept = kept?;
            let opened = self.log.open(&kept)?;
            replay.take_opened(&opened, kept.index, applied)?;
            let entry = opened.entry;
            if Timestamp::from_micros(entry.time_us) >= since {
                self.take_up(&rules, &entry, kept.index);
            }
        }
        Ok(replay)
    }

    fn take_up(&self, rules: &RuleSet, entry: &StoredEntry, index: LogIndex) {
        let at = Timestamp::from_micros(entry.time_us);
        recount(&self.counters, &rules.limits, entry);
        if entry.session_used
            && let Some(session) = SessionId::from_bytes(&entry.session)
        {
            self.sessions.used(session, at);
        }
        let receipt = i32::from(StoredRecordKind::Receipt);
        let is_first = entry.repeat_of.is_empty()
            && (entry.kind == i32::from(EntryKind::Decision)
                || entry
                    .record
                    .as_ref()
                    .is_some_and(|record| record.kind == receipt));
        if is_first
            && !entry.request_id.is_empty()
            && let Ok(digest) = <[u8; 32]>::try_from(entry.request_digest.as_slice())
        {
            let key = Key::of(&entry.caller, &entry.request_id);
            self.repeats.remember(key, digest, index, at);
        }
    }

    async fn log_start(
        &self,
        mut start: StoredEntry,
        torn_tails: &[TornTail],
        now: Timestamp,
    ) -> Result<(), AppendError> {
        let rules = self.rules.load();
        let mut entries = Vec::new();
        entries.extend(torn_tails.iter().map(|torn| torn_entry(torn, now)));
        let newest = self.log.reader().backward(LogIndex(u64::MAX)).next();
        if let Some(Ok(newest)) = newest
            && newest.time() > now.plus(JUMP)
        {
            // Set back while the daemon was down: nobody else was there to see it.
            let mut entry = own_entry(EntryKind::LogState, now);
            entry::detail(&mut entry, "state", "the clock jumped");
            entry::detail(
                &mut entry,
                "expected",
                format!("{} or later", newest.time()),
            );
            entry::detail(&mut entry, "found", now.to_string());
            entries.push(entry);
        }
        entry::detail(&mut start, "pack", &*rules.pack);
        start.policy_revision = rules.revision.to_vec();
        entries.push(start);
        self.log.append(&entries)?.await?;
        Ok(())
    }

    /// Ends what would go on for ever: readers who follow the log.
    pub fn let_go(&self) {
        self.stopping.send_replace(());
    }

    /// Whether the store answers.
    pub async fn store_answers(&self) -> bool {
        let asked = tokio::time::timeout(STORE_PATIENCE, self.store.starts()).await;
        matches!(asked, Ok(Ok(_)))
    }

    /// Writes the entry of the stop and closes log and store. No call may follow.
    pub async fn stop(&self) {
        let mut entry = own_entry(EntryKind::DaemonStop, self.now());
        entry::detail(&mut entry, "version", env!("CARGO_PKG_VERSION"));
        let written = match self.log.append(std::slice::from_ref(&entry)) {
            Ok(appending) => appending.await.map(|_| ()),
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            tracing::error!(%error, "the entry of the stop was not written");
        }
        let marked = async {
            // Each for itself: what is wrong with one keeps nothing from the other.
            let records = self.take_in_records(true).await;
            self.mark_applied().await?;
            records
        };
        match tokio::time::timeout(STORE_PATIENCE, marked).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "the store was not marked; the next start replays more");
            }
            Err(_) => tracing::warn!("the store took too long; the next start replays more"),
        }
        let (log, index) = (self.log().clone(), self.index.get().cloned());
        let closed = tokio::task::spawn_blocking(move || {
            if let Some(index) = index {
                index.stop();
            }
            log.close();
        });
        if closed.await.is_err() {
            tracing::error!("the access log was not closed");
        }
        // The last one was signed when the log was closed.
        if tokio::time::timeout(STORE_PATIENCE, self.keep_checkpoint())
            .await
            .is_err()
        {
            tracing::warn!("the store was not told of the last checkpoint");
        }
        self.store.close().await;
    }

    /// Completes what was begun, where that is possible by now; what can't be removed holds nothing else up.
    async fn go_on_disposing(&self) {
        match self.carry_out_disposals().await {
            // Told where it failed.
            Ok(()) | Err(GateError::Unfinished(_)) => {}
            Err(error) => tracing::warn!(%error, "whether a disposal is unfinished is not known"),
        }
    }

    /// What has to be done from time to time: called every minute.
    pub async fn tidy(self: &Arc<Self>) {
        self.try_to_prepare_keys().await;
        self.carry_out_due_resets().await;
        self.look_after_reviews().await;
        // Not waited for: it reads the log.
        let gate = Arc::clone(self);
        tokio::spawn(async move { gate.open_due_reviews().await });
        self.look_at_incidents().await;
        // Not waited for, and not begun twice: a disk may hang.
        if self.carrying_out.try_lock().is_ok() {
            let gate = Arc::clone(self);
            tokio::spawn(async move { gate.go_on_disposing().await });
        }
        self.enrollments.drop_expired(self.now());
        self.forget_what_ended().await;
        self.look_again_for_missing_keys().await;
        self.counters.tidy(self.now());
        if let Err(error) = self.mark_applied().await {
            tracing::warn!(%error, "the store can't be written");
        }
        if let Ok(_place) = Arc::clone(&self.importing).try_acquire_owned() {
            self.fold_imports().await;
        }
        self.look_for_lost_imports().await;
        if let Err(error) = self.store.forget_old_news().await {
            tracing::warn!(%error, "the store can't be tidied");
        }
    }
}

const START_NUMBER: &str = "start";

fn start_number(entry: &StoredEntry) -> u64 {
    entry
        .details
        .iter()
        .find(|detail| detail.key == START_NUMBER)
        .and_then(|detail| detail.value.parse().ok())
        .unwrap_or(0)
}

/// Says what the last stop left half written.
pub(in crate::gate) fn torn_entry(torn: &TornTail, now: Timestamp) -> StoredEntry {
    let mut entry = own_entry(EntryKind::LogState, now);
    entry::detail(
        &mut entry,
        "state",
        "torn tail cut off; nothing of it had been answered",
    );
    entry::detail(&mut entry, "offset", torn.offset.to_string());
    entry::detail(&mut entry, "bytes", torn.bytes.to_string());
    let kept_in = torn
        .kept_in
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    entry::detail(&mut entry, "kept_in", kept_in);
    entry
}

pub(in crate::gate) fn own_entry(kind: EntryKind, now: Timestamp) -> StoredEntry {
    StoredEntry {
        time_us: now.micros(),
        kind: kind.into(),
        ..StoredEntry::default()
    }
}

pub(in crate::gate) fn people_of(people: Vec<Person>) -> HashMap<Name, Arc<Person>> {
    people
        .into_iter()
        .map(|person| (person.id.clone(), Arc::new(person)))
        .collect()
}

fn built_in_service() -> Service {
    Service {
        blocks: vec![
            ipnet::Ipv4Net::default().into(),
            ipnet::Ipv6Net::default().into(),
        ],
        acts_for_people: true,
        ..Service::default()
    }
}

/// One for each core but one. The threads stand back, yet cores that are never idle are stopped by a host that shares them and
/// take up waiting threads a tick late: checks beside logins took 2.4 to 3 times as long at the 99th percentile with every
/// core hashing, 1.5 times with one left (`cargo bench --bench check -- --logins`, two cores).
pub(in crate::gate) fn password_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    cores.saturating_sub(1).max(1)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::log::{LogConfig, SigningSeed};

    /// A log of one entry, always of the same name and key, closed.
    async fn log(folder: &Path, kind: EntryKind) -> AccessLog {
        let config = LogConfig::new(folder.join("log"), SigningSeed::new(&[7; 32]));
        let log = AccessLog::open(config, "test/log").unwrap().log;
        let entry = own_entry(kind, Timestamp::from_seconds(1));
        log.append(&[entry]).unwrap().await.unwrap();
        log.close();
        log
    }

    #[tokio::test]
    async fn a_log_that_was_rewritten_with_its_own_key_is_not_the_one_that_the_store_was_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = Keyring::ephemeral().unwrap();
        let store = Store::open(&folder.path().join("store.sqlite"))
            .await
            .unwrap();
        let first = log(folder.path(), EntryKind::DaemonStart).await;
        Replay::begin(&store, &first, &keyring).await.unwrap();
        let signed = first.checkpoints().borrow().checkpoint.clone();
        store
            .keep_checkpoint(signed.size, &signed.root)
            .await
            .unwrap();
        Replay::begin(&store, &first, &keyring).await.unwrap();
        drop(first);
        std::fs::remove_dir_all(folder.path().join("log")).unwrap();

        let other = log(folder.path(), EntryKind::DaemonStop).await;
        let refused = Replay::begin(&store, &other, &keyring).await.unwrap_err();
        assert!(
            matches!(refused, StartError::AnotherLog { size: 1 }),
            "{refused}"
        );
    }
}
