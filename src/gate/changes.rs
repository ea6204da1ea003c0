//! Changes by people: written as an entry first, then made in memory and in the store. What the store could not take is kept
//! and made before the next change; a start replays the rest from the log.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Gate, GateError};
use crate::domain::ids::{LogIndex, Name};
use crate::log::{AppendError, Receipt, Receipts};
use crate::proto::stored_change::Kind;
use crate::proto::{StoredChange, StoredEntry};
use crate::store::Turn;

/// How long other daemons wait for what this one writes. They give up a little later.
const TURN: Duration = Duration::from_millis(1_500);

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
    pub(super) async fn change_all<S: StillWanted>(
        self: &Arc<Self>,
        entries: Vec<StoredEntry>,
        still_wanted: S,
        apply: impl FnOnce(&Self, Receipts) + Send + 'static,
    ) -> Result<Receipts, GateError> {
        self.make(Entries {
            entries,
            still_wanted,
            apply: Box::new(apply),
        })
        .await
    }

    /// As [`Self::change`], for what raises a person's epoch: by one more than it is with nobody else changing anything.
    pub(super) async fn change_epoch(
        self: &Arc<Self>,
        entry: StoredEntry,
        what: impl PersonChange,
        apply: impl FnOnce(&Self, u64) + Send + 'static,
    ) -> Result<Receipt, GateError> {
        let change = EpochChange {
            entry,
            what,
            apply: Box::new(apply),
        };
        Ok(self.make(change).await?.first())
    }

    /// Writes what `wish` decides on with nobody else changing anything, then makes it in memory and in the store.
    ///
    /// Where other daemons change the store too, the turn to do so is taken first, and what they changed is heard: what is
    /// decided by it is so when it is written.
    pub(super) async fn make<W: Wish>(self: &Arc<Self>, wish: W) -> Result<Receipts, GateError> {
        let gate = Arc::clone(self);
        let work = tokio::spawn(async move {
            let mut changes = gate.changes.lock().await;
            // At most one call's are waiting: with the store out of reach nothing more is written.
            gate.store_waiting(&mut changes).await?;
            let turn = if W::BY_WHAT_OTHERS_CHANGE {
                gate.take_turn().await?
            } else {
                None
            };
            let (entries, apply) = wish.decide(&gate).await?;
            let writing = gate.log.append(&entries)?.without_deadline();
            let (receipts, turn) = holding(turn, writing).await;
            let receipts = receipts?;
            apply(&gate, receipts);
            for (receipt, entry) in receipts.iter().zip(entries) {
                if let Some(change) = entry.change {
                    changes.waiting.push((receipt.index(), change));
                }
            }
            gate.store_waiting_in(turn, &mut changes).await?;
            Ok(receipts)
        });
        match tokio::time::timeout(self.settings.change_deadline, work).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(GateError::Internal("a change ended early")),
            Err(_) => Err(AppendError::Deadline.into()),
        }
    }

    /// The turn to change what daemons share, with all in memory that they changed before. The lock of changes is held.
    async fn take_turn(&self) -> Result<Option<Turn>, GateError> {
        let Some(turn) = self.store.turn().await? else {
            return Ok(None);
        };
        while self.take_in_news().await? {}
        Ok(Some(turn))
    }

    pub(super) async fn store_waiting(&self, changes: &mut Changes) -> Result<(), GateError> {
        self.store_waiting_in(None, changes).await
    }

    async fn store_waiting_in(
        &self,
        turn: Option<Turn>,
        changes: &mut Changes,
    ) -> Result<(), GateError> {
        let Some((last, _)) = changes.waiting.last() else {
            return Ok(());
        };
        let applied = last.0.saturating_add(1);
        match turn {
            Some(turn) => {
                self.store.apply_in(turn, &changes.waiting, applied).await?;
            }
            None => self.store.apply(&changes.waiting, applied).await?,
        }
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

/// Waits for what is being written, and gives the turn back where that takes too long: a disk that hangs must not hold up the
/// other daemons. What they change then is seen to by the store when it is told of this change.
async fn holding<T, H>(turn: Option<H>, writing: impl Future<Output = T>) -> (T, Option<H>) {
    let mut writing = std::pin::pin!(writing);
    if turn.is_some() {
        match tokio::time::timeout(TURN, writing.as_mut()).await {
            Ok(written) => return (written, turn),
            Err(_) => drop(turn),
        }
    }
    (writing.await, None)
}

/// Makes a change in memory, once it is written.
pub(super) type MadeInMemory<T> = Box<dyn FnOnce(&Gate, T) + Send>;

/// What is written, and what makes it in memory.
pub(super) type Decided = (Vec<StoredEntry>, MadeInMemory<Receipts>);

/// A change that is to be made.
pub(super) trait Wish: Send + 'static {
    /// Whether what other daemons change has a part in the decision.
    const BY_WHAT_OTHERS_CHANGE: bool = true;
    /// Says what is written, with nobody else changing anything, or why nothing is.
    fn decide(self, gate: &Gate) -> impl Future<Output = Result<Decided, GateError>> + Send;
}

/// Entries that are known beforehand.
struct Entries<S> {
    entries: Vec<StoredEntry>,
    still_wanted: S,
    apply: MadeInMemory<Receipts>,
}

impl<S: StillWanted> Wish for Entries<S> {
    const BY_WHAT_OTHERS_CHANGE: bool = S::BY_WHAT_OTHERS_CHANGE;

    async fn decide(self, gate: &Gate) -> Result<Decided, GateError> {
        self.still_wanted.look(gate).await?;
        Ok((self.entries, self.apply))
    }
}

/// An entry of which the epoch is known last.
struct EpochChange<P> {
    entry: StoredEntry,
    what: P,
    apply: MadeInMemory<u64>,
}

impl<P: PersonChange> Wish for EpochChange<P> {
    async fn decide(mut self, gate: &Gate) -> Result<Decided, GateError> {
        self.what.look(gate).await?;
        let person = gate.person(self.what.of());
        let epoch = person.map_or(1, |person| person.epoch.saturating_add(1));
        self.entry.change = Some(StoredChange {
            kind: Some(self.what.change(epoch)),
        });
        let apply = self.apply;
        let apply = Box::new(move |gate: &Gate, _| apply(gate, epoch));
        Ok((vec![self.entry], apply))
    }
}

/// A last look before a change is written.
pub(super) trait StillWanted: Send + 'static {
    /// Whether what other daemons change has a part in it.
    const BY_WHAT_OTHERS_CHANGE: bool = true;
    /// Says why it is not wanted any more.
    fn look(self, gate: &Gate) -> impl Future<Output = Result<(), GateError>> + Send;
}

/// Wanted while both are.
impl<One: StillWanted + Sync, Two: StillWanted> StillWanted for (One, Two) {
    const BY_WHAT_OTHERS_CHANGE: bool = One::BY_WHAT_OTHERS_CHANGE || Two::BY_WHAT_OTHERS_CHANGE;

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
    const BY_WHAT_OTHERS_CHANGE: bool = false;

    async fn look(self, _: &Gate) -> Result<(), GateError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct GivenBack(Arc<std::sync::atomic::AtomicBool>);

    impl Drop for GivenBack {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn the_turn_is_kept_while_an_entry_is_written_but_not_while_a_disk_hangs() {
        let given_back = Arc::default();
        let turn = GivenBack(Arc::clone(&given_back));
        let (done, turn) = holding(Some(turn), async { 7 }).await;
        assert_eq!(done, 7);
        assert!(!given_back.load(Ordering::SeqCst));
        let slow = async {
            tokio::time::sleep(TURN + Duration::from_millis(300)).await;
            given_back.load(Ordering::SeqCst)
        };
        let (was_given_back, turn) = holding(turn, slow).await;
        assert!(was_given_back && turn.is_none());
    }
}
