//! The files of a pack that loaded, as they were read.

use std::fs;
use std::io;
use std::path::Path;

use super::faults::PackFile;
use super::source::Sources;
use crate::files::{FileError, write_private};

/// The file with a pack's signatures.
pub const SIGNATURE_FILE: &str = "pack.sig";

/// The files of a pack, as they were read when it was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackFiles {
    pack: String,
    model: String,
    policy: String,
    people: Option<String>,
    /// A signed note (C2SP `signed-note`) over the revision; nobody verified it.
    pub signature: Option<String>,
}

impl PackFiles {
    pub(super) fn of(sources: &Sources) -> Option<Self> {
        let text = |file| sources.text(file).map(str::to_owned);
        Some(Self {
            pack: text(PackFile::Pack)?,
            model: text(PackFile::Model)?,
            policy: text(PackFile::Policy)?,
            people: text(PackFile::People),
            signature: text(PackFile::Signature),
        })
    }

    /// Writes them into a folder, each whole or not at all, and removes one that the pack has no more. Blocks on the disk.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write(&self, folder: &Path) -> Result<(), FileError> {
        let optional = [
            (PackFile::People, self.people.as_ref()),
            (PackFile::Signature, self.signature.as_ref()),
        ];
        let files = [
            (PackFile::Pack, &self.pack),
            (PackFile::Model, &self.model),
            (PackFile::Policy, &self.policy),
        ];
        let needed = files.map(|(file, text)| (file, Some(text)));
        for (file, text) in needed.into_iter().chain(optional) {
            let path = folder.join(file.name());
            match text {
                Some(text) => write_private(&path, text.as_bytes())?,
                None => match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(FileError::system(&path, "remove")(error));
                    }
                    _ => {}
                },
            }
        }
        Ok(())
    }
}
