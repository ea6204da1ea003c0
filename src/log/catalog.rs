//! Where the entries lie: the segments, and within each the offset of every 64th entry. Shared by the one writer and all
//! readers; of closed segments only a few are kept in memory, so it doesn't grow with the log.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use super::dispose;
use super::error::ReadError;
use super::read::{SegmentMark, SegmentSpan};
use super::scan::{self, ScanError};
use super::segment::{self, HEADER_BYTES, Header, Times};
use super::table::{self, BlockTables};
use crate::domain::time::Timestamp;

/// How many entries share an offset: a reader walks at most this many frames to find one.
pub(super) const BLOCK_ENTRIES: u64 = 64;
/// How many closed segments' offsets are kept: about 80 KiB each at 64 MiB and 300 bytes an entry.
const CLOSED_KEPT: usize = 16;

/// Some consecutive entries of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    /// Of the first one's frame.
    pub(super) offset: u64,
    pub(super) times: Times,
}

/// The durable entries of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Blocks {
    pub(super) first_index: u64,
    pub(super) next_index: u64,
    pub(super) end: u64,
    pub(super) times: Times,
    pub(super) blocks: Vec<Block>,
}

impl Blocks {
    pub(super) fn new(first_index: u64, end: u64) -> Self {
        Self {
            first_index,
            next_index: first_index,
            end,
            times: Times::NONE,
            blocks: Vec::new(),
        }
    }

    /// Adds the next entry, whose frame is at `offset`. [`set_end`](Self::set_end) follows.
    pub(super) fn note(&mut self, offset: u64, time: i64) {
        let within = self.next_index.saturating_sub(self.first_index) % BLOCK_ENTRIES;
        if within == 0 {
            self.blocks.push(Block {
                offset,
                times: Times::NONE,
            });
        }
        if let Some(block) = self.blocks.last_mut() {
            block.times.include(time);
        }
        self.times.include(time);
        self.next_index = self.next_index.saturating_add(1);
    }

    /// Where the last entry's frame ends.
    pub(super) fn set_end(&mut self, end: u64) {
        self.end = end;
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn next_index(&self) -> u64 {
        self.next_index
    }

    pub(super) fn times(&self) -> Times {
        self.times
    }

    fn number_of(&self, index: u64) -> Option<usize> {
        let within = index.checked_sub(self.first_index)?;
        usize::try_from(within / BLOCK_ENTRIES).ok()
    }

    /// The block that holds `index`.
    fn place(&self, index: u64) -> Option<Place> {
        let number = self.number_of(index).filter(|_| index < self.next_index)?;
        let block = self.blocks.get(number)?;
        let after = self.blocks.get(number.saturating_add(1));
        Some(Place {
            first_index: index
                .saturating_sub(index.saturating_sub(self.first_index) % BLOCK_ENTRIES),
            offset: block.offset,
            end: after.map_or(self.end, |next| next.offset),
        })
    }

    /// The first index at or after `from` whose block has a time within `times`.
    fn first_within(&self, from: u64, times: Times) -> Option<u64> {
        let start = self.number_of(from.max(self.first_index))?;
        let later = self.blocks.get(start..)?;
        let number = later.iter().position(|block| block.times.meet(times))?;
        let number = u64::try_from(start.saturating_add(number)).ok()?;
        let first = number
            .saturating_mul(BLOCK_ENTRIES)
            .saturating_add(self.first_index);
        Some(first.max(from))
    }

    /// The index after the last one below `until` whose block has a time within `times`.
    fn end_within(&self, until: u64, times: Times) -> Option<u64> {
        let last = until.min(self.next_index).checked_sub(1)?;
        let earlier = self.blocks.get(..=self.number_of(last)?)?;
        let number = earlier.iter().rposition(|block| block.times.meet(times))?;
        let number = u64::try_from(number).ok()?;
        let end = number
            .saturating_add(1)
            .saturating_mul(BLOCK_ENTRIES)
            .saturating_add(self.first_index);
        Some(end.min(last.saturating_add(1)))
    }
}

/// Where a block lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) first_index: u64,
    pub(super) offset: u64,
    pub(super) end: u64,
}

/// An open segment.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) seed: u32,
    file: File,
    first_index: u64,
    blocks: RwLock<Blocks>,
    /// The blocks are as somebody told them, and not as the segment was found to be.
    told: bool,
}

impl Segment {
    pub(super) fn new(path: PathBuf, seed: u32, file: File, blocks: Blocks) -> Self {
        Self {
            path,
            seed,
            file,
            first_index: blocks.first_index,
            blocks: RwLock::new(blocks),
            told: false,
        }
    }

    /// Whether its blocks were told from outside: then a frame that is not where they say proves nothing.
    pub(super) fn is_told(&self) -> bool {
        self.told
    }

    pub(super) fn blocks<T>(&self, look: impl FnOnce(&Blocks) -> T) -> T {
        look(&self.blocks.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// For the writer, after it synced: what `add` notes can be read from now on.
    pub(super) fn publish(&self, add: impl FnOnce(&mut Blocks)) {
        add(&mut self.blocks.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// The bytes of the block that holds `index`; `None` when the segment doesn't.
    pub(super) fn read(&self, index: u64) -> Result<Option<(Place, Vec<u8>)>, ReadError> {
        let Some(place) = self.blocks(|blocks| blocks.place(index)) else {
            return Ok(None);
        };
        let count = place.end.saturating_sub(place.offset);
        let mut bytes = vec![0; usize::try_from(count).unwrap_or(0)];
        self.file
            .read_exact_at(&mut bytes, place.offset)
            .map_err(|source| ReadError::Io {
                path: self.path.clone(),
                source,
            })?;
        Ok(Some((place, bytes)))
    }
}

/// A segment that is written no more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Closed {
    pub(super) first_index: u64,
    pub(super) next_first: u64,
    pub(super) times: Times,
    /// Its entries are gone.
    pub(super) disposed: bool,
}

#[derive(Debug)]
struct State {
    /// In order; 40 bytes for each 64 MiB of log.
    closed: Vec<Closed>,
    live: Arc<Segment>,
}

/// All segments of a log.
#[derive(Debug)]
pub(super) struct Catalog {
    directory: PathBuf,
    name: String,
    state: RwLock<State>,
    /// The most lately used last.
    kept: Mutex<VecDeque<Arc<Segment>>>,
    /// Who may know where the blocks of a closed segment lie.
    tables: RwLock<Option<Weak<dyn BlockTables>>>,
}

impl Catalog {
    pub(super) fn new(directory: &Path, name: &str, closed: Vec<Closed>, live: Segment) -> Self {
        Self {
            directory: directory.to_owned(),
            name: name.to_owned(),
            state: RwLock::new(State {
                closed,
                live: Arc::new(live),
            }),
            kept: Mutex::new(VecDeque::new()),
            tables: RwLock::new(None),
        }
    }

    /// From now on `tables` is asked before a closed segment is scanned.
    pub(super) fn ask_tables(&self, tables: Weak<dyn BlockTables>) {
        *self.tables.write().unwrap_or_else(PoisonError::into_inner) = Some(tables);
    }

    /// The block table of a closed segment; `None` when there is no closed segment that starts at `first`.
    pub(super) fn table_of(&self, first: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let Some((closed, mark)) = self.mark_of(first)? else {
            return Ok(None);
        };
        let segment = self.load(closed)?;
        Ok(Some(segment.blocks(|blocks| table::encode(blocks, &mark))))
    }

    /// What tells the closed segment that starts at `first` from any other.
    pub(super) fn mark_of(&self, first: u64) -> Result<Option<(Closed, SegmentMark)>, ReadError> {
        let closed = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            let found = state
                .closed
                .binary_search_by_key(&first, |closed| closed.first_index);
            found.ok().and_then(|at| state.closed.get(at).copied())
        };
        let mark = |closed: Closed| {
            let own = open_segment(&self.directory, closed.first_index)
                .map_err(|error| self.perhaps_disposed(closed, error))?
                .1;
            let next = header_of(&self.directory, closed.next_first)?;
            Ok((closed, SegmentMark::new(&own, &next)))
        };
        closed.map(mark).transpose()
    }

    /// Reads a closed segment anew, whatever was told of it.
    pub(super) fn scan_again(&self, segment: &Segment) -> Result<Option<Arc<Segment>>, ReadError> {
        let first = segment.first_index;
        let Some((closed, _)) = self.mark_of(first)? else {
            return Ok(None);
        };
        let segment = Arc::new(read_closed(&self.directory, closed, None)?);
        self.keep(Arc::clone(&segment));
        Ok(Some(segment))
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// How many entries are durable.
    pub(super) fn len(&self) -> u64 {
        self.live().blocks(Blocks::next_index)
    }

    /// All segments, in order.
    pub(super) fn segments(&self) -> Vec<SegmentSpan> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let closed = state.closed.iter().map(|closed| SegmentSpan {
            first: closed.first_index,
            next: closed.next_first,
            closed: true,
            disposed: closed.disposed,
            times: (closed.times != Times::NONE).then(|| {
                let at = Timestamp::from_micros;
                (at(closed.times.earliest), at(closed.times.latest))
            }),
        });
        let live = SegmentSpan {
            first: state.live.first_index,
            next: state.live.blocks(Blocks::next_index),
            closed: false,
            disposed: false,
            times: None,
        };
        closed.chain([live]).collect()
    }

    pub(super) fn live(&self) -> Arc<Segment> {
        Arc::clone(
            &self
                .state
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .live,
        )
    }

    /// Puts the next segment in the place of the live one, which is closed.
    pub(super) fn roll(&self, next: Segment) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut state.live, Arc::new(next));
        let closed = old.blocks(|blocks| Closed {
            first_index: blocks.first_index,
            next_first: blocks.next_index,
            times: blocks.times,
            disposed: false,
        });
        state.closed.push(closed);
        drop(state);
        self.keep(old);
    }

    /// A segment's entries are not read any more: what stands in its place is on the disk. Its file is let go of.
    pub(super) fn dispose(&self, first_index: u64) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let found = state
            .closed
            .iter_mut()
            .find(|closed| closed.first_index == first_index);
        if let Some(closed) = found {
            closed.disposed = true;
        }
        drop(state);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|segment| segment.first_index != first_index);
    }

    /// The first of the segments that were disposed of and had entries within `times`.
    pub(super) fn disposed_within(&self, times: Times) -> Option<ReadError> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let wanted = |closed: &&Closed| closed.disposed && closed.times.meet(times);
        let closed = state.closed.iter().find(wanted).copied();
        drop(state);
        closed.map(|closed| disposed(&self.directory, closed))
    }

    /// The segment that holds `index`; `None` beyond the end.
    pub(super) fn segment_of(&self, index: u64) -> Result<Option<Arc<Segment>>, ReadError> {
        let closed = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            if index >= state.live.first_index {
                let beyond = index >= state.live.blocks(Blocks::next_index);
                return Ok((!beyond).then(|| Arc::clone(&state.live)));
            }
            let after = state
                .closed
                .partition_point(|closed| closed.first_index <= index);
            after
                .checked_sub(1)
                .and_then(|at| state.closed.get(at).copied())
        };
        closed.map(|closed| self.load(closed)).transpose()
    }

    /// The first index at or after `from` in whose block an entry's time is within `times`; `None` when there is none.
    pub(super) fn first_within(&self, from: u64, times: Times) -> Result<Option<u64>, ReadError> {
        let mut from = from;
        loop {
            let closed = {
                let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
                let later = |closed: &&Closed| {
                    closed.next_first > from && closed.times.meet(times) && !closed.disposed
                };
                match state.closed.iter().find(later).copied() {
                    Some(closed) => closed,
                    None => {
                        return Ok(state.live.blocks(|blocks| blocks.first_within(from, times)));
                    }
                }
            };
            let segment = self.load(closed)?;
            if let Some(index) = segment.blocks(|blocks| blocks.first_within(from, times)) {
                return Ok(Some(index));
            }
            from = closed.next_first;
        }
    }

    /// The index after the last one below `until` in whose block an entry's time is within `times`; `None` when there is none.
    pub(super) fn end_within(&self, until: u64, times: Times) -> Result<Option<u64>, ReadError> {
        let mut until = until;
        loop {
            let closed = {
                let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
                let live = &state.live;
                if until > live.first_index
                    && let Some(end) = live.blocks(|blocks| blocks.end_within(until, times))
                {
                    return Ok(Some(end));
                }
                let earlier = |closed: &&Closed| {
                    closed.first_index < until && closed.times.meet(times) && !closed.disposed
                };
                match state.closed.iter().rfind(earlier).copied() {
                    Some(closed) => closed,
                    None => return Ok(None),
                }
            };
            let segment = self.load(closed)?;
            if let Some(end) = segment.blocks(|blocks| blocks.end_within(until, times)) {
                return Ok(Some(end));
            }
            until = closed.first_index;
        }
    }

    /// Reads a closed segment to its end, past what is kept of it in memory, and compares its tree with that of the next one's
    /// header. Asks now and then whether to go on.
    pub(super) fn scrub(
        &self,
        span: &SegmentSpan,
        go_on: impl FnMut() -> bool,
    ) -> Result<(), ReadError> {
        let closed = Closed {
            first_index: span.first,
            next_first: span.next,
            times: Times::ALL,
            disposed: span.disposed,
        };
        let path = segment::path_of(&self.directory, span.first);
        let next = header_of(&self.directory, span.next)?;
        open_segment(&self.directory, span.first)
            .and_then(|(file, header)| {
                scan::scrub(&file, &header, &next.tree, go_on)
                    .map_err(|error| read_failed(&path, error))
            })
            .map_err(|error| self.perhaps_disposed(closed, error))
    }

    /// Reads a segment, which may go in between, perhaps by another process's hand.
    fn read_there(
        &self,
        closed: Closed,
        tables: Option<&dyn BlockTables>,
    ) -> Result<Segment, ReadError> {
        read_closed(&self.directory, closed, tables)
            .map_err(|error| self.perhaps_disposed(closed, error))
    }

    /// What is told where a segment can't be read.
    fn perhaps_disposed(&self, closed: Closed, error: ReadError) -> ReadError {
        match error {
            ReadError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                disposed(&self.directory, closed)
            }
            error => error,
        }
    }

    fn load(&self, closed: Closed) -> Result<Arc<Segment>, ReadError> {
        if closed.disposed {
            return Err(disposed(&self.directory, closed));
        }
        {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let found = kept
                .iter()
                .position(|segment| segment.first_index == closed.first_index);
            if let Some(segment) = found.and_then(|at| kept.remove(at)) {
                kept.push_back(Arc::clone(&segment));
                return Ok(segment);
            }
        }
        // Outside the lock: a segment takes tens of milliseconds to read.
        let tables = {
            let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
            tables.as_ref().and_then(Weak::upgrade)
        };
        let segment = Arc::new(self.read_there(closed, tables.as_deref())?);
        self.keep(Arc::clone(&segment));
        Ok(segment)
    }

    fn keep(&self, segment: Arc<Segment>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|other| other.first_index != segment.first_index);
        while kept.len() >= CLOSED_KEPT {
            kept.pop_front();
        }
        kept.push_back(segment);
    }
}

/// The header of the segment that starts at `first`; what stands in its place has kept it.
fn header_of(directory: &Path, first: u64) -> Result<Header, ReadError> {
    match open_segment(directory, first) {
        Err(ReadError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            dispose::read(&dispose::path_of(directory, first)).map(|gone| gone.header)
        }
        opened => opened.map(|(_, header)| header),
    }
}

/// What is told in the place of a segment that was disposed of; an error of the disk, where nothing stands in its place.
fn disposed(directory: &Path, closed: Closed) -> ReadError {
    match dispose::read(&dispose::path_of(directory, closed.first_index)) {
        Ok(gone) => ReadError::Disposed {
            first: gone.first,
            next: gone.next,
            rule: gone.rule,
            at: gone.at,
        },
        Err(error) => error,
    }
}

/// Opens a closed segment: by the table that `tables` has of it, when that is of just this segment; by reading all of it
/// otherwise.
fn read_closed(
    directory: &Path,
    closed: Closed,
    tables: Option<&dyn BlockTables>,
) -> Result<Segment, ReadError> {
    let (file, header) = open_segment(directory, closed.first_index)?;
    let path = segment::path_of(directory, closed.first_index);
    let told = tables
        .and_then(|tables| tables.table(closed.first_index))
        .and_then(|bytes| {
            let next = header_of(directory, closed.next_first).ok()?;
            table::decode(&bytes, &SegmentMark::new(&header, &next), closed)
        });
    if let Some(blocks) = told {
        let mut segment = Segment::new(path, header.seed(), file, blocks);
        segment.told = true;
        return Ok(segment);
    }
    let blocks = scan::scan_closed(&file, &header, closed.next_first)
        .map_err(|error| read_failed(&path, error))?;
    Ok(Segment::new(path, header.seed(), file, blocks))
}

fn open_segment(directory: &Path, first_index: u64) -> Result<(File, Header), ReadError> {
    let path = segment::path_of(directory, first_index);
    let file = File::open(&path).map_err(|error| read_failed(&path, error.into()))?;
    let header = read_header(&file).map_err(|error| read_failed(&path, error))?;
    Ok((file, header))
}

fn read_failed(path: &Path, error: ScanError) -> ReadError {
    let path = path.to_owned();
    match error {
        ScanError::Io(source) => ReadError::Io { path, source },
        ScanError::Damaged { offset, what } => ReadError::Damaged { path, offset, what },
    }
}

/// The header of a segment.
pub(super) fn read_header(file: &File) -> Result<Header, ScanError> {
    let mut bytes = vec![0; HEADER_BYTES];
    let read = file.read_exact_at(&mut bytes, 0);
    if matches!(&read, Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof) {
        bytes.clear();
    } else {
        read?;
    }
    Header::decode(&bytes).map_err(|what| ScanError::Damaged {
        offset: 0,
        what: what.to_owned(),
    })
}

#[cfg(test)]
impl Catalog {
    /// How many closed segments are in memory.
    pub(super) fn kept_open(&self) -> usize {
        self.kept.lock().unwrap().len()
    }
}
