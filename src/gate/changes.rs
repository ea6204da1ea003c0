//! Changes by people: written as an entry first, then made in the store. What the store could not take yet is kept and
//! made with the next change; a start replays the rest from the log.

use super::{Gate, GateError};
use crate::domain::ids::LogIndex;
use crate::log::Receipt;
use crate::proto::{StoredChange, StoredEntry};

/// How many changes may wait for the store before no more are taken.
const WAITING_MAX: usize = 1_000;

/// What the store lacks.
#[derive(Debug, Default)]
pub(super) struct Changes {
    waiting: Vec<(LogIndex, StoredChange)>,
}

impl Gate {
    /// Writes an entry that changes something, then makes the change in the store and, by `apply`, in memory. One at a
    /// time. `still_wanted` looks once more, with nobody else changing anything.
    pub(super) async fn change<T>(
        &self,
        entry: StoredEntry,
        still_wanted: impl AsyncFnOnce(&Self) -> Result<T, GateError>,
        apply: impl FnOnce(&Self, T),
    ) -> Result<Receipt, GateError> {
        let Some(change) = entry.change.clone() else {
            return Err(GateError::Internal("an entry that changes nothing"));
        };
        let mut changes = self.changes.lock().await;
        if !changes.waiting.is_empty() {
            self.store_waiting(&mut changes).await?;
        }
        let wanted = still_wanted(self).await?;
        let receipt = self
            .log
            .append(std::slice::from_ref(&entry))?
            .await?
            .first();
        // The log is the truth: what it says is so from here on, whether or not the store can take it now.
        apply(self, wanted);
        if changes.waiting.len() < WAITING_MAX {
            changes.waiting.push((receipt.index(), change));
        }
        self.store_waiting(&mut changes).await?;
        Ok(receipt)
    }

    async fn store_waiting(&self, changes: &mut Changes) -> Result<(), GateError> {
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
        self.store.apply(&[], self.log.len()).await?;
        Ok(())
    }
}
