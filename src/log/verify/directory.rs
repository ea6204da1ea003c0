//! A log's directory. The newest checkpoint is read first, then the segments: a log only grows, so a live one holds at least
//! what the checkpoint commits to.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::frames::{self, Opened, Patience};
use super::tree_check::{HashFiles, Mark, TreeCheck, read_up_to};
use super::{
    Counter, Finding, Progress, Signatures, Verified, VerifyError, VerifyOptions, Wrong, read_note,
};
use crate::log::merkle::CompactRange;
use crate::log::note::Checkpoint;
use crate::log::open;
use crate::log::segment::{self, HEADER_BYTES, Header};

/// More threads than this wait for the disk alone.
const THREADS_MAX: usize = 16;

pub(super) fn verify(
    directory: &Path,
    options: &VerifyOptions,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Verified, VerifyError> {
    verify_patiently(directory, options, progress, Patience::default())
}

pub(in crate::log) fn verify_patiently(
    directory: &Path,
    options: &VerifyOptions,
    progress: &(dyn Fn(Progress) + Sync),
    patience: Patience,
) -> Result<Verified, VerifyError> {
    list(directory)?;
    let signatures = Signatures::read(directory, options)?;
    let (parts, after) = parts(directory, list(directory)?, &signatures)?;
    let run = Run {
        directory,
        signatures: &signatures,
        parts: &parts,
        counter: Counter::new(signatures.newest.size, progress),
        patience,
    };
    let mut closings = 0_u64;
    let mut last = CompactRange::default();
    let mut outcomes = run.all();
    outcomes.sort_by_key(|(number, _)| *number);
    for (_, outcome) in outcomes {
        let done = outcome?;
        closings = closings.saturating_add(u64::from(done.has_closing));
        last = done.tree;
    }
    if let Some(finding) = after {
        return Err(finding.into());
    }
    signatures.check_end(directory, last.size())?;
    let Signatures {
        key,
        key_from_directory,
        newest,
        kept,
        ..
    } = signatures;
    Ok(Verified {
        name: newest.origin.clone(),
        entries: last.size(),
        root: last.root(),
        segments: parts.len() as u64,
        checkpoint: newest,
        checkpoints: closings.saturating_add(1),
        key,
        key_from_directory,
        kept,
        disposed: Vec::new(),
    })
}

/// What the names in a log's directory say.
struct Listed {
    /// First indexes.
    segments: BTreeSet<u64>,
    /// First indexes of segments that a checkpoint commits to.
    closings: BTreeSet<u64>,
}

fn list(directory: &Path) -> Result<Listed, VerifyError> {
    let not_a_log = |what: &str| VerifyError::NotALog {
        path: directory.to_owned(),
        what: what.to_owned(),
    };
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => not_a_log("there is no such directory"),
        io::ErrorKind::NotADirectory => not_a_log("it is not a directory"),
        _ => VerifyError::io(directory)(error),
    };
    let mut listed = Listed {
        segments: BTreeSet::new(),
        closings: BTreeSet::new(),
    };
    for item in std::fs::read_dir(directory).map_err(failed)? {
        let name = item.map_err(failed)?.file_name();
        let name = name.to_string_lossy();
        listed.segments.extend(segment::first_index_of(&name));
        if let Some(stem) = name.strip_suffix(".checkpoint") {
            let first = segment::first_index_of(&format!("{stem}.segment"));
            listed.closings.extend(first);
        }
    }
    if listed.segments.is_empty() {
        return Err(not_a_log("it holds no segment"));
    }
    Ok(listed)
}

/// A segment that is to be read.
struct Part {
    path: PathBuf,
    header: Header,
}

/// The segments up to the first that has no good header, or is missing, and what was found then.
fn parts(
    directory: &Path,
    listed: Listed,
    signatures: &Signatures,
) -> Result<(Vec<Part>, Option<Finding>), VerifyError> {
    let mut parts: Vec<Part> = Vec::new();
    let mut closings = listed.closings.into_iter().peekable();
    for first in listed.segments {
        if let Some(orphan) = closings.next_if(|closing| *closing < first) {
            return Ok((parts, Some(missing(directory, orphan))));
        }
        closings.next_if_eq(&first);
        let path = segment::path_of(directory, first);
        let before = parts.last().map(|part| &part.header);
        match header(&path, first, before, &signatures.newest)? {
            Ok(header) => parts.push(Part { path, header }),
            Err(what) => {
                let finding = Finding::new(&path, Wrong::Header(what));
                return Ok((parts, Some(finding.entry(first).at(0))));
            }
        }
    }
    let orphan = closings.next().map(|orphan| missing(directory, orphan));
    Ok((parts, orphan))
}

fn missing(directory: &Path, first: u64) -> Finding {
    Finding::new(&segment::path_of(directory, first), Wrong::Missing).entry(first)
}

/// Reads a header; the inner error says what is wrong with it.
fn header(
    path: &Path,
    first: u64,
    before: Option<&Header>,
    newest: &Checkpoint,
) -> Result<Result<Header, String>, VerifyError> {
    let mut bytes = vec![0; HEADER_BYTES];
    let read = File::open(path).and_then(|file| read_up_to(&file, &mut bytes, 0));
    bytes.truncate(read.map_err(VerifyError::io(path))?);
    let header = match Header::decode(&bytes) {
        Ok(header) => header,
        Err(what) => return Ok(Err(what.to_owned())),
    };
    if header.encode() != bytes {
        return Ok(Err("bytes are set that must be zero".to_owned()));
    }
    if header.name != newest.origin {
        let what = format!("it is a segment of the log {:?}", header.name);
        return Ok(Err(what));
    }
    Ok(open::breach(first, &header, before).map_or(Ok(header), Err))
}

/// What a segment that is whole told.
struct Done {
    tree: CompactRange,
    has_closing: bool,
}

type Outcome = (usize, Result<Done, VerifyError>);

struct Run<'a> {
    directory: &'a Path,
    signatures: &'a Signatures,
    parts: &'a [Part],
    counter: Counter<'a>,
    patience: Patience,
}

impl Run<'_> {
    /// Reads all segments, several at a time, up to the first that is damaged; in no order.
    fn all(&self) -> Vec<Outcome> {
        let taken = AtomicUsize::new(0);
        let bad = AtomicUsize::new(usize::MAX);
        let outcomes = Mutex::new(Vec::new());
        let work = || {
            loop {
                let number = taken.fetch_add(1, Ordering::Relaxed);
                // Those before a damaged one are all taken already, and are read to their end.
                if number >= self.parts.len() || number > bad.load(Ordering::Relaxed) {
                    return;
                }
                let outcome = self.one(number);
                if outcome.is_err() {
                    bad.fetch_min(number, Ordering::Relaxed);
                }
                let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
                outcomes.push((number, outcome));
            }
        };
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let others = processors
            .min(self.parts.len())
            .min(THREADS_MAX)
            .saturating_sub(1);
        std::thread::scope(|scope| {
            for _ in 0..others {
                // Where no thread can be had, this one does the work.
                let _ = std::thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        outcomes
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn one(&self, number: usize) -> Result<Done, VerifyError> {
        let Some(part) = self.parts.get(number) else {
            return Ok(Done {
                tree: CompactRange::default(),
                has_closing: false,
            });
        };
        let first = part.header.first_index;
        let next = self.parts.get(number.saturating_add(1));
        let closing = self.closing(first);
        // The one before a segment whose header is no good ends where its checkpoint says.
        let told = closing.as_ref().ok().and_then(Option::as_ref);
        let next_first = next
            .map(|next| next.header.first_index)
            .or(told.map(|mark| mark.size));
        let mut hashes = HashFiles::new(self.directory);
        let marks = self.marks(first, next_first, told);
        let newest = self.signatures.newest.size;
        let tree = part.header.tree.clone();
        let mut check = TreeCheck::new(tree, &mut hashes, newest, marks);
        check.check_marks()?;
        let file = File::open(&part.path).map_err(VerifyError::io(&part.path))?;
        let segment = Opened {
            path: &part.path,
            file: &file,
            header: &part.header,
        };
        let follows = match next_first {
            Some(next_first) => {
                frames::check_closed(segment, next_first, &mut check, &self.counter).map(Some)?
            }
            None => frames::check_tail(segment, newest, self.patience, &mut check, &self.counter)
                .map(|()| None)?,
        };
        check.check_undecided()?;
        let has_closing = self.check_closing(first, next_first, closing)?;
        if let (Some(next), Some(follows)) = (next, follows) {
            let wrong = |wrong| {
                Finding::new(&next.path, wrong)
                    .entry(next.header.first_index)
                    .at(0)
            };
            if next.header.tree != *check.tree() {
                return Err(wrong(Wrong::Tree).into());
            }
            if next.header.first_batch != follows.first_batch
                || next.header.previous_times != follows.times
            {
                let what = "it does not say what the segment before it ends with";
                return Err(wrong(Wrong::Header(what.to_owned())).into());
            }
        }
        Ok(Done {
            tree: check.tree().clone(),
            has_closing,
        })
    }

    /// The checkpoint that commits to the segment of `first`, once that is closed.
    fn closing(&self, first: u64) -> Result<Option<Mark>, VerifyError> {
        let path = segment::path_of(self.directory, first).with_extension("checkpoint");
        let Some(note) = read_note(&path)? else {
            return Ok(None);
        };
        let checkpoint = note
            .checkpoint(&self.signatures.key)
            .map_err(|error| Finding::new(&path, Wrong::Note(error)).entry(first))?;
        Ok(Some(Mark {
            size: checkpoint.size,
            root: checkpoint.root,
            path,
            kept: false,
        }))
    }

    /// The checkpoint of a closed segment must be there and end with it. While the daemon runs the last one may be to come.
    fn check_closing(
        &self,
        first: u64,
        next_first: Option<u64>,
        closing: Result<Option<Mark>, VerifyError>,
    ) -> Result<bool, VerifyError> {
        let path = segment::path_of(self.directory, first).with_extension("checkpoint");
        match (closing?, next_first) {
            (Some(mark), Some(expected)) if mark.size != expected => {
                let found = mark.size;
                let finding = Finding::new(&path, Wrong::Size { found, expected });
                Err(finding.entry(first).into())
            }
            (None, Some(next_first)) if next_first < self.signatures.newest.size => {
                Err(Finding::new(&path, Wrong::Missing).entry(first).into())
            }
            (closing, _) => Ok(closing.is_some()),
        }
    }

    /// The checkpoints within a segment.
    fn marks(&self, first: u64, next_first: Option<u64>, closing: Option<&Mark>) -> Vec<Mark> {
        let path = self.directory.join("checkpoint");
        let newest = Some((&self.signatures.newest, false));
        let kept = self.signatures.kept.as_ref().map(|kept| (kept, true));
        let others = newest
            .into_iter()
            .chain(kept)
            .map(|(checkpoint, kept)| Mark {
                size: checkpoint.size,
                root: checkpoint.root,
                path: path.clone(),
                kept,
            });
        let until = next_first.unwrap_or(u64::MAX);
        closing
            .cloned()
            .into_iter()
            .chain(others)
            .filter(|mark| {
                (mark.size > first || (mark.size, first) == (0, 0)) && mark.size <= until
            })
            .collect()
    }
}
