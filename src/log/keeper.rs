//! Keeps the evidence: after the writer, and apart from it, reads again what was written, keeps the tree's hashes in files,
//! and signs checkpoints.
//!
//! What is signed is what the disk holds: every entry is read back and hashed anew, and the root must be the one that the
//! writer computed from what it was given. Where they differ nothing is signed, and nothing is allowed any more.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::catalog;
use super::durable::{self, Disk, DiskError, Step};
use super::error::{OpenError, ReadError};
use super::footing::Damage;
use super::merkle::CompactRange;
use super::note::{Checkpoint, SignedNote, SigningKey};
use super::read::{LogReader, SegmentSpan};
use super::scan::ScanError;
use super::segment;
use super::tree::TreeFiles;
use crate::domain::ids::LogIndex;

/// How often a checkpoint is signed while entries come; with the time it takes this stays below a second.
const SIGN_EVERY: Duration = Duration::from_millis(700);
/// Hashes that wait in memory.
const FLUSH_EVERY: u64 = 8_192;
/// The newest checkpoint.
pub(super) const CHECKPOINT: &str = "checkpoint";
/// The key that verifies the log's checkpoints.
pub(super) const VERIFIER_KEY: &str = "log.vkey";
/// A checkpoint is some 250 bytes; one with many cosignatures a few thousand.
const CHECKPOINT_MAX_BYTES: u64 = 64 << 10;

/// A checkpoint that was signed and is on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// What it commits to.
    pub checkpoint: Checkpoint,
    /// As it is handed out.
    pub note: SignedNote,
}

/// Why there is no new checkpoint.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeeperError {
    /// An error of the disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The log can't be read, or is not what was written.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Log and evidence don't go together.
    #[error("{}: {what}", path.display())]
    Damaged {
        /// The file that says otherwise than the log.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

impl From<KeeperError> for OpenError {
    fn from(error: KeeperError) -> Self {
        match error {
            KeeperError::Disk(error) => error.into(),
            KeeperError::Read(ReadError::Io { path, source }) => Self::io(&path, source),
            KeeperError::Read(ReadError::Damaged { path, offset, what }) => {
                Self::Damaged { path, offset, what }
            }
            KeeperError::Read(error) => Self::Damaged {
                path: PathBuf::new(),
                offset: 0,
                what: error.to_string(),
            },
            KeeperError::Damaged { path, what } => Self::Damaged {
                path,
                offset: 0,
                what,
            },
        }
    }
}

/// Tells the thread to end.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Bell {
    pub(super) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.heard.notify_all();
    }

    /// Waits; whether it was rung.
    fn wait(&self, patience: Duration) -> bool {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .heard
            .wait_timeout_while(rung, patience, |rung| !*rung)
            .unwrap_or_else(PoisonError::into_inner);
        *waited.0
    }
}

/// A keeper that failed must not leave a log behind that nobody commits to.
struct LastWord<'a>(&'a Damage);

impl Drop for LastWord<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0
                .failed("the keeper of its evidence has failed".to_owned());
        }
    }
}

/// What the thread works with.
#[derive(Debug)]
pub(super) struct Keeper {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    reader: LogReader,
    key: SigningKey,
    files: TreeFiles,
    /// The tree of all entries whose hashes are in the files.
    tree: CompactRange,
    signed: watch::Sender<Arc<Signed>>,
    scrubbed: Instant,
    /// First index of the segment that is looked at next.
    scrub_next: u64,
}

impl Keeper {
    /// Takes the evidence up: whatever the files of the tree lack is read from the log, the newest checkpoint must be one of
    /// this log and of its key, and a new one is signed. `whole` is the tree as the log's end was found.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        reader: LogReader,
        key: SigningKey,
        whole: &CompactRange,
    ) -> Result<Self, KeeperError> {
        let path = directory.join(CHECKPOINT);
        let kept = read_note(&path)?;
        let known = match &kept {
            Some(note) => verified(&path, note, &key)?,
            None if whole.size() == 0 => Checkpoint {
                origin: reader.name().to_owned(),
                size: 0,
                root: CompactRange::default().root(),
            },
            None => {
                return Err(KeeperError::Damaged {
                    path,
                    what: "the newest checkpoint is missing".to_owned(),
                });
            }
        };
        if known.size > whole.size() {
            let what = format!(
                "it commits to {} entries, and the log has {}: its end was cut off",
                known.size,
                whole.size()
            );
            return Err(KeeperError::Damaged { path, what });
        }
        let spans = reader.segments();
        let disposed_until = spans
            .iter()
            .rfind(|span| span.disposed)
            .map_or(0, |span| span.next);
        if !TreeFiles::has(directory, disposed_until)? {
            return Err(lost_hashes(directory, disposed_until));
        }
        let mut files = TreeFiles::open(Arc::clone(&disk), directory)?;
        let tree = trusted(&mut files, directory, &spans, disposed_until, &key)?;
        let note = key.sign(&known).map_err(|error| KeeperError::Damaged {
            path: path.clone(),
            what: error.to_string(),
        })?;
        let mut keeper = Self {
            disk,
            directory: directory.to_owned(),
            reader,
            key,
            files,
            tree,
            signed: watch::Sender::new(Arc::new(Signed {
                checkpoint: known.clone(),
                note: kept.unwrap_or(note),
            })),
            scrubbed: Instant::now(),
            scrub_next: 0,
        };
        let passed = keeper.tree.size() >= known.size;
        if passed && keeper.files.compact_range(known.size)?.root() != known.root {
            return Err(keeper.another_history());
        }
        keeper.write_verifier_key()?;
        keeper.advance(whole)?;
        // Also when nothing is new: a log that was just made has a checkpoint before its first entry. And whoever made the last
        // segment may have died before its name was durable: this syncs the directory.
        keeper.publish(Checkpoint {
            size: whole.size(),
            root: whole.root(),
            ..known
        })?;
        Ok(keeper)
    }

    pub(super) fn signed(&self) -> &watch::Sender<Arc<Signed>> {
        &self.signed
    }

    pub(super) fn nodes(&self) -> super::tree::TreeReader {
        self.files.reader()
    }

    /// Works until the bell is rung. Damage and disks that fail are told through `damage`, which stops the writer.
    pub(super) fn run(
        mut self,
        bell: &Bell,
        told: &Mutex<CompactRange>,
        damage: &Damage,
        scrub_every: Duration,
    ) {
        let _last_word = LastWord(damage);
        let whole = || told.lock().unwrap_or_else(PoisonError::into_inner).clone();
        loop {
            let last = bell.wait(SIGN_EVERY);
            if damage.has_failed() {
                return;
            }
            let outcome = match self.sign(&whole()) {
                Ok(()) if !last && self.scrubbed.elapsed() >= scrub_every => {
                    self.scrub(whole, || bell.wait(Duration::ZERO) || damage.has_failed())
                }
                other => other,
            };
            match outcome {
                Ok(()) => damage.passed(),
                Err(KeeperError::Disk(error)) if error.is_fatal() => {
                    damage.failed(error.to_string());
                    return;
                }
                Err(error @ (KeeperError::Disk(_) | KeeperError::Read(ReadError::Io { .. }))) => {
                    // Tried again in a moment: entries are durable without a checkpoint, only not yet committed to.
                    damage.late(format!("no new checkpoint: {error}"));
                }
                Err(error) => {
                    damage.found(error.to_string());
                    return;
                }
            }
            if last {
                return;
            }
        }
    }

    /// Signs the state `whole`, when it is news.
    fn sign(&mut self, whole: &CompactRange) -> Result<(), KeeperError> {
        if self.signed.borrow().checkpoint.size >= whole.size() {
            return Ok(());
        }
        self.advance(whole)?;
        self.publish(Checkpoint {
            origin: self.reader.name().to_owned(),
            size: whole.size(),
            root: whole.root(),
        })
    }

    /// Reads back what was written since, up to `whole`, which must be what comes out.
    fn advance(&mut self, whole: &CompactRange) -> Result<(), KeeperError> {
        let known = Arc::clone(&self.signed.borrow());
        let begun = self.tree.size();
        // The one that ends just here may have been read to its end while it was still written to.
        let news = |span: &SegmentSpan| span.next >= begun;
        for span in self.reader.segments().into_iter().filter(news) {
            let until = span.next.min(whole.size());
            if until > self.tree.size() {
                self.read_back(until, &known.checkpoint)?;
            }
            if span.closed
                && self.tree.size() == span.next
                && !closing_path(&self.directory, span.first).exists()
            {
                self.close_segment(span)?;
            }
        }
        self.files.flush()?;
        if self.tree == *whole {
            return Ok(());
        }
        Err(self.damaged("what is on the disk is not what was written".to_owned()))
    }

    /// Reads what follows, up to `until`, and keeps its hashes.
    fn read_back(&mut self, until: u64, known: &Checkpoint) -> Result<(), KeeperError> {
        for kept in self.reader.forward(LogIndex(self.tree.size())) {
            let kept = kept?;
            if kept.index.0 != self.tree.size() {
                return Err(self.damaged(format!(
                    "entry {} is followed by entry {}",
                    self.tree.size(),
                    kept.index.0
                )));
            }
            let leaf = kept.leaf_hash();
            self.files.append(leaf);
            self.tree.push(leaf);
            if self.tree.size().is_multiple_of(FLUSH_EVERY) {
                self.files.flush()?;
            }
            if self.tree.size() == known.size && self.tree.root() != known.root {
                return Err(self.another_history());
            }
            if self.tree.size() >= until {
                break;
            }
        }
        Ok(())
    }

    /// Commits to a segment that is written no more: first the hashes are made durable, then the checkpoint says so.
    fn close_segment(&mut self, span: SegmentSpan) -> Result<(), KeeperError> {
        self.files.flush()?;
        self.files.sync()?;
        let path = closing_path(&self.directory, span.first);
        let note = self.note(&Checkpoint {
            origin: self.reader.name().to_owned(),
            size: self.tree.size(),
            root: self.tree.root(),
        })?;
        let text = note.to_string();
        durable::replace(&*self.disk, &self.directory, &path, text.as_bytes())?;
        Ok(())
    }

    fn publish(&self, checkpoint: Checkpoint) -> Result<(), KeeperError> {
        let note = self.note(&checkpoint)?;
        let path = self.directory.join(CHECKPOINT);
        durable::replace(
            &*self.disk,
            &self.directory,
            &path,
            note.to_string().as_bytes(),
        )?;
        self.signed
            .send_replace(Arc::new(Signed { checkpoint, note }));
        Ok(())
    }

    fn note(&self, checkpoint: &Checkpoint) -> Result<SignedNote, KeeperError> {
        self.key
            .sign(checkpoint)
            .map_err(|error| self.damaged(error.to_string()))
    }

    fn write_verifier_key(&self) -> Result<(), KeeperError> {
        let path = self.directory.join(VERIFIER_KEY);
        let line = format!("{}\n", self.key.verifier_key());
        match std::fs::read_to_string(&path) {
            Ok(there) if there == line => Ok(()),
            Ok(_) => Err(KeeperError::Damaged {
                path,
                what: "it is not the key that the keyring signs with".to_owned(),
            }),
            Err(_) => Ok(durable::replace(
                &*self.disk,
                &self.directory,
                &path,
                line.as_bytes(),
            )?),
        }
    }

    /// Reads the next of the closed segments to its end. Goes on signing meanwhile: a slow disk takes longer for that than a
    /// checkpoint may wait.
    fn scrub(
        &mut self,
        whole: impl Fn() -> CompactRange,
        is_over: impl Fn() -> bool,
    ) -> Result<(), KeeperError> {
        self.scrubbed = Instant::now();
        let spans = self.reader.segments();
        let closed = |span: &&SegmentSpan| span.closed && !span.disposed;
        let next = spans
            .iter()
            .filter(closed)
            .find(|span| span.first >= self.scrub_next)
            .or_else(|| spans.iter().find(closed));
        let Some(span) = next else {
            return Ok(());
        };
        self.scrub_next = span.next;
        let (reader, mut looked, mut outcome) = (self.reader.clone(), Instant::now(), Ok(()));
        let read = reader.scrub(span, || {
            if looked.elapsed() >= SIGN_EVERY {
                outcome = self.sign(&whole());
                looked = Instant::now();
            }
            outcome.is_ok() && !is_over()
        });
        outcome?;
        match read {
            // It went meanwhile.
            Err(ReadError::Disposed { .. }) => Ok(()),
            read => Ok(read?),
        }
    }

    fn another_history(&self) -> KeeperError {
        KeeperError::Damaged {
            path: self.directory.join(CHECKPOINT),
            what: "it commits to other entries than the log has: the log was replaced or rewritten"
                .to_owned(),
        }
    }

    fn damaged(&self, what: String) -> KeeperError {
        KeeperError::Damaged {
            path: self.directory.clone(),
            what,
        }
    }
}

/// The tree of the entries whose hashes in the files can be relied on: up to the newest closed segment that was committed
/// to, since they were made durable before. Whatever lies behind is cut off.
fn trusted(
    files: &mut TreeFiles,
    directory: &Path,
    spans: &[SegmentSpan],
    disposed_until: u64,
    key: &SigningKey,
) -> Result<CompactRange, KeeperError> {
    for span in spans.iter().rev().filter(|span| span.closed) {
        let path = closing_path(directory, span.first);
        let Some(note) = read_note(&path)? else {
            continue;
        };
        let checkpoint = verified(&path, &note, key)?;
        let next = segment::path_of(directory, span.next);
        let before = tree_before(&next)?;
        if checkpoint.size != span.next || before.is_some_and(|tree| tree.root() != checkpoint.root)
        {
            return Err(KeeperError::Damaged {
                path,
                what: "it commits to other entries than the next segment follows".to_owned(),
            });
        }
        if files.size() < checkpoint.size {
            continue;
        }
        let tree = files.compact_range(checkpoint.size)?;
        if tree.root() == checkpoint.root && tree.size() >= disposed_until {
            files.truncate_to(checkpoint.size)?;
            return Ok(tree);
        }
    }
    // The hashes can be made anew as long as the entries are there.
    if disposed_until == 0 {
        files.truncate_to(0)?;
        return Ok(CompactRange::default());
    }
    Err(lost_hashes(directory, disposed_until))
}

/// The hashes of what was disposed of are all that is left of it: they are left as they are, for an operator to restore.
fn lost_hashes(directory: &Path, disposed_until: u64) -> KeeperError {
    KeeperError::Damaged {
        path: directory.join("tree"),
        what: format!(
            "the hashes of the entries before {disposed_until}, which were disposed of, are not those that the checkpoints commit to; restore the folder from a backup"
        ),
    }
}

/// The tree that a segment goes on from; `None` when the segment was disposed of.
fn tree_before(path: &Path) -> Result<Option<CompactRange>, KeeperError> {
    let file = match std::fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(durable::at(Step::Open, path))?,
    };
    match catalog::read_header(&file) {
        Ok(header) => Ok(Some(header.tree)),
        Err(error) => Err(KeeperError::Damaged {
            path: path.to_owned(),
            what: match error {
                ScanError::Io(error) => error.to_string(),
                ScanError::Damaged { what, .. } => what,
            },
        }),
    }
}

/// The checkpoint that commits to the segment of `first_index` once that is closed.
pub(super) fn closing_path(directory: &Path, first_index: u64) -> PathBuf {
    segment::path_of(directory, first_index).with_extension(CHECKPOINT)
}

/// Reads a note; `None` when there is none.
pub(super) fn read_note(path: &Path) -> Result<Option<SignedNote>, KeeperError> {
    let Some(bytes) = durable::read_small(path, CHECKPOINT_MAX_BYTES)? else {
        return Ok(None);
    };
    let text = String::from_utf8(bytes).unwrap_or_default();
    match SignedNote::parse(&text) {
        Ok(note) => Ok(Some(note)),
        Err(error) => Err(KeeperError::Damaged {
            path: path.to_owned(),
            what: error.to_string(),
        }),
    }
}

fn verified(path: &Path, note: &SignedNote, key: &SigningKey) -> Result<Checkpoint, KeeperError> {
    note.checkpoint(key.verifier_key())
        .map_err(|error| KeeperError::Damaged {
            path: path.to_owned(),
            what: error.to_string(),
        })
}
