//! A log's directory. The newest checkpoint is read first, then the segments: a log only grows, so a live one holds at least
//! what the checkpoint commits to.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::frames::{self, Follows, Opened, Patience, Seen};
use super::listing::{Part, gone, list, parts};
use super::tree_check::{HashFiles, Mark, StoredHashes as _, TreeCheck};
use super::{
    Counter, DisposedRange, Finding, Progress, Signatures, Verified, VerifyError, VerifyOptions,
    Wrong, read_note,
};
use crate::log::dispose::DisposedSegment;
use crate::log::merkle::CompactRange;
use crate::log::segment;
use crate::proto::StoredEntry;
use crate::proto::stored_change::Kind as Change;

/// How often a log is looked at anew because a segment went meanwhile.
const LOOKS: u32 = 3;
/// More threads than this wait for the disk alone.
const THREADS_MAX: usize = 16;

pub(super) fn verify(
    directory: &Path,
    options: &VerifyOptions,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Verified, VerifyError> {
    list(directory)?;
    let signatures = Signatures::read(directory, options)?;
    let mut looks = 1;
    loop {
        let patience = Patience::default();
        match verify_signed(directory, signatures.clone(), progress, patience) {
            // A segment that was listed may be disposed of before it is read.
            Err(VerifyError::Io { source, .. })
                if source.kind() == io::ErrorKind::NotFound && looks < LOOKS =>
            {
                looks = looks.saturating_add(1);
            }
            outcome => return outcome,
        }
    }
}

/// Verifies all but the signatures themselves.
pub(in crate::log) fn verify_signed(
    directory: &Path,
    signatures: Signatures,
    progress: &(dyn Fn(Progress) + Sync),
    patience: Patience,
) -> Result<Verified, VerifyError> {
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
    let mut said = BTreeSet::new();
    let mut outcomes = run.all();
    outcomes.sort_by_key(|(number, _)| *number);
    for (_, outcome) in outcomes {
        let done = outcome?;
        closings = closings.saturating_add(u64::from(done.has_closing));
        last = done.tree;
        said.extend(done.disposals);
    }
    if let Some(finding) = after {
        return Err(finding.into());
    }
    check_disposed(&parts, &said)?;
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
        disposed: gone(&parts)
            .map(|(_, gone)| DisposedRange {
                first: gone.first,
                next: gone.next,
                at: gone.at,
                rule: gone.rule.clone(),
            })
            .collect(),
    })
}

/// Whatever is gone must be gone by an entry that says so. Such an entry may itself have been disposed of since.
fn check_disposed(parts: &[Part], said: &BTreeSet<Disposal>) -> Result<(), Finding> {
    for (part, one) in gone(parts) {
        let entry = one.entry.0;
        let told = said.contains(&(entry, one.first, one.next));
        let within = |other: &DisposedSegment| (other.first..other.next).contains(&entry);
        if !told && !gone(parts).any(|(_, other)| within(other)) {
            let what = format!("entry {entry} does not say so");
            return Err(Finding::new(&part.path, Wrong::Disposal(what)).entry(one.first));
        }
    }
    Ok(())
}

/// Holds the header of the next segment against what the one before it turned out to be; `follows` is not known of one that
/// was disposed of.
fn check_next(next: &Part, tree: &CompactRange, follows: Option<Follows>) -> Result<(), Finding> {
    let first = next.header.first_index;
    let wrong = |wrong| Finding::new(&next.path, wrong).entry(first).at(0);
    if next.header.tree != *tree {
        return Err(wrong(Wrong::Tree));
    }
    let says = Follows {
        first_batch: next.header.first_batch,
        times: next.header.previous_times,
    };
    if follows.is_some_and(|follows| follows != says) {
        let what = "it does not say what the segment before it ends with";
        return Err(wrong(Wrong::Header(what.to_owned())));
    }
    Ok(())
}

/// What a segment that is whole told.
struct Done {
    tree: CompactRange,
    has_closing: bool,
    disposals: Vec<Disposal>,
}

/// An entry that says so, and what it disposed of: first index, and index after the last.
type Disposal = (u64, u64, u64);

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
        let others = match self.parts.len() {
            1 => 0,
            segments => std::thread::available_parallelism()
                .map_or(1, usize::from)
                .min(segments)
                .min(THREADS_MAX)
                .saturating_sub(1),
        };
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
                disposals: Vec::new(),
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
        let mut disposals = Vec::new();
        let follows = match &part.disposed {
            Some(gone) => {
                self.hashes_alone(gone, &mut check)?;
                None
            }
            None => self.frames(part, next_first, &mut check, &mut disposals)?,
        };
        check.check_undecided()?;
        let has_closing = self.check_closing(first, next_first, closing)?;
        if let Some(next) = next {
            check_next(next, check.tree(), follows)?;
        }
        Ok(Done {
            tree: check.tree().clone(),
            has_closing,
            disposals,
        })
    }

    /// Reads a segment; what the header of the next must say, unless it is the last.
    fn frames(
        &self,
        part: &Part,
        next_first: Option<u64>,
        check: &mut TreeCheck<'_>,
        disposals: &mut Vec<Disposal>,
    ) -> Result<Option<Follows>, VerifyError> {
        let file = File::open(&part.path).map_err(VerifyError::io(&part.path))?;
        let segment = Opened {
            path: &part.path,
            file: &file,
            header: &part.header,
        };
        let mut seen = |index: u64, entry: StoredEntry| {
            if let Some(Change::Dispose(disposal)) = entry.change.and_then(|change| change.kind) {
                let spans = disposal.segments.iter();
                disposals.extend(spans.map(|span| (index, span.first, span.next)));
            }
        };
        let telling: (_, Seen<'_>) = (&self.counter, &mut seen);
        match next_first {
            Some(next_first) => frames::check_closed(segment, next_first, check, telling).map(Some),
            None => {
                let committed = self.signatures.newest.size;
                frames::check_tail(segment, committed, self.patience, check, telling)?;
                Ok(None)
            }
        }
    }

    /// Of what was disposed of there are only the hashes: they must be those that the checkpoints commit to.
    fn hashes_alone(
        &self,
        gone: &DisposedSegment,
        check: &mut TreeCheck<'_>,
    ) -> Result<(), VerifyError> {
        let mut hashes = HashFiles::new(self.directory);
        for index in gone.first..gone.next {
            let (path, offset) = hashes.place(0, index);
            let Some(leaf) = hashes.hash(0, index)? else {
                let finding = Finding::new(&path, Wrong::NoHash);
                return Err(finding.entry(index).at(offset).into());
            };
            check.push(leaf, &path, offset)?;
            if index.is_multiple_of(Counter::STEP) {
                self.counter.add(Counter::STEP);
            }
        }
        Ok(())
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
