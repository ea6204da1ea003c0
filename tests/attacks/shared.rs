//! Two daemons on one PostgreSQL, whatever engine the others use.

use std::fs;
use std::path::Path;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use sekisho::domain::ids::LogIndex;
use sekisho::log::LogReader;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::site::{detail, not_genuine, reason, refused_with, request};
use crate::support::dev_house::{House, done};
use crate::support::play::{CallError, Door, Metadata, Session};
use crate::support::postgres::Postgres;
use crate::support::scenario::{CALLER, OFFICE, SESSION};

const PERSON: &str = "adviser-1";
/// A challenge takes as many tries.
const TRIES: usize = 5;

/// A further daemon's directory, which may join.
pub(crate) fn beside(first: &House) -> TempDir {
    let folder = first.beside();
    share(folder.path());
    folder
}

/// Has the daemon of a folder follow what others change in its store.
fn share(home: &Path) {
    let file = home.join("data/sekisho.toml");
    let text = fs::read_to_string(&file).unwrap();
    let shared = text.replace("# shared = false", "shared = true");
    assert_ne!(text, shared);
    fs::write(&file, shared).unwrap();
}

fn check(house: &House, session: &Session) -> String {
    let method = "sekisho.v1.AccessService/Check";
    let answer = house.answer(method, &request(session), &Metadata::new());
    match answer["decision"].as_str() {
        Some("DECISION_ALLOW") => "allowed".to_owned(),
        _ => reason(&answer).to_owned(),
    }
}

/// Both steps of somebody who knows the password and has the authenticator.
fn try_code(house: &House, person: &str) -> Result<Value, CallError> {
    let known = house.people.get(person);
    let method = |name: &str| format!("sekisho.v1.AuthenticationService/{name}");
    let begin = json!({ "person": person, "password": known.password, "client_ip": OFFICE, "session_ref": SESSION });
    let begun = house.answer(&method("VerifyPassword"), &begin, &Metadata::new());
    let code = json!({ "challenge_id": begun["challengeId"], "totp": known.code(house.now()) });
    house.send(&method("VerifySecondFactor"), &code, &Metadata::new())
}

#[test]
fn a_daemon_that_lacks_a_new_key_says_which_charges_nobody_and_takes_it_up_once_it_is_there() {
    let folder = House::with_store(&Postgres::shared().database()).leave();
    share(folder.path());
    let mut first = House::take_up(folder);
    let second = House::take_up(first.beside());
    let old = first.log_in("adviser-1");
    assert_eq!(check(&second, &old), "allowed");

    let data = first.data().to_owned();
    let mut ids = Vec::new();
    for purpose in ["seeds", "tickets"] {
        done(
            first.home(),
            "",
            &["keys", "rotate", purpose, "--data", &data],
        );
        let listed = done(
            first.home(),
            "",
            &["keys", "list", "--json", "--data", &data],
        );
        let keys = listed
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let id = keys
            .into_iter()
            .find(|key| key["use"] == purpose && key["in_use"] == true)
            .unwrap()["id"]
            .clone();
        ids.push(id.as_str().unwrap().to_owned());
    }
    let mut first = House::take_up(first.leave());
    let new = first.log_in("adviser-2");
    assert_eq!(check(&first, &old), "allowed");

    // Its keyring is the one of before: nobody is told that their code is wrong, and nothing is counted.
    assert_eq!(check(&second, &old), "allowed");
    assert_eq!(check(&second, &new), "REASON_CODE_TICKET_INVALID");
    for _ in 0..6 {
        let refused = try_code(&second, "adviser-3");
        let refused = refused_with(refused, "UNAVAILABLE", "KEY_MISSING");
        assert!(refused.message.contains(&ids[0]), "{refused}");
    }
    let log = LogReader::open_directory(second.daemon.data().join("log")).unwrap();
    let entries: Vec<_> = log
        .forward(LogIndex(0))
        .map(|kept| kept.unwrap().entry().unwrap())
        .collect();
    for key in ["attempt", "alarm"] {
        assert_eq!(
            entries
                .iter()
                .filter(|entry| detail(entry, key).is_some())
                .count(),
            0
        );
    }
    assert!(
        second.daemon.get("/readyz").contains(&ids[0]),
        "{}",
        second.daemon.get("/readyz")
    );
    assert!(!first.daemon.get("/readyz").contains(&ids[0]));

    // No restart: it looks again when something names a key that it lacks.
    fs::copy(
        first.daemon.data().join("keyring"),
        second.daemon.data().join("keyring"),
    )
    .unwrap();
    sleep(Duration::from_millis(1_100));
    try_code(&second, "adviser-3").unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while check(&second, &new) != "allowed" {
        assert!(Instant::now() < end, "{}", second.daemon.output());
        sleep(Duration::from_millis(300));
    }
    assert_eq!(check(&second, &old), "allowed");
    assert!(
        !second.daemon.get("/readyz").contains(&ids[0]),
        "{}",
        second.daemon.get("/readyz")
    );
}

#[test]
fn of_fifty_uses_of_one_code_at_once_through_two_daemons_one_succeeds() {
    let first = House::with_store(&Postgres::shared().database());
    let second = House::take_up(beside(&first));
    let houses = [&first, &second];

    let password = first.people.get(PERSON).password.clone();
    let begin = json!({ "person": PERSON, "password": password, "client_ip": OFFICE, "session_ref": SESSION });
    let method = |name: &str| format!("sekisho.v1.AuthenticationService/{name}");
    let challenges: Vec<_> = houses
        .into_iter()
        .cycle()
        .take(50 / TRIES)
        .map(|house| {
            let begun = house.answer(&method("VerifyPassword"), &begin, &Metadata::new());
            (house, begun["challengeId"].as_str().unwrap().to_owned())
        })
        .collect();
    let code = first.people.get(PERSON).code(first.now());
    let mut heard = [0, 0];
    let won: usize = thread::scope(|scope| {
        let uses: Vec<_> = challenges
            .iter()
            .cycle()
            .take(50)
            .map(|(house, challenge)| {
                let request = json!({ "challenge_id": challenge, "totp": code });
                let method = method("VerifySecondFactor");
                scope.spawn(move || house.send(&method, &request, &Metadata::new()))
            })
            .collect();
        let answers = uses.into_iter().map(|one| one.join().unwrap()).enumerate();
        answers
            .filter(|(number, answer)| match answer {
                Ok(_) => {
                    heard[number % 2] += 1;
                    true
                }
                // Refused like a wrong code, or not looked at since so many are under way.
                Err(error) => {
                    let expected = ["UNAUTHENTICATED", "RESOURCE_EXHAUSTED"];
                    assert!(expected.contains(&&*error.code), "{error}");
                    heard[number % 2] += 1;
                    false
                }
            })
            .count()
    });
    assert_eq!(won, 1);
    assert_eq!(heard, [25, 25], "both daemons were asked");
    let spent: usize = houses
        .iter()
        .map(|house| {
            let log = LogReader::open_directory(house.daemon.data().join("log")).unwrap();
            let entries = log.forward(LogIndex(0)).map(|kept| kept.unwrap().entry());
            entries
                .filter(|entry| detail(entry.as_ref().unwrap(), "time_step").is_some())
                .count()
        })
        .sum();
    assert_eq!(spent, 1);
}

#[test]
fn what_one_daemon_ends_the_other_ends_too_with_all_that_was_begun_there() {
    let url = Postgres::shared().database();
    let mut first = House::with_store(&url);
    let second = House::take_up(beside(&first));
    let administrator = first.log_in("administrator-1");
    let session = first.log_in("adviser-2");
    let refused = |house: &House, session: &Session| {
        let answer = house.answer(
            "sekisho.v1.AccessService/Check",
            &request(session),
            &Metadata::new(),
        );
        reason(&answer).to_owned()
    };
    assert_eq!(refused(&second, &session), "none");

    // At the same instant, one after the other as they come: none is lost.
    let done = thread::scope(|scope| {
        let ends: Vec<_> = [&first, &second]
            .into_iter()
            .cycle()
            .take(10)
            .map(|house| {
                let request = json!({ "person": PERSON, "reason": "lost the laptop" });
                let metadata = administrator.metadata();
                scope.spawn(move || {
                    house.send(
                        "sekisho.v1.SessionService/RevokePerson",
                        &request,
                        &metadata,
                    )
                })
            })
            .collect();
        let ends = ends.into_iter().map(|end| end.join().unwrap());
        let done = ends.filter(|end| match end {
            Ok(_) => true,
            // One that waited too long for its turn: it may have been made all the same.
            Err(error) => {
                assert_eq!(error.code, "UNAVAILABLE", "{error}");
                false
            }
        });
        done.count()
    });
    assert!(done > 1, "{done}");
    let asked = format!("SELECT epoch FROM sekisho.people WHERE id = '{PERSON}'");
    let epoch: usize = Postgres::shared().sql(&url, &asked).parse().unwrap();
    assert!((done..=10).contains(&epoch), "{epoch} of {done}");

    // A login that was begun at the other.
    let password = first.people.get("manager-1").password.clone();
    let begin = json!({ "person": "manager-1", "password": password, "client_ip": OFFICE, "session_ref": SESSION });
    let authentication = |name: &str| format!("sekisho.v1.AuthenticationService/{name}");
    let begun = second.answer(&authentication("VerifyPassword"), &begin, &Metadata::new());
    let request = json!({ "service": CALLER, "reason": "its host was broken into" });
    first.answer(
        "sekisho.v1.SessionService/RevokeService",
        &request,
        &administrator.metadata(),
    );
    let end = Instant::now() + Duration::from_secs(30);
    while refused(&second, &session) != "REASON_CODE_TICKET_REVOKED" {
        assert!(Instant::now() < end, "not in time");
        thread::sleep(Duration::from_millis(50));
    }
    let code = first.people.get("manager-1").code(first.now());
    let answer = json!({ "challenge_id": begun["challengeId"], "totp": code });
    not_genuine(second.send(
        &authentication("VerifySecondFactor"),
        &answer,
        &Metadata::new(),
    ));
}
