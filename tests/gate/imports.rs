//! Many registrations at once: all or nothing, by one entry, wherever a kill falls.

use std::path::Path;

use sekisho::domain::access::{AccessRequest, Action, Provision, TicketText};
use sekisho::domain::ids::LogIndex;
use sekisho::domain::reason::ReasonCode;
use sekisho::domain::reference::ReferenceKind;
use sekisho::domain::time::Timestamp;
use sekisho::gate::{
    DateSet, GateError, HoldChange, ReferenceWish, SubjectImportNews, SubjectImportOutcome,
    SubjectImportWish, SubjectRow, SubjectRowWhat,
};
use sekisho::proto::EntryKind;
use sekisho::proto::stored_change::Kind;
use tokio::sync::mpsc;

use crate::postgres::Postgres;
use crate::world::*;

const STOPPED: Option<ReasonCode> = Some(ReasonCode::ProvisionStopped);

fn provide(ticket: &TicketText, of: &str) -> AccessRequest {
    AccessRequest {
        action: Action::Provide,
        subject_kind: Some(name("inquirer")),
        purpose: Some(name("affiliate-referral")),
        categories: vec![name("inquiry")],
        provision: Provision {
            recipient: Some(name("affiliate")),
            ..Provision::default()
        },
        ..read_of(ticket, of)
    }
}

fn hold(of: &str, hold: &str) -> SubjectRowWhat {
    SubjectRowWhat::Hold(HoldChange {
        subject: subject(of),
        hold: name(hold),
        reference: Some(name("list 7")),
    })
}

fn date(of: &str, date: &str, value: &str) -> SubjectRowWhat {
    SubjectRowWhat::Date(DateSet {
        subject: subject(of),
        date: name(date),
        value: Timestamp::parse(value).unwrap(),
        reference: None,
    })
}

fn consent(of: Option<&str>, id: &str) -> SubjectRowWhat {
    SubjectRowWhat::Reference(ReferenceWish {
        subject: of.map(subject),
        kind: match of {
            Some(_) => ReferenceKind::Consent,
            None => ReferenceKind::Notice,
        },
        reference: name(id),
        purposes: vec![name("recruitment-service")],
        until: None,
    })
}

type Imported = (Result<SubjectImportOutcome, GateError>, Vec<(u32, String)>);

/// Imports rows, from line 2 on; and what was told to be wrong.
async fn import_as(world: &World, rows: Vec<SubjectRowWhat>, dry_run: bool) -> Imported {
    let (tell, mut news) = mpsc::channel(100_000);
    let wish = SubjectImportWish {
        reference: Some(name("list 7")),
        dry_run,
    };
    let gate = &world.gate;
    let mut import = gate
        .begin_subject_import(&crm(), &nobody(), wish, tell)
        .await
        .unwrap();
    for (line, what) in (2..).zip(rows) {
        import.take(SubjectRow { line, what }).await;
    }
    let outcome = import.finish().await;
    let mut faults = Vec::new();
    while let Ok(one) = news.try_recv() {
        if let SubjectImportNews::Fault(fault) = one {
            faults.push((fault.line, fault.field));
        }
    }
    (outcome, faults)
}

async fn import(world: &World, rows: Vec<SubjectRowWhat>) -> LogIndex {
    let (outcome, faults) = import_as(world, rows, false).await;
    assert_eq!(faults, []);
    outcome.unwrap().index.unwrap()
}

fn stops(from: usize, count: usize) -> Vec<SubjectRowWhat> {
    (from..from + count)
        .map(|number| hold(&format!("in-{number}"), "provision-stopped"))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_it_is_seen_by_the_next_check_and_survives_a_restart_by_one_entry() {
    let world = World::new().await;
    let ticket = world.log_in("reception-1").await;
    let adviser = world.log_in("adviser-1").await;
    let mut rows = stops(0, 4_500);
    rows.push(date("js-9999", "last-contact", "2010-01-01T00:00:00Z"));
    rows.push(consent(Some("in-0"), "C-1"));
    let before = world.gate.log().len();
    let index = import(&world, rows).await;
    assert_eq!(world.gate.log().len(), before + 1);
    let entry = world.on_disk()[usize::try_from(index.0).unwrap()].clone();
    assert_eq!(entry.kind, i32::from(EntryKind::Administration));
    for (key, value) in [("holds", "4500"), ("dates", "1"), ("references", "1")] {
        assert_eq!(detail(&entry, key), value);
    }
    let Some(Kind::ImportSubjects(import)) = entry.change.unwrap().kind else {
        panic!("another change");
    };
    assert_eq!((import.rows, import.digest.len()), (4_502, 32));
    let killed = world.start_on(world.as_killed_now()).await.unwrap();
    let world = world.restart().await;
    for world in [&world, &killed] {
        for of in ["in-0", "in-2345", "in-4499"] {
            assert_eq!(
                denied(&world.check(provide(&ticket, of)).await),
                STOPPED,
                "{of}"
            );
        }
        assert!(world.check(provide(&ticket, "in-4500")).await.is_allowed());
        let over = denied(&world.check(read_of(&adviser, "js-9999")).await);
        assert_eq!(over, Some(ReasonCode::RetentionExpired));
    }
}

#[tokio::test]
async fn with_one_bad_row_nothing_is_changed_and_every_bad_row_is_told() {
    let world = World::new().await;
    let ticket = world.log_in("reception-1").await;
    let rows = || {
        let mut rows = stops(0, 3);
        rows.extend([
            hold("in-3", "provision-stoped"),
            date("in-4", "first-contact", "1899-12-31T00:00:00Z"),
            date("in-4", "last-contact", "2201-01-01T00:00:00Z"),
            hold("in-1", "provision-stopped"),
            consent(None, "N-1"),
        ]);
        rows
    };
    let expected = [
        (5, "id"),
        (6, "id"),
        (6, "value"),
        (7, "value"),
        (9, "subject"),
        (8, "id"),
    ];
    let expected = expected.map(|(line, field)| (line, field.to_owned()));
    let (outcome, faults) = import_as(&world, rows(), false).await;
    assert_eq!(faults, expected);
    assert_eq!(
        wrong_fields(outcome),
        [
            "csv[5].id",
            "csv[6].id",
            "csv[6].value",
            "csv[7].value",
            "csv[9].subject",
            "csv[8].id"
        ]
    );
    let entry = world.on_disk().pop().unwrap();
    assert_eq!(entry.kind, i32::from(EntryKind::RefusedCall));
    assert_eq!(detail(&entry, "call"), "Import");
    let (outcome, faults) = import_as(&world, rows(), true).await;
    assert_eq!(faults, expected);
    let outcome = outcome.unwrap();
    assert_eq!((outcome.faults, outcome.index), (6, None));
    let (outcome, faults) = import_as(&world, stops(0, 3), true).await;
    assert_eq!((faults, outcome.unwrap().holds), (Vec::new(), 3));
    let (outcome, _) = import_as(&world, Vec::new(), false).await;
    assert_eq!(wrong_fields(outcome), ["csv[0]"]);
    let world = world.restart().await;
    for of in ["in-0", "in-1", "in-2"] {
        assert!(world.check(provide(&ticket, of)).await.is_allowed());
    }
}

#[tokio::test]
async fn who_may_not_register_imports_nothing_and_two_at_once_do_not() {
    let world = World::new().await;
    let begin = async |peer| {
        let (tell, _) = mpsc::channel(1);
        let wish = SubjectImportWish::default();
        world
            .gate
            .begin_subject_import(&peer, &nobody(), wish, tell)
            .await
    };
    let refused = begin(billing()).await;
    assert!(matches!(refused, Err(GateError::NotAuthorised(_))));
    let first = begin(crm()).await.unwrap();
    assert!(matches!(begin(crm()).await, Err(GateError::Busy { .. })));
    drop(first);
    let given_up = begin(crm()).await.unwrap();
    let before = world.gate.log().len();
    given_up.abandon(GateError::Internal("gone")).await;
    assert_eq!(world.gate.log().len(), before + 1);
    import(&world, stops(0, 1)).await;
}

#[tokio::test]
async fn what_was_withdrawn_is_not_imported_again() {
    let world = World::new().await;
    let wish = || match consent(Some("js-1"), "C-1") {
        SubjectRowWhat::Reference(wish) => wish,
        _ => panic!(),
    };
    world
        .gate
        .withdraw_reference(&crm(), &nobody(), wish())
        .await
        .unwrap();
    let rows = vec![consent(Some("js-1"), "C-2"), consent(Some("js-1"), "C-1")];
    let (outcome, faults) = import_as(&world, rows, false).await;
    assert_eq!(faults, [(3, "id".to_owned())]);
    assert_eq!(wrong_fields(outcome), ["csv[3].id"]);
    let many = (0..257).map(|number| consent(Some("js-2"), &format!("C-{number}")));
    let (_, faults) = import_as(&world, many.collect(), false).await;
    assert_eq!(faults.len(), 1);
}

/// Puts the store of one directory in the place of another's.
fn replace_store(from: &Path, to: &Path) {
    for folder in [to, from] {
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            if !file.starts_with("store.sqlite") {
                continue;
            }
            if folder == to {
                std::fs::remove_file(&path).unwrap();
            } else {
                std::fs::copy(&path, to.join(file)).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn an_import_that_the_store_never_saw_is_told_at_every_start() {
    let world = World::new().await;
    let before = world.as_killed_now();
    import(&world, stops(0, 5)).await;
    let after = world.as_killed_now();
    replace_store(before.path(), after.path());
    let mut world = world.start_on(after).await.unwrap();
    for _ in 0..2 {
        let start = world.on_disk().pop().unwrap();
        assert_eq!(start.kind, i32::from(EntryKind::DaemonStart));
        assert_eq!(detail(&start, "lost_imports"), "1");
        world = world.restart().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_after_an_import_stays_and_other_daemons_hear_of_both() {
    let url = Postgres::shared().database();
    let [one, two] = World::pair(&url).await;
    let ticket = two.log_in("reception-1").await;
    let administrator = two.log_in("administrator-1").await;
    import(&one, stops(0, 4_100)).await;
    let release = HoldChange {
        subject: subject("in-7"),
        hold: name("provision-stopped"),
        reference: None,
    };
    let proof = credentials(&administrator);
    two.gate
        .release_hold(&crm(), &proof, release)
        .await
        .unwrap();
    for world in [&two, &one] {
        world.follow().await;
        for of in ["in-0", "in-2050", "in-4099"] {
            assert_eq!(
                denied(&world.check(provide(&ticket, of)).await),
                STOPPED,
                "{of}"
            );
        }
        for of in ["in-7", "in-4100"] {
            assert!(world.check(provide(&ticket, of)).await.is_allowed(), "{of}");
        }
    }
}
