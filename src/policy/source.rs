//! Reads the files of a pack into memory: bounded, and only from within the pack's own directory.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::faults::{PackFile, Place};
use super::kinds::Kind;

/// The largest file of a pack, in bytes. A hundred thousand rules take about 8 MiB.
const FILE_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The files of a pack, in the order of [`PackFile::ALL`].
#[derive(Debug)]
pub(super) struct Sources([Result<String, Unreadable>; PackFile::ALL.len()]);

impl Sources {
    pub(super) fn read(directory: &Path) -> Self {
        Self(PackFile::ALL.map(|file| read_text(directory, file)))
    }

    /// A pack with one file.
    #[cfg(test)]
    pub(super) fn of(file: PackFile, text: &str) -> Self {
        Self(PackFile::ALL.map(|one| {
            let text = if one == file { text } else { "" };
            Ok(text.to_owned())
        }))
    }

    /// The text of a file that could be read.
    pub(super) fn text(&self, file: PackFile) -> Option<&str> {
        self.0.get(file as usize)?.as_deref().ok()
    }

    /// Those that can't be read and must be. A pack may be without people, who are samples, and without signatures.
    pub(super) fn unreadable(&self) -> impl Iterator<Item = (PackFile, &Unreadable)> {
        PackFile::ALL
            .into_iter()
            .zip(&self.0)
            .filter_map(|(file, text)| Some((file, text.as_ref().err()?)))
            .filter(|(file, why)| {
                let may_lack = matches!(file, PackFile::People | PackFile::Signature);
                !may_lack || !matches!(why, Unreadable::Absent)
            })
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

fn read_text(directory: &Path, file: PackFile) -> Result<String, Unreadable> {
    let bytes = read_bytes(directory, file)?;
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return Err(Unreadable::ByteOrderMark);
    }
    match String::from_utf8(bytes) {
        Ok(text) if text.trim().is_empty() => Err(Unreadable::Empty),
        Ok(text) => Ok(text),
        Err(error) => {
            let (valid, _) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
            let before = String::from_utf8_lossy(valid);
            let last = before.rsplit('\n').next().unwrap_or_default();
            let number = |count: usize| u32::try_from(count + 1).unwrap_or(u32::MAX);
            Err(Unreadable::NotUtf8 {
                line: number(before.matches('\n').count()),
                column: number(last.chars().count()),
            })
        }
    }
}

/// Why a file has no text.
#[derive(Debug)]
pub(super) enum Unreadable {
    Absent,
    Failed(std::io::Error),
    NotAFile,
    Outside,
    TooLarge,
    ByteOrderMark,
    Empty,
    NotUtf8 { line: u32, column: u32 },
}

impl Unreadable {
    /// Where, what, and the sentence's value.
    pub(super) fn told(&self) -> (Place, Kind, String) {
        let first = Place::At(1, 1);
        let (place, kind) = match self {
            Self::Absent => (Place::File, Kind::FileMissing),
            Self::Failed(error) => {
                return (Place::File, Kind::FileUnreadable, error.to_string());
            }
            Self::NotAFile => (Place::File, Kind::FileNotPlain),
            Self::Outside => (Place::File, Kind::FileOutside),
            Self::TooLarge => {
                let mebibytes = FILE_MAX_BYTES / 1024 / 1024;
                return (Place::File, Kind::FileTooLarge, mebibytes.to_string());
            }
            Self::ByteOrderMark => (first, Kind::ByteOrderMark),
            Self::Empty => (first, Kind::FileEmpty),
            Self::NotUtf8 { line, column } => (Place::At(*line, *column), Kind::NotUtf8),
        };
        (place, kind, String::new())
    }
}

impl From<std::io::Error> for Unreadable {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error)
    }
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
