//! Two daemons on one PostgreSQL, whatever engine the others use.

use std::fs;
use std::thread;

use sekisho::domain::ids::LogIndex;
use sekisho::log::LogReader;
use serde_json::json;

use crate::site::detail;
use crate::support::dev_house::House;
use crate::support::play::{Door, Metadata};
use crate::support::postgres::Postgres;
use crate::support::scenario::{OFFICE, SESSION};

const PERSON: &str = "adviser-1";
/// A challenge takes as many tries.
const TRIES: usize = 5;

#[test]
fn of_fifty_uses_of_one_code_at_once_through_two_daemons_one_succeeds() {
    let first = House::with_store(&Postgres::shared().database());
    let folder = first.beside();
    let file = folder.path().join("data/sekisho.toml");
    let text = fs::read_to_string(&file).unwrap();
    let shared = text.replace("# shared = false", "shared = true");
    assert_ne!(text, shared);
    fs::write(&file, shared).unwrap();
    let second = House::take_up(folder);
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
