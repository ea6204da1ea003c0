//! Documents that callers refer to, for a subject or for nobody in particular. They are changed by `apply` only.

use super::changes::{Following, name, subject};
use super::engine::{On, Row, query};
use super::error::StoreError;
use super::imports::Sort;
use super::news::Told;
use super::people::read_name;
use super::{Store, to_stored};
use crate::domain::ids::{LogIndex, Name};
use crate::domain::reference::{Reference, ReferenceKind};
use crate::domain::subject::{Pseudonym, Words};
use crate::domain::time::Timestamp;
use crate::proto::StoredReference;

/// Between the purposes of one; no id has it in it.
pub(super) const SEPARATOR: char = ',';

/// Reads one, where its id and its end are in these columns.
pub(super) fn read(
    row: &Row,
    id: &str,
    ends: &str,
    words: &mut Words,
) -> Result<Reference, StoreError> {
    let number: i64 = row.try_get("kind")?;
    let kind = i32::try_from(number)
        .ok()
        .and_then(ReferenceKind::from_number)
        .ok_or_else(|| StoreError::Damaged("a reference's kind".to_owned()))?;
    let purposes: &str = row.try_get("purposes")?;
    let until: Option<i64> = row.try_get(ends)?;
    Ok(Reference {
        kind,
        id: read_name(row.try_get(id)?)?,
        purposes: purposes
            .split(SEPARATOR)
            .map(|purpose| words.word(purpose))
            .collect(),
        until: until.map(Timestamp::from_micros),
        since: Timestamp::from_micros(row.try_get("at_us")?),
        given: row
            .try_get::<Option<i64>>("given_us")?
            .map(Timestamp::from_micros),
        withdrawn: row.try_get("withdrawn")?,
    })
}

impl Store {
    /// The references of one subject, or those for nobody in particular, in the order of kind and id: `most` of those after
    /// `after`.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn references(
        &self,
        subject: Option<Pseudonym>,
        after: Option<&(ReferenceKind, Name)>,
        most: usize,
    ) -> Result<Vec<Reference>, StoreError> {
        registered(&self.engine, subject, after, most).await
    }

    /// Hands over what is for nobody in particular, id by id.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn load_general(
        &self,
        mut each: impl FnMut(Name, Vec<Reference>),
    ) -> Result<(), StoreError> {
        let mut reading = self.engine.reading().await?;
        let mut rows = query(
            "SELECT kind, id, purposes, ends, at_us, given_us, withdrawn FROM subject_references
             WHERE subject = $1 ORDER BY id, kind",
        )
        .bind(Vec::new())
        .fetch(&mut reading);
        let mut words = Words::default();
        let mut current: Vec<Reference> = Vec::new();
        let mut hand_over = |all: Vec<Reference>| {
            if let Some(first) = all.first() {
                each(first.id.clone(), all);
            }
        };
        while let Some(row) = rows.next().await {
            let reference = read(&row?, "id", "ends", &mut words)?;
            if current
                .first()
                .is_some_and(|first| first.id != reference.id)
            {
                hand_over(std::mem::take(&mut current));
            }
            current.push(reference);
        }
        hand_over(current);
        drop(rows);
        reading.rollback().await
    }

    /// What is for nobody in particular under one id.
    pub(super) async fn general_of(&self, id: &[u8]) -> Result<(Name, Vec<Reference>), StoreError> {
        let id = std::str::from_utf8(id)
            .map_err(|_| StoreError::Damaged("a reference's id".to_owned()))?;
        let rows = query(
            "SELECT kind, id, purposes, ends, at_us, given_us, withdrawn FROM subject_references
             WHERE subject = $1 AND id = $2",
        )
        .bind(Vec::new())
        .bind(id)
        .fetch_all(&self.engine)
        .await?;
        let mut words = Words::default();
        let all = rows.iter().map(|row| read(row, "id", "ends", &mut words));
        Ok((read_name(id)?, all.collect::<Result<_, _>>()?))
    }
}

/// The same, in a reading that others go on in.
pub(super) async fn registered(
    on: impl Into<On<'_>>,
    subject: Option<Pseudonym>,
    after: Option<&(ReferenceKind, Name)>,
    most: usize,
) -> Result<Vec<Reference>, StoreError> {
    let whose = subject.map_or_else(Vec::new, |subject| subject.0.to_vec());
    let (kind, id) = match after {
        Some((kind, id)) => (i64::from(kind.number()), id.to_string()),
        None => (0, String::new()),
    };
    let rows = query(
        "SELECT kind, id, purposes, ends, at_us, given_us, withdrawn FROM subject_references
             WHERE subject = $1 AND (kind > $2 OR (kind = $2 AND id > $3))
             ORDER BY kind, id LIMIT $4",
    )
    .bind(whose)
    .bind(kind)
    .bind(id)
    .bind(i64::try_from(most).unwrap_or(i64::MAX))
    .fetch_all(on)
    .await?;
    let mut words = Words::default();
    rows.iter()
        .map(|row| read(row, "id", "ends", &mut words))
        .collect()
}

impl Following<'_> {
    pub(super) async fn put_reference(
        &mut self,
        index: LogIndex,
        reference: &StoredReference,
        withdrawn: bool,
    ) -> Result<(), StoreError> {
        let whose = match reference.subject.as_slice() {
            [] => &[],
            bytes => subject(index, bytes)?,
        };
        let kind = ReferenceKind::from_number(reference.kind).ok_or(StoreError::Change(index))?;
        let id = name(index, &reference.reference)?;
        for purpose in &reference.purposes {
            name(index, purpose)?;
        }
        self.supersede(whose, Sort::Reference(kind), id).await?;
        // One that is withdrawn stays as it is; one that is registered again is no newer than it was, and was given when it is said
        // for the first time, or earlier.
        const REGISTER: &str = "
            INSERT INTO subject_references
                (subject, kind, id, purposes, ends, at_us, withdrawn, log_index, log, given_us)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, CAST($10 AS BIGINT))
            ON CONFLICT (subject, kind, id) DO UPDATE
            SET purposes = excluded.purposes, ends = excluded.ends,
                given_us = CASE
                    WHEN NOT $11 OR subject_references.given_us < excluded.given_us
                    THEN subject_references.given_us ELSE excluded.given_us END,
                log_index = excluded.log_index, log = excluded.log
            WHERE NOT subject_references.withdrawn";
        // What it was for is what is withdrawn.
        const WITHDRAW: &str = "
            INSERT INTO subject_references
                (subject, kind, id, purposes, ends, at_us, withdrawn, log_index, log)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            ON CONFLICT (subject, kind, id) DO UPDATE
            SET at_us = excluded.at_us, withdrawn = excluded.withdrawn,
                log_index = excluded.log_index, log = excluded.log
            WHERE NOT subject_references.withdrawn";
        let mut put = query(if withdrawn { WITHDRAW } else { REGISTER })
            .bind(whose)
            .bind(i64::from(kind.number()))
            .bind(id)
            .bind(reference.purposes.join(&SEPARATOR.to_string()))
            .bind(reference.until_us)
            .bind(reference.at_us)
            .bind(withdrawn)
            .bind(to_stored(index.0)?)
            .bind(self.log);
        if !withdrawn {
            // Unless it says when it was given, one that is new was given then.
            put = put
                .bind(reference.given_us.unwrap_or(reference.at_us))
                .bind(reference.given_us.is_some());
        }
        put.execute(&mut self.change).await?;
        if whose.is_empty() {
            self.tell(Told::General(id)).await
        } else {
            self.tell(Told::Subject(whose)).await
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::subject::SubjectState;
    use crate::proto::StoredChange;
    use crate::proto::stored_change::Kind;
    use crate::store::tests::{both, change, hold};

    pub(in crate::store) fn reference(subject: u8, kind: i32, id: &str) -> StoredReference {
        StoredReference {
            subject: vec![subject; 32],
            kind,
            reference: id.to_owned(),
            purposes: vec!["news".to_owned(), "sale".to_owned()],
            until_us: Some(7),
            at_us: 3,
            given_us: None,
        }
    }

    fn general(kind: i32, id: &str) -> StoredReference {
        StoredReference {
            subject: Vec::new(),
            ..reference(0, kind, id)
        }
    }

    async fn apply(store: &Store, kinds: Vec<Kind>) {
        let begin = store.applied().await.unwrap();
        let changes: Vec<(LogIndex, StoredChange)> = (begin..)
            .map(LogIndex)
            .zip(kinds.into_iter().map(change))
            .collect();
        let end = begin + u64::try_from(changes.len()).unwrap();
        store.apply(&changes, end).await.unwrap();
    }

    async fn loaded(store: &Store) -> Vec<(u8, SubjectState)> {
        let mut all = Vec::new();
        let each = |subject: Pseudonym, state| all.push((subject.0[0], state));
        store.load_subjects(each).await.unwrap();
        all
    }

    async fn loaded_general(store: &Store) -> Vec<(String, usize)> {
        let mut all = Vec::new();
        let each = |id: Name, references: Vec<_>| all.push((id.to_string(), references.len()));
        store.load_general(each).await.unwrap();
        all
    }

    both! {
    async fn references_are_told_as_they_were_registered(home) {
        let store = home.open().await;
        let later = StoredReference {
            purposes: vec!["news".to_owned()],
            until_us: None,
            at_us: 9,
            ..reference(1, 3, "c-1")
        };
        apply(&store, vec![
            Kind::RegisterReference(reference(1, 3, "c-1")),
            Kind::RegisterReference(reference(1, 5, "c-1")),
            Kind::RegisterHold(hold(1, "stop")),
            Kind::RegisterReference(general(1, "n-1")),
            Kind::RegisterReference(general(2, "n-1")),
            Kind::RegisterReference(general(2, "e-1")),
            Kind::RegisterReference(later),
        ]).await;
        store.close().await;
        let store = home.open().await;
        let all = loaded(&store).await;
        assert_eq!(all.len(), 1);
        let (_, state) = &all[0];
        assert!(state.has_hold("stop"));
        let [consent, order] = &state.references[..] else { panic!("{state:?}") };
        assert_eq!((consent.kind, order.kind), (ReferenceKind::Consent, ReferenceKind::Order));
        assert_eq!((consent.until, consent.since), (None, Timestamp::from_micros(3)));
        assert!(consent.covers("news") && !consent.covers("sale") && order.covers("sale"));
        assert_eq!(order.until, Some(Timestamp::from_micros(7)));
        assert_eq!(loaded_general(&store).await, [("e-1".to_owned(), 1), ("n-1".to_owned(), 2)]);
    }
    }

    both! {
    async fn what_is_withdrawn_stays_so_and_says_for_what_it_was(home) {
        let store = home.open().await;
        let empty = StoredReference { purposes: Vec::new(), at_us: 8, ..reference(1, 3, "c-1") };
        apply(&store, vec![
            Kind::RegisterReference(reference(1, 3, "c-1")),
            Kind::WithdrawReference(empty),
            Kind::RegisterReference(StoredReference { at_us: 9, ..reference(1, 3, "c-1") }),
            Kind::WithdrawReference(StoredReference { at_us: 10, ..reference(1, 3, "c-1") }),
            Kind::WithdrawReference(reference(2, 3, "never-registered")),
        ]).await;
        let all = loaded(&store).await;
        let withdrawn = &all[0].1.references[0];
        assert!(withdrawn.withdrawn && withdrawn.covers("sale"));
        assert_eq!(withdrawn.since, Timestamp::from_micros(8));
        assert!(all[1].1.references[0].withdrawn);
    }
    }

    both! {
    async fn a_page_begins_after_the_one_before(home) {
        let store = home.open().await;
        apply(&store, vec![
            Kind::RegisterReference(general(1, "b")),
            Kind::RegisterReference(general(1, "a")),
            Kind::RegisterReference(general(2, "a")),
            Kind::RegisterReference(reference(1, 1, "c")),
        ]).await;
        let mut told = Vec::new();
        let mut after = None;
        loop {
            let page = store.references(None, after.as_ref(), 2).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some((last.kind, last.id.clone()));
            told.extend(page.iter().map(|one| (one.kind.number(), one.id.to_string())));
        }
        assert_eq!(told, [(1, "a".to_owned()), (1, "b".to_owned()), (2, "a".to_owned())]);
    }
    }

    both! {
    async fn a_reference_of_an_unknown_kind_stops_all(home) {
        let store = home.open().await;
        for bad in [
            reference(1, 99, "a"),
            reference(1, 1, " "),
            StoredReference { subject: vec![1; 31], ..reference(1, 1, "a") },
        ] {
            let changes = [(LogIndex(0), change(Kind::RegisterReference(bad)))];
            let refused = store.apply(&changes, 1).await.unwrap_err();
            assert!(matches!(refused, StoreError::Change(LogIndex(0))), "{refused}");
        }
    }
    }

    #[tokio::test]
    async fn others_hear_of_references() {
        let home = crate::store::tests::Home::postgres();
        let store = home.open().await;
        let other = home.open_shared("log-b").await;
        let seen = other.newest_change().await.unwrap();
        apply(
            &store,
            vec![
                Kind::RegisterReference(reference(1, 3, "c-1")),
                Kind::RegisterReference(general(1, "n-1")),
            ],
        )
        .await;
        let news = other.news_since(seen).await.unwrap();
        assert_eq!(news.subjects.len(), 1);
        assert_eq!(news.subjects[0].1.references.len(), 1);
        assert_eq!(news.general.len(), 1);
        assert_eq!(&*news.general[0].0, "n-1");
        assert!(store.news_since(seen).await.unwrap().general.is_empty());
    }
}
