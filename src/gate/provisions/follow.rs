//! From the log to the store: what its entries say of records, as far as it was not read yet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::ids::{LogIndex, RecordId};
use crate::domain::record::RecordKind;
use crate::domain::subject::Pseudonym;
use crate::domain::time::Timestamp;
use crate::gate::ledger::Ledger;
use crate::gate::records::read_log::unreadable;
use crate::gate::running::upkeep::Task;
use crate::gate::{Gate, GateError};
use crate::identity::keyring::PseudonymKey;
use crate::log::{Kept, ReadError};
use crate::proto::{Decision, EntryKind, StoredEntry, StoredRecordKind};
use crate::store::{RecordChange, StoreError};

/// How often what was written is looked at, where nobody waits for it.
const EVERY: Duration = Duration::from_millis(500);
/// How many entries are looked at in one turn.
const TURN_ENTRIES: usize = 20_000;
/// How many records are stored in one transaction.
const TURN_RECORDS: usize = 256;
/// The store is told how far the log was read at least so often, in entries, so that a start has little to read again.
const MARK_ENTRIES: u64 = 100_000;

/// How often it is looked whether a key that was missing is back.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How many missing keys are told by name.
const TOLD: usize = 8;

/// How far the log was read for records.
#[derive(Debug, Default)]
pub(in crate::gate) struct Recorded {
    /// Up to, but not including, this entry; `None` until the store was asked.
    next: Option<u64>,
    /// How far it was read when the store was told last.
    told: u64,
    /// What was passed over.
    unread: Unread,
}

/// By class and month of a key that is missing and was not destroyed: the first entry that it would open, and how many there are. The
/// mark of the store waits before the first of them, so that a start reads on from there.
type Unread = BTreeMap<(String, String), (LogIndex, u64)>;

impl Recorded {
    /// How far the store may count everything as taken in.
    fn whole_until(&self, next: u64) -> u64 {
        let unread = self.unread.values().map(|(first, _)| first.0);
        unread.fold(next, u64::min)
    }

    /// What is not as it should be, in words.
    fn told_unread(&self) -> Option<String> {
        if self.unread.is_empty() {
            return None;
        }
        let entries = self
            .unread
            .values()
            .fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
        let keys: Vec<String> = self
            .unread
            .iter()
            .take(TOLD)
            .map(|((class, month), (first, _))| format!("{class} of {month}, from entry {first}"))
            .collect();
        let more = if self.unread.len() > TOLD {
            ", ..."
        } else {
            ""
        };
        Some(format!(
            "keys are missing in seals/ ({}{more}): {entries} entries that are or may be of records of provision can't be opened, so those are not listed, or not found by name; put the files back",
            keys.join("; ")
        ))
    }
}

/// What one turn found.
struct Turn {
    changes: Vec<RecordChange>,
    unread: Unread,
    next: u64,
}

impl Gate {
    /// Reads the log for records until a stop is asked for.
    pub async fn follow_records(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let mut looked_again = tokio::time::Instant::now();
        loop {
            if looked_again.elapsed() >= LOOK_AGAIN {
                looked_again = tokio::time::Instant::now();
                self.look_again_for_unread().await;
            }
            let told = match self.take_in_records(false).await {
                Ok(()) => self.recorded.lock().await.told_unread(),
                Err(error) => {
                    tracing::warn!(%error, "records of provision can't be taken into the store");
                    Some(format!(
                        "records of provision are not listed up to date: {error}"
                    ))
                }
            };
            self.upkeep.tell(Task::Records, told);
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// Reads again from where a key was missing that is back.
    pub(in crate::gate) async fn look_again_for_unread(&self) {
        let mut recorded = self.recorded.lock().await;
        let firsts: Vec<LogIndex> = recorded.unread.values().map(|(first, _)| *first).collect();
        if firsts.is_empty() {
            return;
        }
        let from = firsts.iter().min().copied();
        let ledger = self.log.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let mut firsts = firsts.into_iter();
            firsts.any(|first| !is_missing(&ledger, first))
        });
        if let (Ok(true), Some(from)) = (looked.await, from) {
            tracing::info!(%from, "a key that was missing is back: records of provision are read again");
            recorded.unread.clear();
            recorded.next = Some(from.0);
        }
    }

    /// The records that a log of this length can have: what an older copy of the log took the place of is forgotten.
    pub(in crate::gate) async fn begin_records(&self) -> Result<(), StoreError> {
        let length = self.log.len();
        if self.store.recorded().await? > length {
            tracing::warn!(
                length,
                "the log has fewer entries than were read for records of provision"
            );
            self.store.forget_records_from(length).await?;
        }
        Ok(())
    }

    /// Takes in what became durable before this call; `mark` tells the store how far that is in any case. What can't be opened for want
    /// of a key is passed over, and told to operators.
    ///
    /// # Errors
    /// When the log can't be read, or the store can't be written.
    pub(in crate::gate) async fn take_in_records(&self, mark: bool) -> Result<(), GateError> {
        let durable = self.log.len();
        let mut recorded = self.recorded.lock().await;
        if recorded.next.is_none() {
            let next = self.store.recorded().await?;
            *recorded = Recorded {
                next: Some(next),
                told: next,
                unread: Unread::new(),
            };
        }
        while let Some(next) = recorded.next.filter(|next| *next < durable) {
            let (ledger, pseudonyms) = (self.log.clone(), self.keyring.pseudonyms.clone());
            let turn = tokio::task::spawn_blocking(move || turn(&ledger, &pseudonyms, next))
                .await
                .map_err(|_| GateError::Internal("reading ended early"))??;
            for (key, (first, count)) in turn.unread {
                let known = recorded.unread.entry(key).or_insert((first, 0));
                known.1 = known.1.saturating_add(count);
            }
            let is_news = !turn.changes.is_empty();
            if is_news || turn.next.saturating_sub(recorded.told) >= MARK_ENTRIES {
                let whole = recorded.whole_until(turn.next);
                self.store.take_records(&turn.changes, whole).await?;
                recorded.told = turn.next;
            }
            recorded.next = Some(turn.next);
        }
        if let Some(next) = recorded.next.filter(|next| mark && *next > recorded.told) {
            let whole = recorded.whole_until(next);
            self.store.take_records(&[], whole).await?;
            recorded.told = next;
        }
        Ok(())
    }
}

/// Whether what is sealed in an entry can't be opened for want of its key. Blocks on the disk.
fn is_missing(ledger: &Ledger, index: LogIndex) -> bool {
    match ledger.reader().get(index) {
        Ok(Some(kept)) => ledger
            .open(&kept)
            .ok()
            .and_then(|opened| opened.lost)
            .is_some_and(|lost| !lost.disposed_of),
        // Disposed of as a whole: there is nothing any more to open.
        Ok(None) | Err(ReadError::Disposed { .. }) => false,
        Err(_) => true,
    }
}

/// Looks at the next entries. Blocks on the disk.
fn turn(ledger: &Ledger, pseudonyms: &PseudonymKey, next: u64) -> Result<Turn, GateError> {
    let mut turn = Turn {
        changes: Vec::new(),
        unread: Unread::new(),
        next,
    };
    // Before the reading: what is written meanwhile is not to be passed over.
    let until = ledger.len();
    let mut looked_at = 0_usize;
    for kept in ledger.reader().forward(LogIndex(next)) {
        if looked_at >= TURN_ENTRIES || turn.changes.len() >= TURN_RECORDS {
            break;
        }
        let kept = kept.map_err(unreadable)?;
        looked_at = looked_at.saturating_add(1);
        if may_be_of_a_record(&kept.bytes) {
            look_at(ledger, pseudonyms, &kept, &mut turn)?;
        }
        turn.next = kept.index.0.saturating_add(1);
    }
    if looked_at == 0 {
        // Nothing is left of what there was.
        turn.next = until.max(next);
    }
    Ok(turn)
}

/// Of a record, or sealed as a whole: the keys of the fields `record` and `sealed` as they stand in the bytes. Nearly no entry of
/// a log has either, and looking for two bytes is much less work than reading a message.
fn may_be_of_a_record(bytes: &[u8]) -> bool {
    // Varints of the number and wire type 2: 70 << 3 | 2, 63 << 3 | 2. A test encodes both.
    const RECORD: [u8; 2] = [0xb2, 0x04];
    const SEALED: [u8; 2] = [0xfa, 0x03];
    bytes.windows(2).any(|two| two == RECORD || two == SEALED)
}

fn look_at(
    ledger: &Ledger,
    pseudonyms: &PseudonymKey,
    kept: &Kept,
    turn: &mut Turn,
) -> Result<(), GateError> {
    let opened = ledger.open(kept).map_err(unreadable)?;
    let change = change_of(&opened.entry, kept.index, pseudonyms);
    // Whom a record names is not told for want of a key: that it is one, is.
    if let Some(lost) = opened.lost.filter(|lost| !lost.disposed_of)
        && (lost.whole || change.is_some())
    {
        let key = (lost.class, lost.month);
        let known = turn.unread.entry(key).or_insert((kept.index, 0));
        known.1 = known.1.saturating_add(1);
    }
    turn.changes.extend(change);
    Ok(())
}

/// What an opened entry says of a record.
fn change_of(
    entry: &StoredEntry,
    index: LogIndex,
    pseudonyms: &PseudonymKey,
) -> Option<RecordChange> {
    let record = entry.record.as_ref()?;
    let id = RecordId::from_bytes(&record.record_id)?;
    let keep_until = Timestamp::from_micros(record.keep_until_us);
    let name_key = (!record.name.is_empty()).then(|| pseudonyms.party(&record.name));
    let written = Timestamp::from_micros(entry.time_us);
    let kind = StoredRecordKind::try_from(record.kind).ok()?;
    match kind {
        StoredRecordKind::Provision if is_allowance(entry) => Some(RecordChange::Opened {
            index,
            id,
            kind: RecordKind::Provision,
            at: written,
            written,
            keep_until,
            party: entry.recipient.clone(),
            name_key,
            route: entry.provision_route.clone(),
            people: allowed_people(entry),
        }),
        StoredRecordKind::Outcome => Some(RecordChange::Closed {
            index,
            id,
            abandoned: entry.abandoned,
            people: people(entry.subjects.iter()),
        }),
        StoredRecordKind::Receipt => Some(RecordChange::Opened {
            index,
            id,
            kind: RecordKind::Receipt,
            at: Timestamp::from_micros(record.received_us),
            written,
            keep_until,
            party: String::new(),
            name_key,
            route: String::new(),
            people: people(entry.subjects.iter()),
        }),
        StoredRecordKind::Provision | StoredRecordKind::Unspecified => None,
    }
}

fn is_allowance(entry: &StoredEntry) -> bool {
    entry.kind == i32::from(EntryKind::Decision)
        && entry.decision == i32::from(Decision::Allow)
        && entry.repeat_of.is_empty()
}

/// Those whom a decision names, without those that it withholds.
pub(in crate::gate) fn allowed_people(decision: &StoredEntry) -> Vec<Pseudonym> {
    let withheld: std::collections::HashSet<u32> = decision
        .withheld_subjects
        .iter()
        .flat_map(|group| group.indexes.iter().copied())
        .collect();
    people(
        (0_u32..)
            .zip(&decision.subjects)
            .filter(|(position, _)| !withheld.contains(position))
            .map(|(_, subject)| subject),
    )
}

/// Each once, in their order.
fn people<'a>(subjects: impl Iterator<Item = &'a Vec<u8>>) -> Vec<Pseudonym> {
    let mut told = std::collections::HashSet::new();
    subjects
        .filter_map(|subject| Pseudonym::from_bytes(subject))
        .filter(|subject| told.insert(*subject))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{StoredRecord, StoredSealed};
    use prost::Message as _;

    #[test]
    fn what_may_be_of_a_record_is_seen_in_the_bytes() {
        let plain = StoredEntry {
            person: "adviser-1".to_owned(),
            ..StoredEntry::default()
        };
        assert!(!may_be_of_a_record(&plain.encode_to_vec()));
        let record = StoredEntry {
            record: Some(StoredRecord::default()),
            ..plain.clone()
        };
        assert!(may_be_of_a_record(&record.encode_to_vec()));
        let sealed = StoredEntry {
            sealed: Some(StoredSealed::default()),
            ..plain
        };
        assert!(may_be_of_a_record(&sealed.encode_to_vec()));
    }
}
