//! What is promised of imports, on both stores.

use super::*;
use crate::domain::ids::LogIndex;
use crate::domain::subject::SubjectState;
use crate::proto::stored_change::Kind;
use crate::proto::{StoredChange, StoredDate, StoredSubjectImport};
use crate::store::Store;
use crate::store::tests::{Home, both, change, hold};
use std::collections::BTreeMap;

/// Whose number it is.
fn pseudonym(number: u32) -> Pseudonym {
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    Pseudonym(bytes)
}

fn row(number: u32, sort: Sort, name: &str) -> ImportedRow<'_> {
    ImportedRow {
        subject: Some(pseudonym(number)),
        sort,
        name,
        given: None,
        value: (sort != Sort::Hold).then(|| Timestamp::from_micros(i64::from(number))),
        purposes: &[],
        reference: "list-1",
    }
}

async fn stage(store: &Store, rows: &[ImportedRow<'_>]) -> BatchId {
    let count = u64::try_from(rows.len()).unwrap();
    let batch = store
        .begin_import(count, Timestamp::default())
        .await
        .unwrap();
    for rows in rows.chunks(CHUNK) {
        store.stage_rows(batch, rows).await.unwrap();
    }
    batch
}

fn in_force(batch: BatchId, rows: usize) -> StoredChange {
    in_force_as(batch, rows, 0, 5)
}

fn in_force_as(batch: BatchId, rows: usize, digest: u8, at_us: i64) -> StoredChange {
    change(Kind::ImportSubjects(StoredSubjectImport {
        batch: batch.as_bytes().to_vec(),
        rows: u64::try_from(rows).unwrap(),
        digest: vec![digest; 32],
        at_us,
    }))
}

async fn apply(store: &Store, changes: Vec<StoredChange>) {
    let begin = store.applied().await.unwrap();
    let changes: Vec<_> = (begin..).map(LogIndex).zip(changes).collect();
    let end = begin + u64::try_from(changes.len()).unwrap();
    store.apply(&changes, end).await.unwrap();
}

async fn fold_all(store: &Store) -> u64 {
    let mut moved = 0;
    while let Some(rows) = store.fold_imports().await.unwrap() {
        moved += rows;
    }
    moved
}

async fn load(store: &Store) -> BTreeMap<u32, SubjectState> {
    let mut all = BTreeMap::new();
    let each = |subject: Pseudonym, state| {
        let number = u32::from_be_bytes(subject.0[..4].try_into().unwrap());
        assert!(all.insert(number, state).is_none());
    };
    let count = store.load_subjects(each).await.unwrap();
    assert_eq!(count, u64::try_from(all.len()).unwrap());
    all
}

fn many(rows: u32) -> Vec<ImportedRow<'static>> {
    (0..rows)
        .flat_map(|number| {
            let date = row(number, Sort::Date, "end");
            [row(number, Sort::Hold, "stop"), date]
                .into_iter()
                .take(1 + usize::from(number % 2 == 0))
        })
        .collect()
}

both! {
async fn what_lies_ready_counts_from_its_entry_on_wherever_it_is(home) {
    let store = home.open().await;
    let rows = many(5_003);
    let batch = stage(&store, &rows).await;
    assert!(load(&store).await.is_empty());
    apply(&store, vec![in_force(batch, rows.len())]).await;
    let check = async |store: &Store| {
        let all = load(store).await;
        assert_eq!(all.len(), 5_003);
        for (number, state) in &all {
            assert!(state.has_hold("stop"));
            let date = (number % 2 == 0).then(|| Timestamp::from_micros(i64::from(*number)));
            assert_eq!(state.date("end"), date);
        }
    };
    check(&store).await;
    let first = store.fold_imports().await.unwrap().unwrap();
    assert!((1..=4_000).contains(&first), "{first}");
    check(&store).await;
    store.close().await;
    let store = home.open().await;
    assert_eq!(store.drop_unnamed_imports().await.unwrap(), 0);
    check(&store).await;
    assert_eq!(first + fold_all(&store).await, u64::try_from(rows.len()).unwrap());
    check(&store).await;
    assert_eq!(store.lost_imports().await.unwrap(), []);
    store.forget_folded_imports(Timestamp::from_seconds(9_999)).await.unwrap();
    check(&store).await;
    let left = query("SELECT count(*) AS n FROM imported").fetch_one(&store.engine).await;
    assert_eq!(left.unwrap().try_get::<i64>("n").unwrap(), 0);
}
}

both! {
async fn what_no_entry_named_is_dropped(home) {
    let store = home.open().await;
    let rows = many(2_500);
    let (one, other) = (stage(&store, &rows).await, stage(&store, &rows[..3]).await);
    store.unstage_import(other).await.unwrap();
    store.close().await;
    let store = home.open().await;
    assert_eq!(store.drop_unnamed_imports().await.unwrap(), 3_750);
    apply(&store, vec![in_force(one, rows.len())]).await;
    assert_eq!(store.lost_imports().await.unwrap().len(), 1);
    fold_all(&store).await;
    assert!(load(&store).await.is_empty());
}
}

both! {
async fn one_that_is_in_force_is_not_unstaged(home) {
    let store = home.open().await;
    let rows = many(2);
    let batch = stage(&store, &rows).await;
    apply(&store, vec![in_force(batch, rows.len())]).await;
    store.unstage_import(batch).await.unwrap();
    assert_eq!(load(&store).await.len(), 2);
}
}

both! {
async fn what_came_before_gives_way_and_what_came_after_stays(home) {
    let store = home.open().await;
    let stop = |number| StoredHoldOf(number).hold();
    let date = |number, value_us| change(Kind::SetDate(StoredDate {
        subject: pseudonym(number).0.to_vec(),
        date: "end".to_owned(),
        value_us,
        reference: String::new(),
    }));
    apply(&store, vec![date(2, 77), change(Kind::RegisterHold(stop(9)))]).await;
    let rows = many(5);
    let batch = stage(&store, &rows).await;
    apply(&store, vec![
        in_force(batch, rows.len()),
        change(Kind::ReleaseHold(stop(0))),
        date(4, 88),
    ]).await;
    for _ in 0..2 {
        let all = load(&store).await;
        assert!(!all[&0].has_hold("stop") && all[&1].has_hold("stop") && all[&9].has_hold("stop"));
        assert_eq!(all[&2].date("end"), Some(Timestamp::from_micros(2)));
        assert_eq!(all[&4].date("end"), Some(Timestamp::from_micros(88)));
        fold_all(&store).await;
    }
}
}

both! {
async fn a_reference_that_was_withdrawn_is_not_brought_back(home) {
    let store = home.open().await;
    let purposes = [Word::from("news"), Word::from("sale")];
    let sort = Sort::Reference(ReferenceKind::Consent);
    let reference = |number| ImportedRow { purposes: &purposes, ..row(number, sort, "c-1") };
    let withdrawal = crate::proto::StoredReference {
        subject: pseudonym(1).0.to_vec(),
        kind: ReferenceKind::Consent.number(),
        reference: "c-1".to_owned(),
        purposes: vec!["news".to_owned()],
        until_us: None,
        at_us: 3,
        given_us: None,
    };
    apply(&store, vec![change(Kind::WithdrawReference(withdrawal))]).await;
    let batch = stage(&store, &[reference(1), reference(2)]).await;
    apply(&store, vec![in_force(batch, 2)]).await;
    for _ in 0..2 {
        let all = load(&store).await;
        assert!(all[&1].references[0].withdrawn);
        let other = &all[&2].references[0];
        assert!(!other.withdrawn && other.covers("sale") && other.covers("news"));
        assert_eq!((other.since, other.until), (Timestamp::from_micros(5), Some(Timestamp::from_micros(2))));
        fold_all(&store).await;
    }
}
}

both! {
async fn of_what_is_not_whole_nothing_counts_until_the_same_was_imported_again(home) {
    let store = home.open().await;
    let rows = many(30);
    let partial = stage(&store, &rows[..rows.len() - 1]).await;
    apply(&store, vec![in_force_as(partial, rows.len(), 7, 5)]).await;
    for _ in 0..2 {
        assert!(load(&store).await.is_empty());
        fold_all(&store).await;
        store.drop_unnamed_imports().await.unwrap();
        store.forget_folded_imports(Timestamp::from_seconds(9_999)).await.unwrap();
    }
    let left = query("SELECT count(*) AS n FROM imported").fetch_one(&store.engine).await;
    assert_eq!(left.unwrap().try_get::<i64>("n").unwrap(), 0);
    let lost = store.lost_imports().await.unwrap();
    let [one] = &lost[..] else { panic!("{lost:?}") };
    assert_eq!((one.index, one.own), (LogIndex(0), true));
    let all = u64::try_from(rows.len()).unwrap();
    assert!(one.is(all, &[7; 32]) && !one.is(all, &[8; 32]) && !one.is(all - 1, &[7; 32]));
    let other = stage(&store, &rows).await;
    apply(&store, vec![in_force_as(other, rows.len(), 8, 6)]).await;
    assert_eq!(store.lost_imports().await.unwrap(), lost);
    store.close().await;
    let store = home.open().await;
    assert_eq!(store.lost_imports().await.unwrap(), lost);
    let again = stage(&store, &rows).await;
    apply(&store, vec![in_force_as(again, rows.len(), 7, 7)]).await;
    assert_eq!(store.lost_imports().await.unwrap(), []);
    fold_all(&store).await;
    assert_eq!(load(&store).await.len(), 30);
}
}

both! {
async fn imports_are_folded_in_the_order_of_their_entries_whatever_the_clock_said(home) {
    let store = home.open().await;
    let dated = |value| ImportedRow {
        value: Some(Timestamp::from_micros(value)),
        ..row(1, Sort::Date, "end")
    };
    let (first, second) = (stage(&store, &[dated(1)]).await, stage(&store, &[dated(2)]).await);
    // The clock was set back in between.
    apply(&store, vec![in_force_as(first, 1, 1, 900), in_force_as(second, 1, 2, 100)]).await;
    for _ in 0..2 {
        let all = load(&store).await;
        assert_eq!(all[&1].date("end"), Some(Timestamp::from_micros(2)));
        fold_all(&store).await;
    }
}
}

both! {
async fn what_is_for_nobody_in_particular_is_in_its_place_at_once(home) {
    let store = home.open().await;
    let purposes = [Word::from("news")];
    let notice = |subject, name| ImportedRow {
        subject,
        sort: Sort::Reference(ReferenceKind::Notice),
        name,
        value: None,
        given: None,
        purposes: &purposes,
        reference: "",
    };
    let rows = [notice(None, "n-1"), notice(None, "n-2"), notice(Some(pseudonym(1)), "n-1")];
    let batch = stage(&store, &rows).await;
    let general = async |store: &Store| {
        let mut all = Vec::new();
        store.load_general(|id, of| all.push((id.to_string(), of.len()))).await.unwrap();
        all
    };
    assert_eq!(general(&store).await, []);
    apply(&store, vec![in_force(batch, rows.len())]).await;
    for _ in 0..2 {
        let expected = [("n-1".to_owned(), 1), ("n-2".to_owned(), 1)];
        assert_eq!(general(&store).await, expected);
        let all = load(&store).await;
        assert_eq!(all.len(), 1);
        assert_eq!(all[&1].references.len(), 1);
        fold_all(&store).await;
    }
}
}

both! {
async fn when_a_consent_was_given_is_kept_and_never_later_than_it_was(home) {
    let store = home.open().await;
    let purposes = [Word::from("news")];
    let at = Timestamp::from_micros;
    let consent = |number, given: Option<i64>| ImportedRow {
        given: given.map(at),
        purposes: &purposes,
        value: None,
        ..row(number, Sort::Reference(ReferenceKind::Consent), "c-1")
    };
    let given = async |store: &Store| {
        let all = load(store).await;
        all.values().map(|state| state.references[0].given).collect::<Vec<_>>()
    };
    let first = [consent(1, None), consent(2, Some(20)), consent(3, Some(30))];
    let again = [consent(1, Some(10)), consent(2, Some(21)), consent(3, Some(29))];
    let (one, other) = (stage(&store, &first).await, stage(&store, &again).await);
    apply(&store, vec![in_force(one, 3)]).await;
    for _ in 0..2 {
        assert_eq!(given(&store).await, [None, Some(at(20)), Some(at(30))]);
        fold_all(&store).await;
    }
    apply(&store, vec![in_force_as(other, 3, 1, 40)]).await;
    for _ in 0..2 {
        assert_eq!(given(&store).await, [Some(at(10)), Some(at(20)), Some(at(29))]);
        fold_all(&store).await;
    }
    let once_more = |number: u32, given_us| change(Kind::RegisterReference(crate::proto::StoredReference {
        subject: pseudonym(number).0.to_vec(),
        kind: ReferenceKind::Consent.number(),
        reference: "c-1".to_owned(),
        purposes: vec!["news".to_owned()],
        until_us: None,
        at_us: 50,
        given_us,
    }));
    apply(&store, vec![once_more(1, None), once_more(2, Some(19)), once_more(3, Some(31)), once_more(4, None)]).await;
    let expected = [Some(at(10)), Some(at(19)), Some(at(29)), Some(at(50))];
    assert_eq!(given(&store).await, expected);
}
}

#[tokio::test]
async fn what_a_daemon_that_is_gone_put_in_force_is_folded_and_forgotten_by_another() {
    let home = Home::postgres();
    let store = home.open().await;
    let other = home.open_shared("log-b").await;
    let rows = many(5);
    let batch = stage(&store, &rows).await;
    apply(&store, vec![in_force(batch, rows.len())]).await;
    store.close().await;
    fold_all(&other).await;
    other
        .forget_folded_imports(Timestamp::from_seconds(9_999))
        .await
        .unwrap();
    let left = query("SELECT count(*) AS n FROM imports").fetch_one(&other.engine);
    assert_eq!(left.await.unwrap().try_get::<i64>("n").unwrap(), 0);
    assert_eq!(load(&other).await.len(), 5);
}

#[tokio::test]
async fn others_hear_of_all_that_is_for_nobody_in_particular() {
    let home = Home::postgres();
    let store = home.open().await;
    let other = home.open_shared("log-b").await;
    let seen = other.newest_change().await.unwrap();
    let purposes = [Word::from("news")];
    let names: Vec<String> = (0..7).map(|number| format!("n-{number}")).collect();
    let kinds = [ReferenceKind::Notice, ReferenceKind::Engagement];
    let rows: Vec<ImportedRow<'_>> = names
        .iter()
        .flat_map(|name| kinds.map(|kind| (name, kind)))
        .map(|(name, kind)| ImportedRow {
            subject: None,
            sort: Sort::Reference(kind),
            name,
            value: None,
            given: None,
            purposes: &purposes,
            reference: "",
        })
        .collect();
    let batch = stage(&store, &rows).await;
    apply(&store, vec![in_force(batch, rows.len())]).await;
    let news = other.news_since(seen).await.unwrap();
    assert!(!news.all && !news.more);
    let mut heard: Vec<(String, usize)> = news
        .general
        .iter()
        .map(|(id, all)| (id.to_string(), all.len()))
        .collect();
    heard.sort();
    let expected: Vec<(String, usize)> = names.into_iter().map(|name| (name, 2)).collect();
    assert_eq!(heard, expected);
}

#[tokio::test]
async fn others_hear_that_an_import_is_lost_and_that_it_is_no_more() {
    let home = Home::postgres();
    let store = home.open().await;
    let other = home.open_shared("log-b").await;
    let rows = many(1);
    let mut seen = other.newest_change().await.unwrap();
    for (staged, count) in [(1, 1), (rows.len(), 0)] {
        let batch = stage(&store, &rows[..staged]).await;
        apply(&store, vec![in_force(batch, rows.len())]).await;
        let news = other.news_since(seen).await.unwrap();
        assert!(news.lost);
        seen = news.seen;
        let lost = other.lost_imports().await.unwrap();
        assert_eq!(lost.len(), count);
        assert!(lost.iter().all(|lost| !lost.own));
    }
}

struct StoredHoldOf(u32);

impl StoredHoldOf {
    fn hold(&self) -> crate::proto::StoredHold {
        crate::proto::StoredHold {
            subject: pseudonym(self.0).0.to_vec(),
            ..hold(0, "stop")
        }
    }
}

#[tokio::test]
async fn others_hear_of_an_import_as_it_is_put_in_its_place() {
    let home = Home::postgres();
    let store = home.open().await;
    let other = home.open_shared("log-b").await;
    let mut seen = other.newest_change().await.unwrap();
    let rows = many(9_000);
    let batch = stage(&store, &rows).await;
    apply(&store, vec![in_force(batch, rows.len())]).await;
    assert!(other.news_since(seen).await.unwrap().subjects.is_empty());
    let gone = StoredHoldOf(8_999).hold();
    apply(&store, vec![change(Kind::ReleaseHold(gone))]).await;
    fold_all(&store).await;
    let mut heard = BTreeMap::new();
    loop {
        let news = other.news_since(seen).await.unwrap();
        assert!(!news.all && news.subjects.len() < 10_000);
        heard.extend(
            news.subjects
                .into_iter()
                .map(|(of, state)| (of, state.is_empty())),
        );
        seen = news.seen;
        if !news.more {
            break;
        }
    }
    assert_eq!(heard.len(), 9_000);
    let gone = heard.values().filter(|empty| **empty).count();
    assert_eq!(gone, 1);
    // Whoever is far behind reads all anew.
    let begin = seen - 3;
    store
        .forget_folded_imports(Timestamp::from_seconds(9_999))
        .await
        .unwrap();
    assert!(other.news_since(begin).await.unwrap().all);
}

#[tokio::test]
async fn others_hear_of_two_imports_for_the_same_people_while_one_is_on_its_way() {
    let home = Home::postgres();
    let store = home.open().await;
    let other = home.open_shared("log-b").await;
    let seen = other.newest_change().await.unwrap();
    for hold in ["stop", "later"] {
        let rows = [row(1, Sort::Hold, hold)];
        let batch = stage(&store, &rows).await;
        apply(&store, vec![in_force(batch, rows.len())]).await;
    }
    store.fold_imports().await.unwrap().unwrap();
    let news = other.news_since(seen).await.unwrap();
    let [(of, state)] = &news.subjects[..] else {
        panic!("{:?}", news.subjects)
    };
    assert_eq!(*of, pseudonym(1));
    assert!(
        state.has_hold("stop") && state.has_hold("later"),
        "{state:?}"
    );
}

#[test]
fn what_is_told_of_a_fold_reads_as_it_was_written() {
    for after in [vec![], vec![3; 32]] {
        let folded = Folded {
            batch: vec![1; 16],
            after,
            up_to: LAST.to_vec(),
        };
        assert_eq!(Folded::from_bytes(&folded.to_bytes()), Some(folded));
    }
    assert_eq!(Folded::from_bytes(&[1; 16]), None);
}
