//! Files, hashed while they are copied, and durable when done.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::BackupError;

const FILE_MODE: u32 = 0o600;
const BUFFER_BYTES: usize = 1 << 20;
/// Directories within directories; `log/tree` is one.
const DEPTH_MAX: usize = 4;

/// What a copy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) bytes: u64,
    pub(super) sha256: [u8; 32],
}

/// Copies `from`, or its first `limit` bytes, into the new private file `to`, durably but for the name in its directory.
/// `None` when there is no such file.
///
/// # Errors
/// When there are less bytes than `limit`, or the system refuses.
pub(super) fn copy(
    from: &Path,
    to: &Path,
    limit: Option<u64>,
) -> Result<Option<Content>, BackupError> {
    let source = match File::open(from) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(BackupError::system(from, "open")(error)),
    };
    let mut target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(to)
        .map_err(BackupError::system(to, "make"))?;
    let content = run(source, limit, from, |bytes| {
        target
            .write_all(bytes)
            .map_err(BackupError::system(to, "write"))
    })?;
    target
        .sync_all()
        .map_err(BackupError::system(to, "make durable"))?;
    Ok(Some(content))
}

/// Makes a file durable that something else wrote, and tells what it holds.
pub(super) fn seal_off(path: &Path) -> Result<Content, BackupError> {
    let file = File::open(path).map_err(BackupError::system(path, "open"))?;
    file.sync_all()
        .map_err(BackupError::system(path, "make durable"))?;
    run(file, None, path, |_| Ok(()))
}

fn run(
    source: File,
    limit: Option<u64>,
    from: &Path,
    mut each: impl FnMut(&[u8]) -> Result<(), BackupError>,
) -> Result<Content, BackupError> {
    let mut source = source.take(limit.unwrap_or(u64::MAX));
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut hasher = Sha256::new();
    let mut bytes = 0_u64;
    loop {
        let count = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(BackupError::system(from, "read")(error)),
        };
        let read = buffer.get(..count).unwrap_or_default();
        hasher.update(read);
        each(read)?;
        bytes = bytes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
    }
    if limit.is_some_and(|limit| limit != bytes) {
        return Err(BackupError::Altered {
            path: from.to_owned(),
            what: "is shorter than it was a moment ago",
        });
    }
    Ok(Content {
        bytes,
        sha256: hasher.finalize().into(),
    })
}

/// The plain files in `folder` and below, as paths within it, in order; none when there is no such folder. What is half
/// written is left out.
pub(super) fn list(folder: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let mut found = Vec::new();
    list_into(folder, Path::new(""), DEPTH_MAX, &mut found)?;
    found.sort_unstable();
    Ok(found)
}

fn list_into(
    folder: &Path,
    within: &Path,
    depth: usize,
    found: &mut Vec<PathBuf>,
) -> Result<(), BackupError> {
    let here = folder.join(within);
    let failed = || BackupError::system(&here, "list");
    let items = match fs::read_dir(&here) {
        Ok(items) => items,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed()(error)),
    };
    for item in items {
        let item = item.map_err(failed())?;
        let kind = item.file_type().map_err(failed())?;
        let path = within.join(item.file_name());
        let half = path.extension().is_some_and(|extension| extension == "new");
        if kind.is_dir() && depth > 0 {
            list_into(folder, &path, depth.saturating_sub(1), found)?;
        } else if kind.is_file() && !half {
            found.push(path);
        }
    }
    Ok(())
}

/// Makes the names in a directory and all below it durable.
pub(super) fn sync_directories(folder: &Path) -> Result<(), BackupError> {
    let failed = || BackupError::system(folder, "make durable");
    for item in fs::read_dir(folder).map_err(failed())? {
        let item = item.map_err(failed())?;
        if item.file_type().map_err(failed())?.is_dir() {
            sync_directories(&item.path())?;
        }
    }
    File::open(folder)
        .and_then(|directory| directory.sync_all())
        .map_err(failed())
}

/// Makes the directory that `path` lies in.
pub(super) fn make_parent(path: &Path) -> Result<(), BackupError> {
    match path.parent() {
        Some(parent) if !parent.is_dir() => Ok(crate::files::make_private_directory(parent)?),
        _ => Ok(()),
    }
}
