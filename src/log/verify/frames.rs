//! One segment: its frames one after the other, and nothing behind the last.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use prost::Message as _;

use super::tree_check::{TreeCheck, read_up_to};
use super::{Counter, Finding, VerifyError, Wrong};
use crate::log::merkle;
use crate::log::scan::Walk;
use crate::log::segment::{self, Header, Times};
use crate::proto::StoredEntry;

/// Bytes behind the last batch are looked at so often before they count as what they are: a batch may just be written there.
const LOOKS: u32 = 10;
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A log that keeps being written to is not waited for longer.
const LOOKS_MAX: u32 = 100;
const ZEROS: [u8; 16 << 10] = [0; 16 << 10];

/// How often the end of a log that may be live is looked at.
#[derive(Debug, Clone, Copy)]
pub(in crate::log) struct Patience {
    pub(in crate::log) looks: u32,
    pub(in crate::log) every: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            looks: LOOKS,
            every: LOOK_EVERY,
        }
    }
}

/// An open segment.
#[derive(Debug, Clone, Copy)]
pub(in crate::log) struct Opened<'a> {
    pub(in crate::log) path: &'a Path,
    pub(in crate::log) file: &'a File,
    pub(in crate::log) header: &'a Header,
}

/// What the header of the segment that follows must say.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::log) struct Follows {
    pub(in crate::log) first_batch: u64,
    pub(in crate::log) times: Times,
}

/// What each entry is told to, with its index.
pub(in crate::log) type Seen<'a> = &'a mut dyn FnMut(u64, StoredEntry);

/// Reads a segment that is written no more, which must be whole up to `next_first` and end there.
pub(in crate::log) fn check_closed(
    segment: Opened<'_>,
    next_first: u64,
    check: &mut TreeCheck<'_>,
    (counter, seen): (&Counter<'_>, Seen<'_>),
) -> Result<Follows, VerifyError> {
    let Opened { path, file, header } = segment;
    let mut walk = Walk::new(file, header).map_err(VerifyError::io(path))?;
    let mut times = Times::NONE;
    let mut whole = false;
    while walk.next_index < next_first {
        let Some((offset, frame)) = walk.next().map_err(VerifyError::io(path))? else {
            check.check_undecided()?;
            return Err(stopped(&walk, path));
        };
        seen(
            frame.index,
            decoded(frame.bytes, path, (frame.index, offset))?,
        );
        times.include(segment::time_of(frame.bytes));
        whole = frame.last_of_batch;
        let (index, leaf) = (frame.index, merkle::leaf_hash(frame.bytes));
        check.push(leaf, path, offset)?;
        if index.is_multiple_of(Counter::STEP) {
            counter.add(Counter::STEP);
        }
    }
    if !whole {
        walk.stopped = "the batch that it belongs to has no end";
        return Err(stopped(&walk, path));
    }
    if let Some(offset) = used_behind(file, walk.offset).map_err(VerifyError::io(path))? {
        return Err(Finding::new(path, Wrong::Rest).at(offset).into());
    }
    Ok(Follows {
        first_batch: walk.batch,
        times,
    })
}

/// Reads the last segment to the end of its last whole batch, which must not be below `committed`. Behind it there must be
/// nothing, unless it is a batch that is just being written.
pub(in crate::log) fn check_tail(
    segment: Opened<'_>,
    committed: u64,
    patience: Patience,
    check: &mut TreeCheck<'_>,
    (counter, seen): (&Counter<'_>, Seen<'_>),
) -> Result<(), VerifyError> {
    let Opened { path, file, header } = segment;
    let mut walk = Walk::new(file, header).map_err(VerifyError::io(path))?;
    let (mut still, mut looks) = (0_u32, 0_u32);
    loop {
        let start = walk.offset;
        // The end of the last whole batch: what follows is read again with the next look.
        let end = take_batches(&mut walk, path, check, (counter, &mut *seen))?;
        let entries = check.tree().size();
        let used = used_behind(file, end).map_err(VerifyError::io(path))?;
        let Some(used) = used else {
            return Ok(());
        };
        looks = looks.saturating_add(1);
        still = if end > start {
            0
        } else {
            still.saturating_add(1)
        };
        if entries < committed {
            check.check_undecided()?;
            return Err(stopped(&walk, path));
        }
        if still >= patience.looks {
            return Err(Finding::new(path, Wrong::Rest).at(used).into());
        }
        if looks >= LOOKS_MAX {
            return Ok(());
        }
        std::thread::sleep(patience.every);
        let batch = walk.batch;
        walk = Walk::new(file, header).map_err(VerifyError::io(path))?;
        (walk.offset, walk.next_index, walk.batch) = (end, entries, batch);
    }
}

/// Takes all whole batches from where `walk` is; tells where the last of them ends.
fn take_batches(
    walk: &mut Walk<'_>,
    path: &Path,
    check: &mut TreeCheck<'_>,
    (counter, seen): (&Counter<'_>, Seen<'_>),
) -> Result<u64, VerifyError> {
    let mut end = walk.offset;
    // One batch: at most what the writer takes at once.
    let mut pending = Vec::new();
    loop {
        let (offset, frame) = match walk.next() {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(end),
            // It was closed, and the space behind it given back, since its length was asked for.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(end),
            Err(error) => return Err(VerifyError::io(path)(error)),
        };
        let last = frame.last_of_batch;
        let entry = decoded(frame.bytes, path, (frame.index, offset));
        pending.push((offset, merkle::leaf_hash(frame.bytes), entry));
        if !last {
            continue;
        }
        for (offset, leaf, entry) in pending.drain(..) {
            seen(check.tree().size(), entry?);
            check.push(leaf, path, offset)?;
            if check.tree().size().is_multiple_of(Counter::STEP) {
                counter.add(Counter::STEP);
            }
        }
        end = walk.offset;
    }
}

fn decoded(bytes: &[u8], path: &Path, (index, offset): (u64, u64)) -> Result<StoredEntry, Finding> {
    StoredEntry::decode(bytes).map_err(|_| {
        Finding::new(path, Wrong::NotAnEntry)
            .entry(index)
            .at(offset)
    })
}

fn stopped(walk: &Walk<'_>, path: &Path) -> VerifyError {
    Finding::new(path, Wrong::Frame(walk.stopped.to_owned()))
        .entry(walk.next_index)
        .at(walk.offset)
        .into()
}

/// The first place from `offset` on that is not zero.
fn used_behind(file: &File, offset: u64) -> io::Result<Option<u64>> {
    let mut bytes = vec![0; ZEROS.len()];
    let mut offset = offset;
    loop {
        let read = read_up_to(file, &mut bytes, offset)?;
        let found = bytes.get(..read).unwrap_or_default();
        if found.is_empty() {
            return Ok(None);
        }
        if Some(found) != ZEROS.get(..read) {
            let at = found.iter().position(|byte| *byte != 0).unwrap_or(0);
            return Ok(Some(offset.saturating_add(at as u64)));
        }
        offset = offset.saturating_add(read as u64);
    }
}
