//! What was found wrong with a pack, for people and for programs.

use std::fmt;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::kinds::Severity;

/// One thing that was found, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether the pack is refused for it.
    pub severity: Severity,
    /// What it is, for programs: lower-case words with hyphens. Never given another meaning.
    pub code: &'static str,
    /// The file, under the directory that was given to load.
    pub file: PathBuf,
    /// The line, from 1; 0 when it is about the file as a whole.
    pub line: u32,
    /// The first character of what is meant, from 1; 0 when it is about the file as a whole. A tabulator counts as one.
    pub column: u32,
    /// How many characters of the line are meant, at least 1; 0 when it is about the file as a whole.
    pub length: u32,
    /// What is wrong, in one line.
    pub message: String,
    /// The same in Japanese.
    pub message_ja: String,
    /// What may be meant instead of the characters at its place.
    pub suggestion: Option<String>,
    /// The line that it is about, its first characters, to be shown.
    pub(super) excerpt: Option<Box<str>>,
}

impl Finding {
    /// Where it is: `FILE:LINE:COLUMN`, or the file where it is about all of that.
    #[must_use]
    pub fn place(&self) -> String {
        let file = self.file.display();
        if self.line == 0 {
            return file.to_string();
        }
        format!("{file}:{}:{}", self.line, self.column)
    }

    /// One line: place, severity, code, message and suggestion.
    #[must_use]
    pub fn plain(&self, japanese: bool) -> String {
        let (place, code) = (self.place(), self.code);
        let (severity, message) = match (japanese, self.severity) {
            (false, severity) => (severity.name(), &self.message),
            (true, Severity::Error) => ("エラー", &self.message_ja),
            (true, Severity::Warning) => ("警告", &self.message_ja),
        };
        let hint = self.hint(japanese).map(|hint| format!(" ({hint})"));
        let hint = hint.unwrap_or_default();
        format!("{place}: {severity}[{code}]: {message}{hint}")
    }

    /// "did you mean", where there is something near.
    #[must_use]
    pub fn hint(&self, japanese: bool) -> Option<String> {
        let suggestion = self.suggestion.as_ref()?;
        Some(if japanese {
            format!("{suggestion:?} のことですか?")
        } else {
            format!("did you mean {suggestion:?}?")
        })
    }

    /// For programs; `message` in the language.
    #[must_use]
    pub fn json(&self, japanese: bool) -> Value {
        json!({
            "severity": self.severity.name(),
            "code": self.code,
            "file": self.file.to_string_lossy(),
            "line": self.line,
            "column": self.column,
            "length": self.length,
            "message": if japanese { &self.message_ja } else { &self.message },
            "suggestion": self.suggestion,
        })
    }
}

/// In English.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.plain(false))
    }
}

/// Why a pack is refused: at least one error, then the warnings that could be given all the same; both by file and place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackErrors(pub Vec<Finding>);

impl PackErrors {
    /// Those that it is refused for.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        let findings = self.0.iter();
        findings.filter(|finding| finding.severity == Severity::Error)
    }
}

/// Every error on a line of its own, in English.
impl fmt::Display for PackErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, finding) in self.errors().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            finding.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for PackErrors {}
