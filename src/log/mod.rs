//! The access log: an append-only directory of segments. An entry that has a [`Receipt`] is on the disk, and an answer can
//! only be built from a receipt.
//!
//! One thread writes; a queue that is bounded stands before it; readers see what is durable. From the first entry on, every
//! entry is a leaf of an RFC 6962 tree over the stored bytes, whose state each segment's header carries.
//!
//! | file | job |
//! |---|---|
//! | `segment` | the bytes: header and frame |
//! | `durable` | all that is written to the file system, and in which order |
//! | `evidence` | checkpoints and proofs for those who don't trust the daemon |
//! | `cosigned` | the newest checkpoint that witnesses signed too |
//! | `keeper` | reads back, keeps the tree's hashes, signs checkpoints |
//! | `note` | checkpoints as signed notes |
//! | `note_key` | the keys that sign and verify them |
//! | `footing` | is the segment still there, and how much space is left |
//! | `queue` | from callers to the writer; what callers wait on |
//! | `writer` | the thread: batch, write, sync, wake |
//! | `open` | take up, mend a torn tail, refuse damage |
//! | `scan` | walk a segment; torn or damaged? |
//! | `catalog` | where entries lie |
//! | `table` | where the entries of a closed segment lie, for others to keep |
//! | `merkle` | leaf hashes and the tree |
//! | `snapshot` | what a whole copy is made of, while the writer goes on |
//! | `tree` | the tree's hashes as files |
//! | `proof` | that an entry is in the log, that an older log is a prefix |
//! | `verify` | a log from its bytes alone |
//! | `tiles` | a log as files for others' tools |
//! | `dispose` | takes out what was kept long enough |
//! | `sidecars` | has what the index tells of it go too |
//! | `read` | by index, forward, backward, by time, by decision |
//!
//! What this room never does: give a receipt for an entry that was not synced; retry a sync that failed; change an entry or
//! cut the log (a torn tail is kept aside first; what was kept long enough goes as whole segments, and leaves its hashes); decide what goes into an entry; read a clock for an entry's time.

mod catalog;
mod cosigned;
mod dispose;
mod durable;
mod error;
mod evidence;
mod footing;
mod keeper;
mod merkle;
mod note;
mod note_key;
mod open;
mod proof;
mod queue;
mod read;
mod scan;
mod segment;
mod sidecars;
mod snapshot;
mod table;
#[cfg(test)]
mod tests;
mod tiles;
mod tree;
mod verify;
mod writer;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;

pub use cosigned::CosignError;
pub use dispose::{Disposal, DisposeError, DisposedSegment};
pub use error::{AppendError, OpenError, ReadError};
pub use evidence::ConsistencyProof;
pub use footing::SpaceTiers;
pub use keeper::Signed;
pub use merkle::leaf_hash;
pub(crate) use note::decimal;
pub use note::{
    Checkpoint, NoteError, NoteSignature, SignedNote, SigningKey, VerifierKey, cosigned,
};
pub use proof::{InclusionProof, ProofError, verify_consistency, verify_inclusion};
pub use queue::{Appending, Receipt, Receipts};
pub use read::{Kept, LogReader, Period, SegmentMark, SegmentSpan};
pub use sidecars::{SidecarLock, SidecarLockError};
pub use snapshot::{CHECKPOINT, COSIGNED, Part, Snapshot, snapshot};
pub use table::BlockTables;
pub use tiles::{ExportError, export as export_tiles};
pub use verify::{
    DisposedRange, Finding, Progress, Verified, VerifyError, VerifyOptions, Wrong, verify,
};

use crate::proto::StoredEntry;
use catalog::Catalog;
use durable::{Disk, Lock, RealDisk};
use evidence::Evidence;
use keeper::Bell;
use queue::Queue;
use zeroize::Zeroizing;

/// Where a log is and how much it takes.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// The directory of the segments; nothing else belongs there.
    pub directory: PathBuf,
    /// Size of a segment, preallocated; at least 8 KiB. It bounds what one append may bring (at most 64 MiB).
    pub segment_bytes: u64,
    /// The most entries that wait to be written; together they take at most 64 MiB. It bounds one append too.
    pub queue_entries: usize,
    /// How long an append waits for the disk; at most a day.
    pub deadline: Duration,
    /// When operators are warned of little space, and when nothing is written any more.
    pub space: SpaceTiers,
    /// How often one of the closed segments is read to its end: what nobody reads would rot unnoticed.
    pub scrub_every: Duration,
    /// Signs the log's checkpoints: an Ed25519 seed (RFC 8032) that is kept elsewhere.
    pub signing_seed: SigningSeed,
}

/// The seed of the key that signs a log's checkpoints. Wiped when dropped; not printed.
#[derive(Clone)]
pub struct SigningSeed(Zeroizing<[u8; 32]>);

impl SigningSeed {
    /// From its bytes.
    #[must_use]
    pub fn new(seed: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*seed))
    }
}

impl std::fmt::Debug for SigningSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningSeed")
    }
}

impl LogConfig {
    /// A log in `directory`: segments of 64 MiB, 16,384 entries in the queue, a deadline of 2 s, a warning below 1 GiB of free
    /// space, nothing written below 128 MiB, a closed segment read every 30 s.
    #[must_use]
    pub fn new(directory: PathBuf, signing_seed: SigningSeed) -> Self {
        Self {
            directory,
            segment_bytes: 64 << 20,
            queue_entries: 16_384,
            deadline: Duration::from_secs(2),
            space: SpaceTiers {
                warn_below: 1 << 30,
                refuse_below: 128 << 20,
            },
            scrub_every: Duration::from_secs(30),
            signing_seed,
        }
    }
}

/// A log that was opened, and what was found.
#[derive(Debug)]
pub struct Opened {
    /// The log.
    pub log: AccessLog,
    /// Whether there was none before.
    pub created: bool,
    /// What stops left half written and no entry says yet: what the last one left, and what was found by starts that ended
    /// before they wrote anything. No one had an answer from it; the first entry that is written should say so.
    pub torn_tails: Vec<TornTail>,
}

/// Bytes after the last whole batch, taken out of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// The segment they were in.
    pub segment: PathBuf,
    /// Where they started, bytes from the segment's start.
    pub offset: u64,
    /// How many, up to the last that was not zero; never 0.
    pub bytes: u64,
    /// The file they were kept in.
    pub kept_in: PathBuf,
}

/// How the log is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogState {
    /// How many entries are durable: every index below this can be read.
    pub durable: u64,
    /// Whether it can be written.
    pub health: LogHealth,
    /// What operators should know although it is written: space is running out.
    pub warning: Option<String>,
}

/// Since when the writer has been at the disk; `None` while it waits for work.
#[derive(Debug, Default)]
struct AtTheDisk(Mutex<Option<Instant>>);

impl AtTheDisk {
    fn set(&self, at: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    fn for_how_long(&self) -> Option<Duration> {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.map(|since| since.elapsed())
    }
}

/// Whether the log can be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogHealth {
    /// It can.
    Writing,
    /// The disk is full, read-only, gone or silent, as the text says. It is tried again with each append, and four times a second
    /// without.
    Refusing(String),
    /// What was durable is not what was written, as the text says. Nothing is written but what the log has to say of it, until
    /// an operator has mended it and started anew.
    Damaged(String),
    /// What the disk holds is not known any more (a sync failed, as the text says). The process must exit with code 74; the
    /// next start finds out.
    Failed(String),
    /// It was closed.
    Stopped,
}

/// Follows the log as it grows.
#[derive(Debug)]
pub struct Follower {
    state: watch::Receiver<LogState>,
    _counted: Counted,
}

impl Follower {
    /// How many entries are durable.
    pub fn durable(&mut self) -> u64 {
        self.state.borrow_and_update().durable
    }

    /// Waits for news; false when there will be none any more.
    pub async fn more(&mut self) -> bool {
        self.state.changed().await.is_ok()
    }
}

/// How many follow the log.
#[derive(Debug, Clone, Default)]
struct Followers(Arc<AtomicUsize>);

impl Followers {
    fn any(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }

    fn count(&self) -> Counted {
        self.0.fetch_add(1, Ordering::AcqRel);
        Counted(self.clone())
    }
}

/// One of them; gone when dropped.
#[derive(Debug)]
struct Counted(Followers);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The access log, open for writing. Cheap to clone; the last one dropped closes it.
#[derive(Debug, Clone)]
pub struct AccessLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    disk: Arc<dyn Disk>,
    catalog: Arc<Catalog>,
    queue: Arc<Queue>,
    state: watch::Sender<LogState>,
    followers: Followers,
    evidence: Evidence,
    at_the_disk: Arc<AtTheDisk>,
    deadline: Duration,
    running: Mutex<Option<Running>>,
}

/// The threads, and the lock that is held for as long as they may write.
#[derive(Debug)]
struct Running {
    writer: JoinHandle<()>,
    keeper: JoinHandle<()>,
    bell: Arc<Bell>,
    _lock: Lock,
}

impl AccessLog {
    /// Opens the log in a directory, or makes it when the directory is missing or empty. Reads the whole last segment and all
    /// headers, so it blocks for as long as that takes. `name` is used for a new log only: 1 to 128 bytes.
    ///
    /// # Errors
    /// When the log is in use, damaged anywhere but in the last batch, or the directory can't be written to.
    pub fn open(config: LogConfig, name: &str) -> Result<Opened, OpenError> {
        open::open(Arc::new(RealDisk), &config, name)
    }

    /// Queues `entries` as one unit: they are durable all or not at all, with consecutive indexes. Never blocks on the disk.
    ///
    /// Once this returned `Ok`, the entries are written even when the [`Appending`] is dropped. A caller MUST NOT answer
    /// before it has resolved to receipts.
    ///
    /// # Errors
    /// At once when the queue is full, the log has stopped, there are no entries, one is empty or over 65,535 bytes, or all
    /// together are more than a segment holds. Nothing was queued then.
    pub fn append(&self, entries: &[StoredEntry]) -> Result<Appending, AppendError> {
        self.shared.queue.push(entries, false)
    }

    /// As [`Self::append`], for what the log itself has to say ("log full"): written also when the queue is full or space is
    /// short, into the end of the segment, which is kept back for that. 64 KiB, so use it seldom.
    ///
    /// # Errors
    /// As for [`Self::append`]; the [`Appending`] resolves to `Refused` when what was kept back is used up, or the segment is
    /// gone or read-only.
    pub fn append_reserved(&self, entries: &[StoredEntry]) -> Result<Appending, AppendError> {
        self.shared.queue.push(entries, true)
    }

    /// The name that the log was given when it was made.
    #[must_use]
    pub fn name(&self) -> &str {
        self.shared.catalog.name()
    }

    /// How many entries are durable.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.shared.catalog.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it can be written now. Unlike [`Self::watch`] it also tells of a disk that does not answer: nobody can be told
    /// while the writer waits for it, and whoever appends is refused when the deadline is over.
    #[must_use]
    pub fn health(&self) -> LogHealth {
        let health = self.shared.state.borrow().health.clone();
        let waited = self.shared.at_the_disk.for_how_long();
        match waited.filter(|waited| *waited > self.shared.deadline) {
            Some(waited) if health == LogHealth::Writing => LogHealth::Refusing(format!(
                "the disk has not answered for {} s",
                waited.as_secs()
            )),
            _ => health,
        }
    }

    /// Tells of each change of health; what it says of the length is as new as the look, but no news of it is told.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<LogState> {
        self.shared.state.subscribe()
    }

    /// Tells of each batch that became durable, too. Each batch costs a wake-up for as long as this lives.
    #[must_use]
    pub fn follow(&self) -> Follower {
        Follower {
            state: self.shared.state.subscribe(),
            _counted: self.shared.followers.count(),
        }
    }

    /// Reads what is durable, also what becomes so later.
    #[must_use]
    pub fn reader(&self) -> LogReader {
        LogReader::new(Arc::clone(&self.shared.catalog))
    }

    /// Refuses further appends, writes what is queued, syncs, and gives the lock back. Blocks for as long as that takes; when
    /// called again, it waits for the first to be done.
    pub fn close(&self) {
        self.shared.close();
    }
}

impl Shared {
    fn close(&self) {
        self.queue.close("it was closed");
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = running.take() {
            // A panic of the writer has been told as a failed state already.
            let _ = running.writer.join();
            // Only now: its last checkpoint is of all that was written.
            running.bell.ring();
            let _ = running.keeper.join();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close();
    }
}
