//! Holds and dates of subjects, and that store and log never disagree silently.

use std::path::Path;
use std::time::Duration;

use sekisho::domain::access::{AccessRequest, Action, Provision, Subjects, TicketText};
use sekisho::domain::ids::DecisionId;
use sekisho::domain::reason::ReasonCode;
use sekisho::domain::time::Timestamp;
use sekisho::gate::{DateSet, GateError, HoldChange, LeftOut, OutcomeReport, StartError};
use sekisho::proto::EntryKind;

use crate::world::*;

const STOPPED: Option<ReasonCode> = Some(ReasonCode::ProvisionStopped);

fn stop(of: &str) -> HoldChange {
    HoldChange {
        subject: subject(of),
        hold: name("provision-stopped"),
        reference: Some(name("request 7")),
    }
}

/// Reception hands an inquiry to the affiliate: allowed until the person asks to stop.
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

#[tokio::test]
async fn a_hold_is_seen_by_the_next_check_and_survives_a_restart() {
    let world = World::new().await;
    let ticket = world.log_in("reception-1").await;
    assert!(world.check(provide(&ticket, "in-1")).await.is_allowed());
    let index = world
        .gate
        .register_hold(&crm(), &nobody(), stop("in-1"))
        .await
        .unwrap();
    let entry = world.on_disk()[usize::try_from(index.0).unwrap()].clone();
    assert_eq!(entry.kind, i32::from(EntryKind::Administration));
    assert_eq!(entry.subjects.len(), 1);
    assert_eq!(
        denied(&world.check(provide(&ticket, "in-1")).await),
        STOPPED
    );
    assert!(world.check(provide(&ticket, "in-2")).await.is_allowed());
    world
        .gate
        .register_hold(&crm(), &nobody(), stop("in-1"))
        .await
        .unwrap();
    let killed = world.start_on(world.as_killed_now()).await.unwrap();
    let world = world.restart().await;
    for world in [&world, &killed] {
        assert_eq!(
            denied(&world.check(provide(&ticket, "in-1")).await),
            STOPPED
        );
        assert!(world.check(provide(&ticket, "in-2")).await.is_allowed());
    }
}

#[tokio::test]
async fn a_date_is_seen_by_the_next_check_and_replaced_by_the_next() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    let last_contact = |days: u64| DateSet {
        subject: subject("js-1"),
        date: name("last-contact"),
        value: world.now().minus(Duration::from_hours(24 * days)),
        reference: None,
    };
    world
        .gate
        .set_date(&crm(), &nobody(), last_contact(4 * 366))
        .await
        .unwrap();
    let expired = world.check(read_of(&ticket, "js-1")).await;
    assert_eq!(denied(&expired), Some(ReasonCode::RetentionExpired));
    world
        .gate
        .set_date(&crm(), &nobody(), last_contact(1))
        .await
        .unwrap();
    let killed = world.start_on(world.as_killed_now()).await.unwrap();
    for world in [&world, &killed] {
        assert!(world.check(read_of(&ticket, "js-1")).await.is_allowed());
    }
}

#[tokio::test]
async fn a_release_needs_an_administrator() {
    let world = World::new().await;
    let ticket = world.log_in("reception-1").await;
    world
        .gate
        .register_hold(&crm(), &nobody(), stop("in-1"))
        .await
        .unwrap();
    let security = world.log_in("security-1").await;
    let before = refused_calls(&world);
    for who in [&ticket, &security] {
        let refused = world
            .gate
            .release_hold(&crm(), &credentials(who), stop("in-1"))
            .await;
        assert!(matches!(refused, Err(GateError::NotAuthorised(_))));
    }
    let mut nobody = credentials(&ticket);
    nobody.ticket = None;
    let refused = world.gate.release_hold(&crm(), &nobody, stop("in-1")).await;
    assert!(matches!(
        refused,
        Err(GateError::Refused(ReasonCode::TicketMissing))
    ));
    assert_eq!(refused_calls(&world), before + 3);
    assert_eq!(
        denied(&world.check(provide(&ticket, "in-1")).await),
        STOPPED
    );
    let administrator = world.log_in("administrator-1").await;
    let index = world
        .gate
        .release_hold(&crm(), &credentials(&administrator), stop("in-1"))
        .await
        .unwrap();
    let entry = world.on_disk()[usize::try_from(index.0).unwrap()].clone();
    assert_eq!(entry.person, "administrator-1");
    assert!(world.check(provide(&ticket, "in-1")).await.is_allowed());
    let world = world.restart().await;
    assert!(world.check(provide(&ticket, "in-1")).await.is_allowed());
}

#[tokio::test]
async fn only_a_service_that_may_registers_and_only_what_the_pack_has() {
    let world = World::new().await;
    for other in [billing(), mailer()] {
        let refused = world
            .gate
            .register_hold(&other, &nobody(), stop("in-1"))
            .await;
        assert!(matches!(refused, Err(GateError::NotAuthorised(_))));
    }
    let before = refused_calls(&world);
    let unknown = HoldChange {
        hold: name("provision-stoped"),
        ..stop("in-1")
    };
    let refused = world.gate.register_hold(&crm(), &nobody(), unknown).await;
    assert_eq!(wrong_fields(refused), ["hold"]);
    let wrong = DateSet {
        subject: subject("js-1"),
        date: name("first-contact"),
        value: world.now().plus(Duration::from_hours(24 * 366 * 500)),
        reference: None,
    };
    let refused = world.gate.set_date(&crm(), &nobody(), wrong).await;
    assert_eq!(wrong_fields(refused), ["date", "value"]);
    let too_early = DateSet {
        subject: subject("js-1"),
        date: name("last-contact"),
        // A day of 1899.
        value: Timestamp::from_seconds(-2_210_000_000),
        reference: None,
    };
    let refused = world.gate.set_date(&crm(), &nobody(), too_early).await;
    assert_eq!(wrong_fields(refused), ["value"]);
    // Each is in the log.
    assert_eq!(refused_calls(&world), before + 3);
}

/// How many entries say that a call was refused.
fn refused_calls(world: &World) -> usize {
    let refused = i32::from(EntryKind::RefusedCall);
    let entries = world.on_disk();
    entries.iter().filter(|entry| entry.kind == refused).count()
}

#[tokio::test]
async fn a_filter_tells_who_is_held_and_is_logged() {
    let world = World::new().await;
    world
        .gate
        .register_hold(&crm(), &nobody(), stop("in-2"))
        .await
        .unwrap();
    let gone = DateSet {
        subject: subject("in-3"),
        date: name("last-contact"),
        value: world.now().minus(Duration::from_hours(24 * 366 * 4)),
        reference: None,
    };
    world.gate.set_date(&crm(), &nobody(), gone).await.unwrap();
    let people = ["in-1", "in-2", "in-3", "in-2"].map(subject);
    for (holds, held) in [
        (vec!["provision-stopped"], vec![1, 3]),
        (vec!["retention-expired"], vec![2]),
        (
            vec!["provision-stopped", "retention-expired"],
            vec![1, 2, 3],
        ),
        (vec![], vec![]),
    ] {
        let holds: Vec<_> = holds.into_iter().map(name).map(LeftOut::Held).collect();
        let before = world.gate.log().len();
        let found = world
            .gate
            .filter_subjects(&billing(), &nobody(), &people, &holds)
            .await
            .unwrap();
        assert_eq!(found, held);
        assert_eq!(world.gate.log().len(), before + 1);
    }
    let unknown = world
        .gate
        .filter_subjects(
            &crm(),
            &nobody(),
            &people,
            &[
                LeftOut::Held(name("provision-stopped")),
                LeftOut::Held(name("x")),
                LeftOut::Withdrawn(name("provision-stopped")),
            ],
        )
        .await;
    assert_eq!(wrong_fields(unknown), ["holds[1]", "holds[2]"]);
}

#[tokio::test]
async fn with_partial_a_held_subject_is_withheld_and_the_rest_is_allowed() {
    let world = World::new().await;
    let ticket = world.log_in("reception-1").await;
    world
        .gate
        .register_hold(&crm(), &nobody(), stop("in-2"))
        .await
        .unwrap();
    let list = AccessRequest {
        subjects: Subjects::List(["in-1", "in-2", "in-3"].map(subject).to_vec()),
        ..provide(&ticket, "in-1")
    };
    assert_eq!(denied(&world.check(list.clone()).await), STOPPED);
    let answer = world
        .check(AccessRequest {
            allow_partial: true,
            ..list
        })
        .await;
    assert!(answer.is_allowed());
    let withheld = &answer.entry.withheld_subjects;
    assert_eq!(withheld.len(), 1);
    assert_eq!(withheld[0].indexes, [1]);
}

/// Puts one part of one directory in the place of the same part of another.
fn replace(part: &str, from: &Path, to: &Path) {
    let belongs = |path: &Path| {
        path.file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with(part)
    };
    for file in std::fs::read_dir(to).unwrap() {
        let path = file.unwrap().path();
        if belongs(&path) && path.is_dir() {
            std::fs::remove_dir_all(&path).unwrap();
        } else if belongs(&path) {
            std::fs::remove_file(&path).unwrap();
        }
    }
    for file in std::fs::read_dir(from).unwrap() {
        let path = file.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if belongs(&path) && path.is_dir() {
            sekisho::files::make_private_directory(&to).unwrap();
            copy_folder(&path, &to);
        } else if belongs(&path) {
            std::fs::copy(&path, &to).unwrap();
        }
    }
}

#[tokio::test]
async fn what_a_kill_kept_from_the_store_is_replayed_from_the_log() {
    let world = World::new().await;
    let ticket = world.log_in("reception-1").await;
    let ended = world.log_in("adviser-1").await;
    let reported = world.check(provide(&ticket, "in-9")).await;
    world
        .gate
        .register_hold(&crm(), &nobody(), stop("in-0"))
        .await
        .unwrap();
    let before = world.as_killed_now();
    world
        .gate
        .register_hold(&crm(), &nobody(), stop("in-1"))
        .await
        .unwrap();
    world.gate.end_session(&crm(), &ended).await.unwrap();
    let outcome = || OutcomeReport {
        decision: DecisionId::from_bytes(&reported.entry.decision_id).unwrap(),
        records_accessed: 1,
        fulfilled: Vec::new(),
        abandoned: false,
        subjects: Vec::new(),
    };
    world.gate.report_outcome(&crm(), outcome()).await.unwrap();
    let after = world.as_killed_now();
    replace("store.sqlite", before.path(), after.path());
    let mut world = world.start_on(after).await.unwrap();
    for replayed in ["3", "0"] {
        let start = world.on_disk().pop().unwrap();
        assert_eq!(start.kind, i32::from(EntryKind::DaemonStart));
        assert_eq!(detail(&start, "replayed_changes"), replayed);
        for held in ["in-0", "in-1"] {
            assert_eq!(denied(&world.check(provide(&ticket, held)).await), STOPPED);
        }
        assert_eq!(
            denied(&world.check(read(&ended)).await),
            Some(ReasonCode::TicketRevoked)
        );
        let again = world.gate.report_outcome(&crm(), outcome()).await;
        assert!(matches!(again, Err(GateError::AlreadyReported)));
        world = world.restart().await;
    }
}

#[tokio::test]
async fn a_store_from_before_an_earlier_start_is_refused() {
    let world = World::new().await;
    let before = world.as_killed_now();
    let world = world.restart().await;
    let after = world.as_killed_now();
    replace("store.sqlite", before.path(), after.path());
    match world.start_on(after).await {
        Err(StartError::StoreOlderThanLog { log, store }) => assert_eq!((log, store), (2, 1)),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("started"),
    }
}

#[tokio::test]
async fn a_store_from_before_a_code_was_used_is_refused() {
    let world = World::new().await;
    let before = world.as_killed_now();
    world.log_in("reception-1").await;
    let after = world.as_killed_now();
    replace("store.sqlite", before.path(), after.path());
    match world.start_on(after).await {
        Err(StartError::StoreForgot { log, store }) => assert_eq!((log, store), (2, 0)),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("started"),
    }
}

#[tokio::test]
async fn a_log_that_is_older_than_the_store_is_refused() {
    let world = World::new().await;
    let before = world.as_killed_now();
    let length = world.gate.log().len();
    world
        .gate
        .register_hold(&crm(), &nobody(), stop("in-1"))
        .await
        .unwrap();
    let after = world.as_killed_now();
    replace("log", before.path(), after.path());
    match world.start_on(after).await {
        Err(StartError::LogOlderThanStore { log, store }) => {
            assert_eq!((log, store), (length, length + 1));
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("started"),
    }
}

#[tokio::test]
async fn a_change_that_the_log_does_not_take_is_not_made() {
    let world = World::new().await;
    let ticket = world.log_in("reception-1").await;
    world.gate.log().close();
    let refused = world
        .gate
        .register_hold(&crm(), &nobody(), stop("in-1"))
        .await;
    assert!(matches!(refused, Err(GateError::Log(_))));
    let again = world.start_on(world.as_killed_now()).await.unwrap();
    assert!(again.check(provide(&ticket, "in-1")).await.is_allowed());
}
