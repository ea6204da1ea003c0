//! The one thread that writes: it takes whatever is queued, writes it at once, syncs once, and then wakes every waiter.
//!
//! It never waits for more to come. While it syncs, the next batch gathers by itself.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{oneshot, watch};

use super::catalog::{Blocks, Catalog, Segment};
use super::durable::{self, Disk, DiskError, DiskFile, Step};
use super::error::AppendError;
use super::footing::{Footing, Ground, LOOK_EVERY};
use super::merkle::{self, CompactRange};
use super::queue::{Answer, Queue, Receipts, Taken, Unit};
use super::segment::{self, FRAME_HEADER_BYTES, HEADER_BYTES, Header};
use super::{AtTheDisk, Followers, LogHealth, LogState};

/// The end of a segment that only the log's own last words may use: "log full" fits even when no space is left for another
/// segment. A smaller segment keeps an eighth.
const RESERVE_BYTES: u64 = 64 << 10;
const MICROSECONDS_A_DAY: i64 = 86_400_000_000;
/// How far a write goes on with zeros once it has passed the zeros written before: the file system notes the first use of
/// preallocated space each time in its journal, and overwriting spares that (ext4 with a journal, one at a time: 245 µs
/// instead of 310 µs in the mean, 0.4 ms instead of 1.0 ms at the 99th percentile). To fill a segment at once would hold up
/// its first entries by 140 ms.
const ZEROS_AHEAD_BYTES: u64 = 256 << 10;
/// The buffer is given back when a burst has made it larger than this.
const BUFFER_KEPT_BYTES: usize = 8 << 20;

/// Why a batch was not written.
#[derive(Debug)]
enum Trouble {
    /// It passes: the disk holds what it held before.
    Refused(String),
    /// It doesn't pass: what was durable is not what was written.
    Damaged(String),
    /// Nobody can know what the disk holds.
    Failed(String),
}

impl Trouble {
    /// What waiters are told.
    fn error(&self) -> AppendError {
        match self {
            Self::Refused(why) | Self::Damaged(why) => AppendError::Refused(why.clone()),
            Self::Failed(why) => AppendError::Stopped(why.clone()),
        }
    }
}

impl From<DiskError> for Trouble {
    fn from(error: DiskError) -> Self {
        if error.is_fatal() {
            Self::Failed(error.to_string())
        } else {
            Self::Refused(error.to_string())
        }
    }
}

struct Waiting {
    answer: oneshot::Sender<Answer>,
    entries: usize,
}

/// Where the writer stands.
pub(super) struct Writer {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) directory: PathBuf,
    pub(super) catalog: Arc<Catalog>,
    pub(super) queue: Arc<Queue>,
    pub(super) state: watch::Sender<LogState>,
    pub(super) followers: Followers,
    /// The size of new segments.
    pub(super) segment_bytes: u64,
    /// Of the live segment.
    pub(super) header: Header,
    pub(super) path: PathBuf,
    pub(super) file: Box<dyn DiskFile>,
    /// The space of the live segment.
    pub(super) capacity: u64,
    /// Where the next frame goes.
    pub(super) end: u64,
    pub(super) next_index: u64,
    pub(super) next_batch: u64,
    pub(super) tree: CompactRange,
    /// The tree as it was after the last batch, for whoever signs it.
    pub(super) told_tree: Arc<Mutex<CompactRange>>,
    pub(super) footing: Footing,
    /// The latest day (UTC, days since the epoch) that the live segment has an entry of; `None` while it has none.
    pub(super) day: Option<i64>,
    pub(super) at_the_disk: Arc<AtTheDisk>,
    pub(super) scratch: Scratch,
}

/// How much of a segment of `capacity` bytes is for entries; the rest is kept back.
pub(super) fn usable(capacity: u64) -> u64 {
    capacity.saturating_sub(RESERVE_BYTES.min(capacity / 8))
}

/// The day of a time, UTC.
pub(super) fn day_of(time: i64) -> i64 {
    time.div_euclid(MICROSECONDS_A_DAY)
}

/// What is made anew for each batch.
#[derive(Default)]
pub(super) struct Scratch {
    frames: Vec<u8>,
    waiting: Vec<Waiting>,
    /// Offset and time of each entry.
    notes: Vec<(u64, i64)>,
    /// A write that was refused may have left something up to here; the next one writes over it.
    dirty_until: u64,
    /// Zeros were written up to here.
    zeros_until: u64,
    /// Why a segment that was wanted could not be made.
    roll_refused: Option<String>,
}

/// Refuses all when the thread ends, however it ends: a waiter must never wait for a writer that is gone.
struct LastWord(Arc<Queue>, watch::Sender<LogState>, Arc<AtTheDisk>);

impl Drop for LastWord {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        let why = if failed {
            "its writer has failed"
        } else {
            "it was closed"
        };
        self.0.close(why);
        self.2.set(None);
        self.1.send_if_modified(|state| {
            if matches!(state.health, LogHealth::Failed(_)) {
                return false;
            }
            state.health = if failed {
                LogHealth::Failed(why.to_owned())
            } else {
                LogHealth::Stopped
            };
            true
        });
        self.0.fail(why);
    }
}

impl Writer {
    /// Writes until the queue is closed and empty, or the disk fails.
    pub(super) fn run(mut self) {
        let last_word = LastWord(
            Arc::clone(&self.queue),
            self.state.clone(),
            Arc::clone(&self.at_the_disk),
        );
        let mut units = Vec::new();
        loop {
            self.at_the_disk.set(None);
            let taken = self.queue.take(&mut units, LOOK_EVERY);
            self.at_the_disk.set(Some(Instant::now()));
            let place = (&self.path, &*self.file);
            self.footing.look(&*self.disk, &self.directory, place);
            let outcome = match taken {
                Taken::Units => self.write_units(&mut units),
                Taken::Nothing => self.try_again(),
                Taken::Closed => break,
            };
            match outcome {
                Ok(()) => self.tell(LogHealth::Writing),
                Err(trouble) => {
                    let error = trouble.error();
                    match trouble {
                        Trouble::Refused(why) => self.tell(LogHealth::Refusing(why)),
                        Trouble::Damaged(why) => self.tell(LogHealth::Damaged(why)),
                        Trouble::Failed(why) => {
                            self.footing.failed(&why);
                            self.queue.close(&why);
                            self.tell(LogHealth::Failed(why.clone()));
                            self.refuse(&mut units, &error);
                            self.queue.fail(&why);
                            break;
                        }
                    }
                    self.refuse(&mut units, &error);
                }
            }
        }
        drop(last_word);
    }

    /// Writes `units` in order, in as many batches as there are segments to fill. On firm ground all of them; with little
    /// space the log's own words alone.
    fn write_units(&mut self, units: &mut Vec<Unit>) -> Result<(), Trouble> {
        let shaky = match self.ground() {
            Ok(()) => None,
            Err(trouble) if self.footing.takes_own_words() => Some(trouble),
            Err(trouble) => return Err(trouble),
        };
        let mut rest = std::mem::take(units).into_iter();
        while let Some(unit) = rest.next() {
            if (unit.reserved || self.wants_another_segment(&unit))
                && let Err(trouble) = self.flush()
            {
                // Whoever was taken up is refused as well: its own write failed.
                units.push(unit);
                units.extend(rest);
                return Err(trouble);
            }
            if unit.reserved {
                if shaky.is_none()
                    && self.begins_a_day(&unit)
                    && let Err(trouble @ (Trouble::Failed(_) | Trouble::Damaged(_))) = self.roll()
                {
                    units.push(unit);
                    units.extend(rest);
                    return Err(trouble);
                }
                if let Err(trouble) = self.write_reserved(unit) {
                    units.extend(rest);
                    return Err(trouble);
                }
                continue;
            }
            if let Some(trouble) = &shaky {
                let _ = unit.answer.send(Err(trouble.error()));
                continue;
            }
            let made = if self.wants_another_segment(&unit) {
                self.roll()
            } else {
                Ok(())
            };
            if let Err(trouble) = made {
                let error = trouble.error();
                let _ = unit.answer.send(Err(error.clone()));
                for unit in rest {
                    // No other segment can be made, yet there is room for the log's own words in this one.
                    if unit.reserved && matches!(trouble, Trouble::Refused(_)) {
                        self.write_reserved(unit)?;
                    } else {
                        let _ = unit.answer.send(Err(error.clone()));
                    }
                }
                return Err(trouble);
            }
            self.take_up(unit);
            // Others may have found room in the segment that this is.
            self.scratch.roll_refused = None;
        }
        self.flush()?;
        if let Some(trouble) = shaky {
            return Err(trouble);
        }
        match &self.scratch.roll_refused {
            // Only the log's own words were written.
            Some(why) => Err(Trouble::Refused(why.clone())),
            None => Ok(()),
        }
    }

    /// Whether entries can be written, as the last look found.
    fn ground(&self) -> Result<(), Trouble> {
        match self.footing.ground() {
            Ground::Firm => Ok(()),
            Ground::Low(why) | Ground::Gone(why) => Err(Trouble::Refused(why.clone())),
            Ground::Damaged(why) => Err(Trouble::Damaged(why.clone())),
            Ground::Failed(why) => Err(Trouble::Failed(why.clone())),
        }
    }

    fn take_up(&mut self, unit: Unit) {
        let time = Frames(&unit.frames).map(segment::time_of).next();
        self.day = self.day.max(time.map(day_of));
        self.scratch.frames.extend_from_slice(&unit.frames);
        self.scratch.waiting.push(Waiting {
            answer: unit.answer,
            entries: unit.entries,
        });
    }

    /// Whether `unit` doesn't fit behind what is at hand, or is the first of a new day. A clock that was set back makes no
    /// segments.
    fn wants_another_segment(&self, unit: &Unit) -> bool {
        let held = self.scratch.frames.len().saturating_add(unit.frames.len());
        if self.end.saturating_add(held as u64) > usable(self.capacity) {
            return true;
        }
        self.begins_a_day(unit)
    }

    fn begins_a_day(&self, unit: &Unit) -> bool {
        let time = Frames(&unit.frames).map(segment::time_of).next();
        self.day
            .zip(time)
            .is_some_and(|(day, time)| day_of(time) > day)
    }

    /// Writes what the log says of itself into the live segment, as far as that has room: never into another one, since no
    /// space may be left for it.
    fn write_reserved(&mut self, unit: Unit) -> Result<(), Trouble> {
        self.flush()?;
        let end = self.end.saturating_add(unit.frames.len() as u64);
        if end > self.capacity {
            let why = "what was kept back for it is used up".to_owned();
            let _ = unit.answer.send(Err(AppendError::Refused(why)));
            return Ok(());
        }
        // Where no other segment could be made, what is said on a new day is of this one: the next entry makes another.
        let day = self.day;
        self.take_up(unit);
        self.day = day;
        self.flush()
    }

    /// One write, one sync, then the receipts.
    fn flush(&mut self) -> Result<(), Trouble> {
        if self.scratch.frames.is_empty() {
            return Ok(());
        }
        self.check_linked()?;
        self.seal();
        let length = self.scratch.frames.len();
        let new_end = self.end.saturating_add(length as u64);
        self.scratch.dirty_until = self.scratch.dirty_until.max(new_end);
        if new_end > self.scratch.zeros_until {
            let ahead = new_end.saturating_add(ZEROS_AHEAD_BYTES).min(self.capacity);
            self.scratch.dirty_until = self.scratch.dirty_until.max(ahead);
        }
        self.write_up_to_dirty()?;
        self.file
            .sync_data()
            .map_err(durable::at(Step::Sync, &self.path))?;
        self.scratch.zeros_until = self.scratch.zeros_until.max(self.scratch.dirty_until);
        self.scratch.dirty_until = 0;
        self.scratch.frames.truncate(length);

        let notes = &mut self.scratch.notes;
        self.catalog.live().publish(|blocks| {
            for (offset, time) in notes.drain(..) {
                blocks.note(offset, time);
            }
            blocks.set_end(new_end);
        });
        let mut next = self.next_index;
        for waiting in &self.scratch.waiting {
            next = next.saturating_add(waiting.entries as u64);
        }
        for waiting in self.scratch.waiting.drain(..) {
            let receipts = Receipts::new(self.next_index, waiting.entries);
            self.next_index = self.next_index.saturating_add(waiting.entries as u64);
            // The caller may have hung up; its entry is written all the same.
            let _ = waiting.answer.send(Ok(receipts));
        }
        // The waiters are already on their way while those who follow are told and the tree grows.
        self.state.send_if_modified(|state| {
            state.durable = next;
            // Waking who only wants to know the health would cost a system call for each batch.
            self.followers.any()
        });
        for bytes in Frames(&self.scratch.frames) {
            self.tree.push(merkle::leaf_hash(bytes));
        }
        *self
            .told_tree
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = self.tree.clone();
        self.end = new_end;
        self.next_batch = self.next_batch.saturating_add(1);
        self.clear();
        Ok(())
    }

    /// Gives each frame of the batch its place.
    fn seal(&mut self) {
        let seed = self.header.seed();
        let mut index = self.next_index;
        let mut offset = self.end;
        self.scratch.notes.clear();
        let mut rest = self.scratch.frames.as_mut_slice();
        while let Some(length) = segment::told_length(rest).map(segment::frame_bytes) {
            let Some((frame, after)) = rest.split_at_mut_checked(length) else {
                break;
            };
            segment::seal(frame, seed, index, self.next_batch, after.is_empty());
            let stored = frame.get(FRAME_HEADER_BYTES..).unwrap_or_default();
            self.scratch.notes.push((offset, segment::time_of(stored)));
            index = index.saturating_add(1);
            offset = offset.saturating_add(length as u64);
            rest = after;
        }
    }

    /// Writes the frames at hand, and zeros over what an earlier write may have left behind.
    fn write_up_to_dirty(&mut self) -> Result<(), Trouble> {
        let length = self.scratch.dirty_until.saturating_sub(self.end);
        self.scratch
            .frames
            .resize(usize::try_from(length).unwrap_or(0), 0);
        let written = self.file.write_at(&self.scratch.frames, self.end);
        Ok(written.map_err(durable::at(Step::Write, &self.path))?)
    }

    /// A file that was removed takes writes and syncs without any error.
    fn check_linked(&self) -> Result<(), Trouble> {
        let linked = self
            .file
            .is_linked()
            .map_err(durable::at(Step::Look, &self.path))?;
        if linked {
            return Ok(());
        }
        Err(Trouble::Refused(format!(
            "{} was removed",
            self.path.display()
        )))
    }

    /// Makes the next segment and goes on there.
    fn roll(&mut self) -> Result<(), Trouble> {
        let rolled = self.make_next();
        self.scratch.roll_refused = match &rolled {
            Err(Trouble::Refused(why)) => Some(why.clone()),
            _ => None,
        };
        rolled
    }

    fn make_next(&mut self) -> Result<(), Trouble> {
        self.check_linked()?;
        self.clean_up()?;
        let header = Header {
            first_index: self.next_index,
            previous_first: Some(self.header.first_index),
            first_batch: self.next_batch,
            previous_times: self.catalog.live().blocks(Blocks::times),
            tree: self.tree.clone(),
            log_id: self.header.log_id,
            name: self.header.name.clone(),
        };
        let start = HEADER_BYTES as u64;
        let path = segment::path_of(&self.directory, header.first_index);
        let file = durable::publish_segment(
            &*self.disk,
            &self.directory,
            header.first_index,
            &header.encode(),
            self.segment_bytes,
        )?;
        // The segment is part of the log by now: only a start could tell what to make of a log that goes on in the one before.
        let reading = File::open(&path)
            .map_err(|error| Trouble::Failed(format!("cannot open {}: {error}", path.display())))?;
        let blocks = Blocks::new(header.first_index, start);
        if let Err(error) = self.file.truncate(self.end) {
            // Nothing is lost but space.
            tracing::warn!(%error, segment = %self.path.display(), "the rest of a closed segment was not given back");
        }
        self.catalog
            .roll(Segment::new(path.clone(), header.seed(), reading, blocks));
        self.header = header;
        self.path = path;
        self.file = file;
        self.capacity = self.segment_bytes;
        self.end = start;
        self.day = None;
        self.scratch.zeros_until = 0;
        Ok(())
    }

    /// Does what was refused once more, so that service resumes without anybody having to append first.
    fn try_again(&mut self) -> Result<(), Trouble> {
        self.ground()?;
        if self.scratch.roll_refused.is_some() {
            return self.roll();
        }
        self.check_linked()?;
        self.clean_up()
    }

    /// Writes zeros over what a refused write may have left behind; no frames are at hand.
    fn clean_up(&mut self) -> Result<(), Trouble> {
        if self.scratch.dirty_until <= self.end {
            return Ok(());
        }
        self.write_up_to_dirty()?;
        self.scratch.frames.clear();
        Ok(())
    }

    /// Refuses the batch at hand and `units`.
    fn refuse(&mut self, units: &mut Vec<Unit>, why: &AppendError) {
        let batch = self.scratch.waiting.drain(..).map(|waiting| waiting.answer);
        for answer in batch.chain(units.drain(..).map(|unit| unit.answer)) {
            let _ = answer.send(Err(why.clone()));
        }
        self.clear();
    }

    fn clear(&mut self) {
        self.scratch.frames.clear();
        self.scratch.frames.shrink_to(BUFFER_KEPT_BYTES);
        self.scratch.notes.clear();
    }

    fn tell(&self, health: LogHealth) {
        self.state.send_if_modified(|state| {
            let warning = self.footing.warning();
            let changed = state.health != health || state.warning.as_ref() != warning;
            state.health = health;
            state.warning = warning.cloned();
            changed
        });
    }
}

/// The stored bytes of frames that were just sealed.
struct Frames<'a>(&'a [u8]);

impl<'a> Iterator for Frames<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let length = segment::told_length(self.0)?;
        let (frame, after) = self.0.split_at_checked(segment::frame_bytes(length))?;
        self.0 = after;
        frame.get(FRAME_HEADER_BYTES..)?.get(..length)
    }
}
