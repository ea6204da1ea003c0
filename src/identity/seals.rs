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

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use super::keys::{KEY_BYTES, Key, SealError, SealingKey};
use crate::domain::calendar::Month;
use crate::domain::ids::NAME_MAX_BYTES;
use crate::domain::time::Timestamp;
use crate::files::{self, FileError};

/// What a data key is for; goes into its id.
const PURPOSE: &str = "log-month";
/// How many keys are held: about 300 bytes each.
const HELD_MAX: usize = 32;
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
    /// The most lately used last.
    held: Mutex<VecDeque<(SealName, Held)>>,
}

#[derive(Debug, Clone)]
enum Held {
    Key(Arc<SealingKey>),
    Destroyed,
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
            held: Mutex::default(),
        }
    }

    /// Seals for `context` under a key that is made, durably, where there is none yet. Blocks on the disk the first time.
    ///
    /// # Errors
    /// When the key can't be made or read, or was destroyed. Nothing may be written without its seal.
    pub fn seal(
        &self,
        name: &SealName,
        context: &[u8],
        plain: &[u8],
    ) -> Result<(String, Vec<u8>), SealsError> {
        let key = self.key_to_seal(name)?;
        Ok((key.id().to_string(), key.seal(context, plain)?))
    }

    /// Makes sure that there is a key, so that no caller waits for it later.
    ///
    /// # Errors
    /// As for [`Self::seal`].
    pub fn prepare(&self, name: &SealName) -> Result<(), SealsError> {
        self.key_to_seal(name).map(drop)
    }

    /// Opens what was sealed for the same context. Blocks on the disk when the key is not among the few last used.
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
        let held = {
            let mut all = self.lock();
            match find(&mut all, name) {
                Some(held) => held,
                None => {
                    let read = self.read(name).ok().flatten();
                    let held = read.ok_or(UnsealError::Missing)?;
                    hold(&mut all, name, held.clone());
                    held
                }
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

    /// Destroys a key: first a note that says so, durably, then the key. Doing it again changes nothing.
    ///
    /// # Errors
    /// When the disk refuses. The next opening of the directory completes what the note says.
    pub fn destroy(&self, name: &SealName, rule: &str, at: Timestamp) -> Result<(), FileError> {
        // Nobody seals or makes a key meanwhile.
        let mut all = self.lock();
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
        hold(&mut all, name, Held::Destroyed);
        files::destroy_private(&self.key_file(name))
    }

    fn key_to_seal(&self, name: &SealName) -> Result<Arc<SealingKey>, SealsError> {
        let mut all = self.lock();
        let held = match find(&mut all, name) {
            Some(held) => held,
            None => {
                let held = match self.read(name)? {
                    // Its name may not be durable yet, when whoever made it ended early.
                    Some(Held::Key(key)) => {
                        files::sync_directory(&self.directory)?;
                        Held::Key(key)
                    }
                    Some(Held::Destroyed) => Held::Destroyed,
                    None => Held::Key(self.make(name)?),
                };
                hold(&mut all, name, held.clone());
                held
            }
        };
        match held {
            Held::Key(key) => Ok(key),
            Held::Destroyed => Err(SealsError::Destroyed(name.clone())),
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
        let there = |path: &Path| match fs::symlink_metadata(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(FileError::System {
                path: path.to_owned(),
                doing: "look at",
                source,
            }),
        };
        if there(&self.note_file(name))? {
            return Ok(Some(Held::Destroyed));
        }
        let path = self.key_file(name);
        if !there(&path)? {
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
        Ok(Some(Held::Key(Arc::new(SealingKey::new(&key, &[])))))
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

    fn lock(&self) -> MutexGuard<'_, VecDeque<(SealName, Held)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file of the directory.
enum Found {
    Key(SealName),
    Destroyed(SealName),
    HalfMade(PathBuf),
}

fn find(all: &mut VecDeque<(SealName, Held)>, name: &SealName) -> Option<Held> {
    // Most often the last one used.
    let at = all.iter().rposition(|(held, _)| held == name)?;
    if at.saturating_add(1) < all.len()
        && let Some(found) = all.remove(at)
    {
        all.push_back(found);
    }
    all.back().map(|(_, held)| held.clone())
}

fn hold(all: &mut VecDeque<(SealName, Held)>, name: &SealName, held: Held) {
    all.retain(|(other, _)| other != name);
    while all.len() >= HELD_MAX {
        all.pop_front();
    }
    all.push_back((name.clone(), held));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::keyring::Keyring;

    fn name(class: &str, month: &str) -> SealName {
        SealName::new(class, Month::parse(month).unwrap()).unwrap()
    }

    fn at() -> Timestamp {
        Timestamp::parse("2029-12-01T00:00:00Z").unwrap()
    }

    struct World {
        folder: tempfile::TempDir,
        keyring: Keyring,
    }

    impl World {
        fn new() -> Self {
            Self {
                folder: tempfile::tempdir().unwrap(),
                keyring: Keyring::ephemeral().unwrap(),
            }
        }

        fn directory(&self) -> PathBuf {
            self.folder.path().join("seals")
        }

        fn seals(&self) -> Seals {
            Seals::open(self.directory(), self.keyring.log_text.clone()).unwrap()
        }
    }

    #[test]
    fn what_is_sealed_opens_after_a_restart_and_only_under_its_class_month_and_context() {
        let world = World::new();
        let november = name("default", "2026-11");
        let (id, sealed) = world
            .seals()
            .seal(&november, b"entry 1", b"reason")
            .unwrap();
        let seals = world.seals();
        let open = |name: &SealName, context: &[u8]| seals.unseal(name, &id, context, &sealed);
        assert_eq!(&**open(&november, b"entry 1").unwrap(), b"reason");
        assert_eq!(
            open(&november, b"entry 2").unwrap_err(),
            UnsealError::NotGenuine
        );
        for other in [name("default", "2026-12"), name("health", "2026-11")] {
            assert_eq!(open(&other, b"entry 1").unwrap_err(), UnsealError::Missing);
            seals.prepare(&other).unwrap();
            assert_eq!(open(&other, b"entry 1").unwrap_err(), UnsealError::Missing);
        }
    }

    #[test]
    fn a_key_is_on_the_disk_before_anything_is_sealed_under_it_and_is_worth_nothing_elsewhere() {
        let world = World::new();
        let november = name("default", "2026-11");
        let (id, sealed) = world.seals().seal(&november, b"", b"reason").unwrap();
        let file = world.directory().join("default-2026-11.key");
        assert_eq!(files::read_private(&file, 100).unwrap().len(), 72);
        // Under another keyring, and as the key of another month.
        let other = Seals::open(world.directory(), Keyring::ephemeral().unwrap().log_text).unwrap();
        assert_eq!(
            other.unseal(&november, &id, b"", &sealed).unwrap_err(),
            UnsealError::Missing
        );
        assert!(matches!(
            other.seal(&november, b"", b"x"),
            Err(SealsError::NotGenuine(_))
        ));
        fs::copy(&file, world.directory().join("default-2026-12.key")).unwrap();
        let december = name("default", "2026-12");
        assert!(matches!(
            world.seals().seal(&december, b"", b"x"),
            Err(SealsError::NotGenuine(_))
        ));
    }

    #[test]
    fn a_destroyed_key_opens_nothing_seals_nothing_and_leaves_no_byte() {
        let world = World::new();
        let (old, young) = (name("default", "2026-11"), name("default", "2026-12"));
        let seals = world.seals();
        let (id, sealed) = seals.seal(&old, b"", b"reason").unwrap();
        let (young_id, young_sealed) = seals.seal(&young, b"", b"reason").unwrap();
        let file = world.directory().join("default-2026-11.key");
        // A second name for the same bytes shows what became of them.
        let witness = world.folder.path().join("witness");
        fs::hard_link(&file, &witness).unwrap();
        let before = fs::read(&file).unwrap();
        seals.destroy(&old, "3y", at()).unwrap();
        seals.destroy(&old, "3y", at()).unwrap();
        assert!(!file.exists());
        let after = fs::read(&witness).unwrap();
        assert_eq!(after.len(), before.len());
        assert_ne!(after, before);
        for seals in [seals, world.seals()] {
            assert_eq!(
                seals.unseal(&old, &id, b"", &sealed).unwrap_err(),
                UnsealError::Destroyed
            );
            assert!(matches!(
                seals.seal(&old, b"", b"x"),
                Err(SealsError::Destroyed(_))
            ));
            assert!(seals.unseal(&young, &young_id, b"", &young_sealed).is_ok());
            assert_eq!(seals.keys().unwrap(), std::slice::from_ref(&young));
        }
    }

    #[test]
    fn a_destruction_that_was_cut_short_is_completed() {
        let world = World::new();
        let old = name("default", "2026-11");
        world.seals().prepare(&old).unwrap();
        let kept = fs::read(world.directory().join("default-2026-11.key")).unwrap();
        world.seals().destroy(&old, "3y", at()).unwrap();
        // As if the process had ended after the note.
        files::create_private(&world.directory().join("default-2026-11.key"), &kept).unwrap();
        files::create_private(
            &world.directory().join(".default-2027-01.key.00.new"),
            &kept,
        )
        .unwrap();
        assert!(world.seals().keys().unwrap().is_empty());
        let left: Vec<_> = fs::read_dir(world.directory()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn where_no_key_can_be_made_nothing_is_sealed() {
        let world = World::new();
        let seals = world.seals();
        fs::remove_dir(world.directory()).unwrap();
        assert!(matches!(
            seals.seal(&name("default", "2026-11"), b"", b"x"),
            Err(SealsError::File(_))
        ));
    }

    #[test]
    fn few_keys_are_held_and_all_are_found() {
        let world = World::new();
        let seals = world.seals();
        let months: Vec<SealName> = (1..=9)
            .flat_map(|year| {
                (1..=12).map(move |month| name("default", &format!("200{year}-{month:02}")))
            })
            .collect();
        let sealed: Vec<_> = months
            .iter()
            .map(|name| seals.seal(name, b"", b"x").unwrap())
            .collect();
        for (name, (id, sealed)) in months.iter().zip(&sealed) {
            assert!(seals.unseal(name, id, b"", sealed).is_ok(), "{name}");
            assert!(seals.lock().len() <= HELD_MAX);
        }
        assert_eq!(seals.keys().unwrap(), months);
    }

    #[test]
    fn a_class_that_leads_elsewhere_is_no_name() {
        let month = Month::parse("2026-11").unwrap();
        for bad in ["", "../x", "a/b", "A", "a.b", "あ"] {
            assert!(SealName::new(bad, month).is_none(), "{bad}");
        }
        assert_eq!(SealName::parse("a-b-2026-11"), SealName::new("a-b", month));
        for bad in [
            "",
            "2026-11",
            "-2026-11",
            "a2026-11",
            "a-2026-13",
            "é-2026-11",
        ] {
            assert_eq!(SealName::parse(bad), None, "{bad}");
        }
    }
}
