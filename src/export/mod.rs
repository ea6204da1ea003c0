//! Entries of the access log as text, for programs of others: JSON lines, CSV for spreadsheets, OCSF for a SIEM. The same text
//! whoever asks for it: the command line, over the API or on a directory, and the streams out.
//!
//! | file | job |
//! |---|---|
//! | `reading` | from the stored form of an entry to the one that people read |
//! | `fields` | its fields by the names of the API's JSON |
//! | `csv` | RFC 4180, harmless in a spreadsheet |
//! | `records` | records of provision and of receipt |
//! | `ocsf` | events of the Open Cybersecurity Schema Framework |
//!
//! What this room never does: read a file, a socket or a clock; open what is sealed in an entry. A reason for break glass
//! leaves in no format, also where the entry came with it opened.

mod csv;
pub(crate) mod fields;
mod ocsf;
mod reading;
pub(crate) mod records;

pub use ocsf::VERSION as OCSF_VERSION;
pub use reading::{decision_read, reading};

pub(crate) use crate::domain::text::is_unsafe;
pub(crate) use csv::{cell, starts_a_formula};
pub(crate) use fields::EntryFields;
pub(crate) use reading::{instant, uuid_text};

use crate::proto::Entry;

/// JSON that means the same in ASCII alone.
pub(crate) fn escape_beyond_ascii(json: &str) -> String {
    fields::escaped(json, |character| !character.is_ascii())
}

/// What entries are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A JSON object a line, as `sekisho log search --json` prints it: nothing of an entry is left out but what is sealed.
    JsonLines,
    /// RFC 4180 in UTF-8 with a byte order mark: a head, then a row for each entry. For eyes; its cells may be changed so that
    /// they are harmless.
    Csv,
    /// An OCSF event a line, as JSON.
    Ocsf,
}

/// An entry that can't be written as text: our own mistake.
#[derive(Debug, thiserror::Error)]
#[error("entry {index} can't be written as text: {source}")]
pub struct ExportError {
    /// Which one.
    pub index: u64,
    /// What the encoder said.
    source: serde_json::Error,
}

impl Format {
    /// What comes before the first entry; empty for formats without a head.
    #[must_use]
    pub fn head(self) -> String {
        match self {
            Self::JsonLines | Self::Ocsf => String::new(),
            Self::Csv => csv::head(),
        }
    }

    /// One entry with the end of its line.
    ///
    /// # Errors
    /// When it can't be encoded, which no entry is known to cause.
    pub fn line(self, mut entry: Entry) -> Result<String, ExportError> {
        entry.break_glass_reason.clear();
        let index = entry.log_index;
        let mut line = match self {
            Self::JsonLines => EntryFields::of(&entry).json_line(),
            Self::Csv => return Ok(csv::row(&entry)),
            Self::Ocsf => ocsf::line(&entry),
        }
        .map_err(|source| ExportError { index, source })?;
        line.push('\n');
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_format_tells_the_reason_for_break_glass() {
        let entry = fields::tests::full();
        assert!(entry.break_glass && entry.break_glass_reason.contains("night call"));
        for format in [Format::JsonLines, Format::Csv, Format::Ocsf] {
            let line = format.line(entry.clone()).unwrap();
            assert!(!line.contains("night call"), "{line}");
            assert!(!format.head().contains("breakGlassReason"));
        }
    }
}
