//! The corpus `tests/bad-packs`: each file is a malformed pack, as what is changed in `base/`, and what must be told of it.
//!
//! ```toml
//! # A network that is declared nowhere.
//! [[change]]
//! file = "pack.toml"
//! from = '"vpn"]'     # the first there is becomes `to`; or `append`, `whole`, `bytes` (the whole file), `remove = true`
//! to = '"vpm"]'
//!
//! [[told]]
//! at = "pack.toml:105:24"     # line and column; the file alone where it is about all of that
//! length = 5
//! code = "unknown-id"
//! message = 'role "head-nurse": unknown network "vpm"'
//! suggestion = "vpn"          # severity = "warning" where it is one
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tempfile::TempDir;

/// The files of a pack.
pub const FILES: [&str; 4] = ["pack.toml", "model.conf", "policy.csv", "people.csv"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    file: String,
    from: Option<String>,
    to: Option<String>,
    append: Option<String>,
    whole: Option<String>,
    bytes: Option<Vec<u8>>,
    #[serde(default)]
    remove: bool,
}

/// What must be told.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    #[serde(default = "error")]
    pub severity: String,
    pub at: String,
    #[serde(default)]
    pub length: u32,
    pub code: String,
    pub message: String,
    pub suggestion: Option<String>,
}

fn error() -> String {
    "error".into()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    change: Vec<Change>,
    told: Vec<Told>,
}

/// One malformed pack.
#[derive(Debug)]
pub struct Case {
    /// The name of its file.
    pub name: String,
    changes: Vec<Change>,
    /// In the order in which it must be told.
    pub told: Vec<Told>,
}

impl Case {
    /// All of them, by name.
    pub fn all() -> Vec<Self> {
        let folder = folder();
        let mut files: Vec<PathBuf> = fs::read_dir(&folder)
            .expect("the corpus")
            .map(|entry| entry.expect("a file").path())
            .filter(|path| path.is_file())
            .collect();
        files.sort();
        files.iter().map(|path| Self::read(path)).collect()
    }

    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("a file of the corpus");
        let file: File =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.file_stem().expect("a name").to_string_lossy();
        Self {
            name: name.into_owned(),
            changes: file.change,
            told: file.told,
        }
    }

    /// Whether the loader must refuse it.
    pub fn is_refused(&self) -> bool {
        self.told.iter().any(|told| told.severity == "error")
    }

    /// The pack, in a folder of its own.
    pub fn pack(&self) -> TempDir {
        let pack = copy(&base());
        self.spoil(pack.path());
        pack
    }

    /// Makes the changes in a folder that holds the good pack, as somebody does who edits the pack of a running daemon.
    pub fn spoil(&self, pack: &Path) {
        for change in &self.changes {
            let path = pack.join(&change.file);
            if change.remove {
                fs::remove_file(&path).expect("a file to remove");
                continue;
            }
            let text = fs::read_to_string(&path).expect("a file of the good pack");
            let bytes = if let Some(from) = &change.from {
                assert!(text.contains(from), "{}: no {from:?}", self.name);
                let to = change.to.as_ref().expect("`to` with `from`");
                text.replacen(from, to, 1).into_bytes()
            } else if let Some(more) = &change.append {
                (text + more.as_str()).into_bytes()
            } else if let Some(whole) = &change.whole {
                whole.clone().into_bytes()
            } else {
                change.bytes.clone().expect("a change says what changes")
            };
            fs::write(&path, bytes).expect("a file of the pack");
        }
    }
}

fn folder() -> PathBuf {
    super::repository().join("tests/bad-packs")
}

/// The good pack.
pub fn base() -> PathBuf {
    folder().join("base")
}

/// A copy of a pack's files, without its scenarios.
pub fn copy(pack: &Path) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for file in FILES {
        fs::copy(pack.join(file), folder.path().join(file)).expect("a file of the pack");
    }
    folder
}
