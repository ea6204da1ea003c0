//! Private files: keys, certificates' keys, samples, command-line tickets. One home for the care that they take, so that
//! none is ever readable by others, half written, or lost with a directory entry that was not on disk yet.
//!
//! The access log does not come here: its files have a craft of their own (`log`).

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use rustix::fs::{CWD, OFlags, RenameFlags};
use zeroize::Zeroizing;

/// Owner reads and writes, nobody else does anything.
const FILE_MODE: u32 = 0o600;
/// Of what is no secret, before the umask.
const PLAIN_MODE: u32 = 0o666;
/// Owner lists, enters and changes, nobody else does anything.
const DIRECTORY_MODE: u32 = 0o700;
/// The largest file that is destroyed: far more than any key.
const DESTROYED_MAX_BYTES: u64 = 64 * 1024;
/// What group and others may do.
const OTHERS: u32 = 0o077;
/// That group or others may write.
const OTHERS_WRITE: u32 = 0o022;

/// Why a private file or directory can't be used. All of these are the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused.
    #[error("{}: can't {doing}: {source}", path.display())]
    System {
        /// Which file or directory.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Group or others may read or change it.
    #[error("{}: others may use it (mode {mode:04o}): run `chmod go-rwx` on it, and replace what was in it if they did", path.display())]
    Exposed {
        /// Which file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is there already and must not be replaced.
    #[error("{}: is there already and is never overwritten", path.display())]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// A directory, a device or a link where a plain file is needed, or no directory where one is.
    #[error("{}: is not a plain {wanted}", path.display())]
    Kind {
        /// Which file or directory.
        path: PathBuf,
        /// "file" or "directory".
        wanted: &'static str,
    },
    /// Larger than anything that is written there.
    #[error("{}: is over {max_bytes} bytes", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The bound.
        max_bytes: u64,
    },
}

impl FileError {
    /// The system refused to do something with `path`.
    pub(crate) fn system(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::System {
            path,
            doing,
            source,
        }
    }
}

/// Writes a file that only its owner can read (0600), replacing what was there: afterwards either the old or the new
/// content is there, whole, whatever happens in between.
///
/// # Errors
/// When the system refuses; the old file is then untouched, unless only the last `fsync` of the directory failed.
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), FileError> {
    publish(path, |file| file.write_all(content), RenameFlags::empty())
}

/// As [`write_private`], for content that is too large to be held at once: `fill` writes it, into a file that is empty.
///
/// # Errors
/// When `fill` fails or the system refuses; the old file is then untouched, unless only the last `fsync` of the directory
/// failed.
pub fn write_private_with(
    path: &Path,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), FileError> {
    publish(path, fill, RenameFlags::empty())
}

/// Writes a file that is no secret, a pack's: replaces what was there, whose mode it keeps; a new one has the mode that the umask
/// leaves. Afterwards either the old or the new content is there, whole.
///
/// # Errors
/// When the system refuses; the old file is then untouched, unless only the last `fsync` of the directory failed.
pub fn write_plain(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let mode = match fs::metadata(path) {
        Ok(there) => Some(there.permissions()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(FileError::system(path, "look at")(error)),
    };
    let mut file = NewFile::begin_with(path, PLAIN_MODE)?;
    if let Some(mode) = mode {
        let set = file.file.set_permissions(mode);
        set.map_err(FileError::system(path, "set the mode of"))?;
    }
    let written = file.file.write_all(content);
    written.map_err(FileError::system(path, "write"))?;
    file.put_in_place(RenameFlags::empty())
}

/// Whether a file is what [`write_private_with`] and the others left behind when they were killed.
#[must_use]
pub fn is_left_over(file_name: &str) -> bool {
    file_name.starts_with('.') && file_name.ends_with(".new")
}

/// As [`write_private`], but never replaces a file.
///
/// # Errors
/// [`FileError::Exists`] when something has that name; else when the system refuses.
pub fn create_private(path: &Path, content: &[u8]) -> Result<(), FileError> {
    publish(path, |file| file.write_all(content), RenameFlags::NOREPLACE)
}

/// Makes sure that a private file is there, empty when it is new. For files that a library then opens by name, which would
/// otherwise make them with the process's umask.
///
/// # Errors
/// [`FileError::Exposed`] when it is there and others may use it; else when the system refuses.
pub fn ensure_private(path: &Path) -> Result<(), FileError> {
    match create_private(path, &[]) {
        Err(FileError::Exists { .. }) => open_without(path, OTHERS).map(drop),
        done => done,
    }
}

/// Reads a private file of at most `max_bytes`. A link is not followed.
///
/// # Errors
/// [`FileError::Exposed`] when group or others may do anything with it, [`FileError::TooLarge`], [`FileError::Kind`]; else
/// when the system refuses.
pub fn read_private(path: &Path, max_bytes: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    read_bounded(path, max_bytes, OTHERS)
}

fn read_bounded(
    path: &Path,
    max_bytes: u64,
    forbidden: u32,
) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let (file, bytes) = open_without(path, forbidden)?;
    let too_large = || FileError::TooLarge {
        path: path.to_owned(),
        max_bytes,
    };
    if bytes > max_bytes {
        return Err(too_large());
    }
    // Room for one byte more than may be there: a buffer that grew would leave copies of the secret behind.
    let room = usize::try_from(max_bytes.saturating_add(1)).map_err(|_| too_large())?;
    let mut content = Zeroizing::new(Vec::with_capacity(room));
    file.take(max_bytes.saturating_add(1))
        .read_to_end(&mut content)
        .map_err(FileError::system(path, "read"))?;
    if content.len() >= room {
        return Err(too_large());
    }
    Ok(content)
}

/// Destroys a private file: overwrites it where it lies, makes that durable, and only then removes its name. Where there is none,
/// there is nothing to do.
///
/// A file system that copies on write, a snapshot, a backup and the spare cells of a flash disk may keep the old bytes all the
/// same; nothing that a program can do reaches those.
///
/// # Errors
/// When it is not a plain file of its owner alone, or the system refuses. Calling it again goes on.
pub fn destroy_private(path: &Path) -> Result<(), FileError> {
    let (_, bytes) = match open_without(path, OTHERS) {
        Ok(found) => found,
        Err(FileError::System { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return sync_directory(&directory_of(path));
        }
        Err(error) => return Err(error),
    };
    if bytes > DESTROYED_MAX_BYTES {
        return Err(FileError::TooLarge {
            path: path.to_owned(),
            max_bytes: DESTROYED_MAX_BYTES,
        });
    }
    let mut noise = vec![0; usize::try_from(bytes).unwrap_or(0)];
    getrandom::fill(&mut noise)
        .map_err(|error| FileError::system(path, "draw random bytes for")(error.into()))?;
    let mut file = OpenOptions::new()
        .write(true)
        .custom_flags(flags(OFlags::NOFOLLOW))
        .open(path)
        .map_err(FileError::system(path, "open"))?;
    file.write_all(&noise)
        .and_then(|()| file.sync_all())
        .map_err(FileError::system(path, "overwrite"))?;
    fs::remove_file(path).map_err(FileError::system(path, "remove"))?;
    sync_directory(&directory_of(path))
}

/// Reads a file of at most `max_bytes` that is no secret but decides whom secrets go to: nobody else may write it. A link is
/// not followed.
///
/// # Errors
/// [`FileError::Exposed`] when group or others may write it, [`FileError::TooLarge`], [`FileError::Kind`]; else when the
/// system refuses.
pub fn read_guarded(path: &Path, max_bytes: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    read_bounded(path, max_bytes, OTHERS_WRITE)
}

/// Waits for one's turn with a directory and takes it, until what is handed back is dropped. Only those who ask for it too are
/// kept out.
///
/// # Errors
/// When the system refuses.
pub fn lock_directory(path: &Path) -> Result<File, FileError> {
    let directory = File::open(path).map_err(FileError::system(path, "open"))?;
    directory.lock().map_err(FileError::system(path, "lock"))?;
    Ok(directory)
}

/// Makes a directory, and those above it, that only their owner can enter (0700). One that is there already is taken as it
/// is, since somebody chose its mode, unless others can put files into it.
///
/// # Errors
/// [`FileError::Exposed`] when group or others may write, [`FileError::Kind`]; else when the system refuses.
pub fn make_private_directory(path: &Path) -> Result<(), FileError> {
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(path)
        .map_err(FileError::system(path, "make the directory"))?;
    let about = fs::metadata(path).map_err(FileError::system(path, "look at"))?;
    if !about.is_dir() {
        return Err(FileError::Kind {
            path: path.to_owned(),
            wanted: "directory",
        });
    }
    let mode = about.mode() & 0o7777;
    if mode & OTHERS_WRITE != 0 {
        return Err(FileError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    sync_directory(&directory_of(path))
}

/// The file and its length, checked on the open file and not on its name, which may have changed hands in between.
fn open_without(path: &Path, forbidden: u32) -> Result<(File, u64), FileError> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK))
        .open(path)
        .map_err(|source| {
            if source.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
                return FileError::Kind {
                    path: path.to_owned(),
                    wanted: "file",
                };
            }
            FileError::system(path, "open")(source)
        })?;
    let about = file
        .metadata()
        .map_err(FileError::system(path, "look at"))?;
    if !about.is_file() {
        return Err(FileError::Kind {
            path: path.to_owned(),
            wanted: "file",
        });
    }
    let mode = about.mode() & 0o7777;
    if mode & forbidden != 0 {
        return Err(FileError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    Ok((file, about.len()))
}

fn publish(
    path: &Path,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
    how: RenameFlags,
) -> Result<(), FileError> {
    let mut file = NewFile::begin(path)?;
    fill(&mut file.file).map_err(FileError::system(path, "write"))?;
    file.put_in_place(how)
}

/// A private file (0600) that is written piece by piece and that nobody sees before it is whole. Dropped unfinished, it leaves
/// nothing behind. Buffer what is written in small pieces.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
}

impl NewFile {
    /// Begins a file that will be at `path`.
    ///
    /// # Errors
    /// When something has that name already, or the system refuses.
    pub fn create(path: &Path) -> Result<Self, FileError> {
        // Told before the work is done; what comes in between is met when the file is put in place.
        if fs::symlink_metadata(path).is_ok() {
            return Err(FileError::Exists {
                path: path.to_owned(),
            });
        }
        Self::begin(path)
    }

    /// Makes it durable and puts it in its place. A file that is there is never replaced.
    ///
    /// # Errors
    /// [`FileError::Exists`] when something has that name by now; else when the system refuses.
    pub fn finish(self) -> Result<(), FileError> {
        self.put_in_place(RenameFlags::NOREPLACE)
    }

    fn begin(path: &Path) -> Result<Self, FileError> {
        Self::begin_with(path, FILE_MODE)
    }

    fn begin_with(path: &Path, mode: u32) -> Result<Self, FileError> {
        let temporary = temporary_beside(path)?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .custom_flags(flags(OFlags::NOFOLLOW))
            .open(&temporary)
            .map_err(FileError::system(path, "make"))?;
        Ok(Self {
            path: path.to_owned(),
            temporary,
            file,
        })
    }

    fn put_in_place(self, how: RenameFlags) -> Result<(), FileError> {
        let path = &self.path;
        self.file
            .sync_all()
            .map_err(FileError::system(path, "write"))?;
        rustix::fs::renameat_with(CWD, &self.temporary, CWD, path, how).map_err(|error| {
            if error == rustix::io::Errno::EXIST {
                FileError::Exists { path: path.clone() }
            } else {
                FileError::system(path, "put the file in place")(error.into())
            }
        })?;
        sync_directory(&directory_of(path))
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // Best effort, and nothing once it is in its place: its random name is nobody else's.
        drop(fs::remove_file(&self.temporary));
    }
}

fn temporary_beside(path: &Path) -> Result<PathBuf, FileError> {
    let name = path.file_name().ok_or_else(|| FileError::Kind {
        path: path.to_owned(),
        wanted: "file",
    })?;
    let mut random = [0_u8; 8];
    getrandom::fill(&mut random)
        .map_err(|error| FileError::system(path, "draw a random name")(error.into()))?;
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.new", HEXLOWER.encode(&random)));
    Ok(path.with_file_name(temporary))
}

fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Makes the names in a directory durable.
///
/// # Errors
/// When the system refuses.
pub fn sync_directory(path: &Path) -> Result<(), FileError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(FileError::system(path, "sync the directory"))
}

/// The bits as the standard library takes them.
fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_written_file_is_its_owners_alone_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        write_private(&path, b"one").unwrap();
        write_private(&path, b"two").unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(&**read_private(&path, 3).unwrap(), b"two");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_must_not_be_replaced_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        create_private(&path, b"one").unwrap();
        assert!(matches!(
            create_private(&path, b"two"),
            Err(FileError::Exists { .. })
        ));
        ensure_private(&path).unwrap();
        assert_eq!(&**read_private(&path, 9).unwrap(), b"one");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_was_not_finished_leaves_nothing_and_a_finished_one_replaces_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("export");
        let mut unfinished = NewFile::create(&path).unwrap();
        unfinished.write_all(b"half").unwrap();
        drop(unfinished);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        let (mut first, second) = (
            NewFile::create(&path).unwrap(),
            NewFile::create(&path).unwrap(),
        );
        first.write_all(b"whole").unwrap();
        first.finish().unwrap();
        assert!(matches!(second.finish(), Err(FileError::Exists { .. })));
        assert!(matches!(
            NewFile::create(&path),
            Err(FileError::Exists { .. })
        ));
        assert_eq!(&**read_private(&path, 9).unwrap(), b"whole");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_others_may_use_in_any_way_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        write_private(&path, b"one").unwrap();
        for bad in [0o644, 0o640, 0o604, 0o620, 0o601] {
            fs::set_permissions(&path, fs::Permissions::from_mode(bad)).unwrap();
            assert!(
                matches!(read_private(&path, 9), Err(FileError::Exposed { mode, .. }) if mode == bad),
                "{bad:o}"
            );
            assert!(matches!(
                ensure_private(&path),
                Err(FileError::Exposed { .. })
            ));
        }
    }

    #[test]
    fn links_directories_and_oversized_files_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let link = directory.path().join("link");
        write_private(&path, b"four").unwrap();
        symlink(&path, &link).unwrap();
        assert!(matches!(
            read_private(&link, 9),
            Err(FileError::Kind { .. })
        ));
        assert!(matches!(
            read_private(directory.path(), 9),
            Err(FileError::Kind { .. })
        ));
        assert!(matches!(
            read_private(&path, 3),
            Err(FileError::TooLarge { .. })
        ));
        assert!(matches!(
            read_private(&directory.path().join("none"), 3),
            Err(FileError::System { .. })
        ));
    }

    #[test]
    fn a_new_directory_is_private_and_one_open_to_writers_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("data").join("keys");
        make_private_directory(&inner).unwrap();
        make_private_directory(&inner).unwrap();
        assert_eq!(mode(&inner), 0o700);
        assert_eq!(mode(&directory.path().join("data")), 0o700);
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o770)).unwrap();
        assert!(matches!(
            make_private_directory(&inner),
            Err(FileError::Exposed { .. })
        ));
    }
}
