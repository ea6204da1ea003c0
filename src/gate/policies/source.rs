//! Where the policy comes from: the pack's folder, which somebody writes to, and the shelf, on which this daemon keeps what it
//! loaded. Says what is in force at a start. Everything here blocks on the disk.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::PolicySettings;
use crate::decision::rules::RuleSet;
use crate::domain::ids::LogIndex;
use crate::domain::time::Timestamp;
use crate::files::FileError;
use crate::log::{AccessLog, SignedNote};
use crate::policy::shelf::{InForce, Revision, Shelf, ShelfError, written};
use crate::policy::{self, PackErrors, PackFiles, SIGNATURE_FILE};
use crate::proto::stored_change::Kind;

/// The files that make a pack what it is.
const FILES: [&str; 5] = [
    "pack.toml",
    "model.conf",
    "policy.csv",
    "people.csv",
    SIGNATURE_FILE,
];

/// Why a pack is not put in force.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It is not in order.
    #[error("{0}")]
    Pack(#[from] PackErrors),
    /// It bears no signature that counts.
    #[error("{}: {why}", path.display())]
    Signature {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// What was kept can't be used.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// Whether it was put in force can't be told.
    #[error("the access log, which says which policy was put in force last, can't be read: {0}")]
    Log(String),
    /// Under it nobody could administer, who could undo it.
    #[error(
        "{0}: under it none of the people has a role that administers, so nobody could put another in force"
    )]
    NobodyAdministers(String),
}

impl From<FileError> for PolicyError {
    fn from(error: FileError) -> Self {
        Self::Shelf(error.into())
    }
}

impl PolicyError {
    fn gone(revision: &Revision) -> Self {
        let gone = ShelfError::Changed {
            path: PathBuf::from(written(revision)),
            what: "was in force and is not among the kept revisions any more",
        };
        gone.into()
    }

    /// What is wrong, a line each.
    pub(super) fn lines(&self) -> Vec<String> {
        self.to_string().lines().map(str::to_owned).collect()
    }
}

/// The text that a pack's signatures are over: its kind, its id, its revision.
#[must_use]
pub fn signed_text(pack: &str, revision: &Revision) -> String {
    format!("sekisho policy pack\n{pack}\n{}\n", written(revision))
}

/// A pack that loaded and bears the signatures that it needs.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) rules: Arc<RuleSet>,
    pub(super) files: PackFiles,
    /// Names of the configured keys that signed it.
    pub(super) signed_by: Vec<String>,
}

impl Loaded {
    pub(super) fn revision(&self) -> Revision {
        self.rules.revision
    }
}

/// When which file was last changed, as far as the system tells: as long as it is the same, nothing is loaded again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp([Option<FileStamp>; FILES.len()]);

/// Device, inode, time of the last change and length of a file.
type FileStamp = (u64, u64, i64, i64, u64);

/// The pack's folder, and the shelf.
#[derive(Debug)]
pub struct PolicySource {
    folder: PathBuf,
    pub(super) shelf: Shelf,
    pub(super) settings: PolicySettings,
}

/// What is in force at a start.
#[derive(Debug)]
pub struct PolicyBegun {
    pub(in crate::gate) source: Option<PolicySource>,
    pub(in crate::gate) rules: Arc<RuleSet>,
    pub(super) signed_by: Vec<String>,
    pub(super) in_force: InForce,
    /// Which revision was in force before, where it is another.
    pub(in crate::gate) before: Option<Revision>,
    /// What is wrong with the folder.
    pub(super) faults: Vec<String>,
    /// What the folder holds, where that is in order.
    pub(super) folder: Option<Arc<Loaded>>,
    /// What was about to be put in force when the last run ended, and where the log says whether it was.
    activating: Option<(InForce, LogIndex)>,
}

impl PolicyBegun {
    /// Rules that nothing changes: there is no folder behind them.
    #[must_use]
    pub fn fixed(rules: Arc<RuleSet>) -> Self {
        Self {
            source: None,
            signed_by: Vec::new(),
            in_force: InForce {
                revision: rules.revision,
                folder: None,
                since: Timestamp::from_micros(0),
                by: String::new(),
            },
            rules,
            before: None,
            faults: Vec::new(),
            folder: None,
            activating: None,
        }
    }

    /// Puts in force what the log says was, where the last run ended before that was noted. Blocks on the disk.
    ///
    /// # Errors
    /// When the log can't be read, or the pack can't be loaded.
    pub(in crate::gate) fn settle(mut self, log: &AccessLog) -> Result<Self, PolicyError> {
        let (Some((next, from)), Some(source)) = (self.activating.take(), &self.source) else {
            return Ok(self);
        };
        let mut was_put = false;
        for kept in log.reader().forward(from) {
            let entry = kept.and_then(|kept| kept.entry());
            let entry = entry.map_err(|error| PolicyError::Log(error.to_string()))?;
            let kind = entry.change.and_then(|change| change.kind);
            if let Some(Kind::ActivatePolicy(activation)) = kind {
                was_put = activation.revision == next.revision;
            }
        }
        if was_put {
            let loaded = source.load_kept(&next.revision)?;
            let loaded = loaded.ok_or_else(|| PolicyError::gone(&next.revision))?;
            self.before =
                (self.in_force.revision != next.revision).then_some(self.in_force.revision);
            (self.rules, self.signed_by) = (loaded.rules, loaded.signed_by);
            self.in_force = next;
        }
        source.shelf.put_in_force(&self.in_force)?;
        Ok(self)
    }

    /// What is in force.
    #[must_use]
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }
}

impl PolicySource {
    /// The pack in `folder`, with the shelf in `shelf`.
    ///
    /// # Errors
    /// When the shelf can't be used.
    pub fn open(
        folder: PathBuf,
        shelf: PathBuf,
        settings: PolicySettings,
    ) -> Result<Self, PolicyError> {
        Ok(Self {
            folder,
            shelf: Shelf::open(shelf)?,
            settings,
        })
    }

    /// What is in force from a start on: the folder's pack where nothing was in force before, or where the folder was changed since
    /// and that needs nobody's hand. Else, and where the folder's pack is refused, what was in force before.
    ///
    /// # Errors
    /// Why neither can be in force.
    pub fn begin(self, now: Timestamp) -> Result<PolicyBegun, PolicyError> {
        let kept = self.shelf.in_force()?;
        let activating = self.shelf.activating()?;
        let found = self.load_folder();
        let Some(kept) = kept else {
            let loaded = Arc::new(found?);
            return self.begin_with(loaded, None, now);
        };
        let (folder, faults) = match found {
            Ok(loaded) => {
                let is_new = kept.folder != Some(loaded.revision());
                if is_new && !self.settings.by_hand && loaded.revision() != kept.revision {
                    // Newer than whatever was about to be.
                    return self.begin_with(Arc::new(loaded), Some(kept), now);
                }
                (Some(Arc::new(loaded)), Vec::new())
            }
            Err(why) => (None, why.lines()),
        };
        let same = folder
            .as_ref()
            .filter(|loaded| loaded.revision() == kept.revision);
        let loaded = match same {
            // Its signatures may be others by now.
            Some(same) => {
                let pack = &same.rules.pack;
                self.shelf.keep(&kept.revision, pack, &same.files, now)?;
                Arc::clone(same)
            }
            None => {
                let loaded = self.load_kept(&kept.revision)?;
                Arc::new(loaded.ok_or_else(|| PolicyError::gone(&kept.revision))?)
            }
        };
        Ok(PolicyBegun {
            source: Some(self),
            rules: Arc::clone(&loaded.rules),
            signed_by: loaded.signed_by.clone(),
            in_force: kept,
            before: None,
            faults,
            folder,
            activating,
        })
    }

    fn begin_with(
        self,
        loaded: Arc<Loaded>,
        kept: Option<InForce>,
        now: Timestamp,
    ) -> Result<PolicyBegun, PolicyError> {
        let revision = loaded.revision();
        let pack = &loaded.rules.pack;
        self.shelf.keep(&revision, pack, &loaded.files, now)?;
        let before = kept.as_ref().map(|kept| kept.revision);
        let in_force = match kept {
            Some(kept) if kept.revision == revision => InForce {
                folder: Some(revision),
                ..kept
            },
            _ => InForce {
                revision,
                folder: Some(revision),
                since: now,
                by: String::new(),
            },
        };
        self.shelf.put_in_force(&in_force)?;
        Ok(PolicyBegun {
            source: Some(self),
            rules: Arc::clone(&loaded.rules),
            signed_by: loaded.signed_by.clone(),
            in_force,
            before: before.filter(|before| *before != revision),
            faults: Vec::new(),
            folder: Some(loaded),
            activating: None,
        })
    }

    /// Loads what the folder holds now.
    pub(super) fn load_folder(&self) -> Result<Loaded, PolicyError> {
        let (pack, files) = policy::load_with_files(&self.folder)?;
        self.signed(&self.folder, pack.rules, files)
    }

    /// Loads a kept revision; `None` when it isn't kept.
    pub(super) fn load_kept(&self, revision: &Revision) -> Result<Option<Loaded>, PolicyError> {
        let Some((pack, files)) = self.shelf.load(revision)? else {
            return Ok(None);
        };
        self.signed(Path::new(&written(revision)), pack.rules, files)
            .map(Some)
    }

    fn signed(
        &self,
        folder: &Path,
        rules: RuleSet,
        files: PackFiles,
    ) -> Result<Loaded, PolicyError> {
        let signed_by = self
            .signers_of(&rules, &files)
            .map_err(|why| PolicyError::Signature {
                path: folder.join(SIGNATURE_FILE),
                why,
            })?;
        Ok(Loaded {
            rules: Arc::new(rules),
            files,
            signed_by,
        })
    }

    /// The configured keys that signed a pack. A signature in the name of one of them that is not its own is refused, needed or not.
    fn signers_of(&self, rules: &RuleSet, files: &PackFiles) -> Result<Vec<String>, String> {
        let needed = self.settings.signature_required;
        let signers = &self.settings.signers;
        let Some(text) = &files.signature else {
            return if needed {
                Err("is missing: policy.require_signature asks for it".to_owned())
            } else {
                Ok(Vec::new())
            };
        };
        if signers.is_empty() {
            // Nobody's signature means anything here.
            return Ok(Vec::new());
        }
        let note = SignedNote::parse(text).map_err(|why| why.to_string())?;
        if note.text() != signed_text(&rules.pack, &rules.revision) {
            return Err(format!(
                "is for another pack or revision; this one is {}, revision {}",
                rules.pack,
                written(&rules.revision)
            ));
        }
        let mut names = Vec::new();
        for key in signers {
            if note.signed_by(key).is_some() {
                note.verify(key).map_err(|why| why.to_string())?;
                names.push(key.name().to_owned());
            }
        }
        if names.is_empty() && needed {
            return Err("bears no signature of a key in policy.signers".to_owned());
        }
        Ok(names)
    }

    /// As [`Stamp`]. What can't be looked at is none; loading tells why.
    pub(super) fn stamp(&self) -> Stamp {
        Stamp(FILES.map(|file| {
            let found = fs::metadata(self.folder.join(file)).ok()?;
            Some((
                found.dev(),
                found.ino(),
                found.ctime(),
                found.ctime_nsec(),
                found.len(),
            ))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{LogConfig, SigningSeed};
    use crate::proto::{EntryKind, StoredActivation, StoredChange, StoredEntry};

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    /// A copy of a pack that can be changed, and its shelf.
    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let place = Self(tempfile::tempdir().unwrap());
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/recruitment");
            fs::create_dir(place.folder()).unwrap();
            for file in ["pack.toml", "model.conf", "policy.csv", "people.csv"] {
                fs::copy(from.join(file), place.folder().join(file)).unwrap();
            }
            place
        }

        fn folder(&self) -> PathBuf {
            self.0.path().join("pack")
        }

        /// Adds to policy.csv.
        fn add(&self, text: &str) {
            use std::io::Write as _;
            let path = self.folder().join("policy.csv");
            let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        fn source(&self, by_hand: bool) -> PolicySource {
            let settings = PolicySettings {
                by_hand,
                ..PolicySettings::default()
            };
            PolicySource::open(self.folder(), self.0.path().join("policies"), settings).unwrap()
        }

        fn begin(&self, by_hand: bool) -> Result<PolicyBegun, PolicyError> {
            self.source(by_hand).begin(NOW)
        }

        fn log(&self) -> AccessLog {
            let config = LogConfig {
                segment_bytes: 1 << 20,
                ..LogConfig::new(self.0.path().join("log"), SigningSeed::new(&[7; 32]))
            };
            AccessLog::open(config, "test/log").unwrap().log
        }
    }

    #[test]
    fn a_folder_that_changed_while_nothing_ran_is_in_force_unless_it_waits_for_a_hand() {
        for by_hand in [false, true] {
            let place = Place::new();
            let first = place.begin(by_hand).unwrap();
            let revision = first.in_force.revision;
            assert_eq!(
                (first.before, first.in_force.folder),
                (None, Some(revision))
            );
            assert_eq!(place.begin(by_hand).unwrap().in_force, first.in_force);
            place.add("# another year\n");
            let begun = place.begin(by_hand).unwrap();
            let found = begun.folder.as_ref().unwrap().revision();
            assert_ne!(found, revision);
            let expected = if by_hand { revision } else { found };
            assert_eq!(begun.in_force.revision, expected);
            assert_eq!(begun.rules().revision, expected);
            assert_eq!(begun.before, (!by_hand).then_some(revision));
        }
    }

    #[test]
    fn a_folder_that_is_not_in_order_leaves_what_was_in_force() {
        let place = Place::new();
        place.add("p, nonsense\n");
        assert!(matches!(place.begin(false), Err(PolicyError::Pack(_))));
        let place = Place::new();
        let first = place.begin(false).unwrap();
        place.add("p, nonsense\n");
        let begun = place.begin(false).unwrap();
        assert_eq!(begun.in_force, first.in_force);
        assert!(
            begun
                .faults
                .iter()
                .any(|fault| fault.contains("policy.csv"))
        );
        // And where even that is gone, nothing is.
        fs::remove_dir_all(
            place
                .0
                .path()
                .join("policies")
                .join(written(&first.in_force.revision)),
        )
        .unwrap();
        assert!(matches!(place.begin(false), Err(PolicyError::Shelf(_))));
    }

    #[tokio::test]
    async fn what_the_log_says_was_put_in_force_is_also_where_that_was_not_noted() {
        for is_logged in [false, true] {
            let place = Place::new();
            let first = place.begin(true).unwrap().in_force;
            place.add("# another year\n");
            let begun = place.begin(true).unwrap();
            let (source, loaded) = (place.source(true), begun.folder.unwrap());
            let next = InForce {
                revision: loaded.revision(),
                by: "administrator-1".to_owned(),
                ..first.clone()
            };
            source
                .shelf
                .keep(&next.revision, "recruitment", &loaded.files, NOW)
                .unwrap();
            source.shelf.activate(&next, LogIndex(0)).unwrap();
            let log = place.log();
            let mut entry = StoredEntry {
                time_us: NOW.micros(),
                kind: EntryKind::PolicyChange.into(),
                ..StoredEntry::default()
            };
            if is_logged {
                entry.change = Some(StoredChange {
                    kind: Some(Kind::ActivatePolicy(StoredActivation {
                        revision: next.revision.to_vec(),
                        ..StoredActivation::default()
                    })),
                });
            }
            log.append(&[entry]).unwrap().await.unwrap();
            let begun = place.begin(true).unwrap();
            assert_eq!(begun.in_force, first);
            let settled = begun.settle(&log).unwrap();
            let expected = if is_logged { next } else { first };
            assert_eq!(settled.in_force, expected);
            assert_eq!(settled.rules().revision, expected.revision);
            assert_eq!(source.shelf.activating().unwrap(), None);
            assert_eq!(source.shelf.in_force().unwrap(), Some(expected));
        }
    }
}
