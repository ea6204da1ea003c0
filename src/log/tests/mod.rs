//! The rules of the room, on real files with real syncs; only what a disk refuses comes from a double at its boundary.
#![allow(
    clippy::disallowed_methods,
    reason = "a test spoils files as an intruder would"
)]

mod appending;
mod disposing;
mod evidence;
mod faults;
mod footing;
mod power;
mod reading;
mod recovery;
mod simulated_disk;
mod tail;
mod verifying;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prost::Message as _;

use super::durable::{Disk, DiskFile, RealDisk, Volume};
use super::error::OpenError;
use super::merkle::tests::naive_root;
use super::*;
use crate::domain::ids::LogIndex;

/// A directory in memory, where there is such a place: for tests that write much and have no use for a real disk.
pub(super) fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

pub(super) fn entry(number: u64) -> StoredEntry {
    StoredEntry {
        time_us: 1_700_000_000_000_000 + i64::try_from(number).unwrap() * 1_000,
        kind: 1,
        request_id: format!("request {number}"),
        caller: "resume-search".to_owned(),
        ..StoredEntry::default()
    }
}

pub(super) fn entries(numbers: std::ops::Range<u64>) -> Vec<StoredEntry> {
    numbers.map(entry).collect()
}

pub(super) fn config(directory: &Path) -> LogConfig {
    LogConfig {
        segment_bytes: 16 << 10,
        deadline: Duration::from_secs(20),
        ..LogConfig::new(directory.join("log"), SigningSeed::new(&[7; 32]))
    }
}

pub(super) fn open(directory: &Path) -> AccessLog {
    AccessLog::open(config(directory), "log.example")
        .unwrap()
        .log
}

pub(super) fn open_on(disk: &TestDisk, config: &LogConfig) -> Result<Opened, OpenError> {
    super::open::open(Arc::new(disk.clone()), config, "log.example")
}

/// All bytes in order; every index must be the one expected.
pub(super) fn all(reader: &LogReader) -> Vec<Vec<u8>> {
    let mut next = 0;
    reader
        .forward(LogIndex(0))
        .map(|kept| {
            let kept = kept.unwrap();
            assert_eq!(kept.index, LogIndex(next));
            next += 1;
            kept.bytes
        })
        .collect()
}

pub(super) fn bytes_of(entries: &[StoredEntry]) -> Vec<Vec<u8>> {
    entries.iter().map(StoredEntry::encode_to_vec).collect()
}

/// Long enough for a machine that is busy with other things.
pub(super) const SOON: Duration = Duration::from_secs(60);
/// Such a machine makes one thing late, and not all of so many.
pub(super) const TRIES: usize = 6;

/// A log in which batch after batch of `per_batch` entries was written.
pub(super) async fn write_batches(log: &AccessLog, batches: u64, per_batch: u64) {
    for _ in 0..batches {
        let first = log.len();
        let receipts = log
            .append(&entries(first..first + per_batch))
            .unwrap()
            .await
            .unwrap();
        assert_eq!(receipts.first().index(), LogIndex(first));
    }
}

pub(super) fn segments(directory: &Path) -> Vec<PathBuf> {
    let log = directory.join("log");
    let listed = super::open::list(&log).unwrap();
    listed
        .segments
        .iter()
        .map(|first| segment::path_of(&log, *first))
        .collect()
}

/// The tree as the next open finds it, against a plain computation.
pub(super) fn check_tree(directory: &Path) {
    let log = directory.join("log");
    let found = super::open::look(&log).unwrap();
    let stored = all(&LogReader::open_directory(&log).unwrap());
    assert_eq!(found.tail.tree.size(), stored.len() as u64);
    assert_eq!(found.tail.tree.root(), naive_root(&stored));
}

/// Puts the checkpoint of the empty log in the place of the newest: as if the power had failed before another was signed.
pub(super) fn forget_checkpoints(directory: &Path) {
    let key = SigningKey::new("log.example", &[7; 32]).unwrap();
    let empty = Checkpoint {
        origin: "log.example".to_owned(),
        size: 0,
        root: merkle::CompactRange::default().root(),
    };
    let note = key.sign(&empty).unwrap().to_string();
    std::fs::write(directory.join("log/checkpoint"), note).unwrap();
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Create,
    Open,
    Rename,
    Remove,
    SyncDirectory,
    Allocate,
    Truncate,
    Write,
    SyncData,
    SyncAll,
    Look,
}

type Rule = Box<dyn FnMut(Call) -> Option<io::ErrorKind> + Send>;

/// The real file system, but for the calls that a test makes fail or wait.
#[derive(Clone)]
pub(super) struct TestDisk {
    rule: Arc<Mutex<Rule>>,
    stalled: Arc<AtomicBool>,
    /// What is told of the volume, where a test says so.
    pub(super) volume: Arc<Mutex<Option<Volume>>>,
}

impl std::fmt::Debug for TestDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TestDisk")
    }
}

impl TestDisk {
    pub(super) fn new() -> Self {
        Self {
            rule: Arc::new(Mutex::new(Box::new(|_| None))),
            stalled: Arc::default(),
            volume: Arc::default(),
        }
    }

    pub(super) fn fail(&self, rule: impl FnMut(Call) -> Option<io::ErrorKind> + Send + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
    }

    pub(super) fn heal(&self) {
        self.fail(|_| None);
    }

    /// Hangs from now on, until what is given is dropped: by a test that fails, too, since its log waits for its writer.
    #[must_use]
    pub(super) fn stall(&self) -> Stalled {
        self.stalled.store(true, Ordering::SeqCst);
        Stalled(Arc::clone(&self.stalled))
    }

    fn call(&self, call: Call) -> io::Result<()> {
        let failure = (self.rule.lock().unwrap())(call);
        failure.map_or(Ok(()), |kind| Err(kind.into()))
    }
}

/// A disk that hangs.
pub(super) struct Stalled(Arc<AtomicBool>);

impl Drop for Stalled {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl Disk for TestDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.call(Call::Create)?;
        Ok(Box::new(TestFile(RealDisk.create(path)?, self.clone())))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.call(Call::Open)?;
        Ok(Box::new(TestFile(RealDisk.open(path)?, self.clone())))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Call::Rename)?;
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call(Call::Remove)?;
        RealDisk.remove(path)
    }
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.call(Call::SyncDirectory)?;
        RealDisk.sync_directory(path)
    }
    fn volume(&self, path: &Path) -> io::Result<Volume> {
        match *self.volume.lock().unwrap() {
            Some(volume) => Ok(volume),
            None => RealDisk.volume(path),
        }
    }
}

#[derive(Debug)]
struct TestFile(Box<dyn DiskFile>, TestDisk);

impl DiskFile for TestFile {
    fn allocate(&self, length: u64) -> io::Result<()> {
        self.1.call(Call::Allocate)?;
        self.0.allocate(length)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Err(error) = self.1.call(Call::Write) {
            // As much as fits: a write that fails is seldom one that did nothing.
            let data = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
            self.0.write_at(&bytes[..data / 2], offset)?;
            return Err(error);
        }
        self.0.write_at(bytes, offset)
    }
    fn truncate(&self, length: u64) -> io::Result<()> {
        self.1.call(Call::Truncate)?;
        self.0.truncate(length)
    }
    fn sync_data(&self) -> io::Result<()> {
        while self.1.stalled.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.1.call(Call::SyncData)?;
        self.0.sync_data()
    }
    fn sync_all(&self) -> io::Result<()> {
        self.1.call(Call::SyncAll)?;
        self.0.sync_all()
    }
    fn is_linked(&self) -> io::Result<bool> {
        self.1.call(Call::Look)?;
        self.0.is_linked()
    }
    fn is_at(&self, path: &Path) -> io::Result<bool> {
        self.0.is_at(path)
    }
}
