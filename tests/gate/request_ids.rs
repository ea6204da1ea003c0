//! A request id makes one decision of many calls.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Waker};

use sekisho::domain::access::{Action, TicketText};
use sekisho::domain::ids::LogIndex;
use sekisho::domain::reason::ReasonCode;
use sekisho::domain::time::Timestamp;
use sekisho::gate::{Answer, GateError};
use sekisho::proto::EntryKind;

use crate::world::*;

fn is_same_answer(first: &Answer, repeat: &Answer) {
    assert_eq!(repeat.entry, first.entry);
    assert_eq!(repeat.index, first.index);
    assert!(!repeat.entry.decision_id.is_empty());
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer_and_has_an_entry_of_its_own_that_names_it() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    let first = world.check(with_id(read(&ticket), "r-1")).await;
    world.clock.advance(seconds(30));
    let repeat = world.check(with_id(read(&ticket), "r-1")).await;
    assert!(first.is_allowed());
    is_same_answer(&first, &repeat);
    assert_eq!(
        repeat.entry.valid_until_us, first.entry.valid_until_us,
        "a repeat prolongs nothing"
    );
    assert_ne!(repeat.receipt(), first.receipt());
    let entries = world.on_disk();
    let own = &entries[usize::try_from(repeat.receipt().index().0).unwrap()];
    assert_eq!(own.repeat_of, first.entry.decision_id);
    assert_ne!(own.decision_id, first.entry.decision_id);
    assert_eq!(own.time_us, world.now().micros());
    assert_eq!(own.person, "adviser-1");
    assert!(own.charges.is_empty(), "a repeat is not charged");
}

#[tokio::test]
async fn a_repeat_of_a_denial_is_that_denial() {
    let world = World::new().await;
    let ticket = world.log_in("reception-1").await;
    let first = world.check(with_id(read(&ticket), "r-1")).await;
    assert_eq!(denied(&first), Some(ReasonCode::CategoryNotPermitted));
    world.clock.advance(minutes(5));
    let repeat = world.check(with_id(read(&ticket), "r-1")).await;
    is_same_answer(&first, &repeat);
    assert_eq!(world.decisions_on_disk().len(), 1);
}

#[tokio::test]
async fn other_content_under_a_known_id_is_malformed_and_logged() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    world.check(with_id(read(&ticket), "r-1")).await;
    let mut others = vec![read_of(&ticket, "js-1"), read(&ticket), read(&ticket)];
    others[1].record_count = 2;
    others[2].action = Action::Search;
    for other in others {
        let answer = world.gate.check(&crm(), with_id(other, "r-1")).await;
        assert_eq!(wrong_fields(answer), ["request_id"]);
        let last = world.on_disk().pop().unwrap();
        assert_eq!(last.kind, i32::from(EntryKind::RefusedCall));
        assert_eq!(detail(&last, "fields"), "request_id");
    }
    // Other people under the same id are other content too, though their refs are never printed.
    world.check(with_id(read_of(&ticket, "js-1"), "r-2")).await;
    let answer = world
        .gate
        .check(&crm(), with_id(read_of(&ticket, "js-2"), "r-2"))
        .await;
    assert_eq!(wrong_fields(answer), ["request_id"]);
}

#[tokio::test]
async fn a_fresh_second_step_makes_other_content() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    world.check(with_id(read(&ticket), "r-1")).await;
    world.clock.advance(seconds(40));
    let fresh = world.step_up("adviser-1", &ticket).await.unwrap().ticket;
    let answer = world.gate.check(&crm(), with_id(read(&fresh), "r-1")).await;
    assert_eq!(wrong_fields(answer), ["request_id"]);
}

#[tokio::test]
async fn a_renewed_ticket_makes_no_other_content() {
    let world = World::new().await;
    let ticket = world.log_in("reception-1").await;
    let first = world.check(with_id(read(&ticket), "r-1")).await;
    world.clock.advance(minutes(4));
    let renewed = world
        .check(with_id(read(&ticket), "r-1"))
        .await
        .renewed_ticket
        .unwrap();
    let repeat = world.check(with_id(read(&renewed), "r-1")).await;
    is_same_answer(&first, &repeat);
}

#[tokio::test]
async fn two_services_never_share_an_id() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    world.check(with_id(read(&ticket), "r-1")).await;
    let accountant = world.log_in_at(&billing(), "accounting-1").await.ticket;
    let answer = world
        .gate
        .check(&billing(), with_id(read(&accountant), "r-1"))
        .await
        .unwrap();
    assert_eq!(answer.entry.person, "accounting-1");
    assert_eq!(world.decisions_on_disk().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_repeats_in_parallel_make_exactly_one_decision() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    for round in 0..5 {
        let request = with_id(
            read_of(&ticket, &format!("js-{round}")),
            &format!("r-{round}"),
        );
        let calls: Vec<_> = (0..20)
            .map(|_| {
                let (gate, request) = (Arc::clone(&world.gate), request.clone());
                tokio::spawn(async move { gate.check(&crm(), request).await.unwrap() })
            })
            .collect();
        let mut answers = Vec::new();
        for call in calls {
            answers.push(call.await.unwrap());
        }
        let first = answers.pop().unwrap();
        assert!(first.is_allowed());
        let mut own: Vec<LogIndex> = answers.iter().map(|one| one.receipt().index()).collect();
        own.push(first.receipt().index());
        own.sort_unstable();
        own.dedup();
        assert_eq!(own.len(), 20, "each call has an entry of its own");
        answers.iter().for_each(|one| is_same_answer(&first, one));
        assert_eq!(world.decisions_on_disk().len(), round + 1);
    }
    let left = world.spend_what_is_left(&read(&ticket)).await;
    assert_eq!(left, 195, "a repeat is charged nothing");
}

#[tokio::test]
async fn after_valid_until_a_repeat_is_never_an_allowance() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    let first = world.check(with_id(read(&ticket), "r-1")).await;
    world.clock.advance(seconds(60));
    assert!(
        world
            .check(with_id(read(&ticket), "r-1"))
            .await
            .is_allowed()
    );
    world.clock.advance(std::time::Duration::from_micros(1));
    let mut now = world.now();
    while now <= Timestamp::from_micros(first.entry.time_us).plus(minutes(10)) {
        world.clock.set(now);
        let ended = world
            .gate
            .check(&crm(), with_id(read(&ticket), "r-1"))
            .await;
        assert!(matches!(ended, Err(GateError::AllowanceEnded)), "{ended:?}");
        let last = world.on_disk().pop().unwrap();
        assert_eq!(
            last.kind,
            i32::from(EntryKind::RefusedCall),
            "a refused call is logged"
        );
        now = now.plus(minutes(3));
    }
    assert_eq!(world.decisions_on_disk().len(), 1);
}

#[tokio::test]
async fn a_repeat_after_the_session_ended_gets_that_denial() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    let first = world.check(with_id(read(&ticket), "r-1")).await;
    assert!(first.is_allowed());
    world.gate.end_session(&crm(), &ticket).await.unwrap();
    for _ in 0..2 {
        let repeat = world.check(with_id(read(&ticket), "r-1")).await;
        assert_eq!(denied(&repeat), Some(ReasonCode::TicketRevoked));
        assert_ne!(repeat.entry.decision_id, first.entry.decision_id);
    }
}

#[tokio::test]
async fn a_repeat_from_elsewhere_gets_that_denial() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    let first = world.check(with_id(read(&ticket), "r-1")).await;
    let elsewhere = peer("career-crm", 0, "10.9.0.1");
    let repeat = world
        .gate
        .check(&elsewhere, with_id(read(&ticket), "r-1"))
        .await
        .unwrap();
    assert_eq!(denied(&repeat), Some(ReasonCode::CallerNetworkNotAllowed));
    assert!(first.is_allowed());
}

#[tokio::test]
async fn a_restart_forgets_no_request_id() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    let first = world.check(with_id(read(&ticket), "r-1")).await;
    let killed = world.start_on(world.as_killed_now()).await.unwrap();
    let world = world.restart().await;
    for world in [&world, &killed] {
        let repeat = world.check(with_id(read(&ticket), "r-1")).await;
        is_same_answer(&first, &repeat);
        let other = world
            .gate
            .check(&crm(), with_id(read_of(&ticket, "js-1"), "r-1"))
            .await;
        assert_eq!(wrong_fields(other), ["request_id"]);
        assert_eq!(world.decisions_on_disk().len(), 1);
    }
    world.clock.advance(seconds(61));
    let ended = world
        .gate
        .check(&crm(), with_id(read(&ticket), "r-1"))
        .await;
    assert!(matches!(ended, Err(GateError::AllowanceEnded)));
}

/// Whether `id` is free: a new decision of other content.
async fn is_free(world: &World, ticket: &TicketText, id: &str) -> bool {
    let other = with_id(read_of(ticket, "someone else"), id);
    world.gate.check(&crm(), other).await.is_ok()
}

#[tokio::test]
async fn an_id_is_remembered_for_ten_minutes_and_no_longer_also_across_a_restart() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    world.check(with_id(read(&ticket), "r-1")).await;
    world.check(with_id(read(&ticket), "r-2")).await;
    world.clock.advance(minutes(10));
    assert!(!is_free(&world, &ticket, "r-1").await);
    let world = world.restart().await;
    assert!(!is_free(&world, &ticket, "r-1").await);
    world.clock.advance(seconds(1));
    assert!(is_free(&world, &ticket, "r-1").await);
    let world = world.restart().await;
    assert!(is_free(&world, &ticket, "r-2").await);
}

#[tokio::test]
async fn an_id_used_anew_is_remembered_from_then_also_across_a_restart() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    world.check(with_id(read(&ticket), "r-1")).await;
    world.clock.advance(seconds(601));
    let second = world.check(with_id(read_of(&ticket, "js-1"), "r-1")).await;
    assert!(second.is_allowed());
    let world = world.restart().await;
    world.clock.advance(seconds(30));
    let repeat = world.check(with_id(read_of(&ticket, "js-1"), "r-1")).await;
    is_same_answer(&second, &repeat);
}

#[tokio::test]
async fn a_caller_that_hangs_up_and_asks_again_gets_the_first_decision() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    let request = with_id(read(&ticket), "r-1");
    {
        let peer = crm();
        let mut call = Box::pin(world.gate.check(&peer, request.clone()));
        let mut context = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending());
    }
    let repeat = world.check(request).await;
    let decisions = world.decisions_on_disk();
    assert_eq!(
        decisions.len(),
        1,
        "the first came to be without its caller"
    );
    assert_eq!(decisions[0].decision_id, repeat.entry.decision_id);
    assert_eq!(world.spend_what_is_left(&read(&ticket)).await, 199);
}

#[tokio::test]
async fn each_item_of_a_batch_has_its_id_and_the_batch_repeats_whole() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    let batch = |last: &str| {
        vec![
            with_id(read_of(&ticket, "js-1"), "r-1"),
            read_of(&ticket, "js-2"),
            with_id(read_of(&ticket, last), "r-3"),
        ]
    };
    let first = world.gate.check_batch(&crm(), batch("js-3")).await.unwrap();
    let again = world.gate.check_batch(&crm(), batch("js-3")).await.unwrap();
    is_same_answer(&first[0], &again[0]);
    assert_ne!(first[1].entry.decision_id, again[1].entry.decision_id);
    is_same_answer(&first[2], &again[2]);
    let other = world.gate.check_batch(&crm(), batch("js-4")).await;
    assert_eq!(wrong_fields(other), ["items[2].request_id"]);
    // One that ends the batch takes nothing from those before it.
    world.clock.advance(seconds(61));
    let mixed = vec![
        with_id(read_of(&ticket, "js-9"), "r-9"),
        with_id(read_of(&ticket, "js-1"), "r-1"),
    ];
    let ended = world.gate.check_batch(&crm(), mixed).await;
    assert!(matches!(ended, Err(GateError::AllowanceEnded)));
    assert!(is_free(&world, &ticket, "r-9").await);
    // js-1, js-2, js-3 and `is_free`'s someone else.
    assert_eq!(world.spend_what_is_left(&read(&ticket)).await, 196);
}

#[tokio::test]
async fn past_the_bound_a_call_with_an_id_is_told_to_come_back_and_forgets_nobody() {
    let world = World::with(Options {
        request_ids_max: 2,
        ..Options::default()
    })
    .await;
    let ticket = world.log_in("adviser-1").await;
    let first = world.check(with_id(read(&ticket), "r-1")).await;
    world.check(with_id(read(&ticket), "r-2")).await;
    let busy = world
        .gate
        .check(&crm(), with_id(read(&ticket), "r-3"))
        .await;
    assert!(matches!(busy, Err(GateError::Busy { .. })));
    is_same_answer(&first, &world.check(with_id(read(&ticket), "r-1")).await);
    assert!(world.check(read(&ticket)).await.is_allowed());
}
