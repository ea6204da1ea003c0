//! Many registrations at once: all or nothing, by one entry, wherever a kill falls.

use sekisho::domain::access::{AccessRequest, Action, Provision, TicketText};
use sekisho::domain::ids::{LogIndex, Name};
use sekisho::domain::reason::ReasonCode;
use sekisho::domain::reference::ReferenceKind;
use sekisho::domain::time::Timestamp;
use sekisho::gate::{
    GateError, HoldChange, LeftOut, ReferenceWish, SubjectImportNews, SubjectImportOutcome,
    SubjectImportWish, SubjectRow, SubjectRowWhat,
};
use sekisho::proto::stored_change::Kind;
use sekisho::proto::{EntryKind, ReferenceStanding};
use tokio::sync::mpsc;

use crate::postgres::Postgres;
use crate::world::*;

pub(crate) const STOPPED: Option<ReasonCode> = Some(ReasonCode::ProvisionStopped);

pub(crate) fn provide(ticket: &TicketText, of: &str) -> AccessRequest {
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

fn row(of: Option<&str>, what: SubjectRowWhat, id: &str) -> SubjectRow {
    SubjectRow {
        line: 0,
        what: Some(what),
        subject: of.map(subject),
        id: Some(name(id)),
        value: None,
        given: None,
        purposes: Vec::new(),
        reference: None,
        wrong: Vec::new(),
    }
}

fn hold(of: &str, hold: &str) -> SubjectRow {
    SubjectRow {
        reference: Some(name("list 7")),
        ..row(Some(of), SubjectRowWhat::Hold, hold)
    }
}

fn date(of: &str, date: &str, value: &str) -> SubjectRow {
    SubjectRow {
        value: Some(Timestamp::parse(value).unwrap()),
        ..row(Some(of), SubjectRowWhat::Date, date)
    }
}

const PURPOSE: &str = "recruitment-service";

fn reference(of: Option<&str>, kind: ReferenceKind, id: &str) -> SubjectRow {
    SubjectRow {
        purposes: vec![name(PURPOSE)],
        ..row(of, SubjectRowWhat::Reference(kind), id)
    }
}

pub(crate) fn consent(of: &str, id: &str) -> SubjectRow {
    reference(Some(of), ReferenceKind::Consent, id)
}

fn given(at: Timestamp, row: SubjectRow) -> SubjectRow {
    SubjectRow {
        given: Some(at),
        ..row
    }
}

type Imported = (Result<SubjectImportOutcome, GateError>, Vec<(u32, String)>);

/// Imports rows, from line 2 on; and what was told to be wrong.
async fn import_as(world: &World, rows: Vec<SubjectRow>, dry_run: bool) -> Imported {
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
    for (line, row) in (2..).zip(rows) {
        import.take(SubjectRow { line, ..row }).await;
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

pub(crate) async fn import(world: &World, rows: Vec<SubjectRow>) -> LogIndex {
    let (outcome, faults) = import_as(world, rows, false).await;
    assert_eq!(faults, []);
    outcome.unwrap().index.unwrap()
}

pub(crate) fn stops(from: usize, count: usize) -> Vec<SubjectRow> {
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
    rows.push(consent("in-0", "C-1"));
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
            reference(None, ReferenceKind::Consent, "C-1"),
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
    withdraw(&world, "js-1", "C-1").await;
    let later = given(world.now(), consent("js-1", "C-2"));
    let rows = vec![later, consent("js-1", "C-1")];
    let (outcome, faults) = import_as(&world, rows, false).await;
    assert_eq!(faults, [(3, "id".to_owned())]);
    assert_eq!(wrong_fields(outcome), ["csv[3].id"]);
    let many = (0..257).map(|number| consent("js-2", &format!("C-{number}")));
    let (_, faults) = import_as(&world, many.collect(), false).await;
    assert_eq!(faults.len(), 1);
}

/// One that was never registered.
pub(crate) async fn withdraw(world: &World, of: &str, id: &str) {
    withdraw_for(world, of, id, vec![name(PURPOSE)]).await;
}

/// One that is registered has its purposes.
pub(crate) async fn withdraw_known(world: &World, of: &str, id: &str) {
    withdraw_for(world, of, id, Vec::new()).await;
}

async fn withdraw_for(world: &World, of: &str, id: &str, purposes: Vec<Name>) {
    let wish = ReferenceWish {
        subject: Some(subject(of)),
        kind: ReferenceKind::Consent,
        reference: name(id),
        purposes,
        until: None,
        given: None,
    };
    let gate = &world.gate;
    gate.withdraw_reference(&crm(), &nobody(), wish)
        .await
        .unwrap();
}

/// Whom of these a caller has to leave out, since they withdrew consent.
pub(crate) async fn withdrew(world: &World, of: &[&str]) -> Result<Vec<u32>, GateError> {
    let left_out = [LeftOut::Withdrawn(name(PURPOSE))];
    let of: Vec<_> = of.iter().copied().map(subject).collect();
    world
        .gate
        .filter_subjects(&crm(), &nobody(), &of, &left_out)
        .await
}

#[tokio::test]
async fn an_old_consent_that_comes_later_undoes_no_withdrawal() {
    let world = World::new().await;
    let before = world.now();
    world.clock.advance(seconds(60));
    for of in ["js-1", "js-2", "js-3"] {
        withdraw(&world, of, "C-1").await;
    }
    world.clock.advance(seconds(60));
    let after = world.now();
    world.clock.advance(seconds(60));
    // One that doesn't say when it was given is no answer to a withdrawal.
    let (outcome, faults) = import_as(&world, vec![consent("js-1", "C-old")], false).await;
    assert_eq!(faults, [(2, "given".to_owned())]);
    assert_eq!(wrong_fields(outcome), ["csv[2].given"]);
    import(
        &world,
        vec![
            given(before, consent("js-1", "C-old")),
            given(after, consent("js-2", "C-new")),
            consent("js-4", "C-unsaid"),
        ],
    )
    .await;
    let one_by_one = |of, given| ReferenceWish {
        subject: Some(subject(of)),
        kind: ReferenceKind::Consent,
        reference: name("C-3"),
        purposes: vec![name(PURPOSE)],
        until: None,
        given,
    };
    let registering =
        async |world: &World, wish| world.gate.register_reference(&crm(), &nobody(), wish).await;
    registering(&world, one_by_one("js-3", Some(before)))
        .await
        .unwrap();
    let all = ["js-1", "js-2", "js-3", "js-4"];
    let world = world.restart().await;
    assert_eq!(withdrew(&world, &all).await.unwrap(), [0, 2]);
    // Registered again it is no newer than it was; another one of now is.
    registering(&world, one_by_one("js-3", None)).await.unwrap();
    assert_eq!(withdrew(&world, &all).await.unwrap(), [0, 2]);
    registering(&world, one_by_one("js-1", None)).await.unwrap();
    assert_eq!(withdrew(&world, &all).await.unwrap(), [2]);
    withdraw_known(&world, "js-4", "C-unsaid").await;
    assert_eq!(withdrew(&world, &all).await.unwrap(), [2, 3]);
    // A day to come would outrank every withdrawal until then.
    let tomorrow = world.now().plus(minutes(24 * 60));
    let refused = registering(&world, one_by_one("js-5", Some(tomorrow))).await;
    assert_eq!(wrong_fields(refused), ["given"]);
    let rows = vec![
        given(tomorrow, consent("js-5", "C-1")),
        given(before, reference(Some("js-5"), ReferenceKind::Order, "O-1")),
    ];
    let (_, faults) = import_as(&world, rows, false).await;
    let expected = [(2, "given"), (3, "given")].map(|(line, of)| (line, of.to_owned()));
    assert_eq!(faults, expected);
}

#[tokio::test]
async fn what_is_for_nobody_in_particular_is_imported_too() {
    let world = World::new().await;
    let adviser = world.log_in("adviser-1").await;
    let rows = vec![
        reference(None, ReferenceKind::Notice, "N-1"),
        reference(None, ReferenceKind::Engagement, "E-1"),
        reference(Some("js-1"), ReferenceKind::Notice, "N-2"),
    ];
    import(&world, rows).await;
    let killed = world.start_on(world.as_killed_now()).await.unwrap();
    for world in [&world, &killed] {
        for (to, expected) in [
            ("N-1", ReferenceStanding::Registered),
            ("E-1", ReferenceStanding::Registered),
            ("N-2", ReferenceStanding::Declared),
        ] {
            let mut request = read_of(&adviser, "js-2");
            request.basis.reference = Some(name(to));
            let answer = world.check(request).await;
            assert_eq!(answer.entry.basis_reference_standing(), expected, "{to}");
        }
    }
    let row = |number: usize| reference(None, ReferenceKind::Notice, &format!("N-{number}"));
    let (outcome, faults) = import_as(&world, (0..1_001).map(row).collect(), false).await;
    assert_eq!(faults, [(1_002, "subject".to_owned())]);
    assert!(outcome.is_err());
}

#[tokio::test]
async fn every_bad_cell_of_every_bad_row_is_told_in_one_round() {
    let world = World::new().await;
    let bad = |number: usize| SubjectRow {
        wrong: vec![("reference", "is too long".to_owned())],
        ..hold(&format!("in-{number}"), "provision-stoped")
    };
    let mut rows: Vec<SubjectRow> = (0..6_000).map(bad).collect();
    // The same twice, of which one is bad besides.
    let twice = SubjectRow {
        wrong: vec![("value", "a hold has none".to_owned())],
        ..hold("in-7000", "provision-stopped")
    };
    rows.extend([twice, hold("in-7000", "provision-stopped")]);
    let (outcome, faults) = import_as(&world, rows, true).await;
    assert_eq!(faults.len(), 12_002);
    let of_first = [(2, "reference".to_owned()), (2, "id".to_owned())];
    assert_eq!(faults[..2], of_first);
    let last = [(6_002, "value".to_owned()), (6_003, "id".to_owned())];
    assert_eq!(faults[12_000..], last);
    let outcome = outcome.unwrap();
    assert_eq!((outcome.faults, outcome.holds), (12_002, 1));
}

#[tokio::test]
async fn whoever_comes_with_a_ticket_is_the_one_who_registers() {
    let world = World::new().await;
    let adviser = credentials(&world.log_in("adviser-1").await);
    let hold = || HoldChange {
        subject: subject("in-1"),
        hold: name("provision-stopped"),
        reference: None,
    };
    let refused = |result: Result<LogIndex, GateError>| {
        assert!(matches!(result, Err(GateError::NotAuthorised(_))));
        let entry = world.on_disk().pop().unwrap();
        assert_eq!(entry.kind, i32::from(EntryKind::RefusedCall));
        assert_eq!(entry.person, "adviser-1");
    };
    let gate = &world.gate;
    refused(gate.register_hold(&crm(), &adviser, hold()).await);
    let date = sekisho::gate::DateSet {
        subject: subject("js-1"),
        date: name("last-contact"),
        value: world.now(),
        reference: None,
    };
    refused(gate.set_date(&crm(), &adviser, date).await);
    let wish = ReferenceWish {
        subject: None,
        kind: ReferenceKind::Notice,
        reference: name("N-1"),
        purposes: vec![name(PURPOSE)],
        until: None,
        given: None,
    };
    refused(gate.register_reference(&crm(), &adviser, wish).await);
    let (tell, _news) = mpsc::channel(1);
    let wish = SubjectImportWish::default();
    let import = gate
        .begin_subject_import(&crm(), &adviser, wish, tell)
        .await;
    refused(import.map(|_| LogIndex(0)));
    let administrator = credentials(&world.log_in("administrator-1").await);
    let index = gate
        .register_hold(&crm(), &administrator, hold())
        .await
        .unwrap();
    let entry = world.on_disk_from(index.0).remove(0);
    assert_eq!(entry.person, "administrator-1");
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
