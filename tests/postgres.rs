//! The shipped daemon with its store in PostgreSQL: that it works, what a lost database stops and what not, and two daemons on
//! one store. Each test is named by the rule that it checks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods
)]

mod support;

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::daemon::refused_start;
use support::dev_house::{House, done};
use support::play::{CallError, Door, Metadata, Session, log_in};
use support::postgres::Postgres;
use support::scenario::{CALLER, OFFICE, SESSION};
use support::until;

const CHECK: &str = "sekisho.v1.AccessService/Check";
const SET_DATE: &str = "sekisho.v1.SubjectService/SetDate";
const END_SESSION: &str = "sekisho.v1.AuthenticationService/EndSession";
const VERIFY_PASSWORD: &str = "sekisho.v1.AuthenticationService/VerifyPassword";
const VERIFY_SECOND_FACTOR: &str = "sekisho.v1.AuthenticationService/VerifySecondFactor";
/// On a busy machine.
const SOON: Duration = Duration::from_secs(90);

fn check(house: &House, session: &Session, subject: &str) -> Result<Value, CallError> {
    let request = json!({
        "actor": {
            "session_ticket": session.ticket,
            "client_ip": session.client_ip,
            "session_ref": session.session_ref,
        },
        "action": "ACTION_READ",
        "data": { "system": "crm", "subject_kind": "job-seeker", "subject_ref": subject, "categories": ["career.history"] },
        "purpose": "recruitment-service",
    });
    house.send(CHECK, &request, &Metadata::new())
}

/// The last contact with a subject was so long ago that their data should be gone.
fn long_ago(subject: &str) -> Value {
    json!({ "subject_ref": subject, "date": "last-contact", "value": "2001-01-01T00:00:00Z" })
}

fn is_allowed(answer: &Result<Value, CallError>) -> bool {
    answer
        .as_ref()
        .is_ok_and(|answer| answer["decision"] == "DECISION_ALLOW")
}

fn first_reason(answer: &Result<Value, CallError>) -> String {
    match answer {
        Ok(answer) => answer["reasons"][0]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        Err(error) => error.detail("ErrorInfo").unwrap()["reason"]
            .as_str()
            .unwrap()
            .to_owned(),
    }
}

/// Changes what `dev` wrote in its configuration.
fn configure(data: &Path, commented: &str, set: &str) {
    let path = data.join("sekisho.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(commented), "{commented}");
    fs::write(path, text.replace(commented, set)).unwrap();
}

#[test]
fn a_lost_database_stops_logins_at_once_and_checks_when_what_is_known_is_too_old() {
    let server = Postgres::begin();
    let url = server.database();
    let folder = House::with_store(&url).leave();
    assert!(!folder.path().join("data/store.sqlite").exists());
    // Long enough for the stop of the server and a call on a busy machine.
    let age = "snapshot_max_age_ms = 20000";
    configure(
        &folder.path().join("data"),
        "# snapshot_max_age_ms = 2000",
        age,
    );
    let mut house = House::take_up(folder);
    let session = house.log_in("adviser-1");
    assert!(is_allowed(&check(&house, &session, "seeker-1")));

    server.stop();
    let answer = check(&house, &session, "seeker-1");
    assert!(is_allowed(&answer), "{answer:?}");
    let began = Instant::now();
    let login = log_in(&mut house, "adviser-2", (CALLER, OFFICE, SESSION));
    let refused = login.map(|_| ()).unwrap_err();
    assert_eq!(refused.code, "UNAVAILABLE", "{refused}");
    // Three seconds are promised; without a bound it would wait for ten times as long.
    assert!(began.elapsed() < Duration::from_secs(15));
    let refused = house.call(CALLER, SET_DATE, &long_ago("seeker-2"), &Metadata::new());
    assert_eq!(refused.unwrap_err().code, "UNAVAILABLE");
    until(SOON, "a check is refused", || {
        let answer = check(&house, &session, "seeker-1");
        match &answer {
            Ok(_) => false,
            Err(error) => {
                assert_eq!(error.code, "UNAVAILABLE", "{error}");
                first_reason(&answer) == "SNAPSHOT_STALE"
            }
        }
    });

    server.start();
    until(SOON, "a check is allowed again", || {
        is_allowed(&check(&house, &session, "seeker-1"))
    });
    house.log_in("adviser-2");
    // What the log holds and the database had not heard of is made up for.
    until(SOON, "the date is known", || {
        first_reason(&check(&house, &session, "seeker-2")) == "REASON_CODE_RETENTION_EXPIRED"
    });
    until(SOON, "the date is stored", || {
        server.sql(&url, "SELECT count(*) FROM sekisho.dates") == "1"
    });
    assert!(
        house
            .daemon
            .output()
            .contains("the store is followed again")
    );
}

#[test]
fn two_daemons_on_one_store_follow_each_other_and_share_what_guards_second_factors() {
    let server = Postgres::begin();
    let mut first = House::with_store(&server.database());
    let folder = first.beside();
    let data = folder.path().join("data");
    let (code, said) = refused_start(&support::pack(), &data);
    assert_eq!(code, 72, "{said}");
    assert!(said.contains("store.shared = true"), "{said}");
    configure(&data, "# shared = false", "shared = true");
    let mut second = House::take_up(folder);

    // A ticket of one is worth the same at the other, until its session is ended at either.
    let session = first.log_in("adviser-1");
    assert!(is_allowed(&check(&second, &session, "seeker-1")));
    let end = json!({ "session_ticket": session.ticket });
    first
        .call(CALLER, END_SESSION, &end, &session.metadata())
        .unwrap();
    until(SOON, "the session is ended at the other", || {
        first_reason(&check(&second, &session, "seeker-1")) == "REASON_CODE_TICKET_REVOKED"
    });

    // A date that one registers counts at the other.
    let session = second.log_in("adviser-2");
    assert!(is_allowed(&check(&first, &session, "seeker-1")));
    second
        .call(CALLER, SET_DATE, &long_ago("seeker-1"), &Metadata::new())
        .unwrap();
    until(SOON, "the date counts at the other", || {
        first_reason(&check(&first, &session, "seeker-1")) == "REASON_CODE_RETENTION_EXPIRED"
    });

    // One code, shown to both at once, is good once.
    let person = "manager-1";
    let password = first.people.get(person).password.clone();
    let begun = json!({ "person": person, "password": password, "client_ip": OFFICE, "session_ref": SESSION });
    let challenge = |house: &House| {
        let opened = house.answer(VERIFY_PASSWORD, &begun, &Metadata::new());
        opened["challengeId"].as_str().unwrap().to_owned()
    };
    let challenges: Vec<(&House, String)> = [&first, &second]
        .into_iter()
        .cycle()
        .take(6)
        .map(|house| (house, challenge(house)))
        .collect();
    let code = first.people.get(person).code(first.now());
    let successes = std::thread::scope(|scope| {
        let asked: Vec<_> = challenges
            .iter()
            .map(|(house, challenge)| {
                let request = json!({ "challenge_id": challenge, "totp": code });
                scope.spawn(move || {
                    house
                        .send(VERIFY_SECOND_FACTOR, &request, &Metadata::new())
                        .is_ok()
                })
            })
            .collect();
        asked
            .into_iter()
            .filter_map(|one| one.join().ok())
            .filter(|won| *won)
            .count()
    });
    assert_eq!(successes, 1);

    // Each starts again by its own log's marks.
    for house in [first, second] {
        House::take_up(house.leave()).leave();
    }
}

#[test]
fn a_backup_of_a_database_goes_back_into_an_empty_one() {
    let server = Postgres::begin();
    let url = server.database();
    let mut house = House::with_store(&url);
    house.log_in("adviser-1");
    house
        .call(CALLER, SET_DATE, &long_ago("seeker-1"), &Metadata::new())
        .unwrap();
    let home = house.home().to_owned();
    let path = |name: &str| home.join(name).to_str().unwrap().to_owned();
    let (data, backup) = (path("data"), path("backup"));
    let (private, public) = (path("recovery.private"), path("recovery.public"));
    let new_key = [
        "backup",
        "new-recovery-key",
        "--private",
        &private,
        "--public",
        &public,
    ];
    done(&home, "", &new_key);
    done(
        &home,
        "",
        &["backup", &backup, "--data", &data, "--to-key", &public],
    );
    let people = support::people::People::read(Path::new(&data));
    let folder = house.leave();

    fs::rename(&data, home.join("lost")).unwrap();
    server.sql(&url, "DROP SCHEMA sekisho CASCADE");
    done(
        &home,
        "",
        &[
            "restore",
            &backup,
            "--data",
            &data,
            "--recovery-key",
            &private,
        ],
    );
    // Shown now, and not about to be followed by another.
    while support::machine_now() % 30 > 8 {
        sleep(Duration::from_millis(200));
    }
    let now = support::machine_now();
    let typed: String = ["administrator-1", "administrator-2"]
        .map(|id| {
            format!(
                "{id}\n{}\n{}\n",
                people.get(id).password,
                people.get(id).code(now)
            )
        })
        .concat();
    let declare = [
        "restore",
        "--declare-gap",
        "--data",
        &data,
        "--reason",
        "both disks were lost",
    ];
    let said = done(&home, &typed, &declare);
    assert!(said.contains("the database was empty"), "{said}");
    // First passwords are in no backup.
    fs::rename(home.join("lost/dev"), home.join("data/dev")).unwrap();
    let mut house = House::take_up(folder);
    // Every code until the declaration is spent, of devices that change theirs each minute, too.
    while support::machine_now() / 30 <= now / 30 + 2 {
        sleep(Duration::from_millis(200));
    }
    let session = house.log_in("adviser-2");
    let answer = check(&house, &session, "seeker-1");
    assert_eq!(first_reason(&answer), "REASON_CODE_RETENTION_EXPIRED");
    assert!(is_allowed(&check(&house, &session, "seeker-2")));
}
