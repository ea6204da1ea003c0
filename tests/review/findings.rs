//! Findings over gRPC and at a terminal.

use serde_json::{Value, json};
use time::{OffsetDateTime, UtcOffset};

use crate::support::dev_house::{House, credentials, done, run, told};
use crate::support::machine_now;
use crate::support::play::{CallError, Metadata, Session};
use crate::support::scenario::{OFFICE, SESSION};

/// A day by the pack's clock, so many days from today.
fn day(from_today: i64) -> String {
    let now = i64::try_from(machine_now()).unwrap() + from_today * 86_400;
    let now = OffsetDateTime::from_unix_timestamp(now).unwrap();
    let tokyo = UtcOffset::from_hms(9, 0, 0).unwrap();
    now.to_offset(tokyo).date().to_string()
}

/// Yesterday to tomorrow: a test may go on past midnight.
fn days() -> Value {
    json!({ "first_day": day(-1), "last_day": day(1) })
}

fn with(mut request: Value, more: Value) -> Value {
    let fields = request.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    request
}

fn review(
    house: &House,
    by: &Session,
    method: &str,
    request: &Value,
) -> Result<Vec<Value>, CallError> {
    let method = format!("sekisho.v1.ReviewService/{method}");
    let answer = house.send(&method, request, &by.metadata())?;
    let messages = match answer {
        Value::Array(messages) => messages,
        Value::Null => Vec::new(),
        one => vec![one],
    };
    let messages = messages.into_iter();
    // Nothing came: grpcurl prints nothing, or an empty object.
    Ok(messages
        .filter(|message| message.get("progress").is_none() && *message != json!({}))
        .collect())
}

fn cases(house: &House, by: &Session, request: &Value) -> Vec<Value> {
    let found = review(house, by, "ListFindings", request);
    let found = found.unwrap_or_else(|error| panic!("{request}: {error}"));
    found
        .into_iter()
        .map(|message| message["case"].clone())
        .collect()
}

fn of<'a>(cases: &'a [Value], person: &str) -> &'a Value {
    let found = cases.iter().find(|case| case["person"] == *person);
    found.unwrap_or_else(|| panic!("no case of {person} in {cases:?}"))
}

fn detectors(case: &Value) -> Vec<&str> {
    let findings = case["findings"].as_array().map_or(&[][..], Vec::as_slice);
    let words = findings.iter();
    words.filter_map(|one| one["detector"].as_str()).collect()
}

/// A look of somebody at a job seeker.
fn look(house: &House, by: &Session, subject: &str, more: Value) {
    let request = json!({
        "actor": { "session_ticket": by.ticket, "client_ip": OFFICE, "session_ref": SESSION },
        "action": "ACTION_READ",
        "data": {
            "system": "crm",
            "subject_kind": "job-seeker",
            "categories": ["career"],
            "subject_ref": subject,
        },
        "purpose": "recruitment-service",
    });
    let request = with(request, more);
    let answer = house.answer("sekisho.v1.AccessService/Check", &request, &Metadata::new());
    assert_eq!(answer["decision"], "DECISION_ALLOW", "{answer}");
}

const MEDICAL: &str = "special.medical";

/// People who break glass, look at their own record, and at those whom they aren't assigned to; the sessions of an adviser and of the
/// manager, since a code is good once.
fn misused() -> (House, Session, Session) {
    let mut house = House::open();
    let administrator = house.log_in("administrator-1");
    let change = json!({
        "person": { "id": "adviser-2", "subject_refs": ["seeker-own"] },
        "update_mask": ["subject_refs"],
        "reference": "the company keeps them as a job seeker",
    });
    let method = "sekisho.v1.DirectoryService/ChangePerson";
    house.answer(method, &change, &administrator.metadata());
    let first = house.log_in("adviser-1");
    for number in 0..6 {
        let none = json!({ "relation": "RELATION_NONE" });
        look(&house, &first, &format!("seeker-{number}"), none);
    }
    look(&house, &first, "seeker-own", json!({}));
    let second = house.log_in("adviser-2");
    look(&house, &second, "seeker-own", json!({}));
    look(
        &house,
        &second,
        "seeker-1",
        json!({ "relation": "RELATION_NONE" }),
    );
    let manager = house.log_in("manager-1");
    let broken = json!({
        "data": {
            "system": "crm",
            "subject_kind": "job-seeker",
            "categories": [MEDICAL],
            "subject_ref": "seeker-2",
        },
        "basis": { "consent": "CONSENT_STATE_PRIOR" },
        "break_glass": { "reason": "The applicant fainted at the desk and needs a doctor." },
    });
    look(&house, &manager, "seeker-2", broken);
    (house, first, manager)
}

#[test]
fn break_glass_own_records_and_those_of_others_are_told_with_their_numbers() {
    let (mut house, _, _) = misused();
    let reader = house.log_in("security-1");
    let found = cases(&house, &reader, &days());
    assert_eq!(
        detectors(of(&found, "adviser-1")),
        ["not-assigned", "colleagues-record"]
    );
    // One look at somebody else's customer makes no case; beside another finding it is told.
    assert_eq!(
        detectors(of(&found, "adviser-2")),
        ["not-assigned", "own-record"]
    );
    assert_eq!(detectors(of(&found, "manager-1")), ["break-glass"]);
    assert_eq!(found.len(), 3, "{found:?}");
    let case = of(&found, "adviser-1");
    assert_eq!(case["department"], "career");
    assert_eq!(
        case["findings"][0]["sentence"],
        "Looked 6 times at somebody whom they are not assigned to; there is no past to compare with (5 stand out)."
    );
    assert!(
        case["findings"][1]["sentenceJa"]
            .as_str()
            .unwrap()
            .contains("同僚 1 人の記録を 1 回"),
        "{case}"
    );
    assert_eq!(case["findings"][0]["entries"], "6");

    // One case, with its entries and what was gone by.
    let wish = json!({ "day": case["day"], "person": "adviser-1" });
    let told = review(&house, &reader, "ExplainFinding", &wish).unwrap();
    assert_eq!(told[0]["case"]["findings"], case["findings"]);
    let went_by = &told[0]["thresholds"][0];
    assert_eq!(
        (&went_by["score"], &went_by["least"]),
        (&json!(3.5), &json!("5"))
    );
    assert_eq!(went_by.get("rule"), None, "by default: {went_by}");
    assert_eq!(told.len(), 1 + 7, "{told:?}");
    for message in &told[1..] {
        assert_eq!(message["entry"]["person"], "adviser-1");
    }

    // By detector, by person, by department, by page.
    let only = |more| cases(&house, &reader, &with(days(), more));
    assert_eq!(only(json!({ "detector": "own-record" })).len(), 1);
    assert_eq!(only(json!({ "person": "manager-1" })).len(), 1);
    assert_eq!(only(json!({ "department": "finance" })).len(), 0);
    let first = with(days(), json!({ "page_size": 2 }));
    let page = review(&house, &reader, "ListFindings", &first).unwrap();
    assert_eq!(page.len(), 2);
    let token = &page[1]["nextPageToken"];
    let next = with(first, json!({ "page_token": token }));
    let rest = review(&house, &reader, "ListFindings", &next).unwrap();
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert_eq!(rest[0]["logSize"], page[0]["logSize"], "the same entries");

    // Every call is an entry.
    let search = json!({ "kind": "ENTRY_KIND_LOG_READ", "page_size": 50, "person": "security-1" });
    let method = "sekisho.v1.AccessLogService/Search";
    let entries = house
        .answer(method, &search, &reader.metadata())
        .to_string();
    for call in [
        "\"ListFindings\"",
        "\"ExplainFinding\"",
        "detector=own-record",
    ] {
        assert!(entries.contains(call), "no {call} in {entries}");
    }
}

#[test]
fn nobody_reviews_themselves_and_a_department_is_reviewed_by_its_own() {
    let (house, adviser, manager) = misused();
    let found = cases(&house, &manager, &days());
    assert_eq!(found.len(), 3, "all are of the department: {found:?}");
    let own = of(&found, "manager-1");
    assert_eq!(
        (&own["own"], own.get("findings")),
        (&json!(true), None),
        "{own}"
    );
    let wish = json!({ "day": own["day"], "person": "manager-1" });
    let refused = review(&house, &manager, "ExplainFinding", &wish).unwrap_err();
    assert_eq!(refused.code, "PERMISSION_DENIED", "{refused}");
    assert!(refused.message.contains("yourself"), "{refused}");
    // Who reviews nothing.
    for (method, request) in [("ListFindings", days()), ("ExplainFinding", wish)] {
        let refused = review(&house, &adviser, method, &request).unwrap_err();
        assert_eq!(refused.code, "PERMISSION_DENIED", "{method}: {refused}");
    }
}

#[test]
fn what_cannot_be_taken_is_named_by_its_field() {
    let mut house = House::open();
    let reader = house.log_in("security-1");
    for (request, field) in [
        (json!({}), "month"),
        (json!({ "month": "2026-13" }), "month"),
        (
            json!({ "month": "2026-11", "first_day": "2026-11-01" }),
            "first_day",
        ),
        (
            json!({ "month": "2026-11", "last_day": "2026-11-01" }),
            "last_day",
        ),
        (json!({ "first_day": "yesterday" }), "first_day"),
        (
            json!({ "first_day": "2026-11-02", "last_day": "2026-11-01" }),
            "last_day",
        ),
        (
            json!({ "first_day": "2026-01-01", "last_day": "2026-12-31" }),
            "last_day",
        ),
        (
            json!({ "month": "2026-11", "detector": "volume" }),
            "detector",
        ),
        (
            json!({ "month": "2026-11", "page_size": 1_001 }),
            "page_size",
        ),
        (
            json!({ "month": "2026-11", "page_token": "x" }),
            "page_token",
        ),
        (
            json!({ "month": "2026-11", "page_token": "99999999/2026-11-01/person/a" }),
            "page_token",
        ),
    ] {
        let refused = review(&house, &reader, "ListFindings", &request).unwrap_err();
        assert_eq!(refused.code, "INVALID_ARGUMENT", "{request}: {refused}");
        assert_eq!(refused.fields(), [field], "{request}");
    }
    for (request, fields) in [
        (json!({}), &["day", "person"][..]),
        (json!({ "day": "2026-11-31", "person": "a" }), &["day"]),
        (
            json!({ "day": "2026-11-30", "person": "a", "workload": "b" }),
            &["workload"],
        ),
        (
            json!({ "day": "2026-11-30", "person": "a", "log_size": 99_999_999 }),
            &["log_size"],
        ),
    ] {
        let refused = review(&house, &reader, "ExplainFinding", &request).unwrap_err();
        assert_eq!(refused.code, "INVALID_ARGUMENT", "{request}: {refused}");
        assert_eq!(refused.fields(), fields, "{request}");
    }
    let wish = json!({ "day": "2026-11-30", "person": "nobody" });
    let missing = review(&house, &reader, "ExplainFinding", &wish).unwrap_err();
    assert_eq!(missing.code, "NOT_FOUND", "{missing}");
}

#[test]
fn findings_are_read_at_a_terminal_in_both_languages() {
    let (house, _, _) = misused();
    let (home, data) = (house.home().to_owned(), house.data().to_owned());
    let password = &house.people.get("security-1").password;
    let input = credentials(&home, &data, "security-1", password);
    done(&home, &input, &["login", "--data", &data]);
    let (first, last) = (day(-1), day(1));
    let finding = |words: &[&str]| {
        let arguments = [&["finding"], words, &["--data", &data]].concat();
        done(&home, "", &arguments)
    };
    let list = ["list", "--from", &first, "--until", &last];
    let table = finding(&list);
    for words in [
        "DETECTOR",
        "adviser-2",
        "own-record",
        "Break glass was used once.",
        "3 cases",
    ] {
        assert!(table.contains(words), "no {words} in\n{table}");
    }
    let table = finding(&[&list[..], &["--lang", "ja"]].concat());
    assert!(
        table.contains("要確認事項") && table.contains("自分自身の記録を 1 回閲覧しました。"),
        "{table}"
    );
    let lines = finding(&[&list[..], &["--json", "--person", "manager-1"]].concat());
    let case: Value = serde_json::from_str(&lines).unwrap();
    assert_eq!(case["findings"][0]["facts"], json!({ "times": "1" }));
    let on = case["day"].as_str().unwrap();
    let text = finding(&["explain", on, "manager-1"]);
    for words in [
        "break-glass: Break glass was used",
        "every time (by default)",
        "entries (1 in all): ",
        "READ",
    ] {
        assert!(text.contains(words), "no {words} in\n{text}");
    }
    let lines = finding(&["explain", on, "manager-1", "--json"]);
    assert_eq!(lines.lines().count(), 2, "{lines}");
    // On a narrow terminal nothing is wider than that.
    let arguments = [
        "finding", "list", "--from", &first, "--until", &last, "--data", &data,
    ];
    let mut narrow = crate::support::dev_house::sekisho(&home);
    let output = narrow
        .args(arguments)
        .env("COLUMNS", "80")
        .output()
        .unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(
        table.lines().all(|line| line.chars().count() <= 80),
        "{table}"
    );
    // No days, a wrong detector, nobody's case.
    let output = run(&home, "", &["finding", "list", "--data", &data]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    let wrong = [
        &["finding"],
        &list[..],
        &["--detector", "x", "--data", &data],
    ]
    .concat();
    let output = run(&home, "", &wrong);
    assert!(
        output.status.code() == Some(65) && told(&output).contains("detector"),
        "{}",
        told(&output)
    );
    let output = run(
        &home,
        "",
        &["finding", "explain", on, "nobody", "--data", &data],
    );
    assert_eq!(output.status.code(), Some(66), "{}", told(&output));
}
