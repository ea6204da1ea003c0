//! All sidecars anew, whether or not a daemon runs on the log.

use super::part::Part;
use super::shelf::Shelf;
use super::tailer::{BATCH_ENTRIES, read};
use super::{IndexConfig, IndexError, Opener};
use crate::log::LogReader;

/// How far a rebuilding has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Entries that have been read.
    pub done: u64,
    /// Entries of all closed segments.
    pub all: u64,
}

/// What a rebuilding made.
#[derive(Debug, Default)]
pub struct Rebuilt {
    /// Segments whose sidecar is new.
    pub segments: u64,
    /// Entries in them.
    pub entries: u64,
    /// Bytes of all the new sidecars.
    pub bytes: u64,
    /// What kept other segments from having one.
    pub failed: Vec<IndexError>,
}

/// Makes the sidecar of every closed segment anew and removes those of segments that are gone. Each new one takes the place
/// of the old at once, so a daemon on the same log goes on using what there is, and takes up what is newer. The live segment
/// has none. `tell` is called every few thousand entries.
///
/// # Errors
/// When sidecars can't be written. A segment that can't be read keeps the others from nothing: it is told in the outcome.
pub fn rebuild(
    config: IndexConfig,
    reader: &LogReader,
    opener: &Opener,
    mut tell: impl FnMut(Progress),
) -> Result<Rebuilt, IndexError> {
    let shelf = Shelf::new(config, reader.clone());
    shelf.check_writable()?;
    let closed: Vec<_> = reader
        .readable_segments()
        .into_iter()
        .filter(|span| span.closed)
        .collect();
    let all = closed
        .iter()
        .map(|span| span.next.saturating_sub(span.first))
        .fold(0, u64::saturating_add);
    let mut rebuilt = Rebuilt::default();
    let mut before = 0_u64;
    for span in closed {
        let mut part = Part::new(span.first);
        let mut failed = None;
        while part.next() < span.next {
            let begin = part.next();
            let range = begin..span.next;
            if let Err(error) = read(reader, opener, range, BATCH_ENTRIES, |entry| {
                part.add(entry.as_ref());
            }) {
                failed = Some(error);
                break;
            }
            // Gone meanwhile.
            if part.next() == begin {
                break;
            }
            let done = before.saturating_add(u64::from(part.entries()));
            tell(Progress { done, all });
        }
        before = before.saturating_add(span.next.saturating_sub(span.first));
        if part.next() == span.next {
            shelf.check_writable()?;
            let bytes = shelf.put(&part)?;
            rebuilt.bytes = rebuilt.bytes.saturating_add(bytes);
            rebuilt.segments = rebuilt.segments.saturating_add(1);
            rebuilt.entries = rebuilt.entries.saturating_add(u64::from(part.entries()));
        }
        rebuilt.failed.extend(failed);
    }
    shelf.tidy()?;
    Ok(rebuilt)
}
