//! Makes a backup, beside a running daemon.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::copying::{self, Content};
use super::keys::{self, Keys};
use super::manifest::{Listed, Manifest};
use super::{BackupError, KEYRING, LOG, MANIFEST, POLICIES, SEALED_KEYS, SEALS, SINKS, STORE};
use crate::domain::ids::LogIndex;
use crate::domain::time::Timestamp;
use crate::files;
use crate::identity::recovery::RecoveryPublicKey;
use crate::log::{self, LogReader, Snapshot};
use crate::proto::stored_change::Kind;
use crate::store::{Store, StoreMarks, StorePlace};

/// How often the store is copied where an import is put in force between its copy and the point of the log that goes with it.
const COPIES: usize = 6;
/// How long the next copy waits; twice as long each time.
const WAIT: Duration = Duration::from_millis(100);
/// How often the log is looked at anew when something of it is disposed of while it is copied.
const LOOKS: usize = 3;
/// What belongs to no backup: it is made anew, or it is in clear what must not be kept. `dev` and `init` hold first passwords.
const NEVER: [&str; 7] = [
    "index",
    "init",
    "dev",
    "store.sqlite-wal",
    "store.sqlite-shm",
    "lost+found",
    "restored",
];
/// What is copied.
const COPIED: [&str; 9] = [
    STORE,
    LOG,
    SEALS,
    SINKS,
    POLICIES,
    KEYRING,
    "tls",
    "sekisho.toml",
    "recovery.pub",
];

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The log's name.
    pub log: String,
    /// How many entries it holds.
    pub entries: u64,
    /// How many files, and bytes in them.
    pub files: usize,
    /// Bytes in them.
    pub bytes: u64,
    /// The id of the recovery key that opens the keys.
    pub recovery_key: String,
    /// What is in the data directory and was not copied, since this version doesn't know it.
    pub left_out: Vec<String>,
}

/// Copies the data directory `data`, and the store at `store` wherever that is, to `target`, whole and consistent, while a daemon
/// may be running on it. When this returns the copy is durable.
///
/// # Errors
/// When `target` is not empty, something can't be read or written, or what was read doesn't go together. What was written by
/// then has no manifest, and nobody takes it for a backup.
pub async fn make(
    data: &Path,
    store: &StorePlace,
    target: &Path,
    recovery: &RecoveryPublicKey,
    now: Timestamp,
) -> Result<Made, BackupError> {
    for missing in [KEYRING, STORE, LOG] {
        let elsewhere = missing == STORE && matches!(store, StorePlace::Postgres { .. });
        if !elsewhere && !data.join(missing).exists() {
            let path = data.to_owned();
            return Err(BackupError::NotData { path, missing });
        }
    }
    refuse_within(data, target)?;
    super::take_empty(target)?;
    let keys = Keys::gather(data)?;
    let (marks, mut listed, looked) = copy_store(data, store, target).await?;
    let (snapshot, parts) = copy_log(data, target, looked)?;
    listed.extend(parts);
    // After it: an entry's key is there before the entry.
    listed.extend(copy_folder(data, target, SEALS)?);
    // After the log: what that says was put in force is among them.
    listed.extend(copy_folder(data, target, POLICIES)?);

    check_log(&target.join(LOG), &snapshot)?;
    check_together(&snapshot.name, snapshot.len, &marks)?;
    // Once more, of what was copied in the end.
    if lacks_imports(target, target, &marks, snapshot.len).await? {
        return Err(IMPORTED);
    }
    if !keys::keyring_is(data, &keys)? {
        return Err(BackupError::Changed("the keyring was changed"));
    }

    let checkpoint = snapshot.checkpoint.as_deref();
    let manifest = Manifest::new(
        now.to_string(),
        snapshot.name,
        snapshot.len,
        checkpoint.map(|note| String::from_utf8_lossy(note).into_owned()),
        recovery.id().to_string(),
        listed,
    );
    let text = manifest.encode()?;
    let sealed = recovery.seal(&text, &keys.encode()?)?;
    files::create_private(&target.join(SEALED_KEYS), &sealed)?;
    copying::sync_directories(target)?;
    files::create_private(&target.join(MANIFEST), &text)?;
    let mut left_out: Vec<String> = snapshot
        .left_out
        .iter()
        .map(|name| format!("{LOG}/{name}"))
        .collect();
    left_out.extend(unknown(data)?);
    Ok(Made {
        log: manifest.log,
        entries: manifest.entries,
        files: manifest.files.len(),
        bytes: manifest.files.iter().map(|file| file.bytes).sum(),
        recovery_key: manifest.recovery_key,
        left_out,
    })
}

/// A backup within what it copies would be in the next one, and goes with the disk.
fn refuse_within(data: &Path, target: &Path) -> Result<(), BackupError> {
    let real = |path: &Path| path.canonicalize();
    let data = real(data).map_err(BackupError::system(data, "find"))?;
    let target = std::path::absolute(target).map_err(BackupError::system(target, "find"))?;
    let above = target.ancestors().find_map(|above| real(above).ok());
    if above.is_some_and(|above| above.starts_with(&data)) {
        return Err(BackupError::TargetWithin(target));
    }
    Ok(())
}

const IMPORTED: BackupError = BackupError::Changed("subjects were imported");

/// Copies the store, what goes with it, and looks at the log up to where it goes with them.
///
/// The store before the log: whatever it has applied by then is in what is copied of the log. And whatever the log has of imports
/// is in the store, laid ready at least: an import's entry names rows that are nowhere else, so where one was written in between, the
/// store is copied again.
async fn copy_store(
    data: &Path,
    store: &StorePlace,
    target: &Path,
) -> Result<(StoreMarks, Vec<Listed>, Snapshot), BackupError> {
    let log = data.join(LOG);
    let log_name = LogReader::open_directory(&log)?.name().to_owned();
    let mut wait = WAIT;
    for copy in 1..=COPIES {
        Store::copy_at(store, &log_name, &target.join(STORE)).await?;
        let (content, marks) = check_store(target).await?;
        // Before the log, too: from an older position something is sent twice, from a newer one something never.
        let mut listed = vec![Listed::new(Path::new(STORE), content)];
        listed.extend(copy_folder(data, target, SINKS)?);
        let snapshot = log::snapshot(&log)?;
        if !lacks_imports(data, target, &marks, snapshot.len).await? {
            return Ok((marks, listed, snapshot));
        }
        if copy < COPIES {
            remove(&target.join(STORE), |path| std::fs::remove_file(path))?;
            remove(&target.join(SINKS), |path| std::fs::remove_dir_all(path))?;
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2);
        }
    }
    Err(IMPORTED)
}

fn remove(path: &Path, remove: impl Fn(&Path) -> std::io::Result<()>) -> Result<(), BackupError> {
    match remove(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(BackupError::system(path, "remove")),
    }
}

/// Whether an entry of the log in `of`, below `end`, puts rows in force that the copy of the store neither has applied nor has ready.
async fn lacks_imports(
    of: &Path,
    target: &Path,
    marks: &StoreMarks,
    end: u64,
) -> Result<bool, BackupError> {
    let reader = LogReader::open_directory(of.join(LOG))?;
    let mut named = Vec::new();
    for kept in reader.forward(LogIndex(marks.applied)) {
        let kept = kept?;
        if kept.index.0 >= end {
            break;
        }
        // An entry of this kind is never sealed as a whole: none of a policy's classes takes it.
        if let Some(Kind::ImportSubjects(import)) = kept.entry()?.change.and_then(|it| it.kind) {
            named.push(import);
        }
    }
    Ok(Store::lacks(&target.join(STORE), &named).await?)
}

async fn check_store(target: &Path) -> Result<(Content, StoreMarks), BackupError> {
    let path = target.join(STORE);
    let marks = Store::check(&path).await?;
    // A look may leave SQLite's other two files behind.
    for other in ["store.sqlite-wal", "store.sqlite-shm"] {
        let path = target.join(other);
        if path.exists() {
            std::fs::remove_file(&path).map_err(BackupError::system(&path, "remove"))?;
        }
    }
    Ok((copying::seal_off(&path)?, marks))
}

/// Copies what a snapshot of the log tells.
fn copy_log(
    data: &Path,
    target: &Path,
    looked: Snapshot,
) -> Result<(Snapshot, Vec<Listed>), BackupError> {
    let (from, to) = (data.join(LOG), target.join(LOG));
    let mut snapshot = looked;
    let mut looks = 1;
    loop {
        files::make_private_directory(&to)?;
        if let Some(listed) = copy_parts(&snapshot, &from, &to)? {
            return Ok((snapshot, listed));
        }
        if looks == LOOKS {
            return Err(BackupError::Changed("the log was disposed of"));
        }
        looks += 1;
        std::fs::remove_dir_all(&to).map_err(BackupError::system(&to, "remove"))?;
        snapshot = log::snapshot(&from)?;
    }
}

/// `None` when a part is there no more.
fn copy_parts(
    snapshot: &Snapshot,
    from: &Path,
    to: &Path,
) -> Result<Option<Vec<Listed>>, BackupError> {
    let mut listed = Vec::new();
    for part in &snapshot.parts {
        let target = to.join(&part.path);
        copying::make_parent(&target)?;
        let Some(content) = copying::copy(&from.join(&part.path), &target, part.bytes)? else {
            return Ok(None);
        };
        listed.push(Listed::new(&Path::new(LOG).join(&part.path), content));
    }
    for (name, note) in [
        (log::CHECKPOINT, &snapshot.checkpoint),
        (log::COSIGNED, &snapshot.cosigned),
    ] {
        if let Some(note) = note {
            let path = to.join(name);
            files::create_private(&path, note)?;
            let content = copying::seal_off(&path)?;
            listed.push(Listed::new(&Path::new(LOG).join(name), content));
        }
    }
    Ok(Some(listed))
}

/// Copies the plain files of a folder; what vanishes meanwhile was meant to.
fn copy_folder(data: &Path, target: &Path, folder: &str) -> Result<Vec<Listed>, BackupError> {
    let mut listed = Vec::new();
    for path in copying::list(&data.join(folder))? {
        let path = Path::new(folder).join(path);
        let to = target.join(&path);
        copying::make_parent(&to)?;
        if let Some(content) = copying::copy(&data.join(&path), &to, None)? {
            listed.push(Listed::new(&path, content));
        }
    }
    Ok(listed)
}

/// Reads the copied log: every frame of every segment must be whole. What rots unnoticed is no backup. The tree and the
/// checkpoints are verified when it is restored: that takes every processor there is.
fn check_log(directory: &Path, snapshot: &Snapshot) -> Result<(), BackupError> {
    let reader = LogReader::open_directory(directory)?;
    if (reader.name(), reader.len()) != (&*snapshot.name, snapshot.len) {
        return Err(BackupError::Mismatch(format!(
            "the copied log has {} entries, not {}",
            reader.len(),
            snapshot.len
        )));
    }
    // What stands in the place of one that was disposed of was read when the directory was opened.
    for span in reader.readable_segments() {
        // A closed segment is read whole before anything of it is told.
        reader.get(LogIndex(span.first))?;
    }
    Ok(())
}

/// Whether a store and a log go together.
pub(super) fn check_together(
    log: &str,
    entries: u64,
    store: &StoreMarks,
) -> Result<(), BackupError> {
    if store.log.as_deref().is_some_and(|name| name != log) {
        return Err(BackupError::Mismatch(
            "the store is of another log".to_owned(),
        ));
    }
    if store.applied > entries {
        return Err(BackupError::Mismatch(format!(
            "the log has {entries} entries, the store has applied {}",
            store.applied
        )));
    }
    Ok(())
}

fn unknown(data: &Path) -> Result<Vec<String>, BackupError> {
    let failed = || BackupError::system(data, "list");
    let mut unknown = Vec::new();
    for item in std::fs::read_dir(data).map_err(failed())? {
        let name = item.map_err(failed())?.file_name();
        let name = name.to_string_lossy();
        let known = NEVER.contains(&&*name) || COPIED.contains(&&*name);
        if !known && !name.ends_with(".new") {
            unknown.push(name.into_owned());
        }
    }
    unknown.sort_unstable();
    Ok(unknown)
}

/// For messages.
impl Made {
    /// Where the keys lie in a backup.
    #[must_use]
    pub fn sealed_keys(target: &Path) -> PathBuf {
        target.join(SEALED_KEYS)
    }
}
