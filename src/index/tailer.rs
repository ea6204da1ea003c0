//! The thread that follows the log. It takes a few entries at a time, the newest segment before the others, and never waits
//! for anything that a check could need.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::part::Part;
use super::{IndexError, Opener, Shared};
use crate::domain::ids::LogIndex;
use crate::log::{LogReader, SegmentSpan};
use crate::proto::StoredEntry;

/// How many entries are read before anything else is looked at.
pub(super) const BATCH_ENTRIES: u64 = 4_096;
/// How many are added to the live segment's part while searches in it wait (about a millisecond).
const ADD_ENTRIES: u64 = 256;
/// How often the log is looked at when there was nothing new.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often the sidecars are.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// How long what failed is left alone.
const PAUSE: Duration = Duration::from_secs(10);
/// How much the thread stands back where others want the processor (`nice`).
const STAND_BACK: i32 = 10;

pub(super) struct Tailer {
    shared: Arc<Shared>,
    opener: Opener,
    /// Of a closed segment without a sidecar, as far as it has been read.
    building: Option<Part>,
    /// Of what is in memory: `building`, and the live segment's part. `None` before anything is.
    age: Option<u64>,
    /// When the sidecars were looked at last, and which segments had none.
    checked: Option<Instant>,
    missing: Vec<SegmentSpan>,
    /// Segments that can't be read, and when that was found.
    unreadable: HashMap<u64, Instant>,
    /// When sidecars could not be written last.
    unwritable: Option<Instant>,
}

impl Tailer {
    pub(super) fn new(shared: Arc<Shared>, opener: Opener) -> Self {
        Self {
            shared,
            opener,
            building: None,
            age: None,
            checked: None,
            missing: Vec::new(),
            unreadable: HashMap::new(),
            unwritable: None,
        }
    }

    /// Follows until it is told to stop.
    pub(super) fn run(mut self) {
        // Of this thread alone, as Linux has it. Without it the index only competes more.
        let _ = rustix::process::nice(STAND_BACK);
        while !self.is_stopped(Duration::ZERO) {
            let progress = match self.step() {
                Ok(progress) => progress,
                Err(error) => {
                    self.shared.shelf.trouble(&error.to_string());
                    false
                }
            };
            if !progress && self.is_stopped(LOOK_EVERY) {
                break;
            }
        }
    }

    /// Waits for as long as that, unless it is told to stop.
    fn is_stopped(&self, wait: Duration) -> bool {
        let stop = self
            .shared
            .stop
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if wait.is_zero() || *stop {
            return *stop;
        }
        let waited = self.shared.stopped.wait_timeout(stop, wait);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Does one thing; false when there is nothing to do.
    fn step(&mut self) -> Result<bool, IndexError> {
        let spans = self.shared.reader.readable_segments();
        let age = self.shared.age.load(Ordering::SeqCst);
        if Some(age) != self.age {
            self.begin(spans.last().map_or(0, |newest| newest.first));
            (self.age, self.building, self.checked) = (Some(age), None, None);
        }
        if self.follow(&spans)? {
            return Ok(true);
        }
        let due = self
            .checked
            .is_none_or(|checked| checked.elapsed() >= CHECK_EVERY);
        if due {
            self.check(&spans);
        }
        self.build()
    }

    /// Takes up what is new in the segment that is live, or was a moment ago.
    fn follow(&mut self, spans: &[SegmentSpan]) -> Result<bool, IndexError> {
        let (first, next) = self.shared.live(|live| (live.first(), live.next()));
        let Some(newest) = spans.last() else {
            return Ok(false);
        };
        let Some(span) = spans.iter().find(|span| span.first == first) else {
            self.begin(newest.first);
            return Ok(true);
        };
        if next < span.next && !is_recent(self.unreadable.get(&first)) {
            let mut entries = Vec::new();
            let (reader, opener) = (&self.shared.reader, &self.opener);
            let done = read(reader, opener, next..span.next, ADD_ENTRIES, |entry| {
                entries.push(entry);
            });
            {
                let live = &self.shared.live;
                let mut live = live.write().unwrap_or_else(PoisonError::into_inner);
                entries.iter().for_each(|entry| live.add(entry.as_ref()));
            }
            done.inspect_err(|_| self.give_up(first))?;
            return Ok(!entries.is_empty());
        }
        if !span.closed {
            return Ok(false);
        }
        // It has closed, and a newer one is live.
        let whole = next == span.next;
        let written = if whole && !is_recent(self.unwritable.as_ref()) {
            self.shared.live(|live| self.put(live))
        } else {
            Ok(())
        };
        self.begin(newest.first);
        self.checked = None;
        written.inspect_err(|_| self.unwritable = Some(Instant::now()))?;
        Ok(true)
    }

    fn begin(&self, first: u64) {
        let keys_destroyed = match self.opener.keys_destroyed() {
            Ok(count) => Some(count),
            // It is searched, and not kept: a sidecar is made of the segment later.
            Err(error) => {
                self.shared.shelf.trouble(&error.to_string());
                None
            }
        };
        *self
            .shared
            .live
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Part::new(first, keys_destroyed);
    }

    fn give_up(&mut self, first: u64) {
        self.unreadable.insert(first, Instant::now());
    }

    /// Finds out which closed segments have no sidecar, and removes the sidecars that have no segment.
    fn check(&mut self, spans: &[SegmentSpan]) {
        self.checked = Some(Instant::now());
        let shelf = &self.shared.shelf;
        self.missing = spans
            .iter()
            .filter(|span| span.closed && !shelf.has(span.first))
            .copied()
            .collect();
        let missing = &self.missing;
        self.unreadable
            .retain(|first, _| spans.iter().any(|span| span.first == *first));
        if let Some(building) = &self.building
            && !missing.iter().any(|span| span.first == building.first())
        {
            self.building = None;
        }
        self.tell_missing();
        if missing.is_empty() {
            match shelf.tidy() {
                Ok(()) => shelf.mended(),
                Err(error) => shelf.trouble(&error.to_string()),
            }
        }
    }

    /// Makes a sidecar, unless what it would be made of is gone or to be read anew: the next check finds out.
    fn put(&self, part: &Part) -> Result<(), IndexError> {
        let shelf = &self.shared.shelf;
        shelf.check_writable()?;
        shelf.put(part, &self.opener).map(drop)
    }

    fn tell_missing(&self) {
        let entries = |span: &SegmentSpan| span.next.saturating_sub(span.first);
        let missing = self.missing.iter().map(entries);
        let missing = missing.fold(0, u64::saturating_add);
        self.shared.missing.store(missing, Ordering::Relaxed);
    }

    /// Reads on in the newest segment that has no sidecar, and makes it when that has been read to its end.
    fn build(&mut self) -> Result<bool, IndexError> {
        if is_recent(self.unwritable.as_ref()) {
            return Ok(false);
        }
        let unreadable = &self.unreadable;
        let Some(span) = self
            .missing
            .iter()
            .rfind(|span| !is_recent(unreadable.get(&span.first)))
            .copied()
        else {
            return Ok(false);
        };
        if self
            .building
            .as_ref()
            .is_none_or(|part| part.first() != span.first)
        {
            let writable = self.shared.shelf.check_writable();
            writable.inspect_err(|_| self.unwritable = Some(Instant::now()))?;
        }
        let building = self
            .building
            .take()
            .filter(|part| part.first() == span.first);
        let mut part = match building {
            Some(part) => part,
            None => {
                let keys_destroyed = self.opener.keys_destroyed();
                let keys_destroyed =
                    keys_destroyed.inspect_err(|_| self.unwritable = Some(Instant::now()))?;
                Part::new(span.first, Some(keys_destroyed))
            }
        };
        let begin = part.next();
        let (reader, opener) = (&self.shared.reader, &self.opener);
        read(reader, opener, begin..span.next, BATCH_ENTRIES, |entry| {
            part.add(entry.as_ref());
        })
        .inspect_err(|_| self.give_up(span.first))?;
        if part.next() == begin && begin < span.next {
            // Gone meanwhile.
            self.checked = None;
            return Ok(false);
        }
        if part.next() < span.next {
            self.building = Some(part);
            return Ok(true);
        }
        self.put(&part)
            .inspect_err(|_| self.unwritable = Some(Instant::now()))?;
        self.missing.retain(|other| other.first != span.first);
        self.tell_missing();
        if self.missing.is_empty() {
            self.checked = None;
        }
        Ok(true)
    }
}

fn is_recent(at: Option<&Instant>) -> bool {
    at.is_some_and(|at| at.elapsed() < PAUSE)
}

/// Takes the next entries from `from` on and below `until`, not more than `count`.
///
/// # Errors
/// When one can't be read; those before it were taken.
pub(super) fn read(
    reader: &LogReader,
    opener: &Opener,
    range: Range<u64>,
    count: u64,
    mut take: impl FnMut(Option<StoredEntry>),
) -> Result<(), IndexError> {
    let count = count.min(range.end.saturating_sub(range.start));
    let entries = reader.forward(LogIndex(range.start));
    for (expected, kept) in range.zip(entries.take(usize::try_from(count).unwrap_or(0))) {
        let kept = kept?;
        // Behind a segment that is gone.
        if kept.index.0 != expected {
            break;
        }
        take(opener.open(&kept));
    }
    Ok(())
}
