//! Many registrations at once: read and looked at row by row, laid ready in the store, and put in force by one entry of the log
//! that names them. Nothing of it is in a check's way: what is wrong is found before anything is written, laying ready counts
//! for nothing, and what is in force is put in its place bit by bit.
//!
//! | file | job |
//! |---|---|
//! | `batch` | the rows as they are kept until all are there, and their digest |
//! | `judging` | what is wrong with a row, and with rows together |
//! | `finish` | lays ready, writes the entry, puts in its place |
//! | `lost` | imports that the log has and the store lacks |
//!
//! What this room never does: change anything where one row is wrong; leave a bad row untold.

mod batch;
mod finish;
mod judging;
mod lost;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc};

use self::batch::{Batch, Row};
use self::judging::{GENERAL_ROWS_MAX, faults_of};
use crate::decision::rules::RuleSet;
use crate::domain::access::SubjectRef;
use crate::domain::ids::{LogIndex, Name};
use crate::domain::reference::ReferenceKind;
use crate::domain::time::Timestamp;
use crate::gate::peer::Peer;
use crate::gate::{Credentials, Gate, GateError};
use crate::store::Sort;

/// The most rows of one import: with what is known of each, about 150 MB while it lasts.
const ROWS_MAX: usize = 1_000_000;
/// The most that a refusal names: an answer has to fit into its headers.
const FAULTS_NAMED: usize = 32;
/// How often progress is told, in rows.
const PROGRESS: u64 = 20_000;
const CALL: &str = "Import";

/// A row as far as it could be read.
#[derive(Debug)]
pub struct SubjectRow {
    /// Its line, from 1.
    pub line: u32,
    /// What it registers; `None` where that can't be read.
    pub what: Option<SubjectRowWhat>,
    /// Whose; of a reference `None` for nobody in particular.
    pub subject: Option<SubjectRef>,
    /// Which hold or date; of a reference what callers say.
    pub id: Option<Name>,
    /// A date's value, a reference's end.
    pub value: Option<Timestamp>,
    /// When a consent was given.
    pub given: Option<Timestamp>,
    /// What a reference covers.
    pub purposes: Vec<Name>,
    /// The request or order behind a hold or a date.
    pub reference: Option<Name>,
    /// Columns that can't be read, each with why; an empty one for the row as a whole.
    pub wrong: Vec<(&'static str, String)>,
}

/// What a row registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectRowWhat {
    /// A hold.
    Hold,
    /// A date.
    Date,
    /// A reference.
    Reference(ReferenceKind),
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

/// An import whose rows are coming in.
#[derive(Debug)]
pub struct SubjectImport {
    gate: Arc<Gate>,
    peer: Peer,
    credentials: Credentials,
    wish: SubjectImportWish,
    rules: Arc<RuleSet>,
    batch: Batch,
    /// Of rows that are in order.
    outcome: SubjectImportOutcome,
    /// Rows, bad ones too.
    rows: usize,
    for_nobody: usize,
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
            outcome: SubjectImportOutcome::default(),
            rows: 0,
            for_nobody: 0,
            named: Vec::new(),
            news,
            told: 0,
            _place: place,
        })
    }
}

impl SubjectImport {
    /// Takes a row, and tells all that is wrong with it.
    pub async fn take(&mut self, row: SubjectRow) {
        let line = row.line;
        let mut faults = faults_of(&self.rules, &row, self.gate.now());
        self.rows = self.rows.saturating_add(1);
        if self.rows == ROWS_MAX.saturating_add(1) {
            // Told once: all that follow are, too.
            let what = format!("is one more than the {ROWS_MAX} rows that one import may have");
            faults.push(("", what));
        }
        if row.is_for_nobody() {
            self.for_nobody = self.for_nobody.saturating_add(1);
            if self.for_nobody == GENERAL_ROWS_MAX.saturating_add(1) {
                let what = format!(
                    "is missing, for one more than the {GENERAL_ROWS_MAX} rows for nobody in particular that one import may have"
                );
                faults.push(("subject", what));
            }
        }
        if self.rows <= ROWS_MAX {
            self.keep(row, faults.is_empty());
        }
        for (field, what) in faults {
            self.wrong(line, field, what).await;
        }
        let rows = u64::try_from(self.rows).unwrap_or(u64::MAX);
        if rows.saturating_sub(self.told) >= PROGRESS {
            self.told = rows;
            self.tell(SubjectImportNews::Progress(
                SubjectImportPhase::Reading,
                rows,
                0,
            ))
            .await;
        }
    }

    /// Something is wrong with a row, or (line 0) with the file. Waits for whoever is told, so that nothing piles up.
    pub async fn wrong(&mut self, line: u32, field: &str, what: impl Into<String>) {
        self.outcome.faults = self.outcome.faults.saturating_add(1);
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

    /// Keeps a row, a bad one too where it says what it is about: another may be the same.
    fn keep(&mut self, row: SubjectRow, good: bool) {
        let (Some(what), Some(id)) = (row.what, &row.id) else {
            return;
        };
        if row.subject.is_none() && !row.is_for_nobody() {
            return;
        }
        let count = match what {
            SubjectRowWhat::Hold => &mut self.outcome.holds,
            SubjectRowWhat::Date => &mut self.outcome.dates,
            SubjectRowWhat::Reference(_) => &mut self.outcome.references,
        };
        *count = count.saturating_add(u64::from(good));
        let pseudonyms = &self.gate.keyring.pseudonyms;
        let subject = row.subject.as_ref();
        let subject = subject.map(|subject| pseudonyms.pseudonym(subject));
        let batch = &mut self.batch;
        let row = Row {
            subject,
            value: row.value,
            given: row.given,
            name: batch.texts.number(id),
            reference: batch.texts.number(row.reference.as_deref().unwrap_or("")),
            purposes: batch.number_of_purposes(&row.purposes),
            line: row.line,
            sort: match what {
                SubjectRowWhat::Hold => Sort::Hold,
                SubjectRowWhat::Date => Sort::Date,
                SubjectRowWhat::Reference(kind) => Sort::Reference(kind),
            },
        };
        batch.rows.push(row);
    }
}

impl SubjectRow {
    /// Whether a column could be read; one that is empty could.
    fn is_readable(&self, field: &str) -> bool {
        self.wrong.iter().all(|(wrong, _)| *wrong != field)
    }

    /// Whether it is for nobody in particular, and may be.
    fn is_for_nobody(&self) -> bool {
        let may_be =
            matches!(self.what, Some(SubjectRowWhat::Reference(kind)) if kind.may_be_for_nobody());
        may_be && self.subject.is_none() && self.is_readable("subject")
    }
}
