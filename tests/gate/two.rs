//! Two daemons on one PostgreSQL, of which neither has heard yet what the other changed: what one ended stays ended.

use sekisho::domain::access::TicketText;
use sekisho::domain::reason::ReasonCode;
use sekisho::gate::{
    GateError, Guarded, LoginRequest, PasswordChange, Revocation, SessionQuery, Shown,
    StepUpRequest,
};
use sekisho::identity::password::Secret;

use crate::postgres::Postgres;
use crate::world::{
    OFFICE, PASSWORD, SESSION, World, credentials, crm, denied, ip, name, read, seconds,
};

const REVOKED: Option<ReasonCode> = Some(ReasonCode::TicketRevoked);
const WHO: &str = "adviser-1";

/// A code is good once: each login takes the next one.
async fn log_in(world: &World, person: &str) -> TicketText {
    world.clock.advance(seconds(31));
    world.log_in(person).await
}

async fn end(world: &World, administrator: &TicketText, what: Revocation) -> usize {
    let reason = "lost".to_owned();
    let proof = credentials(administrator);
    let ended = world.gate.revoke(&crm(), &proof, what, reason).await;
    ended.unwrap().ended
}

async fn refused(world: &World, ticket: &TicketText) -> Option<ReasonCode> {
    denied(&world.check(read(ticket)).await)
}

async fn listed(world: &World, administrator: &TicketText) -> usize {
    let query = SessionQuery {
        person: Some(name(WHO)),
        ..SessionQuery::default()
    };
    let proof = credentials(administrator);
    let page = world.gate.list_sessions(&crm(), &proof, query).await;
    page.unwrap().sessions.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_hears_of_the_others_sessions_that_its_own_login_ended() {
    let url = Postgres::shared().database();
    let [one, two] = World::pair(&url).await;
    let mut tickets = Vec::new();
    for _ in 0..16 {
        tickets.push(log_in(&one, WHO).await);
    }
    // The other has not heard of any of them, and the store knows them all.
    let last = log_in(&two, WHO).await;
    two.follow().await;
    one.follow().await;
    for world in [&two, &one] {
        assert_eq!(refused(world, &tickets[0]).await, REVOKED);
        assert_eq!(refused(world, &tickets[1]).await, None);
        assert_eq!(refused(world, &last).await, None);
        let administrator = log_in(world, "administrator-1").await;
        assert_eq!(listed(world, &administrator).await, 16);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_end_of_a_persons_sessions_and_of_a_services_counts_whoever_knew_of_the_one_before() {
    let url = Postgres::shared().database();
    let [one, two] = World::pair(&url).await;
    let administrator = log_in(&one, "administrator-1").await;
    let person = || Revocation::Person(name(WHO));
    end(&one, &administrator, person()).await;
    let between = log_in(&one, WHO).await;
    assert_eq!(end(&two, &administrator, person()).await, 1);
    assert_eq!(refused(&two, &between).await, REVOKED);
    one.follow().await;
    assert_eq!(refused(&one, &between).await, REVOKED);

    let administrator = log_in(&two, "administrator-2").await;
    let service = || Revocation::Service(name("career-crm"));
    end(&one, &administrator, service()).await;
    let between = log_in(&one, WHO).await;
    // Of the first end the other has not heard: it admits the administrator whom that ended.
    end(&two, &administrator, service()).await;
    assert_eq!(refused(&two, &between).await, REVOKED);
    one.follow().await;
    assert_eq!(refused(&one, &between).await, REVOKED);
    let anew = log_in(&two, WHO).await;
    one.follow().await;
    assert_eq!(refused(&one, &anew).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_ends_at_the_same_instant_none_is_lost() {
    let url = Postgres::shared().database();
    let both = World::pair(&url).await;
    let administrator = log_in(&both[0], "administrator-1").await;
    let mut ends = tokio::task::JoinSet::new();
    for number in 0..12 {
        let world = &both[number % 2];
        let (gate, proof) = (
            std::sync::Arc::clone(&world.gate),
            credentials(&administrator),
        );
        ends.spawn(async move {
            let what = Revocation::Person(name(WHO));
            gate.revoke(&crm(), &proof, what, "lost".to_owned()).await
        });
    }
    let ended = ends.join_all().await;
    let done = ended.iter().filter(|ended| ended.is_ok()).count();
    assert!(done > 0, "{ended:?}");
    let asked = format!("SELECT epoch FROM sekisho.people WHERE id = '{WHO}'");
    let epoch: usize = Postgres::shared().sql(&url, &asked).parse().unwrap();
    assert!(epoch >= done, "{epoch} of {done}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_was_set_at_one_is_not_undone_by_a_change_that_was_begun_at_the_other() {
    let url = Postgres::shared().database();
    let [one, two] = World::pair(&url).await;
    let ticket = log_in(&two, WHO).await;
    let begun = StepUpRequest {
        credentials: credentials(&ticket),
    };
    let challenge = two.gate.begin_step_up(&crm(), begun).await.unwrap();
    let administrator = log_in(&one, "administrator-1").await;
    let proof = credentials(&administrator);
    let set = one
        .gate
        .set_password(&crm(), &proof, &name(WHO), None)
        .await;
    let Guarded::Done { what: set, .. } = set.unwrap() else {
        panic!("it takes one administrator only");
    };
    let change = PasswordChange {
        challenge: name(&challenge.challenge),
        new_password: Secret::parse("雨の月曜 plum 47").unwrap(),
        shown: Some(Shown::Code(two.code(WHO).into())),
    };
    let changed = two.gate.change_password(&crm(), change).await;
    assert!(
        matches!(changed, Err(GateError::NotGenuine | GateError::Busy { .. })),
        "{changed:?}"
    );
    for (password, right) in [
        (PASSWORD, false),
        ("雨の月曜 plum 47", false),
        (set.password.expose(), true),
    ] {
        let login = LoginRequest {
            person: name(WHO),
            password: Secret::parse(password).unwrap(),
            client_ip: Some(ip(OFFICE)),
            session_ref: Some(name(SESSION)),
        };
        let first = one.gate.verify_password(&crm(), login).await;
        assert_eq!(first.is_ok(), right, "{password}");
    }
}
