//! Where the blocks of a closed segment lie, as bytes that others may keep, so that a segment needn't be read to find an
//! entry in it. All numbers are little-endian.
//!
//! ```text
//! 0         4      8             16           24              32
//! ┌─────────┬──────┬─────────────┬────────────┬───────────────┬──────────────────────────────────────────────────────
//! │ CRC-32C │ zero │ first index │ next index │ where the     │ for each block: offset of its first frame, earliest
//! │         │      │             │            │ last one ends │ and latest time in it (8 bytes each)
//! └─────────┴──────┴─────────────┴────────────┴───────────────┴──────────────────────────────────────────────────────
//! ```
//!
//! The checksum covers all that follows it and starts from that of the segment's mark: a table of another segment, or of
//! another history of this one, is none.

use super::catalog::{BLOCK_ENTRIES, Block, Blocks, Closed};
use super::read::SegmentMark;
use super::segment::{HEADER_BYTES, Times};

/// Keeps block tables.
pub trait BlockTables: std::fmt::Debug + Send + Sync {
    /// That of the closed segment that starts at index `first`, as [`super::LogReader::table_of`] told it.
    fn table(&self, first: u64) -> Option<Vec<u8>>;
}

const CRC_BYTES: usize = 4;
const ROWS_AT: usize = 32;
const ROW_BYTES: usize = 24;

pub(super) fn encode(blocks: &Blocks, mark: &SegmentMark) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    bytes.reserve(blocks.blocks.len().saturating_mul(ROW_BYTES));
    for number in [blocks.first_index, blocks.next_index, blocks.end] {
        bytes.extend(number.to_le_bytes());
    }
    for block in &blocks.blocks {
        bytes.extend(block.offset.to_le_bytes());
        bytes.extend(block.times.earliest.to_le_bytes());
        bytes.extend(block.times.latest.to_le_bytes());
    }
    let checksum = checksum(&bytes, mark).unwrap_or_default();
    if let Some(place) = bytes.first_chunk_mut::<CRC_BYTES>() {
        *place = checksum.to_le_bytes();
    }
    bytes
}

/// `None` unless the bytes are whole and of just this segment.
pub(super) fn decode(bytes: &[u8], mark: &SegmentMark, closed: Closed) -> Option<Blocks> {
    if bytes.first_chunk().copied().map(u32::from_le_bytes) != Some(checksum(bytes, mark)?) {
        return None;
    }
    let number = |at: usize| {
        bytes
            .get(at..)?
            .first_chunk()
            .copied()
            .map(u64::from_le_bytes)
    };
    let (first_index, next_index, end) = (number(8)?, number(16)?, number(24)?);
    if (first_index, next_index) != (closed.first_index, closed.next_first) {
        return None;
    }
    let (rows, []) = bytes.get(ROWS_AT..)?.as_chunks::<ROW_BYTES>() else {
        return None;
    };
    let count = next_index.checked_sub(first_index)?.div_ceil(BLOCK_ENTRIES);
    if u64::try_from(rows.len()).ok()? != count {
        return None;
    }
    let mut blocks = Blocks::new(first_index, end);
    blocks.next_index = next_index;
    blocks.times = closed.times;
    let mut before = (HEADER_BYTES as u64).checked_sub(1)?;
    for row in rows {
        let (offset, times) = row.split_first_chunk::<8>()?;
        let (earliest, latest) = times.split_first_chunk::<8>()?;
        let block = Block {
            offset: u64::from_le_bytes(*offset),
            times: Times {
                earliest: i64::from_le_bytes(*earliest),
                latest: i64::from_le_bytes(*latest.first_chunk()?),
            },
        };
        // A reader takes the difference of two offsets as a length.
        if block.offset <= before || block.offset >= end {
            return None;
        }
        before = block.offset;
        blocks.blocks.push(block);
    }
    Some(blocks)
}

fn checksum(bytes: &[u8], mark: &SegmentMark) -> Option<u32> {
    let seed = crc32c::crc32c(&mark.0);
    Some(crc32c::crc32c_append(seed, bytes.get(CRC_BYTES..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: SegmentMark = SegmentMark([7; SegmentMark::BYTES]);

    fn blocks(entries: u64) -> (Blocks, Closed) {
        let mut blocks = Blocks::new(100, HEADER_BYTES as u64);
        for n in 0..entries {
            blocks.note(HEADER_BYTES as u64 + n * 40, i64::try_from(n).unwrap());
        }
        blocks.set_end(HEADER_BYTES as u64 + entries * 40);
        let closed = Closed {
            first_index: 100,
            next_first: 100 + entries,
            times: blocks.times(),
            disposed: false,
        };
        (blocks, closed)
    }

    #[test]
    fn a_table_reads_back_and_every_flipped_bit_is_noticed() {
        for entries in [0, 1, 64, 65, 200] {
            let (blocks, closed) = blocks(entries);
            let bytes = encode(&blocks, &MARK);
            assert_eq!(decode(&bytes, &MARK, closed), Some(blocks));
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(decode(&flipped, &MARK, closed), None, "bit {bit}");
            }
            for length in 0..bytes.len() {
                assert_eq!(decode(&bytes[..length], &MARK, closed), None);
            }
        }
    }

    #[test]
    fn a_table_of_another_segment_is_none() {
        let (blocks, closed) = blocks(70);
        let bytes = encode(&blocks, &MARK);
        let other = SegmentMark([8; SegmentMark::BYTES]);
        assert_eq!(decode(&bytes, &other, closed), None);
        let longer = Closed {
            next_first: closed.next_first + 1,
            ..closed
        };
        assert_eq!(decode(&bytes, &MARK, longer), None);
    }
}
