//! All sidecars anew, whether or not a daemon runs on the log.

use super::part::Part;
use super::shelf::{Put, Shelf};
use super::tailer::{BATCH_ENTRIES, read};
use super::{IndexConfig, IndexError, Opener};
use crate::log::{LogReader, ReadError, SegmentSpan};

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
        let told = |done| {
            tell(Progress {
                done: before.saturating_add(done),
                all,
            })
        };
        match rebuild_one(&shelf, reader, opener, span, told) {
            Ok(Some(bytes)) => {
                let entries = span.next.saturating_sub(span.first);
                rebuilt.bytes = rebuilt.bytes.saturating_add(bytes);
                rebuilt.segments = rebuilt.segments.saturating_add(1);
                rebuilt.entries = rebuilt.entries.saturating_add(entries);
            }
            // Gone meanwhile.
            Ok(None) | Err(IndexError::Read(ReadError::Disposed { .. })) => {}
            Err(error @ IndexError::Read(_)) => rebuilt.failed.push(error),
            Err(error) => return Err(error),
        }
        before = before.saturating_add(span.next.saturating_sub(span.first));
    }
    shelf.tidy()?;
    Ok(rebuilt)
}

/// Makes one sidecar anew; tells how many bytes it has, or `None` where the segment is gone.
fn rebuild_one(
    shelf: &Shelf,
    reader: &LogReader,
    opener: &Opener,
    span: SegmentSpan,
    mut tell: impl FnMut(u64),
) -> Result<Option<u64>, IndexError> {
    loop {
        let mut part = Part::new(span.first, Some(opener.keys_destroyed()?));
        while part.next() < span.next {
            let begin = part.next();
            read(reader, opener, begin..span.next, BATCH_ENTRIES, |entry| {
                part.add(entry.as_ref());
            })?;
            if part.next() == begin {
                return Ok(None);
            }
            tell(u64::from(part.entries()));
        }
        shelf.check_writable()?;
        match shelf.put(&part, opener)? {
            Put::Made(bytes) => return Ok(Some(bytes)),
            Put::Gone => return Ok(None),
            // Once more for each disposal that comes in between.
            Put::Outdated => {}
        }
    }
}
