//! What `log verify` found, in the person's language.

use serde_json::{Value, json};

use super::error::{CliError, Fault};
use super::table::neutralise;
use super::words::{Language, Word};
use crate::log::{Finding, VerifyError, Wrong};

/// Why a log was not found whole.
pub(super) fn failed(error: &VerifyError, language: Language) -> CliError {
    match error {
        VerifyError::NotALog { path, what } => {
            let values = [&*path.display().to_string(), what];
            CliError::new(Fault::NotFound, Word::NotALog, language, &values)
        }
        VerifyError::Io { path, source } => {
            let values = [&*path.display().to_string(), &source.to_string()];
            CliError::new(Fault::Disk, Word::CantRead, language, &values)
        }
        VerifyError::Damaged(finding) => {
            let place = place(finding, language);
            let what = wrong(&finding.wrong, language);
            let word = match finding.wrong {
                Wrong::KeptNote(_) | Wrong::KeptOther { .. } | Wrong::KeptBeyond { .. } => {
                    Word::LogNotKept
                }
                _ => Word::LogDamaged,
            };
            CliError::new(Fault::Refused, word, language, &[&place, &what])
        }
    }
}

/// The same for programs.
pub(super) fn fields(finding: &Finding) -> Value {
    json!({
        "whole": false,
        "entry": finding.entry.map(|entry| entry.to_string()),
        "path": finding.path.display().to_string(),
        "offset": finding.offset.map(|offset| offset.to_string()),
        "what": finding.wrong.to_string(),
    })
}

fn place(finding: &Finding, language: Language) -> String {
    let path = finding.path.display().to_string();
    let entry = finding.entry.map(|entry| entry.to_string());
    let offset = finding.offset.map(|offset| offset.to_string());
    match (&entry, &offset) {
        (Some(entry), Some(offset)) => {
            Word::AtEntryAndOffset.fill(language, &[entry, &path, offset])
        }
        (Some(entry), None) => Word::AtEntry.fill(language, &[entry, &path]),
        (None, Some(offset)) => Word::AtOffset.fill(language, &[&path, offset]),
        (None, None) => path,
    }
}

fn wrong(wrong: &Wrong, language: Language) -> String {
    let fill = |word: Word, values: &[&str]| {
        let values: Vec<String> = values.iter().map(|value| neutralise(value)).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        word.fill(language, &values)
    };
    let number = |number: &u64| number.to_string();
    match wrong {
        Wrong::Header(what) => fill(Word::WrongHeader, &[what]),
        Wrong::Frame(what) => fill(Word::WrongFrame, &[what]),
        Wrong::NotAnEntry => fill(Word::WrongNotAnEntry, &[]),
        Wrong::Rest => fill(Word::WrongRest, &[]),
        Wrong::Entry => fill(Word::WrongEntry, &[]),
        Wrong::Differs => fill(Word::WrongDiffers, &[]),
        Wrong::Hash => fill(Word::WrongHash, &[]),
        Wrong::NoHash => fill(Word::WrongNoHash, &[]),
        Wrong::Tree => fill(Word::WrongTree, &[]),
        Wrong::Checkpoint { size } => fill(
            Word::WrongCheckpoint,
            &[&size.saturating_sub(1).to_string()],
        ),
        Wrong::Note(error) => fill(Word::WrongNote, &[&error.to_string()]),
        Wrong::Size { found, expected } => {
            fill(Word::WrongSize, &[&number(found), &number(expected)])
        }
        Wrong::Missing => fill(Word::WrongMissing, &[]),
        Wrong::CutOff { entries, committed } => {
            fill(Word::WrongCutOff, &[&number(entries), &number(committed)])
        }
        Wrong::Key(what) => fill(Word::WrongKey, &[what]),
        Wrong::KeptOther { size } => fill(Word::WrongKeptOther, &[&number(size)]),
        Wrong::KeptBeyond { size, entries } => {
            fill(Word::WrongKeptBeyond, &[&number(size), &number(entries)])
        }
        Wrong::KeptNote(error) => fill(Word::WrongKeptNote, &[&error.to_string()]),
        Wrong::Disposal(what) => fill(Word::WrongDisposal, &[what]),
        Wrong::Tile(what) => fill(Word::WrongTile, &[what]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_first_bad_entry_is_named_in_both_languages() {
        let finding = Finding {
            entry: Some(41),
            path: Path::new("/log/0.segment").to_owned(),
            offset: Some(4_096),
            wrong: Wrong::Frame("a frame's checksum does not match".to_owned()),
        };
        let error = VerifyError::from(finding);
        for (language, words) in [
            (Language::English, ["NOT whole", "entry 41", "offset 4096"]),
            (
                Language::Japanese,
                ["異常", "エントリ 41", "オフセット 4096"],
            ),
        ] {
            let failed = failed(&error, language);
            assert_eq!(failed.exit_code(), 65);
            let told = failed.to_string();
            for word in words {
                assert!(told.contains(word), "{told}");
            }
            assert!(told.contains("/log/0.segment"), "{told}");
        }
    }
}
