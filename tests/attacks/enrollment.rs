//! The life of a second factor: enrolled with the administrator's word and the person's, lost, recovered, replaced.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::site::{Site, code_of, detail, not_genuine, refused_with};
use crate::support::play::{CallError, Door, Session};
use crate::support::scenario::{OFFICE, SESSION};

const STEP: Duration = Duration::from_secs(30);
const NEWCOMER: &str = "newcomer-1";

fn start(site: &Site, challenge: &Value, code: &str) -> Result<Value, CallError> {
    let request = json!({ "challenge_id": challenge["challengeId"], "enrollment_code": code });
    site.ask("StartEnrollment", &request)
}

fn confirm(site: &Site, begun: &Value, code: &str, notice: &str) -> Result<Value, CallError> {
    site.ask(
        "ConfirmEnrollment",
        &json!({ "enrollment_id": begun["enrollmentId"], "totp": code, "acknowledged_notice": notice }),
    )
}

fn uri(begun: &Value) -> String {
    begun["otpauthUri"].as_str().unwrap().to_owned()
}

fn session_of(given: &Value) -> Session {
    Session {
        ticket: given["sessionTicket"].as_str().unwrap().to_owned(),
        service: crate::support::scenario::CALLER.into(),
        client_ip: OFFICE.into(),
        session_ref: SESSION.into(),
        second_step: 0,
    }
}

fn recovery_codes(answer: &Value) -> Vec<String> {
    let codes = answer["recoveryCodes"].as_array().unwrap();
    codes
        .iter()
        .map(|code| code.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_code_that_confirms_an_enrolment_is_spent_by_it() {
    let mut site = Site::open();
    let begun = start(&site, &site.first_step(NEWCOMER), "").unwrap();
    assert!(uri(&begun).starts_with("otpauth://totp/"), "{begun}");
    let png = data_encoding::BASE64
        .decode(begun["qrPng"].as_str().unwrap().as_bytes())
        .unwrap();
    assert!(png.starts_with(b"\x89PNG\r\n"));
    let code = code_of(&uri(&begun), site.now());
    // Nothing is in force before it is confirmed, and a kill forgets it.
    let challenge = site.first_step(NEWCOMER);
    refused_with(
        site.second_step(&challenge, &code),
        "FAILED_PRECONDITION",
        "SECOND_FACTOR_NOT_ENROLLED",
    );
    not_genuine(confirm(&site, &begun, "000000", ""));
    let confirmed = confirm(&site, &begun, &code, "").unwrap();
    assert_eq!(recovery_codes(&confirmed).len(), 10);
    // As the first login: right by the clock, and used.
    not_genuine(site.try_code(NEWCOMER, &code));
    assert_eq!(site.last_why(), "used code");
    not_genuine(confirm(&site, &begun, &code, ""));
    site.kill_and_start();
    not_genuine(site.try_code(NEWCOMER, &code));
    site.advance(STEP);
    let code = code_of(&uri(&begun), site.now());
    site.try_code(NEWCOMER, &code).unwrap();
    // Another one takes the second step with this one.
    let refused = start(&site, &site.first_step(NEWCOMER), "");
    refused_with(refused, "FAILED_PRECONDITION", "SECOND_FACTOR_ENROLLED");
}

#[test]
fn where_it_is_asked_for_an_enrolment_takes_an_administrators_code_and_the_notice() {
    let mut site = Site::open();
    let file = site.daemon.data().join("sekisho.toml");
    let text = fs::read_to_string(&file).unwrap();
    let strict = text
        .replace(
            "enrollment_code_required = false",
            "enrollment_code_required = true",
        )
        .replace(
            "notice_acknowledgement_required = false",
            "notice_acknowledgement_required = true",
        );
    assert_ne!(text, strict);
    fs::write(&file, strict).unwrap();
    site.kill_and_start();
    let challenge = site.first_step(NEWCOMER);
    for (code, field) in [("", "enrollment_code"), ("123456", "enrollment_code")] {
        let error = start(&site, &challenge, code).unwrap_err();
        assert_eq!(
            (&*error.code, error.fields()),
            ("INVALID_ARGUMENT", vec![field.to_owned()])
        );
    }
    not_genuine(start(&site, &challenge, "AAAA-AAAA-AAAA-AAAA"));
    let administrator = site.administrator();
    let issue = |site: &Site, person: &str, days: u32| {
        let request = json!({ "person": person, "valid_days": days });
        site.administer("IssueEnrollmentCode", &request, &administrator)
    };
    for (person, days, field) in [
        (NEWCOMER, 31, "valid_days"),
        ("nobody", 1, "person"),
        (crate::site::ADMINISTRATOR, 1, "person"),
    ] {
        let error = issue(&site, person, days).unwrap_err();
        assert_eq!(error.fields(), [field], "{error}");
    }
    let code = |issued: Value| issued["enrollmentCode"].as_str().unwrap().to_owned();
    let first = code(issue(&site, NEWCOMER, 0).unwrap());
    let second = code(issue(&site, NEWCOMER, 1).unwrap());
    // An older one counts no more, nor does a new one after its days.
    not_genuine(start(&site, &site.first_step(NEWCOMER), &first));
    site.advance(Duration::from_hours(25));
    not_genuine(start(&site, &site.first_step(NEWCOMER), &second));
    let administrator = site.administrator();
    let request = json!({ "person": NEWCOMER });
    let third = site
        .administer("IssueEnrollmentCode", &request, &administrator)
        .map(code)
        .unwrap();
    let begun = start(&site, &site.first_step(NEWCOMER), &third.to_lowercase()).unwrap();
    let digest = begun["notice"]["digest"].as_str().unwrap().to_owned();
    for language in ["en", "ja"] {
        assert!(begun["notice"][language].as_str().unwrap().len() > 100);
    }
    let shown = code_of(&uri(&begun), site.now());
    for unread in ["", &"0".repeat(64)] {
        let error = confirm(&site, &begun, &shown, unread).unwrap_err();
        assert_eq!(error.fields(), ["acknowledged_notice"]);
    }
    confirm(&site, &begun, &shown, &digest).unwrap();
    let entries = site.entries();
    let kept = entries
        .iter()
        .find_map(|entry| detail(entry, "acknowledged_notice"));
    assert_eq!(kept, Some(digest.as_str()));
    // Nothing of any code is in the log.
    let told = format!("{entries:?}");
    for secret in [first, second, third, shown] {
        assert!(!told.contains(&secret), "{secret}");
    }
}

#[test]
fn a_recovery_code_stands_in_once_and_counts_like_any_try() {
    let mut site = Site::open();
    let begun = start(&site, &site.first_step(NEWCOMER), "").unwrap();
    let first = code_of(&uri(&begun), site.now());
    let confirmed = confirm(&site, &begun, &first, "").unwrap();
    let codes = recovery_codes(&confirmed);
    let challenge = site.first_step(NEWCOMER);
    assert_eq!(challenge["methods"], json!(["totp", "recovery_code"]));
    let error = site.recover(&challenge, "ABC").unwrap_err();
    assert_eq!(error.fields(), ["recovery_code"]);
    not_genuine(site.recover(&challenge, "AAAA-AAAA-AAAA-AAAA"));
    let given = site.recover(&challenge, &codes[0]).unwrap();
    assert_eq!(given["recoveryCodesLeft"], 9);
    assert_eq!(given["amr"], json!(["pwd", "otp", "mfa"]));
    assert_eq!(site.attempts(), [1, 2, 3]);
    not_genuine(site.recover(&site.first_step(NEWCOMER), &codes[0]));
    site.kill_and_start();
    not_genuine(site.recover(&site.first_step(NEWCOMER), &codes[0]));
    // Another person's are worth nothing.
    not_genuine(site.recover(&site.first_step("adviser-1"), &codes[1]));
    // New ones, within a session, by a code; the old ones are gone.
    let session = session_of(&given);
    let challenge = site.step_up(&session).unwrap();
    let ask = |code: &str| {
        let request = json!({ "challenge_id": challenge["challengeId"], "totp": code });
        site.ask("RegenerateRecoveryCodes", &request)
    };
    refused_with(ask(""), "FAILED_PRECONDITION", "SECOND_STEP_FIRST");
    // The code of the enrolment was spent.
    not_genuine(ask(&first));
    site.advance(STEP);
    let challenge = site.step_up(&session).unwrap();
    let request = json!({
        "challenge_id": challenge["challengeId"], "totp": code_of(&uri(&begun), site.now()),
    });
    let new = recovery_codes(&site.ask("RegenerateRecoveryCodes", &request).unwrap());
    assert_eq!(new.len(), 10);
    not_genuine(site.recover(&site.first_step(NEWCOMER), &codes[2]));
    let given = site.recover(&site.first_step(NEWCOMER), &new[0]).unwrap();
    assert_eq!(given["recoveryCodesLeft"], 9);
    let told = format!("{:?}", site.entries());
    for secret in codes.iter().chain(&new) {
        assert!(!told.contains(secret.as_str()));
    }
}

#[test]
fn another_authenticator_takes_a_fresh_second_step_with_the_old_one() {
    let mut site = Site::open();
    let session = site.person("adviser-1");
    let challenge = site.step_up(&session).unwrap();
    refused_with(
        start(&site, &challenge, ""),
        "FAILED_PRECONDITION",
        "SECOND_STEP_FIRST",
    );
    site.advance(STEP);
    site.second_step(&challenge, &site.code("adviser-1"))
        .unwrap();
    let begun = start(&site, &challenge, "").unwrap();
    not_genuine(start(&site, &challenge, ""));
    // The old one is in force until the new one is confirmed.
    site.advance(STEP);
    site.try_code("adviser-1", &site.code("adviser-1")).unwrap();
    confirm(&site, &begun, &code_of(&uri(&begun), site.now()), "").unwrap();
    site.advance(STEP);
    not_genuine(site.try_code("adviser-1", &site.code("adviser-1")));
    let code = code_of(&uri(&begun), site.now());
    site.try_code("adviser-1", &code).unwrap();
}
