//! The candidate decides in the shadow of what is in force: each decision of the log since it is one is decided anew under both, and
//! those on which they differ are counted, grouped and sampled. It follows the log, so that no check waits for it and none is passed
//! over; and it never answers anybody. What it counts is not kept: after a restart it reads the log again from where it began.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::decision::rules::RuleSet;
use crate::domain::ids::LogIndex;
use crate::domain::time::Timestamp;
use crate::gate::ledger::Ledger;
use crate::gate::policies::source::Loaded;
use crate::gate::records::read_log::unreadable;
use crate::gate::{Gate, GateError};
use crate::policy::diff::{Section, not_shown, other_changes};
use crate::policy::replay::Tally;
use crate::policy::shelf::{CandidateSince, Revision};

/// How often the log is looked at.
const EVERY: Duration = Duration::from_millis(500);
/// How many entries are read in one turn.
const TURN_ENTRIES: usize = 5_000;
/// The shadow of one candidate.
#[derive(Debug)]
pub(super) struct Shadow {
    candidate: Arc<Loaded>,
    /// Since when, and beside what.
    pub(super) begun: CandidateSince,
    /// What differs and can't be shown.
    not_shown: Vec<Section>,
    next: Mutex<LogIndex>,
    tally: Mutex<Tally>,
    /// As `next`, for who only looks: reading holds that one.
    seen_to: AtomicU64,
}

impl Shadow {
    /// Of a candidate beside `in_force`, whose revision `begun` names.
    fn beside(in_force: &RuleSet, candidate: Arc<Loaded>, begun: CandidateSince) -> Self {
        let changes = other_changes(in_force, &candidate.rules);
        Self {
            not_shown: not_shown(&changes),
            next: Mutex::new(begun.from),
            seen_to: AtomicU64::new(begun.from.0),
            tally: Mutex::default(),
            candidate,
            begun,
        }
    }

    pub(super) fn not_shown(&self) -> &[Section] {
        &self.not_shown
    }

    /// Up to which entry the log was read.
    pub(super) fn seen_to(&self) -> LogIndex {
        LogIndex(self.seen_to.load(Ordering::Acquire))
    }

    pub(super) fn is_of(&self, revision: &Revision) -> bool {
        self.candidate.revision() == *revision
    }

    pub(super) fn revision(&self) -> Revision {
        self.candidate.revision()
    }

    pub(super) fn tally(&self) -> Tally {
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.clone()
    }

    /// How many were decided anew, and on how many the two differ.
    pub(super) fn counts(&self) -> (u64, u64) {
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        (tally.decisions(), tally.differ())
    }

    /// Reads on, for one turn; whether there is more. Blocks on the disk.
    fn read_on(&self, ledger: &Ledger, rules: &RuleSet) -> Result<bool, GateError> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let mut read = 0_usize;
        for kept in ledger.reader().forward(*next) {
            if read >= TURN_ENTRIES {
                break;
            }
            let kept = kept.map_err(unreadable)?;
            let opened = ledger.open(&kept).map_err(unreadable)?;
            // What is sealed as a whole under a key that is gone is told as unreadable.
            self.tally
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(rules, &self.candidate.rules, kept.index, &opened.entry);
            read = read.saturating_add(1);
            *next = LogIndex(kept.index.0.saturating_add(1));
            self.seen_to.store(next.0, Ordering::Release);
        }
        Ok(read >= TURN_ENTRIES)
    }
}

impl Gate {
    /// A shadow beside what is in force, which begins with the next entry of the log; where the same was noted before a restart, with
    /// the one that it began with.
    pub(super) fn shadow_of(
        &self,
        candidate: Arc<Loaded>,
        noted: Option<CandidateSince>,
        now: Timestamp,
    ) -> Arc<Shadow> {
        let in_force = self.rules.load_full();
        let begun = CandidateSince {
            revision: candidate.revision(),
            beside: in_force.revision,
            since: now,
            from: LogIndex(self.log.len()),
        };
        let goes_on = |noted: &CandidateSince| {
            (noted.revision, noted.beside) == (begun.revision, begun.beside)
                && noted.from <= begun.from
        };
        let begun = noted.filter(goes_on).unwrap_or(begun);
        Arc::new(Shadow::beside(&in_force, candidate, begun))
    }

    /// Has the candidate, while there is one, follow the log until a stop is asked for.
    pub async fn follow_shadow(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            let shadow = self.policies.state().shadow.clone();
            let Some(shadow) = shadow else { continue };
            loop {
                let (gate, reading) = (Arc::clone(&self), Arc::clone(&shadow));
                let rules = self.rules.load_full();
                let turn =
                    tokio::task::spawn_blocking(move || reading.read_on(&gate.log, &rules)).await;
                match turn {
                    Ok(Ok(true)) if !*stopping.borrow() => tokio::task::yield_now().await,
                    Ok(Ok(_)) => break,
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "the candidate can't follow the log");
                        break;
                    }
                    Err(_) => break,
                }
            }
        }
    }
}
