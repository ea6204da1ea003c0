//! Limits count the people whose records a person reaches: 200 an hour by READ and SEARCH, 50 by EXPORT.

use std::sync::Arc;
use std::time::Duration;

use sekisho::domain::access::{AccessRequest, Action, Proof, Subjects, TicketText};
use sekisho::domain::reason::ReasonCode;
use sekisho::gate::DateSet;

use crate::world::*;

const EXCEEDED: Option<ReasonCode> = Some(ReasonCode::BulkLimitExceeded);

fn read_many(ticket: &TicketText, count: u64) -> AccessRequest {
    AccessRequest {
        record_count: count,
        ..read(ticket)
    }
}

fn by(action: Action, request: AccessRequest) -> AccessRequest {
    AccessRequest { action, ..request }
}

fn read_list(ticket: &TicketText, people: &[&str]) -> AccessRequest {
    AccessRequest {
        subjects: Subjects::List(people.iter().map(|one| subject(one)).collect()),
        ..read(ticket)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_at_once_just_under_the_limit_dont_pass_it_together() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    assert!(world.check(read_many(&ticket, 183)).await.is_allowed());
    let calls: Vec<_> = (0..50)
        .map(|number| {
            let gate = Arc::clone(&world.gate);
            let mut request = read_of(&ticket, &format!("js-{number}"));
            if number % 2 == 0 {
                request = by(Action::Search, request);
            }
            if number % 3 == 0 {
                request = with_id(request, &format!("r-{number}"));
            }
            tokio::spawn(async move { gate.check(&crm(), request).await.unwrap() })
        })
        .collect();
    let mut allowed = 0;
    for call in calls {
        let answer = call.await.unwrap();
        if answer.is_allowed() {
            allowed += 1;
        } else {
            assert_eq!(denied(&answer), EXCEEDED);
            assert_eq!(answer.entry.reasons[0].about, "read-and-search");
            assert!(answer.entry.charges.is_empty());
        }
    }
    assert_eq!(allowed, 17);
    let charged: u64 = world
        .on_disk()
        .iter()
        .flat_map(|entry| &entry.charges)
        .map(|charge| charge.unnamed + u64::try_from(charge.named.len()).unwrap())
        .sum();
    assert_eq!(charged, 200, "the log says what was counted");
}

#[tokio::test]
async fn a_restart_forgives_nobody() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    let manager = world.log_in("manager-1").await;
    world.check(read_many(&ticket, 190)).await;
    world.check(read_list(&ticket, &["js-1", "js-2"])).await;
    world
        .check(by(Action::Export, read_many(&manager, 45)))
        .await;
    let killed = world.start_on(world.as_killed_now()).await.unwrap();
    let world = world.restart().await.restart().await;
    for world in [&world, &killed] {
        let known = world.check(read_list(&ticket, &["js-2", "js-1"])).await;
        assert!(known.is_allowed());
        assert_eq!(denied(&world.check(read_many(&ticket, 9)).await), EXCEEDED);
        assert_eq!(world.spend_what_is_left(&read(&ticket)).await, 8);
        let export = by(Action::Export, read(&manager));
        assert_eq!(world.spend_what_is_left(&export).await, 5);
    }
}

#[tokio::test]
async fn a_restart_frees_at_the_same_instant() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    world.check(read_many(&ticket, 200)).await;
    world.work_for(&ticket, minutes(60)).await;
    let world = world.restart().await;
    assert_eq!(denied(&world.check(read(&ticket)).await), EXCEEDED);
    world.clock.advance(Duration::from_micros(1));
    let world = world.restart().await;
    assert_eq!(world.spend_what_is_left(&read(&ticket)).await, 200);
}

#[tokio::test]
async fn the_same_subject_counts_once_within_the_hour() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    for _ in 0..3 {
        let again = read_list(&ticket, &["js-1", "js-2", "js-1"]);
        assert!(world.check(again).await.is_allowed());
        assert!(world.check(read_of(&ticket, "js-1")).await.is_allowed());
        let search = by(Action::Search, read_of(&ticket, "js-2"));
        assert!(world.check(search).await.is_allowed());
    }
    assert_eq!(world.spend_what_is_left(&read(&ticket)).await, 198);
    assert!(world.check(read_of(&ticket, "js-1")).await.is_allowed());
    assert_eq!(
        denied(&world.check(read_of(&ticket, "js-3")).await),
        EXCEEDED
    );
}

#[tokio::test]
async fn read_and_search_share_and_export_has_its_own() {
    let world = World::new().await;
    let manager = world.log_in("manager-1").await;
    let many = |action, count| by(action, read_many(&manager, count));
    assert!(world.check(many(Action::Read, 120)).await.is_allowed());
    assert!(world.check(many(Action::Search, 80)).await.is_allowed());
    assert_eq!(denied(&world.check(many(Action::Read, 1)).await), EXCEEDED);
    assert_eq!(
        denied(&world.check(many(Action::Search, 1)).await),
        EXCEEDED
    );
    assert_eq!(
        denied(&world.check(many(Action::Export, 51)).await),
        EXCEEDED
    );
    assert!(world.check(many(Action::Export, 50)).await.is_allowed());
    let refused = world.check(many(Action::Export, 1)).await;
    assert_eq!(denied(&refused), EXCEEDED);
    assert_eq!(refused.entry.reasons[0].about, "export");
    assert!(
        world.check(many(Action::Update, 1_000)).await.is_allowed(),
        "no limit names UPDATE"
    );
}

#[tokio::test]
async fn each_person_has_counts_of_their_own() {
    let world = World::new().await;
    let (one, other) = (
        world.log_in("adviser-1").await,
        world.log_in("adviser-2").await,
    );
    assert!(world.check(read_many(&one, 200)).await.is_allowed());
    assert!(world.check(read_many(&other, 200)).await.is_allowed());
    assert_eq!(denied(&world.check(read(&one)).await), EXCEEDED);
}

#[tokio::test]
async fn a_new_session_brings_no_new_count() {
    let world = World::new().await;
    let first = world.log_in("adviser-1").await;
    world.check(read_many(&first, 200)).await;
    world.gate.end_session(&crm(), &first).await.unwrap();
    world.clock.advance(seconds(60));
    let second = world.log_in("adviser-1").await;
    assert_eq!(denied(&world.check(read(&second)).await), EXCEEDED);
}

#[tokio::test]
async fn a_batch_is_charged_item_by_item() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    let batch = vec![
        read_many(&ticket, 150),
        read_many(&ticket, 60),
        read_many(&ticket, 40),
        read_many(&ticket, 11),
        read_of(&ticket, "js-1"),
        read_of(&ticket, "js-1"),
        by(Action::Search, read_many(&ticket, 9)),
        read(&ticket),
    ];
    let answers = world.gate.check_batch(&crm(), batch).await.unwrap();
    let allowed: Vec<bool> = answers.iter().map(|one| one.is_allowed()).collect();
    assert_eq!(
        allowed,
        [true, false, true, false, true, true, true, false],
        "150 + 40 + 1 + 9 are 200"
    );
}

#[tokio::test]
async fn what_is_withheld_is_not_charged() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    for person in ["js-1", "js-2"] {
        let gone = DateSet {
            subject: subject(person),
            date: name("last-contact"),
            value: world.now().minus(Duration::from_hours(24 * 366 * 4)),
            reference: None,
        };
        world.gate.set_date(&crm(), &nobody(), gone).await.unwrap();
    }
    let list = AccessRequest {
        allow_partial: true,
        record_count: 5,
        ..read_list(&ticket, &["js-1", "js-2", "js-3", "js-4"])
    };
    let answer = world.check(list).await;
    assert!(answer.is_allowed());
    assert_eq!(answer.entry.withheld_subjects[0].indexes.len(), 2);
    let charge = &answer.entry.charges[0];
    let mut named = charge.named.clone();
    named.sort_unstable();
    assert_eq!((named, charge.unnamed), (vec![2, 3], 1));
    assert_eq!(world.spend_what_is_left(&read(&ticket)).await, 197);
}

#[tokio::test]
async fn a_denial_charges_nothing() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    let mut refused = vec![read_many(&ticket, 100); 4];
    refused[0].categories = vec![name("payment")];
    refused[1].client_ip = Some(ip(OUTSIDE));
    refused[2].purpose = None;
    refused[3].record_count = 201;
    for request in refused {
        let answer = world.check(request.clone()).await;
        assert!(!answer.is_allowed());
        assert!(answer.entry.charges.is_empty());
        let batch = world
            .gate
            .check_batch(&crm(), vec![request.clone(), with_id(request, "r")])
            .await;
        // The id is used for other content from the second on.
        assert!(batch.is_err() || batch.unwrap().iter().all(|one| !one.is_allowed()));
    }
    assert_eq!(world.spend_what_is_left(&read(&ticket)).await, 200);
}

#[tokio::test]
async fn the_window_slides_at_sixty_minutes() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    world.check(read_many(&ticket, 120)).await;
    world.work_for(&ticket, minutes(25)).await;
    world.check(read_many(&ticket, 80)).await;
    world.work_for(&ticket, minutes(35)).await;
    assert_eq!(
        denied(&world.check(read(&ticket)).await),
        EXCEEDED,
        "at 60 minutes it counts still"
    );
    world.clock.advance(Duration::from_micros(1));
    assert_eq!(world.spend_what_is_left(&read(&ticket)).await, 120);
    world.work_for(&ticket, minutes(25)).await;
    assert_eq!(world.spend_what_is_left(&read(&ticket)).await, 80);
}

#[tokio::test]
async fn a_subject_seen_again_leaves_an_hour_after_it_was_first_counted() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    world.check(read_of(&ticket, "js-1")).await;
    world.check(read_many(&ticket, 199)).await;
    world.work_for(&ticket, minutes(59)).await;
    assert!(world.check(read_of(&ticket, "js-1")).await.is_allowed());
    world.clock.advance(seconds(61));
    let again = world.check(read_of(&ticket, "js-1")).await;
    assert_eq!(again.entry.charges[0].named, [0], "counted anew");
    assert_eq!(world.spend_what_is_left(&read(&ticket)).await, 199);
}

#[tokio::test]
async fn a_workload_has_no_limit() {
    let world = World::new().await;
    let request = AccessRequest {
        proof: Proof::Workload,
        client_ip: None,
        session_ref: None,
        categories: vec![name("identity.name"), name("contact.email")],
        record_count: 1_000_000,
        ..read(&TicketText::new(""))
    };
    for _ in 0..2 {
        let answer = world.gate.check(&mailer(), request.clone()).await.unwrap();
        assert!(answer.is_allowed());
        assert!(answer.entry.charges.is_empty());
        assert_eq!(answer.entry.person, "");
    }
}
