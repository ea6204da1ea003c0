//! Takes segments out of the log when their time is over. What stays is enough for every old proof: the hashes of their entries
//! in the tree's files, the checkpoint that commits to them, and in the segment's place a file that says what went.
//!
//! ```text
//! NNN.disposed
//! 0        4096       4104      4108        4112     4120          4128     4136
//! ┌────────┬──────────┬─────────┬───────────┬────────┬─────────────┬────────┬───────────┬─────────────────┐
//! │ header │ magic    │ version │ CRC-32C   │ index  │ index of    │ when   │ length of │ the rule, UTF-8 │
//! │ of the │ DISPOSED │ 1       │ from 4112 │ after  │ the entry   │ (µs)   │ the rule  │                 │
//! │ segment│          │         │ on        │ the    │ that says   │        │ (u32)     │                 │
//! │        │          │         │           │ last   │ so          │        │           │                 │
//! └────────┴──────────┴─────────┴───────────┴────────┴─────────────┴────────┴───────────┴─────────────────┘
//! ```
//!
//! The entry comes first; then all these files, durably; only then are segments removed. The store keeps a
//! disposal until all of it was done: the gate completes what was cut short.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::AccessLog;
use super::durable::{self, Disk, DiskError, Step};
use super::error::ReadError;
use super::read::SegmentSpan;
use super::segment::{self, HEADER_BYTES, Header};
use super::sidecars::{SidecarLock, remove};
use crate::domain::ids::LogIndex;
use crate::domain::time::Timestamp;

const MAGIC: [u8; 8] = *b"DISPOSED";
const VERSION: u32 = 1;
const CRC_AT: usize = HEADER_BYTES + 12;
const NEXT_AT: usize = HEADER_BYTES + 16;
const ENTRY_AT: usize = HEADER_BYTES + 24;
const WHEN_AT: usize = HEADER_BYTES + 32;
const LENGTH_AT: usize = HEADER_BYTES + 40;
const RULE_AT: usize = HEADER_BYTES + 44;
/// The longest rule, in bytes of UTF-8; a longer one is cut.
const RULE_MAX_BYTES: usize = 1_024;
const FILE_MAX_BYTES: u64 = 8 << 10;

/// What stands in the place of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisposedSegment {
    /// Index of the first entry that went.
    pub first: u64,
    /// Index after the last.
    pub next: u64,
    /// The entry that says so.
    pub entry: LogIndex,
    /// When.
    pub at: Timestamp,
    /// Under which rule.
    pub rule: String,
    /// Of the segment that was there.
    pub(super) header: Header,
}

/// Under what, and when, segments are disposed of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disposal {
    /// The durable entry that says so.
    pub entry: LogIndex,
    /// When.
    pub at: Timestamp,
    /// Under which rule, in words; at most 1,024 bytes are kept.
    pub rule: String,
}

/// Why segments were not disposed of, or not all.
#[derive(Debug, thiserror::Error)]
pub enum DisposeError {
    /// Ours: this is no closed segment of the log.
    #[error("entries {first} to {next} are no closed segment")]
    NotASegment {
        /// As asked.
        first: u64,
        /// As asked.
        next: u64,
    },
    /// No checkpoint commits to it yet, or the hashes of its entries are not all kept: old proofs would fail.
    #[error("no checkpoint commits yet to the segment of entry {first}")]
    NotCommitted {
        /// Its first index.
        first: u64,
    },
    /// A file can't be read or written. Trying again goes on.
    #[error("{0}")]
    Disk(String),
}

impl From<DiskError> for DisposeError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error.to_string())
    }
}

impl From<ReadError> for DisposeError {
    fn from(error: ReadError) -> Self {
        Self::Disk(error.to_string())
    }
}

impl AccessLog {
    /// Whether a closed segment may be disposed of: a checkpoint commits to it, and the hashes of its entries are in the
    /// tree's files, which were synced before that checkpoint was written.
    #[must_use]
    pub fn is_committed(&self, span: &SegmentSpan) -> bool {
        let directory = self.shared.catalog.directory();
        let checkpoint = segment::path_of(directory, span.first).with_extension("checkpoint");
        let leaves = directory.join("tree").join("0");
        let hashes = std::fs::metadata(leaves).map_or(0, |found| found.len() / 32);
        span.closed && checkpoint.is_file() && hashes >= span.next
    }

    /// Disposes of closed segments: notes in their places, durably, then their files are removed. Those that went before are
    /// passed over, so that it can be called again. Blocks on the disk. The caller MUST have made the entry of `disposal`
    /// durable before.
    ///
    /// # Errors
    /// When one is no closed segment or not committed to: then nothing was done. Or when the disk refuses.
    pub fn dispose(&self, spans: &[(u64, u64)], disposal: &Disposal) -> Result<(), DisposeError> {
        let catalog = &self.shared.catalog;
        let disk = &*self.shared.disk;
        let all = catalog.segments();
        let mut going = Vec::new();
        for (first, next) in spans.iter().copied() {
            let span = all
                .iter()
                .find(|span| span.closed && (span.first, span.next) == (first, next))
                .ok_or(DisposeError::NotASegment { first, next })?;
            if !span.disposed && !self.is_committed(span) {
                return Err(DisposeError::NotCommitted { first });
            }
            going.push(*span);
        }
        if going.is_empty() {
            return Ok(());
        }
        let directory = catalog.directory();
        // Nobody puts a sidecar in place for what is going.
        let lock = SidecarLock::of_log(directory)?;
        for span in going.iter().filter(|span| !span.disposed) {
            let path = segment::path_of(directory, span.first);
            let content = note_of(&path, span.next, disposal)?;
            durable::replace(disk, directory, &path_of(directory, span.first), &content)?;
            catalog.dispose(span.first);
        }
        let firsts: Vec<u64> = going.iter().map(|span| span.first).collect();
        finish(disk, directory, &lock, &firsts)?;
        Ok(())
    }

    /// Has `destroy` destroy what entries of the time from `from` until `until` are opened with, and removes what the index of
    /// the search derived from the segments that hold such entries: what was found in them must not stay in there. The index
    /// is made anew from what is left. Nobody puts a sidecar in place in between, and no power failure brings one back. Blocks
    /// on the disk; to be called again when it failed.
    ///
    /// # Errors
    /// What `destroy` says, or when the disk refuses, or somebody else keeps the sidecars' lock.
    pub fn forgetting_sidecars<E: std::fmt::Display>(
        &self,
        from: Timestamp,
        until: Timestamp,
        destroy: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), DisposeError> {
        let catalog = &self.shared.catalog;
        let lock = SidecarLock::of_log(catalog.directory())?;
        destroy().map_err(|error| DisposeError::Disk(error.to_string()))?;
        let meets = |span: &SegmentSpan| {
            span.times
                .is_some_and(|(earliest, latest)| earliest < until && from <= latest)
        };
        let spans = catalog.segments().into_iter().filter(meets);
        Ok(lock.remove(&*self.shared.disk, spans.map(|span| span.first))?)
    }
}

/// Removes what belonged to segments that were disposed of: their own files and what was derived from them. Doing it again
/// changes nothing.
///
/// First the sidecars, for good: once its segment is gone, nothing leads to one that came back.
fn finish(
    disk: &dyn Disk,
    directory: &Path,
    lock: &SidecarLock,
    first_indexes: &[u64],
) -> Result<(), DiskError> {
    lock.remove(disk, first_indexes.iter().copied())?;
    let mut removed = false;
    for first in first_indexes {
        removed |= remove(disk, &segment::path_of(directory, *first))?;
    }
    if removed {
        disk.sync_directory(directory)
            .map_err(durable::at(Step::Sync, directory))?;
    }
    Ok(())
}

/// The file that stands in the place of the segment of `first_index`.
pub(super) fn path_of(directory: &Path, first_index: u64) -> PathBuf {
    segment::path_of(directory, first_index).with_extension("disposed")
}

/// Reads the first index in the name of such a file; `None` for other files.
pub(super) fn first_index_of(file_name: &str) -> Option<u64> {
    let stem = file_name.strip_suffix(".disposed")?;
    segment::first_index_of(&format!("{stem}.segment"))
}

/// Reads what stands in the place of a segment.
///
/// # Errors
/// When it can't be read, or is damaged.
pub(super) fn read(path: &Path) -> Result<DisposedSegment, ReadError> {
    let failed = |source| ReadError::Io {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_MAX_BYTES).read_to_end(&mut bytes))
        .map_err(failed)?;
    decode(&bytes).map_err(|(offset, what)| ReadError::Damaged {
        path: path.to_owned(),
        offset,
        what: what.to_owned(),
    })
}

fn note_of(segment: &Path, next: u64, disposal: &Disposal) -> Result<Vec<u8>, DisposeError> {
    let mut bytes = vec![0; HEADER_BYTES];
    let read = File::open(segment).and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(durable::at(Step::Read, segment))?;
    if let Err(what) = Header::decode(&bytes) {
        return Err(DisposeError::Disk(format!("{}: {what}", segment.display())));
    }
    Ok(encode(bytes, next, disposal))
}

fn encode(mut bytes: Vec<u8>, next: u64, disposal: &Disposal) -> Vec<u8> {
    let rule = disposal.rule.as_str();
    let end = (0..=RULE_MAX_BYTES.min(rule.len()))
        .rev()
        .find(|end| rule.is_char_boundary(*end));
    let rule = rule.get(..end.unwrap_or(0)).unwrap_or_default();
    let mut covered = Vec::with_capacity(RULE_AT.saturating_add(rule.len()));
    covered.extend(next.to_le_bytes());
    covered.extend(disposal.entry.0.to_le_bytes());
    covered.extend(disposal.at.micros().to_le_bytes());
    covered.extend(u32::try_from(rule.len()).unwrap_or(0).to_le_bytes());
    covered.extend(rule.as_bytes());
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(crc32c::crc32c(&covered).to_le_bytes());
    bytes.extend(covered);
    bytes
}

fn decode(bytes: &[u8]) -> Result<DisposedSegment, (u64, &'static str)> {
    let header = Header::decode(bytes).map_err(|what| (0, what))?;
    let wrong = |what| (HEADER_BYTES as u64, what);
    let short = || wrong("the note of a disposal is cut short");
    if array::<8>(bytes, HEADER_BYTES) != Some(MAGIC) {
        return Err(wrong("this is not the note of a disposal"));
    }
    let covered = bytes.get(NEXT_AT..).ok_or_else(short)?;
    let stored = array(bytes, CRC_AT).map(u32::from_le_bytes);
    if stored != Some(crc32c::crc32c(covered)) {
        return Err(wrong("the note's checksum does not match"));
    }
    let version = array(bytes, HEADER_BYTES.saturating_add(8)).map(u32::from_le_bytes);
    if version != Some(VERSION) {
        return Err(wrong("the note is of another version than this program's"));
    }
    let number = |at| array(bytes, at).map(u64::from_le_bytes).ok_or_else(short);
    let length = array(bytes, LENGTH_AT)
        .map(u32::from_le_bytes)
        .ok_or_else(short)?;
    let rule = bytes
        .get(RULE_AT..)
        .filter(|rule| u32::try_from(rule.len()) == Ok(length))
        .and_then(|rule| std::str::from_utf8(rule).ok())
        .ok_or_else(short)?;
    let when = array(bytes, WHEN_AT)
        .map(i64::from_le_bytes)
        .ok_or_else(short)?;
    let next = number(NEXT_AT)?;
    if next <= header.first_index {
        return Err(wrong("the note says that nothing went"));
    }
    Ok(DisposedSegment {
        first: header.first_index,
        next,
        entry: LogIndex(number(ENTRY_AT)?),
        at: Timestamp::from_micros(when),
        rule: rule.to_owned(),
        header,
    })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::merkle::CompactRange;
    use crate::log::segment::Times;

    fn header() -> Header {
        let mut tree = CompactRange::default();
        (0..5).for_each(|leaf| tree.push([leaf; 32]));
        Header {
            log_id: uuid::Uuid::from_bytes([7; 16]),
            name: "log.example".to_owned(),
            first_index: 5,
            previous_first: Some(2),
            first_batch: 4,
            previous_times: Times::NONE,
            tree,
        }
    }

    fn disposal(rule: &str) -> Disposal {
        Disposal {
            entry: LogIndex(99),
            at: Timestamp::from_micros(-7),
            rule: rule.to_owned(),
        }
    }

    #[test]
    fn a_note_reads_back_and_every_flipped_bit_or_cut_is_noticed() {
        let bytes = encode(header().encode(), 9, &disposal("class default: 3y 三年"));
        let read = decode(&bytes).unwrap();
        assert_eq!((read.first, read.next, read.entry), (5, 9, LogIndex(99)));
        assert_eq!(
            (read.at, &*read.rule),
            (Timestamp::from_micros(-7), "class default: 3y 三年")
        );
        assert_eq!(read.header, header());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&flipped).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_long_rule_is_cut_between_characters() {
        let bytes = encode(header().encode(), 9, &disposal(&"規則".repeat(400)));
        let read = decode(&bytes).unwrap();
        assert_eq!(read.rule.len(), 1_023);
        assert!(bytes.len() as u64 <= FILE_MAX_BYTES);
    }

    #[test]
    fn only_such_files_are_taken_for_one() {
        assert_eq!(first_index_of("00000000000000000005.disposed"), Some(5));
        for other in [
            "5.disposed",
            "00000000000000000005.segment",
            "00000000000000000005.disposed.new",
        ] {
            assert_eq!(first_index_of(other), None, "{other}");
        }
    }
}
