//! Changes by people: written as an entry first, then made in memory and in the store. What the store could not take is kept
//! and made before the next change; a start replays the rest from the log.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Gate, GateError};
use crate::domain::ids::{LogIndex, Name};
use crate::log::{AppendError, Receipt, Receipts};
use crate::proto::stored_change::Kind;
use crate::proto::{StoredChange, StoredEntry};

/// What the store lacks.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) waiting: Vec<(LogIndex, StoredChange)>,
}

impl Gate {
    /// Writes an entry that changes something, then makes the change in memory by `apply` and in the store. One at a time:
    /// `still_wanted` looks with nobody else changing anything.
    ///
    /// Whether or not the caller waits (for the log's deadline, and as long again for the store), and however long the disk
    /// takes, what was written is made: otherwise the log would say what is not so.
    pub(super) async fn change(
        self: &Arc<Self>,
        entry: StoredEntry,
        still_wanted: impl StillWanted,
        apply: impl FnOnce(&Self) + Send + 'static,
    ) -> Result<Receipt, GateError> {
        if entry.change.is_none() {
            return Err(GateError::Internal("an entry that changes nothing"));
        }
        let receipts = self
            .change_all(vec![entry], still_wanted, move |gate, _| apply(gate))
            .await?;
        Ok(receipts.first())
    }

    /// As [`Self::change`], for entries that stand together: all of them are written, consecutively, or none. Those that
    /// change nothing go with the others. `apply` is told where they are.
    pub(super) async fn change_all(
        self: &Arc<Self>,
        entries: Vec<StoredEntry>,
        still_wanted: impl StillWanted,
        apply: impl FnOnce(&Self, Receipts) + Send + 'static,
    ) -> Result<Receipts, GateError> {
        let gate = Arc::clone(self);
        let work = tokio::spawn(async move {
            let mut changes = gate.changes.lock().await;
            // At most one call's are waiting: with the store out of reach nothing more is written.
            gate.store_waiting(&mut changes).await?;
            still_wanted.look(&gate).await?;
            let receipts = gate.log.append(&entries)?.without_deadline().await?;
            apply(&gate, receipts);
            for (receipt, entry) in receipts.iter().zip(entries) {
                if let Some(change) = entry.change {
                    changes.waiting.push((receipt.index(), change));
                }
            }
            gate.store_waiting(&mut changes).await?;
            Ok(receipts)
        });
        match tokio::time::timeout(self.settings.change_deadline, work).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(GateError::Internal("a change ended early")),
            Err(_) => Err(AppendError::Deadline.into()),
        }
    }

    /// As [`Self::change`], for what raises a person's epoch: by one more than it is with nobody else changing anything.
    pub(super) async fn change_epoch(
        self: &Arc<Self>,
        mut entry: StoredEntry,
        what: impl PersonChange,
        apply: impl FnOnce(&Self, u64) + Send + 'static,
    ) -> Result<Receipt, GateError> {
        let gate = Arc::clone(self);
        let work = tokio::spawn(async move {
            let mut changes = gate.changes.lock().await;
            gate.store_waiting(&mut changes).await?;
            what.look(&gate).await?;
            let person = gate.person(what.of());
            let epoch = person.map_or(1, |person| person.epoch.saturating_add(1));
            let change = StoredChange {
                kind: Some(what.change(epoch)),
            };
            entry.change = Some(change.clone());
            let appending = gate.log.append(std::slice::from_ref(&entry))?;
            let receipt = appending.without_deadline().await?.first();
            apply(&gate, epoch);
            changes.waiting.push((receipt.index(), change));
            gate.store_waiting(&mut changes).await?;
            Ok(receipt)
        });
        match tokio::time::timeout(self.settings.change_deadline, work).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(GateError::Internal("a change ended early")),
            Err(_) => Err(AppendError::Deadline.into()),
        }
    }

    pub(super) async fn store_waiting(&self, changes: &mut Changes) -> Result<(), GateError> {
        let Some((last, _)) = changes.waiting.last() else {
            return Ok(());
        };
        let applied = last.0.saturating_add(1);
        self.store.apply(&changes.waiting, applied).await?;
        changes.waiting.clear();
        Ok(())
    }

    /// Tells the store that it has all changes of the log so far, so that the next start replays little.
    ///
    /// # Errors
    /// When the store can't be written; nothing is lost by it.
    pub async fn mark_applied(&self) -> Result<(), GateError> {
        let mut changes = self.changes.lock().await;
        self.store_waiting(&mut changes).await?;
        // Before the length: the entries that name them lie below it.
        let named = self.named_factor_writes.load(Ordering::Acquire);
        self.store.apply(&[], self.log.len()).await?;
        self.store.note_named_factor_writes(named).await?;
        Ok(())
    }
}

/// A last look before a change is written.
pub(super) trait StillWanted: Send + 'static {
    /// Says why it is not wanted any more.
    fn look(self, gate: &Gate) -> impl Future<Output = Result<(), GateError>> + Send;
}

/// Wanted while both are.
impl<One: StillWanted + Sync, Two: StillWanted> StillWanted for (One, Two) {
    async fn look(self, gate: &Gate) -> Result<(), GateError> {
        let (one, two) = self;
        one.look(gate).await?;
        two.look(gate).await
    }
}

/// A change that raises a person's epoch.
pub(super) trait PersonChange: Send + 'static {
    /// Whose.
    fn of(&self) -> &Name;
    /// What is changed, with the epoch it is raised to.
    fn change(&self, epoch: u64) -> Kind;
    /// A last look with nobody else changing anything: says why it is not wanted any more.
    fn look(&self, _: &Gate) -> impl Future<Output = Result<(), GateError>> + Send {
        async { Ok(()) }
    }
}

/// Wanted whatever happened meanwhile.
pub(super) struct Always;

impl StillWanted for Always {
    async fn look(self, _: &Gate) -> Result<(), GateError> {
        Ok(())
    }
}
