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
use crate::log::{Kept, LogReader, ReadError, SignedNote};
use crate::policy::shelf::{InForce, Revision, Shelf, ShelfError, written};
use crate::policy::{self, PackErrors, PackFiles, SIGNATURE_FILE};
use crate::proto::EntryKind;
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
        "{0}: under it none of the people has a role that administers, so nobody could put another in force: give somebody such a role first, or have the pack say of a role that it administers"
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
pub(in crate::gate) struct Loaded {
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

impl InForce {
    fn by_itself(revision: Revision, now: Timestamp) -> Self {
        Self {
            revision,
            folder: Some(revision),
            since: now,
            by: String::new(),
        }
    }
}

/// What an entry says was in force from then on: a start's, and that of an activation.
fn activated(kept: Result<Kept, ReadError>) -> Result<Option<InForce>, PolicyError> {
    let entry = kept.and_then(|kept| kept.entry());
    let entry = entry.map_err(|error| PolicyError::Log(error.to_string()))?;
    let activation = entry.change.and_then(|change| change.kind);
    let revision = match activation {
        Some(Kind::ActivatePolicy(activation)) => activation.revision,
        _ if entry.kind == i32::from(EntryKind::DaemonStart) => entry.policy_revision,
        _ => return Ok(None),
    };
    Ok(revision.try_into().ok().map(|revision| InForce {
        revision,
        folder: None,
        since: Timestamp::from_micros(entry.time_us),
        by: entry.person,
    }))
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
    /// What the shelf says is in force.
    pub(super) noted: Option<InForce>,
    /// What was in force before, where the folder's pack took its place by itself: what a start stays by when under the folder's pack
    /// nobody would administer.
    pub(in crate::gate) last: Option<(Arc<Loaded>, InForce)>,
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
            noted: None,
            last: None,
        }
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
    /// and that needs nobody's hand. Else, and where the folder's pack is refused, what was in force before. Notes nothing: a start
    /// may yet fail.
    ///
    /// # Errors
    /// Why neither can be in force.
    pub fn begin(self, log: &LogReader, now: Timestamp) -> Result<PolicyBegun, PolicyError> {
        let noted = self.shelf.in_force()?;
        let found = self.load_folder();
        let in_force = self.was_in_force(noted.as_ref(), log)?;
        let (folder, faults) = match found {
            Ok(loaded) => (Some(Arc::new(loaded)), Vec::new()),
            Err(why) if in_force.is_none() => return Err(why),
            Err(why) => (None, why.lines()),
        };
        let held = folder.as_ref().map(|loaded| loaded.revision());
        let mut last = None;
        let (in_force, before) = match (in_force, held) {
            (Some(was), Some(held))
                if !self.settings.by_hand && held != was.revision && was.folder != Some(held) =>
            {
                let before = Some(was.revision);
                match self.load_kept(&was.revision) {
                    Ok(kept) => last = kept.map(|kept| (Arc::new(kept), was)),
                    // It is not needed, but for what the folder holds to be refused.
                    Err(error) => {
                        tracing::warn!(%error, "what was in force before can't be any more");
                    }
                }
                (InForce::by_itself(held, now), before)
            }
            (Some(was), _) => {
                let noted = noted.as_ref().map(|noted| noted.revision);
                let before = noted.filter(|noted| *noted != was.revision);
                (was, before)
            }
            // There is a folder in order: otherwise it was returned why not.
            (None, held) => (InForce::by_itself(held.unwrap_or_default(), now), None),
        };
        let same = folder
            .as_ref()
            .filter(|loaded| loaded.revision() == in_force.revision);
        let loaded = match same {
            Some(same) => {
                let pack = &same.rules.pack;
                self.shelf
                    .keep(&in_force.revision, pack, &same.files, now)?;
                Arc::clone(same)
            }
            None => {
                let loaded = self.load_kept(&in_force.revision)?;
                Arc::new(loaded.ok_or_else(|| PolicyError::gone(&in_force.revision))?)
            }
        };
        Ok(PolicyBegun {
            rules: Arc::clone(&loaded.rules),
            signed_by: loaded.signed_by.clone(),
            in_force: InForce {
                folder: if same.is_some() {
                    held
                } else {
                    in_force.folder
                },
                ..in_force
            },
            source: Some(self),
            before,
            faults,
            folder,
            noted,
            last,
        })
    }

    /// What was in force last: what is noted, unless the log says that something else was put in force since. Where nothing is
    /// noted and a hand is needed, the log tells.
    fn was_in_force(
        &self,
        noted: Option<&InForce>,
        log: &LogReader,
    ) -> Result<Option<InForce>, PolicyError> {
        if let Some((next, from)) = self.shelf.activating()? {
            let mut last = None;
            for kept in log.forward(from) {
                last = activated(kept)?.or(last);
            }
            if let Some(last) = last {
                return Ok(Some(InForce {
                    folder: next.folder,
                    ..last
                }));
            }
        }
        if noted.is_some() || !self.settings.by_hand {
            return Ok(noted.cloned());
        }
        // The folder alone is nobody's hand: it may hold what nobody has put in force yet.
        for kept in log.backward(LogIndex(u64::MAX)) {
            if let Some(last) = activated(kept)? {
                return Ok(Some(last));
            }
        }
        Ok(None)
    }

    /// Loads what the folder holds now.
    pub(super) fn load_folder(&self) -> Result<Loaded, PolicyError> {
        let (pack, files) = policy::load_with_files(&self.folder)?;
        if !pack.warnings.is_empty() {
            let (warnings, folder) = (pack.warnings.len(), self.folder.display());
            tracing::warn!(
                "the pack has {warnings} warnings: `sekisho policy check {folder}` tells them"
            );
        }
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
    use crate::log::{AccessLog, LogConfig, SigningSeed};
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
            self.source(by_hand).begin(&self.log().reader(), NOW)
        }

        /// What a start that succeeds does at its end.
        fn started(&self, by_hand: bool) -> PolicyBegun {
            let begun = self.begin(by_hand).unwrap();
            let shelf = &begun.source.as_ref().unwrap().shelf;
            shelf.put_in_force(&begun.in_force).unwrap();
            begun
        }

        fn log(&self) -> AccessLog {
            let config = LogConfig {
                segment_bytes: 1 << 20,
                ..LogConfig::new(self.0.path().join("log"), SigningSeed::new(&[7; 32]))
            };
            AccessLog::open(config, "test/log").unwrap().log
        }
    }

    #[tokio::test]
    async fn a_folder_that_changed_while_nothing_ran_is_in_force_unless_it_waits_for_a_hand() {
        for by_hand in [false, true] {
            let place = Place::new();
            let first = place.started(by_hand);
            let revision = first.in_force.revision;
            assert_eq!(
                (first.before, first.in_force.folder),
                (None, Some(revision))
            );
            assert_eq!(place.started(by_hand).in_force, first.in_force);
            place.add("# another year\n");
            // A start that fails afterwards changes nothing of it.
            for _ in 0..2 {
                let begun = place.begin(by_hand).unwrap();
                let found = begun.folder.as_ref().unwrap().revision();
                assert_ne!(found, revision);
                let expected = if by_hand { revision } else { found };
                assert_eq!(begun.in_force.revision, expected);
                assert_eq!(begun.rules().revision, expected);
                assert_eq!(begun.before, (!by_hand).then_some(revision));
            }
        }
    }

    #[tokio::test]
    async fn a_folder_that_is_not_in_order_leaves_what_was_in_force() {
        let place = Place::new();
        place.add("p, nonsense\n");
        assert!(matches!(place.begin(false), Err(PolicyError::Pack(_))));
        let place = Place::new();
        let first = place.started(false);
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
        let kept = written(&first.in_force.revision);
        fs::remove_dir_all(place.0.path().join("policies").join(kept)).unwrap();
        assert!(matches!(place.begin(false), Err(PolicyError::Shelf(_))));
    }

    fn activation(revision: &Revision) -> StoredEntry {
        StoredEntry {
            time_us: NOW.micros(),
            kind: EntryKind::PolicyChange.into(),
            person: "administrator-1".to_owned(),
            change: Some(StoredChange {
                kind: Some(Kind::ActivatePolicy(StoredActivation {
                    revision: revision.to_vec(),
                    ..StoredActivation::default()
                })),
            }),
            ..StoredEntry::default()
        }
    }

    #[tokio::test]
    async fn what_the_log_says_was_put_in_force_is_also_where_that_was_not_noted() {
        // Nothing was put in force; the one that was about to be; another, which a late one was refused for.
        for logged in [None, Some(true), Some(false)] {
            let place = Place::new();
            let first = place.started(true).in_force;
            let mut kept = Vec::new();
            for year in ["# another year\n", "# and another\n"] {
                place.add(year);
                let begun = place.begin(true).unwrap();
                let (shelf, loaded) = (begun.source.unwrap().shelf, begun.folder.unwrap());
                let revision = loaded.revision();
                shelf
                    .keep(&revision, "recruitment", &loaded.files, NOW)
                    .unwrap();
                let next = InForce {
                    revision,
                    by: "administrator-1".to_owned(),
                    since: NOW,
                    folder: Some(revision),
                };
                shelf.activate(&next, LogIndex(0)).unwrap();
                kept.push(next.revision);
            }
            let expected = logged.map(|is_last| kept[usize::from(is_last)]);
            if let Some(revision) = &expected {
                let log = place.log();
                log.append(&[activation(revision)]).unwrap().await.unwrap();
            }
            let begun = place.begin(true).unwrap();
            let expected = expected.unwrap_or(first.revision);
            assert_eq!(begun.in_force.revision, expected, "{logged:?}");
            assert_eq!(begun.rules().revision, expected);
        }
    }

    #[tokio::test]
    async fn a_folder_alone_is_nobodys_hand_where_what_was_in_force_is_lost() {
        let place = Place::new();
        let first = place.started(true).in_force;
        {
            let log = place.log();
            log.append(&[activation(&first.revision)])
                .unwrap()
                .await
                .unwrap();
        }
        let lost = |file: &str| place.0.path().join("policies").join(file);
        fs::remove_file(lost("in-force.json")).unwrap();
        place.add("# another year\n");
        assert_eq!(place.begin(true).unwrap().in_force.revision, first.revision);
        fs::remove_dir_all(lost(&written(&first.revision))).unwrap();
        assert!(matches!(place.begin(true), Err(PolicyError::Shelf(_))));
    }
}
