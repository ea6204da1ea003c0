//! The revisions that a daemon keeps, each in a folder of its name, and which of them is in force: so that a start puts in force
//! what was, whatever became of the pack's folder meanwhile, and an older one can be put in force again.
//!
//! ```text
//! <data>/policies/<revision>/  pack.toml, model.conf, policy.csv ... as they were loaded; kept.json is written last
//! <data>/policies/in-force.json
//! <data>/policies/candidate.json   while one waits: which, and from which entry of the log on it decides in the shadow
//! <data>/policies/activating.json  while a revision is put in force: what will be, and from which entry of the log on that is told
//! ```

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::{Pack, PackErrors, PackFiles};
use crate::domain::ids::LogIndex;
use crate::domain::time::Timestamp;
use crate::files::{FileError, make_private_directory, read_guarded, write_private};

const KEPT_FILE: &str = "kept.json";
const IN_FORCE_FILE: &str = "in-force.json";
const ACTIVATING_FILE: &str = "activating.json";
const CANDIDATE_FILE: &str = "candidate.json";
/// The largest of these, in bytes.
const NOTE_MAX_BYTES: u64 = 4_096;

/// SHA-256 of a pack's rules.
pub type Revision = [u8; 32];

/// As people write it.
#[must_use]
pub fn written(revision: &Revision) -> String {
    HEXLOWER.encode(revision)
}

/// Reads what [`written`] gives.
#[must_use]
pub fn read_revision(text: &str) -> Option<Revision> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

/// Why a shelf can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// The system refuses.
    #[error(transparent)]
    File(#[from] FileError),
    /// A kept pack does not load: it was kept by another version, or it was changed.
    #[error("the kept revision {revision} does not load any more:\n{why}")]
    Pack {
        /// Which.
        revision: String,
        /// What is wrong with it.
        why: PackErrors,
    },
    /// What is kept is not what its name says.
    #[error("{}: {what}", path.display())]
    Changed {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// What is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// The pack.
    pub revision: Revision,
    /// What the pack's folder held when that was put in force.
    pub folder: Option<Revision>,
    /// Since when.
    pub since: Timestamp,
    /// A person's id; empty for the daemon itself.
    pub by: String,
}

/// Since when a candidate decides in the shadow of what is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandidateSince {
    /// The candidate.
    pub revision: Revision,
    /// What was in force then.
    pub beside: Revision,
    /// When.
    pub since: Timestamp,
    /// The first entry of the log that it is asked about.
    pub from: LogIndex,
}

/// A revision that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub revision: Revision,
    /// The pack's id.
    pub pack: String,
    /// When it was first loaded.
    pub loaded: Timestamp,
    /// When it was put in force last; `None` for one that never was.
    pub in_force: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptNote {
    pack: String,
    loaded_us: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    in_force_us: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InForceNote {
    revision: String,
    folder: Option<String>,
    since_us: i64,
    by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CandidateNote {
    revision: String,
    beside: String,
    since_us: i64,
    from: u64,
}

impl InForceNote {
    fn of(in_force: &InForce, from: Option<LogIndex>) -> Self {
        Self {
            revision: written(&in_force.revision),
            folder: in_force.folder.as_ref().map(written),
            since_us: in_force.since.micros(),
            by: in_force.by.clone(),
            from: from.map(|index| index.0),
        }
    }

    fn read(self) -> Option<InForce> {
        let folder = match self.folder {
            None => None,
            Some(folder) => Some(read_revision(&folder)?),
        };
        Some(InForce {
            revision: read_revision(&self.revision)?,
            folder,
            since: Timestamp::from_micros(self.since_us),
            by: self.by,
        })
    }
}

/// The folder of kept revisions. Every method blocks on the disk.
#[derive(Debug, Clone)]
pub struct Shelf {
    directory: PathBuf,
}

impl Shelf {
    /// Opens it, and makes it where it is not there.
    ///
    /// # Errors
    /// When others may write into it, or the system refuses.
    pub fn open(directory: PathBuf) -> Result<Self, FileError> {
        make_private_directory(&directory)?;
        Ok(Self { directory })
    }

    fn folder(&self, revision: &Revision) -> PathBuf {
        self.directory.join(written(revision))
    }

    /// Keeps a revision. One that is kept stays as it is but for its signatures.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn keep(
        &self,
        revision: &Revision,
        pack: &str,
        files: &PackFiles,
        now: Timestamp,
    ) -> Result<(), FileError> {
        let folder = self.folder(revision);
        make_private_directory(&folder)?;
        files.write(&folder)?;
        let kept = folder.join(KEPT_FILE);
        if kept.exists() {
            return Ok(());
        }
        let note = KeptNote {
            pack: pack.to_owned(),
            loaded_us: now.micros(),
            in_force_us: None,
        };
        write_private(&kept, &json(&note))
    }

    /// Loads a revision that is kept; `None` when it isn't.
    ///
    /// # Errors
    /// When it does not load, or is not what its name says.
    pub fn load(&self, revision: &Revision) -> Result<Option<(Pack, PackFiles)>, ShelfError> {
        let folder = self.folder(revision);
        if !folder.join(KEPT_FILE).exists() {
            return Ok(None);
        }
        let (pack, files) = super::load_with_files(&folder).map_err(|why| ShelfError::Pack {
            revision: written(revision),
            why,
        })?;
        if pack.rules.revision != *revision {
            return Err(ShelfError::Changed {
                path: folder,
                what: "holds another revision than its name says: it was changed",
            });
        }
        Ok(Some((pack, files)))
    }

    /// What is kept, the latest loaded first. Folders that were not finished, or whose note can't be read, are passed over.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn list(&self) -> Result<Vec<Kept>, ShelfError> {
        let all = self.folders()?.into_iter().filter_map(|(_, kept)| kept);
        let mut all: Vec<Kept> = all.collect();
        all.sort_by_key(|kept| (std::cmp::Reverse(kept.loaded), kept.revision));
        Ok(all)
    }

    /// Every folder that is named after a revision, with what is noted of it.
    fn folders(&self) -> Result<Vec<(Revision, Option<Kept>)>, ShelfError> {
        let listed =
            |result: io::Result<_>| result.map_err(FileError::system(&self.directory, "list"));
        let mut all = Vec::new();
        let entries = fs::read_dir(&self.directory);
        for entry in entries.map_err(FileError::system(&self.directory, "list"))? {
            let entry = listed(entry)?;
            let Some(revision) = entry.file_name().to_str().and_then(read_revision) else {
                continue;
            };
            let note = match read_note::<KeptNote>(&entry.path().join(KEPT_FILE)) {
                Ok(note) => note,
                Err(error) => {
                    tracing::warn!(%error, "a kept revision of the policy can't be read");
                    None
                }
            };
            let kept = note.map(|note| Kept {
                revision,
                pack: note.pack,
                loaded: Timestamp::from_micros(note.loaded_us),
                in_force: note.in_force_us.map(Timestamp::from_micros),
            });
            all.push((revision, kept));
        }
        Ok(all)
    }

    /// Lets go of those that never were in force, and of the `count` that last were of the oldest beyond; never of those in `used`.
    ///
    /// # Errors
    /// When the system refuses; what is left goes another time.
    pub fn let_go(&self, count: usize, used: &[Revision]) -> Result<(), ShelfError> {
        let mut all = self.folders()?;
        all.sort_by_key(|(_, kept)| {
            std::cmp::Reverse(kept.as_ref().and_then(|kept| kept.in_force))
        });
        for (position, (revision, kept)) in all.into_iter().enumerate() {
            let was_in_force = kept.is_some_and(|kept| kept.in_force.is_some());
            if (was_in_force && position < count) || used.contains(&revision) {
                continue;
            }
            let path = self.folder(&revision);
            fs::remove_dir_all(&path).map_err(FileError::system(&path, "remove"))?;
        }
        Ok(())
    }

    /// Notes when a kept revision was put in force last.
    fn note_in_force(&self, in_force: &InForce) -> Result<(), ShelfError> {
        let path = self.folder(&in_force.revision).join(KEPT_FILE);
        let Some(note) = read_note::<KeptNote>(&path)? else {
            return Ok(());
        };
        let note = KeptNote {
            in_force_us: Some(in_force.since.micros()),
            ..note
        };
        Ok(write_private(&path, &json(&note))?)
    }

    /// What was put in force last; `None` before anything was.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn in_force(&self) -> Result<Option<InForce>, ShelfError> {
        Ok(self.read(IN_FORCE_FILE)?.map(|(in_force, _)| in_force))
    }

    /// What was about to be put in force, and from which entry of the log on the one would be that says it was.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn activating(&self) -> Result<Option<(InForce, LogIndex)>, ShelfError> {
        let read = self.read(ACTIVATING_FILE)?;
        Ok(read.and_then(|(in_force, from)| Some((in_force, LogIndex(from?)))))
    }

    fn read(&self, file: &str) -> Result<Option<(InForce, Option<u64>)>, ShelfError> {
        let path = self.directory.join(file);
        let Some(note) = read_note::<InForceNote>(&path)? else {
            return Ok(None);
        };
        let from = note.from;
        match note.read() {
            Some(in_force) => Ok(Some((in_force, from))),
            None => Err(ShelfError::Changed {
                path,
                what: "names no revision",
            }),
        }
    }

    /// The candidate that was noted last; `None` where there is none.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn candidate(&self) -> Result<Option<CandidateSince>, ShelfError> {
        let path = self.directory.join(CANDIDATE_FILE);
        let Some(note) = read_note::<CandidateNote>(&path)? else {
            return Ok(None);
        };
        let revisions = read_revision(&note.revision).zip(read_revision(&note.beside));
        let Some((revision, beside)) = revisions else {
            return Err(ShelfError::Changed {
                path,
                what: "names no revision",
            });
        };
        Ok(Some(CandidateSince {
            revision,
            beside,
            since: Timestamp::from_micros(note.since_us),
            from: LogIndex(note.from),
        }))
    }

    /// Notes since when there is a candidate, or that there is none. Durable when it returns.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn note_candidate(&self, candidate: Option<&CandidateSince>) -> Result<(), FileError> {
        let path = self.directory.join(CANDIDATE_FILE);
        let Some(candidate) = candidate else {
            return remove(&path);
        };
        let note = CandidateNote {
            revision: written(&candidate.revision),
            beside: written(&candidate.beside),
            since_us: candidate.since.micros(),
            from: candidate.from.0,
        };
        write_private(&path, &json(&note))
    }

    /// Says what is about to be put in force, before the entry is written that says it was: at `from` or later, or, where something
    /// was about to be already, from where that was. Durable when it returns.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn activate(&self, in_force: &InForce, from: LogIndex) -> Result<(), ShelfError> {
        let before = self.activating()?.map(|(_, before)| before);
        let from = before.map_or(from, |before| before.min(from));
        let note = InForceNote::of(in_force, Some(from));
        Ok(write_private(
            &self.directory.join(ACTIVATING_FILE),
            &json(&note),
        )?)
    }

    /// Says what is in force from now on, and that nothing is about to be. Durable when it returns.
    ///
    /// # Errors
    /// When the system refuses: what it said before stays.
    pub fn put_in_force(&self, in_force: &InForce) -> Result<(), ShelfError> {
        self.note_in_force(in_force)?;
        let note = InForceNote::of(in_force, None);
        write_private(&self.directory.join(IN_FORCE_FILE), &json(&note))?;
        Ok(remove(&self.directory.join(ACTIVATING_FILE))?)
    }
}

/// Removes a file, which need not be there.
fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::system(path, "remove")(error))
        }
        _ => Ok(()),
    }
}

fn json(note: &impl Serialize) -> Vec<u8> {
    // Texts and numbers: there is nothing in them that can't be written.
    serde_json::to_vec(note).unwrap_or_default()
}

fn read_note<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<Option<T>, ShelfError> {
    let bytes = match read_guarded(path, NOTE_MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(FileError::System { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let read = serde_json::from_slice(&bytes);
    read.map(Some).map_err(|_| ShelfError::Changed {
        path: path.to_owned(),
        what: match path.file_name().and_then(OsStr::to_str) {
            Some(IN_FORCE_FILE) => "is not what this program writes into in-force.json",
            Some(CANDIDATE_FILE) => "is not what this program writes into candidate.json",
            _ => "is not what this program writes into kept.json",
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack() -> (Pack, PackFiles) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/recruitment");
        super::super::load_with_files(&folder).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn what_is_kept_loads_as_it_was_and_one_that_was_changed_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path().join("policies")).unwrap();
        let (pack, files) = pack();
        let revision = pack.rules.revision;
        assert!(shelf.load(&revision).unwrap().is_none());
        shelf.keep(&revision, "recruitment", &files, at(7)).unwrap();
        shelf.keep(&revision, "recruitment", &files, at(9)).unwrap();
        let (again, same) = shelf.load(&revision).unwrap().unwrap();
        assert_eq!(again.rules.revision, revision);
        assert_eq!(same, files);
        let kept = Kept {
            revision,
            pack: "recruitment".to_owned(),
            loaded: at(7),
            in_force: None,
        };
        assert_eq!(shelf.list().unwrap(), [kept]);

        let policy = shelf.folder(&revision).join("policy.csv");
        let mut text = fs::read_to_string(&policy).unwrap();
        text.push_str("# one more\n");
        write_private(&policy, text.as_bytes()).unwrap();
        assert!(matches!(
            shelf.load(&revision),
            Err(ShelfError::Changed { .. })
        ));
    }

    #[test]
    fn what_never_was_in_force_and_the_oldest_go_and_what_is_used_stays() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path().join("policies")).unwrap();
        let (_, files) = pack();
        // The fifth was a candidate; of the sixth only the folder was made.
        for number in 1..=5_u8 {
            shelf.keep(&[number; 32], "p", &files, at(1)).unwrap();
        }
        make_private_directory(&shelf.folder(&[6; 32])).unwrap();
        for number in [3, 2, 4, 1_u8] {
            let in_force = InForce {
                revision: [number; 32],
                folder: None,
                since: at(i64::from(number)),
                by: String::new(),
            };
            shelf.put_in_force(&in_force).unwrap();
        }
        shelf.let_go(2, &[[1; 32]]).unwrap();
        assert!(!shelf.folder(&[6; 32]).exists());
        let left: Vec<u8> = shelf
            .list()
            .unwrap()
            .iter()
            .map(|k| k.revision[0])
            .collect();
        assert_eq!(left, [1, 3, 4]);
    }

    #[test]
    fn what_is_in_force_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path().join("policies")).unwrap();
        assert_eq!(shelf.in_force().unwrap(), None);
        for folder in [None, Some([3; 32])] {
            let in_force = InForce {
                revision: [2; 32],
                folder,
                since: at(5),
                by: "administrator-1".to_owned(),
            };
            shelf.put_in_force(&in_force).unwrap();
            assert_eq!(shelf.in_force().unwrap(), Some(in_force));
        }
        let next = InForce {
            revision: [4; 32],
            ..shelf.in_force().unwrap().unwrap()
        };
        shelf.activate(&next, LogIndex(7)).unwrap();
        assert_eq!(shelf.in_force().unwrap().unwrap().revision, [2; 32]);
        let candidate = CandidateSince {
            revision: [4; 32],
            beside: [2; 32],
            since: at(6),
            from: LogIndex(9),
        };
        for noted in [Some(candidate), None, None] {
            shelf.note_candidate(noted.as_ref()).unwrap();
            assert_eq!(shelf.candidate().unwrap(), noted);
        }
        let about_to_be = shelf.activating().unwrap();
        assert_eq!(about_to_be, Some((next.clone(), LogIndex(7))));
        shelf.put_in_force(&next).unwrap();
        assert_eq!(shelf.activating().unwrap(), None);
        write_private(&shelf.directory.join(IN_FORCE_FILE), b"{}").unwrap();
        assert!(shelf.in_force().is_err());
    }
}
