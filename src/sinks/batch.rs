//! The next entries for a sink, as text.

use std::collections::HashMap;

use crate::domain::ids::LogIndex;
use crate::domain::time::Timestamp;
use crate::export::{ExportError, Format, instant, reading};
use crate::log::{LogReader, ReadError, SegmentSpan};
use crate::proto::{Decision, Entry, EntryKind};

/// How many entries a batch has at most.
const BATCH_ENTRIES: usize = 500;
/// From how many bytes of text on a batch is closed; one entry alone may be more.
const BATCH_BYTES: usize = 512 * 1024;

/// Consecutive entries as text; never empty.
#[derive(Debug)]
pub(super) struct Batch {
    /// Index of the first.
    pub(super) first: u64,
    /// Index after the last.
    pub(super) next: u64,
    /// One for each entry; one alone for a gap.
    pub(super) lines: Vec<Line>,
}

/// An entry as text.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) index: u64,
    pub(super) time: Timestamp,
    /// The API's number.
    pub(super) kind: i32,
    pub(super) weight: Weight,
    /// Ends with a newline and has no other.
    pub(super) text: String,
}

/// How grave an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// As expected.
    Usual,
    /// Something was refused.
    Refused,
    /// Break glass was used, or the log has something to say of itself.
    Grave,
}

/// Why there is no batch though there are entries.
#[derive(Debug, thiserror::Error)]
pub(super) enum BatchError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Export(#[from] ExportError),
}

impl Batch {
    /// The text of all lines.
    pub(super) fn text(&self) -> String {
        self.lines.iter().map(|line| line.text.as_str()).collect()
    }
}

/// Reads what comes from `next` on; `None` at the end. Blocks on the disk.
pub(super) fn read(
    reader: &LogReader,
    format: Format,
    next: u64,
    now: Timestamp,
) -> Result<Option<Batch>, BatchError> {
    if next >= reader.len() {
        return Ok(None);
    }
    if let Some(until) = gap(&reader.segments(), next) {
        let line = gap_line(reader.name(), format, next, until, now)?;
        return Ok(Some(Batch {
            first: next,
            next: until,
            lines: vec![line],
        }));
    }
    let mut lines = Vec::new();
    let mut bytes = 0_usize;
    for kept in reader.forward(LogIndex(next)).take(BATCH_ENTRIES) {
        let line = match kept {
            Ok(kept) => kept
                .entry()
                .map(|stored| (kept.index, kept.leaf_hash(), stored)),
            Err(error) => Err(error),
        };
        let (index, leaf_hash, stored) = match line {
            Ok(read) => read,
            // What was read before the fault goes out first; the next batch meets it again.
            Err(_) if !lines.is_empty() => break,
            Err(error) => return Err(error.into()),
        };
        let time = Timestamp::from_micros(stored.time_us);
        let entry = reading(stored, index, &leaf_hash, reader.name());
        let (kind, weight) = (entry.kind, weight(&entry));
        let text = format.line(entry)?;
        bytes = bytes.saturating_add(text.len());
        lines.push(Line {
            index: index.0,
            time,
            kind,
            weight,
            text,
        });
        if bytes >= BATCH_BYTES {
            break;
        }
    }
    let last = lines.last().map(|line| line.index);
    Ok(last.map(|last| Batch {
        first: next,
        next: last.saturating_add(1),
        lines,
    }))
}

fn weight(entry: &Entry) -> Weight {
    if entry.break_glass || entry.kind == i32::from(EntryKind::LogState) {
        Weight::Grave
    } else if entry.decision == i32::from(Decision::Deny) {
        Weight::Refused
    } else {
        Weight::Usual
    }
}

/// Where the log goes on when `next` lies in what was disposed of before it was sent. The one place where a sink learns that
/// entries are gone.
pub(super) fn gap(segments: &[SegmentSpan], next: u64) -> Option<u64> {
    let at = segments.partition_point(|segment| segment.next <= next);
    let later = segments.get(at..)?;
    let first = later.iter().find(|segment| !segment.disposed)?.first;
    (first > next).then_some(first)
}

/// Tells that `from` and what follows, before `until`, is gone.
fn gap_line(
    log: &str,
    format: Format,
    from: u64,
    until: u64,
    now: Timestamp,
) -> Result<Line, ExportError> {
    let text = match format {
        Format::Ocsf => {
            let facts = [
                (
                    "state",
                    "gap: entries were disposed of before they were sent".to_owned(),
                ),
                ("from", from.to_string()),
                ("until", until.to_string()),
            ];
            format.line(Entry {
                log_index: from,
                time: instant(now.micros()),
                kind: EntryKind::LogState.into(),
                log: log.to_owned(),
                details: facts
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect::<HashMap<_, _>>(),
                ..Entry::default()
            })?
        }
        Format::JsonLines | Format::Csv => {
            let gap = serde_json::json!({ "gap": {
                "log": log,
                "from": from.to_string(),
                "until": until.to_string(),
                "why": "disposed of before it was sent",
            }});
            format!("{gap}\n")
        }
    };
    Ok(Line {
        index: from,
        time: now,
        kind: EntryKind::LogState.into(),
        weight: Weight::Grave,
        text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(spans: &[(u64, u64, bool)]) -> Vec<SegmentSpan> {
        let span = |&(first, next, disposed)| SegmentSpan {
            first,
            next,
            closed: true,
            disposed,
            times: None,
        };
        spans.iter().map(span).collect()
    }

    #[test]
    fn what_was_disposed_of_is_a_gap_up_to_where_the_log_goes_on() {
        let whole = spans(&[(0, 5, false), (5, 9, false)]);
        assert_eq!(gap(&whole, 0), None);
        assert_eq!(gap(&whole, 8), None);
        assert_eq!(gap(&whole, 9), None);
        let cut = spans(&[
            (0, 5, true),
            (5, 9, false),
            (9, 15, true),
            (15, 20, true),
            (20, 30, false),
        ]);
        assert_eq!(gap(&cut, 0), Some(5));
        assert_eq!(gap(&cut, 5), None);
        assert_eq!(gap(&cut, 9), Some(20));
        assert_eq!(gap(&cut, 19), Some(20));
        assert_eq!(gap(&cut, 30), None);
    }

    #[test]
    fn a_gap_is_told_with_its_bounds() {
        let now = Timestamp::from_seconds(1_780_000_000);
        let line = gap_line("log", Format::JsonLines, 3, 7, now).unwrap();
        let told: serde_json::Value = serde_json::from_str(&line.text).unwrap();
        assert_eq!(told["gap"]["from"], "3");
        assert_eq!(told["gap"]["until"], "7");
        let line = gap_line("log", Format::Ocsf, 3, 7, now).unwrap();
        let told: serde_json::Value = serde_json::from_str(&line.text).unwrap();
        assert_eq!(told["class_uid"], 6_002);
        assert_eq!(told["unmapped"]["details"]["until"], "7");
    }
}
