//! The files of a pack that loaded, as they were read.

use std::path::Path;

use super::errors::PackFile;
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
    pub(super) fn of(sources: Sources) -> Option<Self> {
        Some(Self {
            pack: sources.pack?,
            model: sources.model?,
            policy: sources.policy?,
            people: sources.people,
            signature: sources.signature,
        })
    }

    /// Writes them into a folder, each whole or not at all. Blocks on the disk.
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
        let optional = optional
            .into_iter()
            .filter_map(|(file, text)| Some((file, text?)));
        for (file, text) in files.into_iter().chain(optional) {
            write_private(&folder.join(file.name()), text.as_bytes())?;
        }
        Ok(())
    }
}
