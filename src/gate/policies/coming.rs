//! Limits that come with another revision: what was read before counts on them, too. A limit of the same id, actions and window goes on
//! with its count; any other has a new one, which is filled from the log before the revision is put in force. What is decided meanwhile
//! by the revision before is added as soon as it is in the log.

use std::sync::Arc;

use crate::decision::rules::{Limit, RuleSet};
use crate::domain::ids::LogIndex;
use crate::gate::counters::share_a_count;
use crate::gate::outcome::recount;
use crate::gate::records::read_log::unreadable;
use crate::gate::{Gate, GateError};
use crate::log::Receipts;
use crate::policy::shelf::Revision;
use crate::proto::StoredEntry;

/// Limits of the revision that was put in force last, or is about to be, which the one before did not count by.
#[derive(Debug)]
pub(in crate::gate) struct ComingLimits {
    revision: Revision,
    limits: Vec<Limit>,
    /// Entries before it are read from the log.
    from: LogIndex,
}

impl Gate {
    /// Fills the counts of the limits of `next` that are not those of what is in force. No check waits for it; where there are none,
    /// nothing is read.
    pub(super) async fn count_for(self: &Arc<Self>, next: &RuleSet) -> Result<(), GateError> {
        let in_force = self.rules.load_full();
        let is_new = |limit: &&Limit| {
            let mut others = in_force.limits.iter();
            !others.any(|other| share_a_count(other, limit))
        };
        let limits: Vec<Limit> = next.limits.iter().filter(is_new).cloned().collect();
        // What an attempt that came to nothing left, or a revision before, would be counted twice.
        self.counters.keep(&in_force.limits);
        let Some(longest) = limits.iter().map(|limit| limit.window).max() else {
            self.coming_limits.store(None);
            return Ok(());
        };
        let coming = Arc::new(ComingLimits {
            revision: next.revision,
            limits,
            from: LogIndex(self.log.len()),
        });
        self.coming_limits.store(Some(Arc::clone(&coming)));
        // Written between the two, an entry may be counted twice where nobody is named: never not at all.
        let until = LogIndex(self.log.len());
        let since = self.now().minus(longest);
        let gate = Arc::clone(self);
        let counting = tokio::task::spawn_blocking(move || {
            let reader = gate.log.reader();
            let first = reader.first_at_or_after(since).map_err(unreadable)?;
            for kept in reader.forward(first) {
                let kept = kept.map_err(unreadable)?;
                if kept.index >= until {
                    break;
                }
                let opened = gate.log.open(&kept).map_err(unreadable)?;
                recount(&gate.counters, &coming.limits, &opened.entry);
            }
            Ok(())
        });
        counting
            .await
            .unwrap_or(Err(GateError::Internal("counting anew ended early")))
    }

    /// Counts what was decided or reported under `revision` on limits that come, or came meanwhile.
    pub(in crate::gate) fn count_for_coming(
        &self,
        revision: &[u8],
        entry: &StoredEntry,
        index: LogIndex,
    ) {
        if let Some(coming) = &*self.coming_limits.load()
            && index >= coming.from
            && coming.revision != *revision
        {
            recount(&self.counters, &coming.limits, entry);
        }
    }

    /// As [`Self::count_for_coming`], of decisions that stand together.
    pub(in crate::gate) fn count_all_for_coming(
        &self,
        entries: &[StoredEntry],
        receipts: Receipts,
    ) {
        if self.coming_limits.load().is_none() {
            return;
        }
        for (entry, receipt) in entries.iter().zip(receipts.iter()) {
            self.count_for_coming(&entry.policy_revision, entry, receipt.index());
        }
    }
}
