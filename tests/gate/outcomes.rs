//! What came of an allowance is reported once, by the service that asked.

use std::time::Duration;

use sekisho::domain::access::{AccessRequest, Action, Subjects};
use sekisho::domain::ids::{DecisionId, LogIndex};
use sekisho::gate::{Answer, DateSet, GateError, OutcomeReport};
use sekisho::proto::EntryKind;
use uuid::Uuid;

use crate::world::*;

fn outcome_of(answer: &Answer) -> OutcomeReport {
    OutcomeReport {
        decision: DecisionId::from_bytes(&answer.entry.decision_id).unwrap(),
        records_accessed: 1,
        fulfilled: Vec::new(),
        abandoned: false,
        subjects: Vec::new(),
    }
}

async fn report(world: &World, report: OutcomeReport) -> Result<LogIndex, GateError> {
    world.gate.report_outcome(&crm(), report).await
}

#[tokio::test]
async fn an_outcome_has_its_entry_and_is_reported_once_also_across_a_restart() {
    let world = World::new().await;
    let manager = world.log_in("manager-1").await;
    let mut export = read(&manager);
    export.action = Action::Export;
    let answer = world.check(export).await;
    let mut first = outcome_of(&answer);
    first.fulfilled = vec!["report-outcome".to_owned(), "exclude-held".to_owned()];
    first.fulfilled.retain(|id| {
        answer
            .entry
            .obligations
            .iter()
            .any(|obligation| obligation.id == *id)
    });
    assert!(!first.fulfilled.is_empty());
    let index = report(&world, first).await.unwrap();
    let entry = world.on_disk()[usize::try_from(index.0).unwrap()].clone();
    assert_eq!(entry.kind, i32::from(EntryKind::Outcome));
    assert_eq!(entry.decision_id, answer.entry.decision_id);
    assert_eq!(entry.person, "manager-1");
    assert_eq!(entry.records_accessed, 1);
    let killed = world.start_on(world.as_killed_now()).await.unwrap();
    for _ in 0..2 {
        let again = report(&world, outcome_of(&answer)).await;
        assert!(matches!(again, Err(GateError::AlreadyReported)));
    }
    let world = world.restart().await;
    for world in [&world, &killed] {
        let again = report(world, outcome_of(&answer)).await;
        assert!(matches!(again, Err(GateError::AlreadyReported)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_reports_at_once_one_counts() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    let answer = world.check(read(&ticket)).await;
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let gate = std::sync::Arc::clone(&world.gate);
            let mut outcome = outcome_of(&answer);
            outcome.records_accessed = 11;
            tokio::spawn(async move { gate.report_outcome(&crm(), outcome).await })
        })
        .collect();
    let mut taken = 0;
    for call in calls {
        match call.await.unwrap() {
            Ok(_) => taken += 1,
            Err(error) => assert!(matches!(error, GateError::AlreadyReported), "{error}"),
        }
    }
    assert_eq!(taken, 1);
    assert_eq!(world.spend_what_is_left(&read(&ticket)).await, 200 - 11);
}

#[tokio::test]
async fn another_services_decision_and_an_unknown_one_are_not_found() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    let answer = world.check(read(&ticket)).await;
    let others = world
        .gate
        .report_outcome(&billing(), outcome_of(&answer))
        .await;
    assert!(matches!(others, Err(GateError::NotFound(_))));
    for id in [Uuid::now_v7(), Uuid::new_v4(), Uuid::nil(), Uuid::max()] {
        let mut unknown = outcome_of(&answer);
        unknown.decision = DecisionId(id);
        let unknown = report(&world, unknown).await;
        assert!(matches!(unknown, Err(GateError::NotFound(_))));
        let last = world.on_disk().pop().unwrap();
        assert_eq!(last.kind, i32::from(EntryKind::RefusedCall));
    }
    assert!(report(&world, outcome_of(&answer)).await.is_ok());
}

#[tokio::test]
async fn nothing_comes_of_a_denial() {
    let world = World::new().await;
    let ticket = world.log_in("reception-1").await;
    let answer = world.check(read(&ticket)).await;
    assert!(!answer.is_allowed());
    let refused = report(&world, outcome_of(&answer)).await;
    assert_eq!(wrong_fields(refused), ["decision_id"]);
}

#[tokio::test]
async fn an_unknown_obligation_and_a_contradiction_are_named_and_use_nothing_up() {
    let world = World::new().await;
    let manager = world.log_in("manager-1").await;
    let mut export = read(&manager);
    export.action = Action::Export;
    let answer = world.check(export).await;
    let mut wrong = outcome_of(&answer);
    wrong.fulfilled = vec![
        "report-outcome".to_owned(),
        "mask".to_owned(),
        "nonsense".to_owned(),
    ];
    wrong.abandoned = true;
    assert_eq!(
        wrong_fields(report(&world, wrong).await),
        [
            "abandoned",
            "fulfilled_obligations[1]",
            "fulfilled_obligations[2]"
        ]
    );
    assert!(report(&world, outcome_of(&answer)).await.is_ok());
}

#[tokio::test]
async fn what_was_read_beyond_the_decision_is_charged_also_across_a_restart() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    let answer = world.check(read(&ticket)).await;
    let mut more = outcome_of(&answer);
    more.records_accessed = 150;
    report(&world, more).await.unwrap();
    let killed = world.start_on(world.as_killed_now()).await.unwrap();
    assert_eq!(killed.spend_what_is_left(&read(&ticket)).await, 50);
    let world = world.restart().await;
    assert_eq!(world.spend_what_is_left(&read(&ticket)).await, 50);
}

#[tokio::test]
async fn nothing_is_given_back() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    let mut request = read(&ticket);
    request.record_count = 100;
    let answer = world.check(request).await;
    let abandoned = OutcomeReport {
        records_accessed: 0,
        abandoned: true,
        ..outcome_of(&answer)
    };
    report(&world, abandoned).await.unwrap();
    assert_eq!(world.spend_what_is_left(&read(&ticket)).await, 100);
}

#[tokio::test]
async fn people_who_were_withheld_are_beyond_the_decision() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    let gone = DateSet {
        subject: subject("js-1"),
        date: name("last-contact"),
        value: world.now().minus(Duration::from_hours(24 * 366 * 4)),
        reference: None,
    };
    world.gate.set_date(&crm(), &nobody(), gone).await.unwrap();
    let list = AccessRequest {
        allow_partial: true,
        subjects: Subjects::List(["js-1", "js-2", "js-3"].map(subject).to_vec()),
        ..read(&ticket)
    };
    let answer = world.check(list).await;
    assert_eq!(answer.entry.withheld_subjects.len(), 1);
    let mut all = outcome_of(&answer);
    all.records_accessed = 3;
    report(&world, all).await.unwrap();
    assert_eq!(
        world.spend_what_is_left(&read(&ticket)).await,
        197,
        "two were decided, three were read"
    );
}
