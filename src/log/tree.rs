//! The hashes of the tree as files, so that a proof needs no walk through the segments, and so that old proofs still verify
//! when segments are gone.
//!
//! ```text
//! tree/0   leaf hash 0 | leaf hash 1 | ...                       32 bytes each
//! tree/1   root of leaves 0..256 | root of leaves 256..512 | ... complete subtrees only
//! tree/2   root of leaves 0..65536 | ...
//! ```
//!
//! They are derived from the segments. What was not synced may be anything after a crash, so whoever opens them cuts them
//! back to a size that was, and appends the rest anew.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::durable::{self, Disk, DiskError, DiskFile, Step, at};
use super::error::ReadError;
use super::merkle::{CompactRange, Hash};
use super::proof::Nodes;

const DIRECTORY: &str = "tree";
/// A file of a level holds the root of so many hashes of the level below, as a power of two: C2SP `tlog-tiles`.
pub(super) const LEVEL_HEIGHT: u32 = 8;
const LEVEL_WIDTH: u64 = 1 << LEVEL_HEIGHT;
/// Levels 0 to 7 are all that a tree of 64-bit size has.
const LEVELS_MAX: u32 = 64 / LEVEL_HEIGHT;
pub(super) const HASH_BYTES: u64 = 32;

/// The hash files of a log, for its one writer.
#[derive(Debug)]
pub(super) struct TreeFiles {
    disk: Arc<dyn Disk>,
    reader: TreeReader,
    levels: Vec<Level>,
    /// A file was made whose name may not be durable yet.
    new_names: bool,
}

/// One file.
#[derive(Debug)]
struct Level {
    path: PathBuf,
    /// `None` before there is anything to write.
    file: Option<Box<dyn DiskFile>>,
    /// How many hashes the file holds.
    written: u64,
    /// Those that follow.
    pending: Vec<Hash>,
    /// The hashes since the last that completed a subtree of the next level: at most 255, as a compact range.
    group: CompactRange,
    is_synced: bool,
}

impl Level {
    fn count(&self) -> u64 {
        self.written.saturating_add(self.pending.len() as u64)
    }
}

impl TreeFiles {
    /// Opens the files in `directory/tree`, or makes the directory. What is beyond the largest size that they all agree on is
    /// cut off: an upper file that is too short, or gone, makes that size smaller.
    pub(super) fn open(disk: Arc<dyn Disk>, directory: &Path) -> Result<Self, DiskError> {
        let reader = TreeReader::new(directory);
        durable::create_directory(&*disk, &reader.directory)?;
        let mut levels = Vec::new();
        let mut size = u64::MAX;
        for number in 0..LEVELS_MAX {
            let path = reader.path_of(number);
            let (file, hashes) = match std::fs::metadata(&path) {
                Ok(found) => {
                    let file = disk.open(&path).map_err(at(Step::Open, &path))?;
                    (Some(file), found.len() / HASH_BYTES)
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => (None, 0),
                Err(error) => return Err(at(Step::Look, &path)(error)),
            };
            // The next subtree of this level is not complete, so the tree has fewer leaves than it would end at.
            let leaves = LEVEL_HEIGHT.saturating_mul(number);
            let end = u128::from(hashes.saturating_add(1)) << leaves;
            size = size.min(u64::try_from(end.saturating_sub(1)).unwrap_or(u64::MAX));
            levels.push(Level {
                path,
                file,
                written: hashes,
                pending: Vec::new(),
                group: CompactRange::default(),
                is_synced: false,
            });
        }
        let mut files = Self {
            disk,
            reader,
            levels,
            // A crash may have come between a file and its name.
            new_names: true,
        };
        files.cut(size)?;
        Ok(files)
    }

    /// Whether the files of a log have all hashes of a tree of `size` leaves, looking at their lengths alone and changing
    /// nothing. Where leaves can't be made anew, this is asked before [`Self::open`] cuts the files to what they agree on.
    pub(super) fn has(directory: &Path, size: u64) -> Result<bool, DiskError> {
        let reader = TreeReader::new(directory);
        for number in 0..LEVELS_MAX {
            let path = reader.path_of(number);
            let wanted = size
                .checked_shr(LEVEL_HEIGHT.saturating_mul(number))
                .unwrap_or(0);
            let hashes = match std::fs::metadata(&path) {
                Ok(found) => found.len() / HASH_BYTES,
                Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
                Err(error) => return Err(at(Step::Look, &path)(error)),
            };
            if hashes < wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// How many leaves, written or not.
    pub(super) fn size(&self) -> u64 {
        self.levels.first().map_or(0, Level::count)
    }

    /// Adds a leaf, in memory. The caller MUST [`Self::flush`] every few thousand: each takes 32 bytes until then.
    pub(super) fn append(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for level in &mut self.levels {
            level.pending.push(hash);
            level.group.push(hash);
            if level.group.size() < LEVEL_WIDTH {
                break;
            }
            hash = std::mem::take(&mut level.group).root();
        }
    }

    /// Writes what was appended; readers see it then. After an error that passes, the next call writes all that is missing.
    pub(super) fn flush(&mut self) -> Result<(), DiskError> {
        for level in &mut self.levels {
            if level.pending.is_empty() {
                continue;
            }
            let file = match &level.file {
                Some(file) => file,
                None => {
                    let created = self.disk.create(&level.path);
                    let created = created.map_err(at(Step::Create, &level.path))?;
                    self.new_names = true;
                    level.file.insert(created)
                }
            };
            level.is_synced = false;
            let offset = level.written.saturating_mul(HASH_BYTES);
            file.write_at(level.pending.as_flattened(), offset)
                .map_err(at(Step::Write, &level.path))?;
            level.written = level.count();
            level.pending.clear();
        }
        Ok(())
    }

    /// Flushes and makes all durable.
    pub(super) fn sync(&mut self) -> Result<(), DiskError> {
        self.flush()?;
        for level in self.levels.iter_mut().filter(|level| !level.is_synced) {
            if let Some(file) = &level.file {
                file.sync_data().map_err(at(Step::Sync, &level.path))?;
            }
            level.is_synced = true;
        }
        if self.new_names {
            let directory = &self.reader.directory;
            self.disk
                .sync_directory(directory)
                .map_err(at(Step::Sync, directory))?;
            self.new_names = false;
        }
        Ok(())
    }

    /// Takes the tree back to its first `size` leaves; a size that it doesn't have changes nothing.
    pub(super) fn truncate_to(&mut self, size: u64) -> Result<(), DiskError> {
        self.flush()?;
        if size < self.size() {
            self.cut(size)?;
        }
        Ok(())
    }

    /// The tree of the first `size` leaves, which MUST have been flushed.
    pub(super) fn compact_range(&self, size: u64) -> Result<CompactRange, ReadError> {
        self.reader.compact_range(size)
    }

    /// Reads what is flushed, also what is later.
    pub(super) fn reader(&self) -> TreeReader {
        self.reader.clone()
    }

    /// Cuts every file to what a tree of `size` leaves has, and takes up the subtrees that are not complete.
    fn cut(&mut self, size: u64) -> Result<(), DiskError> {
        let mut count = size;
        for (number, level) in (0..).zip(&mut self.levels) {
            let path = &level.path;
            if let Some(file) = &level.file {
                let length = count.saturating_mul(HASH_BYTES);
                let found = std::fs::metadata(path).map_err(at(Step::Look, path))?;
                if found.len() > length {
                    file.truncate(length).map_err(at(Step::Write, path))?;
                    level.is_synced = false;
                }
            }
            level.written = count;
            level.pending.clear();
            level.group = CompactRange::default();
            let last = count.checked_rem(LEVEL_WIDTH).unwrap_or(0);
            let start = count.saturating_sub(last);
            for hash in self
                .reader
                .hashes(number, start, last)
                .map_err(|error| match error {
                    ReadError::Io { source, .. } => at(Step::Read, path)(source),
                    _ => at(Step::Read, path)(io::ErrorKind::UnexpectedEof.into()),
                })?
            {
                level.group.push(hash);
            }
            count >>= LEVEL_HEIGHT;
        }
        Ok(())
    }
}

/// Reads the hash files of a log, while they grow and without a lock. Cheap to clone; each read opens a file.
#[derive(Debug, Clone)]
pub(super) struct TreeReader {
    directory: Arc<Path>,
}

impl TreeReader {
    /// Of the log in `directory`.
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.join(DIRECTORY).into(),
        }
    }

    /// The file of a level.
    pub(super) fn path_of(&self, level: u32) -> PathBuf {
        self.directory.join(level.to_string())
    }

    /// Some consecutive hashes of a level.
    ///
    /// # Errors
    /// `Damaged` when the file ends before.
    pub(super) fn hashes(
        &self,
        level: u32,
        start: u64,
        count: u64,
    ) -> Result<Vec<Hash>, ReadError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let path = self.path_of(level);
        let offset = start.saturating_mul(HASH_BYTES);
        let mut hashes = vec![[0; 32]; usize::try_from(count).unwrap_or(0)];
        let read = File::open(&path)
            .and_then(|file| file.read_exact_at(hashes.as_flattened_mut(), offset));
        match read {
            Ok(()) => Ok(hashes),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound
                ) =>
            {
                Err(ReadError::Damaged {
                    path,
                    offset,
                    what: "a hash of the tree is missing".to_owned(),
                })
            }
            Err(source) => Err(ReadError::Io { path, source }),
        }
    }

    /// The tree of the first `size` leaves.
    ///
    /// # Errors
    /// `Damaged` when the files don't hold so many.
    pub(super) fn compact_range(&self, size: u64) -> Result<CompactRange, ReadError> {
        let mut peaks = Vec::new();
        let mut start = 0_u64;
        while let Some(height) = size.saturating_sub(start).checked_ilog2() {
            peaks.push(self.node(height, start >> height)?);
            start = start.saturating_add(1 << height);
        }
        // One peak for each set bit, by the loop above.
        Ok(CompactRange::from_parts(size, peaks).unwrap_or_default())
    }
}

impl Nodes for TreeReader {
    /// Reads at most 128 hashes, of the level at or below `height`.
    fn node(&self, height: u32, index: u64) -> Result<Hash, ReadError> {
        let (level, above) = (height / LEVEL_HEIGHT, height % LEVEL_HEIGHT);
        let count = 1_u64 << above;
        let hashes = self.hashes(level, index.saturating_mul(count), count)?;
        let mut subtree = CompactRange::default();
        hashes.into_iter().for_each(|hash| subtree.push(hash));
        Ok(subtree.root())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::durable::RealDisk;
    use crate::log::merkle::{leaf_hash, node_hash};
    use crate::log::proof;
    use crate::log::tests::{Call, TestDisk};

    fn leaf(number: u64) -> Hash {
        leaf_hash(&number.to_le_bytes())
    }

    fn tree_of(size: u64) -> CompactRange {
        let mut tree = CompactRange::default();
        (0..size).for_each(|n| tree.push(leaf(n)));
        tree
    }

    fn open(directory: &Path) -> TreeFiles {
        TreeFiles::open(Arc::new(RealDisk), directory).unwrap()
    }

    fn grow(files: &mut TreeFiles, size: u64) {
        (files.size()..size).for_each(|n| files.append(leaf(n)));
    }

    fn lengths(directory: &Path) -> Vec<u64> {
        (0..3)
            .map_while(|n| std::fs::metadata(directory.join(format!("tree/{n}"))).ok())
            .map(|found| found.len() / 32)
            .collect()
    }

    #[test]
    fn levels_hold_the_roots_of_complete_subtrees_of_256() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = open(directory.path());
        grow(&mut files, 65_536 + 600);
        files.sync().unwrap();
        assert_eq!(lengths(directory.path()), [66_136, 258, 1]);
        let reader = files.reader();
        assert_eq!(reader.hashes(0, 300, 1).unwrap(), [leaf(300)]);
        assert_eq!(reader.hashes(1, 0, 1).unwrap(), [tree_of(256).root()]);
        assert_eq!(reader.hashes(2, 0, 1).unwrap(), [tree_of(65_536).root()]);
        assert_eq!(reader.node(1, 3).unwrap(), node_hash(&leaf(6), &leaf(7)));
        assert_eq!(reader.node(9, 0).unwrap(), tree_of(512).root());
        assert!(matches!(
            reader.node(9, 129),
            Err(ReadError::Damaged { .. })
        ));
        assert!(matches!(reader.node(17, 0), Err(ReadError::Damaged { .. })));
        assert!(matches!(reader.node(63, 1), Err(ReadError::Damaged { .. })));
    }

    #[test]
    fn any_size_is_taken_up_and_grows_to_the_same_tree() {
        let directory = tempfile::tempdir().unwrap();
        for size in [0, 1, 2, 255, 256, 257, 511, 512, 700, 1025] {
            let mut files = open(directory.path());
            grow(&mut files, size);
            files.flush().unwrap();
            assert_eq!(files.size(), size);
            for size in [0, size / 3, size / 2, size] {
                assert_eq!(files.compact_range(size).unwrap(), tree_of(size));
            }
        }
    }

    #[test]
    fn proofs_from_the_files_verify_across_levels() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = open(directory.path());
        grow(&mut files, 70_000);
        files.flush().unwrap();
        let (reader, root) = (files.reader(), tree_of(70_000).root());
        for index in [0, 255, 256, 65_535, 65_536, 69_999] {
            let path = proof::inclusion(&reader, index, 70_000).unwrap();
            proof::verify_inclusion(&leaf(index), index, 70_000, &path, &root).unwrap();
        }
        for old in [1, 256, 300, 65_536, 65_537, 69_999] {
            let path = proof::consistency(&reader, old, 70_000).unwrap();
            let old_root = tree_of(old).root();
            proof::verify_consistency((old, &old_root), (70_000, &root), &path).unwrap();
        }
    }

    #[test]
    fn a_cut_takes_all_levels_back_and_what_follows_is_as_if_it_had_never_been() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = open(directory.path());
        for n in 0..1000 {
            files.append(leaf(n + 1_000_000));
        }
        for size in [999, 513, 512, 511, 256, 100, 0] {
            files.truncate_to(size).unwrap();
            assert_eq!(files.size(), size);
            assert_eq!(lengths(directory.path())[..2], [size, size / 256]);
        }
        files.truncate_to(5).unwrap();
        assert_eq!(files.size(), 0);
        grow(&mut files, 600);
        files.sync().unwrap();
        assert_eq!(
            open(directory.path()).compact_range(600).unwrap(),
            tree_of(600)
        );
    }

    #[test]
    fn files_that_do_not_agree_are_cut_back_to_where_they_do() {
        for (level, hashes, left) in [(0, 300, 300), (1, 2, 767), (1, 0, 255), (0, 0, 0)] {
            let directory = tempfile::tempdir().unwrap();
            let mut files = open(directory.path());
            grow(&mut files, 1000);
            files.sync().unwrap();
            drop(files);
            let path = directory.path().join(format!("tree/{level}"));
            let file = File::options().write(true).open(&path).unwrap();
            // A hash that is cut in two is none.
            file.set_len(hashes * 32 + 7).unwrap();
            let mut files = open(directory.path());
            assert_eq!(files.size(), left);
            grow(&mut files, 1000);
            files.flush().unwrap();
            assert_eq!(files.compact_range(1000).unwrap(), tree_of(1000));
        }
    }

    #[test]
    fn a_missing_upper_file_is_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = open(directory.path());
        grow(&mut files, 1000);
        files.sync().unwrap();
        std::fs::remove_file(directory.path().join("tree/1")).unwrap();
        let mut files = open(directory.path());
        assert_eq!(files.size(), 255);
        grow(&mut files, 1000);
        files.flush().unwrap();
        assert_eq!(files.compact_range(1000).unwrap(), tree_of(1000));
    }

    #[test]
    fn what_a_full_disk_refused_is_written_by_the_next_flush() {
        let directory = tempfile::tempdir().unwrap();
        let disk = TestDisk::new();
        let mut files = TreeFiles::open(Arc::new(disk.clone()), directory.path()).unwrap();
        for refused in [Call::Create, Call::Write] {
            let size = files.size() + 300;
            let mut calls = 0;
            disk.fail(move |call| {
                calls += usize::from(call == refused);
                (call == refused && calls == 2).then_some(io::ErrorKind::StorageFull)
            });
            grow(&mut files, size);
            let outcome = files.flush();
            disk.heal();
            assert!(outcome.is_err());
            files.sync().unwrap();
            assert_eq!(files.compact_range(size).unwrap(), tree_of(size));
        }
    }

    #[test]
    fn sync_reaches_every_file_and_the_names() {
        let directory = tempfile::tempdir().unwrap();
        let disk = TestDisk::new();
        let mut files = TreeFiles::open(Arc::new(disk.clone()), directory.path()).unwrap();
        grow(&mut files, 300);
        for refused in [Call::SyncData, Call::SyncDirectory] {
            disk.fail(move |call| (call == refused).then_some(io::ErrorKind::Other));
            assert!(files.sync().unwrap_err().is_fatal(), "{refused:?}");
        }
    }
}
