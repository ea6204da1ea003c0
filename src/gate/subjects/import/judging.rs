//! What is wrong with a row by itself, as the pack has it; and with rows together, and with what is registered already.

use super::batch::{Batch, Row};
use super::{SubjectRow, SubjectRowWhat};
use crate::decision::rules::RuleSet;
use crate::domain::reference::{Reference, ReferenceKind};
use crate::domain::subject::Word;
use crate::domain::time::Timestamp;
use crate::gate::Gate;
use crate::gate::subjects::references::{GENERAL_MAX, OF_ONE_MAX, Said, violations};
use crate::gate::subjects::{DATES, NO_SUCH_DATE, unknown_date, unknown_hold};
use crate::store::Sort;

/// The most rows of one import that are for nobody in particular: they go to their place at once.
pub(super) const GENERAL_ROWS_MAX: usize = 1_000;

/// What is wrong with a row: column and why. Those of its cells that can't be read are not looked at again.
pub(super) fn faults_of(
    rules: &RuleSet,
    row: &SubjectRow,
    now: Timestamp,
) -> Vec<(&'static str, String)> {
    let mut faults = row.wrong.clone();
    let mut tell = |field: &'static str, what: String| {
        if row.is_readable(field) {
            faults.push((field, what));
        }
    };
    match row.what {
        None => {}
        Some(SubjectRowWhat::Hold) => {
            if let Some(hold) = &row.id
                && rules.holds.id(hold).is_none()
            {
                tell("id", unknown_hold(rules));
            }
        }
        Some(SubjectRowWhat::Date) => {
            if let Some(date) = &row.id
                && rules.dates.id(date).is_none()
            {
                tell("id", unknown_date(rules));
            }
            if let Some(value) = row.value
                && !DATES.contains(&value.seconds())
            {
                tell("value", NO_SUCH_DATE.to_owned());
            }
        }
        Some(SubjectRowWhat::Reference(kind)) => {
            let said = Said {
                kind,
                for_somebody: row.subject.is_some(),
                purposes: &row.purposes,
                until: row.value,
                given: row.given,
            };
            for violation in violations(rules, &said, now) {
                match violation.field.split('[').next() {
                    Some("subject_ref") => tell("subject", violation.description),
                    Some("until") => tell("value", violation.description),
                    Some("given") => tell("given", violation.description),
                    _ => tell("purposes", violation.description),
                }
            }
        }
    }
    faults
}

/// What is wrong with a row beside others: as short as can be, since every row may have something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Together {
    /// The same is on this line.
    SameAs(u32),
    Withdrawn,
    /// Consent was withdrawn, and the row doesn't say that this one came after it.
    NotSaidWhenGiven,
    TooManyOfOne,
    TooManyGeneral,
}

impl Together {
    /// The column, and why.
    pub(super) fn tell(self) -> (&'static str, String) {
        match self {
            Self::SameAs(line) => ("id", format!("is the same as on line {line}")),
            Self::Withdrawn => (
                "id",
                "was withdrawn: what came later has a reference of its own".to_owned(),
            ),
            Self::NotSaidWhenGiven => (
                "given",
                "is missing: this person has withdrawn a consent for one of these purposes, so say when this one was given"
                    .to_owned(),
            ),
            Self::TooManyOfOne => (
                "id",
                format!("is more than the {OF_ONE_MAX} that one subject may have"),
            ),
            Self::TooManyGeneral => (
                "id",
                format!("is more than the {GENERAL_MAX} for nobody in particular that there may be"),
            ),
        }
    }
}

impl Gate {
    /// What is wrong with rows together, and with what is registered already, by line. The rows are in order. Of rows that were in
    /// force before and are lost (`again`) what came after them stands in no way: it counts, and they are as they were.
    pub(super) fn faults_together(&self, batch: &Batch, again: bool) -> Vec<(u32, Together)> {
        let mut faults = Vec::new();
        for rows in batch.by_subject() {
            for (one, next) in rows.iter().zip(rows.iter().skip(1)) {
                if one.sort == next.sort && one.name == next.name {
                    faults.push((next.line, Together::SameAs(one.line)));
                }
            }
            if !again {
                self.faults_beside_known(batch, rows, &mut faults);
            }
        }
        faults.sort_unstable();
        faults
    }

    fn faults_beside_known(&self, batch: &Batch, rows: &[Row], faults: &mut Vec<(u32, Together)>) {
        let of_references = || {
            rows.iter()
                .filter(|row| matches!(row.sort, Sort::Reference(_)))
        };
        let (Some(first), Some(last)) = (of_references().next(), of_references().next_back())
        else {
            return;
        };
        let Some(subject) = first.subject else {
            return self.faults_of_general(batch, rows, faults);
        };
        let known = self.subjects.state(&subject);
        let mut count = known.references.len();
        for row in of_references() {
            let same = known
                .references
                .iter()
                .find(|known| is(known, row.sort, batch.word(row.name)));
            match same {
                Some(known) if known.withdrawn => faults.push((row.line, Together::Withdrawn)),
                Some(_) => {}
                None => {
                    count = count.saturating_add(1);
                    if row.sort == Sort::Reference(ReferenceKind::Consent)
                        && row.given.is_none()
                        && withdrew_one_of(&known.references, &batch.purposes(row.purposes))
                    {
                        faults.push((row.line, Together::NotSaidWhenGiven));
                    }
                }
            }
        }
        if count > OF_ONE_MAX {
            faults.push((last.line, Together::TooManyOfOne));
        }
    }

    fn faults_of_general(&self, batch: &Batch, rows: &[Row], faults: &mut Vec<(u32, Together)>) {
        let mut count = self.subjects.general_count();
        for row in rows {
            let name = batch.word(row.name);
            let known = self.subjects.general(name);
            match known.iter().find(|known| is(known, row.sort, name)) {
                Some(known) if known.withdrawn => faults.push((row.line, Together::Withdrawn)),
                Some(_) => {}
                None => {
                    count = count.saturating_add(1);
                    if count > GENERAL_MAX {
                        faults.push((row.line, Together::TooManyGeneral));
                    }
                }
            }
        }
    }
}

fn is(known: &Reference, sort: Sort, name: &Word) -> bool {
    Sort::Reference(known.kind) == sort && *known.id == **name
}

fn withdrew_one_of(references: &[Reference], purposes: &[Word]) -> bool {
    references.iter().any(|known| {
        known.kind == ReferenceKind::Consent
            && known.withdrawn
            && purposes.iter().any(|purpose| known.covers(purpose))
    })
}
