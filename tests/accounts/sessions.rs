//! Who is logged in, and ending that: over gRPC and at the terminal.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::dev_house::{House, credentials, done};
use crate::support::play::{CallError, Door, Metadata, Session, log_in};
use crate::support::scenario::{CALLER, OFFICE, SESSION};

const CHECK: &str = "sekisho.v1.AccessService/Check";
const LIST: &str = "sekisho.v1.SessionService/ListSessions";
const REVOKE_SESSION: &str = "sekisho.v1.SessionService/RevokeSession";
const REVOKE_PERSON: &str = "sekisho.v1.SessionService/RevokePerson";
const REVOKE_SERVICE: &str = "sekisho.v1.SessionService/RevokeService";
const BEGIN_STEP_UP: &str = "sekisho.v1.AuthenticationService/BeginStepUp";

/// How a check with this session ends: `None` when it is allowed.
pub(super) fn refused(house: &House, session: &Session) -> Option<String> {
    let request = json!({
        "actor": {
            "session_ticket": session.ticket,
            "client_ip": session.client_ip,
            "session_ref": session.session_ref,
        },
        "action": "ACTION_READ",
        "data": { "system": "crm", "subject_kind": "job-seeker", "subject_ref": "js-1", "categories": ["career.history"] },
        "purpose": "recruitment-service",
        "basis": { "consent": "CONSENT_STATE_PRIOR" },
    });
    let answer = house.answer(CHECK, &request, &Metadata::new());
    (answer["decision"] != "DECISION_ALLOW")
        .then(|| answer["reasons"][0]["code"].as_str().unwrap().to_owned())
}

fn revoked() -> Option<String> {
    Some("REASON_CODE_TICKET_REVOKED".to_owned())
}

fn sessions(house: &House, admin: &Session, query: &Value) -> Vec<Value> {
    let answer = house.answer(LIST, query, &admin.metadata());
    answer["sessions"].as_array().cloned().unwrap_or_default()
}

/// A code is good once: each login takes the next one.
fn in_session(house: &mut House, person: &str, session: &str) -> Session {
    house.advance(Duration::from_secs(31));
    log_in(house, person, (CALLER, OFFICE, session)).unwrap()
}

fn field(refused: Result<Value, CallError>) -> String {
    let refused = refused.unwrap_err();
    assert_eq!(refused.code, "INVALID_ARGUMENT", "{refused}");
    assert_eq!(refused.fields().len(), 1, "{refused}");
    refused.fields()[0].to_string()
}

#[test]
fn what_an_administrator_ends_is_refused_at_the_next_check_and_after_a_kill() {
    let mut house = House::with_clock();
    let first = in_session(&mut house, "adviser-1", "one");
    let second = in_session(&mut house, "adviser-1", "two");
    let other = in_session(&mut house, "adviser-2", "three");
    let admin = house.log_in("administrator-1");
    assert_eq!(refused(&house, &first), None);
    let own = sessions(&house, &admin, &json!({ "person": "adviser-1" }));
    assert_eq!(own.len(), 2, "{own:?}");
    assert_eq!(
        (&own[0]["service"], &own[0]["device"]),
        (&json!(CALLER), &json!(OFFICE))
    );
    assert_eq!(sessions(&house, &admin, &json!({})).len(), 4);

    // The newest first: the second of them is the first login.
    let request = json!({ "session_id": own[1]["sessionId"], "reason": "left the desk" });
    let answer = house.answer(REVOKE_SESSION, &request, &admin.metadata());
    assert_eq!(answer["ended"], 1);
    assert_eq!(refused(&house, &first), revoked());
    assert_eq!(refused(&house, &second), None);
    let again = house.answer(REVOKE_SESSION, &request, &admin.metadata());
    assert_eq!(again.get("ended"), None);

    let request = json!({ "person": "adviser-1", "reason": "lost the laptop" });
    let answer = house.answer(REVOKE_PERSON, &request, &admin.metadata());
    assert_eq!(answer["ended"], 1);
    assert_eq!(refused(&house, &second), revoked());
    assert_eq!(refused(&house, &other), None);

    let mut house = house.kill_and_start();
    for gone in [&first, &second] {
        assert_eq!(refused(&house, gone), revoked());
    }
    assert_eq!(refused(&house, &other), None);
    assert_eq!(sessions(&house, &admin, &json!({})).len(), 2);

    // All tickets of a service, the administrator's own as well; who logs in anew is let in.
    let request = json!({ "service": CALLER, "reason": "its host was broken into" });
    let answer = house.answer(REVOKE_SERVICE, &request, &admin.metadata());
    assert_eq!(answer["ended"], 2);
    assert_eq!(refused(&house, &other), revoked());
    let anew = in_session(&mut house, "adviser-2", "four");
    assert_eq!(refused(&house, &anew), None);
    let house = house.kill_and_start();
    assert_eq!(refused(&house, &other), revoked());
    assert_eq!(refused(&house, &anew), None);
}

#[test]
fn with_one_login_more_than_the_pack_allows_the_oldest_ends() {
    let mut house = House::with_clock();
    let mut all: Vec<Session> = (0..17)
        .map(|number| in_session(&mut house, "adviser-1", &format!("s-{number}")))
        .collect();
    let first = all.remove(0);
    assert_eq!(refused(&house, &first), revoked());
    assert_eq!(refused(&house, &all[0]), None);
    let house = house.kill_and_start();
    assert_eq!(refused(&house, &first), revoked());
    assert_eq!(refused(&house, &all[0]), None);
}

#[test]
fn only_an_administrator_with_a_fresh_second_step_sees_and_ends_sessions_and_bad_input_is_named() {
    let mut house = House::with_clock();
    let adviser = house.log_in("adviser-1");
    let admin = house.log_in("administrator-1");
    for method in [LIST, REVOKE_PERSON] {
        let request = if method == LIST {
            json!({})
        } else {
            json!({ "person": "adviser-1", "reason": "x" })
        };
        for metadata in [adviser.metadata(), Metadata::new()] {
            let refused = house.send(method, &request, &metadata).unwrap_err();
            assert_eq!(refused.code, "PERMISSION_DENIED", "{refused}");
        }
    }
    let metadata = admin.metadata();
    for (method, request, named) in [
        (LIST, json!({ "page_size": 1001 }), "page_size"),
        (LIST, json!({ "page_token": "7" }), "page_token"),
        (
            REVOKE_SESSION,
            json!({ "session_id": "7", "reason": "x" }),
            "session_id",
        ),
        (
            REVOKE_PERSON,
            json!({ "person": "nobody-1", "reason": "x" }),
            "person",
        ),
        (REVOKE_PERSON, json!({ "person": "adviser-1" }), "reason"),
        (REVOKE_PERSON, json!({ "reason": "x" }), "person"),
        (
            REVOKE_SERVICE,
            json!({ "service": "no-service", "reason": "x" }),
            "service",
        ),
    ] {
        let told = field(house.send(method, &request, &metadata));
        assert!(told.contains(named), "{request}: {told}");
    }
    house.advance(Duration::from_secs(301));
    let refused = house.send(LIST, &json!({}), &metadata).unwrap_err();
    assert_eq!(refused.code, "PERMISSION_DENIED", "{refused}");
    assert!(
        refused.to_string().contains("second step is too old"),
        "{refused}"
    );
    let step_up = json!({
        "session_ticket": admin.ticket, "client_ip": OFFICE, "session_ref": SESSION,
    });
    house.answer(BEGIN_STEP_UP, &step_up, &Metadata::new());
}

#[test]
fn pages_follow_on_and_the_terminal_lists_and_ends() {
    let mut house = House::with_clock();
    for number in 0..5 {
        in_session(&mut house, "adviser-1", &format!("s-{number}"));
    }
    let admin = house.log_in("administrator-1");
    let mut seen = Vec::new();
    let mut token = Value::String(String::new());
    loop {
        let query = json!({ "page_size": 2, "page_token": token });
        let answer = house.answer(LIST, &query, &admin.metadata());
        let page = answer["sessions"].as_array().unwrap();
        seen.extend(page.iter().map(|one| one["sessionId"].clone()));
        match answer.get("nextPageToken") {
            Some(next) => token = next.clone(),
            None => break,
        }
    }
    assert_eq!(seen.len(), 6);
    seen.dedup();
    assert_eq!(seen.len(), 6);
}

#[test]
fn the_terminal_lists_and_ends_sessions() {
    let mut house = House::open();
    let adviser = house.log_in("adviser-1");
    let data = house.data().to_owned();
    let password = house.people.get("administrator-1").password.clone();
    let typed = credentials(house.home(), &data, "administrator-1", &password);
    done(house.home(), &typed, &["login", "--data", &data]);
    let list = [
        "sessions",
        "list",
        "--json",
        "--data",
        &data,
        "--person",
        "adviser-1",
    ];
    let listed = done(house.home(), "", &list);
    let session: Value =
        serde_json::from_str(listed.trim()).unwrap_or_else(|error| panic!("{error}: {listed:?}"));
    assert_eq!(session["person"], "adviser-1");
    let id = session["session_id"].as_str().unwrap();
    let end = ["sessions", "end", id, "--reason", "left", "--data", &data];
    let said = done(house.home(), "", &end);
    assert!(said.starts_with("ended 1 sessions"), "{said}");
    assert_eq!(refused(&house, &adviser), revoked());
    let japanese = [
        &list[..2],
        &["--data", &data, "--person", "adviser-1", "--lang", "ja"],
    ]
    .concat();
    assert_eq!(
        done(house.home(), "", &japanese),
        "ログイン中の人はいません\n"
    );
}
