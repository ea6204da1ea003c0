//! Verifies a log from its bytes alone, without its daemon and without trusting it: every header, frame, entry and hash, and
//! that every checkpoint commits to exactly these entries.
//!
//! | file | job |
//! |---|---|
//! | `directory` | a log's directory, stopped or live |
//! | `listing` | what is in it, by names and headers |
//! | `frames` | one segment |
//! | `tree_check` | the tree of what was read, against stored hashes and checkpoints |
//!
//! An export as tiles is verified in `tiles`. What nobody can tell from a directory alone is whether its owner put an older
//! or another log in its place, or signed a changed one anew: for that a checkpoint is needed that somebody kept elsewhere.
//!
//! What this room never does: write, take a lock, or trust a hash that a signature doesn't cover.

mod directory;
mod frames;
mod listing;
pub(super) mod tree_check;

#[cfg(test)]
pub(super) use directory::verify_signed;
#[cfg(test)]
pub(super) use frames::Patience;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::durable;
use super::note::{Checkpoint, NoteError, SignedNote, VerifierKey};
use super::tiles;
use crate::domain::time::Timestamp;

/// The largest note or key file that is read.
pub(super) const SMALL_MAX_BYTES: u64 = 1 << 20;

/// What a log is verified with.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// The log's key. Without it the one in `log.vkey` beside the log is taken, which whoever changed the log may have
    /// changed too.
    pub key: Option<VerifierKey>,
    /// A checkpoint that somebody kept: the log must begin with the entries that it commits to.
    pub checkpoint: Option<SignedNote>,
}

/// How far it is; told every few thousand entries, from any thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Entries that were read.
    pub done: u64,
    /// Entries that the newest checkpoint commits to.
    pub total: u64,
}

/// A log that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The log's name.
    pub name: String,
    /// How many entries were verified, with those disposed of.
    pub entries: u64,
    /// The root of the tree over them.
    pub root: [u8; 32],
    /// How many segments, or tiles of entries.
    pub segments: u64,
    /// The newest checkpoint. Entries beyond it are whole, but nobody has signed them yet.
    pub checkpoint: Checkpoint,
    /// How many checkpoints were verified, each a prefix of the next.
    pub checkpoints: u64,
    /// The key that signed them.
    pub key: VerifierKey,
    /// Whether that is only what the log's own directory says.
    pub key_from_directory: bool,
    /// The one that somebody kept, when there is one: a prefix of the log.
    pub kept: Option<Checkpoint>,
    /// What was disposed of, in order: only the hashes of these entries are left.
    pub disposed: Vec<DisposedRange>,
}

/// Entries that were disposed of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisposedRange {
    /// The first one.
    pub first: u64,
    /// The one after the last.
    pub next: u64,
    /// When.
    pub at: Timestamp,
    /// Under which rule.
    pub rule: String,
}

/// Why a log was not found whole.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The path is neither a log nor an export of one.
    #[error("{} is not an access log: {what}", path.display())]
    NotALog {
        /// The path given.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// An error of the disk: it is not known whether the log is whole.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// As the system says it.
        source: io::Error,
    },
    /// The first thing that is not as it was written.
    #[error(transparent)]
    Damaged(Box<Finding>),
}

impl VerifyError {
    /// The code the process ends with: 65 damaged, 66 not a log, 72 the disk.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Damaged(_) => 65,
            Self::NotALog { .. } => 66,
            Self::Io { .. } => 72,
        }
    }

    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Finding {
    /// The first entry that it touches; `None` when it is about none in particular.
    pub entry: Option<u64>,
    /// The file.
    pub path: PathBuf,
    /// Where in it, bytes from its start.
    pub offset: Option<u64>,
    /// What is wrong.
    pub wrong: Wrong,
}

impl Finding {
    pub(super) fn new(path: &Path, wrong: Wrong) -> Self {
        Self {
            entry: None,
            path: path.to_owned(),
            offset: None,
            wrong,
        }
    }

    pub(super) fn entry(mut self, entry: u64) -> Self {
        self.entry = Some(entry);
        self
    }

    pub(super) fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }
}

impl From<Finding> for VerifyError {
    fn from(finding: Finding) -> Self {
        Self::Damaged(Box::new(finding))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(entry) = self.entry {
            write!(f, "entry {entry}: ")?;
        }
        write!(f, "{}", self.path.display())?;
        if let Some(offset) = self.offset {
            write!(f, " at offset {offset}")?;
        }
        write!(f, ": {}", self.wrong)
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// A segment's header, or its link to the segment before.
    #[error("the segment's header is wrong: {0}")]
    Header(String),
    /// An entry's frame.
    #[error("the entry is not whole: {0}")]
    Frame(String),
    /// The bytes are whole but are not an entry.
    #[error("the bytes are not an entry")]
    NotAnEntry,
    /// Something lies behind the last entry.
    #[error("there are bytes behind the last entry that no write explains")]
    Rest,
    /// The entry is whole, but it is another than the one that was signed.
    #[error("the entry is not the one that was signed")]
    Entry,
    /// The entry and the hash that is stored of it differ, and no checkpoint tells which of them is wrong.
    #[error("the entry is not the one whose hash is stored")]
    Differs,
    /// A stored hash is not that of the entries, which are those that were signed.
    #[error("the stored hash is not that of the entries")]
    Hash,
    /// A stored hash is not there.
    #[error("a stored hash is missing")]
    NoHash,
    /// The tree that a segment's header goes on from.
    #[error("the tree in the header is not that of the entries before it")]
    Tree,
    /// A checkpoint commits to other entries than these; which of them, from this one on, nothing tells.
    #[error(
        "the checkpoint commits to other entries than the log has from here up to entry {}",
        size.saturating_sub(1)
    )]
    Checkpoint {
        /// How many entries it commits to.
        size: u64,
    },
    /// A note is not signed by the log, or is no checkpoint of it.
    #[error("the checkpoint can't be relied on: {0}")]
    Note(NoteError),
    /// A segment's checkpoint commits to another number of entries than the segment ends at.
    #[error("it commits to {found} entries, and the segment ends after {expected}")]
    Size {
        /// What it says.
        found: u64,
        /// What it should say.
        expected: u64,
    },
    /// A file that belongs to the log is not there.
    #[error("the file is missing")]
    Missing,
    /// The log is shorter than its newest checkpoint.
    #[error(
        "the log ends after {entries} entries, yet its checkpoint commits to {committed}: its end was cut off"
    )]
    CutOff {
        /// How many there are.
        entries: u64,
        /// How many there were.
        committed: u64,
    },
    /// `log.vkey`, or the file of a key.
    #[error("there is no key to verify with: {0}")]
    Key(String),
    /// The log doesn't begin with the entries that the kept checkpoint commits to.
    #[error(
        "the kept checkpoint of {size} entries commits to other entries: the log was replaced, or changed and signed anew"
    )]
    KeptOther {
        /// How many it commits to.
        size: u64,
    },
    /// The log is shorter than the kept checkpoint.
    #[error(
        "the kept checkpoint commits to {size} entries, and the log has {entries}: its end was cut off, or it was replaced by an older one"
    )]
    KeptBeyond {
        /// How many it commits to.
        size: u64,
        /// How many there are.
        entries: u64,
    },
    /// The kept checkpoint is not by the log's key.
    #[error("the kept checkpoint is not one of this log, or the log was replaced: {0}")]
    KeptNote(NoteError),
    /// What stands in the place of a segment that was disposed of.
    #[error("what was disposed of is not told: {0}")]
    Disposal(String),
    /// A tile of an export.
    #[error("the tile is wrong: {0}")]
    Tile(&'static str),
}

/// Verifies the log in a directory, stopped or live, or an export of one as tiles. Memory doesn't grow with the log. Reads it
/// whole, on as many threads as there are processors: about a second for a million entries.
///
/// # Errors
/// `Damaged` names the first thing that is wrong. `NotALog` when there is no log.
pub fn verify(
    path: &Path,
    options: &VerifyOptions,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Verified, VerifyError> {
    if path.join(tiles::TILES).is_dir() {
        return tiles::verify(path, options, progress);
    }
    directory::verify(path, options, progress)
}

/// The signatures that a log is held against.
#[derive(Debug, Clone)]
pub(super) struct Signatures {
    pub(super) key: VerifierKey,
    pub(super) key_from_directory: bool,
    pub(super) newest: Checkpoint,
    /// The note that [`Self::newest`] is from.
    pub(super) note: SignedNote,
    pub(super) kept: Option<Checkpoint>,
}

impl Signatures {
    /// Reads and verifies the newest checkpoint in `directory` and the kept one.
    pub(super) fn read(directory: &Path, options: &VerifyOptions) -> Result<Self, VerifyError> {
        let (key, key_from_directory) = match &options.key {
            Some(key) => (key.clone(), false),
            None => (read_key(&directory.join("log.vkey"))?, true),
        };
        let path = directory.join("checkpoint");
        let Some(note) = read_note(&path)? else {
            return Err(Finding::new(&path, Wrong::Missing).into());
        };
        let newest = note
            .checkpoint(&key)
            .map_err(|error| Finding::new(&path, Wrong::Note(error)))?;
        let kept = options
            .checkpoint
            .as_ref()
            .map(|note| note.checkpoint(&key));
        let kept = kept
            .transpose()
            .map_err(|error| Finding::new(&path, Wrong::KeptNote(error)))?;
        Ok(Self {
            key,
            key_from_directory,
            newest,
            note,
            kept,
        })
    }

    /// After all was read: the log must not end before what was signed.
    pub(super) fn check_end(&self, directory: &Path, entries: u64) -> Result<(), Finding> {
        let path = directory.join("checkpoint");
        let committed = self.newest.size;
        if committed > entries {
            return Err(Finding::new(&path, Wrong::CutOff { entries, committed }).entry(entries));
        }
        match &self.kept {
            Some(Checkpoint { size, .. }) if *size > entries => {
                let wrong = Wrong::KeptBeyond {
                    size: *size,
                    entries,
                };
                Err(Finding::new(&path, wrong).entry(entries))
            }
            _ => Ok(()),
        }
    }
}

fn read_key(path: &Path) -> Result<VerifierKey, VerifyError> {
    let key = match read_text(path)? {
        Some(Ok(line)) => VerifierKey::parse(&line).map_err(|error| error.to_string()),
        Some(Err(what)) => Err(what.to_owned()),
        None => Err("the file is missing".to_owned()),
    };
    key.map_err(|what| Finding::new(path, Wrong::Key(what)).into())
}

/// Reads a note; `None` when there is no such file.
pub(super) fn read_note(path: &Path) -> Result<Option<SignedNote>, VerifyError> {
    let Some(text) = read_text(path)? else {
        return Ok(None);
    };
    text.map_err(NoteError::NotANote)
        .and_then(|text| SignedNote::parse(&text))
        .map(Some)
        .map_err(|error| Finding::new(path, Wrong::Note(error)).into())
}

type Text = Result<String, &'static str>;

/// Reads a small text; `None` when there is no such file.
fn read_text(path: &Path) -> Result<Option<Text>, VerifyError> {
    let read = durable::read_small(path, SMALL_MAX_BYTES.saturating_add(1));
    let Some(bytes) = read.map_err(|error| VerifyError::io(path)(error.source))? else {
        return Ok(None);
    };
    if bytes.len() as u64 > SMALL_MAX_BYTES {
        return Ok(Some(Err("it is over 1 MiB")));
    }
    Ok(Some(
        String::from_utf8(bytes).map_err(|_| "it is not a text"),
    ))
}

/// Counts entries, and tells now and then.
pub(super) struct Counter<'a> {
    done: AtomicU64,
    total: u64,
    tell: &'a (dyn Fn(Progress) + Sync),
}

impl<'a> Counter<'a> {
    /// How many are counted at once.
    pub(super) const STEP: u64 = 4096;

    pub(super) fn new(total: u64, tell: &'a (dyn Fn(Progress) + Sync)) -> Self {
        let done = AtomicU64::new(0);
        Self { done, total, tell }
    }

    pub(super) fn add(&self, entries: u64) {
        let before = self.done.fetch_add(entries, Ordering::Relaxed);
        (self.tell)(Progress {
            done: before.saturating_add(entries),
            total: self.total,
        });
    }
}
