//! A second factor that is disabled and freed at the same moment, through two daemons on one PostgreSQL: nobody stays locked out.

use std::thread;
use std::time::{Duration, Instant};

use sekisho::proto::access_service_client::AccessServiceClient;
use sekisho::proto::{Action, Actor, CheckRequest, DataScope, ReasonCode, actor};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tonic::transport::Channel;

use crate::shared::beside;
use crate::support::certificates::of_service;
use crate::support::client;
use crate::support::dev_house::House;
use crate::support::play::{CallError, Door as _, Metadata, Session};
use crate::support::postgres::Postgres;
use crate::support::scenario::{CALLER, OFFICE, SESSION};

const PERSON: &str = "adviser-1";

/// Two daemons on one store.
fn two_daemons(url: &str) -> [House; 2] {
    let first = House::with_store(url);
    let second = House::take_up(beside(&first));
    [first, second]
}

/// Looks at one daemon through a connection that is open already, since what is looked for lasts for a second only.
struct Watch {
    runtime: Runtime,
    service: AccessServiceClient<Channel>,
    check: CheckRequest,
}

impl Watch {
    fn over(house: &House, session: &Session) -> Self {
        let runtime = Runtime::new().unwrap();
        let data = house.daemon.data();
        let own = of_service(data, CALLER);
        let connecting = client::connect(data, &own, &house.daemon.grpc);
        let service = AccessServiceClient::new(runtime.block_on(connecting).unwrap());
        let check = CheckRequest {
            actor: Some(Actor {
                proof: Some(actor::Proof::SessionTicket(session.ticket.clone())),
                client_ip: session.client_ip.clone(),
                session_ref: session.session_ref.clone(),
            }),
            action: Action::Read.into(),
            data: Some(DataScope {
                system: "crm".to_owned(),
                subject_kind: "job-seeker".to_owned(),
                subject_ref: "S-1".to_owned(),
                categories: vec!["career.history".to_owned()],
                ..DataScope::default()
            }),
            purpose: "recruitment-service".to_owned(),
            ..CheckRequest::default()
        };
        Self {
            runtime,
            service,
            check,
        }
    }

    /// Whether the person's tickets are refused because of a disabled factor.
    fn is_locked(&mut self) -> bool {
        let asking = self.service.check(self.check.clone());
        let answer = self.runtime.block_on(asking).unwrap().into_inner();
        let first = answer.reasons.first();
        first.is_some_and(|reason| reason.code() == ReasonCode::AccountLocked)
    }

    /// Whether they are while `trying` goes on.
    fn is_locked_during<T>(&mut self, trying: &thread::ScopedJoinHandle<'_, T>) -> bool {
        while !trying.is_finished() {
            if self.is_locked() {
                return true;
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

fn eventually(mut what: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until {
        if what() {
            return true;
        }
        thread::sleep(Duration::from_millis(50));
    }
    false
}

/// One of the two writes of a try waits, so that what others do comes in between for sure.
fn slowed(url: &str, table: &str, when: &str, seconds: &str) {
    let sql = format!(
        "CREATE FUNCTION sekisho.slow() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN IF {when} THEN PERFORM pg_sleep({seconds}); END IF; RETURN NEW; END $$;
         CREATE TRIGGER slow BEFORE UPDATE ON sekisho.{table} FOR EACH ROW EXECUTE FUNCTION sekisho.slow()"
    );
    Postgres::shared().sql(url, &sql);
}

#[test]
fn a_factor_that_its_owner_frees_with_the_last_try_is_free_at_every_daemon() {
    let url = Postgres::shared().database();
    let [mut first, second] = two_daemons(&url);
    let session = first.log_in(PERSON);
    let mut here = Watch::over(&first, &session);
    let mut there = Watch::over(&second, &session);
    assert!(!here.is_locked() && !there.is_locked());
    // Between the charge, by which it is disabled, and the spending, by which it is free again.
    slowed(
        &url,
        "second_factors",
        "NEW.failures = 0 AND OLD.failures >= 50",
        "1.2",
    );
    let mut freed_in_between = || {
        Postgres::shared().sql(
            &url,
            "UPDATE sekisho.second_factors SET failures = 49, last_step = NULL WHERE person = 'adviser-1'",
        );
        let was_locked = thread::scope(|scope| {
            let freeing =
                scope.spawn(|| try_with(&first, &first.people.get(PERSON).code(first.now())));
            let was_locked = there.is_locked_during(&freeing);
            freeing.join().unwrap().unwrap();
            was_locked
        });
        assert!(!here.is_locked());
        assert!(
            eventually(|| !there.is_locked()),
            "still locked at the other"
        );
        was_locked
    };
    // A machine that is very busy may be too late to see it.
    assert!(
        (0..5).any(|_| freed_in_between()),
        "never disabled in between"
    );
}

#[test]
fn a_factor_that_is_reset_while_another_daemon_disables_it_leaves_nobody_locked_out_there() {
    let url = Postgres::shared().database();
    let [mut first, second] = two_daemons(&url);
    let session = first.log_in(PERSON);
    let mut here = Watch::over(&first, &session);
    let [one, two] = ["administrator-1", "administrator-2"].map(|id| first.log_in(id));
    let reset = |by: &Session, approve: &str| {
        let request = json!({ "person": PERSON, "reason": "lost", "approve": approve });
        let method = "sekisho.v1.ResetService/ResetSecondFactor";
        first.answer(method, &request, &by.metadata())
    };
    let pending = reset(&one, "0")["pending"].as_str().unwrap().to_owned();
    let sql = "UPDATE sekisho.second_factors SET failures = 49 WHERE person = 'adviser-1'";
    Postgres::shared().sql(&url, sql);
    // Between the charge of a wrong code and its answer the other daemon takes the factor away.
    slowed(
        &url,
        "logs",
        "NEW.number = 2 AND NEW.factor_writes > OLD.factor_writes
             AND EXISTS (SELECT FROM sekisho.second_factors WHERE failures >= 50)",
        "2.2",
    );
    thread::scope(|scope| {
        let wrong = scope.spawn(|| try_with(&second, "000000"));
        // Where the machine is too busy to see it in between, it is reset after it.
        here.is_locked_during(&wrong);
        reset(&two, &pending);
        wrong.join().unwrap().unwrap_err();
    });
    for house in [&first, &second] {
        assert!(
            eventually(|| enrolls(house)),
            "locked out: {}",
            house.daemon.output()
        );
    }
}

/// Whether the person may enrol anew.
fn enrolls(house: &House) -> bool {
    let password = house.people.get(PERSON).password.clone();
    let begin = json!({ "person": PERSON, "password": password, "client_ip": OFFICE, "session_ref": SESSION });
    let method = |name: &str| format!("sekisho.v1.AuthenticationService/{name}");
    house
        .send(&method("VerifyPassword"), &begin, &Metadata::new())
        .and_then(|begun| {
            let request = json!({ "challenge_id": begun["challengeId"] });
            house.send(&method("StartEnrollment"), &request, &Metadata::new())
        })
        .is_ok()
}

/// Both steps.
fn try_with(house: &House, code: &str) -> Result<Value, CallError> {
    let password = house.people.get(PERSON).password.clone();
    let begin = json!({ "person": PERSON, "password": password, "client_ip": OFFICE, "session_ref": SESSION });
    let method = |name: &str| format!("sekisho.v1.AuthenticationService/{name}");
    let begun = house.answer(&method("VerifyPassword"), &begin, &Metadata::new());
    let request = json!({ "challenge_id": begun["challengeId"], "totp": code });
    house.send(&method("VerifySecondFactor"), &request, &Metadata::new())
}
