//! Two daemons on one PostgreSQL, whatever engine the others use.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use sekisho::domain::ids::LogIndex;
use sekisho::log::LogReader;
use serde_json::json;
use tempfile::TempDir;

use crate::site::{detail, not_genuine, reason, request};
use crate::support::dev_house::House;
use crate::support::play::{Door, Metadata, Session};
use crate::support::postgres::Postgres;
use crate::support::scenario::{CALLER, OFFICE, SESSION};

const PERSON: &str = "adviser-1";
/// A challenge takes as many tries.
const TRIES: usize = 5;

/// A further daemon's directory, which may join.
fn beside(first: &House) -> TempDir {
    let folder = first.beside();
    let file = folder.path().join("data/sekisho.toml");
    let text = fs::read_to_string(&file).unwrap();
    let shared = text.replace("# shared = false", "shared = true");
    assert_ne!(text, shared);
    fs::write(&file, shared).unwrap();
    folder
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
    let done: usize = thread::scope(|scope| {
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
        ends.into_iter()
            .map(|end| end.join().unwrap())
            .filter(Result::is_ok)
            .count()
    });
    assert_eq!(done, 10);
    let asked = format!("SELECT epoch FROM sekisho.people WHERE id = '{PERSON}'");
    assert_eq!(Postgres::shared().sql(&url, &asked), "10");

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
