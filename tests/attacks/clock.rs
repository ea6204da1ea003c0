//! Whoever can set the host's clock: nothing that was ended comes back, nothing that is old becomes fresh, and no wait becomes
//! endless.

use std::time::Duration;

use serde_json::{Value, json};

use crate::site::{Site, detail, reason, refused_with};
use crate::support::play::{Door, Session};

const HOUR: Duration = Duration::from_hours(1);
const MONTH: Duration = Duration::from_hours(24 * 30);

fn denied(site: &Site, session: &Session) -> String {
    let answer = site.check(session).unwrap();
    assert_eq!(answer["decision"], "DECISION_DENY", "{answer}");
    reason(&answer).to_owned()
}

fn end(site: &Site, session: &Session) {
    site.ask("EndSession", &json!({ "session_ticket": session.ticket }))
        .unwrap();
}

/// How many refusals say that the clock was set back.
fn told_of_the_clock(site: &Site) -> usize {
    let entries = site.entries();
    let told = entries.iter().filter_map(|entry| detail(entry, "clock"));
    told.filter(|told| told.starts_with("was set back")).count()
}

fn live(site: &Site, administrator: &Session) -> Vec<Value> {
    let method = "sekisho.v1.SessionService/ListSessions";
    let answer = site.answer(method, &json!({}), &administrator.metadata());
    answer["sessions"].as_array().cloned().unwrap_or_default()
}

#[test]
fn a_session_that_was_ended_stays_so_when_the_clock_was_far_ahead_for_a_while() {
    let mut site = Site::open();
    let ended = site.person("adviser-1");
    let lasting = site.person("adviser-2");
    end(&site, &ended);
    assert_eq!(denied(&site, &ended), "REASON_CODE_TICKET_REVOKED");

    // Far ahead at two starts, with what is written meanwhile agreeing; and another session is ended then.
    site.while_stopped(|_| ());
    site.advance(MONTH);
    site.while_stopped(|_| ());
    let other = site.person("adviser-3");
    end(&site, &other);
    site.while_stopped(|_| ());
    site.set_back(MONTH);
    assert_eq!(denied(&site, &ended), "REASON_CODE_TICKET_REVOKED");
    site.while_stopped(|_| ());
    assert_eq!(denied(&site, &ended), "REASON_CODE_TICKET_REVOKED");

    // Who was logged in still is, and can be found and ended.
    assert_eq!(site.check(&lasting).unwrap()["decision"], "DECISION_ALLOW");
    let administrator = site.administrator();
    let found: Vec<Value> = live(&site, &administrator)
        .into_iter()
        .filter(|session| session["person"] == "adviser-2")
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    let revoke = json!({ "session_id": found[0]["sessionId"], "reason": "found by the clock" });
    let method = "sekisho.v1.SessionService/RevokeSession";
    site.answer(method, &revoke, &administrator.metadata());
    assert_eq!(denied(&site, &lasting), "REASON_CODE_TICKET_REVOKED");
}

#[test]
fn what_lies_ahead_of_a_clock_that_was_set_back_is_not_fresh() {
    let mut site = Site::open();
    site.advance(3 * HOUR);
    let session = site.person("adviser-1");
    let administrator = site.administrator();
    let import = json!({ "csv": "serial,algorithm,digits,period,seed\n" });
    assert_eq!(site.check(&session).unwrap()["decision"], "DECISION_ALLOW");

    site.set_back(2 * HOUR);
    assert_eq!(denied(&site, &session), "REASON_CODE_TICKET_EXPIRED");
    assert_eq!(told_of_the_clock(&site), 1);
    // The session began in a time to come: a fresh second step would let it outlast its end.
    refused_with(site.step_up(&session), "UNAUTHENTICATED", "TICKET_EXPIRED");
    let refused = site.administer("ImportTokens", &import, &administrator);
    assert_eq!(refused.unwrap_err().code, "PERMISSION_DENIED");
    assert_eq!(told_of_the_clock(&site), 3);

    // Nothing of it was forgotten meanwhile.
    site.advance(2 * HOUR);
    assert_eq!(site.check(&session).unwrap()["decision"], "DECISION_ALLOW");
}

#[test]
fn a_challenge_ends_when_the_clock_is_set_back_behind_it() {
    let mut site = Site::open();
    site.advance(3 * HOUR);
    let challenge = site.first_step("adviser-1");
    site.set_back(2 * HOUR);
    let code = site.code("adviser-1");
    crate::site::not_genuine(site.second_step(&challenge, &code));
    assert_eq!(site.last_why(), "unknown, ended or used-up challenge");
    site.try_code("adviser-1", &code).unwrap();
}

#[test]
fn a_wait_after_failures_does_not_become_endless_when_the_clock_is_set_back() {
    let mut site = Site::open();
    site.advance(MONTH);
    for _ in 0..5 {
        let refused = site.try_code("adviser-1", &site.wrong_code("adviser-1"));
        assert_eq!(refused.unwrap_err().code, "UNAUTHENTICATED");
    }
    site.set_back(MONTH);
    // It begins anew, no longer than five failures make it.
    let waits = site.try_code("adviser-1", &site.code("adviser-1"));
    let waits = waits.unwrap_err();
    assert_eq!(waits.code, "RESOURCE_EXHAUSTED", "{waits}");
    site.advance(Duration::from_secs(31));
    site.try_code("adviser-1", &site.code("adviser-1")).unwrap();
}
