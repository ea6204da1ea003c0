//! The tree of what was read, held against the hashes that are stored and the checkpoints that were signed.
//!
//! A stored hash is nobody's word, a checkpoint is the log's. So a stored hash that differs only marks the entry; whether the
//! entry or the hash is the wrong one is told by the next checkpoint.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::{Finding, VerifyError, Wrong};
use crate::log::merkle::{CompactRange, Hash};
use crate::log::tree::{HASH_BYTES, LEVEL_HEIGHT, TreeReader};

/// How much of a level's file is read at once.
const WINDOW_BYTES: usize = 16 << 10;

/// Where the stored hashes are.
pub(in crate::log) trait StoredHashes {
    /// The root of the complete subtree of `256^level` leaves that is the `index`th of them; `None` when it is not there.
    fn hash(&mut self, level: u32, index: u64) -> Result<Option<Hash>, VerifyError>;
    /// The file that holds it, and its offset in there.
    fn place(&self, level: u32, index: u64) -> (PathBuf, u64);
}

/// A root that must come out after so many entries.
#[derive(Debug, Clone)]
pub(in crate::log) struct Mark {
    pub(in crate::log) size: u64,
    pub(in crate::log) root: Hash,
    /// Where the checkpoint is.
    pub(in crate::log) path: PathBuf,
    /// Whether it is the one that somebody kept elsewhere.
    pub(in crate::log) kept: bool,
}

/// An entry that completed a subtree whose stored hash is another.
struct Odd {
    entry: u64,
    /// Of the entry's frame.
    path: PathBuf,
    offset: u64,
    /// Of the hash.
    hash_path: PathBuf,
    hash_offset: u64,
    missing: bool,
}

/// Takes leaf after leaf.
pub(in crate::log) struct TreeCheck<'a> {
    tree: CompactRange,
    hashes: &'a mut dyn StoredHashes,
    /// From here on, what is stored may still be under way.
    stored_until: u64,
    /// The smallest last.
    marks: Vec<Mark>,
    /// Up to where the last mark committed.
    since: u64,
    odd: Option<Odd>,
}

impl<'a> TreeCheck<'a> {
    /// Goes on from `tree`; `marks` are those beyond it, in any order.
    pub(in crate::log) fn new(
        tree: CompactRange,
        hashes: &'a mut dyn StoredHashes,
        stored_until: u64,
        mut marks: Vec<Mark>,
    ) -> Self {
        // The log's own word before a kept one of the same size.
        marks.sort_by_key(|mark| std::cmp::Reverse((mark.size, mark.kept)));
        Self {
            since: tree.size(),
            tree,
            hashes,
            stored_until,
            marks,
            odd: None,
        }
    }

    pub(in crate::log) fn tree(&self) -> &CompactRange {
        &self.tree
    }

    /// Takes the leaf of the entry that lies at `offset` of `path`.
    pub(in crate::log) fn push(
        &mut self,
        leaf: Hash,
        path: &Path,
        offset: u64,
    ) -> Result<(), VerifyError> {
        let entry = self.tree.size();
        let next = entry.saturating_add(1);
        let (hashes, odd) = (&mut *self.hashes, &mut self.odd);
        let compare = entry < self.stored_until;
        let mut failed = Ok(());
        self.tree.push_telling(leaf, |height, hash| {
            if !compare || odd.is_some() || failed.is_err() || height % LEVEL_HEIGHT != 0 {
                return;
            }
            let level = height / LEVEL_HEIGHT;
            let index = (next >> height).saturating_sub(1);
            match hashes.hash(level, index) {
                Ok(Some(stored)) if stored == *hash => {}
                Ok(stored) => {
                    let (hash_path, hash_offset) = hashes.place(level, index);
                    *odd = Some(Odd {
                        entry,
                        path: path.to_owned(),
                        offset,
                        hash_path,
                        hash_offset,
                        missing: stored.is_none(),
                    });
                }
                Err(error) => failed = Err(error),
            }
        });
        failed?;
        self.check_marks()
    }

    /// Holds the tree against the marks of its size.
    pub(in crate::log) fn check_marks(&mut self) -> Result<(), VerifyError> {
        let size = self.tree.size();
        while let Some(mark) = self.marks.pop_if(|mark| mark.size == size) {
            if self.tree.root() == mark.root {
                self.check_stored()?;
                self.since = size;
                continue;
            }
            let finding = match self.odd.take() {
                Some(odd) if !odd.missing => Finding::new(&odd.path, Wrong::Entry)
                    .entry(odd.entry)
                    .at(odd.offset),
                _ if mark.kept => {
                    Finding::new(&mark.path, Wrong::KeptOther { size }).entry(self.since)
                }
                _ => Finding::new(&mark.path, Wrong::Checkpoint { size }).entry(self.since),
            };
            return Err(finding.into());
        }
        Ok(())
    }

    /// The entries are those that were signed: a stored hash that differs is the one that is wrong.
    fn check_stored(&mut self) -> Result<(), VerifyError> {
        let Some(odd) = self.odd.take() else {
            return Ok(());
        };
        let wrong = if odd.missing {
            Wrong::NoHash
        } else {
            Wrong::Hash
        };
        let finding = Finding::new(&odd.hash_path, wrong);
        Err(finding.entry(odd.entry).at(odd.hash_offset).into())
    }

    /// No further checkpoint tells whether an entry or its hash is the wrong one.
    pub(in crate::log) fn check_undecided(&mut self) -> Result<(), VerifyError> {
        match self.odd.take() {
            Some(odd) if !odd.missing => {
                let finding = Finding::new(&odd.path, Wrong::Differs);
                Err(finding.entry(odd.entry).at(odd.offset).into())
            }
            odd => {
                self.odd = odd;
                self.check_stored()
            }
        }
    }
}

/// The files `tree/0`, `tree/1` and so on.
pub(in crate::log) struct HashFiles {
    reader: TreeReader,
    levels: Vec<Window>,
}

#[derive(Default)]
struct Window {
    file: Option<File>,
    start: u64,
    bytes: Vec<u8>,
}

impl HashFiles {
    pub(in crate::log) fn new(directory: &Path) -> Self {
        Self {
            reader: TreeReader::new(directory),
            levels: Vec::new(),
        }
    }
}

impl StoredHashes for HashFiles {
    fn hash(&mut self, level: u32, index: u64) -> Result<Option<Hash>, VerifyError> {
        let number = usize::try_from(level).unwrap_or(usize::MAX);
        while self.levels.len() <= number {
            self.levels.push(Window::default());
        }
        let Some(window) = self.levels.get_mut(number) else {
            return Ok(None);
        };
        let path = || self.reader.path_of(level);
        let at = |window: &Window| {
            let within = usize::try_from(index.checked_sub(window.start)?).ok()?;
            window.bytes.as_chunks().0.get(within).copied()
        };
        if let Some(hash) = at(window) {
            return Ok(Some(hash));
        }
        let file = match &window.file {
            Some(file) => file,
            None => match File::open(path()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                opened => window
                    .file
                    .insert(opened.map_err(VerifyError::io(&path()))?),
            },
        };
        window.bytes = vec![0; WINDOW_BYTES];
        let read = read_up_to(file, &mut window.bytes, index.saturating_mul(HASH_BYTES))
            .map_err(VerifyError::io(&path()))?;
        window.start = index;
        window.bytes.truncate(read);
        Ok(at(window))
    }

    fn place(&self, level: u32, index: u64) -> (PathBuf, u64) {
        (self.reader.path_of(level), index.saturating_mul(HASH_BYTES))
    }
}

/// Fills `bytes` from `offset` on, as far as the file goes.
pub(in crate::log) fn read_up_to(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset.saturating_add(read as u64)) {
            Ok(0) => break,
            Ok(more) => read = read.saturating_add(more),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
