//! Walks the frames of a segment, and tells a torn tail from damage.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use super::catalog::Blocks;
use super::merkle::{self, CompactRange};
use super::segment::{self, FRAME_MAX_BYTES, Frame, HEADER_BYTES, Header, Parsed};

const WINDOW_BYTES: usize = 1 << 20;

/// Why a segment could not be walked.
#[derive(Debug)]
pub(super) enum ScanError {
    Io(io::Error),
    /// Not a torn tail.
    Damaged {
        offset: u64,
        what: String,
    },
}

impl From<io::Error> for ScanError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A part of a file in memory, moved along as it is read.
struct Window<'a> {
    file: &'a File,
    length: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    fn new(file: &'a File) -> io::Result<Self> {
        Ok(Self {
            file,
            length: file.metadata()?.len(),
            start: 0,
            bytes: Vec::new(),
        })
    }

    /// The bytes from `offset` on: at least `count`, unless the file ends before.
    fn at(&mut self, offset: u64, count: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = count.min(left);
        if self.held(offset).is_none_or(|held| held.len() < count) {
            let window = count.max(WINDOW_BYTES).min(left);
            self.bytes.truncate(window);
            if self.bytes.len() < window {
                // All of it is read over: zeros fresh from the system cost less than filling up.
                self.bytes = vec![0; window];
            }
            self.file.read_exact_at(&mut self.bytes, offset)?;
            self.start = offset;
        }
        Ok(self.held(offset).unwrap_or_default())
    }

    fn held(&self, offset: u64) -> Option<&[u8]> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(from..)
    }
}

/// The frames of one segment in order, up to the first place that doesn't continue them.
pub(super) struct Walk<'a> {
    window: Window<'a>,
    seed: u32,
    /// Where the next frame starts.
    pub(super) offset: u64,
    pub(super) next_index: u64,
    /// The number that the next frame's batch must have.
    pub(super) batch: u64,
    /// Why the walk ended.
    pub(super) stopped: &'static str,
}

impl<'a> Walk<'a> {
    pub(super) fn new(file: &'a File, header: &Header) -> io::Result<Self> {
        Ok(Self {
            window: Window::new(file)?,
            seed: header.seed(),
            offset: HEADER_BYTES as u64,
            next_index: header.first_index,
            batch: header.first_batch,
            stopped: "",
        })
    }

    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Frame<'_>)>> {
        let bytes = self.window.at(self.offset, FRAME_MAX_BYTES)?;
        let frame = match segment::parse(bytes, self.seed) {
            Parsed::Frame(frame) => frame,
            Parsed::End => {
                self.stopped = "the data end here";
                return Ok(None);
            }
            Parsed::Bad(what) => {
                self.stopped = what;
                return Ok(None);
            }
        };
        if frame.index != self.next_index || frame.batch != self.batch {
            self.stopped = "a frame is not the one that belongs here";
            return Ok(None);
        }
        let offset = self.offset;
        self.offset = offset.saturating_add(segment::frame_bytes(frame.bytes.len()) as u64);
        self.next_index = self.next_index.saturating_add(1);
        if frame.last_of_batch {
            self.batch = self.batch.saturating_add(1);
        }
        Ok(Some((offset, frame)))
    }
}

/// The last segment of a log, as far as it is whole.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) blocks: Blocks,
    pub(super) tree: CompactRange,
    pub(super) next_batch: u64,
    /// Where the last whole batch lies; empty when there is none.
    pub(super) last_batch: Range<u64>,
    /// Where bytes that belong to no whole batch end; the end of the data when there are none.
    pub(super) torn_until: u64,
}

/// Reads the last segment to the end of its last whole batch.
///
/// Only one batch is written at a time, and the next only after it was synced. So what follows the last whole batch is the
/// torn rest of one write, unless a whole frame of a yet later batch lies behind: then something that was durable is gone.
///
/// # Errors
/// `Damaged` at the first frame that is not whole, when a later batch follows it.
pub(super) fn scan_tail(file: &File, header: &Header) -> Result<Tail, ScanError> {
    let mut walk = Walk::new(file, header)?;
    let start = HEADER_BYTES as u64;
    let mut tail = Tail {
        blocks: Blocks::new(header.first_index, start),
        tree: header.tree.clone(),
        next_batch: header.first_batch,
        last_batch: start..start,
        torn_until: start,
    };
    let mut pending = Vec::new();
    let mut batch_start = start;
    while let Some((offset, frame)) = walk.next()? {
        let last = frame.last_of_batch;
        let hash = merkle::leaf_hash(frame.bytes);
        pending.push((offset, segment::time_of(frame.bytes), hash));
        if last {
            for (offset, time, hash) in pending.drain(..) {
                tail.blocks.note(offset, time);
                tail.tree.push(hash);
            }
            tail.blocks.set_end(walk.offset);
            tail.next_batch = walk.batch;
            tail.last_batch = batch_start..walk.offset;
            batch_start = walk.offset;
        }
    }
    tail.torn_until = after_the_end(&mut walk, tail.blocks.end(), &tail)?;
    Ok(tail)
}

/// Where the bytes that are not zero end, looking from `end`.
fn after_the_end(walk: &mut Walk<'_>, end: u64, tail: &Tail) -> Result<u64, ScanError> {
    let mut used = end;
    let mut offset = end;
    let length = walk.window.length;
    while offset < length {
        let bytes = walk.window.at(offset, FRAME_MAX_BYTES)?;
        // All that is at hand but a frame's length, so that a frame is never judged by a part of it.
        let whole = offset.saturating_add(bytes.len() as u64) >= length;
        let step = if whole {
            bytes.len()
        } else {
            (bytes.len().saturating_sub(FRAME_MAX_BYTES) / 8).max(1) * 8
        };
        let searched = bytes.get(..step).unwrap_or(bytes);
        if let Some(last) = last_used(searched) {
            used = offset.saturating_add(last as u64).saturating_add(1);
            for at in (0..searched.len()).step_by(8) {
                let Some(rest) = bytes.get(at..) else { break };
                if is_later(rest, walk.seed, tail) {
                    let later = offset.saturating_add(at as u64);
                    return Err(ScanError::Damaged {
                        offset: walk.offset,
                        what: format!("{}, yet a later batch follows at {later}", walk.stopped),
                    });
                }
            }
        }
        offset = offset.saturating_add(step.max(8) as u64);
    }
    Ok(used)
}

/// The last byte that is not zero. Most of a segment is zeros, and comparing pages is many times faster than looking at each
/// byte.
fn last_used(bytes: &[u8]) -> Option<usize> {
    const PAGE: [u8; 4096] = [0; 4096];
    let used = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte != 0);
    let (pages, rest) = bytes.as_chunks::<4096>();
    if let Some(last) = used(rest) {
        return Some(pages.as_flattened().len().saturating_add(last));
    }
    let number = pages.iter().rposition(|page| *page != PAGE)?;
    let last = used(pages.get(number)?)?;
    Some(number.saturating_mul(PAGE.len()).saturating_add(last))
}

/// Whether a whole frame of a batch after the torn one starts here.
fn is_later(bytes: &[u8], seed: u32, tail: &Tail) -> bool {
    // More than fit into any segment; without this look, a checksum would be computed at every eighth byte.
    const WITHIN: u64 = 1 << 32;
    let Some((index, batch)) = segment::told_place(bytes) else {
        return false;
    };
    let ahead = |told: u64, from: u64| told.checked_sub(from).is_some_and(|far| far < WITHIN);
    if !ahead(index, tail.blocks.next_index()) || !ahead(batch, tail.next_batch) {
        return false;
    }
    match segment::parse(bytes, seed) {
        Parsed::Frame(frame) => frame.batch > tail.next_batch,
        Parsed::End | Parsed::Bad(_) => false,
    }
}

/// How many entries are read before it is asked whether to go on.
const SCRUB_AT_ONCE: u64 = 1_024;

/// Reads a closed segment, whose entries must be whole and lead to the tree `until`, which the next segment goes on from. Asks
/// now and then whether to go on.
///
/// # Errors
/// `Damaged` at the first frame that is not whole, or with the offset of the first entry where they lead to another tree.
pub(super) fn scrub(
    file: &File,
    header: &Header,
    until: &CompactRange,
    mut go_on: impl FnMut() -> bool,
) -> Result<(), ScanError> {
    let mut walk = Walk::new(file, header)?;
    let mut tree = header.tree.clone();
    while tree.size() < until.size() {
        if tree.size().is_multiple_of(SCRUB_AT_ONCE) && !go_on() {
            return Ok(());
        }
        let Some((_, frame)) = walk.next()? else {
            return Err(ScanError::Damaged {
                offset: walk.offset,
                what: walk.stopped.to_owned(),
            });
        };
        tree.push(merkle::leaf_hash(frame.bytes));
    }
    if tree != *until {
        return Err(ScanError::Damaged {
            offset: HEADER_BYTES as u64,
            what: "its entries are not those that the next segment follows".to_owned(),
        });
    }
    Ok(())
}

/// Reads a closed segment, which must be whole up to `next_first`, where the next one starts.
///
/// # Errors
/// `Damaged` at the first frame that is not whole.
pub(super) fn scan_closed(
    file: &File,
    header: &Header,
    next_first: u64,
) -> Result<Blocks, ScanError> {
    let mut walk = Walk::new(file, header)?;
    let mut blocks = Blocks::new(header.first_index, HEADER_BYTES as u64);
    while walk.next_index < next_first {
        let Some((offset, frame)) = walk.next()? else {
            return Err(ScanError::Damaged {
                offset: walk.offset,
                what: walk.stopped.to_owned(),
            });
        };
        blocks.note(offset, segment::time_of(frame.bytes));
    }
    blocks.set_end(walk.offset);
    Ok(blocks)
}
