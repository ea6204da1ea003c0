//! One administrator who tries to be both of the two that sensitive things take.

use std::time::Duration;

use serde_json::{Value, json};

use crate::site::{Site, code_of, detail, not_genuine};
use crate::support::play::{CallError, Door, Session};

const DAY: Duration = Duration::from_hours(24);
const ONE: &str = "administrator-1";
const TWO: &str = "administrator-2";

/// A call of an administrator.
fn call(site: &Site, by: &Session, method: &str, request: &Value) -> Result<Value, CallError> {
    site.send(&format!("sekisho.v1.{method}"), request, &by.metadata())
}

fn with_role(id: &str, role: &Value) -> Value {
    json!({ "id": id, "departments": ["career"], "roles": [role] })
}

fn changed(id: &str, roles: &Value) -> Value {
    json!({ "person": { "id": id, "roles": roles }, "update_mask": ["roles"] })
}

fn import(csv: &str) -> Value {
    json!({ "csv": data_encoding::BASE64.encode(csv.as_bytes()) })
}

/// Asked for, and nothing else came of it.
fn waits(answer: &Value) -> String {
    let number = answer["pending"].as_str();
    let number = number.unwrap_or_else(|| panic!("one alone did it: {answer}"));
    assert!(answer.get("pendingUntil").is_some(), "{answer}");
    for secret in ["password", "enrollmentCode"] {
        assert!(answer.get(secret).is_none(), "{answer}");
    }
    number.to_owned()
}

/// The same request, approving the one of that number.
fn approving(request: &Value, pending: &str) -> Value {
    let mut request = request.clone();
    request["approve"] = pending.into();
    request
}

fn refused(result: Result<Value, CallError>, why: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.fields(), ["approve"], "{error}");
    assert!(error.to_string().contains(why), "{error}");
}

fn small_office(site: &mut Site) {
    site.while_stopped(|folder| {
        let file = folder.join("data/sekisho.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let small = text.replace("small_office = false", "small_office = true");
        assert_ne!(text, small);
        std::fs::write(&file, small).unwrap();
    });
}

fn requests(site: &Site, by: &Session) -> Vec<Value> {
    let answer = call(site, by, "RequestService/ListRequests", &json!({})).unwrap();
    answer["requests"].as_array().cloned().unwrap_or_default()
}

#[test]
fn nobody_alone_makes_somebody_an_administrator_or_gets_at_ones_credentials() {
    let mut site = Site::open();
    let one = site.person(ONE);
    let administers = json!({ "role": "administrator" });
    let later = json!({ "role": "administrator", "validFrom": "2090-01-01" });
    let reviews = json!({ "role": "security-manager" });
    let csv = "id,departments,roles\nsecond-me,career,administrator\n";
    for (method, request) in [
        (
            "DirectoryService/CreatePerson",
            json!({ "person": with_role("second-me", &administers) }),
        ),
        (
            "DirectoryService/CreatePerson",
            json!({ "person": with_role("second-me", &later) }),
        ),
        (
            "DirectoryService/CreatePerson",
            json!({ "person": with_role("second-me", &reviews) }),
        ),
        (
            "DirectoryService/ChangePerson",
            changed("adviser-1", &json!([administers])),
        ),
        (
            "DirectoryService/ChangePerson",
            changed("adviser-1", &json!([later])),
        ),
        ("CredentialService/SetPassword", json!({ "person": TWO })),
        (
            "CredentialService/IssueEnrollmentCode",
            json!({ "person": TWO }),
        ),
    ] {
        let answer = call(&site, &one, method, &request).unwrap();
        let pending = waits(&answer);
        let own = call(&site, &one, method, &approving(&request, &pending));
        refused(own, "your own request");
    }
    let answer = call(&site, &one, "DirectoryService/ImportPeople", &import(csv)).unwrap();
    let last = answer
        .as_array()
        .and_then(|all| all.last())
        .unwrap_or(&answer);
    waits(&last["summary"]);
    let read = |id: &str| {
        call(
            &site,
            &one,
            "DirectoryService/GetPerson",
            &json!({ "id": id }),
        )
    };
    assert_eq!(read("second-me").unwrap_err().code, "NOT_FOUND");
    assert_eq!(
        read("adviser-1").unwrap()["person"]["roles"][0]["role"],
        "career-adviser"
    );
    // Where one suffices there is nothing to approve.
    let plain = json!({ "person": "adviser-1", "approve": 3 });
    refused(
        call(&site, &one, "CredentialService/SetPassword", &plain),
        "one administrator suffices",
    );
    // Nothing became of it for the other one, by whom all of it could be approved.
    let two = site.person(TWO);
    let kinds: Vec<Value> = requests(&site, &two)
        .iter()
        .map(|one| one["kind"].clone())
        .collect();
    assert_eq!(kinds.len(), 8);
    assert_eq!(kinds[0], "REQUEST_KIND_CHANGE_PEOPLE");
    // Not by the one it is for.
    let (method, request) = ("CredentialService/SetPassword", json!({ "person": TWO }));
    let error = call(&site, &two, method, &approving(&request, "1")).unwrap_err();
    assert_eq!(error.fields(), ["person"], "{error}");
}

#[test]
fn an_account_that_one_administrator_has_in_hand_is_nobodys_when_it_becomes_an_administrators() {
    let mut site = Site::open();
    let [one, two] = [ONE, TWO].map(|id| site.person(id));
    // Made ready by one alone, with a session and a second factor.
    let mine = "adviser-2";
    let drawn = call(
        &site,
        &one,
        "CredentialService/SetPassword",
        &json!({ "person": mine }),
    )
    .unwrap();
    let code = json!({ "person": mine });
    call(&site, &one, "CredentialService/IssueEnrollmentCode", &code).unwrap();
    let given = json!([{ "role": "administrator" }]);
    let grant = changed(mine, &given);
    let method = "DirectoryService/ChangePerson";
    let pending = waits(&call(&site, &one, method, &grant).unwrap());
    // What is approved is exactly what was asked for.
    let other = changed(
        mine,
        &json!([{ "role": "administrator", "validUntil": "2090-01-01" }]),
    );
    refused(
        call(&site, &two, method, &approving(&other, &pending)),
        "something else",
    );
    let other = changed("adviser-3", &given);
    refused(
        call(&site, &two, method, &approving(&other, &pending)),
        "something else",
    );
    site.kill_and_start();
    let two = site.person(TWO);
    let done = call(&site, &two, method, &approving(&grant, &pending)).unwrap();
    assert_eq!(
        (&done["sessionsEnded"], done.get("pending")),
        (&json!(true), None),
        "{done}"
    );
    refused(
        call(
            &site,
            &two,
            method,
            &approving(&changed(mine, &json!([])), &pending),
        ),
        "one administrator suffices",
    );
    let old = drawn["password"].as_str().unwrap();
    not_genuine(site.first_step_with(mine, old));
    site.kill_and_start();
    not_genuine(site.first_step_with(mine, old));
    let [one, two] = [ONE, TWO].map(|id| site.person(id));

    // The password is told to the one, the code to the other; nobody has both.
    let give = |site: &Site, method: &str, asks: &Session, approves: &Session| {
        let method = format!("CredentialService/{method}");
        let request = json!({ "person": mine });
        let pending = waits(&call(site, asks, &method, &request).unwrap());
        call(site, approves, &method, &approving(&request, &pending))
    };
    let told = give(&site, "SetPassword", &one, &two).unwrap();
    let password = told["password"].as_str().unwrap().to_owned();
    refused(
        give(&site, "IssueEnrollmentCode", &one, &two),
        "told this person's password",
    );
    let told = give(&site, "IssueEnrollmentCode", &two, &one).unwrap();
    let code = told["enrollmentCode"].as_str().unwrap().to_owned();
    refused(
        give(&site, "SetPassword", &two, &one),
        "told this person's code",
    );

    let challenge = site.first_step_with(mine, &password).unwrap();
    let new =
        json!({ "challenge_id": challenge["challengeId"], "new_password": "雨の月曜 plum 47" });
    site.ask("ChangePassword", &new).unwrap();
    // That it was changed by whoever was told it makes it no other's.
    refused(
        give(&site, "IssueEnrollmentCode", &one, &two),
        "told this person's password",
    );
    let start = |site: &Site, code: &str| {
        let challenge = site.first_step_with(mine, "雨の月曜 plum 47").unwrap();
        let request = json!({ "challenge_id": challenge["challengeId"], "enrollment_code": code });
        site.ask("StartEnrollment", &request)
    };
    // Nor does the password alone enrol, whatever is configured for others.
    assert_eq!(start(&site, "").unwrap_err().fields(), ["enrollment_code"]);
    let begun = start(&site, &code).unwrap();
    let uri = begun["otpauthUri"].as_str().unwrap();
    let confirm = json!({ "enrollment_id": begun["enrollmentId"], "totp": code_of(uri, site.now()), "acknowledged_notice": "" });
    site.ask("ConfirmEnrollment", &confirm).unwrap();
    let entries = site.entries();
    let log = format!("{entries:?}");
    assert!(!log.contains(&password) && !log.contains(&code) && !log.contains(old));
    let made = entries
        .iter()
        .find(|entry| detail(entry, "approved_by").is_some())
        .unwrap();
    assert_eq!(detail(made, "credentials"), Some("removed"));
    assert_eq!(detail(made, "asked_by"), Some(ONE));
    assert_eq!(detail(made, "approved_by"), Some(TWO));
}

#[test]
fn who_was_one_until_yesterday_or_is_disabled_comes_back_by_two() {
    let mut site = Site::open();
    let one = site.person(ONE);
    let change = "DirectoryService/ChangePerson";
    let day = i64::try_from(site.now() + 86_400).unwrap();
    let until = sekisho::domain::time::Timestamp::from_seconds(day).to_string();
    let short = json!([{ "role": "administrator", "validUntil": until }]);
    // Less is one's own to do.
    let done = call(&site, &one, change, &changed(TWO, &short)).unwrap();
    assert!(done.get("pending").is_none(), "{done}");
    site.advance(DAY * 2);
    let one = site.person(ONE);
    waits(
        &call(
            &site,
            &one,
            change,
            &changed(TWO, &json!([{ "role": "administrator" }])),
        )
        .unwrap(),
    );
    waits(
        &call(
            &site,
            &one,
            "CredentialService/SetPassword",
            &json!({ "person": TWO }),
        )
        .unwrap(),
    );
    call(
        &site,
        &one,
        "DirectoryService/DisablePerson",
        &json!({ "id": "security-1" }),
    )
    .unwrap();
    let enable = json!({ "id": "security-1" });
    waits(&call(&site, &one, "DirectoryService/EnablePerson", &enable).unwrap());
}

#[test]
fn in_a_small_office_one_alone_waits_a_day_and_is_marked_until_another_reviewed_it() {
    let mut site = Site::open();
    let one = site.person(ONE);
    call(
        &site,
        &one,
        "DirectoryService/DisablePerson",
        &json!({ "id": TWO }),
    )
    .unwrap();
    let (method, enable) = ("DirectoryService/EnablePerson", json!({ "id": TWO }));
    let asked = call(&site, &one, method, &enable).unwrap();
    assert!(
        asked.get("effectiveAt").is_none(),
        "no small office: {asked}"
    );
    small_office(&mut site);
    let one = site.person(ONE);
    refused(
        call(&site, &one, method, &approving(&enable, &waits(&asked))),
        "another administrator approves",
    );
    let asked = call(&site, &one, method, &enable).unwrap();
    let pending = waits(&asked);
    assert!(asked["effectiveAt"].is_string(), "{asked}");
    refused(
        call(&site, &one, method, &approving(&enable, &pending)),
        "alone you carry it out from",
    );
    site.advance(DAY);
    let one = site.person(ONE);
    let done = call(&site, &one, method, &approving(&enable, &pending)).unwrap();
    assert_eq!(done["alone"], true, "{done}");
    let again = call(&site, &one, method, &approving(&enable, &pending)).unwrap();
    assert_eq!(again["unchanged"], true, "{again}");
    // There is another by now, who is asked.
    let asked = call(
        &site,
        &one,
        "CredentialService/SetPassword",
        &json!({ "person": "security-1" }),
    )
    .unwrap();
    assert!(asked.get("effectiveAt").is_none(), "{asked}");
    site.advance(DAY * 9);
    site.kill_and_start();
    let one = site.person(ONE);
    let seen = requests(&site, &one);
    let done: Vec<&Value> = seen.iter().filter(|one| one["done"] == true).collect();
    assert_eq!((seen.len(), done.len()), (1, 1), "{seen:?}");
    assert_eq!(
        (&done[0]["people"], &done[0]["alone"]),
        (&json!([TWO]), &json!(true))
    );
    let review = json!({ "pending": pending, "finding": "it was agreed" });
    let method = "RequestService/ReviewRequest";
    assert_eq!(
        call(&site, &one, method, &review).unwrap_err().code,
        "PERMISSION_DENIED"
    );
    let security = site.person("security-1");
    call(&site, &security, method, &review).unwrap();
    assert_eq!(requests(&site, &one), Vec::<Value>::new());
}

#[test]
fn what_somebody_asked_for_who_administers_no_more_is_not_carried_out() {
    let mut site = Site::open();
    let [one, two] = [ONE, TWO].map(|id| site.person(id));
    let request = json!({ "person": "security-1" });
    let method = "CredentialService/SetPassword";
    let pending = waits(&call(&site, &one, method, &request).unwrap());
    let hold = json!({ "reason": "a suit" });
    let hold = call(&site, &one, "AccessLogService/PlaceLogHold", &hold).unwrap();
    let release = json!({ "hold": hold["hold"], "reason": "it is over" });
    let asked = call(&site, &one, "AccessLogService/ReleaseLogHold", &release).unwrap();
    call(
        &site,
        &two,
        "DirectoryService/DisablePerson",
        &json!({ "id": ONE }),
    )
    .unwrap();
    refused(
        call(&site, &two, method, &approving(&request, &pending)),
        "administers no more",
    );
    if let Some(pending) = asked["pending"].as_str() {
        let approved = call(
            &site,
            &two,
            "AccessLogService/ReleaseLogHold",
            &approving(&release, pending),
        );
        refused(approved, "administers no more");
    }
}

#[test]
fn a_hundred_requests_of_one_administrator_keep_nobody_from_asking() {
    let mut site = Site::open();
    let [one, two] = [ONE, TWO].map(|id| site.person(id));
    let reset = "ResetService/ResetSecondFactor";
    let request = json!({ "person": "adviser-1", "reason": "x" });
    let mut asked = Vec::new();
    for _ in 0..10 {
        asked.push(waits(&call(&site, &one, reset, &request).unwrap()));
    }
    let error = call(&site, &one, reset, &request).unwrap_err();
    assert_eq!(error.code, "RESOURCE_EXHAUSTED", "{error}");
    assert!(error.message.contains("reset-second-factor"), "{error}");
    let password = (
        "CredentialService/SetPassword",
        json!({ "person": "security-1" }),
    );
    let of_one = waits(&call(&site, &one, password.0, &password.1).unwrap());
    let other = waits(&call(&site, &two, reset, &request).unwrap());
    // Of whatever kind, any administrator takes it back; once.
    let decline = |by: &Session, pending: &str| {
        let request = json!({ "pending": pending, "reason": "asked by mistake" });
        call(&site, by, "RequestService/DeclineRequest", &request)
    };
    decline(&two, &of_one).unwrap();
    assert_eq!(decline(&two, &of_one).unwrap_err().fields(), ["pending"]);
    refused(
        call(&site, &two, password.0, &approving(&password.1, &of_one)),
        "no request",
    );
    decline(&one, &asked[0]).unwrap();
    waits(&call(&site, &one, reset, &request).unwrap());
    // All for one factor are settled with it.
    call(&site, &one, reset, &approving(&request, &other)).unwrap();
    assert_eq!(requests(&site, &one), Vec::<Value>::new());
}

#[test]
fn an_old_request_takes_no_newer_factor_away() {
    let mut site = Site::open();
    let [one, two] = [ONE, TWO].map(|id| site.person(id));
    let person = site.person("adviser-1");
    let reset = "ResetService/ResetSecondFactor";
    let request = json!({ "person": "adviser-1", "reason": "lost" });
    let pending = waits(&call(&site, &one, reset, &request).unwrap());
    // Found again, and replaced by the person.
    let challenge = site.step_up(&person).unwrap();
    site.advance(Duration::from_secs(30));
    let code = site.code("adviser-1");
    site.second_step(&challenge, &code).unwrap();
    let start = json!({ "challenge_id": challenge["challengeId"], "enrollment_code": "" });
    let begun = site.ask("StartEnrollment", &start).unwrap();
    let uri = begun["otpauthUri"].as_str().unwrap();
    let confirm = json!({ "enrollment_id": begun["enrollmentId"], "totp": code_of(uri, site.now()), "acknowledged_notice": "" });
    site.ask("ConfirmEnrollment", &confirm).unwrap();
    refused(
        call(&site, &two, reset, &approving(&request, &pending)),
        "another second factor",
    );
    site.advance(Duration::from_secs(30));
    site.try_code("adviser-1", &code_of(uri, site.now()))
        .unwrap();
    let pending = waits(&call(&site, &one, reset, &request).unwrap());
    call(&site, &two, reset, &approving(&request, &pending)).unwrap();
    assert_eq!(site.first_step("adviser-1")["enrollmentRequired"], true);
}

#[test]
fn an_import_that_makes_somebody_an_administrator_is_made_by_two_and_whole() {
    let mut site = Site::open();
    let [one, two] = [ONE, TWO].map(|id| site.person(id));
    let method = "DirectoryService/ImportPeople";
    let request = import(
        "id,departments,roles\nnew-1,career,administrator\nnew-2,career,legal\nadviser-1,sales,security-manager\n",
    );
    let summary = |answer: Value| {
        let all = answer.as_array().cloned().unwrap_or_else(|| vec![answer]);
        (all.last().unwrap()["summary"].clone(), all)
    };
    let mut dry = request.clone();
    dry["dry_run"] = true.into();
    let (_, all) = summary(call(&site, &one, method, &dry).unwrap());
    let takes_two = |one: &Value| one["person"]["takesTwo"] == true;
    assert_eq!(
        all.iter().map(takes_two).collect::<Vec<_>>(),
        [true, false, true, false]
    );
    let (asked, _) = summary(call(&site, &one, method, &request).unwrap());
    let pending = waits(&asked);
    let read = |id: &str| {
        call(
            &site,
            &one,
            "DirectoryService/GetPerson",
            &json!({ "id": id }),
        )
    };
    assert_eq!(
        read("new-2").unwrap_err().code,
        "NOT_FOUND",
        "whole or not at all"
    );
    let other = import(
        "id,departments,roles\nnew-1,career,administrator\nadviser-2,sales,security-manager\n",
    );
    refused(
        call(&site, &two, method, &approving(&other, &pending)),
        "something else",
    );
    let (done, _) = summary(call(&site, &two, method, &approving(&request, &pending)).unwrap());
    assert_eq!(
        (&done["created"], &done["changed"]),
        (&json!(2), &json!(1)),
        "{done}"
    );
    assert_eq!(
        read("new-1").unwrap()["person"]["roles"][0]["role"],
        "administrator"
    );
    assert_eq!(requests(&site, &one), Vec::<Value>::new());
    // Both who had credentials and who had none.
    let password = site.people.get("adviser-1").password.clone();
    not_genuine(site.first_step_with("adviser-1", &password));
    site.kill_and_start();
    not_genuine(site.first_step_with("adviser-1", &password));
    // By a file of hundreds nobody is asked.
    let rows: String = (0..51)
        .map(|n| format!("many-{n},career,administrator\n"))
        .collect();
    let many = import(&format!("id,departments,roles\n{rows}"));
    let one = site.person(ONE);
    let error = call(&site, &one, method, &many).unwrap_err();
    assert!(error.to_string().contains("csv[52].roles"), "{error}");
}

#[test]
fn a_token_whose_seed_one_administrator_has_is_no_step_of_one_whose_password_they_were_told() {
    const HEX: &str = "3132333435363738393031323334353637383930313233343536373839303132";
    let mut site = Site::open();
    let [one, two] = [ONE, TWO].map(|id| site.person(id));
    let tokens = |serial: &str| json!({ "csv": format!("serial,algorithm,digits,period,seed\n{serial},SHA1,6,30,{HEX}\n") });
    call(
        &site,
        &two,
        "CredentialService/ImportTokens",
        &tokens("T-1"),
    )
    .unwrap();
    call(
        &site,
        &one,
        "CredentialService/ImportTokens",
        &tokens("T-2"),
    )
    .unwrap();
    let person =
        json!({ "person": with_role("auditor-9", &json!({ "role": "security-manager" })) });
    let both = |site: &Site, method: &str, request: &Value, approval: &Value| {
        let pending = waits(&call(site, &one, method, request).unwrap());
        call(site, &two, method, &approving(approval, &pending))
    };
    both(&site, "DirectoryService/CreatePerson", &person, &person).unwrap();
    let whose = json!({ "person": "auditor-9" });
    both(&site, "CredentialService/SetPassword", &whose, &whose).unwrap();
    // Asked for by the first, approved by the second.
    let assign = |site: &Site, serial: &str, asks: &Session, approves: &Session| {
        let asked = json!({ "person": "auditor-9", "serial": serial });
        let mut shown = asked.clone();
        let key = data_encoding::HEXLOWER.decode(HEX.as_bytes()).unwrap();
        let uri = format!("secret={}&", data_encoding::BASE32_NOPAD.encode(&key));
        shown["totp"] = code_of(&uri, site.now()).into();
        let method = "CredentialService/AssignToken";
        let pending = waits(&call(site, asks, method, &asked).unwrap());
        call(site, approves, method, &approving(&shown, &pending))
    };
    refused(assign(&site, "T-1", &two, &one), "another imported");
    // Whoever approves shows its code: they have the token, whoever imported it.
    refused(
        assign(&site, "T-2", &one, &two),
        "told this person's password",
    );
    assign(&site, "T-2", &two, &one).unwrap();
    // And the other way round: the seed is the first one's, so the next password is not.
    let pending = waits(&call(&site, &two, "CredentialService/SetPassword", &whose).unwrap());
    let told = call(
        &site,
        &one,
        "CredentialService/SetPassword",
        &approving(&whose, &pending),
    );
    refused(told, "imported or assigned this person's token");
    // Nobody's second factor is replaced by it, whether they have a password or not.
    let asked = json!({ "person": "auditor-9", "serial": "T-1" });
    let taken = call(&site, &one, "CredentialService/AssignToken", &asked);
    crate::site::refused_with(taken, "FAILED_PRECONDITION", "SECOND_FACTOR_ENROLLED");
}

#[test]
fn nobody_renews_their_own_training_or_pledge() {
    let mut site = Site::open();
    let one = site.person(ONE);
    for (field, value) in [
        ("trainedUntil", json!("2098-01-01T00:00:00Z")),
        ("pledge", json!("2026-01-01T00:00:00Z")),
    ] {
        let mask = if field == "pledge" {
            "pledge"
        } else {
            "trained_until"
        };
        let request = json!({ "person": { "id": ONE, field: value }, "update_mask": [mask] });
        let error = call(&site, &one, "DirectoryService/ChangePerson", &request).unwrap_err();
        assert_eq!(error.code, "INVALID_ARGUMENT", "{error}");
        assert!(error.to_string().contains(mask), "{error}");
    }
}
