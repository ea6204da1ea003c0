//! `DirectoryService`: what an administrator may change of whom, from when on it counts, and what the log says of it.

use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use sekisho::domain::time::Timestamp;

use crate::support::dev_house::House;
use crate::support::play::{CallError, Door, Metadata, Session};
use crate::support::postgres::Postgres;
use crate::support::scenario::{CALLER, OFFICE, SESSION};

const CHECK: &str = "sekisho.v1.AccessService/Check";
/// In no network of the pack.
const HOTEL: &str = "198.51.100.7";

/// A call of the directory.
pub(crate) fn call(
    house: &House,
    by: &Session,
    method: &str,
    request: &Value,
) -> Result<Value, CallError> {
    let method = format!("sekisho.v1.DirectoryService/{method}");
    house.send(&method, request, &by.metadata())
}

pub(crate) fn done(house: &House, by: &Session, method: &str, request: &Value) -> Value {
    call(house, by, method, request).unwrap_or_else(|error| panic!("{method} {request}: {error}"))
}

/// The status and the fields of a call that must be refused.
fn refused(house: &House, by: &Session, method: &str, request: &Value) -> (String, Vec<String>) {
    match call(house, by, method, request) {
        Ok(answer) => panic!("{method} {request} was answered: {answer}"),
        Err(error) => {
            let mut fields = Vec::new();
            let violations = error
                .detail("BadRequest")
                .and_then(|bad| bad.get("fieldViolations"));
            for violation in violations.and_then(Value::as_array).into_iter().flatten() {
                fields.push(violation["field"].as_str().unwrap().to_owned());
            }
            (error.code, fields)
        }
    }
}

/// The details of an entry, read by a security manager.
pub(crate) fn details(house: &House, reader: &Session, index: &Value) -> Value {
    let request = json!({ "log_index": index });
    let method = "sekisho.v1.AccessLogService/GetEntry";
    house.answer(method, &request, &reader.metadata())["entry"].clone()
}

/// The decision and its first reason.
fn check(house: &mut House, session: &Session, from: &str) -> (String, String) {
    let request = json!({
        "actor": { "session_ticket": session.ticket, "client_ip": from, "session_ref": SESSION },
        "action": "ACTION_READ",
        "data": { "system": "crm", "subject_kind": "job-seeker", "subject_ref": "seeker-1", "categories": ["identity"] },
        "purpose": "recruitment-service",
    });
    let answer = house
        .call(CALLER, CHECK, &request, &Metadata::new())
        .unwrap();
    let reason = answer["reasons"][0]["code"].as_str().unwrap_or_default();
    let decision = answer["decision"].as_str().unwrap();
    (decision.to_owned(), reason.to_owned())
}

fn allowed() -> (String, String) {
    ("DECISION_ALLOW".to_owned(), String::new())
}

fn denied(reason: &str) -> (String, String) {
    ("DECISION_DENY".to_owned(), format!("REASON_CODE_{reason}"))
}

/// So many seconds from now, in RFC 3339.
fn in_seconds(house: &House, seconds: u64) -> String {
    let at = i64::try_from(house.now() + seconds).unwrap();
    Timestamp::from_seconds(at).to_string()
}

fn change(id: &str, mask: &str, fields: Value) -> Value {
    let mut person = fields;
    person["id"] = id.into();
    let mask: Vec<&str> = mask.split(',').filter(|field| !field.is_empty()).collect();
    json!({ "person": person, "update_mask": mask })
}

#[test]
fn each_field_that_cannot_be_taken_is_named() {
    let mut house = House::open();
    let by = house.log_in("administrator-1");
    let create = |person: Value| refused(&house, &by, "CreatePerson", &json!({ "person": person }));
    let base = |key: &str, value: Value| {
        let mut person = json!({ "id": "newcomer-9", "departments": ["career"] });
        person[key] = value;
        person
    };
    for (key, value, field) in [
        ("id", json!(""), "person.id"),
        ("id", json!("Newcomer-9"), "person.id"),
        ("id", json!("a b"), "person.id"),
        ("id", json!("x".repeat(129)), "person.id"),
        ("id", json!("adviser-l"), "person.id"),
        ("displayName", json!("x".repeat(129)), "person.display_name"),
        ("departments", json!([]), "person.departments"),
        ("departments", json!(["a", " "]), "person.departments[1]"),
        ("departments", json!(vec!["a"; 17]), "person.departments[1]"),
        ("employmentKind", json!(9), "person.employment_kind"),
        ("employer", json!("Staff"), "person.employer"),
        ("employmentEnd", json!("soon"), "person.employment_end"),
        (
            "leave",
            json!({ "until": "2027-01-01" }),
            "person.leave.from",
        ),
        (
            "roles",
            json!([{ "role": "wizard" }]),
            "person.roles[0].role",
        ),
        (
            "roles",
            json!([{ "role": "legal", "validFrom": "x" }]),
            "person.roles[0].valid_from",
        ),
        (
            "roles",
            json!([{ "role": "legal", "approvedBy": "nobody" }]),
            "person.roles[0].approved_by",
        ),
        (
            "roles",
            json!([{ "role": "administrator" }, { "role": "security-manager" }]),
            "person.roles",
        ),
        (
            "networkExceptions",
            json!([{ "block": "10.0.0.0/8", "until": "2027-01-01", "why": "x" }]),
            "person.network_exceptions[0].block",
        ),
        (
            "networkExceptions",
            json!([{ "block": "10.0.0.1/32", "why": "x" }]),
            "person.network_exceptions[0].until",
        ),
        ("trainedUntil", json!("1800-01-01"), "person.trained_until"),
        ("pledge", json!("maybe"), "person.pledge"),
        ("subjectRefs", json!([""]), "person.subject_refs[0]"),
        ("disabled", json!(true), "person.disabled"),
    ] {
        let (code, fields) = create(base(key, value.clone()));
        assert_eq!(code, "INVALID_ARGUMENT", "{key} {value}");
        assert_eq!(
            fields.first().map(String::as_str),
            Some(field),
            "{key} {value}: {fields:?}"
        );
    }
    for kind in ["EMPLOYMENT_KIND_DISPATCHED", "EMPLOYMENT_KIND_CONTRACTOR"] {
        let (_, fields) = create(base("employmentKind", json!(kind)));
        assert_eq!(fields, ["person.employer", "person.employment_end"]);
    }
    let (code, _) = create(json!({ "id": "adviser-1", "departments": ["career"] }));
    assert_eq!(code, "ALREADY_EXISTS");
    for (method, request, expected, field) in [
        (
            "ChangePerson",
            change("adviser-1", "", json!({})),
            "INVALID_ARGUMENT",
            "update_mask",
        ),
        (
            "ChangePerson",
            change("adviser-1", "disabled", json!({})),
            "INVALID_ARGUMENT",
            "update_mask",
        ),
        (
            "ChangePerson",
            change("nobody-9", "pledge", json!({})),
            "NOT_FOUND",
            "",
        ),
        (
            "DisablePerson",
            json!({ "id": "Adviser-1" }),
            "INVALID_ARGUMENT",
            "id",
        ),
        ("EnablePerson", json!({ "id": "nobody-9" }), "NOT_FOUND", ""),
        (
            "EndEmployment",
            json!({ "id": "adviser-1", "employment_end": "x" }),
            "INVALID_ARGUMENT",
            "employment_end",
        ),
        ("GetPerson", json!({ "id": "nobody-9" }), "NOT_FOUND", ""),
        (
            "ListPeople",
            json!({ "page_size": 1001 }),
            "INVALID_ARGUMENT",
            "page_size",
        ),
        (
            "ListPeople",
            json!({ "page_token": "x" }),
            "INVALID_ARGUMENT",
            "page_token",
        ),
        ("ImportPeople", json!({}), "INVALID_ARGUMENT", "csv"),
    ] {
        let (code, fields) = refused(&house, &by, method, &request);
        assert_eq!(code, expected, "{method} {request}");
        assert_eq!(
            fields.first().map_or("", String::as_str),
            field,
            "{method} {request}"
        );
    }
    let first = done(&house, &by, "ListPeople", &json!({ "page_size": 2 }));
    assert_eq!(first["people"].as_array().unwrap().len(), 2);
    assert!(first["nextPageToken"].is_string());
}

#[test]
fn who_does_not_administer_changes_nobody_and_nobody_changes_themselves() {
    let mut house = House::open();
    let by = house.log_in("administrator-1");
    let adviser = house.log_in("adviser-1");
    let disable = json!({ "id": "adviser-2" });
    let (code, _) = refused(&house, &adviser, "DisablePerson", &disable);
    assert_eq!(code, "PERMISSION_DENIED");
    assert_eq!(
        refused(&house, &adviser, "ListPeople", &json!({})).0,
        "PERMISSION_DENIED"
    );
    assert_eq!(
        refused(&house, &adviser, "ExportPeople", &json!({})).0,
        "PERMISSION_DENIED"
    );
    let roles = json!({ "roles": [{ "role": "administrator" }, { "role": "legal" }] });
    for (method, request, field) in [
        (
            "ChangePerson",
            change("administrator-1", "roles", roles),
            "person.roles",
        ),
        (
            "DisablePerson",
            json!({ "id": "administrator-1" }),
            "disabled",
        ),
        (
            "EndEmployment",
            json!({ "id": "administrator-1" }),
            "employment_end",
        ),
    ] {
        let (code, fields) = refused(&house, &by, method, &request);
        assert_eq!(
            (code.as_str(), fields[0].as_str()),
            ("INVALID_ARGUMENT", field)
        );
    }
    // With the other one disabled, the first is the last, also for a day to come.
    done(
        &house,
        &by,
        "DisablePerson",
        &json!({ "id": "administrator-2" }),
    );
    let temporary = json!({ "roles": [{ "role": "administrator", "validUntil": "2090-01-01" }] });
    done(
        &house,
        &by,
        "ChangePerson",
        &change("accounting-1", "roles", temporary),
    );
    let csv = "id,disabled\nadministrator-1,yes\n";
    let request = json!({ "csv": data_encoding::BASE64.encode(csv.as_bytes()) });
    let (code, fields) = refused(&house, &by, "ImportPeople", &request);
    assert_eq!(
        (code.as_str(), fields[0].as_str()),
        ("INVALID_ARGUMENT", "csv[2].disabled")
    );
}

#[test]
fn a_change_says_before_and_after_and_one_of_nothing_writes_nothing() {
    let mut house = House::open();
    let by = house.log_in("administrator-1");
    let reader = house.log_in("security-1");
    let made = done(
        &house,
        &by,
        "CreatePerson",
        &json!({
            "person": {
                "id": "yamada.taro",
                "displayName": "山田 太郎",
                "departments": ["career", "support"],
                "employmentKind": "EMPLOYMENT_KIND_DISPATCHED",
                "employer": "Staff, Inc.",
                "employmentEnd": "2090-03-31",
                "roles": [{ "role": "reception", "validUntil": "2090-03-31", "approvedBy": "manager-1", "request": "R-1" }],
                "pledge": "2026-04-01",
                "subjectRefs": ["candidate-77"],
            },
            "reference": "HR-12",
        }),
    );
    let person = &made["person"];
    assert_eq!(person["revision"], made["logIndex"]);
    assert_eq!(person["active"], true);
    assert_eq!(person["employmentEnd"], "2090-03-31");
    assert_eq!(person["subjectPseudonyms"].as_array().unwrap().len(), 1);
    assert!(!made.to_string().contains("candidate-77"));
    let entry = details(&house, &reader, &made["logIndex"]);
    assert_eq!(entry["person"], "administrator-1");
    let told = &entry["details"];
    for (key, value) in [
        ("change", "create-person"),
        ("account", "yamada.taro"),
        ("reference", "HR-12"),
        ("before.roles", ""),
        ("after.roles", "reception||2090-03-31|manager-1|R-1"),
        ("after.departments", "career, support"),
        ("after.employment_kind", "dispatched"),
    ] {
        assert_eq!(told[key], value, "{key} of {told}");
    }
    // Two who read the same: the second learns that it was changed.
    let mut legal = change(
        "yamada.taro",
        "roles,departments",
        json!({ "departments": ["legal"], "roles": [{ "role": "legal" }] }),
    );
    legal["expected_revision"] = made["logIndex"].clone();
    let changed = done(&house, &by, "ChangePerson", &legal);
    assert_eq!(refused(&house, &by, "ChangePerson", &legal).0, "ABORTED");
    let told = details(&house, &reader, &changed["logIndex"])["details"].clone();
    assert_eq!(told["before.roles"], "reception||2090-03-31|manager-1|R-1");
    assert_eq!(told["after.roles"], "legal");
    assert_eq!(told["before.departments"], "career, support");
    assert!(told["after.employer"].is_null(), "{told}");
    legal.as_object_mut().unwrap().remove("expected_revision");
    let again = done(&house, &by, "ChangePerson", &legal);
    assert_eq!(again["unchanged"], true);
    assert!(again["logIndex"].is_null(), "{again}");
    let got = done(&house, &by, "GetPerson", &json!({ "id": "yamada.taro" }));
    assert_eq!(got["person"]["revision"], changed["logIndex"]);
    // However it is typed, an id is one; it has no password yet.
    let login = json!({ "person": "ＡＤＶＩＳＥＲ-2", "password": house.people.get("adviser-2").password, "client_ip": OFFICE, "session_ref": SESSION });
    let first = house.answer(
        "sekisho.v1.AuthenticationService/VerifyPassword",
        &login,
        &Metadata::new(),
    );
    assert!(first["challengeId"].is_string());
    let log = std::fs::read_dir(house.daemon.data().join("log")).unwrap();
    for file in log
        .map(|file| file.unwrap().path())
        .filter(|path| path.is_file())
    {
        let bytes = std::fs::read(&file).unwrap();
        let clear = bytes.windows(12).any(|part| part == b"candidate-77");
        assert!(!clear, "{}", file.display());
    }
    match &house.database {
        None => {
            let store = std::fs::read(house.daemon.data().join("store.sqlite")).unwrap();
            assert!(!store.windows(12).any(|part| part == b"candidate-77"));
        }
        Some(url) => {
            let asked =
                "SELECT count(*) FROM people WHERE position('candidate-77'::bytea IN profile) > 0";
            assert_eq!(Postgres::shared().sql(url, asked), "0");
            let asked =
                "SELECT count(*) FROM people WHERE position('yamada.taro'::bytea IN profile) > 0";
            assert_eq!(Postgres::shared().sql(url, asked), "1");
        }
    }
}

#[test]
fn roles_leave_and_exceptions_begin_and_end_with_the_clock() {
    let mut house = House::with_clock();
    let by = house.log_in("administrator-1");
    let adviser = house.log_in("adviser-1");
    assert_eq!(check(&mut house, &adviser, OFFICE), allowed());
    let minutes = |house: &mut House, count: u64| house.advance(Duration::from_mins(count));
    // The other role only says from where; the first one ends in two minutes and comes back in six.
    let roles = json!({ "roles": [
        { "role": "legal" },
        { "role": "career-adviser", "validUntil": in_seconds(&house, 120), "approvedBy": "manager-1", "request": "R-7" },
        { "role": "career-adviser", "validFrom": in_seconds(&house, 360) },
    ] });
    done(
        &house,
        &by,
        "ChangePerson",
        &change("adviser-1", "roles", roles),
    );
    let exception = json!({ "network_exceptions": [
        { "block": format!("{HOTEL}/32"), "until": in_seconds(&house, 240), "why": "journey R-8" },
    ] });
    let request = change("adviser-2", "network_exceptions", exception);
    done(&house, &by, "ChangePerson", &request);
    let travelling =
        crate::support::play::log_in(&mut house, "adviser-2", (CALLER, HOTEL, SESSION)).unwrap();
    assert_eq!(check(&mut house, &adviser, OFFICE), allowed());
    assert_eq!(check(&mut house, &travelling, HOTEL), allowed());
    minutes(&mut house, 3);
    assert_eq!(
        check(&mut house, &adviser, OFFICE),
        denied("CATEGORY_NOT_PERMITTED")
    );
    assert_eq!(check(&mut house, &travelling, HOTEL), allowed());
    minutes(&mut house, 2);
    assert_eq!(
        check(&mut house, &travelling, HOTEL),
        denied("IP_NOT_ALLOWED")
    );
    minutes(&mut house, 2);
    assert_eq!(check(&mut house, &adviser, OFFICE), allowed());
    // A leave that is to come ends no session, and begins by itself.
    let by = house.log_in("administrator-2");
    let leave =
        json!({ "leave": { "from": in_seconds(&house, 60), "until": in_seconds(&house, 180) } });
    let answer = done(
        &house,
        &by,
        "ChangePerson",
        &change("adviser-1", "leave", leave),
    );
    assert!(answer["sessionsEnded"].is_null(), "{answer}");
    assert_eq!(check(&mut house, &adviser, OFFICE), allowed());
    minutes(&mut house, 2);
    assert_eq!(
        check(&mut house, &adviser, OFFICE),
        denied("ACCOUNT_DISABLED")
    );
    let known = house.people.get("adviser-1").password.clone();
    let login = json!({ "person": "adviser-1", "password": known, "client_ip": OFFICE, "session_ref": SESSION });
    let method = "sekisho.v1.AuthenticationService/VerifyPassword";
    let refused = house.send(method, &login, &Metadata::new()).unwrap_err();
    assert_eq!(refused.code, "UNAUTHENTICATED");
    minutes(&mut house, 2);
    house.send(method, &login, &Metadata::new()).unwrap();
}

#[test]
fn the_ticket_of_who_is_disabled_or_gone_dies_at_its_next_use() {
    let mut house = House::open();
    let by = house.log_in("administrator-1");
    let reader = house.log_in("security-1");
    for (id, method) in [
        ("adviser-1", "DisablePerson"),
        ("adviser-2", "EndEmployment"),
    ] {
        let session = house.log_in(id);
        assert_eq!(check(&mut house, &session, OFFICE), allowed());
        let answer = done(
            &house,
            &by,
            method,
            &json!({ "id": id, "reference": "HR-13" }),
        );
        assert_eq!(answer["sessionsEnded"], true);
        assert_eq!(answer["person"]["active"], Value::Null);
        assert_eq!(
            check(&mut house, &session, OFFICE),
            denied("TICKET_REVOKED")
        );
        let told = details(&house, &reader, &answer["logIndex"])["details"].clone();
        assert_eq!(told["sessions"], "ended", "{told}");
        assert_eq!(
            done(&house, &by, method, &json!({ "id": id }))["unchanged"],
            true
        );
        // Enabled or employed again, the old ticket stays dead.
        let back = match method {
            "DisablePerson" => done(&house, &by, "EnablePerson", &json!({ "id": id })),
            _ => done(
                &house,
                &by,
                "ChangePerson",
                &change(id, "employment_end", json!({})),
            ),
        };
        assert_eq!(back["person"]["active"], true);
        assert_eq!(
            check(&mut house, &session, OFFICE),
            denied("TICKET_REVOKED")
        );
    }
}

/// Keeps a daemon's store from being written.
enum Held {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Held {
    async fn of(house: &House) -> Self {
        match &house.database {
            None => {
                let path = house.daemon.data().join("store.sqlite");
                let options = SqliteConnectOptions::new().filename(&path);
                let mut held = SqliteConnection::connect_with(&options).await.unwrap();
                let begin = sqlx::query("BEGIN IMMEDIATE");
                begin.execute(&mut held).await.unwrap();
                Self::Sqlite(held)
            }
            Some(url) => {
                let mut held = PgConnection::connect(url).await.unwrap();
                let begin = sqlx::raw_sql("BEGIN; SELECT FROM logs FOR UPDATE");
                begin.execute(&mut held).await.unwrap();
                Self::Postgres(held)
            }
        }
    }

    async fn give_back(self) {
        match self {
            Self::Sqlite(held) => held.close().await.unwrap(),
            Self::Postgres(held) => held.close().await.unwrap(),
        }
    }
}

#[test]
fn a_change_whose_process_died_before_the_store_had_it_is_there_after_the_start() {
    let mut house = House::open();
    let by = house.log_in("administrator-1");
    let adviser = house.log_in("adviser-1");
    assert_eq!(check(&mut house, &adviser, OFFICE), allowed());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let held = runtime.block_on(Held::of(&house));
    // The entry is written and everybody sees it, while the store waits for its file or its row.
    let asking = {
        let (grpcurl, own) = (
            house.grpcurl.clone(),
            crate::support::certificates::of_service(house.daemon.data(), CALLER),
        );
        let metadata = by.metadata();
        spawn(move || {
            let method = "sekisho.v1.DirectoryService/DisablePerson";
            grpcurl.call(Some(&own), method, &json!({ "id": "adviser-1" }), &metadata)
        })
    };
    let until = Instant::now() + Duration::from_secs(60);
    while check(&mut house, &adviser, OFFICE) == allowed() {
        assert!(Instant::now() < until, "the change is not seen");
        sleep(Duration::from_millis(20));
    }
    let House {
        daemon,
        folder,
        database,
        ..
    } = house;
    daemon.kill();
    drop(asking.join());
    runtime.block_on(held.give_back());
    let mut house = House::take_up(folder);
    house.database = database;
    let by = house.log_in("administrator-2");
    let got = done(&house, &by, "GetPerson", &json!({ "id": "adviser-1" }));
    assert_eq!(got["person"]["disabled"], true, "{got}");
    assert_eq!(
        check(&mut house, &adviser, OFFICE),
        denied("TICKET_REVOKED")
    );
    let reader = house.log_in("security-1");
    let index = got["person"]["revision"].clone();
    let entry = details(&house, &reader, &index);
    assert_eq!(entry["details"]["change"], "disable-person");
}

#[test]
fn who_reviews_a_department_sees_those_who_also_work_there() {
    let mut house = House::open();
    let by = house.log_in("administrator-1");
    let manager = house.log_in("manager-1");
    let seen = |house: &House, person: &str| {
        let request = json!({ "person": person, "kind": "ENTRY_KIND_DECISION" });
        let method = "sekisho.v1.AccessLogService/Search";
        house.answer(method, &request, &manager.metadata())
    };
    let reception = house.log_in("reception-1");
    check(&mut house, &reception, OFFICE);
    assert_eq!(seen(&house, "reception-1"), json!([]));
    let both = json!({ "departments": ["support", "career"] });
    done(
        &house,
        &by,
        "ChangePerson",
        &change("reception-1", "departments", both),
    );
    check(&mut house, &reception, OFFICE);
    let entry = seen(&house, "reception-1")["entry"].clone();
    assert_eq!(entry["department"], "support");
    assert_eq!(entry["furtherDepartments"], json!(["career"]));
    let listed = done(
        &house,
        &by,
        "ListPeople",
        &json!({ "department": "career" }),
    );
    assert!(listed.to_string().contains("reception-1"));
}
