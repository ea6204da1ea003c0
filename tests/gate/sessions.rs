//! The two steps, and how long what they gave lasts: 15 minutes without use, 8 hours in all.

use sekisho::domain::access::{AccessRequest, Action, TicketText};
use sekisho::domain::reason::ReasonCode;
use sekisho::gate::{Credentials, GateError, LoginRequest, StepUpRequest};
use sekisho::identity::password::Secret;
use sekisho::proto::EntryKind;

use crate::world::*;

const EXPIRED: Option<ReasonCode> = Some(ReasonCode::TicketExpired);
const MISMATCH: Option<ReasonCode> = Some(ReasonCode::TicketBindingMismatch);

fn create(ticket: &TicketText) -> AccessRequest {
    AccessRequest {
        action: Action::Create,
        ..read(ticket)
    }
}

#[tokio::test]
async fn use_renews_a_ticket_after_a_fifth_of_the_idle_limit() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    world.clock.advance(seconds(179));
    assert_eq!(world.check(read(&ticket)).await.renewed_ticket, None);
    world.clock.advance(seconds(1));
    let renewed = world.check(read(&ticket)).await.renewed_ticket.unwrap();
    let fresh = world.check(read(&renewed)).await;
    assert!(fresh.is_allowed());
    assert_eq!(fresh.renewed_ticket, None);
    assert_eq!(
        fresh.entry.second_step_us,
        world.now().minus(minutes(3)).micros()
    );
    // A denial by the policy is a use too, one of who comes in is not.
    world.clock.advance(minutes(3));
    let mut refused = read(&renewed);
    refused.purpose = None;
    assert!(world.check(refused.clone()).await.renewed_ticket.is_some());
    refused.client_ip = Some(ip(VPN));
    assert_eq!(world.check(refused).await.renewed_ticket, None);
}

#[tokio::test]
async fn an_idle_session_has_expired_and_a_code_alone_takes_it_up_again() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    world.clock.advance(minutes(15));
    assert!(world.check(read(&ticket)).await.is_allowed());
    world.clock.advance(minutes(15) + seconds(1));
    let expired = world.check(read(&ticket)).await;
    assert_eq!(denied(&expired), EXPIRED);
    assert!(expired.entry.step_up.is_some(), "the answer says how");
    let stepped = world.step_up("adviser-1", &ticket).await.unwrap();
    assert_eq!(stepped.authenticated_at, world.now());
    assert!(world.check(read(&stepped.ticket)).await.is_allowed());
}

#[tokio::test]
async fn a_refused_use_keeps_no_session_alive() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    world.clock.advance(minutes(14));
    let mut stolen = read(&ticket);
    stolen.client_ip = Some(ip(VPN));
    assert_eq!(denied(&world.check(stolen).await), MISMATCH);
    world.clock.advance(minutes(2));
    assert_eq!(denied(&world.check(read(&ticket)).await), EXPIRED);
    assert_eq!(denied(&world.check(read(&ticket)).await), EXPIRED);
}

#[tokio::test]
async fn a_restart_brings_no_idle_session_back() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    let other = world.log_in("adviser-2").await;
    world.clock.advance(minutes(14));
    let mut stolen = read(&ticket);
    stolen.client_ip = Some(ip(VPN));
    assert_eq!(denied(&world.check(stolen).await), MISMATCH);
    world.clock.advance(minutes(2));
    assert_eq!(denied(&world.check(read(&ticket)).await), EXPIRED);
    // A step-up that was begun and not passed is no use either.
    let begun = StepUpRequest {
        credentials: credentials(&other),
    };
    world.gate.begin_step_up(&crm(), begun).await.unwrap();
    assert_eq!(denied(&world.check(read(&other)).await), EXPIRED);
    let world = world.restart().await;
    world.clock.advance(minutes(1));
    assert_eq!(denied(&world.check(read(&ticket)).await), EXPIRED);
    assert_eq!(denied(&world.check(read(&other)).await), EXPIRED);
}

#[tokio::test]
async fn a_restart_ends_no_session_in_use() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    let other = world.log_in("adviser-2").await;
    world.work_for(&ticket, minutes(14)).await;
    let mut refused = read(&other);
    refused.purpose = None;
    assert!(!world.check(refused).await.is_allowed());
    // A repeat that comes too late for its allowance is a use, although it is refused.
    let third = world.log_in("adviser-5").await;
    let repeated = world.log_in("manager-1").await;
    world.check(with_id(read(&repeated), "r-1")).await;
    world.clock.advance(minutes(2));
    let late = world
        .gate
        .check(&crm(), with_id(read(&repeated), "r-1"))
        .await;
    assert!(matches!(late, Err(GateError::AllowanceEnded)));
    let world = world.restart().await;
    world.clock.advance(minutes(13));
    assert!(world.check(read(&ticket)).await.is_allowed());
    assert!(world.check(read(&other)).await.is_allowed());
    assert_eq!(
        denied(&world.check(read(&third)).await),
        Some(ReasonCode::ConfidentialityPledgeMissing)
    );
    world.clock.advance(minutes(2));
    assert!(world.check(read(&repeated)).await.is_allowed());
}

#[tokio::test]
async fn nothing_extends_eight_hours() {
    let world = World::new().await;
    let login = world.log_in_at(&crm(), "adviser-1").await;
    let end = world.now().plus(minutes(8 * 60));
    assert_eq!(login.expires, end);
    let mut ticket = login.ticket;
    while world.now() < end.minus(minutes(20)) {
        world.clock.advance(minutes(10));
        let answer = world.check(create(&ticket)).await;
        assert!(answer.is_allowed());
        ticket = answer.renewed_ticket.unwrap();
    }
    let stepped = world.step_up("adviser-1", &ticket).await.unwrap();
    assert_eq!(stepped.expires, end);
    let exchanged = world
        .gate
        .exchange_ticket(
            &billing(),
            &credentials(&stepped.ticket),
            Some(name(SESSION)),
        )
        .await
        .unwrap();
    assert_eq!(exchanged.expires, end);
    world.clock.set(end.minus(minutes(10)));
    assert!(world.check(create(&stepped.ticket)).await.is_allowed());
    world.clock.set(end.minus(seconds(30)));
    let answer = world.check(create(&stepped.ticket)).await;
    assert!(answer.is_allowed());
    assert_eq!(
        answer.entry.valid_until_us,
        end.micros(),
        "nor does an allowance"
    );
    let begun = StepUpRequest {
        credentials: credentials(&ticket),
    };
    let late = world
        .gate
        .begin_step_up(&crm(), begun.clone_with(&ticket))
        .await
        .unwrap();
    assert_eq!(late.expires, end);
    world.clock.set(end);
    for ticket in [&ticket, &stepped.ticket, &answer.renewed_ticket.unwrap()] {
        let ended = world.check(create(ticket)).await;
        assert_eq!(denied(&ended), EXPIRED);
        assert_eq!(ended.entry.step_up, None, "a code alone won't do any more");
        let refused = world
            .gate
            .begin_step_up(&crm(), begun.clone_with(ticket))
            .await;
        assert!(matches!(
            refused,
            Err(GateError::Ticket(ReasonCode::TicketExpired))
        ));
    }
    let ended = world
        .gate
        .check(&billing(), create(&exchanged.ticket))
        .await
        .unwrap();
    assert_eq!(denied(&ended), EXPIRED);
    // A challenge from before the end gives nothing that lasts beyond it.
    let after = world
        .gate
        .verify_second_factor(&crm(), &late.challenge, &world.code("adviser-1"))
        .await;
    if let Ok(given) = after {
        assert_eq!(denied(&world.check(create(&given.ticket)).await), EXPIRED);
    }
}

trait CloneWith {
    fn clone_with(&self, ticket: &TicketText) -> Self;
}

impl CloneWith for StepUpRequest {
    fn clone_with(&self, ticket: &TicketText) -> Self {
        Self {
            credentials: Credentials {
                ticket: Some(ticket.clone()),
                ..self.credentials.clone()
            },
        }
    }
}

#[tokio::test]
async fn the_end_of_a_session_ends_the_exchanged_ticket_too_also_across_a_restart() {
    let world = World::new().await;
    let ticket = world.log_in("accounting-1").await;
    let exchanged = world
        .gate
        .exchange_ticket(&billing(), &credentials(&ticket), Some(name("billing-7")))
        .await
        .unwrap()
        .ticket;
    let at_billing = AccessRequest {
        session_ref: Some(name("billing-7")),
        categories: vec![name("payment")],
        purpose: Some(name("settlement")),
        system: Some(name("ledger")),
        ..read(&exchanged)
    };
    let before = world
        .gate
        .check(&billing(), at_billing.clone())
        .await
        .unwrap();
    assert!(before.is_allowed());
    world.gate.end_session(&crm(), &ticket).await.unwrap();
    let killed = world.start_on(world.as_killed_now()).await.unwrap();
    let revoked = Some(ReasonCode::TicketRevoked);
    let now = world.gate.check(&billing(), at_billing.clone()).await;
    assert_eq!(denied(&now.unwrap()), revoked);
    let begun = StepUpRequest {
        credentials: credentials(&ticket),
    };
    let stepped = world.gate.begin_step_up(&crm(), begun).await;
    assert!(matches!(
        stepped,
        Err(GateError::Ticket(ReasonCode::TicketRevoked))
    ));
    let world = world.restart().await;
    for world in [&world, &killed] {
        let after = world.gate.check(&billing(), at_billing.clone()).await;
        assert_eq!(denied(&after.unwrap()), revoked);
        assert_eq!(denied(&world.check(read(&ticket)).await), revoked);
    }
}

#[tokio::test]
async fn a_step_up_begun_before_the_session_ended_gives_no_ticket() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    world.clock.advance(seconds(60));
    let begun = StepUpRequest {
        credentials: credentials(&ticket),
    };
    let challenge = world
        .gate
        .begin_step_up(&crm(), begun)
        .await
        .unwrap()
        .challenge;
    world.gate.end_session(&crm(), &ticket).await.unwrap();
    let refused = world
        .gate
        .verify_second_factor(&crm(), &challenge, &world.code("adviser-1"))
        .await;
    assert!(matches!(refused, Err(GateError::NotGenuine)));
}

#[tokio::test]
async fn a_ticket_is_bound_to_service_address_and_session() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    let mut wrong = vec![read(&ticket); 4];
    wrong[0].client_ip = Some(ip("203.0.113.11"));
    wrong[1].client_ip = Some(ip(VPN));
    wrong[2].session_ref = Some(name("browser-2"));
    wrong[3].session_ref = None;
    for request in wrong {
        assert_eq!(denied(&world.check(request.clone()).await), MISMATCH);
        let taken = Credentials {
            ticket: Some(ticket.clone()),
            client_ip: request.client_ip,
            session_ref: request.session_ref,
        };
        let exchanged = world.gate.exchange_ticket(&billing(), &taken, None).await;
        assert!(matches!(exchanged, Err(GateError::Ticket(_))));
        let begun = StepUpRequest { credentials: taken };
        let begun = world.gate.begin_step_up(&crm(), begun).await;
        assert!(matches!(
            begun,
            Err(GateError::Ticket(ReasonCode::TicketBindingMismatch))
        ));
    }
    let elsewhere = world.gate.check(&billing(), read(&ticket)).await.unwrap();
    assert_eq!(denied(&elsewhere), MISMATCH);
    let ended = world.gate.end_session(&billing(), &ticket).await;
    assert!(matches!(
        ended,
        Err(GateError::Ticket(ReasonCode::TicketBindingMismatch))
    ));
    assert!(world.check(read(&ticket)).await.is_allowed());
}

#[tokio::test]
async fn an_ipv6_device_keeps_its_ticket_within_its_64() {
    let world = World::new().await;
    let login = LoginRequest {
        person: name("adviser-1"),
        password: Secret::parse(PASSWORD).unwrap(),
        client_ip: Some(ip("2001:db8:1::a")),
        session_ref: Some(name(SESSION)),
    };
    let challenge = world
        .gate
        .verify_password(&crm(), login)
        .await
        .unwrap()
        .challenge;
    let ticket = world
        .gate
        .verify_second_factor(&crm(), &challenge, &world.code("adviser-1"))
        .await
        .unwrap()
        .ticket;
    let from = |address| AccessRequest {
        client_ip: Some(ip(address)),
        ..read(&ticket)
    };
    assert!(world.check(from("2001:db8:1::ffff:b")).await.is_allowed());
    assert_eq!(
        denied(&world.check(from("2001:db8:1:1::a")).await),
        MISMATCH
    );
}

#[tokio::test]
async fn a_forged_ticket_is_invalid() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    let text = ticket.expose();
    let (head, tail) = text.split_at(text.len() / 2);
    let flipped = if tail.starts_with('A') { "B" } else { "A" };
    for forged in [
        format!("{head}{flipped}{}", &tail[1..]),
        text[..text.len() - 1].to_owned(),
        format!("{text}A"),
        String::new(),
        "sk1...".to_owned(),
    ] {
        let answer = world.check(read(&TicketText::new(&forged))).await;
        assert_eq!(denied(&answer), Some(ReasonCode::TicketInvalid), "{forged}");
        assert_eq!(answer.entry.person, "");
    }
}

#[tokio::test]
async fn the_code_of_a_step_is_accepted_once_also_after_a_restart() {
    let world = World::new().await;
    let mut challenges = Vec::new();
    for _ in 0..2 {
        challenges.push(world.first_step(&crm(), "adviser-1").await.unwrap());
    }
    let code = world.code("adviser-1");
    let verify = async |world: &World, challenge: &str| {
        world
            .gate
            .verify_second_factor(&crm(), challenge, &code)
            .await
    };
    let ticket = verify(&world, &challenges[0]).await.unwrap().ticket;
    let again = verify(&world, &challenges[0]).await;
    assert!(matches!(again, Err(GateError::NotGenuine)));
    let other = verify(&world, &challenges[1]).await;
    assert!(matches!(other, Err(GateError::NotGenuine)));
    let step_up = world.step_up("adviser-1", &ticket).await;
    assert!(matches!(step_up, Err(GateError::NotGenuine)));
    let killed = world.start_on(world.as_killed_now()).await.unwrap();
    let world = world.restart().await;
    for world in [&world, &killed] {
        let challenge = world.first_step(&crm(), "adviser-1").await.unwrap();
        let after = verify(world, &challenge).await;
        assert!(matches!(after, Err(GateError::NotGenuine)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_uses_of_one_code_at_once_one_wins() {
    let world = World::new().await;
    let mut challenges = Vec::new();
    for _ in 0..8 {
        challenges.push(world.first_step(&crm(), "adviser-1").await.unwrap());
    }
    let code = world.code("adviser-1");
    let calls: Vec<_> = challenges
        .into_iter()
        .map(|challenge| {
            let (gate, code) = (std::sync::Arc::clone(&world.gate), code.clone());
            tokio::spawn(async move { gate.verify_second_factor(&crm(), &challenge, &code).await })
        })
        .collect();
    let mut won = 0;
    for call in calls {
        match call.await.unwrap() {
            Ok(_) => won += 1,
            // The sixth at once waits, as after five wrong ones: none of them is known to be right yet.
            Err(error) => assert!(
                matches!(error, GateError::NotGenuine | GateError::Throttled { .. }),
                "{error}"
            ),
        }
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn a_challenge_takes_five_tries() {
    let world = World::new().await;
    let challenge = world.first_step(&crm(), "adviser-1").await.unwrap();
    let right = world.code("adviser-1");
    let wrong = if right == "000000" {
        "000001"
    } else {
        "000000"
    };
    for _ in 0..4 {
        let refused = world
            .gate
            .verify_second_factor(&crm(), &challenge, wrong)
            .await;
        assert!(matches!(refused, Err(GateError::NotGenuine)));
    }
    let malformed = world
        .gate
        .verify_second_factor(&crm(), &challenge, "12345")
        .await;
    assert_eq!(wrong_fields(malformed), ["totp"]);
    let late = world
        .gate
        .verify_second_factor(&crm(), &challenge, &right)
        .await;
    assert!(matches!(late, Err(GateError::NotGenuine)));
    let tries: Vec<_> = world
        .on_disk()
        .into_iter()
        .filter(|entry| !detail(entry, "attempt").is_empty())
        .collect();
    assert_eq!(tries.len(), 5, "each try has an entry that counts it");
    // The right code was never looked at, so it is still good, once the wait is over.
    world.clock.advance(seconds(30));
    let challenge = world.first_step(&crm(), "adviser-1").await.unwrap();
    let given = world
        .gate
        .verify_second_factor(&crm(), &challenge, &right)
        .await;
    assert!(given.is_ok());
}

#[tokio::test]
async fn a_challenge_is_answered_by_its_service_within_five_minutes_and_once() {
    let world = World::new().await;
    let challenge = world.first_step(&crm(), "adviser-1").await.unwrap();
    let code = world.code("adviser-1");
    let other = world
        .gate
        .verify_second_factor(&billing(), &challenge, &code)
        .await;
    assert!(matches!(other, Err(GateError::NotGenuine)));
    world.clock.advance(minutes(5));
    let late = world
        .gate
        .verify_second_factor(&crm(), &challenge, &world.code("adviser-1"))
        .await;
    assert!(matches!(late, Err(GateError::NotGenuine)));
    let challenge = world.first_step(&crm(), "adviser-1").await.unwrap();
    let code = world.code("adviser-1");
    let given = world
        .gate
        .verify_second_factor(&crm(), &challenge, &code)
        .await;
    assert!(given.is_ok());
    world.clock.advance(seconds(60));
    let again = world
        .gate
        .verify_second_factor(&crm(), &challenge, &world.code("adviser-1"))
        .await;
    assert!(matches!(again, Err(GateError::NotGenuine)));
}

#[tokio::test]
async fn a_login_that_is_refused_never_says_why() {
    let world = World::new().await;
    let attempt = |person: &str, password: &str, client_ip: &str| LoginRequest {
        person: name(person),
        password: Secret::parse(password).unwrap(),
        client_ip: Some(ip(client_ip)),
        session_ref: None,
    };
    for (login, why) in [
        (
            attempt("adviser-1", PASSWORD, OUTSIDE),
            "device in no network of the policy",
        ),
        (
            attempt("adviser-1", PASSWORD, "127.0.0.1"),
            "device in no network of the policy",
        ),
        (attempt("adviser-1", "wrong", OFFICE), "wrong password"),
        (attempt("nobody", PASSWORD, OFFICE), "unknown id"),
        (attempt("adviser-4", PASSWORD, OFFICE), "employment ended"),
    ] {
        let refused = world.gate.verify_password(&crm(), login).await;
        assert!(matches!(refused, Err(GateError::NotGenuine)));
        let last = world.on_disk().pop().unwrap();
        assert_eq!(last.kind, i32::from(EntryKind::Authentication));
        assert_eq!(
            (detail(&last, "outcome"), detail(&last, "why")),
            ("refused", why),
            "the log tells"
        );
    }
}

#[tokio::test]
async fn a_newcomer_without_second_factor_is_told_to_enrol_and_gets_no_ticket() {
    let world = World::new().await;
    let login = LoginRequest {
        person: name("newcomer-1"),
        password: Secret::parse(PASSWORD).unwrap(),
        client_ip: Some(ip(OFFICE)),
        session_ref: None,
    };
    let accepted = world.gate.verify_password(&crm(), login).await.unwrap();
    assert!(accepted.enrollment_required);
    for code in ["000000", "123456"] {
        let refused = world
            .gate
            .verify_second_factor(&crm(), &accepted.challenge, code)
            .await;
        assert!(matches!(refused, Err(GateError::NotEnrolled)));
    }
}

#[tokio::test]
async fn a_ticket_is_exchanged_between_paired_services_only() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    let at_home = world
        .gate
        .exchange_ticket(&crm(), &credentials(&ticket), None)
        .await;
    assert!(at_home.is_err(), "with itself it is not paired");
    let workload = world
        .gate
        .exchange_ticket(&mailer(), &credentials(&ticket), None)
        .await;
    assert!(matches!(
        workload,
        Err(GateError::Refused(ReasonCode::CallerMayNotActForPeople))
    ));
    world.clock.advance(minutes(2));
    let exchanged = world
        .gate
        .exchange_ticket(&billing(), &credentials(&ticket), None)
        .await
        .unwrap();
    assert_eq!(
        exchanged.authenticated_at,
        world.now().minus(minutes(2)),
        "the second step is no fresher"
    );
    world.clock.advance(minutes(16));
    let idle = world
        .gate
        .exchange_ticket(&billing(), &credentials(&ticket), None)
        .await;
    assert!(matches!(
        idle,
        Err(GateError::Ticket(ReasonCode::TicketExpired))
    ));
}
