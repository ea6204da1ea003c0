//! States of the log that a restore lost, as declared gaps name them. Whoever outside was shown one contradicts the log that
//! goes on from the backup, and rightly so; once two administrators have said in the log that exactly this state is lost, it is
//! no news any more. What no gap names stays a contradiction.

use crate::domain::ids::LogIndex;
use crate::domain::time::Timestamp;
use crate::gate::StartError;
use crate::log::{
    AccessLog, Checkpoint, Kept, LogReader, ReadError, Signed, SignedNote, VerifierKey,
};
use crate::proto::{StoredGap, stored_change};
use crate::store::Store;

/// The most states that one gap may name: more than there can be witnesses.
pub const LOST_MAX: usize = 64;

/// The gap that an entry declares.
pub(in crate::gate) fn gap_of(kept: &Kept) -> Result<Option<StoredGap>, ReadError> {
    let change = kept.entry()?.change;
    Ok(match change.and_then(|change| change.kind) {
        Some(stored_change::Kind::GapDeclared(gap)) => Some(gap),
        _ => None,
    })
}

/// A checkpoint as this log writes it, with the log's own signature alone; `None` where it is not one of this log.
pub(in crate::gate) fn genuine(note: &SignedNote, key: &VerifierKey) -> Option<Signed> {
    let checkpoint = note.checkpoint(key).ok()?;
    // Lines that the log never wrote would make an entry as long as somebody likes.
    if note.text() != checkpoint.body() {
        return None;
    }
    let note = note.signed_by(key)?;
    Some(Signed { checkpoint, note })
}

/// The states that a gap names: those only that the log's key signed, and that are of the lost part.
fn named(gap: &StoredGap, key: &VerifierKey) -> impl Iterator<Item = Signed> {
    gap.lost_checkpoints
        .iter()
        .take(LOST_MAX)
        .filter_map(|note| genuine(&SignedNote::parse(note).ok()?, key))
        .filter(|lost| lost.checkpoint.size > gap.size)
}

/// The lost states that gaps of this log name, once they are in force at `now`. The store tells where they are declared, as far
/// as it has followed; the log alone what they say.
///
/// # Errors
/// When log or store can't be read.
pub async fn states(
    log: &AccessLog,
    store: &Store,
    now: Timestamp,
) -> Result<Vec<Signed>, StartError> {
    let (places, applied) = if store.knows_log(log.name()).await? {
        (store.gaps().await?, store.applied().await?)
    } else {
        (Vec::new(), 0)
    };
    let (reader, key) = (log.reader(), log.verifier_key().clone());
    let read = tokio::task::spawn_blocking(move || read(&reader, &key, &places, applied, now));
    Ok(read.await.map_err(|_| StartError::Interrupted)??)
}

fn read(
    reader: &LogReader,
    key: &VerifierKey,
    places: &[LogIndex],
    applied: u64,
    now: Timestamp,
) -> Result<Vec<Signed>, ReadError> {
    let mut lost: Vec<Signed> = Vec::new();
    let mut take = |kept: &Kept| -> Result<(), ReadError> {
        let Some(gap) = gap_of(kept)? else {
            return Ok(());
        };
        if Timestamp::from_micros(gap.effective_us) <= now {
            for state in named(&gap, key) {
                if !holds(&lost, &state.checkpoint) {
                    lost.push(state);
                }
            }
        }
        Ok(())
    };
    for place in places {
        match reader.get(*place) {
            Ok(Some(kept)) => take(&kept)?,
            // A store of another log, which the start refuses by itself.
            Ok(None) => {}
            // With the entry goes what it settled.
            Err(ReadError::Disposed { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    for kept in reader.forward(LogIndex(applied)) {
        take(&kept?)?;
    }
    Ok(lost)
}

/// Whether exactly this state is among them.
#[must_use]
pub fn holds(lost: &[Signed], checkpoint: &Checkpoint) -> bool {
    lost.iter().any(|state| state.checkpoint == *checkpoint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::{Clock as _, SystemClock};
    use crate::log::{LogConfig, SigningKey, SigningSeed};
    use crate::proto::{EntryKind, StoredChange, StoredEntry};

    fn key() -> SigningKey {
        SigningKey::new("test/log", &[7; 32]).unwrap()
    }

    fn note(by: &SigningKey, size: u64) -> SignedNote {
        by.sign(&Checkpoint {
            origin: by.verifier_key().name().to_owned(),
            size,
            root: [9; 32],
        })
        .unwrap()
    }

    #[test]
    fn a_gap_names_only_what_the_logs_key_signed_of_the_lost_part() {
        let (key, stranger) = (key(), SigningKey::new("test/log", &[8; 32]).unwrap());
        let mut tampered = note(&key, 11).to_string();
        tampered = tampered.replacen("\n11\n", "\n12\n", 1);
        let gap = StoredGap {
            size: 10,
            lost_checkpoints: vec![
                note(&key, 10).to_string(),
                note(&key, 11).to_string(),
                note(&stranger, 13).to_string(),
                tampered,
                "nothing".to_owned(),
            ],
            ..StoredGap::default()
        };
        let sizes: Vec<u64> = named(&gap, key.verifier_key())
            .map(|lost| lost.checkpoint.size)
            .collect();
        assert_eq!(sizes, [11]);
    }

    #[tokio::test]
    async fn a_named_state_counts_from_when_its_gap_is_in_force_also_before_the_store_has_followed()
    {
        let folder = tempfile::tempdir().unwrap();
        let config = LogConfig::new(folder.path().join("log"), SigningSeed::new(&[7; 32]));
        let log = AccessLog::open(config, "test/log").unwrap().log;
        let path = folder.path().join("store.sqlite");
        let store = Store::open(&path).await.unwrap();
        let now = SystemClock.now();
        let later = now.plus(std::time::Duration::from_hours(24));
        let declared = |size: u64, effective: Timestamp| StoredChange {
            kind: Some(stored_change::Kind::GapDeclared(StoredGap {
                size: 1,
                effective_us: effective.micros(),
                lost_checkpoints: vec![note(&key(), size).to_string()],
                ..StoredGap::default()
            })),
        };
        let mut changes = Vec::new();
        for change in [declared(30, now), declared(30, now), declared(40, later)] {
            let entry = StoredEntry {
                time_us: now.micros(),
                kind: EntryKind::LogState.into(),
                change: Some(change.clone()),
                ..StoredEntry::default()
            };
            let written = log.append(&[entry]).unwrap().await.unwrap();
            changes.push((written.first().index(), change));
        }
        let sizes = async |at: Timestamp| {
            let found = states(&log, &store, at).await.unwrap();
            found
                .iter()
                .map(|lost| lost.checkpoint.size)
                .collect::<Vec<_>>()
        };
        assert_eq!(sizes(now).await, [30]);
        assert_eq!(sizes(later).await, [30, 40]);
        store.bind_log(log.name()).await.unwrap();
        store.apply(&changes, log.len()).await.unwrap();
        assert_eq!(sizes(now).await, [30]);
        assert_eq!(sizes(later).await, [30, 40]);
        log.close();
    }

    #[test]
    fn a_state_is_named_with_the_logs_signature_alone() {
        let (key, stranger) = (key(), SigningKey::new("test/other", &[8; 32]).unwrap());
        let own = note(&key, 11);
        let line = note(&stranger, 11).to_string();
        let line = line.lines().last().unwrap();
        let both = SignedNote::parse(&format!("{own}{line}\n")).unwrap();
        assert_eq!(both.signatures().len(), 2);
        let found = genuine(&both, key.verifier_key()).unwrap();
        assert_eq!(found.note, own);
        assert_eq!(genuine(&both, stranger.verifier_key()), None);
    }
}
