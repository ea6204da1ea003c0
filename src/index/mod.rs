//! The index of the access log: which entries may have a value in a field. It can be made anew from the log at any time.
//!
//! It only narrows. Whoever searches reads each candidate from the log and judges it; a collision of keys brings an entry too
//! many, and a part of the index that is missing, damaged, of another version or of another segment is not used: then all
//! entries of that segment are candidates. So nothing that is wrong here shows or hides an entry.
//!
//! Each closed segment `NNN.segment` has a sidecar `NNN.index` in a directory of its own; of the live one the same is kept in
//! memory. A thread of low priority follows the log, and makes a sidecar when a segment has closed, when one is missing or
//! unfit, and removes those of segments that are gone. Checks neither wait for it nor know of it.
//!
//! | file | job |
//! |---|---|
//! | `key` | what an entry is found by, in 64 bits each |
//! | `postings` | positions within a segment: packed, and as sets |
//! | `part` | a segment's index in memory |
//! | `sidecar`, `pages` | the same as a file, whose every page is checked when it is read |
//! | `shelf` | the directory of sidecars |
//! | `tailer` | the thread |
//! | `walk` | the candidates of a query in the log's order |
//! | `rebuild` | all sidecars anew |
//!
//! Bounds: a sidecar takes about 35 bytes for each entry of 300 to 450 bytes. In memory are the live segment's part (about a
//! fifth of what the segment has filled; one and a half times as much if every entry listed a thousand people never seen
//! before), as much again while a sidecar is made, what it takes to find something in a sidecar (32 MiB at most for all of
//! them; 0.1 % of their size), and for each segment 100 bytes.
//!
//! What this room never does: judge an entry; hold up the log; end the daemon, whatever fails; take the space that the log
//! needs for its next segments.

mod key;
mod pages;
mod part;
mod postings;
mod rebuild;
mod shelf;
mod sidecar;
mod tailer;
#[cfg(test)]
mod tests;
mod walk;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use std::sync::atomic::{AtomicU64, Ordering};

pub use key::{Condition, Query};
pub use rebuild::{Progress, Rebuilt, rebuild};
pub use walk::{Order, Walk};

use crate::domain::ids::LogIndex;
use crate::files::FileError;
use crate::log::{BlockTables, Kept, LogReader, ReadError, SidecarLockError};
use crate::proto::StoredEntry;
use crate::vitals::{Metric, Vitals};
use part::Part;
use shelf::Shelf;
use tailer::Tailer;

/// Gives entries in the clear, as those who search see them.
pub trait Open: Send + Sync {
    /// The entry; one that it can't give is a candidate of every query. Blocks on the disk.
    fn open(&self, kept: &Kept) -> Option<StoredEntry>;

    /// How many of the keys that entries are opened with were destroyed, by whatever process. MUST rise, durably, before a key
    /// is gone; and what is opened after a call MUST NOT be opened by a key that was destroyed before it. Reads a directory.
    ///
    /// # Errors
    /// When nobody can tell: then no sidecar is made.
    fn keys_destroyed(&self) -> Result<u64, FileError>;
}

/// Opens entries, shared.
pub type Opener = Arc<dyn Open>;

/// Something that opens entries without keys.
impl<F: Fn(&Kept) -> Option<StoredEntry> + Send + Sync> Open for F {
    fn open(&self, kept: &Kept) -> Option<StoredEntry> {
        self(kept)
    }

    fn keys_destroyed(&self) -> Result<u64, FileError> {
        Ok(0)
    }
}

/// Opens entries of which nothing is sealed as a whole.
#[must_use]
pub fn plain() -> Opener {
    Arc::new(|kept: &Kept| kept.entry().ok())
}

/// Why a part of the index was not made or not used. The operator's to mend; searches are slower until then.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The log can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file or the directory can't be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A sidecar is not what it should be.
    #[error("{}: {what}", path.display())]
    Unfit {
        /// The sidecar.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A sidecar or the directory can't be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// As the system says it.
        source: std::io::Error,
    },
    /// The free space is left to the log.
    #[error("{}: {free} bytes are free, which the access log needs", path.display())]
    NoSpace {
        /// The directory.
        path: PathBuf,
        /// How many bytes are free.
        free: u64,
    },
    /// Another process is writing sidecars and doesn't come to an end.
    #[error("{}: another process is writing there", path.display())]
    Busy {
        /// The directory.
        path: PathBuf,
    },
}

impl From<SidecarLockError> for IndexError {
    fn from(error: SidecarLockError) -> Self {
        match error {
            SidecarLockError::File(error) => Self::File(error),
            SidecarLockError::Io { path, source } => Self::Io { path, source },
            SidecarLockError::Busy { path } => Self::Busy { path },
        }
    }
}

impl IndexError {
    fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

/// Where sidecars are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexConfig {
    /// The directory, made when it is missing; nothing else belongs there.
    pub directory: PathBuf,
    /// While fewer bytes than this are free there, no sidecar is written: the space is the log's.
    pub spare_bytes: u64,
}

/// How the index is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexStatus {
    /// Durable entries that it doesn't know yet; searches read these one by one.
    pub lag_entries: u64,
    /// How often something of it could not be read or written since the start.
    pub errors: u64,
    /// The last of these that has not been mended yet.
    pub trouble: Option<String>,
}

/// What the thread shares with those who search.
#[derive(Debug)]
struct Shared {
    reader: LogReader,
    shelf: Arc<Shelf>,
    /// Of the live segment; for a moment after it has closed still of that.
    live: RwLock<Part>,
    /// Entries of closed segments without a sidecar.
    missing: AtomicU64,
    /// Rises when what was read before is to be read anew.
    age: AtomicU64,
    stop: Mutex<bool>,
    stopped: Condvar,
}

impl Shared {
    fn live<T>(&self, look: impl FnOnce(&Part) -> T) -> T {
        look(&self.live.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The index of a log that is open. Dropping it ends its thread.
#[derive(Debug)]
pub struct Index {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Index {
    /// Follows the log in a thread of its own and keeps sidecars. Whatever keeps it from that is told by
    /// [`Self::status`] and makes searches slower, no more.
    #[must_use]
    pub fn start(config: IndexConfig, reader: LogReader, opener: Opener) -> Self {
        let mut index = Self::still(config, reader);
        let tailer = Tailer::new(Arc::clone(&index.shared), opener);
        let thread = std::thread::Builder::new()
            .name("log-index".to_owned())
            .spawn(move || tailer.run())
            .inspect_err(|error| {
                let what = format!("no thread for the index: {error}");
                index.shared.shelf.trouble(&what);
            });
        index.thread = Mutex::new(thread.ok());
        index
    }

    /// One that follows nothing: it knows what the sidecars know.
    fn still(config: IndexConfig, reader: LogReader) -> Self {
        let spans = reader.readable_segments();
        let first = spans.last().map_or(0, |live| live.first);
        // None is known to have a sidecar before that was looked at.
        let closed = spans.iter().filter(|span| span.closed);
        let missing = closed
            .map(|span| span.next.saturating_sub(span.first))
            .fold(0, u64::saturating_add);
        let shelf = Arc::new(Shelf::new(config, reader.clone()));
        let tables: Arc<dyn BlockTables> = Arc::clone(&shelf) as _;
        reader.ask_tables(Arc::downgrade(&tables));
        let shared = Arc::new(Shared {
            reader,
            shelf,
            live: RwLock::new(Part::new(first, None)),
            missing: AtomicU64::new(missing),
            age: AtomicU64::new(0),
            stop: Mutex::new(false),
            stopped: Condvar::new(),
        });
        Self {
            shared,
            thread: Mutex::new(None),
        }
    }

    /// How many durable entries it doesn't know yet.
    #[must_use]
    pub fn lag(&self) -> u64 {
        let known = self.shared.live(Part::next);
        let behind = self.shared.reader.len().saturating_sub(known);
        behind.saturating_add(self.shared.missing.load(Ordering::Relaxed))
    }

    /// How much later the log's last entry is than the first one at its end that the index doesn't know; zero when it knows
    /// all. Reads both, so it blocks on the disk.
    #[must_use]
    pub fn lag_time(&self) -> Duration {
        let known = self.shared.live(Part::next);
        let reader = &self.shared.reader;
        let time_of = |index| {
            reader
                .get(LogIndex(index))
                .ok()
                .flatten()
                .map(|kept| kept.time())
        };
        let last = reader.len().checked_sub(1).filter(|last| *last > known);
        match (last.and_then(time_of), time_of(known)) {
            (Some(last), Some(oldest)) => last.since(oldest),
            _ => Duration::ZERO,
        }
    }

    /// How it is doing.
    #[must_use]
    pub fn status(&self) -> IndexStatus {
        let (errors, trouble) = self.shared.shelf.troubles();
        IndexStatus {
            lag_entries: self.lag(),
            errors,
            trouble,
        }
    }

    /// Reads anew what it is reading, and what it holds in memory: for whoever has destroyed a key, and has removed the
    /// sidecars of the segments where that key sealed something. What was in the clear then is still in memory as keys; it gets
    /// into no sidecar.
    pub fn begin_anew(&self) {
        self.shared.age.fetch_add(1, Ordering::SeqCst);
    }

    /// Ends the thread and waits for it. Searches go on.
    pub fn stop(&self) {
        *self
            .shared
            .stop
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.stopped.notify_all();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take()
            && thread.join().is_err()
        {
            self.shared
                .shelf
                .trouble("the thread of the index has failed");
        }
    }
}

impl Vitals for Index {
    fn warnings(&self) -> Vec<String> {
        let trouble = self.status().trouble;
        let told = trouble.map(|what| format!("searches are slow: {what}"));
        told.into_iter().collect()
    }

    fn metrics(&self) -> Vec<Metric> {
        let status = self.status();
        vec![
            Metric::gauge(
                "sekisho_index_lag_entries",
                "Durable entries that the index doesn't know yet; searches read these one by one.",
                status.lag_entries,
            ),
            Metric::gauge(
                "sekisho_index_lag_seconds",
                "How much later the last entry is than the first at the log's end that the index doesn't know yet.",
                self.lag_time().as_secs(),
            ),
            Metric::counter(
                "sekisho_index_errors_total",
                "How often something of the index could not be read or written; checks don't need it.",
                status.errors,
            ),
        ]
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.stop();
    }
}
