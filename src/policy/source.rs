//! Reads the files of a pack into memory: bounded, and only from within the pack's own directory.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::errors::{Faults, FileFaults, PackFile};

/// The largest file of a pack, in bytes. A hundred thousand rules take about 8 MiB.
const FILE_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The files of a pack; `None` for one that can't be read, whose fault is told.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) pack: Option<String>,
    pub(super) model: Option<String>,
    pub(super) policy: Option<String>,
    /// Samples: a pack may be without.
    pub(super) people: Option<String>,
    /// Signatures: a pack may be without.
    pub(super) signature: Option<String>,
}

impl Sources {
    pub(super) fn read(directory: &Path, faults: &Faults) -> Self {
        let read = |file| read(directory, file, faults.of(file));
        Self {
            pack: read(PackFile::Pack),
            model: read(PackFile::Model),
            policy: read(PackFile::Policy),
            people: read(PackFile::People),
            signature: read(PackFile::Signature),
        }
    }
}

/// What a decision names as the policy it was made under: SHA-256 over the name, the length (64 bits, big-endian) and the
/// bytes of pack.toml, model.conf and policy.csv, in that order. people.csv is not in it: samples are no policy.
pub(super) fn revision(pack: &str, model: &str, policy: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    for (file, text) in [
        (PackFile::Pack, pack),
        (PackFile::Model, model),
        (PackFile::Policy, policy),
    ] {
        hash.update(file.name());
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    hash.finalize().into()
}

fn read(directory: &Path, file: PackFile, faults: FileFaults<'_>) -> Option<String> {
    let bytes = match read_bytes(directory, file) {
        Ok(bytes) => bytes,
        Err(Unreadable::Absent) if matches!(file, PackFile::People | PackFile::Signature) => {
            return None;
        }
        Err(fault) => {
            faults.tell(0, || fault.to_string());
            return None;
        }
    };
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        faults.tell(1, || {
            "begins with a byte order mark, which makes casbin drop the first line: save as UTF-8 without it".into()
        });
        return None;
    }
    match String::from_utf8(bytes) {
        Ok(text) if text.trim().is_empty() => {
            faults.tell(1, || "is empty".into());
            None
        }
        Ok(text) => Some(text),
        Err(error) => {
            let (valid, _) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
            let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
            faults.tell(u32::try_from(line).unwrap_or(u32::MAX), || {
                "is not UTF-8".into()
            });
            None
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("is missing")]
    Absent,
    #[error("can't be read: {0}")]
    Failed(#[from] std::io::Error),
    #[error("is not a plain file")]
    NotAFile,
    #[error("leads out of the directory of the pack")]
    Outside,
    #[error("is over {} MiB", FILE_MAX_BYTES / 1024 / 1024)]
    TooLarge,
}

fn read_bytes(directory: &Path, file: PackFile) -> Result<Vec<u8>, Unreadable> {
    // Links are followed, because mounted configuration is made of them, but never out of the directory.
    let directory = fs::canonicalize(directory).map_err(absent)?;
    let path = fs::canonicalize(directory.join(file.name())).map_err(absent)?;
    if !path.starts_with(&directory) {
        return Err(Unreadable::Outside);
    }
    // Before it is opened: opening a pipe would wait for its writer.
    if !fs::metadata(&path)?.is_file() {
        return Err(Unreadable::NotAFile);
    }
    let mut bytes = Vec::new();
    fs::File::open(&path)?
        .take(FILE_MAX_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_MAX_BYTES {
        return Err(Unreadable::TooLarge);
    }
    Ok(bytes)
}

fn absent(error: std::io::Error) -> Unreadable {
    match error.kind() {
        std::io::ErrorKind::NotFound => Unreadable::Absent,
        _ => Unreadable::Failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_tells_where_one_file_ends_and_the_next_begins() {
        let one = revision("a", "b", "c");
        assert_eq!(one, revision("a", "b", "c"));
        assert_ne!(one, revision("ab", "", "c"));
        assert_ne!(one, revision("a", "b", "d"));
    }

    #[test]
    fn a_revision_can_be_recomputed_by_hand() {
        let mut bytes = Vec::new();
        for (name, text) in [
            ("pack.toml", "a"),
            ("model.conf", "bb"),
            ("policy.csv", "c"),
        ] {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        let expected: [u8; 32] = Sha256::digest(&bytes).into();
        assert_eq!(revision("a", "bb", "c"), expected);
    }
}
