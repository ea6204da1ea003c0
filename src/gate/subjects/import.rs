//! Many registrations at once: read and looked at row by row, laid ready in the store, and put in force by one entry of the log
//! that names them. Nothing of it is in a check's way: what is wrong is found before anything is written, laying ready counts
//! for nothing, and what is in force is put in its place bit by bit.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prost::Message as _;
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::references::{OF_ONE_MAX, violations};
use super::{DATES, NO_SUCH_DATE, ReferenceWish, unknown_date, unknown_hold};
use crate::decision::rules::RuleSet;
use crate::domain::access::SubjectRef;
use crate::domain::ids::{LogIndex, Name};
use crate::domain::reference::Reference;
use crate::domain::subject::{Pseudonym, Word};
use crate::domain::time::Timestamp;
use crate::gate::changes::Always;
use crate::gate::peer::Peer;
use crate::gate::{Credentials, Gate, GateError, Violation, entry};
use crate::proto::{StoredChange, StoredEntry, StoredSubjectImport, stored_change};
use crate::store::{BatchId, ImportedRow, Sort};

/// The most rows of one import: with what is known of each, about 150 MB while it lasts.
const ROWS_MAX: usize = 1_000_000;
/// The most errors that are told one by one.
const FAULTS_TOLD: u64 = 10_000;
/// The most that a refusal names: an answer has to fit into its headers.
const FAULTS_NAMED: usize = 32;
/// How many rows are laid ready at once; as many as the store takes.
const STAGED_AT_ONCE: usize = 2_000;
/// How often progress is told, in rows.
const PROGRESS: u64 = 20_000;
const CALL: &str = "Import";

/// A row that could be read.
#[derive(Debug)]
pub struct SubjectRow {
    /// Its line, from 1.
    pub line: u32,
    /// What it registers.
    pub what: SubjectRowWhat,
}

/// What a row registers.
#[derive(Debug)]
pub enum SubjectRowWhat {
    /// A hold.
    Hold(super::HoldChange),
    /// A date.
    Date(super::DateSet),
    /// A reference; of a subject.
    Reference(ReferenceWish),
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectFault {
    /// The line, from 1; 0 for the file as a whole.
    pub line: u32,
    /// The column; empty for the row as a whole.
    pub field: String,
    /// What is wrong with it.
    pub what: String,
}

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectImportPhase {
    /// Rows are read and looked at.
    Reading,
    /// They are laid ready.
    Staging,
    /// They count, and are put in their place.
    Placing,
}

/// What is told while an import goes on.
#[derive(Debug)]
pub enum SubjectImportNews {
    /// How many rows, and of how many (0: not known yet).
    Progress(SubjectImportPhase, u64, u64),
    /// What is wrong.
    Fault(SubjectFault),
    /// How much is wrong in all, where nothing is changed for it.
    Faults(u64),
}

/// What an import came to, or would.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SubjectImportOutcome {
    /// Holds in it.
    pub holds: u64,
    /// Dates in it.
    pub dates: u64,
    /// References in it.
    pub references: u64,
    /// What is wrong: then nothing is changed.
    pub faults: u64,
    /// The entry that puts it in force; `None` for a dry run.
    pub index: Option<LogIndex>,
}

/// How an import is made.
#[derive(Debug, Default)]
pub struct SubjectImportWish {
    /// The request or decision behind it.
    pub reference: Option<Name>,
    /// Only tell what is wrong.
    pub dry_run: bool,
}

/// A row as it is kept until all are there: texts are numbers of words.
#[derive(Debug, Clone, Copy)]
struct Row {
    subject: Pseudonym,
    value: Option<Timestamp>,
    name: u32,
    reference: u32,
    purposes: u32,
    line: u32,
    sort: Sort,
}

/// Texts, each once.
#[derive(Debug, Default)]
struct Texts {
    numbers: HashMap<Word, u32>,
    words: Vec<Word>,
}

impl Texts {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(known) = self.numbers.get(text) {
            return *known;
        }
        let word = Word::from(text);
        let number = u32::try_from(self.words.len()).unwrap_or(u32::MAX);
        self.words.push(Arc::clone(&word));
        self.numbers.insert(word, number);
        number
    }
}

/// All rows of an import that are in order.
#[derive(Debug, Default)]
struct Batch {
    rows: Vec<Row>,
    texts: Texts,
    purposes: Vec<Arc<[Word]>>,
    numbers_of_purposes: HashMap<Arc<[Word]>, u32>,
}

impl Batch {
    fn word(&self, number: u32) -> &Word {
        static NONE: std::sync::LazyLock<Word> = std::sync::LazyLock::new(|| Word::from(""));
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        self.texts.words.get(at).unwrap_or(&NONE)
    }

    fn purposes(&self, number: u32) -> Arc<[Word]> {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        self.purposes.get(at).cloned().unwrap_or_default()
    }

    fn number_of_purposes(&mut self, purposes: &[Name]) -> u32 {
        let words: Vec<Word> = purposes
            .iter()
            .map(|purpose| {
                let number = self.texts.number(purpose);
                Arc::clone(self.word(number))
            })
            .collect();
        let words: Arc<[Word]> = words.into();
        if let Some(known) = self.numbers_of_purposes.get(&words) {
            return *known;
        }
        let number = u32::try_from(self.purposes.len()).unwrap_or(u32::MAX);
        self.purposes.push(Arc::clone(&words));
        self.numbers_of_purposes.insert(words, number);
        number
    }

    fn reference(&self, row: &Row, at: Timestamp) -> Option<Reference> {
        let Sort::Reference(kind) = row.sort else {
            return None;
        };
        Some(Reference {
            kind,
            id: Name::parse(self.word(row.name)).ok()?,
            purposes: self.purposes(row.purposes),
            until: row.value,
            since: at,
            withdrawn: false,
        })
    }

    /// Puts the rows in the order of subject, sort and name.
    fn sort(&mut self) {
        let Self { rows, texts, .. } = self;
        let word = |number: u32| {
            texts
                .words
                .get(usize::try_from(number).unwrap_or(usize::MAX))
        };
        rows.sort_unstable_by(|one, other| {
            (one.subject, one.sort)
                .cmp(&(other.subject, other.sort))
                .then_with(|| word(one.name).cmp(&word(other.name)))
                .then_with(|| one.line.cmp(&other.line))
        });
    }

    /// SHA-256 of the rows in their order, each with its length before it.
    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for row in &self.rows {
            let told = Told {
                subject: row.subject.0.to_vec(),
                sort: row.sort.number(),
                name: self.word(row.name).to_string(),
                value_us: row.value.map(Timestamp::micros),
                purposes: self
                    .purposes(row.purposes)
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
                reference: self.word(row.reference).to_string(),
            };
            digest.update(told.encode_length_delimited_to_vec());
        }
        digest.finalize().into()
    }

    fn count(&self, is: impl Fn(Sort) -> bool) -> u64 {
        let count = self.rows.iter().filter(|row| is(row.sort)).count();
        u64::try_from(count).unwrap_or(u64::MAX)
    }
}

/// A row as the digest takes it. Fields are only ever added.
#[derive(Clone, PartialEq, prost::Message)]
struct Told {
    #[prost(bytes = "vec", tag = "1")]
    subject: Vec<u8>,
    #[prost(int64, tag = "2")]
    sort: i64,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(int64, optional, tag = "4")]
    value_us: Option<i64>,
    #[prost(string, repeated, tag = "5")]
    purposes: Vec<String>,
    #[prost(string, tag = "6")]
    reference: String,
}

/// An import whose rows are coming in.
#[derive(Debug)]
pub struct SubjectImport {
    gate: Arc<Gate>,
    peer: Peer,
    credentials: Credentials,
    wish: SubjectImportWish,
    rules: Arc<RuleSet>,
    batch: Batch,
    faults: u64,
    named: Vec<SubjectFault>,
    news: mpsc::Sender<SubjectImportNews>,
    told: u64,
    /// One at a time.
    _place: OwnedSemaphorePermit,
}

impl Gate {
    /// Begins an import; what is to be told goes to `news`.
    ///
    /// # Errors
    /// When who asks may not register, or another import goes on.
    pub async fn begin_subject_import(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        wish: SubjectImportWish,
        news: mpsc::Sender<SubjectImportNews>,
    ) -> Result<SubjectImport, GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let registrar = self.registrar(&rules, peer, credentials, CALL, now).await?;
        let place = match Arc::clone(&self.importing).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                let error = GateError::Busy {
                    what: "another import of subjects goes on",
                    retry_after: Duration::from_secs(10),
                };
                let caller = &registrar.caller;
                return Err(self.refuse_call(peer, caller, CALL, error, now).await);
            }
        };
        drop(registrar);
        Ok(SubjectImport {
            gate: Arc::clone(self),
            peer: peer.clone(),
            credentials: credentials.clone(),
            wish,
            rules,
            batch: Batch::default(),
            faults: 0,
            named: Vec::new(),
            news,
            told: 0,
            _place: place,
        })
    }

    /// Moves what is in force to its place, all of it; what can't be is tried again every minute.
    pub(in crate::gate) async fn fold_imports(&self) {
        loop {
            match self.store.fold_imports(false).await {
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

    fn take_in(&self, batch: &Batch, at: Timestamp) {
        for rows in batch.rows.chunk_by(|one, next| one.subject == next.subject) {
            let Some(first) = rows.first() else { continue };
            self.subjects.change(first.subject, |state| {
                for row in rows {
                    match row.sort {
                        Sort::Hold => state.add_hold(batch.word(row.name)),
                        Sort::Date => {
                            state.set_date(batch.word(row.name), row.value.unwrap_or_default());
                        }
                        Sort::Reference(_) => {
                            if let Some(reference) = batch.reference(row, at) {
                                state.put_reference(reference);
                            }
                        }
                    }
                }
            });
        }
    }
}

impl SubjectImport {
    /// Takes a row, and tells what is wrong with it.
    pub async fn take(&mut self, row: SubjectRow) {
        let line = row.line;
        if self.batch.rows.len() >= ROWS_MAX {
            let what = format!("is one more than the {ROWS_MAX} rows that one import may have");
            return self.wrong(line, "", what).await;
        }
        let faults = self.put(row);
        for violation in faults {
            let field = match violation.field.as_str() {
                "subject_ref" => "subject",
                "hold" | "date" => "id",
                "until" => "value",
                field => field,
            };
            let field = field.split('[').next().unwrap_or_default().to_owned();
            self.wrong(line, &field, violation.description).await;
        }
        let rows = u64::try_from(self.batch.rows.len()).unwrap_or(u64::MAX);
        if rows.saturating_sub(self.told) >= PROGRESS {
            self.told = rows;
            self.tell(SubjectImportNews::Progress(
                SubjectImportPhase::Reading,
                rows,
                0,
            ))
            .await;
            // Others have their turn.
            tokio::task::yield_now().await;
        }
    }

    /// Something is wrong with a row, or (line 0) with the file.
    pub async fn wrong(&mut self, line: u32, field: &str, what: impl Into<String>) {
        self.faults = self.faults.saturating_add(1);
        if self.faults > FAULTS_TOLD {
            return;
        }
        let fault = SubjectFault {
            line,
            field: field.to_owned(),
            what: what.into(),
        };
        if self.named.len() < FAULTS_NAMED {
            self.named.push(fault.clone());
        }
        self.tell(SubjectImportNews::Fault(fault)).await;
    }

    async fn tell(&self, news: SubjectImportNews) {
        // Whoever hung up needs to be told nothing; what is in force goes on all the same.
        let _ = self.news.send(news).await;
    }

    /// Keeps a row, or says what is wrong with it.
    fn put(&mut self, row: SubjectRow) -> Vec<Violation> {
        let SubjectRow { line, what } = row;
        let rules = Arc::clone(&self.rules);
        let (faults, subject): (Vec<Violation>, Option<SubjectRef>) = match &what {
            SubjectRowWhat::Hold(hold) => {
                let known = rules.holds.id(&hold.hold).is_some();
                let faults = (!known).then(|| Violation::new("hold", unknown_hold(&rules)));
                (faults.into_iter().collect(), Some(hold.subject.clone()))
            }
            SubjectRowWhat::Date(date) => {
                let known = rules.dates.id(&date.date).is_some();
                let unknown = (!known).then(|| Violation::new("date", unknown_date(&rules)));
                let in_time = DATES.contains(&date.value.seconds());
                let out = (!in_time).then(|| Violation::new("value", NO_SUCH_DATE));
                let faults = unknown.into_iter().chain(out).collect();
                (faults, Some(date.subject.clone()))
            }
            SubjectRowWhat::Reference(wish) => (violations(&rules, wish), wish.subject.clone()),
        };
        let Some(subject) = subject.filter(|_| faults.is_empty()) else {
            if faults.is_empty() {
                let what =
                    "is missing: one that is for nobody in particular is registered by itself";
                return vec![Violation::new("subject", what)];
            }
            return faults;
        };
        let subject = self.gate.keyring.pseudonyms.pseudonym(&subject);
        let batch = &mut self.batch;
        let (sort, name, value, reference, purposes) = match &what {
            SubjectRowWhat::Hold(hold) => (Sort::Hold, &hold.hold, None, &hold.reference, &[][..]),
            SubjectRowWhat::Date(date) => {
                let value = Some(date.value);
                (Sort::Date, &date.date, value, &date.reference, &[][..])
            }
            SubjectRowWhat::Reference(wish) => {
                let sort = Sort::Reference(wish.kind);
                (sort, &wish.reference, wish.until, &None, &*wish.purposes)
            }
        };
        let row = Row {
            subject,
            value,
            name: batch.texts.number(name),
            reference: batch.texts.number(reference.as_deref().unwrap_or("")),
            purposes: batch.number_of_purposes(purposes),
            line,
            sort,
        };
        batch.rows.push(row);
        Vec::new()
    }

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
        let mut batch = std::mem::take(&mut self.batch);
        let looking = Arc::clone(&gate);
        let (batch, faults) = tokio::task::spawn_blocking(move || {
            batch.sort();
            let faults = looking.faults_together(&batch);
            (batch, faults)
        })
        .await
        .map_err(|_| GateError::Internal("looking at an import ended early"))?;
        for (line, field, what) in faults {
            self.wrong(line, field, what).await;
        }
        if batch.rows.is_empty() && self.faults == 0 {
            self.wrong(0, "", "has no rows").await;
        }
        let rules = gate.rules.load_full();
        let now = gate.now();
        // Once more: a million rows take their time, and a session may have ended meanwhile.
        let peer = self.peer.clone();
        let registrar = gate
            .registrar(&rules, &peer, &self.credentials, CALL, now)
            .await?;
        let outcome = SubjectImportOutcome {
            holds: batch.count(|sort| sort == Sort::Hold),
            dates: batch.count(|sort| sort == Sort::Date),
            references: batch.count(|sort| matches!(sort, Sort::Reference(_))),
            faults: self.faults,
            index: None,
        };
        if self.faults > 0 && !self.wish.dry_run {
            self.tell(SubjectImportNews::Faults(self.faults)).await;
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
        let id = self.stage(&batch, now).await?;
        let written = Arc::new(AtomicBool::new(false));
        let made = self
            .put_in_force(entry, id, (Arc::new(batch), now), &written)
            .await;
        match made {
            Ok(index) => {
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
        let more = self.faults.saturating_sub(named);
        if more > 0 {
            violations.push(Violation::new("csv", format!("has {more} more errors")));
        }
        violations
    }

    async fn stage(&self, batch: &Batch, now: Timestamp) -> Result<BatchId, GateError> {
        let store = &self.gate.store;
        let all = u64::try_from(batch.rows.len()).unwrap_or(u64::MAX);
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
        (batch, at): (Arc<Batch>, Timestamp),
        written: &Arc<AtomicBool>,
    ) -> Result<LogIndex, GateError> {
        let hashing = Arc::clone(&batch);
        let digest = tokio::task::spawn_blocking(move || hashing.digest())
            .await
            .map_err(|_| GateError::Internal("hashing an import ended early"))?;
        entry::detail(&mut entry, "batch", id.to_string());
        entry::detail(
            &mut entry,
            "sha256",
            data_encoding::HEXLOWER.encode(&digest),
        );
        entry.change = Some(StoredChange {
            kind: Some(stored_change::Kind::ImportSubjects(StoredSubjectImport {
                batch: id.as_bytes().to_vec(),
                rows: u64::try_from(batch.rows.len()).unwrap_or(u64::MAX),
                digest: digest.to_vec(),
                at_us: at.micros(),
            })),
        });
        let written = Arc::clone(written);
        let apply = move |gate: &Gate| {
            written.store(true, Ordering::SeqCst);
            in_place(|| gate.take_in(&batch, at));
        };
        Ok(self.gate.change(entry, Always, apply).await?.index())
    }

    /// Until it is in its place; then others who share the store have heard of it too, or will within a moment.
    async fn place(&self) {
        let store = &self.gate.store;
        let mut done = 0_u64;
        loop {
            match store.fold_imports(false).await {
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

impl Gate {
    /// What is wrong with rows together, and with what is registered already: line, column and why. The rows are in order.
    fn faults_together(&self, batch: &Batch) -> Vec<(u32, &'static str, String)> {
        let mut faults = Vec::new();
        for rows in batch.rows.chunk_by(|one, next| one.subject == next.subject) {
            for (one, next) in rows.iter().zip(rows.iter().skip(1)) {
                if one.sort == next.sort && one.name == next.name {
                    let what = format!("is the same as on line {}", one.line);
                    faults.push((next.line, "id", what));
                }
            }
            let of_references = || {
                rows.iter()
                    .filter(|row| matches!(row.sort, Sort::Reference(_)))
            };
            let (Some(first), Some(last)) = (of_references().next(), of_references().next_back())
            else {
                continue;
            };
            let known = self.subjects.state(&first.subject);
            let is = |known: &Reference, row: &Row| {
                Sort::Reference(known.kind) == row.sort && *known.id == **batch.word(row.name)
            };
            let mut count = known.references.len();
            for row in of_references() {
                match known.references.iter().find(|known| is(known, row)) {
                    Some(known) if known.withdrawn => {
                        let what = "was withdrawn: what came later has a reference of its own";
                        faults.push((row.line, "id", what.to_owned()));
                    }
                    Some(_) => {}
                    None => count = count.saturating_add(1),
                }
            }
            if count > OF_ONE_MAX {
                let what = format!("is more than the {OF_ONE_MAX} that one subject may have");
                faults.push((last.line, "id", what));
            }
        }
        faults.sort_by_key(|(line, ..)| *line);
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(batch: &mut Batch, subject: u8, sort: Sort, name: &str, line: u32) {
        let row = Row {
            subject: Pseudonym([subject; 32]),
            value: None,
            name: batch.texts.number(name),
            reference: batch.texts.number(""),
            purposes: batch.number_of_purposes(&[]),
            line,
            sort,
        };
        batch.rows.push(row);
    }

    #[test]
    fn the_digest_is_of_what_is_in_it_whatever_the_order_of_the_lines() {
        let batch = |order: &[usize]| {
            let all = [
                (1, Sort::Hold, "b"),
                (1, Sort::Hold, "a"),
                (0, Sort::Date, "z"),
            ];
            let mut batch = Batch::default();
            for (line, position) in (2..).zip(order) {
                let (subject, sort, name) = all[*position];
                row(&mut batch, subject, sort, name, line);
            }
            batch.sort();
            batch
        };
        assert_eq!(batch(&[0, 1, 2]).digest(), batch(&[2, 0, 1]).digest());
        assert_ne!(batch(&[0, 1, 2]).digest(), batch(&[0, 1]).digest());
        let lines: Vec<u32> = batch(&[0, 1, 2]).rows.iter().map(|row| row.line).collect();
        assert_eq!(lines, [4, 3, 2]);
    }
}
