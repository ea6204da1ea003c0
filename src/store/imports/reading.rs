//! What is in force and not in its place yet: it counts before what is in the tables.

use std::collections::HashMap;

use super::{Folded, Sort};
use crate::domain::reference::Reference;
use crate::domain::subject::{Pseudonym, SubjectState, Word, Words};
use crate::domain::time::Timestamp;
use crate::store::Store;
use crate::store::engine::{Row, Rows, Transaction, query};
use crate::store::error::StoreError;
use crate::store::people::read_name;
use crate::store::references::SEPARATOR;
use crate::store::subjects::by_subject;

/// A row that is in force and not in its place yet.
#[derive(Debug)]
pub(in crate::store) struct OnTheWay {
    sort: Sort,
    name: Word,
    value: Option<Timestamp>,
    given: Option<Timestamp>,
    purposes: String,
    at: Timestamp,
}

impl OnTheWay {
    fn read(row: &Row, words: &mut Words) -> Result<Self, StoreError> {
        let sort = Sort::from_number(row.try_get("sort")?)
            .ok_or_else(|| StoreError::Damaged("a sort of an import".to_owned()))?;
        let instant = |column| -> Result<Option<Timestamp>, StoreError> {
            let value: Option<i64> = row.try_get(column)?;
            Ok(value.map(Timestamp::from_micros))
        };
        Ok(Self {
            sort,
            name: words.word(row.try_get("name")?),
            value: instant("value")?,
            given: instant("given_us")?,
            purposes: row.try_get("purposes")?,
            at: Timestamp::from_micros(row.try_get("at_us")?),
        })
    }

    /// Registers it.
    pub(in crate::store) fn put_into(self, state: &mut SubjectState) {
        match self.sort {
            Sort::Hold => state.add_hold(&self.name),
            Sort::Date => state.set_date(&self.name, self.value.unwrap_or_default()),
            Sort::Reference(kind) => {
                let Ok(id) = read_name(&self.name) else {
                    return;
                };
                state.put_reference(Reference {
                    kind,
                    id,
                    purposes: self.purposes.split(SEPARATOR).map(Word::from).collect(),
                    until: self.value,
                    since: self.at,
                    given: self.given,
                    withdrawn: false,
                });
            }
        }
    }
}

impl Store {
    /// What is registered now of the subjects that were folded at once; `None` when it is not known any more who they are.
    pub(in crate::store) async fn subjects_of(
        &self,
        folded: &Folded,
    ) -> Result<Option<Vec<(Pseudonym, SubjectState)>>, StoreError> {
        const WHO: &str = "
            SELECT subject, CAST(0 AS BIGINT) AS kind, hold AS name, CAST(NULL AS BIGINT) AS value,
                CAST(NULL AS TEXT) AS purposes, CAST(NULL AS BIGINT) AS at_us,
                CAST(NULL AS BIGINT) AS given_us, FALSE AS withdrawn
            FROM holds WHERE subject IN
                (SELECT subject FROM imported WHERE batch = $1 AND subject > $2 AND subject <= $3)
            UNION ALL
            SELECT subject, CAST(0 AS BIGINT), date, value, CAST(NULL AS TEXT), CAST(NULL AS BIGINT),
                CAST(NULL AS BIGINT), FALSE
            FROM dates WHERE subject IN
                (SELECT subject FROM imported WHERE batch = $1 AND subject > $2 AND subject <= $3)
            UNION ALL
            SELECT subject, kind, id, ends, purposes, at_us, given_us, withdrawn
            FROM subject_references WHERE subject IN
                (SELECT subject FROM imported WHERE batch = $1 AND subject > $2 AND subject <= $3)
            ORDER BY 1";
        const ON_THE_WAY: &str = "
            SELECT imported.subject, imported.sort, imported.name, imported.value, imported.purposes,
                imported.given_us, imports.at_us
            FROM imports JOIN imported ON imported.batch = imports.id
            WHERE imports.log_index IS NOT NULL AND NOT imports.done
                AND (imports.folded IS NULL OR imported.subject > imports.folded)
                AND imported.subject IN
                    (SELECT subject FROM imported WHERE batch = $1 AND subject > $2 AND subject <= $3)
            ORDER BY imports.in_force";
        let mut reading = self.engine.reading().await?;
        let there = query("SELECT id FROM imports WHERE id = $1")
            .bind(folded.batch())
            .fetch_optional(&mut reading)
            .await?;
        if there.is_none() {
            reading.rollback().await?;
            return Ok(None);
        }
        let mut all = Vec::new();
        let rows = query(WHO)
            .bind(folded.batch())
            .bind(folded.after())
            .bind(folded.up_to())
            .fetch(&mut reading);
        by_subject(rows, |subject, state| all.push((subject, state))).await?;
        // Another import may be on its way for the same people.
        let rows = query(ON_THE_WAY)
            .bind(folded.batch())
            .bind(folded.after())
            .bind(folded.up_to())
            .fetch(&mut reading);
        let mut on_the_way = by_way(rows).await?;
        for (subject, state) in &mut all {
            for row in on_the_way.remove(subject).into_iter().flatten() {
                row.put_into(state);
            }
        }
        reading.rollback().await?;
        Ok(Some(all))
    }
}

/// What is in force of one subject and not in its place yet.
pub(in crate::store) async fn on_the_way(
    reading: &mut Transaction,
    subject: Pseudonym,
) -> Result<Vec<OnTheWay>, StoreError> {
    let rows = query(
        "SELECT imported.sort, imported.name, imported.value, imported.purposes, imported.given_us,
             imports.at_us
         FROM imports JOIN imported ON imported.batch = imports.id
         WHERE imports.log_index IS NOT NULL AND NOT imports.done AND imported.subject = $1
             AND (imports.folded IS NULL OR imported.subject > imports.folded)
         ORDER BY imports.in_force",
    )
    .bind(subject.0.as_slice())
    .fetch_all(reading)
    .await?;
    let mut words = Words::default();
    rows.iter()
        .map(|row| OnTheWay::read(row, &mut words))
        .collect()
}

/// The same of all subjects.
pub(in crate::store) async fn all_on_the_way(
    reading: &mut Transaction,
) -> Result<HashMap<Pseudonym, Vec<OnTheWay>>, StoreError> {
    by_way(
        query(
            "SELECT imported.subject, imported.sort, imported.name, imported.value, imported.purposes,
                 imported.given_us, imports.at_us
             FROM imports JOIN imported ON imported.batch = imports.id
             WHERE imports.log_index IS NOT NULL AND NOT imports.done
                 AND (imports.folded IS NULL OR imported.subject > imports.folded)
             ORDER BY imports.in_force",
        )
        .fetch(reading),
    )
    .await
}

async fn by_way(mut rows: Rows<'_>) -> Result<HashMap<Pseudonym, Vec<OnTheWay>>, StoreError> {
    let mut all: HashMap<Pseudonym, Vec<OnTheWay>> = HashMap::new();
    let mut words = Words::default();
    while let Some(row) = rows.next().await {
        let row = row?;
        let subject = Pseudonym::from_bytes(row.try_get("subject")?)
            .ok_or_else(|| StoreError::Damaged("a pseudonym".to_owned()))?;
        all.entry(subject)
            .or_default()
            .push(OnTheWay::read(&row, &mut words)?);
    }
    Ok(all)
}
