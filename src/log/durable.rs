//! All the file-system craft of the log: what has to be done, and in which order, so that bytes are still there after the
//! power fails. Nothing else in this room writes to the disk.
//!
//! Rules kept here:
//! - A new file becomes part of the log by a rename, after its content was synced; then its directory is synced. A file that
//!   was not renamed is rubbish and may be removed.
//! - A sync that failed is never repeated: the kernel drops the pages that it could not write and reports success the next
//!   time. [`DiskError::is_fatal`] tells these errors from those that pass when the operator makes space.
//! - Segments are preallocated: `fdatasync` then commits no new file size, and a full disk is met when a segment is made,
//!   not when an entry is written.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, StatVfsMountFlags};
use rustix::io::Errno;

use super::segment;

const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;
const OWNER_MAY_WRITE: u32 = 0o200;
const COPY_BYTES: u64 = 1 << 20;

/// The boundary to the file system: one method per system call that changes something, so that tests can make each fail.
pub(super) trait Disk: fmt::Debug + Send + Sync {
    /// Makes an empty file of mode 0600 for writing; one left over under that name is emptied.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file that exists for writing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Moves a file within a directory, replacing what has its new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// What the volume under a directory has left.
    fn volume(&self, path: &Path) -> io::Result<Volume>;
}

/// A file system, as far as the log asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Volume {
    /// Bytes that this process may still take.
    pub(super) free: u64,
    /// Whether it is mounted read-only.
    pub(super) read_only: bool,
}

/// An open file of a [`Disk`].
pub(super) trait DiskFile: fmt::Debug + Send {
    /// Takes the space up to `length`; the new bytes read as zeros.
    fn allocate(&self, length: u64) -> io::Result<()>;
    /// Cuts the file off at `length`, which gives the space behind it back.
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// Writes all of `bytes`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// `fdatasync`.
    fn sync_data(&self) -> io::Result<()>;
    /// `fsync`.
    fn sync_all(&self) -> io::Result<()>;
    /// Whether the file still has a name: one that was removed can be written to without any error.
    fn is_linked(&self) -> io::Result<bool>;
    /// Whether `path` still leads to this very file and it may be written to. False too when something else has its name.
    fn is_at(&self, path: &Path) -> io::Result<bool>;
}

/// The machine's file system.
#[derive(Debug, Clone, Copy)]
pub(super) struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(FILE_MODE)
            .open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().write(true).open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        // One that can't be opened counts as one that can't be synced: the name in it may be durable or not.
        File::open(path)?.sync_all()
    }

    fn volume(&self, path: &Path) -> io::Result<Volume> {
        let told = rustix::fs::statvfs(path)?;
        Ok(Volume {
            free: told.f_bavail.saturating_mul(told.f_frsize),
            read_only: told.f_flag.contains(StatVfsMountFlags::RDONLY),
        })
    }
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn allocate(&self, length: u64) -> io::Result<()> {
        if self.0.metadata()?.len() >= length {
            return Ok(());
        }
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, length) {
            // A file system that can't preallocate: a full disk is then met at a write, which is refused as well.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.0.set_len(length),
            other => Ok(other?),
        }
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn is_linked(&self) -> io::Result<bool> {
        Ok(self.0.metadata()?.nlink() > 0)
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        // Opening tells what permissions, flags and mounts allow; an administrator's process passes over the file's mode.
        let there = OpenOptions::new().write(true).open(path)?.metadata()?;
        let own = self.0.metadata()?;
        let same = (there.dev(), there.ino()) == (own.dev(), own.ino());
        Ok(same && there.mode() & OWNER_MAY_WRITE != 0)
    }
}

/// What was being done when the disk failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Create,
    Open,
    Allocate,
    Read,
    Write,
    Sync,
    Rename,
    Remove,
    Look,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Open => "open",
            Self::Allocate => "take space for",
            Self::Read => "read",
            Self::Write => "write to",
            Self::Sync => "make durable",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::Look => "find",
        })
    }
}

/// An error of the disk: the operator's to mend.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} {}: {source}", path.display())]
pub(super) struct DiskError {
    pub(super) step: Step,
    pub(super) path: PathBuf,
    pub(super) source: io::Error,
}

impl DiskError {
    /// Whether nobody can know any more what the disk holds, so that the log must not be written to again before it was
    /// opened anew.
    pub(super) fn is_fatal(&self) -> bool {
        match self.step {
            Step::Sync => true,
            Step::Write => !matches!(
                self.source.kind(),
                io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::ReadOnlyFilesystem
            ),
            _ => false,
        }
    }
}

/// Names the step and the file of an error.
pub(super) fn at(step: Step, path: &Path) -> impl FnOnce(io::Error) -> DiskError {
    move |source| DiskError {
        step,
        path: path.to_owned(),
        source,
    }
}

/// Makes the log's directory (0700) and those above it, as far as they are missing, and its name durable in any case: whoever
/// made it may have died before that.
pub(super) fn create_directory(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    // What is not a directory is found out by whoever lists it.
    if !path.exists() {
        if !parent.exists() {
            create_directory(disk, parent)?;
        }
        DirBuilder::new()
            .mode(DIRECTORY_MODE)
            .create(path)
            .map_err(at(Step::Create, path))?;
    }
    disk.sync_directory(parent).map_err(at(Step::Sync, parent))
}

/// The right to write to a log, given back when it is dropped or its process ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
    /// Whoever tidies up may remove the file, and another process would make and lock a new one. `None` where the file system
    /// locks no directories.
    _directory: Option<File>,
}

/// Takes the lock of the log in `directory`. `None` when another holds it.
pub(super) fn lock(directory: &Path) -> Result<Option<Lock>, DiskError> {
    let path = directory.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(&path)
        .map_err(at(Step::Create, &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(source)) => return Err(at(Step::Open, &path)(source)),
    }
    let opened = File::open(directory).map_err(at(Step::Open, directory))?;
    let directory = match opened.try_lock() {
        Ok(()) => Some(opened),
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(_)) => None,
    };
    Ok(Some(Lock {
        _file: file,
        _directory: directory,
    }))
}

/// Makes a segment of `length` bytes that starts with `header`. When this returns it is part of the log, for good.
pub(super) fn publish_segment(
    disk: &dyn Disk,
    directory: &Path,
    first_index: u64,
    header: &[u8],
    length: u64,
) -> Result<Box<dyn DiskFile>, DiskError> {
    let path = segment::path_of(directory, first_index);
    let new = path.with_added_extension("new");
    let made = || -> Result<Box<dyn DiskFile>, DiskError> {
        let file = disk.create(&new).map_err(at(Step::Create, &new))?;
        file.allocate(length).map_err(at(Step::Allocate, &new))?;
        file.write_at(header, 0).map_err(at(Step::Write, &new))?;
        file.sync_all().map_err(at(Step::Sync, &new))?;
        disk.rename(&new, &path).map_err(at(Step::Rename, &path))?;
        Ok(file)
    };
    let file = made().inspect_err(|_| {
        // It may hold the last free space; an error changes nothing, since the next start removes it too.
        let _ = disk.remove(&new);
    })?;
    disk.sync_directory(directory)
        .map_err(at(Step::Sync, directory))?;
    Ok(file)
}

/// Writes a new file of an export, and the directories above it that are missing. It is not durable before
/// [`sync_volume`]: a sync for each of thousands would take minutes.
pub(super) fn write_aside(path: &Path, content: &[u8]) -> Result<(), DiskError> {
    use std::io::Write as _;
    if let Some(parent) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(parent)
            .map_err(at(Step::Create, parent))?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)
        .map_err(at(Step::Create, path))?;
    file.write_all(content).map_err(at(Step::Write, path))
}

/// Makes all durable that was written to the volume of `directory`.
pub(super) fn sync_volume(directory: &Path) -> Result<(), DiskError> {
    let opened = File::open(directory).map_err(at(Step::Open, directory))?;
    rustix::fs::syncfs(opened)
        .map_err(io::Error::from)
        .map_err(at(Step::Sync, directory))
}

/// Puts a small file in the place of the one at `path`, in `directory`: whoever reads finds the old content or the new,
/// whole, also after the power failed.
pub(super) fn replace(
    disk: &dyn Disk,
    directory: &Path,
    path: &Path,
    content: &[u8],
) -> Result<(), DiskError> {
    let new = path.with_added_extension("new");
    let file = disk.create(&new).map_err(at(Step::Create, &new))?;
    file.write_at(content, 0).map_err(at(Step::Write, &new))?;
    file.sync_all().map_err(at(Step::Sync, &new))?;
    disk.rename(&new, path).map_err(at(Step::Rename, path))?;
    disk.sync_directory(directory)
        .map_err(at(Step::Sync, directory))
}

/// Reads a file of at most `bytes_max`; `None` when there is none.
pub(super) fn read_small(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, DiskError> {
    let failed = at(Step::Read, path);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    match file.take(bytes_max).read_to_end(&mut bytes) {
        Ok(_) => Ok(Some(bytes)),
        Err(error) => Err(failed(error)),
    }
}

/// Copies `range` of `source` into a new file beside the segments and makes it durable. It has its name when it is whole.
pub(super) fn keep_aside(
    disk: &dyn Disk,
    source: &File,
    range: Range<u64>,
    directory: &Path,
    stem: &str,
) -> Result<PathBuf, DiskError> {
    let path = (0_u32..)
        .map(|n| directory.join(format!("{stem}-{n}")))
        .find(|path| !path.exists())
        .unwrap_or_else(|| directory.join(stem));
    let new = path.with_added_extension("new");
    let file = disk.create(&new).map_err(at(Step::Create, &new))?;
    copy(source, &*file, range.clone(), range.start, &new)?;
    file.sync_all().map_err(at(Step::Sync, &new))?;
    disk.rename(&new, &path).map_err(at(Step::Rename, &path))?;
    disk.sync_directory(directory)
        .map_err(at(Step::Sync, directory))?;
    Ok(path)
}

/// Writes `range` of `source` once more to the same place in `target` and syncs it. After a failed sync the page cache may
/// hold what the disk doesn't, and the kernel would report it as clean.
pub(super) fn write_again(
    source: &File,
    target: &dyn DiskFile,
    range: Range<u64>,
    path: &Path,
) -> Result<(), DiskError> {
    copy(source, target, range, 0, path)?;
    target.sync_all().map_err(at(Step::Sync, path))
}

/// Fills `range` with zeros; the caller syncs.
pub(super) fn erase(
    target: &dyn DiskFile,
    range: Range<u64>,
    path: &Path,
) -> Result<(), DiskError> {
    let mut start = range.start;
    while start < range.end {
        let count = range.end.saturating_sub(start).min(COPY_BYTES);
        let zeros = vec![0; usize::try_from(count).unwrap_or(0)];
        target
            .write_at(&zeros, start)
            .map_err(at(Step::Write, path))?;
        start = start.saturating_add(count);
    }
    Ok(())
}

/// Copies `range` of `source` to `target`, where offset `moved_by` of the source becomes 0.
fn copy(
    source: &File,
    target: &dyn DiskFile,
    range: Range<u64>,
    moved_by: u64,
    path: &Path,
) -> Result<(), DiskError> {
    let mut start = range.start;
    while start < range.end {
        let count = range.end.saturating_sub(start).min(COPY_BYTES);
        let mut bytes = vec![0; usize::try_from(count).unwrap_or(0)];
        source
            .read_exact_at(&mut bytes, start)
            .map_err(at(Step::Read, path))?;
        target
            .write_at(&bytes, start.saturating_sub(moved_by))
            .map_err(at(Step::Write, path))?;
        start = start.saturating_add(count);
    }
    Ok(())
}
