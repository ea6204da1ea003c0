//! The bounded queue between those who append and the one writer, and what they wait on.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use prost::Message as _;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

use super::error::AppendError;
use super::segment::{self, ENTRY_MAX_BYTES};
use crate::domain::ids::LogIndex;
use crate::proto::StoredEntry;

/// The most bytes that wait in the queue, and the most that one append may bring.
const QUEUE_BYTES: usize = 64 << 20;
/// An entry with its frame rarely takes more.
const USUAL_BYTES: usize = 640;
/// About how much is written at once: it bounds the writer's buffer and how long the first of a batch waits for the last.
const BATCH_BYTES: usize = 4 << 20;

/// A longer deadline is shortened to this.
const DEADLINE_MAX: Duration = Duration::from_hours(24);

/// Proof that an entry is durable: made by the writer alone, after `fdatasync`. An answer can only be built from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    index: LogIndex,
}

impl Receipt {
    /// Where the entry lies in the log.
    #[must_use]
    pub fn index(&self) -> LogIndex {
        self.index
    }
}

/// One [`Receipt`] for each entry of an append, in their order; at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipts {
    first: u64,
    count: usize,
}

impl Receipts {
    /// For the writer, after it synced.
    pub(super) fn new(first: u64, count: usize) -> Self {
        Self { first, count }
    }

    /// That of the first entry.
    #[must_use]
    pub fn first(&self) -> Receipt {
        Receipt {
            index: LogIndex(self.first),
        }
    }

    /// In the order of the entries; their indexes are consecutive.
    pub fn iter(&self) -> impl Iterator<Item = Receipt> + use<> {
        (self.first..).take(self.count).map(|index| Receipt {
            index: LogIndex(index),
        })
    }

    /// How many entries there were.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Never: an append has at least one entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// The wait for an append to become durable.
///
/// Dropping it takes nothing back: the entries are written all the same. It resolves to [`AppendError::Deadline`] once the
/// log's deadline has passed since the append; the entries may still be written then. Poll it within a tokio runtime that
/// has its timer enabled.
#[derive(Debug)]
#[must_use = "an append is durable only once this has resolved"]
pub struct Appending {
    answer: oneshot::Receiver<Answer>,
    deadline: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Future for Appending {
    type Output = Result<Receipts, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(answer) = Pin::new(&mut self.answer).poll(context) {
            return Poll::Ready(
                answer
                    .unwrap_or_else(|_| Err(AppendError::Stopped("its writer is gone".to_owned()))),
            );
        }
        let deadline = self.deadline;
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        sleep
            .as_mut()
            .poll(context)
            .map(|()| Err(AppendError::Deadline))
    }
}

impl Appending {
    /// Waits for as long as it takes: for what must know whether the entries were written. The log's own writer resolves it
    /// in any case, also when it fails or stops.
    ///
    /// # Errors
    /// As the log says it; never [`AppendError::Deadline`].
    pub async fn without_deadline(self) -> Result<Receipts, AppendError> {
        self.answer
            .await
            .unwrap_or_else(|_| Err(AppendError::Stopped("its writer is gone".to_owned())))
    }
}

pub(super) type Answer = Result<Receipts, AppendError>;

/// The entries of one append: framed, but for index, batch and checksum.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) frames: Vec<u8>,
    pub(super) entries: usize,
    /// Whether it may use what is kept back for the log's last words.
    pub(super) reserved: bool,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// What the writer finds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Units,
    /// The patience ended first.
    Nothing,
    /// Closed, and all that was queued has been taken.
    Closed,
}

#[derive(Debug, Default)]
struct State {
    units: VecDeque<Unit>,
    entries: usize,
    bytes: usize,
    /// Why nothing more is taken in.
    closed: Option<String>,
    /// Waking a thread that doesn't sleep is a system call for nothing.
    writer_sleeps: bool,
}

/// Appends in the order in which they came.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    news: Condvar,
    entries_max: usize,
    unit_bytes_max: usize,
    deadline: Duration,
}

impl Queue {
    pub(super) fn new(entries_max: usize, unit_bytes_max: usize, deadline: Duration) -> Self {
        Self {
            state: Mutex::default(),
            news: Condvar::new(),
            entries_max,
            unit_bytes_max: unit_bytes_max.min(QUEUE_BYTES),
            deadline: deadline.min(DEADLINE_MAX),
        }
    }

    /// Encodes in the caller's time, so that the writer's is spent on what only it can do.
    pub(super) fn push(
        &self,
        entries: &[StoredEntry],
        reserved: bool,
    ) -> Result<Appending, AppendError> {
        let frames = self.encode(entries)?;
        let (answer, receiver) = oneshot::channel();
        let unit = Unit {
            frames,
            entries: entries.len(),
            reserved,
            answer,
        };
        let mut state = self.state();
        if let Some(why) = &state.closed {
            return Err(AppendError::Stopped(why.clone()));
        }
        let entries = state.entries.saturating_add(unit.entries);
        let bytes = state.bytes.saturating_add(unit.frames.len());
        let full = entries > self.entries_max || bytes > QUEUE_BYTES;
        if full && !reserved {
            return Err(AppendError::QueueFull);
        }
        state.entries = entries;
        state.bytes = bytes;
        state.units.push_back(unit);
        let wake = std::mem::take(&mut state.writer_sleeps);
        drop(state);
        if wake {
            self.news.notify_one();
        }
        Ok(Appending {
            answer: receiver,
            deadline: Instant::now() + self.deadline,
            sleep: None,
        })
    }

    fn encode(&self, entries: &[StoredEntry]) -> Result<Vec<u8>, AppendError> {
        // Room for a usual entry; the length is known once it is written, so nothing is measured twice.
        let mut frames = Vec::with_capacity(entries.len().saturating_mul(USUAL_BYTES));
        for entry in entries {
            let start = frames.len();
            segment::start_frame(&mut frames, 0);
            let stored = frames.len();
            let enough = |_| AppendError::TooLarge { bytes: usize::MAX };
            entry.encode(&mut frames).map_err(enough)?;
            let bytes = frames.len().saturating_sub(stored);
            if bytes == 0 {
                return Err(AppendError::Empty);
            }
            let length = u16::try_from(bytes)
                .ok()
                .filter(|_| bytes <= ENTRY_MAX_BYTES)
                .ok_or(AppendError::TooLarge { bytes })?;
            segment::tell_length(frames.get_mut(start..).unwrap_or_default(), length);
            segment::pad(&mut frames);
            if frames.len() > self.unit_bytes_max {
                return Err(AppendError::TooLarge {
                    bytes: frames.len(),
                });
            }
        }
        if frames.is_empty() {
            return Err(AppendError::Empty);
        }
        Ok(frames)
    }

    /// Moves what is queued, up to about [`BATCH_BYTES`], to the end of `units`. Sleeps while there is nothing, for as long
    /// as `patience`.
    pub(super) fn take(&self, units: &mut Vec<Unit>, patience: Duration) -> Taken {
        let mut state = self.state();
        let mut patient = true;
        while state.units.is_empty() {
            if state.closed.is_some() {
                return Taken::Closed;
            }
            if !patient {
                return Taken::Nothing;
            }
            state.writer_sleeps = true;
            patient = false;
            let woken = self.news.wait_timeout(state, patience);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
            state.writer_sleeps = false;
        }
        let mut bytes = 0_usize;
        while bytes < BATCH_BYTES {
            let Some(unit) = state.units.pop_front() else {
                break;
            };
            bytes = bytes.saturating_add(unit.frames.len());
            state.entries = state.entries.saturating_sub(unit.entries);
            units.push(unit);
        }
        state.bytes = state.bytes.saturating_sub(bytes);
        Taken::Units
    }

    /// Takes nothing in any more; the writer is woken to write the rest.
    pub(super) fn close(&self, why: &str) {
        self.state().closed.get_or_insert_with(|| why.to_owned());
        self.news.notify_all();
    }

    /// Takes nothing in any more and refuses what is queued. The first reason given stays.
    pub(super) fn fail(&self, why: &str) {
        let units = {
            let mut state = self.state();
            state.closed.get_or_insert_with(|| why.to_owned());
            state.entries = 0;
            state.bytes = 0;
            std::mem::take(&mut state.units)
        };
        for unit in units {
            // Nobody may be waiting any more.
            let _ = unit.answer.send(Err(AppendError::Stopped(why.to_owned())));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Queue {
    /// How many entries the writer has yet to take.
    pub(super) fn waits(&self) -> usize {
        self.state().entries
    }
}
