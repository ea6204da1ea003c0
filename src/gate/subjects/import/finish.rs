//! An import of which all rows are there: looked at once more, laid ready, put in force, put in its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::batch::Batch;
use super::{CALL, SubjectImport, SubjectImportNews, SubjectImportOutcome, SubjectImportPhase};
use crate::domain::ids::LogIndex;
use crate::domain::subject::Word;
use crate::domain::time::Timestamp;
use crate::gate::changes::Always;
use crate::gate::{Gate, GateError, Violation, entry};
use crate::proto::{StoredChange, StoredEntry, StoredSubjectImport, stored_change};
use crate::store::{BatchId, ImportedRow, Sort};

/// How many rows are laid ready at once; as many as the store takes.
const STAGED_AT_ONCE: usize = 2_000;

/// All rows of an import, as they are put in force.
struct Ready {
    batch: Batch,
    digest: [u8; 32],
    at: Timestamp,
}

impl Gate {
    /// Moves what is in force to its place, all of it; what can't be is tried again every minute.
    pub(in crate::gate) async fn fold_imports(&self) {
        loop {
            match self.store.fold_imports().await {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "an import of subjects is in force, and not in its place in the store yet");
                    return;
                }
            }
        }
        if let Err(error) = self.store.forget_folded_imports(self.now()).await {
            tracing::warn!(%error, "the store can't be tidied");
        }
    }

    fn take_in(&self, Ready { batch, at, .. }: &Ready) {
        for rows in batch.by_subject() {
            let Some(first) = rows.first() else { continue };
            let references = || rows.iter().filter_map(|row| batch.reference(row, *at));
            let Some(subject) = first.subject else {
                references().for_each(|reference| self.subjects.change_general(reference));
                continue;
            };
            self.subjects.change(subject, |state| {
                for row in rows {
                    match row.sort {
                        Sort::Hold => state.add_hold(batch.word(row.name)),
                        Sort::Date => {
                            state.set_date(batch.word(row.name), row.value.unwrap_or_default());
                        }
                        Sort::Reference(_) => {}
                    }
                }
                references().for_each(|reference| state.put_reference(reference));
            });
        }
    }
}

impl SubjectImport {
    /// Ends before all rows are there: nothing is changed, and an entry says so.
    pub async fn abandon(self, error: GateError) -> GateError {
        self.gate.refuse_unheard(&self.peer, CALL, error).await
    }

    /// All rows are there: puts them in force, or tells what is wrong. Goes on to its end whoever waits.
    ///
    /// # Errors
    /// When a row is wrong, who asks may not register any more, or the entry or the store can't be written; then nothing is
    /// changed.
    pub async fn finish(mut self) -> Result<SubjectImportOutcome, GateError> {
        let gate = Arc::clone(&self.gate);
        // Before anything is looked up: whatever is withdrawn from now on was withdrawn later.
        let at = gate.now();
        let ready = self.look_at_all(at).await?;
        if ready.batch.rows.is_empty() && self.outcome.faults == 0 {
            self.wrong(0, "", "has no rows").await;
        }
        let rules = gate.rules.load_full();
        let now = gate.now();
        // Once more: a million rows take their time, and a session may have ended meanwhile.
        let peer = self.peer.clone();
        let registrar = gate
            .registrar(&rules, &peer, &self.credentials, CALL, now)
            .await?;
        let outcome = self.outcome;
        if outcome.faults > 0 && !self.wish.dry_run {
            self.tell(SubjectImportNews::Faults(outcome.faults)).await;
            let error = GateError::Malformed(self.violations());
            return Err(gate
                .refuse_call(&peer, &registrar.caller, CALL, error, now)
                .await);
        }
        let mut entry = gate.registrars_entry(&registrar, &peer, now);
        self.describe(&mut entry, &outcome);
        if self.wish.dry_run {
            entry::detail(&mut entry, "outcome", "dry-run");
            gate.log.append(std::slice::from_ref(&entry))?.await?;
            return Ok(outcome);
        }
        let id = self.stage(&ready.batch, at).await?;
        let written = Arc::new(AtomicBool::new(false));
        let made = self
            .put_in_force(entry, id, Arc::new(ready), &written)
            .await;
        match made {
            Ok(index) => {
                gate.look_for_lost_imports().await;
                self.place().await;
                Ok(SubjectImportOutcome {
                    index: Some(index),
                    ..outcome
                })
            }
            Err(error) => {
                // What may still be written stays: the next start drops it if it was not.
                let may_come = matches!(error, GateError::Log(crate::log::AppendError::Deadline))
                    || written.load(Ordering::SeqCst);
                if !may_come && let Err(error) = gate.store.unstage_import(id).await {
                    tracing::warn!(%error, "an import that came to nothing is dropped at the next start");
                }
                Err(error)
            }
        }
    }

    /// Tells what is wrong with rows together, off the threads that serve.
    async fn look_at_all(&mut self, at: Timestamp) -> Result<Ready, GateError> {
        let gate = Arc::clone(&self.gate);
        let mut batch = std::mem::take(&mut self.batch);
        let all_good = self.outcome.faults == 0;
        let looked = tokio::task::spawn_blocking(move || {
            batch.sort();
            let digest = if all_good { batch.digest() } else { [0; 32] };
            let again = all_good && gate.is_lost(batch.len(), &digest);
            let faults = gate.faults_together(&batch, again);
            (Ready { batch, digest, at }, faults)
        });
        let (ready, faults) = looked
            .await
            .map_err(|_| GateError::Internal("looking at an import ended early"))?;
        for (line, fault) in faults {
            let (field, what) = fault.tell();
            self.wrong(line, field, what).await;
        }
        Ok(ready)
    }

    fn describe(&self, entry: &mut StoredEntry, outcome: &SubjectImportOutcome) {
        entry::detail(entry, "change", "import-subjects");
        entry::detail(entry, "holds", outcome.holds.to_string());
        entry::detail(entry, "dates", outcome.dates.to_string());
        entry::detail(entry, "references", outcome.references.to_string());
        entry::detail(entry, "errors", outcome.faults.to_string());
        if let Some(reference) = &self.wish.reference {
            entry.basis_reference = reference.to_string();
        }
    }

    fn violations(&self) -> Vec<Violation> {
        let mut violations: Vec<Violation> = self
            .named
            .iter()
            .map(|fault| {
                let below = if fault.field.is_empty() { "" } else { "." };
                let field = format!("csv[{}]{below}{}", fault.line, fault.field);
                Violation::new(field, fault.what.as_str())
            })
            .collect();
        let named = u64::try_from(violations.len()).unwrap_or(u64::MAX);
        let more = self.outcome.faults.saturating_sub(named);
        if more > 0 {
            violations.push(Violation::new("csv", format!("has {more} more errors")));
        }
        violations
    }

    async fn stage(&self, batch: &Batch, now: Timestamp) -> Result<BatchId, GateError> {
        let store = &self.gate.store;
        let all = batch.len();
        let id = store.begin_import(all, now).await?;
        let mut done = 0_u64;
        for rows in batch.rows.chunks(STAGED_AT_ONCE) {
            let purposes: Vec<Arc<[Word]>> = rows
                .iter()
                .map(|row| batch.purposes(row.purposes))
                .collect();
            let imported: Vec<ImportedRow<'_>> = rows
                .iter()
                .zip(&purposes)
                .map(|(row, purposes)| ImportedRow {
                    subject: row.subject,
                    sort: row.sort,
                    name: batch.word(row.name),
                    value: row.value,
                    given: row.given,
                    purposes,
                    reference: batch.word(row.reference),
                })
                .collect();
            if let Err(error) = store.stage_rows(id, &imported).await {
                if let Err(error) = store.unstage_import(id).await {
                    tracing::warn!(%error, "an import that came to nothing is dropped at the next start");
                }
                return Err(error.into());
            }
            done = done.saturating_add(u64::try_from(rows.len()).unwrap_or(u64::MAX));
            self.tell(SubjectImportNews::Progress(
                SubjectImportPhase::Staging,
                done,
                all,
            ))
            .await;
        }
        Ok(id)
    }

    async fn put_in_force(
        &self,
        mut entry: StoredEntry,
        id: BatchId,
        ready: Arc<Ready>,
        written: &Arc<AtomicBool>,
    ) -> Result<LogIndex, GateError> {
        let digest = ready.digest;
        entry::detail(&mut entry, "batch", id.to_string());
        entry::detail(
            &mut entry,
            "sha256",
            data_encoding::HEXLOWER.encode(&digest),
        );
        entry.change = Some(StoredChange {
            kind: Some(stored_change::Kind::ImportSubjects(StoredSubjectImport {
                batch: id.as_bytes().to_vec(),
                rows: ready.batch.len(),
                digest: digest.to_vec(),
                at_us: ready.at.micros(),
            })),
        });
        let written = Arc::clone(written);
        let apply = move |gate: &Gate| {
            written.store(true, Ordering::SeqCst);
            in_place(|| gate.take_in(&ready));
        };
        Ok(self.gate.change(entry, Always, apply).await?.index())
    }

    /// Until it is in its place; then others who share the store have heard of it too, or will within a moment.
    async fn place(&self) {
        let store = &self.gate.store;
        let mut done = 0_u64;
        loop {
            match store.fold_imports().await {
                Ok(Some(rows)) => {
                    done = done.saturating_add(rows);
                    self.tell(SubjectImportNews::Progress(
                        SubjectImportPhase::Placing,
                        done,
                        0,
                    ))
                    .await;
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "an import of subjects is in force, and is put in its place later");
                    return;
                }
            }
        }
        self.gate.fold_imports().await;
    }
}

/// Long work under a lock: the other tasks of this thread go on elsewhere, where there are other threads.
fn in_place(work: impl FnOnce()) {
    let many = tokio::runtime::Handle::try_current().is_ok_and(|runtime| {
        runtime.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread
    });
    if many {
        tokio::task::block_in_place(work);
    } else {
        work();
    }
}
