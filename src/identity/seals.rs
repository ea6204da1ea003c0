//! Keys that are meant to be destroyed: one for each class of retention and month, each in a file of its own, so that what was
//! sealed under it is gone when its time is over, wherever in the log it lies.
//!
//! ```text
//! <data>/seals/default-2026-11.key         32 random bytes, wrapped by the keyring's `log-text` key, bound to class and month
//! <data>/seals/default-2023-10.destroyed   there was one; when it was destroyed, and under which rule
//! ```
//!
//! A key is durable before anything is sealed under it, and is never made again once it was destroyed. Both files are needed to
//! read: whoever has the log and this directory has nothing without the keyring.
//!
//! Who seals never waits for a disk: keys are prepared before they are wanted, and one that is not ready is refused. Files are
//! made and destroyed under a lock of their own, which nobody who seals or reads takes.

mod held;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use self::held::{Held, HeldKeys};
use super::keys::{KEY_BYTES, Key, SealError, SealingKey};
use crate::domain::calendar::Month;
use crate::domain::ids::NAME_MAX_BYTES;
use crate::domain::time::Timestamp;
use crate::files::{self, FileError};

/// What a data key is for; goes into its id.
const PURPOSE: &str = "log-month";
/// A wrapped key: nonce, key, tag.
const FILE_BYTES: u64 = 72;
/// A note of a destruction.
const NOTE_MAX_BYTES: usize = 1_024;

/// Names a key: a class of retention and a month.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SealName {
    class: Box<str>,
    month: Month,
}

impl SealName {
    /// `None` where the class is not lower-case letters, digits and hyphens, 1 to 128 bytes: it becomes a file's name.
    #[must_use]
    pub fn new(class: &str, month: Month) -> Option<Self> {
        let plain = (1..=NAME_MAX_BYTES).contains(&class.len())
            && class
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        plain.then(|| Self {
            class: class.into(),
            month,
        })
    }

    /// The class.
    #[must_use]
    pub fn class(&self) -> &str {
        &self.class
    }

    /// The month.
    #[must_use]
    pub const fn month(&self) -> Month {
        self.month
    }

    /// Reads `class-2026-11`.
    fn parse(stem: &str) -> Option<Self> {
        let (class, month) = stem.split_at_checked(stem.len().checked_sub(8)?)?;
        Self::new(class, Month::parse(month.strip_prefix('-')?)?)
    }

    fn context(&self) -> Vec<u8> {
        [b"month key\0", self.to_string().as_bytes()].concat()
    }
}

/// `class-2026-11`.
impl std::fmt::Display for SealName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.class, self.month)
    }
}

/// Why something can't be sealed, or a key not be destroyed: the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum SealsError {
    /// A key's file can't be made, read or destroyed.
    #[error("{0}")]
    File(#[from] FileError),
    /// The key was destroyed already. The clock was set back, or forward and back.
    #[error("the key {0} was destroyed: what belongs to its month can't be sealed any more")]
    Destroyed(SealName),
    /// The key was not prepared, or can't be: [`Seals::unready`] tells why. Nothing is read or made while somebody waits to seal.
    #[error("the key {0} is not ready: what belongs to its month can't be sealed until it is")]
    NotReady(SealName),
    /// The key's file is damaged, or belongs to another keyring.
    #[error("the key {0} does not open: its file is damaged, or the keyring is another")]
    NotGenuine(SealName),
    /// The system gives no random numbers, or what is to be sealed is over 64 KiB.
    #[error("{0}")]
    Seal(#[from] SealError),
}

/// Why something can't be read any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// Its key was destroyed, as it should be.
    #[error("disposed of")]
    Destroyed,
    /// Its key is not there, or can't be read, and nothing says that it was destroyed: a directory that was not restored.
    #[error("sealed under a key that is gone")]
    Missing,
    /// It is not what was sealed.
    #[error("not what was sealed")]
    NotGenuine,
}

/// The keys of one data directory.
#[derive(Debug)]
pub struct Seals {
    directory: PathBuf,
    wrapping: SealingKey,
    held: HeldKeys,
    /// Whoever makes or destroys a key's file. A disk that hangs holds up these, and nobody else.
    making: Mutex<()>,
}

impl Seals {
    /// Takes up the keys in `directory`, which is made where it is missing, and ends a destruction that was not finished.
    ///
    /// # Errors
    /// When the directory can't be used.
    pub fn open(directory: PathBuf, wrapping: SealingKey) -> Result<Self, FileError> {
        files::make_private_directory(&directory)?;
        let seals = Self::beside(directory, wrapping);
        for file in seals.names()? {
            match file {
                Found::Destroyed(name) => files::destroy_private(&seals.key_file(&name))?,
                // Of a key that was never put in place, so nothing was sealed under it.
                Found::HalfMade(path) => files::destroy_private(&path)?,
                Found::Key(_) => {}
            }
        }
        Ok(seals)
    }

    /// Takes up the keys of `directory` beside the daemon that they belong to: clears away nothing, since that may be making
    /// one just now. For opening what is sealed, and for no more.
    #[must_use]
    pub fn beside(directory: PathBuf, wrapping: SealingKey) -> Self {
        Self {
            directory,
            wrapping,
            held: HeldKeys::default(),
            making: Mutex::default(),
        }
    }

    /// Seals for `context` under a key that was prepared. Touches no disk.
    ///
    /// # Errors
    /// When the key is not ready, or was destroyed. Nothing may be written without its seal.
    pub fn seal(
        &self,
        name: &SealName,
        context: &[u8],
        plain: &[u8],
    ) -> Result<(String, Vec<u8>), SealsError> {
        let Some(key) = self.held.ready(name) else {
            return Err(match self.held.find(name) {
                Ok(Held::Destroyed) => SealsError::Destroyed(name.clone()),
                _ => SealsError::NotReady(name.clone()),
            });
        };
        Ok((key.id().to_string(), key.seal(context, plain)?))
    }

    /// Makes ready all that are `wanted`, and lets go of those whose month is not among `months`. Tries all of them, whatever
    /// keeps one from being ready. Blocks on the disk.
    ///
    /// # Errors
    /// The first, as for [`Self::prepare`].
    pub fn prepare_all(
        &self,
        wanted: &[SealName],
        months: &RangeInclusive<Month>,
    ) -> Result<(), SealsError> {
        self.held.want(wanted, months);
        let mut outcome = Ok(());
        for name in wanted {
            let prepared = self.prepare(name);
            outcome = outcome.and(prepared);
        }
        outcome
    }

    /// Makes a key ready to seal with: makes it, durably, where there is none yet. Blocks on the disk.
    ///
    /// # Errors
    /// When it can't be made or read, or was destroyed.
    pub fn prepare(&self, name: &SealName) -> Result<(), SealsError> {
        if self.held.ready(name).is_some() {
            return Ok(());
        }
        let _making = self.making();
        let key = self.take_up(name);
        match key {
            // Before the lock is given back: whoever destroys it comes before all of this, or after.
            Ok(key) => self.held.make_ready(name, key),
            Err(error) => {
                self.held.note_failure(name, error.to_string());
                return Err(error);
            }
        }
        Ok(())
    }

    /// The keys that are wanted and not ready, each with the reason, free of personal data. Touches no disk.
    #[must_use]
    pub fn unready(&self) -> Vec<(SealName, String)> {
        self.held.unready()
    }

    /// Opens what was sealed for the same context. Blocks on the disk when the key is not among the few last used, so call it
    /// where blocking is allowed; others who seal or read don't wait for it.
    ///
    /// # Errors
    /// When it can't be read any more.
    pub fn unseal(
        &self,
        name: &SealName,
        key_id: &str,
        context: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
        let held = loop {
            let look = match self.held.find(name) {
                Ok(held) => break held,
                Err(look) => look,
            };
            let read = self.read(name).ok().flatten();
            let read = read.ok_or(UnsealError::Missing)?;
            // Once more for each key that is destroyed meanwhile.
            if self.held.keep(name, read.clone(), look) {
                break read;
            }
        };
        match held {
            Held::Destroyed => Err(UnsealError::Destroyed),
            Held::Key(key) if key.id().as_str() != key_id => Err(UnsealError::Missing),
            Held::Key(key) => key
                .open(context, sealed)
                .map_err(|_| UnsealError::NotGenuine),
        }
    }

    /// How many keys were destroyed, by whatever process: it rises, durably, before a key is gone. What was opened after one
    /// call was opened by no key that was destroyed, as long as another call tells the same. Reads the directory.
    ///
    /// # Errors
    /// When the directory can't be read.
    pub fn destroyed(&self) -> Result<u64, FileError> {
        let names = self.names()?.into_iter();
        let noted: BTreeSet<SealName> = names
            .filter_map(|found| match found {
                Found::Destroyed(name) => Some(name),
                Found::Key(_) | Found::HalfMade(_) => None,
            })
            .collect();
        self.held.found_destroyed(&noted);
        Ok(noted.len() as u64)
    }

    /// All keys that are there, in order.
    ///
    /// # Errors
    /// When the directory can't be read.
    pub fn keys(&self) -> Result<Vec<SealName>, FileError> {
        let mut keys: Vec<SealName> = self
            .names()?
            .into_iter()
            .filter_map(|found| match found {
                Found::Key(name) => Some(name),
                Found::Destroyed(_) | Found::HalfMade(_) => None,
            })
            .collect();
        keys.sort();
        Ok(keys)
    }

    /// Destroys a key: first a note that says so, durably, then the key. Doing it again changes nothing. Blocks on the disk.
    ///
    /// # Errors
    /// When the disk refuses. The next opening of the directory completes what the note says.
    pub fn destroy(&self, name: &SealName, rule: &str, at: Timestamp) -> Result<(), FileError> {
        let _making = self.making();
        self.held.withhold(name);
        let note = self.note_file(name);
        let mut text = format!("{at} {rule}\n");
        if text.len() > NOTE_MAX_BYTES {
            let end = (0..=NOTE_MAX_BYTES)
                .rev()
                .find(|end| text.is_char_boundary(*end));
            text.truncate(end.unwrap_or(0));
        }
        match files::create_private(&note, text.as_bytes()) {
            Ok(()) => {}
            // It may have been put in place by a process that ended before that was durable.
            Err(FileError::Exists { .. }) => files::sync_directory(&self.directory)?,
            Err(error) => return Err(error),
        }
        self.held.destroyed(name);
        files::destroy_private(&self.key_file(name))
    }

    /// The key as it is on the disk for good, made where there was none. Only under the lock of those who make.
    fn take_up(&self, name: &SealName) -> Result<Arc<SealingKey>, SealsError> {
        match self.read(name)? {
            // Its name may not be durable yet, when whoever made it ended early.
            Some(Held::Key(key)) => {
                files::sync_directory(&self.directory)?;
                Ok(key)
            }
            Some(Held::Destroyed) => Err(SealsError::Destroyed(name.clone())),
            None => self.make(name),
        }
    }

    fn make(&self, name: &SealName) -> Result<Arc<SealingKey>, SealsError> {
        let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
        getrandom::fill(&mut *bytes).map_err(|_| SealError::Random)?;
        let wrapped = self.wrapping.seal(&name.context(), &*bytes)?;
        files::create_private(&self.key_file(name), &wrapped)?;
        Ok(Arc::new(SealingKey::new(&Key::new(PURPOSE, bytes), &[])))
    }

    /// `None` where there is neither a key nor a note.
    fn read(&self, name: &SealName) -> Result<Option<Held>, SealsError> {
        let note = self.note_file(name);
        if is_there(&note)? {
            return Ok(Some(Held::Destroyed));
        }
        match self.read_key(name) {
            Ok(Some(key)) => Ok(Some(Held::Key(key))),
            // It may be gone, or no key any more, since the look for a note.
            _ if is_there(&note)? => Ok(Some(Held::Destroyed)),
            other => other.map(|_| None),
        }
    }

    fn read_key(&self, name: &SealName) -> Result<Option<Arc<SealingKey>>, SealsError> {
        let path = self.key_file(name);
        if !is_there(&path)? {
            return Ok(None);
        }
        let wrapped = files::read_private(&path, FILE_BYTES)?;
        let plain = self
            .wrapping
            .open(&name.context(), &wrapped)
            .map_err(|_| SealsError::NotGenuine(name.clone()))?;
        let bytes = <[u8; KEY_BYTES]>::try_from(plain.as_slice())
            .map_err(|_| SealsError::NotGenuine(name.clone()))?;
        let key = Key::new(PURPOSE, Zeroizing::new(bytes));
        Ok(Some(Arc::new(SealingKey::new(&key, &[]))))
    }

    fn names(&self) -> Result<Vec<Found>, FileError> {
        let failed = |source| FileError::System {
            path: self.directory.clone(),
            doing: "list",
            source,
        };
        let mut found = Vec::new();
        for file in fs::read_dir(&self.directory).map_err(failed)? {
            let file = file.map_err(failed)?;
            let name = file.file_name();
            let name = name.to_string_lossy();
            if let Some(name) = name.strip_suffix(".key").and_then(SealName::parse) {
                found.push(Found::Key(name));
            } else if let Some(name) = name.strip_suffix(".destroyed").and_then(SealName::parse) {
                found.push(Found::Destroyed(name));
            } else if name.starts_with('.') && name.ends_with(".new") {
                found.push(Found::HalfMade(file.path()));
            }
        }
        Ok(found)
    }

    fn key_file(&self, name: &SealName) -> PathBuf {
        self.directory.join(format!("{name}.key"))
    }

    fn note_file(&self, name: &SealName) -> PathBuf {
        self.directory.join(format!("{name}.destroyed"))
    }

    fn making(&self) -> MutexGuard<'_, ()> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file of the directory.
enum Found {
    Key(SealName),
    Destroyed(SealName),
    HalfMade(PathBuf),
}

fn is_there(path: &Path) -> Result<bool, FileError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(FileError::System {
            path: path.to_owned(),
            doing: "look at",
            source,
        }),
    }
}
