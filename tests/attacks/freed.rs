//! A second factor that is disabled and freed at the same moment, through two daemons on one PostgreSQL: nobody stays locked out.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::shared::beside;
use crate::support::dev_house::House;
use crate::support::play::{CallError, Door as _, Metadata, Session};
use crate::support::postgres::Postgres;
use crate::support::scenario::{OFFICE, SESSION};

const PERSON: &str = "adviser-1";

/// Two daemons on one store.
fn two_daemons(url: &str) -> [House; 2] {
    let first = House::with_store(url);
    let second = House::take_up(beside(&first));
    [first, second]
}

/// Whether the person's tickets are refused because of a disabled factor.
fn is_locked(house: &House, session: &Session) -> bool {
    reason_of(house, session) == "REASON_CODE_ACCOUNT_LOCKED"
}

fn eventually(what: impl Fn() -> bool) -> bool {
    let until = Instant::now() + Duration::from_secs(5);
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
    assert!(eventually(|| !is_locked(&second, &session)));
    Postgres::shared().sql(
        &url,
        "UPDATE sekisho.second_factors SET failures = 49, last_step = NULL WHERE person = 'adviser-1'",
    );
    // Between the charge, by which it is disabled, and the spending, by which it is free again.
    slowed(
        &url,
        "second_factors",
        "NEW.failures = 0 AND OLD.failures >= 50",
        "1.5",
    );
    thread::scope(|scope| {
        let freed = scope.spawn(|| try_with(&first, &first.people.get(PERSON).code(first.now())));
        assert!(
            eventually(|| is_locked(&second, &session)),
            "not disabled in between"
        );
        freed.join().unwrap().unwrap();
    });
    assert!(!is_locked(&first, &session));
    assert!(
        eventually(|| !is_locked(&second, &session)),
        "still locked at the other"
    );
}

#[test]
fn a_factor_that_is_reset_while_another_daemon_disables_it_leaves_nobody_locked_out_there() {
    let url = Postgres::shared().database();
    let [mut first, second] = two_daemons(&url);
    let session = first.log_in(PERSON);
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
        assert!(
            eventually(|| is_locked(&first, &session)),
            "not disabled in between"
        );
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

fn reason_of(house: &House, session: &Session) -> String {
    let request = crate::site::request(session);
    let answer = house.answer("sekisho.v1.AccessService/Check", &request, &Metadata::new());
    crate::site::reason(&answer).to_owned()
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
