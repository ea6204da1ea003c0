//! The manifest: what belongs to a backup. A backup without one was not finished.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::copying::Content;
use super::{BackupError, LOG, MANIFEST, POLICIES, SEALS, SINKS, STORE};
use crate::files;

const FORMAT: &str = "sekisho-backup 1";
/// Room for 200,000 files, which is more than a log of ten years has.
const MAX_BYTES: u64 = 32 << 20;

/// A manifest, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) format: String,
    /// Of the program that made it.
    pub(super) version: String,
    /// RFC 3339.
    pub(super) made_at: String,
    /// The log's name.
    pub(super) log: String,
    /// How many entries the log has.
    pub(super) entries: u64,
    /// The newest checkpoint, a signed note; absent where there was none yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) checkpoint: Option<String>,
    /// The recovery key that the keys are sealed to.
    pub(super) recovery_key: String,
    pub(super) files: Vec<Listed>,
}

/// A file of the backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    pub(super) path: String,
    pub(super) bytes: u64,
    /// Hexadecimal.
    pub(super) sha256: String,
}

impl Listed {
    pub(super) fn new(path: &Path, content: Content) -> Self {
        Self {
            path: path.to_string_lossy().into_owned(),
            bytes: content.bytes,
            sha256: HEXLOWER.encode(&content.sha256),
        }
    }

    /// Whether a file that was read is this one.
    pub(super) fn is(&self, content: Content) -> bool {
        self.bytes == content.bytes && self.sha256 == HEXLOWER.encode(&content.sha256)
    }
}

impl Manifest {
    pub(super) fn new(
        made_at: String,
        log: String,
        entries: u64,
        checkpoint: Option<String>,
        recovery_key: String,
        files: Vec<Listed>,
    ) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            made_at,
            log,
            entries,
            checkpoint,
            recovery_key,
            files,
        }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, BackupError> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| BackupError::Manifest(error.to_string()))?;
        text.push(b'\n');
        Ok(text)
    }

    /// Reads the manifest of the backup in `folder`, and its bytes, which the keys are sealed with.
    pub(super) fn read(folder: &Path) -> Result<(Self, Vec<u8>), BackupError> {
        let path = folder.join(MANIFEST);
        if !path.exists() {
            return Err(BackupError::NoManifest(folder.to_owned()));
        }
        let bytes = files::read_private(&path, MAX_BYTES)?;
        let manifest: Self = serde_json::from_slice(&bytes)
            .map_err(|error| BackupError::Manifest(error.to_string()))?;
        manifest.check()?;
        Ok((manifest, bytes.to_vec()))
    }

    /// Nothing in it may lead out of the directory or to a file that is not a backup's.
    fn check(&self) -> Result<(), BackupError> {
        if self.format != FORMAT {
            return Err(BackupError::Manifest(format!(
                "is of the form {:?}, this version reads {FORMAT:?}",
                self.format
            )));
        }
        let mut seen = HashSet::new();
        for file in &self.files {
            let path = Path::new(&file.path);
            let plain = path
                .components()
                .all(|component| matches!(component, Component::Normal(_)))
                && path.components().collect::<PathBuf>().as_os_str() == path.as_os_str();
            let mut components = path.components();
            let known = match (components.next(), components.next()) {
                (Some(Component::Normal(first)), Some(_)) => [LOG, SEALS, SINKS, POLICIES]
                    .iter()
                    .any(|folder| first == *folder),
                (Some(Component::Normal(first)), None) => first == STORE,
                _ => false,
            };
            if !plain || !known || !seen.insert(&file.path) {
                return Err(BackupError::Manifest(format!(
                    "{:?} is no file of a backup, or is named twice",
                    file.path
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(paths: &[&str]) -> Manifest {
        let content = Content {
            bytes: 1,
            sha256: [7; 32],
        };
        let files = paths
            .iter()
            .map(|path| Listed::new(Path::new(path), content))
            .collect();
        Manifest::new("t".into(), "l".into(), 1, None, "k".into(), files)
    }

    #[test]
    fn a_manifest_reads_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = naming(&["store.sqlite", "log/tree/0", "seals/a"]);
        let bytes = manifest.encode().unwrap();
        files::write_private(&folder.path().join(MANIFEST), &bytes).unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap(), (manifest, bytes));
    }

    #[test]
    fn no_path_leads_out_of_the_directory_or_to_what_is_no_backups() {
        for bad in [
            "/etc/passwd",
            "../x",
            "log/../../x",
            "log/./x",
            "log//x",
            "log",
            "keyring",
            "restored",
            "tls/server.key",
            "store.sqlite/x",
            "",
        ] {
            assert!(naming(&[bad]).check().is_err(), "{bad:?}");
        }
        assert!(naming(&["log/a", "log/a"]).check().is_err());
        assert!(naming(&["log/a", "log/b"]).check().is_ok());
    }

    #[test]
    fn another_form_is_refused() {
        let mut other = naming(&[]);
        other.format = "sekisho-backup 2".into();
        let told = other.check().unwrap_err().to_string();
        assert!(told.contains("sekisho-backup 2"), "{told}");
    }
}
