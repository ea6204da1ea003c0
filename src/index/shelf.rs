//! The directory of sidecars: which there are, those in use, and how one is put there.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::key::Query;
use super::part::Part;
use super::postings::Set;
use super::sidecar::{self, Identity, Sidecar};
use super::{IndexConfig, IndexError, Opener};
use crate::files;
use crate::log::{BlockTables, LogReader, ReadError, SegmentSpan, SidecarLock};

/// How much memory is taken by what is known of sidecars: a 2,000th of the log's size as long as it suffices.
const KNOWN_BYTES: usize = 32 << 20;
const SUFFIX: &str = ".index";

#[derive(Debug, Default)]
struct State {
    known: HashMap<u64, Arc<Sidecar>>,
    /// Of those, the most lately looked at last; and what all take.
    order: VecDeque<u64>,
    bytes: usize,
    /// Sidecars that were found to be unfit, as the files they were: not tried again.
    unfit: HashMap<u64, Identity>,
    /// Sidecars that were found to be fit once, as the files they were.
    fit: HashMap<u64, Identity>,
    errors: u64,
    trouble: Option<String>,
}

impl State {
    /// Forgets the file; those who look into it may go on.
    fn let_go(&mut self, first: u64) {
        self.drop_known(first);
        self.fit.remove(&first);
    }

    fn drop_known(&mut self, first: u64) {
        if let Some(gone) = self.known.remove(&first) {
            self.bytes = self.bytes.saturating_sub(gone.bytes());
            self.order.retain(|other| *other != first);
        }
    }

    fn keep(&mut self, first: u64, sidecar: &Arc<Sidecar>) {
        self.drop_known(first);
        let bytes = sidecar.bytes();
        while self.bytes.saturating_add(bytes) > KNOWN_BYTES
            && let Some(oldest) = self.order.front().copied()
        {
            self.drop_known(oldest);
        }
        self.known.insert(first, Arc::clone(sidecar));
        self.order.push_back(first);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// What became of a sidecar that was to be put in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    /// It is there, with so many bytes.
    Made(u64),
    /// The segment is gone.
    Gone,
    /// A key was destroyed since its entries were opened: they are to be read anew.
    Outdated,
}

/// The sidecars of a log.
#[derive(Debug)]
pub(super) struct Shelf {
    directory: PathBuf,
    /// Nothing is written while less is free.
    spare_bytes: u64,
    reader: LogReader,
    state: Mutex<State>,
}

impl Shelf {
    pub(super) fn new(config: IndexConfig, reader: LogReader) -> Self {
        Self {
            directory: config.directory,
            spare_bytes: config.spare_bytes,
            reader,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path_of(&self, first: u64) -> PathBuf {
        self.directory.join(format!("{first:020}{SUFFIX}"))
    }

    /// Where entries of the segment that starts at `first` may be that have all of `query`, and the index after the last one
    /// that is known. `None` when the segment has no sidecar that fits it and is whole as far as it was read.
    pub(super) fn candidates(&self, first: u64, query: &Query) -> Option<(Set, u64)> {
        self.ask(first, |sidecar| {
            let set = sidecar.open()?.candidates(query)?;
            Ok((set, sidecar.next()))
        })
    }

    /// Asks a sidecar; once more when it was replaced in between.
    fn ask<T>(&self, first: u64, question: impl Fn(&Sidecar) -> io::Result<T>) -> Option<T> {
        for _ in 0..2 {
            let sidecar = self.get(first)?;
            match question(&sidecar) {
                Ok(answer) => return Some(answer),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.state().let_go(first);
                }
                Err(error) => {
                    self.reject(first, &sidecar, &error);
                    return None;
                }
            }
        }
        None
    }

    /// The sidecar of the segment that starts at `first`, where there is one that fits it.
    fn get(&self, first: u64) -> Option<Arc<Sidecar>> {
        if let Some(known) = self.state().known.get(&first) {
            return Some(Arc::clone(known));
        }
        let path = self.path_of(first);
        // Without a file, nothing of the log has to be read.
        let identity = Identity::of(&std::fs::metadata(&path).ok()?);
        if self.state().unfit.get(&first) == Some(&identity) {
            return None;
        }
        match self.look(&path, first) {
            Ok(found) => {
                let sidecar = Arc::new(found?);
                let mut state = self.state();
                state.unfit.remove(&first);
                state.fit.insert(first, sidecar.identity);
                state.keep(first, &sidecar);
                Some(sidecar)
            }
            Err(error) => {
                self.trouble(&error.to_string());
                let mut state = self.state();
                state.let_go(first);
                state.unfit.insert(first, identity);
                None
            }
        }
    }

    fn look(&self, path: &Path, first: u64) -> Result<Option<Sidecar>, IndexError> {
        match self.reader.mark_of(first)? {
            Some(mark) => Sidecar::look(path, first, &mark),
            None => Ok(None),
        }
    }

    /// Never uses this sidecar again: it was found to be damaged.
    fn reject(&self, first: u64, sidecar: &Sidecar, error: &io::Error) {
        self.trouble(&format!("{}: {error}", self.path_of(first).display()));
        let mut state = self.state();
        state.let_go(first);
        state.unfit.insert(first, sidecar.identity);
    }

    /// Whether a fitting sidecar is there; lets go of what is known of one that is not there any more.
    pub(super) fn has(&self, first: u64) -> bool {
        let about = std::fs::metadata(self.path_of(first));
        let identity = about.map(|about| Identity::of(&about)).ok();
        {
            let mut state = self.state();
            if identity.is_some() && state.fit.get(&first) == identity.as_ref() {
                return true;
            }
            state.let_go(first);
        }
        identity.is_some() && self.get(first).is_some()
    }

    /// Makes the sidecar of a whole part, or replaces it, unless what the part tells was disposed of meanwhile. Blocks for as
    /// long as the disk takes.
    ///
    /// # Errors
    /// When the log can't be read, the directory can't be written, or nobody can tell which keys were destroyed.
    pub(super) fn put(&self, part: &Part, opener: &Opener) -> Result<Put, IndexError> {
        let first = part.first();
        // Before the lock: this may read the whole segment.
        let table = match self.reader.table_of(first) {
            Err(ReadError::Disposed { .. }) => return Ok(Put::Gone),
            table => table?.unwrap_or_default(),
        };
        let _lock = SidecarLock::take(&self.directory)?;
        // From here on nobody disposes of anything.
        if !part.is_of(opener.keys_destroyed()?) {
            return Ok(Put::Outdated);
        }
        let mark = match self.reader.mark_of(first) {
            Ok(Some(mark)) => mark,
            Ok(None) | Err(ReadError::Disposed { .. }) => return Ok(Put::Gone),
            Err(error) => return Err(error.into()),
        };
        let path = self.path_of(first);
        files::write_private_with(&path, |file| sidecar::write(part, &mark, &table, file))?;
        let about = std::fs::metadata(&path).map_err(|source| IndexError::io(&path, source))?;
        let mut state = self.state();
        state.let_go(first);
        state.unfit.remove(&first);
        Ok(Put::Made(about.len()))
    }

    /// Makes sure that sidecars can be written: the directory is there and ours, and has the space.
    ///
    /// # Errors
    /// When they can't.
    pub(super) fn check_writable(&self) -> Result<(), IndexError> {
        drop(SidecarLock::take(&self.directory)?);
        let failed = |error: rustix::io::Errno| IndexError::io(&self.directory, error.into());
        let about = rustix::fs::statvfs(&self.directory).map_err(failed)?;
        let free = about.f_bavail.saturating_mul(about.f_frsize);
        if free < self.spare_bytes {
            return Err(IndexError::NoSpace {
                path: self.directory.clone(),
                free,
            });
        }
        Ok(())
    }

    /// Removes the sidecars of segments that are gone, and what a writer that was killed left behind.
    ///
    /// # Errors
    /// When the directory can't be read or written.
    pub(super) fn tidy(&self) -> Result<(), IndexError> {
        let failed = |source| IndexError::io(&self.directory, source);
        let _lock = SidecarLock::take(&self.directory)?;
        let mut removed = false;
        let mut sidecars = Vec::new();
        for item in std::fs::read_dir(&self.directory).map_err(failed)? {
            let item = item.map_err(failed)?;
            let name = item.file_name();
            let name = name.to_string_lossy();
            if let Some(first) = first_of(&name) {
                sidecars.push(first);
            } else if files::is_left_over(&name) {
                std::fs::remove_file(item.path()).map_err(failed)?;
                removed = true;
            }
        }
        // Asked for after the list was made: a segment that has closed meanwhile is among them.
        let spans = self.reader.readable_segments();
        let firsts: HashSet<u64> = spans.iter().map(|span: &SegmentSpan| span.first).collect();
        for first in sidecars {
            if !firsts.contains(&first) {
                std::fs::remove_file(self.path_of(first)).map_err(failed)?;
                removed = true;
                let mut state = self.state();
                state.let_go(first);
                state.unfit.remove(&first);
            }
        }
        if removed {
            files::sync_directory(&self.directory)?;
        }
        Ok(())
    }

    /// Counts something that went wrong, and tells it once.
    pub(super) fn trouble(&self, what: &str) {
        let mut state = self.state();
        state.errors = state.errors.saturating_add(1);
        if state.trouble.as_deref() != Some(what) {
            tracing::warn!(
                what,
                "the index of the access log: searches are slower until it is mended"
            );
            state.trouble = Some(what.to_owned());
        }
    }

    /// All is well again.
    pub(super) fn mended(&self) {
        if self.state().trouble.take().is_some() {
            tracing::info!("the index of the access log is whole again");
        }
    }

    pub(super) fn troubles(&self) -> (u64, Option<String>) {
        let state = self.state();
        (state.errors, state.trouble.clone())
    }
}

impl BlockTables for Shelf {
    fn table(&self, first: u64) -> Option<Vec<u8>> {
        self.ask(first, |sidecar| sidecar.open()?.table())
    }
}

/// Reads a sidecar's file name; `None` for other files.
fn first_of(file_name: &str) -> Option<u64> {
    let digits = file_name.strip_suffix(SUFFIX)?;
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}
