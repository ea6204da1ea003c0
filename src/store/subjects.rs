//! Holds, dates and references of the people whose data are guarded, by pseudonym. They are changed by `apply` only.

use super::Store;
use super::engine::{Rows, query};
use super::error::StoreError;
use super::people::read_name;
use super::{imports, references};
use crate::domain::reference::Reference;
use crate::domain::subject::{Pseudonym, SubjectState, Words};
use crate::domain::time::Timestamp;

/// All tables lie in this order on disk, so nothing is sorted. Columns that one table has and the others lack are read as
/// nothing.
const ALL: &str = "
    SELECT subject, CAST(0 AS BIGINT) AS kind, hold AS name, CAST(NULL AS BIGINT) AS value,
        CAST(NULL AS TEXT) AS purposes, CAST(NULL AS BIGINT) AS at_us, CAST(NULL AS BIGINT) AS given_us,
        FALSE AS withdrawn
    FROM holds
    UNION ALL
    SELECT subject, CAST(0 AS BIGINT), date, value, CAST(NULL AS TEXT), CAST(NULL AS BIGINT),
        CAST(NULL AS BIGINT), FALSE
    FROM dates
    UNION ALL
    SELECT subject, kind, id, ends, purposes, at_us, given_us, withdrawn
    FROM subject_references WHERE subject > $1
    ORDER BY 1";

/// By the index `dates_by_value`.
const BEFORE: &str = "
    SELECT subject, value FROM dates
    WHERE date = $1 AND value < $2 AND value >= $3 AND (value > $3 OR subject > $4)
    ORDER BY value, subject LIMIT $5";

impl Store {
    /// Hands over what is registered, each subject once and all as of one moment, without ever holding more than one subject and
    /// what is on its way from an import to its place. Returns how many subjects there were.
    ///
    /// # Errors
    /// When the store can't be read. What was handed over by then is not the whole, and must not be decided upon.
    pub async fn load_subjects(
        &self,
        mut each: impl FnMut(Pseudonym, SubjectState),
    ) -> Result<u64, StoreError> {
        let mut reading = self.engine.reading().await?;
        let mut on_the_way = imports::all_on_the_way(&mut reading).await?;
        let mut count = 0_u64;
        let mut hand_over = |subject, mut state: SubjectState| {
            for row in on_the_way.remove(&subject).into_iter().flatten() {
                row.put_into(&mut state);
            }
            each(subject, state);
            count = count.saturating_add(1);
        };
        let rows = query(ALL).bind(Vec::new()).fetch(&mut reading);
        by_subject(rows, &mut hand_over).await?;
        let subjects: Vec<Pseudonym> = on_the_way.keys().copied().collect();
        for subject in subjects {
            let mut state = SubjectState::default();
            for row in on_the_way.remove(&subject).into_iter().flatten() {
                row.put_into(&mut state);
            }
            each(subject, state);
            count = count.saturating_add(1);
        }
        reading.rollback().await?;
        Ok(count)
    }
}

impl Store {
    /// Subjects whose `date` is before `before`, in the order of the date and then of their own: `most` of those after `after`.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn subjects_with_date_before(
        &self,
        date: &str,
        before: Timestamp,
        after: Option<(Timestamp, Pseudonym)>,
        most: usize,
    ) -> Result<Vec<(Pseudonym, Timestamp)>, StoreError> {
        let (value, subject) = after.map_or_else(
            || (i64::MIN, Vec::new()),
            |(value, subject)| (value.micros(), subject.0.to_vec()),
        );
        let rows = query(BEFORE)
            .bind(date)
            .bind(before.micros())
            .bind(value)
            .bind(subject)
            .bind(i64::try_from(most).unwrap_or(i64::MAX))
            .fetch_all(&self.engine)
            .await?;
        rows.iter()
            .map(|row| {
                let subject = Pseudonym::from_bytes(row.try_get("subject")?)
                    .ok_or_else(|| StoreError::Damaged("a pseudonym".to_owned()))?;
                Ok((subject, Timestamp::from_micros(row.try_get("value")?)))
            })
            .collect()
    }
}

/// Puts rows that come in the order of their subjects together.
pub(super) async fn by_subject(
    mut rows: Rows<'_>,
    mut each: impl FnMut(Pseudonym, SubjectState),
) -> Result<(), StoreError> {
    let mut words = Words::default();
    let mut current: Option<(Pseudonym, SubjectState)> = None;
    let mut references: Vec<Reference> = Vec::new();
    let mut done = |current: Option<(Pseudonym, SubjectState)>, references: &mut Vec<Reference>| {
        if let Some((subject, mut state)) = current {
            references
                .sort_unstable_by(|one, other| (one.kind, &one.id).cmp(&(other.kind, &other.id)));
            state.references = std::mem::take(references).into();
            each(subject, state);
        }
    };
    while let Some(row) = rows.next().await {
        let row = row?;
        let subject = Pseudonym::from_bytes(row.try_get("subject")?)
            .ok_or_else(|| StoreError::Damaged("a pseudonym".to_owned()))?;
        if current.as_ref().is_some_and(|(same, _)| *same != subject) {
            done(current.take(), &mut references);
        }
        let (_, state) = current.get_or_insert_with(|| (subject, SubjectState::default()));
        if row.try_get::<i64>("kind")? > 0 {
            references.push(references::read(&row, "name", "value", &mut words)?);
            continue;
        }
        let name = words.word(&read_name(row.try_get("name")?)?);
        match row.try_get::<Option<i64>>("value")? {
            None => state.holds.push(name),
            Some(micros) => state.dates.push((name, Timestamp::from_micros(micros))),
        }
    }
    done(current, &mut references);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::LogIndex;
    use crate::proto::stored_change::Kind;
    use crate::proto::{StoredChange, StoredDate};
    use crate::store::tests::{Home, both, change, hold};
    use std::collections::BTreeMap;

    fn date(subject: u8, date: &str, seconds: i64) -> StoredChange {
        change(Kind::SetDate(StoredDate {
            subject: vec![subject; 32],
            date: date.to_owned(),
            value_us: Timestamp::from_seconds(seconds).micros(),
            reference: String::new(),
        }))
    }

    async fn load(store: &Store) -> BTreeMap<u8, SubjectState> {
        let mut all = BTreeMap::new();
        let each = |subject: Pseudonym, state| assert!(all.insert(subject.0[0], state).is_none());
        let count = store.load_subjects(each).await.unwrap();
        assert_eq!(count, u64::try_from(all.len()).unwrap());
        all
    }

    both! {
    async fn holds_and_dates_are_told_as_they_were_registered(home) {
        let store = home.open().await;
        assert!(load(&store).await.is_empty());
        let changes: Vec<(LogIndex, StoredChange)> = (0..)
            .map(LogIndex)
            .zip([
                date(3, "retention-end", -5),
                change(Kind::RegisterHold(hold(1, "use-suspended"))),
                date(1, "keep-until", 10),
                change(Kind::RegisterHold(hold(1, "legal-hold"))),
                change(Kind::RegisterHold(hold(2, "legal-hold"))),
                change(Kind::RegisterHold(hold(1, "legal-hold"))),
                change(Kind::ReleaseHold(hold(2, "legal-hold"))),
                change(Kind::ReleaseHold(hold(9, "never-registered"))),
                date(1, "keep-until", 20),
            ])
            .collect();
        store.apply(&changes, 9).await.unwrap();
        store.close().await;
        let store = home.open().await;
        let all = load(&store).await;
        assert_eq!(all.keys().copied().collect::<Vec<u8>>(), [1, 3]);
        let one = &all[&1];
        assert!(one.has_hold("use-suspended") && one.has_hold("legal-hold"));
        assert_eq!(one.holds.len(), 2);
        assert_eq!(one.date("keep-until"), Some(Timestamp::from_seconds(20)));
        assert_eq!(one.dates.len(), 1);
        let three = &all[&3];
        assert_eq!(
            three.date("retention-end"),
            Some(Timestamp::from_seconds(-5))
        );
        assert!(three.holds.is_empty());
    }
    }

    both! {
    async fn a_hold_and_a_date_of_one_name_are_told_apart(home) {
        let store = home.open().await;
        let changes = [
            (LogIndex(0), change(Kind::RegisterHold(hold(1, "same")))),
            (LogIndex(1), date(1, "same", 0)),
        ];
        store.apply(&changes, 2).await.unwrap();
        let all = load(&store).await;
        assert!(all[&1].has_hold("same"));
        assert_eq!(all[&1].date("same"), Some(Timestamp::from_seconds(0)));
    }
    }

    #[tokio::test]
    async fn subjects_come_without_a_sort() {
        let home = Home::sqlite();
        let store = home.open().await;
        let explain = String::leak(format!("EXPLAIN QUERY PLAN {ALL}"));
        let plan = query(explain).bind(Vec::new());
        let rows = plan.fetch_all(&store.engine).await.unwrap();
        for row in &rows {
            let step: &str = row.try_get("detail").unwrap();
            assert!(!step.contains("TEMP B-TREE"), "{step}");
        }
    }

    both! {
    async fn subjects_come_by_their_date_page_after_page(home) {
        let store = home.open().await;
        let changes: Vec<(LogIndex, StoredChange)> = (0..)
            .map(LogIndex)
            .zip([
                date(1, "end", 30),
                date(2, "end", 10),
                date(3, "end", 10),
                date(4, "end", 40),
                date(5, "other", 10),
            ])
            .collect();
        store.apply(&changes, 5).await.unwrap();
        let mut after = None;
        let mut found = Vec::new();
        loop {
            let before = Timestamp::from_seconds(40);
            let page = store.subjects_with_date_before("end", before, after, 1).await.unwrap();
            let Some((subject, date)) = page.first().copied() else { break };
            found.push((subject.0[0], date.seconds()));
            after = Some((date, subject));
        }
        assert_eq!(found, [(2, 10), (3, 10), (1, 30)]);
    }
    }

    #[tokio::test]
    async fn whose_date_is_before_is_found_by_an_index() {
        let home = Home::sqlite();
        let store = home.open().await;
        let explain = String::leak(format!("EXPLAIN QUERY PLAN {BEFORE}"));
        let plan = query(explain)
            .bind("end")
            .bind(5)
            .bind(i64::MIN)
            .bind(Vec::new())
            .bind(9);
        let rows = plan.fetch_all(&store.engine).await.unwrap();
        let steps: Vec<&str> = rows
            .iter()
            .map(|row| row.try_get("detail").unwrap())
            .collect();
        assert!(
            steps.len() == 1 && steps[0].contains("INDEX dates_by_value (date=? AND value"),
            "{steps:?}"
        );
    }
}
