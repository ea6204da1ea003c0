//! Reading, newest or oldest first, in bounded memory, while the writer writes: a reader sees what is durable.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use prost::Message as _;

use super::catalog::{Catalog, Segment};
use super::error::{OpenError, ReadError};
use super::merkle;
use super::open;
use super::segment::{self, Header, Parsed, Times};
use super::table::BlockTables;
use crate::domain::ids::{DecisionId, LogIndex};
use crate::domain::time::Timestamp;
use crate::proto::{EntryKind, StoredEntry};

/// How far an entry's time may be from the time in its decision's id.
const ID_SLACK: Duration = Duration::from_secs(10);

/// An entry as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its place in the log.
    pub index: LogIndex,
    /// The batch that it was written with.
    pub batch: u64,
    /// The stored bytes: those that are hashed and proved. 1 to 65,535.
    pub bytes: Vec<u8>,
}

impl Kept {
    /// Decodes the entry.
    ///
    /// # Errors
    /// When the bytes are not an entry.
    pub fn entry(&self) -> Result<StoredEntry, ReadError> {
        StoredEntry::decode(self.bytes.as_slice()).map_err(|source| ReadError::NotAnEntry {
            index: self.index,
            source,
        })
    }

    /// The entry's time, without decoding the rest.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        Timestamp::from_micros(segment::time_of(&self.bytes))
    }

    /// The leaf of RFC 6962, section 2.1: `SHA-256(0x00 || bytes)`.
    #[must_use]
    pub fn leaf_hash(&self) -> [u8; 32] {
        merkle::leaf_hash(&self.bytes)
    }
}

/// Reads the log. Cheap to clone; its methods block on the disk, so call them where blocking is allowed.
///
/// The first read from a segment that is closed, and not among the few last used, reads the whole segment (64 MiB: some tens
/// of milliseconds), unless its block table is told ([`Self::ask_tables`]).
#[derive(Debug, Clone)]
pub struct LogReader {
    catalog: Arc<Catalog>,
}

impl LogReader {
    pub(super) fn new(catalog: Arc<Catalog>) -> Self {
        Self { catalog }
    }

    /// Reads a log without its daemon: takes no lock and changes nothing. It ends at the last whole batch there is now.
    ///
    /// # Errors
    /// When the directory holds no log, or one that is damaged.
    pub fn open_directory(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let found = open::look(path)?;
        Ok(Self::new(Arc::new(found.into_catalog(path))))
    }

    /// The log's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.catalog.name()
    }

    /// How many entries are durable.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.catalog.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The segments, in order; the last is the live one.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentSpan> {
        self.catalog.segments()
    }

    /// From now on and while `tables` is alive, for all readers of this log: where the entries of a closed segment lie is
    /// taken from there. A table that is not of just this segment is
    /// not taken, and one that proves wrong is not believed: the segment is read instead.
    pub fn ask_tables(&self, tables: Weak<dyn BlockTables>) {
        self.catalog.ask_tables(tables);
    }

    /// Where the entries of the closed segment that starts at `first` lie, as bytes to be kept for [`Self::ask_tables`]:
    /// 24 for each 64 entries. `None` when there is no such segment.
    ///
    /// # Errors
    /// When the segment can't be read, or is not what was written.
    pub fn table_of(&self, first: u64) -> Result<Option<Vec<u8>>, ReadError> {
        self.catalog.table_of(first)
    }

    /// What tells the closed segment that starts at `first` from any other; `None` when there is no such segment.
    ///
    /// # Errors
    /// When its header or that of the next one can't be read, or is not what was written.
    pub fn mark_of(&self, first: u64) -> Result<Option<SegmentMark>, ReadError> {
        Ok(self.catalog.mark_of(first)?.map(|(_, mark)| mark))
    }

    /// The first index at or after `from` that a forward reading within `period` comes to; `None` when there is none.
    ///
    /// # Errors
    /// When a segment on the way can't be read.
    pub fn first_within(
        &self,
        from: LogIndex,
        period: Period,
    ) -> Result<Option<LogIndex>, ReadError> {
        let found = self.catalog.first_within(from.0, period.times())?;
        Ok(found.map(LogIndex))
    }

    /// The last index at or before `from` that a backward reading within `period` comes to; `None` when there is none.
    ///
    /// # Errors
    /// When a segment on the way can't be read.
    pub fn last_within(
        &self,
        from: LogIndex,
        period: Period,
    ) -> Result<Option<LogIndex>, ReadError> {
        let until = from.0.saturating_add(1);
        let end = self.catalog.end_within(until, period.times())?;
        Ok(end.and_then(|end| end.checked_sub(1)).map(LogIndex))
    }

    /// The entries that are read together with the one at `index`, which is among them: at most 64, in order. None beyond
    /// the end.
    ///
    /// # Errors
    /// When they can't be read, or are not what was written.
    pub fn around(&self, index: LogIndex) -> Result<Vec<Kept>, ReadError> {
        self.block(index.0)
    }

    /// The segments whose entries are there, in order; the last is the live one.
    #[must_use]
    pub fn readable_segments(&self) -> Vec<SegmentSpan> {
        let mut spans = self.segments();
        spans.retain(|span| !span.disposed);
        spans
    }

    /// Reads a closed segment to its end: every frame must be whole, and all of them lead to the tree that the next one goes on
    /// from. Asks now and then whether to go on.
    pub(super) fn scrub(
        &self,
        span: &SegmentSpan,
        go_on: impl FnMut() -> bool,
    ) -> Result<(), ReadError> {
        self.catalog.scrub(span, go_on)
    }

    /// Whether entries of `period` were disposed of as a whole segment, by the times that the segments had.
    ///
    /// # Errors
    /// [`ReadError::Disposed`] for the first that was; or when what stands in its place can't be read.
    pub fn disposed_within(&self, period: Period) -> Result<(), ReadError> {
        let gone = self.catalog.disposed_within(period.times());
        gone.map_or(Ok(()), Err)
    }

    /// The entry at `index`; `None` beyond the end.
    ///
    /// # Errors
    /// When it can't be read, or is not what was written; [`ReadError::Disposed`] when it was disposed of.
    pub fn get(&self, index: LogIndex) -> Result<Option<Kept>, ReadError> {
        let block = self.block(index.0)?;
        Ok(block.into_iter().find(|kept| kept.index == index))
    }

    /// Entries from `from` to what is the end at the call, oldest first; what was disposed of is passed over. Ends after the
    /// first error.
    pub fn forward(
        &self,
        from: LogIndex,
    ) -> impl Iterator<Item = Result<Kept, ReadError>> + Send + use<> {
        self.forward_within(from, Period::default())
    }

    /// As [`Self::forward`], but passes over blocks of 64 entries and whole segments that have nothing within `period`, so
    /// entries outside it may come too. Exact whatever the clock did.
    pub fn forward_within(
        &self,
        from: LogIndex,
        period: Period,
    ) -> impl Iterator<Item = Result<Kept, ReadError>> + Send + use<> {
        Forward {
            reader: self.clone(),
            next: from.0,
            until: self.len(),
            times: period.times(),
            block: VecDeque::new(),
        }
    }

    /// Entries from `from`, or from the last one before it that there is, newest first. Ends after the first error.
    pub fn backward(
        &self,
        from: LogIndex,
    ) -> impl Iterator<Item = Result<Kept, ReadError>> + Send + use<> {
        self.backward_within(from, Period::default())
    }

    /// As [`Self::backward`], passing over what has nothing within `period`, as [`Self::forward_within`] does.
    pub fn backward_within(
        &self,
        from: LogIndex,
        period: Period,
    ) -> impl Iterator<Item = Result<Kept, ReadError>> + Send + use<> {
        Backward {
            reader: self.clone(),
            until: from.0.saturating_add(1).min(self.len()),
            times: period.times(),
            block: Vec::new(),
        }
    }

    /// The smallest index whose entry's time is `time` or later; the length of the log when there is none. Exact whatever the
    /// clock did: where it was set back, entries after this one may be earlier than `time`.
    ///
    /// # Errors
    /// When an entry on the way can't be read, or is not what was written.
    pub fn first_at_or_after(&self, time: Timestamp) -> Result<LogIndex, ReadError> {
        let times = Times {
            earliest: time.micros(),
            latest: i64::MAX,
        };
        let found = self.first_of(times, |_| Ok(true))?;
        Ok(found.map_or_else(|| LogIndex(self.len()), |kept| kept.index))
    }

    /// The entry that recorded a decision. Looks only where entries' times are within 10 s of the time in the id.
    ///
    /// # Errors
    /// When an entry on the way can't be read, or is not what was written; [`ReadError::Disposed`] when it isn't found, and
    /// entries of its time were disposed of.
    pub fn find_decision(&self, id: DecisionId) -> Result<Option<Kept>, ReadError> {
        let Some((seconds, nanos)) = id.0.get_timestamp().map(|time| time.to_unix()) else {
            return Ok(None);
        };
        let since = Duration::new(seconds, nanos);
        let told = Timestamp::default().plus(since);
        let times = Times {
            earliest: told.minus(ID_SLACK).micros(),
            latest: told.plus(ID_SLACK).micros(),
        };
        let found = self.first_of(times, |kept| {
            let entry = kept.entry()?;
            // An outcome carries the id of the decision that it reports on.
            let of_decision = entry.kind() != EntryKind::Outcome;
            Ok(of_decision && entry.decision_id == id.0.as_bytes())
        })?;
        match found {
            Some(kept) => Ok(Some(kept)),
            None => self.catalog.disposed_within(times).map_or(Ok(None), Err),
        }
    }

    /// The first entry within `times` that is `wanted`.
    fn first_of(
        &self,
        times: Times,
        mut wanted: impl FnMut(&Kept) -> Result<bool, ReadError>,
    ) -> Result<Option<Kept>, ReadError> {
        let mut from = 0;
        while let Some(index) = self.catalog.first_within(from, times)? {
            from = index;
            for kept in self.block(index)? {
                if kept.index.0 < index {
                    continue;
                }
                from = kept.index.0.saturating_add(1);
                let time = segment::time_of(&kept.bytes);
                let within = times.earliest <= time && time <= times.latest;
                if within && wanted(&kept)? {
                    return Ok(Some(kept));
                }
            }
            if from == index {
                break;
            }
        }
        Ok(None)
    }

    /// The entries of the block that holds `index`, at most 64; none beyond the end.
    fn block(&self, index: u64) -> Result<Vec<Kept>, ReadError> {
        let Some(segment) = self.catalog.segment_of(index)? else {
            return Ok(Vec::new());
        };
        match block_in(&segment, index) {
            Err(_) if segment.is_told() => match self.catalog.scan_again(&segment)? {
                Some(segment) => block_in(&segment, index),
                None => Ok(Vec::new()),
            },
            outcome => outcome,
        }
    }
}

/// The entries of the block of `segment` that holds `index`.
fn block_in(segment: &Segment, index: u64) -> Result<Vec<Kept>, ReadError> {
    let Some((place, bytes)) = segment.read(index)? else {
        return Ok(Vec::new());
    };
    let mut block = Vec::new();
    let mut rest = bytes.as_slice();
    let mut next = place.first_index;
    while !rest.is_empty() {
        let what = match segment::parse(rest, segment.seed) {
            Parsed::Frame(frame) if frame.index == next => {
                let length = segment::frame_bytes(frame.bytes.len());
                rest = rest.get(length..).unwrap_or_default();
                next = next.saturating_add(1);
                block.push(Kept {
                    index: LogIndex(frame.index),
                    batch: frame.batch,
                    bytes: frame.bytes.to_vec(),
                });
                continue;
            }
            Parsed::Frame(_) => "a frame is not the one that belongs here",
            Parsed::End => "the data end before the last entry",
            Parsed::Bad(what) => what,
        };
        return Err(ReadError::Damaged {
            path: segment.path.clone(),
            offset: place.end.saturating_sub(rest.len() as u64),
            what: what.to_owned(),
        });
    }
    Ok(block)
}

/// What tells a closed segment from any other: the log, and the checksums of its header and of the next one, which covers the
/// root of all that lies before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentMark(pub [u8; Self::BYTES]);

impl SegmentMark {
    /// Its length.
    pub const BYTES: usize = 24;

    pub(super) fn new(own: &Header, next: &Header) -> Self {
        let mut mark = [0; Self::BYTES];
        let bytes = own.log_id.into_bytes().into_iter();
        let bytes = bytes.chain(own.checksum().to_le_bytes());
        let bytes = bytes.chain(next.checksum().to_le_bytes());
        for (place, byte) in mark.iter_mut().zip(bytes) {
            *place = byte;
        }
        Self(mark)
    }
}

/// Which entries a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentSpan {
    /// Index of its first entry.
    pub first: u64,
    /// Index after its last durable entry.
    pub next: u64,
    /// Whether it is written no more.
    pub closed: bool,
    /// Whether its entries were disposed of.
    pub disposed: bool,
    /// The earliest and the latest time of its entries; `None` for the live one and for one without entries.
    pub times: Option<(Timestamp, Timestamp)>,
}

/// A stretch of time that entries are wanted from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Period {
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

impl Period {
    fn times(self) -> Times {
        Times {
            earliest: self.from.map_or(Times::ALL.earliest, Timestamp::micros),
            latest: self
                .until
                .map_or(Times::ALL.latest, |until| until.micros().saturating_sub(1)),
        }
    }
}

struct Forward {
    reader: LogReader,
    next: u64,
    until: u64,
    times: Times,
    block: VecDeque<Kept>,
}

impl Iterator for Forward {
    type Item = Result<Kept, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.until {
            return None;
        }
        if self.block.is_empty() {
            let found = self.reader.catalog.first_within(self.next, self.times);
            match found.and_then(|found| {
                self.next = found
                    .filter(|next| *next < self.until)
                    .unwrap_or(self.until);
                self.reader.block(self.next)
            }) {
                Ok(_) if self.next >= self.until => return None,
                Ok(block) => self.block = block.into(),
                // It went while we were reading.
                Err(ReadError::Disposed { next, .. }) if next > self.next => {
                    self.next = next;
                    return self.next();
                }
                Err(error) => {
                    self.until = 0;
                    return Some(Err(error));
                }
            }
            self.block.retain(|kept| kept.index.0 >= self.next);
        }
        let kept = self.block.pop_front()?;
        self.next = kept.index.0.saturating_add(1);
        Some(Ok(kept))
    }
}

struct Backward {
    reader: LogReader,
    /// All from here on have been given.
    until: u64,
    times: Times,
    block: Vec<Kept>,
}

impl Iterator for Backward {
    type Item = Result<Kept, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.block.is_empty() && self.until > 0 {
            match self.reader.catalog.end_within(self.until, self.times) {
                Ok(end) => self.until = end.unwrap_or(0),
                Err(ReadError::Disposed { first, .. }) if first < self.until => {
                    self.until = first;
                    return self.next();
                }
                Err(error) => {
                    self.until = 0;
                    return Some(Err(error));
                }
            }
        }
        let index = self.until.checked_sub(1)?;
        if self.block.is_empty() {
            match self.reader.block(index) {
                Ok(block) => self.block = block,
                Err(ReadError::Disposed { first, .. }) if first < self.until => {
                    self.until = first;
                    return self.next();
                }
                Err(error) => {
                    self.until = 0;
                    return Some(Err(error));
                }
            }
            self.block.retain(|kept| kept.index.0 <= index);
        }
        let kept = self.block.pop()?;
        self.until = kept.index.0;
        Some(Ok(kept))
    }
}
