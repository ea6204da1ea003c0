//! What an administrator ended has ended: whatever was under way then, whatever the clock said, and whether or not the session
//! was still listed. And what goes on is listed, counted, and can be ended.

use std::time::Duration;

use serde_json::{Value, json};

use crate::site::{Site, code_of, detail, not_genuine, reason};
use crate::support::play::{CallError, Door, Metadata, Session, log_in};
use crate::support::scenario::{CALLER, OFFICE, SESSION};

const STEP: Duration = Duration::from_secs(30);
const CHECK: &str = "sekisho.v1.AccessService/Check";
const OTHER: &str = "billing";
const REVOKED: &str = "REASON_CODE_TICKET_REVOKED";

fn ask(
    site: &Site,
    method: &str,
    request: &Value,
    administrator: &Session,
) -> Result<Value, CallError> {
    let method = format!("sekisho.v1.SessionService/{method}");
    site.send(&method, request, &administrator.metadata())
}

/// Ends every ticket of a service; how many sessions began there.
fn end_service(site: &Site, service: &str, administrator: &Session) -> u64 {
    let request = json!({ "service": service, "reason": "its host was broken into" });
    let answer = ask(site, "RevokeService", &request, administrator).unwrap();
    answer["ended"].as_u64().unwrap_or(0)
}

fn end_session(site: &Site, id: &str, administrator: &Session) -> Result<Value, CallError> {
    let request = json!({ "session_id": id, "reason": "left the desk" });
    ask(site, "RevokeSession", &request, administrator)
}

fn sessions(site: &Site, query: &Value, administrator: &Session) -> Vec<Value> {
    let answer = ask(site, "ListSessions", query, administrator).unwrap();
    answer["sessions"].as_array().cloned().unwrap_or_default()
}

/// Why a check in the session is refused, at the service that has the ticket; "none" when it is allowed.
fn refused(site: &mut Site, session: &Session) -> String {
    let mut request = crate::site::request(session);
    if session.service == OTHER {
        request["data"] = json!({ "system": "ledger", "subject_kind": "job-seeker", "subject_ref": "S-1", "categories": ["payment"] });
        request["purpose"] = "settlement".into();
    }
    let answer = site.call(&session.service, CHECK, &request, &Metadata::new());
    let answer = answer.unwrap();
    reason(&answer).to_owned()
}

/// The session of `from` at another service.
fn exchange(site: &mut Site, from: &Session, service: &str) -> Session {
    let request = json!({
        "session_ticket": from.ticket, "client_ip": from.client_ip, "session_ref": from.session_ref,
        "new_session_ref": "there",
    });
    let method = "sekisho.v1.AuthenticationService/ExchangeTicket";
    let answer = site.call(service, method, &request, &Metadata::new());
    Session {
        ticket: answer.unwrap()["sessionTicket"]
            .as_str()
            .unwrap()
            .to_owned(),
        service: service.to_owned(),
        session_ref: "there".to_owned(),
        ..from.clone()
    }
}

fn change_password(site: &Site, challenge: &Value) -> Result<Value, CallError> {
    let new = "雨の月曜 plum 47";
    let request = json!({ "challenge_id": challenge["challengeId"], "new_password": new });
    site.ask("ChangePassword", &request)
}

fn id_of_last_login(site: &Site) -> String {
    let entries = site.entries();
    let last = entries
        .iter()
        .rev()
        .find(|entry| detail(entry, "step") == Some("second-factor"));
    uuid::Uuid::from_slice(&last.unwrap().session)
        .unwrap()
        .to_string()
}

#[test]
fn what_was_under_way_when_its_service_was_ended_comes_to_nothing() {
    let mut site = Site::open();
    let stepping = site.person("adviser-1");
    let changing = site.person("adviser-2");
    let enrolling = site.person("manager-1");
    let administrator = site.administrator();
    let step_up = site.step_up(&stepping).unwrap();
    let change = site.step_up(&changing).unwrap();
    let enrol = site.step_up(&enrolling).unwrap();
    site.advance(STEP);
    let second = |challenge: &Value, person: &str| {
        let passed = site.second_step(challenge, &site.code(person)).unwrap();
        Session {
            ticket: passed["sessionTicket"].as_str().unwrap().to_owned(),
            ..stepping.clone()
        }
    };
    let stepped = second(&change, "adviser-2");
    second(&enrol, "manager-1");
    let start = json!({ "challenge_id": enrol["challengeId"] });
    let begun = site.ask("StartEnrollment", &start).unwrap();
    let newcomer = site.first_step("newcomer-1");
    let start = json!({ "challenge_id": newcomer["challengeId"] });
    let first = site.ask("StartEnrollment", &start).unwrap();
    let login = site.first_step("accounting-1");

    assert_eq!(end_service(&site, CALLER, &administrator), 4);

    // A later ticket of an older session, however late.
    site.advance(STEP);
    assert_eq!(refused(&mut site, &stepped), REVOKED);
    not_genuine(site.second_step(&step_up, &site.code("adviser-1")));
    not_genuine(change_password(&site, &change));
    for begun in [&begun, &first] {
        let uri = begun["otpauthUri"].as_str().unwrap();
        let confirm =
            json!({ "enrollment_id": begun["enrollmentId"], "totp": code_of(uri, site.now()) });
        not_genuine(site.ask("ConfirmEnrollment", &confirm));
    }
    not_genuine(site.second_step(&login, &site.code("accounting-1")));
    // Who logs in anew is let in, at once and after a kill; nothing of before comes back.
    let anew = site.person("adviser-1");
    assert_eq!(refused(&mut site, &anew), "none");
    site.kill_and_start();
    assert_eq!(refused(&mut site, &anew), "none");
    assert_eq!(refused(&mut site, &stepping), REVOKED);
    assert_eq!(refused(&mut site, &stepped), REVOKED);
}

#[test]
fn a_clock_that_ran_ahead_spares_no_ticket_of_an_ended_service_and_ends_none_of_later() {
    let mut site = Site::open();
    let early = site.person("adviser-1");
    // Renewed while the clock was ahead.
    site.advance(Duration::from_secs(480));
    let answer = site.check(&early).unwrap();
    let renewed = Session {
        ticket: answer["renewedTicket"].as_str().unwrap().to_owned(),
        ..early.clone()
    };
    site.set_back(Duration::from_secs(420));
    let administrator = site.administrator();
    end_service(&site, CALLER, &administrator);
    site.advance(Duration::from_secs(420));
    assert_eq!(refused(&mut site, &early), REVOKED);
    assert_eq!(refused(&mut site, &renewed), REVOKED);
    // Ended while the clock was ahead.
    site.advance(Duration::from_secs(7_200));
    let administrator = site.person("administrator-2");
    end_service(&site, CALLER, &administrator);
    site.set_back(Duration::from_secs(7_200));
    let honest = site.person("adviser-2");
    assert_eq!(refused(&mut site, &honest), "none");
    site.kill_and_start();
    assert_eq!(refused(&mut site, &honest), "none");
    assert_eq!(refused(&mut site, &renewed), REVOKED);
}

#[test]
fn the_end_of_a_service_ends_what_came_of_its_tickets_and_nothing_else() {
    let mut site = Site::open();
    let here = site.person("accounting-1");
    let taken_there = exchange(&mut site, &here, OTHER);
    site.advance(STEP);
    let there = log_in(&mut *site, "accounting-1", (OTHER, OFFICE, SESSION)).unwrap();
    let taken_here = exchange(&mut site, &there, CALLER);
    let administrator = site.administrator();
    assert_eq!(refused(&mut site, &taken_there), "none");

    // Of three sessions two began at the service: one, and the administrator's own.
    assert_eq!(end_service(&site, CALLER, &administrator), 2);
    let administrator = site.person("administrator-2");
    for _ in 0..2 {
        for gone in [&here, &taken_there, &taken_here] {
            assert_eq!(refused(&mut site, gone), REVOKED, "{}", gone.service);
        }
        assert_eq!(refused(&mut site, &there), "none");
        let query = json!({ "person": "accounting-1" });
        let listed = sessions(&site, &query, &administrator);
        assert_eq!(listed.len(), 1, "{listed:?}");
        assert_eq!(listed[0]["service"], OTHER);
        site.kill_and_start();
    }
    // It may be taken there anew.
    let anew = exchange(&mut site, &there, CALLER);
    assert_ne!(refused(&mut site, &anew), REVOKED);
    assert_eq!(end_service(&site, OTHER, &administrator), 1);
    for gone in [&there, &anew] {
        assert_eq!(refused(&mut site, gone), REVOKED, "{}", gone.service);
    }
}

#[test]
fn the_session_that_goes_on_after_a_change_of_the_password_is_listed_counted_and_can_be_ended() {
    let mut site = Site::open();
    let other = site.person("adviser-1");
    let mut here = site.person("adviser-1");
    let challenge = site.step_up(&here).unwrap();
    site.advance(STEP);
    site.second_step(&challenge, &site.code("adviser-1"))
        .unwrap();
    let changed = change_password(&site, &challenge).unwrap();
    here.ticket = changed["sessionTicket"].as_str().unwrap().to_owned();
    let mut administrator = site.administrator();
    let own = json!({ "person": "adviser-1" });
    let mut listed = sessions(&site, &own, &administrator);
    assert_eq!(listed.len(), 1, "{listed:?}");
    site.kill_and_start();
    assert_eq!(sessions(&site, &own, &administrator), listed);
    assert_eq!(refused(&mut site, &here), "none");
    assert_eq!(refused(&mut site, &other), REVOKED);

    // As many more as there may be beside it: only then it gives way.
    let log_in_anew = |site: &mut Site| {
        site.advance(STEP);
        let first = site
            .first_step_with("adviser-1", "雨の月曜 plum 47")
            .unwrap();
        site.second_step(&first, &site.code("adviser-1")).unwrap();
    };
    for _ in 0..15 {
        log_in_anew(&mut site);
    }
    assert_eq!(refused(&mut site, &here), "none");
    log_in_anew(&mut site);
    assert_eq!(refused(&mut site, &here), REVOKED);

    // And by its id.
    let mut here = site.person("adviser-2");
    let challenge = site.step_up(&here).unwrap();
    site.advance(STEP);
    site.second_step(&challenge, &site.code("adviser-2"))
        .unwrap();
    let changed = change_password(&site, &challenge).unwrap();
    here.ticket = changed["sessionTicket"].as_str().unwrap().to_owned();
    administrator = site.administrator();
    listed = sessions(&site, &json!({ "person": "adviser-2" }), &administrator);
    let id = listed[0]["sessionId"].as_str().unwrap();
    end_session(&site, id, &administrator).unwrap();
    assert_eq!(refused(&mut site, &here), REVOKED);
    site.kill_and_start();
    assert_eq!(refused(&mut site, &here), REVOKED);
}

#[test]
fn a_session_that_is_not_listed_any_more_can_be_ended_and_that_again() {
    let mut site = Site::open();
    let unlisted = site.person("adviser-1");
    let id = id_of_last_login(&site);
    let administrator = site.administrator();
    site.sql("DELETE FROM live_sessions");
    site.kill_and_start();
    let query = json!({ "person": "adviser-1" });
    assert!(sessions(&site, &query, &administrator).is_empty());
    assert_eq!(refused(&mut site, &unlisted), "none");
    for _ in 0..2 {
        let ended = end_session(&site, &id, &administrator).unwrap();
        let index = ended["logIndex"]
            .as_str()
            .unwrap()
            .parse::<usize>()
            .unwrap();
        let entries = site.entries();
        assert_eq!(detail(&entries[index], "revoked_session"), Some(&*id));
        assert_eq!(refused(&mut site, &unlisted), REVOKED);
    }
    // Nobody's, as far as anyone knows.
    let nobodys = "0190b4a2-7c11-7e3a-9b61-3d9d6a5f0001";
    end_session(&site, nobodys, &administrator).unwrap();
    for malformed in ["", "7", "0190b4a2-7c11-7e3a-9b61-3d9d6a5f000", "session"] {
        let error = end_session(&site, malformed, &administrator).unwrap_err();
        assert_eq!(error.fields(), ["session_id"], "{error}");
    }
    site.kill_and_start();
    assert_eq!(refused(&mut site, &unlisted), REVOKED);
}
