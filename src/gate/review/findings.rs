//! Looks through the log for findings, in the background: on a thread of its own that stands back for whoever else wants the processor,
//! one at a time. The last ones are kept, since whoever looks at a list pages through it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::decision::rules::RuleSet;
use crate::domain::ids::LogIndex;
use crate::domain::person::Person;
use crate::domain::time::Timestamp;
use crate::gate::ledger::Unsealer;
use crate::gate::records::read_log::{unread, unreadable};
use crate::gate::{Gate, GateError};
use crate::identity::stand_back;
use crate::log::{LogReader, Period, ReadError};
use crate::review::finding::Case;
use crate::review::{Days, Scan};

/// How many scans may be asked for at once, the one under way among them.
const ASKED_MAX: usize = 8;
/// When to try again where there are more.
const TRY_AGAIN: Duration = Duration::from_secs(60);
/// How many are kept.
const KEPT_MAX: usize = 4;
/// Looks so often, in entries, whether anybody still waits.
const LOOK_EVERY: u64 = 1_024;

/// What a scan depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    days: Days,
    log_size: u64,
    revision: [u8; 32],
    /// Of whose own data the directory knows.
    people: u64,
}

/// Scans, and what came of the last ones.
#[derive(Debug)]
pub(in crate::gate) struct Findings {
    asked: tokio::sync::Semaphore,
    one: tokio::sync::Mutex<()>,
    kept: Mutex<VecDeque<(Key, Arc<Vec<Case>>)>>,
}

impl Default for Findings {
    fn default() -> Self {
        Self {
            asked: tokio::sync::Semaphore::new(ASKED_MAX),
            one: tokio::sync::Mutex::default(),
            kept: Mutex::default(),
        }
    }
}

impl Findings {
    fn kept(&self, key: &Key) -> Option<Arc<Vec<Case>>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().find(|(of, _)| of == key);
        found.map(|(_, cases)| Arc::clone(cases))
    }

    fn keep(&self, key: Key, cases: &Arc<Vec<Case>>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_front((key, Arc::clone(cases)));
        kept.truncate(KEPT_MAX);
    }
}

/// How far a scan has come, in entries.
#[derive(Debug, Default)]
pub(in crate::gate) struct Progress {
    read: AtomicU64,
    of: AtomicU64,
}

impl Progress {
    /// How many entries were read, and of how many; both 0 before it begins.
    pub(in crate::gate) fn now(&self) -> (u64, u64) {
        (
            self.read.load(Ordering::Relaxed),
            self.of.load(Ordering::Relaxed),
        )
    }
}

impl Gate {
    /// What stood out on `days` in the log's first `log_size` entries, by day and then by who acted. The same for the same entries, pack
    /// and directory. Reads thirteen months of the log, in the background; the last few scans are kept.
    ///
    /// # Errors
    /// When too many are asked for at once, or the log can't be read.
    pub async fn findings_of(
        &self,
        days: Days,
        log_size: u64,
    ) -> Result<Arc<Vec<Case>>, GateError> {
        self.findings_with(days, log_size, &Arc::default()).await
    }

    /// As [`Self::findings_of`], telling meanwhile how far it is.
    pub(in crate::gate) async fn findings_with(
        &self,
        days: Days,
        log_size: u64,
        progress: &Arc<Progress>,
    ) -> Result<Arc<Vec<Case>>, GateError> {
        let rules = self.rules.load_full();
        let people: Vec<Arc<Person>> = {
            let people = self.people.load();
            let known = people.values().filter(|one| !one.subjects.is_empty());
            known.cloned().collect()
        };
        let key = Key {
            days,
            log_size,
            revision: rules.revision,
            people: mark(&people),
        };
        if let Some(cases) = self.findings.kept(&key) {
            return Ok(cases);
        }
        let busy = GateError::Busy {
            what: "the log is being looked through for others",
            retry_after: TRY_AGAIN,
        };
        let Ok(_place) = self.findings.asked.try_acquire() else {
            return Err(busy);
        };
        let _one = self.findings.one.lock().await;
        // It may have been looked for while this waited.
        if let Some(cases) = self.findings.kept(&key) {
            return Ok(cases);
        }
        let work = Work {
            reader: self.log.reader(),
            unsealer: self.log.unsealer().clone(),
            rules,
            people,
            days,
            log_size,
            progress: Arc::clone(progress),
        };
        let cases = Arc::new(work.in_background().await?);
        self.findings.keep(key, &cases);
        Ok(cases)
    }
}

/// Tells one directory from another by whose own data it knows.
fn mark(people: &[Arc<Person>]) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    people.iter().fold(0, |mark, person| {
        let mut of = DefaultHasher::new();
        (&person.id, &person.subjects).hash(&mut of);
        // In whatever order they come.
        mark ^ of.finish()
    })
}

/// All that a scan takes: nothing of the gate, so that it holds up no stop.
struct Work {
    reader: LogReader,
    unsealer: Unsealer,
    rules: Arc<RuleSet>,
    people: Vec<Arc<Person>>,
    days: Days,
    log_size: u64,
    progress: Arc<Progress>,
}

impl Work {
    /// Ends early when nobody waits for it any more.
    async fn in_background(self) -> Result<Vec<Case>, GateError> {
        let (send, found) = oneshot::channel();
        std::thread::Builder::new()
            .name("findings".to_owned())
            .spawn(move || {
                stand_back();
                let cases = self.cases(|| !send.is_closed());
                // Who doesn't wait any more needs no answer.
                let _ = send.send(cases);
            })
            .map_err(|error| {
                tracing::error!(%error, "no thread to look through the log");
                GateError::Unready("the log can't be looked through now")
            })?;
        found
            .await
            .map_err(|_| GateError::Internal("the log was not looked through to its end"))?
    }

    fn cases(&self, is_wanted: impl Fn() -> bool) -> Result<Vec<Case>, GateError> {
        let (from, until) = self.days.read(self.rules.utc_offset);
        let period = Period {
            from: Some(from),
            until: Some(until),
        };
        let newest = self.log_size.checked_sub(1).map(LogIndex);
        let Some(newest) = newest else {
            return Ok(Vec::new());
        };
        let as_of = self.time_of(newest)?;
        let people = self.people.iter().map(Arc::as_ref);
        let mut scan = Scan::new(&self.rules, people, self.days, as_of);
        let first = self.reader.first_within(LogIndex(0), period);
        if let Some(first) = first.map_err(unread)? {
            let last = self.reader.last_within(newest, period).map_err(unread)?;
            let of = last.map_or(0, |last| last.0.saturating_sub(first.0).saturating_add(1));
            self.progress.of.store(of, Ordering::Relaxed);
            self.take_all(&mut scan, first, period, is_wanted)?;
        }
        Ok(scan.finish())
    }

    fn take_all(
        &self,
        scan: &mut Scan<'_>,
        first: LogIndex,
        period: Period,
        is_wanted: impl Fn() -> bool,
    ) -> Result<(), GateError> {
        let (mut from, mut taken) = (first, 0_u64);
        'all: loop {
            for kept in self.reader.forward_within(from, period) {
                let kept = match kept {
                    // Disposed of meanwhile: what is left is looked through.
                    Err(ReadError::Disposed { next, .. }) => {
                        from = LogIndex(next);
                        continue 'all;
                    }
                    kept => kept.map_err(unreadable)?,
                };
                if kept.index.0 >= self.log_size {
                    break;
                }
                let opened = self.unsealer.open(&kept).map_err(unreadable)?;
                scan.take(kept.index, &opened.entry);
                taken = taken.saturating_add(1);
                if taken.is_multiple_of(LOOK_EVERY) {
                    if !is_wanted() {
                        return Err(GateError::CutShort);
                    }
                    let read = kept.index.0.saturating_sub(first.0);
                    self.progress.read.store(read, Ordering::Relaxed);
                }
            }
            return Ok(());
        }
    }

    /// The time of an entry, or of the last one before it that there is.
    fn time_of(&self, index: LogIndex) -> Result<Timestamp, GateError> {
        let last = self.reader.backward(index).next();
        let last = last.transpose().map_err(unreadable)?;
        Ok(last.map_or_else(Timestamp::default, |kept| kept.time()))
    }
}
