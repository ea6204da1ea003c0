//! The newest checkpoint as a file in a directory: on another machine's disk, or in whatever is copied away.

use std::fmt::Write as _;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use super::compare::{Contradiction, Trouble, compare};
use crate::files;
use crate::log::{AccessLog, Checkpoint, Signed, SignedNote};

/// A checkpoint is some 250 bytes; one with many cosignatures a few thousand.
const KEPT_MAX_BYTES: u64 = 64 << 10;
/// With its ending and what a new file is called before it is renamed, this stays within the 255 bytes of a name.
const NAME_MAX_BYTES: usize = 200;

/// Where checkpoints of one log are kept.
#[derive(Debug, Clone)]
pub(super) struct Directory {
    directory: PathBuf,
    file: PathBuf,
    /// States that declared gaps name.
    lost: Arc<[Signed]>,
}

impl Directory {
    pub(super) fn new(directory: &Path, origin: &str, lost: &Arc<[Signed]>) -> Self {
        Self {
            directory: directory.to_owned(),
            file: directory.join(file_name(origin)),
            lost: Arc::clone(lost),
        }
    }

    pub(super) fn name(&self) -> String {
        self.directory.display().to_string()
    }

    /// Compares what is kept with the log.
    pub(super) fn look(&self, log: &AccessLog) -> Result<(), Trouble> {
        self.kept(log).map(drop)
    }

    /// Replaces what is kept by `newest`, unless it is as new. It is never replaced by a smaller one, or by one that it
    /// contradicts.
    pub(super) fn hand(&self, log: &AccessLog, newest: &Signed) -> Result<(), Trouble> {
        if let Some(kept) = self.kept(log)?
            && kept.size >= newest.checkpoint.size
        {
            return Ok(());
        }
        files::write_private(&self.file, newest.note.to_string().as_bytes())
            .map_err(|error| Trouble::Fault(error.to_string()))
    }

    /// What is kept, when it is a checkpoint of this log that the log contains.
    fn kept(&self, log: &AccessLog) -> Result<Option<Checkpoint>, Trouble> {
        let not_ours = |what| Contradiction::NotOurs {
            path: self.file.clone(),
            what,
        };
        let Some(note) = self.note()? else {
            return Ok(None);
        };
        let checkpoint = note
            .checkpoint(log.verifier_key())
            .map_err(|error| not_ours(error.to_string()))?;
        match compare(log, &self.file.display().to_string(), &checkpoint)? {
            None => Ok(Some(checkpoint)),
            Some(_) if self.lost.iter().any(|lost| lost.checkpoint == checkpoint) => {
                let then = format!("move {} aside, and keep it", self.file.display());
                Err(Trouble::before_gap(checkpoint.size, &then))
            }
            Some(found) => Err(found.into()),
        }
    }

    /// What is kept, whoever signed it.
    pub(super) fn note(&self) -> Result<Option<SignedNote>, Trouble> {
        let Some(text) = self.read()? else {
            return Ok(None);
        };
        let note = String::from_utf8(text)
            .map_err(|_| "it is not text".to_owned())
            .and_then(|text| SignedNote::parse(&text).map_err(|error| error.to_string()));
        let not_ours = |what| Contradiction::NotOurs {
            path: self.file.clone(),
            what,
        };
        Ok(Some(note.map_err(not_ours)?))
    }

    /// The bytes of the file; `None` when there is none. A link is not followed: the directory may be others' too.
    fn read(&self) -> Result<Option<Vec<u8>>, Trouble> {
        let failed =
            |error: std::io::Error| Trouble::Fault(format!("{}: {error}", self.file.display()));
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let opened = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(&self.file);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                // A volume that is not mounted must not pass for one that knows nothing.
                return match std::fs::metadata(&self.directory) {
                    Ok(about) if about.is_dir() => Ok(None),
                    Ok(_) => Err(Trouble::Fault("it is not a directory".to_owned())),
                    Err(error) => Err(Trouble::Fault(error.to_string())),
                };
            }
            Err(error) => return Err(failed(error)),
        };
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(Trouble::Fault(format!(
                "{}: is not a plain file",
                self.file.display()
            )));
        }
        let mut bytes = Vec::new();
        file.take(KEPT_MAX_BYTES)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        Ok(Some(bytes))
    }
}

/// A name for the file of a log: no separator, no two logs with the same one, and readable where that is possible.
fn file_name(origin: &str) -> String {
    let mut name = String::new();
    for byte in origin.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if plain || (byte == b'.' && !name.is_empty()) {
            name.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(name, "%{byte:02X}");
        }
    }
    if name.len() > NAME_MAX_BYTES {
        name = data_encoding::HEXLOWER.encode(&Sha256::digest(origin));
    }
    name.push_str(".checkpoint");
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_leads_nowhere_else_and_belongs_to_one_log() {
        assert_eq!(
            file_name("dev.sekisho.internal/log/1f"),
            "dev.sekisho.internal%2Flog%2F1f.checkpoint"
        );
        assert_eq!(file_name("../x"), "%2E.%2Fx.checkpoint");
        assert_ne!(file_name("a/b"), file_name("a%2Fb"));
        let long = "関".repeat(42);
        assert_eq!(file_name(&long).len(), 64 + ".checkpoint".len());
    }
}
