//! A log as files that others' tools read: the tiles of C2SP `tlog-tiles`, written out and verified again.
//!
//! ```text
//! OUT/checkpoint                    the signed note that commits to all of it
//! OUT/log.vkey                      the key that verifies it
//! OUT/tile/<level>/<N>[.p/<W>]      256 (or the last W) hashes: roots of complete subtrees of 256^level entries
//! OUT/tile/entries/<N>[.p/<W>]      256 (or the last W) entries: length, 16 bits big-endian, then the stored bytes
//! ```

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use prost::Message as _;

use super::durable::{self, DiskError, RealDisk};
use super::error::{OpenError, ReadError};
use super::merkle::{self, CompactRange, Hash};
use super::note::Checkpoint;
use super::read::LogReader;
use super::segment::ENTRY_MAX_BYTES;
use super::tree::LEVEL_HEIGHT;
use super::verify::tree_check::{Mark, StoredHashes, TreeCheck, read_up_to};
use super::verify::{
    Counter, Finding, Progress, Signatures, Verified, VerifyError, VerifyOptions, Wrong,
};
use crate::domain::ids::LogIndex;
use crate::proto::StoredEntry;

/// The folder of an export by which it is recognised.
pub(super) const TILES: &str = "tile";
/// Hashes of a full tile, and entries of a full bundle.
const TILE_WIDTH: u64 = 256;
const HASH_BYTES: usize = 32;
/// A bundle of the largest entries.
const BUNDLE_MAX_BYTES: usize = 256 * (2 + ENTRY_MAX_BYTES);

/// Why a log was not exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The target holds something already.
    #[error("{} is not empty: an export is only made into a new or an empty directory", .0.display())]
    NotEmpty(PathBuf),
    /// There is no log, or none that can be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// An entry can't be read: damaged, or disposed of.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log is not what its newest checkpoint commits to.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The target can't be written.
    #[error("cannot write the export: {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// As the system says it.
        source: io::Error,
    },
}

impl ExportError {
    /// The code the process ends with: 65 damaged or disposed of, 66 not a log, 71 disk full, 72 disk, 73 can't write.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotEmpty(_) => 73,
            Self::Open(error) => error.exit_code(),
            Self::Read(ReadError::Io { .. }) => 72,
            Self::Read(_) => 65,
            Self::Verify(error) => error.exit_code(),
            Self::Write { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => 71,
                _ => 73,
            },
        }
    }
}

impl From<DiskError> for ExportError {
    fn from(error: DiskError) -> Self {
        Self::Write {
            path: error.path,
            source: error.source,
        }
    }
}

/// Writes the log in `directory`, stopped or live, as tiles into `out`, up to its newest checkpoint, which is told. What is
/// written was hashed, and is what the checkpoint commits to. The checkpoint is written last: a directory without it is not
/// an export.
///
/// # Errors
/// When `out` is not new or empty, the log can't be read or is not what was signed, or the disk refuses.
pub fn export(
    directory: &Path,
    out: &Path,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Checkpoint, ExportError> {
    check_empty(out)?;
    let signatures = Signatures::read(directory, &VerifyOptions::default());
    let signatures = match signatures {
        Ok(signatures) => signatures,
        Err(error) => {
            // What is no log at all is better called so than one without a key.
            LogReader::open_directory(directory)?;
            return Err(error.into());
        }
    };
    let newest = &signatures.newest;
    let reader = LogReader::open_directory(directory)?;
    durable::create_directory(&RealDisk, &out.join(TILES))?;
    let mut tiles = Tiles::new(out);
    let counter = Counter::new(newest.size, progress);
    let forward = reader.forward(LogIndex(0));
    for (kept, index) in forward.zip(0..newest.size) {
        let kept = kept?;
        if kept.index.0 != index {
            // It was passed over: this says why.
            reader.get(LogIndex(index))?;
        }
        tiles.add(&kept.bytes)?;
        if index.is_multiple_of(Counter::STEP) {
            counter.add(Counter::STEP);
        }
    }
    signatures
        .check_end(directory, tiles.tree.size())
        .map_err(VerifyError::from)?;
    if tiles.tree.root() != newest.root {
        let wrong = Wrong::Checkpoint { size: newest.size };
        let finding = Finding::new(&directory.join("checkpoint"), wrong).entry(0);
        return Err(VerifyError::from(finding).into());
    }
    tiles.finish()?;
    let key = format!("{}\n", signatures.key);
    durable::write_aside(&out.join("log.vkey"), key.as_bytes())?;
    durable::sync_volume(out)?;
    let note = signatures.note.to_string();
    durable::write_aside(&out.join("checkpoint"), note.as_bytes())?;
    durable::sync_volume(out)?;
    Ok(signatures.newest)
}

fn check_empty(out: &Path) -> Result<(), ExportError> {
    let failed = |source| ExportError::Write {
        path: out.to_owned(),
        source,
    };
    match std::fs::read_dir(out) {
        Ok(mut items) => match items.next() {
            None => Ok(()),
            Some(_) => Err(ExportError::NotEmpty(out.to_owned())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// Where a tile is, under the export: `level` is a number, or `entries`; `width` is 256 for a full one.
fn tile_path(level: &str, number: u64, width: u64) -> PathBuf {
    let mut path = format!("{TILES}/{level}");
    let mut groups = vec![number % 1000];
    let mut rest = number / 1000;
    while rest > 0 {
        groups.push(rest % 1000);
        rest /= 1000;
    }
    while let Some(group) = groups.pop() {
        let more = if groups.is_empty() { "" } else { "x" };
        path.push_str(&format!("/{more}{group:03}"));
    }
    if width < TILE_WIDTH {
        path.push_str(&format!(".p/{width}"));
    }
    path.into()
}

/// How many hashes tile `number` of a level has in a tree of `size` entries; `None` when there is no such tile.
fn width_of(size: u64, level: u32, number: u64) -> Option<u64> {
    let hashes = size
        .checked_shr(LEVEL_HEIGHT.saturating_mul(level))
        .unwrap_or(0);
    let left = hashes.checked_sub(number.checked_mul(TILE_WIDTH)?)?;
    Some(left.min(TILE_WIDTH)).filter(|width| *width > 0)
}

/// The tiles that are not full yet.
struct Tiles<'a> {
    out: &'a Path,
    tree: CompactRange,
    bundle: Vec<u8>,
    /// One for each level.
    levels: Vec<Vec<Hash>>,
}

impl<'a> Tiles<'a> {
    fn new(out: &'a Path) -> Self {
        Self {
            out,
            tree: CompactRange::default(),
            bundle: Vec::new(),
            levels: Vec::new(),
        }
    }

    fn add(&mut self, stored: &[u8]) -> Result<(), DiskError> {
        let length = u16::try_from(stored.len()).unwrap_or(u16::MAX);
        self.bundle.extend(length.to_be_bytes());
        self.bundle.extend_from_slice(stored);
        let levels = &mut self.levels;
        self.tree
            .push_telling(merkle::leaf_hash(stored), |height, hash| {
                let level = usize::try_from(height / LEVEL_HEIGHT).unwrap_or(usize::MAX);
                if height % LEVEL_HEIGHT != 0 {
                    return;
                }
                if levels.len() <= level {
                    levels.push(Vec::new());
                }
                if let Some(tile) = levels.get_mut(level) {
                    tile.push(*hash);
                }
            });
        if self.tree.size().is_multiple_of(TILE_WIDTH) {
            self.write(TILE_WIDTH)?;
        }
        Ok(())
    }

    /// Writes the bundle, and the tiles that are full.
    fn write(&mut self, width: u64) -> Result<(), DiskError> {
        let number = self.tree.size().saturating_sub(1) / TILE_WIDTH;
        let path = self.out.join(tile_path("entries", number, width));
        durable::write_aside(&path, &self.bundle)?;
        self.bundle.clear();
        for (level, tile) in (0_u32..).zip(&mut self.levels) {
            if tile.len() as u64 == TILE_WIDTH {
                write_tile(self.out, level, self.tree.size(), tile)?;
                tile.clear();
            }
        }
        Ok(())
    }

    /// Writes the last of each level.
    fn finish(&mut self) -> Result<(), DiskError> {
        let size = self.tree.size();
        if !self.bundle.is_empty() {
            self.write(size % TILE_WIDTH)?;
        }
        for (level, tile) in (0_u32..).zip(&self.levels) {
            if !tile.is_empty() {
                write_tile(self.out, level, size, tile)?;
            }
        }
        Ok(())
    }
}

/// Writes the newest tile of a level.
fn write_tile(out: &Path, level: u32, size: u64, tile: &[Hash]) -> Result<(), DiskError> {
    let hashes = size
        .checked_shr(LEVEL_HEIGHT.saturating_mul(level))
        .unwrap_or(0);
    let number = hashes.saturating_sub(1) / TILE_WIDTH;
    let path = tile_path(&level.to_string(), number, tile.len() as u64);
    durable::write_aside(&out.join(path), tile.as_flattened())
}

/// Verifies an export as [`super::verify::verify`] does a log.
pub(super) fn verify(
    out: &Path,
    options: &VerifyOptions,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Verified, VerifyError> {
    let signatures = Signatures::read(out, options)?;
    let size = signatures.newest.size;
    let counter = Counter::new(size, progress);
    let mut hashes = TileHashes {
        out,
        size,
        levels: Vec::new(),
    };
    let path = out.join("checkpoint");
    let newest = Some((&signatures.newest, false));
    let kept = signatures.kept.as_ref().map(|kept| (kept, true));
    let marks = newest
        .into_iter()
        .chain(kept)
        .map(|(checkpoint, kept)| Mark {
            size: checkpoint.size,
            root: checkpoint.root,
            path: path.clone(),
            kept,
        });
    let mut check = TreeCheck::new(CompactRange::default(), &mut hashes, size, marks.collect());
    check.check_marks()?;
    let mut bundles = 0_u64;
    while let Some(width) = width_of(size, 0, bundles) {
        let path = out.join(tile_path("entries", bundles, width));
        let first = bundles.saturating_mul(TILE_WIDTH);
        let wrong = |wrong| Finding::new(&path, wrong).entry(first);
        let Some(bundle) = read_file(&path, BUNDLE_MAX_BYTES)? else {
            return Err(wrong(Wrong::Missing).into());
        };
        let mut rest = bundle.as_slice();
        for entry in first..first.saturating_add(width) {
            let offset = bundle.len().saturating_sub(rest.len()) as u64;
            let wrong = |wrong| Finding::new(&path, wrong).entry(entry).at(offset);
            let Some(stored) = take_entry(&mut rest) else {
                let what = "the tile ends before".to_owned();
                return Err(wrong(Wrong::Frame(what)).into());
            };
            if StoredEntry::decode(stored).is_err() {
                return Err(wrong(Wrong::NotAnEntry).into());
            }
            check.push(merkle::leaf_hash(stored), &path, offset)?;
        }
        if !rest.is_empty() {
            return Err(wrong(Wrong::Tile("it holds more entries than it should")).into());
        }
        bundles = bundles.saturating_add(1);
        counter.add(width);
    }
    check.check_undecided()?;
    let tree = check.tree().clone();
    signatures.check_end(out, tree.size())?;
    Ok(Verified {
        name: signatures.newest.origin.clone(),
        entries: tree.size(),
        root: tree.root(),
        segments: bundles,
        checkpoint: signatures.newest,
        checkpoints: 1,
        key: signatures.key,
        key_from_directory: signatures.key_from_directory,
        kept: signatures.kept,
        disposed: Vec::new(),
    })
}

/// Takes the first entry off a bundle.
fn take_entry<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk()?;
    let (entry, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    *rest = after;
    Some(entry).filter(|entry| !entry.is_empty())
}

/// Reads a file of at most `bytes_max`; `None` when there is none. A larger one comes with one byte too many.
fn read_file(path: &Path, bytes_max: usize) -> Result<Option<Vec<u8>>, VerifyError> {
    let failed = VerifyError::io(path);
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(file) => file,
    };
    let length = match file.metadata() {
        Ok(found) => usize::try_from(found.len()).unwrap_or(usize::MAX),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = vec![0; length.min(bytes_max.saturating_add(1))];
    match read_up_to(&file, &mut bytes, 0) {
        Ok(read) => bytes.truncate(read),
        Err(error) => return Err(failed(error)),
    }
    Ok(Some(bytes))
}

/// The tiles of hashes of an export.
struct TileHashes<'a> {
    out: &'a Path,
    size: u64,
    /// The tile of each level that was read last.
    levels: Vec<Option<(u64, Vec<u8>)>>,
}

impl TileHashes<'_> {
    fn path_of(&self, level: u32, number: u64) -> PathBuf {
        let width = width_of(self.size, level, number).unwrap_or(0);
        self.out.join(tile_path(&level.to_string(), number, width))
    }
}

impl StoredHashes for TileHashes<'_> {
    fn hash(&mut self, level: u32, index: u64) -> Result<Option<Hash>, VerifyError> {
        let (number, within) = (index / TILE_WIDTH, index % TILE_WIDTH);
        let at = usize::try_from(level).unwrap_or(usize::MAX);
        while self.levels.len() <= at {
            self.levels.push(None);
        }
        let path = self.path_of(level, number);
        let Some(held) = self.levels.get_mut(at) else {
            return Ok(None);
        };
        if held.as_ref().is_none_or(|(tile, _)| *tile != number) {
            let Some(width) = width_of(self.size, level, number) else {
                return Ok(None);
            };
            let expected = usize::try_from(width)
                .unwrap_or(0)
                .saturating_mul(HASH_BYTES);
            let tile = read_file(&path, expected)?.unwrap_or_default();
            if !tile.is_empty() && tile.len() != expected {
                let wrong = Wrong::Tile("it does not hold as many hashes as it should");
                let first = number.saturating_mul(TILE_WIDTH) << (LEVEL_HEIGHT * level);
                return Err(Finding::new(&path, wrong).entry(first).into());
            }
            *held = Some((number, tile));
        }
        let tile = held
            .as_ref()
            .map(|(_, tile)| tile.as_chunks::<HASH_BYTES>().0);
        let within = usize::try_from(within).unwrap_or(usize::MAX);
        Ok(tile.and_then(|tile| tile.get(within)).copied())
    }

    fn place(&self, level: u32, index: u64) -> (PathBuf, u64) {
        let offset = (index % TILE_WIDTH).saturating_mul(HASH_BYTES as u64);
        (self.path_of(level, index / TILE_WIDTH), offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_named_as_c2sp_says() {
        for (level, number, width, path) in [
            ("0", 0, 256, "tile/0/000"),
            ("0", 1_234_067, 256, "tile/0/x001/x234/067"),
            ("entries", 1_000, 256, "tile/entries/x001/000"),
            ("2", 999, 7, "tile/2/999.p/7"),
        ] {
            assert_eq!(tile_path(level, number, width), PathBuf::from(path));
        }
    }

    #[test]
    fn a_tile_is_as_wide_as_the_tree_makes_it() {
        assert_eq!(width_of(0, 0, 0), None);
        assert_eq!(width_of(1, 0, 0), Some(1));
        assert_eq!(width_of(256, 0, 0), Some(256));
        assert_eq!(width_of(256, 0, 1), None);
        assert_eq!(width_of(70_000, 1, 1), Some(17));
        assert_eq!(width_of(70_000, 2, 0), Some(1));
        assert_eq!(width_of(u64::MAX, 8, 0), None);
    }
}
