//! An import into the embedded store, and the start that reads it.

use std::path::Path;
use std::time::Instant;

use sekisho::domain::ids::LogIndex;
use sekisho::domain::time::Timestamp;
use sekisho::gate::Register;
use sekisho::proto::stored_change::Kind;
use sekisho::proto::{StoredChange, StoredSubjectImport};
use sekisho::store::{ImportedRow, Sort, Store};

use super::{Outcome, pseudonym, tell};

/// What the gate lays ready at once.
const AT_ONCE: usize = 2_000;

pub(super) async fn measure(subjects: u32, folder: &Path) -> Outcome<()> {
    let path = folder.join("store.sqlite");
    let store = Store::open(&path).await?;
    store.bind_log("bench").await?;
    let mut numbers: Vec<u32> = (0..subjects).collect();
    numbers.sort_unstable_by_key(|number| pseudonym(*number));
    let began = Instant::now();
    let batch = store
        .begin_import(subjects.into(), Timestamp::default())
        .await?;
    for numbers in numbers.chunks(AT_ONCE) {
        let row = |number: &u32| ImportedRow {
            subject: Some(pseudonym(*number)),
            given: None,
            sort: Sort::Date,
            name: "last-contact",
            value: Some(Timestamp::from_seconds(i64::from(*number))),
            purposes: &[],
            reference: "list-1",
        };
        let rows: Vec<ImportedRow<'_>> = numbers.iter().map(row).collect();
        store.stage_rows(batch, &rows).await?;
    }
    let staged = began.elapsed();
    let change = StoredChange {
        kind: Some(Kind::ImportSubjects(StoredSubjectImport {
            batch: batch.as_bytes().to_vec(),
            rows: subjects.into(),
            digest: vec![0; 32],
            at_us: 1,
        })),
    };
    let began = Instant::now();
    store.apply(&[(LogIndex(0), change)], 1).await?;
    let in_force = began.elapsed();
    let (mut longest, began) = (std::time::Duration::ZERO, Instant::now());
    loop {
        let one = Instant::now();
        if store.fold_imports().await?.is_none() {
            break;
        }
        longest = longest.max(one.elapsed());
    }
    let folded = began.elapsed();
    tell(&format!(
        "an import of {subjects} dates into the embedded store: laid ready in {staged:.1?}, in force in {in_force:.0?}, in place in {folded:.1?} (the longest step {longest:.0?})"
    ));
    store.close().await;

    let began = Instant::now();
    let store = Store::open(&path).await?;
    let register = Register::new();
    let found = store
        .load_subjects(|subject, state| register.put(subject, &state))
        .await?;
    let read = began.elapsed();
    tell(&format!(
        "the start: {found} subjects read into memory in {read:.1?}"
    ));
    Ok(())
}
