//! What is wrong with a pack: every fault with its file and line, collected so that all are told at once. All of them are the
//! fault of whoever wrote the pack or put it there.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::path::{Path, PathBuf};

use super::suggest::did_you_mean;

/// So many faults are told; a file with more is broken as a whole, and the first ones show how.
const FAULTS_MAX: usize = 500;
/// A word of the pack is shown with at most so many characters.
const SHOWN_MAX: usize = 80;

/// One thing that is wrong with a pack.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {message}", file.display(), AtLine(*line))]
pub struct PackError {
    /// The file, under the directory that was given to load.
    pub file: PathBuf,
    /// The line, from 1; 0 when it is about the file as a whole.
    pub line: u32,
    /// What is wrong, in one line.
    pub message: String,
}

struct AtLine(u32);

impl fmt::Display for AtLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return Ok(());
        }
        write!(f, ":{}", self.0)
    }
}

/// Everything that is wrong with a pack, by file and line; never empty when it is returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackErrors(pub Vec<PackError>);

/// Every fault on a line of its own.
impl fmt::Display for PackErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, fault) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for PackErrors {}

/// The files of a pack, in the order in which their faults are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PackFile {
    Pack,
    Model,
    Policy,
    People,
    Signature,
}

impl PackFile {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Pack => "pack.toml",
            Self::Model => "model.conf",
            Self::Policy => "policy.csv",
            Self::People => "people.csv",
            Self::Signature => super::SIGNATURE_FILE,
        }
    }
}

/// The faults found so far. Shared by all readers of one load.
#[derive(Debug, Default)]
pub(super) struct Faults {
    found: RefCell<Vec<(PackFile, u32, String)>>,
    left_out: Cell<usize>,
}

impl Faults {
    pub(super) const fn of(&self, file: PackFile) -> FileFaults<'_> {
        FileFaults { all: self, file }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// All of them, ordered by file and line.
    pub(super) fn into_errors(self, directory: &Path) -> PackErrors {
        let mut found = self.found.into_inner();
        found.sort();
        found.dedup();
        let mut errors: Vec<PackError> = found
            .into_iter()
            .map(|(file, line, message)| PackError {
                file: directory.join(file.name()),
                line,
                message,
            })
            .collect();
        let left_out = self.left_out.get();
        if left_out > 0 {
            errors.push(PackError {
                file: directory.to_path_buf(),
                line: 0,
                message: format!("{left_out} more faults are left out here"),
            });
        }
        PackErrors(errors)
    }
}

/// Takes the faults of one file.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileFaults<'a> {
    all: &'a Faults,
    file: PackFile,
}

impl FileFaults<'_> {
    /// Tells a fault. `message` is made only when it will be shown.
    pub(super) fn tell(self, line: u32, message: impl FnOnce() -> String) {
        let mut found = self.all.found.borrow_mut();
        if found.len() < FAULTS_MAX {
            found.push((self.file, line, message()));
        } else {
            self.all.left_out.set(self.all.left_out.get() + 1);
        }
    }

    /// Whether no fault of this file was told yet.
    pub(super) fn none(self) -> bool {
        let found = self.all.found.borrow();
        !found.iter().any(|(file, _, _)| *file == self.file)
    }

    /// Tells that `word` is none of `known`, and which of them may be meant.
    pub(super) fn unknown<'k>(
        self,
        line: u32,
        what: &str,
        sort: &str,
        word: &str,
        known: impl Iterator<Item = &'k str>,
    ) {
        self.tell(line, || {
            let about = if what.is_empty() {
                String::new()
            } else {
                format!("{what}: ")
            };
            let hint = did_you_mean(word, known)
                .map(|near| format!(" (did you mean {near:?}?)"))
                .unwrap_or_default();
            format!("{about}unknown {sort} {}{hint}", shown(word))
        });
    }
}

/// A word of the pack in quotes, shortened and without control characters.
pub(super) fn shown(word: &str) -> String {
    match word.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{:?}...", word.get(..end).unwrap_or_default()),
        None => format!("{word:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_in_order_of_file_and_line_one_a_line() {
        let faults = Faults::default();
        faults.of(PackFile::Policy).tell(3, || "b".into());
        faults.of(PackFile::Pack).tell(9, || "c".into());
        faults.of(PackFile::Pack).tell(2, || "a".into());
        faults.of(PackFile::Model).tell(0, || "is missing".into());
        let errors = faults.into_errors(Path::new("policies/x"));
        assert_eq!(
            errors.to_string(),
            "policies/x/pack.toml:2: a\npolicies/x/pack.toml:9: c\n\
             policies/x/model.conf: is missing\npolicies/x/policy.csv:3: b"
        );
    }

    #[test]
    fn endless_faults_are_cut_off_and_counted() {
        let faults = Faults::default();
        for line in 0..600 {
            faults.of(PackFile::Policy).tell(line, || "bad".into());
        }
        let errors = faults.into_errors(Path::new("p"));
        assert_eq!(errors.0.len(), FAULTS_MAX + 1);
        assert!(
            errors
                .to_string()
                .ends_with("p: 100 more faults are left out here")
        );
    }

    #[test]
    fn a_long_or_unprintable_word_is_shown_short_and_escaped() {
        assert_eq!(shown("a\u{7}b"), r#""a\u{7}b""#);
        assert!(shown(&"x".repeat(10_000)).len() < 100);
    }
}
