//! Guessing a code: counted before it is looked at, per authenticator, and forgotten by nothing but a right one.

use std::thread;
use std::time::Duration;

use sekisho::proto::VerifySecondFactorRequest;
use sekisho::proto::authentication_service_client::AuthenticationServiceClient;
use sekisho::proto::verify_second_factor_request::Factor;
use serde_json::json;

use crate::site::{Site, detail, not_genuine, reason, refused_with, request};
use crate::support::certificates::of_service;
use crate::support::client;
use crate::support::play::{Door, Metadata, log_in};
use crate::support::scenario::{CALLER, OFFICE, SESSION};

const HOUR: Duration = Duration::from_hours(1);

fn retry_seconds(error: &crate::support::play::CallError) -> u64 {
    let delay = error.detail("RetryInfo").unwrap()["retryDelay"].clone();
    let text = delay.as_str().unwrap().trim_end_matches('s').to_owned();
    text.split('.').next().unwrap().parse().unwrap()
}

#[test]
fn after_five_failures_the_next_try_waits_whoever_asks_and_however() {
    let mut site = Site::open();
    for _ in 0..5 {
        // A new challenge, and the right password, before each guess.
        not_genuine(site.try_code("adviser-1", &site.wrong_code("adviser-1")));
    }
    // Not even the right code is looked at, and the try is not counted.
    let right = site.code("adviser-1");
    for _ in 0..3 {
        let refused = site.try_code("adviser-1", &right);
        let error = refused_with(refused, "RESOURCE_EXHAUSTED", "THROTTLED");
        assert!((1..=31).contains(&retry_seconds(&error)), "{error}");
    }
    // Nor through another service.
    let ask_elsewhere = |site: &mut Site| {
        let first = json!({
            "person": "adviser-1", "password": site.people.get("adviser-1").password,
            "client_ip": OFFICE, "session_ref": SESSION,
        });
        let method = |name: &str| format!("sekisho.v1.AuthenticationService/{name}");
        let none = Metadata::new();
        let first = site
            .call("billing", &method("VerifyPassword"), &first, &none)
            .unwrap();
        let second = json!({ "challenge_id": first["challengeId"], "totp": right });
        let refused = site.call("billing", &method("VerifySecondFactor"), &second, &none);
        refused_with(refused, "RESOURCE_EXHAUSTED", "THROTTLED");
    };
    ask_elsewhere(&mut site);
    assert_eq!(site.attempts(), [1, 2, 3, 4, 5]);
    // The waits double.
    for wait in [30, 60, 120, 240] {
        site.advance(Duration::from_secs(wait + 1));
        not_genuine(site.try_code("adviser-1", &site.wrong_code("adviser-1")));
        let refused = site.try_code("adviser-1", &site.code("adviser-1"));
        let error = refused_with(refused, "RESOURCE_EXHAUSTED", "THROTTLED");
        let left = retry_seconds(&error);
        assert!(left > wait && left <= 2 * wait + 1, "{left} after {wait}");
    }
    // Nor after a kill, of which this wait leaves time enough.
    site.kill_and_start();
    ask_elsewhere(&mut site);
    assert_eq!(site.attempts(), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    site.advance(Duration::from_secs(481));
    site.try_code("adviser-1", &site.code("adviser-1")).unwrap();
    // A right code ends the row.
    not_genuine(site.try_code("adviser-1", &site.wrong_code("adviser-1")));
    assert_eq!(site.attempts().last(), Some(&1));
}

/// The count is the authenticator's: not the challenge's, the session's, the service's or the method's.
#[test]
fn nothing_but_a_right_code_sets_the_count_back() {
    let mut site = Site::open();
    let session = site.person("adviser-1");
    let wrong = site.wrong_code("adviser-1");
    let none = Metadata::new();
    let method = |name: &str| format!("sekisho.v1.AuthenticationService/{name}");
    // Another service, with the right password, in a session of its own.
    let first = json!({
        "person": "adviser-1", "password": site.people.get("adviser-1").password,
        "client_ip": OFFICE, "session_ref": "elsewhere",
    });
    let elsewhere = site
        .call("billing", &method("VerifyPassword"), &first, &none)
        .unwrap();
    let guess = json!({ "challenge_id": elsewhere["challengeId"], "totp": wrong });
    not_genuine(site.call("billing", &method("VerifySecondFactor"), &guess, &none));
    // What is begun at one service is unknown at the other, and that is no try.
    not_genuine(site.ask("VerifySecondFactor", &guess));
    // A live session, a recovery code, a new password, new recovery codes.
    let step_up = site.step_up(&session).unwrap();
    not_genuine(site.second_step(&step_up, &wrong));
    not_genuine(site.recover(&site.first_step("adviser-1"), "AAAA-AAAA-AAAA-AAAA"));
    let step_up = site.step_up(&session).unwrap();
    let change = json!({
        "challenge_id": step_up["challengeId"], "totp": wrong, "new_password": "plum rain monday 47",
    });
    not_genuine(site.ask("ChangePassword", &change));
    assert_eq!(site.check(&session).unwrap()["decision"], "DECISION_ALLOW");
    let codes = json!({ "challenge_id": step_up["challengeId"], "totp": wrong });
    not_genuine(site.ask("RegenerateRecoveryCodes", &codes));
    // The first was the login's own.
    assert_eq!(site.attempts(), [1, 1, 2, 3, 4, 5]);
    let refused = site.try_code("adviser-1", &site.code("adviser-1"));
    refused_with(refused, "RESOURCE_EXHAUSTED", "THROTTLED");
    // Nobody else waits for it.
    site.try_code("adviser-2", &site.code("adviser-2")).unwrap();
}

#[test]
fn a_victim_whose_password_nobody_knows_can_not_be_locked_out() {
    let site = Site::open();
    for number in 0..60 {
        let refused = site.first_step_with("adviser-1", &format!("guess {number}"));
        not_genuine(refused);
    }
    site.try_code("adviser-1", &site.code("adviser-1")).unwrap();
    assert_eq!(site.attempts(), [1]);
}

#[test]
fn at_fifty_failures_the_factor_is_disabled_and_no_ticket_counts_any_more() {
    let mut site = Site::open();
    let session = site.person("adviser-1");
    assert_eq!(site.check(&session).unwrap()["decision"], "DECISION_ALLOW");
    // Two days of guessing, behind the daemon's back.
    site.sql("UPDATE second_factors SET failures = 49 WHERE person = 'adviser-1'");
    let wrong = site.wrong_code("adviser-1");
    let step_up = site.step_up(&session).unwrap();
    not_genuine(site.second_step(&step_up, &wrong));
    for after_a_kill in [false, true] {
        if after_a_kill {
            site.kill_and_start();
        }
        let denied = site.check(&session).unwrap();
        assert_eq!(reason(&denied), "REASON_CODE_ACCOUNT_LOCKED", "{denied}");
        let mut item = request(&session);
        let actor = item.as_object_mut().unwrap().remove("actor").unwrap();
        let batch = json!({ "actor": actor, "items": [item] });
        let method = "sekisho.v1.AccessService/BatchCheck";
        let denied = site.answer(method, &batch, &Metadata::new()).to_string();
        assert!(denied.contains("REASON_CODE_ACCOUNT_LOCKED"), "{denied}");
        refused_with(
            site.step_up(&session),
            "PERMISSION_DENIED",
            "ACCOUNT_LOCKED",
        );
        // Nor does the ticket turn into one of another service.
        let exchange = json!({
            "session_ticket": session.ticket, "client_ip": OFFICE,
            "session_ref": SESSION, "new_session_ref": "elsewhere",
        });
        let method = "sekisho.v1.AuthenticationService/ExchangeTicket";
        let refused = site.call("billing", method, &exchange, &Metadata::new());
        refused_with(refused, "PERMISSION_DENIED", "ACCOUNT_LOCKED");
        // Nor is anybody told at the first step.
        let password = site.people.get("adviser-1").password.clone();
        not_genuine(site.first_step_with("adviser-1", &password));
        assert_eq!(site.last_why(), "the second factor is disabled");
    }
    site.advance(100 * HOUR);
    let password = site.people.get("adviser-1").password.clone();
    not_genuine(site.first_step_with("adviser-1", &password));
    let entries = site.entries();
    let told = entries
        .iter()
        .filter(|entry| detail(entry, "second_factor").is_some());
    assert_eq!(told.count(), 1);
}

#[test]
fn throttling_alone_ends_no_live_session() {
    let mut site = Site::open();
    let session = site.person("adviser-1");
    for _ in 0..5 {
        not_genuine(site.try_code("adviser-1", &site.wrong_code("adviser-1")));
    }
    assert_eq!(site.check(&session).unwrap()["decision"], "DECISION_ALLOW");
}

#[test]
fn a_disabled_person_is_refused_everywhere() {
    let mut site = Site::open();
    let session = site.person("adviser-1");
    let challenge = site.step_up(&session).unwrap();
    let administrator = site.administrator();
    site.answer(
        "sekisho.v1.DirectoryService/DisablePerson",
        &json!({ "id": "adviser-1", "reference": "leaves" }),
        &administrator.metadata(),
    );
    // By an old ticket: disabling somebody ends their sessions, too.
    let denied = site.check(&session).unwrap();
    assert!(
        ["REASON_CODE_ACCOUNT_DISABLED", "REASON_CODE_TICKET_REVOKED"].contains(&reason(&denied)),
        "{denied}"
    );
    let batch = json!({ "items": [request(&session)] });
    let method = "sekisho.v1.AccessService/BatchCheck";
    let denied = site.answer(method, &batch, &Metadata::new()).to_string();
    assert!(
        denied.contains("DECISION_DENY") && !denied.contains("DECISION_ALLOW"),
        "{denied}"
    );
    not_genuine(site.second_step(&challenge, &site.code("adviser-1")));
    let refused = site.step_up(&session).unwrap_err();
    assert!(
        ["PERMISSION_DENIED", "UNAUTHENTICATED"].contains(&&*refused.code),
        "{refused}"
    );
    let password = site.people.get("adviser-1").password.clone();
    not_genuine(site.first_step_with("adviser-1", &password));
    let refused = log_in(&mut *site, "adviser-1", (CALLER, OFFICE, SESSION));
    assert_eq!(refused.unwrap_err().code, "UNAUTHENTICATED");
}

/// Whoever hangs up in the middle, or pulls the plug, has tried all the same.
#[test]
fn a_try_is_charged_though_the_caller_hangs_up_or_the_daemon_is_killed() {
    let mut site = Site::open();
    let wrong = site.wrong_code("adviser-1");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let identity = of_service(site.daemon.data(), CALLER);
    let channel = runtime
        .block_on(client::connect(
            site.daemon.data(),
            &identity,
            &site.daemon.grpc,
        ))
        .unwrap();
    let mut service = AuthenticationServiceClient::new(channel);
    let challenge = site.first_step("adviser-1");
    let mut heard = Vec::new();
    // Too short for anybody to wait for the answer; longer where the machine is too busy for the call to go out at all.
    for patience in [1, 1, 1, 1, 10, 100, 1_000] {
        if heard.len() == 4 || (patience > 1 && !heard.is_empty()) {
            break;
        }
        let patience = Duration::from_millis(patience);
        let mut request = tonic::Request::new(VerifySecondFactorRequest {
            challenge_id: challenge["challengeId"].as_str().unwrap().to_owned(),
            factor: Some(Factor::Totp(wrong.clone())),
        });
        request.set_timeout(patience);
        let call = service.verify_second_factor(request);
        drop(runtime.block_on(async { tokio::time::timeout(patience, call).await }));
        thread::sleep(Duration::from_millis(300));
        heard = site.attempts();
    }
    // Those that came through are in the log, one after the other, though nobody waited for their answers.
    let counted: Vec<u32> = (1..).take(heard.len()).collect();
    assert_eq!(heard, counted);
    assert!(!heard.is_empty(), "no call came through at all");
    drop(service);
    site.advance(Duration::from_secs(61));
    site.try_code("adviser-1", &site.code("adviser-1")).unwrap();

    let (mut known, mut survived) = (0, 0);
    for delay in [2, 5, 9, 14, 20] {
        let challenge = site.first_step("adviser-1");
        let (grpcurl, data) = (site.grpcurl.clone(), site.daemon.data().to_owned());
        let guess = json!({ "challenge_id": challenge["challengeId"], "totp": wrong });
        let calling = thread::spawn(move || {
            let method = "sekisho.v1.AuthenticationService/VerifySecondFactor";
            let own = of_service(&data, CALLER);
            grpcurl.call(Some(&own), method, &guess, &Metadata::new())
        });
        // grpcurl takes its time to begin.
        thread::sleep(Duration::from_millis(60 + 4 * delay));
        site.kill_and_start();
        let answered = calling
            .join()
            .unwrap()
            .is_err_and(|error| error.code == "UNAUTHENTICATED");
        site.advance(HOUR);
        not_genuine(site.try_code("adviser-1", &wrong));
        let now = *site.attempts().last().unwrap();
        let charged = now - known - 1;
        assert!(charged <= 1, "{now} after {known}");
        assert!(!answered || charged == 1, "an answer without a charge");
        survived += charged;
        known = now;
    }
    eprintln!("of 5 tries that a kill cut short, {survived} had been charged");
}
