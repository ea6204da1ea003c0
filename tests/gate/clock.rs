//! The wall clock is set, and the clock that nobody sets goes on.

use std::time::Duration;

use sekisho::domain::access::{AccessRequest, Proof, TicketText};
use sekisho::domain::reason::ReasonCode;
use sekisho::gate::{GateError, StepUpRequest};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Row};

use crate::world::*;

const DAY: Duration = Duration::from_hours(24);
const EXPIRED: Option<ReasonCode> = Some(ReasonCode::TicketExpired);

/// How many ended and how many live sessions the store has.
async fn kept(world: &World) -> (i64, i64) {
    let options = SqliteConnectOptions::new().filename(world.folder().join("store.sqlite"));
    let mut store = SqliteConnection::connect_with(&options).await.unwrap();
    let counted = sqlx::query(
        "SELECT (SELECT count(*) FROM ended_sessions) AS ended, (SELECT count(*) FROM live_sessions) AS live",
    );
    let row = counted.fetch_one(&mut store).await.unwrap();
    store.close().await.unwrap();
    (row.get("ended"), row.get("live"))
}

#[tokio::test]
async fn what_ended_is_forgotten_when_both_clocks_say_that_it_is_long_over() {
    let world = World::new().await;
    let began = world.now();
    let ticket = world.log_in("adviser-1").await;
    let other = world.log_in("adviser-2").await;
    world.gate.end_session(&crm(), &ticket).await.unwrap();
    // By one clock alone: the wall clock is far ahead, or it is behind while the other goes on.
    world.clock.advance(DAY * 30);
    world.gate.tidy().await;
    world.clock.set(began);
    world.clock.serve(DAY * 30);
    world.gate.tidy().await;
    assert_eq!(kept(&world).await, (1, 1));
    assert_eq!(
        denied(&world.check(read(&ticket)).await),
        Some(ReasonCode::TicketRevoked)
    );
    assert!(world.check(read(&other)).await.is_allowed());
    world.clock.advance(DAY * 7);
    world.gate.tidy().await;
    assert_eq!(kept(&world).await, (1, 1), "a week after its end");
    world.clock.advance(DAY);
    world.gate.tidy().await;
    assert_eq!(kept(&world).await, (0, 0));
}

#[tokio::test]
async fn a_start_forgets_nothing_and_knows_nothing_for_long() {
    let world = World::new().await;
    let began = world.now();
    let ticket = world.log_in("adviser-1").await;
    world.gate.end_session(&crm(), &ticket).await.unwrap();
    world.clock.advance(DAY * 30);
    world.clock.serve(DAY);
    let world = world.restart().await;
    world.gate.tidy().await;
    // Of before this start it is known since the start only.
    world.clock.serve(Duration::from_hours(7));
    world.gate.tidy().await;
    world.clock.set(began);
    assert_eq!(
        denied(&world.check(read(&ticket)).await),
        Some(ReasonCode::TicketRevoked)
    );
}

#[tokio::test]
async fn a_use_and_a_second_step_of_a_time_to_come_are_not_fresh() {
    let world = World::new().await;
    let began = world.now();
    let ticket = world.log_in("adviser-1").await;
    world.work_for(&ticket, minutes(20)).await;
    let stepped = world.step_up("adviser-1", &ticket).await.unwrap();
    assert!(world.check(read(&stepped.ticket)).await.is_allowed());
    let later = world.now();
    world.clock.set(began.plus(minutes(5)));
    for shown in [&ticket, &stepped.ticket] {
        let refused = world.check(read(shown)).await;
        assert_eq!(denied(&refused), EXPIRED);
        assert!(detail(&refused.entry, "clock").contains("set back"));
        assert!(refused.entry.step_up.is_some(), "the session began before");
        let begun = StepUpRequest {
            credentials: credentials(shown),
        };
        world.gate.begin_step_up(&crm(), begun).await.unwrap();
    }
    // As far as two machines may be apart.
    world.clock.set(later.minus(seconds(2)));
    assert!(world.check(read(&stepped.ticket)).await.is_allowed());
    // Before it began, nothing takes it up.
    world.clock.set(began.minus(minutes(5)));
    let refused = world.check(read(&stepped.ticket)).await;
    assert_eq!(denied(&refused), EXPIRED);
    assert_eq!(refused.entry.step_up, None);
    let begun = StepUpRequest {
        credentials: credentials(&stepped.ticket),
    };
    let refused = world.gate.begin_step_up(&crm(), begun).await;
    assert!(matches!(
        refused,
        Err(GateError::Ticket(ReasonCode::TicketExpired))
    ));
}

#[tokio::test]
async fn an_allowance_of_a_time_to_come_is_not_repeated() {
    let world = World::new().await;
    let request = AccessRequest {
        proof: Proof::Workload,
        client_ip: None,
        session_ref: None,
        categories: vec![name("identity.name"), name("contact.email")],
        ..with_id(read(&TicketText::new("")), "r-1")
    };
    let mailer = mailer();
    let ask = || world.gate.check(&mailer, request.clone());
    let began = world.now();
    assert!(ask().await.unwrap().is_allowed());
    world.clock.set(began.minus(seconds(2)));
    assert!(ask().await.unwrap().is_allowed());
    world.clock.set(began.minus(seconds(3)));
    assert!(matches!(ask().await, Err(GateError::AllowanceEnded)));
}
