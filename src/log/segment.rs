//! The bytes of a segment file. All numbers are little-endian.
//!
//! ```text
//! offset
//! 0        8          12        16        32            40               48            56         64
//! ┌────────┬──────────┬─────────┬─────────┬─────────────┬────────────────┬─────────────┬──────────┬────────
//! │ magic  │ version  │ CRC-32C │ log id  │ first index │ first index of │ number of   │ earliest │ latest
//! │        │          │ of the  │         │             │ the segment    │ the first   │ time in the segment
//! │        │          │ rest    │         │             │ before, or -1  │ batch       │ before (µs)
//! └────────┴──────────┴─────────┴─────────┴─────────────┴────────────────┴─────────────┴──────────┴────────
//! 72            74            76       204                           2252            4096
//! ┬─────────────┬─────────────┬────────┬─────────────────────────────┬───────────────┬─────────┬─────────┬───────
//! │ length of   │ number of   │ name   │ peaks of the tree before    │ zero          │ frame   │ frame   │ zero: free,
//! │ the name    │ peaks       │ 128    │ the first index, 64 × 32    │               │         │         │ preallocated
//! ┴─────────────┴─────────────┴────────┴─────────────────────────────┴───────────────┴─────────┴─────────┴───────
//!
//! a frame, at a multiple of 8:
//! 0         4        6       8       16      24
//! ┌─────────┬────────┬───────┬───────┬───────┬───────────────┬──────────────────────┐
//! │ CRC-32C │ length │ flags │ index │ batch │ stored bytes  │ zero to a multiple   │
//! │ 4..24+n │ n      │       │       │       │ n             │ of 8                 │
//! └─────────┴────────┴───────┴───────┴───────┴───────────────┴──────────────────────┘
//! flags: bit 0 is set on the last frame of a batch; the others are zero. Length 0 is the end of the data.
//! ```
//!
//! The checksum of a frame starts from the checksum of the log id, which no caller is told: bytes that a caller makes up to
//! look like a frame inside an entry are not taken for one when the space after a torn tail is searched.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::merkle::{CompactRange, Hash, PEAKS_MAX};
use crate::domain::ids::NAME_MAX_BYTES;

/// Where the first frame starts: a whole page, so that no write of entries touches the header's.
pub(super) const HEADER_BYTES: usize = 4096;
/// The bytes of a frame before those of the entry.
pub(super) const FRAME_HEADER_BYTES: usize = 24;
/// The largest entry: its length has 16 bits.
pub(super) const ENTRY_MAX_BYTES: usize = 65_535;
/// The largest frame.
pub(super) const FRAME_MAX_BYTES: usize = frame_bytes(ENTRY_MAX_BYTES);

const MAGIC: [u8; 8] = *b"SEKISHO\n";
const VERSION: u32 = 1;
const CRC_AT: usize = 12;
const AFTER_CRC: usize = 16;
const NO_SEGMENT: u64 = u64::MAX;
const LAST_OF_BATCH: u16 = 1;

/// What a segment says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) log_id: Uuid,
    pub(super) name: String,
    pub(super) first_index: u64,
    /// First index of the segment before; `None` in the first.
    pub(super) previous_first: Option<u64>,
    pub(super) first_batch: u64,
    /// Of the entries in the segment before, which is closed once this one exists.
    pub(super) previous_times: Times,
    /// The tree of all entries before the first index.
    pub(super) tree: CompactRange,
}

/// The earliest and latest time among some entries, microseconds since the epoch: the clock may have been set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) earliest: i64,
    pub(super) latest: i64,
}

impl Times {
    /// Of every entry.
    pub(super) const ALL: Self = Self {
        earliest: i64::MIN,
        latest: i64::MAX,
    };

    /// Of no entry.
    pub(super) const NONE: Self = Self {
        earliest: i64::MAX,
        latest: i64::MIN,
    };

    pub(super) fn include(&mut self, time: i64) {
        self.earliest = self.earliest.min(time);
        self.latest = self.latest.max(time);
    }

    pub(super) fn meet(self, other: Self) -> bool {
        self.earliest <= other.latest && other.earliest <= self.latest
    }
}

impl Header {
    /// What the checksums of this log's frames start from.
    pub(super) fn seed(&self) -> u32 {
        crc32c::crc32c(self.log_id.as_bytes())
    }

    /// The checksum that stands in its bytes.
    pub(super) fn checksum(&self) -> u32 {
        header_checksum(&self.encode()).unwrap_or_default()
    }

    /// [`HEADER_BYTES`] bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(self.log_id.as_bytes());
        bytes.extend(self.first_index.to_le_bytes());
        bytes.extend(self.previous_first.unwrap_or(NO_SEGMENT).to_le_bytes());
        bytes.extend(self.first_batch.to_le_bytes());
        bytes.extend(self.previous_times.earliest.to_le_bytes());
        bytes.extend(self.previous_times.latest.to_le_bytes());
        bytes.extend(u16_of(self.name.len()).to_le_bytes());
        bytes.extend(u16_of(self.tree.peaks().len()).to_le_bytes());
        let peaks_at = bytes.len().saturating_add(NAME_MAX_BYTES);
        bytes.extend(self.name.as_bytes());
        bytes.resize(peaks_at, 0);
        bytes.extend(self.tree.peaks().as_flattened());
        bytes.resize(HEADER_BYTES, 0);
        let checksum = header_checksum(&bytes).unwrap_or_default();
        put(&mut bytes, CRC_AT, checksum.to_le_bytes());
        bytes
    }

    /// Reads a header from the start of a segment.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        const SHORT: &str = "the header is cut short";
        let bytes = bytes.get(..HEADER_BYTES).ok_or(SHORT)?;
        if array::<8>(bytes, 0) != Some(MAGIC) {
            return Err("this is not a segment of an access log");
        }
        let stored = array(bytes, CRC_AT).map(u32::from_le_bytes);
        if stored != header_checksum(bytes) {
            return Err("the header's checksum does not match");
        }
        if array(bytes, 8).map(u32::from_le_bytes) != Some(VERSION) {
            return Err("the format is of another version than this program's");
        }
        let number = |at| array(bytes, at).map(u64::from_le_bytes).ok_or(SHORT);
        let time = |at| array(bytes, at).map(i64::from_le_bytes).ok_or(SHORT);
        let count = |at| array(bytes, at).map(u16::from_le_bytes).ok_or(SHORT);
        let first_index = number(32)?;
        let name = bytes
            .get(76..)
            .and_then(|rest| rest.get(..usize::from(count(72).ok()?)))
            .and_then(|name| std::str::from_utf8(name).ok())
            .ok_or("the header's name is not a text")?;
        let peaks: Vec<Hash> = bytes
            .get(204..)
            .map(|rest| rest.as_chunks::<32>().0)
            .and_then(|peaks| peaks.get(..usize::from(count(74).ok()?).min(PEAKS_MAX)))
            .ok_or(SHORT)?
            .to_vec();
        Ok(Self {
            log_id: Uuid::from_bytes(array(bytes, 16).ok_or(SHORT)?),
            name: name.to_owned(),
            first_index,
            previous_first: Some(number(40)?).filter(|first| *first != NO_SEGMENT),
            first_batch: number(48)?,
            previous_times: Times {
                earliest: time(56)?,
                latest: time(64)?,
            },
            tree: CompactRange::from_parts(first_index, peaks)
                .ok_or("the header's tree does not fit its first index")?,
        })
    }
}

fn header_checksum(bytes: &[u8]) -> Option<u32> {
    let before = crc32c::crc32c(bytes.get(..CRC_AT)?);
    Some(crc32c::crc32c_append(before, bytes.get(AFTER_CRC..)?))
}

/// One entry as it lies in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) index: u64,
    pub(super) batch: u64,
    pub(super) last_of_batch: bool,
    /// The stored bytes, never empty.
    pub(super) bytes: &'a [u8],
}

/// What lies at an offset.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed<'a> {
    /// A whole frame.
    Frame(Frame<'a>),
    /// Length 0, or no room for a frame: the data may end here.
    End,
    /// Neither; what is wrong.
    Bad(&'static str),
}

/// The space that an entry of `length` bytes takes.
pub(super) const fn frame_bytes(length: usize) -> usize {
    FRAME_HEADER_BYTES
        .saturating_add(length)
        .next_multiple_of(8)
}

/// The length that a frame's header tells, unchecked; `None` when `bytes` are too few.
pub(super) fn told_length(bytes: &[u8]) -> Option<usize> {
    array(bytes, 4).map(|length| usize::from(u16::from_le_bytes(length)))
}

/// The index and the batch that a frame's header tells, unchecked; `None` when `bytes` are too few.
pub(super) fn told_place(bytes: &[u8]) -> Option<(u64, u64)> {
    let index = array(bytes, 8).map(u64::from_le_bytes)?;
    Some((index, array(bytes, 16).map(u64::from_le_bytes)?))
}

/// Starts a frame at the end of `out`, to be followed by exactly `length` bytes (or by [`tell_length`]) and [`pad`]; [`seal`]
/// completes it.
pub(super) fn start_frame(out: &mut Vec<u8>, length: u16) {
    out.extend([0; 4]);
    out.extend(length.to_le_bytes());
    out.extend([0; 18]);
}

/// Tells in a frame's header how long it is, once that is known.
pub(super) fn tell_length(frame: &mut [u8], length: u16) {
    put(frame, 4, length.to_le_bytes());
}

/// Ends a frame: zeros to the next multiple of 8.
pub(super) fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(8), 0);
}

/// Gives a frame its place and its checksum. `frame` starts with it and may be longer.
pub(super) fn seal(frame: &mut [u8], seed: u32, index: u64, batch: u64, last_of_batch: bool) {
    let flags = if last_of_batch { LAST_OF_BATCH } else { 0 };
    put(frame, 6, flags.to_le_bytes());
    put(frame, 8, index.to_le_bytes());
    put(frame, 16, batch.to_le_bytes());
    let end = told_length(frame).map(|length| length.saturating_add(FRAME_HEADER_BYTES));
    if let Some(covered) = end.and_then(|end| frame.get(4..end)) {
        let checksum = crc32c::crc32c_append(seed, covered);
        put(frame, 0, checksum.to_le_bytes());
    }
}

/// Reads the frame that `bytes` start with. `bytes` must reach to the end of the file or be at least
/// [`FRAME_MAX_BYTES`].
pub(super) fn parse(bytes: &[u8], seed: u32) -> Parsed<'_> {
    let (Some(length), Some(flags), Some(index), Some(batch)) = (
        told_length(bytes),
        array(bytes, 6).map(u16::from_le_bytes),
        array(bytes, 8).map(u64::from_le_bytes),
        array(bytes, 16).map(u64::from_le_bytes),
    ) else {
        return Parsed::End;
    };
    if length == 0 {
        return Parsed::End;
    }
    let end = FRAME_HEADER_BYTES.saturating_add(length);
    let (Some(covered), Some(stored), Some(padding)) = (
        bytes.get(4..end),
        bytes.get(FRAME_HEADER_BYTES..end),
        bytes.get(end..end.next_multiple_of(8)),
    ) else {
        return Parsed::Bad("a frame reaches beyond the end of the file");
    };
    let checksum = array(bytes, 0).map(u32::from_le_bytes);
    if checksum != Some(crc32c::crc32c_append(seed, covered)) {
        return Parsed::Bad("a frame's checksum does not match");
    }
    if flags & !LAST_OF_BATCH != 0 || padding.iter().any(|byte| *byte != 0) {
        return Parsed::Bad("a frame has bits set that must be zero");
    }
    Parsed::Frame(Frame {
        index,
        batch,
        last_of_batch: flags == LAST_OF_BATCH,
        bytes: stored,
    })
}

/// The time of a stored entry, microseconds since the epoch, without decoding the rest of it: `time_us` is field 1, which
/// this daemon writes first; absent is 0.
pub(super) fn time_of(stored: &[u8]) -> i64 {
    const FIELD_1_VARINT: u8 = 0x08;
    let Some((&FIELD_1_VARINT, rest)) = stored.split_first() else {
        return 0;
    };
    let mut rest = rest;
    prost::encoding::decode_varint(&mut rest).map_or(0, u64::cast_signed)
}

/// The file of the segment that starts at `first_index`.
pub(super) fn file_name(first_index: u64) -> String {
    format!("{first_index:020}.segment")
}

/// Reads a [`file_name`]; `None` for other files.
pub(super) fn first_index_of(file_name: &str) -> Option<u64> {
    let digits = file_name.strip_suffix(".segment")?;
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// The path of the segment that starts at `first_index`.
pub(super) fn path_of(directory: &Path, first_index: u64) -> PathBuf {
    directory.join(file_name(first_index))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(place) = bytes
        .get_mut(at..)
        .and_then(|rest| rest.first_chunk_mut::<N>())
    {
        *place = value;
    }
}

fn u16_of(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::StoredEntry;
    use prost::Message as _;

    fn header() -> Header {
        let mut tree = CompactRange::default();
        for n in 0..7_u8 {
            tree.push([n; 32]);
        }
        Header {
            log_id: Uuid::from_bytes([7; 16]),
            name: "関所.example/log".to_owned(),
            first_index: 7,
            previous_first: Some(2),
            first_batch: 4,
            previous_times: Times {
                earliest: -5,
                latest: 1_700_000_000_000_000,
            },
            tree,
        }
    }

    fn frame(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        start_frame(&mut out, u16_of(bytes.len()));
        out.extend(bytes);
        pad(&mut out);
        seal(&mut out, 1, 42, 9, true);
        out
    }

    #[test]
    fn a_header_reads_back_and_every_flipped_bit_is_noticed() {
        let bytes = header().encode();
        assert_eq!(bytes.len(), HEADER_BYTES);
        assert_eq!(Header::decode(&bytes), Ok(header()));
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_header_of_the_longest_name_and_the_largest_tree_fits() {
        let longest = Header {
            name: "x".repeat(NAME_MAX_BYTES),
            first_index: u64::MAX,
            tree: CompactRange::from_parts(u64::MAX, vec![[9; 32]; PEAKS_MAX]).unwrap(),
            ..header()
        };
        assert_eq!(Header::decode(&longest.encode()), Ok(longest));
    }

    #[test]
    fn a_frame_reads_back_and_every_flipped_bit_is_noticed() {
        let bytes = frame(b"thirteen byte");
        assert_eq!(bytes.len(), 40);
        let Parsed::Frame(read) = parse(&bytes, 1) else {
            panic!("no frame")
        };
        assert_eq!((read.index, read.batch, read.last_of_batch), (42, 9, true));
        assert_eq!(read.bytes, b"thirteen byte");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(parse(&flipped, 1), Parsed::Frame(_)), "bit {bit}");
        }
    }

    #[test]
    fn a_frame_of_another_log_is_not_taken() {
        assert!(matches!(parse(&frame(b"x"), 2), Parsed::Bad(_)));
    }

    #[test]
    fn a_cut_frame_is_no_frame() {
        let bytes = frame(&[1; 100]);
        for length in 0..bytes.len() {
            assert!(!matches!(parse(&bytes[..length], 1), Parsed::Frame(_)));
        }
    }

    #[test]
    fn the_time_is_found_without_decoding() {
        for time_us in [0, 1, 127, 128, 1_800_000_000_000_000, -1, i64::MIN] {
            let entry = StoredEntry {
                time_us,
                kind: 3,
                ..StoredEntry::default()
            };
            assert_eq!(time_of(&entry.encode_to_vec()), time_us);
        }
        assert_eq!(time_of(&[]), 0);
    }

    #[test]
    fn only_segments_are_named_like_segments() {
        assert_eq!(first_index_of(&file_name(77)), Some(77));
        for other in [
            "lock",
            "77.segment",
            "0000000000000000007x.segment",
            "00000000000000000077.segment.new",
        ] {
            assert_eq!(first_index_of(other), None);
        }
    }
}
