//! Back from a backup, into a new directory.

use std::path::Path;

use super::keys::Keys;
use super::make::check_together;
use super::manifest::{Listed, Manifest};
use super::mark::Mark;
use super::{BackupError, LOG, SEALED_KEYS, STORE, copying};
use crate::files;
use crate::identity::keyring::Keyring;
use crate::identity::recovery::RecoveryKey;
use crate::log::{self, LogReader, SigningKey, Verified, VerifyOptions};
use crate::store::Store;

const SEALED_MAX_BYTES: u64 = 17 << 20;

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The log's name.
    pub log: String,
    /// How many entries it has.
    pub entries: u64,
    /// When the backup was made, RFC 3339.
    pub backup_made_at: String,
}

/// Writes the backup in `source` into `data`, which must not exist or be empty: every file checked against the manifest, the
/// keys opened, log and store read whole. When this returns all is durable, and the directory bears the mark of a restored one:
/// the daemon doesn't start on it before its gap is declared.
///
/// # Errors
/// When the backup is not whole, the key is another, or `data` is not empty. What was written by then says that it is half, and
/// no daemon starts on it.
pub async fn restore(
    source: &Path,
    data: &Path,
    recovery: &RecoveryKey,
) -> Result<Restored, BackupError> {
    let (manifest, text) = Manifest::read(source)?;
    let given = recovery.id().to_string();
    if manifest.recovery_key != given {
        let wanted = manifest.recovery_key;
        return Err(BackupError::OtherKey { wanted, given });
    }
    let sealed_at = source.join(SEALED_KEYS);
    if !sealed_at.exists() {
        return Err(missing(&sealed_at));
    }
    let sealed = files::read_private(&sealed_at, SEALED_MAX_BYTES)?;
    // Opens only with the manifest as it was written: from here on, it is believed.
    let keys = Keys::decode(&recovery.unseal(&text, &sealed)?)?;
    for file in &manifest.files {
        let path = source.join(&file.path);
        if !path.is_file() {
            return Err(missing(&path));
        }
    }
    super::take_empty(data)?;
    let mut mark = Mark::new(
        manifest.made_at,
        manifest.log,
        manifest.entries,
        manifest.checkpoint,
    );
    // Before anything else: what follows may be cut short.
    mark.write(data)?;
    for file in &manifest.files {
        copy(source, data, file)?;
    }
    keys.write(data)?;
    let keyring = Keyring::open(data)?;
    let marks = Store::check(&data.join(STORE)).await?;
    let log = verified(data, &keyring).await?;
    if (&log.name, log.entries) != (&mark.log, mark.entries) {
        return Err(BackupError::Mismatch(format!(
            "the log is {} of {} entries, not {} of {}",
            log.name, log.entries, mark.log, mark.entries
        )));
    }
    check_together(&log.name, log.entries, &marks)?;
    let pseudonyms = keyring.pseudonyms.id();
    if marks
        .pseudonym_key
        .is_some_and(|id| id != pseudonyms.as_str())
    {
        return Err(BackupError::Mismatch(
            "the store was filled with another keyring".to_owned(),
        ));
    }
    copying::sync_directories(data)?;
    mark.finished = true;
    mark.write(data)?;
    Ok(Restored {
        log: mark.log,
        entries: mark.entries,
        backup_made_at: mark.backup_made_at,
    })
}

/// Verifies the restored log from its bytes alone, by the key of the keyring.
async fn verified(data: &Path, keyring: &Keyring) -> Result<Verified, BackupError> {
    let folder = data.join(LOG);
    let name = LogReader::open_directory(&folder)?.name().to_owned();
    let key = SigningKey::new(&name, keyring.log_signing.expose())
        .map_err(|error| BackupError::Mismatch(error.to_string()))?;
    let options = VerifyOptions {
        key: Some(key.verifier_key().clone()),
        checkpoint: None,
    };
    let work = tokio::task::spawn_blocking(move || log::verify(&folder, &options, &|_| ()));
    match work.await {
        Ok(verified) => Ok(verified?),
        Err(error) => Err(BackupError::Mismatch(error.to_string())),
    }
}

fn copy(source: &Path, data: &Path, file: &Listed) -> Result<(), BackupError> {
    let (from, to) = (source.join(&file.path), data.join(&file.path));
    copying::make_parent(&to)?;
    let content = copying::copy(&from, &to, None)?.ok_or_else(|| missing(&from))?;
    if file.is(content) {
        return Ok(());
    }
    Err(BackupError::Altered {
        path: from,
        what: "is not what was backed up: its size or its hash differs",
    })
}

fn missing(path: &Path) -> BackupError {
    BackupError::Altered {
        path: path.to_owned(),
        what: "is missing",
    }
}
