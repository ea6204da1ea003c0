//! A file that lines are appended to. What was written counts as arrived after `fsync`. Others may rotate it: when the path
//! leads to another file, or to none, it is opened anew.
//!
//! A new file is its owner's alone (0600). One that is there is taken with the mode that somebody chose, so that a shipper may
//! be let in, unless others can write to it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use crate::files;

/// That group or others may write.
const OTHERS_WRITE: u32 = 0o022;

/// The file of one sink.
#[derive(Debug)]
pub(super) struct FileTarget {
    path: Arc<Path>,
    open: Option<File>,
}

/// Why lines are not in the file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", path.display())]
pub(super) struct FileTrouble {
    path: PathBuf,
    what: String,
}

impl FileTarget {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.into(),
            open: None,
        }
    }

    /// Appends `text`, whole lines, or nothing of it as far as the disk allows.
    pub(super) async fn send(&mut self, text: String) -> Result<(), FileTrouble> {
        let (path, kept) = (Arc::clone(&self.path), self.open.take());
        let written = blocking(&self.path, move || {
            let mut file = opened(&path, kept)?;
            append(&mut file, &text)?;
            Ok(file)
        })
        .await;
        self.open = Some(written?);
        Ok(())
    }

    /// Makes durable what was written.
    ///
    /// After an error nobody knows what the disk holds: the file is opened anew, and the caller has to write again.
    pub(super) async fn sync(&mut self) -> Result<(), FileTrouble> {
        let open = self.open.take();
        let path = self.path.clone();
        let synced = blocking(&self.path, move || {
            // A stop may have come in the middle of a write, which took the handle with it: what was written before is not
            // durable yet all the same.
            let file = match open {
                Some(file) => file,
                None => File::options().append(true).open(&path)?,
            };
            file.sync_data()?;
            Ok(file)
        })
        .await;
        self.open = Some(synced?);
        Ok(())
    }

    pub(super) fn reset(&mut self) {
        self.open = None;
    }
}

async fn blocking(
    path: &Path,
    work: impl FnOnce() -> io::Result<File> + Send + 'static,
) -> Result<File, FileTrouble> {
    let trouble = |what: String| FileTrouble {
        path: path.to_owned(),
        what,
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| trouble(error.to_string()))?
        .map_err(|error| trouble(error.to_string()))
}

/// The file that the path leads to now: the one that is open, else that one.
fn opened(path: &Path, kept: Option<File>) -> io::Result<File> {
    if let Some(kept) = kept {
        let (there, own) = (std::fs::symlink_metadata(path), kept.metadata()?);
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())) {
            return Ok(kept);
        }
        // It was rotated away: what was written to it has to be durable too before the position moves past it.
        kept.sync_data()?;
    }
    match open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            files::create_private(path, &[]).map_err(io::Error::other)?;
            open(path)
        }
        done => done,
    }
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::Error::other("is not a plain file"));
    }
    if about.mode() & OTHERS_WRITE != 0 {
        return Err(io::Error::other(
            "others may write to it: run `chmod go-w` on it",
        ));
    }
    end_cut_line(&mut file, about.len())?;
    Ok(file)
}

/// A kill in the middle of a write may have left half a line. Its entry comes again whole; the half line gets an end, since what
/// is in the file may have been read already.
fn end_cut_line(file: &mut File, length: u64) -> io::Result<()> {
    if length == 0 {
        return Ok(());
    }
    let mut last = [0_u8; 1];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    if last == *b"\n" {
        return Ok(());
    }
    file.write_all(b"\n")
}

/// Appends; takes back what was written of it when the disk refuses the rest.
fn append(file: &mut File, text: &str) -> io::Result<()> {
    let before = file.metadata()?.len();
    file.write_all(text.as_bytes()).inspect_err(|_| {
        // Best effort: otherwise the cut line gets its end at the next opening.
        drop(file.set_len(before));
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[tokio::test]
    async fn lines_are_appended_to_a_private_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        let mut target = FileTarget::new(&path);
        for line in ["one\n", "two\n"] {
            target.send(line.to_owned()).await.unwrap();
            target.sync().await.unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_file_that_others_rotate_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        let moved = folder.path().join("out.jsonl.1");
        let mut target = FileTarget::new(&path);
        target.send("one\n".to_owned()).await.unwrap();
        fs::rename(&path, &moved).unwrap();
        target.send("two\n".to_owned()).await.unwrap();
        fs::remove_file(&path).unwrap();
        target.send("three\n".to_owned()).await.unwrap();
        // Copied away and truncated in place.
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(0)
            .unwrap();
        target.send("four\n".to_owned()).await.unwrap();
        assert_eq!(fs::read_to_string(&moved).unwrap(), "one\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "four\n");
    }

    #[tokio::test]
    async fn a_line_that_a_kill_cut_gets_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        files::write_private(&path, b"one\ntw").unwrap();
        let mut target = FileTarget::new(&path);
        target.send("two\n".to_owned()).await.unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntw\ntwo\n");
    }

    #[tokio::test]
    async fn what_is_no_file_of_ours_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let refused = async |path: &Path| {
            let sent = FileTarget::new(path).send("one\n".to_owned()).await;
            sent.unwrap_err().to_string()
        };
        files::write_private(&path, b"").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).unwrap();
        assert!(refused(&path).await.contains("others may write"));
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        refused(&link).await;
        refused(folder.path()).await;
        refused(&folder.path().join("none/out")).await;
    }
}
